//! `rosterd man`: manual pages.

use std::path::PathBuf;

use clap_mangen::Man;

use crate::cli::definition;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::print_as_it_is;

/// Prints the manual page, or writes one page per command into a directory.
#[derive(clap::Args, Debug)]
pub(crate) struct ManArgs {
    /// Writes `rosterd.1`, `rosterd-plan.1` and so on into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

pub(crate) fn cmd_man(args: &ManArgs) -> Result<ExitCode, CommandError> {
    match &args.dir {
        Some(directory) => {
            clap_mangen::generate_to(definition(), directory).map_err(|error| {
                CommandError::file(
                    ExitCode::Failed,
                    "writing manual pages into",
                    directory,
                    &error,
                )
            })?;
        }
        None => print_as_it_is(|out| {
            let mut page = Vec::new();
            Man::new(definition()).render(&mut page)?;
            out.write_all(&page)
        })?,
    }
    Ok(ExitCode::Done)
}
