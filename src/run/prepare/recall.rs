//! Does without reading the target where nothing has changed since it was read: `refresh = "6h"`.
//!
//! A remembered target can only lead to the finding that there is nothing to do. Whatever else a
//! plan from memory would do or remember, and every question that memory can't answer, has the
//! target read in full and planned again, so that what is out of date never leads to a write.

use std::sync::Arc;

use super::desired::{desired_groups, partner_ids};
use super::{Asks, Prepared};
use crate::config::settled::JobConfig;
use crate::model::{Reading, TotalMeanings};
use crate::plan::Policy;
use crate::provider;
use crate::run::accounts::Runner;
use crate::run::error::RunError;
use crate::run::read::{Begun, SourceMembers, TargetSide, knows_details, knows_everybody, said};

impl Runner {
    /// Plans with the remembered target. Nothing but the begun reading comes back where the target
    /// has to be read.
    pub(super) async fn recall(
        &self,
        job: &JobConfig,
        policy: &Policy,
        mut begun: Begun,
    ) -> Result<Result<Prepared, Begun>, RunError> {
        if begun.base.is_empty() {
            return Ok(Err(begun));
        }
        let Some(memory) = self
            .store()
            .remembered_target(&job.name, &mut begun.names)?
        else {
            return Ok(Err(begun));
        };
        // Custom fields that are gone are a reason to look, not to fail.
        let Ok(mut mapping) = self.bind(job, &begun.source_custom, &memory.custom) else {
            return Ok(Err(begun));
        };
        if !knows_details(job, &begun, &memory.rows) {
            return Ok(Err(begun));
        }
        // Only the members tell which rules are left out because no record shows what they read.
        self.read_source(job, &mut begun, &mut mapping).await?;
        if mapping.salt() != memory.key.salt {
            return Ok(Err(begun));
        }
        let read_at = memory.key.read_at;
        let side = self.side_of(job, &mut begun, memory, mapping)?;
        let source = &begun.members.as_ref().expect("it was just read").snapshot;
        if !knows_everybody(source, &side.snapshot)
            || !self.lists_partners(job, policy, &begun, &side)
        {
            return Ok(Err(begun));
        }
        let (sides, base) = begun.finish(job, side, vec![said(read_at, self.now())]);
        let prepared = self.prepare_sides(job, policy.clone(), sides, base, Asks::default())?;
        if prepared.changes_nothing() {
            return Ok(Ok(prepared));
        }
        let Prepared {
            planned,
            sides,
            base,
            ..
        } = prepared;
        drop(planned);
        let meanings = sides
            .meanings
            .into_iter()
            .next()
            .map_or_else(TotalMeanings::all, |(_, meanings)| meanings);
        begun.names =
            Arc::into_inner(sides.names).expect("the plan is gone, and nobody else had the names");
        begun.base = base;
        begun.members = Some(SourceMembers {
            snapshot: sides.source,
            staging: sides.source_staging,
            meanings,
            salt: sides.salt,
        });
        Ok(Err(begun))
    }

    /// Tells whether the remembered target has the listing of every group that this run would list.
    fn lists_partners(
        &self,
        job: &JobConfig,
        policy: &Policy,
        begun: &Begun,
        side: &TargetSide,
    ) -> bool {
        let kind = self.config().providers[&job.target].kind;
        let schema = provider::schema(kind);
        let source = &begun
            .members
            .as_ref()
            .expect("the source was read")
            .snapshot;
        let desired = desired_groups(&side.mapping, source, job, policy, schema).0;
        let partners = partner_ids(
            policy,
            &begun.names,
            source,
            &side.snapshot,
            &begun.base,
            &desired,
            schema,
            provider::capabilities(kind),
        );
        // A partner that the list of groups did not show can't be listed in any run.
        partners
            .iter()
            .filter(|id| side.rows.contains_key(*id))
            .all(|id| matches!(side.snapshot.listing(id), Some(Reading::Complete(_))))
    }
}

impl Prepared {
    /// Tells whether a plan from memory leaves everything as it is, so that there is nothing for
    /// which the target had to be read.
    fn changes_nothing(&self) -> bool {
        let plan = &self.planned.plan;
        let agreement = &plan.agreement;
        plan.is_empty()
            && plan.refusals.is_empty()
            && !self.unread
            && agreement.linked.is_empty()
            && agreement.memberships.is_empty()
            && agreement.ended.is_empty()
            && agreement.left_addresses.is_empty()
            && agreement.bars_known_as.is_empty()
            && agreement.bars_of_pair.is_empty()
            && agreement.held_bars.is_empty()
            && agreement.ended_bars.is_empty()
            && agreement.ended_removals.is_empty()
            && self.sides.target.ended_removals.is_empty()
    }
}
