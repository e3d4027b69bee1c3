//! Saved plans: applied once, and only while nothing they touch has changed.

use rosterd::run::RunError;

use crate::support::{Bench, bench, group_of, plain_world, tell};

fn world(source: &str) -> rosterd::emulator::World {
    let mut world = plain_world();
    group_of(world.account_mut(source), "News", "person", 12);
    world
}

async fn moved(bench: &Bench, fingerprint: &str) {
    bench.writes();
    let result = bench.apply(fingerprint, None).await;
    assert!(
        matches!(&result, Err(error @ RunError::PlanMoved(_)) if error.exit_code() == 3),
        "{:?}",
        result.map(|report| tell(&report))
    );
    assert_eq!(bench.sent(), []);
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_applied_once() {
    for (source, target) in [("crm", "mail"), ("mail", "crm")] {
        let bench = bench(world(source), source, target, "mode = \"managed\"");
        let first = bench.plan().await.plan;
        assert_eq!(
            first.fingerprint,
            bench.plan().await.plan.fingerprint,
            "the same inputs give the same plan"
        );
        let report = bench.apply(&first.fingerprint, None).await.unwrap();
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        assert_eq!(bench.members(target, "News").len(), 12);
        moved(&bench, &first.fingerprint).await;
        bench.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_moved_is_not_applied() {
    for (source, target) in [("crm", "mail"), ("mail", "crm")] {
        let bench = bench(world(source), source, target, "mode = \"managed\"");
        let first = bench.plan().await.plan.fingerprint;
        bench.account(source, |account| {
            let contact = account.contact_by_email("person3@example.org").unwrap();
            account.change_contact(contact, [("city", "Springfield")], []);
        });
        moved(&bench, &first).await;
        let second = bench.plan().await.plan.fingerprint;
        bench.account(target, |account| {
            let contact = account.add_contact("person4@example.org");
            account.opt_out_of_account(contact);
        });
        moved(&bench, &second).await;
        let third = bench.plan().await.plan.fingerprint;
        // What the plan does not touch does not move it.
        bench.account(target, |account| {
            group_of(account, "Others", "other", 2);
        });
        let report = bench.apply(&third, None).await.unwrap();
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        assert_eq!(bench.members(target, "News").len(), 11);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_plan_needs_its_approval() {
    let bench = bench(
        world("crm"),
        "crm",
        "mail",
        "mode = \"managed\"\n[jobs.test.guards]\nmax_member_creations = 5",
    );
    let plan = bench.plan().await.plan;
    bench.writes();
    let report = bench.apply(&plan.fingerprint, None).await.unwrap();
    assert_eq!(report.exit_code(), 3);
    let report = bench
        .apply(&plan.fingerprint, Some("0123456789ab"))
        .await
        .unwrap();
    assert_eq!(report.exit_code(), 3);
    assert_eq!(bench.sent(), []);
    let report = bench
        .apply(&plan.fingerprint, Some(&plan.refusals[0].approval))
        .await
        .unwrap();
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    moved(&bench, &plan.fingerprint).await;
}

/// The people exist at the target, and none of their fields is written: only what they join is. All
/// the same it was these people that the plan showed.
#[tokio::test(start_paused = true)]
async fn a_plan_moves_with_the_profile_of_somebody_who_only_joins() {
    for (source, target) in [("crm", "mail"), ("mail", "crm")] {
        let mut world = world(source);
        group_of(world.account_mut(target), "Others", "person", 12);
        let bench = bench(world, source, target, "mode = \"managed\"");
        // The target first: what it holds alone is nothing that the plan would write.
        for changed in [target, source] {
            let plan = bench.plan().await.plan;
            assert_eq!(
                (plan.summary.memberships_added, plan.summary.members_updated),
                (12, 0),
                "{changed}"
            );
            bench.account(changed, |account| {
                let contact = account.contact_by_email("person3@example.org").unwrap();
                account.change_contact(contact, [("city", "Springfield")], []);
            });
            moved(&bench, &plan.fingerprint).await;
        }
        bench.settle().await;
    }
}
