//! That no work on the state database grows faster than the account, by counting and not by the
//! clock.

use std::sync::atomic::Ordering;

use crate::support::{Bench, bench, group_of, plain_world, tell};

/// Twice the account may take so many times the steps: a little more than twice, for what an index
/// costs that is one level deeper, and far less than four times.
const AT_MOST: f64 = 2.3;

/// An account of so many people, each of them in three groups.
fn account_of(people: usize, source: &str, target: &str) -> Bench {
    let mut world = plain_world();
    for group in ["Friends", "Donors", "News"] {
        group_of(world.account_mut(source), group, "person", people);
    }
    bench(world, source, target, "")
}

/// The steps of SQLite's machine that a first run, the one after it and a plan take, in hundreds.
async fn steps(people: usize, source: &str, target: &str) -> [u64; 3] {
    let bench = account_of(people, source, target);
    let counter = bench.store.count_steps();
    let mut counted = [0; 3];
    for (at, steps) in counted.iter_mut().enumerate() {
        if at < 2 {
            let report = bench.sync().await;
            assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        } else {
            bench.plan().await;
        }
        *steps = counter.swap(0, Ordering::Relaxed);
    }
    counted
}

#[tokio::test(start_paused = true)]
async fn twice_the_account_takes_twice_the_steps() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "campaigns")] {
        let (small, large) = (
            steps(300, source, target).await,
            steps(600, source, target).await,
        );
        for (run, (small, large)) in small.into_iter().zip(large).enumerate() {
            assert!(small > 0, "{source} to {target}, run {run}");
            let ratio = large as f64 / small as f64;
            assert!(
                ratio <= AT_MOST,
                "{source} to {target}, run {run}: {small} hundred steps for 300 people, {large} for 600"
            );
        }
    }
}
