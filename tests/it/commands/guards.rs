//! Saved plans and guards: what is applied is what was shown, or nothing.

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
            .complaint(2)
            .contains("there is no job \"nightly\"")
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
    assert!(
        bed.line("apply other.json")
            .complaint(3)
            .contains("rosterd plan nightly --out"),
        "the plan was made by another job"
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
    bed.run(&["sync", JOB, "--approve", approval]).assert(0);
    assert_eq!(bed.size("mail", "Donors"), 6);
    bed.leave("Alumni", 10);
    bed.leave("Friends", 2);
    bed.run(&["sync", JOB, "--approve", approval]).assert(3);
    assert_eq!(bed.size("mail", "Alumni"), 10);
}
