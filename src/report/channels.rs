//! How the ways fare by which people are told.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::paint::GONE;
use super::words::{count, distance, harmless};
use crate::program::ROSTERD;
use crate::state::ChannelRecord;

/// How a way fares by which people are told, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelRow {
    /// Its name.
    pub channel: String,
    /// Since when nothing could be told through it; nothing where it delivers.
    pub failing_since: Option<String>,
    /// Why, in the words of the last attempt.
    pub why: Option<String>,
    /// How many messages wait.
    pub waiting: u64,
    /// When the next of them is tried.
    pub next_try: Option<String>,
    /// How many were given up since something could be told.
    pub given_up: u64,
}

impl ChannelRow {
    /// Says how a channel fares.
    pub fn of(record: &ChannelRecord) -> ChannelRow {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        ChannelRow {
            channel: record.channel.clone(),
            failing_since: text(record.failing_since),
            why: record.why.clone(),
            waiting: record.waiting,
            next_try: text(record.next_try),
            given_up: record.given_up,
        }
    }
}

/// Writes of each channel that does not deliver since when, why, and what waits or was given up; nothing
/// where all do.
///
/// # Errors
/// What writing to `out` says.
pub(super) fn write_channels_text(
    out: &mut dyn Write,
    channels: &[ChannelRecord],
    now: Timestamp,
) -> io::Result<()> {
    for record in channels {
        let Some(since) = record.failing_since else {
            continue;
        };
        let channel = harmless(&record.channel);
        let why = record.why.as_deref().map(harmless).unwrap_or_default();
        let waiting = match (record.waiting, record.next_try) {
            (1.., Some(next)) => format!(
                "; {}, tried again {}",
                count(record.waiting, "message waits", "messages wait"),
                distance(now, next.max(now))
            ),
            _ => String::new(),
        };
        let given_up = match record.given_up {
            0 => String::new(),
            number => format!(
                "; {} given up",
                count(number, "message was", "messages were")
            ),
        };
        writeln!(
            out,
            "\n{GONE}Nobody is told by {channel}{GONE:#}: {why}, first {}{waiting}{given_up}; `{ROSTERD} notify --test --channel {channel}` tries it.",
            distance(now, since),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_does_not_deliver_is_named_with_what_waits() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let well = ChannelRecord {
            channel: "email".to_owned(),
            failing_since: None,
            why: None,
            given_up: 0,
            waiting: 0,
            next_try: None,
        };
        let bad = ChannelRecord {
            channel: "webhook".to_owned(),
            failing_since: Some("2026-11-22T10:00:00Z".parse().unwrap()),
            why: Some("https://hooks.example.org answered with HTTP 500".to_owned()),
            given_up: 1,
            waiting: 2,
            next_try: Some("2026-11-22T12:05:00Z".parse().unwrap()),
        };
        let mut out = Vec::new();
        write_channels_text(&mut out, &[well, bad], now).unwrap();
        let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
        insta::assert_snapshot!(text.trim(), @"Nobody is told by webhook: https://hooks.example.org answered with HTTP 500, first 2 h ago; 2 messages wait, tried again in 5 min; 1 message was given up; `rosterd notify --test --channel webhook` tries it.");
    }
}
