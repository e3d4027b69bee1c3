//! Whose file it is, which version it has, and how it becomes the current one.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::backup::{beside, copy_database};
use super::convert::stamp;
use super::error::{Fault, StateError};

/// The mark of our files in SQLite's header: "rstd".
pub(super) const APPLICATION_ID: i64 = 0x7273_7464;

/// The steps from an empty file to the current schema, in order; a step is never changed once
/// released.
const STEPS: [&str; 4] = [
    include_str!("schema/001_start.sql"),
    include_str!("schema/002_remembered.sql"),
    include_str!("schema/003_held_bars.sql"),
    include_str!("schema/004_own_removals.sql"),
];

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
    let number = |pragma: &str| {
        connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0))
    };
    let application = number("application_id")?;
    let version = number("user_version")?;
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && version == 0 && objects == 0 {
        return Ok(Identity::Fresh);
    }
    if application != APPLICATION_ID {
        return Err(StateError::Foreign {
            path: path.to_owned(),
        }
        .into());
    }
    if version > VERSION {
        return Err(StateError::Newer {
            path: path.to_owned(),
            found: version,
            known: VERSION,
        }
        .into());
    }
    Ok(Identity::Ours(version))
}

/// Brings the file to the current version, after a copy of it was kept.
pub(super) fn migrate(
    connection: &Connection,
    path: Option<&Path>,
    now: Timestamp,
) -> Result<(), Fault> {
    migrate_by(connection, path, now, &STEPS)
}

fn migrate_by(
    connection: &Connection,
    path: Option<&Path>,
    now: Timestamp,
    steps: &[&str],
) -> Result<(), Fault> {
    let newest = steps.len();
    let shown = path.unwrap_or(Path::new(":memory:"));
    let version_of = |identity| match identity {
        Identity::Ours(version) => usize::try_from(version).unwrap_or_default(),
        Identity::Fresh => 0,
    };
    let found = version_of(identify(connection, shown)?);
    if found == newest {
        return Ok(());
    }
    if let Some(path) = path
        && found > 0
    {
        copy_database(connection, &beside(path, &format!(".before-{newest}")))?;
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Another process may have been faster between the look and the lock.
    let from = version_of(identify(&transaction, shown)?);
    for (version, step) in steps.iter().enumerate().skip(from) {
        transaction.execute_batch(step)?;
        transaction.execute(
            "INSERT INTO migrations (version, applied) VALUES (?1, ?2)",
            (version as i64 + 1, stamp(now)),
        )?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", newest as i64)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_an_older_file_remembers_are_not_held() {
        let connection = Connection::open_in_memory().unwrap();
        migrate_by(&connection, None, Timestamp::UNIX_EPOCH, &STEPS[..2]).unwrap();
        connection
            .execute(
                "INSERT INTO bars VALUES ('mail', '', 'ana@example.org', 'listing')",
                [],
            )
            .unwrap();
        migrate_by(&connection, None, Timestamp::UNIX_EPOCH, &STEPS).unwrap();
        let held: bool = connection
            .query_row("SELECT held FROM bars", [], |row| row.get(0))
            .unwrap();
        assert!(!held);
    }

    #[test]
    fn a_copy_is_kept_before_an_older_file_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rosterd.db");
        let connection = Connection::open(&path).unwrap();
        let _: String = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            .unwrap();
        migrate_by(&connection, Some(&path), Timestamp::UNIX_EPOCH, &STEPS[..1]).unwrap();
        assert!(
            !beside(&path, ".before-1").exists(),
            "there is nothing to keep of an empty file"
        );
        connection
            .execute("INSERT INTO jobs (name) VALUES ('nightly')", [])
            .unwrap();
        let steps = [
            &STEPS[..],
            &["ALTER TABLE jobs ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue';"],
        ]
        .concat();
        let newest = steps.len() as i64;

        let broken = [&steps[..], &["ALTER TABLE nothing ADD COLUMN x TEXT;"]].concat();
        migrate_by(&connection, Some(&path), Timestamp::UNIX_EPOCH, &broken).unwrap_err();
        assert_eq!(
            identify(&connection, &path).unwrap(),
            Identity::Ours(1),
            "a step that fails takes the others back"
        );

        migrate_by(&connection, Some(&path), Timestamp::UNIX_EPOCH, &steps).unwrap();
        let colour: String = connection
            .query_row("SELECT colour FROM jobs", [], |row| row.get(0))
            .unwrap();
        assert_eq!(colour, "blue");
        assert!(
            matches!(identify(&connection, &path), Err(Fault::State(StateError::Newer { found, .. })) if found == newest)
        );

        let kept = beside(&path, &format!(".before-{newest}"));
        assert!(!beside(&kept, "-wal").exists(), "a copy is one file");
        let kept = Connection::open(&kept).unwrap();
        assert_eq!(identify(&kept, &path).unwrap(), Identity::Ours(1));
        let jobs: i64 = kept
            .query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
            .unwrap();
        assert_eq!(jobs, 1);
    }
}
