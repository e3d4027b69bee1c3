//! What the emulator's own tests have in common.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use axum::response::Response;
use serde_json::Value;
use tower::ServiceExt;

use super::greenrope::Node;
use super::{Account, Actor, Change, Emulator, Kind, MisuseKind, World};

/// One emfluence account called `mail` and one GreenRope account called `crm`, both empty and
/// without a pace.
pub(super) fn emulator() -> Emulator {
    let mut world = World::empty();
    world
        .add_account(Account::new(Kind::Emfluence, "mail", 1))
        .settings
        .requests_per_minute = None;
    world.add_account(Account::new(Kind::GreenRope, "crm", 45_429));
    Emulator::new(world)
}

pub(super) fn mail<R>(emulator: &Emulator, edit: impl FnOnce(&mut Account) -> R) -> R {
    emulator.with_world(|world| edit(world.account_mut("mail")))
}

pub(super) fn crm<R>(emulator: &Emulator, edit: impl FnOnce(&mut Account) -> R) -> R {
    emulator.with_world(|world| edit(world.account_mut("crm")))
}

pub(super) fn kinds(emulator: &Emulator) -> Vec<MisuseKind> {
    emulator
        .misuse()
        .into_iter()
        .map(|misuse| misuse.kind)
        .collect()
}

/// What API requests changed.
pub(super) fn changes(emulator: &Emulator) -> Vec<Change> {
    emulator
        .history()
        .into_iter()
        .filter(|event| matches!(event.actor, Actor::Request(_)))
        .map(|event| event.change)
        .collect()
}

pub(super) async fn send(emulator: &Emulator, request: Request<Body>) -> Response {
    emulator.router().oneshot(request).await.unwrap()
}

pub(super) async fn text_of(response: Response) -> String {
    String::from_utf8(
        to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap()
            .to_vec(),
    )
    .unwrap()
}

/// A well-formed emfluence request of the owner.
pub(super) fn emfluence_request(emulator: &Emulator, path: &str, body: &Value) -> Request<Body> {
    let token = mail(emulator, |account| account.credentials().token);
    Request::builder()
        .method(Method::POST)
        .uri(format!("/emfluence/v1/{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// Sends an emfluence request and reads the envelope.
pub(super) async fn emfluence(emulator: &Emulator, path: &str, body: Value) -> Value {
    let response = send(emulator, emfluence_request(emulator, path, &body)).await;
    assert_eq!(response.status(), 200);
    serde_json::from_str(&text_of(response).await).unwrap()
}

/// A GreenRope request with these form fields.
pub(super) fn form_request(fields: &[(&str, &str)]) -> Request<Body> {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    Request::post("/greenrope/api-xml")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap()
}

/// Sends a GreenRope request with these form fields and returns the body.
pub(super) async fn form(emulator: &Emulator, fields: &[(&str, &str)]) -> String {
    let response = send(emulator, form_request(fields)).await;
    assert_eq!(response.status(), 200);
    text_of(response).await
}

/// Sends a GreenRope request with the owner's fixed token.
pub(super) async fn greenrope(emulator: &Emulator, xml: &str) -> Node {
    let credentials = crm(emulator, |account| account.credentials());
    let fields = [
        ("email", credentials.email.as_str()),
        ("auth_token", &credentials.token),
        ("xml", xml),
    ];
    Node::parse(&form(emulator, &fields).await).unwrap().root
}
