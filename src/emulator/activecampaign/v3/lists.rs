//! Lists in version 3.

use serde_json::{Map, Value, json};

use super::{Answer, check_query, invalid, page, require, text_of, wrapped};
use crate::emulator::activecampaign::Call;
use crate::emulator::activecampaign::rows::{LIST_TEXTS, flag, iso};
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::users::{ADMIN, VISITOR};
use crate::emulator::world::{Group, Visibility, fold};

fn row(list: &Group) -> Value {
    let mut row = json!({
        "id": list.id.to_string(),
        "name": list.name,
        "userid": list.owner.unwrap_or(1).to_string(),
        "user": list.owner.unwrap_or(1).to_string(),
        "cdate": iso(list.added),
        "udate": iso(list.modified),
        "private": flag(list.visibility != Visibility::Public),
        "sender_name": list.sender_name,
        "deletestamp": Value::Null,
        "links": {"contactGoalLists": format!("/api/3/lists/{}/contactGoalLists", list.id)},
    });
    for name in LIST_TEXTS {
        row[name] = list
            .settings
            .get(name)
            .map_or(Value::Null, |value| json!(value));
    }
    row
}

impl Call<'_> {
    /// Administrators reach lists that are linked to no group; they only do not see them in the
    /// pages.
    fn reaches_list(&self, list: u64) -> bool {
        self.sees_list(list)
            || (self.account.groups.contains_key(&list)
                && self.own_group_id() == ADMIN
                && self.login.sees_groups.is_none())
    }

    fn write_list(&mut self, id: u64, given: &Map<String, Value>) {
        let list = self.account.group_mut(id);
        for (name, value) in given {
            let value = text_of(Some(value)).unwrap_or_default();
            if name == "sender_name" {
                list.sender_name = value;
            } else if LIST_TEXTS.contains(&name.as_str()) {
                list.settings.insert(name.clone(), value);
            } else if name == "private" {
                list.visibility = if matches!(value.as_str(), "" | "0") {
                    Visibility::Public
                } else {
                    Visibility::Private
                };
            } else if name != "name" {
                self.context.misuse(
                    MisuseKind::UnknownParameter,
                    name.chars().take(40).collect::<String>(),
                );
            }
        }
        list.settings.retain(|_, value| !value.is_empty());
    }
}

fn missing(id: u64) -> (u16, Value) {
    (
        403,
        json!({"message": format!("No Result found for _List with id {id}")}),
    )
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    check_query(call, &["filters[name]"]);
    let name = fold(call.form.text("filters[name]"));
    let lists = call
        .account
        .groups
        .values()
        .filter(|list| call.reaches_list(list.id) && fold(&list.name).contains(&name));
    let rows = lists.map(row).collect();
    page(call, "lists", rows)
}

pub(super) fn view(call: &mut Call<'_>, id: u64) -> Answer {
    let list = call
        .account
        .groups
        .get(&id)
        .filter(|_| call.reaches_list(id))
        .ok_or_else(|| missing(id))?;
    Ok((200, json!({"list": row(list)})))
}

pub(super) fn create(call: &mut Call<'_>, body: &Value) -> Answer {
    require(call, "pg_list_add")?;
    let given = wrapped(call, body, "list")?;
    for needed in ["name", "stringid", "sender_url", "sender_reminder"] {
        if text_of(given.get(needed)).unwrap_or_default().is_empty() {
            call.context.misuse(MisuseKind::MissingParameter, needed);
            return Err(invalid(
                &format!("The list {needed} was not provided."),
                needed,
                "field_missing",
            ));
        }
    }
    let id = call
        .account
        .add_group(&text_of(given.get("name")).unwrap_or_default());
    let list = call.account.group_mut(id);
    list.owner = Some(1);
    list.settings.clear();
    list.sender_name.clear();
    call.write_list(id, given);
    // No group sees it until it is linked.
    for group in [VISITOR, ADMIN] {
        call.account.user_group_mut(group).lists.remove(&id);
    }
    let answer = call.account.group(id).map(row);
    Ok((201, json!({"list": answer})))
}

pub(super) fn update(call: &mut Call<'_>, id: u64, body: &Value) -> Answer {
    require(call, "pg_list_edit")?;
    if !call.reaches_list(id) {
        return Err(missing(id));
    }
    let given = wrapped(call, body, "list")?;
    if let Some(name) = text_of(given.get("name")).filter(|name| !name.is_empty()) {
        call.account.rename_group(id, &name);
    }
    call.write_list(id, given);
    call.account.record(Change::GroupChanged {
        group: id,
        fields: given
            .keys()
            .filter(|name| *name != "name")
            .cloned()
            .collect(),
    });
    let answer = call.account.group(id).map(row);
    Ok((200, json!({"list": answer})))
}

pub(super) fn delete(call: &mut Call<'_>, id: u64) -> Answer {
    require(call, "pg_list_delete")?;
    if !call.reaches_list(id) {
        return Err(missing(id));
    }
    call.delete_list_later(id);
    Ok((200, json!({})))
}
