//! Asking the person at the terminal before something is done that can't be taken for granted.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use super::error::CommandError;
use super::exit::ExitCode;

/// The option of every command that asks.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct YesArg {
    /// Answers the question with yes.
    #[arg(long)]
    pub(super) yes: bool,
}

impl YesArg {
    /// Fails where the question will have no answer, with what to do then.
    pub(super) fn can_be_answered(self, hint: &str) -> Result<(), CommandError> {
        if self.yes || can_ask() {
            return Ok(());
        }
        Err(CommandError::new(
            ExitCode::Refused,
            "nobody is there to be asked; nothing was read or written",
        )
        .hint(hint))
    }

    /// Asks, and fails where the answer is no, or where nobody can be asked. What is to be known
    /// first is told by `tell`.
    pub(super) fn confirm(
        self,
        question: &str,
        tell: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CommandError> {
        if self.yes {
            return Ok(());
        }
        let mut out = anstream::stderr();
        let can_ask = can_ask();
        let answered = tell(&mut out)
            .and_then(|()| Ok(can_ask && ask(&mut io::stdin().lock(), &mut out, question)?));
        match answered {
            Ok(true) => Ok(()),
            Ok(false) if can_ask => Err(CommandError::new(
                ExitCode::Refused,
                "the answer was no; nothing was changed",
            )),
            Ok(false) => Err(CommandError::new(
                ExitCode::Refused,
                format!("nobody is there to be asked: {question} Nothing was changed"),
            )
            .hint("`--yes` answers the question")),
            Err(error) => Err(CommandError::new(
                ExitCode::Refused,
                format!("the question could not be asked: {error}; nothing was changed"),
            )),
        }
    }
}

fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks until the answer is yes or no; an end without an answer is a no.
fn ask(input: &mut dyn BufRead, out: &mut dyn Write, question: &str) -> io::Result<bool> {
    loop {
        write!(out, "{question} [yes/no] ")?;
        out.flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer)? == 0 {
            writeln!(out)?;
            return Ok(false);
        }
        match answer.trim().to_ascii_lowercase().as_str() {
            "yes" | "y" => return Ok(true),
            "no" | "n" | "" => return Ok(false),
            _ => {}
        }
    }
}

/// Asks for a directory, which an empty line and an end without an answer leave out.
pub(super) fn ask_for_directory(question: &str) -> Option<PathBuf> {
    if !can_ask() {
        return None;
    }
    let (mut input, mut out) = (io::stdin().lock(), anstream::stderr());
    read_directory(&mut input, &mut out, question).unwrap_or_default()
}

fn read_directory(
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    question: &str,
) -> io::Result<Option<PathBuf>> {
    write!(out, "{question} ")?;
    out.flush()?;
    let mut answer = String::new();
    if input.read_line(&mut answer)? == 0 {
        writeln!(out)?;
    }
    let answer = answer.trim();
    Ok((!answer.is_empty()).then(|| PathBuf::from(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (typed, expected, asked) in [
            ("yes\n", true, 1),
            (" Y \n", true, 1),
            ("no\n", false, 1),
            ("\n", false, 1),
            ("", false, 1),
            ("of course\nyes\n", true, 2),
            ("yes, but\nmaybe\n", false, 3),
        ] {
            let mut out = Vec::new();
            let answer = ask(&mut typed.as_bytes(), &mut out, "Replace it?").unwrap();
            assert_eq!(answer, expected, "{typed:?}");
            let said = String::from_utf8(out).unwrap();
            assert_eq!(said.matches("Replace it? [yes/no]").count(), asked);
        }
    }

    #[test]
    fn no_directory_is_an_answer() {
        for (typed, expected) in [
            ("backup\n", Some("backup")),
            ("  my backup \n", Some("my backup")),
            ("\n", None),
            ("", None),
        ] {
            let mut out = Vec::new();
            let answer = read_directory(&mut typed.as_bytes(), &mut out, "Where?").unwrap();
            assert_eq!(answer, expected.map(PathBuf::from), "{typed:?}");
        }
    }
}
