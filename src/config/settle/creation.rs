//! What a target needs of every new group.

use std::collections::BTreeMap;

use crate::config::settled::JobConfig;
use crate::model::{ObjectKind, ProviderKind};
use crate::provider::schema;

/// Names the defaults that the target needs before groups can be created there, and that nothing
/// stands in for.
pub(in crate::config) fn missing_defaults(
    job: &JobConfig,
    source: ProviderKind,
    target: ProviderKind,
    defaults: &BTreeMap<String, String>,
) -> Vec<&'static str> {
    if !may_create_groups(job) {
        return Vec::new();
    }
    let needed = schema(target).groups.iter().filter(|field| field.required);
    let uncovered = needed.filter(|field| {
        let mapped = job.map_group.contains_key(field.wire);
        let read = schema(source)
            .by_canonical(ObjectKind::Group, field.canonical)
            .is_some_and(|field| field.readable);
        !mapped && !read
    });
    uncovered
        .filter_map(|field| field.default_key)
        .filter(|key| !defaults.contains_key(*key))
        .collect()
}

/// Tells whether a job could come upon a group without a partner: unless every group in scope is
/// named by id and pinned.
fn may_create_groups(job: &JobConfig) -> bool {
    let settled = |pattern: &String| {
        pattern
            .strip_prefix("id:")
            .is_some_and(|id| job.groups.pin.contains_key(id.trim()))
    };
    !job.groups.include.iter().all(settled)
}
