//! Whole copies of the database, also while it is in use.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::error::StateError;
use super::{Store, configure};

impl Store {
    /// Writes a whole copy of the database to a file, replacing an earlier copy there; writers are not held up.
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
        let reader = Connection::open_with_flags(own, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .and_then(|reader| configure(&reader).map(|()| reader))
            .map_err(|error| StateError::of_sqlite(own, error))?;
        copy_database(&reader, path)
    }
}

/// Copies a whole database into a file, by way of a temporary file beside it.
pub(super) fn copy_database(from: &Connection, to: &Path) -> Result<(), StateError> {
    let directory = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Temporary files are readable by this user only, and the copy keeps that.
    let temporary =
        tempfile::Builder::new().prefix(".rosterd-copy-").tempfile_in(directory).map_err(|error| copy_error(to, &error.to_string()))?;
    write_copy(from, temporary.path()).map_err(|reason| copy_error(to, &reason))?;
    temporary.as_file().sync_all().map_err(|error| copy_error(to, &error.to_string()))?;
    temporary.persist(to).map_err(|error| copy_error(to, &error.error.to_string()))?;
    sync_directory(directory).map_err(|error| copy_error(to, &error.to_string()))
}

fn write_copy(from: &Connection, to: &Path) -> Result<(), String> {
    let mut copy = Connection::open(to).map_err(|error| error.to_string())?;
    let done = Backup::new(from, &mut copy).and_then(|backup| backup.step(-1)).map_err(|error| error.to_string())?;
    if !matches!(done, StepResult::Done) {
        return Err("another process is writing to the database".to_owned());
    }
    // A copy is one file: it must not need a write-ahead log beside it.
    copy.pragma_update(None, "journal_mode", "DELETE").map_err(|error| error.to_string())?;
    copy.close().map_err(|(_, error)| error.to_string())
}

fn copy_error(path: &Path, reason: &str) -> StateError {
    StateError::Copy { path: path.to_owned(), reason: reason.to_owned() }
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
