//! User groups on the wire.
//!
//! group_edit replaces whatever it is not told, takes a permission as granted when it is named at
//! all, and ignores a limit without its checkbox; so an edit is the whole group, with granted
//! permissions only.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::{
    PAGE_ROWS, flag, id_of, numbered_rows, page_rows, query, text_of, v1_delete, v1_read, v1_write,
    v3_read,
};
use crate::http::{Call, DecodeError};
use crate::model::{FieldSpec, FieldType, GroupKind, GroupRow, GroupStatus, Record, Value};
use crate::provider::guess::{shown, unread};
use crate::provider::json::{Document, Rows, integer, protocol, text};

/// The wire name and the canonical name of a permission.
type Flag = (&'static str, &'static str);

macro_rules! flags {
    ($($name:literal),* $(,)?) => { [$((concat!("pg_", $name), concat!("permissions.", $name))),*] };
}

/// The permissions that can be written.
pub(in super::super) const FLAGS: [Flag; 32] = flags![
    "automation_manage",
    "form_edit",
    "list_add",
    "list_bounce",
    "list_delete",
    "list_edit",
    "list_emailaccount",
    "list_headers",
    "message_add",
    "message_delete",
    "message_edit",
    "message_send",
    "reports_campaign",
    "reports_list",
    "reports_user",
    "reports_trend",
    "reports_deal",
    "subscriber_add",
    "subscriber_approve",
    "subscriber_delete",
    "subscriber_edit",
    "subscriber_export",
    "subscriber_fields",
    "subscriber_filters",
    "subscriber_import",
    "subscriber_sync",
    "template_add",
    "template_delete",
    "template_edit",
    "user_add",
    "user_delete",
    "user_edit",
];

/// Makes the row of a permission for the field table.
pub(in super::super) const fn flag_spec(at: usize) -> FieldSpec {
    let (wire, canonical) = FLAGS[at];
    FieldSpec {
        wire,
        canonical,
        kind: FieldType::Boolean,
        // A recorded answer lacks pg_reports_deal, which the reference lets one write.
        may_be_unshown: true,
        source: "group_edit and group_view reference; an answer may leave a flag out",
        ..FieldSpec::TEXT
    }
}

/// Limits: field, checkbox and the value that means none.
const LIMITS: [(&str, &str, i64); 6] = [
    ("limit_attachment", "group_limit_attachment_checkbox", -1),
    ("limit_campaign", "group_limit_campaign_checkbox", 0),
    ("limit_list", "group_limit_list_checkbox", 0),
    ("limit_mail", "group_limit_mail_checkbox", 0),
    ("limit_subscriber", "group_limit_subscriber_checkbox", 0),
    ("limit_user", "group_limit_user_checkbox", 0),
];

/// Tells whether a user group is Visitor, User or Admin, which come with the account and can't be
/// deleted.
pub(in super::super) fn is_built_in(group: u64) -> bool {
    group <= 3
}

/// Asks version 3 for a page of user groups.
pub(in super::super) fn page(offset: u64) -> Call {
    v3_read(
        "groups",
        "groups",
        query(&[
            ("limit", PAGE_ROWS.to_string()),
            ("offset", offset.to_string()),
        ]),
    )
}

/// Asks version 1 for user groups, all of them or those with some ids; `all` is not understood
/// there.
pub(in super::super) fn list(ids: Option<&[u64]>) -> Call {
    let ids = ids.map(|ids| {
        ids.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    });
    let parameters: Vec<(&str, String)> = ids.into_iter().map(|ids| ("ids", ids)).collect();
    v1_read("group_list", &parameters)
}

/// Asks for one user group with everything that an edit has to repeat.
pub(in super::super) fn view(group: u64) -> Call {
    v1_read("group_view", &[("id", group.to_string())])
}

/// Deletes a user group, whose users another one inherits.
pub(in super::super) fn delete(group: u64, heir: u64) -> Call {
    v1_delete(
        "group_delete",
        &[("id", group.to_string()), ("alt", heir.to_string())],
    )
}

/// Decodes a page of version 3, with the total.
pub(in super::super) fn summaries(
    page: &Document,
) -> Result<(Rows<GroupRow>, Option<u64>), DecodeError> {
    page_rows(page, "groups", |row| group(row, false))
}

/// Decodes a listing of version 1.
pub(in super::super) fn listed(answer: &Document) -> Result<Rows<GroupRow>, DecodeError> {
    numbered_rows(answer, |row| Ok(group(&row.fields, false)))
}

/// Decodes the answer to group_view.
pub(in super::super) fn full(fields: &Map<String, Json>) -> Result<GroupRow, DecodeError> {
    group(fields, true).ok_or_else(|| protocol("a user group has no \"id\""))
}

/// Names what an edit has to repeat and an answer to group_view does not show at all, permissions
/// apart.
pub(in super::super) fn unshown(fields: &Map<String, Json>) -> Vec<&'static str> {
    let needed = [
        "descript",
        "lists",
        "sendmethods",
        "abuseratio",
        "unsubscribelink",
    ];
    needed
        .into_iter()
        .chain(LIMITS.iter().map(|(name, ..)| *name))
        .filter(|name| !fields.contains_key(*name))
        .collect()
}

/// Names the permissions that a group does not show: some are missing from answers of version 1.
pub(in super::super) fn unshown_flags(wire: &Record) -> Vec<&'static str> {
    FLAGS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !wire.contains_key(*name))
        .collect()
}

/// Decodes which of some permissions an answer to group_view shows, and whether they are granted.
pub(in super::super) fn shown_flags(
    fields: &Map<String, Json>,
    names: &BTreeSet<&'static str>,
) -> Result<Vec<(&'static str, bool)>, DecodeError> {
    id_of(fields, "id").ok_or_else(|| protocol("a user group has no \"id\""))?;
    Ok(names
        .iter()
        .filter_map(|name| Some((*name, fields.get(*name).and_then(flag)?)))
        .collect())
}

/// Asks version 3 for one user group.
pub(in super::super) fn one(group: u64) -> Call {
    v3_read("groups", &format!("groups/{group}"), Vec::new())
}

/// Decodes some permissions of version 3, where `pg_subscriber_add` is called `pgContactAdd`.
pub(in super::super) fn flags_of_v3(
    fields: &Map<String, Json>,
    group: u64,
    names: &[&'static str],
) -> Result<Record, DecodeError> {
    let row = fields
        .get("group")
        .and_then(Json::as_object)
        .ok_or_else(|| protocol("\"group\" is missing or not an object"))?;
    if id_of(row, "id") != Some(group) {
        return Err(protocol(
            "the question for one user group is answered with another",
        ));
    }
    let shown = |name: &&'static str| {
        let value = row
            .get(*name)
            .or_else(|| row.get(&camel(name)))
            .and_then(flag)?;
        Some(((*name).into(), Value::Boolean(value)))
    };
    Ok(names.iter().filter_map(shown).collect())
}

fn camel(name: &str) -> String {
    let name = name.replace("subscriber", "contact");
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let mut letters = word.chars();
        text + &letters
            .next()
            .map(|letter| letter.to_uppercase().collect::<String>())
            .unwrap_or_default()
            + letters.as_str()
    })
}

/// Decodes a user group; nothing where it has no id.
fn group(fields: &Map<String, Json>, detailed: bool) -> Option<GroupRow> {
    let number = id_of(fields, "id")?;
    let title = text_of(fields, "title").or_else(|| shown(fields.get("title")?));
    let unread = unread(title.as_ref().and(fields.get("title")), fields.values());
    let mut wire = Record::new();
    wire.insert("id".into(), Value::from(number.to_string()));
    wire.insert("title".into(), Value::from(title.unwrap_or_default()));
    for name in [
        "descript",
        "limit_campaign_type",
        "limit_mail_type",
        "sdate",
    ] {
        if let Some(text) = text_of(fields, name).filter(|text| !text.starts_with("0000-00-00")) {
            wire.insert(name.into(), Value::from(text));
        }
    }
    if detailed {
        for name in ["lists", "sendmethods"] {
            wire.insert(name.into(), Value::List(ids_of(fields.get(name))));
        }
        if let Some(ratio) = fields.get("abuseratio").and_then(integer) {
            wire.insert("abuseratio".into(), Value::Integer(ratio));
        }
        for (name, _, unlimited) in LIMITS {
            // None, which the older pages write as 0 and attachments as -1, must not come back as a
            // limit of nothing.
            if let Some(limit) = fields
                .get(name)
                .and_then(integer)
                .filter(|limit| *limit != unlimited && *limit >= 0)
            {
                wire.insert(name.into(), Value::Integer(limit));
            }
        }
        let flags = FLAGS
            .iter()
            .map(|(name, _)| *name)
            .chain(["unsubscribelink"]);
        for name in flags {
            if let Some(flag) = fields.get(name).and_then(flag) {
                wire.insert(name.into(), Value::Boolean(flag));
            }
        }
    }
    Some(GroupRow {
        id: number.to_string(),
        wire,
        kind: if is_built_in(number) {
            GroupKind::BuiltIn
        } else {
            GroupKind::Static
        },
        status: GroupStatus::Active,
        test_group: false,
        auto_response: false,
        member_count: None,
        detailed,
        unread,
    })
}

/// Reads ids, which are written as arrays and read as texts with commas.
pub(in super::super) fn ids_of(value: Option<&Json>) -> Vec<String> {
    let mut ids: BTreeSet<u64> = BTreeSet::new();
    match value {
        Some(Json::Array(items)) => {
            ids.extend(
                items.iter().filter_map(|item| {
                    super::id(item).or_else(|| item.get("id").and_then(super::id))
                }),
            );
        }
        Some(Json::Object(items)) => {
            ids.extend(items.keys().filter_map(|key| key.parse::<u64>().ok()));
        }
        Some(other) => ids.extend(
            text(other)
                .unwrap_or_default()
                .split(',')
                .filter_map(|id| id.trim().parse::<u64>().ok()),
        ),
        None => {}
    }
    ids.into_iter()
        .filter(|id| *id > 0)
        .map(|id| id.to_string())
        .collect()
}

/// Writes group_add, or group_edit with the whole group. `revoked` names permissions that have to
/// be taken away by a zero.
pub(in super::super) fn save(group: Option<u64>, fields: &Record, revoked: &[&str]) -> Call {
    let mut form: Vec<(String, String)> = Vec::new();
    let mut put = |name: String, value: String| form.push((name, value));
    if let Some(group) = group {
        put("id".to_owned(), group.to_string());
    }
    for name in ["title", "descript"] {
        put(
            name.to_owned(),
            fields.get(name).map(Value::to_string).unwrap_or_default(),
        );
    }
    for list in items(fields.get("lists")) {
        put(format!("lists[{list}]"), list);
    }
    let mailers = items(fields.get("sendmethods"));
    if !mailers.is_empty() {
        put("sendmethods[]".to_owned(), mailers.join(","));
    }
    for (name, checkbox, unlimited) in LIMITS {
        if let Some(limit) = fields
            .get(name)
            .and_then(number)
            .filter(|limit| *limit != unlimited && *limit >= 0)
        {
            put(checkbox.to_owned(), "on".to_owned());
            put(name.to_owned(), limit.to_string());
            let period = format!("{name}_type");
            if let Some(kind) = fields.get(period.as_str()).filter(|kind| !kind.is_empty()) {
                put(period, kind.to_string());
            }
        }
    }
    if fields.get("unsubscribelink").is_some_and(is_on) {
        put("unsubscribelink".to_owned(), "on".to_owned());
    }
    if let Some(ratio) = fields.get("abuseratio").and_then(number) {
        put("abuseratio".to_owned(), ratio.to_string());
    }
    for (name, _) in FLAGS {
        if fields.get(name).is_some_and(is_on) {
            put(name.to_owned(), "1".to_owned());
        } else if revoked.contains(&name) {
            put(name.to_owned(), "0".to_owned());
        }
    }
    v1_write(
        if group.is_some() {
            "group_edit"
        } else {
            "group_add"
        },
        form,
    )
}

/// The permissions that a group shows and nobody asked for.
pub(in super::super) fn still_granted(wanted: &Record, shown: &Record) -> Vec<&'static str> {
    let stays =
        |name: &&str| shown.get(*name).is_some_and(is_on) && !wanted.get(*name).is_some_and(is_on);
    FLAGS.iter().map(|(name, _)| *name).filter(stays).collect()
}

/// Names the fields of which a group shows another value than the whole that was sent.
pub(in super::super) fn differing(wanted: &Record, shown: &Record) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in ["title", "descript"] {
        let text = |record: &Record| {
            record
                .get(name)
                .map(Value::to_string)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        if text(wanted) != text(shown) {
            names.push(name.to_owned());
        }
    }
    if sorted(wanted.get("lists")) != sorted(shown.get("lists")) {
        names.push("lists".to_owned());
    }
    // Hosted accounts force mailer 1, so mailers are compared only where some were asked for.
    let mailers = sorted(wanted.get("sendmethods"));
    if !mailers.is_subset(&sorted(shown.get("sendmethods"))) {
        names.push("sendmethods".to_owned());
    }
    for (name, _, unlimited) in LIMITS {
        let limit = |record: &Record| {
            record
                .get(name)
                .and_then(number)
                .filter(|limit| *limit != unlimited && *limit >= 0)
        };
        if limit(wanted) != limit(shown) {
            names.push(name.to_owned());
        }
        let period = format!("{name}_type");
        if let (Some(_), Some(asked), Some(held)) = (
            limit(wanted),
            wanted.get(period.as_str()),
            shown.get(period.as_str()),
        ) && !asked.is_empty()
            && asked.to_string() != held.to_string()
        {
            names.push(period);
        }
    }
    if let (Some(asked), Some(held)) = (
        wanted.get("abuseratio").and_then(number),
        shown.get("abuseratio").and_then(number),
    ) && asked != held
    {
        names.push("abuseratio".to_owned());
    }
    for name in FLAGS
        .iter()
        .map(|(name, _)| *name)
        .chain(["unsubscribelink"])
    {
        // A permission that is not shown can't be checked.
        if let Some(held) = shown.get(name)
            && is_on(held) != wanted.get(name).is_some_and(is_on)
        {
            names.push(name.to_owned());
        }
    }
    names
}

fn sorted(value: Option<&Value>) -> BTreeSet<String> {
    items(value).into_iter().collect()
}

fn items(value: Option<&Value>) -> Vec<String> {
    let texts = match value {
        Some(Value::List(items)) => items.clone(),
        Some(other) => other.to_string().split(',').map(str::to_owned).collect(),
        None => Vec::new(),
    };
    texts
        .into_iter()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

fn number(value: &Value) -> Option<i64> {
    value.to_string().trim().parse().ok()
}

fn is_on(value: &Value) -> bool {
    matches!(
        value.to_string().trim().to_ascii_lowercase().as_str(),
        "true" | "1" | "yes" | "on"
    )
}
