//! What a failed connection is called: one sentence, where the libraries below tell nested
//! fragments.

use std::error::Error;
use std::io::{self, ErrorKind};

use url::Url;

use super::error::Problem;

/// Where a request was going.
#[derive(Debug, Clone)]
pub(super) struct Place {
    host: String,
    port: u16,
}

impl Place {
    /// The host and port of a URL.
    pub(super) fn of(url: &Url) -> Self {
        Self {
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
        }
    }

    /// Names what kept a connection from coming about; nothing was sent.
    pub(super) fn not_connected(&self, error: &reqwest::Error) -> Problem {
        let Self { host, port } = self;
        let chain = Chain::of(error);
        let (what, advice) = if chain.says("dns error") || chain.says("lookup") {
            (
                format!("the name {host} is not known"),
                "check base_url, the proxy, and how this machine resolves names",
            )
        } else if chain.says("certificate") {
            (
                format!(
                    "the certificate of {host} is not accepted because {}",
                    chain.certificate()
                ),
                CERTIFICATE_ADVICE,
            )
        } else if chain.says("tunnel") || chain.says("proxy") {
            (
                format!("the proxy did not let it through to {host}:{port}"),
                "check the proxy and what it allows",
            )
        } else if chain.kind == Some(ErrorKind::ConnectionRefused) {
            (format!("{host}:{port} refuses connections"), NETWORK_ADVICE)
        } else if error.is_timeout() || chain.kind == Some(ErrorKind::TimedOut) {
            (
                format!("{host}:{port} does not take connections in time"),
                NETWORK_ADVICE,
            )
        } else if matches!(
            chain.kind,
            Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)
        ) {
            (
                format!("there is no way to {host}:{port} from here"),
                NETWORK_ADVICE,
            )
        } else if chain.speaks_otherwise() {
            (
                format!("what answers at {host}:{port} does not speak TLS"),
                "check the scheme and the port of base_url",
            )
        } else {
            (
                format!("{host}:{port} ended the connection before it was set up"),
                NETWORK_ADVICE,
            )
        };
        Problem::NotConnected { what, advice }
    }

    /// Names how a connection broke that had come about.
    pub(super) fn broken(&self, error: &reqwest::Error) -> Problem {
        let Self { host, port } = self;
        let chain = Chain::of(error);
        Problem::ConnectionBroken(if chain.says("invalid http") {
            format!("what answers at {host}:{port} does not speak HTTP")
        } else if chain.says("gzip") || chain.says("deflate") {
            format!("the answer of {host} is compressed in a way that can't be undone")
        } else if error.is_timeout() {
            format!("{host} did not go on in time")
        } else if chain.kind == Some(ErrorKind::ConnectionReset) {
            format!("{host} reset it")
        } else {
            format!("{host} closed it before the answer was complete")
        })
    }
}

const NETWORK_ADVICE: &str = "check base_url, the network and the provider's status page";
const CERTIFICATE_ADVICE: &str = "check base_url and the clock, and set ca_file if the certificate comes from an authority of your own";

/// An error with its causes: all their words, and the system's kind of failure where one is among
/// them.
struct Chain {
    words: String,
    kind: Option<ErrorKind>,
}

impl Chain {
    fn of(error: &reqwest::Error) -> Self {
        let mut chain = Self {
            words: String::new(),
            kind: None,
        };
        let mut cause: Option<&(dyn Error + 'static)> = error.source();
        while let Some(inner) = cause {
            chain.words.push_str(&inner.to_string().to_lowercase());
            chain.words.push('\n');
            if let Some(system) = inner.downcast_ref::<io::Error>() {
                chain.kind = Some(system.kind());
            }
            cause = inner.source();
        }
        chain
    }

    fn says(&self, words: &str) -> bool {
        self.words.contains(words)
    }

    /// The other side answered a greeting with something else.
    fn speaks_otherwise(&self) -> bool {
        self.kind == Some(ErrorKind::InvalidData)
            || self.says("corrupt message")
            || self.says("invalidcontenttype")
    }

    fn certificate(&self) -> &'static str {
        if self.says("unknownissuer") || self.says("unknown issuer") {
            "no authority that is trusted here issued it"
        } else if self.says("notvalidyet") || self.says("not valid yet") {
            "it is not valid yet"
        } else if self.says("expired") {
            "it has expired"
        } else if self.says("notvalidforname") || self.says("not valid for name") {
            "it is for another name"
        } else if self.says("revoked") {
            "it was revoked"
        } else {
            "it is not valid"
        }
    }
}
