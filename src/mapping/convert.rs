//! From a value to what a field of the target's table takes.

use compact_str::{CompactString, ToCompactString as _};

use super::expression::Given;
use super::{LeftOut, LeftOutReason};
use crate::model::{CustomField, FieldSpec, FieldType, Value};

/// What a target field takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The canonical name, which decides how words turn into flags.
    pub(super) canonical: String,
    pub(super) kind: FieldType,
    /// In characters.
    pub(super) max_length: Option<usize>,
    /// The only values allowed: the provider's word and the canonical word.
    pub(super) values: Vec<(String, String)>,
}

impl Shape {
    /// Returns what a field of the table takes.
    pub(super) fn of(field: &FieldSpec) -> Shape {
        Shape {
            canonical: field.canonical.to_owned(),
            kind: field.kind,
            max_length: field.max_length,
            values: field
                .values
                .iter()
                .map(|(wire, canonical)| ((*wire).to_owned(), (*canonical).to_owned()))
                .collect(),
        }
    }

    /// Returns what a custom field takes; `row` is the table's row of all custom fields.
    pub(super) fn of_custom(row: &FieldSpec, field: &CustomField) -> Shape {
        Shape {
            canonical: "custom.*".to_owned(),
            kind: field.kind,
            max_length: field.max_length.or(row.max_length),
            values: field
                .options
                .iter()
                .map(|option| (option.clone(), option.clone()))
                .collect(),
        }
    }
}

/// Turns a value into what the field takes: nothing for nothing, a reason where it can't.
///
/// Values are never trimmed, cut or otherwise repaired.
pub(super) fn convert(shape: &Shape, wire: &str, given: Given) -> Result<Option<Value>, LeftOut> {
    let value = match given {
        Given::Nothing => return Ok(None),
        Given::Value(value) => value,
        Given::Other(text) => {
            return Err(LeftOut {
                wire: wire.to_owned(),
                value: text,
                reason: LeftOutReason::WrongType,
            });
        }
    };
    let is_blank = match &value {
        Value::Text(text) => text.trim().is_empty(),
        other => other.is_empty(),
    };
    if is_blank {
        return Ok(None);
    }
    let left_out = |reason| LeftOut {
        wire: wire.to_owned(),
        value: value.to_string(),
        reason,
    };
    let converted = match shape.kind {
        FieldType::Boolean => boolean(shape, &value).map(Value::Boolean),
        FieldType::Integer => match integer(&allowed(shape, &value).map_err(left_out)?) {
            Some(number) if is_no_limit(&shape.canonical, number) => return Ok(None),
            number => number.map(Value::Integer),
        },
        FieldType::Text | FieldType::Timestamp => {
            text(shape, &allowed(shape, &value).map_err(left_out)?).map(Value::Text)
        }
        FieldType::List if is_id_set(shape) => list(shape, &value)
            .map_err(left_out)?
            .map(|ids| Value::List(sorted_ids(&ids))),
        FieldType::List => list(shape, &value).map_err(left_out)?.map(Value::List),
    };
    let converted = converted.ok_or_else(|| left_out(LeftOutReason::WrongType))?;
    if converted.is_empty() {
        return Ok(None);
    }
    let is_unclean = match &converted {
        Value::Text(text) => has_control_characters(text),
        Value::List(items) => items.iter().any(|item| has_control_characters(item)),
        Value::Integer(_) | Value::Boolean(_) => false,
    };
    if is_unclean {
        return Err(left_out(LeftOutReason::ControlCharacters));
    }
    let longest = match &converted {
        Value::Text(text) => text.chars().count(),
        Value::List(items) => items
            .iter()
            .map(|item| item.chars().count())
            .max()
            .unwrap_or(0),
        Value::Integer(number) => number.to_string().len(),
        Value::Boolean(_) => 0,
    };
    match shape.max_length {
        Some(max) if longest > max => Err(left_out(LeftOutReason::TooLong { max })),
        _ => Ok(Some(converted)),
    }
}

/// Tells whether a text holds characters that XML forbids, and that no one types: they would get lost
/// on the way, or make the record unreadable.
fn has_control_characters(text: &str) -> bool {
    let is_harmless = |c: char| matches!(c, '\t' | '\n' | '\r');
    text.chars()
        .any(|c| (c < ' ' && !is_harmless(c)) || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// Tells whether a number is how providers spell that there is no limit: none or less, but of
/// attachments less than none, since a limit of none is one.
fn is_no_limit(canonical: &str, number: i64) -> bool {
    match canonical {
        "limits.attachment" => number < 0,
        _ => number <= 0 && canonical.starts_with("limits."),
    }
}

/// Tells whether a field holds ids of other objects, which have no order.
fn is_id_set(shape: &Shape) -> bool {
    matches!(
        shape.canonical.as_str(),
        "lists" | "settings.sendmethods" | "permissions"
    )
}

/// Puts ids in the order in which they are read back, so that their order is never a difference.
fn sorted_ids(items: &[String]) -> Vec<String> {
    let mut ids: Vec<String> = items
        .iter()
        .flat_map(|item| item.split(','))
        .map(|id| id.trim().to_owned())
        .collect();
    ids.retain(|id| !id.is_empty());
    ids.sort_by_key(|id| (id.len(), id.clone()));
    ids.dedup();
    ids
}

/// Replaces a canonical word by the provider's, where the field has a list of words.
fn allowed(shape: &Shape, value: &Value) -> Result<Value, LeftOutReason> {
    if shape.values.is_empty() || matches!(value, Value::List(_)) {
        return Ok(value.clone());
    }
    word(shape, &spoken(shape, value)).map(Value::from)
}

fn word<'a>(shape: &'a Shape, text: &str) -> Result<&'a str, LeftOutReason> {
    let wanted = text.trim().to_lowercase();
    // The provider's own word first: another provider's canonical word must not shadow it.
    let by_wire = shape
        .values
        .iter()
        .find(|(wire, _)| wire.to_lowercase() == wanted);
    let found = by_wire.or_else(|| {
        shape
            .values
            .iter()
            .find(|(_, canonical)| canonical.to_lowercase() == wanted)
    });
    found
        .map(|(wire, _)| wire.as_str())
        .ok_or_else(|| LeftOutReason::NotAllowed {
            allowed: shape.values.iter().map(|(wire, _)| wire.clone()).collect(),
        })
}

/// Returns the value as a word; a source that only knows "private or not" speaks in truth values.
fn spoken(shape: &Shape, value: &Value) -> String {
    match value {
        Value::Boolean(private) if shape.canonical == "visibility" => {
            if *private { "private" } else { "public" }.to_owned()
        }
        other => other.to_string(),
    }
}

fn boolean(shape: &Shape, value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(flag) => Some(*flag),
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        Value::Text(text) => {
            let wanted = text.trim().to_lowercase();
            if shape.canonical == "visibility" {
                // The flag means "private": whoever can't tell hidden from private keeps both from
                // the public.
                match wanted.as_str() {
                    "public" => return Some(false),
                    "private" | "hidden" => return Some(true),
                    _ => {}
                }
            }
            truth(&wanted).or_else(|| word(shape, text).ok().and_then(truth))
        }
        Value::Integer(_) | Value::List(_) => None,
    }
}

fn truth(word: &str) -> Option<bool> {
    match word.trim().to_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Boolean(_) | Value::List(_) => None,
    }
}

fn text(shape: &Shape, value: &Value) -> Option<CompactString> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_compact_string()),
        Value::Boolean(_) => Some(spoken(shape, value).into()),
        Value::List(_) => None,
    }
}

fn list(shape: &Shape, value: &Value) -> Result<Option<Vec<String>>, LeftOutReason> {
    let items: Vec<String> = match value {
        Value::List(items) => items
            .iter()
            .filter(|item| !item.trim().is_empty())
            .cloned()
            .collect(),
        Value::Text(text) => vec![text.to_string()],
        Value::Integer(number) => vec![number.to_string()],
        Value::Boolean(_) => return Ok(None),
    };
    if shape.values.is_empty() {
        return Ok(Some(items));
    }
    items
        .iter()
        .map(|item| word(shape, item).map(str::to_owned))
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_none_is_no_limit_but_for_attachments() {
        let shape = |canonical: &str| Shape {
            canonical: canonical.to_owned(),
            kind: FieldType::Integer,
            max_length: None,
            values: Vec::new(),
        };
        for (canonical, given, expected) in [
            ("limits.attachment", "0", Some(0)),
            ("limits.attachment", "-1", None),
            ("limits.mail", "0", None),
            ("limits.mail", "5", Some(5)),
            ("settings.abuseratio", "0", Some(0)),
        ] {
            let given = Given::Value(Value::from(given));
            let got = convert(&shape(canonical), "limit", given).unwrap();
            assert_eq!(got, expected.map(Value::Integer), "{canonical}");
        }
    }

    #[test]
    fn a_text_with_control_characters_is_left_out_and_not_repaired() {
        let shape = Shape::of(&FieldSpec::TEXT);
        for (text, taken) in [
            ("two\nlines\tand\r\nmore", true),
            ("a\u{85}b", true),
            ("a\u{0}b", false),
            ("a\u{b}b", false),
            ("a\u{ffff}b", false),
        ] {
            let got = convert(&shape, "notes", Given::Value(Value::from(text)));
            match got {
                Ok(value) => assert_eq!(value, Some(Value::from(text)).filter(|_| taken)),
                Err(left_out) => {
                    assert!(!taken, "{text:?}");
                    assert_eq!(left_out.reason, LeftOutReason::ControlCharacters);
                }
            }
        }
    }
}
