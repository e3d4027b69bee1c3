//! What is remembered of each job apart from its base: providers, pauses, fires and how its last
//! runs went.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::Store;
use super::change;
use super::convert::{optional_time, stamp, time};
use super::error::{Fault, StateError};
use super::runs::{Outcome, RUN_COLUMNS, RunRecord, read_run};

/// Why a job does not run on its schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausedRecord {
    /// What was given as reason.
    pub reason: String,
    /// When it was paused.
    pub since: Timestamp,
}

/// How a job has fared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobStatus {
    /// The run that was started last.
    pub last_run: Option<RunRecord>,
    /// How many runs in a row have failed; runs that were busy or interrupted say nothing.
    pub consecutive_failures: u32,
    /// The fire of the schedule that was taken last.
    pub last_fire: Option<Timestamp>,
}

impl Store {
    /// Takes a job down with its providers, so that other jobs know what it holds at their target.
    ///
    /// # Errors
    /// [`StateError::JobMoved`] when the job is remembered with other providers.
    pub fn register_job(
        &self,
        job: &str,
        source_provider: &str,
        target_provider: &str,
    ) -> Result<(), StateError> {
        self.write(|connection| register(connection, job, Some(source_provider), target_provider))
    }

    /// Pauses a job, or resumes it when there is no reason. A paused job keeps the time of its
    /// first pause.
    pub fn set_paused(
        &self,
        job: &str,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(|connection| {
            ensure(connection, job)?;
            connection
                .prepare_cached(
                    "UPDATE jobs SET paused_reason = ?2, paused_since = CASE WHEN ?2 IS NULL THEN NULL ELSE coalesce(paused_since, ?3) END
                     WHERE name = ?1",
                )?
                .execute((job, reason, stamp(now)))?;
            Ok(())
        })
    }

    /// Tells whether and why a job is paused.
    pub fn paused(&self, job: &str) -> Result<Option<PausedRecord>, StateError> {
        self.read(|connection| {
            let mut select =
                connection.prepare_cached("SELECT paused_reason, paused_since FROM jobs WHERE name = ?1 AND paused_reason IS NOT NULL")?;
            Ok(select.query_row([job], |row| Ok(PausedRecord { reason: row.get(0)?, since: time(row, 1)? })).optional()?)
        })
    }

    /// Tells how a job has fared; empty for a job that never ran.
    pub fn job_status(&self, job: &str) -> Result<JobStatus, StateError> {
        self.read(|connection| {
            let last_fire = connection
                .prepare_cached("SELECT last_fire FROM jobs WHERE name = ?1")?
                .query_row([job], |row| optional_time(row, 0))
                .optional()?
                .flatten();
            let mut status = JobStatus {
                last_fire,
                ..JobStatus::default()
            };
            let mut select = connection.prepare_cached(&format!(
                "SELECT {RUN_COLUMNS} FROM runs WHERE job = ?1 ORDER BY started DESC, id DESC"
            ))?;
            let mut rows = select.query([job])?;
            while let Some(row) = rows.next()? {
                let run = read_run(row)?;
                let outcome = run.outcome;
                status.last_run.get_or_insert(run);
                match outcome {
                    Some(Outcome::Failed) => status.consecutive_failures += 1,
                    None | Some(Outcome::Busy | Outcome::Interrupted) => {}
                    Some(Outcome::Done | Outcome::Refused | Outcome::Partial) => break,
                }
            }
            Ok(status)
        })
    }

    /// Remembers the fire of the schedule that was taken, so that a missed one can be caught up.
    pub fn note_fire(&self, job: &str, at: Timestamp) -> Result<(), StateError> {
        self.write(|connection| {
            ensure(connection, job)?;
            connection
                .prepare_cached("UPDATE jobs SET last_fire = ?2 WHERE name = ?1")?
                .execute((job, stamp(at)))?;
            Ok(())
        })
    }

    /// Forgets a pair of groups and what the job holds in its target group; tells whether there was
    /// one.
    pub fn forget_link(&self, job: &str, source_group: &str) -> Result<bool, StateError> {
        self.write(|connection| {
            let known = connection
                .prepare_cached("SELECT 1 FROM group_links WHERE job = ?1 AND source = ?2")?
                .exists((job, source_group))?;
            change::unlink_group(connection, job, source_group)?;
            Ok(known)
        })
    }
}

/// Makes sure that a job has a row.
pub(super) fn ensure(connection: &Connection, job: &str) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO jobs (name) VALUES (?1)")?
        .execute([job])?;
    Ok(())
}

/// Takes a job down with its providers inside a transaction.
pub(super) fn register(
    connection: &Connection,
    job: &str,
    source: Option<&str>,
    target: &str,
) -> Result<(), Fault> {
    check_providers(connection, job, source, target)?;
    ensure(connection, job)?;
    connection
        .prepare_cached("UPDATE jobs SET source_provider = coalesce(?2, source_provider), target_provider = ?3 WHERE name = ?1")?
        .execute((job, source, target))?;
    Ok(())
}

/// Refuses a job whose remembered ids belong to other accounts.
pub(super) fn check_providers(
    connection: &Connection,
    job: &str,
    source: Option<&str>,
    target: &str,
) -> Result<(), Fault> {
    let known = connection
        .prepare_cached("SELECT source_provider, target_provider FROM jobs WHERE name = ?1")?
        .query_row([job], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    let Some((known_source, known_target)) = known else {
        return Ok(());
    };
    let pairs = [
        ("source", known_source, source),
        ("target", known_target, Some(target)),
    ];
    for (role, was, is) in pairs {
        if let Some(is) = is
            && !was.is_empty()
            && was != is
        {
            return Err(StateError::JobMoved {
                job: job.to_owned(),
                role,
                was,
                is: is.to_owned(),
            }
            .into());
        }
    }
    Ok(())
}
