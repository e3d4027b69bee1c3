//! ActiveCampaign lists as a target and as a source.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use rosterd::emulator::MembershipState::{Active, OptedOut};
use rosterd::emulator::{Account, Change, Fault, FaultRule, RequestRecord, When};
use rosterd::run::SyncOptions;

use crate::support::readers::{address, on};
use crate::support::{Bench, bench, bench_of, digest, group_of, operations, plain_world, tell};

/// No limits, and removals.
const JOB: &str = "mode = \"managed\"\n[jobs.test.guards]\nmax_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\"\nmax_opt_outs = \"none\"";

/// The same with lines about members.
fn job(members: &str) -> String {
    format!("{JOB}\n[jobs.test.members]\n{members}")
}

/// The group "News" with so many people at emfluence, synced into ActiveCampaign.
async fn synced(count: usize, job: &str) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", count);
    let bench = bench(world, "mail", "campaigns", job);
    bench.settle().await;
    bench
}

fn imports(writes: &[RequestRecord]) -> Vec<usize> {
    writes
        .iter()
        .filter(|write| write.is_write && write.operation.contains("bulk_import"))
        .map(|write| write.items)
        .collect()
}

fn forms(writes: &[RequestRecord]) -> usize {
    writes
        .iter()
        .filter(|write| write.operation == "contact_sync")
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_people_are_four_imports_and_cost_what_the_plan_says() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "Thousand", "person", 1000);
    let bench = bench(world, "mail", "campaigns", JOB);
    let planned = bench.plan().await;
    bench.writes();
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    let writes = bench.writes();
    assert_eq!(imports(&writes), [250; 4]);
    assert_eq!(writes.len(), 5, "{writes:#?}");
    assert_eq!(planned.cost.requests["campaigns"], 5);
    assert_eq!(report.requests["campaigns"], 5);
    assert_eq!(
        planned.cost.reads["campaigns"], report.reads["campaigns"],
        "polling and reading back are reads"
    );
    assert_eq!(
        (
            report.summary.members_created,
            report.summary.memberships_added
        ),
        (1000, 1000)
    );
    assert_eq!(bench.members("campaigns", "Thousand").len(), 1000);
    bench.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn everybody_joins_all_lists_by_one_row() {
    let mut world = plain_world();
    for name in ["One", "Two", "Three"] {
        group_of(world.account_mut("mail"), name, "reader", 40);
    }
    group_of(world.account_mut("campaigns"), "Others", "reader", 20);
    let bench = bench(world, "mail", "campaigns", JOB);
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    assert_eq!(
        imports(&bench.writes()),
        [40],
        "newcomers and people who exist, and all lists, go together"
    );
    assert_eq!(
        (
            report.summary.members_created,
            report.summary.memberships_added
        ),
        (20, 120),
        "{}",
        tell(&report)
    );
    bench.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn ten_refusals_are_one_import_and_fewer_are_forms() {
    for (count, by_import) in [(12, vec![12]), (9, vec![])] {
        let bench = synced(30, JOB).await;
        for number in 0..count {
            on(&bench, "mail", number, Account::opt_out_of_group);
        }
        let planned = bench.plan().await;
        bench.writes();
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        let writes = bench.writes();
        assert_eq!(imports(&writes), by_import);
        assert_eq!(forms(&writes), if by_import.is_empty() { count } else { 0 });
        assert_eq!(planned.cost.requests["campaigns"], writes.len() as u64);
        assert_eq!(planned.cost.reads["campaigns"], report.reads["campaigns"]);
        let views = bench
            .emulator
            .requests()
            .iter()
            .filter(|request| request.operation.contains("contact_view"))
            .count();
        assert_eq!(views, 0, "no address is looked up");
        assert_eq!(report.summary.opt_outs, count as u64);
        assert_eq!(
            bench
                .members("campaigns", "News")
                .values()
                .filter(|state| **state == OptedOut)
                .count(),
            count
        );
        bench.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_all_mail_stands_on_every_list() {
    for source in ["mail", "crm"] {
        let mut world = plain_world();
        let account = world.account_mut(source);
        group_of(account, "News", "reader", 12);
        group_of(account, "Events", "reader", 4);
        let stranger = account.add_person("stranger@example.org", "Ana", "Example");
        let news = account.find_group("News").unwrap();
        account.join(news, stranger);
        account.opt_out_of_account(stranger);
        let bench = bench(world, source, "campaigns", JOB);
        let report = bench.settle().await;
        for list in ["News", "Events"] {
            assert_eq!(
                bench.members("campaigns", list)["stranger@example.org"],
                OptedOut,
                "{source}: {list}, also where not listed"
            );
        }
        assert_eq!(report.summary.members_created, 13, "{}", tell(&report));
        // Somebody on one of the lists refuses all mail: both lists say so from then on.
        bench.account(source, |account| {
            let contact = account.contact_by_email(&address(8)).unwrap();
            account.opt_out_of_account(contact);
        });
        let planned = bench.plan().await;
        assert_eq!(
            operations(&planned),
            [
                "set_opt_out \"News\" reader8@example.org",
                "set_opt_out \"Events\" reader8@example.org"
            ]
        );
        bench.settle().await;
        for list in ["News", "Events"] {
            assert_eq!(bench.members("campaigns", list)[&address(8)], OptedOut);
        }
        // A list that is made later is covered from its first moment.
        bench.account(source, |account| {
            group_of(account, "Late", "reader", 12);
        });
        bench.settle().await;
        assert_eq!(bench.members("campaigns", "Late")[&address(8)], OptedOut);
        assert_eq!(
            bench.members("campaigns", "Late")["stranger@example.org"],
            OptedOut
        );
        // A change of mind at the source is not carried.
        bench.account(source, |account| {
            let contact = account.contact_by_email(&address(8)).unwrap();
            account.resubscribe(contact);
        });
        bench.settle().await;
        // On one list alone it ends nothing.
        let set = |list: &str, work: fn(&mut Account, u64, u64) -> bool| {
            bench.account("campaigns", |account| {
                let (list, contact) = (
                    account.find_group(list).unwrap(),
                    account.contact_by_email(&address(8)).unwrap(),
                );
                work(account, list, contact);
            });
        };
        set("News", Account::join);
        bench.settle().await;
        bench.account(source, |account| {
            group_of(account, "Later", "reader", 12);
        });
        bench.settle().await;
        assert!(
            !bench
                .members("campaigns", "Later")
                .contains_key(&address(8)),
            "{source}: barred from all of the account"
        );
        // On all of them it does.
        set("Events", Account::join);
        set("Late", Account::join);
        bench.settle().await;
        assert_eq!(
            bench.members("campaigns", "Later")[&address(8)],
            Active,
            "{source}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_is_told_from_a_refusal() {
    for (members, back) in [("readd = false", false), ("readd = true", true)] {
        let bench = synced(30, &job(members)).await;
        on(&bench, "mail", 0, Account::leave);
        let report = bench.settle().await;
        assert_eq!(
            (report.summary.memberships_removed, report.summary.opt_outs),
            (1, 0)
        );
        assert_eq!(
            bench.members("campaigns", "News")[&address(0)],
            OptedOut,
            "that is how it shows"
        );
        let own = bench.own_removals("campaigns");
        assert!(!own.is_empty());
        // Somebody refuses, too, and both come back at the source.
        on(&bench, "campaigns", 1, Account::refuse_group);
        on(&bench, "mail", 0, Account::join);
        let report = bench.settle().await;
        let expected = if back { Active } else { OptedOut };
        assert_eq!(
            bench.members("campaigns", "News")[&address(0)],
            expected,
            "{}",
            tell(&report)
        );
        assert_eq!(bench.members("campaigns", "News")[&address(1)], OptedOut);
        assert_eq!(
            report.withheld_by_reason.get("removed_by_rosterd"),
            (!back).then_some(&1),
            "{}",
            tell(&report)
        );
        assert_eq!(
            report.withheld_by_reason.get("opted_out_at_target"),
            Some(&1)
        );
        assert_eq!(bench.own_removals("campaigns").is_empty(), back);
        // What came back is this job's own again.
        on(&bench, "mail", 0, Account::leave);
        bench.settle().await;
        assert_eq!(bench.members("campaigns", "News")[&address(0)], OptedOut);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_back_who_refused_since() {
    // By a click at the provider, by joining and leaving there, at the source of the group, at the
    // source of all mail.
    for way in 0..4 {
        let bench = synced(30, &job("readd = true")).await;
        on(&bench, "mail", 0, Account::leave);
        bench.settle().await;
        match way {
            0 => on(&bench, "campaigns", 0, Account::refuse_group),
            1 => {
                on(&bench, "campaigns", 0, Account::join);
                on(&bench, "campaigns", 0, Account::opt_out_of_group);
            }
            2 => {
                on(&bench, "mail", 0, Account::opt_out_of_group);
            }
            _ => {
                on(&bench, "mail", 0, |account, _, contact| {
                    account.opt_out_of_account(contact)
                });
            }
        }
        bench.settle().await;
        assert!(
            bench.own_removals("campaigns").is_empty(),
            "way {way}: it is a refusal from now on"
        );
        match way {
            0 | 1 => drop(on(&bench, "mail", 0, Account::join)),
            2 => drop(on(&bench, "mail", 0, Account::resubscribe_to_group)),
            _ => on(&bench, "mail", 0, |account, group, contact| {
                account.resubscribe(contact);
                account.join(group, contact);
            }),
        }
        bench.settle().await;
        assert_eq!(
            bench.members("campaigns", "News")[&address(0)],
            OptedOut,
            "way {way}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_database_brings_nobody_back() {
    let mut bench = synced(30, &job("readd = true")).await;
    on(&bench, "mail", 0, Account::leave);
    on(&bench, "campaigns", 1, Account::refuse_group);
    on(&bench, "mail", 2, Account::opt_out_of_group);
    on(&bench, "mail", 3, |account, _, contact| {
        account.opt_out_of_account(contact)
    });
    bench.settle().await;
    on(&bench, "mail", 0, Account::join);
    on(&bench, "mail", 2, Account::resubscribe_to_group);
    on(&bench, "mail", 3, |account, _, contact| {
        account.resubscribe(contact)
    });
    bench.lose_state();
    bench.writes();
    bench.settle().await;
    let members = bench.members("campaigns", "News");
    assert!(
        (0..4).all(|number| members[&address(number)] == OptedOut),
        "{members:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn another_job_reads_a_removal_as_no_membership() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 12);
    let bench = bench_of(
        world,
        "[jobs.test]\nsource = \"mail\"\ntarget = \"campaigns\"\nmode = \"managed\"\n[jobs.on]\nsource = \"campaigns\"\ntarget = \"crm\"\nmode = \"managed\"\n",
    );
    bench.settle().await;
    bench.sync_of("on").await;
    on(&bench, "mail", 0, Account::leave);
    on(&bench, "campaigns", 1, Account::refuse_group);
    bench.settle().await;
    let report = bench.sync_of("on").await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    let members = bench.members("crm", "News");
    assert!(!members.contains_key(&address(0)) && !members.contains_key(&address(1)));
    // Back at the lists by their own hand: one of the two refused, and is kept out.
    on(&bench, "campaigns", 0, Account::join);
    on(&bench, "campaigns", 1, Account::join);
    bench.sync_of("on").await;
    let members = bench.members("crm", "News");
    assert!(
        members.contains_key(&address(0)),
        "a removal of rosterd's own bars nobody"
    );
    assert!(!members.contains_key(&address(1)), "a refusal does");
}

#[tokio::test(start_paused = true)]
async fn people_are_detached_and_never_from_their_last_list() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 12);
    group_of(world.account_mut("campaigns"), "Others", "reader", 1);
    let bench = bench(
        world,
        "mail",
        "campaigns",
        &job("removal = \"detach\"\nreadd = true"),
    );
    bench.settle().await;
    on(&bench, "mail", 0, Account::leave);
    on(&bench, "mail", 1, Account::leave);
    bench.settle().await;
    let members = bench.members("campaigns", "News");
    assert_eq!(members.get(&address(0)), None, "on another list as well");
    assert_eq!(members.get(&address(1)), Some(&OptedOut), "nowhere else");
    let own = bench.own_removals("campaigns");
    let list = bench
        .account("campaigns", |account| account.find_group("News").unwrap())
        .to_string();
    assert_eq!(own.of_group(&list).unwrap().len(), 1);
    on(&bench, "mail", 0, Account::join);
    on(&bench, "mail", 1, Account::join);
    bench.settle().await;
    let members = bench.members("campaigns", "News");
    assert_eq!(
        (members[&address(0)], members[&address(1)]),
        (Active, Active)
    );
}

/// A removal that the provider took in shows as rosterd's own in a listing that is not whole as well:
/// otherwise the next run would take it for the person's refusal, which nobody takes back.
#[tokio::test(start_paused = true)]
async fn a_removal_that_shows_in_part_of_a_listing_is_still_rosterds_own() {
    let bench = synced(12, &job("readd = true")).await;
    for number in 0..3 {
        on(&bench, "mail", number, Account::leave);
    }
    bench.rest().await;
    let emulator = bench.emulator.clone();
    let router = bench
        .emulator
        .router()
        .layer(from_fn(move |request: Request, next: Next| {
            let emulator = emulator.clone();
            async move {
                let answer = next.run(request).await;
                let requests = emulator.requests();
                if requests
                    .iter()
                    .any(|one| one.is_write && one.account == "campaigns")
                {
                    let short = FaultRule::every(Fault::WrongCount(3));
                    emulator.add_fault(short.at("campaigns"));
                }
                answer
            }
        }));
    bench.emulator.clear_log();
    let runner = bench.runner_through(router);
    let report = runner.sync("test", SyncOptions::default()).await;
    let told = report.as_ref().map_or_else(ToString::to_string, tell);
    bench.emulator.clear_faults();
    let list = bench.account("campaigns", |account| account.find_group("News").unwrap());
    let own = bench.own_removals("campaigns");
    let own = own.of_group(&list.to_string()).map_or(0, BTreeMap::len);
    assert_eq!(own, 3, "{told}");
    bench.pass(90_000);
    bench.settle().await;
    on(&bench, "mail", 0, Account::join);
    bench.settle().await;
    let members = bench.members("campaigns", "News");
    assert_eq!(members.get(&address(0)), Some(&Active));
    assert_eq!(members.get(&address(1)), Some(&OptedOut));
}

/// A look that fails for one contact costs that contact's removal. Where it fails for all, not
/// everybody is asked for, and the run doesn't say that all were refused.
#[tokio::test(start_paused = true)]
async fn a_look_that_fails_for_everybody_is_not_tried_with_everybody() {
    let bench = synced(150, &job("removal = \"detach\"")).await;
    for number in 0..30 {
        on(&bench, "mail", number, Account::leave);
    }
    on(&bench, "mail", 40, Account::opt_out_of_group);
    let before = bench.emulator.requests().len();
    let failing = FaultRule::every(Fault::ServerError(500))
        .at("campaigns")
        .on("contact_view");
    bench.emulator.add_fault(failing);
    let report = bench.sync().await;
    let looks = bench.emulator.requests();
    let looks = looks[before..]
        .iter()
        .filter(|one| one.operation == "contact_view");
    let looks = looks.count();
    bench.emulator.clear_faults();
    assert_eq!(report.exit_code(), 1, "{}", tell(&report));
    assert_eq!(report.failures.len(), 20, "{}", tell(&report));
    assert!((120..400).contains(&looks), "{looks}");
    let members = bench.members("campaigns", "News");
    assert_eq!(members.get(&address(40)), Some(&OptedOut));
    assert_eq!(members.get(&address(29)), Some(&Active));
    bench.pass(90_000);
    bench.settle().await;
    let members = bench.members("campaigns", "News");
    assert!((0..30).all(|number| members.get(&address(number)) != Some(&Active)));
}

/// Some for whom the look always fails stop nobody else, in this run and in those in which they come
/// first again.
#[tokio::test(start_paused = true)]
async fn looks_that_fail_for_some_hold_up_nobody_else() {
    let bench = synced(150, &job("removal = \"detach\"")).await;
    let mut ids: Vec<(usize, usize)> = bench.account("campaigns", |account| {
        let id = |number| account.contact_by_email(&address(number)).unwrap();
        (0..150)
            .map(|number| (id(number) as usize, number))
            .collect()
    });
    ids.sort_unstable();
    // No id is a part of another one.
    ids.retain(|(id, _)| (104..=134).contains(id));
    for (_, number) in &ids {
        on(&bench, "mail", *number, Account::leave);
    }
    for (id, _) in &ids[..3] {
        let crash = FaultRule::every(Fault::CrashesOn(id.to_string()));
        let crash = crash.at("campaigns").on("contact_view");
        bench.emulator.add_fault(crash);
    }
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    assert_eq!(report.summary.memberships_removed, 28, "{}", tell(&report));
    let other = (0..150).find(|number| ids.iter().all(|(_, left)| left != number));
    on(&bench, "mail", other.unwrap(), Account::leave);
    bench.pass(90_000);
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    assert_eq!(report.summary.memberships_removed, 1, "{}", tell(&report));
}

#[tokio::test(start_paused = true)]
async fn somebody_whom_the_importer_passes_over_is_not_done() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 12);
    world.account_mut("campaigns").excluded.insert(address(3));
    let bench = bench(world, "mail", "campaigns", JOB);
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    assert_eq!(report.failures.len(), 1, "{}", tell(&report));
    assert_eq!(
        report.failures[0].member.as_deref(),
        Some(address(3).as_str())
    );
    assert_eq!(report.summary.memberships_added, 11);
    assert_eq!(bench.members("campaigns", "News").len(), 11);
}

#[tokio::test(start_paused = true)]
async fn somebody_who_refuses_between_reading_and_writing_is_a_difference() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 12);
    group_of(world.account_mut("campaigns"), "News", "other", 3);
    let bench = bench(world, "mail", "campaigns", JOB);
    bench.rest().await;
    bench.emulator.add_fault(
        FaultRule::every(Fault::Latency(Duration::from_secs(5)))
            .at("campaigns")
            .on("POST /import/bulk_import"),
    );
    let runner = bench.runner();
    let meanwhile = async {
        loop {
            if bench
                .emulator
                .requests()
                .iter()
                .any(|request| request.operation.contains("bulk_import") && request.is_write)
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bench.account("campaigns", |account| {
            let list = account.find_group("News").unwrap();
            let contact = account
                .contact_by_email(&address(5))
                .unwrap_or_else(|| account.add_person(&address(5), "Ana", "Example"));
            account.opt_out_of_group(list, contact);
        });
    };
    let (report, ()) = tokio::join!(
        runner.sync("test", rosterd::run::SyncOptions::default()),
        meanwhile
    );
    let report = report.unwrap();
    assert_eq!(bench.members("campaigns", "News")[&address(5)], OptedOut);
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    assert_eq!(report.failures.len(), 1, "{}", tell(&report));
    assert_eq!(report.summary.memberships_added, 11);
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_row_is_found_and_the_rest_goes_through() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 70);
    let bench = bench(world, "mail", "campaigns", JOB);
    bench.emulator.add_fault(
        FaultRule::every(Fault::PoisonItem(address(33)))
            .at("campaigns")
            .on("POST /import/bulk_import"),
    );
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    assert_eq!(report.failures.len(), 1, "{}", tell(&report));
    assert_eq!(
        report.failures[0].member.as_deref(),
        Some(address(33).as_str())
    );
    assert!(!report.failures[0].message.is_empty());
    assert_eq!(report.summary.memberships_added, 69);
    let tries = bench.sent().len();
    assert!(tries < 30, "{tries} requests to find one row");
    let report = bench.sync().await;
    assert_eq!(
        (report.exit_code(), bench.sent().len()),
        (4, 0),
        "{}",
        tell(&report)
    );
    bench.emulator.clear_faults();
    bench.pass(86_400 * 8);
    bench.settle().await;
    assert_eq!(bench.members("campaigns", "News").len(), 70);
}

#[tokio::test(start_paused = true)]
async fn two_jobs_share_the_pace_of_an_account() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 600);
    group_of(world.account_mut("crm"), "Events", "guest", 600);
    let bench = bench_of(
        world,
        "[jobs.test]\nsource = \"mail\"\ntarget = \"campaigns\"\n[jobs.other]\nsource = \"crm\"\ntarget = \"campaigns\"\n",
    );
    bench.rest().await;
    let runner = bench.runner();
    let options = rosterd::run::SyncOptions::default;
    let (one, other) = tokio::join!(
        runner.sync("test", options()),
        runner.sync("other", options())
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(
        (one.exit_code(), other.exit_code()),
        (0, 0),
        "{}\n{}",
        tell(&one),
        tell(&other)
    );
    bench.assert_no_misuse();
    assert_eq!(
        bench.members("campaigns", "News").len() + bench.members("campaigns", "Events").len(),
        1200
    );
}

#[tokio::test(start_paused = true)]
async fn accounts_of_all_habits_end_alike() {
    let settle = |change: fn(&mut Account)| async move {
        let mut world = plain_world();
        for number in 0..3 {
            group_of(
                world.account_mut("mail"),
                &format!("Group {number}"),
                "reader",
                15,
            );
        }
        world.account_mut("mail").add_group("Empty");
        change(world.account_mut("campaigns"));
        let bench = bench(world, "mail", "campaigns", JOB);
        let report = bench.settle().await;
        assert_eq!(report.summary.memberships_added, 45, "{}", tell(&report));
        let lines = bench.account("campaigns", |account| digest(account));
        lines
            .into_iter()
            .filter(|line| !line.contains("List "))
            .collect::<Vec<_>>()
    };
    let plain = settle(|_| {}).await;
    assert_eq!(
        settle(|account| account.settings.activecampaign.portuguese = true).await,
        plain
    );
    assert_eq!(
        settle(|account| account.settings.activecampaign.no_include = true).await,
        plain
    );
    assert_eq!(
        settle(|account| account.settings.activecampaign.background_seconds = 90).await,
        plain
    );
    let many = |account: &mut Account| {
        for number in 0..300 {
            account.add_group(&format!("List {number}"));
        }
    };
    assert_eq!(settle(many).await, plain);
}

#[tokio::test(start_paused = true)]
async fn three_hundred_lists_are_filled_and_read_back_together() {
    let mut world = plain_world();
    for number in 0..300 {
        group_of(
            world.account_mut("crm"),
            &format!("Group {number}"),
            "reader",
            4,
        );
    }
    let bench = bench(world, "crm", "campaigns", JOB);
    let planned = bench.plan().await;
    bench.writes();
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    let writes = bench.writes();
    assert_eq!(imports(&writes), [4]);
    assert_eq!(planned.cost.requests["campaigns"], writes.len() as u64);
    assert_eq!(planned.cost.reads["campaigns"], report.reads["campaigns"]);
    assert_eq!(report.summary.memberships_added, 1200);
}

/// Runs the job, and asks it to stop once something has come about. Returns what the run says of its
/// end, and how long that took.
async fn stop_once(bench: &Bench, come: impl Future<Output = ()>) -> (String, Duration) {
    let stop = tokio_util::sync::CancellationToken::new();
    let runner = bench.runner_of(rosterd::run::RunnerOptions {
        stop: stop.clone(),
        ..rosterd::run::RunnerOptions::default()
    });
    let asked = async {
        come.await;
        stop.cancel();
        tokio::time::Instant::now()
    };
    let run = runner.sync("test", rosterd::run::SyncOptions::default());
    let (asked, (at, ended)) = tokio::join!(asked, async {
        let ended = run.await;
        (tokio::time::Instant::now(), ended)
    });
    let words = match ended {
        Ok(report) => report.error.unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    (words, at.duration_since(asked))
}

/// An import takes ten minutes, and the run is asked to stop while it waits: first the one that sent
/// it, then one that waits for it before it reads.
#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_an_import_stops_when_it_is_asked_to() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 40);
    world
        .account_mut("campaigns")
        .settings
        .activecampaign
        .background_seconds = 600;
    let bench = bench(world, "mail", "campaigns", JOB);
    bench.rest().await;
    for sends in [true, false] {
        let (words, took) = stop_once(&bench, async {
            while sends && imports(&bench.emulator.requests()).is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(Duration::from_secs(45)).await;
        })
        .await;
        assert!(words.contains("asked to stop"), "{sends}: {words}");
        assert!(took < Duration::from_secs(5), "{sends}: {took:?}");
    }
    bench.emulator.clear_log();
    let report = bench
        .runner()
        .sync("test", rosterd::run::SyncOptions::default())
        .await
        .unwrap();
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    assert_eq!(bench.members("campaigns", "News").len(), 40);
    assert!(
        imports(&bench.writes()).is_empty(),
        "the first import did it all"
    );
    bench.assert_settled().await;
}

/// The provider asks for a pause of half an hour before it takes anything in.
#[tokio::test(start_paused = true)]
async fn a_request_that_sits_out_a_pause_is_given_up_after_the_time_of_grace() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 40);
    let bench = bench(world, "mail", "campaigns", JOB);
    bench.rest().await;
    let pause = Fault::TooManyRequests {
        retry_after: Some(1800),
    };
    bench
        .emulator
        .add_fault(FaultRule::every(pause).on("import/bulk_import"));
    let (words, took) = stop_once(&bench, async {
        while imports(&bench.emulator.requests()).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(words.contains("asked to stop"), "{words}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    bench.emulator.clear_faults();
    tokio::time::sleep(Duration::from_mins(30)).await;
    let report = bench
        .runner()
        .sync("test", rosterd::run::SyncOptions::default())
        .await
        .unwrap();
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    assert_eq!(bench.members("campaigns", "News").len(), 40);
    bench.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_an_earlier_import_may_be_under_way() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 40);
    world
        .account_mut("campaigns")
        .settings
        .activecampaign
        .background_seconds = 60;
    let bench = bench(world, "mail", "campaigns", JOB);
    bench.rest().await;
    let runner = bench.runner();
    let reached = async {
        while imports(&bench.emulator.requests()).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        biased;
        () = reached => {}
        _ = runner.sync("test", rosterd::run::SyncOptions::default()) => panic!("the run came to its end"),
    }
    drop(runner);
    bench.emulator.clear_log();
    // At once, as a service that is started again.
    let report = bench
        .runner()
        .sync("test", rosterd::run::SyncOptions::default())
        .await
        .unwrap();
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    assert!(
        imports(&bench.writes()).is_empty(),
        "the first import did it all"
    );
    assert_eq!(bench.members("campaigns", "News").len(), 40);
    let added = bench
        .emulator
        .history()
        .into_iter()
        .filter(|event| matches!(event.change, Change::MembershipAdded { .. }));
    assert_eq!(
        added.filter(|event| event.account == "campaigns").count(),
        40
    );
    bench.assert_settled().await;
}

/// A run is dropped, as after the time of grace, while its import is on its way or waited for; another
/// job of the same process fills the same list at once.
#[tokio::test(start_paused = true)]
async fn another_job_waits_for_the_import_of_a_run_that_was_dropped() {
    for (fault, after) in [
        (Some(Fault::SlowAnswer(Duration::from_secs(20))), 1),
        (None, 10),
    ] {
        let place = format!("{fault:?}");
        let mut world = plain_world();
        group_of(world.account_mut("mail"), "News", "reader", 40);
        group_of(world.account_mut("mail2"), "News", "reader", 40);
        let account = world.account_mut("campaigns");
        account.add_group("News");
        account.settings.activecampaign.background_seconds = 60;
        let bench = bench_of(
            world,
            "[jobs.test]\nsource = \"mail\"\ntarget = \"campaigns\"\n[jobs.other]\nsource = \"mail2\"\ntarget = \"campaigns\"\n",
        );
        bench.rest().await;
        if let Some(fault) = fault {
            let rule = FaultRule::every(fault).on("POST /import/bulk_import");
            bench.emulator.add_fault(rule.when(When::First(1)));
        }
        let runner = bench.runner();
        let reached = async {
            while imports(&bench.emulator.requests()).is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(Duration::from_secs(after)).await;
        };
        tokio::select! {
            biased;
            () = reached => {}
            _ = runner.sync("test", SyncOptions::default()) => panic!("{place}: the run came to its end"),
        }
        bench.emulator.clear_log();
        let report = runner.sync("other", SyncOptions::default()).await.unwrap();
        assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
        assert!(
            imports(&bench.writes()).is_empty(),
            "{place}: the import of the other job did it all"
        );
        assert_eq!(bench.members("campaigns", "News").len(), 40, "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_import_whose_answer_is_lost_is_not_sent_again() {
    for fault in [
        Fault::ResetAfterEffect,
        Fault::TruncatedBody,
        Fault::EmptyBody,
        Fault::SlowAnswer(Duration::from_mins(5)),
    ] {
        let mut world = plain_world();
        group_of(world.account_mut("mail"), "News", "reader", 40);
        let bench = bench(world, "mail", "campaigns", JOB);
        bench.emulator.add_fault(
            FaultRule::every(fault.clone())
                .at("campaigns")
                .on("POST /import/bulk_import")
                .when(When::First(1)),
        );
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        assert_eq!(imports(&bench.writes()).len(), 1, "{}", fault.name());
        assert_eq!(report.summary.memberships_added, 40);
        bench.assert_settled().await;
    }
}

/// A synced list, and then some of everything to do.
async fn busy() -> Bench {
    let bench = synced(40, &job("readd = true")).await;
    on(&bench, "mail", 30, Account::leave);
    bench.settle().await;
    for number in 0..12 {
        on(&bench, "mail", number, Account::leave);
    }
    for number in 12..15 {
        on(&bench, "mail", number, Account::opt_out_of_group);
    }
    on(&bench, "mail", 15, |account, _, contact| {
        account.opt_out_of_account(contact)
    });
    on(&bench, "mail", 30, Account::join);
    bench.account("mail", |account| {
        group_of(account, "Later", "later", 12);
        let refuses = account.add_person("never@example.org", "Ana", "Example");
        let list = account.find_group("Later").unwrap();
        account.join(list, refuses);
        account.opt_out_of_account(refuses);
    });
    bench.writes();
    bench
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_claims_no_removal_that_was_not_answered() {
    let calm = busy().await;
    calm.settle().await;
    let expected = calm.account("campaigns", |account| digest(account));
    let mut claimed = std::collections::BTreeSet::new();
    for fault in [
        Fault::Latency(Duration::from_secs(2)),
        Fault::SlowAnswer(Duration::from_secs(2)),
    ] {
        for nth in 1..60 {
            let bench = busy().await;
            bench.rest().await;
            // No time of a refusal makes it rosterd's.
            bench.set_clocks_alike();
            let rule = FaultRule::every(fault.clone());
            if !bench.ends_at_write(nth, rule).await {
                assert!(nth > 6, "the run has more writes than that");
                break;
            }
            let place = format!("write {nth}, {}", fault.name());
            let report = bench.sync().await;
            assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
            assert_eq!(
                bench.account("campaigns", |account| digest(account)),
                expected,
                "{place}"
            );
            bench.assert_settled().await;
            // Whoever was removed by a request that was answered comes back, and nobody else does.
            let own = bench.own_removals("campaigns");
            let removed: Vec<bool> = (0..12)
                .map(|number| {
                    let (list, id) = on(&bench, "campaigns", number, |_, list, id| (list, id));
                    own.get(&list.to_string(), &id.to_string()).is_some()
                })
                .collect();
            claimed.extend(removed.iter().copied());
            for number in 0..15 {
                on(&bench, "mail", number, Account::join);
            }
            bench.settle().await;
            let members = bench.members("campaigns", "News");
            for (number, removed) in removed.into_iter().enumerate() {
                let expected = if removed { Active } else { OptedOut };
                assert_eq!(members[&address(number)], expected, "{place}, {number}");
            }
            assert!(
                (12..16).all(|number| members[&address(number)] == OptedOut),
                "{place}: {members:?}"
            );
        }
    }
    assert_eq!(
        Vec::from_iter(claimed),
        [false, true],
        "some runs ended before the removal and some in the middle of it"
    );
}

/// An import is accepted as a whole, and says nothing of its rows: a refusal that it passes over is
/// due until it is seen, whatever becomes of it at the source.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_an_import_passes_over_stays_due_until_it_shows() {
    let bench = synced(30, JOB).await;
    for number in 0..12 {
        on(&bench, "mail", number, Account::opt_out_of_group);
    }
    bench.account("campaigns", |account| {
        account.excluded.insert(address(3));
    });
    let report = bench.sync().await;
    assert_eq!(imports(&bench.writes()), [12]);
    assert_eq!(bench.members("campaigns", "News")[&address(3)], Active);
    assert_eq!(
        (report.exit_code(), report.summary.opt_outs),
        (4, 11),
        "{}",
        tell(&report)
    );
    let failed: Vec<Option<&str>> = report
        .failures
        .iter()
        .map(|failure| failure.member.as_deref())
        .collect();
    assert_eq!(failed, [Some(address(3).as_str())], "{}", tell(&report));
    on(&bench, "mail", 3, Account::resubscribe_to_group);
    bench.account("campaigns", |account| account.excluded.clear());
    bench.pass(86_400 * 8);
    bench.settle().await;
    assert_eq!(bench.members("campaigns", "News")[&address(3)], OptedOut);
}

/// What one job takes off a list shows there as a refusal, and the next run of every job knows
/// whose doing it was.
#[tokio::test(start_paused = true)]
async fn another_job_that_fills_the_list_knows_a_removal_from_a_refusal() {
    for readd in [false, true] {
        let mut world = plain_world();
        group_of(world.account_mut("mail"), "News", "reader", 12);
        let theirs = group_of(world.account_mut("mail2"), "News", "guest", 3);
        let jobs = JOB.replace("jobs.test", "jobs.other");
        let bench = bench_of(
            world,
            &format!(
                "[jobs.test]\nsource = \"mail\"\ntarget = \"campaigns\"\n{JOB}\n[jobs.other]\nsource = \"mail2\"\ntarget = \"campaigns\"\n{jobs}\n[jobs.other.members]\nreadd = {readd}\n"
            ),
        );
        bench.settle().await;
        assert_eq!(bench.sync_of("other").await.exit_code(), 0);
        on(&bench, "mail", 0, Account::leave);
        bench.settle().await;
        assert_eq!(bench.members("campaigns", "News")[&address(0)], OptedOut);
        bench.account("mail2", |account| {
            let contact = account.add_person(&address(0), "Ana", "Example");
            account.join(theirs, contact);
        });
        let report = bench.sync_of("other").await;
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        assert_eq!(
            report.withheld_by_reason.get("removed_by_rosterd"),
            (!readd).then_some(&1),
            "{}",
            tell(&report)
        );
        assert_eq!(
            report.withheld_by_reason.get("opted_out_at_target"),
            None,
            "{}",
            tell(&report)
        );
        assert_eq!(
            bench.members("campaigns", "News")[&address(0)],
            if readd { Active } else { OptedOut }
        );
    }
}
