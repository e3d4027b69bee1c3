//! Typed field values and the records that hold them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use compact_str::CompactString;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Unexpected, Visitor};

/// One field's value. Absence is not a value: a [`Record`] leaves the key out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Text, never trimmed or parsed: a zip code keeps its zeros.
    Text(CompactString),
    /// Several texts, order without meaning.
    List(Vec<String>),
}

impl Value {
    /// Tells whether the value counts as nothing: an empty text or list.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Boolean(_) | Value::Integer(_) => false,
        }
    }

    /// Returns the text, where the value is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the value in words, as it is shown.
    pub fn words(&self) -> Cow<'_, str> {
        match self {
            Value::Text(text) => Cow::from(text.as_str()),
            other => Cow::from(other.to_string()),
        }
    }

    /// Returns the truth value, where the value is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(flag) => Some(*flag),
            _ => None,
        }
    }
}

/// By hand: asking one variant after the other makes an error, and words for it, of every text.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(OfAnyKind)
    }
}

struct OfAnyKind;

impl<'de> Visitor<'de> for OfAnyKind {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a yes or no, a whole number, a text, or a list of texts")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Boolean(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number)
            .map(Value::Integer)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

impl From<CompactString> for Value {
    fn from(text: CompactString) -> Self {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Boolean(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(flag) => write!(f, "{flag}"),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::List(items) => f.write_str(&items.join(",")),
        }
    }
}

/// Values by field name, in the order of the names. A missing key means "no value".
///
/// The names are a provider's own (`groupName`, `custom.custom3`) or canonical ones (`name`,
/// `custom.Shoe size`); which of the two is said wherever a record is kept. Names and short texts
/// stand in the record itself: there are dozens of each person, several times over.
pub type Record = BTreeMap<CompactString, Value>;

/// A 64-bit fingerprint of a record, for telling "as before" without keeping the values.
pub type RowHash = u64;

/// Fingerprints a record under a salt (the settled mapping), so that a changed mapping looks like a
/// changed row.
pub fn row_hash(salt: &str, record: &Record) -> RowHash {
    // Hashed as a whole: of many short pieces each would cost more than all of them together.
    let mut bytes = Vec::with_capacity(1024);
    put(&mut bytes, salt);
    for (field, value) in record {
        if value.is_empty() {
            continue;
        }
        put(&mut bytes, field);
        let (tag, text) = match value {
            Value::Boolean(flag) => (b'b', Cow::from(flag.to_string())),
            Value::Integer(number) => (b'i', Cow::from(number.to_string())),
            Value::Text(text) => (b't', Cow::from(text.as_str())),
            Value::List(items) => (b'l', Cow::from(items.join("\u{1f}"))),
        };
        bytes.push(tag);
        put(&mut bytes, &text);
    }
    let hash = blake3::hash(&bytes);
    u64::from_le_bytes(
        hash.as_bytes()[..8]
            .try_into()
            .expect("a hash has 32 bytes"),
    )
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_as_it_was_written() {
        for (json, value) in [
            ("true", Value::from(true)),
            ("-7", Value::from(-7)),
            ("\"007\"", Value::from("007")),
            (
                "[\"a\",\"\\u00e9\"]",
                Value::List(vec!["a".to_owned(), "\u{e9}".to_owned()]),
            ),
        ] {
            assert_eq!(serde_json::from_str::<Value>(json).unwrap(), value);
        }
        for json in ["null", "1.5", "{}", "[1]", "18446744073709551615"] {
            assert!(serde_json::from_str::<Value>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_hash_is_the_one_that_databases_remember() {
        let record = Record::from([
            ("firstName".into(), Value::from("Ana")),
            ("lists".into(), Value::List(vec!["1".into(), "2".into()])),
            (
                "notes".into(),
                Value::from("longer than what stands in the record itself"),
            ),
            ("phone".into(), Value::from("")),
            ("score".into(), Value::Integer(-7)),
            ("vip".into(), Value::Boolean(true)),
        ]);
        assert_eq!(row_hash("salt", &record), 10_570_017_236_492_726_747);
    }

    #[test]
    fn a_hash_tells_values_and_fields_apart() {
        let record = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(field, text)| ((*field).into(), Value::from(*text)))
                .collect::<Record>()
        };
        let plain = row_hash("", &record(&[("a", "1"), ("b", "2")]));
        assert_ne!(plain, row_hash("", &record(&[("a", "12"), ("b", "")])));
        assert_ne!(plain, row_hash("", &record(&[("a", "2"), ("b", "1")])));
        assert_ne!(
            plain,
            row_hash("other mapping", &record(&[("a", "1"), ("b", "2")]))
        );
        assert_eq!(
            plain,
            row_hash("", &record(&[("a", "1"), ("b", "2"), ("c", "")])),
            "an empty value is no value"
        );
    }
}
