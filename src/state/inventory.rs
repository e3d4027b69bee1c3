//! What a database holds in a few numbers, by which a person tells one copy from another.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;

use super::Store;
use super::backup::open_to_read;
use super::convert::optional_time;
use super::error::{Fault, StateError};

/// What a state database, or a copy of one, holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Its size in bytes.
    pub bytes: u64,
    /// The version of its schema.
    pub schema: i64,
    /// The names of the jobs that it knows.
    pub jobs: Vec<String>,
    /// How many runs are in its history.
    pub runs: u64,
    /// When the newest of them began.
    pub last_run: Option<Timestamp>,
    /// How many requests it knows no outcome of.
    pub unsettled: u64,
}

impl Store {
    /// Says what a state database holds, whichever version it has; nothing where there is none.
    ///
    /// # Errors
    /// A [`StateError`] when the file belongs to another program or a newer version, or can't be
    /// read.
    pub fn inventory(path: &Path) -> Result<Option<Inventory>, StateError> {
        open_to_read(path)?
            .map(|reader| Inventory::take(&reader))
            .transpose()
            .map_err(|fault| fault.at(path))
    }
}

impl Inventory {
    /// Asks for nothing but what every version has.
    pub(super) fn take(connection: &Connection) -> Result<Inventory, Fault> {
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let (pages, page_size) = (number("PRAGMA page_count")?, number("PRAGMA page_size")?);
        let mut jobs = connection.prepare("SELECT name FROM jobs ORDER BY name")?;
        let jobs = jobs.query_map([], |row| row.get(0))?;
        Ok(Inventory {
            bytes: (pages * page_size) as u64,
            schema: number("PRAGMA user_version")?,
            jobs: jobs.collect::<rusqlite::Result<_>>()?,
            runs: number("SELECT count(*) FROM runs /* walks: once per copy */")? as u64,
            last_run: connection.query_row(
                "SELECT max(started) FROM runs /* walks: once per copy */",
                [],
                |row| optional_time(row, 0),
            )?,
            unsettled: number(
                "SELECT count(*) FROM journal WHERE settled IS NULL /* walks: once per copy */",
            )? as u64,
        })
    }
}
