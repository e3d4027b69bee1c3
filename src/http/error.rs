//! What can go wrong with a request, told apart by what the caller can do about it.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

pub use crate::model::Refusal;
pub(crate) use crate::model::tidy;

/// Says what can be done about a refusal.
fn advice(account: &str, refusal: &Refusal) -> String {
    if refusal.is_about_the_address() {
        format!(
            "check `base_url` of `providers.{account}`; where other requests are answered, correct the item"
        )
    } else {
        "correct the item or the config, then try again".to_owned()
    }
}

/// What a decoder found instead of the answer it was asked for.
///
/// The texts say what is wrong and where ("`data.records[3].groupID` is no number"); they never
/// quote content, which may be a person's. Only a [`Refusal`] carries the provider's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The body is not the provider's answer at all: HTML, cut off, empty. A read is repeated, a
    /// write's outcome is unknown.
    NotAnAnswer(String),
    /// The body is well formed but breaks the provider's own rules. It fails the run and is never
    /// taken for "nothing there".
    Protocol(String),
    /// The provider understood and said no.
    Refused(Refusal),
    /// The login is no longer good; the caller may log in again once.
    LoginExpired(String),
    /// Wrong credentials or a missing right; logging in again does not help.
    Denied(String),
    /// The provider asks for patience in the body of its answer. Nothing was done.
    Throttled {
        /// How long it asks for, where it says so.
        after: Option<Duration>,
    },
}

/// Why one attempt brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// No connection came about, so nothing was sent.
    #[error("no connection: {what}")]
    NotConnected {
        /// What kept it from coming about, with the host.
        what: String,
        /// What to look at.
        advice: &'static str,
    },
    /// The connection broke while the request was sent or the answer was read.
    #[error("the connection broke: {0}")]
    ConnectionBroken(String),
    /// The whole answer did not arrive in time.
    #[error("no complete answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The server reported a failure of its own.
    #[error("the server answered with HTTP status {0}")]
    ServerError(u16),
    /// Something answered, but not the provider.
    #[error("the answer is not one: {0}")]
    NotAnAnswer(String),
    /// The answer could not be kept on disk.
    #[error("the answer could not be kept in the directory for temporary files: {0}")]
    Storage(String),
    /// The answer is longer than allowed.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(u64),
    /// The provider asked for patience.
    #[error("the provider asked for fewer requests")]
    Throttled,
    /// The provider denied a request that it may grant on repetition.
    #[error("the provider answered with HTTP status 403")]
    Forbidden,
}

impl Problem {
    /// What a person looks at next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotConnected { advice, .. } => advice,
            _ => "check the network and the provider's status page",
        }
    }

    /// What a log may say of it: a decoder's text is left out, since it is not ours to vouch for.
    pub(crate) fn for_log(&self) -> String {
        match self {
            Self::NotAnAnswer(_) => "the answer is not one".to_owned(),
            problem => problem.to_string(),
        }
    }
}

/// Why a call brought no result.
///
/// `account` is the provider's name in the config and `operation` the call's name.
#[derive(Debug, Clone, Error)]
pub enum CallError {
    /// Every attempt failed on the way. For a write: it is known not to have been done.
    #[error(
        "{account}: {operation} got no answer in {attempts} attempt{} ({problem}); {}, then try again",
        if *attempts == 1 { "" } else { "s" },
        problem.advice()
    )]
    Network {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// How many requests were tried.
        attempts: u32,
        /// What the last attempt met.
        problem: Problem,
    },
    /// The account failed so often in a row that it is left alone for a while; nothing was sent.
    #[error(
        "{account}: {operation} was not sent because the provider failed too often in a row{}; try again in {} s", last(.problem.as_ref()), .retry_in.as_secs().max(1)
    )]
    CircuitOpen {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// What the last of the failed requests met.
        problem: Option<Problem>,
        /// How long the account stays closed to requests.
        retry_in: Duration,
    },
    /// The provider keeps asking for patience; nothing was done.
    #[error(
        "{account}: {operation} was put off by the provider's rate limit; try again in {} s, or lower requests_per_minute", .retry_in.as_secs().max(1)
    )]
    Throttled {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// How long the account has to rest.
        retry_in: Duration,
    },
    /// The day's requests are used up; nothing was sent.
    #[error(
        "{account}: {operation} was not sent because the {limit} requests allowed in 24 hours are used up; wait {} min or raise requests_per_day", .retry_in.as_secs().div_ceil(60)
    )]
    DayQuota {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// The configured limit.
        limit: u64,
        /// When requests become free again, at the latest.
        retry_in: Duration,
    },
    /// Wrong credentials or a missing right; nothing was done.
    #[error(
        "{account}: {operation} was denied ({reason}); check the account's credentials and rights at the provider"
    )]
    Denied {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// The provider's words or the HTTP status.
        reason: String,
    },
    /// The login is no longer good; nothing was done. The caller may log in again once.
    #[error(
        "{account}: {operation} needs a new login ({reason}); check the account's credentials if this persists"
    )]
    LoginExpired {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// The provider's words.
        reason: String,
    },
    /// The provider understood and said no; nothing was done.
    #[error(
        "{account}: {operation} was refused by the provider: {refusal}; {}",
        advice(account, refusal)
    )]
    Refused {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// What the provider said.
        refusal: Refusal,
    },
    /// The answer breaks the provider's own rules. After a write it proves nothing about what was
    /// done.
    #[error(
        "{account}: {operation} was answered against the provider's rules ({reason}); check base_url and whether the provider changed its API"
    )]
    Protocol {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer to a read is longer than allowed.
    #[error(
        "{account}: the answer to {operation} is longer than {limit} bytes; raise max_answer in the http table of the provider, or ask for fewer groups"
    )]
    TooLarge {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// The answer to a read could not be kept on this machine's disk, which the next one would meet
    /// as well.
    #[error(
        "{account}: the answer to {operation} could not be kept in the directory for temporary files ({reason}); make room there, then try again"
    )]
    NoRoom {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The write may or may not have been done: look before sending it again.
    #[error(
        "{account}: nobody knows whether {operation} was carried out ({problem}); read the objects back before sending it again"
    )]
    OutcomeUnknown {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// What came between.
        problem: Problem,
    },
    /// The call itself can't be sent as it is.
    #[error(
        "{account}: {operation} can't be sent ({reason}); check base_url and the credentials in the config"
    )]
    Unsendable {
        /// The account.
        account: String,
        /// The operation.
        operation: &'static str,
        /// What is wrong with it, without its values.
        reason: String,
    },
}

fn last(problem: Option<&Problem>) -> String {
    problem.map_or_else(String::new, |problem| format!(" ({problem})"))
}

impl CallError {
    /// Tells whether a read that ended so says something of what was asked alone, so that the next
    /// question may be answered: what is the matter with the host or the login meets that one, too.
    pub fn is_of_the_question(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Denied { .. }
            | Self::Protocol { .. }
            | Self::TooLarge { .. } => true,
            Self::Network { problem, .. } => !matches!(
                problem,
                Problem::NotConnected { .. } | Problem::Storage(_) | Problem::Throttled
            ),
            _ => false,
        }
    }

    /// The account's name in the config.
    pub fn account(&self) -> &str {
        match self {
            Self::Network { account, .. }
            | Self::CircuitOpen { account, .. }
            | Self::Throttled { account, .. }
            | Self::DayQuota { account, .. }
            | Self::Denied { account, .. }
            | Self::LoginExpired { account, .. }
            | Self::Refused { account, .. }
            | Self::Protocol { account, .. }
            | Self::TooLarge { account, .. }
            | Self::NoRoom { account, .. }
            | Self::OutcomeUnknown { account, .. }
            | Self::Unsendable { account, .. } => account,
        }
    }

    /// The call's operation.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Network { operation, .. }
            | Self::CircuitOpen { operation, .. }
            | Self::Throttled { operation, .. }
            | Self::DayQuota { operation, .. }
            | Self::Denied { operation, .. }
            | Self::LoginExpired { operation, .. }
            | Self::Refused { operation, .. }
            | Self::Protocol { operation, .. }
            | Self::TooLarge { operation, .. }
            | Self::NoRoom { operation, .. }
            | Self::OutcomeUnknown { operation, .. }
            | Self::Unsendable { operation, .. } => operation,
        }
    }

    /// Whether a write that ended like this may have been carried out all the same.
    ///
    /// `false` means that it is known not to have been done.
    pub fn may_have_been_done(&self) -> bool {
        matches!(
            self,
            Self::OutcomeUnknown { .. } | Self::Protocol { .. } | Self::TooLarge { .. }
        )
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Network { .. }
                | Self::CircuitOpen { .. }
                | Self::Throttled { .. }
                | Self::DayQuota { .. }
                | Self::NoRoom { .. }
                | Self::OutcomeUnknown { .. }
        )
    }
}

/// Why the network could not be set up.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The file with extra certificate authorities can't be read.
    #[error("can't read ca_file {}: {source}; check the path and its permissions", .path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no usable certificate.
    #[error("ca_file {} holds no certificate in PEM form; give a file with BEGIN CERTIFICATE blocks", .path.display())]
    CaFormat {
        /// The file.
        path: PathBuf,
    },
    /// The proxy can't be used.
    #[error("proxy can't be used ({reason}); write it as http://host:port")]
    Proxy {
        /// What is wrong with it, without its value.
        reason: String,
    },
    /// The HTTP client could not be built.
    #[error(
        "can't set up the HTTP client ({reason}); check ca_file and the system's certificate store"
    )]
    Client {
        /// What the library said.
        reason: String,
    },
}
