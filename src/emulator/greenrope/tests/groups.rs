use super::*;

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
