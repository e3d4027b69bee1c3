//! The emulated GreenRope XML API.

mod contacts;
mod fields;
mod form;
mod groups;
mod items;
mod members;
mod search;
mod session;
mod show;
#[cfg(test)]
mod tests;
mod write;
mod xml;

use axum::http::StatusCode;

use super::State;
use super::exchange::{Context, Incoming, Target};
use super::kept::Kept;
use super::login::Login;
use super::misuse::MisuseKind;
use super::reply::{Document, Reply};
use super::world::{Account, World};
pub(super) use session::Sessions;
pub(super) use xml::Node;

/// What an operation gives back: the children of the answer's root, or a refusal of the whole
/// request.
type Answer = Result<Vec<Node>, Failure>;

/// A refusal, of a request or of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    code: u32,
    text: String,
}

impl Failure {
    // Only 1002 is known from the service; the others stand in for a table that is not public.
    const LOGIN: u32 = 100;
    const PERMISSION: u32 = 110;
    const MALFORMED: u32 = 200;
    const UNKNOWN: u32 = 201;
    const NO_CONTACT: u32 = 1001;
    const CONTACT_EXISTS: u32 = 1002;
    const SEVERAL_CONTACTS: u32 = 1003;
    const BAD_VALUE: u32 = 1004;
    const NO_GROUP: u32 = 2001;
    const GROUP_EXISTS: u32 = 2002;
    const REFUSED: u32 = 2003;
    const NO_FIELD: u32 = 3001;

    fn new(code: u32, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

/// What an operation needs while it is carried out.
struct Call<'a> {
    world: &'a mut World,
    kept: &'a mut Kept,
    position: usize,
    login: Login,
    context: &'a mut Context,
}

impl Call<'_> {
    fn account(&self) -> &Account {
        &self.world.accounts[self.position]
    }

    fn account_mut(&mut self) -> &mut Account {
        &mut self.world.accounts[self.position]
    }

    /// Whether the login sees a contact: a shared-access user sees the members of the groups it
    /// sees.
    fn sees_contact(&self, contact: u64) -> bool {
        match &self.login.sees_groups {
            None => true,
            Some(groups) => groups
                .iter()
                .filter_map(|group| self.account().group(*group))
                .any(|group| group.members.contains_key(&contact)),
        }
    }
}

/// The items of an operation that judges each by itself.
#[derive(Debug, Clone, Copy)]
struct Items {
    container: &'static str,
    item: &'static str,
    attributes: &'static [&'static str],
    children: &'static [&'static str],
    /// Whether a shared-access login has to name the account on each item.
    needs_account: bool,
}

/// One operation.
struct Operation {
    name: &'static str,
    is_write: bool,
    attributes: &'static [&'static str],
    children: &'static [&'static str],
    items: Option<Items>,
    run: fn(&mut Call<'_>, &Node) -> Answer,
}

const CRITERIA: &[&str] = &[
    "contact_id",
    "firstname",
    "lastname",
    "email",
    "request_id",
    "account_id",
];
const GROUP_CRITERIA: &[&str] = &["group_id", "group_name", "request_id", "account_id"];

const MEMBERSHIP_ITEMS: Items = Items {
    container: "Contacts",
    item: "Contact",
    attributes: CRITERIA,
    children: &[],
    needs_account: false,
};

const OPERATIONS: &[Operation] = &[
    Operation {
        name: "GetAccountsWithAccess",
        is_write: false,
        attributes: &["response"],
        children: &[],
        items: None,
        run: groups::accounts_with_access,
    },
    Operation {
        name: "CreateGroup",
        is_write: true,
        attributes: &["account_id"],
        children: groups::WRITABLE,
        items: None,
        run: groups::create,
    },
    Operation {
        name: "GetGroups",
        is_write: false,
        attributes: &["account_id", "group_id", "group_name", "response"],
        children: &[],
        items: None,
        run: groups::get,
    },
    Operation {
        name: "EditGroups",
        is_write: true,
        attributes: &["account_id"],
        children: &["Groups"],
        items: Some(Items {
            container: "Groups",
            item: "Group",
            attributes: GROUP_CRITERIA,
            children: groups::WRITABLE,
            needs_account: true,
        }),
        run: groups::edit,
    },
    Operation {
        name: "DeleteGroups",
        is_write: true,
        attributes: &["account_id"],
        children: &["Groups"],
        items: Some(Items {
            container: "Groups",
            item: "Group",
            attributes: GROUP_CRITERIA,
            children: &[],
            needs_account: true,
        }),
        run: groups::delete,
    },
    Operation {
        name: "AddContactsToGroup",
        is_write: true,
        attributes: &["account_id", "group_id", "group_name"],
        children: &["Contacts"],
        items: Some(MEMBERSHIP_ITEMS),
        run: members::add,
    },
    Operation {
        name: "DeleteContactsFromGroup",
        is_write: true,
        attributes: &["account_id", "group_id", "group_name"],
        children: &["Contacts"],
        items: Some(MEMBERSHIP_ITEMS),
        run: members::remove,
    },
    Operation {
        name: "GetContacts",
        is_write: false,
        attributes: contacts::CRITERIA,
        children: &[],
        items: None,
        run: contacts::get,
    },
    Operation {
        name: "GetContactGroups",
        is_write: false,
        attributes: &[
            "account_id",
            "contact_id",
            "email",
            "firstname",
            "lastname",
            "response",
        ],
        children: &[],
        items: None,
        run: contacts::groups_of_contact,
    },
    Operation {
        name: "SearchContacts",
        is_write: false,
        attributes: &["account_id", "group_id", "response"],
        children: search::CHILDREN,
        items: None,
        run: search::search,
    },
    Operation {
        name: "AddContacts",
        is_write: true,
        attributes: &["account_id", "update"],
        children: &["Contacts"],
        items: Some(Items {
            container: "Contacts",
            item: "Contact",
            attributes: &["account_id"],
            children: write::WRITABLE,
            needs_account: true,
        }),
        run: write::add,
    },
    Operation {
        name: "EditContacts",
        is_write: true,
        attributes: &["account_id"],
        children: &["Contacts"],
        items: Some(Items {
            container: "Contacts",
            item: "Contact",
            attributes: CRITERIA,
            children: write::WRITABLE,
            needs_account: true,
        }),
        run: write::edit,
    },
    Operation {
        name: "DeleteContacts",
        is_write: true,
        attributes: &["account_id"],
        children: &["Contacts"],
        items: Some(Items {
            needs_account: true,
            ..MEMBERSHIP_ITEMS
        }),
        run: write::delete,
    },
    Operation {
        name: "UnsubscribeContacts",
        is_write: true,
        attributes: &["account_id"],
        children: &["Contacts"],
        items: Some(Items {
            needs_account: true,
            ..MEMBERSHIP_ITEMS
        }),
        run: write::unsubscribe,
    },
    Operation {
        name: "GetUserDefinedFields",
        is_write: false,
        attributes: &["account_id", "updated_timestamp", "response"],
        children: &[],
        items: None,
        run: fields::get,
    },
    Operation {
        name: "AddUserDefinedField",
        is_write: true,
        attributes: &["account_id", "group_id"],
        children: fields::WRITABLE,
        items: None,
        run: fields::add,
    },
    Operation {
        name: "EditUserDefinedField",
        is_write: true,
        attributes: &["account_id", "group_id"],
        children: fields::WRITABLE,
        items: None,
        run: fields::edit,
    },
    Operation {
        name: "DeleteUserDefinedField",
        is_write: true,
        attributes: &["account_id", "group_id"],
        children: fields::WRITABLE,
        items: None,
        run: fields::delete,
    },
];

fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

/// Finds out where a request goes.
pub(super) fn target(world: &World, incoming: &Incoming) -> Target {
    let form = form::Form::read(incoming);
    let Ok(parsed) = Node::parse(&form.xml) else {
        return Target {
            operation: "unreadable".to_owned(),
            ..Target::default()
        };
    };
    let name = parsed.root.name.strip_suffix("Request").unwrap_or("");
    let known = operation(name);
    let operation = match known {
        Some(known) => known.name,
        None if name == "GetAuthToken" => "GetAuthToken",
        None => "unknown",
    };
    Target {
        account: session::locate(world, &form.email, &form::account_ids(&parsed.root))
            .or_else(|| session::reachable(world, &form.email).into_iter().next())
            .map(|(position, _)| world.accounts[position].name.clone())
            .unwrap_or_default(),
        operation: operation.to_owned(),
        is_write: known.is_some_and(|known| known.is_write),
    }
}

/// Carries out a request.
pub(super) fn answer(
    state: &mut State,
    incoming: &Incoming,
    target: &Target,
    context: &mut Context,
) -> Reply {
    let (result, wants_json) = carry_out(state, incoming, context);
    let name = match target.operation.as_str() {
        "unknown" | "unreadable" => "ErrorResponse".to_owned(),
        name => format!("{name}Response"),
    };
    let mut root = Node::new(&name);
    let outcome = match result {
        Ok(children) => {
            root.children = children;
            if context.failed_items > 0 {
                "partial".to_owned()
            } else {
                "ok".to_owned()
            }
        }
        Err(failure) => {
            let outcome = format!("error {}", failure.code);
            root.push(Node::leaf("Result", "Error"));
            root.push(Node::leaf("ErrorCode", failure.code.to_string()));
            root.push(Node::leaf("ErrorText", failure.text));
            // Errors come as XML even when JSON was asked for.
            return Reply {
                status: status_of(incoming),
                document: Document::Xml(root),
                outcome,
            };
        }
    };
    let document = if wants_json {
        Document::XmlAsJson(root)
    } else {
        Document::Xml(root)
    };
    Reply {
        status: StatusCode::OK,
        document,
        outcome,
    }
}

fn status_of(incoming: &Incoming) -> StatusCode {
    if incoming.method == axum::http::Method::POST {
        StatusCode::OK
    } else {
        StatusCode::METHOD_NOT_ALLOWED
    }
}

fn carry_out(state: &mut State, incoming: &Incoming, context: &mut Context) -> (Answer, bool) {
    let form = form::Form::read(incoming);
    let root = match form.check(incoming, context) {
        Ok(root) => root,
        Err(failure) => return (Err(failure), false),
    };
    let wants_json = root.attribute("response") == Some("json");
    (dispatch(state, &form, &root, context), wants_json)
}

fn dispatch(state: &mut State, form: &form::Form, root: &Node, context: &mut Context) -> Answer {
    let name = root.name.strip_suffix("Request").unwrap_or("");
    if name == "GetAuthToken" {
        return session::log_in(state, form, context);
    }
    let Some(known) = operation(name) else {
        context.misuse(MisuseKind::UnknownOperation, "no such request");
        return Err(Failure::new(Failure::UNKNOWN, "The request is not known."));
    };
    let (position, login) = session::authenticate(state, form, root, known, context)?;
    form::check_names(root, known, context);
    let mut call = Call {
        world: &mut state.world,
        kept: &mut state.kept,
        position,
        login,
        context,
    };
    (known.run)(&mut call, root)
}
