//! Where the profiles of a run wait while it compares and applies: a private file that is gone with
//! the run.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use compact_str::CompactString;
use hashbrown::HashTable;
use tempfile::SpooledTempFile;

use super::error::StateError;
use crate::model::packed::{Damaged, Unpacking, put_number, put_text, put_value};
use crate::model::{Record, Stage};
use crate::spool;

/// Bytes that stay in memory; more go to the disk that holds temporary files.
const IN_MEMORY: usize = 16 * 1024 * 1024;

/// What nearly every row has room in, in bytes.
const MOST_ROWS: usize = 1024;

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
    /// Where the last row of each id stands.
    places: HashTable<Place>,
    hasher: RandomState,
    /// The row that is looked at, and the one that is packed: their room is used again and again.
    room: (Vec<u8>, Vec<u8>),
    /// The names of the fields by their numbers in the rows.
    fields: Vec<CompactString>,
    numbers: HashMap<CompactString, u64>,
}

/// Where a row begins, and half of the hash of its id. In three pieces, because four bytes of eight
/// would be lost between them: there is one of each person.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    start: [u32; 2],
}

impl Place {
    fn new(hash: u64, start: u64) -> Place {
        Place {
            hash: hash as u32,
            start: [(start >> 32) as u32, start as u32],
        }
    }

    fn start(self) -> u64 {
        u64::from(self.start[0]) << 32 | u64::from(self.start[1])
    }

    /// Returns the number by which the table finds it: its upper and its lower bits count.
    fn slot(self) -> u64 {
        slot(u64::from(self.hash))
    }
}

fn slot(hash: u64) -> u64 {
    let hash = hash & u64::from(u32::MAX);
    hash << 32 | hash
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
            places: HashTable::new(),
            hasher: RandomState::new(),
            room: (Vec::new(), Vec::new()),
            fields: Vec::new(),
            numbers: HashMap::new(),
        })))
    }

    /// Returns the profile of an id.
    pub fn get(&self, id: &str) -> Result<Option<Record>, StateError> {
        let mut staged = self.lock();
        if staged.find(id).map_err(staging_error)?.is_none() {
            return Ok(None);
        }
        let (_, record) = staged.unpack(&staged.room.0).map_err(staging_error)?;
        Ok(Some(record))
    }

    /// Calls back with every profile, in the order in which they came. The callback must not use
    /// staging.
    pub fn for_each(&self, mut each: impl FnMut(&str, Record)) -> Result<(), StateError> {
        let mut staged = self.lock();
        let mut starts: Vec<u64> = staged.places.iter().map(|place| place.start()).collect();
        starts.sort_unstable();
        for start in starts {
            staged.read(start).map_err(staging_error)?;
            let (id, record) = staged.unpack(&staged.room.0).map_err(staging_error)?;
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
        self.pack(id, record);
        let known = self.find(id)?;
        let packed = &self.room.1;
        // The profile of somebody in many groups comes many times.
        if known.is_some() && self.room.0 == *packed {
            return Ok(());
        }
        let place = Place::new(
            self.hasher.hash_one(id),
            self.written + self.tail.len() as u64,
        );
        let length = u32::try_from(packed.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.tail.extend_from_slice(&length.to_le_bytes());
        self.tail.extend_from_slice(packed);
        if self.tail.len() >= AT_ONCE {
            self.file.seek(SeekFrom::Start(self.written))?;
            self.file.write_all(&self.tail)?;
            self.written += self.tail.len() as u64;
            self.tail.clear();
        }
        if let Some(known) = known {
            let is_known = |other: &Place| other.start() == known;
            if let Some(other) = self.places.find_mut(place.slot(), is_known) {
                *other = place;
            }
        } else {
            self.places
                .insert_unique(place.slot(), place, |other| other.slot());
        }
        Ok(())
    }

    /// Finds the row of an id, which is read then, and returns where it begins.
    fn find(&mut self, id: &str) -> io::Result<Option<u64>> {
        let wanted = Place::new(self.hasher.hash_one(id), 0);
        // Next to nobody shares half a hash with somebody else.
        for passed in 0.. {
            let rivals = self.places.iter_hash(wanted.slot());
            let mut rivals = rivals.filter(|place| place.hash == wanted.hash);
            let Some(start) = rivals.nth(passed).map(|place| place.start()) else {
                break;
            };
            self.read(start)?;
            if Unpacking(&self.room.0)
                .text()
                .is_ok_and(|known| known == id)
            {
                return Ok(Some(start));
            }
        }
        Ok(None)
    }

    fn read(&mut self, start: u64) -> io::Result<()> {
        let row = &mut self.room.0;
        let mut length = [0; 4];
        if let Some(at) = start.checked_sub(self.written) {
            let (begin, rest) = self.tail[at as usize..].split_at(length.len());
            length.copy_from_slice(begin);
            row.clear();
            row.extend_from_slice(&rest[..u32::from_le_bytes(length) as usize]);
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(start))?;
        // Nearly every row is read at once with its length.
        row.resize(MOST_ROWS, 0);
        let mut got = 0;
        while got < length.len() {
            match self.file.read(&mut row[got..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => got += more,
            }
        }
        length.copy_from_slice(&row[..4]);
        let whole = length.len() + u32::from_le_bytes(length) as usize;
        row.resize(whole, 0);
        if let Some(rest) = row.get_mut(got..) {
            self.file.read_exact(rest)?;
        }
        row.drain(..length.len());
        Ok(())
    }

    fn pack(&mut self, id: &str, record: &Record) {
        let packed = &mut self.room.1;
        packed.clear();
        put_text(packed, id);
        for (field, value) in record {
            let number = self.numbers.get(field).copied().unwrap_or_else(|| {
                let number = self.fields.len() as u64;
                self.fields.push(field.clone());
                self.numbers.insert(field.clone(), number);
                number
            });
            put_number(packed, number);
            put_value(packed, value);
        }
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
        assert!(end(&staging) < before + 13);
    }
}
