//! `rosterd init`: a starter config.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::print;
use crate::config::starter;

/// Writes a commented starter config; never overwrites one.
#[derive(clap::Args, Debug)]
pub(crate) struct InitArgs {
    /// Where to write it; by default where `--config` points.
    #[arg(long, value_name = "FILE")]
    path: Option<PathBuf>,
}

pub(crate) fn cmd_init(context: &Context, args: &InitArgs) -> Result<ExitCode, CommandError> {
    let path = args
        .path
        .as_deref()
        .unwrap_or_else(|| context.config_path());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => CommandError::usage(format!(
                "{} exists already, and is left as it is",
                path.display()
            ))
            .hint("name another file with `--path`, or check this one with `rosterd check`"),
            _ => CommandError::file(ExitCode::Failed, "writing", path, &error),
        })?;
    file.write_all(starter().as_bytes())
        .map_err(|error| CommandError::file(ExitCode::Failed, "writing", path, &error))?;
    print(|out| {
        writeln!(out, "Wrote {}.", path.display())?;
        writeln!(
            out,
            "Next: fill in your accounts, then `rosterd check --online`, then `rosterd plan JOB`."
        )
    })?;
    Ok(ExitCode::Done)
}
