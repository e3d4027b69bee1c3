//! One run end to end: read both sides, plan, guard, apply, verify. The only module that sees
//! everything.

mod accounts;
mod apply;
mod confirm;
mod consent;
mod error;
mod housekeeping;
mod locks;
mod persons;
mod prepare;
mod read;
mod recover;
mod remember;
mod report;
mod verify;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use accounts::{Handle, OnlineReport};
pub use error::{RunError, state_exit_code};
pub use locks::AccountLocks;
pub use report::{Approved, Cost, ItemFailure, Outcome, Planned, RunReport};

use crate::config::settled::{Config, JobConfig};
use crate::http::Transport;
use crate::plan::{Basis, GuardRefusal, Summary};
use crate::state::{ApprovalAnswer, Locks, RunEnd, RunStart, StateError, Store};
use apply::Spends;
use locks::Access;
use prepare::Prepared;

/// Tells the time of day; given from outside so that tests can set it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Hears how far a run has come.
pub trait Progress: Send + Sync {
    /// A new stage has begun.
    fn stage(&self, job: &str, text: &str);
    /// So many requests of a stage are done.
    fn advance(&self, job: &str, done: u64, of: u64);
    /// The run has ended.
    fn finish(&self, job: &str);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _job: &str, _text: &str) {}
    fn advance(&self, _job: &str, _done: u64, _of: u64) {}
    fn finish(&self, _job: &str) {}
}

/// What a [`Runner`] gets from outside.
#[derive(Clone)]
pub struct RunnerOptions {
    /// An in-process transport for the demo and for tests; the network otherwise.
    pub transport: Option<Transport>,
    /// Who hears of progress.
    pub progress: Arc<dyn Progress>,
    /// The time of day.
    pub clock: Clock,
    /// Asks runs to stop after the request in flight, and those that wait to give up.
    pub stop: CancellationToken,
    /// How long to wait for a job or an account that another process uses; without it a run ends at
    /// once with [`RunError::Busy`]. For other runs of this process it waits in any case.
    pub wait: Option<Duration>,
    /// The accounts that this process uses; all runners over one state database share them.
    pub account_locks: AccountLocks,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        RunnerOptions {
            transport: None,
            progress: Arc::new(Silent),
            clock: Arc::new(Timestamp::now),
            stop: CancellationToken::new(),
            wait: None,
            account_locks: AccountLocks::default(),
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
}

impl Default for SyncOptions {
    fn default() -> Self {
        SyncOptions {
            approve: None,
            trigger: "manual",
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
}

/// How many requests and minutes a run takes, before anything is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Reading requests, by provider.
    pub reads: std::collections::BTreeMap<String, u64>,
    /// Minutes that they take at the configured pace.
    pub minutes: f64,
    /// The shortest time between two fires of the job's schedule.
    pub period: Option<Duration>,
    /// Sentences that a person should read.
    pub warnings: Vec<String>,
}

/// Runs jobs of one config against one state database.
#[derive(Clone)]
pub struct Runner {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<Config>,
    store: Arc<Store>,
    options: RunnerOptions,
    locks: Locks,
    handles: Mutex<HashMap<String, Arc<Handle>>>,
    accounts: Mutex<HashMap<String, crate::http::Account>>,
    /// How many requests of each account stand in the state database, by account key.
    counted: Mutex<HashMap<String, u64>>,
}

impl Runner {
    /// Makes a runner. Secrets are fetched and accounts set up when a job needs them.
    pub fn new(config: Arc<Config>, store: Arc<Store>, options: RunnerOptions) -> Runner {
        let locks = store.locks().clone();
        Runner {
            inner: Arc::new(Inner {
                config,
                store,
                options,
                locks,
                handles: Mutex::default(),
                accounts: Mutex::default(),
                counted: Mutex::default(),
            }),
        }
    }

    /// Returns the config.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Returns the state database.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Returns the time of day.
    pub fn now(&self) -> Timestamp {
        (self.inner.options.clock)()
    }

    /// Finds a job.
    pub fn job(&self, name: &str) -> Result<&JobConfig, RunError> {
        self.inner
            .config
            .jobs
            .get(name)
            .ok_or_else(|| RunError::UnknownJob {
                name: name.to_owned(),
                hint: self
                    .inner
                    .config
                    .jobs
                    .keys()
                    .map(|known| (strsim::damerau_levenshtein(known, name), known))
                    .filter(|(distance, known)| *distance * 2 <= known.len().max(2))
                    .min()
                    .map(|(_, known)| known.clone()),
            })
    }

    /// Reads both sides and makes the plan; writes to no provider.
    pub async fn plan(&self, job: &str) -> Result<Planned, RunError> {
        let job = self.job(job)?;
        let _held = self.hold(job, Access::Read).await?;
        self.refuse_one_account(job)?;
        let mut prepared = self.unless_stopped(self.prepare(job, true, false)).await?;
        if let Some(refusal) = prepared.planned.plan.refusals.first() {
            let items = &prepared.planned.plan.tripped;
            let id =
                self.inner
                    .store
                    .offer_approval(&job.name, &refusal.approval, items, self.now())?;
            rename_approval(&mut prepared.planned.plan.refusals, &id);
        }
        self.inner.options.progress.finish(&job.name);
        Ok(prepared.planned)
    }

    /// Makes one unattended run: read, plan, guard, apply, verify.
    ///
    /// # Errors
    /// What keeps the run from being made at all. A run that was made and ended badly is a report.
    pub async fn sync(&self, job: &str, options: SyncOptions) -> Result<RunReport, RunError> {
        Box::pin(self.run(job, &options, None)).await
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
            trigger: "apply",
        };
        if saved.empty {
            return self.nothing_to_apply(saved);
        }
        Box::pin(self.run(&saved.job, &options, Some(saved))).await
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
        saved: Option<&SavedPlan>,
    ) -> Result<RunReport, RunError> {
        let job = self.job(name)?;
        self.refuse_used(saved)?;
        let _held = self.hold(job, Access::Write).await?;
        self.refuse_one_account(job)?;
        // Whoever was waited for may have applied it.
        self.refuse_used(saved)?;
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
        let result = Box::pin(self.run_started(job, &id, started, options, saved)).await;
        self.inner.options.progress.finish(&job.name);
        self.prune_daily();
        match result {
            Ok(report) => Ok(report),
            Err(error) => {
                let outcome = match error.exit_code() {
                    3 => Outcome::Refused,
                    _ => Outcome::Failed,
                };
                let end = RunEnd {
                    finished: self.now(),
                    outcome,
                    exit_code: error.exit_code(),
                    wrote: false,
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

    /// Reads until it is done or the run is asked to stop: also where somebody else's import is
    /// waited for, which can take half an hour. A request that only reads may be dropped.
    async fn unless_stopped<T>(
        &self,
        reading: impl Future<Output = Result<T, RunError>>,
    ) -> Result<T, RunError> {
        tokio::select! {
            biased;
            read = Box::pin(reading) => read,
            () = self.inner.options.stop.cancelled() => Err(RunError::Stopped),
        }
    }

    /// Refuses a saved plan that was applied before.
    fn refuse_used(&self, saved: Option<&SavedPlan>) -> Result<(), RunError> {
        let Some(saved) = saved else { return Ok(()) };
        match self.inner.store.plan_used(&saved.fingerprint)? {
            None => Ok(()),
            Some(used) => Err(RunError::PlanMoved(format!(
                "this plan was applied at {}; a plan is used once: make a new one with `rosterd plan {} --out FILE`",
                used.strftime("%Y-%m-%d %H:%M:%SZ"),
                saved.job
            ))),
        }
    }

    async fn run_started(
        &self,
        job: &JobConfig,
        id: &str,
        started: Timestamp,
        options: &SyncOptions,
        saved: Option<&SavedPlan>,
    ) -> Result<RunReport, RunError> {
        let store = &self.inner.store;
        let mut prepared = self
            .unless_stopped(self.prepare(job, false, saved.is_some()))
            .await?;
        // A refusal of mail that was seen is remembered whatever becomes of the run.
        store.record(&prepared.consent_seen(job))?;
        store.record(&prepared.give_up_flags(job))?;
        store.record(&prepared.seen_again(job))?;
        if let Some(saved) = saved
            && saved.fingerprint != prepared.planned.plan.fingerprint
        {
            let moved = saved.basis.as_ref().map_or_else(
                || "what it touches has changed".to_owned(),
                |basis| basis.what_moved(&prepared.planned.plan.basis),
            );
            return Err(RunError::PlanMoved(format!(
                "the plan has moved since it was made, so nothing was written ({moved}); make a new one with `rosterd plan {} --out FILE`",
                job.name
            )));
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
                    let why = answer.map(|answer| approval_words(answer).to_owned());
                    return self.refused(job, id, started, &prepared, why);
                }
            }
        }
        Box::pin(self.carry_out(job, id, started, prepared, spends)).await
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
            trigger: "apply".to_owned(),
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
        };
        let end = RunEnd {
            finished: report.finished,
            outcome: report.outcome,
            exit_code: report.exit_code(),
            wrote: false,
            summary: report.summary_json(),
            error: None,
            measure: None,
            approved: None,
        };
        store.finish_run(&id, &end, &[])?;
        Ok(report)
    }

    fn refused(
        &self,
        job: &JobConfig,
        id: &str,
        started: Timestamp,
        prepared: &Prepared,
        why: Option<String>,
    ) -> Result<RunReport, RunError> {
        let report = RunReport {
            error: why,
            ..prepared.report(job, id, started, self.now(), Outcome::Refused)
        };
        let end = RunEnd {
            finished: report.finished,
            outcome: Outcome::Refused,
            exit_code: report.exit_code(),
            wrote: false,
            summary: report.summary_json(),
            error: Some(
                report
                    .refusals
                    .iter()
                    .map(|refusal| refusal.explanation.clone())
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
            measure: None,
            approved: None,
        };
        self.inner.store.finish_run(id, &end, &[])?;
        Ok(report)
    }
}

fn rename_approval(refusals: &mut [GuardRefusal], id: &str) {
    for refusal in refusals {
        id.clone_into(&mut refusal.approval);
    }
}

fn approval_words(answer: ApprovalAnswer) -> &'static str {
    match answer {
        ApprovalAnswer::Fits => "the approval fits",
        ApprovalAnswer::Unknown => "no refusal ever offered this approval, so the refusal stands",
        ApprovalAnswer::Used => "this approval has been used, so the refusal stands",
        ApprovalAnswer::Expired => "this approval is older than seven days, so the refusal stands",
        ApprovalAnswer::OtherJob => "this approval belongs to another job, so the refusal stands",
        ApprovalAnswer::NotASubset => {
            "the plan holds operations that this approval does not cover, so the refusal stands"
        }
    }
}

/// Names a run: the moment it began, to the microsecond, and the job.
fn run_id(job: &str, started: Timestamp) -> String {
    let print = blake3::hash(format!("{job} {}", started.as_nanosecond()).as_bytes()).to_hex();
    format!("{}-{}", started.strftime("%Y%m%dT%H%M%SZ"), &print[..6])
}

/// Turns a failure of the temporary store into one of the run.
fn staging_error(error: StateError) -> RunError {
    RunError::State(error)
}

#[cfg(test)]
mod tests;
