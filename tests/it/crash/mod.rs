//! A run that ends in the middle, by a signal or by a power cut, is finished by the next one.

mod journal;

use std::time::Duration;

use rosterd::emulator::{Change, Fault, FaultRule};
use rosterd::run::{Outcome, Progress, RunnerOptions, SyncOptions};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, bench, digest, group_of, plain_world, tell};

fn fresh(source: &str, target: &str) -> Bench {
    let mut world = plain_world();
    let account = world.account_mut(source);
    let group = group_of(account, "One", "one", 6);
    group_of(account, "Two", "two", 6);
    for (name, all) in [("one0", true), ("one1", false)] {
        let contact = account
            .contact_by_email(&format!("{name}@example.org"))
            .unwrap();
        if all {
            account.opt_out_of_account(contact);
        } else {
            account.opt_out_of_group(group, contact);
        }
    }
    let account = world.account_mut(target);
    group_of(account, "One", "one", 3);
    bench(world, source, target, "mode = \"managed\"")
}

fn created_groups(bench: &Bench, target: &str) -> usize {
    let created = |event: &rosterd::emulator::HistoryEvent| {
        event.account == target
            && matches!(event.actor, rosterd::emulator::Actor::Request(_))
            && matches!(event.change, Change::GroupCreated { .. })
    };
    bench
        .emulator
        .history()
        .iter()
        .filter(|event| created(event))
        .count()
}

async fn survives_death(source: &str, target: &str) {
    let calm = fresh(source, target);
    calm.settle().await;
    let expected = calm.account(target, |account| digest(account));
    let groups = created_groups(&calm, target);
    for after_effect in [false, true] {
        for nth in 1..60 {
            let bench = fresh(source, target);
            let slow = Duration::from_secs(2);
            let fault = if after_effect {
                Fault::SlowAnswer(slow)
            } else {
                Fault::Latency(slow)
            };
            bench.rest().await;
            if !bench.ends_at_write(nth, FaultRule::every(fault)).await {
                assert!(nth > 3, "the run has more writes than that");
                break;
            }
            let place = format!("{source} to {target}, write {nth}, effect {after_effect}");
            let report = bench.sync().await;
            assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
            assert_eq!(
                bench.account(target, |account| digest(account)),
                expected,
                "{place}"
            );
            assert_eq!(created_groups(&bench, target), groups, "{place}");
            bench.assert_settled().await;
            // What the dead run brought is this job's own: whoever leaves is removed.
            bench.account(source, |account| {
                let group = account.find_group("Two").unwrap();
                let contact = account.contact_by_email("two3@example.org").unwrap();
                account.leave(group, contact);
            });
            bench.settle().await;
            // A list shows a removal as a refusal.
            assert_ne!(
                bench.members(target, "Two").get("two3@example.org"),
                Some(&rosterd::emulator::MembershipState::Active),
                "{place}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_is_finished_at_emfluence() {
    survives_death("crm", "mail").await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_is_finished_at_activecampaign() {
    survives_death("mail", "campaigns").await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_is_finished_at_greenrope() {
    survives_death("mail", "crm").await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_leaves_its_history() {
    let bench = fresh("crm", "mail");
    let slow = FaultRule::every(Fault::SlowAnswer(Duration::from_secs(2)));
    bench.rest().await;
    assert!(bench.ends_at_write(5, slow).await);
    let run = bench.store.history(None, 1).unwrap().remove(0);
    assert_eq!(run.outcome, None);
    let lines = bench.store.run_items(&run.id).map(Result::unwrap);
    let lines = lines.map(|line| {
        let who = line.member.or(line.group).unwrap_or_default();
        format!("{} {} {who}", line.seq, line.op)
    });
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "1 set_opt_out one0@example.org",
            "2 adopt_group One",
            "3 create_group Two",
        ]
    );
}

/// Half of those whom a first run is to bring refuse all mail: more than a guard lets pass later on.
fn many_refuse() -> Bench {
    let mut world = plain_world();
    let account = world.account_mut("crm");
    group_of(account, "One", "one", 60);
    for number in 0..30 {
        let contact = account.contact_by_email(&format!("one{number}@example.org"));
        account.opt_out_of_account(contact.unwrap());
    }
    let account = world.account_mut("mail");
    group_of(account, "One", "one", 28);
    bench(world, "crm", "mail", "mode = \"managed\"")
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_first_run_left_to_do_waits_for_nobody() {
    let calm = many_refuse();
    calm.settle().await;
    let expected = calm.account("mail", |account| digest(account));
    let bench = many_refuse();
    let slow = FaultRule::every(Fault::SlowAnswer(Duration::from_secs(2)));
    bench.rest().await;
    // The group is linked by then, and nobody of the others is told yet that they refuse.
    assert!(bench.ends_at_write(5, slow).await);
    bench.settle().await;
    assert_eq!(bench.account("mail", |account| digest(account)), expected);
    // From then on a guard judges them.
    bench.account("crm", |account| {
        for number in 30..60 {
            let contact = account.contact_by_email(&format!("one{number}@example.org"));
            account.opt_out_of_account(contact.unwrap());
        }
    });
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 3, "{}", tell(&report));
    assert_eq!(report.waiting_opt_outs, 30);
}

/// Asks a run to stop after so many steps.
struct StopAfter(u64, CancellationToken);

impl Progress for StopAfter {
    fn stage(&self, _job: &str, _text: &str) {}
    fn advance(&self, _job: &str, done: u64, _of: u64) {
        if done >= self.0 {
            self.1.cancel();
        }
    }
    fn finish(&self, _job: &str) {}
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_is_finished_by_the_next_one() {
    for (source, target) in [
        ("crm", "mail"),
        ("mail", "crm"),
        ("mail", "mail2"),
        ("crm", "crm2"),
    ] {
        let calm = fresh(source, target);
        calm.settle().await;
        let expected = calm.account(target, |account| digest(account));
        let groups = created_groups(&calm, target);
        for steps in 1..30 {
            let bench = fresh(source, target);
            bench.rest().await;
            let stop = CancellationToken::new();
            let runner = bench.runner_of(RunnerOptions {
                progress: std::sync::Arc::new(StopAfter(steps, stop.clone())),
                stop,
                ..RunnerOptions::default()
            });
            let report = runner.sync("test", SyncOptions::default()).await.unwrap();
            let finished = report.outcome == Outcome::Done;
            if !finished {
                assert_eq!(report.exit_code(), 1, "{}", tell(&report));
                assert!(report.error.is_some());
            }
            let report = bench.sync().await;
            assert_eq!(report.exit_code(), 0, "{}", tell(&report));
            assert_eq!(
                bench.account(target, |account| digest(account)),
                expected,
                "{source} to {target}, step {steps}"
            );
            assert_eq!(
                created_groups(&bench, target),
                groups,
                "{source} to {target}, step {steps}"
            );
            bench.assert_settled().await;
            if finished {
                break;
            }
        }
    }
}
