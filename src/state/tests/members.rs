//! Who was in a group, from run to run.

use jiff::Timestamp;

use super::{at, count_rows, group_link, link_member, membership};
use crate::state::{
    AudienceKey, Change, MembersThen, Outcome, PersonKey, RunEnd, RunItem, RunStart, Stood, Store,
};

const ACCOUNT: &str = "H-mail";

fn begin(store: &Store, id: &str, seconds: i64) {
    store
        .start_run(&RunStart {
            id: id.into(),
            job: "job".into(),
            trigger: "manual".into(),
            started: at(seconds),
        })
        .unwrap();
}

fn end(store: &Store, id: &str, seconds: i64) {
    let end = RunEnd {
        finished: at(seconds),
        outcome: Outcome::Done,
        exit_code: 0,
        wrote: true,
        completed: true,
        summary: serde_json::Value::Null,
        error: None,
        measure: None,
        approved: None,
    };
    store.finish_run(id, &end, &[]).unwrap();
}

/// One run that makes these changes, from a time for ten seconds.
fn run(store: &Store, id: &str, seconds: i64, changes: &[Change]) {
    begin(store, id, seconds);
    store.record(changes).unwrap();
    end(store, id, seconds + 10);
}

fn gone(group: &str, member: &str) -> Change {
    Change::MembershipGone {
        job: "job".into(),
        group: group.into(),
        member: member.into(),
    }
}

fn missing(member: &str, missing: bool) -> Change {
    Change::MembershipMissing {
        job: "job".into(),
        group: "g".into(),
        member: member.into(),
        missing,
    }
}

fn store() -> Store {
    let store = Store::in_memory();
    store.register_job("job", "H-crm", ACCOUNT).unwrap();
    store
}

fn people() -> Vec<Change> {
    vec![
        Change::LinkGroup {
            job: "job".into(),
            link: group_link("s", "g"),
        },
        link_member("job", "s1", "t1", "ana@example.org"),
        link_member("job", "s2", "t2", "bo@example.org"),
        membership("job", "g", "t1", true),
        membership("job", "g", "t2", false),
    ]
}

fn then(store: &Store, time: Timestamp) -> MembersThen {
    store.members_at(ACCOUNT, "g", time).unwrap()
}

/// Everybody as address, word and the second since when.
fn said(store: &Store, seconds: i64) -> Vec<String> {
    let second = |time: Option<Timestamp>| {
        time.map_or("-".to_owned(), |time| {
            (time.as_second() - at(0).as_second()).to_string()
        })
    };
    let then = then(store, at(seconds));
    let members = then.members.iter();
    members
        .map(|member| {
            let word = match member.stood {
                Stood::Member => "in",
                Stood::OptedOut => "out",
                Stood::NotKnown => "?",
            };
            let email = member.email.as_deref().unwrap_or(&member.id);
            format!(
                "{email} {word} {} {}",
                second(member.since),
                second(member.seen)
            )
        })
        .collect()
}

#[test]
fn a_membership_is_known_from_the_run_that_brought_it_to_the_one_that_ended_it() {
    let store = store();
    run(&store, "a", 100, &people());
    run(&store, "b", 200, &[gone("g", "t1")]);
    run(&store, "c", 300, &[membership("job", "g", "t1", true)]);
    let both = ["ana@example.org in 100 -", "bo@example.org in - 100"];
    assert_eq!(said(&store, 110), both);
    assert_eq!(said(&store, 199), both);
    assert_eq!(
        said(&store, 205),
        ["ana@example.org ? - -", "bo@example.org in - 100"]
            .map(|line| line.replace("? - -", "? 100 -"))
    );
    assert_eq!(said(&store, 210), ["bo@example.org in - 100"]);
    assert_eq!(said(&store, 299), ["bo@example.org in - 100"]);
    assert_eq!(
        said(&store, 400),
        ["ana@example.org in 300 -", "bo@example.org in - 100"]
    );
    let known = &then(&store, at(99)).jobs[0];
    assert!(!known.knows(at(99)));
    assert_eq!(known.known_from, Some(at(100)));
    assert_eq!(then(&store, at(250)).jobs[0].as_of.as_ref().unwrap().0, "b");
    assert!(
        store
            .members_at("other", "g", at(250))
            .unwrap()
            .jobs
            .is_empty()
    );
    assert!(
        store
            .members_at(ACCOUNT, "h", at(250))
            .unwrap()
            .jobs
            .is_empty()
    );
}

#[test]
fn what_others_took_out_is_out_although_it_stays_remembered() {
    let store = store();
    run(&store, "a", 100, &people());
    run(&store, "b", 200, &[missing("t1", true)]);
    assert_eq!(
        store.missing_memberships("job").unwrap(),
        [("g".to_owned(), "t1".to_owned())]
    );
    run(&store, "c", 300, &[missing("t1", true)]);
    run(&store, "d", 400, &[missing("t1", false)]);
    run(&store, "e", 500, &[missing("t1", true)]);
    // Brought once more, or ended for good.
    run(&store, "f", 600, &[membership("job", "g", "t1", true)]);
    run(&store, "g", 700, &[missing("t2", true)]);
    run(&store, "h", 800, &[gone("g", "t2")]);
    let ana = |seconds| {
        said(&store, seconds)
            .into_iter()
            .find(|line| line.starts_with("ana"))
    };
    for (seconds, expected) in [
        (150, Some("ana@example.org in 100 -")),
        (250, None),
        (350, None),
        (450, Some("ana@example.org in 400 -")),
        (550, None),
        (650, Some("ana@example.org in 600 -")),
    ] {
        assert_eq!(ana(seconds).as_deref(), expected, "{seconds}");
    }
    let bo = |seconds| {
        said(&store, seconds)
            .iter()
            .any(|line| line.starts_with("bo"))
    };
    assert_eq!([650, 750, 850].map(bo), [true, false, false]);
    assert!(store.missing_memberships("job").unwrap().is_empty());
}

#[test]
fn of_a_killed_run_nobody_knows_until_the_next_one_has_found_out() {
    let store = store();
    run(&store, "a", 100, &people());
    begin(&store, "killed", 200);
    store.record(&[gone("g", "t1")]).unwrap();
    assert_eq!(said(&store, 250)[0], "ana@example.org ? 100 -");
    store.close_abandoned_runs("job", at(300)).unwrap();
    run(
        &store,
        "next",
        300,
        &[
            link_member("job", "s3", "t3", "cy@example.org"),
            membership("job", "g", "t3", true),
        ],
    );
    // What was found may have been done by the killed one at any time.
    assert_eq!(
        said(&store, 250),
        [
            "ana@example.org ? 200 -",
            "bo@example.org in - 100",
            "cy@example.org ? 300 -"
        ]
        .map(|line| line.replace("? 200", "? 100"))
    );
    assert_eq!(
        said(&store, 310),
        ["bo@example.org in - 100", "cy@example.org in 300 -"]
    );
}

#[test]
fn a_refusal_counts_from_the_run_that_saw_it_for_those_who_were_there() {
    let store = store();
    run(&store, "a", 100, &people());
    let refusal = |people: &[&str], audience| Change::Refusal {
        account: ACCOUNT.into(),
        people: people
            .iter()
            .map(|key| {
                if key.contains('@') {
                    PersonKey::Address((*key).into())
                } else {
                    PersonKey::Contact((*key).into())
                }
            })
            .collect(),
        audience: vec![audience],
        origin: "listing".into(),
    };
    let group = || AudienceKey::Group("g".into());
    run(
        &store,
        "b",
        200,
        &[
            refusal(&["t1", "ana@example.org"], group()),
            gone("g", "t1"),
            refusal(&["di@example.org"], group()),
        ],
    );
    run(
        &store,
        "c",
        300,
        &[refusal(&["bo@example.org"], AudienceKey::Account)],
    );
    assert_eq!(
        said(&store, 150),
        ["ana@example.org in 100 -", "bo@example.org in - 100"]
    );
    assert_eq!(
        said(&store, 250),
        ["ana@example.org out - 200", "bo@example.org in - 100"],
        "when somebody refused nobody knows: a run found it so"
    );
    assert_eq!(
        said(&store, 350),
        ["ana@example.org out - 200", "bo@example.org out - 300"],
        "who never was in the group is not said to have been"
    );
}

#[test]
fn what_history_let_go_is_not_known_and_the_forgotten_are_not_there() {
    let store = store();
    run(&store, "a", 100, &people());
    run(&store, "b", 200, &[gone("g", "t1")]);
    run(&store, "c", 300, &[]);
    run(&store, "d", 400, &[]);
    assert_eq!(said(&store, 150).len(), 2);
    store.forget_person("ana@example.org", at(410)).unwrap();
    assert_eq!(said(&store, 150), ["bo@example.org in - 100"]);
    assert_eq!(count_rows(&store, "past_memberships"), 0);
    run(&store, "e", 500, &[gone("g", "t2")]);
    store.prune(at(350)).unwrap();
    assert_eq!(
        count_rows(&store, "past_memberships"),
        1,
        "the run before it is still there"
    );
    let known = &then(&store, at(350)).jobs[0];
    assert_eq!(
        known.known_from,
        Some(at(400)),
        "the oldest run that is left"
    );
    assert_eq!(said(&store, 450), ["bo@example.org in - 100"]);
    run(&store, "f", 600, &[membership("job", "g", "t9", true)]);
    store.prune(at(599)).unwrap();
    assert_eq!(count_rows(&store, "past_memberships"), 0);
}

#[test]
fn a_group_is_known_by_the_names_under_which_runs_wrote_to_it() {
    let store = store();
    store.register_job("elsewhere", "H-crm", "H-other").unwrap();
    run(&store, "a", 100, &people());
    let item = |id: &str, name: &str, member: Option<&str>| RunItem {
        op: "archive_group".into(),
        group: Some(name.into()),
        group_id: Some(id.into()),
        member: member.map(str::to_owned),
        outcome: "done".into(),
        ..RunItem::default()
    };
    let items = [
        item("g", "Donors", None),
        item("g", "Givers", None),
        item("h", "Donors", None),
        item("i", "Press", Some("ana@example.org")),
    ];
    store.add_run_items("a", &items).unwrap();
    let named = |account: &str, name: &str| store.groups_named(account, name).unwrap();
    assert_eq!(named(ACCOUNT, "Donors"), ["g", "h"]);
    assert_eq!(named(ACCOUNT, "Givers"), ["g"]);
    assert_eq!(named("H-other", "Givers"), Vec::<String>::new());
    assert_eq!(named(ACCOUNT, "Press"), Vec::<String>::new());
    assert_eq!(named(ACCOUNT, "Nobody's"), Vec::<String>::new());
}

#[test]
fn a_group_that_no_job_links_any_more_is_known_up_to_then() {
    let store = store();
    run(&store, "a", 100, &people());
    run(&store, "b", 200, &[]);
    assert!(store.forget_link("job", "s").unwrap());
    let memory = &then(&store, at(150)).jobs[0];
    assert!(memory.knows(at(150)) && !memory.knows(at(250)));
    assert_eq!(said(&store, 150).len(), 2);
    assert!(said(&store, 250).is_empty());
}

#[test]
fn what_was_seen_before_the_clock_was_set_back_is_not_still_to_come() {
    let store = store();
    run(
        &store,
        "a",
        100,
        &[people(), vec![membership("job", "g", "t3", true)]].concat(),
    );
    run(&store, "b", 5_000, &[gone("g", "t3")]);
    run(
        &store,
        "c",
        6_000,
        &[gone("g", "t1"), membership("job", "g", "t4", true)],
    );
    run(&store, "d", 1_000, &[]);
    let shown = said(&store, 1_020);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(
        shown[0].starts_with("t4 in") && shown[1].starts_with("bo@example.org in"),
        "{shown:?}"
    );
}
