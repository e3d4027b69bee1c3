//! What the source asks of the target's groups, and which groups these are.

use std::collections::{BTreeMap, BTreeSet};

use super::losses::Losses;
use crate::config::settled::JobConfig;
use crate::mapping::BoundMapping;
use crate::model::{Capabilities, Names, ObjectKind, Record, Schema, Snapshot, Value};
use crate::plan::base::Base;
use crate::plan::{DesiredGroup, Inputs, Loss, People, Policy, in_scope};
use crate::run::accounts::Runner;
use crate::run::read::Sides;

impl Runner {
    /// Gives created groups what the config says where the source has no value.
    pub(super) fn with_defaults(
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
                        .insert(field.wire.into(), Value::from(value.as_str()));
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
    job: &JobConfig,
    policy: &Policy,
    schema: &Schema,
) -> (BTreeMap<String, DesiredGroup>, Vec<Loss>) {
    let name_field = schema.group_name_field();
    let mut desired = BTreeMap::new();
    let mut losses = Losses::new(job, schema, mapping, ObjectKind::Group);
    for group in source
        .groups
        .seen()
        .iter()
        .filter(|group| in_scope(&policy.groups, group) && group.unread.is_none())
    {
        let mapped = mapping.group(&group.canonical);
        losses.meet(&group.canonical);
        for (field, value) in mapping.carried_fields(ObjectKind::Group, &group.canonical) {
            losses.without_a_home(&field, &value.words());
        }
        for (field, example) in mapping.ungranted(&group.canonical) {
            losses.ungranted(&field, &example);
        }
        let mut name_problem = None;
        for left in &mapped.left_out {
            if left.wire == name_field {
                name_problem = Some(format!(
                    "its name can't be written at the target: it is {}",
                    left.reason
                ));
            } else {
                losses.left_out(left);
            }
        }
        for (field, error) in &mapped.failed {
            losses.failed(field, error);
        }
        if name_problem.is_none() && !mapped.fields.contains_key(name_field) {
            name_problem = Some("it has no name".to_owned());
        }
        desired.insert(
            group.id.clone(),
            DesiredGroup {
                left_out: mapped.left_out_fields(),
                fields: mapped.fields,
                defaults: Record::new(),
                name_problem,
            },
        );
    }
    (desired, losses.finish())
}

/// Takes ids out of the wished-for values that name nothing at the target, and says so, once for
/// each id.
pub(super) fn leave_out_unknown(
    desired: &mut BTreeMap<String, DesiredGroup>,
    nameable: &BTreeMap<String, BTreeSet<String>>,
    target: &str,
) -> Vec<String> {
    let mut unknown: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for group in desired.values_mut() {
        for (field, ids) in nameable {
            let Some(Value::List(named)) = group.fields.get_mut(field.as_str()) else {
                continue;
            };
            for id in named.extract_if(.., |id| !ids.contains(id)) {
                *unknown.entry((field, id)).or_default() += 1;
            }
            if named.is_empty() {
                group.fields.remove(field.as_str());
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
        target_groups_unseen: false,
        base,
        people: &People::default(),
        facts: &BTreeMap::new(),
        desired,
        target_schema: schema,
        explicit_group_fields: &BTreeSet::new(),
        capabilities,
        losses: &[],
        undecided: None,
        new_custom_fields: &[],
        warnings: &[],
    })
}

/// Tells of pins to groups that exist nowhere: not in the whole list of an account, and not in what
/// is remembered of it. The other groups of the job go on.
pub(super) fn lost_pins(
    job: &JobConfig,
    policy: &Policy,
    sides: &Sides,
    base: &Base,
) -> Vec<String> {
    let is_missing = |snapshot: &Snapshot, shared: bool, id: &str| {
        !shared && snapshot.groups.complete().is_some() && snapshot.group(id).is_none()
    };
    let lost = |id: &str, provider: &str| {
        format!(
            "`jobs.{}.groups.pin` names {id}, and {provider} has no such group; correct it, or take it out.",
            job.name
        )
    };
    let mut warnings = Vec::new();
    for (source, target) in &job.groups.pin {
        if is_missing(&sides.source, policy.source_shared, source)
            && base.group_of_source(source).is_none()
        {
            warnings.push(lost(source, &job.source));
        }
        if is_missing(&sides.target, policy.target_shared, target)
            && base.group_of_target(target).is_none()
        {
            warnings.push(lost(target, &job.target));
        }
    }
    warnings
}

/// Says of each custom field whose definition can't be read that nothing is carried by it.
pub(super) fn unread_definitions(job: &JobConfig, mapping: &BoundMapping) -> Vec<String> {
    let providers = [&job.source, &job.target].into_iter();
    providers
        .zip(mapping.unread_custom())
        .flat_map(|(provider, names)| names.iter().map(move |name| (provider, name)))
        .map(|(provider, name)| {
            format!(
                "The definition of custom field {name:?} at {provider} can't be read, so its values are left alone and no custom field is created; type its name there anew."
            )
        })
        .collect()
}
