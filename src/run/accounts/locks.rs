//! Who may use which account (rule 8): several runs that read it, or one that writes to it.
//!
//! Inside a process runs queue for an account, in the order in which they came: what one of them
//! has done is there to be read before the next one plans, and nobody plans on what is half
//! written. Other processes are kept out by the account's lock file, which is held as long as any
//! run of this process holds the account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::state::{Guard, LockError, Locks};

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
pub(in crate::run) enum Access {
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
pub(super) struct HeldAccount {
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
    pub(super) async fn hold(
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
