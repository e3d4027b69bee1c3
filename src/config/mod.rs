//! The configuration: what was typed, what it means ([`settled`]), and everything that is wrong
//! with it, at once.
//!
//! | module | responsibility |
//! |---|---|
//! | `keys` | every known key: shape, default, meaning |
//! | `read`, `value`, `syntax`, `raw` | the file as a tree of values of the right shape |
//! | `settle` | defaults, relations between keys, and checks that take several of them |
//! | [`settled`] | the result, in which nothing is optional that need not be |
//! | [`diagnostics`] | findings with file, line, column and a hint |
//! | [`secrets`] | fetching a secret at the moment it is needed |
//!
//! Nothing but [`load`] and [`secrets`] reads anything. A secret is never part of the file; where
//! somebody wrote one into it, neither the text nor its line is ever shown.

pub mod diagnostics;
mod implicit;
mod json_schema;
mod keys;
mod raw;
mod read;
pub mod secrets;
mod settle;
pub mod settled;
mod starter;
mod syntax;
mod value;

use std::io;
use std::path::{Path, PathBuf};

use diagnostics::{Diagnostics, Severity, Sink, Warning};
pub use implicit::{ImplicitJobError, implicit_job, implicit_pair};
pub use json_schema::{FieldRow, fields_table, json_schema};
pub use settled::Config;
pub use starter::starter;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error("there is no config file {}; name one with --config or ROSTERD_CONFIG, or write one with `rosterd init`", .0.display())]
    NotFound(PathBuf),
    /// The file can't be read.
    #[error("the config file {} can't be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The file can be read, and something in it is wrong.
    #[error("{0}")]
    Invalid(Diagnostics),
}

/// Reads a friendly duration such as `15m`, as the config takes it.
///
/// # Errors
/// A sentence that says what is wrong with it, and how to write one.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    value::duration(text).map_err(|problem| match problem.hint {
        Some(hint) => format!("it {}; {hint}", problem.message),
        None => format!("it {}", problem.message),
    })
}

/// Reads and checks a configuration file.
///
/// # Errors
/// [`ConfigError::Invalid`] holds every finding of the file, warnings included.
pub fn load(path: &Path) -> Result<(Config, Vec<Warning>), ConfigError> {
    let text = std::fs::read(path).map_err(|reason| match reason.kind() {
        io::ErrorKind::NotFound => ConfigError::NotFound(path.to_path_buf()),
        _ => ConfigError::Unreadable {
            path: path.to_path_buf(),
            reason,
        },
    })?;
    let text = String::from_utf8(text).map_err(|_| ConfigError::Unreadable {
        path: path.to_path_buf(),
        reason: io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"),
    })?;
    parse(&text, path).map_err(ConfigError::Invalid)
}

/// Checks the text of a configuration file; `path` is shown in findings, and relative paths start
/// from its directory.
///
/// # Errors
/// Every finding of the text, warnings included, in the order of the file.
pub fn parse(text: &str, path: &Path) -> Result<(Config, Vec<Warning>), Diagnostics> {
    let mut sink = Sink::default();
    let root = read::read(text, &mut sink);
    let readable = !sink.has_syntax_errors();
    let config = if readable {
        settle::settle(&root, text, path, &mut sink)
    } else {
        None
    };
    let findings = sink.finish(text, path);
    match config {
        Some(config) if !findings.has_errors() => {
            debug_assert!(
                findings
                    .iter()
                    .all(|finding| finding.severity == Severity::Warning)
            );
            Ok((config, findings.into_vec()))
        }
        _ => Err(findings),
    }
}

#[cfg(test)]
mod tests;
