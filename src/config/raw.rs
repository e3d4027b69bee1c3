//! What was typed: the file as a tree whose every value has the right shape.

use std::collections::BTreeMap;
use std::ops::Range;

use super::diagnostics::quoted;
use super::keys::Key;
use super::settled::{Limit, SecretSource};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Located<T> {
    pub(super) span: Range<usize>,
    pub(super) value: T,
}

/// A pair of an [`super::keys::Shape::IdPairs`] or [`super::keys::Shape::Expressions`] table.
pub(super) type Pair = (Located<String>, Located<String>);

/// A value of the right shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Text(String),
    Boolean(bool),
    Integer(u64),
    Duration(std::time::Duration),
    /// So many bytes.
    Size(u64),
    /// Refreshed always.
    Always,
    Secret(SecretSource),
    Url(url::Url),
    Listen(std::net::SocketAddr),
    Texts(Vec<Located<String>>),
    Limit(Limit),
    Pairs(Vec<Pair>),
    Table(Section),
    Tables(Vec<(Located<String>, Section)>),
}

/// A key that was typed; without an item when its value was reported.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key_span: Range<usize>,
    pub(super) span: Range<usize>,
    pub(super) item: Option<Item>,
}

/// A table of the file.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// The dotted path, as in `jobs.crm-to-mail.groups`.
    pub(super) path: String,
    /// The place that stands for the table as a whole.
    pub(super) span: Range<usize>,
    pub(super) entries: BTreeMap<&'static str, Entry>,
    pub(super) keys: &'static [Key],
}

impl PartialEq for Section {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.entries == other.entries
    }
}

impl Section {
    /// Makes a table in which nothing was typed.
    pub(super) fn empty(path: &str, span: Range<usize>, keys: &'static [Key]) -> Section {
        Section {
            path: path.to_owned(),
            span,
            entries: BTreeMap::new(),
            keys,
        }
    }

    /// Returns what was typed under a key.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Returns the place of a key's value, or that of the table.
    pub(super) fn span_of(&self, name: &str) -> Range<usize> {
        self.entry(name)
            .map_or_else(|| self.span.clone(), |entry| entry.span.clone())
    }

    /// Returns what was typed under a key, where it has the right shape.
    pub(super) fn given(&self, name: &str) -> Option<&Item> {
        self.entry(name)?.item.as_ref()
    }

    /// Returns the row of the key table.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// Joins a dotted path.
pub(super) fn join(path: &str, name: &str) -> String {
    let shown = quoted(name);
    let name = shown.trim_matches('`');
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
