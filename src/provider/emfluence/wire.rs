//! The JSON that emfluence takes and gives: pure, and tested from bytes.
//!
//! Types wobble on this wire (an empty text for nothing, 1 or true for yes, numbers for digits), so
//! reading is lenient about the form of a value and strict about its presence: an answer that is
//! not understood is an error and never an empty list.

pub(super) mod contacts;
pub(super) mod groups;
pub(super) mod paging;

use serde_json::{Map, Value as Json};

use crate::http::{Body, DecodeError, Effect, Refusal, Reply};
use crate::provider::json::{self, Document, Place, protocol};

/// The most rows of a page of groups/getContacts.
pub(super) const LISTING_ROWS: u64 = 1000;
/// The most rows of a page of a search; documented for groups and custom fields, assumed for
/// contacts.
pub(super) const SEARCH_ROWS: u64 = 250;
/// The most groups that groups/lookup takes.
pub(super) const LOOKUP_GROUPS: usize = 25;
/// The most rows that contacts/import takes.
pub(super) const IMPORT_ROWS: usize = 1000;
/// The most contacts that groups/addContacts and groups/removeContacts take.
pub(super) const MEMBERSHIP_ROWS: usize = 1000;

/// One request, before it has a token; without `Debug`, because bodies are never shown.
pub(super) struct Request {
    /// The resource and method, which is also the path.
    pub(super) operation: &'static str,
    /// Whether it changes anything.
    pub(super) effect: Effect,
    /// The parameters.
    pub(super) body: Json,
}

impl Request {
    pub(super) fn read(operation: &'static str, body: Json) -> Self {
        Request {
            operation,
            effect: Effect::Read,
            body,
        }
    }

    pub(super) fn write(operation: &'static str, body: Json) -> Self {
        Request {
            operation,
            effect: Effect::Write,
            body,
        }
    }
}

/// A favourable answer, out of its envelope.
pub(super) struct Answer {
    /// As it is kept: a listing is taken row by row.
    pub(super) document: Document,
    /// The provider's id of the request, for a support case.
    pub(super) request_id: Option<String>,
}

impl Answer {
    /// Returns the data of a call that must have some.
    pub(super) fn data(&self) -> Result<Json, DecodeError> {
        self.document.value(self.place()?)
    }

    /// Returns where the data is of a call that must have some.
    pub(super) fn place(&self) -> Result<Place, DecodeError> {
        envelope(&self.document, "data")
            .filter(|data| !data.is_null())
            .ok_or_else(|| protocol("the answer has no \"data\""))
    }

    /// Returns the data of a call that answers with one object.
    pub(super) fn object(&self) -> Result<Map<String, Json>, DecodeError> {
        match self.data()? {
            Json::Object(object) => Ok(object),
            _ => Err(protocol("\"data\" is not an object")),
        }
    }
}

/// Takes an answer out of its envelope, whatever the HTTP status said.
pub(super) fn answer(reply: &mut Reply) -> Result<Answer, DecodeError> {
    decode_answer(reply.body.take())
}

/// Takes an answer out of its envelope.
///
/// # Errors
/// `NotAnAnswer` for what is no whole JSON document, `Protocol` for JSON without a readable
/// `success`, `Refused` for a refusal.
pub(super) fn decode_answer(body: Body) -> Result<Answer, DecodeError> {
    let document = Document::read(body)?;
    let part = |name: &str| {
        let place = envelope(&document, name);
        place.map(|place| document.value(place)).transpose()
    };
    let success = part("success")?
        .as_ref()
        .and_then(flag)
        .ok_or_else(|| protocol("\"success\" is missing or neither 1 nor 0"))?;
    let request_id = part("requestID")?.as_ref().and_then(text);
    if success {
        return Ok(Answer {
            document,
            request_id,
        });
    }
    let code = part("code")?.as_ref().and_then(text);
    let words = part("errors")?
        .as_ref()
        .map(error_words)
        .unwrap_or_default();
    Err(DecodeError::Refused(Refusal::new(
        code.as_deref(),
        &words,
        request_id.as_deref(),
    )))
}

/// Finds a part of the envelope by name, also under another spelling of its case.
fn envelope(document: &Document, name: &str) -> Option<Place> {
    document.get(name).or_else(|| {
        let mut names = document.names();
        document.get(names.find(|key| key.eq_ignore_ascii_case(name))?)
    })
}

/// Finds a value by name, also under another spelling of its case; null counts as absent.
pub(super) fn field<'a>(object: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    object
        .get(name)
        .or_else(|| {
            object
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        })
        .filter(|value| !value.is_null())
}

/// Reads a text; the serialiser behind the API may have made a number or a boolean of it. Empty
/// means no value.
pub(super) fn text(value: &Json) -> Option<String> {
    match value {
        Json::Bool(flag) => Some(flag.to_string()),
        _ => json::text(value),
    }
}

/// Reads a whole number, also from digits in a text; empty and anything else mean no value.
pub(super) fn integer(value: &Json) -> Option<i64> {
    json::integer(value).or_else(|| {
        // A serialiser that knows only floating numbers writes 12.0, and comes as its digits.
        let text = value.as_str()?.trim();
        let (whole, fraction) = text.split_once('.')?;
        let is_zero = fraction.bytes().all(|digit| digit == b'0');
        whole.parse().ok().filter(|_| is_zero)
    })
}

/// Reads an id, which is a positive number.
pub(super) fn id(value: &Json) -> Option<i64> {
    integer(value).filter(|id| *id > 0)
}

/// Reads a count.
pub(super) fn count(value: &Json) -> Option<u64> {
    integer(value).and_then(|count| u64::try_from(count).ok())
}

/// Reads a boolean in any of its forms; nothing means unknown, which is not the same as no.
pub(super) fn flag(value: &Json) -> Option<bool> {
    match value {
        Json::Number(_) => json::flag(&integer(value)?.into()),
        _ => json::flag(value),
    }
}

/// Joins the provider's own words, which come as texts or as objects.
pub(super) fn error_words(errors: &Json) -> String {
    match errors {
        Json::Array(items) => items
            .iter()
            .map(error_words)
            .filter(|words| !words.is_empty())
            .collect::<Vec<_>>()
            .join("; "),
        Json::Object(error) => ["message", "error", "text"]
            .iter()
            .find_map(|name| field(error, name).and_then(text))
            .unwrap_or_else(|| errors.to_string()),
        other => text(other).unwrap_or_default(),
    }
}

/// Turns an id of the model back into the number that requests take.
pub(super) fn id_number(id: &str) -> Option<i64> {
    id.trim().parse().ok().filter(|id| *id > 0)
}
