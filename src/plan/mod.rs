//! From two snapshots to a plan: pure, total, deterministic.
//!
//! [`plan`] takes everything that matters as arguments: what the source holds now, what the target
//! holds now, what the last run left behind, and the policy. It waits for nothing, reads no clock
//! and writes nothing, so that the same inputs give the same plan byte for byte.

mod bars;
pub mod base;
mod build;
mod consent;
pub mod fields;
mod findings;
mod fingerprint;
mod groups;
mod guard;
mod memberships;
mod outside;
pub mod pack;
mod pair;
pub mod people;
mod seats;
mod tables;
#[cfg(test)]
mod tests;
mod undo;

use std::collections::{BTreeMap, BTreeSet};

pub use bars::refused_before;
pub(crate) use build::names_unread_records;
pub use build::plan;
pub use findings::{Blocked, BlockedReason, GuardRefusal, Loss, Reason, What, Withheld, item_id};
pub use fingerprint::{Basis, OperationPrint};
pub(crate) use groups::fold as fold_group_name;
pub use groups::{in_scope, name_by_links, partners};
pub use outside::{ChangedOutside, Outside};
pub use people::{People, PersonIx};
pub use undo::{Did, DidField, Left, NotUndone, ProfileNow, SEAT, UndoInputs, Undoing, undo};

use crate::model::policy::{GroupScope, Guards, MemberPolicy, Mode};
use crate::model::{Capabilities, LeftAlone, Name, Names, Record, Schema, Snapshot};
use base::{Base, FactId, Resting};
use fields::FieldEdit;

/// The position of a pair in [`Plan::pairs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairIx(pub u32);

/// What the job asks for, as far as planning is concerned.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The job's name.
    pub job: String,
    /// The source provider's configured name.
    pub source: String,
    /// The target provider's configured name.
    pub target: String,
    /// What may be done at the target.
    pub mode: Mode,
    /// Which groups.
    pub groups: GroupScope,
    /// Which people, and what of them.
    pub members: MemberPolicy,
    /// The guards.
    pub guards: Guards,
    /// Whether groups whose auto-response mails new members may be targets.
    pub allow_auto_response: bool,
    /// Whether the source's login sees only part of its account, so that absence proves nothing.
    pub source_shared: bool,
    /// Whether the target's login sees only part of its account.
    pub target_shared: bool,
    /// The target's group that takes whoever leaves another one; only where a member is in one
    /// group at a time.
    pub parking_group: Option<String>,
    /// Whether a first run's opt-outs were confirmed by a person, so that their number is not
    /// judged.
    pub opt_outs_confirmed: bool,
    /// A fingerprint of the job's settled config.
    pub config_hash: String,
}

/// What mapping made of a source group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredGroup {
    /// The target's fields, under its own names.
    pub fields: Record,
    /// What the config gives a created group where the source has no value.
    pub defaults: Record,
    /// Why a name could not be mapped, in which case the group is blocked.
    pub name_problem: Option<String>,
    /// Fields whose value does not fit there, or could not be found out.
    pub left_out: LeftAlone,
}

/// What the run found out about a person by evaluating the mapping, before planning.
#[derive(Clone, Debug, Default)]
pub struct PersonFacts {
    /// Whether `where` counts the person as a member.
    pub counts: bool,
    /// Why `where` could not be decided; the person is then neither added nor removed.
    pub undecided: Option<String>,
    /// The fingerprint of the fields that a creation would write.
    pub desired_hash: u64,
    /// Fields that creating the person at the target takes and that mapping has no value for, under
    /// the target's names.
    pub missing: Vec<&'static str>,
    /// The edits of the profile of a person who exists at the target.
    pub edit: Option<FieldEdit>,
}

/// Everything that a plan is made of.
pub struct Inputs<'a> {
    /// What the job asks for.
    pub policy: &'a Policy,
    /// The texts behind all names.
    pub names: &'a Names,
    /// The source now.
    pub source: &'a Snapshot,
    /// The target now.
    pub target: &'a Snapshot,
    /// Whether the target shows neither groups nor people, and is only believed to have none.
    pub target_groups_unseen: bool,
    /// What the last run left behind.
    pub base: &'a Base,
    /// Who is who.
    pub people: &'a People,
    /// What is known of each person of `people`; those who are missing count as members and change
    /// nothing.
    pub facts: &'a BTreeMap<PersonIx, PersonFacts>,
    /// Why `where` can't be asked about anybody. Nobody joins a group then, and no profile changes;
    /// whoever is listed counts as a member, so that nobody leaves by it.
    pub undecided: Option<&'a str>,
    /// What mapping made of each source group in scope, by the source group's id.
    pub desired: &'a BTreeMap<String, DesiredGroup>,
    /// The target's field tables.
    pub target_schema: &'static Schema,
    /// The group fields that the config maps by name, under the target's names: written even on
    /// adoption.
    pub explicit_group_fields: &'a BTreeSet<String>,
    /// What the target can do.
    pub capabilities: &'a Capabilities,
    /// Losses that were counted while mapping.
    pub losses: &'a [Loss],
    /// Custom fields of members to create at the target first.
    pub new_custom_fields: &'a [String],
    /// Warnings of the reading.
    pub warnings: &'a [String],
}

impl<'a> Inputs<'a> {
    /// Returns the normalised address of a person; empty where there is none.
    pub fn address(&self, person: PersonIx) -> &'a str {
        self.names.text(self.people.get(person).address)
    }

    /// Names a person in the keys of items: by the address, and by an id where there is none.
    pub fn key(&self, person: PersonIx) -> std::borrow::Cow<'a, str> {
        self.people
            .key(person, self.source, self.target, self.names)
    }

    /// Finds what the provider refused of a person and what rests until its next attempt.
    pub(crate) fn resting(&self, op: &str, group: &str, person: PersonIx) -> Option<&'a Resting> {
        let resting = &self.base.resting;
        // Everybody who joins is asked about, and as a rule nothing rests.
        if resting.is_empty() {
            return None;
        }
        resting.get(&item_key(op, group, &self.key(person)))
    }

    /// Tells whether `where` counts somebody as a member.
    pub(crate) fn counts(&self, person: PersonIx) -> bool {
        self.facts.get(&person).is_none_or(|facts| facts.counts)
    }
}

/// A source group and its partner at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPair {
    /// The source group's id; absent for a linked target group whose source is gone.
    pub source: Option<String>,
    /// The target group's id; absent until it is created.
    pub target: Option<String>,
    /// The name at the target after the run.
    pub name: String,
    /// The source group's name.
    pub source_name: String,
    /// Whether the pair was linked before this run.
    pub linked: bool,
    /// Whether members may be written: false for frozen and blocked pairs.
    pub writable: bool,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Defines a custom field.
    CreateCustomField {
        /// What people see.
        label: String,
    },
    /// Creates a group.
    CreateGroup {
        /// The pair.
        pair: PairIx,
        /// The fields, under the target's names.
        fields: Record,
    },
    /// Links a group that was found at the target, and fills its empty fields and those that the
    /// config maps by name.
    AdoptGroup {
        /// The pair.
        pair: PairIx,
        /// The fields that change; may be empty.
        fields: Record,
        /// What they held before.
        before: Record,
    },
    /// Changes fields of a linked group other than its name.
    UpdateGroup {
        /// The pair.
        pair: PairIx,
        /// The fields that change.
        fields: Record,
        /// What they held before.
        before: Record,
    },
    /// Gives a linked group another name, and changes what else differs.
    RenameGroup {
        /// The pair.
        pair: PairIx,
        /// The name it has.
        from: String,
        /// The name it gets.
        to: String,
        /// A name in between, where another group still has the new one.
        via: Option<String>,
        /// The fields that change, the name included.
        fields: Record,
        /// What they held before.
        before: Record,
    },
    /// Archives a group whose source is gone.
    ArchiveGroup {
        /// The pair.
        pair: PairIx,
        /// Whether rosterd's own protected flag has to be lifted first.
        lift_protection: bool,
    },
    /// Deletes a group whose source is gone.
    DeleteGroup {
        /// The pair.
        pair: PairIx,
        /// Whether rosterd's own protected flag has to be lifted first.
        lift_protection: bool,
    },
    /// Writes opt-outs.
    SetOptOut {
        /// The group that people refuse; none for the whole account.
        pair: Option<PairIx>,
        /// Who.
        members: Vec<PersonIx>,
        /// Whether it has to wait for people who are created for it.
        after_creation: bool,
    },
    /// Creates people.
    CreateMembers {
        /// Who.
        members: Vec<PersonIx>,
        /// Whether they are created only to hold an opt-out, and join no group.
        to_opt_out: bool,
    },
    /// Changes a person's profile.
    UpdateMember {
        /// Who.
        member: PersonIx,
        /// The fields that change, under the target's names; an empty text clears.
        fields: Record,
        /// What they held before.
        before: Record,
    },
    /// Gives a person another address.
    ChangeAddress {
        /// Who.
        member: PersonIx,
        /// The address at the target now.
        from: String,
        /// The address at the source.
        to: String,
        /// Whether somebody else waits for the address that the person leaves.
        makes_room: bool,
    },
    /// Adds people to a group.
    AddMemberships {
        /// The group.
        pair: PairIx,
        /// Who.
        members: Vec<PersonIx>,
    },
    /// Brings people back into a group from which rosterd itself took them in a way that shows as a
    /// refusal.
    BringBack {
        /// The group.
        pair: PairIx,
        /// Who.
        members: Vec<PersonIx>,
    },
    /// Takes people out of a group.
    RemoveMemberships {
        /// The group.
        pair: PairIx,
        /// Who.
        members: Vec<PersonIx>,
    },
}

impl Edit {
    /// Returns the word of the plan format.
    pub fn op(&self) -> &'static str {
        match self {
            Edit::CreateCustomField { .. } => "create_field",
            Edit::CreateGroup { .. } => "create_group",
            Edit::AdoptGroup { .. } => "adopt_group",
            Edit::UpdateGroup { .. } => "update_group",
            Edit::RenameGroup { .. } => "rename_group",
            Edit::ArchiveGroup { .. } => "archive_group",
            Edit::DeleteGroup { .. } => "delete_group",
            Edit::SetOptOut { .. } => "set_opt_out",
            Edit::CreateMembers { .. } => "create_members",
            Edit::UpdateMember { .. } => "update_member",
            Edit::ChangeAddress { .. } => "change_address",
            Edit::AddMemberships { .. } | Edit::BringBack { .. } => "add_memberships",
            Edit::RemoveMemberships { .. } => "remove_memberships",
        }
    }

    /// Returns the pair that the edit is about, where it is about one.
    pub fn pair(&self) -> Option<PairIx> {
        match self {
            Edit::CreateGroup { pair, .. }
            | Edit::AdoptGroup { pair, .. }
            | Edit::UpdateGroup { pair, .. }
            | Edit::RenameGroup { pair, .. }
            | Edit::ArchiveGroup { pair, .. }
            | Edit::DeleteGroup { pair, .. }
            | Edit::AddMemberships { pair, .. }
            | Edit::BringBack { pair, .. }
            | Edit::RemoveMemberships { pair, .. } => Some(*pair),
            Edit::SetOptOut { pair, .. } => *pair,
            Edit::CreateCustomField { .. }
            | Edit::CreateMembers { .. }
            | Edit::UpdateMember { .. }
            | Edit::ChangeAddress { .. } => None,
        }
    }

    /// Returns the people that the edit is about.
    pub fn members(&self) -> &[PersonIx] {
        match self {
            Edit::SetOptOut { members, .. }
            | Edit::CreateMembers { members, .. }
            | Edit::AddMemberships { members, .. }
            | Edit::BringBack { members, .. }
            | Edit::RemoveMemberships { members, .. } => members,
            Edit::UpdateMember { member, .. } | Edit::ChangeAddress { member, .. } => {
                std::slice::from_ref(member)
            }
            _ => &[],
        }
    }
}

/// What the run already knows to hold on both sides, to be remembered without any write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// People who were found at the target: the pairs to remember.
    pub linked: Vec<(PersonIx, u32, u32)>,
    /// Of groups of which a change was refused and rests until its next attempt, the fields of that
    /// change.
    pub resting_groups: BTreeMap<PairIx, BTreeSet<String>>,
    /// Memberships that stand at both sides and are not in the base, by pair.
    pub memberships: Vec<(PairIx, u32)>,
    /// Memberships of the base that stand at the target no more and that the source no longer asks
    /// for.
    pub ended: Vec<(String, crate::model::Name)>,
    /// Refusals to remember that are new: the pair, or none for the whole account, and the person.
    pub bars: Vec<(Option<PairIx>, PersonIx)>,
    /// Addresses that refuse at the target, of contacts whose record shows another one by now: the
    /// pair, or none for the whole account, and the address.
    pub left_addresses: Vec<(Option<PairIx>, Name)>,
    /// Remembered refusals that have to be carried anew.
    pub bars_anew: Vec<FactId>,
    /// Remembered refusals of people who are known by further keys since.
    pub bars_known_as: Vec<(FactId, PersonIx)>,
    /// Remembered refusals of groups that are known by further keys since.
    pub bars_of_pair: Vec<(FactId, PairIx)>,
    /// Refusals that the target was seen to obey: the target group's id, or none for the whole
    /// account, and the person.
    pub held_bars: Vec<(Option<String>, PersonIx)>,
    /// Remembered refusals that ended, because the person is active at the target without rosterd's
    /// doing.
    pub ended_bars: Vec<FactId>,
    /// Removals of rosterd's own at the target that a refusal at the source has overtaken, as group
    /// and person by id.
    pub ended_removals: Vec<(String, crate::model::Name)>,
}

/// Counts of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Groups to create.
    pub groups_created: u64,
    /// Groups to change or rename.
    pub groups_updated: u64,
    /// Groups to link.
    pub groups_adopted: u64,
    /// Groups to archive.
    pub groups_archived: u64,
    /// Groups to delete.
    pub groups_deleted: u64,
    /// People to create.
    pub members_created: u64,
    /// People to change, addresses included.
    pub members_updated: u64,
    /// Memberships to add.
    pub memberships_added: u64,
    /// Memberships to remove.
    pub memberships_removed: u64,
    /// Opt-outs to write.
    pub opt_outs: u64,
}

/// What a run would do, and what it would not, and why.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The job.
    pub job: String,
    /// The source provider.
    pub source: String,
    /// The target provider.
    pub target: String,
    /// The groups.
    pub pairs: Vec<GroupPair>,
    /// What to do, in order.
    pub operations: Vec<Edit>,
    /// What is left out on purpose.
    pub withheld: Vec<Withheld>,
    /// What a person has to settle.
    pub blocked: Vec<Blocked>,
    /// Guards that refuse the plan.
    pub refusals: Vec<GuardRefusal>,
    /// What somebody changed at the target since the last run: groups, people, memberships.
    pub changed_outside: Vec<ChangedOutside>,
    /// Source values without a home.
    pub losses: Vec<Loss>,
    /// Sentences that a person should read.
    pub warnings: Vec<String>,
    /// What is already so, to be remembered.
    pub agreement: Agreement,
    /// How much the source holds, as far as it was seen.
    pub measure: base::Measure,
    /// Whether all of the source in scope was seen. What an incomplete reading showed is never what
    /// later runs are measured against.
    pub measured: bool,
    /// Counts.
    pub summary: Summary,
    /// Refusals of mail among the operations, removals that stand in for one included.
    pub waiting_opt_outs: u64,
    /// The items for which the guards refuse the plan, with their values: what an approval covers.
    pub tripped: BTreeSet<String>,
    /// What the fingerprint is made of.
    pub basis: Basis,
    /// What identifies the plan: equal fingerprints do equal things to equal objects.
    pub fingerprint: String,
}

impl Plan {
    /// Tells whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Returns a pair.
    pub fn pair(&self, pair: PairIx) -> &GroupPair {
        &self.pairs[pair.0 as usize]
    }
}

/// Names an item of a plan for approvals, journal and failures: the operation, the group and the
/// person.
pub fn item_key(op: &str, group: &str, member: &str) -> String {
    format!("{op} {group} {member}").trim_end().to_owned()
}
