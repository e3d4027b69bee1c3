//! Why a run could not be made, or could not go on.

use crate::provider::ReadError;
use crate::state::StateError;

/// A failure of a whole run. Each says which exit code it ends with.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no such job.
    #[error("there is no job \"{name}\" in the config{}", hint.as_ref().map(|hint| format!("; did you mean \"{hint}\"?")).unwrap_or_default())]
    UnknownJob {
        /// What was asked for.
        name: String,
        /// The nearest name.
        hint: Option<String>,
    },
    /// The config does not fit what the accounts hold.
    #[error("the config of job \"{job}\" does not fit its accounts: {problems}")]
    Config {
        /// The job.
        job: String,
        /// One sentence per problem.
        problems: String,
    },
    /// A secret could not be fetched, or an account could not be set up.
    #[error("{0}")]
    Setup(String),
    /// A provider could not be read.
    #[error("{}", named(provider, error))]
    Read {
        /// The provider's configured name.
        provider: String,
        /// Why.
        error: Box<ReadError>,
    },
    /// The list of groups could not be read to its end.
    #[error(
        "the list of groups of \"{provider}\" could not be read to its end: {why}; nothing was written"
    )]
    Groups {
        /// The provider's configured name.
        provider: String,
        /// Why.
        why: String,
    },
    /// The state database could not be used.
    #[error(transparent)]
    State(#[from] crate::state::StateError),
    /// A request that writes failed in a way that makes it pointless to go on.
    #[error(
        "writing to \"{provider}\" stopped: {why}; what was done is remembered, and the next run goes on from there"
    )]
    Write {
        /// The provider's configured name.
        provider: String,
        /// Why.
        why: String,
    },
    /// Another run of the job, or a use of the account, is active.
    #[error("{0}")]
    Busy(String),
    /// The saved plan can't be applied.
    #[error("{0}")]
    PlanMoved(String),
    /// An approval does not fit; the refusal stands.
    #[error("{0}")]
    Approval(String),
    /// The accounts could not be copied before a migration.
    #[error("{0}")]
    Copy(String),
    /// A person was asked, and the answer was no.
    #[error("the answer was no; nothing was written")]
    Declined,
    /// The run was asked to stop.
    #[error(
        "the run was asked to stop; what was done is remembered, and the next run goes on from there"
    )]
    Stopped,
}

impl RunError {
    /// Returns the exit code that belongs to the failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::UnknownJob { .. } | RunError::Config { .. } | RunError::Setup(_) => 2,
            RunError::State(error) => state_exit_code(error),
            RunError::PlanMoved(_) | RunError::Approval(_) | RunError::Declined => 3,
            RunError::Busy(_) => 5,
            RunError::Read { .. }
            | RunError::Groups { .. }
            | RunError::Write { .. }
            | RunError::Copy(_)
            | RunError::Stopped => 1,
        }
    }
}

/// Puts the provider's name before a failure that does not say it itself.
fn named(provider: &str, error: &ReadError) -> String {
    let text = error.to_string();
    if text.starts_with(&format!("{provider}: ")) {
        text
    } else {
        format!("{provider}: {text}")
    }
}

/// Returns the exit code of a failure of the state database: 2 for a file that can't be the right
/// one, and for a question that can't be meant, 1 for the disk.
pub fn state_exit_code(error: &StateError) -> u8 {
    match error {
        StateError::NoDirectory { .. }
        | StateError::ReadOnly { .. }
        | StateError::Directory { .. }
        | StateError::NotADatabase { .. }
        | StateError::Foreign { .. }
        | StateError::Newer { .. }
        | StateError::Older { .. }
        | StateError::Damaged { .. }
        | StateError::CopyPlace { .. }
        | StateError::AmbiguousRun { .. }
        | StateError::Unfit { .. } => 2,
        _ => 1,
    }
}

/// Turns a failure of the temporary store into one of the run.
pub(super) fn staging_error(error: StateError) -> RunError {
    RunError::State(error)
}
