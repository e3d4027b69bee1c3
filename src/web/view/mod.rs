//! What there is to see of a service: jobs, runs, items, refusals, failures, groups and figures over
//! time, gathered from the config and the state database.
//!
//! Everything is a plain value that serialises; the keys are those that the commands print. Nothing here
//! asks a provider, writes, or reads a clock. Commands, pages and the interface for programs gather what
//! they show here, so that all of them say the same.

mod failures;
mod groups;
mod items;
mod jobs;
mod refusal;
mod runs;
mod series;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;
use crate::report::{ChannelRow, FORMAT_VERSION, JobRow, Life, ServiceRow, StatusRow, counted};
use crate::state::{StateError, Store};

pub use failures::{Failures, remembered_failures};
pub use groups::{Groups, links};
pub use items::{ItemQuery, ItemsOfRun, KindCount, RunItems, open_items};
pub use jobs::{job_rows, life, service_status};
pub use refusal::{Refusal, RefusedGuard};
pub use runs::{RunView, Runs};
pub use series::{GroupLine, MembersOverTime, RunFigures, RunsOverTime, Size};

/// From where everything is gathered.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The config by which the service runs.
    pub config: &'a Config,
    /// The state database; nothing before a first run has made it.
    pub store: Option<&'a Store>,
    /// The time of day.
    pub now: Timestamp,
}

/// How one job fares, with what it is.
#[derive(Clone, Debug, Serialize)]
pub struct JobView {
    /// What `status` says of it.
    #[serde(flatten)]
    pub status: StatusRow,
    /// The provider that it reads.
    pub source: String,
    /// The provider that it writes to.
    pub target: String,
    /// What it may change: `add`, `managed` or `mirror`.
    pub mode: &'static str,
    /// The zone of its schedule.
    pub time_zone: Option<String>,
    /// Whether its next start is later than its schedule says, because its last runs failed.
    pub slowed: bool,
    /// What its last run did, in words; nothing where there was no run or it did nothing.
    pub did: Option<String>,
    /// How many opt-outs wait behind the refusal that stands.
    pub waiting_opt_outs: u64,
}

/// The service and its jobs.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// The version of the format.
    pub version: u32,
    /// Whether something waits for a person.
    pub needs_a_person: bool,
    /// Whether the service is alive.
    pub service: ServiceRow,
    /// What is wrong with the config that the service did not take on.
    pub wrong_config: Option<String>,
    /// The ways by which people are told.
    pub channels: Vec<ChannelRow>,
    /// The jobs, by name.
    pub jobs: Vec<JobView>,
}

/// What everybody may see: numbers, and no name of anything.
#[derive(Clone, Debug, Serialize)]
pub struct Counts {
    /// The version of the format.
    pub version: u32,
    /// Whether something waits for a person.
    pub needs_a_person: bool,
    /// Whether the service is `alive`, `stopped`, `silent`, or `never` was there.
    pub service: &'static str,
    /// How many jobs the config has.
    pub jobs: u64,
    /// How many of them are in each state; those without any are left out.
    pub states: BTreeMap<&'static str, u64>,
    /// Runs that are under way, in whichever process.
    pub running: u64,
    /// Items that wait for a person.
    pub open: u64,
    /// Items that a person has accepted.
    pub accepted: u64,
    /// Refused plans that wait for an approval.
    pub refusals: u64,
    /// How many opt-outs wait behind them.
    pub waiting_opt_outs: u64,
}

impl View<'_> {
    /// Gathers the service and its jobs.
    pub fn overview(&self) -> Result<Overview, StateError> {
        let status = service_status(self.config, self.store, self.now)?;
        let life = status.life;
        let jobs = status.jobs.iter().map(|row| self.job_view(row, life));
        Ok(Overview {
            version: FORMAT_VERSION,
            needs_a_person: status.needs_a_person(),
            service: ServiceRow::of(life),
            channels: status.channels.iter().map(ChannelRow::of).collect(),
            jobs: jobs.collect(),
            wrong_config: status.wrong_config,
        })
    }

    /// Gathers one job; nothing where the config has none of that name.
    pub fn job(&self, name: &str) -> Result<Option<JobView>, StateError> {
        let Some(job) = self.config.jobs.get(name) else {
            return Ok(None);
        };
        let life = life(self.store, self.now)?;
        let row = jobs::job_row(self.config, job, self.store, self.now, 1)?;
        Ok(Some(self.job_view(&row, life)))
    }

    fn job_view(&self, row: &JobRow, life: Life) -> JobView {
        let job = &self.config.jobs[&row.job];
        let last = row.last_run.as_ref();
        let did = last.filter(|run| run.finished.is_some()).map(counted);
        let zone = job.schedule.as_ref().map(|_| &row.zone);
        JobView {
            status: StatusRow::of(row, life, self.now),
            source: job.source.clone(),
            target: job.target.clone(),
            mode: job.mode.as_str(),
            time_zone: zone.map(|zone| zone.iana_name().unwrap_or("UTC").to_owned()),
            slowed: row.failures > 0 && job.schedule.is_some(),
            did: did.filter(|words| words != "-"),
            waiting_opt_outs: row
                .refused
                .as_ref()
                .map_or(0, crate::state::RunRecord::waiting_opt_outs),
        }
    }

    /// Gathers what everybody may see.
    pub fn counts(&self) -> Result<Counts, StateError> {
        Ok(Counts::of(&self.overview()?))
    }
}

impl Counts {
    /// Counts what an overview names.
    pub fn of(overview: &Overview) -> Counts {
        let jobs = overview.jobs.iter();
        let sum = |number: fn(&JobView) -> u64| overview.jobs.iter().map(number).sum();
        let mut states = BTreeMap::new();
        for job in jobs {
            *states.entry(job.status.state).or_default() += 1;
        }
        Counts {
            version: FORMAT_VERSION,
            needs_a_person: overview.needs_a_person,
            service: overview.service.state,
            jobs: overview.jobs.len() as u64,
            states,
            running: sum(|job| u64::from(job.status.state == "running")),
            open: sum(|job| job.status.open),
            accepted: sum(|job| job.status.accepted),
            refusals: sum(|job| u64::from(job.status.approval.is_some())),
            waiting_opt_outs: sum(|job| job.waiting_opt_outs),
        }
    }
}
