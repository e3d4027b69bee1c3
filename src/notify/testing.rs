//! What the tests of several of these modules begin with.

use serde_json::json;

use super::decide::State;
use crate::state::{Delivery, Notice};

/// A delivery of each kind, with the figures of a run.
pub(super) fn delivery(state: State, was: State) -> Delivery {
    let refusals = match &state {
        State::Refused(_) => {
            json!([{"guard": "max_opt_outs", "value": 12, "of": 40, "limit": "10%", "key": "jobs.crm-to-mail.guards.max_opt_outs"}])
        }
        _ => json!([]),
    };
    let opt_outs = if refusals[0].is_null() { 0 } else { 10 };
    let is_failing = state == State::Failing;
    let changes = match &state {
        State::Well | State::Items => {
            json!({"members": {"create": 2}, "memberships": {"add": 5, "remove": 0}})
        }
        _ => json!({"members": {"create": 0}}),
    };
    Delivery {
        id: 1,
        notice: Notice {
            uid: "msg_0123".to_owned(),
            job: "crm-to-mail".to_owned(),
            figures: json!({
                "outcome": "partial", "opt_outs_wait": opt_outs, "open": if state == State::Items { 3 } else { 0 },
                "changes": changes, "refusals": refusals,
                "error": is_failing.then_some("crm: the login was refused"),
            }),
            state,
            was,
            since: "2026-11-22T09:45:00Z".parse().unwrap(),
            run: Some("20261122T101500Z-abc123".to_owned()),
            at: "2026-11-22T10:15:04Z".parse().unwrap(),
        },
        attempts: 0,
        missed: 0,
        missed_from: None,
    }
}
