//! What became of groups that an interrupted run created or edited.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{Evidence, found, not_done};
use crate::config::settled::JobConfig;
use crate::model::{GroupRow, GroupStatus, ObjectKind, Record, Schema, Snapshot, Value};
use crate::plan::base::{Base, FieldBase, FieldBases, GroupLink, Origin};
use crate::plan::fold_group_name;
use crate::run::error::RunError;
use crate::run::settle::bases::stands;
use crate::run::settle::group::linked;
use crate::state::{Change, JournalItem, JournalOutcome, Settling, Store};

/// What is known of the groups of a target before its members are read.
#[derive(Clone, Copy)]
pub(in crate::run) struct KnownGroups<'a> {
    pub(in crate::run) base: &'a Base,
    pub(in crate::run) schema: &'static Schema,
    pub(in crate::run) rows: &'a [GroupRow],
}

/// Links groups that an interrupted run created: found by their name, where they can't be anybody
/// else's.
///
/// A group that had the name before, that is linked or that another job has linked is none of them.
/// Of several that are left none is taken; the planner then asks a person. Returns whether
/// something was linked. `desired` gives what a source group, by its id, asks of its partner, and
/// `protected` whether it shows the flag.
pub(in crate::run) fn adopt_created_groups(
    store: &Store,
    job: &JobConfig,
    known: KnownGroups<'_>,
    desired: impl Fn(&str) -> Record,
    protected: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Result<bool, RunError> {
    let KnownGroups { base, schema, rows } = known;
    let name_field = schema.group_name_field();
    let mut taken: HashSet<&str> = base
        .groups
        .iter()
        .map(|link| link.target.as_str())
        .collect();
    taken.extend(
        base.groups_of_others
            .iter()
            .chain(job.groups.pin.values())
            .map(String::as_str),
    );
    let mut linked_sources: HashSet<String> =
        base.groups.iter().map(|link| link.source.clone()).collect();
    let mut changed = false;
    for entry in store
        .unsettled(&job.name)?
        .into_iter()
        .filter(|entry| entry.operation == "create_group")
    {
        let mut outcomes = Vec::new();
        let (mut changes, mut lines) = (Vec::new(), Vec::new());
        for unsettled in &entry.items {
            let (Some(source), Some(name)) = (&unsettled.item.group_source, &unsettled.item.detail)
            else {
                outcomes.push(not_done());
                continue;
            };
            let before: Vec<&str> = unsettled
                .item
                .group
                .iter()
                .flat_map(|ids| ids.split(','))
                .collect();
            let candidates: Vec<&GroupRow> = rows
                .iter()
                .filter(|row| {
                    !taken.contains(row.id.as_str()) && !before.contains(&row.id.as_str())
                })
                .filter(|row| {
                    row.wire.get(name_field).is_some_and(|held| {
                        fold_group_name(&held.to_string()) == fold_group_name(name)
                    })
                })
                .collect();
            let row = match candidates.as_slice() {
                [] => {
                    outcomes.push(not_done());
                    continue;
                }
                [only] => *only,
                several => {
                    let ids: Vec<&str> = several.iter().map(|row| row.id.as_str()).collect();
                    let message = format!(
                        "the groups {} have the name since, and which one was created can't be told",
                        ids.join(" and ")
                    );
                    outcomes.push(JournalOutcome::Failed {
                        code: None,
                        message,
                    });
                    continue;
                }
            };
            outcomes.push(JournalOutcome::Confirmed {
                id: Some(row.id.clone()),
            });
            if !linked_sources.insert(source.clone()) {
                continue;
            }
            taken.insert(&row.id);
            lines.push(found::created_group(&row.id, name));
            // What is asked for was written; what came from defaults is not the source's to change.
            let asked = desired(source);
            let sent = &unsettled.item.fields;
            let fields: FieldBases = row
                .wire
                .iter()
                .filter(|(field, _)| {
                    asked.contains_key(*field) && (sent.is_empty() || sent.contains_key(*field))
                })
                .map(|(field, value)| {
                    (
                        field.clone(),
                        FieldBase {
                            desired: Some(sent.get(field).unwrap_or(value).clone()),
                            target: Some(value.clone()),
                            written: false,
                        },
                    )
                })
                .collect();
            let link = GroupLink {
                source: source.clone(),
                target: row.id.clone(),
                origin: Origin::Created,
                protect_set: false,
                name: name.clone(),
                fields,
            };
            changes.extend(linked(job, schema, link, protected(source)));
        }
        changed |= !changes.is_empty();
        let known = Settling {
            outcomes: &outcomes,
            changes: &changes,
            lines: &lines,
            ..Settling::default()
        };
        store.settle(entry.id, &known, now)?;
    }
    Ok(changed)
}

/// Remembers the values that an interrupted run wrote to a linked group, a name perhaps on the way
/// to another one: they are nobody else's doing.
pub(super) fn edited(
    links: &[GroupLink],
    job: &JobConfig,
    schema: &Schema,
    target: &Snapshot,
    item: &JournalItem,
) -> Option<Change> {
    let link = links
        .iter()
        .find(|link| Some(&link.target) == item.group.as_ref())?;
    let held = &target.group(&link.target)?.wire;
    let canonical = |name| schema.by_canonical(ObjectKind::Group, name);
    let name_field = schema.group_name_field();
    let of_rosterd = ["status", "protected"].map(|name| canonical(name).map(|spec| spec.wire));
    let mut sent = item.fields.clone();
    if let Some(name) = &item.detail {
        sent.entry(name_field.into())
            .or_insert_with(|| Value::from(name.as_str()));
    }
    let mut fields = link.fields.clone();
    for (field, sent) in &sent {
        // Whether the source asked for these or rosterd did, the request does not say.
        let asked = fields.get(field).and_then(|then| then.desired.clone());
        if stands(&mut fields, field, sent, held.get(field))
            && of_rosterd.contains(&Some(field.as_str()))
            && let Some(now) = fields.get_mut(field)
        {
            now.desired = asked;
        }
    }
    (fields != link.fields).then(|| Change::GroupFields {
        job: job.name.clone(),
        source: link.source.clone(),
        fields,
        name: link.name.clone(),
    })
}

/// Ends the link of a group that was archived by a run which takes another one back, as the run itself
/// would have done: what the source asks for is made anew.
pub(super) fn archived(
    links: &[GroupLink],
    job: &JobConfig,
    target: &Snapshot,
    item: &JournalItem,
) -> Vec<Change> {
    let group = item.group.as_deref().and_then(|id| target.group(id));
    let is_archived = group.is_some_and(|group| group.status == GroupStatus::Archived);
    if !is_archived || !item.key.starts_with("archive_group ") {
        return Vec::new();
    }
    let put_away = item.group.clone().map(|group| Change::GroupPutAway {
        account: job.target_account.clone(),
        group,
    });
    unlinked(links, job, item)
        .into_iter()
        .chain(put_away)
        .collect()
}

/// How long a provider may go on with the deletion of a group.
const UNDER_WAY: SignedDuration = SignedDuration::from_mins(10);

/// Concludes what became of the deletion of a group, whose link ends with it. That it is not shown
/// says so only where the login sees everything and the list is whole; that it is shown may be for
/// the moment.
pub(super) fn deleted(
    links: &[GroupLink],
    job: &JobConfig,
    evidence: Evidence<'_>,
    item: &JournalItem,
    age: SignedDuration,
    changes: &mut Vec<Change>,
) -> JournalOutcome {
    let Some(id) = item.group.as_deref() else {
        return not_done();
    };
    let groups = &evidence.target.groups;
    match evidence.target.group(id) {
        // What was sent in the future was sent before the clock was set back.
        Some(_) if age.abs() < UNDER_WAY => JournalOutcome::Unknown,
        Some(_) => not_done(),
        None if evidence.is_shared || groups.complete().is_none() => JournalOutcome::Unknown,
        None => match unlinked(links, job, item) {
            Some(change) => {
                changes.push(change);
                JournalOutcome::Confirmed { id: None }
            }
            // A later request was confirmed, and ended the link.
            None => not_done(),
        },
    }
}

fn unlinked(links: &[GroupLink], job: &JobConfig, item: &JournalItem) -> Option<Change> {
    let link = links
        .iter()
        .find(|link| Some(&link.target) == item.group.as_ref())?;
    Some(Change::UnlinkGroup {
        job: job.name.clone(),
        source: link.source.clone(),
    })
}
