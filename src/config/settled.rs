//! The configuration after checking: nothing here is optional that need not be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

pub use crate::model::Fingerprint;
use crate::model::ProviderKind;
pub use crate::model::policy::{
    Adopt, Dynamic, GroupScope, Guards, Limit, MemberPolicy, Missing, Mode, OnDrift, OptOuts,
    Removal, wildcard_matches,
};
use crate::schedule::Schedule;

/// A whole configuration that passed every check.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// The state database, absolute or relative to the working directory.
    pub state_path: PathBuf,
    /// How long history is kept.
    pub retention: Duration,
    /// The provider accounts by name.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// The jobs by name.
    pub jobs: BTreeMap<String, JobConfig>,
    /// The service.
    pub daemon: DaemonConfig,
    /// Who is told what happens.
    pub notify: NotifyConfig,
}

impl Config {
    /// Writes down with each job which accounts its providers stand for; again after a program has
    /// put other credentials in.
    pub fn name_accounts(&mut self) {
        let providers = &self.providers;
        let account = |name: &String| providers.get(name).map(ProviderConfig::state_key);
        for job in self.jobs.values_mut() {
            job.source_account = account(&job.source).unwrap_or_default();
            job.target_account = account(&job.target).unwrap_or_default();
        }
    }
}

/// Where a secret comes from. It is fetched when a command needs it, not when the file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file; the text without surrounding white space.
    File(PathBuf),
    /// A systemd credential: a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// The standard output of a command.
    Command(Vec<String>),
}

/// A secret that was given directly by the program itself, never by a file; for the demo and tests.
#[derive(Clone, Debug)]
pub enum Secret {
    /// To be fetched.
    Source(SecretSource),
    /// Already at hand.
    Known(SecretString),
    /// Opens a copy of an account in the place of the account's own secret: it tells the account
    /// from others as that one does, and has nothing else of it.
    StandIn {
        /// What the account's own secret is told from others by.
        identity: String,
        /// What opens the copy.
        text: SecretString,
    },
}

impl Secret {
    /// Tells whether a command has to be run for it.
    pub fn is_command(&self) -> bool {
        matches!(self, Secret::Source(SecretSource::Command(_)))
    }

    /// Returns what stands in for this secret where a copy of the account is opened.
    pub fn stand_in(&self, text: &str) -> Secret {
        Secret::StandIn {
            identity: self.identity(),
            text: text.into(),
        }
    }

    /// Tells this secret from others without showing it: by where it comes from, or by a hash. A file is
    /// the same one however the path of the config was typed, and through whichever link its directory
    /// was reached; the file itself may be a link that changes, as those of Kubernetes are.
    fn identity(&self) -> String {
        match self {
            Secret::Source(SecretSource::File(path)) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                let real = path
                    .parent()
                    .and_then(|directory| directory.canonicalize().ok());
                let path = match (real, path.file_name()) {
                    (Some(directory), Some(name)) => directory.join(name),
                    _ => path,
                };
                format!("{:?}", SecretSource::File(path))
            }
            Secret::Source(source) => format!("{source:?}"),
            Secret::Known(text) => {
                blake3::hash(text.expose_secret().as_bytes()).to_hex()[..32].to_owned()
            }
            Secret::StandIn { identity, .. } => identity.clone(),
        }
    }
}

/// How rosterd logs in at a provider.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// emfluence: a user's access token.
    AccessToken(Secret),
    /// ActiveCampaign: a user's API key.
    ApiKey(Secret),
    /// GreenRope: a login's address and password.
    Password {
        /// The login's address.
        email: String,
        /// The password.
        password: Secret,
    },
    /// GreenRope: a login's address and a fixed token.
    AuthToken {
        /// The login's address.
        email: String,
        /// The token.
        token: Secret,
    },
}

/// One configured account.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// The name in the config.
    pub name: String,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Where it is reached; at ActiveCampaign the host, to which each request adds the path of its
    /// interface.
    pub base_url: Url,
    /// The account number; GreenRope only.
    pub account_id: Option<String>,
    /// How rosterd logs in.
    pub credentials: Credentials,
    /// Whether the login sees only part of the account, so that absence proves nothing.
    pub shared_access: bool,
    /// The user group that takes whoever leaves another one; ActiveCampaign user groups only.
    pub parking_group: Option<String>,
    /// What proves that the login opens the right account.
    pub fingerprint: Option<Fingerprint>,
    /// Values for groups created here where the source has none, by default key (`sender_name`).
    pub defaults: BTreeMap<String, String>,
    /// Pace, time-outs and the like.
    pub http: HttpConfig,
}

impl ProviderConfig {
    /// Returns what tells this account from others: kind, base URL and account (rule 8). Two
    /// provider names may share it, and so do the lists and the user groups of one ActiveCampaign
    /// account, which has one pace and one lock. Each ActiveCampaign account has a host of its own,
    /// which all its users' keys share; only a rehearsal on this machine serves several under one
    /// address.
    pub fn account_key(&self) -> String {
        let (place, login) = (self.place_key(), self.login_key());
        login.map_or_else(|| place.clone(), |login| format!("{place} {login}"))
    }

    /// Returns what of the account's key is certain: where this changes, the account is another.
    fn place_key(&self) -> String {
        let place = format!("{} {}", self.kind, self.base_url);
        match &self.account_id {
            Some(account) => format!("{place} {account}"),
            None => place,
        }
    }

    /// Returns what tells the account from others where its place does not: a group that proves it,
    /// or else where the secret comes from, which may change while the account stays.
    fn login_key(&self) -> Option<String> {
        if self.account_id.is_some() || self.is_known_by_host() {
            return None;
        }
        if let Some(fingerprint) = &self.fingerprint {
            return Some(format!("group {}", fingerprint.group_id));
        }
        match &self.credentials {
            Credentials::AccessToken(secret) | Credentials::ApiKey(secret) => {
                Some(secret.identity())
            }
            Credentials::Password { .. } | Credentials::AuthToken { .. } => None,
        }
    }

    /// Tells whether two names stand for one account, once it is known whether both log in by the
    /// same secret.
    pub fn is_same_account(&self, other: &ProviderConfig, same_login: bool) -> bool {
        if self.kind != other.kind || place_of(&self.base_url) != place_of(&other.base_url) {
            return false;
        }
        match (&self.account_id, &other.account_id) {
            (Some(one), Some(other)) => {
                one.trim().trim_start_matches('0') == other.trim().trim_start_matches('0')
            }
            _ => self.is_known_by_host() || same_login,
        }
    }

    /// Tells whether two names may stand for one account, and nobody can say whether they do: two
    /// tokens at one address, not both with a group that proves the account.
    pub(super) fn is_confused_with(&self, other: &ProviderConfig) -> bool {
        self.kind == ProviderKind::Emfluence
            && !is_loopback(&self.base_url)
            && self.place_key() == other.place_key()
            && self.account_key() != other.account_key()
            && (self.fingerprint.is_none() || other.fingerprint.is_none())
    }

    /// Returns the proofs of other accounts at the same address, by the names that stand for them:
    /// as long as nobody has looked, one account may be known by two of its groups.
    pub fn neighbours<'a>(
        &'a self,
        all: impl IntoIterator<Item = &'a ProviderConfig>,
    ) -> Vec<(String, Fingerprint)> {
        let others = all.into_iter().filter(|other| {
            self.place_key() == other.place_key() && self.account_key() != other.account_key()
        });
        others
            .filter_map(|other| Some((other.name.clone(), other.fingerprint.clone()?)))
            .collect()
    }

    /// Tells whether the address alone says which account it is.
    fn is_known_by_host(&self) -> bool {
        matches!(
            self.kind,
            ProviderKind::ActiveCampaignLists | ProviderKind::ActiveCampaignUsers
        ) && !is_loopback(&self.base_url)
    }

    /// Returns what tells the groups of this provider from those of others: the account, and which
    /// of its objects are the groups.
    pub fn groups_key(&self) -> String {
        format!(
            "{} {}",
            self.account_key(),
            self.kind.groups_word().unwrap_or_default()
        )
    }

    /// Returns the hash under which the state database knows the account, never by its name in the
    /// config. The ids of lists and of user groups are two worlds, and so are contacts and users.
    ///
    /// Of an account that its place alone does not tell from others, a second hash after a dot is
    /// of its login: with other credentials it may still be the same.
    pub fn state_key(&self) -> String {
        let place = match self.kind.groups_word() {
            Some(word) => format!("{} {word}", self.place_key()),
            None => self.place_key(),
        };
        let login = self.login_key().map(|login| hash_of_account(&login));
        let place = hash_of_account(&place);
        login.map_or_else(|| place.clone(), |login| format!("{place}.{login}"))
    }
}

/// Hashes what tells an account from others, so that the state database does not hold it.
pub fn hash_of_account(key: &str) -> String {
    blake3::hash(key.as_bytes()).to_hex()[..32].to_owned()
}

/// Tells whether a web address stays on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// How a provider is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Requests per minute, evenly spaced; none means no pace.
    pub requests_per_minute: Option<u32>,
    /// Requests in flight at once.
    pub concurrency: usize,
    /// A cap on items per request; none means each endpoint's documented maximum.
    pub batch_size: Option<usize>,
    /// How long one request may take; none means each operation's own.
    pub timeout: Option<Duration>,
    /// How often a request is repeated where that is safe.
    pub max_retries: u32,
    /// How many bytes one answer may have.
    pub max_answer: u64,
    /// A cap per day.
    pub requests_per_day: Option<u64>,
    /// A proxy.
    pub proxy: Option<Url>,
    /// An additional certificate authority, PEM.
    pub ca_file: Option<PathBuf>,
}

/// One direction between two accounts.
#[derive(Clone, Debug)]
pub struct JobConfig {
    /// The name in the config.
    pub name: String,
    /// The provider that is read.
    pub source: String,
    /// The provider that is written.
    pub target: String,
    /// The account of the source, as the state database knows it.
    pub source_account: String,
    /// The account of the target, as the state database knows it.
    pub target_account: String,
    /// When it runs; none means by hand.
    pub schedule: Option<Schedule>,
    /// The largest random-looking delay of a run.
    pub jitter: Duration,
    /// Whether the service runs it.
    pub enabled: bool,
    /// What it may do at the target.
    pub mode: Mode,
    /// How old the remembered target may be; none means it is always read.
    pub refresh: Option<Duration>,
    /// Whether groups whose auto-response mails new members may be targets.
    pub allow_auto_response: bool,
    /// Whether custom fields that the target lacks are created.
    pub create_fields: bool,
    /// Whether login users of the source may become contacts at the target.
    pub users_as_contacts: bool,
    /// Which groups.
    pub groups: GroupScope,
    /// Which people, and what of them.
    pub members: MemberPolicy,
    /// The config's own mapping of group fields: the target's wire name to an expression.
    pub map_group: BTreeMap<String, String>,
    /// The config's own mapping of member fields: the target's wire name to an expression.
    pub map_member: BTreeMap<String, String>,
    /// The guards.
    pub guards: Guards,
}

/// The service.
#[derive(Clone, Debug)]
pub struct DaemonConfig {
    /// Where the status page, the metrics and the API listen; nowhere without it.
    pub listen: Option<std::net::SocketAddr>,
    /// Further names under which they are reached, in lower case.
    pub hosts: Vec<String>,
    /// The token that signs in.
    pub admin_token: Option<Secret>,
    /// How long a request in flight may take when the service is asked to stop.
    pub grace: Duration,
    /// Patterns of the jobs that this service runs.
    pub jobs: Vec<String>,
}

impl DaemonConfig {
    /// Tells whether this service runs a job, or leaves it to others.
    pub fn runs(&self, job: &str) -> bool {
        self.jobs
            .iter()
            .any(|pattern| wildcard_matches(pattern, job))
    }
}

/// Who is told what happens.
#[derive(Clone, Debug, Default)]
pub struct NotifyConfig {
    /// A web address that takes notifications, with the secret that signs them.
    pub webhook: Option<(Url, Option<Secret>)>,
    /// A command that takes notifications on standard input.
    pub command: Option<Vec<String>>,
    /// Mail to people.
    pub email: Option<MailConfig>,
    /// A web address that is called after each good run.
    pub alive: Option<Url>,
    /// A proxy on the way to the web addresses.
    pub proxy: Option<Url>,
    /// An additional certificate authority of the web addresses and the mail server, PEM.
    pub ca_file: Option<PathBuf>,
}

/// Mail to people.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// The server that takes it on.
    pub server: MailServer,
    /// The name of the login there.
    pub user: Option<String>,
    /// The password of the login.
    pub password: Option<Secret>,
    /// The sender, with a name before the address or not.
    pub from: String,
    /// Those who are told; at least one.
    pub to: Vec<String>,
}

/// A server that takes mail on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How the way to it is kept from others.
    pub security: MailSecurity,
}

/// How the way to a mail server is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS once both have said that they speak it; no mail without.
    StartTls,
    /// Not at all: it leads to this machine.
    Plain,
}

/// What tells one place from others, however it is spelt.
fn place_of(url: &Url) -> (String, Option<u16>, String) {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let host = if is_loopback(url) { "localhost" } else { host };
    let path: Vec<&str> = url
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    (
        host.to_ascii_lowercase(),
        url.port_or_known_default(),
        path.join("/"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_secret_by_whichever_way_it_is_reached() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, directory.path().join("link")).unwrap();
        let identity = |path: &str| {
            let path = directory.path().join(path);
            Secret::Source(SecretSource::File(path)).identity()
        };
        let token = identity("real/token");
        assert_eq!(identity("link/token"), token);
        assert_eq!(identity("real/../link/token"), token);
        assert_ne!(identity("real/other"), token);
        // A file that is a link changes where it leads when the secret does.
        std::os::unix::fs::symlink("v1", real.join("token")).unwrap();
        assert_eq!(identity("link/token"), token);
    }
}
