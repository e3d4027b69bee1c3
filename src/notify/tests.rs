//! Receivers that are dead, slow, broken, and well again.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::*;
use crate::config;
use crate::http::Transport;
use crate::run::RunnerOptions;
use crate::state::{RunEnd, RunStart, Store};

/// What the webhook's secret is in these tests, and the key that it stands for.
const SECRET: &str = "whsec_cm9zdGVyZC10ZXN0cw==";
const KEY: &[u8] = b"rosterd-tests";

/// How a receiver answers.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Status(u16),
    /// Not within any patience.
    Never,
}

/// A web address that takes messages, and answers as it is told.
#[derive(Clone, Default)]
struct Receiver {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    got: Arc<Mutex<Vec<Got>>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
struct Got {
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }
}

impl Receiver {
    fn answering(answers: &[Answer]) -> Receiver {
        let receiver = Receiver::default();
        receiver.answers.lock().unwrap().extend(answers);
        receiver
    }

    fn router(&self) -> axum::Router {
        let receiver = self.clone();
        axum::Router::new().fallback(move |request: Request| {
            let receiver = receiver.clone();
            async move { receiver.take(request).await }
        })
    }

    async fn take(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
        self.got.lock().unwrap().push(Got {
            path: parts.uri.path().to_owned(),
            headers: parts.headers,
            body,
        });
        let answer = self.answers.lock().unwrap().pop_front();
        match answer.unwrap_or(Answer::Status(204)) {
            Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
            Answer::Never => {
                sleep(Duration::from_hours(1)).await;
                StatusCode::OK.into_response()
            }
        }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// The kinds of what came, in order.
    fn kinds(&self) -> Vec<String> {
        self.got().iter().map(Got::kind).collect()
    }
}

/// A runner whose config has these lines under `[notify]`.
struct Desk {
    runner: Runner,
    runs: std::cell::Cell<u32>,
    _directory: tempfile::TempDir,
}

impl Desk {
    fn new(notify: &str, transport: Option<Transport>) -> Desk {
        Desk::over(notify, transport, Arc::new(Store::in_memory()))
    }

    fn over(notify: &str, transport: Option<Transport>, store: Arc<Store>) -> Desk {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("hook"), SECRET).unwrap();
        std::fs::write(directory.path().join("mail"), "hunter2").unwrap();
        let text = format!("[providers]\n[notify]\n{notify}\n");
        let path = directory.path().join("rosterd.toml");
        let (config, _) = config::parse(&text, &path).unwrap_or_else(|found| panic!("{found}"));
        let began = Instant::now();
        let clock = move || {
            let ten: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
            ten + SignedDuration::try_from(began.elapsed()).unwrap()
        };
        let options = RunnerOptions {
            transport,
            clock: Arc::new(clock),
            ..RunnerOptions::default()
        };
        Desk {
            runner: Runner::new(Arc::new(config), store, options),
            runs: std::cell::Cell::new(0),
            _directory: directory,
        }
    }

    /// Writes down that a run of a job ended.
    fn run(&self, job: &str, outcome: Outcome) {
        let store = self.runner.store();
        let number = self.runs.get();
        self.runs.set(number + 1);
        let now = self.runner.now();
        let id = format!("run-{number}-{}", now.as_nanosecond());
        store
            .start_run(&RunStart {
                id: id.clone(),
                job: job.to_owned(),
                trigger: "schedule".to_owned(),
                started: now,
            })
            .unwrap();
        let end = RunEnd {
            finished: now,
            outcome,
            exit_code: outcome.exit_code(),
            wrote: false,
            completed: false,
            summary: serde_json::json!({"members": {"create": 1}}),
            error: Some("crm: ana@example.org was refused".to_owned()),
            measure: None,
            approved: None,
        };
        store.finish_run(&id, &end, &[]).unwrap();
    }
}

const HOOK: &str =
    "webhook = { url = \"http://127.0.0.1/services/s3cret\", secret = { file = \"hook\" } }";

/// An implementation of its own: the hash of the outer key and the hash of the inner one.
fn hmac(key: &[u8], message: &[u8]) -> String {
    let padded = |with: u8| -> Vec<u8> {
        (0..64)
            .map(|at| key.get(at).copied().unwrap_or(0) ^ with)
            .collect()
    };
    let inner = digest(&SHA256, &[&padded(0x36), message].concat());
    STANDARD.encode(digest(&SHA256, &[&padded(0x5c), inner.as_ref()].concat()))
}

#[tokio::test(start_paused = true)]
async fn a_dead_receiver_is_told_once_it_lives_under_the_same_id_and_signed() {
    let receiver = Receiver::answering(&[
        Answer::Status(500),
        Answer::Never,
        Answer::Status(302),
        Answer::Status(200),
    ]);
    let desk = Desk::new(HOOK, Some(Transport::Local(receiver.router())));
    let notifier = Notifier::of_service(&desk.runner);
    let telling = notifier.serve();
    desk.run("crm-to-mail", Outcome::Failed);
    notifier.ended("crm-to-mail", None);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(receiver.got().len(), 1, "it is told at once");
    sleep(Duration::from_mins(30)).await;
    let got = receiver.got();
    assert_eq!(
        got.len(),
        4,
        "and again until it was taken, and not once more"
    );
    let mut seconds = Vec::new();
    for request in &got {
        assert_eq!(request.path, "/services/s3cret");
        assert_eq!(request.header("webhook-id"), got[0].header("webhook-id"));
        let stamp = request.header("webhook-timestamp");
        let id = request.header("webhook-id");
        let signed = [format!("{id}.{stamp}.").as_bytes(), &request.body].concat();
        let expected = format!("v1,{}", hmac(KEY, &signed));
        assert_eq!(request.header("webhook-signature"), expected);
        seconds.push(stamp.parse::<i64>().unwrap());
    }
    let apart: Vec<i64> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(apart[0], 10);
    assert!(apart.windows(2).all(|pair| pair[0] < pair[1]), "{apart:?}");
    let text = String::from_utf8(got[0].body.clone()).unwrap();
    assert!(
        text.contains("(address) was refused") && !text.contains("ana@"),
        "{text}"
    );
    desk.run("crm-to-mail", Outcome::Done);
    notifier.inner.bell.send_replace(());
    sleep(Duration::from_mins(1)).await;
    assert_eq!(receiver.kinds()[3..], ["job.failing", "job.well"]);
    telling.end(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_is_left_alone_and_that_is_known() {
    let receiver = Receiver::answering(&[Answer::Status(410)]);
    let desk = Desk::new(HOOK, Some(Transport::Local(receiver.router())));
    let notifier = Notifier::of_service(&desk.runner);
    let telling = notifier.serve();
    desk.run("crm-to-mail", Outcome::Failed);
    sleep(Duration::from_hours(24)).await;
    assert_eq!(receiver.got().len(), 1);
    let fares = desk.runner.store().channels().unwrap().pop().unwrap();
    assert_eq!((fares.given_up, fares.waiting), (1, 0));
    let why = fares.why.unwrap();
    assert_eq!(why, "http://127.0.0.1 wants no more messages (HTTP 410)");
    telling.leave();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_stays_dead_is_given_up_after_days_and_is_in_nobodys_way() {
    let receiver = Receiver::answering(&[Answer::Never; 40]);
    let text = format!("{HOOK}\nalive = \"http://127.0.0.1/alive\"");
    let desk = Desk::new(&text, Some(Transport::Local(receiver.router())));
    let notifier = Notifier::of_service(&desk.runner);
    let telling = notifier.serve();
    desk.run("crm-to-mail", Outcome::Failed);
    // Nothing of this waits for a receiver.
    let before = Instant::now();
    notifier.ended("crm-to-mail", None);
    desk.run("other", Outcome::Failed);
    assert_eq!(before.elapsed(), Duration::ZERO);
    sleep(Duration::from_hours(24 * 4)).await;
    let fares = desk.runner.store().channels().unwrap().pop().unwrap();
    assert_eq!((fares.given_up, fares.waiting), (2, 0));
    assert_eq!(receiver.got().len(), 24, "twelve attempts for each of two");
    telling.leave();
}

#[tokio::test(start_paused = true)]
async fn what_was_not_told_before_a_kill_is_told_by_the_next_process_once() {
    let store = Arc::new(Store::in_memory());
    let receiver = Receiver::answering(&[Answer::Never]);
    let transport = || Some(Transport::Local(receiver.router()));
    let desk = Desk::over(HOOK, transport(), store.clone());
    let notifier = Notifier::of_service(&desk.runner);
    let telling = notifier.serve();
    desk.run("crm-to-mail", Outcome::Failed);
    notifier.inner.bell.send_replace(());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.got().len(), 1);
    // Killed where it stands: nobody knows whether the receiver has it.
    drop(telling);
    drop(notifier);
    let mut next = Desk::over(HOOK, transport(), store);
    // The clock goes on.
    next.runner = Runner::new(
        Arc::new(next.runner.config().clone()),
        next.runner.shared_store(),
        desk.runner.options().clone(),
    );
    let notifier = Notifier::of_service(&next.runner);
    let telling = notifier.serve();
    // And the job fails on, of which nobody is told again.
    next.run("crm-to-mail", Outcome::Failed);
    sleep(Duration::from_mins(10)).await;
    let got = receiver.got();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    telling.leave();
}

#[tokio::test(start_paused = true)]
async fn the_ping_is_sent_after_a_good_run_and_tried_again() {
    let receiver = Receiver::answering(&[Answer::Status(503), Answer::Status(200)]);
    let desk = Desk::new(
        "alive = \"http://127.0.0.1/alive\"",
        Some(Transport::Local(receiver.router())),
    );
    let notifier = Notifier::of_service(&desk.runner);
    let telling = notifier.serve();
    sleep(Duration::from_mins(5)).await;
    assert!(receiver.got().is_empty());
    notifier.inner.went_well.notify_one();
    sleep(Duration::from_mins(5)).await;
    let got = receiver.got();
    assert_eq!(got.len(), 2);
    assert!(
        got.iter()
            .all(|request| request.path == "/alive" && request.body.is_empty())
    );
    telling.leave();
}

#[tokio::test(start_paused = true)]
async fn a_command_ends_although_its_receiver_does_not_answer() {
    let receiver = Receiver::answering(&[Answer::Never]);
    let desk = Desk::new(HOOK, Some(Transport::Local(receiver.router())));
    let notifier = Notifier::of_command(&desk.runner);
    desk.run("crm-to-mail", Outcome::Failed);
    let before = Instant::now();
    notifier.finish().await;
    assert!(before.elapsed() <= LAST_BOUND);
    let fares = desk.runner.store().channels().unwrap().pop().unwrap();
    assert_eq!(fares.waiting, 1);
    // The next one tells it, and not at once.
    notifier.finish().await;
    assert_eq!(receiver.got().len(), 1);
    sleep(Duration::from_secs(11)).await;
    notifier.finish().await;
    assert_eq!(receiver.kinds(), ["job.failing", "job.failing"]);
}

/// A mail server that takes one connection after the other, and keeps what it was given.
#[derive(Clone, Default)]
struct MailServer {
    mails: Arc<Mutex<Vec<String>>>,
    /// What it says to each recipient.
    to_recipient: Arc<Mutex<String>>,
    logins: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    async fn listen(&self, tls: Option<tokio_rustls::TlsAcceptor>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        *self.to_recipient.lock().unwrap() = "250 fine".to_owned();
        let server = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                match &tls {
                    None => server.converse(stream).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            server.converse(stream).await;
                        }
                    }
                }
            }
        });
        port
    }

    async fn converse(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut stream = BufReader::new(stream);
        let mut answer = "220 mail.test ready".to_owned();
        loop {
            if stream
                .write_all(format!("{answer}\r\n").as_bytes())
                .await
                .is_err()
            {
                return;
            }
            stream.flush().await.ok();
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let word = line
                .split([' ', ':', '\r'])
                .next()
                .unwrap_or_default()
                .to_uppercase();
            answer = match word.as_str() {
                "EHLO" => "250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN".to_owned(),
                "RCPT" => self.to_recipient.lock().unwrap().clone(),
                "AUTH" => {
                    self.logins.lock().unwrap().push(line.trim().to_owned());
                    "235 welcome".to_owned()
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await.unwrap();
                    stream.flush().await.ok();
                    let mut mail = String::new();
                    while !mail.ends_with("\r\n.\r\n") {
                        stream.read_line(&mut mail).await.unwrap();
                    }
                    self.mails.lock().unwrap().push(mail);
                    "250 2.0.0 queued for ops@example.org".to_owned()
                }
                _ => "250 fine".to_owned(),
            };
        }
    }
}

fn mail_to(smtp: &str) -> String {
    format!(
        "email = {{ smtp = \"{smtp}\", user = \"ops\", password = {{ file = \"mail\" }}, from = \"rosterd@example.org\", to = [\"ops@example.org\"] }}"
    )
}

#[tokio::test]
async fn mail_is_taken_on_although_the_webhook_is_dead() {
    let server = MailServer::default();
    let port = server.listen(None).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!(
        "webhook = {{ url = \"http://{}/services/s3cret\" }}",
        free.local_addr().unwrap()
    );
    drop(free);
    let text = format!("{hook}\n{}", mail_to(&format!("smtp://127.0.0.1:{port}")));
    let desk = Desk::new(&text, None);
    let notifier = Notifier::of_command(&desk.runner);
    desk.run("crm-to-mail", Outcome::Failed);
    notifier.finish().await;
    let mails = server.mails.lock().unwrap().clone();
    assert_eq!(mails.len(), 1);
    assert!(
        mails[0].contains("Subject: [rosterd] crm-to-mail fails\r\n"),
        "{}",
        mails[0]
    );
    assert!(
        mails[0].contains("Auto-Submitted: auto-generated\r\n"),
        "{}",
        mails[0]
    );
    let (_, body) = mails[0].split_once("\r\n\r\n").unwrap();
    assert!(!body.contains('@'), "{body}");
    let login = STANDARD.encode("\0ops\0hunter2");
    assert_eq!(
        *server.logins.lock().unwrap(),
        [format!("AUTH PLAIN {login}")]
    );
    let channels = desk.runner.store().channels().unwrap();
    let [email, webhook] = channels.as_slice() else {
        panic!("{channels:?}")
    };
    assert_eq!((email.waiting, email.failing_since), (0, None));
    assert_eq!(webhook.waiting, 1);
    let why = webhook.why.as_deref().unwrap();
    assert!(
        why.contains("refuses connections") && !why.contains("s3cret"),
        "{why}"
    );
}

#[tokio::test]
async fn what_a_mail_server_says_names_nobody() {
    let server = MailServer::default();
    let port = server.listen(None).await;
    *server.to_recipient.lock().unwrap() =
        "550 5.1.1 <ops@example.org> is not known, hunter2 or not".to_owned();
    let desk = Desk::new(&mail_to(&format!("smtp://127.0.0.1:{port}")), None);
    let tested = test(desk.runner.config(), None, desk.runner.now()).await;
    let why = tested[0].result.clone().unwrap_err();
    assert!(why.contains("550") && why.contains("(address)"), "{why}");
    assert!(!why.contains("ops@") && !why.contains("hunter2"), "{why}");
    *server.to_recipient.lock().unwrap() = "250 fine".to_owned();
    let tested = test(desk.runner.config(), None, desk.runner.now()).await;
    assert_eq!(
        tested[0].result.as_deref(),
        Ok("127.0.0.1 took it: 250 2.0.0 queued for (address)")
    );
}

#[tokio::test]
async fn a_mail_server_shows_a_certificate_that_is_trusted() {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    let chain = vec![CertificateDer::from_pem_file(fixtures.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixtures.join("server.key")).unwrap();
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let server = MailServer::default();
    let port = server.listen(Some(Arc::new(tls).into())).await;
    let mail = mail_to(&format!("smtps://127.0.0.1:{port}"));
    let desk = Desk::new(&mail, None);
    let tested = test(desk.runner.config(), None, desk.runner.now()).await;
    let why = tested[0].result.clone().unwrap_err();
    assert!(
        why.contains("certificate") && why.contains("ca_file"),
        "{why}"
    );
    assert!(server.mails.lock().unwrap().is_empty());
    let authority = fixtures.join("authority.pem");
    let trusting = format!("{mail}\nca_file = \"{}\"", authority.display());
    let desk = Desk::new(&trusting, None);
    let tested = test(desk.runner.config(), None, desk.runner.now()).await;
    assert!(tested[0].result.is_ok(), "{tested:?}");
    let mails = server.mails.lock().unwrap().clone();
    assert!(
        mails[0].contains("this is a test, and nothing has happened"),
        "{}",
        mails[0]
    );
}
