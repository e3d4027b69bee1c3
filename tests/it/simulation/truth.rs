//! What the accounts really hold, asked without any reading by rosterd.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::{Account, Contact, Group, GroupKind, GroupStatus, MembershipState, World};

use super::job::Job;
use super::world::{fold, fold_name};

/// The contacts with an address, in any spelling.
pub(crate) fn contacts<'a>(
    account: &'a Account,
    address: &'a str,
) -> impl Iterator<Item = &'a Contact> {
    account
        .contacts
        .values()
        .filter(move |contact| !contact.email.trim().is_empty() && fold(&contact.email) == address)
}

/// Whether anybody with the address refuses all mail.
pub(crate) fn refuses_all(account: &Account, address: &str) -> bool {
    contacts(account, address).any(|contact| contact.opted_out.is_some())
}

/// Whether anybody with the address has been given up after bounces.
pub(crate) fn bounced(account: &Account, address: &str) -> bool {
    contacts(account, address).any(|contact| contact.bounced.is_some())
}

fn rank(state: MembershipState) -> u8 {
    match state {
        MembershipState::Active => 0,
        MembershipState::Unconfirmed => 1,
        MembershipState::Bounced => 2,
        MembershipState::OptedOut => 3,
    }
}

/// The members of a group by address; of several contacts the strictest state.
pub(crate) fn listing(account: &Account, group: &Group) -> BTreeMap<String, MembershipState> {
    let mut states: BTreeMap<String, MembershipState> = BTreeMap::new();
    for (contact, membership) in &group.members {
        let Some(contact) = account.contacts.get(contact) else {
            continue;
        };
        if contact.email.trim().is_empty() {
            continue;
        }
        let known = states
            .entry(fold(&contact.email))
            .or_insert(membership.state);
        if rank(membership.state) > rank(*known) {
            *known = membership.state;
        }
    }
    states
}

/// The state of an address in a group.
pub(crate) fn state(account: &Account, group: u64, address: &str) -> Option<MembershipState> {
    listing(account, account.groups.get(&group)?)
        .get(address)
        .copied()
}

/// Whether a job covers a source group today.
pub(crate) fn covered(job: &Job, group: &Group) -> bool {
    let kind = match group.kind {
        GroupKind::Static => true,
        GroupKind::Dynamic => job.dynamic,
        GroupKind::BuiltIn => false,
    };
    kind && group.status == GroupStatus::Active && job.covers(&group.name)
}

/// The source groups that a job covers.
pub(crate) fn scope<'a>(job: &'a Job, world: &'a World) -> impl Iterator<Item = &'a Group> {
    world
        .account(job.source)
        .groups
        .values()
        .filter(|group| covered(job, group))
}

/// The people in a job's groups, in whatever state.
pub(crate) fn listed(job: &Job, world: &World) -> BTreeSet<String> {
    let source = world.account(job.source);
    scope(job, world)
        .flat_map(|group| listing(source, group).into_keys())
        .collect()
}

/// Whether a group takes members from outside.
pub(crate) fn takes_members(group: &Group) -> bool {
    group.kind == GroupKind::Static && group.status == GroupStatus::Active && !group.send_tests
}

/// Whether a target group may be the partner of a source group, by its name or by its external id.
pub(crate) fn alike(job: &Job, source: &Group, target: &Group) -> bool {
    let made = format!("rosterd:{}:{}", job.source, source.id);
    (job.adopt && fold_name(&job.mapped(&source.name)) == fold_name(&target.name))
        || target.external_id == made
        || (!source.external_id.is_empty() && source.external_id == target.external_id)
}

/// Whether two states of an account list other people.
pub(crate) fn differ(one: &Account, other: &Account) -> bool {
    let members = |account: &Account| {
        let groups = account.groups.values();
        groups
            .map(|group| (group.id, group.members.clone()))
            .collect::<Vec<_>>()
    };
    one.contacts.len() != other.contacts.len() || members(one) != members(other)
}

/// Whether all that a group shows of an address was written by requests.
pub(crate) fn only_by_api(account: &Account, group: u64, address: &str) -> bool {
    let members = &account.groups[&group].members;
    let mut shown = contacts(account, address).filter_map(|contact| members.get(&contact.id));
    shown.all(|membership| membership.by_api)
}
