//! What a provider refused or nobody can sync, gathered from the state database.

use std::collections::BTreeSet;

use serde::Serialize;

use super::View;
use crate::report::{FORMAT_VERSION, FailureRow};
use crate::state::{FailureRecord, StateError, Store};

/// Failures of one job or of all, those that wait for a person first.
#[derive(Clone, Debug, Serialize)]
pub struct Failures {
    /// The version of the format.
    pub version: u32,
    /// The failures.
    pub failures: Vec<FailureRow>,
    /// How many there are, of which a page may show fewer.
    pub total: u64,
    /// How many of them wait for a person.
    pub open: u64,
    /// How many of them somebody has accepted.
    pub accepted: u64,
}

/// What is remembered, with the items that somebody has accepted, by job and item.
type Remembered = (Vec<FailureRecord>, BTreeSet<(String, String)>);

/// Returns the failures of one job or of all, with those that somebody has accepted, by job and item.
pub fn remembered_failures(
    store: Option<&Store>,
    job: Option<&str>,
) -> Result<Remembered, StateError> {
    let Some(store) = store else {
        return Ok(Default::default());
    };
    let failures = store.failures(job)?;
    let mut accepted = BTreeSet::new();
    let jobs: BTreeSet<&String> = failures.iter().map(|failure| &failure.job).collect();
    for job in jobs {
        let known = store.accepted(job)?.into_iter();
        accepted.extend(known.map(|known| (job.clone(), known.note.item)));
    }
    Ok((failures, accepted))
}

impl View<'_> {
    /// Gathers failures, `limit` of them from the one at `from` on.
    pub fn failures(
        &self,
        job: Option<&str>,
        from: usize,
        limit: usize,
    ) -> Result<Failures, StateError> {
        let (records, accepted) = remembered_failures(self.store, job)?;
        let is_accepted = |record: &FailureRecord| {
            accepted.contains(&(record.job.clone(), record.note.item.clone()))
        };
        let (settled, open): (Vec<&FailureRecord>, Vec<&FailureRecord>) =
            records.iter().partition(|record| is_accepted(record));
        let (total, waiting) = (records.len() as u64, open.len() as u64);
        let page = open.into_iter().chain(settled).skip(from).take(limit);
        Ok(Failures {
            version: FORMAT_VERSION,
            failures: page
                .map(|record| FailureRow::new(record, &accepted))
                .collect(),
            total,
            open: waiting,
            accepted: total - waiting,
        })
    }
}
