//! From the text of a file to the tree of [`super::raw`], reporting whatever has no place or the
//! wrong shape.
//!
//! The text is walked by the table of [`super::keys`], so that one pass finds every unknown key and
//! every wrong value.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{Sink, did_you_mean, nearest, quoted};
use super::keys::{self, Key, Shape};
use super::raw::{Entry, Item, Located, Pair, Section, join};
use super::settled::SecretSource;
use super::value;

/// Reads a default of the key table.
pub(super) fn default_item(default: &str, key: &Key) -> Option<Item> {
    let value = DeValue::parse(default).ok()?;
    Reader {
        sink: &mut Sink::default(),
    }
    .value(key, key.name, &value)
}

/// Reads a whole file, reporting syntax errors as well as everything that has a wrong shape.
pub(super) fn read(text: &str, sink: &mut Sink) -> Section {
    let (tree, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        super::syntax::report(text, error, sink);
    }
    let mut reader = Reader { sink };
    if errors.is_empty() {
        reader.hide_secrets(tree.get_ref(), 0);
        return reader.table(keys::ROOT, "", 0..0, tree.get_ref());
    }
    // What the parser made up after a syntax error would be reported as mistakes that nobody made.
    Section::empty("", 0..0, keys::ROOT)
}

struct Reader<'a> {
    sink: &'a mut Sink,
}

impl Reader<'_> {
    /// Hides whatever stands under a name that speaks of a secret, wherever that is: also under
    /// keys that nobody knows.
    fn hide_secrets(&mut self, table: &DeTable<'_>, depth: usize) {
        for (name, value) in table {
            let name = name.get_ref().as_ref();
            match value.get_ref() {
                // Below jobs, these hold names of fields and ids of groups; nobody keeps a secret
                // there.
                DeValue::Table(_) if depth >= 2 && matches!(name, "map" | "pin") => {}
                DeValue::Table(inner) => self.hide_secrets(inner, depth + 1),
                DeValue::Boolean(_) => {}
                _ if keys::sounds_secret(name) => self.sink.hide(&value.span()),
                _ => {}
            }
        }
    }

    fn table(
        &mut self,
        keys: &'static [Key],
        path: &str,
        span: Range<usize>,
        table: &DeTable<'_>,
    ) -> Section {
        let mut section = Section::empty(path, span.clone(), keys);
        let holds_secrets = keys.iter().any(|key| matches!(key.shape, Shape::Secret));
        for (name, value) in table {
            let key_span = name.span();
            let Some(key) = keys.iter().find(|key| key.name == name.get_ref().as_ref()) else {
                let text = matches!(
                    value.get_ref(),
                    DeValue::String(_) | DeValue::Table(_) | DeValue::Array(_)
                );
                if holds_secrets && text {
                    self.sink.hide(&value.span());
                }
                self.unknown_key(keys, path, name);
                continue;
            };
            let place = join(path, key.name);
            let item = self.value(key, &place, value);
            let item = match item {
                // The key is a better place for findings about the table than the whole of its
                // header.
                Some(Item::Table(inner)) => Some(Item::Table(Section {
                    span: key_span.clone(),
                    ..inner
                })),
                other => other,
            };
            section.entries.insert(
                key.name,
                Entry {
                    key_span,
                    span: value.span(),
                    item,
                },
            );
        }
        for key in keys
            .iter()
            .filter(|key| key.required && section.entry(key.name).is_none())
        {
            self.sink.error(
                &span,
                format!("`{path}` lacks `{}`.", key.name),
                Some(format!("{} {}", key.doc, example(key))),
            );
        }
        section
    }

    fn unknown_key(&mut self, keys: &[Key], path: &str, name: &Spanned<std::borrow::Cow<'_, str>>) {
        let typed = name.get_ref().as_ref();
        let place = if path.is_empty() {
            "the top level of the file".to_owned()
        } else {
            format!("`{path}`")
        };
        let hint = did_you_mean(typed, keys.iter().map(|key| key.name)).or_else(|| {
            let homes = keys::homes_of(typed);
            let known = || {
                keys.iter()
                    .map(|key| format!("`{}`", key.name))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            Some(if homes.is_empty() {
                format!("the keys here are {}", known())
            } else {
                format!("`{typed}` belongs under {}", homes.join(" or "))
            })
        });
        self.sink.error(
            &name.span(),
            format!("{} is not a key of {place}.", quoted(typed)),
            hint,
        );
    }

    fn value(&mut self, key: &Key, place: &str, value: &Spanned<DeValue<'_>>) -> Option<Item> {
        let span = value.span();
        match (key.shape, value.get_ref()) {
            (Shape::Table(keys), DeValue::Table(table)) => {
                Some(Item::Table(self.table(keys, place, span, table)))
            }
            (Shape::NamedTables(keys), DeValue::Table(table)) => {
                Some(Item::Tables(self.named_tables(keys, place, table)))
            }
            (Shape::Secret, _) => {
                self.sink.hide(&span);
                self.secret(place, value)
            }
            (Shape::Texts, DeValue::Array(items)) => {
                let mut texts = Vec::new();
                let mut sound = true;
                for item in items {
                    match item.get_ref().as_str() {
                        Some(text) if !text.trim().is_empty() => texts.push(Located {
                            span: item.span(),
                            value: text.to_owned(),
                        }),
                        Some(_) => {
                            self.sink.error(
                                &item.span(),
                                format!("`{place}` holds an empty text."),
                                Some("leave it out".to_owned()),
                            );
                            sound = false;
                        }
                        None => {
                            self.wrong_type(place, "a list of texts", &item.span(), item.get_ref());
                            sound = false;
                        }
                    }
                }
                // Sound items are judged further even beside others; an emptied list is not what
                // was typed.
                (sound || !texts.is_empty()).then_some(Item::Texts(texts))
            }
            (Shape::IdPairs | Shape::Expressions, DeValue::Table(table)) => {
                Some(Item::Pairs(self.pairs(key, place, table)))
            }
            (Shape::Limit, found) => match value::limit(found) {
                Ok(limit) => Some(Item::Limit(limit)),
                Err(problem) => {
                    let hint = "a limit is a share such as \"10%\", a number such as 9, both as [\"10%\", 500], or \"none\"";
                    self.sink.error(
                        &span,
                        format!("`{place}` {problem}."),
                        Some(hint.to_owned()),
                    );
                    None
                }
            },
            (Shape::Boolean, DeValue::Boolean(flag)) => Some(Item::Boolean(*flag)),
            (Shape::Integer { least, most }, DeValue::Integer(_)) => {
                match value::integer(value.get_ref()) {
                    Some(number) if (least..=most).contains(&number) => Some(Item::Integer(number)),
                    _ => {
                        self.sink.error(
                            &span,
                            format!("`{place}` must lie between {least} and {most}."),
                            None,
                        );
                        None
                    }
                }
            }
            (Shape::Id, DeValue::Integer(_)) if value::integer(value.get_ref()).is_some() => {
                value::integer(value.get_ref()).map(|number| Item::Text(number.to_string()))
            }
            (shape, DeValue::String(text)) if value::is_text(shape) => {
                match value::text(shape, text) {
                    Ok(item) => Some(item),
                    Err(problem) => {
                        if problem.secret {
                            self.sink.hide(&span);
                        }
                        self.sink.error(
                            &span,
                            format!("`{place}` {}.", problem.message),
                            problem.hint,
                        );
                        None
                    }
                }
            }
            (shape, found) => {
                self.wrong_type(place, value::expected(shape), &span, found);
                None
            }
        }
    }

    fn named_tables(
        &mut self,
        keys: &'static [Key],
        place: &str,
        table: &DeTable<'_>,
    ) -> Vec<(Located<String>, Section)> {
        let mut tables = Vec::new();
        for (name, value) in table {
            let typed = name.get_ref().as_ref();
            let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
            if typed.is_empty() {
                self.sink.error(
                    &name.span(),
                    format!("`{place}` holds an empty name."),
                    Some("give it a name of letters and digits".to_owned()),
                );
            } else if !typed.chars().all(is_word) || typed.chars().count() > 64 {
                let hint = "a name has at most 64 letters, digits, hyphens, underscores and dots";
                self.sink.error(
                    &name.span(),
                    format!("{} can't be a name in `{place}`.", quoted(typed)),
                    Some(hint.to_owned()),
                );
            }
            let path = join(place, typed);
            match value.get_ref() {
                DeValue::Table(inner) => {
                    let section = self.table(keys, &path, name.span(), inner);
                    tables.push((
                        Located {
                            span: name.span(),
                            value: typed.to_owned(),
                        },
                        section,
                    ));
                }
                found => {
                    if keys::sounds_secret(typed) || found.is_str() {
                        self.sink.hide(&value.span());
                    }
                    self.wrong_type(&path, "a table", &value.span(), found);
                }
            }
        }
        tables
    }

    fn pairs(&mut self, key: &Key, place: &str, table: &DeTable<'_>) -> Vec<Pair> {
        let mut pairs = Vec::new();
        let mut add =
            |sink: &mut Sink, name: &str, name_span: Range<usize>, value: &Spanned<DeValue<'_>>| {
                let what = if matches!(key.shape, Shape::IdPairs) {
                    "an id"
                } else {
                    "an expression"
                };
                let text = match value.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    found if matches!(key.shape, Shape::IdPairs) => {
                        value::integer(found).map(|number| number.to_string())
                    }
                    _ => None,
                };
                let path = join(place, name);
                match text {
                    Some(text) if text.trim().is_empty() || name.trim().is_empty() => {
                        sink.error(
                            &value.span(),
                            format!("`{path}` is empty."),
                            Some(format!("write {what} or leave the line out")),
                        );
                    }
                    Some(text) => {
                        pairs.push((
                            Located {
                                span: name_span,
                                value: name.to_owned(),
                            },
                            Located {
                                span: value.span(),
                                value: text,
                            },
                        ));
                    }
                    None => {
                        let found = value::name_of(value.get_ref());
                        sink.error(
                            &value.span(),
                            format!("`{path}` must be {what} as text, not {found}."),
                            None,
                        );
                    }
                }
            };
        for (name, value) in table {
            match value.get_ref() {
                // `custom.shoe = "…"` without quotes around the name is a table to TOML, and means
                // the same to people.
                DeValue::Table(inner)
                    if matches!(key.shape, Shape::Expressions)
                        && name.get_ref().as_ref() == "custom" =>
                {
                    for (label, value) in inner {
                        add(
                            self.sink,
                            &format!("custom.{}", label.get_ref()),
                            label.span(),
                            value,
                        );
                    }
                }
                _ => add(self.sink, name.get_ref(), name.span(), value),
            }
        }
        pairs
    }

    fn secret(&mut self, place: &str, value: &Spanned<DeValue<'_>>) -> Option<Item> {
        const WAYS: &str = "give it as { env = \"NAME\" }, { file = \"PATH\" }, { credential = \"NAME\" } (systemd) or { command = [\"PROGRAM\", \"ARGUMENT\"] }";
        let span = value.span();
        let table = match value.get_ref() {
            DeValue::Table(table) => table,
            DeValue::String(_) => {
                self.sink.error(
                    &span,
                    format!("`{place}` holds a secret in plain text."),
                    Some(WAYS.to_owned()),
                );
                return None;
            }
            found => {
                self.sink.error(
                    &span,
                    format!(
                        "`{place}` must say where the secret is, not be {}.",
                        value::name_of(found)
                    ),
                    Some(WAYS.to_owned()),
                );
                return None;
            }
        };
        let before = self.sink.count();
        let mut sources = Vec::new();
        for (name, value) in table {
            let Some(key) = keys::SECRET
                .iter()
                .find(|key| key.name == name.get_ref().as_ref())
            else {
                // The unknown key itself may be what was meant to be kept secret, so it is not
                // repeated.
                let hint = nearest(name.get_ref(), keys::SECRET.iter().map(|key| key.name))
                    .map_or_else(
                        || WAYS.to_owned(),
                        |known| format!("did you mean `{known}`?"),
                    );
                self.sink.error(
                    &name.span(),
                    format!("`{place}` names a source of secrets that does not exist."),
                    Some(hint),
                );
                continue;
            };
            let inner = join(place, key.name);
            let source = match self.value(key, &inner, value) {
                Some(Item::Text(name)) if key.name == "env" && value::is_variable(&name) => {
                    Some(SecretSource::Env(name))
                }
                Some(Item::Text(_)) if key.name == "env" => {
                    let hint =
                        "write the variable's name of letters, digits and underscores, without `$`";
                    self.sink.error(
                        &value.span(),
                        format!("`{inner}` is not the name of an environment variable."),
                        Some(hint.to_owned()),
                    );
                    None
                }
                Some(Item::Text(path)) if key.name == "file" => {
                    Some(SecretSource::File(path.into()))
                }
                Some(Item::Text(name))
                    if name.contains(['/', '\\']) || name == ".." || name == "." =>
                {
                    let hint = "write the name given to LoadCredential=, without a directory";
                    self.sink.error(
                        &value.span(),
                        format!("`{inner}` is not the name of a credential."),
                        Some(hint.to_owned()),
                    );
                    None
                }
                Some(Item::Text(name)) => Some(SecretSource::Credential(name)),
                Some(Item::Texts(words)) if words.is_empty() => {
                    self.sink.error(
                        &value.span(),
                        format!("`{inner}` names no program."),
                        Some(WAYS.to_owned()),
                    );
                    None
                }
                Some(Item::Texts(words)) => Some(SecretSource::Command(
                    words.into_iter().map(|word| word.value).collect(),
                )),
                _ => None,
            };
            sources.extend(source);
        }
        if table.len() > 1 && sources.len() > 1 {
            self.sink.error(
                &span,
                format!("`{place}` names more than one place for the secret."),
                Some("keep one of them".to_owned()),
            );
            return None;
        }
        let source = sources.pop();
        if source.is_none() && self.sink.count() == before {
            self.sink.error(
                &span,
                format!("`{place}` does not say where the secret is."),
                Some(WAYS.to_owned()),
            );
        }
        source.map(Item::Secret)
    }

    fn wrong_type(
        &mut self,
        place: &str,
        expected: &str,
        span: &Range<usize>,
        found: &DeValue<'_>,
    ) {
        self.sink.error(
            span,
            format!(
                "`{place}` must be {expected}, not {}.",
                value::name_of(found)
            ),
            None,
        );
    }
}

fn example(key: &Key) -> String {
    match key.shape {
        Shape::Choice(words) => format!(
            "One of {}.",
            words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        _ => format!("Add `{} = …`.", key.name),
    }
}
