//! The numbers by which ids and addresses stand in the tables that grow with an account.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension};

use super::error::Fault;
use super::jobs;
use super::packed::{put_field, take_field};
use crate::model::packed::{Damaged, Unpacking, put_number};
use crate::model::{Name, Names};
use crate::plan::base::FieldBases;

/// The longest id that is taken for a number, so that it fits into the column.
const MOST_DIGITS: usize = 18;

/// How many texts are kept in memory with their numbers.
const MOST_KNOWN: usize = 65_536;

/// The number of a text. An id that is written as a number, without leading zeros and in no more
/// digits than fit, is that number, as nearly every one of the three providers is; any other text has a row in `texts`, and its number is that row's
/// below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(i64);

impl Key {
    /// Returns the number of an id that is written as one: whoever writes the number gets the same
    /// text again.
    fn of_number(text: &str) -> Option<Key> {
        let plain = (1..=MOST_DIGITS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'));
        plain.then(|| text.parse().ok().map(Key)).flatten()
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Key {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Key)
    }
}

/// Finds the number of a text; nothing where the text stands in no table.
pub(super) fn find(connection: &Connection, text: &str) -> Result<Option<Key>, Fault> {
    if let Some(key) = Key::of_number(text) {
        return Ok(Some(key));
    }
    let mut select = connection.prepare_cached("SELECT id FROM texts WHERE text = ?1")?;
    let row = select.query_row([text], |row| row.get::<_, i64>(0));
    Ok(row.optional()?.map(|id| Key(-id)))
}

/// Removes the texts whose number no row has any more, or the given one of them.
pub(super) fn sweep(connection: &Connection, only: Option<&str>) -> Result<usize, Fault> {
    Ok(connection.execute(
        "DELETE FROM texts WHERE (?1 IS NULL OR text = ?1) AND -id NOT IN (
             SELECT source FROM member_links UNION ALL SELECT target FROM member_links UNION ALL SELECT address FROM member_links
             UNION ALL SELECT source FROM former_links UNION ALL SELECT target FROM former_links
             UNION ALL SELECT address FROM former_links
             UNION ALL SELECT group_id FROM memberships UNION ALL SELECT member FROM memberships
             UNION ALL SELECT group_id FROM past_memberships UNION ALL SELECT member FROM past_memberships
             UNION ALL SELECT address FROM past_memberships WHERE address IS NOT NULL
             UNION ALL SELECT run FROM run_items UNION ALL SELECT op FROM run_items UNION ALL SELECT outcome FROM run_items
             UNION ALL SELECT group_id FROM run_items WHERE group_id IS NOT NULL
             UNION ALL SELECT member FROM run_items WHERE member IS NOT NULL
             UNION ALL SELECT reason FROM run_items WHERE reason IS NOT NULL
             UNION ALL SELECT target_group FROM run_items WHERE target_group IS NOT NULL
             UNION ALL SELECT target_member FROM run_items WHERE target_member IS NOT NULL
             UNION ALL SELECT id FROM remembered_members
             UNION ALL SELECT address FROM remembered_members WHERE address IS NOT NULL
             UNION ALL SELECT address FROM remembered_absent
         ) /* walks: somebody is forgotten once, and history is pruned once a day */",
        [only],
    )?)
}

/// Numbers the texts of one transaction.
pub(super) struct Keys<'a> {
    pub(super) connection: &'a Connection,
    job: Option<(String, i64)>,
    known: HashMap<String, Key>,
    fields: HashMap<String, u64>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(connection: &'a Connection) -> Keys<'a> {
        Keys {
            connection,
            job: None,
            known: HashMap::new(),
            fields: HashMap::new(),
        }
    }

    /// Returns the number of a job, taking it down when it is new.
    pub(super) fn job(&mut self, name: &str) -> Result<i64, Fault> {
        match &self.job {
            Some((known, id)) if known == name => Ok(*id),
            _ => {
                jobs::ensure(self.connection, name)?;
                let id = jobs::id_of(self.connection, name)?.unwrap_or_default();
                self.job = Some((name.to_owned(), id));
                Ok(id)
            }
        }
    }

    /// Returns the number of a text, taking it down when it is new.
    pub(super) fn key(&mut self, text: &str) -> Result<Key, Fault> {
        if let Some(key) = Key::of_number(text) {
            return Ok(key);
        }
        if let Some(key) = self.known.get(text) {
            return Ok(*key);
        }
        let key = match find(self.connection, text)? {
            Some(key) => key,
            None => Key(-self
                .connection
                .prepare_cached("INSERT INTO texts (text) VALUES (?1)")?
                .insert([text])?),
        };
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert(text.to_owned(), key);
        Ok(key)
    }

    /// Returns the number of a text that may be missing.
    pub(super) fn optional(&mut self, text: Option<&str>) -> Result<Option<Key>, Fault> {
        text.map(|text| self.key(text)).transpose()
    }

    /// Packs the fields of an object.
    pub(super) fn pack(&mut self, fields: &FieldBases) -> Result<Vec<u8>, Fault> {
        let mut packed = Vec::new();
        for (name, field) in fields {
            put_number(&mut packed, self.field(name)?);
            put_field(&mut packed, field);
        }
        Ok(packed)
    }

    fn field(&mut self, name: &str) -> Result<u64, Fault> {
        if let Some(known) = self.fields.get(name) {
            return Ok(*known);
        }
        let mut select = self
            .connection
            .prepare_cached("SELECT id FROM field_names WHERE name = ?1")?;
        let number = match select.query_row([name], |row| row.get(0)).optional()? {
            Some(number) => number,
            None => self
                .connection
                .prepare_cached("INSERT INTO field_names (name) VALUES (?1)")?
                .insert([name])?,
        };
        self.fields.insert(name.to_owned(), number.unsigned_abs());
        Ok(number.unsigned_abs())
    }
}

/// Gives numbers their texts back.
pub(super) struct Texts<'a> {
    connection: &'a Connection,
    known: HashMap<Key, String>,
    fields: HashMap<u64, String>,
    digits: String,
}

impl<'a> Texts<'a> {
    pub(super) fn new(connection: &'a Connection) -> Texts<'a> {
        Texts {
            connection,
            known: HashMap::new(),
            fields: HashMap::new(),
            digits: String::new(),
        }
    }

    /// Returns the text of a number.
    ///
    /// # Errors
    /// The text is not there, which only a damaged file can be the reason of.
    pub(super) fn of(&mut self, key: Key) -> Result<&str, Fault> {
        if key.0 >= 0 {
            self.digits.clear();
            write!(self.digits, "{}", key.0).expect("a text takes digits");
            return Ok(&self.digits);
        }
        if !self.known.contains_key(&key) {
            let mut select = self
                .connection
                .prepare_cached("SELECT text FROM texts WHERE id = ?1")?;
            let text = select.query_row([-key.0], |row| row.get(0));
            let text = text.optional()?.ok_or_else(|| damaged(Damaged))?;
            self.known.insert(key, text);
        }
        Ok(&self.known[&key])
    }

    /// Returns the text of a number that may be missing.
    pub(super) fn optional(&mut self, key: Option<Key>) -> Result<Option<String>, Fault> {
        key.map(|key| self.of(key).map(str::to_owned)).transpose()
    }

    /// Returns the name of a number's text.
    pub(super) fn intern(&mut self, key: Key, names: &mut Names) -> Result<Name, Fault> {
        Ok(names.intern(self.of(key)?))
    }

    /// Unpacks the fields of an object.
    pub(super) fn unpack(&mut self, packed: &[u8]) -> Result<FieldBases, Fault> {
        let mut packed = Unpacking(packed);
        let mut fields = FieldBases::new();
        while !packed.is_done() {
            let name = packed.number().map_err(damaged)?;
            let field = take_field(&mut packed).map_err(damaged)?;
            fields.insert(self.field(name)?.into(), field);
        }
        Ok(fields)
    }

    fn field(&mut self, number: u64) -> Result<&str, Fault> {
        if let Entry::Vacant(new) = self.fields.entry(number) {
            let mut select = self
                .connection
                .prepare_cached("SELECT name FROM field_names WHERE id = ?1")?;
            new.insert(select.query_row([number.cast_signed()], |row| row.get(0))?);
        }
        Ok(&self.fields[&number])
    }
}

fn damaged(damage: Damaged) -> Fault {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(damage)).into()
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn whatever_has_a_number_has_its_own_text_back() {
        let store = Store::in_memory();
        let connection = store.lock();
        let odd = [
            "",
            "0",
            "7",
            "007",
            "-1",
            "+1",
            "1e3",
            " 1",
            "1 ",
            "٣",
            "ana@example.org",
        ];
        let long = [
            "999999999999999999",
            "1000000000000000000",
            "9223372036854775808",
        ];
        let mut seen = std::collections::HashSet::new();
        for text in odd.into_iter().chain(long) {
            assert_eq!(
                find(&connection, text).unwrap().is_some(),
                Key::of_number(text).is_some(),
                "{text}"
            );
            let key = Keys::new(&connection).key(text).unwrap();
            assert!(seen.insert(key), "{text} has the number of another text");
            assert_eq!(Keys::new(&connection).key(text).unwrap(), key, "{text}");
            assert_eq!(find(&connection, text).unwrap(), Some(key));
            assert_eq!(Texts::new(&connection).of(key).unwrap(), text);
        }
        assert!(Key::of_number("999999999999999999").is_some_and(|key| key.0 > 0));
        assert!(Texts::new(&connection).of(Key(-99)).is_err());
    }
}
