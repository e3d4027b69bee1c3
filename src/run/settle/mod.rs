//! What became of an item: the third room.
//!
//! An item of a write is settled twice over: when it is read back in the run that sent it, and when
//! an interrupted run has left it open. Both go by the same looks at a group ([`membership::Seen`]), come to the
//! same verdicts and remember the same changes; [`confirm`] knows the plan, and [`recover`] only
//! what the journal kept of it.

mod bases;
mod confirm;
mod consent;
mod group;
mod item;
mod known;
mod membership;
mod newcomers;
mod recover;
mod standing;

pub(super) use bases::{is_written, spell, take_stored};
pub(super) use confirm::Confirming;
pub(super) use item::{Item, groups_of, groups_of_row, is_by_row, narrow};
pub(super) use known::{Known, RecentProfiles, SoFar};
pub(super) use newcomers::Newcomers;
pub(super) use recover::{
    Evidence, KnownGroups, adopt_created_groups, doubtful_addresses, forget_strays, settle_members,
    unlisted_groups,
};
pub(super) use standing::{
    Answer, BARRED, Newcomer, Parts, Standing, UNTOLD, look_at_row, parts, stands,
};
