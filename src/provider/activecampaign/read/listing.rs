//! The listings of lists while they are put together.

use std::collections::{BTreeMap, BTreeSet};

use super::super::wire::contacts::{Contact, ENDED, state};
use super::super::wire::id_number;
use crate::model::{Certificate, GroupRow, MemberSink, MembershipState};

/// A list's listing that waits to be closed.
pub(super) struct Listed {
    pub(super) group: String,
    /// Nothing where the id is no number of this provider.
    pub(super) number: Option<u64>,
    rows: Vec<(u64, i64)>,
    /// When people left, where that is shown.
    left: Vec<(u64, i64)>,
    /// People who may be on the list, in whatever state.
    maybe: BTreeSet<u64>,
    /// People who are counted with the list and are no members of it.
    counted_apart: u64,
    pub(super) certificate: Certificate,
}

impl Listed {
    pub(super) fn begin(group: &GroupRow) -> Self {
        let mut listed = Listed {
            group: group.id.clone(),
            number: id_number(&group.id),
            rows: Vec::new(),
            left: Vec::new(),
            maybe: BTreeSet::new(),
            counted_apart: 0,
            certificate: Certificate {
                opt_outs_complete: true,
                ..Certificate::default()
            },
        };
        if listed.number.is_none() {
            listed.broken(format!(
                "\"{}\" is not the id of a list at ActiveCampaign",
                group.id
            ));
        }
        listed
    }

    /// Marks the listing as one of which a part may be missing, opt-outs included.
    pub(super) fn broken(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.certificate.opt_outs_complete = false;
        if !self.certificate.problems.contains(&what) {
            self.certificate.problems.push(what);
        }
    }

    /// Marks the listing as one of which a part may be missing, though every refusal that matters
    /// to whoever is in it was seen.
    pub(super) fn doubt(&mut self, what: &str) {
        if !self.certificate.problems.iter().any(|known| known == what) {
            self.certificate.problems.push(what.to_owned());
        }
    }

    pub(super) fn take(&mut self, contact: u64, status: i64) {
        self.certificate.rows += 1;
        self.rows.push((contact, status));
    }

    /// Tells whether fewer came than the service counts and somebody else may be on the list.
    pub(super) fn is_short(&self) -> bool {
        let came = self.ids();
        let others = self.maybe.iter().any(|id| came.binary_search(id).is_err());
        others && self.certificate.total > Some(came.len() as u64)
    }

    /// Counts the memberships that an administrator ended: the service counts them, and nobody is
    /// a member by them.
    fn set_ended_apart(&mut self) {
        let ended = self.rows.iter().filter(|(_, status)| *status == ENDED);
        let ids: BTreeSet<u64> = ended.map(|(contact, _)| *contact).collect();
        self.rows.retain(|(_, status)| *status != ENDED);
        let listed: BTreeSet<u64> = self.rows.iter().map(|(contact, _)| *contact).collect();
        self.counted_apart = ids.difference(&listed).count() as u64;
    }

    /// Takes the time at which a contact left this list, where the contact shows it.
    pub(super) fn take_time(&mut self, contact: &Contact) {
        let left = contact
            .left
            .iter()
            .filter(|(list, _)| Some(*list) == self.number);
        self.left.extend(left.map(|(_, time)| (contact.id, *time)));
    }

    /// Returns who is in the listing, each once, in ascending order.
    pub(super) fn ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.rows.iter().map(|(contact, _)| *contact).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Hands the listing over with its evidence.
    ///
    /// Who may be on the list counts as there, like one who has not confirmed: nobody is taken out
    /// or added on the strength of it. It proves nothing, so it is no part of the counts.
    pub(super) fn close(mut self, sink: &mut dyn MemberSink) {
        let came = self.ids();
        self.maybe.retain(|id| came.binary_search(id).is_err());
        self.set_ended_apart();
        let mut states: BTreeMap<u64, MembershipState> = BTreeMap::new();
        let mut moved = 0_u64;
        for (contact, status) in &self.rows {
            let state = state(*status);
            let held = states.entry(*contact).or_insert(state);
            if *held != state {
                moved += 1;
                *held = (*held).max(state);
            }
        }
        if moved > 0 {
            self.broken(format!("{moved} people were listed with two statuses"));
        }
        let count = |wanted: MembershipState| {
            states.values().filter(|state| **state == wanted).count() as u64
        };
        self.certificate.distinct = states.len() as u64 + self.counted_apart;
        self.certificate.opted_out = count(MembershipState::OptedOut);
        self.certificate.bounced = count(MembershipState::Bounced);
        let maybe = self.maybe.iter();
        states.extend(maybe.map(|id| (*id, MembershipState::Unconfirmed)));
        sink.begin_listing(&self.group);
        for (contact, state) in &states {
            sink.listed(&contact.to_string(), *state);
        }
        for (contact, time) in &self.left {
            if states.get(contact) == Some(&MembershipState::OptedOut) {
                sink.refused_at(&contact.to_string(), *time);
            }
        }
        sink.end_listing(self.certificate);
    }
}

/// The listings of a question, found by the number of the list.
pub(super) struct Listings {
    all: Vec<Listed>,
    places: BTreeMap<u64, usize>,
}

impl Listings {
    /// Returns the numbers of the groups that are asked for.
    pub(super) fn numbers(&self) -> BTreeSet<u64> {
        self.places.keys().copied().collect()
    }

    pub(super) fn begin(groups: &[GroupRow]) -> Self {
        let all: Vec<Listed> = groups.iter().map(Listed::begin).collect();
        let places = all
            .iter()
            .enumerate()
            .filter_map(|(at, listed)| Some((listed.number?, at)))
            .collect();
        Listings { all, places }
    }

    /// Takes the memberships that a contact shows. Returns whether any of them is or may be of
    /// these listings.
    pub(super) fn take(&mut self, contact: &Contact) -> bool {
        let mut listed = contact.on_unknown_list;
        if listed {
            self.take_maybe(contact.id);
        }
        for (list, status) in contact.memberships.iter().flatten() {
            if let Some(at) = self.places.get(list) {
                self.all[*at].take(contact.id, *status);
                self.all[*at].take_time(contact);
                listed = true;
            }
        }
        listed
    }

    /// Takes somebody of whom nobody knows in which of the groups they are.
    pub(super) fn take_maybe(&mut self, member: u64) {
        self.each().for_each(|listed| {
            listed.maybe.insert(member);
        });
    }

    /// Takes an active member of a group. Returns whether it is one of these listings.
    pub(super) fn put(&mut self, group: u64, member: u64) -> bool {
        let at = self.places.get(&group).copied();
        if let Some(at) = at {
            self.all[at].take(member, 1);
        }
        at.is_some()
    }

    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut Listed> {
        self.all.iter_mut()
    }

    /// Takes note of evidence that each of the listings is whole.
    pub(super) fn ended(&mut self) {
        self.each()
            .for_each(|listed| listed.certificate.ended = true);
    }

    /// Takes note that each of the listings came in several pages that are counted by offset.
    pub(super) fn by_offset(&mut self) {
        self.each()
            .for_each(|listed| listed.certificate.by_offset = true);
    }

    pub(super) fn doubt(&mut self, what: &str) {
        self.each().for_each(|listed| listed.doubt(what));
    }

    pub(super) fn broken(&mut self, what: &str) {
        self.each().for_each(|listed| listed.broken(what));
    }

    pub(super) fn close(self, sink: &mut dyn MemberSink) {
        for listed in self.all {
            listed.close(sink);
        }
    }
}
