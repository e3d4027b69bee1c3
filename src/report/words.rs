//! Texts and numbers as people read them, without anything that could upset a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use crate::model::{Value, in_quotes};
use crate::plan::{Reason, Summary};

/// How much of a long value is shown where space is short.
const SHORT_VALUE: usize = 60;

/// Makes a text from outside harmless on a terminal.
///
/// Control characters could move the cursor or hide a line, and characters that turn the direction
/// of writing could make one address look like another. They are shown as `\u{…}`, the end of a line
/// as `⏎` and a tab as `⇥`.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' => shown.push('⏎'),
            '\t' => shown.push('⇥'),
            _ if is_harmful(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Puts a text in quotes, and makes it harmless. Quotes of its own are told from those around it.
pub fn quoted(text: &str) -> String {
    in_quotes(&harmless(text))
}

fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Shows an address, or says that there is none.
pub(crate) fn address(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        Cow::Borrowed("(no address)")
    } else if text.starts_with('#') && !text.contains('@') {
        Cow::Owned(format!("{} (no usable address)", harmless(text)))
    } else {
        harmless(text)
    }
}

/// Shows a field's value; absent and empty ones look alike, as they mean the same.
pub(crate) fn value(value: Option<&Value>, whole: bool) -> String {
    match value {
        None => "(empty)".to_owned(),
        Some(value) if value.is_empty() => "(empty)".to_owned(),
        Some(Value::Text(text)) => {
            let shown = shortened(text, whole).replace('"', "\\\"");
            format!("\"{shown}\"")
        }
        Some(other) => shortened(&other.to_string(), whole).into_owned(),
    }
}

/// Cuts a long text, and makes it harmless.
pub(super) fn shortened(text: &str, whole: bool) -> Cow<'_, str> {
    match text.char_indices().nth(SHORT_VALUE) {
        Some((end, _)) if !whole => Cow::Owned(format!("{}…", harmless(&text[..end]))),
        _ => harmless(text),
    }
}

/// Fills a text up with spaces to a width in columns.
pub(super) fn padded(text: &str, width: usize) -> String {
    let mut padded = text.to_owned();
    let missing = width.saturating_sub(text.width());
    padded.extend(std::iter::repeat_n(' ', missing));
    padded
}

/// Writes a number with its noun: `1 group`, `2 groups`, `1,200 groups`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        grouped(number),
        if number == 1 { one } else { many }
    )
}

/// Says how many opt-outs wait behind a refusal; nothing where none does.
pub fn opt_outs_wait(number: u64) -> Option<String> {
    let verb = if number == 1 { "waits" } else { "wait" };
    (number > 0).then(|| format!("{} {verb}", count(number, "opt-out", "opt-outs")))
}

/// Writes a number with a comma between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Joins a list as a sentence does: `a, b and c`.
pub(super) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Writes a length of time with its two largest units.
pub fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    if seconds == 0 && !length.is_zero() {
        return "under 1 s".to_owned();
    }
    let parts = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = parts
        .iter()
        .position(|(unit, _)| seconds >= *unit)
        .unwrap_or(parts.len() - 1);
    let (unit, name) = parts[first];
    let mut text = format!("{} {name}", seconds / unit);
    if let Some((smaller, name)) = parts.get(first + 1)
        && seconds % unit >= *smaller
    {
        write!(text, " {} {name}", seconds % unit / smaller).expect("a text takes everything");
    }
    text
}

/// Writes how far away an instant is: `in 5 min`, `2 h ago`, `now`.
pub fn distance(now: Timestamp, then: Timestamp) -> String {
    let away = then.duration_since(now);
    if away.as_secs() == 0 {
        return "now".to_owned();
    }
    let words = duration(Duration::from_secs(away.as_secs().unsigned_abs()));
    if away.is_negative() {
        format!("{words} ago")
    } else {
        format!("in {words}")
    }
}

/// Writes an instant in a time zone, with the name of the zone.
pub fn instant(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S %Z")
        .to_string()
}

/// Says in words why people are withheld.
pub(super) fn explain(reason: Reason) -> &'static str {
    match reason {
        Reason::OptedOutAtSource => "they refuse mail at the source, or did once",
        Reason::OptedOutAtTarget => "they refuse mail at the target",
        Reason::Unconfirmed => "they have not confirmed at the source",
        Reason::Undeliverable => "their address is held or bounced",
        Reason::Protected => "the group is protected",
        Reason::RemovedAtTarget => "somebody took them out at the target",
        Reason::NoContact => "the target does not know them, and this job creates nobody",
        Reason::NoUser => "nobody logs in there with their address, and this job creates no users",
        Reason::NoAddress => "they have no e-mail address at the source",
        Reason::RemovedByRosterd => "rosterd itself took them out, and this job brings nobody back",
    }
}

/// Says a summary in words, opt-outs first: what is to be done, or what was done.
pub(super) fn summary(summary: &Summary, done: bool) -> Vec<String> {
    let rows = [
        (
            summary.opt_outs,
            "opt-out",
            "opt-outs",
            "to carry",
            "carried",
        ),
        (
            summary.groups_created,
            "group",
            "groups",
            "to create",
            "created",
        ),
        (
            summary.groups_updated,
            "group",
            "groups",
            "to change",
            "changed",
        ),
        (
            summary.groups_adopted,
            "group",
            "groups",
            "to adopt",
            "adopted",
        ),
        (
            summary.members_created,
            "person",
            "people",
            "to create",
            "created",
        ),
        (
            summary.members_updated,
            "profile change",
            "profile changes",
            "to make",
            "made",
        ),
        (
            summary.memberships_added,
            "membership",
            "memberships",
            "to add",
            "added",
        ),
        (
            summary.memberships_removed,
            "membership",
            "memberships",
            "to remove",
            "removed",
        ),
        (
            summary.groups_archived,
            "group",
            "groups",
            "to archive",
            "archived",
        ),
        (
            summary.groups_deleted,
            "group",
            "groups",
            "to delete",
            "deleted",
        ),
    ];
    rows.into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many, planned, finished)| {
            format!(
                "{} {}",
                count(number, one, many),
                if done { finished } else { planned }
            )
        })
        .collect()
}

/// Writes a file's name as a shell takes it.
pub fn in_shell(file: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+=:,@%".contains(letter);
    if !file.is_empty() && !file.starts_with('-') && file.chars().all(plain) {
        file.to_owned()
    } else {
        format!("'{}'", file.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_upset_a_terminal_are_shown_as_numbers() {
        assert_eq!(harmless("Ana Ⅳ 株式会社"), "Ana Ⅳ 株式会社");
        assert_eq!(harmless("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(
            harmless("ana@\u{202e}gro.elpmaxe"),
            "ana@\\u{202e}gro.elpmaxe"
        );
        assert_eq!(
            harmless("line\nbreak\u{2028}\u{9b}"),
            "line⏎break\\u{2028}\\u{9b}"
        );
        assert_eq!(harmless("a\r\nb\tc\rd"), "a⏎b⇥c\\u{d}d");
        assert_eq!(quoted("the \"new\" one\n"), "\"the \\\"new\\\" one⏎\"");
        assert_eq!(
            harmless("می\u{200c}خواهم"),
            "می\u{200c}خواهم",
            "a joiner is part of the script"
        );
    }

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!(count(1, "group", "groups"), "1 group");
        assert_eq!(count(1_234_567, "group", "groups"), "1,234,567 groups");
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (200, "3 min 20 s"),
            (7_500, "2 h 5 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), words);
        }
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(
            distance(now, Timestamp::from_second(1_000_300).unwrap()),
            "in 5 min"
        );
        assert_eq!(
            distance(now, Timestamp::from_second(992_800).unwrap()),
            "2 h ago"
        );
        assert_eq!(distance(now, now), "now");
    }

    #[test]
    fn long_values_are_cut_unless_wanted_whole() {
        let text = Value::from("x".repeat(80));
        assert_eq!(value(Some(&text), false).chars().count(), 63);
        assert_eq!(value(Some(&text), true).chars().count(), 82);
        assert_eq!(value(Some(&Value::from("")), false), "(empty)");
    }
}
