//! From a step of the packed plan to a write with the ids that are known by now.

use std::collections::BTreeSet;

use compact_str::CompactString;

use super::Applying;
use crate::model::{
    FieldType, GroupEdit, MemberEdit, MemberValues, MembershipState, Record, Value, Write,
};
use crate::plan::pack::Step;
use crate::plan::{PairIx, PersonIx};
use crate::run::error::RunError;
use crate::run::settle::Item;

impl Applying<'_> {
    /// Gives values of custom fields that this run created the names that the fields have by now, and
    /// drops those of fields that could not be created.
    pub(super) fn as_named_now(&self, planned: Record) -> Record {
        if self.new_fields.is_empty() {
            return planned;
        }
        let named = planned.into_iter().filter_map(|(name, value)| {
            let name = match self.new_fields.get(name.as_str()) {
                Some(now) => now.clone()?.into(),
                None => name,
            };
            Some((name, value))
        });
        named.collect()
    }

    /// Turns a step into a write with the ids that are known by now; nothing when all it was for
    /// has failed before.
    pub(super) fn resolve(&mut self, step: Step) -> Result<Option<(Write, Vec<Item>)>, RunError> {
        if self.goners.keep_from(&step) {
            return Ok(None);
        }
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
                    let name_field = self.prepared.schema.group_name_field();
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
                        .any(|pair| self.so_far.already_there.contains(&(*pair, *person)))
                };
                for person in members
                    .into_iter()
                    .filter(|person| !self.lost_people.contains(person) && !there(person))
                {
                    let fields = self.confirming().fields_of(person)?;
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
                        Some(fields) => self.as_named_now(fields),
                        None => self.confirming().fields_of(person)?,
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
                    let all: BTreeSet<CompactString> = rows
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
                let (pairs, groups): (Vec<PairIx>, Vec<String>) = pairs
                    .into_iter()
                    .filter_map(|pair| Some((pair, self.group_id(pair)?)))
                    .unzip();
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

    fn membership(
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
            op == "add_memberships" && self.so_far.already_there.contains(&(pair, *person))
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
                if self.is_untold(op, pair, person, &id) {
                    continue;
                }
                let left = || self.stays.contains(&(pair, id.clone()));
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
}
