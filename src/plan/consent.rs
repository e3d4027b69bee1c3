//! What concerns a person and not one group: account opt-outs, creations that hold a refusal,
//! addresses and profiles.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::bars::{Bar, address_refused_before, bar_of_account, is_forgotten};
use super::base::{LedgerAudience, LedgerPerson, Refusal, Resting};
use super::fields::Drifted;
use super::people::{Hands, PersonIx, Unusable};
use super::tables::Bits;
use super::{
    Agreement, Blocked, BlockedReason, ChangedOutside, Edit, GroupPair, Inputs, Outside, PairIx,
    What, in_scope, item_key,
};
use crate::model::policy::{OnDrift, OptOuts};
use crate::model::{Existence, MemberStatus, MembershipState, Name, Record, Value};

const NOT_REACHED: &str = "A refusal of all mail that the source showed before has not reached the target; it is carried, whatever the source shows now.";
const WAITS_FOR_ADDRESS: &str = "Somebody's new address is that of another person, who gets a new one first; the next run goes on.";
const CARRIED_AGAIN: &str = "Somebody is active again at the target while the source still shows the refusal of all mail; it is carried again.";

/// What planning the people led to.
#[derive(Debug, Default)]
pub(super) struct PersonPlan {
    /// Account opt-outs of people who exist at the target.
    pub(super) account_opt_outs: Vec<PersonIx>,
    /// Account opt-outs of people who are created for that.
    pub(super) new_account_opt_outs: Vec<PersonIx>,
    /// People created only to hold an opt-out.
    pub(super) holders: BTreeSet<PersonIx>,
    /// Group opt-outs of people who exist.
    pub(super) group_opt_outs: BTreeMap<PairIx, Vec<PersonIx>>,
    /// Group opt-outs of people who are created for that.
    pub(super) new_group_opt_outs: BTreeMap<PairIx, Vec<PersonIx>>,
    /// Changes of address that make room for somebody else's.
    pub(super) freeing_moves: Vec<Edit>,
    pub(super) address_changes: Vec<Edit>,
    pub(super) updates: Vec<Edit>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) warnings: Vec<String>,
    pub(super) overwritten: BTreeSet<String>,
    pub(super) changed_outside: Vec<ChangedOutside>,
}

/// Plans the people that the source lists in a pair, or whom a link names.
///
/// `group_opt_outs` are the people whose opt-out of a pair is to be written.
pub(super) fn plan_people(
    inputs: &Inputs<'_>,
    pairs: &[GroupPair],
    listed: &Bits,
    group_opt_outs: &BTreeMap<PairIx, Vec<PersonIx>>,
    agreement: &mut Agreement,
) -> PersonPlan {
    let mut out = PersonPlan::default();
    let concern = Concern::new(inputs, listed);
    let on_lists: BTreeSet<PersonIx> = group_opt_outs.values().flatten().copied().collect();
    let reached = reached_by_refusals(&concern);
    for (person, row) in inputs.people.iter() {
        if !concern.covers(person) {
            // Somebody of ours may have gone from the source before the refusal reached the target.
            let due = concern.has_linked_contact(person)
                && bar_of_account(inputs, person).is_some_and(|bar| bar.is_due());
            if due || reached.contains(&person) {
                account_refusal(
                    inputs, pairs, person, &on_lists, &reached, agreement, &mut out,
                );
            }
            continue;
        }
        // Nothing is learned of whoever was forgotten, and nothing written but a refusal.
        let forgotten = is_forgotten(inputs, person);
        if !forgotten {
            link(inputs, person, agreement);
            know_by_every_key(inputs, person, agreement);
        }
        if !forgotten || !inputs.people.targets(person).is_empty() {
            account_refusal(
                inputs, pairs, person, &on_lists, &reached, agreement, &mut out,
            );
        }
        if forgotten {
            continue;
        }
        bad_address(inputs, person, listed, &mut out);
        if row.moves_from.is_some() {
            change_address(inputs, person, &mut out);
        }
        two_addresses(inputs, person, &mut out);
        update(inputs, person, &mut out);
    }
    for (&pair, people) in group_opt_outs {
        for &person in people {
            if !inputs.people.targets(person).is_empty() {
                out.group_opt_outs.entry(pair).or_default().push(person);
            } else if let Some(resting) = inputs.resting("create_members", "", person) {
                out.blocked.push(rests(inputs, person, resting));
            } else if may_hold_refusal(inputs, person) {
                // The contact that obeyed a refusal of all mail is gone, and the new one will be
                // active by rosterd's doing. Where refusals stand on lists alone, the new contact
                // is active nowhere.
                let held = bar_of_account(inputs, person).filter(|bar| bar.held);
                if let (true, Some(bar)) = (inputs.capabilities.account_opt_out, held) {
                    bar.carry_anew(None, person, agreement);
                }
                out.holders.insert(person);
                out.new_group_opt_outs.entry(pair).or_default().push(person);
            } else if matches!(
                inputs.people.get(person).hands,
                Hands::Stuck | Hands::Stranger
            ) {
                out.blocked.push(refusal_without_a_holder(inputs, person));
            }
        }
    }
    refuse_all_from_the_start(inputs, &mut out);
    out
}

/// Whose refusals of all mail are this job's to carry.
struct Concern<'a> {
    inputs: &'a Inputs<'a>,
    /// The people that the source lists in a pair.
    listed: &'a Bits,
    /// The contacts that links name, by the place of the id among the names.
    linked: Bits,
}

impl<'a> Concern<'a> {
    fn new(inputs: &'a Inputs<'a>, listed: &'a Bits) -> Concern<'a> {
        let mut linked = Bits::new(inputs.names.len());
        for link in &inputs.base.members {
            linked.insert(link.target.place() as u32);
        }
        Concern {
            inputs,
            listed,
            linked,
        }
    }

    /// Tells whether the source shows a person whom it lists in a pair, or whom a link names by the
    /// record or the contact.
    fn covers(&self, person: PersonIx) -> bool {
        !self.inputs.people.sources(person).is_empty()
            && (self.listed.contains(person.0)
                || self.inputs.people.get(person).linked
                || self.has_linked_contact(person))
    }

    /// Tells whether a link names one of a person's contacts, where a refusal may be left to be
    /// carried after the record has gone.
    fn has_linked_contact(&self, person: PersonIx) -> bool {
        let contact = |at: &u32| self.inputs.target.members[*at as usize].id;
        let mut contacts = self.inputs.people.targets(person).iter().map(contact);
        contacts.any(|contact| self.linked.contains(contact.place() as u32))
    }
}

/// Finds those whose contact has the address with which somebody of this job refuses all mail.
fn reached_by_refusals(concern: &Concern<'_>) -> BTreeSet<PersonIx> {
    let people = concern.inputs.people;
    let refusers = people
        .iter()
        .filter(|(_, row)| row.source_status == MemberStatus::OptedOut)
        .filter(|(person, _)| concern.covers(*person));
    refusers
        .flat_map(|(person, _)| people.reached(person).iter().copied())
        .collect()
}

/// Tells whether a refusal of all mail is written to a person's contacts: the person's own, unless
/// their address is by now that of somebody who does not refuse, or that of the address they have.
fn refuses_all_mail(inputs: &Inputs<'_>, person: PersonIx, reached: &BTreeSet<PersonIx>) -> bool {
    let refuses = |person| inputs.people.get(person).source_status == MemberStatus::OptedOut;
    let spared = inputs
        .people
        .spared_for(person)
        .is_some_and(|other| !refuses(other));
    (refuses(person) && !spared) || reached.contains(&person)
}

/// Says once of whom the source shows something that is no address.
fn bad_address(inputs: &Inputs<'_>, person: PersonIx, listed: &Bits, out: &mut PersonPlan) {
    let malformed = inputs.people.get(person).unusable == Some(Unusable::Malformed);
    if !malformed || !listed.contains(person.0) || !inputs.counts(person) {
        return;
    }
    for at in inputs.people.sources(person) {
        let record = &inputs.source.members[*at as usize];
        let text = record.unusable.map_or("", |text| inputs.names.text(text));
        let id = inputs.names.text(record.id);
        out.blocked.push(Blocked {
            what: What::Member,
            group: None,
            member: Some(text.to_owned()),
            id: Some(id.to_owned()),
            reason: BlockedReason::BadAddress,
            detail: format!("what the source's contact {id} has for an e-mail address is none"),
            rests: None,
        });
    }
}

/// Has those who are created to hold one refusal hold the remembered one of all mail as well.
fn refuse_all_from_the_start(inputs: &Inputs<'_>, out: &mut PersonPlan) {
    if inputs.policy.members.opt_outs != OptOuts::Carry || !inputs.capabilities.account_opt_out {
        return;
    }
    // Whatever obeyed the refusal before is gone, or there would be no need to create anybody.
    let refuses = |person: &PersonIx| bar_of_account(inputs, *person).is_some();
    let mut all: BTreeSet<PersonIx> = out.new_account_opt_outs.iter().copied().collect();
    all.extend(out.holders.iter().copied().filter(refuses));
    out.new_account_opt_outs = all.into_iter().collect();
}

/// Tells whether a remembered refusal of all mail is over: the target obeyed it once, the person is
/// active there now without rosterd's doing, and the source shows no refusal.
pub(super) fn account_bar_ends(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let row = inputs.people.get(person);
    inputs.policy.members.opt_outs == OptOuts::Carry
        && (inputs.capabilities.account_opt_out
            || (inputs.capabilities.account_opt_out_as_lists
                && active_on_all_lists(inputs, person)))
        && row.source_status != MemberStatus::OptedOut
        && row.target_status == MemberStatus::Active
        && !inputs.people.targets(person).is_empty()
        && bar_of_account(inputs, person).is_some_and(|bar| bar.may_end())
}

/// Tells whether somebody is active on every list of the scope that lists them, without rosterd's
/// doing, and on one at least.
///
/// A list that was not read to its end may hold a refusal that nobody has seen, and so may one that
/// only another job fills. What another job holds is no sign that the person came back.
fn active_on_all_lists(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    if inputs
        .base
        .groups_of_others
        .iter()
        .any(|group| !inputs.target.listings.contains_key(group))
    {
        return false;
    }
    let mut seen = false;
    for (group, listing) in &inputs.target.listings {
        let Some(listing) = listing.complete() else {
            return false;
        };
        for at in inputs.people.targets(person) {
            match listing.state_of(*at) {
                None => {}
                Some(MembershipState::Active) => {
                    let member = inputs.target.members[*at as usize].id;
                    let ours = inputs
                        .base
                        .membership(group, member)
                        .is_some_and(|known| known.brought);
                    if ours
                        || inputs
                            .base
                            .held_by_others
                            .get(group)
                            .is_some_and(|held| held.contains(&member))
                    {
                        return false;
                    }
                    seen = true;
                }
                Some(_) => return false,
            }
        }
    }
    seen
}

/// Tells whether every list that a refusal of all mail is written to shows it of each contact of a
/// person. One that waits for its next attempt shows on no list, so that it is not held.
fn holds_on_lists(inputs: &Inputs<'_>, pairs: &[GroupPair], person: PersonIx) -> bool {
    let targets = inputs.people.targets(person);
    let written = |pair: &&GroupPair| pair.writable && covered_source(inputs, pair).is_some();
    let mut lists = pairs
        .iter()
        .filter(written)
        .filter_map(|pair| pair.target.as_deref())
        .peekable();
    let refuses = |list: &str| {
        let Some(listing) = inputs.target.listing(list).map(crate::model::Reading::seen) else {
            return false;
        };
        targets.iter().all(|at| {
            listing.state_of(*at) == Some(MembershipState::OptedOut) || listing.is_removed(*at)
        })
    };
    inputs.policy.members.opt_outs == OptOuts::Carry
        && !targets.is_empty()
        && lists.peek().is_some()
        && lists.all(refuses)
}

/// Returns the source group of a pair, while it is in scope.
fn covered_source<'a>(inputs: &Inputs<'_>, pair: &'a GroupPair) -> Option<&'a str> {
    let id = pair.source.as_deref()?;
    inputs
        .source
        .group(id)
        .is_some_and(|group| in_scope(&inputs.policy.groups, group))
        .then_some(id)
}

fn is_active_on_a_list(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let targets = inputs.people.targets(person);
    let mut listings = inputs
        .target
        .listings
        .values()
        .map(crate::model::Reading::seen);
    listings.any(|listing| {
        targets
            .iter()
            .any(|at| listing.state_of(*at) == Some(MembershipState::Active))
    })
}

/// Finds the people whose refusal of all mail is to be written group by group: one that the source
/// shows, of whoever it lists in scope in whatever state and of whoever is linked, and one that it
/// showed before and that the target was never seen to obey.
pub(super) fn account_refusers(inputs: &Inputs<'_>, pairs: &[GroupPair]) -> BTreeSet<PersonIx> {
    if !inputs.capabilities.account_opt_out_as_lists {
        return BTreeSet::new();
    }
    let mut listed = Bits::new(inputs.people.len());
    // A contact is made for whoever refuses a group, and has to refuse all that is due from its
    // first moment.
    let mut held_anyway = Bits::new(inputs.people.len());
    let covered = pairs.iter().filter_map(|pair| covered_source(inputs, pair));
    for row in covered
        .filter_map(|id| inputs.source.listing(id))
        .flat_map(|listing| &listing.seen().rows)
    {
        let Some(person) = inputs.people.of_source(row.member) else {
            continue;
        };
        listed.insert(person.0);
        if row.state == MembershipState::OptedOut {
            held_anyway.insert(person.0);
        }
    }
    let concern = Concern::new(inputs, &listed);
    let reached = reached_by_refusals(&concern);
    let concerns = |person: PersonIx| {
        concern.covers(person) || reached.contains(&person) || concern.has_linked_contact(person)
    };
    let refuses = |person: PersonIx| {
        let has_contact =
            !inputs.people.targets(person).is_empty() || held_anyway.contains(person.0);
        let due = || has_contact && bar_of_account(inputs, person).is_some_and(|bar| bar.is_due());
        refuses_all_mail(inputs, person, &reached) || due()
    };
    let people = inputs
        .people
        .iter()
        .filter(|(person, _)| concerns(*person) && refuses(*person));
    people.map(|(person, _)| person).collect()
}

/// Remembers who is who, so that the pair outlives a change of address.
///
/// Not before it is settled: a link to a contact that the person shares an address with somebody
/// else's, or whose former contact refuses, would make the next run forget why this one held back.
fn link(inputs: &Inputs<'_>, person: PersonIx, agreement: &mut Agreement) {
    if inputs.people.is_linked_as_paired(person) {
        return;
    }
    let row = inputs.people.get(person);
    let refused = |at: u32| refuses_somewhere(inputs, at);
    if row.hands.is_taken() || inputs.people.parted_from(person).is_some_and(refused) {
        return;
    }
    if let [target] = inputs.people.targets(person) {
        let target_id = inputs.target.members[*target as usize].id;
        for &source in inputs.people.sources(person) {
            let known = inputs
                .base
                .member_of_source(inputs.source.members[source as usize].id);
            if known.is_none_or(|link| link.target != target_id) {
                agreement.linked.push((person, source, *target));
            }
        }
    }
}

/// Has the remembered refusals of a person know every key of the person: who refused is found by
/// any of them, whatever becomes of the others.
fn know_by_every_key(inputs: &Inputs<'_>, person: PersonIx, agreement: &mut Agreement) {
    let row = inputs.people.get(person);
    let remembered = inputs.people.remembered(person);
    if remembered.is_empty() || row.hands != Hands::Free {
        return;
    }
    // What was refused under the address that the contact is about to leave goes with it. From the
    // new address nothing is concluded before the contact has it.
    let is_known = |refusal: &Refusal| {
        row.moves_from
            .is_none_or(|held| refusal.people.contains(&LedgerPerson::Address(held)))
    };
    let record = |at: &u32| LedgerPerson::Record(inputs.source.members[*at as usize].id);
    let contact = |at: &u32| LedgerPerson::Contact(inputs.target.members[*at as usize].id);
    let address = row
        .unusable
        .is_none()
        .then_some(LedgerPerson::Address(row.address));
    let keys: Vec<LedgerPerson> = address
        .into_iter()
        .chain(inputs.people.sources(person).iter().map(record))
        .chain(inputs.people.targets(person).iter().map(contact))
        .collect();
    for at in remembered {
        let refusal = &inputs.base.ledger.refusals[*at as usize];
        if is_known(refusal) && keys.iter().any(|key| !refusal.people.contains(key)) {
            agreement.bars_known_as.push((refusal.id, person));
        }
    }
}

/// Remembers who refuses all mail at the target, so that whoever is erased there does not come
/// back: the source, or another record of the person's, may still show them as active.
pub(super) fn refusals_of_target(inputs: &Inputs<'_>, agreement: &mut Agreement) {
    let new: HashSet<PersonIx> = agreement
        .bars
        .iter()
        .filter(|(pair, _)| pair.is_none())
        .map(|(_, person)| *person)
        .collect();
    for (person, row) in inputs.people.iter() {
        // The strictest status of them all.
        if row.target_status != MemberStatus::OptedOut {
            continue;
        }
        let contacts = inputs.people.targets(person);
        let refuses =
            |at: &u32| inputs.target.members[*at as usize].status == MemberStatus::OptedOut;
        for contact in contacts.iter().filter(|at| refuses(at)) {
            let left = left_address(inputs, person, *contact, &LedgerAudience::Account);
            agreement
                .left_addresses
                .extend(left.map(|address| (None, address)));
        }
        if !contacts.iter().any(refuses)
            || bar_of_account(inputs, person).is_some()
            || new.contains(&person)
        {
            continue;
        }
        if contacts.iter().all(refuses) {
            agreement.bars.push((None, person));
            agreement.held_bars.push((None, person));
        } else {
            // The others are not opted out for it, and whoever comes with the address after all of
            // them is barred.
            let held = contacts.iter().filter(|at| refuses(at));
            let held = held.filter_map(|at| inputs.target.members[*at as usize].address);
            let addresses: BTreeSet<Name> = held.collect();
            let addresses = addresses.into_iter().map(|address| (None, address));
            agreement.left_addresses.extend(addresses);
        }
    }
}

/// Returns the address of a contact that refuses, where the person's record shows another one and
/// nobody remembers that this one is refused: it was refused by whoever reads mail there, so that
/// whoever shows it next is not mailed either, also after the contact has moved on. What the record
/// refused while it showed the address is remembered with it, and goes where the record goes.
pub(super) fn left_address(
    inputs: &Inputs<'_>,
    person: PersonIx,
    contact: u32,
    audience: &LedgerAudience,
) -> Option<Name> {
    let held = inputs.target.members[contact as usize].address;
    let address = held.filter(|_| inputs.people.get(person).moves_from == held)?;
    let known = inputs.base.ledger.refusals.iter().any(|refusal| {
        refusal.people.contains(&LedgerPerson::Address(address))
            && refusal.audience.contains(audience)
    });
    (!known).then_some(address)
}

/// Tells whether a contact of the target refuses anything there.
fn refuses_somewhere(inputs: &Inputs<'_>, at: u32) -> bool {
    inputs.target.members[at as usize].status == MemberStatus::OptedOut
        || inputs
            .target
            .listings
            .values()
            .any(|listing| listing.seen().state_of(at) == Some(MembershipState::OptedOut))
}

/// Remembers and carries a refusal of all mail: one that the source shows, and one that it showed
/// before and that the target was never seen to obey. `on_lists` are those whose refusal is written
/// to some group.
fn account_refusal(
    inputs: &Inputs<'_>,
    pairs: &[GroupPair],
    person: PersonIx,
    on_lists: &BTreeSet<PersonIx>,
    reached: &BTreeSet<PersonIx>,
    agreement: &mut Agreement,
    out: &mut PersonPlan,
) {
    let row = inputs.people.get(person);
    let refuses = refuses_all_mail(inputs, person, reached);
    let bar = bar_of_account(inputs, person);
    if !refuses && row.source_status == MemberStatus::OptedOut && bar.is_none() {
        // What can't be written yet is remembered all the same.
        agreement.bars.push((None, person));
    }
    if !refuses && (bar.is_none() || row.source_status == MemberStatus::OptedOut) {
        return;
    }
    if account_bar_ends(inputs, person) {
        agreement.ended_bars.extend(bar.iter().flat_map(Bar::ids));
        return;
    }
    let targets = inputs.people.targets(person);
    let as_lists = inputs.capabilities.account_opt_out_as_lists;
    let all_hold = if as_lists {
        holds_on_lists(inputs, pairs, person) && !on_lists.contains(&person)
    } else {
        !targets.is_empty()
            && targets
                .iter()
                .all(|at| inputs.target.members[*at as usize].status == MemberStatus::OptedOut)
    };
    let known = bar.as_ref().map(|bar| bar.held);
    // A refusal that has to be carried anew is remembered as one that the target does not hold.
    // Lists hold it only as far as they are in scope today, and a later one must know of it.
    let remember = if refuses && !(as_lists && all_hold) {
        !all_hold && known != Some(false)
    } else {
        known.is_none()
    };
    match &bar {
        None if remember => agreement.bars.push((None, person)),
        Some(bar) if remember => bar.carry_anew(None, person, agreement),
        _ => {}
    }
    if all_hold && (remember || known == Some(false)) {
        agreement.held_bars.push((None, person));
    }
    let held_before = bar.as_ref().is_some_and(|bar| bar.held);
    let due =
        refuses || (!targets.is_empty() && bar.as_ref().is_some_and(super::bars::Bar::is_due));
    if all_hold || !due || inputs.policy.members.opt_outs != OptOuts::Carry {
        return;
    }
    if as_lists && on_lists.contains(&person) {
        // The lists are written group by group.
        if !refuses {
            out.warnings.push(NOT_REACHED.to_owned());
        } else if held_before && is_active_on_a_list(inputs, person) {
            out.warnings.push(CARRIED_AGAIN.to_owned());
        }
    }
    if !inputs.capabilities.account_opt_out {
        return;
    }
    if let Some(resting) = inputs.resting("set_opt_out", "", person) {
        out.blocked.push(rests(inputs, person, resting));
        return;
    }
    if !targets.is_empty() {
        if !refuses {
            out.warnings.push(NOT_REACHED.to_owned());
        } else if held_before {
            out.warnings.push(CARRIED_AGAIN.to_owned());
        }
        out.account_opt_outs.push(person);
    } else if let Some(resting) = inputs.resting("create_members", "", person) {
        out.blocked.push(rests(inputs, person, resting));
    } else if may_hold_refusal(inputs, person) {
        out.holders.insert(person);
        out.new_account_opt_outs.push(person);
    } else if row.hands.is_taken() && row.hands != Hands::Waits {
        out.blocked.push(refusal_without_a_holder(inputs, person));
    }
}

/// Says that a refusal waits until the contact that has the address has got its own.
fn refusal_without_a_holder(inputs: &Inputs<'_>, person: PersonIx) -> Blocked {
    let detail = "the address belongs to another person at the target, so nobody there can hold the refusal yet".to_owned();
    blocked(inputs, person, BlockedReason::AddressTaken, detail)
}

/// Tells whether a contact may be created only to hold a refusal: the target must be known not to
/// have one.
fn may_hold_refusal(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let row = inputs.people.get(person);
    let absent = match &inputs.target.existence {
        Existence::Whole => true,
        Existence::Asked(asked) => asked.contains(&row.address),
        Existence::Unknown => false,
    };
    let waiting = inputs.resting("create_members", "", person).is_some();
    inputs.policy.members.create
        && absent
        && !waiting
        && !row.hands.is_taken()
        && row.unusable.is_none()
        && (row.vanished.is_none() || row.removed_by_us)
}

fn change_address(inputs: &Inputs<'_>, person: PersonIx, out: &mut PersonPlan) {
    let row = inputs.people.get(person);
    let Some(from) = row.moves_from else { return };
    let taken = match row.hands {
        Hands::Free | Hands::Leaves => None,
        Hands::Waits => {
            out.warnings.push(WAITS_FOR_ADDRESS.to_owned());
            return;
        }
        Hands::Stuck => Some(
            "the new address is that of another person's contact at the target, which can't get its own new one or was erased there",
        ),
        Hands::Stranger => Some("the new address belongs to another contact at the target"),
    };
    if let Some(detail) = taken {
        let reason = BlockedReason::AddressTaken;
        out.blocked
            .push(blocked(inputs, person, reason, detail.to_owned()));
        return;
    }
    if address_refused_before(inputs, person) {
        out.blocked.push(blocked(
            inputs,
            person,
            BlockedReason::AddressTaken,
            "the new address has refused mail before".to_owned(),
        ));
        return;
    }
    if would_be_mailed_anew(inputs, person) {
        let detail = "the person refuses mail at the source, so the contact, which is mailed at the target, does not get the new address";
        out.blocked.push(blocked(
            inputs,
            person,
            BlockedReason::AddressTaken,
            detail.to_owned(),
        ));
        return;
    }
    if let Some(resting) = inputs.resting("change_address", "", person) {
        out.blocked.push(rests(inputs, person, resting));
        return;
    }
    if moved_at_target(inputs, person) {
        out.changed_outside
            .push(moved_outside(inputs, person, from));
        match inputs.policy.guards.on_drift {
            OnDrift::Overwrite => {}
            OnDrift::Stop => {
                let key = item_key("change_address", "", &inputs.key(person));
                out.overwritten.insert(key);
            }
            OnDrift::Keep => {
                out.warnings.push(
                    "Somebody changed the address of a person at the target; it is kept."
                        .to_owned(),
                );
                return;
            }
        }
    }
    let changes = if row.hands == Hands::Leaves {
        &mut out.freeing_moves
    } else {
        &mut out.address_changes
    };
    changes.push(Edit::ChangeAddress {
        member: person,
        from: inputs.names.text(from).to_owned(),
        to: inputs.names.text(row.address).to_owned(),
        makes_room: row.hands == Hands::Leaves,
    });
}

/// Tells whether a new address would bring mail to somebody who refuses it at the source: where
/// refusals are not carried, the contact goes on being mailed.
fn would_be_mailed_anew(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let mut contacts = inputs.people.targets(person).iter();
    inputs.policy.members.opt_outs == OptOuts::Skip
        && inputs.people.get(person).source_status == MemberStatus::OptedOut
        && contacts.any(|at| inputs.target.members[*at as usize].status == MemberStatus::Active)
}

/// Tells whether it is the target's address that has changed since the last run, and not the
/// source's.
fn moved_at_target(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let own = inputs.people.get(person).address;
    let sources = inputs.people.sources(person).iter();
    sources
        .filter_map(|at| {
            inputs
                .base
                .member_of_source(inputs.source.members[*at as usize].id)
        })
        .all(|link| link.address == own)
}

fn moved_outside(inputs: &Inputs<'_>, person: PersonIx, now: Name) -> ChangedOutside {
    let value = |address: Name| Some(Value::from(inputs.names.text(address)));
    let own = value(inputs.people.get(person).address);
    ChangedOutside {
        what: Outside::Address(person),
        base: own.clone(),
        now: value(now),
        wanted: own,
        fate: inputs.policy.guards.on_drift,
    }
}

/// Blocks somebody who moved to an address that another of the target's contacts has, while the old
/// contact is still theirs.
fn two_addresses(inputs: &Inputs<'_>, person: PersonIx, out: &mut PersonPlan) {
    let row = inputs.people.get(person);
    let contact = |at: &u32| &inputs.target.members[*at as usize];
    let targets = inputs.people.targets(person);
    if targets.len() < 2 {
        return;
    }
    let Some(left) = targets
        .iter()
        .find(|at| contact(at).address != Some(row.address))
    else {
        return;
    };
    if let Some(holder) = targets
        .iter()
        .find(|at| contact(at).address == Some(row.address))
    {
        let (left, holder) = (
            inputs.names.text(contact(left).id),
            inputs.names.text(contact(holder).id),
        );
        let detail = format!(
            "the target's contact {left} has an old address, and the new one belongs to contact {holder}"
        );
        out.blocked
            .push(blocked(inputs, person, BlockedReason::AddressTaken, detail));
    }
}

fn update(inputs: &Inputs<'_>, person: PersonIx, out: &mut PersonPlan) {
    let Some(facts) = inputs.facts.get(&person).filter(|facts| facts.counts) else {
        return;
    };
    let Some(edit) = &facts.edit else { return };
    let row = inputs.people.get(person);
    if !inputs.policy.members.update || inputs.people.targets(person).len() != 1 {
        return;
    }
    if inputs.undecided.is_some() || facts.undecided.is_some() {
        return;
    }
    if row.hands.is_changing() || row.unusable.is_some() {
        return;
    }
    let fate = inputs.policy.guards.on_drift;
    let changed = |drifted: &Drifted| ChangedOutside {
        what: Outside::Member(person, drifted.field.clone()),
        base: drifted.base.clone(),
        now: drifted.now.clone(),
        wanted: drifted.wanted.clone(),
        fate,
    };
    if !edit.kept.is_empty() && fate == OnDrift::Keep {
        let fields: Vec<&str> = edit.kept.iter().map(|kept| kept.field.as_str()).collect();
        out.warnings.push(format!(
            "Somebody changed {} of a person at the target; it is kept.",
            fields.join(", ")
        ));
        out.changed_outside.extend(edit.kept.iter().map(changed));
    }
    if edit.is_empty() {
        return;
    }
    if let Some(resting) = inputs.resting("update_member", "", person) {
        out.blocked.push(rests(inputs, person, resting));
        return;
    }
    if !edit.overwritten.is_empty() {
        out.overwritten
            .insert(item_key("update_member", "", &inputs.key(person)));
    }
    let written = edit.overwritten.iter();
    let written = written.filter(|drifted| edit.set.contains_key(drifted.field.as_str()));
    out.changed_outside.extend(written.map(changed));
    let mut before: Record = edit.before.clone();
    before.retain(|field, _| edit.set.contains_key(field.as_str()));
    out.updates.push(Edit::UpdateMember {
        member: person,
        fields: edit.set.clone(),
        before,
    });
}

fn blocked(
    inputs: &Inputs<'_>,
    person: PersonIx,
    reason: BlockedReason,
    detail: String,
) -> Blocked {
    Blocked {
        what: What::Member,
        group: None,
        member: Some(inputs.key(person).into_owned()),
        id: None,
        reason,
        detail,
        rests: None,
    }
}

/// Shows what the provider refused and what rests until its next attempt.
fn rests(inputs: &Inputs<'_>, person: PersonIx, resting: &Resting) -> Blocked {
    let words = resting.words.clone();
    blocked(inputs, person, BlockedReason::ValueRefused, words).resting(resting)
}
