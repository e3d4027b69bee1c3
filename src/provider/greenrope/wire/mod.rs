//! The XML of the API: requests are encoded and answers decoded here, without any I/O beyond
//! reading a body at hand.

mod answer;
mod contacts;
mod mend;
mod objects;
mod request;
mod token;
mod tree;
mod xml;

pub(super) use answer::{Sent, created, settle_creations, settle_items, speaks_of_login};
pub(super) use contacts::{Contact, Count, check_contacts};
pub(super) use objects::{
    NO_LIST_OF_GROUPS, accounts, custom_fields, groups, groups_if_any, says_no_contacts,
    says_no_groups, token,
};
pub(super) use request::{ContactFilter, ItemKind, Request, encode_group, encode_member};
