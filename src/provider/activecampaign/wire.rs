//! What ActiveCampaign takes and gives on its two interfaces: pure, and tested from bytes.
//!
//! Version 1 takes forms at one address and answers with flat objects; version 3 is JSON both ways.
//! Types wobble on both (digits in texts, `[]` for an empty object), so reading is lenient about
//! the form of a value and strict about its presence.

pub(super) mod contacts;
pub(super) mod groups;
pub(super) mod import;
pub(super) mod lists;
pub(super) mod users;
mod values;

use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::http::{Body, Call, CallBody, DecodeError, FormValue, Method, Refusal, Reply};
use crate::provider::json::{self, Document, Place, Row, Rows, integer, protocol, text};

/// The most rows of a page of version 3.
pub(super) const PAGE_ROWS: u64 = 100;
/// The address of version 1.
const V1: &str = "admin/api.php";
/// The statuses of version 3 whose body says what is wrong.
const TOLD: &[u16] = &[400, 403, 404, 422];

/// Makes a reading call of version 1, whose parameters stand in the address.
pub(super) fn v1_read(action: &'static str, parameters: &[(&str, String)]) -> Call {
    let mut call = Call::read(action, Method::Get, V1);
    call.query = v1_query(action, parameters);
    call.forbidden_is_spurious = true;
    call
}

/// Makes a deleting call of version 1, which is a GET and changes something all the same.
pub(super) fn v1_delete(action: &'static str, parameters: &[(&str, String)]) -> Call {
    let mut call = Call::write(action, Method::Get, V1);
    call.query = v1_query(action, parameters);
    call.forbidden_is_spurious = true;
    call
}

/// Makes a writing call of version 1, with a form.
pub(super) fn v1_write(action: &'static str, form: Vec<(String, String)>) -> Call {
    let mut call = Call::write(action, Method::Post, V1);
    call.query = v1_query(action, &[]);
    call.body = CallBody::Form(
        form.into_iter()
            .map(|(name, value)| (name, FormValue::Plain(value)))
            .collect(),
    );
    call.forbidden_is_spurious = true;
    call
}

fn v1_query(action: &str, parameters: &[(&str, String)]) -> Vec<(String, String)> {
    let mut query = vec![
        ("api_action".to_owned(), action.to_owned()),
        ("api_output".to_owned(), "json".to_owned()),
    ];
    query.extend(
        parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone())),
    );
    query
}

/// Makes a reading call of version 3.
pub(super) fn v3_read(operation: &'static str, path: &str, query: Vec<(String, String)>) -> Call {
    let mut call = Call::read(operation, Method::Get, format!("api/3/{path}"));
    call.query = query;
    call.forbidden_is_spurious = true;
    call.decoded_statuses = TOLD;
    call
}

/// Makes a writing call of version 3.
pub(super) fn v3_write(operation: &'static str, method: Method, path: &str, body: &Json) -> Call {
    let mut call = Call::write(operation, method, format!("api/3/{path}"));
    call.body = CallBody::Json(body.to_string().into_bytes());
    call.forbidden_is_spurious = true;
    call.decoded_statuses = TOLD;
    call
}

/// Makes a query of pairs.
pub(super) fn query(pairs: &[(&str, String)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

/// A favourable answer of version 1, or the one that stands for nothing found.
pub(super) enum V1Answer<T> {
    /// What came beside the three keys of the envelope.
    Something(T),
    /// A refusal without any data: nothing there, nothing to be seen with this key, or a key that
    /// is no good.
    Empty(Refusal),
}

/// Takes an answer of version 1 out of its envelope.
pub(super) fn v1_answer(reply: &mut Reply) -> Result<V1Answer<Map<String, Json>>, DecodeError> {
    decode_v1(&reply.body.bytes_capped(json::MAX_ANSWER)?)
}

/// Takes a listing of version 1 out of its envelope, none of whose rows is taken apart.
pub(super) fn v1_listing(reply: &mut Reply) -> Result<V1Answer<Document>, DecodeError> {
    decode_v1_listing(reply.body.take())
}

/// Takes an answer of version 1 out of its envelope.
///
/// # Errors
/// `NotAnAnswer` for what is no whole JSON document, `Protocol` without a readable result, `Denied`
/// where the text names a missing right, `Refused` for a refusal that comes with data.
pub(super) fn decode_v1(bytes: &[u8]) -> Result<V1Answer<Map<String, Json>>, DecodeError> {
    let mut fields = json::document(bytes)?;
    let code = fields
        .remove("result_code")
        .or_else(|| fields.remove("succeeded"));
    let message = fields
        .remove("result_message")
        .or_else(|| fields.remove("message"));
    fields.remove("result_output");
    let is_bare = fields.is_empty();
    judged(code, message, is_bare, fields)
}

/// Takes a listing of version 1 out of its envelope.
///
/// # Errors
/// As for [`decode_v1`].
pub(super) fn decode_v1_listing(body: Body) -> Result<V1Answer<Document>, DecodeError> {
    let answer = Document::read(body)?;
    let mut envelope = vec!["result_output"];
    let mut shown = |name, other| {
        let name = if answer.get(name).is_some() {
            name
        } else {
            other
        };
        envelope.push(name);
        answer
            .get(name)
            .map(|place| answer.value(place))
            .transpose()
    };
    let code = shown("result_code", "succeeded")?;
    let message = shown("result_message", "message")?;
    let is_bare = answer.names().all(|name| envelope.contains(&name));
    judged(code, message, is_bare, answer)
}

/// Judges what the envelope of version 1 says of what came in it. A refusal that comes with nothing
/// else stands for nothing found.
fn judged<T>(
    code: Option<Json>,
    message: Option<Json>,
    is_bare: bool,
    found: T,
) -> Result<V1Answer<T>, DecodeError> {
    let success = code
        .as_ref()
        .and_then(flag)
        .ok_or_else(|| protocol("\"result_code\" is missing or neither 1 nor 0"))?;
    if success {
        return Ok(V1Answer::Something(found));
    }
    let words = message.as_ref().and_then(text).unwrap_or_default();
    if speaks_of_rights(&words) {
        return Err(DecodeError::Denied(words));
    }
    let refusal = Refusal::new(None, &words, None);
    if is_bare {
        Ok(V1Answer::Empty(refusal))
    } else {
        Err(DecodeError::Refused(refusal))
    }
}

/// Takes the answer to a write of version 1 out of its envelope: a refusal without data is one all
/// the same.
pub(super) fn v1_done(reply: &mut Reply) -> Result<Map<String, Json>, DecodeError> {
    match v1_answer(reply)? {
        V1Answer::Something(fields) => Ok(fields),
        V1Answer::Empty(refusal) => Err(DecodeError::Refused(refusal)),
    }
}

/// Only the English texts are known; where another language is set, a look at the key's own user
/// settles the doubt.
fn speaks_of_rights(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("not authorized") || words.contains("do not have permission")
}

/// Decodes the rows of a listing of version 1, which stand under numbers beside the envelope, in
/// their order and one at a time. A row of which `decode` makes nothing has no id.
pub(super) fn numbered_rows<T>(
    answer: &Document,
    mut decode: impl FnMut(&Row) -> Result<Option<T>, DecodeError>,
) -> Result<Rows<T>, DecodeError> {
    let numbered = |name: &str| Some((name.parse::<u64>().ok()?, answer.get(name)?));
    let mut places: Vec<(u64, Place)> = answer.names().filter_map(numbered).collect();
    places.sort_by_key(|(number, _)| *number);
    // An answer that found something has rows; anything else was not understood.
    if places.is_empty() {
        return Err(protocol("a listing that found something has no rows"));
    }
    let mut rows = Rows::default();
    for (_, place) in places {
        let row = answer.row(place)?;
        rows.take(&row, decode(&row)?);
    }
    Ok(rows)
}

/// Returns the object that a view of version 1 shows, which some answers hold as a row of its own.
pub(super) fn viewed(fields: &Map<String, Json>) -> Result<&Map<String, Json>, DecodeError> {
    if fields.contains_key("id") {
        return Ok(fields);
    }
    let rows = fields.iter();
    let rows = rows.filter_map(|(name, row)| Some((name.parse::<u64>().ok()?, row)));
    let (_, first) = rows
        .min_by_key(|(number, _)| *number)
        .ok_or_else(|| protocol("a view that found something shows nothing"))?;
    json::object(first, "what a view shows")
}

/// Decodes an answer of version 3.
///
/// # Errors
/// As for version 1, by the HTTP status instead of an envelope; `Throttled` for the words that the
/// importer has for it.
pub(super) fn v3_answer(reply: &mut Reply) -> Result<Map<String, Json>, DecodeError> {
    let bytes = reply.body.bytes_capped(json::MAX_ANSWER)?;
    decode_v3(reply.status, &bytes)
}

/// Takes an answer of version 3 of which no value is taken apart, for a page of any length.
pub(super) fn v3_page(reply: &mut Reply) -> Result<Document, DecodeError> {
    if (200..300).contains(&reply.status) {
        return Document::read(reply.body.take());
    }
    let bytes = reply.body.bytes_capped(json::MAX_ANSWER)?;
    Err(refused_v3(reply.status, &bytes))
}

/// Finds the rows of a page of version 3; nothing where the page has no such name.
pub(super) fn rows_under(page: &Document, name: &str) -> Result<Option<Place>, DecodeError> {
    match page.get(name) {
        Some(rows) if !rows.is_array() => Err(protocol(format!("\"{name}\" is not an array"))),
        rows => Ok(rows),
    }
}

/// Decodes the rows of a page of version 3, one at a time, with the total. A row of which `decode`
/// makes nothing has no id.
pub(super) fn page_rows<T>(
    page: &Document,
    name: &str,
    decode: impl Fn(&Map<String, Json>) -> Option<T>,
) -> Result<(Rows<T>, Option<u64>), DecodeError> {
    let place =
        rows_under(page, name)?.ok_or_else(|| protocol(format!("\"{name}\" is missing")))?;
    let mut rows = Rows::default();
    page.each_row(place, |row| {
        rows.take(&row, decode(&row.fields));
        Ok(())
    })?;
    Ok((rows, page_total(page)?))
}

/// Reads the total of a page of version 3 that is taken row by row.
pub(super) fn page_total(page: &Document) -> Result<Option<u64>, DecodeError> {
    let meta = page.get("meta").map(|meta| page.value(meta)).transpose()?;
    Ok(meta.as_ref().and_then(total_of))
}

/// Decodes an answer of version 3 that came with a status.
pub(super) fn decode_v3(status: u16, bytes: &[u8]) -> Result<Map<String, Json>, DecodeError> {
    if (200..300).contains(&status) {
        return json::document(bytes);
    }
    Err(refused_v3(status, bytes))
}

/// Says what an answer means that came with the status of an error.
fn refused_v3(status: u16, bytes: &[u8]) -> DecodeError {
    let words = json::document(bytes)
        .map(|fields| error_words(&fields))
        .unwrap_or_default();
    if words.to_ascii_lowercase().contains("rate limit exceeded") {
        return DecodeError::Throttled {
            after: Some(Duration::from_secs(5)),
        };
    }
    if status == 403 {
        return DecodeError::Denied(if words.is_empty() {
            "HTTP status 403".to_owned()
        } else {
            words
        });
    }
    DecodeError::Refused(Refusal::new(Some(&format!("HTTP {status}")), &words, None))
}

fn error_words(fields: &Map<String, Json>) -> String {
    let mut words: Vec<String> = fields.get("message").and_then(text).into_iter().collect();
    for error in fields
        .get("errors")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        let title = error.as_object().map_or_else(
            || text(error),
            |error| {
                ["title", "detail"]
                    .iter()
                    .find_map(|name| text(error.get(*name)?))
            },
        );
        words.extend(title);
    }
    for reason in fields
        .get("failureReasons")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        let said = match reason.as_object() {
            Some(reason) => reason.get("failureReason").and_then(text),
            None => text(reason),
        };
        words.extend(said.filter(|said| !words.contains(said)));
    }
    words.join("; ")
}

/// Returns an array that has to be there.
pub(super) fn array<'a>(
    fields: &'a Map<String, Json>,
    name: &str,
) -> Result<&'a Vec<Json>, DecodeError> {
    fields
        .get(name)
        .and_then(Json::as_array)
        .ok_or_else(|| protocol(format!("\"{name}\" is missing or not an array")))
}

/// Returns the values of an object, or none for the empty array that PHP makes of an empty object.
pub(super) fn entries(value: &Json) -> Vec<(&str, &Json)> {
    match value {
        Json::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect(),
        Json::Array(items) => items.iter().map(|value| ("", value)).collect(),
        _ => Vec::new(),
    }
}

/// Reads the total of a page of version 3.
pub(super) fn total(fields: &Map<String, Json>) -> Option<u64> {
    total_of(fields.get("meta")?)
}

fn total_of(meta: &Json) -> Option<u64> {
    meta.get("total").and_then(count)
}

/// Reads a text field of an object.
pub(super) fn text_of(fields: &Map<String, Json>, name: &str) -> Option<String> {
    fields.get(name).and_then(text)
}

/// Reads a count.
pub(super) fn count(value: &Json) -> Option<u64> {
    integer(value).and_then(|number| u64::try_from(number).ok())
}

/// Reads an id, which is a positive number.
pub(super) fn id(value: &Json) -> Option<u64> {
    count(value).filter(|id| *id > 0)
}

/// Reads an id field of an object.
pub(super) fn id_of(fields: &Map<String, Json>, name: &str) -> Option<u64> {
    fields.get(name).and_then(id)
}

/// Reads a boolean in any of its forms, also a ticked box; nothing means unknown.
pub(super) fn flag(value: &Json) -> Option<bool> {
    match value {
        Json::String(text) if text.trim().eq_ignore_ascii_case("on") => Some(true),
        _ => json::flag(value),
    }
}

/// Turns an id of the model back into the number that requests take.
pub(super) fn id_number(id: &str) -> Option<u64> {
    id.trim().parse().ok().filter(|id| *id > 0)
}
