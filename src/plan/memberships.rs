//! Who joins and who leaves a group.
//!
//! Additions need a whole listing of the target and whole account-wide states of both sides;
//! removals need whole listings of both sides as well, and can be asked for only with a
//! [`Complete`](crate::model::Complete) listing in hand (rule 3).

mod additions;
mod refusals;
mod removals;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::bars::bar_of_pair;
use super::base::Resting;
use super::pair::PairPlan;
use super::people::PersonIx;
use super::seats::Seats;
use super::{
    Agreement, Blocked, BlockedReason, GroupPair, Inputs, PairIx, Reason, What, Withheld, in_scope,
};
use crate::model::{Incomplete, Listing, MembershipState, Name, Reading, addresses_in};

/// Whether the account-wide states allow additions at all.
#[derive(Clone, Copy)]
pub(super) struct AccountStates {
    pub(super) whole: bool,
}

/// Plans the members of one pair. `refusers` are the people whose refusal of all mail is to be
/// written group by group.
pub(super) fn plan_pair(
    inputs: &Inputs<'_>,
    ix: PairIx,
    pair: &GroupPair,
    accounts: AccountStates,
    refusers: &BTreeSet<PersonIx>,
    seats: Option<&Seats<'_>>,
    agreement: &mut Agreement,
) -> PairPlan {
    let mut out = PairPlan {
        source_whole: true,
        ..PairPlan::default()
    };
    let Some(source_id) = pair.source.as_deref() else {
        return out;
    };
    // A group that left the scope is not read, and its people are nobody's concern.
    if !inputs
        .source
        .group(source_id)
        .is_some_and(|group| in_scope(&inputs.policy.groups, group))
    {
        return out;
    }
    let Some(source) = inputs.source.listing(source_id) else {
        out.source_whole = false;
        out.blocked.push(incomplete(
            pair,
            source_id,
            "its members were not read at the source",
        ));
        return out;
    };
    let shown = Shown::of(inputs, source.seen());
    let wanted = &shown.states;
    out.source_active = source.seen().active() as u64;
    out.source_kept = kept_uncertain(inputs, pair, source.seen());
    out.source_whole = source.complete().is_some();
    out.listed.clone_from(&shown.listed);
    if !pair.writable {
        remember_refusals(inputs, ix, pair, wanted, agreement);
        return out;
    }
    let nobody = Reading::Incomplete(Incomplete {
        partial: Listing::default(),
        why: Vec::new(),
        opt_outs_complete: false,
    });
    let target = match pair.target.as_deref() {
        None => None,
        Some(id) => Some(inputs.target.listing(id).unwrap_or(&nobody)),
    };
    let target_states = target
        .map(|listing| target_states(inputs, listing.seen()))
        .unwrap_or_default();
    out.target_active = target.map_or(0, |listing| listing.seen().active() as u64);

    // A group that does not exist yet has no members, and that is certain.
    let doubt = seats.and_then(Seats::doubt);
    let target_whole = target.is_none_or(|listing| listing.complete().is_some()) && doubt.is_none();
    if !target_whole {
        let why = target
            .map(|listing| listing.why_incomplete().join("; "))
            .filter(|why| !why.is_empty());
        let why = why.or(doubt.map(str::to_owned)).unwrap_or_default();
        let why = if why.is_empty() {
            "its members were not read".to_owned()
        } else {
            why
        };
        out.blocked.push(incomplete(
            pair,
            pair.target.as_deref().unwrap_or_default(),
            &format!("at the target, {why}"),
        ));
    }
    let source_allows_additions = match source {
        Reading::Complete(_) => true,
        Reading::Incomplete(partly) => {
            out.blocked.push(incomplete(
                pair,
                source_id,
                &format!("at the source, {}", partly.why.join("; ")),
            ));
            partly.opt_outs_complete
        }
    };
    let refused_addresses = target
        .map(|listing| refused_addresses(inputs, listing.seen()))
        .unwrap_or_default();
    let mut decide = Decider {
        shown: &shown,
        inputs,
        ix,
        pair,
        seats,
        target_states: &target_states,
        refused_addresses: &refused_addresses,
        agreement,
        out: &mut out,
    };
    decide.opt_outs(refusers, target_whole);
    if let Some(target) = target {
        decide.end_refused(target.seen());
    }
    if accounts.whole && target_whole && source_allows_additions {
        decide.additions();
    }
    // Where leaving is moving, whoever is missing here may be in a group that was not read to its
    // end.
    let may_leave = seats.is_none_or(|seats| target_whole && seats.sources_whole());
    if let (Some(source), Some(target), true) = (
        source.complete(),
        target.and_then(Reading::complete),
        may_leave,
    ) {
        decide.removals(source, target);
    }
    out
}

/// Remembers the refusals of a pair of which nothing can be written, so that they outlive whatever
/// blocks it.
fn remember_refusals(
    inputs: &Inputs<'_>,
    ix: PairIx,
    pair: &GroupPair,
    wanted: &BTreeMap<PersonIx, MembershipState>,
    agreement: &mut Agreement,
) {
    let listing = pair
        .target
        .as_deref()
        .and_then(|group| inputs.target.listing(group));
    for (&person, _) in wanted
        .iter()
        .filter(|(_, state)| **state == MembershipState::OptedOut)
    {
        let bar = bar_of_pair(inputs, person, pair);
        let refused_there = || {
            let targets = inputs.people.targets(person);
            let refuses = |at: &u32| {
                listing.is_some_and(|listing| {
                    listing.seen().state_of(*at) == Some(MembershipState::OptedOut)
                })
            };
            !targets.is_empty() && targets.iter().all(refuses)
        };
        match bar {
            None => agreement.bars.push((Some(ix), person)),
            Some(bar) if bar.held && !refused_there() => {
                bar.carry_anew(Some(ix), person, agreement);
            }
            Some(_) => {}
        }
    }
}

fn incomplete(pair: &GroupPair, id: &str, detail: &str) -> Blocked {
    Blocked {
        what: What::Group,
        group: Some(pair.name.clone()),
        member: None,
        id: Some(id.to_owned()),
        reason: BlockedReason::IncompleteRead,
        detail: detail.to_owned(),
        rests: None,
    }
}

/// What the source's group shows, by person.
#[derive(Debug, Default)]
struct Shown {
    /// Of several rows of a person the strictest counts; a refusal also of those whose contact has
    /// the address that it was shown with.
    states: BTreeMap<PersonIx, MembershipState>,
    /// Who refuses by a row of their own.
    refusers: BTreeSet<PersonIx>,
    /// Who is listed, in ascending order.
    listed: Vec<PersonIx>,
    /// The addresses of everybody who is listed: none of them is absent, whoever has it at the
    /// target.
    addresses: HashSet<Name>,
    /// What can be read out of a broken address that refuses.
    refused_addresses: HashSet<Name>,
}

impl Shown {
    fn of(inputs: &Inputs<'_>, listing: &Listing) -> Shown {
        let mut shown = Shown::default();
        for row in &listing.rows {
            let member = &inputs.source.members[row.member as usize];
            shown.addresses.extend(member.address);
            if let (MembershipState::OptedOut, Some(text)) = (row.state, member.unusable) {
                let readable = addresses_in(inputs.names.text(text));
                let known = readable
                    .iter()
                    .filter_map(|address| inputs.names.find(address.as_str()));
                shown.refused_addresses.extend(known);
            }
            if let Some(person) = inputs.people.of_source(row.member) {
                let known = shown.states.entry(person).or_insert(row.state);
                *known = row.state.max(*known);
            }
        }
        shown.listed = shown.states.keys().copied().collect();
        let refuses = |state: &MembershipState| *state == MembershipState::OptedOut;
        let refusers = shown.states.iter().filter(|(_, state)| refuses(state));
        shown.refusers = refusers.map(|(person, _)| *person).collect();
        let reached: Vec<PersonIx> = shown
            .refusers
            .iter()
            .flat_map(|person| inputs.people.reached(*person).iter().copied())
            .collect();
        for person in reached {
            shown.states.insert(person, MembershipState::OptedOut);
        }
        shown
    }

    /// Tells whether a person's refusal is not to be written to the person's contact, because its
    /// address is by now that of somebody who does not refuse.
    fn spares(&self, inputs: &Inputs<'_>, person: PersonIx) -> bool {
        inputs
            .people
            .spared_for(person)
            .is_some_and(|other| !self.refusers.contains(&other))
    }
}

fn target_states(inputs: &Inputs<'_>, listing: &Listing) -> BTreeMap<PersonIx, MembershipState> {
    let mut states = BTreeMap::new();
    for row in &listing.rows {
        if let Some(person) = inputs.people.of_target(row.member) {
            let known = states.entry(person).or_insert(row.state);
            *known = row.state.max(*known);
        }
    }
    states
}

/// Collects the addresses of all contacts that refuse the target's group.
fn refused_addresses(inputs: &Inputs<'_>, listing: &Listing) -> HashSet<Name> {
    let refusing = listing
        .rows
        .iter()
        .filter(|row| row.state == MembershipState::OptedOut);
    refusing
        .filter_map(|row| inputs.target.members[row.member as usize].address)
        .collect()
}

struct Decider<'a, 'b> {
    inputs: &'a Inputs<'a>,
    shown: &'b Shown,
    ix: PairIx,
    pair: &'a GroupPair,
    /// Who sits where, at a target where people are in one group only.
    seats: Option<&'a Seats<'a>>,
    target_states: &'b BTreeMap<PersonIx, MembershipState>,
    /// Whoever refuses the group speaks for the address, also where a link says that the contact
    /// is somebody else's.
    refused_addresses: &'b HashSet<Name>,
    agreement: &'b mut Agreement,
    out: &'b mut PairPlan,
}

/// Counts the memberships of a pair that the last run knew, of people whom the source lists while
/// nobody can tell how they stand: they have not left as far as anybody knows. Whoever is new
/// counts once that can be told, so that one such record never makes up for a group that is gone.
fn kept_uncertain(inputs: &Inputs<'_>, pair: &GroupPair, source: &Listing) -> u64 {
    let Some(group) = pair.target.as_deref() else {
        return 0;
    };
    let known = |at: u32| {
        let contact = inputs.target.members[at as usize].id;
        inputs.base.membership(group, contact).is_some()
    };
    let mut kept = uncertain(inputs, source);
    kept.retain(|person| inputs.people.targets(*person).iter().any(|at| known(*at)));
    kept.len() as u64
}

/// Returns the people whom the source lists while nobody can tell how they stand.
fn uncertain(inputs: &Inputs<'_>, source: &Listing) -> BTreeSet<PersonIx> {
    let rows = source.rows.iter();
    rows.filter(|row| inputs.source.is_uncertain(source, row.member, inputs.names))
        .filter_map(|row| inputs.people.of_source(row.member))
        .collect()
}

/// Returns the contacts at the target of people whom the source lists in a pair by nothing but records
/// of which nobody can tell how they stand: they are no sign of what the source holds, and so they are
/// none against it.
pub(super) fn uncertain_contacts(inputs: &Inputs<'_>, pair: &GroupPair) -> HashSet<u32> {
    let listing = pair
        .source
        .as_deref()
        .and_then(|id| inputs.source.listing(id));
    let Some(source) = listing.map(Reading::seen) else {
        return HashSet::new();
    };
    let mut people = uncertain(inputs, source);
    if !people.is_empty() {
        let active = source
            .rows
            .iter()
            .filter(|row| row.state == MembershipState::Active);
        for person in active.filter_map(|row| inputs.people.of_source(row.member)) {
            people.remove(&person);
        }
    }
    let contacts = people
        .iter()
        .flat_map(|person| inputs.people.targets(*person));
    contacts.copied().collect()
}

impl Decider<'_, '_> {
    fn withhold(&mut self, person: PersonIx, reason: Reason) {
        self.out.withheld.push(Withheld {
            pair: self.ix,
            member: Some(person),
            reason,
        });
    }

    fn block(&mut self, person: PersonIx, reason: BlockedReason, detail: String) {
        let blocked = self.blocked(person, reason, detail);
        self.out.blocked.push(blocked);
    }

    /// Shows what the provider refused and what rests until its next attempt.
    fn rest(&mut self, person: PersonIx, resting: &Resting) {
        let blocked = self.blocked(person, BlockedReason::ValueRefused, resting.words.clone());
        self.out.blocked.push(blocked.resting(resting));
    }

    fn blocked(&self, person: PersonIx, reason: BlockedReason, detail: String) -> Blocked {
        Blocked {
            what: What::Membership,
            group: Some(self.pair.name.clone()),
            member: Some(self.inputs.key(person).into_owned()),
            id: None,
            reason,
            detail,
            rests: None,
        }
    }

    /// Tells whether the source still has somebody in the group who counts as a member.
    fn is_wanted(&self, person: PersonIx) -> bool {
        self.shown.states.contains_key(&person) && self.inputs.counts(person)
    }

    /// Tells whether somebody who is not listed is certainly absent: neither the linked record nor
    /// any record with the contact's address is listed, and no address is changing hands.
    fn is_absent(&self, contact: u32) -> bool {
        let inputs = self.inputs;
        let Some(person) = inputs.people.of_target(contact) else {
            return true;
        };
        let address = inputs.target.members[contact as usize].address;
        let other = address.filter(|address| self.shown.addresses.contains(address));
        let other = other.and_then(|address| inputs.people.showing(address));
        !self.is_wanted(person)
            && !inputs.people.get(person).hands.is_changing()
            && !other.is_some_and(|other| inputs.counts(other))
    }
}
