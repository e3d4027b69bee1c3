//! Rule 5 at every step: a process that ends at any moment of the journal, or any copy of its
//! files, is followed by one that finishes the work.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use futures_util::FutureExt;
use jiff::Timestamp;
use rosterd::emulator::World;
use rosterd::run::SyncOptions;
use rosterd::state::{JournalMoment, Store};

use crate::support::eventful::{COURSES, Course, Stage, created, doubled, expected_operations};
use crate::support::{Bench, assert_same, digest, tell};

/// What an undisturbed run leads to.
struct Calm {
    digest: Vec<String>,
    created: Vec<String>,
    moments: Vec<JournalMoment>,
}

async fn calm(stage: &Stage, course: Course) -> Calm {
    let bench = stage.enter();
    let planned = bench.plan().await;
    let operations: BTreeSet<&str> = planned
        .plan
        .operations
        .iter()
        .map(rosterd::plan::Edit::op)
        .collect();
    let expected = expected_operations(course);
    assert!(
        operations.is_superset(&expected),
        "{course:?}: {:?} are missing",
        expected.difference(&operations)
    );
    let moments = watched(&bench);
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    bench.store.watch_journal(|_| ());
    let moments = moments.lock().unwrap().clone();
    let calm = Calm {
        digest: bench.account(course.target, |account| digest(account)),
        created: created(&bench.emulator, course.target),
        moments,
    };
    bench.assert_settled().await;
    calm
}

fn watched(bench: &Bench) -> Arc<Mutex<Vec<JournalMoment>>> {
    let moments = Arc::new(Mutex::new(Vec::new()));
    let seen = moments.clone();
    bench
        .store
        .watch_journal(move |moment| seen.lock().unwrap().push(moment));
    moments
}

/// Runs the job and ends the process at the nth moment, from 0.
async fn die_at(bench: &Bench, nth: usize) {
    bench.rest().await;
    let count = AtomicUsize::new(0);
    bench.store.watch_journal(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) == nth {
            // A panic without its message: the run is gone in the middle of a step.
            std::panic::resume_unwind(Box::new("power cut"));
        }
    });
    let runner = bench.runner();
    let ended = AssertUnwindSafe(runner.sync("test", SyncOptions::default()))
        .catch_unwind()
        .await;
    assert!(ended.is_err(), "the run reached its moment {nth}");
    bench.store.watch_journal(|_| ());
}

async fn survives_every_moment(course: Course) {
    let stage = Stage::new(course).await;
    let calm = calm(&stage, course).await;
    assert!(calm.moments.len() > 40, "{} moments", calm.moments.len());
    for kind in [
        JournalMoment::IntentWritten,
        JournalMoment::IntentKept,
        JournalMoment::OutcomeWritten,
        JournalMoment::OutcomeKept,
    ] {
        assert!(calm.moments.contains(&kind));
    }
    for (nth, moment) in calm.moments.iter().enumerate() {
        let bench = stage.enter();
        die_at(&bench, nth).await;
        let place = format!("{course:?}, moment {nth}: {moment:?}");
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
        assert_same(
            &bench.account(course.target, |account| digest(account)),
            &calm.digest,
            &place,
        );
        assert_eq!(
            created(&bench.emulator, course.target),
            calm.created,
            "{place}"
        );
        bench.assert_idle(&place).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_at_any_moment_of_the_journal_is_followed_up_emfluence_archiving() {
    Box::pin(survives_every_moment(COURSES[0])).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_at_any_moment_of_the_journal_is_followed_up_emfluence_deleting() {
    Box::pin(survives_every_moment(COURSES[1])).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_at_any_moment_of_the_journal_is_followed_up_greenrope() {
    Box::pin(survives_every_moment(COURSES[2])).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_at_any_moment_of_the_journal_is_followed_up_activecampaign() {
    Box::pin(survives_every_moment(COURSES[3])).await;
}

/// Twice in a row: the run that follows the first end is ended as well.
#[tokio::test(start_paused = true)]
async fn a_process_that_ends_again_while_it_follows_up_is_followed_up() {
    for course in [COURSES[0], COURSES[2], COURSES[3]] {
        let stage = Stage::new(course).await;
        let calm = calm(&stage, course).await;
        for (first, second) in [(3, 0), (7, 1), (7, 6), (15, 2), (21, 9), (30, 3)] {
            let bench = stage.enter();
            die_at(&bench, first).await;
            die_at(&bench, second).await;
            let report = bench.sync().await;
            let place = format!("{course:?}, moments {first} and {second}");
            assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
            assert_same(
                &bench.account(course.target, |account| digest(account)),
                &calm.digest,
                &place,
            );
            assert_eq!(
                created(&bench.emulator, course.target),
                calm.created,
                "{place}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_that_writes_arrives_before_its_intent_is_kept() {
    for course in COURSES {
        let bench = Stage::new(course).await.enter();
        // One entry may take several requests, all of them between its intent and its outcome.
        let open = Arc::new(AtomicBool::new(false));
        let watched = open.clone();
        bench.store.watch_journal(move |moment| match moment {
            JournalMoment::IntentKept => watched.store(true, Ordering::SeqCst),
            JournalMoment::OutcomeKept => watched.store(false, Ordering::SeqCst),
            JournalMoment::IntentWritten | JournalMoment::OutcomeWritten => {}
        });
        let emulator = bench.emulator.clone();
        let wrong = Arc::new(Mutex::new(Vec::new()));
        let found = wrong.clone();
        let router = bench
            .emulator
            .router()
            .layer(from_fn(move |request: Request, next: Next| {
                let (emulator, open, found) = (emulator.clone(), open.clone(), found.clone());
                async move {
                    let journaled = open.load(Ordering::SeqCst);
                    let before = emulator.requests().len();
                    let answer = next.run(request).await;
                    let arrived = emulator.requests();
                    found.lock().unwrap().extend(
                        arrived[before..]
                            .iter()
                            .filter(|request| request.is_write && !journaled)
                            .map(|request| request.operation.clone()),
                    );
                    answer
                }
            }));
        bench.rest().await;
        let report = bench
            .runner_through(router)
            .sync("test", SyncOptions::default())
            .await
            .unwrap();
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new(), "{course:?}");
        assert!(bench.sent().len() > 8, "{course:?}");
    }
}

/// What a power cut leaves: the database's files and the accounts, at one moment.
struct Copied {
    files: Vec<(&'static str, Vec<u8>)>,
    world: World,
    created: Vec<String>,
}

const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

fn copy_files(path: &Path) -> Vec<(&'static str, Vec<u8>)> {
    SUFFIXES
        .into_iter()
        .filter_map(|suffix| Some((suffix, std::fs::read(with(path, suffix)).ok()?)))
        .collect()
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_the_files_at_any_request_is_a_database_that_finishes_the_work() {
    for course in COURSES {
        let stage = Stage::new(course).await;
        let calm = calm(&stage, course).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rosterd.db");
        let bench = stage.enter_at(&path);

        let copies = Arc::new(Mutex::new(Vec::new()));
        let (taken, original, emulator) = (copies.clone(), path.clone(), bench.emulator.clone());
        let target = course.target;
        let take = Arc::new(move || Copied {
            files: copy_files(&original),
            world: emulator.with_world(|world| world.clone()),
            created: created(&emulator, target),
        });
        let emulator = bench.emulator.clone();
        let router = bench
            .emulator
            .router()
            .layer(from_fn(move |request: Request, next: Next| {
                let (take, taken, emulator) = (take.clone(), taken.clone(), emulator.clone());
                async move {
                    let before = take();
                    let answer = next.run(request).await;
                    let requests = emulator.requests();
                    // While nothing is written the copies are alike, so that one in ten of those
                    // stands for the rest.
                    if requests.last().is_some_and(|request| request.is_write)
                        || requests.len().is_multiple_of(10)
                    {
                        taken.lock().unwrap().extend([before, take()]);
                    }
                    answer
                }
            }));
        bench.rest().await;
        let report = bench
            .runner_through(router)
            .sync("test", SyncOptions::default())
            .await
            .unwrap();
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        let copies = std::mem::take(&mut *copies.lock().unwrap());
        assert!(copies.len() > 30, "{} copies", copies.len());

        for (nth, copied) in copies.into_iter().enumerate() {
            let place = format!("{course:?}, copy {nth}");
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("rosterd.db");
            // The third file is an index that the next process can make anew: it may be there or
            // not.
            for (suffix, content) in copied
                .files
                .iter()
                .filter(|(suffix, _)| nth % 2 == 0 || *suffix != "-shm")
            {
                std::fs::write(with(&path, suffix), content).unwrap();
            }
            let store = Store::open(&path, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(
                store.integrity_check().unwrap(),
                Vec::<String>::new(),
                "{place}"
            );
            let woken = bench.woken(copied.world, store);
            let report = woken.sync().await;
            assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
            assert_same(
                &woken.account(target, |account| digest(account)),
                &calm.digest,
                &place,
            );
            assert_eq!(
                woken.account(target, |account| doubled(account)),
                Vec::<String>::new(),
                "{place}"
            );
            let mut all = [copied.created, created(&woken.emulator, target)].concat();
            all.sort();
            assert_eq!(all, calm.created, "{place}");
            woken.assert_idle(&place).await;
        }
    }
}
