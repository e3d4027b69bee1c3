//! Bytes on their way to the parser: always valid UTF-8, and never more of a single text or tag than
//! is allowed; the rest of one that is longer is skipped.
//!
//! Answers are expected to be UTF-8, and clients of this API guard against bytes that are not. Such
//! a byte is read as Windows-1252 and announced by [`GUESS`], so that whoever reads the text knows
//! that it was guessed.

use std::io::{self, BufRead, Read};

use super::token::Token;
use crate::provider::guess::{GUESS, windows_1252};

/// A reader that mends what is not UTF-8, and shortens each piece of the document that is longer than
/// its allowance.
pub(super) struct Mended<R> {
    inner: R,
    /// Mended bytes, of which those before `taken` are used up.
    ready: Vec<u8>,
    taken: usize,
    /// The first bytes of a character whose rest has not been read yet.
    begun: Vec<u8>,
    allowance: usize,
    /// The piece that is being read, without what has been taken of `ready` from `token_from` on:
    /// most pieces are used up before anybody has to know what they are.
    token: Token,
    token_from: usize,
    is_shortened: bool,
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
            token: Token::default(),
            token_from: 0,
            is_shortened: false,
            ended: false,
            single_bytes: None,
        }
    }

    /// Allows so many bytes of the piece that begins here.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.allowance = bytes;
        self.token = Token::default();
        self.token_from = self.taken;
        self.is_shortened = false;
    }

    /// Tells whether the piece was longer than allowed, so that a part of it is missing.
    pub(super) fn is_shortened(&self) -> bool {
        self.is_shortened
    }

    fn refill(&mut self) -> io::Result<()> {
        self.token.follow(&self.ready[self.token_from..]);
        self.token_from = 0;
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

    /// Returns how far `ready` may be read, which is never into the middle of a character.
    fn allowed_end(&self) -> usize {
        let end = self.ready.len().min(self.taken + self.allowance);
        let is_boundary = |at: &usize| {
            let next = self.ready.get(*at);
            next.is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000)
        };
        (self.taken..=end).rev().find(is_boundary).unwrap_or(end)
    }

    /// Skips the rest of the piece, and puts what ends it before what follows. Nothing is left where
    /// the document ends within it.
    fn shorten(&mut self) -> io::Result<()> {
        self.is_shortened = true;
        self.allowance = CLOSING;
        self.token.follow(&self.ready[self.token_from..self.taken]);
        let passed_on = self.token.clone();
        let mut is_whole = true;
        let end = loop {
            let mut rest = self.ready[self.taken..].iter();
            if let Some(end) = rest.position(|byte| self.token.ends_at(*byte)) {
                is_whole &= end == 0;
                break self.taken + end;
            }
            is_whole = false;
            self.token_from = self.ready.len();
            self.refill()?;
            if self.ready.is_empty() {
                return Ok(());
            }
        };
        if self.token.ends_before() {
            self.taken = end;
        } else if !is_whole {
            self.ready.splice(..=end, self.token.closing(&passed_on));
            self.taken = 0;
        }
        self.token_from = self.taken;
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

/// So many bytes may be read of what ends a piece, and looked at of what follows.
const CLOSING: usize = 16;

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
        let mut end = self.allowed_end();
        if end == self.taken && end < self.ready.len() {
            // Whoever reads on behind the end sees another piece than was seen here.
            if self.is_shortened {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a single piece of it is too long",
                ));
            }
            self.shorten()?;
            end = self.allowed_end();
        }
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

    use quick_xml::Reader;
    use quick_xml::events::Event;

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

    /// The pieces of a document of which only so much is allowed each, and how many were shortened.
    /// Texts are left out: those that are shortened end at the next tag.
    fn pieces(document: &str, allowance: usize, chunk: usize) -> (Vec<String>, usize) {
        let source = BufReader::with_capacity(chunk, document.as_bytes());
        let mut reader = Reader::from_reader(Mended::new(source));
        reader.config_mut().enable_all_checks(true);
        reader.config_mut().allow_dangling_amp = true;
        let (mut seen, mut shortened) = (Vec::new(), 0);
        loop {
            let mut buffer = Vec::new();
            reader.get_mut().allow(allowance);
            let event = reader.read_event_into(&mut buffer);
            let event = event.unwrap_or_else(|error| panic!("{allowance}, {chunk}: {error}"));
            let piece = match event {
                Event::Start(start) => format!("<{}", start.name().as_ref()),
                Event::Empty(start) => format!("<{}/", start.name().as_ref()),
                Event::End(end) => format!("</{}", end.name().as_ref()),
                Event::CData(_) => "section".to_owned(),
                Event::Comment(_) => "comment".to_owned(),
                Event::PI(_) => "instruction".to_owned(),
                Event::Eof => return (seen, shortened),
                _ => String::new(),
            };
            shortened += usize::from(reader.get_ref().is_shortened());
            assert!(buffer.len() <= allowance + CLOSING, "{piece}: {buffer:?}");
            if !piece.is_empty() {
                seen.push(piece);
            }
        }
    }

    #[test]
    fn a_long_piece_is_shortened_and_the_others_are_as_they_were() {
        let document = "<a><b c=\"x > 'y' /> < \" d='\"/>'/>a text: it's > 5\" more\
            <!-- a - comment > and - so - on '\" --><c e  =  '/'>\u{20ac}\u{eb}\u{20ac}\u{20ac}\u{20ac} &amp; x &\
            <![CDATA[ ]] > ]> ]]] <b> &lt; '\"\u{20ac} ]]]]></c                      ><f g='h'i=\"/\" />\
            <?php '>' \" ? > ?? ?>&notanentitythatanybodyknows;<d / /></a>";
        let (whole, none) = pieces(document, 10_000, 10_000);
        assert_eq!((whole.len(), none), (10, 0), "{whole:?}");
        for chunk in 1..12 {
            for allowance in 12..40 {
                let (seen, shortened) = pieces(document, allowance, chunk);
                assert_eq!(seen, whole, "{allowance}, {chunk}");
                assert!(shortened > 0, "{allowance}, {chunk}");
            }
        }
    }
}
