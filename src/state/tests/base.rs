//! What is recorded is what is loaded.

use std::collections::{BTreeMap, BTreeSet};

use compact_str::format_compact;
use proptest::prelude::*;

use super::{at, fields, group_link, link_member, membership};
use crate::model::{Name, Names, ObjectKind, Record, TotalMeanings, Value};
use crate::plan::base::{Base, FieldBase, FieldBases, Measure, Origin, Resting};
use crate::state::{Change, FailureNote, Outcome, RunEnd, RunStart, StateError, Store};

fn load(store: &Store, job: &str, names: &mut Names) -> Base {
    store.load_base(job, "crm", "mail", at(0), names).unwrap()
}

fn base_of(job: &str, source: &str, hash: u64) -> Change {
    Change::MemberBase {
        job: job.into(),
        source: source.into(),
        address: "ana@example.org".into(),
        source_hash: hash,
        target_hash: hash ^ 1,
        fields: fields("Ana", None),
    }
}

#[test]
fn groups_members_and_memberships_come_back() {
    let store = Store::in_memory();
    let mut names = Names::new();
    assert!(load(&store, "job", &mut names).is_empty());
    store
        .record(&[
            Change::LinkGroup {
                job: "job".into(),
                link: group_link("s1", "t1"),
            },
            link_member("job", "s7", "t7", "ana@example.org"),
            base_of("job", "s7", u64::MAX),
            base_of("job", "nobody", 5),
            Change::MemberRemovedByUs {
                job: "job".into(),
                target: "t7".into(),
                removed: true,
            },
            membership("job", "t1", "t7", true),
            membership("job", "t1", "t7", false),
            membership("job", "t1", "t8", false),
        ])
        .unwrap();
    let base = load(&store, "job", &mut names);
    assert_eq!(base.groups, [group_link("s1", "t1")]);
    assert_eq!(store.links("job").unwrap(), base.groups);
    let member = base.member_of_source(names.find("s7").unwrap()).unwrap();
    assert_eq!(
        (names.text(member.target), names.text(member.address)),
        ("t7", "ana@example.org")
    );
    assert_eq!(
        (member.origin, member.source_hash, member.target_hash),
        (Origin::Adopted, u64::MAX, u64::MAX - 1)
    );
    assert!(member.removed_by_us);
    assert!(
        base.membership("t1", names.find("t7").unwrap())
            .unwrap()
            .brought,
        "a brought membership stays brought"
    );
    assert!(
        !base
            .membership("t1", names.find("t8").unwrap())
            .unwrap()
            .brought
    );
    assert_eq!(
        store.member_fields("job", "s7").unwrap(),
        fields("Ana", None)
    );
    assert_eq!(
        store.member_fields("job", "nobody").unwrap(),
        FieldBases::new()
    );

    let renamed = Change::GroupFields {
        job: "job".into(),
        source: "s1".into(),
        fields: fields("Friends", Some("Friends")),
        name: "Friends".into(),
    };
    store
        .record(&[renamed, link_member("job", "s7", "t9", "bo@example.org")])
        .unwrap();
    let base = load(&store, "job", &mut names);
    assert_eq!(
        (base.groups[0].name.as_str(), &base.groups[0].fields),
        ("Friends", &fields("Friends", Some("Friends")))
    );
    let member = base.member_of_source(names.find("s7").unwrap()).unwrap();
    assert_eq!(
        (member.source_hash, member.removed_by_us),
        (0, false),
        "another target starts without a base"
    );
    assert_eq!(store.member_fields("job", "s7").unwrap(), FieldBases::new());

    store
        .record(&[
            Change::UnlinkMember {
                job: "job".into(),
                source: "s7".into(),
            },
            Change::MembershipGone {
                job: "job".into(),
                group: "t1".into(),
                member: "t8".into(),
            },
        ])
        .unwrap();
    let base = load(&store, "job", &mut names);
    assert!(base.members.is_empty());
    assert_eq!(base.memberships["t1"].len(), 1);
    assert!(store.forget_link("job", "s1").unwrap());
    assert!(!store.forget_link("job", "s1").unwrap());
    assert!(
        load(&store, "job", &mut names).is_empty(),
        "the memberships of an unlinked group go with it"
    );
}

#[test]
fn rows_stand_in_the_order_of_the_names() {
    let store = Store::in_memory();
    let mut names = Names::new();
    // Interned against the order of the text, as a snapshot might have done.
    for text in ["s9", "t9", "s5", "t5", "s1", "t1"] {
        names.intern(text);
    }
    let mut changes = Vec::new();
    for number in [1, 5, 9] {
        changes.push(link_member(
            "job",
            &format!("s{number}"),
            &format!("t{number}"),
            &format!("{number}@example.org"),
        ));
        changes.push(membership("job", "g", &format!("t{number}"), true));
    }
    store.record(&changes).unwrap();
    let base = load(&store, "job", &mut names);
    let sources: Vec<Name> = base.members.iter().map(|link| link.source).collect();
    assert!(sources.is_sorted());
    assert_eq!(
        sources
            .iter()
            .map(|name| names.text(*name))
            .collect::<Vec<_>>(),
        ["s9", "s5", "s1"]
    );
    assert!(base.memberships["g"].is_sorted());
    for number in [1, 5, 9] {
        assert!(
            base.member_of_source(names.find(&format!("s{number}")).unwrap())
                .is_some()
        );
        assert!(
            base.membership("g", names.find(&format!("t{number}")).unwrap())
                .is_some()
        );
    }
}

#[test]
fn other_jobs_count_only_at_the_same_target() {
    let store = Store::in_memory();
    store.register_job("one", "crm", "mail").unwrap();
    store.register_job("two", "shop", "mail").unwrap();
    store.register_job("three", "crm", "elsewhere").unwrap();
    for job in ["one", "two", "three"] {
        store
            .record(&[
                Change::LinkGroup {
                    job: job.into(),
                    link: group_link("s", &format!("t-{job}")),
                },
                membership(job, "g", &format!("m-{job}"), true),
            ])
            .unwrap();
    }
    let mut names = Names::new();
    let base = load(&store, "one", &mut names);
    assert_eq!(base.groups_of_others, ["t-two".to_owned()].into());
    assert_eq!(
        base.held_by_others["g"],
        [names.find("m-two").unwrap()].into()
    );
    assert_eq!(base.memberships["g"].len(), 1);
}

#[test]
fn a_job_with_another_provider_is_refused() {
    let store = Store::in_memory();
    store.register_job("job", "crm", "mail").unwrap();
    for error in [
        store.register_job("job", "crm", "other").unwrap_err(),
        store.register_job("job", "other", "mail").unwrap_err(),
        store
            .load_base("job", "crm", "other", at(0), &mut Names::new())
            .unwrap_err(),
    ] {
        assert!(matches!(error, StateError::JobMoved { .. }), "{error:?}");
    }
    store.register_job("job", "crm", "mail").unwrap();
}

#[test]
fn carried_values_and_meanings_come_back() {
    let store = Store::in_memory();
    let carry = |id: &str, field: &str, value: Option<Value>| Change::Carried {
        account: "crm".into(),
        object: ObjectKind::Group,
        id: id.into(),
        field: field.into(),
        value,
    };
    assert!(!store.has_carried("crm", ObjectKind::Group).unwrap());
    let values = [
        Value::from("text"),
        Value::from(true),
        Value::from(-3),
        Value::List(vec!["a".into(), "b,c".into()]),
    ];
    for (number, value) in values.iter().enumerate() {
        store
            .record(&[carry("1", &format!("f{number}"), Some(value.clone()))])
            .unwrap();
    }
    store
        .record(&[carry("2", "f", Some("x".into())), carry("1", "f0", None)])
        .unwrap();
    let expected: Record = values
        .iter()
        .enumerate()
        .skip(1)
        .map(|(number, value)| (format_compact!("f{number}"), value.clone()))
        .collect();
    assert_eq!(
        store.carried_of("crm", ObjectKind::Group, "1").unwrap(),
        expected
    );
    let all = store.carried("crm", ObjectKind::Group).unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(all["1"], expected);
    assert!(
        store.has_carried("crm", ObjectKind::Group).unwrap()
            && !store.has_carried("crm", ObjectKind::Member).unwrap()
    );

    assert_eq!(store.meanings("mail").unwrap(), TotalMeanings::all());
    let left = BTreeSet::from([TotalMeanings::AllButBounced]);
    store
        .record(&[Change::Meanings {
            account: "mail".into(),
            meanings: left.clone(),
        }])
        .unwrap();
    assert_eq!(store.meanings("mail").unwrap(), left);
}

#[test]
fn measure_writing_run_and_waiting_items_are_part_of_the_base() {
    let store = Store::in_memory();
    let end = |wrote: bool, measure: Option<Measure>| RunEnd {
        finished: at(10),
        outcome: Outcome::Done,
        exit_code: 0,
        wrote,
        completed: false,
        summary: serde_json::Value::Null,
        error: None,
        measure,
        approved: None,
    };
    let measure = Measure {
        groups: 3,
        memberships: 1_000_000,
    };
    for (id, wrote, measure) in [("a", true, Some(measure)), ("b", false, None)] {
        store
            .start_run(&RunStart {
                id: id.into(),
                job: "job".into(),
                trigger: "manual".into(),
                started: at(1),
            })
            .unwrap();
        store.finish_run(id, &end(wrote, measure), &[]).unwrap();
    }
    let note = FailureNote {
        key: "k".into(),
        message: "No such list".into(),
        item: "b7f3c1".into(),
        ..FailureNote::default()
    };
    store.note_failures("job", &[note], at(0)).unwrap();
    store.prune(at(1_000_000)).unwrap();
    let mut names = Names::new();
    let base = load(&store, "job", &mut names);
    assert_eq!(
        (base.measure, base.last_writing_run.as_deref()),
        (Some(measure), Some("a")),
        "retention takes neither"
    );
    assert_eq!(
        base.resting,
        [(
            "k".to_owned(),
            Resting {
                words: "No such list".to_owned(),
                item: "b7f3c1".to_owned()
            }
        )]
        .into()
    );
    let due = store
        .load_base("job", "crm", "mail", at(15 * 60), &mut names)
        .unwrap();
    assert!(
        due.resting.is_empty(),
        "an item is due when its pause is over"
    );
}

#[test]
fn a_large_base_loads_quickly() {
    let store = Store::in_memory();
    let mut changes = Vec::new();
    for number in 0..50_000 {
        changes.push(link_member(
            "job",
            &format!("s{number}"),
            &format!("t{number}"),
            &format!("{number}@example.org"),
        ));
        changes.push(membership("job", "g", &format!("t{number}"), true));
    }
    store.record(&changes).unwrap();
    let mut names = Names::new();
    let base = load(&store, "job", &mut names);
    assert_eq!(
        (base.members.len(), base.memberships["g"].len(), names.len()),
        (50_000, 50_000, 150_000)
    );
}

type Model = (
    BTreeMap<u8, (u8, u64, FieldBases)>,
    BTreeMap<(u8, u8), bool>,
);

#[derive(Clone, Debug)]
enum Step {
    Link(u8, u8),
    Base(u8, u64, Option<Value>),
    Unlink(u8),
    Join(u8, u8, bool),
    Leave(u8, u8),
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<String>(), 0..3).prop_map(Value::List),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6_u8, 0..6_u8).prop_map(|(source, target)| Step::Link(source, target)),
        (0..6_u8, any::<u64>(), prop::option::of(value()))
            .prop_map(|(source, hash, value)| Step::Base(source, hash, value)),
        (0..6_u8).prop_map(Step::Unlink),
        (0..3_u8, 0..6_u8, any::<bool>())
            .prop_map(|(group, member, brought)| Step::Join(group, member, brought)),
        (0..3_u8, 0..6_u8).prop_map(|(group, member)| Step::Leave(group, member)),
    ]
}

fn follow(model: &mut Model, step: &Step) -> Change {
    let (members, memberships) = model;
    let job = "job".to_owned();
    match step.clone() {
        Step::Link(source, target) => {
            if members.get(&source).is_none_or(|known| known.0 != target) {
                members.insert(source, (target, 0, FieldBases::new()));
            }
            link_member(
                &job,
                &source.to_string(),
                &target.to_string(),
                "ana@example.org",
            )
        }
        Step::Base(source, hash, value) => {
            let fields = FieldBases::from([(
                "f".into(),
                FieldBase {
                    desired: value.clone(),
                    target: value,
                    written: false,
                },
            )]);
            if let Some(known) = members.get_mut(&source) {
                known.1 = hash;
                known.2.clone_from(&fields);
            }
            let address = "ana@example.org".to_owned();
            Change::MemberBase {
                job,
                source: source.to_string(),
                address,
                source_hash: hash,
                target_hash: !hash,
                fields,
            }
        }
        Step::Unlink(source) => {
            members.remove(&source);
            Change::UnlinkMember {
                job,
                source: source.to_string(),
            }
        }
        Step::Join(group, member, brought) => {
            *memberships.entry((group, member)).or_default() |= brought;
            membership(&job, &group.to_string(), &member.to_string(), brought)
        }
        Step::Leave(group, member) => {
            memberships.remove(&(group, member));
            Change::MembershipGone {
                job,
                group: group.to_string(),
                member: member.to_string(),
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(64))]

    #[test]
    fn any_sequence_of_changes_loads_as_its_sum(steps in prop::collection::vec(step(), 0..40), cut in 0..40_usize) {
        let store = Store::in_memory();
        let mut model = Model::default();
        let changes: Vec<Change> = steps.iter().map(|step| follow(&mut model, step)).collect();
        // How the changes are cut into transactions makes no difference.
        let (first, second) = changes.split_at(cut.min(changes.len()));
        store.record(first).unwrap();
        store.record(second).unwrap();
        let mut names = Names::new();
        let base = load(&store, "job", &mut names);
        let members: BTreeMap<u8, (u8, u64, FieldBases)> = base
            .members
            .iter()
            .map(|link| {
                let source = names.text(link.source);
                let fields = store.member_fields("job", source).unwrap();
                (source.parse().unwrap(), (names.text(link.target).parse().unwrap(), link.source_hash, fields))
            })
            .collect();
        let mut memberships = BTreeMap::new();
        for (group, rows) in &base.memberships {
            for row in rows {
                memberships.insert((group.parse().unwrap(), names.text(row.member).parse().unwrap()), row.brought);
            }
        }
        prop_assert_eq!((members, memberships), model);
    }
}

#[test]
fn removals_of_rosterds_own_are_remembered_for_every_job_until_they_end() {
    let store = Store::in_memory();
    let removal = |member: &str, address: &str, shown| Change::OwnRemoval {
        account: "lists".into(),
        group: "7".into(),
        member: member.into(),
        address: address.into(),
        shown,
        since: at(10),
    };
    store
        .record(&[
            removal("1", "ana@example.org", Some(5)),
            removal("2", "bo@example.org", None),
        ])
        .unwrap();
    let own = store.own_removals("lists").unwrap();
    assert!(
        own.get("7", "1").unwrap().still_fits(Some(5))
            && !own.get("7", "1").unwrap().still_fits(Some(6))
    );
    assert!(own.get("7", "2").unwrap().still_fits(None) && own.get("8", "1").is_none());
    assert!(
        store.own_removals("other").unwrap().is_empty(),
        "ids mean nothing at another provider"
    );
    let ended = Change::OwnRemovalEnded {
        account: "lists".into(),
        group: "7".into(),
        member: "1".into(),
    };
    store.record(&[ended]).unwrap();
    assert!(store.own_removals("lists").unwrap().get("7", "1").is_none());
    // Whoever is forgotten leaves nothing, and is not remembered again.
    store.forget_person("bo@example.org", at(11)).unwrap();
    assert!(store.own_removals("lists").unwrap().is_empty());
    store
        .record(&[removal("2", "bo@example.org", None)])
        .unwrap();
    assert!(store.own_removals("lists").unwrap().is_empty());
}

#[test]
fn an_item_that_rests_beyond_any_rest_was_put_off_before_the_clock_was_set_back() {
    let store = Store::in_memory();
    let note = crate::state::FailureNote {
        key: "k".to_owned(),
        what: "member".to_owned(),
        group: None,
        member: None,
        reason: "value_refused".to_owned(),
        code: None,
        message: "no".to_owned(),
        item: String::new(),
    };
    let days = |days: i64| at(days * 24 * 3600);
    store.note_failures("job", &[note], days(30)).unwrap();
    let waits = |now| {
        let mut names = Names::new();
        let base = store.load_base("job", "s", "t", now, &mut names).unwrap();
        base.resting.contains_key("k")
    };
    assert!(waits(days(30)), "a quarter of an hour");
    assert!(!waits(days(30 - 2)), "two days");
    assert!(
        !waits(days(30) - jiff::SignedDuration::from_hours(1)),
        "an hour"
    );
    assert!(!waits(at(0)), "a month");
}

#[test]
fn the_measure_of_a_mirror_is_known_as_such() {
    let store = Store::in_memory();
    let mirrored = || {
        let mut names = Names::new();
        let base = store.load_base("job", "s", "t", at(0), &mut names).unwrap();
        base.mirrored
    };
    assert!(!mirrored());
    for expected in [true, false, true] {
        let change = crate::state::Change::Mirrored {
            job: "job".to_owned(),
            mirrored: expected,
        };
        store.record(&[change]).unwrap();
        assert_eq!(mirrored(), expected);
    }
}
