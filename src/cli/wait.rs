//! Waiting for other processes.

use std::time::Duration;

use crate::config::parse_duration;

/// The option of every command that runs or plans a job.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct WaitArg {
    /// Waits so long ("30s", "10m", "2h") for a job or an account that another process uses, and
    /// ends with 5 only then
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) wait: Option<Duration>,
}
