//! What happens to items while a plan is applied, and what it means for those that are still to be
//! written.

use std::collections::{BTreeMap, HashMap};

use compact_str::CompactString;

use super::Applying;
use super::tally::Undone;
use crate::model::{FieldSpec, GroupRow, ObjectKind, Record, Schema, Value};
use crate::plan::{Edit, PairIx, PersonIx, Plan, SEAT};
use crate::run::error::RunError;
use crate::run::prepare::Prepared;
use crate::run::settle::Item;
use crate::state::{FieldChange, FieldChanges};

/// What the operations of a plan change of groups, and of people's addresses.
#[derive(Debug, Default)]
pub(super) struct PlannedChanges {
    groups: HashMap<(&'static str, PairIx), FieldChanges>,
    addresses: HashMap<PersonIx, FieldChanges>,
}

impl PlannedChanges {
    /// `rows` is what the target's groups hold before the first of them is written.
    pub(super) fn of(
        plan: &Plan,
        rows: &BTreeMap<String, GroupRow>,
        schema: &Schema,
    ) -> PlannedChanges {
        let mut changes = PlannedChanges::default();
        let nothing = Record::new();
        for edit in &plan.operations {
            let (pair, before, set) = match edit {
                Edit::CreateGroup { pair, fields } => (*pair, &nothing, fields),
                Edit::AdoptGroup {
                    pair,
                    fields,
                    before,
                }
                | Edit::UpdateGroup {
                    pair,
                    fields,
                    before,
                }
                | Edit::RenameGroup {
                    pair,
                    fields,
                    before,
                    ..
                } => (*pair, before, fields),
                Edit::ChangeAddress {
                    member, from, to, ..
                } => {
                    let address = |text: &str| Some(Value::from(text));
                    let change = FieldChange {
                        before: address(from),
                        is_before_known: true,
                        after: address(to),
                    };
                    let field = FieldChanges::from([("email".into(), change)]);
                    changes.addresses.insert(*member, field);
                    continue;
                }
                _ => continue,
            };
            let is_new = matches!(edit, Edit::CreateGroup { .. });
            let id = plan.pair(pair).target.as_deref();
            let row = id.and_then(|id| rows.get(id));
            let is_shown = |field: &str| {
                let spec = schema.by_wire(ObjectKind::Group, field);
                row.is_some_and(|row| row.wire.contains_key(field) || tells(spec))
            };
            let fields = changed(before, set, |field| !is_new && is_shown(field));
            changes.groups.insert((edit.op(), pair), fields);
        }
        changes
    }
}

/// Tells whether an object that was read holds nothing in a field that it does not show.
fn tells(spec: Option<&FieldSpec>) -> bool {
    spec.is_some_and(|spec| spec.readable && !spec.may_be_unshown)
}

/// Pairs what is set with what was held before; an empty value is none. `is_shown` says of a field
/// without a value whether it is known that there was none.
fn changed(before: &Record, set: &Record, is_shown: impl Fn(&str) -> bool) -> FieldChanges {
    let held = |value: &&Value| !value.is_empty();
    let change = |(name, value): (&CompactString, &Value)| {
        let before = before.get(name).filter(held).cloned();
        let change = FieldChange {
            is_before_known: before.is_some() || is_shown(name),
            before,
            after: Some(value).filter(held).cloned(),
        };
        (name.clone(), change)
    };
    set.iter().map(change).collect()
}

impl Applying<'_> {
    /// Takes note of an item that stands, for what is still to be written and for the history.
    pub(super) fn done(&mut self, item: &Item) -> Result<(), RunError> {
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
        let fields = self.changes_of(item)?;
        let known = self.prepared.known(self.job);
        self.tally.done(known, &self.so_far, item, fields);
        Ok(())
    }

    /// Returns the fields that an item changed, before and after.
    pub(super) fn changes_of(&self, item: &Item) -> Result<FieldChanges, RunError> {
        let known = match (item.op, item.pair, item.person) {
            (op, Some(pair), None) => self.planned_changes.groups.get(&(op, pair)),
            ("change_address", _, Some(person)) => self.planned_changes.addresses.get(&person),
            ("add_memberships" | "remove_memberships", _, Some(person))
                if self.prepared.capabilities.one_group_per_member =>
            {
                return Ok(self.change_of_seat(item, person));
            }
            ("update_member", _, Some(person)) if item.detail.is_none() => {
                let facts = self.prepared.facts.get(&person);
                let edit = facts.and_then(|facts| facts.edit.as_ref());
                let set = |set: &Record| self.as_named_now(set.clone());
                let schema = self.prepared.schema;
                let is_shown = |field: &str| tells(schema.by_wire(ObjectKind::Member, field));
                let changes = edit.map(|edit| changed(&edit.before, &set(&edit.set), is_shown));
                return Ok(changes.unwrap_or_default());
            }
            // Of several requests that create one person the first one has the values.
            ("create_members" | "set_opt_out", _, Some(person))
                if self.is_new(item) && !self.tally.has_created(person) =>
            {
                let fields = self.as_named_now(self.confirming().fields_of(person)?);
                let mut changes = changed(&Record::new(), &fields, |_| false);
                changes.retain(|_, change| change.after.is_some());
                return Ok(changes);
            }
            _ => None,
        };
        Ok(known.cloned().unwrap_or_default())
    }

    /// Returns which group somebody left for which, by their ids, where a member is in one group at a
    /// time. Of somebody who was in none there is nothing to say.
    fn change_of_seat(&self, item: &Item, person: PersonIx) -> FieldChanges {
        let Prepared {
            sides,
            planned,
            policy,
            ..
        } = &self.prepared;
        let target = &sides.target;
        let is_meant = |at: &&u32| {
            let id = planned.text(target.members[**at as usize].id);
            item.target_id.as_deref().is_none_or(|only| only == id)
        };
        let contact = planned.people.targets(person).iter().find(is_meant);
        let Some(left) = contact.and_then(|at| target.seat_of(*at)) else {
            return FieldChanges::new();
        };
        let joined = match item.op {
            "remove_memberships" => policy.parking_group.clone(),
            _ => item
                .scopes()
                .into_iter()
                .find_map(|pair| self.group_id(pair?)),
        };
        let change = FieldChange {
            before: Some(Value::from(left)),
            is_before_known: true,
            after: joined.as_deref().map(Value::from),
        };
        FieldChanges::from([(SEAT.into(), change)])
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
