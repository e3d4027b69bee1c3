//! Whose file it is, which version it has, and how it becomes the current one.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::backup::{beside, copy_database};
use super::convert::stamp;
use super::error::{Fault, StateError};

/// The mark of our files in SQLite's header: "rstd".
pub(super) const APPLICATION_ID: i64 = 0x7273_7464;

/// The steps from an empty file to the current schema, in order; a step is never changed once released.
const STEPS: [&str; 1] = [include_str!("schema/001_start.sql")];

/// The version of the current schema.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// An empty file.
    Fresh,
    /// Ours, with this version.
    Ours(i64),
}

/// Looks whose file it is, without changing it.
pub(super) fn identify(connection: &Connection, path: &Path) -> Result<Identity, Fault> {
    let number = |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    let application = number("application_id")?;
    let version = number("user_version")?;
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && version == 0 && objects == 0 {
        return Ok(Identity::Fresh);
    }
    if application != APPLICATION_ID {
        return Err(StateError::Foreign { path: path.to_owned() }.into());
    }
    if version > VERSION {
        return Err(StateError::Newer { path: path.to_owned(), found: version, known: VERSION }.into());
    }
    Ok(Identity::Ours(version))
}

/// Brings the file to the current version, after a copy of it was kept.
pub(super) fn migrate(connection: &Connection, path: Option<&Path>, now: Timestamp) -> Result<(), Fault> {
    let shown = path.unwrap_or(Path::new(":memory:"));
    let found = match identify(connection, shown)? {
        Identity::Ours(version) if version == VERSION => return Ok(()),
        Identity::Ours(version) => version,
        Identity::Fresh => 0,
    };
    if let Some(path) = path
        && found > 0
    {
        copy_database(connection, &beside(path, &format!(".before-{VERSION}")))?;
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Another process may have been faster between the look and the lock.
    let from = match identify(&transaction, shown)? {
        Identity::Ours(version) => version,
        Identity::Fresh => 0,
    };
    for version in from..VERSION {
        transaction.execute_batch(STEPS[usize::try_from(version).expect("a version is not negative")])?;
        transaction.execute("INSERT INTO migrations (version, applied) VALUES (?1, ?2)", (version + 1, stamp(now)))?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}
