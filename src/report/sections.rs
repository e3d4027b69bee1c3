//! Parts of a printed result that plans and runs share: what is blocked, refused, lost, and what a
//! person should read.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::io::{self, Write};

use jiff::Timestamp;

use super::failures::remedy_of;
use super::paint::{ASIDE, CHANGED, GONE, HEADING, STOP};
use super::view::{by_guard, by_reason, sums};
use super::words::{address, count, grouped, harmless, opt_outs_wait, quoted, shortened};
use crate::plan::{Blocked, GuardRefusal, Loss};
use crate::run::Approved;

/// How many items of one kind are shown unless all are wanted.
pub(super) const SHOWN: usize = 10;

/// Writes a heading, after an empty line.
pub(super) fn heading(out: &mut dyn Write, title: &str, note: &str) -> io::Result<()> {
    let space = if note.is_empty() { "" } else { "  " };
    writeln!(
        out,
        "\n{HEADING}{title}{HEADING:#}{space}{ASIDE}{note}{ASIDE:#}"
    )
}

/// Says how many items are left out of a list, if any.
pub(super) fn and_more(
    out: &mut dyn Write,
    indent: &str,
    total: usize,
    shown: usize,
) -> io::Result<()> {
    if total > shown {
        writeln!(
            out,
            "{indent}{ASIDE}… and {} more (-v shows all){ASIDE:#}",
            grouped((total - shown) as u64)
        )?;
    }
    Ok(())
}

/// Returns how many of so many items are shown.
pub(super) fn limit(total: usize, verbose: bool) -> usize {
    if verbose { total } else { total.min(SHOWN) }
}

/// Writes what waits for a person, with what can be done about it, and what somebody has accepted.
pub(super) fn blocked(
    out: &mut dyn Write,
    job: &str,
    all: &[Blocked],
    accepted: &BTreeSet<String>,
    verbose: bool,
) -> io::Result<()> {
    let (known, open): (Vec<&Blocked>, Vec<&Blocked>) = all
        .iter()
        .partition(|blocked| accepted.contains(&blocked.item()));
    for (title, words, some) in [
        ("Blocked", "waiting for a person", open),
        ("Accepted", "blocked, and known to a person", known),
    ] {
        if some.is_empty() {
            continue;
        }
        let number = count(some.len() as u64, "item", "items");
        heading(out, title, &format!("{number}, {words}"))?;
        blocked_by_reason(out, job, &some, verbose)?;
    }
    Ok(())
}

fn blocked_by_reason(
    out: &mut dyn Write,
    job: &str,
    all: &[&Blocked],
    verbose: bool,
) -> io::Result<()> {
    for (reason, items) in by_reason(all.iter().copied()) {
        writeln!(
            out,
            "  {GONE}x {}{GONE:#}  {}",
            reason.as_str(),
            grouped(items.len() as u64)
        )?;
        let shown = limit(items.len(), verbose);
        for item in &items[..shown] {
            let (name, detail) = (named(item), harmless(&item.detail));
            writeln!(
                out,
                "      {ASIDE}{}{ASIDE:#} {name}: {detail}",
                item.item()
            )?;
        }
        and_more(out, "      ", items.len(), shown)?;
        writeln!(out, "      remedy: {}", remedy_of(reason, &harmless(job)))?;
    }
    Ok(())
}

/// Names a blocked item: who, in which group, by which id.
pub(super) fn named(item: &Blocked) -> String {
    let mut name = match (&item.member, &item.group) {
        (Some(member), Some(group)) => format!("{} in {}", address(member), quoted(group)),
        (Some(member), None) => address(member).into_owned(),
        (None, Some(group)) => format!("group {}", quoted(group)),
        (None, None) => item.what.as_str().to_owned(),
    };
    if let Some(id) = &item.id {
        name = format!("{name} [id {}]", harmless(id));
    }
    name
}

/// Writes source values without a home; what a finished run has told of is one line, unless all is
/// wanted.
pub(super) fn losses(out: &mut dyn Write, losses: &[Loss], verbose: bool) -> io::Result<()> {
    let (known, told): (Vec<&Loss>, Vec<&Loss>) = losses
        .iter()
        .partition(|loss| !verbose && loss.known_since.is_some());
    let since = known.iter().filter_map(|loss| loss.known_since).max();
    let in_short = since.map(|since| {
        let number = known.len() as u64;
        let them = if number == 1 { "it" } else { "them" };
        format!(
            "{} known since {}: `-v` lists {them}",
            count(number, "loss", "losses"),
            day(since)
        )
    });
    if told.is_empty() {
        return match in_short {
            Some(in_short) => writeln!(out, "\n{ASIDE}{in_short}{ASIDE:#}"),
            None => Ok(()),
        };
    }
    heading(
        out,
        "Losses",
        "what the target can't hold; where possible rosterd remembers it",
    )?;
    for (at, loss) in told.iter().enumerate() {
        let known = loss
            .known_since
            .map(|since| format!("; known since {}", day(since)));
        writeln!(
            out,
            "  - {} ({}): {}, for example {}; {}{}",
            harmless(&loss.field),
            loss.object,
            count(loss.count, "value", "values"),
            examples(loss, verbose),
            harmless(&loss.reason),
            known.unwrap_or_default()
        )?;
        if let Some(remedy) = remedy_after(&told, at) {
            writeln!(out, "      to keep it: {}", harmless(remedy))?;
        }
    }
    match in_short {
        Some(in_short) => writeln!(out, "  {ASIDE}… and {in_short}{ASIDE:#}"),
        None => Ok(()),
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn examples(loss: &Loss, verbose: bool) -> String {
    let shown = if verbose { loss.examples.len() } else { 1 };
    let quoted: Vec<String> = loss
        .examples
        .iter()
        .take(shown)
        .map(|example| format!("\"{}\"", shortened(example, verbose)))
        .collect();
    if quoted.is_empty() {
        "\"\"".to_owned()
    } else {
        quoted.join(", ")
    }
}

/// Returns the line of the config to be said below a loss: one line can keep several in a row, and is
/// said once, below the last of them.
pub(super) fn remedy_after<L: Borrow<Loss>>(losses: &[L], at: usize) -> Option<&str> {
    let remedy = losses[at].borrow().remedy.as_deref()?;
    let next = losses.get(at + 1);
    let next = next.and_then(|next| next.borrow().remedy.as_deref());
    (next != Some(remedy)).then_some(remedy)
}

/// Writes sentences that a person should read.
pub(super) fn warnings(out: &mut dyn Write, warnings: &[String]) -> io::Result<()> {
    if warnings.is_empty() {
        return Ok(());
    }
    heading(out, "Warnings", "")?;
    for warning in warnings {
        writeln!(out, "  {CHANGED}!{CHANGED:#} {}", harmless(warning))?;
    }
    Ok(())
}

/// Writes what guards had refused and a person let pass, and by which approval.
pub(super) fn approved(out: &mut dyn Write, approved: &Approved) -> io::Result<()> {
    heading(
        out,
        "Approved",
        &format!(
            "by {}, which is used up with the first write",
            harmless(&approved.id)
        ),
    )?;
    for refusal in &approved.refusals {
        writeln!(
            out,
            "  {CHANGED}!{CHANGED:#} {}: {}",
            refusal.guard,
            harmless(&refusal.explanation)
        )?;
    }
    Ok(())
}

/// How many groups are named of a guard that refuses many.
const NAMED: usize = 3;

/// Writes how many opt-outs wait behind the guards, and what each of them refuses: a limit per group that
/// many groups exceed in one line, with the sums and the groups that lose most.
pub(super) fn guards(
    out: &mut dyn Write,
    refusals: &[GuardRefusal],
    waiting_opt_outs: u64,
    verbose: bool,
) -> io::Result<()> {
    if let Some(waiting) = opt_outs_wait(waiting_opt_outs) {
        writeln!(out, "  {STOP}{waiting} behind this refusal.{STOP:#}")?;
    }
    for alike in by_guard(refusals) {
        let [first, ..] = alike.as_slice() else {
            continue;
        };
        let (value, of) = sums(&alike);
        let many = alike.len() > 1;
        if many {
            writeln!(
                out,
                "  {STOP}x{STOP:#} {}: {} exceed the limit of {} each",
                first.guard,
                count(alike.len() as u64, "group", "groups"),
                first.limit
            )?;
        } else {
            writeln!(
                out,
                "  {STOP}x{STOP:#} {}: {}",
                first.guard,
                harmless(&first.explanation)
            )?;
        }
        writeln!(
            out,
            "      {ASIDE}value {} of {}, limit {}, key {}{ASIDE:#}",
            grouped(value),
            grouped(of),
            first.limit,
            harmless(&first.key)
        )?;
        if many {
            let shown = if verbose {
                alike.len()
            } else {
                NAMED.min(alike.len())
            };
            for refusal in &alike[..shown] {
                writeln!(out, "      {}", harmless(&refusal.explanation))?;
            }
            and_more(out, "      ", alike.len(), shown)?;
        }
    }
    Ok(())
}

/// Writes what the guards refuse, naming first how many opt-outs wait behind them, and which command
/// goes on.
pub(super) fn refusals(
    out: &mut dyn Write,
    again: &str,
    refusals: &[GuardRefusal],
    waiting_opt_outs: u64,
    verbose: bool,
) -> io::Result<()> {
    refusals_of_file(out, None, again, refusals, waiting_opt_outs, verbose)
}

/// Writes what the guards refuse, and which command goes on; where that takes a file that is not there
/// yet, `before` makes it.
pub(super) fn refusals_of_file(
    out: &mut dyn Write,
    before: Option<&str>,
    again: &str,
    refusals: &[GuardRefusal],
    waiting_opt_outs: u64,
    verbose: bool,
) -> io::Result<()> {
    let Some(first) = refusals.first() else {
        return Ok(());
    };
    writeln!(
        out,
        "\n{STOP}Refused{STOP:#}  nothing is written until a person approves"
    )?;
    guards(out, refusals, waiting_opt_outs, verbose)?;
    writeln!(
        out,
        "  To let these operations and no others of their kind pass, once and within seven days:"
    )?;
    if let Some(before) = before {
        writeln!(out, "      {}", harmless(before))?;
    }
    writeln!(
        out,
        "      {} --approve {}",
        harmless(again),
        first.approval
    )
}
