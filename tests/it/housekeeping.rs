//! What outlives a process: the count of a day's requests, and the day on which history was pruned.

use rosterd::run::{Outcome, SyncOptions};

use crate::support::{Bench, DAY, bench_of, group_of, plain_world};

fn small(extra: &str) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "Donors", "donor", 3);
    bench_of(
        world,
        &format!("{extra}\n[jobs.test]\nsource = \"crm\"\ntarget = \"mail\"\n"),
    )
}

async fn fails_for_the_quota(bench: &Bench) -> bool {
    match bench.runner().sync("test", SyncOptions::default()).await {
        Ok(report) => {
            report.outcome == Outcome::Failed
                && report.error.is_some_and(|error| error.contains("day"))
        }
        Err(error) => error.exit_code() == 1 && error.to_string().contains("day"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_cap_on_a_days_requests_holds_from_process_to_process() {
    let free = small("");
    free.settle().await;
    free.emulator.clear_log();
    free.sync().await;
    let once = free
        .emulator
        .requests()
        .iter()
        .filter(|request| request.account == "mail")
        .count();
    assert!(once > 2, "a run reads");

    let bench = small(&format!(
        "[providers.mail.http]\nrequests_per_day = {}",
        once * 5
    ));
    let mut runs = 0;
    while !fails_for_the_quota(&bench).await {
        runs += 1;
        assert!(runs < 40, "the cap is never reached");
    }
    assert!(runs >= 2, "several runs fit under the cap");
    let sent = bench
        .emulator
        .requests()
        .iter()
        .filter(|request| request.account == "mail")
        .count();
    assert!(sent <= once * 5, "{sent} requests");
    bench.pass(2 * 3600);
    assert!(
        fails_for_the_quota(&bench).await,
        "two hours later it is still the same day"
    );
    bench.pass(DAY);
    assert!(!fails_for_the_quota(&bench).await, "a day later it is over");
}

#[tokio::test(start_paused = true)]
async fn single_runs_prune_history_too() {
    let bench = small("[state]\nretention = \"30d\"");
    for _ in 0..3 {
        bench.sync().await;
    }
    assert_eq!(
        bench
            .store
            .history(Some("test"), 10)
            .expect("the history can be read")
            .len(),
        3
    );
    bench.pass(31 * DAY);
    bench.sync().await;
    assert_eq!(
        bench
            .store
            .history(Some("test"), 10)
            .expect("the history can be read")
            .len(),
        1
    );
}
