use std::time::Duration;

use super::*;
use crate::emulator::testing::kinds;
use crate::emulator::{MisuseKind, Visibility};

fn new_list<'a>(name: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("name", name)], SENDER.as_slice(), more].concat()
}

#[tokio::test]
async fn a_list_is_made_and_shown() {
    let emulator = emulator();
    let added = write(&emulator, "list_add", &new_list("News", &[])).await;
    let id = added["id"].as_u64().unwrap();
    let short = read(&emulator, "list_list", &[("ids", "all")]).await;
    let keys: Vec<&String> = short["0"].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "cdate",
            "id",
            "name",
            "private",
            "subscriber_count",
            "userid"
        ]
    );
    assert_eq!(
        (&short["0"]["id"], &short["0"]["subscriber_count"]),
        (&json!(id.to_string()), &json!(0))
    );
    let full = read(
        &emulator,
        "list_list",
        &[("filters[name]", "ew"), ("full", "1")],
    )
    .await;
    assert_eq!(
        (&full["0"]["sender_city"], &full["0"]["stringid"]),
        (&json!("Springfield"), &json!("news"))
    );
    assert_eq!(
        (&full["0"]["groupsCnt"], &full["0"]["groups"]["3"]["title"]),
        (&json!(2), &json!("Admin"))
    );
    assert_eq!(
        (&full["0"]["subscribers"], &full["0"]["fields"]),
        (&json!("0"), &json!([]))
    );
    let page = read(
        &emulator,
        "list_paginator",
        &[("offset", "0"), ("limit", "20")],
    )
    .await;
    assert_eq!(
        (&page["rows"][0]["name"], &page["total"]),
        (&json!("News"), &json!("1"))
    );
    assert_eq!(kinds(&emulator), []);
}

#[tokio::test]
async fn a_list_needs_a_name_and_a_postal_sender() {
    let emulator = emulator();
    assert_eq!(
        write(&emulator, "list_add", &new_list("", &[])).await["result_code"],
        0
    );
    for left_out in SENDER {
        let fields: Vec<_> = new_list("News", &[])
            .into_iter()
            .filter(|(name, _)| *name != left_out.0)
            .collect();
        let refused = write(&emulator, "list_add", &fields).await;
        assert_eq!(
            refused["result_message"], "Sender Information is required and needs to be entered.",
            "{left_out:?}"
        );
    }
    assert_eq!(
        write(
            &emulator,
            "list_add",
            &new_list("News", &[("sender_addr1", "ana@example.org")])
        )
        .await["result_code"],
        0
    );
    assert!(account(&emulator, |account| account.groups.is_empty()));
    // Names need not differ.
    for _ in 0..2 {
        assert_eq!(
            write(&emulator, "list_add", &new_list("News", &[])).await["result_code"],
            1
        );
    }
}

#[tokio::test]
async fn editing_replaces_settings_and_access() {
    let emulator = emulator();
    let (one, _, _) = with_member(&emulator);
    let staff = account(&emulator, |account| {
        let staff = account.add_user_group("Staff");
        account.grant_list(staff, one, true);
        staff
    });
    let id = one.to_string();
    assert_eq!(
        write(&emulator, "list_edit", &[("id", &id), ("name", "Renamed")]).await["result_code"],
        1
    );
    account(&emulator, |account| {
        assert!(!account.user_groups[&staff].lists.contains(&one));
        assert!(account.user_groups[&3].lists.contains(&one));
        assert_eq!(account.groups[&one].name, "Renamed");
        assert_eq!(account.groups[&one].settings.get("sender_city"), None);
    });
    assert!(
        kinds(&emulator)
            .iter()
            .all(|kind| *kind == MisuseKind::MissingParameter)
    );
    emulator.clear_log();
    let all = [
        ("id", id.as_str()),
        ("subscription_notify", ""),
        ("unsubscription_notify", ""),
        ("to_name", "Friend"),
        ("carboncopy", ""),
    ];
    let fields = new_list("One", &all);
    write(&emulator, "list_edit", &fields).await;
    assert_eq!(
        read(&emulator, "list_view", &[("id", &id)]).await["to_name"],
        "Friend"
    );
    assert_eq!(kinds(&emulator), []);
    assert_eq!(
        write(&emulator, "list_edit", &new_list("One", &[("id", "99")])).await["result_code"],
        0
    );
}

#[tokio::test]
async fn a_private_list_is_private_by_the_presence_of_the_word() {
    let emulator = emulator();
    let added = write(
        &emulator,
        "list_add",
        &new_list(
            "News",
            &[("private", "0"), ("subscription_notify", "ops@example.org")],
        ),
    )
    .await;
    let id = added["id"].as_u64().unwrap();
    account(&emulator, |account| {
        assert_eq!(account.groups[&id].visibility, Visibility::Private);
        assert!(!account.user_groups[&1].lists.contains(&id));
    });
    assert_eq!(kinds(&emulator), [MisuseKind::AskedForMail]);
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_a_little_after_its_deletion() {
    let emulator = emulator();
    let (one, two, contact) = with_member(&emulator);
    assert_eq!(
        read(&emulator, "list_delete", &[("id", &one.to_string())]).await["result_code"],
        1
    );
    assert!(account(&emulator, |account| account
        .groups
        .contains_key(&one)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!account(&emulator, |account| account
        .groups
        .contains_key(&one)));
    assert_eq!(changes(&emulator), [Change::GroupDeleted { group: one }]);
    assert_eq!(
        v3(&emulator, "DELETE", &format!("lists/{two}"), Value::Null).await,
        (200, json!({}))
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    // On no list any more, the contact is there and not listed.
    assert_eq!(
        read(&emulator, "contact_list", &[("ids", "all")]).await,
        nothing()
    );
    assert_eq!(
        read(&emulator, "contact_view", &[("id", &contact.to_string())]).await["lists"],
        json!([])
    );
    let (status, refused) = v3(&emulator, "DELETE", "lists/99", Value::Null).await;
    assert_eq!(
        (status, &refused["message"]),
        (403, &json!("No Result found for _List with id 99"))
    );
}

#[tokio::test]
async fn lists_may_be_limited() {
    let emulator = emulator();
    account(&emulator, |account| {
        account.user_group_mut(3).limits.insert(
            "list".to_owned(),
            crate::emulator::UserGroupLimit {
                quantity: 1,
                per: String::new(),
            },
        );
    });
    assert_eq!(
        write(&emulator, "list_add", &new_list("News", &[])).await["result_code"],
        1
    );
    assert_eq!(
        write(&emulator, "list_add", &new_list("More", &[])).await["result_code"],
        0
    );
}
