//! What is remembered of a group once it is known for the partner of another.

use crate::config::settled::JobConfig;
use crate::model::{ObjectKind, Schema, Value};
use crate::plan::base::{GroupLink, Origin};
use crate::state::Change;

/// Links a group. One that was created holds the flag of protection where the config asks for that
/// or the source shows it (`shown`); where the provider has no place for the flag, it is carried.
///
/// The flag is rosterd's own to lift only where the source does not show it (rule 2).
pub(super) fn linked(
    job: &JobConfig,
    schema: &Schema,
    link: GroupLink,
    shown: bool,
) -> Vec<Change> {
    let created = link.origin == Origin::Created;
    let id = link.target.clone();
    let mut changes = vec![Change::LinkGroup {
        job: job.name.clone(),
        link: GroupLink {
            protect_set: created && job.groups.protect && !shown,
            ..link
        },
    }];
    let holds_flag = schema.by_canonical(ObjectKind::Group, "protected");
    if holds_flag.is_none() && created && (job.groups.protect || shown) {
        changes.push(Change::Carried {
            account: job.target_account.clone(),
            object: ObjectKind::Group,
            id,
            field: "protected".to_owned(),
            value: Some(Value::Boolean(true)),
        });
    }
    changes
}
