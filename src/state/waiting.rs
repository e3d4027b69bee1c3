//! What of a job waits for a person, counted.

use jiff::Timestamp;

use super::approvals::is_good;
use super::error::StateError;
use super::{Outcome, RunRecord, Store, UNDO};

/// What waits for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Items that nobody can sync as they are, and those that the provider refused, without what was
    /// accepted.
    pub open: u64,
    /// Those of the open ones that nobody can sync as they are; the others the provider refused.
    pub blocked: u64,
    /// Those of which a person said that they may stay so.
    pub accepted: u64,
    /// The approval that the refusal that stands offered, while it can be used.
    pub approval: Option<String>,
}

impl Store {
    /// Counts what of a job waits for a person now; `refused` is the run whose refusal stands.
    pub fn waiting(
        &self,
        job: &str,
        refused: Option<&RunRecord>,
        now: Timestamp,
    ) -> Result<Waiting, StateError> {
        self.read(|connection| {
            let (all, accepted, blocked): (i64, i64, i64) = connection
                .prepare_cached(
                    "SELECT count(*), count(accepted.item), count(*) FILTER (WHERE failures.blocked AND accepted.item IS NULL)
                     FROM failures
                     LEFT JOIN accepted ON accepted.job = failures.job AND accepted.item = failures.item
                     WHERE failures.job = ?1 /* walks: all of them are counted */",
                )?
                .query_row([job], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            // That of a refused undo is used by `apply` alone.
            let refused = refused
                .filter(|run| run.outcome == Some(Outcome::Refused) && run.trigger != UNDO);
            let offered = refused.and_then(|run| run.refusals().first()?["approval"].as_str());
            let approval = match offered {
                Some(id) if is_good(connection, job, id, now)? => Some(id.to_owned()),
                _ => None,
            };
            Ok(Waiting {
                open: u64::try_from(all - accepted).unwrap_or_default(),
                blocked: u64::try_from(blocked).unwrap_or_default(),
                accepted: u64::try_from(accepted).unwrap_or_default(),
                approval,
            })
        })
    }
}
