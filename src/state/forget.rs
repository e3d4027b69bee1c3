//! Removing a person from everything that is remembered, except for the fact that nobody may
//! subscribe them again.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::Connection;

use super::Store;
use super::change::Change;
use super::convert::stamp;
use super::error::{Fault, StateError};

/// People who were forgotten: their hashes can be asked, not listed.
#[derive(Clone, Debug, Default)]
pub struct Forgotten {
    hashes: HashSet<String>,
}

impl Forgotten {
    /// Tells whether the person of a normalised address was forgotten, and so is barred from every
    /// group of every provider.
    pub fn contains(&self, address: &str) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&hash(address))
    }

    /// Tells whether nobody was forgotten.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

impl Store {
    /// Removes the person of a normalised address and counts the rows that were removed or emptied.
    ///
    /// A hash of the address stays and bars the person everywhere; links and bases of the person
    /// are not stored again. An open journal entry can't be followed up for a person nobody knows,
    /// so it counts as failed. Content is overwritten in the file; copies and backups are left as
    /// they are.
    pub fn forget_person(&self, address: &str, now: Timestamp) -> Result<usize, StateError> {
        let touched = self.write(|connection| {
            connection.pragma_update(None, "secure_delete", true)?;
            connection.execute("INSERT OR IGNORE INTO forgotten (hash, since) VALUES (?1, ?2)", (hash(address), stamp(now)))?;
            let mut touched = 0;
            // What is remembered of targets is only there to save a reading, so all of it goes.
            touched += connection.execute("DELETE FROM remembered_members WHERE address = ?1", [address])?;
            touched += connection.execute("DELETE FROM remembered_absent WHERE address = ?1", [address])?;
            connection.execute("DELETE FROM remembered_targets", [])?;
            for sql in [
                "DELETE FROM memberships WHERE EXISTS
                     (SELECT 1 FROM member_links AS link WHERE link.job = memberships.job AND link.target = memberships.member
                         AND link.address = ?1)",
                "DELETE FROM carried WHERE object = 'member' AND EXISTS
                     (SELECT 1 FROM member_links AS link JOIN jobs ON jobs.name = link.job WHERE link.address = ?1
                         AND ((jobs.source_provider = carried.provider AND link.source = carried.id)
                             OR (jobs.target_provider = carried.provider AND link.target = carried.id)))",
                "DELETE FROM own_removals WHERE address = ?1 OR EXISTS
                     (SELECT 1 FROM member_links AS link JOIN jobs ON jobs.name = link.job WHERE link.address = ?1
                         AND ((jobs.source_provider = own_removals.provider AND link.source = own_removals.member)
                             OR (jobs.target_provider = own_removals.provider AND link.target = own_removals.member)))",
                "DELETE FROM member_links WHERE address = ?1",
                "DELETE FROM bars WHERE address = ?1",
                "DELETE FROM failures WHERE member = ?1 OR instr(item_key, ?1) > 0",
                "DELETE FROM approval_items WHERE instr(item_key, ?1) > 0",
                "UPDATE run_items SET member = NULL, message = NULL, fields = NULL WHERE member = ?1",
                "UPDATE journal_items SET item_key = '', member = NULL, member_source = NULL, member_id = NULL, detail = NULL,
                     outcome_id = NULL, message = NULL, outcome = CASE outcome WHEN 'confirmed' THEN outcome ELSE 'failed' END
                 WHERE member = ?1",
            ] {
                touched += connection.execute(sql, [address])?;
            }
            connection.execute(
                "UPDATE journal SET settled = ?1 WHERE settled IS NULL AND NOT EXISTS
                     (SELECT 1 FROM journal_items WHERE entry = journal.id AND (outcome IS NULL OR outcome NOT IN ('confirmed', 'failed')))",
                [stamp(now)],
            )?;
            Ok(touched)
        })?;
        // The write-ahead log holds the old pages until it is emptied.
        let connection = self.lock();
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|error| StateError::of_sqlite(self.path(), error))?;
        Ok(touched)
    }

    /// Returns who was forgotten, to be asked person by person.
    pub fn forgotten(&self) -> Result<Forgotten, StateError> {
        self.read(load)
    }
}

/// Loads who was forgotten inside a transaction.
pub(super) fn load(connection: &Connection) -> Result<Forgotten, Fault> {
    let mut select = connection.prepare_cached("SELECT hash FROM forgotten")?;
    Ok(Forgotten {
        hashes: select
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?,
    })
}

/// Tells whether a change would store a forgotten person again.
pub(super) fn names_forgotten(change: &Change, forgotten: &Forgotten) -> bool {
    match change {
        Change::LinkMember { address, .. }
        | Change::MemberBase { address, .. }
        | Change::Bar { address, .. }
        | Change::OwnRemoval { address, .. }
        | Change::EarlyBar { address, .. } => forgotten.contains(address),
        _ => false,
    }
}

fn hash(address: &str) -> String {
    blake3::derive_key("rosterd forgotten person 1", address.as_bytes())
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, count_rows, link_member, membership, place};
    use super::super::{FailureNote, JournalEntry, JournalItem, RunItem, RunStart, Store};
    use super::*;

    #[test]
    fn nothing_but_a_hash_stays_of_a_forgotten_person() {
        let (_directory, path) = place();
        let store = Store::open(&path, at(0)).unwrap();
        let ana = "ana-who-leaves@example.org";
        store.register_job("job", "crm", "mail").unwrap();
        let bar = Change::Bar {
            provider: "mail".into(),
            group: None,
            address: ana.into(),
            origin: "listing".into(),
        };
        let link = link_member("job", "s1", "t1", ana);
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
                    ..RunItem::default()
                }],
            )
            .unwrap();
        let note = FailureNote {
            key: format!("member/{ana}"),
            member: Some(ana.into()),
            ..FailureNote::default()
        };
        store.note_failures("job", &[note], at(0)).unwrap();
        store
            .offer_approval("job", "x", &[format!("member/{ana}")].into(), at(0))
            .unwrap();
        let item = JournalItem {
            key: format!("member/{ana}"),
            member: Some(ana.into()),
            ..JournalItem::default()
        };
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
        assert_eq!(
            (
                count_rows(&store, "member_links"),
                count_rows(&store, "memberships"),
                count_rows(&store, "bars")
            ),
            (1, 1, 0)
        );
        drop(store);
        for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(
                !bytes
                    .windows(ana.len())
                    .any(|window| window == ana.as_bytes()),
                "the address is still in a file"
            );
        }
    }
}
