//! A run that moved users is taken back: they go to the group where they were.

use super::{FREE, quirks, seat, seats, transfer, two_accounts};
use crate::support::{Bench, PARKING, bench};
use crate::undo::{taken_back, why};
use rosterd::emulator::ActiveCampaignQuirks;
use rosterd::plan::Left;

fn moving(quirks: &ActiveCampaignQuirks) -> Bench {
    let mut world = two_accounts();
    for name in ["campaigns", "campaigns2"] {
        world.account_mut(name).settings.activecampaign = quirks.clone();
    }
    let job = format!("mode = \"managed\"\ncreate_users = true\n{FREE}");
    bench(world, "staff", "staff2", &job)
}

#[tokio::test(start_paused = true)]
async fn whom_a_run_moved_goes_back_and_a_group_that_it_made_goes() {
    for quirks in quirks() {
        let bench = moving(&quirks);
        let before = seats(&bench, "campaigns2");
        let first = bench.settle().await;
        assert_eq!(first.summary.groups_created, 1);
        assert_eq!(first.summary.memberships_added, 4);

        // Somebody changes the group, and somebody leaves for none.
        let settled = seats(&bench, "campaigns2");
        bench.account("campaigns", |account| {
            transfer(account, "ana", "Writers");
            transfer(account, "cy", PARKING);
        });
        let second = bench.settle().await;
        let undoing = taken_back(&bench, &second.run).await;
        assert_eq!((undoing.did, undoing.undone), (2, 2), "{undoing:#?}");
        assert_eq!(seats(&bench, "campaigns2"), settled, "{quirks:?}");

        // The user whom the run created stays, without a group that does anything.
        let undoing = taken_back(&bench, &first.run).await;
        let mut parked = before.clone();
        parked.insert("dee".to_owned(), PARKING.to_owned());
        assert_eq!(seats(&bench, "campaigns2"), parked, "{undoing:#?}");
        assert!(
            bench
                .account("campaigns2", |account| account.find_user_group("Editors"))
                .is_none(),
            "{quirks:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_moved_on_since_stays() {
    let bench = moving(&ActiveCampaignQuirks::default());
    let report = bench.settle().await;
    bench.account("campaigns2", |account| {
        transfer(account, "ana", "Guests");
        transfer(account, "cy", PARKING);
        let editors = account.find_user_group("Editors").unwrap();
        let user = account.add_user("kim", "kim@example.org", editors);
        account.user_mut(user).last_name = "Example".to_owned();
    });
    let undoing = taken_back(&bench, &report.run).await;
    let left = why(&undoing);
    for expected in [
        (Left::AlreadySo, "add_memberships cy@example.org"),
        (Left::ChangedSince, "add_memberships ana@example.org"),
        (Left::OthersInGroup, "create_group Editors"),
    ] {
        let expected = (expected.0, expected.1.to_owned());
        assert!(left.contains(&expected), "{expected:?}: {left:#?}");
    }
    assert_eq!(seat(&bench, "campaigns2", "ana"), "Guests");
    assert_eq!(seat(&bench, "campaigns2", "bo"), PARKING);
    assert_eq!(seat(&bench, "campaigns2", "kim"), "Editors");
}
