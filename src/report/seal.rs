//! The seal of a saved plan: a print over its whole text, which tells a file that was edited.
//!
//! Blanks and line ends between values do not count, so that a plan that was laid out anew is still
//! the same; everything else does.

use std::cell::RefCell;
use std::io::{self, Read, Write};

use serde::{Serialize, Serializer};

/// How many letters a seal has.
const LETTERS: usize = 32;
/// What stands behind the sealed text: the seal in quotation marks, and the end of the document.
const TAIL: usize = LETTERS + 3;

/// Takes the print of a JSON text as it goes by.
#[derive(Default)]
struct Print {
    hasher: blake3::Hasher,
    in_text: bool,
    escaped: bool,
}

impl Print {
    /// Keeps what counts of a piece of the text.
    fn significant(&mut self, piece: &[u8], kept: &mut Vec<u8>) {
        for &byte in piece {
            if self.in_text {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_text = false,
                    _ => {}
                }
            } else if byte.is_ascii_whitespace() {
                continue;
            } else {
                self.in_text = byte == b'"';
            }
            kept.push(byte);
        }
    }

    fn seal(&self) -> String {
        self.hasher.finalize().to_hex()[..LETTERS].to_owned()
    }
}

/// Passes a document on and takes its print.
pub(super) struct Sealing<'a> {
    out: &'a mut dyn Write,
    print: &'a RefCell<Pending>,
}

/// The print so far, shared by the writer and the value that ends the document.
#[derive(Default)]
pub(super) struct Pending {
    print: Print,
    kept: Vec<u8>,
}

impl<'a> Sealing<'a> {
    pub(super) fn new(out: &'a mut dyn Write, print: &'a RefCell<Pending>) -> Sealing<'a> {
        Sealing { out, print }
    }
}

impl Write for Sealing<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.out.write(piece)?;
        let mut pending = self.print.borrow_mut();
        let Pending { print, kept } = &mut *pending;
        kept.clear();
        print.significant(&piece[..written], kept);
        print.hasher.update(kept);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The seal over everything that was written before it; the last value of the document.
pub(super) struct Seal<'a>(pub(super) &'a RefCell<Pending>);

impl Serialize for Seal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seal = self.0.borrow().print.seal();
        serializer.serialize_str(&seal)
    }
}

/// Tells whether a saved plan is as it was written.
///
/// # Errors
/// What reading says.
pub fn is_sealed(mut file: impl Read) -> io::Result<bool> {
    let mut print = Print::default();
    let mut kept = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        print.significant(&piece[..length], &mut kept);
        let sealed = kept.len().saturating_sub(TAIL);
        print.hasher.update(&kept[..sealed]);
        kept.drain(..sealed);
    }
    Ok(kept == format!("\"{}\"}}", print.seal()).into_bytes())
}
