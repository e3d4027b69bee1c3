//! Answers that are taken apart where they were kept, value by value: none of them takes more memory
//! than one of its rows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::BufRead;

use serde_json::{Map, Value as Json};

use super::rows::{Oddity, Row};
use super::scan::{Bounds, Scanner};
use super::{MAX_ANSWER, no_answer, protocol, read_value};
use crate::http::{Body, DecodeError, Reading};
use crate::provider::guess::GUESS;

/// The most names that an object may have that is taken apart, each of which takes some memory.
const MAX_NAMES: usize = 1024 * 1024;
/// The longest value that is kept of a record that is too much, in bytes.
const MAX_KEPT: u64 = 64 * 1024;

/// What is kept of a record that is too much, by name: what tells which one it is, and what decides
/// about it.
const KEPT: [&str; 25] = [
    "id",
    "subscriberid",
    "contactid",
    "groupid",
    "systemname",
    "email",
    "name",
    "title",
    "label",
    "perstag",
    "groupname",
    "contact",
    "list",
    "lists",
    "field",
    "groups",
    "value",
    "suppressed",
    "held",
    "type",
    "protected",
    "autoresponseemailid",
    "sendtests",
    "totalmembers",
    "status",
];

/// A value of a document: where it is printed, and its first byte, which tells what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) struct Place {
    at: u64,
    first: u8,
}

impl Place {
    /// Tells whether it is null.
    pub(in crate::provider) fn is_null(self) -> bool {
        self.first == b'n'
    }

    /// Tells whether it is an array.
    pub(in crate::provider) fn is_array(self) -> bool {
        self.first == b'['
    }

    /// Tells whether it is an object.
    pub(in crate::provider) fn is_object(self) -> bool {
        self.first == b'{'
    }
}

/// A whole answer, none of whose values is taken apart before it is asked for.
pub(in crate::provider) struct Document {
    body: RefCell<Body>,
    /// Where each value of the object is printed.
    fields: BTreeMap<String, Place>,
    known: Known,
}

/// What is known of the lists and objects of a document that is in memory, by where they begin, so
/// that none is passed over twice. A longer document is looked through again.
#[derive(Default)]
struct Known {
    objects: BTreeMap<u64, BTreeMap<String, Place>>,
    lists: BTreeMap<u64, Vec<Bounds>>,
}

impl Document {
    /// Reads an answer, which has to be an object.
    ///
    /// # Errors
    /// `NotAnAnswer` for what is no whole JSON document, `Protocol` for one that is not an object.
    pub(in crate::provider) fn read(mut body: Body) -> Result<Document, DecodeError> {
        let begin = mark(&mut body)?;
        let mut known = body.in_memory().map(|_| Known::default());
        let mut scanner = Scanner::new(body.reader_at(begin), begin);
        let first = scanner.solid()?;
        let fields = match first {
            Some(b'{') => places(&mut scanner, known.as_mut(), 2)?,
            Some(b'<') => {
                let words = "it is HTML or XML where JSON should be";
                return Err(DecodeError::NotAnAnswer(words.to_owned()));
            }
            None => return Err(DecodeError::NotAnAnswer("it is empty".to_owned())),
            Some(_) => {
                scanner.pass()?;
                BTreeMap::new()
            }
        };
        if scanner.solid()?.is_some() {
            return Err(scanner.odd());
        }
        drop(scanner);
        if first != Some(b'{') {
            return Err(protocol("the answer is not an object"));
        }
        Ok(Document {
            body: RefCell::new(body),
            fields,
            known: known.unwrap_or_default(),
        })
    }

    /// Names what the answer holds.
    pub(in crate::provider) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Returns the value under a name.
    pub(in crate::provider) fn get(&self, name: &str) -> Option<Place> {
        self.fields.get(name).copied()
    }

    /// Takes an object apart into what stands under each name.
    pub(in crate::provider) fn fields(
        &self,
        object: Place,
    ) -> Result<BTreeMap<String, Place>, DecodeError> {
        if let Some(known) = self.known.objects.get(&object.at) {
            return Ok(known.clone());
        }
        self.at(object.at, |scanner| places(scanner, None, 0))
    }

    /// Reads a value with all of its parts.
    ///
    /// # Errors
    /// `Protocol` for one that is too long to be held with all of its parts.
    pub(in crate::provider) fn value(&self, place: Place) -> Result<Json, DecodeError> {
        let printed = self.at(place.at, |scanner| scanner.keep(MAX_ANSWER))?;
        let printed = printed.ok_or_else(|| {
            protocol(format!(
                "a part of it that is no list is longer than {MAX_ANSWER} bytes, which is the limit whatever max_answer in the http table of the provider says"
            ))
        })?;
        read_value(&printed).map_err(|error| no_answer(&printed, &error))
    }

    /// Reads a value that is a row of a listing, as far as it can be read.
    pub(in crate::provider) fn row(&self, place: Place) -> Result<Row, DecodeError> {
        let kept = self.at(place.at, |scanner| scanner.keep(MAX_ANSWER))?;
        self.row_of(kept, place.at)
    }

    /// Hands over the items of an array as rows of a listing, one at a time.
    pub(in crate::provider) fn each_row(
        &self,
        array: Place,
        mut take: impl FnMut(Row) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if let Some(known) = self.known.lists.get(&array.at) {
            for row in known {
                take(self.known_row(*row)?)?;
            }
            return Ok(());
        }
        let mut next = array.at;
        let mut is_begin = true;
        loop {
            // What is to be read once more is read from its beginning by another scanner.
            let excess = self.at(next, |scanner| {
                loop {
                    if is_begin {
                        scanner.expect(b'[')?;
                        if scanner.accept(b']')? {
                            return Ok(None);
                        }
                        is_begin = false;
                    } else if scanner.accept(b']')? {
                        return Ok(None);
                    } else {
                        scanner.expect(b',')?;
                    }
                    scanner.solid()?;
                    let begin = scanner.at();
                    let kept = scanner.keep(MAX_ANSWER)?;
                    match kept.map(|kept| Row::read(&kept, false)) {
                        Some(Ok(row)) => take(row)?,
                        Some(Err(oddity)) => return Ok(Some((begin, scanner.at(), oddity))),
                        None => return Ok(Some((begin, scanner.at(), Oddity::TooLong))),
                    }
                }
            })?;
            let Some((begin, end, oddity)) = excess else {
                return Ok(());
            };
            take(self.cut(begin, oddity)?)?;
            next = end;
        }
    }

    fn known_row(&self, bounds: Bounds) -> Result<Row, DecodeError> {
        let read = if bounds.end - bounds.begin > MAX_ANSWER {
            Err(Oddity::TooLong)
        } else {
            let body = self.body.borrow();
            let printed = body.in_memory().unwrap_or_default();
            // The body is in memory, so its places are.
            let row = bounds.begin as usize..bounds.end as usize;
            Row::read(printed.get(row).unwrap_or_default(), bounds.is_plain)
        };
        read.or_else(|oddity| self.cut(bounds.begin, oddity))
    }

    fn row_of(&self, kept: Option<Vec<u8>>, at: u64) -> Result<Row, DecodeError> {
        match kept.map(|kept| Row::read(&kept, false)) {
            Some(Ok(row)) => Ok(row),
            Some(Err(oddity)) => self.cut(at, oddity),
            None => self.cut(at, Oddity::TooLong),
        }
    }

    /// Reads of a record that is too much what tells which one it is.
    fn cut(&self, at: u64, oddity: Oddity) -> Result<Row, DecodeError> {
        let fields = self.at(at, |scanner| {
            let mut fields = Map::new();
            if scanner.solid()? != Some(b'{') {
                return Ok(fields);
            }
            // Marks the record as one of which a part can't be read.
            fields.insert(GUESS.to_string(), Json::String(GUESS.to_string()));
            each_field(scanner, |name, scanner| {
                if !KEPT.contains(&name.to_ascii_lowercase().as_str()) {
                    return scanner.pass();
                }
                let kept = scanner.keep(MAX_KEPT)?;
                let kept = kept.and_then(|kept| read_value(&kept).ok());
                fields.insert(
                    name,
                    kept.unwrap_or_else(|| Json::String(GUESS.to_string())),
                );
                Ok(())
            })?;
            Ok(fields)
        })?;
        Ok(Row::cut(fields, oddity))
    }

    fn at<T>(
        &self,
        at: u64,
        read: impl FnOnce(&mut Scanner<Reading<'_>>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut body = self.body.borrow_mut();
        read(&mut Scanner::new(body.reader_at(at), at))
    }
}

/// Returns the length of the mark that some put before a document of UTF-8.
fn mark(body: &mut Body) -> Result<u64, DecodeError> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let mut reader = body.reader_at(0);
    let begin = reader.fill_buf().map_err(|error| {
        DecodeError::NotAnAnswer(format!("it can't be read back from disk: {error}"))
    })?;
    Ok(if begin.starts_with(MARK) { 3 } else { 0 })
}

/// Hands over each name of an object; what takes one takes the value as well.
fn each_field<R: BufRead>(
    scanner: &mut Scanner<R>,
    mut take: impl FnMut(String, &mut Scanner<R>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    scanner.expect(b'{')?;
    if scanner.accept(b'}')? {
        return Ok(());
    }
    loop {
        let name = scanner.name()?;
        take(name, scanner)?;
        if scanner.accept(b'}')? {
            return Ok(());
        }
        scanner.expect(b',')?;
    }
}

/// Takes an object apart. What is found on the way of the lists and objects inside, so many levels
/// deep, is noted in `known`.
fn places<R: BufRead>(
    scanner: &mut Scanner<R>,
    mut known: Option<&mut Known>,
    levels: u32,
) -> Result<BTreeMap<String, Place>, DecodeError> {
    let mut found = BTreeMap::new();
    each_field(scanner, |name, scanner| {
        let Some(first) = scanner.solid()? else {
            return Err(scanner.odd());
        };
        let at = scanner.at();
        match (first, known.as_deref_mut().filter(|_| levels > 0)) {
            (b'{', Some(known)) => {
                let inside = places(scanner, Some(known), levels - 1)?;
                known.objects.insert(at, inside);
            }
            (b'[', Some(known)) => {
                let rows = rows(scanner)?;
                known.lists.insert(at, rows);
            }
            _ => scanner.pass()?,
        }
        found.insert(name, Place { at, first });
        if found.len() > MAX_NAMES {
            return Err(protocol(format!(
                "an object in it has more than {MAX_NAMES} names"
            )));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Finds out where the rows of a list stand.
fn rows<R: BufRead>(scanner: &mut Scanner<R>) -> Result<Vec<Bounds>, DecodeError> {
    let mut rows = Vec::new();
    scanner.expect(b'[')?;
    if scanner.accept(b']')? {
        return Ok(rows);
    }
    loop {
        rows.push(scanner.bounds()?);
        if scanner.accept(b']')? {
            return Ok(rows);
        }
        scanner.expect(b',')?;
    }
}
