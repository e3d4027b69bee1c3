//! What an adapter asks for and what it gets back.

use std::fmt;
use std::time::Duration;

use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use url::form_urlencoded;

use super::body::Body;

/// The HTTP method of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`; some providers delete with it, so it says nothing about the effect.
    Get,
    /// `POST`; some providers read with it.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
}

impl Method {
    /// The method's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// The method in the types of the HTTP library.
    pub(crate) fn wire(self) -> axum::http::Method {
        match self {
            Self::Get => axum::http::Method::GET,
            Self::Post => axum::http::Method::POST,
            Self::Put => axum::http::Method::PUT,
            Self::Delete => axum::http::Method::DELETE,
        }
    }
}

/// Whether a call changes anything at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing and may be repeated freely.
    Read,
    /// It changes something and is sent once.
    Write,
}

/// A form value, shown or secret.
#[derive(Clone)]
pub enum FormValue {
    /// An ordinary value.
    Plain(String),
    /// A password or token.
    Secret(SecretString),
}

impl FormValue {
    fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose_secret(),
        }
    }
}

impl From<String> for FormValue {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl From<&str> for FormValue {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl From<SecretString> for FormValue {
    fn from(secret: SecretString) -> Self {
        Self::Secret(secret)
    }
}

/// The body of a call; always sent whole, with its length.
#[derive(Clone)]
pub enum CallBody {
    /// No body.
    Empty,
    /// A JSON document.
    Json(Vec<u8>),
    /// `application/x-www-form-urlencoded` pairs, in this order, names and values encoded here.
    Form(Vec<(String, FormValue)>),
}

/// A budget of its own for some calls, beside the account's pace.
///
/// ActiveCampaign allows 20 imports a minute of a single contact, for example, while other calls go
/// on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Calls with the same name share the budget.
    pub name: &'static str,
    /// Evenly spaced requests a minute; at least 1.
    pub requests_per_minute: u32,
}

/// One request, as an adapter describes it.
///
/// Its `Debug` shows operation, method and path only.
#[derive(Clone)]
pub struct Call {
    /// The name in logs, errors and the journal, for example `groups/search`.
    pub operation: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path below the account's base URL; empty for the base URL itself. Each segment is
    /// encoded here.
    pub path: String,
    /// Query parameters, encoded here. Never put a secret into them: URLs end up in the logs of
    /// proxies.
    pub query: Vec<(String, String)>,
    /// Request headers, all treated as secret.
    pub headers: Vec<(String, SecretString)>,
    /// The body.
    pub body: CallBody,
    /// Whether it changes anything.
    pub effect: Effect,
    /// How long the whole exchange may take; `None` means the account's own.
    pub timeout: Option<Duration>,
    /// How many bytes the answer may have after decompression; `None` means the account's own.
    pub max_body: Option<u64>,
    /// Whether the provider is known to answer 403 without meaning it; then it is asked at most
    /// twice more.
    pub forbidden_is_spurious: bool,
    /// Statuses besides 2xx whose body holds an answer that the decoder understands. 429 and 5xx
    /// are never among them.
    pub decoded_statuses: &'static [u16],
    /// A budget that this call shares with others of its kind.
    pub lane: Option<Lane>,
}

impl Call {
    /// A read with no body, no headers and the account's defaults.
    pub fn read(operation: &'static str, method: Method, path: impl Into<String>) -> Self {
        Self {
            operation,
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: CallBody::Empty,
            effect: Effect::Read,
            timeout: None,
            max_body: None,
            forbidden_is_spurious: false,
            decoded_statuses: &[],
            lane: None,
        }
    }

    /// A write with no body, no headers and the account's defaults.
    pub fn write(operation: &'static str, method: Method, path: impl Into<String>) -> Self {
        Self {
            effect: Effect::Write,
            ..Self::read(operation, method, path)
        }
    }

    /// Turns the call into what goes over the wire; the error never contains a value.
    pub(crate) fn wire(&self, base_url: &Url) -> Result<Wire, String> {
        let (content_type, body) = match &self.body {
            CallBody::Empty => (None, Vec::new()),
            CallBody::Json(json) => (Some("application/json"), json.clone()),
            CallBody::Form(pairs) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in pairs {
                    form.append_pair(name, value.expose());
                }
                (
                    Some("application/x-www-form-urlencoded"),
                    form.finish().into_bytes(),
                )
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if self.method != Method::Get || !body.is_empty() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        for (name, value) in &self.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                "a header's name has characters that are not allowed there".to_owned()
            })?;
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
                format!("the value of header {parsed} has characters that are not allowed there")
            })?;
            value.set_sensitive(true);
            headers.insert(parsed, value);
        }
        Ok(Wire {
            method: self.method,
            url: join(base_url, &self.path, &self.query)?,
            headers,
            body: Bytes::from(body),
        })
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation)
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Appends a path to the base URL without ever replacing a part of it.
///
/// Plain URL resolution would drop the last segment of a base without a trailing slash (emfluence's
/// `/v1`), and all of it for a path that begins with one.
fn join(base_url: &Url, path: &str, query: &[(String, String)]) -> Result<Url, String> {
    if !matches!(base_url.scheme(), "http" | "https") {
        return Err("base_url is neither http nor https".to_owned());
    }
    let mut url = base_url.clone();
    url.set_fragment(None);
    let path = path.trim_matches('/');
    if !path.is_empty() {
        // A dot segment would walk out of the base; the library drops them silently, which is no
        // better.
        if path
            .split('/')
            .any(|segment| matches!(segment, "." | ".." | ""))
        {
            return Err("a path segment is empty or made of dots".to_owned());
        }
        url.path_segments_mut()
            .map_err(|()| "base_url can't have a path".to_owned())?
            .pop_if_empty()
            .extend(path.split('/'));
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// A call ready to be sent, as often as needed.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A complete answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The media type as sent. Providers mislabel answers, so decode by content.
    pub content_type: Option<String>,
    /// How long the provider asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The body, downloaded to its end.
    pub body: Body,
}

impl Reply {
    /// An answer made from bytes at hand, for codec tests.
    pub fn from_bytes(status: u16, content_type: Option<&str>, body: &[u8]) -> Self {
        Self {
            status,
            content_type: content_type.map(str::to_owned),
            retry_after: None,
            body: Body::from_bytes(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, path: &str) -> String {
        join(&Url::parse(base).unwrap(), path, &[])
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_path_never_replaces_a_part_of_the_base() {
        for base in ["https://api.example.org/v1", "https://api.example.org/v1/"] {
            for path in ["helper/ping", "/helper/ping", "helper/ping/"] {
                assert_eq!(joined(base, path), "https://api.example.org/v1/helper/ping");
            }
        }
        assert_eq!(
            joined("https://api.example.org/api-xml", ""),
            "https://api.example.org/api-xml"
        );
        assert_eq!(
            joined("https://a.example.org", "admin/api.php"),
            "https://a.example.org/admin/api.php"
        );
        assert_eq!(
            joined("https://a.example.org/x", "a b/c?d#e"),
            "https://a.example.org/x/a%20b/c%3Fd%23e"
        );
    }

    #[test]
    fn a_path_that_walks_out_of_the_base_is_refused() {
        let base = Url::parse("https://api.example.org/v1").unwrap();
        for path in ["../admin", "a/../b", "a//b", "./a"] {
            assert!(join(&base, path, &[]).is_err(), "{path}");
        }
        assert!(join(&Url::parse("mailto:ana@example.org").unwrap(), "a", &[]).is_err());
    }

    #[test]
    fn query_and_form_are_encoded() {
        let mut call = Call::write("contact_sync", Method::Post, "admin/api.php");
        call.query = vec![("filters[a&b]".into(), "x+y z".into())];
        call.body = CallBody::Form(vec![
            ("field[%TAG%,0]".into(), "a&b=c".into()),
            ("auth_token".into(), SecretString::from("s+1").into()),
        ]);
        let wire = call
            .wire(&Url::parse("https://a.example.org").unwrap())
            .unwrap();
        assert_eq!(wire.url.query(), Some("filters%5Ba%26b%5D=x%2By+z"));
        assert_eq!(
            &wire.body[..],
            b"field%5B%25TAG%25%2C0%5D=a%26b%3Dc&auth_token=s%2B1"
        );
        assert_eq!(wire.headers[CONTENT_LENGTH], wire.body.len().to_string());
    }

    #[test]
    fn a_call_shows_neither_body_nor_header_nor_query() {
        let mut call = Call::read("groups/search", Method::Post, "groups/search");
        call.headers = vec![("Authorization".into(), SecretString::from("Bearer hush"))];
        call.query = vec![("email".into(), "hush@example.org".into())];
        call.body = CallBody::Form(vec![("password".into(), "hush".into())]);
        let shown = format!("{call:?}");
        assert!(
            shown.contains("groups/search") && !shown.contains("hush"),
            "{shown}"
        );
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_named_without_its_value() {
        let mut call = Call::read("probe", Method::Get, "");
        call.headers = vec![("Api-Token".into(), SecretString::from("hush\n"))];
        let Err(error) = call.wire(&Url::parse("https://a.example.org").unwrap()) else {
            panic!("a line break in a header was accepted");
        };
        assert!(
            error.contains("api-token") && !error.contains("hush"),
            "{error}"
        );
    }
}
