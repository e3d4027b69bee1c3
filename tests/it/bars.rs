//! Rule 1 across runs: a refusal that was seen is written at the target before anything may end it.

use rosterd::emulator::MembershipState::OptedOut;
use rosterd::emulator::{Account, Fault, FaultRule};

use crate::support::readers::{PAIRS, mailed, on, refuses_all};
use crate::support::{Bench, bench, group_of, plain_world, tell};

/// Lets no opt-out and no removal pass.
const REFUSED: &str =
    "[jobs.test.guards]\nmax_opt_outs = 0\nmax_membership_removals = 0\nfloor = 0";

/// What keeps the refusal from being written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mishap {
    Guard,
    Outage,
}

fn job(source: &str, target: &str, more: &str) -> String {
    format!(
        "[jobs.test]\nsource = \"{source}\"\ntarget = \"{target}\"\nmode = \"managed\"\n{more}\n"
    )
}

async fn synced(source: &str, target: &str) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut(source), "News", "reader", 6);
    let bench = bench(world, source, target, "mode = \"managed\"");
    bench.settle().await;
    bench
}

/// Makes one run that sees the refusal and can't write it.
async fn fail(bench: &mut Bench, source: &str, target: &str, mishap: Mishap) {
    if mishap == Mishap::Guard {
        bench.reconfigure(&job(source, target, REFUSED));
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 3, "{}", tell(&report));
        bench.reconfigure(&job(source, target, ""));
    } else {
        for operation in outgoing(source, target).await {
            bench.emulator.add_fault(
                FaultRule::every(Fault::ServerError(503))
                    .at(target)
                    .on(&operation),
            );
        }
        let report = bench.sync().await;
        assert_ne!(report.exit_code(), 0, "{}", tell(&report));
        bench.emulator.clear_faults();
    }
    bench.pass(90_000);
}

/// The operations by which refusals leave.
async fn outgoing(source: &str, target: &str) -> Vec<String> {
    let mut operations = Vec::new();
    let refusals: [fn(&mut Account, u64, u64) -> bool; 2] =
        [Account::opt_out_of_group, |account, _, contact| {
            account.opt_out_of_account(contact)
        }];
    for refuse in refusals {
        let bench = synced(source, target).await;
        bench.writes();
        on(&bench, source, 0, refuse);
        bench.sync().await;
        operations.extend(bench.sent().into_iter().map(|(operation, _)| operation));
    }
    operations.sort();
    operations.dedup();
    operations
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_all_mail_that_could_not_be_written_outlives_a_re_subscription_at_the_source()
{
    for (source, target) in PAIRS {
        for mishap in [Mishap::Guard, Mishap::Outage] {
            let mut bench = synced(source, target).await;
            on(&bench, source, 0, |account, _, contact| {
                account.opt_out_of_account(contact)
            });
            fail(&mut bench, source, target, mishap).await;
            assert!(
                !refuses_all(&bench, target, 0),
                "{source} to {target}, {mishap:?}: nothing was written yet"
            );
            on(&bench, source, 0, |account, _, contact| {
                account.resubscribe(contact)
            });
            let report = bench.settle().await;
            assert!(
                refuses_all(&bench, target, 0),
                "{source} to {target}, {mishap:?}: {}",
                tell(&report)
            );
            // From here on it is the person's own doing.
            on(&bench, target, 0, |account, _, contact| {
                account.resubscribe(contact)
            });
            bench.settle().await;
            assert!(
                mailed(&bench, target, 0),
                "{source} to {target}, {mishap:?}: the bar ended"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_group_that_could_not_be_written_outlives_a_re_subscription_at_the_source() {
    for (source, target) in PAIRS {
        for mishap in [Mishap::Guard, Mishap::Outage] {
            let mut bench = synced(source, target).await;
            on(&bench, source, 0, Account::opt_out_of_group);
            fail(&mut bench, source, target, mishap).await;
            assert!(
                mailed(&bench, target, 0),
                "{source} to {target}, {mishap:?}: nothing was written yet"
            );
            on(&bench, source, 0, Account::resubscribe_to_group);
            let report = bench.settle().await;
            let state = bench
                .members(target, "News")
                .get("reader0@example.org")
                .copied();
            let holds = target.starts_with("mail");
            assert_eq!(
                state,
                holds.then_some(OptedOut),
                "{source} to {target}, {mishap:?}: {}",
                tell(&report)
            );
            on(&bench, target, 0, Account::join);
            bench.settle().await;
            on(&bench, target, 0, Account::leave);
            bench.settle().await;
            assert!(
                mailed(&bench, target, 0),
                "{source} to {target}, {mishap:?}: the bar ended"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_could_not_be_written_outlives_the_row_of_the_group() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 6);
        // The target had everybody before, so that nobody was brought and nothing would be removed.
        group_of(world.account_mut(target), "News", "reader", 6);
        let mut bench = bench(world, source, target, "mode = \"managed\"");
        bench.settle().await;
        on(&bench, source, 0, Account::opt_out_of_group);
        fail(&mut bench, source, target, Mishap::Guard).await;
        on(&bench, source, 0, |account, group, contact| {
            account.resubscribe_to_group(group, contact);
            account.leave(group, contact);
        });
        bench.settle().await;
        assert!(!mailed(&bench, target, 0), "{source} to {target}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_that_are_not_carried_only_withhold() {
    for (source, target) in PAIRS {
        let mut bench = synced(source, target).await;
        bench.reconfigure(&job(
            source,
            target,
            "[jobs.test.members]\nopt_outs = \"skip\"",
        ));
        on(&bench, source, 0, |account, group, contact| {
            account.opt_out_of_account(contact);
            account.opt_out_of_group(group, contact);
        });
        bench.sync().await;
        on(&bench, source, 0, |account, group, contact| {
            account.resubscribe(contact);
            account.resubscribe_to_group(group, contact);
        });
        bench.writes();
        bench.sync().await;
        assert_eq!(bench.sent(), [], "{source} to {target}");
        // Whoever leaves the target is not brought back there.
        on(&bench, target, 0, Account::leave);
        bench.settle().await;
        assert!(!mailed(&bench, target, 0), "{source} to {target}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_was_written_may_end_at_once() {
    for (source, target) in PAIRS {
        let bench = synced(source, target).await;
        on(&bench, source, 0, |account, _, contact| {
            account.opt_out_of_account(contact)
        });
        bench.sync().await;
        assert!(refuses_all(&bench, target, 0));
        for account in [source, target] {
            on(&bench, account, 0, |account, _, contact| {
                account.resubscribe(contact)
            });
        }
        bench.settle().await;
        assert!(mailed(&bench, target, 0), "{source} to {target}");

        on(&bench, source, 0, Account::opt_out_of_group);
        bench.sync().await;
        assert!(!mailed(&bench, target, 0));
        for account in [source, target] {
            on(&bench, account, 0, Account::join);
        }
        bench.settle().await;
        assert!(mailed(&bench, target, 0), "{source} to {target}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_of_several_contacts_refuses_and_may_come_back() {
    // The other provider holds an address once.
    for (source, target) in [("mail", "crm"), ("crm", "crm2")] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 6);
        let account = world.account_mut(target);
        let group = group_of(account, "News", "reader", 6);
        let twin = account.add_person("Reader0@example.org", "Ana", "Twin");
        account.join(group, twin);
        let bench = bench(world, source, target, "mode = \"managed\"");
        bench.sync().await;
        let state = |bench: &Bench| {
            bench.account(target, |account| {
                account.membership(account.find_group("News").unwrap(), twin)
            })
        };
        on(&bench, source, 0, Account::opt_out_of_group);
        bench.sync().await;
        let first = |bench: &Bench| {
            on(bench, target, 0, |account, group, contact| {
                account.membership(group, contact)
            })
        };
        assert_eq!(
            (first(&bench), state(&bench)),
            (None, None),
            "{source} to {target}"
        );
        on(&bench, source, 0, Account::resubscribe_to_group);
        bench.account(target, |account| {
            let group = account.find_group("News").unwrap();
            let first = account.contact_by_email("reader0@example.org").unwrap();
            account.join(group, first);
            account.join(group, twin);
        });
        bench.writes();
        bench.sync().await;
        assert_eq!(bench.sent(), [], "{source} to {target}: the bar ended");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_the_target_does_not_take_waits_with_growing_pauses_and_is_never_dropped() {
    for (source, target) in PAIRS {
        for of_all in [false, true] {
            let place = format!("{source} to {target}, of all mail {of_all}");
            let bench = synced(source, target).await;
            for operation in outgoing(source, target).await {
                bench.emulator.add_fault(
                    FaultRule::every(Fault::ServerError(400))
                        .at(target)
                        .on(&operation),
                );
            }
            on(&bench, source, 0, |account, group, contact| {
                if of_all {
                    account.opt_out_of_account(contact)
                } else {
                    account.opt_out_of_group(group, contact)
                }
            });
            bench.writes();
            let report = bench.sync().await;
            assert_eq!(
                (report.exit_code(), bench.sent().is_empty()),
                (4, false),
                "{place}: {}",
                tell(&report)
            );
            let waits = async |seconds: i64| {
                bench.pass(seconds);
                let report = bench.sync().await;
                assert_eq!(report.exit_code(), 4, "{place}: {}", tell(&report));
                let sent = !bench.sent().is_empty();
                let listed = report.blocked.iter().any(|blocked| {
                    blocked.reason.as_str() == "value_refused"
                        && blocked.member.as_deref() == Some("reader0@example.org")
                });
                assert_eq!(listed, !sent, "{place}: {}", tell(&report));
                !sent
            };
            assert!(waits(0).await, "{place}: it was refused a moment ago");
            assert!(!waits(16 * 60).await, "{place}: it is due");
            assert!(waits(16 * 60).await, "{place}: the pause has grown");
            bench
                .store
                .retry_now("test", jiff::Timestamp::UNIX_EPOCH)
                .unwrap();
            assert!(
                !waits(0).await,
                "{place}: asked for by hand it is sent at once"
            );
            // Nothing that happens at the source meanwhile takes it back.
            on(&bench, source, 0, |account, group, contact| {
                if of_all {
                    account.resubscribe(contact)
                } else {
                    account.resubscribe_to_group(group, contact)
                }
            });
            assert!(waits(0).await, "{place}");
            bench.emulator.clear_faults();
            bench.pass(7 * 3600);
            let report = bench.settle().await;
            assert!(!mailed(&bench, target, 0), "{place}: {}", tell(&report));
            assert_eq!(refuses_all(&bench, target, 0), of_all, "{place}");
            assert!(
                bench.store.failures(Some("test")).unwrap().is_empty(),
                "{place}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_group_that_waits_does_not_hold_back_one_of_all_mail() {
    for (source, target) in PAIRS {
        let bench = synced(source, target).await;
        for operation in outgoing(source, target).await {
            bench.emulator.add_fault(
                FaultRule::every(Fault::ServerError(400))
                    .at(target)
                    .on(&operation),
            );
        }
        on(&bench, source, 0, Account::opt_out_of_group);
        assert_eq!(bench.sync().await.exit_code(), 4);
        bench.emulator.clear_faults();
        on(&bench, source, 0, |account, _, contact| {
            account.opt_out_of_account(contact)
        });
        let report = bench.sync().await;
        assert!(
            refuses_all(&bench, target, 0),
            "{source} to {target}: {}",
            tell(&report)
        );
    }
}
