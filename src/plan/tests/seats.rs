//! Targets where a person is in one group only: moves, parking, and who stays where they are.

use super::check;
use super::text::parse;

/// Two pairs of groups and a parking group at the target; `rest` says who is where.
fn world(settings: &str, source: [&str; 2], target: [&str; 3], rest: &str) -> String {
    format!(
        "set seats=yes parking=19 measure=2/2 {settings}
         source 1 Editors : {}
         source 2 Writers : {}
         target 11 Editors : {}
         target 12 Writers : {}
         target 19 Parking parking : {}
         link 1=11
         link 2=12
         {rest}",
        source[0], source[1], target[0], target[1], target[2]
    )
}

#[test]
fn people_come_out_of_the_parking_group_in_any_mode() {
    for mode in ["add", "managed", "mirror"] {
        check(
            &world(&format!("mode={mode}"), ["ana", ""], ["", "", "ana bo"], ""),
            "add to Editors: ana",
        );
    }
}

#[test]
fn whoever_leaves_goes_by_the_mode() {
    let gone = |mode: &str, base: &str| {
        let stays = if base.is_empty() { "" } else { "base 12 : cy" };
        world(
            &format!("mode={mode}"),
            ["", "cy"],
            ["ana", "cy", ""],
            &format!("{base}\n{stays}"),
        )
    };
    check(&gone("add", "base 11 : ana+"), "");
    check(
        &gone("managed", "base 11 : ana+"),
        "remove from Editors: ana",
    );
    check(&gone("managed", ""), "");
    check(&gone("mirror", ""), "remove from Editors: ana");
}

#[test]
fn a_move_is_the_addition_alone() {
    let moved =
        |mode: &str, rest: &str| world(&format!("mode={mode}"), ["", "ana"], ["ana", "", ""], rest);
    check(&moved("mirror", ""), "add to Writers: ana");
    check(&moved("managed", "base 11 : ana+"), "add to Writers: ana");
    check(
        &moved("managed", "base 11 : ana"),
        "! membership Writers ana other_group",
    );
    check(
        &moved("managed", ""),
        "! membership Writers ana other_group",
    );
    check(
        &moved("add", "base 11 : ana+"),
        "! membership Writers ana other_group",
    );
    check(
        &moved("mirror", "others 11 : ana"),
        "! membership Writers ana other_group",
    );
}

#[test]
fn a_move_between_groups_that_are_being_linked_is_one_as_well() {
    check(
        "set seats=yes mode=mirror measure=2/2
         source 1 Editors : bo
         source 2 Writers : ana
         target 11 Editors : ana bo
         target 12 Writers",
        "adopt Editors
         adopt Writers
         add to Writers: ana",
    );
}

#[test]
fn people_of_other_groups_are_left_there() {
    let world = |flags: &str| {
        format!(
            "set seats=yes parking=19 mode=mirror measure=1/1
             source 1 Editors : ana
             target 3 Staff{flags} : ana
             target 11 Editors
             target 19 Parking parking
             link 1=11"
        )
    };
    check(&world(""), "! membership Editors ana other_group");
    check(&world(" builtin"), "! membership Editors ana other_group");
    // Whom this job created, and who landed there, is moved on.
    check(
        &world(" builtin").replace("link 1=11", "link 1=11\n             base 3 : ana+"),
        "add to Editors: ana",
    );
    check(
        &world(" builtin").replace("link 1=11", "link 1=11\n             base 3 : ana"),
        "! membership Editors ana other_group",
    );
    // A group that the login does not see is no better.
    check(
        "set seats=yes parking=19 mode=mirror measure=1/1
         source 1 Editors : ana
         target 11 Editors
         target 19 Parking parking
         person target ana
         link 1=11",
        "! membership Editors ana other_group",
    );
}

#[test]
fn a_group_that_left_the_scope_keeps_its_people() {
    check(
        &world(
            "mode=mirror exclude=Editors",
            ["ana", "ana"],
            ["ana", "", ""],
            "base 11 : ana+",
        ),
        "! membership Writers ana other_group",
    );
}

#[test]
fn who_is_in_several_groups_stays_where_they_are() {
    for (target, rest) in [
        (["ana", "", ""], "base 11 : ana+"),
        (["", "ana", ""], "base 12 : ana+"),
        (["", "", "ana"], "base 11 : ana+"),
    ] {
        check(
            &world("mode=mirror", ["ana", "ana"], target, rest),
            "! member ana several_groups",
        );
    }
    // Also in a third group that the job fills and from which everybody else would be removed.
    check(
        "set seats=yes parking=19 mode=mirror measure=3/3
         source 1 Editors : ana
         source 2 Writers : ana
         source 3 Readers
         target 11 Editors
         target 12 Writers
         target 13 Readers : ana bo
         target 19 Parking parking
         link 1=11
         link 2=12
         link 3=13",
        "remove from Readers: bo
         ! member ana several_groups",
    );
}

#[test]
fn several_groups_are_no_trouble_where_nothing_would_come_of_them() {
    let nobody = |settings: &str| world(settings, ["ana", "ana"], ["", "", ""], "");
    check(
        &nobody("mode=mirror"),
        "- Editors ana no_user\n- Writers ana no_user",
    );
    check(
        &nobody("mode=mirror create_users=yes"),
        "! member ana several_groups",
    );
    check(
        &world(
            "mode=mirror",
            ["ana", "ana=unconfirmed"],
            ["", "", "ana"],
            "",
        ),
        "add to Editors: ana\n- Writers ana unconfirmed",
    );
    check(
        &world(
            "mode=mirror",
            ["ana", "ana"],
            ["", "", "ana"],
            "bar 12 : ana",
        ),
        "add to Editors: ana\n- Writers ana opted_out_at_source",
    );
    check(
        &world(
            "mode=mirror",
            ["ana", "ana"],
            ["", "", "ana"],
            "person source ana opted_out",
        ),
        "- Editors ana opted_out_at_source\n- Writers ana opted_out_at_source",
    );
}

#[test]
fn users_are_created_only_where_the_config_says_so() {
    let new = |settings: &str, rest: &str| world(settings, ["ana", ""], ["", "", ""], rest);
    check(&new("mode=managed", ""), "- Editors ana no_user");
    check(
        &new("mode=managed create_users=yes", ""),
        "create people: ana\nadd to Editors: ana",
    );
    check(
        &new("mode=managed create_users=yes create=no", ""),
        "- Editors ana no_contact",
    );
    check(
        &new("mode=managed create_users=yes", "nameless ana"),
        "! membership Editors ana value_refused",
    );
    check(
        &new(
            "mode=managed create_users=yes",
            "person source ana opted_out",
        ),
        "- Editors ana opted_out_at_source",
    );
    check(
        &world("create_users=yes", ["ana=opted_out", ""], ["", "", ""], ""),
        "- Editors ana opted_out_at_source\nlost 1 group opt-out",
    );
}

#[test]
fn a_refusal_parks_in_any_mode_and_before_anything_else() {
    for mode in ["add", "managed", "mirror"] {
        let refused = world(
            &format!("mode={mode}"),
            ["ana=opted_out", "ana"],
            ["ana", "", ""],
            "",
        );
        check(
            &refused,
            "remove from Editors: ana
             add to Writers: ana
             - Editors ana opted_out_at_source
             lost 1 group opt-out",
        );
        parse(&refused)
            .planned(|_, plan| assert_eq!(plan.agreement.bars.len(), 1, "it is remembered"));
    }
    // Whoever skips opt-outs has them bar additions and nothing else.
    check(
        &world(
            "mode=add opt_outs=skip",
            ["ana=opted_out", ""],
            ["ana", "", ""],
            "",
        ),
        "- Editors ana opted_out_at_source",
    );
}

#[test]
fn without_a_parking_group_nobody_leaves_for_none() {
    let place = |settings: &str, source: [&str; 2], target: [&str; 2], parking: &str| {
        format!(
            "set seats=yes mode=mirror measure=2/2 {settings}
             source 1 Editors : {}
             source 2 Writers : {}
             target 11 Editors : {}
             target 12 Writers : {}
             link 1=11
             link 2=12
             {parking}",
            source[0], source[1], target[0], target[1]
        )
    };
    check(
        &place("", ["", "cy"], ["ana", "cy"], ""),
        "! membership Editors ana other_group",
    );
    check(
        &place("parking=19", ["", "cy"], ["ana", "cy"], ""),
        "! membership Editors ana other_group",
    );
    check(
        &place(
            "parking=19",
            ["", "cy"],
            ["ana", "cy"],
            "target 19 Parking parking",
        ),
        "remove from Editors: ana",
    );
    check(
        &place("", ["", "ana"], ["ana", ""], ""),
        "add to Writers: ana",
    );
    check(
        &place("mode=add", ["ana=opted_out", ""], ["ana", ""], ""),
        "- Editors ana opted_out_at_source\n! membership Editors ana other_group\nlost 1 group opt-out",
    );
    // Whoever refuses one group and is wanted in another one gets there at once.
    check(
        &place("mode=add", ["ana=opted_out", "ana"], ["ana", ""], ""),
        "add to Writers: ana\n- Editors ana opted_out_at_source\nlost 1 group opt-out",
    );
}

#[test]
fn a_reading_that_is_not_whole_moves_nobody() {
    let incomplete = |id: &str, flag: &str| {
        let flags = |which: &str| {
            if which == id {
                format!(" {flag}")
            } else {
                String::new()
            }
        };
        format!(
            "set seats=yes parking=19 mode=mirror measure=2/3
             source 1 Editors{} :
             source 2 Writers{} : ana cy
             target 11 Editors{} : ana bo
             target 12 Writers{} :
             target 19 Parking parking{} : cy
             link 1=11
             link 2=12",
            flags("1"),
            flags("2"),
            flags("11"),
            flags("12"),
            flags("19")
        )
    };
    check(
        &incomplete("", ""),
        "add to Writers: ana cy\nremove from Editors: bo",
    );
    for id in ["11", "12", "19"] {
        for flag in ["incomplete", "unlisted"] {
            check(
                &incomplete(id, flag),
                "! group Editors 11 incomplete_read\n! group Writers 12 incomplete_read",
            );
        }
    }
    // Bo may be in the group that was not read to its end.
    check(
        &incomplete("2", "incomplete"),
        "add to Writers: ana cy\n! group Writers 2 incomplete_read",
    );
    check(
        &incomplete("1", "incomplete"),
        "add to Writers: cy\n! group Editors 1 incomplete_read\n! membership Writers ana incomplete_read",
    );
}

#[test]
fn guards_count_a_move_as_a_removal() {
    let moving = |limit: &str| {
        world(
            &format!("mode=managed {limit}"),
            ["", "ana bo"],
            ["ana bo", "", "cy"],
            "base 11 : ana+ bo+",
        )
    };
    check(
        &moving("max_membership_removals=1"),
        "add to Writers: ana bo\nrefused max_membership_removals 2 of 2, 1",
    );
    check(
        &moving("max_membership_removals_per_group=50%"),
        "add to Writers: ana bo\nrefused max_membership_removals_per_group Editors 2 of 2, 50%",
    );
    check(
        &moving("max_membership_removals=2"),
        "add to Writers: ana bo",
    );
    parse(&moving("max_membership_removals=1")).planned(|_, plan| {
        let tripped: Vec<String> = plan.tripped.clone().into_iter().collect();
        assert_eq!(
            tripped,
            [
                "remove_memberships 11 ana@example.org",
                "remove_memberships 11 bo@example.org"
            ]
        );
        assert_eq!(
            plan.warnings,
            ["Of those who join \"Writers\", 2 leave \"Editors\" for it."]
        );
    });
    // From the parking group nobody is removed.
    check(
        &world("max_membership_removals=0", ["cy", ""], ["", "", "cy"], ""),
        "add to Editors: cy",
    );
}

#[test]
fn a_group_is_deleted_into_the_parking_group() {
    let deleted = |settings: &str, parking: &str| {
        format!(
            "set seats=yes mode=managed missing=delete measure=2/2 {settings}
             source 2 Writers : cy
             target 11 Editors : ana bo cy
             target 12 Writers
             {parking}
             link 1=11
             link 2=12"
        )
    };
    let parking = "target 19 Parking parking : dee";
    check(
        &deleted("parking=19", parking),
        "add to Writers: cy\ndelete Editors",
    );
    check(
        &deleted("parking=19 max_membership_removals=2", parking),
        "add to Writers: cy\ndelete Editors\nrefused max_membership_removals 3 of 3, 2",
    );
    check(
        &deleted("", ""),
        "! group Editors 11 other_group\n! membership Writers cy other_group",
    );
}

#[test]
fn the_parking_group_is_nobodys_partner() {
    check(
        "set seats=yes parking=19 mode=mirror missing=delete measure=1/1
         source 1 Parking : ana
         target 19 Parking parking : bo
         target 11 Editors : ana",
        "! group Parking 19 target_refused",
    );
    check(
        "set seats=yes parking=19 mode=mirror missing=delete measure=1/1
         target 19 Parking parking : bo
         link 7=19",
        "",
    );
    check(
        "set include=id:5,* measure=1/1
         source 5 Parking parking : ana
         target 11 Editors",
        "",
    );
}

#[test]
fn what_somebody_moved_at_the_target_is_moved_back_only_from_the_parking_group() {
    let moved =
        |settings: &str, target: [&str; 3]| world(settings, ["ana", ""], target, "base 11 : ana+");
    check(
        &moved("mode=managed drift=overwrite", ["", "", "ana"]),
        "add to Editors: ana",
    );
    check(
        &moved("mode=managed drift=keep", ["", "", "ana"]),
        "- Editors ana removed_at_target",
    );
    check(
        &moved("mode=managed drift=overwrite", ["", "ana", ""]),
        "! membership Editors ana other_group",
    );
    check(
        &moved("mode=mirror drift=overwrite", ["", "ana", ""]),
        "add to Editors: ana",
    );
}

#[test]
fn whoever_is_wanted_elsewhere_and_held_back_there_for_good_is_parked() {
    // Writers refused ana once, so she will not get there.
    check(
        &world(
            "mode=managed",
            ["", "ana"],
            ["ana", "", ""],
            "base 11 : ana+\nbar 12 : ana",
        ),
        "remove from Editors: ana\n- Writers ana opted_out_at_source",
    );
    // A refusal of the provider may pass, and until then she stays.
    check(
        &world(
            "mode=managed",
            ["", "ana"],
            ["ana", "", ""],
            "base 11 : ana+\nresting add_memberships 12 ana@example.org",
        ),
        "! membership Writers ana value_refused",
    );
    check(
        "set seats=yes parking=19 mode=managed adopt=never measure=2/2
         source 1 Editors
         source 2 Writers : ana
         target 11 Editors : ana
         target 12 Writers
         target 19 Parking parking
         link 1=11
         base 11 : ana+",
        "! group Writers 2 name_taken",
    );
}

#[test]
fn a_group_that_one_of_several_rows_refuses_asks_for_nobody() {
    // Whichever row comes last, the person is wanted in one group only and refuses the other.
    for rows in ["ana=opted_out ana#2", "ana ana#2=opted_out"] {
        check(
            &world("", [rows, "ana"], ["", "", "ana"], ""),
            "add to Writers: ana
             - Editors ana opted_out_at_source
             lost 1 group opt-out",
        );
    }
}

#[test]
fn nobody_is_parked_because_nobody_can_tell_who_counts() {
    for mode in ["managed", "mirror"] {
        check(
            &world(
                &format!("mode={mode}"),
                ["", "ana"],
                ["ana", "", ""],
                "base 11 : ana+\nundecided",
            ),
            "! member crm incomplete_read",
        );
    }
}
