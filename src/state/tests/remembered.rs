//! Targets that are remembered as they were read.

use std::collections::BTreeMap;

use super::{at, count_rows};
use crate::model::{
    Certificate, CountRule, CustomField, CustomFields, Existence, FieldType, GroupKind, GroupRow,
    GroupStatus, Incomplete, Listing, Member, MemberRow, MemberSink, MemberStatus, MembershipState,
    Names, OwnRemovals, Reading, Record, Snapshot, SnapshotBuilder, Stage, TotalMeanings,
    Unreadable,
};
use crate::state::{MemoryKey, Store, TargetReading};

struct Nothing;

impl Stage for Nothing {
    fn put(&mut self, _id: &str, _record: &Record) -> Result<(), String> {
        Ok(())
    }
}

fn key(account: &str) -> MemoryKey {
    MemoryKey {
        account: account.into(),
        read_at: at(0),
        config_hash: "c".into(),
        salt: "s".into(),
    }
}

fn group() -> GroupRow {
    GroupRow {
        id: "7".into(),
        wire: Record::from([
            ("groupName".into(), "Donors".into()),
            ("protected".into(), true.into()),
        ]),
        kind: GroupKind::Dynamic,
        status: GroupStatus::Archived,
        test_group: true,
        auto_response: false,
        member_count: Some(2),
        detailed: true,
        unread: None,
    }
}

fn custom() -> CustomFields {
    let field = CustomField {
        system_name: "custom3".into(),
        label: "Level".into(),
        kind: FieldType::Integer,
        max_length: Some(20),
        options: vec!["1".into()],
    };
    CustomFields {
        known: true,
        fields: vec![field],
        unread: vec!["custom4".into()],
    }
}

fn snapshot(names: &mut Names) -> Snapshot {
    let mut stage = Nothing;
    let mut builder = SnapshotBuilder::new("mail", "s", names, &mut stage);
    let profile = Some(Record::from([("firstName".into(), "Ana".into())]));
    let row = |id: &str, address: Option<&str>, status| MemberRow {
        id: id.into(),
        address: address.map(Into::into),
        status,
        wire: None,
    };
    builder
        .member(MemberRow {
            wire: profile,
            ..row("1", Some("ana@example.org"), Some(MemberStatus::Held))
        })
        .unwrap();
    builder
        .member(row(
            "2",
            Some("bo@example.org"),
            Some(MemberStatus::OptedOut),
        ))
        .unwrap();
    builder.member(row("3", None, None)).unwrap();
    builder.begin_listing("7");
    builder.listed("1", MembershipState::Active);
    builder.listed("2", MembershipState::OptedOut);
    builder.listed("3", MembershipState::Bounced);
    let certificate = Certificate {
        distinct: 3,
        total: Some(3),
        group_total: CountRule::AtMostRows(2),
        opt_outs_complete: true,
        ..Certificate::of_the_end()
    };
    builder.end_listing(certificate);
    builder.account_state(Certificate::of_the_end());
    builder.absent("cy@example.org");
    builder.finish(
        Vec::new(),
        &Certificate::of_the_end(),
        &mut TotalMeanings::all(),
        &OwnRemovals::default(),
    )
}

fn remember(store: &Store, job: &str, account: &str, snapshot: &Snapshot, names: &Names) -> bool {
    let rows = BTreeMap::from([("7".to_owned(), group())]);
    let certificate = Certificate {
        pages: 4,
        ..Certificate::of_the_end()
    };
    let (key, custom) = (key(account), custom());
    let reading = TargetReading {
        key: &key,
        custom: &custom,
        rows: &rows,
        certificate: &certificate,
        snapshot,
    };
    store.remember_target(job, &reading, names).unwrap()
}

#[test]
fn a_reading_comes_back_as_it_was() {
    let (store, mut names) = (Store::in_memory(), Names::new());
    let mut read = snapshot(&mut names);
    read.unreadable = BTreeMap::from([
        ("1".to_owned(), Unreadable::Profile),
        ("2".to_owned(), Unreadable::Value("it: nobody's".to_owned())),
        ("3".to_owned(), Unreadable::Standing("no list".to_owned())),
    ]);
    assert!(remember(&store, "job", "a", &read, &names));
    assert!(
        remember(&store, "job", "a", &read, &names),
        "a later reading takes the place of an earlier one"
    );
    assert_eq!(
        (
            count_rows(&store, "remembered_targets"),
            count_rows(&store, "remembered_members")
        ),
        (1, 3)
    );
    assert_eq!(store.remembered_key("job").unwrap(), Some(key("a")));
    assert_eq!(store.remembered_key("other").unwrap(), None);

    let mut fresh = Names::new();
    fresh.intern("something else");
    let known = store.remembered_target("job", &mut fresh).unwrap().unwrap();
    assert_eq!(known.unreadable, read.unreadable);
    assert_eq!(
        (known.key, known.custom, known.rows),
        (key("a"), custom(), vec![group()])
    );
    assert_eq!(known.certificate.pages, 4);
    let shown = |names: &Names, members: &[Member]| -> Vec<_> {
        let text = |name| names.text(name).to_owned();
        members
            .iter()
            .map(|member| {
                (
                    text(member.id),
                    member.address.map(text),
                    member.status,
                    member.hash,
                )
            })
            .collect()
    };
    assert_eq!(shown(&fresh, &known.members), shown(&names, &read.members));
    let (listing, certificate) = &known.listings["7"];
    assert_eq!(listing, read.listings["7"].seen());
    assert_eq!(*certificate, read.certificates["7"]);
    assert_eq!(
        known.existence,
        Existence::Asked([fresh.find("cy@example.org").unwrap()].into())
    );
}

#[test]
fn what_is_not_whole_is_not_remembered_and_takes_the_old_memory_away() {
    let (store, mut names) = (Store::in_memory(), Names::new());
    let whole = snapshot(&mut names);
    let nothing = || Incomplete {
        partial: (),
        why: vec!["a page failed".into()],
        opt_outs_complete: false,
    };
    let listing = Incomplete {
        partial: Listing::default(),
        why: Vec::new(),
        opt_outs_complete: true,
    };
    let groups = Incomplete {
        partial: Vec::new(),
        why: Vec::new(),
        opt_outs_complete: true,
    };
    for partly in [
        Snapshot {
            account_state: Reading::Incomplete(nothing()),
            ..whole.clone()
        },
        Snapshot {
            listings: BTreeMap::from([("7".to_owned(), Reading::Incomplete(listing))]),
            ..whole.clone()
        },
        Snapshot {
            groups: Reading::Incomplete(groups),
            ..whole.clone()
        },
    ] {
        assert!(remember(&store, "job", "a", &whole, &names));
        assert!(!remember(&store, "job", "a", &partly, &names));
        assert_eq!(store.remembered_key("job").unwrap(), None);
    }
}

#[test]
fn an_account_is_dropped_for_every_job_that_read_it() {
    let (store, mut names) = (Store::in_memory(), Names::new());
    let read = snapshot(&mut names);
    for (job, account) in [("one", "a"), ("two", "a"), ("three", "b")] {
        assert!(remember(&store, job, account, &read, &names));
    }
    store.drop_remembered("a").unwrap();
    assert_eq!(
        (
            store.remembered_key("one").unwrap(),
            store.remembered_key("two").unwrap()
        ),
        (None, None)
    );
    assert!(store.remembered_key("three").unwrap().is_some());
    store.drop_remembered_of("three").unwrap();
    for table in [
        "remembered_targets",
        "remembered_members",
        "remembered_listings",
        "remembered_absent",
    ] {
        assert_eq!(count_rows(&store, table), 0, "{table}");
    }
}

#[test]
fn a_forgotten_person_is_not_remembered() {
    let (store, mut names) = (Store::in_memory(), Names::new());
    let read = snapshot(&mut names);
    assert!(remember(&store, "job", "a", &read, &names));
    store.forget_person("ana@example.org", at(1)).unwrap();
    store.forget_person("cy@example.org", at(1)).unwrap();
    assert_eq!(store.remembered_key("job").unwrap(), None);
    assert!(remember(&store, "job", "a", &read, &names));
    let mut fresh = Names::new();
    let known = store.remembered_target("job", &mut fresh).unwrap().unwrap();
    let ids: Vec<&str> = known
        .members
        .iter()
        .map(|member| fresh.text(member.id))
        .collect();
    assert_eq!(ids, ["2", "3"]);
    let states: Vec<_> = known.listings["7"]
        .0
        .rows
        .iter()
        .map(|row| (row.member, row.state))
        .collect();
    assert_eq!(
        states,
        [
            (0, MembershipState::OptedOut),
            (1, MembershipState::Bounced)
        ]
    );
    assert_eq!(
        (fresh.find("ana@example.org"), fresh.find("cy@example.org")),
        (None, None)
    );
}

#[test]
fn a_large_account_fits() {
    let (store, mut names) = (Store::in_memory(), Names::new());
    let mut stage = Nothing;
    let mut builder = SnapshotBuilder::new("mail", "s", &mut names, &mut stage);
    builder.begin_listing("7");
    for number in 0..100_000 {
        let (id, address) = (
            number.to_string(),
            Some(format!("person{number}@example.org")),
        );
        builder
            .member(MemberRow {
                id: id.clone(),
                address,
                status: None,
                wire: None,
            })
            .unwrap();
        builder.listed(&id, MembershipState::Active);
    }
    builder.end_listing(Certificate {
        distinct: 100_000,
        ..Certificate::of_the_end()
    });
    builder.account_state(Certificate::of_the_end());
    builder.whole_account();
    let read = builder.finish(
        Vec::new(),
        &Certificate::of_the_end(),
        &mut TotalMeanings::all(),
        &OwnRemovals::default(),
    );
    assert!(remember(&store, "job", "a", &read, &names));
    let known = store
        .remembered_target("job", &mut Names::new())
        .unwrap()
        .unwrap();
    assert_eq!(
        (known.members.len(), known.listings["7"].0.rows.len()),
        (100_000, 100_000)
    );
    assert_eq!(known.existence, Existence::Whole);
}
