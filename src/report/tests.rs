//! Printed results of a plan and a run made by hand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::model::policy::{OnDrift, OptOuts};
use crate::model::{
    Existence, Incomplete, Member, MemberStatus, Names, Reading, Record, Snapshot, Value,
};
use crate::plan::base::{Base, Measure};
use crate::plan::{
    Agreement, Basis, Blocked, BlockedReason, Edit, GroupPair, GuardRefusal, Loss, PairIx, People,
    PersonIx, Plan, Reason, Summary, What, Withheld,
};
use crate::run::{Approved, Cost, ItemFailure, Meant, Outcome, Planned, RunReport};
use crate::state;

fn incomplete<T>(partial: T) -> Reading<T> {
    Reading::Incomplete(Incomplete {
        partial,
        why: Vec::new(),
        opt_outs_complete: false,
    })
}

fn snapshot(members: Vec<Member>) -> Snapshot {
    Snapshot {
        provider: "crm".to_owned(),
        groups: incomplete(Vec::new()),
        members,
        listings: BTreeMap::new(),
        certificates: BTreeMap::new(),
        account_state: incomplete(()),
        existence: Existence::Unknown,
        field_use: BTreeMap::new(),
        shown_custom: None,
        ended_removals: Vec::new(),
        unreadable: std::collections::BTreeMap::new(),
        unsure_groups: BTreeSet::default(),
    }
}

fn record(pairs: &[(&str, &str)]) -> Record {
    pairs
        .iter()
        .map(|(field, text)| ((*field).into(), Value::from(*text)))
        .collect()
}

/// Makes a plan for people with these addresses; they have to stand in the order of the alphabet.
pub(super) fn planned(addresses: &[&str], plan: Plan) -> Planned {
    let mut names = Names::new();
    let rows = addresses.iter().enumerate().map(|(at, address)| Member {
        id: names.intern(&at.to_string()),
        address: Some(names.intern(address)),
        unusable: None,
        status: MemberStatus::Active,
        hash: None,
    });
    let source = snapshot(rows.collect());
    let people = People::pair(
        &source,
        &snapshot(Vec::new()),
        &Base::default(),
        &names,
        OnDrift::Overwrite,
        OptOuts::Carry,
    );
    Planned {
        plan,
        names: names.into(),
        people,
        cost: Cost::default(),
        created_values: BTreeMap::new(),
        first_run: false,
        nameless: BTreeMap::new(),
        accepted: BTreeSet::new(),
        undoing: None,
        saved: None,
        narrowed: None,
    }
}

pub(super) fn empty_plan() -> Plan {
    Plan {
        job: "crm-to-mail".to_owned(),
        source: "crm".to_owned(),
        target: "mail".to_owned(),
        pairs: Vec::new(),
        operations: Vec::new(),
        withheld: Vec::new(),
        blocked: Vec::new(),
        refusals: Vec::new(),
        changed_outside: Vec::new(),
        losses: Vec::new(),
        warnings: Vec::new(),
        agreement: Agreement::default(),
        measure: Measure::default(),
        measured: true,
        waiting_opt_outs: 0,
        tripped: BTreeSet::new(),
        basis: Basis::default(),
        summary: Summary::default(),
        fingerprint: "f1e2".to_owned(),
    }
}

pub(super) fn pair(source: &str, target: Option<&str>, name: &str) -> GroupPair {
    GroupPair {
        source: Some(source.to_owned()),
        target: target.map(str::to_owned),
        name: name.to_owned(),
        source_name: name.to_owned(),
        linked: target.is_some(),
        writable: true,
    }
}

pub(super) fn refusal() -> GuardRefusal {
    GuardRefusal {
        guard: "max_membership_removals",
        group: None,
        value: 120,
        of: 900,
        limit: "10%".to_owned(),
        key: "jobs.crm-to-mail.guards.max_membership_removals".to_owned(),
        explanation: "120 removals of 900 active memberships exceed the limit of 10%".to_owned(),
        approval: "0123456789ab".to_owned(),
    }
}

fn blocked() -> Blocked {
    Blocked {
        what: What::Member,
        group: None,
        member: Some(String::new()),
        id: Some("17".to_owned()),
        reason: BlockedReason::BadAddress,
        detail: "the contact has no address that mail could be sent to".to_owned(),
        rests: None,
    }
}

fn loss() -> Loss {
    Loss {
        field: "sender_email".to_owned(),
        object: "group",
        count: 12,
        examples: vec!["ops@example.org".to_owned()],
        reason: "emfluence groups have no such field".to_owned(),
        remedy: None,
        known_since: None,
    }
}

pub(super) fn full_plan() -> Planned {
    let [ana, bo, cy, dee, eve] = [0, 1, 2, 3, 4].map(PersonIx);
    let [donors, staff, board, former, friends] = [0, 1, 2, 3, 4].map(PairIx);
    let operations = vec![
        Edit::CreateCustomField {
            label: "Shoe size".to_owned(),
        },
        Edit::SetOptOut {
            pair: None,
            members: vec![dee],
            after_creation: false,
        },
        Edit::SetOptOut {
            pair: Some(staff),
            members: vec![cy],
            after_creation: false,
        },
        Edit::RenameGroup {
            pair: board,
            from: "Board".to_owned(),
            to: "Trustees".to_owned(),
            via: Some("Trustees (renaming)".to_owned()),
            fields: record(&[("groupName", "Trustees"), ("notes", "new")]),
            before: record(&[("groupName", "Board"), ("notes", "old")]),
        },
        Edit::CreateGroup {
            pair: donors,
            fields: [
                ("groupName".into(), Value::from("Donors")),
                ("protected".into(), Value::Boolean(true)),
            ]
            .into(),
        },
        Edit::AdoptGroup {
            pair: friends,
            fields: Record::new(),
            before: Record::new(),
        },
        Edit::ChangeAddress {
            member: bo,
            from: "bo@old.example.org".to_owned(),
            to: "bo@example.org".to_owned(),
            makes_room: false,
        },
        Edit::UpdateMember {
            member: bo,
            fields: record(&[("firstName", "Bo"), ("phone", "")]),
            before: record(&[("phone", "555 0100")]),
        },
        Edit::CreateMembers {
            members: vec![eve],
            to_opt_out: true,
        },
        Edit::SetOptOut {
            pair: None,
            members: vec![eve],
            after_creation: true,
        },
        Edit::CreateMembers {
            members: vec![ana],
            to_opt_out: false,
        },
        Edit::AddMemberships {
            pair: donors,
            members: vec![ana, bo],
        },
        Edit::RemoveMemberships {
            pair: staff,
            members: vec![bo],
        },
        Edit::ArchiveGroup {
            pair: former,
            lift_protection: true,
        },
    ];
    let plan = Plan {
        pairs: vec![
            pair("9985", None, "Donors"),
            pair("2", Some("4712"), "Staff"),
            pair("3", Some("4713"), "Trustees"),
            GroupPair {
                source: None,
                ..pair("", Some("4714"), "Former \u{202e}members")
            },
            pair("5", Some("4715"), "Friends <&>"),
        ],
        waiting_opt_outs: 3,
        operations,
        withheld: vec![
            Withheld {
                pair: donors,
                member: Some(cy),
                reason: Reason::OptedOutAtTarget,
            },
            Withheld {
                pair: staff,
                member: Some(cy),
                reason: Reason::OptedOutAtTarget,
            },
            Withheld {
                pair: former,
                member: None,
                reason: Reason::Protected,
            },
        ],
        blocked: vec![blocked()],
        refusals: vec![refusal()],
        losses: vec![loss()],
        warnings: vec!["The group \"Donors\" mails everyone who joins it.".to_owned()],
        summary: Summary {
            groups_created: 1,
            groups_updated: 1,
            groups_adopted: 1,
            groups_archived: 1,
            groups_deleted: 0,
            members_created: 2,
            members_updated: 2,
            memberships_added: 2,
            memberships_removed: 1,
            opt_outs: 3,
        },
        ..empty_plan()
    };
    let addresses = [
        "ana@example.org",
        "bo@example.org",
        "cy@example.org",
        "dee@example.org",
        "eve@example.org",
    ];
    let mut planned = planned(&addresses, plan);
    planned.created_values = [(ana, record(&[("firstName", "Ana")]))].into();
    planned.cost = Cost {
        requests: [("mail".to_owned(), 6)].into(),
        reads: [("crm".to_owned(), 3), ("mail".to_owned(), 9)].into(),
        estimated_seconds: 4,
        ..Cost::default()
    };
    planned
}

/// Runs a writer and returns what it wrote, without colours.
pub(super) fn written(
    write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

#[test]
fn a_plan_reads_from_opt_outs_to_the_last_line() {
    insta::assert_snapshot!(written(|out| write_plan_text(out, &full_plan(), false)), @r#"
    Plan for crm-to-mail: crm → mail

    Opt-outs  carried before anything else
      x 2 people out of the whole account
          dee@example.org
          eve@example.org
      x 1 person out of "Staff"
          cy@example.org

    Custom fields  created at the target
      + Shoe size

    Groups
      ~ Board                   change: is renamed to "Trustees", by way of "Trustees (renaming)"
          notes  "old" → "new"
      + Donors                  create
          groupName  "Donors"
          protected  true
      = Friends <&>             adopt: group 4715 at the target is linked and left as it is
      ! Former \u{202e}members  archive: its protection, which rosterd itself had set, is lifted first

    Members  1 person is new to the target (marked *)
      Donors  +2
        + ana@example.org *
        + bo@example.org
      Staff   −1
        − bo@example.org

    Created only to hold an opt-out  in no group, never mailed
      x eve@example.org

    New people  2 people of 2 kinds by the fields that are written
      + 1 person with 0 fields, for example eve@example.org
      + 1 person with 1 field, for example ana@example.org
          firstName  "Ana"

    Profiles  2 changes of 1 person
      ~ bo@old.example.org → bo@example.org  address
          firstName  (empty) → "Bo"
          phone      "555 0100" → (empty)

    Withheld  3 items, on purpose; nobody needs to act
      o opted_out_at_target      2  they refuse mail at the target, for example cy@example.org in "Donors"
      o protected                1  the group is protected, for example group "Former \u{202e}members"

    Blocked  1 item, waiting for a person
      x bad_address  1
          579a0303 (no address) [id 17]: the contact has no address that mail could be sent to
          remedy: correct the person's e-mail address at the source, or leave such people out with `jobs.crm-to-mail.members.where`

    Losses  what the target can't hold; where possible rosterd remembers it
      - sender_email (group): 12 values, for example "ops@example.org"; emfluence groups have no such field

    Warnings
      ! The group "Donors" mails everyone who joins it.

    Refused  nothing is written until a person approves
      3 opt-outs wait behind this refusal.
      x max_membership_removals: 120 removals of 900 active memberships exceed the limit of 10%
          value 120 of 900, limit 10%, key jobs.crm-to-mail.guards.max_membership_removals
      To let these operations and no others of their kind pass, once and within seven days:
          rosterd sync crm-to-mail --approve 0123456789ab

    Cost: 6 requests to mail, about 4 s at the provider's pace. Reading took 3 requests of crm and 9 requests of mail.

    Plan: 3 opt-outs to carry, 1 group to create, 1 group to change, 1 group to adopt, 2 people to create, 2 profile changes to make, 2 memberships to add, 1 membership to remove, 1 group to archive. Refused by a guard.
    "#);
}

#[test]
fn a_part_of_a_plan_holds_what_concerns_it_and_adds_up() {
    let mut planned = full_plan();
    planned.plan.pairs[4].name = "Staff".to_owned();
    let one = |asked: &str, people: &[u32], pairs: &[u32]| Meant {
        asked: asked.to_owned(),
        people: people.iter().map(|at| PersonIx(*at)).collect(),
        pairs: pairs.iter().map(|at| PairIx(*at)).collect(),
        is_shown: true,
    };
    let meant = [
        one("Staff", &[], &[1, 4]),
        one("dee@example.org", &[3], &[]),
        one("eve@example.org", &[4], &[]),
        one("Nothing", &[], &[]),
    ];
    narrow(&mut planned, &meant);
    tell_twins_apart(&mut planned.plan);
    insta::assert_snapshot!(written(|out| write_plan_text(out, &planned, false)), @r#"
    Plan for crm-to-mail: crm → mail
    Only "Staff", dee@example.org, eve@example.org and "Nothing": shows 6 of 14 operations, 1 of 3 withheld items, 0 of 1 blocked item, 0 of 1 loss and 0 of 1 warning. What concerns others as well is cut to what was asked for.
    Nothing in this plan concerns "Nothing".

    Opt-outs  carried before anything else
      x 2 people out of the whole account
          dee@example.org
          eve@example.org
      x 1 person out of "Staff [id 4712]"
          cy@example.org

    Groups
      = Staff [id 4715]  adopt: group 4715 at the target is linked and left as it is

    Members
      Staff [id 4712]  −1
        − bo@example.org

    Created only to hold an opt-out  in no group, never mailed
      x eve@example.org

    New people  1 person, all with the same fields
      + 1 person with 0 fields, for example eve@example.org

    Withheld  1 item, on purpose; nobody needs to act
      o opted_out_at_target      1  they refuse mail at the target, for example cy@example.org in "Staff [id 4712]"

    Refused  nothing is written until a person approves
      3 opt-outs wait behind this refusal.
      x max_membership_removals: 120 removals of 900 active memberships exceed the limit of 10%
          value 120 of 900, limit 10%, key jobs.crm-to-mail.guards.max_membership_removals
      To let these operations and no others of their kind pass, once and within seven days:
          rosterd sync crm-to-mail --approve 0123456789ab

    Shown, of 14 operations: 3 opt-outs to carry, 1 group to adopt, 1 person to create, 1 membership to remove. Refused by a guard.
    The whole plan: 3 opt-outs to carry, 1 group to create, 1 group to change, 1 group to adopt, 2 people to create, 2 profile changes to make, 2 memberships to add, 1 membership to remove, 1 group to archive.
    "#);
    let json = written(|out| write_plan_json(out, &planned));
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["unconcerned"], serde_json::json!(["Nothing"]));
    assert_eq!(document["whole"]["operations"], 14);
    assert_eq!(document["summary"]["opt_outs"]["carry"], 3);
    assert_eq!(document["summary"].get("requests"), None);
    assert_eq!(document.get("basis"), None);
    assert!(is_sealed(json.as_bytes()).unwrap());
}

#[test]
fn a_plan_is_one_json_document_without_clock_and_run() {
    insta::assert_snapshot!(written(|out| write_plan_json(out, &full_plan())).replace('\u{202e}', "[202e]"), @r#"
    {
     "version":1,
     "job":"crm-to-mail",
     "fingerprint":"f1e2",
     "summary":{
      "groups":{"create":1,"update":1,"adopt":1,"archive":1,"delete":0},
      "members":{"create":2,"update":2},
      "memberships":{"add":2,"remove":1},
      "opt_outs":{"carry":3},
      "withheld":3,
      "blocked":1,
      "changed_outside":0,
      "losses":1,
      "requests":{"mail":6},
      "reads":{"crm":3,"mail":9},
      "estimated_seconds":4},
     "operations":[
      {"seq":1,"op":"create_field","label":"Shoe size"},
      {"seq":2,"op":"set_opt_out","scope":"account","members":["dee@example.org"]},
      {"seq":3,"op":"set_opt_out","group":"Staff","id":"4712","source_id":"2","scope":"group","members":["cy@example.org"]},
      {"seq":4,"op":"rename_group","group":"Trustees","id":"4713","source_id":"3","from":"Board","to":"Trustees","via":"Trustees (renaming)","fields":{"groupName":"Trustees","notes":"new"},"before":{"groupName":"Board","notes":"old"}},
      {"seq":5,"op":"create_group","group":"Donors","source_id":"9985","fields":{"groupName":"Donors","protected":true}},
      {"seq":6,"op":"adopt_group","group":"Friends <&>","id":"4715","source_id":"5","fields":{},"before":{}},
      {"seq":7,"op":"change_address","member":"bo@example.org","from":"bo@old.example.org","to":"bo@example.org"},
      {"seq":8,"op":"update_member","member":"bo@example.org","fields":{"firstName":"Bo","phone":""},"before":{"phone":"555 0100"}},
      {"seq":9,"op":"create_members","members":["eve@example.org"],"to_opt_out":true,"rows":[{"member":"eve@example.org","fields":{}}]},
      {"seq":10,"op":"set_opt_out","scope":"account","members":["eve@example.org"]},
      {"seq":11,"op":"create_members","members":["ana@example.org"],"rows":[{"member":"ana@example.org","fields":{"firstName":"Ana"}}]},
      {"seq":12,"op":"add_memberships","group":"Donors","source_id":"9985","members":["ana@example.org","bo@example.org"]},
      {"seq":13,"op":"remove_memberships","group":"Staff","id":"4712","source_id":"2","members":["bo@example.org"]},
      {"seq":14,"op":"archive_group","group":"Former [202e]members","id":"4714","lift_protection":true}],
     "withheld":[
      {"what":"membership","group":"Donors","member":"cy@example.org","reason":"opted_out_at_target"},
      {"what":"membership","group":"Staff","member":"cy@example.org","reason":"opted_out_at_target"},
      {"what":"group","group":"Former [202e]members","reason":"protected"}],
     "blocked":[
      {"item":"579a0303","what":"member","member":"","id":"17","reason":"bad_address","detail":"the contact has no address that mail could be sent to","remedy":"correct the person's e-mail address at the source, or leave such people out with `jobs.crm-to-mail.members.where`"}],
     "refusals":[
      {"guard":"max_membership_removals","value":120,"of":900,"limit":"10%","key":"jobs.crm-to-mail.guards.max_membership_removals","approval":"0123456789ab","explanation":"120 removals of 900 active memberships exceed the limit of 10%"}],
     "changed_outside":[],
     "losses":[
      {"field":"sender_email","count":12,"example":"ops@example.org","object":"group","reason":"emfluence groups have no such field","examples":["ops@example.org"]}],
     "warnings":[
      "The group \"Donors\" mails everyone who joins it."],
     "source":"crm",
     "target":"mail",
     "first_run":false,
     "waiting_opt_outs":3,
     "basis":{
      "config":"",
      "last_run":"",
      "operations":[]},
     "seal":"20e8ddfe554d2984810fbdb239dc2e8d"}
    "#);
}

#[test]
fn the_keys_of_a_plan_keep_their_order() {
    let text = written(|out| write_plan_json(out, &full_plan()));
    let keys: Vec<usize> = [
        "version",
        "job",
        "fingerprint",
        "summary",
        "operations",
        "withheld",
        "blocked",
        "refusals",
        "losses",
        "warnings",
    ]
    .iter()
    .map(|key| {
        text.find(&format!("\n \"{key}\":"))
            .unwrap_or_else(|| panic!("{key} is missing"))
    })
    .collect();
    assert!(keys.is_sorted());
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sequence: Vec<u64> = value["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(sequence, (1..=14).collect::<Vec<u64>>());
}

/// Makes a plan that creates people, each with as many fields as its number asks for.
pub(super) fn creating(fields_of: &[usize]) -> Planned {
    let addresses: Vec<String> = (0..fields_of.len())
        .map(|at| format!("p{at:03}@example.org"))
        .collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let members: Vec<PersonIx> = (0..).take(fields_of.len()).map(PersonIx).collect();
    let plan = Plan {
        operations: vec![Edit::CreateMembers {
            members: members.clone(),
            to_opt_out: false,
        }],
        ..empty_plan()
    };
    let mut made = planned(&addresses, plan);
    let values = |number: usize| -> Record {
        (0..number)
            .map(|field| {
                (
                    format!("field{field:02}").as_str().into(),
                    "\u{1b}[2Jx".into(),
                )
            })
            .collect()
    };
    made.created_values = members
        .into_iter()
        .zip(fields_of.iter().map(|number| values(*number)))
        .collect();
    made
}

#[test]
fn a_plan_shows_one_new_person_of_each_kind_and_with_verbose_everybody() {
    let made = creating(&[1, 2, 2]);
    let short = written(|out| write_plan_text(out, &made, false));
    assert!(short.contains("New people  3 people of 2 kinds"), "{short}");
    assert!(
        short.contains("  + 2 people with 2 fields, for example p001@example.org\n      field00  "),
        "{short}"
    );
    assert!(!short.contains("p002@"), "{short}");
    assert!(!short.contains('\u{1b}'), "{short}");
    let long = written(|out| write_plan_text(out, &made, true));
    for person in ["p000@", "p001@", "p002@"] {
        assert!(
            long.contains(&format!("  + {person}example.org\n      field00  ")),
            "{long}"
        );
    }
}

#[test]
fn the_kinds_of_new_people_that_are_left_out_are_counted_with_their_people() {
    let fields_of: Vec<usize> = (1..=12).chain(1..=10).collect();
    let short = written(|out| write_plan_text(out, &creating(&fields_of), false));
    assert!(short.contains("22 people of 12 kinds"), "{short}");
    assert_eq!(short.matches("  + 2 people with ").count(), 10, "{short}");
    assert!(short.contains("… and 2 people of 2 kinds more"), "{short}");
}

#[test]
fn a_plan_ends_with_the_next_command_unless_a_guard_refuses_it() {
    let mut made = creating(&[1]);
    let text = written(|out| write_plan_text(out, &made, false));
    let last = text.trim_end().lines().last().unwrap();
    for command in [
        "`rosterd sync crm-to-mail`",
        "`rosterd plan crm-to-mail --out FILE`",
        "`rosterd apply FILE`",
    ] {
        assert!(last.contains(command), "{last}");
    }
    made.plan.refusals = vec![refusal()];
    let text = written(|out| write_plan_text(out, &made, false));
    assert!(!text.contains("Next:"), "{text}");
    assert!(
        text.contains("rosterd sync crm-to-mail --approve"),
        "{text}"
    );
}

#[test]
fn a_line_that_keeps_several_losses_in_a_row_is_said_once() {
    let mut made = planned(&[], empty_plan());
    let with = |field: &str, remedy: Option<&str>| Loss {
        field: field.to_owned(),
        remedy: remedy.map(str::to_owned),
        ..loss()
    };
    let line = Some("create_fields = true");
    made.plan.losses = vec![with("a", line), with("b", line), with("c", None)];
    let text = written(|out| write_plan_text(out, &made, false));
    assert_eq!(
        text.matches("to keep it: create_fields = true").count(),
        1,
        "{text}"
    );
    let (before, _) = text.split_once("to keep it").unwrap();
    assert!(
        before.contains("- b (group)") && !before.contains("- c (group)"),
        "{text}"
    );
}

#[test]
fn a_changed_value_of_somebody_new_breaks_the_seal() {
    let text = written(|out| write_plan_json(out, &full_plan()));
    assert!(is_sealed(text.as_bytes()).unwrap());
    let edited = text.replace(r#"{"firstName":"Ana"}"#, r#"{"firstName":"Eva"}"#);
    assert_ne!(edited, text);
    assert!(!is_sealed(edited.as_bytes()).unwrap());
}

#[test]
fn an_empty_plan_says_so() {
    insta::assert_snapshot!(written(|out| write_plan_text(out, &planned(&[], empty_plan()), false)), @r"
    Plan for crm-to-mail: crm → mail

    Nothing to do.
    ");
}

#[test]
fn long_lists_are_cut_unless_all_is_wanted() {
    let addresses: Vec<String> = (10..40)
        .map(|number| format!("p{number}@example.org"))
        .collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let members: Vec<PersonIx> = (0..30).map(PersonIx).collect();
    let plan = Plan {
        pairs: vec![pair("1", Some("2"), "Donors")],
        operations: vec![Edit::AddMemberships {
            pair: PairIx(0),
            members,
        }],
        ..empty_plan()
    };
    let planned = planned(&addresses, plan);
    let short = written(|out| write_plan_text(out, &planned, false));
    assert_eq!(short.matches("@example.org").count(), 10);
    assert!(short.contains("… and 20 more (-v shows all)"), "{short}");
    let long = written(|out| write_plan_text(out, &planned, true));
    assert_eq!(long.matches("@example.org").count(), 30);
}

pub(super) fn start() -> Timestamp {
    "2026-03-01T06:00:00Z".parse().unwrap()
}

pub(super) fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn report(outcome: Outcome) -> RunReport {
    RunReport {
        run: "20260301T060000Z-abc123".to_owned(),
        job: "crm-to-mail".to_owned(),
        started: start(),
        finished: after(65),
        outcome,
        summary: Summary {
            groups_created: 1,
            memberships_added: 5,
            opt_outs: 1,
            ..Summary::default()
        },
        withheld: 3,
        withheld_by_reason: [("opted_out_at_target", 2), ("unconfirmed", 1)].into(),
        blocked: vec![blocked()],
        failures: vec![ItemFailure {
            untold: false,
            op: "add_memberships".to_owned(),
            group: Some("Donors".to_owned()),
            member: Some("ana@example.org".to_owned()),
            code: Some("402".to_owned()),
            message: "Invalid \u{1b}[2Jcontact".to_owned(),
        }],
        refusals: Vec::new(),
        approved: None,
        waiting_opt_outs: 0,
        requests: [("mail".to_owned(), 6)].into(),
        reads: [("crm".to_owned(), 3)].into(),
        warnings: Vec::new(),
        error: None,
        losses: vec![loss()],
        accepted: BTreeSet::new(),
        migration: None,
    }
}

#[test]
fn a_run_says_what_was_done_and_what_needs_a_person() {
    insta::assert_snapshot!(written(|out| write_run_text(out, &report(Outcome::Partial), false)), @r#"
    crm-to-mail  run 20260301T060000Z-abc123, 1 min 5 s
      * 1 opt-out carried
      * 1 group created
      * 5 memberships added
      o 3 withheld on purpose: 2 opted_out_at_target, 1 unconfirmed

    Refused by the provider  1 item
      x b6296019 add_memberships ana@example.org in "Donors": [402] Invalid \u{1b}[2Jcontact

    Blocked  1 item, waiting for a person
      x bad_address  1
          579a0303 (no address) [id 17]: the contact has no address that mail could be sent to
          remedy: correct the person's e-mail address at the source, or leave such people out with `jobs.crm-to-mail.members.where`

    Losses  what the target can't hold; where possible rosterd remembers it
      - sender_email (group): 12 values, for example "ops@example.org"; emfluence groups have no such field

    Sent 3 requests reading crm and 6 requests writing to mail.

    Finished, and 2 items need a person.
    "#);
}

#[test]
fn a_refused_run_names_the_opt_outs_that_wait_first() {
    let refused = RunReport {
        summary: Summary::default(),
        blocked: Vec::new(),
        failures: Vec::new(),
        refusals: vec![refusal()],
        waiting_opt_outs: 2,
        error: Some("this approval is older than seven days, so the refusal stands".to_owned()),
        ..report(Outcome::Refused)
    };
    insta::assert_snapshot!(written(|out| write_run_text(out, &refused, false)), @r#"
    crm-to-mail  run 20260301T060000Z-abc123, 1 min 5 s
      o 3 withheld on purpose: 2 opted_out_at_target, 1 unconfirmed

    Losses  what the target can't hold; where possible rosterd remembers it
      - sender_email (group): 12 values, for example "ops@example.org"; emfluence groups have no such field

    Refused  nothing is written until a person approves
      2 opt-outs wait behind this refusal.
      x max_membership_removals: 120 removals of 900 active memberships exceed the limit of 10%
          value 120 of 900, limit 10%, key jobs.crm-to-mail.guards.max_membership_removals
      To let these operations and no others of their kind pass, once and within seven days:
          rosterd sync crm-to-mail --approve 0123456789ab

    Sent 3 requests reading crm and 6 requests writing to mail.

    Refused: nothing was written. This approval is older than seven days, so the refusal stands.
    "#);
}

#[test]
fn runs_are_json_alone_and_as_a_list() {
    let result = JobResult::Report(Box::new(report(Outcome::Partial)));
    insta::assert_snapshot!(written(|out| write_run_json(out, &result)), @r#"
    {
     "version":1,
     "run":"20260301T060000Z-abc123",
     "job":"crm-to-mail",
     "started":"2026-03-01T06:00:00Z",
     "finished":"2026-03-01T06:01:05Z",
     "outcome":"partial",
     "exit_code":4,
     "summary":{
      "groups":{"create":1,"update":0,"adopt":0,"archive":0,"delete":0},
      "members":{"create":0,"update":0},
      "memberships":{"add":5,"remove":0},
      "opt_outs":{"carry":1}},
     "withheld":3,
     "blocked":[
      {"item":"579a0303","what":"member","member":"","id":"17","reason":"bad_address","detail":"the contact has no address that mail could be sent to","remedy":"correct the person's e-mail address at the source, or leave such people out with `jobs.crm-to-mail.members.where`"}],
     "failures":[
      {"item":"b6296019","op":"add_memberships","group":"Donors","member":"ana@example.org","code":"402","message":"Invalid \u001b[2Jcontact"}],
     "accepted":0,
     "refusals":[],
     "approved":null,
     "requests":{
      "mail":6},
     "reads":{
      "crm":3},
     "withheld_by_reason":{
      "opted_out_at_target":2,
      "unconfirmed":1},
     "waiting_opt_outs":0,
     "losses":[
      {"field":"sender_email","count":12,"example":"ops@example.org","object":"group","reason":"emfluence groups have no such field","examples":["ops@example.org"]}],
     "warnings":[]}
    "#);
    let busy = JobResult::NoRun {
        job: "mail-to-crm".to_owned(),
        outcome: "busy",
        exit_code: 5,
        error: "in use".to_owned(),
    };
    let list: serde_json::Value =
        serde_json::from_str(&written(|out| write_runs_json(out, &[result, busy]))).unwrap();
    assert_eq!(list["version"], 1);
    assert_eq!(list["runs"][0]["outcome"], "partial");
    assert_eq!(
        list["runs"][1],
        serde_json::json!({"job": "mail-to-crm", "outcome": "busy", "exit_code": 5, "error": "in use"})
    );
}

pub(super) fn run_record(outcome: Option<state::Outcome>) -> state::RunRecord {
    state::RunRecord {
        id: "20260301T060000Z-abc123".to_owned(),
        job: "crm-to-mail".to_owned(),
        trigger: "manual".to_owned(),
        started: start(),
        finished: outcome.map(|_| after(65)),
        outcome,
        exit_code: outcome.map(|_| 0),
        wrote: true,
        summary: summary_json(&Summary {
            memberships_added: 5,
            ..Summary::default()
        }),
        error: None,
        measure: None,
        approved: None,
    }
}

#[test]
fn why_a_run_ended_is_told_whole_and_under_its_own_label() {
    let why = "the provider said so at great length, ".repeat(4);
    let head = |run: &state::RunRecord| {
        let filter = ItemFilter::default();
        written(|out| write_show_text(out, run, std::iter::empty(), &filter, false, &TimeZone::UTC))
    };
    let mut run = run_record(Some(state::Outcome::Failed));
    run.error = Some(why.clone());
    let text = head(&run);
    assert!(
        text.contains("\n  done      5 memberships added\n"),
        "{text}"
    );
    assert!(text.contains(&format!("\n  error     {why}\n")), "{text}");
    // A refusal of before its guards were kept.
    run.outcome = Some(state::Outcome::Refused);
    assert!(
        head(&run).contains(&format!("\n  refused   {why}\n")),
        "{text}"
    );
}

#[test]
fn the_history_is_a_table_and_a_list() {
    let runs = [run_record(Some(state::Outcome::Done)), run_record(None)];
    insta::assert_snapshot!(written(|out| write_history_text(out, &runs, &TimeZone::UTC)), @"
    RUN                      JOB          STARTED                  TOOK       TRIGGER  OUTCOME  DONE
    20260301T060000Z-abc123  crm-to-mail  2026-03-01 06:00:00 UTC  1 min 5 s  manual   done     5 memberships added
    20260301T060000Z-abc123  crm-to-mail  2026-03-01 06:00:00 UTC  -          manual   running  5 memberships added
    ");
    let value: serde_json::Value =
        serde_json::from_str(&written(|out| write_history_json(out, &runs))).unwrap();
    assert_eq!(value["runs"][0]["summary"]["memberships"]["add"], 5);
    assert_eq!(value["runs"][1]["outcome"], "running");
}

#[test]
fn one_run_is_shown_item_by_item() {
    let items = [state::RunItem {
        seq: 2,
        op: "update_member".to_owned(),
        member: Some("bo@example.org".to_owned()),
        outcome: "failed".to_owned(),
        message: Some("No.".to_owned()),
        fields: state::FieldChanges::from([(
            "phone".into(),
            state::FieldChange {
                before: Some("555 0100".into()),
                is_before_known: true,
                after: None,
            },
        )]),
        ..state::RunItem::default()
    }];
    let run = run_record(Some(state::Outcome::Partial));
    let shown = |filter: &ItemFilter| {
        let items = items.iter().cloned();
        written(|out| write_show_text(out, &run, items, filter, true, &TimeZone::UTC))
    };
    insta::assert_snapshot!(shown(&ItemFilter::default()), @r#"
    Run 20260301T060000Z-abc123 of crm-to-mail: partial
      started   2026-03-01 06:00:00 UTC (manual)
      finished  2026-03-01 06:01:05 UTC, after 1 min 5 s
      exit code 0
      done      5 memberships added

      x    2  update_member  bo@example.org  failed: No.
                phone: "555 0100" → (empty)

    1 item.
    "#);
    let eve = ItemFilter {
        member: Some("eve@example.org".to_owned()),
        ..ItemFilter::default()
    };
    assert!(shown(&eve).ends_with("\n\n0 of 1 item.\n"));
    let value: serde_json::Value = serde_json::from_str(&written(|out| {
        write_show_json(out, &run, items.iter().cloned())
    }))
    .unwrap();
    assert_eq!(value["run"], "20260301T060000Z-abc123");
    assert_eq!(value["items"][0]["message"], "No.");
    assert_eq!(value["items"][0]["fields"]["phone"]["before"], "555 0100");
}

#[test]
fn a_run_is_shown_by_group_with_counts_that_add_up() {
    let item = |op: &str, group: &str, member: &str| state::RunItem {
        op: op.to_owned(),
        group: Some(group.to_owned()).filter(|group| !group.is_empty()),
        member: Some(member.to_owned()).filter(|member| !member.is_empty()),
        outcome: "done".to_owned(),
        ..state::RunItem::default()
    };
    let mut items = vec![
        item("set_opt_out", "", "zoe@example.org"),
        item("create_group", "Donors", ""),
        item("create_members", "", "ana@example.org"),
        item("remove_memberships", "Donors", "cy@example.org"),
    ];
    items.extend((0..12).map(|at| {
        item(
            "add_memberships",
            "Donors",
            &format!("m{at:02}@example.org"),
        )
    }));
    items.push(state::RunItem {
        outcome: "failed".to_owned(),
        message: Some("No, thanks.\u{1b}[2J".to_owned()),
        ..item("add_memberships", "Donors", "bo@example.org")
    });
    items.push(item("unheard_of", "Donors", "bo@example.org"));
    let run = run_record(Some(state::Outcome::Partial));
    let shown = |filter: &ItemFilter| {
        let items = items.iter().cloned();
        written(|out| write_show_text(out, &run, items, filter, false, &TimeZone::UTC))
    };
    let body = |text: String| text.split_once("added\n\n").unwrap().1.to_owned();
    insta::assert_snapshot!(body(shown(&ItemFilter::default())), @r#"
    The account
      + 1 opted out: zoe@example.org
      + 1 created: ana@example.org

    "Donors"
      + group created
      + 12 joined: m00@example.org, m01@example.org, m02@example.org … and 9 more (-v shows all)
      x 1 not joined
          bo@example.org: No, thanks.\u{1b}[2J
      - 1 removed: cy@example.org
      + 1 unheard_of done: bo@example.org

    18 items.
    "#);
    let failed = ItemFilter {
        group: Some("Donors".to_owned()),
        outcome: Some("failed".to_owned()),
        ..ItemFilter::default()
    };
    insta::assert_snapshot!(body(shown(&failed)), @r#"
    "Donors"
      x 1 not joined
          bo@example.org: No, thanks.\u{1b}[2J

    1 of 18 items.
    "#);
}

#[test]
fn a_job_is_what_its_last_run_and_its_lock_say() {
    use state::Outcome::{Busy, Done, Failed, Partial, Refused};

    let status = |outcome: Option<state::Outcome>, failures: u32| state::JobStatus {
        last_run: Some(run_record(outcome)),
        refused: (outcome == Some(Refused)).then(|| run_record(outcome)),
        consecutive_failures: failures,
        last_fire: None,
    };
    for (outcome, failures, paused, running, expected) in [
        (Some(Done), 0, false, false, JobState::Ok),
        (Some(Partial), 0, false, false, JobState::Ok),
        (Some(Busy), 0, false, false, JobState::Ok),
        (Some(Busy), 3, false, false, JobState::Failing),
        (Some(Failed), 1, false, false, JobState::Failing),
        (Some(Refused), 0, false, false, JobState::Refused),
        (Some(Refused), 0, true, false, JobState::Paused),
        (None, 0, true, true, JobState::Running),
        (None, 0, false, false, JobState::Failing),
    ] {
        assert_eq!(
            JobState::of(&status(outcome, failures), paused, running),
            expected,
            "{outcome:?}"
        );
    }
    assert_eq!(
        JobState::of(&state::JobStatus::default(), false, false),
        JobState::Ok
    );
}

fn job_rows() -> Vec<JobRow> {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let row = JobRow {
        job: "crm-to-mail".to_owned(),
        state: JobState::Ok,
        schedule: Some("*/15 * * * *".to_owned()),
        enabled: true,
        runs_here: true,
        next: vec![after(900), after(1800)],
        zone,
        paused: None,
        last_run: Some(run_record(Some(state::Outcome::Done))),
        refused: None,
        failures: 0,
        waiting: state::Waiting::default(),
        undo_open: None,
        under_way: None,
    };
    let by_hand = JobRow {
        job: "mail-to-crm".to_owned(),
        schedule: None,
        next: Vec::new(),
        state: JobState::Paused,
        paused: Some(state::PausedRecord {
            reason: "holidays".to_owned(),
            since: start(),
        }),
        last_run: None,
        ..row.clone()
    };
    vec![row, by_hand]
}

fn status_of(jobs: &[JobRow], life: Life) -> ServiceStatus {
    ServiceStatus {
        life,
        wrong_config: None,
        channels: Vec::new(),
        jobs: jobs.to_vec(),
    }
}

fn service(heard: i64, stopped: Option<i64>) -> state::ServiceRecord {
    state::ServiceRecord {
        pid: 7,
        started: after(-7200),
        heard: after(heard),
        stopped: stopped.map(after),
    }
}

#[test]
fn status_and_schedule_are_tables_and_lists() {
    let life = Life::of(Some(service(116, None)), after(120));
    insta::assert_snapshot!(written(|out| write_status_text(out, &status_of(&job_rows(), life), after(120))), @"
    The service is running: started 2 h 2 min ago, heard from 4 s ago.

    JOB          STATE   NEXT                                 LAST RUN
    crm-to-mail  ok      2026-03-01 07:15:00 CET (in 13 min)  done 55 s ago
    mail-to-crm  paused  by hand only                         never

    mail-to-crm is paused since 2026-03-01 07:00:00 CET: holidays
    ");
    insta::assert_snapshot!(written(|out| write_schedule_text(out, &job_rows(), Some(life), after(120))), @"
    crm-to-mail: */15 * * * * in Europe/Berlin
      2026-03-01 07:15:00 CET  in 13 min
      2026-03-01 07:30:00 CET  in 28 min
    mail-to-crm: by hand only
    ");
    let value: serde_json::Value = serde_json::from_str(&written(|out| {
        write_status_json(out, &status_of(&job_rows(), life), after(120))
    }))
    .unwrap();
    assert_eq!(value["service"]["state"], "alive");
    assert_eq!(value["jobs"][0]["state"], "ok");
    assert_eq!(value["jobs"][0]["next"], "2026-03-01T06:15:00Z");
    assert_eq!(value["jobs"][1]["paused_reason"], "holidays");
    let value: serde_json::Value =
        serde_json::from_str(&written(|out| write_schedule_json(out, &job_rows(), life))).unwrap();
    assert_eq!(value["jobs"][0]["time_zone"], "Europe/Berlin");
    assert_eq!(value["jobs"][0]["next"].as_array().unwrap().len(), 2);
}

/// Nobody waits for a fire that no service takes.
#[test]
fn without_a_service_status_and_schedule_promise_no_fire() {
    for (service, says) in [
        (None, "it never ran with this state database"),
        (
            Some(service(-3480, None)),
            "it was heard last 1 h ago, and did not say that it stops",
        ),
        (Some(service(0, Some(0))), "it stopped 2 min ago"),
    ] {
        let life = Life::of(service, after(120));
        let text = written(|out| write_status_text(out, &status_of(&job_rows(), life), after(120)));
        assert!(text.contains("The service is not running"), "{text}");
        assert!(
            text.contains(says) && text.contains("`rosterd run`"),
            "{text}"
        );
        assert!(
            text.contains("no service") && !text.contains("07:15"),
            "{text}"
        );
        let text = written(|out| write_schedule_text(out, &job_rows(), Some(life), after(120)));
        assert!(text.starts_with("The service is not running"), "{text}");
        let json = written(|out| write_status_json(out, &status_of(&job_rows(), life), after(120)));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["jobs"][0]["next"], serde_json::Value::Null);
        assert_eq!(json["needs_a_person"], true);
        let schedule = written(|out| write_schedule_json(out, &job_rows(), life));
        let schedule: serde_json::Value = serde_json::from_str(&schedule).unwrap();
        assert_eq!(schedule["service"], json["service"]);
        // Jobs that run by hand only want none.
        let by_hand = &job_rows()[1..];
        assert!(!status_of(by_hand, life).needs_a_person());
    }
}

#[test]
fn status_shows_how_far_a_run_has_come() {
    let mut rows = job_rows();
    let mut run = run_record(None);
    run.finished = None;
    rows[0].state = JobState::Running;
    rows[0].last_run = Some(run);
    rows[0].under_way = Some(state::UnderWay {
        job: "crm-to-mail".to_owned(),
        run: "20260301T060000Z-1a2b3c".to_owned(),
        pid: 7,
        phase: "Reading members of crm".to_owned(),
        phase_began: after(10),
        done: 120,
        expected: 400,
        left_for: Some(190),
        rests_for: 0,
        heard: after(118),
    });
    let life = Life::of(Some(service(116, None)), after(120));
    let shown = |rows: &[JobRow], now| {
        let text = written(|out| write_status_text(out, &status_of(&rows[..1], life), now));
        text.lines().last().unwrap().to_owned()
    };
    insta::assert_snapshot!(shown(&rows, after(120)), @"crm-to-mail: run 20260301T060000Z-abc123 has gone on for 2 min: Reading members of crm, 120 of about 400 requests, about 3 min 10 s left.");
    insta::assert_snapshot!(shown(&rows, after(400)), @"crm-to-mail: run 20260301T060000Z-abc123 has gone on for 6 min 40 s: Reading members of crm, 120 of about 400 requests, about 3 min 10 s left; this was so 4 min 42 s ago.");
    let value: serde_json::Value = serde_json::from_str(&written(|out| {
        write_status_json(out, &status_of(&rows, life), after(120))
    }))
    .unwrap();
    let progress = &value["jobs"][0]["progress"];
    assert_eq!(progress["requests_done"], 120);
    assert_eq!(progress["requests_expected"], 400);
    assert_eq!(progress["seconds_left"], 190);
    assert_eq!(progress["stale"], false);
    rows[0].under_way = None;
    insta::assert_snapshot!(shown(&rows, after(120)), @"crm-to-mail: run 20260301T060000Z-abc123 has gone on for 2 min.");
}

#[test]
fn a_service_without_a_fire_says_so_and_names_the_line_to_add() {
    let life = Life::of(Some(service(116, None)), after(120));
    let mut rows = job_rows();
    let said = |rows: &[JobRow]| {
        let text = written(|out| write_status_text(out, &status_of(rows, life), after(120)));
        text.lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(said(&rows), "");
    insta::assert_snapshot!(said(&rows[1..]), @r#"Nothing will ever fire: no job has a schedule; add `schedule = "*/15 * * * *"` below `[jobs.mail-to-crm]`."#);
    rows[0].paused = rows[1].paused.clone();
    insta::assert_snapshot!(said(&rows), @"Nothing will ever fire: every job that has a schedule is paused or disabled; `rosterd resume crm-to-mail` ends a pause.");
    rows[0].enabled = false;
    insta::assert_snapshot!(said(&rows), @"Nothing will ever fire: every job that has a schedule is disabled; `enabled = true` in the config changes that.");
}

#[test]
fn status_names_what_waits_and_the_command_that_settles_it() {
    let mut rows = job_rows();
    rows[0].state = JobState::Refused;
    rows[0].failures = 3;
    rows[0].waiting = state::Waiting {
        open: 2,
        blocked: 1,
        accepted: 1,
        approval: Some("b7f3c1ab".to_owned()),
    };
    let life = Life::of(Some(service(116, None)), after(120));
    assert!(status_of(&rows, life).needs_a_person());
    assert!(!status_of(&job_rows(), life).needs_a_person());
    insta::assert_snapshot!(written(|out| write_status_text(out, &status_of(&rows[..1], life), after(120))), @"
    The service is running: started 2 h 2 min ago, heard from 4 s ago.

    JOB          STATE    NEXT                                                          LAST RUN
    crm-to-mail  refused  2026-03-01 07:15:00 CET (in 13 min, slowed after 3 failures)  done 55 s ago

    crm-to-mail: a guard refused the last plan; `rosterd plan crm-to-mail` shows it, and `rosterd sync crm-to-mail --approve b7f3c1ab` lets exactly that pass.

    crm-to-mail: 2 items wait for a person, 1 that nobody can sync and 1 that the provider refused; `rosterd failures crm-to-mail` lists them, `rosterd retry crm-to-mail` sends what was refused again now, and `rosterd accept crm-to-mail ID` has one stay as it is.

    crm-to-mail: 1 item is accepted as it is; `rosterd accept crm-to-mail --list` lists it.
    ");
}

/// A service that keeps an old config, or can't tell anybody, looks well in its jobs.
#[test]
fn a_refused_config_and_a_dead_channel_need_a_person_in_every_format() {
    let life = Life::of(Some(service(116, None)), after(120));
    let well = state::ChannelRecord {
        channel: "webhook".to_owned(),
        failing_since: None,
        why: None,
        given_up: 0,
        waiting: 0,
        next_try: None,
    };
    let mut status = status_of(&job_rows(), life);
    status.channels = vec![well.clone()];
    assert!(!status.needs_a_person());
    let waits = state::ChannelRecord {
        failing_since: Some(after(0)),
        why: Some("https://hooks.example.org answered with HTTP 500".to_owned()),
        waiting: 1,
        next_try: Some(after(180)),
        ..well
    };
    status.channels = vec![waits.clone()];
    assert!(!status.needs_a_person(), "it is tried again");
    let json = |status: &ServiceStatus| -> serde_json::Value {
        let text = written(|out| write_status_json(out, status, after(120)));
        serde_json::from_str(&text).unwrap()
    };
    let shown = &json(&status)["channels"][0];
    assert_eq!(shown["channel"], "webhook");
    assert_eq!(shown["failing_since"], "2026-03-01T06:00:00Z");
    assert_eq!(
        (&shown["waiting"], &shown["given_up"]),
        (&1.into(), &0.into())
    );
    let text = written(|out| write_status_text(out, &status, after(120)));
    assert!(text.contains("Nobody is told by webhook"), "{text}");
    let given_up = state::ChannelRecord {
        given_up: 1,
        ..waits
    };
    status.channels = vec![given_up];
    assert_eq!(json(&status)["needs_a_person"], true);
    status.channels.clear();
    status.wrong_config = Some("No such key.".to_owned());
    assert_eq!(json(&status)["needs_a_person"], true);
    assert_eq!(json(&status)["wrong_config"], "No such key.");
}

#[test]
fn what_is_left_to_others_is_said_and_wants_no_service_here() {
    let mut rows = job_rows();
    rows[0].runs_here = false;
    let alive = Life::of(Some(service(116, None)), after(120));
    let text = written(|out| write_status_text(out, &status_of(&rows, alive), after(120)));
    assert!(
        text.contains("left to others") && !text.contains("07:15"),
        "{text}"
    );
    insta::assert_snapshot!(text.lines().nth(1).unwrap(), @r#"Nothing will ever fire: every job that has a schedule is left to others; `jobs = ["*"]` below `[daemon]` has this service run all of them."#);
    let json = written(|out| write_status_json(out, &status_of(&rows, alive), after(120)));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["jobs"][0]["runs_here"], false);
    assert_eq!(json["jobs"][0]["next"], serde_json::Value::Null);
    let never = Life::of(None, after(120));
    assert!(!status_of(&rows, never).needs_a_person());
    insta::assert_snapshot!(written(|out| write_schedule_text(out, &rows[..1], Some(never), after(120))).lines().next().unwrap(), @"crm-to-mail: */15 * * * * in Europe/Berlin (left to others: `jobs` below `[daemon]` does not name it)");
}

#[test]
fn failures_name_age_and_remedy() {
    let failure = state::FailureRecord {
        job: "crm-to-mail".to_owned(),
        note: state::FailureNote {
            key: "add_memberships 1 ana@example.org".to_owned(),
            what: "membership".to_owned(),
            group: Some("Donors".to_owned()),
            member: Some("ana@example.org".to_owned()),
            reason: "value_refused".to_owned(),
            code: Some("402".to_owned()),
            message: "Invalid contact".to_owned(),
            item: "b7f3c1ab".to_owned(),
        },
        blocked: false,
        attempts: 2,
        first_seen: start(),
        next_try: Some(after(3600)),
    };
    insta::assert_snapshot!(written(|out| write_failures_text(out, std::slice::from_ref(&failure), &BTreeSet::new(), after(60))), @r#"
    crm-to-mail
      x b7f3c1ab membership ana@example.org in "Donors": value_refused [402]
          Invalid contact
          first seen 1 min ago, sent 2 times, again in 59 min
          remedy: correct the value at the source, then run `rosterd retry crm-to-mail`
    "#);
    let accepted = [("crm-to-mail".to_owned(), "b7f3c1ab".to_owned())].into();
    let value: serde_json::Value = serde_json::from_str(&written(|out| {
        write_failures_json(out, &[failure], &accepted)
    }))
    .unwrap();
    assert_eq!(
        value["failures"][0]["remedy"],
        "correct the value at the source, then run `rosterd retry crm-to-mail`"
    );
    assert_eq!(value["failures"][0]["attempts"], 2);
    assert_eq!(value["failures"][0]["accepted"], true);
    assert_eq!(value["failures"][0]["item"], "b7f3c1ab");
}

#[test]
fn an_approved_run_says_so_and_never_that_nothing_is_written() {
    let approved = RunReport {
        blocked: Vec::new(),
        failures: Vec::new(),
        withheld: 0,
        approved: Some(Approved {
            id: "0123456789ab".to_owned(),
            refusals: vec![refusal()],
        }),
        ..report(Outcome::Done)
    };
    insta::assert_snapshot!(written(|out| write_run_text(out, &approved, false)), @r#"
    crm-to-mail  run 20260301T060000Z-abc123, 1 min 5 s
      * 1 opt-out carried
      * 1 group created
      * 5 memberships added

    Losses  what the target can't hold; where possible rosterd remembers it
      - sender_email (group): 12 values, for example "ops@example.org"; emfluence groups have no such field

    Approved  by 0123456789ab, which is used up with the first write
      ! max_membership_removals: 120 removals of 900 active memberships exceed the limit of 10%

    Sent 3 requests reading crm and 6 requests writing to mail.

    Done.
    "#);
}

#[test]
fn the_seal_of_a_plan_breaks_with_whatever_is_edited() {
    let text = written(|out| write_plan_json(out, &full_plan()));
    assert!(is_sealed(text.as_bytes()).unwrap());
    let laid_out = text.replace(",\n", ",\r\n\t  ");
    assert!(is_sealed(laid_out.as_bytes()).unwrap());
    // Every letter counts, blanks within texts as well.
    for (at, letter) in text.char_indices() {
        if !letter.is_ascii_graphic() {
            continue;
        }
        let mut edited = text.clone();
        edited.replace_range(at..=at, if letter == 'x' { "y" } else { "x" });
        assert!(!is_sealed(edited.as_bytes()).unwrap(), "{at} {letter}");
    }
    assert!(
        !is_sealed(
            text.replacen("cut off", "cutoff", 1)
                .replacen("Friends <", "Friends<", 1)
                .as_bytes()
        )
        .unwrap()
    );
    for end in [0, 1, text.len() / 2, text.len() - 2] {
        let end = (end..text.len())
            .find(|end| text.is_char_boundary(*end))
            .unwrap();
        assert!(!is_sealed(&text.as_bytes()[..end]).unwrap(), "cut at {end}");
    }
}

#[test]
fn a_limit_that_many_groups_exceed_is_one_line_whose_figures_add_up() {
    let of_group = |number: u64| GuardRefusal {
        guard: "max_membership_removals_per_group",
        group: Some(format!("Group {number}")),
        value: 10 + number,
        of: 20 + number,
        limit: "50%".to_owned(),
        key: "jobs.crm-to-mail.guards.max_membership_removals_per_group".to_owned(),
        explanation: format!("{} removals in \"Group {number}\"", 10 + number),
        approval: "0123456789ab".to_owned(),
    };
    let mut refusals = vec![refusal()];
    refusals.extend((1..=20).map(of_group));
    let told = |verbose| {
        let mut out = Vec::new();
        super::sections::refusals(&mut out, "rosterd sync a", &refusals, 0, verbose).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    };
    insta::assert_snapshot!(told(false), @r#"

    Refused  nothing is written until a person approves
      x max_membership_removals: 120 removals of 900 active memberships exceed the limit of 10%
          value 120 of 900, limit 10%, key jobs.crm-to-mail.guards.max_membership_removals
      x max_membership_removals_per_group: 20 groups exceed the limit of 50% each
          value 410 of 610, limit 50%, key jobs.crm-to-mail.guards.max_membership_removals_per_group
          30 removals in "Group 20"
          29 removals in "Group 19"
          28 removals in "Group 18"
          … and 17 more (-v shows all)
      To let these operations and no others of their kind pass, once and within seven days:
          rosterd sync a --approve 0123456789ab
    "#);
    let all = told(true);
    assert!((1..=20).all(|number| all.contains(&format!("removals in \"Group {number}\"\n"))));
}

#[test]
fn quotes_in_a_name_are_told_from_those_around_it() {
    let name = "A \"B\" C";
    let item = Blocked {
        group: Some(name.to_owned()),
        member: Some("ana@example.org".to_owned()),
        ..blocked()
    };
    let mut out = Vec::new();
    super::sections::blocked(&mut out, "a", &[item], &BTreeSet::new(), true).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(r#"ana@example.org in "A \"B\" C""#), "{text}");
}
