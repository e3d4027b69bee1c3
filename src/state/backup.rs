//! Whole copies of the database, also while it is in use.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::error::{Fault, StateError};
use super::schema::{self, Identity};
use super::{Store, configure};

impl Store {
    /// Writes a whole copy of the database to a file, replacing an earlier copy there; writers are
    /// not held up.
    ///
    /// The copy appears under its name only when it is whole.
    ///
    /// # Errors
    /// [`StateError::Copy`] when the file can't be written, or is the database itself.
    pub fn backup_to(&self, path: &Path) -> Result<(), StateError> {
        let Some(own) = &self.path else {
            return copy_database(&self.lock(), path);
        };
        if same_file(own, path) {
            return Err(copy_error(path, "this is the database itself"));
        }
        // A connection of its own: one long read in WAL mode stands beside any number of writes.
        let reader = Connection::open_with_flags(
            own,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .and_then(|reader| configure(&reader).map(|()| reader))
        .map_err(|error| StateError::of_sqlite(own, error))?;
        copy_database(&reader, path)
    }

    /// Replaces everything in this database by what a copy holds, which may be of an older version;
    /// all or nothing.
    ///
    /// What was there before is kept beside the file as `<file>.before-restore`. Other processes
    /// see the new content in their next transaction, so the caller makes sure that no run is
    /// active.
    ///
    /// # Errors
    /// A [`StateError`] when the copy is missing, damaged, not ours or newer, and nothing is
    /// changed.
    pub fn restore_from(&self, copy: &Path, now: Timestamp) -> Result<(), StateError> {
        if !copy.is_file() {
            return Err(StateError::Unreadable {
                path: copy.to_owned(),
                reason: "there is no such file".to_owned(),
            });
        }
        let source = Connection::open_with_flags(
            copy,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .and_then(|source| configure(&source).map(|()| source))
        .map_err(|error| StateError::of_sqlite(copy, error))?;
        check_copy(&source, copy).map_err(|fault| fault.at(copy))?;
        let mut connection = self.lock();
        if let Some(own) = &self.path {
            if same_file(own, copy) {
                return Err(copy_error(copy, "this is the database itself"));
            }
            copy_database(&connection, &beside(own, ".before-restore"))?;
        }
        let done = Backup::new(&source, &mut connection)
            .and_then(|backup| backup.step(-1))
            .map_err(|error| StateError::of_sqlite(self.path(), error))?;
        if !matches!(done, StepResult::Done) {
            return Err(StateError::Busy {
                path: self.path().to_owned(),
            });
        }
        schema::migrate(&connection, self.path.as_deref(), now)
            .map_err(|fault| fault.at(self.path()))?;
        // What was written since the copy was made is not known to what the copy remembers of
        // targets.
        connection
            .execute(
                "DELETE FROM remembered_targets /* walks: what hangs on them goes with them */",
                [],
            )
            .map_err(|error| StateError::of_sqlite(self.path(), error))?;
        Ok(())
    }
}

/// Refuses a copy that is not ours, newer, empty or damaged.
fn check_copy(copy: &Connection, path: &Path) -> Result<(), Fault> {
    if schema::identify(copy, path)? == Identity::Fresh {
        return Err(StateError::NotADatabase {
            path: path.to_owned(),
        }
        .into());
    }
    match problems(copy)?.into_iter().next() {
        Some(reason) => Err(StateError::Damaged {
            path: path.to_owned(),
            reason,
        }
        .into()),
        None => Ok(()),
    }
}

/// Checks a whole database and returns what is wrong with it.
pub(super) fn problems(connection: &Connection) -> Result<Vec<String>, Fault> {
    let mut found = Vec::new();
    let mut check = connection.prepare("PRAGMA integrity_check")?;
    for line in check.query_map([], |row| row.get::<_, String>(0))? {
        let line = line?;
        if line != "ok" {
            found.push(line);
        }
    }
    let mut check = connection.prepare("PRAGMA foreign_key_check")?;
    for table in check.query_map([], |row| row.get::<_, String>(0))? {
        found.push(format!(
            "a row of {} refers to a row that is missing",
            table?
        ));
    }
    Ok(found)
}

/// Copies a whole database into a file, by way of a temporary file beside it.
pub(super) fn copy_database(from: &Connection, to: &Path) -> Result<(), StateError> {
    let directory = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Temporary files are readable by this user only, and the copy keeps that.
    let temporary = tempfile::Builder::new()
        .prefix(".rosterd-copy-")
        .tempfile_in(directory)
        .map_err(|error| copy_error(to, &error.to_string()))?;
    write_copy(from, temporary.path()).map_err(|reason| copy_error(to, &reason))?;
    temporary
        .as_file()
        .sync_all()
        .map_err(|error| copy_error(to, &error.to_string()))?;
    temporary
        .persist(to)
        .map_err(|error| copy_error(to, &error.error.to_string()))?;
    sync_directory(directory).map_err(|error| copy_error(to, &error.to_string()))
}

fn write_copy(from: &Connection, to: &Path) -> Result<(), String> {
    let mut copy = Connection::open(to).map_err(|error| error.to_string())?;
    let done = Backup::new(from, &mut copy)
        .and_then(|backup| backup.step(-1))
        .map_err(|error| error.to_string())?;
    if !matches!(done, StepResult::Done) {
        return Err("another process is writing to the database".to_owned());
    }
    // A copy is one file: it must not need a write-ahead log beside it.
    copy.pragma_update(None, "journal_mode", "DELETE")
        .map_err(|error| error.to_string())?;
    copy.close().map_err(|(_, error)| error.to_string())
}

fn copy_error(path: &Path, reason: &str) -> StateError {
    StateError::Copy {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Creates an empty file that only this user can read, unless there is one already.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Names a file beside another one.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
