//! The version 1 calls about the people who log in.

use serde_json::json;

use super::Call;
use super::answer::{Answer, done, done_with, object, rows};
use super::contact_values::is_address;
use super::form::number;
use super::rows::user_row;
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::users::{User, hash_password};

pub(super) const WRITABLE: &[&str] = &[
    "id",
    "username",
    "password",
    "password_r",
    "email",
    "first_name",
    "last_name",
    "phone",
    "group",
    "lang",
    "timezone",
];

/// By how much the ids of the whole service differ from those of an account.
const GLOBAL: u64 = 700_000;

impl Call<'_> {
    /// The one group that counts of those the request names; left out, it is the caller's own.
    fn read_user_group(&mut self) -> Result<u64, String> {
        let entries = self.form.entries("group");
        let first = if self.account.settings.activecampaign.group_at_zero {
            entries
                .iter()
                .find(|(key, _)| *key == "0")
                .map(|(_, value)| number(value))
        } else {
            entries.first().map(|(_, value)| number(value))
        };
        let Some(group) = first else {
            self.context.misuse(MisuseKind::OmittedUserGroup, "group");
            return Ok(self.own_group_id());
        };
        if entries.len() > 1 {
            self.context.misuse(
                MisuseKind::TooManyItems,
                format!("{} groups for one user", entries.len()),
            );
        }
        if !self.account.user_groups.contains_key(&group) {
            return Err("The user is not allowed in all of the groups you have given.".to_owned());
        }
        Ok(group)
    }

    /// Refuses a group that has all the users it may have.
    pub(super) fn check_seats(&self, group: u64) -> Result<(), String> {
        let limit = self
            .account
            .user_groups
            .get(&group)
            .and_then(|group| group.limits.get("user"));
        if limit.is_some_and(|limit| self.account.users_in(group).len() as u64 >= limit.quantity) {
            return Err("Your license does not allow any more users in this group.".to_owned());
        }
        Ok(())
    }

    fn need(&mut self, names: &[&'static str]) -> Result<(), String> {
        for name in names {
            if !self.form.has(name) {
                self.context.misuse(MisuseKind::MissingParameter, *name);
                return Err(format!("The parameter {name} is required."));
            }
        }
        Ok(())
    }

    fn read_user(&mut self, mut user: User) -> Result<User, String> {
        let form = self.form;
        if form.text("password") != form.text("password_r") {
            return Err("The passwords do not match.".to_owned());
        }
        if !is_address(form.text("email")) {
            return Err("The email address is not valid.".to_owned());
        }
        form.text("email").clone_into(&mut user.email);
        form.text("first_name").clone_into(&mut user.first_name);
        form.text("last_name").clone_into(&mut user.last_name);
        for (name, place) in [
            ("phone", &mut user.phone),
            ("lang", &mut user.language),
            ("timezone", &mut user.time_zone),
        ] {
            if let Some(value) = form.get(name) {
                value.trim().clone_into(place);
            }
        }
        if !form.text("password").is_empty() {
            user.password_hash = hash_password(form.text("password"));
        }
        Ok(user)
    }

    /// The user that `id` or `ids` names.
    fn named_user(&self) -> u64 {
        if self.form.has("id") {
            self.form.number("id")
        } else {
            self.form.number("ids")
        }
    }

    fn remove_user(&mut self, id: u64) {
        if self.form.text("extra") == "1" {
            self.context
                .misuse(MisuseKind::DeletedLists, format!("the lists of user {id}"));
            let owned: Vec<u64> = self
                .account
                .groups
                .values()
                .filter(|list| list.owner == Some(id))
                .map(|list| list.id)
                .collect();
            for list in owned {
                self.account.delete_group(list);
            }
        }
        self.account.delete_user(id);
    }
}

pub(super) fn add(call: &mut Call<'_>) -> Answer {
    call.need(&[
        "username",
        "password",
        "password_r",
        "email",
        "first_name",
        "last_name",
    ])?;
    if call.form.text("password").is_empty() {
        return Err("The password must not be empty.".to_owned());
    }
    let username = call.form.text("username");
    if username.is_empty() || call.account.user_by_name(username).is_some() {
        return Err("The username is already in use.".to_owned());
    }
    let group = call.read_user_group()?;
    call.check_seats(group)?;
    let user = User {
        username: username.to_owned(),
        language: "english".to_owned(),
        group,
        ..User::default()
    };
    let user = call.read_user(user)?;
    let (first_name, last_name) = (user.first_name.clone(), user.last_name.clone());
    let id = call.account.insert_user(user);
    let shown = if call.account.settings.activecampaign.global_user_ids {
        id + GLOBAL
    } else {
        id
    };
    done_with(
        "User added",
        json!({"userid": shown, "absid": id + GLOBAL, "username": call.form.text("username"), "first_name": first_name, "last_name": last_name}),
    )
}

pub(super) fn edit(call: &mut Call<'_>) -> Answer {
    call.need(&[
        "id",
        "username",
        "password",
        "password_r",
        "email",
        "first_name",
        "last_name",
    ])?;
    let id = call.form.number("id");
    let Some(present) = call.account.users.get(&id).cloned() else {
        return Err("The user does not exist.".to_owned());
    };
    if call.form.text("password").is_empty() && call.account.settings.activecampaign.password_needed
    {
        return Err("Please provide a password.".to_owned());
    }
    let group = call.read_user_group()?;
    if group != present.group {
        call.check_seats(group)?;
    }
    let user = call.read_user(present.clone())?;
    let fields: Vec<String> = [
        ("email", user.email != present.email),
        ("first_name", user.first_name != present.first_name),
        ("last_name", user.last_name != present.last_name),
        ("phone", user.phone != present.phone),
        ("lang", user.language != present.language),
        ("timezone", user.time_zone != present.time_zone),
        ("password", user.password_hash != present.password_hash),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(name, _)| name.to_owned())
    .collect();
    call.account.users.insert(id, user);
    if !fields.is_empty() {
        call.account
            .record(Change::UserChanged { user: id, fields });
    }
    call.account.move_user(id, group);
    done("User updated")
}

fn show(call: &Call<'_>, id: u64) -> Answer {
    object(
        call.account
            .users
            .get(&id)
            .map(|user| user_row(user, call.account.now)),
    )
}

pub(super) fn view(call: &mut Call<'_>) -> Answer {
    show(call, call.named_user())
}

pub(super) fn view_email(call: &mut Call<'_>) -> Answer {
    show(
        call,
        call.account
            .user_by_email(call.form.text("email"))
            .unwrap_or(0),
    )
}

pub(super) fn view_username(call: &mut Call<'_>) -> Answer {
    show(
        call,
        call.account
            .user_by_name(call.form.text("username"))
            .unwrap_or(0),
    )
}

pub(super) fn me(call: &mut Call<'_>) -> Answer {
    show(call, call.login.user_id)
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let wanted = call.form.id_list("ids");
    rows(
        call.account
            .users
            .values()
            .filter(|user| wanted.contains(&user.id))
            .map(|user| user_row(user, call.account.now)),
    )
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.form.number("id");
    if id == 1 {
        call.context.misuse(MisuseKind::ForbiddenTarget, "user 1");
        return Err("The first user cannot be deleted.".to_owned());
    }
    call.remove_user(id);
    done("User deleted")
}

pub(super) fn delete_several(call: &mut Call<'_>) -> Answer {
    for id in call.form.id_list("ids").into_iter().filter(|id| *id != 1) {
        call.remove_user(id);
    }
    done("User deleted")
}
