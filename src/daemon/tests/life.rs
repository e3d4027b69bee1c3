//! What others see of the service: systemd, the state database, and people who step in.

use super::*;
use crate::run::{Runner, SyncOptions};
use crate::state::{RunEnd, RunStart};

/// What systemd hears, in order.
fn heard(socket: &std::os::unix::net::UnixDatagram) -> Vec<String> {
    let mut all = Vec::new();
    let mut message = [0; 4096];
    socket.set_nonblocking(true).unwrap();
    while let Ok(length) = socket.recv(&mut message) {
        all.push(String::from_utf8(message[..length].to_vec()).unwrap());
    }
    all
}

/// What systemd hears besides that the service lives.
fn news(socket: &std::os::unix::net::UnixDatagram) -> Vec<String> {
    let mut all = heard(socket);
    all.retain(|said| said != "WATCHDOG=1\n");
    all
}

#[tokio::test(start_paused = true)]
async fn systemd_hears_of_readiness_reloads_life_and_the_end() {
    let mut bench = Bench::new(QUARTERLY);
    let path = bench.directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    bench.manager.socket = Some(path.into_os_string());
    bench.manager.patience = Some(Duration::from_secs(30));
    let (ask, served) = bench.start();
    sleep(minutes(1)).await;
    let beginning = heard(&socket);
    assert_eq!(beginning[0], "READY=1\n");
    assert_eq!(
        beginning[1],
        "STATUS=next: crm-to-mail at 2026-11-22 10:15:00 UTC\n"
    );
    let alive = beginning.iter().filter(|said| *said == "WATCHDOG=1\n");
    assert!((3..=4).contains(&alive.count()), "{beginning:?}");

    bench.change("schedule = \"whenever\"\n");
    ask.send(Asked::Reload).unwrap();
    sleep(Duration::from_secs(1)).await;
    let reload = news(&socket);
    let since = reload[0]
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .unwrap_or_else(|| panic!("{reload:?}"));
    assert!(since.trim().parse::<u64>().unwrap() > 0);
    assert_eq!(reload[1], "READY=1\n", "in every case it is ready again");
    assert!(
        reload[2].starts_with("STATUS=the new config is wrong and the old one stays: error: "),
        "{reload:?}"
    );
    let wrong = bench.store().wrong_config().unwrap().unwrap();
    assert!(
        wrong.contains("whenever") && wrong.contains("rosterd.toml"),
        "{wrong}"
    );

    bench.change(QUARTERLY);
    ask.send(Asked::Reload).unwrap();
    sleep(Duration::from_secs(1)).await;
    let reload = news(&socket);
    assert!(reload[0].starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(
        reload[1..3],
        [
            "READY=1\n",
            "STATUS=next: crm-to-mail at 2026-11-22 10:15:00 UTC\n"
        ]
    );
    assert_eq!(bench.store().wrong_config().unwrap(), None);

    bench.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_secs(20))).on("contacts/import"),
    );
    while !news(&socket)
        .iter()
        .any(|said| said.starts_with("STATUS=running: crm-to-mail; next: crm-to-mail at "))
    {
        sleep(Duration::from_secs(1)).await;
    }
    sleep(Duration::from_secs(1)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    let end = heard(&socket);
    assert!(end.contains(&"STOPPING=1\n".to_owned()), "{end:?}");
    let stopping = end.iter().find(|said| said.starts_with("STATUS=Stopping"));
    assert!(stopping.is_some(), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_for_a_day_is_asked_ever_more_seldom() {
    let bench = Bench::new(QUARTERLY);
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    bench
        .emulator
        .add_fault(FaultRule::every(Fault::ServerError(503)).at("mail"));
    sleep(minutes(24 * 60)).await;
    bench.emulator.clear_faults();
    let failed = bench.told().len() - 1;
    assert!((6..=10).contains(&failed), "{:?}", bench.told());
    // Somebody runs it by hand, and it goes well: the service does not wait for the end of the rest.
    let store = bench.store();
    let now: Timestamp = "2026-11-23T10:20:30Z".parse().unwrap();
    store
        .start_run(&RunStart {
            id: "by-hand".to_owned(),
            job: "crm-to-mail".to_owned(),
            trigger: "manual".to_owned(),
            started: now,
        })
        .unwrap();
    let end = RunEnd {
        finished: now,
        outcome: Outcome::Done,
        exit_code: 0,
        wrote: false,
        completed: true,
        summary: serde_json::Value::Null,
        error: None,
        measure: None,
        approved: None,
    };
    store.finish_run("by-hand", &end, &[]).unwrap();
    sleep(minutes(30)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    let runs = bench.runs();
    let [.., before, last] = runs.as_slice() else {
        panic!("{runs:?}")
    };
    let at = |run: &RunRecord| run.started.strftime("%H:%M").to_string();
    assert_eq!([at(before), at(last)], ["10:30", "10:45"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_job_goes_on_once_it_is_approved() {
    let bench = Bench::new(QUARTERLY);
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    bench.emulator.with_world(|world| {
        let crm = world.account_mut("crm");
        let group = crm.find_group("Donors").unwrap();
        for (contact, _) in crm.members_of(group).into_iter().skip(10) {
            crm.leave(group, contact);
        }
    });
    sleep(minutes(15)).await;
    let store = bench.store();
    let status = store.job_status("crm-to-mail").unwrap();
    let now = status.last_run.as_ref().unwrap().started;
    let waiting = store
        .waiting("crm-to-mail", status.last_run.as_ref(), now)
        .unwrap();
    let approval = waiting.approval.expect("it can be approved");
    let runner = Runner::new(
        Arc::new(bench.config()),
        Arc::new(store),
        RunnerOptions {
            clock: bench.clock(),
            transport: Some(Transport::Local(bench.emulator.router())),
            ..RunnerOptions::default()
        },
    );
    let options = SyncOptions {
        approve: Some(approval),
        ..SyncOptions::default()
    };
    let report = runner.sync("crm-to-mail", options).await.unwrap();
    assert_eq!(report.outcome.as_str(), "done");
    sleep(minutes(15)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    let ended: Vec<_> = bench.runs().into_iter().map(|run| run.outcome).collect();
    assert_eq!(
        ended,
        [
            Outcome::Done,
            Outcome::Refused,
            Outcome::Done,
            Outcome::Done
        ]
        .map(Some)
    );
    assert_eq!(bench.mailed(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_run_tells_the_state_how_far_it_has_come() {
    let bench = Bench::new(QUARTERLY);
    bench.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_secs(20))).on("contacts/import"),
    );
    let (ask, served) = bench.start();
    sleep(minutes(15) + Duration::from_secs(12)).await;
    let told = bench.store().under_way("crm-to-mail").unwrap().unwrap();
    assert_eq!(told.phase, "Writing to mail");
    assert!(told.expected > 0 && told.done <= told.expected, "{told:?}");
    assert_eq!(told.run, bench.runs()[0].id);
    sleep(minutes(2)).await;
    assert_eq!(bench.store().under_way("crm-to-mail").unwrap(), None);
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_does_not_wait_for_the_time_of_grace() {
    let bench = Bench::new(QUARTERLY);
    bench.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_secs(50))).on("contacts/import"),
    );
    let (ask, served) = bench.start();
    sleep(minutes(15) + Duration::from_secs(5)).await;
    assert_eq!(bench.told(), ["10:15 running"]);
    let asked = Instant::now();
    ask.send(Asked::Stop).unwrap();
    sleep(Duration::from_secs(2)).await;
    // A reload in between is none of its business.
    ask.send(Asked::Reload).unwrap();
    ask.send(Asked::Stop).unwrap();
    assert_eq!(served.await.unwrap().unwrap(), 0);
    assert!(asked.elapsed() < Duration::from_secs(3));
    bench.emulator.clear_faults();
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(
        bench.told(),
        ["10:15 interrupted", "10:15 done", "10:30 done"]
    );
    assert_eq!(bench.mailed(), 40);
    bench.assert_no_misuse();
}

/// Of a nightly job, what a stopped run had still to carry would wait for a day.
#[tokio::test(start_paused = true)]
async fn what_was_broken_off_goes_on_with_the_service_and_not_with_the_next_fire() {
    let bench = Bench::new("schedule = \"15 10 * * *\"");
    bench.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_secs(50))).on("contacts/import"),
    );
    let (_ask, served) = bench.start();
    sleep(minutes(15) + Duration::from_secs(5)).await;
    assert_eq!(bench.told(), ["10:15 running"]);
    // As by kill -9: nobody takes down that it ended.
    served.abort();
    assert!(served.await.is_err());
    bench.emulator.clear_faults();
    let (ask, served) = bench.start();
    sleep(minutes(10)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(bench.told().last().unwrap(), "10:15 done");
    assert_eq!(bench.mailed(), 40);
    bench.assert_no_misuse();
    // Once is enough.
    let (ask, served) = bench.start();
    sleep(minutes(10)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(bench.told().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn jobs_come_and_go_while_a_run_goes_on() {
    let other =
        "[jobs.other]\nsource = \"crm\"\ntarget = \"campaigns\"\nschedule = \"*/15 * * * *\"\n";
    let bench = Bench::new(QUARTERLY);
    bench.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_secs(20))).on("contacts/import"),
    );
    let (ask, served) = bench.start();
    sleep(minutes(15) + Duration::from_secs(5)).await;
    assert_eq!(bench.told(), ["10:15 running"]);
    bench.change_jobs(other);
    ask.send(Asked::Reload).unwrap();
    sleep(minutes(20)).await;
    let jobs = |bench: &Bench| -> Vec<String> {
        let tell = |run: RunRecord| {
            let ended = run.outcome.map_or("running", Outcome::as_str);
            format!("{} {} {ended}", run.job, run.started.strftime("%H:%M"))
        };
        bench.runs().into_iter().map(tell).collect()
    };
    assert_eq!(
        jobs(&bench),
        ["crm-to-mail 10:15 done", "other 10:30 done"],
        "the run ends under the old config, and there is no further one"
    );
    assert_eq!(bench.mailed(), 40);
    bench.change_jobs(&(only(QUARTERLY) + other));
    ask.send(Asked::Reload).unwrap();
    sleep(minutes(15)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    let mut last = jobs(&bench).split_off(2);
    last.sort();
    assert_eq!(last, ["crm-to-mail 10:45 done", "other 10:45 done"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_left_to_others_starts_when_a_reload_takes_it_over() {
    let others = "jobs = [\"other-*\"]\n".to_owned() + &only(QUARTERLY);
    let bench = Bench::of(&others);
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    assert_eq!(bench.told(), [""; 0]);
    bench.change(QUARTERLY);
    ask.send(Asked::Reload).unwrap();
    sleep(minutes(15)).await;
    assert_eq!(
        bench.told(),
        ["10:30 done"],
        "what others ran is not made up for"
    );
    bench.change_jobs(&others);
    ask.send(Asked::Reload).unwrap();
    sleep(minutes(30)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(bench.told(), ["10:30 done"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_hangs_tells_systemd_nothing() {
    let mut bench = Bench::new(QUARTERLY);
    let path = bench.directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    bench.manager.socket = Some(path.into_os_string());
    let patience = Duration::from_millis(200);
    bench.manager.patience = Some(patience);
    let read = bench.reader();
    let (begins, begun) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let reads = std::sync::atomic::AtomicUsize::new(0);
    let (ask, served) = bench.start_reading(move || {
        // The first time is that of the start.
        if reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            begins.send(()).unwrap();
            released.recv().unwrap();
        }
        read()
    });
    let until = |wanted: &str| {
        let mut message = [0; 4096];
        socket.set_nonblocking(false).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        loop {
            let length = socket.recv(&mut message).expect("it is told");
            if message[..length] == *wanted.as_bytes() {
                return;
            }
        }
    };
    tokio::task::block_in_place(|| {
        until("WATCHDOG=1\n");
        ask.send(Asked::Reload).unwrap();
        begun.recv().unwrap();
        let before = heard(&socket);
        assert!(before.last().unwrap().starts_with("RELOADING=1"));
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(patience * 3)).unwrap();
        let silence = socket.recv(&mut [0; 4096]);
        assert!(silence.is_err(), "systemd gives up on it by now");
        release.send(()).unwrap();
        until("READY=1\n");
        until("WATCHDOG=1\n");
    });
    ask.send(Asked::Stop).unwrap();
    assert_eq!(served.await.unwrap().unwrap(), 0);
}
