//! What each write sends, and what its answers are taken for.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::account::{Service, World};
use crate::http::CallError;
use crate::model::{
    FieldType, GroupEdit, ItemOutcome, MemberEdit, MemberValues, Record, Refusal, Settlement,
    Value, Write,
};
use crate::provider::Target;

fn record(fields: &[(&str, Value)]) -> Record {
    fields
        .iter()
        .map(|(name, value)| ((*name).into(), value.clone()))
        .collect()
}

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// Sends a write that is answered with a body; gives what was sent and what became of it.
async fn send(
    write: Write,
    answer: &Json,
) -> (Vec<(String, Json)>, Result<Vec<ItemOutcome>, CallError>) {
    let service = Service::new(World::default());
    let answer = answer.clone();
    let adapter = service.adapter(move |_, _, _| answer.clone());
    let items = write.items();
    let outcome = adapter
        .send(&write)
        .await
        .map(|settlement| match settlement {
            Settlement::Items(outcomes) => outcomes,
            Settlement::Pending(_) => panic!("emfluence never works on"),
        });
    if let Ok(outcomes) = &outcome {
        assert_eq!(outcomes.len(), items, "one outcome per item");
    }
    (service.bodies(), outcome)
}

fn ok(data: Json) -> Json {
    json!({"success": 1, "code": 0, "data": data})
}

fn accepted(id: &str) -> ItemOutcome {
    ItemOutcome::Accepted {
        id: Some(id.to_owned()),
    }
}

fn done(id: &str) -> ItemOutcome {
    ItemOutcome::Done {
        id: Some(id.to_owned()),
    }
}

fn said(outcome: &ItemOutcome) -> &str {
    match outcome {
        ItemOutcome::Refused(Refusal { message, .. }) => message,
        other => panic!("not refused: {other:?}"),
    }
}

fn fixture(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_group_is_created_private_unless_told_otherwise() {
    let fields = record(&[
        ("groupName", "Donors".into()),
        ("protected", true.into()),
        ("totalMembers", 4.into()),
    ]);
    let write = Write::CreateGroup {
        name: "Donors".to_owned(),
        fields,
    };
    let echo = ok(
        json!({"groupID": 31, "groupName": "Donors", "type": "Static", "status": "Active", "private": 1, "protected": 1}),
    );
    let (sent, outcome) = send(write.clone(), &echo).await;
    assert_eq!(
        sent,
        [(
            "groups/save".to_owned(),
            json!({"groupName": "Donors", "private": 1, "protected": 1})
        )]
    );
    assert_eq!(outcome.unwrap(), [done("31")]);

    let other = ok(json!({"groupID": 31, "groupName": "Donors", "private": 1, "protected": 0}));
    assert_eq!(
        send(write.clone(), &other).await.1.unwrap(),
        [accepted("31")],
        "it exists, and is to be looked at"
    );
    let duplicate = fixture(include_bytes!(
        "../../../../tests/fixtures/emfluence/odd/duplicate.json"
    ));
    let Err(CallError::Refused { refusal, .. }) = send(write.clone(), &duplicate).await.1 else {
        panic!("not refused")
    };
    assert_eq!(refusal.code.as_deref(), Some("301"));
    for unclear in [
        ok(json!({})),
        ok(json!([])),
        json!({"success": 1, "code": 0}),
        json!("<html>"),
    ] {
        let error = send(write.clone(), &unclear).await.1.unwrap_err();
        assert!(error.may_have_been_done(), "{unclear}: {error}");
    }
    assert!(
        matches!(
            send(write, &Json::Null).await.1,
            Err(CallError::OutcomeUnknown { .. })
        ),
        "a server error after a write"
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_edit_repeats_the_flags_and_believes_the_echo_only() {
    let edit = |fields: Record, current: Record| Write::EditGroups {
        edits: vec![GroupEdit {
            id: "12".to_owned(),
            fields,
            current,
        }],
    };
    let current = record(&[
        ("protected", true.into()),
        ("private", false.into()),
        ("friendlyName", "Our donors".into()),
    ]);
    let write = edit(
        record(&[("friendlyName", "Friends".into())]),
        current.clone(),
    );
    let saved = fixture(include_bytes!(
        "../../../../tests/fixtures/emfluence/good/groups_save.json"
    ));
    let (sent, outcome) = send(write.clone(), &saved).await;
    assert_eq!(
        sent[0].1,
        json!({"groupID": 12, "friendlyName": "Friends", "protected": 1, "private": 0})
    );
    assert_eq!(outcome.unwrap(), [done("12")]);

    let mut kept = saved.clone();
    kept["data"]["friendlyName"] = "Our donors".into();
    kept["data"]["protected"] = 0.into();
    let outcome = send(write.clone(), &kept).await.1.unwrap();
    assert!(
        said(&outcome[0]).contains("another value of friendlyName, protected;"),
        "{}",
        said(&outcome[0])
    );
    let mut other = saved.clone();
    other["data"]["groupID"] = 13.into();
    assert_eq!(send(write, &other).await.1.unwrap(), [ItemOutcome::Unknown]);

    let archive = edit(
        record(&[("status", "Archived".into()), ("protected", "false".into())]),
        current,
    );
    let mut archived = saved.clone();
    archived["data"]["status"] = "archived".into();
    archived["data"]["protected"] = "0".into();
    let (sent, outcome) = send(archive, &archived).await;
    assert_eq!(
        sent[0].1,
        json!({"groupID": 12, "status": "Archived", "protected": 0, "private": 0})
    );
    assert_eq!(outcome.unwrap(), [done("12")]);

    // Whether the service replaces the users or adds to them is not documented.
    let users = edit(
        record(&[("userIDs", Value::List(vec!["3".to_owned(), "4".to_owned()]))]),
        record(&[("protected", true.into()), ("private", false.into())]),
    );
    let mut granted = saved.clone();
    granted["data"]["userIDs"] = json!([4, 3]);
    let (sent, outcome) = send(users.clone(), &granted).await;
    assert_eq!(sent[0].1["userIDs"], json!([3, 4]));
    assert_eq!(outcome.unwrap(), [done("12")]);
    granted["data"]["userIDs"] = json!([3, 4, 9]);
    let outcome = send(users, &granted).await.1.unwrap();
    assert!(said(&outcome[0]).contains("another value of userIDs;"));

    // Blanks are trimmed and squeezed.
    let spaced = edit(
        record(&[("notes", " Fed   from outside".into())]),
        record(&[("protected", true.into()), ("private", false.into())]),
    );
    assert_eq!(send(spaced, &saved).await.1.unwrap(), [done("12")]);

    let blind = edit(
        record(&[("notes", "x".into())]),
        record(&[("private", true.into())]),
    );
    let (sent, outcome) = send(blind, &saved).await;
    assert!(sent.is_empty(), "a flag that is not known could be reset");
    assert!(said(&outcome.unwrap()[0]).contains("\"protected\" is not known"));
}

#[tokio::test(start_paused = true)]
async fn a_group_edit_repeats_each_flag_as_it_is() {
    let saved = fixture(include_bytes!(
        "../../../../tests/fixtures/emfluence/good/groups_save.json"
    ));
    for protected in [false, true] {
        for private in [false, true] {
            let edit = GroupEdit {
                id: "12".to_owned(),
                fields: record(&[("notes", "x".into())]),
                current: record(&[("protected", protected.into()), ("private", private.into())]),
            };
            let (sent, _) = send(Write::EditGroups { edits: vec![edit] }, &saved).await;
            assert_eq!(
                sent[0].1,
                json!({"groupID": 12, "notes": "x", "protected": i32::from(protected), "private": i32::from(private)})
            );
        }
    }
    // A text that is to be cleared goes as an empty one, and only that.
    let edit = GroupEdit {
        id: "12".to_owned(),
        fields: record(&[("notes", "".into())]),
        current: record(&[
            ("protected", true.into()),
            ("private", true.into()),
            ("description", "Stays".into()),
            ("notes", "Goes".into()),
        ]),
    };
    let (sent, _) = send(Write::EditGroups { edits: vec![edit] }, &saved).await;
    assert_eq!(
        sent[0].1,
        json!({"groupID": 12, "notes": "", "protected": 1, "private": 1})
    );
}

#[tokio::test(start_paused = true)]
async fn an_update_clears_custom_fields_as_it_does_others() {
    let edits = vec![MemberEdit {
        id: "101".to_owned(),
        address: "ana@example.org".to_owned(),
        fields: record(&[("city", "".into()), ("custom.custom1", "".into())]),
    }];
    let answer = ok(json!({"contactResults": [{"contactID": 101, "success": 1}]}));
    let (sent, _) = send(Write::UpdateMembers { edits }, &answer).await;
    assert_eq!(
        sent[0].1["contacts"],
        json!([{"email": "ana@example.org", "city": "", "customFields": {"custom1": {"value": ""}}}])
    );
}

#[tokio::test(start_paused = true)]
async fn people_are_created_with_one_structure_and_joined() {
    let row = |address: &str, fields: &[(&str, Value)]| MemberValues {
        address: address.to_owned(),
        fields: record(fields),
    };
    let rows = vec![
        row(
            "ana@example.org",
            &[
                ("firstName", "Ana".into()),
                ("custom.custom1", "Gold".into()),
            ],
        ),
        row("bo@example.org", &[]),
        row(
            "cy@example.test",
            &[
                ("zipCode", "00501".into()),
                ("email", "other@example.org".into()),
            ],
        ),
    ];
    let write = Write::CreateMembers {
        rows,
        join: texts(&["12", "14"]),
    };
    let answer = fixture(include_bytes!(
        "../../../../tests/fixtures/emfluence/good/contacts_import.json"
    ));
    let (sent, outcome) = send(write.clone(), &answer).await;
    let custom = |value: &str| json!({"custom1": {"value": value}});
    assert_eq!(
        sent[0].1,
        json!({"updateExisting": 0, "groupIDs": [12, 14], "contacts": [
            {"email": "ana@example.org", "firstName": "Ana", "zipCode": "", "customFields": custom("Gold")},
            {"email": "bo@example.org", "firstName": "", "zipCode": "", "customFields": custom("")},
            {"email": "cy@example.test", "firstName": "", "zipCode": "00501", "customFields": custom("")},
        ]})
    );
    let outcome = outcome.unwrap();
    assert_eq!(
        (&outcome[0], &outcome[2]),
        (&accepted("101"), &accepted("103"))
    );
    assert_eq!(said(&outcome[1]), "The email is not valid.");

    let counts = ok(json!({"recordsInserted": 3, "recordsUpdated": 0, "recordsInData": 3}));
    assert_eq!(
        send(write.clone(), &counts).await.1.unwrap(),
        vec![ItemOutcome::Accepted { id: None }; 3]
    );
    assert_eq!(
        send(write.clone(), &ok(json!({}))).await.1.unwrap(),
        vec![ItemOutcome::Unknown; 3]
    );
    let short = ok(json!({"contactResults": [{"contactID": 101, "success": 1}]}));
    assert!(
        send(write.clone(), &short)
            .await
            .1
            .unwrap_err()
            .may_have_been_done()
    );
    let Err(CallError::Refused { .. }) = send(
        write,
        &json!({"success": 0, "code": 210, "errors": ["Row 2."]}),
    )
    .await
    .1
    else {
        panic!("a refused batch is refused as a whole")
    };

    let twice = Write::CreateMembers {
        rows: vec![row("ana@example.org", &[]), row("ana@example.org", &[])],
        join: Vec::new(),
    };
    let (sent, outcome) = send(twice, &counts).await;
    assert!(sent.is_empty() && matches!(outcome, Err(CallError::Unsendable { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_update_sends_the_changed_fields_and_nothing_empty_of_its_own() {
    let edit = |id: &str, address: &str, fields: &[(&str, Value)]| MemberEdit {
        id: id.to_owned(),
        address: address.to_owned(),
        fields: record(fields),
    };
    let edits = vec![
        edit("101", "ana@example.org", &[("firstName", "Ana".into())]),
        edit("102", "bo@example.org", &[("firstName", "".into())]),
        edit("103", "cy@example.test", &[("firstName", "Cy".into())]),
    ];
    let answer = ok(json!({"contactResults": [
        {"contactID": 101, "success": 1}, {"contactID": 999, "success": 1}, {"contactID": 103, "success": 0, "errors": ["No."]}]}));
    let (sent, outcome) = send(Write::UpdateMembers { edits }, &answer).await;
    assert_eq!(sent[0].1["updateExisting"], 1);
    assert_eq!(sent[0].1.get("groupIDs"), None);
    assert_eq!(
        sent[0].1["contacts"][1],
        json!({"email": "bo@example.org", "firstName": ""})
    );
    let outcome = outcome.unwrap();
    assert_eq!(
        outcome[..2],
        [accepted("101"), ItemOutcome::Unknown],
        "the address belongs to somebody else"
    );
    assert_eq!(said(&outcome[2]), "No.");

    let mixed = vec![
        edit("101", "ana@example.org", &[("firstName", "Ana".into())]),
        edit("102", "bo@example.org", &[("lastName", "B".into())]),
    ];
    let (sent, outcome) = send(Write::UpdateMembers { edits: mixed }, &answer).await;
    assert!(
        sent.is_empty() && matches!(outcome, Err(CallError::Unsendable { .. })),
        "a gap would clear a field"
    );
}

#[tokio::test(start_paused = true)]
async fn an_address_is_changed_by_id() {
    let write = Write::ChangeAddress {
        id: "101".to_owned(),
        address: "ana.new@example.org".to_owned(),
    };
    let (sent, outcome) = send(
        write.clone(),
        &ok(json!({"contactID": 101, "email": "Ana.New@Example.org"})),
    )
    .await;
    assert_eq!(
        sent,
        [(
            "contacts/save".to_owned(),
            json!({"contactID": 101, "email": "ana.new@example.org"})
        )]
    );
    assert_eq!(outcome.unwrap(), [done("101")]);
    let kept = send(
        write.clone(),
        &ok(json!({"contactID": 101, "email": "ana@example.org"})),
    )
    .await
    .1
    .unwrap();
    assert!(said(&kept[0]).contains("shows another address"));
    assert_eq!(
        send(
            write.clone(),
            &ok(json!({"contactID": 7, "email": "ana.new@example.org"}))
        )
        .await
        .1
        .unwrap(),
        [ItemOutcome::Unknown]
    );
    let duplicate = fixture(include_bytes!(
        "../../../../tests/fixtures/emfluence/odd/duplicate.json"
    ));
    assert!(
        matches!(send(write, &duplicate).await.1, Err(CallError::Refused { refusal, .. }) if refusal.code.as_deref() == Some("301"))
    );
}

#[tokio::test(start_paused = true)]
async fn memberships_change_by_id_and_are_judged_row_by_row() {
    let answer = fixture(include_bytes!(
        "../../../../tests/fixtures/emfluence/good/change_contacts.json"
    ));
    let members = texts(&["101", "102", "103"]);
    let add = Write::AddMemberships {
        group: "12".to_owned(),
        members: members.clone(),
    };
    let remove = Write::RemoveMemberships {
        group: "12".to_owned(),
        members,
    };
    for (write, operation) in [
        (add.clone(), "groups/addContacts"),
        (remove, "groups/removeContacts"),
    ] {
        let (sent, outcome) = send(write, &answer).await;
        assert_eq!(
            sent,
            [(
                operation.to_owned(),
                json!({"groupID": 12, "contactIDs": [101, 102, 103]})
            )]
        );
        let outcome = outcome.unwrap();
        assert_eq!(
            (&outcome[0], &outcome[2]),
            (&accepted("101"), &accepted("103")),
            "a row proves nothing until it is read back"
        );
        assert_eq!(said(&outcome[1]), "The contact is suppressed.");
    }
    for broken in [
        ok(json!({})),
        ok(json!({"totalSuccess": 3, "totalErrors": 0})),
    ] {
        assert!(
            send(add.clone(), &broken)
                .await
                .1
                .unwrap_err()
                .may_have_been_done(),
            "{broken}"
        );
    }
    let odd = Write::AddMemberships {
        group: "12".to_owned(),
        members: texts(&["101", "x7"]),
    };
    let (sent, outcome) = send(odd, &answer).await;
    assert!(sent.is_empty() && matches!(outcome, Err(CallError::Unsendable { .. })));
    let many = Write::AddMemberships {
        group: "12".to_owned(),
        members: (1..=1001).map(|id| id.to_string()).collect(),
    };
    let (sent, outcome) = send(many, &answer).await;
    assert!(
        sent.is_empty() && matches!(outcome, Err(CallError::Unsendable { .. })),
        "more than the documented maximum"
    );
}

#[tokio::test(start_paused = true)]
async fn opt_outs_are_written_and_believed_when_shown() {
    let account = Write::OptOutOfAccount {
        members: texts(&["101"]),
    };
    let saved = fixture(include_bytes!(
        "../../../../tests/fixtures/emfluence/good/contacts_save.json"
    ));
    let (sent, outcome) = send(account.clone(), &saved).await;
    assert_eq!(
        sent,
        [(
            "contacts/save".to_owned(),
            json!({"contactID": 101, "suppressed": 1})
        )]
    );
    assert_eq!(outcome.unwrap(), [done("101")]);
    let mut ignored = saved.clone();
    ignored["data"]["suppressed"] = 0.into();
    assert!(said(&send(account.clone(), &ignored).await.1.unwrap()[0]).contains("not suppressed"));
    ignored["data"]["suppressed"] = "".into();
    assert_eq!(
        send(account, &ignored).await.1.unwrap(),
        [ItemOutcome::Unknown]
    );

    let create = Write::CreateOptedOut {
        address: "ana@example.org".to_owned(),
    };
    let (sent, outcome) = send(create, &saved).await;
    assert_eq!(
        sent[0].1,
        json!({"email": "ana@example.org", "suppressed": 1})
    );
    assert_eq!(outcome.unwrap(), [done("101")]);

    let groups = Write::OptOutOfGroups {
        member: "101".to_owned(),
        groups: texts(&["12", "14"]),
    };
    for answer in [ok(json!({})), json!({"success": 1, "code": 0})] {
        let (sent, outcome) = send(groups.clone(), &answer).await;
        let body = json!({"contactID": 101, "groups": [{"groupID": 12, "suppressed": 1}, {"groupID": 14, "suppressed": 1}]});
        assert_eq!(sent, [("contacts/saveGroups".to_owned(), body)]);
        assert_eq!(
            outcome.unwrap(),
            [ItemOutcome::Accepted { id: None }],
            "no data proves nothing"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_deleted_and_a_custom_field_is_not_made() {
    let (sent, outcome) = send(
        Write::DeleteGroup {
            id: "12".to_owned(),
        },
        &ok(json!({})),
    )
    .await;
    assert_eq!(sent, [("groups/delete".to_owned(), json!({"groupID": 12}))]);
    assert_eq!(outcome.unwrap(), [ItemOutcome::Accepted { id: None }]);
    let (sent, outcome) = send(
        Write::CreateCustomField {
            label: "Level".to_owned(),
            kind: FieldType::Text,
        },
        &ok(json!({})),
    )
    .await;
    assert!(sent.is_empty() && said(&outcome.unwrap()[0]).contains("\"Level\""));
}

/// Finds anything in a body that could subscribe somebody again or put somebody somewhere by the
/// way.
fn subscribes(operation: &str, body: &Json) -> bool {
    let forbidden = |key: &str, value: &Json| match key {
        "suppressed" => *value != json!(1),
        "held" | "removeGroupIDs" => true,
        "groupIDs" => operation != "contacts/import",
        _ => false,
    };
    match body {
        Json::Object(object) => object
            .iter()
            .any(|(key, value)| forbidden(key, value) || subscribes(operation, value)),
        Json::Array(items) => items.iter().any(|item| subscribes(operation, item)),
        _ => false,
    }
}

fn any_write() -> impl Strategy<Value = Write> {
    let ids = || proptest::collection::vec((1..99_i64).prop_map(|id| id.to_string()), 1..4);
    let id = || (1..99_i64).prop_map(|id| id.to_string());
    let address = || "[a-z]{1,5}@example\\.org";
    prop_oneof![
        (id(), address()).prop_map(|(id, address)| Write::ChangeAddress { id, address }),
        id().prop_map(|id| Write::OptOutOfAccount { members: vec![id] }),
        address().prop_map(|address| Write::CreateOptedOut { address }),
        (id(), ids()).prop_map(|(member, groups)| Write::OptOutOfGroups { member, groups }),
        (id(), ids()).prop_map(|(group, members)| Write::AddMemberships { group, members }),
        (id(), ids()).prop_map(|(group, members)| Write::RemoveMemberships { group, members }),
        (address(), ids()).prop_map(|(address, join)| Write::CreateMembers {
            rows: vec![MemberValues {
                address,
                fields: record(&[
                    ("firstName", "x".into()),
                    ("suppressed", "0".into()),
                    ("held", "0".into())
                ])
            }],
            join
        }),
        (id(), address()).prop_map(|(id, address)| Write::UpdateMembers {
            edits: vec![MemberEdit {
                id,
                address,
                fields: record(&[("firstName", "x".into()), ("suppressed", "0".into())])
            }]
        }),
    ]
}

proptest! {
    #![proptest_config(crate::testing::cases(64))]
    #[test]
    fn rule_1_no_write_can_subscribe_anybody_again(write in any_write()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (sent, _) = runtime.block_on(send(write, &ok(json!({}))));
        for (operation, body) in sent {
            prop_assert!(!subscribes(&operation, &body), "{} {}", operation, body);
        }
    }
}
