//! A configured provider, as the rooms of a run are handed it.

use std::sync::Arc;

use crate::http::Account;
use crate::model::Capabilities;
use crate::provider::Target;

/// A configured provider, ready to be used.
pub struct Handle {
    /// The configured name.
    pub name: String,
    /// The adapter.
    pub adapter: Arc<dyn Target>,
    /// What carries its requests.
    pub account: Account,
    /// What it can do, under the configured cap on batches.
    pub capabilities: Capabilities,
    /// The configured pace.
    pub requests_per_minute: Option<u32>,
}
