//! One call from the first attempt to its result: send, judge, wait, send again where that is
//! allowed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::account::{Account, PATIENCE, lock};
use super::call::{Call, Effect, Reply, Wire};
use super::error::{CallError, DecodeError, Problem, Refusal, tidy};
use super::retry::{self, Verdict};

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

impl Account {
    /// Sends a call until it has a result or may not be sent again.
    pub(super) async fn send<T>(
        &self,
        call: &Call,
        effect: Effect,
        mut decode: impl FnMut(&mut Reply) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        let unsendable = |reason: String| CallError::Unsendable {
            account: self.name().to_owned(),
            operation: call.operation,
            reason,
        };
        if call.effect != effect {
            return Err(unsendable(
                "a read was called as a write or the other way round".to_owned(),
            ));
        }
        let wire = call
            .wire(&self.inner.options.base_url)
            .map_err(unsendable)?;
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
                Failure::Forbidden(_)
                    if call.forbidden_is_spurious
                        && forbidden < retry::SPURIOUS_FORBIDDEN
                        && !last =>
                {
                    forbidden += 1;
                    Problem::Forbidden
                }
                Failure::Forbidden(error) | Failure::Final(error) => return Err(error),
                Failure::Throttled(after) => {
                    self.inner
                        .counters
                        .throttled
                        .fetch_add(1, Ordering::Relaxed);
                    // Zero seconds, and no number at all, still mean "slower".
                    self.pause_for(
                        after.map_or(wait, |after| after.max(wait.min(Duration::from_secs(1)))),
                    );
                    let retry_in = self.paused_for();
                    if last || retry_in > PATIENCE {
                        return Err(CallError::Throttled {
                            account: self.name().to_owned(),
                            operation: call.operation,
                            retry_in,
                        });
                    }
                    Problem::Throttled
                }
                Failure::Unclear(problem) if effect == Effect::Write => {
                    return Err(CallError::OutcomeUnknown {
                        account: self.name().to_owned(),
                        operation: call.operation,
                        problem,
                    });
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
            // Waiting is idle when the circuit has just opened.
            self.look(call)?;
            let wait = if problem == Problem::Throttled {
                self.paused_for()
            } else {
                wait
            };
            warn!(
                account = self.name(),
                operation = call.operation,
                attempt,
                wait_ms = wait.as_millis() as u64,
                error = problem.for_log(),
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
        let (counter, waited) = match call.effect {
            Effect::Read => (&counters.reads, &counters.read_millis),
            Effect::Write => (&counters.writes, &counters.write_millis),
        };
        counter.fetch_add(1, Ordering::Relaxed);

        let options = &self.inner.options;
        let timeout = call.timeout.unwrap_or(options.timeout);
        let max_body = call.max_body.unwrap_or(options.max_body);
        let started = Instant::now();
        let exchange = options.transport.exchange(wire.clone(), max_body);
        let exchanged = tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or(Err(Problem::TimedOut(timeout)));
        drop(permit);
        let millis = started.elapsed().as_millis() as u64;
        waited.fetch_add(millis, Ordering::Relaxed);

        let outcome = match exchanged {
            Ok(mut reply) => {
                counters
                    .bytes
                    .fetch_add(reply.body.len(), Ordering::Relaxed);
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
                    error = problem.for_log(),
                    "Request brought no answer."
                );
                Err(self.lost(call, problem))
            }
        };
        let ended = match &outcome {
            Ok(_) => Some(&counters.answered),
            // Counted where the pause is set.
            Err(Failure::Throttled(_)) => None,
            Err(Failure::Forbidden(_) | Failure::Final(_)) => Some(&counters.refused),
            Err(Failure::NotDone(_) | Failure::Unclear(_)) => Some(&counters.lost),
        };
        if let Some(ended) = ended {
            ended.fetch_add(1, Ordering::Relaxed);
        }
        // Our own limits and disk say nothing about the provider's health.
        let failed = match &outcome {
            // A single record, or a group that is too large for the host, can draw an error, silence
            // or an answer that can't be read as often as it is asked for: repeating that says no
            // more of the host's health. That a host is not reached at all counts each time.
            Err(Failure::Unclear(_)) if attempt > 1 => {
                drop(admission);
                return outcome;
            }
            Err(Failure::NotDone(problem) | Failure::Unclear(problem))
                if !matches!(problem, Problem::TooLarge(_) | Problem::Storage(_)) =>
            {
                *lock(&self.inner.last_problem) = Some(problem.clone());
                true
            }
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
        // The provider's words are searched before they are cut to length and kept.
        let tidy = |reason: &str| tidy(&self.without_secrets(reason));
        let error = match retry::judge(call, status, reply.retry_after) {
            Verdict::Decode => match decode(reply) {
                Ok(done) => return Ok(done),
                Err(DecodeError::NotAnAnswer(reason)) => {
                    return Err(Failure::Unclear(Problem::NotAnAnswer(tidy(&reason))));
                }
                Err(DecodeError::Throttled { after }) => {
                    return Err(Failure::Throttled(after.or(reply.retry_after)));
                }
                Err(DecodeError::Protocol(reason)) => CallError::Protocol {
                    account,
                    operation,
                    reason: tidy(&reason),
                },
                Err(DecodeError::Refused(mut refusal)) => {
                    self.keep_secrets_out(&mut refusal);
                    CallError::Refused {
                        account,
                        operation,
                        refusal,
                    }
                }
                Err(DecodeError::LoginExpired(reason)) => CallError::LoginExpired {
                    account,
                    operation,
                    reason: tidy(&reason),
                },
                Err(DecodeError::Denied(reason)) => CallError::Denied {
                    account,
                    operation,
                    reason: tidy(&reason),
                },
            },
            Verdict::Throttled => return Err(Failure::Throttled(reply.retry_after)),
            Verdict::ServerError => return Err(Failure::Unclear(Problem::ServerError(status))),
            Verdict::Denied => CallError::Denied {
                account,
                operation,
                reason: format!("HTTP status {status}"),
            },
            Verdict::Redirected => CallError::Protocol {
                account,
                operation,
                reason: format!(
                    "HTTP status {status} points elsewhere, and redirects are not followed"
                ),
            },
            Verdict::Refused => CallError::Refused {
                account,
                operation,
                refusal: Refusal::new(
                    Some(&format!("HTTP {status}")),
                    "the server refused the request",
                    None,
                ),
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
            Problem::NotConnected { .. } => Failure::NotDone(problem),
            // The next attempt would only meet the same length.
            Problem::TooLarge(limit) if call.effect == Effect::Read => {
                Failure::Final(CallError::TooLarge {
                    account: self.name().to_owned(),
                    operation: call.operation,
                    limit,
                })
            }
            // Nor would it find more room, and what is not seen for lack of room is not missing at
            // the provider.
            Problem::Storage(reason) if call.effect == Effect::Read => {
                Failure::Final(CallError::NoRoom {
                    account: self.name().to_owned(),
                    operation: call.operation,
                    reason,
                })
            }
            problem => Failure::Unclear(problem),
        }
    }
}
