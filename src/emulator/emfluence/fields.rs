//! The definitions of custom fields, which only a client admin may read.

use serde_json::{Value, json};

use super::Call;
use super::envelope::{Answer, Failure};
use super::params::{Params, missing};
use crate::emulator::world::CustomField;

pub(super) fn search(call: &mut Call<'_>, params: &Params) -> Answer {
    let page = call.page(params, 25, 250)?;
    let fields = call.account.fields.clone();
    Ok(call.paged(&page, &fields, |_, field| show(field)))
}

pub(super) fn lookup(call: &mut Call<'_>, params: &Params) -> Answer {
    let name = params
        .text("systemName", call.context)?
        .ok_or_else(|| missing("systemName", call.context))?;
    match call.account.fields.iter().find(|field| field.name == name) {
        Some(field) => Ok(show(field)),
        None if call.account.settings.emfluence.missing_as_empty => Ok(json!({})),
        None => Err(Failure::new(
            Failure::NOT_FOUND,
            format!("There is no custom field {name}."),
        )),
    }
}

fn show(field: &CustomField) -> Value {
    json!({
        "systemName": field.name,
        "label": field.label,
        "dataType": {"label": field.data_type, "description": format!("{} value", field.data_type)},
        "maxLength": if field.max_length == 0 { String::new() } else { field.max_length.to_string() },
        "variable": format!("[{}]", field.name),
    })
}
