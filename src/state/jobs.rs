//! What is remembered of each job apart from its base: accounts, pauses, fires and how its last
//! runs went.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::Store;
use super::convert::{optional_time, stamp, time};
use super::error::{Fault, StateError};
use super::runs::{EMPTY_PLAN, Outcome, RUN_COLUMNS, RunRecord, UNDO, read_run};
use super::{accounts, base, change};
use crate::plan::base::Origin;

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
    /// The run whose refusal stands: no later one went through. One that goes on, failed or was
    /// stopped settles nothing, and neither does one that was refused for taking a run back.
    pub refused: Option<RunRecord>,
    /// How many runs in a row have failed; runs that were busy or interrupted say nothing.
    pub consecutive_failures: u32,
    /// The fire of the schedule that was taken last.
    pub last_fire: Option<Timestamp>,
}

impl Store {
    /// Takes a job down with its accounts, so that other jobs know what it holds at their target.
    ///
    /// # Errors
    /// [`StateError::JobMoved`] when the job is remembered with other accounts.
    pub fn register_job(
        &self,
        job: &str,
        source_account: &str,
        target_account: &str,
    ) -> Result<(), StateError> {
        self.write(|connection| register(connection, job, source_account, target_account))
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

    /// Returns the names of all jobs that were ever known, in their order.
    pub fn job_names(&self) -> Result<Vec<String>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT name FROM jobs ORDER BY name")?;
            let names = select.query_map([], |row| row.get(0))?;
            names.collect::<rusqlite::Result<_>>().map_err(Into::into)
        })
    }

    /// Notes of which run the taking back has begun and has not come to its end; nothing once it has, or
    /// is given up.
    pub fn set_open_undo(&self, job: &str, run: Option<&str>) -> Result<(), StateError> {
        self.write(|connection| {
            ensure(connection, job)?;
            connection
                .prepare_cached("UPDATE jobs SET undo_open = ?2 WHERE name = ?1")?
                .execute((job, run))?;
            Ok(())
        })
    }

    /// Returns the run of which the taking back has begun and has not come to its end.
    pub fn open_undo(&self, job: &str) -> Result<Option<String>, StateError> {
        self.read(|connection| {
            let mut select =
                connection.prepare_cached("SELECT undo_open FROM jobs WHERE name = ?1")?;
            let run = select.query_row([job], |row| row.get(0)).optional()?;
            Ok(run.flatten())
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

    /// Names the jobs that are paused.
    pub fn paused_jobs(&self) -> Result<BTreeSet<String>, StateError> {
        self.read(|connection| {
            let mut select = connection
                .prepare_cached("SELECT name FROM jobs WHERE paused_reason IS NOT NULL")?;
            let names = select.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
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
                "SELECT {RUN_COLUMNS} FROM runs WHERE job = ?1 AND cause <> ?2 ORDER BY started DESC, id DESC
                 /* walks: no further than the newest run that says how the job fares */"
            ))?;
            let mut rows = select.query((job, EMPTY_PLAN))?;
            let mut in_a_row = true;
            while let Some(row) = rows.next()? {
                let run = read_run(row)?;
                let outcome = run.outcome;
                if status.last_run.is_none() {
                    status.last_run = Some(run.clone());
                }
                match outcome {
                    Some(Outcome::Failed) if in_a_row => status.consecutive_failures += 1,
                    Some(Outcome::Done | Outcome::Refused | Outcome::Partial) => in_a_row = false,
                    _ => {}
                }
                // A saved plan that has moved and an answer of no end like a refusal, and no guard refused
                // anything; nor does what takes a run back say anything of what waits.
                let is_of_guard = !run.refusals().is_empty();
                match outcome {
                    _ if run.trigger == UNDO => {}
                    Some(Outcome::Refused) if is_of_guard => {
                        status.refused = Some(run);
                        break;
                    }
                    Some(Outcome::Done | Outcome::Partial) => break,
                    _ => {}
                }
            }
            Ok(status)
        })
    }

    /// Tells when a run of a job went through last, whether all items did or not.
    pub fn last_success(&self, job: &str) -> Result<Option<Timestamp>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT finished FROM runs WHERE job = ?1 AND outcome IN ('done', 'partial') ORDER BY started DESC
                 LIMIT 1 /* walks: no further than the newest run that went through */",
            )?;
            let finished = select.query_row([job], |row| optional_time(row, 0));
            Ok(finished.optional()?.flatten())
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

/// Returns the number of a job, where it has a row.
pub(super) fn id_of(connection: &Connection, job: &str) -> Result<Option<i64>, Fault> {
    let mut select = connection.prepare_cached("SELECT id FROM jobs WHERE name = ?1")?;
    Ok(select.query_row([job], |row| row.get(0)).optional()?)
}

/// Takes a job down with its accounts inside a transaction.
pub(super) fn register(
    connection: &Connection,
    job: &str,
    source: &str,
    target: &str,
) -> Result<(), Fault> {
    check_accounts(connection, job, source, target)?;
    ensure(connection, job)?;
    let (known, _) = accounts(connection, job)?;
    connection
        .prepare_cached("UPDATE jobs SET source_account = ?2, target_account = ?3 WHERE name = ?1")?
        .execute((job, source, target))?;
    if known.is_empty() {
        learn_who_is_who(connection, job, source, target)?;
    }
    Ok(())
}

/// Has a new job know the people whom others between the same two accounts have linked: it may be one
/// of them under another name, and who is who does not depend on a job's name. What of them was
/// written, and who is in which group, stays with each job.
fn learn_who_is_who(
    connection: &Connection,
    job: &str,
    source: &str,
    target: &str,
) -> Result<(), Fault> {
    let job = id_of(connection, job)?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO member_links (job, source, target, address, origin, removed_by_us)
             SELECT ?1, links.source, min(links.target), min(links.address), ?4, min(links.removed_by_us)
             FROM jobs JOIN member_links AS links ON links.job = jobs.id
             WHERE jobs.source_account = ?2 AND jobs.target_account = ?3 AND jobs.id <> ?1
             GROUP BY links.source HAVING count(DISTINCT links.target) = 1 /* walks: a job is new once */",
        )?
        .execute((job, source, target, base::origin_number(Origin::Adopted)))?;
    // A contact that stands for another record by now is nobody else's any more, whether that record
    // is in the new job's scope or not.
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO former_links (job, source, target, address)
             SELECT ?1, links.source, links.target, links.address
             FROM jobs JOIN former_links AS links ON links.job = jobs.id
             WHERE jobs.source_account = ?2 AND jobs.target_account = ?3 AND jobs.id <> ?1
             AND NOT EXISTS (
                 SELECT 1 FROM jobs AS beside CROSS JOIN member_links AS linked INDEXED BY member_links_target
                 ON linked.job = beside.id AND linked.target = links.target
                 WHERE beside.source_account = ?2 AND beside.target_account = ?3 AND linked.source <> links.source
             ) /* walks: a job is new once */",
        )?
        .execute((job, source, target))?;
    Ok(())
}

/// Returns the accounts of a job, source and target; empty texts where they are not known.
pub(super) fn accounts(connection: &Connection, job: &str) -> Result<(String, String), Fault> {
    let known = connection
        .prepare_cached("SELECT source_account, target_account FROM jobs WHERE name = ?1")?
        .query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(known.unwrap_or_default())
}

/// Refuses a job whose remembered ids belong to other accounts.
///
/// What the job knew as the account of a name may be the same account under new credentials, and
/// then the job goes on.
pub(super) fn check_accounts(
    connection: &Connection,
    job: &str,
    source: &str,
    target: &str,
) -> Result<(), Fault> {
    let (known_source, known_target) = accounts(connection, job)?;
    for (role, was, is) in [
        ("source", known_source.as_str(), source),
        ("target", known_target.as_str(), target),
    ] {
        if !was.is_empty() && was != is && !accounts::has_new_login(connection, was, is)? {
            return Err(StateError::JobMoved {
                job: job.to_owned(),
                role,
                was: accounts::words_of(connection, was)?,
                is: accounts::words_of(connection, is)?,
            }
            .into());
        }
    }
    Ok(())
}
