//! Who joins a group, and what keeps somebody out of it.

use super::Decider;
use crate::model::policy::OnDrift;
use crate::model::{Existence, MemberStatus, MembershipState};
use crate::plan::bars::{bar_of_account, is_forgotten};
use crate::plan::base::Resting;
use crate::plan::consent::account_bar_ends;
use crate::plan::people::{Hands, PersonIx, Unusable};
use crate::plan::{BlockedReason, Reason};

impl Decider<'_, '_> {
    pub(super) fn additions(&mut self) {
        let (inputs, shown) = (self.inputs, self.shown);
        if inputs.undecided.is_some() {
            return;
        }
        // Most people are in several groups, and what holds for one of their memberships holds for
        // the others. What they are kept from by a group alone is looked up for each of them.
        let everybody_may_join = self.seats.is_none()
            && inputs.base.resting.is_empty()
            && self.there.refused_addresses.is_empty()
            && shown.refused_addresses.is_empty();
        for &person in &shown.listed {
            let Some(state) = self.tables.wanted.get(person.0) else {
                continue;
            };
            let held = self.tables.held.get(person.0);
            match (state, held) {
                (MembershipState::Active, Some(MembershipState::Active))
                    if self.tables.stays.contains(person.0)
                        && self.tables.known_people.contains(person.0) =>
                {
                    continue;
                }
                (MembershipState::Active, None)
                    if everybody_may_join && self.tables.joins.contains(person.0) =>
                {
                    self.out.additions.push(person);
                    continue;
                }
                _ => {}
            }
            let row = inputs.people.get(person);
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
            let contacts = inputs.people.targets(person);
            let is_free = inputs.people.remembered(person).is_empty();
            if let Some(held) = held {
                if is_free && contacts.len() == 1 {
                    self.tables.stays.insert(person.0);
                }
                self.present(person, held);
            } else if self.seats.is_some_and(|seats| seats.in_conflict(person)) {
                // It is shown once, and not for each of the groups.
            } else if let Some(verdict) = self.obstacle(person) {
                match verdict {
                    Obstacle::Withheld(reason) => {
                        if reason == Reason::RemovedAtTarget {
                            self.out.kept_out.push(person);
                        }
                        self.withhold(person, reason);
                    }
                    Obstacle::Blocked(reason, detail) => self.block(person, reason, detail),
                    Obstacle::Rests(resting) => self.rest(person, &resting),
                    Obstacle::SaidElsewhere => {}
                }
            } else {
                if self.was_known(contacts) {
                    self.out.overwritten.push(person);
                }
                let parted = inputs.people.parted_from(person);
                if is_free && contacts.is_empty() && parted.is_none() {
                    self.tables.joins.insert(person.0);
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
        self.listing.is_some_and(|listing| {
            let mut contacts = self.inputs.people.targets(person).iter();
            contacts.any(|at| listing.is_removed(*at))
        })
    }

    /// Tells whether a person's only contact was in the group when the last run ended.
    fn was_known(&self, contacts: &[u32]) -> bool {
        matches!(contacts, [only] if self.tables.known.get(*only).is_some())
    }

    /// Somebody who is listed in any state is never added (rule 1).
    fn present(&mut self, person: PersonIx, held: MembershipState) {
        let inputs = self.inputs;
        match held {
            MembershipState::Active => {
                let tables = &*self.tables;
                for &at in inputs.people.targets(person) {
                    if tables.contacts.get(at) == Some(MembershipState::Active)
                        && tables.known.get(at).is_none()
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
        // A bar that this run sees end must not hold back what the next run would then add (rule
        // 11).
        let barred = self.bar(person).is_some()
            || (bar_of_account(inputs, person).is_some() && !account_bar_ends(inputs, person));
        // What can be seen at the target is told before what is remembered.
        if row.target_status == MemberStatus::OptedOut
            || self.there.refused_addresses.contains(&row.address)
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
        let listing = self.listing;
        let parted = listing.zip(inputs.people.parted_from(person));
        if parted
            .is_some_and(|(listing, at)| listing.state_of(at) == Some(MembershipState::OptedOut))
        {
            return Some(Obstacle::Withheld(Reason::OptedOutAtTarget));
        }
        // As long as a removal is open nobody knows whose doing it is, so that nothing proves that
        // the person may come back.
        let mut there = targets
            .iter()
            .copied()
            .chain(inputs.people.parted_from(person));
        if listing.is_some_and(|listing| there.any(|at| listing.is_pending(at))) {
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
        let group = self.pair.target.as_deref().unwrap_or(&self.pair.name);
        if let Some(resting) = inputs.resting("add_memberships", group, person) {
            return Some(Obstacle::Rests(resting.clone()));
        }
        if self.was_known(targets) && inputs.policy.guards.on_drift == OnDrift::Keep {
            return Some(Obstacle::Withheld(Reason::RemovedAtTarget));
        }
        if targets.is_empty() {
            if let Some(resting) = inputs.resting("create_members", "", person) {
                return Some(Obstacle::Rests(resting.clone()));
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
}

enum Obstacle {
    Withheld(Reason),
    Blocked(BlockedReason, String),
    Rests(Resting),
    /// Another finding of the plan says it.
    SaidElsewhere,
}
