//! What a run and a failure look like to whoever asked for them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

pub use crate::state::Outcome;

use crate::config::settled::JobConfig;
use crate::plan::{Blocked, GuardRefusal, Summary};
use crate::run::apply::{Approved, ItemFailure};
use crate::run::migration::Migration;
use crate::run::prepare::Prepared;

/// What one run did.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The run's id.
    pub run: String,
    /// The job.
    pub job: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What was done, not what was planned.
    pub summary: Summary,
    /// How many items were left out on purpose.
    pub withheld: u64,
    /// The same, by reason.
    pub withheld_by_reason: BTreeMap<&'static str, u64>,
    /// What a person has to settle.
    pub blocked: Vec<Blocked>,
    /// What the provider refused.
    pub failures: Vec<ItemFailure>,
    /// Guards that refused the plan.
    pub refusals: Vec<GuardRefusal>,
    /// What a person let pass, where guards had refused the plan.
    pub approved: Option<Approved>,
    /// Opt-outs that wait behind a refusal.
    pub waiting_opt_outs: u64,
    /// Writing requests sent, by provider.
    pub requests: BTreeMap<String, u64>,
    /// Reading requests sent, by provider.
    pub reads: BTreeMap<String, u64>,
    /// Sentences that a person should read.
    pub warnings: Vec<String>,
    /// Why the run could not go on, where it could not.
    pub error: Option<String>,
    /// Losses, as counted.
    pub losses: Vec<crate::plan::Loss>,
    /// The items that a person has accepted, of this run or of earlier ones.
    pub accepted: BTreeSet<String>,
    /// What a migration knows beside it.
    pub migration: Option<Box<Migration>>,
}

impl RunReport {
    /// Makes the report of a run that wrote nothing.
    pub(in crate::run) fn of_nothing_written(
        prepared: &Prepared,
        job: &JobConfig,
        id: &str,
        started: Timestamp,
        finished: Timestamp,
        outcome: Outcome,
    ) -> RunReport {
        let plan = &prepared.planned.plan;
        let mut withheld_by_reason = BTreeMap::new();
        for withheld in &plan.withheld {
            *withheld_by_reason
                .entry(withheld.reason.as_str())
                .or_default() += 1;
        }
        RunReport {
            run: id.to_owned(),
            job: job.name.clone(),
            started,
            finished,
            outcome,
            summary: Summary::default(),
            withheld: plan.withheld.len() as u64,
            withheld_by_reason,
            blocked: plan.blocked.clone(),
            failures: Vec::new(),
            refusals: plan.refusals.clone(),
            approved: None,
            waiting_opt_outs: plan.waiting_opt_outs,
            requests: BTreeMap::new(),
            reads: prepared.sides.reads.clone(),
            warnings: plan.warnings.clone(),
            error: None,
            losses: plan.losses.clone(),
            accepted: prepared.planned.accepted.clone(),
            migration: None,
        }
    }

    /// Counts what failed or is blocked, and what of it a person has accepted.
    pub fn waiting(&self) -> (usize, usize) {
        let failures = self.failures.iter().map(ItemFailure::item);
        let items = failures.chain(self.blocked.iter().map(Blocked::item));
        let (accepted, open): (Vec<String>, Vec<String>) =
            items.partition(|item| self.accepted.contains(item));
        (open.len(), accepted.len())
    }

    /// Returns the exit code.
    pub fn exit_code(&self) -> u8 {
        self.outcome.exit_code()
    }
}

impl RunReport {
    /// Returns what the guards refused as it is kept in the history, by the names of the plan format.
    pub(in crate::run) fn refusals_json(&self) -> serde_json::Value {
        let refusals = self.refusals.iter().map(|refusal| {
            serde_json::json!({
                "guard": refusal.guard, "group": refusal.group, "value": refusal.value, "of": refusal.of,
                "limit": refusal.limit, "key": refusal.key, "approval": refusal.approval,
                "explanation": refusal.explanation,
            })
        });
        refusals.collect()
    }

    /// Returns the counts as they are kept in the history.
    pub fn summary_json(&self) -> serde_json::Value {
        let summary = &self.summary;
        serde_json::json!({
            "groups": {"create": summary.groups_created, "update": summary.groups_updated, "adopt": summary.groups_adopted,
                       "archive": summary.groups_archived, "delete": summary.groups_deleted},
            "members": {"create": summary.members_created, "update": summary.members_updated},
            "memberships": {"add": summary.memberships_added, "remove": summary.memberships_removed},
            "opt_outs": {"carry": summary.opt_outs},
            "withheld": self.withheld, "blocked": self.blocked.len(), "failed": self.failures.len(), "requests": self.requests,
            "reads": self.reads,
        })
    }
}
