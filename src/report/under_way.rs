//! How far a run has come, in words and as JSON.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::words::{distance, duration, harmless};
use crate::state::UnderWay;

/// Says what a run does, how much of it is done and how long the rest takes.
pub fn under_way_words(told: &UnderWay, now: Timestamp) -> String {
    let UnderWay { done, expected, .. } = *told;
    let mut words = harmless(&told.phase).into_owned();
    if expected > 0 && done <= expected {
        words = format!("{words}, {done} of about {expected} requests");
    } else if done > 0 {
        words = format!("{words}, {done} requests");
    }
    let seconds = |seconds| duration(Duration::from_secs(seconds));
    if told.rests_for > 0 {
        let rest = seconds(told.rests_for);
        words = format!("{words}, waiting {rest} because the provider asked for patience");
    } else if let Some(left) = told.left_for {
        words = format!("{words}, about {} left", seconds(left));
    }
    if told.is_stale(now) {
        words = format!("{words}; this was so {}", distance(now, told.heard));
    }
    words
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
}
