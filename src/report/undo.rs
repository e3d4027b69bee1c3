//! What of a run its inverse plan does not take back.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::paint::{ASIDE, CHANGED, HEADING};
use super::sections::{and_more, heading, limit};
use super::show::told;
use super::words::{address, count, grouped, harmless, in_shell, quoted};
use crate::plan::{Left, NotUndone, Undoing};
use crate::program::ROSTERD;

/// Says how much of a run a plan takes back.
pub(super) fn in_short(undoing: &Undoing) -> String {
    let with_groups = match undoing.with_groups {
        0 => String::new(),
        number => format!(
            " ({} of them with the {} that they are of)",
            grouped(number),
            if number == 1 { "group" } else { "groups" }
        ),
    };
    let mut parts = vec![format!(
        "{} taken back{with_groups}",
        grouped(undoing.undone)
    )];
    for (number, words) in [
        (undoing.partly(), "taken back in part"),
        (undoing.kept(), "left as they are"),
    ] {
        if number > 0 {
            parts.push(format!("{} {words}", grouped(number)));
        }
    }
    format!(
        "Of {} that run {} did: {}.",
        count(undoing.did, "thing", "things"),
        harmless(&undoing.run),
        parts.join(", ")
    )
}

/// Writes what stays, by its reason.
pub(super) fn not_undone(out: &mut dyn Write, undoing: &Undoing, verbose: bool) -> io::Result<()> {
    if undoing.left.is_empty() {
        return Ok(());
    }
    let number = count(undoing.left.len() as u64, "thing", "things");
    let part = match undoing.partly() {
        0 => "",
        _ => " or taken back in part",
    };
    let are = if undoing.left.len() == 1 {
        "it is"
    } else {
        "they are"
    };
    heading(out, "Not undone", &format!("{number}, left as {are}{part}"))?;
    let mut sorted: BTreeMap<(Left, bool), Vec<&NotUndone>> = BTreeMap::new();
    for left in &undoing.left {
        sorted
            .entry((left.why, left.partly))
            .or_default()
            .push(left);
    }
    for ((why, partly), items) in sorted {
        let part = if partly { ", in part" } else { "" };
        writeln!(
            out,
            "  {CHANGED}? {}{CHANGED:#}  {}{part}  {ASIDE}{}{ASIDE:#}",
            why.as_str(),
            grouped(items.len() as u64),
            why.explain()
        )?;
        let shown = limit(items.len(), verbose);
        for item in &items[..shown] {
            writeln!(out, "      {}", line(item))?;
        }
        and_more(out, "      ", items.len(), shown)?;
    }
    Ok(())
}

fn line(item: &NotUndone) -> String {
    let who = match (&item.member, &item.group) {
        (Some(member), Some(group)) => format!("{} in {}", address(member), quoted(group)),
        (Some(member), None) => address(member).into_owned(),
        (None, Some(group)) => quoted(group),
        (None, None) => String::new(),
    };
    let mut line = format!("{who}: {}", told(&item.op));
    if !item.fields.is_empty() {
        let fields = item.fields.iter().map(|(field, why)| {
            let field = harmless(field);
            if *why == item.why {
                field.into_owned()
            } else {
                format!("{field}: {}", why.as_str())
            }
        });
        let fields: Vec<String> = fields.collect();
        line = format!("{line} ({})", fields.join(", "));
    }
    if let Some(run) = &item.run {
        line = format!("{line}, by run {} since", harmless(run));
    }
    line
}

/// Says what follows from a plan that takes a run back.
pub(super) fn next_step(
    out: &mut dyn Write,
    undoing: &Undoing,
    saved: Option<&str>,
) -> io::Result<()> {
    const PAUSES: &str = "That pauses the job, because its source still asks for what is undone.";
    if let Some(file) = saved {
        return writeln!(
            out,
            "\n{HEADING}Next:{HEADING:#} `{ROSTERD} apply {}`. {PAUSES}",
            in_shell(file)
        );
    }
    writeln!(
        out,
        "\n{HEADING}Next:{HEADING:#} `{ROSTERD} undo {} --out FILE`, then `{ROSTERD} apply FILE`. {PAUSES}",
        harmless(&undoing.run)
    )
}

/// One thing that stays, for programs.
#[derive(serde::Serialize)]
pub(super) struct NotUndoneRow<'a> {
    op: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<&'a str>,
    /// The reasons of fields that have another one than the first.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<&'a str, &'static str>,
    partly: bool,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
}

impl<'a> NotUndoneRow<'a> {
    pub(super) fn new(left: &'a NotUndone) -> NotUndoneRow<'a> {
        NotUndoneRow {
            op: &left.op,
            group: left.group.as_deref(),
            member: left.member.as_deref(),
            fields: left
                .fields
                .iter()
                .map(|(field, _)| field.as_str())
                .collect(),
            reasons: left
                .fields
                .iter()
                .filter(|(_, why)| *why != left.why)
                .map(|(field, why)| (field.as_str(), why.as_str()))
                .collect(),
            partly: left.partly,
            reason: left.why.as_str(),
            run: left.run.as_deref(),
        }
    }
}
