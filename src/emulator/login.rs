//! Who may log into an account and what they see of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::world::{Account, Kind};

/// A user who can reach an account over the API. All values are made up for rehearsals.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Login {
    /// The user's id (emfluence `userID`, the ActiveCampaign user whose user group rules).
    pub user_id: u64,
    /// The address that GreenRope logs in with.
    pub email: String,
    /// The password that GreenRope logs in with.
    pub password: String,
    /// The access token (emfluence), the key (ActiveCampaign), or a fixed `auth_token` that never
    /// expires (GreenRope).
    pub token: String,
    /// Whether this login owns the account; a GreenRope login that does not is a shared-access
    /// user.
    pub owner: bool,
    /// What the user may do.
    pub rights: Rights,
    /// The groups this login sees; none means it sees everything.
    #[serde(default)]
    pub sees_groups: Option<BTreeSet<u64>>,
}

impl Login {
    /// The unrestricted login of a fresh account.
    pub(super) fn owner(account: &str, number: u32) -> Self {
        Self {
            user_id: 1,
            email: format!("owner@{account}.test"),
            password: format!("fake-password-{account}"),
            token: fake_token(account, number),
            owner: true,
            rights: Rights::all(),
            sees_groups: None,
        }
    }

    /// A login that sees only the given groups and, at emfluence, only the contacts it owns.
    pub fn restricted(account: &str, user_id: u32, groups: impl IntoIterator<Item = u64>) -> Self {
        Self {
            user_id: u64::from(user_id),
            email: format!("user{user_id}@{account}.test"),
            password: format!("fake-password-{account}-{user_id}"),
            token: fake_token(account, 900_000 + user_id),
            owner: false,
            rights: Rights::all(),
            sees_groups: Some(groups.into_iter().collect()),
        }
    }

    /// A login of an ActiveCampaign user, who may do and see what the user group allows.
    pub fn of_user(account: &str, user_id: u32) -> Self {
        Self {
            sees_groups: None,
            ..Self::restricted(account, user_id, [])
        }
    }

    /// Whether this login sees a group.
    pub(super) fn sees(&self, group: u64) -> bool {
        self.sees_groups
            .as_ref()
            .is_none_or(|groups| groups.contains(&group))
    }
}

/// A token in the shape of a GUID that nobody could mistake for a real one.
fn fake_token(account: &str, number: u32) -> String {
    let digest = blake3::hash(account.as_bytes()).to_hex();
    format!(
        "fa4e0000-0000-4000-8000-{}{:06x}",
        &digest.as_str()[..6],
        number & 0x00ff_ffff
    )
}

/// What a user may do, as far as the provider pages name permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// emfluence "Create Groups"; GreenRope "New Group".
    pub create_groups: bool,
    /// emfluence "Contacts (Edit)", which reading the members of a group needs as well.
    pub contacts_edit: bool,
    /// emfluence "Contacts (Delete)".
    pub contacts_delete: bool,
    /// emfluence client admin, who alone reads custom field definitions.
    pub client_admin: bool,
}

impl Rights {
    /// Every right.
    pub fn all() -> Self {
        Self {
            create_groups: true,
            contacts_edit: true,
            contacts_delete: true,
            client_admin: true,
        }
    }
}

/// How to reach an account of the emulator. The values are test data, not secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The account's name inside the emulator.
    pub account: String,
    /// The kind of provider.
    pub kind: Kind,
    /// The path below the emulator's address that a client uses as its base URL.
    pub base_path: String,
    /// The access token (emfluence), key (ActiveCampaign) or fixed token (GreenRope).
    pub token: String,
    /// The login's address.
    pub email: String,
    /// The login's password.
    pub password: String,
    /// The account number.
    pub account_id: String,
}

impl Account {
    /// The credentials of the account's owner.
    pub fn credentials(&self) -> Credentials {
        self.logins.first().map_or_else(
            || self.credentials_for(&Login::owner(&self.name, 0)),
            |login| self.credentials_for(login),
        )
    }

    /// The credentials of one login of this account.
    pub fn credentials_for(&self, login: &Login) -> Credentials {
        Credentials {
            account: self.name.clone(),
            kind: self.kind,
            base_path: match self.kind {
                Kind::Emfluence => "/emfluence/v1".to_owned(),
                Kind::GreenRope => "/greenrope/api-xml".to_owned(),
                Kind::ActiveCampaign => "/activecampaign".to_owned(),
            },
            token: login.token.clone(),
            email: login.email.clone(),
            password: login.password.clone(),
            account_id: self.number.clone(),
        }
    }
}
