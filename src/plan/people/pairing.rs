//! Pairs the records of a source with the contacts of a target.

use std::collections::{HashMap, HashSet};

use super::hands::settle_hands;
use super::{Hands, People, Person, PersonIx, Unusable};
use crate::model::policy::{OnDrift, OptOuts};
use crate::model::{MemberStatus, Name, Names, Snapshot, addresses_in};
use crate::plan::base::{Base, LedgerPerson};

/// Pairs the people of two snapshots.
pub(super) fn pair(
    source: &Snapshot,
    target: &Snapshot,
    base: &Base,
    names: &Names,
    on_drift: OnDrift,
    opt_outs: OptOuts,
) -> People {
    let pairing = Pairing {
        on_drift,
        opt_outs,
        ..Pairing::new(source, target, base, names)
    };
    let drafts = pairing.drafts();
    pairing.collect(drafts)
}

/// A person in the making.
pub(super) struct Draft {
    pub(super) address: Name,
    pub(super) sources: Vec<u32>,
    pub(super) targets: Vec<u32>,
    pub(super) unusable: Option<Unusable>,
    pub(super) vanished: Option<Name>,
    pub(super) removed_by_us: bool,
    pub(super) moves_from: Option<Name>,
    pub(super) parted_from: Option<u32>,
    pub(super) hands: Hands,
    pub(super) linked: bool,
    /// The contacts that the person had before a merge at the source.
    pub(super) left: Vec<u32>,
}

impl Draft {
    fn new(address: Name) -> Draft {
        Draft {
            address,
            sources: Vec::new(),
            targets: Vec::new(),
            unusable: None,
            vanished: None,
            removed_by_us: false,
            moves_from: None,
            parted_from: None,
            hands: Hands::Free,
            linked: false,
            left: Vec::new(),
        }
    }
}

pub(super) struct Pairing<'a> {
    pub(super) source: &'a Snapshot,
    pub(super) target: &'a Snapshot,
    pub(super) base: &'a Base,
    pub(super) names: &'a Names,
    /// What becomes of an address that was changed at the target.
    pub(super) on_drift: OnDrift,
    /// Whether refusals are carried.
    pub(super) opt_outs: OptOuts,
    target_by_id: HashMap<Name, u32>,
    target_by_address: HashMap<Name, Vec<u32>>,
}

impl<'a> Pairing<'a> {
    fn new(source: &'a Snapshot, target: &'a Snapshot, base: &'a Base, names: &'a Names) -> Self {
        let mut target_by_id = HashMap::with_capacity(target.members.len());
        let mut target_by_address: HashMap<Name, Vec<u32>> =
            HashMap::with_capacity(target.members.len());
        for (at, member) in target.members.iter().enumerate() {
            target_by_id.insert(member.id, at as u32);
            if let Some(address) = member.address {
                target_by_address
                    .entry(address)
                    .or_default()
                    .push(at as u32);
            }
        }
        Pairing {
            source,
            target,
            base,
            names,
            on_drift: OnDrift::Overwrite,
            opt_outs: OptOuts::Carry,
            target_by_id,
            target_by_address,
        }
    }

    /// Returns the contacts that have an address.
    pub(super) fn holders(&self, address: Name) -> &[u32] {
        self.target_by_address
            .get(&address)
            .map_or(&[], Vec::as_slice)
    }

    /// Returns the address of a contact.
    pub(super) fn address_of(&self, contact: u32) -> Option<Name> {
        self.target.members[contact as usize].address
    }

    fn drafts(&self) -> Vec<Draft> {
        let mut by_address: HashMap<Name, Vec<u32>> =
            HashMap::with_capacity(self.source.members.len());
        let mut without_address = Vec::new();
        for (at, member) in self.source.members.iter().enumerate() {
            match member.address {
                Some(address) => by_address.entry(address).or_default().push(at as u32),
                None => without_address.push(at as u32),
            }
        }
        let mut drafts: Vec<Draft> = by_address
            .into_iter()
            .map(|(address, sources)| self.draft(address, sources))
            .collect();
        self.part(&mut drafts);
        // Which draft each contact belongs to by a link.
        let mut owners: HashMap<u32, usize> = HashMap::new();
        for (at, draft) in drafts.iter().enumerate() {
            owners.extend(draft.targets.iter().map(|contact| (*contact, at)));
        }
        for at in without_address {
            self.add_without_address(at, &mut drafts, &mut owners);
        }
        settle_hands(self, &mut drafts, &mut owners);
        for (at, draft) in drafts.iter_mut().enumerate() {
            self.claim_by_address(at, draft, &owners);
        }
        self.add_unknown_contacts(&mut drafts);
        drafts
    }

    fn draft(&self, address: Name, sources: Vec<u32>) -> Draft {
        let mut draft = Draft {
            sources,
            ..Draft::new(address)
        };
        for at in draft.sources.clone() {
            let Some(link) = self
                .base
                .member_of_source(self.source.members[at as usize].id)
            else {
                continue;
            };
            draft.linked = true;
            match self.target_by_id.get(&link.target) {
                Some(position) if !draft.targets.contains(position) => {
                    draft.targets.push(*position);
                }
                Some(_) => {}
                None => {
                    // Of several the first in order, in whatever order they are read.
                    let first = draft.vanished.filter(|known| {
                        let text = |name: Name| id_rank(self.names.text(name));
                        text(*known) <= text(link.target)
                    });
                    draft.vanished = Some(first.unwrap_or(link.target));
                    draft.removed_by_us |= link.removed_by_us;
                }
            }
        }
        if !draft.targets.is_empty() {
            draft.vanished = None;
        }
        draft
            .targets
            .sort_by_cached_key(|at| self.rank(self.target, *at));
        draft
    }

    /// Tells whether the target shows a person.
    pub(super) fn is_at_target(&self, id: Name) -> bool {
        self.target_by_id.contains_key(&id)
    }

    /// Leaves a target person to one of several source people whom links lead to it: they shared an
    /// address once and do no more.
    ///
    /// Whoever still has the target's address keeps it, else the one with the lowest id; otherwise
    /// the two would take the contact from each other in every run.
    fn part(&self, drafts: &mut [Draft]) {
        let mut claims: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, draft) in drafts.iter().enumerate() {
            draft
                .targets
                .iter()
                .for_each(|target| claims.entry(*target).or_default().push(at));
        }
        for (target, rivals) in claims.into_iter().filter(|(_, rivals)| rivals.len() > 1) {
            let held = self.address_of(target);
            let rank = |at: &usize| {
                let draft = &drafts[*at];
                let lowest = draft
                    .sources
                    .iter()
                    .map(|source| self.rank(self.source, *source))
                    .min();
                (held != Some(draft.address), lowest)
            };
            let owner = rivals.iter().copied().min_by_key(rank);
            for at in rivals.into_iter().filter(|at| Some(*at) != owner) {
                let draft = &mut drafts[at];
                draft.targets.retain(|known| *known != target);
                let parted = draft.parted_from.into_iter().chain([target]);
                draft.parted_from = parted.min_by_key(|at| self.rank(self.target, *at));
            }
        }
    }

    /// Takes in a record without a usable address. If it is linked it is its partner all the same;
    /// if it is not it is a person of its own, whom no address makes anybody else.
    fn add_without_address(
        &self,
        at: u32,
        drafts: &mut Vec<Draft>,
        owners: &mut HashMap<u32, usize>,
    ) {
        let member = &self.source.members[at as usize];
        let unusable = Some(if member.unusable.is_some() {
            Unusable::Malformed
        } else {
            Unusable::Empty
        });
        let Some(link) = self.base.member_of_source(member.id) else {
            if let Some(nobody) = self.names.find("") {
                drafts.push(Draft {
                    sources: vec![at],
                    unusable,
                    ..Draft::new(nobody)
                });
            }
            return;
        };
        let contact = self.target_by_id.get(&link.target).copied();
        if let Some(owner) = contact.and_then(|contact| owners.get(&contact)) {
            drafts[*owner].sources.push(at);
            return;
        }
        owners.extend(contact.map(|contact| (contact, drafts.len())));
        let held = contact.and_then(|contact| self.address_of(contact));
        drafts.push(Draft {
            sources: vec![at],
            targets: contact.into_iter().collect(),
            unusable,
            vanished: contact.is_none().then_some(link.target),
            removed_by_us: contact.is_none() && link.removed_by_us,
            linked: true,
            ..Draft::new(held.unwrap_or(link.address))
        });
    }

    /// Adds the target's people with the same address, unless a link says that they are somebody
    /// else.
    fn claim_by_address(&self, at: usize, draft: &mut Draft, owners: &HashMap<u32, usize>) {
        if draft.unusable.is_some() {
            return;
        }
        let linked = !draft.targets.is_empty();
        let holds = |contact: &u32| self.address_of(*contact) == Some(draft.address);
        if linked && !draft.targets.iter().any(holds) {
            return;
        }
        // Others with the same address are duplicates of this person.
        for contact in self.holders(draft.address) {
            if owners.get(contact).is_none_or(|owner| *owner == at)
                && !draft.targets.contains(contact)
            {
                draft.targets.push(*contact);
            }
        }
        if !draft.targets.is_empty() {
            // Somebody took the vanished person's place under the same address.
            draft.vanished = None;
        }
    }

    /// Adds those whom only the target knows.
    fn add_unknown_contacts(&self, drafts: &mut Vec<Draft>) {
        let claimed: HashSet<u32> = drafts
            .iter()
            .flat_map(|draft| draft.targets.iter().copied())
            .collect();
        for (address, targets) in &self.target_by_address {
            let free: Vec<u32> = targets
                .iter()
                .copied()
                .filter(|at| !claimed.contains(at))
                .collect();
            if !free.is_empty() {
                drafts.push(Draft {
                    targets: free,
                    ..Draft::new(*address)
                });
            }
        }
        let Some(nobody) = self.names.find("") else {
            return;
        };
        // People without an address can still be listed, and a mirror has to be able to name them.
        let members = self.target.members.iter().enumerate();
        let without = members.filter(|(_, member)| member.address.is_none());
        for at in without
            .map(|(at, _)| at as u32)
            .filter(|at| !claimed.contains(at))
        {
            drafts.push(Draft {
                targets: vec![at],
                ..Draft::new(nobody)
            });
        }
    }

    /// Orders people by their ids, which do not depend on the order of reading.
    pub(super) fn rank(&self, snapshot: &Snapshot, at: u32) -> (u64, String) {
        id_rank(self.names.text(snapshot.members[at as usize].id))
    }

    fn collect(&self, mut drafts: Vec<Draft>) -> People {
        let names = self.names;
        for draft in &mut drafts {
            draft
                .sources
                .sort_by_cached_key(|at| self.rank(self.source, *at));
            draft
                .targets
                .sort_by_cached_key(|at| self.rank(self.target, *at));
        }
        // Two people can share an address here: one at the source, one at the target who is linked
        // elsewhere.
        drafts.sort_by(|left, right| {
            let id = |snapshot: &'a Snapshot, rows: &[u32]| {
                rows.first()
                    .map(|at| names.text(snapshot.members[*at as usize].id))
            };
            let key = |draft: &Draft| {
                (
                    names.text(draft.address),
                    draft.sources.is_empty(),
                    id(self.target, &draft.targets),
                    id(self.source, &draft.sources),
                )
            };
            key(left).cmp(&key(right))
        });
        let mut people = People {
            rows: Vec::with_capacity(drafts.len()),
            of_source: vec![None; self.source.members.len()],
            of_target: vec![None; self.target.members.len()],
            target_positions: self.target_by_id.clone(),
            ..People::default()
        };
        let mut left = Vec::new();
        for draft in drafts {
            let ix = PersonIx(people.rows.len() as u32);
            draft
                .sources
                .iter()
                .for_each(|at| people.of_source[*at as usize] = Some(ix));
            draft
                .targets
                .iter()
                .for_each(|at| people.of_target[*at as usize] = Some(ix));
            if draft.unusable.is_none() && !draft.sources.is_empty() {
                people.by_shown_address.insert(draft.address, ix);
            }
            left.extend(draft.left.iter().map(|contact| (ix, *contact)));
            let person = self.person(&draft, &mut people);
            people.rows.push(person);
        }
        self.refusals(&mut people, left);
        self.remember(&mut people);
        people
    }

    /// Finds out whom each remembered refusal binds.
    ///
    /// The record says best who refused, and then the contact. An address alone says it only where
    /// nobody knows better: as long as the record is there, whoever else has its former address
    /// refused nothing; but a contact that is nobody's stays the refuser's.
    fn remember(&self, people: &mut People) {
        let refusals = &self.base.ledger.refusals;
        if refusals.is_empty() {
            return;
        }
        let members = self.source.members.iter().enumerate();
        let records: HashMap<Name, u32> =
            members.map(|(at, member)| (member.id, at as u32)).collect();
        for (at, refusal) in refusals.iter().enumerate() {
            let mut bound: Vec<PersonIx> = Vec::new();
            for key in &refusal.people {
                if let LedgerPerson::Record(id) = key {
                    let record = records.get(id).copied();
                    bound.extend(record.and_then(|record| people.of_source(record)));
                }
            }
            let by_record = !bound.is_empty();
            let may_bind = |person: &PersonIx| !by_record || people.sources(*person).is_empty();
            for key in &refusal.people {
                match key {
                    LedgerPerson::Record(_) => {}
                    LedgerPerson::Contact(id) => {
                        let contact = self.target_by_id.get(id).copied();
                        let person = contact.and_then(|contact| people.of_target(contact));
                        bound.extend(person.filter(may_bind));
                    }
                    LedgerPerson::Address(address) => {
                        bound.extend(people.showing(*address).filter(may_bind));
                        let holders = self.holders(*address).iter();
                        let holders = holders.filter_map(|contact| people.of_target(*contact));
                        bound.extend(holders.filter(may_bind));
                    }
                }
            }
            bound.sort_unstable();
            bound.dedup();
            if bound.len() > 1 {
                people.shared.insert(at as u32);
            }
            for person in bound {
                people.remembered.entry(person).or_default().push(at as u32);
            }
        }
    }

    fn person(&self, draft: &Draft, people: &mut People) -> Person {
        let strictest = |snapshot: &Snapshot, rows: &[u32]| {
            rows.iter()
                .map(|at| snapshot.members[*at as usize].status)
                .max()
                .unwrap_or(MemberStatus::Active)
        };
        // Whoever holds the address at the target speaks for its consent, also where a link says it
        // is somebody else.
        let parted = draft
            .parted_from
            .map(|at| self.target.members[at as usize].status);
        let parted = parted
            .filter(|status| *status == MemberStatus::OptedOut)
            .unwrap_or(MemberStatus::Active);
        let target_status = strictest(self.target, &draft.targets)
            .max(strictest(self.target, self.holders(draft.address)))
            .max(parted);
        let span = |all: &mut Vec<u32>, rows: &[u32]| {
            let from = all.len() as u32;
            all.extend_from_slice(rows);
            (from, all.len() as u32)
        };
        Person {
            address: draft.address,
            sources: span(&mut people.source_members, &draft.sources),
            targets: span(&mut people.target_members, &draft.targets),
            unusable: draft.unusable,
            vanished: draft.vanished,
            removed_by_us: draft.removed_by_us,
            moves_from: draft.moves_from,
            parted_from: draft.parted_from,
            hands: draft.hands,
            source_status: strictest(self.source, &draft.sources),
            refused_by_address: false,
            target_status,
            linked: draft.linked,
        }
    }

    /// Finds out whose refusal holds for whose contact: it belongs to the address that the source
    /// shows with it.
    fn refusals(&self, people: &mut People, left: Vec<(PersonIx, u32)>) {
        let mut reached: Vec<(PersonIx, PersonIx)> = Vec::new();
        let shown: Vec<(Name, PersonIx)> = people
            .by_shown_address
            .iter()
            .map(|(address, person)| (*address, *person))
            .collect();
        for (address, person) in shown {
            for contact in self.holders(address) {
                let holder = people
                    .of_target(*contact)
                    .filter(|holder| *holder != person);
                let stays = |holder: &PersonIx| {
                    !matches!(people.get(*holder).hands, Hands::Leaves | Hands::Waits)
                };
                reached.extend(holder.filter(stays).map(|holder| (person, holder)));
            }
            // Whoever moves before everything else has an address of their own by the time that a
            // refusal is written.
            let row = people.get(person);
            let left_address = row.moves_from.filter(|_| row.hands != Hands::Leaves);
            let other = left_address.and_then(|address| people.showing(address));
            if let Some(other) = other.filter(|other| *other != person) {
                people.spared.insert(person, other);
            }
        }
        let records: HashMap<Name, u32> = if self.base.former.is_empty() {
            HashMap::new()
        } else {
            let members = self.source.members.iter().enumerate();
            members.map(|(at, member)| (member.id, at as u32)).collect()
        };
        let former = self.base.former.iter().filter_map(|former| {
            let record = records.get(&former.source)?;
            let contact = self.target_by_id.get(&former.target)?;
            Some((people.of_source(*record)?, *contact))
        });
        let former: Vec<(PersonIx, u32)> = former.collect();
        for (person, contact) in former.into_iter().chain(left) {
            let holder = people.of_target(contact).filter(|holder| *holder != person);
            // From when on another record shows the address it is that one's.
            reached.extend(
                holder
                    .filter(|holder| people.sources(*holder).is_empty())
                    .map(|holder| (person, holder)),
            );
        }
        reached.sort_unstable();
        reached.dedup();
        for (person, holder) in reached {
            if people.get(person).source_status == MemberStatus::OptedOut {
                people.rows[holder.0 as usize].refused_by_address = true;
            }
            people.reached.entry(person).or_default().push(holder);
        }
        for member in &self.source.members {
            let Some(text) = member
                .unusable
                .filter(|_| member.status == MemberStatus::OptedOut)
            else {
                continue;
            };
            for address in addresses_in(self.names.text(text)) {
                let shown = self.names.find(address.as_str());
                if let Some(person) = shown.and_then(|address| people.showing(address)) {
                    people.rows[person.0 as usize].refused_by_address = true;
                }
            }
        }
    }
}

/// Orders ids as people do: numbers by size.
fn id_rank(id: &str) -> (u64, String) {
    (id.parse::<u64>().unwrap_or(u64::MAX), id.to_owned())
}
