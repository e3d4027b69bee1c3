//! Making, changing, deleting and unsubscribing contacts.

use super::items::Judged;
use super::show::PROFILE;
use super::xml::Node;
use super::{Answer, Call, Failure};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::settings::UnknownGroup;
use crate::emulator::world::Contact;

/// The elements of a contact when it is written.
pub(super) const WRITABLE: &[&str] = &[
    "Firstname",
    "Lastname",
    "Title",
    "Company",
    "Address1",
    "Address2",
    "City",
    "State",
    "Zip",
    "Country",
    "Phone",
    "Mobile",
    "Fax",
    "Website",
    "Birthdate",
    "Gender",
    "Hometown",
    "Height",
    "Weight",
    "SkillsAndInterests",
    "Bio",
    "Notes",
    "Email",
    "Groups",
    "RemoveGroups",
    "UserDefinedFields",
];

/// The values of one item.
#[derive(Default)]
struct Values {
    email: Option<String>,
    profile: Vec<(&'static str, String)>,
    custom: Vec<(String, String)>,
    groups: Vec<u64>,
    removed_groups: Vec<u64>,
    replace_groups: bool,
}

fn read(call: &mut Call<'_>, item: &Node) -> Result<Values, Failure> {
    let mut values = Values::default();
    for child in &item.children {
        match child.name.as_str() {
            "Email" => {
                let email = child.text.trim();
                if !email.is_empty() && !email_address::EmailAddress::is_valid(email) {
                    return Err(Failure::new(Failure::BAD_VALUE, "The email is not valid."));
                }
                values.email = Some(email.to_owned());
            }
            "Groups" => {
                values.replace_groups = child.attribute("replace") == Some("true");
                for group in &child.children {
                    values.groups.extend(named_group(call, &group.text)?);
                }
            }
            "RemoveGroups" => {
                for group in &child.children {
                    values
                        .removed_groups
                        .extend(named_group(call, &group.text)?);
                }
            }
            "UserDefinedFields" => {
                for field in &child.children {
                    let name = field.attribute("fieldname").unwrap_or("");
                    if !call.account().fields.iter().any(|known| known.name == name) {
                        call.context
                            .misuse(MisuseKind::UnknownParameter, format!("custom field {name}"));
                        return Err(Failure::new(
                            Failure::NO_FIELD,
                            "The user defined field was not found.",
                        ));
                    }
                    values.custom.push((name.to_owned(), field.text.clone()));
                }
            }
            name => {
                if let Some((_, neutral)) = PROFILE.iter().find(|(wire, _)| *wire == name) {
                    values.profile.push((neutral, child.text.clone()));
                }
            }
        }
    }
    Ok(values)
}

/// Finds a group that is written by name.
fn named_group(call: &mut Call<'_>, name: &str) -> Result<Option<u64>, Failure> {
    if let Some(group) = call
        .account()
        .find_group(name)
        .filter(|group| call.login.sees(*group))
    {
        return Ok(Some(group));
    }
    call.context.misuse(
        MisuseKind::AmbiguousTarget,
        "a group name that does not exist",
    );
    match call.account().settings.greenrope.unknown_group {
        UnknownGroup::Fail => Err(Failure::new(Failure::NO_GROUP, "The group was not found.")),
        UnknownGroup::Ignore => Ok(None),
        UnknownGroup::Create => Ok(Some(call.account_mut().add_group(name))),
    }
}

pub(super) fn add(call: &mut Call<'_>, root: &Node) -> Answer {
    let update = root.attribute("update") == Some("true");
    call.each_item(root, "Contacts", "Contact_id", |call, item| {
        let values = match read(call, item) {
            Ok(values) => values,
            Err(failure) => return Judged::failed(None, failure),
        };
        let existing = values
            .email
            .as_deref()
            .and_then(|email| call.account().contact_by_email(email));
        match existing {
            Some(contact) if !update => Judged::failed(
                None,
                Failure::new(
                    Failure::CONTACT_EXISTS,
                    format!("This contact already exists with ID {contact}."),
                ),
            ),
            Some(contact) => settle(call, contact, &values),
            None => create(call, &values),
        }
    })
}

fn create(call: &mut Call<'_>, values: &Values) -> Judged {
    let email = values.email.clone().unwrap_or_default();
    let has_name = values
        .profile
        .iter()
        .any(|(name, value)| *name == "last_name" && !value.is_empty());
    if email.is_empty() && !has_name {
        return Judged::failed(
            None,
            Failure::new(
                Failure::BAD_VALUE,
                "A contact needs an email or a last name.",
            ),
        );
    }
    let contact = call.account_mut().insert_contact(Contact {
        email,
        profile: values
            .profile
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        custom: values
            .custom
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .cloned()
            .collect(),
        owner: 1,
        ..Contact::default()
    });
    let result = change_groups(call, contact, values);
    Judged {
        id: Some(contact),
        result,
    }
}

pub(super) fn edit(call: &mut Call<'_>, root: &Node) -> Answer {
    call.each_item(root, "Contacts", "Contact_id", |call, item| {
        let contact = match call.match_contact(item) {
            Ok(contact) => contact,
            Err(failure) => return Judged::failed(None, failure),
        };
        match read(call, item) {
            Ok(values) => settle(call, contact, &values),
            Err(failure) => Judged::failed(Some(contact), failure),
        }
    })
}

/// Writes values into an existing contact; what was not sent keeps its value.
fn settle(call: &mut Call<'_>, contact: u64, values: &Values) -> Judged {
    if let Some(email) = &values.email {
        let holder = call
            .account()
            .contact_by_email(email)
            .filter(|holder| *holder != contact);
        let keeps = call
            .account()
            .contact(contact)
            .is_some_and(|contact| contact.has_address(email));
        if let Some(holder) = holder
            && !keeps
        {
            let text = format!("This contact already exists with ID {holder}");
            return Judged::failed(Some(contact), Failure::new(Failure::CONTACT_EXISTS, text));
        }
        call.account_mut().change_address(contact, email);
    }
    call.account_mut().change_contact(
        contact,
        values
            .profile
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
        values
            .custom
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    Judged {
        id: Some(contact),
        result: change_groups(call, contact, values),
    }
}

fn change_groups(call: &mut Call<'_>, contact: u64, values: &Values) -> Result<(), Failure> {
    if values.replace_groups {
        call.context
            .misuse(MisuseKind::ReplacedGroups, format!("contact {contact}"));
        for group in call.account().groups_of(contact) {
            if !values.groups.contains(&group) && call.login.sees(group) {
                call.take_out(group, contact)?;
            }
        }
    }
    for group in &values.groups {
        if values.replace_groups && call.account().membership(*group, contact).is_some() {
            continue;
        }
        call.put_in(*group, contact)?;
    }
    for group in &values.removed_groups {
        call.take_out(*group, contact)?;
    }
    Ok(())
}

pub(super) fn delete(call: &mut Call<'_>, root: &Node) -> Answer {
    call.each_item(root, "Contacts", "Contact_id", |call, item| {
        match call.match_contact(item) {
            Ok(contact) => {
                call.context
                    .misuse(MisuseKind::DeletedContact, format!("contact {contact}"));
                call.account_mut().delete_contact(contact);
                Judged::done(contact)
            }
            Err(failure) => Judged::failed(None, failure),
        }
    })
}

pub(super) fn unsubscribe(call: &mut Call<'_>, root: &Node) -> Answer {
    call.each_item(root, "Contacts", "Contact_id", |call, item| {
        match call.match_contact(item) {
            Ok(contact) => {
                call.account_mut().opt_out_of_account(contact);
                Judged::done(contact)
            }
            Err(failure) => Judged::failed(None, failure),
        }
    })
}
