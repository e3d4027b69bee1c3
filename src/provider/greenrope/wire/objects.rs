//! The answers that are no contacts: token, accounts, groups, definitions of custom fields.

use std::io::BufRead;

use secrecy::SecretString;

use super::answer::read_single;
use super::tree::Element;
use crate::http::DecodeError;
use crate::model::{
    CustomField, CustomFields, FieldType, GroupKind, GroupRow, GroupStatus, Record, Unread, Value,
};
use crate::provider::greenrope::fields::GROUP_TYPES;

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
    match envelope.root().any(&["token"]) {
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
            let item = item.root();
            let number = item.any(&["accountnumber"]);
            let number = number.filter(|_| !item.has_guessed(&["accountnumber"]));
            numbers.extend(number.map(str::to_owned));
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

/// Decodes groups, and counts those without an id. A list must be there, and every group must belong
/// to the account that was asked for.
pub(in super::super) fn groups(
    source: impl BufRead,
    account_id: &str,
) -> Result<(Vec<GroupRow>, u64), DecodeError> {
    groups_if_any(source, account_id)?
        .ok_or_else(|| DecodeError::Protocol(NO_LIST_OF_GROUPS.to_owned()))
}

/// Decodes groups like [`groups`]; nothing where there is no list of them, as an account without any
/// may answer (trust low).
pub(in super::super) fn groups_if_any(
    source: impl BufRead,
    account_id: &str,
) -> Result<Option<(Vec<GroupRow>, u64)>, DecodeError> {
    let mut rows = Vec::new();
    let mut without_id = 0;
    let envelope = read_single(source, "getgroupsresponse", "groups", &mut |item| {
        match group(item.root(), account_id)? {
            Some(group) => rows.push(group),
            None => without_id += 1,
        }
        Ok(())
    })?;
    Ok(envelope.container.then_some((rows, without_id)))
}

/// What is the matter with an answer that shows no list of groups.
pub(in super::super) const NO_LIST_OF_GROUPS: &str = "the answer has no list of groups";

/// Tells whether the words of a refusal say that there is no group in the account, and not that the
/// login may not see or do something.
pub(in super::super) fn says_no_groups(words: &str) -> bool {
    says_none(words, "groups")
}

/// Tells the same of contacts.
pub(in super::super) fn says_no_contacts(words: &str) -> bool {
    says_none(words, "contacts")
}

fn says_none(words: &str, what: &str) -> bool {
    let words = words.to_lowercase();
    let words: Vec<&str> = words.split(|c: char| !c.is_alphanumeric()).collect();
    let about_rights = [
        "access",
        "allowed",
        "authorized",
        "authorised",
        "login",
        "permission",
        "permissions",
        "permitted",
        "right",
        "rights",
        "see",
        "token",
        "user",
        "view",
        "visible",
        "you",
        "your",
    ];
    words.windows(2).any(|two| two == ["no", what])
        && !words.iter().any(|word| about_rights.contains(word))
}

/// Decodes a group; nothing where its id, or whose it is, can't be read.
fn group(item: Element<'_>, account_id: &str) -> Result<Option<GroupRow>, DecodeError> {
    let Some(id) = item.any(&["group_id", "groupid"]) else {
        return Ok(None);
    };
    // Nobody can tell which it is, or whose.
    if item.has_guessed(&["group_id", "groupid", "accountnumber"]) {
        return Ok(None);
    }
    if item
        .any(&["accountnumber"])
        .is_some_and(|number| number != account_id.trim())
    {
        return Err(DecodeError::Protocol(format!(
            "group {id} belongs to another account than the one that was asked for"
        )));
    }
    let member_count = item.any(&["totalmatchingcontacts"]);
    let member_count = member_count.and_then(|count| count.parse().ok());
    let mut wire = Record::new();
    for name in GROUP_TEXTS {
        if let Some(text) = item.value(&name.to_lowercase()) {
            wire.insert(name.into(), Value::from(text));
        }
    }
    if let Some(kind) = item.any(&["group_type", "grouptype"]) {
        let known = GROUP_TYPES
            .iter()
            .map(|(word, _)| *word)
            .find(|word| word.eq_ignore_ascii_case(kind));
        wire.insert("GroupType".into(), Value::from(known.unwrap_or(kind)));
    }
    if let Some(number) = item.any(&["accountnumber"]) {
        wire.insert("AccountNumber".into(), Value::from(number));
    }
    if let Some(zone) = item.any(&["eventstimezone"]) {
        wire.insert("EventsTimeZone".into(), Value::from(plain_zone(zone)));
    }
    match item.any(&["includeloginlink"]) {
        Some(link)
            if ["yes", "1", "true"]
                .iter()
                .any(|yes| link.eq_ignore_ascii_case(yes)) =>
        {
            wire.insert("IncludeLoginLink".into(), Value::from(true));
        }
        Some(link)
            if ["no", "0", "false"]
                .iter()
                .any(|no| link.eq_ignore_ascii_case(no)) =>
        {
            wire.insert("IncludeLoginLink".into(), Value::from(false));
        }
        _ => {}
    }
    let is_named = wire.contains_key("Name") && !item.has_guessed(&["name"]);
    let is_read = !item.is_cut() && !item.children().any(Element::is_guessed);
    Ok(Some(GroupRow {
        id: id.to_owned(),
        wire,
        kind: GroupKind::Static,
        status: GroupStatus::Active,
        test_group: false,
        auto_response: false,
        member_count,
        detailed: true,
        unread: Unread::of_texts(is_named, is_read),
    }))
}

/// Removes the final slash that one example of the manual has.
pub(super) fn plain_zone(zone: &str) -> &str {
    zone.trim().trim_end_matches('/')
}

/// Decodes the definitions of custom fields, whose name is both label and system name.
pub(in super::super) fn custom_fields(source: impl BufRead) -> Result<CustomFields, DecodeError> {
    let mut fields = Vec::new();
    let mut unread = Vec::new();
    let envelope = read_single(
        source,
        "getuserdefinedfieldsresponse",
        "userdefinedfields",
        &mut |item| {
            let item = item.root();
            let id = item.any(&["userfieldid"]);
            let name = item.any(&["fieldname"]);
            let guessed = item.is_cut() || item.children().any(Element::is_guessed);
            let Some(name) = name.filter(|_| !guessed) else {
                unread.push(name.or(id).unwrap_or("without a name").to_owned());
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
        unread,
    })
}
