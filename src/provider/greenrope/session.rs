//! The login: one token for all calls of an account, renewed before it gets old and once after it
//! was refused.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::wire::{self, Request};
use super::{GreenRope, GreenRopeCredential};
use crate::http::{
    Call, CallBody, CallError, DecodeError, FormValue, Method, Problem, Refusal, Reply,
};

/// Clients are told to cache a token for two hours; it is renewed well before that.
pub(super) const RENEW_AFTER: Duration = Duration::from_mins(90);
/// From this age on, an error of any wording may mean that the token has expired.
pub(super) const DOUBTFUL_AFTER: Duration = Duration::from_mins(30);

/// A token and when it was fetched; a fixed one has no age.
#[derive(Clone)]
pub(super) struct Session {
    token: SecretString,
    since: Option<Instant>,
}

/// The login of an account and its current token.
pub(super) struct Sessions {
    email: String,
    credential: GreenRopeCredential,
    /// Held while logging in, so that calls at the same time share one login.
    current: Mutex<Option<Session>>,
}

impl Sessions {
    pub(super) fn new(email: String, credential: GreenRopeCredential) -> Self {
        Sessions {
            email,
            credential,
            current: Mutex::new(None),
        }
    }
}

/// The operations that are denied only where the login is.
pub(super) const PROVES_LOGIN: [&str; 2] = ["GetAuthToken", "GetAccountsWithAccess"];

impl GreenRope {
    /// Returns the token in use, logging in first where there is none or it has grown old.
    async fn session(&self) -> Result<Session, CallError> {
        let password = match &self.sessions.credential {
            GreenRopeCredential::Token(token) => {
                return Ok(Session {
                    token: token.clone(),
                    since: None,
                });
            }
            GreenRopeCredential::Password(password) => password,
        };
        let mut current = self.sessions.current.lock().await;
        if let Some(session) = current.as_ref()
            && session
                .since
                .is_none_or(|since| self.account.now().duration_since(since) < RENEW_AFTER)
        {
            return Ok(session.clone());
        }
        let request = Request::login();
        let mut call = Call::read(request.operation, Method::Post, "");
        call.body = CallBody::Form(vec![
            (
                "email".to_owned(),
                FormValue::from(self.sessions.email.as_str()),
            ),
            ("password".to_owned(), FormValue::from(password.clone())),
            ("xml".to_owned(), FormValue::from(request.xml)),
        ]);
        let since = self.account.now();
        let token = self
            .account
            .read(&call, |reply| wire::token(reply.body.reader()))
            .await?;
        self.account.keep_out(&token);
        let session = Session {
            token,
            since: Some(since),
        };
        *current = Some(session.clone());
        Ok(session)
    }

    /// Forgets a token that was refused, unless it has been replaced meanwhile.
    async fn forget(&self, refused: &Session) {
        let mut current = self.sessions.current.lock().await;
        if current
            .as_ref()
            .is_some_and(|session| session.token.expose_secret() == refused.token.expose_secret())
        {
            *current = None;
        }
    }

    fn call(
        &self,
        request: &Request,
        session: &Session,
        new: fn(&'static str, Method, &'static str) -> Call,
    ) -> Call {
        let mut call = new(request.operation, Method::Post, "");
        call.body = CallBody::Form(vec![
            (
                "email".to_owned(),
                FormValue::from(self.sessions.email.as_str()),
            ),
            (
                "auth_token".to_owned(),
                FormValue::from(session.token.clone()),
            ),
            ("xml".to_owned(), FormValue::from(request.xml.as_str())),
        ]);
        call.decoded_statuses = &[401, 403];
        call
    }

    /// Sends a read, logging in again once where the token may be to blame.
    ///
    /// What concerns one group can be refused in the words of a login, or with their status: after
    /// [`CallError::Denied`] of another operation than these two the login has proved itself.
    pub(super) async fn ask<T>(
        &self,
        request: &Request,
        decode: impl FnMut(&mut Reply) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        match self.ask_again(request, decode).await {
            Err(CallError::Denied {
                account,
                operation,
                reason,
            }) if !PROVES_LOGIN.contains(&operation) && !reason.contains("permission") => {
                let is_good = self.is_login_good().await?;
                Err(CallError::Denied {
                    account,
                    operation: if is_good { operation } else { PROVES_LOGIN[1] },
                    reason,
                })
            }
            answer => answer,
        }
    }

    /// Tells whether the login is taken for a question that concerns no group.
    async fn is_login_good(&self) -> Result<bool, CallError> {
        let session = self.session().await?;
        let request = Request::accounts();
        let call = self.call(&request, &session, Call::read);
        let mut decode = |reply: &mut Reply| wire::accounts(reply.body.reader());
        match self
            .account
            .read(&call, |reply| judged(reply, &request.xml, &mut decode))
            .await
        {
            Ok(_) => Ok(true),
            Err(
                CallError::LoginExpired { .. }
                | CallError::Denied { .. }
                | CallError::Refused { .. }
                | CallError::Protocol { .. },
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn ask_again<T>(
        &self,
        request: &Request,
        mut decode: impl FnMut(&mut Reply) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        let mut repeated = false;
        loop {
            let session = self.session().await?;
            let call = self.call(request, &session, Call::read);
            let error = match self
                .account
                .read(&call, |reply| judged(reply, &request.xml, &mut decode))
                .await
            {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let doubtful = match &error {
                CallError::LoginExpired { .. } => true,
                // The wording of an expired token is not known, so an old one is suspected of every
                // refusal.
                CallError::Refused { .. } => session
                    .since
                    .is_some_and(|since| self.account.now().duration_since(since) > DOUBTFUL_AFTER),
                _ => false,
            };
            if !doubtful {
                return Err(error);
            }
            if session.since.is_none() || repeated {
                return Err(not_curable(error));
            }
            self.forget(&session).await;
            repeated = true;
        }
    }

    /// Sends a write once.
    ///
    /// After a refused token the write is not repeated, because it is not known whether the token
    /// was looked at before any item: the next call logs in anew, and the caller looks first.
    pub(super) async fn tell<T>(
        &self,
        request: &Request,
        mut decode: impl FnMut(&mut Reply) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        let session = self.session().await?;
        let call = self.call(request, &session, Call::write);
        match self
            .account
            .write(&call, |reply| judged(reply, &request.xml, &mut decode))
            .await
        {
            Err(error @ CallError::LoginExpired { .. }) if session.since.is_none() => {
                Err(not_curable(error))
            }
            Err(CallError::LoginExpired {
                account,
                operation,
                reason,
            }) => {
                self.forget(&session).await;
                Err(CallError::OutcomeUnknown {
                    account,
                    operation,
                    problem: Problem::NotAnAnswer(format!(
                        "the login was no longer good: {reason}"
                    )),
                })
            }
            other => other,
        }
    }
}

fn judged<T>(
    reply: &mut Reply,
    sent: &str,
    decode: &mut impl FnMut(&mut Reply) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    match reply.status {
        401 | 403 => Err(DecodeError::LoginExpired(format!(
            "HTTP status {}",
            reply.status
        ))),
        _ => decode(reply).map_err(|error| match error {
            // The values of the request are not the service's own words.
            DecodeError::LoginExpired(words)
                if !wire::speaks_of_login(&without_values(&words, sent)) =>
            {
                DecodeError::Refused(Refusal::new(None, &words, None))
            }
            error => error,
        }),
    }
}

/// Takes the values of a request out of what the service says of it.
fn without_values(words: &str, sent: &str) -> String {
    let mut values: Vec<&str> = sent
        .split(['<', '>', '"'])
        .map(str::trim)
        .filter(|value| !value.is_empty() && value.len() < words.len() && !value.contains('='))
        .collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let mut words = words.to_owned();
    for value in values {
        let mut kept = String::with_capacity(words.len());
        let mut rest = words.as_str();
        while let Some(at) = rest.find(value) {
            let (before, after) = (&rest[..at], &rest[at + value.len()..]);
            let bounded = !before.ends_with(char::is_alphanumeric)
                && !after.starts_with(char::is_alphanumeric);
            kept.push_str(before);
            kept.push_str(if bounded { " " } else { value });
            rest = after;
        }
        kept.push_str(rest);
        words = kept;
    }
    words
}

/// A login that was refused although it is fixed or fresh will be refused again.
fn not_curable(error: CallError) -> CallError {
    match error {
        CallError::LoginExpired {
            account,
            operation,
            reason,
        } => CallError::Denied {
            account,
            operation,
            reason,
        },
        other => other,
    }
}
