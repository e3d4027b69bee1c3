//! From a step of the packed plan to a write with the ids that are known by now.

use std::collections::BTreeSet;

use super::{Applying, Item};
use crate::model::{
    FieldType, GroupEdit, GroupRow, Leaving, MemberEdit, MemberJoin, MemberLeave, MemberReturn,
    MemberStatus, MemberValues, MembershipState, ObjectKind, Record, Value, Write,
};
use crate::plan::pack::{Leave, Step};
use crate::plan::{PairIx, PersonIx, fold_group_name, item_key, refused_before};
use crate::run::prepare::Prepared;
use crate::run::{RunError, persons};
use crate::state::JournalItem;

impl Applying<'_> {
    /// Turns a step into a write with the ids that are known by now; nothing when all it was for
    /// has failed before.
    pub(super) fn resolve(&mut self, step: Step) -> Result<Option<(Write, Vec<Item>)>, RunError> {
        let item = |op, pair, person| Item {
            op,
            pair,
            joins: Vec::new(),
            person,
            target_id: None,
            detail: None,
        };
        Ok(match step {
            Step::CreateCustomField { label } => {
                let kind = self
                    .prepared
                    .sides
                    .mapping
                    .missing_custom()
                    .into_iter()
                    .find(|field| field.label == label)
                    .map_or(FieldType::Text, |field| field.kind);
                let detail = Some(label.clone());
                Some((
                    Write::CreateCustomField { label, kind },
                    vec![Item {
                        detail,
                        ..item("create_field", None, None)
                    }],
                ))
            }
            Step::CreateGroup { pair, fields } => {
                let name = self.prepared.planned.plan.pair(pair).name.clone();
                let detail = Some(name.clone());
                Some((
                    Write::CreateGroup { name, fields },
                    vec![Item {
                        detail,
                        ..item("create_group", Some(pair), None)
                    }],
                ))
            }
            Step::EditGroups { edits, ops } => {
                let mut groups = Vec::new();
                let mut items = Vec::new();
                for ((pair, fields), op) in edits.into_iter().zip(ops) {
                    let Some(id) = self.group_id(pair) else {
                        continue;
                    };
                    let current = self
                        .prepared
                        .sides
                        .target_rows
                        .get(&id)
                        .map(|row| row.wire.clone())
                        .unwrap_or_default();
                    // Later requests that replace what they do not name have to see this one's
                    // values.
                    if let Some(row) = self.prepared.sides.target_rows.get_mut(&id) {
                        row.wire.extend(fields.clone());
                    }
                    // By its name the next run knows a rename for ours whose answer never came.
                    let name_field = self
                        .prepared
                        .schema
                        .by_canonical(ObjectKind::Group, "name")
                        .map_or("name", |spec| spec.wire);
                    let detail = fields.get(name_field).map(Value::to_string);
                    groups.push(GroupEdit {
                        id,
                        fields,
                        current,
                    });
                    items.push(Item {
                        detail,
                        ..item(op, Some(pair), None)
                    });
                }
                (!groups.is_empty()).then_some((Write::EditGroups { edits: groups }, items))
            }
            Step::DeleteGroup { pair } => self.group_id(pair).map(|id| {
                (
                    Write::DeleteGroup { id },
                    vec![item("delete_group", Some(pair), None)],
                )
            }),
            Step::CreateMembers { members, join } => {
                let alone = join.is_empty();
                let join: Vec<PairIx> = join
                    .into_iter()
                    .filter(|pair| !self.lost_groups.contains(pair))
                    .collect();
                let groups: Option<Vec<String>> =
                    join.iter().map(|pair| self.group_id(*pair)).collect();
                let Some(groups) = groups else {
                    return Ok(None);
                };
                let mut rows = Vec::new();
                let mut items = Vec::new();
                let there = |person: &PersonIx| {
                    join.iter()
                        .any(|pair| self.already_there.contains(&(*pair, *person)))
                };
                for person in members
                    .into_iter()
                    .filter(|person| !self.lost_people.contains(person) && !there(person))
                {
                    let fields = self
                        .prepared
                        .sides
                        .mapping
                        .member(&self.canonical(person)?)
                        .fields;
                    rows.push(MemberValues {
                        address: self.address_there(person)?,
                        fields,
                    });
                    items.push(Item {
                        joins: join.clone(),
                        ..item("create_members", None, Some(person))
                    });
                }
                // Nobody is created for groups that are all lost.
                let lost_all = !alone && groups.is_empty();
                (!rows.is_empty() && !lost_all)
                    .then_some((Write::CreateMembers { rows, join: groups }, items))
            }
            Step::UpdateMembers { edits } => {
                let fresh = edits.iter().all(|(_, fields)| fields.is_none());
                let mut rows = Vec::new();
                let mut items = Vec::new();
                for (person, fields) in edits
                    .into_iter()
                    .filter(|(person, _)| !self.lost_people.contains(person))
                {
                    let fields = match fields {
                        Some(fields) => fields,
                        None => {
                            self.prepared
                                .sides
                                .mapping
                                .member(&self.canonical(person)?)
                                .fields
                        }
                    };
                    let Some(id) = self.ids(person).into_iter().next() else {
                        continue;
                    };
                    if fields.is_empty() {
                        continue;
                    }
                    rows.push(MemberEdit {
                        id: id.clone(),
                        address: self.address_there(person)?,
                        fields,
                    });
                    // The profile of somebody just created belongs to the creation.
                    let detail = fresh.then(|| "created".to_owned());
                    items.push(Item {
                        target_id: Some(id),
                        detail,
                        ..item("update_member", None, Some(person))
                    });
                }
                if fresh && self.prepared.capabilities.batches.update_same_fields {
                    // People who were just created hold nothing that an empty value could wipe out.
                    let all: BTreeSet<String> = rows
                        .iter()
                        .flat_map(|row| row.fields.keys().cloned())
                        .collect();
                    for row in &mut rows {
                        for field in &all {
                            row.fields
                                .entry(field.clone())
                                .or_insert_with(|| Value::from(""));
                        }
                    }
                }
                (!rows.is_empty()).then_some((Write::UpdateMembers { edits: rows }, items))
            }
            Step::ChangeAddress { member, to } => self.ids(member).into_iter().next().map(|id| {
                let target_id = Some(id.clone());
                (
                    Write::ChangeAddress { id, address: to },
                    vec![Item {
                        target_id,
                        ..item("change_address", None, Some(member))
                    }],
                )
            }),
            Step::AddMemberships { pair, members } => {
                self.membership(pair, members, "add_memberships")
            }
            Step::RemoveMemberships { pair, members } => {
                self.membership(pair, members, "remove_memberships")
            }
            Step::JoinGroups { rows } => self.joins(rows)?,
            Step::LeaveGroups { rows, how } => self.leaves(rows, how)?,
            Step::BringBack { rows } => self.returns(rows)?,
            Step::OptOutOfAccount { members } => {
                let mut ids = Vec::new();
                let mut items = Vec::new();
                for person in members
                    .into_iter()
                    .filter(|person| !self.lost_people.contains(person))
                {
                    for id in self.ids(person) {
                        items.push(Item {
                            target_id: Some(id.clone()),
                            ..item("set_opt_out", None, Some(person))
                        });
                        ids.push(id);
                    }
                }
                (!ids.is_empty()).then_some((Write::OptOutOfAccount { members: ids }, items))
            }
            Step::CreateOptedOut { member } => {
                let detail = Some("opted_out".to_owned());
                let born = Item {
                    detail,
                    ..item("create_members", None, Some(member))
                };
                Some((
                    Write::CreateOptedOut {
                        address: self.address(member),
                    },
                    vec![born],
                ))
            }
            Step::OptOutOfGroups {
                member,
                contact,
                pairs,
            } => {
                let groups: Vec<String> = pairs
                    .iter()
                    .filter_map(|pair| self.group_id(*pair))
                    .collect();
                let ids = self.ids(member);
                if groups.is_empty() || self.lost_people.contains(&member) {
                    return Ok(None);
                }
                ids.get(contact).cloned().map(|id| {
                    let target_id = Some(id.clone());
                    (
                        Write::OptOutOfGroups { member: id, groups },
                        vec![Item {
                            joins: pairs,
                            target_id,
                            ..item("set_opt_out", None, Some(member))
                        }],
                    )
                })
            }
        })
    }

    /// Returns the address as the target spells it, for requests that go by address: an address in
    /// another spelling, such as one with an international domain, may be somebody new to the
    /// provider.
    pub(super) fn address_there(&self, person: PersonIx) -> Result<String, RunError> {
        let field = self
            .prepared
            .schema
            .by_canonical(ObjectKind::Member, "email")
            .map_or("email", |spec| spec.wire);
        let held = persons::current(&self.prepared.sides, &self.prepared.planned.people, person)?;
        match held.get(field).filter(|_| !self.moved.contains(&person)) {
            Some(spelling) => Ok(spelling.to_string().trim().to_owned()),
            None => Ok(self.address(person)),
        }
    }

    /// Returns the address of one of a person's contacts as the target spells it.
    fn address_of_contact(&self, person: PersonIx, id: &str) -> Result<String, RunError> {
        let field = self
            .prepared
            .schema
            .by_canonical(ObjectKind::Member, "email")
            .map_or("email", |spec| spec.wire);
        let held = self
            .prepared
            .sides
            .target_staging
            .get(id)
            .map_err(crate::run::staging_error)?
            .unwrap_or_default();
        match held.get(field).filter(|_| !self.moved.contains(&person)) {
            Some(spelling) => Ok(spelling.to_string().trim().to_owned()),
            None => Ok(self.address(person)),
        }
    }

    fn joins(
        &self,
        rows: Vec<(PersonIx, Vec<PairIx>)>,
    ) -> Result<Option<(Write, Vec<Item>)>, RunError> {
        let mut joins = Vec::new();
        let mut items = Vec::new();
        for (person, pairs) in rows
            .into_iter()
            .filter(|(person, _)| !self.lost_people.contains(person))
        {
            let may_join = |pair: &PairIx| {
                !self.lost_groups.contains(pair) && !self.already_there.contains(&(*pair, person))
            };
            let (pairs, groups) = self.with_ids(pairs.into_iter().filter(may_join));
            if groups.is_empty() {
                continue;
            }
            let id = self.ids(person).into_iter().next();
            let known = !self.prepared.planned.people.targets(person).is_empty();
            let fields = match id {
                Some(_) => Record::new(),
                None => {
                    self.prepared
                        .sides
                        .mapping
                        .member(&self.canonical(person)?)
                        .fields
                }
            };
            joins.push(MemberJoin {
                id: id.clone(),
                address: self.address_there(person)?,
                fields,
                groups,
            });
            let op = if known {
                "add_memberships"
            } else {
                "create_members"
            };
            items.push(Item {
                op,
                pair: None,
                joins: pairs,
                person: Some(person),
                target_id: id,
                detail: None,
            });
        }
        Ok((!joins.is_empty()).then_some((Write::JoinGroups { rows: joins }, items)))
    }

    fn leaves(
        &self,
        rows: Vec<Leave>,
        how: Leaving,
    ) -> Result<Option<(Write, Vec<Item>)>, RunError> {
        let mut leaves = Vec::new();
        let mut items = Vec::new();
        for Leave {
            member,
            contact,
            pairs,
        } in rows
            .into_iter()
            .filter(|row| !self.lost_people.contains(&row.member))
        {
            let id = self.ids(member).into_iter().nth(contact);
            // Of several contacts only those who are in the group leave it, and a refusal is
            // written to every one.
            let position = id
                .as_deref()
                .and_then(|id| self.prepared.planned.names.find(id));
            let position =
                position.and_then(|name| self.prepared.planned.people.target_position(name));
            let leaves_group = |pair: &PairIx| match how {
                Leaving::OptOut => true,
                Leaving::Remove | Leaving::Detach => {
                    let listing = self
                        .group_id(*pair)
                        .and_then(|group| self.prepared.sides.target.listing(&group).cloned());
                    let state = position
                        .zip(listing)
                        .and_then(|(at, listing)| listing.seen().state_of(at));
                    let left = id
                        .as_ref()
                        .is_some_and(|id| self.left_already.contains(&(*pair, id.clone())));
                    let others = id
                        .as_ref()
                        .is_some_and(|id| self.is_others(member, *pair, id));
                    !self.lost_groups.contains(pair)
                        && !left
                        && !others
                        && state == Some(MembershipState::Active)
                }
            };
            let (pairs, groups) = self.with_ids(pairs.into_iter().filter(leaves_group));
            if groups.is_empty() || (id.is_none() && how != Leaving::OptOut) {
                continue;
            }
            let (address, fields) = match &id {
                Some(id) => (self.address_of_contact(member, id)?, Record::new()),
                None => (
                    self.address_there(member)?,
                    self.prepared
                        .sides
                        .mapping
                        .member(&self.canonical(member)?)
                        .fields,
                ),
            };
            leaves.push(MemberLeave {
                id: id.clone(),
                address,
                fields,
                groups,
            });
            let op = if how == Leaving::OptOut {
                "set_opt_out"
            } else {
                "remove_memberships"
            };
            items.push(Item {
                op,
                pair: None,
                joins: pairs,
                person: Some(member),
                target_id: id,
                detail: None,
            });
        }
        Ok((!leaves.is_empty()).then_some((Write::LeaveGroups { rows: leaves, how }, items)))
    }

    /// Asks what is remembered for the proof that each of these may come back; without one nobody
    /// does (rule 1).
    fn returns(
        &self,
        rows: Vec<(PersonIx, PairIx)>,
    ) -> Result<Option<(Write, Vec<Item>)>, RunError> {
        let own = self.runner.store().own_removals(&self.job.target_account)?;
        let mut returns = Vec::new();
        let mut items = Vec::new();
        for (person, pair) in rows
            .into_iter()
            .filter(|(person, _)| !self.lost_people.contains(person))
        {
            let Some(group) = self.group_id(pair) else {
                continue;
            };
            for id in self.ids(person) {
                let Some(removal) = own.get(&group, &id) else {
                    continue;
                };
                returns.push(MemberReturn::of(removal.clone()));
                items.push(Item {
                    op: "add_memberships",
                    pair: Some(pair),
                    joins: Vec::new(),
                    person: Some(person),
                    target_id: Some(id),
                    detail: None,
                });
            }
        }
        Ok((!returns.is_empty()).then_some((Write::BringBack { rows: returns }, items)))
    }

    /// Tells whether a membership of one of several contacts of a person is somebody else's, so
    /// that a removal leaves it alone: this job did not bring it. A removal that stands in for a
    /// refusal takes every contact.
    fn is_others(&self, person: PersonIx, pair: PairIx, id: &str) -> bool {
        let Prepared {
            planned,
            base,
            capabilities,
            ..
        } = &self.prepared;
        let Some(group) = self.group_id(pair) else {
            return false;
        };
        if planned.people.targets(person).len() < 2
            || (!capabilities.group_opt_out && self.refuses(person, pair))
        {
            return false;
        }
        let known = planned
            .names
            .find(id)
            .and_then(|name| base.membership(&group, name));
        !known.is_some_and(|known| known.brought)
    }

    /// Tells whether a person refuses a group, at the source or as it is remembered.
    fn refuses(&self, person: PersonIx, pair: PairIx) -> bool {
        let Prepared { planned, sides, .. } = &self.prepared;
        let row = planned.people.get(person);
        let listing = planned
            .plan
            .pair(pair)
            .source
            .as_deref()
            .and_then(|source| sides.source.listing(source));
        let listed = listing.is_some_and(|listing| {
            planned
                .people
                .sources(person)
                .iter()
                .any(|at| listing.seen().state_of(*at) == Some(MembershipState::OptedOut))
        });
        listed
            || row.source_status == MemberStatus::OptedOut
            || self
                .prepared
                .with_inputs(|inputs| refused_before(inputs, person, planned.plan.pair(pair)))
    }

    /// Pairs groups with the ids that are known by now; those that could not be created fall away.
    fn with_ids(&self, pairs: impl Iterator<Item = PairIx>) -> (Vec<PairIx>, Vec<String>) {
        pairs
            .filter_map(|pair| Some((pair, self.group_id(pair)?)))
            .unzip()
    }

    pub(super) fn membership(
        &self,
        pair: PairIx,
        members: Vec<PersonIx>,
        op: &'static str,
    ) -> Option<(Write, Vec<Item>)> {
        let group = self.group_id(pair)?;
        if self.lost_groups.contains(&pair) {
            return None;
        }
        let listing = self.prepared.sides.target.listing(&group);
        let mut ids = Vec::new();
        let mut items = Vec::new();
        let there = |person: &PersonIx| {
            op == "add_memberships" && self.already_there.contains(&(pair, *person))
        };
        for person in members
            .into_iter()
            .filter(|person| !self.lost_people.contains(person) && !there(person))
        {
            for id in self.ids(person) {
                // Of several contacts only those who are in the group leave it.
                let position = self
                    .prepared
                    .planned
                    .names
                    .find(&id)
                    .and_then(|name| self.prepared.planned.people.target_position(name));
                let in_group = position.and_then(|at| listing?.seen().state_of(at));
                let left = || self.left_already.contains(&(pair, id.clone()));
                if op == "remove_memberships"
                    && (in_group != Some(MembershipState::Active)
                        || left()
                        || self.is_others(person, pair, &id))
                {
                    continue;
                }
                items.push(Item {
                    op,
                    pair: Some(pair),
                    joins: Vec::new(),
                    person: Some(person),
                    target_id: Some(id.clone()),
                    detail: None,
                });
                ids.push(id);
            }
        }
        if ids.is_empty() {
            return None;
        }
        let write = match op {
            "add_memberships" => Write::AddMemberships {
                group,
                members: ids,
            },
            _ => Write::RemoveMemberships {
                group,
                members: ids,
            },
        };
        Some((write, items))
    }

    pub(super) fn key(&self, item: &Item) -> String {
        let group = item.pair.map(|pair| {
            self.group_id(pair)
                .unwrap_or_else(|| self.prepared.planned.plan.pair(pair).name.clone())
        });
        let member = item
            .person
            .map(|person| self.person_key(person))
            .unwrap_or_default();
        item_key(item.op, group.as_deref().unwrap_or(""), &member)
    }

    pub(super) fn journal_item(&self, write: &Write, position: usize, item: &Item) -> JournalItem {
        let planned = &self.prepared.planned;
        let joined: Vec<String> = item
            .joins
            .iter()
            .filter_map(|pair| self.group_id(*pair))
            .collect();
        let group = match item.op {
            "create_group" => Some(self.namesakes(item))
                .filter(|ids| !ids.is_empty())
                .map(|ids| ids.join(",")),
            _ => item
                .pair
                .and_then(|pair| self.group_id(pair))
                .or_else(|| (!joined.is_empty()).then(|| joined.join(","))),
        };
        JournalItem {
            key: self.key(item),
            group,
            group_source: item
                .pair
                .and_then(|pair| planned.plan.pair(pair).source.clone()),
            member: item.person.map(|person| self.address(person)),
            member_source: item.person.and_then(|person| {
                let at = *planned.people.sources(person).first()?;
                Some(
                    planned
                        .text(self.prepared.sides.source.members[at as usize].id)
                        .to_owned(),
                )
            }),
            member_id: item.target_id.clone(),
            detail: item.detail.clone(),
            fields: Self::fields_of(write, position).unwrap_or_default(),
            absent_from: self.absent_from(item),
        }
    }

    /// Returns the values that an item of a write stores; nothing of people who exist and keep
    /// theirs.
    fn fields_of(write: &Write, position: usize) -> Option<Record> {
        let fields = match write {
            Write::CreateGroup { fields, .. } => fields,
            Write::EditGroups { edits } => &edits.get(position)?.fields,
            Write::CreateMembers { rows, .. } => &rows.get(position)?.fields,
            Write::UpdateMembers { edits } => &edits.get(position)?.fields,
            Write::JoinGroups { rows } => &rows.get(position)?.fields,
            Write::LeaveGroups { rows, .. } => &rows.get(position)?.fields,
            _ => return None,
        };
        Some(fields.clone())
    }

    /// Returns the groups of an addition that were listed in this run without the person.
    fn absent_from(&self, item: &Item) -> Option<String> {
        if !matches!(item.op, "add_memberships" | "create_members") {
            return None;
        }
        let groups: Vec<String> = item
            .pair
            .iter()
            .chain(&item.joins)
            .filter(|pair| self.was_absent(item, **pair))
            .filter_map(|pair| self.group_id(*pair))
            .collect();
        (!groups.is_empty()).then(|| groups.join(","))
    }

    /// Tells whether a group was listed to its end in this run before anything was sent, and did
    /// not have the person; one that this run created had nobody.
    pub(in crate::run) fn was_absent(&self, item: &Item, pair: PairIx) -> bool {
        let (Some(person), Some(group)) = (item.person, self.group_id(pair)) else {
            return false;
        };
        if self.group_ids.contains_key(&pair) {
            return true;
        }
        if self.already_there.contains(&(pair, person)) {
            return false;
        }
        let sides = &self.prepared.sides;
        let fresh = sides.target_listed_at.contains_key(&group);
        let people = &self.prepared.planned.people;
        let listed = |listing: &crate::model::Listing| {
            people.targets(person).iter().any(|at| {
                let id = self
                    .prepared
                    .planned
                    .text(sides.target.members[*at as usize].id);
                item.target_id.as_deref().is_none_or(|only| only == id)
                    && listing.state_of(*at).is_some()
            })
        };
        let listing = sides
            .target
            .listing(&group)
            .and_then(|listing| listing.complete());
        fresh && listing.is_some_and(|listing| !listed(listing))
    }

    /// Returns the groups that have the name of a group before it is created: whatever becomes of
    /// the request, none of them is it.
    fn namesakes(&self, item: &Item) -> Vec<&str> {
        let Some(name) = item.detail.as_deref().map(fold_group_name) else {
            return Vec::new();
        };
        let field = self
            .prepared
            .schema
            .by_canonical(ObjectKind::Group, "name")
            .map_or("name", |spec| spec.wire);
        let has_name = |row: &&GroupRow| {
            row.wire
                .get(field)
                .is_some_and(|held| fold_group_name(&held.to_string()) == name)
        };
        self.prepared
            .sides
            .target_rows
            .values()
            .filter(has_name)
            .map(|row| row.id.as_str())
            .collect()
    }
}
