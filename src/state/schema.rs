//! Whose file it is, which version it has, and how it becomes the current one.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::backup::{beside, copy_database};
use super::convert::stamp;
use super::error::{Fault, StateError};
use super::renumber;

/// The mark of our files in SQLite's header: "rstd".
pub(super) const APPLICATION_ID: i64 = 0x7273_7464;

/// The steps from an empty file to the current schema, in order; a step is never changed once
/// released.
const STEPS: [&str; 22] = [
    include_str!("schema/001_start.sql"),
    include_str!("schema/002_remembered.sql"),
    include_str!("schema/003_held_bars.sql"),
    include_str!("schema/004_own_removals.sql"),
    include_str!("schema/005_ledger.sql"),
    include_str!("schema/006_journal_values.sql"),
    include_str!("schema/007_accepted.sql"),
    include_str!("schema/008_approved.sql"),
    include_str!("schema/009_paths.sql"),
    include_str!("schema/010_numbers.sql"),
    include_str!("schema/011_unreadable.sql"),
    include_str!("schema/012_record.sql"),
    include_str!("schema/013_request_times.sql"),
    include_str!("schema/014_run_ids.sql"),
    include_str!("schema/015_told_losses.sql"),
    include_str!("schema/016_past_memberships.sql"),
    include_str!("schema/017_service.sql"),
    include_str!("schema/018_undo.sql"),
    include_str!("schema/019_order_and_priors.sql"),
    include_str!("schema/020_group_sizes.sql"),
    include_str!("schema/021_under_way.sql"),
    include_str!("schema/022_notices.sql"),
];

/// The version from which on ids and addresses stand as numbers, which no SQL can bring about.
const NUMBERED: usize = 10;

/// The version of the current schema.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// An empty file.
    Fresh,
    /// Ours, with this version.
    Ours(i64),
}

/// Looks whose file it is, without changing it.
pub(super) fn identify(connection: &Connection, path: &Path) -> Result<Identity, Fault> {
    let number = |pragma: &str| {
        connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0))
    };
    let application = number("application_id")?;
    let version = number("user_version")?;
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && version == 0 && objects == 0 {
        return Ok(Identity::Fresh);
    }
    if application != APPLICATION_ID {
        return Err(StateError::Foreign {
            path: path.to_owned(),
        }
        .into());
    }
    if version > VERSION {
        return Err(StateError::Newer {
            path: path.to_owned(),
            found: version,
            known: VERSION,
        }
        .into());
    }
    Ok(Identity::Ours(version))
}

/// Brings the file to the current version, after a copy of it was kept.
pub(super) fn migrate(
    connection: &Connection,
    path: Option<&Path>,
    now: Timestamp,
) -> Result<(), Fault> {
    migrate_by(connection, path, now, &STEPS)
}

fn migrate_by(
    connection: &Connection,
    path: Option<&Path>,
    now: Timestamp,
    steps: &[&str],
) -> Result<(), Fault> {
    let newest = steps.len();
    let shown = path.unwrap_or(Path::new(":memory:"));
    let version_of = |identity| match identity {
        Identity::Ours(version) => usize::try_from(version).unwrap_or_default(),
        Identity::Fresh => 0,
    };
    let found = version_of(identify(connection, shown)?);
    if found == newest {
        return Ok(());
    }
    if let Some(path) = path
        && found > 0
    {
        copy_database(connection, &beside(path, &format!(".before-{newest}")))?;
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Another process may have been faster between the look and the lock.
    let from = version_of(identify(&transaction, shown)?);
    for (version, step) in steps.iter().enumerate().skip(from) {
        transaction.execute_batch(step)?;
        if version + 1 == NUMBERED {
            renumber::all(&transaction)?;
        }
        transaction.execute(
            "INSERT INTO migrations (version, applied) VALUES (?1, ?2)",
            (version as i64 + 1, stamp(now)),
        )?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", newest as i64)?;
    transaction.commit()?;
    if (1..NUMBERED).contains(&from) {
        // What went before then was not overwritten, and somebody may ask to be forgotten.
        connection.execute_batch("VACUUM")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::Store;
    use super::*;
    use crate::model::{Names, ObjectKind, TotalMeanings, Value, hash_of_address};
    use crate::plan::base::LedgerPerson;

    #[test]
    fn refusals_that_an_older_file_remembers_are_not_held() {
        let connection = Connection::open_in_memory().unwrap();
        migrate_by(&connection, None, Timestamp::UNIX_EPOCH, &STEPS[..2]).unwrap();
        connection
            .execute(
                "INSERT INTO bars VALUES ('mail', '', 'ana@example.org', 'listing')",
                [],
            )
            .unwrap();
        migrate_by(&connection, None, Timestamp::UNIX_EPOCH, &STEPS[..3]).unwrap();
        let held: bool = connection
            .query_row("SELECT held FROM bars", [], |row| row.get(0))
            .unwrap();
        assert!(!held);
    }

    /// A file as version 4 leaves it: two jobs, refusals of all kinds, removals of rosterd's own,
    /// somebody forgotten, carried values, meanings, and a write in doubt.
    fn older_file() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rosterd.db");
        let connection = Connection::open(&path).unwrap();
        let start = Timestamp::UNIX_EPOCH;
        migrate_by(&connection, Some(&path), start, &STEPS[..4]).unwrap();
        connection
            .execute_batch(
                "INSERT INTO jobs (name, source_provider, target_provider) VALUES ('job', 'crm', 'mail'), ('bare', '', '');
                 INSERT INTO group_links VALUES ('job', '7', '70', 'created', 0, 'News', '{}');
                 INSERT INTO member_links (job, source, target, address, origin) VALUES ('job', 's1', 't1', 'ana@example.org', 'created');
                 INSERT INTO bars VALUES
                     ('mail', '', 'ana@example.org', 'seen at crm', 1),
                     ('mail', '70', 'ana@example.org', 'seen at crm', 1),
                     ('mail', '71', 'bo@example.org', 'seen at crm', 0),
                     ('other', '', 'bo@example.org', 'seen at crm', 0),
                     ('mail', char(31) || 'crm' || char(31) || '8' || char(31) || 'job' || char(31) || 'old friends', 'cy@example.org', 'seen at crm', 0),
                     ('mail', char(31) || char(31) || '9' || char(31) || 'gone' || char(31) || 'odd' || char(31) || 'name', 'di@example.org', 'seen', 0);
                 INSERT INTO own_removals VALUES
                     ('mail', '70', 't5', 'ed@example.org', 12345, '2027-01-01T00:00:00.000000000Z'),
                     ('mail', '70', 't6', '', NULL, '2027-01-02T00:00:00.000000000Z');
                 INSERT INTO carried VALUES ('mail', 'group', '70', 'notes', '\"x\"');
                 INSERT INTO total_meanings VALUES ('crm', 'all_but_bounced');
                 INSERT INTO journal (run, job, account, operation, intended) VALUES ('r', 'job', 'mail', 'create_group', '2027-01-01T00:00:00.000000000Z');
                 INSERT INTO journal_items (entry, position, item_key) VALUES (1, 0, 'k');",
            )
            .unwrap();
        connection
            .execute(
                "INSERT INTO forgotten VALUES (?1, '2027-01-01T00:00:00.000000000Z')",
                [hash_of_address("fay@example.org")],
            )
            .unwrap();
        (directory, path)
    }

    /// Each refusal that a job finds, as the texts of its keys and where it is held.
    fn refusals(store: &Store, source: &str, target: &str) -> Vec<String> {
        let mut names = Names::new();
        let now = Timestamp::UNIX_EPOCH;
        let base = store
            .load_base("job", source, target, now, &mut names)
            .unwrap();
        let text = |person: &LedgerPerson| match person {
            LedgerPerson::Address(name) => names.text(*name).to_owned(),
            LedgerPerson::Contact(name) => format!("contact {}", names.text(*name)),
            LedgerPerson::Record(name) => format!("record {}", names.text(*name)),
        };
        let mut found: Vec<String> = base
            .ledger
            .refusals
            .iter()
            .map(|refusal| {
                let mut people: Vec<String> = refusal.people.iter().map(text).collect();
                people.sort();
                let mut audience = refusal.audience.clone();
                audience.sort();
                format!("{people:?} {audience:?} {:?}", refusal.held_at)
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn nothing_of_an_older_file_is_lost_in_the_ledger() {
        let (_directory, path) = older_file();
        let store = Store::open(&path, Timestamp::UNIX_EPOCH).unwrap();
        // Until a run says which accounts the names stand for, nothing stands under any account.
        store.know_account("crm", "H-crm").unwrap();
        store.know_account("mail", "H-mail").unwrap();
        let ana = r#"["ana@example.org", "contact t1", "record s1"]"#;
        let expected = [
            format!(r#"{ana} [Account] Some("")"#),
            format!(r#"{ana} [Group("70")] Some("70")"#),
            r#"["bo@example.org"] [Group("71")] None"#.to_owned(),
            r#"["cy@example.org"] [Source("8"), Name("old friends")] None"#.to_owned(),
            "[\"di@example.org\"] [Name(\"odd\\u{1f}name\")] None".to_owned(),
        ];
        assert_eq!(refusals(&store, "H-crm", "H-mail"), expected);
        let own = store.own_removals("H-mail").unwrap();
        assert!(own.get("70", "t5").unwrap().still_fits(Some(12345)));
        assert!(!own.get("70", "t5").unwrap().still_fits(Some(12346)));
        assert!(own.get("70", "t6").is_some());
        assert!(store.forgotten().unwrap().contains("fay@example.org"));
        let carried = store.carried_of("H-mail", ObjectKind::Group, "70").unwrap();
        assert_eq!(carried["notes"], Value::from("x"));
        assert_ne!(store.meanings("H-crm").unwrap(), TotalMeanings::all());
        assert!(store.last_unsettled("H-mail").unwrap().is_some());
        assert_eq!(store.unsettled("job").unwrap()[0].account, "H-mail");
        assert!(store.integrity_check().unwrap().is_empty());
        // A name that is first heard of later brings what stood under it then, also where it is
        // another name of an account that is known.
        assert_eq!(store.unclaimed_names().unwrap(), ["other"]);
        store.know_account("other", "H-mail").unwrap();
        assert!(store.unclaimed_names().unwrap().is_empty());
        let mut more = expected.to_vec();
        more.push(r#"["bo@example.org"] [Account] None"#.to_owned());
        more.sort();
        assert_eq!(refusals(&store, "H-crm", "H-mail"), more);
        // The job is the same one.
        assert_eq!(store.links("job").unwrap().len(), 1);
        assert!(store.register_job("job", "H-crm", "elsewhere").is_err());
    }

    /// What a file of version 9 knows of people, in words, with texts as its keys.
    const KNOWN: [&str; 4] = [
        "SELECT printf('%s %s %s %s %s %s %s %s', job, source, target, address, origin, source_hash, target_hash, removed_by_us)
         FROM member_links ORDER BY 1",
        "SELECT printf('%s %s %s', job, source, fields) FROM member_fields ORDER BY 1",
        "SELECT printf('%s %s %s %s', job, group_id, member, brought) FROM memberships ORDER BY 1",
        "SELECT printf('%s %s %s %s', job, source, target, address) FROM former_links ORDER BY 1",
    ];

    fn known(connection: &Connection) -> Vec<Vec<String>> {
        let of = |sql: &str| {
            let mut select = connection.prepare(sql).unwrap();
            let rows = select.query_map([], |row| row.get(0)).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        KNOWN.into_iter().map(of).collect()
    }

    /// The same as the store loads it.
    fn loaded(store: &Store, job: &str, source: &str, target: &str) -> Vec<Vec<String>> {
        let mut names = Names::new();
        let now = Timestamp::UNIX_EPOCH;
        let base = store
            .load_base(job, source, target, now, &mut names)
            .unwrap();
        let text = |name| names.text(name);
        let links = base.members.iter().map(|link| {
            format!(
                "{job} {} {} {} {} {} {} {}",
                text(link.source),
                text(link.target),
                text(link.address),
                link.origin.as_str(),
                link.source_hash.cast_signed(),
                link.target_hash.cast_signed(),
                u8::from(link.removed_by_us)
            )
        });
        let fields = base.members.iter().filter_map(|link| {
            let fields = store.member_fields(job, text(link.source)).unwrap();
            let json = crate::state::convert::fields_to_json(&fields);
            (!fields.is_empty()).then(|| format!("{job} {} {json}", text(link.source)))
        });
        let memberships = base.memberships.iter().flat_map(|(group, members)| {
            members.iter().map(move |membership| {
                let brought = u8::from(membership.brought);
                format!("{job} {group} {} {brought}", text(membership.member))
            })
        });
        let former = base.former.iter().map(|link| {
            let (source, target) = (text(link.source), text(link.target));
            format!("{job} {source} {target} {}", text(link.address))
        });
        let mut all = [
            links.collect::<Vec<_>>(),
            fields.collect(),
            memberships.collect(),
            former.collect(),
        ];
        for rows in &mut all {
            rows.sort();
        }
        all.to_vec()
    }

    #[test]
    fn nothing_of_a_file_with_texts_for_keys_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rosterd.db");
        let connection = Connection::open(&path).unwrap();
        // A file that version 9 made of a first run, with what such a run does not leave.
        connection
            .execute_batch(include_str!("../../tests/fixtures/state/version_9.sql"))
            .unwrap();
        connection
            .execute_batch(
                "INSERT INTO former_links VALUES ('nightly', '106', 'C-7', 'odd@example.org');
                 INSERT INTO member_links VALUES ('nightly', '007', 'C-8', 'seven@example.org', 'pinned', -1, 9223372036854775807, 1);
                 INSERT INTO member_fields VALUES ('nightly', '007', '{\"vip\":{\"desired\":true,\"target\":\"yes\",\"written\":true},\"tags\":{\"target\":[\"a\",\"b\"]}}');
                 INSERT INTO memberships VALUES ('nightly', 'G', 'C-8', 1);",
            )
            .unwrap();
        // What went before an older version overwrote nothing.
        connection
            .execute_batch(
                "PRAGMA secure_delete = OFF;
                 CREATE TABLE gone AS WITH RECURSIVE numbers (number) AS
                     (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 20000)
                     SELECT number, 'ghost-of-old@example.org' AS address FROM numbers;
                 DROP TABLE gone;",
            )
            .unwrap();
        let before = known(&connection);
        let accounts: (String, String) = connection
            .query_row(
                "SELECT source_account, target_account FROM jobs",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        drop(connection);
        let store = Store::open(&path, Timestamp::UNIX_EPOCH).unwrap();
        assert!(store.integrity_check().unwrap().is_empty());
        let after = loaded(&store, "nightly", &accounts.0, &accounts.1);
        for (before, after) in before.iter().zip(&after) {
            let count = before.len();
            assert!(count > 0);
            let parsed = |rows: &[String]| -> Vec<serde_json::Value> {
                let json = |row: &String| {
                    let (key, value) = row.split_once('{').unwrap_or((row, ""));
                    serde_json::from_str(&format!("{{{value}"))
                        .unwrap_or_else(|_| serde_json::Value::from(key))
                };
                rows.iter().map(json).collect()
            };
            assert_eq!(parsed(before), parsed(after));
            assert_eq!(count, after.len());
        }
        let seven = store.member_fields("nightly", "007").unwrap();
        assert!(seven["vip"].written && seven["tags"].desired.is_none());
        let old: i64 = store
            .lock()
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'old%'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(old, 0);
        drop(store);
        let bytes = std::fs::read(&path).unwrap();
        let ghost = b"ghost-of-old";
        assert!(!bytes.windows(ghost.len()).any(|window| window == ghost));
    }

    #[test]
    fn a_copy_is_kept_before_an_older_file_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rosterd.db");
        let connection = Connection::open(&path).unwrap();
        let _: String = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            .unwrap();
        migrate_by(&connection, Some(&path), Timestamp::UNIX_EPOCH, &STEPS[..1]).unwrap();
        assert!(
            !beside(&path, ".before-1").exists(),
            "there is nothing to keep of an empty file"
        );
        connection
            .execute("INSERT INTO jobs (name) VALUES ('nightly')", [])
            .unwrap();
        let steps = [
            &STEPS[..],
            &["ALTER TABLE jobs ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue';"],
        ]
        .concat();
        let newest = steps.len() as i64;

        let broken = [&steps[..], &["ALTER TABLE nothing ADD COLUMN x TEXT;"]].concat();
        migrate_by(&connection, Some(&path), Timestamp::UNIX_EPOCH, &broken).unwrap_err();
        assert_eq!(
            identify(&connection, &path).unwrap(),
            Identity::Ours(1),
            "a step that fails takes the others back"
        );

        migrate_by(&connection, Some(&path), Timestamp::UNIX_EPOCH, &steps).unwrap();
        let colour: String = connection
            .query_row("SELECT colour FROM jobs", [], |row| row.get(0))
            .unwrap();
        assert_eq!(colour, "blue");
        assert!(
            matches!(identify(&connection, &path), Err(Fault::State(StateError::Newer { found, .. })) if found == newest)
        );

        let kept = beside(&path, &format!(".before-{newest}"));
        assert!(!beside(&kept, "-wal").exists(), "a copy is one file");
        let kept = Connection::open(&kept).unwrap();
        assert_eq!(identify(&kept, &path).unwrap(), Identity::Ours(1));
        let jobs: i64 = kept
            .query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
            .unwrap();
        assert_eq!(jobs, 1);
    }
}
