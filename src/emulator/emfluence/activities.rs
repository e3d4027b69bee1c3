//! What a contact did and which mail it got, as far as the world knows.

use serde_json::{Value, json};

use super::Call;
use super::contacts::{find_contact, no_contact};
use super::envelope::Answer;
use super::params::Params;
use super::values::{stamp, text};
use crate::emulator::world::MembershipState;

/// The record keys of these two calls are not public; the ones here are in the style of the other
/// calls.
pub(super) const PARAMETERS: &[&str] = &["contactID", "email", "page", "rpp"];

pub(super) fn activities(call: &mut Call<'_>, params: &Params) -> Answer {
    let page = call.page(params, 25, 250)?;
    let id = find_contact(call, params)?.ok_or_else(|| no_contact("The contact"))?;
    let contact = call
        .account
        .contact(id)
        .ok_or_else(|| no_contact("The contact"))?;
    let mut done = Vec::new();
    for (kind, moment) in [
        ("Open", contact.last_activity),
        ("Click", contact.last_click),
    ] {
        done.extend(moment.map(|moment| (moment, kind)));
    }
    done.sort_unstable();
    Ok(call.paged(
        &page,
        &done,
        |account, (moment, kind)| json!({"contactID": id, "activity": kind, "dateAdded": stamp(account, Some(*moment))}),
    ))
}

pub(super) fn email_history(call: &mut Call<'_>, params: &Params) -> Answer {
    let page = call.page(params, 25, 250)?;
    let id = find_contact(call, params)?.ok_or_else(|| no_contact("The contact"))?;
    let mut sent: Vec<_> = call
        .account
        .groups
        .values()
        .filter(|group| {
            group
                .members
                .get(&id)
                .is_some_and(|member| member.state == MembershipState::Active)
        })
        .filter_map(|group| group.last_sent.map(|moment| (moment, group.id)))
        .collect();
    sent.sort_unstable();
    Ok(call.paged(&page, &sent, |account, (moment, group)| {
        let name = account
            .group(*group)
            .map_or(Value::Null, |group| text(account, &group.name));
        json!({"groupID": group, "groupName": name, "dateSent": stamp(account, Some(*moment))})
    }))
}
