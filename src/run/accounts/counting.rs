//! How many requests each account got, written down whatever becomes of a run.

use super::runner::Runner;
use crate::config::settled::{JobConfig, hash_of_account};

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

    /// The same for some providers.
    pub(super) fn counting_of(&self, providers: &[&String]) -> Counting {
        Counting {
            runner: self.clone(),
            providers: providers.iter().map(|name| (*name).clone()).collect(),
        }
    }

    /// Adds what a provider's account was sent since it was last counted.
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
            account.statistics().requests()
        };
        // Several jobs share an account, and each request counts once.
        let mut counted = self
            .inner
            .counted
            .lock()
            .expect("nothing panics while it holds this lock");
        let known = counted.entry(key).or_default();
        if sent > *known {
            match self
                .store()
                .count_requests(&account, sent - *known, self.now())
            {
                Ok(()) => *known = sent,
                Err(error) => {
                    tracing::warn!(provider, error = %error, "The requests of a run could not be counted.");
                }
            }
        }
    }
}
