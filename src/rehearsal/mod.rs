//! A job as it would run: the engine itself, over copies of both real accounts.
//!
//! Both accounts are read, everything that each shows, and loaded under the same ids into an
//! [`emulator`](crate::emulator) inside the process. The state database is copied beside them, so
//! that links, bases, bars and own removals are as in truth. Then the job is run, with faults where
//! they are asked for, against nothing but the copies: the config is the real one, and leads into
//! the emulator. Time runs ahead there, so that a run which takes hours at a provider's pace is
//! rehearsed in the time that computing it takes, and says how long it would have taken.
//!
//! What is told afterwards is told by the emulator's own state and its log of requests, which the
//! engine has no part in.

mod acting;
mod copy;
mod difference;
mod mail;
mod stage;
mod verdict;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::time::Instant;

pub use acting::{Migrating, Refused};
pub use copy::Copied;
pub use mail::{Breach, GroupMail, Mail};
pub use verdict::Verdict;
pub(crate) use verdict::meaning;

use crate::config::Config;
use crate::config::settled::JobConfig;
use crate::emulator::{Emulator, FaultRule, World};
use crate::model::{Gaps, ProviderKind};
use crate::plan::Summary;
use crate::run::{BothAccounts, RunError, RunReport, Runner, RunnerOptions, SecondsEach};
use crate::state::Store;
use acting::{Actor, Foreseen};
use mail::{Mailed, Refusers};
use stage::{Stage, ahead_of_time, clock_from};

/// So many runs are made to finish what faults have left.
pub const MOST_RUNS: usize = 6;

/// How long lies between two rehearsed runs: what was refused rests for a quarter of an hour first,
/// and longer the second time.
const BETWEEN: Duration = Duration::from_hours(2);

/// How a rehearsal is asked for.
#[derive(Clone, Debug, Default)]
pub struct RehearseOptions {
    /// The faults that are in force during the first run.
    pub faults: Vec<FaultRule>,
    /// An approval that a guard has offered, as the real run would be given it.
    pub approve: Option<String>,
    /// The migration that is rehearsed; without it the job runs as `sync` does it.
    pub migration: Option<Migrating>,
}

/// What a rehearsal came to.
#[derive(Debug)]
pub struct Rehearsed {
    /// The job.
    pub job: String,
    /// The command that is rehearsed.
    pub command: String,
    /// Whether that is a migration.
    pub is_migration: bool,
    /// What a guard refuses, and the run would have ended with; all runs are as if it were approved.
    pub refused: Option<Refused>,
    /// The source's and the target's configured names.
    pub providers: [String; 2],
    /// What the target is.
    pub target_kind: ProviderKind,
    /// When the accounts were read.
    pub read_at: Timestamp,
    /// What came into the copies, the source first.
    pub copies: [Copied; 2],
    /// In which ways the copies show something else than the accounts did, each with the provider's
    /// name.
    pub differences: Vec<(String, String)>,
    /// The faults that were in force during the first run.
    pub faults: Vec<FaultRule>,
    /// How many requests met a fault.
    pub struck: u64,
    /// The runs in their order: the first, and those that finished what faults had left.
    pub runs: Vec<Ended>,
    /// The run after that, which should have had nothing to do; nothing where the job did not come
    /// to its end.
    pub again: Option<Ended>,
    /// What the accounts were sent, the source first.
    pub requests: [Requests; 2],
    /// How long the first run was to take, and how long it took.
    pub time: Time,
    /// Who is mailed.
    pub mail: Mail,
}

/// How a rehearsed run ended.
#[derive(Debug)]
pub enum Ended {
    /// A run was made.
    Report(Box<RunReport>),
    /// No run could be made.
    NoRun {
        /// Why, in one sentence.
        error: String,
        /// What the command would have ended with.
        exit_code: u8,
    },
}

/// Requests to one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Requests {
    /// The provider's configured name.
    pub provider: String,
    /// Reading ones that the plan predicts, reading back included.
    pub predicted_reads: u64,
    /// Writing ones that the plan predicts.
    pub predicted_writes: u64,
    /// Reading ones that the first run sent.
    pub reads: u64,
    /// Writing ones that it sent.
    pub writes: u64,
    /// All that the runs after it sent, to finish what faults had left.
    pub later: u64,
}

/// How long a run takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Time {
    /// What the plan predicts: each request at the configured pace, or as long as the account took
    /// to answer while it was read, where that is longer.
    pub predicted_seconds: u64,
    /// What the first run took in the copy: pace, pauses and waiting, with answers that take no
    /// time.
    pub copy_seconds: u64,
    /// What the answers add to that, where they take longer than the pace lets requests follow.
    pub answer_seconds: u64,
}

impl Time {
    /// What the run would have taken.
    pub fn seconds(self) -> u64 {
        self.copy_seconds + self.answer_seconds
    }
}

impl Ended {
    /// Returns what the command would have ended with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Ended::Report(report) => report.exit_code(),
            Ended::NoRun { exit_code, .. } => *exit_code,
        }
    }

    /// Returns the report, where a run was made.
    pub fn report(&self) -> Option<&RunReport> {
        match self {
            Ended::Report(report) => Some(report),
            Ended::NoRun { .. } => None,
        }
    }

    /// Tells whether nothing that another run could do is left.
    fn is_finished(&self) -> bool {
        match self {
            Ended::Report(report) => match report.exit_code() {
                0 => true,
                // What is blocked waits for a person, and what was refused for another try.
                4 => report.failures.is_empty() && report.error.is_none(),
                _ => false,
            },
            Ended::NoRun { .. } => false,
        }
    }

    /// Tells whether a guard stopped it.
    fn is_refused(&self) -> bool {
        self.exit_code() == 3
    }

    /// Tells whether a run was made that had nothing to do: one that was refused or failed did
    /// nothing either.
    pub fn did_nothing(&self) -> bool {
        let report = self.report();
        report.is_some_and(|report| {
            report.summary == Summary::default()
                && report.requests.values().sum::<u64>() == 0
                && matches!(report.exit_code(), 0 | 4)
        })
    }
}

impl Rehearsed {
    /// Returns the last of the runs that were to do the work.
    pub fn last(&self) -> &Ended {
        self.runs.last().expect("a rehearsal makes a run")
    }
}

/// Rehearses a job: reads both accounts, and writes to copies of them alone.
///
/// # Errors
/// When an account can't be read, the state database can't be copied, or nothing can be planned in
/// the copy. A rehearsed run that ended badly is a result.
pub async fn rehearse(
    runner: &Runner,
    job: &str,
    options: RehearseOptions,
) -> Result<Rehearsed, RunError> {
    // It goes with this function, also where that is dropped.
    let directory = tempfile::Builder::new()
        .prefix("rosterd-rehearsal-")
        .tempdir()
        .map_err(|error| {
            RunError::Setup(format!(
                "a rehearsal needs a directory for a copy of the state database: {error}"
            ))
        })?;
    let both = runner
        .copy_for_rehearsal(job, &directory.path().join(STATE))
        .await?;
    let outside = RunnerOptions {
        stop: runner.options().stop.child_token(),
        ..runner.options().clone()
    };
    let job = runner.job(job)?.clone();
    let config = runner.config().clone();
    let played = ahead_of_time(outside.stop.clone(), {
        let place = directory.path().to_owned();
        move || async move {
            let play = Play {
                job,
                options,
                place: &place,
                began: Timestamp::now(),
            };
            Box::pin(play.run(config, &both, &outside)).await
        }
    });
    let rehearsed = played.await;
    close(directory);
    rehearsed
}

/// The copy of the state database that the job is run over.
const STATE: &str = "run.db";
/// One more, which planning alone is done over: what it counts is not the run's.
const PLAN_STATE: &str = "plan.db";
/// An empty one, to look at the copies with.
const LOOK_STATE: &str = "look.db";

/// Removes a directory; one that can't be removed is said to be there, as it holds addresses.
fn close(directory: TempDir) {
    let path = directory.path().to_owned();
    if let Err(error) = directory.close() {
        tracing::warn!(path = %path.display(), error = %error, "The copy of a rehearsal could not be removed.");
    }
}

/// A rehearsal that is being played.
struct Play<'a> {
    job: JobConfig,
    options: RehearseOptions,
    place: &'a Path,
    began: Timestamp,
}

impl Play<'_> {
    async fn run(
        self,
        config: Config,
        both: &BothAccounts,
        outside: &RunnerOptions,
    ) -> Result<Rehearsed, RunError> {
        let (job, clock) = (&self.job, clock_from(self.began));
        let state = self.place.join(STATE);
        let (emulator, copies) = {
            let store = Store::open(&state, self.began)?;
            self.load(&config, both, &store)?
        };
        std::fs::copy(&state, self.place.join(PLAN_STATE)).map_err(|error| {
            RunError::Setup(format!(
                "the state database could not be copied for the rehearsal: {error}"
            ))
        })?;
        let sides = [&both.source, &both.target];
        let half_seen: Vec<&str> = sides
            .iter()
            .filter(|side| !side.sees_everything)
            .map(|side| side.provider.as_str())
            .collect();
        let gaps: BTreeMap<String, Gaps> = sides
            .iter()
            .map(|side| (side.provider.clone(), Gaps::of(&side.snapshot)))
            .collect();
        let stage = Stage::build(&config, &emulator, &half_seen, gaps, outside, clock);

        let mut differences = Vec::new();
        let look = stage.runner(&self.place.join(LOOK_STATE), "Looking at the copy")?;
        for side in sides {
            let found = match look.read_everything(&side.provider).await {
                Ok(seen) => difference::differences(side, &seen)?,
                Err(RunError::Stopped) => return Err(RunError::Stopped),
                Err(error) => vec![format!("the copy could not be looked at: {error}")],
            };
            differences.extend(found.into_iter().map(|what| (side.provider.clone(), what)));
        }
        let actor = |state, what| -> Result<Actor<'_>, RunError> {
            Ok(Actor {
                runner: stage.runner(&self.place.join(state), what)?,
                job: &job.name,
                migration: self.options.migration.as_ref(),
            })
        };
        let planner = actor(PLAN_STATE, "Planning in the copy")?;
        let foreseen = planner.foresee().await?;

        let is_mail = both.target.kind != ProviderKind::ActiveCampaignUsers;
        let (before, refusers) = emulator.with_world(|world| {
            let (source, target) = (world.account(&job.source), world.account(&job.target));
            (Mailed::by(target, is_mail), Refusers::of(source, target))
        });
        let actor = actor(STATE, "Running in the copy")?;
        let (refused, approve) = actor.approve(&foreseen, self.options.approve.as_deref())?;
        emulator.clear_log();
        for fault in &self.options.faults {
            emulator.add_fault(fault.clone());
        }
        let started = Instant::now();
        let mut runs = vec![actor.run(approve.as_deref()).await?];
        let copy_seconds = started.elapsed().as_secs_f64().ceil() as u64;
        let log = emulator.requests();
        let struck = log.iter().filter(|request| request.met_a_fault).count() as u64;
        let sent = |provider: &str, is_write: bool| {
            let sent = log.iter();
            let sent = sent.filter(|request| request.account == provider);
            sent.filter(|request| request.is_write == is_write).count() as u64
        };
        let mut requests = [&job.source, &job.target].map(|provider| Requests {
            provider: provider.clone(),
            reads: sent(provider, false),
            writes: sent(provider, true),
            ..predicted(provider, &foreseen)
        });
        // The provider is well again.
        emulator.clear_faults();
        emulator.clear_log();
        let is_open = |runs: &[Ended]| {
            let last = runs.last().expect("a run was made");
            !self.options.faults.is_empty() && !last.is_finished()
        };
        while is_open(&runs) && runs.len() < MOST_RUNS {
            tokio::time::sleep(BETWEEN).await;
            // What an approval let pass and faults have cut short has to be approved once more.
            runs.push(match refused {
                None => actor.run(None).await?,
                Some(_) => actor.run_approved().await?,
            });
            if runs.last().is_some_and(Ended::is_refused) {
                break;
            }
        }
        for requests in &mut requests {
            let later = emulator.requests();
            let later = later.iter();
            let later = later.filter(|request| request.account == requests.provider);
            requests.later = later.count() as u64;
        }
        // What is rehearsed is the job's own work, and not what comes after it.
        let links = actor.runner.store().links(&job.name)?;
        let after = emulator.with_world(|world| Mailed::by(world.account(&job.target), is_mail));
        let last = runs.last().expect("a run was made");
        let mut again = None;
        if matches!(last.exit_code(), 0 | 4) {
            tokio::time::sleep(BETWEEN).await;
            again = Some(actor.run(None).await?);
        }
        let time = time(&paces(&config, job), &foreseen, both, &requests);
        Ok(Rehearsed {
            job: job.name.clone(),
            command: actor.command(),
            is_migration: actor.migration.is_some(),
            refused,
            providers: [job.source.clone(), job.target.clone()],
            target_kind: both.target.kind,
            read_at: both.source.begun,
            copies,
            differences,
            struck,
            requests,
            time: Time {
                copy_seconds,
                ..time
            },
            mail: mail::compare(&before, &after, &refusers, &links, is_mail),
            faults: self.options.faults,
            runs,
            again,
        })
    }

    /// Loads both accounts into an emulator.
    fn load(
        &self,
        config: &Config,
        both: &BothAccounts,
        store: &Store,
    ) -> Result<(Emulator, [Copied; 2]), RunError> {
        let mut world = World::empty();
        world.clock.now = self.began;
        let mut copied = Vec::new();
        for (number, side, account) in [
            (1, &both.source, &self.job.source_account),
            (2, &both.target, &self.job.target_account),
        ] {
            let own = store.own_removals(account)?;
            let (mut account, told) = copy::copy(side, &own, number, self.began)?;
            let known = config.providers.get(&side.provider);
            if let Some(id) = known.and_then(|provider| provider.account_id.as_ref()) {
                account.number.clone_from(id);
            }
            world.add_account(account);
            copied.push(told);
        }
        let [source, target] = <[Copied; 2]>::try_from(copied).expect("there are two");
        Ok((Emulator::new(world), [source, target]))
    }
}

/// Says how long a run takes at the configured paces, and as the accounts answered.
fn time(
    paces: &[f64; 2],
    foreseen: &Foreseen,
    both: &BothAccounts,
    requests: &[Requests; 2],
) -> Time {
    let (mut predicted, mut answers) = (0.0, 0.0);
    for ((pace, each), requests) in paces.iter().zip(&both.answers).zip(requests) {
        let SecondsEach { read, write } = *each;
        predicted += requests.predicted_reads as f64 * read.max(*pace);
        predicted += requests.predicted_writes as f64 * write.max(*pace);
        answers += requests.reads as f64 * (read - pace).max(0.0);
        answers += requests.writes as f64 * (write - pace).max(0.0);
    }
    Time {
        predicted_seconds: predicted.ceil() as u64 + foreseen.waits,
        copy_seconds: 0,
        answer_seconds: answers.ceil() as u64,
    }
}

/// The seconds from one request to the next, at the source and at the target.
fn paces(config: &Config, job: &JobConfig) -> [f64; 2] {
    [&job.source, &job.target].map(|provider| {
        let pace = config.providers[provider].http.requests_per_minute;
        pace.map_or(0.0, |pace| 60.0 / f64::from(pace.max(1)))
    })
}

fn predicted(provider: &str, foreseen: &Foreseen) -> Requests {
    let of = |requests: &BTreeMap<String, u64>| requests.get(provider).copied().unwrap_or_default();
    Requests {
        predicted_reads: of(&foreseen.reads),
        predicted_writes: of(&foreseen.writes),
        ..Requests::default()
    }
}
