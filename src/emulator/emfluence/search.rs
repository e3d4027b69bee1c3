//! contacts/search: the filters, the chosen fields and their order.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Call;
use super::contacts::field;
use super::envelope::{Answer, Failure};
use super::groups::no_group;
use super::members::sees_contact;
use super::params::Params;
use super::values::{PROFILE, text};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Account, Contact, fold};

pub(super) const PARAMETERS: &[&str] = &[
    "groupID",
    "suppressed",
    "held",
    "contactIDs",
    "email",
    "userID",
    "customerID",
    "lastName",
    "company",
    "title",
    "phone",
    "fax",
    "city",
    "state",
    "zipCode",
    "country",
    "purl",
    "dobMonth",
    "dobDay",
    "dobYear",
    "lastActivityDateStart",
    "lastActivityDateEnd",
    "lastActivityType",
    "lastClickDateStart",
    "lastClickDateEnd",
    "lastClickType",
    "dateAddedStart",
    "dateAddedEnd",
    "dateModifiedStart",
    "dateModifiedEnd",
    "fields",
    "page",
    "rpp",
    "sortField",
    "sortDirection",
];

/// What is shown when no fields are asked for.
const DEFAULT_FIELDS: [&str; 9] = [
    "contactID",
    "email",
    "userID",
    "firstName",
    "lastName",
    "held",
    "suppressed",
    "dateAdded",
    "dateModified",
];

/// Fields beside the profile ones that may be asked for.
const OTHER_FIELDS: [&str; 11] = [
    "contactID",
    "email",
    "userID",
    "held",
    "dateHeld",
    "suppressed",
    "dateSuppressed",
    "dateAdded",
    "dateModified",
    "lastActivityDate",
    "lastClickDate",
];

/// Filters on the text of a profile field: the wire's name and the neutral name.
const TEXT_FILTERS: [(&str, &str); 11] = [
    ("customerID", "external_id"),
    ("lastName", "last_name"),
    ("company", "company"),
    ("title", "title"),
    ("phone", "phone"),
    ("fax", "fax"),
    ("city", "city"),
    ("state", "state"),
    ("zipCode", "zip"),
    ("country", "country"),
    ("purl", "purl"),
];

type Filter<'a> = Box<dyn Fn(&Contact) -> bool + 'a>;

pub(super) fn search(call: &mut Call<'_>, params: &Params) -> Answer {
    let page = call.page(params, 25, 250)?;
    let fields = wanted_fields(call, params)?;
    let filters = filters(call, params)?;
    let group = params.id("groupID", call.context)?;
    let sort = params
        .word(
            "sortField",
            &["contactID", "email", "dateModified", "contactScore"],
            call.context,
        )?
        .unwrap_or("contactID");
    let descending = params.word("sortDirection", &["asc", "desc"], call.context)? == Some("desc");

    let key = call.listing_key("contacts/search", params);
    let (account, login) = (&*call.account, &call.login);
    let find = || {
        let candidates: Vec<&Contact> = match group {
            Some(id) => {
                let group = account
                    .group(id)
                    .filter(|group| login.sees(group.id))
                    .ok_or_else(|| no_group(id))?;
                group
                    .members
                    .keys()
                    .filter_map(|contact| account.contact(*contact))
                    .collect()
            }
            None => account.contacts.values().collect(),
        };
        let mut found: Vec<&Contact> = candidates
            .into_iter()
            .filter(|contact| {
                sees_contact(account, login, contact.id)
                    && filters.iter().all(|filter| filter(contact))
            })
            .collect();
        match sort {
            "email" => found.sort_by_cached_key(|contact| (fold(&contact.email), contact.id)),
            "dateModified" => found.sort_by_key(|contact| (contact.modified, contact.id)),
            _ => found.sort_by_key(|contact| contact.id),
        }
        if descending {
            found.reverse();
        }
        Ok::<_, Failure>(found.into_iter().map(|contact| contact.id).collect())
    };
    let ids = call.kept.listing(key, find)?;
    Ok(call.paged(&page, &ids, |account, id| {
        account
            .contact(*id)
            .map_or(Value::Null, |contact| record(account, contact, &fields))
    }))
}

fn wanted_fields(call: &mut Call<'_>, params: &Params) -> Result<Vec<String>, Failure> {
    let Some(text) = params.text("fields", call.context)? else {
        return Ok(DEFAULT_FIELDS
            .iter()
            .map(|name| (*name).to_owned())
            .collect());
    };
    let mut fields: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    // Nobody has seen that it may be asked for as a whole.
    if let Some(at) = fields.iter().position(|name| name == "customFields") {
        fields.remove(at);
        call.context.misuse(
            MisuseKind::UnknownParameter,
            "fields: customFields".to_owned(),
        );
    }
    for name in &fields {
        let known = OTHER_FIELDS.contains(&name.as_str())
            || PROFILE.iter().any(|(wire, _)| wire == name)
            || call.account.fields.iter().any(|field| field.name == *name);
        if !known {
            call.context
                .misuse(MisuseKind::UnknownParameter, format!("fields: {name}"));
            return Err(Failure::new(
                Failure::UNKNOWN,
                format!("There is no field {name}."),
            ));
        }
    }
    Ok(fields)
}

fn filters<'a>(call: &mut Call<'_>, params: &'a Params) -> Result<Vec<Filter<'a>>, Failure> {
    let context = &mut *call.context;
    let mut filters: Vec<Filter<'a>> = Vec::new();
    if let Some(suppressed) = params.flag("suppressed", context)? {
        filters.push(Box::new(move |contact| {
            contact.opted_out.is_some() == suppressed
        }));
    }
    if let Some(held) = params.flag("held", context)? {
        filters.push(Box::new(move |contact| contact.bounced.is_some() == held));
    }
    if let Some(ids) = params.ids("contactIDs", 100, context)? {
        filters.push(Box::new(move |contact| ids.contains(&contact.id)));
    }
    if let Some(user) = params.id("userID", context)? {
        filters.push(Box::new(move |contact| contact.owner == user));
    }
    if let Some(pattern) = params.text("email", context)? {
        let pattern = fold(pattern);
        filters.push(Box::new(move |contact| {
            like(&pattern, &fold(&contact.email))
        }));
    }
    for (wire, neutral) in TEXT_FILTERS {
        if let Some(wanted) = params.text(wire, context)? {
            let wanted = fold(wanted);
            filters.push(Box::new(move |contact| {
                fold(contact.get(neutral)) == wanted
            }));
        }
    }
    for (name, start, length) in [("dobYear", 0, 4), ("dobMonth", 5, 2), ("dobDay", 8, 2)] {
        if let Some(wanted) = params.int(name, context)? {
            filters.push(Box::new(move |contact| {
                let part = contact.get("birth_date").get(start..start + length);
                part.and_then(|part| part.parse::<i64>().ok()) == Some(wanted)
            }));
        }
    }
    for (name, moment) in [
        (
            "dateAdded",
            (|contact: &Contact| Some(contact.added)) as fn(&Contact) -> Option<Timestamp>,
        ),
        ("dateModified", |contact| Some(contact.modified)),
        ("lastActivityDate", |contact| contact.last_activity),
        ("lastClickDate", |contact| contact.last_click),
    ] {
        let start = params.moment(&format!("{name}Start"), context)?;
        let end = params.moment(&format!("{name}End"), context)?;
        if start.is_none() && end.is_none() {
            continue;
        }
        // "inactive" asks for those without activity in the range.
        let kind = format!("{}Type", name.trim_end_matches("Date"));
        let wanted = match name {
            "lastActivityDate" | "lastClickDate" => {
                params.word(&kind, &["active", "inactive"], context)? != Some("inactive")
            }
            _ => true,
        };
        filters.push(Box::new(move |contact| {
            let inside = moment(contact).is_some_and(|moment| {
                start.is_none_or(|start| moment >= start) && end.is_none_or(|end| moment <= end)
            });
            inside == wanted
        }));
    }
    Ok(filters)
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(position) => rest = &rest[position + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A contact as contacts/search shows it: the asked fields, custom ones beside the others.
fn record(account: &Account, contact: &Contact, fields: &[String]) -> Value {
    let custom_text = |name: &str| text(account, contact.custom.get(name).unwrap_or_default());
    let mut record = Map::new();
    for name in fields {
        if account.fields.iter().any(|field| field.name == *name) {
            record.insert(name.clone(), custom_text(name));
        } else {
            record.insert(name.clone(), field(account, contact, name));
        }
    }
    Value::Object(record)
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(like("*@example.org", "ana@example.org"));
        assert!(like("a*@*.org", "ana@example.org"));
        assert!(like("ana@example.org", "ana@example.org"));
        assert!(!like("ana", "ana@example.org"));
        assert!(!like("*@example.net", "ana@example.org"));
    }
}
