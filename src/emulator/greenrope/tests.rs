use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

use super::xml::Node;
use crate::emulator::{Account, Emulator, Kind, MisuseKind, World};

/// One empty account called `crm`.
fn account() -> Emulator {
    let mut world = World::empty();
    world.add_account(Account::new(Kind::GreenRope, "crm", 45429));
    Emulator::new(world)
}

async fn post(emulator: &Emulator, fields: &[(&str, &str)]) -> String {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request =
        Request::post("/greenrope/api-xml").header("content-type", "application/x-www-form-urlencoded").body(Body::from(form)).unwrap();
    let response = emulator.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

/// Sends a request with the owner's fixed token.
async fn call(emulator: &Emulator, xml: &str) -> Node {
    let credentials = emulator.with_world(|world| world.account("crm").credentials());
    let fields = [("email", credentials.email.as_str()), ("auth_token", &credentials.token), ("xml", xml)];
    Node::parse(&post(emulator, &fields).await).unwrap().root
}

fn text<'a>(node: &'a Node, path: &[&str]) -> &'a str {
    let mut node = node;
    for name in path {
        node = node.child(name).unwrap_or_else(|| panic!("no {name} in {}", node.to_xml()));
    }
    &node.text
}

fn kinds(emulator: &Emulator) -> Vec<MisuseKind> {
    emulator.misuse().into_iter().map(|misuse| misuse.kind).collect()
}

#[tokio::test]
async fn a_group_is_made_filled_read_and_emptied() {
    let emulator = account();
    let credentials = emulator.with_world(|world| world.account("crm").credentials());
    let login = [
        ("email", credentials.email.as_str()),
        ("password", &credentials.password),
        ("xml", "<GetAuthTokenRequest></GetAuthTokenRequest>"),
    ];
    let token = Node::parse(&post(&emulator, &login).await).unwrap().root;
    let token = text(&token, &["Token"]);
    let ask = async |xml: &str| {
        let fields = [("email", credentials.email.as_str()), ("auth_token", token), ("xml", xml)];
        Node::parse(&post(&emulator, &fields).await).unwrap().root
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
    let members = ask(&format!("<GetContactsRequest account_id=\"45429\" group_id=\"{group}\"></GetContactsRequest>")).await;
    assert_eq!(text(&members, &["TotalMatchingContacts"]), "1");
    assert_eq!(text(&members, &["Contacts", "Contact", "Zip"]), "01234");
    assert_eq!(text(&members, &["Contacts", "Contact", "Groups", "Group", "Name"]), "A & B");
    let groups = call(&emulator, &format!("<GetGroupsRequest group_id=\"{group}\"/>")).await;
    assert_eq!(text(&groups, &["Groups", "Group", "TotalMatchingContacts"]), "1");
    ask(&format!(
        "<DeleteContactsFromGroupRequest account_id=\"45429\" group_id=\"{group}\"><Contacts>\
         <Contact contact_id=\"{contact}\" request_id=\"r1\"/></Contacts></DeleteContactsFromGroupRequest>"
    ))
    .await;
    let groups = call(&emulator, &format!("<GetGroupsRequest group_id=\"{group}\"/>")).await;
    assert_eq!(text(&groups, &["Groups", "Group", "TotalMatchingContacts"]), "0");
    assert_eq!(kinds(&emulator), []);
}
