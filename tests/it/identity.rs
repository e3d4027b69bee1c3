//! Who is who: a person is followed by the link, whatever becomes of addresses, and a refusal is
//! found again by any key that ever led to it.

use rosterd::emulator::{Account, MembershipState};

use crate::support::{Bench, bench, bench_of, group_of, plain_world, tell};

const PAIRS: [(&str, &str); 5] = [
    ("crm", "mail"),
    ("mail", "crm"),
    ("crm", "crm2"),
    ("mail", "mail2"),
    ("mail", "campaigns"),
];

/// No limit on what a run may change, so that small worlds can change a lot.
const FREE: &str = "[jobs.test.guards]\nmax_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\"\nmax_opt_outs = \"none\"\n";

fn job(mode: &str) -> String {
    format!("mode = \"{mode}\"\n{FREE}")
}

fn address(number: usize) -> String {
    format!("reader{number}@example.org")
}

/// The group "News" with six readers at the source, synced.
async fn synced(source: &str, target: &str, mode: &str) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut(source), "News", "reader", 6);
    let bench = bench(world, source, target, &job(mode));
    bench.settle().await;
    bench
}

/// The id that a reader has at an account.
fn id(bench: &Bench, account: &str, number: usize) -> u64 {
    bench.account(account, |account| {
        account.contact_by_email(&address(number)).unwrap()
    })
}

/// Who gets the mail of any group or list of an account.
fn mailed(bench: &Bench, account: &str) -> Vec<String> {
    bench.account(account, |account| {
        let mut addresses: Vec<String> = account
            .groups
            .values()
            .filter(|group| group.name != "All")
            .flat_map(|group| account.mailed_by(group.id))
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
    })
}

/// The ids of the contacts that get the mail of a group.
fn mailed_ids(bench: &Bench, account: &str, group: &str) -> Vec<u64> {
    bench.account(account, |account| {
        let group = account.find_group(group).unwrap();
        account
            .members_of(group)
            .into_iter()
            .filter(|(contact, state)| {
                let contact = &account.contacts[contact];
                *state == MembershipState::Active && contact.opted_out.is_none()
            })
            .map(|(contact, _)| contact)
            .collect()
    })
}

/// The readers from one number to below another one.
fn readers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(address).collect()
}

/// Reads or edits the record of a reader at a source together with the group "News".
fn on<R>(
    bench: &Bench,
    account: &str,
    contact: u64,
    work: impl FnOnce(&mut Account, u64, u64) -> R,
) -> R {
    bench.account(account, |account| {
        let group = account.find_group("News").unwrap();
        work(account, group, contact)
    })
}

/// The ways in which an address breaks at a kind of source.
fn breakages(source: &str) -> Vec<&'static str> {
    let mut broken = vec!["reader0@example.org;", "reader0@@example.org"];
    if source.starts_with("crm") {
        broken.push("");
    }
    broken
}

#[tokio::test(start_paused = true)]
async fn whoever_has_an_unusable_address_for_one_run_keeps_the_membership() {
    for (source, target) in PAIRS {
        for mode in ["managed", "mirror"] {
            for broken in breakages(source) {
                let place = format!("{source} to {target}, {mode}, \"{broken}\"");
                let bench = synced(source, target, mode).await;
                let record = id(&bench, source, 0);
                bench.account(source, |account| account.change_address(record, broken));
                let report = bench.sync().await;
                assert_eq!(
                    mailed(&bench, target),
                    readers(0..6),
                    "{place}: {}",
                    tell(&report)
                );
                assert_eq!(
                    report.summary.memberships_removed,
                    0,
                    "{place}: {}",
                    tell(&report)
                );
                bench.account(source, |account| {
                    account.change_address(record, &address(0));
                });
                bench.settle().await;
                assert_eq!(mailed(&bench, target), readers(0..6), "{place}: mended");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_arrives_through_the_link_while_the_address_is_unusable() {
    let refusals: [fn(&mut Account, u64, u64) -> bool; 2] =
        [Account::opt_out_of_group, |account, _, contact| {
            account.opt_out_of_account(contact)
        }];
    for (source, target) in PAIRS {
        for broken in breakages(source) {
            for (number, refuse) in refusals.into_iter().enumerate() {
                let place = format!("{source} to {target}, \"{broken}\", refusal {number}");
                let bench = synced(source, target, "managed").await;
                let record = id(&bench, source, 0);
                bench.account(source, |account| account.change_address(record, broken));
                on(&bench, source, record, refuse);
                let report = bench.sync().await;
                assert_eq!(
                    mailed(&bench, target),
                    readers(1..6),
                    "{place}: {}",
                    tell(&report)
                );
                bench.account(source, |account| {
                    account.change_address(record, &address(0));
                });
                bench.settle().await;
                assert_eq!(mailed(&bench, target), readers(1..6), "{place}: mended");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_under_an_unusable_address_bars_the_address_in_it() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        let account = world.account_mut(source);
        let group = group_of(account, "News", "reader", 3);
        let record = account.add_person("reader0@example.org;", "Ana", "Example");
        account.join(group, record);
        account.opt_out_of_account(record);
        let bench = bench(world, source, target, &job("managed"));
        let report = bench.sync().await;
        assert_eq!(
            mailed(&bench, target),
            readers(1..3),
            "{source} to {target}: {}",
            tell(&report)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_missed_who_has_no_address_and_an_unusable_one_is_reported() {
    for target in ["mail", "crm2", "campaigns"] {
        for (written, code) in [("", 0), ("ana@example.org;", 4)] {
            let mut world = plain_world();
            let account = world.account_mut("crm");
            let group = group_of(account, "News", "reader", 3);
            let record = account.add_person(written, "Ana", "Example");
            account.join(group, record);
            let bench = bench(world, "crm", target, &job("managed"));
            let report = bench.sync().await;
            let place = format!("crm to {target}, \"{written}\": {}", tell(&report));
            assert_eq!(report.exit_code(), code, "{place}");
            if written.is_empty() {
                assert_eq!(
                    report.withheld_by_reason.get("no_address"),
                    Some(&1),
                    "{place}"
                );
            } else {
                let reasons: Vec<&str> = report
                    .blocked
                    .iter()
                    .map(|blocked| blocked.reason.as_str())
                    .collect();
                assert_eq!(reasons, ["bad_address"], "{place}");
            }
        }
    }
}

/// Gives each of two records the address of the other one.
fn swap(account: &mut Account, one: u64, other: u64) {
    let (first, second) = (
        account.contacts[&one].email.clone(),
        account.contacts[&other].email.clone(),
    );
    account.change_address(one, "between@example.org");
    account.change_address(other, &first);
    account.change_address(one, &second);
}

#[tokio::test(start_paused = true)]
async fn two_records_that_swap_their_addresses_take_nobody_out() {
    for (source, target) in PAIRS {
        for mode in ["managed", "mirror"] {
            let place = format!("{source} to {target}, {mode}");
            let bench = synced(source, target, mode).await;
            let (one, other) = (id(&bench, source, 0), id(&bench, source, 1));
            bench.account(source, |account| swap(account, one, other));
            for _ in 0..2 {
                let report = bench.sync().await;
                assert_eq!(
                    mailed(&bench, target),
                    readers(0..6),
                    "{place}: {}",
                    tell(&report)
                );
                assert_eq!(report.exit_code(), 4, "{place}: {}", tell(&report));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_swap_the_one_whose_address_the_source_shows_as_refusing_is_opted_out() {
    let refusals: [fn(&mut Account, u64, u64) -> bool; 2] =
        [Account::opt_out_of_group, |account, _, contact| {
            account.opt_out_of_account(contact)
        }];
    for (source, target) in PAIRS {
        for (number, refuse) in refusals.into_iter().enumerate() {
            for seen in [false, true] {
                let place = format!("{source} to {target}, refusal {number}, swap seen {seen}");
                let bench = synced(source, target, "managed").await;
                let (one, other) = (id(&bench, source, 0), id(&bench, source, 1));
                bench.account(source, |account| swap(account, one, other));
                if seen {
                    bench.sync().await;
                }
                // The first record shows the second address now.
                on(&bench, source, one, refuse);
                bench.sync().await;
                let report = bench.sync().await;
                let mut expected = readers(2..6);
                expected.insert(0, address(0));
                assert_eq!(
                    mailed(&bench, target),
                    expected,
                    "{place}: {}",
                    tell(&report)
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_takes_the_address_of_one_that_is_gone_goes_on_as_that_contact() {
    for (source, target) in PAIRS {
        let place = format!("{source} to {target}");
        let bench = synced(source, target, "managed").await;
        let (one, other) = (id(&bench, source, 0), id(&bench, source, 1));
        let kept = id(&bench, target, 1);
        bench.account(source, |account| {
            account.delete_contact(other);
            account.change_address(one, &address(1));
        });
        bench.sync().await;
        let report = bench.sync().await;
        assert_eq!(
            mailed(&bench, target),
            readers(1..6),
            "{place}: {}",
            tell(&report)
        );
        assert!(
            mailed_ids(&bench, target, "News").contains(&kept),
            "{place}: the contact that has the address stays: {}",
            tell(&report)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_merged_record_reaches_the_contact_with_the_address_and_the_one_left_behind()
{
    let refusals: [fn(&mut Account, u64, u64) -> bool; 2] =
        [Account::opt_out_of_group, |account, _, contact| {
            account.opt_out_of_account(contact)
        }];
    for (source, target) in PAIRS {
        for (number, refuse) in refusals.into_iter().enumerate() {
            for early in [false, true] {
                let place = format!("{source} to {target}, refusal {number}, at once {early}");
                let bench = synced(source, target, "add").await;
                let (one, other) = (id(&bench, source, 0), id(&bench, source, 1));
                bench.account(source, |account| {
                    account.delete_contact(other);
                    account.change_address(one, &address(1));
                });
                if !early {
                    bench.sync().await;
                }
                on(&bench, source, one, refuse);
                bench.sync().await;
                let report = bench.sync().await;
                assert_eq!(
                    mailed(&bench, target),
                    readers(2..6),
                    "{place}: {}",
                    tell(&report)
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_handed_over_once_its_owner_has_moved() {
    for (source, target) in PAIRS {
        for refuses in [false, true] {
            let place = format!("{source} to {target}, refuses {refuses}");
            let bench = synced(source, target, "managed").await;
            let (one, other) = (id(&bench, source, 0), id(&bench, source, 1));
            let (first, second) = (id(&bench, target, 0), id(&bench, target, 1));
            bench.account(source, |account| {
                account.change_address(other, "fresh@example.org");
                account.change_address(one, &address(1));
                if refuses {
                    account.opt_out_of_account(other);
                }
            });
            for _ in 0..2 {
                let report = bench.sync().await;
                let ids = mailed_ids(&bench, target, "News");
                assert!(ids.contains(&first), "{place}: {}", tell(&report));
                assert_eq!(
                    ids.contains(&second),
                    !refuses,
                    "{place}: {}",
                    tell(&report)
                );
            }
            bench.settle().await;
            let found = bench.account(target, |account| {
                [first, second].map(|id| account.contacts[&id].email.clone())
            });
            assert_eq!(
                found,
                [address(1), "fresh@example.org".to_owned()],
                "{place}"
            );
        }
    }
}

/// What makes a key useless that led to a refusal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    Parted,
    Pinned,
    Anew,
    JobRenamed,
    ProviderRenamed,
    SecondName,
}

const LOSSES: [Loss; 6] = [
    Loss::Parted,
    Loss::Pinned,
    Loss::Anew,
    Loss::JobRenamed,
    Loss::ProviderRenamed,
    Loss::SecondName,
];

/// Lets the operator or somebody at an account make a key useless, and returns the job that goes on.
fn lose(bench: &mut Bench, source: &'static str, target: &'static str, loss: Loss) -> &'static str {
    let text = |name: &str, more: &str| {
        format!(
            "[jobs.{name}]\nsource = \"{source}\"\ntarget = \"{target}\"\nmode = \"managed\"\n{more}{}",
            FREE.replace("jobs.test", &format!("jobs.{name}"))
        )
    };
    let group = |bench: &Bench, account: &str, name: &str| {
        bench.account(account, |account| account.find_group(name).unwrap())
    };
    match loss {
        Loss::Parted => {
            let here = group(bench, source, "News");
            assert!(bench.store.forget_link("test", &here.to_string()).unwrap());
            bench.account(target, |account| {
                account.delete_group(account.find_group("News").unwrap());
            });
        }
        Loss::Pinned => {
            let here = group(bench, source, "News");
            let there = bench.account(target, |account| account.add_group("Letters"));
            assert!(bench.store.forget_link("test", &here.to_string()).unwrap());
            let pin = format!("[jobs.test.groups]\npin = {{ \"{here}\" = \"{there}\" }}\n");
            bench.reconfigure(&text("test", &pin));
        }
        Loss::Anew => {
            bench.account(source, |account| {
                let group = account.find_group("News").unwrap();
                let people: Vec<u64> = account
                    .members_of(group)
                    .into_iter()
                    .map(|(contact, _)| contact)
                    .collect();
                account.delete_group(group);
                let fresh = account.add_group("News");
                account.join_all(fresh, people);
            });
        }
        Loss::JobRenamed => {
            bench.reconfigure(&text("renamed", ""));
            return "renamed";
        }
        Loss::ProviderRenamed | Loss::SecondName => {
            bench.reconfigure(&text("renamed", ""));
            bench.reconfigure_with(|config| {
                let mut provider = config.providers[target].clone();
                "other".clone_into(&mut provider.name);
                if loss == Loss::ProviderRenamed {
                    config.providers.remove(target);
                }
                config.providers.insert("other".to_owned(), provider);
                let job = config.jobs.get_mut("renamed").unwrap();
                "other".clone_into(&mut job.target);
            });
            return "renamed";
        }
    }
    "test"
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_group_outlives_every_key_that_led_to_it() {
    for (source, target) in PAIRS {
        for loss in LOSSES {
            let place = format!("{source} to {target}, {loss:?}");
            let mut bench = synced(source, target, "managed").await;
            let record = id(&bench, source, 0);
            on(&bench, source, record, Account::opt_out_of_group);
            bench.sync().await;
            assert_eq!(
                mailed(&bench, target),
                readers(1..6),
                "{place}: it was carried"
            );
            // A re-subscription at the source is not carried.
            on(&bench, source, record, Account::resubscribe_to_group);
            bench.sync().await;
            assert_eq!(
                mailed(&bench, target),
                readers(1..6),
                "{place}: it is barred"
            );
            let job = lose(&mut bench, source, target, loss);
            for _ in 0..2 {
                let report = bench.sync_of(job).await;
                assert_eq!(
                    mailed(&bench, target),
                    readers(1..6),
                    "{place}: {}",
                    tell(&report)
                );
            }
        }
    }
}

/// Where a job goes on under another name, the pairs of the old name still say who is who: a refusal
/// that nobody has seen yet is of the record that was linked, whatever address it shows by then.
#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_target_is_of_whom_a_job_of_another_name_linked() {
    for (source, target) in PAIRS {
        for loss in [Loss::JobRenamed, Loss::ProviderRenamed, Loss::SecondName] {
            let place = format!("{source} to {target}, {loss:?}");
            let mut bench = synced(source, target, "managed").await;
            let contact = id(&bench, target, 0);
            bench.account(target, |account| account.opt_out_of_account(contact));
            let record = id(&bench, source, 0);
            bench.account(source, |account| {
                account.change_address(record, "fresh@example.org");
            });
            let job = lose(&mut bench, source, target, loss);
            for first in [true, false] {
                let report = bench.sync_of(job).await;
                let told = tell(&report);
                assert_eq!(mailed(&bench, target), readers(1..6), "{place}: {told}");
                // Of groups and values it has no base all the same.
                assert_eq!(told.contains("without a base"), first, "{place}: {told}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_all_mail_outlives_every_key_and_an_erasure() {
    for (source, target) in PAIRS {
        for loss in LOSSES {
            let place = format!("{source} to {target}, {loss:?}");
            let mut bench = synced(source, target, "managed").await;
            let record = id(&bench, source, 0);
            bench.account(source, |account| account.opt_out_of_account(record));
            bench.sync().await;
            assert_eq!(
                mailed(&bench, target),
                readers(1..6),
                "{place}: it was carried"
            );
            bench.account(source, |account| account.resubscribe(record));
            bench.sync().await;
            let contact = id(&bench, target, 0);
            bench.account(target, |account| account.delete_contact(contact));
            let job = lose(&mut bench, source, target, loss);
            for _ in 0..2 {
                let report = bench.sync_of(job).await;
                assert_eq!(
                    mailed(&bench, target),
                    readers(1..6),
                    "{place}: {}",
                    tell(&report)
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_outlives_the_address_of_somebody_who_had_no_link() {
    for (source, target) in PAIRS {
        for of_all in [false, true] {
            let place = format!("{source} to {target}, of all mail {of_all}");
            let mut world = plain_world();
            let account = world.account_mut(source);
            let group = group_of(account, "News", "reader", 3);
            let record = account.contact_by_email(&address(0)).unwrap();
            account.opt_out_of_group(group, record);
            if of_all {
                account.opt_out_of_account(record);
            }
            // Nobody is created to hold a refusal.
            let job = format!("{}[jobs.test.members]\ncreate = false\n", job("managed"));
            let mut bench = bench(world, source, target, &job);
            bench.sync().await;
            bench.account(source, |account| {
                account.change_address(record, "moved@example.org");
                account.resubscribe(record);
                account.resubscribe_to_group(group, record);
            });
            bench.reconfigure(&format!(
                "[jobs.test]\nsource = \"{source}\"\ntarget = \"{target}\"\nmode = \"managed\"\n{FREE}"
            ));
            for _ in 0..2 {
                let report = bench.sync().await;
                assert_eq!(
                    mailed(&bench, target),
                    readers(1..3),
                    "{place}: {}",
                    tell(&report)
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_refused_at_the_target_and_was_erased_there_does_not_come_back() {
    for (source, target) in PAIRS {
        for anew in [false, true] {
            for removed in [false, true] {
                let place = format!("{source} to {target}, new record {anew}, removed {removed}");
                let bench = synced(source, target, "managed").await;
                let record = id(&bench, source, 0);
                if removed {
                    // Our own removal is not what the person did.
                    on(&bench, source, record, Account::leave);
                    bench.sync().await;
                }
                let contact = id(&bench, target, 0);
                bench.account(target, |account| {
                    if account.groups_of(contact).is_empty() || !account.opt_out_of_account(contact)
                    {
                        account.opt_out_of_account(contact);
                    }
                    for group in account.groups_of(contact) {
                        if target.starts_with("campaigns") {
                            account.refuse_group(group, contact);
                        }
                    }
                });
                bench.sync().await;
                bench.account(target, |account| account.delete_contact(contact));
                bench.sync().await;
                bench.account(source, |account| {
                    let group = account.find_group("News").unwrap();
                    let record = if anew {
                        account.delete_contact(record);
                        account.add_person(&address(0), "Ana", "Example")
                    } else {
                        record
                    };
                    account.join(group, record);
                });
                for _ in 0..2 {
                    let report = bench.sync().await;
                    assert_eq!(
                        mailed(&bench, target),
                        readers(1..6),
                        "{place}: {}",
                        tell(&report)
                    );
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_person_is_brought_to_no_account() {
    for (source, target, second) in [
        ("crm", "mail", "mail2"),
        ("mail", "crm", "crm2"),
        ("mail", "campaigns", "campaigns2"),
    ] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 6);
        let text: String = [("one", target), ("two", second)]
            .map(|(name, target)| {
                format!("[jobs.{name}]\nsource = \"{source}\"\ntarget = \"{target}\"\nmode = \"managed\"\n")
            })
            .concat();
        let bench = bench_of(world, &text);
        let report = bench.sync_of("one").await;
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        let contact = id(&bench, target, 0);
        bench.account(target, |account| account.delete_contact(contact));
        bench
            .store
            .forget_person(&address(0), jiff::Timestamp::UNIX_EPOCH)
            .unwrap();
        for _ in 0..2 {
            for (name, target) in [("one", target), ("two", second)] {
                let report = bench.sync_of(name).await;
                assert_eq!(
                    mailed(&bench, target),
                    readers(1..6),
                    "{source} to {target}: {}",
                    tell(&report)
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_was_changed_at_the_target_is_kept_for_good_where_drift_is() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 6);
        let config = "mode = \"managed\"\n[jobs.test.guards]\non_drift = \"keep\"\n";
        let bench = bench(world, source, target, config);
        bench.settle().await;
        let contact = id(&bench, target, 0);
        bench.account(target, |account| {
            account.change_address(contact, "byhand@example.org");
        });
        for run in 0..3 {
            let report = bench.sync().await;
            let held = bench.account(target, |account| account.contacts[&contact].email.clone());
            assert_eq!(
                held,
                "byhand@example.org",
                "{source} to {target}, run {run}: {}",
                tell(&report)
            );
        }
    }
}

/// Seed 5029: a service that compares texts finds an address of an international domain by one of its
/// two spellings only.
#[tokio::test(start_paused = true)]
async fn nobody_is_created_beside_another_spelling_of_the_address() {
    for (source, target) in PAIRS {
        let mut world = plain_world();
        let news = group_of(world.account_mut(source), "News", "reader", 2);
        let account = world.account_mut(source);
        let spelt = ["in@xn--bcher-kva.test", "out@xn--bcher-kva.test"];
        for address in spelt {
            let contact = account.add_person(address, "", "");
            account.join(news, contact);
        }
        let account = world.account_mut(target);
        let other = group_of(account, "Other", "other", 700);
        let [inside, _] = ["in@b\u{fc}cher.test", "out@b\u{fc}cher.test"]
            .map(|address| account.add_person(address, "", ""));
        account.join(other, inside);
        let bench = bench(world, source, target, &job("managed"));
        let report = bench.settle().await;
        let twins = bench.account(target, |account| {
            let contacts = account.contacts.values();
            let shown = contacts.filter(|contact| contact.email.contains("bcher"));
            shown
                .map(|contact| contact.email.clone())
                .collect::<Vec<_>>()
        });
        assert!(
            twins.is_empty(),
            "{source} to {target}: {twins:?} {}",
            tell(&report)
        );
        assert_eq!(
            mailed_ids(&bench, target, "News").len(),
            4,
            "{source} to {target}"
        );
    }
}
