use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::emulator::testing::{
    emfluence, emfluence_request, emulator, kinds, mail, send, text_of,
};
use crate::emulator::{
    Actor, Change, CustomField, Emulator, GroupKind, Login, MembershipState, MisuseKind, Rights,
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

/// What API requests changed.
fn changes(emulator: &Emulator) -> Vec<Change> {
    emulator
        .history()
        .into_iter()
        .filter(|event| matches!(event.actor, Actor::Request(_)))
        .map(|event| event.change)
        .collect()
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
async fn groups_are_searched_sorted_and_paged() {
    let emulator = emulator();
    mail(&emulator, |account| {
        for name in ["Berry", "apple", "Cherry"] {
            account.add_group(name);
        }
        let archived = account.add_group("Old");
        account.archive_group(archived);
    });
    let names = async |body: Value| {
        let answer = emfluence(&emulator, "groups/search", body).await;
        let records = answer["data"]["records"].as_array().unwrap().clone();
        records
            .iter()
            .map(|record| record["groupName"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(json!({})).await, ["All", "apple", "Berry", "Cherry"]);
    assert_eq!(names(json!({"status": "Archived"})).await, ["Old"]);
    assert_eq!(
        names(json!({"groupName": "ERR", "sortDirection": "desc"})).await,
        ["Cherry", "Berry"]
    );
    assert_eq!(
        names(json!({"rpp": 2, "page": 2, "status": "All", "sortField": "groupID"})).await,
        ["apple", "Cherry"]
    );
    let page = emfluence(&emulator, "groups/search", json!({"rpp": 2, "page": 1})).await;
    assert_eq!(page["data"]["paging"]["totalPages"], 2);
    assert_ne!(page["data"]["paging"]["next"], "");
    assert_eq!(page["data"]["paging"]["prev"], "");
    // Summaries lack what only a look-up shows.
    assert!(page["data"]["records"][0].get("protected").is_none());
}

#[tokio::test]
async fn group_names_are_unique_and_protected_groups_stay() {
    let emulator = emulator();
    let made = emfluence(
        &emulator,
        "groups/save",
        json!({"groupName": "Donors", "protected": 1}),
    )
    .await;
    let id = made["data"]["groupID"].clone();
    let again = emfluence(&emulator, "groups/save", json!({"groupName": "DONORS"})).await;
    assert_eq!(
        (again["success"].clone(), again["code"].clone()),
        (json!(0), json!(301))
    );
    let archived = emfluence(
        &emulator,
        "groups/save",
        json!({"groupID": id, "status": "Archived"}),
    )
    .await;
    assert_eq!(archived["success"], 0);
    assert_eq!(
        emfluence(&emulator, "groups/delete", json!({"groupID": id})).await["success"],
        0
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::ProtectedGroup, MisuseKind::ProtectedGroup]
    );
    emfluence(
        &emulator,
        "groups/save",
        json!({"groupID": id, "protected": 0}),
    )
    .await;
    let archived = emfluence(
        &emulator,
        "groups/save",
        json!({"groupID": id, "status": "Archived"}),
    )
    .await;
    assert_eq!(archived["data"]["status"], "Archived");
    let long = json!({"groupName": "x".repeat(101)});
    assert_eq!(
        emfluence(&emulator, "groups/save", long).await["success"],
        0
    );
}

#[tokio::test]
async fn a_full_group_object_can_be_saved_back() {
    let emulator = emulator();
    let (group, _) = with_member(&emulator);
    let mut object =
        emfluence(&emulator, "groups/lookup", json!({"groupID": group})).await["data"].clone();
    object["description"] = json!("New words");
    let saved = emfluence(&emulator, "groups/save", object).await;
    assert_eq!(saved["data"]["description"], "New words");
    assert_eq!(
        changes(&emulator),
        [Change::GroupChanged {
            group,
            fields: vec!["description".to_owned()]
        }]
    );
}

#[tokio::test]
async fn an_update_may_reset_the_flags_it_leaves_out() {
    let emulator = emulator();
    let (group, _) = with_member(&emulator);
    mail(&emulator, |account| {
        account.group_mut(group).protected = true;
        account.settings.emfluence.update_resets_flags = true;
    });
    let saved = emfluence(
        &emulator,
        "groups/save",
        json!({"groupID": group, "notes": "x"}),
    )
    .await;
    assert_eq!(saved["data"]["protected"], 0);
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
async fn an_account_opt_out_is_undone_by_save_but_not_by_import() {
    let emulator = emulator();
    let (_, contact) = with_member(&emulator);
    emfluence(
        &emulator,
        "contacts/save",
        json!({"contactID": contact, "suppressed": 1}),
    )
    .await;
    let row = json!({"contacts": [{"email": "ana@example.org", "suppressed": 0}]});
    emfluence(&emulator, "contacts/import", row).await;
    assert!(mail(&emulator, |account| account
        .contact(contact)
        .unwrap()
        .opted_out
        .is_some()));
    emfluence(
        &emulator,
        "contacts/save",
        json!({"contactID": contact, "suppressed": 0}),
    )
    .await;
    assert!(mail(&emulator, |account| account
        .contact(contact)
        .unwrap()
        .opted_out
        .is_none()));
    assert_eq!(
        changes(&emulator),
        [
            Change::AccountOptOutSet { contact },
            Change::AccountOptOutCleared { contact }
        ]
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::Resubscribed, MisuseKind::Resubscribed]
    );
}

#[tokio::test]
async fn a_contact_is_created_opted_out_in_one_call() {
    let emulator = emulator();
    let saved = emfluence(
        &emulator,
        "contacts/save",
        json!({"email": "bo@example.org", "suppressed": 1}),
    )
    .await;
    let contact = saved["data"]["contactID"].as_u64().unwrap();
    assert_eq!(saved["data"]["suppressed"], 1);
    assert_eq!(
        changes(&emulator),
        [
            Change::ContactCreated { contact },
            Change::AccountOptOutSet { contact }
        ]
    );
    assert_eq!(kinds(&emulator), []);
}

#[tokio::test]
async fn an_address_of_somebody_else_is_refused_with_its_owner() {
    let emulator = emulator();
    let (_, ana) = with_member(&emulator);
    let bo = mail(&emulator, |account| account.add_contact("bo@example.org"));
    let taken = emfluence(
        &emulator,
        "contacts/save",
        json!({"contactID": bo, "email": "Ana@Example.org"}),
    )
    .await;
    assert_eq!(
        (taken["code"].clone(), taken["data"]["contactID"].clone()),
        (json!(301), json!(ana))
    );
    let free = emfluence(
        &emulator,
        "contacts/save",
        json!({"contactID": bo, "email": "bo2@example.org"}),
    )
    .await;
    assert_eq!(free["data"]["email"], "bo2@example.org");
}

#[tokio::test]
async fn imports_follow_their_rules() {
    let emulator = emulator();
    let (group, contact) = with_member(&emulator);
    let import = async |body: Value| emfluence(&emulator, "contacts/import", body).await;
    let uneven =
        json!({"contacts": [{"email": "a@example.org"}, {"email": "b@example.org", "city": "X"}]});
    assert_eq!(import(uneven).await["success"], 0);
    let with_id = json!({"contacts": [{"email": "a@example.org", "contactID": 5}]});
    assert_eq!(import(with_id).await["success"], 0);
    let many: Vec<Value> = (0..1001)
        .map(|number| json!({"email": format!("p{number}@example.org")}))
        .collect();
    assert_eq!(import(json!({"contacts": many})).await["success"], 0);
    assert_eq!(
        kinds(&emulator),
        [
            MisuseKind::UnevenRows,
            MisuseKind::UnknownParameter,
            MisuseKind::TooManyItems
        ]
    );
    emulator.clear_log();

    let kept = json!({"contacts": [{"email": "ana@example.org", "firstName": "Changed"}], "updateExisting": 0});
    assert_eq!(import(kept).await["data"]["recordsUpdated"], 0);
    assert_eq!(
        mail(&emulator, |account| account
            .contact(contact)
            .unwrap()
            .get("first_name")
            .to_owned()),
        "Ana"
    );
    let cleared = json!({"contacts": [{"email": "ana@example.org", "firstName": ""}]});
    assert_eq!(import(cleared).await["data"]["recordsUpdated"], 1);
    assert_eq!(
        mail(&emulator, |account| account
            .contact(contact)
            .unwrap()
            .get("first_name")
            .to_owned()),
        ""
    );

    let bad = json!({"contacts": [{"email": "no address"}, {"email": "new@example.org"}], "groupIDs": [group]});
    let answer = import(bad.clone()).await;
    let rows: Vec<_> = answer["data"]["contactResults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["success"].clone())
        .collect();
    assert_eq!(rows, [0, 1]);
    mail(&emulator, |account| {
        account.settings.emfluence.bad_row_refuses_import = true;
    });
    assert_eq!(import(bad).await["success"], 0);
    assert_eq!(kinds(&emulator), []);

    let double = json!({"contacts": [{"email": "x@example.org"}, {"email": "X@example.org"}]});
    assert_eq!(import(double).await["data"]["recordsInserted"], 1);
    assert_eq!(kinds(&emulator), [MisuseKind::DuplicateInBatch]);
}

#[tokio::test]
async fn groups_that_are_no_targets_refuse_members() {
    let emulator = emulator();
    let (group, contact) = with_member(&emulator);
    let all = mail(&emulator, |account| account.find_group("All").unwrap());
    let body = json!({"groupID": all, "contactIDs": [contact]});
    assert_eq!(
        emfluence(&emulator, "groups/removeContacts", body).await["success"],
        0
    );
    for edit in [
        (|group| group.kind = GroupKind::Dynamic) as fn(&mut crate::emulator::Group),
        |group| {
            group.kind = GroupKind::Static;
            group.send_tests = true;
        },
        |group| {
            group.send_tests = false;
            group.status = crate::emulator::GroupStatus::Archived;
        },
    ] {
        mail(&emulator, |account| edit(account.group_mut(group)));
        let rows = json!({"contacts": [{"email": "new@example.org"}], "groupIDs": [group]});
        assert_eq!(
            emfluence(&emulator, "contacts/import", rows).await["success"],
            0
        );
    }
    assert_eq!(kinds(&emulator), [MisuseKind::ForbiddenTarget; 4]);
    assert_eq!(changes(&emulator), []);
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
async fn custom_fields_are_nested_in_lookups_and_flat_in_searches() {
    let emulator = emulator();
    let (_, contact) = with_member(&emulator);
    mail(&emulator, |account| {
        account.fields.push(CustomField {
            name: "custom3".to_owned(),
            label: "Level".to_owned(),
            max_length: 10,
            ..CustomField::default()
        });
    });
    let save =
        |value: &str| json!({"contactID": contact, "customFields": {"custom3": {"value": value}}});
    let saved = emfluence(&emulator, "contacts/save", save("Gold")).await;
    assert_eq!(
        saved["data"]["customFields"]["custom3"],
        json!({"label": "Level", "value": "Gold"})
    );
    let found = emfluence(
        &emulator,
        "contacts/search",
        json!({"fields": "contactID,custom3"}),
    )
    .await;
    assert_eq!(
        found["data"]["records"][0]["customFields"]["custom3"],
        "Gold"
    );
    assert_eq!(
        emfluence(&emulator, "contacts/save", save("longer than ten")).await["success"],
        0
    );
    let flat = json!({"contactID": contact, "customFields": {"custom3": "Gold"}});
    assert_eq!(
        emfluence(&emulator, "contacts/save", flat).await["success"],
        0
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::TooLong, MisuseKind::WrongType]
    );
}

#[tokio::test]
async fn types_wobble_where_the_quirks_say_so() {
    let emulator = emulator();
    mail(&emulator, |account| {
        account.add_group("2024");
        account.add_group("007");
        account.settings.emfluence = crate::emulator::EmfluenceQuirks::mixed();
        for email in ["a@example.org", "b@example.org"] {
            account.add_person(email, "Yes", "2024");
        }
    });
    let found = emfluence(&emulator, "groups/search", json!({})).await;
    let records = found["data"]["records"].as_array().unwrap();
    assert_eq!(records[0]["groupName"], "007");
    assert_eq!(records[1]["groupName"], 2024);
    assert_eq!(records[1]["autoResponseEmailID"], "");
    let people = emfluence(&emulator, "contacts/search", json!({})).await;
    let people = people["data"]["records"].as_array().unwrap();
    assert_eq!(people[0]["firstName"], true);
    assert!(
        people.iter().any(|one| one["held"].is_boolean())
            && people.iter().any(|one| one["held"].is_number())
    );
    assert_eq!(
        emfluence(&emulator, "groups/lookup", json!({"groupID": 999})).await["data"],
        json!({})
    );
    let deleted = emfluence(
        &emulator,
        "groups/delete",
        json!({"groupID": records[1]["groupID"]}),
    )
    .await;
    assert!(deleted.get("data").is_none());
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

#[tokio::test]
async fn rights_and_restricted_logins_are_kept() {
    let emulator = emulator();
    let (group, _) = with_member(&emulator);
    let token = mail(&emulator, |account| {
        let mut login = Login::restricted("mail", 2, [group]);
        login.rights = Rights {
            client_admin: false,
            ..Rights::all()
        };
        account.add_group("Secret");
        let own = account.add_contact("own@example.org");
        account.contact_mut(own).owner = 2;
        account.join(group, own);
        account.logins.push(login.clone());
        login.token
    });
    let ask = async |path: &str, body: Value| {
        let mut request = emfluence_request(&emulator, path, &body);
        request
            .headers_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        serde_json::from_str::<Value>(&text_of(send(&emulator, request).await).await).unwrap()
    };
    let listed = ask("groups/getContacts", json!({"groupID": group})).await;
    assert_eq!(listed["data"]["paging"]["totalRecords"], 1);
    let found = ask("groups/lookup", json!({"groupID": group})).await;
    assert_eq!(found["data"]["totalMembers"], 2);
    assert_eq!(
        ask("groups/search", json!({})).await["data"]["paging"]["totalRecords"],
        1
    );
    assert_eq!(ask("customFields/search", json!({})).await["success"], 0);
}

#[tokio::test]
async fn deleting_a_contact_is_recorded_and_needs_a_flag_for_opted_out_ones() {
    let emulator = emulator();
    let (_, contact) = with_member(&emulator);
    mail(&emulator, |account| account.opt_out_of_account(contact));
    assert_eq!(
        emfluence(&emulator, "contacts/delete", json!({"contactID": contact})).await["success"],
        0
    );
    let body = json!({"contactID": contact, "deleteSuppressed": 1});
    assert_eq!(
        emfluence(&emulator, "contacts/delete", body).await["success"],
        1
    );
    assert_eq!(
        changes(&emulator),
        [Change::ContactDeleted {
            contact,
            opted_out: true
        }]
    );
    assert_eq!(kinds(&emulator), [MisuseKind::DeletedContact]);
}
