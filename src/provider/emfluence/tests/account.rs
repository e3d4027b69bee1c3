//! A small account that answers like the service, for tests of the order of calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value as Json, json};
use url::Url;

use crate::http::{Account, AccountOptions, Transport};
use crate::provider::emfluence::{Emfluence, EmfluenceOptions, Fingerprint};
use crate::provider::testing::{Read, read_members};
use crate::provider::{ReadError, Role, Source};

pub(super) const TOKEN: &str = "5ec2e7aa-0000-4000-8000-c0ffee000000";

/// A contact: address, on hold, opted out of the account.
type Person = (&'static str, bool, bool);

#[derive(Default)]
pub(super) struct World {
    pub(super) contacts: BTreeMap<i64, (String, bool, bool)>,
    /// Name, type, and the members with their opt-outs of the group.
    pub(super) groups: BTreeMap<i64, (String, &'static str, BTreeMap<i64, bool>)>,
    pub(super) requests: Vec<(String, Json)>,
    /// How a look-up of nobody is answered.
    pub(super) not_found: Json,
}

impl World {
    pub(super) fn new(contacts: &[(i64, Person)]) -> Self {
        World {
            contacts: contacts
                .iter()
                .map(|(id, (email, held, suppressed))| {
                    (*id, ((*email).to_owned(), *held, *suppressed))
                })
                .collect(),
            not_found: json!({"success": 0, "code": 300, "errors": ["The contact was not found."]}),
            ..World::default()
        }
    }

    pub(super) fn group(
        mut self,
        id: i64,
        name: &str,
        kind: &'static str,
        members: &[(i64, bool)],
    ) -> Self {
        self.groups.insert(
            id,
            (name.to_owned(), kind, members.iter().copied().collect()),
        );
        self
    }

    /// Adds people who are in no group.
    pub(super) fn crowd(mut self, ids: std::ops::Range<i64>) -> Self {
        for id in ids {
            self.contacts
                .insert(id, (format!("person{id}@example.org"), false, false));
        }
        self
    }

    fn answer(&self, operation: &str, body: &Json) -> Json {
        let id = |name: &str| body[name].as_i64();
        match operation {
            "helper/ping" => json!({"success": 1, "code": 0, "data": {"message": "pong"}}),
            "groups/search" => {
                let wanted = body["groupIDs"].as_array();
                let rows = self
                    .groups
                    .keys()
                    .filter(|id| wanted.is_none_or(|wanted| wanted.contains(&json!(id))));
                page(
                    body,
                    20,
                    rows.map(|id| self.group_object(*id, false)).collect(),
                )
            }
            "groups/lookup" => {
                let wanted = body["groupIDs"].as_array().unwrap();
                let rows: Vec<Json> = self
                    .groups
                    .keys()
                    .filter(|id| wanted.contains(&json!(id)))
                    .map(|id| self.group_object(*id, true))
                    .collect();
                json!({"success": 1, "code": 0, "data": rows})
            }
            "groups/getContacts" => {
                let (_, _, members) = &self.groups[&id("groupID").unwrap()];
                let kind = body["suppressed"].as_i64().map(|kind| kind == 1);
                let rows = members
                    .iter()
                    .filter(|(_, suppressed)| kind.is_none_or(|kind| kind == **suppressed));
                page(
                    body,
                    100,
                    rows.map(
                        |(id, suppressed)| json!({"contactID": id, "email": self.contacts[id].0, "suppressed": i32::from(*suppressed)}),
                    )
                    .collect(),
                )
            }
            "contacts/search" => {
                let rows = self
                    .contacts
                    .iter()
                    .filter(|(contact, (email, held, suppressed))| {
                        id("groupID")
                            .is_none_or(|group| self.groups[&group].2.contains_key(contact))
                            && body.get("held").is_none_or(|_| *held)
                            && body.get("suppressed").is_none_or(|_| *suppressed)
                            && body.get("email").is_none_or(|wanted| wanted == email)
                    });
                page(
                    body,
                    25,
                    rows.map(|(id, _)| self.contact_object(*id)).collect(),
                )
            }
            "contacts/lookup" => match self
                .contacts
                .iter()
                .find(|(_, (email, ..))| body["email"] == json!(email))
            {
                Some((id, _)) => json!({"success": 1, "code": 0, "data": self.contact_object(*id)}),
                None => self.not_found.clone(),
            },
            _ => {
                json!({"success": 0, "code": 200, "errors": [format!("There is no {operation}.")]})
            }
        }
    }

    fn contact_object(&self, id: i64) -> Json {
        let (email, held, suppressed) = &self.contacts[&id];
        json!({"contactID": id, "email": email, "held": i32::from(*held), "suppressed": i32::from(*suppressed), "firstName": format!("First {id}")})
    }

    fn group_object(&self, id: i64, full: bool) -> Json {
        let (name, kind, members) = &self.groups[&id];
        let mut group = json!({"groupID": id, "groupName": name, "type": kind, "status": "Active", "private": 1, "totalMembers": members.len()});
        if full {
            group["protected"] = json!(0);
            group["externalID"] = json!(format!("ext-{id}"));
        }
        group
    }
}

fn page(body: &Json, default: usize, rows: Vec<Json>) -> Json {
    let number = body["page"].as_u64().unwrap_or(1) as usize;
    let size = body["rpp"].as_u64().map_or(default, |size| size as usize);
    let total = rows.len();
    let pages = total.div_ceil(size);
    let records: Vec<Json> = rows
        .into_iter()
        .skip((number - 1) * size)
        .take(size)
        .collect();
    let next = if number < pages { "next" } else { "" };
    json!({"success": 1, "code": 0, "data": {"records": records,
        "paging": {"page": number, "rpp": size, "totalPages": pages, "totalRecords": total, "next": next, "prev": ""}}})
}

/// What a test makes of an answer: the operation, the parameters, the answer.
pub(super) type Twist = dyn Fn(&str, &Json, Json) -> Json + Send + Sync;

#[derive(Clone)]
pub(super) struct Service {
    world: Arc<Mutex<World>>,
}

impl Service {
    pub(super) fn new(world: World) -> Self {
        Service {
            world: Arc::new(Mutex::new(world)),
        }
    }

    /// Makes an adapter that talks to this account.
    pub(super) fn adapter(
        &self,
        twist: impl Fn(&str, &Json, Json) -> Json + Send + Sync + 'static,
    ) -> Emfluence {
        self.adapter_with(None, twist)
    }

    pub(super) fn adapter_with(
        &self,
        fingerprint: Option<Fingerprint>,
        twist: impl Fn(&str, &Json, Json) -> Json + Send + Sync + 'static,
    ) -> Emfluence {
        let world = self.world.clone();
        let twist: Arc<Twist> = Arc::new(twist);
        let respond = move |Path((resource, method)): Path<(String, String)>,
                            headers: HeaderMap,
                            bytes: Bytes| {
            let (world, twist) = (world.clone(), twist.clone());
            async move {
                let operation = format!("{resource}/{method}");
                let body: Json = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
                let mut world = world.lock().unwrap();
                world.requests.push((operation.clone(), body.clone()));
                let answer = world.answer(&operation, &body);
                let answer = twist(&operation, &body, answer);
                // A test asks for a failure of the server with null.
                if answer.is_null() {
                    Response::builder().status(500).body("".into()).unwrap()
                } else {
                    answer.to_string().into_response()
                }
            }
        };
        let router = Router::new().route("/v1/{resource}/{method}", post(respond));
        let mut options = AccountOptions::new(
            "mail",
            Url::parse("http://localhost/v1").unwrap(),
            Transport::Local(router),
        );
        options.max_retries = 1;
        Emfluence::new(
            EmfluenceOptions {
                access_token: TOKEN.into(),
                fingerprint,
                neighbours: Vec::new(),
                batch_cap: None,
            },
            Account::new(options),
        )
    }

    /// Counts the requests since the last time, by operation.
    pub(super) fn requests(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (operation, _) in std::mem::take(&mut self.world.lock().unwrap().requests) {
            *counts.entry(operation).or_insert(0) += 1;
        }
        counts
    }

    /// Takes the bodies of the requests since the last time.
    pub(super) fn bodies(&self) -> Vec<(String, Json)> {
        std::mem::take(&mut self.world.lock().unwrap().requests)
    }
}

/// Reads all groups of the adapter's account and their members.
pub(super) async fn read(
    adapter: &Emfluence,
    fields: &[&str],
    role: Role<'_>,
) -> Result<Read, ReadError> {
    let (groups, certificate) = adapter.groups(&|_, _| true).await?;
    read_members(adapter, &groups, &certificate, fields, role).await
}

/// Hands back the answer as it is.
pub(super) fn plain(_: &str, _: &Json, answer: Json) -> Json {
    answer
}
