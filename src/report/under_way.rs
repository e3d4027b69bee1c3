//! How far a run has come, in words and as JSON.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::words::{distance, duration, harmless};
use crate::state::UnderWay;

/// Says what a run does, how much of it is done and how long the rest takes.
pub fn under_way_words(told: &UnderWay, now: Timestamp) -> String {
    let row = UnderWayRow::new(told, now);
    let mut words = vec![harmless(&told.phase).into_owned()];
    words.extend(row.details());
    let words = words.join(", ");
    if row.stale {
        format!("{words}; this was so {}", distance(now, told.heard))
    } else {
        words
    }
}

/// How far a run has come, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct UnderWayRow {
    /// The run.
    pub run: String,
    /// The process that makes it.
    pub pid: u32,
    /// What it does.
    pub phase: String,
    /// Since when it does that.
    pub phase_began: String,
    /// Requests of the phase that are answered.
    pub requests_done: u64,
    /// How many the phase was expected to take, where that is known.
    pub requests_expected: Option<u64>,
    /// How long the rest of the phase takes, where that can be told.
    pub seconds_left: Option<u64>,
    /// How long the provider asked for patience.
    pub rests_for_seconds: u64,
    /// When the process told so.
    pub heard: String,
    /// Whether that is too long ago for it to be so still.
    pub stale: bool,
}

impl UnderWayRow {
    /// Says how far a run has come.
    pub fn new(told: &UnderWay, now: Timestamp) -> UnderWayRow {
        UnderWayRow {
            run: told.run.clone(),
            pid: told.pid,
            phase: told.phase.clone(),
            phase_began: told.phase_began.to_string(),
            requests_done: told.done,
            requests_expected: (told.expected > 0).then_some(told.expected),
            seconds_left: told.left_for,
            rests_for_seconds: told.rests_for,
            heard: told.heard.to_string(),
            stale: told.is_stale(now),
        }
    }

    /// Says how much of the phase is done, and what holds it up or how long the rest takes.
    pub fn details(&self) -> Vec<String> {
        let (done, seconds) = (self.requests_done, |of| duration(Duration::from_secs(of)));
        let much = match self.requests_expected {
            // More than was predicted is no share of anything.
            Some(expected) if done <= expected => {
                Some(format!("{done} of about {expected} requests"))
            }
            _ if done > 0 => Some(format!("{done} requests")),
            _ => None,
        };
        let outlook = match (self.rests_for_seconds, self.seconds_left) {
            (rest @ 1.., _) => Some(format!(
                "waiting {} because the provider asked for patience",
                seconds(rest)
            )),
            (0, Some(left)) => Some(format!("about {} left", seconds(left))),
            (0, None) => None,
        };
        much.into_iter().chain(outlook).collect()
    }
}
