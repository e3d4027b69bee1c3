//! The record of every change to the emulated accounts, whoever made it.

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

impl Change {
    /// Whether somebody who had refused mail gets mail again by this change.
    pub fn undoes_opt_out(&self) -> bool {
        matches!(
            self,
            Self::GroupOptOutCleared { .. } | Self::AccountOptOutCleared { .. }
        )
    }
}
