//! What was typed: the file as a tree whose every value has the right shape.

use std::collections::BTreeMap;
use std::ops::Range;

use super::diagnostics::quoted;
use super::keys::{Key, Shape};
use super::read::default_item;
use super::settled::{Limit, SecretSource};
use crate::model::ProviderKind;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Located<T> {
    pub(super) span: Range<usize>,
    pub(super) value: T,
}

/// A pair of an [`Shape::IdPairs`] or [`Shape::Expressions`] table.
pub(super) type Pair = (Located<String>, Located<String>);

/// A value of the right shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Text(String),
    Boolean(bool),
    Integer(u64),
    Duration(std::time::Duration),
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

    /// Returns what was typed under a key, or the key's default.
    pub(super) fn item(&self, name: &str) -> Option<Item> {
        self.given(name)
            .cloned()
            .or_else(|| default_item(self.key(name)?.default?, self.key(name)?))
    }

    /// Returns what was typed under a key, or the default for a provider's kind, or the key's
    /// default.
    pub(super) fn item_for(&self, name: &str, kind: ProviderKind) -> Option<Item> {
        if let Some(item) = self.given(name) {
            return Some(item.clone());
        }
        let key = self.key(name)?;
        default_item(key.default_for(kind)?, key)
    }

    /// Returns the table under a key, empty where nothing was typed.
    pub(super) fn table(&self, name: &str) -> Section {
        if let Some(Item::Table(section)) = self.given(name) {
            return section.clone();
        }
        let keys = match self.key(name).map(|key| key.shape) {
            Some(Shape::Table(keys)) => keys,
            _ => &[],
        };
        Section::empty(&join(&self.path, name), self.span.clone(), keys)
    }

    /// Returns the named tables under a key.
    pub(super) fn tables(&self, name: &str) -> &[(Located<String>, Section)] {
        match self.given(name) {
            Some(Item::Tables(tables)) => tables,
            _ => &[],
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.item(name)? {
            Item::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn boolean(&self, name: &str) -> bool {
        matches!(self.item(name), Some(Item::Boolean(true)))
    }

    pub(super) fn integer(&self, name: &str) -> Option<u64> {
        match self.item(name)? {
            Item::Integer(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn duration(&self, name: &str) -> std::time::Duration {
        match self.item(name) {
            Some(Item::Duration(duration)) => duration,
            _ => std::time::Duration::ZERO,
        }
    }

    pub(super) fn limit(&self, name: &str) -> Limit {
        match self.item(name) {
            Some(Item::Limit(limit)) => limit,
            _ => Limit::default(),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Vec<Located<String>> {
        match self.item(name) {
            Some(Item::Texts(texts)) => texts,
            _ => Vec::new(),
        }
    }

    pub(super) fn pairs(&self, name: &str) -> &[Pair] {
        match self.given(name) {
            Some(Item::Pairs(pairs)) => pairs,
            _ => &[],
        }
    }

    pub(super) fn secret(&self, name: &str) -> Option<SecretSource> {
        match self.given(name)? {
            Item::Secret(source) => Some(source.clone()),
            _ => None,
        }
    }

    pub(super) fn url(&self, name: &str) -> Option<url::Url> {
        match self.given(name)? {
            Item::Url(url) => Some(url.clone()),
            _ => None,
        }
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
