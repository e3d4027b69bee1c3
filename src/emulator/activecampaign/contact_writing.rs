//! The version 1 calls that add and change contacts.

use serde_json::json;

use super::Call;
use super::answer::{Answer, done_with};
use super::contact_values::{Values, is_address};
use crate::emulator::history::Change;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::MembershipState;

pub(super) const WRITABLE: &[&str] = &[
    "id",
    "email",
    "first_name",
    "last_name",
    "first_name_list",
    "last_name_list",
    "phone",
    "customer_acct_name",
    "orgname",
    "account_name",
    "tags",
    "ip4",
    "field",
    "p",
    "status",
    "noresponders",
    "instantresponders",
    "lastmessage",
    "sdate",
    "sendoptout",
    "unsubreason",
    "form",
    "overwrite",
];

/// What a request asks for on one list.
struct Wish {
    list: u64,
    /// Left out means that the service chooses.
    status: Option<u64>,
    opt_out_by_mail: bool,
    mails: bool,
}

impl Call<'_> {
    fn read_email(&mut self) -> Result<String, String> {
        let email = self.form.text("email").to_owned();
        if email.is_empty() {
            self.context.misuse(MisuseKind::MissingParameter, "email");
        }
        if !is_address(&email) || self.context.is_poison(&email) {
            return Err("Contact Email Address is not valid.".to_owned());
        }
        Ok(email)
    }

    fn read_values(&mut self) -> Values {
        let mut values = Values::default();
        let form = self.form;
        for (name, neutral) in [
            ("first_name", "first_name"),
            ("last_name", "last_name"),
            ("phone", "phone"),
            ("orgname", "company"),
            ("account_name", "company"),
            ("customer_acct_name", "company"),
        ] {
            if let Some(value) = form.get(name) {
                values.profile.push((neutral, value.to_owned()));
            }
        }
        for (key, value) in form.entries("field") {
            let key = key.split(',').next().unwrap_or("").trim();
            let tag = key.strip_prefix('%').and_then(|key| key.strip_suffix('%'));
            let field = self.account.fields.iter().find(|field| match tag {
                Some(tag) => field.name.eq_ignore_ascii_case(tag),
                None => field.id.to_string() == key,
            });
            match field {
                Some(field) => values.custom.push((field.name.clone(), value.to_owned())),
                // The service says nothing and keeps nothing.
                None => self.context.misuse(
                    MisuseKind::UnknownParameter,
                    format!("field {}", key.chars().take(40).collect::<String>()),
                ),
            }
        }
        let listed = form
            .entries("tags")
            .into_iter()
            .map(|(_, value)| value)
            .chain(form.get("tags"));
        values.tags = listed
            .flat_map(|tags| tags.split(','))
            .map(|tag| tag.trim().to_owned())
            .filter(|tag| !tag.is_empty())
            .collect();
        values
    }

    /// Reads what is wanted on which list, before anything is written.
    fn read_wishes(&mut self) -> Result<Vec<Wish>, String> {
        let form = self.form;
        let mut wishes = Vec::new();
        for list in form.ids("p", self.context) {
            if !self.sees_list(list) {
                return Err(format!("List {list} does not exist."));
            }
            let status = match form.at("status", list).map(str::trim) {
                None | Some("") => {
                    self.context.misuse(
                        MisuseKind::MissingParameter,
                        format!("status of list {list}"),
                    );
                    None
                }
                Some("1") => Some(1),
                Some("2") => Some(2),
                Some(_) => {
                    self.context
                        .misuse(MisuseKind::WrongType, format!("status of list {list}"));
                    return Err("The status is not valid.".to_owned());
                }
            };
            let mut wish = Wish {
                list,
                status,
                opt_out_by_mail: false,
                mails: false,
            };
            for name in ["instantresponders", "lastmessage", "sendoptout"] {
                // That the key is there is enough, whatever its value.
                if form.at(name, list).is_some() {
                    self.context.misuse(MisuseKind::AskedForMail, name);
                    wish.mails |= name != "sendoptout";
                    wish.opt_out_by_mail |= name == "sendoptout";
                }
            }
            wishes.push(wish);
        }
        for (key, _) in form.entries("status") {
            let key = super::form::number(key);
            if !wishes.iter().any(|wish| wish.list == key) {
                self.context.misuse(
                    MisuseKind::KeyMismatch,
                    format!("status[{key}] without p[{key}]"),
                );
            }
        }
        Ok(wishes)
    }

    fn apply_wishes(&mut self, contact: u64, wishes: &[Wish]) {
        let by_form = self.form.has("form");
        if by_form {
            self.context.misuse(MisuseKind::AskedForMail, "form");
        }
        for wish in wishes {
            let list = wish.list;
            let present = self.account.membership(list, contact);
            match wish.status {
                Some(2) if wish.opt_out_by_mail => {}
                Some(2) => {
                    self.account.unsubscribe_by_api(list, contact);
                }
                // Without a status new people wait for a confirmation, and old ones become active.
                None if present.is_none() => {
                    self.account
                        .set_membership_state(list, contact, MembershipState::Unconfirmed);
                }
                Some(_) if by_form && present.is_none() => {
                    self.account
                        .set_membership_state(list, contact, MembershipState::Unconfirmed);
                }
                _ => self.subscribe_again(list, contact),
            }
            if wish.mails && wish.status != Some(2) {
                self.account.record(Change::MailSent {
                    group: list,
                    contact,
                });
            }
        }
    }
}

fn saved(message: &'static str, id: u64) -> Answer {
    done_with(
        message,
        json!({"subscriber_id": id, "sendlast_should": 0, "sendlast_did": 0}),
    )
}

pub(super) fn add(call: &mut Call<'_>) -> Answer {
    let email = call.read_email()?;
    let wishes = call.read_wishes()?;
    if wishes.is_empty() {
        call.context.misuse(MisuseKind::MissingParameter, "p");
        return Err("Please select at least one list.".to_owned());
    }
    let present = call.account.contact_by_email(&email);
    if let Some(id) = present
        && wishes
            .iter()
            .any(|wish| call.account.membership(wish.list, id).is_some())
    {
        return Err("The contact is already on one of these lists.".to_owned());
    }
    let values = call.read_values();
    let id = present.unwrap_or_else(|| call.create_contact(&email));
    call.write_values(id, &values);
    call.apply_wishes(id, &wishes);
    saved("Contact added", id)
}

pub(super) fn sync(call: &mut Call<'_>) -> Answer {
    let email = call.read_email()?;
    let wishes = call.read_wishes()?;
    let values = call.read_values();
    let present = call.account.contact_by_email(&email);
    let id = present.unwrap_or_else(|| call.create_contact(&email));
    call.write_values(id, &values);
    call.apply_wishes(id, &wishes);
    saved(
        if present.is_some() {
            "Contact updated"
        } else {
            "Contact added"
        },
        id,
    )
}

pub(super) fn edit(call: &mut Call<'_>) -> Answer {
    let id = call.form.number("id");
    if call.visible_contact(id).is_none() {
        return Err("The contact does not exist.".to_owned());
    }
    let email = call.read_email()?;
    let wishes = call.read_wishes()?;
    let mut values = call.read_values();
    // Only the address decides; in the body the switch is not read.
    let overwrites = call.form.in_url("overwrite") != Some("0");
    if overwrites && wishes.is_empty() {
        call.context.misuse(MisuseKind::MissingParameter, "p");
        return Err("Please select at least one list.".to_owned());
    }
    call.readdress(id, &email)?;
    if overwrites {
        call.context
            .misuse(MisuseKind::ReplacedGroups, format!("contact {id}"));
        for list in call.account.groups_of(id) {
            if call.sees_list(list) && !wishes.iter().any(|wish| wish.list == list) {
                call.account.unsubscribe_by_api(list, id);
            }
        }
        for name in ["first_name", "last_name", "phone", "company"] {
            if !values.profile.iter().any(|(given, _)| *given == name) {
                values.profile.push((name, String::new()));
            }
        }
        let held: Vec<String> = call
            .account
            .contact_mut(id)
            .custom
            .keys()
            .map(str::to_owned)
            .collect();
        for name in held {
            if !values.custom.iter().any(|(given, _)| *given == name) {
                values.custom.push((name, String::new()));
            }
        }
    }
    call.write_values(id, &values);
    call.apply_wishes(id, &wishes);
    saved("Contact updated", id)
}
