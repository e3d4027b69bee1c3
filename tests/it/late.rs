//! Effects that come after their answer, readings that lag behind, and what others did meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rosterd::emulator::MembershipState::OptedOut;
use rosterd::emulator::{Account, Fault, FaultRule, When};
use rosterd::state::JournalMoment;

use crate::meanwhile::once;
use crate::support::{Bench, bench, group_of, plain_world, tell};

const FREE: &str = "mode = \"managed\"\n[jobs.test.guards]\nmax_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\"\nmax_opt_outs = \"none\"\n";

const READER: &str = "reader0@example.org";

async fn synced(source: &str, target: &str, more: &str) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut(source), "News", "reader", 6);
    let bench = bench(world, source, target, &format!("{FREE}{more}"));
    bench.settle().await;
    bench
}

fn on<R>(bench: &Bench, account: &str, work: impl FnOnce(&mut Account, u64, u64) -> R) -> R {
    bench.account(account, |account| {
        let contact = account.contact_by_email(READER).unwrap();
        let group = account.find_group("News").unwrap();
        work(account, group, contact)
    })
}

/// The requests that change memberships at a list.
const REMOVALS: [&str; 2] = ["POST /import/bulk_import", "contact_sync"];

#[tokio::test(start_paused = true)]
async fn a_removal_whose_answer_was_lost_is_no_reason_to_bring_anybody_back() {
    for source in ["mail", "crm"] {
        for fault in [
            Fault::ResetBeforeEffect,
            Fault::ServerError(503),
            Fault::ResetAfterEffect,
            Fault::LateEffect(Duration::from_secs(5)),
        ] {
            let place = format!("{source}, {}", fault.name());
            let bench = synced(source, "campaigns", "[jobs.test.members]\nreadd = true\n").await;
            on(&bench, source, Account::leave);
            for operation in REMOVALS {
                bench.emulator.add_fault(
                    FaultRule::every(fault.clone())
                        .at("campaigns")
                        .on(operation),
                );
            }
            bench.sync().await;
            bench.emulator.clear_faults();
            // Whatever shows by now: the person refuses.
            on(&bench, "campaigns", |account, group, contact| {
                account.refuse_group(group, contact);
            });
            bench.sync().await;
            on(&bench, source, Account::join);
            for _ in 0..2 {
                let report = bench.sync().await;
                assert_eq!(
                    bench.members("campaigns", "News")[READER],
                    OptedOut,
                    "{place}: {}",
                    tell(&report)
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_killed_before_a_removal_leaves_claims_none() {
    for source in ["mail", "crm"] {
        let bench = synced(source, "campaigns", "[jobs.test.members]\nreadd = true\n").await;
        on(&bench, source, Account::leave);
        let runner = bench.runner();
        let store = bench.store.clone();
        let died = Arc::new(tokio::sync::Notify::new());
        let reached = died.clone();
        store.watch_journal(move |moment| {
            if moment == JournalMoment::IntentKept {
                reached.notify_one();
            }
        });
        bench.rest().await;
        // The request is made to wait, so that the run ends before anything is done.
        bench
            .emulator
            .add_fault(FaultRule::every(Fault::Latency(Duration::from_mins(1))).at("campaigns"));
        let options = rosterd::run::SyncOptions::default();
        tokio::select! {
            biased;
            () = died.notified() => {}
            result = runner.sync("test", options) => panic!("{result:?}"),
        }
        drop(runner);
        bench.store.watch_journal(|_| ());
        bench.emulator.clear_faults();
        on(&bench, "campaigns", |account, group, contact| {
            account.refuse_group(group, contact);
        });
        bench.sync().await;
        on(&bench, source, Account::join);
        for _ in 0..2 {
            let report = bench.sync().await;
            assert_eq!(
                bench.members("campaigns", "News")[READER],
                OptedOut,
                "{source}: {}",
                tell(&report)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_joined_by_hand_a_moment_before_is_not_brought() {
    for (source, target) in [
        ("crm", "mail"),
        ("mail", "crm"),
        ("mail", "mail2"),
        ("mail", "campaigns"),
    ] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 6);
        group_of(world.account_mut(target), "News", "fan", 2);
        let account = world.account_mut(target);
        for number in 0..6 {
            account.add_person(&format!("reader{number}@example.org"), "Ana", "Example");
        }
        // Only where the provider says of each item whether it was there before, anybody can know.
        account.settings.emfluence.strict_rows = true;
        account.settings.greenrope.strict_items = true;
        let bench = bench(world, source, target, FREE);
        let joined = Arc::new(AtomicBool::new(false));
        let done = joined.clone();
        once(
            &bench,
            target,
            JournalMoment::IntentKept,
            "add_memberships",
            move |account| {
                let contact = account.contact_by_email(READER).unwrap();
                account.join(account.find_group("News").unwrap(), contact);
                done.store(true, Ordering::SeqCst);
            },
        );
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        assert!(joined.load(Ordering::SeqCst), "{source} to {target}");
        bench.store.watch_journal(|_| ());
        on(&bench, source, Account::leave);
        let report = bench.sync().await;
        let stays = on(&bench, target, |account, group, contact| {
            account.mailed_by(group).contains(&READER.to_owned())
                && account.membership(group, contact).is_some()
        });
        // An import says nothing of single rows.
        if target == "campaigns" {
            continue;
        }
        assert!(stays, "{source} to {target}: {}", tell(&report));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_contact_of_an_address_is_not_removed_with_ours() {
    for source in ["mail", "crm2"] {
        let bench = synced(source, "crm", "").await;
        let (ours, twin) = bench.account("crm", |crm| {
            let ours = crm.contact_by_email(READER).unwrap();
            let twin = crm.add_person("Reader0@example.org", "Ana", "Twin");
            crm.join(crm.find_group("News").unwrap(), twin);
            (ours, twin)
        });
        bench.sync().await;
        on(&bench, source, Account::leave);
        let report = bench.sync().await;
        let found = bench.account("crm", |crm| {
            let group = crm.find_group("News").unwrap();
            [ours, twin].map(|contact| crm.membership(group, contact).is_some())
        });
        assert_eq!(found, [false, true], "{source}: {}", tell(&report));
        assert_eq!(
            report.summary.memberships_removed,
            1,
            "{source}: {}",
            tell(&report)
        );
    }
}

/// The request that makes a group.
fn creation(target: &str) -> &'static str {
    match target {
        "mail" | "mail2" => "groups/save",
        "crm" | "crm2" => "CreateGroup",
        _ => "list_add",
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_creation_takes_effect_late_is_not_created_twice() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "campaigns")] {
        for seconds in [2, 20] {
            let mut world = plain_world();
            group_of(world.account_mut(source), "News", "reader", 6);
            let bench = bench(world, source, target, FREE);
            bench.emulator.add_fault(
                FaultRule::every(Fault::LateEffect(Duration::from_secs(seconds)))
                    .at(target)
                    .on(creation(target))
                    .when(When::First(1)),
            );
            bench.sync().await;
            let report = bench.sync().await;
            let groups = bench.account(target, |account| {
                let named = account.groups.values().filter(|group| group.name == "News");
                named.count()
            });
            assert_eq!(
                groups,
                1,
                "{source} to {target}, {seconds} s: {}",
                tell(&report)
            );
            bench.settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_lags_behind_makes_nobody_fail() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "campaigns")] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 6);
        let bench = bench(world, source, target, FREE);
        bench
            .emulator
            .add_fault(FaultRule::every(Fault::LaggingRead(Duration::from_secs(3))).at(target));
        let report = bench.sync().await;
        assert_eq!(
            report.exit_code(),
            0,
            "{source} to {target}: {}",
            tell(&report)
        );
        bench.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_comes_late_after_a_kill_is_not_created_twice() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "campaigns")] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 6);
        let bench = bench(world, source, target, FREE);
        bench.emulator.add_fault(
            FaultRule::every(Fault::LateEffect(Duration::from_secs(20)))
                .at(target)
                .on(creation(target))
                .when(When::First(1)),
        );
        let runner = bench.runner();
        let left = || {
            let entries = bench.store.unsettled("test").unwrap();
            entries
                .iter()
                .any(|entry| entry.operation == "create_group")
                && bench
                    .emulator
                    .requests()
                    .iter()
                    .any(|request| request.is_write)
        };
        tokio::select! {
            biased;
            () = async {
                while !left() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            } => {}
            result = runner.sync("test", rosterd::run::SyncOptions::default()) => panic!("{result:?}"),
        }
        drop(runner);
        let report = bench.sync().await;
        let groups = bench.account(target, |account| {
            let named = account.groups.values().filter(|group| group.name == "News");
            named.count()
        });
        assert_eq!(groups, 1, "{source} to {target}: {}", tell(&report));
        bench.settle().await;
    }
}
