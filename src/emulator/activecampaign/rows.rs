//! How the objects of the account are shown by version 1.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::emulator::users::{LIMITS, READ_ONLY_FLAGS, User, UserGroup, WRITABLE_FLAGS};
use crate::emulator::world::{
    Account, Contact, CustomField, Group, Membership, MembershipState, Visibility,
};

/// The settings of a list beside its name, as `list_edit` writes them.
pub(super) const LIST_TEXTS: [&str; 14] = [
    "sender_addr1",
    "sender_addr2",
    "sender_zip",
    "sender_city",
    "sender_state",
    "sender_country",
    "sender_phone",
    "sender_url",
    "sender_reminder",
    "stringid",
    "to_name",
    "carboncopy",
    "subscription_notify",
    "unsubscription_notify",
];

/// The switches of a list.
pub(super) const LIST_FLAGS: [&str; 6] = [
    "p_use_captcha",
    "get_unsubscribe_reason",
    "send_last_broadcast",
    "require_name",
    "p_use_twitter",
    "p_use_facebook",
];

/// The zone of all dates, whatever the account's own is.
pub(super) fn zone() -> TimeZone {
    TimeZone::get("America/Chicago").unwrap_or(TimeZone::UTC)
}

/// A date without a zone.
pub(super) fn stamp(moment: Timestamp) -> Value {
    json!(
        moment
            .to_zoned(zone())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string()
    )
}

/// A date with its offset.
pub(super) fn iso(moment: Timestamp) -> Value {
    json!(
        moment
            .to_zoned(zone())
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string()
    )
}

pub(super) fn flag(on: bool) -> Value {
    json!(if on { "1" } else { "0" })
}

pub(super) fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

/// An object, which PHP writes as a list when it is empty.
pub(super) fn php_map(map: Map<String, Value>) -> Value {
    if map.is_empty() {
        json!([])
    } else {
        Value::Object(map)
    }
}

impl Account {
    /// All tags in use; the id of a tag is its position, from 1.
    pub(super) fn tag_names(&self) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = self
            .contacts
            .values()
            .flat_map(|contact| &contact.tags)
            .collect();
        names.into_iter().cloned().collect()
    }
}

/// The number of a membership's state.
pub(super) fn status_number(state: MembershipState) -> u64 {
    match state {
        MembershipState::Unconfirmed => 0,
        MembershipState::Active => 1,
        MembershipState::OptedOut => 2,
        MembershipState::Bounced => 3,
    }
}

/// One number for a pair of ids: the id of what connects them.
pub(super) fn edge_id(first: u64, second: u64) -> u64 {
    let sum = first + second;
    sum * (sum + 1) / 2 + second
}

/// The hash that stands for a contact in links.
pub(super) fn contact_hash(contact: &Contact) -> String {
    blake3::hash(format!("{}:{}", contact.id, contact.email).as_bytes()).to_hex()[..32].to_owned()
}

fn active(list: &Group) -> usize {
    list.members
        .values()
        .filter(|member| member.state == MembershipState::Active)
        .count()
}

/// A list in six fields.
pub(super) fn list_short(list: &Group) -> Value {
    json!({
        "id": list.id.to_string(),
        "name": list.name,
        "cdate": stamp(list.added),
        "private": flag(list.visibility != Visibility::Public),
        "userid": list.owner.unwrap_or(1).to_string(),
        "subscriber_count": active(list),
    })
}

/// A list with everything.
pub(super) fn list_full(account: &Account, list: &Group) -> Value {
    let mut row = list_short(list);
    let setting = |name: &str| list.settings.get(name).map_or("", String::as_str);
    for name in LIST_TEXTS {
        row[name] = json!(setting(name));
    }
    for name in LIST_FLAGS {
        row[name] = flag(!matches!(setting(name), "" | "0"));
    }
    row["sender_name"] = json!(list.sender_name);
    row["udate"] = stamp(list.modified);
    let lines: Vec<&str> = [
        "sender_addr1",
        "sender_city",
        "sender_zip",
        "sender_country",
    ]
    .into_iter()
    .map(setting)
    .filter(|part| !part.is_empty())
    .collect();
    row["fulladdress"] = json!(lines.join(", "));
    row["subscribers"] = text(active(list));
    row["subscribers_active"] = text(active(list));
    row["deletestamp"] = Value::Null;
    row["bounces"] = json!([]);
    row["optinoptout"] =
        json!({"id": "1", "name": "Default", "optin_confirm": "0", "optout_confirm": "0"});
    let fields = account
        .fields
        .iter()
        .filter(|field| belongs(field, list.id));
    row["fields"] = Value::Array(fields.map(field_row).collect());
    let groups: Map<String, Value> = account
        .user_groups
        .values()
        .filter(|group| group.lists.contains(&list.id))
        .map(|group| {
            let mut row = group_short(group);
            row["listid"] = text(list.id);
            row["groupid"] = text(group.id);
            for flag in [
                "p_list_add",
                "p_list_edit",
                "p_list_delete",
                "p_subscriber_add",
            ] {
                row[flag] = json!("0");
            }
            (group.id.to_string(), row)
        })
        .collect();
    row["groupsCnt"] = json!(groups.len());
    row["groups"] = php_map(groups);
    row
}

fn belongs(field: &CustomField, list: u64) -> bool {
    field.lists.is_empty() || field.lists.contains(&list)
}

/// The definition of a custom field.
pub(super) fn field_row(field: &CustomField) -> Value {
    json!({
        "id": field.id.to_string(),
        "title": field.label,
        "type": field.data_type,
        "isrequired": "0",
        "perstag": field.name,
        "tag": format!("%{}%", field.name),
        "relid": field.lists.first().copied().unwrap_or(0).to_string(),
        "options": field.possible_values,
    })
}

/// A user group without its limits.
pub(super) fn group_short(group: &UserGroup) -> Value {
    let mut row = json!({
        "id": group.id.to_string(),
        "title": group.title,
        "descript": if group.description.is_empty() { Value::Null } else { json!(group.description) },
        "unsubscribelink": flag(group.unsubscribe_link),
        "optinconfirm": "0",
        "p_admin": "1",
        "sdate": group.saved.map_or(Value::Null, stamp),
        "req_approval": "0",
        "req_approval_1st": "2",
        "req_approval_notify": "",
        "socialdata": "0",
    });
    for name in WRITABLE_FLAGS.into_iter().chain(READ_ONLY_FLAGS) {
        row[name] = flag(group.permissions.contains(name));
    }
    row
}

/// A user group with its limits, lists and sending methods.
pub(super) fn group_full(group: &UserGroup) -> Value {
    let mut row = group_short(group);
    for name in LIMITS {
        let limit = group.limits.get(name);
        let unlimited = if name == "attachment" { "-1" } else { "0" };
        row[format!("limit_{name}")] =
            limit.map_or_else(|| json!(unlimited), |limit| text(limit.quantity));
        if matches!(name, "mail" | "campaign") {
            let per = limit.map_or("month", |limit| limit.per.as_str());
            row[format!("limit_{name}_type")] = json!(per);
        }
    }
    let join = |ids: &std::collections::BTreeSet<u64>| {
        ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
    };
    row["abuseratio"] = text(group.abuse_ratio);
    row["forcesenderinfo"] = json!("0");
    row["lists"] = json!(join(&group.lists));
    row["sendmethods"] = json!(join(&group.send_methods));
    row["abuses_reported"] = json!(0);
    row["emails_sent"] = json!("0");
    row["users"] = json!([]);
    row
}

/// A user, with the stored password hash that nobody should keep.
pub(super) fn user_row(user: &User, now: Timestamp) -> Value {
    json!({
        "id": user.id.to_string(),
        "username": user.username,
        "password": user.password_hash,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "phone": user.phone,
        "lang": user.language,
        "last_login": Value::Null,
        "sourceid": "0",
        "a_now": stamp(now),
        "groups": user.group.to_string(),
    })
}

/// A contact as abbreviated listings show it.
pub(super) fn contact_short(account: &Account, contact: &Contact) -> Value {
    let lists = account.groups_of(contact.id);
    json!({
        "id": contact.id.to_string(),
        "subscriberid": contact.id.to_string(),
        "cdate": stamp(contact.added),
        "sdate": first_membership(account, contact.id, &lists).map_or(Value::Null, |(_, membership)| stamp(membership.since)),
        "first_name": contact.get("first_name"),
        "last_name": contact.get("last_name"),
        "email": contact.email,
        "last_list": lists.last().map_or(Value::Null, text),
        "avatar_url": "",
    })
}

fn first_membership(account: &Account, contact: u64, lists: &[u64]) -> Option<(u64, Membership)> {
    let list = *lists.first()?;
    account
        .groups
        .get(&list)?
        .members
        .get(&contact)
        .map(|membership| (list, *membership))
}

/// A contact with everything, of the lists that are seen.
pub(super) fn contact_full(account: &Account, contact: &Contact, visible: &[u64]) -> Value {
    let lists: Vec<u64> = account
        .groups_of(contact.id)
        .into_iter()
        .filter(|list| visible.contains(list))
        .collect();
    let mut row = contact_short(account, contact);
    row["phone"] = json!(contact.get("phone"));
    row["orgname"] = json!(contact.get("company"));
    row["customer_acct_name"] = json!(contact.get("company"));
    row["hash"] = json!(contact_hash(contact));
    row["ip"] = json!("127.0.0.1");
    row["bounced_hard"] = json!("0");
    row["bounced_soft"] = json!("0");
    row["cdate_iso"] = iso(contact.added);
    row["udate"] = stamp(contact.modified);
    // What stands on top belongs to one list among several.
    if let Some((list, membership)) = first_membership(account, contact.id, &lists) {
        row["listid"] = text(list);
        row["lid"] = text(edge_id(list, contact.id));
        row["status"] = text(status_number(membership.state));
    }
    let mut edges = Map::new();
    for list in &lists {
        let Some(group) = account.groups.get(list) else {
            continue;
        };
        let Some(membership) = group.members.get(&contact.id) else {
            continue;
        };
        edges.insert(list.to_string(), edge(group, contact, membership));
    }
    row["listslist"] = json!(
        lists
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join("-")
    );
    row["lists"] = php_map(edges);
    let fields: Map<String, Value> = account
        .fields
        .iter()
        .filter(|field| {
            field.lists.is_empty() || field.lists.iter().any(|list| lists.contains(list))
        })
        .map(|field| {
            let mut row = field_row(field);
            row["val"] = json!(contact.custom.get(&field.name).unwrap_or_default());
            (field.id.to_string(), row)
        })
        .collect();
    row["fields"] = php_map(fields);
    row["tags"] = json!(contact.tags);
    for name in [
        "actions",
        "bounces",
        "campaign_history",
        "automation_history",
        "geo",
    ] {
        row[name] = json!([]);
    }
    row
}

fn edge(list: &Group, contact: &Contact, membership: &Membership) -> Value {
    let left = if membership.state == MembershipState::OptedOut {
        membership.changed
    } else {
        None
    };
    json!({
        "id": edge_id(list.id, contact.id).to_string(),
        "subscriberid": contact.id.to_string(),
        "listid": list.id.to_string(),
        "formid": "0",
        "seriesid": "0",
        "sdate": stamp(membership.since),
        "sdate_iso": iso(membership.since),
        "udate": left.map_or_else(|| json!("0000-00-00 00:00:00"), stamp),
        "status": status_number(membership.state).to_string(),
        "responder": "1",
        "sync": "0",
        "unsubreason": "",
        "unsubcampaignid": "0",
        "unsubmessageid": "0",
        "first_name": contact.get("first_name"),
        "last_name": contact.get("last_name"),
        "sourceid": "4",
        "listname": list.name,
    })
}
