//! How the jobs fare, gathered from the config and the state database.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::config::settled::JobConfig;
use crate::report::{JobRow, JobState, Life, ServiceStatus};
use crate::state::{JobStatus, LockError, Locks, StateError, Store, Waiting};

/// Tells whether the service is alive.
pub fn life(store: Option<&Store>, now: Timestamp) -> Result<Life, StateError> {
    let service = store.map(Store::service).transpose()?;
    Ok(Life::of(service.flatten(), now))
}

/// Gathers how the service, its jobs and the ways by which people are told fare.
pub fn service_status(
    config: &Config,
    store: Option<&Store>,
    now: Timestamp,
) -> Result<ServiceStatus, StateError> {
    let life = life(store, now)?;
    // It says something of a service that is there.
    let wrong_config = match (store, life) {
        (Some(store), Life::Alive(_)) => store.wrong_config()?,
        _ => None,
    };
    let channels = store.map(Store::channels).transpose()?;
    Ok(ServiceStatus {
        life,
        wrong_config,
        channels: channels.unwrap_or_default(),
        jobs: job_rows(config, store, now, 1)?,
    })
}

/// Gathers what is known of every job, with its next fires.
pub fn job_rows(
    config: &Config,
    store: Option<&Store>,
    now: Timestamp,
    fires: usize,
) -> Result<Vec<JobRow>, StateError> {
    config
        .jobs
        .values()
        .map(|job| job_row(config, job, store, now, fires))
        .collect()
}

/// Gathers what is known of one job.
pub(super) fn job_row(
    config: &Config,
    job: &JobConfig,
    store: Option<&Store>,
    now: Timestamp,
    fires: usize,
) -> Result<JobRow, StateError> {
    let (status, paused, waiting) = match store {
        Some(store) => {
            let status = store.job_status(&job.name)?;
            let waiting = store.waiting(&job.name, status.refused.as_ref(), now)?;
            (status, store.paused(&job.name)?, waiting)
        }
        None => (JobStatus::default(), None, Waiting::default()),
    };
    let undo_open = store.map(|store| store.open_undo(&job.name)).transpose()?;
    let unfinished = status
        .last_run
        .as_ref()
        .is_some_and(|run| run.finished.is_none());
    // The lock is tried only where a run has no end, so that looking never keeps a run from starting.
    let running = unfinished && is_locked(config, &job.name);
    // What a process told that was killed since is of no run that goes on.
    let under_way = match store {
        Some(store) if running => store.under_way(&job.name)?,
        _ => None,
    };
    Ok(JobRow {
        job: job.name.clone(),
        state: JobState::of(&status, paused.is_some(), running),
        schedule: job.schedule.as_ref().map(ToString::to_string),
        enabled: job.enabled,
        runs_here: config.daemon.runs(&job.name),
        next: next_fires(job, &status, now, fires),
        zone: job
            .schedule
            .as_ref()
            .map_or(TimeZone::UTC, |schedule| schedule.time_zone().clone()),
        paused,
        failures: status.consecutive_failures,
        last_run: status.last_run,
        refused: status.refused,
        waiting,
        undo_open: undo_open.flatten(),
        under_way,
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
    // The service counts from the last fire that it took; one from the future was before the clock was
    // set back.
    let ran = status.last_run.as_ref().map(|run| run.started);
    let last = status.last_fire.or(ran).map(|last| last.min(now));
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
