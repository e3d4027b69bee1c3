//! Where the profiles of a run wait while it compares and applies: a private file that is gone with
//! the run.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension};

use super::convert::{from_json, json};
use super::error::StateError;
use crate::model::{Record, Stage};

/// Profiles by id, on the disk that holds temporary files.
///
/// The file has no name and belongs to this process alone. What memory can hold of it stays in
/// memory.
#[derive(Debug)]
pub struct Staging {
    connection: Mutex<Connection>,
}

impl Staging {
    /// Opens an empty staging table.
    ///
    /// # Errors
    /// [`StateError::Staging`] when no temporary file can be made.
    pub fn new() -> Result<Staging, StateError> {
        let open = || {
            let connection = Connection::open("")?;
            connection.pragma_update(None, "journal_mode", "OFF")?;
            connection.pragma_update(None, "synchronous", "OFF")?;
            // In KiB when negative.
            connection.pragma_update(None, "cache_size", -16_384)?;
            // One transaction for the whole life of the file: nobody else reads it, and nothing of
            // it is kept.
            connection
                .execute_batch("BEGIN; CREATE TABLE rows (id TEXT NOT NULL PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;")?;
            Ok(connection)
        };
        Ok(Staging {
            connection: Mutex::new(open().map_err(staging_error)?),
        })
    }

    /// Returns the profile of an id.
    pub fn get(&self, id: &str) -> Result<Option<Record>, StateError> {
        let connection = self.lock();
        let mut select = connection
            .prepare_cached("SELECT record FROM rows WHERE id = ?1")
            .map_err(staging_error)?;
        select
            .query_row([id], |row| from_json(row, 0))
            .optional()
            .map_err(staging_error)
    }

    /// Calls back with every profile, in ascending order of the id. The callback must not use this
    /// staging table.
    pub fn for_each(&self, mut each: impl FnMut(&str, Record)) -> Result<(), StateError> {
        let connection = self.lock();
        let mut work = || {
            let mut select =
                connection.prepare_cached("SELECT id, record FROM rows ORDER BY id")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                each(row.get_ref(0)?.as_str()?, from_json(row, 1)?);
            }
            Ok(())
        };
        work().map_err(staging_error)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage for Staging {
    fn put(&mut self, id: &str, record: &Record) -> Result<(), String> {
        let connection = self.lock();
        let mut insert = connection
            .prepare_cached("INSERT OR REPLACE INTO rows (id, record) VALUES (?1, ?2)")
            .map_err(|error| error.to_string())?;
        insert
            .execute((id, json(record)))
            .map_err(|error| error.to_string())?;
        Ok(())
    }
}

fn staging_error(error: rusqlite::Error) -> StateError {
    StateError::Staging {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    #[test]
    fn the_last_profile_of_an_id_stands() {
        let mut staging = Staging::new().unwrap();
        let record = |name: &str| {
            Record::from([
                ("first_name".to_owned(), Value::from(name)),
                ("vip".to_owned(), Value::from(true)),
            ])
        };
        staging.put("2", &record("Bo")).unwrap();
        staging.put("1", &record("Ana")).unwrap();
        staging.put("2", &record("Beau")).unwrap();
        assert_eq!(staging.get("2").unwrap(), Some(record("Beau")));
        assert_eq!(staging.get("3").unwrap(), None);
        let mut seen = Vec::new();
        staging
            .for_each(|id, record| seen.push((id.to_owned(), record)))
            .unwrap();
        assert_eq!(
            seen,
            [
                ("1".to_owned(), record("Ana")),
                ("2".to_owned(), record("Beau"))
            ]
        );
    }

    #[test]
    fn a_staging_table_grows_beyond_its_cache() {
        let mut staging = Staging::new().unwrap();
        let long = "x".repeat(2000);
        for number in 0..20_000 {
            staging
                .put(
                    &number.to_string(),
                    &Record::from([("notes".to_owned(), Value::from(format!("{number}{long}")))]),
                )
                .unwrap();
        }
        let record = staging.get("7").unwrap().unwrap();
        assert_eq!(record["notes"].as_text().map(str::len), Some(2001));
        let mut count = 0;
        staging.for_each(|_, _| count += 1).unwrap();
        assert_eq!(count, 20_000);
    }
}
