//! Lists on the wire.
//!
//! list_edit replaces whatever it is not told, so an edit is made of everything that list_view
//! shows.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::{PAGE_ROWS, array, page_rows, query, total, viewed};
use super::{
    count, entries, flag, id, id_of, integer, numbered_rows, protocol, text_of, v1_delete, v1_read,
    v1_write, v3_read, v3_write,
};
use crate::http::{Call, DecodeError, Method};
use crate::model::{GroupKind, GroupRow, GroupStatus, Record, Value};
use crate::provider::guess::{is_guessed, shown, unread};
use crate::provider::json::{Document, Row, Rows, object};

/// The text fields of a list that are read and written under one name.
pub(in super::super) const TEXTS: [&str; 11] = [
    "sender_name",
    "sender_addr1",
    "sender_addr2",
    "sender_city",
    "sender_state",
    "sender_zip",
    "sender_country",
    "sender_phone",
    "sender_url",
    "sender_reminder",
    "to_name",
];

/// Whom mail is addressed to where a contact has no name; what the service takes where a list has no
/// such word of its own.
pub(in super::super) const NOBODY_BY_NAME: &str = "Subscriber";

/// What list_add refuses to do without, by a client's experience and the older edition's source;
/// the reference names fewer.
pub(in super::super) const SENDER: [&str; 7] = [
    "sender_name",
    "sender_addr1",
    "sender_zip",
    "sender_city",
    "sender_country",
    "sender_url",
    "sender_reminder",
];

/// Settings with an effect by presence, sent only where they are on.
const FLAGS: [&str; 13] = [
    "p_use_tracking",
    "p_use_analytics_read",
    "p_use_analytics_link",
    "p_use_twitter",
    "p_use_facebook",
    "p_embed_image",
    "p_use_captcha",
    "get_unsubscribe_reason",
    "send_last_broadcast",
    "require_name",
    "private",
    "p_duplicate_send",
    "p_duplicate_subscribe",
];

/// Other settings of a list that an edit has to repeat.
const KEPT: [&str; 4] = [
    "stringid",
    "carboncopy",
    "subscription_notify",
    "unsubscription_notify",
];

/// Asks for all lists, in brief.
pub(in super::super) fn list_all() -> Call {
    v1_read(
        "list_list",
        &[
            ("ids", "all".to_owned()),
            ("global_fields", "0".to_owned()),
            ("full", "0".to_owned()),
        ],
    )
}

/// Asks for some lists, in full.
pub(in super::super) fn some(lists: &[String]) -> Call {
    v1_read(
        "list_list",
        &[
            ("ids", lists.join(",")),
            ("global_fields", "0".to_owned()),
            ("full", "1".to_owned()),
        ],
    )
}

/// Asks for one list with all of its settings.
pub(in super::super) fn view(list: u64) -> Call {
    v1_read("list_view", &[("id", list.to_string())])
}

/// Deletes a list, which the service goes on with after its answer.
pub(in super::super) fn delete(list: u64) -> Call {
    v1_delete("list_delete", &[("id", list.to_string())])
}

/// Decodes a listing in brief.
pub(in super::super) fn summaries(answer: &Document) -> Result<Rows<GroupRow>, DecodeError> {
    numbered_rows(answer, |row| Ok(list(&row.fields, false)))
}

/// Decodes a listing in full of lists that were asked for by their ids.
pub(in super::super) fn full_rows(answer: &Document) -> Result<Vec<GroupRow>, DecodeError> {
    let unknown = |row: &Row| protocol(format!("a list {}", row.oddity()));
    let rows = numbered_rows(answer, |row| {
        let list = list(&row.fields, true).ok_or_else(|| unknown(row));
        list.map(Some)
    })?;
    Ok(rows.known)
}

/// A list with everything that an edit has to repeat.
pub(in super::super) struct FullList {
    /// The list as a group.
    pub(in super::super) row: GroupRow,
    /// The user groups that may see it.
    pub(in super::super) granted: BTreeSet<u64>,
    settings: Vec<(String, String)>,
}

/// Decodes the answer to list_view.
pub(in super::super) fn full(fields: &Map<String, Json>) -> Result<FullList, DecodeError> {
    let fields = viewed(fields)?;
    let row = list(fields, true).ok_or_else(|| protocol("a list has no \"id\""))?;
    let granted = match fields.get("groups") {
        Some(groups @ (Json::Object(_) | Json::Array(_))) => entries(groups)
            .into_iter()
            .map(|(key, group)| {
                key.parse()
                    .ok()
                    .or_else(|| group.get("id").and_then(id))
                    .ok_or_else(|| protocol("a group of a list has no id"))
            })
            .collect::<Result<BTreeSet<u64>, _>>()?,
        _ => return Err(protocol("a list does not say which user groups see it")),
    };
    let mut settings = Vec::new();
    for name in KEPT {
        settings.push((name.to_owned(), text_of(fields, name).unwrap_or_default()));
    }
    for name in FLAGS {
        if fields.get(name).and_then(flag) == Some(true) {
            settings.push((name.to_owned(), "1".to_owned()));
        }
    }
    let bounces: Vec<String> = fields
        .get("bounces")
        .into_iter()
        .flat_map(entries)
        .filter_map(|(_, bounce)| id(bounce).or_else(|| bounce.get("id").and_then(id)))
        .map(|id| id.to_string())
        .collect();
    if !bounces.is_empty() {
        settings.push(("bounceid[]".to_owned(), bounces.join(",")));
    }
    Ok(FullList {
        row,
        granted,
        settings,
    })
}

/// Decodes a list; nothing where it has no id.
fn list(fields: &Map<String, Json>, detailed: bool) -> Option<GroupRow> {
    let number = id_of(fields, "id")?;
    let name = text_of(fields, "name").or_else(|| shown(fields.get("name")?));
    let unread = unread(name.as_ref().and(fields.get("name")), fields.values());
    let mut wire = Record::new();
    wire.insert("id".into(), Value::from(number.to_string()));
    wire.insert("name".into(), Value::from(name.unwrap_or_default()));
    if let Some(private) = fields.get("private").and_then(flag) {
        wire.insert("private".into(), Value::Boolean(private));
    }
    for name in TEXTS.into_iter().chain(["fulladdress", "stringid"]) {
        if let Some(text) = text_of(fields, name) {
            wire.insert(name.into(), Value::from(text));
        }
    }
    let member_count = fields.get("subscriber_count").and_then(count);
    if let Some(count) = member_count {
        wire.insert(
            "subscriber_count".into(),
            Value::Integer(count.cast_signed()),
        );
    }
    Some(GroupRow {
        id: number.to_string(),
        wire,
        kind: GroupKind::Static,
        status: GroupStatus::Active,
        test_group: false,
        // Automations are left out by the importer, which makes every addition.
        auto_response: false,
        member_count,
        detailed,
        unread,
    })
}

/// Creates a list. Nothing that is mailed about is asked for.
pub(in super::super) fn add(name: &str, fields: &Record) -> Call {
    let mut form = vec![("name".to_owned(), name.to_owned())];
    form.extend(texts(fields));
    if fields.get("private").is_some_and(is_on) {
        form.push(("private".to_owned(), "1".to_owned()));
    }
    v1_write("list_add", form)
}

/// Changes a list, repeating everything that does not change.
pub(in super::super) fn edit(list: u64, current: &FullList, changed: &Record) -> Call {
    let mut merged = current.row.wire.clone();
    merged.extend(changed.clone());
    let mut form = vec![("id".to_owned(), list.to_string())];
    form.push((
        "name".to_owned(),
        merged.get("name").map(Value::to_string).unwrap_or_default(),
    ));
    // Each edit takes all of them, also those that the list has no value for.
    for field in TEXTS {
        let text = merged.get(field).map(Value::to_string).unwrap_or_default();
        let text = if field == "to_name" && text.trim().is_empty() {
            NOBODY_BY_NAME.to_owned()
        } else {
            text
        };
        form.push((field.to_owned(), text));
    }
    form.extend(current.settings.clone());
    v1_write("list_edit", form)
}

fn texts(fields: &Record) -> impl Iterator<Item = (String, String)> {
    TEXTS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), fields.get(name)?.to_string())))
}

fn is_on(value: &Value) -> bool {
    matches!(value.to_string().trim(), "true" | "1")
}

/// Lets a user group see a list again, without taking anything from others.
pub(in super::super) fn grant(list: u64, group: u64) -> Call {
    v3_write(
        "listGroups",
        Method::Post,
        "listGroups",
        &serde_json::json!({"listGroup": {"listid": list, "groupid": group}}),
    )
}

/// Asks for a page of the definitions of custom fields.
pub(in super::super) fn field_page(offset: u64) -> Call {
    v3_read(
        "fields",
        "fields",
        query(&[
            ("limit", PAGE_ROWS.to_string()),
            ("offset", offset.to_string()),
        ]),
    )
}

/// A custom field of contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Definition {
    /// The id, by which values are read and written.
    pub(in super::super) id: u64,
    /// The personalisation tag, which names the field in a config.
    pub(in super::super) tag: String,
    /// What people see.
    pub(in super::super) title: String,
    /// The service's word for the type.
    pub(in super::super) kind: String,
    /// Whether any of it can't be read.
    pub(in super::super) unreadable: bool,
}

/// Decodes a page of definitions, with the total.
pub(in super::super) fn definitions(
    page: &Document,
) -> Result<(Rows<Definition>, Option<u64>), DecodeError> {
    page_rows(page, "fields", |row| {
        let id = id_of(row, "id")?;
        // One whose name can't be read is there, and no config can name it.
        let tag = text_of(row, "perstag").unwrap_or_else(|| format!("\u{fffd}{id}"));
        Some(Definition {
            id,
            title: text_of(row, "title").unwrap_or_else(|| tag.clone()),
            tag: tag.trim().trim_matches('%').to_owned(),
            kind: text_of(row, "type").unwrap_or_default(),
            unreadable: row.values().any(is_guessed),
        })
    })
}

/// Defines a custom field for all lists; the types are those of list_field_add.
pub(in super::super) fn add_field(title: &str, tag: &str, date: bool) -> Call {
    let kind = if date { "9" } else { "1" };
    let form = [
        ("title", title),
        ("type", kind),
        ("req", "0"),
        ("perstag", tag),
        ("p[0]", "0"),
    ];
    v1_write(
        "list_field_add",
        form.into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}

/// Asks how many lists there are.
pub(in super::super) fn count_lists() -> Call {
    v3_read("lists", "lists", query(&[("limit", "1".to_owned())]))
}

/// Decodes the number of lists; nothing where the answer has none.
pub(in super::super) fn list_total(fields: &Map<String, Json>) -> Result<Option<u64>, DecodeError> {
    array(fields, "lists")?;
    Ok(total(fields))
}

/// Asks version 3 for one list, which administrators reach also where no page shows it.
pub(in super::super) fn one(list: u64) -> Call {
    let mut call = v3_read("lists", &format!("lists/{list}"), Vec::new());
    call.forbidden_is_spurious = false;
    call
}

/// Asks how many people are on a list in any state.
pub(in super::super) fn count_members(list: u64) -> Call {
    v3_read(
        "contactLists",
        "contactLists",
        query(&[
            ("filters[list]", list.to_string()),
            ("limit", "1".to_owned()),
        ]),
    )
}

/// Decodes the count of members of a list.
pub(in super::super) fn member_total(
    fields: &Map<String, Json>,
    list: u64,
) -> Result<u64, DecodeError> {
    let rows = array(fields, "contactLists")?
        .iter()
        .map(|row| object(row, "a membership"))
        .collect::<Result<Vec<_>, _>>()?;
    if rows
        .iter()
        .filter_map(|row| row.get("list").and_then(integer))
        .any(|shown| shown != list.cast_signed())
    {
        return Err(protocol(
            "the memberships of one list are answered with those of others",
        ));
    }
    total(fields).ok_or_else(|| protocol("the memberships of a list come without their total"))
}
