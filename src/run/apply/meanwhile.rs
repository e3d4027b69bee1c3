//! Looks again, right before a group is written, who came, left or refused since it was listed
//! (rule 1).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use super::Applying;
use crate::model::{
    Leaving, Listing, MemberStatus, MembershipState, OwnRemoval, OwnRemovals, Reading,
};
use crate::plan::pack::Step;
use crate::plan::{PairIx, PersonIx};
use crate::run::error::RunError;
use crate::run::read::{GroupNow, group_now, groups_now};
use crate::run::settle::Item;
use crate::state::Change;

/// What is said of somebody of whom nobody can tell, right before a write, how they stand.
const UNTOLD_BEFORE: &str = "nobody can tell how the person stands in the group now, so that nothing was sent; the next run looks again";

/// A listing older than this is read again before its group is written.
const FRESH: Duration = Duration::from_mins(10);

impl Applying<'_> {
    /// Reads the groups again that a step adds people to or takes people out of, where their
    /// listing is old or remembered; and whoever refused meanwhile is left alone and remembered.
    ///
    /// Right before people are taken out in a way that shows as a refusal, the listing is always
    /// too old: what became of those who are not active any more is their own doing, and is never
    /// recorded as rosterd's. Then those alone are looked at who are to leave, where that takes
    /// fewer requests.
    pub(super) async fn look_again_before(&mut self, step: &Step) -> Result<(), RunError> {
        if self.too_old_for(step).is_empty() {
            return Ok(());
        }
        // What is under way would show as news, and others grow old until it has landed.
        self.land_all().await?;
        let listings = self.too_old_for(step);
        if listings.is_empty() {
            return Ok(());
        }
        let groups: BTreeSet<String> = listings.iter().map(|(_, group)| group.clone()).collect();
        let began = self.handle.account.now();
        let seen = if self.shows_as_refusal(step) {
            let pairs = listings.iter().map(|(pair, _)| *pair);
            let people = pairs.map(|pair| (pair, members_of(step, pair)));
            self.people_now(people).await?
        } else {
            groups_now(&self.handle, &groups).await?
        };
        let store = self.runner.store();
        // A removal that is settled in between is in both, and never in neither.
        let pending = store.pending_removals(&self.job.target_account)?;
        let own = store.own_removals(&self.job.target_account)?;
        for (pair, group) in listings {
            let Some(now) = seen.get(&group) else {
                continue;
            };
            if !now.whole && now.asked.is_none() {
                self.leave_out(pair, &now.why);
                continue;
            }
            let open = pending.get(&group);
            let is_open = |id: &str| open.is_some_and(|people| people.contains(id));
            let is_asked = |id: &str| now.asked.as_ref().is_none_or(|ids| ids.contains(id));
            self.untold
                .retain(|(known, id)| *known != pair || !is_asked(id));
            let untold = now.uncertain.iter().map(|id| (pair, id.clone()));
            self.untold.extend(untold);
            let whom = match &now.asked {
                Some(_) => members_of(step, pair).into_iter().collect(),
                None => self
                    .prepared
                    .planned
                    .people
                    .iter()
                    .map(|(it, _)| it)
                    .collect(),
            };
            let changes = self.look_again(pair, &group, now, &whom, &own, &is_open);
            self.runner.store().record(&changes)?;
            if now.asked.is_none() {
                self.prepared.sides.target_listed_at.insert(group, began);
                self.seen_twice.insert(pair);
            }
        }
        Ok(())
    }

    /// Tells whether a step takes people out of groups in a way that shows as a refusal of theirs.
    fn shows_as_refusal(&self, step: &Step) -> bool {
        matches!(step, Step::LeaveGroups { .. }) && self.prepared.capabilities.removal_shows_opt_out
    }

    /// Names the groups that are read again before a step.
    fn too_old_for(&self, step: &Step) -> BTreeSet<(PairIx, String)> {
        let shows_as_refusal = self.shows_as_refusal(step);
        step.writes_into()
            .into_iter()
            .filter(|pair| !self.lost_groups.contains(pair))
            .filter(|pair| shows_as_refusal || self.is_listing_old(*pair))
            .filter_map(|pair| Some((pair, self.group_id(pair)?)))
            .collect()
    }

    /// Names those of a step for whom nothing is sent because nobody can tell how they stand.
    pub(super) fn name_untold(&mut self, step: &Step) {
        if self.untold.is_empty() {
            return;
        }
        let op = match step {
            Step::RemoveMemberships { .. } | Step::LeaveGroups { .. } => "remove_memberships",
            _ => "add_memberships",
        };
        for pair in step.writes_into() {
            for person in members_of(step, pair) {
                let is_over = self.lost_groups.contains(&pair)
                    || self.lost_people.contains(&person)
                    || self.so_far.already_there.contains(&(pair, person));
                let mut ids = self.ids(person).into_iter();
                let id = ids.find(|id| {
                    let is_meant = op == "add_memberships" || self.would_leave(pair, person, id);
                    is_meant && self.is_untold(op, pair, person, id)
                });
                if let (false, Some(_)) = (is_over, &id)
                    && self.named_untold.insert((pair, person))
                {
                    let item = item_of(op, pair, person, id);
                    self.untold(&item, UNTOLD_BEFORE);
                }
            }
        }
    }

    /// Tells whether a removal of a person takes this contact out of a group: it is active there by
    /// the listing that was planned with, and its membership is nobody else's.
    fn would_leave(&self, pair: PairIx, person: PersonIx, id: &str) -> bool {
        let group = self.group_id(pair);
        let state = group.and_then(|group| self.state_before(&group, id));
        state == Some(MembershipState::Active) && !self.is_others(person, pair, id)
    }

    /// Returns how a contact stood in a group by the listing that was planned with.
    pub(super) fn state_before(&self, group: &str, id: &str) -> Option<MembershipState> {
        let planned = &self.prepared.planned;
        let name = planned.names.find(id)?;
        let at = planned.people.target_position(name)?;
        let listing = self.prepared.sides.target.listing(group)?;
        listing.seen().state_of(at)
    }

    /// Tells whether nothing is sent for a contact because nobody can tell how it stands in a group.
    pub(super) fn is_untold(
        &self,
        op: &'static str,
        pair: PairIx,
        person: PersonIx,
        id: &str,
    ) -> bool {
        let of_pair = (pair, id.to_owned());
        self.untold.contains(&of_pair)
            && !(op == "remove_memberships" && self.stays.contains(&of_pair))
            && !self.carries_refusal(&item_of(op, pair, person, None))
    }

    /// Looks once more for people whom a step takes out of groups because the source did not list
    /// them, where its listing may have passed over somebody who stays.
    pub(super) async fn look_twice_at_source(&mut self, step: &Step) -> Result<(), RunError> {
        // Whoever leaves because a run is taken back is still in the source's groups.
        if self.prepared.planned.undoing.is_some() {
            return Ok(());
        }
        let mut missing: BTreeMap<PairIx, Vec<PersonIx>> = BTreeMap::new();
        for (pair, person) in self.leaving(step) {
            // Whoever refuses goes, whether the source lists them or not.
            if self.may_be_passed_over(pair, person) && !self.refuses(person, pair) {
                missing.entry(pair).or_default().push(person);
            }
        }
        for (pair, people) in missing {
            let first = !self.second_look.contains_key(&pair);
            let seen = match self.second_look.remove(&pair) {
                Some(seen) => seen,
                None => match self.source_group_now(pair).await {
                    Ok(seen) => seen,
                    Err(RunError::Stopped) => return Err(RunError::Stopped),
                    Err(RunError::Write { why, .. }) => GroupNow::unread(why),
                    Err(error) => GroupNow::unread(error.to_string()),
                },
            };
            let pair_of_groups = self.prepared.planned.plan.pair(pair);
            let name = pair_of_groups.source_name.clone();
            let target_name = pair_of_groups.name.clone();
            let mut stay = Vec::new();
            let mut refusals = Vec::new();
            let linked = self.linked_to(&seen);
            for person in &people {
                match self.state_at_source(*person, &seen) {
                    // The next run writes the refusal; where it is written by a removal, this one
                    // does.
                    Some(MembershipState::OptedOut) => {
                        refusals.push(self.prepared.known(self.job).refusal(Some(pair), *person));
                        if self.prepared.capabilities.group_opt_out {
                            stay.push(*person);
                        }
                    }
                    None if seen.whole
                        && !self.ids(*person).iter().any(|id| linked.contains(id)) => {}
                    _ => stay.push(*person),
                }
            }
            self.runner.store().record(&refusals)?;
            self.keep(pair, &stay);
            let count = stay.len();
            if !seen.whole && first {
                let id = self.group_id(pair).unwrap_or_default();
                let message = format!(
                    "\"{name}\" at \"{}\" could not be read a second time, so that those who were missing from it stay: {}",
                    self.job.source, seen.why
                );
                self.tally.left_out(target_name, &id, message);
            } else if seen.whole && count > 0 {
                self.tally.warnings.push(format!(
                    "A first reading of \"{name}\" at \"{}\" passed over {count} who are in it by a second one; they stay where they are.",
                    self.job.source
                ));
            }
            self.second_look.insert(pair, seen);
        }
        Ok(())
    }

    /// Has nobody of these leave a group: neither by a removal nor, where a member is in one group at
    /// a time, by joining another one.
    fn keep(&mut self, pair: PairIx, people: &[PersonIx]) {
        let moves = self.prepared.capabilities.one_group_per_member;
        let pairs = self.prepared.planned.plan.pairs.len() as u32;
        for person in people {
            let ids = self.ids(*person).into_iter();
            self.stays.extend(ids.map(|id| (pair, id)));
            let others = (0..pairs)
                .map(PairIx)
                .filter(|other| moves && *other != pair);
            self.so_far
                .already_there
                .extend(others.map(|other| (other, *person)));
        }
    }

    /// Returns what the source shows of a person in a group by a second look.
    fn state_at_source(&self, person: PersonIx, seen: &GroupNow) -> Option<MembershipState> {
        let planned = &self.prepared.planned;
        let records = planned.people.sources(person).iter();
        let by_id = records.filter_map(|at| {
            let member = &self.prepared.sides.source.members[*at as usize];
            seen.by_id.get(planned.text(member.id))
        });
        let by_address = seen.by_address.get(planned.address(person));
        let by_address = by_address.into_iter().flatten().map(|(_, state)| state);
        by_id.chain(by_address).copied().max()
    }

    /// Returns the contacts to which links lead from the records of a second look: one that was passed
    /// over may show another address by now.
    fn linked_to(&self, seen: &GroupNow) -> HashSet<String> {
        let names = &self.prepared.sides.names;
        let records = seen.by_id.keys().filter_map(|id| names.find(id));
        let links = records.filter_map(|record| self.prepared.base.member_of_source(record));
        links
            .map(|link| names.text(link.target).to_owned())
            .collect()
    }

    /// Names who leaves which group by a step because the source does not list them, or because they
    /// refuse it.
    fn leaving(&self, step: &Step) -> Vec<(PairIx, PersonIx)> {
        match step {
            Step::RemoveMemberships { pair, members } => {
                members.iter().map(|person| (*pair, *person)).collect()
            }
            Step::LeaveGroups { rows, how } if *how != Leaving::OptOut => {
                let rows = rows.iter();
                rows.flat_map(|row| row.pairs.iter().map(|pair| (*pair, row.member)))
                    .collect()
            }
            // Joining one group is leaving another.
            Step::AddMemberships { pair, members }
                if self.prepared.capabilities.one_group_per_member =>
            {
                let plan = &self.prepared.planned.plan;
                let others = (0..plan.pairs.len() as u32).map(PairIx);
                let others = others.filter(|other| other != pair);
                others
                    .flat_map(|other| members.iter().map(move |person| (other, *person)))
                    .filter(|(other, person)| self.is_listed(*other, *person))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Tells whether the target lists a person as a member of a pair's group.
    fn is_listed(&self, pair: PairIx, person: PersonIx) -> bool {
        let target = &self.prepared.sides.target;
        let group = self.prepared.planned.plan.pair(pair).target.as_deref();
        let listing = group.and_then(|group| target.listing(group));
        let contacts = self.prepared.planned.people.targets(person);
        listing.is_some_and(|listing| {
            contacts
                .iter()
                .any(|at| listing.seen().state_of(*at) == Some(MembershipState::Active))
        })
    }

    /// Tells whether the source's listing may have passed over somebody: it shows none of the
    /// person's records, and was read in pages that move.
    fn may_be_passed_over(&self, pair: PairIx, person: PersonIx) -> bool {
        let source = &self.prepared.sides.source;
        let Some(group) = &self.prepared.planned.plan.pair(pair).source else {
            return false;
        };
        let records = self.prepared.planned.people.sources(person);
        let listing = source.listing(group).map(Reading::seen);
        let is_listed = |listing: &Listing| {
            records
                .iter()
                .any(|record| listing.state_of(*record).is_some())
        };
        let certificate = source.certificates.get(group);
        certificate.is_some_and(|certificate| certificate.by_offset)
            && listing.is_some_and(|listing| !is_listed(listing))
    }

    /// Lists the source group of a pair anew.
    async fn source_group_now(&self, pair: PairIx) -> Result<GroupNow, RunError> {
        let handle = self.runner.handle(&self.job.source)?;
        let group = &self.prepared.planned.plan.pair(pair).source;
        group_now(&handle, group.as_deref().unwrap_or_default()).await
    }

    /// Tells whether a group's listing says too little about now: it is old, or may have passed over
    /// somebody who refuses. Of a group that this run created there is none: nobody was in it.
    fn is_listing_old(&self, pair: PairIx) -> bool {
        let Some(group) = &self.prepared.planned.plan.pair(pair).target else {
            return false;
        };
        let sides = &self.prepared.sides;
        let certificate = sides.target.certificates.get(group);
        let seams = certificate.is_some_and(|certificate| certificate.by_offset);
        if seams && !self.seen_twice.contains(&pair) {
            return true;
        }
        let began = sides.target_listed_at.get(group);
        began.is_none_or(|began| self.handle.account.now().duration_since(*began) > FRESH)
    }

    /// Takes everybody of these out of what is still to be written to a group who has appeared in
    /// it, left it or refused it since it was listed, and returns the refusals to remember.
    pub(super) fn look_again(
        &mut self,
        pair: PairIx,
        group: &str,
        now: &GroupNow,
        whom: &BTreeSet<PersonIx>,
        own: &OwnRemovals,
        is_open: &dyn Fn(&str) -> bool,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        let (mut there, mut left) = (Vec::new(), Vec::new());
        let people = &self.prepared.planned.people;
        let target = &self.prepared.sides.target;
        let before = |id: &str| self.state_before(group, id);
        for person in whom.iter().copied() {
            let contacts = self.contacts_now(person, now);
            let ids = self.ids(person);
            let is_certain = |id: &str| now.tells_of(id);
            let has_left = |id: &&String| {
                before(id) == Some(MembershipState::Active)
                    && now.by_id.get(*id) != Some(&MembershipState::Active)
                    && is_certain(id)
            };
            left.extend(ids.iter().filter(has_left).map(|id| (pair, id.clone())));
            // Of somebody whom nobody can place it is said so, where something was to be sent.
            let mut shown = contacts.iter().map(|(id, _)| id);
            let shows_up = shown.any(|id| is_certain(id) || !ids.contains(id));
            if shows_up && !ids.iter().any(|id| before(id).is_some()) {
                there.push((pair, person));
            }
            // Who refuses all mail is remembered as such, and not once more for each group.
            let refuses_all = people
                .targets(person)
                .iter()
                .any(|at| target.members[*at as usize].status == MemberStatus::OptedOut);
            let mut refuses = false;
            for (id, state) in &contacts {
                let fits =
                    |removal: &OwnRemoval| removal.still_fits(now.refused_at.get(id).copied());
                let written = |pair| self.so_far.refused_there.contains(&(pair, id.clone()));
                let removal = own.get(group, id);
                // What rosterd itself has just written is no news, and whose doing an open removal
                // is nobody knows.
                if *state != MembershipState::OptedOut
                    || refuses_all
                    || before(id) == Some(MembershipState::OptedOut)
                    || removal.is_some_and(fits)
                    || is_open(id)
                    || written(Some(pair))
                    || written(None)
                {
                    continue;
                }
                refuses = true;
                if removal.is_some() {
                    changes.push(Change::OwnRemovalEnded {
                        account: self.job.target_account.clone(),
                        group: group.to_owned(),
                        member: id.clone(),
                    });
                }
            }
            if refuses {
                changes.push(self.prepared.known(self.job).refusal(Some(pair), person));
                let mailed = |(_, state): &(String, _)| *state == MembershipState::Active;
                if !contacts.iter().any(mailed) {
                    let group = Some(group.to_owned());
                    changes.push(self.prepared.known(self.job).held(group, person));
                }
            }
        }
        self.so_far.already_there.extend(there);
        self.stays.extend(left);
        changes
    }

    /// Returns the contacts of a person that a group lists now, those that nobody knew included.
    fn contacts_now(&self, person: PersonIx, now: &GroupNow) -> Vec<(String, MembershipState)> {
        let by_address = now.by_address.get(self.prepared.planned.address(person));
        let mut contacts: Vec<(String, MembershipState)> = by_address.cloned().unwrap_or_default();
        for id in self.ids(person) {
            if let Some(state) = now.by_id.get(&id)
                && !contacts.iter().any(|(known, _)| *known == id)
            {
                contacts.push((id, *state));
            }
        }
        contacts
    }
}

fn item_of(op: &'static str, pair: PairIx, person: PersonIx, id: Option<String>) -> Item {
    Item {
        op,
        pair: Some(pair),
        joins: Vec::new(),
        person: Some(person),
        target_id: id,
        detail: None,
    }
}

/// Names whom a step adds to a group or takes out of it.
fn members_of(step: &Step, pair: PairIx) -> Vec<PersonIx> {
    match step {
        Step::AddMemberships { members, .. }
        | Step::RemoveMemberships { members, .. }
        | Step::CreateMembers { members, .. } => members.clone(),
        Step::JoinGroups { rows } => rows
            .iter()
            .filter(|(_, pairs)| pairs.contains(&pair))
            .map(|(person, _)| *person)
            .collect(),
        Step::LeaveGroups { rows, .. } => rows
            .iter()
            .filter(|row| row.pairs.contains(&pair))
            .map(|row| row.member)
            .collect(),
        Step::BringBack { rows } => rows
            .iter()
            .filter(|(_, back)| *back == pair)
            .map(|(person, _)| *person)
            .collect(),
        _ => Vec::new(),
    }
}
