//! The order of calls for reading: access, lists and the definitions of custom fields.
//!
//! Contacts are read by [`contacts`] and user groups with their users by [`users`].

mod contacts;
mod listing;
mod named;
mod pages;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ActiveCampaign;
use super::wire::groups::{self, is_built_in};
use super::wire::lists::{self, Definition};
use super::wire::{PAGE_ROWS, id_number};
use crate::http::CallError;
use crate::model::{Certificate, CustomField, CustomFields, FieldType, GroupRow, Unread, Value};
use crate::provider::{Duties, ReadError};

pub(super) use named::predicted_look;
pub(super) use users::{predicted_seats, predicted_users};

/// So many lists are looked at in full by one request; each row holds the permissions of every user
/// group that sees the list.
pub(super) const FULL_LISTS: usize = 20;

impl ActiveCampaign {
    /// Proves the key by asking for its own user.
    pub(super) async fn read_access(&self) -> Result<(), ReadError> {
        self.memory().hidden = false;
        if let Some(id) = self
            .options
            .parking_group
            .as_deref()
            .filter(|_| !self.has_lists())
            && id_number(id).is_none_or(is_built_in)
        {
            return Err(ReadError::Account(format!(
                "{}: \"{id}\" can't be the parking group, because groups 1 to 3 come with the account and the third has every right; name an ordinary user group as parking_group",
                self.account.name()
            )));
        }
        self.prove_key().await.map_err(|error| match error {
            CallError::Denied { reason, .. } => ReadError::Account(format!(
                "{}: the API key was refused ({reason}); check api_key and base_url, and that the user who owns the key may use the API",
                self.account.name()
            )),
            other => ReadError::Call(other),
        })
    }

    /// Looks which permissions the user group of the key's user shows as not granted. An
    /// administrator has them all.
    pub(super) async fn read_lacks(&self, duties: Duties) -> Result<Vec<String>, ReadError> {
        let (restricted, own) = {
            let memory = self.memory();
            (memory.restricted, memory.own_groups.clone())
        };
        let needed = needed_flags(self.has_lists(), duties);
        if !restricted || needed.is_empty() {
            return Ok(Vec::new());
        }
        let names: BTreeSet<&'static str> = needed.iter().map(|(name, _)| *name).collect();
        // Any of several groups may grant a permission.
        let mut shown: BTreeMap<&'static str, bool> = BTreeMap::new();
        for group in own {
            match self
                .ask_v1(groups::view(group), |fields| {
                    groups::shown_flags(fields, &names)
                })
                .await
            {
                Ok(Some(flags)) => flags
                    .into_iter()
                    .for_each(|(name, granted)| *shown.entry(name).or_default() |= granted),
                // A key that may not look at its own group tells nothing.
                Ok(None) | Err(CallError::Refused { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            }
        }
        let missing = needed
            .into_iter()
            .filter(|(name, _)| shown.get(name) == Some(&false));
        Ok(missing
            .map(|(name, purpose)| {
                format!(
                    "the user group of the key's user lacks {name}, which {purpose} takes; grant it there, or use an administrator's key"
                )
            })
            .collect())
    }

    /// Reads the definitions of custom fields, of contacts only: users have none.
    pub(super) async fn read_custom_fields(&self) -> Result<CustomFields, ReadError> {
        if !self.has_lists() {
            return Ok(CustomFields {
                known: true,
                ..CustomFields::default()
            });
        }
        let definitions = match self.read_definitions().await {
            Ok(definitions) => definitions,
            Err(CallError::Refused { .. } | CallError::Denied { .. }) => {
                return Ok(CustomFields::default());
            }
            Err(error) => return Err(error.into()),
        };
        let mut fields: Vec<CustomField> = definitions
            .iter()
            .filter(|field| !field.unreadable)
            .map(|field| CustomField {
                system_name: field.tag.clone(),
                label: field.title.clone(),
                kind: if field.kind.eq_ignore_ascii_case("date") || field.kind == "9" {
                    FieldType::Timestamp
                } else {
                    FieldType::Text
                },
                max_length: None,
                options: Vec::new(),
            })
            .collect();
        fields.sort_by(|left, right| left.system_name.cmp(&right.system_name));
        Ok(CustomFields {
            known: true,
            fields,
            unread: definitions
                .iter()
                .filter(|field| field.unreadable)
                .map(|field| format!("{} ({})", field.id, field.title))
                .collect(),
        })
    }

    /// Reads the definitions anew and remembers them.
    pub(super) async fn read_definitions(&self) -> Result<Arc<Vec<Definition>>, CallError> {
        let mut found: BTreeMap<u64, Definition> = BTreeMap::new();
        let (mut offset, mut without_id) = (0, 0);
        let announced = loop {
            let (rows, total) = self
                .ask_page(lists::field_page(offset), lists::definitions)
                .await?;
            let count = rows.len() as u64;
            // No config can name one without an id.
            without_id += rows.without_id;
            let before = found.len();
            let is_stuck = rows.known.is_empty();
            found.extend(rows.known.into_iter().map(|row| (row.id, row)));
            if !is_stuck && found.len() == before {
                let words = "a page of custom fields came again";
                return Err(self.account.broken_rule("fields", words));
            }
            offset += count;
            let enough = total.is_some_and(|total| offset >= total);
            if is_stuck || (count < PAGE_ROWS && enough) {
                break total;
            }
        };
        if announced.is_some_and(|total| total > found.len() as u64 + without_id) {
            return Err(self
                .account
                .broken_rule("fields", "the custom fields are not as many as announced"));
        }
        // One without an id is there, and no value of it can be read or written.
        let nameless = (0..without_id).map(|_| Definition {
            id: 0,
            tag: String::new(),
            title: "without an id".to_owned(),
            kind: String::new(),
            unreadable: true,
        });
        let definitions = Arc::new(found.into_values().chain(nameless).collect::<Vec<_>>());
        self.memory().definitions = Some(Arc::clone(&definitions));
        Ok(definitions)
    }

    /// Returns the definitions as last read, or reads them.
    pub(super) async fn definitions(&self) -> Result<Arc<Vec<Definition>>, CallError> {
        let known = self.memory().definitions.clone();
        match known {
            Some(definitions) => Ok(definitions),
            None => self.read_definitions().await,
        }
    }

    /// Reads all lists, which come in one answer, and every field of the wanted ones.
    ///
    /// What vouches for the answer is the number of lists that version 3 counts; the answer itself
    /// looks the same with one missing. Lists that the key lost the right to see are in neither:
    /// see [`ActiveCampaign::read_list`].
    pub(super) async fn read_lists(
        &self,
        wanted: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Result<(Vec<GroupRow>, Certificate), ReadError> {
        let counted = match self.ask_v3(lists::count_lists(), lists::list_total).await {
            Ok(total) => total,
            Err(error) => {
                self.survivable(error).await?;
                None
            }
        };
        let listed = self
            .ask_listing(lists::list_all(), lists::summaries)
            .await?
            .unwrap_or_default();
        let left_out = listed.left_out("the lists", 0);
        let mut rows = listed.known;
        let mut certificate = Certificate {
            pages: 2,
            rows: rows.len() as u64,
            total: counted,
            opt_outs_complete: true,
            left_out: left_out.into_iter().collect(),
            ..Certificate::default()
        };
        rows.sort_by_key(|row| id_number(&row.id));
        rows.dedup_by(|later, kept| later.id == kept.id);
        certificate.distinct = rows.len() as u64;
        if certificate.distinct < certificate.rows {
            certificate
                .problems
                .push("one list is in the list of lists twice".to_owned());
        }
        let detailed: Vec<String> = rows
            .iter()
            .filter(|row| {
                wanted(
                    &row.id,
                    &row.wire
                        .get("name")
                        .map(Value::to_string)
                        .unwrap_or_default(),
                )
            })
            .map(|row| row.id.clone())
            .collect();
        let (mut any, mut spoilt) = (false, None);
        for asked in detailed.chunks(FULL_LISTS) {
            let (found, error) = self.look_at_lists(asked, &mut certificate).await?;
            any |= !found.is_empty();
            spoilt = spoilt.or(error);
            for id in asked {
                let full = found.iter().find(|row| row.id == *id);
                let row = rows.iter_mut().find(|row| row.id == *id);
                if let (Some(full), Some(row)) = (full, row) {
                    *row = full.clone();
                } else if let Some(row) = rows.iter_mut().find(|row| row.id == *id) {
                    // The list alone is left out; the others are as they are.
                    row.unread = Some(Unread::Details);
                }
            }
        }
        // What is refused for every list is no trouble of one of them.
        match spoilt.filter(|_| !any) {
            Some(error) => Err(error.into()),
            None => Ok((rows, certificate)),
        }
    }

    /// Reads the ids of the lists that a user group may name, as far as the key sees them.
    pub(super) async fn read_nameable(
        &self,
        field: &str,
    ) -> Result<Option<BTreeSet<String>>, ReadError> {
        if self.has_lists() || field != "lists" {
            return Ok(None);
        }
        let (rows, certificate) = self.read_lists(&|_, _| false).await?;
        Ok(certificate
            .problems
            .is_empty()
            .then(|| rows.into_iter().map(|row| row.id).collect()))
    }

    /// Reads one list with every field, or finds that there is none.
    pub(super) async fn read_list(&self, id: &str) -> Result<Option<GroupRow>, ReadError> {
        // What is no number is no list.
        let Some(number) = id_number(id) else {
            return Ok(None);
        };
        match self.ask_v1(lists::view(number), lists::full).await? {
            None => {
                self.look_for_hidden(number).await?;
                Ok(None)
            }
            Some(list) if list.row.id == number.to_string() => Ok(Some(list.row)),
            Some(_) => Err(self
                .account
                .broken_rule(
                    "list_view",
                    "the question for one list is answered with another",
                )
                .into()),
        }
    }
}

impl ActiveCampaign {
    /// Looks at several lists at once, or at each alone where one of them spoils the answer.
    /// Returns what was found, and an error that was met.
    async fn look_at_lists(
        &self,
        asked: &[String],
        certificate: &mut Certificate,
    ) -> Result<(Vec<GroupRow>, Option<CallError>), ReadError> {
        certificate.pages += 1;
        let error = match self.ask_listing(lists::some(asked), lists::full_rows).await {
            Ok(found) => return Ok((found.unwrap_or_default(), None)),
            Err(error) => error,
        };
        self.survivable(error.clone()).await?;
        let mut rows = Vec::new();
        for list in asked.chunks(1).filter(|_| asked.len() > 1) {
            certificate.pages += 1;
            match self.ask_listing(lists::some(list), lists::full_rows).await {
                Ok(found) => rows.extend(found.unwrap_or_default()),
                Err(error) => drop(self.survivable(error).await?),
            }
        }
        Ok((rows, Some(error)))
    }

    /// Asks version 3 for a list that version 1 does not show: one that is there all the same says
    /// that this key does not see everything, and then nothing is missing for not being seen.
    async fn look_for_hidden(&self, list: u64) -> Result<(), ReadError> {
        match self.ask_v3(lists::one(list), |_| Ok(())).await {
            Ok(()) => self.memory().hidden = true,
            // An unknown id is refused with status 403 or 404.
            Err(CallError::Denied { .. } | CallError::Refused { .. }) => {}
            Err(error) => {
                self.survivable(error).await?;
                self.memory().hidden = true;
            }
        }
        Ok(())
    }
}

/// Names the permissions that duties take, each with what it is for.
fn needed_flags(lists: bool, duties: Duties) -> Vec<(&'static str, &'static str)> {
    let of_lists = [
        (duties.save_groups, "pg_list_add", "creating lists"),
        (duties.save_groups, "pg_list_edit", "changing lists"),
        (duties.delete_groups, "pg_list_delete", "deleting lists"),
        (
            duties.create_members,
            "pg_subscriber_add",
            "creating contacts",
        ),
        (
            duties.create_members || duties.change_members,
            "pg_subscriber_import",
            "adding contacts to lists by import",
        ),
        (
            duties.change_members,
            "pg_subscriber_edit",
            "changing contacts and their lists",
        ),
        (
            duties.create_fields,
            "pg_subscriber_fields",
            "creating custom fields",
        ),
    ];
    let of_user_groups = [
        (duties.save_groups, "pg_group_add", "creating user groups"),
        (duties.save_groups, "pg_group_edit", "changing user groups"),
        (
            duties.delete_groups,
            "pg_group_delete",
            "deleting user groups",
        ),
        (duties.create_members, "pg_user_add", "creating users"),
        (
            duties.change_members,
            "pg_user_edit",
            "moving users between groups",
        ),
    ];
    let needed: &[(bool, &'static str, &'static str)] =
        if lists { &of_lists } else { &of_user_groups };
    needed
        .iter()
        .filter(|(asked, ..)| *asked)
        .map(|(_, name, purpose)| (*name, *purpose))
        .collect()
}

/// Predicts the requests that reading so many lists takes.
///
/// Contacts who are on none of the lists are read as well where that takes fewer requests; how many
/// they are shows only then.
pub(super) fn predicted(groups: &[GroupRow], target: bool) -> u64 {
    let listed: u64 = groups.iter().filter_map(|group| group.member_count).sum();
    let count = groups.len() as u64;
    // The key's user, the lists counted, in brief and in full, the custom fields, the pages of
    // contacts and a count per list.
    let before = 4 + count.div_ceil(FULL_LISTS as u64);
    before + listed.div_ceil(PAGE_ROWS).max(1) + count + u64::from(target)
}

/// Predicts the requests that reading so many lists back takes: the lists in brief, then the
/// account or each list by status, whichever is less, and a count per list.
pub(super) fn predicted_check(groups: u64, listed: u64, account: u64) -> u64 {
    let by_list = listed.div_ceil(PAGE_ROWS) + groups;
    // Several lists take the number that vouches for their listing.
    let brief = 1 + u64::from(groups > 1);
    brief + (account / PAGE_ROWS + 1).min(1 + by_list) + groups
}
