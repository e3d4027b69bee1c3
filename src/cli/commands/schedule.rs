//! `rosterd schedule`: when the jobs fire next.

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::report::{write_schedule_json, write_schedule_text};
use crate::web::view::{job_rows, life};

/// Shows when every job fires next, in the time zone of its schedule.
#[derive(clap::Args, Debug)]
pub(crate) struct ScheduleArgs {
    /// How many fires per job.
    #[arg(long, short = 'n', default_value_t = 3, value_name = "NUMBER")]
    next: usize,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_schedule(
    context: &Context,
    args: &ScheduleArgs,
) -> Result<ExitCode, CommandError> {
    let config = context.config_with_job()?;
    let store = Context::existing_store(&config)?;
    let now = Context::now();
    let jobs = job_rows(&config, store.as_ref(), now, args.next)?;
    let life = life(store.as_ref(), now)?;
    print(|out| match args.format.format {
        Format::Text => write_schedule_text(out, &jobs, Some(life), now),
        Format::Json => write_schedule_json(out, &jobs, life),
    })?;
    Ok(ExitCode::Done)
}
