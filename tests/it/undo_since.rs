//! What a run did is not taken back over what others did since, whatever the clock says and whichever
//! job they are of; and what nobody knows is not taken for empty.

use std::collections::BTreeSet;
use std::time::Duration;

use rosterd::emulator::{Fault, FaultRule, World};
use rosterd::plan::{Left, NotUndone};
use rosterd::state::{FOUND, RunItem, RunStart};

use crate::faults::busy;
use crate::support::{
    Bench, DAY, bench_of, group_of, operations, plain_world, removing_freely, tell,
};
use crate::undo::{adds_up, comes_back, removed, taken_back, undo, undoing};

#[tokio::test(start_paused = true)]
async fn a_later_run_is_seen_although_the_clock_was_set_back() {
    let (bench, first) = removed("crm", "mail").await;
    bench.pass(-30 * DAY);
    let second = comes_back(&bench).await;
    let planned = undo(&bench, &first).await;
    let left = &undoing(&planned).left;
    assert_eq!(left.len(), 1, "{left:#?}");
    assert_eq!(
        (left[0].why, left[0].run.as_ref()),
        (Left::LaterRun, Some(&second.run))
    );
}

/// Two jobs of two sources that have the same two people in one group of the target; the first writes a
/// town and a telephone number to the first of them. Returns that run.
async fn two_jobs() -> (Bench, String) {
    let mut world: World = plain_world();
    for source in ["crm", "crm2"] {
        group_of(world.account_mut(source), "Donors", "donor", 2);
    }
    let job = |name: &str, source: &str| {
        let freely = removing_freely("managed").replace("jobs.test", &format!("jobs.{name}"));
        let mapped = format!("[jobs.{name}.map.member]\ncity = \"source.city\"");
        format!("[jobs.{name}]\nsource = \"{source}\"\ntarget = \"mail\"\n{freely}\n{mapped}\n")
    };
    let jobs = format!("{}{}", job("test", "crm"), job("second", "crm2"));
    let bench = bench_of(world, &jobs);
    bench.settle().await;
    let report = bench.sync_of("second").await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    changes(
        &bench,
        "crm",
        &[("city", "Springfield"), ("phone", "5550100")],
    );
    let report = bench.sync().await;
    assert_eq!(report.summary.members_updated, 1, "{}", tell(&report));
    (bench, report.run)
}

fn changes(bench: &Bench, account: &str, values: &[(&str, &str)]) {
    bench.account(account, |account| {
        let donor = account.contact_by_email("donor0@example.org").unwrap();
        account.change_contact(donor, values.iter().copied(), []);
    });
}

fn held(bench: &Bench, field: &str) -> String {
    bench.account("mail", |account| {
        let donor = account.contact_by_email("donor0@example.org").unwrap();
        account.contact(donor).unwrap().get(field).to_owned()
    })
}

fn only(left: &[NotUndone]) -> &NotUndone {
    assert_eq!(left.len(), 1, "{left:#?}");
    &left[0]
}

#[tokio::test(start_paused = true)]
async fn what_another_job_wrote_since_is_left_to_that_job_field_by_field() {
    let (bench, first) = two_jobs().await;
    changes(&bench, "crm2", &[("city", "Shelbyville")]);
    let other = bench.sync_of("second").await;
    assert_eq!(other.summary.members_updated, 1, "{}", tell(&other));
    // Somebody gives it the value again that the first run had left there: it is the other job's all
    // the same.
    bench.account("mail", |account| {
        let donor = account.contact_by_email("donor0@example.org").unwrap();
        account.change_contact(donor, [("city", "Springfield")], []);
    });
    let undoing = taken_back(&bench, &first).await;
    let left = only(&undoing.left);
    assert_eq!(left.fields, [("city".to_owned(), Left::LaterRun)]);
    assert_eq!((left.partly, left.run.as_ref()), (true, Some(&other.run)));
    assert_eq!(
        (held(&bench, "city"), held(&bench, "phone")),
        ("Springfield".to_owned(), String::new())
    );
}

#[tokio::test(start_paused = true)]
async fn what_another_job_wants_as_well_stays() {
    let (bench, first) = two_jobs().await;
    changes(&bench, "crm2", &[("city", "Springfield")]);
    let other = bench.sync_of("second").await;
    assert_eq!(other.summary.members_updated, 0, "{}", tell(&other));
    let undoing = taken_back(&bench, &first).await;
    let left = only(&undoing.left);
    assert_eq!(left.fields, [("city".to_owned(), Left::OtherJob)]);
    assert_eq!(
        (held(&bench, "city"), held(&bench, "phone")),
        ("Springfield".to_owned(), String::new())
    );
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_to_have_been_empty_is_not_emptied() {
    let bench = busy("crm", "mail").await;
    let report = bench.sync().await;
    let is_update = |line: &String| line.starts_with("update_member");
    let planned = undo(&bench, &report.run).await;
    assert!(operations(&planned).iter().any(is_update));

    // The same, as it was taken down before what is known was told from what is not.
    let items = bench.store.run_items(&report.run).map(Result::unwrap);
    let items = items.filter(|item| item.op == "update_member");
    let mut items: Vec<RunItem> = items.collect();
    for change in items.iter_mut().flat_map(|item| item.fields.values_mut()) {
        assert!(change.is_before_known && change.before.is_none());
        change.is_before_known = false;
    }
    let start = RunStart {
        id: "older".to_owned(),
        job: "test".to_owned(),
        trigger: "manual".to_owned(),
        started: bench.store.run(&report.run).unwrap().unwrap().started,
    };
    bench.store.start_run(&start).unwrap();
    bench.store.add_run_items("older", &items).unwrap();
    let planned = undo(&bench, "older").await;
    assert_eq!(operations(&planned), Vec::<String>::new());
    assert_eq!(only(&undoing(&planned).left).why, Left::NotTakenDown);
}

#[tokio::test(start_paused = true)]
async fn values_that_a_killed_run_had_in_flight_are_taken_back() {
    let mut found = BTreeSet::new();
    for nth in 1.. {
        let bench = busy("crm", "mail").await;
        bench.rest().await;
        let slow = FaultRule::every(Fault::SlowAnswer(Duration::from_secs(2)));
        if !bench.ends_at_write(nth, slow).await {
            break;
        }
        let run = bench.store.history(Some("test"), 1).unwrap().remove(0).id;
        let planned = undo(&bench, &run).await;
        adds_up(undoing(&planned));
        for item in bench.store.run_items(&run).map(Result::unwrap) {
            let op = item.op.as_str();
            if item.outcome != FOUND || !["update_member", "rename_group"].contains(&op) {
                continue;
            }
            found.insert(op.to_owned());
            let is_whole = |change: &rosterd::state::FieldChange| {
                change.is_before_known && change.after.is_some()
            };
            assert!(!item.fields.is_empty(), "{item:#?}");
            assert!(item.fields.values().all(is_whole), "{item:#?}");
            let who = item.member.as_deref().unwrap_or("Uno");
            assert!(
                operations(&planned)
                    .iter()
                    .any(|line| line.starts_with(op) && line.contains(who)),
                "{item:#?} of {:#?}",
                operations(&planned)
            );
        }
    }
    assert_eq!(found.len(), 2, "{found:?}");
}
