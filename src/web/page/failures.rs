//! What a provider refused or nobody can sync, with what can be done about it.

use std::fmt::{self, Write};

use super::frame::{
    JobLink, Part, Reader, When, WithCode, begin, end, in_path, job_path, open_form,
};
use super::said::Said;
use crate::report::{Escaped, FailureRow, Whole, address, count, grouped};
use crate::web::view::Failures;

/// Which failures a page shows.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) job: Option<&'a str>,
    /// How many stand before those of this page.
    pub(super) from: usize,
}

/// Writes the page.
pub(super) fn failures(
    failures: &Failures,
    shown: Shown<'_>,
    said: Option<Said>,
    reader: &Reader<'_>,
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    begin(&mut out, "Failures", Part::Failures, Some(reader))?;
    match shown.job {
        Some(job) => writeln!(out, "<h1>Failures of {}</h1>", JobLink(job))?,
        None => writeln!(out, "<h1>Failures</h1>")?,
    }
    Said::write(said, &mut out)?;
    let verdict = match failures.open {
        0 => "<p class=\"verdict well\">Nothing waits for a person".to_owned(),
        open => format!(
            "<p class=\"verdict ill\">{} for a person",
            count(open, "item waits", "items wait")
        ),
    };
    let accepted = match failures.accepted {
        0 => String::new(),
        number => format!(", {} accepted", count(number, "is", "are")),
    };
    writeln!(
        out,
        "<div id=\"failures\" data-live><div data-tell>{verdict}{accepted}.</p></div>"
    )?;
    if failures.total > 0 {
        let last = shown.from as u64 + failures.failures.len() as u64;
        writeln!(
            out,
            "<p>{}–{} of {}, those that wait for a person first.</p><ul class=\"list\">",
            grouped((shown.from as u64 + 1).min(last)),
            grouped(last),
            grouped(failures.total)
        )?;
        for failure in &failures.failures {
            row(&mut out, failure, shown, reader)?;
        }
        writeln!(out, "</ul>")?;
        more(&mut out, failures, shown, last)?;
    }
    writeln!(out, "</div>")?;
    end(&mut out, Some(reader))?;
    Ok(out)
}

fn more(out: &mut String, failures: &Failures, shown: Shown<'_>, last: u64) -> fmt::Result {
    let place = shown
        .job
        .map_or_else(|| "/failures".to_owned(), |job| job_path(job, "/failures"));
    writeln!(out, "<p class=\"acts\">")?;
    if shown.from > 0 {
        writeln!(
            out,
            "<a href=\"{}\">From the first one</a>",
            Escaped(&place)
        )?;
    }
    let left = failures.total.saturating_sub(last);
    if left > 0 {
        writeln!(
            out,
            "<a href=\"{}?from={last}\" rel=\"next\">Next failures</a> <span>… {} more</span>",
            Escaped(&place),
            grouped(left)
        )?;
    }
    writeln!(out, "</p>")
}

fn row(
    out: &mut String,
    failure: &FailureRow,
    shown: Shown<'_>,
    reader: &Reader<'_>,
) -> fmt::Result {
    let who = match (&failure.member, &failure.group) {
        (Some(member), Some(group)) => format!("{} in “{group}”", address(member)),
        (Some(member), None) => address(member).into_owned(),
        (None, Some(group)) => format!("“{group}”"),
        (None, None) => failure.what.clone(),
    };
    let code = failure.code.as_ref().map(|code| format!(" [{code}]"));
    writeln!(
        out,
        "<li id=\"item-{0}\"><h2>{1}</h2><p><span class=\"id\">{2}</span> {3}: <strong>{4}</strong>{5}{6}</p>",
        in_path(&failure.item),
        Whole(&who),
        Escaped(&failure.item),
        Escaped(&failure.what),
        Escaped(&failure.reason),
        Escaped(&code.unwrap_or_default()),
        if failure.accepted {
            " <span class=\"state add\"><span aria-hidden=\"true\">✓</span> accepted</span>"
        } else {
            ""
        }
    )?;
    if !failure.message.is_empty() {
        writeln!(out, "<p>{}</p>", Whole(&failure.message))?;
    }
    writeln!(
        out,
        "<p>Remedy: {}</p><p><small>",
        WithCode(&failure.remedy)
    )?;
    if shown.job.is_none() {
        write!(out, "job {}, ", JobLink(&failure.job))?;
    }
    write!(
        out,
        "first seen {}",
        When {
            at: &failure.first_seen,
            reader,
            zone: None
        }
    )?;
    if failure.attempts > 0 {
        write!(
            out,
            ", sent {}",
            count(failure.attempts.into(), "time", "times")
        )?;
    }
    if let Some(next) = &failure.next_try {
        write!(
            out,
            ", again {}",
            When {
                at: next,
                reader,
                zone: None
            }
        )?;
    }
    writeln!(out, "</small></p>")?;
    // What an older version took down has no name by which it could be accepted.
    if !failure.item.is_empty() {
        let (below, words) = if failure.accepted {
            ("/revoke", "Needs a person again")
        } else {
            ("/accept", "Accept")
        };
        open_form(out, &job_path(&failure.job, below), reader, "")?;
        write!(
            out,
            "<input type=\"hidden\" name=\"item\" value=\"{}\">",
            Escaped(&failure.item)
        )?;
        if shown.job.is_none() {
            write!(out, "<input type=\"hidden\" name=\"all\" value=\"yes\">")?;
        }
        if !failure.accepted {
            write!(
                out,
                "<label>Why it may stay (optional) <input name=\"reason\" maxlength=\"200\" autocomplete=\"off\"></label>"
            )?;
        }
        writeln!(
            out,
            "<button>{words}<span class=\"unseen\"> {}</span></button></form>",
            Escaped(&failure.item)
        )?;
    }
    writeln!(out, "</li>")
}
