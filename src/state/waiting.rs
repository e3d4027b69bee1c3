//! What of a job waits for a person, counted.

use rusqlite::OptionalExtension;

use super::convert::stamp;
use super::error::StateError;
use super::{Outcome, RunRecord, Store};

/// What waits for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Items that nobody can sync as they are, and those that the provider refused, without what was
    /// accepted.
    pub open: u64,
    /// Those of which a person said that they may stay so.
    pub accepted: u64,
    /// The approval that the refusal of the last run offered and nobody has used.
    pub approval: Option<String>,
}

impl Store {
    /// Counts what of a job waits for a person; `last_run` is the one that was started last.
    pub fn waiting(&self, job: &str, last_run: Option<&RunRecord>) -> Result<Waiting, StateError> {
        self.read(|connection| {
            let (all, accepted): (i64, i64) = connection
                .prepare_cached(
                    "SELECT count(*), count(accepted.item) FROM failures
                     LEFT JOIN accepted ON accepted.job = failures.job AND accepted.item = failures.item
                     WHERE failures.job = ?1 /* walks: all of them are counted */",
                )?
                .query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let refused = last_run.filter(|run| run.outcome == Some(Outcome::Refused));
            let approval = refused.map(|run| {
                let until = run.finished.unwrap_or(run.started);
                connection
                    .prepare_cached(
                        "SELECT id FROM approvals WHERE job = ?1 AND used IS NULL AND offered BETWEEN ?2 AND ?3
                         ORDER BY offered DESC LIMIT 1 /* walks: a job has few of them */",
                    )?
                    .query_row((job, stamp(run.started), stamp(until)), |row| row.get(0))
                    .optional()
            });
            Ok(Waiting {
                open: u64::try_from(all - accepted).unwrap_or_default(),
                accepted: u64::try_from(accepted).unwrap_or_default(),
                approval: approval.transpose()?.flatten(),
            })
        })
    }
}
