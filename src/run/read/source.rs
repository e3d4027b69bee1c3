//! Begins a reading: logs in, and reads the source.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::groups::{certain, groups_with_carried, look_for};
use super::members::read_members;
use crate::config::settled::JobConfig;
use crate::mapping::BoundMapping;
use crate::model::{
    Certificate, CustomFields, Group, GroupRow, Name, Names, ObjectKind, OwnRemovals, Snapshot,
    SnapshotBuilder, TotalMeanings, row_hash,
};
use crate::plan::base::Base;
use crate::plan::{in_scope, name_by_links};
use crate::provider::{self, MemberAsk, Role};
use crate::run::accounts::{Handle, Meter, Runner};
use crate::run::error::{RunError, staging_error};

use crate::state::Staging;

/// A reading that is under way: what is known before the members of the target.
pub(in crate::run) struct Begun {
    pub(in crate::run) names: Names,
    pub(in crate::run) base: Base,
    pub(in crate::run) source_custom: CustomFields,
    /// The source's groups in scope.
    pub(in crate::run) covered: BTreeSet<String>,
    /// The members of the source, once they were read.
    pub(in crate::run) members: Option<SourceMembers>,
    pub(in crate::run) source: Arc<Handle>,
    pub(in crate::run) target: Arc<Handle>,
    pub(super) source_rows: Vec<GroupRow>,
    pub(in crate::run) source_groups: Vec<Group>,
    pub(super) source_certificate: Certificate,
    pub(super) target_open: bool,
    /// Whether anything is remembered of people of the source that it can't hold itself.
    pub(super) source_carries: bool,
    /// Reading requests of both accounts before this run.
    pub(super) reads_before: (u64, u64),
}

/// The members of the source.
pub(in crate::run) struct SourceMembers {
    pub(in crate::run) snapshot: Snapshot,
    pub(in crate::run) staging: Staging,
    pub(in crate::run) meanings: BTreeSet<TotalMeanings>,
    /// What entered the fingerprints of the profiles.
    pub(in crate::run) salt: String,
}

impl SourceMembers {
    /// Makes the fingerprints of the profiles anew where a mapping has another salt.
    fn salted(&mut self, salt: String, names: &Names) -> Result<(), RunError> {
        if self.salt == salt {
            return Ok(());
        }
        let positions: HashMap<Name, usize> = self
            .snapshot
            .members
            .iter()
            .enumerate()
            .map(|(at, member)| (member.id, at))
            .collect();
        let members = &mut self.snapshot.members;
        self.staging
            .for_each(|id, record| {
                if let Some(at) = names.find(id).and_then(|name| positions.get(&name)) {
                    members[*at].hash = Some(row_hash(&salt, &record));
                }
            })
            .map_err(staging_error)?;
        self.salt = salt;
        Ok(())
    }
}

impl Begun {
    /// Returns the linked and pinned groups of the target, and whether all groups in scope are
    /// linked, so that no others need be known in detail.
    pub(in crate::run) fn partners_known(&self, job: &JobConfig) -> (BTreeSet<String>, bool) {
        let linked: BTreeSet<&str> = self
            .base
            .groups
            .iter()
            .map(|link| link.source.as_str())
            .collect();
        let everything_linked = self.covered.iter().all(|id| linked.contains(id.as_str()));
        let targets = self
            .base
            .groups
            .iter()
            .map(|link| link.target.clone())
            .chain(job.groups.pin.values().cloned())
            .collect();
        (targets, everything_linked)
    }
}

impl Runner {
    /// Loads what the last confirmed run of a job left behind.
    pub(in crate::run) fn load_base(
        &self,
        job: &JobConfig,
        names: &mut Names,
    ) -> Result<Base, RunError> {
        let (source, target) = (&job.source_account, &job.target_account);
        let store = self.store();
        Ok(store.load_base(&job.name, source, target, self.now(), names)?)
    }

    /// Logs in and reads the groups of the source; logs in at the target as well, unless it may
    /// turn out to be remembered.
    ///
    /// The base is loaded here because reading needs to know what is linked; it may be loaded anew
    /// afterwards.
    pub(in crate::run) async fn begin_reading(
        &self,
        job: &JobConfig,
        target_too: bool,
    ) -> Result<Begun, RunError> {
        let store = self.store();
        let progress = &self.inner.options.progress;
        let (source, target) = (self.handle(&job.source)?, self.handle(&job.target)?);
        let reads_before = (
            source.account.statistics().reads,
            target.account.statistics().reads,
        );
        let mut names = Names::new();
        names.intern("");
        self.know_accounts(job)?;
        let base = self.load_base(job, &mut names)?;

        if target_too {
            progress.stage(
                &job.name,
                &format!("Logging in at {} and {}", job.source, job.target),
            );
            source.adapter.open().await.map_err(source.read_error())?;
            target.adapter.open().await.map_err(target.read_error())?;
        } else {
            progress.stage(&job.name, &format!("Logging in at {}", job.source));
            source.adapter.open().await.map_err(source.read_error())?;
        }
        let source_custom = source
            .adapter
            .custom_fields()
            .await
            .map_err(source.read_error())?;

        progress.stage(&job.name, &format!("Reading groups of {}", job.source));
        let linked: BTreeSet<String> = base.groups.iter().map(|link| link.source.clone()).collect();
        let wanted =
            |id: &str, name: &str| linked.contains(id) || job.groups.covers(id, name, false);
        let (mut source_rows, mut source_certificate) = source
            .adapter
            .groups(&wanted)
            .await
            .map_err(source.read_error())?;
        certain(&source.name, &source_certificate)?;
        let linked = base.groups.iter().map(|link| link.source.as_str());
        let unsure = look_for(&source, linked, &mut source_rows).await?;
        source_certificate.left_out.extend(unsure.into_values());
        let mut source_groups = groups_with_carried(
            store,
            &job.source_account,
            &source_rows,
            provider::schema(source.adapter.kind()),
        )?;
        name_by_links(&mut source_groups, &base);
        let covered: BTreeSet<String> = source_groups
            .iter()
            .filter(|group| in_scope(&job.groups, group))
            .map(|group| group.id.clone())
            .collect();
        Ok(Begun {
            names,
            base,
            source_custom,
            covered,
            members: None,
            source,
            target,
            source_rows,
            source_groups,
            source_certificate,
            target_open: target_too,
            source_carries: store.has_carried(&job.source_account, ObjectKind::Member)?,
            reads_before,
        })
    }

    /// Reads the members of the source, once per run: for another mapping only their fingerprints
    /// are made anew. The mapping is held against what they show.
    pub(in crate::run) async fn read_source(
        &self,
        job: &JobConfig,
        begun: &mut Begun,
        mapping: &mut BoundMapping,
    ) -> Result<(), RunError> {
        if begun.members.is_none() {
            begun.members = Some(self.read_source_members(job, begun, mapping).await?);
        }
        let members = begun.members.as_mut().expect("it was just read");
        mapping.hold_against_source(members.snapshot.shown_custom.as_ref());
        // Whoever was read under other rules counts as changed.
        members.salted(mapping.salt(), &begun.names)
    }

    async fn read_source_members(
        &self,
        job: &JobConfig,
        begun: &mut Begun,
        mapping: &BoundMapping,
    ) -> Result<SourceMembers, RunError> {
        let salt = mapping.salt();
        self.inner
            .options
            .progress
            .stage(&job.name, &format!("Reading members of {}", job.source));
        let mut staging = Staging::new().map_err(staging_error)?;
        let mut meanings = self.store().meanings(&job.source_account)?;
        // Where nobody knows which custom fields there are, those that the config names.
        let schema = provider::schema(begun.source.adapter.kind());
        let reads = mapping.member_reads();
        let named = reads.iter().filter_map(|name| {
            let name = name.strip_prefix("custom.").filter(|name| *name != "*");
            let name = name.filter(|_| !begun.source_custom.known)?;
            Some(format!("custom.{}", schema.unlisted.system_name(name)?))
        });
        let fields: Vec<String> = schema
            .members
            .iter()
            .filter(|field| field.readable && field.wire != "custom.*")
            .map(|field| field.wire.to_owned())
            .chain(
                begun
                    .source_custom
                    .fields
                    .iter()
                    .map(|field| format!("custom.{}", field.system_name)),
            )
            .chain(named)
            .collect();
        let rows: Vec<GroupRow> = begun
            .source_rows
            .iter()
            .filter(|row| begun.covered.contains(&row.id))
            .cloned()
            .collect();
        let mut builder = SnapshotBuilder::new(&job.source, &salt, &mut begun.names, &mut staging);
        let expected = begun.source.adapter.predicted_reads(&rows, false);
        let meter = Meter::new(&begun.source, expected);
        self.inner.options.progress.measure(&job.name, meter);
        // What another job took out here must not come to light only after the lists were read.
        self.wait_for_earlier(&begun.source).await?;
        let ask = MemberAsk {
            groups: &rows,
            fields: &fields,
            role: Role::Source,
        };
        read_members(&begun.source, &ask, &mut builder, &meanings).await?;
        let groups = std::mem::take(&mut begun.source_groups);
        let mut snapshot = builder.finish(
            groups,
            &begun.source_certificate,
            &mut meanings,
            &OwnRemovals::default(),
        );
        self.hold_to_gaps(&mut snapshot);
        self.set_own_apart(&mut snapshot, &begun.names)?;
        Ok(SourceMembers {
            snapshot,
            staging,
            meanings,
            salt,
        })
    }
}
