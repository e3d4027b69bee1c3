//! Who is who where addresses break, move, swap and merge.

use super::check;
use super::world::TestRefusal;
use crate::plan::PairIx;

/// Two people in a group of both sides, known and brought by this job.
fn both(more: &str) -> String {
    format!(
        "source 1 Donors ext=d : ana bo
         target 11 Donors ext=d : ana bo
         link 1=11
         base 11 : ana+ bo+
         {more}"
    )
}

#[test]
fn a_linked_person_whose_address_broke_or_vanished_stays() {
    for mode in ["managed", "mirror"] {
        let world = |address: &str| {
            both(&format!(
                "set mode={mode} measure=1/0\nperson source ana address={address}"
            ))
        };
        check(
            &world("ana@example.org;"),
            "! member ana@example.org; s.ana bad_address",
        );
        check(&world(""), "");
    }
}

#[test]
fn whoever_left_the_group_has_left_it_whatever_the_address() {
    check(
        "source 1 Donors ext=d : bo
         person source ana address=
         target 11 Donors ext=d : ana bo
         link 1=11
         base 11 : ana+ bo+",
        "remove from Donors: ana",
    );
}

#[test]
fn a_refusal_travels_by_the_link_where_the_address_is_blank_or_broken() {
    check(
        &both("person source ana opted_out address="),
        "opt out of *: ana
         - Donors ana opted_out_at_source",
    );
    check(
        &both("person source ana address=ana(at)example.org").replace(
            ": ana bo\n         target",
            ": ana=opted_out bo\n         target",
        ),
        "opt out of Donors: ana
         - Donors ana opted_out_at_source
         ! member ana(at)example.org s.ana bad_address",
    );
}

#[test]
fn joining_takes_an_address_also_of_somebody_who_is_known() {
    let world = |address: &str| {
        format!(
            "source 1 Donors ext=d : ana
             person source ana address={address}
             target 11 Donors ext=d
             person target ana
             link 1=11
             known ana"
        )
    };
    check(&world(""), "! membership Donors ana bad_address");
    check(
        &world("n/a"),
        "! member n/a s.ana bad_address
         ! membership Donors ana bad_address",
    );
}

#[test]
fn a_broken_address_that_refuses_bars_every_address_in_it() {
    let world = |states: &str, more: &str| {
        format!(
            "source 1 Donors ext=d : {states}
             person source x {more} address=\"Ana <ana@example.org>\"
             target 11 Donors ext=d
             link 1=11"
        )
    };
    for world in [
        world("ana x=opted_out", "active"),
        world("ana x", "opted_out"),
    ] {
        check(
            &world,
            "- Donors  opted_out_at_source
             - Donors ana opted_out_at_source
             ! member Ana <ana@example.org> s.x bad_address",
        );
    }
}

#[test]
fn two_who_swap_addresses_are_blocked_and_nobody_is_touched() {
    let swap = "person source ana address=bo@example.org
         person source bo address=ana@example.org";
    check(
        &both(swap),
        "! member ana address_taken
         ! member bo address_taken",
    );
    check(
        &both(swap).replace(
            "Donors ext=d : ana bo\n         target",
            "Donors ext=d : bo\n         target",
        ),
        "! member ana address_taken
         ! member bo address_taken",
    );
}

#[test]
fn in_a_swap_a_refusal_is_written_to_the_contact_that_has_its_address() {
    // The person whose record shows ana's address by now, and whose contact has bo's.
    check(
        &both(
            "person source ana opted_out address=bo@example.org
             person source bo address=ana@example.org",
        ),
        "opt out of *: ana
         - Donors bo opted_out_at_source
         ! member ana address_taken
         ! member bo address_taken",
    );
}

#[test]
fn whoever_makes_room_moves_first_and_the_rest_follows() {
    check(
        &both(
            "person source ana address=bo@example.org
             person source bo address=cy@example.org",
        ),
        "address bo@example.org to cy@example.org",
    );
    check(
        &both(
            "person source ana address=bo@example.org
             person source bo address=cy@example.org
             person target bo address=cy@example.org",
        ),
        "address ana@example.org to bo@example.org",
    );
    // A refusal waits for the address as well, and reaches the contact that had it last.
    check(
        &both(
            "person source ana opted_out address=bo@example.org
             person source bo address=cy@example.org",
        ),
        "address bo@example.org to cy@example.org
         opt out of *: bo
         - Donors bo opted_out_at_source",
    );
}

#[test]
fn where_making_room_was_refused_both_are_blocked_and_the_refusal_is_carried() {
    check(
        &both(
            "person source ana opted_out address=bo@example.org
             person source bo address=cy@example.org
             resting change_address  cy@example.org",
        ),
        "opt out of *: bo cy
         - Donors bo opted_out_at_source
         ! member bo address_taken
         ! member cy value_refused",
    );
}

#[test]
fn a_newcomer_waits_for_an_address_that_somebody_is_just_leaving() {
    check(
        "source 1 Donors ext=d : ana cy
         person source ana address=anna@example.org
         person source cy address=ana@example.org
         target 11 Donors ext=d : ana
         link 1=11
         base 11 : ana+",
        "address ana@example.org to anna@example.org",
    );
}

#[test]
fn two_records_that_were_merged_are_one_with_the_contact_of_the_address() {
    let merged = "source 1 Donors ext=d : ana
         person source ana address=bo@example.org
         target 11 Donors ext=d : ana bo
         link 1=11
         base 11 : ana+ bo+";
    check(merged, "remove from Donors: ana");
    // The refusal is that of both contacts.
    check(
        &merged.replace("person source ana", "person source ana opted_out"),
        "opt out of *: ana bo
         remove from Donors: ana
         - Donors bo opted_out_at_source",
    );
    // Also later, when the link has moved.
    check(
        "source 1 Donors ext=d : ana
         person source ana opted_out address=bo@example.org
         target 11 Donors ext=d : bo
         person target ana
         link 1=11
         base 11 : bo+
         linked s.ana=t.bo
         former s.ana=t.ana",
        "opt out of *: ana bo
         - Donors bo opted_out_at_source",
    );
    // Unless the other record may still be there.
    check(
        &format!(
            "{merged}
             source existence_unknown
             source 2 Fans ext=f incomplete : cy
             target 12 Fans ext=f
             link 2=12"
        ),
        "create people: cy
         add to Fans: cy
         ! group Fans 2 incomplete_read
         ! member bo address_taken",
    );
    // As it may where pages by offset passed over it.
    check(
        &format!("{merged}\nsource existence_unknown")
            .replace("source 1 Donors", "source 1 Donors by_offset"),
        "! member bo address_taken",
    );
}

#[test]
fn nobody_is_absent_whose_address_another_record_shows_in_the_group() {
    // Whoever joined with a record of their own shows the address that a linked contact has.
    check(
        "source 1 Donors ext=d : cy
         person source ana address=
         person source cy address=ana@example.org
         target 11 Donors ext=d : ana
         link 1=11
         base 11 : ana+",
        "! membership Donors ana address_taken",
    );
}

#[test]
fn an_address_that_refused_stays_refused_after_its_contact_has_moved_on() {
    // Bo's contact refuses under the address that Ana shows by now.
    let world = |contact: &str, more: &str| {
        format!(
            "source 1 Donors ext=d : ana bo
             target 11 Donors ext=d {contact}
             person target ana {more}
             link 1=11
             linked s.bo=t.ana"
        )
    };
    for (contact, more, pair) in [
        ("", "opted_out", None),
        (": ana=opted_out", "active", Some(PairIx(0))),
    ] {
        let before = super::parse(&world(contact, more));
        let left = before.planned(|inputs, plan| {
            let left = plan.agreement.left_addresses.iter();
            left.map(|(pair, address)| (*pair, inputs.names.text(*address).to_owned()))
                .collect::<Vec<_>>()
        });
        assert_eq!(left, [(pair, "ana@example.org".to_owned())]);
        let bar = pair.map_or("*", |_| "11");
        let moved = world(contact, &format!("{more} address=bo@example.org"));
        check(
            &format!("{moved}\nheld_bar {bar} : ana"),
            "- Donors ana opted_out_at_source
             - Donors bo opted_out_at_target",
        );
    }
}

#[test]
fn nobody_waits_for_a_move_that_will_not_be_made() {
    // Bo's contact has the address that a new record of Ana's shows.
    let world = |drift: &str| {
        super::parse(&format!(
            "set measure=1/0 drift={drift}
             source 1 Donors ext=d : ana bo
             target 11 Donors ext=d : bo
             person target bo address=ana@example.org
             link 1=11
             linked s.bo=t.bo
             base 11 : bo+"
        ))
    };
    // Somebody changed it at the target, where it is kept.
    let mut kept = world("keep");
    "bo@example.org".clone_into(&mut kept.memory.members.get_mut("s.bo").unwrap().address);
    assert_eq!(
        kept.planned(super::render),
        "! membership Donors ana address_taken"
    );
    // The address that Bo's contact is to get refused mail as somebody else's.
    let mut refused = world("overwrite");
    refused.memory.refusals.push(TestRefusal {
        addresses: ["bo@example.org".to_owned()].into(),
        groups: [None].into(),
        held_at: Some(None),
        ..TestRefusal::default()
    });
    assert_eq!(
        refused.planned(super::render),
        "! member bo address_taken\n! membership Donors ana address_taken"
    );
}
