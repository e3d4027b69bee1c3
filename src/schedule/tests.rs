//! Tables over zones and lines, and one property over all of them.

use super::*;

use jiff::ToSpan;
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Checks the fires after `now`, shown in the schedule's own zone with their offset.
#[track_caller]
fn check(line: &str, zone: &str, now: &str, expected: &[&str]) {
    let schedule = Schedule::parse(line, zone).unwrap();
    let fires: Vec<String> = schedule
        .upcoming(at(now), expected.len())
        .into_iter()
        .map(|fire| {
            let zoned = fire.to_zoned(schedule.time_zone().clone());
            zoned.strftime("%m-%d %H:%M:%S %:z").to_string()
        })
        .collect();
    assert_eq!(fires, expected, "{line} in {zone} after {now}");
}

const NEW_YORK: &str = "America/New_York";
const LORD_HOWE: &str = "Australia/Lord_Howe";

#[test]
fn ordinary_days() {
    check(
        "*/15 * * * *",
        "Europe/Berlin",
        "2026-01-10T11:50:00.5Z",
        &["01-10 13:00:00 +01:00", "01-10 13:15:00 +01:00"],
    );
    check(
        "30 9 * * 1-5",
        "Asia/Kolkata",
        "2026-01-09T04:00:00Z",
        &[
            "01-12 09:30:00 +05:30",
            "01-13 09:30:00 +05:30",
            "01-14 09:30:00 +05:30",
        ],
    );
    check(
        "*/20 0 0 * * *",
        "UTC",
        "2026-01-10T00:00:20Z",
        &["01-10 00:00:40 +00:00", "01-11 00:00:00 +00:00"],
    );
    check(
        "0 0 29 2 *",
        NEW_YORK,
        "2026-01-10T00:00:00Z",
        &["02-29 00:00:00 -05:00"],
    );
}

#[test]
fn an_instant_that_fires_is_not_its_own_successor() {
    check(
        "0 * * * *",
        "UTC",
        "2026-01-10T12:00:00Z",
        &["01-10 13:00:00 +00:00"],
    );
    check(
        "0 * * * *",
        "UTC",
        "2026-01-10T11:59:59.999Z",
        &["01-10 12:00:00 +00:00"],
    );
}

#[test]
fn shorthands() {
    let now = "2026-03-03T12:30:00Z";
    check("@hourly", "UTC", now, &["03-03 13:00:00 +00:00"]);
    check("@daily", "UTC", now, &["03-04 00:00:00 +00:00"]);
    check("@midnight", "UTC", now, &["03-04 00:00:00 +00:00"]);
    check("@weekly", "UTC", now, &["03-08 00:00:00 +00:00"]);
    check("@monthly", "UTC", now, &["04-01 00:00:00 +00:00"]);
    check("@yearly", "UTC", now, &["01-01 00:00:00 +00:00"]);
}

#[test]
fn weekdays_are_counted_as_in_unix() {
    // 2026-03-01 is a Sunday.
    let days = |field: &str| {
        let schedule = Schedule::parse(&format!("0 12 * * {field}"), "UTC").unwrap();
        schedule
            .upcoming(at("2026-02-28T23:00:00Z"), 7)
            .into_iter()
            .take_while(|fire| *fire < at("2026-03-08T00:00:00Z"))
            .map(|fire| fire.to_zoned(TimeZone::UTC).day())
            .collect::<Vec<_>>()
    };
    assert_eq!(days("0"), [1]);
    assert_eq!(days("7"), [1]);
    assert_eq!(days("sun"), [1]);
    assert_eq!(days("1-5"), [2, 3, 4, 5, 6]);
    assert_eq!(days("MON-fri"), [2, 3, 4, 5, 6]);
    assert_eq!(days("5-7"), [1, 6, 7]);
    assert_eq!(days("fri-SUN"), [1, 6, 7]);
    assert_eq!(days("0-7"), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(days("*/2"), [1, 3, 5, 7]);
    assert_eq!(days("1-5/2"), [2, 4, 6]);
    assert_eq!(days("1,wednesday,6"), [2, 4, 7]);
}

#[test]
fn two_restricted_day_fields_mean_either() {
    // Friday the 13th is in this month; Fridays are 6, 13, 20 and 27.
    check(
        "0 0 13,15 * 5",
        "UTC",
        "2026-03-01T00:00:00Z",
        &[
            "03-06 00:00:00 +00:00",
            "03-13 00:00:00 +00:00",
            "03-15 00:00:00 +00:00",
            "03-20 00:00:00 +00:00",
        ],
    );
    // A field that begins with a star restricts nothing by itself, so both have to match.
    check(
        "0 0 */10 * 6",
        "UTC",
        "2026-03-01T00:00:00Z",
        &["03-21 00:00:00 +00:00"],
    );
    // One impossible half does not spoil the other.
    check(
        "0 0 30 2 1",
        "UTC",
        "2026-01-30T00:00:00Z",
        &["02-02 00:00:00 +00:00"],
    );
}

#[test]
fn a_fixed_hour_fires_once_when_clocks_are_set_back() {
    check(
        "30 1 * * *",
        NEW_YORK,
        "2026-10-31T12:00:00Z",
        &["11-01 01:30:00 -04:00", "11-02 01:30:00 -05:00"],
    );
    // Asked in the middle of the second pass.
    check(
        "30 1 * * *",
        NEW_YORK,
        "2026-11-01T06:00:01Z",
        &["11-02 01:30:00 -05:00"],
    );
    check(
        "*/30 1 * * *",
        NEW_YORK,
        "2026-11-01T00:00:00Z",
        &[
            "11-01 01:00:00 -04:00",
            "11-01 01:30:00 -04:00",
            "11-02 01:00:00 -05:00",
        ],
    );
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &["10-25 02:30:00 +02:00", "10-26 02:30:00 +01:00"],
    );
    check(
        "45 1 * * *",
        LORD_HOWE,
        "2026-04-04T00:00:00Z",
        &["04-05 01:45:00 +11:00", "04-06 01:45:00 +10:30"],
    );
    // The hour after the repeated one is an ordinary one.
    check(
        "0 2 * * *",
        NEW_YORK,
        "2026-11-01T05:30:00Z",
        &["11-01 02:00:00 -05:00", "11-02 02:00:00 -05:00"],
    );
}

#[test]
fn a_wildcard_hour_fires_in_both_passes() {
    let both = [
        "11-01 01:00:00 -04:00",
        "11-01 01:30:00 -04:00",
        "11-01 01:00:00 -05:00",
        "11-01 01:30:00 -05:00",
        "11-01 02:00:00 -05:00",
    ];
    for line in ["*/30 * * * *", "*/30 0-23 * * *", "0 0/30 * * * *"] {
        check(line, NEW_YORK, "2026-11-01T04:45:00Z", &both);
    }
    // The instant that sends the parser alone into the past.
    check(
        "0 0/30 * * * *",
        NEW_YORK,
        "2026-11-01T06:00:01Z",
        &both[3..],
    );
    check(
        "*/15 * * * *",
        LORD_HOWE,
        "2026-04-04T14:30:00Z",
        &[
            "04-05 01:45:00 +11:00",
            "04-05 01:30:00 +10:30",
            "04-05 01:45:00 +10:30",
            "04-05 02:00:00 +10:30",
        ],
    );
}

#[test]
fn a_wall_time_that_does_not_exist_is_shifted_and_fires_once() {
    check(
        "30 2 * * *",
        NEW_YORK,
        "2026-03-07T12:00:00Z",
        &["03-08 03:30:00 -04:00", "03-09 02:30:00 -04:00"],
    );
    check(
        "0,30 2,3 * * *",
        NEW_YORK,
        "2026-03-08T06:00:00Z",
        &[
            "03-08 03:00:00 -04:00",
            "03-08 03:30:00 -04:00",
            "03-09 02:00:00 -04:00",
        ],
    );
    check(
        "45 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["03-29 03:45:00 +02:00", "03-30 02:45:00 +02:00"],
    );
    check(
        "10 2 * * *",
        LORD_HOWE,
        "2026-10-03T00:00:00Z",
        &["10-04 02:40:00 +11:00", "10-05 02:10:00 +11:00"],
    );
    // Asked inside the shifted stretch, after an earlier shifted fire.
    check(
        "15,45 2 * * *",
        NEW_YORK,
        "2026-03-08T07:20:00Z",
        &["03-08 03:45:00 -04:00", "03-09 02:15:00 -04:00"],
    );
    check(
        "*/30 * * * *",
        NEW_YORK,
        "2026-03-08T06:30:00Z",
        &[
            "03-08 03:00:00 -04:00",
            "03-08 03:30:00 -04:00",
            "03-08 04:00:00 -04:00",
        ],
    );
}

#[test]
fn a_zone_that_skips_a_whole_day_loses_no_run() {
    // Samoa had no 30 December 2011.
    check(
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T23:00:00Z",
        &["12-31 12:00:00 +14:00", "01-01 12:00:00 +14:00"],
    );
}

#[test]
fn what_is_wrong_is_named() {
    let error = |line: &str| Schedule::parse(line, "UTC").unwrap_err();
    let table = [
        ("61 * * * *", "\"61\" is no minute"),
        ("* 24 * * *", "\"24\" is no hour"),
        ("* * 0 * *", "\"0\" is no day of month"),
        ("* * * 13 *", "\"13\" is no month"),
        ("* * * * 8", "\"8\" is no day of week"),
        ("* * * * 5-1", "\"5-1\" is no day of week"),
        ("* * L * *", "L, W and # are not known"),
        ("60 * * * * *", "\"60\" is no second"),
        ("*/0 * * * *", "\"*/0\" is no minute"),
        ("? * * * *", "\"?\" is no minute"),
        ("1,,2 * * * *", "\"1,,2\" is no minute"),
        ("5-1 * * * *", "\"5-1\" is no minute"),
        ("* * * *", "has 4 fields"),
        ("0 0 0 1 1 * 2030", "has 7 fields"),
        ("", "has 0 fields"),
        ("@reboot", "not known"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
    ];
    for (line, expected) in table {
        let text = error(line).to_string();
        assert!(text.contains(expected), "{line}: {text}");
    }
    let text = Schedule::parse("@daily", "Europe/Berln")
        .unwrap_err()
        .to_string();
    assert!(text.contains("did you mean Europe/Berlin?"), "{text}");
}

#[test]
fn a_schedule_shows_itself_as_written() {
    let schedule = Schedule::parse("*/15 8-18 * * mon-fri", "Europe/Berlin").unwrap();
    assert_eq!(schedule.to_string(), "*/15 8-18 * * mon-fri");
    assert_eq!(
        format!("{schedule:?}"),
        "Schedule(\"*/15 8-18 * * mon-fri\", \"Europe/Berlin\")"
    );
    assert_eq!(schedule.zone(), "Europe/Berlin");
}

#[test]
fn jitter_is_a_stable_share_and_spreads() {
    let fire = at("2026-01-10T12:00:00Z");
    let max = Duration::from_mins(5);
    let all: std::collections::HashSet<_> = (0..100)
        .map(|n| jitter(&format!("job-{n}"), fire, max))
        .collect();
    assert!(all.iter().all(|share| *share < max));
    assert!(all.len() > 95);
    assert!(all.iter().max().unwrap() > &(max * 3 / 4));
    assert_eq!(jitter("a", fire, max), jitter("a", fire, max));
    assert_ne!(jitter("a", fire, max), jitter("a", fire + 1.hour(), max));
    assert_eq!(jitter("a", fire, Duration::ZERO), Duration::ZERO);
}

#[test]
fn a_failing_job_slows_down_and_recovers_at_once() {
    let quarter = Duration::from_mins(15);
    let rests: Vec<u64> = (0..9)
        .map(|failures| slow_down(failures, quarter).as_secs() / 60)
        .collect();
    assert_eq!(rests, [0, 15, 30, 60, 120, 240, 360, 360, 360]);
    let day = Duration::from_hours(24);
    assert_eq!(slow_down(u32::MAX, day), day);

    let schedule = Schedule::parse("*/15 * * * *", "UTC").unwrap();
    let failed = at("2026-01-10T12:00:20Z");
    let next = |failures| {
        schedule
            .next_after_failures(failed, failures)
            .unwrap()
            .to_string()
    };
    assert_eq!(next(0), "2026-01-10T12:15:00Z");
    assert_eq!(next(1), "2026-01-10T12:15:00Z");
    assert_eq!(next(2), "2026-01-10T12:30:00Z");
    assert_eq!(next(3), "2026-01-10T13:00:00Z");
    assert_eq!(next(9), "2026-01-10T18:00:00Z");
}

proptest! {
    #![proptest_config(crate::testing::cases(300))]

    /// Wherever the clock stands, fires come later than `now`, in order, and none is left out
    /// between them.
    #[test]
    fn fires_are_strictly_increasing_and_complete(
        zone in prop::sample::select(vec![NEW_YORK, "Europe/Berlin", LORD_HOWE, "Asia/Kolkata", "UTC", "Africa/Casablanca"]),
        line in prop::sample::select(vec![
            "*/7 * * * *", "30 2 * * *", "0,20,40 1,2,3 * * *", "* * * * * *", "0 */2 * * *", "15 1 * * 0", "0 0 1 * 1", "@monthly",
        ]),
        // Around the changes of 2026 in all of these zones.
        day in prop::sample::select(vec!["2026-02-15", "2026-03-08", "2026-03-22", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]),
        minutes in -1500_i64..1500,
        seconds in 0_i64..60,
        fraction in 0_i32..2,
    ) {
        let schedule = Schedule::parse(line, zone).unwrap();
        let now = at(&format!("{day}T02:00:00Z")) + minutes.minutes() + seconds.seconds() + fraction.milliseconds();
        let fires = schedule.upcoming(now, 12);
        prop_assert_eq!(fires.len(), 12);
        let mut last = now;
        for fire in fires {
            prop_assert!(fire > last, "{} after {}", fire, last);
            // Asked at any moment before, the answer is the same.
            let between = last + (fire.duration_since(last) / 2);
            prop_assert_eq!(schedule.next_after(between), Some(fire));
            last = fire;
        }
    }

    /// The same fires come from walking over every wall time and asking the calendar library what
    /// it is.
    #[test]
    fn fires_agree_with_a_walk_over_the_calendar(
        zone in prop::sample::select(vec![NEW_YORK, "Europe/Berlin", LORD_HOWE, "Asia/Kolkata", "America/St_Johns", "UTC"]),
        day in prop::sample::select(vec!["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]),
        hours in prop::option::of(prop::collection::btree_set(0_i8..24, 1..6)),
        minutes in prop::collection::btree_set(0_i8..60, 1..4),
        start in 0_i64..1440,
    ) {
        let list = |values: Vec<String>| values.join(",");
        let hour_field = hours.as_ref().map_or_else(
            || "*".to_owned(),
            |hours| list(hours.iter().map(ToString::to_string).collect()),
        );
        let minute_field = list(minutes.iter().map(ToString::to_string).collect());
        let schedule = Schedule::parse(&format!("{minute_field} {hour_field} * * *"), zone).unwrap();

        let first: jiff::civil::Date = day.parse().unwrap();
        let wall_start = first.yesterday().unwrap().at(0, 0, 0, 0);
        let mut expected = std::collections::BTreeSet::new();
        for minute in 0..3 * 1440_i64 {
            let wall = wall_start + minute.minutes();
            let hour_fits = hours.as_ref().is_none_or(|hours| hours.contains(&wall.hour()));
            if !hour_fits || !minutes.contains(&wall.minute()) {
                continue;
            }
            let ambiguous = || schedule.time_zone().to_ambiguous_timestamp(wall);
            expected.insert(ambiguous().compatible().unwrap());
            if hours.is_none() && matches!(ambiguous().offset(), jiff::tz::AmbiguousOffset::Fold { .. }) {
                expected.insert(ambiguous().later().unwrap());
            }
        }

        let now = schedule.time_zone().to_timestamp(wall_start).unwrap() + start.minutes();
        let until = schedule.time_zone().to_timestamp(first.tomorrow().unwrap().at(12, 0, 0, 0)).unwrap();
        let expected: Vec<_> = expected.into_iter().filter(|fire| *fire > now && *fire <= until).collect();
        prop_assert_eq!(schedule.upcoming(now, expected.len()), expected);
    }
}
