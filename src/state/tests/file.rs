//! Opening, refusing, copying.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::{at, count_rows, link_member, membership, place};
use crate::model::Names;
use crate::state::{StateError, Store, schema};

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
    assert!(
        matches!(store.backup_to(&path).unwrap_err(), StateError::Copy { .. }),
        "never onto itself"
    );
    assert!(matches!(
        store
            .backup_to(&directory.path().join("no").join("b.db"))
            .unwrap_err(),
        StateError::Copy { .. }
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

    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "no database").unwrap();
    assert!(matches!(
        store.restore_from(&text, at(2)).unwrap_err(),
        StateError::NotADatabase { .. }
    ));
    assert!(matches!(
        store
            .restore_from(&directory.path().join("none"), at(2))
            .unwrap_err(),
        StateError::Unreadable { .. }
    ));
    assert!(matches!(
        store.restore_from(&path, at(2)).unwrap_err(),
        StateError::Copy { .. }
    ));
    assert_eq!(count_rows(&store, "memberships"), 2);
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
