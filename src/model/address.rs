//! The address of a member: what two providers agree on when they mean one person.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// A normalised address: trimmed, NFC, lower-cased, domain in its ASCII form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(String);

impl Address {
    /// Returns the normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text can't serve as an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing is there.
    #[error("there is no address")]
    Missing,
    /// It is not an e-mail address, or its domain is not one.
    #[error("the address is not a valid e-mail address")]
    Malformed,
}

/// Normalises an address as identity of a person.
///
/// Nothing provider-specific is done: dots and plus tags are part of the address.
///
/// # Errors
/// [`AddressError`] when there is nothing, or nothing that mail could be sent to.
pub fn normalise_address(text: &str) -> Result<Address, AddressError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(AddressError::Missing);
    }
    // Nearly every address is ASCII, which is normal as it is.
    let normal = if trimmed.is_ascii() {
        trimmed.to_ascii_lowercase()
    } else {
        let lower = trimmed.nfc().collect::<String>().to_lowercase();
        // Lower-casing can leave NFC (a dotted capital I does), so it is applied once more.
        lower.nfc().collect()
    };
    let (local, domain) = normal.rsplit_once('@').ok_or(AddressError::Malformed)?;
    let domain = idna::domain_to_ascii(domain).map_err(|_| AddressError::Malformed)?;
    if local.is_empty()
        || domain.is_empty()
        || !email_address::EmailAddress::is_valid(&format!("{local}@{domain}"))
    {
        return Err(AddressError::Malformed);
    }
    // Quoted local parts and address literals are valid on paper and refused by every provider.
    if local.contains(['"', ' ', ',', ';', '<', '>']) || domain.starts_with('[') {
        return Err(AddressError::Malformed);
    }
    Ok(Address(format!("{local}@{domain}")))
}

/// Returns the spellings by which a service may know a normalised address: its domain in ASCII and,
/// where it is an international one, in its own letters. A service that compares texts finds the one
/// by the other nowhere.
pub fn spellings(address: &str) -> Vec<String> {
    let own = address.rsplit_once('@').and_then(|(local, domain)| {
        let (domain, sound) = idna::domain_to_unicode(domain);
        sound.ok().map(|()| format!("{local}@{domain}"))
    });
    let mut found = vec![address.to_owned()];
    found.extend(own.filter(|own| own != address));
    found
}

/// Finds every address that can be read out of a text that is none itself: in a list, between
/// brackets, or with something before or behind it.
pub fn addresses_in(text: &str) -> Vec<Address> {
    let parts = text.split(|letter: char| {
        letter.is_whitespace()
            || matches!(
                letter,
                ',' | ';' | '<' | '>' | '(' | ')' | '[' | ']' | '"' | '|' | '/'
            )
    });
    let mut found: Vec<Address> = parts
        .map(|part| part.trim_start_matches("mailto:"))
        .map(|part| part.trim_matches(['.', ':', '\'', '*', '=']))
        .filter_map(|part| normalise_address(part).ok())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_international_domain_has_two_spellings() {
        assert_eq!(
            spellings("jo@xn--bcher-kva.example"),
            ["jo@xn--bcher-kva.example", "jo@b\u{fc}cher.example"]
        );
        assert_eq!(spellings("jo@example.org"), ["jo@example.org"]);
        assert_eq!(spellings("nobody"), ["nobody"]);
    }

    fn check(text: &str, expected: Result<&str, AddressError>) {
        assert_eq!(
            normalise_address(text).as_ref().map(Address::as_str),
            expected.as_ref().copied(),
            "{text:?}"
        );
    }

    #[test]
    fn spelling_differences_vanish_and_tags_stay() {
        check("  Ana@Example.ORG ", Ok("ana@example.org"));
        check("ana+news@example.org", Ok("ana+news@example.org"));
        check("a.na@example.org", Ok("a.na@example.org"));
        check("jo@Bücher.example", Ok("jo@xn--bcher-kva.example"));
        check("Jose\u{301}@example.org", Ok("jos\u{e9}@example.org"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        check("", Err(AddressError::Missing));
        check(" \t", Err(AddressError::Missing));
        check("n/a", Err(AddressError::Malformed));
        check("a b@example.org", Err(AddressError::Malformed));
        check("ana@", Err(AddressError::Malformed));
        check("@example.org", Err(AddressError::Malformed));
        check(
            "ana@example.org, bo@example.org",
            Err(AddressError::Malformed),
        );
    }

    #[test]
    fn what_can_be_read_out_of_a_broken_address_is_found() {
        let found = |text| -> Vec<String> {
            let all = addresses_in(text);
            all.iter().map(ToString::to_string).collect()
        };
        assert_eq!(found("Ana@example.org;"), ["ana@example.org"]);
        assert_eq!(
            found("bo@example.org, Ana <ana@example.org>"),
            ["ana@example.org", "bo@example.org"]
        );
        assert_eq!(found("mailto:ana@example.org."), ["ana@example.org"]);
        assert!(found("n/a").is_empty());
        assert!(found("ana@@example.org").is_empty());
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for text in ["ÉLAN@example.org", "Ana+x@Example.org", "ß@straße.example"] {
            let once = normalise_address(text).unwrap();
            assert_eq!(normalise_address(once.as_str()).unwrap(), once);
        }
    }
}
