//! One run end to end. The only module that sees everything.
//!
//! It is laid out as the way that a run goes, and each room uses those before it and none after it:
//!
//! 1. `accounts`: who is asked, and under which locks. A [`Runner`] holds the config, the state
//!    database and the accounts, and a run begins once it holds its job and both accounts (rule 8).
//! 2. `read`: from the wire into snapshots of both sides. Looking again later, at one group or at
//!    one profile, is reading as well, and so is recalling the target from an earlier run.
//! 3. `settle`: what became of an item that was written, and what is remembered of it. An item
//!    that is read back in its own run and one that an interrupted run has left open are judged by
//!    the same functions.
//! 4. `prepare`: from what was read to a plan. In between it settles what was left open, since
//!    nothing is planned before that (rule 5), and of the plan it says what both sides agree on.
//! 5. `apply`: from the plan to the wire. Each step is journaled, sent, settled and read back
//!    (rule 9); what happened is counted and taken down as it happens.
//! 6. `record`: what is told of a run and kept of it: the report, the history, the failures.
//!
//! Below all of them stands what can go wrong with a run as a whole ([`RunError`]). This file is
//! the door: what may be asked of a [`Runner`], and in which order the rooms are walked through.
//!
//! A membership goes through them like this: `read::members` has the source's listing,
//! `read::target` the target's; `prepare` pairs the people and plans the addition; `apply::resolve`
//! or `apply::rows` makes it a write with ids, `apply::entry` journals it, and `apply::send` sends
//! it; `settle::standing` and `settle::membership` say whether it stands, and `settle::confirm` what
//! of it is remembered; `apply::tally` counts it.

mod error;

// In the order of a run.
mod accounts;

mod read;

mod settle;

mod prepare;

mod apply;

mod record;

pub mod by_hand;
mod explain;
mod meant;
mod members;
mod migration;
mod rehearsal;
mod undo;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

pub use accounts::{
    AccountLocks, Clock, Gauge, Handle, Meter, OnlineReport, Progress, Runner, RunnerOptions,
    SecondsEach, Silent,
};
pub use apply::{Approved, ItemFailure};
pub use error::{RunError, state_exit_code};
pub use explain::{
    Explained, FieldExplained, GroupExplained, Held, LinkExplained, MembershipExplained, Next,
    PersonExplained, Written,
};
pub use meant::Meant;
pub use members::{
    GroupMembers, MeantGroup, MemberNow, NamedGroup, partners_at_target, remembered_groups,
};
pub use migration::{Confirm, KeptCopy, Migration, Verified};
pub use prepare::{
    AccountEstimate, Assessed, BothSides, Cost, Estimate, GroupCount, Narrowed, Parts, Planned,
    States,
};
pub use read::{AccountGroups, Everything, FirstRun, LinkedBy, Prediction};
pub use record::{Outcome, RunReport};
pub use rehearsal::BothAccounts;

use crate::config::settled::JobConfig;
use crate::plan::{Basis, GuardRefusal, Plan, Summary};
use crate::program::{ROSTERD, completed};
use crate::state::{ApprovalAnswer, EMPTY_PLAN, RunEnd, RunStart};
use accounts::{Access, unless_stopped};
use apply::Spends;
use prepare::{Asks, Prepared};
use undo::ToUndo;

impl SavedPlan {
    /// Names the command that makes such a plan anew.
    fn command(&self) -> String {
        match &self.undo {
            Some(run) => format!("{ROSTERD} undo {run} --out FILE"),
            None => format!("{ROSTERD} plan {} --out FILE", self.job),
        }
    }
}

/// How a run is asked for.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// The approval of a refused plan.
    pub approve: Option<String>,
    /// What set the run off: `manual`, `schedule`, `retry`.
    pub trigger: &'static str,
    /// Whether a job that was paused while its run waited is left alone; one that is named by hand runs.
    pub unless_paused: bool,
}

impl Default for SyncOptions {
    fn default() -> Self {
        SyncOptions {
            approve: None,
            trigger: "manual",
            unless_paused: false,
        }
    }
}

/// What of a saved plan decides: everything else is read and planned again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedPlan {
    /// The job.
    pub job: String,
    /// The fingerprint.
    pub fingerprint: String,
    /// What the fingerprint was made of, to tell what moved; nothing where that is not known.
    pub basis: Option<Basis>,
    /// Whether there is nothing in it to do.
    pub empty: bool,
    /// The run that it takes back, where it takes one back.
    pub undo: Option<String>,
}

/// What a run goes by beside its job.
#[derive(Clone, Copy)]
enum Asked<'a> {
    /// What is found is done.
    Sync,
    /// What was saved is done, or nothing.
    Apply(&'a SavedPlan),
    /// What is found is shown and asked for.
    Migrate(&'a dyn Confirm),
}

/// How old what was read may be when the answer comes.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

impl<'a> Asked<'a> {
    fn saved(self) -> Option<&'a SavedPlan> {
        match self {
            Asked::Apply(saved) => Some(saved),
            Asked::Sync | Asked::Migrate(_) => None,
        }
    }

    fn asks(self, to_undo: Option<&ToUndo>) -> Asks<'_> {
        match self {
            Asked::Sync => Asks::default(),
            Asked::Apply(_) => Asks {
                anew: true,
                undo: to_undo,
                ..Asks::default()
            },
            Asked::Migrate(confirm) => Asks::migration(confirm.is_asked()),
        }
    }
}

impl Runner {
    /// Reads both sides and makes the plan; writes to no provider.
    pub async fn plan(&self, job: &str) -> Result<Planned, RunError> {
        let (planned, _) = self.plan_about(job, &[]).await?;
        Ok(planned)
    }

    /// Remembers a refusal of mail that was seen, whatever becomes of the run.
    fn remember_seen(&self, job: &JobConfig, prepared: &mut Prepared) -> Result<(), RunError> {
        let store = self.store();
        store.record(&prepared.consent_seen(job))?;
        store.record(&prepared.give_up_flags(job))?;
        store.record(&prepared.seen_again(job))?;
        Ok(())
    }

    /// Gives a plan that a guard refused an approval that lets it pass.
    fn offer_approval(&self, job: &JobConfig, plan: &mut Plan) -> Result<(), RunError> {
        if let Some(refusal) = plan.refusals.first() {
            let (store, now) = (self.store(), self.now());
            let id = store.offer_approval(&job.name, &refusal.approval, &plan.tripped, now)?;
            rename_approval(&mut plan.refusals, &id);
        }
        for refusal in &mut plan.refusals {
            // It names a run and the job, and nobody else.
            if refusal.guard == "undo_interrupted" {
                refusal.explanation = completed(&refusal.explanation);
            }
        }
        Ok(())
    }

    /// Makes one unattended run: read, plan, guard, apply, verify.
    ///
    /// # Errors
    /// What keeps the run from being made at all. A run that was made and ended badly is a report.
    pub async fn sync(&self, job: &str, options: SyncOptions) -> Result<RunReport, RunError> {
        Box::pin(self.run(job, &options, Asked::Sync)).await
    }

    /// Applies a saved plan once: everything is read and planned again, and any difference stops
    /// before the first write. A plan without operations touches nothing, and is done at once.
    pub async fn apply(
        &self,
        saved: &SavedPlan,
        approve: Option<&str>,
    ) -> Result<RunReport, RunError> {
        let options = SyncOptions {
            approve: approve.map(str::to_owned),
            trigger: if saved.undo.is_some() {
                undo::TRIGGER
            } else {
                "apply"
            },
            unless_paused: false,
        };
        if saved.empty {
            return self.nothing_to_apply(saved);
        }
        Box::pin(self.run(&saved.job, &options, Asked::Apply(saved))).await
    }

    /// Predicts the reading requests of a run from the lists of groups.
    pub async fn predict(&self, job: &str) -> Result<Prediction, RunError> {
        let job = self.job(job)?;
        let _held = self.hold_to_read(&[&job.source, &job.target]).await?;
        self.refuse_one_account(job)?;
        self.predict_reads(job).await
    }

    async fn run(
        &self,
        name: &str,
        options: &SyncOptions,
        asked: Asked<'_>,
    ) -> Result<RunReport, RunError> {
        let job = self.job(name)?;
        let saved = asked.saved();
        self.refuse_used(saved)?;
        let _held = self.hold(job, Access::Write).await?;
        self.refuse_one_account(job)?;
        // Whoever was waited for may have applied it, or have taken a run back and paused the job.
        self.refuse_used(saved)?;
        if options.unless_paused && self.store().paused(name)?.is_some() {
            return Err(RunError::Busy(format!(
                "job \"{name}\" was paused while its run waited, so nothing was read"
            )));
        }
        let started = self.now();
        let id = run_id(name, started);
        let store = &self.inner.store;
        self.know_accounts(job)?;
        store.register_job(&job.name, &job.source_account, &job.target_account)?;
        store.close_abandoned_runs(&job.name, started)?;
        store.start_run(&RunStart {
            id: id.clone(),
            job: job.name.clone(),
            trigger: options.trigger.to_owned(),
            started,
        })?;
        let work = Box::pin(self.run_started(job, &id, started, options, asked));
        let result = Box::pin(self.telling(&job.name, &id, work)).await;
        self.inner.options.progress.finish(&job.name);
        self.prune_daily();
        match result {
            Ok(report) => Ok(report),
            Err(error) => {
                let outcome = match (&error, error.exit_code()) {
                    (RunError::Stopped, _) => Outcome::Interrupted,
                    (_, 3) => Outcome::Refused,
                    _ => Outcome::Failed,
                };
                let end = RunEnd {
                    finished: self.now(),
                    outcome,
                    exit_code: error.exit_code(),
                    wrote: false,
                    completed: false,
                    summary: serde_json::Value::Null,
                    error: Some(error.to_string()),
                    measure: None,
                    approved: None,
                };
                // The first failure is the one to report; one of writing it down adds nothing to
                // it.
                drop(store.finish_run(&id, &end, &[]));
                Err(error)
            }
        }
    }

    /// Refuses a saved plan that was applied before.
    fn refuse_used(&self, saved: Option<&SavedPlan>) -> Result<(), RunError> {
        let Some(saved) = saved else { return Ok(()) };
        match self.inner.store.plan_used(&saved.fingerprint)? {
            None => Ok(()),
            Some(used) => Err(RunError::PlanMoved(format!(
                "this plan was applied at {}; a plan is used once: make a new one with `{}`",
                used.strftime("%Y-%m-%d %H:%M:%SZ"),
                saved.command()
            ))),
        }
    }

    async fn run_started(
        &self,
        job: &JobConfig,
        id: &str,
        started: Timestamp,
        options: &SyncOptions,
        asked: Asked<'_>,
    ) -> Result<RunReport, RunError> {
        let saved = asked.saved();
        let store = &self.inner.store;
        let undone = saved.and_then(|saved| saved.undo.as_deref());
        let to_undo = match undone.map(|run| store.run(run)).transpose()? {
            None => None,
            Some(Some(run)) if run.job == job.name => {
                self.refuse_second_undo(job, &run.id)?;
                store.note_undoes(id, &run.id)?;
                Box::pin(self.settle_before_undo(job)).await?;
                Some(self.to_undo(job, &run)?)
            }
            Some(_) => {
                return Err(RunError::PlanMoved(format!(
                    "the run {} that this plan takes back is not in the history of job \"{}\" any more, so nothing was written",
                    undone.unwrap_or_default(),
                    job.name
                )));
            }
        };
        let asks = asked.asks(to_undo.as_ref());
        let mut prepared =
            unless_stopped(&self.inner.options.stop, self.prepare(job, asks)).await?;
        self.remember_seen(job, &mut prepared)?;
        if let Some(saved) = saved
            && saved.fingerprint != prepared.planned.plan.fingerprint
        {
            let moved = saved.basis.as_ref().map_or_else(
                || "what it touches has changed".to_owned(),
                |basis| basis.what_moved(&prepared.planned.plan.basis),
            );
            return Err(RunError::PlanMoved(format!(
                "the plan has moved since it was made, so nothing was written ({moved}); make a new one with `{}`",
                saved.command()
            )));
        }
        let mut migration = None;
        let read_at = self.now();
        if let Asked::Migrate(confirm) = asked {
            // Whether it is refused or not: what stands behind a refusal is what has to be decided.
            self.inner.options.progress.finish(&job.name);
            self.offer_approval(job, &mut prepared.planned.plan)?;
            let (before, estimate) = (prepared.assessed(), self.estimate(&prepared)?);
            confirm.show(&prepared.planned, &before, &estimate);
            migration = Some(Box::new(Migration {
                command: confirm.command(),
                providers: (job.source.clone(), job.target.clone()),
                before,
                estimate,
                planned: prepared.planned.plan.summary.clone(),
                copies: Vec::new(),
                asked_after: prepared.sides.reads.values().sum(),
                began: started,
                ended: started,
                verified: None,
            }));
        }
        let mut spends = Spends {
            plan: saved.map(|saved| saved.fingerprint.clone()),
            ..Spends::default()
        };
        if !prepared.planned.plan.refusals.is_empty() {
            let items = std::mem::take(&mut prepared.planned.plan.tripped);
            let offered = prepared.planned.plan.refusals[0].approval.clone();
            let answer = match &options.approve {
                Some(approval) => {
                    Some(store.check_approval(&job.name, approval, &items, self.now())?)
                }
                None => None,
            };
            match (answer, &options.approve) {
                (Some(ApprovalAnswer::Fits), Some(approval)) => {
                    spends.approved = Some(Approved {
                        id: approval.clone(),
                        refusals: prepared.planned.plan.refusals.clone(),
                    });
                }
                (answer, _) => {
                    let id_offered =
                        store.offer_approval(&job.name, &offered, &items, self.now())?;
                    rename_approval(&mut prepared.planned.plan.refusals, &id_offered);
                    let why = answer.map(|answer| answer.words().to_owned());
                    let report = self.record_refused(job, id, started, &prepared, why)?;
                    return Ok(RunReport {
                        migration,
                        ..report
                    });
                }
            }
        }
        let is_empty = prepared.planned.plan.is_empty();
        let mut copying = BTreeMap::new();
        if let Asked::Migrate(confirm) = asked
            && !is_empty
        {
            let stop = &self.inner.options.stop;
            let wants = stop.run_until_cancelled(confirm.wants_copies()).await;
            if wants.ok_or(RunError::Stopped)? {
                let copies = Box::pin(self.copy_first(job, confirm, &mut copying)).await?;
                if let Some(migration) = &mut migration {
                    migration.copies = copies;
                    migration.asked_after += copying.values().sum::<u64>();
                }
            }
            let answer = stop.run_until_cancelled(confirm.ask()).await;
            if !answer.ok_or(RunError::Stopped)? {
                return Err(RunError::Declined);
            }
            // Whoever thought about it for long may have overtaken a refusal.
            if self.now().duration_since(read_at) > FRESH {
                let shown = std::mem::take(&mut prepared.planned.plan.fingerprint);
                drop(prepared);
                prepared = unless_stopped(stop, self.prepare(job, asks)).await?;
                self.remember_seen(job, &mut prepared)?;
                if prepared.planned.plan.fingerprint != shown {
                    return Err(RunError::PlanMoved(format!(
                        "the accounts have changed while the question waited for its answer, so nothing was written; `{}` shows it anew",
                        confirm.command()
                    )));
                }
            }
        }
        let paused = match &to_undo {
            Some(undone) if !is_empty => self.pause_for_undo(&job.name, &undone.run)?,
            Some(undone) => {
                self.close_undo(&job.name, undone, &prepared.planned)?;
                None
            }
            None => None,
        };
        let began = self.now();
        let approved = spends.approved.clone();
        let applied = Box::pin(self.carry_out(job, id, prepared, spends)).await?;
        let open = self.settle_open_undo(job, to_undo.as_ref(), &applied)?;
        let mut report = self.record_applied(job, id, started, applied, approved)?;
        report.warnings.extend(paused.into_iter().chain(open));
        for (provider, reads) in copying {
            *report.reads.entry(provider).or_default() += reads;
        }
        if let Some(mut migration) = migration {
            (migration.began, migration.ended) = (began, report.finished);
            report.migration = Some(migration);
            // Where nothing was to be done, what was just read is the proof of it; and what ended
            // badly is gone on with first.
            if !is_empty && report.error.is_none() {
                self.verify(job, &mut report).await?;
            }
        }
        Ok(report)
    }

    /// Takes down and reports that a plan without operations was applied.
    fn nothing_to_apply(&self, saved: &SavedPlan) -> Result<RunReport, RunError> {
        let job = self.job(&saved.job)?;
        let started = self.now();
        let id = run_id(&job.name, started);
        let store = &self.inner.store;
        store.start_run(&RunStart {
            id: id.clone(),
            job: job.name.clone(),
            trigger: EMPTY_PLAN.to_owned(),
            started,
        })?;
        let report = RunReport {
            run: id.clone(),
            job: job.name.clone(),
            started,
            finished: self.now(),
            outcome: Outcome::Done,
            summary: Summary::default(),
            withheld: 0,
            withheld_by_reason: BTreeMap::new(),
            blocked: Vec::new(),
            failures: Vec::new(),
            refusals: Vec::new(),
            approved: None,
            waiting_opt_outs: 0,
            requests: BTreeMap::new(),
            reads: BTreeMap::new(),
            warnings: Vec::new(),
            error: None,
            losses: Vec::new(),
            accepted: BTreeSet::new(),
            migration: None,
        };
        let end = RunEnd {
            finished: report.finished,
            outcome: report.outcome,
            exit_code: report.exit_code(),
            wrote: false,
            completed: false,
            summary: report.summary_json(),
            error: None,
            measure: None,
            approved: None,
        };
        store.finish_run(&id, &end, &[])?;
        Ok(report)
    }
}

fn rename_approval(refusals: &mut [GuardRefusal], id: &str) {
    for refusal in refusals {
        id.clone_into(&mut refusal.approval);
    }
}

/// Names a run: the moment it began, to the microsecond, and the job.
fn run_id(job: &str, started: Timestamp) -> String {
    let print = blake3::hash(format!("{job} {}", started.as_nanosecond()).as_bytes()).to_hex();
    format!("{}-{}", started.strftime("%Y%m%dT%H%M%SZ"), &print[..6])
}

#[cfg(test)]
mod tests;
