//! A configured provider, as the rooms of a run are handed it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::http::Account;
use crate::model::Capabilities;
use crate::provider::{ReadError, Target};
use crate::run::error::RunError;

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
    /// Ends what is only read and waited for.
    pub(in crate::run) stop: CancellationToken,
    /// A print of the secret, to know one login under two names.
    pub(super) login: blake3::Hash,
}

impl Handle {
    /// Returns what makes a failure of reading this account one of the run.
    pub(in crate::run) fn read_error(&self) -> impl Fn(ReadError) -> RunError + '_ {
        |error| RunError::Read {
            provider: self.name.clone(),
            error: Box::new(error),
        }
    }
}

/// Reads until it is done or the run is asked to stop: also where somebody else's import is waited
/// for, which can take half an hour. A request that only reads may be dropped.
pub(in crate::run) async fn unless_stopped<T>(
    stop: &CancellationToken,
    reading: impl Future<Output = Result<T, RunError>>,
) -> Result<T, RunError> {
    tokio::select! {
        biased;
        read = Box::pin(reading) => read,
        () = stop.cancelled() => Err(RunError::Stopped),
    }
}
