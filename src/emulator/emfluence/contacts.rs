//! The calls about single contacts.

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::Call;
use super::envelope::{Answer, Failure};
use super::members::Direction;
use super::params::{Params, missing, read_flag, wrong_type};
use super::values::{PROFILE, flag, neutral, stamp, text};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Account, Contact};

pub(super) const SAVE: &[&str] = &[
    "contactID",
    "email",
    "customerID",
    "firstName",
    "lastName",
    "company",
    "title",
    "mobileNumber",
    "phone",
    "fax",
    "address1",
    "address2",
    "city",
    "state",
    "zipCode",
    "country",
    "purl",
    "notes",
    "memo",
    "originalSource",
    "ipAddress",
    "dateOfBirth",
    "userID",
    "held",
    "suppressed",
    "customFields",
    "contentVariables",
    "groupIDs",
    "removeGroupIDs",
];

/// The values of a contact as a request gives them.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) email: Option<String>,
    pub(super) profile: Vec<(&'static str, String)>,
    pub(super) custom: Vec<(String, String)>,
    pub(super) suppressed: Option<bool>,
    pub(super) held: Option<bool>,
}

impl Call<'_> {
    /// Reads the values of one contact.
    pub(super) fn read_row(&mut self, values: &Map<String, Value>) -> Result<Row, Failure> {
        let mut row = Row::default();
        for (name, value) in values {
            match name.as_str() {
                "suppressed" | "held" => {
                    let flag = read_flag(value, false)
                        .ok_or_else(|| wrong_type(name, "0 or 1", self.context))?;
                    if name == "held" {
                        row.held = Some(flag);
                    } else {
                        row.suppressed = Some(flag);
                    }
                }
                "customFields" => self.read_custom(value, &mut row)?,
                _ => {
                    let Some(value) = value.as_str() else {
                        return Err(wrong_type(name, "text", self.context));
                    };
                    check_text(name, value)?;
                    if name == "email" {
                        row.email = Some(value.trim().to_owned());
                    } else if let Some(neutral) = neutral(name) {
                        row.profile.push((neutral, value.to_owned()));
                    }
                }
            }
        }
        Ok(row)
    }

    fn read_custom(&mut self, value: &Value, row: &mut Row) -> Result<(), Failure> {
        let fields = value
            .as_object()
            .ok_or_else(|| wrong_type("customFields", "an object", self.context))?;
        for (name, entry) in fields {
            let Some(field) = self.account.fields.iter().find(|field| field.name == *name) else {
                self.context
                    .misuse(MisuseKind::UnknownParameter, format!("customFields.{name}"));
                return Err(Failure::new(
                    Failure::UNKNOWN,
                    format!("There is no custom field {name}."),
                ));
            };
            let Some(text) = entry.get("value").and_then(Value::as_str) else {
                return Err(wrong_type(
                    name,
                    "an object with a text \"value\"",
                    self.context,
                ));
            };
            if field.max_length > 0 && text.chars().count() > field.max_length {
                self.context.misuse(
                    MisuseKind::TooLong,
                    format!("{name} over {} characters", field.max_length),
                );
                return Err(Failure::new(
                    Failure::INVALID,
                    format!("{name} is longer than {}.", field.max_length),
                ));
            }
            row.custom.push((name.clone(), text.to_owned()));
        }
        Ok(())
    }

    /// Writes the values of a row into a contact.
    pub(super) fn write_row(&mut self, contact: u64, row: &Row) {
        self.account.change_contact(
            contact,
            row.profile
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
            row.custom
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
    }

    /// Makes a contact from a row.
    pub(super) fn create_from(&mut self, row: &Row) -> u64 {
        let some = |(name, value): (String, String)| (!value.is_empty()).then_some((name, value));
        let now = self.account.now;
        self.account.insert_contact(Contact {
            email: row.email.clone().unwrap_or_default(),
            profile: row
                .profile
                .iter()
                .filter_map(|(name, value)| some(((*name).to_owned(), value.clone())))
                .collect(),
            custom: row.custom.iter().cloned().filter_map(some).collect(),
            opted_out: (row.suppressed == Some(true)).then_some(now),
            bounced: (row.held == Some(true)).then_some(now),
            owner: self.login.user_id,
            ..Contact::default()
        })
    }

    /// Finds a contact that the token's user sees.
    fn visible(&self, contact: u64) -> Option<u64> {
        self.account
            .contact(contact)
            .filter(|contact| self.sees_contact(contact.id))
            .map(|contact| contact.id)
    }
}

/// Refuses text that the field can't hold. That is a matter of data, not of how the call is used.
fn check_text(name: &str, value: &str) -> Result<(), Failure> {
    let holds = match name {
        "dateOfBirth" => value.is_empty() || Date::strptime("%Y-%m-%d", value).is_ok(),
        "purl" => value
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || ".-_!".contains(character)),
        _ => true,
    };
    if holds {
        Ok(())
    } else {
        Err(Failure::new(
            Failure::INVALID,
            format!("{name} is not valid."),
        ))
    }
}

/// Whether an address can be one.
pub(super) fn is_address(email: &str) -> bool {
    email_address::EmailAddress::is_valid(email) && email.contains('.') && !email.contains('"')
}

pub(super) fn no_contact(what: &str) -> Failure {
    Failure::new(Failure::NOT_FOUND, format!("{what} was not found."))
}

/// Finds the contact that `contactID` or `email` names.
pub(super) fn find_contact(call: &mut Call<'_>, params: &Params) -> Result<Option<u64>, Failure> {
    let id = params.id("contactID", call.context)?;
    let email = params.text("email", call.context)?;
    match (id, email) {
        (Some(id), None) => Ok(call.visible(id)),
        (None, Some(email)) => Ok(call
            .account
            .contact_by_email(email)
            .and_then(|id| call.visible(id))),
        (Some(_), Some(_)) => {
            call.context
                .misuse(MisuseKind::AmbiguousTarget, "contactID together with email");
            Err(Failure::new(
                Failure::INVALID,
                "Either contactID or email names the contact, not both.",
            ))
        }
        (None, None) => Err(missing("contactID or email", call.context)),
    }
}

pub(super) fn lookup(call: &mut Call<'_>, params: &Params) -> Answer {
    if let Some(ids) = params.ids("contactIDs", 100, call.context)? {
        call.context.items = ids.len();
        let found: Vec<Value> = ids
            .iter()
            .filter_map(|id| call.visible(*id))
            .filter_map(|id| call.account.contact(id))
            .map(|contact| full(call.account, contact))
            .collect();
        return Ok(json!(found));
    }
    match find_contact(call, params)?.and_then(|id| call.account.contact(id)) {
        Some(contact) => Ok(full(call.account, contact)),
        None if call.account.settings.emfluence.missing_as_empty => Ok(json!({})),
        None => Err(no_contact("The contact")),
    }
}

pub(super) fn save(call: &mut Call<'_>, params: &Params) -> Answer {
    let id = params.id("contactID", call.context)?;
    let groups = params
        .ids("groupIDs", usize::MAX, call.context)?
        .unwrap_or_default();
    let removed_groups = params
        .ids("removeGroupIDs", usize::MAX, call.context)?
        .unwrap_or_default();
    let owner = params.id("userID", call.context)?;
    let values: Map<String, Value> = SAVE
        .iter()
        .filter(|name| {
            ![
                "contactID",
                "groupIDs",
                "removeGroupIDs",
                "userID",
                "contentVariables",
            ]
            .contains(name)
        })
        .filter_map(|name| {
            params
                .raw(name)
                .map(|value| ((*name).to_owned(), value.clone()))
        })
        .collect();
    let row = call.read_row(&values)?;
    if id.is_none() && row.email.is_none() {
        return Err(missing("contactID or email", call.context));
    }
    if let Some(email) = &row.email
        && (!is_address(email) || call.context.is_poison(email))
    {
        return Err(Failure::new(
            Failure::INVALID,
            "email is not a valid address.",
        ));
    }
    if row.held.is_some() {
        call.context
            .misuse(MisuseKind::WroteHeld, "held belongs to the service");
    }
    for group in &groups {
        call.check_target(*group, Direction::In)?;
    }
    for group in &removed_groups {
        call.check_target(*group, Direction::Out)?;
    }
    let by_address = row
        .email
        .as_deref()
        .and_then(|email| call.account.contact_by_email(email));
    let purl = row
        .profile
        .iter()
        .find(|(name, value)| *name == "purl" && !value.is_empty());
    if let Some((_, purl)) = purl {
        let own = id.or(by_address);
        let holder = call.account.contacts.values().find(|contact| {
            Some(contact.id) != own && contact.get("purl").eq_ignore_ascii_case(purl)
        });
        if let Some(holder) = holder {
            return Err(
                Failure::new(Failure::DUPLICATE, "Another contact has this purl.")
                    .with_data(json!({"contactID": holder.id})),
            );
        }
    }
    let id = match (id, by_address) {
        (Some(id), _) if call.visible(id).is_none() => {
            return Err(no_contact(&format!("Contact {id}")));
        }
        (Some(id), Some(holder)) if holder != id => {
            return Err(
                Failure::new(Failure::DUPLICATE, "Another contact has this address.")
                    .with_data(json!({"contactID": holder})),
            );
        }
        (Some(id), _) | (None, Some(id)) => {
            if let Some(email) = &row.email {
                call.account.change_address(id, email);
            }
            call.write_row(id, &row);
            apply_flags(call, id, &row);
            id
        }
        (None, None) => call.create_from(&row),
    };
    if let Some(owner) = owner {
        call.account.contact_mut(id).owner = owner;
    }
    for group in groups {
        call.move_member(group, id, Direction::In)
            .map_err(|message| Failure::new(Failure::REFUSED, message))?;
    }
    for group in removed_groups {
        call.move_member(group, id, Direction::Out)
            .map_err(|message| Failure::new(Failure::REFUSED, message))?;
    }
    Ok(call
        .account
        .contact(id)
        .map_or(Value::Null, |contact| full(call.account, contact)))
}

/// Writes the two flags of an existing contact; both ways are possible here.
fn apply_flags(call: &mut Call<'_>, id: u64, row: &Row) {
    match row.suppressed {
        Some(true) => {
            call.account.opt_out_of_account(id);
        }
        Some(false) if call.account.resubscribe(id) => {
            call.context.misuse(
                MisuseKind::Resubscribed,
                format!("contact {id}, of the account"),
            );
        }
        Some(false) | None => {}
    }
    if let Some(held) = row.held {
        if held {
            call.account.hold(id);
        } else {
            call.account.release(id);
        }
    }
}

pub(super) fn delete(call: &mut Call<'_>, params: &Params) -> Answer {
    let id = params.needed_id("contactID", call.context)?;
    let suppressed_too = params
        .flag("deleteSuppressed", call.context)?
        .unwrap_or(false);
    let contact = call
        .visible(id)
        .and_then(|id| call.account.contact(id))
        .ok_or_else(|| no_contact("The contact"))?;
    if contact.opted_out.is_some() && !suppressed_too {
        return Err(Failure::new(
            Failure::REFUSED,
            "Suppressed contacts are deleted only with deleteSuppressed.",
        ));
    }
    call.context
        .misuse(MisuseKind::DeletedContact, format!("contact {id}"));
    call.account.delete_contact(id);
    Ok(Value::Null)
}

/// A contact as contacts/lookup and contacts/save show it.
pub(super) fn full(account: &Account, contact: &Contact) -> Value {
    let mut value = Map::new();
    for name in [
        "contactID",
        "email",
        "userID",
        "dateAdded",
        "dateModified",
        "held",
        "dateHeld",
        "suppressed",
    ] {
        value.insert(name.to_owned(), field(account, contact, name));
    }
    for name in ["dateSuppressed", "lastActivityDate", "lastClickDate"] {
        value.insert(name.to_owned(), field(account, contact, name));
    }
    for (name, _) in PROFILE {
        value.insert(name.to_owned(), field(account, contact, name));
    }
    value.insert("groupIDs".to_owned(), json!(account.groups_of(contact.id)));
    let custom: Map<String, Value> = account
        .fields
        .iter()
        .map(|field| {
            let entry = json!({
                "label": field.label,
                "value": text(account, contact.custom.get(&field.name).unwrap_or_default()),
            });
            (field.name.clone(), entry)
        })
        .collect();
    value.insert("customFields".to_owned(), Value::Object(custom));
    value.insert("contentVariables".to_owned(), json!({}));
    value.insert(
        "contactScore".to_owned(),
        json!({"percentile": "", "score": 0}),
    );
    Value::Object(value)
}

/// One value of a contact by the wire's name, except custom fields and groups.
pub(super) fn field(account: &Account, contact: &Contact, name: &str) -> Value {
    match name {
        "contactID" => json!(contact.id),
        "email" => json!(contact.email),
        "userID" => json!(contact.owner),
        "held" => flag(account, contact.id, contact.bounced.is_some()),
        "suppressed" => flag(account, contact.id, contact.opted_out.is_some()),
        "dateHeld" => json!(stamp(account, contact.bounced)),
        "dateSuppressed" => json!(stamp(account, contact.opted_out)),
        "dateAdded" => json!(stamp(account, Some(contact.added))),
        "dateModified" => json!(stamp(account, Some(contact.modified))),
        "lastActivityDate" => json!(stamp(account, contact.last_activity)),
        "lastClickDate" => json!(stamp(account, contact.last_click)),
        "mobileNumber" => json!(international(contact.get("mobile"))),
        _ => neutral(name).map_or(Value::Null, |neutral| text(account, contact.get(neutral))),
    }
}

/// A mobile number as the service shows it since 2022: in E.164 form where it can be told, as it
/// was given otherwise.
fn international(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    match digits.len() {
        8..=15 if number.trim_start().starts_with('+') => format!("+{digits}"),
        10 => format!("+1{digits}"),
        11 if digits.starts_with('1') => format!("+{digits}"),
        _ => number.to_owned(),
    }
}
