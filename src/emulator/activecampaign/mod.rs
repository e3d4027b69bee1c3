//! The emulated ActiveCampaign API: version 1 below `/admin/api.php`, and the parts of version 3
//! that syncing uses.
//!
//! Where the documentation leaves a question open, the answer is the one that is worst for a
//! careless client: edits replace, flags count by being there, and an update without a status
//! subscribes again who had refused.

mod answer;
mod backlog;
mod calls;
mod contact_reading;
mod contact_removal;
mod contact_values;
mod contact_writing;
mod form;
mod list_fields;
mod lists;
mod page;
mod rows;
#[cfg(test)]
mod tests;
mod user_groups;
mod users;
mod v3;

use std::cell::OnceCell;

use axum::http::{Method, StatusCode, header};

use super::State;
use super::exchange::{Context, Incoming, Target};
use super::login::Login;
use super::misuse::MisuseKind;
use super::reply::{Document, Reply};
use super::users::{ADMIN, UserGroup};
use super::world::{Account, Contact, Kind, World};
use answer::{Good, envelope, translate};
pub(super) use backlog::Backlog;
use form::Form;
use page::Format;
pub(super) use page::Page;

/// What a call needs while it is carried out.
struct Call<'a> {
    account: &'a mut Account,
    login: Login,
    context: &'a mut Context,
    backlog: &'a mut Backlog,
    form: &'a Form,
    /// Whether the key sees every contact, found out once for a listing of many.
    sees_everybody: OnceCell<bool>,
}

impl Call<'_> {
    /// The user group of the key's user, whose rights the key has.
    fn own_group(&self) -> Option<&UserGroup> {
        let user = self.account.users.get(&self.login.user_id)?;
        self.account.user_groups.get(&user.group)
    }

    fn own_group_id(&self) -> u64 {
        self.own_group().map_or(0, |group| group.id)
    }

    fn may(&self, flag: &str) -> bool {
        self.own_group()
            .is_some_and(|group| group.permissions.contains(flag))
    }

    /// Whether the key sees a list: as if it were not there otherwise.
    fn sees_list(&self, list: u64) -> bool {
        self.account.groups.contains_key(&list)
            && self.login.sees(list)
            && self
                .own_group()
                .is_some_and(|group| group.lists.contains(&list))
    }

    /// The lists that the key sees.
    fn visible_lists(&self) -> Vec<u64> {
        self.account
            .groups
            .keys()
            .copied()
            .filter(|list| self.sees_list(*list))
            .collect()
    }

    /// Whether the key sees a contact: one on a list it sees or, for an administrator, one on no
    /// list at all.
    fn sees_contact(&self, contact: &Contact) -> bool {
        let is_administrator = || self.own_group_id() == ADMIN && self.login.sees_groups.is_none();
        let sees_everybody = self.sees_everybody.get_or_init(|| {
            is_administrator() && self.visible_lists().len() == self.account.groups.len()
        });
        if *sees_everybody {
            return true;
        }
        let lists = self.account.groups_of(contact.id);
        if lists.is_empty() {
            is_administrator()
        } else {
            lists.into_iter().any(|list| self.sees_list(list))
        }
    }

    /// The contact with this id if the key sees it.
    fn visible_contact(&self, id: u64) -> Option<&Contact> {
        self.account
            .contacts
            .get(&id)
            .filter(|contact| self.sees_contact(contact))
    }
}

const V1_PATH: &str = "/activecampaign/admin/api.php";
const V3_PATH: &str = "/activecampaign/api/3/";

fn is_form(incoming: &Incoming) -> bool {
    let content_type = incoming.header(header::CONTENT_TYPE);
    content_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// A parameter, looked up before the whole form is read.
fn peek(incoming: &Incoming, wanted: &str) -> Option<String> {
    let find = |bytes: &[u8]| {
        url::form_urlencoded::parse(bytes)
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    let query = incoming.query.as_deref().unwrap_or("").as_bytes();
    find(query).or_else(|| {
        if is_form(incoming) {
            find(&incoming.body)
        } else {
            None
        }
    })
}

/// The key in the header, and the one among the parameters.
fn keys(incoming: &Incoming) -> (Option<String>, Option<String>) {
    let in_header = incoming
        .headers
        .get("api-token")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    (in_header, peek(incoming, "api_key"))
}

fn find_login(world: &World, key: Option<&str>) -> Option<(usize, Login)> {
    let key = key.filter(|key| !key.is_empty())?;
    world
        .accounts
        .iter()
        .enumerate()
        .filter(|(_, account)| account.kind == Kind::ActiveCampaign)
        .find_map(|(position, account)| {
            account
                .logins
                .iter()
                .find(|login| login.token == key)
                .map(|login| (position, login.clone()))
        })
}

/// Finds out where a request goes.
pub(super) fn target(world: &World, incoming: &Incoming) -> Target {
    let (in_header, in_parameter) = keys(incoming);
    let key = in_header.or(in_parameter);
    let account = find_login(world, key.as_deref())
        .map(|(position, _)| world.accounts[position].name.clone())
        .unwrap_or_default();
    if let Some(path) = incoming.path.strip_prefix(V3_PATH) {
        let operation = v3::operation_name(&incoming.method, path);
        return Target {
            account,
            operation,
            is_write: incoming.method != Method::GET,
        };
    }
    let known = peek(incoming, "api_action").and_then(|action| calls::find(&action));
    Target {
        account,
        operation: known.map_or("unknown", |call| call.name).to_owned(),
        is_write: known.is_some_and(|call| call.is_write),
    }
}

/// Carries out a request.
pub(super) fn answer(
    state: &mut State,
    incoming: &Incoming,
    target: &Target,
    context: &mut Context,
) -> Reply {
    let (in_header, in_parameter) = keys(incoming);
    if in_header.is_some() && in_parameter.is_some() {
        context.misuse(
            MisuseKind::CredentialMisplaced,
            "a key in the header and among the parameters",
        );
    }
    let key = in_header.or(in_parameter);
    let found = find_login(&state.world, key.as_deref()).filter(|(position, login)| {
        // A user who is gone has no key.
        !context.token_expired
            && state.world.accounts[*position]
                .users
                .contains_key(&login.user_id)
    });
    if incoming.path != V1_PATH {
        return v3::answer(state, incoming, target, context, found);
    }
    version1(state, incoming, target, context, found)
}

fn version1(
    state: &mut State,
    incoming: &Incoming,
    target: &Target,
    context: &mut Context,
    found: Option<(usize, Login)>,
) -> Reply {
    let query = incoming.query.as_deref().unwrap_or("");
    let mut wrong_body = false;
    let body: &[u8] = if incoming.body.is_empty() {
        &[]
    } else if is_form(incoming) {
        &incoming.body
    } else {
        context.misuse(
            MisuseKind::WrongContentType,
            "a body that is not declared as a form",
        );
        wrong_body = true;
        &[]
    };
    let form = Form::read(query, body, context);
    let call = calls::find(&target.operation);
    let format = match form.text("api_output") {
        "json" => Format::Json,
        "serialize" => Format::Serialize,
        _ => Format::Xml(call.map_or("root", |call| call.name)),
    };
    if form.is_empty() {
        let value = serde_json::json!({"error": "You are not authorized to access this file"});
        return Reply {
            status: StatusCode::OK,
            document: Document::Campaigns(Page {
                value,
                format: Format::Xml("root"),
            }),
            outcome: "error not authorized".to_owned(),
        };
    }
    let portuguese = found.as_ref().is_some_and(|(position, _)| {
        state.world.accounts[*position]
            .settings
            .activecampaign
            .portuguese
    });
    let State { world, backlog, .. } = state;
    let result = found
        .ok_or_else(|| "You are not authorized to access this file".to_owned())
        .and_then(|(position, login)| {
            let Some(known) = call else {
                context.misuse(MisuseKind::UnknownOperation, "no such action");
                return Err("You are not authorized to access this file".to_owned());
            };
            if known.needs_post && incoming.method != Method::POST {
                context.misuse(
                    MisuseKind::WrongMethod,
                    format!("{} on an action that takes POST", incoming.method),
                );
                return Err("This action takes its data from the body of a POST.".to_owned());
            }
            if !matches!(incoming.method, Method::GET | Method::POST) {
                context.misuse(MisuseKind::WrongMethod, incoming.method.as_str());
                return Err("Only GET and POST are supported.".to_owned());
            }
            if wrong_body {
                return Err("The body must be a form.".to_owned());
            }
            known.check_names(&form, context);
            let account = &mut world.accounts[position];
            let mut call = Call {
                account,
                login,
                context,
                backlog,
                form: &form,
                sees_everybody: OnceCell::new(),
            };
            if known.permission.is_some_and(|flag| !call.may(flag)) {
                return Err("You do not have permission to do that.".to_owned());
            }
            (known.run)(&mut call)
        });
    if result.is_err() {
        context.failed_items += 1;
    }
    let outcome = if result.is_ok() { "ok" } else { "failed" }.to_owned();
    let result = match result {
        Ok(Good { fields, message }) => (Some(fields), translate(message, portuguese)),
        Err(message) => (None, translate(&message, portuguese)),
    };
    Reply {
        status: StatusCode::OK,
        document: Document::Campaigns(Page {
            value: envelope(result, format),
            format,
        }),
        outcome,
    }
}
