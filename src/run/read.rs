//! Reads both sides of a job into snapshots.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::accounts::Handle;
use super::recover::{
    Evidence, KnownGroups, adopt_created_groups, doubtful_addresses, forget_strays, settle_members,
    unlisted_groups,
};
use super::verify::{GroupNow, group_now, target_fields};
use super::{RunError, Runner};
use crate::config::settled::JobConfig;
use crate::http::Account;
use crate::mapping::{BoundMapping, Mapping, MappingSpec};
use crate::model::{
    Certificate, CustomFields, Existence, Group, GroupRow, Incomplete, Join, Listing, MemberRow,
    MemberSink, MembershipState, Name, Names, ObjectKind, OwnRemovals, Reading, SinkError,
    Snapshot, SnapshotBuilder, TotalMeanings, Value, Writable, row_hash,
};
use crate::plan::base::Base;
use crate::plan::{Policy, in_scope};
use crate::provider::{self, MemberAsk, ReadError, Role};
use crate::state::{Staging, Store};

/// How long a creation may take until it shows.
const LATE: Duration = Duration::from_mins(1);

/// Work that a request has begun may show only so long after the request.
const UNSEEN: Duration = Duration::from_secs(10);

/// Both sides as they were read, with what it takes to look further into them.
pub(super) struct Sides {
    pub(super) names: Arc<Names>,
    pub(super) source: Snapshot,
    pub(super) target: Snapshot,
    pub(super) source_staging: Staging,
    pub(super) target_staging: Staging,
    pub(super) mapping: BoundMapping,
    pub(super) target_custom: CustomFields,
    /// The target's groups as the adapter returned them, for reading some of them again.
    pub(super) target_rows: BTreeMap<String, GroupRow>,
    pub(super) meanings: Vec<(String, BTreeSet<TotalMeanings>)>,
    pub(super) warnings: Vec<String>,
    /// Requests that reading took, by provider.
    pub(super) reads: BTreeMap<String, u64>,
    /// When the reading of each of the target's listings began, by the group's id; nothing of a
    /// remembered one.
    pub(super) target_listed_at: BTreeMap<String, Instant>,
    /// The evidence of the target's list of groups.
    pub(super) target_certificate: Certificate,
    /// The time of day at which reading the target began.
    pub(super) target_read_time: Timestamp,
    /// Whether the target was not read in this run, but is as an earlier one remembered it.
    pub(super) target_remembered: bool,
    /// Of the mapped fields with ids of other objects, those that the target's groups may name;
    /// nothing of a remembered target.
    pub(super) nameable: BTreeMap<String, BTreeSet<String>>,
    /// The fingerprint of the mapping, which entered those of the profiles.
    pub(super) salt: String,
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
            .map_err(super::staging_error)?;
        self.salt = salt;
        Ok(())
    }
}

/// Compiles the mapping of a job; the config was checked, so problems here are of a changed
/// program.
pub(super) fn compile(runner: &Runner, job: &JobConfig) -> Result<Mapping, RunError> {
    let kind = |name: &str| runner.config().providers[name].kind;
    let spec = MappingSpec {
        source: provider::schema(kind(&job.source)),
        target: provider::schema(kind(&job.target)),
        source_name: &job.source,
        group: &job.map_group,
        member: &job.map_member,
        r#where: job.members.r#where.as_deref(),
        create_fields: job.create_fields
            && provider::capabilities(kind(&job.target)).custom_fields_creatable,
    };
    Mapping::compile(&spec).map_err(|problems| config_error(job, &problems))
}

fn config_error(job: &JobConfig, problems: &[crate::mapping::MappingProblem]) -> RunError {
    let problems: Vec<String> = problems
        .iter()
        .map(|problem| match &problem.hint {
            Some(hint) => format!("{problem} ({hint})"),
            None => problem.to_string(),
        })
        .collect();
    RunError::Config {
        job: job.name.clone(),
        problems: problems.join("; "),
    }
}

fn read_error(handle: &Handle) -> impl Fn(ReadError) -> RunError + '_ {
    |error| RunError::Read {
        provider: handle.name.clone(),
        error: Box::new(error),
    }
}

/// A reading that is under way: what is known before the members of the target.
pub(super) struct Begun {
    pub(super) names: Names,
    pub(super) base: Base,
    pub(super) source_custom: CustomFields,
    /// The source's groups in scope.
    pub(super) covered: BTreeSet<String>,
    /// The members of the source, once they were read.
    pub(super) members: Option<SourceMembers>,
    source: Arc<Handle>,
    target: Arc<Handle>,
    source_rows: Vec<GroupRow>,
    source_groups: Vec<Group>,
    source_certificate: Certificate,
    target_open: bool,
    /// Reading requests of both accounts before this run.
    reads_before: (u64, u64),
}

/// The members of the source.
pub(super) struct SourceMembers {
    pub(super) snapshot: Snapshot,
    pub(super) staging: Staging,
    pub(super) meanings: BTreeSet<TotalMeanings>,
    /// What entered the fingerprints of the profiles.
    pub(super) salt: String,
}

/// A target and how it came to be known.
pub(super) struct TargetSide {
    pub(super) mapping: BoundMapping,
    pub(super) custom: CustomFields,
    pub(super) rows: BTreeMap<String, GroupRow>,
    pub(super) certificate: Certificate,
    pub(super) snapshot: Snapshot,
    pub(super) staging: Staging,
    pub(super) meanings: BTreeSet<TotalMeanings>,
    /// When the reading of each listing began; nothing of a remembered one.
    pub(super) listed_at: BTreeMap<String, Instant>,
    pub(super) read_time: Timestamp,
    pub(super) remembered: bool,
    pub(super) nameable: BTreeMap<String, BTreeSet<String>>,
}

impl Begun {
    /// Returns the linked and pinned groups of the target, and whether all groups in scope are
    /// linked, so that no others need be known in detail.
    pub(super) fn partners_known(&self, job: &JobConfig) -> (BTreeSet<String>, bool) {
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

    /// Puts both sides together, and lends out names, base and the members of the source, which
    /// must have been read.
    pub(super) fn finish(
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
            nameable: target.nameable,
            salt: members.salt,
        };
        (sides, std::mem::take(&mut self.base))
    }
}

impl Runner {
    /// Loads what the last confirmed run of a job left behind.
    fn load_base(&self, job: &JobConfig, names: &mut Names) -> Result<Base, RunError> {
        let (source, target) = (&job.source_account, &job.target_account);
        let store = self.store();
        Ok(store.load_base(&job.name, source, target, self.now(), names)?)
    }

    /// Logs in and reads the groups of the source; logs in at the target as well, unless it may
    /// turn out to be remembered.
    ///
    /// The base is loaded here because reading needs to know what is linked; it may be loaded anew
    /// afterwards.
    pub(super) async fn begin_reading(
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
            source.adapter.open().await.map_err(read_error(&source))?;
            target.adapter.open().await.map_err(read_error(&target))?;
        } else {
            progress.stage(&job.name, &format!("Logging in at {}", job.source));
            source.adapter.open().await.map_err(read_error(&source))?;
        }
        let source_custom = source
            .adapter
            .custom_fields()
            .await
            .map_err(read_error(&source))?;

        progress.stage(&job.name, &format!("Reading groups of {}", job.source));
        let linked: BTreeSet<String> = base.groups.iter().map(|link| link.source.clone()).collect();
        let wanted =
            |id: &str, name: &str| linked.contains(id) || job.groups.covers(id, name, false);
        let (mut source_rows, source_certificate) = source
            .adapter
            .groups(&wanted)
            .await
            .map_err(read_error(&source))?;
        certain(&source.name, &source_certificate)?;
        // A group is missing only when it can't be found by id either.
        for link in &base.groups {
            if !source_rows.iter().any(|row| row.id == link.source)
                && let Some(row) = source
                    .adapter
                    .group(&link.source)
                    .await
                    .map_err(read_error(&source))?
            {
                source_rows.push(row);
            }
        }
        let source_groups = groups_with_carried(
            store,
            &job.source_account,
            &source_rows,
            provider::schema(source.adapter.kind()),
        )?;
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
            reads_before,
        })
    }

    /// Binds the mapping of a job to the custom fields of its accounts.
    pub(super) fn bind(
        &self,
        job: &JobConfig,
        source: &CustomFields,
        target: &CustomFields,
    ) -> Result<BoundMapping, RunError> {
        let (mapping, problems) = compile(self, job)?.bind(source, target);
        if problems.is_empty() {
            Ok(mapping)
        } else {
            Err(config_error(job, &problems))
        }
    }

    /// Reads the members of the source, once per run: for another mapping only their fingerprints
    /// are made anew.
    pub(super) async fn read_source(
        &self,
        job: &JobConfig,
        begun: &mut Begun,
        mapping: &BoundMapping,
    ) -> Result<(), RunError> {
        let salt = mapping.salt();
        if let Some(members) = &mut begun.members {
            return members.salted(salt, &begun.names);
        }
        self.inner
            .options
            .progress
            .stage(&job.name, &format!("Reading members of {}", job.source));
        let mut staging = Staging::new().map_err(super::staging_error)?;
        let mut meanings = self.store().meanings(&job.source_account)?;
        let fields: Vec<String> = provider::schema(begun.source.adapter.kind())
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
            .collect();
        let rows: Vec<GroupRow> = begun
            .source_rows
            .iter()
            .filter(|row| begun.covered.contains(&row.id))
            .cloned()
            .collect();
        let mut builder = SnapshotBuilder::new(&job.source, &salt, &mut begun.names, &mut staging);
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
        self.set_own_apart(&mut snapshot, &begun.names)?;
        begun.members = Some(SourceMembers {
            snapshot,
            staging,
            meanings,
            salt,
        });
        Ok(())
    }

    /// Reads the target in full, and the source as far as that was not done yet.
    pub(super) async fn read_target(
        &self,
        job: &JobConfig,
        policy: &Policy,
        mut begun: Begun,
    ) -> Result<(Sides, Base), RunError> {
        let store = self.store();
        let progress = &self.inner.options.progress;
        let target = begun.target.clone();
        let read_time = self.now();
        if !begun.target_open {
            progress.stage(&job.name, &format!("Logging in at {}", job.target));
            target.adapter.open().await.map_err(read_error(&target))?;
        }
        self.wait_for_earlier(&target).await?;
        let custom = target
            .adapter
            .custom_fields()
            .await
            .map_err(read_error(&target))?;
        let mapping = self.bind(job, &begun.source_custom, &custom)?;

        progress.stage(&job.name, &format!("Reading groups of {}", job.target));
        let (targets, everything_linked) = begun.partners_known(job);
        // Finding partners by external id takes the details of every group that might be one.
        let wanted = |id: &str, _name: &str| !everything_linked || targets.contains(id);
        let (rows, certificate) = target
            .adapter
            .groups(&wanted)
            .await
            .map_err(read_error(&target))?;
        certain(&target.name, &certificate)?;
        let schema = provider::schema(target.adapter.kind());
        let groups = groups_with_carried(store, &job.target_account, &rows, schema)?;
        let asked = |source: &str| {
            let group = begun.source_groups.iter().find(|group| group.id == source);
            group
                .map(|group| mapping.group(&group.canonical).fields)
                .unwrap_or_default()
        };
        let known = KnownGroups {
            base: &begun.base,
            schema,
            rows: &rows,
        };
        let protected = |source: &str| {
            let mut groups = begun.source_groups.iter();
            groups.any(|group| group.id == source && group.protected)
        };
        if adopt_created_groups(store, job, known, asked, protected, self.now())? {
            begun.base = self.load_base(job, &mut begun.names)?;
        }

        self.read_source(job, &mut begun, &mapping).await?;
        let source = &begun.members.as_ref().expect("it was just read").snapshot;
        let mut meanings = store.meanings(&job.target_account)?;
        let bare = bare_snapshot(&job.target, groups.clone(), &certificate, &mut meanings);
        let desired = super::prepare::desired_groups(&mapping, source, policy, schema).0;
        let partners = super::prepare::partner_ids(
            policy,
            &begun.names,
            source,
            &bare,
            &begun.base,
            &desired,
            schema,
            &target.capabilities,
        );
        let asked: Vec<GroupRow> = rows
            .iter()
            .filter(|row| partners.contains(&row.id))
            .cloned()
            .collect();

        progress.stage(&job.name, &format!("Reading members of {}", job.target));
        let mut warnings = self.unclaimed_refusals()?;
        let mut staging = Staging::new().map_err(super::staging_error)?;
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
        addresses.extend(doubtful_addresses(store, &job.name)?);
        let addresses: Vec<String> = addresses.into_iter().collect();
        let fields = target_fields(&mapping, &target);
        let salt = mapping.salt();
        let (mut snapshot, listed_at) = {
            let mut builder =
                SnapshotBuilder::new(&job.target, &salt, &mut begun.names, &mut staging);
            let ask = MemberAsk {
                groups: &asked,
                fields: &fields,
                role: Role::Target { wanted: &addresses },
            };
            let listed_at = read_members(&target, &ask, &mut builder, &meanings).await?;
            let own = store.own_removals(&job.target_account)?;
            let snapshot = builder.finish(groups, &certificate, &mut meanings, &own);
            (snapshot, listed_at)
        };
        let looked_up = self.look_up(job, &target, &snapshot, &mut warnings).await?;
        let evidence = Evidence {
            target: &snapshot,
            names: &begun.names,
            looked_up: &looked_up,
            base: &begun.base,
            profiles: &staging,
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
        self.set_own_apart(&mut snapshot, &begun.names)?;
        if settled.changed || strays {
            begun.base = self.load_base(job, &mut begun.names)?;
        }
        let rows: BTreeMap<String, GroupRow> =
            rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        let nameable = nameable(&target, job, &rows).await?;
        let side = TargetSide {
            mapping,
            custom,
            rows,
            certificate,
            snapshot,
            staging,
            meanings,
            listed_at,
            read_time,
            remembered: false,
            nameable,
        };
        Ok(begun.finish(job, side, warnings))
    }

    /// Sets apart what shows as a refusal and is rosterd's own doing, or may turn out to be,
    /// whichever job did it.
    pub(super) fn set_own_apart(
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

    /// Waits for work of a provider that an interrupted write may have begun: nothing is read or
    /// sent before it is over.
    ///
    /// Any job may have sent it, in this process or in one that is no more.
    async fn wait_for_earlier(&self, target: &Handle) -> Result<(), RunError> {
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
            .map_err(read_error(target))
    }

    /// Predicts the reading requests of a job from the lists of groups.
    pub(super) async fn predict_reads(
        &self,
        job: &JobConfig,
    ) -> Result<super::Prediction, RunError> {
        let mut reads = BTreeMap::new();
        let mut minutes = 0.0;
        for (name, is_target) in [(&job.source, false), (&job.target, true)] {
            let handle = self.handle(name)?;
            handle.adapter.open().await.map_err(read_error(&handle))?;
            let (rows, certificate) = handle
                .adapter
                .groups(&|_, _| false)
                .await
                .map_err(read_error(&handle))?;
            certain(&handle.name, &certificate)?;
            let schema = provider::schema(handle.adapter.kind());
            let covered: Vec<GroupRow> = rows
                .into_iter()
                .filter(|row| {
                    is_target || in_scope(&job.groups, &Group::from_row(row.clone(), schema))
                })
                .collect();
            let count = handle.adapter.predicted_reads(&covered, is_target);
            minutes += handle
                .requests_per_minute
                .map_or(0.0, |pace| count as f64 / f64::from(pace.max(1)));
            reads.insert(name.clone(), count);
        }
        Ok(super::Prediction {
            reads,
            minutes,
            period: job
                .schedule
                .as_ref()
                .and_then(|schedule| schedule.period(self.now())),
        })
    }
}

/// Hands on what is read, and notes when the reading of each listing began.
struct Noting<'a, 'b> {
    sink: &'a mut SnapshotBuilder<'b>,
    account: &'a Account,
    began: &'a mut BTreeMap<String, Instant>,
}

impl MemberSink for Noting<'_, '_> {
    fn member(&mut self, row: MemberRow) -> Result<(), SinkError> {
        self.sink.member(row)
    }

    fn begin_reading(&mut self, group: &str) {
        self.began.insert(group.to_owned(), self.account.now());
    }

    fn begin_listing(&mut self, group: &str) {
        self.sink.begin_listing(group);
    }

    fn listed(&mut self, member_id: &str, state: MembershipState) {
        self.sink.listed(member_id, state);
    }

    fn unreadable(&mut self, member_id: &str) {
        self.sink.unreadable(member_id);
    }

    fn refused_at(&mut self, member_id: &str, seconds: i64) {
        self.sink.refused_at(member_id, seconds);
    }

    fn end_listing(&mut self, certificate: Certificate) {
        self.sink.end_listing(certificate);
    }

    fn account_state(&mut self, certificate: Certificate) {
        self.sink.account_state(certificate);
    }

    fn whole_account(&mut self) {
        self.sink.whole_account();
    }

    fn absent(&mut self, address: &str) {
        self.sink.absent(address);
    }
}

/// Asks for members once. Where several listings come out of one stream of requests, they began
/// with it.
async fn ask_members(
    handle: &Handle,
    ask: &MemberAsk<'_>,
    builder: &mut SnapshotBuilder<'_>,
    began: &mut BTreeMap<String, Instant>,
) -> Result<(), RunError> {
    let now = handle.account.now();
    began.extend(ask.groups.iter().map(|row| (row.id.clone(), now)));
    let mut sink = Noting {
        sink: builder,
        account: &handle.account,
        began,
    };
    handle
        .adapter
        .members(ask, &mut sink)
        .await
        .map_err(read_error(handle))
}

/// Reads members, and each doubtful listing once more: a listing may move while it is read. Returns
/// when the reading of each listing began.
async fn read_members(
    handle: &Handle,
    ask: &MemberAsk<'_>,
    builder: &mut SnapshotBuilder<'_>,
    meanings: &BTreeSet<TotalMeanings>,
) -> Result<BTreeMap<String, Instant>, RunError> {
    let mut began = BTreeMap::new();
    ask_members(handle, ask, builder, &mut began).await?;
    let doubtful = builder.doubtful_listings(meanings);
    if doubtful.is_empty() {
        return Ok(began);
    }
    // The counts that a listing is held against may be older than the listing, so they are read
    // again as well.
    let mut rows = Vec::new();
    for id in &doubtful {
        if let Some(row) = handle.adapter.group(id).await.map_err(read_error(handle))? {
            rows.push(row);
        }
    }
    let role = match ask.role {
        Role::Source => Role::Source,
        Role::Target { wanted } => Role::Target { wanted },
        Role::Check => Role::Check,
    };
    let again = MemberAsk {
        groups: &rows,
        fields: ask.fields,
        role,
    };
    ask_members(handle, &again, builder, &mut began).await?;
    Ok(began)
}

/// With a list of groups that shows itself to be in pieces nothing else means anything. One that
/// merely nothing vouches for can be used, without concluding from who is not in it.
fn certain(provider: &str, certificate: &Certificate) -> Result<(), RunError> {
    match certificate.contradictions() {
        why if why.is_empty() => Ok(()),
        why => Err(RunError::Groups {
            provider: provider.to_owned(),
            why: why.join("; "),
        }),
    }
}

/// Reads which objects the fields that the config maps may name; what a group names already counts,
/// whether it is seen or not.
async fn nameable(
    target: &Handle,
    job: &JobConfig,
    rows: &BTreeMap<String, GroupRow>,
) -> Result<BTreeMap<String, BTreeSet<String>>, RunError> {
    let mut nameable = BTreeMap::new();
    for field in job.map_group.keys() {
        let Some(mut ids) = target
            .adapter
            .nameable(field)
            .await
            .map_err(read_error(target))?
        else {
            continue;
        };
        for row in rows.values() {
            if let Some(Value::List(named)) = row.wire.get(field) {
                ids.extend(named.iter().cloned());
            }
        }
        nameable.insert(field.clone(), ids);
    }
    Ok(nameable)
}

/// Makes groups of rows, with carried values as if the provider had returned them.
pub(super) fn groups_with_carried(
    store: &Store,
    account: &str,
    rows: &[GroupRow],
    schema: &crate::model::Schema,
) -> Result<Vec<Group>, RunError> {
    let mut carried = store.carried(account, ObjectKind::Group)?;
    Ok(rows
        .iter()
        .map(|row| {
            let mut group = Group::from_row(row.clone(), schema);
            for (field, value) in carried.remove(&group.id).unwrap_or_default() {
                // What a provider makes up of other fields is not what somebody wrote elsewhere.
                if schema
                    .by_canonical(ObjectKind::Group, &field)
                    .is_some_and(|row| row.writable == Writable::No)
                {
                    group.canonical.insert(field, value);
                } else {
                    group.canonical.entry(field).or_insert(value);
                }
            }
            group.protected |= group
                .canonical
                .get("protected")
                .and_then(Value::as_bool)
                .unwrap_or(false);
            group
        })
        .collect())
}

/// A snapshot that knows the groups and nothing else, good enough to pair groups.
pub(super) fn bare_snapshot(
    provider: &str,
    mut groups: Vec<Group>,
    certificate: &Certificate,
    meanings: &mut BTreeSet<TotalMeanings>,
) -> Snapshot {
    groups.sort_by(|left, right| left.id.cmp(&right.id));
    Snapshot {
        provider: provider.to_owned(),
        groups: certificate.certify(groups, meanings),
        members: Vec::new(),
        listings: BTreeMap::<String, Reading<Listing>>::new(),
        certificates: BTreeMap::new(),
        account_state: Reading::Incomplete(Incomplete {
            partial: (),
            why: Vec::new(),
            opt_outs_complete: false,
        }),
        existence: Existence::Unknown,
        field_use: BTreeMap::new(),
        ended_removals: Vec::new(),
        unreadable: Vec::new(),
        groups_left_out: Vec::new(),
    }
}
