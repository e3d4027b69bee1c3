//! `rosterd retry`: what a provider refused, once more and now.

use crate::cli::context::{Context, the_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::FormatArg;
use crate::cli::output::tell;

/// Sends the failed items of a job again now, in a run of the job.
#[derive(clap::Args, Debug)]
pub(crate) struct RetryArgs {
    /// The job; may be left out where the config has only one.
    job: Option<String>,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) async fn cmd_retry(
    context: &Context,
    args: &RetryArgs,
) -> Result<ExitCode, CommandError> {
    let config = context.config_with(args.job.as_deref())?;
    let job = the_job(&config, args.job.as_deref(), "retry")?.name.clone();
    let waiting = Context::store(&config)?.retry_now(&job, Context::now())?;
    tell(|out| match waiting {
        0 => writeln!(out, "No failed item was waiting; running the job."),
        1 => writeln!(out, "1 failed item is sent again; running the job."),
        many => writeln!(out, "{many} failed items are sent again; running the job."),
    });
    let runner = context.runner(config)?;
    Box::pin(super::sync::sync_jobs(
        context,
        &runner,
        std::slice::from_ref(&job),
        None,
        ("retry", false),
        args.format,
        false,
    ))
    .await
}
