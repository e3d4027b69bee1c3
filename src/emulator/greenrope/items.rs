//! Operations that judge each item by itself.

use std::collections::BTreeSet;

use super::xml::Node;
use super::{Call, Failure};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Contact, fold};

/// The result of one item: the id it found, if any, and how it went.
pub(super) struct Judged {
    pub(super) id: Option<u64>,
    pub(super) result: Result<(), Failure>,
}

impl Judged {
    pub(super) fn done(id: u64) -> Self {
        Self {
            id: Some(id),
            result: Ok(()),
        }
    }

    pub(super) fn failed(id: Option<u64>, failure: Failure) -> Self {
        Self {
            id,
            result: Err(failure),
        }
    }
}

impl Call<'_> {
    /// Runs over the items of a request and makes the container of the answer.
    pub(super) fn each_item(
        &mut self,
        root: &Node,
        container: &str,
        id_name: &str,
        mut judge: impl FnMut(&mut Call<'_>, &Node) -> Judged,
    ) -> Result<Vec<Node>, Failure> {
        let items = root
            .child(container)
            .map(|container| container.children.as_slice())
            .unwrap_or_default();
        if items.is_empty() {
            self.context.misuse(
                MisuseKind::MissingParameter,
                format!("no items in {container}"),
            );
            return Err(Failure::new(
                Failure::MALFORMED,
                format!("{container} holds no items."),
            ));
        }
        self.check_batch(items)?;
        let quirks = self.account().settings.greenrope.clone();
        let mut answer = Node::new(container);
        for (position, item) in items.iter().enumerate() {
            let judged = if self.context.item_fails(position) {
                Judged::failed(
                    None,
                    Failure::new(Failure::BAD_VALUE, "The item could not be processed."),
                )
            } else {
                judge(self, item)
            };
            let tag = if quirks.odd_item_tags && position % 2 == 1 {
                container
            } else {
                item.name.as_str()
            };
            let mut node = Node::new(tag);
            if let Some(request_id) = item.attribute("request_id")
                && !quirks.no_request_id
            {
                node.attributes
                    .push(("request_id".to_owned(), request_id.to_owned()));
            }
            if let Some(id) = judged.id
                && !(judged.result.is_err() && quirks.no_id_in_failed_items)
            {
                node.push(Node::leaf(id_name, id.to_string()));
            }
            match judged.result {
                Ok(()) => node.push(Node::leaf("Result", "Success")),
                Err(failure) => {
                    self.context.failed_items += 1;
                    node.push(Node::leaf("Result", "Error"));
                    node.push(Node::leaf("ErrorCode", failure.code.to_string()));
                    node.push(Node::leaf("ErrorText", failure.text));
                }
            }
            answer.push(node);
        }
        Ok(vec![answer])
    }

    fn check_batch(&mut self, items: &[Node]) -> Result<(), Failure> {
        self.context.items = items.len();
        let most = self.account().settings.max_items;
        if items.len() > most {
            self.context.misuse(
                MisuseKind::TooManyItems,
                format!("{} items of {most}", items.len()),
            );
        }
        let mut request_ids = BTreeSet::new();
        for request_id in items.iter().filter_map(|item| item.attribute("request_id")) {
            if !request_ids.insert(request_id) {
                self.context.misuse(
                    MisuseKind::DuplicateRequestId,
                    "a request_id stands twice in a batch",
                );
            }
        }
        let mut targets = BTreeSet::new();
        for item in items {
            let Some(target) = target_of(item) else {
                continue;
            };
            if !targets.insert(target) {
                self.context.misuse(
                    MisuseKind::DuplicateInBatch,
                    "two items are about the same person",
                );
            }
        }
        if items.iter().any(|item| self.is_poisoned(item)) {
            return Err(Failure::new(
                Failure::BAD_VALUE,
                "The request could not be processed.",
            ));
        }
        Ok(())
    }

    fn is_poisoned(&self, item: &Node) -> bool {
        let attributes = item
            .attributes
            .iter()
            .filter(|(name, _)| name != "account_id")
            .map(|(_, value)| value);
        let address = item.attribute("contact_id").and_then(|id| id.parse().ok());
        let address = address
            .and_then(|id| self.account().contact(id))
            .map(|contact| &contact.email);
        let written = item.child("Email").map(|email| &email.text);
        attributes
            .chain(address)
            .chain(written)
            .any(|value| self.context.is_poison(value))
    }

    /// The one contact that an item's criteria match.
    pub(super) fn match_contact(&mut self, item: &Node) -> Result<u64, Failure> {
        let criteria = |contact: &Contact| matches(contact, item);
        let named = ["contact_id", "firstname", "lastname", "email"]
            .iter()
            .any(|name| item.attribute(name).is_some());
        if !named {
            self.context
                .misuse(MisuseKind::MissingParameter, "an item without criteria");
            return Err(Failure::new(
                Failure::NO_CONTACT,
                "The item has no search criteria.",
            ));
        }
        let found: Vec<u64> = match item.attribute("contact_id").map(str::parse::<u64>) {
            Some(Err(_)) => Vec::new(),
            Some(Ok(id)) => self
                .account()
                .contact(id)
                .filter(|contact| criteria(contact))
                .map(|contact| contact.id)
                .into_iter()
                .collect(),
            None => self
                .account()
                .contacts
                .values()
                .filter(|contact| criteria(contact))
                .map(|contact| contact.id)
                .collect(),
        };
        let found: Vec<u64> = found
            .into_iter()
            .filter(|contact| self.sees_contact(*contact))
            .collect();
        match found.as_slice() {
            [contact] => Ok(*contact),
            [] => Err(Failure::new(Failure::NO_CONTACT, "No contact matches.")),
            _ => {
                self.context.misuse(
                    MisuseKind::AmbiguousTarget,
                    format!("{} contacts match one item", found.len()),
                );
                Err(Failure::new(
                    Failure::SEVERAL_CONTACTS,
                    "More than one contact matches.",
                ))
            }
        }
    }

    /// The one group that `group_id` or `group_name` names.
    pub(super) fn match_group(&mut self, node: &Node) -> Result<u64, Failure> {
        let found = match (node.attribute("group_id"), node.attribute("group_name")) {
            (Some(_), Some(_)) => {
                self.context.misuse(
                    MisuseKind::AmbiguousTarget,
                    "group_id together with group_name",
                );
                return Err(Failure::new(
                    Failure::NO_GROUP,
                    "Either group_id or group_name names the group.",
                ));
            }
            (Some(id), None) => id
                .trim()
                .parse()
                .ok()
                .filter(|id| self.account().group(*id).is_some()),
            (None, Some(name)) => self.account().find_group(name),
            (None, None) => {
                self.context.misuse(
                    MisuseKind::MissingParameter,
                    "neither group_id nor group_name",
                );
                None
            }
        };
        found
            .filter(|group| self.login.sees(*group))
            .ok_or_else(|| Failure::new(Failure::NO_GROUP, "The group was not found."))
    }

    /// Refuses what needs the "New Group" right.
    pub(super) fn need_group_right(&self) -> Result<(), Failure> {
        if self.login.rights.create_groups {
            Ok(())
        } else {
            Err(Failure::new(
                Failure::PERMISSION,
                "You do not have permission to change groups.",
            ))
        }
    }
}

/// The person an item is about, if that can be compared. Groups may come twice: names are swapped
/// that way.
fn target_of(item: &Node) -> Option<String> {
    for name in ["contact_id", "email"] {
        if let Some(value) = item.attribute(name) {
            return Some(format!("{name} {}", fold(value)));
        }
    }
    let email = item.child("Email").filter(|email| !email.text.is_empty())?;
    Some(format!("email {}", fold(&email.text)))
}

/// Whether a contact fits all criteria of a node: exact, in any case for addresses.
pub(super) fn matches(contact: &Contact, node: &Node) -> bool {
    let is = |name: &str, test: &dyn Fn(&str) -> bool| {
        node.attribute(name).is_none_or(|value| test(value.trim()))
    };
    is("contact_id", &|value| value == contact.id.to_string())
        && is("firstname", &|value| value == contact.get("first_name"))
        && is("lastname", &|value| value == contact.get("last_name"))
        && is("email", &|value| contact.has_address(value))
}
