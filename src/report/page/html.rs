//! Texts inside of a page: in its elements, in its attributes and in its data.

use std::fmt;
use std::io::{self, Write};

use super::super::words::{grouped, harmless};
use crate::program::ROSTERD;

/// Longer texts are shown by their beginning, with the whole below it.
const LONG: usize = 240;
/// How much of a long text is shown.
const BEGINNING: usize = 100;

/// A text that can stand anywhere in a page.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in harmless(self.0).chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

/// The program's name with what was typed before the command, to be read and copied: it stands in an
/// element, where quotes end nothing.
pub(super) struct Program;

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = ROSTERD.to_string().replace('&', "&amp;");
        f.write_str(&program.replace('<', "&lt;").replace('>', "&gt;"))
    }
}

/// The beginning of a text, for a line that has to stay one.
pub(crate) struct Short<'a>(pub(crate) &'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(BEGINNING) {
            Some((end, _)) => write!(f, "{}…", Escaped(&self.0[..end])),
            None => write!(f, "{}", Escaped(self.0)),
        }
    }
}

/// A text of whatever length, whole: a long one folded below its beginning.
pub(crate) struct Whole<'a>(pub(crate) &'a str);

impl fmt::Display for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.char_indices().nth(LONG).is_none() {
            return write!(f, "{}", Escaped(self.0));
        }
        write!(
            f,
            "<details class=\"long\"><summary>{} ({} characters)</summary>{}</details>",
            Short(self.0),
            grouped(self.0.chars().count() as u64),
            Escaped(self.0)
        )
    }
}

/// Passes JSON on in a form that can stand in a script element, whatever its texts say.
///
/// The three letters only occur within texts there, where their numbers mean the same.
pub(super) struct InScript<'a>(pub(super) &'a mut dyn Write);

impl Write for InScript<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let mut rest = piece;
        while let Some(at) = rest.iter().position(|byte| b"<>&".contains(byte)) {
            self.0.write_all(&rest[..at])?;
            write!(self.0, "\\u{:04x}", rest[at])?;
            rest = &rest[at + 1..];
        }
        self.0.write_all(rest)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes a text of the data, harmless already.
pub(super) fn json_text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    serde_json::to_writer(InScript(out), &harmless(text)).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_script_or_the_element_in_which_it_stands() {
        let hostile =
            "</script><!--<img src=x onerror=\"alert('&amp;')\">\u{2028}\u{202e}\u{1b}[2J\\";
        let mut data = Vec::new();
        json_text(&mut data, hostile).unwrap();
        let data = String::from_utf8(data).unwrap();
        assert!(!data.contains(['<', '>', '&', '\u{2028}', '\u{202e}', '\u{1b}']));
        let read: String = serde_json::from_str(&data).unwrap();
        assert_eq!(read, harmless(hostile), "it reads as it is shown");
        let shown = Escaped(hostile).to_string();
        assert!(
            !shown.contains(['<', '>', '"', '\'', '\u{202e}', '\u{1b}']),
            "{shown}"
        );
    }

    #[test]
    fn a_long_text_is_shown_by_its_beginning_and_kept_whole() {
        let long = "ü".repeat(10_000);
        let shown = Whole(&long).to_string();
        assert!(shown.contains("… (10,000 characters)"), "{shown}");
        assert!(shown.contains(&long));
        assert!(Short(&long).to_string().chars().count() <= BEGINNING + 1);
        assert_eq!(Whole("a < b").to_string(), "a &lt; b");
    }
}
