//! The two ways out: over the network, or into a router in the same process.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use url::Url;

use super::body::{Incoming, Spill};
use super::call::{Reply, Wire};
use super::error::{Problem, TransportError};
use super::retry;
use super::trouble::Place;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept; shorter than what common servers keep theirs, so that a
/// write seldom meets a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// What the network transport needs to know.
#[derive(Clone, Default)]
pub struct NetworkOptions {
    /// A proxy for all requests, as `http://host:port`. Proxies named by the environment are not
    /// used.
    pub proxy: Option<Url>,
    /// A PEM file with certificate authorities to trust besides the usual ones.
    pub ca_file: Option<PathBuf>,
}

// A proxy's URL may hold a password.
impl fmt::Debug for NetworkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkOptions")
            .field("proxy", &self.proxy.is_some())
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

/// A way to the provider. Cheap to clone.
#[derive(Clone)]
pub enum Transport {
    /// Over the network.
    Net(reqwest::Client),
    /// Into a router in this process: the demo, the rehearsal and the tests. Time may be paused.
    ///
    /// When the caller stops waiting, the router's handler is dropped where it stands.
    Local(axum::Router),
}

/// What a [`Transport::Local`] router puts into a response's extensions to act out a connection
/// that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalFault {
    /// No connection came about: the caller must believe that nothing was sent.
    Refused,
    /// The connection broke before the status line arrived.
    Reset,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Net(_) => "Net",
            Self::Local(_) => "Local",
        })
    }
}

impl Transport {
    /// Sets up the network: TLS with the system's certificate authorities and a bundled set beside
    /// them, gzip, no redirects, no repetitions of its own.
    pub fn network(options: &NetworkOptions) -> Result<Self, TransportError> {
        // Without any authority the client can't even be built, and small containers have none.
        let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|certificate| reqwest::Certificate::from_der(certificate).ok());
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("rosterd/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .tls_certs_merge(bundled);
        if let Some(path) = &options.ca_file {
            let pem = std::fs::read(path).map_err(|source| TransportError::CaFile {
                path: path.clone(),
                source,
            })?;
            let extra = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if extra.is_empty() {
                return Err(TransportError::CaFormat { path: path.clone() });
            }
            builder = builder.tls_certs_merge(extra);
        }
        if let Some(proxy) = &options.proxy {
            let proxy =
                reqwest::Proxy::all(proxy.clone()).map_err(|error| TransportError::Proxy {
                    reason: describe(error),
                })?;
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|error| TransportError::Client {
            reason: describe(error),
        })?;
        Ok(Self::Net(client))
    }

    /// Sends a request of which only the status of the answer matters: nothing else of it is read.
    pub(crate) async fn tell(&self, wire: Wire) -> Result<Told, Problem> {
        let (status, headers) = match self {
            Self::Net(client) => {
                let response = over_network_head(client, wire).await?;
                (response.status(), response.headers().clone())
            }
            Self::Local(router) => {
                let parts = in_process_head(router.clone(), wire).await?.0;
                (parts.status, parts.headers)
            }
        };
        let Head { retry_after, .. } = Head::of(status, &headers);
        Ok(Told {
            status: status.as_u16(),
            retry_after,
        })
    }

    /// Sends a request and takes in the whole answer.
    pub(crate) async fn exchange(&self, wire: Wire, max_body: u64) -> Result<Reply, Problem> {
        match self {
            Self::Net(client) => over_network(client, wire, max_body).await,
            Self::Local(router) => in_process(router.clone(), wire, max_body).await,
        }
    }
}

async fn over_network(
    client: &reqwest::Client,
    wire: Wire,
    max_body: u64,
) -> Result<Reply, Problem> {
    let place = Place::of(&wire.url);
    let mut response = Box::pin(over_network_head(client, wire)).await?;
    let head = Head::of(response.status(), response.headers());
    // The library takes the length away from what it decompresses, and the rest is checked below
    // it.
    let mut incoming = Incoming::begin(max_body, head.length).map_err(spilt)?;
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| place.broken(&error))?
    {
        incoming.push(&piece).map_err(spilt)?;
    }
    head.reply(incoming)
}

async fn over_network_head(
    client: &reqwest::Client,
    wire: Wire,
) -> Result<reqwest::Response, Problem> {
    let place = Place::of(&wire.url);
    let mut request = reqwest::Request::new(wire.method.wire(), wire.url);
    *request.headers_mut() = wire.headers;
    *request.body_mut() = Some(wire.body.into());
    client.execute(request).await.map_err(|error| {
        // Only the connector fails like this, and it runs before the first byte of the request.
        if error.is_connect() {
            place.not_connected(&error)
        } else {
            place.broken(&error)
        }
    })
}

async fn in_process(router: axum::Router, wire: Wire, max_body: u64) -> Result<Reply, Problem> {
    let (parts, mut body) = Box::pin(in_process_head(router, wire)).await?;
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::NotAnAnswer(
            "it is compressed, which was not asked for".to_owned(),
        ));
    }
    let head = Head::of(parts.status, &parts.headers);
    let mut incoming = Incoming::begin(max_body, head.length).map_err(spilt)?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::ConnectionBroken(error.to_string()))?;
        if let Some(piece) = frame.data_ref() {
            incoming.push(piece).map_err(spilt)?;
        }
    }
    head.reply(incoming)
}

async fn in_process_head(
    router: axum::Router,
    wire: Wire,
) -> Result<(axum::http::response::Parts, axum::body::Body), Problem> {
    let mut request = Request::new(axum::body::Body::from(wire.body));
    *request.method_mut() = wire.method.wire();
    *request.uri_mut() = wire
        .url
        .as_str()
        .parse()
        .map_err(|_| not_connected("the URL can't be written as a request line"))?;
    *request.headers_mut() = wire.headers;
    if let Ok(host) = HeaderValue::from_str(wire.url.authority()) {
        request.headers_mut().insert(HOST, host);
    }
    let Ok(response) = router.oneshot(request).await;
    let (parts, body) = response.into_parts();
    match parts.extensions.get::<LocalFault>() {
        Some(LocalFault::Refused) => {
            return Err(not_connected("connection refused"));
        }
        Some(LocalFault::Reset) => {
            return Err(Problem::ConnectionBroken("connection reset".to_owned()));
        }
        None => {}
    }
    Ok((parts, body))
}

fn not_connected(what: &str) -> Problem {
    Problem::NotConnected {
        what: what.to_owned(),
        advice: "check base_url",
    }
}

/// What of an answer matters where only its status does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The HTTP status.
    pub(crate) status: u16,
    /// How long the receiver asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

/// What the headers of an answer say.
struct Head {
    status: u16,
    content_type: Option<String>,
    retry_after: Option<Duration>,
    length: Option<u64>,
}

impl Head {
    fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let joined = |name| {
            let values = headers.get_all(name).iter();
            let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
            values.join(", ")
        };
        Self {
            status: status.as_u16(),
            content_type: text(CONTENT_TYPE).map(str::to_owned),
            retry_after: retry::retry_after(&joined(RETRY_AFTER), text(DATE), jiff::Timestamp::now),
            length: text(CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()),
        }
    }

    fn reply(self, incoming: Incoming) -> Result<Reply, Problem> {
        Ok(Reply {
            status: self.status,
            content_type: self.content_type,
            retry_after: self.retry_after,
            body: incoming.finish().map_err(spilt)?,
        })
    }
}

fn spilt(spill: Spill) -> Problem {
    match spill {
        Spill::TooLarge(limit) => Problem::TooLarge(limit),
        Spill::CutOff { got, announced } => {
            Problem::ConnectionBroken(format!("the answer ended after {got} of {announced} bytes"))
        }
        Spill::Storage(error) => Problem::Storage(error.to_string()),
    }
}

/// Tells an error with its causes, without the URL, whose query may name a person.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    super::error::tidy(&crate::model::with_causes(&error))
}
