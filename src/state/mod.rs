//! The state database: what rosterd remembers between runs, and the only place that knows SQL.
//!
//! It holds links and bases of each job, carried values, the ledger of consent, the journal of every
//! write (rule 5), the history of runs, what providers refused, approvals, and which saved plans
//! are used up. It never holds a token, a password or the body of a request (rule 7). Times are
//! handed in by the caller: the store reads no clock.
//!
//! Losing the file is not a disaster: the next run adopts what it finds at the target. What no provider
//! can hold is in a copy ([`Store::back_up`], [`StagedCopy`]), as far as it was known then.

mod accounts;
mod approvals;
mod backup;
mod base;
mod carried;
mod change;
mod convert;
mod error;
mod failures;
mod forget;
mod housekeeping;
mod inventory;
mod jobs;
mod journal;
mod keys;
mod ledger;
mod locks;
mod losses;
mod members;
mod notices;
mod packed;
mod paging;
mod remembered;
mod renumber;
mod restore;
mod runs;
mod schema;
mod service;
mod sizes;
mod staging;
#[cfg(test)]
mod tests;
mod under_way;
mod waiting;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::runtime::{Handle, RuntimeFlavor};

pub use approvals::ApprovalAnswer;
pub use backup::copies_beside;
pub use change::Change;
pub use error::StateError;
pub use failures::{AcceptedRecord, FailureNote, FailureRecord};
pub use forget::Removal;
pub use housekeeping::RequestTimes;
pub use inventory::Inventory;
pub use jobs::{JobStatus, PausedRecord};
pub use journal::{
    JournalEntry, JournalId, JournalItem, JournalMoment, JournalOutcome, Priors, Settling,
    UnsettledEntry, UnsettledItem,
};
pub use ledger::{AudienceKey, PersonKey};
pub use locks::{Guard, LockError, Locks};
pub use losses::{LossKind, ToldLoss};
pub use members::{JobMemory, MemberThen, MembersThen, Stood};
pub use notices::{Attempt, ChannelRecord, Delivery, NextDelivery, Notice};
pub use paging::ItemTally;
pub use remembered::{MemoryKey, RememberedTarget, TargetReading};
pub use restore::{PutBack, StagedCopy};
pub use runs::{
    About, ApprovedBy, EMPTY_PLAN, FOUND, FieldChange, FieldChanges, ItemPlace, LaterRun, Outcome,
    PastItem, RunEnd, RunItem, RunRecord, RunStart, UNDO,
};
pub use service::ServiceRecord;
pub use sizes::GroupSize;
pub use staging::Staging;
pub use under_way::UnderWay;
pub use waiting::Waiting;

use error::Fault;

/// How long a connection waits for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Memory for pages of the file, in KiB.
const CACHE_KIB: i64 = 32 * 1024;

/// How many pages the write-ahead log holds before they are written into the file: 16 MiB.
const CHECKPOINT_PAGES: i64 = 4_096;

/// How many compiled statements a connection keeps.
const CACHED_STATEMENTS: usize = 256;

/// The open state database.
#[derive(Debug)]
pub struct Store {
    path: Option<PathBuf>,
    read_only: bool,
    connection: Mutex<Connection>,
    locks: Locks,
    watcher: journal::Watcher,
}

impl Store {
    /// Opens the database, creating it when there is none and bringing an older one up to date.
    ///
    /// Before an older one is changed, a copy is kept beside it as `<file>.before-<new version>`.
    ///
    /// # Errors
    /// A [`StateError`] when the file belongs to another program or a newer version, or can't be
    /// written.
    pub fn open(path: &Path, now: Timestamp) -> Result<Store, StateError> {
        let directory = backup::directory_of(path);
        if !directory.is_dir() {
            return Err(StateError::NoDirectory {
                path: path.to_owned(),
                directory: directory.to_owned(),
            });
        }
        if path.is_dir() {
            return Err(StateError::Directory {
                path: path.to_owned(),
            });
        }
        // SQLite gives its companion files the rights of this one, and it holds addresses.
        backup::create_private(path).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StateError::ReadOnly {
                path: path.to_owned(),
            },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StateError::Full {
                path: path.to_owned(),
            },
            _ => StateError::Unreadable {
                path: path.to_owned(),
                reason: error.to_string(),
            },
        })?;
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|error| StateError::of_sqlite(path, error))?;
        Store::prepare(&connection, path, now).map_err(|fault| fault.at(path))?;
        Ok(Store {
            path: Some(path.to_owned()),
            read_only: false,
            connection: Mutex::new(connection),
            locks: Locks::new(path),
            watcher: journal::Watcher::default(),
        })
    }

    /// Opens the database for reading; nothing when there is no file.
    ///
    /// # Errors
    /// A [`StateError`] when the file belongs to another program or another version.
    pub fn open_read_only(path: &Path) -> Result<Option<Store>, StateError> {
        match path.try_exists() {
            Ok(true) if path.is_dir() => {
                return Err(StateError::Directory {
                    path: path.to_owned(),
                });
            }
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                return Err(StateError::Unreadable {
                    path: path.to_owned(),
                    reason: error.to_string(),
                });
            }
        }
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|error| StateError::of_sqlite(path, error))?;
        let identity = configure(&connection)
            .map_err(Fault::from)
            .and_then(|()| schema::identify(&connection, path));
        match identity.map_err(|fault| fault.at(path))? {
            // A file that a first run created and has not filled yet.
            schema::Identity::Fresh => return Ok(None),
            schema::Identity::Ours(version) if version < schema::VERSION => {
                return Err(StateError::Older {
                    path: path.to_owned(),
                    found: version,
                    known: schema::VERSION,
                });
            }
            schema::Identity::Ours(_) => {}
        }
        Ok(Some(Store {
            path: Some(path.to_owned()),
            read_only: true,
            connection: Mutex::new(connection),
            locks: Locks::new(path),
            watcher: journal::Watcher::default(),
        }))
    }

    /// Makes a database that lives in memory and is gone when dropped; for tests and rehearsals.
    pub fn in_memory() -> Store {
        let connection = Connection::open_in_memory().expect("memory is always there");
        configure(&connection).expect("a database in memory takes every setting");
        schema::migrate(&connection, None, Timestamp::UNIX_EPOCH)
            .expect("an empty database takes the schema");
        Store {
            path: None,
            read_only: false,
            connection: Mutex::new(connection),
            locks: Locks::in_memory(),
            watcher: journal::Watcher::default(),
        }
    }

    /// Returns the database file; `:memory:` where there is none.
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(":memory:"))
    }

    /// Returns the locks of the database: files beside it, or nothing but memory where there is no
    /// file.
    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Checks the whole file and returns what is wrong with it, one sentence each; empty when all
    /// is well.
    pub fn integrity_check(&self) -> Result<Vec<String>, StateError> {
        self.read(backup::problems)
    }

    /// Counts the steps of SQLite's machine from here on, in hundreds: each row that a statement
    /// visits takes some. For checks that no work grows faster than an account, whatever the clock
    /// says; nothing in the product asks for it.
    ///
    /// # Panics
    /// Where SQLite takes no handler, which it always does.
    pub fn count_steps(&self) -> Arc<AtomicU64> {
        let steps = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&steps);
        let count = move || {
            counter.fetch_add(1, Ordering::Relaxed);
            false
        };
        self.lock()
            .progress_handler(100, Some(count))
            .expect("a connection takes a handler");
        steps
    }

    fn prepare(connection: &Connection, path: &Path, now: Timestamp) -> Result<(), Fault> {
        configure(connection)?;
        // Whose file it is comes first: switching the journal mode would already change a foreign
        // one.
        schema::identify(connection, path)?;
        if connection.is_readonly("main")? {
            return Err(StateError::ReadOnly {
                path: path.to_owned(),
            }
            .into());
        }
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if !mode.eq_ignore_ascii_case("wal") {
            let reason = "its file system can't hold a write-ahead log".to_owned();
            return Err(StateError::Unreadable {
                path: path.to_owned(),
                reason,
            }
            .into());
        }
        schema::migrate(connection, Some(path), now)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere has rolled its transaction back, so the connection is as good as
        // before.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads in one consistent view.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, StateError> {
        off_the_runtime(|| {
            let connection = self.lock();
            let done = || {
                let view = Transaction::new_unchecked(&connection, TransactionBehavior::Deferred)?;
                work(&view)
            };
            done().map_err(|fault| fault.at(self.path()))
        })
    }

    /// Writes all or nothing; on disk when it returns.
    fn write<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StateError> {
        self.write_with("FULL", work)
    }

    /// Writes all or nothing; safe from a crash of the process when it returns, and from a power cut
    /// once the next [`Store::write`] has written anything. For what can be found out anew by reading.
    fn write_soon<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StateError> {
        self.write_with("NORMAL", work)
    }

    fn write_with<T>(
        &self,
        synchronous: &str,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StateError> {
        off_the_runtime(|| {
            let connection = self.lock();
            let done = || {
                connection.pragma_update(None, "synchronous", synchronous)?;
                let transaction =
                    Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok::<_, Fault>(value)
            };
            done().map_err(|fault| fault.at(self.path()))
        })
    }
}

/// Does what may wait for the disk without having the other tasks of this thread wait along: requests
/// go on while the database is written.
fn off_the_runtime<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Sets what holds for one connection.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What goes is overwritten at once: who asks to be forgotten may have left traces in rows that
    // went long before.
    connection.pragma_update(None, "secure_delete", true)?;
    // In KiB when negative. A first run of a large account writes all over the file.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    // Texts in a damaged or hostile file must not run functions.
    connection.pragma_update(None, "trusted_schema", false)
}
