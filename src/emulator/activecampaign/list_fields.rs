//! The version 1 calls about custom fields.

use serde_json::json;

use super::Call;
use super::answer::{Answer, done, done_with, rows};
use super::rows::field_row;
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::CustomField;

pub(super) const WRITABLE: &[&str] = &[
    "id",
    "title",
    "type",
    "req",
    "perstag",
    "p",
    "options",
    "onfocus",
    "bubble_content",
    "default",
    "show_in_list",
];

/// The known types, from text to date.
const TYPES: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "9"];

impl Call<'_> {
    /// Reads a definition, refusing what the page calls required.
    fn read_field(&mut self, id: u64) -> Result<CustomField, String> {
        for needed in ["title", "type", "req", "perstag"] {
            if !self.form.has(needed) {
                self.context.misuse(MisuseKind::MissingParameter, needed);
                return Err(format!("Field {needed} is required."));
            }
        }
        if !TYPES.contains(&self.form.text("type")) {
            self.context.misuse(MisuseKind::WrongType, "type");
            return Err("The field type is unknown.".to_owned());
        }
        let name = self.form.text("perstag").trim_matches('%').to_uppercase();
        if name.is_empty()
            || self
                .account
                .fields
                .iter()
                .any(|field| field.name == name && field.id != id)
        {
            return Err("The personalization tag is already in use.".to_owned());
        }
        let mut lists: Vec<u64> = self
            .form
            .entries("p")
            .into_iter()
            .map(|(_, value)| super::form::number(value))
            .collect();
        if lists.is_empty() {
            self.context.misuse(MisuseKind::MissingParameter, "p");
            return Err("The field belongs to no list.".to_owned());
        }
        // List 0 stands for all lists.
        if lists.contains(&0) {
            lists.clear();
        }
        Ok(CustomField {
            id,
            name,
            label: self.form.text("title").to_owned(),
            data_type: self.form.text("type").to_owned(),
            possible_values: self
                .form
                .entries("options")
                .into_iter()
                .map(|(_, value)| value.to_owned())
                .collect(),
            editable: "Visible".to_owned(),
            lists,
            modified: self.account.now,
            ..CustomField::default()
        })
    }
}

pub(super) fn add(call: &mut Call<'_>) -> Answer {
    let id = call
        .account
        .fields
        .iter()
        .map(|field| field.id)
        .max()
        .unwrap_or(0)
        + 1;
    let field = call.read_field(id)?;
    call.account.record(Change::FieldChanged {
        field: field.name.clone(),
    });
    call.account.fields.push(field);
    done_with("Field added", json!({"fieldid": id}))
}

pub(super) fn edit(call: &mut Call<'_>) -> Answer {
    let id = call.form.number("id");
    let Some(position) = call.account.fields.iter().position(|field| field.id == id) else {
        return Err("The field does not exist.".to_owned());
    };
    let field = call.read_field(id)?;
    let before = call.account.fields[position].name.clone();
    if before != field.name {
        for contact in call.account.contacts.values_mut() {
            if let Some(value) = contact.custom.remove(&before) {
                contact.custom.insert(field.name.clone(), value);
            }
        }
    }
    call.account.record(Change::FieldChanged {
        field: field.name.clone(),
    });
    call.account.fields[position] = field;
    done("Field updated")
}

pub(super) fn view(call: &mut Call<'_>) -> Answer {
    let all = call.form.text("ids").eq_ignore_ascii_case("all");
    let wanted = if call.form.has("id") {
        call.form.id_list("id")
    } else {
        call.form.id_list("ids")
    };
    rows(
        call.account
            .fields
            .iter()
            .filter(|field| all || wanted.contains(&field.id))
            .map(field_row),
    )
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.form.number("id");
    if let Some(position) = call.account.fields.iter().position(|field| field.id == id) {
        let field = call.account.fields.remove(position);
        for contact in call.account.contacts.values_mut() {
            contact.custom.remove(&field.name);
        }
        call.account
            .record(Change::FieldChanged { field: field.name });
    }
    done("Field deleted")
}
