//! Limits, with the numbers they say.

use super::check;

/// Ten people at the target, of whom the source has lost `lost`.
fn leaving(settings: &str, lost: usize) -> String {
    let people = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let brought: Vec<String> = people.iter().map(|name| format!("{name}+")).collect();
    format!(
        "set {settings}
         source 1 Donors ext=d : {}
         target 11 Donors ext=d : {}
         link 1=11
         base 11 : {}",
        people[lost..].join(" "),
        people.join(" "),
        brought.join(" ")
    )
}

fn refusals(world: &str) -> String {
    super::parse(world).planned(|inputs, plan| {
        let text = super::render(inputs, plan);
        text.lines()
            .filter(|line| line.starts_with("refused"))
            .collect::<Vec<_>>()
            .join("\n")
    })
}

#[test]
fn a_share_is_of_the_active_memberships_of_linked_groups() {
    assert_eq!(
        refusals(&leaving("max_membership_removals=20%", 2)),
        "",
        "exactly the limit passes"
    );
    assert_eq!(
        refusals(&leaving("max_membership_removals=20%", 3)),
        "refused max_membership_removals 3 of 10, 20%"
    );
}

#[test]
fn groups_are_made_where_nothing_is_seen_only_with_an_approval() {
    let world = "source 1 Donors : ana\nsource 2 News : ana";
    assert_eq!(refusals(world), "");
    assert_eq!(
        refusals(&format!("{world}\nunseen")),
        "refused unseen_groups 2 of 0, none"
    );
    assert_eq!(refusals("unseen"), "", "nothing is made");
}

#[test]
fn a_share_is_not_judged_below_the_floor_and_a_count_is() {
    assert_eq!(
        refusals(&leaving("max_membership_removals=10% floor=4", 3)),
        ""
    );
    assert_eq!(
        refusals(&leaving("max_membership_removals=10%+2 floor=4", 3)),
        "refused max_membership_removals 3 of 10, 2"
    );
    assert_eq!(
        refusals(&leaving("max_membership_removals=10%+2 floor=3", 2)),
        "",
        "neither the count nor a share below the floor"
    );
}

#[test]
fn zero_means_none_at_all() {
    assert_eq!(refusals(&leaving("max_membership_removals=0", 0)), "");
    assert_eq!(
        refusals(&leaving("max_membership_removals=0", 1)),
        "refused max_membership_removals 1 of 10, 0"
    );
}

#[test]
fn each_group_is_judged_by_its_own_numbers() {
    assert_eq!(
        refusals(&leaving("max_membership_removals_per_group=50%", 6)),
        "refused max_membership_removals_per_group Donors 6 of 10, 50%"
    );
    assert_eq!(
        refusals(&leaving("max_membership_removals_per_group=50%", 5)),
        ""
    );
}

#[test]
fn an_empty_source_stops_what_it_would_remove() {
    assert_eq!(
        refusals(&leaving("mode=managed", 10)),
        "refused empty_source 10 of 10, half"
    );
    assert_eq!(
        refusals(&leaving("mode=add", 10)),
        "",
        "nothing would be removed"
    );
}

#[test]
fn a_source_that_shrank_by_more_than_half_stops_removals() {
    assert_eq!(
        refusals(&leaving("measure=1/10", 6)),
        "refused source_shrank 6 of 10, half"
    );
    assert_eq!(
        refusals(&leaving("measure=1/10", 5)),
        "",
        "half is not more than half"
    );
    assert_eq!(
        refusals(&leaving("measure=3/5", 5)),
        "refused source_shrank 5 of 3, half",
        "groups count as well"
    );
}

#[test]
fn a_first_mirror_with_a_fuller_target_looks_like_the_wrong_direction() {
    let world = "set mode=mirror
         source 1 Donors ext=d : ana
         target 11 Donors ext=d : ana bo
         link 1=11";
    check(
        world,
        "remove from Donors: bo\nrefused target_fuller 1 of 2, half",
    );
    check(
        &format!("{world}\nset measure=1/1"),
        "remove from Donors: bo",
    );
}

#[test]
fn opt_outs_are_judged_once_there_is_a_base_unless_a_person_confirmed() {
    let world = "set max_opt_outs=0
         source 1 Donors ext=d : ana=opted_out
         target 11 Donors ext=d : ana
         link 1=11";
    check(
        world,
        "opt out of Donors: ana
         - Donors ana opted_out_at_source
         refused max_opt_outs 1 of 1, 0",
    );
    check(
        &format!("{world}\nset confirmed=yes"),
        "opt out of Donors: ana\n- Donors ana opted_out_at_source",
    );
    check(
        "set max_opt_outs=0
         source 1 Donors ext=d : ana=opted_out
         target 11 Donors ext=d : ana",
        "opt out of Donors: ana
         adopt Donors
         - Donors ana opted_out_at_source",
    );
    // What a first run left behind that was interrupted is no measure of the larger part of it; of a
    // smaller one it is.
    check(
        &format!("{world}\nset first_run_open=yes"),
        "opt out of Donors: ana
         - Donors ana opted_out_at_source
         refused max_opt_outs 1 of 1, 0",
    );
    check(
        &format!("{world}\nset first_run_open=yes").replace("ana=opted_out", "ana=opted_out bo"),
        "opt out of Donors: ana
         create people: bo
         add to Donors: bo
         - Donors ana opted_out_at_source",
    );
}

/// Ana refuses a group and Bo all mail, and the target knows neither: both are created for it.
const CREATED_TO_REFUSE: &str = "source 1 Donors ext=d : ana=opted_out bo
     person source bo opted_out
     target 11 Donors ext=d : cy
     link 1=11";

#[test]
fn refusals_of_people_who_are_created_for_them_count_as_refusals() {
    // With lists, people are created by the request that writes the refusal.
    for settings in ["create_opted_out=no", "create_opted_out=yes", "lists=yes"] {
        let limited = |most| {
            refusals(&format!(
                "set {settings} max_opt_outs={most}\n{CREATED_TO_REFUSE}"
            ))
        };
        assert_eq!(limited(1), "refused max_opt_outs 2 of 1, 1", "{settings}");
        assert_eq!(limited(2), "", "{settings}");
    }
}

#[test]
fn people_who_are_created_to_hold_a_refusal_count_as_created() {
    assert_eq!(
        refusals(&format!("set max_member_creations=1\n{CREATED_TO_REFUSE}")),
        "refused max_member_creations 2 of 1, 1"
    );
}

#[test]
fn a_summary_counts_refusals_and_the_people_who_are_created_for_them() {
    for settings in ["create_opted_out=no", "create_opted_out=yes", "lists=yes"] {
        let world = super::parse(&format!("set {settings}\n{CREATED_TO_REFUSE}"));
        let counted =
            world.planned(|_, plan| (plan.summary.opt_outs, plan.summary.members_created));
        assert_eq!(counted, (2, 2), "{settings}");
    }
}

#[test]
fn an_approval_of_refusals_names_those_of_people_who_are_created_for_them() {
    let world = super::parse(&format!("set max_opt_outs=0\n{CREATED_TO_REFUSE}"));
    let items = world.planned(|_, plan| plan.tripped.clone());
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    assert_eq!(
        items,
        [
            "set_opt_out  bo@example.org",
            "set_opt_out 11 ana@example.org"
        ]
    );
}

#[test]
fn groups_people_and_updates_have_limits_of_their_own() {
    check(
        "set missing=delete max_group_removals=0
         source 2 Fans ext=f : ana
         target 11 Donors
         target 12 Fans ext=f : ana
         link 1=11
         link 2=12
         base 12 : ana",
        "delete Donors
         refused max_group_removals 1 of 2, 0",
    );
    check(
        "set max_member_creations=1
         source 1 Donors ext=d : ana bo
         target 11 Donors ext=d
         link 1=11",
        "create people: ana bo
         add to Donors: ana bo
         refused max_member_creations 2 of 0, 1",
    );
    check(
        "set max_updates=0
         target 11 Donors ext=d
         link 1=11
         source 1 Donors ext=d notes=n",
        "update Donors: notes=n
         refused max_updates 1 of 0, 0",
    );
}

#[test]
fn one_approval_covers_all_refusals_and_changes_with_what_it_covers() {
    let approvals = |lost| {
        let world = super::parse(&leaving(
            "max_membership_removals=0 max_membership_removals_per_group=0",
            lost,
        ));
        world.planned(|_, plan| {
            plan.refusals
                .iter()
                .map(|refusal| refusal.approval.clone())
                .collect::<Vec<_>>()
        })
    };
    let (two, again, three) = (approvals(2), approvals(2), approvals(3));
    assert_eq!(two, again);
    assert_eq!(two.len(), 2);
    assert_eq!(two[0], two[1]);
    assert_ne!(two[0], three[0]);
}

#[test]
fn people_without_an_address_count_one_each() {
    // Thirty at the target, of whom ten are known by their record and the rest by nothing but their
    // contact, whose ids another account gives to others as well.
    let people: Vec<String> = (0..30).map(|number| format!("p{number}")).collect();
    let nameless: Vec<String> = people
        .iter()
        .map(|name| format!("person target {name} address="))
        .collect();
    let world = format!(
        "set mode=mirror measure=1/1 max_membership_removals=29
         source 1 Donors ext=d : ana
         target 11 Donors ext=d : ana {}
         {}
         link 1=11",
        people.join(" "),
        nameless.join("\n")
    );
    assert_eq!(
        refusals(&world),
        "refused max_membership_removals 30 of 31, 29"
    );
    assert_eq!(refusals(&world.replace("=29", "=30")), "");
}

#[test]
fn an_incomplete_reading_is_never_the_measure() {
    let measured = |world: &str| super::parse(world).planned(|_, plan| plan.measured);
    let two = "source 2 Fans ext=f : bo";
    for (settings, expected) in [
        ("source 1 Donors ext=d : ana", true),
        ("source 1 Donors ext=d incomplete : ana", false),
        ("source 1 Donors ext=d opt_outs_incomplete : ana", false),
        ("source 1 Donors ext=d unlisted : ana", false),
        (
            "source 1 Donors ext=d : ana\nsource groups_incomplete",
            false,
        ),
        // What is not in scope is not measured.
        (
            "source 1 Donors ext=d incomplete : ana\nset exclude=Donors",
            true,
        ),
        // Nor is the target.
        (
            "source 1 Donors ext=d : ana\ntarget 11 Donors ext=d incomplete : ana\nlink 1=11",
            true,
        ),
    ] {
        assert_eq!(
            measured(&format!("{settings}\n{two}")),
            expected,
            "{settings}"
        );
    }
}

#[test]
fn a_job_that_is_switched_to_mirror_is_judged_as_a_first_run() {
    let world = "set mode=mirror measure=1/1 unmirrored=yes
         source 1 Donors ext=d : ana
         target 11 Donors ext=d : ana bo
         link 1=11";
    assert_eq!(refusals(world), "refused target_fuller 1 of 2, half");
    assert_eq!(refusals(&world.replace(" unmirrored=yes", "")), "");
}

/// What an approval of the refusals of a world covers.
fn covered(world: &str) -> (std::collections::BTreeSet<String>, String) {
    super::parse(world).planned(|_, plan| {
        let approval = plan
            .refusals
            .first()
            .map(|refusal| refusal.approval.clone());
        (plan.tripped.clone(), approval.unwrap_or_default())
    })
}

#[test]
fn an_approval_of_a_value_covers_no_other_value() {
    let renamed = |name: &str, notes: &str| {
        format!(
            "set max_updates=0
             target 11 Donors ext=d
             link 1=11
             source 1 {name} ext=d{notes}"
        )
    };
    let (first, first_id) = covered(&renamed("Friends", ""));
    let (again, again_id) = covered(&renamed("Friends", ""));
    assert_eq!((&first, &first_id), (&again, &again_id));
    let (other, other_id) = covered(&renamed("Enemies", ""));
    assert!(!other.is_subset(&first), "{other:?} {first:?}");
    assert_ne!(first_id, other_id);
    // The rename alone is part of a rename with notes.
    let (more, _) = covered(&renamed("Friends", " notes=n"));
    assert!(first.is_subset(&more) && !more.is_subset(&first));
}

#[test]
fn an_approval_of_suspicious_removals_covers_removals_and_overwrites_alone() {
    let (covered, _) = covered(&format!(
        "{}\nsource 2 Fans : zoe",
        leaving("mode=managed measure=1/30", 10)
    ));
    assert_eq!(covered.len(), 10, "{covered:?}");
    assert!(
        covered
            .iter()
            .all(|item| item.starts_with("remove_memberships 11 ")),
        "{covered:?}"
    );
}

#[test]
fn removals_that_stand_in_for_refusals_wait_as_refusals_do() {
    let world = "set group_opt_out=no max_member_creations=0
         source 1 Donors ext=d : ana=opted_out bo=opted_out cy=opted_out dee
         target 11 Donors ext=d : ana bo cy
         link 1=11
         base 11 : ana+ bo+ cy+";
    let waiting = |world: &str| {
        super::parse(world).planned(|_, plan| {
            (
                plan.refusals.len(),
                plan.summary.opt_outs,
                plan.summary.memberships_removed,
                plan.waiting_opt_outs,
            )
        })
    };
    assert_eq!(waiting(world), (1, 0, 3, 3));
    assert_eq!(
        waiting(&world.replace("group_opt_out=no", "group_opt_out=yes")),
        (1, 3, 0, 3)
    );
}

#[test]
fn one_record_that_nobody_can_place_makes_up_for_nobody() {
    // It is listed in every group, as one who has not confirmed.
    let emptied = |unreadable: &str| {
        refusals(&format!(
            "set mode=managed
             source 1 Donors ext=d : odd=unconfirmed
             source 2 Friends ext=f : odd=unconfirmed
             person source odd {unreadable}
             target 11 Donors ext=d : ana bo
             target 12 Friends ext=f : cy
             link 1=11 2=12
             base 11 : ana+ bo+
             base 12 : cy+"
        ))
    };
    assert_eq!(emptied(""), "refused empty_source 3 of 3, half");
    assert_eq!(emptied("unreadable"), emptied(""));
    let reversed = |unreadable: &str| {
        refusals(&format!(
            "set mode=mirror
             source 1 Donors ext=d : odd=unconfirmed
             source 2 Friends ext=f : odd=unconfirmed
             person source odd {unreadable}
             target 11 Donors ext=d : ana bo
             target 12 Friends ext=f :
             link 1=11 2=12"
        ))
    };
    assert_eq!(reversed(""), "refused target_fuller 2 of 2, half");
    assert_eq!(reversed("unreadable"), reversed(""));
}

#[test]
fn one_record_that_nobody_can_place_stands_against_nobody() {
    // Both sides hold the same, but for what can't be read of one record; somebody else leaves.
    let same = |odd: &str, unreadable: &str| {
        refusals(&format!(
            "set mode=mirror
             source 1 Donors ext=d : ana odd={odd}
             source 2 Friends ext=f : cy
             person source odd {unreadable}
             target 11 Donors ext=d : ana odd
             target 12 Friends ext=f : bo
             link 1=11 2=12"
        ))
    };
    assert_eq!(same("active", ""), "");
    assert_eq!(same("unconfirmed", "unreadable"), "");
    assert_eq!(
        same("unconfirmed", ""),
        "refused target_fuller 1 of 3, half",
        "who is known not to have confirmed is not there"
    );
    // Nobody is known to have been there but the odd record.
    let emptied = |known: &str| {
        refusals(&format!(
            "set mode=mirror measure=1/0
             source 1 Donors ext=d : odd=unconfirmed
             person source odd unreadable
             target 11 Donors ext=d : odd bo
             link 1=11
             base 11 : {known}"
        ))
    };
    assert_eq!(emptied("odd+"), "");
    assert_eq!(emptied("odd+ bo+"), "refused empty_source 1 of 1, half");
}

#[test]
fn one_record_that_nobody_can_place_sets_no_measure_that_a_healthy_run_fails() {
    let world = |unreadable: &str| {
        format!(
            "set mode=managed
             source 1 Donors ext=d : ana odd=unconfirmed
             source 2 Friends ext=f : odd=unconfirmed
             source 3 Guests ext=g : odd=unconfirmed
             person source odd {unreadable}
             target 11 Donors ext=d : ana
             target 12 Friends ext=f :
             target 13 Guests ext=g :
             link 1=11 2=12 3=13
             base 11 : ana+"
        )
    };
    let measure = |unreadable| {
        super::parse(&world(unreadable)).planned(|_, plan| (plan.measured, plan.measure))
    };
    assert_eq!(measure("unreadable"), measure(""));
}
