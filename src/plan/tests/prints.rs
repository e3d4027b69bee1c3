//! What identifies a plan, and what does not.

use super::parse;
use crate::model::MemberStatus;

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
                Some("anna@example.org".to_owned())
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
