//! `rosterd run`: the service.

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::config::Config;
use crate::daemon;
use crate::program::ROSTERD;
use crate::report::{harmless, no_schedule};
use crate::run::RunError;
use crate::state::StateError;
use crate::web::WebError;

/// Runs every job on its schedule until it is asked to stop. One per state database.
///
/// SIGTERM and Ctrl-C let requests in flight finish; SIGHUP reads the config again, and keeps the
/// old one if the new one is wrong. Without an enabled job that has a schedule there is nothing to
/// run, which is an error.
#[derive(clap::Args, Debug)]
pub(crate) struct RunArgs {}

pub(crate) async fn cmd_run(context: &Context, _args: &RunArgs) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    if !config
        .jobs
        .values()
        .any(|job| job.enabled && job.schedule.is_some())
    {
        return Err(CommandError::usage(
            "there is nothing to run: no job of the config is enabled and has a schedule",
        )
        .hint(hint(&config)));
    }
    let mut here = config
        .jobs
        .values()
        .filter(|job| config.daemon.runs(&job.name));
    if !here.any(|job| job.enabled && job.schedule.is_some()) {
        return Err(CommandError::usage(
            "there is nothing to run: `daemon.jobs` leaves every job that is enabled and has a schedule to others",
        )
        .hint("have a pattern of `jobs` below `[daemon]` match the name of such a job; `[\"*\"]` matches all"));
    }
    let busy = RunError::Busy(String::new()).exit_code();
    match daemon::run(config, context.global.state.clone()).await {
        Ok(code) if code == busy => Ok(ExitCode::Busy),
        Ok(_) => Ok(ExitCode::Done),
        Err(error) => Err(match error.downcast::<StateError>() {
            Ok(error) => error.into(),
            Err(error) => match error.downcast::<WebError>() {
                Ok(error) => error.into(),
                Err(error) => CommandError::from_any(ExitCode::Failed, &error),
            },
        }),
    }
}

/// Names the line that gives a job a schedule.
fn hint(config: &Config) -> String {
    let by_hand = format!("run it by hand with `{ROSTERD} sync JOB`");
    let mut jobs = config.jobs.values();
    match jobs.find(|job| job.schedule.is_some()) {
        Some(job) => format!(
            "take `enabled = false` out of `[jobs.{}]`, or {by_hand}",
            harmless(&job.name)
        ),
        None => config.jobs.keys().next().map_or_else(
            || format!("`{ROSTERD} init` writes a config with a job"),
            |job| format!("{}, or {by_hand}", no_schedule(job)),
        ),
    }
}
