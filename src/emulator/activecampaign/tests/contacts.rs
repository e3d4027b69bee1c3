use super::*;
use crate::emulator::testing::kinds;
use crate::emulator::{Fault, FaultRule, MisuseKind};

fn at(name: &str, list: u64) -> String {
    format!("{name}[{list}]")
}

#[tokio::test]
async fn a_contact_is_added_shown_and_changed() {
    let emulator = emulator();
    let list = account(&emulator, |account| account.add_group("One"));
    let id = list.to_string();
    let fields = [
        ("email", "Ana@example.org"),
        ("first_name", "Ana"),
        (&at("p", list), &id),
        (&at("status", list), "1"),
        ("tags", "a,b"),
    ];
    let added = write(&emulator, "contact_sync", &fields).await;
    assert_eq!(
        (&added["result_message"], added["subscriber_id"].is_u64()),
        (&json!("Contact added"), true)
    );
    let contact = added["subscriber_id"].as_u64().unwrap();
    let shown = read(
        &emulator,
        "contact_view_email",
        &[("email", "ana@EXAMPLE.org")],
    )
    .await;
    assert_eq!(shown["id"], contact.to_string());
    assert_eq!(shown["lists"][&id]["status"], "1");
    assert_eq!(shown["tags"], json!(["a", "b"]));
    assert_eq!(shown["geo"], json!([]));
    let hash = shown["hash"].as_str().unwrap().to_owned();
    assert_eq!(
        read(&emulator, "contact_view_hash", &[("hash", &hash)]).await["email"],
        "Ana@example.org"
    );
    let changed = write(
        &emulator,
        "contact_sync",
        &[("email", "ana@example.org"), ("last_name", "Silva")],
    )
    .await;
    assert_eq!(changed["result_message"], "Contact updated");
    let shown = read(&emulator, "contact_view", &[("id", &contact.to_string())]).await;
    assert_eq!(
        (&shown["first_name"], &shown["last_name"]),
        (&json!("Ana"), &json!("Silva"))
    );
    assert_eq!(kinds(&emulator), []);
}

#[tokio::test]
async fn what_is_not_there_is_an_error() {
    let emulator = emulator();
    for (action, field) in [
        ("contact_view", ("id", "7")),
        ("contact_view_email", ("email", "nobody@example.org")),
        ("contact_view_hash", ("hash", "0")),
        ("contact_list", ("ids", "all")),
        ("list_list", ("ids", "all")),
        ("list_view", ("id", "7")),
        ("group_view", ("id", "77")),
        ("user_view", ("id", "77")),
    ] {
        assert_eq!(
            read(&emulator, action, &[field]).await,
            nothing(),
            "{action}"
        );
    }
    assert_eq!(read(&emulator, "contact_list", &[]).await, nothing());
    assert_eq!(kinds(&emulator), [MisuseKind::MissingParameter]);
}

#[tokio::test]
async fn subscribing_without_a_status_undoes_a_refusal_and_is_recorded() {
    for status in [None, Some("1")] {
        let emulator = emulator();
        let (one, _, contact) = with_member(&emulator);
        account(&emulator, |account| account.opt_out_of_group(one, contact));
        let (p, s, id) = (at("p", one), at("status", one), one.to_string());
        let mut fields = vec![("email", "ana@example.org"), (p.as_str(), id.as_str())];
        fields.extend(status.map(|status| (s.as_str(), status)));
        write(&emulator, "contact_sync", &fields).await;
        assert_eq!(
            state(&emulator, one, contact),
            Some(MembershipState::Active)
        );
        assert!(changes(&emulator).contains(&Change::GroupOptOutCleared {
            group: one,
            contact
        }));
        assert!(kinds(&emulator).contains(&MisuseKind::Resubscribed));
    }
}

#[tokio::test]
async fn a_new_membership_without_a_status_waits_for_a_confirmation() {
    let emulator = emulator();
    let list = account(&emulator, |account| account.add_group("One"));
    let id = list.to_string();
    let added = write(
        &emulator,
        "contact_sync",
        &[
            ("email", "bo@example.org"),
            (&at("p", list), &id),
            ("status", "1"),
        ],
    )
    .await;
    let contact = added["subscriber_id"].as_u64().unwrap();
    assert_eq!(
        state(&emulator, list, contact),
        Some(MembershipState::Unconfirmed)
    );
    assert_eq!(kinds(&emulator), [MisuseKind::MissingParameter]);
}

#[tokio::test]
async fn syncing_leaves_other_lists_alone_and_opts_out_where_asked() {
    let emulator = emulator();
    let (one, two, contact) = with_member(&emulator);
    let id = one.to_string();
    write(
        &emulator,
        "contact_sync",
        &[
            ("email", "ana@example.org"),
            (&at("p", one), &id),
            (&at("status", one), "2"),
        ],
    )
    .await;
    assert_eq!(
        state(&emulator, one, contact),
        Some(MembershipState::OptedOut)
    );
    assert_eq!(
        state(&emulator, two, contact),
        Some(MembershipState::Active)
    );
    assert_eq!(
        changes(&emulator),
        [Change::GroupOptOutSet {
            group: one,
            contact
        }]
    );
    let (code, edges) = v3(
        &emulator,
        "GET",
        &format!("contactLists?filters[list]={one}&filters[status]=2"),
        Value::Null,
    )
    .await;
    assert_eq!((code, &edges["meta"]["total"]), (200, &json!("1")));
    assert_eq!(kinds(&emulator), []);
}

#[tokio::test]
async fn an_opt_out_by_mail_leaves_the_contact_active() {
    let emulator = emulator();
    let (one, _, contact) = with_member(&emulator);
    let id = one.to_string();
    let fields = [
        ("email", "ana@example.org"),
        (&at("p", one), &id),
        (&at("status", one), "2"),
        (&at("sendoptout", one), "0"),
    ];
    write(&emulator, "contact_sync", &fields).await;
    assert_eq!(
        state(&emulator, one, contact),
        Some(MembershipState::Active)
    );
    assert_eq!(kinds(&emulator), [MisuseKind::AskedForMail]);
}

#[tokio::test]
async fn responders_fire_by_being_named_and_automations_always() {
    let emulator = emulator();
    let list = account(&emulator, |account| account.add_group("One"));
    let id = list.to_string();
    let fields = [
        ("email", "bo@example.org"),
        (&at("p", list), &id),
        (&at("status", list), "1"),
        (&at("instantresponders", list), "0"),
    ];
    let contact = write(&emulator, "contact_sync", &fields).await["subscriber_id"]
        .as_u64()
        .unwrap();
    let made = changes(&emulator);
    assert!(made.contains(&Change::AutomationStarted {
        group: list,
        contact
    }));
    assert!(made.contains(&Change::MailSent {
        group: list,
        contact
    }));
    assert_eq!(kinds(&emulator), [MisuseKind::AskedForMail]);
}

#[tokio::test]
async fn the_list_is_the_value_and_not_the_key() {
    let emulator = emulator();
    let (one, two, _) = with_member(&emulator);
    let two_text = two.to_string();
    let fields = [
        ("email", "bo@example.org"),
        (&at("p", one), &two_text),
        (&at("status", one), "1"),
    ];
    let contact = write(&emulator, "contact_sync", &fields).await["subscriber_id"]
        .as_u64()
        .unwrap();
    assert_eq!(state(&emulator, one, contact), None);
    assert_eq!(
        state(&emulator, two, contact),
        Some(MembershipState::Unconfirmed)
    );
    assert_eq!(
        kinds(&emulator),
        [
            MisuseKind::KeyMismatch,
            MisuseKind::MissingParameter,
            MisuseKind::KeyMismatch
        ]
    );
}

#[tokio::test]
async fn adding_needs_a_list_a_new_membership_and_an_address() {
    let emulator = emulator();
    let (one, _, _) = with_member(&emulator);
    let (p, s, id) = (at("p", one), at("status", one), one.to_string());
    let failing: [&[(&str, &str)]; 5] = [
        &[("email", "bo@example.org")],
        &[("email", "ana@example.org"), (&p, &id), (&s, "1")],
        &[("email", "bo@example"), (&p, &id), (&s, "1")],
        &[("email", "bo@example.org"), (&p, &id), (&s, "3")],
        &[
            ("email", "bo@example.org"),
            ("p[77]", "77"),
            ("status[77]", "1"),
        ],
    ];
    for fields in failing {
        assert_eq!(
            write(&emulator, "contact_add", fields).await["result_code"],
            0,
            "{fields:?}"
        );
    }
    assert_eq!(changes(&emulator), []);
    assert_eq!(
        write(
            &emulator,
            "contact_add",
            &[("email", "bo@example.org"), (&p, &id), (&s, "1")]
        )
        .await["result_code"],
        1
    );
}

#[tokio::test]
async fn editing_unsubscribes_from_other_lists_and_blanks_unless_told_not_to() {
    let emulator = emulator();
    let (one, two, contact) = with_member(&emulator);
    let (p, s, id, number) = (
        at("p", one),
        at("status", one),
        one.to_string(),
        contact.to_string(),
    );
    let fields = [
        ("id", number.as_str()),
        ("email", "ana@example.net"),
        (&p, &id),
        (&s, "1"),
    ];
    let mut request = post(&key(&emulator), "contact_edit", "json", &fields);
    *request.uri_mut() = format!("{}&overwrite=0", request.uri()).parse().unwrap();
    assert_eq!(answer(&emulator, request).await["result_code"], 1);
    assert_eq!(changes(&emulator).len(), 1);
    assert_eq!(kinds(&emulator), []);
    // In the body the switch is not read.
    let fields = [fields.as_slice(), &[("overwrite", "0")]].concat();
    write(&emulator, "contact_edit", &fields).await;
    assert_eq!(
        state(&emulator, two, contact),
        Some(MembershipState::OptedOut)
    );
    assert_eq!(
        account(&emulator, |account| account.contacts[&contact]
            .get("first_name")
            .to_owned()),
        ""
    );
    assert_eq!(kinds(&emulator), [MisuseKind::ReplacedGroups]);
    account(&emulator, |account| account.add_contact("bo@example.org"));
    let fields = [
        ("id", number.as_str()),
        ("email", "BO@example.org"),
        (&p, &id),
        (&s, "1"),
    ];
    assert_eq!(
        write(&emulator, "contact_edit", &fields).await["result_code"],
        0
    );
}

#[tokio::test]
async fn deleting_always_succeeds_and_takes_the_contact_with_the_last_list() {
    let emulator = emulator();
    let (one, two, contact) = with_member(&emulator);
    for id in ["99", "abc"] {
        let answer = read(&emulator, "contact_delete", &[("id", id)]).await;
        assert_eq!(
            (&answer["result_code"], &answer["result_message"]),
            (&json!(1), &json!("Contact deleted"))
        );
    }
    let number = contact.to_string();
    read(
        &emulator,
        "contact_delete",
        &[("id", &number), (&at("listids", one), &one.to_string())],
    )
    .await;
    assert_eq!(state(&emulator, one, contact), None);
    assert_eq!(kinds(&emulator), []);
    account(&emulator, |account| account.opt_out_of_group(two, contact));
    read(
        &emulator,
        "contact_delete_list",
        &[("ids", &number), (&at("listids", two), &two.to_string())],
    )
    .await;
    assert!(account(&emulator, |account| account.contacts.is_empty()));
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::RemovedOptedOut, MisuseKind::DeletedContact]
    );
}

#[tokio::test]
async fn listing_is_by_twenty_and_shows_the_active_unless_asked() {
    let emulator = emulator();
    let (one, _, first) = with_member(&emulator);
    account(&emulator, |account| {
        for number in 0..30 {
            let contact = account.add_contact(&format!("p{number}@example.org"));
            account.join(one, contact);
        }
        account.opt_out_of_group(one, first);
        account.add_contact("nowhere@example.org");
    });
    let list = one.to_string();
    let page = async |extra: &[(&str, &str)]| {
        let fields = [
            &[
                ("filters[listid]", list.as_str()),
                ("sort", "id"),
                ("sort_direction", "ASC"),
            ],
            extra,
        ]
        .concat();
        read(&emulator, "contact_list", &fields).await
    };
    let rows = |answer: &Value| {
        answer
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| key.parse::<u64>().is_ok())
            .count()
    };
    assert_eq!(rows(&page(&[]).await), 20);
    assert_eq!(rows(&page(&[("page", "2")]).await), 10);
    assert_eq!(page(&[("page", "3")]).await, nothing());
    assert_eq!(
        page(&[("filters[status]", "2")]).await["0"]["id"],
        first.to_string()
    );
    assert!(
        page(&[("filters[status]", "2")]).await["0"]
            .get("status")
            .is_none()
    );
    let full = page(&[("filters[status]", "0,1,2,3"), ("full", "1")]).await;
    assert_eq!(
        (&full["0"]["id"], &full["0"]["lists"][&list]["status"]),
        (&json!(first.to_string()), &json!("2"))
    );
    let keyset = page(&[
        ("filters[status]", "1"),
        ("filters[id_greater]", &(first + 25).to_string()),
    ])
    .await;
    assert_eq!(rows(&keyset), 5);
    let everybody = read(
        &emulator,
        "contact_paginator",
        &[
            ("sort", ""),
            ("offset", "25"),
            ("limit", "20"),
            ("filter", ""),
            ("public", ""),
        ],
    )
    .await;
    assert_eq!(
        (&everybody["total"], &everybody["cnt"]),
        (&json!("31"), &json!(6))
    );
    assert_eq!(kinds(&emulator), []);
    read(
        &emulator,
        "contact_list",
        &[("ids", "all"), ("filters[listid]", &list)],
    )
    .await;
    assert_eq!(kinds(&emulator), [MisuseKind::AmbiguousTarget]);
}

#[tokio::test]
async fn custom_values_go_by_id_or_tag() {
    let emulator = emulator();
    let (one, _, contact) = with_member(&emulator);
    let list = one.to_string();
    let field = [
        ("title", "Level"),
        ("type", "5"),
        ("req", "0"),
        ("perstag", "LEVEL"),
        (&at("p", one), &list),
        ("options[Gold]", "Gold"),
    ];
    let added = write(&emulator, "list_field_add", &field).await;
    assert_eq!(added["fieldid"], 1);
    assert_eq!(
        write(&emulator, "list_field_add", &field).await["result_code"],
        0
    );
    for (name, value) in [
        ("field[1,0]", "a"),
        ("field[%LEVEL%,0]", "b"),
        ("field[%LEVEL%]", "c||d"),
    ] {
        write(
            &emulator,
            "contact_sync",
            &[("email", "ana@example.org"), (name, value)],
        )
        .await;
        let shown = read(&emulator, "contact_view", &[("id", &contact.to_string())]).await;
        assert_eq!(shown["fields"]["1"]["val"], value);
    }
    let found = read(
        &emulator,
        "contact_list",
        &[("filters[fields][%LEVEL%]", "C|"), ("filters[status]", "1")],
    )
    .await;
    assert_eq!(found["0"]["id"], contact.to_string());
    assert_eq!(kinds(&emulator), []);
    write(
        &emulator,
        "contact_sync",
        &[("email", "ana@example.org"), ("field[9,0]", "x")],
    )
    .await;
    assert_eq!(kinds(&emulator), [MisuseKind::UnknownParameter]);
    assert_eq!(
        read(&emulator, "list_field_view", &[("ids", "all")]).await["0"]["perstag"],
        "LEVEL"
    );
    read(&emulator, "list_field_delete", &[("id", "1")]).await;
    assert!(account(&emulator, |account| account.contacts[&contact]
        .custom
        .is_empty()));
}

#[tokio::test]
async fn tags_are_added_and_removed_one_by_one() {
    let emulator = emulator();
    let (_, _, contact) = with_member(&emulator);
    write(
        &emulator,
        "contact_tag_add",
        &[
            ("email", "ana@example.org"),
            ("tags[]", "vip"),
            ("tags[]", "new"),
        ],
    )
    .await;
    let id = contact.to_string();
    assert_eq!(
        write(
            &emulator,
            "contact_tag_remove",
            &[("id", &id), ("tags", "vip")]
        )
        .await["result_message"],
        "Contact tag deleted"
    );
    assert_eq!(
        account(&emulator, |account| account.contacts[&contact].tags.clone()),
        ["new"]
    );
    assert_eq!(
        write(&emulator, "contact_tag_add", &[("id", "99"), ("tags", "x")]).await["result_code"],
        0
    );
}

#[tokio::test]
async fn a_limited_key_sees_its_lists_alone() {
    let emulator = emulator();
    let (one, two, contact) = with_member(&emulator);
    let other = account(&emulator, |account| {
        let other = account.add_contact("bo@example.org");
        account.join(two, other);
        other
    });
    let key = limited_key(&emulator, &[one], &["pg_subscriber_add"]);
    let lists = answer(&emulator, get(&key, "list_list", "json", &[("ids", "all")])).await;
    assert!(
        lists["0"]["id"].as_str() == Some(one.to_string().as_str()) && lists.get("1").is_none()
    );
    assert_eq!(
        answer(
            &emulator,
            get(&key, "list_view", "json", &[("id", &two.to_string())])
        )
        .await,
        nothing()
    );
    assert_eq!(
        answer(
            &emulator,
            get(&key, "contact_view", "json", &[("id", &other.to_string())])
        )
        .await,
        nothing()
    );
    let shown = answer(
        &emulator,
        get(
            &key,
            "contact_view",
            "json",
            &[("id", &contact.to_string())],
        ),
    )
    .await;
    assert_eq!(shown["listslist"], one.to_string());
    let refused = answer(
        &emulator,
        get(
            &key,
            "contact_delete",
            "json",
            &[("id", &contact.to_string())],
        ),
    )
    .await;
    assert_eq!(
        refused["result_message"],
        "You do not have permission to do that."
    );
    assert_eq!(
        v3_as(&emulator, &key, "GET", "contacts", Value::Null)
            .await
            .1["meta"]["total"],
        "1"
    );
    assert_eq!(
        v3_as(
            &emulator,
            &key,
            "DELETE",
            &format!("contacts/{contact}"),
            Value::Null
        )
        .await
        .0,
        403
    );
}

#[tokio::test]
async fn a_poisoned_address_is_refused() {
    let emulator = emulator();
    emulator.add_fault(FaultRule::every(Fault::PoisonItem(
        "bo@example.org".to_owned(),
    )));
    assert_eq!(
        write(&emulator, "contact_sync", &[("email", "bo@example.org")]).await["result_code"],
        0
    );
}
