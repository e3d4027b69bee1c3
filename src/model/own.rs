//! Removals that show as refusals: told from a refusal of the person's own by remembering them.

use std::collections::BTreeMap;

/// The proof that rosterd itself took somebody out of a group in a way that shows as a refusal, and
/// that nothing seen since says otherwise.
///
/// Only what is remembered hands it out, so that a [`super::Write`] that brings somebody back can't
/// be made up (rule 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRemoval {
    group: String,
    member: String,
    shown: Option<i64>,
    since: i64,
}

impl OwnRemoval {
    /// Returns the group's id.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Returns the person's id.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// Tells whether a membership that shows as refused is still the one that rosterd left, by the
    /// time of the refusal as the provider shows it, in seconds since 1970.
    ///
    /// A provider that shows no time gives no sign of another refusal.
    pub fn still_fits(&self, shown: Option<i64>) -> bool {
        match (self.shown, shown) {
            (_, None) => true,
            (Some(then), Some(now)) => then == now,
            // Nothing was shown when it was written, so a time that lies after it is of something
            // else.
            (None, Some(now)) => now <= self.since,
        }
    }
}

/// What is remembered of rosterd's own removals at one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnRemovals {
    groups: BTreeMap<String, BTreeMap<String, OwnRemoval>>,
}

impl OwnRemovals {
    /// Takes in a removal as it is remembered: group, person, the time that the provider showed for
    /// it, and the time at which it was confirmed, both in seconds since 1970. For the state
    /// database alone.
    pub(crate) fn recall(&mut self, group: String, member: String, shown: Option<i64>, since: i64) {
        let removal = OwnRemoval {
            group: group.clone(),
            member: member.clone(),
            shown,
            since,
        };
        self.groups
            .entry(group)
            .or_default()
            .insert(member, removal);
    }

    /// Returns the removals from one group, by the person's id.
    pub fn of_group(&self, group: &str) -> Option<&BTreeMap<String, OwnRemoval>> {
        self.groups.get(group)
    }

    /// Returns the removal of a person from a group.
    pub fn get(&self, group: &str, member: &str) -> Option<&OwnRemoval> {
        self.groups.get(group)?.get(member)
    }

    /// Tells whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_time_is_another_refusal() {
        let removal = |shown| OwnRemoval {
            group: "7".into(),
            member: "1".into(),
            shown,
            since: 100,
        };
        for (known, shown, fits) in [
            (None, None, true),
            (Some(90), None, true),
            (Some(90), Some(90), true),
            (Some(90), Some(91), false),
            (Some(90), Some(89), false),
            (None, Some(100), true),
            (None, Some(101), false),
        ] {
            assert_eq!(
                removal(known).still_fits(shown),
                fits,
                "{known:?} and {shown:?}"
            );
        }
    }
}
