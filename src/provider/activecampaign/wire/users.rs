//! Users on the wire. Views of version 1 carry the stored hash of the password, which is never
//! picked out of an answer.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value as Json, json};

use super::groups::ids_of;
use super::{
    PAGE_ROWS, id_of, numbered_rows, page_rows, query, v1_read, v1_write, v3_read, v3_write, viewed,
};
use crate::http::{Call, CallBody, DecodeError, FormValue, Method};
use crate::model::{Record, Value};
use crate::provider::guess::is_guessed;
use crate::provider::json::{Document, Rows, is_odd, protocol, text};

/// A user of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct User {
    /// The id.
    pub(in super::super) id: u64,
    /// The values under the names of version 1.
    pub(in super::super) profile: Record,
    /// The groups, where the answer names them.
    pub(in super::super) groups: Option<Vec<u64>>,
    /// Whether any of the values can't be read.
    pub(in super::super) unreadable: bool,
}

impl User {
    /// Returns a value, or an empty text.
    pub(in super::super) fn value(&self, name: &str) -> String {
        self.profile
            .get(name)
            .map(Value::to_string)
            .unwrap_or_default()
    }
}

/// Asks version 3 for a page of users.
pub(in super::super) fn page(offset: u64) -> Call {
    v3_read(
        "users",
        "users",
        query(&[
            ("limit", PAGE_ROWS.to_string()),
            ("offset", offset.to_string()),
        ]),
    )
}

/// Asks version 3 for one user.
pub(in super::super) fn one(user: u64) -> Call {
    v3_read("users", &format!("users/{user}"), Vec::new())
}

/// Asks version 3 which group a user is in.
pub(in super::super) fn edge(user: u64) -> Call {
    v3_read(
        "users/userGroup",
        &format!("users/{user}/userGroup"),
        Vec::new(),
    )
}

/// Asks version 1 for users with some ids.
pub(in super::super) fn list(ids: &[u64]) -> Call {
    let ids = ids
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    v1_read("user_list", &[("ids", ids)])
}

/// Asks version 1 for one user; the reference names the parameter otherwise than clients do, so
/// both are sent.
pub(in super::super) fn view(user: u64) -> Call {
    v1_read(
        "user_view",
        &[("id", user.to_string()), ("ids", user.to_string())],
    )
}

/// Asks version 1 for the user with an address.
pub(in super::super) fn view_email(address: &str) -> Call {
    v1_read("user_view_email", &[("email", address.to_owned())])
}

/// Decodes a page of version 3, with the total, which is not always right.
pub(in super::super) fn users(page: &Document) -> Result<(Rows<User>, Option<u64>), DecodeError> {
    page_rows(page, "users", row_of_user)
}

/// Decodes one user of version 3.
pub(in super::super) fn wrapped(fields: &Map<String, Json>) -> Result<User, DecodeError> {
    user(
        fields
            .get("user")
            .and_then(Json::as_object)
            .ok_or_else(|| protocol("\"user\" is missing or not an object"))?,
    )
}

/// Decodes a listing of version 1.
pub(in super::super) fn listed(answer: &Document) -> Result<Rows<User>, DecodeError> {
    numbered_rows(answer, |row| Ok(row_of_user(&row.fields)))
}

/// Decodes a user of either version.
pub(in super::super) fn user(fields: &Map<String, Json>) -> Result<User, DecodeError> {
    row_of_user(viewed(fields)?).ok_or_else(|| protocol("a user has no \"id\""))
}

/// Decodes a user; nothing where it has no id.
fn row_of_user(fields: &Map<String, Json>) -> Option<User> {
    let id = id_of(fields, "id")?;
    let mut profile = Record::new();
    profile.insert("id".into(), Value::from(id.to_string()));
    let spellings = [
        ("email", "email"),
        ("username", "username"),
        ("first_name", "first_name"),
        ("firstName", "first_name"),
        ("last_name", "last_name"),
        ("lastName", "last_name"),
        ("phone", "phone"),
    ];
    let shown = || {
        let spellings = spellings.iter();
        spellings.filter_map(|(spelling, name)| Some((fields.get(*spelling)?, *name)))
    };
    for (value, name) in shown() {
        if let Some(text) = text(value) {
            profile.insert(name.into(), Value::from(text));
        }
    }
    let groups = fields.get("groups").map(|groups| {
        ids_of(Some(groups))
            .iter()
            .filter_map(|id| id.parse().ok())
            .collect()
    });
    Some(User {
        id,
        profile,
        groups,
        unreadable: fields.values().any(is_guessed) || shown().any(|(value, _)| is_odd(value)),
    })
}

/// Decodes the group of a user; `userGroup` on a user is the id of this row and not of the group.
pub(in super::super) fn group_of(
    fields: &Map<String, Json>,
    user: u64,
) -> Result<u64, DecodeError> {
    let rows: Vec<&Map<String, Json>> = match (fields.get("userGroup"), fields.get("userGroups")) {
        (Some(Json::Object(row)), _) => vec![row],
        (_, Some(Json::Array(rows))) => rows.iter().filter_map(Json::as_object).collect(),
        _ => return Err(protocol("the group of a user is missing")),
    };
    let of = |row: &&Map<String, Json>| id_of(row, "user").or_else(|| id_of(row, "userid"));
    let mine: Vec<_> = rows
        .into_iter()
        .filter(|row| of(row).is_none_or(|of| of == user))
        .collect();
    match mine.as_slice() {
        [row] => id_of(row, "group")
            .or_else(|| id_of(row, "groupid"))
            .ok_or_else(|| protocol("the group of a user has no id")),
        _ => Err(protocol("a user is not in exactly one group")),
    }
}

/// How the group of a user is indexed, of which the reference and clients have different notions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum GroupIndex {
    /// By its own id.
    #[default]
    ItsId,
    /// By zero.
    Zero,
}

fn identity(user: &Record, group: u64, index: GroupIndex) -> Vec<(String, String)> {
    // The first four are required, if only their names.
    let mut form: Vec<(String, String)> = ["username", "email", "first_name", "last_name"]
        .into_iter()
        .map(|name| {
            (
                name.to_owned(),
                user.get(name).map(Value::to_string).unwrap_or_default(),
            )
        })
        .collect();
    form.extend(
        user.get("phone")
            .map(|phone| ("phone".to_owned(), phone.to_string())),
    );
    let index = if index == GroupIndex::ItsId { group } else { 0 };
    // Left out, the user would land in the groups of the key's own user.
    form.push((format!("group[{index}]"), group.to_string()));
    form
}

/// Changes a user, whole. Both passwords are sent empty, which keeps the old one.
pub(in super::super) fn edit(id: u64, user: &Record, group: u64, index: GroupIndex) -> Call {
    let mut form = vec![
        ("id".to_owned(), id.to_string()),
        ("password".to_owned(), String::new()),
        ("password_r".to_owned(), String::new()),
    ];
    form.extend(identity(user, group, index));
    v1_write("user_edit", form)
}

/// Changes a user by version 3, which takes no password.
pub(in super::super) fn put(id: u64, user: &Record, group: u64) -> Call {
    let value = |name: &str| user.get(name).map(Value::to_string).unwrap_or_default();
    let mut body = json!({
        "username": value("username"), "email": value("email"), "firstName": value("first_name"), "lastName": value("last_name"),
        "group": group,
    });
    // Version 1 does not show the number, and what is not known is not to be cleared.
    if let Some(phone) = user.get("phone") {
        body["phone"] = json!(phone.to_string());
    }
    v3_write(
        "users",
        Method::Put,
        &format!("users/{id}"),
        &json!({ "user": body }),
    )
}

/// Creates a user by version 3, with a password that nobody knows.
pub(in super::super) fn create(user: &Record, group: u64, password: &SecretString) -> Call {
    let value = |name: &str| user.get(name).map(Value::to_string).unwrap_or_default();
    let mut body = json!({
        "username": value("username"), "email": value("email"), "firstName": value("first_name"), "lastName": value("last_name"),
        "password": password.expose_secret(), "group": group,
    });
    if let Some(phone) = user.get("phone").filter(|phone| !phone.is_empty()) {
        body["phone"] = json!(phone.to_string());
    }
    v3_write("users", Method::Post, "users", &json!({ "user": body }))
}

/// Tells whether a refusal speaks of the password, in a language that an account can have.
pub(in super::super) fn is_about_password(message: &str) -> bool {
    const WORDS: [&str; 13] = [
        "password",
        "passwort",
        "kennwort",
        "wachtwoord",
        "adgangskode",
        "salasana",
        "mot de passe",
        "senha",
        "palavra-passe",
        "contraseña",
        "şifre",
        "parola",
        "密码",
    ];
    let message = message.to_lowercase();
    WORDS.iter().any(|word| message.contains(word))
}

/// Creates a user with a password that nobody knows.
pub(in super::super) fn add(
    user: &Record,
    group: u64,
    index: GroupIndex,
    password: &SecretString,
) -> Call {
    let mut call = v1_write("user_add", identity(user, group, index));
    if let CallBody::Form(form) = &mut call.body {
        form.push(("password".to_owned(), FormValue::Secret(password.clone())));
        form.push(("password_r".to_owned(), FormValue::Secret(password.clone())));
    }
    call
}
