//! Who may use which account (rule 8): several runs that read it, or one that writes to it.
//!
//! Inside a process runs queue for an account, in the order in which they came: what one of them
//! has done is there to be read before the next one plans, and nobody plans on what is half
//! written. Other processes are kept out by the account's lock file, which is held as long as any
//! run of this process holds the account.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::{Instant, sleep};

use super::housekeeping::Counting;
use super::{RunError, Runner};
use crate::config::settled::{JobConfig, ProviderConfig};
use crate::state::{Guard, LockError, Locks};

/// How often a lock that another process holds is tried again.
const LOOK: Duration = Duration::from_millis(250);

/// The accounts that runs of this process use, by account key; clones share them.
///
/// Whatever has one state database in one process shares one of these, also over a change of the
/// config.
#[derive(Clone, Debug, Default)]
pub struct AccountLocks {
    accounts: Arc<Mutex<HashMap<String, Account>>>,
}

#[derive(Debug, Default)]
struct Account {
    /// Fair: a run that writes is not overtaken by those that read.
    queue: Arc<RwLock<()>>,
    holders: usize,
    /// Keeps other processes out; there as long as somebody holds the account.
    file: Option<Guard>,
}

/// What a run does with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    Read,
    Write,
}

/// A run's place at an account.
#[derive(Debug)]
enum Place {
    Reading { _turn: OwnedRwLockReadGuard<()> },
    Writing { _turn: OwnedRwLockWriteGuard<()> },
}

/// An account that a run holds; dropping it lets the next one in.
#[derive(Debug)]
struct HeldAccount {
    key: String,
    locks: AccountLocks,
    // Goes after the lock file, which the next one may have to take.
    _place: Place,
}

impl Drop for HeldAccount {
    fn drop(&mut self) {
        if let Some(account) = self.locks.accounts().get_mut(&self.key) {
            account.holders -= 1;
            if account.holders == 0 {
                account.file = None;
            }
        }
    }
}

impl AccountLocks {
    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this process's other runs at an account, then keeps other processes out of it.
    async fn hold(
        &self,
        files: &Locks,
        key: &str,
        access: Access,
    ) -> Result<HeldAccount, LockError> {
        let queue = {
            let mut accounts = self.accounts();
            Arc::clone(&accounts.entry(key.to_owned()).or_default().queue)
        };
        let place = match access {
            Access::Read => Place::Reading {
                _turn: queue.read_owned().await,
            },
            Access::Write => Place::Writing {
                _turn: queue.write_owned().await,
            },
        };
        let mut accounts = self.accounts();
        let account = accounts.entry(key.to_owned()).or_default();
        if account.file.is_none() {
            account.file = Some(files.lock_account(key)?);
        }
        account.holders += 1;
        Ok(HeldAccount {
            key: key.to_owned(),
            locks: self.clone(),
            _place: place,
        })
    }
}

/// What has to be held before something is done.
struct Wanted<'a> {
    job: Option<&'a str>,
    /// By account key. All runs take them in this order, so no two can wait for each other.
    accounts: BTreeMap<String, Access>,
}

/// What is held while a job runs, or while accounts are asked.
pub(super) struct Held {
    // Goes first, so that requests are counted before anybody else may use the accounts.
    _counting: Counting,
    _job: Option<Guard>,
    _accounts: Vec<HeldAccount>,
}

impl Runner {
    /// Takes the lock of a job and its place at the job's two accounts.
    pub(super) async fn hold(&self, job: &JobConfig, target: Access) -> Result<Held, RunError> {
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
    pub(super) async fn hold_to_read(&self, providers: &[&String]) -> Result<Held, RunError> {
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
                Ok(held) => return Ok(held),
                Err(error @ LockError::Busy { .. }) => error.to_string(),
                Err(error @ LockError::File { .. }) => {
                    return Err(RunError::Setup(error.to_string()));
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::task::yield_now;

    use super::*;

    const ONE: &str = "emfluence https://api.example.org 1";

    #[tokio::test]
    async fn an_account_is_read_by_several_or_written_by_one_in_turn() {
        let (locks, files) = (AccountLocks::default(), Locks::in_memory());
        let hold = |access| {
            let (locks, files) = (locks.clone(), files.clone());
            tokio::spawn(async move { locks.hold(&files, ONE, access).await.unwrap() })
        };
        let first = hold(Access::Read).await.unwrap();
        let second = hold(Access::Read).await.unwrap();
        let mut writer = hold(Access::Write);
        yield_now().await;
        let mut late = hold(Access::Read);
        yield_now().await;
        drop(first);
        yield_now().await;
        assert!((&mut writer).now_or_never().is_none());
        drop(second);
        let writer = writer.await.unwrap();
        yield_now().await;
        assert!(
            (&mut late).now_or_never().is_none(),
            "who came later reads what was written"
        );
        drop(writer);
        late.await.unwrap();
    }

    #[tokio::test]
    async fn other_processes_are_kept_out_until_the_last_run_of_this_one_is_done() {
        let (locks, files) = (AccountLocks::default(), Locks::in_memory());
        let first = locks.hold(&files, ONE, Access::Read).await.unwrap();
        let second = locks.hold(&files, ONE, Access::Read).await.unwrap();
        drop(first);
        assert!(files.lock_account(ONE).is_err());
        drop(second);
        let elsewhere = files.lock_account(ONE).unwrap();
        assert!(locks.hold(&files, ONE, Access::Write).await.is_err());
        drop(elsewhere);
        locks.hold(&files, ONE, Access::Write).await.unwrap();
    }

    #[tokio::test]
    async fn who_gives_up_waiting_keeps_nobody_waiting() {
        let (locks, files) = (AccountLocks::default(), Locks::in_memory());
        let reader = locks.hold(&files, ONE, Access::Read).await.unwrap();
        {
            let mut writer = Box::pin(locks.hold(&files, ONE, Access::Write));
            assert!((&mut writer).now_or_never().is_none());
        }
        locks.hold(&files, ONE, Access::Read).await.unwrap();
        drop(reader);
    }
}
