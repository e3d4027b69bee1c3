//! contacts/import: many contacts at once, by address.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Call;
use super::contacts::{Row, SAVE, is_address};
use super::envelope::{Answer, Failure};
use super::members::Direction;
use super::params::{Params, missing, wrong_type};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::fold;

/// The most rows of one call.
const MOST: usize = 1000;

pub(super) fn import(call: &mut Call<'_>, params: &Params) -> Answer {
    let rows = match params.raw("contacts") {
        None => return Err(missing("contacts", call.context)),
        Some(Value::Array(rows)) => rows,
        Some(_) => return Err(wrong_type("contacts", "an array of objects", call.context)),
    };
    call.context.items = rows.len();
    let groups = params
        .ids("groupIDs", usize::MAX, call.context)?
        .unwrap_or_default();
    let removed_groups = params
        .ids("removeGroupIDs", usize::MAX, call.context)?
        .unwrap_or_default();
    let update = params.flag("updateExisting", call.context)?.unwrap_or(true);
    if rows.is_empty() || rows.len() > MOST {
        call.context.misuse(
            MisuseKind::TooManyItems,
            format!("{} rows of 1 to {MOST}", rows.len()),
        );
        return Err(Failure::new(
            Failure::INVALID,
            format!("contacts must hold 1 to {MOST} rows."),
        ));
    }
    for group in &groups {
        call.check_target(*group, Direction::In)?;
    }
    for group in &removed_groups {
        call.check_target(*group, Direction::Out)?;
    }
    let rows = read_rows(call, rows)?;
    if rows
        .iter()
        .any(|row| call.context.is_poison(row.email.as_deref().unwrap_or("")))
    {
        return Err(Failure::new(
            Failure::INVALID,
            "The contacts could not be imported.",
        ));
    }
    if call.account.settings.emfluence.bad_row_refuses_import
        && let Some(position) = rows
            .iter()
            .position(|row| !is_address(row.email.as_deref().unwrap_or("")))
    {
        return Err(Failure::new(
            Failure::INVALID,
            format!("Row {} has no valid email.", position + 1),
        ));
    }

    let mut seen = BTreeSet::new();
    let (mut inserted, mut updated) = (0, 0);
    let mut results = Vec::with_capacity(rows.len());
    for (position, row) in rows.iter().enumerate() {
        let email = row.email.as_deref().unwrap_or("");
        if !seen.insert(fold(email)) {
            call.context.misuse(
                MisuseKind::DuplicateInBatch,
                format!("row {}", position + 1),
            );
        }
        let refusal = if call.context.item_fails(position) {
            Some("The row could not be imported.")
        } else if !is_address(email) {
            Some("email is not a valid address.")
        } else {
            None
        };
        if let Some(message) = refusal {
            results
                .push(json!({"contactID": "", "email": email, "success": 0, "errors": [message]}));
            continue;
        }
        let contact = if let Some(contact) = call.account.contact_by_email(email) {
            if update {
                call.write_row(contact, row);
                // A refusal can be imported; taking one back can't.
                if row.suppressed == Some(true) {
                    call.account.opt_out_of_account(contact);
                } else if row.suppressed == Some(false)
                    && call
                        .account
                        .contact(contact)
                        .is_some_and(|contact| contact.opted_out.is_some())
                {
                    call.context.misuse(
                        MisuseKind::Resubscribed,
                        format!("contact {contact}, without effect"),
                    );
                }
                updated += 1;
            }
            contact
        } else {
            let contact = call.create_from(row);
            inserted += 1;
            contact
        };
        // Row results say nothing about groups, so a refused addition goes unnoticed here.
        for group in &groups {
            call.move_member(*group, contact, Direction::In).ok();
        }
        for group in &removed_groups {
            call.move_member(*group, contact, Direction::Out).ok();
        }
        results.push(json!({"contactID": contact, "email": email, "success": 1, "errors": []}));
    }
    call.context.failed_items = results
        .iter()
        .filter(|result| result["success"] == 0)
        .count();
    Ok(json!({
        "recordsInData": rows.len(),
        "recordsInserted": inserted,
        "recordsUpdated": updated,
        "contactResults": results,
    }))
}

/// Reads all rows, which must have the structure of the first.
fn read_rows(call: &mut Call<'_>, values: &[Value]) -> Result<Vec<Row>, Failure> {
    let mut structure = None;
    let mut rows = Vec::with_capacity(values.len());
    for (position, value) in values.iter().enumerate() {
        let Some(entry) = value.as_object() else {
            return Err(wrong_type("contacts", "an array of objects", call.context));
        };
        if let Some(name) = entry.keys().find(|name| !is_row_key(name)) {
            call.context
                .misuse(MisuseKind::UnknownParameter, format!("contacts[].{name}"));
            return Err(Failure::new(
                Failure::UNKNOWN,
                format!("Unknown key {name} in contacts."),
            ));
        }
        let keys = keys_of(entry);
        if *structure.get_or_insert_with(|| keys.clone()) != keys {
            call.context
                .misuse(MisuseKind::UnevenRows, format!("row {}", position + 1));
            return Err(Failure::new(
                Failure::INVALID,
                "All contacts must have the structure of the first.",
            ));
        }
        if !entry.contains_key("email") {
            return Err(missing("contacts[].email", call.context));
        }
        rows.push(call.read_row(entry)?);
    }
    Ok(rows)
}

/// Contacts are matched by address here, so a row has no id, and groups stand beside the rows.
fn is_row_key(name: &str) -> bool {
    SAVE.contains(&name)
        && !["contactID", "groupIDs", "removeGroupIDs", "held", "userID"].contains(&name)
}

/// The names of all values, nested ones as paths.
fn keys_of(row: &Map<String, Value>) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (name, value) in row {
        match value {
            Value::Object(nested) => {
                keys.insert(name.clone());
                keys.extend(
                    keys_of(nested)
                        .into_iter()
                        .map(|key| format!("{name}.{key}")),
                );
            }
            _ => {
                keys.insert(name.clone());
            }
        }
    }
    keys
}
