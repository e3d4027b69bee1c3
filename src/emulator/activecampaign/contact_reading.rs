//! The version 1 calls that show contacts.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde_json::{Value, json};

use super::Call;
use super::answer::{Answer, found, object, rows};
use super::form::number;
use super::lists::paginate;
use super::rows::{contact_full, contact_hash, contact_short, stamp, status_number, zone};
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Contact, Membership, fold};

/// Rows of one page of `contact_list`.
const PAGE: usize = 20;

const FILTERS: [&str; 14] = [
    "email",
    "listid",
    "first_name",
    "last_name",
    "organization",
    "id_greater",
    "id_less",
    "segmentid",
    "status",
    "tagid",
    "tagname",
    "datetime",
    "since_datetime",
    "until_datetime",
];

impl Call<'_> {
    fn full(&self, contact: &Contact) -> Value {
        contact_full(self.account, contact, &self.visible_lists())
    }

    fn filter(&self, name: &str) -> Option<&str> {
        self.form
            .at("filters", name)
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// Whether a contact bears the tag with this id.
    pub(super) fn has_tag(&self, contact: &Contact, id: u64) -> bool {
        !contact.tags.is_empty()
            && self
                .account
                .tag_names()
                .get((id as usize).wrapping_sub(1))
                .is_some_and(|tag| contact.tags.contains(tag))
    }

    /// Whether a contact meets the filters on its own values.
    fn matches(&self, contact: &Contact) -> bool {
        let one_of = |wanted: Option<&str>, value: &str| {
            wanted.is_none_or(|wanted| wanted.split(',').any(|one| fold(one) == fold(value)))
        };
        self.filter("email")
            .is_none_or(|email| contact.has_address(email))
            && one_of(self.filter("first_name"), contact.get("first_name"))
            && one_of(self.filter("last_name"), contact.get("last_name"))
            && self
                .filter("organization")
                .is_none_or(|name| fold(name) == fold(contact.get("company")))
            && self
                .filter("id_greater")
                .is_none_or(|id| contact.id > number(id))
            && self
                .filter("id_less")
                .is_none_or(|id| contact.id < number(id))
            && self
                .filter("tagname")
                .is_none_or(|name| contact.tags.iter().any(|tag| tag == name))
            && self
                .filter("tagid")
                .is_none_or(|id| self.has_tag(contact, number(id)))
            && self.form.pairs().all(|(key, value)| {
                let Some(key) = key
                    .strip_prefix("filters[fields][")
                    .and_then(|key| key.strip_suffix(']'))
                else {
                    return true;
                };
                let field = self.account.fields.iter().find(|field| {
                    field.id.to_string() == key
                        || key.trim_matches('%').eq_ignore_ascii_case(&field.name)
                });
                field
                    .and_then(|field| contact.custom.get(&field.name))
                    .is_some_and(|held| fold(held).starts_with(&fold(value)))
            })
    }

    /// Whether a membership meets the filters on lists, states and dates.
    fn matches_edge(&self, list: u64, membership: &Membership) -> bool {
        // Unless it is asked for, only active people are shown.
        let status = self.filter("status").unwrap_or("1");
        let since = membership.since;
        self.filter("listid")
            .is_none_or(|lists| lists.split(',').any(|one| number(one) == list))
            && status
                .split(',')
                .any(|one| one.trim() == status_number(membership.state).to_string())
            && self.filter("datetime").is_none_or(|day| {
                stamp(since)
                    .as_str()
                    .is_some_and(|shown| shown.starts_with(day))
            })
            && self
                .filter("since_datetime")
                .and_then(moment)
                .is_none_or(|from| since >= from)
            && self
                .filter("until_datetime")
                .and_then(moment)
                .is_none_or(|to| since <= to)
    }
}

/// A date without a zone as a moment.
fn moment(text: &str) -> Option<Timestamp> {
    let local: DateTime = text
        .parse()
        .ok()
        .or_else(|| text.parse::<Date>().ok().map(|day| day.at(0, 0, 0, 0)))?;
    local.to_zoned(zone()).ok().map(|zoned| zoned.timestamp())
}

pub(super) fn view(call: &mut Call<'_>) -> Answer {
    object(
        call.visible_contact(call.form.number("id"))
            .map(|contact| call.full(contact)),
    )
}

pub(super) fn view_email(call: &mut Call<'_>) -> Answer {
    let id = call
        .account
        .contact_by_email(call.form.text("email"))
        .unwrap_or(0);
    object(call.visible_contact(id).map(|contact| call.full(contact)))
}

pub(super) fn view_hash(call: &mut Call<'_>) -> Answer {
    let hash = call.form.text("hash");
    let contact = call
        .account
        .contacts
        .values()
        .find(|contact| contact_hash(contact) == hash);
    object(
        contact
            .filter(|contact| call.sees_contact(contact))
            .map(|contact| call.full(contact)),
    )
}

pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let ids = call.form.text("ids");
    let filtered = call
        .form
        .pairs()
        .any(|(name, _)| name.starts_with("filters["));
    if filtered && !ids.is_empty() {
        call.context
            .misuse(MisuseKind::AmbiguousTarget, "ids together with filters");
    }
    if !filtered && ids.is_empty() {
        call.context.misuse(MisuseKind::MissingParameter, "ids");
    }
    for (name, _) in call.form.pairs() {
        let Some(name) = name.strip_prefix("filters[") else {
            continue;
        };
        if !name.starts_with("fields]") && !FILTERS.contains(&name.trim_end_matches(']')) {
            call.context.misuse(
                MisuseKind::UnknownParameter,
                format!("filters[{}", name.chars().take(40).collect::<String>()),
            );
        }
    }
    if call.filter("segmentid").is_some() {
        return rows([]);
    }
    let all = ids.eq_ignore_ascii_case("all");
    let wanted = call.form.id_list("ids");
    let visible = call.visible_lists();
    let mut shown: Vec<&Contact> = call
        .account
        .contacts
        .values()
        .filter(|contact| {
            // Whoever is on no list is not shown at all.
            let mut edges = visible.iter().filter_map(|list| {
                Some((
                    *list,
                    call.account.groups.get(list)?.members.get(&contact.id)?,
                ))
            });
            if ids.is_empty() {
                filtered
                    && call.matches(contact)
                    && edges.any(|(list, membership)| call.matches_edge(list, membership))
            } else {
                (all || wanted.contains(&contact.id)) && edges.next().is_some()
            }
        })
        .collect();
    match call.form.text("sort") {
        "first_name" => shown.sort_by_key(|contact| fold(contact.get("first_name"))),
        "last_name" => shown.sort_by_key(|contact| fold(contact.get("last_name"))),
        "datetime" => shown.sort_by_key(|contact| contact.added),
        _ => {}
    }
    if !call.form.text("sort_direction").eq_ignore_ascii_case("asc") {
        shown.reverse();
    }
    let page = call.form.number("page").max(1) as usize;
    let full = call.form.text("full") == "1";
    let rows_of_page = shown.into_iter().skip((page - 1) * PAGE).take(PAGE);
    rows(
        rows_of_page
            .map(|contact| {
                if full {
                    call.full(contact)
                } else {
                    contact_short(call.account, contact)
                }
            })
            .collect::<Vec<_>>(),
    )
}

pub(super) fn paginator(call: &mut Call<'_>) -> Answer {
    for needed in ["sort", "offset", "limit", "filter", "public"] {
        if !call.form.has(needed) {
            call.context.misuse(MisuseKind::MissingParameter, needed);
        }
    }
    let shown = call.account.contacts.values().filter(|contact| {
        !call.account.groups_of(contact.id).is_empty() && call.sees_contact(contact)
    });
    let shown: Vec<Value> = shown
        .map(|contact| {
            json!({
                "id": contact.id.to_string(),
                "cdate": stamp(contact.added),
                "email": contact.email,
                "bounced_hard": "0",
                "bounced_soft": "0",
                "ip": "127.0.0.1",
                "hash": contact_hash(contact),
                "first_name": contact.get("first_name"),
                "last_name": contact.get("last_name"),
                "name": format!("{} {}", contact.get("first_name"), contact.get("last_name")).trim(),
            })
        })
        .collect();
    found(paginate(call.form, shown))
}
