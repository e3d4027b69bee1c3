//! Reads both sides of a job into snapshots: the second room.
//!
//! [`Runner::begin_reading`](super::Runner) logs in and reads the source, and the target follows,
//! group by group and person by person, or is remembered from an earlier run. What is looked at
//! again later, to find out what stands, is read by the same adapters. An account that is read for its
//! own sake, to be listed or copied, is no side of a job, and comes by `account`.

mod account;
mod again;
mod earlier;
mod groups;
mod mapping;
mod members;
mod named;
mod predict;
mod profiles;
mod remembered;
mod sides;
mod source;
mod target;

pub(in crate::run) use account::OneGroup;
pub use account::{AccountGroups, Everything, LinkedBy};
pub use predict::{FirstRun, Prediction};

pub(super) use again::{
    GroupNow, ProfilesNow, group_now, groups_and_profiles_now, groups_as_stored, groups_now,
    is_read_together, people_now, profiles_now,
};
pub(super) use groups::{GroupsToWrite, bare_snapshot, unmatched};
pub(super) use mapping::compile;
pub(super) use named::named_now;
pub(super) use profiles::{UNREAD, canonical, canonical_of, current, fields_base, read_sources};
pub(super) use remembered::{knows_details, knows_everybody, said, stands_as_compared};
pub(super) use sides::Sides;
pub(super) use source::{Begun, SourceMembers};
pub(super) use target::TargetSide;
