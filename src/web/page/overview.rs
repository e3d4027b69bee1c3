//! The first page: whether all is well, what waits for a person, and the jobs.

use std::fmt::{self, Write};

use super::frame::{JobLink, Part, Reader, RunLink, State, When, begin, button, end, job_path};
use super::runs::run_rows;
use super::said::Said;
use crate::report::{ChannelRow, Escaped, Short, count, grouped, opt_outs_wait};
use crate::web::view::{Counts, JobView, Overview, Runs};

/// Writes the page of whoever has signed in.
pub(super) fn overview(
    overview: &Overview,
    runs: &Runs,
    said: Option<Said>,
    reader: &Reader<'_>,
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    begin(&mut out, "Overview", Part::Overview, Some(reader))?;
    writeln!(out, "<h1>Overview</h1>")?;
    Said::write(said, &mut out)?;
    writeln!(out, "<div id=\"overview\" data-live>")?;
    verdict(&mut out, overview)?;
    service(&mut out, overview, reader)?;
    needs(&mut out, overview)?;
    jobs(&mut out, overview, reader)?;
    writeln!(
        out,
        "<section><h2>Last runs <small>{} of {}</small></h2>",
        grouped(runs.runs.len() as u64),
        count(runs.total, "run", "runs")
    )?;
    run_rows(&mut out, &runs.runs, true, reader)?;
    more_runs(&mut out, runs, "/runs")?;
    writeln!(out, "</section></div>")?;
    end(&mut out, Some(reader))?;
    Ok(out)
}

/// Says how many runs are not shown, and leads to them.
pub(super) fn more_runs(out: &mut String, runs: &Runs, all: &str) -> fmt::Result {
    let left = runs.total.saturating_sub(runs.runs.len() as u64);
    if left > 0 {
        writeln!(
            out,
            "<p>… and <a href=\"{}\">{} more</a>.</p>",
            Escaped(all),
            grouped(left)
        )?;
    }
    Ok(())
}

fn verdict(out: &mut String, overview: &Overview) -> fmt::Result {
    let jobs = overview.jobs.iter();
    let needy = jobs.filter(|job| job.status.needs_a_person).count() as u64;
    let (class, words) = match (overview.needs_a_person, needy) {
        (false, _) => (
            "well",
            "All is well: nothing waits for a person.".to_owned(),
        ),
        (true, 0) => ("ill", "The service needs a person.".to_owned()),
        (true, 1) => ("ill", "1 job needs a person.".to_owned()),
        (true, more) => ("ill", format!("{} jobs need a person.", grouped(more))),
    };
    writeln!(out, "<p class=\"verdict {class}\" data-tell>{words}</p>")
}

fn service(out: &mut String, overview: &Overview, reader: &Reader<'_>) -> fmt::Result {
    let service = &overview.service;
    write!(out, "<p>The service is {}", State(service.state))?;
    if let Some(started) = &service.started {
        let started = When {
            at: started,
            reader,
            zone: None,
        };
        write!(out, ", started {started}")?;
    }
    writeln!(out, ".</p>")?;
    if service.state != "alive" && overview.jobs.iter().any(|job| job.status.will_fire()) {
        writeln!(
            out,
            "<p class=\"gone\">Jobs have a schedule, and no service is there to take it.</p>"
        )?;
    }
    if let Some(wrong) = &overview.wrong_config {
        writeln!(
            out,
            "<p class=\"gone\">The new config is wrong, and the service keeps the old one; mend it, and send SIGHUP again:</p><pre>{}</pre>",
            Escaped(wrong)
        )?;
    }
    for channel in &overview.channels {
        told_by(out, channel, reader)?;
    }
    Ok(())
}

/// Says of a channel that does not deliver since when, why, and what became of the messages.
fn told_by(out: &mut String, channel: &ChannelRow, reader: &Reader<'_>) -> fmt::Result {
    let Some(since) = &channel.failing_since else {
        return Ok(());
    };
    let when = |at| When {
        at,
        reader,
        zone: None,
    };
    write!(
        out,
        "<p class=\"gone\"><strong>Nobody is told by {}</strong>: {}, first {}",
        Short(&channel.channel),
        Short(channel.why.as_deref().unwrap_or_default()),
        when(since)
    )?;
    if let (1.., Some(next)) = (channel.waiting, &channel.next_try) {
        let waiting = count(channel.waiting, "message waits", "messages wait");
        write!(out, "; {waiting}, tried again {}", when(next))?;
    }
    if channel.given_up > 0 {
        let given_up = count(channel.given_up, "message was", "messages were");
        write!(out, "; {given_up} given up")?;
    }
    writeln!(
        out,
        ". <code>rosterd notify --test --channel {}</code> tries it.</p>",
        Short(&channel.channel)
    )
}

/// Lists what waits for a person, refused opt-outs first.
fn needs(out: &mut String, overview: &Overview) -> fmt::Result {
    let mut needy: Vec<&JobView> = overview
        .jobs
        .iter()
        .filter(|job| job.status.needs_a_person)
        .collect();
    if needy.is_empty() {
        return Ok(());
    }
    needy.sort_by_key(|job| std::cmp::Reverse(job.waiting_opt_outs));
    writeln!(
        out,
        "<section><h2>Waits for a person</h2><ul class=\"list\">"
    )?;
    for job in needy {
        writeln!(out, "<li><h3>{}</h3>", JobLink(&job.status.job))?;
        waits(out, job)?;
        writeln!(out, "</li>")?;
    }
    writeln!(out, "</ul></section>")
}

/// Says what of a job waits for a person, each with a link to where it is settled.
pub(super) fn waits(out: &mut String, job: &JobView) -> fmt::Result {
    let status = &job.status;
    if status.state == "refused" || status.approval.is_some() {
        let waiting = opt_outs_wait(job.waiting_opt_outs);
        let waiting =
            waiting.map(|words| format!("<strong>{words}</strong> behind a refused plan: "));
        writeln!(
            out,
            "<p class=\"gone\">{}<a href=\"{}\">look at what a guard refused{}</a>.</p>",
            waiting.unwrap_or_default(),
            job_path(&status.job, "/refusal"),
            if status.approval.is_some() {
                ", and approve it"
            } else {
                ""
            }
        )?;
    }
    if status.state == "failing" {
        let error = status
            .last_run
            .as_ref()
            .and_then(|run| run.error.as_deref());
        writeln!(
            out,
            "<p class=\"gone\">{}{}</p>",
            match status.consecutive_failures {
                0 => "The last run did not come to its end.".to_owned(),
                1 => "The last run failed: ".to_owned(),
                more => format!("The last {} runs failed: ", grouped(more.into())),
            },
            Short(error.unwrap_or("its page says why."))
        )?;
    }
    if status.open > 0 {
        writeln!(
            out,
            "<p><a href=\"{}\">{}</a> for a person.</p>",
            job_path(&status.job, "/failures"),
            count(status.open, "item waits", "items wait")
        )?;
    }
    if let Some(run) = &status.undo_open {
        writeln!(
            out,
            "<p>An undo of run {} was interrupted: finish it with <code>rosterd undo</code>, or the next run does again what it took back.</p>",
            RunLink(run)
        )?;
    }
    Ok(())
}

fn jobs(out: &mut String, overview: &Overview, reader: &Reader<'_>) -> fmt::Result {
    let number = count(overview.jobs.len() as u64, "job", "jobs");
    writeln!(out, "<section><h2>Jobs <small>{number}</small></h2>")?;
    if overview.jobs.is_empty() {
        return writeln!(out, "<p>The config has no job.</p></section>");
    }
    writeln!(
        out,
        "<table class=\"stack jobs\"><thead><tr><th scope=\"col\">Job</th><th scope=\"col\">State</th><th scope=\"col\">Next run</th>\
         <th scope=\"col\">Last run</th><th scope=\"col\">What changed</th><th scope=\"col\">Do</th></tr></thead><tbody>"
    )?;
    for job in &overview.jobs {
        let status = &job.status;
        write!(
            out,
            "<tr><td><strong>{}</strong><br><small>{} → {}</small></td><td data-name=\"State\">{}",
            JobLink(&status.job),
            Short(&job.source),
            Short(&job.target),
            State(status.state)
        )?;
        progress(out, job, reader)?;
        write!(out, "</td><td data-name=\"Next run\">")?;
        next(out, job, reader)?;
        write!(out, "</td><td data-name=\"Last run\">")?;
        match &status.last_run {
            None => write!(out, "never")?,
            Some(run) => write!(
                out,
                "{} {}<br>{}",
                RunLink(&run.run),
                State(run.outcome),
                When::of_run(run, reader)
            )?,
        }
        let did = match (&status.last_run, &job.did) {
            (None, _) => "–".to_owned(),
            (Some(_), Some(did)) => Escaped(did).to_string(),
            (Some(run), None) if run.outcome == "refused" => {
                "nothing: a guard refused it".to_owned()
            }
            (Some(run), None) if run.finished.is_none() => "–".to_owned(),
            (Some(_), None) => "nothing".to_owned(),
        };
        write!(
            out,
            "</td><td data-name=\"What changed\">{did}</td><td><div class=\"acts\">"
        )?;
        actions(out, job, reader)?;
        writeln!(out, "</div></td></tr>")?;
    }
    writeln!(out, "</tbody></table></section>")
}

/// Says when a job runs next, and why it does not.
pub(super) fn next(out: &mut String, job: &JobView, reader: &Reader<'_>) -> fmt::Result {
    let status = &job.status;
    let zone = job
        .time_zone
        .as_deref()
        .and_then(|zone| jiff::tz::TimeZone::get(zone).ok());
    match &status.next {
        _ if status.schedule.is_none() => write!(out, "by hand only"),
        _ if !status.enabled => write!(out, "disabled in the config"),
        _ if !status.runs_here => write!(out, "left to others by <code>daemon.jobs</code>"),
        _ if status.paused_reason.is_some() => write!(out, "when resumed"),
        None => write!(out, "not while no service runs"),
        Some(next) => {
            let next = When {
                at: next,
                reader,
                zone: zone.as_ref(),
            };
            let slowed = match status.consecutive_failures {
                failures if job.slowed => format!(
                    "<br><small>slowed down after {}</small>",
                    count(failures.into(), "failure", "failures")
                ),
                _ => String::new(),
            };
            write!(out, "{next}{slowed}")
        }
    }
}

/// Shows how far a run has come.
pub(super) fn progress(out: &mut String, job: &JobView, reader: &Reader<'_>) -> fmt::Result {
    let Some(far) = &job.status.progress else {
        return Ok(());
    };
    write!(out, "<br><small>{}</small>", Short(&far.phase))?;
    let done = far.requests_done;
    if let Some(expected) = far.requests_expected.filter(|expected| done <= *expected) {
        write!(
            out,
            "<br><progress max=\"{expected}\" value=\"{done}\" aria-label=\"{}\"></progress>",
            Short(&far.phase),
        )?;
    }
    let details = far.details().join(", ");
    if !details.is_empty() {
        write!(out, "<br><small>{details}</small>")?;
    }
    if far.stale {
        let at = When {
            at: &far.heard,
            reader,
            zone: None,
        };
        write!(out, "<br><small>this was so {at}</small>")?;
    }
    Ok(())
}

/// Writes what can be done with a job.
pub(super) fn actions(out: &mut String, job: &JobView, reader: &Reader<'_>) -> fmt::Result {
    let status = &job.status;
    let name = &status.job;
    if status.state != "running" {
        button(out, &job_path(name, "/run"), reader, "Run now", name)?;
    }
    if status.paused_reason.is_some() {
        button(out, &job_path(name, "/resume"), reader, "Resume", name)
    } else {
        button(out, &job_path(name, "/pause"), reader, "Pause", name)
    }
}

/// Writes the page of whoever has not signed in: numbers, and a form to sign in.
pub(super) fn counts(counts: &Counts, why: Option<&str>) -> Result<String, fmt::Error> {
    let mut out = String::new();
    begin(&mut out, "Sign in", Part::Other, None)?;
    let (class, words) = if counts.needs_a_person {
        ("ill", "Something needs a person.")
    } else {
        ("well", "All is well.")
    };
    writeln!(
        out,
        "<h1>rosterd</h1><p class=\"verdict {class}\">{words}</p>\n<ul class=\"counts\">\
         <li>The service is {}</li>",
        State(counts.service)
    )?;
    let number = |out: &mut String, number: u64, one: &str, many: &str| {
        let words = if number == 1 { one } else { many };
        writeln!(out, "<li><b>{}</b> {words}</li>", grouped(number))
    };
    number(&mut out, counts.jobs, "job", "jobs")?;
    for (state, jobs) in &counts.states {
        writeln!(out, "<li><b>{}</b> {}</li>", grouped(*jobs), State(state))?;
    }
    number(
        &mut out,
        counts.refusals,
        "plan waits for approval",
        "plans wait for approval",
    )?;
    number(
        &mut out,
        counts.waiting_opt_outs,
        "opt-out waits",
        "opt-outs wait",
    )?;
    number(
        &mut out,
        counts.open,
        "item waits for a person",
        "items wait for a person",
    )?;
    writeln!(out, "</ul>")?;
    sign_in(&mut out, why)?;
    end(&mut out, None)?;
    Ok(out)
}

fn sign_in(out: &mut String, why: Option<&str>) -> fmt::Result {
    writeln!(out, "<section class=\"sign-in\"><h2>Sign in</h2>")?;
    let words = match why {
        Some("wrong") => Some("That is not the admin token of this service."),
        Some("slow") => {
            Some("Wrong tokens were sent too often. Wait ten seconds, then send the right one.")
        }
        Some("none") => Some(
            "Nobody can sign in: the config has no daemon.admin_token. Give it one, and reload the service with SIGHUP.",
        ),
        _ => None,
    };
    if let Some(words) = words {
        writeln!(
            out,
            "<p class=\"said not\" role=\"alert\" id=\"why\">{words}</p>"
        )?;
    }
    writeln!(
        out,
        "<form method=\"post\" action=\"/sign-in\">\
         <input name=\"username\" autocomplete=\"username\" value=\"admin\" hidden>\
         <label for=\"token\">Admin token</label>\
         <input id=\"token\" name=\"token\" type=\"password\" required autocomplete=\"current-password\"{}>\
         <button class=\"main\">Sign in</button></form>\
         <p><small>It is what <code>daemon.admin_token</code> in the config names. Names and addresses are shown only after signing in.</small></p></section>",
        if words.is_some() {
            " aria-describedby=\"why\""
        } else {
            ""
        }
    )
}
