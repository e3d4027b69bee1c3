//! `rosterd show`: what one run did.

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::report::{write_show_json, write_show_text};

/// Shows what one run did, item by item.
#[derive(clap::Args, Debug)]
pub(crate) struct ShowArgs {
    /// The run's id, or the beginning of it, as `rosterd history` shows it.
    run: String,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_show(context: &Context, args: &ShowArgs) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    let unknown = || {
        CommandError::usage(format!(
            "there is no run whose id begins with \"{}\"",
            args.run
        ))
        .hint("`rosterd history` lists the runs")
    };
    let store = Context::existing_store(&config)?.ok_or_else(unknown)?;
    let run = store.run(&args.run)?.ok_or_else(unknown)?;
    let mut unread = None;
    let items = store.run_items(&run.id).map_while(|item| match item {
        Ok(item) => Some(item),
        Err(error) => {
            unread = Some(error);
            None
        }
    });
    print(|out| match args.format.format {
        Format::Text => write_show_text(out, &run, items, &Context::zone()),
        Format::Json => write_show_json(out, &run, items),
    })?;
    match unread {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::Done),
    }
}
