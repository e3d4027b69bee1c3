//! From a cron line and a time zone to the next instant. Pure: `now` is always an argument.
//!
//! The [`cron`] crate parses fields and walks the wall clock; this module knows Unix and daylight
//! saving. Between two transitions of a zone the offset is fixed, so each such stretch is walked on
//! a wall clock that has no daylight saving at all (dressed as UTC). Every candidate is an instant
//! later than `now` by construction, also in the hour that a zone lives twice, where the crate on
//! its own can answer with the past.
//!
//! - A fixed hour fires once: in the first of two passes, or shifted by the gap when its wall time
//!   does not exist.
//! - A wildcard hour (`*`, `*/2`, or all 24) fires in both passes.

mod dialect;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use thiserror::Error;

use dialect::Dialect;

/// Cron knows nothing smaller.
const SECOND: i64 = 1;

/// How long a failing job rests at most, unless its own period is longer.
const LONGEST_REST: Duration = Duration::from_hours(6);

/// Why a schedule is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// The number of fields is wrong.
    #[error(
        "schedule \"{line}\" has {found} fields; write five (minute hour day-of-month month day-of-week), six with seconds first, or @hourly, @daily, @weekly, @monthly, @yearly"
    )]
    Fields {
        /// The line as written.
        line: String,
        /// How many fields it has.
        found: usize,
    },
    /// One field can't be read.
    #[error("schedule \"{line}\": \"{text}\" is no {field}; {allowed}")]
    Field {
        /// The line as written.
        line: String,
        /// The field's name.
        field: &'static str,
        /// The field's text.
        text: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A word with `@` that is not known.
    #[error(
        "schedule \"{line}\" is not known; use @hourly, @daily, @weekly, @monthly, @yearly or five fields"
    )]
    Shorthand {
        /// The line as written.
        line: String,
    },
    /// Every field is right, and yet there is no such day.
    #[error(
        "schedule \"{line}\" never fires, because no month in it has such a day; change day or month"
    )]
    Never {
        /// The line as written.
        line: String,
    },
    /// The time zone is not known.
    #[error("time zone \"{zone}\" is not known{}; write an IANA name such as Europe/Berlin or UTC", did_you_mean(.nearest.as_deref()))]
    Zone {
        /// The name as written.
        zone: String,
        /// The known name that is closest to it.
        nearest: Option<String>,
    },
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

/// When a job runs: a cron line in a time zone.
#[derive(Clone)]
pub struct Schedule {
    line: String,
    zone_name: String,
    zone: TimeZone,
    dialect: Dialect,
}

impl Schedule {
    /// Reads a cron line with Unix meaning, five fields or six with seconds first, and the IANA
    /// name of a time zone.
    ///
    /// # Errors
    ///
    /// Names the field that can't be read, the zone that is not known, or says that the schedule
    /// never fires.
    pub fn parse(line: &str, zone: &str) -> Result<Self, ScheduleError> {
        let dialect = Dialect::parse(line)?;
        let Ok(time_zone) = TimeZone::get(zone) else {
            return Err(ScheduleError::Zone {
                zone: zone.to_owned(),
                nearest: nearest_zone(zone),
            });
        };
        Ok(Self {
            line: line.to_owned(),
            zone_name: zone.to_owned(),
            zone: time_zone,
            dialect,
        })
    }

    /// The name of the time zone, as written.
    pub fn zone(&self) -> &str {
        &self.zone_name
    }

    /// The time zone itself, for showing instants to people.
    pub fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first instant after `now` at which the schedule fires; `None` once the calendar of the
    /// parser ends (2100).
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        // Whole seconds, rounded down: the first candidate is then later than the exact instant,
        // too.
        let mut after = now.as_second();
        loop {
            let stretch = Stretch::around(&self.zone, after + SECOND)?;
            if let Some(fire) = stretch.first_after(&self.dialect, after) {
                return Timestamp::from_second(fire).ok();
            }
            // Nothing more in this stretch; go on with the first second of the next one.
            after = stretch.end? - SECOND;
            self.dialect.next(after)?;
        }
    }

    /// The next `n` fires after `now`.
    pub fn upcoming(&self, now: Timestamp, n: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(now), |&fire| self.next_after(fire))
            .take(n)
            .collect()
    }

    /// Puts off a fire of a job by its share of the jitter, and never by more than nine tenths of the
    /// time to the fire that follows it: none is lost where the jitter is longer than the period.
    pub fn delayed(&self, job_name: &str, fire: Timestamp, jitter_limit: Duration) -> Timestamp {
        let room = self
            .next_after(fire)
            .and_then(|next| Duration::try_from(next.duration_since(fire)).ok());
        let limit = room.map_or(jitter_limit, |room| (room / 10 * 9).min(jitter_limit));
        fire.checked_add(jitter(job_name, fire, limit))
            .unwrap_or(fire)
    }

    /// The time between the next two fires after `now`; `None` when fewer than two are left.
    pub fn period(&self, now: Timestamp) -> Option<Duration> {
        let first = self.next_after(now)?;
        let second = self.next_after(first)?;
        Duration::try_from(second.duration_since(first)).ok()
    }

    /// The next fire of a job that has failed so often in a row, the last time at `last`: see
    /// [`slow_down`].
    pub fn next_after_failures(&self, last: Timestamp, failures: u32) -> Option<Timestamp> {
        let Some(period) = self.period(last) else {
            return self.next_after(last);
        };
        let rest = slow_down(failures, period);
        // The ordinary next fire is never skipped for a rest that ends with it.
        let rested = last.checked_add(rest.saturating_sub(period)).ok()?;
        self.next_after(rested)
    }
}

/// Two schedules are equal when they are written alike.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        (&self.line, &self.zone_name) == (&other.line, &other.zone_name)
    }
}

impl Eq for Schedule {}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({:?}, {:?})", self.line, self.zone_name)
    }
}

fn nearest_zone(zone: &str) -> Option<String> {
    let wanted = zone.to_lowercase();
    jiff::tz::db()
        .available()
        .map(|name| name.to_string())
        .map(|name| {
            (
                strsim::damerau_levenshtein(&wanted, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, name)| name)
}

/// A stretch of time in which a zone has one offset. All times in seconds since 1970, offsets in
/// seconds east.
#[derive(Debug)]
struct Stretch {
    offset: i64,
    /// The transition that began it, and the offset before that.
    start: Option<(i64, i64)>,
    /// The transition that ends it.
    end: Option<i64>,
}

impl Stretch {
    /// The stretch that holds this second; `None` outside the range of the calendar.
    fn around(zone: &TimeZone, second: i64) -> Option<Self> {
        let at = Timestamp::from_second(second).ok()?;
        let offset_at = |second| {
            let at = Timestamp::from_second(second).ok()?;
            Some(i64::from(zone.to_offset(at).seconds()))
        };
        // Preceding and following both leave out the instant itself.
        let next_second = Timestamp::from_second(second + SECOND).ok()?;
        let start = zone
            .preceding(next_second)
            .next()
            .map(|transition| transition.timestamp().as_second())
            .and_then(|start| Some((start, offset_at(start - SECOND)?)));
        let end = zone
            .following(at)
            .next()
            .map(|transition| transition.timestamp().as_second());
        Some(Self {
            offset: offset_at(second)?,
            start,
            end,
        })
    }

    /// The first fire of this stretch after the given second.
    fn first_after(&self, dialect: &Dialect, after: i64) -> Option<i64> {
        let mut regular_after = after;
        let mut shifted = None;
        if let Some((start, before)) = self.start {
            let gained = self.offset - before;
            if gained > 0 {
                // The clock jumped forward. Wall times in the gap fire as if it had not, which
                // shifts them by the gap.
                shifted = dialect
                    .next(after.max(start - SECOND) + before)
                    .map(|wall| wall - before)
                    .filter(|&fire| fire < start + gained);
            } else if gained < 0 && !dialect.wildcard_hour {
                // The clock was set back. A fixed hour had its turn in the first pass.
                regular_after = regular_after.max(start - gained - SECOND);
            }
            regular_after = regular_after.max(start - SECOND);
        }
        let regular = dialect
            .next(regular_after + self.offset)
            .map(|wall| wall - self.offset);
        [shifted, regular]
            .into_iter()
            .flatten()
            .filter(|&fire| self.end.is_none_or(|end| fire < end))
            .min()
    }
}

/// A share of `max` that depends on job and fire only, so that jobs with one schedule spread out
/// the same way each time.
fn jitter(job_name: &str, fire: Timestamp, max: Duration) -> Duration {
    let mut hasher = blake3::Hasher::new();
    hasher.update(job_name.as_bytes());
    hasher.update(&fire.as_second().to_le_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    let share = u128::from(u64::from_le_bytes(first));
    // The product stays below 2^128 for every duration below 584 years.
    let nanos = (share * u128::from(max.as_nanos() as u64)) >> 64;
    Duration::from_nanos(nanos as u64)
}

/// How long a job rests between two runs when it has failed so often in a row.
///
/// One failure changes nothing, since the next ordinary run may well succeed; from the second on
/// the rest doubles, up to six hours or the job's own period, whichever is longer. With no failure
/// there is no rest: one good run and the job is back on its schedule.
pub fn slow_down(consecutive_failures: u32, period: Duration) -> Duration {
    match consecutive_failures {
        0 => Duration::ZERO,
        failures => period
            .saturating_mul(1_u32 << (failures - 1).min(16))
            .min(LONGEST_REST.max(period)),
    }
}
