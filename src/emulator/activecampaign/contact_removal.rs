//! The version 1 calls that delete contacts or memberships, and those about tags.

use super::Call;
use super::answer::{Answer, done};
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::MembershipState;

impl Call<'_> {
    /// Deletes a contact from the lists that are named, or altogether.
    fn remove_contact(&mut self, id: u64, lists: Option<&[u64]>) {
        if self.visible_contact(id).is_none() {
            return;
        }
        let leaving: Vec<u64> = self
            .account
            .groups_of(id)
            .into_iter()
            .filter(|list| lists.is_none_or(|lists| lists.contains(list)) && self.sees_list(*list))
            .collect();
        for list in &leaving {
            if self.account.membership(*list, id) == Some(MembershipState::OptedOut) {
                self.context.misuse(
                    MisuseKind::RemovedOptedOut,
                    format!("list {list}, contact {id}"),
                );
            }
        }
        if lists.is_some() {
            for list in &leaving {
                self.account.leave(*list, id);
            }
            if leaving.is_empty() {
                self.context
                    .misuse(MisuseKind::RemovedNonMember, format!("contact {id}"));
                return;
            }
        }
        // Somebody who is on no list any more is deleted with everything known about them.
        if lists.is_none() || self.account.groups_of(id).is_empty() {
            self.context
                .misuse(MisuseKind::DeletedContact, format!("contact {id}"));
            self.account.delete_contact(id);
        }
    }

    fn remove_contacts(&mut self, ids: &[u64]) -> Answer {
        let form = self.form;
        let lists = form.ids("listids", self.context);
        let limited = !form.entries("listids").is_empty();
        for id in ids {
            self.remove_contact(*id, limited.then_some(lists.as_slice()));
        }
        done("Contact deleted")
    }

    /// The contact that a tag call is about.
    fn named_contact(&mut self) -> Result<u64, String> {
        let id = if self.form.has("id") {
            Some(self.form.number("id"))
        } else {
            self.account.contact_by_email(self.form.text("email"))
        };
        id.filter(|id| self.visible_contact(*id).is_some())
            .ok_or_else(|| "The contact does not exist.".to_owned())
    }

    fn tags(&self) -> Vec<String> {
        let listed = self.form.entries("tags").into_iter().map(|(_, tag)| tag);
        listed
            .chain(self.form.get("tags"))
            .map(|tag| tag.trim().to_owned())
            .filter(|tag| !tag.is_empty())
            .collect()
    }
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let id = call.form.number("id");
    call.remove_contacts(&[id])
}

pub(super) fn delete_several(call: &mut Call<'_>) -> Answer {
    let ids = call.form.id_list("ids");
    call.remove_contacts(&ids)
}

pub(super) fn add_tags(call: &mut Call<'_>) -> Answer {
    let id = call.named_contact()?;
    let tags = call
        .tags()
        .iter()
        .flat_map(|tags| tags.split(','))
        .map(|tag| tag.trim().to_owned())
        .collect();
    call.write_values(
        id,
        &super::contact_values::Values {
            tags,
            ..Default::default()
        },
    );
    done("Contact tag added")
}

pub(super) fn remove_tags(call: &mut Call<'_>) -> Answer {
    let id = call.named_contact()?;
    let tags = call.tags();
    let contact = call.account.contact_mut(id);
    let before = contact.tags.len();
    contact.tags.retain(|tag| !tags.contains(tag));
    if contact.tags.len() < before {
        call.account.record(Change::ContactChanged {
            contact: id,
            fields: vec!["tags".to_owned()],
        });
    }
    done("Contact tag deleted")
}
