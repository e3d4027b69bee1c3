//! The page of a job, and that of the plan which a guard refused it.

use std::fmt::{self, Write};
use std::time::Duration;

use super::charts;
use super::frame::{
    JobLink, Part, Reader, RunLink, State, When, begin, button, end, job_path, open_form,
};
use super::overview::{more_runs, next, progress, waits};
use super::runs::run_rows;
use super::said::Said;
use crate::report::{Escaped, Short, Whole, count, duration, grouped, opt_outs_wait};
use crate::web::view::{Groups, JobView, MembersOverTime, Refusal, Runs, RunsOverTime};

/// How many of a job's groups are shown.
const GROUPS: usize = 200;

/// What a job's page shows.
pub(super) struct JobPage {
    pub(super) job: JobView,
    pub(super) runs: Runs,
    pub(super) groups: Groups,
    pub(super) figures: RunsOverTime,
    pub(super) members: MembersOverTime,
}

impl JobPage {
    pub(super) fn write(
        &self,
        said: Option<Said>,
        reader: &Reader<'_>,
    ) -> Result<String, fmt::Error> {
        let mut out = String::new();
        let job = &self.job;
        let name = &job.status.job;
        begin(&mut out, name, Part::Other, Some(reader))?;
        writeln!(out, "<h1>{}</h1>", Escaped(name))?;
        Said::write(said, &mut out)?;
        writeln!(out, "<div id=\"job\" data-live>")?;
        head(&mut out, job, reader)?;
        waits(&mut out, job)?;
        writeln!(out, "</div>")?;
        acts(&mut out, job, reader)?;
        writeln!(
            out,
            "<section id=\"history\" data-live><h2>Runs <small>{} of {}</small></h2>",
            grouped(self.runs.runs.len() as u64),
            grouped(self.runs.total)
        )?;
        run_rows(&mut out, &self.runs.runs, false, reader)?;
        let all = format!("/runs?job={}", super::frame::in_path(name));
        more_runs(&mut out, &self.runs, &all)?;
        writeln!(out, "</section>\n<section><h2>What runs did and took</h2>")?;
        charts::runs(&mut out, &self.figures, reader)?;
        writeln!(
            out,
            "</section>\n<section><h2>Members per group <small>over {}</small></h2>",
            Escaped(&distance_in_words(&self.members))
        )?;
        charts::members(&mut out, &self.members)?;
        writeln!(out, "</section>")?;
        self.groups(&mut out)?;
        end(&mut out, Some(reader))?;
        Ok(out)
    }

    fn groups(&self, out: &mut String) -> fmt::Result {
        let links = &self.groups.links;
        writeln!(
            out,
            "<section><h2>Groups <small>{}</small></h2>",
            count(links.len() as u64, "pair", "pairs")
        )?;
        if links.is_empty() {
            return writeln!(
                out,
                "<p>No groups of {} and {} are linked by this job yet.</p></section>",
                Short(&self.groups.source),
                Short(&self.groups.target)
            );
        }
        writeln!(
            out,
            "<div class=\"wide\"><table><thead><tr><th scope=\"col\">At {}</th><th scope=\"col\">At {}</th><th scope=\"col\">How they were paired</th>\
             <th scope=\"col\" class=\"number\">Members</th><th scope=\"col\" class=\"number\">Brought</th></tr></thead><tbody>",
            Short(&self.groups.source),
            Short(&self.groups.target)
        )?;
        for link in links.iter().take(GROUPS) {
            writeln!(
                out,
                "<tr><td>{} <small>{}</small></td><td>{} <small>{}</small></td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
                Short(link.source_name.as_deref().unwrap_or("–")),
                Short(&link.source),
                Short(link.target_name.as_deref().unwrap_or("–")),
                Short(&link.target),
                link.origin.words(),
                grouped(link.memberships),
                grouped(link.brought)
            )?;
        }
        writeln!(out, "</tbody></table></div>")?;
        let left = links.len().saturating_sub(GROUPS) as u64;
        if left > 0 {
            writeln!(
                out,
                "<p>… and {} more: <code>rosterd links {}</code> lists all of them.</p>",
                grouped(left),
                Escaped(&crate::report::in_shell(&self.groups.job))
            )?;
        }
        writeln!(out, "</section>")
    }
}

/// Says over how long members are shown.
fn distance_in_words(members: &MembersOverTime) -> String {
    let length = members.until.duration_since(members.since);
    duration(Duration::from_secs(length.as_secs().unsigned_abs().max(1)))
}

fn head(out: &mut String, job: &JobView, reader: &Reader<'_>) -> fmt::Result {
    let status = &job.status;
    write!(
        out,
        "<dl><dt>State</dt><dd><span data-tell>{}</span>",
        State(status.state)
    )?;
    progress(out, job, reader)?;
    write!(
        out,
        "</dd><dt>From</dt><dd>{}</dd><dt>To</dt><dd>{}</dd><dt>Mode</dt><dd>{}</dd>",
        Escaped(&job.source),
        Escaped(&job.target),
        Escaped(job.mode)
    )?;
    if let Some(schedule) = &status.schedule {
        write!(
            out,
            "<dt>Schedule</dt><dd><code>{}</code> in {}</dd>",
            Escaped(schedule),
            Escaped(job.time_zone.as_deref().unwrap_or("UTC"))
        )?;
    }
    write!(out, "<dt>Next run</dt><dd>")?;
    next(out, job, reader)?;
    write!(out, "</dd>")?;
    if let (Some(reason), Some(since)) = (&status.paused_reason, &status.paused_since) {
        write!(
            out,
            "<dt>Paused</dt><dd>{} since {}</dd>",
            Whole(reason),
            When {
                at: since,
                reader,
                zone: None
            }
        )?;
    }
    if let Some(run) = &status.last_run {
        write!(
            out,
            "<dt>Last run</dt><dd>{} {}, {}: {}</dd>",
            RunLink(&run.run),
            State(run.outcome),
            When::of_run(run, reader),
            Escaped(job.did.as_deref().unwrap_or("nothing changed"))
        )?;
    }
    if status.accepted > 0 {
        write!(
            out,
            "<dt>Accepted</dt><dd><a href=\"{}\">{}</a></dd>",
            job_path(&status.job, "/failures"),
            count(status.accepted, "item", "items")
        )?;
    }
    writeln!(out, "</dl>")
}

fn acts(out: &mut String, job: &JobView, reader: &Reader<'_>) -> fmt::Result {
    let name = &job.status.job;
    writeln!(out, "<div class=\"acts\">")?;
    button(out, &job_path(name, "/run"), reader, "Run now", name)?;
    if job.status.paused_reason.is_some() {
        button(out, &job_path(name, "/resume"), reader, "Resume", name)?;
    } else {
        open_form(out, &job_path(name, "/pause"), reader, "")?;
        writeln!(
            out,
            "<label>Reason for a pause (optional) <input name=\"reason\" maxlength=\"200\" autocomplete=\"off\"></label>\
             <button>Pause</button></form>"
        )?;
    }
    writeln!(out, "</div>")
}

/// Writes the page of a refused plan; `has_plan` tells whether the plan itself can be shown.
pub(super) fn refusal(
    job: &JobView,
    refusal: Option<&Refusal>,
    has_plan: bool,
    reader: &Reader<'_>,
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let name = &job.status.job;
    begin(
        &mut out,
        &format!("Refused plan of {name}"),
        Part::Other,
        Some(reader),
    )?;
    writeln!(out, "<h1>Refused plan of {}</h1>", JobLink(name))?;
    let Some(refusal) = refusal else {
        writeln!(
            out,
            "<p>Nothing waits here: the last run of this job was not refused.</p>"
        )?;
        end(&mut out, Some(reader))?;
        return Ok(out);
    };
    writeln!(out, "<section class=\"box refusal\">")?;
    if let Some(waiting) = opt_outs_wait(refusal.waiting_opt_outs) {
        writeln!(
            out,
            "<p class=\"wait gone\">{waiting} behind this refusal.</p>"
        )?;
    }
    writeln!(
        out,
        "<h2>Nothing is written until a person approves</h2><ul>"
    )?;
    for guard in &refusal.refusals {
        writeln!(
            out,
            "<li><strong>{}</strong>: {} <small>value {} of {}, limit {}, key <code>{}</code></small></li>",
            Escaped(&guard.guard),
            Whole(&guard.explanation),
            grouped(guard.value),
            grouped(guard.of),
            Escaped(&guard.limit),
            Escaped(&guard.key)
        )?;
    }
    write!(out, "</ul><dl><dt>Run</dt><dd>{}", RunLink(&refusal.run))?;
    if let Some(at) = &refusal.refused {
        write!(
            out,
            ", {}",
            When {
                at,
                reader,
                zone: None
            }
        )?;
    }
    writeln!(out, "</dd>")?;
    if let Some(approval) = &refusal.approval {
        writeln!(
            out,
            "<dt>Approval</dt><dd><code>{}</code></dd></dl>",
            Escaped(approval)
        )?;
        whole_plan(&mut out, name, has_plan)?;
        writeln!(
            out,
            "<p>Approving lets these operations, and no others of their kind, pass once; everything is read again first, and a plan \
                 that holds more is refused again.</p>"
        )?;
        open_form(&mut out, &job_path(name, "/approve"), reader, "")?;
        writeln!(
            out,
            "<input type=\"hidden\" name=\"approval\" value=\"{}\"><button class=\"main\">Approve and run</button></form>",
            Escaped(approval)
        )?;
    } else {
        writeln!(
            out,
            "</dl><p>Its approval is used or older than seven days; the next run offers another one if the plan is refused again.</p>"
        )?;
        whole_plan(&mut out, name, has_plan)?;
        button(&mut out, &job_path(name, "/run"), reader, "Run now", name)?;
    }
    writeln!(out, "</section>")?;
    end(&mut out, Some(reader))?;
    Ok(out)
}

fn whole_plan(out: &mut String, job: &str, has_plan: bool) -> fmt::Result {
    if has_plan {
        writeln!(
            out,
            "<p><a href=\"{}\">The whole plan, item by item</a>, as it was refused.</p>",
            job_path(job, "/plan")
        )
    } else {
        writeln!(
            out,
            "<p>The plan itself is kept by the service that made it, until it is restarted; <code>rosterd plan {} --format html</code> \
             makes it anew, and so does the next run.</p>",
            Escaped(&crate::report::in_shell(job))
        )
    }
}
