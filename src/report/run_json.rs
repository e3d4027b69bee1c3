//! What runs did, as a program reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::Serialize;

use super::json::{
    BlockedRow, Counts, FORMAT_VERSION, LossRow, RefusalRow, Requests, write_document,
};
use super::migration::migration_json;
use crate::run::{ItemFailure, Outcome, RunReport};
use crate::state::ApprovedBy;

/// How one job of a command ended.
#[derive(Debug)]
pub enum JobResult {
    /// A run was made.
    Report(Box<RunReport>),
    /// No run could be made.
    NoRun {
        /// The job.
        job: String,
        /// The word of the outcome: `failed`, `refused` or `busy`.
        outcome: &'static str,
        /// The exit code.
        exit_code: u8,
        /// Why, in one sentence.
        error: String,
    },
}

/// Writes how one job ended.
///
/// # Errors
/// What writing to `out` says.
pub fn write_run_json(out: &mut dyn Write, result: &JobResult) -> io::Result<()> {
    write_document(out, &Row::new(result, Some(FORMAT_VERSION)))
}

/// Returns how a run ended as one value, to stand in another document.
///
/// # Errors
/// When it can't be written as JSON.
pub(super) fn run_value(report: &RunReport) -> io::Result<serde_json::Value> {
    serde_json::to_value(RunRow::new(report, None)).map_err(io::Error::other)
}

/// Writes how several jobs ended, as a list.
///
/// # Errors
/// What writing to `out` says.
pub fn write_runs_json(out: &mut dyn Write, results: &[JobResult]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        runs: Vec<Row<'a>>,
    }
    let runs = results
        .iter()
        .map(|result| Row::new(result, None))
        .collect();
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            runs,
        },
    )
}

#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Run(Box<RunRow<'a>>),
    NoRun(NoRunRow<'a>),
}

impl<'a> Row<'a> {
    fn new(result: &'a JobResult, version: Option<u32>) -> Row<'a> {
        match result {
            JobResult::Report(report) => Row::Run(Box::new(RunRow::new(report, version))),
            JobResult::NoRun {
                job,
                outcome,
                exit_code,
                error,
            } => Row::NoRun(NoRunRow {
                version,
                job,
                outcome,
                exit_code: *exit_code,
                error,
            }),
        }
    }
}

#[derive(Serialize)]
struct NoRunRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    job: &'a str,
    outcome: &'static str,
    exit_code: u8,
    error: &'a str,
}

#[derive(Serialize)]
struct RunRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    run: &'a str,
    job: &'a str,
    started: String,
    finished: String,
    outcome: &'static str,
    exit_code: u8,
    summary: Counts,
    withheld: u64,
    blocked: Vec<BlockedRow<'a>>,
    failures: Vec<FailureRow<'a>>,
    accepted: usize,
    refusals: Vec<RefusalRow<'a>>,
    approved: Option<ApprovedBy>,
    requests: &'a Requests,
    reads: &'a Requests,
    withheld_by_reason: &'a BTreeMap<&'static str, u64>,
    waiting_opt_outs: u64,
    losses: Vec<LossRow<'a>>,
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    migration: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> RunRow<'a> {
    fn new(report: &'a RunReport, version: Option<u32>) -> RunRow<'a> {
        RunRow {
            version,
            run: &report.run,
            job: &report.job,
            started: report.started.to_string(),
            finished: report.finished.to_string(),
            // The words of a document stay as they are.
            outcome: match report.outcome {
                Outcome::Interrupted => Outcome::Failed.as_str(),
                other => other.as_str(),
            },
            exit_code: report.exit_code(),
            summary: Counts::new(&report.summary),
            withheld: report.withheld,
            blocked: report
                .blocked
                .iter()
                .map(|blocked| BlockedRow::new(blocked, &report.job, &report.accepted))
                .collect(),
            failures: report
                .failures
                .iter()
                .map(|failure| FailureRow::new(failure, &report.accepted))
                .collect(),
            accepted: report.waiting().1,
            refusals: report.refusals.iter().map(RefusalRow::new).collect(),
            approved: report.approved.as_ref().map(ApprovedBy::from),
            requests: &report.requests,
            reads: &report.reads,
            withheld_by_reason: &report.withheld_by_reason,
            waiting_opt_outs: report.waiting_opt_outs,
            losses: report.losses.iter().map(LossRow::new).collect(),
            warnings: &report.warnings,
            migration: report
                .migration
                .as_ref()
                .map(|migration| migration_json(report, migration)),
            error: report.error.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct FailureRow<'a> {
    item: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    accepted: bool,
    /// Whether nobody refused it, and it is not known whether it is done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unknown: bool,
    op: &'a str,
    group: Option<&'a str>,
    member: Option<&'a str>,
    code: Option<&'a str>,
    message: &'a str,
}

impl<'a> FailureRow<'a> {
    fn new(failure: &'a ItemFailure, accepted: &BTreeSet<String>) -> FailureRow<'a> {
        let item = failure.item();
        FailureRow {
            accepted: accepted.contains(&item),
            unknown: failure.is_unknown(),
            item,
            op: &failure.op,
            group: failure.group.as_deref(),
            member: failure.member.as_deref(),
            code: failure.code.as_deref(),
            message: &failure.message,
        }
    }
}
