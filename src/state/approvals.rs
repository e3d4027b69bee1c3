//! What a person let pass: approvals of refused plans, and saved plans that are used up.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::convert::{optional_time, stamp, time};
use super::error::{Fault, StateError};
use super::{Store, jobs};

/// How long an approval can be used after it was last offered.
const LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whether an approval lets a plan pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalAnswer {
    /// It does.
    Fits,
    /// No refusal ever offered it.
    Unknown,
    /// It was used before.
    Used,
    /// It is older than seven days.
    Expired,
    /// It was offered for another job.
    OtherJob,
    /// The plan holds operations that were not shown when it was offered.
    NotASubset,
}

impl ApprovalAnswer {
    /// Says it in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            ApprovalAnswer::Fits => "the approval fits",
            ApprovalAnswer::Unknown => {
                "no refusal ever offered this approval, so the refusal stands"
            }
            ApprovalAnswer::Used => "this approval has been used, so the refusal stands",
            ApprovalAnswer::Expired => {
                "this approval is older than seven days, so the refusal stands"
            }
            ApprovalAnswer::OtherJob => {
                "this approval belongs to another job, so the refusal stands"
            }
            ApprovalAnswer::NotASubset => {
                "the plan holds operations that this approval does not cover, so the refusal stands"
            }
        }
    }
}

impl Store {
    /// Offers an approval for the items that tripped a guard, and returns the identifier to print.
    ///
    /// Offering the same again lets its seven days begin anew. An identifier that is used up stays
    /// so: the items are then offered under it with a number added, and that one is returned.
    pub fn offer_approval(
        &self,
        job: &str,
        id: &str,
        items: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<String, StateError> {
        self.write(|connection| {
            jobs::ensure(connection, job)?;
            let mut offered = id.to_owned();
            let mut number = 2_u32;
            while let Some((_, Some(_))) = find(connection, job, &offered)? {
                offered = format!("{id}-{number}");
                number += 1;
            }
            connection
                .prepare_cached(
                    "INSERT INTO approvals (job, id, offered) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET offered = excluded.offered",
                )?
                .execute((job, &offered, stamp(now)))?;
            connection.prepare_cached("DELETE FROM approval_items WHERE job = ?1 AND approval = ?2")?.execute((job, &offered))?;
            let mut insert = connection.prepare_cached("INSERT INTO approval_items (job, approval, item_key) VALUES (?1, ?2, ?3)")?;
            for item in items {
                insert.execute((job, &offered, item))?;
            }
            Ok(offered)
        })
    }

    /// Tells whether an approval lets pass what trips the guards now.
    pub fn check_approval(
        &self,
        job: &str,
        id: &str,
        items: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<ApprovalAnswer, StateError> {
        self.read(|connection| {
            let Some((offered, used)) = find(connection, job, id)? else {
                let elsewhere = connection
                    .prepare_cached("SELECT 1 FROM approvals WHERE id = ?1")?
                    .exists([id])?;
                return Ok(if elsewhere {
                    ApprovalAnswer::OtherJob
                } else {
                    ApprovalAnswer::Unknown
                });
            };
            if used.is_some() {
                return Ok(ApprovalAnswer::Used);
            }
            if now.duration_since(offered) > LIFETIME {
                return Ok(ApprovalAnswer::Expired);
            }
            let mut select = connection.prepare_cached(
                "SELECT 1 FROM approval_items WHERE job = ?1 AND approval = ?2 AND item_key = ?3",
            )?;
            for item in items {
                if !select.exists((job, id, item))? {
                    return Ok(ApprovalAnswer::NotASubset);
                }
            }
            Ok(ApprovalAnswer::Fits)
        })
    }

    /// Uses an approval up; tells whether it could still be used.
    pub fn use_approval(&self, job: &str, id: &str, now: Timestamp) -> Result<bool, StateError> {
        self.write(|connection| {
            let used = connection
                .prepare_cached(
                    "UPDATE approvals SET used = ?3 WHERE job = ?1 AND id = ?2 AND used IS NULL",
                )?
                .execute((job, id, stamp(now)))?;
            Ok(used > 0)
        })
    }

    /// Tells when a saved plan was applied, if it was.
    pub fn plan_used(&self, fingerprint: &str) -> Result<Option<Timestamp>, StateError> {
        self.read(|connection| {
            let mut select =
                connection.prepare_cached("SELECT used FROM used_plans WHERE fingerprint = ?1")?;
            Ok(select
                .query_row([fingerprint], |row| time(row, 0))
                .optional()?)
        })
    }

    /// Takes down that a saved plan is used up; the first time stands.
    pub fn mark_plan_used(
        &self,
        fingerprint: &str,
        job: &str,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(|connection| {
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO used_plans (fingerprint, job, used) VALUES (?1, ?2, ?3)",
                )?
                .execute((fingerprint, job, stamp(now)))?;
            Ok(())
        })
    }
}

/// Tells whether an approval was offered, is unused, and not too old to be used.
pub(super) fn is_good(
    connection: &Connection,
    job: &str,
    id: &str,
    now: Timestamp,
) -> Result<bool, Fault> {
    let found = find(connection, job, id)?;
    Ok(found
        .is_some_and(|(offered, used)| used.is_none() && now.duration_since(offered) <= LIFETIME))
}

fn find(
    connection: &Connection,
    job: &str,
    id: &str,
) -> Result<Option<(Timestamp, Option<Timestamp>)>, Fault> {
    let mut select = connection
        .prepare_cached("SELECT offered, used FROM approvals WHERE job = ?1 AND id = ?2")?;
    Ok(select
        .query_row((job, id), |row| Ok((time(row, 0)?, optional_time(row, 1)?)))
        .optional()?)
}
