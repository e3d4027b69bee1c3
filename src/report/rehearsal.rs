//! What a rehearsal came to, for people and for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::json::{FORMAT_VERSION, RefusalRow, write_document};
use super::paint::{ADDED, ASIDE, CHANGED, GONE, HEADING, STOP};
use super::run_json::run_value;
use super::run_text::write_run_text;
use super::sections::{self, and_more, heading, limit};
use super::table::{Cell, write_table};
use super::words::{address, count, duration, grouped, harmless, listed, quoted};
use crate::program::ROSTERD;
use crate::rehearsal::{
    Breach, Copied, Ended, GroupMail, Mail, Refused, Rehearsed, Requests, Verdict, meaning,
};
use crate::run::RunReport;

/// What no reading shows, and so no copy has.
const NEVER_COPIED: &str = "what rosterd never reads is in no copy: automations, forms, campaigns and their statistics, who the logins are and what each may do; a query of a dynamic group is not asked again";

/// So many groups are told one by one.
const MOST_GROUPS: usize = 30;

/// Writes what a rehearsal came to; `verbose` shows everybody.
///
/// # Errors
/// What writing to `out` says.
pub fn write_rehearsal_text(
    out: &mut dyn Write,
    rehearsed: &Rehearsed,
    verbose: bool,
) -> io::Result<()> {
    let [source, target] = rehearsed
        .providers
        .each_ref()
        .map(|provider| harmless(provider));
    writeln!(
        out,
        "{HEADING}Rehearsal of `{}`{HEADING:#}  {ASIDE}on copies of {source} and {target}; nothing was written to either{ASIDE:#}",
        harmless(&rehearsed.command)
    )?;
    copies(out, rehearsed, verbose)?;
    if let Some(refused) = &rehearsed.refused {
        refusal(out, rehearsed, refused, verbose)?;
    }
    let note = match rehearsed.refused {
        Some(_) => "in the copies, as if the refusal were approved",
        None => "in the copies",
    };
    for (number, run) in (1..).zip(&rehearsed.runs) {
        let title = match number {
            1 if rehearsed.refused.is_some() => "What the run would do once approved".to_owned(),
            1 => "What the run would do".to_owned(),
            _ => format!("Run {number}, once the faults had ended"),
        };
        heading(out, &title, note)?;
        one_run(out, rehearsed, run, verbose)?;
        if number == 1 {
            faults(out, rehearsed)?;
        }
    }
    ending(out, rehearsed)?;
    mail(out, rehearsed, verbose)?;
    requests(out, rehearsed)?;
    writeln!(out, "\n{}", last_line(rehearsed))
}

fn copies(out: &mut dyn Write, rehearsed: &Rehearsed, verbose: bool) -> io::Result<()> {
    heading(out, "Copied", "")?;
    for copied in &rehearsed.copies {
        writeln!(
            out,
            "  {}: {}, {}, {}, read with {}",
            harmless(&copied.provider),
            count(copied.groups, "group", "groups"),
            count(copied.members, "person", "people"),
            count(copied.memberships, "membership", "memberships"),
            count(copied.requests, "request", "requests"),
        )?;
    }
    for Copied {
        provider, lacks, ..
    } in &rehearsed.copies
    {
        if lacks.is_empty() {
            continue;
        }
        writeln!(
            out,
            "  {CHANGED}!{CHANGED:#} The copy of {} lacks, or may lack:",
            harmless(provider)
        )?;
        sentences(out, lacks.iter().map(String::as_str), verbose)?;
    }
    if !rehearsed.differences.is_empty() {
        writeln!(
            out,
            "  {CHANGED}!{CHANGED:#} The copies show something else than the accounts:"
        )?;
        let named = rehearsed.differences.iter();
        let named: Vec<String> = named
            .map(|(provider, what)| format!("{provider}: {what}"))
            .collect();
        sentences(out, named.iter().map(String::as_str), verbose)?;
    }
    writeln!(out, "  {ASIDE}{NEVER_COPIED}{ASIDE:#}")
}

fn sentences<'a>(
    out: &mut dyn Write,
    all: impl ExactSizeIterator<Item = &'a str>,
    verbose: bool,
) -> io::Result<()> {
    let total = all.len();
    let shown = limit(total, verbose);
    for sentence in all.take(shown) {
        writeln!(out, "      {}", harmless(sentence))?;
    }
    and_more(out, "      ", total, shown)
}

/// Says what a guard refuses, and what is typed to let it pass: here nobody has approved anything.
fn refusal(
    out: &mut dyn Write,
    rehearsed: &Rehearsed,
    refused: &Refused,
    verbose: bool,
) -> io::Result<()> {
    writeln!(
        out,
        "\n{STOP}Refused{STOP:#}  {ASIDE}the run writes nothing until a person approves{ASIDE:#}"
    )?;
    if let Some(why) = &refused.why {
        writeln!(out, "  {CHANGED}!{CHANGED:#} {}", harmless(why))?;
    }
    sections::guards(out, &refused.refusals, refused.waiting_opt_outs, verbose)?;
    let [offer, approve] = approval_commands(rehearsed, refused);
    let offer = match offer {
        Some(offer) => format!(
            "\n      {}  {ASIDE}# offers the approval{ASIDE:#}",
            harmless(&offer)
        ),
        None => String::new(),
    };
    writeln!(
        out,
        "  To let these operations and no others of their kind pass, once and within seven days:{offer}\n      {}",
        harmless(&approve.unwrap_or_default())
    )?;
    writeln!(
        out,
        "  {CHANGED}Nothing is approved by a rehearsal: what follows is as if it were, in the copies alone.{CHANGED:#}"
    )
}

/// Returns what is typed so that an approval is offered, where it is not yet, and to use it.
fn approval_commands(rehearsed: &Rehearsed, refused: &Refused) -> [Option<String>; 2] {
    let command = &rehearsed.command;
    let offer = match (refused.is_offered, rehearsed.is_migration) {
        (true, _) => None,
        (false, true) => Some(command.clone()),
        (false, false) => Some(format!("{ROSTERD} plan {}", rehearsed.job)),
    };
    [
        offer,
        Some(format!("{command} --approve {}", refused.approval())),
    ]
}

fn one_run(
    out: &mut dyn Write,
    rehearsed: &Rehearsed,
    run: &Ended,
    verbose: bool,
) -> io::Result<()> {
    let report = match run {
        Ended::Report(report) => report,
        Ended::NoRun { error, exit_code } => {
            return writeln!(
                out,
                "  {STOP}x{STOP:#} No run was made ({exit_code}): {}",
                harmless(error)
            );
        }
    };
    let mut shown = RunReport::clone(report);
    // The approval that the copy offers after faults opens nothing.
    let refusals = std::mem::take(&mut shown.refusals);
    if rehearsed.refused.is_some() {
        // It was told above that nobody has given it.
        shown.approved = None;
    }
    write_run_text(out, &shown, verbose)?;
    if shown.migration.is_some() && !verbose {
        sections::losses(out, &shown.losses, verbose)?;
    }
    if refusals.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{STOP}A guard refuses the run.{STOP:#}")?;
    sections::guards(out, &refusals, report.waiting_opt_outs, verbose)
}

fn faults(out: &mut dyn Write, rehearsed: &Rehearsed) -> io::Result<()> {
    if rehearsed.faults.is_empty() {
        return Ok(());
    }
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for rule in &rehearsed.faults {
        *kinds.entry(rule.fault.name()).or_default() += 1;
    }
    let names: Vec<String> = kinds.keys().map(|name| (*name).to_owned()).collect();
    let rules = count(rehearsed.faults.len() as u64, "rule", "rules");
    heading(out, "Faults", "in the first run")?;
    let struck = match rehearsed.struck {
        0 => "no request met one".to_owned(),
        number => format!("{} one", count(number, "request met", "requests met")),
    };
    writeln!(out, "  {rules} ({}): {struck}", listed(&names))
}

/// Says whether the work was finished, and whether anything is left.
fn ending(out: &mut dyn Write, rehearsed: &Rehearsed) -> io::Result<()> {
    writeln!(out)?;
    if !rehearsed.faults.is_empty() {
        let first = &rehearsed.runs[0];
        let how = match first.exit_code() {
            0 if rehearsed.struck == 0 => {
                "ended well, and no request met a fault: nothing was tried by them"
            }
            0 => "ended well in spite of the faults",
            3 => "was refused",
            4 => "finished, and left items",
            _ => "failed",
        };
        let more = rehearsed.runs.len() as u64 - 1;
        let rest = match (more, rehearsed.last().exit_code()) {
            (0, _) => String::new(),
            (_, 0 | 4) => format!(
                "; {} without faults finished what was left",
                count(more, "run", "runs")
            ),
            (_, _) => format!(
                "; {} without faults did not finish what was left",
                count(more, "run", "runs")
            ),
        };
        writeln!(out, "The first run {how}{rest}.")?;
    }
    match &rehearsed.again {
        None => writeln!(
            out,
            "{CHANGED}Whether a next run would have anything to do is not known: the job did not come to its end.{CHANGED:#}"
        ),
        Some(again) if again.did_nothing() => {
            writeln!(out, "{ADDED}The next run has nothing to do.{ADDED:#}")
        }
        Some(Ended::NoRun { error, .. }) => writeln!(
            out,
            "{STOP}The next run could not be made:{STOP:#} {}",
            harmless(error)
        ),
        Some(Ended::Report(again)) => {
            let done = super::words::summary(&again.summary, true);
            let done = if done.is_empty() {
                count(
                    again.requests.values().sum(),
                    "request that writes",
                    "requests that write",
                )
            } else {
                listed(&done)
            };
            writeln!(
                out,
                "{CHANGED}The next run still has to do:{CHANGED:#} {done}"
            )
        }
    }
}

fn mail(out: &mut dyn Write, rehearsed: &Rehearsed, verbose: bool) -> io::Result<()> {
    let mail = &rehearsed.mail;
    let target = harmless(&rehearsed.providers[1]);
    let (title, column) = if mail.is_mail {
        ("Who is mailed afterwards", "get its mail")
    } else {
        ("Who is in the groups afterwards", "users in it")
    };
    heading(
        out,
        title,
        &format!("at {target}, by the emulator's own state"),
    )?;
    groups(out, mail, column, verbose)?;
    let [before, after] = mail.people.map(grouped);
    let what = if mail.is_mail {
        "get mail of at least one group that people make"
    } else {
        "are in a group"
    };
    writeln!(out, "  People who {what}: {before} before, {after} after.")?;
    let (newly, no_longer) = if mail.is_mail {
        ("would newly get mail", "would get none any more")
    } else {
        ("would newly be in one", "would be in none any more")
    };
    people(out, ADDED, "+", &mail.newly, newly, verbose)?;
    people(out, GONE, "-", &mail.no_longer, no_longer, verbose)?;
    refusals(out, rehearsed, verbose)
}

fn groups(out: &mut dyn Write, mail: &Mail, column: &str, verbose: bool) -> io::Result<()> {
    let changes = |group: &&GroupMail| group.before != group.after;
    let mut shown: Vec<&GroupMail> = mail.groups.iter().collect();
    if !verbose && shown.len() > MOST_GROUPS {
        // Where there are many, those come first of which there is something to say.
        shown.sort_by_key(|group| !changes(group));
        shown.truncate(MOST_GROUPS);
    }
    let number = |number: Option<u64>, none: &str| number.map_or_else(|| none.to_owned(), grouped);
    let rows: Vec<Vec<Cell>> = shown
        .iter()
        .map(|group| {
            let style = if changes(group) { CHANGED } else { ASIDE };
            vec![
                Cell::new(&format!("  {}", group.name)),
                Cell::new(&number(group.before, "(new)")),
                Cell::styled(&number(group.after, "(gone)"), style),
            ]
        })
        .collect();
    write_table(
        out,
        &["  group", &format!("{column} before"), "after"],
        &rows,
    )?;
    let left = mail.groups.len() - shown.len();
    if left > 0 {
        let changed = mail.groups.iter().filter(changes).count();
        let hidden = changed.saturating_sub(shown.iter().filter(|group| changes(group)).count());
        let what = match hidden {
            0 => "none of which changes".to_owned(),
            number => format!("{} of which change", grouped(number as u64)),
        };
        writeln!(
            out,
            "  {ASIDE}… and {} more groups, {what} (-v shows all){ASIDE:#}",
            grouped(left as u64)
        )?;
    }
    Ok(())
}

fn people(
    out: &mut dyn Write,
    style: anstyle::Style,
    mark: &str,
    people: &[String],
    what: &str,
    verbose: bool,
) -> io::Result<()> {
    let total = people.len();
    let number = count(total as u64, "person", "people");
    writeln!(out, "  {style}{mark}{style:#} {number} {what}")?;
    let shown = limit(total, verbose);
    for who in &people[..shown] {
        writeln!(out, "      {}", address(who))?;
    }
    and_more(out, "      ", total, shown)
}

fn refusals(out: &mut dyn Write, rehearsed: &Rehearsed, verbose: bool) -> io::Result<()> {
    let mail = &rehearsed.mail;
    if !mail.is_mail {
        return writeln!(
            out,
            "  User groups send no mail, so no refusal is at stake."
        );
    }
    let [source, target] = rehearsed
        .providers
        .each_ref()
        .map(|provider| harmless(provider));
    let refusing = count(mail.refusing, "person refuses mail", "people refuse mail");
    match mail.breaches.len() {
        0 if mail.refusing == 0 => {
            writeln!(out, "  Nobody refuses any mail at {source} or {target}.")?;
        }
        0 => writeln!(
            out,
            "  {ADDED}{refusing} at {source} or {target}, and nobody of them would newly get mail that they refuse.{ADDED:#}"
        )?,
        total => {
            writeln!(
                out,
                "  {STOP}{refusing} at {source} or {target}, and {} would be mailed against it. Do not run this job; report it.{STOP:#}",
                grouped(total as u64)
            )?;
            let shown = limit(total, verbose);
            for Breach { group, member } in &mail.breaches[..shown] {
                writeln!(
                    out,
                    "      {STOP}x{STOP:#} {} in {}",
                    address(member),
                    quoted(group)
                )?;
            }
            and_more(out, "      ", total, shown)?;
        }
    }
    for (number, why) in [
        (
            mail.still_mailed,
            "in groups of this job: the run does not carry it (`members.opt_outs`, a guard, or an item that needs a person)",
        ),
        (
            mail.still_mailed_elsewhere,
            "in groups that this job has no part in",
        ),
    ] {
        // Which groups are the job's is known once it has linked them.
        let why = match rehearsed.again {
            Some(_) => why,
            None => "as the job did not come to its end",
        };
        if number > 0 {
            writeln!(
                out,
                "  {CHANGED}!{CHANGED:#} {} mail at {source} and {} mail of {target} before and after, {why}",
                count(number, "person refuses", "people refuse"),
                if number == 1 { "gets" } else { "get" },
            )?;
        }
    }
    Ok(())
}

fn requests(out: &mut dyn Write, rehearsed: &Rehearsed) -> io::Result<()> {
    heading(out, "Requests and time", "of the first run")?;
    let rows: Vec<Vec<Cell>> = rehearsed
        .requests
        .iter()
        .map(|requests| {
            let Requests {
                provider,
                predicted_reads,
                predicted_writes,
                reads,
                writes,
                ..
            } = requests;
            vec![
                Cell::new(&format!("  {provider}")),
                Cell::new(&format!(
                    "{} reading, {} writing",
                    grouped(*predicted_reads),
                    grouped(*predicted_writes)
                )),
                Cell::new(&format!(
                    "{} reading, {} writing",
                    grouped(*reads),
                    grouped(*writes)
                )),
            ]
        })
        .collect();
    write_table(out, &["  provider", "predicted by the plan", "sent"], &rows)?;
    let later: u64 = rehearsed
        .requests
        .iter()
        .map(|requests| requests.later)
        .sum();
    if later > 0 {
        writeln!(
            out,
            "  {} more to finish what the faults had left",
            count(later, "request", "requests")
        )?;
    }
    let time = rehearsed.time;
    let words = |seconds: u64| duration(Duration::from_secs(seconds));
    writeln!(
        out,
        "  About {} (predicted {}): {} at the configured pace with all pauses, as the copies' clock went, and {} more for answers as slow as they were while the accounts were read",
        words(time.seconds()),
        words(time.predicted_seconds),
        words(time.copy_seconds),
        words(time.answer_seconds)
    )
}

fn last_line(rehearsed: &Rehearsed) -> String {
    let code = rehearsed.exit_code();
    let real = rehearsed.real_exit_code();
    let verdicts: Vec<String> = rehearsed
        .other_verdicts()
        .into_iter()
        .map(|verdict| verdict.what)
        .collect();
    let style = match code {
        0 => HEADING,
        _ if rehearsed.mail.breaches.is_empty() => CHANGED,
        _ => STOP,
    };
    let first = format!(
        "{style}Rehearsed: the run would end with {real} ({}).{style:#}",
        meaning(real)
    );
    if code == 0 {
        return format!("{first} All is well.");
    }
    if verdicts.is_empty() {
        return format!("{first} The rehearsal ends with {code} for it.");
    }
    let as_well = if code == real {
        ", and not for that alone"
    } else {
        ""
    };
    format!(
        "{first} The rehearsal ends with {code}{as_well}: {}.",
        verdicts.join("; ")
    )
}

/// Writes what a rehearsal came to for a program.
///
/// # Errors
/// What writing to `out` says.
pub fn write_rehearsal_json(out: &mut dyn Write, rehearsed: &Rehearsed) -> io::Result<()> {
    let first = &rehearsed.runs[0];
    let sync = |run: &Ended| run_of(&rehearsed.job, run);
    let rules = rehearsed.faults.iter();
    let document = Document {
        version: FORMAT_VERSION,
        job: &rehearsed.job,
        source: &rehearsed.providers[0],
        target: &rehearsed.providers[1],
        read_at: rehearsed.read_at.to_string(),
        exit_code: rehearsed.exit_code(),
        outcome: match rehearsed.refused {
            Some(_) => crate::run::Outcome::Refused.as_str(),
            None => outcome(first),
        },
        command: &rehearsed.command,
        would_end_with: rehearsed.real_exit_code(),
        not_well: rehearsed.verdicts(),
        refused: rehearsed.refused.as_ref().map(|refused| RefusedDocument {
            refusals: refused.refusals.iter().map(RefusalRow::new).collect(),
            waiting_opt_outs: refused.waiting_opt_outs,
            approval: refused.approval(),
            is_offered: refused.is_offered,
            commands: approval_commands(rehearsed, refused)
                .into_iter()
                .flatten()
                .collect(),
            why: refused.why.as_deref(),
        }),
        as_if_approved: rehearsed.refused.is_some(),
        copies: &rehearsed.copies,
        differences: rehearsed
            .differences
            .iter()
            .map(|(provider, what)| Difference { provider, what })
            .collect(),
        never_copied: NEVER_COPIED,
        faults: rules
            .map(serde_json::to_value)
            .collect::<Result<_, _>>()
            .map_err(io::Error::other)?,
        struck: rehearsed.struck,
        run: sync(first)?,
        finishing_runs: rehearsed.runs[1..]
            .iter()
            .map(sync)
            .collect::<io::Result<_>>()?,
        next_run: rehearsed.again.as_ref().map(sync).transpose()?,
        next_run_is_empty: rehearsed.again.as_ref().map(Ended::did_nothing),
        requests: &rehearsed.requests,
        time: rehearsed.time,
        seconds: rehearsed.time.seconds(),
        mail: MailDocument {
            by_users: !rehearsed.mail.is_mail,
            groups: &rehearsed.mail.groups,
            people_before: rehearsed.mail.people[0],
            people_after: rehearsed.mail.people[1],
            newly: &rehearsed.mail.newly,
            no_longer: &rehearsed.mail.no_longer,
            refusing: rehearsed.mail.refusing,
            against_their_will: &rehearsed.mail.breaches,
            still_mailed: rehearsed.mail.still_mailed,
            still_mailed_elsewhere: rehearsed.mail.still_mailed_elsewhere,
        },
    };
    write_document(out, &document)
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    job: &'a str,
    source: &'a str,
    target: &'a str,
    read_at: String,
    exit_code: u8,
    outcome: &'static str,
    command: &'a str,
    /// What the command itself would end with; `exit_code` is what the rehearsal ends with.
    would_end_with: u8,
    not_well: Vec<Verdict>,
    /// What a guard refuses; nothing of it is approved.
    refused: Option<RefusedDocument<'a>>,
    /// Whether the runs are as if a refusal were approved.
    as_if_approved: bool,
    copies: &'a [Copied; 2],
    differences: Vec<Difference<'a>>,
    never_copied: &'static str,
    faults: Vec<Value>,
    struck: u64,
    run: Value,
    finishing_runs: Vec<Value>,
    next_run: Option<Value>,
    next_run_is_empty: Option<bool>,
    requests: &'a [Requests; 2],
    time: crate::rehearsal::Time,
    seconds: u64,
    mail: MailDocument<'a>,
}

#[derive(Serialize)]
struct RefusedDocument<'a> {
    refusals: Vec<RefusalRow<'a>>,
    waiting_opt_outs: u64,
    approval: &'a str,
    /// Whether the state database holds the approval already.
    is_offered: bool,
    /// What is typed, one after the other.
    commands: Vec<String>,
    /// Why an approval that was given does not fit.
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct Difference<'a> {
    provider: &'a str,
    what: &'a str,
}

#[derive(Serialize)]
struct MailDocument<'a> {
    /// Whether the groups are user groups, which send no mail: then it is who is in them.
    by_users: bool,
    groups: &'a [GroupMail],
    people_before: u64,
    people_after: u64,
    newly: &'a [String],
    no_longer: &'a [String],
    refusing: u64,
    against_their_will: &'a [Breach],
    still_mailed: u64,
    still_mailed_elsewhere: u64,
}

fn outcome(run: &Ended) -> &'static str {
    match run {
        Ended::Report(report) => match report.outcome {
            crate::run::Outcome::Interrupted => crate::run::Outcome::Failed.as_str(),
            other => other.as_str(),
        },
        Ended::NoRun { exit_code: 3, .. } => "refused",
        Ended::NoRun { .. } => "failed",
    }
}

/// Returns a run as `sync` prints it. The approval that a copy offers after faults opens nothing, and
/// is empty.
fn run_of(job: &str, run: &Ended) -> io::Result<Value> {
    match run {
        Ended::Report(report) => {
            let mut shown = RunReport::clone(report);
            for refusal in &mut shown.refusals {
                refusal.approval.clear();
            }
            run_value(&shown)
        }
        Ended::NoRun { error, exit_code } => Ok(serde_json::json!({
            "job": job, "outcome": outcome(run), "exit_code": exit_code, "error": error,
        })),
    }
}
