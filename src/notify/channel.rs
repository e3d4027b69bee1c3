//! The ways by which people are told, each with its own time-out and its own words for what went wrong.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::timeout;
use url::Url;

use super::message::Letter;
use super::sign::Key;
use super::{command, email};
use crate::config::Config;
use crate::config::settled::{MailConfig, Secret, SecretSource};
use crate::http::{Method, NetworkOptions, Told, Transport, Wire};
use crate::report::harmless;

/// The name of a channel, as it stands in the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum ChannelName {
    /// A web address that takes messages.
    Webhook,
    /// A command that takes messages.
    Command,
    /// Mail.
    Email,
    /// The web address that is called after each good run.
    Alive,
}

impl ChannelName {
    /// Returns the key under `[notify]`.
    pub fn as_str(self) -> &'static str {
        match self {
            ChannelName::Webhook => "webhook",
            ChannelName::Command => "command",
            ChannelName::Email => "email",
            ChannelName::Alive => "alive",
        }
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a message did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// In words that may stand in a log.
    pub(super) why: String,
    /// Whether the receiver wants no more of it.
    pub(super) is_final: bool,
    /// How long the receiver asks to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn of(why: impl Into<String>) -> Failure {
        Failure {
            why: why.into(),
            is_final: false,
            retry_after: None,
        }
    }
}

/// Where a channel leads.
#[derive(Clone)]
enum Way {
    Webhook { url: Url, secret: Option<Secret> },
    Command { words: Vec<String> },
    Email(Box<MailConfig>),
    Alive(Url),
}

/// One way by which people are told.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) name: ChannelName,
    way: Way,
    outside: Outside,
}

/// What all channels share.
#[derive(Clone)]
struct Outside {
    /// The way to web addresses, or why there is none.
    transport: Result<Transport, String>,
    ca_file: Option<PathBuf>,
    /// The environment variables that hold secrets of the config.
    hidden: Vec<String>,
    /// The name of this machine.
    host: String,
}

/// Makes the channels that a config names.
pub(super) fn channels(config: &Config, transport: Option<Transport>, host: &str) -> Vec<Channel> {
    let notify = &config.notify;
    let transport = transport.map_or_else(
        || {
            let options = NetworkOptions {
                proxy: notify.proxy.clone(),
                ca_file: notify.ca_file.clone(),
            };
            Transport::network(&options).map_err(|error| format!("`notify`: {error}"))
        },
        Ok,
    );
    let secrets = config.secrets();
    let hidden = secrets.iter().filter_map(|(_, secret)| match secret {
        Secret::Source(SecretSource::Env(name)) => Some(name.clone()),
        _ => None,
    });
    let outside = Outside {
        transport,
        ca_file: notify.ca_file.clone(),
        hidden: hidden.collect(),
        host: host.to_owned(),
    };
    let webhook = notify.webhook.clone().map(|(url, secret)| {
        let way = Way::Webhook { url, secret };
        (ChannelName::Webhook, way)
    });
    let command = notify.command.clone().map(|words| {
        let way = Way::Command { words };
        (ChannelName::Command, way)
    });
    let email = notify.email.clone().map(|email| {
        let way = Way::Email(Box::new(email));
        (ChannelName::Email, way)
    });
    let alive = notify
        .alive
        .clone()
        .map(|url| (ChannelName::Alive, Way::Alive(url)));
    [webhook, command, email, alive]
        .into_iter()
        .flatten()
        .map(|(name, way)| Channel {
            name,
            way,
            outside: outside.clone(),
        })
        .collect()
}

impl Channel {
    /// Says where the channel leads, without what of it may be secret: the path of a hook often is.
    pub(super) fn place(&self) -> String {
        match &self.way {
            Way::Webhook { url, .. } | Way::Alive(url) => shown(url),
            Way::Command { words } => {
                harmless(words.first().map_or("", String::as_str)).into_owned()
            }
            Way::Email(email) => format!("{}:{}", email.server.host, email.server.port),
        }
    }

    /// Tells a message, and returns in a few words what the receiver said.
    pub(super) async fn tell(
        &self,
        letter: &Letter,
        now: Timestamp,
        patience: Duration,
    ) -> Result<String, Failure> {
        match &self.way {
            Way::Webhook { url, secret } => {
                let key = match fetched(secret.as_ref(), "notify.webhook.secret").await? {
                    Some(secret) => Some(Key::read(&secret).map_err(Failure::of)?),
                    None => None,
                };
                let wire = signed(url, key.as_ref(), letter, now);
                self.call(url, wire, patience).await
            }
            Way::Command { words } => {
                command::run(words, &self.outside.hidden, letter, patience).await
            }
            Way::Email(config) => {
                let password = fetched(config.password.as_ref(), "notify.email.password").await?;
                let (ca_file, host) = (self.outside.ca_file.as_deref(), &self.outside.host);
                email::send(config, password, ca_file, host, letter, patience).await
            }
            Way::Alive(url) => {
                let wire = Wire {
                    method: Method::Get,
                    url: url.clone(),
                    headers: HeaderMap::new(),
                    body: Bytes::new(),
                };
                self.call(url, wire, patience).await
            }
        }
    }

    async fn call(&self, url: &Url, wire: Wire, patience: Duration) -> Result<String, Failure> {
        let place = shown(url);
        let transport = self.outside.transport.as_ref().map_err(Failure::of)?;
        let told = timeout(patience, transport.tell(wire)).await.map_err(|_| {
            Failure::of(format!(
                "{place} did not answer within {} seconds",
                patience.as_secs()
            ))
        })?;
        let told = told.map_err(|problem| Failure::of(format!("{place}: {problem}")))?;
        judge(&place, told)
    }
}

/// Says what the answer to a message means.
fn judge(place: &str, told: Told) -> Result<String, Failure> {
    let Told {
        status,
        retry_after,
    } = told;
    let why = match status {
        200..300 => return Ok(format!("{place} answered with HTTP {status}")),
        300..400 => format!(
            "{place} answered with a redirect (HTTP {status}); give the address that it leads to"
        ),
        410 => format!("{place} wants no more messages (HTTP 410)"),
        _ => format!("{place} answered with HTTP {status}"),
    };
    Err(Failure {
        why,
        is_final: status == 410,
        retry_after,
    })
}

/// Writes the request that carries a message, as Standard Webhooks says.
fn signed(url: &Url, key: Option<&Key>, letter: &Letter, now: Timestamp) -> Wire {
    let body = letter.json.to_string().into_bytes();
    let seconds = now.as_second();
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("webhook-id", &letter.uid);
    set("webhook-timestamp", &seconds.to_string());
    if let Some(key) = key {
        set("webhook-signature", &key.sign(&letter.uid, seconds, &body));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Wire {
        method: Method::Post,
        url: url.clone(),
        headers,
        body: Bytes::from(body),
    }
}

/// Shows of a web address only what is no secret.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("{}://{host}{port}", url.scheme())
}

/// Fetches a secret, which may take a command its time.
async fn fetched(
    secret: Option<&Secret>,
    place: &'static str,
) -> Result<Option<SecretString>, Failure> {
    let Some(secret) = secret.cloned() else {
        return Ok(None);
    };
    let fetched = tokio::task::spawn_blocking(move || secret.fetch(place)).await;
    match fetched {
        Ok(Ok(secret)) => Ok(Some(secret)),
        Ok(Err(error)) => Err(Failure::of(error.to_string())),
        Err(_) => Err(Failure::of(format!("`{place}` could not be fetched"))),
    }
}

/// Finds what `[notify]` needs on this machine and is not there, each in one sentence.
pub fn problems(config: &Config) -> Vec<String> {
    let notify = &config.notify;
    let mut problems = Vec::new();
    if let Some(program) = notify.command.as_ref().and_then(|words| words.first())
        && let Err(why) = runnable(program)
    {
        problems.push(format!("`notify.command`: {program} {why}."));
    }
    if let Some(path) = &notify.ca_file {
        let options = NetworkOptions {
            proxy: None,
            ca_file: Some(path.clone()),
        };
        if let Err(error) = Transport::network(&options) {
            problems.push(format!("`notify.ca_file`: {error}."));
        }
    }
    // One that can't be fetched is found with all other secrets.
    if let Some((_, Some(secret))) = &notify.webhook
        && !secret.is_command()
        && let Ok(secret) = secret.fetch("notify.webhook.secret")
        && let Err(why) = Key::read(&secret)
    {
        problems.push(format!("{why}."));
    }
    problems
}

/// Tells whether a program can be started, as the system looks for it.
fn runnable(program: &str) -> Result<(), &'static str> {
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|directory| directory.join(program))
            .collect()
    };
    let mut why = if program.contains('/') {
        "is not there; give the path of a program"
    } else {
        "is in no directory of PATH; give the whole path of the program"
    };
    for candidate in candidates {
        match candidate.metadata() {
            Ok(metadata) if metadata.is_file() && is_executable(&metadata) => return Ok(()),
            Ok(_) => why = "can't be executed; `chmod +x` makes it a program",
            Err(_) => {}
        }
    }
    Err(why)
}

#[cfg(unix)]
fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &std::fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_the_host_is_shown() {
        let url =
            Url::parse("https://hooks.example.org:8443/services/T0/s3cret?key=s3cret").unwrap();
        assert_eq!(shown(&url), "https://hooks.example.org:8443");
    }

    #[test]
    fn an_answer_is_judged_by_its_status() {
        let judged = |status| {
            judge(
                "https://h",
                Told {
                    status,
                    retry_after: Some(Duration::from_secs(9)),
                },
            )
        };
        assert!(judged(204).is_ok());
        assert!(judged(302).unwrap_err().why.contains("redirect"));
        let gone = judged(410).unwrap_err();
        assert!(gone.is_final);
        let busy = judged(429).unwrap_err();
        assert!(!busy.is_final);
        assert_eq!(busy.retry_after, Some(Duration::from_secs(9)));
    }

    #[cfg(unix)]
    #[test]
    fn a_program_is_found_as_the_system_finds_it() {
        assert_eq!(runnable("sh"), Ok(()));
        assert_eq!(runnable("/bin/sh"), Ok(()));
        assert!(runnable("/etc/passwd").unwrap_err().contains("chmod"));
        assert!(
            runnable("/nonexistent/page-me")
                .unwrap_err()
                .contains("not there")
        );
        assert!(
            runnable("rosterd-page-nobody")
                .unwrap_err()
                .contains("PATH")
        );
    }
}
