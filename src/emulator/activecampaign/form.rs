//! Parameters in PHP's array syntax.

use crate::emulator::exchange::Context;
use crate::emulator::misuse::MisuseKind;

/// The most fields of one body that the server reads; the rest is dropped without a word.
const MAX_FIELDS: usize = 1000;

/// The parameters of one version 1 call, from the address and from the body.
#[derive(Debug, Default)]
pub(super) struct Form {
    in_url: Vec<(String, String)>,
    in_body: Vec<(String, String)>,
}

impl Form {
    pub(super) fn read(query: &str, body: &[u8], context: &mut Context) -> Self {
        let parse = |bytes| {
            url::form_urlencoded::parse(bytes)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect()
        };
        let mut form = Self {
            in_url: parse(query.as_bytes()),
            in_body: parse(body),
        };
        for fields in [&mut form.in_url, &mut form.in_body] {
            if fields.len() > MAX_FIELDS {
                context.misuse(
                    MisuseKind::DroppedParameters,
                    format!("{} fields", fields.len()),
                );
                fields.truncate(MAX_FIELDS);
            }
        }
        form
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_url.is_empty() && self.in_body.is_empty()
    }

    /// All parameters; those of the body come last and so win over those of the address.
    pub(super) fn pairs(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.in_url
            .iter()
            .chain(&self.in_body)
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter that is sent, even if it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs()
            .rev()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The value of a parameter, or the empty text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or("").trim()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A parameter of the address alone.
    pub(super) fn in_url(&self, name: &str) -> Option<&str> {
        self.in_url
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A number as PHP casts it: leading digits count, anything else is 0.
    pub(super) fn number(&self, name: &str) -> u64 {
        number(self.text(name))
    }

    /// The entries of an array as key and value, in order; `name[]` has an empty key.
    pub(super) fn entries<'a>(&'a self, name: &str) -> Vec<(&'a str, &'a str)> {
        self.pairs()
            .filter_map(|(key, value)| {
                let rest = key.strip_prefix(name)?.strip_prefix('[')?;
                Some((rest.strip_suffix(']')?, value))
            })
            .collect()
    }

    /// One entry of an array.
    pub(super) fn at(&self, name: &str, key: impl std::fmt::Display) -> Option<&str> {
        self.get(&format!("{name}[{key}]"))
    }

    /// The values of an array as ids. The service goes by the values; keys that say something else
    /// are recorded.
    pub(super) fn ids(&self, name: &str, context: &mut Context) -> Vec<u64> {
        let mut ids = Vec::new();
        for (key, value) in self.entries(name) {
            let id = number(value);
            if !key.is_empty() && number(key) != id {
                context.misuse(
                    MisuseKind::KeyMismatch,
                    format!("{name}[{}] names {id}", number(key)),
                );
            }
            if id > 0 && !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// The ids of a comma list.
    pub(super) fn id_list(&self, name: &str) -> Vec<u64> {
        self.text(name)
            .split(',')
            .map(number)
            .filter(|id| *id > 0)
            .collect()
    }
}

/// A number as PHP casts text.
pub(super) fn number(text: &str) -> u64 {
    let text = text.trim();
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}
