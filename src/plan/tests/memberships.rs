//! Memberships over time: drift, ownership, and who else holds them. The whole table is in `table`.

use super::check;

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
