use super::*;

#[tokio::test]
async fn contacts_are_found_by_every_criterion() {
    let emulator = emulator();
    let (group, ana, bo, carla) = crm(&emulator, |account| {
        let group = account.add_group("Donors");
        let ana = account.add_person("ana@example.org", "Ana", "Silva");
        let bo = account.add_person("bo@example.org", "Bo", "Lind");
        let carla = account.add_person("", "Carla", "Abel");
        account.join_all(group, [ana, bo]);
        account.opt_out_of_group(group, ana);
        account.opt_out_of_account(carla);
        account.bounce(bo);
        (group, ana, bo, carla)
    });
    let day = crm(&emulator, |account| {
        crate::emulator::greenrope::show::day(account, account.now)
    });
    for (criteria, expected) in [
        (String::new(), vec![ana, bo, carla]),
        (format!("group_id=\"{group}\""), vec![ana, bo]),
        (format!("contact_id=\"{ana}\""), vec![ana]),
        ("email=\"ANA@example.org\"".to_owned(), vec![ana]),
        ("firstname=\"Bo\" lastname=\"Lind\"".to_owned(), vec![bo]),
        ("firstname=\"Bo\" lastname=\"Silva\"".to_owned(), vec![]),
        ("Unsubscribed=\"true\"".to_owned(), vec![carla]),
        (
            format!("group_id=\"{group}\" Unsubscribed=\"true\""),
            vec![ana],
        ),
        (
            format!("Unsubscribed=\"true\" Unsubscribed_startdate=\"{day}\""),
            vec![carla],
        ),
        (
            format!(
                "Unsubscribed=\"true\" Unsubscribed_startdate=\"29990101\" Unsubscribed_enddate=\"{day}\""
            ),
            vec![],
        ),
        ("Bounced=\"true\"".to_owned(), vec![bo]),
        (
            "start_lastname=\"b\" end_lastname=\"m\"".to_owned(),
            vec![bo],
        ),
        ("search=\"silv\"".to_owned(), vec![ana]),
        (
            "updated_timestamp=\"2020-01-01\"".to_owned(),
            vec![ana, bo, carla],
        ),
        (
            "updated_timestamp=\"2999-01-01 00:00:00\"".to_owned(),
            vec![],
        ),
    ] {
        let answer = greenrope(
            &emulator,
            &format!("<GetContactsRequest {criteria}></GetContactsRequest>"),
        )
        .await;
        let expected: Vec<String> = expected.iter().map(u64::to_string).collect();
        assert_eq!(ids(&answer), expected, "{criteria}");
        assert_eq!(
            text(&answer, &["TotalMatchingContacts"]),
            expected.len().to_string()
        );
    }
    assert_eq!(kinds(&emulator), []);

    // A name in the wrong case is no criterion at all: everybody comes back.
    let wrong = format!("<GetContactsRequest group_id=\"{group}\" unsubscribed=\"true\"/>");
    assert_eq!(ids(&greenrope(&emulator, &wrong).await).len(), 2);
    let child = "<GetContactsRequest><SearchParameters><Email>x</Email></SearchParameters></GetContactsRequest>";
    assert_eq!(ids(&greenrope(&emulator, child).await).len(), 3);
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::UnknownParameter, MisuseKind::UnknownParameter]
    );
}

#[tokio::test]
async fn an_existing_contact_answers_1002_unless_it_is_updated() {
    let emulator = emulator();
    let (_, contact) = with_member(&emulator);
    let add = |attributes: &str| {
        format!(
            "<AddContactsRequest{attributes}><Contacts><Contact><Email>Ana@example.org</Email><City>Bonn</City></Contact>\
             </Contacts></AddContactsRequest>"
        )
    };
    let answer = greenrope(&emulator, &add("")).await;
    let item = &answer.children[0].children[0];
    assert_eq!(text(item, &["ErrorCode"]), "1002");
    assert_eq!(
        text(item, &["ErrorText"]),
        format!("This contact already exists with ID {contact}.")
    );
    let answer = greenrope(&emulator, &add(" update=\"true\"")).await;
    assert_eq!(
        text(&answer, &["Contacts", "Contact", "Contact_id"]),
        contact.to_string()
    );
    assert_eq!(
        crm(&emulator, |account| account
            .contact(contact)
            .unwrap()
            .get("city")
            .to_owned()),
        "Bonn"
    );
}

#[tokio::test]
async fn edits_touch_only_what_is_sent() {
    let emulator = emulator();
    let (group, contact) = with_member(&emulator);
    let other = crm(&emulator, |account| {
        account.fields.push(CustomField {
            name: "Level".to_owned(),
            id: 1,
            ..CustomField::default()
        });
        account.add_contact("taken@example.org");
        account.add_group("Other & more")
    });
    let edit = |children: &str| {
        format!(
            "<EditContactsRequest><Contacts><Contact contact_id=\"{contact}\" request_id=\"r\">{children}</Contact></Contacts>\
             </EditContactsRequest>"
        )
    };
    let children = "<City>Köln</City><UserDefinedFields><UserDefinedField fieldname=\"Level\">Gold</UserDefinedField>\
                    </UserDefinedFields><Groups><Group>Other &amp; more</Group></Groups>";
    let answer = greenrope(&emulator, &edit(children)).await;
    assert_eq!(text(&answer, &["Contacts", "Contact", "Result"]), "Success");
    let shown = greenrope(
        &emulator,
        &format!("<GetContactsRequest contact_id=\"{contact}\"/>"),
    )
    .await;
    let shown = &shown.child("Contacts").unwrap().children[0];
    assert_eq!(
        (text(shown, &["City"]), text(shown, &["Firstname"])),
        ("Köln", "Ana")
    );
    assert_eq!(
        text(
            shown,
            &["UserDefinedFields", "UserDefinedField", "FieldValue"]
        ),
        "Gold"
    );
    assert_eq!(
        crm(&emulator, |account| account.groups_of(contact)),
        [group, other]
    );
    assert_eq!(kinds(&emulator), []);

    let answer = greenrope(&emulator, &edit("<Email>taken@example.org</Email>")).await;
    assert_eq!(text(&answer, &["Contacts", "Contact", "ErrorCode"]), "1002");
    greenrope(
        &emulator,
        &edit("<Groups replace=\"true\"><Group>Other &amp; more</Group></Groups>"),
    )
    .await;
    assert_eq!(
        crm(&emulator, |account| account.groups_of(contact)),
        [other]
    );
    greenrope(
        &emulator,
        &edit("<RemoveGroups><RemoveGroup>Other &amp; more</RemoveGroup></RemoveGroups>"),
    )
    .await;
    assert!(crm(&emulator, |account| account.groups_of(contact)).is_empty());
    assert_eq!(kinds(&emulator), [MisuseKind::ReplacedGroups]);
}

#[tokio::test]
async fn unknown_group_names_follow_the_quirk() {
    for (quirk, made, result) in [
        (UnknownGroup::Fail, 0, "Error"),
        (UnknownGroup::Ignore, 0, "Success"),
        (UnknownGroup::Create, 1, "Success"),
    ] {
        let emulator = emulator();
        crm(&emulator, |account| {
            account.settings.greenrope.unknown_group = quirk;
        });
        let add = "<AddContactsRequest><Contacts><Contact><Email>bo@example.org</Email><Groups><Group>New</Group></Groups>\
                   </Contact></Contacts></AddContactsRequest>";
        let answer = greenrope(&emulator, add).await;
        assert_eq!(text(&answer, &["Contacts", "Contact", "Result"]), result);
        assert_eq!(crm(&emulator, |account| account.groups.len()), made);
        assert_eq!(kinds(&emulator), [MisuseKind::AmbiguousTarget]);
    }
}

#[tokio::test]
async fn unsubscribing_is_final_and_deleting_is_recorded() {
    let emulator = emulator();
    let (_, contact) = with_member(&emulator);
    let item = format!(
        "<Contacts><Contact contact_id=\"{contact}\" request_id=\"r\" account_id=\"45429\"/></Contacts>"
    );
    greenrope(
        &emulator,
        &format!("<UnsubscribeContactsRequest>{item}</UnsubscribeContactsRequest>"),
    )
    .await;
    let shown = greenrope(&emulator, "<GetContactsRequest Unsubscribed=\"true\"/>").await;
    assert_eq!(text(&shown, &["Contacts", "Contact", "Unsubscribed"]), "1");
    greenrope(
        &emulator,
        &format!("<DeleteContactsRequest>{item}</DeleteContactsRequest>"),
    )
    .await;
    assert_eq!(
        changes(&emulator),
        [
            Change::AccountOptOutSet { contact },
            Change::ContactDeleted {
                contact,
                opted_out: true
            }
        ]
    );
    assert_eq!(kinds(&emulator), [MisuseKind::DeletedContact]);
}

#[tokio::test]
async fn answers_come_as_json_when_asked() {
    let emulator = emulator();
    with_member(&emulator);
    let credentials = crm(&emulator, |account| account.credentials());
    let ask = async |xml: &str| {
        let fields = [
            ("email", credentials.email.as_str()),
            ("auth_token", credentials.token.as_str()),
            ("xml", xml),
        ];
        serde_json::from_str::<serde_json::Value>(&form(&emulator, &fields).await).unwrap()
    };
    let groups = ask("<GetGroupsRequest response=\"json\"/>").await;
    assert_eq!(
        groups["getgroupsresponse"]["groups"]["group"]["name"],
        "Donors"
    );
    crm(&emulator, |account| {
        for number in 0..150 {
            account.add_contact(&format!("p{number}@example.org"));
        }
        account.settings.greenrope.scrambled_order = false;
    });
    let count = |answer: &serde_json::Value| {
        answer["getcontactsresponse"]["contacts"]["contact"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        count(&ask("<GetContactsRequest response=\"json\"/>").await),
        151
    );
    assert_eq!(
        count(&ask("<GetContactsRequest response=\"json\" get_all=\"true\"/>").await),
        100
    );
    let chunk =
        "<GetContactsRequest response=\"json\" start_chunk_page=\"1\" start_chunk_size=\"120\"/>";
    assert_eq!(count(&ask(chunk).await), 31);
    assert_eq!(kinds(&emulator), [MisuseKind::MixedAccounts]);
}

#[tokio::test]
async fn searches_hide_refusals_and_fields_are_kept() {
    let emulator = emulator();
    let (group, contact) = with_member(&emulator);
    crm(&emulator, |account| {
        let bo = account.add_contact("bo@example.org");
        account.join(group, bo);
        account.opt_out_of_account(bo);
    });
    let search = |includes: &str| {
        format!(
            "<SearchContactsRequest group_id=\"{group}\"><From>single</From><Filter>all</Filter><Rules><Rule>\
             <Field>Email</Field><Operator>contains</Operator><Value>example</Value></Rule></Rules>{includes}\
             </SearchContactsRequest>"
        )
    };
    let answer = greenrope(&emulator, &search("")).await;
    assert_eq!(
        text(&answer, &["Contacts", "Contact", "ID"]),
        contact.to_string()
    );
    assert_eq!(text(&answer, &["TotalMatchingContacts"]), "1");
    let answer = greenrope(
        &emulator,
        &search("<Includes><Unsubscribers>Y</Unsubscribers></Includes>"),
    )
    .await;
    assert_eq!(text(&answer, &["TotalMatchingContacts"]), "2");

    let field = |operation: &str, kind: &str| {
        format!(
            "<{operation}UserDefinedFieldRequest><FieldName>Level</FieldName><FieldType>{kind}</FieldType>\
             </{operation}UserDefinedFieldRequest>"
        )
    };
    assert_eq!(
        text(
            &greenrope(&emulator, &field("Add", "ShortText")).await,
            &["UserFieldID"]
        ),
        "1"
    );
    assert_eq!(
        text(
            &greenrope(&emulator, &field("Edit", "Text")).await,
            &["Result"]
        ),
        "Success"
    );
    assert_eq!(
        text(
            &greenrope(&emulator, &field("Edit", "Number")).await,
            &["Result"]
        ),
        "Error"
    );
    let list = greenrope(&emulator, "<GetUserDefinedFieldsRequest/>").await;
    assert_eq!(
        text(
            &list,
            &["UserDefinedFields", "UserDefinedField", "FieldType"]
        ),
        "Text"
    );
    assert_eq!(
        text(
            &greenrope(&emulator, &field("Delete", "Text")).await,
            &["Result"]
        ),
        "Success"
    );
    let groups = greenrope(
        &emulator,
        &format!("<GetContactGroupsRequest contact_id=\"{contact}\"/>"),
    )
    .await;
    assert_eq!(
        text(&groups, &["ContactGroups", "ContactGroup", "Name"]),
        "Donors"
    );
}
