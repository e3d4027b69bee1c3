//! Contacts on the wire: searching, looking up, saving and importing.
//!
//! contacts/save and contacts/saveGroups can subscribe people again. The request types here have no
//! value for that (rule 1): neither `suppressed: 0` nor `held` nor `groupIDs` can be said with
//! them.

use std::collections::BTreeSet;

use compact_str::{CompactString, format_compact};
use serde_json::{Map, Value as Json, json};

use super::super::fields::SCHEMA;
use super::paging::{Bare, Page, page};
use super::{Answer, Request, SEARCH_ROWS, count, error_words, field, flag, id, text};
use crate::http::{DecodeError, Refusal};
use crate::model::{
    CustomField, FieldType, MemberStatus, ObjectKind, Record, Value, Writable, normalise_address,
};
use crate::provider::guess::is_guessed;
use crate::provider::json::{self, object, protocol};

/// The profile fields that a read asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct ProfileFields {
    plain: Vec<&'static str>,
    custom: Vec<String>,
}

impl ProfileFields {
    /// Picks the fields that the table knows as readable out of a list of names.
    pub(in super::super) fn of(names: &[String]) -> Self {
        let mut fields = ProfileFields::default();
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        for name in names {
            match name.strip_prefix("custom.") {
                Some(system_name) => fields.custom.push(system_name.to_owned()),
                None => {
                    if let Some(spec) = SCHEMA
                        .by_wire(ObjectKind::Member, name)
                        .filter(|spec| spec.readable)
                    {
                        fields.plain.push(spec.wire);
                    }
                }
            }
        }
        fields
    }

    /// Tells whether nothing is asked for.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.custom.is_empty()
    }

    /// Writes the `fields` parameter: what identifies and bars a contact, then the profile.
    pub(in super::super) fn parameter(&self) -> String {
        let mut names = vec!["contactID", "email", "held", "suppressed"];
        names.extend(
            self.plain
                .iter()
                .filter(|name| !["contactID", "email"].contains(name)),
        );
        // Nothing shows that `customFields` may be asked for; each field has its own name.
        names.extend(self.custom.iter().map(String::as_str));
        names.join(",")
    }

    /// Reads the profile. A value that is there and not understood is not in it, and says why the
    /// profile is not used.
    fn record(&self, contact: &Map<String, Json>) -> (Record, Option<String>) {
        let mut record = Record::new();
        let mut odd = None;
        for name in &self.plain {
            let shown = field(contact, name);
            if shown.is_some_and(is_odd) {
                odd.get_or_insert_with(|| format!("its \"{name}\" is no text"));
            }
            if let Some(text) = shown.and_then(text) {
                record.insert((*name).into(), Value::from(text));
            }
        }
        let shown = field(contact, "customFields");
        let nested = shown.and_then(Json::as_object);
        let is_empty = shown.is_none_or(|shown| {
            shown.as_array().is_some_and(Vec::is_empty)
                || shown.as_str().is_some_and(|text| text.trim().is_empty())
        });
        for name in &self.custom {
            // Searches give the bare value beside the other fields, or nested; look-ups nest label
            // and value.
            let value = nested
                .and_then(|nested| field(nested, name))
                .or_else(|| field(contact, name));
            let Some(value) = value else {
                if nested.is_none() && !is_empty {
                    odd.get_or_insert_with(|| "its custom fields are no object".to_owned());
                }
                continue;
            };
            let is_named = |object: &Map<String, Json>| {
                object.keys().any(|key| key.eq_ignore_ascii_case("value"))
            };
            let value = match value.as_object() {
                Some(object) if is_named(object) => field(object, "value"),
                _ => Some(value),
            };
            if value.is_some_and(is_odd) {
                odd.get_or_insert_with(|| {
                    format!("the value of custom field {name} is neither a text nor a number")
                });
            }
            // An empty text says that the field is there; null may stand for any name.
            let blank = value.and_then(Json::as_str);
            let blank = blank.filter(|text| text.trim().is_empty());
            if let Some(text) = value.and_then(text).or(blank.map(|_| String::new())) {
                record.insert(format_compact!("custom.{name}"), Value::from(text));
            }
        }
        (record, odd)
    }
}

/// Tells whether a value is there and no text can be made of it.
fn is_odd(value: &Json) -> bool {
    !value.is_boolean() && json::is_odd(value)
}

/// Which contacts a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Scan {
    /// Those in a group, also a dynamic one.
    Group(i64),
    /// Those who opted out of the account.
    Suppressed,
    /// Those whose address is on hold.
    Held,
    /// All.
    Account,
}

impl Scan {
    /// Names the listing in a sentence.
    pub(in super::super) fn title(self) -> String {
        match self {
            Scan::Group(group) => format!("the contacts of group {group}"),
            Scan::Suppressed => "the contacts who opted out of the account".to_owned(),
            Scan::Held => "the contacts on hold".to_owned(),
            Scan::Account => "the contacts of the account".to_owned(),
        }
    }
}

/// Asks for a page of contacts, in the order of their ids.
pub(in super::super) fn search(scan: Scan, fields: &ProfileFields, page: u64) -> Request {
    let mut body = json!({
        "fields": fields.parameter(), "sortField": "contactID", "sortDirection": "asc", "page": page, "rpp": SEARCH_ROWS,
    });
    match scan {
        Scan::Group(group) => body["groupID"] = json!(group),
        Scan::Suppressed => body["suppressed"] = json!(1),
        Scan::Held => body["held"] = json!(1),
        Scan::Account => {}
    }
    Request::read("contacts/search", body)
}

/// Asks how many contacts have an address.
pub(in super::super) fn search_address(address: &str) -> Request {
    Request::read(
        "contacts/search",
        json!({"email": address, "fields": "contactID,email", "page": 1, "rpp": SEARCH_ROWS}),
    )
}

/// Asks for the contact with an address.
pub(in super::super) fn lookup(address: &str) -> Request {
    Request::read("contacts/lookup", json!({"email": address}))
}

/// A contact as a search or look-up shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Contact {
    /// The id.
    pub(in super::super) id: i64,
    /// The address as the provider spells it.
    pub(in super::super) email: Option<String>,
    /// Whether the address is on hold; nothing where that can't be told.
    pub(in super::super) held: Option<bool>,
    /// Whether the contact opted out of the account; nothing where that can't be told.
    pub(in super::super) suppressed: Option<bool>,
    /// The profile fields that were asked for.
    pub(in super::super) profile: Record,
    /// Whether a part of the record can't be read, so that its profile is not used.
    pub(in super::super) unreadable: bool,
    /// Why a value may be missing from the profile, so that it is not used either.
    pub(in super::super) lacks: Option<String>,
}

impl Contact {
    /// Returns the strictest status that the row shows.
    pub(in super::super) fn status(&self) -> MemberStatus {
        match (self.suppressed, self.held) {
            (Some(true), _) => MemberStatus::OptedOut,
            (_, Some(true)) => MemberStatus::Held,
            _ => MemberStatus::Active,
        }
    }
}

/// Decodes a page of contacts/search.
pub(in super::super) fn contacts(
    answer: &Answer,
    fields: &ProfileFields,
) -> Result<Page<Contact>, DecodeError> {
    page(answer, Bare::Refused, |record| contact(record, fields))
}

/// Decodes a look-up by address: nothing when the data is there and empty.
pub(in super::super) fn looked_up(
    answer: &Answer,
    address: &str,
    fields: &ProfileFields,
) -> Result<Option<Contact>, DecodeError> {
    match &answer.data()? {
        Json::Object(object) if object.is_empty() => Ok(None),
        Json::Array(items) if items.is_empty() => Ok(None),
        Json::Object(object) => {
            let contact = contact(object, fields)
                .ok_or_else(|| protocol("a contact has no \"contactID\""))?;
            let found = contact
                .email
                .as_deref()
                .and_then(|email| normalise_address(email).ok());
            if found.as_ref().map(crate::model::Address::as_str) != Some(address) {
                return Err(protocol(
                    "the look-up of an address is answered with another one",
                ));
            }
            Ok(Some(contact))
        }
        _ => Err(protocol(
            "the look-up of an address is not answered with an object",
        )),
    }
}

/// Decodes a contact; nothing where it has no id.
fn contact(record: &Map<String, Json>, fields: &ProfileFields) -> Option<Contact> {
    let id = field(record, "contactID").and_then(id)?;
    let (profile, lacks) = fields.record(record);
    Some(Contact {
        id,
        email: field(record, "email").and_then(text),
        held: field(record, "held").and_then(flag),
        suppressed: field(record, "suppressed").and_then(flag),
        profile,
        unreadable: record.values().any(is_guessed),
        lacks,
    })
}

/// The bodies of contacts/save that are ever sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum SaveContact<'a> {
    /// Gives a contact another address.
    Address {
        /// The contact.
        contact: i64,
        /// The new address.
        email: &'a str,
    },
    /// Records a contact's opt-out of the account.
    OptOut {
        /// The contact.
        contact: i64,
    },
    /// Creates a contact who is opted out from the first moment.
    CreateOptedOut {
        /// The address.
        email: &'a str,
    },
}

impl SaveContact<'_> {
    /// Writes the request.
    pub(in super::super) fn request(self) -> Request {
        let body = match self {
            SaveContact::Address { contact, email } => {
                json!({"contactID": contact, "email": email})
            }
            SaveContact::OptOut { contact } => json!({"contactID": contact, "suppressed": 1}),
            SaveContact::CreateOptedOut { email } => json!({"email": email, "suppressed": 1}),
        };
        Request::write("contacts/save", body)
    }
}

/// Records a contact's opt-out of groups; a group without the flag would count as subscribed again,
/// so it is always there.
pub(in super::super) fn opt_out_of_groups(contact: i64, groups: &[i64]) -> Request {
    let groups: Vec<Json> = groups
        .iter()
        .map(|group| json!({"groupID": group, "suppressed": 1}))
        .collect();
    Request::write(
        "contacts/saveGroups",
        json!({"contactID": contact, "groups": groups}),
    )
}

/// Decodes the full contact that contacts/save gives.
pub(in super::super) fn saved(answer: &Answer) -> Result<Contact, DecodeError> {
    contact(&answer.object()?, &ProfileFields::default())
        .ok_or_else(|| protocol("a contact has no \"contactID\""))
}

/// Writes an import: every row gets the same structure, because the first one defines that of all.
///
/// A field that only some rows have is an empty text in the others, and one that the table does not
/// know as writable is left out.
pub(in super::super) fn import<'a>(
    rows: impl Iterator<Item = (&'a str, &'a Record)> + Clone,
    groups: &[i64],
    update_existing: bool,
) -> Request {
    // Only names of the table: unknown ones may be refused, and known ones such as `suppressed` are
    // not for an import.
    let settable = |key: &str| {
        key != "email"
            && SCHEMA
                .by_wire(ObjectKind::Member, key)
                .is_some_and(|field| field.writable == Writable::Always)
    };
    let keys: BTreeSet<&str> = rows
        .clone()
        .flat_map(|(_, fields)| fields.keys())
        .map(CompactString::as_str)
        .filter(|key| settable(key))
        .collect();
    let contacts: Vec<Json> = rows
        .map(|(address, fields)| {
            let mut row = Map::new();
            let mut custom = Map::new();
            row.insert("email".to_owned(), json!(address));
            for key in &keys {
                let value = fields.get(*key).map(Value::to_string).unwrap_or_default();
                match key.strip_prefix("custom.") {
                    Some(system_name) => {
                        custom.insert(system_name.to_owned(), json!({"value": value}))
                    }
                    None => row.insert((*key).to_owned(), json!(value)),
                };
            }
            if !custom.is_empty() {
                row.insert("customFields".to_owned(), Json::Object(custom));
            }
            Json::Object(row)
        })
        .collect();
    let mut body = json!({"contacts": contacts, "updateExisting": i32::from(update_existing)});
    if !groups.is_empty() {
        body["groupIDs"] = json!(groups);
    }
    Request::write("contacts/import", body)
}

/// What an import says of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum ImportedRow {
    /// It was taken, as far as the row tells.
    Taken {
        /// The contact, where the row names it.
        contact: Option<i64>,
    },
    /// It was refused.
    Refused(Refusal),
    /// Nothing.
    Silent,
}

/// Decodes the row results of an import, one per address sent, in their order.
///
/// Their keys are not documented, so each is used where it is there, and the order is checked by
/// the address.
pub(in super::super) fn imported(
    answer: &Answer,
    sent: &[&str],
) -> Result<Vec<ImportedRow>, DecodeError> {
    let data = &answer.object()?;
    let Some(rows) = field(data, "contactResults").or_else(|| field(data, "contactsResults"))
    else {
        // Older answers have counters only.
        let all = field(data, "recordsInData").and_then(count) == Some(sent.len() as u64);
        let row = if all {
            ImportedRow::Taken { contact: None }
        } else {
            ImportedRow::Silent
        };
        return Ok(vec![row; sent.len()]);
    };
    let rows = rows
        .as_array()
        .ok_or_else(|| protocol("\"contactResults\" is not an array"))?;
    if rows.len() != sent.len() {
        return Err(protocol(format!(
            "{} row results for {} contacts",
            rows.len(),
            sent.len()
        )));
    }
    rows.iter()
        .zip(sent)
        .map(|(row, address)| {
            let row = object(row, "a row result")?;
            if let Some(email) = field(row, "email").and_then(text)
                && !same_address(&email, address)
            {
                return Err(protocol(
                    "the row results are not in the order of the request",
                ));
            }
            let contact = field(row, "contactID").and_then(id);
            let errors = field(row, "errors")
                .map(error_words)
                .filter(|words| !words.is_empty());
            Ok(match (field(row, "success").and_then(flag), errors) {
                (Some(false), words) => ImportedRow::Refused(Refusal::new(
                    None,
                    &words.unwrap_or_default(),
                    answer.request_id.as_deref(),
                )),
                (Some(true), _) => ImportedRow::Taken { contact },
                (None, Some(words)) => {
                    ImportedRow::Refused(Refusal::new(None, &words, answer.request_id.as_deref()))
                }
                (None, None) if contact.is_some() => ImportedRow::Taken { contact },
                (None, None) => ImportedRow::Silent,
            })
        })
        .collect()
}

/// Tells whether two spellings mean one address.
pub(in super::super) fn same_address(left: &str, right: &str) -> bool {
    match (normalise_address(left), normalise_address(right)) {
        (Ok(left), Ok(right)) => left == right,
        _ => left.trim().to_lowercase() == right.trim().to_lowercase(),
    }
}

/// Asks for a page of the definitions of custom fields.
pub(in super::super) fn search_custom_fields(page: u64) -> Request {
    Request::read(
        "customFields/search",
        json!({"page": page, "rpp": SEARCH_ROWS}),
    )
}

/// Decodes a page of customFields/search; the error of a row names one that can't be read.
pub(in super::super) fn custom_fields(
    answer: &Answer,
) -> Result<Page<Result<CustomField, String>>, DecodeError> {
    page(answer, Bare::Refused, |record| {
        if record.values().any(is_guessed) {
            let mut names = ["systemName", "label"].into_iter();
            let name = names.find_map(|name| field(record, name).and_then(text));
            return Some(Err(name.unwrap_or_else(|| "without a name".to_owned())));
        }
        let system_name = field(record, "systemName")
            .and_then(text)
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())?;
        let label = field(record, "label")
            .and_then(text)
            .unwrap_or_else(|| system_name.clone());
        let data_type = field(record, "dataType").and_then(|kind| {
            kind.as_object()
                .map_or(Some(kind), |kind| field(kind, "label"))
        });
        let kind = match data_type
            .and_then(text)
            .map(|word| word.to_ascii_lowercase())
            .as_deref()
        {
            Some("date") => FieldType::Timestamp,
            Some("true/false") => FieldType::Boolean,
            // "Numeric" and "Money" take decimals, which only a text keeps as they are.
            _ => FieldType::Text,
        };
        let max_length = field(record, "maxLength")
            .and_then(count)
            .filter(|length| *length > 0)
            .and_then(|length| usize::try_from(length).ok());
        Some(Ok(CustomField {
            system_name,
            label,
            kind,
            max_length,
            options: Vec::new(),
        }))
    })
}
