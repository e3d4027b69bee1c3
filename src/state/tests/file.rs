//! Opening, refusing, copying.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::{at, count_rows, link_member, membership, place};
use crate::model::Names;
use crate::state::{StagedCopy, StateError, Store, schema};

#[test]
fn a_new_file_gets_the_settings_that_rule_5_needs() {
    let (_directory, path) = place();
    assert!(
        Store::open_read_only(&path).unwrap().is_none(),
        "reading does not create a file"
    );
    let store = Store::open(&path, at(0)).unwrap();
    {
        let connection = store.lock();
        let number = |pragma: &str| {
            connection
                .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(number("synchronous"), 2);
        assert_eq!(number("foreign_keys"), 1);
        assert_eq!(number("application_id"), schema::APPLICATION_ID);
        assert_eq!(number("user_version"), schema::VERSION);
        let mode: String = connection
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
        let loose: i64 = connection
            .query_row(
                "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND strict = 0 AND name NOT LIKE 'sqlite_%'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(loose, 0, "every table is STRICT");
    }
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
    drop(store);
    Store::open(&path, at(1)).unwrap();
}

#[cfg(unix)]
#[test]
fn only_this_user_can_read_the_file_and_its_copies() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, path) = place();
    let store = Store::open(&path, at(0)).unwrap();
    store.record(&[membership("job", "1", "2", true)]).unwrap();
    store.backup_to(&directory.path().join("copy.db")).unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o077,
            0,
            "{:?}",
            entry.file_name()
        );
    }
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let (directory, path) = place();
    let text = "A list of groceries, and no database at all.\n".repeat(40);
    std::fs::write(&path, &text).unwrap();
    let error = Store::open(&path, at(0)).unwrap_err();
    assert!(
        matches!(error, StateError::NotADatabase { .. }),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .ends_with("is not a database; set state.path to another file, or move this one away"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    let short = directory.path().join("short.db");
    std::fs::write(&short, "hello").unwrap();
    assert!(matches!(
        Store::open(&short, at(0)).unwrap_err(),
        StateError::NotADatabase { .. }
    ));

    let foreign = directory.path().join("music.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE songs (title TEXT)")
        .unwrap();
    let before = std::fs::read(&foreign).unwrap();
    assert!(matches!(
        Store::open(&foreign, at(0)).unwrap_err(),
        StateError::Foreign { .. }
    ));
    assert!(matches!(
        Store::open_read_only(&foreign).unwrap_err(),
        StateError::Foreign { .. }
    ));
    assert_eq!(std::fs::read(&foreign).unwrap(), before);

    let nowhere = directory.path().join("missing").join("rosterd.db");
    assert!(matches!(
        Store::open(&nowhere, at(0)).unwrap_err(),
        StateError::NoDirectory { .. }
    ));
    assert!(matches!(
        Store::open(directory.path(), at(0)).unwrap_err(),
        StateError::Directory { .. }
    ));
}

#[test]
fn a_newer_file_is_refused() {
    let (_directory, path) = place();
    let store = Store::open(&path, at(0)).unwrap();
    store
        .lock()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(store);
    for error in [
        Store::open(&path, at(0)).unwrap_err(),
        Store::open_read_only(&path).unwrap_err(),
    ] {
        assert!(
            matches!(error, StateError::Newer { found: 99, .. }),
            "{error:?}"
        );
        assert!(
            error
                .to_string()
                .contains("schema version 99 and this rosterd knows versions up to"),
            "{error}"
        );
    }
}

#[test]
fn an_older_file_is_not_read_as_if_it_were_current() {
    let (_directory, path) = place();
    Connection::open(&path)
        .unwrap()
        .execute_batch(&format!(
            "CREATE TABLE old (x TEXT); PRAGMA application_id = {}; PRAGMA user_version = 0;",
            schema::APPLICATION_ID
        ))
        .unwrap();
    assert!(matches!(
        Store::open_read_only(&path).unwrap_err(),
        StateError::Older { found: 0, .. }
    ));
}

#[test]
fn a_store_opened_for_reading_writes_nothing() {
    let (_directory, path) = place();
    let writer = Store::open(&path, at(0)).unwrap();
    writer.register_job("job", "crm", "mail").unwrap();
    writer
        .record(&[link_member("job", "1", "11", "ana@example.org")])
        .unwrap();
    let reader = Store::open_read_only(&path).unwrap().unwrap();
    let base = reader
        .load_base("job", "crm", "mail", at(0), &mut Names::new())
        .unwrap();
    assert_eq!(base.members.len(), 1);
    assert!(
        reader
            .load_base("another", "crm", "mail", at(0), &mut Names::new())
            .unwrap()
            .is_empty()
    );
    let error = reader
        .record(&[membership("job", "1", "11", true)])
        .unwrap_err();
    assert!(matches!(error, StateError::ReadOnly { .. }), "{error:?}");
    assert!(
        error.to_string().contains("give this user write access"),
        "{error}"
    );
}

#[test]
fn a_full_disk_is_said_and_changes_nothing() {
    let (_directory, path) = place();
    let store = Store::open(&path, at(0)).unwrap();
    store
        .record(&[membership("job", "1", "before", true)])
        .unwrap();
    {
        let connection = store.lock();
        let pages: i64 = connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap();
        let _: i64 = connection
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| {
                row.get(0)
            })
            .unwrap();
    }
    let many: Vec<_> = (0..5_000)
        .map(|number| membership("job", "1", &format!("member-{number}"), true))
        .collect();
    let error = store.record(&many).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }), "{error:?}");
    assert!(error.to_string().contains("is full; make room"), "{error}");
    assert_eq!(count_rows(&store, "memberships"), 1);
    store
        .record(&[membership("job", "1", "after", true)])
        .unwrap();
}

#[test]
fn a_backup_is_whole_while_somebody_writes() {
    let (directory, path) = place();
    let store = Store::open(&path, at(0)).unwrap();
    let copy = directory.path().join("backup.db");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let other = Store::open(&path, at(0)).unwrap();
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                // Two rows at a time: a copy that holds an odd number was torn.
                other
                    .record(&[
                        membership("job", "1", &number.to_string(), true),
                        membership("job", "2", &number.to_string(), true),
                    ])
                    .unwrap();
                number += 1;
            }
        });
        for _ in 0..10 {
            store.backup_to(&copy).unwrap();
            let kept = Store::open_read_only(&copy).unwrap().unwrap();
            assert_eq!(kept.integrity_check().unwrap(), Vec::<String>::new());
            assert_eq!(count_rows(&kept, "memberships") % 2, 0);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(matches!(
        store
            .backup_to(&directory.path().join("no").join("b.db"))
            .unwrap_err(),
        StateError::CopyPlace { .. }
    ));
    let memory = Store::in_memory();
    memory
        .record(&[membership("job", "1", "11", true)])
        .unwrap();
    memory.backup_to(&copy).unwrap();
    assert_eq!(
        count_rows(&Store::open(&copy, at(0)).unwrap(), "memberships"),
        1
    );
}

#[test]
fn a_restore_brings_the_copy_back_and_keeps_what_was_there() {
    let (directory, path) = place();
    let store = Store::open(&path, at(0)).unwrap();
    let other = Store::open(&path, at(0)).unwrap();
    store
        .record(&[membership("job", "1", "old", true)])
        .unwrap();
    let copy = directory.path().join("backup.db");
    store.backup_to(&copy).unwrap();
    store
        .record(&[
            membership("job", "1", "new", true),
            membership("job", "1", "newer", true),
        ])
        .unwrap();

    store.restore_from(&copy, at(1)).unwrap();
    assert_eq!(
        (
            count_rows(&store, "memberships"),
            count_rows(&other, "memberships")
        ),
        (1, 1)
    );
    let mode: String = store
        .lock()
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    other
        .record(&[membership("job", "1", "after", true)])
        .unwrap();
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
    let kept = Store::open_read_only(&directory.path().join("rosterd.db.before-restore"))
        .unwrap()
        .unwrap();
    assert_eq!(count_rows(&kept, "memberships"), 3);

    store
        .record(&[membership("job", "1", "later", true)])
        .unwrap();
    store.restore_from(&copy, at(1)).unwrap();
    let again = Store::open_read_only(&directory.path().join("rosterd.db.before-restore-2"))
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            count_rows(&kept, "memberships"),
            count_rows(&again, "memberships")
        ),
        (3, 3),
        "what an earlier restore kept stays"
    );
}

/// A database with so many memberships, and what it says of itself.
fn filled(path: &Path, memberships: usize) -> Store {
    let store = Store::open(path, at(0)).unwrap();
    let many: Vec<_> = (0..memberships)
        .map(|number| membership("job", "1", &format!("member-{number}"), true))
        .collect();
    store.record(&many).unwrap();
    store
}

/// Every file of a directory with what is in it, without what looking at a database leaves beside it.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths = std::fs::read_dir(directory).unwrap();
    let files = paths.map(|entry| entry.unwrap().path());
    let mut files: BTreeMap<String, Vec<u8>> = files
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.retain(|name, content| {
        !(name.ends_with("-shm") || name.ends_with("-wal") && content.is_empty())
    });
    files
}

#[cfg(unix)]
#[test]
fn a_copy_replaces_an_earlier_copy_and_nothing_else() {
    let (directory, path) = place();
    let store = filled(&path, 3);
    let at_hand = |name: &str| directory.path().join(name);
    std::fs::write(at_hand("notes.txt"), "Dear diary, ".repeat(40)).unwrap();
    Connection::open(at_hand("music.db"))
        .unwrap()
        .execute_batch("CREATE TABLE songs (title TEXT)")
        .unwrap();
    // Another database in use, open and closed; and a log that somebody left without its database.
    let _other = filled(&at_hand("other.db"), 1);
    drop(filled(&at_hand("resting.db"), 1));
    std::fs::write(at_hand("lost.db-wal"), "frames").unwrap();
    std::fs::create_dir(at_hand("folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", at_hand("dangling.db")).unwrap();
    let before = std::fs::read(at_hand("other.db")).unwrap();
    for (name, words) in [
        ("rosterd.db", "it is the database itself"),
        ("notes.txt", "no earlier copy"),
        ("music.db", "no earlier copy"),
        ("other.db", "other.db-wal is there"),
        ("resting.db", "no earlier copy"),
        ("lost.db", "lost.db-wal is there"),
        ("folder", "it is a directory"),
        ("dangling.db", "left as it is"),
        ("missing/copy.db", "missing; make it, or name another"),
        ("notes.txt/copy.db", "notes.txt; make it, or name another"),
    ] {
        let error = store.backup_to(&at_hand(name)).unwrap_err();
        assert!(matches!(error, StateError::CopyPlace { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
    assert!(
        std::fs::read_to_string(at_hand("notes.txt"))
            .unwrap()
            .starts_with("Dear")
    );
    assert_eq!(std::fs::read(at_hand("other.db")).unwrap(), before);
    let left = files_named(directory.path(), ".rosterd-copy-");
    assert_eq!(left, 0, "nothing half done stays");

    // A file that holds nothing, an earlier copy, and a link to one.
    std::fs::write(at_hand("copy.db"), "").unwrap();
    store.backup_to(&at_hand("copy.db")).unwrap();
    store
        .record(&[membership("job", "1", "new", true)])
        .unwrap();
    std::os::unix::fs::symlink("copy.db", at_hand("link.db")).unwrap();
    let inventory = store.backup_to(&at_hand("link.db")).unwrap();
    let kept = Store::open_read_only(&at_hand("copy.db")).unwrap().unwrap();
    assert_eq!(count_rows(&kept, "memberships"), 4);
    assert_eq!(
        Store::inventory(&at_hand("copy.db")).unwrap(),
        Some(inventory)
    );
    assert!(at_hand("link.db").is_symlink());
}

fn files_named(directory: &Path, prefix: &str) -> usize {
    let names = std::fs::read_dir(directory).unwrap();
    names
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with(prefix)
        })
        .count()
}

#[test]
fn a_damaged_database_gives_no_copy() {
    let (directory, path) = place();
    damage(filled(&path, 2_000), &path);
    let copy = directory.path().join("copy.db");
    let error = Store::back_up(&path, &copy).unwrap_err();
    assert!(matches!(error, StateError::Damaged { .. }), "{error:?}");
    assert!(!copy.exists() && files_named(directory.path(), ".rosterd-copy-") == 0);
}

/// Overwrites the middle of a closed database.
fn damage(store: Store, path: &Path) {
    drop(store);
    let mut bytes = std::fs::read(path).unwrap();
    let (from, to) = (bytes.len() / 4, bytes.len() / 2);
    bytes[from..to].fill(0x5a);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_no_sound_copy_is_refused_and_nothing_changes() {
    let (directory, path) = place();
    let store = filled(&path, 2);
    let at_hand = |name: &str| directory.path().join(name);
    std::fs::write(at_hand("notes.txt"), "no database").unwrap();
    std::fs::write(at_hand("long.txt"), "A list of groceries.\n".repeat(100)).unwrap();
    std::fs::write(at_hand("empty"), "").unwrap();
    std::fs::create_dir(at_hand("folder")).unwrap();
    let database = |name: &str, application: i64, version: i64| {
        let text = format!(
            "CREATE TABLE diary (line TEXT); PRAGMA application_id = {application}; PRAGMA user_version = {version};"
        );
        let connection = Connection::open(at_hand(name)).unwrap();
        connection.execute_batch(&text).unwrap();
    };
    database("music.db", 4711, 3);
    database("newer.db", schema::APPLICATION_ID, 99);
    database("hollow.db", schema::APPLICATION_ID, schema::VERSION);
    database("older.db", schema::APPLICATION_ID, 3);
    damage(filled(&at_hand("broken.db"), 2_000), &at_hand("broken.db"));
    drop(filled(&at_hand("short.db"), 2_000));
    let bytes = std::fs::read(at_hand("short.db")).unwrap();
    std::fs::write(at_hand("short.db"), &bytes[..bytes.len() / 2]).unwrap();
    let before = files(directory.path());
    for (name, words) in [
        ("none", "No such file"),
        ("folder", "it is no file"),
        ("notes.txt", "no copy of a state database"),
        ("long.txt", "no copy of a state database"),
        ("empty", "no copy of a state database"),
        ("music.db", "no copy of a state database"),
        ("newer.db", "schema version 99"),
        ("hollow.db", "no such table"),
        ("older.db", "it is damaged"),
        ("broken.db", "it is damaged"),
        ("short.db", "it is damaged"),
        ("rosterd.db", "it is the state database itself"),
    ] {
        let copy = at_hand(name);
        for error in [
            store.restore_from(&copy, at(1)).unwrap_err(),
            StagedCopy::read(&copy, at(1))
                .and_then(|staged| staged.put_back(&path, at(1)))
                .unwrap_err(),
        ] {
            assert!(
                matches!(error, StateError::Unfit { .. }),
                "{name}: {error:?}"
            );
            let said = error.to_string();
            assert!(
                said.contains(words) && said.ends_with("; nothing was changed"),
                "{name}: {said}"
            );
        }
    }
    assert_eq!(files(directory.path()), before);
    assert_eq!(count_rows(&store, "memberships"), 2);
}

/// Puts a copy back at a place and tells how many memberships it brought, and what was kept.
fn put_back(copy: &Path, path: &Path) -> (i64, Option<PathBuf>) {
    let staged = StagedCopy::read(copy, at(1)).unwrap();
    let kept = staged.put_back(path, at(1)).unwrap().kept;
    let store = Store::open(path, at(1)).unwrap();
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
    let mode: String = store
        .lock()
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    (count_rows(&store, "memberships"), kept)
}

#[test]
fn a_copy_is_put_where_there_is_none_and_over_what_can_not_be_opened() {
    let (directory, path) = place();
    let copy = directory.path().join("copy.db");
    filled(&path, 2_000).backup_to(&copy).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let kept_at = |suffix: &str| directory.path().join(format!("rosterd.db{suffix}"));

    // A new machine, and a log of some other file that would be taken for this one's.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(put_back(&copy, &path), (2_000, None));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(kept_at("-wal"), "frames of another database").unwrap();
    assert_eq!(put_back(&copy, &path), (2_000, None));
    assert_eq!(
        std::fs::read(kept_at(".before-restore-wal")).unwrap(),
        b"frames of another database"
    );

    // An empty file, a torn one, one whose content is overwritten, and one that a newer rosterd wrote.
    std::fs::write(&path, "").unwrap();
    assert_eq!(put_back(&copy, &path), (2_000, None));
    let torn = &whole[..whole.len() / 2];
    std::fs::write(&path, torn).unwrap();
    let kept = kept_at(".before-restore-2");
    assert_eq!(put_back(&copy, &path), (2_000, Some(kept.clone())));
    assert_eq!(std::fs::read(kept).unwrap(), torn);
    damage(Store::open(&path, at(1)).unwrap(), &path);
    let kept = kept_at(".before-restore-3");
    assert_eq!(put_back(&copy, &path), (2_000, Some(kept)));
    let newer = Store::open(&path, at(1)).unwrap();
    newer
        .lock()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(newer);
    let kept = kept_at(".before-restore-4");
    assert_eq!(put_back(&copy, &path), (2_000, Some(kept.clone())));
    assert!(matches!(
        Store::open_read_only(&kept).unwrap_err(),
        StateError::Newer { found: 99, .. }
    ));

    // What is not ours is nobody's to replace.
    std::fs::write(&path, "Dear diary, ".repeat(40)).unwrap();
    let error = StagedCopy::read(&copy, at(1))
        .unwrap()
        .put_back(&path, at(1))
        .unwrap_err();
    assert!(
        matches!(error, StateError::NotADatabase { .. }),
        "{error:?}"
    );
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "Dear diary, ".repeat(40)
    );
}

/// Whoever copied the file by other means, while nobody used it, has a copy too.
#[test]
fn a_plain_copy_of_the_file_is_a_copy() {
    let (directory, path) = place();
    drop(filled(&path, 5));
    let copy = directory.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(put_back(&copy, &path), (5, None));
    let store = Store::open(&path, at(1)).unwrap();
    store.record(&[membership("job", "1", "x", true)]).unwrap();
    drop(store);
    assert_eq!(put_back(&copy, &path).0, 5);
    let memory = Store::in_memory();
    memory.restore_from(&copy, at(1)).unwrap();
    assert_eq!(count_rows(&memory, "memberships"), 5);
}

#[test]
fn an_older_copy_is_brought_up_to_date_and_stays_as_it_is() {
    let (directory, path) = place();
    let copy = directory.path().join("copy.db");
    Connection::open(&copy)
        .unwrap()
        .execute_batch(include_str!("../../../tests/fixtures/state/version_9.sql"))
        .unwrap();
    let before = std::fs::read(&copy).unwrap();
    let older = Store::inventory(&copy).unwrap().unwrap();
    assert_eq!(
        (older.schema, older.jobs.as_slice()),
        (9, &["nightly".to_owned()][..])
    );
    let staged = StagedCopy::read(&copy, at(1)).unwrap();
    assert_eq!(*staged.inventory(), older);
    staged.put_back(&path, at(1)).unwrap();
    let store = Store::open(&path, at(1)).unwrap();
    assert!(count_rows(&store, "memberships") > 0);
    assert_eq!(
        Store::inventory(&path).unwrap().unwrap().schema,
        schema::VERSION
    );
    assert_eq!(std::fs::read(&copy).unwrap(), before);
    assert!(
        !directory
            .path()
            .join(format!("rosterd.db.before-{}", schema::VERSION))
            .exists(),
        "the copy is kept already"
    );

    // An older database is copied as it is, before anything brings it up to date.
    let again = directory.path().join("again.db");
    let inventory = Store::back_up(&copy, &again).unwrap().unwrap();
    assert_eq!((inventory.schema, inventory.runs), (9, older.runs));
}

#[test]
fn a_restore_that_finds_no_room_changes_nothing() {
    let (directory, path) = place();
    let copy = directory.path().join("copy.db");
    filled(&directory.path().join("large.db"), 5_000)
        .backup_to(&copy)
        .unwrap();
    let store = filled(&path, 3);
    {
        let connection = store.lock();
        let _: i64 = connection
            .query_row("PRAGMA max_page_count = 40", [], |row| row.get(0))
            .unwrap();
    }
    let error = store.restore_from(&copy, at(1)).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }), "{error:?}");
    assert_eq!(count_rows(&store, "memberships"), 3);
    assert_eq!(store.integrity_check().unwrap(), Vec::<String>::new());
    assert_eq!(files_named(directory.path(), "rosterd.db.before"), 0);
}

/// Waiting for the disk is no other task's business.
#[test]
fn other_tasks_go_on_while_the_database_is_read_and_written() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    for writes in [false, true] {
        let (done, wait) = std::sync::mpsc::channel();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let waiting = runtime.spawn(async move {
            let store = Store::in_memory();
            let work = |_: &Connection| {
                begun.send(()).unwrap();
                Ok(wait.recv_timeout(Duration::from_secs(20)))
            };
            if writes {
                store.write(work)
            } else {
                store.read(work)
            }
            .unwrap()
        });
        let other = runtime.spawn(async move {
            begins.await.unwrap();
            done.send(()).unwrap();
        });
        runtime.block_on(other).unwrap();
        assert_eq!(runtime.block_on(waiting).unwrap(), Ok(()));
    }
}
