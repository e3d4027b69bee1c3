//! Writes to user groups and users.
//!
//! A user is in one group, so joining is a move and leaving is a move to the parking group. No
//! answer is believed about where a user is: it is looked up each time.
//!
//! Version 3 comes first: it takes the group of a user as one number. How version 1 wants it
//! indexed is not certain, and an index that it does not understand puts the user among the
//! administrators, if only until that is seen and put right.

use std::fmt::Write as _;
use std::time::Duration;

use secrecy::SecretString;

use super::super::wire::groups as group_wire;
use super::super::wire::id_of;
use super::super::wire::users::{self as wire, GroupIndex, User};
use super::super::{ActiveCampaign, address_hash};
use super::{neutral, refused};
use crate::http::CallError;
use crate::model::{GroupEdit, ItemOutcome, MemberValues, Record, Settlement, Value, Write};

/// How often it is looked where a user is before they count as elsewhere.
const LOOKS: usize = 3;

/// How long to wait between such looks.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

const BUILT_IN: &str =
    "nobody is put into a group that came with the account: the third of them has every right";

impl ActiveCampaign {
    /// Sends one write to user groups or users and settles its items.
    pub(in super::super) async fn write_users(
        &self,
        write: &Write,
    ) -> Result<Settlement, CallError> {
        if write.items() != 1 {
            return match write.items() {
                0 => Ok(Settlement::Items(Vec::new())),
                items => Err(self.too_many("user_edit", items, 1)),
            };
        }
        let outcome = match write {
            Write::CreateGroup { name, fields } => self.create_user_group(name, fields).await?,
            Write::EditGroups { edits } => self.edit_user_group(&edits[0]).await?,
            Write::DeleteGroup { id } => self.delete_user_group(id).await?,
            Write::CreateMembers { rows, join } => self.create_user(&rows[0], join).await?,
            Write::AddMemberships { group, members } => self.move_user(group, &members[0]).await?,
            Write::RemoveMemberships { group, members } => {
                self.park_user(group, &members[0]).await?
            }
            Write::UpdateMembers { edits } => {
                self.change_user(&edits[0].id, &edits[0].fields, None)
                    .await?
            }
            Write::ChangeAddress { id, address } => {
                let fields = Record::from([("email".into(), Value::from(address.as_str()))]);
                self.change_user(id, &fields, None).await?
            }
            Write::JoinGroups { .. } | Write::LeaveGroups { .. } | Write::BringBack { .. } => {
                return Err(self
                    .account
                    .unsendable("user_edit", "users join and leave groups by id"));
            }
            Write::OptOutOfAccount { .. }
            | Write::CreateOptedOut { .. }
            | Write::OptOutOfGroups { .. } => refused("users of an account have no opt-out"),
            Write::CreateCustomField { .. } => refused("users of an account have no custom fields"),
        };
        Ok(Settlement::Items(vec![outcome]))
    }

    async fn create_user_group(
        &self,
        name: &str,
        fields: &Record,
    ) -> Result<ItemOutcome, CallError> {
        let mut wanted = fields.clone();
        wanted.insert("title".into(), Value::from(name));
        let created = self.tell_v1(group_wire::save(None, &wanted, &[]), |answer| {
            Ok(id_of(answer, "group_id").or_else(|| id_of(answer, "id")))
        });
        let Some(group) = created.await? else {
            return Ok(ItemOutcome::Unknown);
        };
        Ok(match self.settle_user_group(group, &wanted).await {
            Ok(Some(otherwise)) if otherwise.is_empty() => ItemOutcome::Done {
                id: Some(group.to_string()),
            },
            _ => ItemOutcome::Accepted {
                id: Some(group.to_string()),
            },
        })
    }

    async fn edit_user_group(&self, edit: &GroupEdit) -> Result<ItemOutcome, CallError> {
        let group = self.id("group_edit", &edit.id)?;
        let current = self
            .ask_v1(group_wire::view(group), |fields| {
                Ok((group_wire::full(fields)?, group_wire::unshown(fields)))
            })
            .await?;
        let Some((current, unshown)) =
            current.filter(|(current, _)| current.id == group.to_string())
        else {
            return Ok(refused(&format!(
                "user group {group} is not there any more, or the key may not see it"
            )));
        };
        if current.unread.is_some() {
            return Ok(refused(&format!(
                "user group {group} holds characters that can't be read, and an edit would write over them; correct its texts there"
            )));
        }
        // Whatever is not sent is lost, so everything goes back, and what can't be seen can't.
        let lost: Vec<&str> = unshown
            .into_iter()
            .filter(|name| !edit.fields.contains_key(*name))
            .collect();
        if !lost.is_empty() {
            return Ok(refused(&format!(
                "ActiveCampaign does not show {} of user group {group}, and an edit would take it away; change the group there by hand",
                lost.join(" and ")
            )));
        }
        let mut wanted = current.wire;
        wanted.extend(self.flags_unseen(group, &wanted).await?);
        wanted.extend(edit.fields.clone());
        self.tell_v1(group_wire::save(Some(group), &wanted, &[]), |_| Ok(()))
            .await?;
        Ok(match self.settle_user_group(group, &wanted).await {
            Ok(Some(otherwise)) if otherwise.is_empty() => ItemOutcome::Done {
                id: Some(group.to_string()),
            },
            Ok(Some(otherwise)) => refused(&format!(
                "ActiveCampaign answered that user group {group} is saved and shows another value of {}; compare the group there with the config",
                otherwise.join(", ")
            )),
            _ => ItemOutcome::Unknown,
        })
    }

    /// Looks in version 3 for the permissions that version 1 leaves out.
    async fn flags_unseen(&self, group: u64, shown: &Record) -> Result<Record, CallError> {
        let names = group_wire::unshown_flags(shown);
        if names.is_empty() {
            return Ok(Record::new());
        }
        match self
            .ask_v3(group_wire::one(group), |fields| {
                group_wire::flags_of_v3(fields, group, &names)
            })
            .await
        {
            Err(
                CallError::Refused { .. } | CallError::Denied { .. } | CallError::Protocol { .. },
            ) => Ok(Record::new()),
            found => found,
        }
    }

    /// Compares a group with the whole that was sent, and takes permissions away by a zero where
    /// leaving them out did not.
    async fn settle_user_group(
        &self,
        group: u64,
        wanted: &Record,
    ) -> Result<Option<Vec<String>>, CallError> {
        let Some(shown) = self
            .ask_v1(group_wire::view(group), group_wire::full)
            .await?
        else {
            return Ok(None);
        };
        let stuck = group_wire::still_granted(wanted, &shown.wire);
        if stuck.is_empty() {
            return Ok(Some(group_wire::differing(wanted, &shown.wire)));
        }
        // Only now: where permissions go by presence, a zero would grant them.
        self.tell_v1(group_wire::save(Some(group), wanted, &stuck), |_| Ok(()))
            .await?;
        let shown = self
            .ask_v1(group_wire::view(group), group_wire::full)
            .await?;
        Ok(shown.map(|shown| group_wire::differing(wanted, &shown.wire)))
    }

    async fn delete_user_group(&self, id: &str) -> Result<ItemOutcome, CallError> {
        let group = self.id("group_delete", id)?;
        let Some(heir) = self.parking() else {
            return Ok(refused(
                "a user group can't be deleted without a parking_group in the config, which takes its users",
            ));
        };
        if heir == group {
            return Ok(refused(
                "the parking group is never deleted, because it takes whoever leaves another group",
            ));
        }
        if group_wire::is_built_in(group) {
            return Ok(refused(
                "the groups that come with an account can't be deleted",
            ));
        }
        self.tell_v1(group_wire::delete(group, heir), |_| Ok(()))
            .await?;
        Ok(ItemOutcome::Accepted { id: None })
    }

    async fn create_user(
        &self,
        row: &MemberValues,
        join: &[String],
    ) -> Result<ItemOutcome, CallError> {
        let group = match join {
            [group] => self.id("user_add", group)?,
            [] => match self.parking() {
                Some(group) => group,
                // Without a group a new user would land among the administrators.
                None => {
                    return Ok(refused(
                        "a user can't be created without a group; name a parking_group in the config",
                    ));
                }
            },
            _ => return Ok(refused("a user can be in one group only")),
        };
        if group_wire::is_built_in(group) {
            return Ok(refused(BUILT_IN));
        }
        let asked_before = self
            .memory()
            .asked_for
            .contains(&address_hash(&row.address));
        if let Some(known) = self
            .ask_v1(wire::view_email(&row.address), wire::user)
            .await?
        {
            let id = known.id.to_string();
            if join.is_empty() || self.group_of(&known).await? == group {
                return Ok(ItemOutcome::Done { id: Some(id) });
            }
            // Whoever is there by an earlier attempt is put into the right group; whoever came
            // otherwise stays where they are.
            return if asked_before {
                Ok(self.place_created(&id, group).await)
            } else {
                Ok(refused(&format!(
                    "user {id} with this address appeared since the account was read; the next run looks again"
                )))
            };
        }
        let mut user = row.fields.clone();
        let address = Value::from(row.address.as_str());
        user.insert("email".into(), address.clone());
        user.entry("username".into()).or_insert(address);
        for name in ["first_name", "last_name"] {
            if user.get(name).is_none_or(Value::is_empty) {
                return Ok(refused(&format!(
                    "a user can't be created without {name}; fill it in at the source or map it"
                )));
            }
        }
        let Some(password) = unknown_password() else {
            return Ok(refused(
                "no random password could be made on this machine, so no user is created",
            ));
        };
        self.memory().asked_for.insert(address_hash(&row.address));
        let mut tried = None;
        match self
            .tell_v3(wire::create(&user, group, &password), |_| Ok(()))
            .await
        {
            Err(error) if lacks_v3(&error) => {
                let index = self.memory().group_index.unwrap_or_default();
                tried = Some(index);
                self.tell_v1(wire::add(&user, group, index, &password), |_| Ok(()))
                    .await?;
            }
            told => told?,
        }
        // The id in the answer may be of another kind than the one that everything else goes by.
        let Ok(Some(created)) = self
            .ask_v1(wire::view_email(&row.address), wire::user)
            .await
        else {
            return Ok(ItemOutcome::Unknown);
        };
        let id = created.id.to_string();
        match self.group_of(&created).await {
            Ok(found) if found == group => {
                if tried.is_some() {
                    self.memory().group_index = tried;
                }
                Ok(ItemOutcome::Done { id: Some(id) })
            }
            Ok(_) => Ok(self.place_created(&id, group).await),
            Err(_) => Ok(ItemOutcome::Unknown),
        }
    }

    /// Puts a user of our own making into the right group. The user is there whatever keeps us from
    /// that, perhaps among the administrators, so nothing but success settles it.
    async fn place_created(&self, id: &str, group: u64) -> ItemOutcome {
        match self.change_user(id, &Record::new(), Some(group)).await {
            Ok(done @ ItemOutcome::Done { .. }) => done,
            _ => ItemOutcome::Unknown,
        }
    }

    /// Moves a user who is still where the account showed them when it was read: nobody is taken
    /// out of a group unseen.
    async fn move_user(&self, group: &str, member: &str) -> Result<ItemOutcome, CallError> {
        let group = self.id("user_edit", group)?;
        let user = self.id("user_edit", member)?;
        if group_wire::is_built_in(group) {
            return Ok(refused(BUILT_IN));
        }
        let then = self.memory().seats.get(&user).copied();
        if let Some(then) = then {
            let nobody = User {
                id: user,
                profile: Record::new(),
                groups: None,
                unreadable: false,
            };
            let now = self.group_of(&nobody).await?;
            if now != then && now != group {
                return Ok(refused(&format!(
                    "user {user} was in user group {then} when the account was read and is in {now} now; the next run looks again"
                )));
            }
        }
        self.change_user(member, &Record::new(), Some(group)).await
    }

    async fn park_user(&self, group: &str, member: &str) -> Result<ItemOutcome, CallError> {
        let group = self.id("user_edit", group)?;
        let Some(parking) = self.parking() else {
            return Ok(refused(
                "a user can't leave a group without a parking_group in the config, which takes them",
            ));
        };
        let user = self.id("user_edit", member)?;
        let nobody = User {
            id: user,
            profile: Record::new(),
            groups: None,
            unreadable: false,
        };
        // Whoever has been moved elsewhere meanwhile stays there.
        if self.group_of(&nobody).await? != group {
            return Ok(ItemOutcome::Done {
                id: Some(user.to_string()),
            });
        }
        self.change_user(member, &Record::new(), Some(parking))
            .await
    }

    /// Changes a user, whole, and looks where they are afterwards. Without `group` they stay where
    /// they are.
    async fn change_user(
        &self,
        member: &str,
        fields: &Record,
        group: Option<u64>,
    ) -> Result<ItemOutcome, CallError> {
        let id = self.id("user_edit", member)?;
        let Some((user, by_v3)) = self.find_user(id).await? else {
            return Ok(refused(&format!(
                "user {id} is not in the account any more, or the key may not see them"
            )));
        };
        if user.unreadable {
            // An edit sends everything that is known of the user, and not all of it is.
            return Ok(refused(&format!(
                "the profile of user {id} holds characters that can't be read, and an edit would write over them; correct it there"
            )));
        }
        let current = self.group_of(&user).await?;
        let group = group.unwrap_or(current);
        let mut wanted = user.profile.clone();
        wanted.extend(
            fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "id" | "username"))
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        // Until it is seen where the user is, nobody knows.
        self.memory().seats.remove(&id);
        // Version 3 takes the group as a number, which can't be misread, and no password.
        let mut told = false;
        if by_v3 {
            match self
                .tell_v3(wire::put(id, &wanted, group), |_| Ok(()))
                .await
            {
                Ok(()) => {
                    told = true;
                    if let Some(outcome) = self.seen_in(id, group, fields, &wanted).await {
                        return Ok(outcome);
                    }
                }
                Err(error) if lacks_v3(&error) => {}
                Err(CallError::Refused { refusal, .. }) => {
                    return Ok(ItemOutcome::Refused(neutral(refusal)));
                }
                Err(error) => return Err(error),
            }
        }
        let first = self.memory().group_index.unwrap_or_default();
        let other = if first == GroupIndex::ItsId {
            GroupIndex::Zero
        } else {
            GroupIndex::ItsId
        };
        for index in [first, other] {
            let mut by_index = true;
            let mut answer = self
                .tell_v1(wire::edit(id, &wanted, group, index), |_| Ok(()))
                .await;
            if matches!(&answer, Err(CallError::Refused { refusal, .. }) if !by_v3 && wire::is_about_password(&refusal.message))
            {
                by_index = false;
                answer = self
                    .tell_v3(wire::put(id, &wanted, group), |_| Ok(()))
                    .await;
            }
            match answer {
                Ok(()) => told = true,
                // The user was written before and is elsewhere, and could not be put right.
                Err(_) if told => return Ok(ItemOutcome::Unknown),
                // Any other refusal stands: it may be of seats that are used up.
                Err(CallError::Refused { refusal, .. }) => {
                    return Ok(ItemOutcome::Refused(neutral(refusal)));
                }
                Err(error) => return Err(error),
            }
            // A group that was not understood puts the user into those of the key's own user, so it
            // is put right at once.
            if let Some(outcome) = self.seen_in(id, group, fields, &wanted).await {
                if by_index && outcome != ItemOutcome::Unknown {
                    self.memory().group_index = Some(index);
                }
                return Ok(outcome);
            }
        }
        // Where the user is now nobody asked for, so this is no refusal to be forgotten.
        tracing::warn!(
            user = id,
            group,
            "A user was saved and is in another group than the one that was asked for."
        );
        Ok(ItemOutcome::Unknown)
    }

    /// Looks several times whether a user is in a group, as [`Self::look_in`] does: an answer that
    /// is late must not make us write in another way, which may be misread.
    async fn seen_in(
        &self,
        id: u64,
        group: u64,
        fields: &Record,
        wanted: &Record,
    ) -> Option<ItemOutcome> {
        for _ in 1..LOOKS {
            if let Some(outcome) = self.look_in(id, group, fields, wanted).await {
                return Some(outcome);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        self.look_in(id, group, fields, wanted).await
    }

    /// Looks whether a user is in a group and shows what was written; nothing when they are in
    /// another one.
    async fn look_in(
        &self,
        id: u64,
        group: u64,
        fields: &Record,
        wanted: &Record,
    ) -> Option<ItemOutcome> {
        let Ok(Some((shown, _))) = self.find_user(id).await else {
            return Some(ItemOutcome::Unknown);
        };
        let Ok(found) = self.group_of(&shown).await else {
            return Some(ItemOutcome::Unknown);
        };
        self.memory().seats.insert(id, found);
        if found != group {
            return None;
        }
        let otherwise: Vec<&str> = ["email", "first_name", "last_name"]
            .into_iter()
            .filter(|name| {
                fields.contains_key(*name)
                    && shown.value(name).trim().to_lowercase()
                        != text(wanted, name).trim().to_lowercase()
            })
            .collect();
        Some(if otherwise.is_empty() {
            ItemOutcome::Done {
                id: Some(id.to_string()),
            }
        } else {
            refused(&format!(
                "ActiveCampaign answered that user {id} is saved and shows another value of {}",
                otherwise.join(", ")
            ))
        })
    }

    /// Reads a user, by version 3 for the phone number, which version 1 does not show and an edit
    /// would lose; and says whether it was version 3 that answered.
    async fn find_user(&self, id: u64) -> Result<Option<(User, bool)>, CallError> {
        match self.ask_v3(wire::one(id), wire::wrapped).await {
            Ok(user) if user.id == id => return Ok(Some((user, true))),
            Ok(_) => {
                return Err(self.account.broken_rule(
                    "users",
                    "the question for one user is answered with another",
                ));
            }
            Err(
                CallError::Refused { .. } | CallError::Protocol { .. } | CallError::Denied { .. },
            ) => {}
            Err(error) => return Err(error),
        }
        let user = self.ask_v1(wire::view(id), wire::user).await?;
        Ok(user.filter(|user| user.id == id).map(|user| (user, false)))
    }
}

/// Tells whether an error says that version 3 does not offer a call to this key, rather than what
/// is wrong with the request.
fn lacks_v3(error: &CallError) -> bool {
    match error {
        CallError::Denied { .. } => true,
        CallError::Refused { refusal, .. } => {
            matches!(refusal.code.as_deref(), Some("HTTP 404" | "HTTP 405"))
        }
        _ => false,
    }
}

fn text(record: &Record, name: &str) -> String {
    record.get(name).map(Value::to_string).unwrap_or_default()
}

/// Makes a password that nobody knows; people get in by the service's own way of resetting it.
fn unknown_password() -> Option<SecretString> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    let digits = bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a text takes all that is written to it");
        digits
    });
    // One character of each kind that password rules ask for.
    Some(SecretString::from(format!("Aa1!{digits}")))
}
