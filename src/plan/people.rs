//! Who is who: source people and target people that are one person.
//!
//! Decided once, before anything else, and never by address alone. A record that is linked is its
//! partner, whatever its address says today; one that is not is paired by address. What an address
//! that changes hands means for those concerned is decided here as well, in [`Hands`], and so is
//! whose refusal holds for whose contact.

mod draft;
mod hands;
mod order;
mod pairing;

use std::collections::{HashMap, HashSet};

use super::base::Base;
use super::tables::{Bits, Numbers};
use crate::model::policy::{OnDrift, OptOuts};
use crate::model::{MemberStatus, Name, Names, Snapshot};

/// The position of a person in [`People`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonIx(pub u32);

/// Why a person has no address that could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unusable {
    /// Nothing stands in its place.
    Empty,
    /// Something does, and it is no address.
    Malformed,
}

/// How a person stands to an address that the source shows and that another person's contact has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hands {
    /// Nobody else is concerned.
    #[default]
    Free,
    /// Others wait for the address that this person's contact has; the new one is free, so that
    /// this person moves before everybody else.
    Leaves,
    /// The person whose contact has the address moves first, and the next run goes on.
    Waits,
    /// The person whose contact has the address does not leave it: the two wait for each other, the
    /// move is not possible, or that contact was erased while its record is still there.
    Stuck,
    /// The contact that has the address belongs to nobody whom the source ever showed.
    Stranger,
}

impl Hands {
    /// Tells whether an address is changing hands, so that nobody concerned is removed and no
    /// profile of theirs is written.
    pub fn is_changing(self) -> bool {
        matches!(self, Hands::Leaves | Hands::Waits | Hands::Stuck)
    }

    /// Tells whether the address can't become the person's in this run.
    pub fn is_taken(self) -> bool {
        matches!(self, Hands::Waits | Hands::Stuck | Hands::Stranger)
    }
}

/// One person at both sides.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// The normalised address: the source's where there is one, else the target's, or the one that
    /// the link remembers; empty for somebody who has none anywhere.
    pub address: Name,
    /// Where the person's rows begin; they end where those of the next person begin.
    sources: u32,
    targets: u32,
    /// Why none of the person's records has an address that can be used.
    pub unusable: Option<Unusable>,
    /// The target's person that a link names, when the target no longer has it.
    pub vanished: Option<Name>,
    /// Whether rosterd's own removal was the last thing that happened to the vanished person.
    pub removed_by_us: bool,
    /// The address at the target, when a link says that it is the same person and the source's
    /// address differs.
    pub moves_from: Option<Name>,
    /// How the person stands to others with the same address.
    pub hands: Hands,
    /// The strictest status at the source.
    pub source_status: MemberStatus,
    /// Whether a refusal of all mail that another record shows holds for this person's contact as
    /// well, because the contact has the address that was refused.
    pub refused_by_address: bool,
    /// The strictest status at the target, everybody with the address included.
    pub target_status: MemberStatus,
    /// Whether a link of this job names the person.
    pub linked: bool,
    /// Whether a remembered refusal binds the person.
    is_bound: bool,
}

/// All people of a run, in the order of their addresses.
#[derive(Clone, Debug, Default)]
pub struct People {
    rows: Vec<Person>,
    source_members: Vec<u32>,
    target_members: Vec<u32>,
    of_source: Numbers,
    of_target: Numbers,
    /// The contacts by the place of the id among the names.
    target_positions: Numbers,
    /// The people by the place of the address among the names.
    by_shown_address: Numbers,
    /// Whose links say what the pair says.
    linked_as_paired: Bits,
    parted: HashMap<PersonIx, u32>,
    reached: HashMap<PersonIx, Vec<PersonIx>>,
    remembered: HashMap<PersonIx, Vec<u32>>,
    /// The positions in the ledger of the refusals that bind several people.
    shared: HashSet<u32>,
    spared: HashMap<PersonIx, PersonIx>,
}

impl People {
    /// Pairs the people of two snapshots. What becomes of an address that was changed at the target,
    /// and of that of somebody who refuses mail, decides whether somebody else can get it.
    pub fn pair(
        source: &Snapshot,
        target: &Snapshot,
        base: &Base,
        names: &Names,
        on_drift: OnDrift,
        opt_outs: OptOuts,
    ) -> People {
        pairing::pair(source, target, base, names, on_drift, opt_outs)
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
        let from = self.get(person).sources as usize;
        match self.rows.get(person.0 as usize + 1) {
            Some(next) => &self.source_members[from..next.sources as usize],
            None => &self.source_members[from..],
        }
    }

    /// Returns the positions of a person's rows at the target. More than one means that the target
    /// has duplicates.
    pub fn targets(&self, person: PersonIx) -> &[u32] {
        let from = self.get(person).targets as usize;
        match self.rows.get(person.0 as usize + 1) {
            Some(next) => &self.target_members[from..next.targets as usize],
            None => &self.target_members[from..],
        }
    }

    /// Returns who a source row is.
    pub fn of_source(&self, member: u32) -> Option<PersonIx> {
        self.of_source.get(member as usize).map(PersonIx)
    }

    /// Returns the position of a target person by id.
    pub fn target_position(&self, id: Name) -> Option<u32> {
        self.target_positions.get(id.place())
    }

    /// Returns who a target row is; nobody when it has neither an address nor a link.
    pub fn of_target(&self, member: u32) -> Option<PersonIx> {
        self.of_target.get(member as usize).map(PersonIx)
    }

    /// Returns the person whose records show an address.
    pub fn showing(&self, address: Name) -> Option<PersonIx> {
        self.by_shown_address.get(address.place()).map(PersonIx)
    }

    /// Tells whether a person has one contact, to which each of the person's records was linked
    /// before.
    pub(super) fn is_linked_as_paired(&self, person: PersonIx) -> bool {
        self.linked_as_paired.contains(person.0)
    }

    /// Returns the position of the target's person that a link names and that stands for somebody
    /// else since the two got addresses of their own; a refusal there still counts.
    pub fn parted_from(&self, person: PersonIx) -> Option<u32> {
        self.parted.get(&person).copied()
    }

    /// Returns the other people whose contacts a person's refusal reaches: those that have the
    /// address which the source shows with it and do not leave it in this run, and those that the
    /// person's record was linked to before a merge and that no other record shows since.
    pub fn reached(&self, person: PersonIx) -> &[PersonIx] {
        self.reached.get(&person).map_or(&[], Vec::as_slice)
    }

    /// Returns the positions in the ledger of the remembered refusals that bind a person, in
    /// ascending order.
    pub fn remembered(&self, person: PersonIx) -> &[u32] {
        // Everybody is asked about once per membership, and few have refused anything.
        if !self.get(person).is_bound {
            return &[];
        }
        self.remembered.get(&person).map_or(&[], Vec::as_slice)
    }

    /// Tells whether a remembered refusal, by its position in the ledger, binds several people: two
    /// records had one address once and have no more.
    pub fn is_shared(&self, refusal: u32) -> bool {
        self.shared.contains(&refusal)
    }

    /// Returns the person whose record shows the address of this person's contact, so that a
    /// refusal of this person's is not written there unless that record refuses as well.
    pub fn spared_for(&self, person: PersonIx) -> Option<PersonIx> {
        self.spared.get(&person).copied()
    }

    /// Names a person in the keys of items: by the address, and by an id where there is none.
    pub fn key<'a>(
        &self,
        person: PersonIx,
        source: &Snapshot,
        target: &Snapshot,
        names: &'a Names,
    ) -> std::borrow::Cow<'a, str> {
        let address = names.text(self.get(person).address);
        if !address.is_empty() {
            return address.into();
        }
        // Ids of two accounts can be equal, and name different people.
        let (sign, member) = match (self.sources(person), self.targets(person)) {
            ([first, ..], _) => ("#", source.members[*first as usize].id),
            ([], [first, ..]) => ("##", target.members[*first as usize].id),
            ([], []) => return address.into(),
        };
        format!("{sign}{}", names.text(member)).into()
    }
}
