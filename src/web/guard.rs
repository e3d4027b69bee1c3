//! What holds for every request.
//!
//! A page of another site can have a browser send requests here, and a name that its owner points at
//! 127.0.0.1 makes such a page look like one of ours. The Host thus has to be a name under
//! which this listener is known, and whatever is not only read has to come from a page of it.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::page;
use super::problem::{self, Problem};
use super::serve::Limits;
use super::state::WebState;

/// No script or style but those that are served as files of their own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every answer says of itself. An answer that says something else is left as it is.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With `no-referrer` browsers would hide the origin of our own forms as well, and that is what a
    // forged request is told by. Other sites learn nothing either way.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Puts the guard around all routes.
pub(super) fn around(
    router: Router<WebState>,
    state: &WebState,
    limits: &Limits,
) -> Router<WebState> {
    router
        .fallback(|| async {
            Problem::new(
                StatusCode::NOT_FOUND,
                "There is nothing at this address.",
                "The status page is at `/`, and `/api/v1/openapi.json` lists what the API has.",
            )
        })
        .layer(DefaultBodyLimit::max(limits.body))
        .layer(from_fn_with_state((state.clone(), *limits), guard))
}

async fn guard(
    State((state, limits)): State<(WebState, Limits)>,
    request: Request,
    next: Next,
) -> Response {
    // Programs ask below `/api`, whatever they say that they take.
    let is_read_by_a_person =
        problem::wants_html(request.headers()) && !request.uri().path().starts_with("/api/");
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let judged = judge(&state, &limits, &request);
    let answer = next.run(request);
    let mut response = match judged {
        Err(problem) => problem.into_response(),
        Ok(()) if only_reads => tokio::time::timeout(limits.request, answer)
            .await
            .unwrap_or_else(|_| {
                too_slow("The request took too long, and was given up.").into_response()
            }),
        // What was begun comes to its end, and to its line in the log, also where nobody waits for it
        // any more.
        Ok(()) => match tokio::time::timeout(limits.request, tokio::spawn(answer)).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Err(_) => {
                too_slow("It took too long to wait for, and may still be done.").into_response()
            }
        },
    };
    if is_read_by_a_person {
        response = problem::as_page(response, page::trouble);
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

fn too_slow(what: &str) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        what,
        "Look how things are in a minute, and ask again.",
    )
    .retry_after(60)
}

fn judge(state: &WebState, limits: &Limits, request: &Request) -> Result<(), Problem> {
    let settings = state.settings();
    let host = host(request.uri(), request.headers());
    let known =
        host.is_some_and(|host| is_ours(host, settings.address, &settings.config.daemon.hosts));
    let Some(host) = host.filter(|_| known) else {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "This service is not known under the name that was asked for.",
            "Ask under the address of `daemon.listen`, or add the name to `daemon.hosts`.",
        ));
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.body as u64) {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The body is longer than {} bytes.", limits.body),
            "Nothing here takes a longer one.",
        ));
    }
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !only_reads && !comes_from_here(host, request.headers()) {
        if state.pulse().may_tell() {
            tracing::warn!(target: "rosterd::audit", outcome = "refused", "Audit: a page of another site asked for a change.");
        }
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "The request comes from a page of another site.",
            "Do it from the status page, or from a program that sends no `Origin`.",
        ));
    }
    Ok(())
}

/// Returns the one name that a request asks for.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    let same = uri
        .authority()
        .is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(host));
    (hosts.next().is_none() && same).then_some(host)
}

/// Takes the port off a name; an address of version 6 loses its brackets.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Tells whether a Host names this listener. Ports may differ: a tunnel or a proxy has another one.
fn is_ours(host: &str, address: Option<SocketAddr>, names: &[String]) -> bool {
    let name = without_port(host).trim_end_matches('.');
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    if let Ok(asked) = name.parse::<IpAddr>() {
        // Nobody can point somebody else's address here, so it is enough that one listens on all. That
        // of a proxy is in the config.
        let listens = address.map(|address| address.ip());
        let mut known = names.iter().filter_map(|name| name.parse::<IpAddr>().ok());
        return asked.is_loopback()
            || listens.is_some_and(|ip| ip == asked || ip.is_unspecified())
            || known.any(|known| known == asked);
    }
    let mut known = names.iter().map(|known| known.trim_end_matches('.'));
    known.any(|known| known.eq_ignore_ascii_case(name))
}

/// Tells whether a request that changes something was made by a page of this listener, or by no
/// browser at all.
fn comes_from_here(host: &str, headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(HeaderValue::to_str);
    let site = match text(&HeaderName::from_static("sec-fetch-site")) {
        None => None,
        Some(Ok(site)) => Some(site),
        Some(Err(_)) => return false,
    };
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    match text(&header::ORIGIN) {
        None => true,
        Some(Ok(origin)) => origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|origin| origin.eq_ignore_ascii_case(host)),
        Some(Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_listener_are_answered() {
        let loopback = Some("127.0.0.1:8087".parse().unwrap());
        let everywhere = Some("0.0.0.0:80".parse().unwrap());
        let inside = Some("192.0.2.1:8087".parse().unwrap());
        let names = ["rosterd.example.org", "dotted.example.org.", "203.0.113.9"];
        let names = names.map(str::to_owned);
        for (host, address, expected) in [
            ("127.0.0.1:8087", loopback, true),
            ("localhost", loopback, true),
            ("LOCALHOST:9999", loopback, true),
            ("[::1]:8087", loopback, true),
            ("127.9.9.9", loopback, true),
            ("rosterd.example.org", loopback, true),
            ("Rosterd.Example.org.:443", loopback, true),
            ("dotted.example.org", loopback, true),
            ("203.0.113.9:8443", loopback, true),
            ("203.0.113.8", loopback, false),
            ("evil.example", loopback, false),
            ("localhost.evil.example", loopback, false),
            ("127.0.0.1.evil.example", loopback, false),
            ("evil.example:127.0.0.1", loopback, false),
            ("192.0.2.1", loopback, false),
            ("", loopback, false),
            ("192.0.2.1:8087", inside, true),
            ("192.0.2.2:8087", inside, false),
            ("192.0.2.2", everywhere, true),
            ("evil.example", everywhere, false),
            ("[2001:db8::1]:80", everywhere, true),
            ("0x7f.1", loopback, false),
        ] {
            assert_eq!(is_ours(host, address, &names), expected, "{host}");
        }
    }

    #[test]
    fn a_change_comes_from_a_page_of_the_listener_or_from_no_browser() {
        let host = "127.0.0.1:8087";
        for (origin, site, expected) in [
            (None, None, true),
            (Some("http://127.0.0.1:8087"), None, true),
            (Some("http://127.0.0.1:8087"), Some("same-origin"), true),
            (None, Some("same-origin"), true),
            (Some("http://127.0.0.1:8088"), None, false),
            (Some("http://localhost:8087"), None, false),
            (Some("http://127.0.0.1:8087.evil.example"), None, false),
            (Some("https://evil.example"), None, false),
            (Some("null"), None, false),
            (Some("null"), Some("same-origin"), false),
            (None, Some("cross-site"), false),
            (None, Some("same-site"), false),
            (None, Some("none"), false),
            (Some("http://127.0.0.1:8087"), Some("cross-site"), false),
            (Some("file://127.0.0.1:8087"), None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            if let Some(site) = site {
                headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            }
            assert_eq!(
                comes_from_here(host, &headers),
                expected,
                "{origin:?} {site:?}"
            );
        }
    }
}
