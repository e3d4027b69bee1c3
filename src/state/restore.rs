//! Puts a copy back: all of it, or nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::backup::{
    COMPANIONS, beside, copy_database, copy_database_anew, directory_of, problems, same_file,
    says_it_is_ours,
};
use super::error::{Fault, StateError};
use super::inventory::Inventory;
use super::schema::{self, Identity};
use super::{Store, configure, forget};
use crate::spool;

/// A copy that was read, checked and brought up to date, and waits to be put back.
///
/// It waits on the disk for temporary files, in a file without a name: what was looked at is what is
/// put back, and a copy of any age has shown that it can be before anything changes.
#[derive(Debug)]
pub struct StagedCopy {
    path: PathBuf,
    content: Connection,
    inventory: Inventory,
}

/// What came of putting a copy back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBack {
    /// Where what was there is kept.
    pub kept: Option<PathBuf>,
    /// How many people were in the copy and had been forgotten since, so that they are not in what
    /// was put back; nothing where what was there can't tell who was forgotten.
    pub forgotten: Option<usize>,
}

impl StagedCopy {
    /// Reads a copy, which may be of an older version.
    ///
    /// # Errors
    /// [`StateError::Unfit`] when the copy is missing, damaged, not ours or newer.
    pub fn read(copy: &Path, now: Timestamp) -> Result<StagedCopy, StateError> {
        let refused = |reason: String| StateError::Unfit {
            path: copy.to_owned(),
            reason,
        };
        match copy.metadata() {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(refused("it is no file".to_owned())),
            Err(error) => return Err(refused(error.to_string())),
        }
        let stage = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let source = Connection::open_with_flags(copy, flags)?;
            configure(&source)?;
            schema::identify(&source, copy)?;
            // A database without a name is a file that is gone with its connection.
            let mut content = Connection::open("")?;
            configure(&content)?;
            let whole = fill(&source, &mut content)?;
            Ok((content, whole))
        };
        let (content, whole) = stage().map_err(|fault: Fault| unfit(copy, fault.at(copy)))?;
        if !whole {
            return Err(refused("another process is writing to it".to_owned()));
        }
        let inventory = check(&content, copy)
            .and_then(|()| Inventory::take(&content))
            .map_err(|fault| unfit(copy, fault.at(copy)))?;
        let settle = || {
            schema::migrate(&content, None, now)?;
            lacks(&content)
        };
        if let Some(table) = settle().map_err(|fault| unfit(copy, fault.at(copy)))? {
            return Err(refused(format!("its table {table} is missing")));
        }
        // What was written since the copy was made is not known to what the copy remembers of
        // targets, and what waited to be told then was told since.
        for stale in [
            "DELETE FROM remembered_targets /* walks: what hangs on them goes with them */",
            "DELETE FROM deliveries WHERE state = 'waiting' /* walks: a copy is put back once */",
        ] {
            content
                .execute(stale, [])
                .map_err(|error| StateError::of_sqlite(copy, error))?;
        }
        Ok(StagedCopy {
            path: copy.to_owned(),
            content,
            inventory,
        })
    }

    /// Says what the copy holds, in the version that it has.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Makes a state database what the copy holds, also where there is none yet or where it is
    /// damaged or newer; returns where what was there is kept: `<file>.before-restore`, or with a
    /// number where earlier ones are.
    ///
    /// Whoever the database has forgotten, and can still tell so, is forgotten in what comes as well.
    ///
    /// Nobody else may use the database; see [`super::Locks::lock_whole`].
    ///
    /// # Errors
    /// A [`StateError`] when the file is not ours or can't be written; then it is as before.
    pub fn put_back(&self, state: &Path, now: Timestamp) -> Result<PutBack, StateError> {
        self.refuse_itself(state)?;
        // A link leads to the file that is meant.
        let state = match state.canonicalize() {
            Ok(linked) if state.is_symlink() => linked,
            _ => state.to_owned(),
        };
        if let Some(mut connection) = open_to_replace(&state)? {
            let forgotten = self.forget_as_in(&connection, &state, now)?;
            let kept = self.replace(&mut connection, &state)?;
            return Ok(PutBack { kept, forgotten });
        }
        let kept = self.put_anew(&state)?;
        // It is in use from here on.
        Store::open(&state, now)?;
        Ok(PutBack {
            kept,
            forgotten: None,
        })
    }

    /// Forgets in the copy whom the database has forgotten; nothing where the database is of a version
    /// that can't be asked.
    fn forget_as_in(
        &self,
        connection: &Connection,
        state: &Path,
        now: Timestamp,
    ) -> Result<Option<usize>, StateError> {
        match schema::identify(connection, state) {
            Ok(Identity::Ours(schema::VERSION)) => {}
            _ => return Ok(None),
        }
        let transaction = self
            .content
            .unchecked_transaction()
            .map_err(|error| StateError::of_sqlite(&self.path, error))?;
        let done = forget::forget_as_in(connection, &transaction, now)
            .and_then(|count| Ok(transaction.commit().map(|()| count)?));
        match done.map_err(|fault| fault.at(state)) {
            Ok(count) => Ok(Some(count)),
            // What is damaged is replaced, whatever it knew.
            Err(StateError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn refuse_itself(&self, state: &Path) -> Result<(), StateError> {
        if same_file(state, &self.path) {
            return Err(StateError::Unfit {
                path: self.path.clone(),
                reason: "it is the state database itself".to_owned(),
            });
        }
        Ok(())
    }

    /// Replaces what an open database holds, in one transaction: whoever reads sees one or the
    /// other.
    fn replace(
        &self,
        connection: &mut Connection,
        state: &Path,
    ) -> Result<Option<PathBuf>, StateError> {
        let is_empty = matches!(schema::identify(connection, state), Ok(Identity::Fresh));
        let kept = (!is_empty).then(|| free_name(state));
        if let Some(kept) = &kept {
            copy_database_anew(connection, kept)?;
        }
        let done = fill(&self.content, connection)
            .map_err(|error| StateError::of_sqlite(state, error))
            .and_then(|whole| {
                let busy = StateError::Busy {
                    path: state.to_owned(),
                };
                if whole { Ok(()) } else { Err(busy) }
            });
        if let (Err(_), Some(kept)) = (&done, &kept) {
            // Nothing has changed, so there is nothing that it stands for.
            fs::remove_file(kept).ok();
        }
        done.map(|()| kept)
    }

    /// Puts the copy where there is no database, or none that can be opened. There is no moment
    /// without one: whoever found none would begin without a memory.
    fn put_anew(&self, state: &Path) -> Result<Option<PathBuf>, StateError> {
        let kept = free_name(state);
        let unwritable = |error: io::Error| StateError::Copy {
            path: kept.clone(),
            reason: error.to_string(),
        };
        let was_there = state.exists();
        if was_there {
            fs::hard_link(state, &kept)
                .or_else(|_| fs::copy(state, &kept).map(|_| ()))
                .map_err(unwritable)?;
        }
        // A log that belongs to what was there would be taken for one of what comes.
        let mut moved = Vec::new();
        let done = COMPANIONS
            .iter()
            .map(|suffix| (beside(state, suffix), beside(&kept, suffix)))
            .filter(|(from, _)| from.exists())
            .try_for_each(|(from, to)| {
                fs::rename(&from, &to).map_err(unwritable)?;
                moved.push((from, to));
                Ok(())
            })
            .and_then(|()| copy_database(&self.content, state));
        if let Err(error) = done {
            for (from, to) in moved {
                fs::rename(to, from).ok();
            }
            if was_there {
                fs::remove_file(&kept).ok();
            }
            return Err(error);
        }
        Ok(was_there.then_some(kept))
    }
}

impl Store {
    /// Replaces everything in this database by what a copy holds, which may be of an older version;
    /// all or nothing.
    ///
    /// What was there before is kept beside the file as `<file>.before-restore`. Other processes
    /// see the new content in their next transaction, so the caller makes sure that no run is
    /// active.
    ///
    /// # Errors
    /// What [`StagedCopy`] says, and nothing is changed.
    pub fn restore_from(&self, copy: &Path, now: Timestamp) -> Result<(), StateError> {
        let staged = StagedCopy::read(copy, now)?;
        let mut connection = self.lock();
        match &self.path {
            Some(own) => {
                staged.refuse_itself(own)?;
                staged.replace(&mut connection, own)?;
            }
            None => {
                fill(&staged.content, &mut connection)
                    .map_err(|error| StateError::of_sqlite(self.path(), error))?;
            }
        }
        Ok(())
    }
}

/// Makes a database what another one holds; tells whether that could be done.
fn fill(from: &Connection, to: &mut Connection) -> rusqlite::Result<bool> {
    let done = Backup::new(from, to)?.step(-1)?;
    Ok(matches!(done, StepResult::Done))
}

/// Refuses what is not ours, newer, empty or damaged.
fn check(content: &Connection, copy: &Path) -> Result<(), Fault> {
    let path = copy.to_owned();
    if schema::identify(content, copy)? == Identity::Fresh {
        return Err(StateError::NotADatabase { path }.into());
    }
    match problems(content)?.into_iter().next() {
        Some(reason) => Err(StateError::Damaged { path, reason }.into()),
        None => Ok(()),
    }
}

/// Finds a table that every database of the current version has and this one has not.
fn lacks(content: &Connection) -> Result<Option<String>, Fault> {
    const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let tables = |connection: &Connection| {
        let mut select = connection.prepare(TABLES)?;
        let names = select.query_map([], |row| row.get(0))?;
        names.collect::<rusqlite::Result<Vec<String>>>()
    };
    let whole = Store::in_memory();
    let (wanted, found) = (tables(&whole.lock())?, tables(content)?);
    Ok(wanted.into_iter().find(|table| !found.contains(table)))
}

/// Says what is wrong with a copy in words for a copy.
fn unfit(copy: &Path, error: StateError) -> StateError {
    let reason = match error {
        StateError::NotADatabase { .. } | StateError::Foreign { .. } => {
            "it is no copy of a state database of rosterd".to_owned()
        }
        StateError::Newer { found, known, .. } => format!(
            "it has schema version {found} and this rosterd knows versions up to {known}; install the newer rosterd first"
        ),
        StateError::Damaged { reason, .. } => {
            format!("it is damaged ({reason}); take another copy")
        }
        StateError::Unreadable { reason, .. } => {
            format!("{reason}; check the rights of this user to it and to its directory")
        }
        StateError::Sqlite { source, .. } => format!("it is damaged ({source}); take another copy"),
        // All that was written is on the disk for temporary files.
        StateError::Full { .. } | StateError::Unwritable { .. } => {
            let directory = spool::directory().unwrap_or(Path::new("/tmp"));
            return StateError::Copy {
                path: directory.to_owned(),
                reason: "it takes no more".to_owned(),
            };
        }
        other => return other,
    };
    StateError::Unfit {
        path: copy.to_owned(),
        reason,
    }
}

/// Opens what a copy is to replace; nothing where there is no file, or one of ours that is too
/// damaged to be opened.
fn open_to_replace(state: &Path) -> Result<Option<Connection>, StateError> {
    let directory = directory_of(state);
    if !directory.is_dir() {
        return Err(StateError::NoDirectory {
            path: state.to_owned(),
            directory: directory.to_owned(),
        });
    }
    if state.is_dir() {
        return Err(StateError::Directory {
            path: state.to_owned(),
        });
    }
    if !state.exists() {
        return Ok(None);
    }
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(state, flags)?;
        configure(&connection)?;
        match schema::identify(&connection, state) {
            // The copy that is kept of a newer one is what the newer rosterd wants back.
            Ok(_) | Err(Fault::State(StateError::Newer { .. })) => {}
            Err(fault) => return Err(fault),
        }
        if connection.is_readonly("main")? {
            let path = state.to_owned();
            return Err(StateError::ReadOnly { path }.into());
        }
        let _: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        Ok(connection)
    };
    match open().map_err(|fault| fault.at(state)) {
        Ok(connection) => Ok(Some(connection)),
        Err(StateError::Damaged { .. }) if says_it_is_ours(state) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Names the file that keeps what was there; what an earlier restore kept stays.
fn free_name(state: &Path) -> PathBuf {
    let taken = |name: &PathBuf| {
        let beside_it = COMPANIONS.iter().map(|suffix| beside(name, suffix));
        beside_it
            .chain([name.clone()])
            .any(|name| name.symlink_metadata().is_ok())
    };
    let mut name = beside(state, ".before-restore");
    let mut number = 1;
    while taken(&name) {
        number += 1;
        name = beside(state, &format!(".before-restore-{number}"));
    }
    name
}
