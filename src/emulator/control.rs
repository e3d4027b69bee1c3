//! The control endpoint: reads and sets data, faults, clock and logs from outside the process.

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Clock, Credentials, Emulator, FaultRule, World};

/// The routes below `/_emulator`.
pub(super) fn router() -> Router<Emulator> {
    Router::new()
        .route("/world", get(read_world).put(write_world))
        .route("/credentials", get(credentials))
        .route(
            "/faults",
            get(read_faults).post(add_faults).delete(clear_faults),
        )
        .route("/clock", get(read_clock).put(write_clock))
        .route(
            "/requests",
            get(|State(emulator): State<Emulator>| async move { Json(emulator.requests()) }),
        )
        .route(
            "/misuse",
            get(|State(emulator): State<Emulator>| async move { Json(emulator.misuse()) }),
        )
        .route(
            "/history",
            get(|State(emulator): State<Emulator>| async move { Json(emulator.history()) }),
        )
        .route("/log", delete(clear_log))
        .route("/tokens", delete(clear_tokens))
        // A world of tens of thousands of people is put back as long as it was read.
        .layer(DefaultBodyLimit::disable())
}

async fn read_world(State(emulator): State<Emulator>) -> Json<Value> {
    Json(emulator.with_world(|world| json!(world)))
}

async fn write_world(State(emulator): State<Emulator>, body: String) -> Response {
    match serde_json::from_str::<World>(&body) {
        Ok(world) => {
            emulator.with_world(|present| *present = world);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refuse("world", &error),
    }
}

async fn credentials(State(emulator): State<Emulator>) -> Json<Vec<Credentials>> {
    Json(emulator.with_world(|world| {
        world
            .accounts
            .iter()
            .flat_map(|account| {
                account
                    .logins
                    .iter()
                    .map(|login| account.credentials_for(login))
            })
            .collect()
    }))
}

async fn read_faults(State(emulator): State<Emulator>) -> Json<Vec<FaultRule>> {
    Json(emulator.lock().faults.rules())
}

/// One rule or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rules {
    Many(Vec<FaultRule>),
    One(Box<FaultRule>),
}

async fn add_faults(State(emulator): State<Emulator>, body: String) -> Response {
    match serde_json::from_str::<Rules>(&body) {
        Ok(Rules::Many(rules)) => rules.into_iter().for_each(|rule| emulator.add_fault(rule)),
        Ok(Rules::One(rule)) => emulator.add_fault(*rule),
        Err(error) => return refuse("fault rules", &error),
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn clear_faults(State(emulator): State<Emulator>) -> StatusCode {
    emulator.clear_faults();
    StatusCode::NO_CONTENT
}

async fn read_clock(State(emulator): State<Emulator>) -> Json<Clock> {
    Json(emulator.with_world(|world| world.clock))
}

async fn write_clock(State(emulator): State<Emulator>, body: String) -> Response {
    match serde_json::from_str::<Clock>(&body) {
        Ok(clock) => {
            emulator.with_world(|world| world.clock = clock);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refuse("clock", &error),
    }
}

async fn clear_log(State(emulator): State<Emulator>) -> StatusCode {
    emulator.clear_log();
    StatusCode::NO_CONTENT
}

async fn clear_tokens(State(emulator): State<Emulator>) -> StatusCode {
    emulator.expire_tokens();
    StatusCode::NO_CONTENT
}

fn refuse(what: &str, error: &serde_json::Error) -> Response {
    (
        StatusCode::BAD_REQUEST,
        format!("The {what} could not be read: {error}.\n"),
    )
        .into_response()
}
