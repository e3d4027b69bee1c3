//! Signals: a stop loses nothing, and a service outlives a broken config.

use std::time::Duration;

use rosterd::emulator::{Fault, FaultRule};

use super::bed::{Bed, JOB};

/// The answer to each write of a group takes its time, so that a signal finds a request in flight.
fn slow(bed: &Bed) {
    bed.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_millis(400))).on("groups/save"),
    );
}

#[test]
fn a_terminated_sync_ends_with_1_and_the_next_one_finishes() {
    let bed = Bed::new();
    slow(&bed);
    let running = bed.start(&["sync", JOB]);
    bed.wait_for_write();
    running.signal("TERM");
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("Stopping after the request in flight"),
        "{said}"
    );
    assert!(
        bed.size("mail", "Friends") == 0 || bed.size("mail", "Donors") == 0,
        "it stopped before its end"
    );
    bed.emulator.clear_faults();
    bed.sync();
    bed.assert_settled();
    bed.assert_whole();
    let runs = bed.line("history --format json").json(&["runs"]);
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "{runs}");
    let stopped = runs["runs"][1]["error"].as_str().unwrap();
    assert!(
        stopped.contains("the next run goes on from there"),
        "{stopped}"
    );
}

#[test]
fn a_second_signal_stops_at_once() {
    let bed = Bed::new();
    bed.emulator
        .add_fault(FaultRule::every(Fault::SlowAnswer(Duration::from_secs(20))).on("groups/save"));
    let mut running = bed.start(&["sync", JOB]);
    bed.wait_for_write();
    running.signal("INT");
    running.wait_for("once more stops at once");
    running.signal("INT");
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    bed.emulator.clear_faults();
    bed.sync();
    bed.assert_settled();
    bed.assert_whole();
}

#[test]
fn a_terminated_service_ends_with_0_and_there_is_only_one() {
    let bed = Bed::new();
    bed.configure("schedule = \"* * * * * *\"");
    slow(&bed);
    let mut service = bed.start(&["run"]);
    service.wait_for("The service is running.");
    let second = bed.line("run");
    second.assert(5);
    assert!(second.err.contains("in use by process"), "{}", second.err);
    bed.wait_for_write();
    let status = bed.line("status --format json").json(&["service", "jobs"]);
    assert_eq!(status["service"]["state"], "alive", "{status}");
    assert!(status["jobs"][0]["next"].is_string(), "{status}");
    service.signal("TERM");
    let (code, said) = service.end();
    assert_eq!(code, Some(0), "{said}");
    let ended = bed.line("status --check");
    ended.assert(1);
    assert!(
        ended
            .out
            .starts_with("The service is not running: it stopped "),
        "{}",
        ended.out
    );
    bed.emulator.clear_faults();
    bed.sync();
    bed.assert_settled();
    bed.assert_whole();
}

#[test]
fn a_broken_config_is_not_taken_over() {
    let bed = Bed::new();
    bed.configure("schedule = \"0 0 1 1 *\"");
    let mut service = bed.start(&["run"]);
    service.wait_for("The service is running.");
    bed.write("rosterd.toml", "[jobs.crm-to-mail]\nsorce = \"crm\"\n");
    service.signal("HUP");
    service.wait_for("The new config is wrong; the old one stays.");
    bed.configure("schedule = \"* * * * * *\"");
    service.signal("HUP");
    service.wait_for("The config was read again.");
    bed.wait_for_write();
    service.signal("TERM");
    let (code, said) = service.end();
    assert_eq!(code, Some(0), "{said}");
}
