//! How somebody stands in a group, what that says of a request that was to change it, and whose
//! doing it is: decided in one way for what is read back and for what is recovered.

use super::standing::{Answer, Shown};
use crate::config::settled::JobConfig;
use crate::model::{Leaving, MembershipState, Write};
use crate::run::read::GroupNow;
use crate::state::Change;

/// What a group is known to show of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Listed(MembershipState),
    /// Not listed, in a listing that was read to its end.
    Absent,
    /// The group itself is no more.
    Gone,
    /// Not found, where not everything was read.
    Unread,
}

impl Seen {
    /// What a listing shows in which somebody was looked for.
    pub(super) fn of(state: Option<MembershipState>, whole: bool) -> Seen {
        match state {
            Some(state) => Seen::Listed(state),
            None if whole => Seen::Absent,
            None => Seen::Unread,
        }
    }

    /// What a group that was read again shows of a contact. That nobody can tell how somebody stands
    /// settles nothing, neither that they came nor that they left.
    pub(super) fn now(group: &GroupNow, id: &str) -> Seen {
        if group.uncertain.contains(id) {
            return Seen::Unread;
        }
        Seen::of(group.by_id.get(id).copied(), group.whole)
    }

    /// What a group that was read again shows of the contacts with an address: the strictest of them.
    pub(super) fn now_at(group: &GroupNow, address: &str) -> Seen {
        let contacts = group.by_address.get(address).into_iter().flatten();
        if contacts.clone().any(|(id, _)| group.uncertain.contains(id)) {
            return Seen::Unread;
        }
        Seen::of(contacts.map(|(_, state)| *state).max(), group.whole)
    }
}

/// What a request was to bring about in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    Join,
    Leave,
    Refuse,
}

/// What is to be said of a request in one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    Missing,
    /// It can't be done: whoever is listed in any other state is never added (rule 1).
    Barred,
    Unread,
}

impl Aim {
    /// Returns what a write is for; whatever is no removal and no refusal lets people join.
    pub(super) fn of(write: &Write) -> Aim {
        match write {
            Write::OptOutOfGroups { .. }
            | Write::LeaveGroups {
                how: Leaving::OptOut,
                ..
            } => Aim::Refuse,
            Write::RemoveMemberships { .. } | Write::LeaveGroups { .. } => Aim::Leave,
            _ => Aim::Join,
        }
    }

    /// Judges what a group shows. A refusal is written once the group shows it, and being out of the
    /// group is none.
    pub(super) fn judge(self, seen: Seen) -> Verdict {
        use MembershipState::{Active, OptedOut};

        match (self, seen) {
            (_, Seen::Unread) => Verdict::Unread,
            (Aim::Join, Seen::Listed(Active))
            | (Aim::Leave, Seen::Absent)
            | (Aim::Refuse, Seen::Listed(OptedOut)) => Verdict::Done,
            (Aim::Leave, Seen::Listed(state)) if state != Active => Verdict::Done,
            (Aim::Join, Seen::Listed(_)) => Verdict::Barred,
            _ => Verdict::Missing,
        }
    }
}

/// Tells whether a removal that is done is rosterd's own doing, and when the refusal is dated that
/// it shows as. What shows as a refusal is rosterd's only where the provider said yes to rosterd's
/// own request (rule 1).
#[expect(
    clippy::option_option,
    reason = "no claim, a claim without a date, or one with a date"
)]
pub(super) fn claim_of(how: Leaving, answer: Answer, shown: Option<Shown>) -> Option<Option<i64>> {
    match shown {
        _ if answer != Answer::Yes => None,
        Some((Some(MembershipState::OptedOut), refused_at)) => Some(refused_at),
        Some(_) => None,
        // Without a look at it a removal shows as it usually does.
        None => (how == Leaving::Remove).then_some(None),
    }
}

/// Remembers that a contact is out of a group by nobody's doing of rosterd's.
pub(super) fn disclaimed(job: &JobConfig, group: &str, member: &str) -> Change {
    Change::OwnRemovalEnded {
        account: job.target_account.clone(),
        group: group.to_owned(),
        member: member.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_not_read_to_its_end_settles_anything() {
        use MembershipState::{Active, Bounced, OptedOut, Unconfirmed};

        for aim in [Aim::Join, Aim::Leave, Aim::Refuse] {
            assert_eq!(aim.judge(Seen::of(None, false)), Verdict::Unread);
            // What a group that is gone does not show was not done there.
            assert_eq!(aim.judge(Seen::Gone), Verdict::Missing);
        }
        for state in [Unconfirmed, Bounced, OptedOut] {
            assert_eq!(Aim::Join.judge(Seen::Listed(state)), Verdict::Barred);
            assert_eq!(Aim::Leave.judge(Seen::Listed(state)), Verdict::Done);
        }
        assert_eq!(Aim::Leave.judge(Seen::Listed(Active)), Verdict::Missing);
        assert_eq!(Aim::Refuse.judge(Seen::Absent), Verdict::Missing);
    }

    #[test]
    fn a_removal_is_claimed_only_with_the_providers_yes() {
        use MembershipState::{Active, OptedOut};

        let shown = [
            None,
            Some((Some(OptedOut), Some(7))),
            Some((Some(Active), None)),
            Some((None, None)),
        ];
        for shown in shown {
            assert_eq!(claim_of(Leaving::Remove, Answer::Lost, shown), None);
            assert_eq!(claim_of(Leaving::Remove, Answer::Objection, shown), None);
        }
        let yes = |how| shown.map(|shown| claim_of(how, Answer::Yes, shown));
        let dated = Some(Some(7));
        assert_eq!(yes(Leaving::Remove), [Some(None), dated, None, None]);
        assert_eq!(yes(Leaving::Detach), [None, dated, None, None]);
    }
}
