//! How many requests each account got, written down whatever becomes of a run.

use super::handle::Handle;
use super::runner::Runner;
use crate::config::settled::{JobConfig, hash_of_account};
use crate::http::Statistics;
use crate::run::error::RunError;
use crate::state::RequestTimes;

/// Counts the requests of two accounts in the state database when it goes, also when a run is given
/// up half-way: the cap on a day's requests holds across processes.
pub(super) struct Counting {
    runner: Runner,
    providers: Vec<String>,
}

impl Drop for Counting {
    fn drop(&mut self) {
        for provider in &self.providers {
            self.runner.count_requests(provider);
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

    /// Counts what a job's accounts were sent so far, before all of it is done.
    pub(in crate::run) fn count_now(&self, job: &JobConfig) {
        drop(self.counting(job));
    }

    /// The same for some providers.
    pub(super) fn counting_of(&self, providers: &[&String]) -> Counting {
        Counting {
            runner: self.clone(),
            providers: providers.iter().map(|name| (*name).clone()).collect(),
        }
    }

    /// Adds what a provider's account was sent since it was last counted, and how long it took.
    fn count_requests(&self, provider: &str) {
        let Some(config) = self.inner.config.providers.get(provider) else {
            return;
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
                return;
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
            let written = self
                .store()
                .count_requests(&account, more, self.now())
                .and_then(|()| self.store().add_request_times(&account, times));
            match written {
                Ok(()) => *known = sent,
                Err(error) => {
                    tracing::warn!(provider, error = %error, "The requests of a run could not be counted.");
                }
            }
        }
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
