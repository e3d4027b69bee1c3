//! What happens to items while a plan is applied, and what it means for those that are still to be
//! written.

use super::Applying;
use super::tally::Undone;
use crate::plan::PairIx;
use crate::run::settle::Item;

impl Applying<'_> {
    /// Takes note of an item that stands, for what is still to be written.
    pub(super) fn done(&mut self, item: &Item) {
        if let (Some(id), "set_opt_out" | "remove_memberships") = (&item.target_id, item.op) {
            let refused = item.scopes().into_iter().map(|pair| (pair, id.clone()));
            self.so_far.refused_there.extend(refused);
        }
        match (item.pair, item.person) {
            (Some(pair), None) => drop(self.groups_written.insert(pair)),
            (_, Some(person)) if item.op == "update_member" || self.is_new(item) => {
                self.people_written.insert(person);
            }
            _ => {}
        }
        if item.op == "create_field" {
            self.fields_created.extend(item.detail.clone());
        }
        self.tally.done(self.prepared.known(self.job), item);
    }

    /// Takes note of an item that failed.
    pub(super) fn failed(&mut self, item: &Item, code: Option<String>, message: &str) {
        self.undone(item, Undone::Refused(code), message);
    }

    /// Takes note of an item of which nobody can tell how the person stands. Nothing was refused, so
    /// the next run may plan it at once.
    pub(super) fn untold(&mut self, item: &Item, message: &str) {
        self.undone(item, Undone::Untold, message);
    }

    fn undone(&mut self, item: &Item, why: Undone, message: &str) {
        self.lose(item);
        let known = self.prepared.known(self.job);
        self.tally.undone(known, &self.so_far, item, why, message);
    }

    /// Has later steps leave out what goes with an item that is not done.
    pub(super) fn lose(&mut self, item: &Item) {
        match (item.op, item.pair, item.person) {
            ("create_group", Some(pair), _) => {
                self.lost_groups.insert(pair);
            }
            ("create_members", _, Some(person)) => {
                self.lost_people.insert(person);
                self.unproved.remove(&person);
            }
            // Whatever goes by the new address would create a second person.
            ("change_address", _, Some(person)) => {
                self.lost_people.insert(person);
            }
            // Whoever could not be created to hold a refusal is not there for anything else.
            ("set_opt_out", _, Some(person)) if self.is_new(item) => {
                self.lost_people.insert(person);
            }
            _ => {}
        }
    }

    /// Leaves a group alone for the rest of the run, because nobody knows who is in it by now.
    pub(super) fn leave_out(&mut self, pair: PairIx, why: &str) {
        if !self.lost_groups.insert(pair) {
            return;
        }
        let message = format!(
            "who is in the group could not be read to its end right before it was to be written, so that nothing was added there or taken out: {why}"
        );
        let id = self.group_id(pair).unwrap_or_default();
        let name = self.prepared.planned.plan.pair(pair).name.clone();
        self.tally.left_out(name, &id, message);
    }

    /// Tells whether an item is about somebody who had no contact before this run.
    pub(super) fn is_new(&self, item: &Item) -> bool {
        self.prepared.known(self.job).is_new(item)
    }
}
