//! Predicts what reading takes, from the lists of groups alone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::groups::{certain, unmatched};
use crate::config::settled::JobConfig;
use crate::model::{Group, GroupRow};
use crate::plan::in_scope;
use crate::provider;
use crate::run::accounts::Runner;
use crate::run::error::RunError;

/// How many requests and minutes a run takes, before anything is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Reading requests, by provider.
    pub reads: BTreeMap<String, u64>,
    /// Minutes that they take at the configured pace.
    pub minutes: f64,
    /// Sentences that a person should read.
    pub warnings: Vec<String>,
    /// The shortest time between two fires of the job's schedule.
    pub period: Option<Duration>,
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
            minutes += handle
                .requests_per_minute
                .map_or(0.0, |pace| count as f64 / f64::from(pace.max(1)));
            reads.insert(name.clone(), count);
        }
        Ok(Prediction {
            reads,
            minutes,
            warnings,
            period: job
                .schedule
                .as_ref()
                .and_then(|schedule| schedule.period(self.now())),
        })
    }
}
