//! What planning the members of one pair of groups led to.

use super::people::PersonIx;
use super::{Blocked, Withheld};

/// What planning the members of one pair led to.
#[derive(Debug, Default)]
pub(super) struct PairPlan {
    pub(super) additions: Vec<PersonIx>,
    /// Additions of people whom rosterd itself took out in a way that shows as a refusal.
    pub(super) returns: Vec<PersonIx>,
    pub(super) removals: Vec<PersonIx>,
    /// Removals that stand in for a group opt-out that the target can't hold.
    pub(super) opt_out_removals: Vec<PersonIx>,
    /// Group opt-outs to write.
    pub(super) opt_outs: Vec<PersonIx>,
    /// People whose refusal the provider did not take and whose next attempt is not due.
    pub(super) waiting_opt_outs: Vec<PersonIx>,
    pub(super) withheld: Vec<Withheld>,
    pub(super) blocked: Vec<Blocked>,
    /// Additions that undo what somebody did at the target.
    pub(super) overwritten: Vec<PersonIx>,
    /// People who are kept out because somebody took them out at the target.
    pub(super) kept_out: Vec<PersonIx>,
    /// People whose group opt-out the target can't hold.
    pub(super) unheld_opt_outs: u64,
    /// Active memberships of the source.
    pub(super) source_active: u64,
    /// Memberships that the last run knew, of people of whom nobody can tell how they stand now.
    pub(super) source_kept: u64,
    /// Whether all of them were seen: a pair whose source is not read at all lacks none.
    pub(super) source_whole: bool,
    /// Active memberships of the target.
    pub(super) target_active: u64,
    pub(super) warnings: Vec<String>,
}
