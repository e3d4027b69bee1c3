mod contacts;
mod importer;
mod lists;
mod misuse;
mod protocol;
mod user_groups;
mod users;
mod version3;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::emulator::testing::{changes, send, text_of};
use crate::emulator::{Account, Actor, Change, Emulator, Kind, MembershipState, World};

/// What every new list needs.
const SENDER: [(&str, &str); 7] = [
    ("sender_name", "Example Society"),
    ("sender_addr1", "1 Example Street"),
    ("sender_zip", "62701"),
    ("sender_city", "Springfield"),
    ("sender_country", "USA"),
    ("sender_url", "https://www.example.org"),
    ("sender_reminder", "You signed up at www.example.org"),
];

/// One empty account called `campaigns`, without a pace.
fn emulator() -> Emulator {
    let mut world = World::empty();
    world
        .add_account(Account::new(Kind::ActiveCampaign, "campaigns", 30_001))
        .settings
        .requests_per_second = None;
    Emulator::new(world)
}

fn account<R>(emulator: &Emulator, edit: impl FnOnce(&mut Account) -> R) -> R {
    emulator.with_world(|world| edit(world.account_mut("campaigns")))
}

fn key(emulator: &Emulator) -> String {
    account(emulator, |account| account.credentials().token)
}

/// Lists `One` and `Two`, and a contact who is active on both.
fn with_member(emulator: &Emulator) -> (u64, u64, u64) {
    account(emulator, |account| {
        let one = account.add_group("One");
        let two = account.add_group("Two");
        let contact = account.add_person("ana@example.org", "Ana", "Silva");
        account.join_all(one, [contact]);
        account.join_all(two, [contact]);
        (one, two, contact)
    })
}

fn state(emulator: &Emulator, list: u64, contact: u64) -> Option<MembershipState> {
    account(emulator, |account| account.membership(list, contact))
}

fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// A version 1 request by POST with everything but the action in the body.
fn post(key: &str, action: &str, output: &str, fields: &[(&str, &str)]) -> Request<Body> {
    Request::post(format!(
        "/activecampaign/admin/api.php?api_action={action}&api_output={output}"
    ))
    .header("api-token", key)
    .header("content-type", "application/x-www-form-urlencoded")
    .body(Body::from(encode(fields.iter().copied())))
    .unwrap()
}

/// A version 1 request by GET.
fn get(key: &str, action: &str, output: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let query = encode(
        [("api_action", action), ("api_output", output)]
            .into_iter()
            .chain(fields.iter().copied()),
    );
    Request::get(format!("/activecampaign/admin/api.php?{query}"))
        .header("api-token", key)
        .body(Body::empty())
        .unwrap()
}

async fn answer(emulator: &Emulator, request: Request<Body>) -> Value {
    let response = send(emulator, request).await;
    assert_eq!(response.status(), 200);
    serde_json::from_str(&text_of(response).await).unwrap()
}

async fn write(emulator: &Emulator, action: &str, fields: &[(&str, &str)]) -> Value {
    answer(emulator, post(&key(emulator), action, "json", fields)).await
}

async fn read(emulator: &Emulator, action: &str, fields: &[(&str, &str)]) -> Value {
    answer(emulator, get(&key(emulator), action, "json", fields)).await
}

/// A version 3 request of the owner.
async fn v3(emulator: &Emulator, method: &str, path: &str, body: Value) -> (u16, Value) {
    v3_as(emulator, &key(emulator), method, path, body).await
}

async fn v3_as(
    emulator: &Emulator,
    key: &str,
    method: &str,
    path: &str,
    body: Value,
) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/activecampaign/api/3/{path}"))
        .header("Api-Token", key);
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let response = send(
        emulator,
        request
            .header("content-type", "application/json")
            .body(body)
            .unwrap(),
    )
    .await;
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_str(&text_of(response).await).unwrap(),
    )
}

/// The key of a user in a group that sees only the given lists and has the given permissions.
fn limited_key(emulator: &Emulator, lists: &[u64], flags: &[&str]) -> String {
    account(emulator, |account| {
        let group = account.add_user_group("Limited");
        account.user_group_mut(group).lists.extend(lists);
        account
            .user_group_mut(group)
            .permissions
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
        let user = account.add_user("limited", "limited@example.org", group);
        let login = crate::emulator::Login::of_user("campaigns", u32::try_from(user).unwrap());
        account.logins.push(login.clone());
        login.token
    })
}

fn nothing() -> Value {
    json!({"result_code": 0, "result_message": "Failed: Nothing is returned", "result_output": "json"})
}
