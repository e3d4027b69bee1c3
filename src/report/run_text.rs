//! What a run did, as a person reads it.

use std::io::{self, Write};
use std::time::Duration;

use super::migration::write_migration_text;
use super::paint::{ADDED, ASIDE, CHANGED, GONE, HEADING, STOP};
use super::sections::{self, and_more, heading, limit};
use super::words::{address, count, duration, grouped, harmless, listed, quoted, summary};
use crate::program::ROSTERD;
use crate::run::{ItemFailure, Outcome, RunReport};

/// Writes what a run did; `verbose` shows every item.
///
/// # Errors
/// What writing to `out` says.
pub fn write_run_text(out: &mut dyn Write, report: &RunReport, verbose: bool) -> io::Result<()> {
    let took =
        Duration::try_from(report.finished.duration_since(report.started)).unwrap_or_default();
    writeln!(
        out,
        "{HEADING}{}{HEADING:#}  {ASIDE}run {}, {}{ASIDE:#}",
        harmless(&report.job),
        harmless(&report.run),
        duration(Duration::from_secs(took.as_secs()))
    )?;
    let done = summary(&report.summary, true);
    for line in &done {
        writeln!(out, "  {ADDED}*{ADDED:#} {line}")?;
    }
    if report.withheld > 0 {
        let reasons: Vec<String> = report
            .withheld_by_reason
            .iter()
            .map(|(reason, number)| format!("{} {reason}", grouped(*number)))
            .collect();
        let reasons = if reasons.is_empty() {
            String::new()
        } else {
            format!(": {}", reasons.join(", "))
        };
        writeln!(
            out,
            "  o {} withheld on purpose{reasons}",
            grouped(report.withheld)
        )?;
    }
    failures(out, &report.failures, verbose)?;
    sections::blocked(out, &report.job, &report.blocked, &report.accepted, verbose)?;
    // A migration has told of all of them before it asked.
    if verbose || report.migration.is_none() {
        sections::losses(out, &report.losses, verbose)?;
    }
    sections::warnings(out, &report.warnings)?;
    if let Some(approved) = &report.approved {
        sections::approved(out, approved)?;
    }
    let again = match &report.migration {
        Some(migration) => migration.command.clone(),
        None => format!("{ROSTERD} sync {}", report.job),
    };
    sections::refusals(
        out,
        &again,
        &report.refusals,
        report.waiting_opt_outs,
        verbose,
    )?;
    if let Some(migration) = &report.migration {
        write_migration_text(out, report, migration, verbose)?;
    }
    if let Some(sentence) = requests_sentence(report) {
        writeln!(out, "\n{ASIDE}{sentence}{ASIDE:#}")?;
    }
    writeln!(out, "\n{}", last_line(report, done.is_empty()))
}

fn last_line(report: &RunReport, nothing: bool) -> String {
    let error = || {
        report
            .error
            .as_deref()
            .map(|error| format!(" {}", sentence(error)))
            .unwrap_or_default()
    };
    match report.outcome {
        Outcome::Done if nothing => format!("{HEADING}Done:{HEADING:#} nothing had to be changed."),
        Outcome::Done => format!("{HEADING}Done.{HEADING:#}"),
        Outcome::Partial => {
            let (waiting, _) = report.waiting();
            if waiting == 0 && report.migration.is_some() {
                return format!(
                    "{CHANGED}Written, and not all of it is proved or done.{CHANGED:#}"
                );
            }
            let words = count(waiting as u64, "item needs a person", "items need a person");
            format!("{CHANGED}Finished, and {words}.{CHANGED:#}{}", error())
        }
        Outcome::Refused => format!("{STOP}Refused: nothing was written.{STOP:#}{}", error()),
        Outcome::Failed | Outcome::Interrupted => format!("{STOP}Failed.{STOP:#}{}", error()),
        Outcome::Busy => format!("{CHANGED}Not started.{CHANGED:#}{}", error()),
    }
}

fn sentence(text: &str) -> String {
    let text = harmless(text);
    let mut characters = text.chars();
    let first: String = characters
        .next()
        .map(|first| first.to_uppercase().collect())
        .unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}

fn requests_sentence(report: &RunReport) -> Option<String> {
    let parts = |requests: &std::collections::BTreeMap<String, u64>, verb: &str| -> Vec<String> {
        let used = requests.iter().filter(|(_, number)| **number > 0);
        used.map(|(provider, number)| {
            format!(
                "{} {verb} {}",
                count(*number, "request", "requests"),
                harmless(provider)
            )
        })
        .collect()
    };
    let mut all = parts(&report.reads, "reading");
    all.extend(parts(&report.requests, "writing to"));
    (!all.is_empty()).then(|| format!("Sent {}.", listed(&all)))
}

fn failures(out: &mut dyn Write, failures: &[ItemFailure], verbose: bool) -> io::Result<()> {
    let (unknown, refused): (Vec<&ItemFailure>, Vec<&ItemFailure>) =
        failures.iter().partition(|failure| failure.is_unknown());
    failures_of(out, "Refused by the provider", &refused, verbose)?;
    failures_of(out, "Not known whether it is done", &unknown, verbose)
}

fn failures_of(
    out: &mut dyn Write,
    title: &str,
    failures: &[&ItemFailure],
    verbose: bool,
) -> io::Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    heading(out, title, &count(failures.len() as u64, "item", "items"))?;
    let shown = limit(failures.len(), verbose);
    for failure in &failures[..shown] {
        let who = match (&failure.member, &failure.group) {
            (Some(member), Some(group)) => {
                format!("{} in {}", address(member), quoted(group))
            }
            (Some(member), None) => address(member).into_owned(),
            (None, Some(group)) => quoted(group),
            (None, None) => String::new(),
        };
        let code = failure
            .code
            .as_ref()
            .map(|code| format!(" [{}]", harmless(code)))
            .unwrap_or_default();
        writeln!(
            out,
            "  {GONE}x{GONE:#} {ASIDE}{}{ASIDE:#} {} {who}:{code} {}",
            failure.item(),
            failure.op,
            harmless(&failure.message)
        )?;
    }
    and_more(out, "    ", failures.len(), shown)
}
