//! Printed results of a plan and a run made by hand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::model::{Existence, Incomplete, Member, MemberStatus, Names, Reading, Record, Snapshot, Value};
use crate::plan::base::{Base, Measure};
use crate::plan::{
    Agreement, Blocked, BlockedReason, Edit, GroupPair, GuardRefusal, Loss, PairIx, People, PersonIx, Plan, Reason, Summary, What, Withheld,
};
use crate::run::{Cost, ItemFailure, Outcome, Planned, RunReport};
use crate::state;

fn incomplete<T>(partial: T) -> Reading<T> {
    Reading::Incomplete(Incomplete { partial, why: Vec::new(), opt_outs_complete: false })
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
    }
}

fn record(pairs: &[(&str, &str)]) -> Record {
    pairs.iter().map(|(field, text)| ((*field).to_owned(), Value::from(*text))).collect()
}

/// Makes a plan for people with these addresses; they have to stand in the order of the alphabet.
fn planned(addresses: &[&str], plan: Plan) -> Planned {
    let mut names = Names::new();
    let rows = addresses.iter().enumerate().map(|(at, address)| Member {
        id: names.intern(&at.to_string()),
        address: Some(names.intern(address)),
        status: MemberStatus::Active,
        hash: None,
    });
    let source = snapshot(rows.collect());
    let people = People::pair(&source, &snapshot(Vec::new()), &Base::default(), &names);
    Planned { plan, names: names.into(), people, cost: Cost::default(), created_values: BTreeMap::new(), first_run: false }
}

fn empty_plan() -> Plan {
    Plan {
        job: "crm-to-mail".to_owned(),
        source: "crm".to_owned(),
        target: "mail".to_owned(),
        pairs: Vec::new(),
        operations: Vec::new(),
        withheld: Vec::new(),
        blocked: Vec::new(),
        refusals: Vec::new(),
        losses: Vec::new(),
        warnings: Vec::new(),
        agreement: Agreement::default(),
        measure: Measure::default(),
        summary: Summary::default(),
        fingerprint: "f1e2".to_owned(),
    }
}

fn pair(source: &str, target: Option<&str>, name: &str) -> GroupPair {
    GroupPair {
        source: Some(source.to_owned()),
        target: target.map(str::to_owned),
        name: name.to_owned(),
        source_name: name.to_owned(),
        linked: target.is_some(),
        writable: true,
    }
}

fn refusal() -> GuardRefusal {
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
        reason: BlockedReason::NoAddress,
        detail: "the contact has no address that mail could be sent to".to_owned(),
    }
}

fn loss() -> Loss {
    Loss {
        field: "sender_email".to_owned(),
        object: "group",
        count: 12,
        example: "ops@example.org".to_owned(),
        reason: "emfluence groups have no such field".to_owned(),
    }
}

fn full_plan() -> Planned {
    let [ana, bo, cy, dee, eve] = [0, 1, 2, 3, 4].map(PersonIx);
    let [donors, staff, board, former, friends] = [0, 1, 2, 3, 4].map(PairIx);
    let operations = vec![
        Edit::CreateCustomField { label: "Shoe size".to_owned() },
        Edit::SetOptOut { pair: None, members: vec![dee], after_creation: false },
        Edit::SetOptOut { pair: Some(staff), members: vec![cy], after_creation: false },
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
            fields: [("groupName".to_owned(), Value::from("Donors")), ("protected".to_owned(), Value::Boolean(true))].into(),
        },
        Edit::AdoptGroup { pair: friends, fields: Record::new() },
        Edit::ChangeAddress { member: bo, from: "bo@old.example.org".to_owned(), to: "bo@example.org".to_owned() },
        Edit::UpdateMember { member: bo, fields: record(&[("firstName", "Bo"), ("phone", "")]), before: record(&[("phone", "555 0100")]) },
        Edit::CreateMembers { members: vec![eve], to_opt_out: true },
        Edit::SetOptOut { pair: None, members: vec![eve], after_creation: true },
        Edit::CreateMembers { members: vec![ana], to_opt_out: false },
        Edit::AddMemberships { pair: donors, members: vec![ana, bo] },
        Edit::RemoveMemberships { pair: staff, members: vec![bo] },
        Edit::ArchiveGroup { pair: former, lift_protection: true },
    ];
    let plan = Plan {
        pairs: vec![
            pair("9985", None, "Donors"),
            pair("2", Some("4712"), "Staff"),
            pair("3", Some("4713"), "Trustees"),
            GroupPair { source: None, ..pair("", Some("4714"), "Former \u{202e}members") },
            pair("5", Some("4715"), "Friends <&>"),
        ],
        operations,
        withheld: vec![
            Withheld { pair: donors, member: Some(cy), reason: Reason::OptedOutAtTarget },
            Withheld { pair: staff, member: Some(cy), reason: Reason::OptedOutAtTarget },
            Withheld { pair: former, member: None, reason: Reason::Protected },
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
    let addresses = ["ana@example.org", "bo@example.org", "cy@example.org", "dee@example.org", "eve@example.org"];
    let mut planned = planned(&addresses, plan);
    planned.created_values = [(ana, record(&[("firstName", "Ana")]))].into();
    planned.cost = Cost {
        requests: [("mail".to_owned(), 6)].into(),
        reads: [("crm".to_owned(), 3), ("mail".to_owned(), 9)].into(),
        estimated_seconds: 4,
    };
    planned
}

/// Runs a writer and returns what it wrote, without colours.
fn written(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

#[test]
fn a_plan_reads_from_opt_outs_to_the_last_line() {
    insta::assert_snapshot!(written(|out| write_plan_text(out, &full_plan(), false))), @"");
}

#[test]
fn a_plan_is_one_json_document_without_clock_and_run() {
    insta::assert_snapshot!(written(|out| write_plan_json(out, &full_plan()))), @"");
}

#[test]
fn the_keys_of_a_plan_keep_their_order() {
    let text = written(|out| write_plan_json(out, &full_plan()));
    let keys: Vec<usize> =
        ["version", "job", "fingerprint", "summary", "operations", "withheld", "blocked", "refusals", "losses", "warnings"]
            .iter()
            .map(|key| text.find(&format!("\n \"{key}\":")).unwrap_or_else(|| panic!("{key} is missing")))
            .collect();
    assert!(keys.is_sorted());
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sequence: Vec<u64> = value["operations"].as_array().unwrap().iter().map(|row| row["seq"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (1..=14).collect::<Vec<u64>>());
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
    let addresses: Vec<String> = (10..40).map(|number| format!("p{number}@example.org")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let members: Vec<PersonIx> = (0..30).map(PersonIx).collect();
    let plan = Plan {
        pairs: vec![pair("1", Some("2"), "Donors")],
        operations: vec![Edit::AddMemberships { pair: PairIx(0), members }],
        ..empty_plan()
    };
    let planned = planned(&addresses, plan);
    let short = written(|out| write_plan_text(out, &planned, false));
    assert_eq!(short.matches("@example.org").count(), 10);
    assert!(short.contains("… and 20 more (-v shows all)"), "{short}");
    let long = written(|out| write_plan_text(out, &planned, true));
    assert_eq!(long.matches("@example.org").count(), 30);
}

#[test]
fn a_page_escapes_everything_and_loads_nothing() {
    let page = written(|out| write_plan_html(out, &full_plan()));
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(page.contains("Friends &lt;&amp;&gt;"), "{page}");
    assert!(page.contains("Former \\u{202e}members"), "{page}");
    for forbidden in ["<script", "http://", "https://", "src=", "Friends <&>"] {
        assert!(!page.contains(forbidden), "{forbidden} in {page}");
    }
    for address in ["ana@example.org", "bo@old.example.org", "cy@example.org", "dee@example.org", "eve@example.org", "0123456789ab"] {
        assert!(page.contains(address), "{address}");
    }
    let opened: BTreeSet<&str> = ["table", "ul", "section", "details"].into();
    for element in opened {
        assert_eq!(page.matches(&format!("<{element}")).count(), page.matches(&format!("</{element}>")).count(), "{element}");
    }
}

fn start() -> Timestamp {
    "2026-03-01T06:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn report(outcome: Outcome) -> RunReport {
    RunReport {
        run: "20260301T060000Z-abc123".to_owned(),
        job: "crm-to-mail".to_owned(),
        started: start(),
        finished: after(65),
        outcome,
        summary: Summary { groups_created: 1, memberships_added: 5, opt_outs: 1, ..Summary::default() },
        withheld: 3,
        withheld_by_reason: [("opted_out_at_target", 2), ("unconfirmed", 1)].into(),
        blocked: vec![blocked()],
        failures: vec![ItemFailure {
            op: "add_memberships".to_owned(),
            group: Some("Donors".to_owned()),
            member: Some("ana@example.org".to_owned()),
            code: Some("402".to_owned()),
            message: "Invalid \u{1b}[2Jcontact".to_owned(),
        }],
        refusals: Vec::new(),
        waiting_opt_outs: 0,
        requests: [("mail".to_owned(), 6)].into(),
        reads: [("crm".to_owned(), 3)].into(),
        warnings: Vec::new(),
        error: None,
        losses: vec![loss()],
    }
}

#[test]
fn a_run_says_what_was_done_and_what_needs_a_person() {
    insta::assert_snapshot!(written(|out| write_run_text(out, &report(Outcome::Partial), false))), @"");
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
    insta::assert_snapshot!(written(|out| write_run_text(out, &refused, false))), @"");
}

#[test]
fn runs_are_json_alone_and_as_a_list() {
    let result = JobResult::Report(Box::new(report(Outcome::Partial)));
    insta::assert_snapshot!(written(|out| write_run_json(out, &result))), @"");
    let busy = JobResult::NoRun { job: "mail-to-crm".to_owned(), outcome: "busy", exit_code: 5, error: "in use".to_owned() };
    let list: serde_json::Value = serde_json::from_str(&written(|out| write_runs_json(out, &[result, busy]))).unwrap();
    assert_eq!(list["version"], 1);
    assert_eq!(list["runs"][0]["outcome"], "partial");
    assert_eq!(list["runs"][1], serde_json::json!({"job": "mail-to-crm", "outcome": "busy", "exit_code": 5, "error": "in use"}));
}

fn run_record(outcome: Option<state::Outcome>) -> state::RunRecord {
    state::RunRecord {
        id: "20260301T060000Z-abc123".to_owned(),
        job: "crm-to-mail".to_owned(),
        trigger: "manual".to_owned(),
        started: start(),
        finished: outcome.map(|_| after(65)),
        outcome,
        exit_code: outcome.map(|_| 0),
        wrote: true,
        summary: summary_json(&Summary { memberships_added: 5, ..Summary::default() }),
        error: None,
        measure: None,
    }
}

#[test]
fn the_history_is_a_table_and_a_list() {
    let runs = [run_record(Some(state::Outcome::Done)), run_record(None)];
    insta::assert_snapshot!(written(|out| write_history_text(out, &runs, &TimeZone::UTC)), @"");
    let value: serde_json::Value = serde_json::from_str(&written(|out| write_history_json(out, &runs))).unwrap();
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
        fields: serde_json::json!({"phone": ["555 0100", ""]}),
        ..state::RunItem::default()
    }];
    let run = run_record(Some(state::Outcome::Partial));
    insta::assert_snapshot!(written(|out| write_show_text(out, &run, &items, &TimeZone::UTC)), @"");
    let value: serde_json::Value = serde_json::from_str(&written(|out| write_show_json(out, &run, &items))).unwrap();
    assert_eq!(value["run"], "20260301T060000Z-abc123");
    assert_eq!(value["items"][0]["message"], "No.");
}

#[test]
fn a_job_is_what_its_last_run_and_its_lock_say() {
    let status = |outcome: Option<state::Outcome>, failures: u32| state::JobStatus {
        last_run: Some(run_record(outcome)),
        consecutive_failures: failures,
        last_fire: None,
    };
    use state::Outcome::{Busy, Done, Failed, Partial, Refused};
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
        assert_eq!(JobState::of(&status(outcome, failures), paused, running), expected, "{outcome:?}");
    }
    assert_eq!(JobState::of(&state::JobStatus::default(), false, false), JobState::Ok);
}

fn job_rows() -> Vec<JobRow> {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let row = JobRow {
        job: "crm-to-mail".to_owned(),
        state: JobState::Ok,
        schedule: Some("*/15 * * * *".to_owned()),
        enabled: true,
        next: vec![after(900), after(1800)],
        zone,
        paused: None,
        last_run: Some(run_record(Some(state::Outcome::Done))),
    };
    let by_hand = JobRow {
        job: "mail-to-crm".to_owned(),
        schedule: None,
        next: Vec::new(),
        state: JobState::Paused,
        paused: Some(state::PausedRecord { reason: "holidays".to_owned(), since: start() }),
        last_run: None,
        ..row.clone()
    };
    vec![row, by_hand]
}

#[test]
fn status_and_schedule_are_tables_and_lists() {
    insta::assert_snapshot!(written(|out| write_status_text(out, &job_rows(), after(120))), @"");
    insta::assert_snapshot!(written(|out| write_schedule_text(out, &job_rows(), after(120))), @"");
    let value: serde_json::Value = serde_json::from_str(&written(|out| write_status_json(out, &job_rows()))).unwrap();
    assert_eq!(value["jobs"][0]["state"], "ok");
    assert_eq!(value["jobs"][0]["next"], "2026-03-01T06:15:00Z");
    assert_eq!(value["jobs"][1]["paused_reason"], "holidays");
    let value: serde_json::Value = serde_json::from_str(&written(|out| write_schedule_json(out, &job_rows()))).unwrap();
    assert_eq!(value["jobs"][0]["time_zone"], "Europe/Berlin");
    assert_eq!(value["jobs"][0]["next"].as_array().unwrap().len(), 2);
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
        },
        blocked: false,
        attempts: 2,
        first_seen: start(),
        next_try: Some(after(3600)),
    };
    insta::assert_snapshot!(written(|out| write_failures_text(out, std::slice::from_ref(&failure), after(60))), @"");
    let value: serde_json::Value = serde_json::from_str(&written(|out| write_failures_json(out, &[failure]))).unwrap();
    assert_eq!(value["failures"][0]["remedy"], BlockedReason::ValueRefused.remedy());
    assert_eq!(value["failures"][0]["attempts"], 2);
}
