//! The calls about who is in which group.

use serde_json::{Value, json};

use super::Call;
use super::contacts::{find_contact, no_contact};
use super::envelope::{Answer, Failure};
use super::groups::no_group;
use super::params::{Params, missing, read_flag, wrong_type};
use super::values::{flag, stamp, text};
use crate::emulator::login::Login;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Account, GroupKind, GroupStatus, MembershipState};

/// Whether a call puts somebody into a group or takes somebody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

pub(super) fn list(call: &mut Call<'_>, params: &Params) -> Answer {
    let id = params.needed_id("groupID", call.context)?;
    let suppressed = params.flag("suppressed", call.context)?;
    let start = params.moment("dateAddedStart", call.context)?;
    let end = params.moment("dateAddedEnd", call.context)?;
    let page = call.page(params, 100, 1000)?;
    let account = &*call.account;
    let group = account
        .group(id)
        .filter(|group| call.login.sees(group.id))
        .ok_or_else(|| no_group(id))?;
    if group.kind == GroupKind::Dynamic {
        call.context.misuse(
            MisuseKind::ForbiddenTarget,
            format!("listing the dynamic group {id}"),
        );
        return Err(Failure::new(
            Failure::REFUSED,
            "The contacts of a dynamic group can't be listed.",
        ));
    }
    let key = call.listing_key("groups/getContacts", params);
    let (account, login) = (&*call.account, &call.login);
    let find = || {
        let found = group
            .members
            .iter()
            .filter(|(contact, _)| sees_contact(account, login, **contact))
            .filter(|(_, membership)| {
                suppressed
                    .is_none_or(|wanted| (membership.state == MembershipState::OptedOut) == wanted)
            })
            .filter(|(_, membership)| start.is_none_or(|start| membership.since >= start))
            .filter(|(_, membership)| end.is_none_or(|end| membership.since <= end))
            .map(|(contact, _)| *contact);
        Ok(found.collect())
    };
    let found = call.kept.listing(key, find)?;
    Ok(call.paged(&page, &found, |account, contact| {
        let membership = account
            .group(id)
            .and_then(|group| group.members.get(contact))
            .copied()
            .unwrap_or_default();
        let opted_out = membership.state == MembershipState::OptedOut;
        json!({
            "contactID": contact,
            "email": account.contact(*contact).map_or("", |contact| contact.email.as_str()),
            "suppressed": flag(account, *contact, opted_out),
            "dateAdded": stamp(account, Some(membership.since)),
            "dateSuppressed": stamp(account, membership.changed.filter(|_| opted_out)),
        })
    }))
}

pub(super) fn add(call: &mut Call<'_>, params: &Params) -> Answer {
    change(call, params, Direction::In)
}

pub(super) fn remove(call: &mut Call<'_>, params: &Params) -> Answer {
    change(call, params, Direction::Out)
}

fn change(call: &mut Call<'_>, params: &Params, direction: Direction) -> Answer {
    let group = params.needed_id("groupID", call.context)?;
    let contacts = params
        .ids("contactIDs", 1000, call.context)?
        .ok_or_else(|| missing("contactIDs", call.context))?;
    call.context.items = contacts.len();
    call.check_target(group, direction)?;
    if contacts.iter().any(|contact| call.is_poisoned(*contact)) {
        return Err(Failure::new(
            Failure::INVALID,
            "The contacts could not be processed.",
        ));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut results = Vec::new();
    for (position, contact) in contacts.into_iter().enumerate() {
        if !seen.insert(contact) {
            call.context
                .misuse(MisuseKind::DuplicateInBatch, format!("contact {contact}"));
        }
        let result = if call.context.item_fails(position) {
            Err("The contact could not be processed.".to_owned())
        } else if call.account.contact(contact).is_none() || !call.sees_contact(contact) {
            Err(format!("Contact {contact} was not found."))
        } else {
            call.move_member(group, contact, direction)
        };
        results.push(match result {
            Ok(()) => json!({"contactID": contact, "success": 1, "errors": []}),
            Err(message) => json!({"contactID": contact, "success": 0, "errors": [message]}),
        });
    }
    let errors = results
        .iter()
        .filter(|result| result["success"] == 0)
        .count();
    call.context.failed_items = errors;
    Ok(json!({
        "totalSuccess": results.len() - errors,
        "totalErrors": errors,
        "contactResults": results,
    }))
}

pub(super) fn groups_of_contact(call: &mut Call<'_>, params: &Params) -> Answer {
    let contact = call.named_contact(params)?;
    let account = &*call.account;
    let groups: Vec<Value> = account
        .groups_of(contact)
        .into_iter()
        .filter(|group| call.login.sees(*group))
        .filter_map(|id| account.group(id))
        .map(|group| {
            let membership = group.members.get(&contact).copied().unwrap_or_default();
            let opted_out = membership.state == MembershipState::OptedOut;
            json!({
                "groupID": group.id,
                "groupName": text(account, &group.name),
                "suppressed": flag(account, contact, opted_out),
                "dateAdded": stamp(account, Some(membership.since)),
                "dateSuppressed": stamp(account, membership.changed.filter(|_| opted_out)),
            })
        })
        .collect();
    Ok(json!(groups))
}

pub(super) fn save_groups(call: &mut Call<'_>, params: &Params) -> Answer {
    let contact = call.named_contact(params)?;
    let groups = match params.raw("groups") {
        None => return Err(missing("groups", call.context)),
        Some(Value::Array(groups)) => groups,
        Some(_) => return Err(wrong_type("groups", "an array of objects", call.context)),
    };
    call.context.items = groups.len();
    let mut wanted = Vec::new();
    for group in groups {
        let entry = group
            .as_object()
            .ok_or_else(|| wrong_type("groups", "an array of objects", call.context))?;
        if let Some(name) = entry
            .keys()
            .find(|name| !["groupID", "suppressed"].contains(&name.as_str()))
        {
            call.context
                .misuse(MisuseKind::UnknownParameter, format!("groups[].{name}"));
            return Err(Failure::new(
                Failure::UNKNOWN,
                format!("Unknown key {name} in groups."),
            ));
        }
        let id = entry
            .get("groupID")
            .and_then(Value::as_u64)
            .ok_or_else(|| wrong_type("groups[].groupID", "an integer", call.context))?;
        // What is left out counts as 0, which subscribes the contact again.
        let suppressed = match entry.get("suppressed") {
            None => false,
            Some(value) => read_flag(value, false)
                .ok_or_else(|| wrong_type("groups[].suppressed", "0 or 1", call.context))?,
        };
        call.check_target(id, Direction::In)?;
        wanted.push((id, suppressed));
    }
    for (group, suppressed) in wanted {
        if suppressed {
            call.account.opt_out_of_group(group, contact);
        } else {
            call.move_member(group, contact, Direction::In)
                .map_err(|message| Failure::new(Failure::REFUSED, message))?;
        }
    }
    Ok(Value::Null)
}

pub(super) fn delete_groups(call: &mut Call<'_>, params: &Params) -> Answer {
    let contact = call.named_contact(params)?;
    let groups = params
        .ids("groupIDs", usize::MAX, call.context)?
        .ok_or_else(|| missing("groupIDs", call.context))?;
    call.context.items = groups.len();
    for group in &groups {
        call.check_target(*group, Direction::Out)?;
    }
    for group in groups {
        call.move_member(group, contact, Direction::Out)
            .map_err(|message| Failure::new(Failure::REFUSED, message))?;
    }
    Ok(Value::Null)
}

/// Whether a login sees a contact.
pub(super) fn sees_contact(account: &Account, login: &Login, contact: u64) -> bool {
    login.sees_groups.is_none()
        || account
            .contact(contact)
            .is_some_and(|contact| contact.owner == login.user_id)
}

impl Call<'_> {
    /// Whether the token's user sees a contact: a restricted one sees only those it owns.
    pub(super) fn sees_contact(&self, contact: u64) -> bool {
        sees_contact(self.account, &self.login, contact)
    }

    /// The contact that `contactID` or `email` names.
    fn named_contact(&mut self, params: &Params) -> Result<u64, Failure> {
        let contact = find_contact(self, params)?;
        contact.ok_or_else(|| no_contact("The contact"))
    }

    fn is_poisoned(&self, contact: u64) -> bool {
        self.context.is_poison(&contact.to_string())
            || self
                .account
                .contact(contact)
                .is_some_and(|contact| self.context.is_poison(&contact.email))
    }

    /// Refuses groups whose members can't be changed.
    pub(super) fn check_target(&mut self, id: u64, direction: Direction) -> Result<(), Failure> {
        let group = self
            .account
            .group(id)
            .filter(|group| self.login.sees(group.id))
            .ok_or_else(|| no_group(id))?;
        let reason = if group.kind == GroupKind::Dynamic {
            "is dynamic"
        } else if group.kind == GroupKind::BuiltIn && direction == Direction::Out {
            "is built in"
        } else if group.status == GroupStatus::Archived {
            "is archived"
        } else if group.send_tests {
            "is for test mailings"
        } else {
            return Ok(());
        };
        self.context
            .misuse(MisuseKind::ForbiddenTarget, format!("group {id} {reason}"));
        Err(Failure::new(
            Failure::REFUSED,
            format!("The contacts of group {id} can't be changed: it {reason}."),
        ))
    }

    /// Moves one contact and records what a careful client would not have asked for.
    pub(super) fn move_member(
        &mut self,
        group: u64,
        contact: u64,
        direction: Direction,
    ) -> Result<(), String> {
        let state = self.account.membership(group, contact);
        let strict = self.account.settings.emfluence.strict_rows;
        let place = format!("contact {contact} in group {group}");
        match (direction, state) {
            (Direction::In, Some(MembershipState::OptedOut)) => {
                self.context.misuse(MisuseKind::Resubscribed, place);
                self.account.join(group, contact);
            }
            (Direction::In, Some(_)) => {
                self.context.misuse(MisuseKind::AddedExistingMember, place);
                if strict {
                    return Err("The contact is in this group already.".to_owned());
                }
                self.account.join(group, contact);
            }
            (Direction::In, None) => {
                let had_refused = self
                    .account
                    .group(group)
                    .and_then(|group| group.former.get(&contact))
                    .copied()
                    == Some(MembershipState::OptedOut);
                if had_refused {
                    self.context.misuse(
                        MisuseKind::Resubscribed,
                        format!("{place}, taken out and added again"),
                    );
                }
                if self
                    .account
                    .contact(contact)
                    .is_some_and(|contact| contact.opted_out.is_some())
                {
                    self.context.misuse(MisuseKind::AddedOptedOut, place);
                }
                self.account.join(group, contact);
            }
            (Direction::Out, Some(state)) => {
                if state == MembershipState::OptedOut {
                    self.context.misuse(MisuseKind::RemovedOptedOut, place);
                }
                self.account.leave(group, contact);
            }
            (Direction::Out, None) => {
                self.context.misuse(MisuseKind::RemovedNonMember, place);
                if strict {
                    return Err("The contact is not in this group.".to_owned());
                }
            }
        }
        Ok(())
    }
}
