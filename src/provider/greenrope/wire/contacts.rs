//! The answer to GetContacts: unpaged, perhaps huge, and therefore read as a stream.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::LazyLock;

use compact_str::format_compact;

use super::answer::read_single;
use super::tree::Element;
use crate::http::DecodeError;
use crate::model::packed::{Damaged, Unpacking, put_number, put_text, put_value};
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

    /// Writes it in few bytes.
    pub(in super::super) fn pack(&self, out: &mut Vec<u8>) {
        put_text(out, &self.id);
        put_option(out, self.address.as_deref());
        out.push(match (self.unsubscribed, self.may_refuse) {
            (Some(false), _) => 0,
            (Some(true), _) => 1,
            (None, false) => 2,
            (None, true) => 3,
        });
        put_number(out, self.groups.len() as u64);
        for (id, name) in &self.groups {
            put_option(out, id.as_deref());
            put_option(out, name.as_deref());
        }
        for (name, value) in self.profile.iter().flatten() {
            put_text(out, name);
            put_value(out, value);
        }
    }

    /// Takes out what [`Contact::pack`] has written.
    pub(in super::super) fn unpack(packed: &[u8]) -> Result<Contact, Damaged> {
        let mut packed = Unpacking(packed);
        let id = packed.text()?.to_owned();
        let address = take_option(&mut packed)?;
        let flag = packed.byte()?;
        let groups = (0..packed.number()?)
            .map(|_| Ok((take_option(&mut packed)?, take_option(&mut packed)?)))
            .collect::<Result<_, Damaged>>()?;
        // Of a profile that is there at least the id is.
        let mut profile = Vec::new();
        while !packed.is_done() {
            profile.push((packed.text()?.into(), packed.value()?));
        }
        Ok(Contact {
            id,
            address,
            unsubscribed: (flag < 2).then_some(flag == 1),
            may_refuse: flag == 3,
            groups,
            profile: (!profile.is_empty()).then(|| profile.into_iter().collect()),
        })
    }

    /// Tells whether the contact names a group that it is in.
    pub(in super::super) fn names_a_group(&self) -> bool {
        names_any(&self.groups)
    }
}

/// A group of a contact: its id and its name, as far as they are shown.
type GroupOfContact = (Option<String>, Option<String>);

fn put_option(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text);
    }
}

fn take_option(packed: &mut Unpacking<'_>) -> Result<Option<String>, Damaged> {
    Ok(match packed.byte()? {
        0 => None,
        _ => Some(packed.text()?.to_owned()),
    })
}

fn names_any(groups: &[GroupOfContact]) -> bool {
    groups
        .iter()
        .any(|(id, name)| id.is_some() || name.is_some())
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

/// Reads an answer to its end: well-formed and successful. Its contacts with an id are handed over to
/// whoever keeps them; none of them counts before the end was found to be sound.
///
/// An answer without a list is none, unless it says itself that there is nobody.
pub(in super::super) fn check_contacts(
    source: impl BufRead,
    mut keep: Option<&mut dyn FnMut(Contact) -> Result<(), DecodeError>>,
) -> Result<Count, DecodeError> {
    let (mut without_id, mut in_no_group, mut shown_without) = (0, 0, 0);
    let (mut unsaid, mut garbled, mut refusing, mut willing) = (0, 0, 0, 0);
    let envelope = read_single(source, ROOT, CONTAINER, &mut |item| {
        let parts = Parts::of(item.root());
        shown_without += u64::from(parts.shows_no_group());
        match parts.flag() {
            None => unsaid += 1,
            Some((_, false)) => garbled += 1,
            Some((true, true)) => refusing += 1,
            Some((false, true)) => willing += 1,
        }
        without_id += u64::from(parts.id().is_none());
        let contact = keep.as_ref().and_then(|_| parts.decode());
        in_no_group += u64::from(match &contact {
            Some(contact) => !contact.names_a_group(),
            None => !names_any(&parts.groups()),
        });
        match (contact, &mut keep) {
            (Some(contact), Some(keep)) => keep(contact),
            _ => Ok(()),
        }
    })?;
    let total = match envelope.root().any(&["totalmatchingcontacts"]) {
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

/// What is read of a contact. Of several parts of a name the first one counts, unless it says nothing
/// where that says nothing of the contact either.
struct Parts<'a> {
    item: Element<'a>,
    /// The first of the parts with an id that is not blank.
    id: Option<Element<'a>>,
    email: Option<Element<'a>>,
    unsubscribed: Option<Element<'a>>,
    /// The first of them that is not blank.
    flag: Option<Element<'a>>,
    groups: Option<Element<'a>>,
    custom: Option<Element<'a>>,
    tags: Option<Element<'a>>,
    /// The fields of the profile, in the order of [`FIELDS`].
    fields: Vec<Option<Element<'a>>>,
}

impl<'a> Parts<'a> {
    fn of(item: Element<'a>) -> Self {
        let mut parts = Parts {
            item,
            id: None,
            email: None,
            unsubscribed: None,
            flag: None,
            groups: None,
            custom: None,
            tags: None,
            fields: vec![None; FIELDS.len()],
        };
        for child in item.children() {
            let name = child.name();
            if let Some(field) = PLACES.get(name) {
                parts.fields[*field].get_or_insert(child);
            }
            match name {
                "contact_id" | "contactid" | "id" => keep_said(&mut parts.id, child),
                "unsubscribed" => {
                    parts.unsubscribed.get_or_insert(child);
                    keep_said(&mut parts.flag, child);
                }
                "email" => drop(parts.email.get_or_insert(child)),
                "groups" => drop(parts.groups.get_or_insert(child)),
                "userdefinedfields" => drop(parts.custom.get_or_insert(child)),
                "tags" => drop(parts.tags.get_or_insert(child)),
                _ => {}
            }
        }
        parts
    }

    /// Returns the contact's id, where it has one that can be read.
    fn id(&self) -> Option<&'a str> {
        self.id.and_then(read).map(str::trim)
    }

    /// Returns the account-level opt-out flag that the contact shows, and whether it can be read.
    fn flag(&self) -> Option<(bool, bool)> {
        let flag = self.flag?;
        Some((is_set(flag.content()?), !flag.is_guessed()))
    }

    /// Tells whether the contact shows its groups, and that there are none.
    fn shows_no_group(&self) -> bool {
        let is_empty = |groups: Element<'_>| {
            groups.children().next().is_none() && groups.content().is_none() && groups.is_sound()
        };
        !self.item.is_cut() && self.groups.is_some_and(is_empty)
    }

    fn groups(&self) -> Vec<GroupOfContact> {
        let groups = self.groups.into_iter().flat_map(Element::children);
        groups.map(group_of_contact).collect()
    }

    fn decode(&self) -> Option<Contact> {
        let id = self.id()?;
        let flag = self.flag();
        // What decides about the person and can't be read is named, like a profile that can't be.
        let mut decisive = [self.unsubscribed, self.groups].into_iter().flatten();
        let is_certain = !self.item.is_cut() && decisive.all(Element::is_sound);
        Some(Contact {
            profile: self.profile(id).filter(|_| is_certain),
            id: id.to_owned(),
            address: self.email.and_then(read).map(|text| text.trim().to_owned()),
            unsubscribed: flag.and_then(|(is_set, is_sound)| is_sound.then_some(is_set)),
            may_refuse: flag.is_some_and(|(_, is_sound)| !is_sound),
            groups: self.groups(),
        })
    }

    /// Collects the profile under the names of the field table; nothing when any of it was guessed.
    fn profile(&self, id: &str) -> Option<Record> {
        let mut values = Vec::with_capacity(FIELDS.len() + 8);
        values.push(("Contact_id".into(), Value::from(id)));
        for (field, wire) in self.fields.iter().zip(FIELDS.iter()) {
            let Some(field) = field else { continue };
            if field.is_guessed() {
                return None;
            }
            if let Some(text) = field.content() {
                values.push(((*wire).into(), Value::from(text)));
            }
        }
        let mut record: Record = values.into_iter().collect();
        for custom in self.custom.into_iter().flat_map(Element::children) {
            if !custom.is_sound() {
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
        let tags = || self.tags.into_iter().flat_map(Element::children);
        if !tags().all(Element::is_sound) {
            return None;
        }
        let mut tags: Vec<String> = tags()
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
}

fn keep_said<'a>(known: &mut Option<Element<'a>>, part: Element<'a>) {
    if known.is_none() && part.content().is_some() {
        *known = Some(part);
    }
}

/// Returns the text of an element that can be read.
fn read(element: Element<'_>) -> Option<&str> {
    element.content().filter(|_| !element.is_guessed())
}

/// A flag that is not clearly "no" counts as set: an opt-out must not get lost in a spelling.
fn is_set(text: &str) -> bool {
    let text = text.trim();
    !(text.parse::<i64>() == Ok(0)
        || ["no", "n", "false"]
            .iter()
            .any(|no| text.eq_ignore_ascii_case(no)))
}

fn group_of_contact(group: Element<'_>) -> GroupOfContact {
    let readable = |names: &[&str]| {
        let mut children = group.children();
        read(children.find(|child| names.contains(&child.name()))?)
    };
    let name = readable(&["name", "groupname"]).or_else(|| read(group));
    let trimmed = |text: &str| text.trim().to_owned();
    (
        readable(&["group_id", "groupid"]).map(trimmed),
        name.map(trimmed),
    )
}

/// The fields of a profile, in the order of their names.
static FIELDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let fields = SCHEMA.members.iter();
    let mut fields: Vec<&str> = fields
        .filter(|field| field.writable != Writable::No && !field.wire.starts_with("custom."))
        .map(|field| field.wire)
        .collect();
    fields.sort_unstable();
    fields
});

/// The places in [`FIELDS`] by the names in lower case.
static PLACES: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    let fields = FIELDS.iter().enumerate();
    fields.map(|(at, wire)| (wire.to_lowercase(), at)).collect()
});
