//! The history, the state of jobs, and retention.

use serde_json::json;

use super::{at, count_rows, membership};
use crate::plan::base::Measure;
use crate::state::{
    About, EMPTY_PLAN, FieldChange, FieldChanges, JournalEntry, JournalItem, JournalOutcome,
    Outcome, PausedRecord, RunEnd, RunItem, RunStart, StateError, Store,
};

fn run(store: &Store, id: &str, job: &str, seconds: i64, outcome: Option<Outcome>) {
    store
        .start_run(&RunStart {
            id: id.into(),
            job: job.into(),
            trigger: "schedule".into(),
            started: at(seconds),
        })
        .unwrap();
    if let Some(outcome) = outcome {
        let end = RunEnd {
            finished: at(seconds + 1),
            outcome,
            exit_code: 4,
            wrote: true,
            completed: false,
            summary: match outcome {
                Outcome::Refused => json!({"refusals": [{"guard": "max_updates"}]}),
                _ => json!({"groups": {"create": 1}}),
            },
            error: Some("The provider is down.".into()),
            measure: Some(Measure {
                groups: 2,
                memberships: 5,
            }),
            approved: None,
        };
        store
            .finish_run(id, &end, &[membership(job, "1", id, true)])
            .unwrap();
    }
}

#[test]
fn a_run_comes_back_with_its_items() {
    let store = Store::in_memory();
    run(&store, "01ab", "job", 0, Some(Outcome::Partial));
    // Nothing that was there is told from what nobody knows.
    let change = |field: &str, is_before_known| {
        let change = FieldChange {
            is_before_known,
            after: Some("x".into()),
            ..FieldChange::default()
        };
        (field.into(), change)
    };
    let items = [
        RunItem {
            seq: 2,
            op: "add_memberships".into(),
            group: Some("Donors".into()),
            member: Some("ana@example.org".into()),
            group_id: Some("17".into()),
            member_id: Some("c-4".into()),
            outcome: "failed".into(),
            reason: Some("value_refused".into()),
            message: Some("Not now".into()),
            fields: FieldChanges::from([
                (
                    "phone".into(),
                    FieldChange {
                        before: Some("1".into()),
                        is_before_known: true,
                        after: None,
                    },
                ),
                change("city", true),
                change("notes", false),
            ]),
        },
        RunItem {
            seq: 2,
            op: "add_memberships".into(),
            outcome: "done".into(),
            ..RunItem::default()
        },
    ];
    let first = RunItem {
        seq: 1,
        op: "create_group".into(),
        outcome: "done".into(),
        ..RunItem::default()
    };
    store.add_run_items("01ab", &items).unwrap();
    store
        .add_run_items("01ab", std::slice::from_ref(&first))
        .unwrap();
    assert_eq!(
        store
            .run_items("01ab")
            .collect::<Result<Vec<_>, _>>()
            .unwrap(),
        [first, items[0].clone(), items[1].clone()]
    );
    let past = store
        .past_items("job", About::Person("ana@example.org"), 10)
        .unwrap();
    assert_eq!(
        past.iter()
            .map(|past| (past.run.as_str(), past.started, &past.item))
            .collect::<Vec<_>>(),
        [("01ab", at(0), &items[0])]
    );
    let nothing = [
        ("other", About::Person("ana@example.org")),
        ("job", About::Person("bo@example.org")),
        ("job", About::Group("Nobody's", None)),
    ];
    for (job, about) in nothing {
        assert!(store.past_items(job, about, 10).unwrap().is_empty());
    }
    let record = store.run("01ab").unwrap().unwrap();
    assert_eq!(
        (record.trigger.as_str(), record.started, record.finished),
        ("schedule", at(0), Some(at(1)))
    );
    assert_eq!(
        (record.outcome, record.exit_code, record.wrote),
        (Some(Outcome::Partial), Some(4), true)
    );
    assert_eq!(record.summary, json!({"groups": {"create": 1}}));
    assert_eq!(record.error.as_deref(), Some("The provider is down."));
    assert_eq!(
        record.measure,
        Some(Measure {
            groups: 2,
            memberships: 5
        })
    );
    assert_eq!(
        count_rows(&store, "memberships"),
        1,
        "the changes came with the end"
    );
}

#[test]
fn later_runs_are_those_that_began_later_at_the_same_account_whatever_the_clock_says() {
    let store = Store::in_memory();
    for (job, account) in [("job", "mail"), ("beside", "mail"), ("elsewhere", "other")] {
        store.register_job(job, "crm", account).unwrap();
    }
    run(&store, "a", "beside", 500, Some(Outcome::Done));
    run(&store, "b", "job", 400, Some(Outcome::Done));
    run(&store, "c", "elsewhere", 450, Some(Outcome::Done));
    run(&store, "d", "beside", 100, Some(Outcome::Done));
    run(&store, "e", "job", 50, Some(Outcome::Done));
    let later = |id: &str| {
        let record = store.run(id).unwrap().unwrap();
        let later = store.later_runs(&record).unwrap().into_iter();
        later.map(|run| (run.id, run.job)).collect::<Vec<_>>()
    };
    let named = |id: &str, job: &str| (id.to_owned(), job.to_owned());
    assert_eq!(later("b"), [named("d", "beside"), named("e", "job")]);
    assert_eq!(later("c"), [], "no other job writes there");
    assert_eq!(later("e"), []);
}

#[test]
fn a_run_is_found_by_its_start() {
    let store = Store::in_memory();
    run(&store, "01ab", "job", 0, Some(Outcome::Done));
    run(&store, "01cd", "job", 10, None);
    run(&store, "01ab99", "other", 20, Some(Outcome::Done));
    assert_eq!(store.run("01c").unwrap().unwrap().id, "01cd");
    assert_eq!(
        store.run("01ab").unwrap().unwrap().id,
        "01ab",
        "a whole identifier wins over the start of another"
    );
    assert!(matches!(
        store.run("01").unwrap_err(),
        StateError::AmbiguousRun { .. }
    ));
    assert!(store.run("%").unwrap().is_none() && store.run("").unwrap().is_none());
    let ids = |job, limit| {
        store
            .history(job, limit)
            .unwrap()
            .into_iter()
            .map(|run| run.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 2), ["01ab99", "01cd"]);
    assert_eq!(ids(Some("job"), usize::MAX), ["01cd", "01ab"]);
}

#[test]
fn failures_in_a_row_are_counted_over_runs_that_say_something() {
    let store = Store::in_memory();
    assert_eq!(
        store.job_status("job").unwrap(),
        crate::state::JobStatus::default()
    );
    run(&store, "a", "job", 0, Some(Outcome::Failed));
    run(&store, "b", "job", 10, Some(Outcome::Done));
    run(&store, "c", "job", 20, Some(Outcome::Failed));
    run(&store, "d", "job", 30, Some(Outcome::Busy));
    run(&store, "e", "job", 40, Some(Outcome::Failed));
    run(&store, "f", "job", 50, None);
    store.note_fire("job", at(50)).unwrap();
    let status = store.job_status("job").unwrap();
    assert_eq!(
        (status.consecutive_failures, status.last_fire),
        (2, Some(at(50)))
    );
    assert_eq!(status.last_run.unwrap().id, "f");
    assert_eq!(store.close_abandoned_runs("job", at(60)).unwrap(), 1);
    let closed = store.run("f").unwrap().unwrap();
    assert_eq!(
        (closed.outcome, closed.finished, closed.exit_code),
        (Some(Outcome::Interrupted), Some(at(60)), Some(1))
    );
    assert_eq!(
        store.job_status("job").unwrap().consecutive_failures,
        2,
        "an interruption says nothing"
    );
    let empty = RunStart {
        id: "g".into(),
        job: "job".into(),
        trigger: EMPTY_PLAN.into(),
        started: at(70),
    };
    store.start_run(&empty).unwrap();
    let status = store.job_status("job").unwrap();
    assert_eq!(status.last_run.unwrap().id, "f", "it read nothing");
}

#[test]
fn a_refusal_stands_until_a_later_run_goes_through() {
    for (later, stands) in [
        (None, true),
        (Some(Outcome::Failed), true),
        (Some(Outcome::Busy), true),
        (Some(Outcome::Interrupted), true),
        (Some(Outcome::Done), false),
        (Some(Outcome::Partial), false),
    ] {
        let store = Store::in_memory();
        run(&store, "a", "job", 0, Some(Outcome::Refused));
        run(&store, "b", "job", 10, later);
        let status = store.job_status("job").unwrap();
        assert_eq!(status.last_run.unwrap().id, "b");
        assert_eq!(
            status.refused.map(|run| run.id),
            stands.then(|| "a".to_owned()),
            "{later:?}"
        );
    }
}

/// A saved plan that has moved, and an answer of no, end with the same code; an undo has a plan of its own.
#[test]
fn what_no_guard_refused_hides_no_refusal_and_is_none() {
    let store = Store::in_memory();
    let ends = |id: &str, trigger: &str, seconds: i64, outcome: Outcome| {
        let start = RunStart {
            id: id.into(),
            job: "job".into(),
            trigger: trigger.into(),
            started: at(seconds),
        };
        store.start_run(&start).unwrap();
        let end = RunEnd {
            finished: at(seconds + 1),
            outcome,
            exit_code: 3,
            wrote: false,
            completed: false,
            summary: serde_json::Value::Null,
            error: Some("The plan has moved.".into()),
            measure: None,
            approved: None,
        };
        store.finish_run(id, &end, &[]).unwrap();
    };
    ends("a", "apply", 0, Outcome::Refused);
    assert!(store.job_status("job").unwrap().refused.is_none());
    run(&store, "b", "job", 10, Some(Outcome::Refused));
    ends("c", "apply", 20, Outcome::Refused);
    ends("d", "undo", 30, Outcome::Done);
    let status = store.job_status("job").unwrap();
    assert_eq!(status.last_run.unwrap().id, "d");
    assert_eq!(status.refused.unwrap().id, "b");
}

#[test]
fn whatever_shows_that_the_provider_answers_ends_a_row_of_failures() {
    for (outcome, failures) in [
        (Outcome::Done, 0),
        (Outcome::Partial, 0),
        (Outcome::Refused, 0),
        (Outcome::Busy, 2),
        (Outcome::Interrupted, 2),
        (Outcome::Failed, 3),
    ] {
        let store = Store::in_memory();
        run(&store, "a", "job", 0, Some(Outcome::Failed));
        run(&store, "b", "job", 10, Some(Outcome::Failed));
        run(&store, "c", "job", 20, Some(outcome));
        run(&store, "d", "other", 30, Some(Outcome::Failed));
        assert_eq!(
            store.job_status("job").unwrap().consecutive_failures,
            failures,
            "{outcome:?}"
        );
    }
}

#[test]
fn a_pause_keeps_its_beginning() {
    let store = Store::in_memory();
    assert_eq!(store.paused("job").unwrap(), None);
    store.set_paused("job", Some("by hand"), at(1)).unwrap();
    store.set_paused("job", Some("undo"), at(2)).unwrap();
    assert_eq!(
        store.paused("job").unwrap(),
        Some(PausedRecord {
            reason: "undo".into(),
            since: at(1)
        })
    );
    store.set_paused("job", None, at(3)).unwrap();
    assert_eq!(store.paused("job").unwrap(), None);
}

#[test]
fn retention_takes_the_past_and_leaves_what_runs_need() {
    let store = Store::in_memory();
    run(&store, "old", "job", 0, Some(Outcome::Done));
    run(&store, "new", "job", 100, Some(Outcome::Done));
    run(&store, "only", "quiet", 0, Some(Outcome::Done));
    store.add_run_items("old", &[RunItem::default()]).unwrap();
    store.add_run_items("new", &[RunItem::default()]).unwrap();
    let entry = |key: &str| JournalEntry {
        job: "job".into(),
        account: "mail".into(),
        operation: "create_group".into(),
        items: vec![JournalItem {
            key: key.into(),
            ..JournalItem::default()
        }],
        now: at(0),
    };
    let settled = store.begin_write("old", &entry("a")).unwrap();
    store
        .settle_write(
            settled,
            &[JournalOutcome::Confirmed { id: None }],
            &[],
            at(1),
        )
        .unwrap();
    store.begin_write("old", &entry("b")).unwrap();
    store
        .offer_approval("job", "x", &["k".to_owned()].into(), at(0))
        .unwrap();
    store.use_approval("job", "x", at(1)).unwrap();
    store
        .offer_approval("job", "y", &["k".to_owned()].into(), at(100))
        .unwrap();
    store.mark_plan_used("p", "job", at(0)).unwrap();
    store.mark_plan_used("q", "job", at(100)).unwrap();

    assert_eq!(store.prune(at(50)).unwrap(), 4);
    assert_eq!(store.prune(at(50)).unwrap(), 0);
    assert!(
        store.run("old").unwrap().is_none()
            && store.run("new").unwrap().is_some()
            && store.run("only").unwrap().is_some()
    );
    assert_eq!(count_rows(&store, "run_items"), 1);
    assert_eq!(store.unsettled("job").unwrap().len(), 1);
    assert_eq!(
        (
            count_rows(&store, "journal_items"),
            count_rows(&store, "approval_items")
        ),
        (1, 1)
    );
    assert_eq!(
        (store.plan_used("p").unwrap(), store.plan_used("q").unwrap()),
        (None, Some(at(100)))
    );
    assert_eq!(count_rows(&store, "memberships"), 3, "the base stays");
}

#[test]
fn a_run_from_the_future_is_taken_for_now() {
    let store = Store::in_memory();
    let start = |id: &str, seconds| {
        store
            .start_run(&RunStart {
                id: id.to_owned(),
                job: "job".to_owned(),
                trigger: "schedule".to_owned(),
                started: at(seconds),
            })
            .unwrap();
    };
    let end = |id: &str, seconds, outcome: Outcome| {
        let end = RunEnd {
            finished: at(seconds),
            outcome,
            exit_code: outcome.exit_code(),
            wrote: false,
            completed: false,
            summary: serde_json::Value::Null,
            error: None,
            measure: None,
            approved: None,
        };
        store.finish_run(id, &end, &[]).unwrap();
    };
    // It went well two days ahead; then the clock was set right, and everything fails.
    start("z", 172_800);
    end("z", 172_900, Outcome::Done);
    start("a", 100);
    end("a", 110, Outcome::Failed);
    start("b", 200);
    end("b", 210, Outcome::Failed);
    let status = store.job_status("job").unwrap();
    assert_eq!(status.last_run.unwrap().id, "b");
    assert_eq!(status.consecutive_failures, 2);
    let runs = store.history(Some("job"), 9).unwrap();
    let order: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
    assert_eq!(order, ["b", "a", "z"]);
    assert!(runs[2].finished.unwrap() <= at(100));
}

#[test]
fn what_a_person_approved_is_kept_with_the_run() {
    let store = Store::in_memory();
    store
        .start_run(&RunStart {
            id: "a".to_owned(),
            job: "job".to_owned(),
            trigger: "manual".to_owned(),
            started: at(0),
        })
        .unwrap();
    let approved = crate::state::ApprovedBy {
        id: "0123456789ab".to_owned(),
        guards: vec!["max_updates".to_owned()],
    };
    let end = RunEnd {
        finished: at(1),
        outcome: Outcome::Done,
        exit_code: 0,
        wrote: true,
        completed: false,
        summary: serde_json::Value::Null,
        error: None,
        measure: None,
        approved: Some(approved.clone()),
    };
    store.finish_run("a", &end, &[]).unwrap();
    assert_eq!(store.run("a").unwrap().unwrap().approved, Some(approved));
}

#[test]
fn a_long_run_is_gone_through_in_parts() {
    let store = Store::in_memory();
    run(&store, "01ab", "a", 0, Some(Outcome::Done));
    run(&store, "02cd", "a", 10, Some(Outcome::Done));
    // Several items of one operation have its number.
    let item = |number: u64| RunItem {
        seq: number / 7 + 1,
        member: Some(number.to_string()),
        ..RunItem::default()
    };
    let items: Vec<RunItem> = (0..2_500).map(item).collect();
    store.add_run_items("01ab", &items).unwrap();
    store.add_run_items("02cd", &items[..1_000]).unwrap();
    for (id, count) in [("01ab", 2_500), ("02cd", 1_000), ("03ef", 0)] {
        let read: Result<Vec<RunItem>, _> = store.run_items(id).collect();
        assert_eq!(read.unwrap(), items[..count], "{id}");
    }
}

/// What is not taken back yet can't be once its record is gone, nor be told from what was done since.
#[test]
fn retention_leaves_a_run_whose_undo_was_interrupted() {
    let store = Store::in_memory();
    for (id, job, begin) in [
        ("a", "job", 0),
        ("b", "job", 1),
        ("c", "other", 2),
        ("d", "job", 3),
    ] {
        run(&store, id, job, begin, Some(Outcome::Done));
    }
    run(&store, "e", "other", 100, Some(Outcome::Done));
    run(&store, "f", "job", 100, Some(Outcome::Done));
    store.set_open_undo("job", Some("b")).unwrap();
    store.prune(at(50)).unwrap();
    let kept = |id: &str| store.run(id).unwrap().is_some();
    let runs = ["a", "b", "c", "d", "e", "f"];
    assert_eq!(runs.map(kept), [false, true, true, true, true, true]);
    store.set_open_undo("job", None).unwrap();
    store.prune(at(50)).unwrap();
    assert_eq!(runs.map(kept), [false, false, false, false, true, true]);
}
