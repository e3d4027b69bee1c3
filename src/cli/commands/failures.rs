//! `rosterd failures`: what needs a person.

use crate::cli::context::{Context, know_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::report::{write_failures_json, write_failures_text};
use crate::web::view::remembered_failures;

/// Lists items that a provider refused or that nobody can sync, with what can be done about them.
#[derive(clap::Args, Debug)]
pub(crate) struct FailuresArgs {
    /// The job; without it all of them.
    job: Option<String>,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_failures(
    context: &Context,
    args: &FailuresArgs,
) -> Result<ExitCode, CommandError> {
    let mut config = context.config_with_job()?;
    let store = Context::existing_store(&config)?;
    let (failures, accepted) = remembered_failures(store.as_ref(), args.job.as_deref())?;
    if let (Some(job), true) = (&args.job, failures.is_empty()) {
        know_job(&mut config, job)?;
    }
    print(|out| match args.format.format {
        Format::Text => write_failures_text(out, &failures, &accepted, Context::now()),
        Format::Json => write_failures_json(out, &failures, &accepted),
    })?;
    Ok(ExitCode::Done)
}
