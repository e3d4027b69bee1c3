//! Items that a provider refused, with growing pauses between attempts, and items that wait for a
//! person.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::convert::{optional_time, stamp, time};
use super::error::StateError;
use super::{Store, jobs};

/// An item that was refused or is blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureNote {
    /// The item's key.
    pub key: String,
    /// What kind of thing it is: `member`, `membership`, `group`, …
    pub what: String,
    /// The group, as it is shown.
    pub group: Option<String>,
    /// The person's address; of somebody without one `#` and the id at the source, or `##` and the
    /// id at the target.
    pub member: Option<String>,
    /// The reason, as one of the words of the plan.
    pub reason: String,
    /// The provider's code.
    pub code: Option<String>,
    /// The provider's words, or the rule in a sentence.
    pub message: String,
    /// The short name by which people accept it; empty for what an older version took down.
    pub item: String,
}

/// An item that a person has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedRecord {
    /// The item as it was then.
    pub note: FailureNote,
    /// Why it was accepted.
    pub words: Option<String>,
    /// When.
    pub since: Timestamp,
}

/// An item that was refused or is blocked, as remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRecord {
    /// The job.
    pub job: String,
    /// The item and what is known of it.
    pub note: FailureNote,
    /// Whether it waits for a person and was not sent at all.
    pub blocked: bool,
    /// How often it was sent and refused.
    pub attempts: u32,
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// When it is sent again; nothing for what waits for a person.
    pub next_try: Option<Timestamp>,
}

/// Returns the pause after so many refusals: what heals by itself does so soon, and the rest must
/// not cost a request in every run.
pub(super) fn pause(attempts: u32) -> SignedDuration {
    match attempts {
        0 | 1 => SignedDuration::from_mins(15),
        2 => SignedDuration::from_hours(1),
        3 => SignedDuration::from_hours(6),
        4 => SignedDuration::from_hours(24),
        _ => SignedDuration::from_hours(7 * 24),
    }
}

impl Store {
    /// Takes down that a provider refused items, once more or for the first time.
    pub fn note_failures(
        &self,
        job: &str,
        failures: &[FailureNote],
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.note(job, failures, true, now)
    }

    /// Takes down items of which nobody can tell whether they are done: nobody has refused them, and
    /// the next run may send them.
    pub fn note_untold(
        &self,
        job: &str,
        items: &[FailureNote],
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.note(job, items, false, now)
    }

    fn note(
        &self,
        job: &str,
        failures: &[FailureNote],
        refused: bool,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(|connection| {
            jobs::ensure(connection, job)?;
            let mut select =
                connection.prepare_cached("SELECT coalesce(max(attempts), 0) FROM failures WHERE job = ?1 AND blocked = 0 AND item_key = ?2")?;
            let mut upsert = connection.prepare_cached(
                "INSERT INTO failures (job, blocked, item_key, what, group_id, member, reason, code, message, attempts, first_seen, next_try, item)
                 VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                 ON CONFLICT DO UPDATE SET what = excluded.what, group_id = excluded.group_id, member = excluded.member,
                     reason = excluded.reason, code = excluded.code, message = excluded.message, attempts = excluded.attempts,
                     next_try = excluded.next_try, item = excluded.item",
            )?;
            for note in failures {
                let attempts: u32 = select.query_row((job, &note.key), |row| row.get(0))?;
                let attempts = attempts.saturating_add(u32::from(refused));
                let pause = if refused { pause(attempts) } else { SignedDuration::ZERO };
                let next_try = now.checked_add(pause).unwrap_or(Timestamp::MAX);
                upsert.execute((
                    job,
                    &note.key,
                    &note.what,
                    &note.group,
                    &note.member,
                    &note.reason,
                    &note.code,
                    &note.message,
                    attempts,
                    stamp(now),
                    stamp(next_try),
                    &note.item,
                ))?;
            }
            Ok(())
        })
    }

    /// Forgets refusals of items that went through, or that nobody asks for any more.
    pub fn clear_failures(&self, job: &str, keys: &[String]) -> Result<(), StateError> {
        self.write(|connection| {
            let mut delete = connection.prepare_cached(
                "DELETE FROM failures WHERE job = ?1 AND blocked = 0 AND item_key = ?2",
            )?;
            for key in keys {
                delete.execute((job, key))?;
            }
            Ok(())
        })
    }

    /// Replaces the items that wait for a person; those that stay keep the time at which they were
    /// seen first.
    pub fn replace_blocked(
        &self,
        job: &str,
        blocked: &[FailureNote],
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(|connection| {
            jobs::ensure(connection, job)?;
            let wanted: BTreeSet<&str> = blocked.iter().map(|note| note.key.as_str()).collect();
            let known = connection
                .prepare_cached("SELECT item_key FROM failures WHERE job = ?1 AND blocked = 1 /* walks: all that a run found blocked */")?
                .query_map([job], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<String>>>()?;
            let mut delete = connection.prepare_cached("DELETE FROM failures WHERE job = ?1 AND blocked = 1 AND item_key = ?2")?;
            for key in known.iter().filter(|key| !wanted.contains(key.as_str())) {
                delete.execute((job, key))?;
            }
            let mut upsert = connection.prepare_cached(
                "INSERT INTO failures (job, blocked, item_key, what, group_id, member, reason, code, message, attempts, first_seen, item)
                 VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10)
                 ON CONFLICT DO UPDATE SET what = excluded.what, group_id = excluded.group_id, member = excluded.member,
                     reason = excluded.reason, code = excluded.code, message = excluded.message, item = excluded.item",
            )?;
            for note in blocked {
                upsert.execute((
                    job,
                    &note.key,
                    &note.what,
                    &note.group,
                    &note.member,
                    &note.reason,
                    &note.code,
                    &note.message,
                    stamp(now),
                    &note.item,
                ))?;
            }
            Ok(())
        })
    }

    /// Returns what was refused and what is blocked, of one job or of all, oldest first.
    pub fn failures(&self, job: Option<&str>) -> Result<Vec<FailureRecord>, StateError> {
        self.read(|connection| {
            let of_job = if job.is_some() { "job = ?1" } else { "?1 IS NULL" };
            let mut select = connection.prepare_cached(&format!(
                "SELECT job, item_key, what, group_id, member, reason, code, message, blocked, attempts, first_seen, next_try, item
                 FROM failures WHERE {of_job} ORDER BY job, first_seen, item_key, blocked /* walks: all of them are shown */",
            ))?;
            let rows = select.query_map([job], |row| {
                Ok(FailureRecord {
                    job: row.get(0)?,
                    note: FailureNote {
                        key: row.get(1)?,
                        what: row.get(2)?,
                        group: row.get(3)?,
                        member: row.get(4)?,
                        reason: row.get(5)?,
                        code: row.get(6)?,
                        message: row.get(7)?,
                        item: row.get(12)?,
                    },
                    blocked: row.get(8)?,
                    attempts: row.get(9)?,
                    first_seen: time(row, 10)?,
                    next_try: optional_time(row, 11)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Takes down that a person has accepted items of a job, with the reason that was given.
    pub fn accept(
        &self,
        job: &str,
        items: &[FailureNote],
        words: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(|connection| {
            let mut insert = connection.prepare_cached(
                "INSERT OR REPLACE INTO accepted (job, item, what, group_id, member, reason, message, words, since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?;
            for note in items {
                insert.execute((
                    job,
                    &note.item,
                    &note.what,
                    &note.group,
                    &note.member,
                    &note.reason,
                    &note.message,
                    words,
                    stamp(now),
                ))?;
            }
            Ok(())
        })
    }

    /// Takes back that items were accepted.
    pub fn revoke(&self, job: &str, items: &[String]) -> Result<(), StateError> {
        self.write(|connection| {
            let mut delete =
                connection.prepare_cached("DELETE FROM accepted WHERE job = ?1 AND item = ?2")?;
            for item in items {
                delete.execute((job, item))?;
            }
            Ok(())
        })
    }

    /// Returns what was accepted of a job, oldest first.
    pub fn accepted(&self, job: &str) -> Result<Vec<AcceptedRecord>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT item, what, group_id, member, reason, message, words, since FROM accepted WHERE job = ?1 ORDER BY since, item /* walks: all of them are shown */",
            )?;
            let rows = select.query_map([job], |row| {
                Ok(AcceptedRecord {
                    note: FailureNote {
                        item: row.get(0)?,
                        what: row.get(1)?,
                        group: row.get(2)?,
                        member: row.get(3)?,
                        reason: row.get(4)?,
                        message: row.get(5)?,
                        ..FailureNote::default()
                    },
                    words: row.get(6)?,
                    since: time(row, 7)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Makes every refused item of a job due, and counts them.
    pub fn retry_now(&self, job: &str, now: Timestamp) -> Result<usize, StateError> {
        self.write(|connection| {
            Ok(connection
                .prepare_cached("UPDATE failures SET next_try = ?2 WHERE job = ?1 AND blocked = 0 /* walks: all of them are sent again */")?
                .execute((job, stamp(now)))?)
        })
    }
}
