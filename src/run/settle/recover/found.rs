//! What a later run found done, for the record of the run that had sent it.

use compact_str::CompactString;

use super::groups_of;
use crate::model::Value;
use crate::plan::base::{GroupLink, Origin};
use crate::state::{
    Change, FOUND, FieldChange, FieldChanges, JournalItem, JournalOutcome, RunItem, UnsettledEntry,
};

/// Returns the lines of an item that was found done. Only what `changes` take for this job's own doing
/// is told, with what the journal kept of the values that it changed.
pub(super) fn lines(
    entry: &UnsettledEntry,
    item: &JournalItem,
    outcome: &JournalOutcome,
    changes: &[Change],
    links: &[GroupLink],
) -> Vec<RunItem> {
    let id = match outcome {
        JournalOutcome::Confirmed { id } => id.as_ref(),
        _ => None,
    };
    let is_done = matches!(outcome, JournalOutcome::Confirmed { .. });
    let contact = id.or(item.member_id.as_ref());
    let line = |op: &str, group: Option<&str>| RunItem {
        op: op.to_owned(),
        group: group.map(|id| {
            let link = links.iter().find(|link| link.target == id);
            link.map_or_else(|| id.to_owned(), |link| link.name.clone())
        }),
        group_id: group.map(str::to_owned),
        member: item.member.clone(),
        member_id: contact.cloned().filter(|_| item.member.is_some()),
        outcome: FOUND.to_owned(),
        ..RunItem::default()
    };
    let changed = |line: RunItem| RunItem {
        fields: changes_of(item),
        ..line
    };
    let op = item.key.split(' ').next().unwrap_or_default();
    match entry.operation.as_str() {
        "create_members" | "add_memberships" => {
            let is_creation = |change: &Change| matches!(change, Change::LinkMember { origin, .. } if *origin == Origin::Created);
            let created = changes.iter().any(is_creation);
            let new = created.then(|| line("create_members", None));
            let joined = changes.iter().filter_map(|change| match change {
                Change::Membership {
                    group,
                    brought: true,
                    ..
                }
                | Change::MembershipPutBack { group, .. } => {
                    Some(line("add_memberships", Some(group)))
                }
                _ => None,
            });
            new.into_iter().chain(joined).collect()
        }
        "set_opt_out" if is_done && groups_of(item).next().is_none() => {
            vec![line("set_opt_out", None)]
        }
        operation @ ("remove_memberships" | "set_opt_out") => changes
            .iter()
            .filter_map(|change| match change {
                Change::MembershipGone { group, .. } => Some(line(operation, Some(group))),
                _ => None,
            })
            .collect(),
        // The profile of somebody just created belongs to the creation.
        "update_members" | "change_address" if is_done && item.detail.is_none() => {
            vec![changed(line(op, None))]
        }
        "edit_groups" if !changes.is_empty() => {
            vec![changed(line(op, item.group.as_deref()))]
        }
        "delete_group" if is_done => vec![line(op, item.group.as_deref())],
        _ => Vec::new(),
    }
}

/// Returns the fields that an item changed: what they held was taken down before it was sent.
fn changes_of(item: &JournalItem) -> FieldChanges {
    let held = |value: &&Value| !value.is_empty();
    let change = |(field, before): (&CompactString, &Option<Value>)| {
        let change = FieldChange {
            before: before.as_ref().filter(held).cloned(),
            is_before_known: before.is_some(),
            after: item.fields.get(field).filter(held).cloned(),
        };
        (field.clone(), change)
    };
    let sent = item.before.iter();
    let sent = sent.filter(|(field, _)| item.fields.contains_key(*field));
    sent.map(change).collect()
}

/// Returns the line of a group that was found created.
pub(super) fn created_group(id: &str, name: &str) -> RunItem {
    RunItem {
        op: "create_group".to_owned(),
        group: Some(name.to_owned()),
        group_id: Some(id.to_owned()),
        outcome: FOUND.to_owned(),
        ..RunItem::default()
    }
}
