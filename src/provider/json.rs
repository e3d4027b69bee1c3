//! Reading the JSON of providers, whose types wobble: lenient about the form of a value (digits in
//! texts, 1 for yes) and strict about its presence.
//!
//! What is not understood is an error and never nothing. What only one provider does to a value
//! stays with that provider.
//!
//! The services print texts that look like numbers as numbers, of any length: a telephone number of
//! 24 digits, a group called `1e3` or `2024.10`. Their digits are kept as they stand, and never go
//! through a floating number.

mod document;
mod rows;
mod scan;

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::{Map, Value as Json};

use super::guess::{GUESS, mend_json};
use crate::http::DecodeError;

pub(super) use document::{Document, Place};
pub(super) use rows::{Row, Rows};

/// The longest answer, or row of a listing, that makes sense where all of it becomes values at once:
/// a thousand contacts with 64 KiB each. A listing may be longer, which is taken row by row from where
/// the answer is kept.
pub(super) const MAX_ANSWER: u64 = 64 * 1024 * 1024;
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

/// Reads a value that was left as it is printed.
fn read_value(printed: &[u8]) -> Result<Json, serde_json::Error> {
    mending(printed, |bytes| {
        serde_json::from_slice(&with_digits_as_text(bytes))
    })
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

/// Tells whether a value is there and no text can be made of it. It stands for something that is not
/// understood, and never for nothing: null, blank text and an empty list or object do, which is how
/// PHP writes nothing.
pub(super) fn is_odd(value: &Json) -> bool {
    let is_blank = match value {
        Json::Null => true,
        Json::String(text) => text.trim().is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        _ => false,
    };
    !is_blank && text(value).is_none()
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

    fn read(bytes: &[u8]) -> Result<Document, DecodeError> {
        Document::read(crate::http::Body::from_bytes(bytes))
    }

    fn rows_of(answer: &Document, place: Place) -> Vec<Row> {
        let mut rows = Vec::new();
        let taken = answer.each_row(place, |row| {
            rows.push(row);
            Ok(())
        });
        taken.unwrap();
        rows
    }

    #[test]
    fn what_is_taken_row_by_row_reads_as_if_it_was_not() {
        let bytes = br#"{"data":{"records":[{"name":2024.10},{"name":"\ud83d"},{"name":-0},{"name":1234567890123456789012}],"n":1},"ok":true}"#;
        for begin in [&b""[..], b"\xef\xbb\xbf", b" \r\n\t"] {
            let answer = read(&[begin, bytes].concat()).unwrap();
            assert_eq!(answer.names().collect::<Vec<_>>(), ["data", "ok"]);
            let data = answer.fields(answer.get("data").unwrap()).unwrap();
            assert_eq!(answer.value(data["n"]), Ok(1.into()));
            let rows = rows_of(&answer, data["records"]);
            assert_eq!(rows[0].fields["name"], "2024.10");
            let name = &rows[1].fields["name"];
            assert!(super::super::guess::is_guessed(name), "only that row");
            assert_eq!(rows[2].fields["name"], "-0");
            assert_eq!(rows[3].fields["name"], "1234567890123456789012");
            assert!(!data["n"].is_array() && !data["n"].is_object());
        }
        for broken in [
            &b""[..],
            b"\xef\xbb\xbf",
            b"<html>",
            b"502 Bad Gateway",
            b"[{\"a\":",
            b"{\"a\":[1,",
            b"{\"a\":[1,]}",
            b"{\"a\":1,}",
            b"{\"a\":1]",
            b"{\"a\" 1}",
            b"{a:1}",
            b"{\"a\":1}{}",
            b"{\"a\":1.}",
            b"{\"a\":01}",
            b"{\"a\":-}",
            b"{\"a\":1e}",
            b"{\"a\":nul}",
            b"{\"a\":\"\\x\"}",
            b"{\"a\":\"\\u12g4\"}",
            b"{\"a\":\"b}",
        ] {
            let error = read(broken).err();
            assert!(
                matches!(error, Some(DecodeError::NotAnAnswer(_))),
                "{} gives {error:?}",
                String::from_utf8_lossy(broken)
            );
        }
        for sound in [&b"[1]"[..], b"null", b"\"text\"", b"-0.5e+7 "] {
            assert!(matches!(read(sound), Err(DecodeError::Protocol(_))));
        }
        // A byte of another encoding spoils no other record either.
        let foreign = b"{\"data\":[{\"name\":\"Zo\xeb\"},{\"name\":\"Bo\"}]}";
        let foreign = read(foreign).unwrap();
        let rows = rows_of(&foreign, foreign.get("data").unwrap());
        assert!(super::super::guess::is_guessed(&rows[0].fields["name"]));
        assert_eq!(rows[1].fields["name"], "Bo");
    }

    #[test]
    fn a_row_that_is_too_much_shows_what_tells_which_it_is_and_no_more() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let long = "x".repeat(usize::try_from(MAX_ANSWER).unwrap());
        for (notes, inside) in [
            (deep.clone(), "can't be followed"),
            (format!("\"{long}\""), "is too long"),
        ] {
            let row = format!(
                r#"{{"deep":{notes},"ID":"7","Notes":"lost","email":"ana@example.org","name":{deep}}}"#
            );
            let body = format!(r#"{{"rows":[{{"id":1}},{row},{deep},{{"id":3}}],"last":9}}"#);
            let answer = read(body.as_bytes()).unwrap();
            let rows = rows_of(&answer, answer.get("rows").unwrap());
            let ids = |name| rows.iter().map(move |row| row.fields.get(name).cloned());
            let shown: Vec<_> = ids("id").flatten().collect();
            assert_eq!(shown, [1, 3], "{inside}");
            let odd = &rows[1].fields;
            assert_eq!(
                (&odd["ID"], &odd["email"]),
                (&"7".into(), &"ana@example.org".into())
            );
            assert!(!odd.contains_key("Notes") && text(&odd["name"]).is_none());
            assert!(odd.values().any(super::super::guess::is_guessed));
            assert!(rows[1].is_cut() && !rows[3].is_cut());
            assert!(rows[2].fields.is_empty());
            assert_eq!(answer.value(answer.get("last").unwrap()), Ok(9.into()));
        }
    }

    #[test]
    fn a_number_reads_as_the_text_that_it_was() {
        let fields = document(br#"{"name":2024.10,"id":12,"count":"7"}"#).unwrap();
        assert_eq!(text(&fields["name"]).as_deref(), Some("2024.10"));
        assert_eq!(text(&fields["id"]).as_deref(), Some("12"));
        assert_eq!(integer(&fields["count"]), Some(7));
    }
}
