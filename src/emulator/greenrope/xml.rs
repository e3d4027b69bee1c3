//! XML in and out, as a small tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

use crate::emulator::kept::Spooled;

/// How deep a request may be nested.
const MAX_DEPTH: usize = 32;

/// One element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Node>,
    pub(super) text: String,
    /// Children that are written out already and follow the others.
    pub(super) written: Option<Written>,
}

/// Children of a node that are written out already, because there are too many of them to hold as
/// nodes.
#[derive(Debug, Clone)]
pub(super) struct Written(pub(super) Arc<Spooled>);

impl PartialEq for Written {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Written {}

/// A request document that was read.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) root: Node,
    /// Whether an XML declaration stood before the root.
    pub(super) declared: bool,
}

impl Node {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn leaf(name: &str, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::new(name)
        }
    }

    pub(super) fn with(mut self, child: Node) -> Self {
        self.children.push(child);
        self
    }

    pub(super) fn push(&mut self, child: Node) {
        self.children.push(child);
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Reads a request.
    pub(crate) fn parse(text: &str) -> Result<Parsed, String> {
        let mut reader = Reader::from_str(text);
        let mut declared = false;
        let mut open: Vec<Node> = Vec::new();
        let mut root = None;
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Decl(_) => declared = true,
                Event::Start(start) => {
                    if root.is_some() || open.len() >= MAX_DEPTH {
                        return Err("more than one root element, or nested too deeply".to_owned());
                    }
                    open.push(element(&start)?);
                }
                Event::Empty(start) => {
                    let node = element(&start)?;
                    match open.last_mut() {
                        Some(parent) => parent.push(node),
                        None if root.is_none() => root = Some(node),
                        None => return Err("more than one root element".to_owned()),
                    }
                }
                Event::End(_) => {
                    let mut node = open.pop().ok_or("an element is closed that was not open")?;
                    if node.children.is_empty() {
                        node.text = node.text.trim().into();
                    } else {
                        node.text.clear();
                    }
                    match open.last_mut() {
                        Some(parent) => parent.push(node),
                        None => root = Some(node),
                    }
                }
                Event::Text(piece) => match open.last_mut() {
                    Some(node) => node.text.push_str(&piece),
                    None if piece.trim().is_empty() => {}
                    None => return Err("text outside the root element".to_owned()),
                },
                Event::GeneralRef(reference) => {
                    let character = reference
                        .resolve_char_ref()
                        .map_err(|error| error.to_string())?;
                    let node = open
                        .last_mut()
                        .ok_or("a reference outside the root element")?;
                    match (character, resolve_predefined_entity(&reference)) {
                        (Some(character), _) => node.text.push(character),
                        (None, Some(text)) => node.text.push_str(text),
                        (None, None) => return Err("an unknown entity".to_owned()),
                    }
                }
                Event::CData(data) => {
                    open.last_mut()
                        .ok_or("text outside the root element")?
                        .text
                        .push_str(&data);
                }
                Event::DocType(_) => return Err("a document type is not allowed".to_owned()),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        if !open.is_empty() {
            return Err("the document ends inside an element".to_owned());
        }
        root.map(|root| Parsed { root, declared })
            .ok_or_else(|| "the document is empty".to_owned())
    }

    /// Writes the element as XML.
    pub(crate) fn to_xml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            escape(value, out);
            out.push('"');
        }
        if self.text.is_empty() && self.children.is_empty() && self.written.is_none() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        escape(&self.text, out);
        for child in &self.children {
            child.write(out);
        }
        if let Some(Written(rows)) = &self.written {
            rows.append_to(out);
        }
        self.write_end(out);
    }

    fn write_end(&self, out: &mut String) {
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }

    /// The length and the body of a document whose last element has children in a file, to be sent
    /// without holding all of it.
    pub(crate) fn stream(&self) -> Option<(u64, Body)> {
        let (last, others) = self.children.split_last()?;
        let Written(rows) = last
            .written
            .as_ref()
            .filter(|Written(text)| matches!(**text, Spooled::File(..)))?;
        let mut before = format!("<{}>", self.name);
        for child in others {
            child.write(&mut before);
        }
        before.push('<');
        before.push_str(&last.name);
        before.push('>');
        let mut after = String::new();
        last.write_end(&mut after);
        self.write_end(&mut after);
        let length = before.len() as u64 + rows.len() + after.len() as u64;
        Some((length, rows.body(before, after)))
    }

    /// Writes the element as the JSON mode does: lower-case names, a single entry as an object,
    /// several as an array.
    pub(crate) fn to_json(&self) -> Value {
        let mut document = Map::new();
        document.insert(self.name.to_lowercase(), self.json_value());
        Value::Object(document)
    }

    fn json_value(&self) -> Value {
        if self.children.is_empty() && self.attributes.is_empty() {
            return Value::String(self.text.clone());
        }
        let mut members: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (name, value) in &self.attributes {
            members
                .entry(name.to_lowercase())
                .or_default()
                .push(Value::String(value.clone()));
        }
        for child in &self.children {
            members
                .entry(child.name.to_lowercase())
                .or_default()
                .push(child.json_value());
        }
        let mut object = Map::new();
        for (name, mut values) in members {
            let value = if values.len() == 1 {
                values.remove(0)
            } else {
                Value::Array(values)
            };
            object.insert(name, value);
        }
        Value::Object(object)
    }

    /// Makes all totals wrong by so much.
    pub(crate) fn shift_counts(&mut self, by: i64) {
        if self.name == "TotalMatchingContacts"
            && let Ok(count) = self.text.parse::<i64>()
        {
            self.text = (count + by).max(0).to_string();
        }
        for child in &mut self.children {
            child.shift_counts(by);
        }
    }

    /// Takes the lists out of an answer.
    /// Takes the last row out of the longest list, for faults.
    pub(crate) fn shorten(&mut self) {
        fn longest(node: &Node) -> usize {
            let deeper = node.children.iter().map(longest);
            let is_list = node.name.ends_with('s');
            let own = if is_list { node.children.len() } else { 0 };
            deeper.chain([own]).max().unwrap_or(0)
        }
        let length = longest(self);
        if length < 2 {
            return;
        }
        match self
            .children
            .iter_mut()
            .find(|child| longest(child) == length)
        {
            Some(child) => child.shorten(),
            None => drop(self.children.pop()),
        }
    }

    pub(crate) fn remove_lists(&mut self) {
        const LISTS: [&str; 5] = [
            "Groups",
            "Contacts",
            "Accounts",
            "ContactGroups",
            "UserDefinedFields",
        ];
        self.children
            .retain(|child| !LISTS.contains(&child.name.as_str()));
    }
}

fn element(start: &BytesStart<'_>) -> Result<Node, String> {
    let mut node = Node::new(start.name().as_ref());
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let key = attribute.key.as_ref().to_owned();
        let value =
            quick_xml::escape::unescape(&attribute.value).map_err(|error| error.to_string())?;
        node.attributes.push((key, value.into_owned()));
    }
    Ok(node)
}

/// Escapes text and drops what XML 1.0 does not allow.
fn escape(text: &str, out: &mut String) {
    // Most text needs nothing done.
    if text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b" @.-+:_,/".contains(&byte))
    {
        out.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(character),
            character if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') => {
            }
            character => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let name = "***A & B [\"2024\"] <ü> 日本";
        let mut node = Node::new("Group")
            .with(Node::leaf("Name", name))
            .with(Node::new("Empty"));
        node.attributes
            .push(("request_id".to_owned(), name.to_owned()));
        let parsed = Node::parse(&node.to_xml()).unwrap();
        assert_eq!(parsed.root, node);
        assert!(!parsed.declared);
        assert!(Node::parse("<?xml version=\"1.0\"?><A/>").unwrap().declared);
    }

    #[test]
    fn what_is_not_one_document_is_refused() {
        for text in [
            "",
            "<A>",
            "<A/><B/>",
            "<A></B>",
            "text",
            "<A>&nbsp;</A>",
            "<!DOCTYPE A><A/>",
        ] {
            assert!(Node::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn json_shows_one_entry_as_an_object_and_two_as_an_array() {
        let one = Node::new("Groups").with(Node::new("Group").with(Node::leaf("Name", "A")));
        assert_eq!(
            one.to_json().to_string(),
            r#"{"groups":{"group":{"name":"A"}}}"#
        );
        let two = one.with(Node::new("Group").with(Node::leaf("Name", "B")));
        assert_eq!(
            two.to_json().to_string(),
            r#"{"groups":{"group":[{"name":"A"},{"name":"B"}]}}"#
        );
    }
}
