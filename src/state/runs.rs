//! The history of runs, and how long it is kept.

use std::collections::BTreeMap;

use compact_str::CompactString;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::change::{self, Change};
use super::convert::{count, from_json, json, optional_count, optional_time, stamp, time};
use super::error::{Fault, StateError};
use super::keys::{Keys, Texts};
use super::{Store, jobs, keys, ledger, members, notices, sizes, under_way};
use crate::model::Value;
use crate::plan::base::{FieldBase, FieldBases, Measure};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything was done.
    Done,
    /// It could not go on.
    Failed,
    /// A guard refused, or the plan did not fit.
    Refused,
    /// It finished, and items need a person.
    Partial,
    /// Another run had the job or the account.
    Busy,
    /// It was stopped from outside.
    Interrupted,
}

impl Outcome {
    /// Returns the word used in results and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Refused => "refused",
            Outcome::Partial => "partial",
            Outcome::Busy => "busy",
            Outcome::Interrupted => "interrupted",
        }
    }

    /// Returns the exit code that belongs to it.
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::Failed | Outcome::Interrupted => 1,
            Outcome::Refused => 3,
            Outcome::Partial => 4,
            Outcome::Busy => 5,
        }
    }

    /// Reads the word used in the database.
    pub fn parse(text: &str) -> Option<Outcome> {
        [
            Outcome::Done,
            Outcome::Failed,
            Outcome::Refused,
            Outcome::Partial,
            Outcome::Busy,
            Outcome::Interrupted,
        ]
        .into_iter()
        .find(|outcome| outcome.as_str() == text)
    }
}

/// The approval by which a run went on that guards had refused.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ApprovedBy {
    /// The approval.
    pub id: String,
    /// The guards that had refused.
    pub guards: Vec<String>,
}

/// The trigger of a run that applied a plan without operations. It read nothing, so that it says
/// nothing of how the job fares.
pub const EMPTY_PLAN: &str = "empty-plan";

/// The trigger of a run that takes another one back.
pub const UNDO: &str = "undo";

/// The start of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStart {
    /// The run's identifier.
    pub id: String,
    /// The job.
    pub job: String,
    /// What set it off: `manual`, `schedule`, `apply`, [`EMPTY_PLAN`].
    pub trigger: String,
    /// When it started.
    pub started: Timestamp,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// The exit code it stands for.
    pub exit_code: u8,
    /// Whether it changed anything at the target.
    pub wrote: bool,
    /// Whether it worked through its plan, though items failed or a right was missing for some.
    pub completed: bool,
    /// The counts, as they are printed.
    pub summary: serde_json::Value,
    /// Why it could not go on.
    pub error: Option<String>,
    /// How much the source held, when the run finished unrefused.
    pub measure: Option<Measure>,
    /// What a person let pass, where guards had refused the plan.
    pub approved: Option<ApprovedBy>,
}

/// A run of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// The run's identifier.
    pub id: String,
    /// The job.
    pub job: String,
    /// What set it off.
    pub trigger: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended; nothing while it is running.
    pub finished: Option<Timestamp>,
    /// How it ended; nothing while it is running.
    pub outcome: Option<Outcome>,
    /// The exit code it stands for.
    pub exit_code: Option<u8>,
    /// Whether it changed anything at the target.
    pub wrote: bool,
    /// The counts, as they are printed; null while it is running.
    pub summary: serde_json::Value,
    /// Why it could not go on.
    pub error: Option<String>,
    /// How much the source held, when the run finished unrefused.
    pub measure: Option<Measure>,
    /// What a person let pass, where guards had refused the plan.
    pub approved: Option<ApprovedBy>,
}

impl RunRecord {
    /// Returns the guards that refused the run, each with its limit, its key and the approval, as they are
    /// kept beside the counts.
    pub fn refusals(&self) -> &[serde_json::Value] {
        let kept = self.summary["refusals"].as_array();
        kept.map_or(&[], Vec::as_slice)
    }

    /// Returns how many opt-outs wait behind the refusal of the run.
    pub fn waiting_opt_outs(&self) -> u64 {
        self.summary["waiting_opt_outs"]
            .as_u64()
            .unwrap_or_default()
    }
}

/// The outcome of an item whose answer was lost, and which a later run found done.
pub const FOUND: &str = "found";

/// What a run did to one item, or why it did nothing.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct RunItem {
    /// Where it stands among the items of its run, from 1; 0 puts it behind them.
    pub seq: u64,
    /// The kind of the operation.
    pub op: String,
    /// The group, as it is shown.
    pub group: Option<String>,
    /// The person's address; of somebody without one `#` and the id at the source, or `##` and the
    /// id at the target.
    pub member: Option<String>,
    /// The group's id at the target; nothing where it has none, or was not taken down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// The contact's id at the target; nothing where there is none, or it was not taken down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id: Option<String>,
    /// What became of it.
    pub outcome: String,
    /// The rule that decided.
    pub reason: Option<String>,
    /// The provider's words.
    pub message: Option<String>,
    /// What it changed, by the names that the target has for the fields; empty where it is about none.
    #[serde(skip_serializing_if = "FieldChanges::is_empty")]
    pub fields: FieldChanges,
}

/// The fields that an item changed.
pub type FieldChanges = BTreeMap<CompactString, FieldChange>;

/// One field before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldChange {
    /// What it held; nothing where it was empty or is not known.
    pub before: Option<Value>,
    /// Whether it is known what it held. Nobody knows it of what the provider does not show, of what was
    /// just created, and of records without a value that were written before this was taken down.
    pub is_before_known: bool,
    /// What it holds; nothing where it was cleared.
    pub after: Option<Value>,
}

/// `before` is null where there was nothing, and missing where that is not known.
impl Serialize for FieldChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_known = self.is_before_known || self.before.is_some();
        let mut change = serializer.serialize_map(None)?;
        if is_known {
            change.serialize_entry("before", &self.before)?;
        }
        change.serialize_entry("after", &self.after)?;
        change.end()
    }
}

/// A run that began after another one, at the same target account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaterRun {
    /// The run's identifier.
    pub id: String,
    /// The job, which may be another one.
    pub job: String,
    /// What set it off.
    pub trigger: String,
    /// The run that it took back, where it took one back and this is known.
    pub undoes: Option<String>,
}

/// An item of a past run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PastItem {
    /// The run's identifier.
    pub run: String,
    /// The job.
    pub job: String,
    /// When the run started.
    pub started: Timestamp,
    /// What it did.
    pub item: RunItem,
}

/// What is asked about in the history.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// A group itself, by the name that is shown and by the id at the target, and not its members.
    Group(&'a str, Option<&'a str>),
    /// A person, by the normalised address or how somebody without one is named.
    Person(&'a str),
}

/// The columns that [`read_run`] takes, in its order.
pub(super) const RUN_COLUMNS: &str = "id, job, cause, started, finished, outcome, exit_code, wrote, summary, error, measure_groups, measure_memberships, approved";

/// How many items of a run are in memory at a time.
const ITEMS_AT_ONCE: usize = 1_000;

/// Where an item stands among those of its run: its number in the plan, and its own.
pub type ItemPlace = (i64, i64);

impl Store {
    /// Takes down that a run has started.
    pub fn start_run(&self, run: &RunStart) -> Result<(), StateError> {
        self.write(|connection| {
            jobs::ensure(connection, &run.job)?;
            // What stands in the future was written before the clock was set back. It is taken for
            // now, or it would pass for the newest run until that time comes again.
            let before = run.started.checked_sub(jiff::SignedDuration::from_millis(1));
            let before = before.unwrap_or(run.started);
            let ahead = connection
                .prepare_cached(
                    "UPDATE runs SET started = ?3, finished = min(finished, ?3) WHERE job = ?1 AND started > ?2",
                )?
                .execute((&run.job, stamp(run.started), stamp(before)))?;
            if ahead > 0 {
                members::seen_by(connection, &run.job, before)?;
            }
            connection
                .prepare_cached(
                    "INSERT INTO runs (id, job, cause, started, number)
                         VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(number), 0) + 1 FROM runs /* walks: no further than the newest */))",
                )?
                .execute((&run.id, &run.job, &run.trigger, stamp(run.started)))?;
            if run.trigger != EMPTY_PLAN {
                connection
                    .prepare_cached("UPDATE jobs SET members_from = ?2 WHERE name = ?1 AND members_from IS NULL")?
                    .execute((&run.job, stamp(run.started)))?;
            }
            Ok(())
        })
    }

    /// Takes down which run another one takes back.
    pub fn note_undoes(&self, id: &str, undone: &str) -> Result<(), StateError> {
        self.write(|connection| {
            connection
                .prepare_cached("UPDATE runs SET undoes = ?2 WHERE id = ?1")?
                .execute((id, undone))?;
            Ok(())
        })
    }

    /// Takes down how a run ended, together with the last changes that it confirms: all or nothing.
    pub fn finish_run(&self, id: &str, end: &RunEnd, changes: &[Change]) -> Result<(), StateError> {
        self.write(|connection| {
            connection
                .prepare_cached(
                    "UPDATE runs SET finished = ?2, outcome = ?3, exit_code = ?4, wrote = ?5, summary = ?6, error = ?7,
                         measure_groups = ?8, measure_memberships = ?9, approved = ?10
                     WHERE id = ?1",
                )?
                .execute((
                    id,
                    stamp(end.finished),
                    end.outcome.as_str(),
                    end.exit_code,
                    end.wrote,
                    json(&end.summary),
                    &end.error,
                    end.measure.map(|measure| count(measure.groups)),
                    end.measure.map(|measure| count(measure.memberships)),
                    end.approved.as_ref().map(json),
                ))?;
            under_way::forget(connection, id)?;
            if end.completed {
                connection
                    .prepare_cached("UPDATE jobs SET completed = 1 WHERE completed = 0 AND name = (SELECT job FROM runs WHERE id = ?1)")?
                    .execute([id])?;
            }
            if end.wrote {
                connection
                    .prepare_cached("UPDATE jobs SET last_writing_run = ?1 WHERE name = (SELECT job FROM runs WHERE id = ?1)")?
                    .execute([id])?;
            }
            if let Some(measure) = end.measure {
                connection
                    .prepare_cached(
                        "UPDATE jobs SET measure_groups = ?2, measure_memberships = ?3 WHERE name = (SELECT job FROM runs WHERE id = ?1)",
                    )?
                    .execute((id, count(measure.groups), count(measure.memberships)))?;
            }
            notices::note_run(connection, id, end)?;
            change::apply(connection, changes)?;
            if end.completed || end.wrote {
                let job: Option<String> = connection
                    .prepare_cached("SELECT job FROM runs WHERE id = ?1")?
                    .query_row([id], |row| row.get(0))
                    .optional()?;
                sizes::note(connection, job.as_deref().unwrap_or_default(), end.finished)?;
            }
            Ok(())
        })
    }

    /// Writes down how a finished run ended once more was known of it, and how many items need a person.
    pub fn amend_run(
        &self,
        id: &str,
        finished: Timestamp,
        outcome: Outcome,
        error: Option<&str>,
        open: u64,
    ) -> Result<(), StateError> {
        self.write(|connection| {
            connection
                .prepare_cached("UPDATE runs SET finished = ?2, outcome = ?3, exit_code = ?4, error = ?5 WHERE id = ?1")?
                .execute((id, stamp(finished), outcome.as_str(), outcome.exit_code(), error))?;
            notices::note_amended(connection, id, finished, outcome, error, open)
        })
    }

    /// Marks the runs of a job that never ended as interrupted and counts them. Only who holds the
    /// job's lock may call it.
    pub fn close_abandoned_runs(&self, job: &str, now: Timestamp) -> Result<usize, StateError> {
        self.write(|connection| {
            Ok(connection
                .prepare_cached("UPDATE runs SET finished = ?2, outcome = ?3, exit_code = 1 WHERE job = ?1 AND finished IS NULL")?
                .execute((job, stamp(now), Outcome::Interrupted.as_str()))?)
        })
    }

    /// Takes down what a run did, item by item.
    pub fn add_run_items(&self, run: &str, items: &[RunItem]) -> Result<(), StateError> {
        self.write(|connection| insert_items(connection, run, items))
    }

    /// Takes down of items of a run that were taken for done that they are not: by the person, with the
    /// reason.
    pub fn take_back(
        &self,
        run: &str,
        op: &str,
        ignored: &[(String, String)],
    ) -> Result<(), StateError> {
        if ignored.is_empty() {
            return Ok(());
        }
        self.write(|connection| {
            let mut keys = Keys::new(connection);
            let (run, op) = (keys.key(run)?, keys.key(op)?);
            let (done, failed) = (keys.key("done")?, keys.key("failed")?);
            let mut update = connection.prepare_cached(
                "UPDATE run_items SET outcome = ?5, message = ?6 WHERE member = ?3 AND run = ?1 AND op = ?2 AND outcome = ?4",
            )?;
            for (member, message) in ignored {
                update.execute((run, op, keys.key(member)?, done, failed, message))?;
            }
            Ok(())
        })
    }

    /// Tells whether a run of a job has ever worked through its plan.
    pub fn has_completed(&self, job: &str) -> Result<bool, StateError> {
        self.read(|connection| {
            let completed = connection
                .prepare_cached("SELECT completed FROM jobs WHERE name = ?1")?
                .query_row([job], |row| row.get(0))
                .optional()?;
            Ok(completed.unwrap_or_default())
        })
    }

    /// Returns the newest runs, of one job or of all, newest first.
    pub fn history(&self, job: Option<&str>, limit: usize) -> Result<Vec<RunRecord>, StateError> {
        self.read(|connection| {
            let of_job = if job.is_some() { "job = ?1" } else { "?1 IS NULL" };
            let mut select = connection.prepare_cached(&format!(
                "SELECT {RUN_COLUMNS} FROM runs WHERE {of_job} ORDER BY started DESC, id DESC LIMIT ?2
                 /* walks: no further than the newest ones that are asked for */"
            ))?;
            let rows = select.query_map((job, i64::try_from(limit).unwrap_or(i64::MAX)), read_run)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Finds a run by its identifier or the start of it.
    ///
    /// # Errors
    /// [`StateError::AmbiguousRun`] when several runs begin like that.
    pub fn run(&self, id_or_prefix: &str) -> Result<Option<RunRecord>, StateError> {
        self.read(|connection| {
            let mut select = connection
                .prepare_cached(&format!("SELECT {RUN_COLUMNS} FROM runs WHERE id = ?1"))?;
            if let Some(exact) = select.query_row([id_or_prefix], read_run).optional()? {
                return Ok(Some(exact));
            }
            if id_or_prefix.is_empty() {
                return Ok(None);
            }
            let mut select = connection.prepare_cached(&format!(
                "SELECT {RUN_COLUMNS} FROM runs WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT 2"
            ))?;
            let last = format!("{id_or_prefix}{}", char::MAX);
            let mut found = select
                .query_map([id_or_prefix, &last], read_run)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            if found.len() > 1 {
                return Err(StateError::AmbiguousRun {
                    prefix: id_or_prefix.to_owned(),
                }
                .into());
            }
            Ok(found.pop())
        })
    }

    /// Returns the runs that began after a run at the same target account, whichever job's, oldest
    /// first. The clock has no say in it: what it says may have been set back between two of them.
    pub fn later_runs(&self, run: &RunRecord) -> Result<Vec<LaterRun>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, job, cause, undoes FROM runs WHERE number > (SELECT number FROM runs WHERE id = ?1) AND (job = ?2
                     OR +job IN (SELECT beside.name FROM jobs AS own JOIN jobs AS beside ON beside.target_account = own.target_account
                         WHERE own.name = ?2 AND own.target_account <> ''))
                 ORDER BY number",
            )?;
            let rows = select.query_map((&run.id, &run.job), |row| {
                Ok(LaterRun {
                    id: row.get(0)?,
                    job: row.get(1)?,
                    trigger: row.get(2)?,
                    undoes: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Goes through what a run did, in the order of the plan. A part of it is in memory at a time, and
    /// nothing holds the database between two of them: whoever reads may take as long as they like.
    pub fn run_items(&self, id: &str) -> impl Iterator<Item = Result<RunItem, StateError>> {
        let mut next = Some((i64::MIN, i64::MIN));
        let parts = std::iter::from_fn(move || {
            let after = next.take()?;
            let part = self.run_items_after(id, after, ITEMS_AT_ONCE);
            if let Ok(part) = &part
                && part.len() == ITEMS_AT_ONCE
            {
                next = part.last().map(|(place, _)| *place);
            }
            Some(part)
        });
        parts.flat_map(|part| match part {
            Ok(part) => part.into_iter().map(|(_, item)| Ok(item)).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    pub(super) fn run_items_after(
        &self,
        id: &str,
        (seq, row): ItemPlace,
        limit: usize,
    ) -> Result<Vec<(ItemPlace, RunItem)>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT seq, op, group_id, member, outcome, reason, message, fields, target_group, target_member, id
                 FROM run_items LEFT JOIN run_values ON run_values.item = run_items.id
                 WHERE run = ?1 AND (seq, id) > (?2, ?3) ORDER BY seq, id LIMIT ?4",
            )?;
            let mut texts = Texts::new(connection);
            let run = keys::find(connection, id)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = select.query((run, seq, row, limit))?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                let place = (row.get(0)?, row.get(10)?);
                items.push((place, read_item(row, &mut texts)?));
            }
            Ok(items)
        })
    }

    /// Returns what the runs of a job that are still remembered did to a person or a group, newest
    /// first.
    pub fn past_items(
        &self,
        job: &str,
        about: About<'_>,
        limit: usize,
    ) -> Result<Vec<PastItem>, StateError> {
        self.read(|connection| {
            // An "or" would keep SQLite from using an index, and a long history has millions of
            // items.
            let (text, of, id) = match about {
                About::Group(name, id) => (name, "group_id = ?1 AND member IS NULL", id),
                About::Person(name) => (name, "member = ?1", None),
            };
            let mut select = connection.prepare_cached(&format!(
                "SELECT seq, op, group_id, member, run_items.outcome, reason, message, fields, target_group, target_member, runs.id, job, started
                 FROM run_items CROSS JOIN texts ON texts.id = -run_items.run CROSS JOIN runs ON runs.id = texts.text
                 LEFT JOIN run_values ON run_values.item = run_items.id WHERE {of} AND job = ?2
                     AND (?4 IS NULL OR target_group IS NULL OR target_group = ?4)
                 ORDER BY run_items.id DESC LIMIT ?3"
            ))?;
            let mut texts = Texts::new(connection);
            // What has no number stands in no item.
            let Some(key) = keys::find(connection, text)? else {
                return Ok(Vec::new());
            };
            let id = id.map(|id| keys::find(connection, id)).transpose()?.flatten();
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = select.query((key, job, limit, id))?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                items.push(PastItem {
                    item: read_item(row, &mut texts)?,
                    run: row.get(10)?,
                    job: row.get(11)?,
                    started: time(row, 12)?,
                });
            }
            Ok(items)
        })
    }

    /// Deletes what is older than a time and counts the rows: runs with their items, settled
    /// journal entries, and approvals and plans that are used up. What later runs need stays:
    /// bases, unsettled entries, the newest run of each job, and a run of which an undo was
    /// interrupted with all that came after it.
    pub fn prune(&self, before: Timestamp) -> Result<usize, StateError> {
        self.write(|connection| prune(connection, &stamp(before)))
    }
}

/// Prunes history inside a transaction.
pub(super) fn prune(connection: &Connection, before: &str) -> Result<usize, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT id FROM runs WHERE coalesce(finished, started) < ?1
             AND (cause = 'empty-plan' OR EXISTS (SELECT 1 FROM runs AS newer
                 WHERE newer.job = runs.job AND newer.started > runs.started AND newer.cause <> 'empty-plan'))
             AND NOT EXISTS (SELECT 1 FROM jobs INNER JOIN runs AS undone ON undone.id = jobs.undo_open
                 WHERE undone.number <= runs.number) /* walks: history is pruned once a day */",
    )?;
    let old = select.query_map([before], |row| row.get(0))?;
    let old: Vec<String> = old.collect::<rusqlite::Result<_>>()?;
    let mut deleted = old.len();
    for run in old {
        connection.execute(
            "DELETE FROM run_items WHERE run = ?1",
            [keys::find(connection, &run)?],
        )?;
        connection.execute("DELETE FROM runs WHERE id = ?1", [run])?;
    }
    for sql in [
        "DELETE FROM journal WHERE settled < ?1",
        "DELETE FROM approvals WHERE coalesce(used, offered) < ?1 /* walks: history is pruned once a day */",
        "DELETE FROM used_plans WHERE used < ?1",
        "DELETE FROM consent_facts WHERE ended < ?1",
        "DELETE FROM notices WHERE at < ?1",
    ] {
        deleted += connection.execute(sql, [before])?;
    }
    deleted += members::prune(connection)?;
    if let Ok(before) = before.parse() {
        deleted += sizes::prune(connection, before)?;
    }
    keys::sweep(connection, None)?;
    Ok(deleted)
}

/// Takes down what a run did, item by item.
pub(super) fn insert_items(
    connection: &Connection,
    run: &str,
    items: &[RunItem],
) -> Result<(), Fault> {
    if items.is_empty() {
        return Ok(());
    }
    let mut keys = Keys::new(connection);
    let run = keys.key(run)?;
    let forgotten = ledger::forgotten(connection)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO run_items (run, seq, op, group_id, member, outcome, reason, message, target_group, target_member)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut insert_values =
        connection.prepare_cached("INSERT INTO run_values (item, fields) VALUES (?1, ?2)")?;
    let mut last: Option<u64> = None;
    for item in items {
        let seq = match (item.seq, last) {
            (0, None) => last_seq(connection, run)? + 1,
            (0, Some(last)) => last + 1,
            (seq, _) => seq,
        };
        last = Some(seq);
        // What is done for somebody who was forgotten is counted, and names nobody.
        let names_nobody = item
            .member
            .as_deref()
            .is_some_and(|it| forgotten.contains(it));
        let item = if names_nobody {
            &RunItem {
                member: None,
                member_id: None,
                message: None,
                fields: FieldChanges::new(),
                ..item.clone()
            }
        } else {
            item
        };
        let id = insert.insert((
            run,
            count(seq),
            keys.key(&item.op)?,
            keys.optional(item.group.as_deref())?,
            keys.optional(item.member.as_deref())?,
            keys.key(&item.outcome)?,
            keys.optional(item.reason.as_deref())?,
            &item.message,
            keys.optional(item.group_id.as_deref())?,
            keys.optional(item.member_id.as_deref())?,
        ))?;
        if !item.fields.is_empty() {
            insert_values.execute((id, keys.pack(&packable(&item.fields))?))?;
        }
    }
    Ok(())
}

fn last_seq(connection: &Connection, run: keys::Key) -> Result<u64, Fault> {
    let mut select =
        connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM run_items WHERE run = ?1")?;
    let last: i64 = select.query_row([run], |row| row.get(0))?;
    Ok(u64::try_from(last).unwrap_or_default())
}

/// Brings the fields of an item into the form in which fields are kept.
fn packable(fields: &FieldChanges) -> FieldBases {
    let pairs = fields.iter().map(|(name, change)| {
        let field = FieldBase {
            desired: change.after.clone(),
            target: change.before.clone(),
            // Says here that what was there before is known, also where it was nothing.
            written: change.is_before_known,
        };
        (name.clone(), field)
    });
    pairs.collect()
}

/// Reads a run from a row of [`RUN_COLUMNS`].
pub(super) fn read_run(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let outcome: Option<String> = row.get(5)?;
    let groups = optional_count(row, 10)?;
    let memberships = optional_count(row, 11)?;
    Ok(RunRecord {
        id: row.get(0)?,
        job: row.get(1)?,
        trigger: row.get(2)?,
        started: time(row, 3)?,
        finished: optional_time(row, 4)?,
        outcome: outcome.as_deref().and_then(Outcome::parse),
        exit_code: row.get(6)?,
        wrote: row.get(7)?,
        summary: optional_json(row, 8)?,
        error: row.get(9)?,
        measure: groups
            .zip(memberships)
            .map(|(groups, memberships)| Measure {
                groups,
                memberships,
            }),
        approved: serde_json::from_value(optional_json(row, 12)?).ok(),
    })
}

/// Reads an item from a row that begins with its columns, and has the group's id in another one.
pub(super) fn read_item(row: &Row<'_>, texts: &mut Texts<'_>) -> Result<RunItem, Fault> {
    let packed: Option<Vec<u8>> = row.get(7)?;
    let fields = packed.map(|packed| texts.unpack(&packed)).transpose()?;
    let changes = fields.into_iter().flatten().map(|(name, field)| {
        let change = FieldChange {
            is_before_known: field.written || field.target.is_some(),
            before: field.target,
            after: field.desired,
        };
        (name, change)
    });
    Ok(RunItem {
        seq: optional_count(row, 0)?.unwrap_or_default(),
        op: texts.of(row.get(1)?)?.to_owned(),
        group: texts.optional(row.get(2)?)?,
        member: texts.optional(row.get(3)?)?,
        group_id: texts.optional(row.get(8)?)?,
        member_id: texts.optional(row.get(9)?)?,
        outcome: texts.of(row.get(4)?)?.to_owned(),
        reason: texts.optional(row.get(5)?)?,
        message: row.get(6)?,
        fields: changes.collect(),
    })
}

fn optional_json(row: &Row<'_>, column: usize) -> rusqlite::Result<serde_json::Value> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(serde_json::Value::Null),
        _ => from_json(row, column),
    }
}
