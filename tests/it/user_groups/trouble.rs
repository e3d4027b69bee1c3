//! What goes wrong while users are read and moved: nobody is lost, nobody is moved twice, and no
//! secret shows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use rosterd::config::settled::{Credentials, Secret};
use rosterd::emulator::{ActiveCampaignQuirks, Fault, FaultRule, Login, UserGroupLimit, When};
use rosterd::run::{RunError, RunReport, SyncOptions};

use super::{FREE, PARKING, address, hire, seat, seats, transfer, two_accounts};
use crate::support::{Bench, bench, tell};

/// A first state that is synced, and then a bit of everything to do.
async fn busy() -> Bench {
    let mut world = two_accounts();
    hire(world.account_mut("campaigns"), "Old", &["old"]);
    hire(world.account_mut("campaigns2"), PARKING, &["old"]);
    let job = format!(
        "mode = \"managed\"\ncreate_users = true\n[jobs.test.groups]\nmissing = \"delete\"\n{FREE}"
    );
    let bench = bench(world, "staff", "staff2", &job);
    bench.settle().await;
    bench.account("campaigns", |account| {
        transfer(account, "ana", "Writers");
        transfer(account, "bo", PARKING);
        hire(account, "Fresh", &["hal", "ivy"]);
        let (old, parking) = (
            account.find_user_group("Old").unwrap(),
            account.find_user_group(PARKING).unwrap(),
        );
        account.delete_user_group(old, parking);
        let editors = account.find_user_group("Editors").unwrap();
        account.rename_user_group(editors, "Redaktion");
        let cy = account.user_by_email(&address("cy")).unwrap();
        "Cyrus".clone_into(&mut account.user_mut(cy).first_name);
    });
    bench.writes();
    bench
}

/// What the target holds, free of ids and times.
fn digest(bench: &Bench) -> Vec<String> {
    bench.account("campaigns2", |account| {
        let mut lines: Vec<String> = account
            .user_groups
            .values()
            .map(|group| format!("{} {:?} {:?}", group.title, group.permissions, group.limits))
            .collect();
        for user in account.users.values() {
            let group = &account.user_group(user.group).unwrap().title;
            lines.push(format!(
                "{} {} {} in {group}",
                user.email, user.first_name, user.last_name
            ));
        }
        lines.sort();
        lines
    })
}

async fn calm() -> Vec<String> {
    let bench = busy().await;
    bench.settle().await;
    digest(&bench)
}

#[tokio::test(start_paused = true)]
async fn writes_that_go_wrong_end_as_if_nothing_had() {
    let expected = calm().await;
    let faults = [
        (Fault::ResetBeforeEffect, 1),
        (Fault::ResetAfterEffect, 1),
        (Fault::ServerError(503), 2),
        (
            Fault::TooManyRequests {
                retry_after: Some(30),
            },
            2,
        ),
        (Fault::HtmlWith200, 1),
        (Fault::TruncatedBody, 1),
        (Fault::EmptyBody, 1),
        (Fault::SlowAnswer(Duration::from_mins(10)), 1),
    ];
    for operation in [
        "PUT /users/{id}",
        "POST /users",
        "group_add",
        "group_edit",
        "group_delete",
    ] {
        for (fault, times) in &faults {
            let bench = busy().await;
            bench.emulator.add_fault(
                FaultRule::every(fault.clone())
                    .at("campaigns2")
                    .on(operation)
                    .when(When::First(*times)),
            );
            let place = format!("{operation}, {}", fault.name());
            bench.sync_until_good(&place).await;
            assert_eq!(digest(&bench), expected, "{place}");
            bench.assert_settled().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_is_finished_by_the_next() {
    let expected = calm().await;
    for fault in [
        Fault::SlowAnswer(Duration::from_secs(2)),
        Fault::Latency(Duration::from_secs(2)),
    ] {
        for nth in 1..60 {
            let bench = busy().await;
            bench.rest().await;
            let rule = FaultRule::every(fault.clone()).at("campaigns2");
            if !bench.ends_at_write(nth, rule).await {
                assert!(nth > 6, "the run has more writes than that");
                break;
            }
            let place = format!("write {nth}, {}", fault.name());
            let report = bench.sync().await;
            assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
            assert_eq!(digest(&bench), expected, "{place}");
            bench.assert_settled().await;
            // What the dead run brought is this job's own.
            bench.account("campaigns", |account| transfer(account, "ivy", PARKING));
            bench.settle().await;
            assert_eq!(seat(&bench, "campaigns2", "ivy"), PARKING, "{place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_moves_nobody() {
    let faults = [
        Fault::ServerError(500),
        Fault::MissingList,
        Fault::TruncatedBody,
    ];
    for account in ["campaigns", "campaigns2"] {
        for operations in [
            &["GET /users", "user_list"][..],
            &["GET /groups", "group_list"],
            &["GET /users/{id}/userGroup", "user_view"],
            &["group_view"],
            &["GET /users"],
            &["GET /groups"],
            &["GET /users/{id}/userGroup"],
        ] {
            for fault in &faults {
                let bench = busy().await;
                let before = seats(&bench, "campaigns2");
                for operation in operations {
                    bench
                        .emulator
                        .add_fault(FaultRule::every(fault.clone()).at(account).on(operation));
                }
                let place = format!("{operations:?} at {account}, {}", fault.name());
                bench.rest().await;
                let result = bench.runner().sync("test", SyncOptions::default()).await;
                let code = result
                    .as_ref()
                    .map_or_else(RunError::exit_code, RunReport::exit_code);
                let told = result.as_ref().map_or_else(ToString::to_string, tell);
                bench.emulator.clear_faults();
                assert!(matches!(code, 0 | 1 | 4), "{place}: {code}\n{told}");
                let after = seats(&bench, "campaigns2");
                for (name, group) in &before {
                    let renamed = |group: &String| match group.as_str() {
                        "Editors" => "Redaktion".to_owned(),
                        other => other.to_owned(),
                    };
                    let stays =
                        after.get(name) == Some(group) || after.get(name) == Some(&renamed(group));
                    // The groups of the source were all seen, and this one is gone.
                    let dissolved =
                        group == "Old" && operations.iter().all(|asked| asked.contains("user"));
                    // Version 1 lists the groups without proof, and all people were read.
                    let read = *operations == ["GET /groups"];
                    assert!(
                        code == 0 || stays || dissolved || read || group == PARKING,
                        "{place}: {name} was moved\n{told}"
                    );
                }
                bench.pass(90_000);
                // Asking for groups without ids is what is left to try where version 3 lists none,
                // though ids are required.
                bench.emulator.clear_log();
                let report = bench.sync().await;
                assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
                bench.assert_settled().await;
            }
        }
    }
}

/// One user whose group nobody tells stays where they are, and stops nobody else.
#[tokio::test(start_paused = true)]
async fn one_user_who_may_be_in_any_group_stops_nobody() {
    for (account, to) in [
        ("campaigns", "Redaktion"),
        ("campaigns2", "Redaktion"),
        ("campaigns2", PARKING),
    ] {
        let bench = busy().await;
        bench.settle().await;
        bench.account("campaigns", |account| {
            transfer(account, "cy", PARKING);
            transfer(account, "dee", to);
        });
        // The groups are asked for in the order of the ids.
        let at = bench.account(account, |account| {
            let dee = account.user_by_email(&address("dee")).unwrap();
            account.users.values().position(|user| user.id == dee)
        });
        // Each of the tries fails.
        for request in 1..=6 {
            let rule = FaultRule::every(Fault::ServerError(500)).at(account);
            let when = When::Nth(at.unwrap() as u64 + request);
            let rule = rule.on("GET /users/{id}/userGroup").when(when);
            bench.emulator.add_fault(rule);
        }
        let (cy, dee) = (
            seat(&bench, "campaigns2", "cy"),
            seat(&bench, "campaigns2", "dee"),
        );
        bench.rest().await;
        let report = bench.sync().await;
        let told = tell(&report);
        assert_eq!(report.exit_code(), 4, "{account}: {told}");
        assert_ne!(seat(&bench, "campaigns2", "cy"), cy, "{account}: {told}");
        assert_eq!(seat(&bench, "campaigns2", "dee"), dee, "{account}: {told}");
        bench.emulator.clear_faults();
        bench.pass(90_000);
        bench.settle().await;
        assert_eq!(seat(&bench, "campaigns2", "dee"), to, "{account}");
    }
}

/// A move whose answer is lost, of a user whose group nobody tells afterwards: what became of it stays
/// open, neither done nor undone, until it can be told, and holds up nobody else.
#[tokio::test(start_paused = true)]
async fn a_user_whose_group_nobody_tells_after_a_move_stays_an_open_question() {
    for is_done in [true, false] {
        let bench = busy().await;
        bench.settle().await;
        bench.account("campaigns", |account| {
            transfer(account, "cy", PARKING);
            transfer(account, "dee", "Redaktion");
        });
        let dee = bench.account("campaigns2", |account| {
            account.user_by_email(&address("dee")).unwrap()
        });
        let (before, cy) = (
            seat(&bench, "campaigns2", "dee"),
            seat(&bench, "campaigns2", "cy"),
        );
        let sent = Arc::new(Mutex::new(0));
        let count = sent.clone();
        let router = bench
            .emulator
            .router()
            .layer(from_fn(move |request: Request, next: Next| {
                let count = count.clone();
                async move {
                    let path = request.uri().path().to_owned();
                    let is_move =
                        request.method() == Method::PUT && path.ends_with(&format!("/users/{dee}"));
                    if is_move {
                        *count.lock().unwrap() += 1;
                    }
                    let is_look = path.ends_with(&format!("/users/{dee}/userGroup"));
                    let is_lost = is_move || (is_look && *count.lock().unwrap() > 0);
                    if !is_lost {
                        return next.run(request).await;
                    }
                    if is_move && is_done {
                        next.run(request).await;
                    }
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }));
        bench.rest().await;
        let runner = bench.runner_through(router);
        let report = runner.sync("test", SyncOptions::default()).await.unwrap();
        let told = tell(&report);
        assert_eq!(report.exit_code(), 4, "{is_done}: {told}");
        assert!(
            told.contains("nobody can tell how the person stands"),
            "{told}"
        );
        assert_eq!(*sent.lock().unwrap(), 1, "nothing is sent blindly: {told}");
        assert_ne!(seat(&bench, "campaigns2", "cy"), cy, "{is_done}: {told}");
        assert_eq!(
            seat(&bench, "campaigns2", "dee") == before,
            !is_done,
            "{told}"
        );
        bench.pass(90_000);
        bench.settle().await;
        assert_eq!(seat(&bench, "campaigns2", "dee"), "Redaktion", "{is_done}");
        // What the lost request brought is the job's own.
        bench.account("campaigns", |account| transfer(account, "dee", PARKING));
        bench.settle().await;
        assert_eq!(seat(&bench, "campaigns2", "dee"), PARKING, "{is_done}");
    }
}

/// A user whose group nobody tells any more right before they are moved is named: the run
/// does not end as if nothing had been planned for them.
#[tokio::test(start_paused = true)]
async fn a_user_whose_group_nobody_tells_before_a_move_is_named() {
    let bench = busy().await;
    bench.settle().await;
    bench.account("campaigns", |account| {
        transfer(account, "cy", PARKING);
        let redaktion = account.find_user_group("Redaktion").unwrap();
        account.rename_user_group(redaktion, "Desk");
        transfer(account, "dee", "Desk");
    });
    let dee = bench.account("campaigns2", |account| {
        account.user_by_email(&address("dee")).unwrap()
    });
    let before = seat(&bench, "campaigns2", "dee");
    // By then the listing is old.
    let patience = FaultRule::every(Fault::TooManyRequests {
        retry_after: Some(400),
    });
    let patience = patience.at("campaigns2").on("group_edit");
    bench.emulator.add_fault(patience.when(When::First(2)));
    let emulator = bench.emulator.clone();
    let router = bench
        .emulator
        .router()
        .layer(from_fn(move |request: Request, next: Next| {
            let emulator = emulator.clone();
            async move {
                let edited = emulator.requests();
                let edited = edited.iter().any(|one| one.operation == "group_edit");
                let look = format!("/users/{dee}/userGroup");
                if edited && request.uri().path().ends_with(&look) {
                    return StatusCode::INTERNAL_SERVER_ERROR.into_response();
                }
                next.run(request).await
            }
        }));
    bench.rest().await;
    bench.emulator.clear_log();
    let runner = bench.runner_through(router);
    let report = runner.sync("test", SyncOptions::default()).await.unwrap();
    let told = tell(&report);
    assert_eq!(report.exit_code(), 4, "{told}");
    assert_eq!(report.failures.len(), 1, "{told}");
    let failure = &report.failures[0];
    assert_eq!(failure.member.as_deref(), Some(address("dee").as_str()));
    assert!(told.contains("so that nothing was sent"), "{told}");
    let listed = bench.store.failures(Some("test")).unwrap();
    assert_eq!(listed.len(), 1, "it can be found and accepted: {told}");
    assert_eq!(seat(&bench, "campaigns2", "dee"), before, "{told}");
    assert_eq!(seat(&bench, "campaigns2", "cy"), PARKING, "{told}");
    bench.pass(90_000);
    bench.settle().await;
    assert_eq!(seat(&bench, "campaigns2", "dee"), "Desk");
}

#[tokio::test(start_paused = true)]
async fn a_key_without_rights_moves_nobody() {
    let mut bench = busy().await;
    let before = seats(&bench, "campaigns2");
    let token = bench.account("campaigns2", |account| {
        let guest = u32::try_from(account.user_by_email(&address("gus")).unwrap()).unwrap();
        let login = Login::of_user(&account.name, guest);
        let token = login.token.clone();
        account.logins.push(login);
        token
    });
    bench.reconfigure_with(|config| {
        config.providers.get_mut("staff2").unwrap().credentials =
            Credentials::ApiKey(Secret::Known(token.into()));
    });
    let report = bench.sync().await;
    assert!(matches!(report.exit_code(), 1 | 4), "{}", tell(&report));
    assert_eq!(seats(&bench, "campaigns2"), before, "{}", tell(&report));
}

#[tokio::test(start_paused = true)]
async fn a_full_group_takes_nobody_more() {
    let mut world = two_accounts();
    let account = world.account_mut("campaigns2");
    let editors = hire(account, "Editors", &[]);
    account.user_group_mut(editors).limits.insert(
        "user".to_owned(),
        UserGroupLimit {
            quantity: 1,
            per: String::new(),
        },
    );
    let bench = bench(
        world,
        "staff",
        "staff2",
        &format!("mode = \"managed\"\n{FREE}"),
    );
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    assert_eq!(report.failures.len(), 1, "{}", tell(&report));
    assert!(
        report.failures[0].message.contains("license"),
        "{}",
        tell(&report)
    );
    assert_eq!(
        (
            seat(&bench, "campaigns2", "ana"),
            seat(&bench, "campaigns2", "bo")
        ),
        ("Editors".to_owned(), PARKING.to_owned())
    );
    bench.account("campaigns2", |account| {
        account.user_group_mut(editors).limits.clear();
    });
    bench.pass(90_000);
    bench.settle().await;
    assert_eq!(seat(&bench, "campaigns2", "bo"), "Editors");
}

#[tokio::test(start_paused = true)]
async fn a_service_of_version_1_alone_proves_nothing_and_ends_the_same_once_there_is_proof() {
    for quirks in [
        ActiveCampaignQuirks::default(),
        ActiveCampaignQuirks {
            group_at_zero: true,
            global_user_ids: true,
            ..ActiveCampaignQuirks::default()
        },
    ] {
        let expected = calm().await;
        let bench = busy().await;
        bench.account("campaigns2", |account| {
            account.settings.activecampaign = quirks.clone();
        });
        for operation in [
            "PUT /users/{id}",
            "POST /users",
            "GET /users",
            "GET /users/{id}",
            "GET /users/{id}/userGroup",
            "GET /groups",
        ] {
            bench.emulator.add_fault(
                FaultRule::every(Fault::ServerError(404))
                    .at("campaigns2")
                    .on(operation),
            );
        }
        let before = seats(&bench, "campaigns2");
        let report = bench.sync().await;
        // Nothing shows that what version 1 lists is all, so nobody joins and nobody leaves.
        assert_eq!(report.exit_code(), 4, "{}", tell(&report));
        let now = seats(&bench, "campaigns2");
        assert_eq!(before.len(), now.len(), "{quirks:?}");
        let moved = |name: &&String| (now[*name] == PARKING) != (before[*name] == PARKING);
        assert_eq!(before.keys().find(moved), None, "{quirks:?}");
        bench.emulator.clear_faults();
        bench.pass(90_000);
        bench.sync().await;
        assert_eq!(digest(&bench), expected, "{quirks:?}");
        bench.account("campaigns2", |account| {
            assert_eq!(
                account.users_in(3).len(),
                1,
                "nobody is left among the administrators"
            );
        });
    }
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_password_shows_anywhere() {
    let heard = Heard::default();
    let writer = heard.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let guard = crate::support::hear(subscriber);
    let bench = busy().await;
    let planned = bench.plan().await;
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    // A refusal is where a request is most easily quoted.
    bench.account("campaigns", |account| hire(account, "Fresh", &["joe"]));
    bench.emulator.add_fault(
        FaultRule::every(Fault::PoisonItem(address("joe")))
            .at("campaigns2")
            .on("POST /users"),
    );
    let refused = bench.sync().await;
    bench.emulator.clear_faults();
    drop(guard);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::remove_file(file.path()).unwrap();
    bench.store.backup_to(file.path()).unwrap();
    let mut shown = std::fs::read(file.path()).unwrap();
    shown.extend(heard.0.lock().unwrap().iter());
    shown.extend(format!("{report:?} {refused:?} {:?}", planned.plan).into_bytes());
    shown.extend(format!("{:?}", bench.emulator.requests()).into_bytes());
    let text = String::from_utf8_lossy(&shown);
    assert!(
        text.contains("cy@example.org"),
        "there is something to look through"
    );
    let hashes: Vec<String> = ["campaigns", "campaigns2"]
        .iter()
        .flat_map(|name| {
            bench.account(name, |account| {
                account
                    .users
                    .values()
                    .map(|user| user.password_hash.clone())
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    for hash in hashes {
        assert!(!text.contains(&hash), "a password's hash shows");
    }
    assert!(!text.contains("Aa1!"), "a password shows");
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_shorter_than_asked_for_lose_nobody() {
    let mut world = two_accounts();
    let names: Vec<String> = (0..120).map(|at| format!("crowd{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    hire(world.account_mut("campaigns"), "Crowd", &names);
    for account in ["campaigns", "campaigns2"] {
        world.account_mut(account).settings.activecampaign.page_cap = Some(50);
    }
    let job = format!("mode = \"managed\"\ncreate_users = true\n{FREE}");
    let bench = bench(world, "staff", "staff2", &job);
    bench.settle().await;
    bench.assert_settled().await;
    let seated = bench.account("campaigns2", |account| {
        let crowd = account.find_user_group("Crowd").unwrap();
        account
            .users
            .values()
            .filter(|user| user.group == crowd)
            .count()
    });
    assert_eq!(seated, 120);
}
