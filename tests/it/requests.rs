//! What a run costs: batches and pages as large as the provider documents.

use std::collections::BTreeMap;

use rosterd::emulator::{Kind, MembershipState};

use crate::support::{Bench, bench, group_of, plain_world, removing_freely, tell};

fn sent(operation: &str, items: usize, times: usize) -> Vec<(String, usize)> {
    vec![(operation.to_owned(), items); times]
}

#[tokio::test(start_paused = true)]
async fn a_thousand_people_new_to_emfluence_are_one_import() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "Thousand", "person", 1000);
    let bench = bench(world, "crm", "mail", "");
    let planned = bench.plan().await;
    assert_eq!(planned.cost.requests["mail"], 2);
    bench.writes();
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    let expected = [sent("groups/save", 1, 1), sent("contacts/import", 1000, 1)].concat();
    assert_eq!(bench.sent(), expected);
    assert_eq!(report.requests["mail"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_people_new_to_greenrope_are_twenty_and_twenty() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "Thousand", "person", 1000);
    let bench = bench(world, "mail", "crm", "");
    let planned = bench.plan().await;
    assert_eq!(planned.cost.requests["crm"], 41);
    bench.writes();
    bench.sync().await;
    let expected = [
        sent("CreateGroup", 1, 1),
        sent("AddContacts", 50, 20),
        sent("AddContactsToGroup", 50, 20),
    ]
    .concat();
    assert_eq!(bench.sent(), expected);
}

#[tokio::test(start_paused = true)]
async fn people_who_exist_are_added_and_removed_in_batches() {
    for (source, target, batch, add, remove) in [
        (
            "crm",
            "mail",
            1000,
            "groups/addContacts",
            "groups/removeContacts",
        ),
        (
            "mail",
            "crm",
            50,
            "AddContactsToGroup",
            "DeleteContactsFromGroup",
        ),
    ] {
        let mut world = plain_world();
        let group = group_of(world.account_mut(source), "News", "person", 200);
        group_of(world.account_mut(target), "Others", "person", 200);
        let bench = bench(world, source, target, &removing_freely("managed"));
        bench.sync().await;
        let writes = bench.sent();
        assert_eq!(
            writes[1..],
            sent(add, batch.min(200), 200_usize.div_ceil(batch)),
            "{target}"
        );
        bench.account(source, |account| {
            for number in 0..100 {
                let contact = account
                    .contact_by_email(&format!("person{number}@example.org"))
                    .unwrap();
                account.leave(group, contact);
            }
        });
        bench.settle().await;
        assert_eq!(
            bench
                .members(target, "News")
                .values()
                .filter(|state| **state == MembershipState::Active)
                .count(),
            100
        );
        bench.account(source, |account| {
            for number in 0..100 {
                let contact = account
                    .contact_by_email(&format!("person{}@example.org", number + 100))
                    .unwrap();
                account.change_contact(contact, [("city", "Springfield")], []);
                if number < 99 {
                    account.leave(group, contact);
                }
            }
            account.join_all(
                group,
                (0..50)
                    .map(|number| account_id(account, number))
                    .collect::<Vec<_>>(),
            );
        });
        bench.writes();
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        let writes = bench.sent();
        assert!(writes.iter().any(|(operation, _)| operation == remove));
        assert!(
            writes.len() <= 2 * 99_usize.div_ceil(batch) + 50_usize.div_ceil(batch) + 2,
            "{writes:?}"
        );
    }
}

fn account_id(account: &rosterd::emulator::Account, number: usize) -> u64 {
    account
        .contact_by_email(&format!("person{number}@example.org"))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn opt_outs_go_in_batches_where_there_are_any() {
    let mut world = plain_world();
    let account = world.account_mut("mail");
    group_of(account, "News", "person", 120);
    let bench = bench(
        world,
        "mail",
        "crm",
        "[jobs.test.guards]\nmax_opt_outs = \"none\"",
    );
    bench.settle().await;
    bench.account("mail", |account| {
        for number in 0..120 {
            let contact = account_id(account, number);
            account.opt_out_of_account(contact);
        }
    });
    bench.sync().await;
    let expected = [
        sent("UnsubscribeContacts", 50, 2),
        sent("UnsubscribeContacts", 20, 1),
    ]
    .concat();
    assert_eq!(bench.sent(), expected);
}

#[tokio::test(start_paused = true)]
async fn reading_takes_pages_of_the_documented_size_and_no_request_per_person() {
    for (source, target) in [
        ("crm", "mail"),
        ("mail", "crm"),
        ("mail", "mail2"),
        ("crm", "crm2"),
    ] {
        let mut world = plain_world();
        for name in ["One", "Two", "Three"] {
            group_of(world.account_mut(source), name, "person", 600);
        }
        let bench = bench(world, source, target, "");
        bench.settle().await;
        bench.emulator.clear_log();
        bench.sync().await;
        let requests = bench.emulator.requests();
        let count = |operation: &str| {
            requests
                .iter()
                .filter(|request| request.operation == operation)
                .count()
        };
        assert_eq!(count("contacts/lookup") + count("SearchContacts"), 0);
        let mails =
            usize::from(source.starts_with("mail")) + usize::from(target.starts_with("mail"));
        // Six hundred rows are one page of a listing and three of a search.
        assert!(
            count("groups/getContacts") <= mails * 3 + mails * 3,
            "{source} to {target}: {}",
            count("groups/getContacts")
        );
        assert!(
            count("contacts/search") <= mails * 3,
            "{source} to {target}: {}",
            count("contacts/search")
        );
        assert!(
            requests
                .iter()
                .filter(|request| request.provider == Kind::GreenRope)
                .count()
                <= 30,
            "{source} to {target}"
        );
        bench.assert_no_misuse();
    }
}

/// The operations of the log that read, with how often each was asked.
fn reads(bench: &Bench, kind: Kind) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in bench
        .emulator
        .requests()
        .into_iter()
        .filter(|request| request.provider == kind && !request.is_write)
    {
        *counts.entry(request.operation).or_default() += 1;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn a_thousand_people_new_to_a_list_are_four_imports() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "Thousand", "person", 1000);
    let bench = bench(world, "crm", "campaigns", "");
    let planned = bench.plan().await;
    assert_eq!(planned.cost.requests["campaigns"], 5);
    bench.writes();
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    let reads = reads(&bench, Kind::ActiveCampaign);
    let expected = [
        sent("list_add", 1, 1),
        sent("POST /import/bulk_import", 250, 4),
    ]
    .concat();
    assert_eq!(bench.sent(), expected);
    // Eleven pages read the thousand back; each import is asked after until it is over.
    let pages = reads["GET /contacts"];
    assert!(pages <= 1 + 11, "{reads:?}");
    assert_eq!(reads["GET /contactLists"], 1, "{reads:?}");
    assert!(
        reads
            .keys()
            .all(|operation| !operation.starts_with("contact_view")),
        "nobody is asked after alone: {reads:?}"
    );
    bench.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn people_join_and_leave_lists_in_imports() {
    let mut world = plain_world();
    let group = group_of(world.account_mut("crm"), "News", "person", 300);
    group_of(world.account_mut("campaigns"), "Others", "person", 200);
    let bench = bench(world, "crm", "campaigns", &removing_freely("managed"));
    bench.sync().await;
    // Newcomers and people who exist share the requests.
    let import = "POST /import/bulk_import";
    assert_eq!(
        bench.sent()[1..],
        [sent(import, 250, 1), sent(import, 50, 1)].concat()
    );
    let leave = |people: std::ops::Range<usize>| {
        bench.account("crm", |account| {
            for number in people {
                let contact = account_id(account, number);
                account.leave(group, contact);
            }
        });
    };
    leave(0..10);
    bench.sync().await;
    assert_eq!(
        bench.sent(),
        sent(import, 10, 1),
        "from ten people on the importer is shorter"
    );
    leave(10..19);
    bench.sync().await;
    assert_eq!(
        bench.sent(),
        sent("contact_sync", 1, 9),
        "below that a form for each is"
    );
    assert_eq!(
        bench
            .members("campaigns", "News")
            .values()
            .filter(|state| **state == MembershipState::Active)
            .count(),
        281
    );
    bench.assert_settled().await;
}

/// Each of these removals follows a look, which asks after those who leave: however many others the
/// list holds.
#[tokio::test(start_paused = true)]
async fn what_is_asked_before_people_leave_a_list_depends_on_them_and_not_on_the_list() {
    for (size, leaving, looks) in [(1450, 500, 6), (2950, 500, 6), (2950, 1000, 12)] {
        let place = format!("{leaving} of {size}");
        let mut world = plain_world();
        let group = group_of(world.account_mut("crm"), "News", "person", size);
        let bench = bench(world, "crm", "campaigns", &removing_freely("managed"));
        bench.settle().await;
        bench.account("crm", |account| {
            for number in 0..leaving {
                // Those who leave are not next to each other.
                let contact = account_id(account, number * 2 % size + number * 2 / size);
                account.leave(group, contact);
            }
        });
        let planned = bench.plan().await;
        bench.writes();
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
        let reads = reads(&bench, Kind::ActiveCampaign);
        assert_eq!(
            bench.sent(),
            sent("POST /import/bulk_import", 250, leaving / 250),
            "{place}"
        );
        // The account is read before, and the list after a look at what comes along with contacts;
        // and 250 people are asked after three times.
        let whole = 2 * size.div_ceil(100) + 1;
        assert_eq!(reads["GET /contacts"], whole + looks, "{place}: {reads:?}");
        assert!(!reads.contains_key("contact_view"), "{place}: {reads:?}");
        let (planned, took) = (planned.cost.reads["campaigns"], report.reads["campaigns"]);
        assert!(
            planned.abs_diff(took) <= 1,
            "{place}: the looks are in the estimate of {planned}, and it took {took}"
        );
        assert_eq!(
            report.summary.memberships_removed, leaving as u64,
            "{place}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn many_opt_outs_of_lists_are_one_import_over_all_lists() {
    for (source, whole_account) in [
        ("mail", false),
        ("mail", true),
        ("crm", true),
        ("campaigns2", false),
    ] {
        let place = format!("{source}, {whole_account}");
        let mut world = plain_world();
        let account = world.account_mut(source);
        let groups = ["One", "Two", "Three"].map(|name| group_of(account, name, "person", 120));
        let bench = bench(
            world,
            source,
            "campaigns",
            "[jobs.test.guards]\nmax_opt_outs = \"none\"",
        );
        bench.settle().await;
        let refuse = |people: std::ops::Range<usize>| {
            bench.account(source, |account| {
                for number in people {
                    let contact = account_id(account, number);
                    if whole_account {
                        account.opt_out_of_account(contact);
                    } else {
                        for group in groups {
                            account.opt_out_of_group(group, contact);
                        }
                    }
                }
            });
        };
        bench.writes();
        refuse(0..110);
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
        assert_eq!(
            bench.sent(),
            sent("POST /import/bulk_import", 110, 1),
            "{place}"
        );
        refuse(110..119);
        bench.sync().await;
        assert_eq!(bench.sent(), sent("contact_sync", 1, 9), "{place}");
        for list in ["One", "Two", "Three"] {
            let members = bench.members("campaigns", list);
            assert_eq!(
                members
                    .values()
                    .filter(|state| **state == MembershipState::OptedOut)
                    .count(),
                119,
                "{place}: {list}"
            );
        }
        bench.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_of_lists_is_read_in_one_pass() {
    for (source, target) in [
        ("campaigns", "mail"),
        ("crm", "campaigns"),
        ("campaigns", "campaigns2"),
    ] {
        let place = format!("{source} to {target}");
        let mut world = plain_world();
        for name in ["One", "Two", "Three"] {
            group_of(world.account_mut(source), name, "person", 650);
        }
        let bench = bench(world, source, target, "");
        bench.settle().await;
        bench.emulator.clear_log();
        bench.sync().await;
        let sides = usize::from(source.starts_with("campaigns"))
            + usize::from(target.starts_with("campaigns"));
        let reads = reads(&bench, Kind::ActiveCampaign);
        // Seven pages of a hundred show everybody with all lists; each list is counted once.
        assert_eq!(reads["GET /contacts"], 7 * sides, "{place}: {reads:?}");
        assert_eq!(reads["GET /contactLists"], 3 * sides, "{place}: {reads:?}");
        assert!(
            reads.values().sum::<usize>() <= 18 * sides,
            "{place}: {reads:?}"
        );
        bench.assert_no_misuse();
    }
}

#[tokio::test(start_paused = true)]
async fn an_opt_out_at_emfluence_is_a_request_and_a_profile_is_a_thousandth_of_one() {
    let mut world = plain_world();
    let crm = world.account_mut("crm");
    group_of(crm, "News", "person", 120);
    let bench = bench(
        world,
        "crm",
        "mail",
        "[jobs.test.guards]\nmax_opt_outs = \"none\"",
    );
    bench.settle().await;
    bench.account("crm", |account| {
        for number in 0..120 {
            let contact = account_id(account, number);
            if number < 100 {
                account.opt_out_of_account(contact);
            } else {
                account.change_contact(contact, [("city", "Springfield")], []);
            }
        }
    });
    bench.writes();
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    let mut writes = bench.sent();
    writes.sort();
    let expected = [
        sent("contacts/import", 20, 1),
        sent("contacts/save", 1, 100),
    ]
    .concat();
    assert_eq!(writes, expected);
}

#[tokio::test(start_paused = true)]
async fn profiles_change_in_batches() {
    for (source, target, expected) in [
        (
            "mail",
            "crm",
            [sent("EditContacts", 50, 2), sent("EditContacts", 20, 1)].concat(),
        ),
        ("crm", "campaigns", sent("POST /import/bulk_import", 120, 1)),
    ] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "person", 120);
        let bench = bench(world, source, target, "");
        bench.settle().await;
        bench.account(source, |account| {
            for number in 0..120 {
                let contact = account_id(account, number);
                account.change_contact(contact, [("first_name", "Bo")], []);
            }
        });
        bench.writes();
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{target}: {}", tell(&report));
        assert_eq!(bench.sent(), expected, "{target}");
    }
}
