//! Which groups a plan puts away for good: each is looked at once more right before.

use std::collections::BTreeMap;

use super::Step;
use crate::plan::{Edit, PairIx, Plan};

/// The groups that a plan puts away for good, by what is done to them.
///
/// An ordinary archiving is none of it: it keeps whoever is in the group, and somebody may bring it
/// back. The one that takes a run back is for a group in which there is nobody but whom that run put
/// there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutAway(BTreeMap<PairIx, &'static str>);

impl PutAway {
    /// Finds them in a plan, which takes a run back or does not.
    pub fn of(plan: &Plan, undoes: bool) -> PutAway {
        let goes = |edit: &&Edit| match edit {
            Edit::DeleteGroup { .. } => true,
            Edit::ArchiveGroup { .. } => undoes,
            _ => false,
        };
        let edits = plan.operations.iter().filter(goes);
        PutAway(
            edits
                .filter_map(|edit| Some((edit.pair()?, edit.op())))
                .collect(),
        )
    }

    /// Returns what is done to a group, in the words of the plan format.
    pub fn op(&self, pair: PairIx) -> Option<&'static str> {
        self.0.get(&pair).copied()
    }

    /// Returns the group that a step puts away, or of which it lifts the protection for that.
    pub fn by(&self, step: &Step) -> Option<PairIx> {
        let pair = match step {
            Step::DeleteGroup { pair } => *pair,
            Step::EditGroups { edits, ops } => match (edits.as_slice(), ops.as_slice()) {
                ([(pair, _)], ["archive_group" | "lift_protection"]) => *pair,
                _ => return None,
            },
            _ => return None,
        };
        self.0.contains_key(&pair).then_some(pair)
    }
}
