//! Passing over JSON of any length, which is checked and of which only what is asked for is kept.

use std::io::BufRead;

use super::protocol;
use crate::http::DecodeError;

/// How many levels may be open at once; each takes a byte.
const MAX_LEVELS: usize = 4 * 1024 * 1024;
/// So many digits are sure to make no more than 64 bits.
const SURE_DIGITS: usize = 18;
/// What is kept of a name, in bytes; no name that is looked for is that long.
const MAX_NAME: usize = 1024;

/// Reads a document from some place on, byte by byte.
///
/// All of it is checked but what stands inside texts: one that can't be read spoils its own record,
/// and is for whoever reads that.
pub(super) struct Scanner<R> {
    source: R,
    /// The position of the next byte.
    at: u64,
    kept: Vec<u8>,
    /// How many more bytes may be kept.
    room: u64,
    /// Whether more came than was to be kept.
    is_over: bool,
    /// Whether every number since this was said was a whole one that is sure to have 64 bits.
    is_plain: bool,
}

/// Where a value begins and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) begin: u64,
    pub(super) end: u64,
    /// Whether all of its numbers are whole ones that are sure to have 64 bits.
    pub(super) is_plain: bool,
}

impl<R: BufRead> Scanner<R> {
    /// Begins where the source stands, which is `at` in the document.
    pub(super) fn new(source: R, at: u64) -> Self {
        Scanner {
            source,
            at,
            kept: Vec::new(),
            room: 0,
            is_over: true,
            is_plain: true,
        }
    }

    /// Passes over a value and tells where it begins and ends, and whether all of its numbers are
    /// whole ones that are sure to have 64 bits.
    pub(super) fn bounds(&mut self) -> Result<Bounds, DecodeError> {
        self.solid()?;
        let begin = self.at;
        self.is_plain = true;
        self.pass()?;
        Ok(Bounds {
            begin,
            end: self.at,
            is_plain: self.is_plain,
        })
    }

    /// The position of the next byte.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    fn buffer(&mut self) -> Result<&[u8], DecodeError> {
        self.source.fill_buf().map_err(|error| {
            DecodeError::NotAnAnswer(format!("it can't be read back from disk: {error}"))
        })
    }

    fn peek(&mut self) -> Result<Option<u8>, DecodeError> {
        Ok(self.buffer()?.first().copied())
    }

    /// Takes some of what stands in the buffer.
    fn take(&mut self, count: usize) -> Result<(), DecodeError> {
        if count == 0 {
            return Ok(());
        }
        if self.room == 0 && self.is_over {
            // Nothing is kept, or no more.
        } else if self.room >= count as u64 {
            let Scanner { source, kept, .. } = self;
            let buffer = source.fill_buf().map_err(|error| {
                DecodeError::NotAnAnswer(format!("it can't be read back from disk: {error}"))
            })?;
            kept.extend_from_slice(&buffer[..count]);
            self.room -= count as u64;
        } else {
            // Nothing is of use that is not whole.
            self.keep_nothing();
        }
        self.source.consume(count);
        self.at += count as u64;
        Ok(())
    }

    /// Returns the next byte that is no blank, which is not taken; nothing at the end.
    pub(super) fn solid(&mut self) -> Result<Option<u8>, DecodeError> {
        loop {
            let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            let buffer = self.buffer()?;
            let blanks = buffer.iter().take_while(|byte| is_blank(byte)).count();
            if blanks < buffer.len() || buffer.is_empty() {
                let found = buffer.get(blanks).copied();
                self.take(blanks)?;
                return Ok(found);
            }
            self.take(blanks)?;
        }
    }

    /// Takes a byte that has to come next, apart from blanks.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        if self.solid()? == Some(byte) {
            self.take(1)
        } else {
            Err(self.odd())
        }
    }

    /// Takes a byte if it comes next, apart from blanks.
    pub(super) fn accept(&mut self, byte: u8) -> Result<bool, DecodeError> {
        let is_next = self.solid()? == Some(byte);
        if is_next {
            self.take(1)?;
        }
        Ok(is_next)
    }

    /// Says what is wrong with the byte that comes next.
    pub(super) fn odd(&mut self) -> DecodeError {
        match self.peek() {
            Err(error) => error,
            Ok(None) if self.at == 0 => DecodeError::NotAnAnswer("it is empty".to_owned()),
            Ok(None) => DecodeError::NotAnAnswer("the JSON document is cut off".to_owned()),
            Ok(Some(_)) => {
                DecodeError::NotAnAnswer(format!("it is not JSON (byte {})", self.at + 1))
            }
        }
    }

    /// Passes over a value and returns how it is printed; nothing where that is longer than `room`
    /// bytes.
    pub(super) fn keep(&mut self, room: u64) -> Result<Option<Vec<u8>>, DecodeError> {
        self.solid()?;
        (self.room, self.is_over) = (room, false);
        self.pass()?;
        let kept = (!self.is_over).then(|| std::mem::take(&mut self.kept));
        self.keep_nothing();
        Ok(kept)
    }

    fn keep_nothing(&mut self) {
        self.is_over = true;
        self.room = 0;
        self.kept = Vec::new();
    }

    /// Takes the name of a part of an object, with its colon. Of one that is too long, the beginning is
    /// returned.
    pub(super) fn name(&mut self) -> Result<String, DecodeError> {
        if self.solid()? != Some(b'"') {
            return Err(self.odd());
        }
        let printed = self.keep(MAX_NAME as u64)?;
        self.expect(b':')?;
        let name = printed.map(|printed| {
            let mended = super::mending(&printed, |bytes| serde_json::from_slice(bytes));
            mended.unwrap_or_else(|_| String::from_utf8_lossy(&printed).into_owned())
        });
        Ok(name.unwrap_or_else(|| char::REPLACEMENT_CHARACTER.to_string()))
    }

    /// Passes over a value.
    pub(super) fn pass(&mut self) -> Result<(), DecodeError> {
        // Whether each level that is open is an object.
        let mut open: Vec<bool> = Vec::new();
        loop {
            let begun = match self.solid()? {
                Some(b'{') => {
                    self.take(1)?;
                    !self.accept(b'}')? && {
                        self.pass_name()?;
                        open.push(true);
                        true
                    }
                }
                Some(b'[') => {
                    self.take(1)?;
                    !self.accept(b']')? && {
                        open.push(false);
                        true
                    }
                }
                Some(b'"') => self.text().map(|()| false)?,
                Some(b'-' | b'0'..=b'9') => self.number().map(|()| false)?,
                Some(b't') => self.word(b"true").map(|()| false)?,
                Some(b'f') => self.word(b"false").map(|()| false)?,
                Some(b'n') => self.word(b"null").map(|()| false)?,
                _ => return Err(self.odd()),
            };
            if open.len() > MAX_LEVELS {
                return Err(protocol("its values nest too deeply"));
            }
            if begun {
                continue;
            }
            loop {
                let Some(is_object) = open.last().copied() else {
                    return Ok(());
                };
                match self.solid()? {
                    Some(b',') => {
                        self.take(1)?;
                        if is_object {
                            self.pass_name()?;
                        }
                        break;
                    }
                    Some(b'}') if is_object => self.take(1)?,
                    Some(b']') if !is_object => self.take(1)?,
                    _ => return Err(self.odd()),
                }
                open.pop();
            }
        }
    }

    fn pass_name(&mut self) -> Result<(), DecodeError> {
        if self.solid()? != Some(b'"') {
            return Err(self.odd());
        }
        self.text()?;
        self.expect(b':')
    }

    fn text(&mut self) -> Result<(), DecodeError> {
        self.take(1)?;
        loop {
            let buffer = self.buffer()?;
            if buffer.is_empty() {
                return Err(self.odd());
            }
            let Some(length) = memchr::memchr2(b'"', b'\\', buffer) else {
                let length = buffer.len();
                self.take(length)?;
                continue;
            };
            let is_end = buffer[length] == b'"';
            self.take(length + 1)?;
            if is_end {
                return Ok(());
            }
            match self.peek()? {
                Some(b'u') => {
                    self.take(1)?;
                    for _ in 0..4 {
                        if !self.peek()?.is_some_and(|byte| byte.is_ascii_hexdigit()) {
                            return Err(self.odd());
                        }
                        self.take(1)?;
                    }
                }
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.take(1)?,
                _ => return Err(self.odd()),
            }
        }
    }

    fn number(&mut self) -> Result<(), DecodeError> {
        let is_negative = self.peek()? == Some(b'-');
        if is_negative {
            self.take(1)?;
        }
        // No other digit follows a zero, and one below zero is no whole number.
        if self.peek()? == Some(b'0') {
            self.is_plain &= !is_negative;
            self.take(1)?;
        } else if self.digits()? > SURE_DIGITS {
            self.is_plain = false;
        }
        if self.peek()? == Some(b'.') {
            self.is_plain = false;
            self.take(1)?;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek()? {
            self.is_plain = false;
            self.take(1)?;
            if let Some(b'+' | b'-') = self.peek()? {
                self.take(1)?;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Takes digits, of which there has to be one, and counts them.
    fn digits(&mut self) -> Result<usize, DecodeError> {
        if !self.peek()?.is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.odd());
        }
        let mut all = 0;
        loop {
            let buffer = self.buffer()?;
            let digits = buffer.iter().take_while(|byte| byte.is_ascii_digit());
            let count = digits.count();
            if count == 0 {
                return Ok(all);
            }
            all += count;
            self.take(count)?;
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), DecodeError> {
        for byte in word {
            if self.peek()? != Some(*byte) {
                return Err(self.odd());
            }
            self.take(1)?;
        }
        Ok(())
    }
}
