//! How far a part of a run has come, in requests.

use std::time::Duration;

use tokio::time::Instant;

use super::handle::Handle;
use crate::http::Account;

/// Measures a part of a run by the requests that an account was sent since it began.
#[derive(Clone, Debug)]
pub struct Meter {
    account: Account,
    before: u64,
    expected: u64,
    since: Instant,
}

/// What a [`Meter`] shows at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// Requests that were sent.
    pub done: u64,
    /// Requests that were predicted for all of it; nothing is known where it is zero.
    pub expected: u64,
    /// How much longer the account is left alone, because it asked for patience.
    pub paused: Duration,
    /// How long it goes on by now.
    pub elapsed: Duration,
}

impl Gauge {
    /// Returns how long the rest takes at the rate so far, where that can be said: the first few
    /// requests say more of the connection than of the account.
    pub fn left(&self) -> Option<Duration> {
        let seconds = self.elapsed.as_secs_f64();
        if self.done < 5 || seconds < 2.0 || self.done >= self.expected {
            return None;
        }
        let rate = self.done as f64 / seconds;
        let left = (self.expected - self.done) as f64 / rate;
        Some(Duration::from_secs(left.ceil() as u64))
    }
}

impl Meter {
    /// Begins to measure; `expected` requests are predicted.
    pub(in crate::run) fn new(handle: &Handle, expected: u64) -> Meter {
        Meter {
            account: handle.account.clone(),
            before: handle.account.statistics().requests(),
            expected,
            since: Instant::now(),
        }
    }

    /// Returns the provider's configured name.
    pub fn provider(&self) -> &str {
        self.account.name()
    }

    /// Looks at it.
    pub fn gauge(&self) -> Gauge {
        Gauge {
            done: self.account.statistics().requests() - self.before,
            expected: self.expected,
            paused: self.account.paused_for(),
            elapsed: self.since.elapsed(),
        }
    }
}
