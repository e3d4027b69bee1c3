//! The parts that the page of a plan and that of a run share.

use std::io::{self, Write};

use super::html::{Escaped, Short, Whole};
use super::kind::Kind;
use super::rows::{GroupTally, Share, Tally};
use crate::report::words::{count, grouped};
use crate::state::FOUND;

/// What a reader wants to see of the list; a link with it sets the filters to exactly that.
#[derive(Default)]
pub(super) struct Pick {
    pub(super) kind: Option<Kind>,
    pub(super) group: usize,
    pub(super) reason: usize,
}

impl Pick {
    pub(super) fn of(kind: Kind) -> Pick {
        Pick {
            kind: Some(kind),
            ..Pick::default()
        }
    }

    /// Returns a link to the list with these filters.
    pub(super) fn link(&self, words: &str) -> String {
        let mut data = String::new();
        if let Some(kind) = self.kind {
            data = format!(" data-kind=\"{}\"", kind.place());
        }
        for (name, number) in [("group", self.group), ("reason", self.reason)] {
            if number > 0 {
                data = format!("{data} data-{name}=\"{number}\"");
            }
        }
        format!(
            "<a class=\"pick\" href=\"#items\"{data}>{}</a>",
            Escaped(words)
        )
    }
}

/// Writes how much there is of each kind, as figures with bars; each leads to its items.
pub(super) fn figures(out: &mut dyn Write, tally: &Tally, done: bool) -> io::Result<()> {
    if tally.all == 0 {
        return Ok(());
    }
    let most = tally.kinds.keys().map(|kind| tally.of(*kind)).max();
    let most = most.unwrap_or_default().max(1);
    writeln!(out, "<ul class=\"figures\">")?;
    for (kind, outcomes) in &tally.kinds {
        let number = tally.of(*kind);
        let finished = outcomes.get("done").copied().unwrap_or_default();
        let shown = if done { finished } else { number };
        let link = Pick::of(*kind).link(&kind.words(shown, done));
        write!(
            out,
            "<li class=\"{}\"><b>{}</b> {link}",
            kind.class(),
            grouped(shown)
        )?;
        if done {
            for (outcome, number) in outcomes.iter().filter(|(outcome, _)| *outcome != "done") {
                let class = if outcome == FOUND { "change" } else { "stop" };
                write!(
                    out,
                    "<small class=\"{class}\">{} {}</small>",
                    grouped(*number),
                    Escaped(outcome)
                )?;
            }
        }
        bar(
            out,
            &[(kind.class(), shown), ("undone", number - shown)],
            most,
        )?;
        writeln!(out, "</li>")?;
    }
    writeln!(out, "</ul>")
}

/// Writes a bar of several shares; `most` is what fills it.
fn bar(out: &mut dyn Write, shares: &[(&str, u64)], most: u64) -> io::Result<()> {
    write!(
        out,
        "<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
    )?;
    let (mut before, mut at) = (0, 0);
    for (class, number) in shares.iter().filter(|(_, number)| *number > 0) {
        before += number;
        // Whatever there is of something shows.
        let end = (before.saturating_mul(1000) / most).max(at + 4).min(1000);
        write!(
            out,
            "<rect class=\"{class}\" x=\"{at}\" width=\"{}\" height=\"10\"/>",
            end - at
        )?;
        at = end;
    }
    write!(out, "</svg>")
}

/// Writes the groups, each with all that happens to it and in it.
pub(super) fn groups(out: &mut dyn Write, tally: &Tally, done: bool) -> io::Result<()> {
    if tally.groups.is_empty() {
        return Ok(());
    }
    let number = count(tally.groups.len() as u64, "group", "groups");
    writeln!(
        out,
        "<section id=\"groups\"><h2>Groups <small>{number}</small></h2>\
         <p class=\"tools\"><button type=\"button\" id=\"unfold\" hidden>Unfold all</button> \
         <button type=\"button\" id=\"fold\" hidden>Fold all</button></p>"
    )?;
    let size = |group: &GroupTally| group.kinds.values().map(|share| share.count).sum::<u64>();
    let most = tally.groups.values().map(size).max().unwrap_or_default();
    for (name, group) in &tally.groups {
        write!(
            out,
            "<details class=\"group\"><summary><span class=\"name\">{}</span> <span class=\"counts\">",
            Short(name)
        )?;
        for (kind, share) in &group.kinds {
            if kind.is_of_group() {
                let words = match share.undone {
                    0 if done => kind.words(share.count, true),
                    _ => kind.label().to_owned(),
                };
                write!(out, "<span class=\"{}\">{words}</span> ", kind.class())?;
            } else {
                write!(
                    out,
                    "<span class=\"{}\" title=\"{}\">{}{}</span> ",
                    kind.class(),
                    kind.label(),
                    kind.sign(),
                    grouped(share.count)
                )?;
                if share.undone > 0 {
                    write!(
                        out,
                        "<span class=\"stop\">({} not)</span> ",
                        grouped(share.undone)
                    )?;
                }
            }
        }
        write!(out, "</span>")?;
        let people = group.kinds.iter().filter(|(kind, _)| !kind.is_of_group());
        let shares: Vec<(&str, u64)> = people
            .map(|(kind, share)| (kind.class(), share.count))
            .collect();
        bar(out, &shares, most.max(1))?;
        write!(out, "</summary>")?;
        if name.chars().count() > 100 {
            write!(out, "<p>{}</p>", Whole(name))?;
        }
        write!(out, "{}", group.changes)?;
        for (kind, share) in &group.kinds {
            if !kind.is_of_group() {
                people_of(out, *kind, share, group.number, done)?;
            }
        }
        writeln!(out, "</details>")?;
    }
    writeln!(out, "</section>")
}

fn people_of(
    out: &mut dyn Write,
    kind: Kind,
    share: &Share,
    group: usize,
    done: bool,
) -> io::Result<()> {
    let finished = share.count - share.undone;
    let number = if done { finished } else { share.count };
    write!(
        out,
        "<p><span class=\"{}\">{} <b>{}</b> {}</span>",
        kind.class(),
        kind.sign(),
        grouped(number),
        kind.words(number, done)
    )?;
    if done && share.undone > 0 {
        write!(
            out,
            " <strong class=\"stop\">{} not</strong>",
            grouped(share.undone)
        )?;
    }
    if !share.names.is_empty() {
        let names: Vec<String> = share
            .names
            .iter()
            .map(|name| Short(name).to_string())
            .collect();
        write!(out, ": {}", names.join(", "))?;
    }
    let left = share.count - share.names.len() as u64;
    if left > 0 && !share.names.is_empty() {
        write!(out, " … and {} more", grouped(left))?;
    }
    let pick = Pick {
        kind: Some(kind),
        group,
        ..Pick::default()
    };
    writeln!(
        out,
        " <span class=\"tools\">{}</span></p>",
        pick.link(&format!("list {}", all_of(share.count)))
    )
}

/// Says that all of so many are meant.
pub(super) fn all_of(number: u64) -> String {
    match number {
        1 => "it".to_owned(),
        2 => "both".to_owned(),
        more => format!("all {}", grouped(more)),
    }
}

/// Writes the place in which the script shows the items, and what is said without it.
pub(super) fn items(
    out: &mut dyn Write,
    tally: &Tally,
    is_run: bool,
    otherwise: &str,
) -> io::Result<()> {
    if tally.all == 0 {
        return Ok(());
    }
    let number = count(tally.all, "item", "items");
    writeln!(
        out,
        "<section id=\"items\"><h2>Every item <small>{number}</small></h2>\n\
         <p id=\"unscripted\" class=\"stop\">The {number} can't be shown one by one here, as the page's script \
         does not run. {otherwise}</p>\n\
         <form id=\"filters\" class=\"tools\" hidden>\n\
         <label>Search <input type=\"search\" id=\"q\" autocomplete=\"off\" spellcheck=\"false\" \
         placeholder=\"address, group, field or value\"></label>\n\
         <label>Operation <select id=\"kind\"></select></label>\n\
         <label>Group <select id=\"group\"></select></label>\n\
         <label>Reason <select id=\"reason\"></select></label>"
    )?;
    let hidden = if is_run { "" } else { " hidden" };
    writeln!(
        out,
        "<label{hidden}>Outcome <select id=\"outcome\"></select></label>\n\
         <label>Rows <select id=\"size\"><option>50</option><option selected>200</option><option>1000</option></select></label>\n\
         <button type=\"reset\">Clear filters</button>\n</form>\n\
         <p id=\"person\" hidden>Only <b></b> <button type=\"button\">everybody again</button></p>\n\
         <p id=\"count\" role=\"status\" aria-live=\"polite\"></p>\n\
         <p class=\"paper\">On paper are the items that the page showed when it was printed. {otherwise}</p>\n\
         <div class=\"wide\"><table id=\"list\" aria-label=\"Items\" hidden><thead><tr><th scope=\"col\">What</th><th scope=\"col\">Who</th>\
         <th scope=\"col\">Group</th><th scope=\"col\">Details</th></tr></thead><tbody></tbody></table></div>\n\
         <p id=\"pages\" class=\"tools\" hidden><button type=\"button\" id=\"previous\">Previous</button> \
         <button type=\"button\" id=\"next\">Next</button></p>\n</section>"
    )
}
