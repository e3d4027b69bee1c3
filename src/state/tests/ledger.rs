//! A refusal is lost with no key, and ends only by a later fact.

use std::collections::BTreeSet;

use super::{at, count_rows, group_link, link_member, membership};
use crate::model::{Names, ObjectKind};
use crate::plan::base::{Base, FactId, FieldBases, LedgerAudience, LedgerPerson, Origin, Refusal};
use crate::state::{AudienceKey, Change, PersonKey, RunStart, StateError, Store};

const ANA: &str = "ana@example.org";

fn address(text: &str) -> PersonKey {
    PersonKey::Address(text.into())
}

fn contact(id: &str) -> PersonKey {
    PersonKey::Contact(id.into())
}

fn record(account: &str, id: &str) -> PersonKey {
    PersonKey::Record {
        account: account.into(),
        id: id.into(),
    }
}

fn group(id: &str) -> AudienceKey {
    AudienceKey::Group(id.into())
}

fn source_group(account: &str, id: &str) -> AudienceKey {
    AudienceKey::SourceGroup {
        account: account.into(),
        id: id.into(),
    }
}

fn name(text: &str) -> AudienceKey {
    AudienceKey::Name(text.into())
}

fn refusal(people: &[PersonKey], audience: &[AudienceKey]) -> Change {
    Change::Refusal {
        account: "mail".into(),
        people: people.to_vec(),
        audience: audience.to_vec(),
        origin: "seen at crm".into(),
    }
}

fn held(at: Option<&str>, people: &[PersonKey]) -> Change {
    Change::RefusalHeld {
        account: "mail".into(),
        group: at.map(Into::into),
        known_as: Vec::new(),
        people: people.to_vec(),
    }
}

/// The refusal of Ana by every key of person and group.
fn by_every_key() -> Change {
    refusal(
        &[address(ANA), contact("t1"), record("crm", "s1")],
        &[group("70"), source_group("crm", "7"), name("news")],
    )
}

/// A store with one job, linked, and Ana's refusal by every key.
fn store() -> Store {
    let store = Store::in_memory();
    store.know_account("crm", "crm").unwrap();
    store.know_account("mail", "mail").unwrap();
    store.register_job("job", "crm", "mail").unwrap();
    store
        .record(&[
            Change::LinkGroup {
                job: "job".into(),
                link: group_link("7", "70"),
            },
            link_member("job", "s1", "t1", ANA),
            membership("job", "70", "t1", true),
            by_every_key(),
        ])
        .unwrap();
    store
}

fn load(store: &Store, job: &str, source: &str, target: &str) -> (Base, Names) {
    let mut names = Names::new();
    let base = store
        .load_base(job, source, target, at(0), &mut names)
        .unwrap();
    (base, names)
}

fn refusals(store: &Store, job: &str, source: &str, target: &str) -> Vec<Refusal> {
    load(store, job, source, target).0.ledger.refusals
}

/// The keys of the only refusal, as texts.
fn only(
    store: &Store,
    job: &str,
    source: &str,
    target: &str,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let (base, names) = load(store, job, source, target);
    let [refusal] = base.ledger.refusals.as_slice() else {
        panic!("{:?}", base.ledger);
    };
    let people = refusal.people.iter().map(|person| match person {
        LedgerPerson::Address(name) => format!("address {}", names.text(*name)),
        LedgerPerson::Contact(name) => format!("contact {}", names.text(*name)),
        LedgerPerson::Record(name) => format!("record {}", names.text(*name)),
    });
    let audience = refusal.audience.iter().map(|audience| match audience {
        LedgerAudience::Account => "account".to_owned(),
        LedgerAudience::Group(id) => format!("group {id}"),
        LedgerAudience::Source(id) => format!("source {id}"),
        LedgerAudience::Name(name) => format!("name {name}"),
    });
    (people.collect(), audience.collect())
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn id_of_only(store: &Store) -> FactId {
    let refusals = refusals(store, "job", "crm", "mail");
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    refusals[0].id
}

#[test]
fn a_refusal_is_found_by_every_key() {
    let people = ["address ana@example.org", "contact t1", "record s1"];
    let audience = ["group 70", "source 7", "name news"];
    assert_eq!(
        only(&store(), "job", "crm", "mail"),
        (set(&people), set(&audience))
    );
    // Ids at one source say nothing at another.
    assert_eq!(
        only(&store(), "other", "shop", "mail"),
        (set(&people[..2]), set(&["group 70", "name news"]))
    );
    assert!(refusals(&store(), "other", "crm", "elsewhere").is_empty());
    for person in [contact("t1"), record("crm", "s1")] {
        let store = store();
        store
            .record(&[held(Some("70"), std::slice::from_ref(&person))])
            .unwrap();
        assert_eq!(
            refusals(&store, "job", "crm", "mail")[0].held_at.as_deref(),
            Some("70"),
            "{person:?}"
        );
    }
}

#[test]
fn what_only_another_source_can_tell_stays_and_binds_nobody_here() {
    let store = store();
    store
        .record(&[refusal(
            &[record("shop", "9")],
            &[source_group("shop", "7")],
        )])
        .unwrap();
    assert_eq!(refusals(&store, "job", "crm", "mail").len(), 1);
    assert_eq!(refusals(&store, "other", "shop", "mail").len(), 2);
}

#[test]
fn a_refusal_outlives_links_pins_and_names() {
    type Event = fn(&Store);
    let events: [(&str, Event); 6] = [
        ("unlink", |store| {
            assert!(store.forget_link("job", "7").unwrap());
        }),
        ("another pin", |store| {
            let link = Change::LinkGroup {
                job: "job".into(),
                link: group_link("7", "71"),
            };
            store.record(&[link]).unwrap();
        }),
        ("the group is gone", |store| {
            let gone = Change::UnlinkGroup {
                job: "job".into(),
                source: "7".into(),
            };
            store.record(&[gone]).unwrap();
        }),
        ("the person is unlinked", |store| {
            let gone = Change::UnlinkMember {
                job: "job".into(),
                source: "s1".into(),
            };
            store.record(&[gone]).unwrap();
        }),
        ("another target", |store| {
            store
                .record(&[link_member("job", "s1", "t2", ANA)])
                .unwrap();
        }),
        ("history is let go", |store| {
            store.prune(at(1_000_000)).unwrap();
        }),
    ];
    for (what, event) in events {
        let store = store();
        let before = only(&store, "job", "crm", "mail");
        event(&store);
        let (people, audience) = only(&store, "job", "crm", "mail");
        assert!(people.is_superset(&before.0), "{what}: {people:?}");
        assert!(audience.is_superset(&before.1), "{what}: {audience:?}");
        // A job that is renamed begins without links; a provider's name is not even asked.
        assert_eq!(
            only(&store, "renamed", "crm", "mail"),
            (people, audience),
            "{what}"
        );
    }
}

#[test]
fn names_of_providers_change_nothing_and_two_may_stand_for_one_account() {
    let store = store();
    store.know_account("customers", "crm").unwrap();
    store.know_account("newsletter", "mail").unwrap();
    store.register_job("job", "crm", "mail").unwrap();
    store.register_job("second", "crm", "mail").unwrap();
    let (base, names) = load(&store, "second", "crm", "mail");
    assert_eq!(base.ledger.refusals.len(), 1);
    assert_eq!(base.groups_of_others, ["70".to_owned()].into());
    assert_eq!(
        base.held_by_others["70"],
        [names.find("t1").unwrap()].into()
    );
}

#[test]
fn a_refusal_ends_only_when_it_is_said_to() {
    let store = store();
    let fact = id_of_only(&store);
    for change in [
        by_every_key(),
        Change::RefusalAnew { fact },
        held(Some("70"), &[address(ANA)]),
        held(None, &[address(ANA)]),
        Change::RefusalEnded { fact: FactId(-1) },
    ] {
        store.record(std::slice::from_ref(&change)).unwrap();
        assert_eq!(id_of_only(&store), fact, "{change:?}");
    }
    store.record(&[Change::RefusalEnded { fact }]).unwrap();
    assert!(refusals(&store, "job", "crm", "mail").is_empty());
    // What has ended is not opened again by what is said of it later.
    let late = [
        Change::RefusalAnew { fact },
        held(Some("70"), &[address(ANA)]),
        Change::RefusalKnownAs {
            fact,
            people: vec![contact("t9")],
            audience: Vec::new(),
        },
    ];
    store.record(&late).unwrap();
    assert!(refusals(&store, "job", "crm", "mail").is_empty());
    // A new one is another fact.
    store.record(&[by_every_key()]).unwrap();
    assert_ne!(id_of_only(&store), fact);
}

#[test]
fn a_refusal_is_held_only_where_it_was_seen_and_until_it_is_seen_anew() {
    let store = store();
    let fact = id_of_only(&store);
    let standing = || refusals(&store, "job", "crm", "mail")[0].held_at.clone();
    assert_eq!(standing(), None, "nobody has seen it obeyed");
    let elsewhere = Change::RefusalHeld {
        account: "elsewhere".into(),
        group: Some("70".into()),
        known_as: Vec::new(),
        people: vec![address(ANA)],
    };
    for nothing in [
        held(Some("71"), &[address(ANA)]),
        held(None, &[address(ANA)]),
        held(Some("70"), &[address("bo@example.org"), contact("t2")]),
        // Somebody else who has the address by now.
        held(
            Some("70"),
            &[address(ANA), contact("t5"), record("crm", "s5")],
        ),
        elsewhere,
    ] {
        store.record(std::slice::from_ref(&nothing)).unwrap();
        assert_eq!(standing(), None, "{nothing:?}");
    }
    let seen = held(
        Some("70"),
        &[
            address(ANA),
            contact("t1"),
            contact("t5"),
            record("crm", "s5"),
        ],
    );
    store.record(std::slice::from_ref(&seen)).unwrap();
    assert_eq!(standing().as_deref(), Some("70"));
    let people = only(&store, "job", "crm", "mail").0;
    assert!(people.contains("contact t5") && !people.contains("record s5"));
    // The same by fewer keys is the same refusal, and is seen anew.
    let again = refusal(&[contact("t1")], &[name("news")]);
    for change in [again, by_every_key(), Change::RefusalAnew { fact }] {
        store.record(&[seen.clone(), change.clone()]).unwrap();
        assert_eq!(standing(), None, "{change:?}");
    }
}

#[test]
fn a_refusal_by_other_keys_is_another_one() {
    let store = store();
    for (people, audience) in [
        (vec![address(ANA), contact("t2")], vec![group("70")]),
        (vec![address(ANA)], vec![group("71")]),
        (vec![address(ANA)], vec![AudienceKey::Account]),
    ] {
        let before = refusals(&store, "job", "crm", "mail").len();
        let change = refusal(&people, &audience);
        store.record(&[change.clone(), change]).unwrap();
        assert_eq!(refusals(&store, "job", "crm", "mail").len(), before + 1);
    }
    store.record(&[held(None, &[address(ANA)])]).unwrap();
    let held = refusals(&store, "job", "crm", "mail")
        .iter()
        .filter(|refusal| refusal.held_at.as_deref() == Some(""))
        .count();
    assert_eq!(held, 1, "the one of the whole account");
}

#[test]
fn further_keys_lead_to_the_same_refusal() {
    let store = store();
    let fact = id_of_only(&store);
    let known = Change::RefusalKnownAs {
        fact,
        people: vec![address("ana@new.example.org"), address(ANA)],
        audience: vec![group("71")],
    };
    store.record(&[known]).unwrap();
    assert_eq!(id_of_only(&store), fact);
    let (people, audience) = only(&store, "job", "crm", "mail");
    assert!(people.contains("address ana@new.example.org") && people.len() == 4);
    assert!(audience.contains("group 71"));
}

#[test]
fn former_pairs_and_addresses_are_kept() {
    let store = store();
    let former = |store: &Store| {
        let (base, names) = load(store, "job", "crm", "mail");
        let texts = base.former.iter().map(|former| {
            [former.source, former.target, former.address]
                .map(|name| names.text(name).to_owned())
                .join(" ")
        });
        texts.collect::<BTreeSet<_>>()
    };
    assert!(former(&store).is_empty());
    let base = |address: &str| Change::MemberBase {
        job: "job".into(),
        source: "s1".into(),
        address: address.into(),
        source_hash: 1,
        target_hash: 1,
        fields: FieldBases::new(),
    };
    store.record(&[base(ANA)]).unwrap();
    assert!(former(&store).is_empty(), "nothing has changed");
    store.record(&[base("ana@new.example.org")]).unwrap();
    assert_eq!(former(&store), set(&["s1 t1 ana@example.org"]));
    store
        .record(&[link_member("job", "s1", "t2", "ana@new.example.org")])
        .unwrap();
    let two = ["s1 t1 ana@example.org", "s1 t1 ana@new.example.org"];
    assert_eq!(former(&store), set(&two));
    let gone = Change::UnlinkMember {
        job: "job".into(),
        source: "s1".into(),
    };
    store.record(&[gone]).unwrap();
    let three = [two[0], two[1], "s1 t2 ana@new.example.org"];
    assert_eq!(former(&store), set(&three));
    // What is linked again is no former pair.
    store
        .record(&[link_member("job", "s1", "t1", ANA)])
        .unwrap();
    assert_eq!(former(&store), set(&three[1..]));
}

#[test]
fn where_a_name_stands_for_another_account_refusals_come_along_and_no_own_removals() {
    let store = store();
    let whole = refusal(&[contact("t9")], &[AudienceKey::Account]);
    let removal = Change::OwnRemoval {
        account: "mail".into(),
        group: "70".into(),
        member: "t2".into(),
        address: "bo@example.org".into(),
        shown: None,
        since: at(1),
    };
    let carried = Change::Carried {
        account: "mail".into(),
        object: ObjectKind::Group,
        id: "70".into(),
        field: "notes".into(),
        value: Some("x".into()),
    };
    store
        .record(&[held(Some("70"), &[contact("t1")]), whole, removal, carried])
        .unwrap();
    for _ in 0..2 {
        store.know_account("mail", "mail.new").unwrap();
        let copies = refusals(&store, "job", "crm", "mail.new");
        assert_eq!(copies.len(), 2);
        assert!(
            copies.iter().all(|copy| copy.held_at.is_none()),
            "nobody has seen the new account obey"
        );
        let (base, names) = load(&store, "job", "crm", "mail.new");
        let of_ana = &base.ledger.refusals[0].people;
        assert!(
            !of_ana.contains(&LedgerPerson::Contact(names.find("t9").unwrap()))
                && of_ana.len() == 2,
            "an id may be somebody else's there"
        );
        assert_eq!(base.groups.len(), 1, "the job goes on");
        assert!(store.own_removals("mail.new").unwrap().is_empty());
        assert!(store.has_carried("mail.new", ObjectKind::Group).unwrap());
        // And back: what is known there already is not said anew.
        store.know_account("mail", "mail").unwrap();
        let known = refusals(&store, "another", "crm", "mail");
        assert_eq!(known.len(), 2);
        assert_eq!(known[0].held_at.as_deref(), Some("70"));
    }
    // A source under new credentials: its groups bind as before.
    store.know_account("crm", "crm.new").unwrap();
    let (people, audience) = {
        let store = &store;
        let fact = refusals(store, "another", "crm.new", "mail")[1].id;
        store.record(&[Change::RefusalEnded { fact }]).unwrap();
        only(store, "another", "crm.new", "mail")
    };
    assert!(people.contains("address ana@example.org") && !people.contains("record s1"));
    assert!(audience.contains("source 7"));
}

#[test]
fn a_job_is_moved_by_another_account_and_not_by_another_name() {
    let store = store();
    store.know_account("letters", "elsewhere").unwrap();
    let error = store.register_job("job", "crm", "elsewhere").unwrap_err();
    let StateError::JobMoved { role, was, is, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(
        (role, was.as_str(), is.as_str()),
        ("target", "\"mail\"", "\"letters\"")
    );
    // Another place is another account, even under the same name.
    store.know_account("mail", "host-2.key-1").unwrap();
    store.register_job("late", "crm", "host-2.key-1").unwrap();
    store.know_account("mail", "host-3.key-1").unwrap();
    let error = store
        .register_job("late", "crm", "host-3.key-1")
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the account that \"mail\" stood for before"),
        "{error}"
    );
    // Nobody can tell whether other credentials at the same place open another one.
    store.know_account("mail", "host-2.key-2").unwrap();
    store.know_account("mail", "host-2.key-3").unwrap();
    store.register_job("late", "crm", "host-2.key-3").unwrap();
}

#[test]
fn a_person_is_forgotten_by_every_key() {
    let store = store();
    let ended = refusal(&[record("crm", "s1"), address(ANA)], &[group("72")]);
    let others = [
        refusal(&[address("bo@example.org")], &[group("70")]),
        // The address is known of somebody else's refusal as well.
        refusal(
            &[address(ANA), address("cy@example.org"), contact("t3")],
            &[group("73")],
        ),
        refusal(
            &[record("crm", "s4"), address("di@example.org")],
            &[group("70")],
        ),
    ];
    store.record(&[ended]).unwrap();
    let fact = refusals(&store, "job", "crm", "mail")[1].id;
    store.record(&[Change::RefusalEnded { fact }]).unwrap();
    store.record(&others).unwrap();
    store
        .record(&[
            refusal(&[contact("t1")], &[group("74")]),
            refusal(&[record("crm", "s1")], &[group("75")]),
        ])
        .unwrap();
    store.forget_person(ANA, at(5)).unwrap();

    let (base, names) = load(&store, "job", "crm", "mail");
    let texts: Vec<BTreeSet<&str>> = base
        .ledger
        .refusals
        .iter()
        .map(|refusal| {
            let people = refusal.people.iter().map(|person| match person {
                LedgerPerson::Address(name)
                | LedgerPerson::Contact(name)
                | LedgerPerson::Record(name) => names.text(*name),
            });
            people.collect()
        })
        .collect();
    assert_eq!(
        texts,
        [
            BTreeSet::from(["bo@example.org"]),
            BTreeSet::from(["cy@example.org", "t3"]),
            BTreeSet::from(["di@example.org", "s4"]),
        ]
    );
    assert!(base.members.is_empty() && base.memberships.is_empty() && base.former.is_empty());
    assert!(base.forgotten.contains(ANA));
    assert!(base.forgotten.contains_id("mail", "t1") && base.forgotten.contains_id("crm", "s1"));
    assert!(
        !base.forgotten.contains_id("mail", "t3"),
        "that may be another one's"
    );

    // What names the person by ids alone is not stored again.
    let rows = |store: &Store| {
        ["memberships", "carried", "consent_facts", "member_links"]
            .map(|table| count_rows(store, table))
    };
    let before = rows(&store);
    store
        .record(&[
            membership("job", "70", "t1", true),
            link_member("job", "s1", "t5", "ana@new.example.org"),
            Change::Carried {
                account: "mail".into(),
                object: ObjectKind::Member,
                id: "t1".into(),
                field: "notes".into(),
                value: Some("x".into()),
            },
            Change::OwnRemoval {
                account: "mail".into(),
                group: "70".into(),
                member: "t1".into(),
                address: String::new(),
                shown: None,
                since: at(1),
            },
            by_every_key(),
            refusal(&[address(ANA), record("crm", "s8")], &[group("70")]),
            Change::RefusalKnownAs {
                fact: base.ledger.refusals[0].id,
                people: vec![address(ANA), contact("t1")],
                audience: Vec::new(),
            },
        ])
        .unwrap();
    assert_eq!(rows(&store), before);
    let known = load(&store, "job", "crm", "mail").0;
    assert_eq!(known.ledger.refusals[0].people.len(), 1);
    // A refusal under an address that was not forgotten is nobody's to lose.
    store
        .record(&[refusal(
            &[address("ana@new.example.org"), record("crm", "s1")],
            &[group("70")],
        )])
        .unwrap();
    let (base, names) = load(&store, "job", "crm", "mail");
    let new = names.find("ana@new.example.org").unwrap();
    assert_eq!(
        base.ledger.refusals.last().unwrap().people,
        [LedgerPerson::Address(new)]
    );
    // Forgetting twice leaves one hash each.
    let before = count_rows(&store, "consent_people");
    store.forget_person(ANA, at(6)).unwrap();
    assert_eq!(count_rows(&store, "consent_people"), before);
}

#[test]
fn only_ended_facts_are_let_go_with_the_history() {
    let store = store();
    for (run, seconds) in [("a", 0), ("b", 100)] {
        let start = RunStart {
            id: run.into(),
            job: "job".into(),
            trigger: "manual".into(),
            started: at(seconds),
        };
        store.start_run(&start).unwrap();
    }
    store
        .record(&[refusal(&[address("bo@example.org")], &[group("70")])])
        .unwrap();
    let fact = id_of_ana(&store);
    store.record(&[Change::RefusalEnded { fact }]).unwrap();
    store.prune(at(100)).unwrap();
    assert_eq!(
        count_rows(&store, "consent_facts"),
        2,
        "it ended in the run of that moment"
    );
    store.prune(at(101)).unwrap();
    assert_eq!(count_rows(&store, "consent_facts"), 1);
    assert_eq!(
        (
            count_rows(&store, "consent_people"),
            count_rows(&store, "consent_audiences")
        ),
        (1, 1)
    );
}

fn id_of_ana(store: &Store) -> FactId {
    refusals(store, "job", "crm", "mail")[0].id
}

#[test]
fn a_job_that_takes_over_the_pair_of_another_finds_what_that_one_saw() {
    let store = store();
    let link = Change::LinkGroup {
        job: "later".into(),
        link: crate::plan::base::GroupLink {
            origin: Origin::Pinned,
            ..group_link("8", "70")
        },
    };
    store.register_job("later", "shop", "mail").unwrap();
    store.record(&[link]).unwrap();
    let audience = only(&store, "later", "shop", "mail").1;
    assert!(audience.contains("group 70"));
}

#[test]
fn a_provider_renamed_together_with_its_token_keeps_its_refusals() {
    let store = store();
    store.know_account("letters", "host.key-1").unwrap();
    store.register_job("late", "crm", "host.key-1").unwrap();
    let refusal = Change::Refusal {
        account: "host.key-1".into(),
        people: vec![address(ANA)],
        audience: vec![AudienceKey::Account],
        origin: "seen".into(),
    };
    store.record(&[refusal]).unwrap();
    // One that the config still names is another account.
    store.know_renamed("post", "host.key-2", |_| true).unwrap();
    assert!(refusals(&store, "fresh", "crm", "host.key-2").is_empty());
    store
        .know_renamed("post", "host.key-3", |name| name != "letters")
        .unwrap();
    store.know_account("post", "host.key-3").unwrap();
    assert_eq!(refusals(&store, "another", "crm", "host.key-3").len(), 1);
    store.register_job("late", "crm", "host.key-3").unwrap();
}
