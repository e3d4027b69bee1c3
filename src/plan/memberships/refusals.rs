//! Refusals of one group: who is to be opted out there, and which remembered refusals end.

use crate::model::in_quotes;
use std::collections::BTreeSet;

use super::Decider;
use crate::model::policy::OptOuts;
use crate::model::{Listing, MembershipState, Name};
use crate::plan::bars::{Bar, bar_of_pair};
use crate::plan::base::LedgerAudience;
use crate::plan::consent::left_address;
use crate::plan::people::PersonIx;
use crate::plan::seats::Seats;

impl<'a> Decider<'a, '_> {
    /// Finds the people whose refusal of the group matters: those who refuse it at either side, and
    /// those whose refusal is remembered and who are in the group at either side.
    fn refusing(&self) -> BTreeSet<PersonIx> {
        let mut refusing: BTreeSet<PersonIx> = self.shown.refusing.iter().copied().collect();
        // The target forgets a refusal when somebody takes the membership away, so it is remembered
        // here as well.
        let refused_there = self.there.refusing.iter().copied();
        refusing.extend(refused_there.filter(|person| !self.any_contact_active(*person)));
        if !self.inputs.base.ledger.refusals.is_empty() {
            let (wanted, held) = (self.tables.wanted.held(), self.tables.held.held());
            let people = wanted.iter().chain(held).copied().map(PersonIx);
            refusing.extend(people.filter(|person| self.bar(*person).is_some()));
        }
        refusing
    }

    /// Finds the remembered refusal of the pair's group.
    pub(super) fn bar(&self, person: PersonIx) -> Option<Bar<'a>> {
        bar_of_pair(self.inputs, person, self.pair)
    }

    /// Group opt-outs: written where the target can hold them, else the membership goes and a bar
    /// stays (rule 1). One that the target was never seen to obey is carried whatever the source
    /// shows by now.
    ///
    /// So are refusals of all mail where the target holds them group by group, whether the person
    /// is listed here or not.
    pub(super) fn opt_outs(&mut self, refusers: &BTreeSet<PersonIx>, target_whole: bool) {
        let inputs = self.inputs;
        let group = self.pair.target.as_deref();
        let carry = inputs.policy.members.opt_outs == OptOuts::Carry;
        let of_group = self.refusing();
        for &person in of_group.union(refusers) {
            let wanted = self.tables.wanted.get(person.0);
            let refuses = wanted == Some(MembershipState::OptedOut);
            let state = self.refused_here(person);
            // The strictest of several contacts says nothing of the others: each of them has to
            // refuse.
            let still_mailed = self.any_contact_active(person);
            let refused_there = state == Some(MembershipState::OptedOut) && !still_mailed;
            let is_out = target_whole && !still_mailed && !self.is_uncertain(person);
            let obeyed = refused_there || (!inputs.capabilities.group_opt_out && is_out);
            let bar = self.bar(person);
            let known = bar.as_ref().map(|bar| bar.held);
            // A refusal that has to be carried anew is remembered as one that the target does not
            // obey; one of all mail is remembered as such, and not once more for each group.
            let remember = of_group.contains(&person)
                && match known {
                    None => refuses || refused_there,
                    Some(held) => refuses && held && !obeyed,
                };
            match &bar {
                None if remember => self.agreement.bars.push((Some(self.ix), person)),
                Some(bar) if remember => bar.carry_anew(Some(self.ix), person, self.agreement),
                _ => {}
            }
            if let (true, Some(group)) = (obeyed && (remember || known == Some(false)), group) {
                self.agreement
                    .held_bars
                    .push((Some(group.to_owned()), person));
            }
            self.leave_address(person);
            // Of somebody whom the source does not list nobody else asks whether they came back.
            if let (Some(bar), false) = (&bar, wanted.is_some())
                && state == Some(MembershipState::Active)
                && self.change_of_mind(person, Some(bar))
            {
                self.agreement.ended_bars.extend(bar.ids());
            }
            let held_before = bar.as_ref().is_some_and(|bar| bar.held);
            let of_all = refusers.contains(&person);
            let due = if refuses || of_all {
                !refused_there
            } else {
                still_mailed && bar.as_ref().is_some_and(Bar::is_due)
            };
            if !due || !carry || (refuses && !of_all && self.shown.spares(inputs, person)) {
                continue;
            }
            let removes = !inputs.capabilities.group_opt_out;
            self.out.unheld_opt_outs += u64::from(removes);
            if removes && !(still_mailed && target_whole) {
                continue;
            }
            if let (true, Some(why)) = (removes, self.seats.and_then(Seats::no_parking)) {
                // Whoever is wanted elsewhere leaves by that, or is shown there.
                if !self.seats.is_some_and(|seats| seats.is_wanted(person)) {
                    self.out
                        .blocked
                        .extend(self.seats.map(|seats| seats.stranded(self.ix, person, why)));
                }
                continue;
            }
            // What was not taken once is sent again when it is due, and listed until then; it is
            // never given up.
            let op = if removes {
                "remove_memberships"
            } else {
                "set_opt_out"
            };
            let group = group.unwrap_or(&self.pair.name);
            if let Some(resting) = inputs.resting(op, group, person) {
                self.out.waiting_opt_outs.push(person);
                self.rest(person, resting);
                continue;
            }
            if still_mailed && !refuses && !of_all {
                self.out.warnings.push(format!(
                    "{}: a refusal that the source showed before has not reached the target; it is carried, whatever the source shows now.",
                    in_quotes(&self.pair.name)
                ));
            }
            if removes {
                self.out.opt_out_removals.push(person);
                continue;
            }
            if refuses && held_before && still_mailed {
                self.out.warnings.push(format!(
                    "{}: somebody is active again at the target while the source still shows the refusal; it is carried again.",
                    in_quotes(&self.pair.name)
                ));
            }
            // Whether there is a contact to hold it, and who is created for it, is decided once per
            // person.
            self.out.opt_outs.push(person);
        }
    }

    /// Remembers under which address the group is refused by a contact that is about to leave it.
    fn leave_address(&mut self, person: PersonIx) {
        let Some(group) = self.pair.target.as_deref() else {
            return;
        };
        let Some(listing) = self.listing else {
            return;
        };
        let audience = LedgerAudience::Group(group.to_owned());
        for contact in self.inputs.people.targets(person) {
            if listing.state_of(*contact) == Some(MembershipState::OptedOut) {
                let left = left_address(self.inputs, person, *contact, &audience);
                let left = left.map(|address| (Some(self.ix), address));
                self.agreement.left_addresses.extend(left);
            }
        }
    }

    /// Returns what the target's group holds of somebody who refuses. What shows as refused there
    /// because rosterd itself took the person out is a refusal of the person's own from now on.
    fn refused_here(&mut self, person: PersonIx) -> Option<MembershipState> {
        let inputs = self.inputs;
        let held = self.tables.held.get(person.0);
        let Some(group) = self.pair.target.as_deref() else {
            return held;
        };
        let Some(listing) = self.listing else {
            return held;
        };
        let removed = inputs
            .people
            .targets(person)
            .iter()
            .filter(|at| listing.is_removed(**at));
        let removed: Vec<Name> = removed
            .map(|at| inputs.target.members[*at as usize].id)
            .collect();
        if removed.is_empty() {
            return held;
        }
        self.agreement
            .ended_removals
            .extend(removed.into_iter().map(|member| (group.to_owned(), member)));
        Some(held.map_or(MembershipState::OptedOut, |held| {
            held.max(MembershipState::OptedOut)
        }))
    }

    /// Tells whether somebody who is active in the target's group came back there by their own
    /// wish: the target obeyed the refusal once, and rosterd has not brought the membership.
    pub(super) fn change_of_mind(&self, person: PersonIx, bar: Option<&Bar<'_>>) -> bool {
        let inputs = self.inputs;
        let Some(group) = self.pair.target.as_deref() else {
            return false;
        };
        // A membership that rosterd brought and could not remove is no sign of a change of mind.
        let own_doing = inputs.people.targets(person).iter().any(|at| {
            inputs
                .base
                .membership(group, inputs.target.members[*at as usize].id)
                .is_some()
        });
        bar.is_some_and(super::super::bars::Bar::may_end) && !own_doing
    }

    /// Tells whether the target's group lists any of a person's contacts as active.
    fn any_contact_active(&self, person: PersonIx) -> bool {
        self.any_contact(person, |listing, at| {
            listing.state_of(at) == Some(MembershipState::Active)
        })
    }

    /// Tells whether nobody knows how one of a person's contacts stands in the target's group.
    fn is_uncertain(&self, person: PersonIx) -> bool {
        let inputs = self.inputs;
        self.any_contact(person, |listing, at| {
            inputs.target.is_uncertain(listing, at, inputs.names)
        })
    }

    fn any_contact(&self, person: PersonIx, stands: impl Fn(&Listing, u32) -> bool) -> bool {
        self.listing.is_some_and(|listing| {
            let mut contacts = self.inputs.people.targets(person).iter();
            contacts.any(|at| stands(listing, *at))
        })
    }
}
