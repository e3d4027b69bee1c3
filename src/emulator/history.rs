//! The record of every change to the emulated accounts, whoever made it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Tells who made a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A person in the provider's own pages.
    #[default]
    Person,
    /// The API request with this number in the request log.
    Request(u64),
}

/// One change, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// Position in the history, from 1.
    pub seq: u64,
    /// When, by the world's clock.
    pub at: Timestamp,
    /// The account's name inside the emulator.
    pub account: String,
    /// Who did it.
    pub actor: Actor,
    /// What happened.
    #[serde(flatten)]
    pub change: Change,
}

/// What can happen to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A group was made.
    GroupCreated {
        /// The group.
        group: u64,
        /// Its name.
        name: String,
    },
    /// A group got another name.
    GroupRenamed {
        /// The group.
        group: u64,
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// Other attributes of a group changed.
    GroupChanged {
        /// The group.
        group: u64,
        /// The attributes, by the provider's names.
        fields: Vec<String>,
    },
    /// A group was put away.
    GroupArchived {
        /// The group.
        group: u64,
    },
    /// An archived group came back into use.
    GroupRestored {
        /// The group.
        group: u64,
    },
    /// A group was deleted.
    GroupDeleted {
        /// The group.
        group: u64,
    },
    /// A contact was made.
    ContactCreated {
        /// The contact.
        contact: u64,
    },
    /// Profile values of a contact changed.
    ContactChanged {
        /// The contact.
        contact: u64,
        /// The fields, by neutral or custom name.
        fields: Vec<String>,
    },
    /// A contact got another address.
    AddressChanged {
        /// The contact.
        contact: u64,
        /// The old address.
        from: String,
        /// The new address.
        to: String,
    },
    /// A contact was deleted.
    ContactDeleted {
        /// The contact.
        contact: u64,
        /// Whether the account's record of an opt-out went with it.
        opted_out: bool,
    },
    /// A contact joined a group.
    MembershipAdded {
        /// The group.
        group: u64,
        /// The contact.
        contact: u64,
        /// Whether the contact had been a member and was taken out before.
        again: bool,
    },
    /// A contact left a group.
    MembershipRemoved {
        /// The group.
        group: u64,
        /// The contact.
        contact: u64,
        /// Whether the contact had opted out of the group, a fact that is lost with the membership.
        opted_out: bool,
    },
    /// A contact opted out of a group.
    GroupOptOutSet {
        /// The group.
        group: u64,
        /// The contact.
        contact: u64,
    },
    /// A group opt-out was undone: the contact gets the group's mail again.
    GroupOptOutCleared {
        /// The group.
        group: u64,
        /// The contact.
        contact: u64,
    },
    /// A contact opted out of the whole account.
    AccountOptOutSet {
        /// The contact.
        contact: u64,
    },
    /// An account opt-out was undone.
    AccountOptOutCleared {
        /// The contact.
        contact: u64,
    },
    /// An address was given up after bounces.
    BounceSet {
        /// The contact.
        contact: u64,
    },
    /// A given-up address is used again.
    BounceCleared {
        /// The contact.
        contact: u64,
    },
    /// A membership got another state that is no opt-out.
    MembershipChanged {
        /// The group.
        group: u64,
        /// The contact.
        contact: u64,
    },
    /// An automatic mail went out because somebody was added to a group.
    MailSent {
        /// The group.
        group: u64,
        /// The contact.
        contact: u64,
    },
    /// An automation started because somebody was subscribed to a list.
    AutomationStarted {
        /// The list.
        group: u64,
        /// The contact.
        contact: u64,
    },
    /// A group of users was made.
    UserGroupCreated {
        /// The user group.
        group: u64,
        /// Its title.
        title: String,
    },
    /// Attributes of a group of users changed.
    UserGroupChanged {
        /// The user group.
        group: u64,
        /// The attributes, by the provider's names.
        fields: Vec<String>,
    },
    /// A group of users was deleted.
    UserGroupDeleted {
        /// The user group.
        group: u64,
    },
    /// Somebody may log in.
    UserCreated {
        /// The user.
        user: u64,
        /// The user group.
        group: u64,
    },
    /// Profile values of a user changed.
    UserChanged {
        /// The user.
        user: u64,
        /// The fields, by the provider's names.
        fields: Vec<String>,
    },
    /// A user was put into another user group.
    UserMoved {
        /// The user.
        user: u64,
        /// The old user group.
        from: u64,
        /// The new user group.
        to: u64,
    },
    /// Somebody may not log in any more.
    UserDeleted {
        /// The user.
        user: u64,
    },
    /// A custom field was defined, changed or deleted.
    FieldChanged {
        /// The field's name.
        field: String,
    },
}

/// All changes so far.
///
/// A first run at a large account makes millions of changes, nearly all of which are somebody new
/// and somebody new in a group: these take little.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Changes of the same request, each with the position of its first one.
    causes: Vec<(usize, Cause)>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Cause {
    at: Timestamp,
    account: Arc<str>,
    actor: Actor,
}

#[derive(Debug)]
enum Entry {
    Created(u64),
    Joined { group: u64, contact: u64 },
    Other(Box<Change>),
}

impl From<Change> for Entry {
    fn from(change: Change) -> Self {
        match change {
            Change::ContactCreated { contact } => Self::Created(contact),
            Change::MembershipAdded {
                group,
                contact,
                again: false,
            } => Self::Joined { group, contact },
            change => Self::Other(Box::new(change)),
        }
    }
}

impl Entry {
    fn change(&self) -> Change {
        match self {
            Self::Created(contact) => Change::ContactCreated { contact: *contact },
            Self::Joined { group, contact } => Change::MembershipAdded {
                group: *group,
                contact: *contact,
                again: false,
            },
            Self::Other(change) => Change::clone(change),
        }
    }
}

impl History {
    /// Adds what somebody changed at one account.
    pub(super) fn add(
        &mut self,
        at: Timestamp,
        account: &str,
        actor: Actor,
        changes: impl Iterator<Item = Change>,
    ) {
        let first = self.entries.len();
        self.entries.extend(changes.map(Entry::from));
        if self.entries.len() > first {
            let account = match self.causes.last() {
                Some((_, last)) if *last.account == *account => last.account.clone(),
                _ => account.into(),
            };
            let cause = Cause { at, account, actor };
            self.causes.push((first, cause));
        }
    }

    pub(super) fn events(&self) -> Vec<HistoryEvent> {
        let mut events = Vec::with_capacity(self.entries.len());
        for (number, (first, cause)) in self.causes.iter().enumerate() {
            let end = self.causes.get(number + 1);
            let end = end.map_or(self.entries.len(), |(first, _)| *first);
            for entry in &self.entries[*first..end] {
                events.push(HistoryEvent {
                    seq: events.len() as u64 + 1,
                    at: cause.at,
                    account: cause.account.to_string(),
                    actor: cause.actor,
                    change: entry.change(),
                });
            }
        }
        events
    }
}

impl Change {
    /// Whether somebody who had refused mail gets mail again by this change.
    pub fn undoes_opt_out(&self) -> bool {
        matches!(
            self,
            Self::GroupOptOutCleared { .. } | Self::AccountOptOutCleared { .. }
        )
    }
}
