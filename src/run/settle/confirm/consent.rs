//! When the target obeys a refusal with everything that it holds of a person.

use super::Confirming;
use crate::model::{MemberStatus, MembershipState, Reading};
use crate::plan::PairIx;
use crate::run::settle::item::Item;
use crate::run::settle::known::Known;
use crate::state::Change;

impl Confirming<'_> {
    /// Remembers that the target obeys a person's refusal, once each of the person's contacts does.
    pub(super) fn refusal_held(&self, item: &Item, pair: Option<PairIx>) -> Vec<Change> {
        let Some(person) = item.person else {
            return Vec::new();
        };
        let group = pair.and_then(|pair| self.group_id(pair));
        if pair.is_some() && group.is_none() {
            return Vec::new();
        }
        let Known {
            names,
            people,
            sides,
            capabilities,
            ..
        } = self.known;
        let listing = group
            .as_deref()
            .and_then(|group| sides.target.listing(group));
        let obeys = |at: u32| {
            let member = &sides.target.members[at as usize];
            let id = names.text(member.id);
            let before = match (
                pair,
                listing.and_then(|listing| listing.seen().state_of(at)),
            ) {
                (None, _) => member.status == MemberStatus::OptedOut,
                (Some(_), Some(MembershipState::OptedOut)) => true,
                // What rosterd took out in a way that shows as a refusal gets no mail either.
                (Some(_), None) if listing.is_some_and(|listing| listing.seen().is_removed(at)) => {
                    true
                }
                (Some(_), state) => {
                    state != Some(MembershipState::Active) && !capabilities.group_opt_out
                }
            };
            before
                || item.target_id.as_deref() == Some(id)
                || self.so_far.refused_there.contains(&(pair, id.to_owned()))
        };
        if !people.targets(person).iter().all(|at| obeys(*at)) {
            return Vec::new();
        }
        vec![match pair.zip(group) {
            Some((pair, group)) => self.known.held_by_pair(pair, group, person),
            None => self.known.held(None, person),
        }]
    }

    /// Remembers that the target obeys a person's refusal of all mail that it holds list by list,
    /// once every list in scope does. `done` are those for which this item stands.
    pub(super) fn account_refusal_held(&self, item: &Item, done: &[PairIx]) -> Vec<Change> {
        let Known {
            names,
            people,
            sides,
            capabilities,
            ..
        } = self.known;
        let Some(person) = item
            .person
            .filter(|_| capabilities.account_opt_out_as_lists)
        else {
            return Vec::new();
        };
        let contacts = people.targets(person);
        let holds = |pair: PairIx| {
            let listing = self
                .group_id(pair)
                .and_then(|group| sides.target.listing(&group));
            let obeys = |at: &u32| {
                let id = names.text(sides.target.members[*at as usize].id);
                let now = item.target_id.as_deref() == Some(id) && done.contains(&pair);
                let shown = listing.map(Reading::seen);
                let before = shown.is_some_and(|rows| {
                    rows.state_of(*at) == Some(MembershipState::OptedOut) || rows.is_removed(*at)
                });
                now || before
                    || self
                        .so_far
                        .refused_there
                        .contains(&(Some(pair), id.to_owned()))
            };
            if contacts.is_empty() {
                done.contains(&pair)
            } else {
                contacts.iter().all(obeys)
            }
        };
        let mut lists = self
            .known
            .plan
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, pair)| pair.writable)
            .map(|(at, _)| PairIx(at as u32));
        if !lists.all(holds) {
            return Vec::new();
        }
        vec![self.known.held(None, person)]
    }
}
