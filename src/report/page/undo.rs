//! What of a run a plan does not take back, on the plan's page.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::kind::Kind;
use super::parts::Pick;
use super::rows::{Row, Tally};
use crate::plan::{Left, NotUndone, Undoing};
use crate::report::show::told;
use crate::report::words::{address, count, grouped};

/// Goes through what is not undone, item by item.
pub(super) fn each_row(
    undoing: &Undoing,
    take: &mut dyn FnMut(&Row<'_>) -> io::Result<()>,
) -> io::Result<()> {
    for left in &undoing.left {
        take(&Row {
            who: left.member.as_deref().map(address).unwrap_or_default(),
            group: left.group.as_deref(),
            reason: Some(left.why.as_str()),
            words: &words(left),
            ..Row::of(Kind::NotUndone)
        })?;
    }
    Ok(())
}

/// Says what the run did, which fields of it stay, and since which other run.
fn words(left: &NotUndone) -> String {
    let mut words = told(&left.op).to_owned();
    if left.partly {
        words.push_str(", undone in part");
    }
    let fields: Vec<String> = left
        .fields
        .iter()
        .map(|(field, why)| {
            if *why == left.why {
                field.clone()
            } else {
                format!("{field} ({})", why.as_str())
            }
        })
        .collect();
    if !fields.is_empty() {
        words = format!("{words}: {} stays", fields.join(", "));
    }
    if let Some(run) = &left.run {
        words = format!("{words}; run {run} changed it since");
    }
    words
}

/// Writes what is not undone, by its reason.
pub(super) fn not_undone(out: &mut dyn Write, undoing: &Undoing, tally: &Tally) -> io::Result<()> {
    if undoing.left.is_empty() {
        return Ok(());
    }
    let mut reasons: BTreeMap<Left, (u64, u64)> = BTreeMap::new();
    for left in &undoing.left {
        let (number, partly) = reasons.entry(left.why).or_default();
        *number += 1;
        *partly += u64::from(left.partly);
    }
    writeln!(
        out,
        "<section id=\"not-undone\"><h2>Not undone <small>{}, left as they are or taken back in part</small></h2>\n\
         <table><thead><tr><th scope=\"col\">Reason</th><th scope=\"col\" class=\"number\">Items</th>\
         <th scope=\"col\">Why</th></tr></thead><tbody>",
        count(undoing.left.len() as u64, "thing", "things")
    )?;
    for (why, (number, partly)) in reasons {
        let pick = Pick {
            reason: tally.number(why.as_str()),
            ..Pick::of(Kind::NotUndone)
        };
        let partly = match partly {
            0 => String::new(),
            partly => format!(" <small>{} in part</small>", grouped(partly)),
        };
        writeln!(
            out,
            "<tr><td>{}</td><td class=\"number\">{}{partly}</td><td>{}</td></tr>",
            pick.link(why.as_str()),
            grouped(number),
            why.explain()
        )?;
    }
    writeln!(out, "</tbody></table></section>")
}
