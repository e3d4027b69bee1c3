//! Every membership decision there is, held against rules written down a second time.
//!
//! One group holds one person per combination of what the source says, what the target says, what
//! is remembered and who is barred; around it vary the mode, what was read to its end, and what the
//! target can do.

use std::collections::BTreeMap;

use super::world::{TestGroup, TestMemberLink, TestPerson, TestWorld};
use crate::model::policy::{Mode, OnDrift, OptOuts};
use crate::model::{MemberStatus, MembershipState};
use crate::plan::{Edit, Inputs, Plan};

const STATES: [MembershipState; 4] = [
    MembershipState::Active,
    MembershipState::Unconfirmed,
    MembershipState::Bounced,
    MembershipState::OptedOut,
];
const STATUSES: [MemberStatus; 4] = [
    MemberStatus::Active,
    MemberStatus::Held,
    MemberStatus::Bounced,
    MemberStatus::OptedOut,
];

/// Somebody at one side: the account's status, and the state in the group when listed there.
type Standing = Option<(MemberStatus, Option<MembershipState>)>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bar {
    None,
    Group,
    Account,
    /// The target was seen to obey it.
    HeldGroup,
    HeldAccount,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Nothing,
    Linked,
    RemovedByUs,
    Adopted,
    Brought,
    BroughtAndHeldByOthers,
}

impl Known {
    fn in_base(self) -> bool {
        matches!(
            self,
            Known::Adopted | Known::Brought | Known::BroughtAndHeldByOthers
        )
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    source: Standing,
    target: Standing,
    bar: Bar,
    known: Known,
}

#[derive(Clone, Copy, Debug)]
struct Around {
    mode: Mode,
    /// Whether the source's listing is whole, and whether its opt-outs are.
    source: (bool, bool),
    target: bool,
    accounts: bool,
    group_opt_out: bool,
    carry: bool,
    keep_drift: bool,
}

/// What a plan does to one person.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fate {
    created: bool,
    created_to_opt_out: bool,
    added: bool,
    /// Brought back after a removal of rosterd's own.
    back: bool,
    removed: bool,
    out_of_group: bool,
    out_of_account: bool,
    withheld: Option<&'static str>,
    blocked: Option<&'static str>,
}

fn standings() -> Vec<Standing> {
    let mut all = vec![None];
    for status in STATUSES {
        all.push(Some((status, None)));
        all.extend(STATES.map(|state| Some((status, Some(state)))));
    }
    all
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for source in standings() {
        for target in standings() {
            for bar in [
                Bar::None,
                Bar::Group,
                Bar::Account,
                Bar::HeldGroup,
                Bar::HeldAccount,
            ] {
                for known in [
                    Known::Nothing,
                    Known::Linked,
                    Known::RemovedByUs,
                    Known::Adopted,
                    Known::Brought,
                    Known::BroughtAndHeldByOthers,
                ] {
                    all.push(Case {
                        source,
                        target,
                        bar,
                        known,
                    });
                }
            }
        }
    }
    all
}

fn set(world: &mut TestWorld, around: Around) {
    world.policy.mode = around.mode;
    world.policy.members.opt_outs = if around.carry {
        OptOuts::Carry
    } else {
        OptOuts::Skip
    };
    world.policy.guards.on_drift = if around.keep_drift {
        OnDrift::Keep
    } else {
        OnDrift::Overwrite
    };
    world.capabilities.group_opt_out = around.group_opt_out;
}

fn world(cases: &[Case], around: Around) -> TestWorld {
    let mut world = TestWorld::new();
    set(&mut world, around);
    let mut source = TestGroup::new("1", "Donors");
    source.ext = Some("donors".to_owned());
    source.incomplete = (!around.source.0).then_some(around.source.1);
    let mut target = TestGroup::new("11", "Donors");
    target.ext = Some("donors".to_owned());
    target.incomplete = (!around.target).then_some(false);
    world.source.account_incomplete = !around.accounts;
    for (at, case) in cases.iter().enumerate() {
        let address = format!("p{at:05}@example.org");
        let (source_id, target_id) = (format!("s{at:05}"), format!("t{at:05}"));
        let put =
            |side: &mut super::world::Side, group: &mut TestGroup, id: &str, standing: Standing| {
                if let Some((status, state)) = standing {
                    side.people.insert(
                        id.to_owned(),
                        TestPerson {
                            address: Some(address.clone()),
                            status,
                        },
                    );
                    if let Some(state) = state {
                        group.members.insert(id.to_owned(), state);
                    }
                }
            };
        put(&mut world.source, &mut source, &source_id, case.source);
        put(&mut world.target, &mut target, &target_id, case.target);
        let refused = address.clone();
        if case.known != Known::Nothing {
            let link = TestMemberLink {
                target: target_id.clone(),
                address,
                removed_by_us: case.known == Known::RemovedByUs,
            };
            world.memory.members.insert(source_id, link);
        }
        if case.bar != Bar::None {
            let group = matches!(case.bar, Bar::Group | Bar::HeldGroup).then(|| "11".to_owned());
            let held = matches!(case.bar, Bar::HeldGroup | Bar::HeldAccount);
            world.refuse(group, &refused, held);
        }
        if case.known.in_base() {
            world.memory.memberships.insert(
                ("11".to_owned(), target_id.clone()),
                case.known != Known::Adopted,
            );
        }
        if case.known == Known::BroughtAndHeldByOthers {
            world.memory.others.insert(("11".to_owned(), target_id));
        }
    }
    world.source.groups.push(source);
    world.target.groups.push(target);
    world.link("1", "11", false);
    world
}

/// The rules of who joins and who leaves, person by person.
fn expected(case: Case, around: Around) -> Fate {
    let mut fate = Fate::default();
    let Case {
        source,
        target,
        bar,
        known,
    } = case;
    let source_status = source.map(|(status, _)| status);
    let source_state = source.and_then(|(_, state)| state);
    let target_status = target.map(|(status, _)| status);
    let target_state = target.and_then(|(_, state)| state);
    let linked = known != Known::Nothing;
    let erased = target.is_none() && linked && known != Known::RemovedByUs;

    // Rule 1: opt-outs are carried, whoever was barred before, and a group's never grows into the
    // account's.
    let concerns_us = source_state.is_some() || (linked && source.is_some());
    if around.carry && concerns_us {
        let account = source_status == Some(MemberStatus::OptedOut)
            && target_status != Some(MemberStatus::OptedOut);
        let group = source_state == Some(MembershipState::OptedOut)
            && target_state != Some(MembershipState::OptedOut);
        let can_hold = !erased;
        fate.out_of_account = account && can_hold;
        if around.group_opt_out {
            fate.out_of_group = group && can_hold;
        } else {
            fate.removed = group && target_state == Some(MembershipState::Active) && around.target;
        }
        fate.created_to_opt_out = target.is_none() && (fate.out_of_account || fate.out_of_group);
    }
    // What the source showed once and the target was never seen to obey is carried, whatever the
    // source shows now.
    if around.carry && bar == Bar::Group && target_state == Some(MembershipState::Active) {
        if around.group_opt_out {
            fate.out_of_group = true;
        } else {
            fate.removed = around.target;
        }
    }
    if around.carry && bar == Bar::Account && (concerns_us || linked) {
        fate.out_of_account |= target_status.is_some_and(|status| status != MemberStatus::OptedOut);
    }
    // Whoever is created to refuse the group would otherwise be there without the refusal of all
    // mail.
    fate.out_of_account |=
        fate.created_to_opt_out && matches!(bar, Bar::Account | Bar::HeldAccount);

    // Who is added: active at both levels of the source, in no state at the target, under no bar;
    // and everything was read.
    let may_conclude = around.accounts && around.target && (around.source.0 || around.source.1);
    if may_conclude && let (Some(status), Some(state)) = (source_status, source_state) {
        if status == MemberStatus::OptedOut || state == MembershipState::OptedOut {
            fate.withheld = Some("opted_out_at_source");
        } else if let Some(held) = target_state {
            fate.withheld = match (status, state, held) {
                (MemberStatus::Active, MembershipState::Active, MembershipState::OptedOut) => {
                    Some("opted_out_at_target")
                }
                (MemberStatus::Active, MembershipState::Active, MembershipState::Bounced) => {
                    Some("undeliverable")
                }
                (MemberStatus::Active, MembershipState::Active, MembershipState::Unconfirmed) => {
                    Some("unconfirmed")
                }
                _ => None,
            };
        } else if state == MembershipState::Unconfirmed {
            fate.withheld = Some("unconfirmed");
        } else if state == MembershipState::Bounced || status != MemberStatus::Active {
            fate.withheld = Some("undeliverable");
        } else {
            // A bar of the account ends once the person is active there again without our doing.
            let bar_ended = bar == Bar::HeldAccount
                && around.carry
                && target_status == Some(MemberStatus::Active);
            // What shows at the target is told before what is remembered.
            if target_status == Some(MemberStatus::OptedOut) {
                fate.withheld = Some("opted_out_at_target");
            } else if bar != Bar::None && !bar_ended {
                fate.withheld = Some("opted_out_at_source");
            } else if matches!(
                target_status,
                Some(MemberStatus::Held | MemberStatus::Bounced)
            ) {
                fate.withheld = Some("undeliverable");
            } else if erased {
                fate.blocked = Some("gone_at_target");
            } else if target.is_some() && known.in_base() && around.keep_drift {
                fate.withheld = Some("removed_at_target");
            } else {
                fate.added = true;
                fate.created = target.is_none();
            }
        }
    }

    // Who is removed: only active memberships whose absence at the source was seen, by mode.
    let leaves = around.source.0
        && around.target
        && target_state == Some(MembershipState::Active)
        && source_state.is_none();
    if leaves && !fate.removed && !fate.out_of_group {
        fate.removed = match around.mode {
            Mode::Add => false,
            Mode::Managed => known == Known::Brought,
            Mode::Mirror => known != Known::BroughtAndHeldByOthers,
        };
    }
    fate
}

fn fates(inputs: &Inputs<'_>, plan: &Plan) -> BTreeMap<String, Fate> {
    let mut fates: BTreeMap<String, Fate> = BTreeMap::new();
    let address = |person| {
        inputs
            .names
            .text(inputs.people.get(person).address)
            .to_owned()
    };
    for edit in &plan.operations {
        for person in edit.members() {
            let fate = fates.entry(address(*person)).or_default();
            let flag = match edit {
                Edit::SetOptOut { pair: None, .. } => &mut fate.out_of_account,
                Edit::SetOptOut { .. } => &mut fate.out_of_group,
                Edit::CreateMembers {
                    to_opt_out: true, ..
                } => &mut fate.created_to_opt_out,
                Edit::CreateMembers { .. } => &mut fate.created,
                Edit::AddMemberships { .. } => &mut fate.added,
                Edit::BringBack { .. } => &mut fate.back,
                Edit::RemoveMemberships { .. } => &mut fate.removed,
                other => panic!("nobody asked for {}", other.op()),
            };
            assert!(
                !*flag,
                "{} is named twice for {}",
                edit.op(),
                address(*person)
            );
            *flag = true;
        }
    }
    for withheld in &plan.withheld {
        let fate = fates
            .entry(address(withheld.member.expect("only people are withheld")))
            .or_default();
        assert_eq!(
            fate.withheld.replace(withheld.reason.as_str()),
            None,
            "one reason is enough"
        );
    }
    for blocked in plan
        .blocked
        .iter()
        .filter(|blocked| blocked.member.is_some())
    {
        let fate = fates
            .entry(blocked.member.clone().unwrap_or_default())
            .or_default();
        assert_eq!(
            fate.blocked.replace(blocked.reason.as_str()),
            None,
            "one reason is enough"
        );
    }
    fates
}

/// Goes through everything for one outcome of reading: the source's listing and its opt-outs, the
/// target's, the accounts'.
fn whole_table(source: (bool, bool), target: bool, accounts: bool) {
    let cases = cases();
    let setting = |mode, bits: u8| Around {
        mode,
        source,
        target,
        accounts,
        group_opt_out: bits & 1 == 0,
        carry: bits & 2 == 0,
        keep_drift: bits & 4 != 0,
    };
    let mut world = world(&cases, setting(Mode::Add, 0));
    let read = world.read();
    for mode in [Mode::Add, Mode::Managed, Mode::Mirror] {
        for bits in 0..8 {
            let around = setting(mode, bits);
            set(&mut world, around);
            let fates = world.planned_from(&read, fates);
            for (at, case) in cases.iter().enumerate() {
                let found = fates
                    .get(&format!("p{at:05}@example.org"))
                    .cloned()
                    .unwrap_or_default();
                assert_eq!(found, expected(*case, around), "\n{case:?}\n{around:?}");
                keeps_the_rules(*case, around, &found);
            }
        }
    }
}

/// The rules once more, as what must never be seen, whatever the table says.
fn keeps_the_rules(case: Case, around: Around, fate: &Fate) {
    let refuses = |standing: Standing| {
        standing.is_some_and(|(status, state)| {
            status == MemberStatus::OptedOut || state == Some(MembershipState::OptedOut)
        })
    };
    let listed_at_target = case.target.is_some_and(|(_, state)| state.is_some());
    if fate.added {
        assert!(
            !listed_at_target,
            "rule 1: somebody listed is added: {case:?}"
        );
        assert!(
            !refuses(case.source) && !refuses(case.target),
            "rule 1: a refusal is undone: {case:?}"
        );
        assert!(
            !matches!(case.bar, Bar::Group | Bar::HeldGroup | Bar::Account),
            "rule 1: a bar is passed: {case:?}"
        );
        assert!(
            around.accounts && around.target && (around.source.0 || around.source.1),
            "rule 3: {around:?}"
        );
    }
    if fate.removed {
        assert_eq!(
            case.target.and_then(|(_, state)| state),
            Some(MembershipState::Active),
            "only active memberships go: {case:?}"
        );
        assert!(
            around.target,
            "rule 3: an incomplete target loses nobody: {around:?}"
        );
        let stands_in = case.source.and_then(|(_, state)| state) == Some(MembershipState::OptedOut)
            || case.bar == Bar::Group;
        assert!(
            around.source.0 || stands_in,
            "rule 3: an incomplete source removes nobody: {around:?}"
        );
        assert!(
            around.mode != Mode::Add || stands_in,
            "add removes nothing: {case:?}"
        );
        let brought = matches!(case.known, Known::Brought);
        assert!(
            around.mode != Mode::Managed || stands_in || brought,
            "rule 10: not ours: {case:?}"
        );
    }
    if fate.out_of_account {
        let shown = case.source.map(|(status, _)| status) == Some(MemberStatus::OptedOut);
        assert!(
            shown || matches!(case.bar, Bar::Account | Bar::HeldAccount),
            "an opt-out of a group never grows: {case:?}"
        );
    }
    assert!(
        !(fate.added && fate.removed),
        "rule 12: remove-and-add is no repair: {case:?}"
    );
    assert!(
        around.carry || !(fate.out_of_account || fate.out_of_group),
        "skip writes nothing: {case:?}"
    );
}

#[test]
fn every_decision_with_everything_read() {
    whole_table((true, true), true, true);
}

#[test]
fn every_decision_with_a_source_listing_cut_short() {
    whole_table((false, true), true, true);
    whole_table((false, false), true, true);
}

#[test]
fn every_decision_with_a_target_listing_cut_short() {
    whole_table((true, true), false, true);
}

#[test]
fn every_decision_with_unread_account_states() {
    whole_table((true, true), true, false);
    whole_table((false, false), false, false);
}
