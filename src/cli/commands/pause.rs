//! `rosterd pause` and `rosterd resume`.

use crate::cli::context::{Context, the_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::print;
use crate::program::ROSTERD;
use crate::report::{harmless, in_shell};

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

/// Why a job is paused where nobody says it.
const BY_HAND: &str = "paused by hand";

/// What stands between the reasons of several people.
const AND: &str = "; ";

/// Tells whether a reason has been given before.
fn says(known: &str, reason: &str) -> bool {
    known.split(AND).any(|said| said == reason.trim())
}

pub(crate) fn cmd_pause(context: &Context, args: &PauseArgs) -> Result<ExitCode, CommandError> {
    let config = context.config_with(args.job.as_deref())?;
    let job = the_job(&config, args.job.as_deref(), "pause")?;
    let store = Context::store(&config)?;
    let known = store.paused(&job.name)?.map(|paused| paused.reason);
    let reason = match (&known, &args.reason) {
        (None, reason) => reason.clone().unwrap_or_else(|| BY_HAND.to_owned()),
        (Some(known), None) => known.clone(),
        (Some(known), Some(more)) if says(known, more) => known.clone(),
        // Whoever paused it first waits for something else than the second one does.
        (Some(known), Some(more)) => format!("{known}{AND}{more}"),
    };
    store.set_paused(&job.name, Some(&reason), Context::now())?;
    print(|out| {
        let (job, again) = (&job.name, format!("`{ROSTERD} resume {}`", job.name));
        match known {
            None => writeln!(out, "Job \"{job}\" is paused; {again} lets it run again."),
            Some(_) => writeln!(
                out,
                "Job \"{job}\" was paused already: {}. {again} lets it run again.",
                harmless(&reason)
            ),
        }
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn cmd_resume(context: &Context, args: &ResumeArgs) -> Result<ExitCode, CommandError> {
    let config = context.config_with(args.job.as_deref())?;
    let job = the_job(&config, args.job.as_deref(), "resume")?;
    let store = Context::store(&config)?;
    let was_paused = store.paused(&job.name)?.is_some();
    let open = store.open_undo(&job.name)?;
    store.set_paused(&job.name, None, Context::now())?;
    print(|out| {
        if was_paused {
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
            match &open {
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
