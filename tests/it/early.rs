//! Rule 1 before a group exists: a refusal that was seen of a source group binds whatever partner
//! the group gets.

use rosterd::emulator::{Account, Fault, FaultRule};
use rosterd::run::SyncOptions;

use crate::support::readers::PAIRS;
use crate::support::{Bench, bench, bench_of, group_of, plain_world, tell};

const READER: &str = "reader0@example.org";

/// A group of which one refuses, and no partner at the target.
fn begun(source: &str, target: &str) -> Bench {
    let mut world = plain_world();
    refusing(world.account_mut(source));
    bench(world, source, target, "mode = \"managed\"")
}

fn refusing(account: &mut Account) {
    let group = group_of(account, "News", "reader", 4);
    let contact = account.contact_by_email(READER).unwrap();
    account.opt_out_of_group(group, contact);
}

fn resubscribe(bench: &Bench, source: &str) {
    bench.account(source, |account| {
        let (group, contact) = (
            account.find_group("News").unwrap(),
            account.contact_by_email(READER).unwrap(),
        );
        account.resubscribe_to_group(group, contact);
    });
}

fn mailed(bench: &Bench, target: &str) -> Vec<String> {
    bench.account(target, |account| {
        account.mailed_by(account.find_group("News").unwrap())
    })
}

/// Makes one run whose writes all fail.
async fn fail(bench: &Bench, job: &str, target: &str) {
    bench.emulator.add_fault(
        FaultRule::every(Fault::ServerError(503))
            .at(target)
            .on(creation(target)),
    );
    bench.rest().await;
    let failed = match bench.runner().sync(job, SyncOptions::default()).await {
        Ok(report) => report.exit_code() != 0,
        Err(_) => true,
    };
    assert!(failed);
    bench.emulator.clear_faults();
    bench.writes();
    bench.pass(90_000);
    assert!(bench.account(target, |account| account.find_group("News").is_none()));
}

fn creation(target: &str) -> &'static str {
    if target.starts_with("mail") {
        "groups/save"
    } else {
        "CreateGroup"
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_outlives_a_run_that_ends_before_its_group_is_created() {
    for (source, target) in PAIRS {
        let bench = begun(source, target);
        fail(&bench, "test", target).await;
        resubscribe(&bench, source);
        let report = bench.settle().await;
        let found = mailed(&bench, target);
        assert!(
            found.len() == 3 && !found.contains(&READER.to_owned()),
            "{source} to {target}: {found:?} {}",
            tell(&report)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_outlives_a_plan_that_a_guard_refuses_before_its_group_is_created() {
    for (source, target) in PAIRS {
        let mut bench = begun(source, target);
        let job = format!(
            "[jobs.test]\nsource = \"{source}\"\ntarget = \"{target}\"\nmode = \"managed\"\n"
        );
        bench.reconfigure(&format!(
            "{job}[jobs.test.guards]\nmax_member_creations = 0\nfloor = 0"
        ));
        assert_eq!(bench.sync().await.exit_code(), 3);
        resubscribe(&bench, source);
        bench.reconfigure(&job);
        bench.settle().await;
        let found = mailed(&bench, target);
        assert!(
            found.len() == 3 && !found.contains(&READER.to_owned()),
            "{source} to {target}: {found:?}"
        );
    }
}

/// While nothing may be written of a group, its refusals are seen all the same, and bind the group
/// that is adopted or pinned at last.
#[tokio::test(start_paused = true)]
async fn a_refusal_outlives_what_blocks_its_group() {
    for (source, target) in PAIRS {
        for pinned in [false, true] {
            let mut bench = begun(source, target);
            let (theirs, ours) = (
                bench.account(source, |account| account.find_group("News").unwrap()),
                bench.account(target, |account| group_of(account, "News", "reader", 4)),
            );
            let job = format!(
                "[jobs.test]\nsource = \"{source}\"\ntarget = \"{target}\"\nmode = \"managed\"\n[jobs.test.groups]\n"
            );
            bench.reconfigure(&format!("{job}adopt = \"never\""));
            let report = bench.sync().await;
            assert_eq!(
                (report.exit_code(), report.blocked[0].reason.as_str()),
                (4, "name_taken"),
                "{}",
                tell(&report)
            );
            resubscribe(&bench, source);
            let more = if pinned {
                format!("pin = {{ \"{theirs}\" = \"{ours}\" }}")
            } else {
                String::new()
            };
            bench.reconfigure(&format!("{job}{more}"));
            let report = bench.settle().await;
            let found = mailed(&bench, target);
            assert!(
                found.len() == 3 && !found.contains(&READER.to_owned()),
                "{source} to {target}: {found:?} {}",
                tell(&report)
            );
            // From here on it is the person's own doing.
            bench.account(target, |account| {
                let (group, contact) = (
                    account.find_group("News").unwrap(),
                    account.contact_by_email(READER).unwrap(),
                );
                account.join(group, contact);
            });
            bench.settle().await;
            assert_eq!(
                mailed(&bench, target).len(),
                4,
                "{source} to {target}: the bar ended"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_one_job_saw_binds_the_group_that_another_one_creates() {
    for (source, other, target) in [("crm", "crm2", "mail"), ("mail", "mail2", "crm")] {
        let mut world = plain_world();
        refusing(world.account_mut(source));
        group_of(world.account_mut(other), "News", "reader", 4);
        let bench = bench_of(
            world,
            &format!(
                "[jobs.test]\nsource = \"{source}\"\ntarget = \"{target}\"\n[jobs.other]\nsource = \"{other}\"\ntarget = \"{target}\"\n"
            ),
        );
        fail(&bench, "test", target).await;
        resubscribe(&bench, source);
        for job in ["other", "test", "other", "test"] {
            let report = bench.sync_of(job).await;
            assert_eq!(report.exit_code(), 0, "{}", tell(&report));
            let found = mailed(&bench, target);
            assert!(
                found.len() == 3 && !found.contains(&READER.to_owned()),
                "{job} to {target}: {found:?} {}",
                tell(&report)
            );
        }
    }
}
