//! What the last confirmed run left behind: the third tree of every decision.

use std::collections::{BTreeMap, HashMap, HashSet};

use compact_str::CompactString;

use super::tables::Numbers;
use crate::model::{Forgotten, Name, Names, RowHash, Value};

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
    /// Whether the two are one although they differ: the target spells what was written otherwise.
    pub written: bool,
}

impl FieldBase {
    /// Tells whether both sides agreed on a value.
    pub fn is_agreed(&self) -> bool {
        let asked = self.desired.as_ref().is_some_and(|value| !value.is_empty());
        asked && (self.written || super::fields::same(self.desired.as_ref(), self.target.as_ref()))
    }
}

/// The fields of one object at the end of the last confirmed run, by the target's wire name.
pub type FieldBases = BTreeMap<CompactString, FieldBase>;

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

/// A membership that stood at both sides at the end of the last confirmed run, or that this job
/// brought and has not removed. In five bytes: there are millions of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed)]
pub struct BaseMembership {
    /// The target person's id.
    pub member: Name,
    /// Whether this job brought it.
    pub brought: bool,
}

/// A pair of people that was linked once, or an address under which a pair was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FormerLink {
    /// The source person's id.
    pub source: Name,
    /// The target person's id.
    pub target: Name,
    /// The address that both had.
    pub address: Name,
}

/// The number of a fact in the ledger of consent, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FactId(pub i64);

/// By what a person is known whom a refusal is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LedgerPerson {
    /// The address.
    Address(Name),
    /// The id of the contact in the target account.
    Contact(Name),
    /// The id of the record in the source account.
    Record(Name),
}

/// By what the audience is known that a refusal is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LedgerAudience {
    /// The whole target account.
    Account,
    /// The id of a group in the target account.
    Group(String),
    /// The id of a group in the source account.
    Source(String),
    /// The name that a group at the target has or was to have, folded for comparison.
    Name(String),
}

/// A refusal that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its number.
    pub id: FactId,
    /// The keys of the person; never empty.
    pub people: Vec<LedgerPerson>,
    /// The keys of the audience; never empty.
    pub audience: Vec<LedgerAudience>,
    /// The group at which the target was seen to obey it, empty for the whole account; nothing where
    /// nobody has seen that.
    pub held_at: Option<String>,
}

/// The refusals of the target account that are remembered, by whichever job and source.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The refusals, in the order in which they were seen.
    pub refusals: Vec<Refusal>,
}

/// An item that the provider refused and that rests until its next attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resting {
    /// The provider's words.
    pub words: String,
    /// The short name under which people know it from the run that refused it; empty where nobody
    /// knows it any more.
    pub item: String,
}

/// How much the source held when a run last finished unrefused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Groups in scope.
    pub groups: u64,
    /// Active memberships in them.
    pub memberships: u64,
}

/// The taking back of a run that was interrupted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndoOpen {
    /// The run.
    pub run: String,
    /// How many things it did.
    pub did: u64,
    /// How many of them may still be taken back.
    pub left: u64,
    /// Whether the job is paused.
    pub is_paused: bool,
}

impl UndoOpen {
    /// Says it to a person, with what goes on with it.
    pub fn explain(&self) -> String {
        let UndoOpen { run, did, left, .. } = self;
        let began = format!("An undo of run {run} was interrupted");
        match left {
            0 => format!(
                "{began}, and nothing seems left of what it was to take back: `rosterd undo {run}` makes sure of it and ends it"
            ),
            left => format!(
                "{began}, with up to {left} of the {did} things that the run did still to be taken back: `rosterd undo {run} --out FILE`, then `rosterd apply FILE`, finishes it"
            ),
        }
    }
}

/// What the last confirmed run of a job left behind.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// The pairs of groups.
    pub groups: Vec<GroupLink>,
    /// The pairs of people, in ascending order of the source's name in the table.
    pub members: Vec<MemberLink>,
    /// The memberships, by the target group's id, in ascending order of the member's name in the
    /// table.
    pub memberships: BTreeMap<String, Vec<BaseMembership>>,
    /// The target groups that were archived by taking a run back, and that nobody links since.
    pub put_away: HashSet<String>,
    /// A run of the job that was being taken back when that was interrupted; nothing for the plan that
    /// goes on with it.
    pub undo_open: Option<UndoOpen>,
    /// Those of the memberships that came about by taking a run back, by the target group's id.
    pub put_back: BTreeMap<String, HashSet<Name>>,
    /// The memberships that other jobs with the same target hold, by the target group's id.
    pub held_by_others: BTreeMap<String, HashSet<Name>>,
    /// The target groups linked by other jobs with the same target.
    pub groups_of_others: HashSet<String>,
    /// The pairs of people that were linked once, ascending.
    pub former: Vec<FormerLink>,
    /// The remembered refusals of the target account.
    pub ledger: Ledger,
    /// Who asked to be forgotten, and so is barred everywhere.
    pub forgotten: Forgotten,
    /// The source's account, as the state database knows it.
    pub source_account: String,
    /// The target's account.
    pub target_account: String,
    /// How much the source held when a run last finished unrefused; nothing before the first one.
    pub measure: Option<Measure>,
    /// Whether the last run that set the measure was one of a mirror.
    pub mirrored: bool,
    /// Whether no run of the job has worked through its plan yet: what is remembered is what a first run
    /// left behind that was interrupted.
    pub first_run_is_open: bool,
    /// Items that the provider refused and whose next attempt is not due, by item key.
    pub resting: HashMap<String, Resting>,
    /// The job's last run that wrote something.
    pub last_writing_run: Option<String>,
}

impl Base {
    /// Tells whether no run has left anything behind. Who is who may be known from other jobs all the
    /// same.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.memberships.is_empty()
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

    /// Returns the positions of the pairs of people by the place of the record's id in the table,
    /// for whoever asks about everybody.
    pub(super) fn links_by_source(&self, names: &Names) -> Numbers {
        let mut links = Numbers::new(names.len());
        for (link, at) in self.members.iter().zip(0..) {
            links.set(link.source.place(), at);
        }
        links
    }

    /// Finds a membership.
    pub fn membership(&self, group: &str, member: Name) -> Option<BaseMembership> {
        let rows = self.memberships.get(group)?;
        rows.binary_search_by_key(&member, |row| row.member)
            .ok()
            .map(|at| rows[at])
    }
}
