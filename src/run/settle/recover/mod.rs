//! Finds out what became of writes whose outcome nobody knows: by reading, before anything is
//! planned (rule 5).

mod found;
mod groups;
mod members;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};

pub(in crate::run) use self::groups::{KnownGroups, adopt_created_groups};
use self::groups::{archived, deleted, edited};
use self::members::{Directory, Doubtful};
use crate::config::settled::JobConfig;
use crate::model::{Capabilities, GroupKind, Names, Schema, Snapshot};
use crate::plan::base::Base;
use crate::run::error::RunError;
use crate::run::read::GroupNow;
use crate::run::undo::TRIGGER;
use crate::state::{Change, JournalItem, JournalOutcome, Settling, Staging, Store, UnsettledItem};

/// How long a write of a group that this job no longer lists is asked about.
const PATIENCE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Returns the addresses of people whose writes are not settled, so that the target is asked about
/// them.
pub(in crate::run) fn doubtful_addresses(
    store: &Store,
    job: &str,
) -> Result<Vec<String>, RunError> {
    let items = store
        .unsettled(job)?
        .into_iter()
        .flat_map(|entry| entry.items);
    Ok(items
        .filter(is_open)
        .filter_map(|unsettled| unsettled.item.member)
        .collect())
}

/// Returns the groups of unsettled writes that exist and that nobody listed, because they left the
/// scope or are linked no more.
pub(in crate::run) fn unlisted_groups(
    store: &Store,
    job: &str,
    target: &Snapshot,
) -> Result<BTreeSet<String>, RunError> {
    let entries = store
        .unsettled(job)?
        .into_iter()
        // Who is in a group that was to go does not say whether it went.
        .filter(|entry| !["create_group", "delete_group"].contains(&entry.operation.as_str()));
    let items: Vec<UnsettledItem> = entries
        .flat_map(|entry| entry.items)
        .filter(is_open)
        .collect();
    let groups = items
        .iter()
        .flat_map(|unsettled| groups_of(&unsettled.item));
    Ok(groups
        .filter(|id| target.group(id).is_some() && target.listing(id).is_none())
        .map(str::to_owned)
        .collect())
}

fn is_open(unsettled: &UnsettledItem) -> bool {
    !unsettled
        .outcome
        .as_ref()
        .is_some_and(JournalOutcome::is_final)
}

fn groups_of(item: &JournalItem) -> impl Iterator<Item = &str> {
    item.group
        .iter()
        .flat_map(|groups| groups.split(','))
        .filter(|group| !group.is_empty())
}

/// What the target holds, as far as it is known.
#[derive(Clone, Copy)]
pub(in crate::run) struct Evidence<'a> {
    pub(in crate::run) target: &'a Snapshot,
    pub(in crate::run) names: &'a Names,
    /// Groups that were listed only because of a doubt.
    pub(in crate::run) looked_up: &'a BTreeMap<String, GroupNow>,
    /// What was known before.
    pub(in crate::run) base: &'a Base,
    /// The profiles that were read.
    pub(in crate::run) profiles: &'a Staging,
    /// Whether the login may see only a part of the target, so that nothing is gone for not being seen.
    pub(in crate::run) is_shared: bool,
}

/// What settling led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::run) struct Settled {
    /// Whether the base changed.
    pub(in crate::run) changed: bool,
    /// What could not be found out for good.
    pub(in crate::run) warnings: Vec<String>,
}

/// Settles every other write of an interrupted run by what the target holds now.
///
/// What was done is remembered as this job's own; what was not is simply planned again; what could
/// not be read to its end stays open until it can. A write of a group that is not the job's any
/// more, or of a person of whom nobody can tell how they stand, is not asked about for ever: in the
/// end it counts as not done, of which a warning tells.
pub(in crate::run) fn settle_members(
    store: &Store,
    job: &JobConfig,
    schema: &Schema,
    capabilities: &Capabilities,
    evidence: Evidence<'_>,
    now: Timestamp,
) -> Result<Settled, RunError> {
    let links = store.links(&job.name)?;
    let mut settled = Settled::default();
    let unsettled = store.unsettled(&job.name)?;
    if unsettled.is_empty() {
        return Ok(settled);
    }
    let directory = Directory::of(evidence.target, evidence.base);
    for entry in unsettled {
        let (mut changes, mut rest, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        let mut given_up = BTreeSet::new();
        let age = now.duration_since(entry.intended);
        let old = age > PATIENCE;
        let run = store.run(&entry.run)?;
        let undoes = run.is_some_and(|run| run.trigger == TRIGGER);
        let outcomes: Vec<JournalOutcome> = entry
            .items
            .iter()
            .map(|unsettled| match &unsettled.outcome {
                Some(outcome) if outcome.is_final() => Ok(outcome.clone()),
                _ => {
                    let known = changes.len();
                    if entry.operation == "edit_groups" {
                        changes.extend(edited(
                            &links,
                            job,
                            schema,
                            evidence.target,
                            &unsettled.item,
                        ));
                        if undoes {
                            let item = &unsettled.item;
                            changes.extend(archived(&links, job, evidence.target, item));
                        }
                    }
                    let item = &unsettled.item;
                    let doubtful = Doubtful::new(job, evidence, &directory, item, undoes);
                    let outcome = if entry.operation == "delete_group" {
                        deleted(&links, job, evidence, item, age, &mut changes)
                    } else {
                        doubtful.settle(store, &entry, capabilities, &mut changes, &mut rest)?
                    };
                    lines.extend(found::lines(
                        &entry,
                        item,
                        &outcome,
                        &changes[known..],
                        &links,
                    ));
                    let groups: Vec<&str> = groups_of(&unsettled.item).collect();
                    let ours = groups
                        .iter()
                        .any(|group| links.iter().any(|link| link.target == *group));
                    let is_vain = !ours || doubtful.is_uncertain();
                    if old && is_vain && !groups.is_empty() && !outcome.is_final() {
                        given_up.extend(groups);
                        let message =
                            "what became of it could not be found out; nothing is taken for done"
                                .to_owned();
                        return Ok(JournalOutcome::Failed {
                            code: None,
                            message,
                        });
                    }
                    Ok(outcome)
                }
            })
            .collect::<Result<_, RunError>>()?;
        if !given_up.is_empty() {
            let groups: Vec<&str> = given_up.into_iter().collect();
            settled.warnings.push(format!(
                "What became of a write of {} ({} of group {}) could not be found out: the group is not this job's any more, or nobody can tell how a person stands there. It counts as not done.",
                entry.intended.strftime("%Y-%m-%d %H:%M:%SZ"),
                entry.operation,
                groups.join(" and ")
            ));
        }
        settled.changed |= !changes.is_empty();
        let known = Settling {
            outcomes: &outcomes,
            rest: &rest,
            changes: &changes,
            lines: &lines,
        };
        store.settle(entry.id, &known, now)?;
    }
    Ok(settled)
}

/// Forgets those in groups that came with the account who are not in them any more: whoever comes
/// back there was put there by somebody else, and stays.
pub(in crate::run) fn forget_strays(
    store: &Store,
    job: &JobConfig,
    base: &Base,
    evidence: Evidence<'_>,
) -> Result<bool, RunError> {
    let Evidence { target, names, .. } = evidence;
    let mut changes = Vec::new();
    for group in target
        .groups
        .seen()
        .iter()
        .filter(|group| group.kind == GroupKind::BuiltIn)
    {
        let Some(listing) = target
            .listing(&group.id)
            .and_then(|listing| listing.complete())
        else {
            continue;
        };
        let here: HashSet<_> = listing
            .rows
            .iter()
            .map(|row| target.members[row.member as usize].id)
            .collect();
        let known = base.memberships.get(&group.id).into_iter().flatten();
        changes.extend(
            known
                .filter(|known| !here.contains(&{ known.member }))
                .map(|known| Change::MembershipGone {
                    job: job.name.clone(),
                    group: group.id.clone(),
                    member: names.text(known.member).to_owned(),
                }),
        );
    }
    store.record(&changes)?;
    Ok(!changes.is_empty())
}

fn not_done() -> JournalOutcome {
    JournalOutcome::Failed {
        code: None,
        message: "not found after an interruption; planned again where it is still wanted"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;
