//! `rosterd pause` and `rosterd resume`.

use crate::cli::context::{Context, the_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::print;
use crate::program::ROSTERD;
use crate::report::{harmless, in_shell};
use crate::run::by_hand;

/// Keeps a job from running on its schedule and from `sync --all`.
///
/// A run that is active goes on to its end.
#[derive(clap::Args, Debug)]
pub(crate) struct PauseArgs {
    /// The job; may be left out where the config has only one.
    job: Option<String>,
    /// Why, for whoever looks at `rosterd status`; a job that is paused already keeps its first reason
    /// beside this one.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Lets a paused job run again, on its schedule and by `sync --all`.
#[derive(clap::Args, Debug)]
pub(crate) struct ResumeArgs {
    /// The job; may be left out where the config has only one.
    job: Option<String>,
}

pub(crate) fn cmd_pause(context: &Context, args: &PauseArgs) -> Result<ExitCode, CommandError> {
    let config = context.config_with(args.job.as_deref())?;
    let job = the_job(&config, args.job.as_deref(), "pause")?;
    let store = Context::store(&config)?;
    let paused = by_hand::pause(&store, &job.name, args.reason.as_deref(), Context::now())?;
    print(|out| {
        let (job, again) = (&job.name, format!("`{ROSTERD} resume {}`", job.name));
        if paused.was_paused {
            let reason = harmless(&paused.reason);
            return writeln!(
                out,
                "Job \"{job}\" was paused already: {reason}. {again} lets it run again."
            );
        }
        writeln!(out, "Job \"{job}\" is paused; {again} lets it run again.")
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn cmd_resume(context: &Context, args: &ResumeArgs) -> Result<ExitCode, CommandError> {
    let config = context.config_with(args.job.as_deref())?;
    let job = the_job(&config, args.job.as_deref(), "resume")?;
    let store = Context::store(&config)?;
    let resumed = by_hand::resume(&store, &job.name, Context::now())?;
    print(|out| {
        if resumed.was_paused {
            let name = &job.name;
            match (&job.schedule, job.enabled) {
                (Some(_), true) => writeln!(out, "Job \"{name}\" runs on its schedule again.")?,
                (Some(_), false) => writeln!(
                    out,
                    "Job \"{name}\" is not paused any more, and is disabled in the config: the service leaves it out."
                )?,
                (None, _) => writeln!(
                    out,
                    "Job \"{name}\" is not paused any more; it has no schedule, and `{ROSTERD} sync {}` runs it.",
                    in_shell(name)
                )?,
            }
            match &resumed.undo_open {
                Some(run) => writeln!(
                    out,
                    "An undo of run {run} was interrupted: the next run does again what it took back, unless `{ROSTERD} undo {run} --out FILE`, then `{ROSTERD} apply FILE`, is done first."
                ),
                None => Ok(()),
            }
        } else {
            writeln!(out, "Job \"{}\" was not paused.", job.name)
        }
    })?;
    Ok(ExitCode::Done)
}
