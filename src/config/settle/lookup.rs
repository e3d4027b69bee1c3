//! What a table says under a key: what was typed there, or else the default.

use std::time::Duration;

use url::Url;

use crate::config::keys::Shape;
use crate::config::raw::{Item, Located, Pair, Section, join};
use crate::config::read::default_item;
use crate::config::settled::{Limit, SecretSource};
use crate::model::ProviderKind;

impl Section {
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

    pub(super) fn duration(&self, name: &str) -> Duration {
        match self.item(name) {
            Some(Item::Duration(duration)) => duration,
            _ => Duration::ZERO,
        }
    }

    pub(super) fn size(&self, name: &str) -> u64 {
        match self.item(name) {
            Some(Item::Size(bytes)) => bytes,
            _ => 0,
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

    pub(super) fn url(&self, name: &str) -> Option<Url> {
        match self.given(name)? {
            Item::Url(url) => Some(url.clone()),
            _ => None,
        }
    }
}
