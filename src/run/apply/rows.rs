//! Requests by row: people who join, leave or come back to several groups in one request.

use super::Applying;
use crate::model::{
    Leaving, MemberJoin, MemberLeave, MemberReturn, MemberStatus, MembershipState, ObjectKind,
    Record, Write,
};
use crate::plan::pack::Leave;
use crate::plan::{PairIx, PersonIx, refused_before};
use crate::run::error::{RunError, staging_error};

use crate::run::prepare::Prepared;
use crate::run::read::current;
use crate::run::settle::Item;

impl Applying<'_> {
    /// Returns the address as the target spells it, for requests that go by address: an address in
    /// another spelling, such as one with an international domain, may be somebody new to the
    /// provider.
    pub(super) fn address_there(&self, person: PersonIx) -> Result<String, RunError> {
        let held = current(&self.prepared.sides, &self.prepared.planned.people, person)?;
        Ok(self.as_spelled(person, &held))
    }

    /// Returns the address of one of a person's contacts as the target spells it.
    pub(super) fn address_of_contact(
        &self,
        person: PersonIx,
        id: &str,
    ) -> Result<String, RunError> {
        let held = self
            .prepared
            .sides
            .target_staging
            .get(id)
            .map_err(staging_error)?
            .unwrap_or_default();
        Ok(self.as_spelled(person, &held))
    }

    fn as_spelled(&self, person: PersonIx, held: &Record) -> String {
        let field = self
            .prepared
            .schema
            .by_canonical(ObjectKind::Member, "email")
            .map_or("email", |spec| spec.wire);
        match held.get(field).filter(|_| !self.moved.contains(&person)) {
            Some(spelling) => spelling.to_string().trim().to_owned(),
            None => self.address(person),
        }
    }

    pub(super) fn joins(
        &self,
        rows: Vec<(PersonIx, Vec<PairIx>)>,
    ) -> Result<Option<(Write, Vec<Item>)>, RunError> {
        let mut joins = Vec::new();
        let mut items = Vec::new();
        for (person, pairs) in rows
            .into_iter()
            .filter(|(person, _)| !self.lost_people.contains(person))
        {
            let id = self.ids(person).into_iter().next();
            let is_untold = |pair| {
                let mut ids = id.iter();
                ids.any(|id| self.is_untold("add_memberships", pair, person, id))
            };
            let may_join = |pair: &PairIx| {
                !self.lost_groups.contains(pair)
                    && !self.so_far.already_there.contains(&(*pair, person))
                    && !is_untold(*pair)
            };
            let (pairs, groups) = self.with_ids(pairs.into_iter().filter(may_join));
            if groups.is_empty() {
                continue;
            }
            let known = !self.prepared.planned.people.targets(person).is_empty();
            let fields = match id {
                Some(_) => Record::new(),
                None => self.confirming().fields_of(person)?,
            };
            joins.push(MemberJoin {
                id: id.clone(),
                address: self.address_there(person)?,
                fields,
                groups,
            });
            let op = if known {
                "add_memberships"
            } else {
                "create_members"
            };
            items.push(Item {
                op,
                pair: None,
                joins: pairs,
                person: Some(person),
                target_id: id,
                detail: None,
            });
        }
        Ok((!joins.is_empty()).then_some((Write::JoinGroups { rows: joins }, items)))
    }

    pub(super) fn leaves(
        &self,
        rows: Vec<Leave>,
        how: Leaving,
    ) -> Result<Option<(Write, Vec<Item>)>, RunError> {
        let mut leaves = Vec::new();
        let mut items = Vec::new();
        for Leave {
            member,
            contact,
            pairs,
        } in rows
            .into_iter()
            .filter(|row| !self.lost_people.contains(&row.member))
        {
            let id = self.ids(member).into_iter().nth(contact);
            // Of several contacts only those who are in the group leave it, and a refusal is
            // written to every one.
            let position = id
                .as_deref()
                .and_then(|id| self.prepared.planned.names.find(id));
            let position =
                position.and_then(|name| self.prepared.planned.people.target_position(name));
            let leaves_group = |pair: &PairIx| match how {
                Leaving::OptOut => true,
                Leaving::Remove | Leaving::Detach => {
                    let listing = self
                        .group_id(*pair)
                        .and_then(|group| self.prepared.sides.target.listing(&group).cloned());
                    let state = position
                        .zip(listing)
                        .and_then(|(at, listing)| listing.seen().state_of(at));
                    let left = id
                        .as_ref()
                        .is_some_and(|id| self.stays.contains(&(*pair, id.clone())));
                    let others = id.as_ref().is_some_and(|id| {
                        self.is_others(member, *pair, id)
                            || self.is_untold("remove_memberships", *pair, member, id)
                    });
                    !self.lost_groups.contains(pair)
                        && !left
                        && !others
                        && state == Some(MembershipState::Active)
                }
            };
            let (pairs, groups) = self.with_ids(pairs.into_iter().filter(leaves_group));
            if groups.is_empty() || (id.is_none() && how != Leaving::OptOut) {
                continue;
            }
            let (address, fields) = match &id {
                Some(id) => (self.address_of_contact(member, id)?, Record::new()),
                None => (
                    self.address_there(member)?,
                    self.confirming().fields_of(member)?,
                ),
            };
            leaves.push(MemberLeave {
                id: id.clone(),
                address,
                fields,
                groups,
            });
            let op = if how == Leaving::OptOut {
                "set_opt_out"
            } else {
                "remove_memberships"
            };
            items.push(Item {
                op,
                pair: None,
                joins: pairs,
                person: Some(member),
                target_id: id,
                detail: None,
            });
        }
        Ok((!leaves.is_empty()).then_some((Write::LeaveGroups { rows: leaves, how }, items)))
    }

    /// Asks what is remembered for the proof that each of these may come back; without one nobody
    /// does (rule 1).
    pub(super) fn returns(
        &self,
        rows: Vec<(PersonIx, PairIx)>,
    ) -> Result<Option<(Write, Vec<Item>)>, RunError> {
        let own = self.runner.store().own_removals(&self.job.target_account)?;
        let mut returns = Vec::new();
        let mut items = Vec::new();
        for (person, pair) in rows
            .into_iter()
            .filter(|(person, _)| !self.lost_people.contains(person))
        {
            let Some(group) = self.group_id(pair) else {
                continue;
            };
            for id in self.ids(person) {
                let Some(removal) = own.get(&group, &id) else {
                    continue;
                };
                if self.is_untold("add_memberships", pair, person, &id) {
                    continue;
                }
                returns.push(MemberReturn::of(removal.clone()));
                items.push(Item {
                    op: "add_memberships",
                    pair: Some(pair),
                    joins: Vec::new(),
                    person: Some(person),
                    target_id: Some(id),
                    detail: None,
                });
            }
        }
        Ok((!returns.is_empty()).then_some((Write::BringBack { rows: returns }, items)))
    }

    /// Tells whether a membership of one of several contacts of a person is somebody else's, so
    /// that a removal leaves it alone: this job did not bring it. A removal that stands in for a
    /// refusal takes every contact.
    pub(super) fn is_others(&self, person: PersonIx, pair: PairIx, id: &str) -> bool {
        let Prepared {
            planned,
            base,
            capabilities,
            ..
        } = &self.prepared;
        let Some(group) = self.group_id(pair) else {
            return false;
        };
        if planned.people.targets(person).len() < 2
            || (!capabilities.group_opt_out && self.refuses(person, pair))
        {
            return false;
        }
        let known = planned
            .names
            .find(id)
            .and_then(|name| base.membership(&group, name));
        !known.is_some_and(|known| known.brought)
    }

    /// Tells whether a person refuses a group, at the source or as it is remembered.
    pub(super) fn refuses(&self, person: PersonIx, pair: PairIx) -> bool {
        let Prepared { planned, sides, .. } = &self.prepared;
        let row = planned.people.get(person);
        let listing = planned
            .plan
            .pair(pair)
            .source
            .as_deref()
            .and_then(|source| sides.source.listing(source));
        let listed = listing.is_some_and(|listing| {
            planned
                .people
                .sources(person)
                .iter()
                .any(|at| listing.seen().state_of(*at) == Some(MembershipState::OptedOut))
        });
        listed
            || row.source_status == MemberStatus::OptedOut
            || self
                .prepared
                .with_inputs(|inputs| refused_before(inputs, person, planned.plan.pair(pair)))
    }

    /// Pairs groups with the ids that are known by now; those that could not be created fall away.
    fn with_ids(&self, pairs: impl Iterator<Item = PairIx>) -> (Vec<PairIx>, Vec<String>) {
        pairs
            .filter_map(|pair| Some((pair, self.group_id(pair)?)))
            .unzip()
    }
}
