use super::*;

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
    assert_eq!(found["data"]["records"][0]["custom3"], "Gold");
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

#[tokio::test]
async fn special_texts_are_checked_and_mobile_numbers_rewritten() {
    let emulator = emulator();
    let (_, contact) = with_member(&emulator);
    let bo = mail(&emulator, |account| account.add_contact("bo@example.org"));
    let save = async |id: u64, name: &str, value: &str| {
        emfluence(
            &emulator,
            "contacts/save",
            json!({"contactID": id, name: value}),
        )
        .await
    };
    assert_eq!(
        save(contact, "mobileNumber", "(555) 010-0199").await["data"]["mobileNumber"],
        "+15550100199"
    );
    assert_eq!(
        save(contact, "mobileNumber", "+49 171 0000").await["data"]["mobileNumber"],
        "+491710000"
    );
    assert_eq!(
        save(contact, "mobileNumber", "ext. 5").await["data"]["mobileNumber"],
        "ext. 5"
    );
    assert_eq!(save(contact, "dateOfBirth", "3/4/1970").await["success"], 0);
    assert_eq!(
        save(contact, "dateOfBirth", "1970-03-04").await["data"]["dateOfBirth"],
        "1970-03-04"
    );
    assert_eq!(save(contact, "purl", "not ok").await["success"], 0);
    assert_eq!(save(contact, "purl", "ana.silva").await["success"], 1);
    assert_eq!(save(bo, "purl", "Ana.Silva").await["code"], 301);
    assert_eq!(kinds(&emulator), []);
}
