//! `rosterd status`: whether the service is alive, and how the jobs fare.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::config::Config;
use crate::config::settled::JobConfig;
use crate::report::{JobRow, JobState, Life, needs_a_person, write_status_json, write_status_text};
use crate::state::{JobStatus, LockError, Locks, Store, Waiting};

/// Shows whether the service is alive, how each job fares, and what waits for a person.
///
/// Of each job it shows the state, when it runs next and how its last run ended.
///
/// The service tells the state database every quarter of a minute that it is alive; where nothing was
/// heard for a minute it counts as not running.
#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    /// Ends with 1 when something needs a person, for probes: a job that fails, is refused by a guard,
    /// has items that nobody accepted or is half undone, or a schedule without a service.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_status(context: &Context, args: &StatusArgs) -> Result<ExitCode, CommandError> {
    let config = context.config_with_job()?;
    let store = Context::existing_store(&config)?;
    let now = Context::now();
    let jobs = job_rows(&config, store.as_ref(), now, 1)?;
    let life = life(store.as_ref(), now)?;
    print(|out| match args.format.format {
        Format::Text => write_status_text(out, &jobs, life, now),
        Format::Json => write_status_json(out, &jobs, life),
    })?;
    if args.check && needs_a_person(&jobs, life) {
        return Ok(ExitCode::Failed);
    }
    Ok(ExitCode::Done)
}

/// Tells whether the service is alive.
pub(super) fn life(store: Option<&Store>, now: Timestamp) -> Result<Life, CommandError> {
    let service = store.map(Store::service).transpose()?;
    Ok(Life::of(service.flatten(), now))
}

/// Gathers what is known of every job, with its next fires.
pub(super) fn job_rows(
    config: &Config,
    store: Option<&Store>,
    now: Timestamp,
    fires: usize,
) -> Result<Vec<JobRow>, CommandError> {
    config
        .jobs
        .values()
        .map(|job| job_row(config, job, store, now, fires))
        .collect()
}

fn job_row(
    config: &Config,
    job: &JobConfig,
    store: Option<&Store>,
    now: Timestamp,
    fires: usize,
) -> Result<JobRow, CommandError> {
    let (status, paused, waiting) = match store {
        Some(store) => {
            let status = store.job_status(&job.name)?;
            let waiting = store.waiting(&job.name, status.last_run.as_ref(), now)?;
            (status, store.paused(&job.name)?, waiting)
        }
        None => (JobStatus::default(), None, Waiting::default()),
    };
    let undo_open = store.map(|store| store.open_undo(&job.name)).transpose()?;
    let unfinished = status
        .last_run
        .as_ref()
        .is_some_and(|run| run.finished.is_none());
    Ok(JobRow {
        job: job.name.clone(),
        // The lock is tried only where a run has no end, so that looking never keeps a run from
        // starting.
        state: JobState::of(
            &status,
            paused.is_some(),
            unfinished && is_locked(config, &job.name),
        ),
        schedule: job.schedule.as_ref().map(ToString::to_string),
        enabled: job.enabled,
        next: next_fires(job, &status, now, fires),
        zone: job
            .schedule
            .as_ref()
            .map_or(TimeZone::UTC, |schedule| schedule.time_zone().clone()),
        paused,
        failures: status.consecutive_failures,
        last_run: status.last_run,
        waiting,
        undo_open: undo_open.flatten(),
    })
}

fn is_locked(config: &Config, job: &str) -> bool {
    matches!(
        Locks::new(&config.state_path).lock_job(job),
        Err(LockError::Busy { .. })
    )
}

/// Finds the next fires as the service takes them: after the rest of a failing job, and with the
/// job's own delay.
fn next_fires(job: &JobConfig, status: &JobStatus, now: Timestamp, fires: usize) -> Vec<Timestamp> {
    let Some(schedule) = &job.schedule else {
        return Vec::new();
    };
    // A run from the future was made before the clock was set back.
    let last = status.last_run.as_ref().map(|run| run.started.min(now));
    let rested = match last {
        Some(last) if status.consecutive_failures > 0 => {
            schedule.next_after_failures(last, status.consecutive_failures)
        }
        _ => None,
    };
    let first = rested.into_iter().chain(schedule.next_after(now)).max();
    let later = std::iter::successors(first, |fire| schedule.next_after(*fire));
    later
        .take(fires)
        .map(|fire| schedule.delayed(&job.name, fire, job.jitter))
        .collect()
}
