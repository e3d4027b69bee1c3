//! `rosterd sync`: unattended runs.

use crate::cli::context::{Context, know_job, only_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::{print, tell};
use crate::cli::wait::WaitArg;
use crate::config::Config;
use crate::notify::Notifier;
use crate::program::ROSTERD;
use crate::report::{JobResult, write_run_json, write_run_text, write_runs_json};
use crate::run::{RunError, RunReport, Runner, SyncOptions};
use crate::state::Store;

/// Makes one unattended run per job: read, plan, guard, apply, verify.
#[derive(clap::Args, Debug)]
pub(crate) struct SyncArgs {
    /// The jobs, one after the other; may be left out where there is only one. A paused or disabled job
    /// runs where it is named; one that is paused for an undo which was interrupted is refused, unless
    /// approved or resumed.
    #[arg(conflicts_with = "all", value_name = "JOB")]
    jobs: Vec<String>,
    /// Every job that is neither paused nor disabled.
    #[arg(long)]
    all: bool,
    /// The approval that a guard offered: lets the operations it refused pass, once. Takes one job.
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    approve: Option<String>,
    #[command(flatten)]
    wait: WaitArg,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) async fn cmd_sync(context: &Context, args: &SyncArgs) -> Result<ExitCode, CommandError> {
    let mut config = context.config_with_job()?;
    for job in &args.jobs {
        know_job(&mut config, job)?;
    }
    if args.approve.is_some() && args.jobs.len() > 1 {
        return Err(
            CommandError::usage("an approval belongs to one job, and several are named")
                .hint("name the job that was refused"),
        );
    }
    let jobs = if args.all {
        active_jobs(&config, &Context::store(&config)?)?
    } else if args.jobs.is_empty() {
        let only = only_job(&config, "sync");
        let only = only.map_err(|error| {
            if config.jobs.is_empty() {
                error
            } else {
                error.hint("`--all` runs each job")
            }
        })?;
        refuse_resting(&config, &only)?;
        vec![only]
    } else {
        args.jobs.clone()
    };
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    Box::pin(sync_jobs(
        context,
        &runner,
        &jobs,
        args.approve.as_ref(),
        ("manual", args.all),
        args.format,
        args.all || jobs.len() > 1,
    ))
    .await
}

/// Refuses a job that somebody has stopped, where it was not named: after an undo a run would do again what
/// was taken back.
fn refuse_resting(config: &Config, job: &str) -> Result<(), CommandError> {
    if active_jobs(config, &Context::store(config)?)?
        .iter()
        .any(|active| active == job)
    {
        return Ok(());
    }
    Err(CommandError::new(
        ExitCode::Refused,
        format!("job \"{job}\" is paused or disabled; nothing was read or written"),
    )
    .hint(format!(
        "`{ROSTERD} sync {job}` runs it all the same, and `{ROSTERD} resume {job}` ends a pause"
    )))
}

/// Names the jobs that are neither disabled nor paused.
pub(super) fn active_jobs(config: &Config, store: &Store) -> Result<Vec<String>, CommandError> {
    let mut jobs = Vec::new();
    for job in config.jobs.values().filter(|job| job.enabled) {
        if store.paused(&job.name)?.is_none() {
            jobs.push(job.name.clone());
        }
    }
    Ok(jobs)
}

/// Runs jobs one after the other and prints how each ended.
pub(super) async fn sync_jobs(
    context: &Context,
    runner: &Runner,
    jobs: &[String],
    approve: Option<&String>,
    (trigger, unless_paused): (&'static str, bool),
    format: FormatArg,
    as_list: bool,
) -> Result<ExitCode, CommandError> {
    let mut results = Vec::new();
    let mut codes = Vec::new();
    let notifier = Notifier::of_command(runner);
    for job in jobs {
        if context.interrupt.stop.is_cancelled() {
            break;
        }
        let options = SyncOptions {
            approve: approve.cloned(),
            trigger,
            unless_paused,
        };
        let outcome = context
            .interrupt
            .run(Box::pin(runner.sync(job, options)))
            .await?;
        notifier.ended(job, Some(&outcome));
        let (result, code) = result_of(job, outcome);
        codes.push(code);
        if format.format == Format::Text {
            finish(context, format, &[result], code, false)?;
        } else {
            results.push(result);
        }
    }
    if context.interrupt.stop.is_cancelled() && codes.len() < jobs.len() {
        codes.push(ExitCode::Failed);
    }
    context.interrupt.run(notifier.finish()).await?;
    if format.format == Format::Json {
        return finish(context, format, &results, ExitCode::worst(codes), as_list);
    }
    if jobs.is_empty() {
        tell(|out| writeln!(out, "Every job is paused or disabled: nothing was run."));
    }
    Ok(ExitCode::worst(codes))
}

/// Turns how a run ended into what is printed; a failure is told on standard error at once.
pub(super) fn result_of(job: &str, outcome: Result<RunReport, RunError>) -> (JobResult, ExitCode) {
    match outcome {
        Ok(report) => {
            let code = ExitCode::of(report.exit_code());
            (JobResult::Report(Box::new(report)), code)
        }
        Err(error) => {
            let failure = CommandError::from(error);
            tell(|out| failure.print(out));
            (no_run(job, &failure), failure.code())
        }
    }
}

/// Says of a job that nothing could be made of it, and why.
pub(super) fn no_run(job: &str, failure: &CommandError) -> JobResult {
    let outcome = match failure.code() {
        ExitCode::Refused => "refused",
        ExitCode::Busy => "busy",
        _ => "failed",
    };
    JobResult::NoRun {
        job: job.to_owned(),
        outcome,
        exit_code: failure.code().number(),
        error: failure.message().to_owned(),
    }
}

/// Prints how jobs ended, as a list or the only one alone.
pub(super) fn finish(
    context: &Context,
    format: FormatArg,
    results: &[JobResult],
    code: ExitCode,
    as_list: bool,
) -> Result<ExitCode, CommandError> {
    print(|out| match (format.format, results) {
        (Format::Json, [only]) if !as_list => write_run_json(out, only),
        (Format::Json, all) => write_runs_json(out, all),
        (Format::Text, all) => all.iter().try_for_each(|result| match result {
            JobResult::Report(report) => write_run_text(out, report, context.verbose()),
            JobResult::NoRun { .. } => Ok(()),
        }),
    })?;
    Ok(code)
}
