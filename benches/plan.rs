//! How long it takes to pair people and to plan, and how much memory that needs.
//!
//! `cargo bench --bench plan`. Each account holds as many memberships as the argument says, ten
//! groups per person; one in a hundred people is new at the source, one has left it, and one has
//! opted out.

#![expect(clippy::print_stderr, reason = "a benchmark says what it measured")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use divan::{Bencher, black_box};
use rosterd::model::policy::{
    Adopt, Dynamic, GroupScope, Guards, Limit, MemberPolicy, Missing, Mode, OnDrift, OptOuts,
    Removal,
};
use rosterd::model::{
    Certificate, Group, GroupKind, GroupRow, GroupStatus, MemberRow, MemberSink, MemberStatus,
    MembershipState, Names, OwnRemovals, ProviderKind, Record, Snapshot, SnapshotBuilder, Stage,
    TotalMeanings, Value,
};
use rosterd::plan::base::{Base, BaseMembership, GroupLink, MemberLink, Origin};
use rosterd::plan::{DesiredGroup, Inputs, People, Policy, plan};
use rosterd::provider::{capabilities, schema};

const GROUPS: usize = 100;
const GROUPS_PER_PERSON: usize = 10;

fn main() {
    divan::main();
    let peak = fs::read_to_string("/proc/self/status").ok();
    let peak = peak
        .as_deref()
        .and_then(|status| status.lines().find(|line| line.starts_with("VmHWM")));
    eprintln!(
        "peak resident memory: {}",
        peak.map_or("unknown", |line| line.trim_start_matches("VmHWM:").trim())
    );
}

struct Nowhere;

impl Stage for Nowhere {
    fn put(&mut self, _id: &str, _record: &Record) -> Result<(), String> {
        Ok(())
    }
}

struct Accounts {
    names: Names,
    source: Snapshot,
    target: Snapshot,
    base: Base,
    desired: BTreeMap<String, DesiredGroup>,
    policy: Policy,
}

/// Which groups a person is in.
fn groups_of(person: usize) -> impl Iterator<Item = usize> {
    (0..GROUPS_PER_PERSON).map(move |at| (person * 7 + at * 11) % GROUPS)
}

fn snapshot(
    provider: &str,
    memberships: usize,
    names: &mut Names,
    here: impl Fn(usize) -> bool,
    refuses: impl Fn(usize) -> bool,
) -> Snapshot {
    let people = memberships / GROUPS_PER_PERSON;
    let mut stage = Nowhere;
    let mut builder = SnapshotBuilder::new(provider, "", names, &mut stage);
    let mut listed: Vec<Vec<usize>> = vec![Vec::new(); GROUPS];
    for person in (0..people).filter(|person| here(*person)) {
        let status = if refuses(person) {
            MemberStatus::OptedOut
        } else {
            MemberStatus::Active
        };
        let address = Some(format!("person{person}@example.org"));
        let row = MemberRow {
            id: format!("{provider}{person}"),
            address,
            status: Some(status),
            wire: None,
        };
        builder.member(row).expect("nowhere takes everything");
        groups_of(person).for_each(|group| listed[group].push(person));
    }
    for (group, people) in listed.iter().enumerate() {
        builder.begin_listing(&group.to_string());
        for person in people {
            builder.listed(&format!("{provider}{person}"), MembershipState::Active);
        }
        builder.end_listing(Certificate::default());
    }
    builder.account_state(Certificate::default());
    builder.whole_account();
    let schema = schema(ProviderKind::Emfluence);
    let groups = (0..GROUPS)
        .map(|group| Group::from_row(row(group), schema))
        .collect();
    builder.finish(
        groups,
        &Certificate::default(),
        &mut TotalMeanings::all(),
        &OwnRemovals::default(),
    )
}

fn row(group: usize) -> GroupRow {
    GroupRow {
        id: group.to_string(),
        wire: Record::from([("groupName".into(), Value::from(format!("Group {group}")))]),
        kind: GroupKind::Static,
        status: GroupStatus::Active,
        test_group: false,
        auto_response: false,
        member_count: None,
        detailed: true,
        unread: None,
    }
}

fn accounts(memberships: usize) -> Accounts {
    let mut names = Names::new();
    names.intern("");
    let source = snapshot(
        "s",
        memberships,
        &mut names,
        |person| person % 100 != 1,
        |person| person % 100 == 2,
    );
    let target = snapshot(
        "t",
        memberships,
        &mut names,
        |person| person % 100 != 0,
        |_| false,
    );
    let mut base = Base::default();
    for group in 0..GROUPS {
        let id = group.to_string();
        let name = format!("Group {group}");
        let link = GroupLink {
            source: id.clone(),
            target: id,
            origin: Origin::Created,
            protect_set: false,
            name,
            fields: BTreeMap::new(),
        };
        base.groups.push(link);
    }
    for person in (0..memberships / GROUPS_PER_PERSON).filter(|person| person % 100 != 0) {
        let target = names.intern(&format!("t{person}"));
        base.members.push(MemberLink {
            source: names.intern(&format!("s{person}")),
            target,
            address: names.intern(&format!("person{person}@example.org")),
            origin: Origin::Created,
            source_hash: 0,
            target_hash: 0,
            removed_by_us: false,
        });
        for group in groups_of(person) {
            base.memberships
                .entry(group.to_string())
                .or_default()
                .push(BaseMembership {
                    member: target,
                    brought: true,
                });
        }
    }
    base.members.sort_by_key(|link| link.source);
    base.memberships
        .values_mut()
        .for_each(|rows| rows.sort_unstable());
    let wish = |group: usize| DesiredGroup {
        fields: row(group).wire,
        ..DesiredGroup::default()
    };
    let desired = (0..GROUPS)
        .map(|group| (group.to_string(), wish(group)))
        .collect();
    Accounts {
        names,
        source,
        target,
        base,
        desired,
        policy: policy(),
    }
}

fn policy() -> Policy {
    let none = Limit::default();
    let tenth = Limit {
        share: Some(0.1),
        count: None,
    };
    Policy {
        job: "bench".to_owned(),
        source: "s".to_owned(),
        target: "t".to_owned(),
        mode: Mode::Managed,
        groups: GroupScope {
            include: vec!["*".to_owned()],
            exclude: Vec::new(),
            adopt: Adopt::ByName,
            pin: BTreeMap::new(),
            protect: true,
            dynamic: Dynamic::Skip,
            missing: Missing::Keep,
        },
        members: MemberPolicy {
            r#where: None,
            create: true,
            update: true,
            opt_outs: OptOuts::Carry,
            create_users: false,
            removal: Removal::Unsubscribe,
            readd: false,
        },
        guards: Guards {
            max_membership_removals: tenth,
            max_membership_removals_per_group: tenth,
            max_group_removals: none,
            max_member_creations: none,
            max_updates: none,
            max_opt_outs: tenth,
            floor: 10,
            on_drift: OnDrift::Overwrite,
        },
        allow_auto_response: false,
        source_shared: false,
        target_shared: false,
        parking_group: None,
        opt_outs_confirmed: false,
        config_hash: String::new(),
    }
}

fn plan_all(accounts: &Accounts, people: &People) -> usize {
    let none = BTreeSet::new();
    let made = plan(&Inputs {
        undecided: None,
        policy: &accounts.policy,
        names: &accounts.names,
        source: &accounts.source,
        target: &accounts.target,
        target_groups_unseen: false,
        base: &accounts.base,
        people,
        facts: &BTreeMap::new(),
        desired: &accounts.desired,
        target_schema: schema(ProviderKind::Emfluence),
        explicit_group_fields: &none,
        capabilities: capabilities(ProviderKind::Emfluence),
        losses: &[],
        new_custom_fields: &[],
        warnings: &[],
    });
    assert!(
        made.summary.memberships_added > 0
            && made.summary.memberships_removed > 0
            && made.summary.opt_outs > 0
    );
    made.operations.len()
}

#[divan::bench(args = [100_000, 1_000_000], sample_count = 10)]
fn pairing(bencher: Bencher<'_, '_>, memberships: usize) {
    let accounts = accounts(memberships);
    bencher.bench_local(|| {
        black_box(People::pair(
            &accounts.source,
            &accounts.target,
            &accounts.base,
            &accounts.names,
            OnDrift::Overwrite,
            OptOuts::Carry,
        ))
        .len()
    });
}

#[divan::bench(args = [100_000, 1_000_000], sample_count = 10)]
fn planning(bencher: Bencher<'_, '_>, memberships: usize) {
    let accounts = accounts(memberships);
    let people = People::pair(
        &accounts.source,
        &accounts.target,
        &accounts.base,
        &accounts.names,
        OnDrift::Overwrite,
        OptOuts::Carry,
    );
    bencher.bench_local(|| black_box(plan_all(&accounts, &people)));
}

#[divan::bench(args = [100_000], sample_count = 5)]
fn reading_into_snapshots(bencher: Bencher<'_, '_>, memberships: usize) {
    bencher.bench_local(|| black_box(accounts(memberships)).source.members.len());
}
