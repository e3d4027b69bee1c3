//! History and the items of a run a page at a time, with the counts that say how much is left.

use rusqlite::Connection;

use super::Store;
use super::convert::stamp;
use super::error::{Fault, StateError};
use super::keys::{self, Texts};
use super::runs::{ItemPlace, RUN_COLUMNS, RunItem, RunRecord, read_item, read_run};

/// How many items of a run are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemTally {
    /// The kind of the operation.
    pub op: String,
    /// What became of them.
    pub outcome: String,
    /// The group, as it is shown.
    pub group: Option<String>,
    /// The group's id at the target.
    pub group_id: Option<String>,
    /// How many there are.
    pub count: u64,
}

impl Store {
    /// Returns runs of one job or of all, newest first, those that began before a given one.
    pub fn history_before(
        &self,
        job: Option<&str>,
        before: Option<&RunRecord>,
        limit: usize,
    ) -> Result<Vec<RunRecord>, StateError> {
        let Some(before) = before else {
            return self.history(job, limit);
        };
        self.read(|connection| {
            let of_job = if job.is_some() { "job = ?1" } else { "?1 IS NULL" };
            let mut select = connection.prepare_cached(&format!(
                "SELECT {RUN_COLUMNS} FROM runs WHERE {of_job} AND started <= ?3 AND (started, id) < (?3, ?4)
                 ORDER BY started DESC, id DESC LIMIT ?2",
            ))?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let place = (job, limit, stamp(before.started), &before.id);
            let rows = select.query_map(place, read_run)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Counts the runs of one job or of all that history keeps.
    pub fn count_runs(&self, job: Option<&str>) -> Result<u64, StateError> {
        self.read(|connection| {
            let of_job = if job.is_some() {
                "job = ?1"
            } else {
                "?1 IS NULL"
            };
            let number: i64 = connection
                .prepare_cached(&format!(
                    "SELECT count(*) FROM runs WHERE {of_job} /* walks: all of them are counted */"
                ))?
                .query_row([job], |row| row.get(0))?;
            Ok(u64::try_from(number).unwrap_or_default())
        })
    }

    /// Returns items of a run behind a place, in the order of the plan, each with its own place.
    pub fn items_behind(
        &self,
        run: &str,
        place: ItemPlace,
        limit: usize,
    ) -> Result<Vec<(ItemPlace, RunItem)>, StateError> {
        self.run_items_after(run, place, limit)
    }

    /// Counts the items of a run by what they are, what became of them and their group.
    pub fn tally_items(&self, run: &str) -> Result<Vec<ItemTally>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT op, outcome, group_id, target_group, count(*) FROM run_items WHERE run = ?1 GROUP BY op, outcome, group_id, target_group",
            )?;
            let mut texts = Texts::new(connection);
            let run = keys::find(connection, run)?;
            let mut rows = select.query([run])?;
            let mut tally = Vec::new();
            while let Some(row) = rows.next()? {
                let number: i64 = row.get(4)?;
                tally.push(ItemTally {
                    op: texts.of(row.get(0)?)?.to_owned(),
                    outcome: texts.of(row.get(1)?)?.to_owned(),
                    group: texts.optional(row.get(2)?)?,
                    group_id: texts.optional(row.get(3)?)?,
                    count: u64::try_from(number).unwrap_or_default(),
                });
            }
            Ok(tally)
        })
    }

    /// Returns what a run did to one person, by the normalised address or how somebody without one is
    /// named.
    pub fn items_of_person(
        &self,
        run: &str,
        member: &str,
    ) -> Result<Vec<(ItemPlace, RunItem)>, StateError> {
        self.read(|connection| {
            let (Some(run), Some(member)) = (
                keys::find(connection, run)?,
                keys::find(connection, member)?,
            ) else {
                return Ok(Vec::new());
            };
            items_of(connection, run, member)
        })
    }
}

fn items_of(
    connection: &Connection,
    run: keys::Key,
    member: keys::Key,
) -> Result<Vec<(ItemPlace, RunItem)>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT seq, op, group_id, member, outcome, reason, message, fields, target_group, target_member, id
         FROM run_items LEFT JOIN run_values ON run_values.item = run_items.id
         WHERE member = ?2 AND +run = ?1 ORDER BY seq, id",
    )?;
    let mut texts = Texts::new(connection);
    let mut rows = select.query((run, member))?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let place = (row.get(0)?, row.get(10)?);
        items.push((place, read_item(row, &mut texts)?));
    }
    Ok(items)
}
