//! What was worked out for one request and holds for the next ones, until the account changes.
//!
//! A client that reads a large account asks for it page by page, and asks the same again in its next
//! run. Without this each page would cost a walk over the whole account, and each listing of a group
//! the writing of megabytes of XML.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::spool;

/// A listing of fewer rows is made anew each time.
const ROWS: usize = 1000;

/// How many listings are kept.
const LISTINGS: usize = 8;

/// So many bytes of a text stay in memory; a longer one goes into a file, and only such texts are
/// kept.
const IN_MEMORY: usize = 1 << 20;

/// The bytes that all kept texts may take on disk.
const ON_DISK: u64 = 4 << 30;

/// Bytes that are read from a file at once.
const PIECE: u64 = 256 << 10;

/// What answers are made of, of accounts that have not changed since.
#[derive(Default)]
pub(super) struct Kept {
    listings: Vec<(Key, Arc<[u64]>)>,
    texts: Vec<(Key, Rows)>,
}

/// The account and all that a request says.
#[derive(PartialEq, Eq)]
pub(super) struct Key {
    account: String,
    request: String,
}

impl Key {
    pub(super) fn new(account: &str, request: String) -> Self {
        Self {
            account: account.to_owned(),
            request,
        }
    }
}

/// The rows of a listing as they are written out.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) count: usize,
    pub(super) text: Arc<Spooled>,
}

impl Kept {
    /// Forgets all of one account.
    pub(super) fn forget(&mut self, account: &str) {
        self.listings.retain(|(key, _)| key.account != account);
        self.texts.retain(|(key, _)| key.account != account);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.listings.clear();
        self.texts.clear();
    }

    /// The ids that a request lists, which are found where they are not known.
    pub(super) fn listing<E>(
        &mut self,
        key: Option<Key>,
        find: impl FnOnce() -> Result<Vec<u64>, E>,
    ) -> Result<Arc<[u64]>, E> {
        let Some(key) = key else {
            return Ok(find()?.into());
        };
        if let Some((_, ids)) = self.listings.iter().find(|(known, _)| *known == key) {
            return Ok(ids.clone());
        }
        let ids: Arc<[u64]> = find()?.into();
        if ids.len() >= ROWS {
            if self.listings.len() == LISTINGS {
                self.listings.remove(0);
            }
            self.listings.push((key, ids.clone()));
        }
        Ok(ids)
    }

    /// The rows that were written for a request.
    pub(super) fn rows(&self, key: &Key) -> Option<Rows> {
        let (_, rows) = self.texts.iter().find(|(known, _)| known == key)?;
        Some(rows.clone())
    }

    /// Keeps rows if they are long; they take the place of the oldest ones.
    pub(super) fn keep(&mut self, key: Key, rows: &Rows) {
        if !matches!(*rows.text, Spooled::File(..)) || rows.text.len() > ON_DISK {
            return;
        }
        let mut held: u64 = self.texts.iter().map(|(_, rows)| rows.text.len()).sum();
        while held + rows.text.len() > ON_DISK {
            held -= self.texts.remove(0).1.text.len();
        }
        self.texts.push((key, rows.clone()));
    }
}

/// A text that is in memory while it is short and in a file that nobody else sees while it is long.
#[derive(Debug)]
pub(super) enum Spooled {
    Memory(Bytes),
    File(Mutex<File>, u64),
}

impl Spooled {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    /// Reads a piece that begins at a place.
    fn piece(&self, at: u64) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes.slice(usize::try_from(at).unwrap_or(usize::MAX)..)),
            Self::File(file, length) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut piece = vec![0; PIECE.min(length - at) as usize];
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut piece)?;
                Ok(piece.into())
            }
        }
    }

    /// Adds all of it to a text.
    ///
    /// # Panics
    ///
    /// Panics when the file can't be read, which breaks the connection it was for.
    pub(super) fn append_to(&self, out: &mut String) {
        let mut all = Vec::new();
        while (all.len() as u64) < self.len() {
            let piece = self.piece(all.len() as u64);
            all.extend_from_slice(
                &piece.unwrap_or_else(|error| panic!("a temporary file: {error}")),
            );
        }
        out.push_str(&String::from_utf8_lossy(&all));
    }

    /// A body of this text between two others, read as it is sent.
    pub(super) fn body(self: &Arc<Self>, before: String, after: String) -> Body {
        let start = (
            self.clone(),
            0,
            Some(Bytes::from(before)),
            Some(Bytes::from(after)),
        );
        let pieces = stream::try_unfold(start, |(text, at, before, after)| async move {
            if before.is_some() {
                return Ok(before.map(|before| (before, (text, at, None, after))));
            }
            if at < text.len() {
                let piece = text.piece(at)?;
                let next = at + piece.len() as u64;
                return Ok(Some((piece, (text, next, None, after))));
            }
            Ok::<_, io::Error>(after.map(|after| (after, (text, at, None, None))))
        });
        Body::from_stream(pieces)
    }
}

/// Takes a text piece by piece.
#[derive(Default)]
pub(super) struct Spool {
    waiting: Vec<u8>,
    file: Option<File>,
    written: u64,
}

impl Spool {
    pub(super) fn push(&mut self, text: &str) -> io::Result<()> {
        self.waiting.extend_from_slice(text.as_bytes());
        if self.waiting.len() >= IN_MEMORY {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self
                .file
                .insert(tempfile::tempfile_in(spool::directory()?)?),
        };
        file.write_all(&self.waiting)?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    pub(super) fn done(mut self) -> io::Result<Spooled> {
        if self.file.is_some() {
            self.flush()?;
        }
        Ok(match self.file {
            Some(file) => Spooled::File(Mutex::new(file), self.written),
            None => Spooled::Memory(self.waiting.into()),
        })
    }
}
