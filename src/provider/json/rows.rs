//! The rows of a listing, of which one that can't be read stops no other.

use std::fmt;

use serde_json::{Map, Value as Json};
use tracing::info;

use super::{MAX_ANSWER, read_value};

/// What is wrong with a row of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Oddity {
    /// It is something else than an object.
    NoRecord(&'static str),
    /// It is longer than what is held with all of its parts.
    TooLong,
    /// Its values nest deeper than can be followed.
    TooDeep,
    /// It is sound and does not say which record it is.
    NoId,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Oddity::NoRecord(kind) => write!(f, "is {kind} and no record"),
            Oddity::TooLong => write!(
                f,
                "is longer than {} MiB and shows no id",
                MAX_ANSWER / (1024 * 1024)
            ),
            Oddity::TooDeep => f.write_str("nests too deeply and shows no id"),
            Oddity::NoId => f.write_str("has no id that can be read"),
        }
    }
}

/// A row of a listing as far as it can be read.
#[derive(Debug)]
pub(in crate::provider) struct Row {
    /// What it holds. Where it is too much, that is what tells which record it is and a text that is
    /// marked as a guess; where it is no record, nothing.
    pub(in crate::provider) fields: Map<String, Json>,
    oddity: Option<Oddity>,
}

impl Row {
    /// Reads a row that was printed and checked, and of whose numbers it may be known that they are
    /// all `plain`; the error is for one that can't be read whole.
    pub(super) fn read(printed: &[u8], plain: bool) -> Result<Row, Oddity> {
        let read = match plain.then(|| serde_json::from_slice(printed)) {
            Some(Ok(value)) => Ok(value),
            _ => read_value(printed),
        };
        let kind = match read {
            Ok(Json::Object(fields)) => {
                return Ok(Row {
                    fields,
                    oddity: None,
                });
            }
            // Nothing else is left that could be wrong with it.
            Err(_) => return Err(Oddity::TooDeep),
            Ok(Json::Null) => "null",
            Ok(Json::Bool(_)) => "true or false",
            Ok(Json::Number(_)) => "a number",
            Ok(Json::String(_)) => "a text",
            Ok(Json::Array(_)) => "a list",
        };
        Ok(Row::cut(Map::new(), Oddity::NoRecord(kind)))
    }

    pub(super) fn cut(fields: Map<String, Json>, oddity: Oddity) -> Row {
        Row {
            fields,
            oddity: Some(oddity),
        }
    }

    /// Says what is wrong with a row of which nobody can tell what it stands for.
    pub(in crate::provider) fn oddity(&self) -> Oddity {
        self.oddity.unwrap_or(Oddity::NoId)
    }

    /// Tells whether it is more than could be read, so that only some of it is here.
    pub(in crate::provider) fn is_cut(&self) -> bool {
        self.oddity.is_some()
    }
}

/// The rows of a listing, and how many others there are: those without an id, of which nobody can
/// tell whom or what they stand for. They alone are left out, and the listing is not whole.
#[derive(Debug)]
pub(in crate::provider) struct Rows<T> {
    pub(in crate::provider) known: Vec<T>,
    pub(in crate::provider) without_id: u64,
    /// The place of the first one without an id, and what is wrong with it.
    first: Option<(u64, Oddity)>,
    /// How many of those without an id stand behind the last one that has one.
    trailing: u64,
}

impl<T> Rows<T> {
    /// Counts all rows.
    pub(in crate::provider) fn len(&self) -> usize {
        self.known.len() + usize::try_from(self.without_id).unwrap_or(usize::MAX)
    }

    /// Takes a row of which `decoded` is made, if it has an id.
    pub(in crate::provider) fn take(&mut self, row: &Row, decoded: Option<T>) {
        if let Some(decoded) = decoded {
            self.known.push(decoded);
            self.trailing = 0;
        } else {
            let place = self.len() as u64 + 1;
            self.first.get_or_insert((place, row.oddity()));
            self.without_id += 1;
            self.trailing += 1;
        }
    }

    /// Counts those without an id behind the last row that has one: where a page follows that one by
    /// its id, they come again.
    pub(in crate::provider) fn trailing(&self) -> u64 {
        self.trailing
    }

    /// Says that some rows are left out, if any are. `what` names the listing.
    ///
    /// The same words in every run, so that what was accepted stays accepted: where in the listing
    /// the first of them stands, and how many of the answer there are, is for the log. `page` says
    /// there where the answer begins.
    pub(in crate::provider) fn left_out(
        &self,
        what: &str,
        page: impl fmt::Display,
    ) -> Option<String> {
        let (place, oddity) = self.first?;
        info!(
            place,
            %page,
            left_out = self.without_id,
            "Of {what} a row {oddity}."
        );
        Some(format!("a row of {what} {oddity}"))
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Rows {
            known: Vec::new(),
            without_id: 0,
            first: None,
            trailing: 0,
        }
    }
}
