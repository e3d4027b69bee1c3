//! `rosterd backup`: a copy of the state database.

use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::program::ROSTERD;
use crate::report::{describe_inventory, harmless, inventory_json, write_document};
use crate::state::Store;

/// Copies the state database into a file, also while the service or a run uses it.
///
/// The copy appears under its name only when it is whole and was checked; it replaces an earlier copy
/// there, and no other file. It is readable by its owner alone, because it holds addresses. `rosterd
/// restore` puts it back.
#[derive(clap::Args, Debug)]
pub(crate) struct BackupArgs {
    /// Where to write the copy.
    file: PathBuf,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_backup(context: &Context, args: &BackupArgs) -> Result<ExitCode, CommandError> {
    let state = context.state_path()?;
    let inventory = Store::back_up(&state, &args.file)?.ok_or_else(|| {
        CommandError::usage(format!(
            "there is no state database {} yet, so there is nothing to copy",
            state.display()
        ))
        .hint("the first run makes it; `--state FILE` names another one")
    })?;
    let shown = args.file.display().to_string();
    print(|out| match args.format.format {
        Format::Text => {
            writeln!(
                out,
                "Copied the state database as {}: {}.",
                harmless(&shown),
                describe_inventory(&inventory, &Context::zone())
            )?;
            writeln!(
                out,
                "The copy is whole and was checked; `{ROSTERD} restore {}` puts it back.",
                harmless(&shown)
            )
        }
        Format::Json => {
            let mut document = inventory_json(&inventory);
            document["version"] = super::VERSION.into();
            document["path"] = shown.into();
            write_document(out, &document)
        }
    })?;
    Ok(ExitCode::Done)
}
