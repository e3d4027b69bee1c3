//! From operations to requests: what goes together, in which order, and how many it takes.
//!
//! Pure as planning is, so that the cost shown in a plan is the cost of applying it.

mod put_away;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use compact_str::CompactString;

pub use put_away::PutAway;
pub use step::{Leave, Step};

use super::{Edit, PairIx, People, PersonIx, Plan};
use crate::model::{Capabilities, Join, Leaving, Record, Value};

/// The most memberships that one request names, where each person has lists of their own: it would
/// grow too long.
const MOST_PLACES: usize = 8_000;

/// Packs the operations of a plan into requests; `name_field` is what the target calls the name of a
/// group.
pub fn pack(
    plan: &Plan,
    people: &People,
    capabilities: &Capabilities,
    name_field: &str,
) -> Vec<Step> {
    let mut packer = Packer {
        plan,
        people,
        capabilities,
        name_field,
        steps: Vec::new(),
    };
    packer.run();
    packer.steps
}

/// Cuts rows into batches of so many at most, and of fewer where they name too many groups.
pub(super) fn chunks<T>(rows: Vec<T>, most: usize, places: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut named = 0;
    for row in rows {
        let takes = places(&row);
        match batches.last_mut() {
            Some(batch) if batch.len() < most.max(1) && named + takes <= MOST_PLACES => {
                named += takes;
                batch.push(row);
            }
            _ => {
                named = takes;
                batches.push(vec![row]);
            }
        }
    }
    batches
}

struct Packer<'a> {
    plan: &'a Plan,
    people: &'a People,
    capabilities: &'a Capabilities,
    name_field: &'a str,
    steps: Vec<Step>,
}

impl Packer<'_> {
    fn run(&mut self) {
        let plan = self.plan;
        let mut group_opt_outs: BTreeMap<bool, BTreeMap<PersonIx, Vec<PairIx>>> = BTreeMap::new();
        for edit in &plan.operations {
            if let Edit::SetOptOut {
                pair: Some(pair),
                members,
                after_creation,
            } = edit
            {
                let people = group_opt_outs.entry(*after_creation).or_default();
                for member in members {
                    people.entry(*member).or_default().push(*pair);
                }
            }
        }
        let holders_of_account: BTreeSet<PersonIx> = plan
            .operations
            .iter()
            .filter(|edit| {
                matches!(
                    edit,
                    Edit::SetOptOut {
                        pair: None,
                        after_creation: true,
                        ..
                    }
                )
            })
            .flat_map(|edit| edit.members().iter().copied())
            .collect();

        for edit in &plan.operations {
            if let Edit::CreateCustomField { label } = edit {
                self.steps.push(Step::CreateCustomField {
                    label: label.clone(),
                });
            }
        }
        self.address_changes(true);
        self.account_opt_outs(false);
        self.group_opt_outs(group_opt_outs.remove(&false).unwrap_or_default());
        // Removals that stand in for an opt-out come before the edits of groups in the plan, and
        // here as well.
        let first_group_edit = plan
            .operations
            .iter()
            .position(|edit| edit.pair().is_some() && edit.members().is_empty());
        let (early, late) = plan
            .operations
            .split_at(self.early_removals(first_group_edit));
        self.removals(early);
        self.group_edits();
        self.address_changes(false);
        self.updates();
        // By row, whoever holds a refusal is created by the request that writes it.
        if self.capabilities.join != Join::PerRow {
            self.holders(&holders_of_account);
        }
        if !self.capabilities.create_opted_out {
            self.account_opt_outs(true);
        }
        self.group_opt_outs(group_opt_outs.remove(&true).unwrap_or_default());
        self.additions();
        self.removals(late);
        self.group_removals();
    }

    fn address_changes(&mut self, making_room: bool) {
        for edit in &self.plan.operations {
            if let Edit::ChangeAddress {
                member,
                to,
                makes_room,
                ..
            } = edit
                && *makes_room == making_room
            {
                self.steps.push(Step::ChangeAddress {
                    member: *member,
                    to: to.clone(),
                });
            }
        }
    }

    /// Finds where the removals end that stand in for an opt-out: the plan puts them before
    /// anything else than opt-outs, and moves that make room for them.
    fn early_removals(&self, first_group_edit: Option<usize>) -> usize {
        let early = self
            .plan
            .operations
            .iter()
            .position(|edit| {
                !matches!(
                    edit,
                    Edit::CreateCustomField { .. }
                        | Edit::SetOptOut { .. }
                        | Edit::RemoveMemberships { .. }
                        | Edit::ChangeAddress {
                            makes_room: true,
                            ..
                        }
                )
            })
            .unwrap_or(0);
        early.min(first_group_edit.unwrap_or(early))
    }

    fn account_opt_outs(&mut self, after: bool) {
        for edit in &self.plan.operations {
            if let Edit::SetOptOut {
                pair: None,
                members,
                after_creation,
            } = edit
                && *after_creation == after
            {
                self.opt_out_batches(members);
            }
        }
    }

    /// Packs account opt-outs; somebody with several contacts at the target takes a place for each
    /// of them.
    fn opt_out_batches(&mut self, members: &[PersonIx]) {
        let most = self.capabilities.batches.account_opt_outs.max(1);
        let mut batch = Vec::new();
        let mut places = 0;
        for &person in members {
            let needed = self.people.targets(person).len().max(1);
            if places + needed > most && !batch.is_empty() {
                self.steps.push(Step::OptOutOfAccount {
                    members: std::mem::take(&mut batch),
                });
                places = 0;
            }
            batch.push(person);
            places += needed;
        }
        if !batch.is_empty() {
            self.steps.push(Step::OptOutOfAccount { members: batch });
        }
    }

    fn group_opt_outs(&mut self, people: BTreeMap<PersonIx, Vec<PairIx>>) {
        if self.capabilities.join == Join::PerRow {
            self.leave_by_row(people, Leaving::OptOut);
            return;
        }
        for (member, pairs) in people {
            for contact in 0..self.people.targets(member).len().max(1) {
                self.steps.push(Step::OptOutOfGroups {
                    member,
                    contact,
                    pairs: pairs.clone(),
                });
            }
        }
    }

    /// Packs leavers of all groups together: a row for each contact of a person.
    fn leave_by_row(&mut self, people: BTreeMap<PersonIx, Vec<PairIx>>, how: Leaving) {
        let mut rows = Vec::new();
        for (member, pairs) in people {
            for contact in 0..self.people.targets(member).len().max(1) {
                rows.push(Leave {
                    member,
                    contact,
                    pairs: pairs.clone(),
                });
            }
        }
        for rows in chunks(rows, self.capabilities.batches.remove_memberships, |row| {
            row.pairs.len()
        }) {
            self.steps.push(Step::LeaveGroups { rows, how });
        }
    }

    /// Packs additions to all groups together: one row per person, whether the person exists or
    /// not.
    fn join_by_row(&mut self, additions: &[(PairIx, &[PersonIx])]) {
        let mut groups: BTreeMap<PersonIx, Vec<PairIx>> = BTreeMap::new();
        for (pair, members) in additions {
            members
                .iter()
                .for_each(|member| groups.entry(*member).or_default().push(*pair));
        }
        for rows in chunks(
            groups.into_iter().collect(),
            self.capabilities.batches.create_members,
            |(_, pairs)| pairs.len(),
        ) {
            self.steps.push(Step::JoinGroups { rows });
        }
    }

    fn returns(&mut self) {
        let mut rows = Vec::new();
        for edit in &self.plan.operations {
            if let Edit::BringBack { pair, members } = edit {
                rows.extend(members.iter().map(|member| (*member, *pair)));
            }
        }
        for chunk in rows.chunks(self.capabilities.batches.remove_memberships.max(1)) {
            self.steps.push(Step::BringBack {
                rows: chunk.to_vec(),
            });
        }
    }

    fn group_edits(&mut self) {
        let mut waiting: Vec<(PairIx, Record, &'static str)> = Vec::new();
        let mut aside: Option<(PairIx, Record)> = None;
        for edit in &self.plan.operations {
            let fits = matches!(edit, Edit::RenameGroup { via: None, .. });
            if !fits && let Some((pair, fields)) = aside.take() {
                waiting.push((pair, fields, "rename_group"));
            }
            match edit {
                Edit::RenameGroup {
                    pair, via, fields, ..
                } => match via {
                    Some(via) => {
                        let name = self.name_field.into();
                        let step_aside = Record::from([(name, Value::from(via.as_str()))]);
                        waiting.push((*pair, step_aside, "rename_group"));
                        aside = Some((*pair, fields.clone()));
                    }
                    None => waiting.push((*pair, fields.clone(), "rename_group")),
                },
                Edit::UpdateGroup { pair, fields, .. } => {
                    waiting.push((*pair, fields.clone(), "update_group"));
                }
                Edit::AdoptGroup { pair, fields, .. } if !fields.is_empty() => {
                    waiting.push((*pair, fields.clone(), "adopt_group"));
                }
                Edit::CreateGroup { pair, fields } => {
                    self.flush_edits(&mut waiting);
                    self.steps.push(Step::CreateGroup {
                        pair: *pair,
                        fields: fields.clone(),
                    });
                }
                _ => {}
            }
        }
        if let Some((pair, fields)) = aside {
            waiting.push((pair, fields, "rename_group"));
        }
        self.flush_edits(&mut waiting);
    }

    fn flush_edits(&mut self, waiting: &mut Vec<(PairIx, Record, &'static str)>) {
        for chunk in waiting.chunks(self.capabilities.batches.edit_groups.max(1)) {
            self.steps.push(Step::EditGroups {
                edits: chunk
                    .iter()
                    .map(|(pair, fields, _)| (*pair, fields.clone()))
                    .collect(),
                ops: chunk.iter().map(|(_, _, op)| *op).collect(),
            });
        }
        waiting.clear();
    }

    fn updates(&mut self) {
        let edits: Vec<(PersonIx, Option<Record>)> = self
            .plan
            .operations
            .iter()
            .filter_map(|edit| match edit {
                Edit::UpdateMember { member, fields, .. } => Some((*member, Some(fields.clone()))),
                _ => None,
            })
            .collect();
        self.pack_updates(edits);
    }

    fn pack_updates(&mut self, edits: Vec<(PersonIx, Option<Record>)>) {
        let batches = self.capabilities.batches;
        let mut groups: BTreeMap<Vec<CompactString>, Vec<(PersonIx, Option<Record>)>> =
            BTreeMap::new();
        for edit in edits {
            let shape = if batches.update_same_fields {
                edit.1
                    .as_ref()
                    .map(|fields| fields.keys().cloned().collect())
                    .unwrap_or_default()
            } else {
                Vec::new()
            };
            groups.entry(shape).or_default().push(edit);
        }
        for edits in groups.into_values() {
            for chunk in edits.chunks(batches.update_members.max(1)) {
                self.steps.push(Step::UpdateMembers {
                    edits: chunk.to_vec(),
                });
            }
        }
    }

    /// Creates the people that an opt-out needs, opted out from the first moment where the provider
    /// can do that.
    fn holders(&mut self, of_account: &BTreeSet<PersonIx>) {
        let holders: Vec<PersonIx> = self
            .plan
            .operations
            .iter()
            .filter(|edit| {
                matches!(
                    edit,
                    Edit::CreateMembers {
                        to_opt_out: true,
                        ..
                    }
                )
            })
            .flat_map(|edit| edit.members().iter().copied())
            .collect();
        let (born_opted_out, plain): (Vec<PersonIx>, Vec<PersonIx>) = holders
            .into_iter()
            .partition(|person| self.capabilities.create_opted_out && of_account.contains(person));
        for person in &born_opted_out {
            self.steps.push(Step::CreateOptedOut { member: *person });
        }
        self.pack_updates(
            born_opted_out
                .into_iter()
                .map(|person| (person, None))
                .collect(),
        );
        for chunk in plain.chunks(self.capabilities.batches.create_members.max(1)) {
            self.steps.push(Step::CreateMembers {
                members: chunk.to_vec(),
                join: Vec::new(),
            });
        }
    }

    fn additions(&mut self) {
        let newcomers: BTreeSet<PersonIx> = self
            .plan
            .operations
            .iter()
            .filter(|edit| {
                matches!(
                    edit,
                    Edit::CreateMembers {
                        to_opt_out: false,
                        ..
                    }
                )
            })
            .flat_map(|edit| edit.members().iter().copied())
            .collect();
        let additions: Vec<(PairIx, &[PersonIx])> = self
            .plan
            .operations
            .iter()
            .filter_map(|edit| match edit {
                Edit::AddMemberships { pair, members } => Some((*pair, members.as_slice())),
                _ => None,
            })
            .collect();
        match self.capabilities.join {
            Join::Separately => {
                let people: Vec<PersonIx> = newcomers.into_iter().collect();
                for chunk in people.chunks(self.capabilities.batches.create_members.max(1)) {
                    self.steps.push(Step::CreateMembers {
                        members: chunk.to_vec(),
                        join: Vec::new(),
                    });
                }
                self.add_by_id(&additions);
            }
            Join::WithCreation => self.add_with_creation(&additions, &newcomers),
            Join::PerRow => self.join_by_row(&additions),
        }
        self.returns();
    }

    fn add_by_id(&mut self, additions: &[(PairIx, &[PersonIx])]) {
        for (pair, members) in additions {
            for chunk in members.chunks(self.capabilities.batches.add_memberships.max(1)) {
                self.steps.push(Step::AddMemberships {
                    pair: *pair,
                    members: chunk.to_vec(),
                });
            }
        }
    }

    /// One request takes people and groups: either a request per group, or one per set of groups,
    /// whichever is fewer.
    fn add_with_creation(
        &mut self,
        additions: &[(PairIx, &[PersonIx])],
        newcomers: &BTreeSet<PersonIx>,
    ) {
        let most = self.capabilities.batches.create_members.max(1);
        if most == 1 {
            self.add_one_by_one(additions, newcomers);
            return;
        }
        let by_id = self.capabilities.batches.add_memberships.max(1);
        let (with_new, known): (Vec<_>, Vec<_>) = additions
            .iter()
            .copied()
            .partition(|(_, members)| members.iter().any(|person| newcomers.contains(person)));
        let per_group: usize = with_new
            .iter()
            .map(|(_, members)| members.len().div_ceil(most))
            .sum();
        let mut sets: BTreeMap<PersonIx, Vec<PairIx>> = BTreeMap::new();
        for (pair, members) in &with_new {
            members
                .iter()
                .for_each(|member| sets.entry(*member).or_default().push(*pair));
        }
        let mut by_set: BTreeMap<Vec<PairIx>, Vec<PersonIx>> = BTreeMap::new();
        for (person, pairs) in sets {
            by_set.entry(pairs).or_default().push(person);
        }
        let per_set: usize = by_set
            .values()
            .map(|members| members.len().div_ceil(most))
            .sum();
        if per_set < per_group {
            for (join, members) in by_set {
                for chunk in members.chunks(most) {
                    self.steps.push(Step::CreateMembers {
                        members: chunk.to_vec(),
                        join: join.clone(),
                    });
                }
            }
        } else {
            for (pair, members) in &with_new {
                for chunk in members.chunks(most) {
                    self.steps.push(Step::CreateMembers {
                        members: chunk.to_vec(),
                        join: vec![*pair],
                    });
                }
            }
        }
        // Where everybody exists already, ids say more than addresses, and each row is answered
        // for.
        for (pair, members) in known {
            for chunk in members.chunks(by_id) {
                self.steps.push(Step::AddMemberships {
                    pair,
                    members: chunk.to_vec(),
                });
            }
        }
    }

    /// Where a request takes one person, those who exist are named by id: nothing is gained by
    /// sending their address.
    fn add_one_by_one(
        &mut self,
        additions: &[(PairIx, &[PersonIx])],
        newcomers: &BTreeSet<PersonIx>,
    ) {
        let mut groups: BTreeMap<PersonIx, Vec<PairIx>> = BTreeMap::new();
        for (pair, members) in additions {
            members
                .iter()
                .filter(|person| newcomers.contains(person))
                .for_each(|person| groups.entry(*person).or_default().push(*pair));
        }
        for (person, join) in groups {
            self.steps.push(Step::CreateMembers {
                members: vec![person],
                join,
            });
        }
        for (pair, members) in additions {
            let known: Vec<PersonIx> = members
                .iter()
                .copied()
                .filter(|person| !newcomers.contains(person))
                .collect();
            self.add_by_id(&[(*pair, &known)]);
        }
    }

    fn removals(&mut self, operations: &[Edit]) {
        if self.capabilities.join == Join::PerRow {
            let mut people: BTreeMap<PersonIx, Vec<PairIx>> = BTreeMap::new();
            for edit in operations {
                if let Edit::RemoveMemberships { pair, members } = edit {
                    for member in members {
                        people.entry(*member).or_default().push(*pair);
                    }
                }
            }
            let how = if self.capabilities.detach {
                Leaving::Detach
            } else {
                Leaving::Remove
            };
            self.leave_by_row(people, how);
            return;
        }
        for edit in operations {
            if let Edit::RemoveMemberships { pair, members } = edit {
                for chunk in members.chunks(self.capabilities.batches.remove_memberships.max(1)) {
                    self.steps.push(Step::RemoveMemberships {
                        pair: *pair,
                        members: chunk.to_vec(),
                    });
                }
            }
        }
    }

    fn group_removals(&mut self) {
        for edit in &self.plan.operations {
            match edit {
                Edit::ArchiveGroup {
                    pair,
                    lift_protection,
                } => {
                    if *lift_protection {
                        self.lift(*pair);
                    }
                    let fields = Record::from([("status".into(), Value::from("Archived"))]);
                    self.steps.push(Step::EditGroups {
                        edits: vec![(*pair, fields)],
                        ops: vec!["archive_group"],
                    });
                }
                Edit::DeleteGroup {
                    pair,
                    lift_protection,
                } => {
                    if *lift_protection {
                        self.lift(*pair);
                    }
                    self.steps.push(Step::DeleteGroup { pair: *pair });
                }
                _ => {}
            }
        }
    }

    /// Clears the flag where the target has one; elsewhere rosterd remembers the protection, and
    /// there is nothing to send.
    fn lift(&mut self, pair: PairIx) {
        if !self.capabilities.protected_flag {
            return;
        }
        let fields = Record::from([("protected".into(), Value::Boolean(false))]);
        self.steps.push(Step::EditGroups {
            edits: vec![(pair, fields)],
            // A part of the archiving or deletion, which alone is counted.
            ops: vec!["lift_protection"],
        });
    }
}
