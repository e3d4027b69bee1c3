//! The calls about groups themselves.

use serde_json::{Value, json};

use super::Call;
use super::envelope::{Answer, Failure};
use super::params::{Params, missing};
use super::values::{optional_id, stamp, text};
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::settings::Counted;
use crate::emulator::world::{
    Account, Group, GroupKind, GroupStatus, MembershipState, Visibility, fold,
};

pub(super) const SEARCH: &[&str] = &[
    "groupName",
    "status",
    "groupIDs",
    "userID",
    "private",
    "type",
    "page",
    "rpp",
    "sortField",
    "sortDirection",
];

/// What can be set, then what a full group object holds besides, which is accepted and passed over.
pub(super) const SAVE: &[&str] = &[
    "groupID",
    "groupName",
    "status",
    "protected",
    "description",
    "friendlyName",
    "private",
    "userIDs",
    "notes",
    "externalID",
    "type",
    "userID",
    "autoResponseEmailID",
    "dateAdded",
    "dateModified",
    "dateLastEmailSent",
    "totalMembers",
    "activeMembers",
    "sendTests",
];

pub(super) fn search(call: &mut Call<'_>, params: &Params) -> Answer {
    let context = &mut *call.context;
    let name = params.text("groupName", context)?.map(fold);
    let status = params
        .word("status", &["Active", "Archived", "All"], context)?
        .unwrap_or("Active");
    let ids = params.ids("groupIDs", usize::MAX, context)?;
    let user = params.id("userID", context)?;
    let private = params.flag("private", context)?;
    let kind = params
        .word("type", &["Dynamic", "Static", "All"], context)?
        .unwrap_or("All");
    let sort = params
        .word(
            "sortField",
            &[
                "groupID",
                "groupName",
                "dateAdded",
                "dateModified",
                "dateLastEmailSent",
                "totalMembers",
                "activeMembers",
            ],
            context,
        )?
        .unwrap_or("groupName");
    let descending = params.word("sortDirection", &["asc", "desc"], context)? == Some("desc");
    let page = call.page(params, 20, 250)?;

    let account = &*call.account;
    let mut found: Vec<&Group> = account
        .groups
        .values()
        .filter(|group| call.login.sees(group.id))
        .filter(|group| {
            name.as_ref()
                .is_none_or(|name| fold(&group.name).contains(name.as_str()))
        })
        .filter(|group| status == "All" || status == status_word(group))
        .filter(|group| ids.as_ref().is_none_or(|ids| ids.contains(&group.id)))
        .filter(|group| {
            user.is_none_or(|user| group.owner == Some(user) || group.user_ids.contains(&user))
        })
        .filter(|group| {
            private.is_none_or(|private| (group.visibility != Visibility::Public) == private)
        })
        .filter(|group| kind == "All" || kind == kind_word(group))
        .collect();
    found.sort_by_cached_key(|group| {
        let key = match sort {
            "groupID" => String::new(),
            "groupName" => fold(&group.name),
            "dateAdded" => stamp(account, Some(group.added)),
            "dateModified" => stamp(account, Some(group.modified)),
            "dateLastEmailSent" => stamp(account, group.last_sent),
            "totalMembers" => format!("{:020}", group.members.len()),
            _ => format!("{:020}", active_members(account, group)),
        };
        (key, group.id)
    });
    if descending {
        found.reverse();
    }
    let ids: Vec<u64> = found.into_iter().map(|group| group.id).collect();
    Ok(call.paged(&page, &ids, |account, id| {
        account
            .group(*id)
            .map_or(Value::Null, |group| summary(account, group))
    }))
}

pub(super) fn lookup(call: &mut Call<'_>, params: &Params) -> Answer {
    if let Some(ids) = params.ids("groupIDs", 25, call.context)? {
        call.context.items = ids.len();
        let account = &*call.account;
        let found: Vec<Value> = ids
            .iter()
            .filter_map(|id| account.group(*id))
            .filter(|group| call.login.sees(group.id))
            .map(|group| full(account, group))
            .collect();
        return Ok(json!(found));
    }
    let id = params.needed_id("groupID", call.context)?;
    match call
        .account
        .group(id)
        .filter(|group| call.login.sees(group.id))
    {
        Some(group) => Ok(full(call.account, group)),
        None if call.account.settings.emfluence.missing_as_empty => Ok(json!({})),
        None => Err(no_group(id)),
    }
}

pub(super) fn save(call: &mut Call<'_>, params: &Params) -> Answer {
    let context = &mut *call.context;
    let id = params.id("groupID", context)?;
    let name = params.text_up_to("groupName", 100, context)?.map(str::trim);
    let status = params.word("status", &["Active", "Archived"], context)?;
    let protected = params.flag("protected", context)?;
    let private = params.flag("private", context)?;
    let description = params.text("description", context)?;
    let friendly_name = params.text("friendlyName", context)?;
    let notes = params.text_up_to("notes", 500, context)?;
    let external_id = params.text_up_to("externalID", 50, context)?;
    let users = params.ids("userIDs", usize::MAX, context)?;
    if name == Some("") || (id.is_none() && name.is_none()) {
        return Err(missing("groupName", context));
    }
    if id.is_none() && params.raw("type").and_then(Value::as_str) == Some("Dynamic") {
        context.misuse(MisuseKind::ForbiddenTarget, "creating a dynamic group");
        return Err(Failure::new(
            Failure::REFUSED,
            "Dynamic groups can't be created.",
        ));
    }
    if name.is_some_and(|name| call.context.is_poison(name)) {
        return Err(Failure::new(Failure::INVALID, "groupName is not valid."));
    }
    if let Some(owner) = name.and_then(|name| call.account.group_named_like(name, id)) {
        return Err(
            Failure::new(Failure::DUPLICATE, "A group with this name exists already.")
                .with_data(json!({"groupID": owner})),
        );
    }

    let resets = call.account.settings.emfluence.update_resets_flags;
    let id = if let Some(id) = id {
        let group = call
            .account
            .group(id)
            .filter(|group| call.login.sees(group.id))
            .ok_or_else(|| no_group(id))?;
        if group.kind == GroupKind::BuiltIn {
            call.context.misuse(
                MisuseKind::ForbiddenTarget,
                format!("group {id} is built in"),
            );
            return Err(Failure::new(
                Failure::REFUSED,
                "This group can't be changed.",
            ));
        }
        if group.protected && status == Some("Archived") && group.status == GroupStatus::Active {
            call.context
                .misuse(MisuseKind::ProtectedGroup, format!("archiving group {id}"));
            return Err(Failure::new(
                Failure::REFUSED,
                "Protected groups can't be archived.",
            ));
        }
        if let Some(name) = name {
            call.account.rename_group(id, name);
        }
        id
    } else {
        let id = call.account.add_group(name.unwrap_or_default());
        call.account.group_mut(id).owner = Some(call.login.user_id);
        // A restricted user sees what it makes.
        if let Some(login) = call
            .account
            .logins
            .iter_mut()
            .find(|login| login.token == call.login.token)
            && let Some(groups) = &mut login.sees_groups
        {
            groups.insert(id);
        }
        id
    };

    let now = call.account.now;
    let group = call.account.group_mut(id);
    let before = group.clone();
    if let Some(protected) = protected.or(resets.then_some(false)) {
        group.protected = protected;
    }
    if let Some(private) = private.or(resets.then_some(true)) {
        group.visibility = if private {
            Visibility::Private
        } else {
            Visibility::Public
        };
    }
    for (target, value) in [
        (&mut group.description, description),
        (&mut group.friendly_name, friendly_name),
        (&mut group.notes, notes),
        (&mut group.external_id, external_id),
    ] {
        if let Some(value) = value {
            value.clone_into(target);
        }
    }
    if let Some(users) = users {
        group.user_ids = users;
    }
    let fields = changed(&before, group);
    if !fields.is_empty() {
        group.modified = now;
        call.account
            .record(Change::GroupChanged { group: id, fields });
    }
    match status {
        Some("Archived") => call.account.archive_group(id),
        Some(_) => call.account.restore_group(id),
        None => {}
    }
    Ok(call
        .account
        .group(id)
        .map_or(Value::Null, |group| full(call.account, group)))
}

fn changed(before: &Group, after: &Group) -> Vec<String> {
    [
        ("protected", before.protected != after.protected),
        ("private", before.visibility != after.visibility),
        ("description", before.description != after.description),
        ("friendlyName", shown_name(before) != shown_name(after)),
        ("notes", before.notes != after.notes),
        ("externalID", before.external_id != after.external_id),
        ("userIDs", before.user_ids != after.user_ids),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(name, _)| name.to_owned())
    .collect()
}

pub(super) fn delete(call: &mut Call<'_>, params: &Params) -> Answer {
    let id = params.needed_id("groupID", call.context)?;
    let group = call
        .account
        .group(id)
        .filter(|group| call.login.sees(group.id))
        .ok_or_else(|| no_group(id))?;
    if group.protected {
        call.context
            .misuse(MisuseKind::ProtectedGroup, format!("deleting group {id}"));
        return Err(Failure::new(
            Failure::REFUSED,
            "Protected groups can't be deleted.",
        ));
    }
    if group.kind == GroupKind::BuiltIn {
        call.context.misuse(
            MisuseKind::ForbiddenTarget,
            format!("deleting the built-in group {id}"),
        );
        return Err(Failure::new(
            Failure::REFUSED,
            "This group can't be deleted.",
        ));
    }
    call.account.delete_group(id);
    Ok(Value::Null)
}

pub(super) fn no_group(id: u64) -> Failure {
    Failure::new(Failure::NOT_FOUND, format!("Group {id} was not found."))
}

fn status_word(group: &Group) -> &'static str {
    match group.status {
        GroupStatus::Active => "Active",
        GroupStatus::Archived => "Archived",
    }
}

fn kind_word(group: &Group) -> &'static str {
    match group.kind {
        GroupKind::Dynamic => "Dynamic",
        GroupKind::Static | GroupKind::BuiltIn => "Static",
    }
}

/// The name that contacts see.
fn shown_name(group: &Group) -> &str {
    if group.friendly_name.is_empty() {
        &group.name
    } else {
        &group.friendly_name
    }
}

fn active_members(account: &Account, group: &Group) -> usize {
    group
        .members
        .iter()
        .filter(|(contact, membership)| {
            membership.state == MembershipState::Active
                && account
                    .contact(**contact)
                    .is_some_and(|contact| contact.opted_out.is_none() && contact.bounced.is_none())
        })
        .count()
}

/// A group as groups/search shows it.
fn summary(account: &Account, group: &Group) -> Value {
    let total = account.count_members(group, Counted::All) as u64;
    json!({
        "groupID": group.id,
        "groupName": text(account, &group.name),
        "status": status_word(group),
        "type": kind_word(group),
        "friendlyName": text(account, shown_name(group)),
        "description": text(account, &group.description),
        "private": i32::from(group.visibility != Visibility::Public),
        "userID": optional_id(group.owner),
        "autoResponseEmailID": optional_id(group.auto_response),
        "dateAdded": stamp(account, Some(group.added)),
        "dateModified": stamp(account, Some(group.modified)),
        "dateLastEmailSent": stamp(account, group.last_sent),
        "totalMembers": total.saturating_sub(account.settings.emfluence.lagging_counter),
        "activeMembers": active_members(account, group),
    })
}

/// A group as groups/lookup and groups/save show it.
fn full(account: &Account, group: &Group) -> Value {
    let mut value = summary(account, group);
    value["externalID"] = text(account, &group.external_id);
    value["notes"] = text(account, &group.notes);
    value["protected"] = json!(i32::from(group.protected));
    value["sendTests"] = json!(i32::from(group.send_tests));
    value["userIDs"] = json!(group.user_ids);
    value
}
