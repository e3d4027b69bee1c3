//! People who asked to be forgotten: hashes that can be asked person by person, and not listed.

use std::collections::HashSet;

/// People who were forgotten: their hashes can be asked, not listed.
#[derive(Clone, Debug, Default)]
pub struct Forgotten {
    addresses: HashSet<String>,
    ids: HashSet<(String, String)>,
}

impl Forgotten {
    /// Tells whether the person of a normalised address was forgotten, and so is barred from every
    /// group of every provider.
    pub fn contains(&self, address: &str) -> bool {
        !self.addresses.is_empty() && self.addresses.contains(&hash_of_address(address))
    }

    /// Tells whether somebody who was forgotten had an id in an account, as the state database
    /// knows the account.
    pub fn contains_id(&self, account: &str, id: &str) -> bool {
        self.knows_ids() && self.ids.contains(&(account.to_owned(), hash_of_id(id)))
    }

    /// Tells whether ids of somebody who was forgotten are known.
    pub fn knows_ids(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Tells whether nobody was forgotten.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.ids.is_empty()
    }

    /// Takes in a hash as it is remembered: of an address without an account, of an id with it. For
    /// the state database alone.
    pub(crate) fn recall(&mut self, account: String, hash: String) {
        if account.is_empty() {
            self.addresses.insert(hash);
        } else {
            self.ids.insert((account, hash));
        }
    }
}

const ADDRESS: &str = "rosterd forgotten person 1";
const ID: &str = "rosterd forgotten id 1";

/// Returns what is kept of the address of somebody who was forgotten.
pub(crate) fn hash_of_address(address: &str) -> String {
    hash_of_forgotten(address, ADDRESS)
}

/// Returns what is kept of an id of somebody who was forgotten.
pub(crate) fn hash_of_id(id: &str) -> String {
    hash_of_forgotten(id, ID)
}

fn hash_of_forgotten(text: &str, context: &str) -> String {
    blake3::derive_key(context, text.as_bytes())
        .iter()
        .fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_belongs_to_its_account_and_is_no_address() {
        let mut forgotten = Forgotten::default();
        assert!(forgotten.is_empty());
        forgotten.recall(String::new(), hash_of_address("ana@example.org"));
        forgotten.recall("mail".into(), hash_of_id("7"));
        assert!(forgotten.contains("ana@example.org") && forgotten.contains_id("mail", "7"));
        assert!(!forgotten.contains("7") && !forgotten.contains_id("crm", "7"));
        assert!(!forgotten.contains_id("mail", "ana@example.org"));
    }
}
