//! Whole copies of the database, also while it is in use.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tempfile::NamedTempFile;

use super::error::{Fault, StateError};
use super::inventory::Inventory;
use super::schema::{self, APPLICATION_ID, Identity};
use super::{Store, configure};

/// What SQLite keeps beside a file that is in use, or that was left in the middle of a change. A
/// file that comes to stand beside one of another's would be damaged by it.
pub(super) const COMPANIONS: [&str; 2] = ["-wal", "-journal"];

impl Store {
    /// Copies the state database at a path into a file, also while it is in use; nothing where there
    /// is no database yet. One of an older version is copied as it is.
    ///
    /// # Errors
    /// What [`Store::backup_to`] says, and a database that can't be read.
    pub fn back_up(own: &Path, to: &Path) -> Result<Option<Inventory>, StateError> {
        let Some(reader) = open_to_read(own)? else {
            return Ok(None);
        };
        if same_file(own, to) {
            return Err(StateError::CopyPlace {
                path: to.to_owned(),
                reason: "it is the database itself; name another file".to_owned(),
            });
        }
        // One long read in WAL mode stands beside any number of writes.
        copy_checked(&reader, own, to).map(Some)
    }

    /// Writes a whole copy of the database to a file, replacing an earlier copy there and nothing
    /// else; writers are not held up.
    ///
    /// The copy appears under its name only when it is whole and was checked.
    ///
    /// # Errors
    /// [`StateError::CopyPlace`] where no copy may be written, [`StateError::Copy`] when it can't be,
    /// and [`StateError::Damaged`] when what was copied is not whole.
    pub fn backup_to(&self, path: &Path) -> Result<Inventory, StateError> {
        match &self.path {
            None => copy_checked(&self.lock(), self.path(), path),
            Some(own) => Store::back_up(own, path)?.ok_or_else(|| StateError::Unreadable {
                path: own.clone(),
                reason: "the file is gone".to_owned(),
            }),
        }
    }
}

/// Finds the other files of ours beside a state database: copies that were made of it or of another
/// one.
///
/// # Errors
/// When the directory can't be read.
pub fn copies_beside(state: &Path) -> io::Result<Vec<PathBuf>> {
    let mut copies = Vec::new();
    for entry in directory_of(state).read_dir()? {
        let path = entry?.path();
        if path.is_file() && !same_file(&path, state) && says_it_is_ours(&path) {
            copies.push(path);
        }
    }
    copies.sort();
    Ok(copies)
}

/// Opens a database of ours for reading, whichever version it has; nothing where there is none.
pub(super) fn open_to_read(path: &Path) -> Result<Option<Connection>, StateError> {
    if path.is_dir() {
        return Err(StateError::Directory {
            path: path.to_owned(),
        });
    }
    let exists = path.try_exists().map_err(|error| StateError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    if !exists {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let reader = Connection::open_with_flags(path, flags)?;
        configure(&reader)?;
        let identity = schema::identify(&reader, path)?;
        Ok((identity != Identity::Fresh).then_some(reader))
    };
    open().map_err(|fault| match fault {
        // Also who only reads it has to write beside it.
        Fault::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
            let path = path.to_owned();
            StateError::ReadOnly { path }
        }
        fault => fault.at(path),
    })
}

/// Copies a database to where a copy may be, and checks what came of it.
fn copy_checked(from: &Connection, own: &Path, to: &Path) -> Result<Inventory, StateError> {
    let (to, replaces) = place_for_copy(to)?;
    let temporary = write_beside(from, &to)?;
    let check = || {
        let copy = Connection::open_with_flags(
            temporary.path(),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        Ok((problems(&copy)?, Inventory::take(&copy)?))
    };
    let (problems, inventory) = check().map_err(|fault: Fault| fault.at(own))?;
    if let Some(reason) = problems.into_iter().next() {
        return Err(StateError::Damaged {
            path: own.to_owned(),
            reason,
        });
    }
    if replaces {
        put(temporary, &to)?;
    } else {
        put_new(temporary, &to)?;
    }
    Ok(inventory)
}

/// Finds where a copy is to be written, and tells whether an earlier one is there.
fn place_for_copy(to: &Path) -> Result<(PathBuf, bool), StateError> {
    let refused = |reason: String| {
        Err(StateError::CopyPlace {
            path: to.to_owned(),
            reason,
        })
    };
    let directory = directory_of(to);
    if !directory.is_dir() {
        let missing = directory.display();
        return refused(format!(
            "there is no directory {missing}; make it, or name another file"
        ));
    }
    for suffix in COMPANIONS {
        let companion = beside(to, suffix);
        if companion.exists() {
            let companion = companion.display();
            return refused(format!(
                "{companion} is there, which belongs to a database in use; name another file"
            ));
        }
    }
    match to.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((to.to_owned(), false)),
        Err(error) => refused(format!("{error}; name another file")),
        Ok(metadata) if metadata.is_dir() => {
            refused("it is a directory; name a file in it".to_owned())
        }
        // Nothing is lost of a file that holds nothing. A link leads to the file that is meant.
        Ok(metadata) if metadata.is_file() && (metadata.len() == 0 || is_copy(to)) => {
            Ok((to.canonicalize().unwrap_or_else(|_| to.to_owned()), true))
        }
        Ok(_) => refused(
            "it exists and is no earlier copy of a state database, so it is left as it is; name another file"
                .to_owned(),
        ),
    }
}

/// Tells whether a file is a copy, and not a database that somebody uses: that one would have a
/// write-ahead log.
fn is_copy(path: &Path) -> bool {
    header(path).is_ok_and(|header| is_ours(&header) && header[18..20] == [1, 1])
}

/// Tells whether a file says of itself that it is ours, in whatever state the rest of it is.
pub(super) fn says_it_is_ours(path: &Path) -> bool {
    header(path).is_ok_and(|header| is_ours(&header))
}

fn is_ours(header: &[u8; 100]) -> bool {
    let application = i64::from(u32::from_be_bytes([
        header[68], header[69], header[70], header[71],
    ]));
    header.starts_with(b"SQLite format 3\0") && application == APPLICATION_ID
}

/// Reads the header that every database of SQLite begins with.
fn header(path: &Path) -> io::Result<[u8; 100]> {
    let mut header = [0; 100];
    File::open(path)?.read_exact(&mut header)?;
    Ok(header)
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

/// Copies a whole database into a file, by way of a temporary file beside it, over what is there.
pub(super) fn copy_database(from: &Connection, to: &Path) -> Result<(), StateError> {
    put(write_beside(from, to)?, to)
}

/// The same, where nothing is there yet.
pub(super) fn copy_database_anew(from: &Connection, to: &Path) -> Result<(), StateError> {
    put_new(write_beside(from, to)?, to)
}

fn write_beside(from: &Connection, to: &Path) -> Result<NamedTempFile, StateError> {
    let directory = directory_of(to);
    // Temporary files are readable by this user only, and the copy keeps that.
    let temporary = tempfile::Builder::new()
        .prefix(".rosterd-copy-")
        .tempfile_in(directory)
        .map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StateError::CopyPlace {
                path: to.to_owned(),
                reason: format!(
                    "this user may not write to the directory {}; give it write access, or name another file",
                    directory.display()
                ),
            },
            _ => copy_error(to, &error),
        })?;
    write_copy(from, temporary.path()).map_err(|reason| StateError::Copy {
        path: to.to_owned(),
        reason,
    })?;
    temporary
        .as_file()
        .sync_all()
        .map_err(|error| copy_error(to, &error))?;
    Ok(temporary)
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

/// Gives a copy its name, over what is there.
fn put(temporary: NamedTempFile, to: &Path) -> Result<(), StateError> {
    temporary
        .persist(to)
        .map_err(|error| copy_error(to, &error.error))?;
    sync_directory(directory_of(to)).map_err(|error| copy_error(to, &error))
}

/// Gives a copy its name, which nobody may have taken meanwhile.
fn put_new(temporary: NamedTempFile, to: &Path) -> Result<(), StateError> {
    match temporary.persist_noclobber(to) {
        Ok(_) => sync_directory(directory_of(to)).map_err(|error| copy_error(to, &error)),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            Err(StateError::CopyPlace {
                path: to.to_owned(),
                reason: "another file took that name just now, and is left as it is".to_owned(),
            })
        }
        // Not every file system can tell.
        Err(error) => put(error.file, to),
    }
}

fn copy_error(path: &Path, error: &io::Error) -> StateError {
    StateError::Copy {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

/// Returns the directory in which a file is or would be.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(super) fn same_file(one: &Path, other: &Path) -> bool {
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
