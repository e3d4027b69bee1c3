//! Removals of rosterd's own that show as refusals at a provider.

use super::Store;
use super::convert::time;
use super::error::StateError;
use crate::model::OwnRemovals;

impl Store {
    /// Returns what is remembered of rosterd's own removals at a provider, whichever job made them.
    pub fn own_removals(&self, provider: &str) -> Result<OwnRemovals, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT group_id, member, shown, since FROM own_removals WHERE provider = ?1",
            )?;
            let mut rows = select.query([provider])?;
            let mut own = OwnRemovals::default();
            while let Some(row) = rows.next()? {
                own.recall(
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    time(row, 3)?.as_second(),
                );
            }
            Ok(own)
        })
    }
}
