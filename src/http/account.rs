//! One account at a provider: the only door through which requests leave.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use url::Url;

use super::body::DEFAULT_MAX_BODY;
use super::breaker::Breaker;
use super::call::{Call, Effect, Reply};
use super::error::{CallError, DecodeError, Problem, Refusal};
use super::limit::{DayQuota, Limiter, Slot};
use super::retry;
use super::transport::Transport;
use super::words::without_secrets;

/// How long a call waits for a pause to end that the provider asked for; with a longer one it fails
/// at once.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);

/// What an account needs to know.
#[derive(Clone)]
pub struct AccountOptions {
    /// The provider's name in the config, for errors and logs.
    pub name: String,
    /// What every path is appended to.
    pub base_url: Url,
    /// The way to the provider.
    pub transport: Transport,
    /// Evenly spaced requests a minute, no burst; `None` means no spacing.
    pub requests_per_minute: Option<u32>,
    /// How many requests may be under way at once; at least 1.
    pub concurrency: usize,
    /// How long a whole exchange may take, from the connection to the last byte.
    pub timeout: Duration,
    /// How often a request is repeated after the first attempt.
    pub max_retries: u32,
    /// Requests in any 24 hours; `None` means no limit.
    pub requests_per_day: Option<u64>,
    /// How many bytes an answer may have after decompression.
    pub max_body: u64,
}

impl fmt::Debug for AccountOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountOptions")
            .field("name", &self.name)
            .field("transport", &self.transport)
            .field("requests_per_minute", &self.requests_per_minute)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

impl AccountOptions {
    /// No pace, one request at a time, 60 seconds, five repetitions, answers up to 4 GiB.
    pub fn new(name: impl Into<String>, base_url: Url, transport: Transport) -> Self {
        Self {
            name: name.into(),
            base_url,
            transport,
            requests_per_minute: None,
            concurrency: 1,
            timeout: Duration::from_mins(1),
            max_retries: 5,
            requests_per_day: None,
            max_body: DEFAULT_MAX_BODY,
        }
    }
}

/// What an account has done since it was set up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Requests sent by reads, repetitions included.
    pub reads: u64,
    /// Requests sent by writes, repetitions included.
    pub writes: u64,
    /// Repetitions among them.
    pub retries: u64,
    /// Answers that asked for patience.
    pub throttled: u64,
    /// Requests that were answered with what was asked for.
    pub answered: u64,
    /// Requests that the provider refused for good.
    pub refused: u64,
    /// Requests that brought an error of the provider's, no answer or one that can't be read.
    pub lost: u64,
    /// Bytes received in bodies, after decompression.
    pub bytes: u64,
    /// Milliseconds for which answers to reads were waited for.
    pub read_millis: u64,
    /// Milliseconds for which answers to writes were waited for.
    pub write_millis: u64,
}

impl Statistics {
    /// All requests sent.
    pub fn requests(&self) -> u64 {
        self.reads + self.writes
    }
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) reads: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) read_millis: AtomicU64,
    pub(super) write_millis: AtomicU64,
    pub(super) calls: AtomicU64,
}

pub(super) struct Inner {
    pub(super) options: AccountOptions,
    pub(super) seed: u64,
    pub(super) permits: Semaphore,
    pub(super) limiter: Mutex<Limiter>,
    pub(super) breaker: Mutex<Breaker>,
    pub(super) last_problem: Mutex<Option<Problem>>,
    pub(super) quota: Option<Mutex<DayQuota>>,
    pub(super) counters: Counters,
    pub(super) looked_at: tokio::sync::Mutex<()>,
    /// What no text of the provider's may say again where it is kept or shown.
    secrets: Mutex<Vec<SecretString>>,
}

/// One account at a provider. Clones share everything: pace, pauses, breaker, quota and statistics.
#[derive(Clone)]
pub struct Account {
    pub(super) inner: Arc<Inner>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.inner.options.name)
            .finish_non_exhaustive()
    }
}

/// Nothing is left half-changed under these locks, so a panic elsewhere is no reason to stop.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Settles the breaker however an attempt ends, also when its future is dropped half-way.
pub(super) struct Admission<'a> {
    breaker: &'a Mutex<Breaker>,
    settled: bool,
}

impl Admission<'_> {
    pub(super) fn settle(mut self, failed: bool) -> Option<Duration> {
        self.settled = true;
        let mut breaker = lock(self.breaker);
        if failed {
            breaker.failed(Instant::now())
        } else {
            breaker.succeeded();
            None
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if !self.settled {
            lock(self.breaker).abandoned(Instant::now());
        }
    }
}

impl Account {
    /// Takes the secrets of the config out of the provider's words.
    pub fn without_secrets(&self, text: &str) -> String {
        without_secrets(text, &lock(&self.inner.secrets))
    }

    /// Has a secret taken out of whatever the provider says from here on.
    pub fn keep_out(&self, secret: &SecretString) {
        lock(&self.inner.secrets).push(secret.clone());
    }

    /// The same for all that a refusal says.
    pub fn keep_secrets_out(&self, refusal: &mut Refusal) {
        refusal.message = self.without_secrets(&refusal.message);
        for words in [&mut refusal.code, &mut refusal.request_id] {
            *words = words.take().map(|text| self.without_secrets(&text));
        }
    }

    /// Sets up an account; nothing is sent.
    pub fn new(options: AccountOptions) -> Self {
        let inner = Inner {
            seed: retry::seed(&options.name),
            permits: Semaphore::new(options.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            limiter: Mutex::new(Limiter::new(options.requests_per_minute, PATIENCE)),
            breaker: Mutex::new(Breaker::new()),
            last_problem: Mutex::new(None),
            quota: options
                .requests_per_day
                .map(|limit| Mutex::new(DayQuota::new(limit))),
            counters: Counters::default(),
            looked_at: tokio::sync::Mutex::default(),
            secrets: Mutex::default(),
            options,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The provider's name in the config.
    pub fn name(&self) -> &str {
        &self.inner.options.name
    }

    /// Says that an answer breaks the rules of the API as a whole, which no decoder of one reply
    /// can tell.
    pub fn broken_rule(&self, operation: &'static str, reason: impl Into<String>) -> CallError {
        CallError::Protocol {
            account: self.name().to_owned(),
            operation,
            reason: reason.into(),
        }
    }

    /// Says that a request can't be made at all.
    pub fn unsendable(&self, operation: &'static str, reason: impl Into<String>) -> CallError {
        CallError::Unsendable {
            account: self.name().to_owned(),
            operation,
            reason: reason.into(),
        }
    }

    /// What the account was set up with.
    pub fn options(&self) -> &AccountOptions {
        &self.inner.options
    }

    /// Waits until nobody else writes to the account what rests on a look at it, and keeps others
    /// waiting until this is dropped.
    pub async fn look_and_write(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.looked_at.lock().await
    }

    /// The clock that pacing runs on, for the age of tokens; it follows paused time.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Stops the whole account for so long; a longer pause that is already on stays.
    pub fn pause_for(&self, pause: Duration) {
        lock(&self.inner.limiter).pause(Instant::now(), pause);
    }

    /// How much longer the account is stopped by a pause.
    pub fn paused_for(&self) -> Duration {
        lock(&self.inner.limiter).rest(Instant::now())
    }

    /// Counts requests of the last 24 hours that an earlier process sent, so that a restart does
    /// not renew the quota.
    pub fn count_earlier_requests(&self, sent: u64) {
        if let Some(quota) = &self.inner.quota {
            lock(quota).preload(Instant::now(), sent);
        }
    }

    /// What the account has done so far.
    pub fn statistics(&self) -> Statistics {
        let counters = &self.inner.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            reads: get(&counters.reads),
            writes: get(&counters.writes),
            retries: get(&counters.retries),
            throttled: get(&counters.throttled),
            answered: get(&counters.answered),
            refused: get(&counters.refused),
            lost: get(&counters.lost),
            bytes: get(&counters.bytes),
            read_millis: get(&counters.read_millis),
            write_millis: get(&counters.write_millis),
        }
    }

    /// Sends a read, repeating what may be repeated.
    ///
    /// `decode` runs on each complete answer with a 2xx status (or one of the call's
    /// `decoded_statuses`). When it says [`DecodeError::NotAnAnswer`], the read is repeated as
    /// after a broken connection.
    pub async fn read<T>(
        &self,
        call: &Call,
        decode: impl FnMut(&mut Reply) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        self.send(call, Effect::Read, decode).await
    }

    /// Sends a write once, and again only when it is known not to have been done.
    ///
    /// That is: no connection came about, or the provider asked for patience (429, 503 with
    /// `Retry-After`, or [`DecodeError::Throttled`]). Whatever else is not a judged answer ends
    /// with [`CallError::OutcomeUnknown`].
    pub async fn write<T>(
        &self,
        call: &Call,
        decode: impl FnMut(&mut Reply) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        self.send(call, Effect::Write, decode).await
    }

    /// Waits until the account's pace lets this call leave.
    pub(super) async fn turn(&self, call: &Call) -> Result<SemaphorePermit<'_>, CallError> {
        loop {
            // Whoever would only wait to hear that the circuit is open can hear it now.
            self.look(call)?;
            let permit = self
                .inner
                .permits
                .acquire()
                .await
                .expect("nobody closes the semaphore of an account");
            let slot = lock(&self.inner.limiter).reserve(Instant::now(), call.lane);
            match slot {
                Slot::At(at) => {
                    tokio::time::sleep_until(at).await;
                    // The account may have been stopped while this call slept; then it queues up
                    // again.
                    if self.paused_for().is_zero() {
                        return Ok(permit);
                    }
                }
                Slot::LaneBusy(until) => {
                    drop(permit);
                    tokio::time::sleep_until(until).await;
                }
                Slot::Resting(retry_in) => {
                    return Err(CallError::Throttled {
                        account: self.name().to_owned(),
                        operation: call.operation,
                        retry_in,
                    });
                }
            }
        }
    }

    /// Asks breaker and quota, in this order, at the moment of sending.
    pub(super) fn admit(&self, call: &Call) -> Result<Admission<'_>, CallError> {
        let now = Instant::now();
        lock(&self.inner.breaker)
            .admit(now)
            .map_err(|retry_in| self.circuit_open(call, retry_in))?;
        let admission = Admission {
            breaker: &self.inner.breaker,
            settled: false,
        };
        if let Some(quota) = &self.inner.quota {
            lock(quota)
                .take(now)
                .map_err(|(limit, retry_in)| CallError::DayQuota {
                    account: self.name().to_owned(),
                    operation: call.operation,
                    limit,
                    retry_in,
                })?;
        }
        Ok(admission)
    }

    /// Fails when the circuit is open, without taking the place of a probe.
    pub(super) fn look(&self, call: &Call) -> Result<(), CallError> {
        lock(&self.inner.breaker)
            .look(Instant::now())
            .map_err(|retry_in| self.circuit_open(call, retry_in))
    }

    fn circuit_open(&self, call: &Call, retry_in: Duration) -> CallError {
        CallError::CircuitOpen {
            account: self.name().to_owned(),
            operation: call.operation,
            problem: lock(&self.inner.last_problem).clone(),
            retry_in,
        }
    }
}
