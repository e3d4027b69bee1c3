//! What the log says of the jobs: as much as a night shift needs, and nothing twice. No address is in
//! it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::decide::Start;
use crate::model::without_addresses;
use crate::plan::GuardRefusal;
use crate::program::ROSTERD;
use crate::report::{harmless, in_shell, opt_outs_wait, under_way_words};
use crate::run::{Outcome, RunError, RunReport};
use crate::state::{JobStatus, UnderWay};

/// How long a run goes on before the log says how far it has come.
const FIRST_LINE: Duration = Duration::from_mins(1);

/// How often the log says it from then on.
const EACH_LINE: Duration = Duration::from_mins(5);

/// How a job's last run ended, for saying what changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Well,
    Refused,
    Failing,
}

/// How a run ended.
pub(super) enum How {
    /// It was made, well or not.
    Report(Box<RunReport>),
    /// It was not made, or not to its end.
    Error(RunError),
    /// It broke off because of a defect.
    Defect,
}

impl How {
    /// Returns the outcome of the history's words.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            How::Report(report) => report.outcome,
            How::Error(RunError::Stopped) => Outcome::Interrupted,
            How::Error(RunError::Busy(_)) => Outcome::Busy,
            How::Error(_) | How::Defect => Outcome::Failed,
        }
    }

    /// Says why it did not go through.
    fn why(&self) -> String {
        let why = match self {
            How::Report(report) => report.error.clone().unwrap_or_default(),
            How::Error(RunError::Busy(why)) => why.clone(),
            How::Error(error) => error.to_string(),
            How::Defect => "the run broke off because of a defect in rosterd".to_owned(),
        };
        without_addresses(&why)
    }
}

/// What was said of one job.
struct Said {
    mood: Mood,
    /// The approval of the last refusal.
    approval: String,
    /// How many items wait for a person.
    waiting: usize,
    /// When the log says how far the run has come.
    next_line: Instant,
    /// How many fires the run has skipped.
    skipped: u64,
}

/// What was said of each job.
#[derive(Default)]
pub(super) struct Told {
    jobs: BTreeMap<String, Said>,
}

impl Told {
    /// Remembers how a job has fared before the service began.
    pub(super) fn remember(&mut self, job: &str, status: &JobStatus) {
        let last = status.last_run.as_ref().and_then(|run| run.outcome);
        self.of(job).mood = match last {
            Some(crate::state::Outcome::Refused) => Mood::Refused,
            _ if status.consecutive_failures > 0 => Mood::Failing,
            _ => Mood::Well,
        };
    }

    /// Forgets the jobs that are gone.
    pub(super) fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.jobs.retain(|job, _| is_known(job));
    }

    /// Returns the mood of a job.
    pub(super) fn mood(&self, job: &str) -> Mood {
        self.jobs.get(job).map(|said| said.mood).unwrap_or_default()
    }

    fn of(&mut self, job: &str) -> &mut Said {
        self.jobs.entry(job.to_owned()).or_insert_with(|| Said {
            mood: Mood::Well,
            approval: String::new(),
            waiting: 0,
            next_line: Instant::now(),
            skipped: 0,
        })
    }

    /// Says that a run begins that somebody asked for.
    pub(super) fn begins_by_hand(&mut self, job: &str) {
        let said = self.of(job);
        (said.next_line, said.skipped) = (Instant::now() + FIRST_LINE, 0);
        tracing::info!(job, "A run begins that was asked for.");
    }

    /// A run begins, of a job that has failed so often in a row.
    pub(super) fn begins(&mut self, start: &Start, failures: u32) {
        let said = self.of(&start.job);
        (said.next_line, said.skipped) = (Instant::now() + FIRST_LINE, 0);
        let (job, missed) = (&start.job, start.covers.saturating_sub(1));
        match start.covers {
            0 => tracing::info!(
                job,
                "A run begins: it tries again what found the job or an account in use."
            ),
            _ if failures > 1 => tracing::info!(
                job,
                failures,
                rested_over = missed,
                "A run begins after a rest because of the failures before it."
            ),
            fires if start.catches_up => {
                tracing::info!(
                    job,
                    missed = fires,
                    "A run begins and makes up for what was missed."
                );
            }
            _ => tracing::info!(job, "A run begins."),
        }
    }

    /// A run was still going on when the next one was due.
    pub(super) fn skips(&mut self, job: &str, skipped: u64, next: &str) {
        let said = self.of(job);
        said.skipped += 1;
        // A run of hours on a schedule of minutes does not fill the log.
        let words = "The last run is still going on, so this one is skipped.";
        if said.skipped.is_power_of_two() {
            tracing::warn!(job, skipped, next, "{words}");
        } else {
            tracing::debug!(job, skipped, next, "{words}");
        }
    }

    /// A run goes on; `far` finds out how far it has come.
    pub(super) fn goes_on(
        &mut self,
        job: &str,
        now: Timestamp,
        far: impl FnOnce() -> Option<UnderWay>,
    ) {
        let said = self.of(job);
        if Instant::now() < said.next_line {
            return;
        }
        said.next_line = Instant::now() + EACH_LINE;
        if let Some(far) = far() {
            tracing::info!(
                job,
                run = far.run,
                progress = under_way_words(&far, now),
                "A run goes on."
            );
        } else {
            tracing::info!(
                job,
                "A run waits until others have ended that use the same accounts."
            );
        }
    }

    /// A run has ended, of a job that has failed so often in a row by now and starts next at a time.
    pub(super) fn ended(&mut self, job: &str, how: &How, failures: u32, next: &str) {
        if let How::Report(report) = how {
            tell_counts(job, report, next);
        }
        let said = self.of(job);
        let error = how.why();
        match how.outcome() {
            Outcome::Done | Outcome::Partial => {
                if said.mood != Mood::Well {
                    tracing::info!(job, next, "The job is well again.");
                }
                said.mood = Mood::Well;
            }
            Outcome::Refused => {
                if let How::Report(report) = how {
                    said.refused(job, report, next);
                }
                said.mood = Mood::Refused;
            }
            Outcome::Failed => {
                tracing::error!(
                    job,
                    failures,
                    error,
                    next,
                    "A run failed; the job slows down until one succeeds."
                );
                said.mood = Mood::Failing;
            }
            Outcome::Busy => tracing::warn!(
                job,
                error,
                next,
                "The job or an account is in use, so the run is tried again in a minute."
            ),
            Outcome::Interrupted => {
                tracing::info!(job, "A run was stopped; the next one goes on from there.");
            }
        }
        if let How::Report(report) = how
            && matches!(report.outcome, Outcome::Done | Outcome::Partial)
        {
            said.waits(job, report);
        }
    }
}

impl Said {
    /// Names the guards and the command that lets the plan pass, once for each plan.
    fn refused(&mut self, job: &str, report: &RunReport, next: &str) {
        let approval = report
            .refusals
            .first()
            .map_or("", |refusal| refusal.approval.as_str());
        let name = in_shell(job);
        let approve = format!("{ROSTERD} sync {name} --approve {approval}");
        if self.mood == Mood::Refused && self.approval == approval {
            tracing::info!(
                job,
                approve,
                next,
                "The plan is still refused, and waits for an approval."
            );
            return;
        }
        approval.clone_into(&mut self.approval);
        let waiting = opt_outs_wait(report.waiting_opt_outs)
            .map_or_else(|| "A".to_owned(), |waiting| format!("{waiting}: a"));
        tracing::warn!(
            job,
            guards = %Guards(&report.refusals),
            look = format!("{ROSTERD} plan {name}"),
            approve,
            next,
            "{waiting} guard refused the plan, so nothing was written; the job looks again at each fire and waits for an approval or for the cause to go."
        );
    }

    /// Says that items wait for a person, where others do than after the last run.
    fn waits(&mut self, job: &str, report: &RunReport) {
        let open = |item: &str| !report.accepted.contains(item);
        let blocked = report
            .blocked
            .iter()
            .filter(|item| open(&item.item()))
            .count();
        let refused = report
            .failures
            .iter()
            .filter(|failure| open(&failure.item()))
            .count();
        let waiting = blocked + refused;
        if waiting > 0 && waiting != self.waiting {
            let list = format!("{ROSTERD} failures {}", in_shell(job));
            tracing::warn!(job, blocked, refused, list, "Items wait for a person.");
        }
        self.waiting = waiting;
    }
}

/// The guards that refused, with their figures and no name of anybody.
struct Guards<'a>(&'a [GuardRefusal]);

impl fmt::Display for Guards<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, refusal) in self.0.iter().enumerate() {
            let GuardRefusal {
                guard,
                value,
                of,
                limit,
                ..
            } = refusal;
            let comma = if at == 0 { "" } else { ", " };
            write!(
                f,
                "{comma}{guard} ({value} of {of}, limit {})",
                harmless(limit)
            )?;
        }
        Ok(())
    }
}

/// Logs what a run did, in counts.
fn tell_counts(job: &str, report: &RunReport, next: &str) {
    let summary = &report.summary;
    tracing::info!(
        job,
        run = report.run,
        outcome = report.outcome.as_str(),
        memberships_added = summary.memberships_added,
        memberships_removed = summary.memberships_removed,
        members_created = summary.members_created,
        opt_outs = summary.opt_outs,
        withheld = report.withheld,
        blocked = report.blocked.len(),
        failures = report.failures.len(),
        requests = report.requests.values().sum::<u64>(),
        seconds = report.finished.duration_since(report.started).as_secs(),
        next,
        "A run has ended."
    );
}
