//! The operations about groups themselves.

use super::items::Judged;
use super::session::reachable;
use super::show::group as show_group;
use super::xml::Node;
use super::{Answer, Call, Failure};
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Group, Visibility};

/// The elements that describe a group when it is written.
pub(super) const WRITABLE: &[&str] = &[
    "Name",
    "GroupType",
    "EmailsSentFromName",
    "EmailsSentFromEmail",
    "EmailPhysicalAddress",
    "EventsTimeZone",
];

#[expect(clippy::unnecessary_wraps, reason = "one signature for all operations")]
pub(super) fn accounts_with_access(call: &mut Call<'_>, _: &Node) -> Answer {
    let mut accounts = Node::new("Accounts");
    for (position, _) in reachable(call.world, &call.login.email) {
        let account = &call.world.accounts[position];
        accounts.push(
            Node::new("Account")
                .with(Node::leaf("AccountNumber", account.number.clone()))
                .with(Node::leaf("AccountName", account.name.clone())),
        );
    }
    Ok(vec![Node::leaf("Result", "Success"), accounts])
}

pub(super) fn get(call: &mut Call<'_>, root: &Node) -> Answer {
    if root.attribute("group_id").is_some() && root.attribute("group_name").is_some() {
        call.context.misuse(
            MisuseKind::AmbiguousTarget,
            "group_id together with group_name",
        );
    }
    let account = call.account();
    let found: Vec<&Group> = account
        .groups
        .values()
        .filter(|group| call.login.sees(group.id))
        .filter(|group| {
            root.attribute("group_id")
                .is_none_or(|id| id.trim() == group.id.to_string())
        })
        .filter(|group| {
            root.attribute("group_name")
                .is_none_or(|name| name == group.name)
        })
        .collect();
    if found.is_empty() && account.settings.greenrope.empty_is_error {
        return Err(Failure::new(Failure::NO_GROUP, "No groups were found."));
    }
    if account.groups.is_empty() && account.settings.greenrope.no_group_list {
        return Ok(vec![Node::leaf("Result", "Success")]);
    }
    let mut groups = Node::new("Groups");
    groups.children = found
        .into_iter()
        .map(|group| show_group(account, group))
        .collect();
    Ok(vec![Node::leaf("Result", "Success"), groups])
}

pub(super) fn create(call: &mut Call<'_>, root: &Node) -> Answer {
    call.need_group_right()?;
    let name = root
        .child("Name")
        .map(|name| squeezed(&name.text))
        .unwrap_or_default();
    if call.context.is_poison(&name) {
        return Err(Failure::new(
            Failure::BAD_VALUE,
            "The group could not be created.",
        ));
    }
    check_values(call, root)?;
    if name.is_empty() {
        call.context.misuse(MisuseKind::MissingParameter, "Name");
        return Err(Failure::new(Failure::BAD_VALUE, "A group needs a name."));
    }
    if call.account().group_named_like(&name, None).is_some() {
        return Err(Failure::new(
            Failure::GROUP_EXISTS,
            "A group with this name exists already.",
        ));
    }
    let id = call.account_mut().add_group(&name);
    apply(call.account_mut().group_mut(id), root);
    // A shared-access user is a member of what it makes.
    let email = call.login.email.clone();
    if let Some(login) = call
        .account_mut()
        .logins
        .iter_mut()
        .find(|login| login.email == email)
        && let Some(groups) = &mut login.sees_groups
    {
        groups.insert(id);
    }
    Ok(vec![
        Node::leaf("Result", "Success"),
        Node::leaf("Group_id", id.to_string()),
    ])
}

pub(super) fn edit(call: &mut Call<'_>, root: &Node) -> Answer {
    call.need_group_right()?;
    call.each_item(root, "Groups", "Group_id", |call, item| {
        let group = match call.match_group(item) {
            Ok(group) => group,
            Err(failure) => return Judged::failed(None, failure),
        };
        match edit_one(call, group, item) {
            Ok(()) => Judged::done(group),
            Err(failure) => Judged::failed(Some(group), failure),
        }
    })
}

fn edit_one(call: &mut Call<'_>, id: u64, item: &Node) -> Result<(), Failure> {
    check_values(call, item)?;
    if let Some(name) = item.child("Name") {
        let name = squeezed(&name.text);
        if item.attribute("group_name").is_some() {
            call.context.misuse(
                MisuseKind::AmbiguousTarget,
                "a group named by the name that is changed",
            );
        }
        if name.is_empty() {
            return Err(Failure::new(Failure::BAD_VALUE, "A group needs a name."));
        }
        if call.account().group_named_like(&name, Some(id)).is_some() {
            return Err(Failure::new(
                Failure::GROUP_EXISTS,
                "A group with this name exists already.",
            ));
        }
        call.account_mut().rename_group(id, &name);
    }
    let account = call.account_mut();
    let now = account.now;
    let group = account.group_mut(id);
    let before = group.clone();
    apply(group, item);
    if *group != before {
        group.modified = now;
        let fields = item
            .children
            .iter()
            .map(|child| child.name.clone())
            .filter(|name| name != "Name")
            .collect();
        account.record(Change::GroupChanged { group: id, fields });
    }
    Ok(())
}

pub(super) fn delete(call: &mut Call<'_>, root: &Node) -> Answer {
    call.need_group_right()?;
    call.each_item(root, "Groups", "Group_id", |call, item| {
        match call.match_group(item) {
            Ok(group) => {
                call.account_mut().delete_group(group);
                Judged::done(group)
            }
            Err(failure) => Judged::failed(None, failure),
        }
    })
}

/// A name as the service keeps it: without blanks at its ends, and with one where there are several.
fn squeezed(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Refuses values that a group can't have.
fn check_values(call: &mut Call<'_>, node: &Node) -> Result<(), Failure> {
    for child in &node.children {
        let wrong = match child.name.as_str() {
            "Name" => child.text.chars().count() > 100,
            "GroupType" => visibility(&child.text).is_none(),
            "EmailsSentFromEmail" => {
                !child.text.is_empty() && !email_address::EmailAddress::is_valid(&child.text)
            }
            "EventsTimeZone" => !child.text.is_empty() && !is_zone(&child.text),
            _ => false,
        };
        if wrong {
            call.context.misuse(
                MisuseKind::WrongType,
                format!("{} has a value that is not allowed", child.name),
            );
            return Err(Failure::new(
                Failure::BAD_VALUE,
                format!("{} is not valid.", child.name),
            ));
        }
    }
    Ok(())
}

/// Whether a text looks like a zone name. A final slash is shown by the service but must not be
/// sent.
fn is_zone(text: &str) -> bool {
    (text == "UTC" || text.contains('/'))
        && !text.ends_with('/')
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "/_+-".contains(character))
}

fn visibility(text: &str) -> Option<Visibility> {
    match text {
        "Public" => Some(Visibility::Public),
        "Private" => Some(Visibility::Private),
        "Hidden" => Some(Visibility::Hidden),
        _ => None,
    }
}

/// Writes everything but the name; what is not sent keeps its value.
fn apply(group: &mut Group, node: &Node) {
    for child in &node.children {
        let place = match child.name.as_str() {
            "GroupType" => {
                group.visibility = visibility(&child.text).unwrap_or(group.visibility);
                continue;
            }
            "EmailsSentFromName" => &mut group.sender_name,
            "EmailsSentFromEmail" => &mut group.sender_email,
            "EmailPhysicalAddress" => &mut group.postal_address,
            "EventsTimeZone" => &mut group.time_zone,
            _ => continue,
        };
        child.text.clone_into(place);
    }
}
