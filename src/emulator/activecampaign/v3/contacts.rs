//! Contacts in version 3.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fields::value_rows;
use super::memberships::{edges_of, status_of};
use super::{
    Answer, bounds, check_query, forbidden, invalid, not_found, require, text_of, wrapped,
};
use crate::emulator::activecampaign::Call;
use crate::emulator::activecampaign::contact_values::{Values, is_address};
use crate::emulator::activecampaign::form::number;
use crate::emulator::activecampaign::rows::{contact_hash, iso, zone};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Contact, MembershipState, fold};

const QUERY: &[&str] = &[
    "ids",
    "ids[]",
    "email",
    "email_like",
    "search",
    "listid",
    "status",
    "tagid",
    "id_greater",
    "id_less",
    "include",
    "orders[id]",
    "orders[cdate]",
    "orders[email]",
    "orders[first_name]",
    "orders[last_name]",
    "filters[updated_after]",
    "filters[updated_before]",
    "filters[created_after]",
    "filters[created_before]",
];

pub(super) fn contact_row(contact: &Contact) -> Value {
    let id = contact.id;
    json!({
        "id": id.to_string(),
        "email": contact.email,
        "firstName": contact.get("first_name"),
        "lastName": contact.get("last_name"),
        "phone": contact.get("phone"),
        "orgid": "0",
        "orgname": contact.get("company"),
        "bounced_hard": "0",
        "bounced_soft": "0",
        "bounced_date": Value::Null,
        "ip": "0",
        "hash": contact_hash(contact),
        "cdate": iso(contact.added),
        "adate": Value::Null,
        "udate": iso(contact.modified),
        "deleted": "0",
        "anonymized": "0",
        "created_timestamp": iso(contact.added),
        "updated_timestamp": iso(contact.modified),
        "links": {
            "contactLists": format!("/api/3/contacts/{id}/contactLists"),
            "fieldValues": format!("/api/3/contacts/{id}/fieldValues"),
        },
    })
}

/// A moment in a filter: a date, or a date with time and offset.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    let local: jiff::civil::DateTime = text.parse().ok().or_else(|| {
        text.parse::<jiff::civil::Date>()
            .ok()
            .map(|day| day.at(0, 0, 0, 0))
    })?;
    local.to_zoned(zone()).ok().map(|zoned| zoned.timestamp())
}

impl Call<'_> {
    fn wants(&self, contact: &Contact) -> bool {
        let form = self.form;
        let given = |name: &str| Some(form.text(name)).filter(|value| !value.is_empty());
        let date = |name: &str| given(name).and_then(moment);
        given("email").is_none_or(|email| contact.has_address(email))
            && given("email_like").is_none_or(|part| fold(&contact.email).contains(&fold(part)))
            && given("search").is_none_or(|part| fold(&contact.email).contains(&fold(part)))
            && given("ids").is_none_or(|_| form.id_list("ids").contains(&contact.id))
            && self.named(contact.id)
            && given("id_greater").is_none_or(|id| contact.id > number(id))
            && given("id_less").is_none_or(|id| contact.id < number(id))
            && given("tagid").is_none_or(|id| self.has_tag(contact, number(id)))
            && date("filters[updated_after]").is_none_or(|from| contact.modified > from)
            && date("filters[updated_before]").is_none_or(|to| contact.modified < to)
            && date("filters[created_after]").is_none_or(|from| contact.added > from)
            && date("filters[created_before]").is_none_or(|to| contact.added < to)
            && self.has_edge(contact, given("listid").map(number), given("status"))
    }

    /// Whether a contact is among those named by `ids[]`, which may be repeated; where none is, all
    /// are.
    fn named(&self, contact: u64) -> bool {
        let mut ids = self.form.entries("ids").into_iter().peekable();
        ids.peek().is_none() || ids.any(|(_, id)| number(id) == contact)
    }

    fn has_edge(&self, contact: &Contact, list: Option<u64>, status: Option<&str>) -> bool {
        let status = status.filter(|status| *status != "-1");
        if list.is_none() && status.is_none() {
            return true;
        }
        let lists = match list {
            Some(list) if self.account.groups.contains_key(&list) && self.sees_list(list) => {
                vec![list]
            }
            Some(_) => Vec::new(),
            None => self.visible_lists(),
        };
        lists
            .into_iter()
            .filter_map(|one| status_of(self.account, one, contact.id))
            .any(|shown| {
                status.is_none_or(|status| status.split(',').any(|one| one == shown.to_string()))
            })
    }

    /// Reads the values of a contact; unknown fields are refused.
    fn read_contact(
        &mut self,
        given: &serde_json::Map<String, Value>,
    ) -> Result<Values, (u16, Value)> {
        let mut values = Values::default();
        for (name, value) in given {
            match name.as_str() {
                "firstName" | "lastName" | "phone" | "orgname" => {
                    let neutral = match name.as_str() {
                        "firstName" => "first_name",
                        "lastName" => "last_name",
                        "orgname" => "company",
                        _ => "phone",
                    };
                    values
                        .profile
                        .push((neutral, text_of(Some(value)).unwrap_or_default()));
                }
                "email" => {}
                "fieldValues" => {
                    for entry in value.as_array().into_iter().flatten() {
                        let id = super::id_of(entry.get("field"));
                        let Some(field) = self.account.fields.iter().find(|field| field.id == id)
                        else {
                            return Err(invalid(
                                "The field does not exist.",
                                "fieldValues",
                                "related_missing",
                            ));
                        };
                        values.custom.push((
                            field.name.clone(),
                            text_of(entry.get("value")).unwrap_or_default(),
                        ));
                    }
                }
                // Lists and tags among them: the call has no place for them.
                _ => self.context.misuse(
                    MisuseKind::UnknownParameter,
                    name.chars().take(40).collect::<String>(),
                ),
            }
        }
        Ok(values)
    }

    fn read_address(
        &mut self,
        given: &serde_json::Map<String, Value>,
    ) -> Result<String, (u16, Value)> {
        let email = text_of(given.get("email")).unwrap_or_default();
        if email.is_empty() {
            self.context.misuse(MisuseKind::MissingParameter, "email");
            return Err(invalid(
                "Contact email address was not provided.",
                "email",
                "email_invalid",
            ));
        }
        if !is_address(&email) || self.context.is_poison(&email) {
            return Err(invalid(
                "Contact Email Address is not valid.",
                "email",
                "email_invalid",
            ));
        }
        Ok(email)
    }

    fn answer_contact(&self, status: u16, id: u64) -> Answer {
        let Some(contact) = self.account.contacts.get(&id) else {
            return Err(not_found("Subscriber", id));
        };
        Ok((
            status,
            json!({"contact": contact_row(contact), "fieldValues": value_rows(self.account, contact)}),
        ))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all calls")]
pub(super) fn list(call: &mut Call<'_>) -> Answer {
    check_query(call, QUERY);
    let (offset, limit) = bounds(call);
    let mut shown: Vec<&Contact> = call
        .account
        .contacts
        .values()
        .filter(|contact| call.wants(contact) && call.sees_contact(contact))
        .collect();
    // Without an order the newest come first, and pages shift when somebody is added.
    let order = call.form.pairs().find_map(|(name, direction)| {
        let name = name.strip_prefix("orders[")?.strip_suffix(']')?;
        Some((name, direction.eq_ignore_ascii_case("asc")))
    });
    match order.map_or("id", |(name, _)| name) {
        "email" => shown.sort_by_key(|contact| fold(&contact.email)),
        "first_name" => shown.sort_by_key(|contact| fold(contact.get("first_name"))),
        "last_name" => shown.sort_by_key(|contact| fold(contact.get("last_name"))),
        "cdate" => shown.sort_by_key(|contact| contact.added),
        _ => {}
    }
    if !order.is_some_and(|(_, ascending)| ascending) {
        shown.reverse();
    }
    let total = shown.len();
    let page: Vec<&Contact> = shown.into_iter().skip(offset).take(limit).collect();
    let mut answer = json!({"contacts": page.iter().map(|contact| contact_row(contact)).collect::<Vec<_>>(), "meta": {"total": total.to_string(), "page_input": {"offset": offset, "limit": limit}}});
    if !call.account.settings.activecampaign.no_include {
        for wanted in call.form.text("include").split(',') {
            let mut sideloaded = Vec::new();
            for (position, contact) in page.iter().enumerate() {
                let rows: Vec<Value> = match wanted {
                    "contactLists" => edges_of(call, contact.id),
                    "fieldValues" => value_rows(call.account, contact),
                    _ => continue,
                };
                let ids: Vec<Value> = rows.iter().map(|row| row["id"].clone()).collect();
                answer["contacts"][position][wanted] = Value::Array(ids);
                sideloaded.extend(rows);
            }
            if matches!(wanted, "contactLists" | "fieldValues") {
                answer[wanted] = Value::Array(sideloaded);
            }
        }
    }
    Ok((200, answer))
}

pub(super) fn view(call: &mut Call<'_>, id: u64) -> Answer {
    let Some(contact) = call.visible_contact(id) else {
        return Err(not_found("Subscriber", id));
    };
    Ok((
        200,
        json!({"contact": contact_row(contact), "contactLists": edges_of(call, id), "fieldValues": value_rows(call.account, contact)}),
    ))
}

pub(super) fn create(call: &mut Call<'_>, body: &Value) -> Answer {
    require(call, "pg_subscriber_add")?;
    let given = wrapped(call, body, "contact")?;
    let email = call.read_address(given)?;
    let values = call.read_contact(given)?;
    if call.account.contact_by_email(&email).is_some() {
        return Err(invalid(
            "Email address already exists in the system",
            "email",
            "duplicate",
        ));
    }
    let id = call.create_contact(&email);
    call.write_values(id, &values);
    call.answer_contact(201, id)
}

pub(super) fn sync(call: &mut Call<'_>, body: &Value) -> Answer {
    require(call, "pg_subscriber_add")?;
    let given = wrapped(call, body, "contact")?;
    let email = call.read_address(given)?;
    let values = call.read_contact(given)?;
    let present = call.account.contact_by_email(&email);
    let id = present.unwrap_or_else(|| call.create_contact(&email));
    call.write_values(id, &values);
    call.answer_contact(if present.is_some() { 200 } else { 201 }, id)
}

pub(super) fn update(call: &mut Call<'_>, id: u64, body: &Value) -> Answer {
    require(call, "pg_subscriber_edit")?;
    if call.visible_contact(id).is_none() {
        return Err(not_found("Subscriber", id));
    }
    let given = wrapped(call, body, "contact")?;
    let email = if given.contains_key("email") {
        Some(call.read_address(given)?)
    } else {
        None
    };
    let values = call.read_contact(given)?;
    if let Some(email) = email {
        call.readdress(id, &email)
            .map_err(|message| invalid(&message, "email", "duplicate"))?;
    }
    call.write_values(id, &values);
    call.answer_contact(200, id)
}

pub(super) fn delete(call: &mut Call<'_>, id: u64) -> Answer {
    require(call, "pg_subscriber_delete").map_err(|_| forbidden())?;
    if call.visible_contact(id).is_none() {
        return Err(not_found("Subscriber", id));
    }
    call.context
        .misuse(MisuseKind::DeletedContact, format!("contact {id}"));
    for list in call.account.groups_of(id) {
        if call.account.membership(list, id) == Some(MembershipState::OptedOut) {
            call.context.misuse(
                MisuseKind::RemovedOptedOut,
                format!("list {list}, contact {id}"),
            );
        }
    }
    call.account.delete_contact(id);
    Ok((200, json!({})))
}
