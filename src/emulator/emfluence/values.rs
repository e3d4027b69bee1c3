//! How emfluence writes values: with empty text for what is unset, and types that wobble where a
//! quirk says so.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Value, json};

use super::Call;
use crate::emulator::world::Account;

/// Profile fields: the wire's name and the neutral name.
pub(super) const PROFILE: [(&str, &str); 20] = [
    ("customerID", "external_id"),
    ("firstName", "first_name"),
    ("lastName", "last_name"),
    ("company", "company"),
    ("title", "title"),
    ("mobileNumber", "mobile"),
    ("phone", "phone"),
    ("fax", "fax"),
    ("address1", "address1"),
    ("address2", "address2"),
    ("city", "city"),
    ("state", "state"),
    ("zipCode", "zip"),
    ("country", "country"),
    ("purl", "purl"),
    ("notes", "notes"),
    ("memo", "memo"),
    ("originalSource", "original_source"),
    ("ipAddress", "ip_address"),
    ("dateOfBirth", "birth_date"),
];

/// The neutral name of a profile field on the wire.
pub(super) fn neutral(wire: &str) -> Option<&'static str> {
    PROFILE
        .iter()
        .find(|(name, _)| *name == wire)
        .map(|(_, neutral)| *neutral)
}

/// Writes a moment as the account's clock on the wall shows it.
pub(super) fn stamp(account: &Account, moment: Option<Timestamp>) -> String {
    let Some(moment) = moment else {
        return String::new();
    };
    let offset = Offset::from_seconds(account.settings.utc_offset_minutes.saturating_mul(60))
        .unwrap_or(Offset::UTC);
    moment
        .to_zoned(TimeZone::fixed(offset))
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// Writes a text, or what the service makes of it.
pub(super) fn text(account: &Account, text: &str) -> Value {
    let quirks = &account.settings.emfluence;
    if quirks.digits_as_numbers
        && !text.is_empty()
        && text.len() <= 15
        && text.bytes().all(|byte| byte.is_ascii_digit())
        // A leading zero can't be kept in a number, so the serialiser leaves such text alone.
        && (text == "0" || !text.starts_with('0'))
        && let Ok(number) = text.parse::<i64>()
    {
        return json!(number);
    }
    if quirks.words_as_booleans {
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" => return json!(true),
            "no" | "false" => return json!(false),
            _ => {}
        }
    }
    json!(text)
}

/// Writes a flag of the record with this id.
pub(super) fn flag(account: &Account, id: u64, flag: bool) -> Value {
    if account.settings.emfluence.mixed_flags && id.is_multiple_of(2) {
        json!(flag)
    } else {
        json!(i32::from(flag))
    }
}

/// Writes an id that may be unset.
pub(super) fn optional_id(id: Option<u64>) -> Value {
    id.map_or_else(|| json!(""), |id| json!(id))
}

impl Call<'_> {
    pub(super) fn stamp(&self, moment: Option<Timestamp>) -> String {
        stamp(self.account, moment)
    }
}
