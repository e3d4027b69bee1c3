//! Who is asked, and under which locks: the first room of a run.
//!
//! A [`Runner`] holds the config, the state database and the accounts, which are set up when a job
//! first needs them. Nobody is asked before a run
//! holds the job and its place at both accounts.

mod counting;
mod handle;
mod heard;
mod hold;
mod locks;
mod meter;
mod online;
mod runner;
mod set_up;

pub use counting::SecondsEach;
pub use handle::Handle;
pub(in crate::run) use handle::unless_stopped;
pub use locks::AccountLocks;
pub use meter::{Gauge, Meter};
pub use online::OnlineReport;
pub use runner::{Clock, Progress, Runner, RunnerOptions, Silent};

pub(super) use locks::Access;
