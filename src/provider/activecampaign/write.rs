//! Which request carries which write to lists and contacts, and what its answer says of each item.
//!
//! No answer proves anything about a contact (rule 9): a form is answered with an id, an import
//! with a number of rows. So what went well is accepted and read back.

pub(super) mod import;
mod lists;
mod users;

use std::collections::BTreeSet;

use super::ActiveCampaign;
use super::wire::contacts as wire;
use super::wire::import::{ImportRow, MOST_ROWS, WORTHWHILE};
use super::wire::{id_number, id_of, lists as list_wire};
use crate::http::{self, Call, CallError};
use crate::model::{
    FieldType, ItemOutcome, Leaving, Load, MemberEdit, MemberJoin, MemberLeave, MemberReturn,
    MemberValues, MembershipState, Record, Refusal, Settlement, Takes, Write, spellings,
};

/// What is known of a person before their groups change.
struct Leaver {
    /// Nothing for somebody who is to be created.
    id: Option<u64>,
    address: String,
    /// The profile of somebody who is to be created.
    fields: Option<Record>,
    lists: Vec<u64>,
}

impl ActiveCampaign {
    /// Sends one write to lists or contacts and settles its items.
    pub(super) async fn write_lists(&self, write: &Write) -> Result<Settlement, CallError> {
        let outcome = match write {
            Write::CreateGroup { name, fields } => self.create_list(name, fields).await?,
            Write::EditGroups { edits } => match edits.as_slice() {
                [] => return Ok(Settlement::Items(Vec::new())),
                [edit] => self.edit_list(edit).await?,
                _ => return Err(self.too_many("list_edit", edits.len(), 1)),
            },
            Write::DeleteGroup { id } => {
                let list = self.id("list_delete", id)?;
                self.tell_v1(list_wire::delete(list), |_| Ok(())).await?;
                ItemOutcome::Accepted { id: None }
            }
            Write::CreateMembers { rows, join } => return self.create_contacts(rows, join).await,
            Write::JoinGroups { rows } => return self.join_lists(rows).await,
            Write::AddMemberships { group, members } => {
                return self.join_by_id(group, members).await;
            }
            Write::UpdateMembers { edits } => return self.update_contacts(edits).await,
            Write::ChangeAddress { id, address } => self.change_address(id, address).await?,
            Write::RemoveMemberships { group, members } => {
                let leavers = self
                    .leavers_by_id(members, std::slice::from_ref(group))
                    .await?;
                return self.leave(leavers, Leaving::Remove).await;
            }
            Write::OptOutOfGroups { member, groups } => {
                let leavers = self
                    .leavers_by_id(std::slice::from_ref(member), groups)
                    .await?;
                return self.leave(leavers, Leaving::OptOut).await;
            }
            Write::LeaveGroups { rows, how } => {
                return self.leave(self.leavers(rows).await?, *how).await;
            }
            Write::BringBack { rows } => return self.bring_back(rows).await,
            Write::OptOutOfAccount { members } => {
                let words = "ActiveCampaign has no opt-out of the whole account; it is written as one of every list";
                return Ok(Settlement::Items(vec![refused(words); members.len()]));
            }
            Write::CreateOptedOut { .. } => refused(
                "ActiveCampaign has no opt-out of the whole account; it is written as one of every list",
            ),
            Write::CreateCustomField { label, kind } => self.create_field(label, *kind).await?,
        };
        Ok(Settlement::Items(vec![outcome]))
    }

    async fn create_contacts(
        &self,
        rows: &[MemberValues],
        join: &[String],
    ) -> Result<Settlement, CallError> {
        let lists = self.ids("import/bulk_import", join)?;
        let mut present = Vec::new();
        for row in rows {
            present.push(self.present_as(&row.address).await?);
        }
        let rows = rows.iter().zip(&present).map(|(row, present)| ImportRow {
            address: present.as_deref().unwrap_or(&row.address),
            fields: present.is_none().then_some(&row.fields),
            subscribe: lists.clone(),
            unsubscribe: Vec::new(),
        });
        self.import(rows.collect(), None).await
    }

    async fn join_lists(&self, rows: &[MemberJoin]) -> Result<Settlement, CallError> {
        let mut present = Vec::new();
        for row in rows {
            present.push(match &row.id {
                Some(id) => Some(self.spellings.of_contact(id, &row.address)),
                None => self.present_as(&row.address).await?,
            });
        }
        let mut imports = Vec::new();
        for (row, present) in rows.iter().zip(&present) {
            imports.push(ImportRow {
                address: present.as_deref().unwrap_or(&row.address),
                fields: present.is_none().then_some(&row.fields),
                subscribe: self.ids("import/bulk_import", &row.groups)?,
                unsubscribe: Vec::new(),
            });
        }
        self.import(imports, None).await
    }

    async fn join_by_id(&self, group: &str, members: &[String]) -> Result<Settlement, CallError> {
        let leavers = self.leavers_by_id(members, &[group.to_owned()]).await?;
        let (found, outcomes) = apart(leavers);
        let rows = found.iter().map(|(_, person)| ImportRow {
            address: &person.address,
            fields: None,
            subscribe: person.lists.clone(),
            unsubscribe: Vec::new(),
        });
        let rows: Vec<ImportRow<'_>> = rows.collect();
        if rows.is_empty() {
            return Ok(Settlement::Items(outcomes));
        }
        let places = found.iter().map(|(place, _)| *place).collect();
        self.import(rows, Some((places, outcomes))).await
    }

    /// Returns how the account spells an address of which no contact is known, where somebody has it all
    /// the same: an import would write over the profile of somebody who is there, and would not find
    /// them by another spelling.
    async fn present_as(&self, address: &str) -> Result<Option<String>, CallError> {
        let known = self.memory().known.exists(address);
        if let Some(known) = known {
            return Ok(known.then(|| self.spellings.of(address)));
        }
        for spelling in spellings(address) {
            match self.ask_v1(wire::view_email(&spelling), |_| Ok(())).await {
                Ok(Some(())) => return Ok(Some(spelling)),
                Ok(None) => {}
                // Nothing was sent, and one address that draws such an answer stops no other: the
                // write comes again in halves.
                Err(
                    error @ (CallError::Network { .. }
                    | CallError::Protocol { .. }
                    | CallError::TooLarge { .. }),
                ) => return Err(self.refused_whole("contact_view_email", &error.to_string())),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn update_contacts(&self, edits: &[MemberEdit]) -> Result<Settlement, CallError> {
        self.check_rows(
            "contact_sync",
            edits.len(),
            edits.iter().map(|edit| edit.address.as_str()),
        )?;
        let definitions = self
            .definitions_for(edits.iter().map(|edit| &edit.fields))
            .await?;
        // Whether an import clears a field by an empty text is not documented; a form does.
        let clears = edits
            .iter()
            .any(|edit| edit.fields.values().any(crate::model::Value::is_empty));
        let spelt: Vec<String> = edits
            .iter()
            .map(|edit| self.spellings.of_contact(&edit.id, &edit.address))
            .collect();
        if edits.len() >= WORTHWHILE && !clears {
            let rows = edits.iter().zip(&spelt).map(|(edit, address)| ImportRow {
                address,
                fields: Some(&edit.fields),
                subscribe: Vec::new(),
                unsubscribe: Vec::new(),
            });
            return self.import(rows.collect(), None).await;
        }
        let calls = edits
            .iter()
            .zip(&spelt)
            .map(|(edit, address)| {
                Ok((
                    id_number(&edit.id),
                    wire::update(address, &edit.fields, &definitions),
                ))
            })
            .collect();
        self.one_by_one(calls).await
    }

    async fn change_address(&self, id: &str, address: &str) -> Result<ItemOutcome, CallError> {
        let contact = self.id("contact_edit", id)?;
        self.tell_v1(wire::change_address(contact, address), |_| Ok(()))
            .await?;
        let nothing = wire::ProfileFields::default();
        Ok(
            match self
                .ask_v1(wire::view(contact), |answer| wire::viewed(answer, &nothing))
                .await
            {
                Ok(Some(shown)) if shown.id == contact => match shown.email {
                    Some(email) if wire::same_address(&email, address) => ItemOutcome::Done {
                        id: Some(contact.to_string()),
                    },
                    Some(_) => refused(&format!(
                        "ActiveCampaign answered that contact {contact} is saved and shows another address; compare the contact there with the source"
                    )),
                    None => ItemOutcome::Unknown,
                },
                _ => ItemOutcome::Unknown,
            },
        )
    }

    async fn leavers(
        &self,
        rows: &[MemberLeave],
    ) -> Result<Vec<Result<Leaver, Refusal>>, CallError> {
        let mut leavers = Vec::new();
        for row in rows {
            let lists = self.ids("contact_sync", &row.groups)?;
            let id = row
                .id
                .as_deref()
                .map(|id| self.id("contact_sync", id))
                .transpose()?;
            let present = match &row.id {
                Some(id) => Some(self.spellings.of_contact(id, &row.address)),
                None => self.present_as(&row.address).await?,
            };
            let new = present.is_none();
            leavers.push(Ok(Leaver {
                id,
                address: present.unwrap_or_else(|| row.address.clone()),
                fields: new.then(|| row.fields.clone()),
                lists,
            }));
        }
        Ok(leavers)
    }

    /// Finds the addresses behind ids, by one question for each: forms and imports go by address.
    async fn leavers_by_id(
        &self,
        members: &[String],
        groups: &[String],
    ) -> Result<Vec<Result<Leaver, Refusal>>, CallError> {
        self.check_rows(
            "contact_view",
            members.len(),
            members.iter().map(String::as_str),
        )?;
        let lists = self.ids("contact_view", groups)?;
        let nothing = wire::ProfileFields::default();
        let mut leavers = Vec::new();
        for member in members {
            let id = self.id("contact_view", member)?;
            let shown = self
                .ask_v1(wire::view(id), |answer| wire::viewed(answer, &nothing))
                .await?;
            leavers.push(
                match shown
                    .filter(|shown| shown.id == id)
                    .and_then(|shown| shown.email)
                {
                    Some(address) => Ok(Leaver {
                        id: Some(id),
                        address,
                        fields: None,
                        lists: lists.clone(),
                    }),
                    None => Err(refusal(&format!(
                        "contact {id} is not in the account any more, or has no address"
                    ))),
                },
            );
        }
        Ok(leavers)
    }

    async fn leave(
        &self,
        leavers: Vec<Result<Leaver, Refusal>>,
        how: Leaving,
    ) -> Result<Settlement, CallError> {
        let addresses = leavers
            .iter()
            .filter_map(|leaver| leaver.as_ref().ok())
            .map(|leaver| leaver.address.as_str());
        self.check_rows("contact_sync", leavers.len(), addresses)?;
        let (found, mut outcomes) = apart(leavers);
        if how == Leaving::Detach {
            for (number, (place, leaver)) in found.into_iter().enumerate() {
                outcomes[place] = match self.detach(&leaver).await {
                    Ok(outcome) => outcome,
                    Err(CallError::Refused { refusal, .. }) => {
                        ItemOutcome::Refused(neutral(refusal))
                    }
                    Err(error) if number == 0 => return Err(error),
                    // What is left is to be read back, whatever became of it.
                    Err(_) => break,
                };
            }
            return Ok(Settlement::Items(outcomes));
        }
        if found.len() >= WORTHWHILE {
            let rows = found.iter().map(|(_, leaver)| ImportRow {
                address: &leaver.address,
                fields: leaver.fields.as_ref(),
                subscribe: Vec::new(),
                unsubscribe: leaver.lists.clone(),
            });
            let places = found.iter().map(|(place, _)| *place).collect();
            return self.import(rows.collect(), Some((places, outcomes))).await;
        }
        let definitions = self
            .definitions_for(
                found
                    .iter()
                    .filter_map(|(_, leaver)| leaver.fields.as_ref()),
            )
            .await?;
        let calls = found.iter().map(|(_, leaver)| {
            let profile = leaver
                .fields
                .as_ref()
                .map(|fields| (fields, definitions.as_slice()));
            Ok((
                leaver.id,
                wire::unsubscribe(&leaver.address, &leaver.lists, profile),
            ))
        });
        let calls = calls.collect();
        if let Settlement::Items(settled) = self.one_by_one(calls).await? {
            for ((place, _), outcome) in found.iter().zip(settled) {
                outcomes[*place] = outcome;
            }
        }
        Ok(Settlement::Items(outcomes))
    }

    /// Takes a person off lists without a trace, and unsubscribes them from the last one: whoever
    /// is left on no list is deleted.
    async fn detach(&self, leaver: &Leaver) -> Result<ItemOutcome, CallError> {
        let nothing = wire::ProfileFields::default();
        let Some(id) = leaver.id else {
            return Ok(refused(
                "somebody who is not in the account is on no list to be taken off",
            ));
        };
        // Two who take the same person off two lists would each see the other list still there.
        let _turn = self.account.look_and_write().await;
        let mut begun = false;
        for list in &leaver.lists {
            let shown = self
                .ask_v1(wire::view(id), |answer| wire::viewed(answer, &nothing))
                .await;
            let shown = match shown {
                // Some lists are left by now, and which shows when it is read back.
                Err(_) if begun => return Ok(ItemOutcome::Unknown),
                shown => shown?,
            };
            let shown = shown.filter(|shown| shown.id == id);
            if !begun && shown.as_ref().is_some_and(|shown| shown.on_unknown_list) {
                return Ok(refused(&format!(
                    "a membership of contact {id} does not say of which list it is; look at the contact at ActiveCampaign"
                )));
            }
            let Some(memberships) = shown
                .filter(|shown| !shown.on_unknown_list)
                .and_then(|shown| shown.memberships)
            else {
                return Ok(ItemOutcome::Unknown);
            };
            let Some((_, status)) = memberships.iter().find(|(other, _)| other == list) else {
                continue;
            };
            // What is opted out, bounced or unconfirmed is not a membership to take away, nor
            // anything that rosterd did.
            if wire::state(*status) != MembershipState::Active {
                return Ok(refused(&format!(
                    "contact {id} is not active on list {list} any more, so it stays as it is"
                )));
            }
            // What has ended is no list that the person is on.
            let is_elsewhere = |(other, status): &(_, i64)| other != list && *status != wire::ENDED;
            let call = if memberships.iter().any(is_elsewhere) {
                wire::detach(id, *list)
            } else {
                wire::unsubscribe(&leaver.address, &[*list], None)
            };
            match self.tell_v1(call, |_| Ok(())).await {
                Err(_) if begun => return Ok(ItemOutcome::Unknown),
                told => told?,
            }
            begun = true;
            // Somebody else may have taken away the other lists since the look, and the person with
            // them.
            match self
                .ask_v1(wire::view(id), |answer| wire::viewed(answer, &nothing))
                .await
            {
                Ok(Some(shown)) if shown.id == id => {}
                Ok(_) => {
                    tracing::warn!(
                        contact = id,
                        list,
                        "A contact who was taken off a list is not in the account any more."
                    );
                    return Ok(ItemOutcome::Unknown);
                }
                Err(_) => return Ok(ItemOutcome::Unknown),
            }
        }
        Ok(ItemOutcome::Accepted {
            id: Some(id.to_string()),
        })
    }

    /// Makes people active again on lists from which rosterd itself took them, after a look at each
    /// that the membership is still as rosterd left it.
    async fn bring_back(&self, rows: &[MemberReturn]) -> Result<Settlement, CallError> {
        let count = rows.len();
        let mut outcomes = Vec::with_capacity(count);
        for row in rows {
            match self.bring_one_back(row).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(CallError::Refused { refusal, .. }) => {
                    outcomes.push(ItemOutcome::Refused(neutral(refusal)));
                }
                Err(error) if outcomes.is_empty() => return Err(error),
                // What is left is to be read back, whatever became of it.
                Err(_) => {
                    outcomes.resize(count, ItemOutcome::Unknown);
                    break;
                }
            }
        }
        Ok(Settlement::Items(outcomes))
    }

    async fn bring_one_back(&self, row: &MemberReturn) -> Result<ItemOutcome, CallError> {
        let nothing = wire::ProfileFields::default();
        let id = self.id("contact_sync", row.removal().member())?;
        let list = self.id("contact_sync", row.removal().group())?;
        let shown = self
            .ask_v1(wire::view(id), |answer| wire::viewed(answer, &nothing))
            .await?;
        let Some(shown) = shown.filter(|shown| shown.id == id) else {
            return Ok(refused(&format!(
                "contact {id} is not in the account any more"
            )));
        };
        let status = shown
            .memberships
            .iter()
            .flatten()
            .find(|(held, _)| *held == list)
            .map(|(_, status)| wire::state(*status));
        let left = shown
            .left
            .iter()
            .find(|(held, _)| *held == list)
            .map(|(_, time)| *time);
        match (status, shown.email) {
            (Some(MembershipState::Active), _) => Ok(ItemOutcome::Accepted {
                id: Some(id.to_string()),
            }),
            (Some(MembershipState::OptedOut), Some(address)) if row.removal().still_fits(left) => {
                let known = self
                    .tell_v1(wire::bring_back(&address, list, row), |fields| {
                        Ok(id_of(fields, "subscriber_id"))
                    })
                    .await?;
                Ok(match known {
                    Some(known) if known != id => refused(&format!(
                        "the address belongs to contact {known} and not to contact {id} any more; look at both at ActiveCampaign"
                    )),
                    _ => ItemOutcome::Accepted {
                        id: Some(id.to_string()),
                    },
                })
            }
            _ => Ok(refused(&format!(
                "contact {id} is not unsubscribed from list {list} as rosterd left it, so it stays as it is"
            ))),
        }
    }

    /// Sends a form for each item. Once one is lost on the way the rest is left to be read back.
    async fn one_by_one(
        &self,
        calls: Vec<Result<(Option<u64>, Call), Refusal>>,
    ) -> Result<Settlement, CallError> {
        let count = calls.len();
        let mut outcomes = Vec::with_capacity(count);
        for call in calls {
            let (expected, call) = match call {
                Ok(call) => call,
                Err(refusal) => {
                    outcomes.push(ItemOutcome::Refused(refusal));
                    continue;
                }
            };
            match self.tell_v1(call, |fields| Ok(id_of(fields, "subscriber_id"))).await {
                Ok(shown) => outcomes.push(match (shown, expected) {
                    (Some(shown), Some(expected)) if shown != expected => refused(&format!(
                        "the address belongs to contact {shown} and not to contact {expected} any more; look at both at ActiveCampaign"
                    )),
                    (shown, expected) => ItemOutcome::Accepted { id: shown.or(expected).map(|id| id.to_string()) },
                }),
                Err(CallError::Refused { refusal, .. }) => outcomes.push(ItemOutcome::Refused(neutral(refusal))),
                Err(error) if outcomes.is_empty() => return Err(error),
                Err(_) => {
                    outcomes.resize(count, ItemOutcome::Unknown);
                    break;
                }
            }
        }
        Ok(Settlement::Items(outcomes))
    }

    async fn create_field(&self, label: &str, kind: FieldType) -> Result<ItemOutcome, CallError> {
        let label = label.trim();
        let known = self.read_definitions().await?;
        if let Some(field) = known
            .iter()
            .find(|field| field.title.trim().to_lowercase() == label.to_lowercase())
        {
            return Ok(ItemOutcome::Done {
                id: Some(field.id.to_string()),
            });
        }
        let tags: BTreeSet<String> = known
            .iter()
            .map(|field| field.tag.to_ascii_uppercase())
            .collect();
        let Some(tag) = free_tag(label, &tags) else {
            return Ok(refused(
                "a custom field needs a label with a letter or digit in it",
            ));
        };
        self.tell_v1(
            list_wire::add_field(label, &tag, kind == FieldType::Timestamp),
            |_| Ok(()),
        )
        .await?;
        let Ok(now) = self.read_definitions().await else {
            return Ok(ItemOutcome::Unknown);
        };
        Ok(
            match now
                .iter()
                .find(|field| field.tag.eq_ignore_ascii_case(&tag))
            {
                Some(field) => ItemOutcome::Done {
                    id: Some(field.id.to_string()),
                },
                None => ItemOutcome::Unknown,
            },
        )
    }

    /// Reads the definitions where a record names a custom field.
    async fn definitions_for<'a>(
        &self,
        mut records: impl Iterator<Item = &'a Record>,
    ) -> Result<std::sync::Arc<Vec<list_wire::Definition>>, CallError> {
        if records.any(|fields| fields.keys().any(|name| name.starts_with("custom."))) {
            self.definitions().await
        } else {
            Ok(std::sync::Arc::default())
        }
    }

    fn check_rows<'a>(
        &self,
        operation: &'static str,
        count: usize,
        keys: impl Iterator<Item = &'a str>,
    ) -> Result<(), CallError> {
        let most = self
            .options
            .batch_cap
            .map_or(MOST_ROWS, |cap| MOST_ROWS.min(cap.max(1)));
        if count > most {
            return Err(self.too_many(operation, count, most));
        }
        let mut seen = BTreeSet::new();
        for key in keys {
            if key.trim().is_empty() || !seen.insert(key.trim().to_lowercase()) {
                return Err(self.account.unsendable(
                    operation,
                    "one person stands in two rows, or a row has no address",
                ));
            }
        }
        Ok(())
    }

    fn too_many(&self, operation: &'static str, items: usize, most: usize) -> CallError {
        self.account
            .unsendable(operation, format!("it has {items} items and takes {most}"))
    }

    fn id(&self, operation: &'static str, id: &str) -> Result<u64, CallError> {
        id_number(id).ok_or_else(|| {
            self.account
                .unsendable(operation, format!("\"{id}\" is not an ActiveCampaign id"))
        })
    }

    fn ids(&self, operation: &'static str, ids: &[String]) -> Result<Vec<u64>, CallError> {
        ids.iter().map(|id| self.id(operation, id)).collect()
    }
}

/// Tells what a write to lists or contacts takes.
pub(super) fn takes(load: Load) -> Takes {
    let forms = |people: usize| Takes {
        writes: people as u64,
        ..Takes::default()
    };
    let looked_at = |count: usize| Takes {
        writes: count as u64,
        reads: count as u64,
        waits: 0,
    };
    let import = Takes {
        writes: 1,
        reads: import::USUAL_POLLS,
        waits: import::USUAL_WAIT,
    };
    match load {
        Load::CreateGroup | Load::ChangeAddress => looked_at(1),
        Load::EditGroups(count) => Takes {
            writes: count as u64,
            reads: 2 * count as u64,
            waits: 0,
        },
        Load::UpdateMembers { people, clears } if people < WORTHWHILE || clears => forms(people),
        // One look before and one after.
        Load::Leave {
            memberships,
            how: Leaving::Detach,
            ..
        } => Takes {
            reads: 2 * memberships as u64,
            ..looked_at(memberships)
        },
        Load::Leave { people, .. } if people < WORTHWHILE => forms(people),
        Load::CreateMembers(_)
        | Load::Join(_)
        | Load::UpdateMembers { .. }
        | Load::Leave { .. } => import,
        Load::BringBack(count) => looked_at(count),
        Load::Other => forms(1),
    }
}

/// Tells what a write to user groups or users takes. Where a user is is looked up each time, before
/// and after, and a group is shown after each write.
pub(super) fn takes_of_users(load: Load) -> Takes {
    let looked_at = |writes: usize, looks: usize| Takes {
        writes: writes as u64,
        reads: (writes * looks) as u64,
        waits: 0,
    };
    match load {
        Load::CreateGroup => looked_at(1, 1),
        Load::EditGroups(count) => looked_at(count, 2),
        // Nobody has the address, which the key's own user proves, and then somebody has.
        Load::CreateMembers(people) => looked_at(people, 3),
        Load::UpdateMembers { people, .. } => looked_at(people, 4),
        Load::ChangeAddress => looked_at(1, 4),
        // Whoever joins or leaves is seen once more before that.
        _ => looked_at(1, 5),
    }
}

/// Sets those apart who can't be written to, and gives the others their places among the outcomes.
fn apart(leavers: Vec<Result<Leaver, Refusal>>) -> (Vec<(usize, Leaver)>, Vec<ItemOutcome>) {
    let mut outcomes = Vec::new();
    let mut found = Vec::new();
    for (place, leaver) in leavers.into_iter().enumerate() {
        match leaver {
            Ok(leaver) => {
                found.push((place, leaver));
                outcomes.push(ItemOutcome::Unknown);
            }
            Err(refusal) => outcomes.push(ItemOutcome::Refused(refusal)),
        }
    }
    (found, outcomes)
}

/// Makes a personalisation tag of a label that no other field has.
fn free_tag(label: &str, taken: &BTreeSet<String>) -> Option<String> {
    let mut tag: String = label
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect::<String>()
        .trim_matches('_')
        .to_owned();
    if tag.is_empty() {
        // A label in another script still needs a tag.
        if !label.chars().any(char::is_alphanumeric) {
            return None;
        }
        "FIELD".clone_into(&mut tag);
    }
    // One number more than there are tags is free for certain.
    (1..=taken.len() + 1)
        .map(|number| {
            if number == 1 {
                tag.clone()
            } else {
                format!("{tag}_{number}")
            }
        })
        .find(|tag| !taken.contains(tag))
}

fn refusal(message: &str) -> Refusal {
    Refusal {
        code: None,
        message: message.to_owned(),
        request_id: None,
    }
}

fn refused(message: &str) -> ItemOutcome {
    ItemOutcome::Refused(refusal(message))
}

fn neutral(refusal: http::Refusal) -> Refusal {
    Refusal {
        code: refusal.code,
        message: refusal.message,
        request_id: refusal.request_id,
    }
}
