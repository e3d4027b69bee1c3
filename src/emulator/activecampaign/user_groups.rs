//! The version 1 calls about groups of users.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Call;
use super::answer::{Answer, done, done_with, object, rows};
use super::form::number;
use super::rows::{group_full, group_short};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::users::{ADMIN, LIMITS, UserGroup, UserGroupLimit, WRITABLE_FLAGS};
use crate::emulator::world::fold;

pub(super) const WRITABLE: &[&str] = &[
    "id",
    "title",
    "descript",
    "lists",
    "sendmethods",
    "unsubscribelink",
    "abuseratio",
];

/// The periods that a limit may be for.
const PERIODS: [&str; 7] = [
    "day",
    "week",
    "month",
    "month1st",
    "monthcdate",
    "year",
    "ever",
];

impl Call<'_> {
    /// Takes out of the row of a user group what this account never shows.
    fn without_hidden(&self, mut row: Value) -> Value {
        if let Some(row) = row.as_object_mut() {
            row.retain(|name, _| {
                !self
                    .account
                    .settings
                    .activecampaign
                    .hidden_flags
                    .contains(name)
            });
        }
        row
    }

    /// Writes what the request holds over a group. Unless the account's edits patch, what it leaves
    /// out is reset.
    fn read_group(&mut self, mut group: UserGroup, patches: bool) -> Result<UserGroup, String> {
        let form = self.form;
        let keeps = |name: &str| patches && !form.has(name);
        if !keeps("title") {
            form.text("title").clone_into(&mut group.title);
        }
        if !keeps("descript") {
            form.text("descript").clone_into(&mut group.description);
        }
        if !keeps("abuseratio") {
            group.abuse_ratio = if form.text("abuseratio").is_empty() {
                4
            } else {
                form.number("abuseratio")
            };
        }
        if !keeps("unsubscribelink") {
            group.unsubscribe_link = form.has("unsubscribelink");
        }
        for flag in WRITABLE_FLAGS {
            if keeps(flag) {
                continue;
            }
            // That the flag is there is enough, whatever its value, unless the account reads
            // values.
            let on = form.has(flag) && (!patches || form.text(flag) == "1");
            if form.has(flag) && form.text(flag) != "1" {
                self.context
                    .misuse(MisuseKind::WrongType, format!("{flag} is sent and not 1"));
            }
            if on && !self.may(flag) {
                return Err("You do not have permission to do that.".to_owned());
            }
            if on {
                group.permissions.insert(flag.to_owned());
            } else {
                group.permissions.remove(flag);
            }
        }
        self.read_limits(&mut group, patches);
        let lists = form.ids("lists", self.context);
        if !(patches && form.entries("lists").is_empty()) {
            group.lists = lists
                .into_iter()
                .filter(|list| self.account.groups.contains_key(list))
                .collect();
        }
        let methods = form.entries("sendmethods");
        if !(patches && methods.is_empty()) {
            // The first entry is a comma list; the service's own method is always among them.
            let first = methods.first().map_or("", |(_, methods)| *methods);
            group.send_methods = first
                .split(',')
                .map(number)
                .filter(|method| *method > 0)
                .chain([1])
                .collect::<BTreeSet<u64>>();
        }
        Ok(group)
    }

    fn read_limits(&mut self, group: &mut UserGroup, patches: bool) {
        for name in LIMITS {
            let quantity = format!("limit_{name}");
            if self.form.has(&format!("group_limit_{name}_checkbox")) {
                let period = self.form.text(&format!("limit_{name}_type"));
                let per = if !matches!(name, "mail" | "campaign") {
                    ""
                } else if PERIODS.contains(&period) {
                    period
                } else {
                    "month"
                };
                let limit = UserGroupLimit {
                    quantity: self.form.number(&quantity),
                    per: per.to_owned(),
                };
                group.limits.insert(name.to_owned(), limit);
            } else if self.form.has(&quantity) || !patches {
                if self.form.has(&quantity) {
                    self.context.misuse(
                        MisuseKind::MissingParameter,
                        format!("the checkbox of {quantity}"),
                    );
                }
                group.limits.remove(name);
            }
        }
    }

    fn delete_user_group(&mut self, id: u64, heir: u64) -> Result<(), String> {
        if id <= ADMIN {
            self.context
                .misuse(MisuseKind::ForbiddenTarget, format!("built-in group {id}"));
            return Err("This group is built in and cannot be deleted.".to_owned());
        }
        if heir == id || heir == ADMIN || !self.account.user_groups.contains_key(&heir) {
            self.context.misuse(MisuseKind::MissingParameter, "alt");
            return Err("The users need another group.".to_owned());
        }
        // A group that is not there is deleted with success as well.
        self.account.delete_user_group(id, heir);
        Ok(())
    }
}

pub(super) fn add(call: &mut Call<'_>) -> Answer {
    if call.form.text("title").is_empty() {
        call.context.misuse(MisuseKind::MissingParameter, "title");
    }
    let group = call.read_group(UserGroup::default(), false)?;
    let id = call.account.add_user_group(&group.title);
    call.account.replace_user_group(UserGroup { id, ..group });
    done_with("Group added", json!({"group_id": id}))
}

pub(super) fn edit(call: &mut Call<'_>) -> Answer {
    let id = call.form.number("id");
    let patches = call.account.settings.activecampaign.group_edit_patches;
    for needed in ["title", "descript"] {
        if !call.form.has(needed) {
            call.context.misuse(MisuseKind::MissingParameter, needed);
        }
    }
    let Some(group) = call.account.user_groups.get(&id).cloned() else {
        // Nobody looks whether there is such a group.
        return done("Group updated");
    };
    let group = call.read_group(group, patches)?;
    call.account.replace_user_group(group);
    done("Group updated")
}

pub(super) fn view(call: &mut Call<'_>) -> Answer {
    let id = call.form.number("id");
    object(
        call.account
            .user_groups
            .get(&id)
            .map(group_full)
            .map(|row| call.without_hidden(row)),
    )
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let all = call.form.text("ids").is_empty()
        && call.account.settings.activecampaign.group_list_without_ids;
    if call.form.text("ids").is_empty() && !all {
        call.context.misuse(MisuseKind::MissingParameter, "ids");
    }
    let wanted = call.form.id_list("ids");
    let groups = call.account.user_groups.values();
    // The groups of visitors and of plain users are left out.
    let mut shown: Vec<&UserGroup> = groups
        .filter(|group| group.id >= ADMIN && (all || wanted.contains(&group.id)))
        .collect();
    shown.sort_by_key(|group| fold(&group.title));
    rows(
        shown
            .into_iter()
            .map(|group| call.without_hidden(group_short(group)))
            .collect::<Vec<_>>(),
    )
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let (id, heir) = (call.form.number("id"), call.form.number("alt"));
    call.delete_user_group(id, heir)?;
    done("Group deleted")
}

pub(super) fn delete_several(call: &mut Call<'_>) -> Answer {
    let heir = call.form.number("alt");
    for id in call
        .form
        .id_list("ids")
        .into_iter()
        .filter(|id| *id > ADMIN)
    {
        call.delete_user_group(id, heir)?;
    }
    done("Group deleted")
}
