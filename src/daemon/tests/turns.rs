//! Jobs that want the same account: each gets its turn.

use super::*;

#[tokio::test(start_paused = true)]
async fn jobs_that_never_rest_do_not_starve_one_that_comes_once_a_day() {
    let nightly =
        "[jobs.nightly]\nsource = \"crm\"\ntarget = \"campaigns\"\nschedule = \"30 10 * * *\"\n";
    let bench = Bench::of(&two_jobs("* * * * *", nightly));
    add_donors_of_mail(&bench);
    // Each run takes longer than its period, so that somebody always waits for the account.
    bench
        .emulator
        .add_fault(FaultRule::every(Fault::SlowAnswer(Duration::from_secs(40))).at("campaigns"));
    let (ask, served) = bench.start();
    sleep(minutes(4 * 60)).await;
    bench.emulator.clear_faults();
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    let runs = bench.runs();
    let of = |job: &str| runs.iter().filter(|run| run.job == job).count();
    let (first, second) = (of("first"), of("second"));
    assert!(first >= 5, "{first}, {second}");
    assert!(first.abs_diff(second) <= 1, "{first}, {second}");
    assert_eq!(of("nightly"), 1);
    let night = runs.iter().position(|run| run.job == "nightly").unwrap();
    let due: Timestamp = "2026-11-22T10:30:00Z".parse().unwrap();
    let before = runs[..night].iter().filter(|run| run.started > due).count();
    assert!(
        before <= 1,
        "only who waited already goes first: {:?}",
        bench.told()
    );
    assert!(
        runs.len() > night + 2,
        "and the others go on: {:?}",
        bench.told()
    );
    bench.assert_no_misuse();
}
