//! Stand-ins for the three providers, served from one process over one world model.
//!
//! The emulator answers as the providers document it, oddities included, and is stricter than they
//! are: what the documentation forbids or warns of is refused where that is possible, and recorded
//! as [`Misuse`] in any case. Where the documentation leaves a question open, it takes the answer
//! that is worst for a careless client, or leaves the choice to a quirk of the account.
//!
//! It shares no code with the adapters, so that both can't be wrong in the same way. It reads no
//! system clock: the [`World`] has its own, so the same requests always get the same bytes.

mod activecampaign;
mod contacts;
mod control;
mod edit;
mod emfluence;
mod exchange;
mod faults;
mod greenrope;
mod history;
mod id_map;
mod kept;
mod late;
mod log;
mod login;
mod membership;
mod misuse;
mod names;
mod oddities;
mod reply;
mod seed;
mod settings;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod users;
mod values;
mod world;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State as Extracted};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::time::Instant;

pub use contacts::Contacts;
pub use faults::{Fault, FaultRule, When};
pub use history::{Actor, Change, HistoryEvent};
pub use id_map::IdMap;
pub use log::RequestRecord;
pub use login::{Credentials, Login, Rights};
pub use misuse::{Misuse, MisuseKind};
pub use oddities::Garbage;
pub use seed::{Seed, populate};
pub use settings::{
    ActiveCampaignQuirks, Counted, EmfluenceQuirks, GreenRopeQuirks, Settings, UnknownGroup,
};
pub use users::{User, UserGroup, UserGroupLimit};
pub use values::Values;
pub use world::{
    Account, Clock, Contact, CustomField, Group, GroupKind, GroupStatus, Kind, Membership,
    MembershipState, Visibility, World,
};

use exchange::Traffic;
use faults::Faults;
use history::History;
use kept::Kept;
use late::{Late, Past};
use log::Log;

/// The emulated providers: a world, the faults in force, and a record of all that happens. Clones
/// share everything.
#[derive(Clone)]
pub struct Emulator {
    inner: Arc<Inner>,
}

impl fmt::Debug for Emulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Emulator").finish_non_exhaustive()
    }
}

struct Inner {
    state: Mutex<State>,
    started: Instant,
}

/// Everything behind the lock.
struct State {
    world: World,
    history: History,
    misuse: Vec<Misuse>,
    requests: Log,
    faults: Faults,
    traffic: Traffic,
    sessions: greenrope::Sessions,
    backlog: activecampaign::Backlog,
    late: Late,
    past: Past,
    kept: Kept,
    last_request: u64,
}

impl Emulator {
    /// Starts the providers over a world.
    pub fn new(world: World) -> Self {
        let mut state = State {
            world,
            history: History::default(),
            misuse: Vec::new(),
            requests: Log::default(),
            faults: Faults::default(),
            traffic: Traffic::default(),
            sessions: greenrope::Sessions::default(),
            backlog: activecampaign::Backlog::default(),
            late: Late::default(),
            past: Past::default(),
            kept: Kept::default(),
            last_request: 0,
        };
        state.world.sync_clock();
        state.drain(Actor::Person);
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(state),
                started: Instant::now(),
            }),
        }
    }

    /// All routes: `/emfluence/v1/…`, `/greenrope/api-xml` with its older name `/greenrope/xml.pl`,
    /// `/activecampaign/admin/api.php`, `/activecampaign/api/3/…`, and `/_emulator/…`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/emfluence/v1/{*path}", any(emfluence_route))
            .route("/greenrope/api-xml", any(greenrope_route))
            .route("/greenrope/xml.pl", any(greenrope_route))
            .route("/activecampaign/admin/api.php", any(activecampaign_route))
            .route("/activecampaign/api/3/{*path}", any(activecampaign_route))
            .nest("/_emulator", control::router())
            .with_state(self.clone())
    }

    /// Serves the routes over a socket until `shutdown` is done.
    ///
    /// # Errors
    ///
    /// Returns an error when the listener can't take connections any more.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.router())
            .with_graceful_shutdown(shutdown)
            .await
    }

    /// Reads or edits the world. Edits count as made by a person in the provider's own pages.
    pub fn with_world<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        let mut state = self.lock();
        state.world.sync_clock();
        state.work_off(Instant::now());
        state.keep_past(Instant::now());
        state.kept.clear();
        let result = f(&mut state.world);
        state.drain(Actor::Person);
        result
    }

    /// Everything clients did that the providers' pages forbid.
    pub fn misuse(&self) -> Vec<Misuse> {
        let mut state = self.lock();
        state.work_off(Instant::now());
        state.misuse.clone()
    }

    /// The request log. It never holds a token, a password or a body.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.lock().requests.records()
    }

    /// Empties the request log and the list of misuse; the history stays.
    pub fn clear_log(&self) {
        let mut state = self.lock();
        state.requests.clear();
        state.misuse.clear();
    }

    /// Every change of the world, in order, with who made it.
    pub fn history(&self) -> Vec<HistoryEvent> {
        let mut state = self.lock();
        state.work_off(Instant::now());
        state.history.events()
    }

    /// Puts a fault rule in force, after those that are.
    pub fn add_fault(&self, rule: FaultRule) {
        self.lock().faults.add(rule);
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Ends all GreenRope sessions, so that tokens from password logins are refused from now on.
    pub fn expire_tokens(&self) {
        self.lock().sessions.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a test's closure must not hide behind a second one here.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Carries out what is due of the work that goes on in the background.
    fn work_off(&mut self, now: Instant) {
        while let Some(mut due) = self.late.take_due(now) {
            self.keep_past(now);
            self.kept.clear();
            exchange::answer(self, &mut due);
            self.drain(Actor::Request(due.context.seq));
        }
        while let Some((request, blame)) = self.backlog.run_one(now, &mut self.world) {
            self.misuse.extend(blame);
            self.kept.clear();
            self.drain(Actor::Request(request));
        }
    }

    /// Moves what the accounts have recorded into the history.
    fn drain(&mut self, actor: Actor) {
        let at = self.world.clock.now;
        for account in &mut self.world.accounts {
            let changes = account.pending.drain(..);
            self.history.add(at, &account.name, actor, changes);
        }
    }
}

async fn emfluence_route(
    Extracted(emulator): Extracted<Emulator>,
    request: Request,
) -> axum::response::Response {
    exchange::exchange(emulator, Kind::Emfluence, request).await
}

async fn greenrope_route(
    Extracted(emulator): Extracted<Emulator>,
    request: Request,
) -> axum::response::Response {
    exchange::exchange(emulator, Kind::GreenRope, request).await
}

async fn activecampaign_route(
    Extracted(emulator): Extracted<Emulator>,
    request: Request,
) -> axum::response::Response {
    exchange::exchange(emulator, Kind::ActiveCampaign, request).await
}
