//! What a plan says beside its operations: what is withheld, blocked, refused and lost, and why.

use super::base::Resting;
use super::{PairIx, PersonIx};

/// Why somebody is not added. Nothing is wrong, and nobody needs to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The person refuses mail at the source, or did once.
    OptedOutAtSource,
    /// The person refuses mail at the target.
    OptedOutAtTarget,
    /// The person has not confirmed at the source.
    Unconfirmed,
    /// The address is held or bounced at either side.
    Undeliverable,
    /// The group is protected.
    Protected,
    /// Somebody took the person out at the target, and the config says to leave that.
    RemovedAtTarget,
    /// The person has no contact at the target, and the config says to create none.
    NoContact,
    /// Nobody with the address logs in at the target, and the config says to create no users.
    NoUser,
    /// rosterd itself took the person out in a way that shows as a refusal, and the config says not
    /// to bring such people back.
    RemovedByRosterd,
    /// The source's person has no address.
    NoAddress,
}

impl Reason {
    /// Returns the word of the plan format.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::OptedOutAtSource => "opted_out_at_source",
            Reason::OptedOutAtTarget => "opted_out_at_target",
            Reason::Unconfirmed => "unconfirmed",
            Reason::Undeliverable => "undeliverable",
            Reason::Protected => "protected",
            Reason::RemovedAtTarget => "removed_at_target",
            Reason::NoContact => "no_contact",
            Reason::NoUser => "no_user",
            Reason::RemovedByRosterd => "removed_by_rosterd",
            Reason::NoAddress => "no_address",
        }
    }
}

/// Something that is left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Withheld {
    /// The group.
    pub pair: PairIx,
    /// Who; nobody when it is the group itself.
    pub member: Option<PersonIx>,
    /// Why.
    pub reason: Reason,
}

/// Why something can't be done until a person acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockedReason {
    /// What stands in the place of the address at the source is none, or none is there and one is
    /// needed.
    BadAddress,
    /// Several candidates stand for one.
    TwoCandidates,
    /// The name belongs to another group.
    NameTaken,
    /// The address belongs to another person.
    AddressTaken,
    /// The target group takes no members.
    TargetRefused,
    /// The group's listing is not whole.
    IncompleteRead,
    /// The target's person or group has vanished.
    GoneAtTarget,
    /// The provider refused the value, or it can't be written.
    ValueRefused,
    /// The person is in several source groups, and can be in one group only at the target.
    SeveralGroups,
    /// The person is in a group of the target that is not this job's to take people from.
    OtherGroup,
}

impl BlockedReason {
    /// Returns the word of the plan format.
    pub fn as_str(self) -> &'static str {
        match self {
            BlockedReason::BadAddress => "bad_address",
            BlockedReason::TwoCandidates => "two_candidates",
            BlockedReason::NameTaken => "name_taken",
            BlockedReason::AddressTaken => "address_taken",
            BlockedReason::TargetRefused => "target_refused",
            BlockedReason::IncompleteRead => "incomplete_read",
            BlockedReason::GoneAtTarget => "gone_at_target",
            BlockedReason::ValueRefused => "value_refused",
            BlockedReason::SeveralGroups => "several_groups",
            BlockedReason::OtherGroup => "other_group",
        }
    }

    /// Says what a person can do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            BlockedReason::BadAddress => {
                "correct the person's e-mail address at the source, or leave such people out with `members.where`"
            }
            BlockedReason::TwoCandidates => {
                "merge or rename the duplicates, or settle groups with `rosterd link`"
            }
            BlockedReason::NameTaken => {
                "rename one of the two groups, or settle the pair with `rosterd link`"
            }
            BlockedReason::AddressTaken => {
                "merge the two people at the target, or correct the address at the source"
            }
            BlockedReason::TargetRefused => {
                "choose another target group, or change this one at the target"
            }
            BlockedReason::IncompleteRead => "run again; if it stays, check what the login may see",
            BlockedReason::GoneAtTarget => {
                "create it again by hand at the target, or settle the pair with `rosterd unlink`"
            }
            BlockedReason::ValueRefused => {
                "correct the value at the source, then run `rosterd retry`"
            }
            BlockedReason::SeveralGroups => {
                "leave the person in one of the source's groups in scope, or take the others out of the scope"
            }
            BlockedReason::OtherGroup => {
                "move the user to the parking group at the target, bring their group into the job's scope, or set a `parking_group`"
            }
        }
    }
}

/// What a blocked item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// A group.
    Group,
    /// A person.
    Member,
    /// A person in a group.
    Membership,
    /// A custom field that is to be created.
    Field,
}

impl What {
    /// Returns the word of the plan format.
    pub fn as_str(self) -> &'static str {
        match self {
            What::Group => "group",
            What::Member => "member",
            What::Membership => "membership",
            What::Field => "field",
        }
    }
}

/// Something that can't be done until a person acts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blocked {
    /// What it is.
    pub what: What,
    /// The group's name, where one is concerned.
    pub group: Option<String>,
    /// The normalised address; of somebody without one `#` and the id at the source, or `##` and
    /// the id at the target.
    pub member: Option<String>,
    /// The id at the side where the trouble is.
    pub id: Option<String>,
    /// Why.
    pub reason: BlockedReason,
    /// One sentence.
    pub detail: String,
    /// What it is known as from the run in which the provider refused it, where it only rests until
    /// its next attempt.
    pub rests: Option<String>,
}

impl Blocked {
    /// Returns the same as something that rests until its next attempt.
    pub(super) fn resting(self, resting: &Resting) -> Blocked {
        Blocked {
            rests: Some(resting.item.clone()),
            ..self
        }
    }

    /// Names the item as people accept it: as long as nothing about it changes.
    pub fn item(&self) -> String {
        if let Some(item) = self.rests.as_ref().filter(|item| !item.is_empty()) {
            return item.clone();
        }
        let member = self.member.as_deref().filter(|member| !member.is_empty());
        item_id(
            self.group.as_deref(),
            member.or(self.id.as_deref()),
            self.reason.as_str(),
            &self.detail,
        )
    }
}

/// Returns the short name of an item that needs a person, from all that there is to say of it.
pub fn item_id(group: Option<&str>, who: Option<&str>, reason: &str, words: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [group, who, Some(reason), Some(words)] {
        let part = part.unwrap_or_default();
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..8].to_owned()
}

/// A guard that refuses the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardRefusal {
    /// The guard's name.
    pub guard: &'static str,
    /// The group, for limits per group.
    pub group: Option<String>,
    /// How many items would be affected.
    pub value: u64,
    /// Of how many.
    pub of: u64,
    /// The limit as configured.
    pub limit: String,
    /// The config key that holds the limit.
    pub key: String,
    /// One sentence for people.
    pub explanation: String,
    /// The approval that lets this plan pass.
    pub approval: String,
}

/// Source values that have no home at the target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    /// The canonical field, or `group opt-out`.
    pub field: String,
    /// Of a group or of a member.
    pub object: &'static str,
    /// How many objects have a value.
    pub count: u64,
    /// Up to ten of the values.
    pub examples: Vec<String>,
    /// Why it has no home.
    pub reason: String,
    /// The line of the config that gives it one, with its table; nothing where none can.
    pub remedy: Option<String>,
    /// When a finished run of the job told of it, no smaller than it is now; nothing of a new one, and
    /// of one that has grown.
    pub known_since: Option<jiff::Timestamp>,
}

impl Loss {
    /// Returns one of the values.
    pub fn example(&self) -> &str {
        self.examples.first().map_or("", String::as_str)
    }
}
