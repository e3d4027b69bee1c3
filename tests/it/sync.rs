//! Whole runs between emulated accounts.

use rosterd::emulator::{Seed, World};

use crate::support::bench;

const SIZE: Seed = Seed { seed: 7, groups: 25, members: 300 };

async fn settles(rich: &str, source: &str, target: &str) {
    let bench = bench(World::seeded_in(rich, &SIZE), source, target, "mode = \"managed\"");
    let first = bench.sync().await;
    println!("{:?}", (&first.outcome, &first.summary, &first.failures, &first.warnings, &first.losses, &first.error));
    for blocked in &first.blocked {
        println!("{blocked:?}");
    }
    bench.assert_no_misuse();
    let writes = bench.writes();
    println!("{:?}", writes.iter().map(|w| (w.operation.clone(), w.items)).collect::<Vec<_>>());
    let plan = bench.plan().await;
    assert!(
        plan.plan.is_empty(),
        "{:?}",
        plan.plan
            .operations
            .iter()
            .map(|edit| (edit.op(), edit.pair(), edit.members().len(), format!("{edit:?}").chars().take(300).collect::<String>()))
            .collect::<Vec<_>>()
    );
    let second = bench.sync().await;
    assert_eq!(bench.writes().len(), 0, "{:#?}", second.summary);
    bench.assert_no_misuse();
}

#[tokio::test(start_paused = true)]
async fn greenrope_to_emfluence() {
    settles("crm", "crm", "mail").await;
}

#[tokio::test(start_paused = true)]
async fn emfluence_to_greenrope() {
    settles("mail", "mail", "crm").await;
}

#[tokio::test(start_paused = true)]
async fn greenrope_to_greenrope() {
    settles("crm", "crm", "crm2").await;
}

#[tokio::test(start_paused = true)]
async fn emfluence_to_emfluence() {
    settles("mail", "mail", "mail2").await;
}
