//! Chapters of the guide on a terminal.

use std::fmt::Write as _;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::paint::{HEADING, KEPT};

/// Writes a chapter: paragraphs filled anew to a width, headings and code told from the rest.
///
/// # Errors
/// What writing to `out` says.
pub fn write_guide(out: &mut dyn Write, text: &str, width: usize) -> io::Result<()> {
    let mut paragraph = Paragraph::default();
    let mut in_code = false;
    let mut heads: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            paragraph.end(out, width)?;
            in_code = !in_code;
        } else if in_code {
            if line.is_empty() {
                writeln!(out)?;
            } else {
                writeln!(out, "    {line}")?;
            }
        } else if line.starts_with('|') {
            paragraph.end(out, width)?;
            let row = cells(line);
            if heads.is_empty() {
                heads = row;
            } else if !row
                .iter()
                .all(|cell| cell.trim_matches(['-', ':']).is_empty())
            {
                write_row(out, &heads, &row, width)?;
            }
        } else if line.trim().is_empty() {
            heads.clear();
            paragraph.end(out, width)?;
            writeln!(out)?;
        } else if let Some(title) = line.strip_prefix("# ") {
            writeln!(out, "{HEADING}{}{HEADING:#}", title.to_uppercase())?;
        } else if let Some(title) = line.strip_prefix("## ") {
            writeln!(out, "{HEADING}{title}{HEADING:#}")?;
        } else {
            if mark(line) > 0 {
                paragraph.end(out, width)?;
            }
            paragraph.add(line);
        }
    }
    paragraph.end(out, width)
}

/// Cuts a row of a table into its cells.
fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_matches('|');
    // A bar that belongs to a cell has a backslash in front.
    let inner = inner.replace("\\|", "\u{0}");
    let cells = inner.split('|');
    cells
        .map(|cell| cell.trim().replace('\u{0}', "|"))
        .collect()
}

/// Writes a row of a table as an item: a terminal is too narrow for cells that hold sentences.
fn write_row(
    out: &mut dyn Write,
    heads: &[String],
    row: &[String],
    width: usize,
) -> io::Result<()> {
    if let [name, meaning] = row {
        let text = format!("- {name}: {meaning}");
        return Paragraph { text, indent: 0 }.end(out, width);
    }
    for (at, cell) in row.iter().enumerate() {
        let (text, indent) = match (at, heads.get(at)) {
            (0, _) => (format!("- {cell}"), 0),
            (_, Some(head)) => (format!("{head}: {cell}"), 2),
            (_, None) => (cell.clone(), 2),
        };
        Paragraph { text, indent }.end(out, width)?;
    }
    Ok(())
}

/// Lines that belong together.
#[derive(Default)]
struct Paragraph {
    text: String,
    /// How many columns all of them stand in.
    indent: usize,
}

impl Paragraph {
    fn add(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(line.trim());
    }

    fn end(&mut self, out: &mut dyn Write, width: usize) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() {
            return Ok(());
        }
        let below = " ".repeat(self.indent + mark(&text));
        write!(out, "{:1$}", "", self.indent)?;
        let mut used = 0;
        let width = width.saturating_sub(self.indent);
        for word in words(&text) {
            let room = word.width();
            if used > 0 && used + 1 + room > width {
                write!(out, "\n{below}")?;
                used = below.len() - self.indent;
            } else if used > 0 {
                write!(out, " ")?;
                used += 1;
            }
            write!(out, "{}", painted(word))?;
            used += room;
        }
        writeln!(out)
    }
}

/// How many columns the mark takes that begins an item of a list; none where a line begins no item.
fn mark(line: &str) -> usize {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match &line[digits..] {
        rest if digits > 0 && rest.starts_with(". ") => digits + 2,
        rest if digits == 0 && rest.starts_with("- ") => 2,
        _ => 0,
    }
}

/// Cuts a text into words; code stays in one piece.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut from, mut in_code) = (0, false);
    for (at, character) in text.char_indices() {
        match character {
            '`' => in_code = !in_code,
            ' ' if !in_code => {
                words.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    words.push(&text[from..]);
    words.retain(|word| !word.is_empty());
    words
}

/// Colours the code of a word.
fn painted(word: &str) -> String {
    let mut shown = String::new();
    for (at, part) in word.split('`').enumerate() {
        if at % 2 == 1 {
            write!(shown, "{KEPT}`{part}`{KEPT:#}").expect("a text takes everything");
        } else {
            shown.push_str(&part.replace('*', ""));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chapter_is_filled_to_a_width_and_code_is_left_in_one_piece() {
        let text = "# Title\n\nA paragraph whose lines\nare filled anew, with `code that\nstays`.\n\n- one item that goes on below itself\n- two\n\n1. first of all what goes on below\n2. then\n\n```toml\n[a]\n\nb = 1\n```\n";
        let mut out = Vec::new();
        write_guide(&mut out, text, 30).unwrap();
        let text = String::from_utf8(out).unwrap();
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        TITLE

        A paragraph whose lines are
        filled anew, with
        `code that stays`.

        - one item that goes on below
          itself
        - two

        1. first of all what goes on
           below
        2. then

            [a]

            b = 1
        ");
    }

    #[test]
    fn a_table_is_told_row_by_row() {
        let text = "# T\n\n| message | when it comes | what to do |\n|---|---|---|\n| `bad` | a run could not go on | mend it and wait |\n| `well` | it goes on | nothing |\n\n| code | meaning |\n|---|---|\n| 0 | done, and `a\\|b` is nothing to see |\n";
        let mut out = Vec::new();
        write_guide(&mut out, text, 30).unwrap();
        let text = String::from_utf8(out).unwrap();
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        T

        - `bad`
          when it comes: a run could
          not go on
          what to do: mend it and wait
        - `well`
          when it comes: it goes on
          what to do: nothing

        - 0: done, and `a|b` is
          nothing to see
        ");
    }

    #[test]
    fn every_chapter_fits_eighty_columns() {
        for chapter in crate::guide::CHAPTERS {
            let mut out = Vec::new();
            write_guide(&mut out, chapter.text, 78).unwrap();
            let text = String::from_utf8(out).unwrap();
            for line in anstream::adapter::strip_str(&text).to_string().lines() {
                assert!(line.width() <= 80, "{}: {line}", chapter.name);
            }
            assert!(chapter.text.starts_with("# "), "{}", chapter.name);
        }
    }
}
