//! Finds out what became of writes whose outcome nobody knows: by reading, before anything is planned (rule 5).

use std::collections::HashSet;

use jiff::Timestamp;

use super::RunError;
use crate::config::settled::JobConfig;
use crate::model::{Capabilities, GroupRow, MembershipState, Names, Record, Snapshot};
use crate::plan::base::{FieldBase, FieldBases, GroupLink, Origin};
use crate::state::{Change, JournalItem, JournalOutcome, Store};

/// Links groups that an interrupted run created: found by their name, for which the account had no group before.
///
/// Returns whether something was linked.
/// `desired` gives what a source group, by its id, asks of its partner.
pub(super) fn adopt_created_groups(
    store: &Store,
    job: &JobConfig,
    rows: &[GroupRow],
    desired: impl Fn(&str) -> Record,
    now: Timestamp,
) -> Result<bool, RunError> {
    let links = store.links(&job.name)?;
    let mut linked_targets: HashSet<String> = links.iter().map(|link| link.target.clone()).collect();
    let mut changed = false;
    for entry in store.unsettled(&job.name)?.into_iter().filter(|entry| entry.operation == "create_group") {
        let mut outcomes = Vec::new();
        let mut changes = Vec::new();
        for unsettled in &entry.items {
            let (Some(source), Some(name)) = (&unsettled.item.group_source, &unsettled.item.detail) else {
                outcomes.push(not_done());
                continue;
            };
            let found = rows.iter().find(|row| {
                !linked_targets.contains(&row.id)
                    && row.wire.values().any(|value| value.as_text() == Some(name))
                    && row.wire.iter().any(|(field, value)| is_name(field) && value.to_string() == *name)
            });
            match found {
                Some(row) if !links.iter().any(|link| link.source == *source) => {
                    linked_targets.insert(row.id.clone());
                    // What is asked for was written; what came from defaults is not the source's to change.
                    let asked = desired(source);
                    let fields: FieldBases = row
                        .wire
                        .iter()
                        .filter(|(field, _)| asked.contains_key(*field))
                        .map(|(field, value)| (field.clone(), FieldBase { desired: Some(value.clone()), target: Some(value.clone()) }))
                        .collect();
                    let link = GroupLink {
                        source: source.clone(),
                        target: row.id.clone(),
                        origin: Origin::Created,
                        protect_set: job.groups.protect,
                        name: name.clone(),
                        fields,
                    };
                    changes.push(Change::LinkGroup { job: job.name.clone(), link });
                    outcomes.push(JournalOutcome::Confirmed { id: Some(row.id.clone()) });
                }
                Some(row) => outcomes.push(JournalOutcome::Confirmed { id: Some(row.id.clone()) }),
                None => outcomes.push(not_done()),
            }
        }
        changed |= !changes.is_empty();
        store.settle_write(entry.id, &outcomes, &changes, now)?;
    }
    Ok(changed)
}

fn is_name(field: &str) -> bool {
    field.eq_ignore_ascii_case("groupName") || field.eq_ignore_ascii_case("name")
}

/// Settles every other write of an interrupted run by what the target holds now.
///
/// What was done is remembered as this job's own; what was not is simply planned again. Returns whether the base changed.
pub(super) fn settle_members(
    store: &Store,
    job: &JobConfig,
    capabilities: &Capabilities,
    target: &Snapshot,
    names: &Names,
    now: Timestamp,
) -> Result<bool, RunError> {
    let mut changed = false;
    for entry in store.unsettled(&job.name)? {
        let mut outcomes = Vec::new();
        let mut changes = Vec::new();
        for unsettled in &entry.items {
            if let Some(outcome) = unsettled.outcome.as_ref().filter(|outcome| outcome.is_final()) {
                outcomes.push(outcome.clone());
                continue;
            }
            let item = &unsettled.item;
            let address = item.member.as_deref().and_then(|address| names.find(address));
            let known_id = item.member_id.as_deref().and_then(|id| names.find(id));
            let found: Vec<u32> = target
                .members
                .iter()
                .enumerate()
                .filter(|(_, member)| match known_id {
                    Some(id) => member.id == id,
                    None => address.is_some() && member.address == address,
                })
                .map(|(at, _)| at as u32)
                .collect();
            let [at] = found.as_slice() else {
                outcomes.push(not_done());
                continue;
            };
            let id = names.text(target.members[*at as usize].id).to_owned();
            match entry.operation.as_str() {
                "add_memberships" | "create_members" => {
                    if entry.operation == "create_members"
                        && let Some(source) = &item.member_source
                    {
                        changes.push(Change::LinkMember {
                            job: job.name.clone(),
                            source: source.clone(),
                            target: id.clone(),
                            address: item.member.clone().unwrap_or_default(),
                            // Whether it was there before nobody can tell, and adopting overwrites nothing.
                            origin: Origin::Adopted,
                        });
                    }
                    for group in groups_of(item) {
                        let state = target.listing(group).and_then(|listing| listing.seen().state_of(*at));
                        if state == Some(MembershipState::Active) {
                            changes.push(Change::Membership {
                                job: job.name.clone(),
                                group: group.to_owned(),
                                member: id.clone(),
                                brought: true,
                            });
                        }
                    }
                    outcomes.push(JournalOutcome::Confirmed { id: Some(id) });
                }
                "remove_memberships" => {
                    for group in groups_of(item) {
                        let Some(listing) = target.listing(group).and_then(|listing| listing.complete()) else { continue };
                        let state = listing.state_of(*at);
                        if state == Some(MembershipState::Active) {
                            continue;
                        }
                        changes.push(Change::MembershipGone { job: job.name.clone(), group: group.to_owned(), member: id.clone() });
                        if !capabilities.removal_shows_opt_out {
                            changes.push(Change::MemberRemovedByUs { job: job.name.clone(), target: id.clone(), removed: true });
                        } else if state == Some(MembershipState::OptedOut) {
                            changes.push(Change::OwnRemoval {
                                provider: job.target.clone(),
                                group: group.to_owned(),
                                member: id.clone(),
                                address: item.member.clone().unwrap_or_default(),
                                shown: listing.refused_at(*at),
                                since: now,
                            });
                        }
                    }
                    outcomes.push(JournalOutcome::Confirmed { id: Some(id) });
                }
                // Everything else shows in what was read and is planned again where it is missing.
                _ => outcomes.push(JournalOutcome::Confirmed { id: Some(id) }),
            }
        }
        changed |= !changes.is_empty();
        store.settle_write(entry.id, &outcomes, &changes, now)?;
    }
    Ok(changed)
}

/// Returns the groups that an item of a request concerns; by row there are several.
fn groups_of(item: &JournalItem) -> impl Iterator<Item = &str> {
    item.group.iter().flat_map(|groups| groups.split(',')).filter(|group| !group.is_empty())
}

fn not_done() -> JournalOutcome {
    JournalOutcome::Failed { code: None, message: "not found after an interruption; planned again where it is still wanted".to_owned() }
}
