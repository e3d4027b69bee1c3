//! Text that is not TOML at all.

use super::diagnostics::Sink;
use super::keys;

/// Reports a syntax error with its place.
///
/// Its line is shown only when it can't hold a secret: a forgotten quotation mark is as likely at a
/// password as anywhere.
pub(super) fn report(text: &str, error: &toml::de::Error, sink: &mut Sink) {
    let span = error.span().unwrap_or(0..0);
    let at = (0..=span.start.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[at..]
        .find('\n')
        .map_or(text.len(), |newline| at + newline);
    let line = text[line_start..line_end].trim();
    if error.message().contains("duplicate key")
        && let Some(twice) = Twice::find(text, line_start, line)
    {
        if !line.starts_with('[') && !is_plain_key(&twice.name) {
            sink.hide(&(line_start..line_end.max(line_start + 1)));
        }
        let hint = "keep one of the two lines";
        sink.syntax_error(&span, twice.said(), Some(hint.to_owned()));
        return;
    }
    let harmless = line.starts_with('[')
        || line
            .split_once('=')
            .is_some_and(|(key, _)| is_plain_key(key.trim()));
    let inside_long_text =
        text[..line_start].contains("\"\"\"") || text[..line_start].contains("'''");
    if harmless
        && !inside_long_text
        && !line
            .to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .any(keys::sounds_secret)
    {
        sink.syntax_error(
            &span,
            format!(
                "This is not valid TOML: {}.",
                error
                    .message()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .trim_end_matches('.')
            ),
            None,
        );
    } else {
        sink.hide(&(line_start..line_end.max(line_start + 1)));
        let hint = "texts stand in double quotes, and every line is `key = value` or a `[table]`";
        sink.syntax_error(&span, "This line is not valid TOML.", Some(hint.to_owned()));
    }
}

/// A key or a table that stands in the file a second time.
struct Twice {
    name: String,
    table: Option<String>,
    first: usize,
}

impl Twice {
    /// Finds the first place of what stands twice, by lines; nothing where that is not to be seen from
    /// them, as inside of a long text.
    fn find(text: &str, start: usize, line: &str) -> Option<Twice> {
        let header = |line: &str| -> Option<String> {
            let inner = line.trim().strip_prefix('[')?;
            let end = inner.find(']')?;
            let parts = inner[..end].trim_matches('[').split('.').map(bare);
            Some(parts.collect::<Vec<_>>().join("."))
        };
        let key = |line: &str| line.split_once('=').map(|(key, _)| bare(key));
        let mut table: Option<String> = None;
        let (mut tables, mut keys) = (Vec::new(), Vec::new());
        for (number, before) in text[..start].lines().enumerate() {
            if let Some(name) = header(before) {
                tables.push((name.clone(), number + 1));
                table = Some(name);
            } else if let Some(name) = key(before) {
                keys.push((table.clone(), name, number + 1));
            }
        }
        if let Some(name) = header(line) {
            let known = tables.into_iter().find(|(table, _)| *table == name);
            return known.map(|(name, first)| Twice {
                name,
                table: None,
                first,
            });
        }
        // What is no key of a config may be a piece of a secret.
        let name = key(line).filter(|name| !keys::homes_of(name).is_empty())?;
        let known = keys
            .into_iter()
            .find(|(of, key, _)| *of == table && *key == name);
        known.map(|(_, _, first)| Twice {
            name,
            table: Some(table.unwrap_or_default()),
            first,
        })
    }

    fn said(&self) -> String {
        let Twice { name, table, first } = self;
        match table.as_deref() {
            None => format!("`[{name}]` stands twice: first in line {first}, and here again."),
            Some("") => format!("`{name}` stands twice: first in line {first}, and here again."),
            Some(table) => format!(
                "`{name}` stands twice in `[{table}]`: first in line {first}, and here again."
            ),
        }
    }
}

/// A name without the quotes and blanks around it.
fn bare(name: &str) -> String {
    name.trim().trim_matches(['"', '\'']).to_owned()
}

fn is_plain_key(name: &str) -> bool {
    !keys::homes_of(name).is_empty() && !keys::sounds_secret(name)
}
