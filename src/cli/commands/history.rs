//! `rosterd history`: what ran.

use crate::cli::context::{Context, know_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::report::{write_history_json, write_history_text};

/// Lists the runs of a job, or of all, newest first.
#[derive(clap::Args, Debug)]
pub(crate) struct HistoryArgs {
    /// The job.
    job: Option<String>,
    /// How many runs at most.
    #[arg(long, short = 'n', default_value_t = 20, value_name = "NUMBER")]
    limit: usize,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_history(context: &Context, args: &HistoryArgs) -> Result<ExitCode, CommandError> {
    let mut config = context.config()?;
    let runs = match Context::existing_store(&config)? {
        Some(store) => store.history(args.job.as_deref(), args.limit)?,
        None => Vec::new(),
    };
    // A job that left the config keeps its history.
    if let (Some(job), true) = (&args.job, runs.is_empty()) {
        know_job(&mut config, job)?;
    }
    print(|out| match args.format.format {
        Format::Text => write_history_text(out, &runs, &Context::zone()),
        Format::Json => write_history_json(out, &runs),
    })?;
    Ok(ExitCode::Done)
}
