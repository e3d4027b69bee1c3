//! The contacts of an account, found by id and by address.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Deref;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::id_map::IdMap;
use super::world::{Contact, fold};

/// How many contacts that may have got another address are looked through one by one.
const TOUCHED: usize = 16;

/// Contacts by id.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contacts {
    map: IdMap<Contact>,
    /// Made when somebody is first looked for by address.
    #[serde(skip)]
    addresses: OnceLock<Addresses>,
}

/// Where to look for an address. What it says is looked up again: it may be wrong, and leaves
/// nobody out.
#[derive(Debug, Default)]
struct Addresses {
    /// The hash of an address that is not empty, with the id of who has or had it.
    known: BTreeSet<(u64, u64)>,
    /// Who was handed out to be edited since.
    touched: Vec<u64>,
}

impl Addresses {
    fn learn(&mut self, contact: &Contact, id: u64) {
        if !contact.email.is_empty() {
            self.known.insert((hash(&fold(&contact.email)), id));
        }
    }
}

fn hash(folded: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    folded.hash(&mut hasher);
    hasher.finish()
}

impl Contacts {
    /// Sets the contact of an id and returns the one that had it.
    pub fn insert(&mut self, id: u64, contact: Contact) -> Option<Contact> {
        if let Some(addresses) = self.addresses.get_mut() {
            addresses.learn(&contact, id);
        }
        self.map.insert(id, contact)
    }

    /// Takes a contact out and returns it.
    pub fn remove(&mut self, id: &u64) -> Option<Contact> {
        let contact = self.map.remove(id)?;
        if let Some(addresses) = self.addresses.get_mut() {
            let place = (hash(&fold(&contact.email)), *id);
            addresses.known.remove(&place);
        }
        Some(contact)
    }

    /// The contact with an id, to be edited.
    pub fn get_mut(&mut self, id: &u64) -> Option<&mut Contact> {
        if let Some(addresses) = self.addresses.get_mut()
            && !addresses.touched.contains(id)
        {
            if addresses.touched.len() == TOUCHED {
                for id in std::mem::take(&mut addresses.touched) {
                    if let Some(contact) = self.map.get(&id) {
                        addresses.learn(contact, id);
                    }
                }
            }
            addresses.touched.push(*id);
        }
        self.map.get_mut(id)
    }

    /// The contacts, to be edited.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Contact> {
        self.addresses.take();
        self.map.values_mut()
    }

    /// The ids of those with an address, spelt in any case, in their order.
    pub(super) fn with_address(&self, email: &str) -> Vec<u64> {
        let wanted = fold(email);
        let addresses = self.addresses.get_or_init(|| {
            let mut addresses = Addresses::default();
            for (id, contact) in &self.map {
                addresses.learn(contact, *id);
            }
            addresses
        });
        let hash = hash(&wanted);
        let known = addresses.known.range((hash, 0)..=(hash, u64::MAX));
        let candidates: BTreeSet<u64> = known
            .map(|(_, id)| *id)
            .chain(addresses.touched.iter().copied())
            .collect();
        candidates
            .into_iter()
            .filter(|id| {
                self.map.get(id).is_some_and(|contact| {
                    !contact.email.is_empty() && fold(&contact.email) == wanted
                })
            })
            .collect()
    }
}

impl Deref for Contacts {
    type Target = IdMap<Contact>;

    fn deref(&self) -> &IdMap<Contact> {
        &self.map
    }
}

impl Clone for Contacts {
    fn clone(&self) -> Self {
        Self {
            map: self.map.clone(),
            addresses: OnceLock::new(),
        }
    }
}

impl PartialEq for Contacts {
    fn eq(&self, other: &Self) -> bool {
        self.map == other.map
    }
}

impl Eq for Contacts {}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(id: u64, email: &str) -> Contact {
        Contact {
            id,
            email: email.to_owned(),
            ..Contact::default()
        }
    }

    #[test]
    fn addresses_are_found_whoever_got_them_and_however() {
        let mut contacts = Contacts::default();
        for id in 1..=100 {
            contacts.insert(id, contact(id, &format!("Ana{}@example.org", id % 50)));
        }
        assert_eq!(contacts.with_address(" ana7@EXAMPLE.org"), [7, 57]);
        for id in 1..=40 {
            contacts.get_mut(&id).unwrap().email = format!("bo{id}@example.org");
        }
        assert_eq!(contacts.with_address("ana7@example.org"), [57]);
        assert_eq!(contacts.with_address("bo3@example.org"), [3]);
        assert_eq!(contacts.with_address("bo40@example.org"), [40]);
        contacts.remove(&57);
        contacts.insert(200, contact(200, "ana7@example.org"));
        contacts.insert(7, contact(7, "ana7@example.org"));
        assert_eq!(contacts.with_address("ana7@example.org"), [7, 200]);
        contacts
            .values_mut()
            .for_each(|contact| contact.email.clear());
        assert_eq!(contacts.with_address("bo3@example.org"), [0; 0]);
        assert_eq!(contacts.with_address(""), [0; 0]);
    }
}
