//! Why a command ended without its result: a sentence, its causes, and what to do next.

use std::error::Error;
use std::io::Write;

use super::exit::ExitCode;
use super::paint::{ERROR, HINT};
use crate::config::ConfigError;
use crate::model::without_addresses;
use crate::program::ROSTERD;
use crate::report::harmless;
use crate::run::{RunError, state_exit_code};
use crate::state::{LockError, StateError};
use crate::web::WebError;

/// A failure of a command, ready to be printed.
#[derive(Debug)]
pub struct CommandError {
    code: ExitCode,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    /// Whether the message carries its own heading, as findings of the config do.
    rendered: bool,
}

impl CommandError {
    /// Makes a failure of one sentence.
    pub(super) fn new(code: ExitCode, message: impl Into<String>) -> CommandError {
        CommandError {
            code,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            rendered: false,
        }
    }

    /// Makes a failure that comes from what was typed.
    pub(super) fn usage(message: impl Into<String>) -> CommandError {
        CommandError::new(ExitCode::Usage, message)
    }

    /// Makes a failure of reading or writing a file.
    pub(super) fn file(
        code: ExitCode,
        doing: &str,
        path: &std::path::Path,
        error: &std::io::Error,
    ) -> CommandError {
        CommandError::new(code, format!("{doing} {} failed: {error}", path.display()))
    }

    /// Adds what a person can do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> CommandError {
        self.hints.push(hint.into());
        self
    }

    /// Takes the hints away, where they would lead to the command that is running.
    pub(super) fn without_hints(mut self) -> CommandError {
        self.hints.clear();
        self
    }

    /// Returns the exit code.
    pub fn code(&self) -> ExitCode {
        self.code
    }

    /// Returns the sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Makes a failure of an error that comes with its context.
    pub(super) fn from_any(code: ExitCode, error: &anyhow::Error) -> CommandError {
        CommandError::from_error(code, error.as_ref())
    }

    fn from_error(code: ExitCode, error: &dyn Error) -> CommandError {
        let message = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many sentences already say what their cause says.
            if !message.contains(&text) && !causes.iter().any(|known| known.contains(&text)) {
                causes.push(text);
            }
            source = cause.source();
        }
        CommandError {
            code,
            message,
            causes,
            hints: Vec::new(),
            rendered: false,
        }
    }

    /// Prints the failure.
    pub(super) fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        if self.rendered {
            writeln!(out, "{}", self.message)?;
        } else {
            writeln!(out, "{ERROR}error:{ERROR:#} {}", harmless(&self.message))?;
        }
        self.causes
            .iter()
            .try_for_each(|cause| writeln!(out, "  caused by: {}", harmless(cause)))?;
        self.hints
            .iter()
            .try_for_each(|hint| writeln!(out, "{HINT}hint:{HINT:#} {hint}"))
    }
}

impl CommandError {
    /// Prints the failure for a program that waits for a result.
    pub(super) fn print_json(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let plain = |text: &str| anstream::adapter::strip_str(text).to_string();
        let document = serde_json::json!({
            "version": crate::report::FORMAT_VERSION,
            "error": {
                "exit_code": self.code.number(),
                "message": plain(&self.message),
                "causes": self.causes.iter().map(|text| plain(text)).collect::<Vec<_>>(),
                "hints": self.hints.iter().map(|text| plain(text)).collect::<Vec<_>>(),
            },
        });
        writeln!(out, "{document}")
    }
}

impl From<clap::Error> for CommandError {
    fn from(error: clap::Error) -> Self {
        // The first paragraph says what is wrong, and the others what could be typed instead.
        let text = error.render().to_string();
        let mut paragraphs = text.trim().split("\n\n").map(|paragraph| {
            let words = paragraph.split_whitespace();
            words.collect::<Vec<_>>().join(" ")
        });
        let message = paragraphs.next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        CommandError {
            hints: paragraphs.collect(),
            ..CommandError::usage(message)
        }
    }
}

impl From<RunError> for CommandError {
    fn from(error: RunError) -> Self {
        let mut failure = CommandError::from_error(ExitCode::of(error.exit_code()), &error);
        if let RunError::Read { .. } | RunError::Write { .. } | RunError::Groups { .. } = error {
            // The provider's words end on standard error, which names nobody.
            failure.message = without_addresses(&failure.message);
            for cause in &mut failure.causes {
                *cause = without_addresses(cause);
            }
        }
        match error {
            RunError::UnknownJob { .. } => {
                failure.hint(format!("`{ROSTERD} status` lists the jobs"))
            }
            RunError::Busy(_) => failure.hint(format!("`{ROSTERD} status` shows what is running")),
            RunError::Config { .. } => {
                failure.hint(format!("`{ROSTERD} check --online` tries every provider"))
            }
            _ => failure,
        }
    }
}

impl From<StateError> for CommandError {
    fn from(error: StateError) -> Self {
        CommandError::from_error(ExitCode::of(state_exit_code(&error)), &error)
    }
}

impl From<WebError> for CommandError {
    fn from(error: WebError) -> Self {
        match &error {
            WebError::Listen { .. } => CommandError::from_error(ExitCode::Usage, &error).hint(
                "another program listens there, or the system refuses it: give `daemon.listen` another port, or leave it out for a service without HTTP",
            ),
            WebError::Token(_) => CommandError::from_error(ExitCode::Failed, &error),
        }
    }
}

impl From<LockError> for CommandError {
    fn from(error: LockError) -> Self {
        let code = match &error {
            LockError::Busy { .. } => ExitCode::Busy,
            LockError::File { .. } => ExitCode::Usage,
            LockError::Full { .. } => ExitCode::Failed,
        };
        CommandError::from_error(code, &error)
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let rendered = match &error {
            ConfigError::Invalid(findings) => Some(findings.render(true)),
            ConfigError::NotFound(_) | ConfigError::Unreadable { .. } => None,
        };
        let failure = CommandError::from_error(ExitCode::Usage, &error);
        match rendered {
            Some(message) => CommandError {
                message,
                rendered: true,
                causes: Vec::new(),
                ..failure
            },
            None => failure,
        }
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        CommandError::new(
            ExitCode::Failed,
            format!("writing the result failed: {error}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(error: &CommandError) -> String {
        let mut out = Vec::new();
        error.print(&mut out).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    #[test]
    fn an_error_is_a_sentence_and_hints() {
        let error = RunError::UnknownJob {
            name: "crm-to-mial".to_owned(),
            hint: Some("crm-to-mail".to_owned()),
        };
        let error = CommandError::from(error);
        assert_eq!(error.code(), ExitCode::Usage);
        insta::assert_snapshot!(printed(&error), @r#"
        error: there is no job "crm-to-mial" in the config; did you mean "crm-to-mail"?
        hint: `rosterd status` lists the jobs
        "#);
    }

    #[test]
    fn a_program_is_told_without_colours() {
        let error = CommandError::usage("\u{1b}[1mno\u{1b}[0m").hint("do \"that\"");
        let mut out = Vec::new();
        error.print_json(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"error\":{\"causes\":[],\"exit_code\":2,\"hints\":[\"do \\\"that\\\"\"],\"message\":\"no\"},\"version\":1}\n"
        );
    }

    #[test]
    fn a_failed_cause_is_not_said_twice() {
        let error = RunError::State(StateError::Full {
            path: "rosterd.db".into(),
        });
        insta::assert_snapshot!(printed(&CommandError::from(error)), @"
        error: the disk that holds the state database rosterd.db is full; make room and run again, the journal knows how far it got
        ");
    }

    #[test]
    fn findings_of_the_config_are_shown_with_their_place() {
        let findings = crate::config::parse(
            "[jobs.a]\nsorce = \"crm\"\n",
            std::path::Path::new("rosterd.toml"),
        )
        .unwrap_err();
        let text = printed(&CommandError::from(ConfigError::Invalid(findings)));
        assert!(
            text.contains("rosterd.toml:2:1") && text.contains("sorce"),
            "{text}"
        );
    }
}
