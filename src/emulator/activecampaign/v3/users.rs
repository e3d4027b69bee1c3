//! Users in version 3.

use serde_json::{Map, Value, json};

use super::{Answer, id_of, invalid, not_found, page, require, text_of, wrapped};
use crate::emulator::activecampaign::Call;
use crate::emulator::activecampaign::contact_values::is_address;
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::users::{User, hash_password};

/// A user; no group stands in it and no password.
fn row(user: &User) -> Value {
    let id = user.id;
    json!({
        "id": id.to_string(),
        "username": user.username,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "email": user.email,
        "phone": user.phone,
        "signature": Value::Null,
        "lang": user.language,
        "localZoneid": user.time_zone,
        "links": {"userGroup": format!("/api/3/users/{id}/userGroup"), "lists": format!("/api/3/users/{id}/lists")},
    })
}

/// What connects a user with the group; its id is that of the user, which is easily taken for the
/// group's.
fn edge_row(user: &User) -> Value {
    json!({
        "id": user.id.to_string(),
        "userid": user.id.to_string(),
        "groupid": user.group.to_string(),
        "user": user.id.to_string(),
        "group": user.group.to_string(),
    })
}

fn written(user: &User) -> Value {
    let mut shown = row(user);
    shown["userGroup"] = json!(user.id.to_string());
    json!({"userGroups": [edge_row(user)], "user": shown})
}

impl Call<'_> {
    fn fill_user(
        &mut self,
        user: &mut User,
        given: &Map<String, Value>,
    ) -> Result<Vec<String>, (u16, Value)> {
        let mut fields = Vec::new();
        for (name, value) in given {
            let value = text_of(Some(value)).unwrap_or_default();
            let place = match name.as_str() {
                "username" => &mut user.username,
                "firstName" => &mut user.first_name,
                "lastName" => &mut user.last_name,
                "email" => &mut user.email,
                "phone" => &mut user.phone,
                "lang" => &mut user.language,
                "localZoneid" => &mut user.time_zone,
                "password" => {
                    if !value.is_empty() {
                        user.password_hash = hash_password(&value);
                        fields.push(name.clone());
                    }
                    continue;
                }
                "group" => continue,
                _ => {
                    self.context.misuse(
                        MisuseKind::UnknownParameter,
                        name.chars().take(40).collect::<String>(),
                    );
                    continue;
                }
            };
            if *place != value {
                *place = value;
                fields.push(name.clone());
            }
        }
        if !is_address(&user.email) {
            return Err(invalid(
                "The email address is not valid.",
                "email",
                "email_invalid",
            ));
        }
        if user.username.is_empty()
            || self
                .account
                .user_by_name(&user.username)
                .is_some_and(|id| id != user.id)
        {
            return Err(invalid(
                "The username is already in use.",
                "username",
                "duplicate",
            ));
        }
        Ok(fields)
    }

    /// The group in a request: one number.
    fn read_group_id(&mut self, given: &Map<String, Value>) -> Result<u64, (u16, Value)> {
        let group = id_of(given.get("group"));
        if self.account.user_groups.contains_key(&group) {
            return Ok(group);
        }
        Err(invalid(
            "The group does not exist.",
            "group",
            "related_missing",
        ))
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let rows = call.account.users.values().map(row).collect();
    page(call, "users", rows)
}

fn shown(call: &Call<'_>, id: Option<u64>) -> Answer {
    let user = id
        .and_then(|id| call.account.users.get(&id))
        .ok_or_else(|| not_found("User", id.unwrap_or(0)))?;
    Ok((200, json!({"user": row(user)})))
}

pub(super) fn view(call: &mut Call<'_>, id: u64) -> Answer {
    shown(call, Some(id))
}

fn decoded(segment: &str) -> String {
    // The rules of a form are those of a path, but for the plus sign.
    let plain = segment.replace('+', "%2B");
    url::form_urlencoded::parse(plain.as_bytes())
        .map(|(name, _)| name.into_owned())
        .next()
        .unwrap_or_default()
}

pub(super) fn by_email(call: &mut Call<'_>, email: &str) -> Answer {
    shown(call, call.account.user_by_email(&decoded(email)))
}

pub(super) fn by_name(call: &mut Call<'_>, name: &str) -> Answer {
    shown(call, call.account.user_by_name(&decoded(name)))
}

pub(super) fn edge(call: &mut Call<'_>, id: u64) -> Answer {
    let user = call
        .account
        .users
        .get(&id)
        .ok_or_else(|| not_found("User", id))?;
    Ok((200, json!({"userGroup": edge_row(user)})))
}

pub(super) fn edges(call: &mut Call<'_>) -> Answer {
    let rows = call.account.users.values().map(edge_row).collect();
    page(call, "userGroups", rows)
}

pub(super) fn create(call: &mut Call<'_>, body: &Value) -> Answer {
    require(call, "pg_user_add")?;
    let given = wrapped(call, body, "user")?;
    for needed in [
        "username",
        "firstName",
        "lastName",
        "email",
        "password",
        "group",
    ] {
        if text_of(given.get(needed)).unwrap_or_default().is_empty() {
            call.context.misuse(MisuseKind::MissingParameter, needed);
            return Err(invalid(
                &format!("The user {needed} was not provided."),
                needed,
                "field_missing",
            ));
        }
    }
    let group = call.read_group_id(given)?;
    call.check_seats(group)
        .map_err(|message| invalid(&message, "group", "limit_exceeded"))?;
    let mut user = User {
        group,
        language: "english".to_owned(),
        ..User::default()
    };
    call.fill_user(&mut user, given)?;
    let id = call.account.insert_user(user);
    Ok((
        201,
        call.account.users.get(&id).map(written).unwrap_or_default(),
    ))
}

pub(super) fn update(call: &mut Call<'_>, id: u64, body: &Value) -> Answer {
    require(call, "pg_user_edit")?;
    let mut user = call
        .account
        .users
        .get(&id)
        .cloned()
        .ok_or_else(|| not_found("User", id))?;
    let given = wrapped(call, body, "user")?;
    let group = if given.contains_key("group") {
        Some(call.read_group_id(given)?)
    } else {
        None
    };
    if let Some(group) = group.filter(|group| *group != user.group) {
        call.check_seats(group)
            .map_err(|message| invalid(&message, "group", "limit_exceeded"))?;
    }
    let fields = call.fill_user(&mut user, given)?;
    call.account.users.insert(id, user);
    if !fields.is_empty() {
        call.account
            .record(Change::UserChanged { user: id, fields });
    }
    if let Some(group) = group {
        call.account.move_user(id, group);
    }
    Ok((
        200,
        call.account.users.get(&id).map(written).unwrap_or_default(),
    ))
}

pub(super) fn delete(call: &mut Call<'_>, id: u64) -> Answer {
    require(call, "pg_user_delete")?;
    if id <= 1 || !call.account.users.contains_key(&id) {
        return Err(not_found("User", id));
    }
    call.account.delete_user(id);
    Ok((200, json!({})))
}
