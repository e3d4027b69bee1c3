//! Errors as JSON for programs, after RFC 9457.

use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::readers::ReadError;

/// Why a request is not answered as it was meant: a sentence, and what to do next.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    hint: String,
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    /// Makes one of a sentence and of what to do next.
    pub(crate) fn new(
        status: StatusCode,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            hint: hint.into(),
            retry_after: None,
        }
    }

    /// Returns the HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns what is wrong, in a sentence.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns what to do next.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }

    /// Says after how many seconds it may be tried again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after = Some(seconds.max(1));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.detail(), self.hint())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_string(&self).unwrap_or_default() + "\n";
        let mut response = (
            status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            body,
        )
            .into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"rosterd\"");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match error {
            ReadError::Crowded => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many requests wait for the state database.",
                "Ask again in a few seconds, and less often.",
            )
            .retry_after(5),
            ReadError::State(_) | ReadError::Gone | ReadError::Broken => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                // The log names the file; that is nobody's business here.
                "The state database can't be read or written.",
                "Look at the log of the service; `rosterd check` looks at the state database.",
            )
            .retry_after(30),
        }
    }
}
