//! Encoding writes, and settling what the answers say of their items.
//!
//! No answer proves that a membership changed (rule 9), so rows that went well are accepted and
//! read back; only the full objects that the save calls return are compared field by field and
//! count as done.

use std::collections::BTreeSet;

use super::Emfluence;
use super::wire::contacts::{
    self as contact_wire, Contact, ImportedRow, SaveContact, same_address,
};
use super::wire::groups as group_wire;
use super::wire::{IMPORT_ROWS, MEMBERSHIP_ROWS, Request, id_number};
use crate::http::CallError;
use crate::model::{
    GroupEdit, GroupRow, ItemOutcome, MemberEdit, MemberValues, Record, Refusal, Settlement, Value,
    Write,
};

impl Emfluence {
    /// Sends one write and settles its items.
    pub(super) async fn write(&self, write: &Write) -> Result<Settlement, CallError> {
        let outcomes = match write {
            Write::CreateGroup { name, fields } => vec![self.create_group(name, fields).await?],
            Write::EditGroups { edits } => match edits.as_slice() {
                [] => Vec::new(),
                [edit] => vec![self.edit_group(edit).await?],
                _ => return Err(self.too_many("groups/save", edits.len(), 1)),
            },
            Write::DeleteGroup { id } => {
                let group = self.id("groups/delete", id)?;
                self.tell(group_wire::delete(group), |_| Ok(())).await?;
                vec![ItemOutcome::Accepted { id: None }]
            }
            Write::CreateMembers { rows, join } => self.create_members(rows, join).await?,
            Write::UpdateMembers { edits } => self.update_members(edits).await?,
            Write::ChangeAddress { id, address } => {
                let contact = self.id("contacts/save", id)?;
                let saved = self
                    .save_contact(SaveContact::Address {
                        contact,
                        email: address,
                    })
                    .await?;
                vec![settle_address(&saved, contact, address)]
            }
            Write::AddMemberships { group, members } => {
                self.change_memberships(
                    "groups/addContacts",
                    group,
                    members,
                    group_wire::add_contacts,
                )
                .await?
            }
            Write::RemoveMemberships { group, members } => {
                self.change_memberships(
                    "groups/removeContacts",
                    group,
                    members,
                    group_wire::remove_contacts,
                )
                .await?
            }
            Write::JoinGroups { .. } | Write::LeaveGroups { .. } | Write::BringBack { .. } => {
                return Err(self.account.unsendable(
                    "groups/addContacts",
                    "one request takes people of one group only",
                ));
            }
            Write::OptOutOfAccount { members } => match members.as_slice() {
                [] => Vec::new(),
                [member] => {
                    let contact = self.id("contacts/save", member)?;
                    let saved = self.save_contact(SaveContact::OptOut { contact }).await?;
                    vec![if saved.id == contact {
                        settle_opt_out(&saved)
                    } else {
                        ItemOutcome::Unknown
                    }]
                }
                _ => return Err(self.too_many("contacts/save", members.len(), 1)),
            },
            Write::CreateOptedOut { address } => {
                let saved = self
                    .save_contact(SaveContact::CreateOptedOut { email: address })
                    .await?;
                let same = saved
                    .email
                    .as_deref()
                    .is_some_and(|email| same_address(email, address));
                vec![if same {
                    settle_opt_out(&saved)
                } else {
                    ItemOutcome::Unknown
                }]
            }
            Write::OptOutOfGroups { member, groups } => {
                let contact = self.id("contacts/saveGroups", member)?;
                let groups = self.ids("contacts/saveGroups", groups)?;
                self.tell(
                    contact_wire::opt_out_of_groups(contact, &groups),
                    |_| Ok(()),
                )
                .await?;
                vec![ItemOutcome::Accepted { id: None }]
            }
            Write::CreateCustomField { label, .. } => vec![refused(format!(
                "emfluence has no call that defines a custom field; create \"{label}\" in its settings and run again"
            ))],
        };
        Ok(Settlement::Items(outcomes))
    }

    async fn create_group(&self, name: &str, fields: &Record) -> Result<ItemOutcome, CallError> {
        let mut wanted = fields.clone();
        wanted
            .entry("groupName".into())
            .or_insert_with(|| Value::from(name));
        // The default of the API, said all the same: a group must not show up on the public
        // preferences page by surprise.
        wanted
            .entry("private".into())
            .or_insert(Value::Boolean(true));
        let wanted = normal_flags(&wanted);
        let saved = self
            .tell(group_wire::save(None, &wanted), group_wire::saved)
            .await?;
        Ok(if kept_otherwise(&wanted, &saved).is_empty() {
            ItemOutcome::Done { id: Some(saved.id) }
        } else {
            // The group exists; reading it back shows which fields are not as they should be.
            ItemOutcome::Accepted { id: Some(saved.id) }
        })
    }

    async fn edit_group(&self, edit: &GroupEdit) -> Result<ItemOutcome, CallError> {
        let group = self.id("groups/save", &edit.id)?;
        let mut wanted = edit.fields.clone();
        // The reference marks defaults for both and does not say that an update leaves them alone.
        for flag in ["protected", "private"] {
            if wanted.contains_key(flag) {
                continue;
            }
            let Some(current) = edit.current.get(flag) else {
                return Ok(refused(format!(
                    "group {group} was not changed, because its current \"{flag}\" is not known and saving could reset it; read the group again"
                )));
            };
            wanted.insert(flag.into(), current.clone());
        }
        let wanted = normal_flags(&wanted);
        let saved = self
            .tell(group_wire::save(Some(group), &wanted), group_wire::saved)
            .await?;
        if saved.id != group.to_string() {
            return Ok(ItemOutcome::Unknown);
        }
        let otherwise = kept_otherwise(&wanted, &saved);
        Ok(if otherwise.is_empty() {
            ItemOutcome::Done { id: Some(saved.id) }
        } else {
            refused(format!(
                "emfluence answered that group {group} is saved and shows another value of {}; compare the group there with the config",
                otherwise.join(", ")
            ))
        })
    }

    async fn create_members(
        &self,
        rows: &[MemberValues],
        join: &[String],
    ) -> Result<Vec<ItemOutcome>, CallError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let spelt: Vec<String> = rows
            .iter()
            .map(|row| self.spellings.of(&row.address))
            .collect();
        let addresses: Vec<&str> = spelt.iter().map(String::as_str).collect();
        self.check_import(&addresses)?;
        let groups = self.ids("contacts/import", join)?;
        let request = contact_wire::import(
            addresses
                .iter()
                .copied()
                .zip(rows.iter().map(|row| &row.fields)),
            &groups,
            false,
        );
        let results = self
            .tell(request, |answer| contact_wire::imported(answer, &addresses))
            .await?;
        Ok(results.into_iter().map(settle_import).collect())
    }

    async fn update_members(&self, edits: &[MemberEdit]) -> Result<Vec<ItemOutcome>, CallError> {
        let Some(first) = edits.first() else {
            return Ok(Vec::new());
        };
        if edits
            .iter()
            .any(|edit| !edit.fields.keys().eq(first.fields.keys()))
        {
            // Filling the gaps with empty texts would clear what nobody asked to clear.
            return Err(self.account.unsendable(
                "contacts/import",
                "the people of one update do not have the same changed fields",
            ));
        }
        let spelt: Vec<String> = edits
            .iter()
            .map(|edit| self.spellings.of_contact(&edit.id, &edit.address))
            .collect();
        let addresses: Vec<&str> = spelt.iter().map(String::as_str).collect();
        self.check_import(&addresses)?;
        let request = contact_wire::import(
            addresses
                .iter()
                .copied()
                .zip(edits.iter().map(|edit| &edit.fields)),
            &[],
            true,
        );
        let results = self
            .tell(request, |answer| contact_wire::imported(answer, &addresses))
            .await?;
        Ok(results
            .into_iter()
            .zip(edits)
            .map(|(row, edit)| match row {
                // The import goes by address, and the address belongs to somebody else by now.
                ImportedRow::Taken {
                    contact: Some(contact),
                } if id_number(&edit.id) != Some(contact) => ItemOutcome::Unknown,
                row => settle_import(row),
            })
            .collect())
    }

    async fn change_memberships(
        &self,
        operation: &'static str,
        group: &str,
        members: &[String],
        request: fn(i64, &[i64]) -> Request,
    ) -> Result<Vec<ItemOutcome>, CallError> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        if members.len() > self.cap(MEMBERSHIP_ROWS) {
            return Err(self.too_many(operation, members.len(), self.cap(MEMBERSHIP_ROWS)));
        }
        let group = self.id(operation, group)?;
        let contacts = self.ids(operation, members)?;
        self.tell(request(group, &contacts), |answer| {
            group_wire::membership_results(answer, &contacts)
        })
        .await
    }

    async fn save_contact(&self, save: SaveContact<'_>) -> Result<Contact, CallError> {
        self.tell(save.request(), contact_wire::saved).await
    }

    fn check_import(&self, addresses: &[&str]) -> Result<(), CallError> {
        if addresses.len() > self.cap(IMPORT_ROWS) {
            return Err(self.too_many("contacts/import", addresses.len(), self.cap(IMPORT_ROWS)));
        }
        // What two rows of one address do is not documented.
        if addresses.iter().collect::<BTreeSet<_>>().len() < addresses.len() {
            return Err(self
                .account
                .unsendable("contacts/import", "one address stands in two rows"));
        }
        Ok(())
    }

    fn cap(&self, documented: usize) -> usize {
        self.options
            .batch_cap
            .map_or(documented, |cap| documented.min(cap.max(1)))
    }

    fn too_many(&self, operation: &'static str, items: usize, most: usize) -> CallError {
        self.account
            .unsendable(operation, format!("it has {items} items and takes {most}"))
    }

    fn id(&self, operation: &'static str, id: &str) -> Result<i64, CallError> {
        id_number(id).ok_or_else(|| {
            self.account
                .unsendable(operation, format!("\"{id}\" is not an emfluence id"))
        })
    }

    fn ids(&self, operation: &'static str, ids: &[String]) -> Result<Vec<i64>, CallError> {
        ids.iter().map(|id| self.id(operation, id)).collect()
    }
}

/// Turns the flags of a group, which a mapping may give as words, into booleans; leaves out what no
/// request may name.
fn normal_flags(fields: &Record) -> Record {
    fields
        .iter()
        .filter(|(name, _)| {
            super::SCHEMA
                .by_wire(crate::model::ObjectKind::Group, name)
                .is_some_and(|field| is_settable(field.writable))
        })
        .map(|(name, value)| {
            let flag = match (
                name.as_str(),
                value.to_string().trim().to_ascii_lowercase().as_str(),
            ) {
                ("protected" | "private", "true" | "1" | "yes") => Some(true),
                ("protected" | "private", "false" | "0" | "no" | "") => Some(false),
                _ => None,
            };
            (
                name.clone(),
                flag.map_or_else(|| value.clone(), Value::Boolean),
            )
        })
        .collect()
}

fn is_settable(writable: crate::model::Writable) -> bool {
    writable != crate::model::Writable::No
}

/// Names the fields of which a saved group shows another value than was sent.
fn kept_otherwise(sent: &Record, saved: &GroupRow) -> Vec<String> {
    // The service trims and squeezes blanks, and writes its own case of status words.
    let bare = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    sent.iter()
        .filter(|(name, value)| {
            let shown = saved.wire.get(*name).map(Value::to_string);
            let (shown, sent) = (bare(shown.unwrap_or_default()), bare(value.to_string()));
            match name.as_str() {
                "status" => !shown.eq_ignore_ascii_case(&sent),
                _ => shown != sent,
            }
        })
        .map(|(name, _)| name.to_string())
        .collect()
}

fn settle_import(row: ImportedRow) -> ItemOutcome {
    match row {
        ImportedRow::Taken { contact } => ItemOutcome::Accepted {
            id: contact.map(|contact| contact.to_string()),
        },
        ImportedRow::Refused(refusal) => ItemOutcome::Refused(refusal),
        ImportedRow::Silent => ItemOutcome::Unknown,
    }
}

fn settle_address(saved: &Contact, contact: i64, address: &str) -> ItemOutcome {
    if saved.id != contact {
        return ItemOutcome::Unknown;
    }
    match saved.email.as_deref() {
        Some(email) if same_address(email, address) => ItemOutcome::Done {
            id: Some(contact.to_string()),
        },
        Some(_) => refused(format!(
            "emfluence answered that contact {contact} is saved and shows another address; compare the contact there with the source"
        )),
        None => ItemOutcome::Unknown,
    }
}

fn settle_opt_out(saved: &Contact) -> ItemOutcome {
    match saved.suppressed {
        Some(true) => ItemOutcome::Done {
            id: Some(saved.id.to_string()),
        },
        Some(false) => refused(format!(
            "emfluence answered that contact {} is saved and shows it as not suppressed; suppress it there by hand",
            saved.id
        )),
        None => ItemOutcome::Unknown,
    }
}

fn refused(message: String) -> ItemOutcome {
    ItemOutcome::Refused(Refusal {
        code: None,
        message,
        request_id: None,
    })
}
