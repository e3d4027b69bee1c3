//! Every pair of a source and the user groups of an account, judged person by person from the rules
//! alone.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::World;

use super::{FREE, PARKING, address, hire, seats};
use crate::support::{bench, plain_world, tell};

/// What one person is at both sides.
#[derive(Clone, Debug)]
struct Person {
    name: String,
    /// Groups at the source, with whether the person refuses the group.
    source: BTreeMap<&'static str, bool>,
    refuses_all: bool,
    /// The group at the target; nothing for somebody who does not log in there.
    seat: Option<&'static str>,
}

/// Groups at the source, all of which get a partner.
const GROUPS: [&str; 3] = ["Editors", "Readers", "Writers"];
/// Where people sit at the target: in partners, parked, in a group of nobody's concern, or nowhere.
const SEATS: [Option<&str>; 5] = [
    Some("Editors"),
    Some("Writers"),
    Some(PARKING),
    Some("Guests"),
    None,
];

/// Everybody there can be: each set of groups at the source against each seat at the target.
fn cast(one_group: bool, group_refusals: bool, account_refusals: bool) -> Vec<Person> {
    let mut people = Vec::new();
    for (number, seat) in SEATS.into_iter().enumerate() {
        for set in 0..8_u32 {
            if one_group && set.count_ones() > 1 {
                continue;
            }
            let source: BTreeMap<&str, bool> = GROUPS
                .into_iter()
                .enumerate()
                .filter(|(at, _)| set & (1 << at) != 0)
                .map(|(_, group)| (group, false))
                .collect();
            let person = |kind: &str, source, refuses_all| Person {
                name: format!("{kind}{set}{number}"),
                source,
                refuses_all,
                seat,
            };
            people.push(person("plain", source.clone(), false));
            if account_refusals && set != 0 {
                people.push(person("gone", source.clone(), true));
            }
            if group_refusals && set != 0 {
                let mut source = source;
                *source.values_mut().next().unwrap() = true;
                people.push(person("no", source, false));
            }
        }
    }
    people
}

fn world(provider: &str, people: &[Person]) -> World {
    let mut world = plain_world();
    let users = provider == "staff";
    let account = world.account_mut(if users { "campaigns" } else { provider });
    for group in GROUPS {
        if users {
            hire(account, group, &[])
        } else {
            account.add_group(group)
        };
    }
    for person in people.iter().filter(|person| !person.source.is_empty()) {
        if users {
            hire(
                account,
                person.source.keys().next().unwrap(),
                &[&person.name],
            );
            continue;
        }
        let contact = account.add_person(&address(&person.name), "Ana", "Example");
        for (group, refuses) in &person.source {
            let group = account.find_group(group).unwrap();
            account.join(group, contact);
            if *refuses {
                account.opt_out_of_group(group, contact);
            }
        }
        if person.refuses_all {
            account.opt_out_of_account(contact);
        }
    }
    let account = world.account_mut("campaigns2");
    for group in ["Editors", "Writers", "Guests"] {
        hire(account, group, &[]);
    }
    for person in people {
        if let Some(seat) = person.seat {
            hire(account, seat, &[&person.name]);
        }
    }
    world
}

/// Where somebody must sit after the first run, and why they are blocked if they are.
fn judge(
    person: &Person,
    mode: &str,
    create_users: bool,
) -> (Option<&'static str>, Option<&'static str>) {
    let wanted: Vec<&'static str> = person
        .source
        .iter()
        .filter(|(_, refuses)| !**refuses && !person.refuses_all)
        .map(|(group, _)| *group)
        .collect();
    let listed = |group: &str| person.source.contains_key(group);
    let refused = |group: &str| person.source.get(group) == Some(&true);
    let Some(seat) = person.seat else {
        return match wanted.as_slice() {
            [only] if create_users => (Some(only), None),
            [] | [_] => (None, None),
            _ => (None, create_users.then_some("several_groups")),
        };
    };
    let ours = seat == "Editors" || seat == "Writers";
    let parked = if ours && refused(seat) { PARKING } else { seat };
    match wanted.as_slice() {
        [] if ours && mode == "mirror" && !listed(seat) => (Some(PARKING), None),
        [] => (Some(parked), None),
        [only] if *only == seat => (Some(seat), None),
        [only] if parked == PARKING || (ours && mode == "mirror") => (Some(only), None),
        [_] => (Some(seat), Some("other_group")),
        _ => (Some(parked), Some("several_groups")),
    }
}

async fn judged(provider: &str) {
    // Users refuse nothing, and contacts on lists refuse lists only.
    let people = cast(
        provider == "staff",
        provider != "staff",
        matches!(provider, "mail" | "crm"),
    );
    for mode in ["add", "managed", "mirror"] {
        for create_users in [false, true] {
            let place = format!("{provider}, {mode}, create_users = {create_users}");
            let job = format!("mode = \"{mode}\"\ncreate_users = {create_users}\n{FREE}");
            let bench = bench(world(provider, &people), provider, "staff2", &job);
            let mut report = bench.sync().await;
            if let Some(refusal) = report.refusals.first() {
                assert!(bench.writes().is_empty());
                let approval = refusal.approval.clone();
                report = bench.approve(&approval).await;
            }
            let judgements: BTreeMap<&str, _> = people
                .iter()
                .map(|person| (person.name.as_str(), judge(person, mode, create_users)))
                .collect();
            let now = seats(&bench, "campaigns2");
            for person in &people {
                let (seat, _) = judgements[person.name.as_str()];
                assert_eq!(
                    now.get(&person.name).map(String::as_str),
                    seat,
                    "{place}: {person:?}\n{}",
                    tell(&report)
                );
            }
            let expected: BTreeSet<(&str, String)> = judgements
                .iter()
                .filter_map(|(name, (_, blocked))| {
                    Some((blocked.as_ref().copied()?, address(name)))
                })
                .collect();
            let blocked: Vec<_> = super::blocked(&report);
            assert_eq!(
                blocked.iter().cloned().collect::<BTreeSet<_>>(),
                expected,
                "{place}"
            );
            assert_eq!(blocked.len(), expected.len(), "{place}: each is shown once");
            assert_eq!(
                report.exit_code(),
                if expected.is_empty() { 0 } else { 4 },
                "{place}: {}",
                tell(&report)
            );
            bench.assert_no_misuse();
            // Nothing flaps: what is not done now is not done by trying again.
            bench.assert_settled().await;
            assert_eq!(seats(&bench, "campaigns2"), now, "{place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn from_user_groups() {
    judged("staff").await;
}

#[tokio::test(start_paused = true)]
async fn from_emfluence() {
    judged("mail").await;
}

#[tokio::test(start_paused = true)]
async fn from_greenrope() {
    judged("crm").await;
}

#[tokio::test(start_paused = true)]
async fn from_lists() {
    judged("campaigns").await;
}

#[test]
fn the_cast_is_complete() {
    assert_eq!(cast(true, false, false).len(), 4 * 5);
    assert_eq!(cast(false, true, true).len(), (8 + 7 + 7) * 5);
}
