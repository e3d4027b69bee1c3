//! Waits for what earlier requests may still be doing, and sets apart what they did.

use std::time::Duration;

use crate::model::{Join, Names, Snapshot};
use crate::provider;
use crate::run::accounts::{Handle, Runner};
use crate::run::error::RunError;

/// How long a creation may take until it shows.
const LATE: Duration = Duration::from_mins(1);

/// Work that a request has begun may show only so long after the request.
const UNSEEN: Duration = Duration::from_secs(10);

impl Runner {
    /// Waits for work of a provider that an interrupted write may have begun: nothing is read or
    /// sent before it is over.
    ///
    /// Any job may have sent it, in this process or in one that is no more.
    pub(super) async fn wait_for_earlier(&self, target: &Handle) -> Result<(), RunError> {
        let Some(intended) = self
            .store()
            .last_unsettled(&self.account_hash(&target.name))?
        else {
            return Ok(());
        };
        // What was made late would be made twice.
        let account = self.account_hash(&target.name);
        if let Some(made) = self.store().last_creation_unsettled(&account)? {
            let age = Duration::try_from(self.now().duration_since(made)).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(LATE.saturating_sub(age)) => {}
                () = self.inner.options.stop.cancelled() => return Err(RunError::Stopped),
            }
        }
        // A request that has just left may not show yet among the work that is under way.
        let age = Duration::try_from(self.now().duration_since(intended)).unwrap_or_default();
        if target.capabilities.join == Join::PerRow {
            tokio::time::sleep(UNSEEN.saturating_sub(age)).await;
        }
        target
            .adapter
            .settle_earlier()
            .await
            .map_err(target.read_error())
    }

    /// Sets apart what shows as a refusal and is rosterd's own doing, or may turn out to be,
    /// whichever job did it.
    pub(in crate::run) fn set_own_apart(
        &self,
        snapshot: &mut Snapshot,
        names: &Names,
    ) -> Result<(), RunError> {
        let capabilities = provider::capabilities(self.config().providers[&snapshot.provider].kind);
        let account = self.account_hash(&snapshot.provider);
        // A removal that is settled in between is in both, and never in neither.
        let pending = self.store().pending_removals(&account)?;
        snapshot.set_apart(&self.store().own_removals(&account)?, names);
        if capabilities.removal_shows_opt_out {
            snapshot.set_pending_apart(&pending, names);
        }
        Ok(())
    }
}
