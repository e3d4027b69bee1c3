//! What it means that an address changes hands.
//!
//! While a new address belongs to another contact whose own record is still at the source and shows
//! another one, that contact moves first if its new address is free, and the rest follows in the
//! next run. Where they wait for each other, or the move is not possible, nobody moves. Where that
//! contact's record is gone the two were merged, and the link moves to that contact. A contact to
//! which no record was ever linked is a stranger's. Where the contact is gone and its record is not,
//! the address goes to nobody.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use super::Hands;
use super::draft::Draft;
use super::pairing::Pairing;
use crate::model::policy::{OnDrift, OptOuts};
use crate::model::{Existence, Listing, MemberStatus, Name, Reading};
use crate::plan::bars::keeps_from;
use crate::plan::base::{LedgerPerson, MemberLink, Refusal};
use crate::plan::item_key;
use crate::plan::tables::{Bits, Numbers};

/// Decides how each person stands to the contacts that have the address which the source shows.
/// `owners` says whose each contact is by a link, and learns of merges.
pub(super) fn settle_hands(pairing: &Pairing<'_>, drafts: &mut [Draft], owners: &mut Numbers) {
    let moving: Vec<usize> = (0..drafts.len())
        .filter(|at| moves(pairing, &drafts[*at]))
        .collect();
    for at in &moving {
        let from = pairing.address_of(drafts[*at].targets()[0]);
        drafts[*at].set_moves_from(from);
    }
    let in_the_way = |draft: &Draft| -> Vec<u32> {
        let others = pairing.holders(draft.address).iter().copied();
        others
            .filter(|holder| !draft.targets().contains(holder))
            .collect()
    };
    let crowded: Vec<usize> = moving
        .iter()
        .copied()
        .filter(|at| !in_the_way(&drafts[*at]).is_empty())
        .collect();
    merge(pairing, drafts, owners, &crowded);

    let erased = addresses_of_erased(pairing, drafts);
    let mut routes = Routes {
        pairing,
        owners,
        refused: OnceCell::new(),
        records: OnceCell::new(),
        erased: &erased,
        known: HashMap::new(),
        open: HashSet::new(),
    };
    let mut awaited: HashSet<usize> = HashSet::new();
    let mut decided = Vec::new();
    for at in 0..drafts.len() {
        let draft = &drafts[at];
        if draft.unusable.is_some() || draft.sources().is_empty() {
            continue;
        }
        let holders = in_the_way(draft);
        let others: Vec<usize> = holders
            .iter()
            .filter_map(|holder| routes.owner(*holder))
            .filter(|owner| *owner != at)
            .collect();
        if erased
            .get(&draft.address)
            .is_some_and(|former| former.iter().any(|former| *former != at))
            && draft
                .targets()
                .iter()
                .all(|contact| pairing.address_of(*contact) != Some(draft.address))
        {
            decided.push((at, Hands::Stuck));
            continue;
        }
        // Whoever is not linked is paired with contacts that are nobody else's.
        let moves = draft.moves_from().is_some() && !draft.targets().is_empty();
        if others.is_empty() && (!moves || holders.is_empty()) {
            continue;
        }
        // Two contacts of one address are duplicates where one of them is this person's own.
        let holds = draft
            .targets()
            .iter()
            .any(|contact| pairing.address_of(*contact) == Some(draft.address));
        if holds {
            continue;
        }
        if others.is_empty() {
            decided.push((at, Hands::Stranger));
            continue;
        }
        awaited.extend(others.iter().copied());
        let clears = others
            .iter()
            .all(|other| routes.of(drafts, *other) != Route::Blocked);
        let own_way = !moves || routes.of(drafts, at) != Route::Blocked;
        decided.push((
            at,
            if clears && own_way {
                Hands::Waits
            } else {
                Hands::Stuck
            },
        ));
    }
    let leaving: Vec<usize> = awaited
        .into_iter()
        .filter(|at| routes.of(drafts, *at) == Route::Clear)
        .collect();
    for (at, hands) in decided {
        drafts[at].hands = hands;
    }
    for at in leaving {
        drafts[at].hands = Hands::Leaves;
    }
}

/// Finds the addresses of contacts that are gone from the account while their records are at the
/// source and show other ones. Giving such an address to somebody else would bring back, in its
/// mailbox, whom somebody erased; so it stays free until the record's link is settled by hand.
fn addresses_of_erased(pairing: &Pairing<'_>, drafts: &[Draft]) -> HashMap<Name, Vec<usize>> {
    let mut erased: HashMap<Name, Vec<usize>> = HashMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        if draft.vanished().is_none() || draft.removed_by_us {
            continue;
        }
        let records = draft
            .sources()
            .iter()
            .map(|at| pairing.source.members[*at as usize].id);
        let links = records.filter_map(|id| pairing.base.member_of_source(id));
        let is_gone = |link: &&MemberLink| !pairing.is_at_target(link.target);
        for link in links.filter(is_gone) {
            if link.address != draft.address && pairing.holders(link.address).is_empty() {
                erased.entry(link.address).or_default().push(at);
            }
        }
    }
    erased
}

/// Tells whether the source shows another address than each of a linked person's contacts has.
fn moves(pairing: &Pairing<'_>, draft: &Draft) -> bool {
    let holds = |contact: &u32| pairing.address_of(*contact) == Some(draft.address);
    draft.unusable.is_none() && !draft.targets().is_empty() && !draft.targets().iter().any(holds)
}

/// Moves the link of a person whose new address belongs to the contact of a record that is gone.
fn merge(pairing: &Pairing<'_>, drafts: &mut [Draft], owners: &mut Numbers, crowded: &[usize]) {
    if crowded.is_empty() || !everybody_seen(pairing) {
        return;
    }
    let former = pairing.base.former.iter().map(|link| link.target);
    let links = pairing.base.members.iter().map(|link| link.target);
    let mut ever_linked = Bits::new(pairing.names.len());
    for contact in former.chain(links) {
        ever_linked.insert(contact.place() as u32);
    }
    // What one leaves, another one may take over.
    let mut crowded = crowded.to_vec();
    crowded.sort_by_key(|at| pairing.names.text(drafts[*at].address));
    for at in crowded {
        let holders = pairing.holders(drafts[at].address);
        // A link leads to it, and to nobody who is still at the source.
        let is_owned = |holder: &u32| owners.get(*holder as usize).is_some();
        let left_behind = |holder: &u32| {
            let contact = pairing.target.members[*holder as usize].id;
            ever_linked.contains(contact.place() as u32)
        };
        if holders.iter().any(is_owned) {
            continue;
        }
        let Some(heir) = holders
            .iter()
            .copied()
            .filter(left_behind)
            .min_by_key(|holder| pairing.rank(pairing.target, *holder))
        else {
            continue;
        };
        let draft = &mut drafts[at];
        for contact in draft.targets().to_vec() {
            owners.remove(contact as usize);
            draft.leave(contact);
        }
        draft.set_targets(&[heir]);
        draft.set_moves_from(None);
        owners.set(heir as usize, at as u32);
    }
}

/// Tells whether a record that no listing of the source shows is certainly gone. Pages by offset
/// may have passed over it, and no second look asks for whose contact is given away.
fn everybody_seen(pairing: &Pairing<'_>) -> bool {
    let source = pairing.source;
    let is_proof = |(group, listing): (&String, &Reading<Listing>)| {
        let certificate = source.certificates.get(group);
        listing.complete().is_some() && !certificate.is_some_and(|seen| seen.by_offset)
    };
    source.existence == Existence::Whole || source.listings.iter().all(is_proof)
}

/// Whether a person can leave the address that the contact has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// The new address is free.
    Clear,
    /// It will be, once somebody else has moved.
    Behind,
    /// It won't, or the person does not move at all.
    Blocked,
}

struct Routes<'a> {
    pairing: &'a Pairing<'a>,
    /// The remembered refusals by address, once somebody asks.
    refused: OnceCell<HashMap<Name, Vec<&'a Refusal>>>,
    /// The records of the source, once somebody asks.
    records: OnceCell<HashSet<Name>>,
    owners: &'a Numbers,
    /// Whose each address is that goes to nobody else.
    erased: &'a HashMap<Name, Vec<usize>>,
    known: HashMap<usize, Route>,
    open: HashSet<usize>,
}

impl Routes<'_> {
    /// Returns whose a contact is by a link.
    fn owner(&self, contact: u32) -> Option<usize> {
        self.owners.get(contact as usize).map(|at| at as usize)
    }

    fn of(&mut self, drafts: &[Draft], at: usize) -> Route {
        if let Some(known) = self.known.get(&at) {
            return *known;
        }
        // Whoever is asked about again on the way waits, in the end, for itself.
        if !self.open.insert(at) {
            return Route::Blocked;
        }
        let route = self.find(drafts, at);
        self.open.remove(&at);
        self.known.insert(at, route);
        route
    }

    fn find(&mut self, drafts: &[Draft], at: usize) -> Route {
        let draft = &drafts[at];
        let names = self.pairing.names;
        let refused = item_key("change_address", "", names.text(draft.address));
        if !moves(self.pairing, draft)
            || self.pairing.base.resting.contains_key(&refused)
            || self
                .erased
                .get(&draft.address)
                .is_some_and(|former| former.iter().any(|former| *former != at))
            || self.is_kept(draft)
            || self.is_mailed_anew(draft)
            || self.is_refused(draft)
        {
            return Route::Blocked;
        }
        let mut route = Route::Clear;
        for holder in self.pairing.holders(draft.address) {
            match self.owner(*holder) {
                Some(owner) if owner == at => {}
                Some(owner) if self.of(drafts, owner) != Route::Blocked => route = Route::Behind,
                _ => return Route::Blocked,
            }
        }
        route
    }

    /// Tells whether it is the target's address that has changed since the last run, and that is to
    /// be kept.
    fn is_kept(&self, draft: &Draft) -> bool {
        let Pairing {
            source,
            base,
            on_drift,
            ..
        } = self.pairing;
        let records = draft
            .sources()
            .iter()
            .map(|at| source.members[*at as usize].id);
        let mut links = records.filter_map(|id| base.member_of_source(id));
        *on_drift == OnDrift::Keep && links.all(|link| link.address == draft.address)
    }

    /// Tells whether a refuser's contact is mailed all the same, so that it keeps the old address.
    fn is_mailed_anew(&self, draft: &Draft) -> bool {
        let Pairing { source, target, .. } = self.pairing;
        let mut records = draft.sources().iter();
        let mut contacts = draft.targets().iter();
        self.pairing.opt_outs == OptOuts::Skip
            && records.any(|at| source.members[*at as usize].status == MemberStatus::OptedOut)
            && contacts.any(|at| target.members[*at as usize].status == MemberStatus::Active)
    }

    /// Tells whether the new address refused mail as somebody else's, so that the contact does not
    /// get it.
    fn is_refused(&self, draft: &Draft) -> bool {
        let Pairing {
            source,
            target,
            base,
            ..
        } = self.pairing;
        let by_address = self.refused.get_or_init(|| {
            let mut by_address: HashMap<Name, Vec<&Refusal>> = HashMap::new();
            for refusal in &base.ledger.refusals {
                for key in &refusal.people {
                    if let LedgerPerson::Address(address) = key {
                        by_address.entry(*address).or_default().push(refusal);
                    }
                }
            }
            by_address
        });
        let record = |at: &u32| LedgerPerson::Record(source.members[*at as usize].id);
        let contact = |at: &u32| LedgerPerson::Contact(target.members[*at as usize].id);
        let own: Vec<LedgerPerson> = draft
            .sources()
            .iter()
            .map(record)
            .chain(draft.targets().iter().map(contact))
            .collect();
        // A refusal of a record that is still at the source is that one's.
        let is_there = |key: &LedgerPerson| match key {
            LedgerPerson::Record(id) => {
                let ids = || source.members.iter().map(|member| member.id).collect();
                self.records.get_or_init(ids).contains(id)
            }
            LedgerPerson::Address(_) | LedgerPerson::Contact(_) => false,
        };
        let of_others = |refusal: &&Refusal| {
            !own.iter().any(|key| refusal.people.contains(key))
                && !refusal.people.iter().any(is_there)
        };
        draft.targets().first().is_some_and(|at| {
            let status = target.members[*at as usize].status;
            let refused = by_address.get(&draft.address).into_iter().flatten();
            refused
                .filter(|refusal| keeps_from(status, refusal))
                .any(of_others)
        })
    }
}
