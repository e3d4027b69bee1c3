//! The emulator's log of requests: what was asked and what came of it, without any secret.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// When it arrived, by the world's clock.
    pub at: Timestamp,
    /// Milliseconds since the emulator started, by the runtime's clock, for checks of the pace.
    #[serde(skip)]
    pub millis: u64,
}
