//! Names that move between linked groups.

use super::check;

#[test]
fn a_rename_is_an_update_of_the_linked_group() {
    check(
        "target 11 Donors ext=rosterd:crm:1
         link 1=11
         source 1 Supporters",
        "rename Donors to Supporters",
    );
}

#[test]
fn a_swap_steps_aside_once() {
    check(
        "target 11 A ext=rosterd:crm:1
         target 12 B ext=rosterd:crm:2
         link 1=11
         link 2=12
         source 1 B
         source 2 A",
        "rename A to B via B (renaming)
         rename B to A",
    );
}

#[test]
fn a_chain_is_sent_from_its_free_end() {
    check(
        "target 11 A ext=rosterd:crm:1
         target 12 B ext=rosterd:crm:2
         target 13 C ext=rosterd:crm:3
         link 1=11
         link 2=12
         link 3=13
         source 1 B
         source 2 C
         source 3 D",
        "rename C to D
         rename B to C
         rename A to B",
    );
}

#[test]
fn a_ring_of_three_steps_aside_once() {
    check(
        "target 11 A ext=rosterd:crm:1
         target 12 B ext=rosterd:crm:2
         target 13 C ext=rosterd:crm:3
         link 1=11
         link 2=12
         link 3=13
         source 1 B
         source 2 C
         source 3 A",
        "rename A to B via B (renaming)
         rename C to A
         rename B to C",
    );
}

#[test]
fn a_name_that_another_group_keeps_blocks_the_rename_and_nothing_else() {
    check(
        "target 11 A ext=rosterd:crm:1
         target 12 B
         link 1=11
         source 1 B notes=new : ana",
        "update A: notes=new
         create people: ana
         add to A: ana
         ! group A 11 name_taken",
    );
}

#[test]
fn whoever_wants_the_name_of_a_blocked_rename_is_blocked_as_well() {
    check(
        "target 11 A ext=rosterd:crm:1
         target 12 B ext=rosterd:crm:2
         target 13 C
         link 1=11
         link 2=12
         source 1 B
         source 2 C",
        "! group A 11 name_taken
         ! group B 12 name_taken",
    );
}

#[test]
fn a_change_of_case_needs_no_detour() {
    check(
        "target 11 donors ext=rosterd:crm:1
         link 1=11
         source 1 Donors",
        "rename donors to Donors",
    );
}

#[test]
fn a_name_that_becomes_free_can_be_given_to_a_new_group() {
    check(
        "target 11 A ext=rosterd:crm:1
         link 1=11
         source 1 B
         source 2 A",
        "rename A to B
         create A: ext=rosterd:crm:2 title=A",
    );
}

#[test]
fn the_detour_avoids_names_that_are_taken() {
    check(
        "target 11 A ext=rosterd:crm:1
         target 12 B ext=rosterd:crm:2
         target 13 \"B (renaming)\"
         link 1=11
         link 2=12
         source 1 B
         source 2 A",
        "rename A to B via B (renaming)*
         rename B to A",
    );
}

#[test]
fn where_names_may_repeat_nothing_steps_aside() {
    check(
        "set poor=yes
         target 11 A
         target 12 B
         link 1=11
         link 2=12
         source 1 B
         source 2 A",
        "rename A to B
         rename B to A",
    );
}

#[test]
fn a_name_that_somebody_changed_at_the_target_follows_the_policy_on_drift() {
    let drifted = "target 11 A ext=rosterd:crm:1
         link 1=11
         source 1 A";
    // The link remembers A; afterwards the target calls it Z.
    for (drift, expected) in [("overwrite", "rename Z to A"), ("keep", "")] {
        let mut world = super::parse(&format!("set drift={drift}\n{drifted}"));
        world.target.group_mut("11").name = "Z".to_owned();
        let found = world.planned(super::render);
        assert_eq!(found, expected, "drift = {drift}");
    }
    let mut world = super::parse(&format!("set drift=stop\n{drifted}"));
    world.target.group_mut("11").name = "Z".to_owned();
    assert_eq!(
        world.planned(super::render),
        "rename Z to A\nrefused on_drift 1 of 0, stop"
    );
}
