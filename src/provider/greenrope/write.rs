//! Which request carries which write, and what its answer says of each item.
//!
//! An item that can't be sent as it is, because its id is missing, repeated, or a field is not
//! writable, is refused here and left out of the request: an empty id would match anybody, and two
//! items for one contact have no defined order.

use std::collections::HashSet;

use super::GreenRope;
use super::wire::{self, ItemKind, Request, Sent, encode_group, encode_member};
use crate::http::CallError;
use crate::model::{ItemOutcome, MemberValues, Record, Refusal, Settlement, Write};

/// The names of a contact's id in answers.
const CONTACT_IDS: [&str; 3] = ["contact_id", "contactid", "id"];
/// The names of a group's id in answers.
const GROUP_IDS: [&str; 3] = ["group_id", "groupid", "id"];

/// The items of a write, in part refused before they are sent.
struct Batch {
    outcomes: Vec<ItemOutcome>,
    /// The positions of the items that are sent.
    places: Vec<usize>,
    /// Mark, id and encoded fields of the items that are sent.
    items: Vec<(String, String, String)>,
}

impl Batch {
    /// Takes (id, encoded fields or why they can't be).
    fn new<'a>(entries: impl Iterator<Item = (&'a str, Result<String, String>)>) -> Self {
        Batch::of(entries, false)
    }

    /// Takes the same, where one object may be changed in several steps; items are taken to be
    /// worked off in their order.
    fn in_steps<'a>(entries: impl Iterator<Item = (&'a str, Result<String, String>)>) -> Self {
        Batch::of(entries, true)
    }

    fn of<'a>(
        entries: impl Iterator<Item = (&'a str, Result<String, String>)>,
        repeats: bool,
    ) -> Self {
        let mut batch = Batch {
            outcomes: Vec::new(),
            places: Vec::new(),
            items: Vec::new(),
        };
        let mut seen = HashSet::new();
        for (place, (id, fields)) in entries.enumerate() {
            let id = id.trim();
            let fields = match fields {
                _ if id.is_empty() => Err("it has no id".to_owned()),
                _ if !seen.insert(id.to_lowercase()) && !repeats => {
                    Err("it is in this request twice".to_owned())
                }
                fields => fields,
            };
            match fields {
                Ok(fields) => {
                    batch.places.push(place);
                    batch
                        .items
                        .push((format!("r{}", place + 1), id.to_owned(), fields));
                    batch.outcomes.push(ItemOutcome::Unknown);
                }
                Err(reason) => batch.outcomes.push(refused(&reason)),
            }
        }
        batch
    }

    fn sent(&self) -> Vec<Sent> {
        self.items
            .iter()
            .map(|(mark, id, _)| Sent {
                request_id: mark.clone(),
                id: id.clone(),
            })
            .collect()
    }

    fn settle(mut self, answered: Vec<ItemOutcome>) -> Settlement {
        for (place, outcome) in self.places.into_iter().zip(answered) {
            self.outcomes[place] = outcome;
        }
        Settlement::Items(self.outcomes)
    }
}

fn refused(reason: &str) -> ItemOutcome {
    ItemOutcome::Refused(Refusal {
        code: None,
        message: reason.to_owned(),
        request_id: None,
    })
}

fn one(outcome: ItemOutcome) -> Settlement {
    Settlement::Items(vec![outcome])
}

impl GreenRope {
    /// Sends one write, once.
    pub(super) async fn send_write(&self, write: &Write) -> Result<Settlement, CallError> {
        let account_id = self.account_id.as_str();
        match write {
            Write::CreateGroup { name, fields } => {
                match Request::create_group(account_id, name, fields) {
                    Ok(request) => self.create(&request, &GROUP_IDS).await,
                    Err(reason) => Ok(one(refused(&reason))),
                }
            }
            Write::CreateCustomField { label, kind } => {
                if label.trim().is_empty() {
                    return Ok(one(refused("a custom field needs a label")));
                }
                self.create(
                    &Request::add_custom_field(account_id, label, *kind),
                    &["userfieldid"],
                )
                .await
            }
            Write::EditGroups { edits } => {
                // A group that steps aside for a rename is in the request twice.
                let batch = Batch::in_steps(
                    edits
                        .iter()
                        .map(|edit| (edit.id.as_str(), encode_group(&edit.fields))),
                );
                let request = Request::edit_groups(account_id, &batch.items);
                self.tell_items(&request, "groups", &GROUP_IDS, batch).await
            }
            Write::DeleteGroup { id } => {
                let batch = Batch::new(std::iter::once((id.as_str(), Ok(String::new()))));
                let Some((mark, id, _)) = batch.items.first() else {
                    return Ok(batch.settle(vec![]));
                };
                let request = Request::delete_group(account_id, mark, id);
                self.tell_items(&request, "groups", &GROUP_IDS, batch).await
            }
            Write::CreateMembers { rows, join } => self.create_members(rows, join).await,
            Write::UpdateMembers { edits } => {
                let batch = Batch::new(
                    edits
                        .iter()
                        .map(|edit| (edit.id.as_str(), encode_member(None, &edit.fields))),
                );
                let request = Request::edit_contacts(account_id, &batch.items);
                self.tell_items(&request, "contacts", &CONTACT_IDS, batch)
                    .await
            }
            Write::ChangeAddress { id, address } => {
                let fields = match address.trim() {
                    "" => Err("the new address is empty".to_owned()),
                    address => encode_member(Some(address), &Record::new()),
                };
                let batch = Batch::new(std::iter::once((id.as_str(), fields)));
                let request = Request::edit_contacts(account_id, &batch.items);
                self.tell_items(&request, "contacts", &CONTACT_IDS, batch)
                    .await
            }
            Write::AddMemberships { group, members } => {
                self.by_id(ItemKind::Add(group.trim()), members).await
            }
            Write::RemoveMemberships { group, members } => {
                self.by_id(ItemKind::Remove(group.trim()), members).await
            }
            Write::OptOutOfAccount { members } => self.by_id(ItemKind::Unsubscribe, members).await,
            Write::JoinGroups { .. } | Write::LeaveGroups { .. } | Write::BringBack { .. } => {
                Ok(Settlement::Items(vec![
                    refused(
                        "one request of GreenRope takes people of one group only"
                    );
                    write.items()
                ]))
            }
            Write::CreateOptedOut { .. } => Ok(one(refused(
                "GreenRope can't create a contact that is opted out from the first moment",
            ))),
            Write::OptOutOfGroups { .. } => Ok(one(refused(
                "GreenRope's API can't write the opt-out of a single group",
            ))),
        }
    }

    async fn create(&self, request: &Request, id_names: &[&str]) -> Result<Settlement, CallError> {
        self.tell(request, |reply| {
            wire::created(reply.body.reader(), request.answer, id_names)
        })
        .await
        .map(one)
    }

    async fn by_id(&self, kind: ItemKind<'_>, members: &[String]) -> Result<Settlement, CallError> {
        if let ItemKind::Add("") | ItemKind::Remove("") = kind {
            return Ok(Settlement::Items(vec![
                refused("the group has no id");
                members.len()
            ]));
        }
        let batch = Batch::new(members.iter().map(|id| (id.as_str(), Ok(String::new()))));
        let request = Request::by_contact_id(&self.account_id, kind, &batch.items);
        self.tell_items(&request, "contacts", &CONTACT_IDS, batch)
            .await
    }

    async fn tell_items(
        &self,
        request: &Request,
        container: &str,
        id_names: &[&str],
        batch: Batch,
    ) -> Result<Settlement, CallError> {
        if batch.items.is_empty() {
            return Ok(batch.settle(vec![]));
        }
        let sent = batch.sent();
        let decode = |reply: &mut crate::http::Reply| {
            wire::settle_items(
                reply.body.reader(),
                request.answer,
                container,
                id_names,
                &sent,
            )
        };
        let answered = self.tell(request, decode).await?;
        Ok(batch.settle(answered))
    }

    /// Creates contacts without any group: joining is a request of its own that goes by id.
    async fn create_members(
        &self,
        rows: &[MemberValues],
        join: &[String],
    ) -> Result<Settlement, CallError> {
        if !join.is_empty() {
            let reason = "GreenRope joins people to groups only after they are created";
            return Ok(Settlement::Items(vec![refused(reason); rows.len()]));
        }
        let batch = Batch::new(rows.iter().map(|row| {
            let fields = row.fields.iter().filter(|(_, value)| !value.is_empty());
            let fields: Record = fields
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            (
                row.address.as_str(),
                encode_member(Some(row.address.trim()), &fields),
            )
        }));
        if batch.items.is_empty() {
            return Ok(batch.settle(vec![]));
        }
        let encoded: Vec<String> = batch
            .items
            .iter()
            .map(|(_, _, fields)| fields.clone())
            .collect();
        let request = Request::add_contacts(&self.account_id, &encoded);
        let answered = self
            .tell(&request, |reply| {
                wire::settle_creations(reply.body.reader(), encoded.len())
            })
            .await?;
        Ok(batch.settle(answered))
    }
}
