//! How many requests each account got, written down whatever becomes of a run.

use super::handle::Handle;
use super::runner::Runner;
use crate::config::settled::{JobConfig, hash_of_account};
use crate::http::Statistics;
use crate::run::error::RunError;
use crate::state::{RequestTimes, StateError};

/// Counts the requests of two accounts in the state database when it goes, also when a run is given
/// up half-way: the cap on a day's requests holds across processes.
pub(super) struct Counting {
    runner: Runner,
    providers: Vec<String>,
}

impl Drop for Counting {
    fn drop(&mut self) {
        for provider in &self.providers {
            if let Err(error) = self.runner.count_requests(provider) {
                tracing::warn!(provider, %error, "The requests of a run could not be counted.");
            }
        }
    }
}

impl Runner {
    /// Counts the requests of a job's accounts from now on.
    pub(super) fn counting(&self, job: &JobConfig) -> Counting {
        Counting {
            runner: self.clone(),
            providers: vec![job.source.clone(), job.target.clone()],
        }
    }

    /// Counts what a job's accounts were sent so far, while an error can still be told: a run is not
    /// done well where the cap on a day's requests can't know of it.
    pub(in crate::run) fn count_now(&self, job: &JobConfig) -> Result<(), StateError> {
        self.count_requests(&job.source)?;
        self.count_requests(&job.target)
    }

    /// The same for some providers.
    pub(super) fn counting_of(&self, providers: &[&String]) -> Counting {
        Counting {
            runner: self.clone(),
            providers: providers.iter().map(|name| (*name).clone()).collect(),
        }
    }

    /// Adds what a provider's account was sent since it was last counted, and how long it took.
    fn count_requests(&self, provider: &str) -> Result<(), StateError> {
        let Some(config) = self.inner.config.providers.get(provider) else {
            return Ok(());
        };
        let key = config.account_key();
        let account = hash_of_account(&key);
        let sent = {
            let accounts = self
                .inner
                .accounts
                .lock()
                .expect("nothing panics while it holds this lock");
            let Some(account) = accounts.get(&key) else {
                return Ok(());
            };
            account.statistics()
        };
        // Several jobs share an account, and each request counts once.
        let mut counted = self
            .inner
            .counted
            .lock()
            .expect("nothing panics while it holds this lock");
        let known = counted.entry(key).or_default();
        if sent.requests() > known.requests() {
            let more = sent.requests() - known.requests();
            let times = since(sent, *known);
            let store = self.store();
            store.count_requests(&account, more, self.now())?;
            // What is counted once is not counted again, whatever becomes of the times.
            *known = sent;
            store.add_request_times(&account, times)?;
        }
        Ok(())
    }

    /// Tells how many seconds a request to an account takes, as far as it was ever sent any: one that
    /// reads where none has written.
    pub(in crate::run) fn request_times(&self, handle: &Handle) -> Result<SecondsEach, RunError> {
        let key = self.inner.config.providers[&handle.name].account_key();
        let earlier = self.store().request_times(&hash_of_account(&key))?;
        let counted = self.inner.counted.lock();
        let counted = counted.expect("nothing panics while it holds this lock");
        let known = counted.get(&key).copied().unwrap_or_default();
        let now = since(handle.account.statistics(), known);
        let mean = |millis: u64, requests: u64| {
            (requests > 0).then(|| millis as f64 / 1000.0 / requests as f64)
        };
        let read = mean(
            earlier.read_millis + now.read_millis,
            earlier.reads + now.reads,
        );
        let write = mean(
            earlier.write_millis + now.write_millis,
            earlier.writes + now.writes,
        );
        Ok(SecondsEach {
            read: read.unwrap_or_default(),
            write: write.or(read).unwrap_or_default(),
        })
    }

    /// Counts the requests of the last 24 hours to an account.
    pub(in crate::run) fn requests_of_a_day(&self, handle: &Handle) -> Result<u64, RunError> {
        let key = self.inner.config.providers[&handle.name].account_key();
        let earlier = self
            .store()
            .requests_of_a_day(&hash_of_account(&key), self.now())?;
        let counted = self.inner.counted.lock();
        let counted = counted.expect("nothing panics while it holds this lock");
        let known = counted.get(&key).copied().unwrap_or_default();
        Ok(earlier + handle.account.statistics().requests() - known.requests())
    }
}

/// How many seconds a request takes, from its sending to its answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SecondsEach {
    /// One that reads.
    pub read: f64,
    /// One that writes.
    pub write: f64,
}

fn since(now: Statistics, then: Statistics) -> RequestTimes {
    RequestTimes {
        reads: now.reads - then.reads,
        read_millis: now.read_millis - then.read_millis,
        writes: now.writes - then.writes,
        write_millis: now.write_millis - then.write_millis,
    }
}
