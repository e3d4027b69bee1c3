//! Takes the lock of a job and its place at the accounts, or waits for them (rule 8).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::{Instant, sleep};

use super::counting::Counting;
use super::locks::{Access, HeldAccount};
use super::runner::Runner;
use crate::config::settled::{JobConfig, ProviderConfig};
use crate::run::error::RunError;
use crate::state::{Guard, LockError, StateError};

/// How often a lock that another process holds is tried again.
const LOOK: Duration = Duration::from_millis(250);

/// What has to be held before something is done.
struct Wanted<'a> {
    job: Option<&'a str>,
    /// By account key. All runs take them in this order, so no two can wait for each other.
    accounts: BTreeMap<String, Access>,
}

/// What is held while a job runs, or while accounts are asked.
pub(in crate::run) struct Held {
    // Goes first, so that requests are counted before anybody else may use the accounts.
    _counting: Counting,
    _job: Option<Guard>,
    _accounts: Vec<HeldAccount>,
}

impl Runner {
    /// Takes the lock of a job and its place at the job's two accounts.
    pub(in crate::run) async fn hold(
        &self,
        job: &JobConfig,
        target: Access,
    ) -> Result<Held, RunError> {
        let accounts = self.accesses([(&job.source, Access::Read), (&job.target, target)]);
        let wanted = Wanted {
            job: Some(&job.name),
            accounts,
        };
        let (guard, held) = self.wait_for(&job.name, &wanted).await?;
        Ok(Held {
            _counting: self.counting(job),
            _job: guard,
            _accounts: held,
        })
    }

    /// Takes a place at accounts that are only read.
    pub(in crate::run) async fn hold_to_read(
        &self,
        providers: &[&String],
    ) -> Result<Held, RunError> {
        let accesses = providers.iter().map(|name| (*name, Access::Read));
        let wanted = Wanted {
            job: None,
            accounts: self.accesses(accesses),
        };
        let (guard, held) = self.wait_for("", &wanted).await?;
        Ok(Held {
            _counting: self.counting_of(providers),
            _job: guard,
            _accounts: held,
        })
    }

    /// Two provider names may stand for one account, and what is written anywhere is written.
    fn accesses<'a>(
        &self,
        providers: impl IntoIterator<Item = (&'a String, Access)>,
    ) -> BTreeMap<String, Access> {
        let mut accounts = BTreeMap::new();
        for (name, access) in providers {
            let provider = self.inner.config.providers.get(name);
            if let Some(key) = provider.map(ProviderConfig::account_key) {
                let known = accounts.entry(key).or_insert(access);
                *known = access.max(*known);
            }
        }
        accounts
    }

    /// Waits for this process's other runs for as long as it takes, for other processes for as long
    /// as the options say, and for nobody once a stop is asked for.
    async fn wait_for(
        &self,
        job: &str,
        wanted: &Wanted<'_>,
    ) -> Result<(Option<Guard>, Vec<HeldAccount>), RunError> {
        let options = &self.inner.options;
        let began = Instant::now();
        let mut told = false;
        loop {
            let tried = options.stop.run_until_cancelled(self.take(wanted)).await;
            let busy = match tried.ok_or(RunError::Stopped)? {
                // What comes free when everything stops is not begun.
                Ok(_) if options.stop.is_cancelled() => return Err(RunError::Stopped),
                Ok(held) => return Ok(held),
                Err(error @ LockError::Busy { .. }) => error.to_string(),
                Err(error @ LockError::File { .. }) => {
                    return Err(RunError::Setup(error.to_string()));
                }
                // The locks lie beside the state database.
                Err(LockError::Full { .. }) => {
                    let path = self.inner.config.state_path.clone();
                    return Err(StateError::Full { path }.into());
                }
            };
            let Some(wait) = options.wait else {
                return Err(RunError::Busy(busy));
            };
            let left = wait.saturating_sub(began.elapsed());
            if left.is_zero() {
                let waited = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
                return Err(RunError::Busy(format!("{busy} (waited for {waited:#})")));
            }
            if !told {
                tracing::info!(job, why = busy, "Waiting for another process.");
                options.progress.stage(job, "Waiting for another process");
                told = true;
            }
            let rest = sleep(left.min(LOOK));
            let rested = options.stop.run_until_cancelled(rest).await;
            rested.ok_or(RunError::Stopped)?;
        }
    }

    /// Takes all or nothing: whoever waits for another process keeps nobody from anything.
    async fn take(
        &self,
        wanted: &Wanted<'_>,
    ) -> Result<(Option<Guard>, Vec<HeldAccount>), LockError> {
        let files = &self.inner.locks;
        let job = wanted.job.map(|job| files.lock_job(job)).transpose()?;
        let mut held = Vec::new();
        for (key, access) in &wanted.accounts {
            let locks = &self.inner.options.account_locks;
            held.push(locks.hold(files, key, *access).await?);
        }
        Ok((job, held))
    }
}
