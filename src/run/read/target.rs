//! Reads the target.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::again::target_fields;
use super::groups::{Belief, GroupsToWrite, certain, groups_with_carried, look_for, nameable};
use super::members::read_members;
use super::sides::Sides;
use super::source::Begun;
use crate::config::settled::JobConfig;
use crate::mapping::BoundMapping;
use crate::model::{
    Certificate, CustomFields, Group, GroupRow, Snapshot, SnapshotBuilder, TotalMeanings,
};
use crate::plan::base::Base;
use crate::provider::{self, MemberAsk, Role};
use crate::run::ToUndo;
use crate::run::accounts::{Meter, Runner};
use crate::run::error::{RunError, staging_error};

use crate::state::Staging;

/// A target and how it came to be known.
pub(in crate::run) struct TargetSide {
    pub(in crate::run) mapping: BoundMapping,
    pub(in crate::run) custom: CustomFields,
    pub(in crate::run) rows: BTreeMap<String, GroupRow>,
    pub(in crate::run) certificate: Certificate,
    pub(in crate::run) snapshot: Snapshot,
    pub(in crate::run) staging: Staging,
    pub(in crate::run) meanings: BTreeSet<TotalMeanings>,
    /// When the reading of each listing began; nothing of a remembered one.
    pub(in crate::run) listed_at: BTreeMap<String, Instant>,
    pub(in crate::run) read_time: Timestamp,
    pub(in crate::run) remembered: bool,
    pub(in crate::run) groups_unseen: bool,
    pub(in crate::run) nameable: BTreeMap<String, BTreeSet<String>>,
}

impl Begun {
    /// Puts both sides together, and lends out names, base and the members of the source, which
    /// must have been read.
    pub(in crate::run) fn finish(
        &mut self,
        job: &JobConfig,
        target: TargetSide,
        mut warnings: Vec<String>,
    ) -> (Sides, Base) {
        let members = self
            .members
            .take()
            .expect("the source is read before the target");
        let mut reads = BTreeMap::new();
        *reads.entry(job.source.clone()).or_default() +=
            self.source.account.statistics().reads - self.reads_before.0;
        *reads.entry(job.target.clone()).or_default() +=
            self.target.account.statistics().reads - self.reads_before.1;
        if self.base.is_empty() {
            warnings.push(
                "This is the first run without a base: what exists at the target is adopted, nothing is removed, and refusals that only rosterd remembered are not known."
                    .to_owned(),
            );
            if self.source.capabilities.removal_shows_opt_out
                && members
                    .snapshot
                    .listings
                    .values()
                    .all(|listing| listing.seen().removed.is_empty())
            {
                warnings.push(format!(
                    "Whoever rosterd itself took off lists of {} in a state that was lost counts as somebody who refuses them.",
                    job.source
                ));
            }
        }
        let sides = Sides {
            names: Arc::new(std::mem::take(&mut self.names)),
            source: members.snapshot,
            target: target.snapshot,
            source_staging: members.staging,
            source_carries: self.source_carries,
            target_staging: target.staging,
            mapping: target.mapping,
            target_custom: target.custom,
            target_rows: target.rows,
            target_certificate: target.certificate,
            meanings: vec![
                (job.source_account.clone(), members.meanings),
                (job.target_account.clone(), target.meanings),
            ],
            warnings,
            reads,
            target_listed_at: target.listed_at,
            target_read_time: target.read_time,
            target_remembered: target.remembered,
            target_groups_unseen: target.groups_unseen,
            nameable: target.nameable,
            salt: members.salt,
        };
        (sides, std::mem::take(&mut self.base))
    }
}

/// The target before anybody there is known.
pub(in crate::run) struct TargetGroups {
    pub(in crate::run) mapping: BoundMapping,
    pub(in crate::run) custom: CustomFields,
    pub(in crate::run) rows: Vec<GroupRow>,
    pub(in crate::run) groups: Vec<Group>,
    pub(in crate::run) certificate: Certificate,
    /// Groups that could neither be found nor be known to be gone.
    pub(in crate::run) unsure: BTreeSet<String>,
    pub(in crate::run) belief: Option<Belief>,
    read_time: Timestamp,
}

/// Everybody of the target whom this run asks about.
pub(in crate::run) struct TargetMembers {
    pub(in crate::run) snapshot: Snapshot,
    pub(in crate::run) staging: Staging,
    meanings: BTreeSet<TotalMeanings>,
    listed_at: BTreeMap<String, Instant>,
}

impl Runner {
    /// Logs in at the target, where that was not done yet, and reads its groups: what it lists, and of those
    /// that the job has linked, or a run that is to be undone made, whatever it does not list as well.
    pub(in crate::run) async fn read_target_groups(
        &self,
        job: &JobConfig,
        begun: &Begun,
        to_undo: Option<&ToUndo>,
    ) -> Result<TargetGroups, RunError> {
        let progress = &self.inner.options.progress;
        let target = &begun.target;
        let read_time = self.now();
        if !begun.target_open {
            progress.stage(&job.name, &format!("Logging in at {}", job.target));
            target.adapter.open().await.map_err(target.read_error())?;
        }
        self.wait_for_earlier(target).await?;
        let custom = target
            .adapter
            .custom_fields()
            .await
            .map_err(target.read_error())?;
        let mapping = self.bind(job, &begun.source_custom, &custom)?;

        progress.stage(&job.name, &format!("Reading groups of {}", job.target));
        let (targets, everything_linked) = begun.partners_known(job);
        // Finding partners by external id takes the details of every group that might be one.
        let wanted = |id: &str, _name: &str| !everything_linked || targets.contains(id);
        let GroupsToWrite {
            mut rows,
            certificate,
            belief,
        } = self.groups_to_write(target, &wanted).await?;
        certain(&target.name, &certificate)?;
        let linked = begun.base.groups.iter().map(|link| link.target.as_str());
        let of_the_run = to_undo.into_iter().flat_map(ToUndo::groups);
        let unsure = look_for(target, linked.chain(of_the_run), &mut rows).await?;
        let schema = provider::schema(target.adapter.kind());
        let groups = groups_with_carried(self.store(), &job.target_account, &rows, schema)?;
        Ok(TargetGroups {
            mapping,
            custom,
            rows,
            groups,
            certificate,
            unsure: unsure.into_keys().collect(),
            belief,
            read_time,
        })
    }

    /// Reads who is in the groups of `partners`, and everybody at the target who has an address of
    /// the source or one of `doubtful`.
    pub(in crate::run) async fn read_target_members(
        &self,
        job: &JobConfig,
        begun: &mut Begun,
        known: &TargetGroups,
        partners: &BTreeSet<String>,
        mut meanings: BTreeSet<TotalMeanings>,
        doubtful: Vec<String>,
    ) -> Result<TargetMembers, RunError> {
        let target = begun.target.clone();
        let source = &begun
            .members
            .as_ref()
            .expect("the source is read before the target")
            .snapshot;
        let asked: Vec<GroupRow> = known
            .rows
            .iter()
            .filter(|row| partners.contains(&row.id))
            .cloned()
            .collect();
        let meter = Meter::new(&target, target.adapter.predicted_reads(&asked, true));
        self.inner.options.progress.measure(&job.name, meter);
        let mut staging = Staging::new().map_err(staging_error)?;
        // A linked contact may still have the address that its record had last.
        let linked = source
            .members
            .iter()
            .filter_map(|member| begun.base.member_of_source(member.id))
            .map(|link| link.address);
        let mut addresses: BTreeSet<String> = source
            .members
            .iter()
            .filter_map(|member| member.address)
            .chain(linked)
            .map(|address| begun.names.text(address).to_owned())
            .filter(|address| !address.is_empty())
            .collect();
        // Whoever left the source meanwhile is asked about as well, as long as a write to them is
        // in doubt.
        addresses.extend(doubtful);
        let addresses: Vec<String> = addresses.into_iter().collect();
        let fields = target_fields(&known.mapping, &target);
        let salt = known.mapping.salt();
        let mut builder = SnapshotBuilder::new(&job.target, &salt, &mut begun.names, &mut staging);
        let ask = MemberAsk {
            groups: &asked,
            fields: &fields,
            role: Role::Target { wanted: &addresses },
        };
        let listed_at = read_members(&target, &ask, &mut builder, &meanings).await?;
        let own = self.store().own_removals(&job.target_account)?;
        let groups = known.groups.clone();
        let mut snapshot = builder.finish(groups, &known.certificate, &mut meanings, &own);
        snapshot.unsure_groups.clone_from(&known.unsure);
        self.hold_to_gaps(&mut snapshot);
        Ok(TargetMembers {
            snapshot,
            staging,
            meanings,
            listed_at,
        })
    }

    /// Puts together what was read of the target, with what its groups may name.
    pub(in crate::run) async fn target_side(
        &self,
        job: &JobConfig,
        begun: &Begun,
        known: TargetGroups,
        members: TargetMembers,
    ) -> Result<TargetSide, RunError> {
        let rows: BTreeMap<String, GroupRow> = known
            .rows
            .into_iter()
            .map(|row| (row.id.clone(), row))
            .collect();
        let nameable = nameable(&begun.target, job, &rows).await?;
        let mut mapping = known.mapping;
        mapping.spell_as_target(members.snapshot.shown_custom.as_ref());
        Ok(TargetSide {
            mapping,
            custom: known.custom,
            rows,
            certificate: known.certificate,
            snapshot: members.snapshot,
            staging: members.staging,
            meanings: members.meanings,
            listed_at: members.listed_at,
            read_time: known.read_time,
            remembered: false,
            groups_unseen: known.belief.is_some_and(|belief| belief.is_bare),
            nameable,
        })
    }
}
