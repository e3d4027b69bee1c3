//! What somebody changed at the target since the last run, as far as the plan has to say something
//! about it.

use super::{PairIx, PersonIx};
use crate::model::Value;
use crate::model::policy::OnDrift;

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outside {
    /// A field of a group, by the target's name for it.
    Group(PairIx, String),
    /// A field of a person, by the target's name for it.
    Member(PersonIx, String),
    /// The address of a person.
    Address(PersonIx),
    /// That a person is in a group.
    Membership(PairIx, PersonIx),
}

/// One value that is not what it was at the end of the last confirmed run, without rosterd's doing.
///
/// Only what is written again, is kept for that reason alone, or stops the run is one of these: a
/// value that the provider spells otherwise is what it was, and one that the job never set is nobody's
/// business.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedOutside {
    /// What was changed.
    pub what: Outside,
    /// What the target held at the end of the last confirmed run; nothing for a membership, which
    /// stood.
    pub base: Option<Value>,
    /// What it holds now; nothing for a membership, which is gone.
    pub now: Option<Value>,
    /// What the job wants it to hold; nothing for a membership, which is wanted.
    pub wanted: Option<Value>,
    /// What becomes of it.
    pub fate: OnDrift,
}
