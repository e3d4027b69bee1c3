//! Guards stop a plan before the first write, and an approval lets exactly what it showed pass.

use rosterd::emulator::MembershipState;

use crate::support::{Bench, DAY, bench, group_of, plain_world, removing_freely, tell};

/// Two groups of twenty people each, synced from GreenRope to emfluence.
async fn synced(job: &str) -> (Bench, [u64; 2]) {
    let mut world = plain_world();
    let account = world.account_mut("crm");
    let groups = [
        group_of(account, "One", "one", 20),
        group_of(account, "Two", "two", 20),
    ];
    let bench = bench(world, "crm", "mail", job);
    bench.settle().await;
    (bench, groups)
}

fn leave(bench: &Bench, group: u64, prefix: &str, numbers: std::ops::Range<usize>) {
    bench.account("crm", |account| {
        for number in numbers {
            let contact = account
                .contact_by_email(&format!("{prefix}{number}@example.org"))
                .unwrap();
            account.leave(group, contact);
        }
    });
}

/// Expects a refusal by these guards, with nothing written, and returns the approval.
async fn refused(bench: &Bench, guards: &[&str]) -> String {
    bench.writes();
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 3, "{}", tell(&report));
    assert_eq!(
        report
            .refusals
            .iter()
            .map(|refusal| refusal.guard)
            .collect::<Vec<_>>(),
        guards,
        "{}",
        tell(&report)
    );
    assert_eq!(bench.sent(), []);
    let planned = bench.plan().await;
    assert_eq!(planned.plan.refusals.len(), guards.len());
    report.refusals[0].approval.clone()
}

#[tokio::test(start_paused = true)]
async fn shares_are_judged_above_the_floor_only() {
    let (bench, groups) = synced("mode = \"managed\"").await;
    // Nine are 22 per cent, and below the floor.
    leave(&bench, groups[0], "one", 0..9);
    bench.settle().await;
    // Ten more are at the floor, and above both limits.
    leave(&bench, groups[0], "one", 9..19);
    let approval = refused(
        &bench,
        &[
            "max_membership_removals",
            "max_membership_removals_per_group",
        ],
    )
    .await;
    assert_eq!(
        bench.approve("0123456789ab").await.exit_code(),
        3,
        "an unknown approval changes nothing"
    );
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.approve(&approval).await.exit_code(), 0);
    assert_eq!(bench.sent(), [("groups/removeContacts".to_owned(), 10)]);
    bench.assert_settled().await;
    assert_eq!(bench.members("mail", "One").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn counts_are_judged_without_a_floor() {
    for (key, guard) in [
        ("max_membership_removals = 1", "max_membership_removals"),
        (
            "max_membership_removals_per_group = 1",
            "max_membership_removals_per_group",
        ),
        ("max_member_creations = 40", "max_member_creations"),
        ("max_updates = 1", "max_updates"),
        ("max_opt_outs = 1", "max_opt_outs"),
        ("max_group_removals = 0", "max_group_removals"),
    ] {
        let job = format!(
            "mode = \"managed\"\n[jobs.test.groups]\nmissing = \"delete\"\n[jobs.test.guards]\n{key}"
        );
        let (bench, groups) = synced(&job).await;
        match guard {
            "max_member_creations" => bench.account("crm", |account| {
                group_of(account, "Three", "three", 41);
            }),
            "max_updates" => bench.account("crm", |account| {
                for number in 0..2 {
                    let contact = account
                        .contact_by_email(&format!("one{number}@example.org"))
                        .unwrap();
                    account.change_contact(contact, [("city", "Springfield")], []);
                }
            }),
            "max_opt_outs" => bench.account("crm", |account| {
                for number in 0..2 {
                    let contact = account
                        .contact_by_email(&format!("one{number}@example.org"))
                        .unwrap();
                    account.opt_out_of_account(contact);
                }
            }),
            "max_group_removals" => bench.account("crm", |account| account.delete_group(groups[0])),
            _ => leave(&bench, groups[0], "one", 0..2),
        }
        let approval = refused(&bench, &[guard]).await;
        let report = bench.approve(&approval).await;
        assert_eq!(report.exit_code(), 0, "{guard}: {}", tell(&report));
        bench.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_used_once_and_covers_what_it_showed() {
    let (bench, groups) =
        synced("mode = \"managed\"\n[jobs.test.guards]\nmax_membership_removals = 2").await;
    leave(&bench, groups[0], "one", 0..4);
    let first = refused(&bench, &["max_membership_removals"]).await;
    // One of the four comes back: the rest is a subset, and passes.
    bench.account("crm", |account| {
        let contact = account.contact_by_email("one0@example.org").unwrap();
        account.join(groups[0], contact);
    });
    assert_eq!(bench.approve(&first).await.exit_code(), 0);
    assert_eq!(bench.members("mail", "One").len(), 17);
    bench.writes();
    // Others leave: the approval of before is used up, and a new one does not cover a fifth.
    leave(&bench, groups[0], "one", 4..8);
    assert_eq!(bench.approve(&first).await.exit_code(), 3, "used");
    let second = refused(&bench, &["max_membership_removals"]).await;
    leave(&bench, groups[0], "one", 8..9);
    assert_eq!(bench.approve(&second).await.exit_code(), 3, "not a subset");
    assert_eq!(bench.sent(), []);
    let third = refused(&bench, &["max_membership_removals"]).await;
    bench.pass(8 * DAY);
    assert_eq!(
        bench.approve(&third).await.exit_code(),
        3,
        "older than seven days"
    );
    assert_eq!(bench.sent(), []);
    let fourth = refused(&bench, &["max_membership_removals"]).await;
    bench.pass(6 * DAY);
    assert_eq!(bench.approve(&fourth).await.exit_code(), 0);
    bench.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_source_removes_nobody() {
    let (bench, groups) = synced(&removing_freely("managed")).await;
    leave(&bench, groups[0], "one", 0..20);
    leave(&bench, groups[1], "two", 0..20);
    let approval = refused(&bench, &["empty_source"]).await;
    assert_eq!(bench.approve(&approval).await.exit_code(), 0);
    assert_eq!(bench.members("mail", "One").len(), 0);
    bench.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_lost_more_than_half_is_suspicious() {
    let (bench, groups) = synced(&removing_freely("managed")).await;
    leave(&bench, groups[0], "one", 0..20);
    bench.settle().await;
    leave(&bench, groups[1], "two", 0..11);
    let approval = refused(&bench, &["source_shrank"]).await;
    refused(&bench, &["source_shrank"]).await;
    assert_eq!(bench.approve(&approval).await.exit_code(), 0);
    // The approved run's counts are the new measure.
    leave(&bench, groups[1], "two", 11..13);
    bench.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_mirror_asks_before_it_empties_a_fuller_target() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "One", "one", 5);
    group_of(world.account_mut("mail"), "One", "foreign", 8);
    let bench = bench(world, "crm", "mail", "mode = \"mirror\"");
    let approval = refused(&bench, &["target_fuller"]).await;
    assert_eq!(bench.approve(&approval).await.exit_code(), 0);
    bench.assert_settled().await;
    let members = bench.members("mail", "One");
    assert_eq!(members.len(), 5);
    assert!(
        members
            .values()
            .all(|state| *state == MembershipState::Active)
    );
    // It is asked once only.
    bench.account("mail", |account| {
        group_of(account, "One more", "extra", 3);
        let group = account.find_group("One").unwrap();
        for number in 0..3 {
            let contact = account
                .contact_by_email(&format!("extra{number}@example.org"))
                .unwrap();
            account.join(group, contact);
        }
    });
    bench.settle().await;
    assert_eq!(bench.members("mail", "One").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_how_many_opt_outs_wait() {
    let (bench, groups) = synced("mode = \"managed\"").await;
    leave(&bench, groups[0], "one", 0..15);
    bench.account("crm", |account| {
        let contact = account.contact_by_email("two0@example.org").unwrap();
        account.opt_out_of_account(contact);
    });
    let report = bench.sync().await;
    assert_eq!(
        (report.exit_code(), report.waiting_opt_outs),
        (3, 1),
        "{}",
        tell(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn an_approval_lets_the_same_people_be_removed_once_only() {
    for saved in [false, true] {
        let (bench, groups) =
            synced("mode = \"managed\"\n[jobs.test.guards]\nmax_membership_removals = 2").await;
        let run_with = async |approval: &str| {
            if !saved {
                return bench.approve(approval).await;
            }
            let plan = bench.plan().await.plan.fingerprint;
            bench.apply(&plan, Some(approval)).await.unwrap()
        };
        leave(&bench, groups[0], "one", 0..4);
        let first = refused(&bench, &["max_membership_removals"]).await;
        assert_eq!(run_with(&first).await.exit_code(), 0);
        assert_eq!(bench.members("mail", "One").len(), 16);
        // The four come back and leave again: the very operations that were approved, so that
        // nothing but its use keeps the approval from fitting.
        bench.account("crm", |account| {
            for number in 0..4 {
                let contact = account
                    .contact_by_email(&format!("one{number}@example.org"))
                    .unwrap();
                account.join(groups[0], contact);
            }
        });
        bench.settle().await;
        leave(&bench, groups[0], "one", 0..4);
        bench.writes();
        let report = run_with(&first).await;
        assert_eq!(report.exit_code(), 3, "saved: {saved}: {}", tell(&report));
        assert_eq!(
            report.error.as_deref(),
            Some("this approval has been used, so the refusal stands")
        );
        assert_eq!(bench.sent(), []);
        let second = refused(&bench, &["max_membership_removals"]).await;
        assert_ne!(first, second);
        assert_eq!(run_with(&second).await.exit_code(), 0);
        bench.assert_settled().await;
        assert_eq!(bench.members("mail", "One").len(), 16);
    }
}
