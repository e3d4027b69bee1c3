//! The circuit breaker: an account that keeps failing is left alone for a growing while, then tried
//! with one request.

use std::time::Duration;

use tokio::time::Instant;

/// How many failures in a row open the circuit.
pub(crate) const FAILURES: u32 = 8;

/// The first pause; each failed probe doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Requests pass; so many failed in a row.
    Closed { failures: u32 },
    /// Nothing passes until then.
    Open { until: Instant, pause: Duration },
    /// One request is on its way to see whether the account is back.
    Probing { pause: Duration },
}

/// The state of one account's circuit.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
}

impl Breaker {
    /// A closed circuit.
    pub(crate) fn new() -> Self {
        Self {
            state: State::Closed { failures: 0 },
        }
    }

    /// How long nothing can pass, without taking the place of the probe.
    pub(crate) fn look(&self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Open { until, .. } if until > now => Err(until - now),
            // How long the probe takes is anybody's guess; a first pause is a fair one.
            State::Probing { .. } => Err(FIRST_PAUSE),
            State::Closed { .. } | State::Open { .. } => Ok(()),
        }
    }

    /// Lets a request pass, or says how long none can. After a pause the first to ask becomes the
    /// probe.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        self.look(now)?;
        if let State::Open { pause, .. } = self.state {
            self.state = State::Probing { pause };
        }
        Ok(())
    }

    /// The account answered, whatever it said.
    pub(crate) fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// A request brought no answer. Returns the pause when this opens the circuit.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<Duration> {
        let pause = match self.state {
            State::Closed { failures } if failures + 1 < FAILURES => {
                self.state = State::Closed {
                    failures: failures + 1,
                };
                return None;
            }
            State::Closed { .. } => FIRST_PAUSE,
            State::Probing { pause } => (pause * 2).min(LONGEST_PAUSE),
            // A straggler that left before the circuit opened proves nothing new.
            State::Open { .. } => return None,
        };
        self.state = State::Open {
            until: now + pause,
            pause,
        };
        Some(pause)
    }

    /// A request was given up before its fate was known; another may probe at once.
    pub(crate) fn abandoned(&mut self, now: Instant) {
        if let State::Probing { pause } = self.state {
            self.state = State::Open { until: now, pause };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_eight_failures_in_a_row_and_probes_once() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 1..FAILURES {
            assert_eq!(breaker.failed(now), None);
        }
        breaker.succeeded();
        for _ in 1..FAILURES {
            assert_eq!(breaker.failed(now), None);
        }
        assert_eq!(breaker.failed(now), Some(FIRST_PAUSE));
        assert_eq!(breaker.admit(now), Err(FIRST_PAUSE));

        now += FIRST_PAUSE;
        assert_eq!(breaker.admit(now), Ok(()));
        assert!(breaker.admit(now).is_err(), "only one probe at a time");
        assert_eq!(breaker.failed(now), Some(FIRST_PAUSE * 2));

        now += FIRST_PAUSE * 2;
        assert_eq!(breaker.admit(now), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker.admit(now), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_has_an_upper_bound_and_a_lost_probe_does_not_block() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 0..FAILURES {
            breaker.failed(now);
        }
        let mut last = FIRST_PAUSE;
        for _ in 0..10 {
            now += last;
            breaker.admit(now).unwrap();
            last = breaker.failed(now).unwrap();
        }
        assert_eq!(last, LONGEST_PAUSE);
        now += last;
        breaker.admit(now).unwrap();
        breaker.abandoned(now);
        assert_eq!(breaker.admit(now), Ok(()));
    }
}
