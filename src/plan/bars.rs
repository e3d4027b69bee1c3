//! What is remembered of a person's refusals, and what it means today.
//!
//! The ledger knows each refusal by every key under which the person and the audience were known.
//! Who is bound by it was decided with who is who ([`People::remembered`](super::People)).

use std::collections::{BTreeSet, HashMap};

use super::base::{Base, FactId, LedgerAudience, LedgerPerson, Refusal};
use super::people::PersonIx;
use super::{Agreement, GroupPair, Inputs, PairIx, fold_group_name, in_scope};
use crate::model::{MemberStatus, Name, Snapshot, Value};

/// The remembered refusals of a person for one audience.
#[derive(Clone, Debug)]
pub(super) struct Bar<'a> {
    /// With whether they bind several people.
    facts: Vec<(&'a Refusal, bool)>,
    /// Whether the target was seen to obey all of them.
    pub(super) held: bool,
    /// Whether they are of the contact that the target has, and not only of an address that the
    /// contact is about to get.
    of_contact: bool,
}

impl Bar<'_> {
    /// Names the refusals.
    pub(super) fn ids(&self) -> impl Iterator<Item = FactId> + '_ {
        self.facts.iter().map(|(fact, _)| fact.id)
    }

    /// Has the refusal carried anew for the person: of the whole account, or of a pair. Others who
    /// are bound by it as well, because they had the same address once, are left in peace.
    pub(super) fn carry_anew(
        &self,
        pair: Option<PairIx>,
        person: PersonIx,
        agreement: &mut Agreement,
    ) {
        let own = self.facts.iter().filter(|(_, shared)| !shared);
        let own: Vec<FactId> = own.map(|(fact, _)| fact.id).collect();
        if own.is_empty() {
            agreement.bars.push((pair, person));
        }
        agreement.bars_anew.extend(own);
    }

    /// Tells whether the refusal is still to be carried to the contact at the target, whatever the
    /// source shows by now.
    pub(super) fn is_due(&self) -> bool {
        !self.held && self.of_contact
    }

    /// Tells whether the bar ends where the contact turns out to be active without rosterd's doing.
    ///
    /// What several people share does not end for all of them because one came back.
    pub(super) fn may_end(&self) -> bool {
        self.held && self.of_contact && self.facts.iter().all(|(_, shared)| !shared)
    }
}

/// Finds the remembered refusal of all mail of a person.
pub(super) fn bar_of_account<'a>(inputs: &Inputs<'a>, person: PersonIx) -> Option<Bar<'a>> {
    let of_account = |fact: &Refusal| fact.audience.contains(&LedgerAudience::Account);
    find(inputs, person, of_account, Some(""))
}

/// Finds the remembered refusal of a person that concerns a pair: of the target's group, by its id
/// or by a name that it has or is to have, or of the source's group.
pub(super) fn bar_of_pair<'a>(
    inputs: &Inputs<'a>,
    person: PersonIx,
    pair: &GroupPair,
) -> Option<Bar<'a>> {
    if inputs.people.remembered(person).is_empty() {
        return None;
    }
    let names = names_of(inputs, pair);
    let concerns = |fact: &Refusal| concerns_pair(inputs, fact, pair, &names);
    find(inputs, person, concerns, pair.target.as_deref())
}

/// Tells whether a person is remembered as refusing the group of a pair.
pub fn refused_before(inputs: &Inputs<'_>, person: PersonIx, pair: &GroupPair) -> bool {
    bar_of_pair(inputs, person, pair).is_some()
}

/// Has every remembered refusal of a pair know every key of the pair, whoever is listed: a group
/// that is made anew, or gets another name, is found by the keys that are left.
pub(super) fn know_pairs_by_every_key(
    inputs: &Inputs<'_>,
    pairs: &[GroupPair],
    agreement: &mut Agreement,
) {
    let mut pairs_by_key: HashMap<LedgerAudience, Vec<usize>> = HashMap::new();
    for (at, pair) in pairs.iter().enumerate().filter(|(_, pair)| pair.writable) {
        let mut keys = keys_of(pair);
        keys.extend(names_of(inputs, pair).map(LedgerAudience::Name));
        for key in keys {
            pairs_by_key.entry(key).or_default().push(at);
        }
    }
    for fact in &inputs.base.ledger.refusals {
        let concerned: BTreeSet<usize> = fact
            .audience
            .iter()
            .filter_map(|key| pairs_by_key.get(key))
            .flatten()
            .copied()
            .collect();
        for at in concerned {
            let pair = &pairs[at];
            let lacking = keys_of(pair).iter().any(|key| !fact.audience.contains(key));
            let names = names_of(inputs, pair);
            if lacking && concerns_pair(inputs, fact, pair, &names) {
                agreement.bars_of_pair.push((fact.id, PairIx(at as u32)));
            }
        }
    }
}

/// Returns what a pair is known by from this run on.
fn keys_of(pair: &GroupPair) -> BTreeSet<LedgerAudience> {
    let group = pair.target.clone().map(LedgerAudience::Group);
    let source = pair.source.clone().map(LedgerAudience::Source);
    let name = LedgerAudience::Name(fold_group_name(&pair.name));
    group.into_iter().chain(source).chain([name]).collect()
}

/// Returns the folded names that a pair's group is to have at the target and that the job gave it
/// there last. What the source calls it may be the name of another group there.
fn names_of(inputs: &Inputs<'_>, pair: &GroupPair) -> [String; 2] {
    let link = pair
        .source
        .as_deref()
        .and_then(|source| inputs.base.group_of_source(source));
    let last = link
        .filter(|link| pair.target.as_ref() == Some(&link.target))
        .and_then(|link| link.fields.get(inputs.target_schema.group_name_field()))
        .and_then(|name| name.desired.as_ref().or(name.target.as_ref()))
        .map_or_else(|| pair.name.clone(), Value::to_string);
    [fold_group_name(&pair.name), fold_group_name(&last)]
}

/// Tells whether a refusal concerns a pair; `names` are the pair's.
///
/// A name says nothing where it leads to a group that is known to be another one: to one that stands
/// beside the pair's under the same name, and, once the pair is linked, to one that stands at all.
/// A new pair may be what became of a group that has another name by now.
fn concerns_pair(
    inputs: &Inputs<'_>,
    fact: &Refusal,
    pair: &GroupPair,
    names: &[String; 2],
) -> bool {
    let by_id = fact.audience.iter().any(|audience| match audience {
        LedgerAudience::Account | LedgerAudience::Name(_) => false,
        LedgerAudience::Group(group) => pair.target.as_ref() == Some(group),
        LedgerAudience::Source(group) => pair.source.as_ref() == Some(group),
    });
    let by_name = || {
        let mut known = fact.audience.iter();
        known.any(|known| matches!(known, LedgerAudience::Name(known) if names.contains(known)))
    };
    by_id
        || (by_name()
            && !stands_beside(inputs, fact, pair)
            && !(pair.linked && stands_elsewhere(inputs, fact, pair)))
}

/// Tells whether every source group that a refusal is known to be of is in scope beside the pair's,
/// and has the same name.
fn stands_beside(inputs: &Inputs<'_>, fact: &Refusal, pair: &GroupPair) -> bool {
    let name = fold_group_name(&pair.source_name);
    let is_beside = |id: &String| {
        let group = inputs.source.group(id);
        pair.source.as_ref() != Some(id)
            && group.is_some_and(|group| {
                in_scope(&inputs.policy.groups, group) && fold_group_name(&group.name) == name
            })
    };
    let sources = fact.audience.iter().filter_map(|audience| match audience {
        LedgerAudience::Source(group) => Some(group),
        _ => None,
    });
    let mut sources = sources.peekable();
    sources.peek().is_some() && sources.all(is_beside)
}

/// Tells whether a group that a refusal is known to be of still stands, and is another one than the
/// pair's: the pair only has the name that this one had.
fn stands_elsewhere(inputs: &Inputs<'_>, fact: &Refusal, pair: &GroupPair) -> bool {
    let is_there = |side: &Snapshot, id: &str, ours: &Option<String>| {
        ours.as_deref() != Some(id) && side.group(id).is_some()
    };
    fact.audience.iter().any(|audience| match audience {
        LedgerAudience::Account | LedgerAudience::Name(_) => false,
        LedgerAudience::Group(group) => is_there(inputs.target, group, &pair.target),
        LedgerAudience::Source(group) => is_there(inputs.source, group, &pair.source),
    })
}

/// Tells whether somebody asked to be forgotten, by the address or by the id at either side.
pub(super) fn is_forgotten(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let Base {
        forgotten,
        source_account,
        target_account,
        ..
    } = inputs.base;
    // Everybody is asked about, and as a rule nobody was forgotten.
    if forgotten.is_empty() {
        return false;
    }
    if forgotten.contains(inputs.address(person)) {
        return true;
    }
    let known = |account: &str, id: Name| forgotten.contains_id(account, inputs.names.text(id));
    let record = |at: &u32| inputs.source.members[*at as usize].id;
    let contact = |at: &u32| inputs.target.members[*at as usize].id;
    let (mut records, mut contacts) = (
        inputs.people.sources(person).iter().map(record),
        inputs.people.targets(person).iter().map(contact),
    );
    forgotten.knows_ids()
        && (records.any(|id| known(source_account, id))
            || contacts.any(|id| known(target_account, id)))
}

/// Tells whether an address that a person's contact is about to get refused mail as somebody's of
/// whom nothing else is known.
pub(super) fn address_refused_before(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let address = LedgerPerson::Address(inputs.people.get(person).address);
    let remembered = inputs.people.remembered(person).iter();
    let contact = inputs.people.targets(person).first();
    contact.is_some_and(|at| {
        let status = inputs.target.members[*at as usize].status;
        remembered
            .map(|at| &inputs.base.ledger.refusals[*at as usize])
            .filter(|fact| keeps_from(status, fact))
            .any(|fact| fact.people.contains(&address) && !is_of_person(inputs, person, fact))
    })
}

/// Tells whether what an address refused keeps a contact from getting it: a contact must not become
/// reachable under an address that refused mail, and one that refuses all mail is not.
pub(super) fn keeps_from(contact: MemberStatus, refused: &Refusal) -> bool {
    contact != MemberStatus::OptedOut || !refused.audience.contains(&LedgerAudience::Account)
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
    for at in remembered {
        let fact = &ledger.refusals[*at as usize];
        if !concerns(fact) {
            continue;
        }
        bar.held &= held_at.is_some()
            && fact.held_at.as_deref() == held_at
            && says_of_contacts(inputs, person, fact);
        bar.of_contact |= is_of_contact(inputs, person, fact);
        bar.facts.push((fact, inputs.people.is_shared(*at)));
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
    // What the person's own record refused is of the contact wherever it moves to, unless that has
    // the address of somebody else by now.
    let own = || {
        let record = |at: &u32| LedgerPerson::Record(inputs.source.members[*at as usize].id);
        let mut records = inputs.people.sources(person).iter().map(record);
        inputs.people.spared_for(person).is_none() && records.any(|id| fact.people.contains(&id))
    };
    moves_from.is_none_or(|held| fact.people.contains(&LedgerPerson::Address(held)))
        || contacts.any(|at| has_contact(inputs, fact, *at))
        || own()
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
