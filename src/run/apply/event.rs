//! What happens while a plan is applied, in the order in which it happens: all that is told of it
//! comes of this.

use super::Applying;
use crate::plan::PairIx;
use crate::run::settle::Item;

/// Something to be counted and told.
#[derive(Debug)]
pub(in crate::run) enum Event {
    /// An item stands.
    Done(Item),
    /// An item was refused, or reading back does not show it.
    Failed {
        item: Item,
        /// The provider's code.
        code: Option<String>,
        message: String,
    },
    /// Nobody can tell how the person of an item stands, neither before it was sent nor after.
    Untold { item: Item, message: String },
    /// Values of somebody are still as they were, although the provider said yes.
    Ignored { member: String, message: String },
    /// A group was left alone, because nobody knows who is in it by now.
    LeftOut {
        pair: PairIx,
        /// The group's id.
        id: String,
        message: String,
    },
    /// A group was created twice.
    Twin { group: String, message: String },
    /// A sentence that a person should read.
    Warning(String),
}

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
        self.events.push(Event::Done(item.clone()));
    }

    /// Takes note of an item that failed.
    pub(super) fn failed(&mut self, item: &Item, code: Option<String>, message: &str) {
        self.lose(item);
        self.events.push(Event::Failed {
            item: item.clone(),
            code,
            message: message.to_owned(),
        });
    }

    /// Takes note of an item of which nobody can tell how the person stands. Nothing was refused, so
    /// the next run may plan it at once.
    pub(super) fn untold(&mut self, item: &Item, message: &str) {
        self.lose(item);
        self.events.push(Event::Untold {
            item: item.clone(),
            message: message.to_owned(),
        });
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
        self.events.push(Event::LeftOut { pair, id, message });
    }

    /// Tells whether an item is about somebody who had no contact before this run.
    pub(super) fn is_new(&self, item: &Item) -> bool {
        self.prepared.known(self.job).is_new(item)
    }
}
