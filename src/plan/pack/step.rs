//! The steps that operations are packed into.

use std::collections::BTreeSet;

use crate::model::{Leaving, Load, Record, Value};
use crate::plan::{PairIx, PersonIx};

/// One of a person's contacts that leaves groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Who.
    pub member: PersonIx,
    /// Which of the person's contacts at the target; the first one of somebody who is yet to be
    /// created.
    pub contact: usize,
    /// The groups.
    pub pairs: Vec<PairIx>,
}

/// One request, with references that are resolved when it is sent: a group or a person may be
/// created by an earlier step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Defines a custom field.
    CreateCustomField {
        /// What people see.
        label: String,
    },
    /// Creates a group.
    CreateGroup {
        /// The pair.
        pair: PairIx,
        /// The fields.
        fields: Record,
    },
    /// Changes groups, in this order; one group may occur twice, when it steps aside for a rename.
    EditGroups {
        /// The pairs with the fields that change.
        edits: Vec<(PairIx, Record)>,
        /// The word of the plan format for each, for the journal.
        ops: Vec<&'static str>,
    },
    /// Deletes a group.
    DeleteGroup {
        /// The pair.
        pair: PairIx,
    },
    /// Creates people who join `join` at once, where the provider can do that.
    CreateMembers {
        /// Who; some may exist already and only join.
        members: Vec<PersonIx>,
        /// The groups that all of them join.
        join: Vec<PairIx>,
    },
    /// Changes profiles.
    UpdateMembers {
        /// Who, with the fields that change; nothing stands for all mapped fields of somebody just
        /// created.
        edits: Vec<(PersonIx, Option<Record>)>,
    },
    /// Gives a person another address.
    ChangeAddress {
        /// Who.
        member: PersonIx,
        /// The new address.
        to: String,
    },
    /// Joins people to a group by id.
    AddMemberships {
        /// The group.
        pair: PairIx,
        /// Who.
        members: Vec<PersonIx>,
    },
    /// Takes people out of a group by id.
    RemoveMemberships {
        /// The group.
        pair: PairIx,
        /// Who.
        members: Vec<PersonIx>,
    },
    /// Joins people to groups of their own, and creates those who do not exist.
    JoinGroups {
        /// Who, and into which groups.
        rows: Vec<(PersonIx, Vec<PairIx>)>,
    },
    /// Takes people out of groups of their own, or writes that they refuse them; refusals create
    /// those who do not exist.
    LeaveGroups {
        /// Who, and out of which groups.
        rows: Vec<Leave>,
        /// How.
        how: Leaving,
    },
    /// Brings people back whom rosterd itself took out.
    BringBack {
        /// Who, and into which group.
        rows: Vec<(PersonIx, PairIx)>,
    },
    /// Writes account opt-outs of people who exist.
    OptOutOfAccount {
        /// Who.
        members: Vec<PersonIx>,
    },
    /// Creates a person who is opted out from the first moment.
    CreateOptedOut {
        /// Who.
        member: PersonIx,
    },
    /// Writes a person's opt-outs of groups.
    OptOutOfGroups {
        /// Who.
        member: PersonIx,
        /// Which of the person's contacts at the target: somebody with several refuses with each of
        /// them.
        contact: usize,
        /// The groups.
        pairs: Vec<PairIx>,
    },
}

impl Step {
    /// Says how large the write of this step will be, for telling what it takes.
    pub fn load(&self) -> Load {
        match self {
            Step::CreateGroup { .. } => Load::CreateGroup,
            Step::EditGroups { edits, .. } => Load::EditGroups(edits.len()),
            Step::CreateMembers { members, .. } => Load::CreateMembers(members.len()),
            Step::UpdateMembers { edits } => {
                let clears = edits
                    .iter()
                    .flat_map(|(_, fields)| fields.iter().flat_map(Record::values))
                    .any(Value::is_empty);
                Load::UpdateMembers {
                    people: edits.len(),
                    clears,
                }
            }
            Step::ChangeAddress { .. } => Load::ChangeAddress,
            Step::JoinGroups { rows } => Load::Join(rows.len()),
            Step::LeaveGroups { rows, how } => Load::Leave {
                people: rows.len(),
                memberships: rows.iter().map(|row| row.pairs.len()).sum(),
                how: *how,
            },
            Step::BringBack { rows } => Load::BringBack(rows.len()),
            Step::CreateCustomField { .. }
            | Step::DeleteGroup { .. }
            | Step::AddMemberships { .. }
            | Step::RemoveMemberships { .. }
            | Step::OptOutOfAccount { .. }
            | Step::CreateOptedOut { .. }
            | Step::OptOutOfGroups { .. } => Load::Other,
        }
    }

    /// Names the people who are written by their ids, which have to be known by then.
    pub fn by_id(&self) -> Vec<PersonIx> {
        match self {
            Step::AddMemberships { members, .. }
            | Step::RemoveMemberships { members, .. }
            | Step::OptOutOfAccount { members } => members.clone(),
            Step::UpdateMembers { edits } => edits.iter().map(|(person, _)| *person).collect(),
            Step::OptOutOfGroups { member, .. } => vec![*member],
            _ => Vec::new(),
        }
    }

    /// Names the groups that people are added to or taken out of; a refusal is written in any case.
    pub fn writes_into(&self) -> BTreeSet<PairIx> {
        match self {
            Step::AddMemberships { pair, .. } | Step::RemoveMemberships { pair, .. } => {
                BTreeSet::from([*pair])
            }
            Step::CreateMembers { join, .. } => join.iter().copied().collect(),
            Step::LeaveGroups {
                how: Leaving::OptOut,
                ..
            } => BTreeSet::new(),
            _ => self.shown_by(),
        }
    }

    /// Names the groups whose listings show whether people joined, left or came back.
    pub fn shown_by(&self) -> BTreeSet<PairIx> {
        match self {
            Step::JoinGroups { rows } => rows
                .iter()
                .flat_map(|(_, pairs)| pairs.iter().copied())
                .collect(),
            Step::LeaveGroups { rows, .. } => rows
                .iter()
                .flat_map(|row| row.pairs.iter().copied())
                .collect(),
            Step::BringBack { rows } => rows.iter().map(|(_, pair)| *pair).collect(),
            _ => BTreeSet::new(),
        }
    }
}
