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

fn is_plain_key(name: &str) -> bool {
    !keys::homes_of(name).is_empty() && !keys::sounds_secret(name)
}
