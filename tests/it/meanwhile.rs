//! What people do at the target while a run is writing there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rosterd::emulator::MembershipState::{Active, OptedOut};
use rosterd::emulator::{Account, Fault, FaultRule, MisuseKind, When};
use rosterd::plan::BlockedReason;
use rosterd::state::JournalMoment;

use crate::support::{Bench, bench, group_of, plain_world, removing_freely, tell};

const READER: &str = "reader0@example.org";
const PAIRS: [(&str, &str); 2] = [("crm", "mail"), ("mail", "crm")];

/// Does something at the target once, at a moment of the journal at which a write of the named kind
/// is not settled.
pub(crate) fn once(
    bench: &Bench,
    target: &str,
    moment: JournalMoment,
    operation: &'static str,
    work: impl Fn(&mut Account) + Send + Sync + 'static,
) {
    let (store, emulator, target) = (
        bench.store.clone(),
        bench.emulator.clone(),
        target.to_owned(),
    );
    let done = Arc::new(AtomicBool::new(false));
    bench.store.watch_journal(move |reached| {
        let open = || {
            store
                .unsettled("test")
                .unwrap()
                .iter()
                .any(|entry| entry.operation == operation)
        };
        if reached == moment && open() && !done.swap(true, Ordering::SeqCst) {
            emulator.with_world(|world| work(world.account_mut(&target)));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn somebody_of_a_doubtful_creation_who_turns_out_to_refuse_joins_nothing_further() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        let account = world.account_mut(source);
        let (one, two) = (
            group_of(account, "One", "reader", 2),
            group_of(account, "Two", "fan", 2),
        );
        let reader = account.contact_by_email(READER).unwrap();
        let fan = account.contact_by_email("fan0@example.org").unwrap();
        account.join(two, reader);
        account.join(one, fan);
        let bench = bench(world, source, target, "mode = \"managed\"");
        // The answer is lost, and before the run looks what became of the request, the person
        // refuses all mail.
        let creation = if target == "mail" {
            "contacts/import"
        } else {
            "AddContacts"
        };
        bench.emulator.add_fault(
            FaultRule::every(Fault::ResetAfterEffect)
                .at(target)
                .on(creation)
                .when(When::First(1)),
        );
        once(
            &bench,
            target,
            JournalMoment::OutcomeKept,
            "create_members",
            |account| {
                let contact = account.contact_by_email(READER).unwrap();
                account.opt_out_of_account(contact);
            },
        );
        let report = bench.sync().await;
        let place = format!("{source} to {target}: {}", tell(&report));
        let (refuses, mailed) = bench.account(target, |account| {
            let contact = account.contact_by_email(READER).unwrap();
            let mailed: Vec<String> = ["One", "Two"]
                .iter()
                .flat_map(|group| account.mailed_by(account.find_group(group).unwrap()))
                .collect();
            (account.contacts[&contact].opted_out.is_some(), mailed)
        });
        assert!(
            refuses && !mailed.contains(&READER.to_owned()),
            "{mailed:?} {place}"
        );
        assert!(
            !bench.members(target, "Two").contains_key(READER),
            "{place}"
        );
        assert_eq!(bench.members(target, "Two").len(), 2, "{place}");
        assert_eq!(
            (
                report.summary.members_created,
                report.summary.memberships_added
            ),
            (3, 4),
            "{place}"
        );
        bench.assert_no_misuse();
        bench.store.watch_journal(|_| ());
        // Afterwards the person is known to refuse, and nothing is left to do.
        let report = bench.settle().await;
        assert!(
            report
                .withheld_by_reason
                .contains_key("opted_out_at_target"),
            "{place}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_meets_somebody_who_refuses_adds_them_to_nothing_further() {
    let mut world = plain_world();
    let account = world.account_mut("crm");
    let (one, two) = (
        group_of(account, "One", "reader", 2),
        group_of(account, "Two", "fan", 2),
    );
    let (reader, fan) = (
        account.contact_by_email(READER).unwrap(),
        account.contact_by_email("fan0@example.org").unwrap(),
    );
    account.join(two, reader);
    account.join(one, fan);
    let bench = bench(world, "crm", "mail", "mode = \"managed\"");
    bench.emulator.add_fault(
        FaultRule::every(Fault::ResetAfterEffect)
            .at("mail")
            .on("contacts/import")
            .when(When::First(1)),
    );
    // The person comes to the account, and refuses, right before the request leaves.
    once(
        &bench,
        "mail",
        JournalMoment::IntentKept,
        "create_members",
        |account| {
            let contact = account.add_person(READER, "Ana", "Example");
            account.opt_out_of_account(contact);
        },
    );
    let report = bench.sync().await;
    let mailed: Vec<String> = bench.account("mail", |account| {
        ["One", "Two"]
            .iter()
            .flat_map(|group| account.mailed_by(account.find_group(group).unwrap()))
            .collect()
    });
    assert!(
        !mailed.contains(&READER.to_owned()),
        "{mailed:?} {}",
        tell(&report)
    );
    assert!(
        !bench.members("mail", "Two").contains_key(READER),
        "{}",
        tell(&report)
    );
    assert_eq!(
        (
            report.summary.members_created,
            report.summary.memberships_added
        ),
        (3, 4),
        "{}",
        tell(&report)
    );
    // Nobody could know at the time of the one request that was under way; it makes no sendable
    // member, and none follows it.
    let added: Vec<(MisuseKind, String)> = bench
        .emulator
        .misuse()
        .into_iter()
        .map(|misuse| (misuse.kind, misuse.operation))
        .collect();
    assert_eq!(
        added,
        [(MisuseKind::AddedOptedOut, "contacts/import".to_owned())]
    );
    bench.emulator.clear_log();
    bench.store.watch_journal(|_| ());
    bench.settle().await;
}

/// A listing that is older than ten minutes is read again: whoever appeared there meanwhile is
/// added elsewhere all the same.
#[tokio::test(start_paused = true)]
async fn whoever_appears_in_one_group_meanwhile_is_still_added_to_the_other() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        let account = world.account_mut(source);
        for group in ["One", "Two", "Three"] {
            group_of(account, group, &group.to_lowercase(), 3);
        }
        let three = account.find_group("Three").unwrap();
        let reader = account.add_person(READER, "Ana", "Example");
        account.join(three, reader);
        let mut bench = bench(world, source, target, "mode = \"managed\"");
        bench.settle().await;
        bench.account(source, |account| {
            for group in ["One", "Two"] {
                let group = account.find_group(group).unwrap();
                account.join(group, reader);
            }
            // Groups come before people: at one request a minute they take longer than a listing
            // stays fresh.
            for number in 0..15 {
                account.add_group(&format!("Group {number}"));
            }
        });
        bench.reconfigure_with(|config| {
            config
                .providers
                .get_mut(target)
                .unwrap()
                .http
                .requests_per_minute = Some(1);
        });
        once(
            &bench,
            target,
            JournalMoment::IntentKept,
            "create_group",
            |account| {
                let (group, contact) = (
                    account.find_group("One").unwrap(),
                    account.contact_by_email(READER).unwrap(),
                );
                account.opt_out_of_group(group, contact);
            },
        );
        let report = bench.sync().await;
        let place = format!("{source} to {target}: {}", tell(&report));
        assert_eq!(report.exit_code(), 0, "{place}");
        let state = |group: &str| bench.members(target, group).get(READER).copied();
        assert_eq!(state("Two"), Some(Active), "{place}");
        assert_eq!(state("One"), Some(OptedOut), "{place}");
        assert_eq!(report.summary.memberships_added, 1, "{place}");
        bench.assert_no_misuse();
        bench.store.watch_journal(|_| ());
        bench.sync().await;
        bench.assert_settled().await;
    }
}

/// Two spellings of one address are two contacts at a provider that takes an address once.
#[tokio::test(start_paused = true)]
async fn a_group_is_refused_by_each_of_several_contacts_at_emfluence() {
    let spellings = ["ana@b\u{fc}cher.example", "ana@xn--bcher-kva.example"];
    for source in ["crm", "mail2"] {
        let mut world = plain_world();
        let account = world.account_mut(source);
        let group = group_of(account, "News", "reader", 3);
        let ana = account.add_person(spellings[1], "Ana", "Example");
        account.join(group, ana);
        let account = world.account_mut("mail");
        let theirs = group_of(account, "News", "reader", 3);
        for spelling in spellings {
            let contact = account.add_person(spelling, "Ana", "Twin");
            account.join(theirs, contact);
        }
        let bench = bench(world, source, "mail", "mode = \"managed\"");
        bench.sync().await;
        bench.account(source, |account| account.opt_out_of_group(group, ana));
        let report = bench.sync().await;
        for spelling in spellings {
            assert_eq!(
                bench.members("mail", "News").get(spelling),
                Some(&OptedOut),
                "{source}, {spelling}: {}",
                tell(&report)
            );
        }
        bench.writes();
        bench.sync().await;
        assert_eq!(bench.sent(), [], "{source}");
    }
}

/// Whoever refuses a list after it was read, and before the run comes to remove the person, is not
/// removed by it.
#[tokio::test(start_paused = true)]
async fn a_refusal_right_before_a_removal_stays_the_persons_own() {
    for removal in ["unsubscribe", "detach"] {
        let mut world = plain_world();
        let account = world.account_mut("mail");
        let news = group_of(account, "News", "reader", 30);
        let reader = account.contact_by_email(READER).unwrap();
        let job = removing_freely("managed");
        let bench = bench(
            world,
            "mail",
            "campaigns",
            &format!("{job}\n[jobs.test.members]\nremoval = \"{removal}\"\nreadd = true"),
        );
        bench.settle().await;
        bench.account("mail", |account| {
            account.leave(news, reader);
            let other = account.contact_by_email("reader1@example.org").unwrap();
            account.leave(news, other);
            account.add_group("Later");
        });
        once(
            &bench,
            "campaigns",
            JournalMoment::IntentKept,
            "create_group",
            |account| {
                let (list, contact) = (
                    account.find_group("News").unwrap(),
                    account.contact_by_email(READER).unwrap(),
                );
                account.refuse_group(list, contact);
            },
        );
        let report = bench.sync().await;
        let place = format!("{removal}: {}", tell(&report));
        assert_eq!(
            bench.members("campaigns", "News")[READER],
            OptedOut,
            "{place}"
        );
        assert_eq!(
            (report.exit_code(), report.summary.memberships_removed),
            (0, 1),
            "{place}"
        );
        let own = bench.own_removals("campaigns");
        let list = bench
            .account("campaigns", |account| account.find_group("News").unwrap())
            .to_string();
        assert_eq!(
            own.of_group(&list)
                .map_or(0, std::collections::BTreeMap::len),
            1,
            "the other one alone: {place}"
        );
        bench.store.watch_journal(|_| ());
        bench.settle().await;
        bench.account("mail", |account| account.join(news, reader));
        let report = bench.settle().await;
        assert_eq!(
            bench.members("campaigns", "News")[READER],
            OptedOut,
            "{removal}: {}",
            tell(&report)
        );
        assert_eq!(
            report.withheld_by_reason.get("opted_out_at_target"),
            Some(&1),
            "{removal}: {}",
            tell(&report)
        );
    }
}

/// Whoever refuses after a removal was lost and looked for, and before it is sent again, is out of the
/// list, by nobody's doing but their own.
#[tokio::test(start_paused = true)]
async fn a_refusal_before_a_removal_is_sent_again_is_counted_and_stays_the_persons_own() {
    let mut world = plain_world();
    let account = world.account_mut("mail");
    let news = group_of(account, "News", "reader", 30);
    let job = removing_freely("managed");
    let settings = format!("{job}\n[jobs.test.members]\nreadd = true");
    let bench = bench(world, "mail", "campaigns", &settings);
    bench.settle().await;
    let leave = |account: &mut Account, join: bool| {
        for address in [READER, "reader1@example.org"] {
            let contact = account.contact_by_email(address).unwrap();
            if join {
                account.join(news, contact);
            } else {
                account.leave(news, contact);
            }
        }
    };
    bench.account("mail", |account| leave(account, false));
    let (emulator, intents, outcomes) =
        (bench.emulator.clone(), AtomicU32::new(0), AtomicU32::new(0));
    bench.store.watch_journal(move |reached| match reached {
        JournalMoment::IntentKept if intents.fetch_add(1, Ordering::SeqCst) == 0 => {
            let lost = FaultRule::every(Fault::ResetBeforeEffect).at("campaigns");
            emulator.add_fault(lost.when(When::First(1)));
        }
        // That nothing is known, and then that nothing was done.
        JournalMoment::OutcomeKept if outcomes.fetch_add(1, Ordering::SeqCst) == 1 => {
            emulator.with_world(|world| {
                let account = world.account_mut("campaigns");
                let list = account.find_group("News").unwrap();
                let contact = account.contact_by_email(READER).unwrap();
                account.refuse_group(list, contact);
            });
        }
        _ => {}
    });
    let report = bench.sync().await;
    bench.store.watch_journal(|_| ());
    let place = tell(&report);
    assert_eq!(
        (report.exit_code(), report.summary.memberships_removed),
        (0, 2),
        "{place}"
    );
    let own = bench.own_removals("campaigns");
    let list = bench.account("campaigns", |account| account.find_group("News").unwrap());
    let own = own.of_group(&list.to_string());
    assert_eq!(own.map_or(0, std::collections::BTreeMap::len), 1, "{place}");
    bench.settle().await;
    bench.account("mail", |account| leave(account, true));
    let report = bench.settle().await;
    let members = bench.members("campaigns", "News");
    assert_eq!(members[READER], OptedOut, "{}", tell(&report));
    assert_ne!(members["reader1@example.org"], OptedOut);
}

/// What an answer says against a row may be that it is so already: what stands decides, and not the
/// words.
#[tokio::test(start_paused = true)]
async fn a_row_that_is_refused_because_somebody_did_the_same_by_hand_is_no_failure() {
    for (source, target) in PAIRS {
        for operation in ["add_memberships", "remove_memberships"] {
            let joins = operation == "add_memberships";
            let mut world = plain_world();
            let account = world.account_mut(source);
            let news = group_of(account, "News", "reader", 4);
            group_of(account, "Others", "other", 4);
            let account = world.account_mut(target);
            group_of(account, "Elsewhere", "reader", 4);
            account.settings.emfluence.strict_rows = true;
            account.settings.greenrope.strict_items = true;
            let bench = bench(world, source, target, "mode = \"managed\"");
            if joins {
                // The group is there before anybody joins it by id.
                bench.account(target, |account| {
                    account.add_group("News");
                });
            } else {
                bench.settle().await;
                bench.account(source, |account| {
                    for number in 0..2 {
                        let contact = account
                            .contact_by_email(&format!("reader{number}@example.org"))
                            .unwrap();
                        account.leave(news, contact);
                    }
                });
            }
            once(
                &bench,
                target,
                JournalMoment::IntentKept,
                operation,
                move |account| {
                    let group = account.find_group("News").unwrap();
                    let contact = account.contact_by_email(READER).unwrap();
                    if joins {
                        account.join(group, contact);
                    } else {
                        account.leave(group, contact);
                    }
                },
            );
            let report = bench.sync().await;
            bench.store.watch_journal(|_| ());
            let place = format!("{source} to {target}, {operation}: {}", tell(&report));
            assert_eq!(report.exit_code(), 0, "{place}");
            assert!(report.failures.is_empty(), "{place}");
            let misuse: Vec<MisuseKind> = bench
                .emulator
                .misuse()
                .into_iter()
                .map(|misuse| misuse.kind)
                .collect();
            let met = if joins {
                MisuseKind::AddedExistingMember
            } else {
                MisuseKind::RemovedNonMember
            };
            assert_eq!(misuse, [met], "{place}");
            bench.emulator.clear_log();
            bench.settle().await;
            let left = if joins { 4 } else { 2 };
            assert_eq!(bench.members(target, "News").len(), left, "{place}");
        }
    }
}

/// Of the groups of one creation the person refuses the first, and the last one shows them active.
#[tokio::test(start_paused = true)]
async fn the_strictest_of_the_groups_of_a_doubtful_creation_says_how_the_person_stands() {
    for refused in ["One", "Two", "Three"] {
        let mut world = plain_world();
        let account = world.account_mut("crm");
        for name in ["One", "Two", "Three"] {
            group_of(account, name, "reader", 2);
        }
        let bench = bench(world, "crm", "mail", "mode = \"managed\"");
        bench.emulator.add_fault(
            FaultRule::every(Fault::ResetAfterEffect)
                .at("mail")
                .on("contacts/import")
                .when(When::First(1)),
        );
        once(
            &bench,
            "mail",
            JournalMoment::OutcomeKept,
            "create_members",
            move |account| {
                let group = account.find_group(refused).unwrap();
                let contact = account.contact_by_email(READER).unwrap();
                account.opt_out_of_group(group, contact);
            },
        );
        let report = bench.sync().await;
        bench.store.watch_journal(|_| ());
        let place = format!("{refused}: {}", tell(&report));
        assert_eq!(report.exit_code(), 0, "{place}");
        assert_eq!(
            (
                report.summary.members_created,
                report.summary.memberships_added
            ),
            (1, 3),
            "whoever refuses is not counted as one who joined: {place}"
        );
        assert_eq!(bench.members("mail", refused)[READER], OptedOut, "{place}");
        bench.assert_no_misuse();
        let report = bench.settle().await;
        assert_eq!(
            report.withheld_by_reason.get("opted_out_at_target"),
            Some(&1),
            "{place}"
        );
    }
}

const NONE: &str = "mode = \"managed\"\n[jobs.test.guards]\nmax_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\"";

/// Lets a person refuse a group of the target once, right before a group is created there.
fn refuse_before_creation(bench: &Bench, target: &str, group: &'static str) {
    once(
        bench,
        target,
        JournalMoment::IntentKept,
        "create_group",
        move |account| {
            let (group, contact) = (
                account.find_group(group).unwrap(),
                account.contact_by_email(READER).unwrap(),
            );
            account.refuse_group(group, contact);
        },
    );
}

/// Sends one request a minute to an account.
fn slow(bench: &mut Bench, account: &str) {
    bench.reconfigure_with(|config| {
        config
            .providers
            .get_mut(account)
            .unwrap()
            .http
            .requests_per_minute = Some(1);
    });
}

#[tokio::test(start_paused = true)]
async fn a_refusal_between_an_old_listing_and_a_removal_stays_and_is_remembered() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        let account = world.account_mut(source);
        group_of(account, "One", "reader", 4);
        let mut bench = bench(world, source, target, NONE);
        bench.settle().await;
        let leave = |name: &str, email: &str| {
            bench.account(name, |account| {
                let group = account.find_group("One").unwrap();
                let contact = account.contact_by_email(email).unwrap();
                account.leave(group, contact);
            });
        };
        leave(source, READER);
        leave(source, "reader1@example.org");
        // Groups come before people: at one request a minute they take longer than a listing stays
        // fresh.
        bench.account(source, |account| {
            for number in 0..15 {
                account.add_group(&format!("Group {number}"));
            }
        });
        slow(&mut bench, target);
        refuse_before_creation(&bench, target, "One");
        let report = bench.sync().await;
        let place = format!("{source} to {target}: {}", tell(&report));
        assert_eq!(report.exit_code(), 0, "{place}");
        assert_eq!(bench.members(target, "One")[READER], OptedOut, "{place}");
        assert_eq!(bench.members(target, "One").len(), 3, "{place}");
        assert_eq!(report.summary.memberships_removed, 1, "{place}");
        bench.assert_no_misuse();
        // It outlives what shows it, also where no other run has seen it.
        bench.account(target, |account| {
            let group = account.find_group("One").unwrap();
            let contact = account.contact_by_email(READER).unwrap();
            account.leave(group, contact);
        });
        bench.account(source, |account| {
            let group = account.find_group("One").unwrap();
            let contact = account.contact_by_email(READER).unwrap();
            account.join(group, contact);
        });
        bench.store.watch_journal(|_| ());
        let report = bench.sync().await;
        assert!(
            !bench.members(target, "One").contains_key(READER) && report.withheld == 1,
            "{place}\n{}",
            tell(&report)
        );
    }
}

/// A listing read early in a long reading is old when the reading ends.
#[tokio::test(start_paused = true)]
async fn a_listing_is_as_old_as_its_own_reading() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        let account = world.account_mut(source);
        group_of(account, "One", "reader", 6);
        for number in 0..12 {
            group_of(account, &format!("Group {number}"), "fan", 2);
        }
        let mut bench = bench(world, source, target, NONE);
        bench.settle().await;
        bench.account(source, |account| {
            let group = account.find_group("One").unwrap();
            let contact = account.contact_by_email(READER).unwrap();
            account.leave(group, contact);
            account.add_group("Later");
        });
        slow(&mut bench, target);
        refuse_before_creation(&bench, target, "One");
        let report = bench.sync().await;
        let place = format!("{source} to {target}: {}", tell(&report));
        assert_eq!(report.exit_code(), 0, "{place}");
        assert_eq!(bench.members(target, "One")[READER], OptedOut, "{place}");
        assert_eq!(report.summary.memberships_removed, 0, "{place}");
        bench.store.watch_journal(|_| ());
        bench.sync().await;
        bench.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_vanishes_while_a_run_goes_on_is_left_alone_and_stops_no_other() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        let account = world.account_mut(source);
        for group in ["One", "Two"] {
            group_of(account, group, &group.to_lowercase(), 3);
        }
        group_of(account, "Three", "reader", 1);
        let mut bench = bench(world, source, target, "mode = \"managed\"");
        bench.settle().await;
        bench.account(source, |account| {
            let reader = account.contact_by_email(READER).unwrap();
            for group in ["One", "Two"] {
                let group = account.find_group(group).unwrap();
                account.join(group, reader);
            }
            for number in 0..15 {
                account.add_group(&format!("Group {number}"));
            }
        });
        slow(&mut bench, target);
        once(
            &bench,
            target,
            JournalMoment::IntentKept,
            "create_group",
            |account| {
                let one = account.find_group("One").unwrap();
                account.delete_group(one);
            },
        );
        let report = bench.sync().await;
        let place = format!("{source} to {target}: {}", tell(&report));
        assert_eq!(report.exit_code(), 4, "{place}");
        let [failure] = report.failures.as_slice() else {
            panic!("{place}");
        };
        assert_eq!(failure.group.as_deref(), Some("One"), "{place}");
        assert!(failure.message.contains("has vanished"), "{place}");
        assert_eq!(bench.members(target, "Two")[READER], Active, "{place}");
        // Whether it is to be made anew a person decides.
        bench.store.watch_journal(|_| ());
        let report = bench.sync().await;
        let place = format!("{source} to {target}: {}", tell(&report));
        assert!(report.failures.is_empty(), "{place}");
        let [blocked] = report.blocked.as_slice() else {
            panic!("{place}");
        };
        assert_eq!(blocked.reason, BlockedReason::GoneAtTarget, "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_brought_back_who_refused_since_the_listing() {
    let mut world = plain_world();
    let account = world.account_mut("mail");
    let news = group_of(account, "News", "reader", 30);
    let reader = account.contact_by_email(READER).unwrap();
    let job = format!("{NONE}\n[jobs.test.members]\nreadd = true");
    let mut bench = bench(world, "mail", "campaigns", &job);
    bench.settle().await;
    bench.account("mail", |account| account.leave(news, reader));
    bench.settle().await;
    let own = |bench: &Bench| bench.own_removals("campaigns");
    assert!(!own(&bench).is_empty());
    bench.account("mail", |account| {
        account.join(news, reader);
        for number in 0..15 {
            account.add_group(&format!("Group {number}"));
        }
    });
    slow(&mut bench, "campaigns");
    refuse_before_creation(&bench, "campaigns", "News");
    let report = bench.sync().await;
    assert_eq!(
        bench.members("campaigns", "News")[READER],
        OptedOut,
        "{}",
        tell(&report)
    );
    assert!(own(&bench).is_empty(), "it is a refusal from now on");
    bench.store.watch_journal(|_| ());
    bench.settle().await;
    bench.assert_no_misuse();
}
