//! The loop of the service: waits for an event, starts what is due, takes in what has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sd_notify::NotifyState;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::decide::{Agenda, Ended, Start};
use super::{ServiceOptions, reload, systemd};
use crate::config::Config;
use crate::model::without_addresses;
use crate::report::opt_outs_wait;
use crate::run::{Outcome, RunError, RunReport, Runner, RunnerOptions, SyncOptions};
use crate::signals::Asked;
use crate::state::{Guard, LockError, Locks, Store};
use crate::web::{Answer, Counters, Order, Web};

/// The longest sleep: jobs are paused, and clocks are set, without an event that says so.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);

/// How long the service is silent at least, so that a busy one does not write at each event.
const BEAT: SignedDuration = SignedDuration::from_secs(10);

/// How often old history is deleted.
const PRUNE_PERIOD: Duration = Duration::from_hours(24);

/// A run that has ended: which one, and how; or that it broke off.
type RunEnded = Result<(Id, Result<RunReport, RunError>), JoinError>;

/// Everything that can wake the service.
enum Event {
    /// Something may be due.
    Look,
    /// A run has ended, well or not.
    Ended(Box<RunEnded>),
    /// A signal.
    Asked(Asked),
    /// A run that somebody asked for at the status page or the API.
    Ordered(Order),
    /// systemd wants to hear something.
    Watchdog,
    /// Old history is to be deleted.
    Prune,
}

/// Serves until it is asked to stop; see [`super::run`].
pub(super) async fn serve(options: ServiceOptions) -> anyhow::Result<u8> {
    let ServiceOptions {
        config,
        reload,
        mut runner,
        mut asked,
    } = options;
    let locks = Locks::new(&config.state_path);
    let _lock: Guard = match locks.lock_service() {
        Ok(guard) => guard,
        Err(error @ LockError::Busy { .. }) => {
            tracing::error!(%error, "Another service has this state database.");
            return Ok(RunError::Busy(error.to_string()).exit_code());
        }
        Err(error) => return Err(error.into()),
    };
    let store = Arc::new(Store::open(&config.state_path, (runner.clock)())?);
    // An address that is taken is found out before anything runs.
    let mut web = Web::start(&Arc::new(config.clone()), store.clone(), &mut runner)?;
    let mut service = Service::begin(config, store, runner, web.counters())?;
    systemd::tell(NotifyState::Ready);
    tracing::info!(jobs = service.config.jobs.len(), "The service is running.");

    let mut wake = Instant::now();
    let mut prune = Instant::now();
    let watchdog = systemd::watchdog_period();
    let mut feed = watchdog.map(|period| Instant::now() + period);
    loop {
        web.beat();
        let event = tokio::select! {
            Some(asked) = asked.recv() => Event::Asked(asked),
            order = web.next_order() => Event::Ordered(order),
            Some(ended) = service.runs.join_next_with_id() => Event::Ended(Box::new(ended)),
            () = sleep_until(prune) => Event::Prune,
            () = sleep_until(feed.unwrap_or(wake)), if feed.is_some() => Event::Watchdog,
            () = sleep_until(wake) => Event::Look,
        };
        match event {
            Event::Look => {}
            Event::Ended(ended) => service.take_in(*ended),
            Event::Asked(Asked::Stop) => break,
            Event::Asked(Asked::Reload) => service.reload(&*reload, &mut web),
            Event::Ordered(order) => service.obey(order),
            Event::Watchdog => {
                systemd::tell(NotifyState::Watchdog);
                feed = watchdog.map(|period| Instant::now() + period);
                continue;
            }
            Event::Prune => {
                service.prune();
                prune = Instant::now() + PRUNE_PERIOD;
            }
        }
        wake = Instant::now() + service.look();
    }
    web.stopping();
    service.stop(&mut asked).await;
    web.stop().await;
    Ok(0)
}

/// How a job's last run ended, for saying what changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Well,
    Refused,
    Failing,
}

struct Service {
    config: Arc<Config>,
    store: Arc<Store>,
    runner: Runner,
    options: RunnerOptions,
    stop: CancellationToken,
    agenda: Agenda,
    runs: JoinSet<Result<RunReport, RunError>>,
    names: BTreeMap<Id, String>,
    moods: BTreeMap<String, Mood>,
    /// When the state database was last told that the service is alive, or was to be told.
    beat: Timestamp,
    /// Whether it could not be told.
    mute: bool,
    /// What the metrics show of runs and accounts.
    counters: Arc<Counters>,
}

impl Service {
    fn begin(
        config: Config,
        store: Arc<Store>,
        options: RunnerOptions,
        counters: Arc<Counters>,
    ) -> anyhow::Result<Self> {
        let stop = options.stop.clone();
        let config = Arc::new(config);
        let runner = Runner::new(config.clone(), store.clone(), options.clone());
        counters.watch(&runner);
        let now = (options.clock)();
        store.service_began(std::process::id(), now)?;
        let mut agenda = Agenda::default();
        for (name, job) in &config.jobs {
            let status = store.job_status(name)?;
            agenda.add(
                name,
                reload::timing(job),
                status.last_fire,
                status.consecutive_failures,
                now,
            );
        }
        let (runs, names, moods) = (JoinSet::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Service {
            config,
            store,
            runner,
            options,
            stop,
            agenda,
            runs,
            names,
            moods,
            beat: now,
            mute: false,
            counters,
        })
    }

    fn now(&self) -> Timestamp {
        (self.options.clock)()
    }

    /// Starts what is due and returns how long to sleep.
    fn look(&mut self) -> Duration {
        let now = self.now();
        self.beat(now);
        let paused: BTreeSet<&str> = self
            .config
            .jobs
            .keys()
            .map(String::as_str)
            .filter(|name| is_paused(&self.store, name))
            .collect();
        let decision = self.agenda.look(now, &|name| paused.contains(name));
        for (job, skipped) in &decision.skipped {
            tracing::warn!(
                job,
                skipped,
                "The last run is still going on, so this one is skipped."
            );
        }
        for start in decision.start {
            self.start(start, now);
        }
        let wait = decision
            .wake
            .map(|wake| Duration::try_from(wake.duration_since(now)).unwrap_or_default());
        wait.map_or(LONGEST_SLEEP, |wait| wait.min(LONGEST_SLEEP))
    }

    /// Has the state database know that the service is alive, for whoever asks there.
    fn beat(&mut self, now: Timestamp) {
        if now.duration_since(self.beat).abs() < BEAT {
            return;
        }
        self.beat = now;
        let told = self.store.service_beats(now);
        if let (Err(error), false) = (&told, self.mute) {
            tracing::warn!(%error, "The state database could not be told that the service is alive, so that `rosterd status` may say that it is not.");
        }
        self.mute = told.is_err();
    }

    fn start(&mut self, start: Start, now: Timestamp) {
        let Start { job, catches_up } = start;
        if let Err(error) = self.store.note_fire(&job, now) {
            // Without the note a restart may run the job once more, which changes nothing that is
            // done.
            tracing::warn!(job, %error, "The start of a run could not be noted.");
        }
        tracing::info!(job, catches_up, "A run begins.");
        let options = SyncOptions {
            approve: None,
            trigger: "schedule",
            unless_paused: true,
        };
        self.spawn(job, options);
    }

    /// Runs a job that somebody asked for, paused or not, as one that is named by hand.
    fn obey(&mut self, order: Order) {
        let Order {
            job,
            approve,
            answer,
        } = order;
        let what = if self.agenda.begin(&job) {
            tracing::info!(job, "A run begins that was asked for.");
            let options = SyncOptions {
                approve,
                trigger: "web",
                unless_paused: false,
            };
            self.spawn(job, options);
            Answer::Begins
        } else if self.config.jobs.contains_key(&job) {
            Answer::Running
        } else {
            Answer::Unknown
        };
        // Whoever asked may have left; the run goes on all the same.
        answer.send(what).ok();
    }

    fn spawn(&mut self, job: String, options: SyncOptions) {
        let (runner, name) = (self.runner.clone(), job.clone());
        let handle = self
            .runs
            .spawn(async move { runner.sync(&name, options).await });
        self.names.insert(handle.id(), job);
    }

    fn take_in(&mut self, ended: RunEnded) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, Some(result)),
            Err(error) => (error.id(), None),
        };
        let Some(job) = self.names.remove(&id) else {
            return;
        };
        self.counters.count(&job, result.as_ref());
        // The run itself has been written down by the runner; this is what the schedule makes of
        // it.
        let failures = self
            .store
            .job_status(&job)
            .map_or(1, |status| status.consecutive_failures.max(1));
        let (how, why) = match result {
            Some(Ok(report)) => (judge(report.outcome, failures), tell_report(&job, &report)),
            Some(Err(RunError::Stopped)) => (Ended::Stopped, None),
            Some(Err(RunError::Busy(why))) => (Ended::Busy, Some(why)),
            Some(Err(error)) => (Ended::Failed(failures), Some(error.to_string())),
            None => (
                Ended::Failed(failures),
                Some("the run broke off because of a defect in rosterd".to_owned()),
            ),
        };
        self.tell_change(&job, how, why.as_deref());
        let now = self.now();
        self.agenda.ended(&job, how, now);
    }

    /// Logs what an operator has to know: that a job fails or is refused, and that it is well
    /// again.
    fn tell_change(&mut self, job: &str, how: Ended, why: Option<&str>) {
        let mood = self.moods.entry(job.to_owned()).or_default();
        let error = without_addresses(why.unwrap_or_default());
        match how {
            Ended::Through if *mood != Mood::Well => tracing::info!(job, "The job is well again."),
            Ended::Through | Ended::Stopped => {}
            Ended::Refused => {
                let waiting = why.map_or_else(|| "A".to_owned(), |why| format!("{why}: a"));
                tracing::warn!(
                    job,
                    "{waiting} guard refused the plan, so nothing was written; the job looks again at each fire and waits for an approval or for the cause to go."
                );
            }
            Ended::Failed(failures) => tracing::error!(
                job,
                failures,
                error,
                "A run failed; the job slows down until one succeeds."
            ),
            Ended::Busy => tracing::warn!(
                job,
                error,
                "The job or an account is in use, so the run is tried again in a minute."
            ),
        }
        match how {
            Ended::Through => *mood = Mood::Well,
            Ended::Refused => *mood = Mood::Refused,
            Ended::Failed(_) => *mood = Mood::Failing,
            Ended::Busy | Ended::Stopped => {}
        }
    }

    /// Takes on a new config, or keeps the old one when the new one is wrong. Runs that are going
    /// on finish with the old one.
    fn reload(&mut self, read: &dyn Fn() -> Result<Config, String>, web: &mut Web) {
        let new = match read() {
            Ok(new) if new.state_path != self.config.state_path => {
                tracing::error!(
                    "The new config names another state database, which takes a restart; the old config stays."
                );
                return;
            }
            Ok(new) => new,
            Err(error) => {
                tracing::error!(error, "The new config is wrong; the old one stays.");
                return;
            }
        };
        let listens = match web.prepare(&new) {
            Ok(listens) => listens,
            Err(error) => {
                tracing::error!(%error, "The new config can't be followed; the old one stays.");
                return;
            }
        };
        let diff = reload::compare(&self.config, &new);
        let now = self.now();
        reload::follow(&mut self.agenda, &diff, &new, now);
        self.moods.retain(|job, _| new.jobs.contains_key(job));
        let (added, removed) = (diff.added.len(), diff.removed.len());
        let changed = diff.retimed.len() + diff.changed.len();
        self.config = Arc::new(new);
        web.follow(&self.config, listens);
        // Secrets may have changed as well, and a new runner fetches them anew.
        self.runner = Runner::new(
            self.config.clone(),
            self.store.clone(),
            self.options.clone(),
        );
        self.counters.watch(&self.runner);
        tracing::info!(added, removed, changed, "The config was read again.");
    }

    fn prune(&self) {
        let Ok(before) = self.now().checked_sub(self.config.retention) else {
            return;
        };
        match self.store.prune(before) {
            Ok(rows) => tracing::info!(rows, "Old history was deleted."),
            Err(error) => tracing::warn!(%error, "Old history could not be deleted."),
        }
    }

    /// Lets runs finish their request in flight, and drops them after the time of grace: the
    /// journal holds what was intended.
    async fn stop(&mut self, asked: &mut tokio::sync::mpsc::UnboundedReceiver<Asked>) {
        systemd::tell(NotifyState::Stopping);
        tracing::info!(running = self.runs.len(), "The service stops.");
        self.stop.cancel();
        let end = Instant::now() + self.config.daemon.grace;
        while !self.runs.is_empty() {
            tokio::select! {
                Some(ended) = self.runs.join_next_with_id() => self.take_in(ended),
                () = sleep_until(end) => break,
                Some(Asked::Stop) = asked.recv() => break,
                () = sleep(LONGEST_SLEEP) => self.beat(self.now()),
            }
        }
        if !self.runs.is_empty() {
            tracing::warn!(
                running = self.runs.len(),
                "Runs were dropped where they stood; the next ones find out how far they got."
            );
            self.runs.shutdown().await;
        }
        if let Err(error) = self.store.service_stopped(self.now()) {
            tracing::warn!(%error, "The state database could not be told that the service stopped.");
        }
        tracing::info!("The service has stopped.");
    }
}

/// Logs what a run did, in counts, and returns why it did not go through; of a refusal how many
/// opt-outs wait behind it.
fn tell_report(job: &str, report: &RunReport) -> Option<String> {
    let summary = &report.summary;
    tracing::info!(
        job,
        run = report.run,
        outcome = report.outcome.as_str(),
        memberships_added = summary.memberships_added,
        memberships_removed = summary.memberships_removed,
        members_created = summary.members_created,
        opt_outs = summary.opt_outs,
        withheld = report.withheld,
        blocked = report.blocked.len(),
        failures = report.failures.len(),
        requests = report.requests.values().sum::<u64>(),
        "A run has ended."
    );
    if report.outcome == Outcome::Refused {
        return opt_outs_wait(report.waiting_opt_outs);
    }
    report.error.clone()
}

fn judge(outcome: Outcome, failures: u32) -> Ended {
    match outcome {
        Outcome::Done | Outcome::Partial => Ended::Through,
        Outcome::Refused => Ended::Refused,
        Outcome::Failed => Ended::Failed(failures),
        Outcome::Interrupted => Ended::Stopped,
        Outcome::Busy => Ended::Busy,
    }
}

/// A database that can't be asked starts nothing: whoever paused a job had a reason.
fn is_paused(store: &Store, job: &str) -> bool {
    store.paused(job).map_or_else(
        |error| {
            tracing::error!(job, %error, "The state database can't tell whether the job is paused, so it is not started.");
            true
        },
        |paused| paused.is_some(),
    )
}
