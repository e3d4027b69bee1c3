//! Rule 1: an opt-out is never undone, and is carried as far as the target can hold it.

use rosterd::emulator::MembershipState::{Active, OptedOut};

use crate::support::readers::{PAIRS, mailed, on, refuses_all};
use crate::support::{Bench, bench, group_of, operations, plain_world, tell};

/// One group of six people at the source, synced.
async fn synced(source: &str, target: &str, job: &str) -> (Bench, u64) {
    let mut world = plain_world();
    let group = group_of(world.account_mut(source), "News", "reader", 6);
    let bench = bench(world, source, target, job);
    bench.settle().await;
    (bench, group)
}

#[tokio::test(start_paused = true)]
async fn an_account_opt_out_at_the_source_is_carried_and_never_undone() {
    for (source, target) in PAIRS {
        let (bench, _) = synced(source, target, "mode = \"managed\"").await;
        on(&bench, source, 0, |account, _, contact| {
            account.opt_out_of_account(contact)
        });
        let planned = bench.plan().await;
        assert_eq!(operations(&planned), ["set_opt_out reader0@example.org"]);
        bench.settle().await;
        assert!(refuses_all(&bench, target, 0), "{source} to {target}");
        // A re-subscription at the source is not carried.
        on(&bench, source, 0, |account, _, contact| {
            account.resubscribe(contact)
        });
        bench.settle().await;
        assert!(refuses_all(&bench, target, 0), "{source} to {target}");
        // The person re-subscribes at the target, and may be added again from then on.
        on(&bench, target, 0, |account, _, contact| {
            account.resubscribe(contact)
        });
        bench.settle().await;
        assert!(mailed(&bench, target, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_the_source_still_shows_is_carried_again_with_a_warning() {
    for (source, target) in PAIRS {
        let (bench, _) = synced(source, target, "mode = \"managed\"").await;
        on(&bench, source, 0, |account, _, contact| {
            account.opt_out_of_account(contact)
        });
        bench.settle().await;
        on(&bench, target, 0, |account, _, contact| {
            account.resubscribe(contact)
        });
        let report = bench.settle().await;
        assert_eq!(report.summary.opt_outs, 1);
        assert!(
            report
                .warnings
                .iter()
                .any(|warning| warning.contains("carried again")),
            "{}",
            tell(&report)
        );
        assert!(refuses_all(&bench, target, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_opt_out_at_the_source_is_held_or_keeps_the_person_out() {
    for (source, target) in PAIRS {
        for mode in ["add", "managed", "mirror"] {
            let (bench, _) = synced(source, target, &format!("mode = \"{mode}\"")).await;
            on(
                &bench,
                source,
                1,
                rosterd::emulator::Account::opt_out_of_group,
            );
            let planned = bench.plan().await;
            let holds = target.starts_with("mail");
            let expected = if holds {
                "set_opt_out \"News\" reader1@example.org"
            } else {
                "remove_memberships \"News\" reader1@example.org"
            };
            assert_eq!(
                operations(&planned),
                [expected],
                "{source} to {target}, {mode}"
            );
            assert_eq!(
                planned
                    .plan
                    .losses
                    .iter()
                    .any(|loss| loss.field == "group opt-out"),
                !holds
            );
            bench.settle().await;
            let state = bench
                .members(target, "News")
                .get("reader1@example.org")
                .copied();
            assert_eq!(
                state,
                holds.then_some(OptedOut),
                "{source} to {target}, {mode}"
            );
            assert!(
                !refuses_all(&bench, target, 1),
                "a group opt-out never grows into one of the account"
            );
            // Re-subscribed at the source: withheld, at the same target and by a second run.
            on(
                &bench,
                source,
                1,
                rosterd::emulator::Account::resubscribe_to_group,
            );
            let report = bench.settle().await;
            assert_eq!(report.withheld, 1, "{}", tell(&report));
            assert!(!mailed(&bench, target, 1), "{source} to {target}, {mode}");
            // Re-subscribed at the target: the bar ends, and a later removal by hand is not taken
            // for a refusal.
            on(&bench, target, 1, rosterd::emulator::Account::join);
            bench.settle().await;
            on(&bench, target, 1, rosterd::emulator::Account::leave);
            bench.settle().await;
            assert!(
                mailed(&bench, target, 1),
                "{source} to {target}, {mode}: the bar ended"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_target_bars() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 6);
        let account = world.account_mut(target);
        let group = group_of(account, "News", "reader", 2);
        let (first, second) = (
            account.contact_by_email("reader0@example.org").unwrap(),
            account.contact_by_email("reader1@example.org").unwrap(),
        );
        account.leave(group, first);
        account.opt_out_of_account(first);
        account.opt_out_of_group(group, second);
        let third = account.add_person("reader2@example.org", "Ana", "Example");
        account.hold(third);
        let mut bench = bench(world, source, target, "mode = \"mirror\"");
        for _ in 0..2 {
            let report = bench.settle().await;
            assert_eq!(report.withheld, 3, "{}", tell(&report));
            assert_eq!(bench.members(target, "News").len(), 4);
            assert_eq!(
                bench.members(target, "News")["reader1@example.org"],
                OptedOut
            );
            for number in 0..3 {
                assert!(!mailed(&bench, target, number));
            }
            bench.lose_state();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_database_subscribes_no_one_and_duplicates_nothing() {
    for (source, target) in PAIRS {
        let (mut bench, _) = synced(source, target, "mode = \"managed\"").await;
        on(&bench, source, 0, |account, _, contact| {
            account.opt_out_of_account(contact)
        });
        on(
            &bench,
            source,
            1,
            rosterd::emulator::Account::opt_out_of_group,
        );
        on(&bench, target, 2, |account, _, contact| {
            account.opt_out_of_account(contact)
        });
        on(
            &bench,
            target,
            3,
            rosterd::emulator::Account::opt_out_of_group,
        );
        bench.settle().await;
        let before = bench.account(target, |account| crate::support::digest(account));
        bench.lose_state();
        bench.writes();
        let report = bench.sync().await;
        assert!(bench.sent().is_empty(), "{}", tell(&report));
        assert!(
            report
                .warnings
                .iter()
                .any(|warning| warning.contains("without a base"))
        );
        assert_eq!(
            bench.account(target, |account| crate::support::digest(account)),
            before
        );
        bench.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_follows_a_change_of_address() {
    for (source, target) in PAIRS {
        let (bench, _) = synced(source, target, "mode = \"managed\"").await;
        on(
            &bench,
            source,
            1,
            rosterd::emulator::Account::opt_out_of_group,
        );
        bench.settle().await;
        // The address changes, and with it the membership looks like a fresh one.
        on(&bench, source, 1, |account, group, contact| {
            account.resubscribe_to_group(group, contact);
            account.change_address(contact, "moved@example.org");
        });
        bench.settle().await;
        let mailed = bench.account(target, |account| {
            account.mailed_by(account.find_group("News").unwrap())
        });
        assert!(
            !mailed.contains(&"moved@example.org".to_owned()),
            "{source} to {target}"
        );
        assert!(
            !mailed.contains(&"reader1@example.org".to_owned()),
            "{source} to {target}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_merged_duplicates_the_strictest_refusal_counts() {
    for target in ["mail", "crm2"] {
        let mut world = plain_world();
        let account = world.account_mut("crm");
        let group = group_of(account, "News", "reader", 4);
        let twin = account.add_person("READER0@example.org", "Ana", "Twin");
        account.join(group, twin);
        account.opt_out_of_account(twin);
        let other = account.add_person("Reader1@Example.org", "Ana", "Twin");
        account.opt_out_of_group(group, other);
        let bench = bench(world, "crm", target, "mode = \"managed\"");
        bench.settle().await;
        assert!(refuses_all(&bench, target, 0));
        assert!(!mailed(&bench, target, 0) && mailed(&bench, target, 2));
        let state = bench
            .members(target, "News")
            .get("reader1@example.org")
            .copied();
        assert_ne!(state, Some(Active));
    }
}

#[tokio::test(start_paused = true)]
async fn opt_outs_can_be_left_out_of_writing_and_still_bar() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        let account = world.account_mut(source);
        let group = group_of(account, "News", "reader", 4);
        let first = account.contact_by_email("reader0@example.org").unwrap();
        let second = account.contact_by_email("reader1@example.org").unwrap();
        account.opt_out_of_account(first);
        account.opt_out_of_group(group, second);
        let bench = bench(
            world,
            source,
            target,
            "mode = \"managed\"\n[jobs.test.members]\nopt_outs = \"skip\"",
        );
        let report = bench.settle().await;
        assert_eq!(
            (report.summary.opt_outs, report.withheld),
            (0, 2),
            "{}",
            tell(&report)
        );
        assert_eq!(bench.members(target, "News").len(), 2);
        assert_eq!(bench.account(target, |account| account.contacts.len()), 2);
        // Re-subscribed at the source: a bar is a bar.
        on(&bench, source, 0, |account, _, contact| {
            account.resubscribe(contact)
        });
        on(
            &bench,
            source,
            1,
            rosterd::emulator::Account::resubscribe_to_group,
        );
        bench.settle().await;
        assert_eq!(bench.members(target, "News").len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_created_to_refuse_is_counted_as_created_and_as_refusing() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        let account = world.account_mut(source);
        group_of(account, "News", "reader", 4);
        for reader in ["reader0@example.org", "reader1@example.org"] {
            let contact = account.contact_by_email(reader).unwrap();
            account.opt_out_of_account(contact);
        }
        let bench = bench(world, source, target, "mode = \"managed\"");
        let planned = bench.plan().await.plan.summary;
        assert_eq!((planned.opt_outs, planned.members_created), (2, 4));
        let report = bench.settle().await;
        assert_eq!(report.summary, planned, "{source} to {target}");
        assert!(refuses_all(&bench, target, 0), "{source} to {target}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_never_hides_an_opt_out() {
    for (source, target) in PAIRS {
        let job =
            "mode = \"managed\"\n[jobs.test.members]\nwhere = \"source.company != 'Internal'\"";
        let (bench, _) = synced(source, target, job).await;
        for number in 0..2 {
            on(&bench, source, number, |account, _, contact| {
                account.change_contact(contact, [("company", "Internal")], [])
            });
        }
        on(&bench, source, 0, |account, _, contact| {
            account.opt_out_of_account(contact)
        });
        on(
            &bench,
            source,
            1,
            rosterd::emulator::Account::opt_out_of_group,
        );
        bench.settle().await;
        assert!(refuses_all(&bench, target, 0), "{source} to {target}");
        assert!(!mailed(&bench, target, 1), "{source} to {target}");
        if target.starts_with("mail") {
            assert_eq!(
                bench.members(target, "News")["reader1@example.org"],
                OptedOut
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_erased_at_the_target_is_not_created_again() {
    for (source, target) in PAIRS {
        let (bench, _) = synced(source, target, "mode = \"managed\"").await;
        bench.account(target, |account| {
            let contact = account.contact_by_email("reader0@example.org").unwrap();
            account.delete_contact(contact);
        });
        bench.writes();
        for _ in 0..2 {
            let report = bench.sync().await;
            assert_eq!(report.exit_code(), 4, "{}", tell(&report));
            assert_eq!(report.blocked[0].reason.as_str(), "gone_at_target");
            assert_eq!(bench.sent(), []);
        }
        // An opt-out does not bring the person back either.
        on(&bench, source, 0, |account, _, contact| {
            account.opt_out_of_account(contact)
        });
        bench.sync().await;
        assert_eq!(bench.sent(), []);
    }
}

/// Who refused and comes back by a wish of their own is there by that wish, and not by what the job
/// brought before: in `managed` nobody takes them out.
#[tokio::test(start_paused = true)]
async fn whoever_comes_back_after_a_refusal_is_not_taken_out_as_ours() {
    for (source, target) in [
        ("crm", "mail"),
        ("mail", "crm"),
        ("mail", "campaigns"),
        ("campaigns", "mail"),
    ] {
        // The refusal is seen at the target, or given at the source and carried by the very run
        // after which the person comes back.
        for refused_at in [target, source] {
            let (bench, _) = synced(source, target, "mode = \"managed\"").await;
            let place = format!("{source} to {target}, refused at {refused_at}");
            let state = || {
                bench
                    .members(target, "News")
                    .get("reader0@example.org")
                    .copied()
            };
            on(
                &bench,
                refused_at,
                0,
                rosterd::emulator::Account::opt_out_of_group,
            );
            let report = bench.sync().await;
            assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
            assert_ne!(state(), Some(Active), "{place}");
            on(&bench, target, 0, rosterd::emulator::Account::join);
            assert_eq!(state(), Some(Active), "{place}");
            on(&bench, source, 0, rosterd::emulator::Account::leave);
            let report = bench.sync().await;
            assert_eq!(state(), Some(Active), "{place}: {}", tell(&report));
            assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
            bench.assert_settled().await;
        }
    }
}
