//! Reads both sides of a job into snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::accounts::Handle;
use super::{RunError, Runner};
use crate::config::settled::JobConfig;
use crate::mapping::{BoundMapping, Mapping, MappingSpec};
use crate::model::{
    Certificate, CustomFields, Existence, Group, GroupRow, Incomplete, Listing, MemberSink, Names, ObjectKind, Reading, Snapshot,
    SnapshotBuilder, TotalMeanings, Value,
};
use crate::plan::base::Base;
use crate::plan::{Policy, in_scope};
use crate::provider::{self, MemberAsk, ReadError, Role};
use crate::state::{Staging, Store};

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
    /// When the target's listings were read.
    pub(super) target_read_at: tokio::time::Instant,
}

/// Compiles the mapping of a job; the config was checked, so problems here are of a changed program.
pub(super) fn compile(runner: &Runner, job: &JobConfig) -> Result<Mapping, RunError> {
    let kind = |name: &str| runner.config().providers[name].kind;
    let spec = MappingSpec {
        source: provider::schema(kind(&job.source)),
        target: provider::schema(kind(&job.target)),
        source_name: &job.source,
        group: &job.map_group,
        member: &job.map_member,
        r#where: job.members.r#where.as_deref(),
        create_fields: job.create_fields && provider::capabilities(kind(&job.target)).custom_fields_creatable,
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
    RunError::Config { job: job.name.clone(), problems: problems.join("; ") }
}

fn read_error(handle: &Handle) -> impl Fn(ReadError) -> RunError + '_ {
    |error| RunError::Read { provider: handle.name.clone(), error }
}

impl Runner {
    /// Reads both sides. `base` is loaded here because reading needs to know what is linked; it may be loaded anew afterwards.
    pub(super) async fn read_sides(&self, job: &JobConfig, policy: &Policy) -> Result<(Sides, Base), RunError> {
        let store = self.store();
        let progress = &self.inner.options.progress;
        let (source, target) = (self.handle(&job.source)?, self.handle(&job.target)?);
        let before = (source.account.statistics().reads, target.account.statistics().reads);
        let mut names = Names::new();
        names.intern("");
        let mut base = store.load_base(&job.name, &job.target, self.now(), &mut names)?;

        progress.stage(&job.name, &format!("Logging in at {} and {}", job.source, job.target));
        source.adapter.open().await.map_err(read_error(&source))?;
        target.adapter.open().await.map_err(read_error(&target))?;
        let source_custom = source.adapter.custom_fields().await.map_err(read_error(&source))?;
        let target_custom = target.adapter.custom_fields().await.map_err(read_error(&target))?;
        let mapping = compile(self, job)?;
        let (mapping, problems) = mapping.bind(&source_custom, &target_custom);
        if !problems.is_empty() {
            return Err(config_error(job, &problems));
        }

        progress.stage(&job.name, &format!("Reading groups of {}", job.source));
        let linked: BTreeSet<String> = base.groups.iter().map(|link| link.source.clone()).collect();
        let wanted = |id: &str, name: &str| linked.contains(id) || job.groups.covers(id, name, false);
        let (mut source_rows, source_certificate) = source.adapter.groups(&wanted).await.map_err(read_error(&source))?;
        certain(&source.name, &source_certificate)?;
        // A group is missing only when it can't be found by id either.
        for link in &base.groups {
            if !source_rows.iter().any(|row| row.id == link.source)
                && let Some(row) = source.adapter.group(&link.source).await.map_err(read_error(&source))?
            {
                source_rows.push(row);
            }
        }
        let source_schema = provider::schema(source.adapter.kind());
        let source_groups = groups_with_carried(store, &job.source, &source_rows, source_schema)?;
        let covered: BTreeSet<&str> =
            source_groups.iter().filter(|group| in_scope(&job.groups, group)).map(|group| group.id.as_str()).collect();

        progress.stage(&job.name, &format!("Reading groups of {}", job.target));
        let everything_linked = covered.iter().all(|id| linked.contains(*id));
        let targets: BTreeSet<String> =
            base.groups.iter().map(|link| link.target.clone()).chain(job.groups.pin.values().cloned()).collect();
        // Finding partners by external id takes the details of every group that might be one.
        let wanted = |id: &str, _name: &str| !everything_linked || targets.contains(id);
        let (target_rows, target_certificate) = target.adapter.groups(&wanted).await.map_err(read_error(&target))?;
        certain(&target.name, &target_certificate)?;
        let target_schema = provider::schema(target.adapter.kind());
        let target_groups = groups_with_carried(store, &job.target, &target_rows, target_schema)?;
        let asked = |source: &str| {
            let group = source_groups.iter().find(|group| group.id == source);
            group.map(|group| mapping.group(&group.canonical).fields).unwrap_or_default()
        };
        if super::recover::adopt_created_groups(store, job, &target_rows, asked, self.now())? {
            base = store.load_base(&job.name, &job.target, self.now(), &mut names)?;
        }

        progress.stage(&job.name, &format!("Reading members of {}", job.source));
        let salt = mapping.salt();
        let mut source_staging = Staging::new().map_err(super::staging_error)?;
        let mut source_meanings = store.meanings(&job.source)?;
        let fields: Vec<String> = source_schema
            .members
            .iter()
            .filter(|field| field.readable && field.wire != "custom.*")
            .map(|field| field.wire.to_owned())
            .chain(source_custom.fields.iter().map(|field| format!("custom.{}", field.system_name)))
            .collect();
        let rows: Vec<GroupRow> = source_rows.iter().filter(|row| covered.contains(row.id.as_str())).cloned().collect();
        let source_snapshot = {
            let mut builder = SnapshotBuilder::new(&job.source, &salt, &mut names, &mut source_staging);
            let ask = MemberAsk { groups: &rows, fields: &fields, role: Role::Source };
            read_members(&source, &ask, &mut builder, &source_meanings).await?;
            builder.finish(source_groups, &source_certificate, &mut source_meanings)
        };

        let mut target_meanings = store.meanings(&job.target)?;
        let bare = bare_snapshot(&job.target, target_groups.clone(), &target_certificate, &mut target_meanings);
        let desired = super::prepare::desired_groups(&mapping, &source_snapshot, policy, target_schema).0;
        let partners =
            super::prepare::partner_ids(policy, &names, &source_snapshot, &bare, &base, &desired, target_schema, &target.capabilities);
        let rows: Vec<GroupRow> = target_rows.iter().filter(|row| partners.contains(&row.id)).cloned().collect();

        progress.stage(&job.name, &format!("Reading members of {}", job.target));
        let mut target_staging = Staging::new().map_err(super::staging_error)?;
        let addresses: Vec<String> =
            source_snapshot.members.iter().filter_map(|member| member.address).map(|address| names.text(address).to_owned()).collect();
        let mut fields = mapping.member_fields();
        // The spelling of the address, for requests that go by it.
        fields.extend(target_schema.by_canonical(ObjectKind::Member, "email").map(|field| field.wire.to_owned()));
        let target_snapshot = {
            let mut builder = SnapshotBuilder::new(&job.target, &salt, &mut names, &mut target_staging);
            let ask = MemberAsk { groups: &rows, fields: &fields, role: Role::Target { wanted: &addresses } };
            read_members(&target, &ask, &mut builder, &target_meanings).await?;
            builder.finish(target_groups, &target_certificate, &mut target_meanings)
        };
        if super::recover::settle_members(store, job, &target_snapshot, &names, self.now())? {
            base = store.load_base(&job.name, &job.target, self.now(), &mut names)?;
        }

        let mut reads = BTreeMap::new();
        *reads.entry(job.source.clone()).or_default() += source.account.statistics().reads - before.0;
        *reads.entry(job.target.clone()).or_default() += target.account.statistics().reads - before.1;
        let mut warnings = Vec::new();
        if base.is_empty() {
            warnings.push(
                "This is the first run without a base: what exists at the target is adopted, nothing is removed, and refusals that only rosterd remembered are not known."
                    .to_owned(),
            );
        }
        let sides = Sides {
            names: Arc::new(names),
            source: source_snapshot,
            target: target_snapshot,
            source_staging,
            target_staging,
            mapping,
            target_custom,
            target_rows: target_rows.into_iter().map(|row| (row.id.clone(), row)).collect(),
            meanings: vec![(job.source.clone(), source_meanings), (job.target.clone(), target_meanings)],
            warnings,
            reads,
            target_read_at: target.account.now(),
        };
        Ok((sides, base))
    }

    /// Predicts the reading requests of a job from the lists of groups.
    pub(super) async fn predict_reads(&self, job: &JobConfig) -> Result<super::Prediction, RunError> {
        let mut reads = BTreeMap::new();
        let mut minutes = 0.0;
        for (name, is_target) in [(&job.source, false), (&job.target, true)] {
            let handle = self.handle(name)?;
            handle.adapter.open().await.map_err(read_error(&handle))?;
            let (rows, certificate) = handle.adapter.groups(&|_, _| false).await.map_err(read_error(&handle))?;
            certain(&handle.name, &certificate)?;
            let schema = provider::schema(handle.adapter.kind());
            let covered: Vec<GroupRow> =
                rows.into_iter().filter(|row| is_target || in_scope(&job.groups, &Group::from_row(row.clone(), schema))).collect();
            let count = handle.adapter.predicted_reads(&covered, is_target);
            minutes += handle.requests_per_minute.map_or(0.0, |pace| count as f64 / f64::from(pace.max(1)));
            reads.insert(name.clone(), count);
        }
        Ok(super::Prediction { reads, minutes, period: job.schedule.as_ref().and_then(|schedule| schedule.period(self.now())) })
    }
}

/// Reads members, and each doubtful listing once more: a listing may move while it is read.
async fn read_members(
    handle: &Handle,
    ask: &MemberAsk<'_>,
    builder: &mut SnapshotBuilder<'_>,
    meanings: &BTreeSet<TotalMeanings>,
) -> Result<(), RunError> {
    handle.adapter.members(ask, builder as &mut dyn MemberSink).await.map_err(read_error(handle))?;
    let doubtful = builder.doubtful_listings(meanings);
    if doubtful.is_empty() {
        return Ok(());
    }
    // The counts that a listing is held against may be older than the listing, so they are read again as well.
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
    let again = MemberAsk { groups: &rows, fields: ask.fields, role };
    handle.adapter.members(&again, builder as &mut dyn MemberSink).await.map_err(read_error(handle))
}

/// Without a whole list of groups nothing else means anything.
fn certain(provider: &str, certificate: &Certificate) -> Result<(), RunError> {
    match certificate.certify((), &mut TotalMeanings::all()) {
        Reading::Complete(_) => Ok(()),
        Reading::Incomplete(incomplete) => Err(RunError::Groups { provider: provider.to_owned(), why: incomplete.why.join("; ") }),
    }
}

/// Makes groups of rows, with carried values as if the provider had returned them.
fn groups_with_carried(store: &Store, provider: &str, rows: &[GroupRow], schema: &crate::model::Schema) -> Result<Vec<Group>, RunError> {
    let mut carried = store.carried(provider, ObjectKind::Group)?;
    Ok(rows
        .iter()
        .map(|row| {
            let mut group = Group::from_row(row.clone(), schema);
            for (field, value) in carried.remove(&group.id).unwrap_or_default() {
                group.canonical.entry(field).or_insert(value);
            }
            group.protected |= group.canonical.get("protected").and_then(Value::as_bool).unwrap_or(false);
            group
        })
        .collect())
}

/// A snapshot that knows the groups and nothing else, good enough to pair groups.
fn bare_snapshot(provider: &str, mut groups: Vec<Group>, certificate: &Certificate, meanings: &mut BTreeSet<TotalMeanings>) -> Snapshot {
    groups.sort_by(|left, right| left.id.cmp(&right.id));
    Snapshot {
        provider: provider.to_owned(),
        groups: certificate.certify(groups, meanings),
        members: Vec::new(),
        listings: BTreeMap::<String, Reading<Listing>>::new(),
        certificates: BTreeMap::new(),
        account_state: Reading::Incomplete(Incomplete { partial: (), why: Vec::new(), opt_outs_complete: false }),
        existence: Existence::Unknown,
        field_use: BTreeMap::new(),
    }
}
