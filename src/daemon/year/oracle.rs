//! When a cron line is due, found out a second time: by going through every day of the calendar and
//! asking the calendar library what a wall time is. It shares nothing with `schedule`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// Tells which of the numbers from `first` on a field names.
fn numbers(field: &str, first: i8, last: i8) -> BTreeSet<i8> {
    let number = |text: &str| {
        let names = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
        match names.iter().position(|name| *name == text) {
            Some(day) => i8::try_from(day).unwrap(),
            None => text.parse().unwrap(),
        }
    };
    let mut all = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from), number(to)),
            None if range == "*" => (first, last),
            None => (number(range), number(range)),
        };
        all.extend((from..=to).step_by(step.parse().unwrap()));
    }
    all
}

/// Returns every instant of a year, and of some days before and after it, at which a line is due in a
/// zone.
pub(super) fn due(line: &str, zone: &str, year: i16) -> BTreeSet<Timestamp> {
    let line = match line {
        "@daily" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        line => line,
    };
    let mut fields: Vec<&str> = line.split(' ').collect();
    if fields.len() == 5 {
        fields.insert(0, "0");
    }
    let [seconds, minutes, hours, days, months, weekdays] = fields[..] else {
        panic!("{line}")
    };
    // As in Unix: two restricted fields of days mean either, and a star restricts nothing.
    let either = !days.starts_with('*') && !weekdays.starts_with('*');
    let in_both_passes = hours.starts_with('*');
    let seconds = numbers(seconds, 0, 59);
    let minutes = numbers(minutes, 0, 59);
    let hours = numbers(hours, 0, 23);
    let days = numbers(days, 1, 31);
    let months = numbers(months, 1, 12);
    let weekdays = numbers(weekdays, 0, 6);

    let zone = TimeZone::get(zone).unwrap();
    let mut due = BTreeSet::new();
    let mut date = Date::new(year - 1, 12, 15).unwrap();
    while date < Date::new(year + 1, 2, 1).unwrap() {
        let by_day = days.contains(&date.day());
        let by_weekday = weekdays.contains(&date.weekday().to_sunday_zero_offset());
        let day_fits = if either {
            by_day || by_weekday
        } else {
            by_day && by_weekday
        };
        if day_fits && months.contains(&date.month()) {
            for hour in &hours {
                for minute in &minutes {
                    for second in &seconds {
                        let wall = date.at(*hour, *minute, *second, 0);
                        let ambiguous = zone.to_ambiguous_timestamp(wall);
                        let twice = matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. });
                        // The first of two passes, and after a gap as much later as it is long.
                        due.insert(ambiguous.compatible().unwrap());
                        if twice && in_both_passes {
                            due.insert(ambiguous.later().unwrap());
                        }
                    }
                }
            }
        }
        date = date.tomorrow().unwrap();
    }
    due
}
