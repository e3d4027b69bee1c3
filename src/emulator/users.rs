//! The people who log in to an ActiveCampaign account, and the groups that say what they may do
//! there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::history::Change;
use super::world::{Account, fold};

/// The built-in group of people who are not logged in.
pub(super) const VISITOR: u64 = 1;
/// The built-in group of full rights.
pub(super) const ADMIN: u64 = 3;

/// The permissions that the version 1 calls write.
pub(super) const WRITABLE_FLAGS: [&str; 32] = [
    "pg_automation_manage",
    "pg_form_edit",
    "pg_list_add",
    "pg_list_bounce",
    "pg_list_delete",
    "pg_list_edit",
    "pg_list_emailaccount",
    "pg_list_headers",
    "pg_message_add",
    "pg_message_delete",
    "pg_message_edit",
    "pg_message_send",
    "pg_reports_campaign",
    "pg_reports_deal",
    "pg_reports_list",
    "pg_reports_trend",
    "pg_reports_user",
    "pg_subscriber_add",
    "pg_subscriber_approve",
    "pg_subscriber_delete",
    "pg_subscriber_edit",
    "pg_subscriber_export",
    "pg_subscriber_fields",
    "pg_subscriber_filters",
    "pg_subscriber_import",
    "pg_subscriber_sync",
    "pg_template_add",
    "pg_template_delete",
    "pg_template_edit",
    "pg_user_add",
    "pg_user_delete",
    "pg_user_edit",
];

/// Permissions that are shown and can't be written through version 1.
pub(super) const READ_ONLY_FLAGS: [&str; 20] = [
    "pg_account_add",
    "pg_account_delete",
    "pg_account_edit",
    "pg_deal",
    "pg_deal_delete",
    "pg_deal_export",
    "pg_deal_fields",
    "pg_deal_reassign",
    "pg_group_add",
    "pg_group_delete",
    "pg_group_edit",
    "pg_mfa_admin",
    "pg_personalization_add",
    "pg_personalization_delete",
    "pg_personalization_edit",
    "pg_saved_responses_manage",
    "pg_startup_gettingstarted",
    "pg_startup_reports",
    "pg_subscriber_actions",
    "pg_subscriber_merge",
];

/// What a user group may have a limit of.
pub(super) const LIMITS: [&str; 6] = [
    "attachment",
    "campaign",
    "list",
    "mail",
    "subscriber",
    "user",
];

/// A quantity that a user group may not exceed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserGroupLimit {
    /// How many.
    pub quantity: u64,
    /// In which period, for limits of campaigns and mail: day, week, month, month1st, monthcdate,
    /// year or ever.
    #[serde(default)]
    pub per: String,
}

/// A group of users with the same permissions (ActiveCampaign).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserGroup {
    /// Its id; 1 to 3 are built in.
    pub id: u64,
    /// Its title, which need not be unique.
    pub title: String,
    /// Its description.
    pub description: String,
    /// The permissions that are granted, by their names in version 1, such as `pg_list_add`.
    pub permissions: BTreeSet<String>,
    /// Limits by what they limit: attachment, campaign, list, mail, subscriber or user.
    pub limits: BTreeMap<String, UserGroupLimit>,
    /// The lists that its users see.
    pub lists: BTreeSet<u64>,
    /// The sending methods that its users may choose.
    pub send_methods: BTreeSet<u64>,
    /// Whether every mail must hold an unsubscribe link.
    pub unsubscribe_link: bool,
    /// Complaints in percent above which sending stops.
    pub abuse_ratio: u64,
    /// When it was last saved.
    pub saved: Option<Timestamp>,
}

/// A person who may log in (ActiveCampaign).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// The id.
    pub id: u64,
    /// The unique name to log in with.
    pub username: String,
    /// The address.
    pub email: String,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// The telephone number.
    pub phone: String,
    /// The language of the pages.
    pub language: String,
    /// The time zone of the pages.
    pub time_zone: String,
    /// The stored hash of the password, which the service shows and nobody should keep.
    pub password_hash: String,
    /// The one user group.
    pub group: u64,
}

/// The stored form of a made-up password.
pub(super) fn hash_password(password: &str) -> String {
    format!(
        "hashed-{}",
        &blake3::hash(password.as_bytes()).to_hex()[..32]
    )
}

impl Account {
    /// Sets up what every new ActiveCampaign account has.
    pub(super) fn furnish_users(&mut self) {
        let all: BTreeSet<String> = WRITABLE_FLAGS
            .iter()
            .chain(&READ_ONLY_FLAGS)
            .map(|flag| (*flag).to_owned())
            .collect();
        for (id, title, permissions) in [
            (VISITOR, "Visitor", BTreeSet::new()),
            (2, "User", BTreeSet::new()),
            (ADMIN, "Admin", all),
        ] {
            let group = UserGroup {
                id,
                title: title.to_owned(),
                permissions,
                send_methods: BTreeSet::from([1]),
                abuse_ratio: 4,
                ..UserGroup::default()
            };
            self.user_groups.insert(id, group);
        }
        let owner = User {
            id: 1,
            username: "admin".to_owned(),
            email: format!("owner@{}.test", self.name),
            first_name: "Ada".to_owned(),
            last_name: "Owner".to_owned(),
            language: "english".to_owned(),
            time_zone: "America/Chicago".to_owned(),
            password_hash: hash_password(&self.name),
            group: ADMIN,
            ..User::default()
        };
        self.users.insert(1, owner);
    }

    /// Puts an address on the list of those that no import takes in.
    pub fn exclude_address(&mut self, email: &str) {
        self.excluded.insert(fold(email));
    }

    fn take_user_id(&mut self) -> u64 {
        let highest = self
            .user_groups
            .keys()
            .next_back()
            .max(self.users.keys().next_back())
            .copied()
            .unwrap_or(0);
        let id = self.next_user_id.max(highest + 1);
        self.next_user_id = id + 1;
        id
    }

    /// Makes a user group without any permission and returns its id.
    pub fn add_user_group(&mut self, title: &str) -> u64 {
        let id = self.take_user_id();
        let group = UserGroup {
            id,
            title: title.to_owned(),
            send_methods: BTreeSet::from([1]),
            abuse_ratio: 4,
            saved: Some(self.now),
            ..UserGroup::default()
        };
        self.user_groups.insert(id, group);
        self.record(Change::UserGroupCreated {
            group: id,
            title: title.to_owned(),
        });
        id
    }

    /// The user group with this id.
    pub fn user_group(&self, id: u64) -> Option<&UserGroup> {
        self.user_groups.get(&id)
    }

    /// The user group with this id, to be edited freely; such edits are not part of the history.
    ///
    /// # Panics
    ///
    /// Panics when there is no such user group.
    pub fn user_group_mut(&mut self, id: u64) -> &mut UserGroup {
        self.user_groups
            .get_mut(&id)
            .unwrap_or_else(|| panic!("the emulated account has no user group {id}"))
    }

    /// The id of the first user group with exactly this title.
    pub fn find_user_group(&self, title: &str) -> Option<u64> {
        self.user_groups
            .values()
            .find(|group| group.title == title)
            .map(|group| group.id)
    }

    /// Gives a user group another title.
    pub fn rename_user_group(&mut self, id: u64, title: &str) {
        let renamed = UserGroup {
            title: title.to_owned(),
            ..self.user_group_mut(id).clone()
        };
        self.replace_user_group(renamed);
    }

    /// Writes all of a user group and records which attributes differ.
    pub(super) fn replace_user_group(&mut self, mut wanted: UserGroup) {
        let present = self.user_group_mut(wanted.id);
        let mut fields = Vec::new();
        for (name, differs) in [
            ("title", present.title != wanted.title),
            ("descript", present.description != wanted.description),
            ("permissions", present.permissions != wanted.permissions),
            ("limits", present.limits != wanted.limits),
            ("lists", present.lists != wanted.lists),
            ("sendmethods", present.send_methods != wanted.send_methods),
            (
                "unsubscribelink",
                present.unsubscribe_link != wanted.unsubscribe_link,
            ),
            ("abuseratio", present.abuse_ratio != wanted.abuse_ratio),
        ] {
            if differs {
                fields.push(name.to_owned());
            }
        }
        let id = wanted.id;
        wanted.saved = Some(self.now);
        *self.user_group_mut(id) = wanted;
        if !fields.is_empty() {
            self.record(Change::UserGroupChanged { group: id, fields });
        }
    }

    /// Deletes a user group after moving its users to another one.
    pub fn delete_user_group(&mut self, id: u64, heir: u64) {
        for user in self.users_in(id) {
            self.move_user(user, heir);
        }
        if self.user_groups.remove(&id).is_some() {
            self.record(Change::UserGroupDeleted { group: id });
        }
    }

    /// Lets the users of a group see a list or not.
    pub fn grant_list(&mut self, group: u64, list: u64, granted: bool) {
        let entry = self.user_group_mut(group);
        let changed = if granted {
            entry.lists.insert(list)
        } else {
            entry.lists.remove(&list)
        };
        if changed {
            self.record(Change::UserGroupChanged {
                group,
                fields: vec!["lists".to_owned()],
            });
        }
    }

    /// Makes a user and returns the id.
    pub fn add_user(&mut self, username: &str, email: &str, group: u64) -> u64 {
        self.insert_user(User {
            username: username.to_owned(),
            email: email.to_owned(),
            group,
            ..User::default()
        })
    }

    pub(super) fn insert_user(&mut self, mut user: User) -> u64 {
        let id = self.take_user_id();
        user.id = id;
        if user.password_hash.is_empty() {
            user.password_hash = hash_password(&user.username);
        }
        let group = user.group;
        self.users.insert(id, user);
        self.record(Change::UserCreated { user: id, group });
        id
    }

    /// The user with this id.
    pub fn user(&self, id: u64) -> Option<&User> {
        self.users.get(&id)
    }

    /// The user with this id, to be edited freely; such edits are not part of the history.
    ///
    /// # Panics
    ///
    /// Panics when there is no such user.
    pub fn user_mut(&mut self, id: u64) -> &mut User {
        self.users
            .get_mut(&id)
            .unwrap_or_else(|| panic!("the emulated account has no user {id}"))
    }

    /// The first user with this address, in any case.
    pub fn user_by_email(&self, email: &str) -> Option<u64> {
        self.users
            .values()
            .find(|user| fold(&user.email) == fold(email))
            .map(|user| user.id)
    }

    /// The user with this name, in any case.
    pub fn user_by_name(&self, username: &str) -> Option<u64> {
        self.users
            .values()
            .find(|user| fold(&user.username) == fold(username))
            .map(|user| user.id)
    }

    /// The users of a group.
    pub fn users_in(&self, group: u64) -> Vec<u64> {
        self.users
            .values()
            .filter(|user| user.group == group)
            .map(|user| user.id)
            .collect()
    }

    /// Puts a user into another group; a user is in exactly one.
    pub fn move_user(&mut self, id: u64, group: u64) {
        let from = std::mem::replace(&mut self.user_mut(id).group, group);
        if from != group {
            self.record(Change::UserMoved {
                user: id,
                from,
                to: group,
            });
        }
    }

    /// Takes a user's login away.
    pub fn delete_user(&mut self, id: u64) {
        if self.users.remove(&id).is_some() {
            self.logins.retain(|login| login.user_id != id);
            self.record(Change::UserDeleted { user: id });
        }
    }
}
