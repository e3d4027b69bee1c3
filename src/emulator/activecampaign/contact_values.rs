//! Profile values and memberships of contacts, as both versions write them.

use super::Call;
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Account, Contact, MembershipState, fold};

/// The values of a contact that a request gives.
#[derive(Debug, Default, Clone)]
pub(super) struct Values {
    pub(super) profile: Vec<(&'static str, String)>,
    /// By the field's tag.
    pub(super) custom: Vec<(String, String)>,
    pub(super) tags: Vec<String>,
}

/// Whether a text has the form of an address.
pub(super) fn is_address(email: &str) -> bool {
    let Some((local, domain)) = email.split_once('@') else {
        return false;
    };
    !local.is_empty()
        && domain.contains('.')
        && !domain.contains('@')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !email.chars().any(|character| {
            character.is_whitespace() || character.is_control() || ",;<>".contains(character)
        })
}

/// How a subscription is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Automations start.
    Usual,
    /// Automations are left out.
    WithoutAutomations,
}

/// Makes a contact active on a list. Somebody who had opted out gets mail again.
pub(super) fn subscribe(account: &mut Account, list: u64, contact: u64, manner: Manner) {
    let was = account.membership(list, contact);
    if was == Some(MembershipState::Active) {
        return;
    }
    // A mail that greets whoever joins is an automation as well.
    let greeting = if manner == Manner::WithoutAutomations {
        account.group_mut(list).auto_response.take()
    } else {
        None
    };
    account.join(list, contact);
    if greeting.is_some() {
        account.group_mut(list).auto_response = greeting;
    }
    if manner == Manner::Usual {
        account.record(Change::AutomationStarted {
            group: list,
            contact,
        });
    }
}

impl Call<'_> {
    /// Writes profile values, custom values and tags; what is not given stays.
    pub(super) fn write_values(&mut self, id: u64, values: &Values) {
        write_values(self.account, id, values);
    }

    /// Makes a contact with nothing but an address.
    pub(super) fn create_contact(&mut self, email: &str) -> u64 {
        let email = email.trim().to_owned();
        self.account.insert_contact(Contact {
            email,
            owner: 1,
            ..Contact::default()
        })
    }

    /// Subscribes somebody and records it when that undoes a refusal; what the API itself
    /// unsubscribed, it may take back.
    pub(super) fn subscribe_again(&mut self, list: u64, contact: u64) {
        let former = self
            .account
            .group(list)
            .and_then(|list| list.former.get(&contact))
            .copied();
        let present = self.account.membership(list, contact);
        let by_api = self.account.is_unsubscribed_by_api(list, contact);
        let refused = (present == Some(MembershipState::OptedOut) && !by_api)
            || (present.is_none() && former == Some(MembershipState::OptedOut));
        if refused {
            self.context.misuse(
                MisuseKind::Resubscribed,
                format!("list {list}, contact {contact}"),
            );
        }
        subscribe(self.account, list, contact, Manner::Usual);
    }

    /// Gives a contact another address unless somebody else has it.
    pub(super) fn readdress(&mut self, id: u64, email: &str) -> Result<(), String> {
        if self
            .account
            .contacts
            .values()
            .any(|contact| contact.id != id && fold(&contact.email) == fold(email))
        {
            return Err("Email address already exists in the system".to_owned());
        }
        self.account.change_address(id, email.trim());
        Ok(())
    }
}

pub(super) fn write_values(account: &mut Account, id: u64, values: &Values) {
    account.change_contact(
        id,
        values
            .profile
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
        values
            .custom
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    let contact = account.contact_mut(id);
    let mut changed = false;
    for tag in &values.tags {
        if !contact.tags.contains(tag) {
            contact.tags.push(tag.clone());
            changed = true;
        }
    }
    if changed {
        account.record(Change::ContactChanged {
            contact: id,
            fields: vec!["tags".to_owned()],
        });
    }
}
