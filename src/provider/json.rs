//! Reading the JSON of providers, whose types wobble: lenient about the form of a value (digits in
//! texts, 1 for yes) and strict about its presence.
//!
//! What is not understood is an error and never nothing. What only one provider does to a value
//! stays with that provider.

use serde_json::{Map, Value as Json};

use super::guess::{GUESS, mend_json};
use crate::http::DecodeError;

/// The longest answer that makes sense: a thousand contacts with 64 KiB each.
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
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let document = serde_json::from_slice(bytes).or_else(|error| {
        // One text that can't be read spoils its own record and no other.
        mend_json(bytes)
            .and_then(|mended| serde_json::from_slice(&mended).ok())
            .ok_or(error)
    });
    let document = document.map_err(|error: serde_json::Error| {
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
    })?;
    match document {
        Json::Object(fields) => Ok(fields),
        _ => Err(protocol("the answer is not an object")),
    }
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
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}
