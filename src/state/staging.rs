//! Where the profiles of a run wait while it compares and applies: a private file that is gone with
//! the run.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use compact_str::CompactString;
use tempfile::SpooledTempFile;

use super::error::StateError;
use super::packed::{Damaged, Unpacking, put_number, put_text, put_value};
use crate::model::{Record, Stage};
use crate::spool;

/// Bytes that stay in memory; more go to the disk that holds temporary files.
const IN_MEMORY: usize = 16 * 1024 * 1024;

/// Bytes that are written at once.
const AT_ONCE: usize = 64 * 1024;

/// Profiles by id, on the disk that holds temporary files.
///
/// The file has no name and belongs to this process alone, and is only ever added to: memory holds
/// where each profile stands. What memory can hold of the file stays in memory.
#[derive(Debug)]
pub struct Staging(Mutex<Staged>);

#[derive(Debug)]
struct Staged {
    file: SpooledTempFile,
    /// How many bytes of the file are written; `tail` comes after them.
    written: u64,
    tail: Vec<u8>,
    /// Where the last row of each id stands, by the hash of the id or, where two ids share one, by
    /// the next free number.
    places: HashMap<u64, Place>,
    /// The names of the fields by their numbers in the rows.
    fields: Vec<CompactString>,
    numbers: HashMap<CompactString, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: u64,
    length: u32,
}

impl Staging {
    /// Begins with no profile.
    ///
    /// # Errors
    /// [`StateError::Staging`] when no temporary file can be made.
    pub fn new() -> Result<Staging, StateError> {
        let directory = spool::directory().map_err(staging_error)?;
        Ok(Staging(Mutex::new(Staged {
            file: SpooledTempFile::new_in(IN_MEMORY, directory),
            written: 0,
            tail: Vec::new(),
            places: HashMap::new(),
            fields: Vec::new(),
            numbers: HashMap::new(),
        })))
    }

    /// Returns the profile of an id.
    pub fn get(&self, id: &str) -> Result<Option<Record>, StateError> {
        let mut staged = self.lock();
        let (_, row) = staged.find(id).map_err(staging_error)?;
        row.map(|row| staged.unpack(&row).map(|(_, record)| record))
            .transpose()
            .map_err(staging_error)
    }

    /// Calls back with every profile, in the order in which they came. The callback must not use
    /// staging.
    pub fn for_each(&self, mut each: impl FnMut(&str, Record)) -> Result<(), StateError> {
        let mut staged = self.lock();
        let mut places: Vec<Place> = staged.places.values().copied().collect();
        places.sort_unstable_by_key(|place| place.start);
        for place in places {
            let row = staged.read(place).map_err(staging_error)?;
            let (id, record) = staged.unpack(&row).map_err(staging_error)?;
            each(id, record);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Staged> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage for Staging {
    fn put(&mut self, id: &str, record: &Record) -> Result<(), String> {
        self.lock()
            .put(id, record)
            .map_err(|error| error.to_string())
    }
}

impl Staged {
    fn put(&mut self, id: &str, record: &Record) -> io::Result<()> {
        let packed = self.pack(id, record);
        let (slot, known) = self.find(id)?;
        // The profile of somebody in many groups comes many times.
        if known.is_some_and(|known| known == packed) {
            return Ok(());
        }
        let place = Place {
            start: self.written + self.tail.len() as u64,
            length: u32::try_from(packed.len()).map_err(|_| io::ErrorKind::FileTooLarge)?,
        };
        self.tail.extend_from_slice(&packed);
        if self.tail.len() >= AT_ONCE {
            self.file.seek(SeekFrom::Start(self.written))?;
            self.file.write_all(&self.tail)?;
            self.written += self.tail.len() as u64;
            self.tail.clear();
        }
        self.places.insert(slot, place);
        Ok(())
    }

    /// Finds the row of an id, and the number under which its place stands or is to stand.
    fn find(&mut self, id: &str) -> io::Result<(u64, Option<Vec<u8>>)> {
        let mut slot = hash(id);
        while let Some(place) = self.places.get(&slot).copied() {
            let row = self.read(place)?;
            if Unpacking(&row).text().is_ok_and(|known| known == id) {
                return Ok((slot, Some(row)));
            }
            slot = slot.wrapping_add(1);
        }
        Ok((slot, None))
    }

    fn read(&mut self, place: Place) -> io::Result<Vec<u8>> {
        let mut row = vec![0; place.length as usize];
        if let Some(at) = place.start.checked_sub(self.written) {
            let at = at as usize;
            row.copy_from_slice(&self.tail[at..at + place.length as usize]);
        } else {
            self.file.seek(SeekFrom::Start(place.start))?;
            self.file.read_exact(&mut row)?;
        }
        Ok(row)
    }

    fn pack(&mut self, id: &str, record: &Record) -> Vec<u8> {
        let mut packed = Vec::with_capacity(256);
        put_text(&mut packed, id);
        for (field, value) in record {
            let number = self.numbers.get(field).copied().unwrap_or_else(|| {
                let number = self.fields.len() as u64;
                self.fields.push(field.clone());
                self.numbers.insert(field.clone(), number);
                number
            });
            put_number(&mut packed, number);
            put_value(&mut packed, value);
        }
        packed
    }

    fn unpack<'a>(&self, row: &'a [u8]) -> Result<(&'a str, Record), Damaged> {
        let mut row = Unpacking(row);
        let id = row.text()?;
        let mut record = Vec::with_capacity(24);
        while !row.is_done() {
            let number = usize::try_from(row.number()?).map_err(|_| Damaged)?;
            let field = self.fields.get(number).ok_or(Damaged)?;
            record.push((field.clone(), row.value()?));
        }
        Ok((id, record.into_iter().collect()))
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

fn staging_error(error: impl std::fmt::Display) -> StateError {
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
                ("first_name".into(), Value::from(name)),
                ("vip".into(), Value::from(true)),
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
    fn profiles_grow_beyond_memory() {
        let mut staging = Staging::new().unwrap();
        let long = "x".repeat(2000);
        for number in 0..20_000 {
            staging
                .put(
                    &number.to_string(),
                    &Record::from([("notes".into(), Value::from(format!("{number}{long}")))]),
                )
                .unwrap();
        }
        let record = staging.get("7").unwrap().unwrap();
        assert_eq!(record["notes"].as_text().map(str::len), Some(2001));
        assert!(staging.lock().file.is_rolled());
        let mut count = 0;
        staging.for_each(|_, _| count += 1).unwrap();
        assert_eq!(count, 20_000);
        // What comes again and is the same takes no room.
        let end = |staging: &Staging| {
            let staged = staging.lock();
            staged.written + staged.tail.len() as u64
        };
        let before = end(&staging);
        staging.put("7", &record).unwrap();
        assert_eq!(end(&staging), before);
        staging.put("7", &Record::new()).unwrap();
        assert_eq!(staging.get("7").unwrap(), Some(Record::new()));
        assert!(end(&staging) < before + 9);
    }
}
