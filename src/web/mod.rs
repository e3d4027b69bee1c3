//! The HTTP side of the service: health, metrics, the API and the status page.
//!
//! | module | does |
//! |---|---|
//! | `serve` | the listener, the connections and what bounds them |
//! | `guard` | what holds for every request: Host, Origin, headers, body and time |
//! | `state` | what handlers share: the config, the pulse of the loop, orders to the service |
//! | `readers` | read-only connections to the state database, few, on threads of their own |
//! | `refused_plans` | the pages of the plans that guards refused |
//! | `session` | signing in and out, who asks, and the token against forged requests |
//! | `throttle` | how often a token may be tried |
//! | `actions` | what can be changed, with the line in the log that says who did |
//! | `cache` | an answer that many ask for is made once a second |
//! | `api` | `/api/v1`, and the document that describes it |
//! | `metrics` | figures for Prometheus |
//! | `page` | the status page |
//! | `health` | whether the process lives and whether it is ready |
//! | [`view`] | what there is to see, gathered for the page, the API and the commands |
//! | `problem` | errors as JSON for programs, and as a page for people |
//!
//! It listens where `[daemon] listen` says, and nowhere without it. Nothing here writes to a
//! provider: what is asked for becomes an `Order` that the loop of the service takes like any other
//! event, and what is shown is read through connections of its own. A flood of requests thus
//! takes neither the loop's database connection nor its turn.
//!
//! Who wants to change something shows a session and its token against forged requests, or the admin
//! token as a bearer. Browsers are not trusted to tell one site from another: the Host of
//! every request has to be a name of this listener, and a request that changes something has to come
//! from a page of it.

mod actions;
mod api;
mod cache;
mod guard;
mod health;
mod metrics;
mod page;
mod problem;
mod readers;
mod refused_plans;
mod serve;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod throttle;
pub mod view;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use metrics::Counters;
pub(crate) use state::{Answer, Order, WebState};

use crate::config::Config;
use crate::config::secrets::SecretError;
use crate::run::RunnerOptions;
use crate::state::Store;
use serve::Limits;
use session::Token;
use state::Settings;

/// How long connections may take to end when the service stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How many orders may wait for the loop.
const ORDERS: usize = 16;

/// Why there is no HTTP.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address can't be listened on.
    #[error("`daemon.listen`: {address} can't be listened on: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The admin token can't be fetched.
    #[error(transparent)]
    Token(#[from] SecretError),
}

/// The routes, with everything that holds for each of them: a part of the service that has some
/// merges its `Router<WebState>` here.
fn routes(state: &WebState, limits: &Limits) -> Router {
    let router = Router::new()
        .merge(health::router())
        .merge(metrics::router())
        .merge(api::router())
        .merge(session::router())
        .merge(page::router());
    guard::around(router, state, limits).with_state(state.clone())
}

/// A listener and the task that serves it.
struct Open {
    stop: CancellationToken,
    served: JoinHandle<()>,
}

/// The HTTP side of a running service, as its loop holds it. Without a `listen` it is there and does
/// nothing.
pub(crate) struct Web {
    state: WebState,
    orders: mpsc::Receiver<Order>,
    open: Option<Open>,
    limits: Limits,
}

/// What a new config asks of the listener, tried before the config is taken on.
pub(crate) struct Prepared {
    token: Option<Token>,
    /// A listener that replaces the one there is; none where that one stays or none is wanted.
    listener: Option<TcpListener>,
}

impl Web {
    /// Listens where the config says, and keeps from now on the plans that guards refuse.
    ///
    /// # Errors
    /// An address in use, and a token that can't be fetched.
    pub(crate) fn start(
        config: &Arc<Config>,
        store: Arc<Store>,
        runner: &mut RunnerOptions,
    ) -> Result<Web, WebError> {
        let prepared = prepare(config, None)?;
        let (tell, orders) = mpsc::channel(ORDERS);
        let settings = Settings {
            config: config.clone(),
            token: None,
            address: None,
        };
        let state = WebState::new(settings, store, runner, tell);
        let mut web = Web {
            state,
            orders,
            open: None,
            limits: Limits::default(),
        };
        web.follow(config, prepared);
        Ok(web)
    }

    /// Tries what a new config asks for, so that it can be refused as a whole.
    ///
    /// # Errors
    /// As of [`Web::start`].
    pub(crate) fn prepare(&self, new: &Config) -> Result<Prepared, WebError> {
        let now = self.state.settings();
        let kept = now.config.daemon.listen.filter(|_| self.open.is_some());
        prepare(new, kept)
    }

    /// Takes a config on. Whoever signed in with another token has to sign in again, and connections
    /// to an address that is left end.
    pub(crate) fn follow(&mut self, config: &Arc<Config>, prepared: Prepared) {
        let Prepared { token, listener } = prepared;
        let before = self.state.settings();
        let moved = listener.is_some() || config.daemon.listen.is_none();
        if before.token != token {
            self.state.sessions().end_all();
        }
        let mut address = before.address;
        if moved {
            if let Some(open) = self.open.take() {
                open.stop.cancel();
            }
            address = None;
        }
        let listener = listener.and_then(|listener| match taken_over(listener) {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::error!(%error, "The status page can't be served.");
                None
            }
        });
        if let Some((_, at)) = &listener {
            address = Some(*at);
        }
        self.state.set(Settings {
            config: config.clone(),
            token,
            address,
        });
        let Some((listener, address)) = listener else {
            return;
        };
        let stop = CancellationToken::new();
        let routes = routes(&self.state, &self.limits);
        let served = tokio::spawn(serve::serve(listener, routes, self.limits, stop.clone()));
        self.open = Some(Open { stop, served });
        tracing::info!(%address, "The status page, the metrics and the API are served.");
    }

    /// Takes down that the loop of the service lives; it says so at each turn.
    pub(crate) fn beat(&self) {
        self.state.pulse().beat();
    }

    /// Returns what the service counts for the metrics.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.state.counters().clone()
    }

    /// Takes down that the service stops, so that whoever distributes work looks elsewhere.
    pub(crate) fn stopping(&self) {
        self.state.pulse().stop();
    }

    /// Waits for something that was asked for; for ever where nothing listens.
    pub(crate) async fn next_order(&mut self) -> Order {
        match self.orders.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }

    /// Ends the listener and its connections.
    pub(crate) async fn stop(mut self) {
        if let Some(open) = self.open.take() {
            open.stop.cancel();
            drop(tokio::time::timeout(LAST_WORDS, open.served).await);
        }
    }
}

fn prepare(config: &Config, kept: Option<SocketAddr>) -> Result<Prepared, WebError> {
    let daemon = &config.daemon;
    let Some(address) = daemon.listen else {
        return Ok(Prepared {
            token: None,
            listener: None,
        });
    };
    let token = match &daemon.admin_token {
        None => None,
        Some(secret) => Some(Token::of(&secret.fetch("daemon.admin_token")?)),
    };
    let listener = if kept == Some(address) {
        None
    } else {
        let bound = TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        Some(bound.map_err(|reason| WebError::Listen { address, reason })?)
    };
    Ok(Prepared { token, listener })
}

fn taken_over(listener: TcpListener) -> std::io::Result<(tokio::net::TcpListener, SocketAddr)> {
    let address = listener.local_addr()?;
    Ok((tokio::net::TcpListener::from_std(listener)?, address))
}
