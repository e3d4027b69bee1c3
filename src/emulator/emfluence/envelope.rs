//! The envelope around every emfluence answer.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::emulator::exchange::Context;
use crate::emulator::reply::{Document, Reply};

/// What a call gives back: the `data` of a success, or a failure.
pub(super) type Answer = Result<Value, Failure>;

/// A refusal. The service answers it with status 200, too.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Option<Value>,
}

impl Failure {
    // Only 301 is documented; the others stand in for a table that is not public.
    pub(super) const CREDENTIALS: i64 = 100;
    pub(super) const PERMISSION: i64 = 110;
    pub(super) const INVALID: i64 = 200;
    pub(super) const MISSING: i64 = 201;
    pub(super) const UNKNOWN: i64 = 202;
    pub(super) const NOT_FOUND: i64 = 300;
    pub(super) const DUPLICATE: i64 = 301;
    pub(super) const REFUSED: i64 = 320;

    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(super) fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

/// Wraps an answer.
pub(super) fn reply(result: Answer, context: &Context, no_empty_data: bool) -> Reply {
    let (mut envelope, outcome) = match result {
        Ok(data) => {
            let outcome = if context.failed_items > 0 {
                "partial".to_owned()
            } else {
                "ok".to_owned()
            };
            let mut envelope = json!({"success": 1, "code": 0});
            if !data.is_null() {
                envelope["data"] = data;
            } else if !no_empty_data {
                envelope["data"] = json!({});
            }
            (envelope, outcome)
        }
        Err(failure) => {
            let mut envelope =
                json!({"success": 0, "code": failure.code, "errors": [failure.message]});
            if let Some(data) = failure.data {
                envelope["data"] = data;
            }
            (envelope, format!("error {}", failure.code))
        }
    };
    envelope["requestID"] = json!(request_id(context.seq));
    Reply {
        status: StatusCode::OK,
        document: Document::Json(envelope),
        outcome,
    }
}

/// A request id in the shape of a GUID that depends on nothing but the request's number.
fn request_id(seq: u64) -> String {
    let digest = blake3::hash(&seq.to_le_bytes()).to_hex();
    let digest = digest.as_str();
    format!(
        "{}-{}-{}-{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[12..16],
        &digest[16..20],
        &digest[20..32]
    )
    .to_uppercase()
}
