//! What can go wrong with the state database, in one sentence each.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the state database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory that should hold the file is missing.
    #[error("the state database {} has no directory to live in; create {} or set state.path to another file", path.display(), directory.display())]
    NoDirectory {
        /// The database file.
        path: PathBuf,
        /// The directory that is missing.
        directory: PathBuf,
    },
    /// The file or its directory can't be written.
    #[error("the state database {} can't be written; give this user write access to the file and to its directory", path.display())]
    ReadOnly {
        /// The database file.
        path: PathBuf,
    },
    /// The file can't be opened or read, for a reason of the system's.
    #[error("the state database {} can't be used: {reason}; check the path and the rights of this user", path.display())]
    Unreadable {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The path is one of a directory.
    #[error("the state database {} is a directory; set state.path to a file", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The file is something else than a database.
    #[error("{} is not a database; set state.path to another file, or move this one away", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a database of another program.
    #[error("{} is a database of another program; set state.path to another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of rosterd has written the file.
    #[error(
        "the state database {} has schema version {found} and this rosterd knows versions up to {known}; \
         install the newer rosterd again, or `rosterd restore` the copy it kept beside the file",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The version of the file.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// An older version of rosterd has written the file, which can't be changed now.
    #[error(
        "the state database {} has schema version {found} and this rosterd reads version {known}; \
         run a command that writes, such as sync, to bring it up to date",
        path.display()
    )]
    Older {
        /// The database file.
        path: PathBuf,
        /// The version of the file.
        found: i64,
        /// The version that this program reads.
        known: i64,
    },
    /// The disk is full.
    #[error("the disk that holds the state database {} is full; make room and run again, the journal knows how far it got", path.display())]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// The disk takes no more, for another reason than being full: a quota, a limit of the process,
    /// a broken disk.
    #[error(
        "writing the state database {} failed ({reason}); make room, or look at the disk and its quota, and run again: \
         the journal knows how far it got",
        path.display()
    )]
    Unwritable {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// Another process holds the database for too long.
    #[error("another process is writing to the state database {}; try again when it is done", path.display())]
    Busy {
        /// The database file.
        path: PathBuf,
    },
    /// The content is damaged.
    #[error("the state database {} is damaged ({reason}); put a copy back with `rosterd restore`, or move the file away and start without it", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A copy could not be written.
    #[error(
        "the state database could not be copied to {} ({reason}); make room there, or look at the disk and its quota: \
         nothing else was changed",
        path.display()
    )]
    Copy {
        /// The copy.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A copy may not be written there.
    #[error("{} can't hold a copy of the state database: {reason}", path.display())]
    CopyPlace {
        /// The place.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A file is no copy that could be put back.
    #[error("{} can't be restored: {reason}; nothing was changed", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A job is remembered with another account, whose ids mean nothing at this one.
    #[error(
        "the job \"{job}\" is remembered with the {role} {was} and is now configured with {is}, \
         which is another account (another kind, base_url or account_id): give the job its former {role} again, \
         or give it a new name, under which it starts without a memory of its own"
    )]
    JobMoved {
        /// The job.
        job: String,
        /// "source" or "target".
        role: &'static str,
        /// Words for the account in the database.
        was: String,
        /// Words for the account in the config.
        is: String,
    },
    /// A journal entry does not exist, or its items and the outcomes differ in number.
    #[error(
        "journal entry {entry} has {items} items and {outcomes} outcomes came; this is a fault of rosterd, please report it"
    )]
    Outcomes {
        /// The entry.
        entry: i64,
        /// The items it has; none when it does not exist.
        items: usize,
        /// The outcomes that came.
        outcomes: usize,
    },
    /// A start of a run's identifier fits several runs.
    #[error("the run \"{prefix}\" is not unique; write more of its identifier")]
    AmbiguousRun {
        /// What was asked for.
        prefix: String,
    },
    /// The profiles of a run could not be kept aside.
    #[error(
        "the profiles of this run can't be kept for the comparison: {reason}; make room on the disk that holds temporary files"
    )]
    Staging {
        /// What the store said.
        reason: String,
    },
    /// Anything else that SQLite says.
    #[error("the state database {} failed: {source}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl StateError {
    /// Sorts an error of SQLite.
    pub(super) fn of_sqlite(path: &Path, error: rusqlite::Error) -> StateError {
        let path = path.to_owned();
        if let rusqlite::Error::FromSqlConversionFailure(..) = error {
            return StateError::Damaged {
                path,
                reason: error.to_string(),
            };
        }
        let writing = [
            rusqlite::ffi::SQLITE_IOERR_WRITE,
            rusqlite::ffi::SQLITE_IOERR_FSYNC,
            rusqlite::ffi::SQLITE_IOERR_TRUNCATE,
            // The first to open the database makes a file for what processes share.
            rusqlite::ffi::SQLITE_IOERR_SHMSIZE,
        ];
        if error
            .sqlite_error()
            .is_some_and(|error| writing.contains(&error.extended_code))
        {
            return StateError::Unwritable {
                path,
                reason: error.to_string(),
            };
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StateError::Full { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                StateError::ReadOnly { path }
            }
            Some(ErrorCode::NotADatabase) => StateError::NotADatabase { path },
            Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => StateError::Unreadable {
                path,
                reason: error.to_string(),
            },
            Some(ErrorCode::DatabaseCorrupt) => StateError::Damaged {
                path,
                reason: error.to_string(),
            },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StateError::Busy { path },
            _ => StateError::Sqlite {
                path,
                source: error,
            },
        }
    }
}

/// An error inside the store, before it knows its path.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite said it.
    Sqlite(rusqlite::Error),
    /// The store found it out.
    State(StateError),
}

impl Fault {
    /// Adds the path.
    pub(super) fn at(self, path: &Path) -> StateError {
        match self {
            Fault::Sqlite(error) => StateError::of_sqlite(path, error),
            Fault::State(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sqlite(error)
    }
}

impl From<StateError> for Fault {
    fn from(error: StateError) -> Self {
        Fault::State(error)
    }
}
