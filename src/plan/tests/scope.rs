//! Groups that left the scope, are gone, or are protected.

use super::check;

#[test]
fn a_pair_out_of_scope_is_frozen() {
    for (line, source) in [
        ("set exclude=Don*", "source 1 Donors"),
        ("set include=Fans", "source 1 Donors"),
        ("set mode=mirror", "source 1 Donors archived"),
        ("set mode=mirror", "source 1 Donors dynamic"),
        ("set mode=mirror", "source 1 Donors builtin"),
    ] {
        check(
            &format!(
                "{line}
                 set missing=delete
                 {source} : bo
                 target 11 Donors : ana
                 link 1=11
                 base 11 : ana+"
            ),
            "",
        );
    }
}

#[test]
fn a_group_out_of_scope_is_not_read_and_nobody_misses_its_members() {
    check(
        "set exclude=Don*
         source 1 Donors unlisted
         target 11 Donors unlisted
         link 1=11",
        "",
    );
    check(
        "set exclude=Don*
         source 1 Donors : ana
         person source ana opted_out
         target 11 Donors : ana
         link 1=11",
        "",
    );
}

#[test]
fn a_dynamic_group_is_copied_where_that_is_asked_for() {
    check(
        "set dynamic=snapshot
         source 1 Donors dynamic ext=d : ana
         target 11 Donors ext=d
         link 1=11",
        "create people: ana
         add to Donors: ana",
    );
}

#[test]
fn a_missing_group_is_kept_archived_or_deleted_as_asked() {
    for (missing, expected) in [
        ("keep", ""),
        ("archive", "archive Donors"),
        ("delete", "delete Donors"),
    ] {
        check(
            &format!(
                "set missing={missing} mode=mirror
                 source 2 Fans ext=f : bo
                 target 12 Fans ext=f : bo
                 target 11 Donors : ana
                 link 1=11
                 link 2=12
                 base 11 : ana+
                 base 12 : bo"
            ),
            expected,
        );
    }
}

#[test]
fn a_missing_group_that_somebody_put_away_is_not_deleted() {
    check(
        "set missing=delete mode=mirror
         target 11 Donors archived : ana
         link 1=11
         base 11 : ana+",
        "",
    );
}

#[test]
fn absence_proves_nothing_when_the_list_or_the_view_is_not_whole() {
    // A list that broke off is named; a login that is meant to see a part only needs no word.
    let broken = "! group crm incomplete_read";
    for (doubt, expected) in [
        ("source groups_incomplete", broken),
        ("set source_shared=yes", ""),
        ("set source_shared=yes\nsource groups_incomplete", ""),
    ] {
        check(
            &format!(
                "set missing=delete mode=mirror
                 {doubt}
                 target 11 Donors : ana
                 link 1=11
                 base 11 : ana+"
            ),
            expected,
        );
    }
}

#[test]
fn a_protected_group_is_never_archived_or_deleted() {
    check(
        "set missing=delete
         target 11 Donors protected
         link 1=11",
        "- Donors protected",
    );
}

#[test]
fn a_flag_that_rosterd_set_is_lifted_for_what_the_config_asks() {
    check(
        "set missing=archive
         target 11 Donors protected
         link 1=11 protect_set",
        "archive Donors (lifted)",
    );
}

#[test]
fn a_protected_flag_is_copied_and_never_cleared() {
    check(
        "target 11 Donors ext=d
         target 12 Fans ext=f protected
         link 1=11
         link 2=12
         source 1 Donors ext=d protected
         source 2 Fans ext=f",
        "update Donors: locked=true",
    );
}

#[test]
fn a_group_that_another_job_fills_is_not_deleted() {
    check(
        "set missing=delete other_job_fills=11
         target 11 Donors
         link 1=11",
        "",
    );
}

#[test]
fn groups_and_people_that_nobody_linked_are_left_alone() {
    check(
        "set mode=mirror missing=delete
         source 1 Donors ext=d : ana
         target 11 Donors ext=d : ana
         target 12 Theirs : bo cy
         link 1=11
         base 11 : ana",
        "",
    );
}

#[test]
fn a_group_whose_members_were_not_read_is_blocked() {
    check(
        "set mode=mirror
         source 1 Donors ext=d unlisted
         target 11 Donors ext=d : ana
         link 1=11",
        "! group Donors 1 incomplete_read",
    );
    check(
        "set mode=mirror
         source 1 Donors ext=d : ana
         target 11 Donors ext=d unlisted
         link 1=11",
        "! group Donors 11 incomplete_read",
    );
}

#[test]
fn a_group_that_another_source_group_fills_by_now_outlives_the_first_one() {
    for missing in ["archive", "delete"] {
        check(
            &format!(
                "set missing={missing} pin=2/11 max_group_removals=9 measure=2/1
                 source 2 Fans ext=f : ana
                 target 11 Fans ext=f : ana
                 link 1=11"
            ),
            "adopt Fans",
        );
    }
}

#[test]
fn a_mapping_archives_and_restores() {
    for (source, target, expected) in [
        // Whoever refuses it meanwhile is opted out first.
        (
            " asks=Archived : ana bo=opted_out",
            " : ana bo",
            "opt out of Donors: bo\narchive Donors\n- Donors bo opted_out_at_source",
        ),
        // Nobody joins or leaves it from then on, and nothing is wrong with it.
        (" asks=Archived : ana", " archived : bo", ""),
        // Restoring must not mail anybody who refused meanwhile.
        (
            " asks=Active : ana bo=opted_out",
            " archived : ana bo",
            "! group Donors 11 target_refused",
        ),
        // The next run fills it.
        (
            " asks=Active : ana",
            " archived",
            "update Donors: state=Active",
        ),
        (
            " asks=Active : ana",
            "",
            "create people: ana\nadd to Donors: ana",
        ),
    ] {
        check(
            &format!(
                "source 1 Donors ext=d{source}
                 target 11 Donors ext=d{target}
                 link 1=11
                 base 11 : bo+"
            ),
            expected,
        );
    }
    // A restoring that was refused rests as any other change does.
    check(
        "source 1 Donors ext=d asks=Active : ana
         target 11 Donors ext=d archived
         link 1=11
         resting update_group 11",
        "! group Donors 11 value_refused",
    );
    // A group is not created to be archived.
    check("source 1 Donors asks=Archived : ana", "");
}

#[test]
fn a_protected_group_stays_whatever_a_mapping_says() {
    for (link, expected) in [
        ("", "- Donors protected"),
        ("protect_set", "archive Donors (lifted)"),
    ] {
        check(
            &format!(
                "source 1 Donors ext=d asks=Archived
                 target 11 Donors ext=d protected
                 link 1=11 {link}"
            ),
            expected,
        );
    }
}

#[test]
fn a_group_that_cannot_be_read_keeps_its_fields_and_stops_no_other() {
    // Its people are as they are: who refuses and who joins is carried all the same.
    for (source, target) in [("unread", ""), ("unseen", ""), ("", "unread")] {
        check(
            &format!(
                "source 1 Donors {source} notes=new : ana bo=opted_out
                 source 2 Fans : cy
                 target 11 Donors {target} notes=old : bo
                 target 12 Fans
                 link 1=11
                 link 2=12"
            ),
            "opt out of Donors: bo
             update Fans: ext=rosterd:crm:2
             create people: ana cy
             add to Donors: ana
             add to Fans: cy
             - Donors bo opted_out_at_source
             ! group Donors 11 incomplete_read",
        );
    }
    // Of one that was never linked too little is known, and so of one that can't be looked at.
    for (source, target, link) in [
        ("unread", "", ""),
        ("unseen", "", ""),
        ("", "unread", ""),
        ("", "unseen", ""),
        ("", "unseen", "link 1=11"),
    ] {
        check(
            &format!(
                "source 1 Donors {source} : ana
                 source 2 Fans : cy
                 target 11 Donors {target}
                 target 12 Fans
                 {link}
                 link 2=12"
            ),
            "update Fans: ext=rosterd:crm:2
             create people: cy
             add to Fans: cy
             ! group Donors 1 incomplete_read",
        );
    }
}

#[test]
fn a_group_that_cannot_be_read_is_not_taken_away() {
    for unread in ["unread", "unseen"] {
        check(
            &format!(
                "set missing=delete mode=mirror
                 source 2 Fans ext=f : bo
                 target 11 Donors {unread} : bo
                 target 12 Fans ext=f : bo
                 link 1=11
                 link 2=12"
            ),
            "! group Donors 11 incomplete_read",
        );
    }
}

#[test]
fn a_group_whose_name_cannot_be_read_is_in_scope_by_its_link_alone() {
    // The shown name is a guess: it takes a linked group neither out of the scope nor into it.
    for (include, shown) in [("Don*", "Dnors"), ("D?nors", "Do\u{fffd}rs")] {
        check(
            &format!(
                "set include={include}
                 source 1 {shown} unnamed : ana
                 target 11 Donors
                 link 1=11"
            ),
            "create people: ana
             add to Donors: ana
             ! group Donors 11 incomplete_read",
        );
    }
    // Whether one without a link is meant shows only once it can be read.
    for (scope, expected) in [
        ("include=Don*", "! group Dnors 1 incomplete_read"),
        ("exclude=Don*", "! group Dnors 1 incomplete_read"),
        ("include=id:7", ""),
        ("exclude=id:1", ""),
    ] {
        check(
            &format!(
                "set {scope}
                 source 1 Dnors unnamed : ana"
            ),
            expected,
        );
    }
}

#[test]
fn no_second_group_is_made_beside_one_that_may_be_it() {
    // What is left of the name, or of the mark that rosterd gave it, is the same.
    for target in [
        "D\u{fffd}nors unnamed",
        "Other unread ext=rosterd:crm:\u{fffd}1",
    ] {
        check(
            &format!(
                "source 1 D\u{f6}nors : ana
                 source 2 Fans ext=f : bo
                 target 11 {target}
                 target 12 Fans ext=f"
            ),
            "adopt Fans
             create people: bo
             add to Fans: bo
             ! group D\u{f6}nors 1 incomplete_read",
        );
    }
    // Nor is one taken that only has the name, beside one that may be it by its mark or its name.
    for target in ["Other unnamed ext=rosterd:crm:1", "D\u{fffd}nors unnamed"] {
        check(
            &format!(
                "source 1 D\u{f6}nors : ana
                 target 11 {target}
                 target 12 D\u{f6}nors"
            ),
            "! group D\u{f6}nors 1 incomplete_read",
        );
    }
    // What is known of it is known all the same: whose mark is another's takes the name of nobody.
    check(
        "source 1 Donors ext=d : ana
         target 11 Donors unnamed
         target 12 Donors ext=d",
        "adopt Donors
         create people: ana
         add to Donors: ana",
    );
}
