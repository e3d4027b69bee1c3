//! Requests as XML text: explicit open and close tags, double quotes, no declaration, everything
//! escaped.
//!
//! `account_id` goes on the root and on every item, so that nothing is ever done in another account
//! of the same login. There is no request here that subscribes anybody again, replaces memberships,
//! updates a contact in passing, or deletes a contact: none of these can be expressed.

use super::objects::plain_zone;
use super::xml::is_xml_char;
use crate::model::{FieldType, ObjectKind, Record, Value, Writable};
use crate::provider::greenrope::SCHEMA;
use crate::provider::greenrope::fields::GROUP_TYPES;

/// One request document.
pub(in super::super) struct Request {
    /// The operation, for logs and errors.
    pub operation: &'static str,
    /// The root element of the answer, in lower case.
    pub answer: &'static str,
    /// The document.
    pub xml: String,
}

/// Which contacts GetContacts is to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ContactFilter<'a> {
    /// Everybody of the account.
    All,
    /// The members of a group.
    Group(&'a str),
    /// Those who opted out of a group.
    GroupOptOuts(&'a str),
    /// The members of a group whose address bounced, in this group or anywhere.
    GroupBounced(&'a str),
    /// Those who opted out of the account.
    OptOuts,
    /// Those whose address bounced.
    Bounced,
    /// What another filter asks for since a day that has not come, which is nobody: whoever comes
    /// all the same shows that the filter is passed over.
    Later(&'a ContactFilter<'a>),
}

/// A day that has not come.
const LATER: &str = "29990101";

/// Which per-item request goes by the ids of contacts alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ItemKind<'a> {
    /// Joins them to a group.
    Add(&'a str),
    /// Takes them out of a group.
    Remove(&'a str),
    /// Opts them out of the account.
    Unsubscribe,
}

impl Request {
    /// Asks for a token.
    pub(in super::super) fn login() -> Self {
        Request::bare(
            "GetAuthToken",
            "getauthtokenresponse",
            "GetAuthTokenRequest",
            &[],
        )
    }

    /// Asks which accounts the login reaches.
    pub(in super::super) fn accounts() -> Self {
        Request::bare(
            "GetAccountsWithAccess",
            "getaccountswithaccessresponse",
            "GetAccountsWithAccessRequest",
            &[],
        )
    }

    /// Asks for all groups, or for one.
    pub(in super::super) fn groups(account_id: &str, id: Option<&str>) -> Self {
        let mut attributes = vec![("account_id", account_id)];
        attributes.extend(id.map(|id| ("group_id", id)));
        Request::bare(
            "GetGroups",
            "getgroupsresponse",
            "GetGroupsRequest",
            &attributes,
        )
    }

    /// Asks for the definitions of custom fields.
    pub(in super::super) fn custom_fields(account_id: &str) -> Self {
        Request::bare(
            "GetUserDefinedFields",
            "getuserdefinedfieldsresponse",
            "GetUserDefinedFieldsRequest",
            &[("account_id", account_id)],
        )
    }

    /// Asks for contacts. The case of these attributes matters to the service.
    pub(in super::super) fn contacts(account_id: &str, filter: ContactFilter<'_>) -> Self {
        let mut attributes = vec![("account_id", account_id)];
        match filter {
            ContactFilter::All
            | ContactFilter::Later(ContactFilter::All | ContactFilter::Later(_)) => {}
            ContactFilter::Group(id) => attributes.push(("group_id", id)),
            ContactFilter::GroupOptOuts(id) => {
                attributes.extend([("group_id", id), ("Unsubscribed", "true")]);
            }
            ContactFilter::GroupBounced(id) => {
                attributes.extend([("group_id", id), ("Bounced", "true")]);
            }
            ContactFilter::OptOuts => attributes.push(("Unsubscribed", "true")),
            ContactFilter::Bounced => attributes.push(("Bounced", "true")),
            ContactFilter::Later(filter) => {
                let group = match filter {
                    ContactFilter::Group(id)
                    | ContactFilter::GroupOptOuts(id)
                    | ContactFilter::GroupBounced(id) => Some(*id),
                    _ => None,
                };
                attributes.extend(group.map(|id| ("group_id", id)));
                attributes.extend(match filter {
                    ContactFilter::Bounced | ContactFilter::GroupBounced(_) => {
                        [("Bounced", "true"), ("Bounced_startdate", LATER)]
                    }
                    _ => [("Unsubscribed", "true"), ("Unsubscribed_startdate", LATER)],
                });
            }
        }
        Request::bare(
            "GetContacts",
            "getcontactsresponse",
            "GetContactsRequest",
            &attributes,
        )
    }

    /// Creates a group; visible to nobody outside unless the fields say otherwise.
    pub(in super::super) fn create_group(
        account_id: &str,
        name: &str,
        fields: &Record,
    ) -> Result<Self, String> {
        let mut fields = fields.clone();
        fields.insert("Name".into(), Value::from(name));
        if fields.get("GroupType").is_none_or(Value::is_empty) {
            fields.insert("GroupType".into(), Value::from("Hidden"));
        }
        let mut xml = Xml::default();
        xml.open("CreateGroupRequest", &[("account_id", account_id)]);
        xml.group_fields(&fields)?;
        xml.close("CreateGroupRequest");
        Ok(Request {
            operation: "CreateGroup",
            answer: "creategroupresponse",
            xml: xml.0,
        })
    }

    /// Changes groups by id; each entry is (mark, id, fields as [`encode_group`] made them).
    pub(in super::super) fn edit_groups(
        account_id: &str,
        items: &[(String, String, String)],
    ) -> Self {
        Request::groups_by_id(
            "EditGroups",
            "editgroupsresponse",
            "EditGroupsRequest",
            account_id,
            items,
        )
    }

    /// Deletes one group by id.
    pub(in super::super) fn delete_group(account_id: &str, mark: &str, id: &str) -> Self {
        let item = (mark.to_owned(), id.to_owned(), String::new());
        Request::groups_by_id(
            "DeleteGroups",
            "deletegroupsresponse",
            "DeleteGroupsRequest",
            account_id,
            &[item],
        )
    }

    fn groups_by_id(
        operation: &'static str,
        answer: &'static str,
        root: &str,
        account_id: &str,
        items: &[(String, String, String)],
    ) -> Self {
        let mut xml = Xml::default();
        xml.open(root, &[("account_id", account_id)]);
        xml.open("Groups", &[]);
        for (mark, id, fields) in items {
            xml.open(
                "Group",
                &[
                    ("account_id", account_id),
                    ("group_id", id),
                    ("request_id", mark),
                ],
            );
            xml.0.push_str(fields);
            xml.close("Group");
        }
        xml.close("Groups");
        xml.close(root);
        Request {
            operation,
            answer,
            xml: xml.0,
        }
    }

    /// Creates contacts; each entry is what [`encode_member`] made of it. Without `update`, so
    /// nobody who exists is touched.
    pub(in super::super) fn add_contacts(account_id: &str, items: &[String]) -> Self {
        let mut xml = Xml::default();
        xml.open("AddContactsRequest", &[("account_id", account_id)]);
        xml.open("Contacts", &[]);
        for fields in items {
            xml.open("Contact", &[("account_id", account_id)]);
            xml.0.push_str(fields);
            xml.close("Contact");
        }
        xml.close("Contacts");
        xml.close("AddContactsRequest");
        Request {
            operation: "AddContacts",
            answer: "addcontactsresponse",
            xml: xml.0,
        }
    }

    /// Changes contacts by id; each entry is (mark, id, fields as [`encode_member`] made them).
    pub(in super::super) fn edit_contacts(
        account_id: &str,
        items: &[(String, String, String)],
    ) -> Self {
        Request::contacts_by_id(
            "EditContacts",
            "editcontactsresponse",
            "EditContactsRequest",
            &[("account_id", account_id)],
            items,
        )
    }

    /// Joins, removes or unsubscribes contacts by id; each entry is (mark, id, nothing).
    pub(in super::super) fn by_contact_id(
        account_id: &str,
        kind: ItemKind<'_>,
        items: &[(String, String, String)],
    ) -> Self {
        let account = ("account_id", account_id);
        match kind {
            ItemKind::Add(group) => Request::contacts_by_id(
                "AddContactsToGroup",
                "addcontactstogroupresponse",
                "AddContactsToGroupRequest",
                &[account, ("group_id", group)],
                items,
            ),
            ItemKind::Remove(group) => Request::contacts_by_id(
                "DeleteContactsFromGroup",
                "deletecontactsfromgroupresponse",
                "DeleteContactsFromGroupRequest",
                &[account, ("group_id", group)],
                items,
            ),
            ItemKind::Unsubscribe => Request::contacts_by_id(
                "UnsubscribeContacts",
                "unsubscribecontactsresponse",
                "UnsubscribeContactsRequest",
                &[account],
                items,
            ),
        }
    }

    fn contacts_by_id(
        operation: &'static str,
        answer: &'static str,
        root: &str,
        attributes: &[(&str, &str)],
        items: &[(String, String, String)],
    ) -> Self {
        let account = attributes[0];
        let mut xml = Xml::default();
        xml.open(root, attributes);
        xml.open("Contacts", &[]);
        for (mark, id, fields) in items {
            xml.open(
                "Contact",
                &[account, ("contact_id", id), ("request_id", mark)],
            );
            xml.0.push_str(fields);
            xml.close("Contact");
        }
        xml.close("Contacts");
        xml.close(root);
        Request {
            operation,
            answer,
            xml: xml.0,
        }
    }

    /// Defines a custom field that the contacts themselves never see.
    pub(in super::super) fn add_custom_field(
        account_id: &str,
        label: &str,
        kind: FieldType,
    ) -> Self {
        let mut xml = Xml::default();
        xml.open("AddUserDefinedFieldRequest", &[("account_id", account_id)]);
        xml.text("FieldName", label);
        xml.text(
            "FieldType",
            if matches!(kind, FieldType::Text | FieldType::List) {
                "Text"
            } else {
                "ShortText"
            },
        );
        xml.text("ContactEditable", "Hidden");
        xml.close("AddUserDefinedFieldRequest");
        Request {
            operation: "AddUserDefinedField",
            answer: "adduserdefinedfieldresponse",
            xml: xml.0,
        }
    }

    fn bare(
        operation: &'static str,
        answer: &'static str,
        root: &str,
        attributes: &[(&str, &str)],
    ) -> Self {
        let mut xml = Xml::default();
        xml.open(root, attributes);
        xml.close(root);
        Request {
            operation,
            answer,
            xml: xml.0,
        }
    }
}

/// Encodes the changed fields of a group.
///
/// # Errors
/// A sentence that names the field which can't be written.
pub(in super::super) fn encode_group(fields: &Record) -> Result<String, String> {
    let mut xml = Xml::default();
    xml.group_fields(fields)?;
    Ok(xml.0)
}

/// Encodes the fields of a contact, with its address where one is to be set.
///
/// # Errors
/// A sentence that names the field which can't be written.
pub(in super::super) fn encode_member(
    address: Option<&str>,
    fields: &Record,
) -> Result<String, String> {
    let mut xml = Xml::default();
    if let Some(address) = address {
        xml.text("Email", address);
    }
    let mut custom = Vec::new();
    for (name, value) in fields {
        match name.strip_prefix("custom.") {
            Some(label) => custom.push((label, value.to_string())),
            // The address is identity: it is set on creation and by a change of address, never in
            // passing.
            None if name == "Email" && address.is_some() => {}
            None => {
                writable(ObjectKind::Member, name)?;
                if name == "Email" {
                    return Err("Email can't be changed together with other fields".to_owned());
                }
                xml.text(name, &value.to_string());
            }
        }
    }
    if !custom.is_empty() {
        xml.open("UserDefinedFields", &[]);
        for (label, text) in custom {
            xml.open("UserDefinedField", &[("fieldname", label)]);
            xml.escaped(&text, false);
            xml.close("UserDefinedField");
        }
        xml.close("UserDefinedFields");
    }
    Ok(xml.0)
}

fn writable(object: ObjectKind, name: &str) -> Result<(), String> {
    match SCHEMA.by_wire(object, name) {
        Some(field) if field.writable != Writable::No => Ok(()),
        Some(_) => Err(format!("{name} can't be written through the API")),
        None => Err(format!(
            "{name} is not a {} field of GreenRope",
            object.as_str()
        )),
    }
}

/// XML text under construction.
#[derive(Default)]
struct Xml(String);

impl Xml {
    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (key, value) in attributes {
            self.0.push(' ');
            self.0.push_str(key);
            self.0.push_str("=\"");
            self.escaped(value, true);
            self.0.push('"');
        }
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.escaped(text, false);
        self.close(name);
    }

    fn group_fields(&mut self, fields: &Record) -> Result<(), String> {
        for name in fields.keys() {
            writable(ObjectKind::Group, name)?;
        }
        // In the order of the table, which is the order of the manual's example.
        for field in SCHEMA.groups {
            let Some(value) = fields.get(field.wire) else {
                continue;
            };
            let text = value.to_string();
            match field.wire {
                "GroupType" => {
                    let known = GROUP_TYPES
                        .iter()
                        .map(|(word, _)| *word)
                        .find(|word| word.eq_ignore_ascii_case(text.trim()));
                    self.text(
                        field.wire,
                        known.ok_or("GroupType must be Public, Private or Hidden")?,
                    );
                }
                "EventsTimeZone" => self.text(field.wire, plain_zone(&text)),
                "Name" if text.trim().is_empty() => return Err("Name must not be empty".to_owned()),
                wire => self.text(wire, &text),
            }
        }
        Ok(())
    }

    /// Appends text with everything escaped that XML gives a meaning, and without what it forbids.
    fn escaped(&mut self, text: &str, attribute: bool) {
        for character in text.chars().filter(|&c| is_xml_char(c)) {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // A parser would turn these into a line feed or a blank.
                '\r' => self.0.push_str("&#13;"),
                '\n' if attribute => self.0.push_str("&#10;"),
                '\t' if attribute => self.0.push_str("&#9;"),
                other => self.0.push(other),
            }
        }
    }
}
