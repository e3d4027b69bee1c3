//! What is concluded of the writes of an interrupted run.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use jiff::Timestamp;

use super::*;
use crate::model::{
    Certificate, Group, GroupRow, GroupStatus, MemberRow, MemberSink, MemberStatus,
    MembershipState, OwnRemovals, Record, SnapshotBuilder, Stage, TotalMeanings, Unreadable, Value,
};
use crate::plan::base::{FieldBase, FieldBases, GroupLink, Origin};
use crate::provider;
use crate::state::{AudienceKey, JournalEntry, PersonKey};

const JOB: &str = r#"
[providers.crm]
kind = "greenrope"
account_id = "1"
email = "ops@example.org"
password = { env = "CRM" }
[providers.mail]
kind = "emfluence"
base_url = "https://mail.test/v1"
access_token = { env = "MAIL" }
[jobs.test]
source = "crm"
target = "mail"
"#;

struct Nowhere;

impl Stage for Nowhere {
    fn put(&mut self, _id: &str, _record: &Record) -> Result<(), String> {
        Ok(())
    }
}

fn job() -> JobConfig {
    let mut config = crate::config::parse(JOB, Path::new("rosterd.toml"))
        .unwrap()
        .0;
    JobConfig {
        source_account: "crm".into(),
        target_account: "mail".into(),
        ..config.jobs.remove("test").unwrap()
    }
}

fn row(id: &str, name: &str) -> GroupRow {
    GroupRow {
        id: id.into(),
        wire: Record::from([("groupName".into(), Value::from(name))]),
        kind: GroupKind::Static,
        status: GroupStatus::Active,
        test_group: false,
        auto_response: false,
        member_count: None,
        detailed: true,
        unread: None,
    }
}

/// A target with the group `g` and the contacts that are given as id, address, whether they refuse
/// all mail, and state in `g`.
fn target(
    names: &mut Names,
    people: &[(&str, &str, bool, Option<MembershipState>)],
    whole: bool,
) -> Snapshot {
    target_of(names, people, &[("g", whole)])
}

/// The same with several groups, everybody being listed alike in those that were read to their end,
/// and in no other.
fn target_of(
    names: &mut Names,
    people: &[(&str, &str, bool, Option<MembershipState>)],
    groups: &[(&str, bool)],
) -> Snapshot {
    let everything = groups.iter().all(|(_, whole)| *whole);
    let mut stage = Nowhere;
    let mut builder = SnapshotBuilder::new("mail", "", names, &mut stage);
    for (id, address, refuses, _) in people {
        let status = if *refuses {
            MemberStatus::OptedOut
        } else {
            MemberStatus::Active
        };
        let address = Some((*address).to_owned());
        builder
            .member(MemberRow {
                id: (*id).to_owned(),
                address,
                status: Some(status),
                wire: None,
            })
            .unwrap();
    }
    for (group, whole) in groups {
        builder.begin_listing(group);
        for (id, _, _, state) in people {
            if let Some(state) = state
                && (*whole || groups.len() == 1)
            {
                builder.listed(id, *state);
            }
        }
        let problems = if *whole {
            Vec::new()
        } else {
            vec!["a page failed".to_owned()]
        };
        builder.end_listing(Certificate {
            problems,
            ..Certificate::of_the_end()
        });
    }
    builder.account_state(Certificate::of_the_end());
    if everything {
        builder.whole_account();
    }
    let schema = provider::schema(crate::model::ProviderKind::Emfluence);
    let groups = groups
        .iter()
        .map(|(id, _)| Group::from_row(row(id, "News"), schema))
        .collect();
    builder.finish(
        groups,
        &Certificate::of_the_end(),
        &mut TotalMeanings::all(),
        &OwnRemovals::default(),
    )
}

fn begin(store: &Store, operation: &str, item: JournalItem) {
    let now = Timestamp::UNIX_EPOCH;
    let entry = JournalEntry {
        job: "test".into(),
        account: "mail".into(),
        operation: operation.into(),
        items: vec![item],
        now,
    };
    store.begin_write("run", &entry).unwrap();
}

fn item(id: Option<&str>) -> JournalItem {
    JournalItem {
        group: Some("g".into()),
        member: Some("ana@example.org".into()),
        member_source: Some("s1".into()),
        member_id: id.map(str::to_owned),
        absent_from: Some("g,h".into()),
        ..JournalItem::default()
    }
}

fn known(store: &Store) {
    store.register_job("test", "crm", "mail").unwrap();
    store
        .record(&[
            Change::LinkMember {
                job: "test".into(),
                source: "s1".into(),
                target: "t1".into(),
                address: "ana@example.org".into(),
                origin: Origin::Created,
            },
            Change::Membership {
                job: "test".into(),
                group: "g".into(),
                member: "t1".into(),
                brought: true,
            },
        ])
        .unwrap();
}

/// Settles by what the target holds; returns the base from then on and whether nothing is left
/// open.
fn settled(
    store: &Store,
    people: &[(&str, &str, bool, Option<MembershipState>)],
    whole: bool,
) -> (Base, Names, bool) {
    settled_with(store, people, &[], whole)
}

/// The same with the profiles that the target holds, by id.
fn settled_with(
    store: &Store,
    people: &[(&str, &str, bool, Option<MembershipState>)],
    stored: &[(&str, Record)],
    whole: bool,
) -> (Base, Names, bool) {
    let mut names = Names::new();
    let known = store
        .load_base("test", "crm", "mail", Timestamp::UNIX_EPOCH, &mut names)
        .unwrap();
    let target = target(&mut names, people, whole);
    let mut profiles = Staging::new().unwrap();
    for (id, profile) in stored {
        profiles.put(id, profile).unwrap();
    }
    let looked_up = BTreeMap::new();
    let evidence = Evidence {
        target: &target,
        names: &names,
        base: &known,
        profiles: &profiles,
        is_shared: false,
        looked_up: &looked_up,
    };
    settle_members(
        store,
        &job(),
        provider::schema(KIND),
        provider::capabilities(KIND),
        evidence,
        Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    let base = store
        .load_base("test", "crm", "mail", Timestamp::UNIX_EPOCH, &mut names)
        .unwrap();
    (base, names, store.unsettled("test").unwrap().is_empty())
}

/// Settles by a target where `g` was read to its end, and `h` only perhaps.
fn settled_in_two(
    store: &Store,
    people: &[(&str, &str, bool, Option<MembershipState>)],
    everything: bool,
) -> (Base, Names, Vec<JournalItem>) {
    let mut names = Names::new();
    let known = store
        .load_base("test", "crm", "mail", Timestamp::UNIX_EPOCH, &mut names)
        .unwrap();
    let target = target_of(&mut names, people, &[("g", true), ("h", everything)]);
    let mut profiles = Staging::new().unwrap();
    for (id, _, _, _) in people {
        let held = Record::from([("first_name".into(), Value::from("Ana"))]);
        profiles.put(id, &held).unwrap();
    }
    let evidence = Evidence {
        target: &target,
        names: &names,
        base: &known,
        profiles: &profiles,
        is_shared: false,
        looked_up: &BTreeMap::new(),
    };
    let (schema, capabilities) = (provider::schema(KIND), provider::capabilities(KIND));
    let now = Timestamp::UNIX_EPOCH;
    settle_members(store, &job(), schema, capabilities, evidence, now).unwrap();
    let base = store
        .load_base("test", "crm", "mail", Timestamp::UNIX_EPOCH, &mut names)
        .unwrap();
    let entries = store.unsettled("test").unwrap().into_iter();
    let open = entries
        .flat_map(|entry| entry.items)
        .filter(|unsettled| {
            !unsettled
                .outcome
                .as_ref()
                .is_some_and(JournalOutcome::is_final)
        })
        .map(|unsettled| unsettled.item)
        .collect();
    (base, names, open)
}

const ANA: &str = "ana@example.org";

/// What is left of a creation is known by its id: neither another link of that record nor an address
/// that has changed says anything of it.
#[test]
fn the_rest_of_a_creation_neither_takes_a_link_back_nor_ends_by_an_address() {
    for merged in [true, false] {
        let store = Store::in_memory();
        store.register_job("test", "crm", "mail").unwrap();
        let item = JournalItem {
            group: Some("g,h".into()),
            ..item(None)
        };
        begin(&store, "create_members", item);
        let state = Some(MembershipState::Active);
        settled_in_two(&store, &[("t1", ANA, false, state)], false);
        let (people, linked) = if merged {
            let moved = Change::LinkMember {
                job: "test".into(),
                source: "s1".into(),
                target: "t2".into(),
                address: "bo@example.org".into(),
                origin: Origin::Adopted,
            };
            store.record(&[moved]).unwrap();
            ([("t1", ANA, false, state)], "t2")
        } else {
            ([("t1", "ana@new.example.org", false, state)], "t1")
        };
        let (_, _, open) = settled_in_two(&store, &people, false);
        assert_eq!(open.len(), 1);
        let (base, names, open) = settled_in_two(&store, &people, true);
        assert_eq!(open, []);
        assert_eq!(names.text(base.members[0].target), linked);
        let membership = base.membership("h", names.find("t1").unwrap());
        assert!(membership.is_some_and(|membership| membership.brought));
    }
}

/// What was recovered in one group is remembered once, however long another one can't be read: what
/// later runs have learnt or done there is newer.
#[test]
fn a_group_that_cannot_be_read_holds_up_no_other_one_of_its_item() {
    for (operation, state) in [
        ("add_memberships", Some(MembershipState::Active)),
        ("create_members", Some(MembershipState::Active)),
        ("remove_memberships", None),
        ("set_opt_out", Some(MembershipState::OptedOut)),
    ] {
        let store = Store::in_memory();
        let adds = operation == "add_memberships" || operation == "create_members";
        if operation == "create_members" {
            store.register_job("test", "crm", "mail").unwrap();
        } else {
            known(&store);
        }
        let id = (operation != "create_members").then_some("t1");
        let fields = Record::from([("first_name".into(), Value::from("Ana"))]);
        let item = JournalItem {
            group: Some("g,h".into()),
            fields: if id.is_none() { fields } else { Record::new() },
            ..item(id)
        };
        begin(&store, operation, item);
        let people = [("t1", ANA, false, state)];
        let (base, names, open) = settled_in_two(&store, &people, false);
        let member = names.find("t1").unwrap();
        assert_eq!(base.membership("g", member).is_some(), adds, "{operation}");
        let groups: Vec<_> = open.iter().map(|item| item.group.as_deref()).collect();
        assert_eq!(groups, [Some("h")], "{operation}");

        // Then the membership comes anew, by somebody else or by the job, and a base is learnt.
        let gone = Change::MembershipGone {
            job: "test".into(),
            group: "g".into(),
            member: "t1".into(),
        };
        let back = Change::Membership {
            job: "test".into(),
            group: "g".into(),
            member: "t1".into(),
            brought: !adds,
        };
        store.record(&[gone, back]).unwrap();
        learn_base(&store, FieldBases::default());
        for _ in 0..2 {
            let (base, names, open) = settled_in_two(&store, &people, false);
            let member = names.find("t1").unwrap();
            let membership = base.membership("g", member).expect(operation);
            assert_eq!(membership.brought, !adds, "{operation}");
            assert_eq!(open.len(), 1, "{operation}");
            assert_eq!(store.member_fields("test", "s1").unwrap().len(), 0);
        }
        let (base, names, open) = settled_in_two(&store, &people, true);
        let member = names.find("t1").unwrap();
        assert_eq!(open, [], "{operation}");
        let membership = base.membership("g", member).expect(operation);
        assert_eq!(membership.brought, !adds, "{operation}");
        let other = base.membership("h", member);
        assert_eq!(
            other.map(|membership| membership.brought),
            adds.then_some(true)
        );
    }
}

#[test]
fn an_addition_is_settled_by_a_whole_listing_only() {
    for operation in ["add_memberships", "create_members"] {
        let store = Store::in_memory();
        store.register_job("test", "crm", "mail").unwrap();
        begin(
            &store,
            operation,
            item((operation == "add_memberships").then_some("t1")),
        );
        let (base, _, done) = settled(&store, &[("t1", ANA, false, None)], false);
        assert!(
            !done && base.memberships.is_empty(),
            "{operation}: the listing did not show everybody"
        );
        let (base, names, done) = settled(
            &store,
            &[("t1", ANA, false, Some(MembershipState::Active))],
            true,
        );
        assert!(done, "{operation}");
        assert!(
            base.membership("g", names.find("t1").unwrap())
                .unwrap()
                .brought,
            "{operation}: the job brought it"
        );
    }
}

/// Whoever is a member again is not one whom rosterd has taken out: a contact that is erased later by
/// others is not made anew.
#[test]
fn whoever_was_removed_and_is_found_added_again_counts_as_removed_no_more() {
    for id in [Some("t1"), None] {
        let store = Store::in_memory();
        known(&store);
        let removed = Change::MemberRemovedByUs {
            job: "test".into(),
            target: "t1".into(),
            removed: true,
        };
        store.record(&[removed]).unwrap();
        let operation = id.map_or("create_members", |_| "add_memberships");
        begin(&store, operation, item(id));
        let there = ("t1", ANA, false, Some(MembershipState::Active));
        let (base, _, done) = settled(&store, &[there], true);
        assert!(done && !base.members[0].removed_by_us, "{operation}");
    }
}

#[test]
fn a_membership_that_may_have_been_there_before_is_not_brought() {
    for operation in ["add_memberships", "create_members"] {
        let store = Store::in_memory();
        store.register_job("test", "crm", "mail").unwrap();
        let item = JournalItem {
            absent_from: None,
            ..item((operation == "add_memberships").then_some("t1"))
        };
        begin(&store, operation, item);
        let there = ("t1", ANA, false, Some(MembershipState::Active));
        let (base, names, done) = settled(&store, &[there], true);
        let membership = base.membership("g", names.find("t1").unwrap()).unwrap();
        assert!(done && !membership.brought, "{operation}");
    }
}

#[test]
fn whoever_got_the_address_of_somebody_who_was_to_be_created_stays_who_they_are() {
    let store = Store::in_memory();
    store.register_job("test", "crm", "mail").unwrap();
    let other = Change::LinkMember {
        job: "test".into(),
        source: "s2".into(),
        target: "t1".into(),
        address: "bo@example.org".into(),
        origin: Origin::Created,
    };
    store.record(&[other]).unwrap();
    begin(&store, "create_members", item(None));
    let (base, names, done) = settled(
        &store,
        &[("t1", ANA, false, Some(MembershipState::Active))],
        true,
    );
    assert!(done);
    let linked: Vec<&str> = base
        .members
        .iter()
        .map(|link| names.text(link.source))
        .collect();
    assert_eq!(linked, ["s2"], "bo's contact has ana's address now");
    assert!(base.memberships.is_empty());
}

#[test]
fn a_removal_is_settled_by_a_whole_listing_only() {
    for people in [&[("t1", ANA, false, None)][..], &[]] {
        let store = Store::in_memory();
        known(&store);
        begin(&store, "remove_memberships", item(Some("t1")));
        let (base, _, done) = settled(&store, people, false);
        assert!(
            !done && base.memberships.len() == 1 && !base.members[0].removed_by_us,
            "the listing did not show everybody"
        );
        // Somebody without a group may be out of sight altogether.
        let (base, _, done) = settled(&store, people, true);
        assert!(done && base.memberships.is_empty());
        assert!(
            !base.members[0].removed_by_us,
            "nobody knows whose doing it was"
        );
    }
}

#[test]
fn a_removal_that_did_not_happen_is_planned_again() {
    let store = Store::in_memory();
    known(&store);
    begin(&store, "remove_memberships", item(Some("t1")));
    let (base, _, done) = settled(
        &store,
        &[("t1", ANA, false, Some(MembershipState::Active))],
        true,
    );
    assert!(done && base.memberships.len() == 1 && !base.members[0].removed_by_us);
}

#[test]
fn somebody_with_the_same_address_is_not_the_one_who_was_removed() {
    let store = Store::in_memory();
    known(&store);
    begin(&store, "remove_memberships", item(Some("t1")));
    let (base, _, done) = settled(
        &store,
        &[("t2", ANA, false, Some(MembershipState::Active))],
        true,
    );
    assert!(done && base.memberships.is_empty());
}

#[test]
fn a_refusal_that_is_found_written_is_held_once_every_contact_has_it() {
    let refused = Some(MembershipState::OptedOut);
    for (second, expected) in [
        ((true, refused), true),
        ((false, Some(MembershipState::Active)), false),
    ] {
        let store = Store::in_memory();
        known(&store);
        let bar = |audience: AudienceKey| Change::Refusal {
            account: "mail".into(),
            people: vec![PersonKey::Address(ANA.into())],
            audience: vec![audience],
            origin: "seen".into(),
        };
        let group = AudienceKey::Group("g".into());
        store
            .record(&[bar(AudienceKey::Account), bar(group)])
            .unwrap();
        begin(&store, "set_opt_out", item(Some("t1")));
        begin(
            &store,
            "set_opt_out",
            JournalItem {
                group: None,
                ..item(Some("t1"))
            },
        );
        let (base, _, done) = settled(
            &store,
            &[("t1", ANA, true, refused), ("t2", ANA, second.0, second.1)],
            true,
        );
        assert!(done && base.memberships.is_empty());
        let held: Vec<bool> = base
            .ledger
            .refusals
            .iter()
            .map(|refusal| refusal.held_at.is_some())
            .collect();
        assert_eq!(held, [expected, expected]);
    }
}

const KIND: crate::model::ProviderKind = crate::model::ProviderKind::Emfluence;

/// Recovers the creation of "News" for the source group `s`, which was journaled with the groups
/// that had the name before.
fn recovered(
    store: &Store,
    before: Option<&str>,
    kind: crate::model::ProviderKind,
    rows: &[GroupRow],
) -> Vec<GroupLink> {
    let creation = JournalItem {
        group: before.map(str::to_owned),
        group_source: Some("s".into()),
        detail: Some("News".into()),
        ..JournalItem::default()
    };
    store.register_job("test", "crm", "mail").unwrap();
    begin(store, "create_group", creation);
    let mut names = Names::new();
    let now = Timestamp::UNIX_EPOCH;
    let base = store
        .load_base("test", "crm", "mail", now, &mut names)
        .unwrap();
    let known = KnownGroups {
        base: &base,
        schema: provider::schema(kind),
        rows,
    };
    adopt_created_groups(store, &job(), known, |_| Record::new(), |_| false, now).unwrap();
    assert!(store.unsettled("test").unwrap().is_empty());
    store.links("test").unwrap()
}

fn targets(links: &[GroupLink]) -> Vec<(&str, &str)> {
    links
        .iter()
        .map(|link| (link.source.as_str(), link.target.as_str()))
        .collect()
}

#[test]
fn a_group_that_had_the_name_before_is_not_the_one_that_was_created() {
    let rows = [row("7", "news "), row("8", "News")];
    assert_eq!(
        targets(&recovered(&Store::in_memory(), Some("7"), KIND, &rows)),
        [("s", "8")]
    );
    assert_eq!(
        targets(&recovered(&Store::in_memory(), Some("7"), KIND, &rows[..1])),
        [],
        "it was not created"
    );
}

#[test]
fn of_several_groups_that_may_have_been_created_none_is_taken() {
    assert_eq!(
        targets(&recovered(
            &Store::in_memory(),
            None,
            KIND,
            &[row("7", "News"), row("8", "News")]
        )),
        []
    );
}

#[test]
fn a_group_of_another_job_is_not_the_one_that_was_created() {
    let store = Store::in_memory();
    store.register_job("other", "crm2", "mail").unwrap();
    let link = GroupLink {
        source: "o".into(),
        target: "7".into(),
        origin: Origin::Created,
        protect_set: false,
        name: "News".into(),
        fields: FieldBases::new(),
    };
    store
        .record(&[Change::LinkGroup {
            job: "other".into(),
            link,
        }])
        .unwrap();
    assert_eq!(
        targets(&recovered(&store, None, KIND, &[row("7", "News")])),
        []
    );
    let store = Store::in_memory();
    assert_eq!(
        targets(&recovered(&store, None, KIND, &[row("7", "News")])),
        [("s", "7")],
        "without the other job it is"
    );
}

#[test]
fn the_field_that_holds_the_name_is_the_schemas() {
    let kinds = [
        crate::model::ProviderKind::ActiveCampaignUsers,
        crate::model::ProviderKind::GreenRope,
    ];
    for (kind, field) in kinds.into_iter().zip(["title", "Name"]) {
        let titled = GroupRow {
            wire: Record::from([(field.into(), Value::from("News"))]),
            ..row("7", "")
        };
        let described = GroupRow {
            wire: Record::from([("descript".into(), Value::from("News"))]),
            ..row("8", "")
        };
        assert_eq!(
            targets(&recovered(
                &Store::in_memory(),
                None,
                kind,
                &[described, titled]
            )),
            [("s", "7")],
            "{field}"
        );
    }
}

fn group_now(people: &[(&str, &str, MembershipState)], whole: bool) -> BTreeMap<String, GroupNow> {
    let mut now = GroupNow {
        why: String::new(),
        by_id: HashMap::new(),
        by_address: HashMap::new(),
        refused_at: HashMap::new(),
        uncertain: HashSet::new(),
        asked: None,
        whole,
    };
    for (id, address, state) in people {
        now.by_id.insert((*id).to_owned(), *state);
        now.by_address
            .entry((*address).to_owned())
            .or_default()
            .push(((*id).to_owned(), *state));
    }
    BTreeMap::from([("h".to_owned(), now)])
}

/// A doubt about the group `h`, which exists and which nobody lists any more.
fn unlisted(
    store: &Store,
    operation: &str,
    looked_up: &BTreeMap<String, GroupNow>,
    days: i64,
) -> (Base, Names, bool, Vec<String>) {
    if store.unsettled("test").unwrap().is_empty() {
        known(store);
        begin(
            store,
            operation,
            JournalItem {
                group: Some("h".into()),
                ..item(Some("t1"))
            },
        );
    }
    let now = Timestamp::from_second(days * 86_400).unwrap();
    let mut names = Names::new();
    let known = store
        .load_base("test", "crm", "mail", now, &mut names)
        .unwrap();
    let profiles = Staging::new().unwrap();
    let mut target = target(&mut names, &[("t1", ANA, false, None)], true);
    let more = vec![
        Group::from_row(row("g", "News"), provider::schema(KIND)),
        Group::from_row(row("h", "Alumni"), provider::schema(KIND)),
    ];
    target.groups = Certificate::of_the_end().certify(more, &mut TotalMeanings::all());
    assert_eq!(
        unlisted_groups(store, "test", &target).unwrap(),
        BTreeSet::from(["h".to_owned()])
    );
    let evidence = Evidence {
        target: &target,
        names: &names,
        base: &known,
        profiles: &profiles,
        looked_up,
        is_shared: false,
    };
    let settled = settle_members(
        store,
        &job(),
        provider::schema(KIND),
        provider::capabilities(KIND),
        evidence,
        now,
    )
    .unwrap();
    let base = store
        .load_base("test", "crm", "mail", now, &mut names)
        .unwrap();
    (
        base,
        names,
        store.unsettled("test").unwrap().is_empty(),
        settled.warnings,
    )
}

#[test]
fn a_group_that_is_listed_no_more_is_looked_up() {
    let there = group_now(&[("t1", ANA, MembershipState::Active)], true);
    for (looked_up, brought) in [(there, true), (group_now(&[], true), false)] {
        let store = Store::in_memory();
        let (base, names, done, warnings) = unlisted(&store, "add_memberships", &looked_up, 0);
        assert!(done && warnings.is_empty());
        assert_eq!(
            base.membership("h", names.find("t1").unwrap())
                .map(|membership| membership.brought),
            brought.then_some(true)
        );
    }
    let store = Store::in_memory();
    let (base, _, done, _) = unlisted(&store, "remove_memberships", &group_now(&[], true), 0);
    assert!(done && !base.memberships.contains_key("h"));
}

#[test]
fn what_can_not_be_found_out_of_a_group_that_is_not_ours_ends_with_a_warning_and_is_not_taken_for_done()
 {
    for operation in [
        "add_memberships",
        "remove_memberships",
        "set_opt_out",
        "create_members",
    ] {
        let store = Store::in_memory();
        let partly = group_now(&[], false);
        for days in [0, 7] {
            let (_, _, done, warnings) = unlisted(&store, operation, &partly, days);
            assert!(
                !done && warnings.is_empty(),
                "{operation}: it may still be found out"
            );
        }
        let (base, names, done, warnings) = unlisted(&store, operation, &partly, 8);
        assert!(done, "{operation}");
        assert!(
            warnings.len() == 1 && warnings[0].contains("group h") && !warnings[0].contains(ANA),
            "{warnings:?}"
        );
        assert!(
            base.membership("h", names.find("t1").unwrap()).is_none()
                && !base.members[0].removed_by_us,
            "{operation}"
        );
    }
}

#[test]
fn a_group_of_ours_is_asked_about_until_it_answers() {
    let store = Store::in_memory();
    let link = GroupLink {
        source: "s9".into(),
        target: "h".into(),
        origin: Origin::Created,
        protect_set: false,
        name: "Alumni".into(),
        fields: FieldBases::new(),
    };
    known(&store);
    store
        .record(&[Change::LinkGroup {
            job: "test".into(),
            link,
        }])
        .unwrap();
    let (_, _, done, warnings) = unlisted(&store, "add_memberships", &group_now(&[], false), 30);
    assert!(!done && warnings.is_empty());
}

#[test]
fn a_user_who_was_created_into_another_group_is_not_settled_and_may_be_moved_on() {
    for group in [Some("g".to_owned()), None] {
        a_user_who_strayed(JournalItem {
            group,
            ..item(None)
        });
    }
}

fn a_user_who_strayed(item: JournalItem) {
    let store = Store::in_memory();
    store.register_job("test", "crm", "mail").unwrap();
    begin(&store, "create_members", item);
    let kind = crate::model::ProviderKind::ActiveCampaignUsers;
    let mut names = Names::new();
    let look = |names: &mut Names, seated: &[&str]| {
        let mut stage = Nowhere;
        let mut builder = SnapshotBuilder::new("mail", "", names, &mut stage);
        let address = Some(ANA.to_owned());
        builder
            .member(MemberRow {
                id: "t1".into(),
                address,
                status: Some(MemberStatus::Active),
                wire: None,
            })
            .unwrap();
        for group in ["3", "g"] {
            builder.begin_listing(group);
            if seated.contains(&group) {
                builder.listed("t1", MembershipState::Active);
            }
            builder.end_listing(Certificate::of_the_end());
        }
        builder.whole_account();
        let mut admin = Group::from_row(row("3", "Admin"), provider::schema(KIND));
        admin.kind = GroupKind::BuiltIn;
        let groups = vec![
            admin,
            Group::from_row(row("g", "News"), provider::schema(KIND)),
        ];
        builder.finish(
            groups,
            &Certificate::of_the_end(),
            &mut TotalMeanings::all(),
            &OwnRemovals::default(),
        )
    };
    let looked_up = BTreeMap::new();
    let now = Timestamp::UNIX_EPOCH;
    let known = Base::default();
    let profiles = Staging::new().unwrap();
    let target = look(&mut names, &["3"]);
    let evidence = Evidence {
        target: &target,
        names: &names,
        base: &known,
        profiles: &profiles,
        is_shared: false,
        looked_up: &looked_up,
    };
    settle_members(
        &store,
        &job(),
        provider::schema(kind),
        provider::capabilities(kind),
        evidence,
        now,
    )
    .unwrap();
    let base = store
        .load_base("test", "crm", "mail", now, &mut names)
        .unwrap();
    let ana = names.find("t1").unwrap();
    assert!(
        base.membership("g", ana).is_none(),
        "nobody takes them for settled in the group that was asked for"
    );
    assert!(
        base.membership("3", ana).unwrap().brought,
        "so they may be moved on"
    );
    let here = look(&mut names, &["3"]);
    assert!(
        !forget_strays(
            &store,
            &job(),
            &base,
            Evidence {
                target: &here,
                names: &names,
                base: &known,
                profiles: &profiles,
                is_shared: false,
                looked_up: &looked_up
            }
        )
        .unwrap()
    );
    let gone = look(&mut names, &["g"]);
    assert!(
        forget_strays(
            &store,
            &job(),
            &base,
            Evidence {
                target: &gone,
                names: &names,
                base: &known,
                profiles: &profiles,
                is_shared: false,
                looked_up: &looked_up
            }
        )
        .unwrap()
    );
    let base = store
        .load_base("test", "crm", "mail", now, &mut names)
        .unwrap();
    assert!(
        base.membership("3", ana).is_none(),
        "whoever is put there later was put there by a person"
    );
}

/// The request may never have left, and the person may have refused before rosterd came back.
#[test]
fn a_refusal_that_is_found_after_an_interruption_is_the_persons_own_whatever_its_time() {
    let lists = crate::model::ProviderKind::ActiveCampaignLists;
    let intended = Timestamp::UNIX_EPOCH;
    for shown in [
        None,
        Some(0),
        Some(1),
        Some(60),
        Some(-2),
        Some(61),
        Some(-3),
    ] {
        let store = Store::in_memory();
        known(&store);
        begin(
            &store,
            "remove_memberships",
            JournalItem {
                group: Some("h".into()),
                ..item(Some("t1"))
            },
        );
        let mut names = Names::new();
        let known = store
            .load_base("test", "crm", "mail", intended, &mut names)
            .unwrap();
        let profiles = Staging::new().unwrap();
        let mut target = target(&mut names, &[("t1", ANA, false, None)], true);
        let groups = vec![Group::from_row(row("h", "Alumni"), provider::schema(KIND))];
        target.groups = Certificate::of_the_end().certify(groups, &mut TotalMeanings::all());
        let mut looked_up = group_now(&[("t1", ANA, MembershipState::OptedOut)], true);
        looked_up
            .get_mut("h")
            .unwrap()
            .refused_at
            .extend(shown.map(|time| ("t1".to_owned(), time)));
        let evidence = Evidence {
            target: &target,
            names: &names,
            base: &known,
            profiles: &profiles,
            is_shared: false,
            looked_up: &looked_up,
        };
        settle_members(
            &store,
            &job(),
            provider::schema(KIND),
            provider::capabilities(lists),
            evidence,
            intended,
        )
        .unwrap();
        assert!(store.unsettled("test").unwrap().is_empty(), "{shown:?}");
        assert!(store.own_removals("mail").unwrap().is_empty(), "{shown:?}");
    }
}

fn profile(first_name: &str) -> Record {
    Record::from([("firstName".into(), Value::from(first_name))])
}

/// A link with a base: the source asked for `first_name`, and the target held it.
fn agreed(store: &Store, first_name: &str) {
    known(store);
    let base = FieldBase {
        desired: Some(Value::from(first_name)),
        target: Some(Value::from(first_name)),
        written: false,
    };
    learn_base(store, FieldBases::from([("firstName".into(), base)]));
}

/// Remembers what both sides held of ana.
fn learn_base(store: &Store, fields: FieldBases) {
    let base = Change::MemberBase {
        job: "test".into(),
        source: "s1".into(),
        address: ANA.into(),
        source_hash: 7,
        target_hash: 8,
        fields,
    };
    store.record(&[base]).unwrap();
}

fn remembered(store: &Store) -> Option<(Option<Value>, Option<Value>)> {
    let mut fields = store.member_fields("test", "s1").unwrap();
    let base = fields.remove("firstName")?;
    Some((base.desired, base.target))
}

#[test]
fn an_update_is_settled_by_the_values_that_were_sent() {
    for (stored, expected) in [("Anna", "Anna"), ("Ana", "Ana"), ("Hanna", "Ana")] {
        let store = Store::in_memory();
        agreed(&store, "Ana");
        begin(
            &store,
            "update_members",
            JournalItem {
                group: None,
                fields: profile("Anna"),
                ..item(Some("t1"))
            },
        );
        let people = [("t1", ANA, false, None)];
        let (_, _, done) = settled_with(&store, &people, &[("t1", profile(stored))], true);
        let value = Some(Value::from(expected));
        assert!(done);
        assert_eq!(
            remembered(&store),
            Some((value.clone(), value)),
            "{stored} is there"
        );
    }
}

#[test]
fn a_creation_is_settled_with_the_values_that_were_sent() {
    let stored = [("Ana", Some("Ana")), ("ANA", Some("ANA")), ("", None)];
    // Seed 4432: a row that joins a group makes whoever is not there.
    let operations = ["create_members", "add_memberships"];
    let each =
        operations.map(|operation| stored.map(|(stored, expected)| (operation, stored, expected)));
    for (operation, stored, expected) in each.into_iter().flatten() {
        let store = Store::in_memory();
        store.register_job("test", "crm", "mail").unwrap();
        begin(
            &store,
            operation,
            JournalItem {
                fields: profile("Ana"),
                ..item(None)
            },
        );
        let people = [("t1", ANA, false, Some(MembershipState::Active))];
        let (base, _, done) = settled_with(&store, &people, &[("t1", profile(stored))], true);
        assert!(done && base.members[0].origin == Origin::Created);
        assert_eq!(
            remembered(&store),
            expected.map(|held| (Some(Value::from("Ana")), Some(Value::from(held)))),
            "{operation}, {stored}: what is not there is still to be written"
        );
    }
}

#[test]
fn a_link_gets_the_new_address_once_the_contact_has_it() {
    for (shown, moved) in [("anna@example.org", true), (ANA, false)] {
        let store = Store::in_memory();
        known(&store);
        begin(
            &store,
            "change_address",
            JournalItem {
                group: None,
                member: Some("anna@example.org".into()),
                ..item(Some("t1"))
            },
        );
        let (base, names, done) = settled(&store, &[("t1", shown, false, None)], true);
        assert!(done);
        assert_eq!(names.text(base.members[0].address), shown, "{moved}");
    }
}

#[test]
fn edits_of_a_group_are_settled_by_the_values_that_were_sent() {
    let store = Store::in_memory();
    known(&store);
    let link = GroupLink {
        source: "s9".into(),
        target: "g".into(),
        origin: Origin::Created,
        protect_set: false,
        name: "News".into(),
        fields: FieldBases::new(),
    };
    let job = "test".to_owned();
    store.record(&[Change::LinkGroup { job, link }]).unwrap();
    let sent = Record::from([
        ("groupName".into(), Value::from("News")),
        ("description".into(), Value::from("All of them")),
    ]);
    begin(
        &store,
        "edit_groups",
        JournalItem {
            group: Some("g".into()),
            group_source: Some("s9".into()),
            fields: sent,
            ..JournalItem::default()
        },
    );
    let (base, _, done) = settled(&store, &[], true);
    assert!(done);
    let known: Vec<_> = base.groups[0].fields.keys().collect();
    assert_eq!(known, ["groupName"], "the description does not stand");
}

#[test]
fn a_flag_that_the_source_shows_is_not_rosterds_after_an_interruption() {
    for (shown, expected) in [(false, true), (true, false)] {
        let store = Store::in_memory();
        store.register_job("test", "crm", "mail").unwrap();
        let creation = JournalItem {
            group_source: Some("s".into()),
            detail: Some("News".into()),
            ..JournalItem::default()
        };
        begin(&store, "create_group", creation);
        let mut names = Names::new();
        let now = Timestamp::UNIX_EPOCH;
        let base = store
            .load_base("test", "crm", "mail", now, &mut names)
            .unwrap();
        let rows = [row("7", "News")];
        let known = KnownGroups {
            base: &base,
            schema: provider::schema(KIND),
            rows: &rows,
        };
        let mut job = job();
        job.groups.protect = true;
        adopt_created_groups(&store, &job, known, |_| Record::new(), |_| shown, now).unwrap();
        assert_eq!(store.links("test").unwrap()[0].protect_set, expected);
    }
}

/// Neither done nor undone is guessed of them, and nobody asks for ever.
#[test]
fn what_became_of_somebody_whom_nobody_can_place_stays_open_and_ends_with_a_warning() {
    let settle = |operation: &str, days: i64| {
        let store = Store::in_memory();
        known(&store);
        begin(&store, operation, item(Some("t1")));
        let mut names = Names::new();
        let base = store
            .load_base("test", "crm", "mail", Timestamp::UNIX_EPOCH, &mut names)
            .unwrap();
        let people = [("t1", ANA, false, Some(MembershipState::Unconfirmed))];
        let mut target = target(&mut names, &people, true);
        let why = Unreadable::Standing("its group is not shown".to_owned());
        target.unreadable.insert("t1".to_owned(), why);
        let (profiles, looked_up) = (Staging::new().unwrap(), BTreeMap::new());
        let evidence = Evidence {
            target: &target,
            names: &names,
            base: &base,
            profiles: &profiles,
            is_shared: false,
            looked_up: &looked_up,
        };
        let schema = provider::schema(KIND);
        let capabilities = provider::capabilities(KIND);
        let now = Timestamp::from_second(days * 86_400).unwrap();
        let settled = settle_members(&store, &job(), schema, capabilities, evidence, now).unwrap();
        let after = store
            .load_base("test", "crm", "mail", Timestamp::UNIX_EPOCH, &mut names)
            .unwrap();
        let member = names.find("t1").unwrap();
        assert!(after.membership("g", member).is_some(), "{operation}");
        let is_open = !store.unsettled("test").unwrap().is_empty();
        (is_open, settled.warnings.len())
    };
    for operation in ["add_memberships", "remove_memberships"] {
        assert_eq!(settle(operation, 7), (true, 0), "{operation}");
        assert_eq!(settle(operation, 8), (false, 1), "{operation}");
    }
}
