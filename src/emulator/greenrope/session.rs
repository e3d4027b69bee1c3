//! Logging in, tokens and their life, and which account a request works in.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::form::{Form, account_ids};
use super::xml::Node;
use super::{Answer, Failure, Operation};
use crate::emulator::State;
use crate::emulator::exchange::Context;
use crate::emulator::login::Login;
use crate::emulator::misuse::MisuseKind;
use crate::emulator::world::{Kind, World};

/// The tokens that were given out, each with its login and its end.
#[derive(Debug, Default)]
pub(in crate::emulator) struct Sessions {
    issued: u64,
    open: BTreeMap<String, (String, Instant)>,
}

impl Sessions {
    pub(in crate::emulator) fn clear(&mut self) {
        self.open.clear();
    }
}

/// All logins with this address, with their accounts' positions; the own account comes first.
fn logins<'a>(world: &'a World, email: &'a str) -> Vec<(usize, &'a Login)> {
    let mut found: Vec<(usize, &Login)> = world
        .accounts
        .iter()
        .enumerate()
        .filter(|(_, account)| account.kind == Kind::GreenRope)
        .flat_map(|(position, account)| account.logins.iter().map(move |login| (position, login)))
        .filter(|(_, login)| !email.is_empty() && login.email.eq_ignore_ascii_case(email))
        .collect();
    found.sort_by_key(|(position, login)| (!login.owner, *position));
    found
}

/// Positions of the accounts that a login reaches, its own first.
pub(super) fn reachable(world: &World, email: &str) -> Vec<(usize, Login)> {
    logins(world, email)
        .into_iter()
        .map(|(position, login)| (position, login.clone()))
        .collect()
}

/// The account that a login's request works in.
pub(super) fn locate(world: &World, email: &str, ids: &[&str]) -> Option<(usize, Login)> {
    let found = logins(world, email);
    let chosen = match ids.first() {
        Some(id) => found
            .into_iter()
            .find(|(position, _)| world.accounts[*position].number == *id),
        None => found.into_iter().find(|(_, login)| login.owner),
    };
    chosen.map(|(position, login)| (position, login.clone()))
}

/// Answers GetAuthToken.
pub(super) fn log_in(state: &mut State, form: &Form, context: &mut Context) -> Answer {
    if form.auth_token.is_some() {
        context.misuse(MisuseKind::CredentialMisplaced, "a token on GetAuthToken");
        return Err(Failure::new(
            Failure::LOGIN,
            "A login takes a password, not an auth token.",
        ));
    }
    let password = form.password.as_deref().unwrap_or("");
    let found = logins(&state.world, &form.email);
    let Some((position, login)) = found
        .into_iter()
        .find(|(_, login)| login.password == password)
    else {
        return Err(Failure::new(
            Failure::LOGIN,
            "The email or password is not correct.",
        ));
    };
    let minutes = state.world.accounts[position].settings.token_minutes;
    let email = login.email.clone();
    state.sessions.issued += 1;
    let digest = blake3::hash(format!("{email} {}", state.sessions.issued).as_bytes()).to_hex();
    // A token may hold characters that a form has to encode.
    let token = format!("fake+{}/=", &digest.as_str()[..24]);
    let end = context.instant() + Duration::from_secs(minutes.saturating_mul(60));
    state.sessions.open.insert(token.clone(), (email, end));
    Ok(vec![
        Node::leaf("Result", "Success"),
        Node::leaf("Token", token),
    ])
}

/// Checks the token and finds the account.
pub(super) fn authenticate(
    state: &mut State,
    form: &Form,
    root: &Node,
    operation: &Operation,
    context: &mut Context,
) -> Result<(usize, Login), Failure> {
    if form.password.is_some() {
        context.misuse(
            MisuseKind::CredentialMisplaced,
            "a password on another request than GetAuthToken",
        );
        return Err(Failure::new(
            Failure::LOGIN,
            "The password belongs to GetAuthToken only.",
        ));
    }
    let token = form.auth_token.as_deref().unwrap_or("");
    if context.token_expired {
        state.sessions.open.remove(token);
    }
    let now = context.instant();
    let session = state
        .sessions
        .open
        .get(token)
        .is_some_and(|(email, end)| *end > now && email.eq_ignore_ascii_case(&form.email));
    let fixed = logins(&state.world, &form.email)
        .iter()
        .any(|(_, login)| !token.is_empty() && login.token == token);
    if context.token_expired || !(session || fixed) {
        return Err(Failure::new(
            Failure::LOGIN,
            "The auth token is not valid or has expired.",
        ));
    }

    let ids = account_ids(root);
    if ids.windows(2).any(|pair| pair[0] != pair[1]) {
        context.misuse(MisuseKind::AccountUnclear, "two accounts in one request");
        return Err(Failure::new(
            Failure::MALFORMED,
            "A request works in one account only.",
        ));
    }
    if operation.name == "GetAccountsWithAccess" {
        return logins(&state.world, &form.email)
            .first()
            .map(|(position, login)| (*position, (*login).clone()))
            .ok_or_else(|| Failure::new(Failure::LOGIN, "The login is not known."));
    }
    let Some((position, login)) = locate(&state.world, &form.email, &ids) else {
        if ids.is_empty() {
            context.misuse(
                MisuseKind::AccountUnclear,
                "shared access without account_id",
            );
        }
        return Err(Failure::new(
            Failure::PERMISSION,
            "You do not have permission to use this account.",
        ));
    };
    if let Some(items) = operation.items
        && items.needs_account
        && !login.owner
    {
        let items = root
            .child(items.container)
            .map(|container| container.children.as_slice())
            .unwrap_or_default();
        if items
            .iter()
            .any(|item| item.attribute("account_id").is_none())
        {
            context.misuse(
                MisuseKind::AccountUnclear,
                "shared access without account_id on an item",
            );
            return Err(Failure::new(
                Failure::PERMISSION,
                "You do not have permission: an item lacks account_id.",
            ));
        }
    }
    Ok((position, login))
}
