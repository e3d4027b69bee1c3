//! The refusal that a job waits with.

use serde::{Deserialize, Serialize};

use super::View;
use crate::report::FORMAT_VERSION;
use crate::state::{RunRecord, StateError};

/// A guard that refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedGuard {
    /// The guard.
    pub guard: String,
    /// The group that it is about, where it is about one.
    pub group: Option<String>,
    /// What the plan would have done.
    pub value: u64,
    /// Of how many.
    pub of: u64,
    /// What is allowed.
    pub limit: String,
    /// The key of the config that says so.
    pub key: String,
    /// The approval that lets it pass.
    pub approval: String,
    /// The refusal in a sentence.
    pub explanation: String,
}

/// The refusal that a job waits with, also while a later run goes on.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// The version of the format.
    pub version: u32,
    /// The job.
    pub job: String,
    /// The run that was refused.
    pub run: String,
    /// When it ended.
    pub refused: Option<String>,
    /// How many opt-outs wait behind the refusal; they come first.
    pub waiting_opt_outs: u64,
    /// The guards that refused.
    pub refusals: Vec<RefusedGuard>,
    /// The approval that lets exactly that pass, once; nothing where it is used or too old.
    pub approval: Option<String>,
}

impl View<'_> {
    /// Gathers the refusal that a job waits with; nothing where none stands.
    pub fn refusal(&self, job: &str) -> Result<Option<Refusal>, StateError> {
        let Some(store) = self.store else {
            return Ok(None);
        };
        let Some(run) = store.job_status(job)?.refused else {
            return Ok(None);
        };
        let approval = store.waiting(job, Some(&run), self.now)?.approval;
        Ok(Some(refusal_of(&run, approval)))
    }
}

fn refusal_of(run: &RunRecord, approval: Option<String>) -> Refusal {
    let guards = run.refusals().iter();
    Refusal {
        version: FORMAT_VERSION,
        job: run.job.clone(),
        run: run.id.clone(),
        refused: run.finished.map(|finished| finished.to_string()),
        waiting_opt_outs: run.waiting_opt_outs(),
        refusals: guards
            .map(|guard| serde_json::from_value(guard.clone()).unwrap_or_default())
            .collect(),
        approval,
    }
}
