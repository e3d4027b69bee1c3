//! Reading an XML answer piece by piece: items are lent one at a time, everything else
//! becomes one small tree.
//!
//! Without DTD and external entities; any breach of the syntax fails the whole document. An item that
//! is too long or too deep does not: what is too much of it is skipped, and it is told to be unread.
//! Names are compared in lower case, because their spelling differs between operations.

use std::borrow::Cow;
use std::io::{BufRead, Read as _};

use compact_str::{CompactString, ToCompactString as _};
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::QName;
use quick_xml::reader::{Config, Reader};

use super::mend::{Mended, is_plain};
use crate::http::DecodeError;
use crate::provider::guess::GUESS;

/// How deep elements may nest; real answers have six levels.
const MAX_DEPTH: usize = 32;
/// The longest tag or text, in bytes.
const MAX_TOKEN: usize = 1024 * 1024;
/// The longest name of an element whose tag is too long, in bytes.
const MAX_NAME: usize = 1024;
/// The most bytes of text and names that one item, or the rest of the document, may hold.
const MAX_TREE: usize = 4 * 1024 * 1024;
/// The most bytes that each part may hold that is kept of an item that is too much.
const MAX_KEPT: usize = 64 * 1024;

/// What is kept of an item that is too much, by name: what tells which one it is, and what decides
/// about it.
const KEPT: [&str; 12] = [
    "contact_id",
    "contactid",
    "id",
    "email",
    "unsubscribed",
    "groups",
    "group_id",
    "groupid",
    "name",
    "accountnumber",
    "userfieldid",
    "fieldname",
];

/// An element with everything in it.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// The name in lower case.
    pub name: CompactString,
    attributes: Vec<(CompactString, String)>,
    text: CompactString,
    /// The elements inside, in their order.
    pub children: Vec<Element>,
    /// Whether some of its text or of its tag can't be read, or is too long to be.
    pub guessed: bool,
    /// Whether it holds too much, so that next to nothing of what is inside was kept.
    pub cut: bool,
}

impl Element {
    /// Finds the first child of a name, given in lower case.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Returns the text of the first child of a name, untrimmed; nothing when it is missing or
    /// blank.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.children
            .iter()
            .filter(|child| child.name == name)
            .find_map(Element::content)
    }

    /// Returns the trimmed text of the first child that has one of several names.
    pub(super) fn any(&self, names: &[&str]) -> Option<&str> {
        names
            .iter()
            .find_map(|name| self.value(name))
            .map(str::trim)
    }

    /// Tells whether a child of one of several names, given in lower case, had text that can't be read.
    pub(super) fn is_guessed(&self, names: &[&str]) -> bool {
        self.children
            .iter()
            .any(|child| child.guessed && names.contains(&child.name.as_str()))
    }

    /// Returns the trimmed value of an attribute, given in lower case; nothing when it is missing
    /// or blank.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// Returns the element's own text, untrimmed; nothing when it is blank.
    pub(super) fn content(&self) -> Option<&str> {
        Some(self.text.as_str()).filter(|text| !text.trim().is_empty())
    }

    fn weight(&self) -> usize {
        let attributes = self.attributes.iter();
        let attributes: usize = attributes.map(|(name, text)| name.len() + text.len()).sum();
        let inside: usize = self.children.iter().map(Element::weight).sum();
        size_of::<Element>() + self.name.len() + self.text.len() + attributes + inside
    }

    /// Forgets everything inside, which can't be read then.
    fn cut(&mut self) {
        let name = std::mem::take(&mut self.name);
        *self = Element {
            name,
            text: char::REPLACEMENT_CHARACTER.to_compact_string(),
            guessed: true,
            cut: true,
            ..Element::default()
        };
    }

    /// Takes a child into an item that is too much, if it is one that is kept, and the first.
    fn keep(&mut self, mut child: Element) {
        let is_blank = child.content().is_none() && child.children.is_empty();
        if !is_blank && KEPT.contains(&child.name.as_str()) && self.child(&child.name).is_none() {
            if child.weight() > MAX_KEPT {
                child.cut();
            }
            self.children.push(child);
        }
    }
}

/// What a document held besides its items.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The root without the container of the items.
    pub root: Element,
    /// Whether the container was there, empty or not.
    pub container: bool,
    /// How many items were in it.
    pub items: u64,
}

/// Reads a document to its end, lending each element inside the container as it closes.
///
/// `root` and `container` are given in lower case. Every element child of the container is an item,
/// whatever its name: the manual itself shows a `Groups` item inside `Groups`.
pub(super) fn read_document(
    mut source: impl BufRead,
    root: &str,
    container: &str,
    item: &mut dyn FnMut(&mut Element) -> Result<(), DecodeError>,
) -> Result<Envelope, DecodeError> {
    let mut start = Vec::new();
    let unread = |error| DecodeError::NotAnAnswer(format!("it can't be read: {error}"));
    let length = source.by_ref().take(IN_MEMORY).read_to_end(&mut start);
    let is_whole = (length.map_err(unread)? as u64) < IN_MEMORY;
    if is_whole && is_plain(&start) {
        let pieces = Pieces::<&[u8]>::plain(&start);
        return read_pieces(pieces, root, container, item);
    }
    let pieces = Pieces::mended(start.as_slice().chain(source));
    read_pieces(pieces, root, container, item)
}

fn read_pieces<R: BufRead>(
    mut pieces: Pieces<'_, R>,
    root: &str,
    container: &str,
    item: &mut dyn FnMut(&mut Element) -> Result<(), DecodeError>,
) -> Result<Envelope, DecodeError> {
    let mut document = Document {
        root,
        container,
        open: Vec::new(),
        seen: false,
        items: 0,
        weight: 0,
        deep: Deep::default(),
        room: Vec::new(),
    };
    let mut done: Option<Element> = None;
    loop {
        let (event, too_long) = pieces.next()?;
        if done.is_some() && !is_blank(&event) {
            return Err(DecodeError::NotAnAnswer(
                "something follows the end of the document".to_owned(),
            ));
        }
        let begins = matches!(event, Event::Start(_) | Event::Empty(_));
        if too_long && !document.is_in_item(begins) {
            return Err(DecodeError::Protocol(
                "a single text of it is too long".to_owned(),
            ));
        }
        match event {
            Event::Start(start) => document.begin(&start, too_long)?,
            Event::Empty(start) => {
                document.begin(&start, too_long)?;
                done = document.end(&start.name(), item)?;
            }
            Event::End(end) => done = document.end(&end.name(), item)?,
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) if too_long => {
                document.text(UNREAD)?;
            }
            Event::Text(text) => {
                // A reference is a piece of its own: an ampersand here begins none, and what it
                // was meant to be nobody can tell.
                let text = text.xml10_content();
                let mut parts = text.split('&');
                document.text(parts.next().unwrap_or_default())?;
                for part in parts {
                    document.text(UNREAD)?;
                    document.text(part)?;
                }
            }
            Event::CData(text) => document.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                // What nobody defined can't be read, and spoils the record that it stands in alone.
                match reference.resolve_char_ref() {
                    Ok(Some(character)) => document.text(character.encode_utf8(&mut [0; 4]))?,
                    Ok(None) => {
                        document.text(resolve_predefined_entity(&reference).unwrap_or(UNREAD))?;
                    }
                    Err(_) => document.text(UNREAD)?,
                }
            }
            Event::DocType(_) => {
                return Err(DecodeError::NotAnAnswer(
                    "it has a document type, as web pages do".to_owned(),
                ));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match done {
        Some(root) => Ok(Envelope {
            root,
            container: document.seen,
            items: document.items,
        }),
        None => Err(DecodeError::NotAnAnswer(
            "it ends before its root element does".to_owned(),
        )),
    }
}

/// The longest document that is read from memory, where its pieces need no copies, in bytes.
const IN_MEMORY: u64 = 8 * 1024 * 1024;

/// A document piece by piece.
enum Pieces<'a, R> {
    /// A short one whose bytes are what they are said to be.
    Plain(Reader<&'a [u8]>),
    /// Any other.
    Mended {
        reader: Reader<Mended<R>>,
        buffer: Vec<u8>,
    },
}

/// Everything is checked, but one text with a bare ampersand spoils its own record alone.
fn set_up(config: &mut Config) {
    config.enable_all_checks(true);
    config.allow_dangling_amp = true;
}

impl<'a, R: BufRead> Pieces<'a, R> {
    fn plain(text: &'a [u8]) -> Self {
        let mut reader = Reader::from_reader(text);
        set_up(reader.config_mut());
        Pieces::Plain(reader)
    }

    fn mended(source: R) -> Self {
        let mut reader = Reader::from_reader(Mended::new(source));
        set_up(reader.config_mut());
        Pieces::Mended {
            reader,
            buffer: Vec::new(),
        }
    }

    /// Returns the next piece, and whether it is too long. If so, a part of it may be missing.
    fn next(&mut self) -> Result<(Event<'_>, bool), DecodeError> {
        let broken = |error| DecodeError::NotAnAnswer(format!("it is no well-formed XML: {error}"));
        match self {
            Pieces::Plain(reader) => {
                let event = reader.read_event().map_err(broken)?;
                let too_long = event.len() > MAX_TOKEN;
                Ok((event, too_long))
            }
            Pieces::Mended { reader, buffer } => {
                buffer.clear();
                reader.get_mut().allow(MAX_TOKEN);
                let event = reader.read_event_into(buffer).map_err(broken)?;
                Ok((event, reader.get_ref().is_shortened()))
            }
        }
    }
}

fn is_blank(event: &Event<'_>) -> bool {
    match event {
        Event::Text(text) => text.trim().is_empty(),
        Event::Comment(_) | Event::PI(_) | Event::Eof => true,
        _ => false,
    }
}

struct Document<'a> {
    root: &'a str,
    container: &'a str,
    /// The elements that have begun and not ended, outermost first.
    open: Vec<Element>,
    seen: bool,
    items: u64,
    /// Bytes kept since the last item.
    weight: usize,
    deep: Deep,
    /// The room that the last item had for its parts, which the next one takes.
    room: Vec<Element>,
}

/// The elements that have begun inside the deepest that is allowed, of which nothing is kept.
#[derive(Default)]
struct Deep {
    levels: usize,
    /// How much the parser remembers of them, about, to see that each is closed.
    bytes: usize,
}

impl Document<'_> {
    /// Tells whether an item is open; of a piece that begins an element, whether it is an item or in
    /// one.
    fn is_in_item(&self, begins: bool) -> bool {
        let is_list = |list: &Element| list.name == self.container;
        self.open.len() + usize::from(begins) > 2 && self.open.get(1).is_some_and(is_list)
    }

    fn begin(&mut self, start: &BytesStart<'_>, too_long: bool) -> Result<(), DecodeError> {
        let name = lowercase(start.name().as_ref());
        if self.open.is_empty() && name != self.root {
            let seen: String = name.chars().take(60).collect();
            // An answer to another question is the service's own mistake; anything else was not the
            // service.
            return Err(if seen.ends_with("response") {
                DecodeError::Protocol(format!("the answer is a {seen} and not a {}", self.root))
            } else {
                DecodeError::NotAnAnswer(format!(
                    "its root element is {seen} and not {}",
                    self.root
                ))
            });
        }
        if self.open.len() >= MAX_DEPTH {
            return self.begin_deep(&start.name());
        }
        if self.open.len() == 1 && name == self.container {
            if self.seen {
                return Err(DecodeError::Protocol(format!(
                    "the answer has more than one {}",
                    self.container
                )));
            }
            self.seen = true;
        }
        let children = if self.open.len() == 2 {
            std::mem::take(&mut self.room)
        } else {
            Vec::new()
        };
        let mut element = Element {
            name,
            children,
            cut: self.is_given_up(),
            ..Element::default()
        };
        if too_long {
            // What is missing of it may be of any attribute, but never a part of the name: without
            // that the end of the element can't be told.
            if element.name.len() > MAX_NAME {
                return Err(DecodeError::Protocol("a name in it is too long".to_owned()));
            }
            element.guessed = true;
        } else {
            for attribute in start.attributes() {
                let broken = |_| DecodeError::NotAnAnswer("it has a broken attribute".to_owned());
                let attribute = attribute.map_err(broken)?;
                let value = unescape(&attribute.value).unwrap_or(UNREAD.into());
                let (value, guessed) = settle(&value);
                element.guessed |= guessed;
                self.weight += value.len();
                element
                    .attributes
                    .push((lowercase(attribute.key.as_ref()), value.into_owned()));
            }
        }
        self.weight += element.name.len() + size_of::<Element>();
        self.open.push(element);
        self.weigh()
    }

    /// Tells whether the innermost element is a part of an item that is given up whole.
    fn is_given_up(&self) -> bool {
        let part = self.open.get(3..).and_then(<[_]>::last);
        part.is_some_and(|part| part.cut)
    }

    /// Passes over the beginning of an element that is too deep. The parser remembers its name, so
    /// there is an end to that as well.
    fn begin_deep(&mut self, name: &QName<'_>) -> Result<(), DecodeError> {
        self.deep.levels += 1;
        self.deep.bytes += name.as_ref().len() + size_of::<usize>();
        if !self.is_in_item(false) || self.deep.bytes > MAX_TREE {
            return Err(DecodeError::Protocol(
                "its elements nest too deeply".to_owned(),
            ));
        }
        if !self.is_given_up() {
            self.cut_item();
            self.open.iter_mut().skip(3).for_each(Element::cut);
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), DecodeError> {
        let (text, guessed) = settle(text);
        let Some(element) = self.open.last_mut() else {
            // Blank text may surround the root; anything else is a page of plain text.
            return if text.trim().trim_start_matches('\u{feff}').is_empty() {
                Ok(())
            } else {
                Err(DecodeError::NotAnAnswer("it is plain text".to_owned()))
            };
        };
        if element.cut {
            return Ok(());
        }
        element.guessed |= guessed;
        element.text.push_str(&text);
        self.weight += text.len();
        self.weigh()
    }

    /// Closes the innermost element; returns the root when that was it.
    fn end(
        &mut self,
        name: &QName<'_>,
        item: &mut dyn FnMut(&mut Element) -> Result<(), DecodeError>,
    ) -> Result<Option<Element>, DecodeError> {
        if self.deep.levels > 0 {
            self.deep.levels -= 1;
            self.deep.bytes -= name.as_ref().len() + size_of::<usize>();
            return Ok(None);
        }
        let Some(mut element) = self.open.pop() else {
            return Err(DecodeError::NotAnAnswer(
                "it closes an element that is not open".to_owned(),
            ));
        };
        let in_container = self.open.len() == 2 && self.open[1].name == self.container;
        if in_container {
            self.items += 1;
            self.weight = 0;
            item(&mut element)?;
            self.room = element.children;
            self.room.clear();
            return Ok(None);
        }
        if self.open.len() == 1 && element.name == self.container {
            return match element.content() {
                Some(_) => Err(DecodeError::Protocol(format!(
                    "the answer has plain text where {} should hold items",
                    self.container
                ))),
                None => Ok(None),
            };
        }
        let is_part_of_item = self.open.len() == 3;
        match self.open.last_mut() {
            Some(parent) if !parent.cut => parent.children.push(element),
            Some(item) if is_part_of_item => {
                item.keep(element);
                self.weight = 0;
            }
            // Its parent is given up whole.
            Some(_) => {}
            None => return Ok(Some(element)),
        }
        Ok(None)
    }

    fn weigh(&mut self) -> Result<(), DecodeError> {
        if self.weight <= MAX_TREE {
            return Ok(());
        }
        if !self.is_in_item(false) {
            return Err(DecodeError::Protocol(
                "what is said around its items is too long".to_owned(),
            ));
        }
        self.cut_item();
        Ok(())
    }

    /// Gives up most of the item that is open, because it is too much: what tells which it is may
    /// have come already, or may still come.
    fn cut_item(&mut self) {
        if let [_, _, item, inside @ ..] = self.open.as_mut_slice() {
            item.cut = true;
            item.guessed = true;
            item.text.clear();
            for child in std::mem::take(&mut item.children) {
                item.keep(child);
            }
            // The part that is open may be a short one that came last.
            if inside.iter().map(Element::weight).sum::<usize>() > MAX_KEPT {
                inside.iter_mut().for_each(Element::cut);
            }
            self.weight = 0;
        }
    }
}

/// Stands for what can't be read.
const UNREAD: &str = "\u{fdd0}\u{fffd}";

/// Removes the marks of guessed characters and what XML 1.0 forbids, and tells whether there were
/// any.
fn settle(text: &str) -> (Cow<'_, str>, bool) {
    // What is printable in ASCII is neither, and nearly all there is.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return (Cow::Borrowed(text), false);
    }
    let odd = |c: char| c == GUESS || !is_xml_char(c);
    if text.contains(odd) {
        (Cow::Owned(text.replace(odd, "")), true)
    } else {
        (Cow::Borrowed(text), false)
    }
}

fn lowercase(name: &str) -> CompactString {
    if name.is_ascii() {
        let mut name = CompactString::new(name);
        name.make_ascii_lowercase();
        name
    } else {
        name.to_lowercase().into()
    }
}

/// Tells whether XML 1.0 allows a character.
pub(super) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}
