//! What whoever has signed in can change. The page and the API do it through the same doors, which are
//! those of the commands; each leaves one line in the log with who did what and how it ended.
//!
//! The line names jobs, ids and counts, and no address and no words of anybody: those stand in the
//! history.

use axum::http::StatusCode;

use super::problem::Problem;
use super::session::Who;
use super::state::{Answer, WebState};
use crate::program::ROSTERD;
use crate::report::in_shell;
use crate::run::by_hand::{self, NotChosen, Paused, Resumed, Which};
use crate::state::AcceptedRecord;

/// Which items are accepted, as it was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Items {
    /// Those whose ids begin like this.
    Named(Vec<String>),
    /// Every one that stands there for this reason.
    OfReason(String),
}

/// Writes the audit line of a change that was asked for.
fn audit<T>(who: &Who, action: &str, job: &str, done: Result<T, Problem>) -> Result<T, Problem> {
    match &done {
        Ok(_) => {
            tracing::info!(target: "rosterd::audit", %who, action, job, outcome = "done", "Audit: a change was asked for.");
        }
        Err(problem) => {
            tracing::warn!(target: "rosterd::audit", %who, action, job, outcome = "refused", why = %problem, "Audit: a change was asked for.");
        }
    }
    done
}

/// Refuses a job that the config does not have. Its name is somebody's words and goes into no log.
fn known_job(state: &WebState, who: &Who, action: &str, job: &str) -> Result<(), Problem> {
    if state.config().jobs.contains_key(job) {
        return Ok(());
    }
    audit(who, action, "", Err(unknown_job()))
}

/// Says that there is no such job.
pub(crate) fn unknown_job() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "The config has no job of this name.",
        "`/api/v1/jobs` lists those that it has.",
    )
}

/// Keeps a job from running on its schedule.
pub(crate) async fn pause(
    state: &WebState,
    who: &Who,
    job: &str,
    reason: Option<String>,
) -> Result<Paused, Problem> {
    known_job(state, who, "pause", job)?;
    let (name, now) = (job.to_owned(), state.now());
    let done = state
        .write(move |store| by_hand::pause(store, &name, reason.as_deref(), now))
        .await;
    audit(who, "pause", job, done.map_err(Problem::from))
}

/// Lets a paused job run again.
pub(crate) async fn resume(state: &WebState, who: &Who, job: &str) -> Result<Resumed, Problem> {
    known_job(state, who, "resume", job)?;
    let (name, now) = (job.to_owned(), state.now());
    let done = state
        .write(move |store| by_hand::resume(store, &name, now))
        .await;
    audit(who, "resume", job, done.map_err(Problem::from))
}

/// Has items stay as they are, and returns all that is accepted of the job then.
pub(crate) async fn accept(
    state: &WebState,
    who: &Who,
    job: &str,
    items: Items,
    reason: Option<String>,
) -> Result<Vec<AcceptedRecord>, Problem> {
    known_job(state, who, "accept", job)?;
    let (name, now) = (job.to_owned(), state.now());
    let done = state
        .write(move |store| {
            let known = by_hand::items_that_wait(store, &name)?;
            let chosen = match by_hand::choose(&known, which(&items)) {
                Ok(chosen) => chosen,
                Err(why) => return Ok(Err(why)),
            };
            store.accept(&name, &chosen, reason.as_deref(), now)?;
            Ok(Ok(store.accepted(&name)?))
        })
        .await;
    audit(
        who,
        "accept",
        job,
        settled(job, done.map_err(Problem::from)),
    )
}

/// Has items need a person again, and returns what is still accepted of the job.
pub(crate) async fn revoke(
    state: &WebState,
    who: &Who,
    job: &str,
    items: Items,
) -> Result<Vec<AcceptedRecord>, Problem> {
    known_job(state, who, "revoke", job)?;
    let name = job.to_owned();
    let done = state
        .write(move |store| {
            let accepted = store.accepted(&name)?.into_iter();
            let known: Vec<_> = accepted.map(|accepted| accepted.note).collect();
            let chosen = match by_hand::choose(&known, which(&items)) {
                Ok(chosen) => chosen,
                Err(why) => return Ok(Err(why)),
            };
            let items: Vec<String> = chosen.into_iter().map(|note| note.item).collect();
            store.revoke(&name, &items)?;
            Ok(Ok(store.accepted(&name)?))
        })
        .await;
    audit(
        who,
        "revoke",
        job,
        settled(job, done.map_err(Problem::from)),
    )
}

fn which(items: &Items) -> Which<'_> {
    match items {
        Items::Named(items) => Which::Named(items),
        Items::OfReason(reason) => Which::OfReason(reason),
    }
}

fn settled<T>(job: &str, done: Result<Result<T, NotChosen>, Problem>) -> Result<T, Problem> {
    done?.map_err(|why| match why {
        NotChosen::Several(_) => Problem::new(
            StatusCode::CONFLICT,
            "Several items have an id that begins like this.",
            "Send more of the id.",
        ),
        NotChosen::NoSuchItem(_) | NotChosen::NoSuchReason(_) => Problem::new(
            StatusCode::NOT_FOUND,
            "No such item of this job is there, or no longer.",
            format!(
                "`/api/v1/failures` and `{ROSTERD} failures {}` list them with their ids.",
                in_shell(job)
            ),
        ),
    })
}

/// Runs a job now, as soon as it and its accounts are free.
pub(crate) async fn run(state: &WebState, who: &Who, job: &str) -> Result<(), Problem> {
    known_job(state, who, "run", job)?;
    audit(who, "run", job, order(state, job, None).await)
}

/// Runs a job now, and lets exactly that plan pass which a guard refused and offered this approval for.
pub(crate) async fn approve(
    state: &WebState,
    who: &Who,
    job: &str,
    approval: &str,
) -> Result<(), Problem> {
    known_job(state, who, "approve", job)?;
    let done = approved(state, job, approval).await;
    audit(who, "approve", job, done)
}

async fn approved(state: &WebState, job: &str, approval: &str) -> Result<(), Problem> {
    let (name, now) = (job.to_owned(), state.now());
    let offered = state
        .read(move |store| {
            let refused = store.job_status(&name)?.refused;
            Ok(store.waiting(&name, refused.as_ref(), now)?.approval)
        })
        .await?;
    if offered.as_deref() != Some(approval) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "No refused plan of this job waits for this approval: it is used, too old, or the plan has changed.",
            "Look at what waits now, and approve that.",
        ));
    }
    order(state, job, Some(approval.to_owned())).await
}

async fn order(state: &WebState, job: &str, approval: Option<String>) -> Result<(), Problem> {
    match state.order(job, approval).await {
        Answer::Begins => Ok(()),
        Answer::Running => Err(Problem::new(
            StatusCode::CONFLICT,
            "A run of this job is going on.",
            "Wait for its end, then ask again.",
        )),
        Answer::Unknown => Err(unknown_job()),
        Answer::Stopping => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is about to stop, and begins nothing more.",
            "Ask again once it runs again.",
        )
        .retry_after(30)),
    }
}
