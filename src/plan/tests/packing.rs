//! From a plan to requests.

use super::parse;
use crate::model::{Leaving, Value};
use crate::plan::pack::{Step, pack};
use crate::plan::{PairIx, PersonIx};

/// Packs the plan of a world and compares one line per request.
#[track_caller]
fn check(input: &str, expected: &str) {
    let world = parse(input);
    let found = world.planned(|inputs, plan| {
        let group = |pair: &PairIx| {
            plan.pair(*pair)
                .target
                .clone()
                .unwrap_or_else(|| format!("new {}", plan.pair(*pair).name))
        };
        let groups = |pairs: &[PairIx]| pairs.iter().map(group).collect::<Vec<_>>().join("+");
        let who = |person: &PersonIx| {
            inputs
                .names
                .text(inputs.people.get(*person).address)
                .trim_end_matches("@example.org")
                .to_owned()
        };
        let all = |people: &[PersonIx]| people.iter().map(who).collect::<Vec<_>>().join(" ");
        pack(
            plan,
            inputs.people,
            &world.capabilities,
            world.schema.group_name_field(),
        )
        .iter()
        .map(|step| match step {
            Step::CreateCustomField { label } => format!("field {label}"),
            Step::CreateGroup { pair, .. } => format!("create {}", group(pair)),
            Step::EditGroups { edits, .. } => {
                let edits: Vec<String> = edits
                    .iter()
                    .map(
                        |(pair, fields)| match fields.get("title").map(Value::to_string) {
                            Some(name) => format!("{} is {name}", group(pair)),
                            None => format!(
                                "{} {}",
                                group(pair),
                                fields.keys().cloned().collect::<Vec<_>>().join("+")
                            ),
                        },
                    )
                    .collect();
                format!("edit {}", edits.join(", "))
            }
            Step::DeleteGroup { pair } => format!("delete {}", group(pair)),
            Step::CreateMembers { members, join } => {
                format!("create {} in [{}]", all(members), groups(join))
            }
            Step::UpdateMembers { edits } => format!(
                "update {}",
                all(&edits.iter().map(|edit| edit.0).collect::<Vec<_>>())
            ),
            Step::ChangeAddress { member, .. } => format!("address {}", who(member)),
            Step::AddMemberships { pair, members } => {
                format!("add {} to {}", all(members), group(pair))
            }
            Step::RemoveMemberships { pair, members } => {
                format!("remove {} from {}", all(members), group(pair))
            }
            Step::OptOutOfAccount { members } => format!("opt out {}", all(members)),
            Step::JoinGroups { rows } => {
                let rows: Vec<String> = rows
                    .iter()
                    .map(|(person, pairs)| format!("{} to {}", who(person), groups(pairs)))
                    .collect();
                format!("join {}", rows.join(", "))
            }
            Step::LeaveGroups { rows, how } => {
                let rows: Vec<String> = rows
                    .iter()
                    .map(|row| format!("{} from {}", who(&row.member), groups(&row.pairs)))
                    .collect();
                let how = match how {
                    Leaving::OptOut => "refuse",
                    Leaving::Remove => "leave",
                    Leaving::Detach => "detach",
                };
                format!("{how} {}", rows.join(", "))
            }
            Step::BringBack { rows } => {
                let rows: Vec<String> = rows
                    .iter()
                    .map(|(person, pair)| format!("{} to {}", who(person), group(pair)))
                    .collect();
                format!("back {}", rows.join(", "))
            }
            Step::CreateOptedOut { member } => format!("create opted out {}", who(member)),
            Step::OptOutOfGroups {
                member,
                contact,
                pairs,
            } => {
                let which = if *contact > 0 {
                    format!("#{}", contact + 1)
                } else {
                    String::new()
                };
                format!("opt out {}{which} of {}", who(member), groups(pairs))
            }
        })
        .collect::<Vec<_>>()
    });
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(found, expected, "\nof the world\n{input}\n");
}

#[test]
fn a_swap_of_names_takes_one_request() {
    let world = "target 11 A ext=rosterd:crm:1
         target 12 B ext=rosterd:crm:2
         target 13 C ext=rosterd:crm:3
         link 1=11
         link 2=12
         link 3=13
         source 1 B
         source 2 A
         source 3 C notes=n";
    check(world, "edit 11 is B (renaming), 12 is A, 11 is B, 13 notes");
    check(
        &format!("{world}\nset batch=2"),
        "edit 11 is B (renaming), 12 is A
         edit 11 is B, 13 notes",
    );
}

const TWO_GROUPS: &str = "source 1 Donors ext=d : ana bo cy
     source 2 Fans ext=f : ana bo cy
     target 11 Donors ext=d
     target 12 Fans ext=f
     link 1=11
     link 2=12";

#[test]
fn newcomers_join_all_their_groups_in_one_request_where_that_is_cheaper() {
    check(
        &format!("{TWO_GROUPS}\nset join=yes"),
        "create ana bo cy in [11+12]",
    );
    check(
        &format!("{TWO_GROUPS}\nset join=yes batch=2"),
        "create ana bo in [11+12]
         create cy in [11+12]",
    );
}

#[test]
fn a_request_per_group_is_taken_where_sets_would_take_more() {
    check(
        "set join=yes
         source 1 Donors ext=d : ana bo
         source 2 Fans ext=f : bo cy
         target 11 Donors ext=d
         target 12 Fans ext=f
         link 1=11
         link 2=12",
        "create ana bo in [11]
         create bo cy in [12]",
    );
}

#[test]
fn people_who_exist_join_by_id_and_in_batches() {
    check(
        "set join=yes batch=2
         source 1 Donors ext=d : ana bo cy
         person target ana
         person target bo
         person target cy
         target 11 Donors ext=d
         link 1=11",
        "add ana bo to 11
         add cy to 11",
    );
}

#[test]
fn where_creating_and_joining_are_two_requests_people_are_created_once() {
    check(
        TWO_GROUPS,
        "create ana bo cy in []
         add ana bo cy to 11
         add ana bo cy to 12",
    );
}

#[test]
fn a_person_with_several_contacts_takes_several_places() {
    check(
        "set batch=2
         source 1 Donors ext=d : ana bo
         person source ana opted_out
         person source bo opted_out
         target 11 Donors ext=d
         person target ana
         person target ana#2
         person target bo
         link 1=11",
        "opt out ana
         opt out bo",
    );
}

#[test]
fn refusals_go_first_and_those_of_newcomers_right_after_their_creation() {
    let world = "source 1 Donors ext=d : ana bo=opted_out cy dee=opted_out eve
         person source cy opted_out
         target 11 Donors ext=d : bo gone
         link 1=11
         base 11 : gone+
         source 2 New : ana";
    check(
        world,
        "opt out bo of 11
         create new New
         create cy dee in []
         opt out cy
         opt out dee of 11
         create ana eve in []
         add ana eve to 11
         add ana to new New
         remove gone from 11",
    );
    check(
        &format!("{world}\nset create_opted_out=yes"),
        "opt out bo of 11
         create new New
         create opted out cy
         update cy
         create dee in []
         opt out dee of 11
         create ana eve in []
         add ana eve to 11
         add ana to new New
         remove gone from 11",
    );
}

#[test]
fn a_group_is_refused_by_each_of_several_contacts() {
    check(
        "source 1 Donors ext=d : ana=opted_out bo=opted_out
         source 2 Fans ext=f : ana=opted_out
         target 11 Donors ext=d : ana ana#2 bo
         target 12 Fans ext=f : ana#2
         link 1=11
         link 2=12",
        "opt out ana of 11+12
         opt out ana#2 of 11+12
         opt out bo of 11",
    );
}

#[test]
fn removals_that_stand_in_for_a_refusal_come_before_everything_that_adds() {
    check(
        "set group_opt_out=no
         source 1 Donors ext=d : ana bo=opted_out
         target 11 Donors ext=d : bo gone
         link 1=11
         base 11 : bo gone+
         source 2 New",
        "remove bo from 11
         create new New
         create ana in []
         add ana to 11
         remove gone from 11",
    );
}

#[test]
fn one_person_refuses_several_groups_in_one_request() {
    check(
        "source 1 Donors ext=d : ana=opted_out
         source 2 Fans ext=f : ana=opted_out
         target 11 Donors ext=d : ana
         target 12 Fans ext=f : ana
         link 1=11
         link 2=12",
        "opt out ana of 11+12",
    );
}

#[test]
fn protection_is_lifted_only_right_before_what_it_hinders() {
    check(
        "set missing=delete
         target 11 Donors protected
         link 1=11 protect_set",
        "edit 11 protected
         delete 11",
    );
}

#[test]
fn by_row_everybody_joins_all_groups_at_once() {
    check(
        &format!("{TWO_GROUPS}\nset lists=yes"),
        "join ana to 11+12, bo to 11+12, cy to 11+12",
    );
    check(
        &format!("{TWO_GROUPS}\nperson target bo\nset lists=yes batch=2"),
        "join ana to 11+12, bo to 11+12
         join cy to 11+12",
    );
}

#[test]
fn by_row_refusals_come_before_additions_and_removals_after_them() {
    check(
        "set lists=yes
         source 1 Donors ext=d : ana bo=opted_out
         source 2 Fans ext=f : ana bo
         target 11 Donors ext=d : bo gone
         target 12 Fans ext=f : gone
         link 1=11
         link 2=12
         base 11 : gone+
         base 12 : gone+",
        "refuse bo from 11
         join ana to 11+12, bo to 12
         leave gone from 11+12",
    );
    check(
        "set lists=yes detach=yes
         source 1 Donors ext=d
         target 11 Donors ext=d : gone
         link 1=11
         base 11 : gone+",
        "detach gone from 11",
    );
}

#[test]
fn a_refusal_of_all_mail_is_written_to_every_list_and_makes_a_contact_to_hold_it() {
    check(
        "set lists=yes
         source 1 Donors ext=d : ana bo
         source 2 Fans ext=f
         source 3 New
         person source ana opted_out
         person source bo opted_out
         target 11 Donors ext=d : ana
         target 12 Fans ext=f
         link 1=11
         link 2=12",
        "refuse ana from 11+12
         create new New
         refuse ana from new New, bo from 11+12+new New",
    );
}

#[test]
fn whoever_refuses_is_not_removed_as_well() {
    check(
        "set lists=yes
         source 1 Donors ext=d : ana
         source 2 Fans ext=f
         person source ana opted_out
         target 11 Donors ext=d : ana
         target 12 Fans ext=f : ana
         link 1=11
         link 2=12
         base 11 : ana+
         base 12 : ana+",
        "refuse ana from 11+12",
    );
}

#[test]
fn only_a_removal_that_is_remembered_is_undone_and_only_where_that_is_asked_for() {
    let world = "source 1 Donors ext=d : ana bo cy=opted_out dee
         person source dee opted_out
         target 11 Donors ext=d : ana=opted_out bo=opted_out cy=opted_out dee=opted_out
         link 1=11
         known ana bo cy dee
         own 11 : ana cy dee";
    check(&format!("set lists=yes\n{world}"), "");
    check(
        &format!("set lists=yes readd=yes\n{world}"),
        "back ana to 11",
    );
    check(
        &format!("set lists=yes readd=yes\n{world}\nbar 11 : ana"),
        "",
    );
    check(
        &format!("set lists=yes readd=yes\n{world}\nbar * : ana"),
        "",
    );
}

#[test]
fn an_open_removal_is_neither_a_refusal_nor_a_proof() {
    let source = "source 1 Donors ext=d : ana=opted_out bo=opted_out
         target 11 Donors ext=d : ana bo
         link 1=11
         known ana bo
         base 11 : ana bo";
    check(
        &format!("set lists=yes\n{source}"),
        "refuse ana from 11, bo from 11",
    );
    check(
        &format!("set lists=yes\n{source}\npending 1 : ana"),
        "refuse bo from 11",
    );
    let target = "source 1 Donors ext=d : ana
         target 11 Donors ext=d : ana=opted_out
         link 1=11
         known ana
         own 11 : ana";
    check(
        &format!("set lists=yes readd=yes\n{target}"),
        "back ana to 11",
    );
    let open = target.replace("own 11", "pending 11");
    check(&format!("set lists=yes readd=yes\n{open}"), "");
}

#[test]
fn too_many_lists_are_too_long_for_one_request() {
    let rows: Vec<usize> = vec![3000; 7];
    let batches = super::super::pack::chunks(rows, 250, |places| *places);
    assert_eq!(
        batches.iter().map(Vec::len).collect::<Vec<_>>(),
        [2, 2, 2, 1]
    );
}
