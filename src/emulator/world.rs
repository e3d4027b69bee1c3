//! What the emulated accounts hold: one model for every kind of provider.
//!
//! Profile values live under neutral names (`first_name`, `zip`), which each provider's part
//! translates to its own spelling; a name without a neutral counterpart keeps a name of its own.
//! Nothing is dropped on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::contacts::Contacts;
use super::history::Change;
use super::id_map::IdMap;
use super::login::Login;
use super::settings::Settings;
use super::users::{User, UserGroup};
use super::values::Values;

/// The time a new world starts at: 2026-01-05 08:00:00 UTC, in seconds since 1970.
const START: i64 = 1_767_600_000;

/// Names the kind of provider an account belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The emfluence Marketing Platform, API version 1.
    Emfluence,
    /// GreenRope, whose accounts are reached over its XML API.
    GreenRope,
    /// ActiveCampaign, versions 1 and 3 of its API.
    ActiveCampaign,
}

impl Kind {
    /// The name used in configs, logs and fault rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emfluence => "emfluence",
            Self::GreenRope => "greenrope",
            Self::ActiveCampaign => "activecampaign",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The clock of a world: it moves by a fixed step with each request and never reads the system's
/// clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The present moment.
    pub now: Timestamp,
    /// Seconds that pass with each request.
    pub step: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            now: Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH),
            step: 1,
        }
    }
}

impl Clock {
    /// Moves the clock forward.
    pub fn advance(&mut self, seconds: i64) {
        self.now = plus_seconds(self.now, seconds);
    }
}

/// Adds seconds to a moment, staying at the end of time instead of leaving it.
pub(super) fn plus_seconds(moment: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(moment.as_second().saturating_add(seconds)).unwrap_or(moment)
}

/// Everything the emulator holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct World {
    /// The clock shared by all accounts.
    #[serde(default)]
    pub clock: Clock,
    /// The accounts, several of each kind if wanted.
    pub accounts: Vec<Account>,
}

impl World {
    /// Makes a world without accounts.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Finds an account by the name it has inside the emulator.
    pub fn find_account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// Returns an account by name.
    ///
    /// # Panics
    ///
    /// Panics when there is no such account: the names are chosen by whoever builds the world.
    pub fn account(&self, name: &str) -> &Account {
        self.find_account(name)
            .unwrap_or_else(|| panic!("the emulated world has no account named {name}"))
    }

    /// Returns an account by name, to be edited.
    ///
    /// # Panics
    ///
    /// Panics when there is no such account.
    pub fn account_mut(&mut self, name: &str) -> &mut Account {
        self.accounts
            .iter_mut()
            .find(|account| account.name == name)
            .unwrap_or_else(|| panic!("the emulated world has no account named {name}"))
    }

    /// Lifts the pace limit of every account, for demonstrations that should not take minutes.
    pub fn without_pace(mut self) -> Self {
        for account in &mut self.accounts {
            account.settings.requests_per_minute = None;
            account.settings.requests_per_second = None;
        }
        self
    }

    /// Adds an account and returns it for editing.
    pub fn add_account(&mut self, mut account: Account) -> &mut Account {
        account.now = self.clock.now;
        self.accounts.push(account);
        let last = self.accounts.len() - 1;
        &mut self.accounts[last]
    }

    /// Tells every account what time it is.
    pub(super) fn sync_clock(&mut self) {
        for account in &mut self.accounts {
            account.now = self.clock.now;
        }
    }
}

/// One account at one provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// Which provider it stands for.
    pub kind: Kind,
    /// Its name inside the emulator, as used by tests, logs and fault rules.
    pub name: String,
    /// The account number (GreenRope's `account_id`).
    pub number: String,
    /// Who may log in. The first one is the owner.
    pub logins: Vec<Login>,
    /// Limits, quirks and strictness.
    #[serde(default)]
    pub settings: Settings,
    /// Groups by id.
    #[serde(default)]
    pub groups: BTreeMap<u64, Group>,
    /// Contacts by id.
    #[serde(default)]
    pub contacts: Contacts,
    /// Definitions of the custom fields.
    #[serde(default)]
    pub fields: Vec<CustomField>,
    /// Groups of users by id (ActiveCampaign).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user_groups: BTreeMap<u64, UserGroup>,
    /// Users by id (ActiveCampaign).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<u64, User>,
    /// Folded addresses that the importer passes over (ActiveCampaign).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub excluded: BTreeSet<String>,
    /// The id that the next new user or user group takes.
    #[serde(default)]
    pub(super) next_user_id: u64,
    /// The id that the next new object takes, if the existing ids do not ask for a higher one.
    #[serde(default)]
    pub next_id: u64,
    /// The present moment, set from the world's clock.
    #[serde(skip)]
    pub(super) now: Timestamp,
    /// Changes not yet moved to the emulator's history.
    #[serde(skip)]
    pub(super) pending: Vec<Change>,
}

impl Account {
    /// Makes an empty account with one unrestricted, obviously fake login.
    pub fn new(kind: Kind, name: &str, number: u32) -> Self {
        let mut account = Self {
            kind,
            name: name.to_owned(),
            number: number.to_string(),
            logins: vec![Login::owner(name, number)],
            settings: Settings::of(kind),
            groups: BTreeMap::new(),
            contacts: Contacts::default(),
            fields: Vec::new(),
            user_groups: BTreeMap::new(),
            users: BTreeMap::new(),
            excluded: BTreeSet::new(),
            next_user_id: 0,
            next_id: match kind {
                Kind::Emfluence => 1001,
                Kind::GreenRope => 101,
                Kind::ActiveCampaign => 1,
            },
            now: Clock::default().now,
            pending: Vec::new(),
        };
        if kind == Kind::Emfluence {
            let all = account.add_group("All");
            if let Some(group) = account.groups.get_mut(&all) {
                group.kind = GroupKind::BuiltIn;
            }
        }
        if kind == Kind::ActiveCampaign {
            account.furnish_users();
        }
        account.pending.clear();
        account
    }

    /// Takes an id that no object of this account has had.
    pub(super) fn take_id(&mut self) -> u64 {
        let highest = self
            .groups
            .keys()
            .next_back()
            .copied()
            .max(self.contacts.last_id())
            .unwrap_or(0);
        let id = self.next_id.max(highest + 1);
        self.next_id = id + 1;
        id
    }
}

/// Whether a group's members are chosen by people, by a query or by the provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// Members are added and removed one by one.
    #[default]
    Static,
    /// Members are computed by a query.
    Dynamic,
    /// The provider's own group of everybody.
    BuiltIn,
}

/// Whether a group is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupStatus {
    /// In use.
    #[default]
    Active,
    /// Put away, hidden from listings by default.
    Archived,
}

/// Who gets to see a group in the provider's own pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Members and staff; the only other value at emfluence.
    #[default]
    Private,
    /// Staff only (GreenRope).
    Hidden,
}

/// One group. Attributes that an account's provider does not have stay empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// Its id.
    pub id: u64,
    /// Its unique name.
    pub name: String,
    /// Static, dynamic or built in.
    pub kind: GroupKind,
    /// Active or archived.
    pub status: GroupStatus,
    /// Who sees it.
    pub visibility: Visibility,
    /// emfluence: the name shown to contacts.
    pub friendly_name: String,
    /// emfluence: the description shown to contacts.
    pub description: String,
    /// emfluence: the id of the record in the client's system.
    pub external_id: String,
    /// emfluence: whether it can't be archived or deleted.
    pub protected: bool,
    /// emfluence: internal notes.
    pub notes: String,
    /// emfluence: the owning user.
    pub owner: Option<u64>,
    /// emfluence: the email that goes out to whoever is added.
    pub auto_response: Option<u64>,
    /// emfluence: whether the group receives test mailings.
    pub send_tests: bool,
    /// emfluence: users with access.
    pub user_ids: Vec<u64>,
    /// ActiveCampaign: everything else that a list has, by the name in version 1, such as
    /// `sender_addr1`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// GreenRope and ActiveCampaign: the name that mail comes from.
    pub sender_name: String,
    /// GreenRope: the address that mail comes from.
    pub sender_email: String,
    /// GreenRope: the postal address in the footer of mail.
    pub postal_address: String,
    /// GreenRope: the time zone of the group's events.
    pub time_zone: String,
    /// GreenRope: whether mail holds a login link.
    pub login_link: bool,
    /// When it was made.
    pub added: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
    /// When it was last mailed.
    pub last_sent: Option<Timestamp>,
    /// Its members by contact id.
    pub members: IdMap<Membership>,
    /// Who has been a member and was taken out, with the state they had then.
    pub former: BTreeMap<u64, MembershipState>,
    /// Whom an administrator took off the list (ActiveCampaign): no members, and still counted by
    /// version 3, with the status 91.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ended: BTreeSet<u64>,
}

/// The state of one person in one group or list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MembershipState {
    /// Gets the group's mail, if nothing at account level forbids it.
    #[default]
    Active,
    /// Has not yet confirmed the subscription.
    Unconfirmed,
    /// Mail of this group bounced.
    Bounced,
    /// Refused the group's mail.
    OptedOut,
}

/// One person in one group or list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The state.
    pub state: MembershipState,
    /// When the membership was made.
    pub since: Timestamp,
    /// When the state last changed away from active.
    #[serde(default)]
    pub changed: Option<Timestamp>,
    /// Whether a refusal was written by a request of the API, and is no click of the person's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_api: bool,
}

/// One contact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    /// Its id.
    pub id: u64,
    /// The address as it was entered; may be empty at GreenRope.
    pub email: String,
    /// Profile values by neutral name; only those that are not empty.
    pub profile: Values,
    /// Custom values by the field's name.
    pub custom: Values,
    /// When the person refused all mail of the account.
    pub opted_out: Option<Timestamp>,
    /// When the address was given up after bounces (emfluence "held", GreenRope "bounced").
    pub bounced: Option<Timestamp>,
    /// The user who owns the record (emfluence).
    pub owner: u64,
    /// When it was made.
    pub added: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
    /// When the person last opened or clicked something.
    pub last_activity: Option<Timestamp>,
    /// When the person last clicked something.
    pub last_click: Option<Timestamp>,
    /// Labels (GreenRope and ActiveCampaign).
    pub tags: Vec<String>,
}

impl Contact {
    /// A profile value by neutral name, or the empty text.
    pub fn get(&self, name: &str) -> &str {
        self.profile.get(name).unwrap_or_default()
    }

    /// Whether the address is the same, spelt in any case.
    pub fn has_address(&self, email: &str) -> bool {
        !self.email.is_empty() && fold(&self.email) == fold(email)
    }
}

/// The form in which addresses and names are compared.
pub(super) fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}

/// The definition of one custom field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomField {
    /// Its id (GreenRope `UserFieldID`).
    pub id: u64,
    /// The name values are kept under: emfluence `systemName`, GreenRope `FieldName`,
    /// ActiveCampaign `perstag`.
    pub name: String,
    /// The label people see (emfluence and ActiveCampaign).
    pub label: String,
    /// The provider's word for the type.
    pub data_type: String,
    /// The longest allowed value in characters; 0 means no limit.
    pub max_length: usize,
    /// The allowed values of a choice.
    pub possible_values: Vec<String>,
    /// Whether the contact sees or edits it (GreenRope): Hidden, Visible or Editable.
    pub editable: String,
    /// The lists it belongs to (ActiveCampaign); none means all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<u64>,
    /// When it was last changed.
    pub modified: Timestamp,
}
