//! What handlers share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::readers::{ReadError, Readers};
use super::session::{Sessions, Token};
use super::throttle::Throttle;
use crate::config::Config;
use crate::run::Clock;
use crate::state::Store;

/// The loop wakes every quarter of a minute at the latest, and a busy disk may hold it up.
const PULSELESS: Duration = Duration::from_secs(60);

/// Something that the loop of the service is asked to do.
#[derive(Debug)]
pub(crate) struct Order {
    /// The job that is to run now.
    pub(crate) job: String,
    /// The approval that lets its refused plan pass.
    pub(crate) approve: Option<String>,
    /// Who waits to hear what became of it.
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What became of an [`Order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A run begins; it may still have to wait for an account.
    Begins,
    /// A run of the job is going on.
    Running,
    /// The service knows no such job.
    Unknown,
    /// The service is about to stop.
    Stopping,
}

/// What of the config matters here, with what was made of it.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) config: Arc<Config>,
    pub(super) token: Option<Token>,
    /// Where the listener is.
    pub(super) address: Option<SocketAddr>,
}

/// Whether the loop of the service lives, as it says itself.
pub(super) struct Pulse {
    began: Instant,
    beat: AtomicU64,
    stops: AtomicBool,
}

impl Pulse {
    fn new() -> Pulse {
        Pulse {
            began: Instant::now(),
            beat: AtomicU64::new(0),
            stops: AtomicBool::new(false),
        }
    }

    pub(super) fn beat(&self) {
        let millis = self.began.elapsed().as_millis() as u64;
        self.beat.store(millis, Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }

    /// How long the loop has been silent.
    pub(super) fn silence(&self) -> Duration {
        let beat = Duration::from_millis(self.beat.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(beat)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.silence() <= PULSELESS
    }

    pub(super) fn stops(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }
}

/// What every handler is given; cheap to clone.
#[derive(Clone)]
pub(crate) struct WebState {
    inner: Arc<Shared>,
}

struct Shared {
    settings: RwLock<Arc<Settings>>,
    clock: Clock,
    pulse: Pulse,
    orders: mpsc::Sender<Order>,
    readers: Readers,
    sessions: Sessions,
    throttle: Throttle,
}

impl WebState {
    pub(super) fn new(settings: Settings, clock: Clock, orders: mpsc::Sender<Order>) -> WebState {
        WebState {
            inner: Arc::new(Shared {
                readers: Readers::new(&settings.config.state_path),
                settings: RwLock::new(Arc::new(settings)),
                clock,
                pulse: Pulse::new(),
                orders,
                sessions: Sessions::default(),
                throttle: Throttle::default(),
            }),
        }
    }

    /// Returns the config that the service goes by.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.settings().config.clone()
    }

    /// Returns the time of day.
    pub(crate) fn now(&self) -> Timestamp {
        (self.inner.clock)()
    }

    /// Reads the state database on a thread where that holds up nobody, through one of a few read-only
    /// connections. The service has made the database before anything is answered.
    ///
    /// # Errors
    /// A database that can't be read, or is asked too much of.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, crate::state::StateError> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.inner.readers.read(work).await
    }

    /// Asks the service to run a job now, and returns once it has said what becomes of that.
    pub(crate) async fn order(&self, job: &str, approve: Option<String>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let order = Order {
            job: job.to_owned(),
            approve,
            answer,
        };
        if self.inner.pulse.stops() || self.inner.orders.send(order).await.is_err() {
            return Answer::Stopping;
        }
        answered.await.unwrap_or(Answer::Stopping)
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        let settings = self.inner.settings.read();
        settings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, settings: Settings) {
        let known = self.inner.settings.write();
        *known.unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    pub(super) fn pulse(&self) -> &Pulse {
        &self.inner.pulse
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    pub(super) fn throttle(&self) -> &Throttle {
        &self.inner.throttle
    }
}
