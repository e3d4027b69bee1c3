//! Between the program's types and the columns.

use std::error::Error;

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::Value;
use crate::plan::base::{FieldBase, FieldBases};

/// Writes a time with nine digits after the second, so that the order of the texts is the order of
/// the times.
pub(super) fn stamp(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// Reads a time.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|error: jiff::Error| unreadable(column, error))
}

/// Reads a time that may be missing.
pub(super) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| {
        text.parse()
            .map_err(|error: jiff::Error| unreadable(column, error))
    })
    .transpose()
}

/// Writes a value as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("stored types have text keys and no failing parts")
}

/// Reads a value from JSON.
pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

/// Reads one of a few words.
pub(super) fn word<T>(
    row: &Row<'_>,
    column: usize,
    parse: fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| unreadable(column, UnknownWord(text)))
}

#[derive(Debug, thiserror::Error)]
#[error("the word \"{0}\" is not known")]
struct UnknownWord(String);

fn unreadable(column: usize, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

#[derive(Serialize, Deserialize)]
struct StoredField {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    desired: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Value>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    written: bool,
}

/// Writes the fields of an object as JSON.
pub(super) fn fields_to_json(fields: &FieldBases) -> String {
    let stored: std::collections::BTreeMap<&str, StoredField> = fields
        .iter()
        .map(|(name, base)| {
            (
                name.as_str(),
                StoredField {
                    desired: base.desired.clone(),
                    target: base.target.clone(),
                    written: base.written,
                },
            )
        })
        .collect();
    json(&stored)
}

/// Reads the fields of an object.
pub(super) fn fields_from_json(row: &Row<'_>, column: usize) -> rusqlite::Result<FieldBases> {
    let stored: std::collections::BTreeMap<String, StoredField> = from_json(row, column)?;
    Ok(stored
        .into_iter()
        .map(|(name, field)| {
            (
                name.into(),
                FieldBase {
                    desired: field.desired,
                    target: field.target,
                    written: field.written,
                },
            )
        })
        .collect())
}

/// Writes a count; what exceeds the column is cut to the largest number.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a count that may be missing.
pub(super) fn optional_count(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    number
        .map(|number| u64::try_from(number).map_err(|error| unreadable(column, error)))
        .transpose()
}
