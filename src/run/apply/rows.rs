//! Requests by row: each item names several groups, of which some may stand when others do not.

use std::collections::HashMap;

use super::check::Standing;
use super::{Applying, Item};
use crate::model::{Leaving, MembershipState, Write};
use crate::plan::PairIx;
use crate::run::read::GroupNow;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MemberJoin, MemberLeave, MemberReturn, OwnRemovals, Record};

    fn item(op: &'static str, pair: Option<PairIx>, joins: &[PairIx]) -> Item {
        Item {
            op,
            pair,
            joins: joins.to_vec(),
            person: None,
            target_id: Some("1".into()),
            detail: None,
        }
    }

    /// Sorts one group that shows `state` of the person; nothing at all where it was not seen.
    #[expect(
        clippy::option_option,
        reason = "not looked at, not listed, or listed in a state"
    )]
    fn sorted(write: &Write, state: Option<Option<MembershipState>>) -> &'static str {
        let item = match write {
            Write::BringBack { .. } => item("add_memberships", Some(PairIx(0)), &[]),
            _ => item("row", None, &[PairIx(0)]),
        };
        let groups = state.map(|state| ("g".to_owned(), (state, None)));
        let standing = Standing {
            groups: Some(groups.into_iter().collect()),
            ..Standing::default()
        };
        let parts = parts(write, 0, &item, &standing);
        match (
            parts.done.as_slice(),
            parts.missing.as_slice(),
            parts.barred.as_slice(),
        ) {
            ([PairIx(0)], [], []) => "done",
            ([], [PairIx(0)], []) => "missing",
            ([], [], [PairIx(0)]) => "barred",
            other => panic!("one group, once: {other:?}"),
        }
    }

    fn leave(how: Leaving) -> Write {
        let row = MemberLeave {
            id: Some("1".into()),
            address: "ana@example.org".into(),
            fields: Record::new(),
            groups: vec!["g".into()],
        };
        let rows = vec![row];
        Write::LeaveGroups { rows, how }
    }

    #[test]
    fn only_what_a_group_shows_says_that_a_row_is_done() {
        use MembershipState::{Active, Bounced, OptedOut, Unconfirmed};

        let join = Write::JoinGroups {
            rows: vec![MemberJoin {
                id: Some("1".into()),
                address: "ana@example.org".into(),
                fields: Record::new(),
                groups: vec!["g".into()],
            }],
        };
        let mut own = OwnRemovals::default();
        own.recall("g".into(), "1".into(), None, 0);
        let back = Write::BringBack {
            rows: vec![MemberReturn::of(own.get("g", "1").unwrap().clone())],
        };
        let shown = [
            None,
            Some(None),
            Some(Some(Active)),
            Some(Some(Unconfirmed)),
            Some(Some(Bounced)),
            Some(Some(OptedOut)),
        ];
        let add = ["missing", "missing", "done", "barred", "barred", "barred"];
        let remove = ["missing", "done", "missing", "done", "done", "done"];
        // A refusal is written once the group shows it, and being out of the group is none.
        let refuse = [
            "missing", "missing", "missing", "missing", "missing", "done",
        ];
        for (write, expected) in [
            (join, add),
            (back, add),
            (leave(Leaving::Remove), remove),
            (leave(Leaving::Detach), remove),
            (leave(Leaving::OptOut), refuse),
        ] {
            assert_eq!(
                shown.map(|state| sorted(&write, state)),
                expected,
                "{write:?}"
            );
        }
    }

    #[test]
    fn of_a_row_with_several_groups_each_is_settled_by_itself() {
        let mut write = leave(Leaving::OptOut);
        let Write::LeaveGroups { rows, .. } = &mut write else {
            unreachable!()
        };
        rows[0].groups = vec!["g".into(), "h".into(), "i".into()];
        let pairs = [PairIx(0), PairIx(1), PairIx(2)];
        let mut items = vec![item("set_opt_out", None, &pairs)];
        let standing = Standing {
            groups: Some(HashMap::from([
                ("g".to_owned(), (Some(MembershipState::Active), None)),
                ("h".to_owned(), (Some(MembershipState::OptedOut), None)),
            ])),
            ..Standing::default()
        };
        let parts = parts(&write, 0, &items[0], &standing);
        assert_eq!(parts.done, [PairIx(1)]);
        assert_eq!(parts.missing, [PairIx(0), PairIx(2)]);
        narrow(&mut write, &mut items, 0, &parts.missing);
        assert_eq!(groups_of_row(&write, 0), ["g", "i"]);
        assert_eq!(items[0].joins, [PairIx(0), PairIx(2)]);
    }
}
