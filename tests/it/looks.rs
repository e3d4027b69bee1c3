//! How those are looked at who are about to leave a long list: by name, and not with all others.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use rosterd::emulator::MembershipState::{Active, OptedOut};
use rosterd::emulator::{Account, Fault, FaultRule, RequestRecord, When};
use rosterd::run::{RunReport, SyncOptions};
use rosterd::state::JournalMoment;
use serde_json::{Value, json};

use crate::meanwhile::once;
use crate::support::readers::{address, on};
use crate::support::{Bench, bench, group_of, plain_world, removing_freely, tell};

/// So many that their list takes fourteen pages.
const READERS: usize = 1350;

/// A long list, of which the first readers are to leave.
async fn leaving(count: usize, removal: &str) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", READERS);
    let job = format!(
        "{}\n[jobs.test.members]\nremoval = \"{removal}\"\nreadd = true",
        removing_freely("managed")
    );
    let bench = bench(world, "mail", "campaigns", &job);
    bench.settle().await;
    for number in 0..count {
        on(&bench, "mail", number, Account::leave);
    }
    bench.rest().await;
    bench.writes();
    bench
}

fn count(requests: &[RequestRecord], operation: &str) -> usize {
    let requests = requests.iter();
    requests.filter(|one| one.operation == operation).count()
}

/// Counts the pages of contacts that a run took beside reading the account before and after.
fn looks(bench: &Bench) -> usize {
    let whole = 2 * READERS.div_ceil(100);
    count(&bench.emulator.requests(), "GET /contacts") - whole
}

/// The readers who are recorded as removed by rosterd.
fn own(bench: &Bench) -> BTreeSet<usize> {
    let own = bench.own_removals("campaigns");
    let is_own = |number: &usize| {
        let (list, id) = bench.account("campaigns", |account| {
            let id = account.contact_by_email(&address(*number));
            (account.find_group("News").unwrap(), id)
        });
        id.is_some_and(|id| own.get(&list.to_string(), &id.to_string()).is_some())
    };
    (0..40).filter(is_own).collect()
}

/// The members whom a report names because nobody could tell how they stand.
fn untold(report: &RunReport) -> BTreeSet<String> {
    let named = report.failures.iter();
    let named = named.filter(|failure| failure.message.contains("nobody can tell"));
    named.filter_map(|failure| failure.member.clone()).collect()
}

/// Whoever is not active any more once the run comes to them is left alone, whatever became of them:
/// a refusal is the person's own, and is remembered.
#[tokio::test(start_paused = true)]
async fn whoever_refuses_or_leaves_a_long_list_meanwhile_is_left_alone() {
    for removal in ["unsubscribe", "detach"] {
        let bench = leaving(15, removal).await;
        bench.account("mail", |account| {
            account.add_group("Later");
        });
        once(
            &bench,
            "campaigns",
            JournalMoment::IntentKept,
            "create_group",
            |account| {
                let list = account.find_group("News").unwrap();
                let other = account.add_group("Others");
                let ids = [0, 1, 2, 3].map(|number| {
                    let id = account.contact_by_email(&address(number));
                    id.unwrap()
                });
                account.refuse_group(list, ids[0]);
                account.end_membership(list, ids[1]);
                account.join(other, ids[2]);
                account.leave(list, ids[2]);
                account.bounce(ids[3]);
            },
        );
        let report = bench.sync().await;
        bench.store.watch_journal(|_| ());
        let place = format!("{removal}: {}", tell(&report));
        assert_eq!(report.exit_code(), 0, "{place}");
        assert_eq!(report.summary.memberships_removed, 11, "{place}");
        assert_eq!(looks(&bench), 1, "{place}");
        // None of them is on another list, so that all are unsubscribed either way.
        assert_eq!(own(&bench), (4..15).collect(), "{place}");
        let sent = bench.account("campaigns", |account| {
            let list = account.find_group("News").unwrap();
            let id = account.contact_by_email(&address(1)).unwrap();
            account.membership(list, id)
        });
        assert_eq!(sent, None, "what an administrator ended stays so: {place}");
        // Nothing but what this run remembers shows the refusal any more.
        on(&bench, "campaigns", 0, Account::leave);
        for number in 0..15 {
            on(&bench, "mail", number, Account::join);
        }
        let report = bench.settle().await;
        let members = bench.members("campaigns", "News");
        assert_eq!(
            (members.get(&address(0)), members[&address(4)]),
            (None, Active),
            "{removal}: {}",
            tell(&report)
        );
    }
}

/// A service that takes no notice of the ids brings other people. Those that are missing are asked
/// after one by one, or the list is read whole, whichever takes less.
#[tokio::test(start_paused = true)]
async fn ids_that_are_overlooked_take_nobody_for_somebody_else() {
    for (count_of, alone) in [(12, 12), (20, 0)] {
        let bench = leaving(count_of, "unsubscribe").await;
        // Those who came first would come all the same.
        on(&bench, "campaigns", 3, Account::refuse_group);
        for number in 0..count_of {
            on(&bench, "mail", READERS - 1 - number, Account::leave);
            on(&bench, "mail", number, Account::join);
        }
        let fault = FaultRule::every(Fault::IgnoredParameter("ids[]".to_owned()));
        bench.emulator.add_fault(fault.at("campaigns"));
        let report = bench.sync().await;
        let place = format!("{count_of}: {}", tell(&report));
        assert_eq!(report.exit_code(), 0, "{place}");
        let removed = report.summary.memberships_removed;
        assert_eq!(removed, count_of as u64, "{place}");
        let requests = bench.emulator.requests();
        assert_eq!(count(&requests, "contact_view"), alone, "{place}");
        let pages = if alone == 0 { 1 + 14 } else { 1 };
        assert_eq!(looks(&bench), pages, "{place}");
        let members = bench.members("campaigns", "News");
        let states = members.values().filter(|state| **state == OptedOut);
        assert_eq!(states.count(), count_of + 1, "{place}");
    }
}

/// A question that one contact spoils says nothing of that one, and the others are asked after alone.
#[tokio::test(start_paused = true)]
async fn a_contact_that_cannot_be_asked_after_stays_and_stops_nobody_else() {
    let bench = leaving(12, "unsubscribe").await;
    let id = on(&bench, "campaigns", 5, |_, _, id| id);
    for operation in ["GET /contacts", "contact_view"] {
        let fault = FaultRule::every(Fault::CrashesOn(id.to_string()));
        let fault = fault.at("campaigns").on(operation);
        bench.emulator.add_fault(fault);
    }
    let report = bench.sync().await;
    let place = tell(&report);
    assert_eq!(report.exit_code(), 4, "{place}");
    assert_eq!(untold(&report), [address(5)].into(), "{place}");
    assert_eq!(report.summary.memberships_removed, 11, "{place}");
    let mut expected: BTreeSet<usize> = (0..12).collect();
    expected.remove(&5);
    assert_eq!(own(&bench), expected, "{place}");
    assert_eq!(bench.members("campaigns", "News")[&address(5)], Active);
    bench.emulator.clear_faults();
    bench.settle().await;
    assert_eq!(bench.members("campaigns", "News")[&address(5)], OptedOut);
}

/// Changes the answers to questions about named contacts.
fn rewritten(
    bench: &Bench,
    change: impl Fn(&str, &mut Value) + Clone + Send + Sync + 'static,
) -> axum::Router {
    let layer = from_fn(move |request: Request, next: Next| {
        let change = change.clone();
        async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let answer = next.run(request).await;
            let by_name = query.contains("ids%5B%5D=") || query.contains("api_action=contact_view");
            if !by_name {
                return answer;
            }
            let (mut parts, body) = answer.into_parts();
            let body = to_bytes(body, 1 << 24).await.unwrap();
            let mut shown = serde_json::from_slice(&body).unwrap();
            change(&query, &mut shown);
            parts.headers.remove("content-length");
            Response::from_parts(parts, Body::from(shown.to_string()))
        }
    });
    bench.emulator.router().layer(layer)
}

/// What is missing from an answer, or odd in it, says of the person neither that they are on the list
/// nor that they are not.
#[tokio::test(start_paused = true)]
async fn nobody_is_taken_off_or_thought_gone_by_an_answer_that_does_not_say_so() {
    let bench = leaving(13, "unsubscribe").await;
    let ids: Vec<String> = (0..13)
        .map(|number| on(&bench, "campaigns", number, |_, _, id| id.to_string()))
        .collect();
    let known = ids.clone();
    let change = move |query: &str, shown: &mut Value| {
        let is = |row: &Value, name: &str, number: usize| row[name] == known[number].as_str();
        if let Some(rows) = shown["contacts"].as_array_mut() {
            // Two are missing from the answer for all, and three come without their memberships.
            rows.retain(|row| !is(row, "id", 0) && !is(row, "id", 6));
            let edges = shown["contactLists"].as_array_mut().unwrap();
            edges.retain(|edge| ![0, 1, 2, 3].iter().any(|one| is(edge, "contact", *one)));
            for edge in edges.iter_mut().filter(|edge| is(edge, "contact", 4)) {
                edge["status"] = json!("odd");
            }
            for edge in edges.iter_mut().filter(|edge| is(edge, "contact", 5)) {
                edge["list"] = json!(null);
            }
            return;
        }
        let about = |number: usize| query.ends_with(&format!("&id={}", known[number]));
        if about(0) {
            *shown = json!({"result_code": 0, "result_message": "Failed: Nothing is returned", "result_output": "json"});
        } else if about(1) {
            shown.as_object_mut().unwrap().remove("lists");
        } else if about(2) {
            let lists = shown["lists"].as_object_mut().unwrap();
            lists
                .values_mut()
                .for_each(|edge| edge["status"] = json!({}));
        } else if about(4) {
            // Of another contact.
            shown["id"] = json!("999999");
            shown["subscriberid"] = json!("999999");
        } else if about(5) {
            *shown = json!({"result_code": 1, "result_message": "Success", "result_output": "json", "rows": "none"});
        } else if about(6) {
            // On no list by this answer, and by no other.
            shown["lists"] = json!([]);
        }
    };
    let runner = bench.runner_through(rewritten(&bench, change));
    let report = runner.sync("test", SyncOptions::default()).await.unwrap();
    let place = tell(&report);
    // The one of whom the second answer says that they are on the list is taken off.
    assert_eq!(
        untold(&report),
        BTreeSet::from([0, 1, 2, 4, 5, 6].map(address)),
        "{place}"
    );
    assert_eq!(report.exit_code(), 4, "{place}");
    assert_eq!(report.summary.memberships_removed, 7, "{place}");
    let mut expected: BTreeSet<usize> = (7..13).collect();
    expected.insert(3);
    assert_eq!(own(&bench), expected, "{place}");
    let members = bench.members("campaigns", "News");
    for number in [0, 1, 2, 4, 5, 6] {
        assert_eq!(members[&address(number)], Active, "{number}: {place}");
    }
    bench.settle().await;
    let members = bench.members("campaigns", "News");
    assert!((0..13).all(|number| members[&address(number)] == OptedOut));
}

/// A removal whose answer was lost, and one that is turned down and sent in halves, are looked at the
/// same way before they are sent again.
#[tokio::test(start_paused = true)]
async fn what_is_sent_again_is_looked_at_by_name() {
    for (fault, expected_looks) in [
        // What became of it, and whether they still are there.
        (
            FaultRule::every(Fault::ResetBeforeEffect)
                .on("POST /import/bulk_import")
                .when(When::First(1)),
            1 + 2,
        ),
        // The halves of 30, and those of one of them, which are small enough for forms.
        (FaultRule::every(Fault::PoisonItem(address(7))), 1 + 2 + 2),
    ] {
        let bench = leaving(30, "unsubscribe").await;
        let (emulator, outcomes) = (bench.emulator.clone(), AtomicU32::new(0));
        let is_lost = matches!(fault.fault, Fault::ResetBeforeEffect);
        bench.emulator.add_fault(fault.at("campaigns"));
        // That nothing is known, and then that nothing was done; or that it was turned down.
        let nth = u32::from(is_lost);
        bench.store.watch_journal(move |reached| {
            if reached == JournalMoment::OutcomeKept
                && outcomes.fetch_add(1, Ordering::SeqCst) == nth
            {
                emulator.with_world(|world| {
                    let account = world.account_mut("campaigns");
                    let list = account.find_group("News").unwrap();
                    let contact = account.contact_by_email(&address(2)).unwrap();
                    account.refuse_group(list, contact);
                });
            }
        });
        let report = bench.sync().await;
        bench.store.watch_journal(|_| ());
        let place = tell(&report);
        assert_eq!(looks(&bench), expected_looks, "{place}");
        assert_eq!(report.exit_code(), if is_lost { 0 } else { 4 }, "{place}");
        let mut expected: BTreeSet<usize> = (0..30).collect();
        expected.remove(&2);
        if !is_lost {
            expected.remove(&7);
        }
        assert_eq!(own(&bench), expected, "{place}");
        let members = bench.members("campaigns", "News");
        assert_eq!(members[&address(2)], OptedOut, "{place}");
        for number in 0..30 {
            on(&bench, "mail", number, Account::join);
        }
        bench.emulator.clear_faults();
        bench.settle().await;
        let members = bench.members("campaigns", "News");
        assert_eq!(members[&address(2)], OptedOut, "it was the person's own");
        assert_eq!(members[&address(3)], Active);
    }
}
