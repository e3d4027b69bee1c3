//! What became of a write is proved or it is not known; nothing is taken for rosterd's doing because
//! it would fit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rosterd::emulator::MembershipState::{Active, OptedOut};
use rosterd::emulator::{Account, Fault, FaultRule, When};
use rosterd::state::JournalMoment;

use crate::meanwhile::once;
use crate::support::{Bench, bench, group_of, plain_world, tell};

/// No limits, removals, and people who may come back.
const READD: &str = "mode = \"managed\"\n[jobs.test.guards]\nmax_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\"\n[jobs.test.members]\nreadd = true";

fn address(number: usize) -> String {
    format!("reader{number}@example.org")
}

fn on<R>(
    bench: &Bench,
    account: &str,
    number: usize,
    work: impl FnOnce(&mut Account, u64, u64) -> R,
) -> R {
    bench.account(account, |account| {
        let contact = account.contact_by_email(&address(number)).unwrap();
        let group = account.find_group("News").unwrap();
        work(account, group, contact)
    })
}

/// The group "News" with thirty people at emfluence, synced into the lists of ActiveCampaign.
async fn synced() -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 30);
    let bench = bench(world, "mail", "campaigns", READD);
    bench.settle().await;
    bench.set_clocks_alike();
    bench
}

/// Tells whether the removal of somebody from the list is remembered as rosterd's own.
fn is_own(bench: &Bench, number: usize) -> bool {
    let (list, id) = on(bench, "campaigns", number, |_, list, id| (list, id));
    bench
        .own_removals("campaigns")
        .get(&list.to_string(), &id.to_string())
        .is_some()
}

/// Joins somebody at the source again, and returns how the list shows them then.
async fn joined_again(bench: &Bench, number: usize) -> rosterd::emulator::MembershipState {
    on(bench, "mail", number, Account::join);
    bench.settle().await;
    bench.members("campaigns", "News")[&address(number)]
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_answer_was_lost_is_not_claimed() {
    for fault in [
        Fault::ResetAfterEffect,
        Fault::TruncatedBody,
        Fault::EmptyBody,
    ] {
        let bench = synced().await;
        on(&bench, "mail", 0, Account::leave);
        bench.emulator.add_fault(
            FaultRule::every(fault.clone())
                .at("campaigns")
                .on("contact_sync")
                .when(When::First(1)),
        );
        let report = bench.sync().await;
        let place = format!("{}: {}", fault.name(), tell(&report));
        assert_eq!(
            (report.exit_code(), report.summary.memberships_removed),
            (0, 1),
            "{place}"
        );
        assert!(!is_own(&bench, 0), "{place}");
        assert_eq!(joined_again(&bench, 0).await, OptedOut, "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_removal_that_never_left_is_the_persons_own() {
    let bench = synced().await;
    on(&bench, "mail", 0, Account::leave);
    bench.emulator.add_fault(
        FaultRule::every(Fault::ResetBeforeEffect)
            .at("campaigns")
            .on("contact_sync"),
    );
    let report = bench.sync().await;
    // It alone can't be done while the host answers: a person has to know.
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    bench.emulator.clear_faults();
    on(&bench, "campaigns", 0, Account::refuse_group);
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    assert!(!is_own(&bench, 0));
    assert_eq!(joined_again(&bench, 0).await, OptedOut);
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_is_sent_again_and_answered_is_rosterds() {
    let bench = synced().await;
    on(&bench, "mail", 0, Account::leave);
    bench.emulator.add_fault(
        FaultRule::every(Fault::ResetBeforeEffect)
            .at("campaigns")
            .on("contact_sync")
            .when(When::First(1)),
    );
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    assert!(is_own(&bench, 0));
    assert_eq!(joined_again(&bench, 0).await, Active);
}

/// A batch that is refused as a whole is sent again in halves, and somebody may refuse in between.
#[tokio::test(start_paused = true)]
async fn who_refuses_while_a_removal_is_sent_again_in_halves_stays_as_they_are() {
    let bench = synced().await;
    for number in 0..14 {
        on(&bench, "mail", number, Account::leave);
    }
    bench.emulator.add_fault(
        FaultRule::every(Fault::PoisonItem(address(5)))
            .at("campaigns")
            .on("POST /import/bulk_import"),
    );
    once(
        &bench,
        "campaigns",
        JournalMoment::IntentKept,
        "remove_memberships",
        |account| {
            let list = account.find_group("News").unwrap();
            let contact = account.contact_by_email(&address(3)).unwrap();
            account.refuse_group(list, contact);
        },
    );
    let report = bench.sync().await;
    bench.store.watch_journal(|_| ());
    assert!(
        (0..14).all(|number| is_own(&bench, number) == (number != 3)),
        "{}",
        tell(&report)
    );
    assert_eq!(bench.members("campaigns", "News")[&address(3)], OptedOut);
    bench.emulator.clear_faults();
    bench.pass(86_400 * 8);
    bench.sync().await;
    assert_eq!(joined_again(&bench, 3).await, OptedOut);
}

/// How many groups of an account are named "News".
fn named(bench: &Bench, account: &str) -> usize {
    bench.account(account, |account| {
        let groups = account.groups.values();
        groups.filter(|group| group.name == "News").count()
    })
}

/// The request arrives when rosterd has given up waiting for its answer.
#[tokio::test(start_paused = true)]
async fn a_group_that_is_created_late_is_not_created_twice() {
    for (source, target, creation) in [
        ("mail", "campaigns", "list_add"),
        ("crm", "mail", "groups/save"),
    ] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 3);
        let bench = bench(world, source, target, "mode = \"managed\"");
        bench.emulator.add_fault(
            FaultRule::every(Fault::Latency(Duration::from_secs(90)))
                .at(target)
                .on(creation)
                .when(When::First(1)),
        );
        let report = bench.sync().await;
        let place = format!("{target}: {}", tell(&report));
        assert_eq!(report.exit_code(), 0, "{place}");
        assert_eq!(named(&bench, target), 1, "{place}");
        assert_eq!(bench.members(target, "News").len(), 3, "{place}");
        bench.assert_settled().await;
    }
}

/// A twin that comes later than anybody waits is told of.
#[tokio::test(start_paused = true)]
async fn a_group_that_was_created_twice_is_told_of() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 3);
    let bench = bench(world, "mail", "campaigns", "mode = \"managed\"");
    bench.emulator.add_fault(
        FaultRule::every(Fault::ResetBeforeEffect)
            .at("campaigns")
            .on("list_add")
            .when(When::First(1)),
    );
    once(
        &bench,
        "campaigns",
        JournalMoment::IntentKept,
        "add_memberships",
        |account| {
            account.add_group("News");
        },
    );
    let report = bench.sync().await;
    bench.store.watch_journal(|_| ());
    assert_eq!(named(&bench, "campaigns"), 2);
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    let ids: Vec<String> = bench.account("campaigns", |account| {
        let news = account.groups.values().filter(|group| group.name == "News");
        news.map(|group| group.id.to_string()).collect()
    });
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| ids.iter().all(|id| warning.contains(id))),
        "{:?}",
        report.warnings
    );
}

/// Somebody changes what rosterd has just written, before the next run has seen it.
#[tokio::test(start_paused = true)]
async fn a_change_right_after_a_write_is_drift() {
    let name = |bench: &Bench, account: &str| {
        on(bench, account, 0, |account, _, contact| {
            account.contacts[&contact].get("first_name").to_owned()
        })
    };
    let call = |bench: &Bench, account: &str, name: &str| {
        on(bench, account, 0, |account, _, contact| {
            account.change_contact(contact, [("first_name", name)], []);
        });
    };
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "campaigns")] {
        for keep in [false, true] {
            let drift = if keep { "keep" } else { "overwrite" };
            let job = format!("mode = \"managed\"\n[jobs.test.guards]\non_drift = \"{drift}\"");
            // After a creation, and after an update.
            for written in [None, Some("Anna")] {
                let mut world = plain_world();
                group_of(world.account_mut(source), "News", "reader", 6);
                let bench = bench(world, source, target, &job);
                if let Some(written) = written {
                    bench.settle().await;
                    call(&bench, source, written);
                }
                let report = bench.sync().await;
                assert_eq!(report.exit_code(), 0, "{}", tell(&report));
                let ours = name(&bench, source);
                assert_eq!(name(&bench, target), ours);
                call(&bench, target, "Byhand");
                let report = bench.sync().await;
                let expected = if keep { "Byhand" } else { ours.as_str() };
                assert_eq!(
                    name(&bench, target),
                    expected,
                    "{source} to {target}, {drift}, {written:?}: {}",
                    tell(&report)
                );
                bench.assert_settled().await;
            }
        }
    }
}

/// The provider says yes to an update, and the value is the old one all the same.
#[tokio::test(start_paused = true)]
async fn a_value_that_was_ignored_has_failed_and_is_written_again() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "campaigns")] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 6);
        let bench = bench(world, source, target, "mode = \"managed\"");
        bench.settle().await;
        on(&bench, source, 0, |account, _, contact| {
            account.change_contact(contact, [("first_name", "Anna")], []);
        });
        let before = on(&bench, target, 0, |account, _, contact| {
            account.contacts[&contact].get("first_name").to_owned()
        });
        let (store, emulator, name) = (
            bench.store.clone(),
            bench.emulator.clone(),
            target.to_owned(),
        );
        let (sent, done) = (AtomicBool::new(false), AtomicBool::new(false));
        bench.store.watch_journal(move |moment| {
            let open = || {
                let entries = store.unsettled("test").unwrap();
                entries
                    .iter()
                    .any(|entry| entry.operation == "update_members")
            };
            if moment == JournalMoment::IntentKept && open() {
                sent.store(true, Ordering::SeqCst);
            }
            let answered = moment == JournalMoment::OutcomeKept && sent.load(Ordering::SeqCst);
            if answered && !done.swap(true, Ordering::SeqCst) {
                emulator.with_world(|world| {
                    let account = world.account_mut(&name);
                    let contact = account.contact_by_email(&address(0)).unwrap();
                    account.change_contact(contact, [("first_name", before.as_str())], []);
                });
            }
        });
        let report = bench.sync().await;
        let place = format!("{source} to {target}: {}", tell(&report));
        assert_eq!(report.exit_code(), 4, "{place}");
        assert_eq!(report.failures[0].op, "update_member", "{place}");
        bench.store.watch_journal(|_| ());
        bench.pass(3600);
        let report = bench.sync().await;
        let place = format!("{source} to {target}: {}", tell(&report));
        assert_eq!(report.exit_code(), 0, "{place}");
        let now = on(&bench, target, 0, |account, _, contact| {
            account.contacts[&contact].get("first_name").to_owned()
        });
        assert_eq!(now, "Anna", "{place}");
    }
}
