use std::time::Duration;

use super::xml::Node;
use crate::emulator::testing::{
    crm, emulator, form, form_request, greenrope, kinds, send, text_of,
};
use crate::emulator::{
    Account, Actor, Change, Counted, CustomField, Emulator, GreenRopeQuirks, Kind, Login,
    MembershipState, MisuseKind, UnknownGroup,
};

fn text<'a>(node: &'a Node, path: &[&str]) -> &'a str {
    let mut node = node;
    for name in path {
        node = node
            .child(name)
            .unwrap_or_else(|| panic!("no {name} in {}", node.to_xml()));
    }
    &node.text
}

/// A group with one member, and their ids.
fn with_member(emulator: &Emulator) -> (u64, u64) {
    crm(emulator, |account| {
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

/// The ids of the contacts in an answer, in its order.
fn ids(answer: &Node) -> Vec<String> {
    let contacts = &answer
        .child("Contacts")
        .expect("the answer has contacts")
        .children;
    contacts
        .iter()
        .map(|contact| text(contact, &["Contact_id"]).to_owned())
        .collect()
}

#[tokio::test]
async fn a_group_is_made_filled_read_and_emptied() {
    let emulator = emulator();
    let credentials = emulator.with_world(|world| world.account("crm").credentials());
    let login = [
        ("email", credentials.email.as_str()),
        ("password", &credentials.password),
        ("xml", "<GetAuthTokenRequest></GetAuthTokenRequest>"),
    ];
    let token = Node::parse(&form(&emulator, &login).await).unwrap().root;
    let token = text(&token, &["Token"]);
    let ask = async |xml: &str| {
        let fields = [
            ("email", credentials.email.as_str()),
            ("auth_token", token),
            ("xml", xml),
        ];
        Node::parse(&form(&emulator, &fields).await).unwrap().root
    };
    let created = ask(
        "<CreateGroupRequest account_id=\"45429\"><Name>A &amp; B</Name><GroupType>Hidden</GroupType></CreateGroupRequest>",
    )
    .await;
    let group = text(&created, &["Group_id"]).to_owned();
    let added = ask(
        "<AddContactsRequest account_id=\"45429\"><Contacts><Contact account_id=\"45429\"><Email>ana+x@example.org</Email>\
         <Zip>01234</Zip></Contact></Contacts></AddContactsRequest>",
    )
    .await;
    let contact = text(&added, &["Contacts", "Contact", "Contact_id"]).to_owned();
    let joined = ask(&format!(
        "<AddContactsToGroupRequest account_id=\"45429\" group_id=\"{group}\"><Contacts>\
         <Contact contact_id=\"{contact}\" request_id=\"r1\"/></Contacts></AddContactsToGroupRequest>"
    ))
    .await;
    let item = &joined.children[0].children[0];
    assert_eq!(item.attribute("request_id"), Some("r1"));
    assert_eq!(text(item, &["Result"]), "Success");
    let members = ask(&format!(
        "<GetContactsRequest account_id=\"45429\" group_id=\"{group}\"></GetContactsRequest>"
    ))
    .await;
    assert_eq!(text(&members, &["TotalMatchingContacts"]), "1");
    assert_eq!(text(&members, &["Contacts", "Contact", "Zip"]), "01234");
    assert_eq!(
        text(
            &members,
            &["Contacts", "Contact", "Groups", "Group", "Name"]
        ),
        "A & B"
    );
    let groups = greenrope(
        &emulator,
        &format!("<GetGroupsRequest group_id=\"{group}\"/>"),
    )
    .await;
    assert_eq!(
        text(&groups, &["Groups", "Group", "TotalMatchingContacts"]),
        "1"
    );
    ask(&format!(
        "<DeleteContactsFromGroupRequest account_id=\"45429\" group_id=\"{group}\"><Contacts>\
         <Contact contact_id=\"{contact}\" request_id=\"r1\"/></Contacts></DeleteContactsFromGroupRequest>"
    ))
    .await;
    let groups = greenrope(
        &emulator,
        &format!("<GetGroupsRequest group_id=\"{group}\"/>"),
    )
    .await;
    assert_eq!(
        text(&groups, &["Groups", "Group", "TotalMatchingContacts"]),
        "0"
    );
    assert_eq!(kinds(&emulator), []);
}

#[tokio::test]
async fn the_form_of_a_request_is_checked() {
    let emulator = emulator();
    let credentials = crm(&emulator, |account| account.credentials());
    let (email, token, password) = (
        credentials.email.as_str(),
        credentials.token.as_str(),
        credentials.password.as_str(),
    );
    let ask = "<GetGroupsRequest></GetGroupsRequest>";
    for (fields, expected) in [
        (
            vec![("email", email), ("auth_token", token), ("xml", ask)],
            None,
        ),
        (
            vec![("email", email), ("auth_token", "wrong"), ("xml", ask)],
            None,
        ),
        (
            vec![("email", email), ("password", password), ("xml", ask)],
            Some(MisuseKind::CredentialMisplaced),
        ),
        (
            vec![("Email", email), ("auth_token", token), ("xml", ask)],
            Some(MisuseKind::UnknownParameter),
        ),
        (
            vec![
                ("email", email),
                ("auth_token", token),
                ("xml", "<?xml version=\"1.0\"?><GetGroupsRequest/>"),
            ],
            Some(MisuseKind::XmlDeclaration),
        ),
        (
            vec![
                ("email", email),
                ("auth_token", token),
                ("xml", "<GetGroups"),
            ],
            Some(MisuseKind::UnreadableBody),
        ),
        (
            vec![
                ("email", email),
                ("auth_token", token),
                ("xml", "<ListRequest/>"),
            ],
            Some(MisuseKind::UnknownOperation),
        ),
        (
            vec![
                ("email", email),
                ("auth_token", token),
                ("xml", "<GetAuthTokenRequest/>"),
            ],
            Some(MisuseKind::CredentialMisplaced),
        ),
    ] {
        emulator.clear_log();
        let answer = Node::parse(&form(&emulator, &fields).await).unwrap().root;
        let good = fields[1].1 == token && expected.is_none();
        assert_eq!(
            text(&answer, &["Result"]),
            if good { "Success" } else { "Error" },
            "{expected:?}"
        );
        assert_eq!(kinds(&emulator), expected.into_iter().collect::<Vec<_>>());
    }
    emulator.clear_log();
    let mut request = form_request(&[("email", email)]);
    *request.method_mut() = axum::http::Method::GET;
    assert_eq!(send(&emulator, request).await.status(), 405);
    let mut request = form_request(&[("email", email), ("auth_token", token), ("xml", ask)]);
    request
        .headers_mut()
        .insert("content-type", "text/xml".parse().unwrap());
    assert!(
        text_of(send(&emulator, request).await)
            .await
            .contains("<Result>Error</Result>")
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::WrongMethod, MisuseKind::WrongContentType]
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_expire_and_fixed_ones_do_not() {
    let emulator = emulator();
    let credentials = crm(&emulator, |account| account.credentials());
    let log_in = [
        ("email", credentials.email.as_str()),
        ("password", credentials.password.as_str()),
        ("xml", "<GetAuthTokenRequest/>"),
    ];
    let answer = Node::parse(&form(&emulator, &log_in).await).unwrap().root;
    let token = text(&answer, &["Token"]).to_owned();
    let works = async |token: &str| {
        let fields = [
            ("email", credentials.email.as_str()),
            ("auth_token", token),
            ("xml", "<GetGroupsRequest/>"),
        ];
        form(&emulator, &fields)
            .await
            .contains("<Result>Success</Result>")
    };
    assert!(works(&token).await);
    tokio::time::sleep(Duration::from_mins(121)).await;
    assert!(!works(&token).await);
    assert!(works(&credentials.token).await);
    let answer = Node::parse(&form(&emulator, &log_in).await).unwrap().root;
    assert_ne!(text(&answer, &["Token"]), token);
    emulator.expire_tokens();
    assert!(!works(text(&answer, &["Token"])).await);
    let wrong = [
        ("email", credentials.email.as_str()),
        ("password", "wrong"),
        ("xml", "<GetAuthTokenRequest/>"),
    ];
    assert!(
        form(&emulator, &wrong)
            .await
            .contains("password is not correct")
    );
}

#[tokio::test]
async fn shared_access_needs_the_account_and_sees_a_part() {
    let emulator = emulator();
    let (group, contact) = with_member(&emulator);
    let login = crm(&emulator, |account| {
        let hidden = account.add_group("Hidden from them");
        let other = account.add_contact("bo@example.org");
        account.join(hidden, other);
        account.join(hidden, contact);
        let login = Login::restricted("crm", 2, [group]);
        account.logins.push(login.clone());
        login
    });
    let ask = async |xml: &str| {
        let fields = [
            ("email", login.email.as_str()),
            ("auth_token", login.token.as_str()),
            ("xml", xml),
        ];
        Node::parse(&form(&emulator, &fields).await).unwrap().root
    };
    assert_eq!(
        text(&ask("<GetGroupsRequest/>").await, &["Result"]),
        "Error"
    );
    let groups = ask("<GetGroupsRequest account_id=\"45429\"/>").await;
    assert_eq!(groups.child("Groups").unwrap().children.len(), 1);
    let contacts = ask("<GetContactsRequest account_id=\"45429\"/>").await;
    assert_eq!(ids(&contacts), [contact.to_string()]);
    let own = &contacts.children[2].children[0]
        .child("Groups")
        .unwrap()
        .children;
    assert_eq!(own.len(), 1);
    let edit = "<EditContactsRequest account_id=\"45429\"><Contacts><Contact contact_id=\"1\"><City>X</City></Contact>\
                </Contacts></EditContactsRequest>";
    assert_eq!(text(&ask(edit).await, &["Result"]), "Error");
    assert_eq!(
        text(
            &ask("<GetGroupsRequest account_id=\"1\"/>").await,
            &["Result"]
        ),
        "Error"
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::AccountUnclear, MisuseKind::AccountUnclear]
    );
    let accounts = ask("<GetAccountsWithAccessRequest/>").await;
    assert_eq!(
        text(&accounts, &["Accounts", "Account", "AccountNumber"]),
        "45429"
    );
}

#[tokio::test]
async fn group_names_are_unique_and_edits_are_partial() {
    let emulator = emulator();
    let (group, _) = with_member(&emulator);
    let create = "<CreateGroupRequest><Name>DONORS</Name></CreateGroupRequest>";
    assert_eq!(
        text(&greenrope(&emulator, create).await, &["ErrorCode"]),
        "2002"
    );
    let edit = format!(
        "<EditGroupsRequest><Groups><Group group_id=\"{group}\" request_id=\"a\"><Name>Givers</Name>\
         <EventsTimeZone>Europe/Berlin</EventsTimeZone></Group><Group group_id=\"999\" request_id=\"b\"/></Groups>\
         </EditGroupsRequest>"
    );
    crm(&emulator, |account| {
        account.settings.greenrope = GreenRopeQuirks {
            zone_slash: true,
            ..GreenRopeQuirks::mixed()
        }
    });
    let answer = greenrope(&emulator, &edit).await;
    assert!(answer.child("Result").is_none());
    let items = &answer.child("Groups").unwrap().children;
    assert_eq!(
        items
            .iter()
            .map(|item| item.name.as_str())
            .collect::<Vec<_>>(),
        ["Group", "Groups"]
    );
    assert_eq!(items[1].attribute("request_id"), Some("b"));
    assert_eq!(text(&items[1], &["Result"]), "Error");
    let shown = greenrope(&emulator, "<GetGroupsRequest group_name=\"Givers\"/>").await;
    assert_eq!(
        text(&shown, &["Groups", "Group", "EventsTimeZone"]),
        "Europe/Berlin/"
    );
    assert_eq!(text(&shown, &["Groups", "Group", "Group_type"]), "Hidden");
    let slash = edit.replace("Europe/Berlin", "Europe/Berlin/");
    greenrope(&emulator, &slash).await;
    assert_eq!(kinds(&emulator), [MisuseKind::WrongType]);
    let delete = format!(
        "<DeleteGroupsRequest><Groups><Group group_id=\"{group}\"/></Groups></DeleteGroupsRequest>"
    );
    greenrope(&emulator, &delete).await;
    assert_eq!(
        crm(&emulator, |account| (
            account.groups.len(),
            account.contacts.len()
        )),
        (0, 1)
    );
}

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
    let day = crm(&emulator, |account| super::show::day(account, account.now));
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
async fn an_empty_answer_and_totals_follow_the_quirks() {
    let emulator = emulator();
    let (group, ana) = with_member(&emulator);
    let empty = crm(&emulator, |account| {
        let bo = account.add_contact("bo@example.org");
        account.join(group, bo);
        account.bounce(bo);
        account.opt_out_of_group(group, ana);
        let carla = account.add_contact("carla@example.org");
        account.join(group, carla);
        account.opt_out_of_account(carla);
        account.add_group("Nobody")
    });
    let total = async |counted: Counted| {
        crm(&emulator, |account| {
            account.settings.greenrope.counted = counted;
        });
        let answer = greenrope(
            &emulator,
            &format!("<GetGroupsRequest group_id=\"{group}\"/>"),
        )
        .await;
        text(&answer, &["Groups", "Group", "TotalMatchingContacts"]).to_owned()
    };
    assert_eq!(total(Counted::All).await, "3");
    assert_eq!(total(Counted::NotOptedOut).await, "1");
    assert_eq!(total(Counted::NotBounced).await, "2");
    let read = format!("<GetContactsRequest group_id=\"{empty}\"/>");
    assert_eq!(
        text(&greenrope(&emulator, &read).await, &["Result"]),
        "Success"
    );
    crm(&emulator, |account| {
        account.settings.greenrope.empty_is_error = true;
    });
    assert_eq!(
        text(&greenrope(&emulator, &read).await, &["Result"]),
        "Error"
    );
}

#[tokio::test]
async fn adding_somebody_who_opted_out_subscribes_them_again_and_is_recorded() {
    let emulator = emulator();
    let (group, contact) = with_member(&emulator);
    crm(&emulator, |account| {
        account.opt_out_of_group(group, contact)
    });
    let add = format!(
        "<AddContactsToGroupRequest group_id=\"{group}\"><Contacts><Contact contact_id=\"{contact}\"/></Contacts>\
         </AddContactsToGroupRequest>"
    );
    greenrope(&emulator, &add).await;
    assert_eq!(
        crm(&emulator, |account| account.membership(group, contact)),
        Some(MembershipState::Active)
    );
    assert_eq!(
        changes(&emulator),
        [Change::GroupOptOutCleared { group, contact }]
    );
    assert_eq!(kinds(&emulator), [MisuseKind::Resubscribed]);
}

#[tokio::test]
async fn items_must_match_one_contact_and_stay_within_bounds() {
    let emulator = emulator();
    let (group, _) = with_member(&emulator);
    crm(&emulator, |account| {
        account.add_person("one@example.org", "James", "Johnson");
        account.add_person("one@example.org", "James", "Johnson");
    });
    let add = |items: &str| {
        format!(
            "<AddContactsToGroupRequest group_id=\"{group}\"><Contacts>{items}</Contacts></AddContactsToGroupRequest>"
        )
    };
    let items = "<Contact firstname=\"James\" lastname=\"Johnson\" request_id=\"r\"/><Contact contact_id=\"9\" request_id=\"r\"/>";
    let answer = greenrope(&emulator, &add(items)).await;
    let codes: Vec<&str> = answer.children[0]
        .children
        .iter()
        .map(|item| text(item, &["ErrorCode"]))
        .collect();
    assert_eq!(codes, ["1003", "1001"]);
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::DuplicateRequestId, MisuseKind::AmbiguousTarget]
    );
    emulator.clear_log();
    let many = (0..51).fold(String::new(), |many, number| {
        many + &format!("<Contact contact_id=\"{}\"/>", 5000 + number)
    });
    greenrope(&emulator, &add(&many)).await;
    assert_eq!(kinds(&emulator), [MisuseKind::TooManyItems]);
    assert_eq!(emulator.requests()[0].outcome, "partial");
    assert_eq!(
        text(&greenrope(&emulator, &add("")).await, &["Result"]),
        "Error"
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
async fn a_login_reaches_its_own_account_first() {
    let emulator = emulator();
    emulator.with_world(|world| {
        let mut shared = world.account("crm").logins[0].clone();
        shared.owner = false;
        shared.sees_groups = Some(std::iter::empty().collect());
        world
            .add_account(Account::new(Kind::GreenRope, "other", 7))
            .logins
            .push(shared);
        world.account_mut("other").add_group("Theirs");
    });
    let accounts = greenrope(&emulator, "<GetAccountsWithAccessRequest/>").await;
    let numbers: Vec<&str> = accounts
        .child("Accounts")
        .unwrap()
        .children
        .iter()
        .map(|account| text(account, &["AccountNumber"]))
        .collect();
    assert_eq!(numbers, ["45429", "7"]);
    let groups = greenrope(&emulator, "<GetGroupsRequest account_id=\"7\"/>").await;
    assert!(groups.child("Groups").unwrap().children.is_empty());
    let two = "<EditGroupsRequest account_id=\"7\"><Groups><Group account_id=\"45429\" group_id=\"1\"/></Groups></EditGroupsRequest>";
    assert_eq!(text(&greenrope(&emulator, two).await, &["Result"]), "Error");
    assert_eq!(kinds(&emulator), [MisuseKind::AccountUnclear]);
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
