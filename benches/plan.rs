//! What it takes to pair people and to plan, while both sides are in memory.
//!
//! `cargo bench --bench plan -- 500000 5000000` plans so many memberships, five groups a person,
//! once each: with nothing changed since the last run, with one in a hundred changed (half of them
//! joined, half of them left), and with nothing at the target. Without numbers there are 50,000.
//!
//! Each case has a process of its own. Beside the seconds of one core stand those that it takes to
//! sort as many pairs of 32-bit numbers there, and beside the most memory that was needed what both
//! sides, the base and their texts took before.
//!
//! Measured with the command above on a core of a machine that others used as well; the targets are
//! missed at 5,000,000 memberships. Where nothing has changed two thirds of the time are pairing:
//! sorting the addresses, finding what lies far apart, and the first touch of new memory.
//!
//! | case            | memberships | seconds | ratio | target | memory: before, and added |
//! |-----------------|-------------|---------|-------|--------|---------------------------|
//! | nothing changed |     500,000 |    0.08 |   6.3 |      2 |           79 MB and 12 MB |
//! | 1 % changed     |     500,000 |    0.08 |   6.4 |      3 |           60 MB and 18 MB |
//! | everything new  |     500,000 |    0.08 |   6.6 |     10 |           52 MB and 21 MB |
//! | nothing changed |   5,000,000 |    1.03 |   8.2 |      2 |         407 MB and 120 MB |
//! | 1 % changed     |   5,000,000 |    1.09 |   8.5 |      3 |         411 MB and 113 MB |
//! | everything new  |   5,000,000 |    1.52 |  11.9 |     10 |          249 MB and 81 MB |

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark says what it measured, and stops where it can't"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hint::black_box;
use std::process::Command;

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
use rosterd::plan::{DesiredGroup, Inputs, People, Plan, Policy, plan};
use rosterd::provider::{capabilities, schema};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const GROUPS: usize = 100;
const GROUPS_PER_PERSON: usize = 5;

/// How the two sides differ.
#[derive(Clone, Copy, PartialEq)]
enum Case {
    Nothing,
    Some,
    Everything,
}

/// The cases, with their names in the table and the most that each is to take: so many times as
/// long as sorting.
const CASES: [(Case, &str, f64); 3] = [
    (Case::Nothing, "nothing changed", 2.0),
    (Case::Some, "1 % changed", 3.0),
    (Case::Everything, "everything new", 10.0),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, case, memberships] = arguments.as_slice()
        && word == "case"
    {
        let case = CASES[case.parse::<usize>().unwrap()];
        return measure(case, memberships.parse().unwrap());
    }
    let mut sizes: Vec<usize> = arguments
        .iter()
        .filter_map(|size| size.parse().ok())
        .collect();
    if sizes.is_empty() {
        sizes.push(50_000);
    }
    println!(
        "case             memberships  seconds  sorting   ratio  target  memory before    peak"
    );
    for memberships in sizes {
        for case in 0..CASES.len() {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["case", &case.to_string(), &memberships.to_string()]);
            assert!(child.status().unwrap().success());
        }
    }
}

/// Plans one case and prints its line.
fn measure((case, name, target): (Case, &str, f64), memberships: usize) {
    let mut pairs = numbers(memberships);
    let start = seconds();
    pairs.sort_unstable();
    let sorting = seconds() - start;
    drop(black_box(pairs));

    let accounts = accounts(memberships, case);
    // What was needed to make the accounts is not what planning needs.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    let start = seconds();
    let people = People::pair(
        &accounts.source,
        &accounts.target,
        &accounts.base,
        &accounts.names,
        OnDrift::Overwrite,
        OptOuts::Carry,
    );
    let pairing = seconds() - start;
    let made = accounts.plan(&people);
    let took = seconds() - start;
    let peak = memory("VmHWM");
    check(case, &made, memberships as u64);
    println!(
        "{name:<15}{memberships:>13}{took:>9.3}{sorting:>9.3}{:>8.1}{target:>8.0}{before:>12} MB{peak:>5} MB  (pairing {pairing:.3})",
        took / sorting,
    );
}

/// Makes pairs of numbers without any order.
fn numbers(count: usize) -> Vec<(u32, u32)> {
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    (0..count).map(|_| (next(), next())).collect()
}

/// Returns what this thread has had of a core, in seconds.
fn seconds() -> f64 {
    let spent = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = spent.split(' ').next().unwrap();
    nanoseconds.parse::<f64>().unwrap() / 1e9
}

/// Returns what the system says of the process's memory, in megabytes.
fn memory(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() / 1000
}

fn check(case: Case, plan: &Plan, memberships: u64) {
    let done = &plan.summary;
    let (added, removed) = (done.memberships_added, done.memberships_removed);
    assert!(plan.refusals.is_empty() && plan.blocked.is_empty());
    match case {
        Case::Nothing => assert!(plan.operations.is_empty() && plan.agreement.ended.is_empty()),
        Case::Some => assert_eq!((added, removed), (memberships / 200, memberships / 200)),
        Case::Everything => assert_eq!((added, removed), (memberships, 0)),
    }
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

/// Many people share the beginning of their addresses, and ids and addresses have different orders.
fn address_of(person: usize) -> String {
    const FIRST: [&str; 8] = [
        "ana", "bo", "carlotta", "dinesh", "eleonora", "fatima", "george", "hannah",
    ];
    const LAST: [&str; 7] = [
        "andersson",
        "brown",
        "castellano",
        "dubois",
        "eriksen",
        "fernandez",
        "garcia",
    ];
    let (first, last) = (FIRST[person % FIRST.len()], LAST[person % LAST.len()]);
    format!("{first}.{last}{person}@mail{}.example", person % 11)
}

/// Reads one side; `order` is the order in which its people come.
fn snapshot(
    provider: &str,
    names: &mut Names,
    order: impl Iterator<Item = usize> + Clone,
) -> Snapshot {
    let mut stage = Nowhere;
    let mut builder = SnapshotBuilder::new(provider, "", names, &mut stage);
    for person in order.clone() {
        let row = MemberRow {
            id: format!("{provider}{person}"),
            address: Some(address_of(person)),
            status: Some(MemberStatus::Active),
            wire: None,
        };
        builder.member(row).unwrap();
    }
    for group in 0..GROUPS {
        builder.begin_listing(&group.to_string());
        for person in order.clone() {
            if groups_of(person).any(|of| of == group) {
                builder.listed(&format!("{provider}{person}"), MembershipState::Active);
            }
        }
        builder.end_listing(Certificate::of_the_end());
    }
    builder.account_state(Certificate::of_the_end());
    builder.whole_account();
    let schema = schema(ProviderKind::Emfluence);
    let groups = (0..GROUPS)
        .map(|group| Group::from_row(row(group), schema))
        .collect();
    builder.finish(
        groups,
        &Certificate::of_the_end(),
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

fn accounts(memberships: usize, case: Case) -> Accounts {
    let people = memberships / GROUPS_PER_PERSON;
    let is_new = move |person: usize| case == Case::Some && person % 200 == 1;
    let has_left = move |person: usize| case == Case::Some && person % 200 == 2;
    let mut names = Names::new();
    names.intern("");
    let at_source = (0..people).filter(move |person| !has_left(*person));
    let source = snapshot("s", &mut names, at_source);
    // The target lists them in another order, in which no two who came together stand together.
    let step = people * 618 / 1000;
    let step = (step..=people + 1)
        .find(|step| gcd(*step, people) == 1)
        .unwrap();
    let count = if case == Case::Everything { 0 } else { people };
    let at_target = (0..count)
        .map(move |at| at * step % people)
        .filter(move |person| !is_new(*person));
    let target = snapshot("t", &mut names, at_target.clone());
    let mut base = Base::default();
    for group in (0..GROUPS).filter(|_| case != Case::Everything) {
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
    for person in at_target {
        let target = names.intern(&format!("t{person}"));
        base.members.push(MemberLink {
            source: names.intern(&format!("s{person}")),
            target,
            address: names.intern(&address_of(person)),
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
    base.members.sort_unstable_by_key(|link| link.source);
    for rows in base.memberships.values_mut() {
        rows.sort_unstable();
    }
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

fn gcd(left: usize, right: usize) -> usize {
    if right == 0 {
        left
    } else {
        gcd(right, left % right)
    }
}

impl Accounts {
    fn plan(&self, people: &People) -> Plan {
        plan(&Inputs {
            undecided: None,
            policy: &self.policy,
            names: &self.names,
            source: &self.source,
            target: &self.target,
            target_groups_unseen: false,
            base: &self.base,
            people,
            facts: &BTreeMap::new(),
            desired: &self.desired,
            target_schema: schema(ProviderKind::Emfluence),
            explicit_group_fields: &BTreeSet::new(),
            capabilities: capabilities(ProviderKind::Emfluence),
            losses: &[],
            new_custom_fields: &[],
            warnings: &[],
        })
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
