//! SearchContacts: rules over the contacts, with short records and without refusals unless they are
//! included.

use super::show;
use super::xml::Node;
use super::{Answer, Call, Failure};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Account, Contact, MembershipState, fold};

pub(super) const CHILDREN: &[&str] = &[
    "From",
    "Filter",
    "Rules",
    "Includes",
    "OrderBy",
    "OrderDirection",
    "Page",
    "Groups",
];

/// Rows of one page.
const PAGE: usize = 100;

pub(super) fn search(call: &mut Call<'_>, root: &Node) -> Answer {
    let text = |name: &str| root.child(name).map_or("", |child| child.text.as_str());
    let rules = root
        .child("Rules")
        .map(|rules| rules.children.as_slice())
        .unwrap_or_default();
    let any = text("Filter") == "any";
    let page = text("Page").parse::<usize>().unwrap_or(1).max(1);
    let groups = searched_groups(call, root, text("From"))?;
    let include = |name: &str| {
        root.child("Includes")
            .and_then(|includes| includes.child(name))
            .is_some_and(|flag| flag.text == "Y")
    };
    let (opted_out, bounced) = (include("Unsubscribers"), include("BouncedContacts"));

    let account = call.account();
    let mut found: Vec<&Contact> = account
        .contacts
        .values()
        .filter(|contact| call.sees_contact(contact.id))
        .filter(|contact| match &groups {
            None => true,
            Some(groups) => groups.iter().any(|group| {
                account
                    .membership(*group, contact.id)
                    .is_some_and(|state| match state {
                        MembershipState::OptedOut => opted_out,
                        MembershipState::Bounced => bounced,
                        MembershipState::Active | MembershipState::Unconfirmed => true,
                    })
            }),
        })
        .filter(|contact| {
            (opted_out || contact.opted_out.is_none()) && (bounced || contact.bounced.is_none())
        })
        .filter(|contact| {
            let mut results = rules.iter().map(|rule| holds(account, contact, rule));
            rules.is_empty()
                || if any {
                    results.any(|holds| holds)
                } else {
                    results.all(|holds| holds)
                }
        })
        .collect();
    match text("OrderBy") {
        "ContactCreated" => found.sort_by_key(|contact| (contact.added, contact.id)),
        "" => {}
        field => {
            found.sort_by_cached_key(|contact| (fold(&value(account, contact, field)), contact.id));
        }
    }
    if text("OrderDirection") == "desc" {
        found.reverse();
    }
    let total = found.len();
    let mut contacts = Node::new("Contacts");
    for contact in found
        .into_iter()
        .skip((page - 1).saturating_mul(PAGE))
        .take(PAGE)
    {
        contacts.push(
            Node::new("Contact")
                .with(Node::leaf("ID", contact.id.to_string()))
                .with(Node::leaf("Firstname", contact.get("first_name")))
                .with(Node::leaf("Lastname", contact.get("last_name")))
                .with(Node::leaf("Company", contact.get("company")))
                .with(Node::leaf("Email", contact.email.clone())),
        );
    }
    Ok(vec![
        Node::leaf("Result", "Success"),
        Node::leaf("TotalMatchingContacts", total.to_string()),
        contacts,
    ])
}

/// The groups to search in; none means the whole account.
fn searched_groups(
    call: &mut Call<'_>,
    root: &Node,
    from: &str,
) -> Result<Option<Vec<u64>>, Failure> {
    let listed = root
        .child("Groups")
        .map(|groups| groups.children.as_slice())
        .unwrap_or_default();
    if !listed.is_empty() {
        let ids = listed.iter().filter_map(|group| group.text.parse().ok());
        return Ok(Some(ids.filter(|group| call.login.sees(*group)).collect()));
    }
    match from {
        "single" | "" if root.attribute("group_id").is_some() => {
            call.match_group(root).map(|group| Some(vec![group]))
        }
        "all" | "" => Ok(None),
        _ => {
            call.context
                .misuse(MisuseKind::MissingParameter, "From single needs group_id");
            Err(Failure::new(
                Failure::NO_GROUP,
                "The group to search in is missing.",
            ))
        }
    }
}

/// The text of a field that rules compare.
fn value(account: &Account, contact: &Contact, field: &str) -> String {
    match field {
        "Email" => contact.email.clone(),
        "ContactCreated" => day(account, contact),
        _ => show::PROFILE
            .iter()
            .find(|(wire, _)| *wire == field)
            .map_or_else(
                || contact.custom.get(field).unwrap_or_default(),
                |(_, neutral)| contact.get(neutral),
            )
            .to_owned(),
    }
}

fn day(account: &Account, contact: &Contact) -> String {
    contact
        .added
        .to_zoned(show::zone(account))
        .strftime("%Y/%m/%d")
        .to_string()
}

fn holds(account: &Account, contact: &Contact, rule: &Node) -> bool {
    let text = |name: &str| rule.child(name).map_or("", |child| child.text.as_str());
    let present = value(account, contact, text("Field"));
    match text("Range") {
        "on" => return present == text("Date"),
        "before" => return present.as_str() < text("Date"),
        "after" => return present.as_str() > text("Date"),
        "between" => return present.as_str() >= text("Date") && present.as_str() <= text("Date2"),
        _ => {}
    }
    let (present, wanted) = (fold(&present), fold(text("Value")));
    match text("Operator") {
        "contains" => present.contains(&wanted),
        "does not contain" => !present.contains(&wanted),
        "begins with" => present.starts_with(&wanted),
        "ends with" => present.ends_with(&wanted),
        "is not" => present != wanted,
        _ => present == wanted,
    }
}
