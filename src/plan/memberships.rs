//! Who joins and who leaves a group.
//!
//! Additions need a whole listing of the target and whole account-wide states of both sides;
//! removals need whole listings of both sides as well, and can be asked for only with a
//! [`Complete`] listing in hand (rule 3).

mod refusals;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::bars::{bar_of_account, bar_of_pair, is_forgotten};
use super::consent::account_bar_ends;
use super::people::{Hands, PersonIx, Unusable};
use super::seats::Seats;
use super::{
    Agreement, Blocked, BlockedReason, GroupPair, Inputs, PairIx, Reason, What, Withheld, in_scope,
    item_key,
};
use crate::model::policy::{Mode, OnDrift};
use crate::model::{
    Complete, Existence, Incomplete, Listing, MemberStatus, MembershipState, Name, Reading,
    addresses_in,
};

/// What planning the members of one pair led to.
#[derive(Debug, Default)]
pub(super) struct PairPlan {
    pub(super) additions: Vec<PersonIx>,
    /// Additions of people whom rosterd itself took out in a way that shows as a refusal.
    pub(super) returns: Vec<PersonIx>,
    pub(super) removals: Vec<PersonIx>,
    /// Removals that stand in for a group opt-out that the target can't hold.
    pub(super) opt_out_removals: Vec<PersonIx>,
    /// Group opt-outs to write.
    pub(super) opt_outs: Vec<PersonIx>,
    /// People whose refusal the provider did not take and whose next attempt is not due.
    pub(super) waiting_opt_outs: Vec<PersonIx>,
    pub(super) withheld: Vec<Withheld>,
    pub(super) blocked: Vec<Blocked>,
    /// Additions that undo what somebody did at the target.
    pub(super) overwritten: Vec<PersonIx>,
    /// People the source lists here, in ascending order.
    pub(super) listed: Vec<PersonIx>,
    /// People whose group opt-out the target can't hold.
    pub(super) unheld_opt_outs: u64,
    /// Active memberships of the source.
    pub(super) source_active: u64,
    /// Whether all of them were seen: a pair whose source is not read at all lacks none.
    pub(super) source_whole: bool,
    /// Active memberships of the target.
    pub(super) target_active: u64,
    pub(super) warnings: Vec<String>,
}

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
            Some(bar) if bar.held && !refused_there() => agreement.bars_anew.extend(bar.ids()),
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

impl Decider<'_, '_> {
    fn withhold(&mut self, person: PersonIx, reason: Reason) {
        self.out.withheld.push(Withheld {
            pair: self.ix,
            member: Some(person),
            reason,
        });
    }

    fn block(&mut self, person: PersonIx, reason: BlockedReason, detail: String) {
        let people = self.inputs.people;
        self.out.blocked.push(Blocked {
            what: What::Membership,
            group: Some(self.pair.name.clone()),
            member: Some(
                self.inputs
                    .names
                    .text(people.get(person).address)
                    .to_owned(),
            ),
            id: None,
            reason,
            detail,
        });
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

    fn additions(&mut self) {
        let (inputs, shown) = (self.inputs, self.shown);
        for &person in &shown.listed {
            let state = shown.states[&person];
            let row = inputs.people.get(person);
            let held = self.target_states.get(&person).copied();
            if let Some(why) = inputs
                .facts
                .get(&person)
                .and_then(|facts| facts.undecided.clone())
            {
                self.block(person, BlockedReason::ValueRefused, why);
                continue;
            }
            if !inputs.counts(person) {
                continue;
            }
            if row.refused_by_address && held.is_none() {
                self.withhold(person, Reason::OptedOutAtSource);
                continue;
            }
            match (state, row.source_status) {
                (MembershipState::Active, MemberStatus::Active) => {}
                (MembershipState::OptedOut, _) | (_, MemberStatus::OptedOut) => {
                    self.withhold(person, Reason::OptedOutAtSource);
                    continue;
                }
                (MembershipState::Unconfirmed, _) if held.is_none() => {
                    self.withhold(person, Reason::Unconfirmed);
                    continue;
                }
                _ if held.is_none() => {
                    self.withhold(person, Reason::Undeliverable);
                    continue;
                }
                _ => continue,
            }
            if let Some(held) = held {
                self.present(person, held);
            } else if self.seats.is_some_and(|seats| seats.in_conflict(person)) {
                // It is shown once, and not for each of the groups.
            } else if let Some(verdict) = self.obstacle(person) {
                match verdict {
                    Obstacle::Withheld(reason) => self.withhold(person, reason),
                    Obstacle::Blocked(reason, detail) => self.block(person, reason, detail),
                    Obstacle::SaidElsewhere => {}
                }
            } else {
                if let (Some(group), [only]) =
                    (self.pair.target.as_deref(), inputs.people.targets(person))
                    && inputs
                        .base
                        .membership(group, inputs.target.members[*only as usize].id)
                        .is_some()
                {
                    self.out.overwritten.push(person);
                }
                if self.was_removed(person) {
                    self.out.returns.push(person);
                } else {
                    self.out.additions.push(person);
                }
            }
        }
    }

    /// Tells whether rosterd itself took somebody out of the target's group in a way that shows as
    /// a refusal.
    fn was_removed(&self, person: PersonIx) -> bool {
        let listing = self
            .pair
            .target
            .as_deref()
            .and_then(|group| self.inputs.target.listing(group));
        listing.is_some_and(|listing| {
            self.inputs
                .people
                .targets(person)
                .iter()
                .any(|at| listing.seen().is_removed(*at))
        })
    }

    /// Somebody who is listed in any state is never added (rule 1).
    fn present(&mut self, person: PersonIx, held: MembershipState) {
        let inputs = self.inputs;
        match held {
            MembershipState::Active => {
                let Some(group) = self.pair.target.as_deref() else {
                    return;
                };
                let Some(listing) = inputs.target.listing(group) else {
                    return;
                };
                for &at in inputs.people.targets(person) {
                    if listing.seen().state_of(at) == Some(MembershipState::Active)
                        && inputs
                            .base
                            .membership(group, inputs.target.members[at as usize].id)
                            .is_none()
                    {
                        self.agreement.memberships.push((self.ix, at));
                    }
                }
                if let Some(bar) = self
                    .bar(person)
                    .filter(|bar| self.change_of_mind(person, Some(bar)))
                {
                    self.agreement.ended_bars.extend(bar.ids());
                }
            }
            MembershipState::OptedOut => self.withhold(person, Reason::OptedOutAtTarget),
            MembershipState::Bounced => self.withhold(person, Reason::Undeliverable),
            MembershipState::Unconfirmed => self.withhold(person, Reason::Unconfirmed),
        }
    }

    fn obstacle(&self, person: PersonIx) -> Option<Obstacle> {
        let inputs = self.inputs;
        let row = inputs.people.get(person);
        let targets = inputs.people.targets(person);
        let group = self.pair.target.as_deref();
        // A bar that this run sees end must not hold back what the next run would then add (rule
        // 11).
        let barred = self.bar(person).is_some()
            || (bar_of_account(inputs, person).is_some() && !account_bar_ends(inputs, person));
        // What can be seen at the target is told before what is remembered.
        if row.target_status == MemberStatus::OptedOut
            || self.refused_addresses.contains(&row.address)
        {
            return Some(Obstacle::Withheld(Reason::OptedOutAtTarget));
        }
        if barred
            || self.shown.refused_addresses.contains(&row.address)
            || is_forgotten(inputs, person)
        {
            return Some(Obstacle::Withheld(Reason::OptedOutAtSource));
        }
        if row.target_status != MemberStatus::Active {
            return Some(Obstacle::Withheld(Reason::Undeliverable));
        }
        let parted = group
            .and_then(|group| inputs.target.listing(group))
            .zip(row.parted_from);
        if parted.is_some_and(|(listing, at)| {
            listing.seen().state_of(at) == Some(MembershipState::OptedOut)
        }) {
            return Some(Obstacle::Withheld(Reason::OptedOutAtTarget));
        }
        // As long as a removal is open nobody knows whose doing it is, so that nothing proves that
        // the person may come back.
        let listing = group.and_then(|group| inputs.target.listing(group));
        let mut there = targets.iter().copied().chain(row.parted_from);
        if listing.is_some_and(|listing| there.any(|at| listing.seen().is_pending(at))) {
            return Some(Obstacle::Withheld(Reason::RemovedByRosterd));
        }
        if !inputs.policy.members.readd && self.was_removed(person) {
            return Some(Obstacle::Withheld(Reason::RemovedByRosterd));
        }
        if targets.len() > 1 {
            let ids: Vec<&str> = targets
                .iter()
                .map(|at| inputs.names.text(inputs.target.members[*at as usize].id))
                .collect();
            return Some(Obstacle::Blocked(
                BlockedReason::TwoCandidates,
                format!(
                    "the target's contacts {} share the address",
                    ids.join(" and ")
                ),
            ));
        }
        if matches!(row.hands, Hands::Stuck | Hands::Stranger) {
            return Some(Obstacle::Blocked(
                BlockedReason::AddressTaken,
                "the address belongs to another person at the target".to_owned(),
            ));
        }
        match (row.unusable, targets) {
            (Some(Unusable::Empty), []) => return Some(Obstacle::Withheld(Reason::NoAddress)),
            (Some(_), [_, ..]) => {
                return Some(Obstacle::Blocked(
                    BlockedReason::BadAddress,
                    "joining the group takes an e-mail address, and the source shows none"
                        .to_owned(),
                ));
            }
            // The person is said once, and not for each of the groups.
            (Some(Unusable::Malformed), []) => return Some(Obstacle::SaidElsewhere),
            (None, _) => {}
        }
        // The next run goes on, once the address is free.
        if row.hands.is_changing() {
            return Some(Obstacle::SaidElsewhere);
        }
        if let Some(gone) = row.vanished
            && !row.removed_by_us
        {
            let id = inputs.names.text(gone);
            return Some(Obstacle::Blocked(
                BlockedReason::GoneAtTarget,
                format!(
                    "the target's contact {id} no longer exists; an erased person is not created again"
                ),
            ));
        }
        let key = item_key(
            "add_memberships",
            group.unwrap_or(&self.pair.name),
            &inputs.key(person),
        );
        if let Some(words) = inputs.base.waiting.get(&key) {
            return Some(Obstacle::Blocked(
                BlockedReason::ValueRefused,
                words.clone(),
            ));
        }
        if let (Some(group), [only]) = (group, targets)
            && inputs
                .base
                .membership(group, inputs.target.members[*only as usize].id)
                .is_some()
            && inputs.policy.guards.on_drift == OnDrift::Keep
        {
            return Some(Obstacle::Withheld(Reason::RemovedAtTarget));
        }
        if targets.is_empty() {
            if let Some(words) =
                inputs
                    .base
                    .waiting
                    .get(&item_key("create_members", "", &inputs.key(person)))
            {
                return Some(Obstacle::Blocked(
                    BlockedReason::ValueRefused,
                    words.clone(),
                ));
            }
            let known_absent = match &inputs.target.existence {
                Existence::Whole => true,
                Existence::Asked(asked) => asked.contains(&row.address),
                Existence::Unknown => false,
            };
            if self.seats.is_some() && !inputs.policy.members.create_users {
                return Some(Obstacle::Withheld(Reason::NoUser));
            }
            if !inputs.policy.members.create {
                return Some(Obstacle::Withheld(Reason::NoContact));
            }
            if !known_absent {
                return Some(Obstacle::Blocked(
                    BlockedReason::IncompleteRead,
                    "whether the target has this person already could not be read".to_owned(),
                ));
            }
            let missing = inputs
                .facts
                .get(&person)
                .map_or(&[][..], |facts| facts.missing.as_slice());
            if !missing.is_empty() {
                let words = format!(
                    "a person can't be created there without {}; fill it in at the source, or map it",
                    missing.join(" and ")
                );
                return Some(Obstacle::Blocked(BlockedReason::ValueRefused, words));
            }
        }
        if let (Some(seats), [only]) = (self.seats, targets)
            && let Err((reason, detail)) = seats.may_leave(person, *only)
        {
            return Some(Obstacle::Blocked(reason, detail));
        }
        None
    }

    /// Plans removals. The two [`Complete`] arguments are the proof that absence was seen and not
    /// merely not read.
    fn removals(&mut self, _source: &Complete<Listing>, target: &Complete<Listing>) {
        let inputs = self.inputs;
        let Some(group) = self.pair.target.as_deref() else {
            return;
        };
        for row in &target.rows {
            let person = inputs.people.of_target(row.member);
            if !self.is_absent(row.member) || row.state != MembershipState::Active {
                continue;
            }
            let member = inputs.target.members[row.member as usize].id;
            let ours = inputs
                .base
                .membership(group, member)
                .is_some_and(|base| base.brought);
            let others = inputs
                .base
                .held_by_others
                .get(group)
                .is_some_and(|held| held.contains(&member));
            let leaves = match inputs.policy.mode {
                Mode::Add => false,
                Mode::Managed => ours && !others,
                Mode::Mirror => !others,
            };
            // Whoever refuses the group stays in it as one who refuses.
            if let (true, Some(person)) = (leaves, person)
                // Both were found in the order of the people.
                && self.out.opt_out_removals.binary_search(&person).is_err()
                && self.out.opt_outs.binary_search(&person).is_err()
                && self.out.waiting_opt_outs.binary_search(&person).is_err()
            {
                let key = item_key("remove_memberships", group, &inputs.key(person));
                match inputs.base.waiting.get(&key) {
                    Some(words) => self.block(person, BlockedReason::ValueRefused, words.clone()),
                    None => self.out.removals.push(person),
                }
            }
        }
        // What the base still holds although neither side does is over; what was brought is kept
        // while it stands.
        for known in inputs
            .base
            .memberships
            .get(group)
            .map_or(&[][..], Vec::as_slice)
        {
            let row = inputs.people.target_position(known.member);
            let wanted_now = row.is_some_and(|row| !self.is_absent(row));
            let stands =
                row.is_some_and(|row| target.state_of(row) == Some(MembershipState::Active));
            if !wanted_now && !self.refuses(target, known.member) && (!stands || !known.brought) {
                self.agreement.ended.push((group.to_owned(), known.member));
            }
        }
    }

    /// Ends the memberships of whoever is seen to refuse the group: should the person be active
    /// again, it is by the person's own wish, and not what this job brought. That needs no proof of
    /// absence, and waits for no reading to be whole.
    fn end_refused(&mut self, target: &Listing) {
        let Some(group) = self.pair.target.as_deref() else {
            return;
        };
        let known = self.inputs.base.memberships.get(group);
        for known in known.map_or(&[][..], Vec::as_slice) {
            if self.refuses(target, known.member) {
                self.agreement.ended.push((group.to_owned(), known.member));
            }
        }
    }

    fn refuses(&self, target: &Listing, member: Name) -> bool {
        let row = self.inputs.people.target_position(member);
        row.and_then(|row| target.state_of(row)) == Some(MembershipState::OptedOut)
    }
}

enum Obstacle {
    Withheld(Reason),
    Blocked(BlockedReason, String),
    /// Another finding of the plan says it.
    SaidElsewhere,
}
