//! The values of a contact by name, side by side in one piece of memory.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The names that nearly every contact has values under: each takes one byte instead of its text.
const COMMON: [&str; 36] = [
    "EXTERNAL_REF",
    "External ref",
    "MEMBERSHIP_LEVEL",
    "Membership level",
    "address1",
    "address2",
    "bio",
    "birth_date",
    "city",
    "company",
    "country",
    "custom1",
    "custom2",
    "custom3",
    "external_id",
    "fax",
    "first_name",
    "gender",
    "height",
    "hometown",
    "ip_address",
    "last_name",
    "memo",
    "mobile",
    "notes",
    "original_source",
    "phone",
    "purl",
    "skills",
    "state",
    "title",
    "website",
    "weight",
    "zip",
    "Dietary notes",
    "JOINED_ON",
];

/// Stands before a name that is no common one.
const SPELT: char = '\0';

/// Texts by name, in the order of the names.
///
/// A million contacts with ten values each would take gigabytes as a map of strings. This is one
/// text: for each value the name, the length of the value and the value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(Box<str>);

impl Values {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(held, _)| *held == name)
            .map(|(_, value)| value)
    }

    /// Whether a name has a value.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Sets the value of a name.
    pub fn insert(&mut self, name: String, value: String) {
        self.set(&name, &value);
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        let before = self.iter().take_while(|(held, _)| *held < name);
        let after = self.iter().skip_while(|(held, _)| *held <= name);
        *self = Self::pack(before.chain([(name, value)]).chain(after));
    }

    /// Takes a name out and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let value = self.get(name)?.to_owned();
        *self = Self::pack(self.iter().filter(|(held, _)| *held != name));
        Some(value)
    }

    /// The names with their values.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(_, value)| value)
    }

    /// The same as an ordinary map.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        self.iter().map(owned).collect()
    }

    /// Takes values in the order of their names.
    fn pack<'a>(values: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut packed = String::new();
        for (name, value) in values {
            if let Some(at) = COMMON.iter().position(|common| *common == name) {
                packed.push(char::from(at as u8 + 1));
            } else {
                packed.push(SPELT);
                push_text(&mut packed, name);
            }
            push_text(&mut packed, value);
        }
        Self(packed.into())
    }
}

/// Writes a length and a text. The length goes in steps of six bits, of which the last has the
/// seventh bit set, so that all of it is text.
fn push_text(packed: &mut String, text: &str) {
    let mut length = text.len();
    while length >= 1 << 6 {
        packed.push(char::from(length as u8 & 0x3f));
        length >>= 6;
    }
    packed.push(char::from(length as u8 | 0x40));
    packed.push_str(text);
}

/// Takes a length and a text from the front.
fn take_text<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (mut length, mut shift) = (0, 0);
    let mut bytes = rest.bytes();
    loop {
        let byte = bytes.next()?;
        length |= usize::from(byte & 0x3f) << shift;
        shift += 6;
        if byte & 0x40 != 0 {
            break;
        }
    }
    let (text, after) = rest[shift / 6..].split_at_checked(length)?;
    *rest = after;
    Some(text)
}

/// The entries of [`Values`].
#[derive(Debug, Clone)]
pub struct Iter<'a>(&'a str);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let code = usize::from(*self.0.as_bytes().first()?);
        self.0 = &self.0[1..];
        let name = match code.checked_sub(1) {
            Some(at) => COMMON.get(at)?,
            None => take_text(&mut self.0)?,
        };
        Some((name, take_text(&mut self.0)?))
    }
}

impl<'a> IntoIterator for &'a Values {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Values {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(values: I) -> Self {
        let mut values: Vec<(N, V)> = values.into_iter().collect();
        // Of several values of one name the last one counts.
        values.reverse();
        values.sort_by(|(one, _), (other, _)| one.as_ref().cmp(other.as_ref()));
        values.dedup_by(|(one, _), (other, _)| one.as_ref() == other.as_ref());
        let values = values.iter();
        Self::pack(values.map(|(name, value)| (name.as_ref(), value.as_ref())))
    }
}

impl<N: AsRef<str>, V: AsRef<str>> Extend<(N, V)> for Values {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, values: I) {
        for (name, value) in values {
            self.set(name.as_ref(), value.as_ref());
        }
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self).finish()
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::<String, String>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_what_a_map_would_be(
            edits in proptest::collection::vec(("[a-c]|zip|city|ü", proptest::option::of("[ -~]{0,5}|\\PC{60,200}")), 0..30),
        ) {
            let (mut values, mut map) = (Values::default(), BTreeMap::new());
            for (name, value) in edits {
                if let Some(value) = value {
                    values.set(&name, &value);
                    map.insert(name, value);
                } else {
                    prop_assert_eq!(values.remove(&name), map.remove(&name));
                }
            }
            prop_assert_eq!(&values.to_map(), &map);
            prop_assert_eq!(values.len(), map.len());
            prop_assert_eq!(values.get("zip"), map.get("zip").map(String::as_str));
            prop_assert_eq!(format!("{values:?}"), format!("{map:?}"));
            prop_assert_eq!(&map.iter().rev().collect::<Values>(), &values);
            let text = serde_json::to_string(&values).unwrap();
            prop_assert_eq!(&text, &serde_json::to_string(&map).unwrap());
            prop_assert_eq!(serde_json::from_str::<Values>(&text).unwrap(), values);
        }
    }
}
