//! Items that a provider refused or that nobody can sync, with their age and what can be done about
//! them.

use std::collections::BTreeSet;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::json::{FORMAT_VERSION, write_document};
use super::paint::{ASIDE, GONE, HEADING};
use super::words::{address, distance, harmless, quoted};
use crate::plan::BlockedReason;
use crate::program::ROSTERD;
use crate::state::{AcceptedRecord, FailureNote, FailureRecord};

const REASONS: [BlockedReason; 10] = [
    BlockedReason::BadAddress,
    BlockedReason::TwoCandidates,
    BlockedReason::NameTaken,
    BlockedReason::AddressTaken,
    BlockedReason::TargetRefused,
    BlockedReason::IncompleteRead,
    BlockedReason::GoneAtTarget,
    BlockedReason::ValueRefused,
    BlockedReason::SeveralGroups,
    BlockedReason::OtherGroup,
];

/// Says what a person can do about a remembered failure.
pub fn remedy(failure: &FailureRecord) -> String {
    match REASONS
        .iter()
        .find(|reason| reason.as_str() == failure.note.reason)
    {
        Some(reason) => remedy_of(*reason, &failure.job),
        None => format!(
            "settle what the provider says, then run `{ROSTERD} retry {}`",
            failure.job
        ),
    }
}

/// Says what a person can do about what is blocked in a job, with the commands and the keys to type.
pub(super) fn remedy_of(reason: BlockedReason, job: &str) -> String {
    let named = [
        ("`members.where`", format!("`jobs.{job}.members.where`")),
        (
            "`rosterd link`",
            format!("`{ROSTERD} link {job} SOURCE TARGET`"),
        ),
        (
            "`rosterd unlink`",
            format!("`{ROSTERD} unlink {job} SOURCE`"),
        ),
        ("`rosterd retry`", format!("`{ROSTERD} retry {job}`")),
        ("the scope", format!("`jobs.{job}.groups`")),
    ];
    let mut words = reason.remedy().to_owned();
    for (said, meant) in named {
        words = words.replace(said, &meant);
    }
    words
}

fn who(note: &FailureNote) -> String {
    match (&note.member, &note.group) {
        (Some(member), Some(group)) => format!("{} in {}", address(member), quoted(group)),
        (Some(member), None) => address(member).into_owned(),
        (None, Some(group)) => quoted(group),
        (None, None) => harmless(&note.key).into_owned(),
    }
}

/// Writes failures for people, job by job; `accepted` are those that somebody has accepted, by job
/// and item.
///
/// # Errors
/// What writing to `out` says.
pub fn write_failures_text(
    out: &mut dyn Write,
    failures: &[FailureRecord],
    accepted: &BTreeSet<(String, String)>,
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
        let known = if accepted.contains(&(failure.job.clone(), note.item.clone())) {
            ", accepted"
        } else {
            ""
        };
        let who = who(note);
        let code = note
            .code
            .as_ref()
            .map(|code| format!(" [{}]", harmless(code)))
            .unwrap_or_default();
        writeln!(
            out,
            "  {GONE}x{GONE:#} {} {} {who}: {}{code}{known}",
            harmless(&note.item),
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

/// Writes what was accepted of a job for people.
///
/// # Errors
/// What writing to `out` says.
pub fn write_accepted_text(out: &mut dyn Write, accepted: &[AcceptedRecord]) -> io::Result<()> {
    if accepted.is_empty() {
        return writeln!(out, "Nothing is accepted.");
    }
    for known in accepted {
        let note = &known.note;
        writeln!(
            out,
            "{} {} {}: {}",
            harmless(&note.item),
            harmless(&note.what),
            who(note),
            harmless(&note.reason)
        )?;
        writeln!(out, "    {}", harmless(&note.message))?;
        let why = known
            .words
            .as_deref()
            .map(|words| format!(": {}", harmless(words)));
        let since = known.since.strftime("%Y-%m-%d %H:%M:%SZ");
        writeln!(
            out,
            "    {ASIDE}accepted {since}{}{ASIDE:#}",
            why.unwrap_or_default()
        )?;
    }
    Ok(())
}

/// Writes what was accepted of a job as JSON, on one line.
///
/// # Errors
/// What writing to `out` says.
pub fn write_accepted_json(
    out: &mut dyn Write,
    job: &str,
    accepted: &[AcceptedRecord],
) -> io::Result<()> {
    let rows = accepted.iter().map(|accepted| {
        let note = &accepted.note;
        serde_json::json!({"item": note.item, "what": note.what, "group": note.group, "member": note.member, "reason": note.reason,
               "message": note.message, "why": accepted.words, "since": accepted.since.to_string()})
    });
    let rows: Vec<_> = rows.collect();
    let document = serde_json::json!({"version": FORMAT_VERSION, "job": job, "accepted": rows});
    writeln!(out, "{document}")
}

/// Writes failures as JSON.
///
/// # Errors
/// What writing to `out` says.
pub fn write_failures_json(
    out: &mut dyn Write,
    failures: &[FailureRecord],
    accepted: &BTreeSet<(String, String)>,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document {
        version: u32,
        failures: Vec<FailureRow>,
    }
    let failures = failures
        .iter()
        .map(|failure| FailureRow::new(failure, accepted))
        .collect();
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            failures,
        },
    )
}

/// An item that a provider refused or that nobody can sync, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct FailureRow {
    /// The short name by which people accept it.
    pub item: String,
    /// The job.
    pub job: String,
    /// Whether a person has accepted it.
    pub accepted: bool,
    /// What kind of thing it is.
    pub what: String,
    /// The group, as it is shown.
    pub group: Option<String>,
    /// The person's address, or how somebody without one is named.
    pub member: Option<String>,
    /// The reason, as one of the words of the plan.
    pub reason: String,
    /// The provider's code.
    pub code: Option<String>,
    /// The provider's words, or the rule in a sentence.
    pub message: String,
    /// When it was seen first.
    pub first_seen: String,
    /// How often it was sent and refused.
    pub attempts: u32,
    /// When it is sent again; nothing for what waits for a person.
    pub next_try: Option<String>,
    /// What a person can do.
    pub remedy: String,
}

impl FailureRow {
    /// Takes a failure; `accepted` are those that somebody has accepted, by job and item.
    pub fn new(failure: &FailureRecord, accepted: &BTreeSet<(String, String)>) -> FailureRow {
        let note = &failure.note;
        FailureRow {
            item: note.item.clone(),
            job: failure.job.clone(),
            accepted: accepted.contains(&(failure.job.clone(), note.item.clone())),
            what: note.what.clone(),
            group: note.group.clone(),
            member: note.member.clone(),
            reason: note.reason.clone(),
            code: note.code.clone(),
            message: note.message.clone(),
            first_seen: failure.first_seen.to_string(),
            attempts: failure.attempts,
            next_try: failure.next_try.map(|next| next.to_string()),
            remedy: remedy(failure),
        }
    }
}
