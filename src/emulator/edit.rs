//! Edits of an account: what a person does in the provider's own pages, and what API calls are made
//! of.
//!
//! Each edit that changes something leaves one event in the history; one that changes nothing
//! leaves none.

use super::history::Change;
use super::users::{ADMIN, VISITOR};
use super::values::Values;
use super::world::{
    Account, Contact, Group, GroupKind, GroupStatus, Kind, Membership, MembershipState, Visibility,
    fold,
};

impl Account {
    pub(super) fn record(&mut self, change: Change) {
        self.pending.push(change);
    }

    /// Makes an active static group and returns its id.
    pub fn add_group(&mut self, name: &str) -> u64 {
        let id = self.take_id();
        let mut group = Group {
            id,
            name: name.to_owned(),
            added: self.now,
            modified: self.now,
            ..Group::default()
        };
        match self.kind {
            Kind::Emfluence => group.owner = Some(1),
            Kind::GreenRope => {
                group.visibility = Visibility::Hidden;
                "America/Chicago".clone_into(&mut group.time_zone);
            }
            Kind::ActiveCampaign => {
                group.owner = Some(1);
                group.visibility = Visibility::Public;
                for (name, value) in [
                    ("sender_addr1", "1 Example Street"),
                    ("sender_city", "Springfield"),
                    ("sender_zip", "62701"),
                    ("sender_country", "USA"),
                    ("sender_url", "https://www.example.org"),
                    ("sender_reminder", "You signed up at www.example.org"),
                    ("to_name", "Subscriber"),
                ] {
                    group.settings.insert(name.to_owned(), value.to_owned());
                }
                "Example Society".clone_into(&mut group.sender_name);
                for seer in [VISITOR, ADMIN] {
                    self.user_groups.entry(seer).and_modify(|seer| {
                        seer.lists.insert(id);
                    });
                }
            }
        }
        self.groups.insert(id, group);
        self.record(Change::GroupCreated {
            group: id,
            name: name.to_owned(),
        });
        id
    }

    /// The group with this id.
    pub fn group(&self, id: u64) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// The group with this id, to be edited freely; such edits are not part of the history.
    ///
    /// # Panics
    ///
    /// Panics when there is no such group.
    pub fn group_mut(&mut self, id: u64) -> &mut Group {
        self.groups
            .get_mut(&id)
            .unwrap_or_else(|| panic!("the emulated account has no group {id}"))
    }

    /// The id of the group with exactly this name.
    pub fn find_group(&self, name: &str) -> Option<u64> {
        self.groups
            .values()
            .find(|group| group.name == name)
            .map(|group| group.id)
    }

    /// The group whose name is the same in any case, as uniqueness is judged.
    pub(super) fn group_named_like(&self, name: &str, except: Option<u64>) -> Option<u64> {
        let wanted = fold(name);
        self.groups
            .values()
            .find(|group| Some(group.id) != except && fold(&group.name) == wanted)
            .map(|group| group.id)
    }

    /// Gives a group another name.
    pub fn rename_group(&mut self, id: u64, name: &str) {
        let now = self.now;
        let group = self.group_mut(id);
        if group.name == name {
            return;
        }
        let from = std::mem::replace(&mut group.name, name.to_owned());
        group.modified = now;
        self.record(Change::GroupRenamed {
            group: id,
            from,
            to: name.to_owned(),
        });
    }

    /// Puts a group away.
    pub fn archive_group(&mut self, id: u64) {
        self.set_group_status(id, GroupStatus::Archived);
    }

    /// Brings an archived group back.
    pub fn restore_group(&mut self, id: u64) {
        self.set_group_status(id, GroupStatus::Active);
    }

    pub(super) fn set_group_status(&mut self, id: u64, status: GroupStatus) {
        let now = self.now;
        let group = self.group_mut(id);
        if group.status == status {
            return;
        }
        group.status = status;
        group.modified = now;
        self.record(match status {
            GroupStatus::Active => Change::GroupRestored { group: id },
            GroupStatus::Archived => Change::GroupArchived { group: id },
        });
    }

    /// Deletes a group; its contacts stay.
    pub fn delete_group(&mut self, id: u64) {
        if self.groups.remove(&id).is_some() {
            for seer in self.user_groups.values_mut() {
                seer.lists.remove(&id);
            }
            self.record(Change::GroupDeleted { group: id });
        }
    }

    /// Makes a contact and returns its id. GreenRope allows an address twice; the others do not.
    ///
    /// # Panics
    ///
    /// Panics when an account that is not at GreenRope already has the address.
    pub fn add_contact(&mut self, email: &str) -> u64 {
        assert!(
            self.kind == Kind::GreenRope || self.contact_by_email(email).is_none(),
            "the emulated account already has this address"
        );
        self.insert_contact(Contact {
            email: email.to_owned(),
            owner: 1,
            ..Contact::default()
        })
    }

    /// Makes a contact with a first and a last name.
    pub fn add_person(&mut self, email: &str, first_name: &str, last_name: &str) -> u64 {
        let id = self.add_contact(email);
        let contact = self.contact_mut(id);
        contact
            .profile
            .extend([("first_name", first_name), ("last_name", last_name)]);
        id
    }

    pub(super) fn insert_contact(&mut self, mut contact: Contact) -> u64 {
        let id = self.take_id();
        contact.id = id;
        contact.added = self.now;
        contact.modified = self.now;
        let opted_out = contact.opted_out.is_some();
        self.contacts.insert(id, contact);
        self.record(Change::ContactCreated { contact: id });
        if opted_out {
            self.record(Change::AccountOptOutSet { contact: id });
        }
        let everybody = self
            .groups
            .values()
            .find(|group| group.kind == GroupKind::BuiltIn)
            .map(|group| group.id);
        if let Some(group) = everybody {
            let membership = Membership {
                since: self.now,
                ..Membership::default()
            };
            self.group_mut(group).members.insert(id, membership);
        }
        id
    }

    /// The contact with this id.
    pub fn contact(&self, id: u64) -> Option<&Contact> {
        self.contacts.get(&id)
    }

    /// The contact with this id, to be edited freely; such edits are not part of the history.
    ///
    /// # Panics
    ///
    /// Panics when there is no such contact.
    pub fn contact_mut(&mut self, id: u64) -> &mut Contact {
        self.contacts
            .get_mut(&id)
            .unwrap_or_else(|| panic!("the emulated account has no contact {id}"))
    }

    /// The contact with the lowest id that has this address, in any case.
    pub fn contact_by_email(&self, email: &str) -> Option<u64> {
        self.contacts.with_address(email).first().copied()
    }

    /// Writes profile values by neutral name and custom values by field name; empty text clears.
    /// Returns what changed.
    pub fn change_contact<'a>(
        &mut self,
        id: u64,
        profile: impl IntoIterator<Item = (&'a str, &'a str)>,
        custom: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<String> {
        let now = self.now;
        let contact = self.contact_mut(id);
        let mut fields = Vec::new();
        for (name, value) in profile {
            if write(&mut contact.profile, name, value) {
                fields.push(name.to_owned());
            }
        }
        for (name, value) in custom {
            if write(&mut contact.custom, name, value) {
                fields.push(format!("custom.{name}"));
            }
        }
        if !fields.is_empty() {
            contact.modified = now;
            self.record(Change::ContactChanged {
                contact: id,
                fields: fields.clone(),
            });
        }
        fields
    }

    /// Gives a contact another address.
    pub fn change_address(&mut self, id: u64, email: &str) {
        let now = self.now;
        let contact = self.contact_mut(id);
        if contact.email == email {
            return;
        }
        let from = std::mem::replace(&mut contact.email, email.to_owned());
        contact.modified = now;
        self.record(Change::AddressChanged {
            contact: id,
            from,
            to: email.to_owned(),
        });
    }

    /// Deletes a contact from the account and from all its groups.
    pub fn delete_contact(&mut self, id: u64) {
        let Some(contact) = self.contacts.remove(&id) else {
            return;
        };
        let mut opted_out = contact.opted_out.is_some();
        for group in self.groups.values_mut() {
            let membership = group.members.remove(&id);
            // ActiveCampaign keeps refusals on the lists alone.
            opted_out |= self.kind == Kind::ActiveCampaign
                && membership
                    .is_some_and(|membership| membership.state == MembershipState::OptedOut);
            group.former.remove(&id);
            group.ended.remove(&id);
        }
        self.record(Change::ContactDeleted {
            contact: id,
            opted_out,
        });
    }

    /// Records that a person refuses all mail of the account. ActiveCampaign knows that only as a
    /// refusal of every list.
    pub fn opt_out_of_account(&mut self, contact: u64) -> bool {
        if self.kind == Kind::ActiveCampaign {
            return self.on_every_list(contact, |account, list| {
                account.opt_out_of_group(list, contact)
            });
        }
        let now = self.now;
        let entry = self.contact_mut(contact);
        if entry.opted_out.is_some() {
            return false;
        }
        entry.opted_out = Some(now);
        entry.modified = now;
        self.record(Change::AccountOptOutSet { contact });
        true
    }

    /// Does something for each list that a contact is on, and returns whether any of it changed
    /// anything.
    fn on_every_list(
        &mut self,
        contact: u64,
        mut edit: impl FnMut(&mut Self, u64) -> bool,
    ) -> bool {
        let mut changed = false;
        for list in self.groups_of(contact) {
            changed |= edit(self, list);
        }
        changed
    }

    /// Undoes an account opt-out, as the person may do.
    pub fn resubscribe(&mut self, contact: u64) -> bool {
        if self.kind == Kind::ActiveCampaign {
            return self.on_every_list(contact, |account, list| {
                account.membership(list, contact) == Some(MembershipState::OptedOut)
                    && account.join(list, contact)
            });
        }
        let now = self.now;
        let entry = self.contact_mut(contact);
        if entry.opted_out.take().is_none() {
            return false;
        }
        entry.modified = now;
        self.record(Change::AccountOptOutCleared { contact });
        true
    }

    /// Undoes a group opt-out, as the person may do.
    pub fn resubscribe_to_group(&mut self, group: u64, contact: u64) -> bool {
        self.join(group, contact)
    }

    /// Gives up an address after bounces: emfluence's "held".
    pub fn hold(&mut self, contact: u64) -> bool {
        if self.kind == Kind::ActiveCampaign {
            return self.on_every_list(contact, |account, list| {
                let active = account.membership(list, contact) == Some(MembershipState::Active);
                if active {
                    account.set_membership_state(list, contact, MembershipState::Bounced);
                }
                active
            });
        }
        let now = self.now;
        let entry = self.contact_mut(contact);
        if entry.bounced.is_some() {
            return false;
        }
        entry.bounced = Some(now);
        entry.modified = now;
        self.record(Change::BounceSet { contact });
        true
    }

    /// Gives up an address after bounces: GreenRope's "bounced", the same as [`Account::hold`].
    pub fn bounce(&mut self, contact: u64) -> bool {
        self.hold(contact)
    }

    /// Uses a given-up address again.
    pub fn release(&mut self, contact: u64) -> bool {
        if self.kind == Kind::ActiveCampaign {
            return self.on_every_list(contact, |account, list| {
                account.membership(list, contact) == Some(MembershipState::Bounced)
                    && account.join(list, contact)
            });
        }
        let now = self.now;
        let entry = self.contact_mut(contact);
        if entry.bounced.take().is_none() {
            return false;
        }
        entry.modified = now;
        self.record(Change::BounceCleared { contact });
        true
    }
}

/// Writes one value, where empty means absent, and returns whether that changed anything.
fn write(values: &mut Values, name: &str, value: &str) -> bool {
    if values.get(name).unwrap_or_default() == value {
        return false;
    }
    if value.is_empty() {
        values.remove(name);
    } else {
        values.set(name, value);
    }
    true
}
