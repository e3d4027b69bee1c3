//! Asking after named contacts: how each of them stands on some lists now.
//!
//! One request of version 3 names as many contacts as a page holds (`ids[]`, which the vendor's page
//! on listing contacts says may be repeated), and shows each with all memberships. It may overlook
//! somebody, or the parameter, so that only a row that shows the asked id says anything. Whoever it
//! leaves open is asked after alone by version 1, which shows the lists of one contact whatever
//! comes along with pages. That somebody is on a list takes one answer that says so; that they are
//! not, both.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ActiveCampaign;
use super::super::wire::contacts::{
    self as wire, Contact, ENDED, Include, NOT_SAID, ProfileFields, Scope, state,
};
use super::super::wire::{PAGE_ROWS, id_number};
use crate::model::MembershipState;
use crate::provider::{NamedAsk, NamedMember, ReadError, Told};

/// How many questions after one contact may fail in a row before the lists are read whole.
const FAILED_IN_A_ROW: u32 = 3;

/// A contact as one answer shows it.
struct Shown {
    contact: Contact,
    /// Whether what it does not show of the contact is not there: no membership came that may be of
    /// anybody.
    is_whole: bool,
}

/// What an answer says of a contact on one list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// There is a membership, of this status.
    On(i64),
    /// There are others, and not this one.
    Off,
}

impl Shown {
    /// Says how the contact stands on a list; nothing where the answer does not tell.
    fn place(&self, list: u64) -> Option<Place> {
        let contact = &self.contact;
        if contact.on_unknown_list {
            return None;
        }
        let memberships = contact.memberships.as_ref()?.iter();
        let mut held = memberships.filter(|(other, _)| *other == list);
        match (held.next(), held.next()) {
            (None, _) => self.is_whole.then_some(Place::Off),
            (Some((_, NOT_SAID)), _) | (_, Some(_)) => None,
            (Some((_, status)), None) => Some(Place::On(*status)),
        }
    }

    /// Says the same in the words of the model.
    fn told(&self, list: u64, is_off_elsewhere: bool) -> Option<Told> {
        match self.place(list)? {
            Place::On(ENDED) => Some(Told::NotListed),
            Place::On(status) => {
                let state = state(status);
                let mut left = self.contact.left.iter();
                let left = left.find(|(other, _)| *other == list);
                let refused_at = left
                    .filter(|_| state == MembershipState::OptedOut)
                    .map(|(_, time)| *time);
                Some(Told::Listed { state, refused_at })
            }
            Place::Off => is_off_elsewhere.then_some(Told::NotListed),
        }
    }
}

/// Counts the pages that so many rows take.
fn pages(rows: u64) -> u64 {
    rows.div_ceil(PAGE_ROWS).max(1)
}

/// Tells whether asking after so many people by name takes fewer pages than reading lists that hold
/// so many.
pub(in super::super) fn is_shorter_by_name(people: u64, listed: u64) -> bool {
    pages(people) < pages(listed)
}

/// Predicts the requests of a look at so many people of so many lists, right before they leave.
pub(in super::super) fn predicted_look(people: u64, groups: u64, listed: u64, account: u64) -> u64 {
    if is_shorter_by_name(people, listed) {
        pages(people)
    } else {
        super::predicted_check(groups, listed, account)
    }
}

impl ActiveCampaign {
    /// Asks after named contacts; nothing where reading their lists takes no more requests.
    ///
    /// There are never more questions than contacts and pages of contacts together.
    pub(in super::super) async fn read_named(
        &self,
        ask: &NamedAsk<'_>,
    ) -> Result<Option<Vec<NamedMember>>, ReadError> {
        if !is_shorter_by_name(ask.people.len() as u64, ask.listed) {
            return Ok(None);
        }
        // What an earlier import still does would look like a change by somebody else.
        self.settle_imports(false).await?;
        let people: BTreeMap<u64, &BTreeSet<String>> = ask
            .people
            .iter()
            .filter_map(|(id, groups)| Some((id_number(id)?, groups)))
            .collect();
        let first = self.ask_together(people.keys().copied().collect()).await?;
        let is_settled = |id: &u64, groups: &BTreeSet<String>| {
            first.get(id).is_some_and(|shown| {
                let mut lists = groups.iter().filter_map(|group| id_number(group));
                lists.all(|list| matches!(shown.place(list), Some(Place::On(_))))
            })
        };
        let open: BTreeSet<u64> = people
            .iter()
            .filter(|(id, groups)| !is_settled(id, groups))
            .map(|(id, _)| *id)
            .collect();
        if open.len() as u64 > pages(ask.listed) {
            return Ok(None);
        }
        let Some(second) = self.ask_alone(&open).await? else {
            return Ok(None);
        };
        let named = people.into_iter().map(|(id, groups)| {
            let before = first.get(&id);
            // The later answer replaces the earlier one.
            let last = second.get(&id).map_or(before, Option::as_ref);
            let told = groups.iter().filter_map(|group| {
                let list = id_number(group)?;
                let is_off = |shown: &Shown| shown.place(list) == Some(Place::Off);
                let was_off = second.contains_key(&id) && before.is_some_and(is_off);
                Some((group.clone(), last?.told(list, was_off)?))
            });
            NamedMember {
                id: id.to_string(),
                address: last.and_then(|shown| shown.contact.email.clone()),
                groups: told.collect(),
            }
        });
        let named: Vec<NamedMember> = named.collect();
        for member in &named {
            if let Some(address) = &member.address {
                self.spellings.note(&member.id, address);
            }
        }
        Ok(Some(named))
    }

    /// Asks after contacts as many at a time as a page holds, and once more after those who did not
    /// come as long as somebody does: a page may be short.
    async fn ask_together(
        &self,
        mut open: BTreeSet<u64>,
    ) -> Result<BTreeMap<u64, Shown>, ReadError> {
        let nothing = ProfileFields::default();
        let mut shown = BTreeMap::new();
        while !open.is_empty() {
            let asked: Vec<u64> = open.iter().copied().take(PAGE_ROWS as usize).collect();
            let page = self
                .contact_page(Scope::Named(&asked), 0, Include::Memberships, &nothing)
                .await;
            let before = shown.len();
            match page {
                Ok(page) => {
                    let is_whole = page.strays.is_empty() && page.contacts.without_id == 0;
                    for contact in page.contacts.known {
                        // Somebody else comes where the parameter is overlooked.
                        if open.remove(&contact.id) {
                            shown.insert(contact.id, Shown { contact, is_whole });
                        }
                    }
                }
                Err(error) => drop(self.survivable(error).await?),
            }
            if shown.len() == before {
                for id in asked {
                    open.remove(&id);
                }
            }
        }
        Ok(shown)
    }

    /// Asks after contacts one by one, and has none of whom the answer does not show that it is
    /// about them; nothing at all where the questions fail.
    async fn ask_alone(
        &self,
        open: &BTreeSet<u64>,
    ) -> Result<Option<BTreeMap<u64, Option<Shown>>>, ReadError> {
        let nothing = ProfileFields::default();
        let mut shown = BTreeMap::new();
        let (mut failed, mut in_a_row) = (0, 0);
        for id in open.iter().copied() {
            let contact = match self
                .ask_v1(wire::view(id), |answer| wire::viewed(answer, &nothing))
                .await
            {
                Ok(contact) => {
                    in_a_row = 0;
                    contact.filter(|contact| contact.id == id)
                }
                Err(error) => {
                    self.survivable(error).await?;
                    failed += 1;
                    in_a_row += 1;
                    if in_a_row == FAILED_IN_A_ROW {
                        return Ok(None);
                    }
                    None
                }
            };
            let contact = contact.map(|contact| Shown {
                contact,
                is_whole: true,
            });
            shown.insert(id, contact);
        }
        // Where no question was answered, the lists may still tell.
        let is_answered = open.is_empty() || failed < open.len();
        Ok(is_answered.then_some(shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_named_where_that_takes_fewer_pages_than_their_lists() {
        for (people, listed, is_shorter) in [
            (1, 0, false),
            (1, 100, false),
            (1, 101, true),
            (100, 101, true),
            (101, 200, false),
            (250, 300, false),
            (250, 301, true),
            (250, 100_000, true),
        ] {
            assert_eq!(
                is_shorter_by_name(people, listed),
                is_shorter,
                "{people} of {listed}"
            );
        }
        // What a look takes follows from the people, however long the list.
        assert_eq!(predicted_look(250, 1, 10_000, 10_000), 3);
        assert_eq!(predicted_look(250, 1, 1_000_000, 1_000_000), 3);
        assert_eq!(predicted_look(9, 1, 90, 90), 3);
    }
}
