//! Whole runs between emulated accounts, judged by an oracle that knows the rules and not the planner.

use rosterd::emulator::{Account, Seed, World};
use rosterd::run::Outcome;

use crate::support::oracle::Oracle;
use crate::support::{Bench, bench, tell};

const SIZE: Seed = Seed { seed: 7, groups: 25, members: 2000 };

fn copy(bench: &Bench, name: &str) -> Account {
    bench.account(name, |account| account.clone())
}

async fn settles(rich: &str, source: &str, target: &str) {
    let bench = bench(World::seeded_in(rich, &SIZE), source, target, "mode = \"managed\"");
    let (from, before) = (copy(&bench, source), copy(&bench, target));
    let first = bench.sync().await;
    assert!(matches!(first.outcome, Outcome::Done | Outcome::Partial), "{}", tell(&first));
    assert!(first.failures.is_empty(), "{}", tell(&first));
    Oracle { source: &from, before: &before, after: &copy(&bench, target), source_name: source }.judge();
    assert_eq!(copy(&bench, source).contacts, from.contacts, "a source is never written to");
    assert_eq!(copy(&bench, source).groups, from.groups, "a source is never written to");
    bench.assert_settled().await;
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
