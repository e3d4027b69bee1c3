//! Stops a plan before anything is written.
//!
//! A guard judges the whole plan by numbers and says them: how many, of how many, the limit, the
//! key that holds it, and the approval that lets exactly these operations pass.

use crate::model::in_quotes;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::memberships::uncertain_contacts;
use super::seats::departures;
use super::{Edit, GuardRefusal, Inputs, PersonIx, Plan, item_key};
use crate::model::policy::{Limit, Mode, OnDrift};
use crate::model::{MemberStatus, MembershipState, Name, Record, row_hash};

/// What the guards look at.
pub(super) struct Judged<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) plan: &'a Plan,
    /// Active memberships at the target in the linked groups: what shares are of.
    pub(super) active: u64,
    /// Active memberships at the source that were seen; nobody of whom it is only not known that they
    /// have left.
    pub(super) source_active: u64,
    /// Item keys of what somebody changed at the target and the plan would write again.
    pub(super) overwritten: &'a BTreeSet<String>,
}

/// What guards say against a plan.
#[derive(Default)]
pub(super) struct Verdict {
    /// The refusals; none lets the plan pass.
    pub(super) refusals: Vec<GuardRefusal>,
    /// The items that tripped them, each with its values: what an approval covers.
    pub(super) tripped: BTreeSet<String>,
}

/// Judges a plan.
pub(super) fn judge(judged: &Judged<'_>) -> Verdict {
    let Judged {
        inputs,
        plan,
        active,
        ..
    } = *judged;
    let guards = &inputs.policy.guards;
    let key = |name: &str| format!("jobs.{}.guards.{name}", plan.job);
    let mut refusals: Vec<(GuardRefusal, BTreeSet<String>)> = Vec::new();
    // Naming a million items takes longer than planning them, so that they are named only where
    // there may be too many.
    let mut limit = |guard: &'static str,
                     group: Option<String>,
                     limit: &Limit,
                     of: u64,
                     (most, items): (u64, &dyn Fn() -> BTreeSet<String>),
                     what: &str| {
        let whole = if guard == "max_group_removals" {
            "linked groups"
        } else {
            "active memberships"
        };
        if exceeded(limit, most, of, guards.floor).is_none() {
            return;
        }
        let items = items();
        let value = items.len() as u64;
        if let Some(words) = exceeded(limit, value, of, guards.floor) {
            let place = group
                .as_ref()
                .map(|name| format!(" in {}", in_quotes(name)))
                .unwrap_or_default();
            let refusal = GuardRefusal {
                guard,
                explanation: format!(
                    "{value} {what}{place} of {of} {whole} exceed the limit of {words}"
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

    let leaving = OnceCell::new();
    let leaving = || leaving.get_or_init(|| self::leaving(judged));
    let removals = || leaving().values().flatten().cloned().collect();
    let leavers = leavers(judged);
    let removed = leavers.values().sum();
    limit(
        "max_membership_removals",
        None,
        &guards.max_membership_removals,
        active,
        (removed, &removals),
        "removals",
    );
    for (group, most) in leavers {
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
            Some(name.unwrap_or_else(|| group.clone())),
            &guards.max_membership_removals_per_group,
            of,
            (most, &|| leaving()[&group].clone()),
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
        (group_removals.len() as u64, &|| group_removals.clone()),
        "groups to archive or delete",
    );
    let creates = |edit: &Edit| matches!(edit, Edit::CreateMembers { .. });
    limit(
        "max_member_creations",
        None,
        &guards.max_member_creations,
        active,
        (most(judged, creates), &|| items(judged, creates)),
        "people to create",
    );
    let updates = |edit: &Edit| {
        matches!(
            edit,
            Edit::UpdateMember { .. }
                | Edit::ChangeAddress { .. }
                | Edit::UpdateGroup { .. }
                | Edit::RenameGroup { .. }
        )
    };
    limit(
        "max_updates",
        None,
        &guards.max_updates,
        active,
        (most(judged, updates), &|| items(judged, updates)),
        "updates",
    );
    // What an interrupted first run left behind is no measure for what is left of it, as long as that is
    // the larger part: opt-outs come before additions, and a job that never comes to its end is judged.
    let is_barely_begun = inputs.base.first_run_is_open && plan.summary.memberships_added >= active;
    if !inputs.base.is_empty() && !is_barely_begun && !inputs.policy.opt_outs_confirmed {
        let opts_out = |edit: &Edit| matches!(edit, Edit::SetOptOut { .. });
        limit(
            "max_opt_outs",
            None,
            &guards.max_opt_outs,
            active,
            (most(judged, opts_out), &|| items(judged, opts_out)),
            "opt-outs",
        );
    }

    let overwrites = overwrites(judged);
    if guards.on_drift == OnDrift::Stop && !overwrites.is_empty() {
        let refusal = GuardRefusal {
            guard: "on_drift",
            group: None,
            value: overwrites.len() as u64,
            of: active,
            limit: "stop".to_owned(),
            key: key("on_drift"),
            explanation: format!(
                "{} things were changed at the target since the last run, and would be changed back",
                overwrites.len()
            ),
            approval: String::new(),
        };
        refusals.push((refusal, overwrites.clone()));
    }

    let new_groups = items(judged, |edit| matches!(edit, Edit::CreateGroup { .. }));
    if inputs.target_groups_unseen && !new_groups.is_empty() {
        let value = new_groups.len() as u64;
        let refusal = GuardRefusal {
            guard: "unseen_groups",
            group: None,
            value,
            of: 0,
            limit: "none".to_owned(),
            key: format!("jobs.{}", plan.job),
            explanation: format!(
                "{value} groups to create, where the target shows neither groups nor people: to a login that lost its rights every account looks like this"
            ),
            approval: String::new(),
        };
        refusals.push((refusal, new_groups));
    }

    if let Some(open) = inputs.base.undo_open.as_ref().filter(|open| open.is_paused) {
        let again = items(judged, |_| true);
        if !again.is_empty() {
            let refusal = GuardRefusal {
                guard: "undo_interrupted",
                group: None,
                value: again.len() as u64,
                of: open.did,
                limit: "none".to_owned(),
                key: format!("jobs.{}", plan.job),
                explanation: format!(
                    "{} things to do while the undo of run {} is interrupted, what it took back among them; `rosterd undo {} --out FILE`, then `rosterd apply FILE`, finishes it, and `rosterd resume {}` gives it up",
                    again.len(),
                    open.run,
                    open.run,
                    plan.job
                ),
                approval: String::new(),
            };
            refusals.push((refusal, again));
        }
    }

    let harm = removed > 0 || !group_removals.is_empty() || !overwrites.is_empty();
    let signs = if harm { suspicious(judged) } else { Vec::new() };
    if !signs.is_empty() {
        let mut harmful: BTreeSet<String> = removals();
        harmful.extend(group_removals);
        harmful.extend(overwrites);
        for (guard, of, explanation) in signs {
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

/// Names the items of what somebody changed at the target and the plan writes again, with the
/// values that it writes.
fn overwrites(judged: &Judged<'_>) -> BTreeSet<String> {
    let mut left: BTreeSet<&str> = judged.overwritten.iter().map(String::as_str).collect();
    let mut found = BTreeSet::new();
    if left.is_empty() {
        return found;
    }
    for key in judged
        .plan
        .operations
        .iter()
        .flat_map(|edit| keys_of(judged, edit))
    {
        if judged.overwritten.contains(&key.item) {
            left.remove(key.item.as_str());
            found.insert(key.with_value);
        }
    }
    found.extend(left.into_iter().map(str::to_owned));
    found
}

/// Counts the items of everybody who leaves a group, by the target group's id. There may be fewer:
/// people of one address have one item.
fn leavers(judged: &Judged<'_>) -> BTreeMap<String, u64> {
    let Judged { inputs, plan, .. } = *judged;
    let mut leavers: BTreeMap<String, u64> = BTreeMap::new();
    for edit in &plan.operations {
        if let Edit::RemoveMemberships { pair, members } = edit
            && let Some(group) = plan.pair(*pair).target.clone()
        {
            *leavers.entry(group).or_default() += members.len() as u64;
        }
    }
    for (group, people) in departures(inputs, &plan.operations, &plan.pairs) {
        *leavers.entry(group).or_default() += people.len() as u64;
    }
    leavers
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
                .extend(keys_of(judged, edit).into_iter().map(|key| key.with_value));
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
        source_active,
        ..
    } = *judged;
    let mut found = Vec::new();
    let now = plan.measure;
    let known = if source_active == 0 {
        known_memberships(judged)
    } else {
        0
    };
    if known > 0 {
        found.push((
            "empty_source",
            known,
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
    if inputs.policy.mode == Mode::Mirror && !inputs.base.mirrored {
        let at_target: u64 = plan
            .pairs
            .iter()
            .filter(|pair| pair.writable)
            .filter_map(|pair| {
                let listing = inputs.target.listing(pair.target.as_deref()?)?.seen();
                let uncertain = uncertain_contacts(inputs, pair);
                let stands_against =
                    |contact: &u32| listing.state_of(*contact) == Some(MembershipState::Active);
                let left_out = uncertain
                    .iter()
                    .filter(|contact| stands_against(contact))
                    .count();
                Some((listing.active() - left_out) as u64)
            })
            .sum();
        if at_target > source_active {
            let explanation = format!(
                "the target holds {at_target} memberships and the source {source_active}: perhaps source and target are the wrong way round"
            );
            found.push(("target_fuller", at_target.max(active), explanation));
        }
    }
    found
}

/// Counts the memberships that the last run knew, but those of people of whom nobody can tell how they
/// stand at the source: that those show as nobody's is no sign that the source is empty.
fn known_memberships(judged: &Judged<'_>) -> u64 {
    let Judged { inputs, plan, .. } = *judged;
    let mut uncertain: BTreeMap<&str, BTreeSet<Name>> = BTreeMap::new();
    for pair in &plan.pairs {
        let Some(group) = pair.target.as_deref() else {
            continue;
        };
        let contacts = uncertain_contacts(inputs, pair).into_iter();
        uncertain
            .entry(group)
            .or_default()
            .extend(contacts.map(|at| inputs.target.members[at as usize].id));
    }
    let memberships = inputs.base.memberships.iter();
    memberships
        .map(|(group, rows)| {
            let left_out = uncertain.get(group.as_str());
            let counts = |member: &Name| left_out.is_none_or(|left_out| !left_out.contains(member));
            rows.iter().filter(|row| counts(&{ row.member })).count() as u64
        })
        .sum()
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

/// Counts the items of some edits. There may be fewer: people of one address have one item.
fn most(judged: &Judged<'_>, wanted: impl Fn(&Edit) -> bool) -> u64 {
    let edits = judged.plan.operations.iter().filter(|edit| wanted(edit));
    edits
        .map(|edit| match edit {
            Edit::UpdateGroup { fields, .. } | Edit::RenameGroup { fields, .. } => fields.len(),
            _ => edit.members().len().max(1),
        })
        .sum::<usize>() as u64
}

fn items(judged: &Judged<'_>, wanted: impl Fn(&Edit) -> bool) -> BTreeSet<String> {
    judged
        .plan
        .operations
        .iter()
        .filter(|edit| wanted(edit))
        .flat_map(|edit| keys_of(judged, edit))
        .map(|key| key.with_value)
        .collect()
}

/// One item of an edit, as approvals know it.
struct ItemKey {
    /// Operation, group and person: what the plan's findings name it by.
    item: String,
    /// The same with what is written, so that an approval of one value covers no other.
    with_value: String,
}

impl ItemKey {
    fn plain(item: String) -> ItemKey {
        ItemKey {
            with_value: item.clone(),
            item,
        }
    }

    /// An item with what is written, as a print: values can be personal, and approvals are kept.
    fn writing(item: String, value: u64) -> ItemKey {
        ItemKey {
            with_value: format!("{item} ={value:016x}"),
            item,
        }
    }
}

/// Names the items of an edit for approvals: operation, group and person, and the values.
fn keys_of(judged: &Judged<'_>, edit: &Edit) -> Vec<ItemKey> {
    let group = edit
        .pair()
        .map(|pair| judged.plan.pair(pair))
        .map(|pair| pair.target.clone().unwrap_or_else(|| pair.name.clone()));
    let group = group.unwrap_or_default();
    let of_person = |person: &PersonIx| item_key(edit.op(), &group, &judged.inputs.key(*person));
    let members = edit.members();
    match edit {
        Edit::UpdateGroup { fields, .. } | Edit::RenameGroup { fields, .. } => fields
            .iter()
            .map(|(field, value)| {
                let alone = Record::from([(field.clone(), value.clone())]);
                ItemKey::writing(
                    item_key("update_group", &group, field),
                    row_hash("", &alone),
                )
            })
            .collect(),
        Edit::UpdateMember { member, fields, .. } => {
            vec![ItemKey::writing(of_person(member), row_hash("", fields))]
        }
        Edit::ChangeAddress { member, to, .. } => {
            vec![ItemKey::writing(
                of_person(member),
                row_hash(to, &Record::new()),
            )]
        }
        Edit::CreateMembers { members, .. } => members
            .iter()
            .map(|person| match judged.inputs.facts.get(person) {
                Some(facts) => ItemKey::writing(of_person(person), facts.desired_hash),
                None => ItemKey::plain(of_person(person)),
            })
            .collect(),
        Edit::ArchiveGroup {
            lift_protection, ..
        }
        | Edit::DeleteGroup {
            lift_protection, ..
        } => {
            let item = item_key(edit.op(), &group, "");
            vec![ItemKey::writing(item, u64::from(*lift_protection))]
        }
        _ if members.is_empty() => vec![ItemKey::plain(item_key(edit.op(), &group, ""))],
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
            .map(ItemKey::plain)
            .collect(),
        _ => members.iter().map(of_person).map(ItemKey::plain).collect(),
    }
}

/// Gives every refusal of the plan the one approval that covers all their items.
fn with_approval(refusals: Vec<(GuardRefusal, BTreeSet<String>)>) -> Verdict {
    let mut verdict = Verdict::default();
    for (refusal, items) in refusals {
        verdict.refusals.push(refusal);
        verdict.tripped.extend(items);
    }
    let mut hasher = blake3::Hasher::new();
    for item in &verdict.tripped {
        hasher.update(item.as_bytes());
        hasher.update(b"\n");
    }
    let approval = hasher.finalize().to_hex()[..12].to_owned();
    for refusal in &mut verdict.refusals {
        approval.clone_into(&mut refusal.approval);
    }
    verdict
}
