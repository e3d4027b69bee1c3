//! `rosterd status`: whether the service is alive, and how the jobs fare.

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::report::{write_status_json, write_status_text};
use crate::web::view::service_status;

/// Shows whether the service is alive, how each job fares, and what waits for a person.
///
/// Of each job it shows the state, when it runs next and how its last run ended.
///
/// The service tells the state database every quarter of a minute that it is alive; where nothing was
/// heard for a minute it counts as not running.
#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    /// Ends with 1 when something needs a person, for probes: a job that fails, is refused by a guard,
    /// has items that nobody accepted or is half undone, a schedule without a service, a service that
    /// keeps its config because the new one is wrong, or a message that was given up.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_status(context: &Context, args: &StatusArgs) -> Result<ExitCode, CommandError> {
    let config = context.config_with_job()?;
    let store = Context::existing_store(&config)?;
    let now = Context::now();
    let status = service_status(&config, store.as_ref(), now)?;
    print(|out| match args.format.format {
        Format::Text => write_status_text(out, &status, now),
        Format::Json => write_status_json(out, &status, now),
    })?;
    if args.check && status.needs_a_person() {
        return Ok(ExitCode::Failed);
    }
    Ok(ExitCode::Done)
}
