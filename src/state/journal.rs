//! The journal of writes (rule 5): intended before the request leaves, settled item by item after
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use compact_str::CompactString;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::change::{self, Change};
use super::convert::{from_json, json, stamp, time};
use super::error::{Fault, StateError};
use super::runs::{self, RunItem};
use super::{Store, jobs};
use crate::model::{Record, Value};

/// The number of a journal entry, never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalId(i64);

/// One item of a write: enough to find out by reading whether it was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalItem {
    /// The item's key, the same in the plan, the failures and here.
    pub key: String,
    /// The target group's id, where there is one yet, and several with commas. A creation names
    /// those that had the name before.
    pub group: Option<String>,
    /// The source group's id.
    pub group_source: Option<String>,
    /// The person's normalised address.
    pub member: Option<String>,
    /// The source person's id.
    pub member_source: Option<String>,
    /// The target person's id.
    pub member_id: Option<String>,
    /// What else identifies it, such as the name of a group to create.
    pub detail: Option<String>,
    /// The values that the request stores, under the target's own names.
    pub fields: Record,
    /// What the fields that it changes held before.
    pub before: Priors,
    /// The groups that were listed in the same run, before the request and without the person, with
    /// commas: whoever is found there afterwards is taken to have come by this request, and not by
    /// somebody else's in the minutes between.
    pub absent_from: Option<String>,
}

/// What fields held before a write, under the target's own names: a value, an empty one where there
/// was none, and nothing where that is not known.
pub type Priors = BTreeMap<CompactString, Option<Value>>;

/// A write that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// The job.
    pub job: String,
    /// The account that is written to.
    pub account: String,
    /// The neutral name of the write.
    pub operation: String,
    /// Its items, in the order of the request.
    pub items: Vec<JournalItem>,
    /// When it is about to be sent.
    pub now: Timestamp,
}

/// What is known of one item after its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalOutcome {
    /// It is done.
    Confirmed {
        /// The id of what was created, where the provider told it.
        id: Option<String>,
    },
    /// The provider said yes without proof: to be read back (rule 9).
    Accepted {
        /// The id of what was created, as claimed.
        id: Option<String>,
    },
    /// It is known not to be done.
    Failed {
        /// The provider's code.
        code: Option<String>,
        /// The provider's words.
        message: String,
    },
    /// Nothing is known: to be read back.
    Unknown,
}

impl JournalOutcome {
    /// Tells whether nothing is left to find out.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            JournalOutcome::Confirmed { .. } | JournalOutcome::Failed { .. }
        )
    }
}

/// What is written down once something is known of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settling<'a> {
    /// What became of it, one outcome per item.
    pub outcomes: &'a [JournalOutcome],
    /// Parts of its items of which nothing is known yet, to be added to them.
    pub rest: &'a [JournalItem],
    /// What it confirms.
    pub changes: &'a [Change],
    /// What its run has done since it was written down last.
    pub lines: &'a [RunItem],
}

/// An item of an entry that is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsettledItem {
    /// The item.
    pub item: JournalItem,
    /// What is known of it; nothing when no answer was recorded.
    pub outcome: Option<JournalOutcome>,
}

/// An entry of which some item's outcome is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsettledEntry {
    /// Its number, for [`Store::settle_write`].
    pub id: JournalId,
    /// The run that sent it, or was about to.
    pub run: String,
    /// The account.
    pub account: String,
    /// The neutral name of the write.
    pub operation: String,
    /// When it was about to be sent.
    pub intended: Timestamp,
    /// All its items, in the order of the request.
    pub items: Vec<UnsettledItem>,
}

/// A moment in the journal's life: around each of its two kinds of entry, before and after the disk
/// has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalMoment {
    /// An intent is written, and is lost if the process ends now.
    IntentWritten,
    /// The intent is on disk; its request has not left yet.
    IntentKept,
    /// What became of a request is written, and is lost if the process ends now.
    OutcomeWritten,
    /// What became of the request outlives the process; a power cut it may not, until the next intent
    /// is on disk.
    OutcomeKept,
}

type Watch = Arc<dyn Fn(JournalMoment) + Send + Sync>;

/// Who hears of the journal's moments: nobody, outside rehearsals of a crash.
#[derive(Default)]
pub(super) struct Watcher(Mutex<Option<Watch>>);

impl Watcher {
    fn reach(&self, moment: JournalMoment) {
        // The lock is free again before the watcher is called: it may end the run by a panic.
        let watch = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(watch) = watch {
            watch(moment);
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

impl Store {
    /// Calls back at each moment of the journal, until the next call; nothing in the product asks
    /// for it.
    ///
    /// A rehearsal of a crash panics in the callback, or copies the files as a power cut would
    /// leave them. The callback can neither change what is written nor stop it from being written,
    /// other than by ending the run.
    pub fn watch_journal(&self, watch: impl Fn(JournalMoment) + Send + Sync + 'static) {
        *self
            .watcher
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(watch));
    }

    /// Writes down that a request is about to leave; on disk when it returns.
    ///
    /// The run counts as the job's last one that wrote from here on, so that a plan made before
    /// does not fit after a crash.
    pub fn begin_write(&self, run: &str, entry: &JournalEntry) -> Result<JournalId, StateError> {
        let id = self.write(|connection| {
            jobs::ensure(connection, &entry.job)?;
            connection
                .prepare_cached("UPDATE jobs SET last_writing_run = ?2 WHERE name = ?1 AND last_writing_run IS NOT ?2")?
                .execute((&entry.job, run))?;
            let id = connection
                .prepare_cached("INSERT INTO journal (run, job, account, operation, intended) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .insert((run, &entry.job, &entry.account, &entry.operation, stamp(entry.now)))?;
            insert_items(connection, id, 0, &entry.items)?;
            self.watcher.reach(JournalMoment::IntentWritten);
            Ok(JournalId(id))
        })?;
        self.watcher.reach(JournalMoment::IntentKept);
        Ok(id)
    }

    /// Writes down what became of a request, one outcome per item, together with the changes that
    /// it confirms: all or nothing.
    ///
    /// May be called again once more is known. An item that is confirmed or failed stays so. The
    /// entry is settled once every item is. A power cut right after it can leave the items open: what
    /// became of them is found out by reading then. Whose doing a removal is can't be, and is on disk
    /// when it returns.
    ///
    /// # Errors
    /// [`StateError::Outcomes`] when the outcomes are not one per item.
    pub fn settle_write(
        &self,
        id: JournalId,
        outcomes: &[JournalOutcome],
        changes: &[Change],
        now: Timestamp,
    ) -> Result<(), StateError> {
        let settled = Settling {
            outcomes,
            changes,
            ..Settling::default()
        };
        self.settle(id, &settled, now)
    }

    /// Writes down like [`Store::settle_write`] what became of a request, and what else is known by
    /// then: all or nothing.
    pub fn settle(
        &self,
        id: JournalId,
        settled: &Settling<'_>,
        now: Timestamp,
    ) -> Result<(), StateError> {
        let Settling {
            outcomes,
            rest,
            changes,
            lines,
        } = *settled;
        // Whose doing a removal is no reading finds out again.
        let is_claim = |change: &Change| {
            matches!(
                change,
                Change::OwnRemoval { .. }
                    | Change::OwnRemovalEnded { .. }
                    | Change::MemberRemovedByUs { removed: true, .. }
            )
        };
        let work = |connection: &Connection| {
            let items: i64 = connection
                .prepare_cached("SELECT count(*) FROM journal_items WHERE entry = ?1")?
                .query_row([id.0], |row| row.get(0))?;
            let items = usize::try_from(items).unwrap_or_default();
            let run: Option<String> = connection
                .prepare_cached("SELECT run FROM journal WHERE id = ?1")?
                .query_row([id.0], |row| row.get(0))
                .optional()?;
            let Some(run) = run.filter(|_| items == outcomes.len()) else {
                return Err(StateError::Outcomes {
                    entry: id.0,
                    items,
                    outcomes: outcomes.len(),
                }
                .into());
            };
            let mut update = connection.prepare_cached(
                "UPDATE journal_items SET outcome = ?4, outcome_id = coalesce(?5, outcome_id), code = ?6, message = ?7
                 WHERE entry = ?1 AND position BETWEEN ?2 AND ?3 AND (outcome IS NULL OR outcome NOT IN ('confirmed', 'failed'))",
            )?;
            let mut forget_values = connection.prepare_cached(
                "DELETE FROM journal_values WHERE entry = ?1 AND position BETWEEN ?2 AND ?3",
            )?;
            let mut next = 0_i64;
            // Most of a request ends alike, and is written as one.
            for alike in outcomes.chunk_by(PartialEq::eq) {
                let (first, last) = (next, next + alike.len() as i64 - 1);
                next = last + 1;
                let outcome = &alike[0];
                let (word, created, code, message) = match outcome {
                    JournalOutcome::Confirmed { id } => ("confirmed", id.as_deref(), None, None),
                    JournalOutcome::Accepted { id } => ("accepted", id.as_deref(), None, None),
                    JournalOutcome::Failed { code, message } => {
                        ("failed", None, code.as_deref(), Some(message.as_str()))
                    }
                    JournalOutcome::Unknown => ("unknown", None, None, None),
                };
                update.execute((id.0, first, last, word, created, code, message))?;
                // What it was about to store is of use to whoever has to find out what became of it.
                if outcome.is_final() {
                    forget_values.execute((id.0, first, last))?;
                }
            }
            insert_items(connection, id.0, next, rest)?;
            connection
                .prepare_cached(
                    "UPDATE journal SET settled = ?2 WHERE id = ?1 AND settled IS NULL AND NOT EXISTS
                         (SELECT 1 FROM journal_items WHERE entry = ?1 AND (outcome IS NULL OR outcome NOT IN ('confirmed', 'failed')))",
                )?
                .execute((id.0, stamp(now)))?;
            change::apply(connection, changes)?;
            runs::insert_items(connection, &run, lines)?;
            self.watcher.reach(JournalMoment::OutcomeWritten);
            Ok(())
        };
        if changes.iter().any(is_claim) {
            self.write(work)?;
        } else {
            self.write_soon(work)?;
        }
        self.watcher.reach(JournalMoment::OutcomeKept);
        Ok(())
    }

    /// Returns when the last write to an account was intended of which some item's outcome is not
    /// known, whichever job sent it.
    pub fn last_unsettled(&self, account: &str) -> Result<Option<Timestamp>, StateError> {
        self.read(|connection| {
            let mut select = connection
                .prepare_cached("SELECT intended FROM journal WHERE account = ?1 AND settled IS NULL ORDER BY id DESC LIMIT 1")?;
            Ok(select.query_row([account], |row| time(row, 0)).optional()?)
        })
    }

    /// Returns when the last creation at an account was intended of which some item's outcome is not
    /// known, whichever job sent it.
    pub fn last_creation_unsettled(&self, account: &str) -> Result<Option<Timestamp>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT intended FROM journal WHERE account = ?1 AND settled IS NULL
                     AND operation IN ('create_group', 'create_members') ORDER BY id DESC LIMIT 1",
            )?;
            Ok(select.query_row([account], |row| time(row, 0)).optional()?)
        })
    }

    /// Returns the removals at an account of which nobody knows yet whether they were done, as
    /// group and person by id, whichever job sent them.
    pub fn pending_removals(
        &self,
        account: &str,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT item.group_id, item.member_id FROM journal JOIN journal_items AS item ON item.entry = journal.id
                 WHERE journal.account = ?1 AND journal.settled IS NULL AND journal.operation = 'remove_memberships'
                     AND (item.outcome IS NULL OR item.outcome NOT IN ('confirmed', 'failed'))
                     AND item.group_id IS NOT NULL AND item.member_id IS NOT NULL",
            )?;
            let mut rows = select.query([account])?;
            let mut pending: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let (groups, member): (String, String) = (row.get(0)?, row.get(1)?);
                for group in groups.split(',') {
                    pending.entry(group.to_owned()).or_default().insert(member.clone());
                }
            }
            Ok(pending)
        })
    }

    /// Returns the entries of a job that are not settled, oldest first.
    pub fn unsettled(&self, job: &str) -> Result<Vec<UnsettledEntry>, StateError> {
        self.read(|connection| unsettled(connection, job))
    }
}

/// Returns the entries of a job that are not settled, oldest first.
pub(super) fn unsettled(connection: &Connection, job: &str) -> Result<Vec<UnsettledEntry>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT id, run, account, operation, intended FROM journal WHERE job = ?1 AND settled IS NULL ORDER BY id",
    )?;
    let mut entries = select
        .query_map([job], |row| {
            Ok(UnsettledEntry {
                id: JournalId(row.get(0)?),
                run: row.get(1)?,
                account: row.get(2)?,
                operation: row.get(3)?,
                intended: time(row, 4)?,
                items: Vec::new(),
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for entry in &mut entries {
        entry.items = items(connection, entry.id)?;
    }
    Ok(entries)
}

/// Writes down the items of an entry from a position on.
fn insert_items(
    connection: &Connection,
    entry: i64,
    first: i64,
    items: &[JournalItem],
) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO journal_items (entry, position, item_key, group_id, group_source, member, member_source, member_id, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let mut insert_values = connection.prepare_cached(
        "INSERT INTO journal_values (entry, position, fields, absent_from, before) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (position, item) in (first..).zip(items) {
        insert.execute((
            entry,
            position,
            &item.key,
            &item.group,
            &item.group_source,
            &item.member,
            &item.member_source,
            &item.member_id,
            &item.detail,
        ))?;
        let fields = (!item.fields.is_empty()).then(|| json(&item.fields));
        let before = (!item.before.is_empty()).then(|| json(&item.before));
        if fields.is_some() || before.is_some() || item.absent_from.is_some() {
            insert_values.execute((entry, position, fields, &item.absent_from, before))?;
        }
    }
    Ok(())
}

fn items(connection: &Connection, entry: JournalId) -> Result<Vec<UnsettledItem>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT item_key, group_id, group_source, member, member_source, member_id, detail, outcome, outcome_id, code, message,
             stored.fields, stored.absent_from, stored.before
         FROM journal_items AS item LEFT JOIN journal_values AS stored ON stored.entry = item.entry AND stored.position = item.position
         WHERE item.entry = ?1 ORDER BY item.position",
    )?;
    let rows = select.query_map([entry.0], |row| {
        let outcome: Option<String> = row.get(7)?;
        Ok(UnsettledItem {
            item: JournalItem {
                key: row.get(0)?,
                group: row.get(1)?,
                group_source: row.get(2)?,
                member: row.get(3)?,
                member_source: row.get(4)?,
                member_id: row.get(5)?,
                detail: row.get(6)?,
                fields: match row.get_ref(11)? {
                    rusqlite::types::ValueRef::Null => Record::new(),
                    _ => from_json(row, 11)?,
                },
                absent_from: row.get(12)?,
                before: match row.get_ref(13)? {
                    rusqlite::types::ValueRef::Null => Priors::new(),
                    _ => from_json(row, 13)?,
                },
            },
            outcome: match outcome.as_deref() {
                None => None,
                Some("confirmed") => Some(JournalOutcome::Confirmed { id: row.get(8)? }),
                Some("accepted") => Some(JournalOutcome::Accepted { id: row.get(8)? }),
                Some("failed") => Some(JournalOutcome::Failed {
                    code: row.get(9)?,
                    message: row.get::<_, Option<String>>(10)?.unwrap_or_default(),
                }),
                Some(_) => Some(JournalOutcome::Unknown),
            },
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
