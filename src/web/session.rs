//! Signing in and out, who asks, and the token against forged requests.
//!
//! A session is a random id in a cookie that scripts can't read and other sites can't have sent. Here
//! stands only its hash, in memory: a restart signs everybody out, and nothing that could be stolen
//! lies on a disk. The token against forged requests is made from the id and this process's key, so it
//! is worth nothing for another session or after a restart.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::problem::{Problem, wants_html};
use super::state::WebState;

/// How long a session lasts.
const LIFETIME: Duration = Duration::from_hours(12);

/// How many sessions there are at once; beyond that the oldest ends.
const SESSIONS: usize = 64;

/// The header in which a script sends the token against forged requests; a form has the field `csrf`.
const CSRF_HEADER: &str = "x-csrf-token";

/// The admin token as it is kept: hashed, so that comparing takes the same time whatever was sent.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(blake3::Hash);

impl Token {
    pub(super) fn of(secret: &SecretString) -> Token {
        Token(blake3::hash(secret.expose_secret().as_bytes()))
    }

    fn is(&self, sent: &str) -> bool {
        // Hashes are compared in constant time.
        self.0 == blake3::hash(sent.as_bytes())
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Who asks for a change, as the audit line names it: no address and nothing that opens anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Somebody who signed in, by the beginning of the session's hash.
    Session(String),
    /// A program with the admin token.
    Bearer,
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Who::Session(id) => write!(f, "session {id}"),
            Who::Bearer => f.write_str("bearer"),
        }
    }
}

/// The sessions of this process.
pub(super) struct Sessions {
    key: [u8; 32],
    known: Mutex<HashMap<blake3::Hash, Instant>>,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions {
            key: random(),
            known: Mutex::default(),
        }
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

impl Sessions {
    /// Begins a session and returns its id.
    fn begin(&self) -> String {
        let id = URL_SAFE_NO_PAD.encode(random());
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, ends| *ends > now);
        if known.len() >= SESSIONS
            && let Some((oldest, _)) = known.iter().min_by_key(|(_, ends)| **ends)
        {
            let oldest = *oldest;
            known.remove(&oldest);
        }
        known.insert(self.hash(&id), now + LIFETIME);
        id
    }

    fn hash(&self, id: &str) -> blake3::Hash {
        blake3::keyed_hash(&self.key, id.as_bytes())
    }

    fn find(&self, id: &str) -> Option<SignedIn> {
        let hash = self.hash(id);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&hash).filter(|ends| **ends > Instant::now())?;
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"csrf ").update(id.as_bytes());
        Some(SignedIn {
            hash,
            csrf: URL_SAFE_NO_PAD.encode(hasher.finalize().as_bytes()),
        })
    }

    fn end(&self, session: &SignedIn) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&session.hash);
    }

    pub(super) fn end_all(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }
}

/// A session that was proved by its cookie.
///
/// As an argument of a handler it refuses everybody else: a browser is sent to sign in, a program is
/// told so.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    hash: blake3::Hash,
    csrf: String,
}

impl SignedIn {
    /// Returns the token that a form sends along in its field `csrf`, or a script in the header
    /// `X-CSRF-Token`.
    pub(crate) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Names the session for the audit line.
    pub(crate) fn who(&self) -> Who {
        Who::Session(self.hash.to_hex()[..8].to_owned())
    }

    /// Compares the token that was sent along, in constant time.
    fn has_sent(&self, csrf: &str) -> bool {
        blake3::hash(self.csrf.as_bytes()) == blake3::hash(csrf.as_bytes())
    }
}

/// A session where there is one, for pages that show less without.
#[derive(Clone, Debug)]
pub(crate) struct MaybeSignedIn(pub(crate) Option<SignedIn>);

impl FromRequestParts<WebState> for MaybeSignedIn {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &WebState,
    ) -> Result<Self, Self::Rejection> {
        let name = cookie_name(state);
        let id = cookie(&parts.headers, &name);
        Ok(MaybeSignedIn(id.and_then(|id| state.sessions().find(id))))
    }
}

impl FromRequestParts<WebState> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &WebState,
    ) -> Result<Self, Self::Rejection> {
        let Ok(MaybeSignedIn(session)) = MaybeSignedIn::from_request_parts(parts, state).await;
        session.ok_or_else(|| {
            if wants_html(&parts.headers) {
                Redirect::to("/sign-in").into_response()
            } else {
                nobody(state).into_response()
            }
        })
    }
}

/// Whoever may see everything: a session, or the admin token as a bearer.
#[derive(Clone, Debug)]
pub(crate) struct Reader;

impl FromRequestParts<WebState> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &WebState,
    ) -> Result<Self, Self::Rejection> {
        let reader = <Self as OptionalFromRequestParts<WebState>>::from_request_parts(parts, state);
        reader.await?.ok_or_else(|| nobody(state))
    }
}

impl OptionalFromRequestParts<WebState> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &WebState,
    ) -> Result<Option<Self>, Self::Rejection> {
        if bearer(parts, state)?.is_some() {
            return Ok(Some(Reader));
        }
        let Ok(MaybeSignedIn(session)) = MaybeSignedIn::from_request_parts(parts, state).await;
        Ok(session.map(|_| Reader))
    }
}

/// Whoever may change something through the API: the admin token as a bearer, or a session with the
/// header `X-CSRF-Token`.
#[derive(Clone, Debug)]
pub(crate) struct Changer(pub(crate) Who);

impl FromRequestParts<WebState> for Changer {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &WebState,
    ) -> Result<Self, Self::Rejection> {
        if let Some(who) = bearer(parts, state)? {
            return Ok(Changer(who));
        }
        let Ok(MaybeSignedIn(session)) = MaybeSignedIn::from_request_parts(parts, state).await;
        let session = session.ok_or_else(|| nobody(state))?;
        let sent = parts.headers.get(CSRF_HEADER);
        let sent = sent.and_then(|sent| sent.to_str().ok()).unwrap_or_default();
        if session.has_sent(sent) {
            Ok(Changer(session.who()))
        } else {
            Err(forged(&session))
        }
    }
}

/// What a form of the status page changes: the session, which has sent its token along in the field
/// `csrf`, and the other fields.
#[derive(Clone, Debug)]
pub(crate) struct Changing<T> {
    /// Who asks for it.
    pub(crate) session: SignedIn,
    /// The other fields.
    pub(crate) fields: T,
}

impl<T: DeserializeOwned> FromRequest<WebState> for Changing<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Self::Rejection> {
        #[derive(Deserialize)]
        struct Form<T> {
            #[serde(default)]
            csrf: String,
            #[serde(flatten)]
            fields: T,
        }
        let (mut parts, body) = request.into_parts();
        let session = SignedIn::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let form = axum::Form::<Form<T>>::from_request(request, state).await;
        let axum::Form(form) = form.map_err(|rejection| unreadable(&rejection).into_response())?;
        if !session.has_sent(&form.csrf) {
            return Err(forged(&session).into_response());
        }
        Ok(Changing {
            session,
            fields: form.fields,
        })
    }
}

fn unreadable(rejection: &FormRejection) -> Problem {
    Problem::new(
        rejection.status(),
        "The form that was sent can't be read.",
        "Load the page again and send it from there.",
    )
}

/// Refuses somebody who has not signed in.
fn nobody(state: &WebState) -> Problem {
    if state.settings().token.is_none() {
        return Problem::new(
            StatusCode::UNAUTHORIZED,
            "Nobody can sign in here: the config has no `daemon.admin_token`.",
            "Give it one and reload the service with SIGHUP.",
        );
    }
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "This is shown only to whoever has signed in.",
        "Sign in at the status page, or send the admin token as `Authorization: Bearer TOKEN`.",
    )
}

fn forged(session: &SignedIn) -> Problem {
    let who = session.who();
    tracing::warn!(target: "rosterd::audit", %who, outcome = "refused", "Audit: a change was asked for without the token of its session.");
    Problem::new(
        StatusCode::FORBIDDEN,
        "The request does not hold the token of this session, so it may be forged by another site.",
        "Load the page again and do it from there; a script sends the token as `X-CSRF-Token`.",
    )
}

/// Checks the admin token in the header `Authorization`; nothing where there is none. What is of another
/// scheme is meant for a proxy that passes it on, and no try at the token.
fn bearer(parts: &Parts, state: &WebState) -> Result<Option<Who>, Problem> {
    let Some(sent) = parts.headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let sent = sent.to_str().unwrap_or_default().trim();
    let (scheme, token) = sent.split_once(' ').unwrap_or((sent, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let sent = token.trim();
    match try_token(state, peer(parts), sent) {
        Tried::Right => Ok(Some(Who::Bearer)),
        Tried::Wrong => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "The token is not the admin token of this service.",
            "Send the one that `daemon.admin_token` names, as `Authorization: Bearer TOKEN`.",
        )),
        Tried::TooOften(wait) => Err(too_often(wait)),
        Tried::NoToken => Err(nobody(state)),
    }
}

fn too_often(wait: Duration) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "Wrong tokens were sent too often from here.",
        format!("Wait {} seconds, then send the right one.", wait.as_secs()),
    )
    .retry_after(wait.as_secs())
}

fn peer(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<Peer>();
    peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip())
}

/// How a try at the token went.
enum Tried {
    Right,
    Wrong,
    TooOften(Duration),
    NoToken,
}

fn try_token(state: &WebState, peer: IpAddr, sent: &str) -> Tried {
    let settings = state.settings();
    let Some(token) = &settings.token else {
        return Tried::NoToken;
    };
    if let Some(wait) = state.throttle().wait(peer) {
        // Also the right one: else a guess would be free.
        return Tried::TooOften(wait);
    }
    if token.is(sent) {
        state.throttle().passed(peer);
        return Tried::Right;
    }
    state.throttle().failed(peer);
    tracing::warn!(target: "rosterd::audit", action = "sign in", outcome = "refused", "Audit: a wrong admin token was sent.");
    Tried::Wrong
}

/// The name of the cookie: cookies know no ports, and two services on one machine must not sign each
/// other out.
fn cookie_name(state: &WebState) -> String {
    let port = state.settings().address.map_or(0, |address| address.port());
    format!("rosterd_session_{port}")
}

/// Finds a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines.filter_map(|line| line.to_str().ok());
    pairs
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}

/// The routes that begin and end a session. Where they lead to is the page's: `/` once it is done, or
/// `/sign-in?why=…` with `wrong`, `slow` (too many tries) or `none` (there is no token to sign in with).
pub(super) fn router() -> Router<WebState> {
    Router::new()
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
}

async fn sign_in(
    State(state): State<WebState>,
    parts: RequestParts,
    axum::Form(SignIn { token }): axum::Form<SignIn>,
) -> Response {
    let RequestParts(parts) = parts;
    let why = match try_token(&state, peer(&parts), &token) {
        Tried::Right => {
            let id = state.sessions().begin();
            if let Some(session) = state.sessions().find(&id) {
                let who = session.who();
                tracing::info!(target: "rosterd::audit", %who, action = "sign in", outcome = "done", "Audit: somebody signed in.");
            }
            // Only the browser knows whether there is a proxy with TLS in between.
            let origin = parts.headers.get(header::ORIGIN);
            let is_https = origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https:"));
            let cookie = set_cookie(&cookie_name(&state), &id, LIFETIME.as_secs(), is_https);
            return ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response();
        }
        Tried::Wrong => "wrong",
        Tried::TooOften(_) => "slow",
        Tried::NoToken => "none",
    };
    Redirect::to(&format!("/sign-in?why={why}")).into_response()
}

#[derive(Deserialize)]
struct Nothing {}

async fn sign_out(State(state): State<WebState>, form: Changing<Nothing>) -> Response {
    let Changing {
        session,
        fields: Nothing {},
    } = form;
    state.sessions().end(&session);
    let who = session.who();
    tracing::info!(target: "rosterd::audit", %who, action = "sign out", outcome = "done", "Audit: somebody signed out.");
    let cookie = set_cookie(&cookie_name(&state), "", 0, false);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

fn set_cookie(name: &str, id: &str, seconds: u64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let cookie =
        format!("{name}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&cookie).expect("it is made of plain letters")
}

/// The head of a request.
struct RequestParts(Parts);

impl FromRequestParts<WebState> for RequestParts {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Self::Rejection> {
        Ok(RequestParts(parts.clone()))
    }
}
