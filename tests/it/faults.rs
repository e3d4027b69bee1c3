//! Whatever goes wrong while writing, the target ends as if nothing had, and nothing that was done
//! is sent twice.

use std::collections::BTreeMap;
use std::time::Duration;

use rosterd::emulator::{Change, Fault, FaultRule, When, World};

use crate::support::{Bench, bench, digest, group_of, plain_world, removing_freely, tell};

/// A first state of the source, synced, and then a bit of everything to do.
pub(crate) async fn busy(source: &str, target: &str) -> Bench {
    let mut world: World = plain_world();
    let account = world.account_mut(source);
    group_of(account, "One", "one", 12);
    group_of(account, "Two", "two", 12);
    let bench = bench(world, source, target, &removing_freely("managed"));
    bench.settle().await;
    bench.account(source, |account| {
        let (one, two) = (
            account.find_group("One").unwrap(),
            account.find_group("Two").unwrap(),
        );
        let who = |account: &rosterd::emulator::Account, name: &str| {
            account
                .contact_by_email(&format!("{name}@example.org"))
                .unwrap()
        };
        account.rename_group(one, "Uno");
        for name in ["one0", "one1"] {
            let contact = who(account, name);
            account.leave(one, contact);
        }
        for name in ["one2", "one3"] {
            let contact = who(account, name);
            account.join(two, contact);
        }
        let contact = who(account, "one4");
        account.change_contact(contact, [("city", "Springfield")], []);
        let contact = who(account, "one5");
        account.change_address(contact, "uno5@example.org");
        let contact = who(account, "one6");
        account.opt_out_of_account(contact);
        let contact = who(account, "one7");
        account.opt_out_of_group(one, contact);
        group_of(account, "Three", "three", 12);
        let stranger = account.add_person("stranger@example.org", "Ana", "Example");
        account.join(two, stranger);
        account.opt_out_of_account(stranger);
    });
    bench.writes();
    bench
}

/// Groups and contacts that requests created twice.
fn duplicates(bench: &Bench, target: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    bench.account(target, |account| {
        account
            .contacts
            .values()
            .for_each(|contact| *seen.entry(contact.email.to_lowercase()).or_default() += 1);
        account
            .groups
            .values()
            .for_each(|group| *seen.entry(group.name.clone()).or_default() += 1);
    });
    let created = bench
        .emulator
        .history()
        .into_iter()
        .filter_map(|event| match event.change {
            Change::GroupCreated { name, .. } if event.account == target => {
                Some(format!("created {name}"))
            }
            _ => None,
        });
    for name in created {
        *seen.entry(name).or_default() += 1;
    }
    seen.into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(name, _)| name)
        .collect()
}

async fn calm(source: &str, target: &str) -> Vec<String> {
    let bench = busy(source, target).await;
    bench.settle().await;
    bench.account(target, |account| digest(account))
}

/// Every operation that writes in such a run.
async fn operations(source: &str, target: &str) -> Vec<String> {
    let bench = busy(source, target).await;
    bench.sync().await;
    let mut operations: Vec<String> = bench
        .sent()
        .into_iter()
        .map(|(operation, _)| operation)
        .collect();
    operations.sort();
    operations.dedup();
    operations
}

async fn survives(source: &str, target: &str, fault: &Fault, when: When) {
    let expected = calm(source, target).await;
    for operation in operations(source, target).await {
        let bench = busy(source, target).await;
        bench.emulator.add_fault(
            FaultRule::every(fault.clone())
                .at(target)
                .on(&operation)
                .when(when),
        );
        let place = format!("{source} to {target}, {operation}, {}", fault.name());
        bench.sync_until_good(&place).await;
        assert_eq!(
            bench.account(target, |account| digest(account)),
            expected,
            "{place}"
        );
        assert_eq!(duplicates(&bench, target), Vec::<String>::new(), "{place}");
        bench.assert_settled().await;
    }
}

const PAIRS: [(&str, &str); 2] = [("crm", "mail"), ("mail", "crm")];

/// With lists, whose additions are imports that go on after their answer.
const WITH_LISTS: [(&str, &str); 3] = [("crm", "mail"), ("mail", "crm"), ("mail", "campaigns")];

#[tokio::test(start_paused = true)]
async fn connections_that_break() {
    for (source, target) in WITH_LISTS {
        survives(source, target, &Fault::ResetBeforeEffect, When::First(1)).await;
        survives(source, target, &Fault::ResetAfterEffect, When::First(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_too_late() {
    for (source, target) in WITH_LISTS {
        survives(
            source,
            target,
            &Fault::SlowAnswer(Duration::from_mins(10)),
            When::First(1),
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn services_that_refuse_for_a_while() {
    for (source, target) in WITH_LISTS {
        survives(
            source,
            target,
            &Fault::TooManyRequests {
                retry_after: Some(30),
            },
            When::First(2),
        )
        .await;
        survives(source, target, &Fault::ServerError(503), When::First(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_none() {
    for (source, target) in WITH_LISTS {
        survives(source, target, &Fault::TruncatedBody, When::First(1)).await;
        survives(source, target, &Fault::EmptyBody, When::First(1)).await;
        survives(source, target, &Fault::HtmlWith200, When::First(1)).await;
        survives(source, target, &Fault::MissingList, When::First(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn services_that_stay_away_for_a_whole_run() {
    for (source, target) in WITH_LISTS {
        survives(source, target, &Fault::ServerError(500), When::Every).await;
        survives(source, target, &Fault::ResetAfterEffect, When::Every).await;
    }
}

#[tokio::test(start_paused = true)]
async fn batches_that_fail_in_part() {
    for (source, target) in WITH_LISTS {
        survives(
            source,
            target,
            &Fault::PartialBatchFailure { every: 3 },
            When::First(1),
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires() {
    let expected = calm("mail", "crm").await;
    for operation in operations("mail", "crm").await {
        let bench = busy("mail", "crm").await;
        bench.emulator.add_fault(
            FaultRule::every(Fault::ExpiredToken)
                .at("crm")
                .on(&operation)
                .when(When::First(1)),
        );
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{operation}: {}", tell(&report));
        assert_eq!(
            bench.account("crm", |account| digest(account)),
            expected,
            "{operation}"
        );
        bench.emulator.clear_faults();
        bench.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_item_is_found_and_waits_while_the_rest_goes_through() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        group_of(world.account_mut(source), "One", "one", 70);
        let bench = bench(world, source, target, &removing_freely("managed"));
        let call = if target == "mail" {
            "contacts/import"
        } else {
            "AddContacts"
        };
        let poison = Fault::PoisonItem("one33@example.org".to_owned());
        bench
            .emulator
            .add_fault(FaultRule::every(poison).at(target).on(call));
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 4, "{}", tell(&report));
        assert_eq!(report.failures.len(), 1, "{}", tell(&report));
        assert_eq!(
            report.failures[0].member.as_deref(),
            Some("one33@example.org")
        );
        assert!(!report.failures[0].message.is_empty());
        assert_eq!(bench.members(target, "One").len(), 69);
        assert_eq!(report.summary.memberships_added, 69, "{}", tell(&report));
        let tries = bench.sent().len();
        assert!(tries < 40, "{target}: {tries} requests to find one item");
        let failures = bench.store.failures(Some("test")).unwrap();
        assert_eq!(
            failures.iter().filter(|failure| !failure.blocked).count(),
            1,
            "{failures:#?}"
        );
        // It is not sent again before its time.
        let report = bench.sync().await;
        assert_eq!(
            (report.exit_code(), bench.sent().len()),
            (4, 0),
            "{}",
            tell(&report)
        );
        // Asked for by hand it is, and refused once more.
        bench
            .store
            .retry_now("test", jiff::Timestamp::from_second(1_700_000_000).unwrap())
            .unwrap();
        assert_eq!(bench.sync().await.exit_code(), 4);
        assert!(!bench.sent().is_empty(), "{target}");
        // Once the provider takes it, the failure is over.
        bench.emulator.clear_faults();
        bench.pass(86_400 * 8);
        let report = bench.settle().await;
        assert_eq!(report.summary.memberships_added, 1, "{}", tell(&report));
        assert_eq!(bench.members(target, "One").len(), 70);
        assert!(bench.store.failures(Some("test")).unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_created_for_a_group_that_could_not_be() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "One", "one", 3);
    let bench = bench(world, "crm", "mail", &removing_freely("managed"));
    bench.emulator.add_fault(
        FaultRule::every(Fault::ServerError(400))
            .at("mail")
            .on("groups/save"),
    );
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    assert_eq!(
        bench.account("mail", |account| account.contacts.len()),
        0,
        "{}",
        tell(&report)
    );
}
