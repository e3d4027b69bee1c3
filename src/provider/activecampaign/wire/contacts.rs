//! Contacts on the wire: reading them page by page, looking one up, and the form writes.
//!
//! Contact forms can subscribe people again. One request type has a value for that, and takes the
//! proof that it undoes a removal of rosterd's own (rule 1); elsewhere `status` is only ever 2, and
//! a form without a status names no list.

use std::collections::{BTreeMap, BTreeSet};

use compact_str::CompactString;
use serde_json::{Map, Value as Json};

use super::super::fields::LIST_SCHEMA;
use super::lists::Definition;
use super::values::Belongings;
pub(in super::super) use super::values::ProfileFields;
use super::{PAGE_ROWS, entries, id, id_of, numbered_rows, page_total, query, rows_under, text_of};
use super::{v1_delete, v1_read, v1_write, v3_read};
use crate::http::{Call, DecodeError};
use crate::model::{
    MemberReturn, MembershipState, ObjectKind, Record, Value, Writable, normalise_address,
};
use crate::provider::guess::is_guessed;
use crate::provider::json::{Document, Row, Rows, integer, protocol, text};

/// The statuses that a membership may have, by which listings are asked for where the memberships
/// do not come along.
pub(in super::super) const STATUSES: [i64; 5] = [0, 1, 2, 3, ENDED];

/// The status of a membership that an administrator ended (the vendor's help pages, article
/// 360021838379). The person is no member and has refused nothing; totals count the row.
pub(in super::super) const ENDED: i64 = 91;

/// The status of somebody who refused a list.
pub(in super::super) const OPTED_OUT: i64 = 2;

/// Stands for the status of a membership that says none.
pub(in super::super) const NOT_SAID: i64 = -1;

/// Asks for memberships and contacts of every status, without which only active people may come.
const ANY_STATUS: &str = "-1";

/// Which contacts a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Scope<'a> {
    /// All of the account.
    Account,
    /// Those on a list, in whatever state.
    List(u64),
    /// Those with an address, which is one or nobody.
    Address(&'a str),
    /// Those with ids, as far as the service takes notice of that. The vendor's page on listing
    /// contacts has `ids[]`, repeated for several; no recording shows it.
    Named(&'a [u64]),
}

/// What a pass asks to come along with the contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Include {
    /// Memberships and custom values.
    Both,
    /// Memberships.
    Memberships,
    /// Custom values.
    Values,
    /// Nothing.
    Nothing,
}

impl Include {
    /// Picks what is needed.
    pub(in super::super) fn of(memberships: bool, values: bool) -> Self {
        match (memberships, values) {
            (true, true) => Include::Both,
            (true, false) => Include::Memberships,
            (false, true) => Include::Values,
            (false, false) => Include::Nothing,
        }
    }

    /// Tells whether custom values are to come along.
    pub(in super::super) fn has_values(self) -> bool {
        matches!(self, Include::Both | Include::Values)
    }
}

/// Asks for the page of contacts after an id.
pub(in super::super) fn page(scope: Scope<'_>, after: u64, include: Include) -> Call {
    let mut pairs = Vec::new();
    match scope {
        Scope::Account => pairs.push(("status", ANY_STATUS.to_owned())),
        Scope::List(list) => {
            pairs.extend([
                ("listid", list.to_string()),
                ("status", ANY_STATUS.to_owned()),
            ]);
        }
        Scope::Address(address) => {
            pairs.extend([
                ("email", address.to_owned()),
                ("status", ANY_STATUS.to_owned()),
            ]);
        }
        Scope::Named(ids) => {
            pairs.extend(ids.iter().map(|id| ("ids[]", id.to_string())));
            pairs.push(("status", ANY_STATUS.to_owned()));
        }
    }
    pairs.extend([
        ("limit", PAGE_ROWS.to_string()),
        ("orders[id]", "ASC".to_owned()),
        ("id_greater", after.to_string()),
    ]);
    match include {
        Include::Both => pairs.push(("include", "contactLists,fieldValues".to_owned())),
        Include::Memberships => pairs.push(("include", "contactLists".to_owned())),
        Include::Values => pairs.push(("include", "fieldValues".to_owned())),
        Include::Nothing => {}
    }
    v3_read("contacts", "contacts", query(&pairs))
}

/// A contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Contact {
    /// The id.
    pub(in super::super) id: u64,
    /// The address as the service spells it.
    pub(in super::super) email: Option<String>,
    /// Statuses by list; nothing where they did not come along.
    pub(in super::super) memberships: Option<Vec<(u64, i64)>>,
    /// Whether a membership of it does not say of which list, so that it may be on any of them, in
    /// whatever state.
    pub(in super::super) on_unknown_list: bool,
    /// When the person left lists, in seconds since 1970, where that is shown.
    pub(in super::super) left: Vec<(u64, i64)>,
    /// The profile fields that were asked for.
    pub(in super::super) profile: Record,
    /// Whether a part of the record can't be read, so that its profile is not used.
    pub(in super::super) unreadable: bool,
    /// Why a custom value may be missing from the profile, so that it is not used either.
    pub(in super::super) lacks: Option<String>,
}

impl Contact {
    /// Says why nobody can tell how the contact stands on some of the asked lists.
    pub(in super::super) fn unread_standing(&self, asked: &BTreeSet<u64>) -> Option<String> {
        if self.on_unknown_list {
            return Some("a membership does not say of which list it is".to_owned());
        }
        let mut memberships = self.memberships.iter().flatten();
        let (list, _) =
            memberships.find(|(list, status)| *status == NOT_SAID && asked.contains(list))?;
        Some(format!(
            "the membership of list {list} does not say its status"
        ))
    }
}

/// A page of contacts, in ascending order of their ids.
#[derive(Debug)]
pub(in super::super) struct Page {
    /// The rows.
    pub(in super::super) contacts: Rows<Contact>,
    /// The lists of memberships that are of nobody on the page, each with a sentence; nothing for one
    /// that is of no list either.
    pub(in super::super) strays: BTreeMap<Option<u64>, String>,
    /// Whether the custom values came along.
    pub(in super::super) has_values: bool,
    /// What the service counts for the question.
    pub(in super::super) total: Option<u64>,
}

impl Page {
    /// Tells whether the memberships came along.
    pub(in super::super) fn has_memberships(&self) -> bool {
        let mut contacts = self.contacts.known.iter();
        contacts.all(|contact| contact.memberships.is_some())
    }

    /// Puts all contacts in doubt where the custom values that were asked for did not come along:
    /// that says of nobody that theirs were cleared.
    pub(in super::super) fn miss_values(&mut self) {
        if self.has_values {
            return;
        }
        for contact in &mut self.contacts.known {
            let why = "its page of contacts came without the custom values".to_owned();
            contact.lacks.get_or_insert(why);
        }
    }
}

/// Decodes a page of contacts that come after an id.
pub(in super::super) fn contacts(
    answer: &Document,
    after: u64,
    wanted: &ProfileFields,
) -> Result<Page, DecodeError> {
    let rows = rows_under(answer, "contacts")?;
    let rows = rows.ok_or_else(|| protocol("\"contacts\" is missing"))?;
    let (memberships, values) = (
        rows_under(answer, "contactLists")?,
        rows_under(answer, "fieldValues")?,
    );
    let mut last = after;
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    let mut contacts = Rows::default();
    answer.each_row(rows, |row| {
        let id = id_of(&row.fields, "id");
        if id.is_some_and(|id| id <= last) {
            return Err(protocol(
                "the contacts are not those after an id, in the order of their ids",
            ));
        }
        let contact = id.map(|id| {
            last = id;
            places.insert(id, contacts.known.len());
            let (profile, understood) = wanted.plain(&row.fields);
            Contact {
                id,
                email: text_of(&row.fields, "email"),
                memberships: memberships.is_some().then(Vec::new),
                on_unknown_list: false,
                left: Vec::new(),
                profile,
                unreadable: !understood || row.fields.values().any(is_guessed),
                lacks: None,
            }
        });
        contacts.take(&row, contact);
        Ok(())
    })?;
    let mut strays = BTreeMap::new();
    if let Some(memberships) = memberships {
        answer.each_row(memberships, |row| {
            if let Some((list, why)) = put_membership(&row, &places, &mut contacts) {
                strays.entry(list).or_insert(why);
            }
            Ok(())
        })?;
    }
    if let Some(values) = values {
        let mut belongings = Belongings::default();
        answer.each_row(values, |row| {
            belongings.put(&row, &places, &mut contacts.known, wanted);
            Ok(())
        })?;
        belongings.settle(&mut contacts.known, wanted);
    }
    Ok(Page {
        contacts,
        strays,
        has_values: values.is_some(),
        total: page_total(answer)?,
    })
}

/// Puts a membership to its contact. Where nobody can tell whose it is, returns its list, if it has
/// one, and a sentence.
fn put_membership(
    row: &Row,
    places: &BTreeMap<u64, usize>,
    contacts: &mut Rows<Contact>,
) -> Option<(Option<u64>, String)> {
    let list = id_of(&row.fields, "list");
    let status = row.fields.get("status").and_then(integer);
    let stray = |what: &str| {
        let of = list.map_or_else(String::new, |list| format!(" of list {list}"));
        // The same words in every run, so that what was accepted stays accepted.
        Some((list, format!("a membership{of} {what}")))
    };
    let Some(owner) = id_of(&row.fields, "contact") else {
        return stray(if row.is_cut() {
            "can't be read"
        } else if list.is_some() {
            "does not say whose it is"
        } else {
            "says neither whose it is nor of which list"
        });
    };
    let Some(contact) = places.get(&owner).map(|at| &mut contacts.known[*at]) else {
        // It may be of somebody who can't be read, and of whom a refusal must not be lost.
        let refuses = !matches!(status, Some(0 | 1 | 3 | ENDED));
        return (contacts.without_id > 0 && refuses)
            .then(|| stray(&format!("is of contact {owner}, who can't be read")))
            .flatten();
    };
    contact.unreadable |= status.is_none() || list.is_none();
    let Some(list) = list else {
        contact.on_unknown_list = true;
        return None;
    };
    let memberships = contact.memberships.get_or_insert_default();
    memberships.push((list, status.unwrap_or(NOT_SAID)));
    let time = text_of(&row.fields, "udate").and_then(|time| moment(&time));
    contact.left.extend(time.map(|time| (list, time)));
    None
}

/// Asks version 1 for the people of a list with a status after an id, 20 at a time.
pub(in super::super) fn listed(list: u64, status: i64, after: u64, full: bool) -> Call {
    v1_read(
        "contact_list",
        &[
            ("filters[listid]", list.to_string()),
            ("filters[status]", status.to_string()),
            ("filters[id_greater]", after.to_string()),
            ("sort", "id".to_owned()),
            ("sort_direction", "ASC".to_owned()),
            ("page", "1".to_owned()),
            ("full", i32::from(full).to_string()),
        ],
    )
}

/// Decodes a page of contact_list.
pub(in super::super) fn listed_rows(
    answer: &Document,
    after: u64,
    wanted: &ProfileFields,
) -> Result<Rows<Contact>, DecodeError> {
    let mut last = after;
    numbered_rows(answer, |row| {
        let Some(id) = id_of_contact(&row.fields) else {
            return Ok(None);
        };
        if id <= last {
            return Err(protocol(
                "the contacts are not those after an id, in the order of their ids",
            ));
        }
        last = id;
        let mut contact = viewed(&row.fields, wanted)?;
        // What is missing of it may be of which lists it is.
        contact.on_unknown_list |= row.is_cut() && contact.memberships.is_none();
        Ok(Some(contact))
    })
}

fn id_of_contact(row: &Map<String, Json>) -> Option<u64> {
    id_of(row, "subscriberid").or_else(|| id_of(row, "id"))
}

/// Asks for the contact with an address.
pub(in super::super) fn view_email(address: &str) -> Call {
    v1_read("contact_view_email", &[("email", address.to_owned())])
}

/// Asks for the contact with an id.
pub(in super::super) fn view(contact: u64) -> Call {
    v1_read("contact_view", &[("id", contact.to_string())])
}

/// Decodes a contact of version 1, whose `listid` and `status` on top belong to any one list and
/// are not looked at.
pub(in super::super) fn viewed(
    row: &Map<String, Json>,
    wanted: &ProfileFields,
) -> Result<Contact, DecodeError> {
    let contact = id_of_contact(row).ok_or_else(|| protocol("a contact has no \"id\""))?;
    let mut on_unknown_list = false;
    let memberships = match row.get("lists") {
        None | Some(Json::Null) => None,
        Some(lists @ (Json::Object(_) | Json::Array(_))) => Some(
            entries(lists)
                .into_iter()
                .filter_map(|(key, edge)| {
                    let list = key.parse().ok().or_else(|| edge.get("listid").and_then(id));
                    let status = edge.get("status").and_then(integer);
                    on_unknown_list |= list.is_none();
                    Some((list?, status.unwrap_or(NOT_SAID)))
                })
                .collect::<Vec<_>>(),
        ),
        Some(_) => {
            on_unknown_list = true;
            None
        }
    };
    let mut statuses = memberships.iter().flatten();
    let unsaid = statuses.any(|(_, status)| *status == NOT_SAID);
    let left = row
        .get("lists")
        .into_iter()
        .flat_map(entries)
        .filter_map(|(key, edge)| {
            let list = key
                .parse()
                .ok()
                .or_else(|| edge.get("listid").and_then(id))?;
            Some((list, moment(&text(edge.get("udate")?)?)?))
        });
    let left = left.collect();
    let (profile, understood) = wanted.plain(row);
    let mut contact = Contact {
        id: contact,
        email: text_of(row, "email"),
        memberships,
        on_unknown_list,
        left,
        profile,
        unreadable: unsaid || on_unknown_list || !understood || row.values().any(is_guessed),
        lacks: None,
    };
    wanted.take_shown(&mut contact, row.get("fields"));
    Ok(contact)
}

/// Reads a time, in seconds since 1970. Version 3 writes it with its offset; version 1 without, by
/// the clock of Chicago whatever the account's own zone is (recorded for accounts of other zones).
fn moment(time: &str) -> Option<i64> {
    if let Ok(time) = time.parse::<jiff::Timestamp>() {
        return Some(time.as_second());
    }
    let local: jiff::civil::DateTime = time.trim().parse().ok()?;
    Some(local.in_tz("America/Chicago").ok()?.timestamp().as_second())
}

/// Says what a status means for a membership. Only 1 is mailed; one that is not known is left alone
/// like an unconfirmed one.
pub(in super::super) fn state(status: i64) -> MembershipState {
    match status {
        1 => MembershipState::Active,
        OPTED_OUT => MembershipState::OptedOut,
        3 => MembershipState::Bounced,
        _ => MembershipState::Unconfirmed,
    }
}

/// Unsubscribes the person with an address from lists. Whoever has no contact gets one, with the
/// profile that is handed along.
pub(in super::super) fn unsubscribe(
    address: &str,
    lists: &[u64],
    profile: Option<(&Record, &[Definition])>,
) -> Call {
    let mut form = vec![("email".to_owned(), address.to_owned())];
    if let Some((fields, definitions)) = profile {
        form.extend(profile_form(fields, definitions).filter(|(_, value)| !value.is_empty()));
    }
    for list in lists {
        form.push((format!("p[{list}]"), list.to_string()));
        form.push((format!("status[{list}]"), "2".to_owned()));
    }
    v1_write("contact_sync", form)
}

/// Makes the person active again on the list from which rosterd itself took them: the one request
/// with that status, and it takes the proof to write it.
pub(in super::super) fn bring_back(address: &str, list: u64, _proof: &MemberReturn) -> Call {
    let form = vec![
        ("email".to_owned(), address.to_owned()),
        (format!("p[{list}]"), list.to_string()),
        (format!("status[{list}]"), "1".to_owned()),
    ];
    v1_write("contact_sync", form)
}

/// Changes profile fields of the person with an address, without a word about lists.
pub(in super::super) fn update(address: &str, fields: &Record, definitions: &[Definition]) -> Call {
    let mut form = vec![("email".to_owned(), address.to_owned())];
    form.extend(profile_form(fields, definitions));
    v1_write("contact_sync", form)
}

fn profile_form(
    fields: &Record,
    definitions: &[Definition],
) -> impl Iterator<Item = (String, String)> {
    settable(fields).filter_map(|(name, value)| match name.strip_prefix("custom.") {
        Some(tag) => find(definitions, tag)
            .map(|field| (format!("field[{},0]", field.id), value.to_string())),
        None => Some((name.to_string(), value.to_string())),
    })
}

/// Gives a contact another address. Without `overwrite=0` in the address all lists that are not
/// named would be unsubscribed.
pub(in super::super) fn change_address(contact: u64, address: &str) -> Call {
    let mut call = v1_write(
        "contact_edit",
        vec![
            ("id".to_owned(), contact.to_string()),
            ("email".to_owned(), address.to_owned()),
        ],
    );
    call.query.push(("overwrite".to_owned(), "0".to_owned()));
    call
}

/// Takes a contact off one list without a trace. A contact left on no list is deleted by it.
pub(in super::super) fn detach(contact: u64, list: u64) -> Call {
    let listids = format!("listids[{list}]");
    v1_delete(
        "contact_delete",
        &[("id", contact.to_string()), (&listids, list.to_string())],
    )
}

/// Picks the fields that the table knows as writable.
pub(in super::super) fn settable(
    fields: &Record,
) -> impl Iterator<Item = (&CompactString, &Value)> {
    fields.iter().filter(|(name, _)| {
        name.as_str() != "email"
            && LIST_SCHEMA
                .by_wire(ObjectKind::Member, name)
                .is_some_and(|field| field.writable == Writable::Always)
    })
}

/// Finds a custom field by its tag or title.
pub(in super::super) fn find<'a>(
    definitions: &'a [Definition],
    tag: &str,
) -> Option<&'a Definition> {
    let tag = tag.trim().trim_matches('%');
    let by_tag = definitions
        .iter()
        .find(|field| field.tag.eq_ignore_ascii_case(tag));
    by_tag.or_else(|| {
        definitions
            .iter()
            .find(|field| field.title.trim().to_lowercase() == tag.to_lowercase())
    })
}

/// Tells whether two spellings mean one address.
pub(in super::super) fn same_address(left: &str, right: &str) -> bool {
    match (normalise_address(left), normalise_address(right)) {
        (Ok(left), Ok(right)) => left == right,
        _ => left.trim().to_lowercase() == right.trim().to_lowercase(),
    }
}
