//! Reading an XML answer piece by piece: items are lent one at a time, everything else
//! becomes one small tree.
//!
//! Without DTD and external entities; any breach of the syntax fails the whole document. An item that
//! is too long or too deep does not: what is too much of it is skipped, and it is told to be unread.
//! Names are compared in lower case, because their spelling differs between operations.

use std::borrow::Cow;
use std::io::{BufRead, Read as _};

use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::QName;
use quick_xml::reader::{Config, Reader};

use super::mend::{Mended, is_plain};
use super::tree::{CUT, ELEMENT, Element, Tree};
use crate::http::DecodeError;
use crate::provider::guess::GUESS;

/// How deep elements may nest; real answers have six levels.
const MAX_DEPTH: usize = 32;
/// How many elements an item is in: the root and the container.
const ITEM: usize = 2;
/// The longest tag or text, in bytes.
const MAX_TOKEN: usize = 1024 * 1024;
/// The longest name of an element whose tag is too long, in bytes.
const MAX_NAME: usize = 1024;
/// The most bytes of text and names that one item, or the rest of the document, may hold.
const MAX_TREE: usize = 4 * 1024 * 1024;
/// What a document held besides its items.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The root without the container of the items.
    rest: Tree,
    /// Whether the container was there, empty or not.
    pub container: bool,
    /// How many items were in it.
    pub items: u64,
}

impl Envelope {
    /// Returns the root, in which the container of the items is left out.
    pub(super) fn root(&self) -> Element<'_> {
        self.rest.root()
    }
}

/// Reads a document to its end, lending each element inside the container as it closes; whoever wants
/// to keep it takes it.
///
/// `root` and `container` are given in lower case. Every element child of the container is an item,
/// whatever its name: the manual itself shows a `Groups` item inside `Groups`.
pub(super) fn read_document(
    mut source: impl BufRead,
    root: &str,
    container: &str,
    item: &mut dyn FnMut(&mut Tree) -> Result<(), DecodeError>,
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
    item: &mut dyn FnMut(&mut Tree) -> Result<(), DecodeError>,
) -> Result<Envelope, DecodeError> {
    let mut document = Document {
        root,
        container,
        rest: Tree::default(),
        item: Tree::default(),
        levels: Vec::new(),
        depth: 0,
        in_container: false,
        seen: false,
        items: 0,
        weight: 0,
        deep: Deep::default(),
    };
    let mut done = false;
    loop {
        let (event, too_long) = pieces.next()?;
        if done && !is_blank(&event) {
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
    if !done {
        return Err(DecodeError::NotAnAnswer(
            "it ends before its root element does".to_owned(),
        ));
    }
    Ok(Envelope {
        rest: document.rest,
        container: document.seen,
        items: document.items,
    })
}

/// The longest document that is read from memory, where its pieces need no copies, in bytes.
const IN_MEMORY: u64 = 8 * 1024 * 1024;

/// A document piece by piece.
enum Pieces<'a, R> {
    /// A short one whose bytes are what they are said to be.
    Plain {
        reader: Reader<&'a [u8]>,
        /// Whether it is longer than a piece may be.
        is_long: bool,
    },
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
        Pieces::Plain {
            reader,
            is_long: text.len() > MAX_TOKEN,
        }
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
            Pieces::Plain { reader, is_long } => {
                let event = reader.read_event().map_err(broken)?;
                let too_long = *is_long && event.len() > MAX_TOKEN;
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
    /// What stands around the items.
    rest: Tree,
    /// The item that is open, or the room of the last one.
    item: Tree,
    /// The elements that have begun and not ended, outermost first; those from `depth` on are room.
    levels: Vec<Level>,
    depth: usize,
    /// Whether the container is open.
    in_container: bool,
    seen: bool,
    items: u64,
    /// Bytes kept since the last item.
    weight: usize,
    deep: Deep,
}

/// An element that has begun and not ended.
#[derive(Default)]
struct Level {
    /// Its place in its tree.
    at: usize,
    /// The text that came so far.
    text: String,
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
        self.in_container && self.depth + usize::from(begins) > ITEM
    }

    /// Returns the tree of the innermost element that is open.
    fn tree(&mut self) -> &mut Tree {
        if self.is_in_item(false) {
            &mut self.item
        } else {
            &mut self.rest
        }
    }

    fn begin(&mut self, start: &BytesStart<'_>, too_long: bool) -> Result<(), DecodeError> {
        let name = start.name();
        let name = name.as_ref();
        match self.depth {
            0 => self.begin_root(name)?,
            1 if is_named(name, self.container) => {
                if self.seen {
                    return Err(DecodeError::Protocol(format!(
                        "the answer has more than one {}",
                        self.container
                    )));
                }
                (self.seen, self.in_container) = (true, true);
            }
            ITEM if self.in_container => self.item.clear(),
            MAX_DEPTH.. => return self.begin_deep(&start.name()),
            _ => {}
        }
        let given_up = self.is_given_up();
        if self.levels.len() == self.depth {
            self.levels.push(Level::default());
        }
        self.depth += 1;
        let tree = self.tree();
        let at = tree.begin(name, given_up);
        let mut weight = name.len() + ELEMENT;
        if too_long {
            // What is missing of it may be of any attribute, but never a part of the name: without
            // that the end of the element can't be told.
            if name.len() > MAX_NAME {
                return Err(DecodeError::Protocol("a name in it is too long".to_owned()));
            }
            tree.guess(at);
        } else {
            for attribute in start.attributes() {
                let broken = |_| DecodeError::NotAnAnswer("it has a broken attribute".to_owned());
                let attribute = attribute.map_err(broken)?;
                let value = unescape(&attribute.value).unwrap_or(UNREAD.into());
                let (value, guessed) = settle(&value);
                if guessed {
                    tree.guess(at);
                }
                weight += value.len();
                tree.attribute(attribute.key.as_ref(), &value);
            }
        }
        let level = &mut self.levels[self.depth - 1];
        level.at = at;
        level.text.clear();
        self.weight += weight;
        self.weigh()
    }

    fn begin_root(&self, name: &str) -> Result<(), DecodeError> {
        if is_named(name, self.root) {
            return Ok(());
        }
        let seen: String = name.to_lowercase().chars().take(60).collect();
        // An answer to another question is the service's own mistake; anything else was not the
        // service.
        Err(if seen.ends_with("response") {
            DecodeError::Protocol(format!("the answer is a {seen} and not a {}", self.root))
        } else {
            DecodeError::NotAnAnswer(format!("its root element is {seen} and not {}", self.root))
        })
    }

    /// Tells whether the innermost element is a part of an item that is given up whole.
    fn is_given_up(&mut self) -> bool {
        if self.depth <= ITEM + 1 {
            return false;
        }
        let at = self.levels[self.depth - 1].at;
        self.tree().is_cut(at)
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
            self.cut_item(true);
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), DecodeError> {
        let (text, guessed) = settle(text);
        if self.depth == 0 {
            // Blank text may surround the root; anything else is a page of plain text.
            return if text.trim().trim_start_matches('\u{feff}').is_empty() {
                Ok(())
            } else {
                Err(DecodeError::NotAnAnswer("it is plain text".to_owned()))
            };
        }
        let at = self.levels[self.depth - 1].at;
        if self.tree().is_cut(at) {
            return Ok(());
        }
        if guessed {
            self.tree().guess(at);
        }
        self.levels[self.depth - 1].text.push_str(&text);
        self.weight += text.len();
        self.weigh()
    }

    /// Closes the innermost element; tells whether that was the root.
    fn end(
        &mut self,
        name: &QName<'_>,
        item: &mut dyn FnMut(&mut Tree) -> Result<(), DecodeError>,
    ) -> Result<bool, DecodeError> {
        if self.deep.levels > 0 {
            self.deep.levels -= 1;
            self.deep.bytes -= name.as_ref().len() + size_of::<usize>();
            return Ok(false);
        }
        let in_item = self.is_in_item(false);
        let Some(level) = self.levels[..self.depth].last() else {
            return Err(DecodeError::NotAnAnswer(
                "it closes an element that is not open".to_owned(),
            ));
        };
        let at = level.at;
        let tree = if in_item {
            &mut self.item
        } else {
            &mut self.rest
        };
        tree.end(at, &level.text);
        self.depth -= 1;
        match self.depth {
            0 => return Ok(true),
            1 if self.in_container => {
                let has_text = tree.content_of(at).is_some();
                tree.take_back(at);
                self.in_container = false;
                if has_text {
                    return Err(DecodeError::Protocol(format!(
                        "the answer has plain text where {} should hold items",
                        self.container
                    )));
                }
            }
            ITEM if in_item => {
                self.items += 1;
                self.weight = 0;
                item(&mut self.item)?;
            }
            depth if tree.is_cut(self.levels[depth - 1].at) => {
                if depth == ITEM + 1 {
                    tree.keep(at);
                    self.weight = 0;
                } else {
                    // Its parent is given up whole.
                    tree.take_back(at);
                }
            }
            _ => {}
        }
        Ok(false)
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
        self.cut_item(false);
        Ok(())
    }

    /// Gives up most of the item that is open, because it is too much: what tells which it is may
    /// have come already, or may still come. The part that is open may be a short one that came
    /// last, unless it is given up `whole`.
    fn cut_item(&mut self, whole: bool) {
        let (item, inside) = self.levels[ITEM..self.depth].split_at_mut(1);
        item[0].text.clear();
        let open: Vec<usize> = inside.iter().map(|level| level.at).collect();
        let texts = inside.iter().map(|level| level.text.len()).sum();
        let (places, given_up) = self.item.cut_open(&open, texts, whole);
        for (level, at) in inside.iter_mut().zip(places) {
            level.at = at;
            if given_up {
                CUT.clone_into(&mut level.text);
            }
        }
        self.weight = 0;
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

/// Tells whether a name, in whatever case, is one that is given in lower case.
fn is_named(name: &str, wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted) || (!name.is_ascii() && name.to_lowercase() == wanted)
}

/// Tells whether XML 1.0 allows a character.
pub(super) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}
