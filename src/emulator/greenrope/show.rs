//! How GreenRope shows groups and contacts.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::xml::Node;
use crate::emulator::login::Login;
use crate::emulator::world::{Account, Contact, Group, Visibility};

/// Profile fields: the wire's name and the neutral name.
pub(super) const PROFILE: [(&str, &str); 22] = [
    ("Firstname", "first_name"),
    ("Lastname", "last_name"),
    ("Title", "title"),
    ("Company", "company"),
    ("Address1", "address1"),
    ("Address2", "address2"),
    ("City", "city"),
    ("State", "state"),
    ("Zip", "zip"),
    ("Country", "country"),
    ("Phone", "phone"),
    ("Mobile", "mobile"),
    ("Fax", "fax"),
    ("Website", "website"),
    ("Birthdate", "birth_date"),
    ("Gender", "gender"),
    ("Hometown", "hometown"),
    ("Height", "height"),
    ("Weight", "weight"),
    ("SkillsAndInterests", "skills"),
    ("Bio", "bio"),
    ("Notes", "notes"),
];

/// The zone of the account's stamps, which do not say it.
pub(super) fn zone(account: &Account) -> TimeZone {
    let seconds = account.settings.utc_offset_minutes.saturating_mul(60);
    TimeZone::fixed(Offset::from_seconds(seconds).unwrap_or(Offset::UTC))
}

/// Writes a moment as the account's clock on the wall shows it.
pub(super) fn stamp(account: &Account, moment: Timestamp) -> String {
    moment
        .to_zoned(zone(account))
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// Writes the day of a moment as the date filters do.
pub(super) fn day(account: &Account, moment: Timestamp) -> String {
    moment
        .to_zoned(zone(account))
        .strftime("%Y%m%d")
        .to_string()
}

pub(super) fn group_type(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Public => "Public",
        Visibility::Private => "Private",
        Visibility::Hidden => "Hidden",
    }
}

/// A group as GetGroups shows it.
pub(super) fn group(account: &Account, group: &Group) -> Node {
    let quirks = &account.settings.greenrope;
    let slash = if quirks.zone_slash && !group.time_zone.is_empty() {
        "/"
    } else {
        ""
    };
    Node::new("Group")
        .with(Node::leaf("AccountNumber", account.number.clone()))
        .with(Node::leaf("Group_id", group.id.to_string()))
        .with(Node::leaf("Name", group.name.clone()))
        .with(Node::leaf("Group_type", group_type(group.visibility)))
        .with(Node::leaf("EmailsSentFromName", group.sender_name.clone()))
        .with(Node::leaf(
            "EmailsSentFromEmail",
            group.sender_email.clone(),
        ))
        .with(Node::leaf(
            "EmailPhysicalAddress",
            group.postal_address.clone(),
        ))
        .with(Node::leaf(
            "IncludeLoginLink",
            if group.login_link { "Yes" } else { "No" },
        ))
        .with(Node::leaf(
            "EventsTimeZone",
            format!("{}{slash}", group.time_zone),
        ))
        .with(Node::leaf(
            "TotalMatchingContacts",
            account.count_members(group, quirks.counted).to_string(),
        ))
}

/// A contact as GetContacts shows it, with the groups that the login sees.
pub(super) fn contact(account: &Account, login: &Login, contact: &Contact, groups: &[u64]) -> Node {
    let mut node = Node::new("Contact").with(Node::leaf("Contact_id", contact.id.to_string()));
    let omit_empty = account.settings.greenrope.omit_empty && contact.id.is_multiple_of(2);
    for (wire, neutral) in PROFILE {
        let value = contact.get(neutral);
        if !(omit_empty && value.is_empty()) {
            node.push(Node::leaf(wire, value));
        }
    }
    node.push(Node::leaf("Email", contact.email.clone()));
    node.push(Node::leaf(
        "Unsubscribed",
        if contact.opted_out.is_some() {
            "1"
        } else {
            "0"
        },
    ));
    node.push(Node::leaf(
        "UpdatedTimeStamp",
        stamp(account, contact.modified),
    ));
    let mut list = Node::new("Groups");
    for group in groups
        .iter()
        .filter(|group| login.sees(**group))
        .filter_map(|group| account.group(*group))
    {
        list.push(
            Node::new("Group")
                .with(Node::leaf("Group_id", group.id.to_string()))
                .with(Node::leaf("Name", group.name.clone())),
        );
    }
    if !account.settings.greenrope.omit_groups {
        node.push(list);
    }
    let mut tags = Node::new("Tags");
    for tag in &contact.tags {
        let id = tag.len().to_string();
        tags.push(
            Node::new("Tag")
                .with(Node::leaf("TagID", id))
                .with(Node::leaf("TagName", tag.clone())),
        );
    }
    node.push(tags);
    let mut custom = Node::new("UserDefinedFields");
    for field in &account.fields {
        let mut entry = Node::new("UserDefinedField")
            .with(Node::leaf("UserFieldID", field.id.to_string()))
            .with(Node::leaf("FieldName", field.name.clone()))
            .with(Node::leaf("FieldType", field.data_type.clone()));
        // Fields without a value come without the element.
        if let Some(value) = contact.custom.get(&field.name) {
            entry.push(Node::leaf("FieldValue", value));
        }
        custom.push(entry);
    }
    node.push(custom);
    node
}
