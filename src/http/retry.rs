//! Judgement first, timing second: what a status means, and how long to wait before the next
//! attempt.
//!
//! Pure: no clock, no randomness. The jitter comes from a seed.

use std::time::Duration;

use super::call::Call;

/// The first wait; each further attempt doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait that we choose ourselves.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How often a 403 is repeated that the provider is known not to mean.
pub(crate) const SPURIOUS_FORBIDDEN: u32 = 2;

/// What a status says before anybody looks at the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The decoder decides.
    Decode,
    /// The provider asks for patience; nothing was done.
    Throttled,
    /// The server failed; what it did is unknown.
    ServerError,
    /// Credentials or rights.
    Denied,
    /// The account is somewhere else.
    Redirected,
    /// The server understood and said no.
    Refused,
}

/// Judges a reply by its status.
///
/// 503 means "too fast" only when it says for how long (an ActiveCampaign user saw 503 in place of
/// 429); without that it is a failure like any other 5xx. 408 and 425 are the server giving up on
/// the connection, not on the request.
pub(crate) fn judge(call: &Call, status: u16, retry_after: Option<Duration>) -> Verdict {
    match status {
        429 => Verdict::Throttled,
        503 if retry_after.is_some() => Verdict::Throttled,
        408 | 425 | 500.. => Verdict::ServerError,
        200..=299 => Verdict::Decode,
        _ if call.decoded_statuses.contains(&status) => Verdict::Decode,
        401 | 403 => Verdict::Denied,
        400..=499 => Verdict::Refused,
        // 1xx never arrives here and 3xx is not followed: a body must not be replayed to another
        // host.
        _ => Verdict::Redirected,
    }
}

/// How long to wait before the next attempt: exponential, and somewhere in the upper half of its
/// step so that several waiters do not come back at the same moment.
///
/// `attempt` counts the failed attempts from 1.
pub(crate) fn backoff(seed: u64, attempt: u32) -> Duration {
    let step = FIRST_WAIT
        .saturating_mul(1_u32 << attempt.saturating_sub(1).min(16))
        .min(LONGEST_WAIT);
    let share = splitmix(seed.wrapping_add(u64::from(attempt))) % 1000;
    step / 2 + (step / 2).mul_f64(share as f64 / 1000.0)
}

/// Mixes a number well (SplitMix64's output function).
fn splitmix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A stable number for a name (FNV-1a).
pub(crate) fn seed(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// Reads a `Retry-After` header: seconds, or an HTTP date in one of its three forms, measured
/// against the server's own `Date`. Of several values, which a proxy may have joined, the longest
/// wait counts.
///
/// The server's clock is preferred to ours because only the difference matters; `now` helps out
/// where it sent none.
pub(crate) fn retry_after(
    header: &str,
    date: Option<&str>,
    now: impl Fn() -> jiff::Timestamp,
) -> Option<Duration> {
    let wait = |value: &str| one_wait(value, date, &now);
    values(header).iter().filter_map(|value| wait(value)).max()
}

/// How the names of weekdays begin.
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Takes the values of a header apart. Two of the three forms of a date hold a comma themselves,
/// behind the weekday.
fn values(header: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    let mut after_weekday = false;
    for part in header.split(',') {
        match values.last_mut() {
            Some(date) if after_weekday => {
                date.push(',');
                date.push_str(part);
                after_weekday = false;
            }
            _ => {
                values.push(part.to_owned());
                // The third form goes on behind the weekday without a comma.
                let word = part.trim().to_ascii_lowercase();
                let is_day = WEEKDAYS.iter().any(|day| word.starts_with(day));
                after_weekday = is_day && !word.contains(char::is_whitespace);
            }
        }
    }
    values
}

fn one_wait(
    header: &str,
    date: Option<&str>,
    now: &impl Fn() -> jiff::Timestamp,
) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    if let Ok(seconds) = header.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.ceil()).ok();
    }
    let until = http_date(header)?;
    let from = date.and_then(http_date).unwrap_or_else(now);
    // A date in the past means "now", not "never mind".
    Some(Duration::try_from(until.duration_since(from)).unwrap_or(Duration::ZERO))
}

fn http_date(text: &str) -> Option<jiff::Timestamp> {
    match httpdate::parse_http_date(text.trim()) {
        Ok(time) => jiff::Timestamp::try_from(time).ok(),
        Err(_) => rfc2822(text),
    }
}

/// A date as mail has it, which some servers send: with an offset instead of `GMT`.
fn rfc2822(text: &str) -> Option<jiff::Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    #[test]
    fn a_status_is_judged_before_its_body() {
        let mut call = Call::read("probe", Method::Get, "");
        call.decoded_statuses = &[400, 403, 429, 500];
        let wait = Some(Duration::from_secs(3));
        let table = [
            (200, None, Verdict::Decode),
            (201, None, Verdict::Decode),
            (302, None, Verdict::Redirected),
            (400, None, Verdict::Decode),
            (401, None, Verdict::Denied),
            (403, None, Verdict::Decode),
            (404, None, Verdict::Refused),
            (408, None, Verdict::ServerError),
            (429, None, Verdict::Throttled),
            (429, wait, Verdict::Throttled),
            (500, wait, Verdict::ServerError),
            (503, None, Verdict::ServerError),
            (503, wait, Verdict::Throttled),
            (524, None, Verdict::ServerError),
        ];
        for (status, after, expected) in table {
            assert_eq!(judge(&call, status, after), expected, "{status} {after:?}");
        }
        call.decoded_statuses = &[];
        assert_eq!(judge(&call, 403, None), Verdict::Denied);
    }

    #[test]
    fn waits_double_up_to_a_minute_and_keep_their_jitter_in_the_upper_half() {
        for seed in 0..200 {
            for attempt in 1..40 {
                let step = Duration::from_secs(1 << (attempt - 1).min(6)).min(LONGEST_WAIT);
                let wait = backoff(seed, attempt);
                assert!(
                    wait >= step / 2 && wait <= step,
                    "{seed} {attempt} {wait:?}"
                );
                assert_eq!(wait, backoff(seed, attempt));
            }
        }
        let different: std::collections::HashSet<_> =
            (0..100).map(|seed| backoff(seed, 3)).collect();
        assert!(different.len() > 80);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = || "1994-11-06T08:49:00Z".parse().unwrap();
        let seconds = |header, date| retry_after(header, date, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120", None), Some(120));
        assert_eq!(seconds(" 1.2 ", None), Some(2));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT", None), Some(37));
        let date = Some("Sun, 06 Nov 1994 08:49:30 GMT");
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT", date), Some(7));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT", date), Some(0));
        for form in [
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 6 Nov 1994 10:49:37 +0200",
            "5, Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, 5",
            "5,, 37, 6",
            "Sun Nov  6 08:49:37 1994, 5",
            "5, Sun Nov  6 08:49:37 1994, Sun Nov  6 08:49:30 1994",
            "Sun, 06 Nov 1994 08:49:10 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            "soon, 37",
        ] {
            assert_eq!(seconds(form, None), Some(37), "{form}");
        }
        for nonsense in ["", "soon", "-5", "NaN", "inf"] {
            assert_eq!(seconds(nonsense, None), None, "{nonsense}");
        }
    }
}
