//! Removing a person from everything that is remembered, except for the fact that nobody may
//! subscribe them again.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::Connection;

use super::change::Change;
use super::convert::stamp;
use super::error::{Fault, StateError};
use super::keys::{Key, Texts};
use super::ledger::PersonKey;
use super::{Store, jobs, keys, ledger};
use crate::model::{Forgotten, ObjectKind};

/// What was removed or emptied of a person, in rows, and what stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Pairs of people, of now and of before.
    pub links: usize,
    /// Memberships.
    pub memberships: usize,
    /// Lines of the history, with the fields that they name.
    pub history: usize,
    /// Items of the journal.
    pub journal: usize,
    /// Items that failed or are blocked.
    pub failures: usize,
    /// Acceptances, and operations of approvals.
    pub approvals: usize,
    /// Refusals and removals of rosterd's own, in place of which the hash bars.
    pub refusals: usize,
    /// Carried values, and what was read of targets to save a reading.
    pub memories: usize,
    /// Contacts that had the address once and have another one by now. They stay: somebody else may
    /// be meant.
    pub later: usize,
    /// Whether the write-ahead log still holds what was removed, because somebody reads the database.
    pub log_is_held: bool,
}

impl Removal {
    /// Tells whether anything was known of the person.
    pub fn is_anything(&self) -> bool {
        let rows = [
            self.links,
            self.memberships,
            self.history,
            self.journal,
            self.failures,
            self.approvals,
            self.refusals,
            self.memories,
        ];
        rows.iter().any(|rows| *rows > 0)
    }
}

impl Store {
    /// Removes the person of a normalised address, also by former addresses that nobody else has, and
    /// counts the rows that were removed or emptied.
    ///
    /// A hash of each address stays and bars the person everywhere, with hashes of the ids that are
    /// known of the person in any account; links and bases of the person are not stored again. An
    /// open journal entry can't be followed up for a person nobody knows, so it counts as failed.
    /// Content is overwritten in the file; copies and backups are left as they are.
    pub fn forget_person(&self, address: &str, now: Timestamp) -> Result<Removal, StateError> {
        let mut removal = self.write(|connection| forget_all(connection, address, now))?;
        // The write-ahead log holds the old pages until it is emptied.
        let connection = self.lock();
        removal.log_is_held = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|error| StateError::of_sqlite(self.path(), error))?;
        Ok(removal)
    }

    /// Tells whether anybody was forgotten since a time: what was made before it may name them.
    pub fn forgot_since(&self, time: Timestamp) -> Result<bool, StateError> {
        self.read(|connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT 1 FROM consent_facts WHERE account = '' AND what = 'forgotten' AND ended IS NULL AND since >= ?1 LIMIT 1
                     /* walks: no further than the first who asked for it */",
                )?
                .exists([stamp(time)])?)
        })
    }
}

/// Removes a person by the address and by the former ones that nobody else has by now.
fn forget_all(connection: &Connection, address: &str, now: Timestamp) -> Result<Removal, Fault> {
    let mut removal = Removal::default();
    let former = forget_address(connection, address, now, &mut removal)?;
    for former in former {
        let is_taken = connection
            .prepare_cached("SELECT 1 FROM member_links WHERE address = ?1 LIMIT 1 /* walks: somebody is forgotten once */")?
            .exists([keys::find(connection, &former)?])?;
        if is_taken {
            keys::sweep(connection, Some(&former))?;
        } else {
            forget_address(connection, &former, now, &mut removal)?;
        }
    }
    Ok(removal)
}

/// Removes what one address leads to; returns the former addresses of the pairs that went.
fn forget_address(
    connection: &Connection,
    address: &str,
    now: Timestamp,
    removal: &mut Removal,
) -> Result<Vec<String>, Fault> {
    let linked = linked_ids(connection, address)?;
    let others = other_addresses(connection, address)?;
    let (refusals, ids) = ledger::forget(connection, address, linked, &stamp(now))?;
    removal.refusals += refusals;
    for (account, id) in &ids {
        removal.memories += connection.execute(
            "DELETE FROM carried WHERE object = ?1 AND account = ?2 AND id = ?3",
            (ObjectKind::Member.as_str(), account, id),
        )?;
        removal.memberships += connection.execute(
            "DELETE FROM memberships WHERE member = ?2
                 AND job IN (SELECT id FROM jobs WHERE target_account = ?1) /* walks: somebody is forgotten once */",
            (account, keys::find(connection, id)?),
        )?;
        removal.memberships += connection.execute(
            "DELETE FROM past_memberships WHERE member = ?2
                 AND job IN (SELECT id FROM jobs WHERE target_account = ?1) /* walks: somebody is forgotten once */",
            (account, keys::find(connection, id)?),
        )?;
    }
    // What is remembered of targets is only there to save a reading, so all of it goes.
    let key = keys::find(connection, address)?;
    for sql in [
        "DELETE FROM remembered_members WHERE address = ?1 /* walks: somebody is forgotten once */",
        "DELETE FROM remembered_absent WHERE address = ?1 /* walks: somebody is forgotten once */",
    ] {
        removal.memories += connection.execute(sql, [key])?;
    }
    connection.execute(
        "DELETE FROM remembered_targets /* walks: what hangs on them goes with them */",
        [],
    )?;
    removal.memberships += connection.execute(
        "DELETE FROM memberships WHERE (job, member) IN (SELECT job, target FROM member_links WHERE address = ?1)
         /* walks: somebody is forgotten once */",
        [key],
    )?;
    removal.memberships += connection.execute(
        "DELETE FROM past_memberships WHERE address = ?1 OR (job, member) IN (SELECT job, target FROM member_links WHERE address = ?1)
         /* walks: somebody is forgotten once */",
        [key],
    )?;
    for sql in [
        "DELETE FROM former_links WHERE (job, source, target) IN
             (SELECT job, source, target FROM member_links WHERE address = ?1) /* walks: somebody is forgotten once */",
        "DELETE FROM member_links WHERE address = ?1 /* walks: somebody is forgotten once */",
        "DELETE FROM former_links WHERE address = ?1 /* walks: somebody is forgotten once */",
    ] {
        removal.links += connection.execute(sql, [key])?;
    }
    removal.history += empty_lines(connection, key)?;
    let moves = keys::find(connection, "change_address")?;
    let mut former = Vec::new();
    for other in others {
        match other {
            Other::Former(key) => {
                removal.history += empty_lines(connection, Some(key))?;
                former.push(Texts::new(connection).of(key)?.to_owned());
            }
            // Somebody else may be meant by it, but for the line that names both.
            Other::Later(key) => {
                removal.later += 1;
                removal.history += connection.execute(
                    "DELETE FROM run_values WHERE item IN (SELECT id FROM run_items WHERE member = ?1 AND op = ?2)",
                    (key, moves),
                )?;
            }
        }
    }
    for text in ids.iter().map(|(_, id)| id.as_str()).chain([address]) {
        keys::sweep(connection, Some(text))?;
    }
    removal.failures += connection.execute(
        "DELETE FROM failures WHERE member = ?1 OR instr(' ' || item_key || ' ', ' ' || ?1 || ' ') > 0 /* walks: somebody is forgotten once */",
        [address],
    )?;
    for sql in [
        "DELETE FROM accepted WHERE member = ?1 /* walks: somebody is forgotten once */",
        "DELETE FROM approval_items WHERE instr(' ' || item_key || ' ', ' ' || ?1 || ' ') > 0 /* walks: somebody is forgotten once */",
    ] {
        removal.approvals += connection.execute(sql, [address])?;
    }
    connection.execute(
        "DELETE FROM journal_values WHERE (entry, position) IN
             (SELECT entry, position FROM journal_items WHERE member = ?1) /* walks: somebody is forgotten once */",
        [address],
    )?;
    removal.journal += connection.execute(
        "UPDATE journal_items SET item_key = '', member = NULL, member_source = NULL, member_id = NULL, detail = NULL,
             outcome_id = NULL, message = NULL, outcome = CASE outcome WHEN 'confirmed' THEN outcome ELSE 'failed' END
         WHERE member = ?1 /* walks: somebody is forgotten once */",
        [address],
    )?;
    connection.execute(
        "UPDATE journal SET settled = ?1 WHERE settled IS NULL AND NOT EXISTS
             (SELECT 1 FROM journal_items WHERE entry = journal.id AND (outcome IS NULL OR outcome NOT IN ('confirmed', 'failed'))) /* walks: all that is open */",
        [stamp(now)],
    )?;
    Ok(former)
}

/// Has everybody whom one database has forgotten be forgotten in another one as well, which may
/// remember them; counts those whom it did remember.
pub(super) fn forget_as_in(
    from: &Connection,
    to: &Connection,
    now: Timestamp,
) -> Result<usize, Fault> {
    let forgotten = ledger::forgotten(from)?;
    if forgotten.is_empty() {
        return Ok(0);
    }
    ledger::take_hashes(from, to, &stamp(now))?;
    let mut remembered = BTreeSet::new();
    for sql in [
        "SELECT text FROM texts /* walks: a copy is put back once */",
        "SELECT member FROM journal_items WHERE member IS NOT NULL /* walks: a copy is put back once */",
        "SELECT member FROM failures WHERE member IS NOT NULL /* walks: a copy is put back once */",
        "SELECT member FROM accepted WHERE member IS NOT NULL /* walks: a copy is put back once */",
        "SELECT key FROM consent_people WHERE kind = 'address' /* walks: a copy is put back once */",
    ] {
        let mut select = to.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let text = super::base::text(row, 0)?;
            if text.contains('@') && forgotten.contains(text) {
                remembered.insert(text.to_owned());
            }
        }
    }
    let mut count = 0;
    for address in &remembered {
        count += usize::from(forget_all(to, address, now)?.is_anything());
    }
    Ok(count)
}

/// Returns the ids of a person at either side of every job, as account and id: by the links of
/// today, and by former ones that nobody else has by now.
fn linked_ids(connection: &Connection, address: &str) -> Result<BTreeSet<(String, String)>, Fault> {
    let mut select = connection.prepare(
        "WITH pairs AS (
             SELECT job, source, target FROM member_links WHERE address = ?1
             UNION SELECT job, source, target FROM former_links AS former WHERE address = ?1
                 AND NOT EXISTS (SELECT 1 FROM member_links AS link
                     WHERE link.job = former.job AND link.source = former.source AND link.address <> ?1)
                 AND NOT EXISTS (SELECT 1 FROM member_links AS link INDEXED BY member_links_target
                     WHERE link.job = former.job AND link.target = former.target AND link.address <> ?1))
         SELECT jobs.source_account, pairs.source FROM pairs JOIN jobs ON jobs.id = pairs.job
         UNION SELECT jobs.target_account, pairs.target FROM pairs JOIN jobs ON jobs.id = pairs.job
         /* walks: somebody is forgotten once */",
    )?;
    let mut texts = Texts::new(connection);
    let mut rows = select.query([keys::find(connection, address)?])?;
    let mut found = BTreeSet::new();
    while let Some(row) = rows.next()? {
        found.insert((row.get(0)?, texts.of(row.get(1)?)?.to_owned()));
    }
    Ok(found)
}

/// Another address of somebody, of earlier or of later than the one that is asked about.
enum Other {
    Former(Key),
    Later(Key),
}

/// Returns what other addresses the links of a person have had.
fn other_addresses(connection: &Connection, address: &str) -> Result<Vec<Other>, Fault> {
    let key = keys::find(connection, address)?;
    let of = |sql: &str, other: fn(Key) -> Other| -> Result<Vec<Other>, Fault> {
        let mut select = connection.prepare(sql)?;
        let found = select.query_map([key], |row| row.get(0).map(other))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    };
    let mut others = of(
        "SELECT DISTINCT former.address FROM member_links AS link JOIN former_links AS former
             ON former.job = link.job AND former.source = link.source AND former.target = link.target
         WHERE link.address = ?1 AND former.address <> ?1 /* walks: somebody is forgotten once */",
        Other::Former,
    )?;
    others.extend(of(
        "SELECT DISTINCT link.address FROM former_links AS former JOIN member_links AS link
             ON link.job = former.job AND link.source = former.source
         WHERE former.address = ?1 AND link.target = former.target AND link.address <> ?1 /* walks: somebody is forgotten once */",
        Other::Later,
    )?);
    Ok(others)
}

/// Empties the lines of the history that name somebody by this address.
fn empty_lines(connection: &Connection, address: Option<Key>) -> Result<usize, Fault> {
    let values = connection.execute(
        "DELETE FROM run_values WHERE item IN (SELECT id FROM run_items WHERE member = ?1)",
        [address],
    )?;
    let lines = connection.execute(
        "UPDATE run_items SET member = NULL, target_member = NULL, message = NULL WHERE member = ?1",
        [address],
    )?;
    Ok(values + lines)
}

/// Leaves out of a change what would store a forgotten person again; nothing where that is all.
///
/// A refusal of somebody who is known by another address, too, stays under that one: no refusal is
/// lost by a key.
pub(super) fn without_forgotten<'a>(
    connection: &Connection,
    change: &'a Change,
    forgotten: &Forgotten,
) -> Result<Option<Cow<'a, Change>>, Fault> {
    if forgotten.is_empty() {
        return Ok(Some(Cow::Borrowed(change)));
    }
    let accounts = |job: &str| jobs::accounts(connection, job);
    let known = |people: &[PersonKey], account: &str| -> Vec<PersonKey> {
        let known = people.iter();
        known
            .filter(|person| !person.is_forgotten(account, forgotten))
            .cloned()
            .collect()
    };
    let leave = match change {
        Change::LinkMember {
            job,
            source,
            target,
            address,
            ..
        } => {
            let (source_account, target_account) = accounts(job)?;
            forgotten.contains(address)
                || forgotten.contains_id(&source_account, source)
                || forgotten.contains_id(&target_account, target)
        }
        Change::MemberBase {
            job,
            source,
            address,
            ..
        } => forgotten.contains(address) || forgotten.contains_id(&accounts(job)?.0, source),
        Change::Membership { job, member, .. } => {
            forgotten.knows_ids() && forgotten.contains_id(&accounts(job)?.1, member)
        }
        Change::Carried {
            account,
            object: ObjectKind::Member,
            id,
            ..
        } => forgotten.contains_id(account, id),
        Change::OwnRemoval {
            account,
            member,
            address,
            ..
        } => forgotten.contains(address) || forgotten.contains_id(account, member),
        Change::Refusal {
            account,
            people,
            audience,
            origin,
        } => {
            let known = known(people, account);
            let has_address = |people: &[PersonKey]| {
                people
                    .iter()
                    .any(|person| matches!(person, PersonKey::Address(_)))
            };
            // Whose only address is forgotten is barred everywhere, and ids would tell who it was.
            let stays = !known.is_empty() && has_address(&known) == has_address(people);
            return Ok(stays.then(|| {
                Cow::Owned(Change::Refusal {
                    account: account.clone(),
                    people: known,
                    audience: audience.clone(),
                    origin: origin.clone(),
                })
            }));
        }
        Change::RefusalHeld {
            account,
            group,
            known_as,
            people,
        } => {
            return Ok(Some(Cow::Owned(Change::RefusalHeld {
                account: account.clone(),
                group: group.clone(),
                known_as: known_as.clone(),
                people: known(people, account),
            })));
        }
        Change::RefusalKnownAs {
            fact,
            people,
            audience,
        } => {
            let account = ledger::account_of(connection, *fact)?;
            return Ok(Some(Cow::Owned(Change::RefusalKnownAs {
                fact: *fact,
                people: known(people, &account),
                audience: audience.clone(),
            })));
        }
        _ => false,
    };
    Ok((!leave).then_some(Cow::Borrowed(change)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, count_rows, link_member, membership, place};
    use super::super::{
        AudienceKey, FailureNote, FieldChange, FieldChanges, JournalEntry, JournalItem,
        JournalOutcome, RunItem, RunStart, Store,
    };
    use super::*;
    use crate::plan::item_key;

    #[test]
    fn nothing_but_a_hash_stays_of_a_forgotten_person() {
        let (_directory, path) = place();
        let store = Store::open(&path, at(0)).unwrap();
        let ana = "ana-who-leaves@example.org";
        store.register_job("job", "crm", "mail").unwrap();
        let bar = Change::Refusal {
            account: "mail".into(),
            people: vec![PersonKey::Address(ana.into())],
            audience: vec![AudienceKey::Account],
            origin: "listing".into(),
        };
        let link = link_member("job", "s1", "t1", ana);
        let value = FieldChange {
            before: Some("ana-whose-phone".into()),
            is_before_known: true,
            after: None,
        };
        let values = FieldChanges::from([("phone".into(), value)]);
        store
            .record(&[
                link.clone(),
                bar.clone(),
                membership("job", "g", "t1", true),
                link_member("job", "s2", "t2", "bo@example.org"),
                membership("job", "g", "t2", true),
            ])
            .unwrap();
        store
            .start_run(&RunStart {
                id: "r".into(),
                job: "job".into(),
                trigger: "manual".into(),
                started: at(0),
            })
            .unwrap();
        store
            .add_run_items(
                "r",
                &[RunItem {
                    member: Some(ana.into()),
                    fields: values.clone(),
                    ..RunItem::default()
                }],
            )
            .unwrap();
        let note = FailureNote {
            key: item_key("update_member", "", ana),
            member: Some(ana.into()),
            ..FailureNote::default()
        };
        store.note_failures("job", &[note], at(0)).unwrap();
        store
            .offer_approval(
                "job",
                "x",
                &[item_key("update_member", "", ana)].into(),
                at(0),
            )
            .unwrap();
        let item = JournalItem {
            key: item_key("update_member", "", ana),
            member: Some(ana.into()),
            fields: [("email".into(), crate::model::Value::from(ana))].into(),
            ..JournalItem::default()
        };
        let settled = JournalEntry {
            job: "job".into(),
            account: "mail".into(),
            operation: "update_members".into(),
            items: vec![item.clone()],
            now: at(0),
        };
        let id = store.begin_write("r", &settled).unwrap();
        let done = JournalOutcome::Confirmed { id: None };
        store.settle_write(id, &[done], &[], at(0)).unwrap();
        let entry = JournalEntry {
            job: "job".into(),
            account: "mail".into(),
            operation: "create_members".into(),
            items: vec![item],
            now: at(0),
        };
        store.begin_write("r", &entry).unwrap();

        assert!(!store.forgotten().unwrap().contains(ana));
        store.forget_person(ana, at(1)).unwrap();
        assert!(
            store.forgotten().unwrap().contains(ana)
                && !store.forgotten().unwrap().contains("bo@example.org")
        );
        assert!(store.unsettled("job").unwrap().is_empty());
        store.record(&[link, bar]).unwrap();
        // What is still done for somebody forgotten is a line without a name.
        let line = RunItem {
            member: Some(ana.into()),
            fields: values,
            ..RunItem::default()
        };
        store.add_run_items("r", &[line]).unwrap();
        assert_eq!(count_rows(&store, "run_items"), 2);
        assert_eq!(count_rows(&store, "run_values"), 0);
        assert_eq!(
            (
                count_rows(&store, "member_links"),
                count_rows(&store, "memberships"),
                count_rows(&store, "consent_facts")
            ),
            (1, 1, 1),
            "the one fact is that of the forgotten person"
        );
        drop(store);
        for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            for text in [ana, "ana-whose-phone"] {
                let mut windows = bytes.windows(text.len());
                let is_there = windows.any(|window| window == text.as_bytes());
                assert!(!is_there, "{text} is still in a file");
            }
        }
    }
}
