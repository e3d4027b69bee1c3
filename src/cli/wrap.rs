//! Lines that fit a terminal: broken between words, and going on below where they began.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

/// Narrower ones are not broken: little would stand in a line.
pub(super) const LEAST: usize = 30;

/// A writer that breaks long lines of text between words.
///
/// What goes on stands below the beginning of the line's text; in a row of a table below the beginning
/// of its last column, if there is room. A word that is longer than a line stays whole. JSON is left
/// as it is.
pub(super) struct Wrapping<W: Write> {
    inner: W,
    columns: Option<usize>,
    line: Vec<u8>,
    began: bool,
}

impl<W: Write> Wrapping<W> {
    /// Wraps at a number of columns; nothing where lines stay as they are.
    pub(super) fn new(inner: W, columns: Option<usize>) -> Wrapping<W> {
        Wrapping {
            inner,
            columns: columns.filter(|columns| *columns >= LEAST),
            line: Vec::new(),
            began: false,
        }
    }

    fn end_line(&mut self, with_break: bool) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        match (self.columns, std::str::from_utf8(&line)) {
            (Some(columns), Ok(text)) => self.inner.write_all(wrapped(text, columns).as_bytes())?,
            _ => self.inner.write_all(&line)?,
        }
        if with_break {
            self.inner.write_all(b"\n")?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Wrapping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.began && !bytes.is_empty() {
            self.began = true;
            if matches!(bytes[0], b'{' | b'[') {
                self.columns = None;
            }
        }
        if self.columns.is_none() {
            return self.inner.write(bytes);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(rest) => {
                    self.line.extend_from_slice(rest);
                    self.end_line(true)?;
                }
                None => self.line.extend_from_slice(part),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            self.end_line(false)?;
        }
        self.inner.flush()
    }
}

/// One place of a line at which it may be broken.
struct Blank {
    /// Where the blank begins, in bytes.
    at: usize,
    /// Where the next word begins.
    next: usize,
    /// The columns before the blank.
    columns: usize,
    /// How many blanks there are.
    room: usize,
}

fn wrapped(line: &str, columns: usize) -> String {
    let (blanks, width) = blanks_of(line);
    if width <= columns {
        return line.to_owned();
    }
    let begins = line.len() - line.trim_start_matches(' ').len();
    // Two blanks part the columns of a table.
    let gaps: Vec<&Blank> = blanks
        .iter()
        .filter(|blank| blank.room >= 2 && blank.at > 0)
        .collect();
    let last_column = gaps.last().map(|gap| gap.columns + gap.room);
    if gaps.len() >= 2 && last_column.is_some_and(|column| column > columns / 2) {
        return in_columns(line, &gaps, width, columns);
    }
    let below = last_column.filter(|column| *column <= columns / 2);
    let below = " ".repeat(below.unwrap_or(begins).max(begins).min(columns / 2));
    let mut text = String::with_capacity(line.len() + 32);
    let (mut from, mut before) = (0, 0);
    let mut room = columns;
    let mut fits: Option<&Blank> = None;
    let end = Blank {
        at: line.len(),
        next: line.len(),
        columns: width,
        room: 0,
    };
    for blank in blanks.iter().filter(|blank| blank.at > 0).chain([&end]) {
        if blank.columns - before > room
            && let Some(last) = fits.take()
        {
            text.push_str(&line[from..last.at]);
            break_line(&mut text, &line[last.at..last.next], &below);
            from = last.next;
            before = last.columns + last.room;
            room = columns - below.len();
        }
        if blank.at > from {
            fits = Some(blank);
        }
    }
    text.push_str(&line[from..]);
    text
}

/// Breaks a row of a table between columns: all rows of a table at the same ones, since what stands
/// before the last column is filled up.
fn in_columns(line: &str, gaps: &[&Blank], width: usize, columns: usize) -> String {
    const BELOW: &str = "    ";
    let mut text = String::with_capacity(line.len() + 32);
    let (mut from, mut start, mut below) = (0, 0, 0);
    for (at, gap) in gaps.iter().enumerate() {
        let next = gap.columns + gap.room;
        // Where the column after this gap ends.
        let end = match gaps.get(at + 1) {
            Some(after) => after.columns + after.room - 2,
            None => width,
        };
        if end - start + below > columns {
            text.push_str(&line[from..gap.at]);
            break_line(&mut text, &line[gap.at..gap.next], BELOW);
            (from, start, below) = (gap.next, next, BELOW.len());
        }
    }
    let rest = &line[from..];
    if from > 0 && width - start + below > columns {
        text.truncate(text.len() - BELOW.len());
        text.push_str(&wrapped(&format!("{BELOW}{rest}"), columns));
    } else {
        text.push_str(rest);
    }
    text
}

/// Ends a line in the place of blanks, and keeps what colours stood among them.
fn break_line(text: &mut String, blanks: &str, below: &str) {
    text.push_str(&blanks.replace(' ', ""));
    text.push('\n');
    text.push_str(below);
}

/// Returns the runs of blanks in a line, and how wide the line is; escape sequences that colour take
/// no room.
fn blanks_of(line: &str) -> (Vec<Blank>, usize) {
    let mut blanks: Vec<Blank> = Vec::new();
    let mut columns = 0;
    let mut characters = line.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\u{1b}' => {
                for (_, part) in characters.by_ref() {
                    if part.is_ascii_alphabetic() {
                        break;
                    }
                }
                continue;
            }
            ' ' => match blanks.last_mut() {
                // Colours may stand in between.
                Some(last) if last.columns + last.room == columns => {
                    last.next = at + 1;
                    last.room += 1;
                }
                _ => blanks.push(Blank {
                    at,
                    next: at + 1,
                    columns,
                    room: 1,
                }),
            },
            _ => {}
        }
        columns += character.width().unwrap_or_default();
    }
    (blanks, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, columns: usize) -> String {
        let mut out = Vec::new();
        let mut writer = Wrapping::new(&mut out, Some(columns));
        // In pieces, as a result is written.
        for piece in text.as_bytes().chunks(7) {
            writer.write_all(piece).unwrap();
        }
        writer.flush().unwrap();
        drop(writer);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_broken_between_words_and_go_on_below() {
        let text =
            "short\n    ! a sentence that is far too long for the forty columns of this terminal\n";
        insta::assert_snapshot!(written(text, 40), @r"
        short
            ! a sentence that is far too long
            for the forty columns of this
            terminal
        ");
    }

    #[test]
    fn the_last_column_of_a_table_goes_on_below_itself() {
        let text = "RUN   JOB   DONE\n2026  main  7 opt-outs carried, 5 groups created, 39 people created\n";
        insta::assert_snapshot!(written(text, 40), @r"
        RUN   JOB   DONE
        2026  main  7 opt-outs carried, 5 groups
                    created, 39 people created
        ");
    }

    #[test]
    fn the_rows_of_a_table_are_broken_between_the_same_columns() {
        let text = "\u{1b}[2mID  NAME      \u{1b}[0m  \u{1b}[2mKIND  \u{1b}[0m  STATUS  LINKED BY\n1   a b c d e   static  active  crm-to-mail (<- 1)\n20  aa bb       static  active  -\n";
        let shown = anstream::adapter::strip_str(&written(text, 36)).to_string();
        insta::assert_snapshot!(shown, @r"
        ID  NAME        KIND    STATUS
            LINKED BY
        1   a b c d e   static  active
            crm-to-mail (<- 1)
        20  aa bb       static  active  -
        ");
        assert_eq!(
            written(text, 36).matches("\u{1b}[0m").count(),
            2,
            "no colour runs on"
        );
    }

    #[test]
    fn nothing_is_lost_and_no_word_is_broken() {
        for text in [
            "",
            "\n\n",
            "no end of a line",
            "x".repeat(200).as_str(),
            &format!("  {} {} z", "x".repeat(60), "y".repeat(60)),
            "\u{1b}[1mbold words\u{1b}[0m that take no room of their own at all, whatever they are",
            "株式会社 株式会社 株式会社 株式会社 株式会社 株式会社 株式会社 株式会社",
            " leading and  double   blanks in a line that is long enough to be broken twice or so ",
        ] {
            let shown = written(text, 40);
            let words = |text: &str| -> Vec<String> {
                text.split_whitespace().map(str::to_owned).collect()
            };
            assert_eq!(words(&shown), words(text));
            for line in shown.lines() {
                let (blanks, width) = blanks_of(line.trim_start());
                assert!(width <= 40 || blanks.is_empty(), "{line:?}");
            }
        }
    }

    #[test]
    fn json_and_narrow_terminals_are_left_alone() {
        let json = "{\"a\": \"words that go on and on and on and on and on and on\"}\n";
        assert_eq!(written(json, 40), json);
        let text = "a line of several words for a terminal of ten columns\n";
        assert_eq!(written(text, 10), text);
    }
}
