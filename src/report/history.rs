//! What ran, and what one run did item by item.

use std::cell::RefCell;
use std::io::{self, Write};
use std::time::Duration;

use anstyle::Style;
use jiff::tz::TimeZone;
use serde::ser::{Serialize, SerializeSeq as _, Serializer};

use super::json::{FORMAT_VERSION, summary_from_json, write_document};
use super::paint::{ADDED, ASIDE, CHANGED, GONE, HEADING};
use super::table::{Cell, write_table};
use super::words::{address, duration, harmless, instant, shortened, summary};
use crate::state::{ApprovedBy, Outcome, RunItem, RunRecord};

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
    struct Document<'a> {
        version: u32,
        runs: Vec<RunRow<'a>>,
    }
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            runs: runs.iter().map(RunRow::new).collect(),
        },
    )
}

/// Writes one run with its items.
///
/// # Errors
/// What writing to `out` says.
pub fn write_show_text(
    out: &mut dyn Write,
    run: &RunRecord,
    items: impl Iterator<Item = RunItem>,
    zone: &TimeZone,
) -> io::Result<()> {
    let style = colour(run.outcome);
    writeln!(
        out,
        "{HEADING}Run {}{HEADING:#} of {}: {style}{}{style:#}",
        harmless(&run.id),
        harmless(&run.job),
        outcome(run)
    )?;
    writeln!(
        out,
        "  started   {} ({})",
        instant(run.started, zone),
        harmless(&run.trigger)
    )?;
    if let Some(finished) = run.finished {
        writeln!(
            out,
            "  finished  {}, after {}",
            instant(finished, zone),
            took(run)
        )?;
    }
    if let Some(code) = run.exit_code {
        writeln!(out, "  exit code {code}")?;
    }
    writeln!(out, "  done      {}", done(run))?;
    if let Some(approved) = &run.approved {
        writeln!(out, "  approved  {}", approval(approved))?;
    }
    let mut items = items.peekable();
    if items.peek().is_none() {
        return writeln!(out, "\nNo items are kept of this run.");
    }
    writeln!(out)?;
    for item in items {
        write_item(out, &item)?;
    }
    Ok(())
}

fn write_item(out: &mut dyn Write, item: &RunItem) -> io::Result<()> {
    let (sign, style) = match item.outcome.as_str() {
        "done" | "confirmed" => ("+", ADDED),
        "failed" | "refused" => ("x", GONE),
        _ => ("?", CHANGED),
    };
    let who = match (&item.member, &item.group) {
        (Some(member), Some(group)) => format!("{} in \"{}\"", address(member), harmless(group)),
        (Some(member), None) => address(member).into_owned(),
        (None, Some(group)) => format!("\"{}\"", harmless(group)),
        (None, None) => String::new(),
    };
    write!(
        out,
        "  {style}{sign}{style:#} {:>4}  {}  {who}  {style}{}{style:#}",
        item.seq,
        harmless(&item.op),
        harmless(&item.outcome)
    )?;
    if let Some(reason) = &item.reason {
        write!(out, ", {}", harmless(reason))?;
    }
    if let Some(message) = &item.message {
        write!(out, ": {}", harmless(message))?;
    }
    writeln!(out)?;
    if let Some(fields) = item.fields.as_object() {
        for (field, value) in fields {
            writeln!(
                out,
                "            {ASIDE}{}: {}{ASIDE:#}",
                harmless(field),
                shortened(&value.to_string(), false)
            )?;
        }
    }
    Ok(())
}

/// Writes one run with its items as JSON.
///
/// # Errors
/// What writing to `out` says.
pub fn write_show_json(
    out: &mut dyn Write,
    run: &RunRecord,
    items: impl Iterator<Item = RunItem>,
) -> io::Result<()> {
    #[derive(serde::Serialize)]
    #[serde(bound = "I: Iterator<Item = RunItem>")]
    struct Document<'a, I: Iterator<Item = RunItem>> {
        version: u32,
        #[serde(flatten)]
        run: RunRow<'a>,
        items: OneByOne<I>,
    }
    /// Items that are made as they are written.
    struct OneByOne<I>(RefCell<I>);
    impl<I: Iterator<Item = RunItem>> Serialize for OneByOne<I> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut rows = serializer.serialize_seq(None)?;
            for item in self.0.borrow_mut().by_ref() {
                rows.serialize_element(&ItemRow::of(&item))?;
            }
            rows.end()
        }
    }
    #[derive(serde::Serialize)]
    struct ItemRow<'a> {
        seq: u64,
        op: &'a str,
        group: Option<&'a str>,
        member: Option<&'a str>,
        outcome: &'a str,
        reason: Option<&'a str>,
        message: Option<&'a str>,
        #[serde(skip_serializing_if = "serde_json::Value::is_null")]
        fields: &'a serde_json::Value,
    }
    impl ItemRow<'_> {
        fn of(item: &RunItem) -> ItemRow<'_> {
            ItemRow {
                seq: item.seq,
                op: &item.op,
                group: item.group.as_deref(),
                member: item.member.as_deref(),
                outcome: &item.outcome,
                reason: item.reason.as_deref(),
                message: item.message.as_deref(),
                fields: &item.fields,
            }
        }
    }
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            run: RunRow::new(run),
            items: OneByOne(RefCell::new(items)),
        },
    )
}

/// One run of the history as JSON.
#[derive(serde::Serialize)]
pub(super) struct RunRow<'a> {
    run: &'a str,
    job: &'a str,
    trigger: &'a str,
    started: String,
    finished: Option<String>,
    outcome: &'static str,
    exit_code: Option<u8>,
    wrote: bool,
    summary: &'a serde_json::Value,
    approved: Option<&'a ApprovedBy>,
    error: Option<&'a str>,
}

impl<'a> RunRow<'a> {
    pub(super) fn new(run: &'a RunRecord) -> RunRow<'a> {
        RunRow {
            run: &run.id,
            job: &run.job,
            trigger: &run.trigger,
            started: run.started.to_string(),
            finished: run.finished.map(|finished| finished.to_string()),
            outcome: outcome(run),
            exit_code: run.exit_code,
            wrote: run.wrote,
            summary: &run.summary,
            approved: run.approved.as_ref(),
            error: run.error.as_deref(),
        }
    }
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

fn took(run: &RunRecord) -> String {
    let Some(finished) = run.finished else {
        return "-".to_owned();
    };
    let took = Duration::try_from(finished.duration_since(run.started)).unwrap_or_default();
    duration(Duration::from_secs(took.as_secs()))
}

/// Says what a run did, or why it could not.
fn done(run: &RunRecord) -> String {
    if let Some(error) = &run.error {
        return shortened(error, false).into_owned();
    }
    let words = summary(&summary_from_json(&run.summary), true);
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

/// Says which refusals a run had approved, and by what.
fn approval(approved: &ApprovedBy) -> String {
    format!(
        "{} by {}",
        harmless(&approved.guards.join(", ")),
        harmless(&approved.id)
    )
}
