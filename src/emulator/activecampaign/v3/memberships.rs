//! Contacts on lists in version 3.

use serde_json::{Value, json};

use super::{Answer, check_query, id_of, invalid, not_found, page, require, text_of, wrapped};
use crate::emulator::activecampaign::Call;
use crate::emulator::activecampaign::form::number;
use crate::emulator::activecampaign::rows::{edge_id, iso, status_number};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Account, MembershipState};

/// The status of a membership that an administrator ended.
const ENDED: u64 = 91;

/// The status of a contact on a list, on which it is or from which an administrator took it.
pub(super) fn status_of(account: &Account, list: u64, contact: u64) -> Option<u64> {
    let list = account.groups.get(&list)?;
    let membership = list.members.get(&contact);
    membership
        .map(|membership| status_number(membership.state))
        .or_else(|| list.ended.contains(&contact).then_some(ENDED))
}

pub(super) fn edge_row(account: &Account, list: u64, contact: u64) -> Option<Value> {
    let status = status_of(account, list, contact)?;
    let membership = account.groups.get(&list)?.members.get(&contact);
    let membership = membership.copied().unwrap_or_default();
    let left = if membership.state == MembershipState::OptedOut {
        membership.changed
    } else {
        None
    };
    Some(json!({
        "id": edge_id(list, contact).to_string(),
        "list": list.to_string(),
        "contact": contact.to_string(),
        "status": status.to_string(),
        "sdate": iso(membership.since),
        "udate": left.map_or(Value::Null, iso),
        "form": Value::Null,
        "seriesid": "0",
        "responder": "1",
        "sync": "0",
        "unsubreason": Value::Null,
        "sourceid": "0",
        "links": {"list": format!("/api/3/contactLists/{}/list", edge_id(list, contact))},
    }))
}

/// The memberships of a contact on the lists that are seen, those included that an administrator
/// ended.
pub(super) fn edges_of(call: &Call<'_>, id: u64) -> Vec<Value> {
    let lists = call.visible_lists().into_iter();
    lists
        .filter_map(|list| edge_row(call.account, list, id))
        .collect()
}

pub(super) fn of_contact(call: &mut Call<'_>, id: u64) -> Answer {
    if call.visible_contact(id).is_none() {
        return Err(not_found("Subscriber", id));
    }
    Ok((200, json!({"contactLists": edges_of(call, id)})))
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    check_query(
        call,
        &[
            "filters[list]",
            "filters[status]",
            "filters[contact]",
            "include",
        ],
    );
    let status = call.form.text("filters[status]");
    let contact = call.form.text("filters[contact]");
    let wanted = call.form.text("filters[list]");
    let mut rows = Vec::new();
    for list in call.visible_lists() {
        if !wanted.is_empty() && number(wanted) != list {
            continue;
        }
        let members = call.account.members_of(list).into_iter();
        let members = members.map(|(member, state)| (member, status_number(state)));
        let ended = call.account.groups[&list].ended.iter();
        for (member, state) in members.chain(ended.map(|member| (*member, ENDED))) {
            let fits = status.is_empty() || status.split(',').any(|one| one == state.to_string());
            if fits && (contact.is_empty() || number(contact) == member) {
                rows.extend(edge_row(call.account, list, member));
            }
        }
    }
    page(call, "contactLists", rows)
}

pub(super) fn save(call: &mut Call<'_>, body: &Value) -> Answer {
    require(call, "pg_subscriber_edit")?;
    let given = wrapped(call, body, "contactList")?;
    let (list, contact) = (id_of(given.get("list")), id_of(given.get("contact")));
    if !call.sees_list(list) {
        return Err((
            403,
            json!({"message": format!("No Result found for _List with id {list}")}),
        ));
    }
    if call.visible_contact(contact).is_none()
        && !(call.account.contacts.contains_key(&contact)
            && call.account.groups_of(contact).is_empty())
    {
        return Err(not_found("Subscriber", contact));
    }
    match text_of(given.get("status")).as_deref() {
        Some("1") => call.subscribe_again(list, contact),
        Some("2") => {
            call.account.unsubscribe_by_api(list, contact);
        }
        _ => {
            call.context.misuse(MisuseKind::WrongType, "status");
            return Err(invalid(
                "The status is not valid.",
                "status",
                "field_invalid",
            ));
        }
    }
    let row = edge_row(call.account, list, contact).unwrap_or(Value::Null);
    Ok((201, json!({"contactList": row})))
}
