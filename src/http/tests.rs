//! Accounts against small routers, with time standing still, and against a few real sockets.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body as WireBody, Bytes};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::Url;

use super::*;

/// A router that answers the n-th request (from 0) with `answer(n)`, and the count of requests.
fn service<F, A, R>(answer: F) -> (Router, Arc<AtomicU32>)
where
    F: Fn(u32) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = R> + Send,
    R: IntoResponse,
{
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let router = Router::new().fallback(move || {
        let answer = answer(counter.fetch_add(1, Ordering::SeqCst));
        async move { answer.await.into_response() }
    });
    (router, count)
}

fn options(router: Router) -> AccountOptions {
    let base = Url::parse("https://api.example.org/v1").unwrap();
    AccountOptions::new("mail", base, Transport::Local(router))
}

fn account(router: Router) -> Account {
    Account::new(options(router))
}

fn read_call() -> Call {
    Call::read("groups/search", Method::Post, "groups/search")
}

fn write_call() -> Call {
    Call::write("groups/save", Method::Post, "groups/save")
}

/// Takes JSON-looking bodies for answers and everything else for none.
fn decode(reply: &mut Reply) -> Result<String, DecodeError> {
    let text = String::from_utf8(reply.body.bytes_capped(1000)?).unwrap();
    if text.starts_with('{') { Ok(text) } else { Err(DecodeError::NotAnAnswer("no JSON".to_owned())) }
}

const OK: &str = "{}";

#[tokio::test(start_paused = true)]
async fn twenty_six_calls_at_three_hundred_a_minute_take_five_seconds() {
    let (router, count) = service(|_| async { OK });
    let mut options = options(router);
    options.requests_per_minute = Some(300);
    options.concurrency = 4;
    let account = Account::new(options);
    let started = Instant::now();
    // Two jobs share the account.
    let half = |account: Account| async move {
        for _ in 0..13 {
            account.read(&read_call(), decode).await.unwrap();
        }
    };
    tokio::join!(half(account.clone()), half(account.clone()));
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert_eq!(count.load(Ordering::SeqCst), 26);
    assert_eq!(account.statistics().reads, 26);
    assert_eq!(account.statistics().bytes, 52);
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_allowed() {
    let under_way = Arc::new(AtomicU32::new(0));
    let most = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&most);
    let (router, _) = service(move |_| {
        let (under_way, most) = (Arc::clone(&under_way), Arc::clone(&most));
        async move {
            let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            under_way.fetch_sub(1, Ordering::SeqCst);
            OK
        }
    });
    let mut options = options(router);
    options.concurrency = 2;
    let account = Account::new(options);
    let started = Instant::now();
    let call = read_call();
    let reads = (0..6).map(|_| account.read(&call, decode));
    for outcome in futures_util::future::join_all(reads).await {
        outcome.unwrap();
    }
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    assert_eq!(started.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn retry_after_stops_the_whole_account() {
    for status in [429, 503] {
        let (router, count) = service(move |n| async move {
            let answer = Response::builder();
            if n == 0 {
                let answer = answer.status(status).header("Retry-After", "30");
                return answer.body(WireBody::empty()).unwrap();
            }
            answer.body(WireBody::from(OK)).unwrap()
        });
        let mut options = options(router);
        options.concurrency = 2;
        let account = Account::new(options);
        let started = Instant::now();
        let other = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            account.read(&read_call(), decode).await.unwrap();
            started.elapsed()
        };
        let write_call = write_call();
        let (write, other) = tokio::join!(account.write(&write_call, decode), other);
        write.unwrap();
        assert_eq!(started.elapsed(), Duration::from_secs(30));
        assert_eq!(other, Duration::from_secs(30));
        assert_eq!(count.load(Ordering::SeqCst), 3);
        let statistics = account.statistics();
        assert_eq!((statistics.throttled, statistics.retries), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_begins_also_for_those_who_already_wait_for_their_slot() {
    let (router, _) = service(|_| async { OK });
    let mut options = options(router);
    options.requests_per_minute = Some(60);
    options.concurrency = 3;
    let account = Account::new(options);
    let started = Instant::now();
    let call = read_call();
    let reads = (0..3).map(|_| async {
        account.read(&call, decode).await.unwrap();
        started.elapsed().as_millis()
    });
    let pause = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        account.pause_for(Duration::from_secs(20));
    };
    let (times, ()) = tokio::join!(futures_util::future::join_all(reads), pause);
    let mut times = times;
    times.sort_unstable();
    assert_eq!(times, [0, 20_500, 21_500]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_never_ends_is_reported_as_one() {
    let (router, count) = service(|_| async { StatusCode::TOO_MANY_REQUESTS });
    let account = account(router);
    let error = account.write(&write_call(), decode).await.unwrap_err();
    assert!(matches!(error, CallError::Throttled { .. }), "{error}");
    assert!(!error.may_have_been_done());
    assert_eq!(count.load(Ordering::SeqCst), 6);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_pause_of_hours() {
    let (router, count) = service(|_| async { (StatusCode::TOO_MANY_REQUESTS, [("Retry-After", "7200")]) });
    let account = account(router);
    for _ in 0..2 {
        let error = account.read(&read_call(), decode).await.unwrap_err();
        assert!(matches!(error, CallError::Throttled { retry_in, .. } if retry_in == Duration::from_hours(2)), "{error}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_in_the_body_is_one() {
    let (router, _) =
        service(|n| async move { if n == 0 { (StatusCode::BAD_REQUEST, "Rate limit exceeded.") } else { (StatusCode::OK, OK) } });
    let account = account(router);
    let mut call = write_call();
    call.decoded_statuses = &[400];
    let started = Instant::now();
    account
        .write(&call, |reply| match reply.status {
            400 => Err(DecodeError::Throttled { after: Some(Duration::from_secs(9)) }),
            _ => decode(reply),
        })
        .await
        .unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn a_read_gets_through_every_kind_of_trouble() {
    let (router, count) = service(|n| async move {
        let broken = futures_util::stream::iter([Ok(Bytes::from_static(b"{")), Err(io::Error::other("cable pulled"))]);
        let answer = Response::builder();
        match n {
            0 => answer.status(500).body(WireBody::empty()),
            1 => answer.body(WireBody::from_stream(broken)),
            2 => answer.body(WireBody::from("<html>Bad gateway</html>")),
            3 => answer.header("Content-Length", "100").body(WireBody::from_stream(futures_util::stream::iter([Ok::<_, io::Error>("{}")]))),
            4 => {
                tokio::time::sleep(Duration::from_secs(120)).await;
                answer.body(WireBody::from(OK))
            }
            _ => answer.body(WireBody::from(OK)),
        }
        .unwrap()
    });
    let account = account(router);
    let started = Instant::now();
    assert_eq!(account.read(&read_call(), decode).await.unwrap(), OK);
    assert_eq!(count.load(Ordering::SeqCst), 6);
    assert_eq!(account.statistics().retries, 5);
    let waited = started.elapsed() - Duration::from_secs(60);
    // Between half and all of 1 + 2 + 4 + 8 + 16 seconds.
    assert!(waited > Duration::from_millis(15_500) && waited < Duration::from_secs(31));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_sent_once_when_its_outcome_is_unknown() {
    type Answer = fn() -> Response<WireBody>;
    let broken: [(&str, Answer); 5] = [
        ("status 500", || StatusCode::INTERNAL_SERVER_ERROR.into_response()),
        ("status 503 without Retry-After", || StatusCode::SERVICE_UNAVAILABLE.into_response()),
        ("HTML", || "<html>".into_response()),
        ("empty", || "".into_response()),
        ("reset", || {
            let mut response = OK.into_response();
            response.extensions_mut().insert(LocalFault::Reset);
            response
        }),
    ];
    for (name, answer) in broken {
        let (router, count) = service(move |_| async move { answer() });
        let account = account(router);
        let error = account.write(&write_call(), decode).await.unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{name}: {error}");
        assert!(error.may_have_been_done());
        assert_eq!(count.load(Ordering::SeqCst), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_times_out_is_not_sent_again() {
    let (router, count) = service(|_| async {
        tokio::time::sleep(Duration::from_secs(120)).await;
        OK
    });
    let account = account(router);
    let mut call = write_call();
    call.timeout = Some(Duration::from_secs(30));
    let started = Instant::now();
    let error = account.write(&call, decode).await.unwrap_err();
    assert!(matches!(error, CallError::OutcomeUnknown { problem: Problem::TimedOut(_), .. }), "{error}");
    assert_eq!(started.elapsed(), Duration::from_secs(30));
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert_eq!(account.statistics().writes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_never_sent_is_sent_again() {
    let (router, count) = service(|n| async move {
        let mut response = OK.into_response();
        if n < 2 {
            response.extensions_mut().insert(LocalFault::Refused);
        }
        response
    });
    let account = account(router);
    assert_eq!(account.write(&write_call(), decode).await.unwrap(), OK);
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_judged_is_final() {
    let check = async |status: u16, forbidden_is_spurious: bool, requests: u32| {
        let (router, count) = service(move |_| async move { StatusCode::from_u16(status).unwrap() });
        let account = account(router);
        let mut call = read_call();
        call.forbidden_is_spurious = forbidden_is_spurious;
        let error = account.read(&call, decode).await.unwrap_err();
        assert_eq!(count.load(Ordering::SeqCst), requests, "{status}");
        error
    };
    let error = check(401, true, 1).await;
    assert!(matches!(error, CallError::Denied { .. }), "{error}");
    let error = check(403, false, 1).await;
    assert!(matches!(error, CallError::Denied { .. }), "{error}");
    let error = check(403, true, 3).await;
    assert!(matches!(error, CallError::Denied { .. }), "{error}");
    let error = check(302, false, 1).await;
    assert!(matches!(error, CallError::Protocol { .. }), "{error}");
    let error = check(404, false, 1).await;
    assert!(matches!(&error, CallError::Refused { refusal, .. } if refusal.code.as_deref() == Some("HTTP 404")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_the_decoder_judged_is_final() {
    let check = async |found: DecodeError| {
        let (router, count) = service(|_| async { OK });
        let account = account(router);
        let error = account.write(&write_call(), |_| Err::<(), _>(found.clone())).await.unwrap_err();
        assert_eq!(count.load(Ordering::SeqCst), 1);
        (error.may_have_been_done(), error.to_string())
    };
    let refusal = Refusal::new(Some("301"), "Already\r\n\u{7}there", Some("r-1"));
    assert_eq!(
        check(DecodeError::Refused(refusal)).await,
        (
            false,
            "mail: groups/save was refused by the provider: Already there (code 301, request r-1); correct the item or the config, then try again".to_owned()
        )
    );
    assert!(check(DecodeError::Protocol("no data key".into())).await.0);
    assert!(!check(DecodeError::LoginExpired("token".into())).await.0);
    assert!(!check(DecodeError::Denied("rights".into())).await.0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_is_cut_short() {
    let (router, count) = service(|_| async {
        let pieces = futures_util::stream::repeat_with(|| Ok::<_, io::Error>([b'x'; 1000].to_vec()));
        WireBody::from_stream(pieces)
    });
    let account = account(router);
    let mut read = read_call();
    read.max_body = Some(5000);
    let error = account.read(&read, decode).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge { limit: 5000, .. }), "{error}");
    let mut write = write_call();
    write.max_body = Some(5000);
    let error = account.write(&write, decode).await.unwrap_err();
    assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_provider_is_left_alone_and_tried_again() {
    let down = Arc::new(AtomicU32::new(1));
    let switch = Arc::clone(&down);
    let (router, count) = service(move |_| {
        let down = switch.load(Ordering::SeqCst) == 1;
        async move { if down { Err(StatusCode::BAD_GATEWAY) } else { Ok(OK) } }
    });
    let account = account(router);
    let error = account.read(&read_call(), decode).await.unwrap_err();
    assert!(matches!(error, CallError::Network { attempts: 6, .. }), "{error}");
    let error = account.read(&read_call(), decode).await.unwrap_err();
    let CallError::CircuitOpen { retry_in, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(count.load(Ordering::SeqCst), 8);
    let error = account.write(&write_call(), decode).await.unwrap_err();
    assert!(!error.may_have_been_done());
    assert_eq!(count.load(Ordering::SeqCst), 8);

    // A probe whose caller goes away must not block the next one.
    tokio::time::sleep(retry_in).await;
    down.store(0, Ordering::SeqCst);
    let call = read_call();
    drop(account.read(&call, decode));
    assert_eq!(account.read(&call, decode).await.unwrap(), OK);
    assert_eq!(account.read(&call, decode).await.unwrap(), OK);
}

#[tokio::test(start_paused = true)]
async fn the_quota_of_the_day_is_kept_across_restarts() {
    let (router, count) = service(|_| async { OK });
    let mut options = options(router);
    options.requests_per_day = Some(10);
    let account = Account::new(options);
    account.count_earlier_requests(9);
    account.read(&read_call(), decode).await.unwrap();
    let error = account.read(&read_call(), decode).await.unwrap_err();
    assert!(matches!(error, CallError::DayQuota { limit: 10, .. }), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    tokio::time::sleep(Duration::from_hours(25)).await;
    account.read(&read_call(), decode).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lane_is_slower_than_the_account() {
    let (router, _) = service(|_| async { OK });
    let mut options = options(router);
    options.requests_per_minute = Some(240);
    options.concurrency = 2;
    let account = Account::new(options);
    let started = Instant::now();
    let slow = async {
        let mut call = write_call();
        call.lane = Some(Lane { name: "import-one", requests_per_minute: 20 });
        for _ in 0..4 {
            account.write(&call, decode).await.unwrap();
        }
        started.elapsed()
    };
    let fast = async {
        for _ in 0..10 {
            account.read(&read_call(), decode).await.unwrap();
        }
        started.elapsed()
    };
    let (slow, fast) = tokio::join!(slow, fast);
    assert_eq!(slow, Duration::from_secs(9));
    assert!(fast < Duration::from_secs(3), "{fast:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_must_go_through_the_door_of_its_kind() {
    let (router, count) = service(|_| async { OK });
    let account = account(router);
    let error = account.read(&write_call(), decode).await.unwrap_err();
    assert!(matches!(error, CallError::Unsendable { .. }), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_reaches_log_or_error() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || writer.clone()).finish();
    // Log sites that another test met first remember that nobody listened; let them exist, then ask them again.
    let (quick, _) = service(|_| async { OK });
    account(quick).read(&read_call(), decode).await.unwrap();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::callsite::rebuild_interest_cache();

    let (router, _) = service(|n| async move {
        match n {
            0 => StatusCode::BAD_GATEWAY.into_response(),
            1 => StatusCode::TOO_MANY_REQUESTS.into_response(),
            2 => "<html>hush</html>".into_response(),
            3 => OK.into_response(),
            _ => (StatusCode::BAD_REQUEST, "hush").into_response(),
        }
    });
    let account = account(router);
    let mut call = read_call();
    call.query = vec![("email".into(), "hush@example.org".into())];
    call.headers = vec![("Authorization".into(), SecretString::from("Bearer hush"))];
    call.body = CallBody::Form(vec![("password".into(), SecretString::from("hush").into()), ("xml".into(), "hush".into())]);
    account.read(&call, decode).await.unwrap();
    let mut shown = String::new();
    let refused = account.read(&call, decode).await.unwrap_err();
    let dead = {
        let mut options = options(Router::new());
        options.transport = Transport::network(&NetworkOptions::default()).unwrap();
        options.base_url = Url::parse("http://127.0.0.1:9").unwrap();
        options.max_retries = 0;
        Account::new(options)
    };
    let refused_connection = dead.read(&call, decode).await.unwrap_err();
    for error in [refused, refused_connection] {
        shown.push_str(&format!("{error} {error:?}\n"));
    }
    shown.push_str(&format!("{call:?} {account:?} {:?}", Reply::from_bytes(200, None, b"hush")));
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("Request is repeated after a pause."), "{logged}");
    assert!(logged.contains("status=502"), "{logged}");
    let ours: String = logged.lines().filter(|line| line.contains("rosterd")).collect();
    assert!(!ours.contains("hush"), "{ours}");
    assert!(!logged.contains("Bearer hush") && !shown.contains("hush"), "{shown}");
}

/// A server on a real socket: for each connection takes in one request and does what it is told.
async fn socket<F, A>(serve: F) -> Url
where
    F: Fn(String, tokio::net::TcpStream) -> A + Send + 'static,
    A: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !request.ends_with(b"=end") {
                let n = stream.read(&mut piece).await.unwrap();
                if n == 0 {
                    break;
                }
                request.extend_from_slice(&piece[..n]);
            }
            serve(String::from_utf8(request).unwrap(), stream).await;
        }
    });
    Url::parse(&format!("http://{address}/v1")).unwrap()
}

fn network_account(base_url: Url) -> Account {
    let transport = Transport::network(&NetworkOptions::default()).unwrap();
    let mut options = AccountOptions::new("mail", base_url, transport);
    options.max_retries = 0;
    Account::new(options)
}

fn ending_call(mut call: Call) -> Call {
    call.body = CallBody::Form(vec![("a".into(), "end".into())]);
    call
}

#[tokio::test]
async fn a_request_on_the_wire_has_its_length_and_is_not_chunked() {
    let seen = Arc::new(Mutex::new(String::new()));
    let store = Arc::clone(&seen);
    let base = socket(move |request, mut stream| {
        *store.lock().unwrap() = request;
        async move {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
                .await
                .unwrap();
        }
    })
    .await;
    let account = network_account(base);
    let answer = account.write(&ending_call(write_call()), decode).await;
    assert_eq!(answer.unwrap(), OK);
    let request = seen.lock().unwrap().to_lowercase();
    assert!(request.starts_with("post /v1/groups/save http/1.1\r\n"), "{request}");
    assert!(request.contains("content-length: 5\r\n"), "{request}");
    assert!(!request.contains("transfer-encoding") && !request.contains("expect:"), "{request}");
    assert!(request.contains("user-agent: rosterd/"), "{request}");
    assert_eq!(request.matches("content-length").count(), 1, "{request}");
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_a_write_unknown() {
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"] {
        let base = socket(move |_, mut stream| async move {
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let account = network_account(base);
        let error = account.write(&ending_call(write_call()), decode).await.unwrap_err();
        assert!(matches!(error, CallError::OutcomeUnknown { problem: Problem::ConnectionBroken(_), .. }), "{error}");
    }
}

#[tokio::test]
async fn a_refused_connection_leaves_a_write_undone() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}", free.local_addr().unwrap())).unwrap();
    drop(free);
    let account = network_account(base);
    let error = account.write(&write_call(), decode).await.unwrap_err();
    assert!(matches!(error, CallError::Network { problem: Problem::NotConnected(_), attempts: 1, .. }), "{error}");
    assert!(!error.may_have_been_done());
    assert!(!error.to_string().contains("http://"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_local_router_sees_what_a_server_would_see() {
    let router = Router::new().route(
        "/v1/groups/search",
        axum::routing::post(|headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["host"], "api.example.org");
            assert_eq!(headers["content-length"], body.len().to_string());
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!(&body[..], b"{\"page\":1}");
            OK
        }),
    );
    let mut call = read_call();
    call.body = CallBody::Json(b"{\"page\":1}".to_vec());
    let read = account(router)
        .read(&call, |reply| {
            assert_eq!(reply.content_type.as_deref(), Some("text/plain; charset=utf-8"));
            let mut text = String::new();
            reply.body.reader().read_to_string(&mut text).unwrap();
            Ok(text)
        })
        .await;
    assert_eq!(read.unwrap(), OK);
}

#[test]
fn a_certificate_file_must_exist_and_hold_certificates() {
    let missing = NetworkOptions { ca_file: Some("/nonexistent/ca.pem".into()), ..NetworkOptions::default() };
    let error = Transport::network(&missing).unwrap_err();
    assert!(matches!(error, TransportError::CaFile { .. }), "{error}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "not a certificate").unwrap();
    let wrong = NetworkOptions { ca_file: Some(file.path().to_owned()), ..NetworkOptions::default() };
    let error = Transport::network(&wrong).unwrap_err();
    assert!(matches!(error, TransportError::CaFormat { .. }), "{error}");
}
