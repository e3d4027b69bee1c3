//! One truth table: whom a remembered refusal keeps out of which group.
//!
//! The oracle is rule 1 and what a bar is: found again by any key of the person and any key of the
//! audience, and by no name that only another group had.

use std::collections::BTreeSet;

use super::text::parse;
use super::world::{TestRefusal, TestWorld};
use crate::model::MemberStatus;
use crate::plan::base::FactId;
use crate::plan::{Inputs, PairIx, Plan};

/// Ana is to join Donors, which is paired with the target's group 11; Fans is another pair.
fn world(linked: bool) -> TestWorld {
    let mut world = parse(
        "source 1 Donors ext=d : ana
         source 2 Fans ext=f
         target 11 Donors ext=d
         target 12 Fans ext=f
         person target ana active
         linked s.ana=t.ana
         link 2=12",
    );
    if linked {
        world.link("1", "11", false);
        let link = world.memory.links.last_mut().unwrap();
        "Givers".clone_into(&mut link.name);
        link.fields.get_mut("title").unwrap().desired = Some("Patrons".into());
    }
    world
}

fn of_person(words: &str) -> TestRefusal {
    let mut refusal = TestRefusal::default();
    for word in words.split(' ') {
        let (kind, key) = word.split_once('=').unwrap();
        let keys = match kind {
            "address" => &mut refusal.addresses,
            "contact" => &mut refusal.contacts,
            "record" => &mut refusal.records,
            _ => unreachable!("{kind}"),
        };
        keys.insert(key.to_owned());
    }
    refusal
}

fn of_audience(mut refusal: TestRefusal, words: &str) -> TestRefusal {
    for word in words.split(' ') {
        let (kind, key) = word.split_once('=').unwrap_or((word, ""));
        match kind {
            "all" => drop(refusal.groups.insert(None)),
            "group" => drop(refusal.groups.insert(Some(key.to_owned()))),
            "source" => drop(refusal.sources.insert(key.to_owned())),
            "name" => drop(refusal.names.insert(key.to_owned())),
            _ => unreachable!("{kind}"),
        }
    }
    refusal
}

const PEOPLE: [(&str, bool); 7] = [
    ("address=ana@example.org", true),
    ("contact=t.ana", true),
    ("record=s.ana", true),
    ("contact=t.ana address=old@example.org", true),
    ("record=gone address=ana@example.org contact=gone", true),
    ("address=bo@example.org", false),
    ("record=s.bo contact=t.bo", false),
];

/// Whether it binds a pair that is linked, and one that is not yet.
const AUDIENCES: [(&str, bool, bool); 16] = [
    ("all", true, true),
    ("group=11", true, true),
    ("source=1", true, true),
    ("name=donors", true, true),
    // Made anew on both sides.
    ("group=99 source=98 name=donors", true, true),
    ("group=99 name=donors", true, true),
    ("group=99 source=1", true, true),
    // Under the name that the job gave it last.
    ("group=99 source=98 name=patrons", true, false),
    // Under the name that it has at the source alone.
    ("group=99 source=98 name=givers", false, false),
    // Another group had the name, and goes by another one today.
    ("group=12 name=donors", false, true),
    ("source=2 name=donors", false, true),
    ("group=12 source=1 name=fans", true, true),
    ("group=12", false, false),
    ("source=2", false, false),
    ("group=99 source=98 name=fans", false, false),
    ("group=99", false, false),
];

fn joins(inputs: &Inputs<'_>, plan: &Plan) -> bool {
    let added = super::text::operations(inputs, plan);
    added.iter().any(|line| line.starts_with("add to Donors"))
}

#[test]
fn a_refusal_is_found_by_any_key_of_person_and_audience_and_binds_nobody_else() {
    for linked in [true, false] {
        let free = world(linked);
        assert!(free.planned(joins), "nothing else keeps Ana out");
        for (person, is_hers) in PEOPLE {
            for (audience, binds_linked, binds_new) in AUDIENCES {
                let mut world = free.clone();
                let refusal = of_audience(of_person(person), audience);
                world.memory.refusals.push(refusal);
                let barred = is_hers && if linked { binds_linked } else { binds_new };
                assert_eq!(
                    world.planned(joins),
                    !barred,
                    "linked {linked}, a refusal of {person} for {audience}"
                );
            }
        }
    }
}

#[test]
fn a_refusal_learns_every_key_of_a_pair_that_it_binds_whoever_is_listed() {
    for linked in [true, false] {
        for (audience, binds_linked, binds_new) in AUDIENCES {
            let mut world = world(linked);
            // Nobody whom either side shows.
            let refusal = of_audience(of_person("address=cy@example.org"), audience);
            world.memory.refusals.push(refusal);
            let taught: BTreeSet<(FactId, PairIx)> =
                world.planned(|_, plan| plan.agreement.bars_of_pair.iter().copied().collect());
            let binds = audience != "all" && if linked { binds_linked } else { binds_new };
            let to_donors = taught.contains(&(FactId(0), PairIx(0)));
            assert_eq!(to_donors, binds, "linked {linked}, {audience}");
        }
    }
}

#[test]
fn who_was_forgotten_is_barred_by_address_and_by_every_id() {
    use crate::model::{hash_of_address, hash_of_id};
    let hashes = [
        ("", hash_of_address("ana@example.org"), true),
        ("crm", hash_of_id("s.ana"), true),
        ("mail", hash_of_id("t.ana"), true),
        ("mail", hash_of_id("s.ana"), false),
    ];
    for (account, hash, barred) in hashes {
        let mut world = world(true);
        world.memory.forgotten.recall(account.to_owned(), hash);
        assert_eq!(world.planned(joins), !barred, "{account}");
        // Whoever refuses is opted out all the same, and nobody is made for that.
        let refusing = |world: &mut TestWorld| {
            world.source.people.get_mut("s.ana").unwrap().status = MemberStatus::OptedOut;
        };
        refusing(&mut world);
        let found = world.planned(super::text::operations);
        assert_eq!(found, ["opt out of *: ana"], "{account}");
        if account.is_empty() {
            world.target.people.remove("t.ana");
            assert!(world.planned(super::text::operations).is_empty());
        }
    }
}

#[test]
fn what_one_of_several_contacts_refuses_outlives_that_contact() {
    let mut world = parse(
        "source 1 Donors ext=d : ana
         target 11 Donors ext=d
         person target ana active
         person target ana#2 opted_out
         link 1=11",
    );
    let remembered = |world: &TestWorld| {
        world.planned(|_, plan| {
            let agreement = &plan.agreement;
            (agreement.bars.len(), agreement.left_addresses.len())
        })
    };
    assert_eq!(remembered(&world), (0, 1), "by the address alone");
    world.target.people.get_mut("t.ana").unwrap().status = MemberStatus::OptedOut;
    assert_eq!(remembered(&world), (1, 0), "as the person's");
}
