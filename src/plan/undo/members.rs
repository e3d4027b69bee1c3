//! Who leaves a group again and who comes back, and which group goes.

use std::collections::HashSet;

use super::{Did, Inverse, Left};
use crate::model::{
    Group, GroupStatus, Listing, MemberStatus, MembershipState, Name, Reading, Snapshot, Unreadable,
};
use crate::plan::bars::{bar_of_account, is_forgotten, refused_before};
use crate::plan::base::Origin;
use crate::plan::{Edit, PairIx, PersonIx};

/// Who refuses a group, at either side and by whichever row.
pub(super) struct Refusing {
    /// By rows of the source, of those included whom such a row reaches.
    people: HashSet<PersonIx>,
    /// The addresses of contacts that refuse the target's group.
    addresses: HashSet<Name>,
    /// Whether every refusal at the source is known.
    whole: bool,
}

impl<'a> Inverse<'a> {
    /// Takes a group away again that nobody is in but whom the run put there; where a member is in one
    /// group at a time, but who leaves it by this plan.
    pub(super) fn created_group(&mut self, did: &'a Did) -> Result<Edit, Left> {
        self.is_still_there(did)?;
        let (pair, group) = self.group(did)?;
        let inputs = self.inputs;
        let link = self.links.get(group.id.as_str()).copied();
        let link = link.filter(|link| link.origin == Origin::Created);
        let link = link.ok_or(Left::ChangedSince)?;
        // A flag that the source shows by now is nobody's to lift, whatever it was once.
        let source = inputs.source.group(&link.source);
        let is_shown = source.is_some_and(|source| source.protected || source.unread.is_some());
        let is_sure = inputs.source.groups.complete().is_some() && !inputs.policy.source_shared;
        let is_unknown = source.is_none() && !is_sure;
        if is_unknown {
            return Err(Left::NotRead);
        }
        if (group.protected && !link.protect_set) || is_shown {
            return Err(Left::Protected);
        }
        if inputs.base.groups_of_others.contains(&group.id) {
            return Err(Left::OtherJob);
        }
        if group.unread.is_some() {
            return Err(Left::NotRead);
        }
        let listing = self.listing(pair)?;
        let nobody = HashSet::new();
        let added = self.added.get(group.id.as_str()).unwrap_or(&nobody);
        let one_group = inputs.capabilities.one_group_per_member;
        let is_ours = |at: u32, state: MembershipState| {
            let id = inputs.target.members[at as usize].id;
            let goes = if one_group {
                self.moved.contains(&at)
            } else {
                added.contains(inputs.names.text(id))
            };
            state == MembershipState::Active && goes && !self.is_held_by_others(&group.id, id)
        };
        // An archived group keeps the refusals that stand in it; a deleted one would take them along.
        let is_kept = |state: MembershipState| {
            inputs.capabilities.archive_group && state == MembershipState::OptedOut
        };
        if listing
            .rows
            .iter()
            .any(|row| !is_ours(row.member, row.state) && !is_kept(row.state))
        {
            return Err(Left::OthersInGroup);
        }
        self.going
            .insert(did.group_id.as_deref().unwrap_or_default());
        let lift_protection = group.protected;
        Ok(if inputs.capabilities.archive_group {
            Edit::ArchiveGroup {
                pair,
                lift_protection,
            }
        } else {
            Edit::DeleteGroup {
                pair,
                lift_protection,
            }
        })
    }

    fn is_held_by_others(&self, group: &str, contact: Name) -> bool {
        let held = self.inputs.base.held_by_others.get(group);
        held.is_some_and(|held| held.contains(&contact))
    }

    /// Tells whether the group of an item is still in use. With a group that is gone so are its members, and in
    /// one that an undo put away they rest; in one that somebody else archived they get its mail again once it
    /// is set active.
    pub(super) fn is_still_there(&self, did: &Did) -> Result<(), Left> {
        let Some(id) = did.group_id.as_deref() else {
            return Ok(());
        };
        let inputs = self.inputs;
        match self.groups.get(id) {
            Some(group) if group.status != GroupStatus::Archived => Ok(()),
            Some(_) if inputs.base.put_away.contains(id) => Err(Left::AlreadySo),
            Some(_) => Err(Left::Archived),
            // A shared login may have lost sight of it.
            None if inputs.target.groups.complete().is_none()
                || inputs.target.unsure_groups.contains(id)
                || inputs.policy.target_shared =>
            {
                Ok(())
            }
            None => Err(Left::AlreadySo),
        }
    }

    /// Finds who is taken out of a group again; nobody where the group itself goes.
    pub(super) fn added(&self, did: &'a Did) -> Result<Option<(PairIx, PersonIx)>, Left> {
        self.is_still_there(did)?;
        let (pair, group) = self.group(did)?;
        if self.going.contains(group.id.as_str()) && did.member_id.is_some() {
            return Ok(None);
        }
        let listing = self.listing(pair)?;
        let (person, at) = self.person(did)?;
        match listing.state_of(at) {
            Some(MembershipState::Active) => {}
            None => return Err(Left::AlreadySo),
            Some(_) => return Err(Left::Refuses),
        }
        self.is_ours_alone(did, group, at)?;
        Ok(Some((pair, person)))
    }

    /// Tells whether this job brought somebody into a group, and no other one wants them there.
    pub(super) fn is_ours_alone(&self, did: &Did, group: &Group, at: u32) -> Result<(), Left> {
        let contact = self.inputs.target.members[at as usize].id;
        if self.is_held_by_others(&group.id, contact) {
            return Err(Left::OtherJob);
        }
        let base = self.inputs.base.membership(&group.id, contact);
        let put_back = self.inputs.base.put_back.get(&group.id);
        // What takes a run back brings nobody, and what it put there is its own to take out.
        let is_ours = base.is_some_and(|base| base.brought)
            || ((did.by_undo || did.returned)
                && put_back.is_some_and(|people| people.contains(&contact)));
        if is_ours {
            Ok(())
        } else {
            Err(Left::ChangedSince)
        }
    }

    /// Finds who comes back into a group.
    pub(super) fn removed(&mut self, did: &'a Did) -> Result<(PairIx, PersonIx), Left> {
        let (pair, _) = self.group(did)?;
        self.listing(pair)?;
        let (person, at) = self.person(did)?;
        self.comes_back(pair, person, at)?;
        Ok((pair, person))
    }

    /// Tells whether somebody may come back into a group. All that keeps somebody from being added keeps
    /// them from coming back.
    pub(super) fn comes_back(
        &mut self,
        pair: PairIx,
        person: PersonIx,
        at: u32,
    ) -> Result<(), Left> {
        let listing = self.listing(pair)?;
        let inputs = self.inputs;
        let target = self.pairs[pair.0 as usize].target.as_deref();
        let group = target.and_then(|id| self.groups.get(id));
        let mails = group.is_none_or(|group| group.auto_response);
        if mails && !inputs.policy.allow_auto_response {
            return Err(Left::NotFilled);
        }
        match listing.state_of(at) {
            None if listing.is_removed(at) => return Err(Left::Unsubscribed),
            None if !listing.is_pending(at) => {}
            Some(MembershipState::Active) => return Err(Left::AlreadySo),
            _ => return Err(Left::Refuses),
        }
        // Rule 3: nobody is added anywhere while an account's opt-outs are not known to their end.
        let sides = [inputs.source, inputs.target];
        if sides
            .iter()
            .any(|side| side.account_state.complete().is_none())
        {
            return Err(Left::NotRead);
        }
        let row = inputs.people.get(person);
        let standing = self.pairs[pair.0 as usize].clone();
        let refusing = self.refusing(pair, listing);
        if !refusing.whole {
            return Err(Left::NotRead);
        }
        let statuses = [row.source_status, row.target_status];
        let refuses = statuses
            .iter()
            .any(|status| *status != MemberStatus::Active)
            || row.refused_by_address
            || refusing.people.contains(&person)
            || refusing.addresses.contains(&row.address)
            || is_forgotten(inputs, person)
            || bar_of_account(inputs, person).is_some()
            || refused_before(inputs, person, &standing);
        if refuses {
            return Err(Left::Refuses);
        }
        self.stands_well(pair, person, at)?;
        let moves = row.hands.is_changing() || row.hands.is_taken() || row.moves_from.is_some();
        if moves || row.unusable.is_some() || inputs.people.parted_from(person).is_some() {
            return Err(Left::ChangedSince);
        }
        Ok(())
    }

    /// Tells whether nobody comes back whom the source lists as anything but a member, or of whom nobody can
    /// tell how they stand.
    fn stands_well(&self, pair: PairIx, person: PersonIx, contact: u32) -> Result<(), Left> {
        let inputs = self.inputs;
        let is_doubtful = |side: &Snapshot, at: u32| {
            let id = inputs.names.text(side.members[at as usize].id);
            let what = side.unreadable.get(id);
            matches!(what, Some(Unreadable::Standing(_)))
        };
        let records = inputs.people.sources(person);
        if is_doubtful(inputs.target, contact)
            || records.iter().any(|at| is_doubtful(inputs.source, *at))
        {
            return Err(Left::NotRead);
        }
        let source = self.pairs[pair.0 as usize].source.as_deref();
        let listing = source.and_then(|id| inputs.source.listing(id));
        let states = records
            .iter()
            .filter_map(|at| listing?.seen().state_of(*at));
        let mut others = states.filter(|state| *state != MembershipState::Active);
        others.next().map_or(Ok(()), |_| Err(Left::Refuses))
    }

    /// Returns who refuses the group of a pair.
    fn refusing(&mut self, ix: PairIx, there: &Listing) -> &Refusing {
        let (inputs, pair) = (self.inputs, &self.pairs[ix.0 as usize]);
        self.refusing.entry(ix).or_insert_with(|| {
            let source = pair.source.as_deref().map(|id| inputs.source.listing(id));
            // Of a group whose source is gone only what is remembered can be known.
            let source = source.flatten();
            let opted_out = |listing: &'a Listing| {
                let rows = listing.rows.iter();
                rows.filter(|row| row.state == MembershipState::OptedOut)
            };
            let mut people = HashSet::new();
            for row in source
                .into_iter()
                .flat_map(|listing| opted_out(listing.seen()))
            {
                if let Some(person) = inputs.people.of_source(row.member) {
                    people.insert(person);
                    people.extend(inputs.people.reached(person));
                }
            }
            let rows = there.rows.iter();
            let rows = rows.filter(|row| row.state == MembershipState::OptedOut);
            let addresses =
                rows.filter_map(|row| inputs.target.members[row.member as usize].address);
            Refusing {
                people,
                addresses: addresses.collect(),
                whole: match source {
                    Some(Reading::Incomplete(part)) => part.opt_outs_complete,
                    Some(_) => true,
                    None => pair.source.is_none(),
                },
            }
        })
    }
}
