//! Edits and readings of who is in which group, in which state.

use super::history::Change;
use super::settings::Counted;
use super::world::{Account, Group, Membership, MembershipState, fold};

impl Account {
    /// Puts a contact into a group. Somebody who had opted out of the group is an active member
    /// afterwards.
    ///
    /// Returns whether anything changed.
    pub fn join(&mut self, group: u64, contact: u64) -> bool {
        let now = self.now;
        let entry = self.group_mut(group);
        entry.ended.remove(&contact);
        let sends_mail = entry.auto_response.is_some();
        if let Some(membership) = entry.members.get_mut(&contact) {
            if membership.state == MembershipState::Active {
                return false;
            }
            let refused = membership.state == MembershipState::OptedOut && !membership.by_api;
            *membership = Membership {
                since: membership.since,
                ..Membership::default()
            };
            self.record(if refused {
                Change::GroupOptOutCleared { group, contact }
            } else {
                Change::MembershipChanged { group, contact }
            });
        } else {
            let former = entry.former.get(&contact).copied();
            entry.members.insert(
                contact,
                Membership {
                    since: now,
                    ..Membership::default()
                },
            );
            self.record(Change::MembershipAdded {
                group,
                contact,
                again: former.is_some(),
            });
            if former == Some(MembershipState::OptedOut) {
                self.record(Change::GroupOptOutCleared { group, contact });
            }
        }
        if sends_mail {
            self.record(Change::MailSent { group, contact });
        }
        true
    }

    /// Puts several contacts into a group.
    pub fn join_all(&mut self, group: u64, contacts: impl IntoIterator<Item = u64>) {
        for contact in contacts {
            self.join(group, contact);
        }
    }

    /// Takes a contact out of a group and returns whether it was in it.
    pub fn leave(&mut self, group: u64, contact: u64) -> bool {
        let entry = self.group_mut(group);
        let Some(membership) = entry.members.remove(&contact) else {
            return false;
        };
        // An earlier refusal is not forgotten by leaving twice.
        let before = entry.former.get(&contact).copied();
        let state = if before == Some(MembershipState::OptedOut)
            && membership.state != MembershipState::Active
        {
            MembershipState::OptedOut
        } else {
            membership.state
        };
        entry.former.insert(contact, state);
        self.record(Change::MembershipRemoved {
            group,
            contact,
            opted_out: membership.state == MembershipState::OptedOut,
        });
        true
    }

    /// Takes a contact off a list as an administrator does at ActiveCampaign, and returns whether it
    /// was on it: version 3 goes on counting the membership, with a status of its own.
    pub fn end_membership(&mut self, group: u64, contact: u64) -> bool {
        let was_member = self.leave(group, contact);
        if was_member {
            self.group_mut(group).ended.insert(contact);
        }
        was_member
    }

    /// Records that a member refuses the group's mail; somebody who is not a member becomes an
    /// opted-out one.
    pub fn opt_out_of_group(&mut self, group: u64, contact: u64) -> bool {
        let now = self.now;
        let entry = self.group_mut(group);
        entry.ended.remove(&contact);
        let added = !entry.members.contains_key(&contact);
        let again = added && entry.former.contains_key(&contact);
        let membership = entry.members.get_or_insert(
            contact,
            Membership {
                since: now,
                ..Membership::default()
            },
        );
        if membership.state == MembershipState::OptedOut {
            return false;
        }
        membership.state = MembershipState::OptedOut;
        membership.changed = Some(now);
        if added {
            self.record(Change::MembershipAdded {
                group,
                contact,
                again,
            });
        }
        self.record(Change::GroupOptOutSet { group, contact });
        true
    }

    /// Unsubscribes a contact by a request of the API, which says nothing of what the person wants:
    /// whoever sent it may take it back. A refusal of the person's own stays what it is.
    pub fn unsubscribe_by_api(&mut self, group: u64, contact: u64) -> bool {
        let changed = self.opt_out_of_group(group, contact);
        if changed && let Some(membership) = self.group_mut(group).members.get_mut(&contact) {
            membership.by_api = true;
        }
        changed
    }

    /// Takes a click on an unsubscribe link, as old mail has one also for those who were
    /// unsubscribed by somebody else.
    pub fn refuse_group(&mut self, group: u64, contact: u64) {
        let now = self.now;
        self.opt_out_of_group(group, contact);
        if let Some(membership) = self.group_mut(group).members.get_mut(&contact) {
            membership.by_api = false;
            membership.changed = Some(now);
        }
    }

    /// Tells whether a contact's refusal of a group was written by a request of the API.
    pub(super) fn is_unsubscribed_by_api(&self, group: u64, contact: u64) -> bool {
        let membership = self
            .groups
            .get(&group)
            .and_then(|group| group.members.get(&contact));
        membership.is_some_and(|membership| {
            membership.state == MembershipState::OptedOut && membership.by_api
        })
    }

    /// Marks one membership as bounced or unconfirmed.
    pub fn set_membership_state(&mut self, group: u64, contact: u64, state: MembershipState) {
        match state {
            MembershipState::OptedOut => {
                self.opt_out_of_group(group, contact);
            }
            MembershipState::Active => {
                self.join(group, contact);
            }
            MembershipState::Bounced | MembershipState::Unconfirmed => {
                let now = self.now;
                let membership = self.group_mut(group).members.get_or_insert(
                    contact,
                    Membership {
                        since: now,
                        ..Membership::default()
                    },
                );
                if membership.state != state {
                    membership.state = state;
                    membership.changed = Some(now);
                    self.record(Change::MembershipChanged { group, contact });
                }
            }
        }
    }

    /// The members of a group with their states, by contact id; empty when there is no such group.
    pub fn members_of(&self, group: u64) -> Vec<(u64, MembershipState)> {
        self.groups
            .get(&group)
            .map(|group| {
                group
                    .members
                    .iter()
                    .map(|(contact, membership)| (*contact, membership.state))
                    .collect()
            })
            .unwrap_or_default()
    }

    /// The folded, sorted addresses of those who get a group's mail: active members of an address
    /// in use.
    pub fn mailed_by(&self, group: u64) -> Vec<String> {
        let mut addresses: Vec<String> = self
            .members_of(group)
            .into_iter()
            .filter(|(_, state)| *state == MembershipState::Active)
            .filter_map(|(contact, _)| self.contacts.get(&contact))
            .filter(|contact| {
                contact.opted_out.is_none()
                    && contact.bounced.is_none()
                    && !contact.email.is_empty()
            })
            .map(|contact| fold(&contact.email))
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// The state of a contact in a group.
    pub fn membership(&self, group: u64, contact: u64) -> Option<MembershipState> {
        self.groups
            .get(&group)?
            .members
            .get(&contact)
            .map(|membership| membership.state)
    }

    /// The groups a contact is in, whatever the state.
    pub fn groups_of(&self, contact: u64) -> Vec<u64> {
        self.groups
            .values()
            .filter(|group| group.members.contains_key(&contact))
            .map(|group| group.id)
            .collect()
    }

    /// How many members a group's total counts.
    pub(super) fn count_members(&self, group: &Group, counted: Counted) -> usize {
        if counted == Counted::All {
            return group.members.len();
        }
        group
            .members
            .iter()
            .filter(|(contact, membership)| {
                let contact = self.contacts.get(contact);
                match counted {
                    Counted::All => true,
                    Counted::NotOptedOut => {
                        membership.state != MembershipState::OptedOut
                            && contact.is_none_or(|contact| contact.opted_out.is_none())
                    }
                    Counted::NotBounced => {
                        membership.state != MembershipState::Bounced
                            && contact.is_none_or(|contact| contact.bounced.is_none())
                    }
                }
            })
            .count()
    }
}
