//! How the jobs fare: their state, their next fire and their last run.

use std::io::{self, Write};

use anstyle::Style;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::history::{RunRow, outcome};
use super::json::{FORMAT_VERSION, write_document};
use super::paint::{ADDED, CHANGED, GONE, KEPT};
use super::table::{Cell, write_table};
use super::words::{distance, harmless, instant};
use crate::state::{JobStatus, Outcome, PausedRecord, RunRecord};

/// The state of a job in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The last run went well, or there was none.
    Ok,
    /// The last run could not go on.
    Failing,
    /// A guard refused the last plan.
    Refused,
    /// A person has paused the job.
    Paused,
    /// A run is active.
    Running,
}

impl JobState {
    /// Judges a job; `running` tells whether somebody holds its lock.
    pub fn of(status: &JobStatus, paused: bool, running: bool) -> JobState {
        let last = status.last_run.as_ref().and_then(|run| run.outcome);
        // A run without an end and without a lock was killed: nobody is running it.
        let killed = status
            .last_run
            .as_ref()
            .is_some_and(|run| run.finished.is_none());
        match last {
            _ if running => JobState::Running,
            _ if paused => JobState::Paused,
            Some(Outcome::Refused) => JobState::Refused,
            Some(Outcome::Failed | Outcome::Interrupted) => JobState::Failing,
            _ if killed || status.consecutive_failures > 0 => JobState::Failing,
            _ => JobState::Ok,
        }
    }

    /// Returns the word of the format.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Ok => "ok",
            JobState::Failing => "failing",
            JobState::Refused => "refused",
            JobState::Paused => "paused",
            JobState::Running => "running",
        }
    }

    fn style(self) -> Style {
        match self {
            JobState::Ok => ADDED,
            JobState::Failing | JobState::Refused => GONE,
            JobState::Paused => CHANGED,
            JobState::Running => KEPT,
        }
    }
}

/// What is shown of one job.
#[derive(Clone, Debug)]
pub struct JobRow {
    /// The job.
    pub job: String,
    /// Its state.
    pub state: JobState,
    /// The cron line, where there is one.
    pub schedule: Option<String>,
    /// Whether the service runs it.
    pub enabled: bool,
    /// The next fires, the nearest first, with the zone of the schedule.
    pub next: Vec<Timestamp>,
    /// The zone of the schedule.
    pub zone: TimeZone,
    /// Whether and why it is paused.
    pub paused: Option<PausedRecord>,
    /// The run that was started last.
    pub last_run: Option<RunRecord>,
}

/// Writes the jobs as a table.
///
/// # Errors
/// What writing to `out` says.
pub fn write_status_text(out: &mut dyn Write, jobs: &[JobRow], now: Timestamp) -> io::Result<()> {
    if jobs.is_empty() {
        return writeln!(out, "The config has no job.");
    }
    let rows: Vec<Vec<Cell>> = jobs
        .iter()
        .map(|job| {
            let last = job.last_run.as_ref().map_or_else(
                || "never".to_owned(),
                |run| {
                    format!(
                        "{} {}",
                        outcome(run),
                        distance(now, run.finished.unwrap_or(run.started))
                    )
                },
            );
            vec![
                Cell::new(&job.job),
                Cell::styled(job.state.as_str(), job.state.style()),
                Cell::new(&next_words(job, now)),
                Cell::new(&last),
            ]
        })
        .collect();
    write_table(out, &["JOB", "STATE", "NEXT", "LAST RUN"], &rows)?;
    for job in jobs {
        if let Some(paused) = &job.paused {
            writeln!(
                out,
                "\n{} is paused since {}: {}",
                harmless(&job.job),
                instant(paused.since, &job.zone),
                harmless(&paused.reason)
            )?;
        }
        if let Some(error) = job.last_run.as_ref().and_then(|run| run.error.as_ref()) {
            writeln!(out, "\n{}: {}", harmless(&job.job), harmless(error))?;
        }
    }
    Ok(())
}

fn next_words(job: &JobRow, now: Timestamp) -> String {
    match job.next.first() {
        _ if job.schedule.is_none() => "by hand only".to_owned(),
        _ if !job.enabled => "disabled".to_owned(),
        _ if job.paused.is_some() => "when resumed".to_owned(),
        Some(next) => format!("{} ({})", instant(*next, &job.zone), distance(now, *next)),
        None => "never".to_owned(),
    }
}

/// Writes the jobs as JSON.
///
/// # Errors
/// What writing to `out` says.
pub fn write_status_json(out: &mut dyn Write, jobs: &[JobRow]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        jobs: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        job: &'a str,
        state: &'static str,
        next: Option<String>,
        last_run: Option<RunRow<'a>>,
        schedule: Option<&'a str>,
        enabled: bool,
        paused_reason: Option<&'a str>,
        paused_since: Option<String>,
    }
    let jobs = jobs
        .iter()
        .map(|job| Row {
            job: &job.job,
            state: job.state.as_str(),
            next: will_fire(job)
                .then(|| job.next.first().map(Timestamp::to_string))
                .flatten(),
            last_run: job.last_run.as_ref().map(RunRow::new),
            schedule: job.schedule.as_deref(),
            enabled: job.enabled,
            paused_reason: job.paused.as_ref().map(|paused| paused.reason.as_str()),
            paused_since: job.paused.as_ref().map(|paused| paused.since.to_string()),
        })
        .collect();
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            jobs,
        },
    )
}

fn will_fire(job: &JobRow) -> bool {
    job.enabled && job.paused.is_none()
}

/// Writes when the jobs fire next, job by job.
///
/// # Errors
/// What writing to `out` says.
pub fn write_schedule_text(out: &mut dyn Write, jobs: &[JobRow], now: Timestamp) -> io::Result<()> {
    if jobs.is_empty() {
        return writeln!(out, "The config has no job.");
    }
    for job in jobs {
        let note = match (&job.paused, job.enabled) {
            (_, false) => " (disabled: the service leaves it out)",
            (Some(_), _) => " (paused: the service leaves it out)",
            _ => "",
        };
        match &job.schedule {
            None => writeln!(out, "{}: by hand only", harmless(&job.job))?,
            Some(line) => writeln!(
                out,
                "{}: {line} in {}{note}",
                harmless(&job.job),
                job.zone.iana_name().unwrap_or("UTC")
            )?,
        }
        for fire in &job.next {
            writeln!(
                out,
                "  {}  {}",
                instant(*fire, &job.zone),
                distance(now, *fire)
            )?;
        }
    }
    Ok(())
}

/// Writes when the jobs fire next as JSON.
///
/// # Errors
/// What writing to `out` says.
pub fn write_schedule_json(out: &mut dyn Write, jobs: &[JobRow]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        jobs: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        job: &'a str,
        schedule: Option<&'a str>,
        time_zone: Option<&'a str>,
        enabled: bool,
        paused: bool,
        next: Vec<String>,
    }
    let jobs = jobs
        .iter()
        .map(|job| Row {
            job: &job.job,
            schedule: job.schedule.as_deref(),
            time_zone: job.schedule.as_ref().and_then(|_| job.zone.iana_name()),
            enabled: job.enabled,
            paused: job.paused.is_some(),
            next: job.next.iter().map(Timestamp::to_string).collect(),
        })
        .collect();
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            jobs,
        },
    )
}
