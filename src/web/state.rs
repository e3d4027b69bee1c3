//! What handlers share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::cache::Cache;
use super::metrics::{Counters, Scrapes};
use super::readers::{ReadError, Readers};
use super::refused_plans::RefusedPlans;
use super::session::{Sessions, Token};
use super::throttle::Throttle;
use super::view::{Counts, View};
use crate::config::Config;
use crate::report::PageAbout;
use crate::run::{Clock, RunnerOptions};
use crate::state::{StateError, Store};

/// The loop wakes every quarter of a minute at the latest, and a busy disk may hold it up.
const PULSELESS: Duration = Duration::from_mins(1);

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
    told: AtomicU64,
}

impl Pulse {
    fn new() -> Pulse {
        Pulse {
            began: Instant::now(),
            beat: AtomicU64::new(0),
            stops: AtomicBool::new(false),
            told: AtomicU64::new(0),
        }
    }

    pub(super) fn beat(&self) {
        let millis = self.began.elapsed().as_millis() as u64;
        self.beat.store(millis, Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }

    /// Tells whether a line may be logged that anybody can bring about: one a second.
    pub(super) fn may_tell(&self) -> bool {
        let second = self.began.elapsed().as_secs() + 1;
        self.told.swap(second, Ordering::Relaxed) != second
    }

    /// How long the loop has been silent.
    pub(super) fn silence(&self) -> Duration {
        let beat = Duration::from_millis(self.beat.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(beat)
    }

    /// Tells whether the loop lives. Once it stops it only waits for the runs, for as long as the
    /// config lets it.
    pub(super) fn is_alive(&self) -> bool {
        self.stops() || self.silence() <= PULSELESS
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
    settings: Arc<RwLock<Arc<Settings>>>,
    clock: Clock,
    pulse: Pulse,
    orders: mpsc::Sender<Order>,
    readers: Readers,
    sessions: Sessions,
    throttle: Throttle,
    counters: Arc<Counters>,
    scrapes: Scrapes,
    counts: Cache<Counts>,
    readable: Cache<()>,
    refused_plans: Arc<RefusedPlans>,
}

impl WebState {
    /// Makes what handlers share, and has the runs hand it the plans that are refused.
    pub(super) fn new(
        settings: Settings,
        store: Arc<Store>,
        runner: &mut RunnerOptions,
        orders: mpsc::Sender<Order>,
    ) -> WebState {
        let settings = Arc::new(RwLock::new(Arc::new(settings)));
        let (known, clock) = (settings.clone(), runner.clock.clone());
        let about = Box::new(move |job: &str| {
            let config = current(&known).config.clone();
            let job = config.jobs.get(job);
            PageAbout::of(&config.path, &config, job, clock(), TimeZone::system())
        });
        let plans = RefusedPlans::new(runner.clock.clone(), about, runner.progress.clone());
        let plans = Arc::new(plans);
        runner.progress = plans.clone();
        WebState {
            inner: Arc::new(Shared {
                settings,
                clock: runner.clock.clone(),
                pulse: Pulse::new(),
                orders,
                readers: Readers::new(store),
                sessions: Sessions::default(),
                throttle: Throttle::default(),
                counters: Arc::default(),
                scrapes: Scrapes::default(),
                counts: Cache::default(),
                readable: Cache::default(),
                refused_plans: plans,
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
        work: impl FnOnce(&Store) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.inner.readers.read(work).await
    }

    /// Changes the state database through the service's own connection, one change at a time.
    ///
    /// # Errors
    /// A database that can't be written.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.inner.readers.write(work).await
    }

    /// Tells whether the state database can be read, as it was within the last second.
    pub(super) async fn is_readable(&self) -> Result<(), ReadError> {
        let asked = self.read(|store| store.service().map(drop));
        self.inner.readable.get(asked).await
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
        current(&self.inner.settings)
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

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.inner.counters
    }

    /// Returns what keeps the pages of refused plans.
    pub(super) fn refused_plans(&self) -> &RefusedPlans {
        &self.inner.refused_plans
    }

    /// Gathers something from the read model, on a thread where that holds up nobody.
    ///
    /// # Errors
    /// As of [`WebState::read`].
    pub(crate) async fn gather<T: Send + 'static>(
        &self,
        from: impl FnOnce(&View<'_>) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (config, now) = (self.config(), self.now());
        self.read(move |store| {
            from(&View {
                config: &config,
                store: Some(store),
                now,
            })
        })
        .await
    }

    /// Returns what everybody may see, as it was within the last second.
    ///
    /// # Errors
    /// As of [`WebState::read`].
    pub(crate) async fn counts(&self) -> Result<Counts, ReadError> {
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method is one of a single lifetime"
        )]
        let made = self.gather(|view| view.counts());
        self.inner.counts.get(made).await
    }

    pub(super) fn scrapes(&self) -> &Scrapes {
        &self.inner.scrapes
    }

    pub(super) fn throttle(&self) -> &Throttle {
        &self.inner.throttle
    }
}

fn current(settings: &RwLock<Arc<Settings>>) -> Arc<Settings> {
    let settings = settings.read();
    settings.unwrap_or_else(PoisonError::into_inner).clone()
}
