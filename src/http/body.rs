//! Answers on their way in: capped, complete before anyone parses them, and never larger in memory
//! than one megabyte.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};

use tempfile::{SpooledData, SpooledTempFile};

use super::error::DecodeError;
use crate::spool;

/// How many bytes of an answer stay in memory; more goes to an anonymous temporary file.
const IN_MEMORY: usize = 1024 * 1024;

/// How many bytes an answer may have where neither call nor account says otherwise: 4 GiB. It is
/// spooled to disk, and what streams needs no memory for it.
pub const DEFAULT_MAX_BODY: u64 = 4 * 1024 * 1024 * 1024;

/// The body of an answer, downloaded to its end.
pub struct Body {
    kept: Kept,
    len: u64,
}

/// Where a body is.
enum Kept {
    Memory(Vec<u8>),
    Disk(File),
}

impl Body {
    /// A body made from bytes at hand.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            kept: Kept::Memory(bytes.to_vec()),
            len: bytes.len() as u64,
        }
    }

    /// Takes the body out, and leaves an empty one.
    pub fn take(&mut self) -> Body {
        std::mem::replace(self, Body::from_bytes(b""))
    }

    /// The number of bytes, after decompression.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of it, where it is in memory.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match &self.kept {
            Kept::Memory(bytes) => Some(bytes),
            Kept::Disk(_) => None,
        }
    }

    /// Reads from the beginning; may be called any number of times.
    pub fn reader(&mut self) -> Reading<'_> {
        self.reader_at(0)
    }

    /// Reads from a position on, in bytes; may be called any number of times.
    pub fn reader_at(&mut self, position: u64) -> Reading<'_> {
        Reading(match &mut self.kept {
            Kept::Memory(bytes) => {
                let position = usize::try_from(position).unwrap_or(usize::MAX);
                Place::Memory(bytes.get(position..).unwrap_or_default())
            }
            Kept::Disk(file) => {
                let failed = file.seek(SeekFrom::Start(position)).err();
                Place::Disk(BufReader::new(Rewound { file, failed }))
            }
        })
    }

    /// The whole body, for answers that are known to be small.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Protocol`] when it is longer than `limit` bytes, [`DecodeError::NotAnAnswer`]
    /// when it can't be read back from disk.
    pub fn bytes_capped(&mut self, limit: u64) -> Result<Vec<u8>, DecodeError> {
        if self.len > limit {
            return Err(DecodeError::Protocol(format!(
                "it is {} bytes long, and one that is no listing is read up to {limit}, whatever max_answer in the http table of the provider says",
                self.len
            )));
        }
        let mut bytes = Vec::with_capacity(self.len as usize);
        self.reader().read_to_end(&mut bytes).map_err(|error| {
            DecodeError::NotAnAnswer(format!("it can't be read back from disk: {error}"))
        })?;
        Ok(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// A body that is being read.
pub struct Reading<'a>(Place<'a>);

enum Place<'a> {
    Memory(&'a [u8]),
    Disk(BufReader<Rewound<'a>>),
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Place::Memory(bytes) => bytes.read(buffer),
            Place::Disk(file) => file.read(buffer),
        }
    }
}

impl BufRead for Reading<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.0 {
            Place::Memory(bytes) => Ok(bytes),
            Place::Disk(file) => file.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match &mut self.0 {
            Place::Memory(bytes) => bytes.consume(amount),
            Place::Disk(file) => file.consume(amount),
        }
    }
}

/// A file at its beginning, or the reason why it isn't, told at the first read.
struct Rewound<'a> {
    file: &'a mut File,
    failed: Option<io::Error>,
}

impl Read for Rewound<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.file.read(buffer),
        }
    }
}

/// Why a body could not be taken in.
#[derive(Debug)]
pub(crate) enum Spill {
    /// It is longer than this many bytes.
    TooLarge(u64),
    /// It ended before the length that was announced.
    CutOff { got: u64, announced: u64 },
    /// It could not be kept.
    Storage(io::Error),
}

/// A body that is being downloaded.
pub(crate) struct Incoming {
    file: SpooledTempFile,
    len: u64,
    limit: u64,
    announced: Option<u64>,
}

impl Incoming {
    /// Begins a body; an announced length beyond the limit is refused before a byte is read.
    pub(crate) fn begin(limit: u64, announced: Option<u64>) -> Result<Self, Spill> {
        if announced.is_some_and(|announced| announced > limit) {
            return Err(Spill::TooLarge(limit));
        }
        Ok(Self {
            // Where no file can be made, a long answer says so.
            file: match spool::directory() {
                Ok(directory) => SpooledTempFile::new_in(IN_MEMORY, directory),
                Err(_) => SpooledTempFile::new(IN_MEMORY),
            },
            len: 0,
            limit,
            announced,
        })
    }

    /// Takes in the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Spill> {
        let len = self.len + piece.len() as u64;
        if len > self.limit {
            return Err(Spill::TooLarge(self.limit));
        }
        self.file.write_all(piece).map_err(Spill::Storage)?;
        self.len = len;
        Ok(())
    }

    /// Ends the body; one that is shorter or longer than announced is no body.
    pub(crate) fn finish(self) -> Result<Body, Spill> {
        match self.announced {
            Some(announced) if announced != self.len => Err(Spill::CutOff {
                got: self.len,
                announced,
            }),
            _ => Ok(Body {
                kept: match self.file.into_inner() {
                    SpooledData::InMemory(bytes) => Kept::Memory(bytes.into_inner()),
                    SpooledData::OnDisk(file) => Kept::Disk(file),
                },
                len: self.len,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_can_be_read_again_from_its_beginning() {
        let mut body = Body::from_bytes(b"one\ntwo\n");
        for _ in 0..2 {
            let lines: Vec<_> = body.reader().lines().map(Result::unwrap).collect();
            assert_eq!(lines, ["one", "two"]);
        }
        let mut first = [0; 2];
        body.reader().read_exact(&mut first).unwrap();
        assert_eq!(body.bytes_capped(8).unwrap(), b"one\ntwo\n");
        let Err(DecodeError::Protocol(why)) = body.bytes_capped(7) else {
            panic!("it is longer");
        };
        assert!(why.contains("8 bytes") && why.contains("up to 7") && why.contains("max_answer"));
        let mut from = String::new();
        body.reader_at(4).read_to_string(&mut from).unwrap();
        assert_eq!(from, "two\n");
        assert_eq!((body.take().len(), body.len()), (8, 0));
    }

    #[test]
    fn a_long_body_leaves_memory() {
        let mut incoming = Incoming::begin(DEFAULT_MAX_BODY, None).unwrap();
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..20 {
            incoming.push(&piece).unwrap();
        }
        let mut body = incoming.finish().unwrap();
        assert!(body.in_memory().is_none());
        assert_eq!(body.len(), 20 * 64 * 1024);
        assert_eq!(
            body.reader()
                .bytes()
                .filter(|b| matches!(b, Ok(b'x')))
                .count(),
            20 * 64 * 1024
        );
    }

    #[test]
    fn the_cap_holds_for_what_is_announced_and_for_what_arrives() {
        assert!(matches!(
            Incoming::begin(10, Some(11)),
            Err(Spill::TooLarge(10))
        ));
        let mut incoming = Incoming::begin(10, None).unwrap();
        incoming.push(b"0123456789").unwrap();
        assert!(matches!(incoming.push(b"x"), Err(Spill::TooLarge(10))));
    }

    #[test]
    fn a_body_shorter_than_announced_is_none() {
        let mut incoming = Incoming::begin(10, Some(5)).unwrap();
        incoming.push(b"abc").unwrap();
        assert!(matches!(
            incoming.finish(),
            Err(Spill::CutOff {
                got: 3,
                announced: 5
            })
        ));
    }
}
