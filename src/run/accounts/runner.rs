//! What runs jobs, and what it gets from outside.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::handle::Handle;
use super::heard::Heard;
use super::locks::AccountLocks;
use super::meter::Meter;
use crate::config::settled::{Config, JobConfig};
use crate::http::{Statistics, Transport};
use crate::model::{Gaps, Snapshot};
use crate::run::error::RunError;
use crate::run::prepare::Planned;
use crate::state::{Locks, Store};

/// Tells the time of day; given from outside so that tests can set it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Hears how far a run has come.
pub trait Progress: Send + Sync {
    /// A new stage has begun.
    fn stage(&self, job: &str, text: &str);
    /// What the stage that has begun is measured by.
    fn measure(&self, _job: &str, _meter: Meter) {}
    /// So many steps of a plan are done.
    fn advance(&self, _job: &str, _done: u64, _of: u64) {}
    /// A guard refused the plan of a run, which is recorded and waits for a person.
    fn refused(&self, _job: &str, _run: &str, _planned: &Planned) {}
    /// The run has ended.
    fn finish(&self, job: &str);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _job: &str, _text: &str) {}
    fn finish(&self, _job: &str) {}
}

/// What a [`Runner`] gets from outside.
#[derive(Clone)]
pub struct RunnerOptions {
    /// An in-process transport for the demo and for tests; the network otherwise.
    pub transport: Option<Transport>,
    /// Who hears of progress.
    pub progress: Arc<dyn Progress>,
    /// The time of day.
    pub clock: Clock,
    /// Asks runs to stop after the request in flight, and those that wait to give up.
    pub stop: CancellationToken,
    /// How long to wait for a job or an account that another process uses; without it a run ends at
    /// once with [`RunError::Busy`]. For other runs of this process it waits in any case.
    pub wait: Option<Duration>,
    /// The accounts that this process uses; all runners over one state database share them.
    pub account_locks: AccountLocks,
    /// What was not whole of the accounts that copies stand in for, by the provider's name: nothing
    /// read from a copy counts as more whole.
    pub gaps: Arc<BTreeMap<String, Gaps>>,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        RunnerOptions {
            transport: None,
            progress: Arc::new(Silent),
            clock: Arc::new(Timestamp::now),
            stop: CancellationToken::new(),
            wait: None,
            account_locks: AccountLocks::default(),
            gaps: Arc::default(),
        }
    }
}

/// Runs jobs of one config against one state database.
#[derive(Clone)]
pub struct Runner {
    pub(in crate::run) inner: Arc<Inner>,
}

pub(in crate::run) struct Inner {
    pub(in crate::run) config: Arc<Config>,
    pub(in crate::run) store: Arc<Store>,
    pub(in crate::run) options: RunnerOptions,
    /// How far the runs that go on have come, as they say themselves.
    pub(super) heard: Arc<Heard>,
    pub(super) locks: Locks,
    pub(super) handles: Mutex<HashMap<String, Arc<Handle>>>,
    pub(super) accounts: Mutex<HashMap<String, crate::http::Account>>,
    /// What of each account's requests stands in the state database, by account key.
    pub(super) counted: Mutex<HashMap<String, Statistics>>,
}

impl Runner {
    /// Makes a runner. Secrets are fetched and accounts set up when a job needs them.
    pub fn new(config: Arc<Config>, store: Arc<Store>, mut options: RunnerOptions) -> Runner {
        let locks = store.locks().clone();
        let heard = Arc::new(Heard::new(options.progress));
        options.progress = heard.clone();
        Runner {
            inner: Arc::new(Inner {
                config,
                store,
                options,
                heard,
                locks,
                handles: Mutex::default(),
                accounts: Mutex::default(),
                counted: Mutex::default(),
            }),
        }
    }

    /// Returns the config.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Returns the state database.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Returns the state database for whoever outlives the runner.
    pub fn shared_store(&self) -> Arc<Store> {
        self.inner.store.clone()
    }

    /// Returns what it got from outside.
    pub fn options(&self) -> &RunnerOptions {
        &self.inner.options
    }

    /// Returns the time of day.
    pub fn now(&self) -> Timestamp {
        (self.inner.options.clock)()
    }

    /// Returns what each account has been sent since it was set up, and how much longer it is left alone
    /// because it asked for patience; by the name of a provider that opens it.
    pub fn traffic(&self) -> BTreeMap<String, (Statistics, Duration)> {
        let accounts = self
            .inner
            .accounts
            .lock()
            .expect("nothing panics while it holds this lock");
        let each = accounts.values();
        each.map(|account| {
            let told = (account.statistics(), account.paused_for());
            (account.name().to_owned(), told)
        })
        .collect()
    }

    /// Tells whether a run is still going on with it, beside whoever asks.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.inner) > 1
    }

    /// Makes what was read from a copy of an account no more whole than the account itself was.
    pub(in crate::run) fn hold_to_gaps(&self, snapshot: &mut Snapshot) {
        if let Some(gaps) = self.inner.options.gaps.get(&snapshot.provider) {
            gaps.hold(snapshot);
        }
    }

    /// Finds a job.
    pub fn job(&self, name: &str) -> Result<&JobConfig, RunError> {
        self.inner
            .config
            .jobs
            .get(name)
            .ok_or_else(|| RunError::UnknownJob {
                name: name.to_owned(),
                hint: self
                    .inner
                    .config
                    .jobs
                    .keys()
                    .map(|known| (strsim::damerau_levenshtein(known, name), known))
                    .filter(|(distance, known)| *distance * 2 <= known.len().max(2))
                    .min()
                    .map(|(_, known)| known.clone()),
            })
    }
}
