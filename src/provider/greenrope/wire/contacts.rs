//! The answer to GetContacts: unpaged, perhaps huge, and therefore read as a stream.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::LazyLock;

use compact_str::format_compact;

use super::answer::read_single;
use super::xml::Element;
use crate::http::DecodeError;
use crate::model::{Record, Value, Writable};
use crate::provider::GroupsByPeople;
use crate::provider::greenrope::SCHEMA;

const ROOT: &str = "getcontactsresponse";
const CONTAINER: &str = "contacts";

/// One contact of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Contact {
    /// The id.
    pub id: String,
    /// The address as spelled; nothing when it is empty or had bytes that are not UTF-8.
    pub address: Option<String>,
    /// The account-level opt-out flag, where the contact shows one that can be read.
    pub unsubscribed: Option<bool>,
    /// Whether it shows one that can't be read.
    pub may_refuse: bool,
    /// The ids and names of its groups, where the contact shows them.
    groups: Vec<GroupOfContact>,
    /// The profile; nothing when a part of it had bytes that are not UTF-8, because a guess must
    /// not be written anywhere.
    pub profile: Option<Record>,
}

impl Contact {
    /// Tells whether the contact names its groups and this one is not among them.
    ///
    /// The service ignores filters that it does not know and then answers with everybody, so what
    /// comes is held against what was asked.
    pub(in super::super) fn denies_group(&self, group_id: &str, group_name: &str) -> bool {
        let named = |group: &GroupOfContact| match group {
            (Some(id), _) => id == group_id,
            (None, Some(name)) => name == group_name.trim(),
            // It can't be read and may be this one.
            (None, None) => true,
        };
        self.names_a_group() && !self.groups.iter().any(named)
    }

    /// Tells whether the contact names a group that it is in.
    pub(in super::super) fn names_a_group(&self) -> bool {
        names_any(&self.groups)
    }
}

/// A group of a contact: its id and its name, as far as they are shown.
type GroupOfContact = (Option<String>, Option<String>);

fn names_any(groups: &[GroupOfContact]) -> bool {
    groups
        .iter()
        .any(|(id, name)| id.is_some() || name.is_some())
}

/// Tells whether a contact shows its groups, and that there are none.
fn shows_no_group(item: &Element) -> bool {
    let is_empty = |groups: &Element| {
        groups.children.is_empty() && groups.content().is_none() && is_sound(groups)
    };
    !item.cut && item.child("groups").is_some_and(is_empty)
}

fn groups_of(item: &Element) -> Vec<GroupOfContact> {
    let groups = item.child("groups");
    groups
        .map(|groups| groups.children.iter().map(group_of_contact).collect())
        .unwrap_or_default()
}

/// What a whole answer counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Count {
    /// Contacts in it.
    pub contacts: u64,
    /// How many of them have no id that can be read, so that nobody can tell whom they stand for.
    pub without_id: u64,
    /// How many do not name a group that they are in.
    pub in_no_group: u64,
    /// How many show their groups, and that there are none: an account may not show groups at all.
    pub shown_without: u64,
    /// How many do not say whether they opted out of the account.
    pub unsaid: u64,
    /// How many say something of it that can't be read.
    pub garbled: u64,
    /// How many say that they did.
    pub refusing: u64,
    /// How many say that they did not.
    pub willing: u64,
    /// The count that it gives itself.
    pub total: Option<u64>,
}

impl Count {
    /// Tells whether the answer contradicts itself.
    pub(in super::super) fn disagrees(self) -> bool {
        self.total.is_some_and(|total| total != self.contacts)
    }

    /// Returns what the answer, of a whole account, shows of its groups, where it is sound. That it
    /// is empty says as much of the login as of the account.
    pub(in super::super) fn groups_by_people(self) -> GroupsByPeople {
        if self.disagrees() || self.without_id > 0 || self.shown_without < self.contacts {
            GroupsByPeople::Unsaid
        } else if self.contacts == 0 {
            GroupsByPeople::Nobody
        } else {
            GroupsByPeople::NoGroups
        }
    }

    /// How many rows of an answer to the question for opt-outs leave it open whether the question was
    /// heeded. One that shows a flag nobody can read does not where others were read and all of them
    /// refuse; one that shows none does, since it may be that of somebody who does not.
    pub(in super::super) fn doubtful_refusals(self) -> u64 {
        if self.refusing > 0 && self.willing == 0 {
            self.unsaid
        } else {
            self.unsaid + self.garbled
        }
    }
}

/// Reads an answer to its end: well-formed and successful. Its contacts with an id are kept where
/// there is room for them.
///
/// An answer without a list is none, unless it says itself that there is nobody.
pub(in super::super) fn check_contacts(
    source: impl BufRead,
    mut room: Option<&mut Vec<Contact>>,
) -> Result<Count, DecodeError> {
    let (mut without_id, mut in_no_group, mut shown_without) = (0, 0, 0);
    let (mut unsaid, mut garbled, mut refusing, mut willing) = (0, 0, 0, 0);
    let envelope = read_single(source, ROOT, CONTAINER, &mut |item| {
        shown_without += u64::from(shows_no_group(item));
        match flag(item) {
            None => unsaid += 1,
            Some((_, false)) => garbled += 1,
            Some((true, true)) => refusing += 1,
            Some((false, true)) => willing += 1,
        }
        if let Some(contact) = room.as_ref().and_then(|_| decode(item)) {
            in_no_group += u64::from(!contact.names_a_group());
            if let Some(room) = &mut room {
                room.push(contact);
            }
        } else {
            without_id += u64::from(id(item).is_none());
            in_no_group += u64::from(!names_any(&groups_of(item)));
        }
        Ok(())
    })?;
    let total = match envelope.root.any(&["totalmatchingcontacts"]) {
        Some(text) => Some(text.parse().map_err(|_| {
            DecodeError::Protocol("TotalMatchingContacts is not a number".to_owned())
        })?),
        None => None,
    };
    if !envelope.container && total != Some(0) {
        return Err(DecodeError::Protocol(
            "the answer has no list of contacts".to_owned(),
        ));
    }
    Ok(Count {
        contacts: envelope.items,
        without_id,
        in_no_group,
        shown_without,
        unsaid,
        garbled,
        refusing,
        willing,
        total,
    })
}

/// Hands over each contact with an id of an answer that [`check_contacts`] has passed.
pub(in super::super) fn each_contact(
    source: impl BufRead,
    each: &mut dyn FnMut(Contact) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    read_single(source, ROOT, CONTAINER, &mut |item| match decode(item) {
        Some(contact) => each(contact),
        None => Ok(()),
    })
    .map(drop)
}

/// Returns a contact's id, where it has one that can be read.
fn id(item: &Element) -> Option<String> {
    let mut children = item.children.iter();
    let shown = children.find(|child| {
        matches!(child.name.as_str(), "contact_id" | "contactid" | "id")
            && child.content().is_some()
    })?;
    let id = shown.content().filter(|_| !shown.guessed)?;
    Some(id.trim().to_owned())
}

fn decode(item: &Element) -> Option<Contact> {
    let id = id(item)?;
    let email = item.child("email");
    let address = email
        .filter(|email| !email.guessed)
        .and_then(Element::content)
        .map(|text| text.trim().to_owned());
    let flag = flag(item);
    // What decides about the person and can't be read is named, like a profile that can't be.
    let decisive = ["unsubscribed", "groups"].iter();
    let is_certain = !item.cut && decisive.filter_map(|name| item.child(name)).all(is_sound);
    Some(Contact {
        profile: profile(item, &id).filter(|_| is_certain),
        id,
        address,
        unsubscribed: flag.and_then(|(is_set, is_sound)| is_sound.then_some(is_set)),
        may_refuse: flag.is_some_and(|(_, is_sound)| !is_sound),
        groups: groups_of(item),
    })
}

/// Tells whether nothing in an element was guessed.
fn is_sound(element: &Element) -> bool {
    !element.guessed && element.children.iter().all(is_sound)
}

/// Returns the account-level opt-out flag that a contact shows, and whether it can be read.
fn flag(item: &Element) -> Option<(bool, bool)> {
    let children = item.children.iter();
    children
        .filter(|child| child.name == "unsubscribed")
        .find_map(|child| Some((is_set(child.content()?), !child.guessed)))
}

/// A flag that is not clearly "no" counts as set: an opt-out must not get lost in a spelling.
fn is_set(text: &str) -> bool {
    let text = text.trim();
    !(text.parse::<i64>() == Ok(0)
        || ["no", "n", "false"]
            .iter()
            .any(|no| text.eq_ignore_ascii_case(no)))
}

fn group_of_contact(group: &Element) -> GroupOfContact {
    let readable = |names: &[&str]| {
        let mut children = group.children.iter();
        let shown = children.find(|child| names.contains(&child.name.as_str()))?;
        shown.content().filter(|_| !shown.guessed)
    };
    let name =
        readable(&["name", "groupname"]).or_else(|| group.content().filter(|_| !group.guessed));
    let trimmed = |text: &str| text.trim().to_owned();
    (
        readable(&["group_id", "groupid"]).map(trimmed),
        name.map(trimmed),
    )
}

/// The fields of a profile, by their names in lower case.
static FIELDS: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let fields = SCHEMA.members.iter();
    fields
        .filter(|field| field.writable != Writable::No && !field.wire.starts_with("custom."))
        .map(|field| (field.wire.to_lowercase(), field.wire))
        .collect()
});

/// Collects the profile under the names of the field table; nothing when any of it was guessed.
fn profile(item: &Element, id: &str) -> Option<Record> {
    let mut record = Record::from([("Contact_id".into(), Value::from(id))]);
    let mut met = Vec::with_capacity(FIELDS.len());
    for child in &item.children {
        let Some(wire) = FIELDS.get(child.name.as_str()) else {
            continue;
        };
        // Of several the first one counts.
        if met.contains(wire) {
            continue;
        }
        met.push(*wire);
        if child.guessed {
            return None;
        }
        if let Some(text) = child.content() {
            record.insert((*wire).into(), Value::from(text));
        }
    }
    for custom in item
        .child("userdefinedfields")
        .map(|list| list.children.as_slice())
        .unwrap_or_default()
    {
        if !is_sound(custom) {
            return None;
        }
        let Some(name) = custom.any(&["fieldname"]) else {
            continue;
        };
        let wire = format_compact!("custom.{name}");
        match custom.value("fieldvalue") {
            Some(value) => drop(record.insert(wire, Value::from(value))),
            // A field without a value is there all the same, which not every login can ask.
            None => drop(record.entry(wire).or_insert_with(|| Value::from(""))),
        }
    }
    let tags = item
        .child("tags")
        .map(|tags| tags.children.as_slice())
        .unwrap_or_default();
    if !tags.iter().all(is_sound) {
        return None;
    }
    let mut tags: Vec<String> = tags
        .iter()
        .filter_map(|tag| {
            tag.any(&["tagname"])
                .or_else(|| tag.content().map(str::trim))
        })
        .map(str::to_owned)
        .collect();
    tags.sort();
    tags.dedup();
    if !tags.is_empty() {
        record.insert("Tags".into(), Value::List(tags));
    }
    Some(record)
}
