//! What the simulation found, each in its shortest form and with the seed that found it. A seed
//! stands for another world whenever the making of worlds changes, so the form is what stays.

use rosterd::emulator::MembershipState::Active;
use rosterd::emulator::{Account, Fault, FaultRule};

use crate::support::{Bench, bench, bench_of, group_of, plain_world, tell};

/// Seed 181: of a second contact with the address only the bounce is read, because it is in no
/// group.
#[tokio::test(start_paused = true)]
async fn simulation_story_a_twin_outside_of_all_groups_does_not_hide_the_profile() {
    let mut world = plain_world();
    let account = world.account_mut("crm");
    group_of(account, "News", "reader", 3);
    let bench = bench(
        world,
        "crm",
        "mail",
        "mode = \"managed\"\n[jobs.test.members]\nwhere = \"source.company != 'Internal'\"",
    );
    bench.settle().await;
    bench.account("crm", |crm| {
        let person = crm.contact_by_email("reader0@example.org").unwrap();
        let twin = crm.add_person("Reader0@example.org", "", "");
        crm.bounce(twin);
        crm.change_contact(person, [("city", "Springfield")], []);
    });
    let report = bench.settle().await;
    assert!(report.blocked.is_empty(), "{}", tell(&report));
    let city = bench.account("mail", |mail| {
        mail.contacts[&mail.contact_by_email("reader0@example.org").unwrap()]
            .get("city")
            .to_owned()
    });
    assert_eq!(city, "Springfield");
}

/// Seed 394: of two records of one address one counts as a member and one does not, so that nobody
/// is put in by the one or taken out by the other.
#[tokio::test(start_paused = true)]
async fn simulation_story_a_record_that_does_not_count_takes_its_namesake_out_of_nothing() {
    let mut world = plain_world();
    let crm = world.account_mut("crm");
    let news = group_of(crm, "News", "reader", 3);
    for address in ["reader0@example.org", "new@example.org", "new@example.org"] {
        let twin = crm.add_person(address, "", "");
        crm.join(news, twin);
    }
    let bench = bench(
        world,
        "crm",
        "campaigns",
        "mode = \"mirror\"\n[jobs.test.members]\nwhere = \"source.company != 'Internal'\"",
    );
    bench.account("crm", |crm| {
        let new = crm.contact_by_email("new@example.org").unwrap();
        crm.change_contact(new, [("company", "Internal")], []);
    });
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    let of_reader = |crm: &mut Account| {
        let twins = crm.contacts.values();
        let mut twins = twins.filter(|contact| contact.email == "reader0@example.org");
        twins.next_back().unwrap().id
    };
    bench.account("crm", |crm| {
        let twin = of_reader(crm);
        crm.change_contact(twin, [("company", "Internal")], []);
    });
    let report = bench.sync().await;
    let members = bench.members("campaigns", "News");
    assert_eq!(members.len(), 3, "{members:?}");
    assert!(
        members.values().all(|state| *state == Active),
        "{members:?}"
    );
    let named: Vec<_> = report
        .blocked
        .iter()
        .map(|blocked| blocked.member.as_deref())
        .collect();
    assert_eq!(
        named,
        [Some("new@example.org"), Some("reader0@example.org")],
        "{}",
        tell(&report)
    );
}

/// Seed 9: a refusal that a run has seen at the target outlives the membership that it was a part
/// of.
#[tokio::test(start_paused = true)]
async fn simulation_story_a_refusal_seen_at_the_target_outlives_its_membership() {
    for (source, target) in [
        ("crm", "mail"),
        ("mail", "crm"),
        ("crm", "crm2"),
        ("mail", "mail2"),
    ] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 3);
        // The source does not list the second one yet.
        group_of(world.account_mut(target), "News", "reader", 4);
        let bench = bench(world, source, target, "mode = \"managed\"");
        let both = |work: fn(&mut Account, u64, u64) -> bool| {
            bench.account(target, |account| {
                let group = account.find_group("News").unwrap();
                for reader in ["reader0@example.org", "reader3@example.org"] {
                    let contact = account.contact_by_email(reader).unwrap();
                    work(account, group, contact);
                }
            });
        };
        bench.settle().await;
        both(Account::opt_out_of_group);
        bench.settle().await;
        both(Account::leave);
        bench.account(source, |account| {
            let group = account.find_group("News").unwrap();
            let contact = account.add_person("reader3@example.org", "Ana", "Example");
            account.join(group, contact);
        });
        let report = bench.settle().await;
        assert_eq!(
            report.withheld,
            2,
            "{source} to {target}: {}",
            tell(&report)
        );
        assert_eq!(
            bench.members(target, "News").len(),
            2,
            "{source} to {target}"
        );
        // Whoever comes back at the target by their own wish is a member like any other.
        both(Account::join);
        bench.settle().await;
        both(Account::leave);
        let report = bench.settle().await;
        assert_eq!(
            report.summary.memberships_added,
            2,
            "{source} to {target}: {}",
            tell(&report)
        );
    }
}

/// How many contacts an account has.
fn contacts(bench: &Bench, account: &str) -> usize {
    bench.account(account, |account| account.contacts.len())
}

/// Seed 597: a profile is written to the person it is about, also where somebody changed the address
/// at the target. The person's own refusal does not keep the address from coming back: it stays.
#[tokio::test(start_paused = true)]
async fn simulation_story_a_profile_reaches_a_person_whose_address_was_changed_there() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "News", "reader", 3);
    let bench = bench(world, "crm", "mail", "mode = \"managed\"");
    bench.settle().await;
    bench.account("crm", |crm| {
        let contact = crm.contact_by_email("reader0@example.org").unwrap();
        crm.opt_out_of_group(crm.find_group("News").unwrap(), contact);
    });
    bench.settle().await;
    bench.account("mail", |mail| {
        mail.change_address(
            mail.contact_by_email("reader0@example.org").unwrap(),
            "moved@example.org",
        );
    });
    bench.account("crm", |crm| {
        let contact = crm.contact_by_email("reader0@example.org").unwrap();
        crm.change_contact(contact, [("city", "Springfield")], []);
    });
    let report = bench.sync().await;
    assert_eq!(contacts(&bench, "mail"), 3, "{}", tell(&report));
    let city = bench.account("mail", |mail| {
        mail.contacts[&mail.contact_by_email("reader0@example.org").unwrap()]
            .get("city")
            .to_owned()
    });
    assert_eq!(city, "Springfield");
}

/// The same where the provider refuses the new address.
#[tokio::test(start_paused = true)]
async fn simulation_story_a_refused_address_creates_nobody() {
    for (source, target, call) in [
        ("crm", "mail", "contacts/save"),
        ("mail", "crm", "EditContacts"),
    ] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 3);
        let bench = bench(world, source, target, "mode = \"managed\"");
        bench.settle().await;
        bench.account(source, |account| {
            let contact = account.contact_by_email("reader0@example.org").unwrap();
            account.change_address(contact, "moved@example.org");
            account.change_contact(contact, [("city", "Springfield")], []);
        });
        bench.emulator.add_fault(
            FaultRule::every(Fault::PartialBatchFailure { every: 1 })
                .at(target)
                .on(call),
        );
        bench.emulator.add_fault(
            FaultRule::every(Fault::PoisonItem("moved@example.org".to_owned()))
                .at(target)
                .on(call),
        );
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 4, "{}", tell(&report));
        assert_eq!(
            contacts(&bench, target),
            3,
            "{source} to {target}: {}",
            tell(&report)
        );
        bench.emulator.clear_faults();
        bench.pass(8 * 86_400);
        bench.settle().await;
        assert_eq!(contacts(&bench, target), 3, "{source} to {target}");
        assert!(
            bench
                .members(target, "News")
                .contains_key("moved@example.org"),
            "{source} to {target}"
        );
    }
}

/// Seed 351: two jobs that know a person under different addresses do not move the person to and
/// fro.
#[tokio::test(start_paused = true)]
async fn simulation_story_an_address_that_changed_at_the_target_is_drift() {
    for (drift, expected) in [
        ("keep", "moved@example.org"),
        ("overwrite", "reader0@example.org"),
        ("stop", "moved@example.org"),
    ] {
        let mut world = plain_world();
        group_of(world.account_mut("crm"), "News", "reader", 3);
        let bench = bench(
            world,
            "crm",
            "mail",
            &format!("mode = \"managed\"\n[jobs.test.guards]\non_drift = \"{drift}\""),
        );
        bench.settle().await;
        let contact = bench.account("mail", |mail| {
            mail.contact_by_email("reader0@example.org").unwrap()
        });
        bench.account("mail", |mail| {
            mail.change_address(contact, "moved@example.org");
        });
        let report = bench.sync().await;
        assert_eq!(
            report.exit_code(),
            if drift == "stop" { 3 } else { 0 },
            "{drift}: {}",
            tell(&report)
        );
        assert_eq!(
            bench.account("mail", |mail| mail.contacts[&contact].email.clone()),
            expected,
            "{drift}"
        );
        // A change at the source is carried whatever happened at the target.
        bench.account("crm", |crm| {
            crm.change_address(
                crm.contact_by_email("reader0@example.org").unwrap(),
                "new@example.org",
            );
        });
        bench.settle().await;
        assert_eq!(
            bench.account("mail", |mail| mail.contacts[&contact].email.clone()),
            "new@example.org",
            "{drift}"
        );
    }
}

/// Seed 472: whoever moves to an address that somebody else has at the target is reported, and not
/// passed over in silence.
#[tokio::test(start_paused = true)]
async fn simulation_story_a_move_to_an_address_in_use_is_reported() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "News", "reader", 3);
    group_of(world.account_mut("crm"), "Board", "reader", 1);
    let bench = bench(world, "crm", "mail", "mode = \"managed\"");
    bench.settle().await;
    bench.account("crm", |crm| {
        crm.change_address(
            crm.contact_by_email("reader2@example.org").unwrap(),
            "reader0@example.org",
        );
    });
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    let reasons: Vec<&str> = report
        .blocked
        .iter()
        .map(|blocked| blocked.reason.as_str())
        .collect();
    assert_eq!(reasons, ["address_taken"], "{}", tell(&report));
}

/// Seed 113: a contact that rosterd itself created is no sign that somebody who refused all mail
/// came back.
#[tokio::test(start_paused = true)]
async fn simulation_story_a_contact_made_to_hold_a_refusal_ends_no_other() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "News", "reader", 3);
    let account = world.account_mut("mail2");
    let board = group_of(account, "Board", "reader", 1);
    group_of(account, "Friends", "reader", 1);
    let contact = account.contact_by_email("reader0@example.org").unwrap();
    account.opt_out_of_group(board, contact);
    let jobs = "[jobs.one]\nsource = \"crm\"\ntarget = \"mail\"\nmode = \"managed\"\n[jobs.two]\nsource = \"mail2\"\ntarget = \"mail\"\nmode = \"managed\"\n";
    let bench = bench_of(world, jobs);
    bench.sync_of("one").await;
    bench.account("crm", |crm| {
        crm.opt_out_of_account(crm.contact_by_email("reader0@example.org").unwrap())
    });
    bench.sync_of("one").await;
    // The contact that holds the refusal gets another address by hand.
    bench.account("mail", |mail| {
        mail.change_address(
            mail.contact_by_email("reader0@example.org").unwrap(),
            "moved@example.org",
        );
    });
    for _ in 0..3 {
        bench.sync_of("two").await;
        let mailed = bench.account("mail", |mail| {
            mail.find_group("Friends")
                .map(|group| mail.mailed_by(group))
                .unwrap_or_default()
        });
        assert_eq!(mailed, Vec::<String>::new());
    }
    bench.assert_no_misuse();
}

/// Seed 440: a refusal of all mail that all lists hold already is remembered for those to come,
/// also by a new database.
#[tokio::test(start_paused = true)]
async fn simulation_story_a_refusal_that_all_lists_hold_is_known_to_later_lists() {
    for source in ["mail", "crm"] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "reader", 12);
        let mut bench = bench(
            world,
            source,
            "campaigns",
            "mode = \"managed\"\n[jobs.test.guards]\nmax_opt_outs = \"none\"",
        );
        let reader = |account: &Account| account.contact_by_email("reader0@example.org").unwrap();
        bench.settle().await;
        bench.account(source, |account| {
            account.opt_out_of_account(reader(account))
        });
        bench.settle().await;
        bench.lose_state();
        bench.settle().await;
        bench.account(source, |account| {
            account.resubscribe(reader(account));
            group_of(account, "Later", "reader", 12);
        });
        let report = bench.settle().await;
        assert!(
            !bench
                .members("campaigns", "Later")
                .contains_key("reader0@example.org"),
            "{source}: {}",
            tell(&report)
        );
    }
}
