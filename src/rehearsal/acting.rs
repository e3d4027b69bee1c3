//! How a run is made in the copies: as the command makes it that is rehearsed, and past a refusal as
//! if a person had approved it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;

use super::Ended;
use crate::plan::GuardRefusal;
use crate::program::ROSTERD;
use crate::run::{Assessed, Confirm, Estimate, Planned, RunError, RunReport, Runner, SyncOptions};
use crate::state::ApprovalAnswer;

/// The migration that is rehearsed.
#[derive(Clone, Debug)]
pub struct Migrating {
    /// What is typed to make it.
    pub command: String,
    /// Whether a person answers its question, and not `--yes`.
    pub is_asked: bool,
}

impl Confirm for Migrating {
    fn show(&self, _: &Planned, _: &Assessed, _: &Estimate) {}

    fn is_asked(&self) -> bool {
        self.is_asked
    }

    fn command(&self) -> String {
        self.command.clone()
    }

    fn ask(&self) -> BoxFuture<'_, bool> {
        // Nothing is written but to a copy.
        Box::pin(std::future::ready(true))
    }
}

/// What guards refuse, of a run that is rehearsed as if a person had approved it.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What they say; the approval is the one that the real run offers.
    pub refusals: Vec<GuardRefusal>,
    /// The opt-outs that wait behind it.
    pub waiting_opt_outs: u64,
    /// Whether the real state database holds that approval already, ready to be used.
    pub is_offered: bool,
    /// Why the approval does not fit that the rehearsal was given.
    pub why: Option<String>,
}

impl Refused {
    /// Returns the approval that lets pass what is refused.
    pub fn approval(&self) -> &str {
        self.refusals.first().map_or("", |first| &first.approval)
    }
}

/// What the plan says before the first write.
#[derive(Default)]
pub(super) struct Foreseen {
    /// Requests that read, by provider, those that look at what was written included.
    pub(super) reads: BTreeMap<String, u64>,
    /// Requests that write.
    pub(super) writes: BTreeMap<String, u64>,
    /// Seconds of waiting.
    pub(super) waits: u64,
    refusals: Vec<GuardRefusal>,
    tripped: BTreeSet<String>,
    waiting_opt_outs: u64,
}

impl Foreseen {
    fn of(planned: Planned, estimate: Option<&Estimate>) -> Foreseen {
        let cost = planned.cost;
        let mut reads = cost.reads;
        if let Some(estimate) = estimate {
            for account in &estimate.accounts {
                // Both count the looks at what was written.
                let is_target = account.provider == planned.plan.target;
                let looks = if is_target { cost.applying.reads } else { 0 };
                *reads.entry(account.provider.clone()).or_default() += account.reads - looks;
            }
        }
        Foreseen {
            reads,
            writes: cost.requests,
            waits: cost.applying.waits,
            refusals: planned.plan.refusals,
            tripped: planned.plan.tripped,
            waiting_opt_outs: planned.plan.waiting_opt_outs,
        }
    }
}

/// Runs a job over the copies.
pub(super) struct Actor<'a> {
    pub(super) runner: Runner,
    pub(super) job: &'a str,
    pub(super) migration: Option<&'a Migrating>,
}

impl Actor<'_> {
    /// Names the command that is rehearsed.
    pub(super) fn command(&self) -> String {
        match self.migration {
            Some(migration) => migration.command.clone(),
            None => format!("{ROSTERD} sync {}", self.job),
        }
    }

    /// Plans, and says what it will come to; nothing where nothing can be read, which the run then
    /// says.
    pub(super) async fn foresee(&self) -> Result<Foreseen, RunError> {
        let planned = match self.migration {
            None => self
                .runner
                .plan(self.job)
                .await
                .map(|planned| (planned, None)),
            Some(migration) => self
                .runner
                .assess(self.job, migration.is_asked)
                .await
                .map(|(planned, _, estimate)| (planned, Some(estimate))),
        };
        match planned {
            Ok((planned, estimate)) => Ok(Foreseen::of(planned, estimate.as_ref())),
            Err(RunError::Read { .. } | RunError::Groups { .. }) => Ok(Foreseen::default()),
            Err(error) => Err(error),
        }
    }

    /// Finds the approval to run by, where a guard refuses what is planned: the one that was given,
    /// where it fits; else the one that the refusal offers, in the copy of the state database alone.
    pub(super) fn approve(
        &self,
        foreseen: &Foreseen,
        given: Option<&str>,
    ) -> Result<(Option<Refused>, Option<String>), RunError> {
        let Some(first) = foreseen.refusals.first() else {
            return Ok((None, given.map(str::to_owned)));
        };
        let (store, now, job) = (self.runner.store(), self.runner.now(), self.job);
        let answer = |approval: &str| store.check_approval(job, approval, &foreseen.tripped, now);
        let mut why = None;
        if let Some(given) = given {
            match answer(given)? {
                ApprovalAnswer::Fits => return Ok((None, Some(given.to_owned()))),
                other => why = Some(other.words().to_owned()),
            }
        }
        // It was copied with everything else that the real one remembers.
        let is_offered = answer(&first.approval)? == ApprovalAnswer::Fits;
        let approval = store.offer_approval(job, &first.approval, &foreseen.tripped, now)?;
        let refused = Refused {
            refusals: foreseen.refusals.clone(),
            waiting_opt_outs: foreseen.waiting_opt_outs,
            is_offered,
            why,
        };
        Ok((Some(refused), Some(approval)))
    }

    /// Makes one run, as the command would.
    pub(super) async fn run(&self, approve: Option<&str>) -> Result<Ended, RunError> {
        let made = if let Some(migration) = self.migration {
            self.runner.migrate(self.job, approve, migration).await
        } else {
            let options = SyncOptions {
                approve: approve.map(str::to_owned),
                ..SyncOptions::default()
            };
            self.runner.sync(self.job, options).await
        };
        match made {
            Ok(report) => Ok(Ended::Report(Box::new(report))),
            Err(RunError::Stopped) => Err(RunError::Stopped),
            Err(error) => Ok(Ended::NoRun {
                exit_code: error.exit_code(),
                error: error.to_string(),
            }),
        }
    }

    /// Makes one run, and once more with the approval that it offers where a guard refuses it.
    pub(super) async fn run_approved(&self) -> Result<Ended, RunError> {
        let ended = self.run(None).await?;
        let offered = |report: &RunReport| Some(report.refusals.first()?.approval.clone());
        match ended.report().and_then(offered) {
            None => Ok(ended),
            Some(approval) => self.run(Some(&approval)).await,
        }
    }
}
