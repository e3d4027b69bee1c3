//! Custom fields and their values in version 3.

use serde_json::{Value, json};

use super::{Answer, check_query, id_of, invalid, not_found, page, require, text_of, wrapped};
use crate::emulator::activecampaign::Call;
use crate::emulator::activecampaign::contact_values::Values;
use crate::emulator::activecampaign::lists::slug;
use crate::emulator::activecampaign::rows::{edge_id, iso};
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Account, Contact, CustomField};

/// The words for the types of version 1.
const TYPES: [(&str, &str); 8] = [
    ("1", "text"),
    ("2", "textarea"),
    ("3", "checkbox"),
    ("4", "radio"),
    ("5", "dropdown"),
    ("6", "hidden"),
    ("7", "listbox"),
    ("9", "date"),
];

pub(super) fn value_rows(account: &Account, contact: &Contact) -> Vec<Value> {
    let held = account
        .fields
        .iter()
        .filter_map(|field| Some((field, contact.custom.get(&field.name)?)));
    held.map(|(field, value)| {
        json!({
            "id": edge_id(contact.id, field.id).to_string(),
            "contact": contact.id.to_string(),
            "owner": contact.id.to_string(),
            "field": field.id.to_string(),
            "value": value,
            "cdate": iso(contact.added),
            "udate": iso(contact.modified),
        })
    })
    .collect()
}

fn definition(field: &CustomField) -> Value {
    let word = TYPES
        .iter()
        .find(|(number, _)| *number == field.data_type)
        .map_or("text", |(_, word)| *word);
    json!({
        "id": field.id.to_string(),
        "title": field.label,
        "descript": "",
        "type": word,
        "isrequired": "0",
        "perstag": field.name,
        "defval": Value::Null,
        "visible": "1",
        "options": field.possible_values,
        "udate": iso(field.modified),
    })
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let rows = call.account.fields.iter().map(definition).collect();
    let (status, mut answer) = page(call, "fields", rows)?;
    let relations = |field: &CustomField| {
        if field.lists.is_empty() {
            vec![0]
        } else {
            field.lists.clone()
        }
    };
    answer["fieldRels"] = call
        .account
        .fields
        .iter()
        .flat_map(|field| {
            relations(field)
                .into_iter()
                .map(|list| json!({"id": edge_id(field.id, list).to_string(), "field": field.id.to_string(), "relid": list.to_string()}))
        })
        .collect();
    answer["fieldOptions"] = call
        .account
        .fields
        .iter()
        .flat_map(|field| {
            field.possible_values.iter().enumerate().map(|(position, value)| {
                json!({"id": edge_id(field.id, position as u64 + 1).to_string(), "field": field.id.to_string(), "orderid": (position + 1).to_string(), "value": value, "label": value})
            })
        })
        .collect();
    Ok((status, answer))
}

pub(super) fn create(call: &mut Call<'_>, body: &Value) -> Answer {
    require(call, "pg_subscriber_fields")?;
    let given = wrapped(call, body, "field")?;
    let title = text_of(given.get("title")).unwrap_or_default();
    let word = text_of(given.get("type")).unwrap_or_default();
    let Some((number, _)) = TYPES
        .iter()
        .find(|(_, known)| *known == word)
        .filter(|_| !title.is_empty())
    else {
        call.context
            .misuse(MisuseKind::MissingParameter, "title or type");
        return Err(invalid(
            "The field needs a title and a known type.",
            "type",
            "field_missing",
        ));
    };
    let tag = text_of(given.get("perstag"))
        .filter(|tag| !tag.is_empty())
        .unwrap_or_else(|| slug(&title).replace('-', "_"));
    let name = tag.to_uppercase();
    if call.account.fields.iter().any(|field| field.name == name) {
        return Err(invalid(
            "The personalization tag is already in use.",
            "perstag",
            "duplicate",
        ));
    }
    let id = call
        .account
        .fields
        .iter()
        .map(|field| field.id)
        .max()
        .unwrap_or(0)
        + 1;
    let field = CustomField {
        id,
        name: name.clone(),
        label: title,
        data_type: (*number).to_owned(),
        editable: "Visible".to_owned(),
        modified: call.account.now,
        ..CustomField::default()
    };
    let answer = json!({"field": definition(&field)});
    call.account.fields.push(field);
    call.account.record(Change::FieldChanged { field: name });
    Ok((201, answer))
}

/// Makes a field belong to a list; list 0 stands for all.
pub(super) fn relate(call: &mut Call<'_>, body: &Value) -> Answer {
    require(call, "pg_subscriber_fields")?;
    let given = wrapped(call, body, "fieldRel")?;
    let (id, list) = (id_of(given.get("field")), id_of(given.get("relid")));
    if list != 0 && !call.sees_list(list) {
        return Err(not_found("_List", list));
    }
    let Some(field) = call.account.fields.iter_mut().find(|field| field.id == id) else {
        return Err(not_found("Field", id));
    };
    if list != 0 && !field.lists.contains(&list) {
        field.lists.push(list);
    }
    Ok((
        201,
        json!({"fieldRel": {"id": edge_id(id, list).to_string(), "field": id.to_string(), "relid": list.to_string()}}),
    ))
}

pub(super) fn values_of_contact(call: &mut Call<'_>, id: u64) -> Answer {
    let Some(contact) = call.visible_contact(id) else {
        return Err(not_found("Subscriber", id));
    };
    Ok((
        200,
        json!({"fieldValues": value_rows(call.account, contact)}),
    ))
}

pub(super) fn list_values(call: &mut Call<'_>) -> Answer {
    check_query(call, &["filters[fieldid]", "filters[val]"]);
    let field = call.form.text("filters[fieldid]");
    let value = call.form.text("filters[val]");
    let contacts = call
        .account
        .contacts
        .values()
        .filter(|contact| call.sees_contact(contact));
    let rows = contacts
        .flat_map(|contact| value_rows(call.account, contact))
        .filter(|row| {
            (field.is_empty() || row["field"] == field)
                && (value.is_empty() || row["value"] == value)
        })
        .collect();
    page(call, "fieldValues", rows)
}

pub(super) fn save_value(call: &mut Call<'_>, body: &Value) -> Answer {
    require(call, "pg_subscriber_edit")?;
    let given = wrapped(call, body, "fieldValue")?;
    let (contact, field) = (id_of(given.get("contact")), id_of(given.get("field")));
    if call.visible_contact(contact).is_none() {
        return Err(not_found("Subscriber", contact));
    }
    let Some(name) = call
        .account
        .fields
        .iter()
        .find(|known| known.id == field)
        .map(|field| field.name.clone())
    else {
        return Err(not_found("Field", field));
    };
    let value = text_of(given.get("value")).unwrap_or_default();
    call.write_values(
        contact,
        &Values {
            custom: vec![(name, value.clone())],
            ..Values::default()
        },
    );
    let row = json!({"id": edge_id(contact, field).to_string(), "contact": contact.to_string(), "field": field.to_string(), "value": value});
    Ok((201, json!({"fieldValue": row})))
}
