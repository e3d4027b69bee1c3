//! Memberships over time: drift, ownership, and who else holds them. The whole table is in `table`.

use super::{check, parse, render};

#[test]
fn what_somebody_took_away_is_added_again_or_left_or_refused() {
    let world = |drift: &str| {
        format!(
            "set drift={drift}
             source 1 Donors ext=d : ana
             target 11 Donors ext=d
             person target ana
             link 1=11
             base 11 : ana+"
        )
    };
    check(&world("overwrite"), "add to Donors: ana");
    check(&world("keep"), "- Donors ana removed_at_target");
    check(
        &world("stop"),
        "add to Donors: ana\nrefused on_drift 1 of 0, stop",
    );
}

#[test]
fn managed_removes_its_own_and_mirror_all() {
    let world = |mode: &str| {
        format!(
            "set mode={mode} measure=1/1
             source 1 Donors ext=d : dee
             target 11 Donors ext=d : dee ana bo cy eve=opted_out fay=bounced gus=unconfirmed
             link 1=11
             base 11 : dee+ ana+ bo cy+ eve+ fay+ gus+
             others 11 : cy"
        )
    };
    check(&world("add"), "");
    check(&world("managed"), "remove from Donors: ana");
    check(&world("mirror"), "remove from Donors: ana bo");
}

#[test]
fn a_person_in_two_groups_is_created_once() {
    check(
        "source 1 Donors ext=d : ana
         source 2 Fans ext=f : ana
         target 11 Donors ext=d
         target 12 Fans ext=f
         link 1=11
         link 2=12",
        "create people: ana
         add to Donors: ana
         add to Fans: ana",
    );
}

#[test]
fn a_listing_cut_short_adds_and_removes_nobody() {
    check(
        "set mode=mirror measure=1/1
         source 1 Donors ext=d incomplete : ana
         target 11 Donors ext=d : bo
         link 1=11",
        "create people: ana
         add to Donors: ana
         ! group Donors 1 incomplete_read",
    );
    check(
        "set mode=mirror measure=1/1
         source 1 Donors ext=d opt_outs_incomplete : ana
         target 11 Donors ext=d : bo
         link 1=11",
        "! group Donors 1 incomplete_read",
    );
}

/// The memberships that the base forgets, as group and person.
fn ended(world: &str) -> Vec<String> {
    parse(world).planned(|inputs, plan| {
        let ended = plan.agreement.ended.iter();
        ended
            .map(|(group, member)| format!("{group} {}", inputs.names.text(*member)))
            .collect()
    })
}

#[test]
fn whoever_refused_is_no_longer_in_the_group_by_our_doing() {
    for mode in ["add", "managed", "mirror"] {
        // Whatever the source says of the person, and whether or not it could be read to its end.
        for source in [
            "Donors ext=d : ana bo",
            "Donors ext=d : ana=opted_out bo",
            "Donors ext=d : bo",
            "Donors ext=d incomplete : ana bo",
            "Donors ext=d incomplete : bo",
            "Donors ext=d opt_outs_incomplete : bo",
        ] {
            for brought in ["", "+"] {
                let world = |listed: &str| {
                    format!(
                        "set mode={mode} measure=1/1
                         source 1 {source}
                         target 11 Donors ext=d : {listed} bo
                         link 1=11
                         base 11 : ana{brought} bo+"
                    )
                };
                let place = format!("{mode}, {source}, brought {brought:?}");
                assert_eq!(ended(&world("ana=opted_out")), ["11 t.ana"], "{place}");
                // The run after that, the person is back by a wish of their own: with the base as
                // it is then, nobody takes them out who is not a mirror.
                let mut later = parse(&world("ana"));
                later
                    .memory
                    .memberships
                    .remove(&("11".to_owned(), "t.ana".to_owned()));
                let removed = later
                    .planned(super::render)
                    .contains("remove from Donors: ana");
                let mirrored = mode == "mirror" && source == "Donors ext=d : bo";
                assert_eq!(removed, mirrored, "{place}");
            }
        }
    }
    // The target's own listing need not be whole for a refusal that it shows.
    assert_eq!(
        ended(
            "source 1 Donors ext=d : bo
             target 11 Donors ext=d incomplete : ana=opted_out bo
             link 1=11
             base 11 : ana+ bo+"
        ),
        ["11 t.ana"]
    );
}

#[test]
fn what_is_no_refusal_ends_no_membership_of_ours() {
    for state in ["active", "bounced", "unconfirmed"] {
        assert_eq!(
            ended(&format!(
                "source 1 Donors ext=d : ana
                 target 11 Donors ext=d : ana={state}
                 link 1=11
                 base 11 : ana+"
            )),
            Vec::<String>::new(),
            "{state}"
        );
    }
}

#[test]
fn the_strictest_of_several_rows_counts_whichever_comes_last() {
    let both = |world: &str, expected: &str| {
        for backwards in [false, true] {
            let mut world = parse(world);
            world.backwards = backwards;
            assert_eq!(world.planned(render), expected, "backwards: {backwards}");
        }
    };
    for (first, second) in [("=opted_out", ""), ("", "=opted_out")] {
        both(
            &format!(
                "source 1 Donors ext=d : ana{first} ana#2{second}
                 target 11 Donors ext=d
                 link 1=11
                 person target ana"
            ),
            "opt out of Donors: ana\n- Donors ana opted_out_at_source",
        );
        both(
            &format!(
                "source 1 Donors ext=d : ana
                 target 11 Donors ext=d : ana{first} ana#2{second}
                 link 1=11"
            ),
            "- Donors ana opted_out_at_target",
        );
    }
    for (first, second) in [("opted_out", "active"), ("active", "opted_out")] {
        both(
            &format!(
                "source 1 Donors ext=d : ana ana#2
                 person source ana {first}
                 person source ana#2 {second}
                 target 11 Donors ext=d
                 person target ana
                 link 1=11"
            ),
            "opt out of *: ana\n- Donors ana opted_out_at_source",
        );
        both(
            &format!(
                "source 1 Donors ext=d : ana
                 target 11 Donors ext=d
                 person target ana {first}
                 person target ana#2 {second}
                 link 1=11"
            ),
            "- Donors ana opted_out_at_target",
        );
    }
}

#[test]
fn nothing_ends_of_whoever_can_not_be_read() {
    let world = |unreadable: &str| {
        format!(
            "set mode=managed measure=1/1
             source 1 Donors ext=d : bo
             target 11 Donors ext=d : ana=unconfirmed bo
             person target ana {unreadable}
             link 1=11
             base 11 : ana+ bo+"
        )
    };
    assert_eq!(ended(&world("")), ["11 t.ana"]);
    assert_eq!(ended(&world("unreadable")), [""; 0]);
    // Nor is anybody's leaving seen in it: the measure for later runs holds them as they were known,
    // and whoever is new once it can be told.
    let measured = |unreadable: &str| {
        let world = format!(
            "set mode=managed measure=1/4
             source 1 Donors ext=d : ana=unconfirmed bo cy=unconfirmed di new=unconfirmed
             person source ana {unreadable}
             person source cy {unreadable}
             person source new {unreadable}
             target 11 Donors ext=d : ana bo cy di
             link 1=11
             base 11 : ana+ bo+ cy+ di+"
        );
        parse(&world).planned(|_, plan| (plan.measured, plan.measure.memberships))
    };
    assert_eq!(measured(""), (true, 2));
    assert_eq!(measured("unreadable"), (true, 4));
    // Nor is it seen that the target has obeyed a refusal that it can't hold.
    let obeyed = |unreadable: &str| {
        let world = format!(
            "set group_opt_out=no
             source 1 Donors ext=d : ana=opted_out
             target 11 Donors ext=d : ana=unconfirmed
             person target ana {unreadable}
             link 1=11
             known ana"
        );
        parse(&world).planned(|_, plan| !plan.agreement.held_bars.is_empty())
    };
    assert!(obeyed("") && !obeyed("unreadable"));
}

#[test]
fn what_holds_in_one_group_is_not_taken_for_what_holds_in_the_next() {
    // In the first group ana stays and bo joins, and nothing is to be said of them.
    let world = |second: &str, more: &str| {
        format!(
            "source 1 Donors ext=d : ana bo
             source 2 Others ext=o : ana bo
             target 11 Donors ext=d : ana
             target 12 Others ext=o : {second}
             link 1=11
             link 2=12
             base 11 : ana+
             {more}"
        )
    };
    let first = "create people: bo\nadd to Donors: bo";
    check(
        &world("ana", "base 12 : ana+"),
        &format!("{first}\nadd to Others: bo"),
    );
    check(&world("", ""), &format!("{first}\nadd to Others: ana bo"));
    check(
        &world("ana=opted_out", "base 12 : ana+"),
        &format!("{first}\nadd to Others: bo\n- Others ana opted_out_at_target"),
    );
}

#[test]
fn a_newcomer_joins_no_group_that_has_something_against_them() {
    // Nothing is against ana in the first group, which decides nothing for the second.
    let world = |second: &str, more: &str| {
        format!(
            "source 1 Donors ext=d : ana
             source 2 Others ext=o : ana {second}
             target 11 Donors ext=d
             target 12 Others ext=o
             link 1=11
             link 2=12
             {more}"
        )
    };
    let first = "create people: ana\nadd to Donors: ana";
    check(
        &world("", "bar 12 : ana"),
        &format!("{first}\n- Others ana opted_out_at_source"),
    );
    check(
        &world("", "resting add_memberships 12 ana@example.org"),
        &format!("{first}\n! membership Others ana value_refused"),
    );
    check(
        &world(
            "x=opted_out",
            "person source x active address=\"Ana <ana@example.org>\"",
        ),
        &format!(
            "{first}
             - Others  opted_out_at_source
             - Others ana opted_out_at_source
             ! member Ana <ana@example.org> s.x bad_address"
        ),
    );
}
