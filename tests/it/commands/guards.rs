//! Saved plans and guards: what is applied is what was shown, or nothing.

use rosterd::emulator::{Fault, FaultRule};

use super::bed::{Bed, Ended, JOB, assert_keys};

/// A bed whose job has run once and saw twenty of sixty people leave since.
fn shrunken() -> Bed {
    let bed = Bed::new();
    bed.sync();
    bed.leave("Donors", 4);
    bed.leave("Press", 4);
    bed.leave("Board", 4);
    bed.emulator.clear_log();
    bed
}

fn refused(bed: &Bed, ended: &Ended) {
    ended.assert(3);
    bed.assert_unwritten();
    assert_eq!(bed.size("mail", "Donors"), 10);
}

#[test]
fn a_plan_is_applied_once() {
    let bed = Bed::new();
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    bed.assert_unwritten();
    bed.line("apply plan.json").assert(0);
    assert_eq!(bed.size("mail", "Donors"), 10);
    bed.emulator.clear_log();
    let ended = bed.line("apply plan.json");
    let said = ended.complaint(3);
    assert!(
        said.contains("a plan is used once")
            && said.contains("rosterd plan crm-to-mail --out FILE"),
        "{said}"
    );
    bed.assert_unwritten();
}

#[test]
fn a_plan_that_has_moved_is_not_applied() {
    let bed = Bed::new();
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    bed.leave("Donors", 1);
    let ended = bed.line("apply plan.json");
    let said = ended.complaint(3);
    assert!(said.contains("rosterd plan crm-to-mail --out"), "{said}");
    bed.assert_unwritten();
    bed.line("apply plan.json --format json").assert(3);
    bed.assert_unwritten();
}

#[test]
fn a_plan_of_another_job_is_not_applied() {
    let bed = Bed::new();
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    bed.write(
        "other.json",
        &bed.read("plan.json")
            .replace("\"job\":\"crm-to-mail\"", "\"job\":\"nightly\""),
    );
    assert!(
        bed.line("apply other.json")
            .complaint(3)
            .contains("other.json was edited after it was saved")
    );
    let config = bed.read("rosterd.toml");
    bed.write(
        "rosterd.toml",
        &config.replace("jobs.crm-to-mail", "jobs.nightly"),
    );
    assert!(
        bed.line("apply plan.json")
            .complaint(2)
            .contains("there is no job \"crm-to-mail\"")
    );
    bed.assert_unwritten();
}

#[test]
fn what_is_no_plan_is_not_applied_and_not_replaced() {
    let bed = Bed::new();
    bed.write("notes.txt", "Dear diary\n");
    for file in ["notes.txt", "missing.json", "tmp"] {
        bed.run(&["apply", file]).complaint(2);
    }
    bed.write(
        "newer.json",
        r#"{"version":2,"job":"crm-to-mail","fingerprint":"f","operations":[]}"#,
    );
    assert!(
        bed.line("apply newer.json")
            .complaint(2)
            .contains("version 2")
    );
    bed.run(&["plan", JOB, "--out", "notes.txt"]).complaint(2);
    assert_eq!(bed.read("notes.txt"), "Dear diary\n");
    bed.run(&["plan", JOB, "--out", "missing/plan.json"])
        .complaint(2);
    assert_eq!(
        bed.emulator.requests(),
        [],
        "all of this is known before the first request"
    );
}

#[test]
fn a_refused_plan_passes_with_its_own_approval_only() {
    let bed = shrunken();
    bed.account("crm", |crm| {
        let group = crm.find_group("Alumni").unwrap();
        let (contact, _) = crm.members_of(group)[0];
        crm.opt_out_of_account(contact);
    });
    refused(
        &bed,
        &bed.run(&["plan", JOB, "--detailed-exitcode", "--out", "plan.json"]),
    );
    let plan: serde_json::Value = serde_json::from_str(&bed.read("plan.json")).unwrap();
    let refusal = &plan["refusals"][0];
    assert_keys(
        refusal,
        &["guard", "value", "of", "limit", "key", "approval"],
    );
    assert_eq!(
        (&refusal["guard"], &refusal["value"], &refusal["of"]),
        (&"max_membership_removals".into(), &12.into(), &60.into())
    );
    let approval = refusal["approval"].as_str().unwrap();

    let ended = bed.line("apply plan.json");
    refused(&bed, &ended);
    assert!(
        ended
            .complaint(3)
            .contains(&format!("rosterd apply plan.json --approve {approval}")),
        "{}",
        ended.err
    );
    assert!(
        ended.err.contains("1 opt-out waits: the guard"),
        "{}",
        ended.err
    );
    refused(&bed, &bed.line("apply plan.json --approve 000000000000"));
    refused(&bed, &bed.run(&["sync", JOB, "--approve", "000000000000"]));

    bed.run(&["apply", "plan.json", "--approve", approval])
        .assert(0);
    assert_eq!(bed.size("mail", "Donors"), 6);
    bed.assert_settled();
    bed.line("status").assert(0);
}

#[test]
fn a_refused_run_says_what_to_do_and_passes_once() {
    let bed = shrunken();
    let ended = bed.run(&["sync", JOB]);
    refused(&bed, &ended);
    assert!(
        ended
            .out
            .contains("jobs.crm-to-mail.guards.max_membership_removals"),
        "{}",
        ended.out
    );
    let (_, command) = ended
        .out
        .split_once("rosterd sync crm-to-mail --approve ")
        .expect("the way to go on is shown");
    let approval = command.split_whitespace().next().unwrap();
    bed.line("status --format json").json(&["jobs"])["jobs"][0]["state"]
        .as_str()
        .map(|state| assert_eq!(state, "refused"))
        .unwrap();
    let run = bed.newest_run();
    let shown = bed.run(&["show", &run]).out;
    for said in [
        "refused   max_membership_removals: ",
        "key jobs.crm-to-mail.guards.max_membership_removals",
        &format!("approval  {approval} "),
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let kept = bed
        .run(&["show", &run, "--format", "json"])
        .json(&["refusals", "summary"]);
    assert_eq!(kept["refusals"][0]["approval"], approval);
    assert_eq!(kept["summary"]["refusals"], serde_json::Value::Null);
    let whole = kept["refusals"][0]["explanation"].as_str().unwrap();
    assert!(shown.contains(whole), "{shown}");
    // Following the advice does not take the rest of it away, and what another plan asks for is not it.
    bed.run(&["plan", JOB]).assert(0);
    let runs = bed.line("history --format json").json(&["runs"]);
    let runs = runs["runs"].as_array().unwrap();
    let oldest = runs.last().unwrap()["run"].as_str().unwrap();
    bed.run(&["undo", oldest]).assert(0);
    let status = bed.line("status --check");
    status.assert(1);
    assert!(
        status
            .out
            .contains(&format!("`rosterd sync crm-to-mail --approve {approval}`")),
        "{}",
        status.out
    );
    bed.run(&["sync", JOB, "--approve", approval]).assert(0);
    bed.line("status --check").assert(0);
    assert_eq!(bed.size("mail", "Donors"), 6);
    bed.leave("Alumni", 10);
    bed.leave("Friends", 2);
    bed.run(&["sync", JOB, "--approve", approval]).assert(3);
    assert_eq!(bed.size("mail", "Alumni"), 10);
}

#[test]
fn a_plan_that_was_edited_is_not_applied() {
    let bed = Bed::new();
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    let plan = bed.read("plan.json");
    let one_less = plan.replacen("\"donor0@example.org\",", "", 1);
    for (what, edited) in [
        ("a person is left out", one_less),
        (
            "a person is another one",
            plan.replace("donor0@example.org", "ceo@example.org"),
        ),
        (
            "a field is another one",
            plan.replacen("\"groupName\":\"Donors\"", "\"groupName\":\"Enemies\"", 1),
        ),
        (
            "the operations are gone",
            format!(
                "{}{}",
                &plan[..plan.find("\"operations\":[").unwrap() + 13],
                {
                    let rest = &plan[plan.find("\"withheld\":[").unwrap()..];
                    format!("[],{rest}")
                }
            ),
        ),
        (
            "the seal is another one",
            plan.replacen("\"seal\":\"", "\"seal\":\"0", 1),
        ),
        (
            "something stands behind the seal",
            plan.trim_end().trim_end_matches('}').to_owned() + ",\"note\":1}",
        ),
    ] {
        assert_ne!(edited, plan, "{what}");
        bed.write("edited.json", &edited);
        let ended = bed.line("apply edited.json");
        let said = ended.complaint(3);
        assert!(
            said.contains("edited.json was edited after it was saved"),
            "{what}: {said}"
        );
    }
    bed.assert_unwritten();
    // How the file is laid out says nothing.
    let value: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert!(value["seal"].is_string());
    bed.write(
        "laid-out.json",
        &plan.replace(",\n", " ,\n\n\t").replace("\":", "\" : "),
    );
    bed.line("apply laid-out.json").assert(0);
    assert_eq!(bed.size("mail", "Donors"), 10);
}

#[test]
fn a_plan_without_operations_is_done_as_often_as_wanted() {
    let bed = Bed::new();
    bed.sync();
    bed.run(&["plan", JOB, "--out", "empty.json"]).assert(0);
    bed.emulator.clear_log();
    for _ in 0..3 {
        let run = bed.line("apply empty.json --format json");
        let run = run.json(&["run", "outcome", "exit_code", "approved"]);
        assert_eq!(
            (&run["outcome"], &run["exit_code"]),
            (&"done".into(), &0.into())
        );
    }
    assert_eq!(bed.emulator.requests(), [], "it touches nothing");
    bed.emulator
        .add_fault(FaultRule::every(Fault::ServerError(503)));
    bed.run(&["sync", JOB]).assert(1);
    bed.line("apply empty.json").assert(0);
    let status = bed.line("status --format json").json(&["jobs"]);
    assert_eq!(
        status["jobs"][0]["state"], "failing",
        "what touches nothing says nothing of how the job fares"
    );
    bed.emulator.clear_faults();
    // What is to be done by now is the next plan's business.
    bed.leave("Donors", 1);
    bed.line("apply empty.json").assert(0);
    bed.assert_unwritten();
    assert_eq!(bed.size("mail", "Donors"), 10);
}

#[test]
fn a_plan_whose_apply_ended_before_its_first_write_is_not_used_up() {
    let bed = Bed::new();
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    for fault in [Fault::ServerError(503), Fault::ExpiredToken] {
        bed.emulator
            .add_fault(FaultRule::every(fault).on("groups/search"));
        bed.line("apply plan.json").complaint(1);
        bed.emulator.clear_faults();
    }
    bed.assert_unwritten();
    bed.line("apply plan.json").assert(0);
    assert!(
        bed.line("apply plan.json")
            .complaint(3)
            .contains("used once")
    );
}

#[test]
fn a_plan_that_has_moved_names_what_moved() {
    let bed = Bed::new();
    bed.sync();
    bed.leave("Donors", 1);
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    bed.leave("Donors", 1);
    bed.leave("Press", 1);
    let said = bed.line("apply plan.json");
    let said = said.complaint(3);
    assert!(
        said.contains("remove_memberships \"Donors\" would concern other people")
            && said.contains("remove_memberships \"Press\" is new")
            && !said.contains("the config"),
        "{said}"
    );
    bed.configure("[jobs.crm-to-mail.guards]\nfloor = 99");
    let said = bed.line("apply plan.json");
    let said = said.complaint(3);
    assert!(said.contains("the config of the job"), "{said}");
    assert_eq!(bed.size("mail", "Donors"), 10);
}

#[test]
fn an_approved_run_says_what_was_approved_and_by_what() {
    for saved in [false, true] {
        let bed = shrunken();
        bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
        let plan: serde_json::Value = serde_json::from_str(&bed.read("plan.json")).unwrap();
        let approval = plan["refusals"][0]["approval"].as_str().unwrap();
        let command = if saved {
            "apply plan.json"
        } else {
            "sync crm-to-mail"
        };
        let json = !saved;
        let format = if json { "json" } else { "text" };
        let ended = bed.line(&format!("{command} --approve {approval} --format {format}"));
        let expected = serde_json::json!({"id": approval, "guards": ["max_membership_removals"]});
        if json {
            let run = ended.json(&["run", "outcome", "refusals", "approved"]);
            assert_eq!(run["approved"], expected);
            assert_eq!(run["refusals"], serde_json::json!([]));
        } else {
            ended.assert(0);
            assert!(
                ended.out.contains(&format!("Approved  by {approval}"))
                    && ended
                        .out
                        .contains("max_membership_removals: 12 removals of 60"),
                "{}",
                ended.out
            );
            assert!(!ended.out.contains("nothing is written"), "{}", ended.out);
        }
        let runs = bed.line("history --format json").json(&["runs"]);
        assert_eq!(runs["runs"][0]["approved"], expected);
        assert!(runs["runs"][1]["approved"].is_null());
        let history = bed.line("history");
        assert!(
            history
                .out
                .contains(&format!("approved: max_membership_removals by {approval}")),
            "{}",
            history.out
        );
        let run = runs["runs"][0]["run"].as_str().unwrap();
        let shown = bed.run(&["show", run]);
        assert!(
            shown.out.contains(&format!("by {approval}")),
            "{}",
            shown.out
        );
    }
}

#[test]
fn an_approval_that_brought_no_write_is_not_used_up() {
    let bed = shrunken();
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    let plan: serde_json::Value = serde_json::from_str(&bed.read("plan.json")).unwrap();
    let approval = plan["refusals"][0]["approval"].as_str().unwrap();
    bed.emulator
        .add_fault(FaultRule::every(Fault::ServerError(503)).on("groups/search"));
    bed.run(&["sync", JOB, "--approve", approval]).complaint(1);
    bed.emulator.clear_faults();
    bed.run(&["sync", JOB, "--approve", approval]).assert(0);
    assert_eq!(bed.size("mail", "Donors"), 6);
}

#[test]
fn a_refused_plan_names_every_guard_and_every_command_that_lets_it_pass() {
    let bed = shrunken();
    bed.configure("[jobs.crm-to-mail.guards]\nmax_membership_removals_per_group = 1\n");
    let saved = bed.run(&["plan", JOB, "--out", "big.json"]);
    saved.assert(0);
    let plan: serde_json::Value = serde_json::from_str(&bed.read("big.json")).unwrap();
    let approval = plan["refusals"][0]["approval"].as_str().unwrap();
    let apply = format!("rosterd apply big.json --approve {approval}");
    for shown in [&saved.out, &saved.err] {
        assert!(shown.contains(&apply), "{shown}");
    }
    let sync = format!("rosterd sync {JOB} --approve {approval}");
    assert!(saved.out.contains(&sync), "{}", saved.out);
    let unsaved = bed.run(&["plan", JOB]);
    assert!(!unsaved.out.contains("rosterd apply"), "{}", unsaved.out);
    let ended = bed.line("apply big.json");
    refused(&bed, &ended);
    let guards = "the guards max_membership_removals and max_membership_removals_per_group refused";
    assert!(ended.err.contains(guards), "{}", ended.err);
    bed.run(&["apply", "big.json", "--approve", approval])
        .assert(0);
}
