//! What is remembered of a person's refusals, and what it means today.
//!
//! The ledger knows each refusal by every key under which the person and the audience were known.
//! Who is bound by it was decided with who is who ([`People::remembered`](super::People)).

use super::base::{Base, FactId, LedgerAudience, LedgerPerson, Refusal};
use super::people::{People, PersonIx};
use super::{GroupPair, Inputs, fold_group_name};

/// The remembered refusals of a person for one audience.
#[derive(Clone, Debug)]
pub(super) struct Bar<'a> {
    facts: Vec<&'a Refusal>,
    /// Whether the target was seen to obey all of them.
    pub(super) held: bool,
    /// Whether they are of the contact that the target has, and not only of an address that the
    /// contact is about to get.
    of_contact: bool,
}

impl Bar<'_> {
    /// Names the refusals.
    pub(super) fn ids(&self) -> impl Iterator<Item = FactId> + '_ {
        self.facts.iter().map(|fact| fact.id)
    }

    /// Tells whether the refusal is still to be carried to the contact at the target, whatever the
    /// source shows by now.
    pub(super) fn is_due(&self) -> bool {
        !self.held && self.of_contact
    }

    /// Tells whether the bar ends where the contact turns out to be active without rosterd's doing.
    pub(super) fn may_end(&self) -> bool {
        self.held && self.of_contact
    }

    /// Tells whether some refusal does not know a key of the audience yet.
    pub(super) fn lacks(&self, audience: &LedgerAudience) -> impl Iterator<Item = FactId> + '_ {
        let audience = audience.clone();
        self.facts
            .iter()
            .filter(move |fact| !fact.audience.contains(&audience))
            .map(|fact| fact.id)
    }
}

/// Finds the remembered refusal of all mail of a person.
pub(super) fn bar_of_account<'a>(inputs: &Inputs<'a>, person: PersonIx) -> Option<Bar<'a>> {
    let of_account = |fact: &Refusal| fact.audience.contains(&LedgerAudience::Account);
    find(inputs, person, of_account, Some(""))
}

/// Finds the remembered refusal of a person that concerns a pair: of the target's group, by its id
/// or by the name that it has or is to have, or of the source's group.
pub(super) fn bar_of_pair<'a>(
    inputs: &Inputs<'a>,
    person: PersonIx,
    pair: &GroupPair,
) -> Option<Bar<'a>> {
    if inputs.people.remembered(person).is_empty() {
        return None;
    }
    let name = fold_group_name(&pair.name);
    let concerns = |fact: &Refusal| concerns_pair(fact, pair, &name);
    find(inputs, person, concerns, pair.target.as_deref())
}

/// Tells whether a person is remembered as refusing the group of a pair.
pub fn refused_before(base: &Base, people: &People, person: PersonIx, pair: &GroupPair) -> bool {
    let name = fold_group_name(&pair.name);
    let remembered = people.remembered(person).iter();
    remembered
        .map(|at| &base.ledger.refusals[*at as usize])
        .any(|fact| concerns_pair(fact, pair, &name))
}

/// `name` is the pair's, folded.
fn concerns_pair(fact: &Refusal, pair: &GroupPair, name: &str) -> bool {
    fact.audience.iter().any(|audience| match audience {
        LedgerAudience::Account => false,
        LedgerAudience::Group(group) => pair.target.as_ref() == Some(group),
        LedgerAudience::Source(group) => pair.source.as_ref() == Some(group),
        // A linked pair is known by better than that; another group may have the name.
        LedgerAudience::Name(known) => !pair.linked && *known == name,
    })
}

/// Tells whether an address that a person is about to get refused mail of whatever kind as
/// somebody's of whom nothing else is known.
pub(super) fn address_refused_before(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let address = LedgerPerson::Address(inputs.people.get(person).address);
    let remembered = inputs.people.remembered(person).iter();
    remembered
        .map(|at| &inputs.base.ledger.refusals[*at as usize])
        .any(|fact| fact.people.contains(&address) && !is_of_person(inputs, person, fact))
}

fn find<'a>(
    inputs: &Inputs<'a>,
    person: PersonIx,
    concerns: impl Fn(&Refusal) -> bool,
    held_at: Option<&str>,
) -> Option<Bar<'a>> {
    let ledger = &inputs.base.ledger;
    let mut bar = Bar {
        facts: Vec::new(),
        held: true,
        of_contact: false,
    };
    let remembered = inputs.people.remembered(person).iter();
    for fact in remembered.map(|at| &ledger.refusals[*at as usize]) {
        if !concerns(fact) {
            continue;
        }
        bar.held &= held_at.is_some()
            && fact.held_at.as_deref() == held_at
            && says_of_contacts(inputs, person, fact);
        bar.of_contact |= is_of_contact(inputs, person, fact);
        bar.facts.push(fact);
    }
    (!bar.facts.is_empty()).then_some(bar)
}

/// Tells whether what the target obeyed says something of the contacts that a person has today:
/// what another contact obeyed does not, unless this one stands under the same address.
fn says_of_contacts(inputs: &Inputs<'_>, person: PersonIx, fact: &Refusal) -> bool {
    let row = inputs.people.get(person);
    let by_address =
        row.moves_from.is_none() && fact.people.contains(&LedgerPerson::Address(row.address));
    let mut contacts = inputs.people.targets(person).iter();
    by_address || contacts.all(|at| has_contact(inputs, fact, *at))
}

/// Tells whether a refusal is of a contact that the person has, or of the address that it has; of
/// somebody whose contact does not move there is no other.
fn is_of_contact(inputs: &Inputs<'_>, person: PersonIx, fact: &Refusal) -> bool {
    let moves_from = inputs.people.get(person).moves_from;
    let mut contacts = inputs.people.targets(person).iter();
    moves_from.is_none_or(|held| fact.people.contains(&LedgerPerson::Address(held)))
        || contacts.any(|at| has_contact(inputs, fact, *at))
}

/// Tells whether a refusal is known to be this person's, by more than an address.
fn is_of_person(inputs: &Inputs<'_>, person: PersonIx, fact: &Refusal) -> bool {
    let record = |at: &u32| inputs.source.members[*at as usize].id;
    let mut records = inputs.people.sources(person).iter().map(record);
    let mut contacts = inputs.people.targets(person).iter();
    records.any(|id| fact.people.contains(&LedgerPerson::Record(id)))
        || contacts.any(|at| has_contact(inputs, fact, *at))
}

fn has_contact(inputs: &Inputs<'_>, fact: &Refusal, at: u32) -> bool {
    let id = inputs.target.members[at as usize].id;
    fact.people.contains(&LedgerPerson::Contact(id))
}
