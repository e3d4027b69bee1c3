//! One item of a write, and the groups that it is for.
//!
//! In requests by row each item names several groups, of which some may stand when others do not.

use std::collections::BTreeSet;

use crate::model::Write;
use crate::plan::{PairIx, PersonIx};

/// One item of a write, in the words of the plan.
#[derive(Clone, Debug)]
pub(in crate::run) struct Item {
    pub(in crate::run) op: &'static str,
    pub(in crate::run) pair: Option<PairIx>,
    /// The groups that the item is for, where there are several: of a creation, an opt-out, or a
    /// row of a request by row.
    pub(in crate::run) joins: Vec<PairIx>,
    pub(in crate::run) person: Option<PersonIx>,
    pub(in crate::run) target_id: Option<String>,
    /// What else identifies it, such as the name of a created group.
    pub(in crate::run) detail: Option<String>,
}

impl Item {
    /// Returns the item for some of its groups.
    pub(in crate::run) fn narrowed(&self, kept: &[PairIx]) -> Item {
        let mut item = self.clone();
        item.pair = item.pair.filter(|pair| kept.contains(pair));
        item.joins.retain(|pair| kept.contains(pair));
        item
    }

    /// Returns the groups that the item is for, or nothing once where it is for the whole account.
    pub(in crate::run) fn scopes(&self) -> Vec<Option<PairIx>> {
        let groups = self.joins.iter().copied().chain(self.pair).map(Some);
        let mut scopes: Vec<Option<PairIx>> = groups.collect();
        if scopes.is_empty() {
            scopes.push(None);
        }
        scopes
    }
}

/// Tells whether the items of a write are rows with groups of their own.
pub(in crate::run) fn is_by_row(write: &Write) -> bool {
    matches!(write, Write::JoinGroups { .. } | Write::LeaveGroups { .. })
}

/// Returns the groups that an item of a write is for, in the order of the item's own.
pub(in crate::run) fn groups_of_row(write: &Write, position: usize) -> Vec<String> {
    match write {
        Write::CreateMembers { join, .. } => join.clone(),
        Write::AddMemberships { group, .. } | Write::RemoveMemberships { group, .. } => {
            vec![group.clone()]
        }
        Write::OptOutOfGroups { groups, .. } => groups.clone(),
        Write::JoinGroups { rows } => rows[position].groups.clone(),
        Write::LeaveGroups { rows, .. } => rows[position].groups.clone(),
        Write::BringBack { rows } => vec![rows[position].removal().group().to_owned()],
        _ => Vec::new(),
    }
}

/// Drops all but the named groups of an item, in the write as well.
pub(in crate::run) fn narrow(
    write: &mut Write,
    items: &mut [Item],
    position: usize,
    kept: &[PairIx],
) {
    let keep: Vec<bool> = items[position]
        .joins
        .iter()
        .map(|pair| kept.contains(pair))
        .collect();
    let groups = match write {
        Write::JoinGroups { rows } => &mut rows[position].groups,
        Write::LeaveGroups { rows, .. } => &mut rows[position].groups,
        Write::OptOutOfGroups { groups, .. } => groups,
        _ => return,
    };
    let mut at = keep.iter();
    groups.retain(|_| *at.next().unwrap_or(&true));
    items[position].joins.retain(|pair| kept.contains(pair));
}

/// Returns the groups whose listings show whether a write was done.
pub(in crate::run) fn groups_of(write: &Write) -> Vec<String> {
    // Only requests by row name other groups for each item.
    let positions = match write {
        Write::JoinGroups { .. } | Write::LeaveGroups { .. } | Write::BringBack { .. } => {
            write.items()
        }
        _ => write.items().min(1),
    };
    let all: BTreeSet<String> = (0..positions)
        .flat_map(|position| groups_of_row(write, position))
        .collect();
    all.into_iter().collect()
}
