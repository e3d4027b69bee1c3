//! Refused items, blocked items, approvals.

use std::collections::BTreeSet;

use super::at;
use crate::plan::item_key;
use crate::state::{ApprovalAnswer, FailureNote, Outcome, RunRecord, Store, UNDO};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn note(key: &str, message: &str) -> FailureNote {
    FailureNote {
        key: key.into(),
        what: "member".into(),
        group: Some("Donors".into()),
        member: Some("ana@example.org".into()),
        reason: "value_refused".into(),
        code: Some("12".into()),
        message: message.into(),
        item: format!("{key} {message}"),
    }
}

fn keys(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

#[test]
fn pauses_grow_from_a_quarter_of_an_hour_to_a_week() {
    let store = Store::in_memory();
    for (attempt, pause) in (1_u32..).zip([15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, 7 * DAY]) {
        let now = at(i64::from(attempt) * 1000);
        store
            .note_failures(
                "job",
                &[note("k", &format!("No, for the {attempt}. time"))],
                now,
            )
            .unwrap();
        let known = &store.failures(Some("job")).unwrap()[0];
        assert_eq!(
            (known.attempts, known.next_try),
            (attempt, Some(at(i64::from(attempt) * 1000 + pause)))
        );
        assert_eq!(known.first_seen, at(1000));
        assert_eq!(
            known.note,
            note("k", &format!("No, for the {attempt}. time"))
        );
    }
    assert_eq!(store.retry_now("job", at(9)).unwrap(), 1);
    assert_eq!(store.failures(None).unwrap()[0].next_try, Some(at(9)));
    store
        .clear_failures("job", &["k".into(), "unknown".into()])
        .unwrap();
    assert!(store.failures(None).unwrap().is_empty());
    store
        .note_failures("job", &[note("k", "Again")], at(0))
        .unwrap();
    assert_eq!(
        store.failures(None).unwrap()[0].attempts,
        1,
        "success forgets the past"
    );
}

#[test]
fn blocked_items_are_replaced_and_keep_their_age() {
    let store = Store::in_memory();
    store
        .replace_blocked(
            "job",
            &[note("a", "No address"), note("b", "No address")],
            at(1),
        )
        .unwrap();
    store
        .note_failures("job", &[note("a", "Refused")], at(2))
        .unwrap();
    store
        .replace_blocked(
            "job",
            &[note("b", "Two candidates"), note("c", "No address")],
            at(3),
        )
        .unwrap();
    store.replace_blocked("other", &[], at(3)).unwrap();
    let known: Vec<_> = store
        .failures(Some("job"))
        .unwrap()
        .into_iter()
        .map(|item| (item.note.key, item.blocked, item.first_seen))
        .collect();
    assert_eq!(
        known,
        [
            ("b".into(), true, at(1)),
            ("a".into(), false, at(2)),
            ("c".into(), true, at(3))
        ]
    );
    assert_eq!(
        store.retry_now("job", at(4)).unwrap(),
        1,
        "blocked items are not sent"
    );
    assert!(store.failures(Some("other")).unwrap().is_empty());
}

#[test]
fn an_approval_lets_a_subset_pass_once_within_seven_days() {
    let store = Store::in_memory();
    let check = |job: &str, items: &[&str], seconds| {
        store
            .check_approval(job, "x", &keys(items), at(seconds))
            .unwrap()
    };
    assert_eq!(check("job", &["a"], 0), ApprovalAnswer::Unknown);
    assert_eq!(
        store
            .offer_approval("job", "x", &keys(&["a", "b"]), at(0))
            .unwrap(),
        "x"
    );
    assert_eq!(check("job", &["a", "b"], 1), ApprovalAnswer::Fits);
    assert_eq!(check("job", &["a"], 7 * DAY), ApprovalAnswer::Fits);
    assert_eq!(check("job", &["a"], 7 * DAY + 1), ApprovalAnswer::Expired);
    assert_eq!(check("job", &["a", "c"], 1), ApprovalAnswer::NotASubset);
    assert_eq!(check("other", &["a"], 1), ApprovalAnswer::OtherJob);
    store
        .offer_approval("job", "x", &keys(&["a", "b"]), at(DAY))
        .unwrap();
    assert_eq!(
        check("job", &["a"], 7 * DAY + 1),
        ApprovalAnswer::Fits,
        "offered again, it lasts anew"
    );
    assert!(store.use_approval("job", "x", at(2 * DAY)).unwrap());
    assert!(!store.use_approval("job", "x", at(2 * DAY)).unwrap());
    assert_eq!(check("job", &["a"], 2 * DAY), ApprovalAnswer::Used);
    assert_eq!(
        store
            .offer_approval("job", "x", &keys(&["a"]), at(3 * DAY))
            .unwrap(),
        "x-2"
    );
    assert_eq!(
        check("job", &["a"], 3 * DAY),
        ApprovalAnswer::Used,
        "what is used up stays so"
    );
    assert_eq!(
        store
            .check_approval("job", "x-2", &keys(&["a"]), at(3 * DAY))
            .unwrap(),
        ApprovalAnswer::Fits
    );
}

#[test]
fn what_waits_is_the_approval_of_the_refused_run_while_it_is_good() {
    let store = Store::in_memory();
    let run = RunRecord {
        id: "r".to_owned(),
        job: "job".to_owned(),
        trigger: "schedule".to_owned(),
        started: at(0),
        finished: Some(at(10)),
        outcome: Some(Outcome::Refused),
        exit_code: Some(3),
        wrote: false,
        summary: serde_json::json!({"refusals": [{"guard": "g", "approval": "x"}]}),
        error: Some("too many".to_owned()),
        measure: None,
        approved: None,
    };
    let offer = |id: &str, seconds| {
        let items = keys(&[id]);
        store
            .offer_approval("job", id, &items, at(seconds))
            .unwrap()
    };
    let waiting = |run: &RunRecord, seconds| {
        let waiting = store.waiting("job", Some(run), at(seconds)).unwrap();
        waiting.approval
    };
    offer("x", 9);
    // `plan` offers the same again, and `undo` one of its own.
    offer("x", HOUR);
    offer("of-an-undo", 2 * HOUR);
    assert_eq!(waiting(&run, 3 * HOUR).as_deref(), Some("x"));
    assert_eq!(waiting(&run, HOUR + 7 * DAY + 1), None);
    let undoing = RunRecord {
        trigger: UNDO.to_owned(),
        ..run.clone()
    };
    assert_eq!(waiting(&undoing, 3 * HOUR), None);
    assert!(store.use_approval("job", "x", at(4 * HOUR)).unwrap());
    assert_eq!(waiting(&run, 4 * HOUR), None);
}

#[test]
fn a_saved_plan_is_used_once() {
    let store = Store::in_memory();
    assert_eq!(store.plan_used("p").unwrap(), None);
    store.mark_plan_used("p", "job", at(1)).unwrap();
    store.mark_plan_used("p", "job", at(2)).unwrap();
    assert_eq!(store.plan_used("p").unwrap(), Some(at(1)));
}

#[test]
fn what_was_accepted_stays_so_until_it_is_taken_back() {
    let store = Store::in_memory();
    let (one, other) = (note("a", "too long"), note("b", "no address"));
    store
        .accept(
            "job",
            &[one.clone(), other.clone()],
            Some("an alias"),
            at(0),
        )
        .unwrap();
    let items = |job: &str| -> Vec<String> {
        let accepted = store.accepted(job).unwrap().into_iter();
        accepted.map(|accepted| accepted.note.item).collect()
    };
    assert_eq!(items("job"), ["a too long", "b no address"]);
    assert!(items("another").is_empty());
    let known = &store.accepted("job").unwrap()[0];
    assert_eq!(known.words.as_deref(), Some("an alias"));
    assert_eq!(known.note.member, one.member);
    store.revoke("job", &[one.item]).unwrap();
    assert_eq!(items("job"), ["b no address"]);
    store.forget_person("ana@example.org", at(1)).unwrap();
    assert!(items("job").is_empty());
}

/// An address can be a part of another one, and of somebody else's.
#[test]
fn whoever_is_forgotten_takes_nobody_else_along() {
    let store = Store::in_memory();
    let of = |member: &str| FailureNote {
        key: item_key("update_member", "", member),
        member: Some(member.to_owned()),
        ..note("a", "no")
    };
    let all = ["bo@example.org", "jimbo@example.org", "bo@example.org.test"];
    store.note_failures("j", &all.map(of), at(0)).unwrap();
    let items: BTreeSet<String> = all
        .map(|member| format!("{} =0123", item_key("update_member", "", member)))
        .into();
    let id = store.offer_approval("j", "id", &items, at(0)).unwrap();
    store.forget_person("bo@example.org", at(1)).unwrap();
    let left = store.failures(Some("j")).unwrap().into_iter();
    let left: BTreeSet<String> = left.filter_map(|record| record.note.member).collect();
    assert_eq!(left, keys(&all[1..]));
    let others = items
        .iter()
        .filter(|item| !item.contains(" bo@example.org "));
    let others = others.cloned().collect();
    let answer = store.check_approval("j", &id, &others, at(2)).unwrap();
    assert_eq!(answer, ApprovalAnswer::Fits);
    let answer = store.check_approval("j", &id, &items, at(2)).unwrap();
    assert_eq!(answer, ApprovalAnswer::NotASubset);
}

/// It is listed, so that people find what ended a run with 4, and keeps how often it was refused.
#[test]
fn what_nobody_could_tell_is_listed_and_rests_for_nobody() {
    let store = Store::in_memory();
    store.note_failures("j", &[note("a", "no")], at(0)).unwrap();
    store
        .note_untold("j", &[note("a", "untold"), note("b", "untold")], at(10))
        .unwrap();
    let listed = store.failures(Some("j")).unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|one| {
            (
                one.note.key.as_str(),
                one.note.message.as_str(),
                one.attempts,
                one.next_try,
            )
        })
        .collect();
    let now = Some(at(10));
    assert_eq!(listed, [("a", "untold", 1, now), ("b", "untold", 0, now)]);
}
