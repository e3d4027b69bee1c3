//! Which job a command is about: by its name, or by the two accounts that it leads between.

use super::context::{find_provider, know_job, only_job};
use super::error::CommandError;
use crate::config::{self, Config};
use crate::program::ROSTERD;

/// The job, or the pair of accounts in its place.
#[derive(clap::Args, Debug)]
pub(super) struct JobArgs {
    /// The job; may be left out where the config has only one.
    #[arg(conflicts_with_all = ["from", "to"])]
    job: Option<String>,
    /// The provider that is read, in place of a job.
    #[arg(long, value_name = "PROVIDER", requires = "to")]
    from: Option<String>,
    /// The provider that is written to. Without a job of this pair in the config everything is as by
    /// default: built-in mapping, mode "add".
    #[arg(long, value_name = "PROVIDER", requires = "from")]
    to: Option<String>,
}

impl JobArgs {
    /// Tells whether neither a job nor a pair was named.
    pub(super) fn is_left_out(&self) -> bool {
        self.job.is_none() && self.from.is_none()
    }

    /// Returns the accounts that were named in place of a job.
    pub(super) fn pair(&self) -> Option<(&str, &str)> {
        self.from.as_deref().zip(self.to.as_deref())
    }

    /// Returns the accounts between which no job of the config leads, so that a command has to name them
    /// again.
    pub(super) fn pair_without_job(&self, config: &Config) -> Option<(&str, &str)> {
        let mut jobs = config.jobs.values();
        self.pair()
            .filter(|(from, to)| !jobs.any(|job| job.source == *from && job.target == *to))
    }

    /// Finds the job that is meant, or adds the one of a pair of providers that has none.
    pub(super) fn find(&self, config: &mut Config, command: &str) -> Result<String, CommandError> {
        let Some((from, to)) = self.pair() else {
            let Some(job) = &self.job else {
                return only_job(config, command);
            };
            know_job(config, job)?;
            return Ok(job.clone());
        };
        find_provider(config, from)?;
        find_provider(config, to)?;
        let of_pair = config.jobs.values();
        let of_pair = of_pair.filter(|job| job.source == from && job.target == to);
        let of_pair: Vec<&str> = of_pair.map(|job| job.name.as_str()).collect();
        match of_pair.as_slice() {
            [] => {
                let job = config::implicit_job(config, from, to)
                    .map_err(|error| CommandError::usage(error.to_string()))?;
                let name = job.name.clone();
                config.jobs.insert(name.clone(), job);
                Ok(name)
            }
            [only] => Ok((*only).to_owned()),
            several => Err(CommandError::usage(format!(
                "several jobs lead from \"{from}\" to \"{to}\": {}",
                several.join(", ")
            ))
            .hint(format!(
                "name the one that is meant: `{ROSTERD} {command} JOB`"
            ))),
        }
    }
}
