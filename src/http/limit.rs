//! When the next request may leave: even spacing, pauses for the whole account, the day's quota.
//!
//! Everything here takes `now` as an argument; waiting is the account's business.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::call::Lane;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The longest pause that is kept; a header may name any number, and the clock has an end.
const LONGEST_PAUSE: Duration = Duration::from_hours(24 * 30);

/// What the limiter says to a request that wants to leave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// It may leave at this instant, which is now its own.
    At(Instant),
    /// Its lane is busy until this instant; ask again then.
    LaneBusy(Instant),
    /// The account rests for longer than anyone should wait.
    Resting(Duration),
}

/// Evenly spaced slots without a burst, for one account.
#[derive(Debug)]
pub(crate) struct Limiter {
    interval: Duration,
    next: Option<Instant>,
    lanes: HashMap<&'static str, Instant>,
    rests_until: Option<Instant>,
    patience: Duration,
}

/// The distance between two requests at so many a minute.
fn interval(requests_per_minute: u32) -> Duration {
    Duration::from_mins(1) / requests_per_minute.max(1)
}

impl Limiter {
    /// A limiter at this pace (none: no spacing) that lets nobody wait longer than `patience` for a
    /// pause to end.
    pub(crate) fn new(requests_per_minute: Option<u32>, patience: Duration) -> Self {
        Self {
            interval: requests_per_minute.map_or(Duration::ZERO, interval),
            next: None,
            lanes: HashMap::new(),
            rests_until: None,
            patience,
        }
    }

    /// Gives away the next slot.
    pub(crate) fn reserve(&mut self, now: Instant, lane: Option<Lane>) -> Slot {
        let rest = self.rest(now);
        if rest > self.patience {
            return Slot::Resting(rest);
        }
        let at = (now + rest).max(self.next.unwrap_or(now));
        if let Some(lane) = lane {
            if let Some(&free) = self.lanes.get(lane.name)
                && free > at
            {
                return Slot::LaneBusy(free);
            }
            self.lanes
                .insert(lane.name, at + interval(lane.requests_per_minute));
        }
        self.next = Some(at + self.interval);
        Slot::At(at)
    }

    /// Stops the whole account for so long; a longer pause that is already on stays.
    pub(crate) fn pause(&mut self, now: Instant, pause: Duration) {
        let until = now + pause.min(LONGEST_PAUSE);
        if self
            .rests_until
            .is_none_or(|rests_until| rests_until < until)
        {
            self.rests_until = Some(until);
        }
    }

    /// How much longer the account is stopped.
    pub(crate) fn rest(&self, now: Instant) -> Duration {
        self.rests_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

/// The requests of the last 24 hours, counted by the hour so that a quota costs no memory.
#[derive(Debug)]
pub(crate) struct DayQuota {
    limit: u64,
    hours: VecDeque<(Instant, u64)>,
}

impl DayQuota {
    /// A quota of so many requests in any 24 hours.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            hours: VecDeque::new(),
        }
    }

    /// Counts requests that were sent before this account was set up, as if they had left just now.
    pub(crate) fn preload(&mut self, now: Instant, sent: u64) {
        self.hours.push_back((now, sent));
    }

    /// Takes one request, or says how long until some become free.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), (u64, Duration)> {
        // An hour is let go only when its last request is a day old, so the count is never too low.
        while let Some(&(start, _)) = self.hours.front()
            && now.saturating_duration_since(start) >= DAY + HOUR
        {
            self.hours.pop_front();
        }
        if self.hours.iter().map(|(_, count)| count).sum::<u64>() >= self.limit {
            let frees = self.hours.front().map_or(Duration::ZERO, |&(start, _)| {
                (start + DAY + HOUR).saturating_duration_since(now)
            });
            return Err((self.limit, frees));
        }
        match self.hours.back_mut() {
            Some((start, count)) if now.saturating_duration_since(*start) < HOUR => *count += 1,
            _ => self.hours.push_back((now, 1)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(10);

    #[tokio::test(start_paused = true)]
    async fn slots_are_evenly_spaced_and_time_without_requests_is_not_saved_up() {
        let now = Instant::now();
        let mut limiter = Limiter::new(Some(300), PATIENCE);
        let slots: Vec<_> = (0..3).map(|_| limiter.reserve(now, None)).collect();
        let ms = Duration::from_millis;
        assert_eq!(
            slots,
            [
                Slot::At(now),
                Slot::At(now + ms(200)),
                Slot::At(now + ms(400))
            ]
        );
        let later = now + Duration::from_mins(5);
        assert_eq!(limiter.reserve(later, None), Slot::At(later));
        assert_eq!(limiter.reserve(later, None), Slot::At(later + ms(200)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_has_its_own_pace_and_leaves_the_others_alone() {
        let now = Instant::now();
        let lane = Some(Lane {
            name: "import-one",
            requests_per_minute: 20,
        });
        let mut limiter = Limiter::new(Some(240), PATIENCE);
        assert_eq!(limiter.reserve(now, lane), Slot::At(now));
        let free = now + Duration::from_secs(3);
        assert_eq!(limiter.reserve(now, lane), Slot::LaneBusy(free));
        assert_eq!(
            limiter.reserve(now, None),
            Slot::At(now + Duration::from_millis(250))
        );
        assert_eq!(limiter.reserve(free, lane), Slot::At(free));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_moves_every_slot_and_the_longest_wins() {
        let now = Instant::now();
        let mut limiter = Limiter::new(None, PATIENCE);
        limiter.pause(now, Duration::from_secs(30));
        limiter.pause(now, Duration::from_secs(5));
        assert_eq!(
            limiter.reserve(now, None),
            Slot::At(now + Duration::from_secs(30))
        );
        limiter.pause(now, Duration::from_mins(11));
        assert_eq!(
            limiter.reserve(now, None),
            Slot::Resting(Duration::from_mins(11))
        );
        limiter.pause(now, Duration::MAX);
        assert_eq!(limiter.reserve(now, None), Slot::Resting(LONGEST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_day_has_so_many_requests_and_no_more() {
        let now = Instant::now();
        let mut quota = DayQuota::new(3);
        quota.preload(now, 1);
        assert!(quota.take(now).is_ok());
        assert!(quota.take(now + HOUR * 2).is_ok());
        let (limit, frees) = quota.take(now + HOUR * 3).unwrap_err();
        assert_eq!((limit, frees), (3, HOUR * 22));
        assert!(quota.take(now + HOUR * 25).is_ok());
        assert!(quota.take(now + HOUR * 25).is_ok());
        assert!(quota.take(now + HOUR * 25).is_err());
    }
}
