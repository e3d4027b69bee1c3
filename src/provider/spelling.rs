//! How an account spells the addresses that it holds in another form than the normalised one.
//!
//! Imports and forms find their contacts by the text of the address. No reference says that the two
//! forms of an internationalised domain are the same to it, so a row for a known contact names the
//! address as the account spelt it: otherwise the import would make a second contact of one person.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::{MemberRow, MemberSink, Tap, normalise_address};

/// The spellings that were read. Cheap: only addresses outside ASCII are kept.
#[derive(Debug, Default)]
pub(super) struct Spellings(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// With the contact that has it.
    by_address: HashMap<String, (String, String)>,
    by_contact: HashMap<String, String>,
}

impl Spellings {
    /// Returns the account's spelling of a normalised address, for somebody whose contact is not known.
    pub(super) fn of(&self, address: &str) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spelt = known.by_address.get(address);
        spelt.map_or_else(|| address.to_owned(), |(_, spelt)| spelt.clone())
    }

    /// Returns how a contact's normalised address is spelt there: of two contacts each may have one of
    /// its spellings.
    pub(super) fn of_contact(&self, contact: &str, address: &str) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spelt = known.by_contact.get(contact);
        // The contact may have got another address since.
        let spelt = spelt.filter(|spelt| {
            normalise_address(spelt).is_ok_and(|normalised| normalised.as_str() == address)
        });
        spelt.cloned().unwrap_or_else(|| address.to_owned())
    }

    /// Hands everything on to a sink, and takes down how the addresses are spelt that pass through.
    pub(super) fn listening<'a>(&'a self, sink: &'a mut dyn MemberSink) -> impl MemberSink + 'a {
        Tap {
            sink,
            row: |row: &MemberRow| {
                if let Some(email) = &row.address {
                    self.note(&row.id, email);
                }
            },
            begins: |_: &str| {},
        }
    }

    /// Takes down how a contact's address is spelt by now.
    pub(super) fn note(&self, contact: &str, email: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = known.by_contact.remove(contact)
            && let Ok(address) = normalise_address(&before)
            && known
                .by_address
                .get(address.as_str())
                .is_some_and(|(owner, _)| owner == contact)
        {
            known.by_address.remove(address.as_str());
        }
        if !email.is_ascii()
            && let Ok(address) = normalise_address(email)
        {
            let email = email.trim().to_owned();
            let entry = (contact.to_owned(), email.clone());
            known.by_address.insert(address.as_str().to_owned(), entry);
            known.by_contact.insert(contact.to_owned(), email);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_account_knows_how_it_spells_an_address() {
        let spellings = Spellings::default();
        let contacts = [
            ("1", " Bo@Bücher.test "),
            ("2", "bo@xn--bcher-kva.test"),
            ("3", "ana@example.org"),
            ("4", "no address"),
        ];
        for (contact, email) in contacts {
            spellings.note(contact, email);
        }
        let of = |contact, address| spellings.of_contact(contact, address);
        assert_eq!(of("1", "bo@xn--bcher-kva.test"), "Bo@Bücher.test");
        assert_eq!(of("2", "bo@xn--bcher-kva.test"), "bo@xn--bcher-kva.test");
        assert_eq!(of("1", "moved@example.org"), "moved@example.org");
        let respelt = Spellings::default();
        respelt.note("1", "bo@bücher.test");
        respelt.note("1", "bo@xn--bcher-kva.test");
        let address = "bo@xn--bcher-kva.test";
        assert_eq!(respelt.of_contact("1", address), address);
        assert_eq!(respelt.of(address), address);
        assert_eq!(spellings.of("bo@xn--bcher-kva.test"), "Bo@Bücher.test");
        assert_eq!(spellings.of("ana@example.org"), "ana@example.org");
        assert_eq!(
            spellings.of("new@xn--bcher-kva.test"),
            "new@xn--bcher-kva.test"
        );
    }
}
