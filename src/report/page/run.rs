//! The page of a run.

use std::io::{self, Write};

use super::html::{Escaped, Program, Whole};
use super::kind::Kind;
use super::parts;
use super::rows::{Field, Row, Rows};
use super::{PageAbout, begin, end};
use crate::report::history::{approval, done, outcome, took};
use crate::report::show::ItemFilter;
use crate::report::words::{address, count, grouped, instant, value};
use crate::state::{Outcome, RunItem, RunRecord};

/// Writes a run as a page, with those of its items that are meant.
///
/// An item that can't be read is the last one; the page says then that it is not whole.
///
/// # Errors
/// What writing to `out` says.
pub fn write_show_html(
    out: &mut dyn Write,
    run: &RunRecord,
    items: impl Iterator<Item = Result<RunItem, String>>,
    filter: &ItemFilter,
    about: &PageAbout,
) -> io::Result<()> {
    begin(out, &format!("Run {} of {}", run.id, run.job))?;
    let mut rows = Rows::begin(out)?;
    let mut all = 0;
    let mut unread = None;
    for item in items {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                unread = Some(error);
                break;
            }
        };
        all += 1;
        if filter.is_met_by(&item) {
            rows.push(&row(&item))?;
        }
    }
    let tally = rows.end()?;
    head(out, run, about)?;
    if let Some(error) = unread {
        writeln!(
            out,
            "<p class=\"note stop\"><strong>This page is not whole.</strong> The items behind the first {} \
             can't be read: {}</p>",
            grouped(all),
            Whole(&error)
        )?;
    }
    if !filter.is_empty() {
        writeln!(
            out,
            "<p class=\"note\">Only items {}: {} of {}.</p>",
            asked_for(filter),
            grouped(tally.all),
            count(all, "item", "items")
        )?;
    }
    if tally.all == 0 && filter.is_empty() {
        writeln!(out, "<p>No items are kept of this run.</p>")?;
    }
    parts::figures(out, &tally, true)?;
    parts::groups(out, &tally, true)?;
    let command = format!("{Program} show {}", Escaped(&run.id));
    let otherwise = format!(
        "<code>{command} -v</code> prints them as text, and \
         <code>{command} --format json</code> for programs."
    );
    parts::items(out, &tally, true, &otherwise)?;
    end(out)
}

fn row(item: &RunItem) -> Row<'_> {
    let fields = item.fields.iter().map(|(name, change)| Field {
        name,
        before: (change.before.is_some() || change.is_before_known)
            .then(|| value(change.before.as_ref(), true)),
        after: value(change.after.as_ref(), true),
        outside: false,
    });
    Row {
        who: item.member.as_deref().map(address).unwrap_or_default(),
        group: item.group.as_deref(),
        reason: item.reason.as_deref(),
        outcome: Some(&item.outcome),
        words: item.message.as_deref().unwrap_or_default(),
        fields: fields.collect(),
        ..Row::of(Kind::of_op(&item.op))
    }
}

fn head(out: &mut dyn Write, run: &RunRecord, about: &PageAbout) -> io::Result<()> {
    let class = match run.outcome {
        Some(Outcome::Done) => "add",
        Some(Outcome::Partial | Outcome::Busy) | None => "change",
        Some(_) => "stop",
    };
    writeln!(
        out,
        "<header><p class=\"kicker\">rosterd · what a run did</p><h1>{}: run {}</h1>\n\
         <p class=\"lead {class}\">{}</p>",
        Escaped(&run.job),
        Escaped(&run.id),
        Escaped(outcome(run))
    )?;
    match &run.error {
        Some(error) => writeln!(out, "<p class=\"note\">{}</p>", Whole(error))?,
        None => writeln!(out, "<p>Done: {}</p>", Escaped(&done(run)))?,
    }
    writeln!(
        out,
        "<dl><dt>Started</dt><dd>{} ({})</dd>",
        Escaped(&instant(run.started, &about.zone)),
        Escaped(&run.trigger)
    )?;
    if let Some(finished) = run.finished {
        writeln!(
            out,
            "<dt>Finished</dt><dd>{}, after {}</dd>",
            Escaped(&instant(finished, &about.zone)),
            Escaped(&took(run))
        )?;
    }
    if let Some(code) = run.exit_code {
        writeln!(out, "<dt>Exit code</dt><dd>{code}</dd>")?;
    }
    for (key, title) in [("withheld", "Withheld"), ("blocked", "Blocked")] {
        if let Some(number) = run.summary[key].as_u64().filter(|number| *number > 0) {
            writeln!(
                out,
                "<dt>{title}</dt><dd>{}, which the plan left out</dd>",
                count(number, "item", "items")
            )?;
        }
    }
    if let Some(approved) = &run.approved {
        writeln!(
            out,
            "<dt>Approved</dt><dd>{}</dd>",
            Escaped(&approval(approved))
        )?;
    }
    about.write(out)?;
    writeln!(out, "</dl></header>")
}

/// Says which items are meant.
fn asked_for(filter: &ItemFilter) -> String {
    let ItemFilter {
        group,
        member,
        op,
        outcome,
    } = filter;
    let asked = [
        ("of the group", group),
        ("of the person", member),
        ("of the operation", op),
        ("with the outcome", outcome),
    ];
    let parts: Vec<String> = asked
        .into_iter()
        .filter_map(|(words, asked)| {
            let asked = asked.as_ref()?;
            Some(format!("{words} <strong>{}</strong>", Escaped(asked)))
        })
        .collect();
    parts.join(", ")
}
