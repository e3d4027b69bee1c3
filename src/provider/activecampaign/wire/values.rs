//! The profile fields of contacts on the wire: which are asked for, and whose a value is.
//!
//! Only null, blank text and an empty list or object say that a value is empty. What is not understood, and what may be
//! missing, puts the contact in doubt: it must not be taken for cleared.

use std::collections::{BTreeMap, BTreeSet};

use compact_str::format_compact;
use serde_json::{Map, Value as Json};

use super::super::fields::LIST_SCHEMA;
use super::contacts::Contact;
use super::lists::Definition;
use super::{entries, id, id_of};
use crate::model::{ObjectKind, Record, Value};
use crate::provider::guess::is_guessed;
use crate::provider::json::{Row, is_odd, text};

/// The profile fields that a read asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct ProfileFields {
    plain: BTreeSet<&'static str>,
    /// Tags by the id of the field.
    custom: BTreeMap<u64, String>,
}

impl ProfileFields {
    /// Picks the fields that the table and the definitions know out of a list of names.
    pub(in super::super) fn of(names: &[String], definitions: &[Definition]) -> Self {
        let mut fields = ProfileFields::default();
        for name in names {
            match name.strip_prefix("custom.") {
                Some(tag) => {
                    let known = definitions
                        .iter()
                        .filter(|field| field.id > 0)
                        .filter(|field| tag == "*" || field.tag.eq_ignore_ascii_case(tag));
                    fields.custom.extend(known.map(|field| {
                        (
                            field.id,
                            if tag == "*" {
                                field.tag.clone()
                            } else {
                                tag.to_owned()
                            },
                        )
                    }));
                }
                None => {
                    fields.plain.extend(
                        LIST_SCHEMA
                            .by_wire(ObjectKind::Member, name)
                            .filter(|spec| spec.readable)
                            .map(|spec| spec.wire),
                    );
                }
            }
        }
        fields
    }

    /// Tells whether nothing is asked for.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.custom.is_empty()
    }

    /// Tells whether custom fields are asked for.
    pub(in super::super) fn has_custom(&self) -> bool {
        !self.custom.is_empty()
    }

    /// Reads the fields that stand on the contact itself. Returns whether all are understood as well.
    pub(super) fn plain(&self, contact: &Map<String, Json>) -> (Record, bool) {
        let mut record = Record::new();
        let mut understood = true;
        for name in &self.plain {
            let spellings: &[&str] = match *name {
                "first_name" => &["firstName", "first_name"],
                "last_name" => &["lastName", "last_name"],
                "customer_acct_name" => &["orgname", "customer_acct_name", "organization"],
                other => &[other],
            };
            let shown = || spellings.iter().filter_map(|name| contact.get(*name));
            understood &= !shown().any(is_odd);
            if let Some(text) = shown().find_map(text) {
                record.insert((*name).into(), Value::from(text));
            }
        }
        (record, understood)
    }

    /// Puts the value of a custom field, of which nothing stands for one that is not shown, to the
    /// contact whose it is.
    fn put(&self, contact: &mut Contact, field: u64, value: Option<&Json>) {
        let Some(tag) = self.custom.get(&field) else {
            return;
        };
        let Some(value) = value else {
            let why = format!("custom field {tag} is named without a value");
            contact.lacks.get_or_insert(why);
            return;
        };
        if is_guessed(value) {
            contact.unreadable = true;
        } else if is_odd(value) {
            let why = format!("the value of custom field {tag} is neither a text nor a number");
            contact.lacks.get_or_insert(why);
        } else if let Some(text) = text(value) {
            let name = format_compact!("custom.{tag}");
            contact.profile.insert(name, Value::from(text));
        }
    }

    /// Takes the custom values that a contact of version 1 shows under `fields`.
    pub(super) fn take_shown(&self, contact: &mut Contact, fields: Option<&Json>) {
        if !self.has_custom() {
            return;
        }
        let Some(fields @ (Json::Object(_) | Json::Array(_))) = fields else {
            let why = "the contact came without its custom values".to_owned();
            contact.lacks.get_or_insert(why);
            return;
        };
        let mut belongings = Belongings::default();
        for (key, field) in entries(fields) {
            match key.parse().ok().or_else(|| field.get("id").and_then(id)) {
                Some(id) => {
                    belongings.shown.insert((0, id));
                    self.put(contact, id, field.get("val"));
                }
                None => drop(belongings.of_no_field.insert(0)),
            }
        }
        belongings.settle(std::slice::from_mut(contact), self);
    }
}

/// Whose the custom values of a page are, as far as they say it.
#[derive(Default)]
pub(super) struct Belongings {
    /// Of which contacts which wanted fields were shown.
    shown: BTreeSet<(usize, u64)>,
    /// The contacts with a value that does not say of which field it is.
    of_no_field: BTreeSet<usize>,
    /// The fields of values that do not say whose they are; nothing for one of no field either.
    nobodys: BTreeSet<Option<u64>>,
}

impl Belongings {
    pub(super) fn put(
        &mut self,
        row: &Row,
        places: &BTreeMap<u64, usize>,
        contacts: &mut [Contact],
        wanted: &ProfileFields,
    ) {
        let field = id_of(&row.fields, "field");
        if field.is_some_and(|field| !wanted.custom.contains_key(&field)) {
            return;
        }
        let Some(contact) = id_of(&row.fields, "contact") else {
            self.nobodys.insert(field);
            return;
        };
        let Some(at) = places.get(&contact).copied() else {
            return;
        };
        let Some(field) = field else {
            self.of_no_field.insert(at);
            return;
        };
        self.shown.insert((at, field));
        // What is missing of a row that is too much may be its value.
        contacts[at].unreadable |= row.is_cut() && !row.fields.contains_key("value");
        wanted.put(&mut contacts[at], field, row.fields.get("value"));
    }

    /// Puts those in doubt whose value it may be that is left out: whoever shows none of that field.
    /// It must not be taken for cleared.
    pub(super) fn settle(self, contacts: &mut [Contact], wanted: &ProfileFields) {
        if self.of_no_field.is_empty() && self.nobodys.is_empty() {
            return;
        }
        for (at, contact) in contacts.iter_mut().enumerate() {
            let mut lacking = wanted.custom.keys();
            let lacks = |field: &u64| !self.shown.contains(&(at, *field));
            if self.of_no_field.contains(&at) && lacking.clone().any(lacks) {
                let words = "a value of it does not say of which custom field";
                contact.lacks.get_or_insert(words.to_owned());
            } else if self.nobodys.contains(&None) && lacking.clone().any(lacks) {
                let words =
                    "a custom value that may be its own says neither whose nor of which field";
                contact.lacks.get_or_insert(words.to_owned());
            } else {
                let field =
                    lacking.find(|field| lacks(field) && self.nobodys.contains(&Some(**field)));
                if let Some(tag) = field.and_then(|field| wanted.custom.get(field)) {
                    contact.lacks.get_or_insert(format!(
                        "a value of custom field {tag} that may be its own does not say whose it is"
                    ));
                }
            }
        }
    }
}
