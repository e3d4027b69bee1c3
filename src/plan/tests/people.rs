//! Who is who, and what happens to a person as a whole.

use super::check;
use super::text::parse;
use crate::plan::What;

const PAIR: &str = "source 1 Donors ext=d : ana
         target 11 Donors ext=d
         link 1=11";

fn with(more: &str) -> String {
    format!("{PAIR}\n{more}")
}

#[test]
fn an_address_is_one_person_whatever_its_spelling() {
    check(
        &with("person target ana address=Ana@EXAMPLE.org"),
        "add to Donors: ana",
    );
}

#[test]
fn two_contacts_with_one_address_at_the_target_block_additions_and_take_opt_outs() {
    check(
        &with("person target ana\nperson target ana#2"),
        "! membership Donors ana two_candidates",
    );
    check(
        "source 1 Donors ext=d : ana=opted_out
         person source ana opted_out
         target 11 Donors ext=d : ana ana#2
         link 1=11",
        "opt out of *: ana
         opt out of Donors: ana
         - Donors ana opted_out_at_source",
    );
}

#[test]
fn the_strictest_of_several_rows_at_the_source_counts() {
    check(
        "source 1 Donors ext=d : ana ana#2=opted_out
         target 11 Donors ext=d
         link 1=11
         person target ana",
        "opt out of Donors: ana
         - Donors ana opted_out_at_source",
    );
}

#[test]
fn a_person_without_an_address_is_withheld_and_one_with_a_broken_address_blocked_once() {
    let world = "source 1 Donors ext=d : ana
         source 2 Fans ext=f : ana
         person source ana address=
         target 11 Donors ext=d
         target 12 Fans ext=f
         link 1=11
         link 2=12";
    check(
        world,
        "- Donors  no_address
         - Fans  no_address",
    );
    let broken = world.replace("address=", "address=ana(at)example.org");
    check(&broken, "! member ana(at)example.org s.ana bad_address");
    // Both can be left out by `where`.
    for world in [world, &broken] {
        check(&format!("left_out_records s.ana\n{world}"), "");
    }
}

#[test]
fn a_change_of_address_moves_the_linked_contact() {
    check(
        "source 1 Donors ext=d : ana
         person source ana address=anna@example.org
         target 11 Donors ext=d : ana
         link 1=11
         base 11 : ana+",
        "address ana@example.org to anna@example.org",
    );
}

#[test]
fn an_address_that_belongs_to_somebody_else_is_not_taken() {
    check(
        "source 1 Donors ext=d : ana
         person source ana address=anna@example.org
         target 11 Donors ext=d : ana
         person target anna
         link 1=11
         base 11 : ana+",
        "! member anna address_taken",
    );
}

#[test]
fn a_refusal_follows_the_person_through_a_change_of_address() {
    check(
        "source 1 Donors ext=d : ana
         person source ana address=anna@example.org
         target 11 Donors ext=d
         person target ana
         link 1=11
         known ana
         bar 11 : ana",
        "address ana@example.org to anna@example.org
         - Donors anna opted_out_at_source",
    );
}

#[test]
fn nobody_becomes_reachable_under_an_address_that_refused() {
    check(
        "source 1 Donors ext=d : ana
         person source ana address=anna@example.org
         target 11 Donors ext=d : ana
         link 1=11
         base 11 : ana+
         bar * : anna",
        "! member anna address_taken",
    );
}

#[test]
fn two_people_who_shared_a_contact_part_without_taking_it_from_each_other() {
    let shared = "source 1 Donors ext=d : ana ana#2
         person source ana#2 address=bo@example.org
         target 11 Donors ext=d : ana";
    let known = "link 1=11\nbase 11 : ana+";
    let world = |shared: &str| {
        let mut world = super::parse(&format!("{shared}\n{known}"));
        let link = world.memory.members["s.ana"].clone();
        world.memory.members.insert("s.ana#2".to_owned(), link);
        world.planned(super::render)
    };
    assert_eq!(world(shared), "create people: bo\nadd to Donors: bo");
    assert_eq!(
        world(&shared.replace("11 Donors ext=d : ana", "11 Donors ext=d : ana=opted_out"))
            .matches("opted_out_at_target")
            .count(),
        2
    );
    assert_eq!(
        world(&format!("{shared}\nperson target ana opted_out")),
        "- Donors bo opted_out_at_target"
    );
}

#[test]
fn of_two_people_who_shared_a_contact_the_one_who_kept_the_address_keeps_the_contact() {
    // Whichever of the two has moved on, the contact goes by its address and not by the lower id.
    for (moved, stays) in [("ana", "ana#2"), ("ana#2", "ana")] {
        for backwards in [false, true] {
            let plan = |more: &str| {
                let mut world = parse(&format!(
                    "source 1 Donors ext=d : ana ana#2
                     person source {moved} address=bo@example.org
                     target 11 Donors ext=d : ana
                     link 1=11
                     base 11 : ana+
                     {more}"
                ));
                world.backwards = backwards;
                let link = world.memory.members["s.ana"].clone();
                world.memory.members.insert("s.ana#2".to_owned(), link);
                world.planned(super::render)
            };
            let place = format!("{moved} moved, {stays} stays, backwards: {backwards}");
            assert_eq!(plan(""), "create people: bo\nadd to Donors: bo", "{place}");
            assert_eq!(
                plan(&format!("person source {stays} opted_out")),
                "opt out of *: ana
create people: bo
add to Donors: bo
- Donors ana opted_out_at_source",
                "{place}: a refusal is written to the contact of who refuses"
            );
        }
    }
}

#[test]
fn of_two_people_who_both_left_an_address_the_first_one_takes_the_contact_along() {
    let mut world = parse(
        "source 1 Donors ext=d : ana ana#2
         person source ana address=bo@example.org
         person source ana#2 address=cy@example.org
         target 11 Donors ext=d : ana
         link 1=11
         base 11 : ana+",
    );
    let link = world.memory.members["s.ana"].clone();
    world.memory.members.insert("s.ana#2".to_owned(), link);
    assert_eq!(
        world.planned(super::render),
        "address ana@example.org to bo@example.org\ncreate people: cy\nadd to Donors: cy"
    );
}

#[test]
fn whoever_holds_the_address_at_the_target_speaks_for_its_consent() {
    // The contact is somebody else's by a link, and has refused under the address that is Ana's at
    // the source.
    let plan = parse(
        "source 1 Donors ext=d : ana
         source 2 Fans ext=f : bo
         target 11 Donors ext=d
         target 12 Fans ext=f
         link 1=11
         link 2=12
         known bo
         person target bo opted_out address=ana@example.org",
    )
    .planned(super::render);
    assert!(plan.contains("- Donors ana opted_out_at_target"), "{plan}");
}

#[test]
fn an_erased_person_is_not_created_again() {
    check(&with("known ana"), "! membership Donors ana gone_at_target");
    check(
        &with("removed_by_us ana"),
        "create people: ana\nadd to Donors: ana",
    );
}

#[test]
fn nobody_is_created_who_may_exist_or_where_creating_is_off() {
    check(
        &with("target existence_unknown"),
        "! membership Donors ana incomplete_read",
    );
    check(&with("set create=no"), "- Donors ana no_contact");
}

#[test]
fn whoever_has_no_contact_is_created_to_hold_a_refusal() {
    check(
        "source 1 Donors ext=d : ana=opted_out bo
         person source bo opted_out
         target 11 Donors ext=d
         link 1=11",
        "create people to opt out: ana bo
         opt out of * (new): bo
         opt out of Donors (new): ana
         - Donors ana opted_out_at_source
         - Donors bo opted_out_at_source",
    );
    check(
        "set create=no
         source 1 Donors ext=d : ana=opted_out
         target 11 Donors ext=d
         link 1=11",
        "- Donors ana opted_out_at_source",
    );
}

#[test]
fn opt_outs_are_carried_before_anybody_is_added() {
    check(
        "source 1 Donors ext=d : ana bo=opted_out cy
         person source cy opted_out
         target 11 Donors ext=d : bo cy
         link 1=11",
        "opt out of *: cy
         opt out of Donors: bo
         create people: ana
         add to Donors: ana
         - Donors bo opted_out_at_source
         - Donors cy opted_out_at_source",
    );
}

#[test]
fn an_opt_out_of_a_group_that_is_yet_to_be_created_waits_for_it() {
    check(
        "source 1 Donors : ana=opted_out
         person target ana",
        "create Donors: ext=rosterd:crm:1 title=Donors
         opt out of Donors (new): ana
         - Donors ana opted_out_at_source",
    );
}

#[test]
fn an_opt_out_that_the_target_cannot_hold_takes_the_person_out() {
    for mode in ["add", "managed", "mirror"] {
        check(
            &format!(
                "set group_opt_out=no mode={mode} measure=1/0
                 source 1 Donors ext=d : ana=opted_out
                 target 11 Donors ext=d : ana
                 link 1=11"
            ),
            "remove from Donors: ana
             - Donors ana opted_out_at_source
             lost 1 group opt-out",
        );
    }
}

#[test]
fn where_hides_people_and_never_a_refusal() {
    check(
        "left_out ana bo
         source 1 Donors ext=d : ana bo=opted_out
         target 11 Donors ext=d
         person target bo
         link 1=11",
        "opt out of Donors: bo",
    );
}

#[test]
fn whoever_no_longer_counts_leaves_as_if_gone_from_the_source() {
    check(
        "left_out ana
         source 1 Donors ext=d : ana
         target 11 Donors ext=d : ana
         link 1=11
         base 11 : ana+",
        "remove from Donors: ana",
    );
}

#[test]
fn what_was_refused_waits_for_its_time() {
    check(
        &with("resting add_memberships 11 ana@example.org"),
        "! membership Donors ana value_refused",
    );
    check(
        "source 1 Donors ext=d : ana
         person source ana opted_out
         target 11 Donors ext=d : ana
         link 1=11
         resting set_opt_out  ana@example.org",
        "- Donors ana opted_out_at_source
         ! member ana value_refused",
    );
}

#[test]
fn a_refusal_of_a_group_waits_for_its_time_and_is_listed() {
    let world = "source 1 Donors ext=d : ana=opted_out
         source 2 Fans ext=f : ana=opted_out
         target 11 Donors ext=d : ana
         target 12 Fans ext=f : ana
         link 1=11
         link 2=12";
    check(
        &format!("{world}\nresting set_opt_out 11 ana@example.org"),
        "opt out of Fans: ana
         - Donors ana opted_out_at_source
         - Fans ana opted_out_at_source
         ! membership Donors ana value_refused",
    );
    check(
        &format!("{world}\nset group_opt_out=no\nresting remove_memberships 11 ana@example.org"),
        "remove from Fans: ana
         - Donors ana opted_out_at_source
         - Fans ana opted_out_at_source
         ! membership Donors ana value_refused
         lost 2 group opt-out",
    );
    // Whoever has no contact yet is created to hold it, and waits where that was refused.
    check(
        "source 1 Donors ext=d : ana=opted_out
         target 11 Donors ext=d
         link 1=11
         resting create_members  ana@example.org",
        "- Donors ana opted_out_at_source
         ! member ana value_refused",
    );
}

#[test]
fn where_nobody_can_tell_who_counts_refusals_and_departures_go_on() {
    let world = "source 1 Donors ext=d : ana cy=opted_out dee
         edited dee
         target 11 Donors ext=d : bo cy dee
         link 1=11
         base 11 : bo+ cy+ dee+";
    check(
        world,
        "opt out of Donors: cy
         update dee: city=Rome
         create people: ana
         add to Donors: ana
         remove from Donors: bo
         - Donors cy opted_out_at_source",
    );
    check(
        &format!("{world}\nundecided"),
        "opt out of Donors: cy
         remove from Donors: bo
         ! member crm incomplete_read",
    );
}

#[test]
fn what_rests_is_the_item_that_was_refused() {
    let said = |world: &str| {
        parse(world).planned(|_, plan| {
            let items = plan.blocked.iter().map(|item| (item.what, item.item()));
            (plan.operations.len(), items.collect::<Vec<_>>())
        })
    };
    let once = |what| vec![(what, "0ff1ce00".to_owned())];
    // The name of a group, the words that lead the provider's: neither tells an item apart.
    assert_eq!(
        said("source 1 Donors ext=d\nresting create_group Donors"),
        (0, once(What::Group))
    );
    assert_eq!(
        said("source 1 Donors ext=e\ntarget 11 Sponsors ext=d\nlink 1=11\nresting rename_group 11"),
        (0, once(What::Group))
    );
    assert_eq!(
        said(&with("resting add_memberships 11 ana@example.org")),
        (0, once(What::Membership))
    );
    // Another one of the kind is not held back.
    assert_eq!(
        said("new_field Level\nnew_field Region\nresting create_field Level"),
        (1, once(What::Field))
    );
}

#[test]
fn a_refusal_of_a_group_that_waits_is_not_taken_for_a_departure() {
    check(
        "source 1 Donors ext=d
         target 11 Donors ext=d : ana
         link 1=11
         base 11 : ana+
         bar 11 : ana
         resting set_opt_out 11 ana@example.org",
        "! membership Donors ana value_refused",
    );
}

#[test]
fn whoever_refuses_and_is_mailed_all_the_same_keeps_the_old_address() {
    check(
        "set opt_outs=skip mode=add
         source 1 Donors ext=d : ana
         person source ana opted_out address=anna@example.org
         target 11 Donors ext=d : ana
         link 1=11
         base 11 : ana+",
        "- Donors anna opted_out_at_source
         ! member anna address_taken",
    );
    // Also where somebody else waits for the old one.
    check(
        "set opt_outs=skip mode=add
         source 1 Donors ext=d : ana bo
         person source ana opted_out address=anna@example.org
         person source bo address=ana@example.org
         target 11 Donors ext=d : ana bo
         link 1=11
         base 11 : ana+ bo+",
        "- Donors anna opted_out_at_source
         ! member ana address_taken
         ! member anna address_taken",
    );
}

#[test]
fn a_refusal_that_never_reached_the_target_follows_a_change_of_address() {
    let facts = "source 1 Donors ext=d : ana
         person source ana address=anna@example.org
         target 11 Donors ext=d : ana
         link 1=11
         base 11 : ana+";
    let plan = |bar: &str| super::parse(&format!("{facts}\n{bar}")).planned(super::render);
    let moves = "address ana@example.org to anna@example.org";
    assert_eq!(plan("bar * : ana"), format!("opt out of *: anna\n{moves}"));
    assert_eq!(
        plan("bar 11 : ana"),
        format!("opt out of Donors: anna\n{moves}")
    );
    assert_eq!(
        plan("held_bar * : ana"),
        moves,
        "the contact obeyed once and is active by the person's own wish"
    );
    assert_eq!(
        plan("held_bar * : anna"),
        "! member anna address_taken",
        "that was somebody else's refusal"
    );
}

#[test]
fn a_refusal_that_never_reached_the_target_is_carried_to_every_contact() {
    check(
        "source 1 Donors ext=d : ana
         target 11 Donors ext=d : ana=opted_out ana#2
         person target ana opted_out
         link 1=11
         bar 11 : ana
         bar * : ana",
        "opt out of *: ana
         opt out of Donors: ana
         - Donors ana opted_out_at_target",
    );
}

#[test]
fn a_refusal_that_never_reached_the_target_outlives_the_person_at_the_source() {
    check(
        "source 1 Donors ext=d : bo
         target 11 Donors ext=d : ana bo
         link 1=11
         known ana
         bar * : ana",
        "opt out of *: ana",
    );
    check(
        "source 1 Donors ext=d : bo
         target 11 Donors ext=d : ana bo
         link 1=11
         bar 11 : ana
         bar * : ana",
        "opt out of Donors: ana",
    );
}

#[test]
fn who_is_created_to_refuse_one_group_refuses_all_mail_as_well_where_that_is_due() {
    check(
        "source 1 Donors ext=d : ana=opted_out
         target 11 Donors ext=d
         link 1=11
         bar * : ana",
        "create people to opt out: ana
         opt out of * (new): ana
         opt out of Donors (new): ana
         - Donors ana opted_out_at_source",
    );
}

/// One list, and somebody who is active there after a refusal of all mail that the target obeyed.
const BACK_ON_A_LIST: &str = "set lists=yes
         source 1 Donors ext=d : ana
         target 11 Donors ext=d : ana
         link 1=11
         known ana
         held_bar * : ana";

#[test]
fn what_another_job_does_ends_no_refusal_of_all_mail() {
    let ends = |more: &str| {
        let world = parse(&format!("{BACK_ON_A_LIST}\n{more}"));
        world.planned(|_, plan| !plan.agreement.ended_bars.is_empty())
    };
    assert!(ends(""), "the person came back");
    assert!(
        ends("target 12 Friends ext=f : bo\nset other_job_fills=12"),
        "the other list was read and says nothing of the person"
    );
    assert!(
        ends("target 12 Friends ext=f : ana\nset other_job_fills=12"),
        "the person came back there as well"
    );
    assert!(
        !ends("set other_job_fills=12"),
        "a list that was not read may hold the refusal"
    );
    assert!(!ends(
        "target 12 Friends ext=f unlisted : ana\nset other_job_fills=12"
    ));
    assert!(!ends(
        "target 12 Friends ext=f incomplete : ana\nset other_job_fills=12"
    ));
    assert!(!ends(
        "target 12 Friends ext=f : ana=opted_out\nset other_job_fills=12"
    ));
    assert!(!ends("others 11 : ana"), "another job put the person there");
}

#[test]
fn a_refusal_of_all_mail_is_obeyed_once_every_list_shows_it() {
    let obeyed = |first: &str, second: &str, more: &str| {
        let world = parse(&format!(
            "set lists=yes
             source 1 Donors ext=d : ana
             source 2 Friends ext=f : ana
             person source ana opted_out
             target 11 Donors ext=d : {first}
             target 12 Friends ext=f : {second}
             link 1=11
             link 2=12
             known ana
             bar * : ana
             {more}"
        ));
        world.planned(|_, plan| {
            plan.agreement
                .held_bars
                .iter()
                .any(|(group, _)| group.is_none())
        })
    };
    let waits = "resting set_opt_out 12 ana@example.org";
    assert!(obeyed("ana=opted_out", "ana=opted_out", ""));
    assert!(
        obeyed("ana=opted_out", "ana=opted_out", "own 12 : ana"),
        "rosterd's own removal"
    );
    assert!(
        !obeyed("ana=opted_out", "ana", ""),
        "it is written to the second list now"
    );
    assert!(
        !obeyed("ana=opted_out", "ana", waits),
        "the second list did not take it"
    );
    assert!(!obeyed("ana=opted_out", "", waits));
    assert!(
        !obeyed("ana=opted_out", "", ""),
        "a list that does not show the person"
    );
}
