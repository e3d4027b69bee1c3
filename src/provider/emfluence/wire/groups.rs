//! Groups on the wire: listing, look-up, saving, and the changes of their members by id.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::paging::{Bare, Page, page};
use super::{
    Answer, LISTING_ROWS, Request, SEARCH_ROWS, count, error_words, field, flag, id, text,
};
use crate::http::{DecodeError, Refusal};
use crate::model::{GroupKind, GroupRow, GroupStatus, ItemOutcome, Record, Unread, Value};
use crate::provider::guess::{is_guessed, shown, unread};
use crate::provider::json::{object, protocol};

/// Asks for a page of all groups, archived ones included, in the order of their ids.
pub(in super::super) fn search_all(page: u64, rows: u64) -> Request {
    Request::read(
        "groups/search",
        json!({"status": "All", "sortField": "groupID", "sortDirection": "asc", "page": page, "rpp": rows.min(SEARCH_ROWS)}),
    )
}

/// Asks whether a group exists: the shape of "not found" is documented for searches only.
pub(in super::super) fn search_one(group: i64) -> Request {
    Request::read(
        "groups/search",
        json!({"groupIDs": [group], "status": "All"}),
    )
}

/// Asks for the full objects of several groups.
pub(in super::super) fn lookup(groups: &[i64]) -> Request {
    Request::read("groups/lookup", json!({"groupIDs": groups}))
}

/// Asks for a page of a static group's members, opted out or not; `suppressed` asks for one kind
/// only.
pub(in super::super) fn get_contacts(
    group: i64,
    page: u64,
    rows: u64,
    suppressed: Option<bool>,
) -> Request {
    let mut body = json!({"groupID": group, "page": page, "rpp": rows.min(LISTING_ROWS)});
    if let Some(suppressed) = suppressed {
        body["suppressed"] = json!(i32::from(suppressed));
    }
    Request::read("groups/getContacts", body)
}

/// Puts contacts into a group.
pub(in super::super) fn add_contacts(group: i64, contacts: &[i64]) -> Request {
    Request::write(
        "groups/addContacts",
        json!({"groupID": group, "contactIDs": contacts}),
    )
}

/// Takes contacts out of a group.
pub(in super::super) fn remove_contacts(group: i64, contacts: &[i64]) -> Request {
    Request::write(
        "groups/removeContacts",
        json!({"groupID": group, "contactIDs": contacts}),
    )
}

/// Deletes a group.
pub(in super::super) fn delete(group: i64) -> Request {
    Request::write("groups/delete", json!({"groupID": group}))
}

/// Saves a group: a new one without an id, an existing one with it.
pub(in super::super) fn save(group: Option<i64>, fields: &Record) -> Request {
    let mut body = Map::new();
    for (name, value) in fields {
        body.insert(name.to_string(), parameter(value));
    }
    if let Some(group) = group {
        body.insert("groupID".to_owned(), json!(group));
    }
    Request::write("groups/save", Json::Object(body))
}

/// Writes a value as the API takes it: booleans as 1 and 0.
fn parameter(value: &Value) -> Json {
    match value {
        Value::Boolean(flag) => json!(i32::from(*flag)),
        Value::Integer(number) => json!(number),
        Value::Text(text) => json!(text),
        // The service's ids are numbers.
        Value::List(items) => items
            .iter()
            .map(|item| item.parse::<i64>().map_or_else(|_| json!(item), Json::from))
            .collect(),
    }
}

/// Decodes a page of groups/search, whose records are summaries.
pub(in super::super) fn summaries(answer: &Answer) -> Result<Page<GroupRow>, DecodeError> {
    page(answer, Bare::Refused, |record| group(record, false))
}

/// Decodes the array that groups/lookup gives for several ids.
pub(in super::super) fn details(answer: &Answer) -> Result<Vec<GroupRow>, DecodeError> {
    let data = &answer.data()?;
    // Where none of the groups is found, an empty object may stand for the empty array.
    if data.as_object().is_some_and(Map::is_empty) {
        return Ok(Vec::new());
    }
    let records = data
        .as_array()
        .ok_or_else(|| protocol("the look-up of several groups is not answered with an array"))?;
    let no_id = || protocol("a group has no \"groupID\"");
    records
        .iter()
        .map(|record| group(object(record, "a group")?, true).ok_or_else(no_id))
        .collect()
}

/// Decodes the full object that groups/save gives.
pub(in super::super) fn saved(answer: &Answer) -> Result<GroupRow, DecodeError> {
    group(&answer.object()?, true).ok_or_else(|| protocol("a group has no \"groupID\""))
}

/// Decodes a group; nothing where it has no id.
fn group(record: &Map<String, Json>, full: bool) -> Option<GroupRow> {
    let group = field(record, "groupID").and_then(id)?;
    let name = field(record, "groupName").and_then(|name| text(name).or_else(|| shown(name)));
    let shown_name = name.as_ref().and(field(record, "groupName"));
    let is_all = field(record, "groupName")
        .and_then(text)
        .is_some_and(|name| name.trim().eq_ignore_ascii_case("all"));
    let kind_word = field(record, "type").and_then(text);
    let kind = match kind_word.as_deref().map(str::trim) {
        // "All" is built in; everybody is in it and nobody can be taken out.
        _ if is_all => GroupKind::BuiltIn,
        // Older answers leave the type out.
        None => GroupKind::Static,
        Some(word) if word.eq_ignore_ascii_case("static") => GroupKind::Static,
        // A kind that is not known is not to be written to, like a dynamic one.
        Some(_) => GroupKind::Dynamic,
    };
    let status_word = field(record, "status").and_then(text);
    let status = match status_word.as_deref().map(str::trim) {
        None => GroupStatus::Active,
        Some(word) if word.eq_ignore_ascii_case("active") => GroupStatus::Active,
        Some(_) => GroupStatus::Archived,
    };
    let member_count = field(record, "totalMembers").and_then(count);
    let protected = field(record, "protected").and_then(flag);

    let mut wire = Record::new();
    wire.insert("groupID".into(), Value::from(group.to_string()));
    wire.insert("groupName".into(), Value::from(name.unwrap_or_default()));
    for name in [
        "friendlyName",
        "description",
        "externalID",
        "notes",
        "status",
        "type",
        "userID",
        "autoResponseEmailID",
        "dateAdded",
        "dateModified",
        "dateLastEmailSent",
    ] {
        if let Some(text) = field(record, name).and_then(text) {
            wire.insert(name.into(), Value::from(text));
        }
    }
    for name in ["protected", "private", "sendTests"] {
        if let Some(flag) = field(record, name).and_then(flag) {
            wire.insert(name.into(), Value::Boolean(flag));
        }
    }
    if let Some(users) = field(record, "userIDs").and_then(Json::as_array) {
        let users: BTreeSet<i64> = users.iter().filter_map(id).collect();
        let users = users.iter().map(ToString::to_string).collect();
        wire.insert("userIDs".into(), Value::List(users));
    }
    for name in ["totalMembers", "activeMembers"] {
        if let Some(count) = field(record, name).and_then(count) {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            wire.insert(name.into(), Value::Integer(count));
        }
    }
    Some(GroupRow {
        id: group.to_string(),
        wire,
        kind,
        status,
        test_group: field(record, "sendTests").and_then(flag).unwrap_or(false),
        // Anything but an unset id may be an e-mail that goes out on joining.
        auto_response: field(record, "autoResponseEmailID")
            .and_then(text)
            .is_some_and(|email| email.trim() != "0"),
        member_count,
        // Without the flag nobody can tell whether the group may be archived, so the row is no
        // better than a summary.
        detailed: full && protected.is_some(),
        unread: if ["status", "type", "autoResponseEmailID"]
            .iter()
            .any(|name| field(record, name).is_some_and(is_guessed))
        {
            // Whether anybody may be put into it is what can't be read.
            Some(Unread::Details)
        } else {
            unread(shown_name, record.values())
        },
    })
}

/// One row of a member listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct ListedContact {
    /// The contact.
    pub(in super::super) contact: i64,
    /// The address as the provider spells it.
    pub(in super::super) email: Option<String>,
    /// Whether the address is there and can't be read.
    pub(in super::super) unreadable: bool,
    /// Whether the contact opted out of this group; nothing where that can't be told.
    pub(in super::super) suppressed: Option<bool>,
}

/// Decodes a page of groups/getContacts.
pub(in super::super) fn listing(
    answer: &Answer,
    asked_page: u64,
    asked_rows: u64,
) -> Result<Page<ListedContact>, DecodeError> {
    page(
        answer,
        Bare::Single {
            page: asked_page,
            rows_per_page: asked_rows,
        },
        |record| {
            Some(ListedContact {
                contact: field(record, "contactID").and_then(id)?,
                email: field(record, "email").and_then(text),
                unreadable: field(record, "email").is_some_and(is_guessed),
                suppressed: field(record, "suppressed").and_then(flag),
            })
        },
    )
}

/// Decodes the row results of groups/addContacts and groups/removeContacts, one per contact sent,
/// in their order. What became of a contact whose row can't be read is unknown.
pub(in super::super) fn membership_results(
    answer: &Answer,
    sent: &[i64],
) -> Result<Vec<ItemOutcome>, DecodeError> {
    let data = &answer.object()?;
    // One example of the reference spells the key with an s.
    let rows = field(data, "contactResults")
        .or_else(|| field(data, "contactsResults"))
        .and_then(Json::as_array)
        .ok_or_else(|| protocol("the answer has no \"contactResults\""))?;
    if rows.len() != sent.len() {
        return Err(protocol(format!(
            "{} row results for {} contacts",
            rows.len(),
            sent.len()
        )));
    }
    let total = |name: &str| {
        field(data, name)
            .and_then(count)
            .ok_or_else(|| protocol(format!("\"{name}\" is not a count")))
    };
    let (successes, errors) = (total("totalSuccess")?, total("totalErrors")?);
    if successes.checked_add(errors) != Some(rows.len() as u64) {
        return Err(protocol(format!(
            "{successes} successes and {errors} errors do not make {} rows",
            rows.len()
        )));
    }
    rows.iter()
        .zip(sent)
        .map(|(row, contact)| {
            let row = object(row, "a row result")?;
            let (shown, success) = (field(row, "contactID"), field(row, "success"));
            if shown.is_some_and(is_guessed) || success.is_some_and(is_guessed) {
                return Ok(ItemOutcome::Unknown);
            }
            if shown.and_then(id) != Some(*contact) {
                return Err(protocol(
                    "the row results are not in the order of the request",
                ));
            }
            match success.and_then(flag) {
                Some(true) => Ok(ItemOutcome::Accepted {
                    id: Some(contact.to_string()),
                }),
                Some(false) => {
                    let words = field(row, "errors").map(error_words).unwrap_or_default();
                    let refusal = Refusal::new(None, &words, answer.request_id.as_deref());
                    Ok(ItemOutcome::Refused(refusal))
                }
                None => Err(protocol("a row result has no \"success\"")),
            }
        })
        .collect()
}
