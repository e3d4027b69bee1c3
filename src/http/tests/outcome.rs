//! What comes of an answer, and what is said about it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_read_gets_through_every_kind_of_trouble() {
    let (router, count) = service(|n| async move {
        let broken = futures_util::stream::iter([
            Ok(Bytes::from_static(b"{")),
            Err(io::Error::other("cable pulled")),
        ]);
        let answer = Response::builder();
        match n {
            0 => answer.status(500).body(WireBody::empty()),
            1 => answer.body(WireBody::from_stream(broken)),
            2 => answer.body(WireBody::from("<html>Bad gateway</html>")),
            3 => answer
                .header("Content-Length", "100")
                .body(WireBody::from_stream(futures_util::stream::iter([Ok::<
                    _,
                    io::Error,
                >(
                    "{}"
                )]))),
            4 => {
                tokio::time::sleep(Duration::from_mins(2)).await;
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
    // The timeout, and between half and all of 1 + 2 + 4 + 8 + 16 seconds.
    let waited = started.elapsed();
    assert!(waited > Duration::from_millis(75_500) && waited < Duration::from_secs(91));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_sent_once_when_its_outcome_is_unknown() {
    type Answer = fn() -> Response<WireBody>;
    let broken: [(&str, Answer); 5] = [
        ("status 500", || {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }),
        ("status 503 without Retry-After", || {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }),
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
        assert!(
            matches!(error, CallError::OutcomeUnknown { .. }),
            "{name}: {error}"
        );
        assert!(error.may_have_been_done());
        assert_eq!(count.load(Ordering::SeqCst), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_times_out_is_not_sent_again() {
    let (router, count) = service(|_| async {
        tokio::time::sleep(Duration::from_mins(2)).await;
        OK
    });
    let account = account(router);
    let mut call = write_call();
    call.timeout = Some(Duration::from_secs(30));
    let started = Instant::now();
    let error = account.write(&call, decode).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::OutcomeUnknown {
                problem: Problem::TimedOut(_),
                ..
            }
        ),
        "{error}"
    );
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
    let started = Instant::now();
    assert_eq!(account.write(&write_call(), decode).await.unwrap(), OK);
    assert_eq!(count.load(Ordering::SeqCst), 3);
    // Half of 1 + 2 seconds at least.
    assert!(started.elapsed() >= Duration::from_millis(1_500));
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_judged_is_final() {
    let check = async |status: u16, forbidden_is_spurious: bool, requests: u32| {
        let (router, count) =
            service(move |_| async move { StatusCode::from_u16(status).unwrap() });
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
    assert!(
        matches!(&error, CallError::Refused { refusal, .. } if refusal.code.as_deref() == Some("HTTP 404")),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_decoder_judged_is_final() {
    let check = async |found: DecodeError| {
        let (router, count) = service(|_| async { OK });
        let account = account(router);
        let error = account
            .write(&write_call(), |_| Err::<(), _>(found.clone()))
            .await
            .unwrap_err();
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
        let pieces =
            futures_util::stream::repeat_with(|| Ok::<_, io::Error>([b'x'; 1000].to_vec()));
        WireBody::from_stream(pieces)
    });
    let account = account(router);
    let mut read = read_call();
    read.max_body = Some(5000);
    let error = account.read(&read, decode).await.unwrap_err();
    assert!(
        matches!(error, CallError::TooLarge { limit: 5000, .. }),
        "{error}"
    );
    let mut write = write_call();
    write.max_body = Some(5000);
    let error = account.write(&write, decode).await.unwrap_err();
    assert!(matches!(error, CallError::OutcomeUnknown { .. }), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_provider_is_left_alone_and_tried_again() {
    const DOWN: u32 = 0;
    const SLOW: u32 = 1;
    const UP: u32 = 2;
    let mode = Arc::new(AtomicU32::new(DOWN));
    let switch = Arc::clone(&mode);
    let (router, count) = service(move |_| {
        let mode = switch.load(Ordering::SeqCst);
        async move {
            match mode {
                DOWN => return Err(StatusCode::BAD_GATEWAY),
                SLOW => tokio::time::sleep(Duration::from_secs(30)).await,
                _ => {}
            }
            Ok(OK)
        }
    });
    let account = account(router);
    // One question counts once, however often it is repeated: it may be what is the matter.
    for _ in 0..7 {
        let error = account.read(&read_call(), decode).await.unwrap_err();
        assert!(
            matches!(error, CallError::Network { attempts: 6, .. }),
            "{error}"
        );
    }
    let error = account.read(&read_call(), decode).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "mail: groups/search was not sent because the provider failed too often in a row (the server answered with HTTP status 502); try again in 30 s"
    );
    let CallError::CircuitOpen { retry_in, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(count.load(Ordering::SeqCst), 43);
    let error = account.write(&write_call(), decode).await.unwrap_err();
    assert!(!error.may_have_been_done());
    assert_eq!(count.load(Ordering::SeqCst), 43);

    // A probe whose caller goes away must not block the next one.
    tokio::time::sleep(retry_in).await;
    mode.store(SLOW, Ordering::SeqCst);
    let call = read_call();
    let impatient = tokio::time::timeout(Duration::from_secs(1), account.read(&call, decode));
    assert!(impatient.await.is_err());
    mode.store(UP, Ordering::SeqCst);
    assert_eq!(account.read(&call, decode).await.unwrap(), OK);
    assert_eq!(account.read(&call, decode).await.unwrap(), OK);
    assert_eq!(count.load(Ordering::SeqCst), 46);
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

/// Sends a call full of secrets through every kind of trouble; returns all that can be shown of it.
async fn troubled_call() -> String {
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
    call.body = CallBody::Form(vec![
        ("password".into(), SecretString::from("hush").into()),
        ("xml".into(), "hush".into()),
    ]);
    let careless = |reply: &mut Reply| {
        decode(reply)
            .map_err(|_| DecodeError::NotAnAnswer("hush@example.org is no JSON".to_owned()))
    };
    account.read(&call, careless).await.unwrap();
    let refused = account.read(&call, decode).await.unwrap_err();
    let reply = Reply::from_bytes(200, None, b"hush");
    format!("{refused} {refused:?} {call:?} {account:?} {reply:?}")
}

#[tokio::test(start_paused = true)]
async fn no_secret_reaches_log_or_error() {
    let log = Log::default();
    let listener = || {
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish()
    };
    let _guard = crate::testing::hear(listener());
    // A log site that another thread met just before has to be asked again, which works once that thread
    // is done with it.
    let mut logged = String::new();
    for _ in 0..1000 {
        tracing::callsite::rebuild_interest_cache();
        let shown = troubled_call().await;
        assert!(!shown.contains("hush"), "{shown}");
        logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        if logged.contains("status=502") && logged.contains("Request is repeated after a pause.") {
            break;
        }
        std::thread::yield_now();
    }
    assert!(
        logged.contains("Request is repeated after a pause."),
        "{logged}"
    );
    assert!(logged.contains("status=502"), "{logged}");
    assert!(!logged.contains("hush"), "{logged}");
}

/// The provider repeats what it was sent: neither a failure nor a refusal says it again.
#[tokio::test(start_paused = true)]
async fn secrets_in_the_providers_words_are_masked() {
    let account = account(service(|_| async { OK }).0);
    for secret in ["token-1234567890", "p&ss word"] {
        account.keep_out(&secrecy::SecretString::from(secret));
    }
    let words = "no right for token-1234567890 or p%26ss+word or p&amp;ss word";
    let said: [fn(&str) -> DecodeError; 5] = [
        |words| DecodeError::Denied(words.to_owned()),
        |words| DecodeError::LoginExpired(words.to_owned()),
        |words| DecodeError::Protocol(words.to_owned()),
        |words| DecodeError::NotAnAnswer(words.to_owned()),
        |words| DecodeError::Refused(Refusal::new(Some(words), words, Some(words))),
    ];
    for error in said {
        // What is no answer is asked for again, until the account is left alone.
        let failure = account
            .read(&read_call(), |_| Err::<(), _>(error(words)))
            .await
            .unwrap_err();
        let text = format!("{failure} {failure:?}");
        assert!(text.contains("(secret) or (secret) or (secret)"), "{text}");
        assert!(
            !text.contains("token-1234567890") && !text.contains("ss word"),
            "{text}"
        );
    }
}
