//! Which target group stands for which source group.

use super::check;

#[test]
fn a_link_wins_over_every_name_and_external_id() {
    check(
        "source 1 Donors : ana
         target 11 Supporters
         target 12 Donors ext=rosterd:crm:1
         link 1=11",
        "update Supporters: ext=rosterd:crm:1
         create people: ana
         add to Supporters: ana
         ! group Supporters 11 name_taken",
    );
}

#[test]
fn a_pin_wins_over_names_and_links_the_pair() {
    check(
        "set pin=1/12
         source 1 Donors : ana
         target 11 Donors
         target 12 Elsewhere : ana",
        "adopt Elsewhere: ext=rosterd:crm:1",
    );
}

#[test]
fn an_external_id_wins_over_a_name() {
    check(
        "source 1 Donors ext=d1
         target 11 Donors
         target 12 Supporters ext=d1",
        "adopt Supporters",
    );
}

#[test]
fn a_group_without_an_external_id_is_found_by_the_one_rosterd_wrote() {
    check(
        "source 1 Donors
         target 12 Renamed ext=rosterd:crm:1",
        "adopt Renamed",
    );
}

#[test]
fn names_meet_whatever_their_case_blanks_and_normal_form() {
    check(
        "source 1 \"Cafe\u{301} Friends \"
         target 11 \" CAF\u{c9} friends\"",
        "adopt  CAF\u{c9} friends: ext=rosterd:crm:1",
    );
}

#[test]
fn a_group_that_nobody_has_is_created_with_its_members() {
    check(
        "set protect=yes
         source 1 Donors notes=n : ana bo
         person target bo",
        "create Donors: ext=rosterd:crm:1 locked=true notes=n title=Donors
         create people: ana
         add to Donors: ana bo",
    );
}

#[test]
fn without_adoption_a_taken_name_blocks() {
    check(
        "set adopt=never
         source 1 Donors : ana
         target 11 Donors",
        "! group Donors 1 name_taken",
    );
}

#[test]
fn two_candidates_at_the_target_block() {
    check(
        "source 1 Donors : ana
         target 11 Donors
         target 12 donors",
        "! group Donors 1 two_candidates",
    );
    check(
        "source 1 Donors ext=d1 : ana
         target 11 A ext=d1
         target 12 B ext=d1",
        "! group Donors 1 two_candidates",
    );
}

#[test]
fn two_candidates_at_the_source_block_both() {
    check(
        "source 1 Donors : ana
         source 2 donors : bo
         target 11 Donors",
        "! group Donors 1 two_candidates
         ! group donors 2 two_candidates",
    );
    check(
        "source 1 Donors : ana
         source 2 donors : bo",
        "! group Donors 1 two_candidates
         ! group donors 2 two_candidates",
    );
}

#[test]
fn a_settled_pair_is_not_shaken_by_a_newcomer_of_the_same_name() {
    check(
        "source 1 Donors : ana
         source 2 donors : bo
         target 11 Donors ext=rosterd:crm:1 : ana
         link 1=11",
        "! group donors 2 name_taken",
    );
}

#[test]
fn a_group_linked_elsewhere_is_no_candidate() {
    check(
        "source 1 Donors
         source 2 Fans
         target 11 Donors
         target 12 Fans
         link 1=12",
        "update Fans: ext=rosterd:crm:1
         ! group Fans 12 name_taken
         ! group Fans 2 name_taken",
    );
}

#[test]
fn a_list_of_target_groups_that_is_not_whole_creates_nothing() {
    check(
        "source 1 Donors : ana
         source 2 Fans : bo
         target groups_incomplete
         target 12 Fans ext=rosterd:crm:2 : bo
         link 2=12",
        "! group Donors 1 incomplete_read",
    );
}

#[test]
fn a_linked_group_that_vanished_is_not_created_again() {
    check(
        "source 1 Donors : ana
         target 11 Donors
         link 1=99",
        "! group Donors 1 gone_at_target",
    );
    check(
        "set target_shared=yes
         source 1 Donors : ana
         link 1=99",
        "! group Donors 1 incomplete_read",
    );
}

#[test]
fn a_linked_group_that_can_t_be_looked_for_is_left_out_alone() {
    check(
        "source 1 Donors : ana
         source 2 News : bo
         target group_unsure 99
         link 1=99",
        "create News: ext=rosterd:crm:2 title=News
         create people: bo
         add to News: bo
         ! group Donors 1 incomplete_read",
    );
}

/// Where the provider itself keeps nobody from making a second group of a name, one that the login may
/// only not see is not made again.
#[test]
fn no_group_is_made_that_a_login_with_fewer_rights_may_not_see() {
    check(
        "set poor=yes target_shared=yes
         source 1 Donors : ana
         source 2 News
         target 12 News",
        "adopt News
         ! group Donors 1 incomplete_read",
    );
}

#[test]
fn adoption_fills_empty_fields_only() {
    check(
        "source 1 Donors ext=d1 notes=ours
         target 11 Donors notes=theirs",
        "adopt Donors: ext=d1",
    );
    check(
        "set explicit=notes
         source 1 Donors ext=d1 notes=ours
         target 11 Donors notes=theirs",
        "adopt Donors: ext=d1 notes=ours",
    );
}

#[test]
fn groups_that_take_no_members_are_refused() {
    for flag in ["dynamic", "builtin", "archived", "test", "auto"] {
        check(
            &format!(
                "source 1 Donors : ana bo=opted_out
                 target 11 Donors {flag}"
            ),
            "! group Donors 11 target_refused",
        );
    }
    check(
        "set auto_response=yes
         source 1 Donors ext=d
         target 11 Donors auto ext=d",
        "adopt Donors",
    );
}

#[test]
fn an_account_without_external_ids_is_paired_by_name() {
    check(
        "set poor=yes
         source 1 Donors ext=d1 : ana
         target 11 Donors : ana",
        "adopt Donors",
    );
}
