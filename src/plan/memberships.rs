//! Who joins and who leaves a group.
//!
//! Additions need a whole listing of the target and whole account-wide states of both sides;
//! removals need whole listings of both sides as well, and can be asked for only with a
//! [`Complete`](crate::model::Complete) listing in hand (rule 3).

mod additions;
mod refusals;
mod removals;

use std::collections::{BTreeSet, HashSet};

use super::bars::bar_of_pair;
use super::base::Resting;
use super::pair::PairPlan;
use super::people::PersonIx;
use super::seats::Seats;
use super::tables::{Bits, Table, in_order};
use super::{
    Agreement, Blocked, BlockedReason, GroupPair, Inputs, PairIx, Reason, What, Withheld, in_scope,
};
use crate::model::{Incomplete, Listing, MembershipState, Name, Reading, addresses_in};

/// Whether the account-wide states allow additions at all.
#[derive(Clone, Copy)]
pub(super) struct AccountStates {
    pub(super) whole: bool,
}

/// What holds for all pairs.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) accounts: AccountStates,
    /// The people whose refusal of all mail is to be written group by group.
    pub(super) refusers: &'a BTreeSet<PersonIx>,
    pub(super) seats: Option<&'a Seats<'a>>,
}

/// What planning the members of a pair looks up for each of them, made once for all pairs.
pub(super) struct Tables {
    /// Who is listed in any pair at the source.
    pub(super) listed: Bits,
    /// What the source's group shows, by person: of several rows the strictest counts; a refusal
    /// also of those whose contact has the address that it was shown with.
    wanted: Table<MembershipState>,
    /// What the target's group shows, by person and by contact.
    held: Table<MembershipState>,
    contacts: Table<MembershipState>,
    /// The memberships of the base by contact, with whether this job brought them.
    known: Table<bool>,
    /// Who has a contact with such a membership.
    known_people: Bits,
    /// Who has been found to stay: to say nothing of where they are active at both sides, and were
    /// when the last run ended.
    stays: Bits,
    /// Who has been found to join every group that nobody refuses.
    joins: Bits,
    /// Nobody, for putting people in order.
    nobody: Bits,
}

impl Tables {
    pub(super) fn new(inputs: &Inputs<'_>) -> Tables {
        let (people, contacts) = (inputs.people.len(), inputs.target.members.len());
        Tables {
            listed: Bits::new(people),
            wanted: Table::new(people),
            held: Table::new(people),
            contacts: Table::new(contacts),
            known: Table::new(contacts),
            known_people: Bits::new(people),
            stays: Bits::new(people),
            joins: Bits::new(people),
            nobody: Bits::new(people),
        }
    }

    /// Fills in what the base knows of a group.
    fn recall(&mut self, inputs: &Inputs<'_>, group: Option<&str>) {
        for at in self.known.held() {
            if let Some(person) = inputs.people.of_target(*at) {
                self.known_people.remove(person.0);
            }
        }
        self.known.clear();
        let known = group.and_then(|group| inputs.base.memberships.get(group));
        for known in known.into_iter().flatten() {
            if let Some(at) = inputs.people.target_position(known.member) {
                self.known.add(at, known.brought);
                if let Some(person) = inputs.people.of_target(at) {
                    self.known_people.insert(person.0);
                }
            }
        }
    }
}

/// Plans the members of one pair.
pub(super) fn plan_pair(
    inputs: &Inputs<'_>,
    ix: PairIx,
    pair: &GroupPair,
    surroundings: Surroundings<'_>,
    tables: &mut Tables,
    agreement: &mut Agreement,
) -> PairPlan {
    let Surroundings {
        accounts,
        refusers,
        seats,
    } = surroundings;
    let mut out = PairPlan {
        source_whole: true,
        ..PairPlan::default()
    };
    let Some(source_id) = pair.source.as_deref() else {
        return out;
    };
    // A group that left the scope is not read, and its people are nobody's concern.
    if !inputs
        .source
        .group(source_id)
        .is_some_and(|group| in_scope(&inputs.policy.groups, group))
    {
        return out;
    }
    let Some(source) = inputs.source.listing(source_id) else {
        out.source_whole = false;
        out.blocked.push(incomplete(
            pair,
            source_id,
            "its members were not read at the source",
        ));
        return out;
    };
    let shown = Shown::of(inputs, source.seen(), tables);
    out.source_active = source.seen().active() as u64;
    out.source_kept = kept_uncertain(inputs, pair, source.seen());
    out.source_whole = source.complete().is_some();
    if !pair.writable {
        remember_refusals(inputs, ix, pair, &shown, agreement);
        return out;
    }
    let nobody = Reading::Incomplete(Incomplete {
        partial: Listing::default(),
        why: Vec::new(),
        opt_outs_complete: false,
    });
    let target = match pair.target.as_deref() {
        None => None,
        Some(id) => Some(inputs.target.listing(id).unwrap_or(&nobody)),
    };
    let there = There::of(inputs, target.map(Reading::seen), tables);
    tables.recall(inputs, pair.target.as_deref());
    out.target_active = target.map_or(0, |listing| listing.seen().active() as u64);

    // A group that does not exist yet has no members, and that is certain.
    let doubt = seats.and_then(Seats::doubt);
    let target_whole = target.is_none_or(|listing| listing.complete().is_some()) && doubt.is_none();
    if !target_whole {
        let why = target
            .map(|listing| listing.why_incomplete().join("; "))
            .filter(|why| !why.is_empty());
        let why = why.or(doubt.map(str::to_owned)).unwrap_or_default();
        let why = if why.is_empty() {
            "its members were not read".to_owned()
        } else {
            why
        };
        out.blocked.push(incomplete(
            pair,
            pair.target.as_deref().unwrap_or_default(),
            &format!("at the target, {why}"),
        ));
    }
    let source_allows_additions = match source {
        Reading::Complete(_) => true,
        Reading::Incomplete(partly) => {
            out.blocked.push(incomplete(
                pair,
                source_id,
                &format!("at the source, {}", partly.why.join("; ")),
            ));
            partly.opt_outs_complete
        }
    };
    let mut decide = Decider {
        shown: &shown,
        inputs,
        ix,
        pair,
        listing: pair
            .target
            .as_deref()
            .and_then(|id| inputs.target.listing(id))
            .map(Reading::seen),
        seats,
        there: &there,
        tables,
        agreement,
        out: &mut out,
    };
    decide.opt_outs(refusers, target_whole);
    decide.end_refused();
    if accounts.whole && target_whole && source_allows_additions {
        decide.additions();
    }
    // Where leaving is moving, whoever is missing here may be in a group that was not read to its
    // end.
    let may_leave = seats.is_none_or(|seats| target_whole && seats.sources_whole());
    if let (Some(source), Some(target), true) = (
        source.complete(),
        target.and_then(Reading::complete),
        may_leave,
    ) {
        decide.removals(source, target);
    }
    out
}

/// Remembers the refusals of a pair of which nothing can be written, so that they outlive whatever
/// blocks it.
fn remember_refusals(
    inputs: &Inputs<'_>,
    ix: PairIx,
    pair: &GroupPair,
    shown: &Shown<'_>,
    agreement: &mut Agreement,
) {
    let listing = pair
        .target
        .as_deref()
        .and_then(|group| inputs.target.listing(group));
    for &person in &shown.refusing {
        let bar = bar_of_pair(inputs, person, pair);
        let refused_there = || {
            let targets = inputs.people.targets(person);
            let refuses = |at: &u32| {
                listing.is_some_and(|listing| {
                    listing.seen().state_of(*at) == Some(MembershipState::OptedOut)
                })
            };
            !targets.is_empty() && targets.iter().all(refuses)
        };
        match bar {
            None => agreement.bars.push((Some(ix), person)),
            Some(bar) if bar.held && !refused_there() => {
                bar.carry_anew(Some(ix), person, agreement);
            }
            Some(_) => {}
        }
    }
}

fn incomplete(pair: &GroupPair, id: &str, detail: &str) -> Blocked {
    Blocked {
        what: What::Group,
        group: Some(pair.name.clone()),
        member: None,
        id: Some(id.to_owned()),
        reason: BlockedReason::IncompleteRead,
        detail: detail.to_owned(),
        rests: None,
    }
}

/// What the source's group shows, beside how everybody stands in it.
struct Shown<'a> {
    listing: &'a Listing,
    /// Who refuses, in ascending order: by a row of their own, or because their contact has the
    /// address that somebody's refusal was shown with.
    refusing: Vec<PersonIx>,
    /// Who refuses by a row of their own, in ascending order.
    refusers: Vec<PersonIx>,
    /// Who is listed, in ascending order.
    listed: Vec<PersonIx>,
    /// What can be read out of a broken address that refuses.
    refused_addresses: HashSet<Name>,
}

impl<'a> Shown<'a> {
    fn of(inputs: &Inputs<'_>, listing: &'a Listing, tables: &mut Tables) -> Shown<'a> {
        let wanted = &mut tables.wanted;
        wanted.clear();
        let mut refusers = Vec::new();
        let mut refused_addresses = HashSet::new();
        for row in &listing.rows {
            let person = inputs.people.of_source(row.member);
            if row.state == MembershipState::OptedOut {
                let member = &inputs.source.members[row.member as usize];
                if let Some(text) = member.unusable {
                    let readable = addresses_in(inputs.names.text(text));
                    let known = readable
                        .iter()
                        .filter_map(|address| inputs.names.find(address.as_str()));
                    refused_addresses.extend(known);
                }
                refusers.extend(person);
            }
            if let Some(person) = person {
                wanted.add(person.0, row.state);
            }
        }
        let listed = in_order(wanted.held(), &mut tables.nobody);
        for person in &listed {
            tables.listed.insert(person.0);
        }
        refusers.sort_unstable();
        refusers.dedup();
        let mut refusing = refusers.clone();
        let reached = |person: &PersonIx| inputs.people.reached(*person).iter().copied();
        refusing.extend(refusers.iter().flat_map(reached));
        refusing.sort_unstable();
        refusing.dedup();
        for person in &refusing {
            wanted.add(person.0, MembershipState::OptedOut);
        }
        Shown {
            listing,
            refusing,
            refusers,
            listed,
            refused_addresses,
        }
    }

    /// Tells whether a person's refusal is not to be written to the person's contact, because its
    /// address is by now that of somebody who does not refuse.
    fn spares(&self, inputs: &Inputs<'_>, person: PersonIx) -> bool {
        inputs
            .people
            .spared_for(person)
            .is_some_and(|other| self.refusers.binary_search(&other).is_err())
    }

    /// Finds the person whom a listed record with an address shows: none of those is absent, whoever
    /// has the address at the target.
    fn listed_with(&self, inputs: &Inputs<'_>, address: Name) -> Option<PersonIx> {
        let person = inputs.people.showing(address)?;
        let is_listed = |at: &u32| {
            inputs.source.members[*at as usize].address == Some(address)
                && self.listing.state_of(*at).is_some()
        };
        let mut records = inputs.people.sources(person).iter();
        records.any(is_listed).then_some(person)
    }
}

/// What the target's group shows, beside how everybody stands in it.
#[derive(Default)]
struct There {
    /// Whether anybody refuses the group.
    is_refused: bool,
    /// Who refuses it, in no order.
    refusing: Vec<PersonIx>,
    /// The addresses of all contacts that refuse it. Whoever does speaks for the address, also where
    /// a link says that the contact is somebody else's.
    refused_addresses: HashSet<Name>,
}

impl There {
    fn of(inputs: &Inputs<'_>, listing: Option<&Listing>, tables: &mut Tables) -> There {
        let mut there = There::default();
        tables.held.clear();
        tables.contacts.clear();
        for row in listing.iter().flat_map(|listing| &listing.rows) {
            tables.contacts.add(row.member, row.state);
            let person = inputs.people.of_target(row.member);
            if let Some(person) = person {
                tables.held.add(person.0, row.state);
            }
            if row.state == MembershipState::OptedOut {
                there.is_refused = true;
                there.refusing.extend(person);
                let address = inputs.target.members[row.member as usize].address;
                there.refused_addresses.extend(address);
            }
        }
        there
    }
}

struct Decider<'a, 'b> {
    inputs: &'a Inputs<'a>,
    shown: &'b Shown<'a>,
    there: &'b There,
    tables: &'b mut Tables,
    ix: PairIx,
    pair: &'a GroupPair,
    /// What was read of the target's group.
    listing: Option<&'a Listing>,
    /// Who sits where, at a target where people are in one group only.
    seats: Option<&'a Seats<'a>>,
    agreement: &'b mut Agreement,
    out: &'b mut PairPlan,
}

/// Counts the memberships of a pair that the last run knew, of people whom the source lists while
/// nobody can tell how they stand: they have not left as far as anybody knows. Whoever is new
/// counts once that can be told, so that one such record never makes up for a group that is gone.
fn kept_uncertain(inputs: &Inputs<'_>, pair: &GroupPair, source: &Listing) -> u64 {
    let Some(group) = pair.target.as_deref() else {
        return 0;
    };
    let known = |at: u32| {
        let contact = inputs.target.members[at as usize].id;
        inputs.base.membership(group, contact).is_some()
    };
    let mut kept = uncertain(inputs, source);
    kept.retain(|person| inputs.people.targets(*person).iter().any(|at| known(*at)));
    kept.len() as u64
}

/// Returns the people whom the source lists while nobody can tell how they stand.
fn uncertain(inputs: &Inputs<'_>, source: &Listing) -> BTreeSet<PersonIx> {
    let rows = source.rows.iter();
    rows.filter(|row| inputs.source.is_uncertain(source, row.member, inputs.names))
        .filter_map(|row| inputs.people.of_source(row.member))
        .collect()
}

/// Returns the contacts at the target of people whom the source lists in a pair by nothing but records
/// of which nobody can tell how they stand: they are no sign of what the source holds, and so they are
/// none against it.
pub(super) fn uncertain_contacts(inputs: &Inputs<'_>, pair: &GroupPair) -> HashSet<u32> {
    let listing = pair
        .source
        .as_deref()
        .and_then(|id| inputs.source.listing(id));
    let Some(source) = listing.map(Reading::seen) else {
        return HashSet::new();
    };
    let mut people = uncertain(inputs, source);
    if !people.is_empty() {
        let active = source
            .rows
            .iter()
            .filter(|row| row.state == MembershipState::Active);
        for person in active.filter_map(|row| inputs.people.of_source(row.member)) {
            people.remove(&person);
        }
    }
    let contacts = people
        .iter()
        .flat_map(|person| inputs.people.targets(*person));
    contacts.copied().collect()
}

impl Decider<'_, '_> {
    fn withhold(&mut self, person: PersonIx, reason: Reason) {
        self.out.withheld.push(Withheld {
            pair: self.ix,
            member: Some(person),
            reason,
        });
    }

    fn block(&mut self, person: PersonIx, reason: BlockedReason, detail: String) {
        let blocked = self.blocked(person, reason, detail);
        self.out.blocked.push(blocked);
    }

    /// Shows what the provider refused and what rests until its next attempt.
    fn rest(&mut self, person: PersonIx, resting: &Resting) {
        let blocked = self.blocked(person, BlockedReason::ValueRefused, resting.words.clone());
        self.out.blocked.push(blocked.resting(resting));
    }

    fn blocked(&self, person: PersonIx, reason: BlockedReason, detail: String) -> Blocked {
        Blocked {
            what: What::Membership,
            group: Some(self.pair.name.clone()),
            member: Some(self.inputs.key(person).into_owned()),
            id: None,
            reason,
            detail,
            rests: None,
        }
    }

    /// Tells whether the source still has somebody in the group who counts as a member.
    fn is_wanted(&self, person: PersonIx) -> bool {
        self.tables.wanted.get(person.0).is_some() && self.inputs.counts(person)
    }

    /// Tells whether somebody who is not listed is certainly absent: neither the linked record nor
    /// any record with the contact's address is listed, and no address is changing hands.
    fn is_absent(&self, contact: u32) -> bool {
        let inputs = self.inputs;
        let Some(person) = inputs.people.of_target(contact) else {
            return true;
        };
        let other = || {
            let address = inputs.target.members[contact as usize].address?;
            // Whoever a listed record shows is wanted, which is told at once: thousands of records may
            // have one address.
            let person = inputs.people.showing(address)?;
            self.tables.wanted.get(person.0)?;
            self.shown.listed_with(inputs, address)
        };
        !self.is_wanted(person)
            && !inputs.people.get(person).hands.is_changing()
            && !other().is_some_and(|other| inputs.counts(other))
    }
}
