//! The requests that change something, in neutral words.
//!
//! No variant can say "active again" of somebody who refused: a re-subscription can't be expressed
//! (rule 1). Whom rosterd itself took out may come back, and a request for that can be made only of
//! an [`OwnRemoval`], which only the state database hands out. Nor can the deletion of a person be
//! expressed (rule 6).

use std::sync::{Arc, Weak};

use super::own::OwnRemoval;
use super::refusal::Refusal;
use super::schema::FieldType;
use super::value::Record;

/// New values of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEdit {
    /// The group's id.
    pub id: String,
    /// The fields that change, under the provider's own names.
    pub fields: Record,
    /// All current values, for requests that replace what they do not name.
    pub current: Record,
}

/// A person to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberValues {
    /// The normalised address.
    pub address: String,
    /// The profile, under the provider's own names.
    pub fields: Record,
}

/// New values of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEdit {
    /// The person's id.
    pub id: String,
    /// The person's normalised address, for requests that go by address.
    pub address: String,
    /// The fields that change, under the provider's own names; an empty text clears what rosterd
    /// itself had written.
    pub fields: Record,
}

/// A person who joins groups of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberJoin {
    /// The person's id; nothing for somebody who is to be created.
    pub id: Option<String>,
    /// The normalised address.
    pub address: String,
    /// The profile of somebody who is created, under the provider's own names; people who exist
    /// keep theirs.
    pub fields: Record,
    /// The groups' ids.
    pub groups: Vec<String>,
}

/// A person who leaves groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberLeave {
    /// The person's id; nothing for somebody who is to be created, only to hold a refusal.
    pub id: Option<String>,
    /// The person's address as the provider spells it, for requests that go by address.
    pub address: String,
    /// The profile of somebody who is created, under the provider's own names; people who exist
    /// keep theirs.
    pub fields: Record,
    /// The groups' ids.
    pub groups: Vec<String>,
}

/// A person who comes back into a group from which rosterd itself took them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberReturn {
    removal: OwnRemoval,
}

impl MemberReturn {
    /// Makes the request of the proof.
    pub fn of(removal: OwnRemoval) -> Self {
        MemberReturn { removal }
    }

    /// Returns the proof.
    pub fn removal(&self) -> &OwnRemoval {
        &self.removal
    }
}

/// How people leave groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leaving {
    /// As a refusal of the person's own, which stays visible at the provider.
    OptOut,
    /// As a removal, in the provider's usual way.
    Remove,
    /// As a removal that leaves nothing behind; from their last group people are removed in the
    /// usual way.
    Detach,
}

/// One request that changes something at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Creates a group.
    CreateGroup {
        /// The name.
        name: String,
        /// Every field to set, the name included.
        fields: Record,
    },
    /// Changes groups.
    EditGroups {
        /// One entry per group.
        edits: Vec<GroupEdit>,
    },
    /// Deletes a group.
    DeleteGroup {
        /// The group's id.
        id: String,
    },
    /// Creates people, and joins all of them to `join` where the provider can do that in one
    /// request.
    ///
    /// People who exist already keep their data and are joined all the same.
    CreateMembers {
        /// One entry per person.
        rows: Vec<MemberValues>,
        /// Ids of the groups that all of them join.
        join: Vec<String>,
    },
    /// Changes profiles of people who exist.
    UpdateMembers {
        /// One entry per person.
        edits: Vec<MemberEdit>,
    },
    /// Gives a person another address.
    ChangeAddress {
        /// The person's id.
        id: String,
        /// The new normalised address.
        address: String,
    },
    /// Joins people to a group, by id.
    AddMemberships {
        /// The group's id.
        group: String,
        /// The people's ids.
        members: Vec<String>,
    },
    /// Takes people out of a group, by id.
    RemoveMemberships {
        /// The group's id.
        group: String,
        /// The people's ids.
        members: Vec<String>,
    },
    /// Joins people to groups of their own by address, creating those who do not exist.
    JoinGroups {
        /// One entry per person.
        rows: Vec<MemberJoin>,
    },
    /// Takes people out of groups of their own, or records that they refuse them.
    LeaveGroups {
        /// One entry per person.
        rows: Vec<MemberLeave>,
        /// How they leave.
        how: Leaving,
    },
    /// Brings people back into groups from which rosterd itself took them, after a look that
    /// nothing else stands there now.
    BringBack {
        /// One entry per person and group.
        rows: Vec<MemberReturn>,
    },
    /// Records the account opt-out of people who exist.
    OptOutOfAccount {
        /// The people's ids.
        members: Vec<String>,
    },
    /// Creates a person who is opted out of the account from the first moment.
    CreateOptedOut {
        /// The normalised address.
        address: String,
    },
    /// Records a person's opt-out of groups.
    OptOutOfGroups {
        /// The person's id.
        member: String,
        /// The groups' ids.
        groups: Vec<String>,
    },
    /// Defines a custom field of members.
    CreateCustomField {
        /// What people see.
        label: String,
        /// The type of its values.
        kind: FieldType,
    },
}

impl Write {
    /// Copies a request without the profiles of those whom it creates, which the source shows
    /// whenever they are asked for again: what is read back in the end is kept until then.
    pub fn without_profiles(&self) -> Write {
        match self {
            Write::CreateMembers { rows, join } => Write::CreateMembers {
                rows: rows
                    .iter()
                    .map(|row| MemberValues {
                        address: row.address.clone(),
                        fields: Record::new(),
                    })
                    .collect(),
                join: join.clone(),
            },
            Write::JoinGroups { rows } => Write::JoinGroups {
                rows: rows
                    .iter()
                    .map(|row| MemberJoin {
                        id: row.id.clone(),
                        address: row.address.clone(),
                        fields: Record::new(),
                        groups: row.groups.clone(),
                    })
                    .collect(),
            },
            other => other.clone(),
        }
    }
}

impl Write {
    /// Counts the items, each of which gets an outcome of its own.
    pub fn items(&self) -> usize {
        match self {
            Write::EditGroups { edits } => edits.len(),
            Write::CreateMembers { rows, .. } => rows.len(),
            Write::UpdateMembers { edits } => edits.len(),
            Write::JoinGroups { rows } => rows.len(),
            Write::LeaveGroups { rows, .. } => rows.len(),
            Write::BringBack { rows } => rows.len(),
            Write::AddMemberships { members, .. }
            | Write::RemoveMemberships { members, .. }
            | Write::OptOutOfAccount { members } => members.len(),
            Write::CreateGroup { .. }
            | Write::DeleteGroup { .. }
            | Write::ChangeAddress { .. }
            | Write::CreateOptedOut { .. }
            | Write::OptOutOfGroups { .. }
            | Write::CreateCustomField { .. } => 1,
        }
    }

    /// Splits off the second half of the items; nothing when there is one item or none.
    ///
    /// Used to close in on the one item for which a provider refuses a whole batch.
    pub fn halve(self) -> (Write, Option<Write>) {
        if self.items() < 2 {
            return (self, None);
        }
        let half = self.items() / 2;
        match self {
            Write::EditGroups { mut edits } => {
                let rest = edits.split_off(half);
                (
                    Write::EditGroups { edits },
                    Some(Write::EditGroups { edits: rest }),
                )
            }
            Write::CreateMembers { mut rows, join } => {
                let rest = rows.split_off(half);
                (
                    Write::CreateMembers {
                        rows,
                        join: join.clone(),
                    },
                    Some(Write::CreateMembers { rows: rest, join }),
                )
            }
            Write::UpdateMembers { mut edits } => {
                let rest = edits.split_off(half);
                (
                    Write::UpdateMembers { edits },
                    Some(Write::UpdateMembers { edits: rest }),
                )
            }
            Write::AddMemberships { group, mut members } => {
                let rest = members.split_off(half);
                (
                    Write::AddMemberships {
                        group: group.clone(),
                        members,
                    },
                    Some(Write::AddMemberships {
                        group,
                        members: rest,
                    }),
                )
            }
            Write::RemoveMemberships { group, mut members } => {
                let rest = members.split_off(half);
                (
                    Write::RemoveMemberships {
                        group: group.clone(),
                        members,
                    },
                    Some(Write::RemoveMemberships {
                        group,
                        members: rest,
                    }),
                )
            }
            Write::JoinGroups { mut rows } => {
                let rest = rows.split_off(half);
                (
                    Write::JoinGroups { rows },
                    Some(Write::JoinGroups { rows: rest }),
                )
            }
            Write::LeaveGroups { mut rows, how } => {
                let rest = rows.split_off(half);
                (
                    Write::LeaveGroups { rows, how },
                    Some(Write::LeaveGroups { rows: rest, how }),
                )
            }
            Write::BringBack { mut rows } => {
                let rest = rows.split_off(half);
                (
                    Write::BringBack { rows },
                    Some(Write::BringBack { rows: rest }),
                )
            }
            Write::OptOutOfAccount { mut members } => {
                let rest = members.split_off(half);
                (
                    Write::OptOutOfAccount { members },
                    Some(Write::OptOutOfAccount { members: rest }),
                )
            }
            single => (single, None),
        }
    }
}

/// What an answer says of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemOutcome {
    /// The answer confirms it; with the id of what was created, where it tells.
    Done {
        /// The id.
        id: Option<String>,
    },
    /// The answer is favourable and proves nothing: read it back (rule 9).
    Accepted {
        /// The id, as claimed.
        id: Option<String>,
    },
    /// The provider refused this item.
    Refused(Refusal),
    /// The answer says nothing of this item: read it back.
    Unknown,
}

/// The handle of work that a provider goes on with after its answer. Whoever waits for the outcome
/// holds it; once it is dropped with all its clones, nobody will ask any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The provider's id of the work.
    pub id: String,
    held: Arc<()>,
}

impl Ticket {
    /// Makes the handle of work with this id.
    pub fn new(id: impl Into<String>) -> Self {
        Ticket {
            id: id.into(),
            held: Arc::default(),
        }
    }

    /// Returns what tells whoever gave the ticket out whether it is still held.
    pub fn stub(&self) -> TicketStub {
        TicketStub(Arc::downgrade(&self.held))
    }
}

/// What is left of a ticket with whoever gave it out.
#[derive(Clone, Debug)]
pub struct TicketStub(Weak<()>);

impl TicketStub {
    /// Tells whether anybody still waits for the outcome.
    pub fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// What an answer says of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// One outcome per item, in the order of the items.
    Items(Vec<ItemOutcome>),
    /// The provider works on: ask again with the ticket.
    Pending(Ticket),
}

/// What a write will be like, before it is put together: enough to tell what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Creates a group.
    CreateGroup,
    /// Changes so many groups.
    EditGroups(usize),
    /// Creates so many people.
    CreateMembers(usize),
    /// Changes profiles.
    UpdateMembers {
        /// How many people.
        people: usize,
        /// Whether a field of any of them is emptied.
        clears: bool,
    },
    /// Changes an address.
    ChangeAddress,
    /// Joins so many people to groups of their own.
    Join(usize),
    /// Takes people out of groups of their own.
    Leave {
        /// How many people.
        people: usize,
        /// How many memberships.
        memberships: usize,
        /// How they leave.
        how: Leaving,
    },
    /// Brings so many people back.
    BringBack(usize),
    /// Anything else.
    Other,
}

/// How many requests something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Requests that write.
    pub writes: u64,
    /// Requests that read: looks before and after, and questions whether work has ended.
    pub reads: u64,
    /// Seconds for which work that the provider goes on with is waited for.
    pub waits: u64,
}

impl std::ops::AddAssign for Takes {
    fn add_assign(&mut self, other: Takes) {
        self.writes += other.writes;
        self.reads += other.reads;
        self.waits += other.waits;
    }
}
