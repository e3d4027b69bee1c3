//! The status page: made here, works without its script, and with it puts in what has changed.
//!
//! | module | writes |
//! |---|---|
//! | `frame` | head, navigation, forms, and how times, names and states are shown |
//! | `overview` | whether all is well, what waits for a person, the jobs; and what everybody may see |
//! | `job` | a job, and the plan that a guard refused it |
//! | `runs` | the history, and a run with its items |
//! | `failures` | what nobody can sync, with its remedy |
//! | `charts` | figures over time, each beside a table that says the same |
//! | `said` | what a page says once something was done |
//!
//! Without a session there are counts and a form to sign in, and no name of anything. Whatever comes
//! from a provider is escaped where it is written. Addresses of this page hold ids of runs, and names of
//! jobs and groups; who is looked for stands in them only where somebody asked for that person.

mod charts;
mod failures;
mod frame;
mod job;
mod overview;
mod runs;
mod said;
#[cfg(test)]
mod tests;

use std::fmt;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::actions::{self, Items, unknown_job};
use super::problem::{self, Problem};
use super::session::{Changing, MaybeSignedIn, SignedIn};
use super::state::WebState;
use super::view::ItemQuery;
use crate::model::normalise_address;
use crate::report::{Escaped, ItemFilter, STYLE, page_policy};
use frame::{Part, Reader, job_path};
use said::Said;

const SCRIPT: &str = include_str!("status.js");
const OWN_STYLE: &str = include_str!("status.css");
const ICON: &str = include_str!("icon.svg");

/// How many runs stand on the first page and on that of a job.
const FEW: usize = 10;
/// How many runs, items and failures stand on a page of theirs.
const MANY: usize = 100;
/// Over how long the members of groups are shown.
const SPAN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The routes of the page.
pub(super) fn router() -> Router<WebState> {
    Router::new()
        .route("/", get(front))
        .route("/sign-in", get(sign_in))
        .route("/runs", get(history))
        .route("/runs/{run}", get(run))
        .route("/failures", get(all_failures))
        .route("/jobs/{job}", get(one_job))
        .route("/jobs/{job}/failures", get(failures_of_job))
        .route("/jobs/{job}/refusal", get(refusal))
        .route("/jobs/{job}/plan", get(plan))
        .route("/jobs/{job}/run", post(run_now))
        .route("/jobs/{job}/approve", post(approve))
        .route("/jobs/{job}/pause", post(pause))
        .route("/jobs/{job}/resume", post(resume))
        .route("/jobs/{job}/accept", post(accept))
        .route("/jobs/{job}/revoke", post(revoke))
        .route("/assets/status.css", get(style))
        .route("/assets/status.js", get(script))
        .route("/assets/icon.svg", get(icon))
        .route("/favicon.ico", get(icon))
}

/// Why a page is not shown, as a page.
#[derive(Debug)]
struct Trouble(Problem);

impl<E: Into<Problem>> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble(error.into())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let Trouble(problem) = self;
        problem::as_page(problem.into_response(), trouble)
    }
}

/// Writes the page that says why something was not done.
pub(super) fn trouble(problem: &Problem) -> String {
    write_trouble(problem).unwrap_or_default()
}

fn write_trouble(problem: &Problem) -> Result<String, fmt::Error> {
    use std::fmt::Write as _;
    let mut out = String::new();
    frame::begin(&mut out, "Not done", Part::Other, None)?;
    writeln!(
        out,
        "<h1>Not done</h1><p class=\"verdict ill\" role=\"alert\">{}</p><p>{}</p><p><a href=\"/\">To the overview</a></p>",
        Escaped(problem.detail()),
        frame::WithCode(problem.hint())
    )?;
    frame::end(&mut out, None)?;
    Ok(out)
}

type Page = Result<Response, Trouble>;

/// Shows a page to whoever has signed in.
fn show(
    state: &WebState,
    session: &SignedIn,
    write: impl FnOnce(&Reader<'_>) -> Result<String, fmt::Error>,
) -> Page {
    let zone = TimeZone::system();
    let page = write(&Reader {
        csrf: session.csrf(),
        now: state.now(),
        zone: &zone,
    });
    let page = page.map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The page could not be written.",
            "The log of the service says more.",
        )
    })?;
    Ok(Html(page).into_response())
}

fn no_run() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "The history has no run of this id, or no longer.",
        "The runs are listed under Runs.",
    )
}

/// What is asked of a page beside its address. A form sends what was left empty as well.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    said: String,
    why: String,
    job: String,
    before: String,
    from: String,
    after: String,
    op: String,
    outcome: String,
    group: String,
    person: String,
}

fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.trim().is_empty())
}

async fn front(
    State(state): State<WebState>,
    MaybeSignedIn(session): MaybeSignedIn,
    Query(asked): Query<Asked>,
) -> Page {
    let Some(session) = session else {
        return strangers(&state, None).await;
    };
    let (overview, runs) = state
        .gather(|view| Ok((view.overview()?, view.runs(None, None, FEW)?)))
        .await?;
    let said = Said::parse(&asked.said);
    show(&state, &session, |reader| {
        overview::overview(&overview, &runs, said, reader)
    })
}

async fn sign_in(
    State(state): State<WebState>,
    MaybeSignedIn(session): MaybeSignedIn,
    Query(asked): Query<Asked>,
) -> Page {
    if session.is_some() {
        return Ok(Redirect::to("/").into_response());
    }
    strangers(&state, Some(&asked.why)).await
}

/// What everybody may see.
async fn strangers(state: &WebState, why: Option<&str>) -> Page {
    let counts = state.counts().await?;
    let page = overview::counts(&counts, why).unwrap_or_default();
    Ok(Html(page).into_response())
}

async fn history(
    State(state): State<WebState>,
    session: SignedIn,
    Query(asked): Query<Asked>,
) -> Page {
    let (job, before) = (filled(asked.job), filled(asked.before));
    let (of_job, is_first) = (job.clone(), before.is_none());
    let runs = state
        .gather(move |view| view.runs(of_job.as_deref(), before.as_deref(), MANY))
        .await?;
    show(&state, &session, |reader| {
        runs::history(&runs, job.as_deref(), is_first, reader)
    })
}

async fn run(
    State(state): State<WebState>,
    session: SignedIn,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Page {
    let filter = ItemFilter {
        group: filled(asked.group),
        member: filled(asked.person).map(|person| match normalise_address(&person) {
            Ok(address) => address.as_str().to_owned(),
            // It may be how somebody without one is named.
            Err(_) => person,
        }),
        op: filled(asked.op),
        outcome: filled(asked.outcome),
    };
    let query = ItemQuery {
        filter: filter.clone(),
        after: filled(asked.after),
        limit: MANY,
    };
    let run = state
        .gather(move |view| view.items_of_run(&id, &query))
        .await?;
    let run = run.ok_or_else(no_run)?;
    show(&state, &session, |reader| runs::run(&run, &filter, reader))
}

async fn all_failures(
    State(state): State<WebState>,
    session: SignedIn,
    Query(asked): Query<Asked>,
) -> Page {
    list_failures(&state, &session, None, asked).await
}

async fn failures_of_job(
    State(state): State<WebState>,
    session: SignedIn,
    Path(job): Path<String>,
    Query(asked): Query<Asked>,
) -> Page {
    list_failures(&state, &session, Some(job), asked).await
}

async fn list_failures(
    state: &WebState,
    session: &SignedIn,
    job: Option<String>,
    asked: Asked,
) -> Page {
    let from: usize = asked.from.parse().unwrap_or(0);
    let of_job = job.clone();
    let failures = state
        .gather(move |view| view.failures(of_job.as_deref(), from, MANY))
        .await?;
    let shown = failures::Shown {
        job: job.as_deref(),
        from,
    };
    let said = Said::parse(&asked.said);
    show(state, session, |reader| {
        failures::failures(&failures, shown, said, reader)
    })
}

async fn one_job(
    State(state): State<WebState>,
    session: SignedIn,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Page {
    let page = state
        .gather(move |view| {
            let (Some(job), Some(groups)) = (view.job(&name)?, view.groups(&name)?) else {
                return Ok(None);
            };
            Ok(Some(job::JobPage {
                job,
                groups,
                runs: view.runs(Some(&name), None, FEW)?,
                figures: view.runs_over_time(&name)?,
                members: view.members_over_time(&name, SPAN)?,
            }))
        })
        .await?;
    let page = page.ok_or_else(unknown_job)?;
    let said = Said::parse(&asked.said);
    show(&state, &session, |reader| page.write(said, reader))
}

async fn refusal(
    State(state): State<WebState>,
    session: SignedIn,
    Path(name): Path<String>,
) -> Page {
    let (job, refusal) = state
        .gather(move |view| Ok((view.job(&name)?, view.refusal(&name)?)))
        .await?;
    let job = job.ok_or_else(unknown_job)?;
    let plans = state.refused_plans();
    let has_plan = refusal
        .as_ref()
        .is_some_and(|refusal| plans.has(&refusal.job, &refusal.run));
    show(&state, &session, |reader| {
        job::refusal(&job, refusal.as_ref(), has_plan, reader)
    })
}

/// Shows the plan that a guard refused: a page of its own, with the style and the script that its policy
/// allows.
async fn plan(State(state): State<WebState>, _: SignedIn, Path(name): Path<String>) -> Page {
    let plans = state.refused_plans();
    let made = plans.made(&name);
    let (job, forgot) = (name.clone(), made.unwrap_or_default());
    let (refusal, forgot) = state
        .gather(move |view| {
            let store = view.store;
            let forgot = store.map(|store| store.forgot_since(forgot)).transpose()?;
            Ok((view.refusal(&job)?, forgot))
        })
        .await?;
    if forgot == Some(true) {
        // It may name whoever asked for that.
        plans.forget();
    }
    let run = refusal.map(|refusal| refusal.run).unwrap_or_default();
    let page = plans.page(&name, &run).map_err(|error| {
        tracing::warn!(job = name, %error, "The page of a refused plan can't be read.");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The plan that was kept can't be read.",
            "The next run keeps another one.",
        )
    })?;
    let page = page.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "No plan of this job is kept.",
            "The next run keeps one if it is refused, and `rosterd plan` makes one at once.",
        )
    })?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, page_policy()),
    ];
    Ok((headers, page).into_response())
}

/// Leads to a page that says what was done.
fn done(place: &str, said: Said) -> Response {
    Redirect::to(&format!("{place}?said={}", said.word())).into_response()
}

#[derive(Deserialize)]
struct Nothing {}

async fn run_now(
    State(state): State<WebState>,
    Path(job): Path<String>,
    form: Changing<Nothing>,
) -> Page {
    actions::run(&state, &form.session.who(), &job).await?;
    Ok(done(&job_path(&job, ""), Said::Runs))
}

#[derive(Deserialize)]
struct Approve {
    approval: String,
}

async fn approve(
    State(state): State<WebState>,
    Path(job): Path<String>,
    form: Changing<Approve>,
) -> Page {
    let who = form.session.who();
    actions::approve(&state, &who, &job, &form.fields.approval).await?;
    Ok(done(&job_path(&job, ""), Said::Approved))
}

#[derive(Deserialize)]
struct Pause {
    #[serde(default)]
    reason: String,
}

async fn pause(
    State(state): State<WebState>,
    Path(job): Path<String>,
    form: Changing<Pause>,
) -> Page {
    let who = form.session.who();
    actions::pause(&state, &who, &job, filled(form.fields.reason)).await?;
    Ok(done(&job_path(&job, ""), Said::Paused))
}

async fn resume(
    State(state): State<WebState>,
    Path(job): Path<String>,
    form: Changing<Nothing>,
) -> Page {
    actions::resume(&state, &form.session.who(), &job).await?;
    Ok(done(&job_path(&job, ""), Said::Resumed))
}

#[derive(Deserialize)]
struct Accept {
    item: String,
    #[serde(default)]
    reason: String,
    /// Said by the page that lists the failures of all jobs, which is where it leads back to.
    #[serde(default)]
    all: String,
}

impl Accept {
    fn place(&self, job: &str) -> String {
        if self.all.is_empty() {
            job_path(job, "/failures")
        } else {
            "/failures".to_owned()
        }
    }
}

async fn accept(
    State(state): State<WebState>,
    Path(job): Path<String>,
    form: Changing<Accept>,
) -> Page {
    let (who, fields) = (form.session.who(), form.fields);
    let place = fields.place(&job);
    let items = Items::Named(vec![fields.item]);
    actions::accept(&state, &who, &job, items, filled(fields.reason)).await?;
    Ok(done(&place, Said::Accepted))
}

async fn revoke(
    State(state): State<WebState>,
    Path(job): Path<String>,
    form: Changing<Accept>,
) -> Page {
    let (who, fields) = (form.session.who(), form.fields);
    let place = fields.place(&job);
    actions::revoke(&state, &who, &job, Items::Named(vec![fields.item])).await?;
    Ok(done(&place, Said::Revoked))
}

async fn style() -> Response {
    let css = format!("{STYLE}{OWN_STYLE}");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], css).into_response()
}

async fn script() -> Response {
    let javascript = "text/javascript; charset=utf-8";
    ([(header::CONTENT_TYPE, javascript)], SCRIPT).into_response()
}

async fn icon() -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml")], ICON).into_response()
}
