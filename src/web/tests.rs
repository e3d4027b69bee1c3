//! The routes without a socket, on paused time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tower::ServiceExt as _;

use super::session::Peer;
use super::*;
use crate::config;

const TOKEN: &str = "open sesame";

/// The HTTP side of a service without a service.
struct Bench {
    directory: tempfile::TempDir,
    web: Web,
}

/// An answer with its body.
struct Reply {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: String,
}

impl Bench {
    fn new() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        let config = config(&directory, "token", "127.0.0.1:0");
        let store = Store::open(&config.state_path, Timestamp::UNIX_EPOCH).unwrap();
        let mut runner = RunnerOptions::default();
        let web = Web::start(&config, Arc::new(store), &mut runner).unwrap();
        web.beat();
        Bench { directory, web }
    }

    async fn send(&self, request: axum::http::request::Builder, body: &str) -> Reply {
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request
            .headers_mut()
            .entry(header::HOST)
            .or_insert("127.0.0.1:8087".parse().unwrap());
        let peer = Peer("192.0.2.1:999".parse().unwrap());
        request.extensions_mut().insert(peer);
        let routes = routes(&self.web.state, &self.web.limits);
        reply(routes.oneshot(request).await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path), "").await
    }

    async fn sign_in(&self, token: &str) -> Reply {
        let kind = "application/x-www-form-urlencoded";
        let request = Request::post("/sign-in").header(header::CONTENT_TYPE, kind);
        self.send(request, &format!("token={token}")).await
    }

    /// Signs in and returns the cookie as it is sent back.
    async fn cookie(&self) -> String {
        let reply = self.sign_in("open%20sesame").await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        let cookie = reply.header("set-cookie");
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn csrf(&self, cookie: &str) -> String {
        let reply = self.get_with("/api/v1/session", "cookie", cookie).await;
        let session: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        session["csrf"].as_str().unwrap().to_owned()
    }

    async fn get_with(&self, path: &str, name: &str, value: &str) -> Reply {
        self.send(Request::get(path).header(name, value), "").await
    }
}

impl Reply {
    fn header(&self, name: &str) -> String {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}"));
        value.to_str().unwrap().to_owned()
    }
}

async fn reply(response: Response) -> Reply {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn config(directory: &tempfile::TempDir, token: &str, listen: &str) -> Arc<Config> {
    let text = format!(
        "[providers.crm]\nkind = \"greenrope\"\naccount_id = \"1\"\nemail = \"ops@example.org\"\npassword = {{ env = \"P\" }}\n\
         [providers.mail]\nkind = \"emfluence\"\naccess_token = {{ env = \"T\" }}\n\
         [jobs.j]\nsource = \"crm\"\ntarget = \"mail\"\n\
         [daemon]\nlisten = \"{listen}\"\nadmin_token = {{ file = \"{token}\" }}\n"
    );
    let path = directory.path().join("rosterd.toml");
    let parsed = config::parse(&text, &path).unwrap_or_else(|findings| panic!("{findings}"));
    Arc::new(parsed.0)
}

#[tokio::test]
async fn a_session_begins_with_the_token_and_ends_when_it_is_asked_to() {
    let bench = Bench::new();
    let reply = bench.sign_in("open%20sesame").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    let cookie = reply.header("set-cookie");
    for word in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "it came over plain HTTP");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let status = bench.get_with("/api/v1/status", "cookie", &cookie).await;
    assert_eq!(status.status, StatusCode::OK, "{}", status.body);

    let csrf = bench.csrf(&cookie).await;
    let kind = "application/x-www-form-urlencoded";
    let sign_out = || {
        let request = Request::post("/sign-out").header(header::CONTENT_TYPE, kind);
        request.header("cookie", &cookie)
    };
    let forged = bench.send(sign_out(), "csrf=x").await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let done = bench.send(sign_out(), &format!("csrf={csrf}")).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let status = bench.get_with("/api/v1/status", "cookie", &cookie).await;
    assert_eq!(status.status, StatusCode::UNAUTHORIZED);
}

/// What a browser sends that shows its answer to a person.
const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

#[tokio::test]
async fn a_person_reads_a_sentence_where_a_form_is_not_taken() {
    let bench = Bench::new();
    let cookie = bench.cookie().await;
    let kind = "application/x-www-form-urlencoded";
    let form = |path: &str, kind: &str| {
        let request = Request::post(path).header(header::CONTENT_TYPE, kind);
        request.header("cookie", &cookie)
    };
    for (path, kind, body, says) in [
        (
            "/jobs/j/pause",
            kind,
            "csrf=guess",
            "may be forged by another site",
        ),
        (
            "/jobs/j/approve",
            kind,
            "csrf=guess",
            "form that was sent can&#39;t be read",
        ),
        (
            "/jobs/j/pause",
            "text/plain",
            "x",
            "form that was sent can&#39;t be read",
        ),
        (
            "/sign-out",
            kind,
            "csrf=guess",
            "may be forged by another site",
        ),
    ] {
        let program = bench.send(form(path, kind), body).await;
        assert!(program.status.is_client_error(), "{path}");
        assert_eq!(program.header("content-type"), "application/problem+json");
        let page = form(path, kind).header(header::ACCEPT, BROWSER);
        let page = bench.send(page, body).await;
        assert_eq!(page.status, program.status, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let text = page.body.replace('\'', "&#39;");
        assert!(
            text.starts_with("<!DOCTYPE html>") && text.contains(says),
            "{path}: {}",
            page.body
        );
        assert!(page.header("content-security-policy").contains("'none'"));
        if let Some(length) = page.headers.get("content-length") {
            assert_eq!(length.to_str().unwrap(), page.body.len().to_string());
        }
    }
    let lost = bench.get_with("/nowhere", "accept", BROWSER).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
    assert!(lost.body.contains("There is nothing at this address."));
    let other = Request::get("/").header(header::HOST, "evil.example");
    let other = bench.send(other.header(header::ACCEPT, BROWSER), "").await;
    assert_eq!(other.status, StatusCode::MISDIRECTED_REQUEST);
    assert!(other.body.starts_with("<!DOCTYPE html>"), "{}", other.body);
    let api = bench.get_with("/api/v1/nothing", "accept", BROWSER).await;
    assert_eq!(api.header("content-type"), "application/problem+json");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_by_itself() {
    let bench = Bench::new();
    let cookie = bench.cookie().await;
    tokio::time::advance(Duration::from_hours(11)).await;
    bench.web.beat();
    let path = "/api/v1/status";
    let status = bench.get_with(path, "cookie", &cookie).await;
    assert_eq!(status.status, StatusCode::OK);
    tokio::time::advance(Duration::from_hours(2)).await;
    let status = bench.get_with(path, "cookie", &cookie).await;
    assert_eq!(status.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn behind_a_proxy_with_tls_the_cookie_stays_there() {
    let bench = Bench::new();
    let request = Request::post("/sign-in")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::HOST, "localhost")
        .header(header::ORIGIN, "https://localhost");
    let reply = bench.send(request, "token=open%20sesame").await;
    assert!(reply.header("set-cookie").ends_with("; Secure"));
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_are_slowed_down_wherever_they_are_sent() {
    let bench = Bench::new();
    for number in 0..5 {
        let status = if number % 2 == 0 {
            let reply = bench.sign_in("guess").await;
            assert_eq!(reply.header("location"), "/sign-in?why=wrong");
            StatusCode::UNAUTHORIZED
        } else {
            let bearer = bench.get_with("/metrics", "authorization", "Bearer guess");
            bearer.await.status
        };
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    // Not even the right one: else each further guess would be free.
    let reply = bench.sign_in("open%20sesame").await;
    assert_eq!(reply.header("location"), "/sign-in?why=slow");
    let right = format!("Bearer {TOKEN}");
    let reply = bench.get_with("/metrics", "authorization", &right).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.header("retry-after"), "10");
    tokio::time::advance(Duration::from_secs(10)).await;
    let reply = bench.get_with("/metrics", "authorization", &right).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
}

#[tokio::test]
async fn a_login_at_a_proxy_in_front_is_no_try_at_the_token() {
    let bench = Bench::new();
    let cookie = bench.cookie().await;
    for _ in 0..10 {
        let request = Request::get("/api/v1/status").header("cookie", &cookie);
        let request = request.header("authorization", "Basic b3BzOnNlc2FtZQ==");
        assert_eq!(bench.send(request, "").await.status, StatusCode::OK);
        let basic = "Basic b3BzOnNlc2FtZQ==";
        let reply = bench.get_with("/metrics", "authorization", basic).await;
        assert_eq!(reply.status, StatusCode::OK);
        let stranger = bench.get_with("/api/v1/status", "authorization", basic);
        assert_eq!(stranger.await.status, StatusCode::UNAUTHORIZED);
    }
    let reply = bench.sign_in("open%20sesame").await;
    assert_eq!(reply.header("location"), "/");
}

#[tokio::test]
async fn a_change_takes_the_token_of_the_session_or_the_admin_token() {
    let bench = Bench::new();
    let cookie = bench.cookie().await;
    let csrf = bench.csrf(&cookie).await;
    let other = bench.cookie().await;
    let pause = || Request::post("/api/v1/jobs/j/pause");
    let bearer = format!("Bearer {TOKEN}");
    for (request, expected) in [
        (pause(), 401),
        (pause().header("cookie", &cookie), 403),
        (
            pause()
                .header("cookie", &other)
                .header("x-csrf-token", &csrf),
            403,
        ),
        (
            pause()
                .header("cookie", &cookie)
                .header("x-csrf-token", &csrf),
            200,
        ),
        (pause().header("authorization", &bearer), 200),
        (
            pause()
                .header("authorization", &bearer)
                .header("origin", "http://evil.example"),
            403,
        ),
        (
            pause()
                .header("cookie", &cookie)
                .header("x-csrf-token", &csrf)
                .header("sec-fetch-site", "same-site"),
            403,
        ),
        (
            pause()
                .header("authorization", &bearer)
                .header("host", "evil.example"),
            421,
        ),
    ] {
        let words = format!("{request:?}");
        let reply = bench.send(request, "").await;
        assert_eq!(reply.status.as_u16(), expected, "{words}: {}", reply.body);
        let kind = reply.header("content-type");
        assert!(
            expected == 200 || kind == "application/problem+json",
            "{kind}"
        );
    }
}

#[tokio::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let bench = Bench::new();
    for path in [
        "/healthz",
        "/nothing",
        "/api/v1/status",
        "/metrics",
        "/api/v1/openapi.json",
    ] {
        for host in ["localhost", "evil.example"] {
            let reply = bench.get_with(path, "host", host).await;
            let policy = reply.header("content-security-policy");
            assert!(policy.contains("default-src 'none'"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(reply.header("x-content-type-options"), "nosniff");
            assert_eq!(reply.header("cache-control"), "no-store");
            assert_eq!(reply.header("referrer-policy"), "same-origin");
        }
    }
}

#[tokio::test]
async fn a_config_that_was_refused_is_told_to_people_and_programs_alike() {
    let bench = Bench::new();
    let made = bench.web.state.write(|store| {
        store.service_began(7, Timestamp::now())?;
        store.set_channels(&["webhook"])?;
        store.service_keeps_config(Some("`jobs.j.mod` is not a key."))
    });
    made.await.unwrap();
    let metrics = bench.get("/metrics").await.body;
    for line in [
        "rosterd_needs_a_person 1",
        "rosterd_config_reload_refused 1",
        "rosterd_channel_failing{channel=\"webhook\"} 0",
        "rosterd_channel_given_up_messages{channel=\"webhook\"} 0",
    ] {
        assert!(
            metrics.lines().any(|known| known == line),
            "{line} in {metrics}"
        );
    }
    let cookie = bench.cookie().await;
    let status = bench.get_with("/api/v1/status", "cookie", &cookie).await;
    let status: serde_json::Value = serde_json::from_str(&status.body).unwrap();
    assert_eq!(status["needs_a_person"], true);
    assert_eq!(status["wrong_config"], "`jobs.j.mod` is not a key.");
    assert_eq!(status["channels"][0]["channel"], "webhook");
    let page = bench.get_with("/", "cookie", &cookie).await.body;
    assert!(page.contains("The service needs a person."), "{page}");
    let open = bench.get("/").await.body;
    assert!(open.contains("Something needs a person.") && !open.contains("not a key"));
}

#[tokio::test]
async fn a_long_body_is_not_taken_in() {
    let bench = Bench::new();
    let long = "x".repeat(65 * 1024);
    let request = Request::post("/api/v1/jobs/j/pause")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json");
    let reply = bench.send(request, &long).await;
    assert_eq!(
        reply.status,
        StatusCode::PAYLOAD_TOO_LARGE,
        "{}",
        reply.body
    );
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_is_not_healthy_though_it_answers() {
    let bench = Bench::new();
    for path in ["/healthz", "/readyz"] {
        let reply = bench.get(path).await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (StatusCode::OK, "ok\n")
        );
    }
    tokio::time::advance(Duration::from_secs(61)).await;
    for path in ["/healthz", "/readyz"] {
        let reply = bench.get(path).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            reply.body.contains("not been heard for 61 seconds"),
            "{}",
            reply.body
        );
    }
    bench.web.beat();
    assert_eq!(bench.get("/healthz").await.status, StatusCode::OK);
    bench.web.stopping();
    assert_eq!(bench.get("/healthz").await.status, StatusCode::OK);
    let ready = bench.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.body, "the service stops\n");
}

#[tokio::test]
async fn a_lost_state_database_is_not_ready() {
    let bench = Bench::new();
    std::fs::remove_file(bench.directory.path().join("rosterd.db")).unwrap();
    let reply = bench.get("/readyz").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!reply.body.contains("rosterd.db"), "no path for everybody");
    assert_eq!(bench.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_new_token_ends_every_session_and_a_bad_config_none() {
    let mut bench = Bench::new();
    let cookie = bench.cookie().await;
    let path = "/api/v1/status";
    let missing = config(&bench.directory, "missing", "127.0.0.1:0");
    assert!(matches!(
        bench.web.prepare(&missing),
        Err(WebError::Token(_))
    ));
    let same = config(&bench.directory, "token", "127.0.0.1:0");
    let prepared = bench.web.prepare(&same).unwrap();
    assert!(prepared.listener.is_none(), "the listener stays");
    bench.web.follow(&same, prepared);
    let status = bench.get_with(path, "cookie", &cookie).await;
    assert_eq!(status.status, StatusCode::OK);

    std::fs::write(bench.directory.path().join("token"), "another").unwrap();
    let prepared = bench.web.prepare(&same).unwrap();
    bench.web.follow(&same, prepared);
    let status = bench.get_with(path, "cookie", &cookie).await;
    assert_eq!(status.status, StatusCode::UNAUTHORIZED);
    let old = format!("Bearer {TOKEN}");
    let status = bench.get_with(path, "authorization", &old).await;
    assert_eq!(status.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_address_in_use_is_found_out_before_anything_begins() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut bench = Bench::new();
    let config = config(&bench.directory, "token", &address);
    let error = bench.web.prepare(&config).err().unwrap().to_string();
    assert!(
        error.starts_with(&format!(
            "`daemon.listen`: {address} can't be listened on: "
        )),
        "{error}"
    );
    drop(taken);
    let prepared = bench.web.prepare(&config).unwrap();
    bench.web.follow(&config, prepared);
    let at = bench.web.state.settings().address.unwrap();
    assert_eq!(at.to_string(), address, "it has moved there");
}

#[tokio::test]
async fn an_order_waits_for_the_loop_and_no_longer() {
    let mut bench = Bench::new();
    let state = bench.web.state.clone();
    let asked = tokio::spawn(async move { state.order("j", None).await });
    let order = bench.web.next_order().await;
    assert_eq!((order.job.as_str(), order.approve), ("j", None));
    order.answer.send(Answer::Running).unwrap();
    assert_eq!(asked.await.unwrap(), Answer::Running);
    bench.web.stopping();
    assert_eq!(bench.web.state.order("j", None).await, Answer::Stopping);
}
