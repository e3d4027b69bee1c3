//! Several jobs on one database: shared targets, one pace per account.

use rosterd::emulator::{Fault, FaultRule};

use crate::support::{bench_of, group_of, operations, plain_world, tell};

const NONE: &str =
    "max_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\"";

#[tokio::test(start_paused = true)]
async fn a_membership_that_another_job_holds_stays() {
    for (one, other, target) in [("crm", "crm2", "mail"), ("mail", "mail2", "crm")] {
        let mut world = plain_world();
        let group = group_of(world.account_mut(one), "News", "person", 6);
        let theirs = group_of(world.account_mut(other), "News", "person", 4);
        let jobs = format!(
            "[jobs.one]\nsource = \"{one}\"\ntarget = \"{target}\"\nmode = \"managed\"\n[jobs.one.guards]\n{NONE}\n\
             [jobs.other]\nsource = \"{other}\"\ntarget = \"{target}\"\nmode = \"managed\"\n[jobs.other.guards]\n{NONE}\n"
        );
        let bench = bench_of(world, &jobs);
        for job in ["one", "other"] {
            let report = bench.sync_of(job).await;
            assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        }
        assert_eq!(
            bench.account(target, |account| account
                .groups
                .values()
                .filter(|group| group.name == "News")
                .count()),
            1
        );
        let leave = |account: &str, group: u64, number: usize| {
            bench.account(account, |account| {
                let contact = account
                    .contact_by_email(&format!("person{number}@example.org"))
                    .unwrap();
                account.leave(group, contact);
            });
        };
        // The second job found the first four, and holds them.
        leave(one, group, 0);
        leave(one, group, 5);
        assert_eq!(
            operations(&bench.plan_of("one").await),
            ["remove_memberships \"News\" person5@example.org"],
            "{target}"
        );
        assert_eq!(bench.sync_of("one").await.exit_code(), 0);
        assert_eq!(bench.members(target, "News").len(), 5);
        // Once nobody asks for it, it goes, whoever brought it.
        leave(other, theirs, 0);
        assert_eq!(bench.sync_of("other").await.exit_code(), 0);
        assert_eq!(bench.sync_of("one").await.exit_code(), 0);
        assert_eq!(bench.members(target, "News").len(), 4, "{target}");
        for job in ["one", "other"] {
            assert_eq!(operations(&bench.plan_of(job).await), Vec::<String>::new());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_side_by_side_share_the_pace_of_an_account() {
    let mut world = plain_world();
    for number in 0..12 {
        group_of(world.account_mut("crm"), &format!("A{number}"), "person", 5);
        group_of(world.account_mut("crm2"), &format!("B{number}"), "human", 5);
    }
    let jobs = "[jobs.one]\nsource = \"crm\"\ntarget = \"mail\"\n[jobs.two]\nsource = \"crm2\"\ntarget = \"mail\"\n";
    let bench = bench_of(world, jobs);
    let runner = bench.runner();
    let options = rosterd::run::SyncOptions::default();
    let (one, two) = tokio::join!(
        runner.sync("one", options.clone()),
        runner.sync("two", options.clone())
    );
    for report in [one.unwrap(), two.unwrap()] {
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    }
    // The emulator records whoever is too fast, or sends two changes at once.
    bench.assert_no_misuse();
    assert_eq!(bench.account("mail", |account| account.groups.len()), 25);
    bench.writes();
    for job in ["one", "two"] {
        bench.sync_of(job).await;
        assert_eq!(bench.sent(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_in_opposite_directions_do_not_wait_for_each_other_for_ever() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "Ours", "person", 5);
    group_of(world.account_mut("mail"), "Theirs", "human", 5);
    let jobs = "[jobs.one]\nsource = \"crm\"\ntarget = \"mail\"\n[jobs.one.groups]\ninclude = [\"Ours\"]\n\
         [jobs.two]\nsource = \"mail\"\ntarget = \"crm\"\n[jobs.two.groups]\ninclude = [\"Theirs\"]\n";
    let bench = bench_of(world, jobs);
    let runner = bench.runner();
    let options = rosterd::run::SyncOptions::default();
    let both = async {
        tokio::join!(
            runner.sync("one", options.clone()),
            runner.sync("two", options.clone()),
            runner.plan("one"),
            runner.predict("two"),
        )
    };
    let (one, two, planned, predicted) =
        tokio::time::timeout(std::time::Duration::from_hours(6), both)
            .await
            .expect("nobody waits for ever");
    for report in [one.unwrap(), two.unwrap()] {
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    }
    let busy = planned.err().unwrap();
    assert_eq!(busy.exit_code(), 5, "the job itself runs: {busy}");
    predicted.unwrap();
    assert_eq!(bench.members("mail", "Ours").len(), 5);
    assert_eq!(bench.members("crm", "Theirs").len(), 5);
    bench.assert_no_misuse();
}

#[tokio::test(start_paused = true)]
async fn nobody_plans_on_an_account_that_is_half_written() {
    let mut world = plain_world();
    for name in ["News", "Events", "Late"] {
        group_of(world.account_mut("crm"), name, "person", 30);
    }
    let jobs = "[jobs.one]\nsource = \"crm\"\ntarget = \"mail\"\n[jobs.two]\nsource = \"mail\"\ntarget = \"campaigns\"\nmode = \"mirror\"\n";
    let bench = bench_of(world, jobs);
    let runner = bench.runner();
    let options = rosterd::run::SyncOptions::default();
    let (one, two) = tokio::join!(
        runner.sync("one", options.clone()),
        runner.sync("two", options.clone())
    );
    for report in [one.unwrap(), two.unwrap()] {
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    }
    for name in ["News", "Events", "Late"] {
        assert_eq!(bench.members("campaigns", name).len(), 30, "{name}");
    }
    bench.assert_no_misuse();
}

/// What a group is called at one source is the name of another source's group at the target: who
/// refuses the one refuses it alone, also while its group can't be made there.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_of_a_group_that_another_job_calls_by_that_name() {
    for (target, make) in [("mail", "groups/save"), ("campaigns", "list_add")] {
        let name = if target == "mail" {
            "groupName"
        } else {
            "name"
        };
        let jobs = format!(
            "[jobs.one]\nsource = \"crm\"\ntarget = \"{target}\"
            [jobs.one.map.group]\n{name} = \"'Our ' ~ source.name\"
            [jobs.two]\nsource = \"crm2\"\ntarget = \"{target}\"\n"
        );
        let mut world = plain_world();
        for account in ["crm", "crm2"] {
            group_of(world.account_mut(account), "News", "reader", 3);
        }
        let bench = bench_of(world, &jobs);
        bench.sync_of("one").await;
        assert_eq!(bench.members(target, "Our News").len(), 3, "{target}");
        bench.account("crm2", |account| {
            let group = account.find_group("News").unwrap();
            let reader = account.contact_by_email("reader0@example.org").unwrap();
            account.opt_out_of_group(group, reader);
        });
        bench.emulator.add_fault(
            FaultRule::every(Fault::ServerError(500))
                .at(target)
                .on(make),
        );
        let report = bench.sync_of("two").await;
        assert_ne!(report.exit_code(), 0, "{}", tell(&report));
        bench.emulator.clear_faults();
        for job in ["one", "two", "one"] {
            bench.pass(90_000);
            let report = bench.sync_of(job).await;
            let there = bench.account(target, |account| {
                let mailed = |name| account.mailed_by(account.find_group(name).unwrap()).len();
                (
                    mailed("Our News"),
                    account.find_group("News").map(|_| mailed("News")),
                )
            });
            let expected = (3, (job != "one" || there.1.is_some()).then_some(2));
            assert_eq!(there, expected, "{target}, {job}: {}", tell(&report));
        }
    }
}
