mod contacts;
mod groups;
mod large;
mod misuse;

use std::time::Duration;

use super::xml::Node;
use crate::emulator::testing::{
    changes, crm, emulator, form, form_request, greenrope, kinds, send, text_of,
};
use crate::emulator::{
    Account, Change, Counted, CustomField, Emulator, GreenRopeQuirks, Kind, Login, MembershipState,
    MisuseKind, UnknownGroup,
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
    let created =
        ask("<CreateGroupRequest account_id=\"45429\"><Name>A &amp; B</Name><GroupType>Hidden</GroupType></CreateGroupRequest>").await;
    let group = text(&created, &["Group_id"]).to_owned();
    let added = ask("<AddContactsRequest account_id=\"45429\"><Contacts><Contact account_id=\"45429\"><Email>ana+x@example.org</Email>\
         <Zip>01234</Zip></Contact></Contacts></AddContactsRequest>")
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
