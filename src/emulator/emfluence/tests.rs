use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::emulator::{Account, Emulator, Kind, MembershipState, MisuseKind, World};

/// One empty account called `mail`.
fn account() -> Emulator {
    let mut world = World::empty();
    world.add_account(Account::new(Kind::Emfluence, "mail", 1));
    Emulator::new(world)
}

async fn send(emulator: &Emulator, request: Request<Body>) -> Value {
    let response = emulator.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
}

fn request(emulator: &Emulator, path: &str, body: &Value) -> Request<Body> {
    let token = emulator.with_world(|world| world.account("mail").credentials().token);
    Request::builder()
        .method(Method::POST)
        .uri(format!("/emfluence/v1/{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

async fn call(emulator: &Emulator, path: &str, body: Value) -> Value {
    send(emulator, request(emulator, path, &body)).await
}

fn kinds(emulator: &Emulator) -> Vec<MisuseKind> {
    emulator.misuse().into_iter().map(|misuse| misuse.kind).collect()
}

#[tokio::test]
async fn a_group_is_made_filled_read_and_emptied() {
    let emulator = account();
    let group = call(&emulator, "groups/save", json!({"groupName": "Donors", "private": 1, "protected": 1})).await;
    let id = group["data"]["groupID"].as_u64().unwrap();
    let rows = json!({"contacts": [{"email": "ana@example.org"}, {"email": "bo@example.org"}], "groupIDs": [id]});
    let imported = call(&emulator, "contacts/import", rows).await;
    assert_eq!(imported["data"]["recordsInserted"], 2);
    let listed = call(&emulator, "groups/getContacts", json!({"groupID": id})).await;
    assert_eq!(listed["data"]["paging"]["totalRecords"], 2);
    let contact = listed["data"]["records"][0]["contactID"].clone();
    let removed = call(&emulator, "groups/removeContacts", json!({"groupID": id, "contactIDs": [contact]})).await;
    assert_eq!(removed["data"]["totalSuccess"], 1);
    let found = call(&emulator, "groups/lookup", json!({"groupID": id})).await;
    assert_eq!(found["data"]["totalMembers"], 1);
    assert_eq!(found["data"]["protected"], 1);
    assert_eq!(kinds(&emulator), []);
    assert_eq!(emulator.requests().len(), 5);
    assert_eq!(emulator.with_world(|world| world.account("mail").members_of(id)).len(), 1);
    assert_eq!(emulator.with_world(|world| world.account("mail").members_of(id)[0].1), MembershipState::Active);
}
