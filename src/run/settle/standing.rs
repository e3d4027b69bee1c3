//! How an item of a write stands at the provider.

use std::collections::HashMap;

use super::item::{Item, groups_of_row};
use super::membership::{Aim, Seen, Verdict};
use crate::model::{MemberStatus, MembershipState, Write};
use crate::plan::PairIx;
use crate::run::read::GroupNow;

/// What a group shows of a person, with the time of a refusal in seconds since 1970.
pub(in crate::run) type Shown = (Option<MembershipState>, Option<i64>);

/// How an item stands at the provider.
#[derive(Clone, Debug, Default)]
pub(in crate::run) struct Standing {
    /// The id of what was created, or of the person, where it shows.
    pub(in crate::run) id: Option<String>,
    /// How the person stands, where one was created.
    pub(in crate::run) status: Option<MemberStatus>,
    /// Of an item by row: what its groups show of the person, with the time of a refusal. Nothing
    /// where it stands as asked for.
    pub(in crate::run) groups: Option<HashMap<String, Shown>>,
    /// What the provider said of it.
    pub(in crate::run) answer: Answer,
}

/// What the provider said of an item of rosterd's own request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::run) enum Answer {
    /// Nothing that arrived: what shows may be anybody's doing.
    #[default]
    Lost,
    /// Yes.
    Yes,
    /// Something against it: what shows was there before.
    Objection,
}

impl Answer {
    /// Tells whether a membership that stands was brought by rosterd. Somebody of whom the provider
    /// says that they were there before was not; where its answer was lost, the listing before the
    /// request decides.
    pub(super) fn brought(self, was_absent: impl FnOnce() -> bool) -> bool {
        match self {
            Answer::Yes => true,
            Answer::Objection => false,
            Answer::Lost => was_absent(),
        }
    }
}

impl Standing {
    pub(in crate::run) fn of(id: &str) -> Standing {
        Standing {
            id: Some(id.to_owned()),
            ..Standing::default()
        }
    }

    pub(in crate::run) fn of_person(id: &str, status: MemberStatus) -> Standing {
        Standing {
            status: Some(status),
            ..Standing::of(id)
        }
    }

    /// Somebody found in a group, as the membership shows the person.
    pub(in crate::run) fn of_member(id: &str, state: MembershipState) -> Standing {
        let status = match state {
            MembershipState::Active | MembershipState::Unconfirmed => MemberStatus::Active,
            MembershipState::Bounced => MemberStatus::Bounced,
            MembershipState::OptedOut => MemberStatus::OptedOut,
        };
        Standing::of_person(id, status)
    }
}

/// What the provider shows instead of a membership that was asked for.
pub(in crate::run) const BARRED: &str = "the person is listed there as one who refuses, bounced or has not confirmed, and the provider leaves that as it is";

/// How the groups of one item stand.
#[derive(Debug, Default)]
pub(in crate::run) struct Parts {
    /// Those for which the item is done.
    pub(in crate::run) done: Vec<PairIx>,
    /// Those for which it is not.
    pub(in crate::run) missing: Vec<PairIx>,
    /// Those that the person can't join, because the provider lists them there in another state.
    pub(in crate::run) barred: Vec<PairIx>,
}

/// Sorts the groups of an item by what stands of it.
pub(in crate::run) fn parts(
    write: &Write,
    position: usize,
    item: &Item,
    standing: &Standing,
) -> Parts {
    let aim = Aim::of(write);
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
        let seen = match states.get(&group) {
            None => Seen::Unread,
            Some((state, _)) => Seen::of(*state, true),
        };
        let to = match aim.judge(seen) {
            Verdict::Done => &mut parts.done,
            Verdict::Missing | Verdict::Unread => &mut parts.missing,
            Verdict::Barred => &mut parts.barred,
        };
        to.push(*pair);
    }
    parts
}

/// Looks what stands of one item by row, by id where it is known and by address else.
pub(in crate::run) fn look_at_row(
    write: &Write,
    position: usize,
    item: &Item,
    address: &str,
    seen: &HashMap<String, GroupNow>,
) -> Standing {
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
                .get(address)?
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

/// Looks whether an item stands in what was listed; of an item by row a part may.
pub(in crate::run) fn stands(
    write: &Write,
    position: usize,
    item: &Item,
    address: Option<&str>,
    seen: &HashMap<String, GroupNow>,
) -> Option<Standing> {
    let aim = Aim::of(write);
    match write {
        Write::JoinGroups { .. } | Write::LeaveGroups { .. } | Write::BringBack { .. } => {
            let standing = look_at_row(write, position, item, address.unwrap_or_default(), seen);
            let row = parts(write, position, item, &standing);
            (!row.done.is_empty() || !row.barred.is_empty()).then_some(standing)
        }
        Write::CreateMembers { join, .. } => {
            let address = address?;
            let mut found = Standing::default();
            for group in join {
                let (id, state) = seen.get(group)?.by_address.get(address)?.first()?;
                found = Standing::of_member(id, *state);
            }
            Some(found)
        }
        Write::AddMemberships { group, members } => {
            let verdict = aim.judge(Seen::now(seen.get(group)?, &members[position]));
            verdict.is_over().then(Standing::default)
        }
        Write::RemoveMemberships { group, members } => {
            let now = seen.get(group)?;
            let verdict = aim.judge(Seen::now(now, &members[position]));
            (now.whole && verdict.is_over()).then(Standing::default)
        }
        Write::OptOutOfGroups { member, groups } => groups
            .iter()
            .all(|group| {
                seen.get(group)
                    .is_some_and(|now| aim.judge(Seen::now(now, member)) == Verdict::Done)
            })
            .then(Standing::default),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Leaving, MemberJoin, MemberLeave, MemberReturn, OwnRemovals, Record};
    use crate::run::settle::item::narrow;

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
