//! What a migration will come to, and what it came to.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::json::{BlockedRow, Counts, FORMAT_VERSION, LossRow, RefusalRow, write_document};
use super::paint::{ADDED, ASIDE, CHANGED, GONE, HEADING, STOP};
use super::sections::{self, heading, limit, remedy_after};
use super::table::{Cell, write_table};
use super::words::{count, duration, explain, grouped, harmless, listed, shortened, summary};
use crate::model::{Met, Takes};
use crate::plan::{Loss, Reason};
use crate::program::ROSTERD;
use crate::run::{
    AccountEstimate, Assessed, BothSides, Estimate, GroupCount, Migration, Planned, RunReport,
    States, Verified,
};

/// Writes what a migration will come to: what moves, what stays behind and why, and what it takes;
/// `export` is the directory into which both accounts are copied first.
///
/// # Errors
/// What writing to `out` says.
pub fn write_assessment_text(
    out: &mut dyn Write,
    planned: &Planned,
    assessed: &Assessed,
    estimate: &Estimate,
    command: &str,
    export: Option<&str>,
    verbose: bool,
) -> io::Result<()> {
    let plan = &planned.plan;
    writeln!(
        out,
        "{HEADING}Migration{HEADING:#} from {} to {}, by job {}",
        harmless(&plan.source),
        harmless(&plan.target),
        harmless(&plan.job)
    )?;
    heading(out, "Groups", &scope(assessed))?;
    group_table(out, &assessed.groups, &plan.source, &plan.target, verbose)?;
    people(out, planned, assessed)?;
    to_do(out, planned)?;
    left_behind(out, planned)?;
    losses(out, &plan.losses, verbose)?;
    if command.contains(" --from ") && plan.losses.iter().any(|loss| loss.remedy.is_some()) {
        writeln!(
            out,
            "  Such a line needs the job in the config: [jobs.{}] source = \"{}\", target = \"{}\"",
            harmless(&plan.job),
            harmless(&plan.source),
            harmless(&plan.target)
        )?;
    }
    sections::blocked(out, &plan.job, &plan.blocked, &planned.accepted, verbose)?;
    sections::warnings(out, &plan.warnings)?;
    estimate_text(out, estimate)?;
    sections::refusals(out, command, &plan.refusals, plan.waiting_opt_outs, verbose)?;
    if plan.is_empty() {
        return Ok(());
    }
    let copying = estimate
        .accounts
        .iter()
        .map(|account| account.copying)
        .sum();
    let copying = count(copying, "request", "requests");
    match export {
        Some(directory) => writeln!(
            out,
            "\nBefore anything is written, both accounts are copied into {}, which takes about {copying} more.",
            harmless(directory)
        )?,
        None => writeln!(
            out,
            "\nNo copy of the accounts is made: `{} --export DIR` makes one of both before the first write, in about {copying} more, as `{ROSTERD} export {} --out DIR` and `{ROSTERD} export {} --out DIR` do.",
            harmless(command),
            harmless(&plan.source),
            harmless(&plan.target),
        )?,
    }
    writeln!(
        out,
        "`{ROSTERD} plan {} -v` names everybody.",
        harmless(&plan.job)
    )
}

/// Writes in a few lines what a migration comes to, without a name or an address.
///
/// # Errors
/// What writing to `out` says.
pub fn write_assessment_in_short(
    out: &mut dyn Write,
    planned: &Planned,
    estimate: &Estimate,
) -> io::Result<()> {
    let plan = &planned.plan;
    let (source, target) = (harmless(&plan.source), harmless(&plan.target));
    writeln!(
        out,
        "From {source} to {target}: {}.",
        summary(&plan.summary, false).join(", ")
    )?;
    writeln!(
        out,
        "{} withheld, {} blocked, {} lost; about {}.",
        grouped(plan.withheld.len() as u64),
        grouped(plan.blocked.len() as u64),
        count(plan.losses.len() as u64, "kind of value", "kinds of values"),
        duration(Duration::from_secs(estimate.seconds))
    )
}

fn scope(assessed: &Assessed) -> String {
    let covered = count(assessed.groups.len() as u64, "in scope", "in scope");
    let out_of_scope = &assessed.out_of_scope;
    if out_of_scope.count() == 0 {
        return covered;
    }
    format!(
        "{covered}; {} of the source not: {}",
        grouped(out_of_scope.count()),
        examples(out_of_scope, false)
    )
}

/// Names the examples, and how many are not named.
fn examples(met: &Met, verbose: bool) -> String {
    let shown = if verbose { met.examples().len() } else { 3 };
    let shown = shown.min(met.examples().len());
    let names: Vec<String> = met.examples()[..shown]
        .iter()
        .map(|name| format!("\"{}\"", shortened(name, false)))
        .collect();
    let more = met.count() - shown as u64;
    let more = if more > 0 {
        format!(" and {} more", grouped(more))
    } else {
        String::new()
    };
    format!("{}{more}", names.join(", "))
}

fn group_table(
    out: &mut dyn Write,
    groups: &[GroupCount],
    source: &str,
    target: &str,
    verbose: bool,
) -> io::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    let number = |states: Option<States>, of: fn(States) -> u64, exists: bool| match states {
        Some(states) => grouped(of(states)),
        None if exists => "not whole".to_owned(),
        None => "-".to_owned(),
    };
    let active = |states: States| states.active;
    let refusing = |states: States| states.opted_out;
    let others = |states: States| states.unconfirmed + states.undeliverable;
    let cells = |name: &str, group: &GroupCount| {
        let (here, there) = (group.source, group.target);
        let numbers = [
            number(here, active, true),
            number(here, refusing, true),
            number(here, others, true),
            number(there, active, group.exists),
            number(there, refusing, group.exists),
            number(there, others, group.exists),
        ];
        let name = Cell::new(&shortened(name, verbose));
        [name]
            .into_iter()
            .chain(numbers.iter().map(|number| Cell::new(number)))
            .collect::<Vec<Cell>>()
    };
    let shown = limit(groups.len(), verbose);
    let mut rows: Vec<Vec<Cell>> = groups[..shown]
        .iter()
        .map(|group| {
            let name = if group.source_name == group.target_name {
                group.source_name.clone()
            } else {
                format!("{} → {}", group.source_name, group.target_name)
            };
            cells(&name, group)
        })
        .collect();
    if groups.len() > shown {
        let more = format!("… and {} more (-v)", grouped((groups.len() - shown) as u64));
        rows.push(cells(&more, &total(&groups[shown..])));
    }
    rows.push(cells("all of them", &total(groups)));
    let (source, target) = (harmless(source), harmless(target));
    let header = [
        "group".to_owned(),
        format!("active at {source}"),
        "refuse".to_owned(),
        "others".to_owned(),
        format!("active at {target}"),
        "refuse".to_owned(),
        "others".to_owned(),
    ];
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    write_table(out, &header, &rows)
}

/// Adds groups up; what is not whole makes the sum so, and what is not there adds nothing.
fn total(groups: &[GroupCount]) -> GroupCount {
    let there = groups.iter().filter(|group| group.exists);
    GroupCount {
        source: sum(groups.iter().map(|group| group.source)),
        target: sum(there.map(|group| group.target)),
        exists: groups.iter().any(|group| group.exists),
        ..GroupCount::default()
    }
}

fn sum(mut all: impl Iterator<Item = Option<States>>) -> Option<States> {
    all.try_fold(States::default(), |sum, states| {
        let states = states?;
        Some(States {
            active: sum.active + states.active,
            unconfirmed: sum.unconfirmed + states.unconfirmed,
            undeliverable: sum.undeliverable + states.undeliverable,
            opted_out: sum.opted_out + states.opted_out,
        })
    })
}

fn people(out: &mut dyn Write, planned: &Planned, assessed: &Assessed) -> io::Result<()> {
    let (source, target) = (
        harmless(&planned.plan.source),
        harmless(&planned.plan.target),
    );
    heading(out, "People", "")?;
    writeln!(
        out,
        "  {} in these groups, of whom {target} knows {}",
        count(assessed.people, "person", "people"),
        grouped(assessed.known_at_target)
    )?;
    let refusing = assessed.refusing;
    if refusing != BothSides::default() {
        writeln!(
            out,
            "  {} refuse all mail of {source}, and {} all mail of {target}; nobody of them is ever added",
            grouped(refusing.source),
            grouped(refusing.target)
        )?;
    }
    let duplicates = &assessed.duplicates;
    if duplicates.count() > 0 {
        let merged = match assessed.merged {
            0 => String::new(),
            number => format!(
                ", so that {} with another",
                count(number, "membership is one", "memberships are one")
            ),
        };
        writeln!(
            out,
            "  {CHANGED}!{CHANGED:#} {} in several records of {source}, which become one person each{merged}: {}",
            count(duplicates.count(), "address stands", "addresses stand"),
            examples(duplicates, true)
        )?;
    }
    Ok(())
}

fn to_do(out: &mut dyn Write, planned: &Planned) -> io::Result<()> {
    let plan = &planned.plan;
    heading(out, "To be done", "opt-outs first")?;
    let lines = summary(&plan.summary, false);
    if lines.is_empty() {
        let nothing = if plan.is_empty() {
            "nothing".to_owned()
        } else {
            count(plan.operations.len() as u64, "operation", "operations")
        };
        return writeln!(out, "  {nothing}");
    }
    for line in lines {
        writeln!(out, "  {ADDED}+{ADDED:#} {line}")?;
    }
    Ok(())
}

fn left_behind(out: &mut dyn Write, planned: &Planned) -> io::Result<()> {
    let mut reasons: BTreeMap<Reason, u64> = BTreeMap::new();
    for withheld in &planned.plan.withheld {
        *reasons.entry(withheld.reason).or_default() += 1;
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let all = planned.plan.withheld.len() as u64;
    let note = count(all, "membership", "memberships");
    heading(out, "Not carried, on purpose", &note)?;
    for (reason, number) in reasons {
        writeln!(
            out,
            "  o {} {}: {}",
            grouped(number),
            reason.as_str(),
            explain(reason)
        )?;
    }
    Ok(())
}

/// Writes what will not survive, with examples and what can be done about it.
fn losses(out: &mut dyn Write, losses: &[Loss], verbose: bool) -> io::Result<()> {
    if losses.is_empty() {
        return Ok(());
    }
    let all = losses.iter().map(|loss| loss.count).sum();
    let kinds = count(losses.len() as u64, "kind", "kinds");
    let note = format!("{} of {kinds}", count(all, "value", "values"));
    heading(out, "Will not survive", &note)?;
    for (at, loss) in losses.iter().enumerate() {
        writeln!(
            out,
            "  {GONE}-{GONE:#} {} ({}): {}; {}",
            harmless(&loss.field),
            loss.object,
            count(loss.count, "value", "values"),
            harmless(&loss.reason)
        )?;
        let shown = if verbose { 10 } else { 3 };
        let quoted: Vec<String> = loss
            .examples
            .iter()
            .take(shown)
            .map(|example| format!("\"{}\"", shortened(example, verbose)))
            .collect();
        writeln!(out, "      {ASIDE}such as {}{ASIDE:#}", quoted.join(", "))?;
        if let Some(remedy) = remedy_after(losses, at) {
            writeln!(out, "      to keep it: {}", harmless(remedy))?;
        }
    }
    Ok(())
}

fn estimate_text(out: &mut dyn Write, estimate: &Estimate) -> io::Result<()> {
    heading(out, "What it takes", "verification included")?;
    let rows: Vec<Vec<Cell>> = estimate
        .accounts
        .iter()
        .map(|account| {
            let pace = account
                .requests_per_minute
                .map_or("none".to_owned(), |pace| format!("{pace} a minute"));
            [
                account.provider.clone(),
                grouped(account.reads),
                grouped(account.writes),
                duration(Duration::from_secs(account.seconds)),
                pace,
                share_of_day(account),
            ]
            .iter()
            .map(|text| Cell::new(text))
            .collect()
        })
        .collect();
    write_table(
        out,
        &[
            "account",
            "reads",
            "writes",
            "time",
            "pace",
            "share of a day",
        ],
        &rows,
    )?;
    for (purpose, takes) in &estimate.work {
        let mut parts = vec![count(takes.writes, "request", "requests")];
        if takes.reads > 0 {
            parts.push(count(takes.reads, "look", "looks"));
        }
        if takes.waits > 0 {
            let waits = duration(Duration::from_secs(takes.waits));
            parts.push(format!("waiting {waits}"));
        }
        writeln!(out, "  {ASIDE}{purpose}: {}{ASIDE:#}", listed(&parts))?;
    }
    let over = estimate.accounts.iter();
    for (account, over) in over.filter_map(|one| Some((one, one.over_the_day()?))) {
        writeln!(
            out,
            "  {STOP}!{STOP:#} {} too many for `requests_per_day` of {}: the migration stops there and goes on when it is started again a day later",
            count(over, "request is", "requests are"),
            harmless(&account.provider)
        )?;
    }
    let writes: u64 = estimate.accounts.iter().map(|account| account.writes).sum();
    let late = if writes > 0 {
        ", and up to two minutes where what was written shows late"
    } else {
        ""
    };
    writeln!(
        out,
        "  about {} in all{late}",
        duration(Duration::from_secs(estimate.seconds))
    )
}

fn share_of_day(account: &AccountEstimate) -> String {
    let Some(cap) = account.requests_per_day else {
        return "no cap".to_owned();
    };
    let sent = account.sent_today + account.reads + account.writes;
    format!("{} of {}", grouped(sent), grouped(cap))
}

/// Writes what a migration came to beside its run: both sides as they were read once more, and what
/// was predicted of it.
pub(super) fn write_migration_text(
    out: &mut dyn Write,
    report: &RunReport,
    migration: &Migration,
    verbose: bool,
) -> io::Result<()> {
    let (source, target) = &migration.providers;
    if !migration.copies.is_empty() {
        heading(out, "Copied before", "")?;
    }
    for copy in &migration.copies {
        let lacks = if copy.complete {
            ""
        } else {
            "; it may lack something, as its manifest.json says"
        };
        writeln!(
            out,
            "  {} in {}{lacks}",
            harmless(&copy.provider),
            harmless(&copy.place)
        )?;
    }
    match &migration.verified {
        None => {}
        Some(Err(error)) => {
            heading(out, "Not verified", "")?;
            writeln!(
                out,
                "  {STOP}x{STOP:#} what was written stands, and reading both sides once more failed: {}",
                harmless(error)
            )?;
        }
        Some(Ok(verified)) => {
            heading(out, "Verified", "both sides were read once more")?;
            group_table(out, &verified.after.groups, source, target, verbose)?;
            left(out, verified, &migration.command)?;
        }
    }
    if let Some(undone) = undone(report, migration) {
        writeln!(out, "  {CHANGED}!{CHANGED:#} not done yet: {undone}")?;
    }
    if migration.verified.is_some() {
        let predicted = migration.estimate.accounts.iter();
        let predicted: u64 = predicted
            .map(|account| account.reads + account.writes)
            .sum();
        writeln!(
            out,
            "{ASIDE}From the answer to the end of the verification {} and {} were predicted; it took {} and {}.{ASIDE:#}",
            count(predicted, "request", "requests"),
            duration(Duration::from_secs(migration.estimate.seconds)),
            grouped(sent(report, migration)),
            duration(took(migration))
        )?;
    }
    Ok(())
}

fn took(migration: &Migration) -> Duration {
    let took = migration.ended.duration_since(migration.began);
    Duration::from_secs(u64::try_from(took.as_secs()).unwrap_or_default())
}

/// Counts what was sent after the answer.
fn sent(report: &RunReport, migration: &Migration) -> u64 {
    let all = report.reads.values().chain(report.requests.values());
    all.sum::<u64>().saturating_sub(migration.asked_after)
}

fn left(out: &mut dyn Write, verified: &Verified, command: &str) -> io::Result<()> {
    let not_whole = verified.not_whole as u64;
    if not_whole > 0 {
        writeln!(
            out,
            "  {STOP}x{STOP:#} {} could not be read to the end, so nothing is proved of what is there",
            count(not_whole, "list", "lists")
        )?;
    }
    if verified.operations == 0 && not_whole > 0 {
        return Ok(());
    }
    if verified.operations == 0 {
        return writeln!(out, "  {ADDED}*{ADDED:#} nothing is left to be done");
    }
    let mut left = summary(&verified.left, false);
    if left.is_empty() {
        left.push(count(verified.operations as u64, "operation", "operations"));
    }
    writeln!(
        out,
        "  {CHANGED}!{CHANGED:#} left: {}; `{}` goes on with it",
        left.join(", "),
        harmless(command)
    )
}

/// Says what was planned and not done, where the run did not come to its end.
fn undone(report: &RunReport, migration: &Migration) -> Option<String> {
    report.error.as_ref()?;
    let (planned, done) = (&migration.planned, &report.summary);
    let left = crate::plan::Summary {
        groups_created: planned.groups_created.saturating_sub(done.groups_created),
        groups_updated: planned.groups_updated.saturating_sub(done.groups_updated),
        groups_adopted: planned.groups_adopted.saturating_sub(done.groups_adopted),
        groups_archived: planned.groups_archived.saturating_sub(done.groups_archived),
        groups_deleted: planned.groups_deleted.saturating_sub(done.groups_deleted),
        members_created: planned.members_created.saturating_sub(done.members_created),
        members_updated: planned.members_updated.saturating_sub(done.members_updated),
        memberships_added: planned
            .memberships_added
            .saturating_sub(done.memberships_added),
        memberships_removed: planned
            .memberships_removed
            .saturating_sub(done.memberships_removed),
        opt_outs: planned.opt_outs.saturating_sub(done.opt_outs),
    };
    let left = summary(&left, false);
    (!left.is_empty()).then(|| {
        let command = harmless(&migration.command);
        format!("{}; `{command}` goes on with it", left.join(", "))
    })
}

/// Writes what a migration will come to, for a program.
///
/// # Errors
/// What writing to `out` says.
pub fn write_assessment_json(
    out: &mut dyn Write,
    planned: &Planned,
    assessed: &Assessed,
    estimate: &Estimate,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        job: &'a str,
        source: &'a str,
        target: &'a str,
        summary: Counts,
        assessed: Value,
        withheld: BTreeMap<&'static str, u64>,
        blocked: Vec<BlockedRow<'a>>,
        refusals: Vec<RefusalRow<'a>>,
        losses: Vec<LossRow<'a>>,
        warnings: &'a [String],
        estimate: Value,
    }
    let plan = &planned.plan;
    let mut withheld = BTreeMap::new();
    for one in &plan.withheld {
        *withheld.entry(one.reason.as_str()).or_default() += 1;
    }
    let blocked = plan.blocked.iter();
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            job: &plan.job,
            source: &plan.source,
            target: &plan.target,
            summary: Counts::new(&plan.summary),
            assessed: assessed_json(assessed),
            withheld,
            blocked: blocked
                .map(|blocked| BlockedRow::new(blocked, &plan.job, &planned.accepted))
                .collect(),
            refusals: plan.refusals.iter().map(RefusalRow::new).collect(),
            losses: plan.losses.iter().map(LossRow::new).collect(),
            warnings: &plan.warnings,
            estimate: estimate_json(estimate),
        },
    )
}

/// Returns what a migration came to beside its run.
pub(super) fn migration_json(report: &RunReport, migration: &Migration) -> Value {
    let verified = migration.verified.as_ref().map(|verified| match verified {
        Ok(verified) => json!({
            "after": assessed_json(&verified.after),
            "left": super::json::summary_json(&verified.left),
            "operations_left": verified.operations,
            "not_whole": verified.not_whole,
        }),
        Err(error) => json!({"error": error}),
    });
    json!({
        "before": assessed_json(&migration.before),
        "copies": migration.copies,
        "planned": super::json::summary_json(&migration.planned),
        "estimate": estimate_json(&migration.estimate),
        "took": {"requests": sent(report, migration), "seconds": took(migration).as_secs()},
        "verified": verified,
    })
}

fn assessed_json(assessed: &Assessed) -> Value {
    let met = |met: &Met| json!({"count": met.count(), "examples": met.examples()});
    json!({
        "groups": assessed.groups,
        "out_of_scope": met(&assessed.out_of_scope),
        "people": assessed.people,
        "known_at_target": assessed.known_at_target,
        "refusing": {"source": assessed.refusing.source, "target": assessed.refusing.target},
        "duplicates": met(&assessed.duplicates),
        "merged_memberships": assessed.merged,
    })
}

fn estimate_json(estimate: &Estimate) -> Value {
    let takes =
        |takes: &Takes| json!({"writes": takes.writes, "reads": takes.reads, "waits": takes.waits});
    let accounts: Vec<Value> = estimate
        .accounts
        .iter()
        .map(|account| {
            json!({
                "provider": account.provider, "reads": account.reads, "writes": account.writes,
                "seconds": account.seconds, "requests_per_minute": account.requests_per_minute,
                "requests_per_day": account.requests_per_day, "sent_today": account.sent_today, "copying": account.copying,
            })
        })
        .collect();
    let work = estimate.work.iter();
    let work: BTreeMap<&str, Value> = work
        .map(|(purpose, work)| (*purpose, takes(work)))
        .collect();
    json!({"accounts": accounts, "work": work, "seconds": estimate.seconds})
}
