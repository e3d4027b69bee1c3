//! Answers in the formats of the service: JSON, XML and PHP's own.

use std::fmt::Write;

use serde_json::{Map, Value};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON as PHP writes it, with escaped slashes and without characters beyond ASCII.
    Json,
    /// JSON that is declared as HTML, as the importer answers.
    JsonAsHtml,
    /// XML below an element of this name.
    Xml(&'static str),
    /// PHP's `serialize`.
    Serialize,
}

/// An answer before it is written out.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) value: Value,
    pub(crate) format: Format,
}

impl Page {
    pub(crate) fn content_type(&self) -> &'static str {
        match self.format {
            Format::Json => "application/json",
            Format::JsonAsHtml | Format::Serialize => "text/html; charset=UTF-8",
            Format::Xml(_) => "text/xml; charset=utf-8",
        }
    }

    pub(crate) fn render(&self) -> String {
        match self.format {
            Format::Json | Format::JsonAsHtml => to_ascii(&self.value.to_string()),
            Format::Xml(root) => {
                let mut text = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
                xml(&mut text, root, &self.value);
                text
            }
            Format::Serialize => {
                let mut text = String::new();
                serialize(&mut text, &self.value);
                text
            }
        }
    }

    /// Makes totals wrong, for faults.
    pub(crate) fn shift_counts(&mut self, by: i64) {
        shift(&mut self.value, by);
    }

    /// Takes the rows out, for faults.
    pub(crate) fn remove_lists(&mut self) {
        if let Value::Object(map) = &mut self.value {
            map.retain(|key, value| {
                key.parse::<u64>().is_err() && !(value.is_array() && key != "errors")
            });
        }
    }
}

fn shift(value: &mut Value, by: i64) {
    const COUNTS: [&str; 5] = [
        "total",
        "cnt",
        "subscriber_count",
        "subscribers",
        "queued_contacts",
    ];
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let counted = COUNTS.contains(&key.as_str());
                match value {
                    Value::Number(number) if counted => {
                        *value = (number.as_i64().unwrap_or(0) + by).max(0).into();
                    }
                    Value::String(text) if counted => {
                        let count: i64 = text.parse().unwrap_or(0);
                        *text = (count + by).max(0).to_string();
                    }
                    _ => shift(value, by),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| shift(value, by)),
        _ => {}
    }
}

/// Escapes slashes and everything beyond ASCII, which in JSON can only stand inside texts.
fn to_ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut units = [0_u16; 2];
    for character in json.chars() {
        match character {
            '/' => text.push_str("\\/"),
            character if character.is_ascii() => text.push(character),
            character => {
                for unit in character.encode_utf16(&mut units) {
                    put(&mut text, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    text
}

/// The entries of a map with numbered rows in the order of their numbers, before everything else.
fn ordered(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| key.parse::<u64>().unwrap_or(u64::MAX));
    entries
}

fn xml(text: &mut String, name: &str, value: &Value) {
    // A number can't be the name of an element.
    let name = if name.starts_with(|character: char| character.is_ascii_digit()) {
        "row"
    } else {
        name
    };
    text.push('<');
    text.push_str(name);
    text.push('>');
    match value {
        Value::Object(map) => ordered(map)
            .into_iter()
            .for_each(|(key, value)| xml(text, key, value)),
        Value::Array(values) => values.iter().for_each(|value| xml(text, "row", value)),
        Value::String(content) => text.push_str(&quick_xml::escape::escape(content.as_str())),
        Value::Null => {}
        Value::Bool(flag) => text.push_str(if *flag { "1" } else { "" }),
        Value::Number(number) => text.push_str(&number.to_string()),
    }
    text.push_str("</");
    text.push_str(name);
    text.push('>');
}

fn serialize(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("N;"),
        Value::Bool(flag) => text.push_str(if *flag { "b:1;" } else { "b:0;" }),
        Value::Number(number) => put(text, format_args!("i:{number};")),
        Value::String(content) => put(text, format_args!("s:{}:\"{content}\";", content.len())),
        Value::Array(values) => {
            put(text, format_args!("a:{}:{{", values.len()));
            for (position, value) in values.iter().enumerate() {
                put(text, format_args!("i:{position};"));
                serialize(text, value);
            }
            text.push('}');
        }
        Value::Object(map) => {
            put(text, format_args!("a:{}:{{", map.len()));
            for (key, value) in ordered(map) {
                match key.parse::<u64>() {
                    // PHP turns such keys into numbers.
                    Ok(number) if number.to_string() == *key => {
                        put(text, format_args!("i:{number};"));
                    }
                    _ => put(text, format_args!("s:{}:\"{key}\";", key.len())),
                }
                serialize(text, value);
            }
            text.push('}');
        }
    }
}

fn put(text: &mut String, piece: std::fmt::Arguments<'_>) {
    // Writing to a text can't fail.
    text.write_fmt(piece).unwrap_or_default();
}
