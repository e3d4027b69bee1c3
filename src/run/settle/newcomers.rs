//! What is to be written of people who are new to the target.

use crate::model::{Record, Stage as _};
use crate::plan::PersonIx;
use crate::run::error::RunError;
use crate::state::{Staging, StateError};

/// What the target is to hold of people who are new to it, and what of theirs it has no place for.
///
/// Both are found out while the plan is made, and asked for again with each request that creates
/// somebody and once more when that is confirmed. Kept packed, they cost a fraction of reading and
/// mapping the profile anew, and little memory.
#[derive(Debug)]
pub(in crate::run) struct Newcomers {
    fields: Staging,
    carried: Staging,
}

impl Newcomers {
    /// Begins with nobody.
    pub(in crate::run) fn new() -> Result<Newcomers, RunError> {
        Ok(Newcomers {
            fields: Staging::new()?,
            carried: Staging::new()?,
        })
    }

    /// Keeps what was found out of somebody.
    pub(in crate::run) fn keep(
        &mut self,
        person: PersonIx,
        fields: &Record,
        carried: &Record,
    ) -> Result<(), RunError> {
        let id = person.0.to_string();
        let kept = self.fields.put(&id, fields);
        let kept = kept.and_then(|()| self.carried.put(&id, carried));
        kept.map_err(|reason| StateError::Staging { reason }.into())
    }

    /// Returns the values under the target's names; nothing of somebody who was not kept.
    pub(in crate::run) fn fields(&self, person: PersonIx) -> Result<Option<Record>, RunError> {
        Ok(self.fields.get(&person.0.to_string())?)
    }

    /// Returns the values, under canonical names, for which the target has no place; nothing of
    /// somebody who was not kept.
    pub(in crate::run) fn carried(&self, person: PersonIx) -> Result<Option<Record>, RunError> {
        Ok(self.carried.get(&person.0.to_string())?)
    }
}
