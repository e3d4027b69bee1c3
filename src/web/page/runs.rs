//! The history, and the page of a run with its items.

use std::fmt::{self, Write};
use std::time::Duration;

use super::frame::{
    JobLink, Part, Reader, RunLink, State, When, WithCode, begin, end, in_path, job_path,
};
use crate::report::{
    Escaped, ItemFilter, Kind, Short, Whole, address, count, duration, grouped, opt_outs_wait,
    value,
};
use crate::state::RunItem;
use crate::web::view::{ItemsOfRun, KindCount, RunItems, RunView, Runs};

/// Writes the page of the history.
pub(super) fn history(
    runs: &Runs,
    job: Option<&str>,
    is_first: bool,
    reader: &Reader<'_>,
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    begin(&mut out, "Runs", Part::Runs, Some(reader))?;
    match job {
        Some(job) => writeln!(out, "<h1>Runs of {}</h1>", JobLink(job))?,
        None => writeln!(out, "<h1>Runs</h1>")?,
    }
    writeln!(
        out,
        "<p>{} of {}, newest first.</p>",
        grouped(runs.runs.len() as u64),
        count(runs.total, "run", "runs")
    )?;
    run_rows(&mut out, &runs.runs, job.is_none(), reader)?;
    let of_job = job
        .map(|job| format!("job={}&", in_path(job)))
        .unwrap_or_default();
    writeln!(out, "<p class=\"acts\">")?;
    if !is_first {
        writeln!(
            out,
            "<a href=\"/runs?{}\">Newest runs</a>",
            Escaped(of_job.trim_end_matches('&'))
        )?;
    }
    if let Some(next) = &runs.next {
        writeln!(
            out,
            "<a href=\"/runs?{}before={}\" rel=\"next\">Older runs</a>",
            Escaped(&of_job),
            in_path(next)
        )?;
    }
    writeln!(out, "</p>")?;
    end(&mut out, Some(reader))?;
    Ok(out)
}

/// Writes runs as a table.
pub(super) fn run_rows(
    out: &mut String,
    runs: &[RunView],
    with_job: bool,
    reader: &Reader<'_>,
) -> fmt::Result {
    if runs.is_empty() {
        return writeln!(out, "<p>No run yet.</p>");
    }
    let job = if with_job {
        "<th scope=\"col\">Job</th>"
    } else {
        ""
    };
    writeln!(
        out,
        "<table class=\"stack runs\"><thead><tr><th scope=\"col\">Run</th>{job}<th scope=\"col\">Started</th><th scope=\"col\">Took</th>\
         <th scope=\"col\">Outcome</th><th scope=\"col\">What changed</th></tr></thead><tbody>"
    )?;
    for run in runs {
        let row = &run.row;
        write!(out, "<tr><td>{}</td>", RunLink(&row.run))?;
        if with_job {
            write!(out, "<td data-name=\"Job\">{}</td>", JobLink(&row.job))?;
        }
        writeln!(
            out,
            "<td data-name=\"Started\">{} <small>({})</small></td><td data-name=\"Took\" class=\"took\">{}</td>\
             <td data-name=\"Outcome\">{}</td><td data-name=\"What changed\">{}</td></tr>",
            When {
                at: &row.started,
                reader,
                zone: None
            },
            Escaped(&row.trigger),
            took(run),
            State(row.outcome),
            what_changed(run)
        )?;
    }
    writeln!(out, "</tbody></table>")
}

fn took(run: &RunView) -> String {
    run.seconds
        .map_or("–".to_owned(), |it| duration(Duration::from_secs_f64(it)))
}

fn what_changed(run: &RunView) -> String {
    if let Some(waiting) = opt_outs_wait(run.waiting_opt_outs) {
        return format!("nothing: a guard refused it, and {waiting}");
    }
    match (&run.row.error, &run.did) {
        (Some(error), _) => Short(error).to_string(),
        (None, Some(did)) => Escaped(did).to_string(),
        (None, None) if run.row.finished.is_none() => "–".to_owned(),
        (None, None) => "nothing".to_owned(),
    }
}

/// Writes the page of a run.
pub(super) fn run(
    run: &ItemsOfRun,
    filter: &ItemFilter,
    reader: &Reader<'_>,
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let (head, items) = (&run.run, &run.items);
    let row = &head.row;
    begin(
        &mut out,
        &format!("Run {} of {}", row.run, row.job),
        Part::Runs,
        Some(reader),
    )?;
    writeln!(
        out,
        "<h1>Run <span class=\"id\">{}</span> of {}</h1>\n<div id=\"run\" data-live><p class=\"verdict {}\"><span data-tell>{}</span></p>",
        Escaped(&row.run),
        JobLink(&row.job),
        match row.outcome {
            "done" => "well",
            "failed" | "refused" | "interrupted" => "ill",
            _ => "",
        },
        State(row.outcome)
    )?;
    if row.outcome == "refused" {
        let waiting = opt_outs_wait(head.waiting_opt_outs);
        writeln!(
            out,
            "<p class=\"gone\">{}<a href=\"{}\">What a guard refused</a></p>",
            waiting
                .map(|words| format!("<strong>{words}</strong> behind this refusal. "))
                .unwrap_or_default(),
            job_path(&row.job, "/refusal")
        )?;
    }
    if let Some(error) = &row.error {
        writeln!(out, "<p class=\"note\">{}</p>", WithCode(error))?;
    }
    writeln!(
        out,
        "<dl><dt>Done</dt><dd>{}</dd><dt>Started</dt><dd>{} ({})</dd>",
        Escaped(head.did.as_deref().unwrap_or("nothing")),
        When {
            at: &row.started,
            reader,
            zone: None
        },
        Escaped(&row.trigger)
    )?;
    if let Some(finished) = &row.finished {
        writeln!(
            out,
            "<dt>Finished</dt><dd>{}, after {}</dd>",
            When {
                at: finished,
                reader,
                zone: None
            },
            took(head)
        )?;
    }
    if let Some(code) = row.exit_code {
        writeln!(out, "<dt>Exit code</dt><dd>{code}</dd>")?;
    }
    for (key, title) in [
        ("withheld", "Withheld"),
        ("blocked", "Blocked"),
        ("failed", "Failed"),
    ] {
        if let Some(number) = row.summary[key].as_u64().filter(|number| *number > 0) {
            writeln!(
                out,
                "<dt>{title}</dt><dd>{}</dd>",
                count(number, "item", "items")
            )?;
        }
    }
    if let Some(approved) = &row.approved {
        writeln!(
            out,
            "<dt>Approved</dt><dd>{} by <code>{}</code></dd>",
            Escaped(&approved.guards.join(", ")),
            Escaped(&approved.id)
        )?;
    }
    writeln!(out, "</dl></div>")?;
    items_of(&mut out, &row.run, items, filter)?;
    end(&mut out, Some(reader))?;
    Ok(out)
}

fn items_of(out: &mut String, run: &str, items: &RunItems, filter: &ItemFilter) -> fmt::Result {
    writeln!(
        out,
        "<section><h2>Items <small>{}</small></h2>",
        grouped(items.total)
    )?;
    if items.total == 0 {
        return writeln!(out, "<p>No items are kept of this run.</p></section>");
    }
    filters(out, run, items, filter)?;
    let last = items.before + items.items.len() as u64;
    let shown = match (items.meant, items.items.is_empty()) {
        (0, _) => format!("None of {} fits.", grouped(items.total)),
        (meant, true) => format!("Nothing more of {}.", grouped(meant)),
        (meant, false) if meant == items.total => {
            format!(
                "{}–{} of {}.",
                grouped(items.before + 1),
                grouped(last),
                grouped(meant)
            )
        }
        (meant, false) => format!(
            "{}–{} of {} that fit, of {} in all.",
            grouped(items.before + 1),
            grouped(last),
            grouped(meant),
            grouped(items.total)
        ),
    };
    writeln!(out, "<p role=\"status\"><strong>{shown}</strong></p>")?;
    if !items.items.is_empty() {
        writeln!(
            out,
            "<table class=\"stack items\"><thead><tr><th scope=\"col\">What</th><th scope=\"col\">Who</th><th scope=\"col\">Group</th>\
             <th scope=\"col\">Outcome</th><th scope=\"col\">Details</th></tr></thead><tbody>"
        )?;
        for item in &items.items {
            item_row(out, item)?;
        }
        writeln!(out, "</tbody></table>")?;
    }
    writeln!(out, "<p class=\"acts\">")?;
    if items.before > 0 {
        writeln!(
            out,
            "<a href=\"{}\">From the first one</a>",
            Escaped(&address_of(run, filter, None))
        )?;
    }
    if let Some(next) = &items.next {
        writeln!(
            out,
            "<a href=\"{}\" rel=\"next\">Next items</a> <span>… {} more</span>",
            Escaped(&address_of(run, filter, Some(next))),
            grouped(items.meant.saturating_sub(last))
        )?;
    }
    writeln!(out, "</p></section>")
}

/// Returns the address of the items that a filter means.
fn address_of(run: &str, filter: &ItemFilter, after: Option<&str>) -> String {
    let asked = [
        ("op", filter.op.as_deref()),
        ("outcome", filter.outcome.as_deref()),
        ("group", filter.group.as_deref()),
        ("person", filter.member.as_deref()),
        ("after", after),
    ];
    let asked = asked
        .into_iter()
        .filter_map(|(key, asked)| Some((key, asked?)));
    let asked: Vec<String> = asked
        .map(|(key, asked)| format!("{key}={}", in_path(asked)))
        .collect();
    format!("/runs/{}?{}", in_path(run), asked.join("&"))
}

fn filters(out: &mut String, run: &str, items: &RunItems, filter: &ItemFilter) -> fmt::Result {
    write!(
        out,
        "<form class=\"filters\" method=\"get\" action=\"/runs/{}\">",
        in_path(run)
    )?;
    let mut ops: Vec<&str> = items.kinds.iter().map(|kind| kind.op.as_str()).collect();
    ops.extend(filter.op.as_deref());
    ops.sort_unstable();
    ops.dedup();
    let number = |of: &dyn Fn(&KindCount) -> bool| {
        let alike = items.kinds.iter().filter(|kind| of(kind));
        alike.map(|kind| kind.count).sum::<u64>()
    };
    write!(
        out,
        "<label>Operation <select name=\"op\"><option value=\"\">all</option>"
    )?;
    for op in ops {
        option(
            out,
            op,
            Kind::of_op(op).label(),
            number(&|kind| kind.op == op),
            filter.op.as_deref(),
        )?;
    }
    let mut outcomes: Vec<&str> = items
        .kinds
        .iter()
        .map(|kind| kind.outcome.as_str())
        .collect();
    outcomes.extend(filter.outcome.as_deref());
    outcomes.sort_unstable();
    outcomes.dedup();
    write!(
        out,
        "</select></label><label>Outcome <select name=\"outcome\"><option value=\"\">all</option>"
    )?;
    for outcome in outcomes {
        option(
            out,
            outcome,
            outcome,
            number(&|kind| kind.outcome == outcome),
            filter.outcome.as_deref(),
        )?;
    }
    write!(
        out,
        "</select></label><label>Group <input name=\"group\" list=\"groups\" autocomplete=\"off\" value=\"{}\"></label><datalist id=\"groups\">",
        Escaped(filter.group.as_deref().unwrap_or_default())
    )?;
    for group in items.groups.iter().take(500) {
        write!(out, "<option value=\"{}\"></option>", Escaped(group))?;
    }
    writeln!(
        out,
        "</datalist><label>Person <input name=\"person\" type=\"text\" inputmode=\"email\" autocomplete=\"off\" spellcheck=\"false\" value=\"{}\"></label>\
         <button>Show</button><a href=\"/runs/{}\">All items</a></form>",
        Escaped(filter.member.as_deref().unwrap_or_default()),
        in_path(run)
    )
}

fn option(
    out: &mut String,
    key: &str,
    words: &str,
    number: u64,
    chosen: Option<&str>,
) -> fmt::Result {
    let selected = if chosen == Some(key) { " selected" } else { "" };
    write!(
        out,
        "<option value=\"{}\"{selected}>{} ({})</option>",
        Escaped(key),
        Escaped(words),
        grouped(number)
    )
}

fn item_row(out: &mut String, item: &RunItem) -> fmt::Result {
    let kind = Kind::of_op(&item.op);
    let what = match kind {
        Kind::Other => Escaped(&item.op).to_string(),
        kind => kind.label().to_owned(),
    };
    write!(
        out,
        "<tr><td class=\"{}\"><span aria-hidden=\"true\">{}</span> {what}</td><td data-name=\"Who\">{}</td><td data-name=\"Group\">{}</td><td data-name=\"Outcome\">{}</td><td>",
        kind.class(),
        kind.sign(),
        item.member
            .as_deref()
            .map(|member| Short(&address(member)).to_string())
            .unwrap_or_default(),
        item.group
            .as_deref()
            .map(|group| Short(group).to_string())
            .unwrap_or_default(),
        State(&item.outcome)
    )?;
    if let Some(reason) = &item.reason {
        write!(out, "{} ", Escaped(reason))?;
    }
    if let Some(message) = &item.message {
        write!(out, "{}", Whole(message))?;
    }
    if !item.fields.is_empty() {
        write!(out, "<table class=\"fields\"><tbody>")?;
        for (name, change) in &item.fields {
            write!(out, "<tr><th scope=\"row\">{}</th><td>", Short(name))?;
            if change.before.is_some() || change.is_before_known {
                write!(
                    out,
                    "<del>{}</del> → ",
                    Whole(&value(change.before.as_ref(), true))
                )?;
            }
            write!(
                out,
                "<ins>{}</ins></td></tr>",
                Whole(&value(change.after.as_ref(), true))
            )?;
        }
        write!(out, "</tbody></table>")?;
    }
    writeln!(out, "</td></tr>")
}
