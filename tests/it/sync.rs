//! Whole runs between emulated accounts, judged by an oracle that knows the rules and not the
//! planner.

use rosterd::emulator::{Account, Kind, Seed, World};
use rosterd::run::Outcome;

use crate::support::oracle::Oracle;
use crate::support::{Bench, bench, tell};

const SIZE: Seed = Seed {
    seed: 7,
    groups: 25,
    members: 2000,
};

fn copy(bench: &Bench, name: &str) -> Account {
    bench.account(name, |account| account.clone())
}

/// A rich account of made-up data, where every second group has a sender of its own.
fn world(rich: &str) -> World {
    let mut world = World::seeded_all(rich, &SIZE);
    let account = world.account_mut(rich);
    let kind = account.kind;
    for (number, group) in account
        .groups
        .values_mut()
        .enumerate()
        .filter(|(number, _)| number % 2 == 1)
    {
        match kind {
            Kind::Emfluence => {}
            Kind::GreenRope => {
                group.sender_name = format!("Desk {number} & Sons");
                group.sender_email = format!("desk{number}@example.org");
                group.postal_address = format!("{number} Side Street, Springfield, IL, 62701, USA");
            }
            Kind::ActiveCampaign => {
                group.sender_name = format!("Desk {number} & Sons");
                group
                    .settings
                    .insert("sender_addr1".to_owned(), format!("{number} Side Street"));
                group.settings.insert(
                    "sender_reminder".to_owned(),
                    format!("You came to desk {number}"),
                );
            }
        }
    }
    world
}

async fn settles(source: &str, target: &str) {
    let bench = bench(world(source), source, target, "mode = \"managed\"");
    let (from, before) = (copy(&bench, source), copy(&bench, target));
    let first = bench.sync().await;
    assert!(
        matches!(first.outcome, Outcome::Done | Outcome::Partial),
        "{}",
        tell(&first)
    );
    assert!(first.failures.is_empty(), "{}", tell(&first));
    Oracle {
        source: &from,
        before: &before,
        after: &copy(&bench, target),
        source_name: source,
    }
    .judge();
    assert_eq!(
        copy(&bench, source).contacts,
        from.contacts,
        "a source is never written to"
    );
    assert_eq!(
        copy(&bench, source).groups,
        from.groups,
        "a source is never written to"
    );
    bench.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn greenrope_to_emfluence() {
    settles("crm", "mail").await;
}

#[tokio::test(start_paused = true)]
async fn emfluence_to_greenrope() {
    settles("mail", "crm").await;
}

#[tokio::test(start_paused = true)]
async fn greenrope_to_greenrope() {
    settles("crm", "crm2").await;
}

#[tokio::test(start_paused = true)]
async fn emfluence_to_emfluence() {
    settles("mail", "mail2").await;
}

#[tokio::test(start_paused = true)]
async fn activecampaign_to_emfluence() {
    settles("campaigns", "mail").await;
}

#[tokio::test(start_paused = true)]
async fn activecampaign_to_greenrope() {
    settles("campaigns", "crm").await;
}

#[tokio::test(start_paused = true)]
async fn emfluence_to_activecampaign() {
    settles("mail", "campaigns").await;
}

#[tokio::test(start_paused = true)]
async fn greenrope_to_activecampaign() {
    settles("crm", "campaigns").await;
}

#[tokio::test(start_paused = true)]
async fn activecampaign_to_activecampaign() {
    settles("campaigns", "campaigns2").await;
}
