//! Version 3: paths, JSON both ways, and what its answers have in common.

mod contacts;
mod fields;
mod groups;
mod import;
mod lists;
mod memberships;
mod users;

use std::cell::OnceCell;

use axum::http::{Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::form::{Form, number};
use super::page::{Format, Page};
use super::{Call, V3_PATH};
use crate::emulator::State;
use crate::emulator::exchange::{Context, Incoming, Target};
use crate::emulator::login::Login;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::reply::{Document, Reply};

/// What a call comes to: a status and a body, refused or not.
type Answer = Result<(u16, Value), (u16, Value)>;

/// The largest page.
const MAX_LIMIT: u64 = 100;

/// The name that the request log has for a call: no address stands in it.
pub(super) fn operation_name(method: &Method, path: &str) -> String {
    let mut name = format!("{method} ");
    let mut before = "";
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        name.push('/');
        name.push_str(match before {
            "email" => "{email}",
            "username" => "{username}",
            _ if segment.starts_with(|character: char| character.is_ascii_digit()) => "{id}",
            _ if segment.len() <= 20
                && segment
                    .chars()
                    .all(|character| character.is_ascii_alphabetic() || character == '_') =>
            {
                segment
            }
            _ => "?",
        });
        before = segment;
    }
    name
}

/// Carries out a request.
pub(super) fn answer(
    state: &mut State,
    incoming: &Incoming,
    target: &Target,
    context: &mut Context,
    found: Option<(usize, Login)>,
) -> Reply {
    let path = incoming.path.strip_prefix(V3_PATH).unwrap_or("");
    let form = Form::read(incoming.query.as_deref().unwrap_or(""), &[], context);
    let State { world, backlog, .. } = state;
    let result = found.ok_or_else(forbidden).and_then(|(position, login)| {
        let body = read_body(incoming, context)?;
        let account = &mut world.accounts[position];
        route(
            &mut Call {
                account,
                login,
                context,
                backlog,
                form: &form,
                sees_everybody: OnceCell::new(),
            },
            &incoming.method,
            path,
            &body,
            incoming.body.len(),
        )
    });
    let outcome = match &result {
        Ok(_) => "ok".to_owned(),
        Err((status, _)) => format!("error {status}"),
    };
    let (status, value) = result.unwrap_or_else(|refusal| refusal);
    let format = if target.operation == "POST /import/bulk_import" {
        Format::JsonAsHtml
    } else {
        Format::Json
    };
    Reply {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        document: Document::Campaigns(Page { value, format }),
        outcome,
    }
}

fn read_body(incoming: &Incoming, context: &mut Context) -> Result<Value, (u16, Value)> {
    if incoming.body.is_empty() {
        return Ok(Value::Null);
    }
    let content_type = incoming.header(header::CONTENT_TYPE);
    if !content_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .eq_ignore_ascii_case("application/json")
    {
        context.misuse(
            MisuseKind::WrongContentType,
            "the body is not declared as application/json",
        );
        return Err((400, json!({"message": "The request body must be JSON."})));
    }
    serde_json::from_slice(&incoming.body).map_err(|_| {
        context.misuse(MisuseKind::UnreadableBody, "the body is not JSON");
        (
            400,
            json!({"message": "The request body could not be read."}),
        )
    })
}

fn route(call: &mut Call<'_>, method: &Method, path: &str, body: &Value, size: usize) -> Answer {
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let id = |segment: &str| number(segment);
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["contacts"]) => contacts::list(call),
        ("POST", ["contacts"]) => contacts::create(call, body),
        ("POST", ["contact", "sync"]) => contacts::sync(call, body),
        ("GET", ["contacts", one]) => contacts::view(call, id(one)),
        ("PUT", ["contacts", one]) => contacts::update(call, id(one), body),
        ("DELETE", ["contacts", one]) => contacts::delete(call, id(one)),
        ("GET", ["contacts", one, "contactLists"]) => memberships::of_contact(call, id(one)),
        ("GET", ["contacts", one, "fieldValues"]) => fields::values_of_contact(call, id(one)),
        ("GET", ["contactLists"]) => memberships::list(call),
        ("POST", ["contactLists"]) => memberships::save(call, body),
        ("GET", ["fields"]) => fields::list(call),
        ("POST", ["fields"]) => fields::create(call, body),
        ("POST", ["fieldRels"]) => fields::relate(call, body),
        ("GET", ["fieldValues"]) => fields::list_values(call),
        ("POST", ["fieldValues"]) => fields::save_value(call, body),
        ("GET", ["lists"]) => lists::list(call),
        ("POST", ["lists"]) => lists::create(call, body),
        ("GET", ["lists", one]) => lists::view(call, id(one)),
        ("PUT", ["lists", one]) => lists::update(call, id(one), body),
        ("DELETE", ["lists", one]) => lists::delete(call, id(one)),
        ("GET", ["groups"]) => groups::list(call),
        ("POST", ["groups"]) => groups::create(call, body),
        ("GET", ["groups", one]) => groups::view(call, id(one)),
        ("PUT", ["groups", one]) => groups::update(call, id(one), body),
        ("DELETE", ["groups", one]) => groups::delete(call, id(one)),
        ("GET", ["groupLimits"]) => groups::limits(call),
        ("GET", ["listGroups"]) => groups::links(call),
        ("POST", ["listGroups"]) => groups::link(call, body),
        ("DELETE", ["listGroups", one]) => groups::unlink(call, id(one)),
        ("GET", ["users"]) => users::list(call),
        ("POST", ["users"]) => users::create(call, body),
        ("GET", ["users", "me"]) => users::view(call, call.login.user_id),
        ("GET", ["users", "email", email]) => users::by_email(call, email),
        ("GET", ["users", "username", name]) => users::by_name(call, name),
        ("GET", ["users", one]) => users::view(call, id(one)),
        ("PUT", ["users", one]) => users::update(call, id(one), body),
        ("DELETE", ["users", one]) => users::delete(call, id(one)),
        ("GET", ["users", one, "userGroup" | "userGroups"] | ["userGroups", one]) => {
            users::edge(call, id(one))
        }
        ("GET", ["userGroups"]) => users::edges(call),
        ("POST", ["import", "bulk_import"]) => import::queue(call, body, size),
        ("GET", ["import", "bulk_import"]) => import::totals(call),
        ("GET", ["import", "info"]) => import::info(call),
        _ => {
            call.context
                .misuse(MisuseKind::UnknownOperation, "no such path");
            Err((404, json!({"message": "No Result found."})))
        }
    }
}

fn forbidden() -> (u16, Value) {
    (403, json!({"message": "Forbidden"}))
}

fn require(call: &Call<'_>, flag: &str) -> Result<(), (u16, Value)> {
    if call.may(flag) {
        Ok(())
    } else {
        Err(forbidden())
    }
}

/// An object that is not there, or not for this key.
fn not_found(what: &str, id: u64) -> (u16, Value) {
    (
        404,
        json!({"message": format!("No Result found for {what} with id {id}")}),
    )
}

/// A value that is not taken.
fn invalid(title: &str, field: &str, code: &str) -> (u16, Value) {
    (
        422,
        json!({"errors": [{"title": title, "detail": "", "code": code, "source": {"pointer": format!("/data/attributes/{field}")}}]}),
    )
}

/// The object in the body under its name.
fn wrapped<'a>(
    call: &mut Call<'_>,
    body: &'a Value,
    name: &str,
) -> Result<&'a Map<String, Value>, (u16, Value)> {
    body.get(name).and_then(Value::as_object).ok_or_else(|| {
        call.context
            .misuse(MisuseKind::MissingParameter, name.to_owned());
        invalid(
            &format!("The {name} was not provided."),
            name,
            "field_missing",
        )
    })
}

/// A value as text, whether it came as text, number or switch.
fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

fn id_of(value: Option<&Value>) -> u64 {
    text_of(value).map_or(0, |text| number(&text))
}

/// The bounds of the wanted page.
fn bounds(call: &mut Call<'_>) -> (usize, usize) {
    let limit = match call.form.number("limit") {
        0 => 20,
        limit if limit > MAX_LIMIT => {
            call.context
                .misuse(MisuseKind::TooManyItems, format!("limit {limit}"));
            MAX_LIMIT
        }
        limit => limit,
    };
    let cap = call.account.settings.activecampaign.page_cap;
    let limit = cap.map_or(limit as usize, |cap| cap.min(limit as usize));
    (call.form.number("offset") as usize, limit)
}

/// A page of rows under their name, with the total.
#[expect(clippy::unnecessary_wraps, reason = "the ends of calls read alike")]
fn page(call: &mut Call<'_>, name: &str, rows: Vec<Value>) -> Answer {
    let (offset, limit) = bounds(call);
    let total = rows.len().to_string();
    let rows: Vec<Value> = rows.into_iter().skip(offset).take(limit).collect();
    Ok((200, json!({name: rows, "meta": {"total": total}})))
}

/// Records query parameters that the call does not have; the service passes them over.
fn check_query(call: &mut Call<'_>, known: &[&str]) {
    for (name, _) in call.form.pairs() {
        if !known.contains(&name) && name != "limit" && name != "offset" && name != "api_key" {
            call.context.misuse(
                MisuseKind::UnknownParameter,
                name.chars().take(40).collect::<String>(),
            );
        }
    }
}
