//! Whether the process lives (`/healthz`) and whether it is ready for work (`/readyz`).
//!
//! A process whose HTTP answers and whose loop hangs runs no job, so what counts is the pulse of the
//! loop.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::state::WebState;

pub(super) fn router() -> Router<WebState> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}

fn is_well() -> Response {
    (StatusCode::OK, "ok\n").into_response()
}

fn is_not(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

/// Names what hangs.
fn hangs(state: &WebState) -> Option<String> {
    let pulse = state.pulse();
    (!pulse.is_alive()).then(|| {
        format!(
            "the loop that starts runs has not been heard for {} seconds; a restart of the service mends that",
            pulse.silence().as_secs()
        )
    })
}

async fn healthz(State(state): State<WebState>) -> Response {
    hangs(&state).map_or_else(is_well, |why| is_not(&why))
}

async fn readyz(State(state): State<WebState>) -> Response {
    if state.pulse().stops() {
        return is_not("the service stops");
    }
    if let Some(why) = hangs(&state) {
        return is_not(&why);
    }
    match state.is_readable().await {
        Ok(()) => is_well(),
        Err(_) => is_not("the state database can't be read; the log of the service says why"),
    }
}
