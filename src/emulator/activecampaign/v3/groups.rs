//! Groups of users, their limits and their links to lists in version 3.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Answer, id_of, invalid, not_found, page, require, text_of, wrapped};
use crate::emulator::activecampaign::Call;
use crate::emulator::activecampaign::rows::{edge_id, flag, iso};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::users::{ADMIN, LIMITS, READ_ONLY_FLAGS, UserGroup, WRITABLE_FLAGS};

/// The built-in group that takes in users whose group is deleted.
const USER: u64 = 2;

/// The name of a permission in version 3: `pgContactAdd` for `pg_subscriber_add`; those about users
/// keep their names.
fn camel(name: &str) -> String {
    if name.starts_with("pg_user_") {
        return name.to_owned();
    }
    let mut text = String::new();
    for (position, word) in name.split('_').enumerate() {
        let word = if word == "subscriber" {
            "contact"
        } else {
            word
        };
        match word.chars().next() {
            Some(first) if position > 0 => {
                text.push(first.to_ascii_uppercase());
                text.push_str(&word[first.len_utf8()..]);
            }
            _ => text.push_str(word),
        }
    }
    text
}

fn all_flags() -> impl Iterator<Item = &'static str> {
    WRITABLE_FLAGS.into_iter().chain(READ_ONLY_FLAGS)
}

fn row(group: &UserGroup) -> Value {
    let mut row = json!({
        "id": group.id.to_string(),
        "title": group.title,
        "descript": if group.description.is_empty() { Value::Null } else { json!(group.description) },
        "unsubscribelink": flag(group.unsubscribe_link),
        "optinconfirm": "0",
        "p_admin": "1",
        "sdate": group.saved.map_or(Value::Null, iso),
        "reqApproval": "0",
        "links": {"userGroups": format!("/api/3/groups/{}/userGroups", group.id)},
    });
    for name in all_flags() {
        row[camel(name)] = flag(group.permissions.contains(name));
    }
    row
}

impl Call<'_> {
    /// Writes a group; a flag that is left out is off.
    fn write_group(&mut self, id: u64, given: &Map<String, Value>) -> Result<(), (u16, Value)> {
        let title = text_of(given.get("title")).unwrap_or_default();
        if title.is_empty() {
            self.context.misuse(MisuseKind::MissingParameter, "title");
            return Err(invalid(
                "The group title was not provided.",
                "title",
                "field_missing",
            ));
        }
        let on = |name: &str| {
            text_of(given.get(&camel(name)).or_else(|| given.get(name)))
                .is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
        };
        let permissions: BTreeSet<String> = all_flags()
            .filter(|name| on(name))
            .map(str::to_owned)
            .collect();
        if permissions.iter().any(|flag| !self.may(flag)) {
            return Err(super::forbidden());
        }
        let id = if id == 0 {
            self.account.add_user_group(&title)
        } else {
            id
        };
        let mut group = self.account.user_group_mut(id).clone();
        group.title = title;
        group.description = text_of(given.get("descript")).unwrap_or_default();
        group.permissions = permissions;
        self.account.replace_user_group(group);
        Ok(())
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let rows = call
        .account
        .user_groups
        .values()
        .filter(|group| group.id >= ADMIN)
        .map(row)
        .collect();
    page(call, "groups", rows)
}

pub(super) fn view(call: &mut Call<'_>, id: u64) -> Answer {
    let group = call
        .account
        .user_groups
        .get(&id)
        .ok_or_else(|| not_found("Group", id))?;
    let mut row = row(group);
    let hidden: BTreeSet<String> = call
        .account
        .settings
        .activecampaign
        .hidden_flags
        .iter()
        .map(|name| camel(name))
        .collect();
    if let Some(row) = row.as_object_mut() {
        row.retain(|name, _| !hidden.contains(name));
    }
    Ok((200, json!({"group": row})))
}

pub(super) fn create(call: &mut Call<'_>, body: &Value) -> Answer {
    require(call, "pg_group_add")?;
    let given = wrapped(call, body, "group")?;
    call.write_group(0, given)?;
    let group = call
        .account
        .user_groups
        .values()
        .next_back()
        .map(row)
        .unwrap_or_default();
    let mut answer = json!({"title": group["title"], "descript": group["descript"], "p_admin": 1, "links": group["links"], "id": group["id"]});
    for (name, value) in given {
        answer[name] = value.clone();
    }
    Ok((201, json!({"group": answer})))
}

pub(super) fn update(call: &mut Call<'_>, id: u64, body: &Value) -> Answer {
    require(call, "pg_group_edit")?;
    if !call.account.user_groups.contains_key(&id) {
        return Err(not_found("Group", id));
    }
    let given = wrapped(call, body, "group")?;
    call.write_group(id, given)?;
    view(call, id)
}

pub(super) fn delete(call: &mut Call<'_>, id: u64) -> Answer {
    require(call, "pg_group_delete")?;
    if id <= ADMIN {
        call.context
            .misuse(MisuseKind::ForbiddenTarget, format!("built-in group {id}"));
        return Err(super::forbidden());
    }
    if !call.account.user_groups.contains_key(&id) {
        return Err(not_found("Group", id));
    }
    call.account.delete_user_group(id, USER);
    Ok((200, json!({})))
}

pub(super) fn limits(call: &mut Call<'_>) -> Answer {
    let rows = call.account.user_groups.values().map(|group| {
        let mut row = json!({
            "id": group.id.to_string(),
            "groupid": group.id.to_string(),
            "group": group.id.to_string(),
            "abuseRatio": group.abuse_ratio.to_string(),
            "forceSenderInfo": "0",
        });
        for name in LIMITS {
            let unlimited = if name == "attachment" { "-1" } else { "0" };
            let limit = group.limits.get(name);
            let key = camel(&format!("limit_{name}"));
            if matches!(name, "mail" | "campaign") {
                row[format!("{key}Type")] =
                    json!(limit.map_or("month", |limit| limit.per.as_str()));
            }
            row[key] = limit.map_or_else(
                || json!(unlimited),
                |limit| json!(limit.quantity.to_string()),
            );
        }
        row
    });
    let rows = rows.collect();
    page(call, "groupLimits", rows)
}

fn link_row(list: u64, group: u64) -> Value {
    let mut row = json!({
        "id": edge_id(list, group).to_string(),
        "listid": list.to_string(),
        "groupid": group.to_string(),
        "list": list.to_string(),
        "group": group.to_string(),
    });
    for flag in [
        "p_list_add",
        "p_list_edit",
        "p_list_delete",
        "p_subscriber_add",
        "p_subscriber_edit",
    ] {
        row[flag] = json!("0");
    }
    row
}

pub(super) fn links(call: &mut Call<'_>) -> Answer {
    let groups = call.account.user_groups.values();
    let rows = groups
        .flat_map(|group| group.lists.iter().map(|list| link_row(*list, group.id)))
        .collect();
    page(call, "listGroups", rows)
}

pub(super) fn link(call: &mut Call<'_>, body: &Value) -> Answer {
    require(call, "pg_group_edit")?;
    let given = wrapped(call, body, "listGroup")?;
    let (list, group) = (id_of(given.get("listid")), id_of(given.get("groupid")));
    if !call.account.groups.contains_key(&list) {
        return Err((
            403,
            json!({"message": format!("No Result found for _List with id {list}")}),
        ));
    }
    if !call.account.user_groups.contains_key(&group) {
        return Err(not_found("Group", group));
    }
    call.account.grant_list(group, list, true);
    Ok((201, json!({"listGroup": link_row(list, group)})))
}

pub(super) fn unlink(call: &mut Call<'_>, id: u64) -> Answer {
    require(call, "pg_group_edit")?;
    let link = call.account.user_groups.values().find_map(|group| {
        group
            .lists
            .iter()
            .find(|list| edge_id(**list, group.id) == id)
            .map(|list| (group.id, *list))
    });
    let (group, list) = link.ok_or_else(|| not_found("ListGroup", id))?;
    call.account.grant_list(group, list, false);
    Ok((200, json!({})))
}
