//! How far a run has come, as the process that makes it tells the database now and then, so that
//! others can show it.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::Store;
use super::convert::{stamp, time};
use super::error::{Fault, StateError};

/// After how much silence what was told last is old: it is told every few seconds, and a busy disk
/// or a long comparison may hold it up.
const SILENCE: SignedDuration = SignedDuration::from_secs(60);

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// The job.
    pub job: String,
    /// The run.
    pub run: String,
    /// The number of the process that makes it.
    pub pid: u32,
    /// What it does, in words: `Reading members of crm`.
    pub phase: String,
    /// When it began with that.
    pub phase_began: Timestamp,
    /// How many requests this phase has sent.
    pub done: u64,
    /// How many requests were predicted for all of this phase; zero where nothing is known.
    pub expected: u64,
    /// How many seconds the rest of this phase takes at the rate so far, where that can be said.
    pub left_for: Option<u64>,
    /// For how many seconds the account is left alone yet, because the provider asked for patience.
    pub rests_for: u64,
    /// When all of this was so.
    pub heard: Timestamp,
}

impl UnderWay {
    /// Tells whether nothing was heard for so long that this may not be so any more.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.duration_since(self.heard).abs() > SILENCE
    }
}

impl Store {
    /// Takes down how far a run has come, over what was told of its job before.
    pub fn tell_under_way(&self, told: &UnderWay) -> Result<(), StateError> {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.write_soon(|connection| {
            // A run that has ended in the meantime is not under way.
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO under_way (job, run, pid, phase, phase_began, done, expected, left_for, rests_for, heard)
                     SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM runs WHERE id = ?2 AND finished IS NULL",
                )?
                .execute((
                    &told.job,
                    &told.run,
                    told.pid,
                    &told.phase,
                    stamp(told.phase_began),
                    number(told.done),
                    number(told.expected),
                    told.left_for.map(number),
                    number(told.rests_for),
                    stamp(told.heard),
                ))?;
            Ok(())
        })
    }

    /// Returns how far the run of a job has come that has no end yet. Its process may be dead: whoever
    /// holds the lock of the job knows.
    pub fn under_way(&self, job: &str) -> Result<Option<UnderWay>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT job, run, pid, phase, phase_began, done, expected, left_for, rests_for, heard
                 FROM under_way WHERE job = ?1
                 AND EXISTS (SELECT 1 FROM runs WHERE id = under_way.run AND finished IS NULL)",
            )?;
            let number = |count: i64| u64::try_from(count).unwrap_or_default();
            let told = select.query_row([job], |row| {
                Ok(UnderWay {
                    job: row.get(0)?,
                    run: row.get(1)?,
                    pid: row.get(2)?,
                    phase: row.get(3)?,
                    phase_began: time(row, 4)?,
                    done: number(row.get(5)?),
                    expected: number(row.get(6)?),
                    left_for: row.get::<_, Option<i64>>(7)?.map(number),
                    rests_for: number(row.get(8)?),
                    heard: time(row, 9)?,
                })
            });
            Ok(told.optional()?)
        })
    }
}

/// Forgets how far a run has come, since it has ended.
pub(super) fn forget(connection: &Connection, run: &str) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM under_way WHERE job = (SELECT job FROM runs WHERE id = ?1)")?
        .execute([run])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::at;
    use crate::state::{Outcome, RunEnd, RunStart};

    #[test]
    fn a_run_is_under_way_until_it_has_ended() {
        let store = Store::in_memory();
        let told = UnderWay {
            job: "crm-to-mail".to_owned(),
            run: "r1".to_owned(),
            pid: 7,
            phase: "Reading members of crm".to_owned(),
            phase_began: at(3),
            done: 12,
            expected: 40,
            left_for: Some(28),
            rests_for: 0,
            heard: at(15),
        };
        store.tell_under_way(&told).unwrap();
        assert_eq!(
            store.under_way(&told.job).unwrap(),
            None,
            "there is no such run"
        );
        store
            .start_run(&RunStart {
                id: told.run.clone(),
                job: told.job.clone(),
                trigger: "schedule".to_owned(),
                started: at(0),
            })
            .unwrap();
        store.tell_under_way(&told).unwrap();
        assert_eq!(store.under_way(&told.job).unwrap(), Some(told.clone()));
        assert!(!told.is_stale(at(75)) && told.is_stale(at(76)) && told.is_stale(at(-3600)));
        let later = UnderWay {
            done: 13,
            left_for: None,
            ..told.clone()
        };
        store.tell_under_way(&later).unwrap();
        assert_eq!(store.under_way(&told.job).unwrap(), Some(later.clone()));
        let end = RunEnd {
            finished: at(20),
            outcome: Outcome::Done,
            exit_code: 0,
            wrote: false,
            completed: false,
            summary: serde_json::Value::Null,
            error: None,
            measure: None,
            approved: None,
        };
        store.finish_run(&told.run, &end, &[]).unwrap();
        assert_eq!(store.under_way(&told.job).unwrap(), None);
        store.tell_under_way(&later).unwrap();
        assert_eq!(
            store.under_way(&told.job).unwrap(),
            None,
            "it came too late"
        );
    }
}
