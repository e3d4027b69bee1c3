//! `rosterd completions`: completions for a shell.

use clap_complete::Shell;

use crate::cli::definition;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::print_as_it_is;

/// Prints completions for a shell.
#[derive(clap::Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn cmd_completions(args: &CompletionsArgs) -> Result<ExitCode, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), "rosterd", &mut script);
    print_as_it_is(|out| out.write_all(&script))?;
    Ok(ExitCode::Done)
}
