//! Lets history go that is older than the config keeps, once a day.

use std::time::Duration;

use jiff::Timestamp;

use crate::run::accounts::Runner;

impl Runner {
    /// Prunes history that is older than the config keeps, at most once a day.
    pub(in crate::run) fn prune_daily(&self) {
        let now = self.now();
        match self
            .store()
            .prune_daily(kept_since(now, self.inner.config.retention), now)
        {
            Ok(None | Some(0)) => {}
            Ok(Some(rows)) => tracing::info!(rows, "Old history was deleted."),
            Err(error) => tracing::warn!(error = %error, "Old history could not be deleted."),
        }
    }
}

/// Returns the time before which history is let go.
fn kept_since(now: Timestamp, retention: Duration) -> Timestamp {
    now.checked_sub(retention).unwrap_or(Timestamp::MIN)
}
