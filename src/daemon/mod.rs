//! The service: every job on its schedule, until it is asked to stop.
//!
//! | module | does |
//! |---|---|
//! | `decide` | what to start now and when to look again; pure |
//! | `reload` | what a new config means for a running service; pure |
//! | `service` | the loop that waits, starts runs and takes in how they ended |
//! | `told` | what the log says of the jobs |
//! | `systemd` | readiness, reloading, stopping and the watchdog |
//!
//! One service per state database (rule 8). Jobs run in parallel and share the accounts of one
//! runner, each of which has one pace for all of them. Whatever wakes the service is a variant of
//! one closed enum.

mod decide;
mod reload;
mod service;
mod systemd;
#[cfg(test)]
mod tests;
mod told;
#[cfg(test)]
mod year;

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::config::{self, Config};
use crate::run::{RunError, RunReport, Runner, RunnerOptions, SyncOptions};
use crate::signals::Signals;

/// Makes one run of a job.
type MakeRun = Box<
    dyn Fn(&Runner, &str, SyncOptions) -> BoxFuture<'static, Result<RunReport, RunError>> + Send,
>;

/// The longest sleep: jobs are paused, and clocks are set, without an event that says so.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);

/// Everything the service gets from outside.
struct ServiceOptions {
    /// The config to begin with.
    config: Config,
    /// Reads the config again; what is wrong with it comes back as text.
    reload: Box<dyn Fn() -> Result<Config, String> + Send>,
    /// The clock, and how runs are asked to stop.
    runner: RunnerOptions,
    /// Makes the runs.
    make_run: MakeRun,
    /// Who wants to hear that the service is ready, and that it lives.
    manager: systemd::Manager,
    /// How long the loop sleeps at most.
    longest_sleep: Duration,
    /// What signals ask for.
    asked: mpsc::UnboundedReceiver<crate::signals::Asked>,
}

/// Runs every enabled job on its schedule until SIGTERM or SIGINT, and returns the exit code: 0
/// after a stop that was asked for, 5 when another service has the state database.
///
/// `state` is a state database that takes precedence over the config's, also when SIGHUP makes the
/// service read its config again.
///
/// # Errors
/// A state database that can't be opened, and signals that can't be listened for.
pub async fn run(mut config: Config, state: Option<PathBuf>) -> anyhow::Result<u8> {
    let mut signals = Signals::listen()?;
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move { while tell.send(signals.next().await).is_ok() {} });
    let path = config.path.clone();
    let with_state = move |mut config: Config| {
        if let Some(state) = &state {
            config.state_path.clone_from(state);
        }
        config
    };
    config = with_state(config);
    let reload = Box::new(move || {
        config::load(&path)
            .map(|(config, _)| with_state(config))
            .map_err(|error| error.to_string())
    });
    service::serve(ServiceOptions {
        config,
        reload,
        runner: RunnerOptions::default(),
        make_run: as_sync(),
        manager: systemd::Manager::from_environment(),
        longest_sleep: LONGEST_SLEEP,
        asked,
    })
    .await
}

/// Makes runs as `sync` does.
fn as_sync() -> MakeRun {
    Box::new(|runner, job, options| {
        let (runner, job) = (runner.clone(), job.to_owned());
        Box::pin(async move { runner.sync(&job, options).await })
    })
}
