//! Who is who: source people and target people that are one person.
//!
//! A person is found by link first, then by normalised address. The link keeps the pair even when
//! an address changes.

use std::collections::{HashMap, HashSet};

use super::base::Base;
use crate::model::{MemberStatus, Name, Names, Snapshot};

/// The position of a person in [`People`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonIx(pub u32);

/// One person at both sides.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// The normalised address: the source's where there is one, else the target's.
    pub address: Name,
    sources: (u32, u32),
    targets: (u32, u32),
    /// The target's person that a link names, when the target no longer has it.
    pub vanished: Option<Name>,
    /// Whether rosterd's own removal was the last thing that happened to the vanished person.
    pub removed_by_us: bool,
    /// The address at the target, when a link says that it is the same person and the source's
    /// address differs.
    pub moves_from: Option<Name>,
    /// The position of the target's person that a link names and that stands for somebody else
    /// since the two got addresses of their own; a refusal there still counts.
    pub parted_from: Option<u32>,
    /// Whether somebody else at the target has, or may get, the address.
    pub address_taken: bool,
    /// The strictest status at the source.
    pub source_status: MemberStatus,
    /// The strictest status at the target, everybody with the address included.
    pub target_status: MemberStatus,
    /// Whether a link of this job names the person.
    pub linked: bool,
}

/// All people of a run, in the order of their addresses.
#[derive(Clone, Debug, Default)]
pub struct People {
    rows: Vec<Person>,
    source_members: Vec<u32>,
    target_members: Vec<u32>,
    of_source: Vec<Option<PersonIx>>,
    of_target: Vec<Option<PersonIx>>,
    target_positions: HashMap<Name, u32>,
}

impl People {
    /// Pairs the people of two snapshots.
    pub fn pair(source: &Snapshot, target: &Snapshot, base: &Base, names: &Names) -> People {
        Pairing::new(source, target, base).run(names)
    }

    /// Counts the people.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Tells whether nobody was read.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Goes through the people in the order of their addresses.
    pub fn iter(&self) -> impl Iterator<Item = (PersonIx, &Person)> {
        self.rows
            .iter()
            .enumerate()
            .map(|(at, person)| (PersonIx(at as u32), person))
    }

    /// Returns a person.
    pub fn get(&self, person: PersonIx) -> &Person {
        &self.rows[person.0 as usize]
    }

    /// Returns the positions of a person's rows at the source, in ascending order of the id.
    pub fn sources(&self, person: PersonIx) -> &[u32] {
        let (from, to) = self.get(person).sources;
        &self.source_members[from as usize..to as usize]
    }

    /// Returns the positions of a person's rows at the target. More than one means that the target
    /// has duplicates.
    pub fn targets(&self, person: PersonIx) -> &[u32] {
        let (from, to) = self.get(person).targets;
        &self.target_members[from as usize..to as usize]
    }

    /// Returns the other addresses under which a person is known: at the target, and at the end of
    /// the last confirmed run.
    pub fn former_addresses(&self, person: PersonIx, source: &Snapshot, base: &Base) -> Vec<Name> {
        let row = self.get(person);
        let linked = self
            .sources(person)
            .iter()
            .filter_map(|at| base.member_of_source(source.members[*at as usize].id));
        let mut known: Vec<Name> = linked
            .map(|link| link.address)
            .chain(row.moves_from)
            .collect();
        known.retain(|address| *address != row.address);
        known
    }

    /// Returns who a source row is; nobody when it has no usable address.
    pub fn of_source(&self, member: u32) -> Option<PersonIx> {
        self.of_source.get(member as usize).copied().flatten()
    }

    /// Returns the position of a target person by id.
    pub fn target_position(&self, id: Name) -> Option<u32> {
        self.target_positions.get(&id).copied()
    }

    /// Returns who a target row is; nobody when it has neither an address nor a link.
    pub fn of_target(&self, member: u32) -> Option<PersonIx> {
        self.of_target.get(member as usize).copied().flatten()
    }
}

struct Draft {
    address: Name,
    sources: Vec<u32>,
    targets: Vec<u32>,
    vanished: Option<Name>,
    removed_by_us: bool,
    moves_from: Option<Name>,
    parted_from: Option<u32>,
    address_taken: bool,
    linked: bool,
}

struct Pairing<'a> {
    source: &'a Snapshot,
    target: &'a Snapshot,
    base: &'a Base,
    target_by_id: HashMap<Name, u32>,
    target_by_address: HashMap<Name, Vec<u32>>,
}

impl<'a> Pairing<'a> {
    fn new(source: &'a Snapshot, target: &'a Snapshot, base: &'a Base) -> Self {
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
            target_by_id,
            target_by_address,
        }
    }

    fn run(&self, names: &Names) -> People {
        let mut by_address: HashMap<Name, Vec<u32>> =
            HashMap::with_capacity(self.source.members.len());
        for (at, member) in self.source.members.iter().enumerate() {
            if let Some(address) = member.address {
                by_address.entry(address).or_default().push(at as u32);
            }
        }
        let mut taken: HashSet<u32> = HashSet::new();
        let mut drafts: Vec<Draft> = by_address
            .into_iter()
            .map(|(address, sources)| self.draft(address, sources))
            .collect();
        self.part(&mut drafts, names);
        for draft in &drafts {
            taken.extend(draft.targets.iter().filter(|_| draft.linked));
        }
        for draft in &mut drafts {
            self.claim_by_address(draft, &taken);
        }
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
                    address: *address,
                    sources: Vec::new(),
                    targets: free,
                    vanished: None,
                    removed_by_us: false,
                    moves_from: None,
                    parted_from: None,
                    address_taken: false,
                    linked: false,
                });
            }
        }
        if let Some(nobody) = names.find("") {
            // People without an address can still be listed, and a mirror has to be able to name
            // them.
            let without = self
                .target
                .members
                .iter()
                .enumerate()
                .filter(|(_, member)| member.address.is_none());
            for at in without
                .map(|(at, _)| at as u32)
                .filter(|at| !claimed.contains(at))
            {
                drafts.push(Draft {
                    address: nobody,
                    sources: Vec::new(),
                    targets: vec![at],
                    vanished: None,
                    removed_by_us: false,
                    moves_from: None,
                    parted_from: None,
                    address_taken: false,
                    linked: false,
                });
            }
        }
        self.collect(drafts, names)
    }

    fn draft(&self, address: Name, sources: Vec<u32>) -> Draft {
        let mut draft = Draft {
            address,
            sources,
            targets: Vec::new(),
            vanished: None,
            removed_by_us: false,
            moves_from: None,
            parted_from: None,
            address_taken: false,
            linked: false,
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
                    draft.targets.push(*position)
                }
                Some(_) => {}
                None => {
                    draft.vanished = Some(link.target);
                    draft.removed_by_us |= link.removed_by_us;
                }
            }
        }
        if !draft.targets.is_empty() {
            draft.vanished = None;
        }
        draft
    }

    /// Leaves a target person to one of several source people whom links lead to it: they shared an
    /// address once and do no more.
    ///
    /// Whoever still has the target's address keeps it, else the one with the lowest id; otherwise
    /// the two would take the contact from each other in every run.
    fn part(&self, drafts: &mut [Draft], names: &Names) {
        let mut claims: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, draft) in drafts.iter().enumerate() {
            draft
                .targets
                .iter()
                .for_each(|target| claims.entry(*target).or_default().push(at));
        }
        for (target, rivals) in claims.into_iter().filter(|(_, rivals)| rivals.len() > 1) {
            let held = self.target.members[target as usize].address;
            let rank = |at: &usize| {
                let draft = &drafts[*at];
                let lowest = draft
                    .sources
                    .iter()
                    .map(|source| id_rank(names.text(self.source.members[*source as usize].id)))
                    .min();
                (held != Some(draft.address), lowest)
            };
            let owner = rivals.iter().copied().min_by_key(rank);
            for at in rivals.into_iter().filter(|at| Some(*at) != owner) {
                let draft = &mut drafts[at];
                draft.targets.retain(|known| *known != target);
                draft.parted_from =
                    Some(draft.parted_from.map_or(target, |known| known.min(target)));
            }
        }
    }

    /// Adds the target's people with the same address, unless a link says that they are somebody
    /// else.
    fn claim_by_address(&self, draft: &mut Draft, taken: &HashSet<u32>) {
        let with_address = self
            .target_by_address
            .get(&draft.address)
            .map_or(&[][..], Vec::as_slice);
        if draft.linked && !draft.targets.is_empty() {
            let holds = draft
                .targets
                .iter()
                .any(|at| self.target.members[*at as usize].address == Some(draft.address));
            if holds {
                // Others with the same address are duplicates of this person.
                for at in with_address {
                    if !draft.targets.contains(at) && !taken.contains(at) {
                        draft.targets.push(*at);
                    }
                }
            } else {
                draft.moves_from = self.target.members[draft.targets[0] as usize].address;
                draft.address_taken = !with_address.is_empty();
            }
            return;
        }
        for at in with_address {
            if taken.contains(at) {
                draft.address_taken = true;
            } else {
                draft.targets.push(*at);
            }
        }
        if !draft.targets.is_empty() {
            // Somebody took the vanished person's place under the same address.
            draft.vanished = None;
        }
    }

    fn collect(&self, mut drafts: Vec<Draft>, names: &Names) -> People {
        // Two people can share an address here: one at the source, one at the target who is linked
        // elsewhere.
        drafts.sort_by(|left, right| {
            let id = |draft: &Draft| {
                draft
                    .targets
                    .first()
                    .map(|at| names.text(self.target.members[*at as usize].id))
            };
            (names.text(left.address), left.sources.is_empty(), id(left)).cmp(&(
                names.text(right.address),
                right.sources.is_empty(),
                id(right),
            ))
        });
        let mut people = People {
            rows: Vec::with_capacity(drafts.len()),
            source_members: Vec::new(),
            target_members: Vec::new(),
            of_source: vec![None; self.source.members.len()],
            of_target: vec![None; self.target.members.len()],
            target_positions: self.target_by_id.clone(),
        };
        let order =
            |snapshot: &Snapshot, at: u32| id_rank(names.text(snapshot.members[at as usize].id));
        for mut draft in drafts {
            let ix = PersonIx(people.rows.len() as u32);
            draft.sources.sort_by_key(|at| order(self.source, *at));
            draft.targets.sort_by_key(|at| order(self.target, *at));
            draft
                .sources
                .iter()
                .for_each(|at| people.of_source[*at as usize] = Some(ix));
            draft
                .targets
                .iter()
                .for_each(|at| people.of_target[*at as usize] = Some(ix));
            let strictest = |snapshot: &Snapshot, rows: &[u32]| {
                rows.iter()
                    .map(|at| snapshot.members[*at as usize].status)
                    .max()
                    .unwrap_or(MemberStatus::Active)
            };
            // Whoever holds the address at the target speaks for its consent, also where a link
            // says it is somebody else.
            let same_address = self
                .target_by_address
                .get(&draft.address)
                .map_or(&[][..], Vec::as_slice);
            let parted = draft
                .parted_from
                .map(|at| self.target.members[at as usize].status);
            let parted = parted
                .filter(|status| *status == MemberStatus::OptedOut)
                .unwrap_or(MemberStatus::Active);
            let target_status = strictest(self.target, &draft.targets)
                .max(strictest(self.target, same_address))
                .max(parted);
            let span = |all: &mut Vec<u32>, rows: &[u32]| {
                let from = all.len() as u32;
                all.extend_from_slice(rows);
                (from, all.len() as u32)
            };
            people.rows.push(Person {
                address: draft.address,
                sources: span(&mut people.source_members, &draft.sources),
                targets: span(&mut people.target_members, &draft.targets),
                vanished: draft.vanished,
                removed_by_us: draft.removed_by_us,
                moves_from: draft.moves_from,
                parted_from: draft.parted_from,
                address_taken: draft.address_taken,
                source_status: strictest(self.source, &draft.sources),
                target_status,
                linked: draft.linked,
            });
        }
        people
    }
}

/// Orders ids as people do: numbers by size.
fn id_rank(id: &str) -> (u64, String) {
    (id.parse::<u64>().unwrap_or(u64::MAX), id.to_owned())
}
