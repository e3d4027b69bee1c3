//! When the jobs fire next.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::json::{FORMAT_VERSION, write_document};
use super::paint::GONE;
use super::status::{JobRow, Life, ServiceRow};
use super::words::{distance, harmless, instant};
use crate::program::ROSTERD;

/// Writes when the jobs fire next, job by job, and where `life` is given that no service is there to take it.
///
/// # Errors
/// What writing to `out` says.
pub fn write_schedule_text(
    out: &mut dyn Write,
    jobs: &[JobRow],
    life: Option<Life>,
    now: Timestamp,
) -> io::Result<()> {
    if jobs.is_empty() {
        return writeln!(out, "The config has no job.");
    }
    if life.is_some_and(|life| !life.is_alive()) && jobs.iter().any(JobRow::will_fire) {
        writeln!(
            out,
            "{GONE}The service is not running{GONE:#}: nothing of this happens before `{ROSTERD} run` is started.\n"
        )?;
    }
    for job in jobs {
        let note = match (&job.paused, job.enabled) {
            (_, false) => " (disabled: the service leaves it out)".to_owned(),
            _ if !job.runs_here => {
                " (left to others: `jobs` below `[daemon]` does not name it)".to_owned()
            }
            (Some(_), _) => " (paused: the service leaves it out)".to_owned(),
            _ if job.failures > 1 => {
                format!(" (slowed down after {} failures in a row)", job.failures)
            }
            _ => String::new(),
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
pub fn write_schedule_json(out: &mut dyn Write, jobs: &[JobRow], life: Life) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        service: ServiceRow,
        jobs: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        job: &'a str,
        schedule: Option<&'a str>,
        time_zone: Option<&'a str>,
        enabled: bool,
        runs_here: bool,
        paused: bool,
        consecutive_failures: u32,
        next: Vec<String>,
    }
    let jobs = jobs
        .iter()
        .map(|job| Row {
            job: &job.job,
            schedule: job.schedule.as_deref(),
            time_zone: job.schedule.as_ref().and_then(|_| job.zone.iana_name()),
            enabled: job.enabled,
            runs_here: job.runs_here,
            paused: job.paused.is_some(),
            consecutive_failures: job.failures,
            next: job.next.iter().map(Timestamp::to_string).collect(),
        })
        .collect();
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            service: ServiceRow::of(life),
            jobs,
        },
    )
}
