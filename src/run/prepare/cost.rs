//! What applying a plan takes at the target.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Leaving, Snapshot, Takes};
use crate::plan::pack::{PutAway, Step};
use crate::plan::{PairIx, PersonIx, Plan};
use crate::run::accounts::Handle;

/// Tells what applying takes at the target, reading back included, and what each kind of work takes
/// of it.
pub(super) fn takes(
    target: &Handle,
    plan: &Plan,
    steps: &[Step],
    put_away: &PutAway,
    snapshot: &Snapshot,
) -> (Takes, BTreeMap<&'static str, Takes>) {
    let mut takes = Takes::default();
    let mut work: BTreeMap<&'static str, Takes> = BTreeMap::new();
    let account = snapshot.members.len() as u64 + plan.summary.members_created;
    let rows = |pair: &PairIx| {
        let listing = plan
            .pair(*pair)
            .target
            .as_deref()
            .and_then(|id| snapshot.listing(id));
        listing.map_or(0, |listing| listing.seen().rows.len() as u64)
    };
    let mut shown_by = BTreeSet::new();
    // Whoever was created without a group, and has to be found before anything goes by the id.
    let mut unproved: BTreeSet<PersonIx> = BTreeSet::new();
    // Which long listings were looked at a second time before something is written into the group.
    let mut seen_twice: BTreeSet<PairIx> = BTreeSet::new();
    let may_pass_over = |pair: &PairIx| {
        let id = plan.pair(*pair).target.as_deref();
        let listing = id.and_then(|id| snapshot.certificates.get(id));
        listing.is_some_and(|listing| listing.by_offset)
    };
    let prove = |unproved: &mut BTreeSet<PersonIx>| match std::mem::take(unproved).len() {
        0 => 0,
        people => target.adapter.predicted_profiles(people as u64, account),
    };
    for step in steps {
        let mut own = target.adapter.takes(step.load());
        if step.by_id().iter().any(|person| unproved.contains(person)) {
            takes.reads += prove(&mut unproved);
        }
        let groups = step.shown_by();
        if let Step::LeaveGroups { rows: people, how } = step
            && *how != Leaving::OptOut
            && target.capabilities.removal_shows_opt_out
        {
            let (people, listed) = (people.len() as u64, groups.iter().map(rows).sum());
            let groups = groups.len() as u64;
            own.reads += target
                .adapter
                .predicted_look(people, groups, listed, account);
        }
        if let Some(pair) = put_away.by(step) {
            own.reads += target.adapter.predicted_last_look(rows(&pair), account);
        }
        for pair in step.writes_into() {
            if may_pass_over(&pair) && seen_twice.insert(pair) {
                takes.reads += target.adapter.predicted_group(rows(&pair), account);
            }
        }
        takes += own;
        *work.entry(purpose(step)).or_default() += own;
        shown_by.extend(groups);
        match step {
            Step::CreateMembers { members, join } => {
                shown_by.extend(join);
                if join.is_empty() {
                    unproved.extend(members);
                }
            }
            Step::OptOutOfGroups { pairs, .. } => shown_by.extend(pairs),
            _ => {}
        }
    }
    takes.reads += prove(&mut unproved);
    let profiles = plan.summary.members_created + plan.summary.members_updated;
    if profiles > 0 {
        takes.reads += target.adapter.predicted_profiles(profiles, account);
    }
    let groups = plan.summary.groups_created + plan.summary.groups_updated;
    if groups > 0 {
        takes.reads += target.adapter.predicted_groups(groups);
    }
    if !shown_by.is_empty() {
        let listed = shown_by.iter().map(rows).sum::<u64>() + plan.summary.memberships_added;
        takes.reads += target
            .adapter
            .predicted_check(shown_by.len() as u64, listed, account);
    }
    (takes, work)
}

/// Says what a request is for.
fn purpose(step: &Step) -> &'static str {
    match step {
        Step::CreateCustomField { .. } => "creating custom fields",
        Step::CreateGroup { .. } => "creating groups",
        Step::EditGroups { .. } => "changing groups",
        Step::DeleteGroup { .. } => "deleting groups",
        Step::CreateMembers { .. } => "creating people",
        Step::UpdateMembers { .. } => "changing people",
        Step::ChangeAddress { .. } => "changing addresses",
        Step::AddMemberships { .. } | Step::JoinGroups { .. } => "adding to groups",
        Step::BringBack { .. } => "bringing people back",
        Step::LeaveGroups { how, .. } if *how == Leaving::OptOut => "carrying opt-outs",
        Step::RemoveMemberships { .. } | Step::LeaveGroups { .. } => "taking out of groups",
        Step::OptOutOfAccount { .. }
        | Step::CreateOptedOut { .. }
        | Step::OptOutOfGroups { .. } => "carrying opt-outs",
    }
}
