//! What changes between two runs leads to the smallest plan, is shown before it is done, and is
//! over afterwards.

use rosterd::emulator::{GroupStatus, MembershipState};

use crate::support::{Bench, bench, group_of, operations, plain_world, removing_freely};

/// Shows the expected plan, does it with the expected requests, and has nothing left to do.
async fn does(bench: &Bench, expected: &[&str], requests: &[(&str, usize)]) {
    let planned = bench.plan().await;
    assert_eq!(operations(&planned), expected);
    bench.writes();
    let cost = planned.cost.requests.values().sum::<u64>();
    let report = bench.sync().await;
    assert!(
        report.failures.is_empty() && report.error.is_none(),
        "{}",
        crate::support::tell(&report)
    );
    let sent = bench.sent();
    let requests: Vec<(String, usize)> = requests
        .iter()
        .map(|(operation, items)| ((*operation).to_owned(), *items))
        .collect();
    assert_eq!(sent, requests);
    assert_eq!(cost, requests.len() as u64, "the cost that the plan showed");
    bench.assert_settled().await;
}

/// Three groups with three people each at the source, synced.
async fn synced(source: &str, target: &str, job: &str) -> (Bench, Vec<u64>) {
    let mut world = plain_world();
    let account = world.account_mut(source);
    let groups = ["One", "Two", "Three"]
        .iter()
        .map(|name| group_of(account, name, &name.to_lowercase(), 3))
        .collect();
    let bench = bench(world, source, target, job);
    bench.settle().await;
    (bench, groups)
}

#[tokio::test(start_paused = true)]
async fn a_renamed_group_is_renamed() {
    for (source, target, call) in [
        ("crm", "mail", "groups/save"),
        ("mail", "crm", "EditGroups"),
    ] {
        let (bench, groups) = synced(source, target, "mode = \"managed\"").await;
        bench.account(source, |account| account.rename_group(groups[0], "Uno"));
        does(&bench, &["rename_group \"Uno\""], &[(call, 1)]).await;
        assert_eq!(bench.members(target, "Uno").len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn two_groups_swap_their_names() {
    for (source, target, requests) in [
        (
            "crm",
            "mail",
            vec![("groups/save", 1), ("groups/save", 1), ("groups/save", 1)],
        ),
        ("mail", "crm", vec![("EditGroups", 3)]),
        // The name that is shown to people is the same, and is no name to step aside by.
        (
            "mail",
            "mail2",
            vec![("groups/save", 1), ("groups/save", 1), ("groups/save", 1)],
        ),
    ] {
        let (bench, groups) = synced(source, target, "mode = \"managed\"").await;
        bench.account(source, |account| {
            account.rename_group(groups[0], "in between");
            account.rename_group(groups[1], "One");
            account.rename_group(groups[0], "Two");
            if target == "mail2" {
                account.group_mut(groups[1]).friendly_name = "One".to_owned();
                account.group_mut(groups[0]).friendly_name = "Two".to_owned();
            }
        });
        does(
            &bench,
            &["rename_group \"Two\"", "rename_group \"One\""],
            &requests,
        )
        .await;
        assert!(
            bench
                .members(target, "Two")
                .contains_key("one0@example.org")
        );
        assert!(
            bench
                .members(target, "One")
                .contains_key("two0@example.org")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_renames_needs_no_name_in_between() {
    for (source, target, requests) in [
        (
            "crm",
            "mail",
            vec![("groups/save", 1), ("groups/save", 1), ("groups/save", 1)],
        ),
        ("mail", "crm", vec![("EditGroups", 3)]),
    ] {
        let (bench, groups) = synced(source, target, "mode = \"managed\"").await;
        bench.account(source, |account| {
            account.rename_group(groups[2], "Four");
            account.rename_group(groups[1], "Three");
            account.rename_group(groups[0], "Two");
        });
        does(
            &bench,
            &[
                "rename_group \"Four\"",
                "rename_group \"Three\"",
                "rename_group \"Two\"",
            ],
            &requests,
        )
        .await;
        assert!(
            bench
                .members(target, "Two")
                .contains_key("one0@example.org")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_address_changes_in_place() {
    for (source, target, call) in [
        ("crm", "mail", "contacts/save"),
        ("mail", "crm", "EditContacts"),
    ] {
        let (bench, _) = synced(source, target, "mode = \"managed\"").await;
        let before = bench.account(target, |account| {
            account.contact_by_email("one0@example.org").unwrap()
        });
        bench.account(source, |account| {
            let contact = account.contact_by_email("one0@example.org").unwrap();
            account.change_address(contact, "uno@example.org");
        });
        does(&bench, &["change_address uno@example.org"], &[(call, 1)]).await;
        assert_eq!(
            bench.account(target, |account| account
                .contact_by_email("uno@example.org")),
            Some(before)
        );
        assert_eq!(bench.account(target, |account| account.contacts.len()), 9);
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_profile_changes_only_what_differs() {
    for (source, target, call) in [
        ("crm", "mail", "contacts/import"),
        ("mail", "crm", "EditContacts"),
    ] {
        let (bench, _) = synced(source, target, "mode = \"managed\"").await;
        bench.account(source, |account| {
            let contact = account.contact_by_email("one0@example.org").unwrap();
            account.change_contact(contact, [("last_name", "Elsewhere"), ("zip", "01234")], []);
        });
        does(&bench, &["update_member one0@example.org"], &[(call, 1)]).await;
        bench.account(source, |account| {
            let contact = account.contact_by_email("one0@example.org").unwrap();
            account.change_contact(contact, [("zip", "")], []);
        });
        does(&bench, &["update_member one0@example.org"], &[(call, 1)]).await;
        bench.account(target, |account| {
            let contact = account.contact_by_email("one0@example.org").unwrap();
            assert_eq!(account.contacts[&contact].get("last_name"), "Elsewhere");
            assert_eq!(
                account.contacts[&contact].get("zip"),
                "",
                "what rosterd had written is cleared again"
            );
        });
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_removed_as_the_mode_says() {
    for (source, target, call) in [
        ("crm", "mail", "groups/removeContacts"),
        ("mail", "crm", "DeleteContactsFromGroup"),
    ] {
        for (mode, removed, foreign_removed) in [
            ("add", false, false),
            ("managed", true, false),
            ("mirror", true, true),
        ] {
            let job = removing_freely(mode);
            let (bench, groups) = synced(source, target, &job).await;
            // Somebody of the target's own joins by hand.
            bench.account(target, |account| {
                let group = account.find_group("One").unwrap();
                let contact = account.add_person("by.hand@example.net", "By", "Hand");
                account.join(group, contact);
            });
            if mode != "mirror" {
                bench.assert_settled().await;
            }
            bench.account(source, |account| {
                let contact = account.contact_by_email("one1@example.org").unwrap();
                account.leave(groups[0], contact);
            });
            let expected: &[&str] = match mode {
                "add" => &[],
                "managed" => &["remove_memberships \"One\" one1@example.org"],
                _ => &["remove_memberships \"One\" by.hand@example.net, one1@example.org"],
            };
            let items = usize::from(removed) + usize::from(foreign_removed);
            let requests: &[(&str, usize)] = if items == 0 { &[] } else { &[(call, items)] };
            does(&bench, expected, requests).await;
            let members = bench.members(target, "One");
            assert_eq!(members.contains_key("one1@example.org"), !removed, "{mode}");
            assert_eq!(
                members.contains_key("by.hand@example.net"),
                !foreign_removed,
                "{mode}"
            );
            assert!(
                bench.account(target, |account| account
                    .contact_by_email("one1@example.org")
                    .is_some()),
                "nobody is deleted"
            );
            // Who comes back is welcome: nobody had refused.
            if mode == "managed" {
                bench.account(source, |account| {
                    let contact = account.contact_by_email("one1@example.org").unwrap();
                    account.join(groups[0], contact);
                });
                let add = if target == "mail" {
                    "groups/addContacts"
                } else {
                    "AddContactsToGroup"
                };
                does(
                    &bench,
                    &["add_memberships \"One\" one1@example.org"],
                    &[(add, 1)],
                )
                .await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn states_other_than_active_are_never_removed() {
    let job = removing_freely("mirror");
    let (bench, groups) = synced("crm", "mail", &job).await;
    bench.account("mail", |account| {
        let group = account.find_group("One").unwrap();
        let contact = account.contact_by_email("one1@example.org").unwrap();
        account.opt_out_of_group(group, contact);
    });
    bench.account("crm", |account| {
        let contact = account.contact_by_email("one1@example.org").unwrap();
        account.leave(groups[0], contact);
    });
    does(&bench, &[], &[]).await;
    assert_eq!(
        bench.members("mail", "One")["one1@example.org"],
        MembershipState::OptedOut
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_gone_is_treated_as_the_config_says() {
    let none = "[jobs.test.guards]\nmax_group_removals = \"none\"";
    for (missing, expected, requests) in [
        ("keep", vec![], vec![]),
        // The flag that rosterd set itself is lifted for what the config asks for.
        (
            "archive",
            vec!["archive_group \"One\""],
            vec![("groups/save", 1), ("groups/save", 1)],
        ),
        (
            "delete",
            vec!["delete_group \"One\""],
            vec![("groups/save", 1), ("groups/delete", 1)],
        ),
    ] {
        let job =
            format!("mode = \"managed\"\n[jobs.test.groups]\nmissing = \"{missing}\"\n{none}");
        let (bench, groups) = synced("crm", "mail", &job).await;
        bench.account("crm", |account| account.delete_group(groups[0]));
        does(&bench, &expected, &requests).await;
        bench.account("mail", |account| {
            let found = account
                .find_group("One")
                .map(|id| account.groups[&id].status);
            match missing {
                "keep" => assert_eq!(found, Some(GroupStatus::Active)),
                "archive" => assert_eq!(found, Some(GroupStatus::Archived)),
                _ => assert_eq!(found, None),
            }
            assert_eq!(account.contacts.len(), 9, "nobody is deleted");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_protected_by_a_person_outlives_its_source() {
    for (source, target) in [("mail2", "mail"), ("mail", "crm")] {
        let mut world = plain_world();
        let account = world.account_mut(source);
        let group = group_of(account, "Kept", "kept", 3);
        account.group_mut(group).protected = true;
        group_of(account, "Other", "other", 3);
        let job = "mode = \"managed\"\n[jobs.test.groups]\nmissing = \"delete\"\nprotect = false\n[jobs.test.guards]\nmax_group_removals = \"none\"";
        let bench = bench(world, source, target, job);
        bench.settle().await;
        bench.account(source, |account| account.delete_group(group));
        let planned = bench.plan().await;
        assert_eq!(operations(&planned), Vec::<String>::new(), "{target}");
        assert_eq!(
            planned.plan.withheld.len(),
            1,
            "{target}: withheld as protected"
        );
        bench.settle().await;
        assert_eq!(bench.members(target, "Kept").len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_left_the_scope_is_frozen() {
    let (mut bench, groups) = synced("mail", "crm", "mode = \"managed\"").await;
    bench.account("mail", |account| account.archive_group(groups[0]));
    let head = "[jobs.test]\nsource = \"mail\"\ntarget = \"crm\"\nmode = \"managed\"\n";
    does(&bench, &[], &[]).await;
    bench.reconfigure(&format!(
        "{head}[jobs.test.groups]\nexclude = [\"Two\"]\nmissing = \"delete\"\n"
    ));
    bench.account("mail", |account| {
        let contact = account.contact_by_email("two0@example.org").unwrap();
        account.leave(groups[1], contact);
    });
    does(&bench, &[], &[]).await;
    assert_eq!(bench.members("crm", "One").len(), 3);
    assert_eq!(bench.members("crm", "Two").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_name_changed_by_hand_at_the_target_is_drift() {
    for (source, target, call) in [
        ("crm", "mail", "groups/save"),
        ("mail", "crm", "EditGroups"),
    ] {
        for on_drift in ["overwrite", "keep", "stop"] {
            let job = format!("mode = \"managed\"\n[jobs.test.guards]\non_drift = \"{on_drift}\"");
            let (bench, _) = synced(source, target, &job).await;
            bench.account(target, |account| {
                let group = account.find_group("One").unwrap();
                account.rename_group(group, "By hand");
            });
            match on_drift {
                "overwrite" => does(&bench, &["rename_group \"One\""], &[(call, 1)]).await,
                "keep" => does(&bench, &[], &[]).await,
                _ => {
                    bench.writes();
                    let report = bench.sync().await;
                    assert_eq!(report.exit_code(), 3);
                    assert_eq!(report.refusals[0].guard, "on_drift");
                    assert_eq!(bench.sent(), []);
                    let approved = bench.approve(&report.refusals[0].approval).await;
                    assert_eq!(approved.exit_code(), 0);
                    assert_eq!(bench.sent(), [(call.to_owned(), 1)]);
                }
            }
            let there = bench.account(target, |account| account.find_group("By hand").is_some());
            assert_eq!(there, on_drift == "keep", "{on_drift}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_taken_out_by_hand_at_the_target_is_drift() {
    for (source, target, call) in [
        ("crm", "mail", "groups/addContacts"),
        ("mail", "crm", "AddContactsToGroup"),
    ] {
        for on_drift in ["overwrite", "keep", "stop"] {
            let job = format!("mode = \"managed\"\n[jobs.test.guards]\non_drift = \"{on_drift}\"");
            let (bench, _) = synced(source, target, &job).await;
            bench.account(target, |account| {
                let group = account.find_group("One").unwrap();
                let contact = account.contact_by_email("one2@example.org").unwrap();
                account.leave(group, contact);
            });
            match on_drift {
                "overwrite" => {
                    does(
                        &bench,
                        &["add_memberships \"One\" one2@example.org"],
                        &[(call, 1)],
                    )
                    .await;
                }
                "keep" => does(&bench, &[], &[]).await,
                _ => {
                    bench.writes();
                    assert_eq!(bench.sync().await.exit_code(), 3);
                    assert_eq!(bench.sent(), []);
                }
            }
            assert_eq!(
                bench
                    .members(target, "One")
                    .contains_key("one2@example.org"),
                on_drift == "overwrite",
                "{on_drift}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_profile_changed_by_hand_at_the_target_is_drift() {
    for (source, target, call) in [
        ("crm", "mail", "contacts/import"),
        ("mail", "crm", "EditContacts"),
    ] {
        for on_drift in ["overwrite", "keep"] {
            let job = format!("mode = \"managed\"\n[jobs.test.guards]\non_drift = \"{on_drift}\"");
            let (bench, _) = synced(source, target, &job).await;
            bench.account(target, |account| {
                let contact = account.contact_by_email("one2@example.org").unwrap();
                account.change_contact(
                    contact,
                    [("last_name", "By hand"), ("fax", "+1 555 0100")],
                    [],
                );
            });
            match on_drift {
                "overwrite" => {
                    does(&bench, &["update_member one2@example.org"], &[(call, 1)]).await;
                }
                _ => does(&bench, &[], &[]).await,
            }
            bench.account(target, |account| {
                let contact =
                    &account.contacts[&account.contact_by_email("one2@example.org").unwrap()];
                assert_eq!(
                    contact.get("last_name"),
                    if on_drift == "keep" {
                        "By hand"
                    } else {
                        "Example"
                    }
                );
                assert_eq!(
                    contact.get("fax"),
                    "+1 555 0100",
                    "the source has no value, so the field is not ours"
                );
            });
        }
    }
}
