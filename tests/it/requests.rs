//! What a run costs: batches and pages as large as the provider documents.

use rosterd::emulator::{Kind, MembershipState};

use crate::support::{bench, group_of, plain_world, tell};

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
    let expected = [sent("CreateGroup", 1, 1), sent("AddContacts", 50, 20), sent("AddContactsToGroup", 50, 20)].concat();
    assert_eq!(bench.sent(), expected);
}

#[tokio::test(start_paused = true)]
async fn people_who_exist_are_added_and_removed_in_batches() {
    for (source, target, batch, add, remove) in [
        ("crm", "mail", 1000, "groups/addContacts", "groups/removeContacts"),
        ("mail", "crm", 50, "AddContactsToGroup", "DeleteContactsFromGroup"),
    ] {
        let mut world = plain_world();
        let group = group_of(world.account_mut(source), "News", "person", 200);
        group_of(world.account_mut(target), "Others", "person", 200);
        let job =
            "mode = \"managed\"\n[jobs.test.guards]\nmax_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\"";
        let bench = bench(world, source, target, job);
        bench.sync().await;
        let writes = bench.sent();
        assert_eq!(writes[1..], sent(add, batch.min(200), 200_usize.div_ceil(batch)), "{target}");
        bench.account(source, |account| {
            for number in 0..100 {
                let contact = account.contact_by_email(&format!("person{number}@example.org")).unwrap();
                account.leave(group, contact);
            }
        });
        bench.settle().await;
        assert_eq!(bench.members(target, "News").values().filter(|state| **state == MembershipState::Active).count(), 100);
        bench.account(source, |account| {
            for number in 0..100 {
                let contact = account.contact_by_email(&format!("person{}@example.org", number + 100)).unwrap();
                account.change_contact(contact, [("city", "Springfield")], []);
                if number < 99 {
                    account.leave(group, contact);
                }
            }
            account.join_all(group, (0..50).map(|number| account_id(account, number)).collect::<Vec<_>>());
        });
        bench.writes();
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        let writes = bench.sent();
        assert!(writes.iter().any(|(operation, _)| operation == remove));
        assert!(writes.len() <= 2 * 99_usize.div_ceil(batch) + 50_usize.div_ceil(batch) + 2, "{writes:?}");
    }
}

fn account_id(account: &rosterd::emulator::Account, number: usize) -> u64 {
    account.contact_by_email(&format!("person{number}@example.org")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn opt_outs_go_in_batches_where_there_are_any() {
    let mut world = plain_world();
    let account = world.account_mut("mail");
    group_of(account, "News", "person", 120);
    let bench = bench(world, "mail", "crm", "[jobs.test.guards]\nmax_opt_outs = \"none\"");
    bench.settle().await;
    bench.account("mail", |account| {
        for number in 0..120 {
            let contact = account_id(account, number);
            account.opt_out_of_account(contact);
        }
    });
    bench.sync().await;
    let expected = [sent("UnsubscribeContacts", 50, 2), sent("UnsubscribeContacts", 20, 1)].concat();
    assert_eq!(bench.sent(), expected);
}

#[tokio::test(start_paused = true)]
async fn reading_takes_pages_of_the_documented_size_and_no_request_per_person() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "mail2"), ("crm", "crm2")] {
        let mut world = plain_world();
        for name in ["One", "Two", "Three"] {
            group_of(world.account_mut(source), name, "person", 600);
        }
        let bench = bench(world, source, target, "");
        bench.settle().await;
        bench.emulator.clear_log();
        bench.sync().await;
        let requests = bench.emulator.requests();
        let count = |operation: &str| requests.iter().filter(|request| request.operation == operation).count();
        assert_eq!(count("contacts/lookup") + count("SearchContacts"), 0);
        let mails = usize::from(source.starts_with("mail")) + usize::from(target.starts_with("mail"));
        // Six hundred rows are one page of a listing and three of a search.
        assert!(count("groups/getContacts") <= mails * 3 + mails * 3, "{source} to {target}: {}", count("groups/getContacts"));
        assert!(count("contacts/search") <= mails * 3, "{source} to {target}: {}", count("contacts/search"));
        assert!(requests.iter().filter(|request| request.provider == Kind::GreenRope).count() <= 30, "{source} to {target}");
        bench.assert_no_misuse();
    }
}
