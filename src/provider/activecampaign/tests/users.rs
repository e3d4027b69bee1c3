//! User groups and users, against the emulated service and a scripted one.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::codec::fixture;
use super::emulated::{assert_no_misuse, seeded, with_key};
use super::service::{id, parking, read, read_groups, record, scripted, sent};
use crate::emulator::{
    ActiveCampaignQuirks, Emulator, Fault, FaultRule, MisuseKind, UserGroup, UserGroupLimit, When,
};
use crate::model::{
    Existence, GroupEdit, GroupKind, ItemOutcome, MemberEdit, MemberValues, Value, Write,
};
use crate::provider::activecampaign::wire::PAGE_ROWS;
use crate::provider::activecampaign::{ActiveCampaign, ActiveCampaignGroups};
use crate::provider::{Role, Source};

fn users(quirks: ActiveCampaignQuirks) -> (Emulator, ActiveCampaign) {
    let (emulator, _) = seeded(quirks, 10);
    let users = with_key(&emulator, ActiveCampaignGroups::UserGroups);
    (emulator, users)
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
            group_at_zero: true,
            ..plain.clone()
        },
        ActiveCampaignQuirks {
            password_needed: true,
            global_user_ids: true,
            ..plain.clone()
        },
        ActiveCampaignQuirks {
            password_needed: true,
            portuguese: true,
            ..plain
        },
    ]
}

fn group_of(emulator: &Emulator, user: &str) -> u64 {
    emulator.with_world(|world| {
        world
            .account("campaigns")
            .user(user.parse().unwrap())
            .unwrap()
            .group
    })
}

#[tokio::test(start_paused = true)]
async fn groups_of_users_are_read_as_they_are() {
    for quirks in quirks() {
        let (emulator, adapter) = users(quirks);
        let source = read(&adapter, &["email", "username", "first_name"], Role::Source)
            .await
            .unwrap();
        let (groups, _) = adapter.groups(&|_, _| false).await.unwrap();
        emulator.with_world(|world| {
            let account = world.account("campaigns");
            for group in &groups {
                let expected: Vec<String> = account
                    .users_in(group.id.parse().unwrap())
                    .iter()
                    .map(|user| format!("{user}:active"))
                    .collect();
                assert_eq!(
                    source.listing(&group.id),
                    expected.join(" "),
                    "{}",
                    group.wire["title"]
                );
            }
            let parking = account.find_user_group("Parking").unwrap().to_string();
            for group in &groups {
                let expected = match group.id.as_str() {
                    "3" => GroupKind::BuiltIn,
                    id if id == parking => GroupKind::Parking,
                    _ => GroupKind::Static,
                };
                assert_eq!(group.kind, expected, "{}", group.wire["title"]);
            }
        });
        assert!(
            source
                .shelf
                .0
                .values()
                .all(|profile| !profile.contains_key("password"))
        );
        let target = read(&adapter, &["email"], Role::Target { wanted: &[] })
            .await
            .unwrap();
        assert_eq!(target.snapshot.existence, Existence::Whole);
        assert!(adapter.group("4711").await.unwrap().is_none());
        assert_no_misuse(&emulator);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_keeps_what_an_edit_does_not_name() {
    for quirks in quirks() {
        let (emulator, adapter) = users(quirks.clone());
        let staff = emulator.with_world(|world| {
            world
                .account("campaigns")
                .find_user_group("Campaign staff")
                .unwrap()
        });
        let before = emulator.with_world(|world| {
            world
                .account("campaigns")
                .user_group(staff)
                .unwrap()
                .clone()
        });
        let current = adapter
            .group(&staff.to_string())
            .await
            .unwrap()
            .unwrap()
            .wire;
        let mut fields = record(&[("title", "Writers"), ("limit_mail", "67")]);
        fields.insert("pg_subscriber_add".into(), Value::Boolean(false));
        fields.insert("pg_message_edit".into(), Value::Boolean(true));
        let edit = GroupEdit {
            id: staff.to_string(),
            fields,
            current,
        };
        let outcome = sent(&adapter, &Write::EditGroups { edits: vec![edit] }).await;
        assert_eq!(
            outcome,
            [ItemOutcome::Done {
                id: Some(staff.to_string())
            }],
            "{quirks:?}"
        );
        emulator.with_world(|world| {
            let after = world.account("campaigns").user_group(staff).unwrap();
            assert_eq!(
                (after.title.as_str(), &after.description, &after.lists),
                ("Writers", &before.description, &before.lists)
            );
            let mut permissions = before.permissions.clone();
            permissions.remove("pg_subscriber_add");
            permissions.insert("pg_message_edit".to_owned());
            assert_eq!(after.permissions, permissions, "{quirks:?}");
            assert_eq!(after.limits["mail"].quantity, 67);
        });
        // Where permissions go by value, one is taken away by a zero, which a service that goes by
        // presence would misread.
        if !quirks.group_edit_patches {
            assert_no_misuse(&emulator);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_in_which_nothing_is_as_usual_keeps_all_of_it() {
    for quirks in quirks() {
        let (emulator, adapter) = users(quirks.clone());
        let before = emulator.with_world(|world| {
            let account = world.account_mut("campaigns");
            let id = account.add_user_group("Editors");
            let lists: Vec<u64> = account.groups.keys().copied().take(2).collect();
            let all = account.user_group(3).unwrap().permissions.clone();
            let group = account.user_group_mut(id);
            "People who edit".clone_into(&mut group.description);
            group.lists.extend(lists);
            group.permissions = all
                .into_iter()
                .filter(|name| !matches!(name.as_str(), "pg_user_delete" | "pg_list_delete"))
                .collect();
            for (limit, per, quantity) in [
                ("attachment", "", 2),
                ("campaign", "week", 3),
                ("list", "", 4),
                ("mail", "year", 5),
                ("subscriber", "", 6),
                ("user", "", 7),
            ] {
                let per = per.to_owned();
                group
                    .limits
                    .insert(limit.to_owned(), UserGroupLimit { quantity, per });
            }
            group.send_methods = [1, 3].into();
            group.unsubscribe_link = true;
            group.abuse_ratio = 9;
            group.clone()
        });
        assert!(before.permissions.len() > 20, "{:?}", before.permissions);
        let id = before.id.to_string();
        let edit = GroupEdit {
            id: id.clone(),
            fields: record(&[("title", "Writers")]),
            current: adapter.group(&id).await.unwrap().unwrap().wire,
        };
        let outcome = sent(&adapter, &Write::EditGroups { edits: vec![edit] }).await;
        assert!(
            matches!(outcome[0], ItemOutcome::Done { .. }),
            "{outcome:?}"
        );
        let after = emulator.with_world(|world| {
            world
                .account("campaigns")
                .user_group(before.id)
                .unwrap()
                .clone()
        });
        let expected = UserGroup {
            title: "Writers".to_owned(),
            saved: after.saved,
            ..before
        };
        assert_eq!(after, expected, "{quirks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn users_move_in_and_park() {
    for (quirks, by_v3) in quirks()
        .into_iter()
        .flat_map(|quirks| [(quirks.clone(), true), (quirks, false)])
    {
        let (emulator, adapter) = users(quirks.clone());
        if !by_v3 {
            for call in ["PUT /users/{id}", "POST /users"] {
                // What refuses an empty password is mended by version 3 alone.
                if !(quirks.password_needed && call.starts_with("PUT")) {
                    emulator.add_fault(FaultRule::every(Fault::ServerError(404)).on(call));
                }
            }
        }
        let created = sent(
            &adapter,
            &Write::CreateGroup {
                name: "Editors".into(),
                fields: record(&[("descript", "People who edit")]),
            },
        )
        .await;
        let editors = id(&created[0]);
        emulator.with_world(|world| {
            let group = world
                .account("campaigns")
                .user_group(editors.parse().unwrap())
                .unwrap();
            assert_eq!(
                (group.title.as_str(), group.permissions.len()),
                ("Editors", 0),
                "no permission that nobody asked for"
            );
        });
        let profile = record(&[("first_name", "Zoë"), ("last_name", "Example")]);
        let row = MemberValues {
            address: "zoe@example.org".into(),
            fields: profile.clone(),
        };
        let outcome = sent(
            &adapter,
            &Write::CreateMembers {
                rows: vec![row.clone()],
                join: vec![editors.clone()],
            },
        )
        .await;
        assert!(
            matches!(outcome[0], ItemOutcome::Done { .. }),
            "{quirks:?} {outcome:?}"
        );
        let zoe = id(&outcome[0]);
        assert_eq!(group_of(&emulator, &zoe).to_string(), editors);
        assert_eq!(
            sent(
                &adapter,
                &Write::CreateMembers {
                    rows: vec![row],
                    join: vec![editors.clone()]
                }
            )
            .await[0],
            outcome[0],
            "once only"
        );

        let wanda = emulator.with_world(|world| {
            let account = world.account_mut("campaigns");
            let wanda = account.user_by_name("wanda").unwrap();
            account.user_mut(wanda).phone = "0123".into();
            wanda
        });
        let hash = emulator.with_world(|world| {
            world
                .account("campaigns")
                .user(wanda)
                .unwrap()
                .password_hash
                .clone()
        });
        let join = Write::AddMemberships {
            group: editors.clone(),
            members: vec![wanda.to_string()],
        };
        assert_eq!(
            sent(&adapter, &join).await,
            [ItemOutcome::Done {
                id: Some(wanda.to_string())
            }],
            "{quirks:?}"
        );
        assert_eq!(group_of(&emulator, &wanda.to_string()).to_string(), editors);
        let edit = MemberEdit {
            id: wanda.to_string(),
            address: String::new(),
            fields: record(&[("last_name", "Writer")]),
        };
        assert!(matches!(
            sent(&adapter, &Write::UpdateMembers { edits: vec![edit] }).await[0],
            ItemOutcome::Done { .. }
        ));
        let change = Write::ChangeAddress {
            id: wanda.to_string(),
            address: "wanda@example.org".into(),
        };
        assert!(matches!(
            sent(&adapter, &change).await[0],
            ItemOutcome::Done { .. }
        ));
        emulator.with_world(|world| {
            let user = world.account("campaigns").user(wanda).unwrap();
            let shown = (
                user.email.as_str(),
                user.last_name.as_str(),
                user.phone.as_str(),
                user.username.as_str(),
            );
            assert_eq!(shown, ("wanda@example.org", "Writer", "0123", "wanda"));
            assert_eq!(user.password_hash, hash, "nobody's password changes");
        });

        let leave = Write::RemoveMemberships {
            group: editors.clone(),
            members: vec![wanda.to_string()],
        };
        assert!(matches!(
            sent(&adapter, &leave).await[0],
            ItemOutcome::Done { .. }
        ));
        let parking = emulator.with_world(|world| {
            world
                .account("campaigns")
                .find_user_group("Parking")
                .unwrap()
        });
        assert_eq!(group_of(&emulator, &wanda.to_string()), parking);
        assert!(
            matches!(sent(&adapter, &leave).await[0], ItemOutcome::Done { .. }),
            "who is elsewhere stays there"
        );
        assert_eq!(
            sent(
                &adapter,
                &Write::DeleteGroup {
                    id: editors.clone()
                }
            )
            .await,
            [ItemOutcome::Accepted { id: None }]
        );
        assert_eq!(
            group_of(&emulator, &zoe),
            parking,
            "nobody goes with the group"
        );
        let bad: Vec<MisuseKind> = emulator
            .misuse()
            .into_iter()
            .map(|misuse| misuse.kind)
            .collect();
        // Which index a service reads shows only by trying, once when creating and once when
        // putting it right.
        let tried: &[MisuseKind] = if quirks.group_at_zero && !by_v3 {
            &[MisuseKind::OmittedUserGroup; 2]
        } else {
            &[]
        };
        assert_eq!(bad, tried, "{quirks:?} {:?}", emulator.misuse());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_moved_who_is_not_where_they_were_read() {
    let (emulator, adapter) = users(ActiveCampaignQuirks::default());
    read(&adapter, &["email"], Role::Target { wanted: &[] })
        .await
        .unwrap();
    let (wanda, other) = emulator.with_world(|world| {
        let account = world.account_mut("campaigns");
        let (wanda, other) = (
            account.user_by_name("wanda").unwrap(),
            account.add_user_group("Editors"),
        );
        account.move_user(wanda, 3);
        (wanda, other)
    });
    let join = Write::AddMemberships {
        group: other.to_string(),
        members: vec![wanda.to_string()],
    };
    assert!(matches!(
        sent(&adapter, &join).await[0],
        ItemOutcome::Refused(_)
    ));
    assert_eq!(
        group_of(&emulator, &wanda.to_string()),
        3,
        "somebody made her an administrator meanwhile"
    );
    read(&adapter, &["email"], Role::Target { wanted: &[] })
        .await
        .unwrap();
    assert!(
        matches!(sent(&adapter, &join).await[0], ItemOutcome::Done { .. }),
        "what was read anew is known to whoever planned it"
    );
    // Whoever turns up between reading and creating is left alone as well.
    emulator.with_world(|world| {
        world
            .account_mut("campaigns")
            .add_user("zoe", "zoe@example.org", 3)
    });
    let row = MemberValues {
        address: "zoe@example.org".into(),
        fields: record(&[("first_name", "Zoë"), ("last_name", "Example")]),
    };
    let create = Write::CreateMembers {
        rows: vec![row],
        join: vec![other.to_string()],
    };
    assert!(matches!(
        sent(&adapter, &create).await[0],
        ItemOutcome::Refused(_)
    ));
    assert_no_misuse(&emulator);
}

#[tokio::test(start_paused = true)]
async fn whoever_was_moved_by_hand_is_not_parked() {
    for (quirks, by_v3) in quirks()
        .into_iter()
        .flat_map(|quirks| [(quirks.clone(), true), (quirks, false)])
    {
        let (emulator, adapter) = users(quirks);
        if !by_v3 {
            // Where version 3 says nothing of a user's group, version 1 does.
            emulator.add_fault(
                FaultRule::every(Fault::ServerError(404)).on("GET /users/{id}/userGroup"),
            );
        }
        let (wanda, editors, partners) = emulator.with_world(|world| {
            let account = world.account_mut("campaigns");
            let wanda = account.user_by_name("wanda").unwrap();
            let editors = account.add_user_group("Editors");
            account.move_user(wanda, editors);
            (wanda, editors, account.add_user_group("Partners"))
        });
        read(&adapter, &["email"], Role::Target { wanted: &[] })
            .await
            .unwrap();
        let leave = Write::RemoveMemberships {
            group: editors.to_string(),
            members: vec![wanda.to_string()],
        };
        // To a group of nobody's concern, or among the administrators.
        for by_hand in [partners, 3] {
            emulator.with_world(|world| world.account_mut("campaigns").move_user(wanda, by_hand));
            emulator.clear_log();
            assert!(
                matches!(sent(&adapter, &leave).await[0], ItemOutcome::Done { .. }),
                "being out of the group is all that was asked for"
            );
            assert_eq!(group_of(&emulator, &wanda.to_string()), by_hand);
            assert!(
                emulator.requests().iter().all(|asked| !asked.is_write),
                "nothing is written"
            );
        }
        assert_no_misuse(&emulator);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_put_into_a_group_that_came_with_the_account() {
    let (emulator, adapter) = users(ActiveCampaignQuirks::default());
    let wanda =
        emulator.with_world(|world| world.account("campaigns").user_by_name("wanda").unwrap());
    let row = MemberValues {
        address: "zoe@example.org".into(),
        fields: record(&[("first_name", "Zoë"), ("last_name", "Example")]),
    };
    for write in [
        Write::AddMemberships {
            group: "3".into(),
            members: vec![wanda.to_string()],
        },
        Write::CreateMembers {
            rows: vec![row],
            join: vec!["3".into()],
        },
    ] {
        assert!(
            matches!(sent(&adapter, &write).await[0], ItemOutcome::Refused(_)),
            "{write:?}"
        );
    }
    emulator.with_world(|world| assert_eq!(world.account("campaigns").users_in(3).len(), 1));
    for group in ["3", "1", "people"] {
        let error = parking(group).open().await.unwrap_err().to_string();
        assert!(error.contains("parking_group"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn users_who_come_and_go_while_they_are_listed_make_no_whole_listing() {
    let page = |total: u64, ids: std::ops::Range<u64>| {
        let rows: Vec<String> = ids
            .map(|id| format!(r#"{{"id":"{id}","username":"u{id}","email":"u{id}@example.org"}}"#))
            .collect();
        (
            200,
            format!(
                r#"{{"users":[{}],"meta":{{"total":"{total}"}}}}"#,
                rows.join(",")
            )
            .into_bytes(),
        )
    };
    let after = PAGE_ROWS + 1;
    for moved in [false, true] {
        let (adapter, _) = scripted(ActiveCampaignGroups::UserGroups, move |asked| {
            let second = asked
                .parameters
                .get("offset")
                .is_some_and(|offset| *offset == PAGE_ROWS.to_string());
            match asked.call.as_str() {
                "groups" => (
                    200,
                    br#"{"groups":[{"id":"26","title":"Awesome"}],"meta":{"total":"1"}}"#.to_vec(),
                ),
                "users"
                    if asked.parameters.get("offset").is_some_and(|offset| {
                        offset.parse::<u64>().is_ok_and(|offset| offset > PAGE_ROWS)
                    }) =>
                {
                    page(if moved { after } else { after + 1 }, 0..0)
                }
                "users" if second => page(if moved { after } else { after + 1 }, after..after + 2),
                "users" => page(after + 1, 1..after),
                other => {
                    let user = other
                        .trim_start_matches("users/")
                        .trim_end_matches("/userGroup");
                    (
                        200,
                        format!(
                            r#"{{"userGroup":{{"id":"{user}","user":"{user}","group":"26"}}}}"#
                        )
                        .into_bytes(),
                    )
                }
            }
        });
        let (groups, _) = adapter.groups(&|_, _| false).await.unwrap();
        let read = read_groups(&adapter, &groups, &["email"], Role::Source)
            .await
            .unwrap();
        assert_eq!(
            read.snapshot.listing("26").unwrap().complete().is_some(),
            !moved
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_takes_nothing_away_that_is_not_shown() {
    let edit = || {
        let edit = GroupEdit {
            id: "26".into(),
            fields: record(&[("title", "Writers")]),
            current: record(&[]),
        };
        Write::EditGroups { edits: vec![edit] }
    };
    let view = std::str::from_utf8(fixture!("good/group_view.json")).unwrap();
    let service = |view: String| {
        scripted(ActiveCampaignGroups::UserGroups, move |asked| {
            match asked.call.as_str() {
            "groups/26" => {
                (200, br#"{"group":{"id":"26","pgReportsDeal":"1","pgContactAdd":"1","pg_user_add":"1","pgFormEdit":"0"}}"#.to_vec())
            }
            _ => (200, view.clone().into_bytes()),
        }
        })
    };
    let (adapter, log) = service(view.to_owned());
    sent(&adapter, &edit()).await;
    let sent_form = log
        .lock()
        .unwrap()
        .iter()
        .find(|asked| asked.call == "group_edit")
        .unwrap()
        .parameters
        .clone();
    for name in [
        "pg_reports_deal",
        "pg_subscriber_add",
        "pg_user_add",
        "pg_list_add",
        "pg_message_add",
    ] {
        assert_eq!(sent_form.get(name).map(String::as_str), Some("1"), "{name}");
    }
    assert!(!sent_form.contains_key("pg_form_edit") && !sent_form.contains_key("pg_list_edit"));
    for name in ["lists", "sendmethods", "limit_user"] {
        let (adapter, log) = service(view.replace(&format!("\"{name}\""), "\"other\""));
        assert!(
            matches!(&sent(&adapter, &edit()).await[0], ItemOutcome::Refused(refusal) if refusal.message.contains(name))
        );
        assert!(
            log.lock()
                .unwrap()
                .iter()
                .all(|asked| asked.call != "group_edit"),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_users_can_not_be_asked_is_refused() {
    let (adapter, log) = scripted(ActiveCampaignGroups::UserGroups, |_| {
        (200, fixture!("broken/empty.json").to_vec())
    });
    for write in [
        Write::OptOutOfAccount {
            members: vec!["7".into()],
        },
        Write::OptOutOfGroups {
            member: "7".into(),
            groups: vec!["26".into()],
        },
        Write::CreateOptedOut {
            address: "ana@example.org".into(),
        },
        Write::CreateCustomField {
            label: "Level".into(),
            kind: crate::model::FieldType::Text,
        },
        Write::DeleteGroup { id: "3".into() },
        Write::CreateMembers {
            rows: vec![MemberValues {
                address: "ana@example.org".into(),
                fields: record(&[]),
            }],
            join: vec!["26".into(), "27".into()],
        },
    ] {
        assert!(
            matches!(sent(&adapter, &write).await[0], ItemOutcome::Refused(_)),
            "{write:?}"
        );
    }
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn groups_are_looked_for_by_id_where_nothing_lists_them() {
    let me = br#"{"id":"1","username":"admin","email":"admin@example.org","result_code":1,"result_message":"x","result_output":"json"}"#;
    let (adapter, log) = scripted(ActiveCampaignGroups::UserGroups, |asked| {
        match asked.call.as_str() {
        "user_me" => (200, me.to_vec()),
        "group_list" if asked.parameters.get("ids").is_some_and(|ids| ids.starts_with("1,2,")) => (
            200,
            br#"{"0":{"id":"3","title":"Admin"},"1":{"id":"2","title":"User"},"2":{"id":"26","title":"Awesome"},"result_code":1,"result_message":"x"}"#
                .to_vec(),
        ),
        "group_list" => (200, fixture!("broken/empty.json").to_vec()),
        _ => (403, fixture!("broken/forbidden.json").to_vec()),
    }
    });
    let (groups, _) = adapter.groups(&|_, _| false).await.unwrap();
    assert_eq!(
        groups
            .iter()
            .map(|group| group.id.as_str())
            .collect::<Vec<_>>(),
        ["3", "26"]
    );
    let lists = log
        .lock()
        .unwrap()
        .iter()
        .filter(|asked| asked.call == "group_list")
        .count();
    assert_eq!(
        lists, 4,
        "without ids, the first window, and two that are empty"
    );
}

#[tokio::test(start_paused = true)]
async fn a_user_whose_group_nobody_tells_may_be_in_any_and_holds_up_nobody_else() {
    let me = br#"{"id":"1","username":"admin","email":"admin@example.org","result_code":1,"result_message":"x","result_output":"json"}"#;
    for (told, expected) in [
        (
            &["5", "7"][..],
            ["5:active 6:unconfirmed", "6:unconfirmed 7:active"],
        ),
        (&[], ["5:unconfirmed 6:unconfirmed 7:unconfirmed"; 2]),
    ] {
        let (adapter, _) = scripted(ActiveCampaignGroups::UserGroups, move |asked| {
            match asked.call.as_str() {
                "user_me" => (200, me.to_vec()),
                "groups" => (
                    200,
                    br#"{"groups":[{"id":"26","title":"Awesome"},{"id":"27","title":"Other"}],"meta":{"total":"2"}}"#.to_vec(),
                ),
                "users" if asked.parameters["offset"] == "0" => (
                    200,
                    br#"{"users":[{"id":"5","email":"ana@example.org"},{"id":"6","email":"ben@example.org"},{"id":"7","email":"cy@example.org"}],"meta":{"total":"3"}}"#.to_vec(),
                ),
                "users" => (200, br#"{"users":[],"meta":{"total":"3"}}"#.to_vec()),
                "users/5/userGroup" if told.contains(&"5") => {
                    (200, br#"{"userGroup":{"user":"5","group":"26"}}"#.to_vec())
                }
                "users/7/userGroup" if told.contains(&"7") => {
                    (200, br#"{"userGroup":{"user":"7","group":"27"}}"#.to_vec())
                }
                "user_view" => (200, fixture!("broken/empty.json").to_vec()),
                _ => (403, fixture!("broken/forbidden.json").to_vec()),
            }
        });
        let (groups, _) = adapter.groups(&|_, _| false).await.unwrap();
        for role in [Role::Source, Role::Target { wanted: &[] }] {
            let read = read_groups(&adapter, &groups, &["email"], role)
                .await
                .unwrap();
            assert_eq!([read.rows("26"), read.rows("27")], expected);
            assert!(read.snapshot.is_unreadable("6"), "it is named");
            // Where nobody's group is told, that is no trouble of single users.
            for group in ["26", "27"] {
                assert_eq!(
                    read.is_complete(group),
                    !told.is_empty(),
                    "{}",
                    read.why(group)
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_without_an_id_is_told_of_where_ids_are_guessed() {
    let me = br#"{"id":"1","username":"admin","email":"admin@example.org","result_code":1,"result_message":"x","result_output":"json"}"#;
    let (adapter, _) = scripted(ActiveCampaignGroups::UserGroups, |asked| {
        let first = asked
            .parameters
            .get("ids")
            .is_some_and(|ids| ids.starts_with("1,2,"));
        match asked.call.as_str() {
            "user_me" => (200, me.to_vec()),
            "groups" => (
                200,
                br#"{"groups":[{"id":"26","title":"Awesome"}],"meta":{"total":"1"}}"#.to_vec(),
            ),
            "user_list" if first => (
                200,
                br#"{"0":{"id":"5","username":"ana","email":"ana@example.org","groups":{"26":"26"}},"1":{"username":"ben","email":"ben@example.org"},"result_code":1,"result_message":"x"}"#
                    .to_vec(),
            ),
            "user_list" => (200, fixture!("broken/empty.json").to_vec()),
            _ => (403, fixture!("broken/forbidden.json").to_vec()),
        }
    });
    let (groups, _) = adapter.groups(&|_, _| false).await.unwrap();
    let read = read_groups(&adapter, &groups, &["email"], Role::Source)
        .await
        .unwrap();
    assert!(
        read.states("26").contains_key("5"),
        "{:?}",
        read.states("26")
    );
    assert!(read.why("26").contains("users"), "{}", read.why("26"));
}

#[tokio::test(start_paused = true)]
async fn whoever_could_not_be_put_right_is_not_settled() {
    let (emulator, adapter) = users(ActiveCampaignQuirks {
        group_at_zero: true,
        ..ActiveCampaignQuirks::default()
    });
    let (editors, wanda) = emulator.with_world(|world| {
        let account = world.account_mut("campaigns");
        (
            account.add_user_group("Editors").to_string(),
            account.user_by_name("wanda").unwrap().to_string(),
        )
    });
    let clogged = || {
        for call in ["PUT /users/{id}", "POST /users"] {
            emulator.add_fault(FaultRule::every(Fault::ServerError(404)).on(call));
        }
    };
    clogged();
    emulator
        .add_fault(FaultRule::every(Fault::TooManyRequests { retry_after: None }).on("user_edit"));
    let row = MemberValues {
        address: "zoe@example.org".into(),
        fields: record(&[("first_name", "Zoë"), ("last_name", "Example")]),
    };
    let create = Write::CreateMembers {
        rows: vec![row],
        join: vec![editors.clone()],
    };
    assert_eq!(
        sent(&adapter, &create).await,
        [ItemOutcome::Unknown],
        "she is there, and not where she was asked for"
    );
    let zoe = emulator.with_world(|world| {
        world
            .account("campaigns")
            .user_by_email("zoe@example.org")
            .unwrap()
            .to_string()
    });
    assert_ne!(group_of(&emulator, &zoe).to_string(), editors);
    // The first try goes wrong and the second does not come through.
    emulator.clear_faults();
    clogged();
    emulator.add_fault(
        FaultRule::every(Fault::TooManyRequests { retry_after: None })
            .on("user_edit")
            .when(When::Nth(2)),
    );
    emulator.add_fault(
        FaultRule::every(Fault::TooManyRequests { retry_after: None })
            .on("user_edit")
            .when(When::Nth(3)),
    );
    let join = Write::AddMemberships {
        group: editors.clone(),
        members: vec![wanda.clone()],
    };
    assert_eq!(sent(&adapter, &join).await, [ItemOutcome::Unknown]);
    assert_ne!(group_of(&emulator, &wanda).to_string(), editors);
    emulator.clear_faults();
    for (write, user) in [(create, zoe), (join, wanda)] {
        assert!(
            matches!(sent(&adapter, &write).await[0], ItemOutcome::Done { .. }),
            "{write:?}"
        );
        assert_eq!(group_of(&emulator, &user).to_string(), editors);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_of_where_a_user_is_does_not_lead_to_another_way_of_writing() {
    let (looks, written) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (adapter, log) = scripted(ActiveCampaignGroups::UserGroups, move |asked| {
        if asked.call == "users/7" && asked.body.starts_with('{') {
            written.store(1, Ordering::Relaxed);
        }
        match asked.call.as_str() {
            "users/7" => (200, br#"{"user":{"id":"7","username":"ana","email":"ana@example.org","firstName":"Ana"}}"#.to_vec()),
            "users/7/userGroup" => {
                let late = written.load(Ordering::Relaxed) == 0 || looks.fetch_add(1, Ordering::Relaxed) < 2;
                let group = if late { "26" } else { "27" };
                (200, format!(r#"{{"userGroup":{{"id":"7","user":"7","group":"{group}"}}}}"#).into_bytes())
            }
            _ => (403, fixture!("broken/forbidden.json").to_vec()),
        }
    });
    let join = Write::AddMemberships {
        group: "27".into(),
        members: vec!["7".into()],
    };
    assert_eq!(
        sent(&adapter, &join).await,
        [ItemOutcome::Done {
            id: Some("7".into())
        }]
    );
    assert!(
        log.lock()
            .unwrap()
            .iter()
            .all(|asked| asked.call != "user_edit")
    );
}
