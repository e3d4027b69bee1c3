//! Stops a plan before anything is written.
//!
//! A guard judges the whole plan by numbers and says them: how many, of how many, the limit, the
//! key that holds it, and the approval that lets exactly these operations pass.

use std::collections::{BTreeMap, BTreeSet};

use super::seats::departures;
use super::{Edit, GuardRefusal, Inputs, Plan, item_key};
use crate::model::MemberStatus;
use crate::model::policy::{Limit, Mode, OnDrift};

/// What the guards look at.
pub(super) struct Judged<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) plan: &'a Plan,
    /// Active memberships at the target in the linked groups: what shares are of.
    pub(super) active: u64,
    /// Item keys of what somebody changed at the target and the plan would write again.
    pub(super) overwritten: &'a BTreeSet<String>,
}

/// Judges a plan; an empty list lets it pass.
pub(super) fn judge(judged: &Judged<'_>) -> Vec<GuardRefusal> {
    let Judged {
        inputs,
        plan,
        active,
        overwritten,
    } = *judged;
    let guards = &inputs.policy.guards;
    let key = |name: &str| format!("jobs.{}.guards.{name}", plan.job);
    let mut refusals: Vec<(GuardRefusal, BTreeSet<String>)> = Vec::new();
    let mut limit = |guard: &'static str,
                     group: Option<String>,
                     limit: &Limit,
                     of: u64,
                     items: BTreeSet<String>,
                     what: &str| {
        let value = items.len() as u64;
        if let Some(words) = exceeded(limit, value, of, guards.floor) {
            let place = group
                .as_ref()
                .map(|name| format!(" in \"{name}\""))
                .unwrap_or_default();
            let refusal = GuardRefusal {
                guard,
                explanation: format!(
                    "{value} {what}{place} of {of} active memberships exceed the limit of {words}"
                ),
                group,
                value,
                of,
                limit: words,
                key: key(guard),
                approval: String::new(),
            };
            refusals.push((refusal, items));
        }
    };

    let leaving = leaving(judged);
    let removals: BTreeSet<String> = leaving.values().flatten().cloned().collect();
    limit(
        "max_membership_removals",
        None,
        &guards.max_membership_removals,
        active,
        removals.clone(),
        "removals",
    );
    for (group, keys) in leaving {
        let name = plan
            .pairs
            .iter()
            .find(|pair| pair.target.as_ref() == Some(&group))
            .map(|pair| pair.name.clone());
        let of = inputs
            .target
            .listing(&group)
            .map_or(0, |listing| listing.seen().active() as u64);
        limit(
            "max_membership_removals_per_group",
            Some(name.unwrap_or(group)),
            &guards.max_membership_removals_per_group,
            of,
            keys,
            "removals",
        );
    }
    let group_removals = items(judged, |edit| {
        matches!(edit, Edit::ArchiveGroup { .. } | Edit::DeleteGroup { .. })
    });
    let linked = plan.pairs.iter().filter(|pair| pair.linked).count() as u64;
    limit(
        "max_group_removals",
        None,
        &guards.max_group_removals,
        linked,
        group_removals.clone(),
        "groups to archive or delete",
    );
    let creations = items(judged, |edit| matches!(edit, Edit::CreateMembers { .. }));
    limit(
        "max_member_creations",
        None,
        &guards.max_member_creations,
        active,
        creations,
        "people to create",
    );
    let updates = items(judged, |edit| {
        matches!(
            edit,
            Edit::UpdateMember { .. }
                | Edit::ChangeAddress { .. }
                | Edit::UpdateGroup { .. }
                | Edit::RenameGroup { .. }
        )
    });
    limit(
        "max_updates",
        None,
        &guards.max_updates,
        active,
        updates,
        "updates",
    );
    if !inputs.base.is_empty() && !inputs.policy.opt_outs_confirmed {
        let opt_outs = items(judged, |edit| matches!(edit, Edit::SetOptOut { .. }));
        limit(
            "max_opt_outs",
            None,
            &guards.max_opt_outs,
            active,
            opt_outs,
            "opt-outs",
        );
    }

    if guards.on_drift == OnDrift::Stop && !overwritten.is_empty() {
        let refusal = GuardRefusal {
            guard: "on_drift",
            group: None,
            value: overwritten.len() as u64,
            of: active,
            limit: "stop".to_owned(),
            key: key("on_drift"),
            explanation: format!(
                "{} things were changed at the target since the last run, and would be changed back",
                overwritten.len()
            ),
            approval: String::new(),
        };
        refusals.push((refusal, overwritten.clone()));
    }

    let mut harmful = removals;
    harmful.extend(group_removals);
    harmful.extend(overwritten.iter().cloned());
    if !harmful.is_empty() {
        for (guard, of, explanation) in suspicious(judged) {
            let refusal = GuardRefusal {
                guard,
                group: None,
                value: harmful.len() as u64,
                of,
                limit: "half".to_owned(),
                key: format!("jobs.{}", plan.job),
                explanation,
                approval: String::new(),
            };
            refusals.push((refusal, harmful.clone()));
        }
    }
    with_approval(refusals)
}

/// Names the items for which the refusals of a plan ask approval.
pub fn tripped_items(inputs: &Inputs<'_>, plan: &Plan) -> BTreeSet<String> {
    let kinds: BTreeSet<&str> = plan.refusals.iter().map(|refusal| refusal.guard).collect();
    let judged = Judged {
        inputs,
        plan,
        active: 0,
        overwritten: &BTreeSet::new(),
    };
    let broad = ["empty_source", "source_shrank", "target_fuller", "on_drift"]
        .iter()
        .any(|guard| kinds.contains(guard));
    let removals = broad
        || kinds.contains("max_membership_removals")
        || kinds.contains("max_membership_removals_per_group");
    let mut tripped: BTreeSet<String> = if removals {
        leaving(&judged).into_values().flatten().collect()
    } else {
        BTreeSet::new()
    };
    tripped.extend(items(&judged, |edit| match edit {
        Edit::ArchiveGroup { .. } | Edit::DeleteGroup { .. } => {
            broad || kinds.contains("max_group_removals")
        }
        Edit::CreateMembers { .. } => kinds.contains("max_member_creations"),
        Edit::UpdateMember { .. }
        | Edit::ChangeAddress { .. }
        | Edit::UpdateGroup { .. }
        | Edit::RenameGroup { .. } => broad || kinds.contains("max_updates"),
        Edit::AddMemberships { .. } | Edit::BringBack { .. } => broad,
        Edit::SetOptOut { .. } => kinds.contains("max_opt_outs"),
        _ => false,
    }));
    tripped
}

/// Names the items of everybody who leaves a group, by the target group's id: by a removal, by a
/// move, or with the group.
fn leaving(judged: &Judged<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let Judged { inputs, plan, .. } = *judged;
    let mut leaving: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for edit in &plan.operations {
        if let Edit::RemoveMemberships { pair, .. } = edit
            && let Some(group) = plan.pair(*pair).target.clone()
        {
            leaving
                .entry(group)
                .or_default()
                .extend(keys_of(judged, edit));
        }
    }
    for (group, people) in departures(inputs, &plan.operations, &plan.pairs) {
        let keys = people
            .into_iter()
            .map(|person| item_key("remove_memberships", &group, &inputs.key(person)));
        leaving.entry(group.clone()).or_default().extend(keys);
    }
    leaving
}

/// The three signs that a source, or the direction of a job, is not what it seems.
fn suspicious(judged: &Judged<'_>) -> Vec<(&'static str, u64, String)> {
    let Judged {
        inputs,
        plan,
        active,
        ..
    } = *judged;
    let mut found = Vec::new();
    let now = plan.measure;
    let known: usize = inputs.base.memberships.values().map(Vec::len).sum();
    if now.memberships == 0 && known > 0 {
        found.push((
            "empty_source",
            known as u64,
            format!("the source holds nobody in the groups of this job, where {known} memberships are known"),
        ));
    } else if let Some(then) = inputs.base.measure {
        for (before, after, what) in [
            (then.groups, now.groups, "groups"),
            (then.memberships, now.memberships, "memberships"),
        ] {
            if before > 0 && after * 2 < before {
                found.push((
                    "source_shrank",
                    before,
                    format!("the source shrank from {before} {what} in scope to {after} since the last finished run"),
                ));
            }
        }
    }
    if inputs.policy.mode == Mode::Mirror && inputs.base.measure.is_none() {
        let at_target: u64 = plan
            .pairs
            .iter()
            .filter(|pair| pair.writable)
            .filter_map(|pair| inputs.target.listing(pair.target.as_deref()?))
            .map(|listing| listing.seen().active() as u64)
            .sum();
        if at_target > now.memberships {
            let explanation = format!(
                "the target holds {at_target} memberships and the source {}: perhaps source and target are the wrong way round",
                now.memberships
            );
            found.push(("target_fuller", at_target.max(active), explanation));
        }
    }
    found
}

fn exceeded(limit: &Limit, value: u64, of: u64, floor: u64) -> Option<String> {
    if let Some(count) = limit.count
        && value > count
    {
        return Some(count.to_string());
    }
    if let Some(share) = limit.share
        && value >= floor.max(1)
        && value as f64 > share * of as f64
    {
        let percent = share * 100.0;
        return Some(format!("{}%", (percent * 100.0).round() / 100.0));
    }
    None
}

fn items(judged: &Judged<'_>, wanted: impl Fn(&Edit) -> bool) -> BTreeSet<String> {
    judged
        .plan
        .operations
        .iter()
        .filter(|edit| wanted(edit))
        .flat_map(|edit| keys_of(judged, edit))
        .collect()
}

/// Names the items of an edit for approvals: operation, group and person.
fn keys_of(judged: &Judged<'_>, edit: &Edit) -> Vec<String> {
    let group = edit
        .pair()
        .map(|pair| judged.plan.pair(pair))
        .map(|pair| pair.target.clone().unwrap_or_else(|| pair.name.clone()));
    let group = group.unwrap_or_default();
    let members = edit.members();
    match edit {
        Edit::UpdateGroup { fields, .. } | Edit::RenameGroup { fields, .. } => fields
            .keys()
            .map(|field| item_key("update_group", &group, field))
            .collect(),
        _ if members.is_empty() => vec![item_key(edit.op(), &group, "")],
        // A refusal of all mail is one, on however many lists it has to be written.
        Edit::SetOptOut { .. } if judged.inputs.capabilities.account_opt_out_as_lists => members
            .iter()
            .map(|person| {
                let row = judged.inputs.people.get(*person);
                let group = if row.source_status == MemberStatus::OptedOut {
                    ""
                } else {
                    &group
                };
                item_key(edit.op(), group, &judged.inputs.key(*person))
            })
            .collect(),
        _ => members
            .iter()
            .map(|person| item_key(edit.op(), &group, &judged.inputs.key(*person)))
            .collect(),
    }
}

/// Gives every refusal of the plan the one approval that covers all their items.
fn with_approval(refusals: Vec<(GuardRefusal, BTreeSet<String>)>) -> Vec<GuardRefusal> {
    let all: BTreeSet<&String> = refusals.iter().flat_map(|(_, items)| items).collect();
    let mut hasher = blake3::Hasher::new();
    for item in all {
        hasher.update(item.as_bytes());
        hasher.update(b"\n");
    }
    let approval = hasher.finalize().to_hex()[..12].to_owned();
    refusals
        .into_iter()
        .map(|(refusal, _)| GuardRefusal {
            approval: approval.clone(),
            ..refusal
        })
        .collect()
}
