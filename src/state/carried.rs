//! Values that a provider's objects can't hold, and what a provider's counts may mean.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::Store;
use super::convert::{from_json, word};
use super::error::{Fault, StateError};
use crate::model::{ObjectKind, Record, TotalMeanings};

impl Store {
    /// Returns the carried values of all objects of a kind, by object id, under canonical field
    /// names.
    pub fn carried(
        &self,
        account: &str,
        object: ObjectKind,
    ) -> Result<BTreeMap<String, Record>, StateError> {
        self.read(|connection| {
            let mut carried: BTreeMap<String, Record> = BTreeMap::new();
            let mut select = connection.prepare_cached(
                "SELECT id, field, value FROM carried WHERE account = ?1 AND object = ?2 /* walks: a run loads the base of its job whole */",
            )?;
            let mut rows = select.query((account, object.as_str()))?;
            while let Some(row) = rows.next()? {
                carried
                    .entry(row.get(0)?)
                    .or_default()
                    .insert(row.get::<_, String>(1)?.into(), from_json(row, 2)?);
            }
            Ok(carried)
        })
    }

    /// Returns the carried values of one object, under canonical field names.
    pub fn carried_of(
        &self,
        account: &str,
        object: ObjectKind,
        id: &str,
    ) -> Result<Record, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT field, value FROM carried WHERE account = ?1 AND object = ?2 AND id = ?3",
            )?;
            let rows = select.query_map((account, object.as_str(), id), |row| {
                Ok((row.get::<_, String>(0)?.into(), from_json(row, 1)?))
            })?;
            Ok(rows.collect::<rusqlite::Result<Record>>()?)
        })
    }

    /// Tells whether any object of a kind has carried values.
    pub fn has_carried(&self, account: &str, object: ObjectKind) -> Result<bool, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT 1 FROM carried WHERE account = ?1 AND object = ?2 LIMIT 1 /* walks: no further than the first row */",
            )?;
            Ok(select.exists((account, object.as_str()))?)
        })
    }

    /// Returns the meanings that are left for an account's count of a group; all of them before the
    /// first listing agreed.
    pub fn meanings(&self, account: &str) -> Result<BTreeSet<TotalMeanings>, StateError> {
        self.read(|connection| {
            let mut select = connection
                .prepare_cached("SELECT meaning FROM total_meanings WHERE account = ?1")?;
            let found = select
                .query_map([account], |row| word(row, 0, TotalMeanings::parse))?
                .collect::<rusqlite::Result<BTreeSet<_>>>()?;
            Ok(if found.is_empty() {
                TotalMeanings::all()
            } else {
                found
            })
        })
    }
}

/// Replaces the meanings of an account inside a transaction.
pub(super) fn replace_meanings(
    connection: &Connection,
    account: &str,
    meanings: &BTreeSet<TotalMeanings>,
) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM total_meanings WHERE account = ?1")?
        .execute([account])?;
    let mut insert = connection
        .prepare_cached("INSERT INTO total_meanings (account, meaning) VALUES (?1, ?2)")?;
    for meaning in meanings {
        insert.execute((account, meaning.as_str()))?;
    }
    Ok(())
}
