//! When requests leave.

use super::*;

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
async fn too_fast_without_a_usable_number_means_a_pause_that_grows() {
    type Answer = fn() -> Response<WireBody>;
    let ways: [(&str, Answer); 4] = [
        ("no header", || {
            StatusCode::TOO_MANY_REQUESTS.into_response()
        }),
        ("a header that is no number", || {
            (StatusCode::TOO_MANY_REQUESTS, [("Retry-After", "soon")]).into_response()
        }),
        ("zero seconds", || {
            (StatusCode::TOO_MANY_REQUESTS, [("Retry-After", "0")]).into_response()
        }),
        ("said in the body", || {
            (StatusCode::BAD_REQUEST, "Rate limit exceeded.").into_response()
        }),
    ];
    for (name, answer) in ways {
        for effect in [Effect::Read, Effect::Write] {
            let arrivals = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&arrivals);
            let (router, _) = service(move |n| {
                seen.lock().unwrap().push(Instant::now());
                async move { if n < 5 { answer() } else { OK.into_response() } }
            });
            let account = account(router);
            let decode = |reply: &mut Reply| match reply.status {
                400 => Err(DecodeError::Throttled { after: None }),
                _ => decode(reply),
            };
            if effect == Effect::Read {
                let mut call = read_call();
                call.decoded_statuses = &[400];
                account.read(&call, decode).await.unwrap();
            } else {
                let mut call = write_call();
                call.decoded_statuses = &[400];
                account.write(&call, decode).await.unwrap();
            }
            let arrivals = arrivals.lock().unwrap();
            assert_eq!(arrivals.len(), 6, "{name} {effect:?}");
            for (at, pair) in arrivals.windows(2).enumerate() {
                // Zero is a number, if an odd one: no more than slower than at once is asked for.
                let growth = if name == "zero seconds" { 1 } else { 1 << at };
                let least = Duration::from_millis(500) * growth;
                let pause = pair[1] - pair[0];
                assert!(
                    pause >= least && pause <= least * 2,
                    "{name} {effect:?}: {pause:?} before repetition {at}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn too_fast_without_a_number_stops_the_whole_account() {
    let (router, count) = service(|n| async move {
        if n == 0 {
            StatusCode::TOO_MANY_REQUESTS.into_response()
        } else {
            OK.into_response()
        }
    });
    let mut options = options(router);
    options.concurrency = 2;
    let account = Account::new(options);
    let started = Instant::now();
    let other = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        account.read(&read_call(), decode).await.unwrap();
        started.elapsed()
    };
    let write_call = write_call();
    let (write, other) = tokio::join!(account.write(&write_call, decode), other);
    write.unwrap();
    assert!(other >= Duration::from_millis(500), "{other:?}");
    assert_eq!(other, started.elapsed(), "both wait for the same moment");
    assert_eq!(count.load(Ordering::SeqCst), 3);
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
    let started = Instant::now();
    let error = account.write(&write_call(), decode).await.unwrap_err();
    assert!(
        matches!(error, CallError::Throttled { retry_in, .. } if retry_in >= Duration::from_secs(16)),
        "{error}"
    );
    assert!(!error.may_have_been_done());
    assert_eq!(count.load(Ordering::SeqCst), 6);
    // Between half and all of 1 + 2 + 4 + 8 + 16 seconds.
    assert!(started.elapsed() >= Duration::from_millis(15_500));
    assert!(
        account.paused_for() >= Duration::from_secs(16),
        "giving up does not make the account free for the next call"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_pause_of_hours() {
    let (router, count) =
        service(|_| async { (StatusCode::TOO_MANY_REQUESTS, [("Retry-After", "7200")]) });
    let account = account(router);
    for _ in 0..2 {
        let error = account.read(&read_call(), decode).await.unwrap_err();
        assert!(
            matches!(error, CallError::Throttled { retry_in, .. } if retry_in == Duration::from_hours(2)),
            "{error}"
        );
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_in_the_body_is_one() {
    let (router, _) = service(|n| async move {
        if n == 0 {
            (StatusCode::BAD_REQUEST, "Rate limit exceeded.")
        } else {
            (StatusCode::OK, OK)
        }
    });
    let account = account(router);
    let mut call = write_call();
    call.decoded_statuses = &[400];
    let started = Instant::now();
    account
        .write(&call, |reply| match reply.status {
            400 => Err(DecodeError::Throttled {
                after: Some(Duration::from_secs(9)),
            }),
            _ => decode(reply),
        })
        .await
        .unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(9));
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
    assert!(
        matches!(error, CallError::DayQuota { limit: 10, .. }),
        "{error}"
    );
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
        call.lane = Some(Lane {
            name: "import-one",
            requests_per_minute: 20,
        });
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
