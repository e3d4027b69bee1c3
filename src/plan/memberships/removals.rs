//! Who leaves a group, and which memberships are over.

use std::collections::HashSet;

use super::{Decider, PersonIx};
use crate::model::policy::Mode;
use crate::model::{Complete, Listing, MembershipState};
use crate::plan::BlockedReason;

impl Decider<'_, '_> {
    /// Plans removals. The two [`Complete`] arguments are the proof that absence was seen and not
    /// merely not read.
    pub(super) fn removals(&mut self, _source: &Complete<Listing>, target: &Complete<Listing>) {
        let inputs = self.inputs;
        let Some(group) = self.pair.target.as_deref() else {
            return;
        };
        let mut twins_said: HashSet<PersonIx> = HashSet::new();
        for row in &target.rows {
            let person = inputs.people.of_target(row.member);
            if row.state != MembershipState::Active || !self.is_absent(row.member) {
                continue;
            }
            let member = inputs.target.members[row.member as usize].id;
            let ours = self.tables.known.get(row.member) == Some(true);
            let others = inputs
                .base
                .held_by_others
                .get(group)
                .is_some_and(|held| held.contains(&member));
            // Of several contacts with one address only what this job brought is taken.
            let twin = person.is_some_and(|person| {
                let mut contacts = inputs.people.targets(person).iter();
                contacts.any(|contact| *contact != row.member)
            });
            let leaves = match inputs.policy.mode {
                Mode::Add => false,
                Mode::Managed => ours && !others,
                Mode::Mirror => !others && (ours || !twin),
            };
            if let (Mode::Mirror, false, false, Some(person)) =
                (inputs.policy.mode, others, leaves, person)
                && twins_said.insert(person)
            {
                self.block(
                    person,
                    BlockedReason::TwoCandidates,
                    "several of the target's contacts share the address, and this job did not bring them here; take the one out that is not wanted".to_owned(),
                );
            }
            // Whoever refuses the group stays in it as one who refuses.
            if let (true, Some(person)) = (leaves, person)
                // Both were found in the order of the people.
                && self.out.opt_out_removals.binary_search(&person).is_err()
                && self.out.opt_outs.binary_search(&person).is_err()
                && self.out.waiting_opt_outs.binary_search(&person).is_err()
            {
                match inputs.resting("remove_memberships", group, person) {
                    Some(resting) => self.rest(person, resting),
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
            if wanted_now {
                continue;
            }
            let state = row.and_then(|row| self.tables.contacts.get(row));
            let is_uncertain =
                row.is_some_and(|row| inputs.target.is_uncertain(target, row, inputs.names));
            if !is_uncertain
                && state != Some(MembershipState::OptedOut)
                && (state != Some(MembershipState::Active) || !known.brought)
            {
                self.agreement.ended.push((group.to_owned(), known.member));
            }
        }
    }

    /// Ends the memberships of whoever is seen to refuse the group: should the person be active
    /// again, it is by the person's own wish, and not what this job brought. That needs no proof of
    /// absence, and waits for no reading to be whole.
    pub(super) fn end_refused(&mut self) {
        let Some(group) = self.pair.target.as_deref() else {
            return;
        };
        if !self.there.is_refused {
            return;
        }
        let known = self.inputs.base.memberships.get(group);
        for known in known.map_or(&[][..], Vec::as_slice) {
            let row = self.inputs.people.target_position(known.member);
            let state = row.and_then(|row| self.tables.contacts.get(row));
            if state == Some(MembershipState::OptedOut) {
                self.agreement.ended.push((group.to_owned(), known.member));
            }
        }
    }
}
