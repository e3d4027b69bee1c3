//! The bulk importer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Answer, check_query, id_of, require, text_of};
use crate::emulator::activecampaign::Call;
use crate::emulator::activecampaign::backlog::Row;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::fold;

/// The most contacts of one request.
const MAX_CONTACTS: usize = 250;
/// A body must be smaller than this many bytes.
const BODY_LIMIT: usize = 400_000;

fn refuse(message: &str, reasons: Vec<Value>) -> (u16, Value) {
    (
        400,
        json!({"success": 0, "message": message, "failureReasons": reasons}),
    )
}

pub(super) fn queue(call: &mut Call<'_>, body: &Value, size: usize) -> Answer {
    require(call, "pg_subscriber_import")?;
    let Some(contacts) = body
        .get("contacts")
        .and_then(Value::as_array)
        .filter(|contacts| !contacts.is_empty())
    else {
        call.context
            .misuse(MisuseKind::MissingParameter, "contacts");
        return Err(refuse(
            "No contacts were provided.",
            vec![json!("No contacts were provided.")],
        ));
    };
    call.context.items = contacts.len();
    let name = call.account.name.clone();
    if !call
        .backlog
        .admit(&name, call.context.instant(), contacts.len() == 1)
    {
        call.context.misuse(
            MisuseKind::TooFast,
            format!("an import of {} contacts", contacts.len()),
        );
        return Err(refuse(
            "Rate limit exceeded.",
            vec![json!("Rate limit exceeded.")],
        ));
    }
    if size >= BODY_LIMIT {
        call.context
            .misuse(MisuseKind::TooLong, format!("{size} bytes"));
        return Err(refuse(
            "The request body is too large.",
            vec![json!("The request body is too large.")],
        ));
    }
    if contacts.len() > MAX_CONTACTS {
        call.context.misuse(
            MisuseKind::TooManyItems,
            format!("{} contacts", contacts.len()),
        );
        return Err(refuse(
            "Too many contacts.",
            vec![json!("No more than 250 contacts may be imported at once.")],
        ));
    }
    for name in body.as_object().into_iter().flatten().map(|(name, _)| name) {
        if name != "contacts" && name != "callback" {
            call.context.misuse(
                MisuseKind::UnknownParameter,
                name.chars().take(40).collect::<String>(),
            );
        }
    }
    let mut rows = Vec::new();
    let mut reasons = Vec::new();
    let mut seen = BTreeSet::new();
    for (position, contact) in contacts.iter().enumerate() {
        match call.read_row(contact) {
            Ok(mut row) => {
                row.fails = call.context.item_fails(position);
                let twice = !seen.insert(fold(&row.email));
                if twice || call.backlog.is_in_flight(&name, &row.email) {
                    call.context
                        .misuse(MisuseKind::DuplicateInBatch, format!("contact {position}"));
                }
                rows.push(row);
            }
            Err(reason) => reasons.push(json!({"contact": position, "failureReason": reason})),
        }
    }
    if !reasons.is_empty() {
        return Err(refuse(
            "Some of the contacts could not be imported.",
            reasons,
        ));
    }
    let count = rows.len();
    let id = call.queue_import(rows);
    Ok((
        200,
        json!({"success": 1, "queued_contacts": count, "batchId": id, "message": "Contact import queued"}),
    ))
}

impl Call<'_> {
    fn read_row(&mut self, contact: &Value) -> Result<Row, String> {
        let Some(given) = contact.as_object() else {
            return Err("The contact is not an object.".to_owned());
        };
        let mut row = Row::default();
        for (name, value) in given {
            let text = text_of(Some(value)).unwrap_or_default();
            match name.as_str() {
                "email" => row.email = text,
                "first_name" => row.values.profile.push(("first_name", text)),
                "last_name" => row.values.profile.push(("last_name", text)),
                "phone" => row.values.profile.push(("phone", text)),
                "customer_acct_name" => row.values.profile.push(("company", text)),
                "tags" => {
                    row.values.tags = value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|tag| text_of(Some(tag)))
                        .collect();
                }
                "fields" => {
                    for field in value.as_array().into_iter().flatten() {
                        let id = id_of(field.get("id"));
                        let known = self
                            .account
                            .fields
                            .iter()
                            .find(|known| known.id == id)
                            .ok_or_else(|| format!("Field {id} does not exist."))?;
                        row.values.custom.push((
                            known.name.clone(),
                            text_of(field.get("value")).unwrap_or_default(),
                        ));
                    }
                }
                "subscribe" => row.subscribe = self.read_lists(value)?,
                "unsubscribe" => row.unsubscribe = self.read_lists(value)?,
                "exclude_automations" => match value.as_bool() {
                    Some(flag) => row.exclude_automations = flag,
                    None => return Err("exclude_automations must be a boolean.".to_owned()),
                },
                _ => self.context.misuse(
                    MisuseKind::UnknownParameter,
                    name.chars().take(40).collect::<String>(),
                ),
            }
        }
        if row.email.is_empty() {
            self.context.misuse(MisuseKind::MissingParameter, "email");
            return Err("The email address is missing.".to_owned());
        }
        if self.context.is_poison(&row.email) {
            return Err("The email address is not valid.".to_owned());
        }
        Ok(row)
    }

    fn read_lists(&self, value: &Value) -> Result<Vec<u64>, String> {
        let mut lists = Vec::new();
        for entry in value.as_array().ok_or("The lists are not an array.")? {
            let list = id_of(entry.get("listid"));
            if !self.sees_list(list) {
                return Err(format!("List {list} does not exist."));
            }
            lists.push(list);
        }
        Ok(lists)
    }
}

pub(super) fn info(call: &mut Call<'_>) -> Answer {
    check_query(call, &["batchId"]);
    let id = call.form.text("batchId");
    if id.is_empty() {
        call.context.misuse(MisuseKind::MissingParameter, "batchId");
        return Err((400, json!({"message": "batchId is required."})));
    }
    let Some(batch) = call
        .backlog
        .batches_of(&call.account.name)
        .find(|batch| batch.id == id)
    else {
        return Ok((200, json!({"status": false, "success": [], "failure": []})));
    };
    let status = batch
        .status(call.context.instant())
        .map_or(json!(false), |status| json!(status));
    let created: Vec<String> = batch.created.iter().map(u64::to_string).collect();
    Ok((
        200,
        json!({"status": status, "success": created, "failure": batch.failed}),
    ))
}

/// Batches and contacts per day, those under way and those that were finished.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all calls")]
pub(super) fn totals(call: &mut Call<'_>) -> Answer {
    let mut days: [BTreeMap<String, (usize, usize)>; 2] = Default::default();
    for batch in call.backlog.batches_of(&call.account.name) {
        let counts = days[usize::from(batch.completed)]
            .entry(batch.day.to_string())
            .or_default();
        counts.0 += 1;
        counts.1 += batch.contacts;
    }
    let [outstanding, completed] = days.map(|days| {
        let rows = days
            .into_iter()
            .map(|(day, (batches, contacts))| json!({"day": day, "batches": batches.to_string(), "contacts": contacts.to_string()}));
        rows.collect::<Vec<Value>>()
    });
    Ok((
        200,
        json!({"outstanding": outstanding, "recentlyCompleted": completed}),
    ))
}
