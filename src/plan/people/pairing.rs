//! Pairs the records of a source with the contacts of a target.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::draft::{Draft, Linked};
use super::hands::settle_hands;
use super::order::sorted_by_text;
use super::{Hands, People, Person, PersonIx, Unusable};
use crate::model::policy::{OnDrift, OptOuts};
use crate::model::{MemberStatus, Name, Names, Snapshot, addresses_in};
use crate::plan::base::{Base, LedgerPerson};
use crate::plan::tables::{Bits, Numbers, RowsByName};

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

pub(super) struct Pairing<'a> {
    pub(super) source: &'a Snapshot,
    pub(super) target: &'a Snapshot,
    pub(super) base: &'a Base,
    pub(super) names: &'a Names,
    /// What becomes of an address that was changed at the target.
    pub(super) on_drift: OnDrift,
    /// Whether refusals are carried.
    pub(super) opt_outs: OptOuts,
    /// The target's rows by the place of the id among the names.
    target_by_id: Numbers,
    target_by_address: RowsByName,
    /// The source's rows by the place of the id among the names, once somebody asks.
    source_by_id: OnceCell<Numbers>,
}

impl<'a> Pairing<'a> {
    fn new(source: &'a Snapshot, target: &'a Snapshot, base: &'a Base, names: &'a Names) -> Self {
        let addresses = target.members.iter().map(|member| member.address);
        Pairing {
            source,
            target,
            base,
            names,
            on_drift: OnDrift::Overwrite,
            opt_outs: OptOuts::Carry,
            target_by_id: by_id(target, names),
            target_by_address: RowsByName::new(names.len(), addresses),
            source_by_id: OnceCell::new(),
        }
    }

    /// Returns the contacts that have an address.
    pub(super) fn holders(&self, address: Name) -> &[u32] {
        self.target_by_address.get(address)
    }

    /// Returns the position of a contact.
    fn contact(&self, id: Name) -> Option<u32> {
        self.target_by_id.get(id.place())
    }

    /// Returns the position of a record.
    fn record(&self, id: Name) -> Option<u32> {
        let records = self
            .source_by_id
            .get_or_init(|| by_id(self.source, self.names));
        records.get(id.place())
    }

    /// Returns the address of a contact.
    pub(super) fn address_of(&self, contact: u32) -> Option<Name> {
        self.target.members[contact as usize].address
    }

    fn drafts(&self) -> Vec<Draft> {
        let records = &self.source.members;
        let addresses = records.iter().map(|member| member.address);
        let by_address = RowsByName::new(self.names.len(), addresses);
        let links = self.base.links_by_source(self.names);
        let without_address = records.iter().filter(|member| member.address.is_none());
        let mut drafts = Vec::with_capacity(by_address.names() + without_address.count());
        for (member, at) in records.iter().zip(0..) {
            let Some(address) = member.address else {
                continue;
            };
            let sources = by_address.get(address);
            if sources[0] == at {
                drafts.push(self.draft(address, sources, &links));
            }
        }
        drop((by_address, links));
        // Which draft each contact belongs to by a link.
        let mut owners = self.part(&mut drafts);
        for (member, at) in records.iter().zip(0..) {
            if member.address.is_none() {
                self.add_without_address(at, &mut drafts, &mut owners);
            }
        }
        settle_hands(self, &mut drafts, &mut owners);
        for (at, draft) in drafts.iter_mut().enumerate() {
            self.claim_by_address(at, draft, &owners);
        }
        self.add_unknown_contacts(&mut drafts);
        drafts
    }

    /// `links` are the positions of the links by the place of the record's id among the names.
    fn draft(&self, address: Name, sources: &[u32], links: &Numbers) -> Draft {
        let mut draft = Draft::new(address);
        draft.set_sources(sources);
        let mut in_pairs = 0;
        for at in sources {
            let Some(link) = links.get(self.source.members[*at as usize].id.place()) else {
                continue;
            };
            let link = &self.base.members[link as usize];
            draft.linked = Linked::Otherwise;
            if let Some(position) = self.contact(link.target) {
                in_pairs += 1;
                if !draft.targets().contains(&position) {
                    draft.add_target(position);
                }
            } else {
                // Of several the first in order, in whatever order they are read.
                let first = draft.vanished().filter(|known| {
                    let text = |name: Name| id_rank(self.names.text(name));
                    text(*known) <= text(link.target)
                });
                draft.set_vanished(Some(first.unwrap_or(link.target)));
                draft.removed_by_us |= link.removed_by_us;
            }
        }
        if !draft.targets().is_empty() {
            draft.set_vanished(None);
        }
        let targets = self.ranked(self.target, draft.targets());
        if let Some(targets) = targets {
            draft.set_targets(&targets);
        } else if in_pairs == sources.len() {
            draft.linked = Linked::AsPaired;
        }
        draft
    }

    /// Puts a person's rows in order; nothing where there is one at most, which is in order.
    fn ranked(&self, snapshot: &Snapshot, rows: &[u32]) -> Option<Vec<u32>> {
        (rows.len() > 1).then(|| {
            let mut rows = rows.to_vec();
            rows.sort_by_cached_key(|at| self.rank(snapshot, *at));
            rows
        })
    }

    /// Tells whether the target shows a person.
    pub(super) fn is_at_target(&self, id: Name) -> bool {
        self.contact(id).is_some()
    }

    /// Leaves a target person to one of several source people whom links lead to it: they shared an
    /// address once and do no more. Returns whose each target person is.
    ///
    /// Whoever still has the target's address keeps it, else the one with the lowest id; otherwise
    /// the two would take the contact from each other in every run.
    fn part(&self, drafts: &mut [Draft]) -> Numbers {
        let mut owners = Numbers::new(self.target.members.len());
        let mut contested: HashMap<u32, Vec<u32>> = HashMap::new();
        for (draft, at) in drafts.iter().zip(0..) {
            for target in draft.targets() {
                if let Some(other) = owners.set(*target as usize, at) {
                    let rivals = contested.entry(*target).or_insert_with(|| vec![other]);
                    rivals.push(at);
                }
            }
        }
        for (target, rivals) in contested {
            let held = self.address_of(target);
            let rank = |at: &u32| {
                let draft = &drafts[*at as usize];
                let lowest = draft
                    .sources()
                    .iter()
                    .map(|source| self.rank(self.source, *source))
                    .min();
                (held != Some(draft.address), lowest)
            };
            let Some(owner) = rivals.iter().copied().min_by_key(rank) else {
                continue;
            };
            owners.set(target as usize, owner);
            for at in rivals.into_iter().filter(|at| *at != owner) {
                let draft = &mut drafts[at as usize];
                draft.remove_target(target);
                let parted = draft.parted_from().into_iter().chain([target]);
                draft.set_parted_from(parted.min_by_key(|at| self.rank(self.target, *at)));
            }
        }
        owners
    }

    /// Takes in a record without a usable address. If it is linked it is its partner all the same;
    /// if it is not it is a person of its own, whom no address makes anybody else.
    fn add_without_address(&self, at: u32, drafts: &mut Vec<Draft>, owners: &mut Numbers) {
        let member = &self.source.members[at as usize];
        let unusable = Some(if member.unusable.is_some() {
            Unusable::Malformed
        } else {
            Unusable::Empty
        });
        let Some(link) = self.base.member_of_source(member.id) else {
            if let Some(nobody) = self.names.find("") {
                let mut draft = Draft::new(nobody);
                draft.unusable = unusable;
                draft.add_source(at);
                drafts.push(draft);
            }
            return;
        };
        let contact = self.contact(link.target);
        if let Some(owner) = contact.and_then(|contact| owners.get(contact as usize)) {
            let owner = &mut drafts[owner as usize];
            owner.add_source(at);
            // Of several records without an address the one that has something in its place counts,
            // in whatever order they are read.
            if owner.unusable.is_some() {
                owner.unusable = owner.unusable.max(unusable);
            }
            return;
        }
        let held = contact.and_then(|contact| self.address_of(contact));
        let mut draft = Draft::new(held.unwrap_or(link.address));
        draft.unusable = unusable;
        draft.removed_by_us = contact.is_none() && link.removed_by_us;
        draft.linked = Linked::Otherwise;
        draft.add_source(at);
        match contact {
            Some(contact) => {
                owners.set(contact as usize, drafts.len() as u32);
                draft.add_target(contact);
            }
            None => draft.set_vanished(Some(link.target)),
        }
        drafts.push(draft);
    }

    /// Adds the target's people with the same address, unless a link says that they are somebody
    /// else.
    fn claim_by_address(&self, at: usize, draft: &mut Draft, owners: &Numbers) {
        if draft.unusable.is_some() {
            return;
        }
        let linked = !draft.targets().is_empty();
        let holds = |contact: &u32| self.address_of(*contact) == Some(draft.address);
        if linked && !draft.targets().iter().any(holds) {
            return;
        }
        // Others with the same address are duplicates of this person.
        for contact in self.holders(draft.address) {
            let owner = owners.get(*contact as usize);
            if owner.is_none_or(|owner| owner as usize == at) && !draft.targets().contains(contact)
            {
                draft.add_target(*contact);
            }
        }
        if !draft.targets().is_empty() {
            // Somebody took the vanished person's place under the same address.
            draft.set_vanished(None);
        }
    }

    /// Adds those whom only the target knows.
    fn add_unknown_contacts(&self, drafts: &mut Vec<Draft>) {
        let contacts = &self.target.members;
        let mut claimed = Bits::new(contacts.len());
        for target in drafts.iter().flat_map(Draft::targets) {
            claimed.insert(*target);
        }
        // People without an address can still be listed, and a mirror has to be able to name them.
        let nobody = self.names.find("");
        let unknown = || {
            let free = contacts
                .iter()
                .zip(0..)
                .filter(|(_, at)| !claimed.contains(*at));
            free.filter_map(|(member, at)| match member.address {
                Some(address) => {
                    let holders = self.holders(address);
                    let first = holders.iter().position(|at| !claimed.contains(*at))?;
                    (holders[first] == at).then_some((address, at, &holders[first + 1..]))
                }
                None => nobody.map(|nobody| (nobody, at, &[][..])),
            })
        };
        drafts.reserve_exact(unknown().count());
        for (address, first, others) in unknown() {
            let mut draft = Draft::new(address);
            draft.add_target(first);
            for target in others.iter().filter(|at| !claimed.contains(**at)) {
                draft.add_target(*target);
            }
            drafts.push(draft);
        }
    }

    /// Orders people by their ids, which do not depend on the order of reading.
    pub(super) fn rank(&self, snapshot: &Snapshot, at: u32) -> (u64, String) {
        id_rank(self.names.text(snapshot.members[at as usize].id))
    }

    fn collect(self, mut drafts: Vec<Draft>) -> People {
        for draft in &mut drafts {
            if let Some(sources) = self.ranked(self.source, draft.sources()) {
                draft.set_sources(&sources);
            }
            if let Some(targets) = self.ranked(self.target, draft.targets()) {
                draft.set_targets(&targets);
            }
        }
        let order = self.order(&drafts);
        let many = drafts.len();
        let mut people = People {
            rows: Vec::with_capacity(many),
            source_members: Vec::with_capacity(self.source.members.len()),
            target_members: Vec::with_capacity(self.target.members.len()),
            of_source: Numbers::new(self.source.members.len()),
            of_target: Numbers::new(self.target.members.len()),
            by_shown_address: Numbers::new(self.names.len()),
            linked_as_paired: Bits::new(many),
            ..People::default()
        };
        let statuses = |snapshot: &Snapshot| -> Vec<MemberStatus> {
            snapshot
                .members
                .iter()
                .map(|member| member.status)
                .collect()
        };
        // Of both sides, side by side: in the order of the addresses each of them is far from the
        // one before.
        let statuses = (statuses(self.source), statuses(self.target));
        let mut left = Vec::new();
        for (draft, number) in order.into_iter().zip(0..) {
            let draft = &drafts[draft as usize];
            let ix = PersonIx(number);
            for at in draft.sources() {
                people.of_source.set(*at as usize, number);
            }
            for at in draft.targets() {
                people.of_target.set(*at as usize, number);
            }
            if draft.unusable.is_none() && !draft.sources().is_empty() {
                people.by_shown_address.set(draft.address.place(), number);
            }
            if draft.linked == Linked::AsPaired && draft.targets().len() == 1 {
                people.linked_as_paired.insert(number);
            }
            people.parted.extend(draft.parted_from().map(|at| (ix, at)));
            left.extend(draft.left().iter().map(|contact| (ix, *contact)));
            let person = self.person(draft, &statuses, &mut people);
            people.rows.push(person);
        }
        drop(drafts);
        self.refusals(&mut people, left);
        self.remember(&mut people);
        people.target_positions = self.target_by_id;
        people
    }

    /// Returns the drafts in the order of their addresses.
    ///
    /// Two people can share an address: one at the source, one at the target who is linked
    /// elsewhere. Many have none.
    fn order(&self, drafts: &[Draft]) -> Vec<u32> {
        let id = |snapshot: &Snapshot, rows: &[u32]| {
            let first = rows.first();
            first.map(|at| self.names.text(snapshot.members[*at as usize].id))
        };
        let tie = |left: &u32, right: &u32| {
            let key = |draft: &Draft| {
                (
                    draft.sources().is_empty(),
                    id(self.target, draft.targets()),
                    id(self.source, draft.sources()),
                )
            };
            let (left, right) = (&drafts[*left as usize], &drafts[*right as usize]);
            key(left).cmp(&key(right))
        };
        let text = |draft: u32| self.names.text(drafts[draft as usize].address);
        sorted_by_text(drafts.len(), text, tie)
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
        for (at, refusal) in refusals.iter().enumerate() {
            let mut bound: Vec<PersonIx> = Vec::new();
            for key in &refusal.people {
                if let LedgerPerson::Record(id) = key {
                    let record = self.record(*id);
                    bound.extend(record.and_then(|record| people.of_source(record)));
                }
            }
            let by_record = !bound.is_empty();
            let may_bind = |person: &PersonIx| !by_record || people.sources(*person).is_empty();
            for key in &refusal.people {
                match key {
                    LedgerPerson::Record(_) => {}
                    LedgerPerson::Contact(id) => {
                        let contact = self.contact(*id);
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
                people.rows[person.0 as usize].is_bound = true;
                people.remembered.entry(person).or_default().push(at as u32);
            }
        }
    }

    fn person(
        &self,
        draft: &Draft,
        (source, target): &(Vec<MemberStatus>, Vec<MemberStatus>),
        people: &mut People,
    ) -> Person {
        let strictest = |statuses: &[MemberStatus], rows: &[u32]| {
            rows.iter()
                .map(|at| statuses[*at as usize])
                .max()
                .unwrap_or(MemberStatus::Active)
        };
        // Whoever holds the address at the target speaks for its consent, also where a link says it
        // is somebody else.
        let parted = draft.parted_from().map(|at| target[at as usize]);
        let parted = parted
            .filter(|status| *status == MemberStatus::OptedOut)
            .unwrap_or(MemberStatus::Active);
        let target_status = strictest(target, draft.targets())
            .max(strictest(target, self.holders(draft.address)))
            .max(parted);
        let start = |all: &mut Vec<u32>, rows: &[u32]| {
            let from = all.len() as u32;
            all.extend_from_slice(rows);
            from
        };
        Person {
            address: draft.address,
            sources: start(&mut people.source_members, draft.sources()),
            targets: start(&mut people.target_members, draft.targets()),
            unusable: draft.unusable,
            vanished: draft.vanished(),
            removed_by_us: draft.removed_by_us,
            moves_from: draft.moves_from(),
            hands: draft.hands,
            source_status: strictest(source, draft.sources()),
            refused_by_address: false,
            target_status,
            linked: draft.linked != Linked::Not,
            is_bound: false,
        }
    }

    /// Finds out whose refusal holds for whose contact: it belongs to the address that the source
    /// shows with it.
    fn refusals(&self, people: &mut People, left: Vec<(PersonIx, u32)>) {
        let mut reached: Vec<(PersonIx, PersonIx)> = Vec::new();
        for number in 0..people.rows.len() as u32 {
            let person = PersonIx(number);
            let address = people.get(person).address;
            if people.showing(address) != Some(person) {
                continue;
            }
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
        let former = self.base.former.iter().filter_map(|former| {
            let record = self.record(former.source)?;
            let contact = self.contact(former.target)?;
            Some((people.of_source(record)?, contact))
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

/// Returns the positions of a snapshot's people by the place of the id among the names.
fn by_id(snapshot: &Snapshot, names: &Names) -> Numbers {
    let mut by_id = Numbers::new(names.len());
    for (member, at) in snapshot.members.iter().zip(0..) {
        by_id.set(member.id.place(), at);
    }
    by_id
}

/// Orders ids as people do: numbers by size.
fn id_rank(id: &str) -> (u64, String) {
    (id.parse::<u64>().unwrap_or(u64::MAX), id.to_owned())
}
