//! The emulator's log of requests: what was asked and what came of it, without any secret.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exchange::{Context, Target};
use super::world::Kind;

/// One request that reached the emulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Its number, from 1.
    pub seq: u64,
    /// The provider it was meant for.
    pub provider: Kind,
    /// The account's name, empty when the request reached none.
    pub account: String,
    /// The operation, such as `groups/search` or `GetContacts`.
    pub operation: String,
    /// Whether the operation changes something.
    pub is_write: bool,
    /// Rows or items that the request held; 1 for a request about one object.
    pub items: usize,
    /// The HTTP status of the answer; 0 while it has not been answered.
    pub status: u16,
    /// What came of it: `ok`, `partial`, `error 301`, or the fault that was played.
    pub outcome: String,
    /// Whether a fault had a part in it, which an outcome does not always say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub met_a_fault: bool,
    /// When it arrived, by the world's clock.
    pub at: Timestamp,
    /// Milliseconds since the emulator started, by the runtime's clock, for checks of the pace.
    #[serde(skip)]
    pub millis: u64,
}

/// All requests so far. Hundreds of thousands of them say the same few words, each of which is kept
/// once.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
    words: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    provider: Kind,
    account: Arc<str>,
    operation: Arc<str>,
    is_write: bool,
    items: usize,
    status: u16,
    outcome: Arc<str>,
    met_a_fault: bool,
    at: Timestamp,
    millis: u64,
}

impl Log {
    fn word(&mut self, text: &str) -> Arc<str> {
        if let Some(word) = self.words.get(text) {
            return word.clone();
        }
        let word: Arc<str> = text.into();
        self.words.insert(word.clone());
        word
    }

    /// Writes down that a request has arrived.
    pub(super) fn begin(
        &mut self,
        seq: u64,
        provider: Kind,
        target: &Target,
        at: Timestamp,
        millis: u64,
    ) {
        let entry = Entry {
            seq,
            provider,
            account: self.word(&target.account),
            operation: self.word(&target.operation),
            is_write: target.is_write,
            items: 1,
            status: 0,
            outcome: self.word("in flight"),
            met_a_fault: false,
            at,
            millis,
        };
        self.entries.push(entry);
    }

    /// Writes down the end of a request.
    pub(super) fn end(&mut self, context: &Context, status: u16, outcome: &str) {
        let outcome = self.word(outcome);
        let entry = self.entries.iter_mut().rev();
        if let Some(entry) = entry.into_iter().find(|entry| entry.seq == context.seq) {
            entry.items = context.items;
            entry.status = status;
            entry.outcome = outcome;
            entry.met_a_fault = context.meets_a_fault;
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn records(&self) -> Vec<RequestRecord> {
        let record = |entry: &Entry| RequestRecord {
            seq: entry.seq,
            provider: entry.provider,
            account: entry.account.to_string(),
            operation: entry.operation.to_string(),
            is_write: entry.is_write,
            items: entry.items,
            status: entry.status,
            outcome: entry.outcome.to_string(),
            met_a_fault: entry.met_a_fault,
            at: entry.at,
            millis: entry.millis,
        };
        self.entries.iter().map(record).collect()
    }
}
