//! Errors: as JSON for programs, after RFC 9457, and as a page for whoever looks with a browser.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
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
        let retry_after = self.retry_after;
        // Who asked is known further out: there a browser gets the same as a page.
        response.extensions_mut().insert(Arc::new(self));
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"rosterd\"");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

/// Tells whether a browser asks, to show the answer to a person.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// Puts a page in the place of an error that a person is to read; any other answer stays as it is.
pub(super) fn as_page(mut response: Response, write: impl FnOnce(&Problem) -> String) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() else {
        return response;
    };
    let headers = response.headers_mut();
    // It is that of the JSON.
    headers.remove(header::CONTENT_LENGTH);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    *response.body_mut() = Body::from(write(&problem));
    response
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
