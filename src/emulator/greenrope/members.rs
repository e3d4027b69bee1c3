//! Putting contacts into groups and taking them out.

use super::items::Judged;
use super::xml::Node;
use super::{Answer, Call, Failure};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::MembershipState;

pub(super) fn add(call: &mut Call<'_>, root: &Node) -> Answer {
    let group = call.match_group(root)?;
    call.each_item(root, "Contacts", "Contact_id", |call, item| {
        match call.match_contact(item) {
            Ok(contact) => Judged {
                id: Some(contact),
                result: call.put_in(group, contact),
            },
            Err(failure) => Judged::failed(None, failure),
        }
    })
}

pub(super) fn remove(call: &mut Call<'_>, root: &Node) -> Answer {
    let group = call.match_group(root)?;
    call.each_item(root, "Contacts", "Contact_id", |call, item| {
        match call.match_contact(item) {
            Ok(contact) => Judged {
                id: Some(contact),
                result: call.take_out(group, contact),
            },
            Err(failure) => Judged::failed(None, failure),
        }
    })
}

impl Call<'_> {
    /// Adds a contact to a group. Somebody who had opted out of it is subscribed again, the worst
    /// case.
    pub(super) fn put_in(&mut self, group: u64, contact: u64) -> Result<(), Failure> {
        let place = format!("contact {contact} in group {group}");
        match self.account().membership(group, contact) {
            Some(MembershipState::OptedOut) => self.context.misuse(MisuseKind::Resubscribed, place),
            Some(_) => {
                self.context.misuse(MisuseKind::AddedExistingMember, place);
                if self.account().settings.greenrope.strict_items {
                    return Err(Failure::new(
                        Failure::REFUSED,
                        "The contact is in this group already.",
                    ));
                }
            }
            None => {
                let former = self
                    .account()
                    .group(group)
                    .and_then(|group| group.former.get(&contact))
                    .copied();
                if former == Some(MembershipState::OptedOut) {
                    self.context.misuse(
                        MisuseKind::Resubscribed,
                        format!("{place}, taken out and added again"),
                    );
                }
                if self
                    .account()
                    .contact(contact)
                    .is_some_and(|contact| contact.opted_out.is_some())
                {
                    self.context.misuse(MisuseKind::AddedOptedOut, place);
                }
            }
        }
        self.account_mut().join(group, contact);
        Ok(())
    }

    /// Takes a contact out of a group.
    pub(super) fn take_out(&mut self, group: u64, contact: u64) -> Result<(), Failure> {
        let place = format!("contact {contact} in group {group}");
        let Some(state) = self.account().membership(group, contact) else {
            self.context.misuse(MisuseKind::RemovedNonMember, place);
            if self.account().settings.greenrope.strict_items {
                return Err(Failure::new(
                    Failure::REFUSED,
                    "The contact is not in this group.",
                ));
            }
            return Ok(());
        };
        if state == MembershipState::OptedOut {
            self.context.misuse(MisuseKind::RemovedOptedOut, place);
        }
        self.account_mut().leave(group, contact);
        Ok(())
    }
}
