//! Figures over time, in a bounded number of points.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::View;
use crate::report::{FORMAT_VERSION, summary_from_json};
use crate::state::{RunRecord, StateError};

/// How many runs, and how many sizes of a group, are shown at most.
const POINTS: u32 = 120;

/// How many groups have a line of their own.
const LINES: usize = 12;

/// What one run took and did.
#[derive(Clone, Debug, Serialize)]
pub struct RunFigures {
    /// The run's identifier.
    pub run: String,
    /// When it started.
    pub started: String,
    /// How it ended, or `running`.
    pub outcome: &'static str,
    /// How long it took, in seconds; nothing while it is running.
    pub seconds: Option<f64>,
    /// Requests that write; nothing where it is not known.
    pub requests: Option<u64>,
    /// Requests that read; nothing where it is not known.
    pub reads: Option<u64>,
    /// Memberships that it added.
    pub added: u64,
    /// Memberships that it removed.
    pub removed: u64,
    /// Opt-outs that it carried.
    pub opt_outs: u64,
    /// People and groups that it created or changed.
    pub changed: u64,
}

/// What the newest runs of a job took and did, the oldest of them first.
#[derive(Clone, Debug, Serialize)]
pub struct RunsOverTime {
    /// The version of the format.
    pub version: u32,
    /// The job.
    pub job: String,
    /// The runs.
    pub runs: Vec<RunFigures>,
    /// How many older ones history keeps.
    pub older: u64,
}

/// How many members a group had from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// The moment.
    pub at: Timestamp,
    /// The members.
    pub members: u64,
}

/// How many members one group had over time.
#[derive(Clone, Debug, Serialize)]
pub struct GroupLine {
    /// The group's id at the target.
    pub group_id: String,
    /// Its name in the last confirmed run.
    pub group: String,
    /// How many members it has now.
    pub members: u64,
    /// What it had from which moment on.
    pub sizes: Vec<Size>,
}

/// How many members the groups of a job had over time, the largest of them first.
#[derive(Clone, Debug, Serialize)]
pub struct MembersOverTime {
    /// The version of the format.
    pub version: u32,
    /// The job.
    pub job: String,
    /// When the lines begin: with what is known, where that is less than was asked for.
    pub since: Timestamp,
    /// When they end.
    pub until: Timestamp,
    /// The groups.
    pub groups: Vec<GroupLine>,
    /// How many smaller groups are left out.
    pub more_groups: u64,
}

impl View<'_> {
    /// Gathers what the newest runs of a job took and did.
    pub fn runs_over_time(&self, job: &str) -> Result<RunsOverTime, StateError> {
        let (mut runs, mut total) = (Vec::new(), 0);
        if let Some(store) = self.store {
            runs = store.history(Some(job), POINTS as usize)?;
            total = store.count_runs(Some(job))?;
        }
        runs.reverse();
        Ok(RunsOverTime {
            version: FORMAT_VERSION,
            job: job.to_owned(),
            older: total.saturating_sub(runs.len() as u64),
            runs: runs.iter().map(RunFigures::of).collect(),
        })
    }

    /// Gathers how many members the largest groups of a job had in the time before now.
    pub fn members_over_time(
        &self,
        job: &str,
        span: SignedDuration,
    ) -> Result<MembersOverTime, StateError> {
        let since = self.now.checked_sub(span).unwrap_or(Timestamp::MIN);
        let mut lines = MembersOverTime {
            version: FORMAT_VERSION,
            job: job.to_owned(),
            since,
            until: self.now,
            groups: Vec::new(),
            more_groups: 0,
        };
        let Some(store) = self.store else {
            return Ok(lines);
        };
        let sizes = store.sizes_now(job)?;
        let mut groups: Vec<(u64, String, String)> = store
            .links(job)?
            .into_iter()
            .filter_map(|link| Some((*sizes.get(&link.target)?, link.name, link.target)))
            .collect();
        groups.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        groups.dedup_by(|a, b| a.2 == b.2);
        lines.more_groups = groups.len().saturating_sub(LINES) as u64;
        groups.truncate(LINES);
        let mut earliest = self.now;
        for (members, group, group_id) in groups {
            let sizes = store.group_sizes(job, &group_id, since, self.now, POINTS)?;
            let sizes: Vec<Size> = sizes
                .into_iter()
                .map(|size| Size {
                    at: size.at.max(since),
                    members: size.members,
                })
                .collect();
            earliest = sizes.first().map_or(earliest, |size| size.at.min(earliest));
            lines.groups.push(GroupLine {
                group_id,
                group,
                members,
                sizes,
            });
        }
        // What is known since yesterday would else be a dot at the end of a month.
        lines.since = since.max(earliest);
        Ok(lines)
    }
}

impl RunFigures {
    fn of(run: &RunRecord) -> RunFigures {
        let summary = summary_from_json(&run.summary);
        let sent = |key: &str| {
            let by_provider = run.summary[key].as_object()?;
            Some(
                by_provider
                    .values()
                    .filter_map(serde_json::Value::as_u64)
                    .sum(),
            )
        };
        let ended = run
            .finished
            .map(|finished| finished.duration_since(run.started));
        RunFigures {
            run: run.id.clone(),
            started: run.started.to_string(),
            outcome: run.outcome.map_or("running", crate::state::Outcome::as_str),
            seconds: ended.map(|length| length.as_secs_f64().max(0.0)),
            requests: sent("requests"),
            reads: sent("reads"),
            added: summary.memberships_added,
            removed: summary.memberships_removed,
            opt_outs: summary.opt_outs,
            changed: summary.members_created
                + summary.members_updated
                + summary.groups_created
                + summary.groups_updated
                + summary.groups_adopted
                + summary.groups_archived
                + summary.groups_deleted,
        }
    }
}
