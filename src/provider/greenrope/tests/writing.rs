//! Writing through the whole adapter.

use std::time::Duration;

use secrecy::SecretString;

use super::super::GreenRopeCredential;
use super::super::session::RENEW_AFTER;
use super::fixture;
use super::service::{Asked, Said, adapter, with_options};
use crate::http::CallError;
use crate::model::{
    FieldType, GroupEdit, ItemOutcome, MemberEdit, MemberValues, Record, Settlement, Value, Write,
};
use crate::provider::{Source, Target};

fn record(pairs: &[(&str, &str)]) -> Record {
    pairs
        .iter()
        .map(|(name, text)| ((*name).into(), Value::from(*text)))
        .collect()
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// Answers every per-item request with success for each mark in it.
fn all_done(asked: &Asked) -> Option<Said> {
    let xml = asked.xml();
    let operation = xml.strip_prefix('<')?.split("Request").next()?;
    if operation.starts_with("Get") {
        return None;
    }
    let container = if operation.ends_with("Groups") {
        "Groups"
    } else {
        "Contacts"
    };
    let marks: Vec<&str> = xml
        .split("request_id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let item = |mark: &&str| format!("<Item request_id=\"{mark}\"><Result>Success</Result></Item>");
    let items = marks.iter().map(item).collect::<Vec<_>>().concat();
    Some((
        200,
        format!("<{operation}Response><{container}>{items}</{container}></{operation}Response>")
            .into_bytes(),
    ))
}

fn items(settlement: Settlement) -> Vec<ItemOutcome> {
    match settlement {
        Settlement::Items(items) => items,
        Settlement::Pending(_) => panic!("GreenRope never works on"),
    }
}

fn refused(outcome: &ItemOutcome) -> bool {
    matches!(outcome, ItemOutcome::Refused(_))
}

#[tokio::test(start_paused = true)]
async fn per_item_writes_are_settled_item_by_item() {
    let done = ItemOutcome::Done { id: None };
    let edit = |id: &str, fields: &[(&str, &str)]| MemberEdit {
        id: id.into(),
        address: "a@example.org".into(),
        fields: record(fields),
    };
    let writes = [
        (
            Write::AddMemberships {
                group: "7".into(),
                members: ids(&["1", "2"]),
            },
            "AddContactsToGroup",
            2,
        ),
        (
            Write::RemoveMemberships {
                group: "7".into(),
                members: ids(&["1"]),
            },
            "DeleteContactsFromGroup",
            1,
        ),
        (
            Write::OptOutOfAccount {
                members: ids(&["1", "2", "3"]),
            },
            "UnsubscribeContacts",
            3,
        ),
        (
            Write::UpdateMembers {
                edits: vec![
                    edit("1", &[("City", "Ulm")]),
                    edit("2", &[("custom.x", "")]),
                ],
            },
            "EditContacts",
            2,
        ),
        (
            Write::ChangeAddress {
                id: "1".into(),
                address: "new@example.org".into(),
            },
            "EditContacts",
            1,
        ),
        (
            Write::EditGroups {
                edits: vec![GroupEdit {
                    id: "7".into(),
                    fields: record(&[("Name", "New")]),
                    current: Record::new(),
                }],
            },
            "EditGroups",
            1,
        ),
        (Write::DeleteGroup { id: "7".into() }, "DeleteGroups", 1),
    ];
    for (write, operation, count) in writes {
        let (crm, log) = adapter(|asked, _| all_done(asked));
        assert_eq!(
            items(crm.send(&write).await.unwrap()),
            vec![done.clone(); count],
            "{operation}"
        );
        let asked = log.of(operation);
        assert_eq!(asked.len(), 1);
        assert_eq!(
            asked[0].xml().matches("account_id=\"45429\"").count(),
            count + 1,
            "on the root and on every item"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_match_anybody_is_not_sent() {
    let (crm, log) = adapter(|asked, _| all_done(asked));
    let outcomes = items(
        crm.send(&Write::AddMemberships {
            group: "7".into(),
            members: ids(&["1", " ", "1", "2"]),
        })
        .await
        .unwrap(),
    );
    assert_eq!(
        outcomes.iter().map(refused).collect::<Vec<_>>(),
        [false, true, true, false]
    );
    assert_eq!(
        log.of("AddContactsToGroup")[0]
            .xml()
            .matches("<Contact ")
            .count(),
        2
    );
    let (crm, log) = adapter(|_, _| None);
    for write in [
        Write::AddMemberships {
            group: " ".into(),
            members: ids(&["1", "2"]),
        },
        Write::RemoveMemberships {
            group: "7".into(),
            members: ids(&[""]),
        },
        Write::DeleteGroup { id: String::new() },
        Write::ChangeAddress {
            id: "1".into(),
            address: " ".into(),
        },
        Write::CreateGroup {
            name: String::new(),
            fields: Record::new(),
        },
        Write::CreateCustomField {
            label: " ".into(),
            kind: FieldType::Text,
        },
        Write::CreateOptedOut {
            address: "a@example.org".into(),
        },
        Write::OptOutOfGroups {
            member: "1".into(),
            groups: ids(&["7", "8"]),
        },
        Write::CreateMembers {
            rows: vec![MemberValues {
                address: "a@example.org".into(),
                fields: Record::new(),
            }],
            join: ids(&["7"]),
        },
    ] {
        let outcomes = items(crm.send(&write).await.unwrap());
        assert!(
            outcomes.len() == write.items() && outcomes.iter().all(refused),
            "{write:?}"
        );
    }
    assert!(log.all().is_empty(), "nothing was sent, not even a login");
}

#[tokio::test(start_paused = true)]
async fn people_are_created_without_touching_those_who_exist() {
    let (crm, log) = adapter(|asked, _| {
        asked
            .xml()
            .starts_with("<AddContacts")
            .then(|| (200, fixture!("creations.xml").to_vec()))
    });
    let row = |address: &str, fields: &[(&str, &str)]| MemberValues {
        address: address.into(),
        fields: record(fields),
    };
    let rows = vec![
        row("ana@example.org", &[("Firstname", "Ana"), ("Phone", "")]),
        row("bo@example.org", &[("Tags", "x")]),
        row("cy@example.org", &[]),
        row("di@example.org", &[]),
    ];
    let outcomes = items(
        crm.send(&Write::CreateMembers { rows, join: vec![] })
            .await
            .unwrap(),
    );
    assert_eq!(
        outcomes[0],
        ItemOutcome::Accepted {
            id: Some("201".into())
        }
    );
    assert!(
        refused(&outcomes[1]),
        "tags can't be written, so the row was left out"
    );
    assert_eq!(
        outcomes[2],
        ItemOutcome::Accepted {
            id: Some("77".into())
        }
    );
    assert!(refused(&outcomes[3]));
    assert_eq!(
        log.of("AddContacts")[0].xml(),
        "<AddContactsRequest account_id=\"45429\"><Contacts>\
         <Contact account_id=\"45429\"><Email>ana@example.org</Email><Firstname>Ana</Firstname></Contact>\
         <Contact account_id=\"45429\"><Email>cy@example.org</Email></Contact>\
         <Contact account_id=\"45429\"><Email>di@example.org</Email></Contact></Contacts></AddContactsRequest>"
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_and_a_field_are_created_with_their_ids() {
    let answer = |asked: &Asked, _| -> Option<Said> {
        let body: &[u8] = match asked.xml() {
            xml if xml.starts_with("<CreateGroup") => {
                b"<CreateGroupResponse><Result>Success</Result><Group_id>9</Group_id></CreateGroupResponse>"
            }
            xml if xml.starts_with("<AddUser") => {
                b"<AddUserDefinedFieldResponse><Result>Success</Result><UserFieldID>4</UserFieldID></AddUserDefinedFieldResponse>"
            }
            _ => return None,
        };
        Some((200, body.to_vec()))
    };
    let (crm, _) = adapter(answer);
    let group = Write::CreateGroup {
        name: "New".into(),
        fields: record(&[("EventsTimeZone", "America/Chicago")]),
    };
    assert_eq!(
        items(crm.send(&group).await.unwrap()),
        [ItemOutcome::Done {
            id: Some("9".into())
        }]
    );
    let field = Write::CreateCustomField {
        label: "Level".into(),
        kind: FieldType::Text,
    };
    assert_eq!(
        items(crm.send(&field).await.unwrap()),
        [ItemOutcome::Done {
            id: Some("4".into())
        }]
    );
    let (crm, _) = adapter(|asked, _| {
        let body = b"<CreateGroupResponse><Result>Error</Result><ErrorText>Name is in use</ErrorText></CreateGroupResponse>";
        asked
            .xml()
            .starts_with("<CreateGroup")
            .then(|| (200, body.to_vec()))
    });
    assert!(matches!(
        crm.send(&group).await,
        Err(CallError::Refused { .. })
    ));
    let (crm, _) = adapter(|asked, _| {
        asked.xml().starts_with("<CreateGroup").then(|| {
            (
                200,
                b"<CreateGroupResponse><Result>Success</Result></CreateGroupResponse>".to_vec(),
            )
        })
    });
    assert_eq!(
        items(crm.send(&group).await.unwrap()),
        [ItemOutcome::Unknown],
        "an OK without an id proves nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_without_a_judged_answer_is_unknown_and_sent_once() {
    let write = Write::AddMemberships {
        group: "7".into(),
        members: ids(&["101", "102"]),
    };
    let expired = b"<AddContactsToGroupResponse><Result>Error</Result><ErrorText>Invalid token</ErrorText></AddContactsToGroupResponse>";
    let cut = &fixture!("items.xml")[..150];
    let answers: [(u16, &[u8]); 7] = [
        (200, fixture!("refused.xml")),
        (200, fixture!("page.html")),
        (200, b""),
        (200, cut),
        (200, expired),
        (401, b""),
        (500, b""),
    ];
    for (status, body) in answers {
        let (crm, log) = adapter(move |asked, _| {
            asked
                .xml()
                .starts_with("<AddContactsToGroup")
                .then(|| (status, body.to_vec()))
        });
        let error = crm.send(&write).await.unwrap_err();
        assert!(
            matches!(error, CallError::OutcomeUnknown { .. }),
            "{status}: {error:?}"
        );
        assert_eq!(log.of("AddContactsToGroup").len(), 1, "{status}");
        assert!(
            !format!("{error} {error:?} {crm:?}").contains("hush"),
            "no secret is shown"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_dropped_by_a_write_and_renewed_by_the_next_call() {
    let write = Write::OptOutOfAccount {
        members: ids(&["101"]),
    };
    let answer = |asked: &Asked, number: usize| {
        match number {
        1 => Some((200, b"<GetAuthTokenResponse><Result>Success</Result><Token>old</Token></GetAuthTokenResponse>".to_vec())),
        _ if asked.field("auth_token") == "old" => {
            let body =
                b"<UnsubscribeContactsResponse><Result>Error</Result><ErrorText>Please log in</ErrorText></UnsubscribeContactsResponse>";
            Some((200, body.to_vec()))
        }
        _ => all_done(asked),
    }
    };
    let (crm, log) = adapter(answer);
    assert!(matches!(
        crm.send(&write).await,
        Err(CallError::OutcomeUnknown { .. })
    ));
    crm.groups(&|_, _| true).await.unwrap();
    assert_eq!(
        items(crm.send(&write).await.unwrap()),
        [ItemOutcome::Done { id: None }]
    );
    assert_eq!(log.of("GetAuthToken").len(), 2);
    let fixed = GreenRopeCredential::Token(SecretString::from("old"));
    let (crm, log) = with_options(move |asked, _| answer(asked, 2), fixed, false);
    assert!(
        matches!(crm.send(&write).await, Err(CallError::Denied { .. })),
        "a fixed token can't be renewed"
    );
    assert_eq!(log.all().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_is_missing_is_final() {
    let body = b"<EditGroupsResponse><Result>Error</Result><ErrorText>You lack the New Group permission</ErrorText></EditGroupsResponse>";
    let (crm, _) = adapter(|asked, _| {
        asked
            .xml()
            .starts_with("<EditGroups")
            .then(|| (200, body.to_vec()))
    });
    let edits = vec![GroupEdit {
        id: "7".into(),
        fields: record(&[("Name", "New")]),
        current: Record::new(),
    }];
    assert!(matches!(
        crm.send(&Write::EditGroups { edits }).await,
        Err(CallError::Denied { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn an_old_token_is_renewed_before_a_write() {
    let (crm, log) = adapter(|asked, _| all_done(asked));
    let write = Write::OptOutOfAccount {
        members: ids(&["101"]),
    };
    crm.send(&write).await.unwrap();
    tokio::time::advance(RENEW_AFTER + Duration::from_mins(1)).await;
    crm.send(&write).await.unwrap();
    assert_eq!(log.of("GetAuthToken").len(), 2);
}
