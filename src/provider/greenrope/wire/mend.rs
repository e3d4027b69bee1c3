//! Bytes on their way to the parser: always valid UTF-8, and never more of a single text than is
//! allowed.
//!
//! Answers are expected to be UTF-8, and clients of this API guard against bytes that are not. Such
//! a byte is read as Windows-1252 and announced by [`GUESS`], so that whoever reads the text knows
//! that it was guessed.

use std::io::{self, BufRead, Read};

use crate::provider::guess::{GUESS, windows_1252};

/// A reader that mends what is not UTF-8 and stops when its allowance is used up.
pub(super) struct Mended<R> {
    inner: R,
    /// Mended bytes, of which those before `taken` are used up.
    ready: Vec<u8>,
    taken: usize,
    /// The first bytes of a character whose rest has not been read yet.
    begun: Vec<u8>,
    allowance: usize,
    ended: bool,
    /// Whether the document says that each byte is a character of Windows-1252 or ISO-8859-1;
    /// unknown before its first bytes were seen.
    single_bytes: Option<bool>,
}

impl<R: BufRead> Mended<R> {
    pub(super) fn new(inner: R) -> Self {
        Mended {
            inner,
            ready: Vec::new(),
            taken: 0,
            begun: Vec::new(),
            allowance: 0,
            ended: false,
            single_bytes: None,
        }
    }

    /// Allows so many more bytes to be read, whatever is left of the last allowance.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.allowance = bytes;
    }

    /// Tells whether the allowance is used up.
    pub(super) fn is_exhausted(&self) -> bool {
        self.allowance == 0
    }

    fn refill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.taken = 0;
        while self.ready.is_empty() && !self.ended {
            let mut piece = std::mem::take(&mut self.begun);
            let read = self.inner.fill_buf()?;
            let length = read.len();
            self.ended = length == 0;
            piece.extend_from_slice(read);
            self.inner.consume(length);
            if *self
                .single_bytes
                .get_or_insert_with(|| declares_single_bytes(&piece))
            {
                let text: String = piece.iter().map(|byte| windows_1252(*byte)).collect();
                self.ready.extend_from_slice(text.as_bytes());
                continue;
            }
            self.mend(&piece);
        }
        Ok(())
    }

    fn mend(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let Err(error) = std::str::from_utf8(piece) else {
                self.ready.extend_from_slice(piece);
                return;
            };
            let (good, rest) = piece.split_at(error.valid_up_to());
            self.ready.extend_from_slice(good);
            let bad = match error.error_len() {
                Some(length) => length,
                None if self.ended => rest.len(),
                None => {
                    self.begun = rest.to_vec();
                    return;
                }
            };
            let (bad, rest) = rest.split_at(bad);
            for &byte in bad {
                let guessed = windows_1252(byte);
                let mut text = [0; 4];
                self.ready
                    .extend_from_slice(GUESS.encode_utf8(&mut text).as_bytes());
                self.ready
                    .extend_from_slice(guessed.encode_utf8(&mut text).as_bytes());
            }
            piece = rest;
        }
    }
}

/// Tells whether a whole document needs no mending.
pub(super) fn is_plain(document: &[u8]) -> bool {
    std::str::from_utf8(document).is_ok() && !declares_single_bytes(document)
}

/// Tells whether the declaration at the beginning of a document names an encoding of single bytes.
/// Both that are met mean the same wherever they mean anything in text.
fn declares_single_bytes(start: &[u8]) -> bool {
    let end = start.len().min(200);
    let start = String::from_utf8_lossy(&start[..end]).to_ascii_lowercase();
    let Some(declaration) = start
        .trim_start()
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split("?>").next())
    else {
        return false;
    };
    ["iso-8859-1", "windows-1252", "latin1", "cp1252"]
        .iter()
        .any(|name| declaration.contains(name))
}

impl<R: BufRead> Read for Mended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let length = ready.len().min(buffer.len());
        buffer[..length].copy_from_slice(&ready[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Mended<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.ready.len() {
            self.refill()?;
        }
        if self.allowance == 0 && self.taken < self.ready.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a single piece of it is too long",
            ));
        }
        let end = self.ready.len().min(self.taken + self.allowance);
        Ok(&self.ready[self.taken..end])
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount;
        self.allowance = self.allowance.saturating_sub(amount);
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn mended(bytes: &[u8], piece: usize) -> String {
        let mut reader = Mended::new(BufReader::with_capacity(piece, bytes));
        reader.allow(10_000);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn utf_8_passes_whole_however_it_is_cut() {
        for piece in 1..8 {
            assert_eq!(mended("Zoë – 日本 🎉".as_bytes(), piece), "Zoë – 日本 🎉");
        }
    }

    #[test]
    fn other_bytes_are_read_as_windows_1252_and_announced() {
        for piece in 1..5 {
            assert_eq!(
                mended(b"Zo\xeb \x80 \xc3", piece),
                "Zo\u{fdd0}ë \u{fdd0}€ \u{fdd0}Ã"
            );
        }
    }

    #[test]
    fn a_declared_encoding_is_no_guess() {
        let document = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>Zo\xeb \xc3\xab</a>";
        assert!(mended(document, 500).ends_with("<a>Zo\u{eb} \u{c3}\u{ab}</a>"));
    }

    #[test]
    fn the_allowance_bounds_what_is_read() {
        let mut reader = Mended::new(&b"0123456789"[..]);
        reader.allow(4);
        let mut text = Vec::new();
        assert!(reader.read_to_end(&mut text).is_err());
        assert_eq!(text, b"0123");
    }
}
