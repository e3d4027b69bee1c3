//! What identifies a plan, and what does not.

use super::parse;
use crate::model::MemberStatus;
use crate::plan::fingerprint::prints_of;
use crate::plan::{Edit, PairIx};

const WORLD: &str = "source 1 Donors ext=d : ana bo
     target 11 Donors ext=d : cy
     target 12 Other ext=o : dee
     link 1=11";

fn print(change: impl FnOnce(&mut super::world::TestWorld)) -> String {
    let mut world = parse(WORLD);
    change(&mut world);
    world.planned(|_, plan| plan.fingerprint.clone())
}

#[test]
fn equal_plans_have_equal_prints_in_whatever_order_things_were_read() {
    let plain = print(|_| {});
    assert_eq!(plain, print(|_| {}));
    assert_eq!(plain, print(|world| world.backwards = true));
}

#[test]
fn operations_have_the_same_prints_together_as_alone() {
    let world = parse(
        "source 1 Donors ext=d : ana bo cy dee eve
         source 2 Others ext=o : bo dee
         target 11 Donors ext=d
         target 12 Others ext=o
         link 1=11
         link 2=12",
    );
    world.planned(|inputs, plan| {
        let mut edits = plan.operations.clone();
        let everybody = inputs.people.iter().map(|(person, _)| person);
        // In another order than that of the people, which shows.
        let backwards: Vec<_> = everybody.collect::<Vec<_>>().into_iter().rev().collect();
        assert_eq!(backwards.len(), 5);
        edits.push(Edit::AddMemberships {
            pair: PairIx(0),
            members: backwards,
        });
        let alone: Vec<String> = edits
            .iter()
            .flat_map(|edit| prints_of(inputs, plan, std::slice::from_ref(edit), u32::MAX))
            .collect();
        for neighbours in [1, 2, 3, 100] {
            assert_eq!(prints_of(inputs, plan, &edits, neighbours), alone);
        }
        let (last, others) = alone.split_last().unwrap();
        assert!(others.len() > 2 && !others.contains(last));
    });
}

#[test]
fn what_the_plan_does_not_touch_does_not_count() {
    let plain = print(|_| {});
    assert_eq!(
        plain,
        print(|world| world.target.group_mut("12").name = "Renamed".to_owned())
    );
    assert_eq!(
        plain,
        print(
            |world| world.memory.measure = Some(crate::plan::base::Measure {
                groups: 1,
                memberships: 2
            })
        )
    );
    assert_eq!(
        plain,
        print(|world| world.target.people.get_mut("t.dee").unwrap().status = MemberStatus::Held)
    );
}

#[test]
fn whatever_the_plan_touches_counts() {
    let plain = print(|_| {});
    let changes: [fn(&mut super::world::TestWorld); 6] = [
        |world| world.policy.config_hash = "other".to_owned(),
        |world| world.memory.last_run = Some("r1".to_owned()),
        |world| {
            world.source.group_mut("1").members.remove("s.bo");
        },
        |world| world.target.group_mut("11").notes = Some("changed".to_owned()),
        |world| {
            world.source.people.get_mut("s.ana").unwrap().address =
                Some("anna@example.org".to_owned());
        },
        |world| {
            let person = world.source.people["s.bo"].clone();
            world.target.people.insert("t.bo".to_owned(), person);
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert_ne!(plain, print(change), "change {at}");
    }
}

/// People who are created, added, changed and taken out, and one whom the plan leaves alone; each
/// with a profile at every side that has one.
const PROFILES: &str = "source 1 Donors ext=d : ana bo dee
     target 11 Donors ext=d : bo cy dee
     person target fay
     source 2 Fans ext=f : fay
     target 12 Fans ext=f
     link 1=11
     link 2=12
     base 11 : bo+ cy+ dee+
     bar 11 : bo";

#[test]
fn a_saved_plan_moves_with_every_profile_that_it_touches_at_either_side() {
    let print = |changed: &str| {
        let mut world = parse(PROFILES);
        let people = world.source.people.keys().chain(world.target.people.keys());
        world.cities = people
            .map(|id| (id.clone(), "Springfield".to_owned()))
            .collect();
        if let Some(city) = world.cities.get_mut(changed) {
            "Shelbyville".clone_into(city);
        }
        world.planned(|inputs, plan| {
            assert_eq!(
                super::text::operations(inputs, plan),
                [
                    "opt out of Donors: bo",
                    "create people: ana",
                    "add to Donors: ana",
                    "add to Fans: fay",
                    "remove from Donors: cy"
                ]
            );
            plan.fingerprint.clone()
        })
    };
    let plain = print("");
    for touched in ["s.ana", "s.bo", "t.bo", "t.cy", "s.fay", "t.fay"] {
        assert_ne!(plain, print(touched), "{touched}");
    }
    for left_alone in ["s.dee", "t.dee"] {
        assert_eq!(plain, print(left_alone), "{left_alone}");
    }
}

#[test]
fn a_saved_plan_moves_with_what_mapping_makes_of_whom_it_touches() {
    let print = |address: &str| {
        let mut world = parse(PROFILES);
        world.mapped.insert(address.to_owned(), 1);
        world.planned(|_, plan| plan.fingerprint.clone())
    };
    let plain = print("");
    for touched in ["ana", "bo", "fay"] {
        assert_ne!(plain, print(&format!("{touched}@example.org")), "{touched}");
    }
    assert_eq!(plain, print("dee@example.org"));
}

#[test]
fn a_saved_plan_moves_with_the_profile_of_a_user_who_leaves_a_group_for_another_one() {
    let print = |changed: &str| {
        let mut world = parse(
            "set seats=yes parking=19
             source 1 Editors : bo
             source 2 Writers : ana
             target 11 Editors : ana bo
             target 12 Writers
             target 19 Parking parking
             link 1=11
             link 2=12
             base 11 : ana+ bo+",
        );
        world
            .cities
            .insert(changed.to_owned(), "Springfield".to_owned());
        world.planned(|inputs, plan| {
            assert_eq!(
                super::text::operations(inputs, plan),
                ["add to Writers: ana"]
            );
            plan.fingerprint.clone()
        })
    };
    let plain = print("");
    assert_ne!(plain, print("s.ana"));
    assert_ne!(plain, print("t.ana"));
    assert_eq!(plain, print("t.bo"));
}

#[test]
fn a_plan_that_moved_names_what_moved() {
    let basis = |change: fn(&mut super::world::TestWorld)| {
        let mut world = parse(WORLD);
        change(&mut world);
        world.planned(|_, plan| plan.basis.clone())
    };
    let plain = basis(|_| {});
    let moved = |change| plain.what_moved(&basis(change));
    assert_eq!(
        moved(|world| world.policy.config_hash = "other".to_owned()),
        "the config of the job or of its accounts was changed"
    );
    assert_eq!(
        moved(|world| world.memory.last_run = Some("r1".to_owned())),
        "another run has written since"
    );
    let joins = "add_memberships \"Donors\" would concern other people, other values, or objects that were changed since";
    assert_eq!(
        moved(|world| {
            world.source.group_mut("1").members.remove("s.bo");
        }),
        format!(
            "{joins}; {}",
            joins.replace("add_memberships \"Donors\"", "create_members")
        )
    );
    assert_eq!(
        moved(|world| {
            world.source.group_mut("1").members.clear();
        }),
        "add_memberships \"Donors\" is not needed any more; create_members is not needed any more"
    );
    assert_eq!(
        moved(|world| world.source.group_mut("1").name = "Friends".to_owned())
            .split("; ")
            .find(|part| part.contains("rename")),
        Some("rename_group \"Friends\" is new")
    );
}
