//! The answers that are no contacts: token, accounts, groups, definitions of custom fields.

use std::io::BufRead;

use secrecy::SecretString;

use super::answer::read_single;
use super::xml::Element;
use crate::http::DecodeError;
use crate::model::{
    CustomField, CustomFields, FieldType, GroupKind, GroupRow, GroupStatus, Record, Unread, Value,
};
use crate::provider::greenrope::fields::GROUP_TYPES;
use crate::provider::guess::{GUESS, unmarked};

/// The group fields whose text is taken as it stands.
const GROUP_TEXTS: [&str; 4] = [
    "Name",
    "EmailsSentFromName",
    "EmailsSentFromEmail",
    "EmailPhysicalAddress",
];

/// Decodes the answer to a login. Whatever it says instead of a token, logging in again does not
/// help.
pub(in super::super) fn token(source: impl BufRead) -> Result<SecretString, DecodeError> {
    let envelope =
        read_single(source, "getauthtokenresponse", "", &mut |_| Ok(())).map_err(|error| {
            match error {
                DecodeError::LoginExpired(words) => DecodeError::Denied(words),
                DecodeError::Refused(words) => DecodeError::Denied(words.to_string()),
                other => other,
            }
        })?;
    match envelope.root.any(&["token"]) {
        Some(token) => Ok(SecretString::from(token)),
        None => Err(DecodeError::Protocol(
            "the login brought no token".to_owned(),
        )),
    }
}

/// Decodes the numbers of the accounts that a login reaches.
pub(in super::super) fn accounts(source: impl BufRead) -> Result<Vec<String>, DecodeError> {
    let mut numbers = Vec::new();
    let envelope = read_single(
        source,
        "getaccountswithaccessresponse",
        "accounts",
        &mut |item| {
            numbers.extend(item.any(&["accountnumber"]).map(str::to_owned));
            Ok(())
        },
    )?;
    if !envelope.container {
        return Err(DecodeError::Protocol(
            "the answer has no list of accounts".to_owned(),
        ));
    }
    Ok(numbers)
}

/// Decodes groups. A list must be there, and every group must have an id and belong to the account
/// that was asked for.
pub(in super::super) fn groups(
    source: impl BufRead,
    account_id: &str,
) -> Result<Vec<GroupRow>, DecodeError> {
    let mut rows = Vec::new();
    let envelope = read_single(source, "getgroupsresponse", "groups", &mut |item| {
        rows.push(group(&item, account_id)?);
        Ok(())
    })?;
    if !envelope.container {
        return Err(DecodeError::Protocol(
            "the answer has no list of groups".to_owned(),
        ));
    }
    Ok(rows)
}

fn group(item: &Element, account_id: &str) -> Result<GroupRow, DecodeError> {
    let Some(id) = item.any(&["group_id", "groupid"]) else {
        return Err(DecodeError::Protocol("a group has no id".to_owned()));
    };
    if item
        .any(&["accountnumber"])
        .is_some_and(|number| number != account_id.trim())
    {
        return Err(DecodeError::Protocol(format!(
            "group {id} belongs to another account than the one that was asked for"
        )));
    }
    let member_count = match item.any(&["totalmatchingcontacts"]) {
        Some(count) => Some(count.parse().map_err(|_| {
            DecodeError::Protocol(format!("the member count of group {id} is not a number"))
        })?),
        None => None,
    };
    let mut wire = Record::new();
    for name in GROUP_TEXTS {
        if let Some(text) = item.value(&name.to_lowercase()) {
            wire.insert(name.to_owned(), Value::from(text));
        }
    }
    if let Some(kind) = item.any(&["group_type", "grouptype"]) {
        let known = GROUP_TYPES
            .iter()
            .map(|(word, _)| *word)
            .find(|word| word.eq_ignore_ascii_case(kind));
        wire.insert("GroupType".to_owned(), Value::from(known.unwrap_or(kind)));
    }
    if let Some(number) = item.any(&["accountnumber"]) {
        wire.insert("AccountNumber".to_owned(), Value::from(number));
    }
    if let Some(zone) = item.any(&["eventstimezone"]) {
        wire.insert("EventsTimeZone".to_owned(), Value::from(plain_zone(zone)));
    }
    match item.any(&["includeloginlink"]) {
        Some(link)
            if ["yes", "1", "true"]
                .iter()
                .any(|yes| link.eq_ignore_ascii_case(yes)) =>
        {
            wire.insert("IncludeLoginLink".to_owned(), Value::from(true));
        }
        Some(link)
            if ["no", "0", "false"]
                .iter()
                .any(|no| link.eq_ignore_ascii_case(no)) =>
        {
            wire.insert("IncludeLoginLink".to_owned(), Value::from(false));
        }
        _ => {}
    }
    let (mut is_named, mut is_read) = (true, true);
    for (field, value) in &mut wire {
        if let Value::Text(text) = value
            && text.contains(GUESS)
        {
            is_named &= field != "Name";
            is_read = false;
            *text = unmarked(text);
        }
    }
    Ok(GroupRow {
        id: id.to_owned(),
        wire,
        kind: GroupKind::Static,
        status: GroupStatus::Active,
        test_group: false,
        auto_response: false,
        member_count,
        detailed: true,
        unread: Unread::of_texts(is_named, is_read),
    })
}

/// Removes the final slash that one example of the manual has.
pub(super) fn plain_zone(zone: &str) -> &str {
    zone.trim().trim_end_matches('/')
}

/// Decodes the definitions of custom fields, whose name is both label and system name.
pub(in super::super) fn custom_fields(source: impl BufRead) -> Result<CustomFields, DecodeError> {
    let mut fields = Vec::new();
    let envelope = read_single(
        source,
        "getuserdefinedfieldsresponse",
        "userdefinedfields",
        &mut |item| {
            let Some(name) = item.any(&["fieldname"]) else {
                return Ok(());
            };
            let select = item
                .any(&["fieldtype"])
                .is_some_and(|kind| kind.eq_ignore_ascii_case("select"));
            let options = item
                .any(&["possiblevalues"])
                .filter(|_| select)
                .unwrap_or_default();
            fields.push(CustomField {
                system_name: name.to_owned(),
                label: name.to_owned(),
                kind: FieldType::Text,
                max_length: None,
                options: options
                    .split(',')
                    .map(str::trim)
                    .filter(|option| !option.is_empty())
                    .map(str::to_owned)
                    .collect(),
            });
            Ok(())
        },
    )?;
    fields.sort_by(|left, right| left.system_name.cmp(&right.system_name));
    Ok(CustomFields {
        known: envelope.container,
        fields,
    })
}
