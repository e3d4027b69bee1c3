use super::*;

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
async fn pages_of_a_long_listing_follow_every_change() {
    let emulator = emulator();
    let group = mail(&emulator, |account| {
        let group = account.add_group("Everybody");
        for number in 0..1500 {
            let contact = account.add_contact(&format!("ana{number}@example.org"));
            account.join(group, contact);
        }
        group
    });
    let token = mail(&emulator, |account| account.credentials().token);
    let ask = async |path: &str, body: Value| {
        let request = Request::post(format!("/emfluence/v1/{path}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer: Value =
            serde_json::from_str(&text_of(send(&emulator, request).await).await).unwrap();
        answer["data"].clone()
    };
    let page = |number: u64| json!({"groupID": group, "page": number, "rpp": 1000});
    let found = |number: u64| json!({"email": "ana*", "page": number, "rpp": 250});
    let first = ask("groups/getContacts", page(1)).await;
    assert_eq!(ask("groups/getContacts", page(1)).await, first);
    let second = ask("groups/getContacts", page(2)).await;
    assert_eq!(second["records"].as_array().unwrap().len(), 500);
    let last = ask("contacts/search", found(6)).await;
    assert_eq!(last["paging"]["totalRecords"], 1500);
    assert_eq!(last["records"].as_array().unwrap().len(), 250);
    assert_eq!(
        second["records"][499]["contactID"],
        last["records"][249]["contactID"]
    );

    let gone = json!({"groupID": group, "contactIDs": [first["records"][0]["contactID"]]});
    ask("groups/removeContacts", gone).await;
    let shown = ask("groups/getContacts", page(1)).await;
    assert_eq!(shown["paging"]["totalRecords"], 1499);
    assert_eq!(shown["records"][0], first["records"][1]);
    let removed = json!({"contactID": first["records"][0]["contactID"]});
    ask("contacts/delete", removed).await;
    assert_eq!(
        ask("contacts/search", found(6)).await["paging"]["totalRecords"],
        1499
    );
    mail(&emulator, |account| {
        account.add_contact("anastasia@example.org")
    });
    assert_eq!(
        ask("contacts/search", found(6)).await["paging"]["totalRecords"],
        1500
    );
}
