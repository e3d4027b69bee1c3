//! Trouble around a run: services that ask for patience, clocks that jump, a journal that can't be
//! written.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::{Fault, FaultRule, Kind, RequestRecord, When};
use rosterd::plan::Blocked;
use rosterd::run::{ItemFailure, Progress, RunReport, RunnerOptions, SyncOptions};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::eventful::{COURSES, Course, Stage, created};
use crate::support::{
    Bench, DAY, assert_same, bench, digest, group_of, plain_world, shoe_size, tell,
};

async fn calm(stage: &Stage, course: Course) -> Vec<String> {
    let bench = stage.enter();
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    bench.account(course.target, |account| digest(account))
}

/// Requests to an account, each with the pause until the next one in milliseconds.
fn pauses(requests: &[RequestRecord], account: &str) -> Vec<(RequestRecord, Option<u64>)> {
    let own: Vec<&RequestRecord> = requests
        .iter()
        .filter(|request| request.account == account)
        .collect();
    own.iter()
        .enumerate()
        .map(|(at, request)| {
            (
                (*request).clone(),
                own.get(at + 1).map(|next| next.millis - request.millis),
            )
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_an_account_that_asked_for_patience_before_its_time() {
    for course in COURSES {
        let stage = Stage::new(course).await;
        let expected = calm(&stage, course).await;
        for account in [course.source, course.target] {
            let bench = stage.enter();
            let patience = Fault::TooManyRequests {
                retry_after: Some(97),
            };
            bench.emulator.add_fault(
                FaultRule::every(patience)
                    .at(account)
                    .when(When::EachNth(4)),
            );
            let report = bench.sync().await;
            assert_eq!(
                report.exit_code(),
                0,
                "{course:?} {account}: {}",
                tell(&report)
            );
            assert_same(
                &bench.account(course.target, |account| digest(account)),
                &expected,
                account,
            );
            let log = pauses(&bench.emulator.requests(), account);
            let refused: Vec<_> = log
                .iter()
                .filter(|(request, _)| request.status == 429)
                .collect();
            assert!(
                refused.len() >= 2,
                "{course:?} {account}: {} refused",
                refused.len()
            );
            for (request, pause) in refused {
                assert!(
                    pause.is_none_or(|pause| pause >= 97_000),
                    "{course:?}: {} was followed after {pause:?} ms",
                    request.operation
                );
            }
            bench.emulator.clear_faults();
            bench.assert_idle(account).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_renewed_once_and_not_for_ever() {
    let logins = |bench: &Bench| {
        bench
            .emulator
            .requests()
            .iter()
            .filter(|request| request.operation == "GetAuthToken")
            .count()
    };
    for operation in [
        "GetGroups",
        "GetContacts",
        "AddGroups",
        "AddContacts",
        "AddContactsToGroup",
    ] {
        let mut world = plain_world();
        group_of(world.account_mut("mail"), "One", "one", 6);
        let fresh = bench(world.clone(), "mail", "crm", "mode = \"managed\"");
        fresh.emulator.add_fault(
            FaultRule::every(Fault::ExpiredToken)
                .at("crm")
                .on(operation)
                .when(When::First(1)),
        );
        let report = fresh.sync().await;
        assert_eq!(report.exit_code(), 0, "{operation}: {}", tell(&report));
        let once = logins(&fresh);
        assert!(once <= 2, "{operation}: {once} logins");
        fresh.emulator.clear_faults();
        fresh.assert_idle(operation).await;

        let never = bench(world, "mail", "crm", "mode = \"managed\"");
        never.emulator.add_fault(
            FaultRule::every(Fault::ExpiredToken)
                .at("crm")
                .on("GetGroups"),
        );
        never.rest().await;
        let error = never
            .runner()
            .sync("test", SyncOptions::default())
            .await
            .err()
            .map(|error| (error.exit_code(), error.to_string()));
        assert!(
            error
                .as_ref()
                .is_some_and(|(code, words)| *code == 1 && words.contains("crm: ")),
            "{operation}: {error:?}"
        );
        assert!(
            logins(&never) <= 3,
            "{operation}: {} logins",
            logins(&never)
        );
        assert_eq!(never.sent(), [], "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_drips_is_given_up_and_is_not_taken_for_an_empty_one() {
    for (source, target, slow, operation) in [
        ("crm", "mail", "crm", "GetContacts"),
        ("mail", "crm", "mail", "groups/getContacts"),
        ("mail", "crm", "crm", "GetGroups"),
    ] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "One", "one", 8);
        let bench = bench(world, source, target, "mode = \"mirror\"");
        bench.settle().await;
        bench.writes();
        bench.emulator.add_fault(
            FaultRule::every(Fault::SlowDrip {
                bytes: 1,
                pause: 5_000,
            })
            .at(slow)
            .on(operation),
        );
        bench.rest().await;
        let result = bench.runner().sync("test", SyncOptions::default()).await;
        let code = result.as_ref().map_or_else(
            rosterd::run::RunError::exit_code,
            rosterd::run::RunReport::exit_code,
        );
        assert!(matches!(code, 1 | 4), "{operation}: {code}");
        assert_eq!(bench.sent(), [], "{operation}");
        bench.emulator.clear_faults();
        bench.pass(DAY);
        bench.assert_settled().await;
        assert_eq!(bench.members(target, "One").len(), 8);
    }
}

/// A stage whose database is a file, which fails to take the nth entry of its journal or what
/// became of it.
fn failing(stage: &Stage, directory: &TempDir, nth: usize, settling: bool) -> (Bench, Connection) {
    let path = directory.path().join("rosterd.db");
    let bench = stage.enter_at(&path);
    let connection = Connection::open(&path).unwrap();
    let last: i64 = connection
        .query_row("SELECT coalesce(max(id), 0) FROM journal", [], |row| {
            row.get(0)
        })
        .unwrap();
    let (event, row) = if settling {
        ("UPDATE ON journal_items", "OLD.entry")
    } else {
        ("INSERT ON journal", "NEW.id")
    };
    let number = last + nth as i64;
    connection
        .execute_batch(&format!("CREATE TRIGGER disk AFTER {event} WHEN {row} = {number} BEGIN SELECT RAISE(ABORT, 'no room'); END"))
        .unwrap();
    (bench, connection)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_journal_failed_and_the_next_run_recovers() {
    for course in [COURSES[0], COURSES[2], COURSES[3]] {
        let stage = Stage::new(course).await;
        let expected = calm(&stage, course).await;
        let all = {
            let bench = stage.enter();
            bench.sync().await;
            created(&bench.emulator, course.target)
        };
        for settling in [false, true] {
            for nth in 1.. {
                let directory = tempfile::tempdir().unwrap();
                let (bench, connection) = failing(&stage, &directory, nth, settling);
                let place = format!("{course:?}, entry {nth}, settling {settling}");
                bench.rest().await;
                let result = bench.runner().sync("test", SyncOptions::default()).await;
                let (code, words) = match &result {
                    Ok(report) => (report.exit_code(), report.error.clone().unwrap_or_default()),
                    Err(error) => (error.exit_code(), error.to_string()),
                };
                let sent = bench.writes().len();
                if code == 0 {
                    assert!(nth > 8, "{place}: the journal has more entries");
                    break;
                }
                assert_eq!(code, 1, "{place}: {words}");
                assert!(words.contains("rosterd.db"), "{place}: {words}");
                let kept: usize = connection
                    .query_row("SELECT count(*) FROM journal WHERE run = (SELECT id FROM runs ORDER BY started DESC LIMIT 1)", [], |row| {
                        row.get::<_, i64>(0)
                    })
                    .unwrap() as usize;
                // At ActiveCampaign one entry may take a request per person.
                let exact = course.target != "campaigns";
                assert!(
                    !exact || sent == kept,
                    "{place}: {sent} requests left and {kept} are in the journal"
                );
                connection.execute_batch("DROP TRIGGER disk").unwrap();
                let report = bench.sync().await;
                assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
                assert_same(
                    &bench.account(course.target, |account| digest(account)),
                    &expected,
                    &place,
                );
                assert_eq!(created(&bench.emulator, course.target), all, "{place}");
            }
        }
    }
}

/// Sets the clock by days at each step of a run.
struct Jumping<'a>(&'a Bench);

impl Progress for Jumping<'static> {
    fn stage(&self, _job: &str, _text: &str) {
        self.0.pass(-40 * DAY);
    }
    fn advance(&self, _job: &str, done: u64, _of: u64) {
        self.0.pass(if done.is_multiple_of(2) {
            90 * DAY
        } else {
            -70 * DAY
        });
    }
    fn finish(&self, _job: &str) {}
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_during_a_run_changes_nothing_of_it() {
    for course in COURSES {
        let stage = Stage::new(course).await;
        let expected = calm(&stage, course).await;
        let bench: &'static Bench = Box::leak(Box::new(stage.enter()));
        bench.rest().await;
        let options = RunnerOptions {
            progress: std::sync::Arc::new(Jumping(bench)),
            ..RunnerOptions::default()
        };
        let report = bench
            .runner_of(options)
            .sync("test", SyncOptions::default())
            .await
            .unwrap();
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        assert_same(
            &bench.account(course.target, |account| digest(account)),
            &expected,
            "clock",
        );
        bench.assert_idle("afterwards").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_between_runs_loses_nothing() {
    for (source, target) in [("crm", "mail"), ("mail", "crm")] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "One", "one", 20);
        let job = "mode = \"managed\"\nrefresh = \"6h\"\n[jobs.test.guards]\nmax_membership_removals = 3\nmax_membership_removals_per_group = \"none\"";
        let bench = bench(world, source, target, job);
        bench.settle().await;
        let leave = |numbers: std::ops::Range<usize>| {
            bench.account(source, |account| {
                let group = account.find_group("One").unwrap();
                for number in numbers {
                    let contact = account
                        .contact_by_email(&format!("one{number}@example.org"))
                        .unwrap();
                    account.leave(group, contact);
                }
            });
        };
        // Back: what is remembered is from the future now, and proves nothing; somebody has refused
        // meanwhile.
        bench.pass(-400 * DAY);
        bench.account(target, |account| {
            let contact = account.contact_by_email("one19@example.org").unwrap();
            account.opt_out_of_account(contact);
        });
        leave(0..2);
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        assert_eq!(bench.sent().len(), 1, "one removal");
        // An approval that is offered now and used after the clock was set back is used once.
        leave(2..8);
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 3, "{}", tell(&report));
        bench.pass(-30 * DAY);
        let report = bench.approve(&report.refusals[0].approval).await;
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        // Far ahead: history may go, what runs need stays.
        bench.pass(4_000 * DAY);
        bench.writes();
        bench.assert_settled().await;
        leave(8..9);
        let report = bench.settle().await;
        assert_eq!(report.summary.memberships_removed, 1, "{}", tell(&report));
        // And back again, with an hour of ordinary runs.
        bench.pass(-3_999 * DAY);
        for _ in 0..3 {
            bench.pass(1_200);
            bench.assert_idle("after all that").await;
        }
        let states: BTreeMap<_, _> = bench.members(target, "One");
        assert!(states.len() <= 11, "{states:?}");
        assert!(
            bench.store.locks().lock_job("test").is_ok(),
            "no lock is left"
        );
    }
}

/// What is refused once, a group or a custom field, is sent again when its pause is over and not in
/// each run; it stays listed under the same name, and the rest of its kind is not held back.
#[tokio::test(start_paused = true)]
async fn what_was_refused_rests_until_its_time() {
    let crash = || Fault::ServerError(500);
    let poison = || Fault::PoisonItem("Troubled".to_owned());
    for (source, target, operation, fault) in [
        ("mail", "campaigns", "list_field_add", crash()),
        ("mail", "crm", "AddUserDefinedField", crash()),
        ("mail", "crm", "CreateGroup", poison()),
        ("crm", "mail", "groups/save", poison()),
    ] {
        let mut world = plain_world();
        let account = world.account_mut(source);
        if account.kind == Kind::Emfluence {
            account.fields.push(shoe_size());
        }
        group_of(account, "One", "one", 3);
        group_of(account, "Troubled", "two", 3);
        // One is created, the other one is there already.
        for name in ["one0", "one1"] {
            let contact = account.contact_by_email(&format!("{name}@example.org"));
            if account.kind == Kind::Emfluence {
                account.change_contact(contact.unwrap(), [], [("custom1", "42")]);
            }
        }
        world
            .account_mut(target)
            .add_person("one1@example.org", "Ana", "Example");
        let create = if target == "mail" {
            ""
        } else {
            "create_fields = true"
        };
        let bench = bench(world, source, target, create);
        let place = format!("{operation} at {target}");
        bench
            .emulator
            .add_fault(FaultRule::every(fault).at(target).on(operation));
        let names = |report: &RunReport| {
            let failures = report.failures.iter().map(ItemFailure::item);
            let blocked = report.blocked.iter().map(Blocked::item);
            failures.chain(blocked).collect::<BTreeSet<String>>()
        };
        let tries = || {
            let sent = bench.writes();
            sent.iter()
                .filter(|write| write.operation == operation)
                .count()
        };
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 4, "{place}: {}", tell(&report));
        assert_eq!(report.failures.len(), 1, "{place}: {}", tell(&report));
        assert_eq!(bench.members(target, "One").len(), 3, "{place}");
        let known = names(&report);
        assert!(tries() > 0, "{place}");
        bench.pass(60);
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 4, "{place}: {}", tell(&report));
        assert_eq!(tries(), 0, "{place}: {}", tell(&report));
        assert_eq!(names(&report), known, "{place}: {}", tell(&report));
        bench.pass(16 * 60);
        bench.sync().await;
        assert!(tries() > 0, "{place}: its time has come");
        bench.emulator.clear_faults();
        bench.pass(90_000);
        bench.settle().await;
        assert_eq!(bench.members(target, "Troubled").len(), 3, "{place}");
        let sizes = bench.account(target, |account| {
            let people = account.contacts.values();
            let sizes = people.flat_map(|contact| contact.custom.to_map().into_values());
            sizes.collect::<Vec<String>>()
        });
        let wanted = if source == "mail" { 2 } else { 0 };
        assert_eq!(sizes, vec!["42"; wanted], "{place}");
    }
}

/// A change of a group that is refused once is made when its pause is over: meanwhile nothing of it
/// counts as written.
#[tokio::test(start_paused = true)]
async fn a_refused_change_of_a_group_is_made_when_its_time_has_come() {
    for (source, target, operation) in [
        ("crm", "mail", "groups/save"),
        ("mail", "crm", "EditGroups"),
        ("mail", "campaigns", "list_edit"),
        ("mail", "mail2", "groups/save"),
    ] {
        for adopts in [false, true] {
            let mut world = plain_world();
            let one = group_of(world.account_mut(source), "One", "one", 3);
            world.account_mut(source).group_mut(one).description = "Friends".to_owned();
            if adopts {
                group_of(world.account_mut(target), "One", "one", 2);
            }
            let bench = bench(world, source, target, "mode = \"managed\"");
            if !adopts {
                bench.settle().await;
                bench.account(source, |account| account.rename_group(one, "Uno"));
            }
            let place = format!("{operation} at {target}, adopts: {adopts}");
            bench.emulator.add_fault(
                FaultRule::every(Fault::ServerError(500))
                    .at(target)
                    .on(operation),
            );
            bench.writes();
            let report = bench.sync().await;
            let tries = |sent: Vec<(String, usize)>| {
                sent.iter().filter(|(name, _)| name == operation).count()
            };
            let tried = tries(bench.sent());
            assert_eq!(
                report.exit_code(),
                u8::from(tried > 0) * 4,
                "{place}: {}",
                tell(&report)
            );
            assert!(tried > 0 || adopts, "{place}");
            bench.pass(60);
            let report = bench.sync().await;
            assert_eq!(
                report.exit_code(),
                u8::from(tried > 0) * 4,
                "{place}: {}",
                tell(&report)
            );
            assert_eq!(tries(bench.sent()), 0, "{place}: {}", tell(&report));
            // Linked by now, where it was adopted, and still at rest.
            bench.pass(60);
            bench.sync().await;
            assert_eq!(tries(bench.sent()), 0, "{place}");
            bench.emulator.clear_faults();
            bench.pass(16 * 60);
            bench.settle().await;
            bench.account(target, |account| {
                let name = if adopts { "One" } else { "Uno" };
                let group = account.find_group(name).expect(&place);
                if account.kind == Kind::Emfluence && source == "mail" {
                    assert_eq!(account.groups[&group].description, "Friends", "{place}");
                }
            });
        }
    }
}
