//! What a program sends along.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use crate::web::problem::Problem;
use crate::web::state::WebState;

/// A body of JSON; an empty one stands for an object without a key.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<WebState> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Self::Rejection> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_json = kind.split(';').next().unwrap_or_default().trim() == "application/json";
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                Problem::new(
                    rejection.status(),
                    "The body can't be read to its end, or is too long.",
                    "Send a short JSON object.",
                )
            })?;
        // A form of another site can send anything but this.
        if !body.is_empty() && !is_json {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is not said to be JSON.",
                "Send it with `Content-Type: application/json`.",
            ));
        }
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(text).map(Body).map_err(|error| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                format!("The body can't be read at column {} of line {}: it is no JSON, or has a key that is not known here, or lacks one.", error.column(), error.line()),
                "`/api/v1/openapi.json` says what it holds.",
            )
        })
    }
}
