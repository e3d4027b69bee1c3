//! Predicts what reading takes, from the lists of groups alone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::again::is_read_together;
use super::groups::{certain, unmatched};
use crate::config::settled::JobConfig;
use crate::model::{Group, GroupRow, Load, Takes};
use crate::plan::in_scope;
use crate::provider;
use crate::run::accounts::{Handle, Runner};
use crate::run::error::RunError;

/// How many requests and minutes a run takes, before anything is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Reading requests, by provider.
    pub reads: BTreeMap<String, u64>,
    /// Minutes that they take: at the configured pace, or as long as the accounts took to answer so
    /// far where that is longer.
    pub minutes: f64,
    /// What a first run takes beside the reading, where the job has had none.
    pub first: Option<FirstRun>,
    /// Sentences that a person should read.
    pub warnings: Vec<String>,
    /// The shortest time between two fires of the job's schedule.
    pub period: Option<Duration>,
}

/// What a first run takes beside the reading: at most about so much, since who is there already and
/// who is left behind shows only once everybody is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FirstRun {
    /// Requests to the target, those that look at what was written included.
    pub requests: u64,
    /// Minutes that they take.
    pub minutes: f64,
}

impl Runner {
    /// Predicts the reading requests of a job from the lists of groups.
    pub(in crate::run) async fn predict_reads(
        &self,
        job: &JobConfig,
    ) -> Result<Prediction, RunError> {
        let mut reads = BTreeMap::new();
        let mut minutes = 0.0;
        let mut warnings = Vec::new();
        let mut sizes: Vec<u64> = Vec::new();
        let mut first = None;
        for (name, is_target) in [(&job.source, false), (&job.target, true)] {
            let handle = self.handle(name)?;
            handle.adapter.open().await.map_err(handle.read_error())?;
            let (rows, certificate) = if is_target {
                let groups = self.groups_to_write(&handle, &|_, _| false).await?;
                warnings.extend(groups.belief.map(|belief| belief.words));
                (groups.rows, groups.certificate)
            } else {
                let groups = handle.adapter.groups(&|_, _| false).await;
                groups.map_err(handle.read_error())?
            };
            certain(&handle.name, &certificate)?;
            let schema = provider::schema(handle.adapter.kind());
            if !is_target {
                let groups = rows.iter();
                let groups: Vec<Group> = groups
                    .map(|row| Group::from_row(row.clone(), schema))
                    .collect();
                warnings.extend(unmatched(job, &groups));
            }
            let covered: Vec<GroupRow> = rows
                .into_iter()
                .filter(|row| {
                    is_target || in_scope(&job.groups, &Group::from_row(row.clone(), schema))
                })
                .collect();
            let count = handle.adapter.predicted_reads(&covered, is_target);
            let times = self.request_times(&handle)?;
            let pace = handle.requests_per_minute;
            let pace = pace.map_or(0.0, |pace| 60.0 / f64::from(pace.max(1)));
            minutes += count as f64 * times.read.max(pace) / 60.0;
            reads.insert(name.clone(), count);
            if !is_target {
                let members = covered.iter().map(|row| row.member_count.unwrap_or(0));
                sizes = members.collect();
            } else if !self.store().has_completed(&job.name)? {
                let takes = first_writes(&handle, &sizes);
                let seconds = takes.writes as f64 * times.write.max(pace)
                    + takes.reads as f64 * times.read.max(pace)
                    + takes.waits as f64;
                first = Some(FirstRun {
                    requests: takes.writes + takes.reads,
                    minutes: seconds / 60.0,
                });
            }
        }
        Ok(Prediction {
            reads,
            minutes,
            first,
            warnings,
            period: job
                .schedule
                .as_ref()
                .and_then(|schedule| schedule.period(self.now())),
        })
    }
}

/// Predicts what making groups of such sizes takes at a target that has none of them.
fn first_writes(target: &Handle, sizes: &[u64]) -> Takes {
    let adapter = &target.adapter;
    let mut takes = Takes::default();
    for _ in sizes {
        takes += adapter.takes(Load::CreateGroup);
    }
    let batch = target.capabilities.batches.create_members.max(1) as u64;
    let people: u64 = sizes.iter().sum();
    // Where a row names all groups of a person, nobody takes more than one.
    let together = [people];
    let parts = if is_read_together(target) {
        &together
    } else {
        sizes
    };
    for size in parts {
        for _ in 0..size.div_ceil(batch) {
            let load = batch.min(*size) as usize;
            takes += adapter.takes(if is_read_together(target) {
                Load::Join(load)
            } else {
                Load::CreateMembers(load)
            });
        }
    }
    takes.reads += adapter.predicted_check(sizes.len() as u64, people, people);
    takes
}
