//! `rosterd pause` and `rosterd resume`.

use crate::cli::context::{Context, find_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::print;

/// Keeps a job from running on its schedule and from `sync --all`.
///
/// A run that is active goes on to its end.
#[derive(clap::Args, Debug)]
pub(crate) struct PauseArgs {
    /// The job.
    job: String,
    /// Why, for whoever looks at `rosterd status`.
    #[arg(long, value_name = "TEXT", default_value = "paused by hand")]
    reason: String,
}

/// Lets a paused job run on its schedule again.
#[derive(clap::Args, Debug)]
pub(crate) struct ResumeArgs {
    /// The job.
    job: String,
}

pub(crate) fn cmd_pause(context: &Context, args: &PauseArgs) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    let job = find_job(&config, &args.job)?;
    Context::store(&config)?.set_paused(&job.name, Some(&args.reason), Context::now())?;
    print(|out| {
        writeln!(
            out,
            "Job \"{0}\" is paused; `rosterd resume {0}` lets it run again.",
            job.name
        )
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn cmd_resume(context: &Context, args: &ResumeArgs) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    let job = find_job(&config, &args.job)?;
    let store = Context::store(&config)?;
    let was_paused = store.paused(&job.name)?.is_some();
    store.set_paused(&job.name, None, Context::now())?;
    print(|out| {
        if was_paused {
            writeln!(out, "Job \"{}\" runs on its schedule again.", job.name)
        } else {
            writeln!(out, "Job \"{}\" was not paused.", job.name)
        }
    })?;
    Ok(ExitCode::Done)
}
