//! The bulk importer: the only write that leaves automations out and can't subscribe anybody again.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::contacts::{find, settable};
use super::lists::Definition;
use super::{error_words, text_of, v3_read, v3_write};
use crate::http::{Call, CallBody, DecodeError, Lane, Method, Refusal};
use crate::model::Record;
use crate::provider::json::{integer, protocol, text};

/// The most contacts of one import.
pub(in super::super) const MOST_ROWS: usize = 250;
/// The longest body in bytes.
pub(in super::super) const MOST_BYTES: usize = 399_999;
/// From so many people on, the importer takes fewer requests than a form for each.
pub(in super::super) const WORTHWHILE: usize = 10;

/// The budget of imports of several contacts.
const MANY: Lane = Lane {
    name: "import",
    requests_per_minute: 100,
};
/// The budget of imports of one.
const ONE: Lane = Lane {
    name: "import of one",
    requests_per_minute: 20,
};

/// One contact of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct ImportRow<'a> {
    /// The address.
    pub(in super::super) address: &'a str,
    /// The profile, of which empty values are left out.
    pub(in super::super) fields: Option<&'a Record>,
    /// The lists to join.
    pub(in super::super) subscribe: Vec<u64>,
    /// The lists to leave.
    pub(in super::super) unsubscribe: Vec<u64>,
}

/// Writes an import; too long ones are refused with their length.
pub(in super::super) fn import(
    rows: &[ImportRow<'_>],
    definitions: &[Definition],
) -> Result<Call, usize> {
    let contacts: Vec<Json> = rows.iter().map(|row| contact(row, definitions)).collect();
    let mut call = v3_write(
        "import/bulk_import",
        Method::Post,
        "import/bulk_import",
        &json!({"contacts": contacts}),
    );
    call.lane = Some(if rows.len() == 1 { ONE } else { MANY });
    match &call.body {
        CallBody::Json(body) if body.len() > MOST_BYTES => Err(body.len()),
        _ => Ok(call),
    }
}

fn contact(row: &ImportRow<'_>, definitions: &[Definition]) -> Json {
    let mut contact = Map::new();
    contact.insert("email".to_owned(), json!(row.address));
    let mut custom = Vec::new();
    for (name, value) in row
        .fields
        .into_iter()
        .flat_map(settable)
        .filter(|(_, value)| !value.is_empty())
    {
        match name.strip_prefix("custom.") {
            Some(tag) => custom.extend(
                find(definitions, tag)
                    .map(|field| json!({"id": field.id, "value": value.to_string()})),
            ),
            None => drop(contact.insert(name.to_string(), json!(value.to_string()))),
        }
    }
    if !custom.is_empty() {
        contact.insert("fields".to_owned(), Json::Array(custom));
    }
    for (key, lists) in [
        ("subscribe", &row.subscribe),
        ("unsubscribe", &row.unsubscribe),
    ] {
        if !lists.is_empty() {
            contact.insert(
                key.to_owned(),
                lists.iter().map(|list| json!({"listid": list})).collect(),
            );
        }
    }
    contact.insert("exclude_automations".to_owned(), json!(true));
    Json::Object(contact)
}

/// Decodes the answer to an import into the id of the batch; its media type is wrong, and its keys
/// vary in case.
pub(in super::super) fn queued(fields: &Map<String, Json>) -> Result<String, DecodeError> {
    let keys: BTreeMap<String, &Json> = fields
        .iter()
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .collect();
    let success = keys
        .get("success")
        .and_then(|value| super::flag(value))
        .ok_or_else(|| protocol("an import does not say whether it was queued"))?;
    if !success {
        return Err(DecodeError::Refused(Refusal::new(
            None,
            &error_words(fields),
            None,
        )));
    }
    keys.get("batchid")
        .and_then(|id| text(id))
        .ok_or_else(|| protocol("a queued import has no \"batchId\""))
}

/// Asks how an import went.
pub(in super::super) fn info(batch: &str) -> Call {
    v3_read(
        "import/info",
        "import/info",
        vec![("batchId".to_owned(), batch.to_owned())],
    )
}

/// How an import stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Progress {
    /// It goes on.
    Running,
    /// It is over, and these addresses were not taken; nothing for one that can't be read, which may
    /// be anybody's.
    Completed(Vec<Option<String>>),
    /// It ended before its end, so nothing is known of its rows.
    Broken,
}

/// Decodes the answer to [`info`]. In the first second the status is `false`.
pub(in super::super) fn progress(fields: &Map<String, Json>) -> Result<Progress, DecodeError> {
    let status = match fields.get("status") {
        Some(Json::Bool(false)) => return Ok(Progress::Running),
        Some(status) => text(status).unwrap_or_default().to_ascii_lowercase(),
        None => return Err(protocol("an import does not say how it stands")),
    };
    match status.as_str() {
        "waiting" | "claimed" | "active" => Ok(Progress::Running),
        "completed" => match fields.get("failure") {
            None | Some(Json::Null) => Ok(Progress::Completed(Vec::new())),
            Some(Json::Array(failed)) => Ok(Progress::Completed(
                failed
                    .iter()
                    .map(|failed| text(failed).or_else(|| text_of(failed.as_object()?, "email")))
                    .collect(),
            )),
            Some(_) => Err(protocol("the failures of an import are not an array")),
        },
        "failed" | "interrupted" => Ok(Progress::Broken),
        _ => Err(protocol("an import stands in a way that nobody documents")),
    }
}

/// Asks what imports are still to be done.
pub(in super::super) fn totals() -> Call {
    v3_read("import/totals", "import/bulk_import", Vec::new())
}

/// Tells whether any import is still to be done. What is not understood counts as one.
pub(in super::super) fn is_outstanding(fields: &Map<String, Json>) -> Result<bool, DecodeError> {
    fields
        .get("outstanding")
        .map(counts_something)
        .ok_or_else(|| protocol("the totals of imports do not say what is outstanding"))
}

fn counts_something(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Array(items) => items.iter().any(counts_something),
        Json::Object(fields) if fields.is_empty() => false,
        Json::Object(fields) => {
            let counts: Vec<&Json> = fields
                .iter()
                .filter(|(key, _)| !names_a_day(key))
                .map(|(_, value)| value)
                .collect();
            counts.is_empty() || counts.into_iter().any(counts_something)
        }
        other => integer(other) != Some(0),
    }
}

fn names_a_day(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("day") || key.contains("date") || key.contains("time")
}
