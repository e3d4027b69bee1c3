//! Figures over time as pictures, each beside a table that says the same.

use std::fmt::{self, Write};
use std::time::Duration;

use jiff::Timestamp;

use super::frame::{Reader, RunLink, When};
use crate::report::{Escaped, Short, duration, grouped};
use crate::web::view::{GroupLine, MembersOverTime, RunFigures, RunsOverTime};

/// The room of a picture, in its own units.
const WIDTH: u64 = 1_000;
const HEIGHT: u64 = 100;

/// The room of a small line.
const LINE: (u64, u64) = (240, 32);

/// One share of a bar: its colour, its name and how much of it a run has.
type Share = (&'static str, &'static str, fn(&RunFigures) -> u64);

const CHANGES: [Share; 4] = [
    ("add", "memberships added", |run| run.added),
    ("gone", "memberships removed", |run| run.removed),
    ("optout", "opt-outs carried", |run| run.opt_outs),
    ("change", "people and groups created or changed", |run| {
        run.changed
    }),
];

const REQUESTS: [Share; 2] = [
    ("keep", "requests that read", |run| run.reads.unwrap_or(0)),
    ("change", "requests that write", |run| {
        run.requests.unwrap_or(0)
    }),
];

const DURATION: [Share; 1] = [("keep", "milliseconds", |run| {
    run.seconds.map_or(0, |seconds| (seconds * 1_000.0) as u64)
})];

/// Writes what the newest runs did and took, with a table of all the figures.
pub(super) fn runs(out: &mut String, figures: &RunsOverTime, reader: &Reader<'_>) -> fmt::Result {
    if figures.runs.is_empty() {
        return writeln!(out, "<p>No run yet.</p>");
    }
    let number = |number: u64| grouped(number);
    let length = |millis: u64| duration(Duration::from_millis(millis));
    writeln!(out, "<div class=\"charts\">")?;
    bars(
        out,
        "changes",
        "Changes per run",
        &CHANGES,
        figures,
        &number,
    )?;
    bars(
        out,
        "requests",
        "Requests per run",
        &REQUESTS,
        figures,
        &number,
    )?;
    bars(
        out,
        "duration",
        "Duration per run",
        &DURATION,
        figures,
        &length,
    )?;
    writeln!(out, "</div>")?;
    table(out, figures, reader)
}

fn bars(
    out: &mut String,
    id: &str,
    title: &str,
    shares: &[Share],
    figures: &RunsOverTime,
    words: &dyn Fn(u64) -> String,
) -> fmt::Result {
    let runs = &figures.runs;
    let of = |run: &RunFigures| shares.iter().map(|(.., share)| share(run)).sum::<u64>();
    let most = runs.iter().map(of).max().unwrap_or_default();
    let all: u64 = runs.iter().map(of).sum();
    writeln!(
        out,
        "<figure aria-labelledby=\"{id}-title\"><figcaption id=\"{id}-title\">{title}</figcaption>\
         <p class=\"scale\">{} at most</p>",
        words(most)
    )?;
    write!(
        out,
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{title}: \
         {} runs, {} at most, {} in all. The table below has each.\">",
        grouped(runs.len() as u64),
        words(most),
        words(all)
    )?;
    // Few runs don't become walls.
    let step = (WIDTH / runs.len().max(1) as u64).min(40);
    let wide = (step * 4 / 5).max(1);
    let first = WIDTH.saturating_sub(step * runs.len() as u64);
    for (at, run) in runs.iter().enumerate() {
        let x = first + step * at as u64;
        let mut y = HEIGHT;
        for (class, _, share) in shares {
            let number = share(run);
            if number == 0 {
                continue;
            }
            // Whatever there is of something shows.
            let high = (number.saturating_mul(HEIGHT) / most.max(1)).max(2).min(y);
            y -= high;
            write!(
                out,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\"/>"
            )?;
        }
        if matches!(run.outcome, "failed" | "refused" | "interrupted") {
            write!(
                out,
                "<rect class=\"gone mark\" x=\"{x}\" y=\"{}\" width=\"{wide}\" height=\"3\"/>",
                HEIGHT - 3
            )?;
        }
    }
    writeln!(out, "</svg>")?;
    if shares.len() > 1 {
        writeln!(out, "<ul class=\"legend\">")?;
        for (class, name, share) in shares {
            let sum: u64 = runs.iter().map(share).sum();
            writeln!(
                out,
                "<li><span class=\"key {class}\" aria-hidden=\"true\"></span>{} {name}</li>",
                grouped(sum)
            )?;
        }
        writeln!(out, "</ul>")?;
    }
    writeln!(out, "</figure>")
}

fn table(out: &mut String, figures: &RunsOverTime, reader: &Reader<'_>) -> fmt::Result {
    let number = grouped(figures.runs.len() as u64);
    writeln!(
        out,
        "<details><summary>The figures of the {number} newest runs as a table</summary><div class=\"wide\"><table>\
         <thead><tr><th scope=\"col\">Run</th><th scope=\"col\">Started</th><th scope=\"col\">Outcome</th>\
         <th scope=\"col\" class=\"number\">Added</th><th scope=\"col\" class=\"number\">Removed</th>\
         <th scope=\"col\" class=\"number\">Opt-outs</th><th scope=\"col\" class=\"number\">Created or changed</th>\
         <th scope=\"col\" class=\"number\">Reads</th><th scope=\"col\" class=\"number\">Writes</th>\
         <th scope=\"col\" class=\"number\">Took</th></tr></thead><tbody>"
    )?;
    for run in figures.runs.iter().rev() {
        write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td>",
            RunLink(&run.run),
            When {
                at: &run.started,
                reader,
                zone: None
            },
            Escaped(run.outcome)
        )?;
        for figure in [run.added, run.removed, run.opt_outs, run.changed] {
            write!(out, "<td class=\"number\">{}</td>", grouped(figure))?;
        }
        let known = |figure: Option<u64>| figure.map_or("–".to_owned(), grouped);
        let took = run
            .seconds
            .map_or("–".to_owned(), |it| duration(Duration::from_secs_f64(it)));
        writeln!(
            out,
            "<td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{took}</td></tr>",
            known(run.reads),
            known(run.requests)
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    if figures.older > 0 {
        writeln!(out, "<p>… and {} older.</p>", grouped(figures.older))?;
    }
    writeln!(out, "</details>")
}

/// Writes how many members groups had, a line and a picture for each.
pub(super) fn members(out: &mut String, lines: &MembersOverTime) -> fmt::Result {
    if lines.groups.is_empty() {
        return writeln!(
            out,
            "<p>No run has linked a group yet, or none since this is taken down.</p>"
        );
    }
    writeln!(
        out,
        "<div class=\"wide\"><table class=\"lines\"><thead><tr><th scope=\"col\">Group</th><th scope=\"col\" class=\"number\">Members</th>\
         <th scope=\"col\" class=\"number\">Change</th><th scope=\"col\">Over time</th></tr></thead><tbody>"
    )?;
    for group in &lines.groups {
        let before = group
            .sizes
            .first()
            .map_or(group.members, |size| size.members);
        let sign = match group.members.cmp(&before) {
            std::cmp::Ordering::Less => "−",
            std::cmp::Ordering::Equal => "",
            std::cmp::Ordering::Greater => "+",
        };
        write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{sign}{}</td><td>",
            Short(&group.group),
            grouped(group.members),
            grouped(group.members.abs_diff(before))
        )?;
        line(out, group, lines.since, lines.until)?;
        writeln!(out, "</td></tr>")?;
    }
    writeln!(out, "</tbody></table></div>")?;
    if lines.more_groups > 0 {
        writeln!(
            out,
            "<p>… and {} smaller {}; the groups below are all of them.</p>",
            grouped(lines.more_groups),
            if lines.more_groups == 1 {
                "group"
            } else {
                "groups"
            }
        )?;
    }
    Ok(())
}

fn line(out: &mut String, group: &GroupLine, since: Timestamp, until: Timestamp) -> fmt::Result {
    let sizes = group.sizes.iter().map(|size| size.members);
    let (least, most) = (
        sizes.clone().min().unwrap_or_default(),
        sizes.max().unwrap_or_default(),
    );
    let (wide, high) = LINE;
    let span = (until.as_second() - since.as_second()).max(1);
    let x = |at: Timestamp| {
        let passed = (at.as_second() - since.as_second()).clamp(0, span);
        passed as u64 * wide / span as u64
    };
    // A group that hardly changes is no mountain: the picture begins at zero where that leaves it room.
    let floor = if (most - least) * 4 > most {
        0
    } else {
        least.saturating_sub(most / 8)
    };
    let range = (most - floor).max(1);
    let y = |members: u64| high - 2 - (members - floor) * (high - 4) / range;
    write!(
        out,
        "<svg class=\"line\" viewBox=\"0 0 {wide} {high}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"between {} and {} members\"><path d=\"",
        grouped(least),
        grouped(most)
    )?;
    for (at, size) in group.sizes.iter().enumerate() {
        if at == 0 {
            write!(out, "M{} {}", x(size.at), y(size.members))?;
        } else {
            write!(out, "H{}V{}", x(size.at), y(size.members))?;
        }
    }
    write!(out, "H{wide}\"/></svg>")
}
