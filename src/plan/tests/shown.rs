//! Every number of a shown plan is that of the list below it: tried on random plans, as text, as JSON,
//! and on parts of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::properties::{Fact, facts, world_of};
use super::text::address;
use super::world::{TestGroup, TestMemberLink, TestPerson, TestWorld};
use crate::model::policy::OnDrift;
use crate::model::{MemberStatus, MembershipState, Record};
use crate::plan::{Blocked, Edit, Loss, PairIx, PersonIx};
use crate::report::{narrow, write_plan_json, write_plan_text};
use crate::run::{Meant, Planned};
use crate::testing::cases;

/// What becomes of somebody beside the few of the random facts.
type Extra = (u8, u8);

fn losses() -> impl Strategy<Value = Vec<(bool, u8)>> {
    vec((any::<bool>(), 1..9_u8), 0..5)
}

/// Adds so many people to a world that lists get too long to be shown.
fn crowd(world: &mut TestWorld, extras: &[Extra]) {
    for (group, (source, target)) in [("1", "11"), ("2", "12")].into_iter().enumerate() {
        if world.source.groups.iter().all(|group| group.id != source) {
            world
                .source
                .groups
                .push(TestGroup::new(source, ["Big", "Also big"][group]));
        }
        if world.target.groups.iter().all(|group| group.id != target) {
            world
                .target
                .groups
                .push(TestGroup::new(target, ["Big", "Also big"][group]));
        }
    }
    for (at, (kind, group)) in extras.iter().enumerate() {
        let name = format!("p{at:02}");
        let (source_id, target_id) = (1 + group % 2, 11 + group % 2);
        let (record, contact) = (format!("s.{name}"), format!("t.{name}"));
        let somebody = |status| TestPerson {
            address: Some(address(&name)),
            status,
        };
        let listed = |side: &mut super::world::Side, id: u8, who: &str, state| {
            let id = id.to_string();
            let groups = side.groups.iter_mut().filter(|group| group.id == id);
            groups.for_each(|group| {
                group.members.insert(who.to_owned(), state);
            });
        };
        let refuses = kind % 6 == 3;
        let state = if refuses {
            MembershipState::OptedOut
        } else {
            MembershipState::Active
        };
        let status = if kind % 6 == 4 {
            MemberStatus::OptedOut
        } else {
            MemberStatus::Active
        };
        // The fifth has left the source.
        if kind % 6 != 5 {
            world.source.people.insert(record.clone(), somebody(status));
            listed(&mut world.source, source_id, &record, state);
        }
        // The first is new.
        if kind % 6 == 0 {
            continue;
        }
        world
            .target
            .people
            .insert(contact.clone(), somebody(MemberStatus::Active));
        let base = (target_id.to_string(), contact.clone());
        world.memory.memberships.insert(base, true);
        let link = TestMemberLink {
            target: contact.clone(),
            address: address(&name),
            removed_by_us: false,
        };
        world.memory.members.insert(record, link);
        match kind % 6 {
            // Somebody took the second out.
            1 => {}
            2 => {
                world.edited.insert(address(&name));
                listed(
                    &mut world.target,
                    target_id,
                    &contact,
                    MembershipState::Active,
                );
            }
            _ => listed(
                &mut world.target,
                target_id,
                &contact,
                MembershipState::Active,
            ),
        }
    }
}

/// Makes a plan to be shown of a random world.
fn planned(
    facts: &[Fact],
    extras: &[Extra],
    drift: OnDrift,
    losses: &[(bool, u8)],
    accepts: u8,
) -> Planned {
    let mut world = world_of(facts);
    world.policy.guards.on_drift = drift;
    crowd(&mut world, extras);
    let read = world.read();
    let plan = world.planned_from(&read, |_, plan| plan.clone());
    let mut planned = read.shown(plan);
    for edit in &planned.plan.operations {
        if let Edit::CreateMembers { members, .. } = edit {
            for &person in members {
                let fields = (0..person.0 % 13).map(|at| (format!("f{at}").into(), "x".into()));
                planned
                    .created_values
                    .insert(person, fields.collect::<Record>());
            }
        }
    }
    planned
        .plan
        .losses
        .extend(losses.iter().enumerate().map(|(at, (known, count))| Loss {
            field: format!("field {at}"),
            object: "member",
            count: u64::from(*count),
            examples: vec!["one".to_owned()],
            reason: "no home".to_owned(),
            remedy: None,
            known_since: known.then_some(Timestamp::UNIX_EPOCH),
        }));
    let blocked = planned.plan.blocked.iter().map(Blocked::item);
    let accepted = blocked
        .enumerate()
        .filter(|(at, _)| accepts >> (at % 8) & 1 == 1);
    planned.accepted = accepted.map(|(_, item)| item).collect();
    planned
}

/// The lines of a text by section.
struct Sections<'a> {
    /// Title, the note beside it, and the lines below.
    all: Vec<(&'a str, &'a str, Vec<&'a str>)>,
}

impl<'a> Sections<'a> {
    fn of(text: &'a str) -> Sections<'a> {
        let mut all: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            match all.last_mut() {
                Some((_, _, lines)) if line.starts_with(' ') => lines.push(line),
                _ => {
                    let (title, note) = line.split_once("  ").unwrap_or((line, ""));
                    all.push((title, note, Vec::new()));
                }
            }
        }
        Sections { all }
    }

    fn section(&self, title: &str) -> (&'a str, &[&'a str]) {
        let found = self.all.iter().find(|(known, ..)| *known == title);
        found.map_or(("", &[]), |(_, note, lines)| (note, lines))
    }
}

/// How many items of a list are shown, by lines that begin so, and how many more there are.
fn listed(lines: &[&str], lead: &str) -> u64 {
    let items = lines.iter().filter(|line| more(line).is_none());
    let shown = items.filter(|line| line.starts_with(lead)).count() as u64;
    let more = lines.iter().filter_map(|line| more(line));
    shown + more.sum::<u64>()
}

/// The number in a line that says how many more there are.
fn more(line: &str) -> Option<u64> {
    let rest = line.trim_start().strip_prefix("… and ")?;
    rest.contains(" more (-v shows all)").then(|| number(rest))
}

/// The number with which a text begins.
fn number(text: &str) -> u64 {
    let digits = text.trim_start_matches(['+', '−']);
    let end = digits
        .find(|c: char| !c.is_ascii_digit() && c != ',')
        .unwrap_or(digits.len());
    digits[..end].replace(',', "").parse().unwrap_or(0)
}

/// What the last line of a plan says, by its words.
fn summed(text: &str, title: &str) -> BTreeMap<String, u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(title))
        .unwrap_or("");
    let sentence = line.split(". ").next().unwrap_or("").trim_end_matches('.');
    let parts = sentence.split(", ").filter(|part| !part.trim().is_empty());
    parts
        .map(|part| {
            let (_, words) = part.trim().split_once(' ').unwrap_or((part, ""));
            let words = words
                .replace("people", "person")
                .replace("groups", "group")
                .replace("memberships", "membership")
                .replace("changes", "change")
                .replace("operations", "operation")
                .replace("opt-outs", "opt-out");
            (words, number(part.trim()))
        })
        .collect()
}

/// Holds every number of a text against the list below it, and the last line against all of them.
fn text_adds_up(planned: &Planned, verbose: bool) {
    let mut out = Vec::new();
    write_plan_text(&mut out, planned, verbose).unwrap();
    let text = String::from_utf8(out).unwrap();
    let text = anstream::adapter::strip_str(&text).to_string();
    let sections = Sections::of(&text);
    assert!(!verbose || !text.contains("-v shows all"), "{text}");
    let title = match &planned.narrowed {
        Some(narrowed) if narrowed.of.operations == 1 => "Shown, of 1 operation: ".to_owned(),
        Some(narrowed) => format!("Shown, of {} operations: ", narrowed.of.operations),
        None => "Plan: ".to_owned(),
    };
    let summary = summed(&text, &title);
    let said = |words: &str| summary.get(words).copied().unwrap_or(0);

    // Opt-outs: every scope with its people.
    let (_, lines) = sections.section("Opt-outs");
    let mut opt_outs = 0;
    for scope in chunks(lines, |line| line.starts_with("  x ")) {
        let number = number(&scope[0][4..]);
        assert_eq!(listed(&scope[1..], "      "), number, "{text}");
        opt_outs += number;
    }
    assert_eq!(opt_outs, said("opt-out to carry"), "{text}");

    // Groups, one line each.
    let (_, lines) = sections.section("Groups");
    for (word, words) in [
        ("create", "group to create"),
        ("change", "group to change"),
        ("adopt", "group to adopt"),
        ("archive", "group to archive"),
        ("delete", "group to delete"),
    ] {
        let groups = lines.iter().filter(|line| !line.starts_with("   "));
        let groups = groups.filter(|line| {
            let line = line.split(": ").next().unwrap_or(line);
            line.ends_with(&format!("  {word}"))
        });
        assert_eq!(groups.count() as u64, said(words), "{word}: {text}");
    }

    // Memberships: both numbers of every group, and those who are new.
    let (note, lines) = sections.section("Members");
    let (mut added, mut removed, mut new) = (0, 0, BTreeSet::new());
    for group in chunks(lines, |line| !line.starts_with("   ")) {
        let counts = group[0].rsplit("  ").next().unwrap_or("");
        let of = |sign: char| {
            let mut counts = counts.split(' ').filter(|count| count.starts_with(sign));
            counts.next().map_or(0, number)
        };
        let (plus, minus) = (of('+'), of('−'));
        let shown = |sign: &str| group.iter().filter(|line| line.starts_with(sign)).count() as u64;
        let left_out: u64 = group[1..].iter().filter_map(|line| more(line)).sum();
        assert_eq!(
            shown("    + ") + shown("    − ") + left_out,
            plus + minus,
            "{text}"
        );
        assert!(
            shown("    + ") <= plus && shown("    − ") <= minus,
            "{text}"
        );
        (added, removed) = (added + plus, removed + minus);
        let starred = group.iter().filter(|line| line.ends_with(" *"));
        new.extend(starred.map(|line| line.trim_start().to_owned()));
    }
    assert_eq!(added, said("membership to add"), "{text}");
    assert_eq!(removed, said("membership to remove"), "{text}");
    if verbose {
        assert_eq!(new.len() as u64, number(note), "{text}");
    }

    // Everybody who is created joins a group or only holds an opt-out.
    let (_, lines) = sections.section("Created only to hold an opt-out");
    let holders = listed(lines, "  x ");
    assert_eq!(number(note) + holders, said("person to create"), "{text}");
    let (note, lines) = sections.section("New people");
    assert_eq!(number(note), said("person to create"), "{text}");
    let people: u64 = if verbose {
        lines.iter().filter(|line| line.starts_with("  + ")).count() as u64
    } else {
        let kinds = lines.iter().filter(|line| line.starts_with("  + "));
        kinds.map(|line| number(&line[4..])).sum::<u64>()
            + lines.iter().filter_map(|line| more(line)).sum::<u64>()
    };
    assert_eq!(people, number(note), "{text}");

    // Profiles: the changes, or the people where each has one.
    let (note, lines) = sections.section("Profiles");
    assert_eq!(number(note), said("profile change to make"), "{text}");
    let people = note.rsplit(" of ").next().map_or(0, number);
    assert_eq!(listed(lines, "  ~ "), people, "{text}");

    let (note, lines) = sections.section("Changed outside");
    assert_eq!(
        number(note),
        planned.plan.changed_outside.len() as u64,
        "{text}"
    );
    assert_eq!(listed(lines, "  ! "), number(note), "{text}");
    let said_outside = text.lines().rev().find_map(|line| {
        let (before, _) = line.split_once(" changed outside.")?;
        before.rsplit(' ').next().map(number)
    });
    assert_eq!(said_outside.unwrap_or(0), number(note), "{text}");

    let (note, lines) = sections.section("Withheld");
    let mut withheld = 0;
    for reason in chunks(lines, |line| line.starts_with("  o ")) {
        let words: Vec<&str> = reason[0].split_whitespace().collect();
        let number = number(words[2]);
        if verbose {
            assert_eq!(reason.len() as u64 - 1, number, "{text}");
        }
        withheld += number;
    }
    assert_eq!(withheld, number(note), "{text}");

    let mut blocked = 0;
    for title in ["Blocked", "Accepted"] {
        let (note, lines) = sections.section(title);
        let mut items = 0;
        for reason in chunks(lines, |line| line.starts_with("  x ")) {
            let number = reason[0].rsplit("  ").next().map_or(0, number);
            let shown = reason.iter().filter(|line| {
                line.starts_with("      ") && !line.contains("remedy: ") && more(line).is_none()
            });
            let left_out: u64 = reason.iter().filter_map(|line| more(line)).sum();
            assert_eq!(shown.count() as u64 + left_out, number, "{text}");
            items += number;
        }
        assert_eq!(items, number(note), "{text}");
        blocked += items;
    }
    assert_eq!(blocked, planned.plan.blocked.len() as u64, "{text}");

    let (_, lines) = sections.section("Losses");
    let listed = lines.iter().filter(|line| line.starts_with("  - ")).count() as u64;
    let in_short = text
        .lines()
        .find(|line| line.contains("known since") && line.contains("`-v`"));
    let in_short = in_short.map_or(0, |line| {
        number(line.trim_start().trim_start_matches("… and "))
    });
    assert_eq!(
        listed + in_short,
        planned.plan.losses.len() as u64,
        "{text}"
    );

    if let Some(narrowed) = &planned.narrowed {
        let line = text.lines().find(|line| line.starts_with("Only ")).unwrap();
        let shows = line.split("shows ").nth(1).unwrap();
        assert_eq!(
            number(shows),
            planned.plan.operations.len() as u64,
            "{text}"
        );
        let of = shows.split(" of ").nth(1).map_or(0, number);
        assert_eq!(of, narrowed.of.operations as u64, "{text}");
    }
}

/// Cuts lines before each that begins something.
fn chunks<'a, 'b>(lines: &'b [&'a str], begins: impl Fn(&str) -> bool) -> Vec<&'b [&'a str]> {
    let starts: Vec<usize> = (0..lines.len()).filter(|at| begins(lines[*at])).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &lines[*start..end])
        .collect()
}

/// Holds the summary of a JSON plan against its lists.
fn json_adds_up(planned: &Planned) {
    let mut out = Vec::new();
    write_plan_json(&mut out, planned).unwrap();
    let plan: Value = serde_json::from_slice(&out).unwrap();
    let summary = &plan["summary"];
    let operations = plan["operations"].as_array().unwrap();
    let of = |ops: &[&str]| {
        let meant = operations
            .iter()
            .filter(|one| ops.contains(&one["op"].as_str().unwrap()));
        meant.collect::<Vec<_>>()
    };
    let people = |ops: &[&str]| {
        let lists = of(ops)
            .into_iter()
            .map(|one| one["members"].as_array().unwrap().len());
        lists.sum::<usize>()
    };
    assert_eq!(summary["groups"]["create"], of(&["create_group"]).len());
    assert_eq!(
        summary["groups"]["update"],
        of(&["update_group", "rename_group"]).len()
    );
    assert_eq!(summary["groups"]["adopt"], of(&["adopt_group"]).len());
    assert_eq!(summary["groups"]["archive"], of(&["archive_group"]).len());
    assert_eq!(summary["groups"]["delete"], of(&["delete_group"]).len());
    assert_eq!(summary["members"]["create"], people(&["create_members"]));
    assert_eq!(
        summary["members"]["update"],
        of(&["update_member", "change_address"]).len()
    );
    assert_eq!(summary["memberships"]["add"], people(&["add_memberships"]));
    assert_eq!(
        summary["memberships"]["remove"],
        people(&["remove_memberships"])
    );
    assert_eq!(summary["opt_outs"]["carry"], people(&["set_opt_out"]));
    for list in ["withheld", "blocked", "changed_outside", "losses"] {
        assert_eq!(
            summary[list],
            plan[list].as_array().unwrap().len(),
            "{list}"
        );
    }
    for created in of(&["create_members"]) {
        assert_eq!(
            created["rows"].as_array().unwrap().len(),
            created["members"].as_array().unwrap().len()
        );
    }
    // Each mark stands for one row of the list, where it is not kept.
    let marks = operations
        .iter()
        .filter_map(|one| one["changed_outside"].as_array());
    let marks: usize = marks.map(Vec::len).sum();
    let rows = plan["changed_outside"].as_array().unwrap().iter();
    assert_eq!(
        marks,
        rows.filter(|row| row["fate"] != "keep").count(),
        "{plan:#}"
    );
    assert!(crate::report::is_sealed(out.as_slice()).unwrap());
}

/// The crowd is of every kind, and long enough for lists that are cut.
#[test]
fn long_lists_of_every_kind_are_among_the_random_plans() {
    let extras: Vec<Extra> = (0..180).map(|at| (at, at / 90)).collect();
    for drift in [OnDrift::Overwrite, OnDrift::Keep] {
        let planned = planned(&[], &extras, drift, &[(true, 2), (false, 1)], 0b10);
        text_adds_up(&planned, false);
        text_adds_up(&planned, true);
        json_adds_up(&planned);
        let mut out = Vec::new();
        write_plan_text(&mut out, &planned, false).unwrap();
        let text = String::from_utf8(out).unwrap();
        let text = anstream::adapter::strip_str(&text).to_string();
        let sections = Sections::of(&text);
        for title in [
            "Opt-outs",
            "Members",
            "New people",
            "Profiles",
            "Changed outside",
        ] {
            let (_, lines) = sections.section(title);
            let cut = lines.iter().any(|line| more(line).is_some());
            assert!(cut, "{title}: {text}");
        }
        assert!(!sections.section("Withheld").1.is_empty(), "{text}");
        assert!(text.contains("… and 1 loss known since"), "{text}");
    }
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn every_number_of_a_plan_is_that_of_its_list(
        facts in facts(),
        extras in vec((any::<u8>(), any::<u8>()), 0..60),
        drift in prop_oneof![Just(OnDrift::Overwrite), Just(OnDrift::Keep), Just(OnDrift::Stop)],
        losses in losses(),
        accepts in any::<u8>(),
        part in vec(any::<u8>(), 0..3),
    ) {
        let mut planned = planned(&facts, &extras, drift, &losses, accepts);
        for verbose in [false, true] {
            text_adds_up(&planned, verbose);
        }
        json_adds_up(&planned);
        let whole = planned.plan.fingerprint.clone();
        let people = planned.people.len() as u32;
        let pairs = planned.plan.pairs.len() as u32;
        let meant: Vec<Meant> = part
            .iter()
            .map(|at| {
                let at = u32::from(*at);
                let is_person = at % 2 == 0 && people > 0;
                Meant {
                    asked: if is_person { "#1" } else { "A" }.to_owned(),
                    people: is_person.then(|| PersonIx(at / 2 % people)).into_iter().collect(),
                    pairs: (!is_person && pairs > 0).then(|| PairIx(at / 2 % pairs)).into_iter().collect(),
                    is_shown: true,
                }
            })
            .collect();
        narrow(&mut planned, &meant);
        for verbose in [false, true] {
            text_adds_up(&planned, verbose);
        }
        json_adds_up(&planned);
        prop_assert_eq!(whole, planned.plan.fingerprint);
    }
}
