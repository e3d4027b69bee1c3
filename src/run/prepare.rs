//! From two snapshots to a plan with its cost: everything before the first write.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::accounts::Handle;
use super::read::Sides;
use super::report::Outcome;
use super::{Cost, Planned, RunError, RunReport, Runner, persons};
use crate::config::settled::JobConfig;
use crate::mapping::BoundMapping;
use crate::model::policy::Removal;
use crate::model::{Capabilities, Names, ObjectKind, Record, Schema, Snapshot, Takes, Value};
use crate::plan::base::{Base, Measure};
use crate::plan::pack::{Step, pack};
use crate::plan::{
    Blocked, DesiredGroup, Edit, Inputs, Loss, PairIx, People, PersonFacts, PersonIx, Plan, Policy,
    Summary, in_scope, plan,
};
use crate::provider;
use crate::state::Change;

/// A plan and everything that applying it takes.
pub(super) struct Prepared {
    pub(super) planned: Planned,
    pub(super) sides: Sides,
    pub(super) base: Base,
    pub(super) policy: Policy,
    pub(super) desired: BTreeMap<String, DesiredGroup>,
    pub(super) facts: BTreeMap<PersonIx, PersonFacts>,
    pub(super) refresh: Vec<PersonIx>,
    /// Whether a profile of the target is needed that was not read in this run.
    pub(super) unread: bool,
    pub(super) steps: Vec<Step>,
    pub(super) schema: &'static Schema,
    pub(super) capabilities: Capabilities,
    pub(super) explicit: BTreeSet<String>,
}

impl Runner {
    /// Reads, maps and plans. `with_values` also collects what creations would write, for showing
    /// it; with `anew` the target is read whatever is remembered of it.
    pub(super) async fn prepare(
        &self,
        job: &JobConfig,
        with_values: bool,
        anew: bool,
    ) -> Result<Prepared, RunError> {
        let policy = self.policy(job);
        let recall = !anew && self.may_recall(job, &policy)?;
        let mut begun = self.begin_reading(job, !recall).await?;
        if recall {
            begun = match self.recall(job, &policy, begun).await? {
                Ok(prepared) => return Ok(prepared),
                Err(begun) => begun,
            };
        }
        let (sides, base) = self.read_target(job, &policy, begun).await?;
        self.prepare_sides(job, policy, sides, base, with_values)
    }

    /// Maps and plans what was read.
    pub(super) fn prepare_sides(
        &self,
        job: &JobConfig,
        mut policy: Policy,
        mut sides: Sides,
        base: Base,
        with_values: bool,
    ) -> Result<Prepared, RunError> {
        let progress = &self.inner.options.progress;
        progress.stage(&job.name, "Comparing");
        let target = self.handle(&job.target)?;
        // What a login may not see is not gone, whether the config says so or reading showed it.
        policy.source_shared |= !self.handle(&job.source)?.adapter.sees_everything();
        policy.target_shared |= !target.adapter.sees_everything();
        let mut capabilities = target.capabilities;
        capabilities.detach &= job.members.removal == Removal::Detach;
        let schema = provider::schema(target.adapter.kind());
        let (desired, mut losses) = desired_groups(&sides.mapping, &sides.source, &policy, schema);
        let mut desired = self.with_defaults(job, desired, schema);
        let unknown = leave_out_unknown(&mut desired, &sides.nameable, &job.target);
        let people = People::pair(
            &sides.source,
            &sides.target,
            &base,
            &sides.names,
            policy.guards.on_drift,
        );
        let found = persons::look(self.store(), job, schema, &sides, &base, &people)?;
        losses.extend(found.losses);
        let explicit: BTreeSet<String> = job.map_group.keys().cloned().collect();
        let missing: Vec<String> = sides
            .mapping
            .missing_custom()
            .into_iter()
            .map(|field| field.label)
            .collect();
        let mut warnings = std::mem::take(&mut sides.warnings);
        warnings.extend(unknown);
        let plan = plan(&Inputs {
            policy: &policy,
            names: &sides.names,
            source: &sides.source,
            target: &sides.target,
            base: &base,
            people: &people,
            facts: &found.people,
            desired: &desired,
            target_schema: schema,
            explicit_group_fields: &explicit,
            capabilities: &capabilities,
            losses: &losses,
            new_custom_fields: &missing,
            warnings: &warnings,
        });
        let steps = pack(&plan, &people, &capabilities);
        let takes = takes(&target, &plan, &steps, &sides.target);
        let seconds = target.requests_per_minute.map_or(0, |pace| {
            ((takes.writes + takes.reads) * 60).div_ceil(u64::from(pace.max(1)))
        });
        let mut reads = sides.reads.clone();
        *reads.entry(job.target.clone()).or_default() += takes.reads;
        let cost = Cost {
            requests: BTreeMap::from([(job.target.clone(), takes.writes)]),
            reads,
            estimated_seconds: seconds + takes.waits,
        };
        let mut created_values = BTreeMap::new();
        if with_values {
            for edit in &plan.operations {
                if let Edit::CreateMembers { members, .. } = edit {
                    for person in members {
                        let canonical =
                            persons::canonical(self.store(), job, &sides, &people, *person)?;
                        created_values.insert(*person, sides.mapping.member(&canonical).fields);
                    }
                }
            }
        }
        let first_run = base.is_empty();
        let accepted = self.store().accepted(&job.name)?.into_iter();
        let accepted = accepted.map(|accepted| accepted.note.item).collect();
        let names = sides.names.clone();
        Ok(Prepared {
            planned: Planned {
                plan,
                names,
                people,
                cost,
                created_values,
                first_run,
                accepted,
            },
            sides,
            base,
            policy,
            desired,
            facts: found.people,
            refresh: found.refresh,
            unread: found.unread,
            steps,
            schema,
            capabilities,
            explicit,
        })
    }

    fn policy(&self, job: &JobConfig) -> Policy {
        let config = self.config();
        let mut hasher = blake3::Hasher::new();
        // The settled job in its debug form holds no secret and changes with every setting that
        // matters.
        hasher.update(format!("{job:?}").as_bytes());
        for name in [&job.source, &job.target] {
            let provider = &config.providers[name];
            hasher.update(provider.account_key().as_bytes());
            hasher.update(
                format!(
                    "{:?} {:?} {:?}",
                    provider.kind, provider.parking_group, provider.defaults
                )
                .as_bytes(),
            );
        }
        Policy {
            job: job.name.clone(),
            source: job.source.clone(),
            target: job.target.clone(),
            mode: job.mode,
            groups: job.groups.clone(),
            members: job.members.clone(),
            guards: job.guards.clone(),
            allow_auto_response: job.allow_auto_response,
            source_shared: config.providers[&job.source].shared_access,
            target_shared: config.providers[&job.target].shared_access,
            parking_group: config.providers[&job.target].parking_group.clone(),
            opt_outs_confirmed: false,
            config_hash: hasher.finalize().to_hex()[..32].to_owned(),
        }
    }

    /// Gives created groups what the config says where the source has no value.
    fn with_defaults(
        &self,
        job: &JobConfig,
        mut desired: BTreeMap<String, DesiredGroup>,
        schema: &Schema,
    ) -> BTreeMap<String, DesiredGroup> {
        let defaults = &self.config().providers[&job.target].defaults;
        for group in desired.values_mut() {
            for field in schema.groups {
                let value = field.default_key.and_then(|key| defaults.get(key));
                if let Some(value) = value
                    && !group.fields.contains_key(field.wire)
                {
                    group
                        .defaults
                        .insert(field.wire.to_owned(), Value::from(value.as_str()));
                }
            }
        }
        desired
    }
}

/// Maps the source's groups in scope, and counts what has no home at the target.
pub(super) fn desired_groups(
    mapping: &BoundMapping,
    source: &Snapshot,
    policy: &Policy,
    schema: &Schema,
) -> (BTreeMap<String, DesiredGroup>, Vec<Loss>) {
    let name_field = schema
        .by_canonical(ObjectKind::Group, "name")
        .map_or("name", |spec| spec.wire);
    let mut desired = BTreeMap::new();
    let mut losses: BTreeMap<(String, String), (u64, String)> = BTreeMap::new();
    let mut note = |field: &str, reason: &str, example: String| {
        let entry = losses
            .entry((field.to_owned(), reason.to_owned()))
            .or_insert_with(|| (0, example.clone()));
        entry.0 += 1;
        entry.1 = entry.1.clone().min(example);
    };
    for group in source
        .groups
        .seen()
        .iter()
        .filter(|group| in_scope(&policy.groups, group))
    {
        let mapped = mapping.group(&group.canonical);
        for (field, value) in mapping.carried_fields(ObjectKind::Group, &group.canonical) {
            note(
                &field,
                "the target has no field for it; it is kept as a carried value",
                value.to_string(),
            );
        }
        for (field, example) in mapping.ungranted(&group.canonical) {
            note(
                &field,
                "rosterd grants nothing unasked: it takes a line under `map.group`",
                example,
            );
        }
        let mut name_problem = None;
        for left in &mapped.left_out {
            if left.wire == name_field {
                name_problem = Some(format!(
                    "its name can't be written at the target: it is {}",
                    left.reason
                ));
            } else {
                note(
                    &left.wire,
                    &format!("{}, so it is left out", left.reason),
                    left.value.clone(),
                );
            }
        }
        for (field, error) in &mapped.failed {
            note(
                field,
                "its expression could not be evaluated",
                error.clone(),
            );
        }
        if name_problem.is_none() && !mapped.fields.contains_key(name_field) {
            name_problem = Some("it has no name".to_owned());
        }
        desired.insert(
            group.id.clone(),
            DesiredGroup {
                fields: mapped.fields,
                defaults: Record::new(),
                name_problem,
            },
        );
    }
    let losses = losses
        .into_iter()
        .map(|((field, reason), (count, example))| Loss {
            field,
            object: "group",
            count,
            example,
            reason,
        })
        .collect();
    (desired, losses)
}

/// Takes ids out of the wished-for values that name nothing at the target, and says so, once for
/// each id.
fn leave_out_unknown(
    desired: &mut BTreeMap<String, DesiredGroup>,
    nameable: &BTreeMap<String, BTreeSet<String>>,
    target: &str,
) -> Vec<String> {
    let mut unknown: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for group in desired.values_mut() {
        for (field, ids) in nameable {
            let Some(Value::List(named)) = group.fields.get_mut(field) else {
                continue;
            };
            for id in named.extract_if(.., |id| !ids.contains(id)) {
                *unknown.entry((field, id)).or_default() += 1;
            }
            if named.is_empty() {
                group.fields.remove(field);
            }
        }
    }
    let tell = |((field, id), groups): ((&str, String), u64)| {
        let groups = if groups == 1 {
            "1 group".to_owned()
        } else {
            format!("{groups} groups")
        };
        format!(
            "The map names {id} in {field}, which {target} does not have or its login may not see; it is left out of {groups}."
        )
    };
    unknown.into_iter().map(tell).collect()
}

/// Finds out which target groups to list, before anybody at the target is known.
#[expect(
    clippy::too_many_arguments,
    reason = "these are the parts of the planner's input that exist at this point"
)]
pub(super) fn partner_ids(
    policy: &Policy,
    names: &Names,
    source: &Snapshot,
    target: &Snapshot,
    base: &Base,
    desired: &BTreeMap<String, DesiredGroup>,
    schema: &'static Schema,
    capabilities: &Capabilities,
) -> BTreeSet<String> {
    crate::plan::partners(&Inputs {
        policy,
        names,
        source,
        target,
        base,
        people: &People::default(),
        facts: &BTreeMap::new(),
        desired,
        target_schema: schema,
        explicit_group_fields: &BTreeSet::new(),
        capabilities,
        losses: &[],
        new_custom_fields: &[],
        warnings: &[],
    })
}

impl Prepared {
    /// Lends the planner's input anew, for questions about the plan.
    pub(super) fn with_inputs<R>(&self, ask: impl FnOnce(&Inputs<'_>) -> R) -> R {
        ask(&Inputs {
            policy: &self.policy,
            names: &self.planned.names,
            source: &self.sides.source,
            target: &self.sides.target,
            base: &self.base,
            people: &self.planned.people,
            facts: &self.facts,
            desired: &self.desired,
            target_schema: self.schema,
            explicit_group_fields: &self.explicit,
            capabilities: &self.capabilities,
            losses: &[],
            new_custom_fields: &[],
            warnings: &[],
        })
    }

    /// Gives up the flags of protection that are not rosterd's to lift any more: the source
    /// shows it by now, or the target has lost it, and whoever sets it there again is somebody else
    /// (rule 2).
    pub(super) fn give_up_flags(&mut self, job: &JobConfig) -> Vec<Change> {
        let flag = |side: &Snapshot, id: &str| side.group(id).map(|group| group.protected);
        let mut changes = Vec::new();
        for link in self.base.groups.iter_mut().filter(|link| link.protect_set) {
            if flag(&self.sides.source, &link.source) == Some(true)
                || flag(&self.sides.target, &link.target) == Some(false)
            {
                link.protect_set = false;
                changes.push(Change::LinkGroup {
                    job: job.name.clone(),
                    link: link.clone(),
                });
            }
        }
        changes
    }

    /// Has contacts that rosterd took out of sight, and that have been seen since, count as the
    /// account's own: where one of them is gone later, somebody erased it.
    pub(super) fn seen_again(&self, job: &JobConfig) -> Vec<Change> {
        let seen = self.base.members.iter().filter(|link| {
            link.removed_by_us && self.planned.people.target_position(link.target).is_some()
        });
        seen.map(|link| Change::MemberRemovedByUs {
            job: job.name.clone(),
            target: self.planned.text(link.target).to_owned(),
            removed: false,
        })
        .collect()
    }

    /// Makes the report of a run that wrote nothing.
    pub(super) fn report(
        &self,
        job: &JobConfig,
        id: &str,
        started: Timestamp,
        finished: Timestamp,
        outcome: Outcome,
    ) -> RunReport {
        let plan = &self.planned.plan;
        let mut withheld_by_reason = BTreeMap::new();
        for withheld in &plan.withheld {
            *withheld_by_reason
                .entry(withheld.reason.as_str())
                .or_default() += 1;
        }
        RunReport {
            run: id.to_owned(),
            job: job.name.clone(),
            started,
            finished,
            outcome,
            summary: Summary::default(),
            withheld: plan.withheld.len() as u64,
            withheld_by_reason,
            blocked: plan.blocked.clone(),
            failures: Vec::new(),
            refusals: plan.refusals.clone(),
            waiting_opt_outs: plan.summary.opt_outs,
            requests: BTreeMap::new(),
            reads: self.sides.reads.clone(),
            warnings: plan.warnings.clone(),
            error: None,
            losses: plan.losses.clone(),
            accepted: self.planned.accepted.clone(),
        }
    }
}

/// Tells which blocked items are new to the failures: those that wait for their next attempt stand
/// there already.
pub(super) fn freshly_blocked<'a>(
    plan: &'a Plan,
    base: &'a Base,
) -> impl Iterator<Item = &'a Blocked> {
    plan.blocked.iter().filter(|blocked| {
        !base
            .waiting
            .values()
            .any(|words| blocked.detail.ends_with(words.as_str()))
    })
}

/// Tells what applying takes at the target, reading back included.
fn takes(target: &Handle, plan: &Plan, steps: &[Step], snapshot: &Snapshot) -> Takes {
    let mut takes = Takes::default();
    let mut shown_by = BTreeSet::new();
    for step in steps {
        takes += target.adapter.takes(step.load());
        shown_by.extend(step.shown_by());
    }
    let account = snapshot.members.len() as u64 + plan.summary.members_created;
    let profiles = plan.summary.members_created + plan.summary.members_updated;
    if profiles > 0 {
        takes.reads += target.adapter.predicted_profiles(profiles, account);
    }
    let groups = plan.summary.groups_created + plan.summary.groups_updated;
    if groups > 0 {
        takes.reads += target.adapter.predicted_groups(groups);
    }
    if !shown_by.is_empty() {
        let rows = |pair: &PairIx| {
            let listing = plan
                .pair(*pair)
                .target
                .as_deref()
                .and_then(|id| snapshot.listing(id));
            listing.map_or(0, |listing| listing.seen().rows.len() as u64)
        };
        let listed = shown_by.iter().map(rows).sum::<u64>() + plan.summary.memberships_added;
        takes.reads += target
            .adapter
            .predicted_check(shown_by.len() as u64, listed, account);
    }
    takes
}

/// Returns the measure to remember of a run that finished unrefused.
pub(super) fn measure(plan: &Plan) -> Measure {
    plan.measure
}
