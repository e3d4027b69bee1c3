//! `/api/v1`: what the status page shows, as JSON, and what it can change.
//!
//! What a command prints with `--format json` has the same keys here. The document at
//! `/api/v1/openapi.json` says what each path takes and gives, and a test holds it against real answers.
//! Everything but that document and the counts takes a session or the admin token.

mod body;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::body::Body;
use super::actions::{self, Items, unknown_job};
use super::problem::Problem;
use super::session::{Changer, Reader, SignedIn};
use super::state::WebState;
use super::view::{Counts, ItemQuery, JobView, Overview};
use crate::model::normalise_address;
use crate::report::{FORMAT_VERSION, ItemFilter, write_accepted_json};
use crate::state::AcceptedRecord;

/// How many rows an answer has where nobody says it, and at most.
const ROWS: usize = 100;
const MOST_ROWS: usize = 1_000;

/// The document that says what each path takes and gives.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

pub(super) fn router() -> Router<WebState> {
    let api = Router::new()
        .route("/openapi.json", get(openapi))
        .route("/counts", get(counts))
        .route("/session", get(session))
        .route("/status", get(status))
        .route("/jobs", get(jobs))
        .route("/jobs/{job}", get(job))
        .route("/jobs/{job}/plan", get(plan))
        .route("/jobs/{job}/groups", get(groups))
        .route("/jobs/{job}/runs", get(runs_of_job))
        .route("/jobs/{job}/run", post(run_now))
        .route("/jobs/{job}/approve", post(approve))
        .route("/jobs/{job}/accept", post(accept))
        .route("/jobs/{job}/revoke", post(revoke))
        .route("/jobs/{job}/pause", post(pause))
        .route("/jobs/{job}/resume", post(resume))
        .route("/runs", get(runs))
        .route("/runs/{run}", get(run))
        .route("/failures", get(failures));
    Router::new()
        .nest("/api/v1", api)
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "This address does not take this method.",
                "`/api/v1/openapi.json` lists what each address takes.",
            )
        })
}

/// The name of a job or a run in an address.
struct Name(String);

impl FromRequestParts<WebState> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Name(name)).map_err(|_| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "The name in the address is not text, so nothing has it.",
                "`/api/v1/jobs` and `/api/v1/runs` list what there is.",
            )
        })
    }
}

/// An answer, or why there is none.
type Answer = Result<Response, Problem>;

fn found<T: Serialize>(value: Option<T>, missing: impl FnOnce() -> Problem) -> Answer {
    value
        .map(|value| Json(value).into_response())
        .ok_or_else(missing)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn counts(State(state): State<WebState>) -> Answer {
    let counts = state.counts().await?;
    Ok(Json::<Counts>(counts).into_response())
}

/// Gives a script of the status page the token that it sends with whatever changes something.
async fn session(session: SignedIn) -> Response {
    Json(json!({"version": FORMAT_VERSION, "csrf": session.csrf()})).into_response()
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method is one of a single lifetime"
)]
async fn overview(state: &WebState) -> Result<Overview, Problem> {
    Ok(state.gather(|view| view.overview()).await?)
}

async fn status(State(state): State<WebState>, _: Reader) -> Answer {
    Ok(Json(overview(&state).await?).into_response())
}

async fn jobs(State(state): State<WebState>, _: Reader) -> Answer {
    let overview = overview(&state).await?;
    Ok(Json(json!({"version": FORMAT_VERSION, "jobs": overview.jobs})).into_response())
}

/// One job with the version of the format.
#[derive(Serialize)]
struct OneJob {
    version: u32,
    #[serde(flatten)]
    job: JobView,
}

async fn one_job(state: &WebState, name: String) -> Answer {
    let job = state.gather(move |view| view.job(&name)).await?;
    let job = job.map(|job| OneJob {
        version: FORMAT_VERSION,
        job,
    });
    found(job, unknown_job)
}

async fn job(State(state): State<WebState>, _: Reader, Name(name): Name) -> Answer {
    one_job(&state, name).await
}

async fn plan(State(state): State<WebState>, _: Reader, Name(name): Name) -> Answer {
    if !state.config().jobs.contains_key(&name) {
        return Err(unknown_job());
    }
    let refusal = state.gather(move |view| view.refusal(&name)).await?;
    found(refusal, || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "No plan of this job waits: its last run was not refused.",
            "`/api/v1/status` shows which job waits for an approval.",
        )
    })
}

async fn groups(State(state): State<WebState>, _: Reader, Name(name): Name) -> Answer {
    found(
        state.gather(move |view| view.groups(&name)).await?,
        unknown_job,
    )
}

/// Which page of a list is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    job: Option<String>,
    before: Option<String>,
    from: Option<usize>,
    limit: Option<usize>,
}

type Asked<T> = Result<Query<T>, QueryRejection>;

/// Says what is wrong with what stands behind the question mark.
fn asked<T>(query: Asked<T>) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|rejection| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!(
                "What stands behind the question mark can't be read: {}.",
                rejection.body_text()
            ),
            "`/api/v1/openapi.json` says what may stand there.",
        )
    })
}

fn rows(limit: Option<usize>) -> usize {
    limit.unwrap_or(ROWS).clamp(1, MOST_ROWS)
}

async fn history(state: &WebState, page: Page) -> Answer {
    let runs = state.gather(move |view| {
        view.runs(
            page.job.as_deref(),
            page.before.as_deref(),
            rows(page.limit),
        )
    });
    Ok(Json(runs.await?).into_response())
}

async fn runs(State(state): State<WebState>, _: Reader, query: Asked<Page>) -> Answer {
    history(&state, asked(query)?).await
}

async fn runs_of_job(
    State(state): State<WebState>,
    _: Reader,
    Name(name): Name,
    query: Asked<Page>,
) -> Answer {
    if !state.config().jobs.contains_key(&name) {
        return Err(unknown_job());
    }
    let page = Page {
        job: Some(name),
        ..asked(query)?
    };
    history(&state, page).await
}

/// Which items of a run are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichItems {
    group: Option<String>,
    person: Option<String>,
    op: Option<String>,
    outcome: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

async fn run(
    State(state): State<WebState>,
    _: Reader,
    Name(id): Name,
    query: Asked<WhichItems>,
) -> Answer {
    let which = asked(query)?;
    let person = which.person.map(|person| {
        let normal = normalise_address(&person);
        normal.map_or(person, |address| address.as_str().to_owned())
    });
    let query = ItemQuery {
        filter: ItemFilter {
            group: which.group,
            member: person,
            op: which.op,
            outcome: which.outcome,
        },
        after: which.after,
        limit: rows(which.limit),
    };
    let run = state
        .gather(move |view| view.items_of_run(&id, &query))
        .await?;
    found(run, || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "No run has this id, or several begin with it.",
            "`/api/v1/runs` lists the runs that history keeps.",
        )
    })
}

async fn failures(State(state): State<WebState>, _: Reader, query: Asked<Page>) -> Answer {
    let page = asked(query)?;
    let failures = state.gather(move |view| {
        view.failures(
            page.job.as_deref(),
            page.from.unwrap_or(0),
            rows(page.limit),
        )
    });
    Ok(Json(failures.await?).into_response())
}

/// Says that a run begins, of which the history will tell.
fn begins(job: &str) -> Response {
    let said = json!({"version": FORMAT_VERSION, "job": job, "begins": true});
    (StatusCode::ACCEPTED, Json(said)).into_response()
}

/// A body without a field.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn run_now(
    State(state): State<WebState>,
    Changer(who): Changer,
    Name(name): Name,
    _: Body<Nothing>,
) -> Answer {
    actions::run(&state, &who, &name).await?;
    Ok(begins(&name))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    approval: String,
}

async fn approve(
    State(state): State<WebState>,
    Changer(who): Changer,
    Name(name): Name,
    Body(asked): Body<Approval>,
) -> Answer {
    actions::approve(&state, &who, &name, &asked.approval).await?;
    Ok(begins(&name))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Accepting {
    items: Vec<String>,
    all_blocked: Option<String>,
    reason: Option<String>,
}

impl Accepting {
    fn items(self) -> Result<(Items, Option<String>), Problem> {
        let items = match (self.items, self.all_blocked) {
            (items, None) if !items.is_empty() => Items::Named(items),
            (items, Some(reason)) if items.is_empty() => Items::OfReason(reason),
            _ => {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "Either `items` or `all_blocked` says which items are meant, and not both.",
                    "`/api/v1/failures` lists the items with their ids and reasons.",
                ));
            }
        };
        Ok((items, self.reason))
    }
}

fn accepted(job: &str, accepted: &[AcceptedRecord]) -> Response {
    let mut body = Vec::new();
    write_accepted_json(&mut body, job, accepted).expect("memory takes what is written");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn accept(
    State(state): State<WebState>,
    Changer(who): Changer,
    Name(name): Name,
    Body(asked): Body<Accepting>,
) -> Answer {
    let (items, reason) = asked.items()?;
    let known = actions::accept(&state, &who, &name, items, reason).await?;
    Ok(accepted(&name, &known))
}

async fn revoke(
    State(state): State<WebState>,
    Changer(who): Changer,
    Name(name): Name,
    Body(asked): Body<Accepting>,
) -> Answer {
    let (items, _) = asked.items()?;
    let known = actions::revoke(&state, &who, &name, items).await?;
    Ok(accepted(&name, &known))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Pausing {
    reason: Option<String>,
}

async fn pause(
    State(state): State<WebState>,
    Changer(who): Changer,
    Name(name): Name,
    Body(asked): Body<Pausing>,
) -> Answer {
    actions::pause(&state, &who, &name, asked.reason).await?;
    one_job(&state, name).await
}

async fn resume(
    State(state): State<WebState>,
    Changer(who): Changer,
    Name(name): Name,
    _: Body<Nothing>,
) -> Answer {
    actions::resume(&state, &who, &name).await?;
    one_job(&state, name).await
}
