//! Oddities that can be played on purpose: what others do in the very moment of a request, what a
//! service overlooks in it, and what can't be read of its answer.

use std::cmp::Reverse;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;

use super::exchange::Incoming;
use super::reply::Document;
use super::world::{Account, GroupKind, GroupStatus, MembershipState};

/// What follows a text so that nobody can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// The first half of a surrogate pair, as JSON writes it; in XML a reference to it.
    Surrogate,
    /// A control character that neither JSON nor XML allows as it is.
    Control,
    /// A byte of Windows-1252 where everything is declared as UTF-8.
    Foreign,
    /// A reference to an entity that nobody declared; in JSON the same as a control character.
    Entity,
    /// An ampersand that begins no reference; in JSON the same as a control character.
    Ampersand,
}

impl Garbage {
    fn bytes(self, is_json: bool) -> &'static [u8] {
        match (self, is_json) {
            (Garbage::Surrogate, true) => b"\\ud83d",
            (Garbage::Surrogate, false) => b"&#xD83D;",
            (Garbage::Foreign, _) => b"\xeb",
            (Garbage::Entity, false) => b"&nosuch;",
            (Garbage::Ampersand, false) => b" & ",
            (Garbage::Control, _) | (Garbage::Entity | Garbage::Ampersand, true) => b"\x01",
        }
    }
}

/// Puts garbage after each place where an answer shows a text.
pub(super) fn garble(answer: &mut Vec<u8>, document: &Document, text: &str, with: Garbage) {
    let is_json = !document.content_type().contains("xml");
    let text = text.as_bytes();
    let mut garbled = Vec::with_capacity(answer.len() + 8);
    let mut at = 0;
    while at < answer.len() {
        if !text.is_empty() && answer[at..].starts_with(text) {
            garbled.extend_from_slice(text);
            garbled.extend_from_slice(with.bytes(is_json));
            at += text.len();
        } else {
            garbled.push(answer[at]);
            at += 1;
        }
    }
    *answer = garbled;
}

/// Lets somebody new join the fullest group of an account; where they are to make room, its first
/// member leaves it.
pub(super) fn join(account: &mut Account, request: u64, leaves: bool) {
    let in_use = account
        .groups
        .values()
        .filter(|group| group.status == GroupStatus::Active && group.kind == GroupKind::Static);
    let fullest = in_use.max_by_key(|group| (group.members.len(), Reverse(group.id)));
    let Some(group) = fullest.map(|group| group.id) else {
        return;
    };
    let mut members = account.groups[&group].members.iter();
    let first = members
        .find(|(_, membership)| membership.state == MembershipState::Active)
        .map(|(contact, _)| *contact);
    if let Some(first) = first.filter(|_| leaves) {
        account.leave(group, first);
    }
    let address = format!("joins{request}@example.org");
    // Another account of the same number of requests may have been read in since.
    if account.contact_by_email(&address).is_some() {
        return;
    }
    let newcomer = account.add_person(&address, "Newcomer", "Example");
    account.join(group, newcomer);
}

/// Takes a parameter out of a request, as if the service took no notice of it: of a query, a form, a
/// JSON object, or the XML document in a form.
pub(super) fn overlook(incoming: &mut Incoming, name: &str) {
    if let Some(query) = &mut incoming.query {
        *query = without(query.as_bytes(), name);
    }
    let object = serde_json::from_slice::<Value>(&incoming.body);
    incoming.body = match object {
        Ok(Value::Object(mut fields)) => {
            fields.retain(|key, _| !key.eq_ignore_ascii_case(name));
            Bytes::from(Value::Object(fields).to_string())
        }
        _ => Bytes::from(without(&incoming.body, name)),
    };
}

fn without(pairs: &[u8], name: &str) -> String {
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for (key, value) in form_urlencoded::parse(pairs).filter(|(key, _)| key != name) {
        let value = without_part(&value, &format!("<{name}>"), &format!("</{name}>"));
        let value = without_part(&value, &format!(" {name}=\""), "\"");
        kept.append_pair(&key, &value);
    }
    kept.finish()
}

/// Takes out what begins and ends so, once.
fn without_part(xml: &str, begin: &str, end: &str) -> String {
    let part = xml.find(begin).and_then(|start| {
        let inside = start + begin.len();
        let length = xml[inside..].find(end)?;
        Some(start..inside + length + end.len())
    });
    match part {
        Some(part) => format!("{}{}", &xml[..part.start], &xml[part.end..]),
        None => xml.to_owned(),
    }
}

/// Tells whether a request names an address, in its body or in its query.
pub(super) fn names(incoming: &Incoming, address: &str) -> bool {
    let wanted = address.trim().to_lowercase();
    let shown = |bytes: &[u8]| {
        let decoded = form_urlencoded::parse(bytes).any(|(key, value)| {
            key.to_lowercase().contains(&wanted) || value.to_lowercase().contains(&wanted)
        });
        decoded
            || String::from_utf8_lossy(bytes)
                .to_lowercase()
                .contains(&wanted)
    };
    let query = incoming.query.as_deref().unwrap_or_default();
    shown(&incoming.body) || shown(query.as_bytes())
}

/// Takes the last row out of the longest list below a value.
pub(super) fn shorten(value: &mut Value) {
    fn longest(value: &Value) -> usize {
        match value {
            Value::Array(rows) => rows
                .iter()
                .map(longest)
                .chain([rows.len()])
                .max()
                .unwrap_or(0),
            Value::Object(fields) => {
                let numbered = fields.keys().filter(|key| key.parse::<u64>().is_ok());
                let rows = numbered.count();
                fields
                    .values()
                    .map(longest)
                    .chain([rows])
                    .max()
                    .unwrap_or(0)
            }
            _ => 0,
        }
    }
    let length = longest(value);
    if length < 2 {
        return;
    }
    match value {
        Value::Array(rows) if rows.len() == length => drop(rows.pop()),
        Value::Array(rows) => {
            if let Some(row) = rows.iter_mut().find(|row| longest(row) == length) {
                shorten(row);
            }
        }
        Value::Object(fields) => {
            let numbers = fields.keys().filter_map(|key| key.parse::<u64>().ok());
            let (count, last) = (numbers.clone().count(), numbers.max());
            if let Some(last) = last.filter(|_| count == length) {
                fields.remove(&last.to_string());
            } else if let Some(inner) = fields.values_mut().find(|inner| longest(inner) == length) {
                shorten(inner);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_short_page_lacks_its_last_row() {
        for (mut page, expected) in [
            (
                json!({"data": {"records": [{"groups": [1]}, {"groups": []}], "total": 2}}),
                json!({"data": {"records": [{"groups": [1]}], "total": 2}}),
            ),
            (
                json!({"0": {"id": "7"}, "1": {"id": "8"}, "result_code": 1}),
                json!({"0": {"id": "7"}, "result_code": 1}),
            ),
            (json!({"success": 1}), json!({"success": 1})),
        ] {
            shorten(&mut page);
            assert_eq!(page, expected);
        }
    }

    #[test]
    fn a_parameter_is_overlooked_wherever_it_stands() {
        let xml = form_urlencoded::Serializer::new(String::new())
            .append_pair(
                "xml",
                "<Q a=\"1\"><Since>2026</Since><GroupId>7</GroupId></Q>",
            )
            .finish();
        for (body, name, expected) in [
            (
                "{\"suppressed\":1,\"page\":2}",
                "suppressed",
                "{\"page\":2}",
            ),
            ("a=1&filters%5Bid%5D=2", "filters[id]", "a=1"),
            (
                &xml,
                "Since",
                "xml=%3CQ+a%3D%221%22%3E%3CGroupId%3E7%3C%2FGroupId%3E%3C%2FQ%3E",
            ),
            (
                "xml=%3CQ+a%3D%221%22+b%3D%222%22%2F%3E",
                "a",
                "xml=%3CQ+b%3D%222%22%2F%3E",
            ),
        ] {
            let mut incoming = Incoming {
                method: axum::http::Method::POST,
                path: String::new(),
                query: None,
                headers: axum::http::HeaderMap::new(),
                body: Bytes::from(body.to_owned()),
                chunked: false,
            };
            overlook(&mut incoming, name);
            assert_eq!(incoming.body, expected.as_bytes());
        }
    }
}
