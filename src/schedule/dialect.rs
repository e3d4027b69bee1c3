//! The dialect of the config: cron lines as Unix means them, told to the `cron` crate as it
//! understands them.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use cron::TimeUnitSpec;

use super::ScheduleError;

/// What each field is called and what may stand in it.
const FIELDS: [(&str, &str); 6] = [
    ("second", "use 0-59, lists, ranges, steps or *"),
    ("minute", "use 0-59, lists, ranges, steps or *"),
    ("hour", "use 0-23, lists, ranges, steps or *"),
    (
        "day of month",
        "use 1-31, lists, ranges, steps or * (L, W and # are not known)",
    ),
    ("month", "use 1-12, JAN-DEC, lists, ranges, steps or *"),
    (
        "day of week",
        "use 0-7 (0 and 7 are Sunday), SUN-SAT, lists, ranges, steps or * (L, W and # are not known)",
    ),
];

const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const LONG_DAYS: [&str; 7] = [
    "SUNDAY",
    "MONDAY",
    "TUESDAY",
    "WEDNESDAY",
    "THURSDAY",
    "FRIDAY",
    "SATURDAY",
];

/// A line that was understood: one pattern of the crate, or two of which either may match.
#[derive(Clone)]
pub(super) struct Dialect {
    patterns: Vec<cron::Schedule>,
    /// Whether the hours are free, which decides about repeated hours.
    pub(super) wildcard_hour: bool,
}

impl Dialect {
    pub(super) fn parse(line: &str) -> Result<Self, ScheduleError> {
        let mut fields: Vec<&str> = line.split_whitespace().collect();
        if let [word] = fields[..]
            && word.starts_with('@')
        {
            fields = shorthand(word)
                .ok_or_else(|| ScheduleError::Shorthand {
                    line: line.to_owned(),
                })?
                .split(' ')
                .collect();
        }
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        let Ok(fields) = <[&str; 6]>::try_from(fields.as_slice()) else {
            return Err(ScheduleError::Fields {
                line: line.to_owned(),
                found: fields.len(),
            });
        };
        let mut settled = Vec::with_capacity(fields.len());
        for (position, text) in fields.into_iter().enumerate() {
            let Some(field) = settle(position, text) else {
                let (field, allowed) = FIELDS[position];
                return Err(ScheduleError::Field {
                    line: line.to_owned(),
                    field,
                    text: text.to_owned(),
                    allowed,
                });
            };
            settled.push(field);
        }

        // Unix takes either day field when both are restricted, and a field that begins with a star
        // is not.
        let both = !settled[3].starts_with('*') && !fields[5].starts_with(['*', '?']);
        let mut patterns = Vec::new();
        if both {
            for free in [3, 5] {
                let mut pattern = settled.clone();
                "*".clone_into(&mut pattern[free]);
                patterns.push(pattern);
            }
        } else {
            patterns.push(settled);
        }
        let patterns: Vec<_> = patterns
            .iter()
            .filter_map(|pattern| cron::Schedule::from_str(&pattern.join(" ")).ok())
            .collect();
        let all_hours = patterns
            .first()
            .is_some_and(|pattern| pattern.hours().count() == 24);
        let dialect = Self {
            patterns,
            wildcard_hour: fields[2].starts_with('*') || all_hours,
        };
        // Any start will do: a day that exists in some year exists after 1970.
        if dialect.next(0).is_none() {
            return Err(ScheduleError::Never {
                line: line.to_owned(),
            });
        }
        Ok(dialect)
    }

    /// The next match on a clock without daylight saving, strictly after the given second; both in
    /// wall seconds.
    pub(super) fn next(&self, after: i64) -> Option<i64> {
        // There, wall time is dressed as UTC.
        let after: DateTime<Utc> = DateTime::from_timestamp(after, 0)?;
        self.patterns
            .iter()
            .filter_map(|pattern| pattern.after(&after).next())
            .min()
            .map(|wall| wall.timestamp())
    }
}

fn shorthand(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 0 1 1 *",
        "@monthly" => "0 0 0 1 * *",
        "@weekly" => "0 0 0 * * 0",
        "@daily" | "@midnight" => "0 0 0 * * *",
        "@hourly" => "0 0 * * * *",
        _ => return None,
    })
}

/// One field as the crate wants it, or nothing when it is wrong.
fn settle(position: usize, text: &str) -> Option<String> {
    let settled = match position {
        5 => days_of_week(text)?,
        3 if text == "?" => "*".to_owned(),
        _ => text.to_owned(),
    };
    // A question mark elsewhere, or as a part of a list, is not Unix; a step of nothing is a
    // mistake.
    if settled.contains('?')
        || settled.split(',').any(|item| {
            item.split_once('/')
                .is_some_and(|(_, step)| step.trim_start_matches('0').is_empty())
        })
    {
        return None;
    }
    let alone: Vec<&str> = (0..6)
        .map(|other| {
            if other == position {
                settled.as_str()
            } else {
                "*"
            }
        })
        .collect();
    cron::Schedule::from_str(&alone.join(" ")).ok()?;
    Some(settled)
}

/// Days of the week by name: the crate counts from Sunday = 1, Unix from Sunday = 0 with 7 as a
/// second Sunday.
fn days_of_week(text: &str) -> Option<String> {
    if text == "*" || text == "?" {
        return Some("*".to_owned());
    }
    let mut chosen = [false; 7];
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (
                range,
                Some(step.parse::<usize>().ok().filter(|step| *step > 0)?),
            ),
            None => (item, None),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => {
                let first = day_of_week(first)?;
                let last = day_of_week(last)?;
                // `FRI-SUN` ends with the second Sunday.
                (first, if last == 0 && first > 0 { 7 } else { last })
            }
            None if range == "*" => (0, 6),
            None => {
                let first = day_of_week(range)?;
                (first, if step.is_some() { 6.max(first) } else { first })
            }
        };
        if first > last {
            return None;
        }
        for day in (first..=last).step_by(step.unwrap_or(1)) {
            chosen[day % 7] = true;
        }
    }
    let names: Vec<&str> = DAYS
        .into_iter()
        .zip(chosen)
        .filter_map(|(name, chosen)| chosen.then_some(name))
        .collect();
    Some(names.join(","))
}

/// A day as 0 to 7.
fn day_of_week(text: &str) -> Option<usize> {
    if text.len() == 1 {
        return text.parse().ok().filter(|day| *day <= 7);
    }
    let name = text.to_ascii_uppercase();
    DAYS.iter()
        .position(|day| *day == name)
        .or_else(|| LONG_DAYS.iter().position(|day| *day == name))
}
