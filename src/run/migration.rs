//! The one-shot migration: looked at first, asked for, carried out, and read once more.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::accounts::{Access, Runner, unless_stopped};
use super::error::RunError;
use super::prepare::{Asks, Assessed, Estimate, Planned};
use super::read::Everything;
use super::record::{Outcome, RunReport};
use super::{Asked, SyncOptions};
use crate::config::settled::JobConfig;
use crate::plan::{Blocked, Summary};

/// What a person sees before a migration, and is asked.
pub trait Confirm: Send + Sync {
    /// Is shown what would be done, whether a guard refuses it or not.
    fn show(&self, planned: &Planned, assessed: &Assessed, estimate: &Estimate);

    /// Tells whether a person will be asked, and not a script that has said yes to everything.
    fn is_asked(&self) -> bool;

    /// Returns what is typed to make the migration, and to go on with it.
    fn command(&self) -> String;

    /// Tells whether both accounts are to be copied before the question.
    fn wants_copies(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }

    /// Keeps a copy of an account; an error ends the migration before anything is written.
    ///
    /// # Errors
    /// Why it could not be kept, as the end of a sentence.
    fn keep(&self, account: &Everything) -> Result<KeptCopy, String> {
        Err(format!("nobody keeps a copy of {}", account.provider))
    }

    /// Asks whether to go on.
    fn ask(&self) -> BoxFuture<'_, bool>;
}

/// A copy of an account that was kept before the first write.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeptCopy {
    /// The provider's configured name.
    pub provider: String,
    /// Where it is.
    pub place: String,
    /// Whether everything was read to its end.
    pub complete: bool,
}

/// What a migration knows beside what every run does.
#[derive(Clone, Debug)]
pub struct Migration {
    /// What is typed to go on with it.
    pub command: String,
    /// The source's and the target's configured names.
    pub providers: (String, String),
    /// Both sides before it.
    pub before: Assessed,
    /// What it was to take.
    pub estimate: Estimate,
    /// What was planned.
    pub planned: Summary,
    /// The copies of both accounts that were made before the question.
    pub copies: Vec<KeptCopy>,
    /// Requests of both accounts that were sent before the answer.
    pub asked_after: u64,
    /// When the answer came, or when everything was read where nothing had to be asked.
    pub began: Timestamp,
    /// When all was done, the last reading included.
    pub ended: Timestamp,
    /// Both sides after it, as they were read once more; why not, where they could not be. Nothing
    /// where the run did not come that far.
    pub verified: Option<Result<Verified, String>>,
}

/// Both sides after a migration.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Both sides, counted.
    pub after: Assessed,
    /// What a next run would do; nothing after a clean migration.
    pub left: Summary,
    /// How many operations that are.
    pub operations: usize,
    /// How much could not be read to its end: groups, lists of groups, what holds for a whole account.
    pub not_whole: usize,
}

impl Verified {
    /// Tells whether everything was read to its end, and nothing is left to do.
    pub fn is_whole(&self) -> bool {
        self.operations == 0 && self.not_whole == 0
    }
}

impl Runner {
    /// Reads both sides and says what a migration would come to, of which a person is asked or not;
    /// writes to no provider.
    pub async fn assess(
        &self,
        job: &str,
        is_asked: bool,
    ) -> Result<(Planned, Assessed, Estimate), RunError> {
        let job = self.job(job)?;
        let _held = self.hold(job, Access::Read).await?;
        self.refuse_one_account(job)?;
        let stop = &self.inner.options.stop;
        let mut prepared =
            unless_stopped(stop, self.prepare(job, Asks::migration(is_asked))).await?;
        self.offer_approval(job, &mut prepared.planned.plan)?;
        let (assessed, estimate) = (prepared.assessed(), self.estimate(&prepared)?);
        self.inner.options.progress.finish(&job.name);
        Ok((prepared.planned, assessed, estimate))
    }

    /// Makes the one-shot migration: as a run does it, but shown and asked for first, and verified by
    /// reading both sides once more.
    ///
    /// The accounts are held from the first reading to the last, while the question waits for its
    /// answer as well: what was shown is what is done, and whoever refuses meanwhile is left out as
    /// in any run that takes long.
    pub async fn migrate(
        &self,
        job: &str,
        approve: Option<&str>,
        confirm: &dyn Confirm,
    ) -> Result<RunReport, RunError> {
        let options = SyncOptions {
            approve: approve.map(str::to_owned),
            trigger: "migrate",
            unless_paused: false,
        };
        Box::pin(self.run(job, &options, Asked::Migrate(confirm))).await
    }

    /// Copies both accounts, everything that each shows, before anything is written. The accounts are
    /// held meanwhile, so that what is copied is what is changed afterwards.
    pub(super) async fn copy_first(
        &self,
        job: &JobConfig,
        confirm: &dyn Confirm,
        reads: &mut BTreeMap<String, u64>,
    ) -> Result<Vec<KeptCopy>, RunError> {
        let (stop, progress) = (&self.inner.options.stop, &self.inner.options.progress);
        let mut copies = Vec::new();
        for provider in [&job.source, &job.target] {
            let handle = self.handle(provider)?;
            let read = unless_stopped(stop, self.everything(&handle)).await;
            progress.finish(provider);
            let account = read?;
            *reads.entry(provider.clone()).or_default() += account.requests;
            let kept = confirm.keep(&account);
            copies.push(kept.map_err(|why| {
                RunError::Copy(format!(
                    "\"{provider}\" could not be copied before the migration: {why}; nothing was written to either account"
                ))
            })?);
        }
        Ok(copies)
    }

    /// Reads both sides once more and says what is left.
    pub(super) async fn verify(
        &self,
        job: &JobConfig,
        report: &mut RunReport,
    ) -> Result<(), RunError> {
        let (stop, progress) = (&self.inner.options.stop, &self.inner.options.progress);
        progress.stage(&job.name, "Reading both sides once more");
        let asks = Asks::migration(true);
        let read = match unless_stopped(stop, self.prepare(job, asks)).await {
            Ok(mut prepared) => self.remember_seen(job, &mut prepared).map(|()| prepared),
            Err(error) => Err(error),
        };
        report.finished = self.now();
        let verified = match read {
            Ok(prepared) => {
                for (provider, reads) in &prepared.sides.reads {
                    *report.reads.entry(provider.clone()).or_default() += reads;
                }
                let plan = &prepared.planned.plan;
                // What shows only now needs a person as well.
                let known: BTreeSet<String> = report.blocked.iter().map(Blocked::item).collect();
                let new = plan.blocked.iter();
                let new = new.filter(|blocked| !known.contains(&blocked.item()));
                report.blocked.extend(new.cloned());
                let after = prepared.assessed();
                let sides = [&prepared.sides.source, &prepared.sides.target];
                let accounts = sides.iter().map(|side| {
                    usize::from(side.groups.complete().is_none())
                        + usize::from(side.account_state.complete().is_none())
                });
                let verified = Verified {
                    left: plan.summary.clone(),
                    operations: plan.operations.len(),
                    not_whole: after.not_whole() + accounts.sum::<usize>(),
                    after,
                };
                if report.outcome == Outcome::Done
                    && (!verified.is_whole() || report.waiting().0 > 0)
                {
                    report.outcome = Outcome::Partial;
                }
                Ok(verified)
            }
            Err(error) => {
                report.outcome = match error {
                    RunError::Stopped => Outcome::Interrupted,
                    _ => Outcome::Failed,
                };
                let why = error.to_string();
                report.error = Some(format!(
                    "what was written stands, and reading both sides once more failed: {why}"
                ));
                Err(why)
            }
        };
        if let Some(migration) = &mut report.migration {
            migration.verified = Some(verified);
            migration.ended = report.finished;
        }
        let (error, open) = (report.error.as_deref(), report.waiting().0 as u64);
        self.store()
            .amend_run(&report.run, report.finished, report.outcome, error, open)?;
        Ok(())
    }
}
