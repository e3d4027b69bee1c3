//! Items that a provider refused or that nobody can sync, with their age and what can be done about
//! them.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::json::{FORMAT_VERSION, write_document};
use super::paint::{ASIDE, GONE, HEADING};
use super::words::{address, distance, harmless};
use crate::plan::BlockedReason;
use crate::state::FailureRecord;

const REASONS: [BlockedReason; 8] = [
    BlockedReason::BadAddress,
    BlockedReason::TwoCandidates,
    BlockedReason::NameTaken,
    BlockedReason::AddressTaken,
    BlockedReason::TargetRefused,
    BlockedReason::IncompleteRead,
    BlockedReason::GoneAtTarget,
    BlockedReason::ValueRefused,
];

/// Says what a person can do about a remembered failure.
pub fn remedy(failure: &FailureRecord) -> String {
    match REASONS
        .iter()
        .find(|reason| reason.as_str() == failure.note.reason)
    {
        Some(reason) => reason.remedy().to_owned(),
        None => format!(
            "settle what the provider says, then run `rosterd retry {}`",
            failure.job
        ),
    }
}

/// Writes failures for people, job by job.
///
/// # Errors
/// What writing to `out` says.
pub fn write_failures_text(
    out: &mut dyn Write,
    failures: &[FailureRecord],
    now: Timestamp,
) -> io::Result<()> {
    if failures.is_empty() {
        return writeln!(out, "No failures.");
    }
    let mut job = None;
    for failure in failures {
        if job != Some(&failure.job) {
            let gap = if job.is_some() { "\n" } else { "" };
            writeln!(out, "{gap}{HEADING}{}{HEADING:#}", harmless(&failure.job))?;
            job = Some(&failure.job);
        }
        let note = &failure.note;
        let who = match (&note.member, &note.group) {
            (Some(member), Some(group)) => {
                format!("{} in \"{}\"", address(member), harmless(group))
            }
            (Some(member), None) => address(member).into_owned(),
            (None, Some(group)) => format!("\"{}\"", harmless(group)),
            (None, None) => harmless(&note.key).into_owned(),
        };
        let code = note
            .code
            .as_ref()
            .map(|code| format!(" [{}]", harmless(code)))
            .unwrap_or_default();
        writeln!(
            out,
            "  {GONE}x{GONE:#} {} {who}: {}{code}",
            harmless(&note.what),
            harmless(&note.reason)
        )?;
        if !note.message.is_empty() {
            writeln!(out, "      {}", harmless(&note.message))?;
        }
        let mut age = format!("first seen {}", distance(now, failure.first_seen));
        if failure.attempts > 0 {
            age = format!(
                "{age}, sent {}",
                super::words::count(u64::from(failure.attempts), "time", "times")
            );
        }
        if let Some(next) = failure.next_try {
            let when = if next <= now {
                "in the next run".to_owned()
            } else {
                distance(now, next)
            };
            age = format!("{age}, again {when}");
        }
        writeln!(out, "      {ASIDE}{age}{ASIDE:#}")?;
        writeln!(out, "      remedy: {}", remedy(failure))?;
    }
    Ok(())
}

/// Writes failures as JSON.
///
/// # Errors
/// What writing to `out` says.
pub fn write_failures_json(out: &mut dyn Write, failures: &[FailureRecord]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        failures: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        job: &'a str,
        what: &'a str,
        group: Option<&'a str>,
        member: Option<&'a str>,
        reason: &'a str,
        code: Option<&'a str>,
        message: &'a str,
        first_seen: String,
        attempts: u32,
        next_try: Option<String>,
        remedy: String,
    }
    let failures = failures
        .iter()
        .map(|failure| Row {
            job: &failure.job,
            what: &failure.note.what,
            group: failure.note.group.as_deref(),
            member: failure.note.member.as_deref(),
            reason: &failure.note.reason,
            code: failure.note.code.as_deref(),
            message: &failure.note.message,
            first_seen: failure.first_seen.to_string(),
            attempts: failure.attempts,
            next_try: failure.next_try.map(|next| next.to_string()),
            remedy: remedy(failure),
        })
        .collect();
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            failures,
        },
    )
}
