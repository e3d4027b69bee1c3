//! Seats: targets where a person is in one group only, so that joining a group is leaving another.
//!
//! - A person who is active in several source groups in scope stays where they are, and is shown as
//!   blocked once.
//! - People are taken only out of the parking group and out of groups that this job fills. Leaving
//!   such a group for another one is a removal there, and needs what a removal needs: a mode that
//!   allows it (never `add`; in `managed` only what this job brought; in `mirror` anybody), nobody
//!   else's claim, and a whole listing of the group at the source. A group that is about to be
//!   deleted, and one that the person refuses, may be left in any mode.
//! - Whom this job created, and the target put into a group that came with the account, is moved on
//!   in any mode.
//! - A move is one operation, the addition. The removal that it replaces is not planned, and guards
//!   count it all the same.
//! - Whoever leaves a group for none goes to the parking group. Whoever is wanted in another group
//!   and can't get there yet stays.
//! - Nobody is moved while the groups of the target were not all read to their end (rule 3).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::bars::{bar_of_account, bar_of_pair};
use super::pair::PairPlan;
use super::people::PersonIx;
use super::{Blocked, BlockedReason, Edit, GroupPair, Inputs, PairIx, What, in_scope};
use crate::model::policy::{Mode, OptOuts};
use crate::model::{GroupKind, MemberStatus, MembershipState, Unreadable};

/// Who sits where at the target, and who is wanted where.
pub(super) struct Seats<'a> {
    inputs: &'a Inputs<'a>,
    pairs: &'a [GroupPair],
    /// Why nobody may be moved.
    doubt: Option<String>,
    /// Whether every source group in scope was read to its end.
    sources_whole: bool,
    /// The group of each target person, by position; none for somebody who is listed in several.
    held: HashMap<u32, Option<&'a str>>,
    pair_of: HashMap<&'a str, PairIx>,
    /// The groups that the source asks for a person.
    wanted: BTreeMap<PersonIx, Vec<PairIx>>,
    /// Who would be wanted where if they count, of which nobody can tell: they stay where they are.
    perhaps_wanted: BTreeMap<PersonIx, Vec<PairIx>>,
    /// The groups that a person refuses.
    refused: HashSet<(PairIx, PersonIx)>,
    /// The groups that this plan deletes.
    dissolving: HashSet<&'a str>,
    /// The group that takes whoever leaves another one, or why there is none.
    parking: Result<&'a str, String>,
}

impl<'a> Seats<'a> {
    /// Takes note of all seats; nothing where people can be in several groups.
    pub(super) fn take(
        inputs: &'a Inputs<'a>,
        pairs: &'a [GroupPair],
        group_removals: &[Edit],
    ) -> Option<Seats<'a>> {
        if !inputs.capabilities.one_group_per_member {
            return None;
        }
        let by_index = |pair: PairIx| pairs[pair.0 as usize].target.as_deref();
        let mut seats = Seats {
            inputs,
            pairs,
            doubt: None,
            sources_whole: true,
            held: HashMap::new(),
            pair_of: pairs
                .iter()
                .enumerate()
                .filter_map(|(at, pair)| Some((pair.target.as_deref()?, PairIx(at as u32))))
                .collect(),
            wanted: BTreeMap::new(),
            perhaps_wanted: BTreeMap::new(),
            refused: HashSet::new(),
            dissolving: group_removals
                .iter()
                .filter(|edit| matches!(edit, Edit::DeleteGroup { .. }))
                .filter_map(|edit| by_index(edit.pair()?))
                .collect(),
            parking: parking(inputs),
        };
        seats.look_at_target();
        if seats.doubt.is_some() || seats.parking.is_err() {
            // A group whose people have nowhere to go stays.
            seats.dissolving.clear();
        }
        for (at, pair) in pairs.iter().enumerate() {
            seats.look_at_source(PairIx(at as u32), pair);
        }
        Some(seats)
    }

    fn look_at_target(&mut self) {
        for group in self.inputs.target.groups.seen() {
            let listing = self.inputs.target.listing(&group.id);
            if listing.and_then(|listing| listing.complete()).is_none() {
                let why = listing
                    .map(|listing| listing.why_incomplete().join("; "))
                    .unwrap_or_default();
                let why = if why.is_empty() {
                    "its members were not read".to_owned()
                } else {
                    why
                };
                self.doubt.get_or_insert_with(|| {
                    format!(
                        "who is in which group is not certain, because of \"{}\": {why}",
                        group.name
                    )
                });
            }
            for row in listing.iter().flat_map(|listing| &listing.seen().rows) {
                self.held
                    .entry(row.member)
                    .and_modify(|seat| *seat = None)
                    .or_insert(Some(group.id.as_str()));
            }
        }
    }

    fn look_at_source(&mut self, ix: PairIx, pair: &GroupPair) {
        let inputs = self.inputs;
        let Some(id) = pair.source.as_deref() else {
            return;
        };
        if !inputs
            .source
            .group(id)
            .is_some_and(|group| in_scope(&inputs.policy.groups, group))
        {
            return;
        }
        let listing = inputs.source.listing(id);
        self.sources_whole &= listing.is_some_and(|listing| listing.complete().is_some());
        let mut states: BTreeMap<PersonIx, MembershipState> = BTreeMap::new();
        for row in listing.iter().flat_map(|listing| &listing.seen().rows) {
            if let Some(person) = inputs.people.of_source(row.member) {
                let known = states.entry(person).or_insert(row.state);
                *known = row.state.max(*known);
            }
        }
        let bar_of_group = |person| bar_of_pair(inputs, person, pair);
        if inputs.policy.members.opt_outs == OptOuts::Carry {
            let refuses = states
                .iter()
                .filter(|(_, state)| **state == MembershipState::OptedOut)
                .map(|(person, _)| *person);
            self.refused.extend(refuses.map(|person| (ix, person)));
            // A refusal that the target has not obeyed yet is carried whatever the source shows by
            // now.
            let listing = pair
                .target
                .as_deref()
                .and_then(|group| inputs.target.listing(group));
            let seated = listing.into_iter().flat_map(|listing| &listing.seen().rows);
            let seated = seated.filter_map(|row| inputs.people.of_target(row.member));
            self.refused.extend(
                seated
                    .filter(|person| bar_of_group(*person).is_some_and(|bar| bar.is_due()))
                    .map(|person| (ix, person)),
            );
        }
        for (person, state) in states {
            let row = inputs.people.get(person);
            let undecided = inputs.undecided.is_some()
                || inputs
                    .facts
                    .get(&person)
                    .is_some_and(|facts| facts.undecided.is_some());
            let counts = inputs.counts(person);
            let joins =
                state == MembershipState::Active && row.source_status == MemberStatus::Active;
            let barred = bar_of_account(inputs, person).is_some() || bar_of_group(person).is_some();
            if counts && joins && !barred && self.exists_or_may(person) {
                let wanted = if undecided {
                    &mut self.perhaps_wanted
                } else {
                    &mut self.wanted
                };
                wanted.entry(person).or_default().push(ix);
            }
        }
    }

    /// Where nobody logs in with the address and nobody is created, several groups are no trouble.
    fn exists_or_may(&self, person: PersonIx) -> bool {
        let usable = self.inputs.people.get(person).unusable.is_none();
        !self.inputs.people.targets(person).is_empty()
            || (usable
                && self.inputs.policy.members.create_users
                && self.inputs.policy.members.create)
    }

    /// Returns why nobody may be moved; nothing when everybody's group is known.
    pub(super) fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// Tells whether somebody who is not in a group of the source is certainly in no other one
    /// either.
    pub(super) fn sources_whole(&self) -> bool {
        self.sources_whole
    }

    /// Tells whether the source asks for several groups for a person.
    pub(super) fn in_conflict(&self, person: PersonIx) -> bool {
        self.wanted
            .get(&person)
            .is_some_and(|pairs| pairs.len() > 1)
    }

    /// Tells whether the source asks for a group for a person.
    pub(super) fn is_wanted(&self, person: PersonIx) -> bool {
        self.wanted.contains_key(&person)
    }

    /// Returns why nobody can leave a group for none.
    pub(super) fn no_parking(&self) -> Option<&str> {
        self.parking.as_ref().err().map(String::as_str)
    }

    /// Lists everybody once for whom the source asks for several groups.
    pub(super) fn conflicts(&self) -> Vec<Blocked> {
        self.wanted
            .iter()
            .filter(|(_, pairs)| pairs.len() > 1)
            .map(|(person, pairs)| {
                let names: Vec<String> = pairs
                    .iter()
                    .map(|pair| format!("\"{}\"", self.pair(*pair).source_name))
                    .collect();
                Blocked {
                    what: What::Member,
                    group: None,
                    member: Some(self.inputs.key(*person).into_owned()),
                    id: None,
                    reason: BlockedReason::SeveralGroups,
                    detail: format!(
                        "the source has the person in {}, and a user can be in one group only",
                        names.join(" and ")
                    ),
                    rests: None,
                }
            })
            .collect()
    }

    /// Tells whether a user may be taken out of the group they are in.
    pub(super) fn may_leave(
        &self,
        person: PersonIx,
        at: u32,
    ) -> Result<(), (BlockedReason, String)> {
        let inputs = self.inputs;
        let member = inputs.target.members[at as usize].id;
        let stays = |why: String| {
            Err((
                BlockedReason::OtherGroup,
                format!("user {} is {why}", inputs.names.text(member)),
            ))
        };
        let Some(group) = self.held.get(&at).copied().flatten() else {
            let what = inputs.target.unreadable.get(inputs.names.text(member));
            if matches!(what, Some(Unreadable::Standing(_))) {
                return stays("in a group that could not be read, and stays there".to_owned());
            }
            return stays("in a group that the login does not see, and stays there".to_owned());
        };
        if Some(group) == inputs.policy.parking_group.as_deref() || self.dissolving.contains(group)
        {
            return Ok(());
        }
        let name = inputs
            .target
            .group(group)
            .map_or(group, |group| group.name.as_str());
        let Some(&ix) = self.pair_of.get(group) else {
            // Nobody is put there on purpose, so whom this job brought there it brought by a
            // request that was misread.
            let built_in = inputs
                .target
                .group(group)
                .is_some_and(|group| group.kind == GroupKind::BuiltIn);
            if built_in
                && inputs
                    .base
                    .membership(group, member)
                    .is_some_and(|base| base.brought)
            {
                return Ok(());
            }
            return stays(format!(
                "in \"{name}\", a group that this job does not fill"
            ));
        };
        let pair = self.pair(ix);
        if !pair.writable {
            return stays(format!(
                "in \"{name}\", a group that this job leaves as it is"
            ));
        }
        if self.refused.contains(&(ix, person)) {
            return Ok(());
        }
        // Somebody is missing from a group of the source only when all of it was read.
        let source = pair
            .source
            .as_deref()
            .and_then(|id| inputs.source.listing(id));
        if source.is_none_or(|source| source.complete().is_none()) {
            return Err((
                BlockedReason::IncompleteRead,
                format!(
                    "whether the person has left \"{}\" at the source could not be read to its end",
                    pair.source_name
                ),
            ));
        }
        if inputs
            .base
            .held_by_others
            .get(group)
            .is_some_and(|held| held.contains(&member))
        {
            return stays(format!(
                "in \"{name}\", where another job wants them as well"
            ));
        }
        let ours = inputs
            .base
            .membership(group, member)
            .is_some_and(|base| base.brought);
        match inputs.policy.mode {
            Mode::Add => stays(format!(
                "in \"{name}\", and a job that only adds takes nobody out of a group"
            )),
            Mode::Managed if !ours => {
                stays(format!("in \"{name}\", where this job did not put them"))
            }
            Mode::Managed | Mode::Mirror => Ok(()),
        }
    }

    /// Takes removals back that a move makes needless, that would park somebody who is wanted
    /// elsewhere, or that lead nowhere.
    pub(super) fn settle_removals(&self, plans: &mut [PairPlan]) {
        for at in 0..plans.len() {
            let removals = std::mem::take(&mut plans[at].removals);
            let elsewhere = |person: PersonIx| {
                let wanted = [&self.wanted, &self.perhaps_wanted];
                let wanted = wanted.into_iter().filter_map(|wanted| wanted.get(&person));
                let mut other = wanted
                    .flatten()
                    .map(|pair| pair.0 as usize)
                    .filter(|pair| *pair != at);
                // Somebody who is held back by a reason of their own won't get there by waiting.
                other.any(|pair| {
                    !plans[pair]
                        .withheld
                        .iter()
                        .any(|withheld| withheld.member == Some(person))
                })
            };
            let leaving: Vec<PersonIx> = removals
                .into_iter()
                .filter(|person| !elsewhere(*person))
                .collect();
            match &self.parking {
                Ok(_) => plans[at].removals = leaving,
                Err(why) => {
                    let blocked = leaving
                        .into_iter()
                        .map(|person| self.stranded(PairIx(at as u32), person, why));
                    plans[at].blocked.extend(blocked);
                }
            }
        }
    }

    /// Takes deletions back of groups whose people would have nowhere to go, or of whom nobody
    /// knows who they are.
    pub(super) fn settle_deletions(&self, removals: &mut Vec<Edit>) -> Vec<Blocked> {
        let mut blocked = Vec::new();
        removals.retain(|edit| {
            let (Edit::DeleteGroup { .. }, Some(ix)) = (edit, edit.pair()) else {
                return true;
            };
            let why = match (&self.parking, self.doubt()) {
                (Err(why), _) => (BlockedReason::OtherGroup, why.clone()),
                (_, Some(why)) => (BlockedReason::IncompleteRead, why.to_owned()),
                _ => return true,
            };
            let pair = self.pair(ix);
            blocked.push(Blocked {
                what: What::Group,
                group: Some(pair.name.clone()),
                member: None,
                id: pair.target.clone(),
                reason: why.0,
                detail: why.1,
                rests: None,
            });
            false
        });
        blocked
    }

    /// Says that somebody can't leave a group for none.
    pub(super) fn stranded(&self, pair: PairIx, person: PersonIx, why: &str) -> Blocked {
        Blocked {
            what: What::Membership,
            group: Some(self.pair(pair).name.clone()),
            member: Some(self.inputs.key(person).into_owned()),
            id: None,
            reason: BlockedReason::OtherGroup,
            detail: why.to_owned(),
            rests: None,
        }
    }

    fn pair(&self, pair: PairIx) -> &'a GroupPair {
        &self.pairs[pair.0 as usize]
    }
}

fn parking<'a>(inputs: &Inputs<'a>) -> Result<&'a str, String> {
    let key = format!("providers.{}.parking_group", inputs.policy.target);
    match inputs.policy.parking_group.as_deref() {
        None => Err(format!(
            "a user can leave a group only for another one; set `{key}` to say which takes them"
        )),
        Some(id) if inputs.target.group(id).is_none() => Err(format!(
            "a user can leave a group only for another one, and there is no group {id}, which `{key}` names; correct it, or create the group"
        )),
        Some(id) => Ok(id),
    }
}

/// Returns who leaves which group of the target without a removal of their own: by moving on, or
/// because the group is deleted.
pub(super) fn departures(
    inputs: &Inputs<'_>,
    operations: &[Edit],
    pairs: &[GroupPair],
) -> BTreeMap<String, BTreeSet<PersonIx>> {
    let mut departures: BTreeMap<String, BTreeSet<PersonIx>> = BTreeMap::new();
    if !inputs.capabilities.one_group_per_member {
        return departures;
    }
    let target = |pair: PairIx| pairs[pair.0 as usize].target.as_deref();
    let mut removed: HashSet<(Option<&str>, PersonIx)> = HashSet::new();
    for edit in operations {
        if let Edit::RemoveMemberships { pair, members } = edit {
            removed.extend(members.iter().map(|person| (target(*pair), *person)));
        }
    }
    let seat = |at: u32| inputs.target.seat_of(at).map(str::to_owned);
    for edit in operations {
        match edit {
            Edit::AddMemberships { members, .. } => {
                for person in members {
                    let from = inputs
                        .people
                        .targets(*person)
                        .first()
                        .and_then(|at| seat(*at));
                    let from =
                        from.filter(|group| Some(group) != inputs.policy.parking_group.as_ref());
                    if let Some(group) =
                        from.filter(|group| !removed.contains(&(Some(group.as_str()), *person)))
                    {
                        departures.entry(group).or_default().insert(*person);
                    }
                }
            }
            Edit::DeleteGroup { pair, .. } => {
                let Some(group) = target(*pair) else { continue };
                let rows = inputs
                    .target
                    .listing(group)
                    .into_iter()
                    .flat_map(|listing| &listing.seen().rows);
                let people = rows.filter_map(|row| inputs.people.of_target(row.member));
                departures
                    .entry(group.to_owned())
                    .or_default()
                    .extend(people.filter(|person| !removed.contains(&(Some(group), *person))));
            }
            _ => {}
        }
    }
    departures
}

/// Says which groups lose people to which others by a plan.
pub(super) fn moves_in_words(
    inputs: &Inputs<'_>,
    operations: &[Edit],
    pairs: &[GroupPair],
) -> Vec<String> {
    let departures = departures(inputs, operations, pairs);
    let mut moves: BTreeMap<(String, String), usize> = BTreeMap::new();
    for edit in operations {
        let Edit::AddMemberships { pair, members } = edit else {
            continue;
        };
        for (from, people) in &departures {
            let count = members
                .iter()
                .filter(|person| people.contains(person))
                .count();
            if count > 0 {
                let from = inputs
                    .target
                    .group(from)
                    .map_or_else(|| from.clone(), |group| group.name.clone());
                *moves
                    .entry((from, pairs[pair.0 as usize].name.clone()))
                    .or_default() += count;
            }
        }
    }
    moves
        .into_iter()
        .map(|((from, to), count)| {
            format!("Of those who join \"{to}\", {count} leave \"{from}\" for it.")
        })
        .collect()
}
