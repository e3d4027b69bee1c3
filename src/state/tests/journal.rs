//! Rule 5: nothing is sent that is not in the journal.

use std::collections::{BTreeMap, BTreeSet};

use super::{at, count_rows, membership, place};
use crate::model::{Names, Value};
use crate::state::{JournalEntry, JournalItem, JournalOutcome, StateError, Store};

fn entry(items: &[&str]) -> JournalEntry {
    JournalEntry {
        job: "job".into(),
        account: "mail".into(),
        operation: "add_memberships".into(),
        items: items
            .iter()
            .map(|member| JournalItem {
                key: format!("membership/1/{member}"),
                group: Some("1".into()),
                group_source: Some("s1".into()),
                member: Some(format!("{member}@example.org")),
                member_source: Some(format!("s{member}")),
                member_id: Some((*member).into()),
                detail: Some("Donors".into()),
                fields: [("firstName".into(), Value::from("Ana"))].into(),
                before: [
                    ("firstName".into(), Some(Value::from(""))),
                    ("city".into(), None),
                ]
                .into(),
                absent_from: Some("1".into()),
            })
            .collect(),
        now: at(5),
    }
}

/// What became of a request can be found out again, and waits for the disk with the next intent.
#[test]
fn every_intent_is_on_disk_before_its_request() {
    let (_directory, path) = place();
    let store = Store::open(&path, at(0)).unwrap();
    let synchronous = || -> i64 {
        let connection = store.lock();
        connection
            .query_row("PRAGMA synchronous", [], |row| row.get(0))
            .unwrap()
    };
    let (full, normal) = (2, 1);
    for _ in 0..2 {
        let id = store.begin_write("run-1", &entry(&["ana"])).unwrap();
        assert_eq!(synchronous(), full);
        let outcome = [JournalOutcome::Confirmed { id: None }];
        store.settle_write(id, &outcome, &[], at(6)).unwrap();
        assert_eq!(synchronous(), normal);
    }
    store.record(&[membership("job", "1", "2", true)]).unwrap();
    assert_eq!(synchronous(), full);
}

#[test]
fn an_intent_survives_a_crash_right_after_begin() {
    let (_directory, path) = place();
    let store = Store::open(&path, at(0)).unwrap();
    let id = store.begin_write("run-1", &entry(&["ana", "bo"])).unwrap();
    // What a crash leaves: the file and its log as they are now, without a checkpoint and without
    // closing.
    let (_other, copy) = place();
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(path.with_extension("db-wal"), copy.with_extension("db-wal")).unwrap();
    let survivor = Store::open(&copy, at(1)).unwrap();
    let unsettled = survivor.unsettled("job").unwrap();
    assert_eq!(unsettled.len(), 1);
    assert_eq!(
        (
            unsettled[0].id,
            unsettled[0].run.as_str(),
            unsettled[0].intended
        ),
        (id, "run-1", at(5))
    );
    let items: Vec<_> = unsettled[0]
        .items
        .iter()
        .map(|item| item.item.clone())
        .collect();
    assert_eq!(items, entry(&["ana", "bo"]).items);
    assert!(unsettled[0].items.iter().all(|item| item.outcome.is_none()));
    let base = survivor
        .load_base("job", "crm", "mail", at(1), &mut Names::new())
        .unwrap();
    assert_eq!(base.last_writing_run.as_deref(), Some("run-1"));
    assert!(survivor.unsettled("another").unwrap().is_empty());
}

#[test]
fn outcomes_and_changes_come_together_or_not_at_all() {
    let store = Store::in_memory();
    let id = store.begin_write("run-1", &entry(&["ana"])).unwrap();
    let confirmed = [JournalOutcome::Confirmed { id: None }];
    let change = [membership("job", "1", "ana", true)];
    store.lock().execute_batch("CREATE TRIGGER broken BEFORE INSERT ON memberships BEGIN SELECT raise(ABORT, 'broken'); END").unwrap();
    store
        .settle_write(id, &confirmed, &change, at(6))
        .unwrap_err();
    assert_eq!(
        store.unsettled("job").unwrap()[0].items[0].outcome,
        None,
        "the outcome went with the change"
    );
    store.lock().execute_batch("DROP TRIGGER broken").unwrap();
    store.settle_write(id, &confirmed, &change, at(6)).unwrap();
    assert!(store.unsettled("job").unwrap().is_empty());
    assert_eq!(count_rows(&store, "memberships"), 1);
}

#[test]
fn an_entry_is_settled_when_its_last_item_is() {
    let store = Store::in_memory();
    let id = store
        .begin_write("run-1", &entry(&["ana", "bo", "cy", "di"]))
        .unwrap();
    let failed = JournalOutcome::Failed {
        code: Some("12".into()),
        message: "Not a valid address".into(),
    };
    let first = [
        JournalOutcome::Confirmed {
            id: Some("7".into()),
        },
        JournalOutcome::Accepted {
            id: Some("8".into()),
        },
        failed.clone(),
        JournalOutcome::Unknown,
    ];
    store.settle_write(id, &first, &[], at(6)).unwrap();
    let open = store.unsettled("job").unwrap();
    let known: Vec<_> = open[0]
        .items
        .iter()
        .map(|item| item.outcome.clone().unwrap())
        .collect();
    assert_eq!(known, first);
    let again = [
        JournalOutcome::Unknown,
        JournalOutcome::Confirmed { id: None },
        JournalOutcome::Unknown,
        JournalOutcome::Unknown,
    ];
    store.settle_write(id, &again, &[], at(7)).unwrap();
    let open = store.unsettled("job").unwrap();
    assert_eq!(
        open[0].items[0].outcome,
        Some(first[0].clone()),
        "what is confirmed stays so"
    );
    assert_eq!(
        open[0].items[1].outcome,
        Some(JournalOutcome::Confirmed {
            id: Some("8".into())
        }),
        "the claimed id is kept"
    );
    assert_eq!(open[0].items[2].outcome, Some(failed.clone()));
    store
        .settle_write(
            id,
            &[failed.clone(), failed.clone(), failed.clone(), failed],
            &[],
            at(8),
        )
        .unwrap();
    assert!(store.unsettled("job").unwrap().is_empty());
}

#[test]
fn removals_are_pending_for_every_job_until_they_are_settled() {
    let store = Store::in_memory();
    store.begin_write("run-1", &entry(&["zoe"])).unwrap();
    let mut removal = entry(&["ana", "bo", "cy"]);
    removal.operation = "remove_memberships".into();
    removal.items[0].group = Some("1,2".into());
    let id = store.begin_write("run-1", &removal).unwrap();
    let people = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<String>>()
    };
    let all = BTreeMap::from([
        ("1".to_owned(), people(&["ana", "bo", "cy"])),
        ("2".to_owned(), people(&["ana"])),
    ]);
    assert_eq!(store.pending_removals("mail").unwrap(), all);
    assert!(
        store.pending_removals("crm").unwrap().is_empty(),
        "ids mean nothing at another account"
    );
    let failed = JournalOutcome::Failed {
        code: None,
        message: "not done".into(),
    };
    store
        .settle_write(
            id,
            &[
                JournalOutcome::Unknown,
                JournalOutcome::Confirmed { id: None },
                failed,
            ],
            &[],
            at(6),
        )
        .unwrap();
    let left = BTreeMap::from([
        ("1".to_owned(), people(&["ana"])),
        ("2".to_owned(), people(&["ana"])),
    ]);
    assert_eq!(store.pending_removals("mail").unwrap(), left);
    store
        .settle_write(
            id,
            &vec![JournalOutcome::Confirmed { id: None }; 3],
            &[],
            at(7),
        )
        .unwrap();
    assert!(store.pending_removals("mail").unwrap().is_empty());
}

#[test]
fn outcomes_must_be_one_per_item() {
    let store = Store::in_memory();
    let id = store.begin_write("run-1", &entry(&["ana", "bo"])).unwrap();
    let error = store
        .settle_write(
            id,
            &[JournalOutcome::Unknown],
            &[membership("job", "1", "ana", true)],
            at(6),
        )
        .unwrap_err();
    assert!(
        matches!(
            error,
            StateError::Outcomes {
                items: 2,
                outcomes: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(count_rows(&store, "memberships"), 0);
}
