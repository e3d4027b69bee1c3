//! Reads both sides of a job, and settles in between what an interrupted run has left open: nothing
//! is planned before that (rule 5).

use std::collections::BTreeMap;

use super::desired::{desired_groups, partner_ids};
use crate::config::settled::JobConfig;
use crate::model::Snapshot;
use crate::plan::Policy;
use crate::plan::base::Base;
use crate::provider;
use crate::run::accounts::{Handle, Runner};
use crate::run::error::RunError;
use crate::run::read::{Begun, GroupNow, Sides, bare_snapshot, group_now};
use crate::run::settle::{
    Evidence, KnownGroups, adopt_created_groups, doubtful_addresses, forget_strays, settle_members,
    unlisted_groups,
};
use crate::run::undo::ToUndo;

impl Runner {
    /// Reads the target in full, and the source as far as that was not done yet.
    pub(super) async fn read_target(
        &self,
        job: &JobConfig,
        policy: &Policy,
        mut begun: Begun,
        to_undo: Option<&ToUndo>,
    ) -> Result<(Sides, Base), RunError> {
        let store = self.store();
        let progress = &self.inner.options.progress;
        let target = begun.target.clone();
        let schema = provider::schema(target.adapter.kind());
        let mut known = self.read_target_groups(job, &begun, to_undo).await?;
        let asked = |source: &str| {
            let group = begun.source_groups.iter().find(|group| group.id == source);
            group
                .map(|group| known.mapping.group(&group.canonical).fields)
                .unwrap_or_default()
        };
        let known_groups = KnownGroups {
            base: &begun.base,
            schema,
            rows: &known.rows,
        };
        let protected = |source: &str| {
            let mut groups = begun.source_groups.iter();
            groups.any(|group| group.id == source && group.protected)
        };
        if adopt_created_groups(store, job, known_groups, asked, protected, self.now())? {
            begun.base = self.load_base(job, &mut begun.names)?;
        }

        self.read_source(job, &mut begun, &mut known.mapping)
            .await?;
        let source = &begun.members.as_ref().expect("it was just read").snapshot;
        let mut meanings = store.meanings(&job.target_account)?;
        let groups = known.groups.clone();
        let mut bare = bare_snapshot(&job.target, groups, &known.certificate, &mut meanings);
        bare.unsure_groups.clone_from(&known.unsure);
        let desired = desired_groups(&known.mapping, source, job, policy, schema).0;
        let partners = partner_ids(
            policy,
            &begun.names,
            source,
            &bare,
            &begun.base,
            &desired,
            schema,
            &target.capabilities,
        );

        progress.stage(&job.name, &format!("Reading members of {}", job.target));
        let mut warnings = self.unclaimed_refusals()?;
        warnings.extend(known.belief.iter().map(|belief| belief.words.clone()));
        let mut doubtful = doubtful_addresses(store, &job.name)?;
        // So is whoever a run took out of every group, and may come back.
        doubtful.extend(to_undo.into_iter().flat_map(ToUndo::addresses));
        let mut members = self
            .read_target_members(job, &mut begun, &known, &partners, meanings, doubtful)
            .await?;
        let looked_up = self
            .look_up(job, &target, &members.snapshot, &mut warnings)
            .await?;
        let evidence = Evidence {
            target: &members.snapshot,
            names: &begun.names,
            looked_up: &looked_up,
            base: &begun.base,
            profiles: &members.staging,
            is_shared: policy.target_shared || !target.adapter.sees_everything(),
        };
        // Before anything is settled, so that what is settled now stays.
        let strays = forget_strays(store, job, &begun.base, evidence)?;
        let settled = settle_members(
            store,
            job,
            schema,
            &target.capabilities,
            evidence,
            self.now(),
        )?;
        warnings.extend(settled.warnings);
        self.set_own_apart(&mut members.snapshot, &begun.names)?;
        if settled.changed || strays {
            begun.base = self.load_base(job, &mut begun.names)?;
        }
        let side = self.target_side(job, &begun, known, members).await?;
        Ok(begun.finish(job, side, warnings))
    }

    /// Lists the groups of doubtful writes that no listing of this run covers.
    async fn look_up(
        &self,
        job: &JobConfig,
        target: &Handle,
        snapshot: &Snapshot,
        warnings: &mut Vec<String>,
    ) -> Result<BTreeMap<String, GroupNow>, RunError> {
        let mut looked_up = BTreeMap::new();
        for group in unlisted_groups(self.store(), &job.name, snapshot)? {
            match group_now(target, &group).await {
                Ok(now) if now.whole => drop(looked_up.insert(group, now)),
                // The rest of the run does not need this group; the doubt stays for the next run.
                Ok(now) => {
                    let why = &now.why;
                    warnings.push(format!(
                        "What became of a write of group {group} is not known yet: {why}."
                    ));
                    looked_up.insert(group, now);
                }
                Err(error) => warnings.push(format!(
                    "What became of a write of group {group} is not known yet: {error}."
                )),
            }
        }
        Ok(looked_up)
    }
}
