//! GreenRope, SalesDrip and Mission Suite: one service, one XML API.
//!
//! One operation per POST, in a form with the login's address, a token and the document. Reads of
//! contacts are unpaged and are checked to their end before a row of them is used. Writes are
//! answered item by item; a write that fails as a whole says nothing of its items.
//!
//! What the API can't do, and this adapter therefore never promises: subscribe anybody again, write
//! the opt-out of one group, archive a group, hold an external id.

mod fields;
mod people;
mod read;
mod session;
mod wire;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::SecretString;

use super::{GroupsByPeople, MemberAsk, ReadError, Source, Target};
use crate::http::{Account, CallError};
use crate::model::{
    Batches, Certificate, CustomFields, GroupRow, MemberSink, ProviderKind, Settlement, Ticket,
    Write,
};

pub use fields::{CAPABILITIES, SCHEMA};
use read::AccountStates;
use session::Sessions;

/// How the login proves itself.
#[derive(Clone, Debug)]
pub enum GreenRopeCredential {
    /// A password, for which a token is fetched and renewed.
    Password(SecretString),
    /// A token of the user's own that is never renewed.
    Token(SecretString),
}

/// What the adapter needs to know of an account.
#[derive(Clone, Debug)]
pub struct GreenRopeOptions {
    /// The account to work in; required even of its owner, so that nothing is done in another
    /// account.
    pub account_id: String,
    /// The address that the login, and its token, belong to.
    pub email: String,
    /// The password or token.
    pub credential: GreenRopeCredential,
    /// Whether the login sees only a part of the account, so that absence proves nothing.
    pub shared_access: bool,
    /// A cap on the items per request, below the documented bounds.
    pub batch_cap: Option<usize>,
}

/// One GreenRope account.
///
/// Clones share the token and the pace of the account.
#[derive(Clone)]
pub struct GreenRope {
    account_id: String,
    shared_access: bool,
    batch_cap: Option<usize>,
    account: Account,
    sessions: Arc<Sessions>,
    states: Arc<AccountStates>,
}

impl GreenRope {
    /// Makes the adapter; nothing is sent.
    pub fn new(options: GreenRopeOptions, account: Account) -> Self {
        GreenRope {
            account_id: options.account_id.trim().to_owned(),
            shared_access: options.shared_access,
            batch_cap: options.batch_cap,
            sessions: Arc::new(Sessions::new(options.email, options.credential)),
            states: Arc::default(),
            account,
        }
    }

    /// Returns how many items a request may carry, under the configured cap.
    pub fn batches(&self) -> Batches {
        CAPABILITIES.batches.capped(self.batch_cap)
    }
}

impl fmt::Debug for GreenRope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GreenRope")
            .field("account_id", &self.account_id)
            .finish_non_exhaustive()
    }
}

impl Source for GreenRope {
    fn kind(&self) -> ProviderKind {
        ProviderKind::GreenRope
    }

    fn open(&self) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(self.read_open())
    }

    fn custom_fields(&self) -> BoxFuture<'_, Result<CustomFields, ReadError>> {
        Box::pin(self.read_custom_fields())
    }

    fn groups<'a>(
        &'a self,
        _wanted: &'a (dyn Fn(&str, &str) -> bool + Sync),
    ) -> BoxFuture<'a, Result<(Vec<GroupRow>, Certificate), ReadError>> {
        Box::pin(self.read_groups())
    }

    fn groups_by_people(&self) -> BoxFuture<'_, Result<GroupsByPeople, ReadError>> {
        Box::pin(self.read_groups_by_people())
    }

    fn group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<GroupRow>, ReadError>> {
        Box::pin(self.read_group(id))
    }

    fn members<'a>(
        &'a self,
        ask: &'a MemberAsk<'a>,
        sink: &'a mut dyn MemberSink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        Box::pin(self.read_members(ask, sink))
    }

    fn predicted_reads(&self, groups: &[GroupRow], target: bool) -> u64 {
        // Two listings per group, the account's opt-outs and bounces, and as a target the whole
        // account.
        groups.len() as u64 * 2 + 2 + u64::from(target)
    }

    fn predicted_everything(&self, groups: &[GroupRow], _account: u64) -> u64 {
        // The list of groups and the custom fields as well.
        self.predicted_reads(groups, true) + 2
    }
}

impl Target for GreenRope {
    fn send<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Result<Settlement, CallError>> {
        Box::pin(self.send_write(write))
    }

    fn predicted_last_look(&self, _listed: u64, _account: u64) -> u64 {
        // The group, the list of groups for its counts, and its two listings.
        4
    }

    fn predicted_profiles(&self, _people: u64, _account: u64) -> u64 {
        self.predicted_reads(&[], true)
    }

    fn poll<'a>(&'a self, _ticket: &'a Ticket) -> BoxFuture<'a, Result<Settlement, CallError>> {
        Box::pin(async {
            Err(self.account.unsendable(
                "poll",
                "GreenRope leaves no work behind that could be asked about",
            ))
        })
    }
}
