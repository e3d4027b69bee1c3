//! What is remembered of a person's refusals, under whatever address it was seen.

use super::people::PersonIx;
use super::{GroupPair, Inputs};
use crate::model::Name;

/// A remembered refusal of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    /// The addresses that it stands under.
    pub(super) addresses: Vec<Name>,
    /// Whether the target was seen to obey it.
    pub(super) held: bool,
    /// Whether it is of the contact that the target has, and not only of an address that the
    /// contact is about to get.
    of_contact: bool,
}

impl Bar {
    /// Tells whether the refusal is still to be carried to the contact at the target, whatever the
    /// source shows by now.
    pub(super) fn is_due(&self) -> bool {
        !self.held && self.of_contact
    }

    /// Tells whether the bar ends where the contact turns out to be active without rosterd's doing.
    pub(super) fn may_end(&self) -> bool {
        self.held && self.of_contact
    }
}

/// Finds the remembered refusal of all mail of a person.
pub(super) fn bar_of_account(inputs: &Inputs<'_>, person: PersonIx) -> Option<Bar> {
    let bars = &inputs.base.bars;
    if bars.is_empty(None) {
        return None;
    }
    find(inputs, person, |address| bars.held(None, address))
}

/// Finds the remembered refusal of a person that concerns a pair: of the target's group, or of the
/// source's before it had a partner.
pub(super) fn bar_of_pair(inputs: &Inputs<'_>, person: PersonIx, pair: &GroupPair) -> Option<Bar> {
    if nobody_refused(inputs, pair) {
        return None;
    }
    find(inputs, person, |address| held(inputs, pair, address))
}

/// Tells whether no refusal is remembered that could concern a pair.
pub(super) fn nobody_refused(inputs: &Inputs<'_>, pair: &GroupPair) -> bool {
    let bars = &inputs.base.bars;
    let group = pair.target.as_deref();
    group.is_none_or(|group| bars.is_empty(Some(group)))
        && (pair.linked || (bars.early.is_empty() && bars.early_names.is_empty()))
}

/// Tells whether the target obeys what is remembered of an address and a pair; nothing where
/// nothing is remembered.
fn held(inputs: &Inputs<'_>, pair: &GroupPair, address: Name) -> Option<bool> {
    if inputs.base.bars.is_early(pair, address) {
        return Some(false);
    }
    inputs
        .base
        .bars
        .held(Some(pair.target.as_deref()?), address)
}

fn find(inputs: &Inputs<'_>, person: PersonIx, held: impl Fn(Name) -> Option<bool>) -> Option<Bar> {
    let own = inputs.people.get(person).address;
    let mut bar = Bar {
        addresses: Vec::new(),
        held: true,
        of_contact: false,
    };
    if let Some(held) = held(own) {
        bar.addresses.push(own);
        bar.held &= held;
    }
    // A refusal follows the person through a change of address.
    for former in inputs
        .people
        .former_addresses(person, inputs.source, inputs.base)
    {
        if let Some(held) = held(former) {
            bar.addresses.push(former);
            // What another contact obeyed says nothing of this one.
            bar.held &= held && keeps_contact(inputs, person);
        }
    }
    let moves_from = inputs.people.get(person).moves_from;
    bar.of_contact = moves_from.is_none_or(|held_address| bar.addresses.contains(&held_address));
    (!bar.addresses.is_empty()).then_some(bar)
}

/// Tells whether the person's contact at the target is the one that the links name.
fn keeps_contact(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let targets = inputs.people.targets(person);
    inputs
        .people
        .sources(person)
        .iter()
        .filter_map(|at| {
            inputs
                .base
                .member_of_source(inputs.source.members[*at as usize].id)
        })
        .all(|link| {
            inputs
                .people
                .target_position(link.target)
                .is_some_and(|at| targets.contains(&at))
        })
}
