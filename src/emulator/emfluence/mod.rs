//! The emulated emfluence API, version 1.

mod activities;
mod contacts;
mod envelope;
mod fields;
mod groups;
mod import;
mod members;
mod params;
mod search;
#[cfg(test)]
mod tests;
mod values;

use axum::http::{Method, header};
use serde_json::{Map, Value, json};

use super::State;
use super::exchange::{Context, Incoming, Target};
use super::kept::Kept;
use super::login::Login;
use super::misuse::MisuseKind;
use super::reply::Reply;
use super::world::{Account, Kind, World};
use envelope::{Answer, Failure, reply};
use params::Params;

/// What a call needs while it is carried out.
pub(super) struct Call<'a> {
    account: &'a mut Account,
    kept: &'a mut Kept,
    login: Login,
    context: &'a mut Context,
}

/// The permissions that the documentation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permission {
    None,
    CreateGroups,
    ContactsEdit,
    ContactsDelete,
    ClientAdmin,
}

/// One API call.
struct Operation {
    name: &'static str,
    is_write: bool,
    permission: Permission,
    parameters: &'static [&'static str],
    run: fn(&mut Call<'_>, &Params) -> Answer,
}

const OPERATIONS: &[Operation] = &[
    Operation {
        name: "helper/ping",
        is_write: false,
        permission: Permission::None,
        parameters: &[],
        run: ping,
    },
    Operation {
        name: "helper/throw",
        is_write: false,
        permission: Permission::None,
        parameters: &["code"],
        run: throw,
    },
    Operation {
        name: "helper/systemInfo",
        is_write: false,
        permission: Permission::None,
        parameters: &[],
        run: system_info,
    },
    Operation {
        name: "groups/search",
        is_write: false,
        permission: Permission::None,
        parameters: groups::SEARCH,
        run: groups::search,
    },
    Operation {
        name: "groups/lookup",
        is_write: false,
        permission: Permission::CreateGroups,
        parameters: &["groupID", "groupIDs"],
        run: groups::lookup,
    },
    Operation {
        name: "groups/save",
        is_write: true,
        permission: Permission::CreateGroups,
        parameters: groups::SAVE,
        run: groups::save,
    },
    Operation {
        name: "groups/delete",
        is_write: true,
        permission: Permission::CreateGroups,
        parameters: &["groupID"],
        run: groups::delete,
    },
    Operation {
        name: "groups/getContacts",
        is_write: false,
        permission: Permission::ContactsEdit,
        parameters: &[
            "groupID",
            "suppressed",
            "dateAddedStart",
            "dateAddedEnd",
            "page",
            "rpp",
        ],
        run: members::list,
    },
    Operation {
        name: "groups/addContacts",
        is_write: true,
        permission: Permission::ContactsEdit,
        parameters: &["groupID", "contactIDs"],
        run: members::add,
    },
    Operation {
        name: "groups/removeContacts",
        is_write: true,
        permission: Permission::ContactsEdit,
        parameters: &["groupID", "contactIDs"],
        run: members::remove,
    },
    Operation {
        name: "contacts/lookup",
        is_write: false,
        permission: Permission::None,
        parameters: &["contactID", "email", "contactIDs"],
        run: contacts::lookup,
    },
    Operation {
        name: "contacts/search",
        is_write: false,
        permission: Permission::None,
        parameters: search::PARAMETERS,
        run: search::search,
    },
    Operation {
        name: "contacts/save",
        is_write: true,
        permission: Permission::ContactsEdit,
        parameters: contacts::SAVE,
        run: contacts::save,
    },
    Operation {
        name: "contacts/import",
        is_write: true,
        permission: Permission::ContactsEdit,
        parameters: &["contacts", "groupIDs", "removeGroupIDs", "updateExisting"],
        run: import::import,
    },
    Operation {
        name: "contacts/getGroups",
        is_write: false,
        permission: Permission::None,
        parameters: &["contactID", "email"],
        run: members::groups_of_contact,
    },
    Operation {
        name: "contacts/saveGroups",
        is_write: true,
        permission: Permission::ContactsEdit,
        parameters: &["contactID", "email", "groups"],
        run: members::save_groups,
    },
    Operation {
        name: "contacts/deleteGroups",
        is_write: true,
        permission: Permission::ContactsEdit,
        parameters: &["contactID", "email", "groupIDs"],
        run: members::delete_groups,
    },
    Operation {
        name: "contacts/activities",
        is_write: false,
        permission: Permission::None,
        parameters: activities::PARAMETERS,
        run: activities::activities,
    },
    Operation {
        name: "contacts/getEmailHistory",
        is_write: false,
        permission: Permission::None,
        parameters: activities::PARAMETERS,
        run: activities::email_history,
    },
    Operation {
        name: "contacts/delete",
        is_write: true,
        permission: Permission::ContactsDelete,
        parameters: &["contactID", "deleteSuppressed"],
        run: contacts::delete,
    },
    Operation {
        name: "customFields/search",
        is_write: false,
        permission: Permission::ClientAdmin,
        parameters: &["page", "rpp"],
        run: fields::search,
    },
    Operation {
        name: "customFields/lookup",
        is_write: false,
        permission: Permission::ClientAdmin,
        parameters: &["systemName"],
        run: fields::lookup,
    },
];

fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

fn operation_name(path: &str) -> &str {
    path.strip_prefix("/emfluence/v1/").unwrap_or(path)
}

/// The token of the `Authorization` header, with or without `Bearer`.
fn token(incoming: &Incoming) -> &str {
    let header = incoming.header(header::AUTHORIZATION);
    header.strip_prefix("Bearer ").unwrap_or(header)
}

fn find_login(world: &World, token: &str) -> Option<(usize, Login)> {
    if token.is_empty() {
        return None;
    }
    world
        .accounts
        .iter()
        .enumerate()
        .filter(|(_, account)| account.kind == Kind::Emfluence)
        .find_map(|(position, account)| {
            account
                .logins
                .iter()
                .find(|login| login.token == token)
                .map(|login| (position, login.clone()))
        })
}

/// Finds out where a request goes.
pub(super) fn target(world: &World, incoming: &Incoming) -> Target {
    let name = operation_name(&incoming.path);
    let known = operation(name);
    Target {
        account: find_login(world, token(incoming))
            .map(|(position, _)| world.accounts[position].name.clone())
            .unwrap_or_default(),
        operation: known
            .map_or("unknown", |operation| operation.name)
            .to_owned(),
        is_write: known.is_some_and(|operation| operation.is_write),
    }
}

/// Carries out a request.
pub(super) fn answer(
    state: &mut State,
    incoming: &Incoming,
    target: &Target,
    context: &mut Context,
) -> Reply {
    let found = find_login(&state.world, token(incoming));
    let no_empty_data = found.as_ref().is_some_and(|(position, _)| {
        state.world.accounts[*position]
            .settings
            .emfluence
            .no_empty_data
    });
    let result = check_form(incoming, context).and_then(|parameters| {
        let known = operation(&target.operation).ok_or_else(|| {
            context.misuse(MisuseKind::UnknownOperation, "no such call");
            Failure::new(Failure::UNKNOWN, "There is no such method.")
        })?;
        if incoming.method == Method::GET && known.is_write {
            context.misuse(MisuseKind::WrongMethod, "GET on a call that changes data");
            return Err(Failure::new(
                Failure::INVALID,
                "This method must be called by POST.",
            ));
        }
        // Rejected before the parameters are read, as a login page would be.
        let (position, login) = found
            .filter(|_| !context.token_expired)
            .ok_or_else(|| Failure::new(Failure::CREDENTIALS, "Invalid access token."))?;
        require(&login, known.permission)?;
        let parameters = Params::new(parameters, incoming.method == Method::GET);
        parameters.check_names(known.parameters, context)?;
        let account = &mut state.world.accounts[position];
        (known.run)(
            &mut Call {
                account,
                kept: &mut state.kept,
                login,
                context,
            },
            &parameters,
        )
    });
    reply(result, context, no_empty_data)
}

fn require(login: &Login, permission: Permission) -> Result<(), Failure> {
    let allowed = match permission {
        Permission::None => true,
        Permission::CreateGroups => login.rights.create_groups,
        Permission::ContactsEdit => login.rights.contacts_edit,
        Permission::ContactsDelete => login.rights.contacts_delete,
        Permission::ClientAdmin => login.rights.client_admin,
    };
    if allowed {
        Ok(())
    } else {
        Err(Failure::new(
            Failure::PERMISSION,
            "You do not have permission for this method.",
        ))
    }
}

/// Checks the form of a request and returns its parameters.
fn check_form(incoming: &Incoming, context: &mut Context) -> Result<Map<String, Value>, Failure> {
    let query = incoming.query.as_deref().unwrap_or("");
    if !incoming.header(header::AUTHORIZATION).is_empty()
        && !incoming
            .header(header::AUTHORIZATION)
            .starts_with("Bearer ")
    {
        context.misuse(
            MisuseKind::CredentialMisplaced,
            "the Authorization header lacks the word Bearer",
        );
    }
    let parameters = match incoming.method {
        Method::GET => url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
            .collect(),
        Method::POST => {
            if !query.is_empty() {
                context.misuse(MisuseKind::QueryOnPost, "a query string on a POST");
                return Err(Failure::new(
                    Failure::INVALID,
                    "Parameters belong into the body of a POST.",
                ));
            }
            read_body(incoming, context)?
        }
        _ => {
            context.misuse(MisuseKind::WrongMethod, incoming.method.as_str());
            return Err(Failure::new(
                Failure::INVALID,
                "Only GET and POST are supported.",
            ));
        }
    };
    if parameters
        .keys()
        .any(|name| name.eq_ignore_ascii_case("accessToken"))
    {
        context.misuse(
            MisuseKind::CredentialMisplaced,
            "the token among the parameters",
        );
        return Err(Failure::new(
            Failure::CREDENTIALS,
            "The access token belongs into the Authorization header.",
        ));
    }
    Ok(parameters)
}

fn read_body(incoming: &Incoming, context: &mut Context) -> Result<Map<String, Value>, Failure> {
    if incoming.chunked {
        context.misuse(MisuseKind::ChunkedBody, "no content length");
        return Err(Failure::new(
            Failure::INVALID,
            "A Content-Length header is required.",
        ));
    }
    let content_type = incoming.header(header::CONTENT_TYPE);
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        context.misuse(
            MisuseKind::WrongContentType,
            "the body is not declared as application/json",
        );
        return Err(Failure::new(
            Failure::INVALID,
            "The content type must be application/json.",
        ));
    }
    if let Ok(Value::Object(parameters)) = serde_json::from_slice(&incoming.body) {
        return Ok(parameters);
    }
    context.misuse(
        MisuseKind::UnreadableBody,
        "the body is not one JSON object",
    );
    Err(Failure::new(
        Failure::INVALID,
        "The body must be one JSON object.",
    ))
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all operations")]
fn ping(_: &mut Call<'_>, _: &Params) -> Answer {
    Ok(json!({"message": "pong"}))
}

fn throw(call: &mut Call<'_>, params: &Params) -> Answer {
    let code = params
        .int("code", call.context)?
        .unwrap_or(Failure::INVALID);
    Err(Failure::new(code, "This error was asked for."))
}

#[expect(clippy::unnecessary_wraps, reason = "one signature for all operations")]
fn system_info(call: &mut Call<'_>, _: &Params) -> Answer {
    Ok(json!({"serverTime": call.stamp(Some(call.account.now)), "version": "v1"}))
}
