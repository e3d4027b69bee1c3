mod contacts;
mod groups;
mod misuse;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::emulator::testing::{
    changes, emfluence, emfluence_request, emulator, kinds, mail, send, text_of,
};
use crate::emulator::{
    Change, CustomField, Emulator, GroupKind, Login, MembershipState, MisuseKind, Rights,
};

/// A group with one member, their ids, and whatever the setting-up recorded left out.
fn with_member(emulator: &Emulator) -> (u64, u64) {
    mail(emulator, |account| {
        let group = account.add_group("Donors");
        let contact = account.add_person("ana@example.org", "Ana", "Silva");
        account.join(group, contact);
        (group, contact)
    })
}

fn state(emulator: &Emulator, group: u64, contact: u64) -> Option<MembershipState> {
    mail(emulator, |account| account.membership(group, contact))
}

#[tokio::test]
async fn a_group_is_made_filled_read_and_emptied() {
    let emulator = emulator();
    let group = emfluence(
        &emulator,
        "groups/save",
        json!({"groupName": "Donors", "private": 1, "protected": 1}),
    )
    .await;
    let id = group["data"]["groupID"].as_u64().unwrap();
    let rows = json!({"contacts": [{"email": "ana@example.org"}, {"email": "bo@example.org"}], "groupIDs": [id]});
    let imported = emfluence(&emulator, "contacts/import", rows).await;
    assert_eq!(imported["data"]["recordsInserted"], 2);
    let listed = emfluence(&emulator, "groups/getContacts", json!({"groupID": id})).await;
    assert_eq!(listed["data"]["paging"]["totalRecords"], 2);
    let contact = listed["data"]["records"][0]["contactID"].clone();
    let removed = emfluence(
        &emulator,
        "groups/removeContacts",
        json!({"groupID": id, "contactIDs": [contact]}),
    )
    .await;
    assert_eq!(removed["data"]["totalSuccess"], 1);
    let found = emfluence(&emulator, "groups/lookup", json!({"groupID": id})).await;
    assert_eq!(found["data"]["totalMembers"], 1);
    assert_eq!(found["data"]["protected"], 1);
    assert_eq!(kinds(&emulator), []);
    let operations: Vec<_> = emulator
        .requests()
        .into_iter()
        .map(|record| (record.operation, record.items))
        .collect();
    assert_eq!(operations[1], ("contacts/import".to_owned(), 2));
}

/// Sends one request and returns whether it succeeded and what was recorded.
async fn form_of(
    change: impl FnOnce(&str, Request<Body>) -> Request<Body>,
) -> (Value, Vec<MisuseKind>) {
    let emulator = emulator();
    let token = mail(&emulator, |account| account.credentials().token);
    let request = change(
        &token,
        emfluence_request(&emulator, "groups/search", &json!({})),
    );
    let response = send(&emulator, request).await;
    let envelope: Value = serde_json::from_str(&text_of(response).await).unwrap();
    (envelope["success"].clone(), kinds(&emulator))
}

#[tokio::test]
async fn the_form_of_a_request_is_checked() {
    let with_header = |name: &'static str, value: &'static str| {
        move |_: &str, mut request: Request<Body>| {
            request.headers_mut().insert(name, value.parse().unwrap());
            request
        }
    };
    assert_eq!(form_of(|_, request| request).await, (json!(1), vec![]));
    assert_eq!(
        form_of(with_header(
            "content-type",
            "application/x-www-form-urlencoded"
        ))
        .await,
        (json!(0), vec![MisuseKind::WrongContentType])
    );
    assert_eq!(
        form_of(with_header("transfer-encoding", "chunked")).await,
        (json!(0), vec![MisuseKind::ChunkedBody])
    );
    let query = |_: &str, mut request: Request<Body>| {
        *request.uri_mut() = "/emfluence/v1/groups/search?rpp=5".parse().unwrap();
        request
    };
    assert_eq!(
        form_of(query).await,
        (json!(0), vec![MisuseKind::QueryOnPost])
    );
    let body = |text: &'static str| {
        move |_: &str, request: Request<Body>| request.map(|_| Body::from(text))
    };
    assert_eq!(
        form_of(body("[]")).await,
        (json!(0), vec![MisuseKind::UnreadableBody])
    );
    assert_eq!(
        form_of(body(r#"{"accessToken":"x"}"#)).await,
        (json!(0), vec![MisuseKind::CredentialMisplaced])
    );
    assert_eq!(
        form_of(body(r#"{"rpp":"5"}"#)).await,
        (json!(0), vec![MisuseKind::WrongType])
    );
    assert_eq!(
        form_of(body(r#"{"name":"x"}"#)).await,
        (json!(0), vec![MisuseKind::UnknownParameter])
    );
    assert_eq!(
        form_of(body(r#"{"rpp":251}"#)).await,
        (json!(0), vec![MisuseKind::TooManyItems])
    );
    assert_eq!(
        form_of(body(r#"{"page":2}"#)).await,
        (json!(1), vec![MisuseKind::PageBeyondEnd])
    );
    let bare = |token: &str, mut request: Request<Body>| {
        request
            .headers_mut()
            .insert("authorization", token.parse().unwrap());
        request
    };
    assert_eq!(
        form_of(bare).await,
        (json!(1), vec![MisuseKind::CredentialMisplaced])
    );
    assert_eq!(
        form_of(with_header("authorization", "Bearer wrong")).await,
        (json!(0), vec![])
    );
    let path = |_: &str, mut request: Request<Body>| {
        *request.uri_mut() = "/emfluence/v1/groups/list".parse().unwrap();
        request
    };
    assert_eq!(
        form_of(path).await,
        (json!(0), vec![MisuseKind::UnknownOperation])
    );
}

#[tokio::test]
async fn reading_calls_take_get_and_writing_ones_do_not() {
    let emulator = emulator();
    with_member(&emulator);
    let token = mail(&emulator, |account| account.credentials().token);
    let get = async |path: &str| {
        let request = Request::get(format!("/emfluence/v1/{path}"))
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        serde_json::from_str::<Value>(&text_of(send(&emulator, request).await).await).unwrap()
    };
    assert_eq!(get("helper/ping").await["data"]["message"], "pong");
    assert_eq!(
        get("groups/search?groupName=onor&private=1&rpp=5").await["data"]["paging"]["totalRecords"],
        1
    );
    assert_eq!(get("helper/throw?code=301").await["code"], 301);
    assert_eq!(get("groups/save?groupName=New").await["success"], 0);
    assert_eq!(kinds(&emulator), [MisuseKind::WrongMethod]);
}

#[tokio::test]
async fn adding_somebody_who_opted_out_subscribes_them_again_and_is_recorded() {
    for path in ["import", "addContacts", "save", "saveGroups"] {
        let emulator = emulator();
        let (group, contact) = with_member(&emulator);
        mail(&emulator, |account| {
            account.opt_out_of_group(group, contact)
        });
        let (call, body) = match path {
            "import" => (
                "contacts/import",
                json!({"contacts": [{"email": "ANA@example.org"}], "groupIDs": [group]}),
            ),
            "addContacts" => (
                "groups/addContacts",
                json!({"groupID": group, "contactIDs": [contact]}),
            ),
            "save" => (
                "contacts/save",
                json!({"contactID": contact, "groupIDs": [group]}),
            ),
            _ => (
                "contacts/saveGroups",
                json!({"contactID": contact, "groups": [{"groupID": group}]}),
            ),
        };
        assert_eq!(
            emfluence(&emulator, call, body).await["success"],
            1,
            "{path}"
        );
        assert_eq!(
            state(&emulator, group, contact),
            Some(MembershipState::Active),
            "{path}"
        );
        assert_eq!(
            changes(&emulator),
            [Change::GroupOptOutCleared { group, contact }],
            "{path}"
        );
        assert_eq!(kinds(&emulator), [MisuseKind::Resubscribed], "{path}");
    }
}

#[tokio::test]
async fn removing_and_adding_again_forgets_an_opt_out_and_is_recorded() {
    let emulator = emulator();
    let (group, contact) = with_member(&emulator);
    mail(&emulator, |account| {
        account.opt_out_of_group(group, contact)
    });
    let body = json!({"groupID": group, "contactIDs": [contact]});
    emfluence(&emulator, "groups/removeContacts", body.clone()).await;
    emfluence(&emulator, "groups/addContacts", body).await;
    assert_eq!(
        changes(&emulator),
        [
            Change::MembershipRemoved {
                group,
                contact,
                opted_out: true
            },
            Change::MembershipAdded {
                group,
                contact,
                again: true
            },
            Change::GroupOptOutCleared { group, contact },
        ]
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::RemovedOptedOut, MisuseKind::Resubscribed]
    );
}

#[tokio::test]
async fn adding_to_an_auto_response_group_sends_mail() {
    let emulator = emulator();
    let (group, _) = with_member(&emulator);
    let contact = mail(&emulator, |account| {
        account.group_mut(group).auto_response = Some(9001);
        account.add_contact("bo@example.org")
    });
    emfluence(
        &emulator,
        "groups/addContacts",
        json!({"groupID": group, "contactIDs": [contact]}),
    )
    .await;
    assert_eq!(
        changes(&emulator),
        [
            Change::MembershipAdded {
                group,
                contact,
                again: false
            },
            Change::MailSent { group, contact }
        ]
    );
}

#[tokio::test]
async fn members_are_filtered_by_suppression_and_kept_apart_from_the_account_flag() {
    let emulator = emulator();
    let (group, contact) = with_member(&emulator);
    mail(&emulator, |account| {
        let bo = account.add_contact("bo@example.org");
        account.join(group, bo);
        account.opt_out_of_account(bo);
        account.opt_out_of_group(group, contact);
    });
    let total = async |body: Value| {
        emfluence(&emulator, "groups/getContacts", body).await["data"]["paging"]["totalRecords"]
            .clone()
    };
    assert_eq!(total(json!({"groupID": group})).await, 2);
    assert_eq!(total(json!({"groupID": group, "suppressed": 1})).await, 1);
    assert_eq!(total(json!({"groupID": group, "suppressed": 0})).await, 1);
    let search = json!({"groupID": group, "suppressed": 1, "fields": "contactID,email"});
    let found = emfluence(&emulator, "contacts/search", search).await;
    assert_eq!(found["data"]["records"][0]["email"], "bo@example.org");
    assert_eq!(
        emfluence(
            &emulator,
            "groups/getContacts",
            json!({"groupID": group, "rpp": 1001})
        )
        .await["success"],
        0
    );
}

#[tokio::test]
async fn rows_say_when_there_was_nothing_to_do() {
    let emulator = emulator();
    let (group, contact) = with_member(&emulator);
    mail(&emulator, |account| {
        account.settings.emfluence.strict_rows = true;
    });
    let body = json!({"groupID": group, "contactIDs": [contact, 4711]});
    let added = emfluence(&emulator, "groups/addContacts", body).await;
    assert_eq!(added["data"]["totalErrors"], 2);
    assert_eq!(kinds(&emulator), [MisuseKind::AddedExistingMember]);
    assert_eq!(emulator.requests()[0].outcome, "partial");
}
