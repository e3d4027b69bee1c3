//! emfluence Marketing Platform, API v1: JSON over POST.
//!
//! Facts about the service are from its reference at `apidocs.emailer.emfluence.com/v1` and its
//! public clients, read in November 2026. The ones that shape this adapter:
//!
//! - The HTTP status says nothing: refusals come with status 200 and `success` 0.
//! - A member listing shows opt-outs of the group and neither the account-wide ones nor held
//!   addresses, so those take searches of their own.
//! - Contacts join by address (contacts/import, which creates them) or by id, and leave by id.
//! - An answer to a write says little: imports are silent about groups, and several calls give no
//!   data at all.
//! - A token acts as one user, who may see only a part of the account without any error saying so.

mod fields;
mod read;
mod wire;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use secrecy::{ExposeSecret, SecretString};

use super::spelling::Spellings;
use super::{Duties, MemberAsk, ReadError, Source, Target};
use crate::http::{Account, Call, CallBody, CallError, DecodeError, Method};
pub use crate::model::Fingerprint;
use crate::model::{
    Certificate, CustomFields, GroupRow, MemberSink, ProviderKind, Settlement, Ticket, Write,
};

pub use fields::{CAPABILITIES, SCHEMA};

/// How long an import of a thousand rows may take.
const IMPORT_TIMEOUT: Duration = Duration::from_mins(3);

/// What the adapter needs besides an account to send through.
#[derive(Clone, Debug)]
pub struct EmfluenceOptions {
    /// The access token, which acts as the user who owns it.
    pub access_token: SecretString,
    /// The proof that the token opens the right account, if one is configured.
    pub fingerprint: Option<Fingerprint>,
    /// The proofs of other accounts at the same address, by configured name: none of them may hold
    /// here.
    pub neighbours: Vec<(String, Fingerprint)>,
    /// A configured bound on the items of one request, below the documented ones.
    pub batch_cap: Option<usize>,
}

/// The emfluence adapter.
#[derive(Debug)]
pub struct Emfluence {
    options: EmfluenceOptions,
    account: Account,
    /// Codes with which a look-up by address was refused and a search then confirmed that nobody
    /// has the address.
    not_found_codes: Mutex<BTreeSet<String>>,
    /// Whether the last full read found that listings leave out one kind of member.
    listings_filtered: AtomicBool,
    /// How the account spells addresses outside ASCII.
    spellings: Spellings,
}

impl Emfluence {
    /// Makes an adapter; nothing is sent.
    pub fn new(options: EmfluenceOptions, account: Account) -> Self {
        Emfluence {
            options,
            account,
            not_found_codes: Mutex::default(),
            listings_filtered: AtomicBool::new(false),
            spellings: Spellings::default(),
        }
    }

    fn call(&self, request: &wire::Request) -> Call {
        let mut call = Call::read(request.operation, Method::Post, request.operation);
        call.effect = request.effect;
        call.headers = vec![(
            "Authorization".to_owned(),
            SecretString::from(format!(
                "Bearer {}",
                self.options.access_token.expose_secret().trim()
            )),
        )];
        call.body = CallBody::Json(request.body.to_string().into_bytes());
        if request.operation == "contacts/import" {
            // A slow answer to a write costs a read of everything it may have changed.
            call.timeout = Some(IMPORT_TIMEOUT.max(self.account.options().timeout));
        }
        call
    }

    async fn ask<T>(
        &self,
        request: wire::Request,
        mut decode: impl FnMut(&wire::Answer) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        self.account
            .read(&self.call(&request), |reply| decode(&wire::answer(reply)?))
            .await
    }

    async fn tell<T>(
        &self,
        request: wire::Request,
        mut decode: impl FnMut(&wire::Answer) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        self.account
            .write(&self.call(&request), |reply| decode(&wire::answer(reply)?))
            .await
    }
}

impl Source for Emfluence {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Emfluence
    }

    fn open(&self) -> BoxFuture<'_, Result<(), ReadError>> {
        self.read_access().boxed()
    }

    fn lacks<'a>(
        &'a self,
        duties: Duties,
        groups: &'a [GroupRow],
    ) -> BoxFuture<'a, Result<Vec<String>, ReadError>> {
        self.read_lacks(duties, groups).boxed()
    }

    fn custom_fields(&self) -> BoxFuture<'_, Result<CustomFields, ReadError>> {
        self.read_custom_fields().boxed()
    }

    fn groups<'a>(
        &'a self,
        wanted: &'a (dyn Fn(&str, &str) -> bool + Sync),
    ) -> BoxFuture<'a, Result<(Vec<GroupRow>, Certificate), ReadError>> {
        self.read_groups(wanted).boxed()
    }

    fn group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<GroupRow>, ReadError>> {
        self.read_group(id).boxed()
    }

    fn members<'a>(
        &'a self,
        ask: &'a MemberAsk<'a>,
        sink: &'a mut dyn MemberSink,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        async move {
            let mut sink = self.spellings.listening(sink);
            self.read_members(ask, &mut sink).await
        }
        .boxed()
    }

    fn predicted_reads(&self, groups: &[GroupRow], _target: bool) -> u64 {
        read::predicted(groups)
    }

    fn predicted_everything(&self, groups: &[GroupRow], account: u64) -> u64 {
        read::predicted_everything(groups, account)
    }
}

impl Target for Emfluence {
    fn send<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Result<Settlement, CallError>> {
        self.write(write).boxed()
    }

    fn predicted_groups(&self, groups: u64) -> u64 {
        match groups {
            1 => 1,
            several => 1 + several.div_ceil(wire::LOOKUP_GROUPS as u64),
        }
    }

    fn predicted_check(&self, groups: u64, listed: u64, _account: u64) -> u64 {
        read::predicted_check(groups, listed)
    }

    fn predicted_target(&self, groups: &[GroupRow], account: u64) -> u64 {
        read::predicted_target(groups, account)
    }

    fn predicted_profiles(&self, people: u64, account: u64) -> u64 {
        read::predicted_profiles(people, account)
    }

    fn poll<'a>(&'a self, _ticket: &'a Ticket) -> BoxFuture<'a, Result<Settlement, CallError>> {
        std::future::ready(Err(self.account.unsendable(
            "poll",
            "emfluence settles every write in its answer, so there is nothing to ask for",
        )))
        .boxed()
    }
}
