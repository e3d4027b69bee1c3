//! What a reading did not show is no end of an undo.

use rosterd::emulator::{Fault, FaultRule};
use rosterd::plan::Left;
use rosterd::run::Planned;

use crate::faults::busy;
use crate::support::{Bench, tell};
use crate::undo::{apply, approval, undo, undoing, why};

/// What loses rows on the way without an end of the run.
fn losing() -> [Fault; 5] {
    [
        Fault::ShortPage,
        Fault::WrongCount(-1),
        Fault::WrongCount(2),
        Fault::TruncatedBody,
        Fault::MissingList,
    ]
}

/// Ordered pairs, each with the accounts and by what they are asked; everything where it says nothing.
type Asked = &'static [(&'static str, &'static str)];

const PAIRS: [(&str, &str, Asked); 3] = [
    (
        "crm",
        "mail",
        &[
            ("mail", "groups/search"),
            ("mail", "groups/lookup"),
            ("mail", "groups/getContacts"),
            ("mail", "contacts/search"),
            ("crm", "GetGroups"),
            ("crm", "GetContacts"),
        ],
    ),
    (
        "mail",
        "crm",
        &[
            ("crm", "GetGroups"),
            ("crm", "GetContacts"),
            ("mail", "groups/getContacts"),
        ],
    ),
    ("crm", "campaigns", &[("campaigns", "")]),
];

/// A run whose undo was begun, and is not finished.
async fn begun(source: &str, target: &str) -> (Bench, String) {
    let bench = busy(source, target).await;
    let run = bench.sync().await.run;
    bench.store.set_open_undo("test", Some(&run)).unwrap();
    let now = jiff::Timestamp::UNIX_EPOCH;
    bench
        .store
        .set_paused("test", Some("an undo"), now)
        .unwrap();
    (bench, run)
}

fn plays(bench: &Bench, account: &str, operation: &str, fault: &Fault) {
    let rule = FaultRule::every(fault.clone()).at(account);
    bench.emulator.add_fault(match operation {
        "" => rule,
        operation => rule.on(operation),
    });
}

async fn looks(bench: &Bench, run: &str) -> Option<Planned> {
    bench.rest().await;
    let record = bench.store.run(run).unwrap().unwrap();
    bench.runner().undo(&record).await.ok()
}

#[tokio::test(start_paused = true)]
async fn looking_at_an_undo_ends_it_only_where_all_was_seen() {
    for (source, target, asked) in PAIRS {
        let (bench, run) = begun(source, target).await;
        for (account, operation) in asked {
            for fault in losing() {
                plays(&bench, account, operation, &fault);
                drop(looks(&bench, &run).await);
                bench.emulator.clear_faults();
                let open = bench.store.open_undo("test").unwrap();
                assert_eq!(
                    open.as_deref(),
                    Some(run.as_str()),
                    "{source} to {target}, {operation} at {account}, {fault:?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_is_over_only_once_nothing_is_left_of_it() {
    for (source, target, asked) in PAIRS {
        for (account, operation) in asked {
            for fault in losing() {
                let place = format!("{source} to {target}, {operation} at {account}, {fault:?}");
                let (bench, run) = begun(source, target).await;
                plays(&bench, account, operation, &fault);
                let mut told = String::new();
                if let Some(planned) = looks(&bench, &run).await {
                    told = match apply(&bench, &planned, approval(&planned)).await {
                        Ok(report) => tell(&report),
                        Err(error) => error.to_string(),
                    };
                }
                bench.emulator.clear_faults();
                let is_over = bench.store.open_undo("test").unwrap().is_none();
                bench.pass(90_000);
                let planned = undo(&bench, &run).await;
                assert!(
                    !is_over || planned.plan.is_empty(),
                    "{place}: {:#?}\n{told}",
                    planned.plan.operations
                );
                // Whatever it was, the next one comes to the end.
                let report = apply(&bench, &planned, approval(&planned)).await.unwrap();
                assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
                assert_eq!(bench.store.open_undo("test").unwrap(), None, "{place}");
                assert!(undo(&bench, &run).await.plan.is_empty(), "{place}");
            }
        }
    }
}

/// What a login sees that may see a part only, is no proof of what is not there.
#[tokio::test(start_paused = true)]
async fn what_a_shared_login_lost_sight_of_is_not_taken_for_gone() {
    for side in ["crm", "mail"] {
        let mut bench = busy("crm", "mail").await;
        let run = bench.sync().await.run;
        bench.reconfigure_with(|config| {
            config.providers.get_mut(side).unwrap().shared_access = true;
        });
        bench.account(side, |account| {
            account.delete_group(account.find_group("Three").unwrap());
        });
        let undone = undo(&bench, &run).await;
        let left = why(undoing(&undone));
        let of_three =
            |(_, what): &&(Left, String)| what.contains("Three") || what.contains("three");
        let left: Vec<_> = left.iter().filter(of_three).collect();
        assert!(!left.is_empty(), "{side}");
        let is_not_read = |(why, what): &&(Left, String)| {
            *why == Left::NotRead || what.starts_with("create_members")
        };
        assert!(left.iter().all(is_not_read), "{side}: {left:#?}");
    }
}
