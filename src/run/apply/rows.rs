//! Requests by row: each item names several groups, of which some may stand when others do not.

use std::collections::HashMap;

use super::check::Standing;
use super::{Applying, Item};
use crate::model::{Leaving, MembershipState, Write};
use crate::plan::PairIx;
use crate::run::verify::GroupNow;

/// What the provider shows instead of a membership that was asked for.
pub(super) const BARRED: &str = "the person is listed there as one who refuses, bounced or has not confirmed, and the provider leaves that as it is";

/// How the groups of one item stand.
#[derive(Debug, Default)]
pub(in crate::run) struct Parts {
    /// Those for which the item is done.
    pub(in crate::run) done: Vec<PairIx>,
    /// Those for which it is not.
    pub(super) missing: Vec<PairIx>,
    /// Those that the person can't join, because the provider lists them there in another state.
    pub(super) barred: Vec<PairIx>,
}

impl Item {
    /// Returns the item for some of its groups.
    pub(super) fn narrowed(&self, joins: &[PairIx]) -> Item {
        Item {
            joins: joins.to_vec(),
            ..self.clone()
        }
    }
}

/// Tells whether the items of a write are rows with groups of their own.
pub(super) fn is_by_row(write: &Write) -> bool {
    matches!(write, Write::JoinGroups { .. } | Write::LeaveGroups { .. })
}

/// Returns the groups that an item of a write names.
pub(super) fn groups_of_row(write: &Write, position: usize) -> Vec<String> {
    match write {
        Write::JoinGroups { rows } => rows[position].groups.clone(),
        Write::LeaveGroups { rows, .. } => rows[position].groups.clone(),
        Write::BringBack { rows } => vec![rows[position].removal().group().to_owned()],
        _ => Vec::new(),
    }
}

/// Drops all but the named groups of an item, in the write as well.
pub(super) fn narrow(write: &mut Write, items: &mut [Item], position: usize, kept: &[PairIx]) {
    let keep: Vec<bool> = items[position]
        .joins
        .iter()
        .map(|pair| kept.contains(pair))
        .collect();
    let groups = match write {
        Write::JoinGroups { rows } => &mut rows[position].groups,
        Write::LeaveGroups { rows, .. } => &mut rows[position].groups,
        _ => return,
    };
    let mut at = keep.iter();
    groups.retain(|_| *at.next().unwrap_or(&true));
    items[position].joins = kept.to_vec();
}

impl Applying<'_> {
    /// Looks what stands of one item by row, by id where it is known and by address else.
    pub(super) fn look_at_row(
        &self,
        write: &Write,
        position: usize,
        item: &Item,
        seen: &HashMap<String, GroupNow>,
    ) -> Standing {
        let address = item
            .person
            .map(|person| self.address(person))
            .unwrap_or_default();
        let mut standing = Standing {
            id: item.target_id.clone(),
            groups: Some(HashMap::new()),
            ..Standing::default()
        };
        for group in groups_of_row(write, position) {
            let Some(now) = seen.get(&group) else {
                continue;
            };
            let id = item.target_id.clone().or_else(|| {
                now.by_address
                    .get(&address)?
                    .first()
                    .map(|(id, _)| id.clone())
            });
            let state = id.as_ref().and_then(|id| now.by_id.get(id)).copied();
            let refused_at = id.as_ref().and_then(|id| now.refused_at.get(id)).copied();
            standing.id = standing.id.or(id);
            let groups = standing.groups.get_or_insert_default();
            // Nobody is known to have left a group that was not seen to its end.
            if state.is_some() || now.whole {
                groups.insert(group, (state, refused_at));
            }
        }
        standing
    }
}

/// Sorts the groups of an item by what stands of it.
pub(in crate::run) fn parts(
    write: &Write,
    position: usize,
    item: &Item,
    standing: &Standing,
) -> Parts {
    let mut parts = Parts::default();
    for (pair, group) in item
        .pair
        .iter()
        .chain(&item.joins)
        .zip(groups_of_row(write, position))
    {
        let Some(states) = &standing.groups else {
            parts.done.push(*pair);
            continue;
        };
        let to = match (write, states.get(&group).map(|(state, _)| *state)) {
            (_, None) => &mut parts.missing,
            (
                Write::LeaveGroups {
                    how: Leaving::OptOut,
                    ..
                },
                Some(state),
            ) => {
                if state == Some(MembershipState::OptedOut) {
                    &mut parts.done
                } else {
                    &mut parts.missing
                }
            }
            (Write::LeaveGroups { .. }, Some(state)) => {
                if state == Some(MembershipState::Active) {
                    &mut parts.missing
                } else {
                    &mut parts.done
                }
            }
            (_, Some(Some(MembershipState::Active))) => &mut parts.done,
            // Whoever is listed in any other state is never added (rule 1).
            (_, Some(state)) => {
                if state.is_some() {
                    &mut parts.barred
                } else {
                    &mut parts.missing
                }
            }
        };
        to.push(*pair);
    }
    parts
}
