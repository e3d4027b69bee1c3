//! The loop of the service: waits for an event, starts what is due, takes in what has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sd_notify::NotifyState;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::decide::{Agenda, BUSY_REST, Ended, Start};
use super::systemd::Manager;
use super::told::{How, Mood, Told};
use super::{LONGEST_SLEEP, MakeRun, ServiceOptions, reload};
use crate::config::Config;
use crate::model::without_addresses;
use crate::notify::{Notifier, Telling};
use crate::report::{LEFT, instant, no_schedule};
use crate::run::{Outcome, RunError, RunReport, Runner, RunnerOptions, SyncOptions};
use crate::signals::Asked;
use crate::state::{Guard, JobStatus, LockError, Locks, Store};
use crate::web::{Answer, Counters, Order, Web};

/// How long the service is silent at least, so that a busy one does not write at each event.
const BEAT: SignedDuration = SignedDuration::from_secs(10);

/// How long a message that is being delivered may hold up the end of the service.
const LAST_MESSAGES: Duration = Duration::from_secs(5);

/// What sets the runs of a schedule off.
const SCHEDULE: &str = "schedule";

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
        make_run,
        manager,
        longest_sleep,
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
    let mut service = Service::begin(config, store, runner, make_run, manager, web.counters())?;
    service.manager.tell(&[NotifyState::Ready]);
    service.tell_beginning();

    let mut wake = Instant::now();
    let mut prune = Instant::now();
    let watchdog = service.manager.watchdog_period();
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
                service.manager.tell(&[NotifyState::Watchdog]);
                feed = watchdog.map(|period| Instant::now() + period);
                continue;
            }
            Event::Prune => {
                service.prune();
                prune = Instant::now() + PRUNE_PERIOD;
            }
        }
        wake = Instant::now() + service.look().min(longest_sleep);
    }
    web.stopping();
    service.stop(&mut asked).await;
    web.stop().await;
    Ok(0)
}

/// A run that somebody asked for.
struct Ordered {
    /// The approval that goes with it.
    approve: Option<String>,
    /// When it is tried again, where the job or an account was in use.
    again: Option<Timestamp>,
}

struct Service {
    config: Arc<Config>,
    store: Arc<Store>,
    options: RunnerOptions,
    stop: CancellationToken,
    /// What makes the runs of the present config.
    runner: Runner,
    make_run: MakeRun,
    manager: Manager,
    agenda: Agenda,
    /// The jobs that a person has paused.
    paused: BTreeSet<String>,
    runs: JoinSet<Result<RunReport, RunError>>,
    names: BTreeMap<Id, String>,
    /// The jobs that somebody asked to run, until such a run was made.
    ordered: BTreeMap<String, Ordered>,
    told: Told,
    /// What is wrong with the config that was to be read again, while the old one stays.
    wrong_config: Option<String>,
    /// When the state database was last told that the service is alive, or was to be told.
    beat: Timestamp,
    /// Whether it could not be told.
    mute: bool,
    /// Whether it could not be asked.
    deaf: bool,
    /// What the metrics show of runs and accounts.
    counters: Arc<Counters>,
    notifier: Notifier,
    telling: Option<Telling>,
}

impl Service {
    fn begin(
        config: Config,
        store: Arc<Store>,
        options: RunnerOptions,
        make_run: MakeRun,
        manager: Manager,
        counters: Arc<Counters>,
    ) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let runner = Runner::new(config.clone(), store.clone(), options.clone());
        counters.watch(&runner);
        let notifier = Notifier::of_service(&runner);
        let now = (options.clock)();
        store.service_began(std::process::id(), now)?;
        let mut agenda = Agenda::default();
        let mut told = Told::default();
        for (name, job) in &config.jobs {
            let status = store.job_status(name)?;
            agenda.add(
                name,
                reload::timing(&config, job),
                status.last_fire,
                status.consecutive_failures,
                now,
            );
            told.remember(name, &status);
            if is_broken_off(&status) {
                agenda.go_on(name, now);
            }
            if status.last_fire.is_none() {
                // What fires from here on is missed where the service stops before that.
                store.note_fire(name, now)?;
            }
        }
        Ok(Service {
            config,
            paused: store.paused_jobs()?,
            store,
            stop: options.stop.clone(),
            options,
            runner,
            make_run,
            manager,
            agenda,
            runs: JoinSet::new(),
            names: BTreeMap::new(),
            ordered: BTreeMap::new(),
            told,
            wrong_config: None,
            beat: now,
            mute: false,
            deaf: false,
            counters,
            telling: Some(notifier.serve()),
            notifier,
        })
    }

    fn now(&self) -> Timestamp {
        (self.options.clock)()
    }

    fn tell_beginning(&mut self) {
        let next = self.first_words();
        tracing::info!(
            jobs = self.config.jobs.len(),
            next,
            "The service is running."
        );
        self.tell_what_is_left();
        self.warn_of_idleness();
    }

    /// Says which jobs this service leaves to others, where there are any.
    fn tell_what_is_left(&self) {
        let jobs = self.config.jobs.keys().map(String::as_str);
        let left: Vec<&str> = jobs.filter(|job| !self.config.daemon.runs(job)).collect();
        if !left.is_empty() {
            tracing::info!(jobs = left.join(", "), "Jobs are left to others.");
        }
    }

    /// Says that nothing will ever happen, where that is so, and what changes it.
    fn warn_of_idleness(&mut self) {
        if let Some(why) = self.idle() {
            tracing::warn!(why, "Nothing will ever fire.");
        }
    }

    /// Says why no job will start by itself; nothing where one will.
    fn idle(&mut self) -> Option<String> {
        let paused = &self.paused;
        if self.agenda.first(&|job| paused.contains(job)).is_some() {
            return None;
        }
        let jobs = self.config.jobs.values();
        let mut scheduled = jobs.filter(|job| job.schedule.is_some()).peekable();
        if scheduled.peek().is_some() {
            let why = if scheduled.any(|job| self.config.daemon.runs(&job.name)) {
                "every job that has a schedule is paused or disabled"
            } else {
                LEFT
            };
            return Some(why.to_owned());
        }
        let name = self.config.jobs.keys().next();
        Some(name.map_or_else(
            || "the config has no job".to_owned(),
            |name| no_schedule(name),
        ))
    }

    /// Starts what is due and returns how long to sleep.
    fn look(&mut self) -> Duration {
        let now = self.now();
        self.beat(now);
        if !self.hear_pauses(now) {
            // Whoever paused a job had a reason: a database that can't be asked starts nothing, and
            // what is missed meanwhile is made up for.
            return LONGEST_SLEEP;
        }
        self.hear_recoveries();
        let paused = &self.paused;
        let decision = self.agenda.look(now, &|name| paused.contains(name));
        for (job, skipped) in &decision.skipped {
            self.note_fire(job, now);
            let next = self.next_words(job);
            self.told.skips(job, *skipped, &next);
        }
        let ordered = self.try_ordered(now);
        for start in decision.start {
            self.start(&start, now);
        }
        for job in self.names.values() {
            let far = || self.store.under_way(job).ok().flatten();
            self.told.goes_on(job, now, far);
        }
        let status = self.status_words();
        self.manager.tell_status(status);
        let wake = decision.wake.into_iter().chain(ordered).min();
        wake.map_or(LONGEST_SLEEP, |wake| {
            Duration::try_from(wake.duration_since(now)).unwrap_or_default()
        })
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

    /// Asks which jobs are paused, and tells whether that could be asked.
    fn hear_pauses(&mut self, now: Timestamp) -> bool {
        let asked = self.store.paused_jobs();
        if let (Err(error), false) = (&asked, self.deaf) {
            tracing::error!(%error, "The state database can't tell which jobs are paused, so none is started.");
        }
        self.deaf = asked.is_err();
        let Ok(paused) = asked else { return false };
        let before = std::mem::replace(&mut self.paused, paused);
        for job in before.difference(&self.paused) {
            if self.config.jobs.contains_key(job) {
                // What fired in a pause is not missed, also where the service ends before its next
                // fire.
                self.note_fire(job, now);
            }
        }
        true
    }

    /// Has a job that failed be at its pace again where somebody ran it by hand since, and it went
    /// well.
    fn hear_recoveries(&mut self) {
        for job in self.config.jobs.keys() {
            let failures = self.agenda.failures(job);
            if failures == 0 || self.agenda.is_running(job) {
                continue;
            }
            if let Some(heard) = self.failures_since_start(job) {
                self.agenda.set_failures(job, heard);
            }
        }
    }

    /// Returns how often a job has failed in a row, where a run is remembered since its last start by
    /// the service.
    fn failures_since_start(&self, job: &str) -> Option<u32> {
        let status = self.store.job_status(job).ok()?;
        let since = self.agenda.since(job)?;
        (status.last_run?.started >= since).then_some(status.consecutive_failures)
    }

    fn note_fire(&self, job: &str, now: Timestamp) {
        if let Err(error) = self.store.note_fire(job, now) {
            // Without the note a restart may run the job once more, which changes nothing that is
            // done.
            tracing::warn!(job, %error, "The fire of a job could not be noted.");
        }
    }

    fn start(&mut self, start: &Start, now: Timestamp) {
        self.note_fire(&start.job, now);
        self.told.begins(start, self.agenda.failures(&start.job));
        let options = SyncOptions {
            approve: None,
            trigger: SCHEDULE,
            unless_paused: true,
        };
        self.spawn(start.job.clone(), options);
    }

    /// Runs a job that somebody asked for, paused or not, as one that is named by hand.
    fn obey(&mut self, order: Order) {
        let Order {
            job,
            approve,
            answer,
        } = order;
        let what = if self.agenda.begin(&job) {
            let again = None;
            self.ordered.insert(job.clone(), Ordered { approve, again });
            self.begin_ordered(&job);
            Answer::Begins
        } else if self.config.jobs.contains_key(&job) {
            Answer::Running
        } else {
            Answer::Unknown
        };
        // Whoever asked may have left; the run goes on all the same.
        answer.send(what).ok();
    }

    fn begin_ordered(&mut self, job: &str) {
        let Some(ordered) = self.ordered.get_mut(job) else {
            return;
        };
        ordered.again = None;
        let options = SyncOptions {
            approve: ordered.approve.clone(),
            trigger: "web",
            unless_paused: false,
        };
        self.told.begins_by_hand(job);
        self.spawn(job.to_owned(), options);
    }

    /// Tries again what somebody asked for and found the job or an account in use, with its approval.
    /// Returns when it is tried next.
    fn try_ordered(&mut self, now: Timestamp) -> Option<Timestamp> {
        let config = &self.config;
        self.ordered.retain(|job, _| config.jobs.contains_key(job));
        let due = |ordered: &Ordered| ordered.again.is_some_and(|again| again <= now);
        let jobs = self.ordered.iter().filter(|(_, ordered)| due(ordered));
        let jobs: Vec<String> = jobs.map(|(job, _)| job.clone()).collect();
        for job in jobs {
            if self.agenda.begin(&job) {
                self.begin_ordered(&job);
            } else if let Some(ordered) = self.ordered.get_mut(&job) {
                ordered.again = now.checked_add(BUSY_REST).ok();
            }
        }
        let waits = self.ordered.values();
        waits.filter_map(|ordered| ordered.again).min()
    }

    fn spawn(&mut self, job: String, options: SyncOptions) {
        let run = (self.make_run)(&self.runner, &job, options);
        let handle = self.runs.spawn(run);
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
        self.notifier.ended(&job, result.as_ref());
        let how = match result {
            Some(Ok(report)) => How::Report(Box::new(report)),
            Some(Err(error)) => How::Error(error),
            None => How::Defect,
        };
        // The run itself has been written down by the runner; this is what the schedule makes of
        // it. A run that could not be written down counts as well.
        let ended = match how.outcome() {
            Outcome::Done | Outcome::Partial => Ended::Through,
            Outcome::Refused => Ended::Refused,
            Outcome::Failed => Ended::Failed(
                self.failures_since_start(&job)
                    .unwrap_or_else(|| self.agenda.failures(&job) + 1)
                    .max(1),
            ),
            Outcome::Interrupted => Ended::Stopped,
            Outcome::Busy => Ended::Busy,
        };
        let now = self.now();
        // Runs of one job never overlap: while an order waits, what ends is another one.
        let ordered = self.ordered.get_mut(&job);
        let ended = match ordered.filter(|ordered| ordered.again.is_none()) {
            Some(ordered) if ended == Ended::Busy => {
                ordered.again = now.checked_add(BUSY_REST).ok();
                Ended::Stopped
            }
            Some(_) => {
                self.ordered.remove(&job);
                ended
            }
            None => ended,
        };
        self.agenda.ended(&job, ended, now);
        let next = self.next_words(&job);
        self.told
            .ended(&job, &how, self.agenda.failures(&job), &next);
    }

    /// Takes on a new config, or keeps the old one when the new one is wrong. Runs that are going
    /// on finish with the old one.
    fn reload(&mut self, read: &dyn Fn() -> Result<Config, String>, web: &mut Web) {
        self.manager.tell_reloading();
        let new = read().and_then(|new| {
            if new.state_path == self.config.state_path {
                Ok(new)
            } else {
                Err("it names another state database, which takes a restart".to_owned())
            }
        });
        let new = new.and_then(|new| {
            let listens = web.prepare(&new).map_err(|error| error.to_string())?;
            Ok((new, listens))
        });
        match new {
            Ok((new, listens)) => {
                self.take_on(new, |config| web.follow(config, listens));
            }
            Err(error) => {
                let error = masked(&error);
                tracing::error!(error, "The new config is wrong; the old one stays.");
                self.keep(Some(error));
            }
        }
        let status = self.status_words();
        self.manager.tell(&[NotifyState::Ready]);
        self.manager.tell_status(status);
    }

    /// `follow` has the status page do the same.
    fn take_on(&mut self, new: Config, follow: impl FnOnce(&Arc<Config>)) {
        let diff = reload::compare(&self.config, &new);
        let now = self.now();
        reload::follow(&mut self.agenda, &diff, &new, now);
        for job in diff.added.iter().chain(&diff.retimed) {
            self.note_fire(job, now);
        }
        self.told.retain(|job| new.jobs.contains_key(job));
        let (added, removed) = (diff.added.len(), diff.removed.len());
        let changed = diff.retimed.len() + diff.changed.len();
        self.config = Arc::new(new);
        follow(&self.config);
        // Secrets may have changed as well, and a new runner fetches them anew.
        self.runner = Runner::new(
            self.config.clone(),
            self.store.clone(),
            self.options.clone(),
        );
        self.counters.watch(&self.runner);
        self.notifier = Notifier::of_service(&self.runner);
        if let Some(old) = self.telling.replace(self.notifier.serve()) {
            old.leave();
        }
        let next = self.first_words();
        tracing::info!(added, removed, changed, next, "The config was read again.");
        self.keep(None);
        self.tell_what_is_left();
        self.warn_of_idleness();
    }

    /// Remembers what is wrong with the config that was to be read, for those who ask later.
    fn keep(&mut self, why: Option<String>) {
        if self.wrong_config != why
            && let Err(error) = self.store.service_keeps_config(why.as_deref())
        {
            tracing::warn!(%error, "The state database could not be told how the config was read.");
        }
        self.wrong_config = why;
    }

    fn prune(&self) {
        let Ok(before) = self.now().checked_sub(self.config.retention) else {
            return;
        };
        match self.store.prune(before) {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "Old history was deleted."),
            Err(error) => tracing::warn!(%error, "Old history could not be deleted."),
        }
    }

    /// Lets runs finish their request in flight, and drops them after the time of grace: the
    /// journal holds what was intended.
    async fn stop(&mut self, asked: &mut UnboundedReceiver<Asked>) {
        self.manager.tell(&[NotifyState::Stopping]);
        tracing::info!(running = self.runs.len(), "The service stops.");
        let end = Instant::now() + self.config.daemon.grace;
        if !self.runs.is_empty() {
            let until = format!(
                "Stopping: {} in flight, for {:?} at most",
                self.runs.len(),
                self.config.daemon.grace
            );
            self.manager.tell_status(until);
        }
        self.stop.cancel();
        let pulse = self.manager.watchdog_period().unwrap_or(LONGEST_SLEEP);
        while !self.runs.is_empty() {
            tokio::select! {
                Some(ended) = self.runs.join_next_with_id() => self.take_in(ended),
                () = sleep_until(end) => break,
                Some(asked) = asked.recv() => if asked == Asked::Stop { break },
                () = sleep(pulse) => {
                    self.beat(self.now());
                    self.manager.tell(&[NotifyState::Watchdog]);
                }
            }
        }
        if !self.runs.is_empty() {
            tracing::warn!(
                running = self.runs.len(),
                "Runs were dropped where they stood; the next ones find out how far they got."
            );
            self.runs.shutdown().await;
        }
        if let Some(telling) = self.telling.take() {
            telling.end(LAST_MESSAGES).await;
        }
        if let Err(error) = self.store.service_stopped(self.now()) {
            tracing::warn!(%error, "The state database could not be told that the service stopped.");
        }
        tracing::info!("The service has stopped.");
    }

    /// Says when a job starts next.
    fn next_words(&mut self, job: &str) -> String {
        if self.paused.contains(job) {
            return "when resumed".to_owned();
        }
        match self.agenda.next(job) {
            Some(next) => instant(next, &self.zone(job)),
            None => "never".to_owned(),
        }
    }

    /// Says which job starts first, and when.
    fn first_words(&mut self) -> String {
        let paused = &self.paused;
        let first = self.agenda.first(&|job| paused.contains(job));
        match first.map(|(job, at)| (job.to_owned(), at)) {
            Some((job, at)) => format!("{job} at {}", instant(at, &self.zone(&job))),
            None => "never".to_owned(),
        }
    }

    fn zone(&self, job: &str) -> TimeZone {
        let schedule = self
            .config
            .jobs
            .get(job)
            .and_then(|job| job.schedule.as_ref());
        schedule.map_or(TimeZone::UTC, |schedule| schedule.time_zone().clone())
    }

    /// Says in one line how the service fares.
    fn status_words(&mut self) -> String {
        let mut parts = Vec::new();
        if let Some(error) = &self.wrong_config {
            let first = error.lines().find(|line| !line.trim().is_empty());
            parts.push(format!(
                "the new config is wrong and the old one stays: {}",
                first.unwrap_or_default().trim()
            ));
        }
        let list = |jobs: Vec<&String>| {
            let names: Vec<&str> = jobs.iter().map(|job| job.as_str()).collect();
            names.join(", ")
        };
        let running: BTreeSet<&String> = self.names.values().collect();
        if !running.is_empty() {
            parts.push(format!("running: {}", list(running.into_iter().collect())));
        }
        for (mood, word) in [(Mood::Failing, "failing"), (Mood::Refused, "refused")] {
            let jobs = self.config.jobs.keys();
            let jobs: Vec<_> = jobs.filter(|job| self.told.mood(job) == mood).collect();
            if !jobs.is_empty() {
                parts.push(format!("{word}: {}", list(jobs)));
            }
        }
        parts.push(match self.idle() {
            Some(why) => format!("nothing will ever fire: {why}"),
            None => format!("next: {}", self.first_words()),
        });
        parts.join("; ")
    }
}

/// Tells whether the run of the last fire was killed or stopped. Its fire counts as taken, so that what it
/// had still to do would wait for the next one, a day where it is a nightly job.
fn is_broken_off(status: &JobStatus) -> bool {
    let run = status.last_run.as_ref();
    let run = run.filter(|run| run.trigger == SCHEDULE);
    run.is_some_and(|run| {
        matches!(run.outcome, None | Some(Outcome::Interrupted))
            && status.last_fire.is_some_and(|fire| run.started >= fire)
    })
}

/// Masks the addresses in what is said of a config, which may show a line of it. The names of schedules
/// begin with an `@` and are none.
fn masked(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace);
    words
        .map(|word| {
            let bare =
                word.trim_start_matches(|letter: char| !letter.is_alphanumeric() && letter != '@');
            if bare.starts_with('@') {
                word.to_owned()
            } else {
                without_addresses(word)
            }
        })
        .collect()
}
