//! What ran.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use anstyle::Style;
use jiff::tz::TimeZone;

use super::json::{FORMAT_VERSION, summary_from_json, write_document};
use super::paint::{ADDED, CHANGED, GONE};
use super::table::{Cell, write_table};
use super::words::{duration, harmless, instant, shortened, summary};
use crate::state::{ApprovedBy, Outcome, RunRecord};

/// Writes runs as a table, in the order given.
///
/// # Errors
/// What writing to `out` says.
pub fn write_history_text(
    out: &mut dyn Write,
    runs: &[RunRecord],
    zone: &TimeZone,
) -> io::Result<()> {
    if runs.is_empty() {
        return writeln!(out, "No run yet.");
    }
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .map(|run| {
            vec![
                Cell::new(&run.id),
                Cell::new(&run.job),
                Cell::new(&instant(run.started, zone)),
                Cell::new(&took(run)),
                Cell::new(&run.trigger),
                Cell::styled(outcome(run), colour(run.outcome)),
                Cell::new(&match &run.approved {
                    Some(approved) => format!("{}; approved: {}", done(run), approval(approved)),
                    None => done(run),
                }),
            ]
        })
        .collect();
    write_table(
        out,
        &[
            "RUN", "JOB", "STARTED", "TOOK", "TRIGGER", "OUTCOME", "DONE",
        ],
        &rows,
    )
}

/// Writes runs as JSON, in the order given.
///
/// # Errors
/// What writing to `out` says.
pub fn write_history_json(out: &mut dyn Write, runs: &[RunRecord]) -> io::Result<()> {
    #[derive(serde::Serialize)]
    struct Document {
        version: u32,
        runs: Vec<RunRow>,
    }
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            runs: runs.iter().map(RunRow::new).collect(),
        },
    )
}

/// One run of the history as JSON.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RunRow {
    /// The run's identifier.
    pub run: String,
    /// The job.
    pub job: String,
    /// What set it off.
    pub trigger: String,
    /// When it started.
    pub started: String,
    /// When it ended; nothing while it is running.
    pub finished: Option<String>,
    /// How it ended, or `running`.
    pub outcome: &'static str,
    /// The exit code it stands for.
    pub exit_code: Option<u8>,
    /// Whether it changed anything at the target.
    pub wrote: bool,
    /// The counts.
    pub summary: serde_json::Value,
    /// What a person let pass, where guards had refused the plan.
    pub approved: Option<ApprovedBy>,
    /// The guards that refused the run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<serde_json::Value>,
    /// Why it could not go on.
    pub error: Option<String>,
}

impl RunRow {
    /// Takes a run of the history.
    pub fn new(run: &RunRecord) -> RunRow {
        RunRow {
            run: run.id.clone(),
            job: run.job.clone(),
            trigger: run.trigger.clone(),
            started: run.started.to_string(),
            finished: run.finished.map(|finished| finished.to_string()),
            outcome: outcome(run),
            exit_code: run.exit_code,
            wrote: run.wrote,
            summary: counts(run).into_owned(),
            approved: run.approved.clone(),
            refusals: run.refusals().to_vec(),
            error: run.error.clone(),
        }
    }
}

/// Returns the counts of a run, without what the guards refused, which is kept beside them.
fn counts(run: &RunRecord) -> Cow<'_, serde_json::Value> {
    if run.refusals().is_empty() {
        return Cow::Borrowed(&run.summary);
    }
    let mut counts = run.summary.clone();
    if let Some(counts) = counts.as_object_mut() {
        counts.remove("refusals");
    }
    Cow::Owned(counts)
}

pub(super) fn outcome(run: &RunRecord) -> &'static str {
    run.outcome.map_or("running", Outcome::as_str)
}

pub(super) fn colour(outcome: Option<Outcome>) -> Style {
    match outcome {
        Some(Outcome::Done) => ADDED,
        Some(Outcome::Failed | Outcome::Refused | Outcome::Interrupted) => GONE,
        Some(Outcome::Partial | Outcome::Busy) | None => CHANGED,
    }
}

pub(super) fn took(run: &RunRecord) -> String {
    let Some(finished) = run.finished else {
        return "-".to_owned();
    };
    let took = Duration::try_from(finished.duration_since(run.started)).unwrap_or_default();
    duration(Duration::from_secs(took.as_secs()))
}

/// Says what a run did, or why it could not.
pub(super) fn done(run: &RunRecord) -> String {
    if let Some(error) = &run.error {
        return shortened(error, false).into_owned();
    }
    counted(run)
}

/// Says what a run did, in counts.
pub fn counted(run: &RunRecord) -> String {
    let words = summary(&summary_from_json(&run.summary), true);
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

/// Says which refusals a run had approved, and by what.
pub(super) fn approval(approved: &ApprovedBy) -> String {
    format!(
        "{} by {}",
        harmless(&approved.guards.join(", ")),
        harmless(&approved.id)
    )
}
