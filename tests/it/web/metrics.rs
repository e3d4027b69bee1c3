//! Figures of a real service against what really happened.

#![expect(clippy::float_cmp, reason = "counts are whole numbers, and exact")]

use std::collections::BTreeMap;

use rosterd::emulator::{Fault, FaultRule};

use super::bed::Service;
use crate::commands::bed::JOB;

/// Reads samples as Prometheus does, and fails on what it would not take.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut found, mut kinds) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(
                kinds.insert(name.to_owned(), kind).is_none(),
                "{name} twice"
            );
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        assert!(kinds.contains_key(name), "{name} has no type");
        let value: f64 = value.parse().unwrap();
        assert!(
            found.insert(series.to_owned(), value).is_none(),
            "{series} twice"
        );
    }
    found
}

#[test]
fn figures_follow_what_happens() {
    let service = Service::new();
    let scrape = || {
        let reply = service.client.get("/metrics").assert(200);
        let kind = reply.header("content-type").unwrap();
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        samples(&reply.body)
    };
    let of_job = |name: &str, more: &str| format!("{name}{{job=\"{JOB}\"{more}}}");
    let before = scrape();
    assert_eq!(
        before[&of_job("rosterd_runs_total", ",outcome=\"done\"")],
        0.0
    );
    assert_eq!(before[&of_job("rosterd_job_members", "")], 0.0);
    assert!(!before.contains_key(&of_job("rosterd_job_last_success_timestamp_seconds", "")));
    assert!(before["rosterd_process_resident_memory_bytes"] > 1e6);
    assert!(before["rosterd_state_size_bytes"] > 4096.0);

    let job = format!("/api/v1/jobs/{JOB}");
    service.admin().post(&format!("{job}/run"), "").assert(202);
    service.until(&job, |job| job["last_run"]["outcome"] == "done");
    // Counted once the loop has taken the run in, and shown within a second.
    let wait_for = |series: &str, value: f64| {
        for _ in 0..2_000 {
            let now = scrape();
            if now.get(series) == Some(&value) {
                return now;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        panic!("{series} never is {value}: {:#?}", scrape());
    };
    let after = wait_for(&of_job("rosterd_runs_total", ",outcome=\"done\""), 1.0);
    assert_eq!(after[&of_job("rosterd_job_members", "")], 60.0);
    let added = of_job("rosterd_run_items_total", ",operation=\"add_memberships\"");
    assert_eq!(after[&added], 60.0);
    assert_eq!(after[&of_job("rosterd_job_state", ",state=\"ok\"")], 1.0);
    assert!(after.contains_key(&of_job("rosterd_job_next_fire_timestamp_seconds", "")));
    for provider in ["crm", "mail"] {
        let sent = service.bed.emulator.requests();
        let sent = sent.iter().filter(|request| request.account == provider);
        let answered = format!(
            "rosterd_provider_requests_total{{provider=\"{provider}\",outcome=\"answered\"}}"
        );
        assert_eq!(after[&answered], sent.count() as f64, "{provider}");
    }

    service
        .bed
        .emulator
        .add_fault(FaultRule::every(Fault::ServerError(503)).at("mail"));
    service.admin().post(&format!("{job}/run"), "").assert(202);
    let failed = wait_for(&of_job("rosterd_runs_total", ",outcome=\"failed\""), 1.0);
    assert_eq!(failed[&of_job("rosterd_job_consecutive_failures", "")], 1.0);
    assert_eq!(
        failed[&of_job("rosterd_job_state", ",state=\"failing\"")],
        1.0
    );
    assert_eq!(failed["rosterd_needs_a_person"], 1.0);
    let lost = "rosterd_provider_requests_total{provider=\"mail\",outcome=\"lost\"}";
    assert!(failed[lost] >= 1.0);
    service.stop();
}
