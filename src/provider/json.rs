//! Reading the JSON of providers, whose types wobble: lenient about the form of a value (digits in
//! texts, 1 for yes) and strict about its presence.
//!
//! What is not understood is an error and never nothing. What only one provider does to a value
//! stays with that provider.
//!
//! The services print texts that look like numbers as numbers, of any length: a telephone number of
//! 24 digits, a group called `1e3` or `2024.10`. Their digits are kept as they stand, and never go
//! through a floating number.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::guess::{GUESS, mend_json};
use crate::http::DecodeError;

/// The longest answer that makes sense where all of it becomes values at once: a thousand contacts
/// with 64 KiB each.
pub(super) const MAX_ANSWER: u64 = 64 * 1024 * 1024;
/// The longest answer of a listing that is taken row by row, which needs memory for its bytes and for
/// one row.
pub(super) const MAX_LISTING: u64 = 1024 * 1024 * 1024;

/// The rows of a listing, and how many others there are: those without an id, of which nobody can
/// tell whom or what they stand for. They alone are left out, and the listing is not whole.
#[derive(Debug)]
pub(super) struct Rows<T> {
    pub(super) known: Vec<T>,
    pub(super) without_id: u64,
}

impl<T> Rows<T> {
    /// Counts all rows.
    pub(super) fn len(&self) -> usize {
        self.known.len() + usize::try_from(self.without_id).unwrap_or(usize::MAX)
    }

    /// Says that some rows are left out, if any are; `what` names them in the plural.
    pub(super) fn left_out(&self, what: &str) -> Option<String> {
        (self.without_id > 0).then(|| format!("some {what} have no id that can be read"))
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Rows {
            known: Vec::new(),
            without_id: 0,
        }
    }
}

impl<T> FromIterator<Option<T>> for Rows<T> {
    fn from_iter<I: IntoIterator<Item = Option<T>>>(rows: I) -> Self {
        let mut found = Rows::default();
        for row in rows {
            match row {
                Some(row) => found.known.push(row),
                None => found.without_id += 1,
            }
        }
        found
    }
}

/// Says that an answer breaks the rules of the API.
pub(super) fn protocol(what: impl Into<String>) -> DecodeError {
    DecodeError::Protocol(what.into())
}

/// Reads a whole answer, which has to be an object.
///
/// # Errors
/// `NotAnAnswer` for what is no whole JSON document, `Protocol` for one that is not an object.
pub(super) fn document(bytes: &[u8]) -> Result<Map<String, Json>, DecodeError> {
    let bytes = without_mark(bytes);
    let document = mending(bytes, |bytes| {
        serde_json::from_slice(&with_digits_as_text(bytes))
    });
    match document.map_err(|error| no_answer(bytes, &error))? {
        Json::Object(fields) => Ok(fields),
        _ => Err(protocol("the answer is not an object")),
    }
}

/// A whole answer, none of whose values is taken apart: a listing of any length needs no more memory
/// than its bytes, and as much again for a moment where some of them have to be mended.
pub(super) struct Document {
    bytes: Vec<u8>,
    /// Where each value of the object is printed.
    fields: BTreeMap<String, Range<usize>>,
}

impl Document {
    /// Reads an answer, which has to be an object.
    ///
    /// # Errors
    /// As for [`document`].
    pub(super) fn read(mut bytes: Vec<u8>) -> Result<Document, DecodeError> {
        let mark = bytes.len() - without_mark(&bytes).len();
        bytes.drain(..mark);
        let error = match Self::places(&bytes) {
            Ok(fields) => return Ok(Document { bytes, fields }),
            Err(error) => error,
        };
        if let Some(mended) = mend_json(&bytes)
            && let Ok(fields) = Self::places(&mended)
        {
            return Ok(Document {
                bytes: mended,
                fields,
            });
        }
        let is_json = serde_json::from_slice::<IgnoredAny>(&bytes).is_ok();
        Err(if error.is_data() && is_json {
            protocol("the answer is not an object")
        } else {
            no_answer(&bytes, &error)
        })
    }

    fn places(bytes: &[u8]) -> Result<BTreeMap<String, Range<usize>>, serde_json::Error> {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(bytes)?;
        let place = |value: &RawValue| {
            let start = value.get().as_ptr().addr() - bytes.as_ptr().addr();
            start..start + value.get().len()
        };
        let places = fields.into_iter();
        Ok(places.map(|(name, value)| (name, place(value))).collect())
    }

    /// Names what the answer holds.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Returns the value under a name, as it is printed.
    pub(super) fn get(&self, name: &str) -> Option<&RawValue> {
        let place = self.fields.get(name)?;
        serde_json::from_slice(&self.bytes[place.clone()]).ok()
    }
}

/// Takes an object apart into what is printed under each name; nothing for anything else.
pub(super) fn fields(value: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// Takes an array apart into what is printed of each item; nothing for anything else.
pub(super) fn items(value: &RawValue) -> Option<Vec<&RawValue>> {
    Vec::deserialize(&mut serde_json::Deserializer::from_str(value.get())).ok()
}

/// Reads a value that was left as it is printed.
///
/// # Errors
/// `NotAnAnswer` for what is no value after all, `Protocol` for one that is too long to be held with
/// all of its parts.
pub(super) fn value(printed: &RawValue) -> Result<Json, DecodeError> {
    let bytes = printed.get().as_bytes();
    if bytes.len() as u64 > MAX_ANSWER {
        return Err(protocol(format!(
            "{} MB came where no list is asked for",
            bytes.len() / 1_000_000
        )));
    }
    mending(bytes, |bytes| {
        serde_json::from_slice(&with_digits_as_text(bytes))
    })
    .map_err(|error| no_answer(bytes, &error))
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Reads bytes, mended where they can't be read otherwise: one text that can't be read spoils its own
/// record and no other.
fn mending<T>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
) -> Result<T, serde_json::Error> {
    read(bytes).or_else(|error| {
        mend_json(bytes)
            .and_then(|mended| read(&mended).ok())
            .ok_or(error)
    })
}

fn no_answer(bytes: &[u8], error: &serde_json::Error) -> DecodeError {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    DecodeError::NotAnAnswer(match first {
        None => "it is empty".to_owned(),
        Some(b'<') => "it is HTML or XML where JSON should be".to_owned(),
        Some(_) if error.is_eof() => "the JSON document is cut off".to_owned(),
        Some(_) => format!(
            "it is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ),
    })
}

/// Puts each number that is no whole number of 64 bits into quotes, so that it is read as the text
/// that it is printed as. What is no number stays, for the parser to refuse.
fn with_digits_as_text(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let mut quoted: Vec<u8> = Vec::new();
    // Up to here everything is in `quoted`, once something had to be changed.
    let mut taken = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_text(bytes, at),
            b'-' | b'0'..=b'9' => {
                let rest = &bytes[at..];
                let length = rest.iter().take_while(|byte| is_of_number(byte)).count();
                let number = &rest[..length];
                let is_number = serde_json::from_slice::<IgnoredAny>(number).is_ok();
                if is_number && serde_json::from_slice::<i64>(number).is_err() {
                    quoted.extend_from_slice(&bytes[taken..at]);
                    quoted.push(b'"');
                    quoted.extend_from_slice(number);
                    quoted.push(b'"');
                    taken = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    if taken == 0 {
        return Cow::Borrowed(bytes);
    }
    quoted.extend_from_slice(&bytes[taken..]);
    Cow::Owned(quoted)
}

/// Returns the position behind the text that begins at `at`.
fn end_of_text(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Takes a value that has to be an object; `what` names it in the error.
pub(super) fn object<'a>(
    value: &'a Json,
    what: &str,
) -> Result<&'a Map<String, Json>, DecodeError> {
    value
        .as_object()
        .ok_or_else(|| protocol(format!("{what} is not an object")))
}

/// Reads a text, also from a number; empty means no value.
pub(super) fn text(value: &Json) -> Option<String> {
    match value {
        // What was guessed is no value; whoever reads a record asks whether anything in it was.
        Json::String(text) if text.trim().is_empty() || text.contains(GUESS) => None,
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Reads a whole number, also from digits in a text; empty and anything else mean no value.
pub(super) fn integer(value: &Json) -> Option<i64> {
    match value {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Reads a boolean as itself, as 1 or 0, or as a text of these; nothing means unknown, which is not
/// the same as no.
pub(super) fn flag(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(flag) => Some(*flag),
        Json::Number(_) => match integer(value) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Json::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            // A serialiser that knows only floating numbers writes 1.0.
            "1" | "true" | "1.0" => Some(true),
            "0" | "false" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stay_as_they_are_printed() {
        for (given, expected) in [
            (r#"{"a":1e3}"#, r#"{"a":"1e3"}"#),
            (r#"{"a":[2024.10,-7,0]}"#, r#"{"a":["2024.10",-7,0]}"#),
            (
                r#"{"phone":123456789012345678901234,"b":1}"#,
                r#"{"phone":"123456789012345678901234","b":1}"#,
            ),
            (r#"{"a":1e999}"#, r#"{"a":"1e999"}"#),
            // What stands in a text is none of its business.
            (
                r#"{"1.5":"\"2.5\\","a":"3.5"}"#,
                r#"{"1.5":"\"2.5\\","a":"3.5"}"#,
            ),
        ] {
            let kept = with_digits_as_text(given.as_bytes());
            assert_eq!(String::from_utf8_lossy(&kept), expected);
            assert!(document(given.as_bytes()).is_ok(), "{given}");
        }
        // No number at all is for the parser to refuse.
        for broken in [r#"{"a":1.}"#, r#"{"a":01}"#, r#"{"a":--1}"#, r#"{"a":1e}"#] {
            assert!(document(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_is_left_as_printed_reads_as_if_it_was_not() {
        let bytes = br#"{"data":{"records":[{"name":2024.10},{"name":"\ud83d"}],"n":1},"ok":true}"#;
        let answer = Document::read(bytes.to_vec()).ok().unwrap();
        let data = fields(answer.get("data").unwrap()).unwrap();
        let read = |row: &&RawValue| value(row).unwrap()["name"].clone();
        let names: Vec<Json> = items(data["records"]).unwrap().iter().map(read).collect();
        assert_eq!(names[0], "2024.10");
        assert!(super::super::guess::is_guessed(&names[1]), "only that row");
        assert!(fields(data["n"]).is_none() && items(data["n"]).is_none());
        for broken in [
            &b""[..],
            b"<html>",
            b"502 Bad Gateway",
            b"[{\"a\":",
            b"{\"a\":[1,",
            b"{\"a\":1}{}",
            b"{\"a\":1.}",
        ] {
            let error = Document::read(broken.to_vec()).err();
            assert!(
                matches!(error, Some(DecodeError::NotAnAnswer(_))),
                "{error:?}"
            );
        }
        let list = Document::read(b"[1]".to_vec());
        assert!(matches!(list, Err(DecodeError::Protocol(_))));
        // A byte of another encoding spoils no other record either.
        let foreign = b"{\"data\":[{\"name\":\"Zo\xeb\"},{\"name\":\"Bo\"}]}".to_vec();
        let foreign = Document::read(foreign).ok().unwrap();
        let rows = items(foreign.get("data").unwrap()).unwrap();
        assert!(super::super::guess::is_guessed(&value(rows[0]).unwrap()));
        assert_eq!(value(rows[1]).unwrap()["name"], "Bo");
    }

    #[test]
    fn a_number_reads_as_the_text_that_it_was() {
        let fields = document(br#"{"name":2024.10,"id":12,"count":"7"}"#).unwrap();
        assert_eq!(text(&fields["name"]).as_deref(), Some("2024.10"));
        assert_eq!(text(&fields["id"]).as_deref(), Some("12"));
        assert_eq!(integer(&fields["count"]), Some(7));
    }
}
