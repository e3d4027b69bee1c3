//! What commands share: the options before the command, the config, the state database and the
//! runner.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::MultiProgress;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::GlobalArgs;
use super::error::CommandError;
use super::interrupt::Interrupt;
use super::logging::LogFormat;
use super::output::tell;
use super::progress::{Shown, progress};
use crate::config::settled::{JobConfig, ProviderConfig};
use crate::config::{self, Config};
use crate::program::ROSTERD;
use crate::report::quoted;
use crate::run::{MeantGroup, NamedGroup, RunError, Runner, RunnerOptions};
use crate::state::{RunRecord, Store};

/// The surroundings of a command.
pub(super) struct Context {
    pub(super) global: GlobalArgs,
    pub(super) bars: MultiProgress,
    /// Whether the command stays up and tells of itself in its log.
    pub(super) is_service: bool,
    /// What signals have asked for.
    pub(super) interrupt: Interrupt,
}

impl Context {
    /// Returns the time of day.
    pub(super) fn now() -> Timestamp {
        Timestamp::now()
    }

    /// Returns the zone in which times are shown that belong to no schedule.
    pub(super) fn zone() -> TimeZone {
        TimeZone::system()
    }

    /// Tells whether everything is to be shown.
    pub(super) fn verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// Returns the path of the config.
    pub(super) fn config_path(&self) -> &Path {
        &self.global.config
    }

    /// Loads the config, with `--state` applied; its warnings go to standard error.
    pub(super) fn config(&self) -> Result<Config, CommandError> {
        let (config, warnings) = config::load(self.config_path())?;
        if !self.global.quiet {
            for warning in &warnings {
                tell(|out| writeln!(out, "{}", warning.render(true)));
            }
        }
        Ok(self.with_state(config))
    }

    /// Loads the config with the jobs of pairs of providers that migrations made, where the config names no
    /// job.
    pub(super) fn config_with_job(&self) -> Result<Config, CommandError> {
        let mut config = self.config()?;
        if !config.jobs.is_empty() {
            return Ok(config);
        }
        let Some(store) = Context::existing_store(&config)? else {
            return Ok(config);
        };
        for job in store.job_names()? {
            let Some((from, to)) = config::implicit_pair(&config, &job) else {
                continue;
            };
            // Those of pairs that the config does not know any more, or that can't be made, are no jobs.
            if let Ok(made) = config::implicit_job(&config, from, to) {
                config.jobs.insert(job, made);
            }
        }
        Ok(config)
    }

    /// Loads the config with the job that was named, which may be the one of a pair of providers, or as
    /// [`Context::config_with_job`] does where none was.
    pub(super) fn config_with(&self, job: Option<&str>) -> Result<Config, CommandError> {
        let mut config = self.config_with_job()?;
        if let Some(job) = job {
            know_job(&mut config, job)?;
        }
        Ok(config)
    }

    /// Applies `--state`.
    pub(super) fn with_state(&self, mut config: Config) -> Config {
        if let Some(path) = &self.global.state {
            config.state_path.clone_from(path);
        }
        config
    }

    /// Returns where the state database is; the config need not be sound, nor be there, where
    /// `--state` says it.
    pub(super) fn state_path(&self) -> Result<PathBuf, CommandError> {
        match &self.global.state {
            Some(path) => Ok(path.clone()),
            None => Ok(self.config()?.state_path),
        }
    }

    /// Opens the state database for writing, making it where there is none.
    pub(super) fn store(config: &Config) -> Result<Store, CommandError> {
        Ok(Store::open(&config.state_path, Context::now())?)
    }

    /// Opens the state database for reading; nothing where there is none yet.
    pub(super) fn existing_store(config: &Config) -> Result<Option<Store>, CommandError> {
        Ok(Store::open_read_only(&config.state_path)?)
    }

    /// Makes a runner over the config and its state database, and begins to listen to signals.
    pub(super) fn runner(&self, config: Config) -> Result<Runner, CommandError> {
        self.runner_that_waits(config, None)
    }

    /// The same, of a runner that waits for other processes.
    pub(super) fn runner_that_waits(
        &self,
        config: Config,
        wait: Option<Duration>,
    ) -> Result<Runner, CommandError> {
        let store = Context::store(&config)?;
        self.interrupt.watch()?;
        let shown = match self.global.log_format {
            _ if self.global.quiet => Shown::Nowhere,
            LogFormat::Text if !self.is_service => Shown::ToAPerson,
            LogFormat::Text | LogFormat::Json => Shown::InTheLog,
        };
        let options = RunnerOptions {
            progress: progress(&self.bars, shown),
            stop: self.interrupt.stop.clone(),
            wait,
            ..RunnerOptions::default()
        };
        Ok(Runner::new(Arc::new(config), Arc::new(store), options))
    }
}

/// Finds a job, or names the nearest one.
pub(super) fn find_job<'a>(config: &'a Config, name: &str) -> Result<&'a JobConfig, CommandError> {
    config.jobs.get(name).ok_or_else(|| {
        let hint = nearest(config.jobs.keys(), name);
        RunError::UnknownJob {
            name: name.to_owned(),
            hint: hint.cloned(),
        }
        .into()
    })
}

/// Tells whether a name is that of the job of a pair of providers that the config has.
pub(super) fn names_a_pair(config: &Config, name: &str) -> bool {
    config::implicit_pair(config, name).is_some()
}

/// Finds the job of a run or of a saved plan, which may be the one of a pair of providers for which none is
/// configured. One that was renamed since is another job.
pub(super) fn know_job(config: &mut Config, name: &str) -> Result<(), CommandError> {
    let of_pair = config::implicit_pair(config, name);
    let is_configured = |(from, to): (&str, &str)| {
        let mut jobs = config.jobs.values();
        jobs.any(|job| job.name == name || (job.source == from && job.target == to))
    };
    if let Some((from, to)) = of_pair.filter(|pair| !is_configured(*pair)) {
        let job = config::implicit_job(config, from, to)
            .map_err(|error| CommandError::usage(error.to_string()))?;
        config.jobs.insert(name.to_owned(), job);
    }
    find_job(config, name).map(drop)
}

/// Finds a run of the history by its id or the beginning of it, in a state database that must be there.
pub(super) fn find_run(config: &Config, run: &str) -> Result<(Store, RunRecord), CommandError> {
    let unknown = || {
        CommandError::usage(format!("there is no run whose id begins with \"{run}\""))
            .hint(format!("`{ROSTERD} history` lists the runs"))
    };
    let store = Context::existing_store(config)?.ok_or_else(unknown)?;
    let run = store.run(run)?.ok_or_else(unknown)?;
    Ok((store, run))
}

/// Finds the job that was named, or the only one where none was.
pub(super) fn the_job<'a>(
    config: &'a Config,
    name: Option<&str>,
    command: &str,
) -> Result<&'a JobConfig, CommandError> {
    match name {
        Some(name) => find_job(config, name),
        None => find_job(config, &only_job(config, command)?),
    }
}

/// Returns the only job, for a command that was not told which.
pub(super) fn only_job(config: &Config, command: &str) -> Result<String, CommandError> {
    let mut jobs = config.jobs.keys();
    match (jobs.next(), jobs.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Err(CommandError::usage("the config has no job").hint(
            "`rosterd migrate --from PROVIDER --to PROVIDER` moves one account to another without a job, and `[jobs.NAME]` in the config makes one",
        )),
        (Some(_), Some(_)) => {
            let known: Vec<&str> = config.jobs.keys().map(String::as_str).collect();
            Err(
                CommandError::usage(format!("`rosterd {command}` has to be told which job"))
                    .hint(format!("the config has {}", known.join(", "))),
            )
        }
    }
}

/// Finds a provider, or names the nearest one.
pub(super) fn find_provider<'a>(
    config: &'a Config,
    name: &str,
) -> Result<&'a ProviderConfig, CommandError> {
    config.providers.get(name).ok_or_else(|| {
        let hint = nearest(config.providers.keys(), name)
            .map(|known| format!("; did you mean \"{known}\"?"))
            .unwrap_or_default();
        let known: Vec<&str> = config.providers.keys().map(String::as_str).collect();
        CommandError::usage(format!(
            "there is no provider \"{name}\" in the config{hint}"
        ))
        .hint(format!("the config names {}", known.join(", ")))
    })
}

/// Says which group may be meant by a name that nobody knows, of those that are known.
pub(super) fn did_you_mean<'a>(
    known: impl IntoIterator<Item = (&'a str, &'a str)>,
    typed: &str,
) -> Option<String> {
    let known: Vec<NamedGroup> = known
        .into_iter()
        .map(|(id, name)| NamedGroup {
            provider: String::new(),
            id: id.to_owned(),
            name: name.to_owned(),
        })
        .collect();
    let near = match MeantGroup::among(&known, typed) {
        MeantGroup::One(group) => vec![group],
        MeantGroup::Several(near) | MeantGroup::Nobody(near) => near,
    };
    let mut names: Vec<String> = near.iter().map(|group| quoted(&group.name)).collect();
    names.dedup();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(", ")))
}

fn nearest<'a>(known: impl Iterator<Item = &'a String>, name: &str) -> Option<&'a String> {
    let distances = known.map(|known| (strsim::damerau_levenshtein(known, name), known));
    let near = distances.filter(|(far, known)| far * 2 <= known.len().max(2));
    near.min().map(|(_, known)| known)
}

/// Returns the default path of the config.
pub(super) fn default_config() -> PathBuf {
    PathBuf::from("rosterd.toml")
}
