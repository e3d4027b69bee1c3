//! Commands as they are shown: with the options that were typed before them, so that what is shown can
//! be typed as it stands.

use std::io::{self, Write};
use std::sync::OnceLock;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _};

use super::Cli;
use crate::report::in_shell;

/// The options that were typed and every command needs again, with a blank in front; and which
/// commands take them.
static TYPED: OnceLock<Typed> = OnceLock::new();

/// Commands that need neither a config nor a state database.
const ALONE: [&str; 7] = [
    "completions",
    "demo",
    "emulate",
    "help",
    "init",
    "man",
    "schema",
];

/// Lines that are longer hold no command that anybody types: they are data.
const LONGEST: usize = 16 * 1024;

struct Typed {
    options: String,
    commands: Vec<String>,
}

/// Takes down what was typed. What stands in the environment is there for the next command as well.
pub(super) fn remember(matches: &ArgMatches) {
    let mut typed = [("config", None), ("state", None)];
    let mut level = Some(("", matches));
    while let Some((name, matches)) = level {
        if ALONE.contains(&name) {
            return;
        }
        for (option, value) in &mut typed {
            if matches.value_source(option) == Some(ValueSource::CommandLine) {
                *value = matches.get_raw(option).and_then(Iterator::last);
            }
        }
        level = matches.subcommand();
    }
    let mut options = String::new();
    for (option, value) in typed {
        if let Some(value) = value {
            options.push_str(" --");
            options.push_str(option);
            options.push(' ');
            options.push_str(&in_shell(&value.to_string_lossy()));
        }
    }
    if options.is_empty() {
        return;
    }
    let commands = Cli::command();
    let commands = commands.get_subcommands().map(clap::Command::get_name);
    let commands = commands.filter(|name| !ALONE.contains(name));
    let typed = Typed {
        options,
        commands: commands.map(str::to_owned).collect(),
    };
    // One program runs one command.
    drop(TYPED.set(typed));
}

/// A writer of text, or of a page, that completes the commands in it. JSON is left as it is.
pub(super) struct Completing<W: Write> {
    inner: W,
    typed: Option<&'static Typed>,
    is_page: bool,
    line: Vec<u8>,
    began: bool,
    /// Whether the rest of the line goes through as it is.
    passing: bool,
}

impl<W: Write> Completing<W> {
    pub(super) fn new(inner: W) -> Completing<W> {
        Completing {
            inner,
            typed: TYPED.get(),
            is_page: false,
            line: Vec::new(),
            began: false,
            passing: false,
        }
    }

    fn take(&mut self, part: &[u8]) -> io::Result<()> {
        let ends = part.ends_with(b"\n");
        if self.passing {
            self.inner.write_all(part)?;
        } else {
            self.line.extend_from_slice(part);
            if ends || self.line.len() > LONGEST {
                self.end_line(!ends)?;
            }
        }
        self.passing &= !ends;
        Ok(())
    }

    fn end_line(&mut self, goes_on: bool) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        self.passing = goes_on;
        match (self.typed, std::str::from_utf8(&line)) {
            (Some(typed), Ok(text)) if !goes_on => {
                let text = completed(text, &typed.options, &typed.commands, self.is_page);
                self.inner.write_all(text.as_bytes())
            }
            _ => self.inner.write_all(&line),
        }
    }
}

impl<W: Write> Write for Completing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.began && !bytes.is_empty() {
            self.began = true;
            self.is_page = bytes[0] == b'<';
            if matches!(bytes[0], b'{' | b'[') {
                self.typed = None;
            }
        }
        if self.typed.is_none() {
            return self.inner.write(bytes);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.take(part)?;
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

/// Puts options behind the program's name wherever a command stands: at the beginning of a line, in
/// backticks, after a colon, or in the markup of a page.
fn completed(line: &str, options: &str, commands: &[String], is_page: bool) -> String {
    const NAME: &str = "rosterd";
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(NAME) {
        let (before, after) = (&rest[..at], &rest[at + NAME.len()..]);
        text.push_str(before);
        text.push_str(NAME);
        let trimmed = text[..text.len() - NAME.len()].trim_end_matches(' ');
        let is_begun = trimmed.is_empty() || trimmed.ends_with(['`', ':', '>']);
        let word = after.strip_prefix(' ').unwrap_or_default();
        let end = word.find(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
        let word = &word[..end.unwrap_or(word.len())];
        if is_begun && commands.iter().any(|command| command == word) {
            if is_page {
                let escaped = options.replace('&', "&amp;").replace('<', "&lt;");
                text.push_str(&escaped);
            } else {
                text.push_str(options);
            }
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_get_what_was_typed_and_nothing_else_does() {
        let commands = ["plan", "sync"].map(str::to_owned);
        let text = |line: &str| completed(line, " --config 'a & b'", &commands, false);
        for (shown, expected) in [
            (
                "Next: `rosterd sync a`, or `rosterd plan a --out FILE`.",
                "Next: `rosterd --config 'a & b' sync a`, or `rosterd --config 'a & b' plan a --out FILE`.",
            ),
            (
                "      rosterd sync a --approve x",
                "      rosterd --config 'a & b' sync a --approve x",
            ),
            (
                "to part them: rosterd plan a",
                "to part them: rosterd --config 'a & b' plan a",
            ),
            // The program itself, a command of which nothing is known, and one that needs nothing.
            (
                "whom rosterd plan after plan has met",
                "whom rosterd plan after plan has met",
            ),
            (
                "`rosterd planned`, `rosterd init`",
                "`rosterd planned`, `rosterd init`",
            ),
            ("rosterd", "rosterd"),
        ] {
            assert_eq!(text(shown), expected);
        }
        let page = completed(
            "<pre>rosterd plan a &gt; b</pre>",
            " --config 'a & b'",
            &commands,
            true,
        );
        assert_eq!(
            page,
            "<pre>rosterd --config 'a &amp; b' plan a &gt; b</pre>"
        );
    }
}
