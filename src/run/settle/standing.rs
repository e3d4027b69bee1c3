//! How an item of a write stands at the provider.

use std::collections::HashMap;

use super::item::{Item, groups_of_row, is_by_row};
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
    /// What the groups of the item show of the person, with the time of a refusal; what is known of
    /// no group is missing. Nothing where the item stands as asked for.
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

    /// Nobody was found, where not everything was read.
    pub(in crate::run) fn untold() -> Standing {
        Standing {
            groups: Some(HashMap::new()),
            ..Standing::default()
        }
    }

    /// Tells whether nothing at all is known of the item.
    pub(in crate::run) fn is_untold(&self) -> bool {
        self.id.is_none() && self.groups.as_ref().is_some_and(HashMap::is_empty)
    }

    /// Adds what another group shows of somebody: of several states the strictest counts, and what can't
    /// be told of one can't be told.
    pub(in crate::run) fn with(self, other: Standing) -> Standing {
        Standing {
            id: other.id.or(self.id),
            status: other.status.max(self.status),
            groups: other.groups.or(self.groups),
            ..other
        }
    }

    /// Somebody found in a group by the address, as the membership shows the person; of whom nobody
    /// can tell how they stand is there, and perhaps in another group. Nothing where the group shows
    /// that nobody is there. Of several contacts the strictest counts.
    pub(in crate::run) fn created_in(group: &GroupNow, address: &str) -> Option<Standing> {
        let people = group.by_address.get(address).map_or(&[][..], Vec::as_slice);
        let untold = |id: &str| {
            Some(Standing {
                groups: Some(HashMap::new()),
                ..Standing::of(id)
            })
        };
        if let Some((id, _)) = people.iter().find(|(id, _)| group.uncertain.contains(id)) {
            return untold(id);
        }
        let Some((id, state)) = people.iter().max_by_key(|(_, state)| *state) else {
            return (!group.whole).then(Standing::untold);
        };
        let status = match *state {
            // Neither mailed nor known to refuse.
            MembershipState::Unconfirmed => return untold(id),
            MembershipState::Active => MemberStatus::Active,
            MembershipState::Bounced => MemberStatus::Bounced,
            MembershipState::OptedOut => MemberStatus::OptedOut,
        };
        Some(Standing::of_person(id, status))
    }
}

/// What the groups of a creation show of one person, one after the other.
#[derive(Debug, Default)]
pub(in crate::run) struct Newcomer {
    found: Option<Standing>,
    is_missing: bool,
}

impl Newcomer {
    pub(in crate::run) fn see(&mut self, group: &GroupNow, address: &str) {
        match Standing::created_in(group, address) {
            Some(row) => {
                self.found = Some(match self.found.take() {
                    Some(before) => before.with(row),
                    None => row,
                });
            }
            None => self.is_missing = true,
        }
    }

    /// Returns how the person stands: done means listed in every group. Nothing of somebody who is not
    /// there, or not everywhere, and may be asked for once more: whoever refuses one group, or may, is
    /// not, however surely another one lacks them.
    pub(in crate::run) fn standing(self) -> Option<Standing> {
        let found = self.found?;
        if !self.is_missing {
            return Some(found);
        }
        let refuses = found
            .status
            .is_some_and(|status| status != MemberStatus::Active);
        (refuses || found.groups.is_some()).then(|| Standing {
            groups: Some(HashMap::new()),
            ..found
        })
    }
}

/// What the provider shows instead of a membership that was asked for.
pub(in crate::run) const BARRED: &str = "the person is listed there as one who refuses, bounced or has not confirmed, and the provider leaves that as it is";

/// What is said where nobody can tell what came of a request.
pub(in crate::run) const UNTOLD: &str =
    "sent, and nobody can tell how the person stands there now; the next run looks again";

/// How the groups of one item stand.
#[derive(Debug, Default)]
pub(in crate::run) struct Parts {
    /// Those for which the item is done.
    pub(in crate::run) done: Vec<PairIx>,
    /// Those for which it is not.
    pub(in crate::run) missing: Vec<PairIx>,
    /// Those that the person can't join, because the provider lists them there in another state.
    pub(in crate::run) barred: Vec<PairIx>,
    /// Those of which that can't be told.
    pub(in crate::run) untold: Vec<PairIx>,
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
            Verdict::Missing => &mut parts.missing,
            // A refusal that is written twice harms nobody, and one that waits may.
            Verdict::Unread if aim == Aim::Refuse => &mut parts.missing,
            Verdict::Unread => &mut parts.untold,
            Verdict::Barred => &mut parts.barred,
        };
        to.push(*pair);
    }
    parts
}

/// Looks what stands of one item, by id where it is known and by address else.
pub(in crate::run) fn look_at_row(
    write: &Write,
    position: usize,
    item: &Item,
    address: &str,
    seen: &HashMap<String, GroupNow>,
) -> Standing {
    let aim = Aim::of(write);
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
        let is_untold = id.as_ref().is_some_and(|id| now.uncertain.contains(id));
        let is_told = now.whole || id.as_ref().is_some_and(|id| now.tells_of(id));
        standing.id = standing.id.or(id);
        let groups = standing.groups.get_or_insert_default();
        // Nobody is known to have left a group that was not seen to its end, except where leaving
        // shows as a refusal in the row itself, or the answer to a question about them says so.
        let is_known = match state {
            Some(MembershipState::Active) => true,
            Some(_) => aim != Aim::Leave || is_by_row(write) || is_told,
            None => is_told,
        };
        if is_known && !is_untold {
            groups.insert(group, (state, refused_at));
        }
    }
    standing
}

/// Looks whether an item stands in what was listed, or may: of an item for several groups a part
/// may.
pub(in crate::run) fn stands(
    write: &Write,
    position: usize,
    item: &Item,
    address: Option<&str>,
    seen: &HashMap<String, GroupNow>,
) -> Option<Standing> {
    match write {
        Write::AddMemberships { .. }
        | Write::RemoveMemberships { .. }
        | Write::OptOutOfGroups { .. }
        | Write::JoinGroups { .. }
        | Write::LeaveGroups { .. }
        | Write::BringBack { .. } => {
            let standing = look_at_row(write, position, item, address.unwrap_or_default(), seen);
            let row = parts(write, position, item, &standing);
            let is_missing = row.done.is_empty() && row.barred.is_empty() && row.untold.is_empty();
            (!is_missing).then_some(standing)
        }
        Write::CreateMembers { join, .. } => {
            let address = address?;
            let mut shown = Newcomer::default();
            for group in join {
                shown.see(seen.get(group)?, address);
            }
            shown.standing()
        }
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
            parts.untold.as_slice(),
        ) {
            ([PairIx(0)], [], [], []) => "done",
            ([], [PairIx(0)], [], []) => "missing",
            ([], [], [PairIx(0)], []) => "barred",
            ([], [], [], [PairIx(0)]) => "untold",
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
        let add = ["untold", "missing", "done", "barred", "barred", "barred"];
        let remove = ["untold", "done", "missing", "done", "done", "done"];
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
    fn whoever_was_added_is_a_member_only_where_the_group_shows_that() {
        use MembershipState::{Active, OptedOut, Unconfirmed};

        let write = Write::AddMemberships {
            group: "g".to_owned(),
            members: vec!["1".to_owned()],
        };
        let item = item("add_memberships", Some(PairIx(0)), &[]);
        let kinds = |state: Option<MembershipState>, whole: bool, is_uncertain: bool| {
            let mut now = GroupNow::unread(String::new());
            now.whole = whole;
            now.by_id.extend(state.map(|state| ("1".to_owned(), state)));
            now.uncertain.extend(is_uncertain.then(|| "1".to_owned()));
            let seen = HashMap::from([("g".to_owned(), now)]);
            let standing = stands(&write, 0, &item, None, &seen)?;
            let row = parts(&write, 0, &item, &standing);
            Some([&row.done, &row.missing, &row.barred, &row.untold].map(Vec::len))
        };
        assert_eq!(kinds(Some(Active), false, false), Some([1, 0, 0, 0]));
        assert_eq!(kinds(Some(OptedOut), true, false), Some([0, 0, 1, 0]));
        assert_eq!(kinds(Some(Unconfirmed), true, true), Some([0, 0, 0, 1]));
        assert_eq!(kinds(None, false, false), Some([0, 0, 0, 1]));
        assert_eq!(kinds(None, true, false), None);
    }

    /// Whoever refuses one group, or may, is not asked for once more because another one lacks them.
    #[test]
    fn a_newcomer_stands_as_the_strictest_of_the_groups_shows() {
        use MembershipState::{Active, Bounced, OptedOut, Unconfirmed};

        const ANA: &str = "ana@example.org";
        let group = |states: &[MembershipState], whole: bool| {
            let mut now = GroupNow::unread(String::new());
            now.whole = whole;
            let people = states.iter().enumerate();
            let people = people.map(|(at, state)| (at.to_string(), *state)).collect();
            now.by_address.insert(ANA.to_owned(), people);
            now
        };
        let standing = |groups: &[GroupNow]| {
            let mut newcomer = Newcomer::default();
            for group in groups {
                newcomer.see(group, ANA);
            }
            let standing = newcomer.standing()?;
            Some((standing.id, standing.status, standing.groups.is_some()))
        };
        let (lacks, unread) = (group(&[], true), group(&[], false));
        let active = group(&[Active], true);
        assert_eq!(standing(std::slice::from_ref(&lacks)), None);
        let done = Some((Some("0".to_owned()), Some(MemberStatus::Active), false));
        assert_eq!(standing(&[active.clone(), active.clone()]), done);
        // Once more does no harm.
        assert_eq!(standing(&[lacks.clone(), active.clone()]), None);
        for other in [&lacks, &active] {
            for (shown, id, status) in [
                (&[Active, OptedOut][..], "1", Some(MemberStatus::OptedOut)),
                (&[Bounced], "0", Some(MemberStatus::Bounced)),
            ] {
                let shown = group(shown, true);
                for groups in [[other.clone(), shown.clone()], [shown, other.clone()]] {
                    let (_, found, _) = standing(&groups).unwrap();
                    assert_eq!(found, status, "{id}");
                }
            }
            for shown in [&group(&[Unconfirmed], true), &unread] {
                for groups in [
                    [other.clone(), shown.clone()],
                    [shown.clone(), other.clone()],
                ] {
                    let (_, _, is_untold) = standing(&groups).unwrap();
                    assert!(is_untold);
                }
            }
        }
    }

    #[test]
    fn of_a_row_with_several_groups_each_is_settled_by_itself() {
        let mut write = leave(Leaving::Remove);
        let Write::LeaveGroups { rows, .. } = &mut write else {
            unreachable!()
        };
        rows[0].groups = vec!["g".into(), "h".into(), "i".into()];
        let pairs = [PairIx(0), PairIx(1), PairIx(2)];
        let mut items = vec![item("remove_memberships", None, &pairs)];
        let standing = Standing {
            groups: Some(HashMap::from([
                ("g".to_owned(), (Some(MembershipState::Active), None)),
                ("h".to_owned(), (Some(MembershipState::OptedOut), None)),
            ])),
            ..Standing::default()
        };
        let parts = parts(&write, 0, &items[0], &standing);
        assert_eq!(parts.done, [PairIx(1)]);
        assert_eq!(parts.missing, [PairIx(0)]);
        assert_eq!(parts.untold, [PairIx(2)]);
        narrow(&mut write, &mut items, 0, &[PairIx(0), PairIx(2)]);
        assert_eq!(groups_of_row(&write, 0), ["g", "i"]);
        assert_eq!(items[0].joins, [PairIx(0), PairIx(2)]);
    }
}
