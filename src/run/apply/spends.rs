//! What a run was allowed once: a saved plan and an approval, used up with its first write.

use std::collections::BTreeSet;

use super::Applying;
use crate::plan::GuardRefusal;
use crate::run::error::RunError;
use crate::state::ApprovedBy;

/// Refusals that a person let pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Approved {
    /// The approval.
    pub id: String,
    /// What the guards had refused.
    pub refusals: Vec<GuardRefusal>,
}

impl From<&Approved> for ApprovedBy {
    fn from(approved: &Approved) -> ApprovedBy {
        let guards: BTreeSet<&str> = approved
            .refusals
            .iter()
            .map(|refusal| refusal.guard)
            .collect();
        ApprovedBy {
            id: approved.id.clone(),
            guards: guards.into_iter().map(str::to_owned).collect(),
        }
    }
}

/// What a run was allowed once, and uses up with its first write: one that ends before it has used
/// up nothing.
#[derive(Debug, Default)]
pub(in crate::run) struct Spends {
    /// The fingerprint of the saved plan.
    pub(in crate::run) plan: Option<String>,
    /// The refusals that an approval let pass, and its id.
    pub(in crate::run) approved: Option<Approved>,
}

impl Applying<'_> {
    /// Uses up what the run was allowed once: its first write is on disk.
    pub(super) fn spend(&mut self) -> Result<(), RunError> {
        let (store, now) = (self.runner.store(), self.runner.now());
        let Spends { plan, approved } = std::mem::take(&mut self.spends);
        if let Some(plan) = plan {
            store.mark_plan_used(&plan, &self.job.name, now)?;
        }
        if let Some(approved) = approved {
            store.use_approval(&self.job.name, &approved.id, now)?;
        }
        Ok(())
    }
}
