//! One account at a provider: the only door through which requests leave.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tracing::{debug, warn};
use url::Url;

use super::body::DEFAULT_MAX_BODY;
use super::breaker::Breaker;
use super::call::{Call, Effect, Reply, Wire};
use super::error::{CallError, DecodeError, Problem, Refusal, tidy};
use super::limit::{DayQuota, Limiter, Slot};
use super::retry::{self, Verdict};
use super::transport::Transport;

/// How long a call waits for a pause to end that the provider asked for; with a longer one it fails at once.
const PATIENCE: Duration = Duration::from_mins(10);

/// What an account needs to know.
#[derive(Debug, Clone)]
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

impl AccountOptions {
    /// No pace, one request at a time, 60 seconds, five repetitions, answers up to 256 MiB.
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
    /// Bytes received in bodies, after decompression.
    pub bytes: u64,
}

impl Statistics {
    /// All requests sent.
    pub fn requests(&self) -> u64 {
        self.reads + self.writes
    }
}

#[derive(Default)]
struct Counters {
    reads: AtomicU64,
    writes: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    bytes: AtomicU64,
    calls: AtomicU64,
}

struct Inner {
    options: AccountOptions,
    seed: u64,
    permits: Semaphore,
    limiter: Mutex<Limiter>,
    breaker: Mutex<Breaker>,
    quota: Option<Mutex<DayQuota>>,
    counters: Counters,
}

/// One account at a provider. Clones share everything: pace, pauses, breaker, quota and statistics.
#[derive(Clone)]
pub struct Account {
    inner: Arc<Inner>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.inner.options.name).finish_non_exhaustive()
    }
}

/// How an attempt ended that brought no result.
enum Failure {
    /// It may be repeated, reads and writes alike: nothing was done.
    NotDone(Problem),
    /// It is not known what was done: reads repeat, writes end.
    Unclear(Problem),
    /// The provider asks for patience; nothing was done.
    Throttled(Option<Duration>),
    /// HTTP status 403, which some providers do not always mean; nothing was done.
    Forbidden(CallError),
    /// Repeating does not help.
    Final(CallError),
}

/// Nothing is left half-changed under these locks, so a panic elsewhere is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Settles the breaker however an attempt ends, also when its future is dropped half-way.
struct Admission<'a> {
    breaker: &'a Mutex<Breaker>,
    settled: bool,
}

impl Admission<'_> {
    fn settle(mut self, failed: bool) -> Option<Duration> {
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
    /// Sets up an account; nothing is sent.
    pub fn new(options: AccountOptions) -> Self {
        let inner = Inner {
            seed: retry::seed(&options.name),
            permits: Semaphore::new(options.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            limiter: Mutex::new(Limiter::new(options.requests_per_minute, PATIENCE)),
            breaker: Mutex::new(Breaker::new()),
            quota: options.requests_per_day.map(|limit| Mutex::new(DayQuota::new(limit))),
            counters: Counters::default(),
            options,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The provider's name in the config.
    pub fn name(&self) -> &str {
        &self.inner.options.name
    }

    /// What the account was set up with.
    pub fn options(&self) -> &AccountOptions {
        &self.inner.options
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

    /// Counts requests of the last 24 hours that an earlier process sent, so that a restart does not renew the quota.
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
            bytes: get(&counters.bytes),
        }
    }

    /// Sends a read, repeating what may be repeated.
    ///
    /// `decode` runs on each complete answer with a 2xx status (or one of the call's `decoded_statuses`). When it says
    /// [`DecodeError::NotAnAnswer`], the read is repeated as after a broken connection.
    pub async fn read<T>(&self, call: &Call, decode: impl FnMut(&mut Reply) -> Result<T, DecodeError>) -> Result<T, CallError> {
        self.send(call, Effect::Read, decode).await
    }

    /// Sends a write once, and again only when it is known not to have been done.
    ///
    /// That is: no connection came about, or the provider asked for patience (429, 503 with `Retry-After`, or
    /// [`DecodeError::Throttled`]). Whatever else is not a judged answer ends with [`CallError::OutcomeUnknown`].
    pub async fn write<T>(&self, call: &Call, decode: impl FnMut(&mut Reply) -> Result<T, DecodeError>) -> Result<T, CallError> {
        self.send(call, Effect::Write, decode).await
    }

    async fn send<T>(
        &self,
        call: &Call,
        effect: Effect,
        mut decode: impl FnMut(&mut Reply) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        let unsendable = |reason: String| CallError::Unsendable { account: self.name().to_owned(), operation: call.operation, reason };
        if call.effect != effect {
            return Err(unsendable("a read was called as a write or the other way round".to_owned()));
        }
        let wire = call.wire(&self.inner.options.base_url).map_err(unsendable)?;
        let number = self.inner.counters.calls.fetch_add(1, Ordering::Relaxed);
        let seed = self.inner.seed ^ retry::seed(call.operation) ^ number;
        let mut attempt = 1;
        let mut forbidden = 0;
        loop {
            let failure = match self.attempt(call, &wire, attempt, &mut decode).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let last = attempt > self.inner.options.max_retries;
            let wait = retry::backoff(seed, attempt);
            let problem = match failure {
                Failure::Forbidden(_) if call.forbidden_is_spurious && forbidden < retry::SPURIOUS_FORBIDDEN && !last => {
                    forbidden += 1;
                    Problem::Forbidden
                }
                Failure::Forbidden(error) | Failure::Final(error) => return Err(error),
                Failure::Throttled(after) => {
                    self.inner.counters.throttled.fetch_add(1, Ordering::Relaxed);
                    // Zero seconds, and no number at all, still mean "slower".
                    self.pause_for(after.map_or(wait, |after| after.max(wait.min(Duration::from_secs(1)))));
                    let retry_in = self.paused_for();
                    if last || retry_in > PATIENCE {
                        return Err(CallError::Throttled { account: self.name().to_owned(), operation: call.operation, retry_in });
                    }
                    Problem::Throttled
                }
                Failure::Unclear(problem) if effect == Effect::Write => {
                    return Err(CallError::OutcomeUnknown { account: self.name().to_owned(), operation: call.operation, problem });
                }
                Failure::NotDone(problem) | Failure::Unclear(problem) if last => {
                    return Err(CallError::Network {
                        account: self.name().to_owned(),
                        operation: call.operation,
                        attempts: attempt,
                        problem,
                    });
                }
                Failure::NotDone(problem) | Failure::Unclear(problem) => problem,
            };
            let wait = if problem == Problem::Throttled { self.paused_for() } else { wait };
            warn!(
                account = self.name(),
                operation = call.operation,
                attempt,
                wait_ms = wait.as_millis() as u64,
                error = %problem,
                "Request is repeated after a pause."
            );
            tokio::time::sleep(wait).await;
            self.inner.counters.retries.fetch_add(1, Ordering::Relaxed);
            attempt += 1;
        }
    }

    /// Waits for its turn, sends one request and judges the answer.
    async fn attempt<T>(
        &self,
        call: &Call,
        wire: &Wire,
        attempt: u32,
        decode: &mut impl FnMut(&mut Reply) -> Result<T, DecodeError>,
    ) -> Result<T, Failure> {
        let permit = self.turn(call).await.map_err(Failure::Final)?;
        let admission = self.admit(call).map_err(Failure::Final)?;
        let counters = &self.inner.counters;
        let counter = match call.effect {
            Effect::Read => &counters.reads,
            Effect::Write => &counters.writes,
        };
        counter.fetch_add(1, Ordering::Relaxed);

        let options = &self.inner.options;
        let timeout = call.timeout.unwrap_or(options.timeout);
        let max_body = call.max_body.unwrap_or(options.max_body);
        let started = Instant::now();
        let exchange = options.transport.exchange(wire.clone(), max_body);
        let exchanged = tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(Problem::TimedOut(timeout)));
        drop(permit);
        let millis = started.elapsed().as_millis() as u64;

        let outcome = match exchanged {
            Ok(mut reply) => {
                counters.bytes.fetch_add(reply.body.len(), Ordering::Relaxed);
                debug!(
                    account = self.name(),
                    operation = call.operation,
                    status = reply.status,
                    bytes = reply.body.len(),
                    millis,
                    attempt,
                    "Request was answered."
                );
                self.judge(call, &mut reply, decode)
            }
            Err(problem) => {
                debug!(
                    account = self.name(),
                    operation = call.operation,
                    millis,
                    attempt,
                    error = %problem,
                    "Request brought no answer."
                );
                Err(self.lost(call, problem))
            }
        };
        // Our own limits and disk say nothing about the provider's health.
        let failed = match &outcome {
            Err(Failure::NotDone(problem) | Failure::Unclear(problem)) => !matches!(problem, Problem::TooLarge(_) | Problem::Storage(_)),
            _ => false,
        };
        if let Some(pause) = admission.settle(failed) {
            warn!(
                account = self.name(),
                seconds = pause.as_secs(),
                "Account is left alone for a while because it failed too often in a row."
            );
        }
        outcome
    }

    /// Waits until the account's pace lets this call leave.
    async fn turn(&self, call: &Call) -> Result<SemaphorePermit<'_>, CallError> {
        loop {
            // Whoever would only wait to hear that the circuit is open can hear it now.
            lock(&self.inner.breaker).look(Instant::now()).map_err(|retry_in| self.circuit_open(call, retry_in))?;
            let permit = self.inner.permits.acquire().await.expect("nobody closes the semaphore of an account");
            let slot = lock(&self.inner.limiter).reserve(Instant::now(), call.lane);
            match slot {
                Slot::At(at) => {
                    tokio::time::sleep_until(at).await;
                    // The account may have been stopped while this call slept; then it queues up again.
                    if self.paused_for().is_zero() {
                        return Ok(permit);
                    }
                }
                Slot::LaneBusy(until) => {
                    drop(permit);
                    tokio::time::sleep_until(until).await;
                }
                Slot::Resting(retry_in) => {
                    return Err(CallError::Throttled { account: self.name().to_owned(), operation: call.operation, retry_in });
                }
            }
        }
    }

    /// Asks breaker and quota, in this order, at the moment of sending.
    fn admit(&self, call: &Call) -> Result<Admission<'_>, CallError> {
        let now = Instant::now();
        lock(&self.inner.breaker).admit(now).map_err(|retry_in| self.circuit_open(call, retry_in))?;
        let admission = Admission { breaker: &self.inner.breaker, settled: false };
        if let Some(quota) = &self.inner.quota {
            lock(quota).take(now).map_err(|(limit, retry_in)| CallError::DayQuota {
                account: self.name().to_owned(),
                operation: call.operation,
                limit,
                retry_in,
            })?;
        }
        Ok(admission)
    }

    fn circuit_open(&self, call: &Call, retry_in: Duration) -> CallError {
        CallError::CircuitOpen { account: self.name().to_owned(), operation: call.operation, retry_in }
    }

    /// Judges a complete answer: first by its status, then by its body.
    fn judge<T>(
        &self,
        call: &Call,
        reply: &mut Reply,
        decode: &mut impl FnMut(&mut Reply) -> Result<T, DecodeError>,
    ) -> Result<T, Failure> {
        let account = self.name().to_owned();
        let operation = call.operation;
        let status = reply.status;
        let error = match retry::judge(call, status, reply.retry_after) {
            Verdict::Decode => match decode(reply) {
                Ok(done) => return Ok(done),
                Err(DecodeError::NotAnAnswer(reason)) => {
                    return Err(Failure::Unclear(Problem::NotAnAnswer(tidy(&reason))));
                }
                Err(DecodeError::Throttled { after }) => {
                    return Err(Failure::Throttled(after.or(reply.retry_after)));
                }
                Err(DecodeError::Protocol(reason)) => CallError::Protocol { account, operation, reason: tidy(&reason) },
                Err(DecodeError::Refused(refusal)) => CallError::Refused { account, operation, refusal },
                Err(DecodeError::LoginExpired(reason)) => CallError::LoginExpired { account, operation, reason: tidy(&reason) },
                Err(DecodeError::Denied(reason)) => CallError::Denied { account, operation, reason: tidy(&reason) },
            },
            Verdict::Throttled => return Err(Failure::Throttled(reply.retry_after)),
            Verdict::ServerError => return Err(Failure::Unclear(Problem::ServerError(status))),
            Verdict::Denied => CallError::Denied { account, operation, reason: format!("HTTP status {status}") },
            Verdict::Redirected => CallError::Protocol {
                account,
                operation,
                reason: format!("HTTP status {status} points elsewhere, and redirects are not followed"),
            },
            Verdict::Refused => CallError::Refused {
                account,
                operation,
                refusal: Refusal::new(Some(&format!("HTTP {status}")), "the server refused the request", None),
            },
        };
        Err(match error {
            CallError::Denied { .. } if status == 403 => Failure::Forbidden(error),
            error => Failure::Final(error),
        })
    }

    /// Judges an exchange that brought no complete answer.
    fn lost(&self, call: &Call, problem: Problem) -> Failure {
        match problem {
            Problem::NotConnected(_) => Failure::NotDone(problem),
            // The next attempt would only meet the same length.
            Problem::TooLarge(limit) if call.effect == Effect::Read => {
                Failure::Final(CallError::TooLarge { account: self.name().to_owned(), operation: call.operation, limit })
            }
            problem => Failure::Unclear(problem),
        }
    }
}
