//! Passes on how far runs have come, and has the state database know now and then, so that another
//! process can show it.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};

use super::meter::Meter;
use super::runner::{Progress, Runner};
use crate::run::prepare::Planned;
use crate::state::UnderWay;

/// How long a run goes on before the state database is told: most are over by then.
const FIRST: Duration = Duration::from_secs(2);

/// How often it is told from then on.
const EVERY: Duration = Duration::from_secs(5);

/// A part of a run that is under way.
#[derive(Clone)]
struct Phase {
    text: String,
    began: Instant,
    meter: Option<Meter>,
}

/// Hears the progress of runs, remembers it and passes it on.
pub(in crate::run) struct Heard {
    to: Arc<dyn Progress>,
    phases: Mutex<HashMap<String, Phase>>,
}

impl Heard {
    pub(super) fn new(to: Arc<dyn Progress>) -> Heard {
        Heard {
            to,
            phases: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Phase>> {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Heard {
    fn stage(&self, job: &str, text: &str) {
        let phase = Phase {
            text: text.to_owned(),
            began: Instant::now(),
            meter: None,
        };
        self.lock().insert(job.to_owned(), phase);
        self.to.stage(job, text);
    }

    fn measure(&self, job: &str, meter: Meter) {
        if let Some(phase) = self.lock().get_mut(job) {
            phase.meter = Some(meter.clone());
        }
        self.to.measure(job, meter);
    }

    fn advance(&self, job: &str, done: u64, of: u64) {
        self.to.advance(job, done, of);
    }

    fn refused(&self, job: &str, run: &str, planned: &Planned) {
        self.to.refused(job, run, planned);
    }

    fn finish(&self, job: &str) {
        self.lock().remove(job);
        self.to.finish(job);
    }
}

impl Runner {
    /// Waits for a run, and has the state database know every few seconds how far it has come.
    pub(in crate::run) async fn telling<T>(
        &self,
        job: &str,
        run: &str,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        let mut next = Instant::now() + FIRST;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep_until(next) => {
                    self.tell_under_way(job, run);
                    next = Instant::now() + EVERY;
                }
            }
        }
    }

    fn tell_under_way(&self, job: &str, run: &str) {
        let phase = self.inner.heard.lock().get(job).cloned();
        let Some(phase) = phase else { return };
        let now = self.now();
        let gauge = phase.meter.as_ref().map(Meter::gauge).unwrap_or_default();
        let lasted = SignedDuration::try_from(phase.began.elapsed()).unwrap_or_default();
        let told = UnderWay {
            job: job.to_owned(),
            run: run.to_owned(),
            pid: std::process::id(),
            phase: phase.text,
            phase_began: now.checked_sub(lasted).unwrap_or(Timestamp::UNIX_EPOCH),
            done: gauge.done,
            expected: gauge.expected,
            left_for: gauge.left().map(|left| left.as_secs()),
            rests_for: gauge.paused.as_secs(),
            heard: now,
        };
        // Nothing hangs on it, and a database that can't be written stops the run by itself.
        if let Err(error) = self.store().tell_under_way(&told) {
            tracing::debug!(job, %error, "How far the run has come could not be told.");
        }
    }
}
