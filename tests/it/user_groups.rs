//! ActiveCampaign user groups as source and as target: who sits where after a run, and who was
//! never moved.

mod judged;
mod trouble;
mod undone;

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::{
    Account, ActiveCampaignQuirks, MembershipState, UserGroup, UserGroupLimit, World,
};
use rosterd::run::RunReport;

use crate::support::{Bench, PARKING, bench, group_of, operations, plain_world, tell};

/// No limit on who leaves, so that small worlds can change a lot.
const FREE: &str = "[jobs.test.guards]\nmax_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\"\nmax_group_removals = \"none\"\n";

fn address(name: &str) -> String {
    format!("{name}@example.org")
}

/// Puts users into a user group, both of which are made where they are missing.
fn hire(account: &mut Account, group: &str, names: &[&str]) -> u64 {
    let id = account
        .find_user_group(group)
        .unwrap_or_else(|| account.add_user_group(group));
    for name in names {
        let user = account.add_user(name, &address(name), id);
        let user = account.user_mut(user);
        "Ana".clone_into(&mut user.first_name);
        "Example".clone_into(&mut user.last_name);
    }
    id
}

/// Moves a user as a person would do it by hand.
fn transfer(account: &mut Account, name: &str, group: &str) {
    let user = account.user_by_email(&address(name)).unwrap();
    let group = account.find_user_group(group).unwrap();
    account.move_user(user, group);
}

/// The title of the group that everybody of an account is in, by the local part of the address, its
/// owner left out.
fn seats(bench: &Bench, account: &str) -> BTreeMap<String, String> {
    bench.account(account, |account| {
        account
            .users
            .values()
            .filter(|user| user.id != 1)
            .map(|user| {
                let name = user
                    .email
                    .strip_suffix("@example.org")
                    .unwrap_or(&user.email)
                    .to_owned();
                (name, account.user_group(user.group).unwrap().title.clone())
            })
            .collect()
    })
}

fn seat(bench: &Bench, account: &str, name: &str) -> String {
    seats(bench, account)
        .remove(name)
        .unwrap_or_else(|| panic!("no user {name}"))
}

fn blocked(report: &RunReport) -> Vec<(&'static str, String)> {
    report
        .blocked
        .iter()
        .map(|blocked| {
            (
                blocked.reason.as_str(),
                blocked.member.clone().unwrap_or_default(),
            )
        })
        .collect()
}

/// Two accounts with editors and writers; at the target most of them are parked, and somebody is a
/// guest.
fn two_accounts() -> World {
    let mut world = plain_world();
    let account = world.account_mut("campaigns");
    hire(account, "Editors", &["ana", "bo"]);
    hire(account, "Writers", &["cy", "dee"]);
    hire(account, PARKING, &["pat"]);
    let account = world.account_mut("campaigns2");
    hire(account, PARKING, &["ana", "bo", "cy", "pat"]);
    hire(account, "Writers", &["fay"]);
    hire(account, "Guests", &["gus"]);
    world
}

fn quirks() -> Vec<ActiveCampaignQuirks> {
    let plain = ActiveCampaignQuirks::default();
    vec![
        plain.clone(),
        ActiveCampaignQuirks::mixed(),
        ActiveCampaignQuirks {
            group_edit_patches: true,
            ..plain.clone()
        },
        ActiveCampaignQuirks {
            password_needed: true,
            portuguese: true,
            global_user_ids: true,
            ..plain
        },
    ]
}

#[tokio::test(start_paused = true)]
async fn users_follow_the_groups_of_another_account() {
    for quirks in quirks() {
        let mut world = two_accounts();
        for name in ["campaigns", "campaigns2"] {
            world.account_mut(name).settings.activecampaign = quirks.clone();
        }
        let bench = bench(
            world,
            "staff",
            "staff2",
            &format!("mode = \"managed\"\n{FREE}"),
        );
        let report = bench.settle().await;
        assert_eq!(
            report.withheld_by_reason,
            BTreeMap::from([("no_user", 1)]),
            "{}",
            tell(&report)
        );
        let expected = [
            ("ana", "Editors"),
            ("bo", "Editors"),
            ("cy", "Writers"),
            ("fay", "Writers"),
            ("gus", "Guests"),
            ("pat", PARKING),
        ];
        let expected: BTreeMap<String, String> = expected
            .map(|(name, group)| (name.to_owned(), group.to_owned()))
            .into();
        assert_eq!(seats(&bench, "campaigns2"), expected, "{quirks:?}");

        // Somebody changes the group, somebody leaves for none, and a group gets another name.
        bench.account("campaigns", |account| {
            transfer(account, "ana", "Writers");
            transfer(account, "bo", PARKING);
            let editors = account.find_user_group("Editors").unwrap();
            account.rename_user_group(editors, "Redaktion");
        });
        let planned = bench.plan().await;
        assert_eq!(
            operations(&planned),
            [
                "rename_group \"Redaktion\"",
                "add_memberships \"Writers\" ana@example.org",
                "remove_memberships \"Redaktion\" bo@example.org"
            ]
        );
        assert!(
            planned
                .plan
                .warnings
                .contains(&"Of those who join \"Writers\", 1 leave \"Editors\" for it.".to_owned())
        );
        bench.settle().await;
        let expected = [
            ("ana", "Writers"),
            ("bo", PARKING),
            ("cy", "Writers"),
            ("fay", "Writers"),
            ("gus", "Guests"),
            ("pat", PARKING),
        ];
        let expected: BTreeMap<String, String> = expected
            .map(|(name, group)| (name.to_owned(), group.to_owned()))
            .into();
        assert_eq!(seats(&bench, "campaigns2"), expected, "{quirks:?}");
        // What the job brought by the move is its own, and leaves with the source.
        bench.account("campaigns", |account| transfer(account, "ana", PARKING));
        bench.settle().await;
        assert_eq!(seat(&bench, "campaigns2", "ana"), PARKING, "{quirks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renamed_group_keeps_all_that_it_may_do() {
    for quirks in quirks() {
        let mut world = two_accounts();
        world.account_mut("campaigns2").settings.activecampaign = quirks.clone();
        let list = world.account_mut("campaigns2").add_group("News");
        let writers = world
            .account("campaigns2")
            .find_user_group("Writers")
            .unwrap();
        let limit = |quantity, per: &str| UserGroupLimit {
            quantity,
            per: per.to_owned(),
        };
        let group = world.account_mut("campaigns2").user_group_mut(writers);
        group
            .permissions
            .extend(["pg_list_edit", "pg_message_send", "pg_user_delete"].map(str::to_owned));
        group.limits.extend([
            ("mail".to_owned(), limit(67, "week")),
            ("campaign".to_owned(), limit(3, "ever")),
            ("attachment".to_owned(), limit(0, "")),
            ("user".to_owned(), limit(9, "")),
        ]);
        group.lists.insert(list);
        group.send_methods.extend([1, 4]);
        (group.unsubscribe_link, group.abuse_ratio) = (true, 7);
        "They write".clone_into(&mut group.description);
        let bench = bench(world, "staff", "staff2", "mode = \"managed\"");
        bench.settle().await;
        let held = |title: &str| -> UserGroup {
            bench.account("campaigns2", |account| {
                account
                    .user_group(account.find_user_group(title).unwrap())
                    .unwrap()
                    .clone()
            })
        };
        let before = held("Writers");
        bench.account("campaigns", |account| {
            let writers = account.find_user_group("Writers").unwrap();
            account.rename_user_group(writers, "Schreiber");
        });
        bench.settle().await;
        let after = held("Schreiber");
        assert_eq!(
            UserGroup {
                title: before.title.clone(),
                saved: before.saved,
                ..after
            },
            before,
            "{quirks:?}"
        );
    }
}

/// A permission that no answer shows can't be compared, so what was granted once is taken as
/// granted.
#[tokio::test(start_paused = true)]
async fn a_permission_that_is_never_shown_is_granted_once() {
    for quirks in quirks() {
        let mut world = two_accounts();
        let hidden = BTreeSet::from(["pg_reports_deal".to_owned()]);
        world.account_mut("campaigns2").settings.activecampaign = ActiveCampaignQuirks {
            hidden_flags: hidden,
            ..quirks.clone()
        };
        let map = |granted: bool| {
            format!("mode = \"managed\"\n[jobs.test.map.group]\npg_reports_deal = \"{granted}\"\n")
        };
        let mut bench = bench(world, "staff", "staff2", &map(true));
        let granted = |bench: &Bench| -> Vec<bool> {
            // One of the two is created, the other adopted.
            let held = |account: &mut Account, title: &str| {
                account
                    .user_group(account.find_user_group(title).unwrap())
                    .unwrap()
                    .permissions
                    .contains("pg_reports_deal")
            };
            bench.account("campaigns2", |account| {
                ["Editors", "Writers"]
                    .map(|title| held(account, title))
                    .into()
            })
        };
        bench.settle().await;
        assert_eq!(granted(&bench), [true, true], "{quirks:?}");
        // Another edit of the group does not take it away, though nothing shows that it is to be
        // repeated.
        bench.account("campaigns", |account| {
            let writers = account.find_user_group("Writers").unwrap();
            account.rename_user_group(writers, "Schreiber");
            account.user_group_mut(writers).description = "They write".into();
        });
        bench.settle().await;
        bench.account("campaigns", |account| {
            let writers = account.find_user_group("Schreiber").unwrap();
            account.rename_user_group(writers, "Writers");
        });
        bench.settle().await;
        assert_eq!(granted(&bench), [true, true], "{quirks:?}");
        bench.reconfigure(&format!(
            "[jobs.test]\nsource = \"staff\"\ntarget = \"staff2\"\n{}",
            map(false)
        ));
        bench.settle().await;
        assert!(
            quirks.group_edit_patches || granted(&bench) == [false, false],
            "{quirks:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn lists_that_the_target_lacks_are_named_once_and_left_out() {
    let mut world = two_accounts();
    let news = world.account_mut("campaigns2").add_group("News");
    let lists =
        format!("mode = \"managed\"\n[jobs.test.map.group]\nlists = \"['{news}', '4711']\"\n");
    let bench = bench(world, "staff", "staff2", &lists);
    let planned = bench.plan().await;
    let told: Vec<&String> = planned
        .plan
        .warnings
        .iter()
        .filter(|warning| warning.contains("4711"))
        .collect();
    assert_eq!(
        told,
        [
            "The map names 4711 in lists, which staff2 does not have or its login may not see; it is left out of 2 groups."
        ]
    );
    bench.settle().await;
    let held = |bench: &Bench| {
        bench.account("campaigns2", |account| {
            account
                .user_group(account.find_user_group("Editors").unwrap())
                .unwrap()
                .lists
                .clone()
        })
    };
    assert_eq!(held(&bench), BTreeSet::from([news]));
    // Nothing is left of the wish where no list of it exists.
    bench.account("campaigns2", |account| account.delete_group(news));
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    bench.assert_settled().await;
    assert_eq!(held(&bench), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn users_are_created_where_the_config_asks_for_it() {
    let mut world = two_accounts();
    let nameless = world
        .account_mut("campaigns")
        .find_user_group("Writers")
        .unwrap();
    world
        .account_mut("campaigns")
        .add_user("eve", &address("eve"), nameless);
    let bench = bench(
        world,
        "staff",
        "staff2",
        "mode = \"managed\"\ncreate_users = true",
    );
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    assert_eq!(blocked(&report), [("value_refused", address("eve"))]);
    assert!(
        report.blocked[0]
            .detail
            .contains("first_name and last_name"),
        "{}",
        report.blocked[0].detail
    );
    assert_eq!(
        (
            report.summary.members_created,
            seat(&bench, "campaigns2", "dee")
        ),
        (1, "Writers".to_owned())
    );
    bench.writes();
    bench.account("campaigns", |account| {
        let eve = account.user_by_email(&address("eve")).unwrap();
        let user = account.user_mut(eve);
        "Eve".clone_into(&mut user.first_name);
        "Example".clone_into(&mut user.last_name);
    });
    bench.pass(90_000);
    bench.settle().await;
    assert_eq!(seat(&bench, "campaigns2", "eve"), "Writers");
    bench.account("campaigns2", |account| {
        let hashes: BTreeSet<&str> = account
            .users
            .values()
            .map(|user| user.password_hash.as_str())
            .collect();
        assert_eq!(
            hashes.len(),
            account.users.len(),
            "each has a password of their own"
        );
        assert!(
            account.users_in(3).len() == 1,
            "the owner alone is an administrator"
        );
    });
}

#[tokio::test(start_paused = true)]
async fn users_become_contacts_only_where_the_config_says_so() {
    for target in ["mail", "crm", "campaigns2"] {
        let removal = if target == "campaigns2" {
            "[jobs.test.members]\nremoval = \"unsubscribe\"\n"
        } else {
            ""
        };
        let job = format!("mode = \"managed\"\nusers_as_contacts = true\n{removal}{FREE}");
        let bench = bench(two_accounts(), "staff", target, &job);
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{target}: {}", tell(&report));
        bench.assert_settled().await;
        let members = |group: &str| -> Vec<String> {
            let active = bench
                .members(target, group)
                .into_iter()
                .filter(|(_, state)| *state == MembershipState::Active);
            active
                .map(|(address, _)| address.trim_end_matches("@example.org").to_owned())
                .collect()
        };
        assert_eq!(
            (members("Editors"), members("Writers")),
            (
                vec!["ana".into(), "bo".into()],
                vec!["cy".into(), "dee".into()]
            ),
            "{target}"
        );
        assert!(
            bench
                .account(target, |account| account.find_group(PARKING))
                .is_none(),
            "{target}: the parking group is nobody's source"
        );
        bench.account("campaigns", |account| transfer(account, "ana", "Writers"));
        bench.settle().await;
        assert_eq!(
            (members("Editors"), members("Writers")),
            (
                vec!["bo".into()],
                vec!["ana".into(), "cy".into(), "dee".into()]
            ),
            "{target}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_group_leaves_its_people_in_the_parking_group() {
    let bench = bench(
        two_accounts(),
        "staff",
        "staff2",
        &format!("mode = \"managed\"\n[jobs.test.groups]\nmissing = \"delete\"\n{FREE}"),
    );
    bench.settle().await;
    bench.account("campaigns", |account| {
        let (editors, writers) = (
            account.find_user_group("Editors").unwrap(),
            account.find_user_group("Writers").unwrap(),
        );
        transfer(account, "ana", "Writers");
        account.delete_user_group(editors, writers);
        transfer(account, "bo", PARKING);
    });
    bench.settle().await;
    assert!(
        bench
            .account("campaigns2", |account| account.find_user_group("Editors"))
            .is_none()
    );
    assert_eq!(
        (
            seat(&bench, "campaigns2", "ana"),
            seat(&bench, "campaigns2", "bo")
        ),
        ("Writers".to_owned(), PARKING.to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn guards_see_a_move_as_somebody_leaving() {
    let bench = bench(
        two_accounts(),
        "staff",
        "staff2",
        "mode = \"managed\"\n[jobs.test.guards]\nmax_membership_removals = 1\n",
    );
    bench.settle().await;
    bench.account("campaigns", |account| {
        transfer(account, "ana", "Writers");
        transfer(account, "bo", "Writers");
    });
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 3, "{}", tell(&report));
    assert!(bench.writes().is_empty());
    assert_eq!(seat(&bench, "campaigns2", "ana"), "Editors");
    let approval = report.refusals[0].approval.clone();
    let report = bench.approve(&approval).await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    assert_eq!(seat(&bench, "campaigns2", "ana"), "Writers");
}

#[tokio::test(start_paused = true)]
async fn a_remembered_target_still_knows_every_seat() {
    let bench = bench(
        two_accounts(),
        "staff",
        "staff2",
        &format!("mode = \"managed\"\nrefresh = \"6h\"\n{FREE}"),
    );
    bench.settle().await;
    bench.sync().await;
    bench.emulator.clear_log();
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    assert_eq!(report.reads.get("staff2"), Some(&0), "{}", tell(&report));
    bench.account("campaigns", |account| transfer(account, "ana", "Writers"));
    bench.settle().await;
    assert_eq!(seat(&bench, "campaigns2", "ana"), "Writers");
}

#[tokio::test(start_paused = true)]
async fn refusals_park_and_are_remembered() {
    let mut world = plain_world();
    let account = world.account_mut("mail");
    let editors = group_of(account, "Editors", "one", 3);
    let account = world.account_mut("campaigns2");
    hire(account, "Editors", &["one0", "one1"]);
    hire(account, PARKING, &["one2"]);
    let bench = bench(world, "mail", "staff2", "mode = \"add\"");
    bench.settle().await;
    assert_eq!(seat(&bench, "campaigns2", "one2"), "Editors");
    bench.account("mail", |account| {
        let contact = account.contact_by_email(&address("one0")).unwrap();
        account.opt_out_of_group(editors, contact);
        let contact = account.contact_by_email(&address("one1")).unwrap();
        account.opt_out_of_account(contact);
    });
    bench.settle().await;
    assert_eq!(
        seat(&bench, "campaigns2", "one0"),
        PARKING,
        "a group's refusal ends the membership in any mode"
    );
    assert_eq!(
        seat(&bench, "campaigns2", "one1"),
        "Editors",
        "and that of the account never grows into one"
    );
    // The person comes back at the source, and somebody parks the other one by hand: neither is
    // added again.
    bench.account("mail", |account| {
        let contact = account.contact_by_email(&address("one0")).unwrap();
        account.set_membership_state(editors, contact, MembershipState::Active);
    });
    bench.account("campaigns2", |account| transfer(account, "one1", PARKING));
    let report = bench.settle().await;
    assert_eq!(
        report.withheld_by_reason.get("opted_out_at_source"),
        Some(&2),
        "{}",
        tell(&report)
    );
    assert_eq!(
        (
            seat(&bench, "campaigns2", "one0"),
            seat(&bench, "campaigns2", "one1")
        ),
        (PARKING.to_owned(), PARKING.to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_is_moved_by_hand_right_before_the_write_is_not_parked() {
    let mut world = plain_world();
    let editors = group_of(world.account_mut("mail"), "Editors", "one", 5);
    let account = world.account_mut("campaigns2");
    hire(account, PARKING, &["one0", "one1", "one2", "one3", "one4"]);
    account.add_user_group("Partners");
    let bench = bench(
        world,
        "mail",
        "staff2",
        &format!("mode = \"managed\"\n{FREE}"),
    );
    bench.settle().await;
    assert_eq!(seat(&bench, "campaigns2", "one0"), "Editors");
    bench.account("mail", |account| {
        for name in ["one0", "one1"] {
            let contact = account.contact_by_email(&address(name)).unwrap();
            account.leave(editors, contact);
        }
    });
    let emulator = bench.emulator.clone();
    let done = std::sync::atomic::AtomicBool::new(false);
    bench.store.watch_journal(move |moment| {
        let first = moment == rosterd::state::JournalMoment::IntentKept
            && !done.swap(true, std::sync::atomic::Ordering::SeqCst);
        if first {
            emulator.with_world(|world| {
                transfer(world.account_mut("campaigns2"), "one0", "Partners");
            });
        }
    });
    let report = bench.sync().await;
    bench.store.watch_journal(|_| ());
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    assert_eq!(seat(&bench, "campaigns2", "one0"), "Partners");
    assert_eq!(seat(&bench, "campaigns2", "one1"), PARKING);
    bench.settle().await;
    assert_eq!(seat(&bench, "campaigns2", "one0"), "Partners");
}
