//! ActiveCampaign: lists of contacts, or groups of users.
//!
//! Two interfaces of one service: forms at one address (version 1) and JSON resources (version 3).
//! Facts are from its reference pages, public clients and recordings, read in November 2026;
//! nothing documents all of them. The ones that shape this adapter:
//!
//! - Version 1 answers "nothing found" and "not allowed" alike; a look at the key's own user tells
//!   them apart.
//! - One pass over the account by version 3 shows everybody with all memberships, where `include`
//!   works.
//! - Contacts can be named a hundred at a time by id, which no recording shows: each row has to
//!   speak for itself.
//! - Only the bulk importer leaves automations out, so it makes every addition. It works on after
//!   its answer.
//! - A membership with status 2 is an opt-out and the only trace of a removal; status 1 is sent
//!   only to undo rosterd's own.
//! - list_edit and group_edit replace what they are not told.

mod fields;
mod read;
mod wire;
mod write;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value as Json};
use tokio::time::Instant;

use super::json::Document;
use super::spelling::Spellings;
use super::{Duties, MemberAsk, NamedAsk, NamedMember, ReadError, Source, Target};
use crate::http::{Account, Call, CallError, DecodeError, Reply};
use crate::model::{
    Certificate, CustomFields, GroupRow, Load, MemberSink, ProviderKind, Settlement, Takes, Ticket,
    Write,
};

pub use fields::{LIST_CAPABILITIES, LIST_SCHEMA, USER_CAPABILITIES, USER_SCHEMA};
use wire::V1Answer;
use wire::lists::Definition;
use wire::users::GroupIndex;

/// The user group of the administrators, which comes with every account.
const ADMINISTRATORS: &str = "3";

/// Which objects of the account are the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActiveCampaignGroups {
    /// Lists, whose members are contacts.
    Lists,
    /// User groups, whose members log in to the account.
    UserGroups,
}

/// What the adapter needs besides an account to send through.
#[derive(Clone, Debug)]
pub struct ActiveCampaignOptions {
    /// The key of a user, whose rights it carries.
    pub api_key: SecretString,
    /// Which objects are the groups.
    pub groups: ActiveCampaignGroups,
    /// The user group that people are moved to who leave theirs.
    pub parking_group: Option<String>,
    /// A configured bound on the items of one request, below the documented ones.
    pub batch_cap: Option<usize>,
}

/// The ActiveCampaign adapter.
pub struct ActiveCampaign {
    options: ActiveCampaignOptions,
    account: Account,
    memory: Mutex<Memory>,
    spellings: Spellings,
}

/// What the adapter remembers between requests.
#[derive(Default)]
struct Memory {
    /// The custom fields, once they were read.
    definitions: Option<Arc<Vec<Definition>>>,
    /// Which addresses exist in the account, as far as targets were read.
    known: Known,
    /// Imports that were queued and not seen to their end.
    imports: HashMap<String, write::import::Batch>,
    /// Since when an import may be under way that nobody waits for, besides those whose tickets nobody
    /// holds any more.
    doubt: Option<Instant>,
    /// Whether imports of an earlier process were looked for.
    looked_for_imports: bool,
    /// Whether the key's user is known to be no administrator, who alone sees everything.
    restricted: bool,
    /// Whether a list was found that exists and is not shown to the key.
    hidden: bool,
    /// The user groups of the key's user, as far as its own view shows them.
    own_groups: Vec<u64>,
    /// How this account reads the group of a user, once one was placed.
    group_index: Option<GroupIndex>,
    /// The group of each user, as a target was last read and written: whoever has been moved since
    /// is left alone.
    seats: HashMap<u64, u64>,
    /// Hashes of addresses for which this process has asked for a user.
    asked_for: HashSet<u64>,
}

/// Hashes of addresses that exist or do not.
#[derive(Default)]
struct Known {
    /// Whether the whole account was read, so that whoever is not present is absent.
    whole: bool,
    present: HashSet<u64>,
    absent: HashSet<u64>,
}

impl Known {
    /// Tells whether an address exists; nothing where nobody has looked.
    fn exists(&self, address: &str) -> Option<bool> {
        let hash = address_hash(address);
        if self.present.contains(&hash) {
            return Some(true);
        }
        (self.whole || self.absent.contains(&hash)).then_some(false)
    }
}

impl ActiveCampaign {
    /// Makes an adapter; nothing is sent.
    pub fn new(options: ActiveCampaignOptions, account: Account) -> Self {
        ActiveCampaign {
            options,
            account,
            memory: Mutex::default(),
            spellings: Spellings::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_lists(&self) -> bool {
        self.options.groups == ActiveCampaignGroups::Lists
    }

    /// The group that takes whoever leaves another one.
    fn parking(&self) -> Option<u64> {
        self.options
            .parking_group
            .as_deref()
            .and_then(wire::id_number)
    }

    fn signed(&self, mut call: Call) -> Call {
        // One name serves both interfaces, which ignore its case.
        call.headers = vec![(
            "Api-Token".to_owned(),
            SecretString::from(self.options.api_key.expose_secret().trim()),
        )];
        call
    }

    /// Reads by version 1; nothing where there is nothing, which the key's own user has proved to
    /// be meant so.
    async fn ask_v1<T>(
        &self,
        call: Call,
        decode: impl FnMut(&Map<String, Json>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, CallError> {
        self.look_for(call, wire::v1_answer, decode).await
    }

    /// Reads a listing of version 1, which is taken row by row; nothing as for one answer.
    async fn ask_listing<T>(
        &self,
        call: Call,
        decode: impl FnMut(&Document) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, CallError> {
        self.look_for(call, wire::v1_listing, decode).await
    }

    async fn look_for<A, T>(
        &self,
        call: Call,
        open: fn(&mut Reply) -> Result<V1Answer<A>, DecodeError>,
        mut decode: impl FnMut(&A) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, CallError> {
        let found = self
            .account
            .read(&self.signed(call), |reply| match open(reply)? {
                V1Answer::Something(found) => decode(&found).map(Some),
                V1Answer::Empty(_) => Ok(None),
            })
            .await?;
        if found.is_none() {
            self.prove_key().await?;
        }
        Ok(found)
    }

    /// Asks for the key's own user, which only a good key can see.
    async fn prove_key(&self) -> Result<(), CallError> {
        let call = self.signed(wire::v1_read("user_me", &[]));
        let groups = self
            .account
            .read(&call, |reply| match wire::v1_answer(reply)? {
                V1Answer::Something(fields) => Ok(fields
                    .get("groups")
                    .map(|groups| wire::groups::ids_of(Some(groups)))),
                V1Answer::Empty(refusal) => Err(DecodeError::Denied(refusal.message)),
            });
        let groups = groups.await?.unwrap_or_default();
        let mut memory = self.memory();
        memory.restricted =
            !groups.is_empty() && !groups.iter().any(|group| group == ADMINISTRATORS);
        memory.own_groups = groups
            .iter()
            .filter_map(|group| wire::id_number(group))
            .collect();
        Ok(())
    }

    async fn ask_v3<T>(
        &self,
        call: Call,
        mut decode: impl FnMut(&Map<String, Json>) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        self.account
            .read(&self.signed(call), |reply| decode(&wire::v3_answer(reply)?))
            .await
    }

    /// Asks for a page of version 3 that is taken row by row.
    async fn ask_page<T>(
        &self,
        call: Call,
        mut decode: impl FnMut(&Document) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        self.account
            .read(&self.signed(call), |reply| decode(&wire::v3_page(reply)?))
            .await
    }

    async fn tell_v1<T>(
        &self,
        call: Call,
        mut decode: impl FnMut(&Map<String, Json>) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        self.account
            .write(&self.signed(call), |reply| decode(&wire::v1_done(reply)?))
            .await
    }

    async fn tell_v3<T>(
        &self,
        call: Call,
        mut decode: impl FnMut(&Map<String, Json>) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        self.account
            .write(&self.signed(call), |reply| decode(&wire::v3_answer(reply)?))
            .await
    }
}

impl fmt::Debug for ActiveCampaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveCampaign")
            .field("account", &self.account)
            .field("groups", &self.options.groups)
            .finish_non_exhaustive()
    }
}

/// Eight bytes stand for an address; that two share them costs one person a profile until the next
/// run.
fn address_hash(address: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    address.trim().to_lowercase().hash(&mut hasher);
    hasher.finish()
}

impl Source for ActiveCampaign {
    fn kind(&self) -> ProviderKind {
        if self.has_lists() {
            ProviderKind::ActiveCampaignLists
        } else {
            ProviderKind::ActiveCampaignUsers
        }
    }

    fn open(&self) -> BoxFuture<'_, Result<(), ReadError>> {
        self.read_access().boxed()
    }

    fn remarks(&self) -> Vec<String> {
        let hidden = if self.has_lists() {
            "lists"
        } else {
            "users and groups"
        };
        let restricted = self.memory().restricted;
        let remark = format!(
            "the user who owns the key is not an administrator, so {hidden} that this user may not see look absent; \
             use the key of a user in the Admin group, or say shared_access = true"
        );
        restricted.then_some(remark).into_iter().collect()
    }

    fn sees_everything(&self) -> bool {
        let memory = self.memory();
        !memory.restricted && !memory.hidden
    }

    fn lacks<'a>(
        &'a self,
        duties: Duties,
        _groups: &'a [GroupRow],
    ) -> BoxFuture<'a, Result<Vec<String>, ReadError>> {
        self.read_lacks(duties).boxed()
    }

    fn custom_fields(&self) -> BoxFuture<'_, Result<CustomFields, ReadError>> {
        self.read_custom_fields().boxed()
    }

    fn groups<'a>(
        &'a self,
        wanted: &'a (dyn Fn(&str, &str) -> bool + Sync),
    ) -> BoxFuture<'a, Result<(Vec<GroupRow>, Certificate), ReadError>> {
        if self.has_lists() {
            self.read_lists(wanted).boxed()
        } else {
            self.read_user_groups(wanted).boxed()
        }
    }

    fn group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<GroupRow>, ReadError>> {
        if self.has_lists() {
            self.read_list(id).boxed()
        } else {
            self.read_user_group(id).boxed()
        }
    }

    fn members<'a>(
        &'a self,
        ask: &'a MemberAsk<'a>,
        sink: &'a mut dyn MemberSink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        if self.has_lists() {
            async move {
                let mut sink = self.spellings.listening(sink);
                self.read_contacts(ask, &mut sink).await
            }
            .boxed()
        } else {
            self.read_users(ask, sink).boxed()
        }
    }

    fn named_members<'a>(
        &'a self,
        ask: &'a NamedAsk<'a>,
    ) -> BoxFuture<'a, Result<Option<Vec<NamedMember>>, ReadError>> {
        if self.has_lists() {
            self.read_named(ask).boxed()
        } else {
            Box::pin(std::future::ready(Ok(None)))
        }
    }

    fn nameable<'a>(
        &'a self,
        field: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeSet<String>>, ReadError>> {
        self.read_nameable(field).boxed()
    }

    fn predicted_reads(&self, groups: &[GroupRow], target: bool) -> u64 {
        if self.has_lists() {
            read::predicted(groups, target)
        } else {
            read::predicted_users(groups)
        }
    }

    fn predicted_everything(&self, groups: &[GroupRow], _account: u64) -> u64 {
        // Each user group is read in full.
        let each = if self.has_lists() {
            0
        } else {
            groups.len() as u64
        };
        self.predicted_reads(groups, false) + each
    }
}

impl Target for ActiveCampaign {
    fn send<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Result<Settlement, CallError>> {
        if self.has_lists() {
            self.write_lists(write).boxed()
        } else {
            self.write_users(write).boxed()
        }
    }

    fn poll<'a>(&'a self, ticket: &'a Ticket) -> BoxFuture<'a, Result<Settlement, CallError>> {
        self.poll_import(ticket).boxed()
    }

    fn takes(&self, load: Load) -> Takes {
        if self.has_lists() {
            write::takes(load)
        } else {
            write::takes_of_users(load)
        }
    }

    fn predicted_groups(&self, groups: u64) -> u64 {
        match groups {
            several if self.has_lists() && several > 1 => {
                2 + several.div_ceil(read::FULL_LISTS as u64)
            }
            // The list of groups, to its end, and each with every field.
            several if several > 1 => 2 + several,
            _ => 1,
        }
    }

    fn predicted_check(&self, groups: u64, listed: u64, account: u64) -> u64 {
        if self.has_lists() {
            read::predicted_check(groups, listed, account)
        } else {
            0
        }
    }

    fn predicted_group(&self, listed: u64, account: u64) -> u64 {
        if self.has_lists() {
            read::predicted_check(1, listed, account)
        } else {
            // Who is in it shows only where each user is.
            1 + read::predicted_seats(account)
        }
    }

    fn predicted_target(&self, groups: &[GroupRow], account: u64) -> u64 {
        if self.has_lists() {
            read::predicted(groups, true)
        } else {
            read::predicted_users(groups) + read::predicted_seats(account)
        }
    }

    fn predicted_profiles(&self, _people: u64, account: u64) -> u64 {
        if self.has_lists() {
            0
        } else {
            read::predicted_seats(account)
        }
    }

    fn predicted_look(&self, people: u64, groups: u64, listed: u64, account: u64) -> u64 {
        if self.has_lists() {
            read::predicted_look(people, groups, listed, account)
        } else {
            0
        }
    }

    fn settle_earlier(&self) -> BoxFuture<'_, Result<(), ReadError>> {
        if self.has_lists() {
            self.settle_earlier_imports().boxed()
        } else {
            Box::pin(std::future::ready(Ok(())))
        }
    }
}
