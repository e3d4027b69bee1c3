//! Both sides of a job as they were read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::mapping::BoundMapping;
use crate::model::{Certificate, CustomFields, GroupRow, Names, Snapshot, TotalMeanings};
use crate::state::Staging;

/// Both sides as they were read, with what it takes to look further into them.
pub(in crate::run) struct Sides {
    pub(in crate::run) names: Arc<Names>,
    pub(in crate::run) source: Snapshot,
    pub(in crate::run) target: Snapshot,
    pub(in crate::run) source_staging: Staging,
    /// Whether anything is remembered of people of the source that it can't hold itself.
    pub(in crate::run) source_carries: bool,
    pub(in crate::run) target_staging: Staging,
    pub(in crate::run) mapping: BoundMapping,
    pub(in crate::run) target_custom: CustomFields,
    /// The target's groups as the adapter returned them, for reading some of them again.
    pub(in crate::run) target_rows: BTreeMap<String, GroupRow>,
    pub(in crate::run) meanings: Vec<(String, BTreeSet<TotalMeanings>)>,
    pub(in crate::run) warnings: Vec<String>,
    /// Requests that reading took, by provider.
    pub(in crate::run) reads: BTreeMap<String, u64>,
    /// When the reading of each of the target's listings began, by the group's id; nothing of a
    /// remembered one.
    pub(in crate::run) target_listed_at: BTreeMap<String, Instant>,
    /// The evidence of the target's list of groups.
    pub(in crate::run) target_certificate: Certificate,
    /// The time of day at which reading the target began.
    pub(in crate::run) target_read_time: Timestamp,
    /// Whether the target was not read in this run, but is as an earlier one remembered it.
    pub(in crate::run) target_remembered: bool,
    /// Whether the target shows neither groups nor people, and is only believed to have none.
    pub(in crate::run) target_groups_unseen: bool,
    /// Of the mapped fields with ids of other objects, those that the target's groups may name;
    /// nothing of a remembered target.
    pub(in crate::run) nameable: BTreeMap<String, BTreeSet<String>>,
    /// The fingerprint of the mapping, which entered those of the profiles.
    pub(in crate::run) salt: String,
}
