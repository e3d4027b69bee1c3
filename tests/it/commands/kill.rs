//! Processes that are killed, and several at once: locks, saved plans, and what the next process
//! makes of it (rules 5 and 8).

use std::time::Duration;

use rosterd::emulator::{Fault, FaultRule};
use rosterd::state::Locks;

use super::bed::{Bed, JOB};

/// Lets the answers of writes take so long that a process can be killed while it waits for one.
fn slow(bed: &Bed) {
    bed.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_secs(20))).on("contacts/import"),
    );
}

/// Starts a command, kills it in the middle of a write, and makes the service quick again.
fn killed(bed: &Bed, arguments: &[&str]) {
    slow(bed);
    let running = bed.start(arguments);
    bed.wait_for_write_of("contacts/import");
    running.signal("KILL");
    let (code, said) = running.end();
    assert_eq!(code, None, "it was killed: {said}");
    bed.emulator.clear_faults();
}

#[test]
fn a_killed_sync_leaves_locks_that_block_nobody_and_work_that_is_finished() {
    let bed = Bed::new();
    killed(&bed, &["sync", JOB]);
    assert!(
        bed.path("rosterd.db.job-crm-to-mail.lock").exists(),
        "the lock's file stays"
    );
    bed.sync();
    bed.assert_settled();
    bed.assert_whole();
    let runs = bed.line("history --format json").json(&["runs"]);
    assert_eq!(
        runs["runs"][1]["outcome"], "interrupted",
        "the killed run is not shown as running: {runs}"
    );
    found_later(&bed, runs["runs"][1]["run"].as_str().unwrap());
}

/// What the next run found done is an item of the killed run that had sent it, and is taken back with it.
fn found_later(bed: &Bed, killed: &str) {
    let shown = bed.run(&["show", killed, "--format", "json"]);
    let shown = shown.json(&["items"]);
    let items = shown["items"].as_array().unwrap();
    let found: Vec<_> = items
        .iter()
        .filter(|item| item["outcome"] == "found")
        .collect();
    let mut joined = found.iter().filter(|item| item["op"] == "add_memberships");
    assert!(joined.next().is_some(), "{items:#?}");
    assert!(
        found
            .iter()
            .all(|item| item["group_id"].is_string() || item["member_id"].is_string())
    );
    let text = bed.run(&["show", killed, "--outcome", "found"]);
    assert!(text.out.contains("found by a later run"), "{}", text.out);
    let undo = bed
        .run(&["undo", killed, "--format", "json"])
        .json(&["operations"]);
    let ops = undo["operations"].as_array().unwrap();
    let takes_out = |edit: &&serde_json::Value| {
        edit["op"] == "remove_memberships" || edit["op"] == "archive_group"
    };
    assert!(ops.iter().any(|edit| takes_out(&edit)), "{undo:#}");
}

#[test]
fn a_plan_whose_apply_was_killed_is_used_and_sync_finishes_the_rest() {
    let bed = Bed::new();
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    killed(&bed, &["apply", "plan.json"]);
    let before = bed.writes().len();
    let ended = bed.line("apply plan.json");
    let said = ended.complaint(3);
    assert!(said.contains("a plan is used once"), "{said}");
    assert_eq!(bed.writes().len(), before, "nothing more is written");
    bed.sync();
    bed.assert_settled();
    bed.assert_whole();
}

#[test]
fn of_two_services_started_at_once_one_runs() {
    let bed = Bed::new();
    bed.configure("schedule = \"0 0 1 1 *\"");
    for _ in 0..3 {
        let (mut one, mut other) = (bed.start(&["run"]), bed.start(&["run"]));
        let (code, said, mut survivor) = loop {
            if let Some((code, said)) = one.ended() {
                break (code, said, other);
            }
            if let Some((code, said)) = other.ended() {
                break (code, said, one);
            }
        };
        assert_eq!(code, Some(5), "{said}");
        assert!(
            said.contains("the service of this state database is in use by"),
            "{said}"
        );
        survivor.wait_for("The service is running.");
        survivor.signal("TERM");
        let (code, said) = survivor.end();
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn a_killed_service_does_not_keep_the_next_one_from_starting() {
    let bed = Bed::new();
    bed.configure("schedule = \"0 0 1 1 *\"");
    let mut first = bed.start(&["run"]);
    first.wait_for("The service is running.");
    first.signal("KILL");
    first.end();
    let mut second = bed.start(&["run"]);
    second.wait_for("The service is running.");
    second.signal("TERM");
    assert_eq!(second.end().0, Some(0));
}

#[test]
fn one_process_per_account_whatever_the_job_or_the_providers_name() {
    let bed = Bed::new();
    let config = bed.config("");
    let (providers, job) = config.split_once("[jobs.").unwrap();
    let second_name = providers
        .split_once("[providers.mail]")
        .unwrap()
        .1
        .replace("providers.mail", "providers.post");
    let other = format!("[jobs.{job}")
        .replace(JOB, "other")
        .replace("\"mail\"", "\"post\"")
        .replace(
            "[jobs.other]",
            "[jobs.other.groups]\ninclude = [\"Board\"]\n\n[jobs.other]",
        );
    bed.write(
        "rosterd.toml",
        &format!("{config}\n[providers.post]{second_name}\n{other}"),
    );
    slow(&bed);
    let running = bed.start(&["sync", JOB]);
    bed.wait_for_write_of("contacts/import");
    for command in ["sync other", "plan other"] {
        let ended = bed.line(command);
        let said = ended.complaint(5);
        assert!(
            said.contains("the provider's account is in use by process"),
            "{command}: {said}"
        );
    }
    let ended = bed.line(&format!("sync {JOB}"));
    assert!(
        ended
            .complaint(5)
            .contains("the job \"crm-to-mail\" is in use by process"),
        "{}",
        ended.err
    );
    running.signal("KILL");
    running.end();
    bed.emulator.clear_faults();
    let held = Locks::new(&bed.path("rosterd.db"))
        .lock_job("other")
        .unwrap();
    bed.sync();
    drop(held);
    bed.assert_whole();
}

#[test]
fn a_command_waits_for_another_process_as_long_as_it_is_told() {
    let bed = Bed::new();
    let locks = Locks::new(&bed.path("rosterd.db"));
    let held = locks.lock_job(JOB).unwrap();
    bed.line(&format!("plan {JOB} --wait soon")).assert(2);
    for command in ["sync", "plan"] {
        let ended = bed.line(&format!("{command} {JOB} --wait 300ms"));
        let said = ended.complaint(5);
        assert!(
            said.contains("the job \"crm-to-mail\" is in use by process")
                && said.contains("(waited for 300ms)"),
            "{said}"
        );
    }
    bed.assert_unwritten();
    let mut waiting = bed.start(&["-v", "sync", JOB, "--wait", "10m"]);
    waiting.wait_for("Waiting for another process.");
    drop(held);
    let (code, said) = waiting.end();
    assert_eq!(code, Some(0), "{said}");
    bed.assert_whole();
    bed.leave("Donors", 1);
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    let held = locks.lock_job(JOB).unwrap();
    let mut waiting = bed.start(&["-v", "apply", "plan.json", "--wait", "10m"]);
    waiting.wait_for("Waiting for another process.");
    drop(held);
    assert_eq!(waiting.end().0, Some(0));
    assert_eq!(bed.size("mail", "Donors"), 9);
    bed.assert_settled();
}

#[test]
fn a_command_that_waits_ends_with_1_at_a_signal() {
    for signal in ["INT", "TERM"] {
        let bed = Bed::new();
        let held = Locks::new(&bed.path("rosterd.db")).lock_job(JOB).unwrap();
        let mut waiting = bed.start(&["-v", "sync", JOB, "--wait", "10m"]);
        waiting.wait_for("Waiting for another process.");
        waiting.signal(signal);
        let (code, said) = waiting.end();
        assert_eq!(code, Some(1), "{signal}: {said}");
        drop(held);
        bed.assert_unwritten();
    }
}
