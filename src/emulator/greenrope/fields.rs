//! User defined fields.

use super::show::stamp;
use super::xml::Node;
use super::{Answer, Call, Failure};
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Account, CustomField};

pub(super) const WRITABLE: &[&str] = &[
    "FieldName",
    "FieldType",
    "PossibleValues",
    "ContactEditable",
    "Group",
];

#[expect(clippy::unnecessary_wraps, reason = "one signature for all operations")]
pub(super) fn get(call: &mut Call<'_>, root: &Node) -> Answer {
    let account = call.account();
    let after = root.attribute("updated_timestamp").unwrap_or("");
    let mut list = Node::new("UserDefinedFields");
    for field in account
        .fields
        .iter()
        .filter(|field| stamp(account, field.modified).as_str() > after)
    {
        list.push(
            Node::new("UserDefinedField")
                .with(Node::leaf("UserFieldID", field.id.to_string()))
                .with(Node::leaf("Group", "All"))
                .with(Node::leaf("FieldName", field.name.clone()))
                .with(Node::leaf("FieldType", field.data_type.clone()))
                .with(Node::leaf(
                    "PossibleValues",
                    field.possible_values.join(","),
                ))
                .with(Node::leaf("ContactEditable", field.editable.clone()))
                .with(Node::leaf(
                    "UpdatedTimeStamp",
                    stamp(account, field.modified),
                )),
        );
    }
    Ok(vec![Node::leaf("Result", "Success"), list])
}

pub(super) fn add(call: &mut Call<'_>, root: &Node) -> Answer {
    let name = name_of(call, root)?;
    if call.account().fields.iter().any(|field| field.name == name) {
        return Err(Failure::new(
            Failure::BAD_VALUE,
            "A field with this name exists already.",
        ));
    }
    let mut field = CustomField {
        id: call
            .account()
            .fields
            .iter()
            .map(|field| field.id)
            .max()
            .unwrap_or(0)
            + 1,
        name,
        data_type: "Text".to_owned(),
        editable: "Hidden".to_owned(),
        modified: call.account().now,
        ..CustomField::default()
    };
    apply(call, &mut field, root)?;
    call.account_mut().fields.push(field.clone());
    call.account_mut().record(Change::FieldChanged {
        field: field.name.clone(),
    });
    Ok(show(call.account(), &field))
}

pub(super) fn edit(call: &mut Call<'_>, root: &Node) -> Answer {
    let position = find(call, root)?;
    let mut field = call.account().fields[position].clone();
    apply(call, &mut field, root)?;
    field.modified = call.account().now;
    call.account_mut().fields[position] = field.clone();
    call.account_mut().record(Change::FieldChanged {
        field: field.name.clone(),
    });
    Ok(show(call.account(), &field))
}

pub(super) fn delete(call: &mut Call<'_>, root: &Node) -> Answer {
    let position = find(call, root)?;
    let account = call.account_mut();
    let field = account.fields.remove(position);
    for contact in account.contacts.values_mut() {
        contact.custom.remove(&field.name);
    }
    account.record(Change::FieldChanged {
        field: field.name.clone(),
    });
    Ok(vec![
        Node::leaf("Result", "Success"),
        Node::leaf("UserFieldID", field.id.to_string()),
    ])
}

fn name_of(call: &mut Call<'_>, root: &Node) -> Result<String, Failure> {
    if let Some(name) = root.child("FieldName").filter(|name| !name.text.is_empty()) {
        return Ok(name.text.clone());
    }
    call.context
        .misuse(MisuseKind::MissingParameter, "FieldName");
    Err(Failure::new(Failure::BAD_VALUE, "FieldName is missing."))
}

fn find(call: &mut Call<'_>, root: &Node) -> Result<usize, Failure> {
    let name = name_of(call, root)?;
    call.account()
        .fields
        .iter()
        .position(|field| field.name == name)
        .ok_or_else(|| Failure::new(Failure::NO_FIELD, "The user defined field was not found."))
}

fn apply(call: &mut Call<'_>, field: &mut CustomField, root: &Node) -> Result<(), Failure> {
    for child in &root.children {
        let allowed: &[&str] = match child.name.as_str() {
            "FieldType" => &["Select", "Checkbox", "Text", "ShortText"],
            "ContactEditable" => &["Hidden", "Visible", "Editable"],
            _ => &[],
        };
        if !allowed.is_empty() && !allowed.contains(&child.text.as_str()) {
            call.context.misuse(
                MisuseKind::WrongType,
                format!("{} must be {}", child.name, allowed.join(", ")),
            );
            return Err(Failure::new(
                Failure::BAD_VALUE,
                format!("{} is not valid.", child.name),
            ));
        }
        match child.name.as_str() {
            "FieldType" => child.text.clone_into(&mut field.data_type),
            "ContactEditable" => child.text.clone_into(&mut field.editable),
            "PossibleValues" => {
                field.possible_values = child
                    .text
                    .split(',')
                    .map(|value| value.trim().to_owned())
                    .collect();
            }
            _ => {}
        }
    }
    Ok(())
}

fn show(account: &Account, field: &CustomField) -> Vec<Node> {
    vec![
        Node::leaf("Result", "Success"),
        Node::leaf("UserFieldID", field.id.to_string()),
        Node::leaf("AccountNumber", account.number.clone()),
        Node::leaf("UpdatedTimeStamp", stamp(account, field.modified)),
    ]
}
