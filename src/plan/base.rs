//! What the last confirmed run left behind: the third tree of every decision.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::GroupPair;
use crate::model::{Name, RowHash, Value};

/// How a pair came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// rosterd created the target's object.
    Created,
    /// It was found at the target.
    Adopted,
    /// A person settled it, in the config or by `link`.
    Pinned,
}

impl Origin {
    /// Returns the word kept in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Created => "created",
            Origin::Adopted => "adopted",
            Origin::Pinned => "pinned",
        }
    }

    /// Reads the word kept in the database.
    pub fn parse(text: &str) -> Option<Origin> {
        [Origin::Created, Origin::Adopted, Origin::Pinned]
            .into_iter()
            .find(|origin| origin.as_str() == text)
    }
}

/// One field at the end of the last confirmed run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldBase {
    /// What the source asked for, after mapping.
    pub desired: Option<Value>,
    /// What the target held.
    pub target: Option<Value>,
}

/// The fields of one object at the end of the last confirmed run, by the target's wire name.
pub type FieldBases = BTreeMap<String, FieldBase>;

/// A remembered pair of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLink {
    /// The source group's id.
    pub source: String,
    /// The target group's id.
    pub target: String,
    /// How the pair came about.
    pub origin: Origin,
    /// Whether rosterd itself set the protected flag.
    pub protect_set: bool,
    /// The source group's name at the end of the last confirmed run, for reports after it is gone.
    pub name: String,
    /// The fields at the end of the last confirmed run.
    pub fields: FieldBases,
}

/// A remembered pair of people. Several source people with one address share a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberLink {
    /// The source person's id.
    pub source: Name,
    /// The target person's id.
    pub target: Name,
    /// The address that both had at the end of the last confirmed run.
    pub address: Name,
    /// How the pair came about.
    pub origin: Origin,
    /// The fingerprint of the source's profile at that time.
    pub source_hash: RowHash,
    /// The fingerprint of the target's profile at that time.
    pub target_hash: RowHash,
    /// Whether rosterd's own removal was the last thing that happened to the person at the target.
    pub removed_by_us: bool,
}

/// A pair of people that a link named once and does no more: the record got another contact, or the
/// link was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormerLink {
    /// The source person's id.
    pub source: Name,
    /// The target person's id.
    pub target: Name,
    /// The address that both had last.
    pub address: Name,
}

/// A membership that stood at both sides at the end of the last confirmed run, or that this job
/// brought and has not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseMembership {
    /// The target person's id.
    pub member: Name,
    /// Whether this job brought it.
    pub brought: bool,
}

/// Refusals that are remembered because the target can't hold them, or because they were seen once.
///
/// A bar is held once the target was seen to obey it: the person was opted out there, or was out of
/// a group that can't hold a refusal. Only then does an active person at the target say something
/// of a change of mind.
#[derive(Clone, Debug, Default)]
pub struct Bars {
    /// Addresses barred from every group of the target account.
    pub account: HashSet<Name>,
    /// Addresses barred from a group, by the target group's id.
    pub groups: HashMap<String, HashSet<Name>>,
    /// Those of the account's bars that are held.
    pub held_account: HashSet<Name>,
    /// Those of the groups' bars that are held, by the target group's id.
    pub held_groups: HashMap<String, HashSet<Name>>,
    /// Addresses that refused a source group before it had a partner at the target, by the source
    /// group's id.
    pub early: HashMap<String, HashSet<Name>>,
    /// The same for the source groups of every job, by the name that the partner was to have,
    /// folded for comparison.
    pub early_names: HashMap<String, HashSet<Name>>,
}

impl Bars {
    /// Tells whether the bar of one group, or of the account, is held; nothing when there is no
    /// such bar.
    pub fn held(&self, group: Option<&str>, address: Name) -> Option<bool> {
        let has = |account: &HashSet<Name>, groups: &HashMap<String, HashSet<Name>>| match group {
            None => account.contains(&address),
            Some(group) => groups
                .get(group)
                .is_some_and(|addresses| addresses.contains(&address)),
        };
        has(&self.account, &self.groups).then(|| has(&self.held_account, &self.held_groups))
    }

    /// Tells whether nobody is barred from one group, or from the account.
    pub fn is_empty(&self, group: Option<&str>) -> bool {
        match group {
            None => self.account.is_empty(),
            Some(group) => self.groups.get(group).is_none_or(HashSet::is_empty),
        }
    }

    /// Tells whether an address refused the source group of a pair that is not linked yet, or one
    /// whose partner was to have the same name.
    ///
    /// A link turns such a refusal into one of the target group, so that linked pairs have none.
    pub fn is_early(&self, pair: &GroupPair, address: Name) -> bool {
        let named = || {
            self.early_names
                .get(&super::fold_group_name(&pair.name))
                .is_some_and(|addresses| addresses.contains(&address))
        };
        let of_source = || {
            self.early
                .get(pair.source.as_deref()?)
                .filter(|addresses| addresses.contains(&address))
        };
        !pair.linked && (of_source().is_some() || (pair.target.is_none() && named()))
    }

    /// Tells whether an address is barred from a group.
    pub fn bars(&self, group: Option<&str>, address: Name) -> bool {
        self.account.contains(&address)
            || group.is_some_and(|group| {
                self.groups
                    .get(group)
                    .is_some_and(|addresses| addresses.contains(&address))
            })
    }
}

/// How much the source held when a run last finished unrefused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Groups in scope.
    pub groups: u64,
    /// Active memberships in them.
    pub memberships: u64,
}

/// What the last confirmed run of a job left behind.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// The pairs of groups.
    pub groups: Vec<GroupLink>,
    /// The pairs of people, in ascending order of the source's name in the table.
    pub members: Vec<MemberLink>,
    /// The pairs of people that were linked once.
    pub former: Vec<FormerLink>,
    /// The memberships, by the target group's id, in ascending order of the member's name in the
    /// table.
    pub memberships: BTreeMap<String, Vec<BaseMembership>>,
    /// The memberships that other jobs with the same target hold, by the target group's id.
    pub held_by_others: BTreeMap<String, HashSet<Name>>,
    /// The target groups linked by other jobs with the same target.
    pub groups_of_others: HashSet<String>,
    /// The remembered refusals of the target account.
    pub bars: Bars,
    /// How much the source held when a run last finished unrefused; nothing before the first one.
    pub measure: Option<Measure>,
    /// Items that the provider refused and whose next attempt is not due, by item key, with the
    /// provider's words.
    pub waiting: HashMap<String, String>,
    /// The job's last run that wrote something.
    pub last_writing_run: Option<String>,
}

impl Base {
    /// Tells whether no run has left anything behind.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.members.is_empty() && self.memberships.is_empty()
    }

    /// Finds the pair of a source group.
    pub fn group_of_source(&self, source: &str) -> Option<&GroupLink> {
        self.groups.iter().find(|link| link.source == source)
    }

    /// Finds the pair of a target group.
    pub fn group_of_target(&self, target: &str) -> Option<&GroupLink> {
        self.groups.iter().find(|link| link.target == target)
    }

    /// Finds the pair of a source person.
    pub fn member_of_source(&self, source: Name) -> Option<&MemberLink> {
        self.members
            .binary_search_by_key(&source, |link| link.source)
            .ok()
            .map(|at| &self.members[at])
    }

    /// Finds a membership.
    pub fn membership(&self, group: &str, member: Name) -> Option<BaseMembership> {
        let rows = self.memberships.get(group)?;
        rows.binary_search_by_key(&member, |row| row.member)
            .ok()
            .map(|at| rows[at])
    }
}
