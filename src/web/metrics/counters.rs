//! What is counted as it happens: how runs ended, what they did, and what providers were sent.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::Statistics;
use crate::run::{Outcome, RunError, RunReport, Runner};

/// What runs of one job came to since the service began.
#[derive(Clone, Debug, Default)]
pub(super) struct RunCounts {
    /// By the place of the outcome in [`OUTCOMES`].
    pub(super) outcomes: [u64; 6],
    pub(super) seconds: f64,
    /// What was done, by operation, with what the provider refused as `failed`.
    pub(super) items: BTreeMap<&'static str, u64>,
}

/// The outcomes, each of which is counted from the start, so that the first one that is bad shows.
pub(super) const OUTCOMES: [Outcome; 6] = [
    Outcome::Done,
    Outcome::Partial,
    Outcome::Refused,
    Outcome::Failed,
    Outcome::Busy,
    Outcome::Interrupted,
];

/// The operations of which items are counted, in the words of the plan, and those that failed.
pub(super) const OPERATIONS: [&str; 12] = [
    "create_group",
    "update_group",
    "adopt_group",
    "archive_group",
    "delete_group",
    "create_members",
    "update_member",
    "add_memberships",
    "remove_memberships",
    "set_opt_out",
    "withheld",
    "failed",
];

/// What is known of one provider's account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) sent: Statistics,
    pub(super) paused: Duration,
}

/// The counters of a service.
#[derive(Default)]
pub(crate) struct Counters {
    runs: Mutex<BTreeMap<String, RunCounts>>,
    traffic: Mutex<Accounts>,
}

/// The accounts of every runner that still makes a run, and what was sent by those that do not.
#[derive(Default)]
struct Accounts {
    before: BTreeMap<String, Statistics>,
    runners: Vec<Runner>,
}

impl Counters {
    /// Takes down how a run of a job ended; nothing stands for one that broke off.
    pub(crate) fn count(&self, job: &str, result: Option<&Result<RunReport, RunError>>) {
        let outcome = match result {
            Some(Ok(report)) => return self.count_report(report),
            Some(Err(RunError::Stopped)) => Outcome::Interrupted,
            Some(Err(RunError::Busy(_))) => Outcome::Busy,
            Some(Err(_)) | None => Outcome::Failed,
        };
        let mut runs = lock(&self.runs);
        runs.entry(job.to_owned()).or_default().count(outcome);
    }

    fn count_report(&self, report: &RunReport) {
        let summary = &report.summary;
        let items = [
            ("create_group", summary.groups_created),
            ("update_group", summary.groups_updated),
            ("adopt_group", summary.groups_adopted),
            ("archive_group", summary.groups_archived),
            ("delete_group", summary.groups_deleted),
            ("create_members", summary.members_created),
            ("update_member", summary.members_updated),
            ("add_memberships", summary.memberships_added),
            ("remove_memberships", summary.memberships_removed),
            ("set_opt_out", summary.opt_outs),
            ("withheld", report.withheld),
            ("failed", report.failures.len() as u64),
        ];
        let took = report.finished.duration_since(report.started);
        let mut runs = lock(&self.runs);
        let counts = runs.entry(report.job.clone()).or_default();
        counts.seconds += took.as_secs_f64().max(0.0);
        for (operation, number) in items {
            *counts.items.entry(operation).or_default() += number;
        }
        counts.count(report.outcome);
    }

    /// Watches the accounts of a runner from now on.
    pub(crate) fn watch(&self, runner: &Runner) {
        lock(&self.traffic).runners.push(runner.clone());
    }

    /// Returns the counts of a job.
    pub(super) fn runs(&self, job: &str) -> RunCounts {
        lock(&self.runs).get(job).cloned().unwrap_or_default()
    }

    /// Returns what each provider was sent.
    pub(super) fn traffic(&self) -> BTreeMap<String, Traffic> {
        let mut accounts = lock(&self.traffic);
        let Accounts { before, runners } = &mut *accounts;
        // The newest is the service's own. An older one is given up once its last run has ended.
        let newest = runners.len().saturating_sub(1);
        let mut at = 0;
        runners.retain(|runner| {
            let is_needed = at == newest || runner.is_shared();
            at += 1;
            if !is_needed {
                for (provider, (sent, _)) in runner.traffic() {
                    add(before.entry(provider).or_default(), sent);
                }
            }
            is_needed
        });
        let mut traffic: BTreeMap<String, Traffic> = BTreeMap::new();
        for (provider, sent) in before.iter() {
            traffic.entry(provider.clone()).or_default().sent = *sent;
        }
        for runner in runners.iter() {
            for (provider, (sent, paused)) in runner.traffic() {
                let known = traffic.entry(provider).or_default();
                add(&mut known.sent, sent);
                known.paused = known.paused.max(paused);
            }
        }
        traffic
    }
}

impl RunCounts {
    fn count(&mut self, outcome: Outcome) {
        for (number, known) in self.outcomes.iter_mut().zip(OUTCOMES) {
            *number += u64::from(known == outcome);
        }
    }
}

fn add(to: &mut Statistics, more: Statistics) {
    to.reads += more.reads;
    to.writes += more.writes;
    to.retries += more.retries;
    to.throttled += more.throttled;
    to.answered += more.answered;
    to.refused += more.refused;
    to.lost += more.lost;
    to.bytes += more.bytes;
    to.read_millis += more.read_millis;
    to.write_millis += more.write_millis;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
