//! Tells people once when a job turns bad, and once when it is well again.
//!
//! | module | does |
//! |---|---|
//! | [`decide`] | what is told, when it is tried again, and what is not worth telling any more; pure |
//! | `message` | what a message says; pure |
//! | `sign` | the signature of a webhook |
//! | `channel` | the ways: a webhook, a command, mail, and the ping |
//! | `command`, `email` | those of them that take more than a request |
//!
//! What there is to tell is written into the state database in the transaction that writes down how a
//! run ended, so that it is neither lost nor doubled by a kill, and so that the service tells of the
//! runs that somebody made by hand. It is delivered beside the runs, each channel for itself: a dead
//! receiver is in nobody's way. Whoever delivers a message takes it for himself first; one whose
//! answer was lost comes again under the same id.

mod channel;
mod command;
pub mod decide;
mod email;
mod message;
mod sign;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use channel::{ChannelName, problems};
pub use message::{Letter, TEST, kind, letter, test_letter};

use crate::config::Config;
use crate::run::{Clock, Outcome, RunError, RunReport, Runner};
use crate::state::{Attempt, ChannelRecord, Delivery, NextDelivery, Store};
use channel::{Channel, Failure};

/// How long one attempt of the service may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one attempt at the end of a command may take: a person may be waiting for it.
const SHORT_PATIENCE: Duration = Duration::from_secs(8);

/// How long a command waits for all its messages together.
const LAST_BOUND: Duration = Duration::from_secs(10);

/// How often the service looks for what others wrote into the database.
const LOOK: Duration = Duration::from_secs(15);

/// How long the ping waits after each failed attempt but the last.
const PING_AGAIN: [Duration; 2] = [Duration::from_secs(10), Duration::from_mins(1)];

/// Tells what the state database has to tell, by the channels of a config.
#[derive(Clone)]
pub struct Notifier {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    clock: Clock,
    host: String,
    channels: Vec<Channel>,
    alive: Option<Channel>,
    /// Rung when there may be something to tell.
    bell: watch::Sender<()>,
    /// Rung when a run went well.
    went_well: Notify,
    /// Whether a run went well that the ping was not sent for.
    owes_ping: AtomicBool,
    /// Whether the last ping failed.
    is_ping_lost: AtomicBool,
}

/// What happened to a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// The channel.
    pub channel: ChannelName,
    /// Where it leads, as far as that is no secret.
    pub place: String,
    /// What the receiver said, or why the test did not arrive.
    pub result: Result<String, String>,
}

impl Notifier {
    /// Makes the one of a service: from here on people are told by the channels of its config, and by no
    /// other ones.
    pub fn of_service(runner: &Runner) -> Notifier {
        let notifier = Notifier::new(runner);
        let names = notifier.names();
        notifier.know(|store| store.set_channels(&names));
        notifier
    }

    /// Makes the one of a command, which takes no channel from a service beside it.
    pub fn of_command(runner: &Runner) -> Notifier {
        let notifier = Notifier::new(runner);
        let names = notifier.names();
        notifier.know(|store| store.add_channels(&names));
        notifier
    }

    fn new(runner: &Runner) -> Notifier {
        let options = runner.options();
        let host = host();
        let (alive, channels): (Vec<Channel>, Vec<Channel>) =
            channel::channels(runner.config(), options.transport.clone(), &host)
                .into_iter()
                .partition(|channel| channel.name == ChannelName::Alive);
        Notifier {
            inner: Arc::new(Inner {
                store: runner.shared_store(),
                clock: options.clock.clone(),
                host,
                channels,
                alive: alive.into_iter().next(),
                bell: watch::Sender::new(()),
                went_well: Notify::new(),
                owes_ping: AtomicBool::new(false),
                is_ping_lost: AtomicBool::new(false),
            }),
        }
    }

    fn names(&self) -> Vec<&'static str> {
        let channels = self.inner.channels.iter();
        channels.map(|channel| channel.name.as_str()).collect()
    }

    fn know(&self, take: impl FnOnce(&Store) -> Result<(), crate::state::StateError>) {
        if let Err(error) = take(&self.inner.store) {
            tracing::warn!(%error, "The state database could not take down whom to tell, so that a change of `[notify]` has no effect yet.");
        }
    }

    /// Takes in how a run of a job ended; nothing where it broke off because of a defect. A run that
    /// was written down has brought its message along already.
    pub fn ended(&self, job: &str, result: Option<&Result<RunReport, RunError>>) {
        let inner = &self.inner;
        let why = match result {
            Some(Ok(report)) => {
                if matches!(report.outcome, Outcome::Done | Outcome::Partial) {
                    inner.owes_ping.store(true, Ordering::Relaxed);
                    inner.went_well.notify_one();
                }
                None
            }
            // Nothing is known of the job by these.
            Some(Err(
                RunError::Stopped
                | RunError::Busy(_)
                | RunError::UnknownJob { .. }
                | RunError::PlanMoved(_)
                | RunError::Approval(_)
                | RunError::Declined,
            )) => None,
            Some(Err(error)) => Some(error.to_string()),
            None => Some("the run broke off because of a defect in rosterd".to_owned()),
        };
        if let Some(why) = why
            && let Err(error) = inner.store.note_breakdown(job, &why, inner.now())
        {
            tracing::warn!(job, %error, "That a run failed could not be written down for whoever is to be told.");
        }
        inner.bell.send_replace(());
    }

    /// Tells people from here on, beside whatever else goes on.
    pub fn serve(&self) -> Telling {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for index in 0..self.inner.channels.len() {
            let (inner, stop) = (self.inner.clone(), stop.clone());
            tasks.spawn(async move { inner.tell_always(index, &stop).await });
        }
        if self.inner.alive.is_some() {
            let (inner, stop) = (self.inner.clone(), stop.clone());
            tasks.spawn(async move { inner.ping_always(&stop).await });
        }
        Telling { stop, tasks }
    }

    /// Tells what is to be told now, at the end of a command, within a short time. What could not be
    /// told then is left to the service, or to the next command.
    pub async fn finish(&self) {
        let inner = &self.inner;
        let telling = inner.channels.iter().map(|channel| async move {
            inner
                .tell_due(channel, SHORT_PATIENCE, true, &CancellationToken::new())
                .await;
        });
        let all = futures_util::future::join_all(telling);
        let ping = async {
            if inner.owes_ping.swap(false, Ordering::Relaxed) {
                inner.ping(SHORT_PATIENCE).await;
            }
        };
        drop(timeout(LAST_BOUND, async { tokio::join!(all, ping) }).await);
    }
}

/// Sends a test by every channel of a config, or by one of them, and says what happened to each.
pub async fn test(config: &Config, only: Option<ChannelName>, now: Timestamp) -> Vec<Tested> {
    let host = host();
    let channels = channel::channels(config, None, &host).into_iter();
    let channels = channels.filter(|channel| only.is_none_or(|only| only == channel.name));
    let testing = channels.map(|channel| {
        let print =
            blake3::hash(format!("test {} {}", channel.name, now.as_nanosecond()).as_bytes());
        let uid = format!("msg_{}", &print.to_hex()[..24]);
        let letter = test_letter(&uid, &host, now);
        async move {
            let result = channel.tell(&letter, now, PATIENCE).await;
            Tested {
                channel: channel.name,
                place: channel.place(),
                result: result.map_err(|failure| failure.why),
            }
        }
    });
    futures_util::future::join_all(testing).await
}

/// The tasks that tell people.
pub struct Telling {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Telling {
    /// Has the tasks end with what they are just telling, and does not wait for them.
    pub fn leave(mut self) {
        self.stop.cancel();
        self.tasks.detach_all();
    }

    /// Has the tasks end with what they are just telling, and waits for them so long.
    pub async fn end(mut self, bound: Duration) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        drop(timeout(bound, all).await);
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    async fn tell_always(&self, index: usize, stop: &CancellationToken) {
        let channel = &self.channels[index];
        let mut bell = self.bell.subscribe();
        loop {
            bell.mark_unchanged();
            let wait = self.tell_due(channel, PATIENCE, false, stop).await;
            tokio::select! {
                () = stop.cancelled() => return,
                // The sender lives as long as this does.
                _ = bell.changed() => {}
                () = sleep(wait.unwrap_or(LOOK).min(LOOK)) => {}
            }
        }
    }

    /// Tells what is due by a channel, and returns how long there is nothing more to do.
    async fn tell_due(
        &self,
        channel: &Channel,
        patience: Duration,
        ends_at_failure: bool,
        stop: &CancellationToken,
    ) -> Option<Duration> {
        while !stop.is_cancelled() {
            let now = self.now();
            match self.store.next_delivery(channel.name.as_str(), now) {
                Ok(NextDelivery::Tell(delivery)) => {
                    let is_told = self.attempt(channel, &delivery, patience).await;
                    if ends_at_failure && !is_told {
                        return None;
                    }
                }
                Ok(NextDelivery::Wait(until)) => {
                    let wait = until?.duration_since(now);
                    return Some(Duration::try_from(wait).unwrap_or_default());
                }
                Err(error) => {
                    tracing::debug!(%channel.name, %error, "The state database can't say what is to be told.");
                    return None;
                }
            }
        }
        None
    }

    /// Tries once to tell something; tells whether the receiver has it.
    async fn attempt(&self, channel: &Channel, delivery: &Delivery, patience: Duration) -> bool {
        let letter = letter(delivery, &self.host);
        let result = channel.tell(&letter, self.now(), patience).await;
        let now = self.now();
        let attempt = match &result {
            Ok(_) => Attempt::Told,
            Err(failure) => after_failure(failure, delivery.attempts + 1, now),
        };
        let name = channel.name.as_str();
        match self.store.settle_delivery(name, delivery.id, &attempt, now) {
            Ok(before) => tell_log(name, delivery, &attempt, before.as_ref()),
            Err(error) => {
                tracing::warn!(channel = name, %error, "Whether a message was delivered could not be written down, so that it may come again.");
            }
        }
        result.is_ok()
    }

    async fn ping_always(&self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.went_well.notified() => {}
            }
            self.owes_ping.store(false, Ordering::Relaxed);
            let mut again = PING_AGAIN.into_iter();
            while !self.ping(PATIENCE).await {
                let Some(wait) = again.next() else { break };
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(wait) => {}
                }
            }
        }
    }

    /// Says once that a run went well; tells whether the receiver heard it.
    async fn ping(&self, patience: Duration) -> bool {
        let Some(alive) = &self.alive else {
            return true;
        };
        let now = self.now();
        let letter = test_letter("", &self.host, now);
        let result = alive.tell(&letter, now, patience).await;
        let was_lost = self.is_ping_lost.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Ok(_) if was_lost => tracing::info!("The address of `notify.alive` answers again."),
            Ok(_) => {}
            Err(failure) if was_lost => tracing::debug!(why = failure.why, "The ping failed."),
            Err(failure) => {
                tracing::warn!(
                    why = failure.why,
                    "`notify.alive` could not be told of a good run."
                );
            }
        }
        result.is_ok()
    }
}

/// Decides what follows a failed attempt.
fn after_failure(failure: &Failure, attempts: u32, now: Timestamp) -> Attempt {
    let why = failure.why.clone();
    let wait = decide::wait_after(attempts, failure.retry_after).filter(|_| !failure.is_final);
    let then = wait
        .and_then(|wait| SignedDuration::try_from(wait).ok())
        .and_then(|wait| now.checked_add(wait).ok());
    match then {
        Some(at) => Attempt::Again { why, at },
        None => Attempt::GivenUp { why },
    }
}

/// Logs when a channel begins to fail, when it is well again, and what is given up; nothing else.
fn tell_log(channel: &str, delivery: &Delivery, attempt: &Attempt, before: Option<&ChannelRecord>) {
    let was_failing = before.is_some_and(|before| before.failing_since.is_some());
    let job = delivery.notice.job.as_str();
    let about = delivery.notice.state.as_str();
    match attempt {
        Attempt::Told if was_failing => {
            tracing::info!(channel, job, about, "Messages are delivered again.");
        }
        Attempt::Told => tracing::info!(channel, job, about, "A message was delivered."),
        Attempt::Again { why, at } if was_failing => {
            tracing::debug!(channel, job, about, why, %at, "A message could not be delivered.");
        }
        Attempt::Again { why, .. } => tracing::warn!(
            channel,
            job,
            about,
            why,
            "A message could not be delivered; it is tried again."
        ),
        Attempt::GivenUp { why } => tracing::error!(
            channel,
            job,
            about,
            why,
            attempts = delivery.attempts + 1,
            "A message was given up; `rosterd notify --test` tries the channel."
        ),
    }
}

/// Returns the name of this machine.
fn host() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
