//! The version 1 calls about lists.

use serde_json::{Value, json};

use super::Call;
use super::answer::{Answer, done, done_with, found, object, rows};
use super::form::{Form, number};
use super::rows::{LIST_FLAGS, LIST_TEXTS, list_full, list_short};
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::users::{ADMIN, VISITOR};
use crate::emulator::world::{Visibility, fold};

pub(super) const WRITABLE: &[&str] = &[
    "id",
    "name",
    "sender_name",
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
    "bounceid",
    "private",
    "p_use_captcha",
    "get_unsubscribe_reason",
    "send_last_broadcast",
    "require_name",
    "p_use_twitter",
    "p_use_facebook",
];

/// What a list must have, beside its name, so that mail from it is lawful.
const SENDER: [&str; 7] = [
    "sender_name",
    "sender_addr1",
    "sender_zip",
    "sender_city",
    "sender_country",
    "sender_url",
    "sender_reminder",
];

impl Call<'_> {
    /// Writes all settings of a list as the request has them; what it leaves out becomes empty.
    fn replace_list(&mut self, id: u64) -> Vec<String> {
        let now = self.account.now;
        let form = self.form;
        let list = self.account.group_mut(id);
        let mut fields = Vec::new();
        for name in LIST_TEXTS.into_iter().chain(LIST_FLAGS) {
            let mut value = form.text(name).to_owned();
            if LIST_FLAGS.contains(&name) {
                value = if form.has(name) {
                    "1".to_owned()
                } else {
                    String::new()
                };
            }
            if name == "stringid" && value.is_empty() {
                value = slug(form.text("name"));
            }
            if name == "to_name" && value.is_empty() {
                "Subscriber".clone_into(&mut value);
            }
            if list.settings.get(name).map_or("", String::as_str) != value {
                fields.push(name.to_owned());
                list.settings.insert(name.to_owned(), value);
            }
        }
        list.settings.retain(|_, value| !value.is_empty());
        if list.sender_name != form.text("sender_name") {
            fields.push("sender_name".to_owned());
            form.text("sender_name").clone_into(&mut list.sender_name);
        }
        let visibility = if form.has("private") {
            Visibility::Private
        } else {
            Visibility::Public
        };
        if list.visibility != visibility {
            fields.push("private".to_owned());
            list.visibility = visibility;
        }
        list.modified = now;
        fields
    }

    /// Grants a list to administrators, to the caller and, unless it is private, to visitors, and
    /// to nobody else.
    fn derive_access(&mut self, id: u64) {
        let own = self.own_group_id();
        let public = self
            .account
            .group(id)
            .is_some_and(|list| list.visibility == Visibility::Public);
        let groups: Vec<u64> = self.account.user_groups.keys().copied().collect();
        for group in groups {
            let granted = group == ADMIN || group == own || (group == VISITOR && public);
            self.account.grant_list(group, id, granted);
        }
    }

    /// The addresses that would be told of every write.
    fn warn_of_notices(&mut self) {
        for name in ["subscription_notify", "unsubscription_notify", "carboncopy"] {
            if !self.form.text(name).is_empty() {
                self.context.misuse(MisuseKind::AskedForMail, name);
            }
        }
    }
}

/// The name of a list in addresses.
pub(super) fn slug(name: &str) -> String {
    let dashed: String = fold(name)
        .chars()
        .map(|character| {
            if character.is_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .collect();
    dashed
        .split('-')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

fn check_sender(form: &Form) -> Result<(), String> {
    if SENDER.iter().any(|name| form.text(name).is_empty()) {
        return Err("Sender Information is required and needs to be entered.".to_owned());
    }
    if SENDER
        .iter()
        .filter(|name| **name != "sender_reminder")
        .any(|name| form.text(name).contains('@'))
    {
        return Err("Sender Information needs to contain postal, not e-mail address.".to_owned());
    }
    Ok(())
}

pub(super) fn add(call: &mut Call<'_>) -> Answer {
    let name = call.form.text("name");
    if name.is_empty() {
        call.context.misuse(MisuseKind::MissingParameter, "name");
        return Err("List name cannot be empty.".to_owned());
    }
    check_sender(call.form).inspect_err(|_| {
        call.context
            .misuse(MisuseKind::MissingParameter, "the sender");
    })?;
    let most = call
        .own_group()
        .and_then(|group| group.limits.get("list"))
        .map(|limit| limit.quantity as usize);
    if most.is_some_and(|most| call.visible_lists().len() >= most) {
        return Err("You do not have permission to add any more lists.".to_owned());
    }
    call.warn_of_notices();
    let id = call.account.add_group(name);
    let owner = call.login.user_id;
    call.account.group_mut(id).owner = Some(owner);
    call.replace_list(id);
    call.derive_access(id);
    if let Some(seen) = call
        .account
        .logins
        .iter_mut()
        .find(|login| login.token == call.login.token)
        .and_then(|login| login.sees_groups.as_mut())
    {
        seen.insert(id);
    }
    done_with("List added", json!({"id": id}))
}

pub(super) fn edit(call: &mut Call<'_>) -> Answer {
    let id = call.form.number("id");
    let name = call.form.text("name");
    if !call.sees_list(id) {
        return Err("The list does not exist.".to_owned());
    }
    if name.is_empty() {
        call.context.misuse(MisuseKind::MissingParameter, "name");
        return Err("List name cannot be empty.".to_owned());
    }
    // What is left out is emptied, so a careful client sends it all.
    for needed in SENDER.into_iter().chain([
        "subscription_notify",
        "unsubscription_notify",
        "to_name",
        "carboncopy",
    ]) {
        if !call.form.has(needed) {
            call.context.misuse(MisuseKind::MissingParameter, needed);
        }
    }
    call.warn_of_notices();
    call.account.rename_group(id, name);
    let fields = call.replace_list(id);
    if !fields.is_empty() {
        call.account
            .record(Change::GroupChanged { group: id, fields });
    }
    call.derive_access(id);
    done("List updated")
}

pub(super) fn view(call: &mut Call<'_>) -> Answer {
    let id = call.form.number("id");
    let list = call.account.groups.get(&id).filter(|_| call.sees_list(id));
    object(list.map(|list| list_full(call.account, list)))
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let ids = call.form.text("ids");
    let name = call.form.text("filters[name]");
    if ids.is_empty() && name.is_empty() {
        call.context.misuse(MisuseKind::MissingParameter, "ids");
    }
    let full = call.form.text("full") == "1";
    let wanted = call.form.id_list("ids");
    let all = ids.eq_ignore_ascii_case("all") || (ids.is_empty() && !name.is_empty());
    let shown = call
        .visible_lists()
        .into_iter()
        .filter(|id| all || wanted.contains(id))
        .filter_map(|id| call.account.groups.get(&id))
        .filter(|list| fold(&list.name).contains(&fold(name.trim_matches('%'))))
        .map(|list| {
            if full {
                list_full(call.account, list)
            } else {
                list_short(list)
            }
        });
    rows(shown)
}

pub(super) fn paginator(call: &mut Call<'_>) -> Answer {
    let shown: Vec<Value> = call
        .visible_lists()
        .into_iter()
        .filter_map(|id| call.account.groups.get(&id))
        .filter(|list| call.form.text("public") != "1" || list.visibility == Visibility::Public)
        .map(list_short)
        .collect();
    found(paginate(call.form, shown))
}

/// A page of rows with the counts that go with it.
pub(super) fn paginate(form: &Form, rows: Vec<Value>) -> serde_json::Map<String, Value> {
    let offset = form.number("offset") as usize;
    let limit = match form.number("limit") {
        0 => 10,
        limit => (limit as usize).min(100),
    };
    let total = rows.len();
    let page: Vec<Value> = rows.into_iter().skip(offset).take(limit).collect();
    let mut fields = serde_json::Map::new();
    fields.insert("paginator".to_owned(), json!("1"));
    fields.insert("offset".to_owned(), json!(offset));
    fields.insert("limit".to_owned(), json!(limit));
    fields.insert("total".to_owned(), json!(total.to_string()));
    fields.insert("cnt".to_owned(), json!(page.len()));
    fields.insert("rows".to_owned(), Value::Array(page));
    fields
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.form.number("id");
    if call.sees_list(id) {
        call.delete_list_later(id);
    }
    done("List deleted")
}

pub(super) fn delete_several(call: &mut Call<'_>) -> Answer {
    for id in call.form.text("ids").split(',').map(number) {
        if call.sees_list(id) {
            call.delete_list_later(id);
        }
    }
    done("List deleted")
}
