//! What people do at the target right before a group of theirs is put away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rosterd::emulator::{
    Account, Emulator, Fault, FaultRule, GroupStatus, MembershipState, RequestRecord, When,
};
use rosterd::run::{RunReport, Runner, SyncOptions};
use rosterd::state::JournalMoment;

use crate::meanwhile::once;
use crate::support::{Bench, bench, group_of, plain_world, removing_freely, tell};
use crate::undo::{apply, approval, found, killed, undo};

const LATE: &str = "late@example.org";

/// Does something once, when the first write of a run is settled: what is put away comes last.
fn meanwhile(bench: &Bench, work: impl Fn(&Emulator) + Send + Sync + 'static) {
    let emulator = bench.emulator.clone();
    let done = Arc::new(AtomicBool::new(false));
    bench.store.watch_journal(move |reached| {
        if reached == JournalMoment::OutcomeKept && !done.swap(true, Ordering::SeqCst) {
            work(&emulator);
        }
    });
}

/// What happens in the group meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum News {
    /// Somebody joins whom nobody knew.
    Joins,
    /// A member refuses, leaves unconfirmed or bounces.
    Turns(MembershipState),
    /// Its listing can't be read to its end.
    Unread,
}

/// What a target can show.
fn news_at(target: &str) -> Vec<News> {
    let mut news = vec![
        News::Joins,
        News::Turns(MembershipState::OptedOut),
        News::Unread,
    ];
    if target == "campaigns" {
        let others = [MembershipState::Unconfirmed, MembershipState::Bounced];
        news.extend(others.map(News::Turns));
    }
    news
}

/// Has news of a group of `member` come while a run writes.
fn bring(bench: &Bench, target: &str, group: &'static str, member: &'static str, news: News) {
    let target = target.to_owned();
    meanwhile(bench, move |emulator| match news {
        // Pages that say what is not so.
        News::Unread => emulator.add_fault(FaultRule::every(Fault::WrongCount(7)).at(&target)),
        News::Joins => emulator.with_world(|world| {
            let account = world.account_mut(&target);
            let group = account.find_group(group).unwrap();
            let contact = account.add_person(LATE, "Late", "Comer");
            account.join(group, contact);
        }),
        News::Turns(state) => emulator.with_world(|world| {
            let account = world.account_mut(&target);
            let group = account.find_group(group).unwrap();
            let contact = account.contact_by_email(member).unwrap();
            if state == MembershipState::OptedOut {
                account.opt_out_of_group(group, contact);
            } else {
                account.set_membership_state(group, contact, state);
            }
        }),
    });
}

fn stands(account: &Account, group: &str) -> bool {
    let group = account.find_group(group).map(|id| account.group(id));
    group.is_some_and(|group| group.unwrap().status == GroupStatus::Active)
}

/// The group was left, with its link and a reason.
fn is_left(bench: &Bench, target: &str, group: &str, op: &str, report: &RunReport, place: &str) {
    let place = format!("{place}: {}", tell(report));
    assert!(
        bench.account(target, |account| stands(account, group)),
        "{place}"
    );
    assert_eq!(report.exit_code(), 4, "{place}");
    let left: Vec<_> = report
        .failures
        .iter()
        .filter(|left| left.op == op)
        .collect();
    assert_eq!(left.len(), 1, "{place}");
    assert_eq!(left[0].group.as_deref(), Some(group), "{place}");
    let links = bench.store.links("test").unwrap();
    assert!(links.iter().any(|link| link.name == group), "{place}");
    bench.assert_no_misuse();
}

/// Two groups of a source, synced; then one of them is gone there, and somebody new is in the other.
async fn one_gone(source: &str, target: &str) -> Bench {
    let mut world = plain_world();
    let account = world.account_mut(source);
    group_of(account, "Donors", "donor", 3);
    let gone = group_of(account, "Readers", "reader", 3);
    let job = "mode = \"managed\"\n[jobs.test.groups]\nmissing = \"delete\"\n[jobs.test.guards]\nmax_group_removals = \"none\"";
    let bench = bench(world, source, target, job);
    bench.settle().await;
    bench.account(source, |account| {
        account.delete_group(gone);
        let donors = account.find_group("Donors").unwrap();
        let contact = account.add_person("new@example.org", "Ana", "Example");
        account.join(donors, contact);
    });
    bench.writes();
    bench
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_source_is_gone_takes_nobody_along_whom_the_plan_did_not_know() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "campaigns")] {
        for news in news_at(target) {
            let place = format!("{source} to {target}, {news:?}");
            let bench = one_gone(source, target).await;
            bring(&bench, target, "Readers", "reader0@example.org", news);
            let report = bench.sync().await;
            bench.emulator.clear_faults();
            is_left(&bench, target, "Readers", "delete_group", &report, &place);
            assert_eq!(report.summary.groups_deleted, 0, "{place}");
            let members = bench.members(target, "Readers").len();
            assert_eq!(members, 3 + usize::from(news == News::Joins), "{place}");
            // The next plan knows them, and is judged as any.
            let report = bench.settle().await;
            assert_eq!(
                report.summary.groups_deleted,
                1,
                "{place}: {}",
                tell(&report)
            );
        }
    }
}

/// A group of a source, synced; then there is another one, and somebody has a new name. Returns the
/// run that carried both.
async fn one_new(source: &str, target: &str) -> (Bench, String) {
    let mut world = plain_world();
    group_of(world.account_mut(source), "Donors", "donor", 3);
    let bench = bench(world, source, target, &removing_freely("managed"));
    bench.settle().await;
    bench.account(source, |account| {
        group_of(account, "Readers", "reader", 3);
        let contact = account.contact_by_email("donor0@example.org").unwrap();
        account.change_contact(contact, [("last_name", "Moved")], []);
    });
    let run = bench.settle().await.run;
    (bench, run)
}

#[tokio::test(start_paused = true)]
async fn what_an_undo_puts_away_takes_nobody_along_whom_the_run_did_not_put_there() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("crm", "campaigns")] {
        for news in news_at(target) {
            let place = format!("{source} to {target}, {news:?}");
            let op = if target == "mail" {
                "archive_group"
            } else {
                "delete_group"
            };
            let (bench, run) = one_new(source, target).await;
            let planned = undo(&bench, &run).await;
            bring(&bench, target, "Readers", "reader0@example.org", news);
            let report = apply(&bench, &planned, approval(&planned)).await.unwrap();
            bench.emulator.clear_faults();
            is_left(&bench, target, "Readers", op, &report, &place);
            let planned = undo(&bench, &run).await;
            drop(apply(&bench, &planned, approval(&planned)).await);
            if news == News::Unread {
                assert!(!bench.account(target, |account| stands(account, "Readers")));
                continue;
            }
            // An archived group keeps who refuses it.
            if target == "mail" && news == News::Turns(MembershipState::OptedOut) {
                let refuser = bench.members(target, "Readers")["reader0@example.org"];
                assert_eq!(refuser, MembershipState::OptedOut, "{place}");
                assert!(!bench.account(target, |account| stands(account, "Readers")));
                continue;
            }
            // The next one takes out whom the run put there, and leaves who came by themselves, or
            // refused.
            let members = bench.members(target, "Readers").into_iter();
            let active = members.filter(|(_, state)| *state == MembershipState::Active);
            let active: Vec<String> = active.map(|(who, _)| who).collect();
            let late: &[&str] = if news == News::Joins { &[LATE] } else { &[] };
            assert_eq!(active, late, "{place}");
            assert!(
                bench.account(target, |account| stands(account, "Readers")),
                "{place}"
            );
        }
    }
}

/// The request is repeated after an answer that was lost, and somebody joins in between.
#[tokio::test(start_paused = true)]
async fn a_deletion_is_not_repeated_over_the_head_of_a_newcomer() {
    for (source, target, operation) in [
        ("mail", "crm", "DeleteGroups"),
        ("crm", "mail", "groups/delete"),
        ("mail", "campaigns", "list_delete"),
    ] {
        let bench = one_gone(source, target).await;
        let lost = FaultRule::every(Fault::ResetBeforeEffect).at(target);
        let lost = lost.on(operation).when(When::First(1));
        bench.emulator.add_fault(lost);
        once(
            &bench,
            target,
            JournalMoment::OutcomeKept,
            "delete_group",
            |account| {
                let group = account.find_group("Readers").unwrap();
                let contact = account.add_person(LATE, "Late", "Comer");
                account.join(group, contact);
            },
        );
        let report = bench.sync().await;
        is_left(&bench, target, "Readers", "delete_group", &report, target);
        assert!(bench.members(target, "Readers").contains_key(LATE));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_look_is_a_part_of_the_cost_that_is_shown() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "campaigns")] {
        let bench = one_gone(source, target).await;
        let planned = bench.plan().await;
        bench.emulator.clear_log();
        let report = bench.sync().await;
        assert_eq!(report.summary.groups_deleted, 1, "{}", tell(&report));
        let requests = bench.emulator.requests();
        let is_deletion = |request: &RequestRecord| {
            ["DeleteGroups", "groups/delete", "list_delete"].contains(&request.operation.as_str())
        };
        let last = requests.iter().position(is_deletion).unwrap();
        let before = requests[..last].iter().rev();
        let looks = before.take_while(|request| !request.is_write);
        // The import before it is asked after until it is done.
        let looks = looks.filter(|request| request.operation != "GET /import/info");
        let looks = looks.count();
        let shown = planned.cost.work["deleting groups"].reads;
        assert_eq!(shown, looks as u64, "{target}: {requests:#?}");
        assert!(planned.cost.applying.reads >= shown, "{target}");
    }
}

/// A process that dies while it puts a group away by an undo: what it did is found, as a part of what
/// it did, and the group is made anew when the job goes on.
#[tokio::test(start_paused = true)]
async fn a_group_that_a_killed_undo_put_away_is_found_and_blocks_nothing() {
    for (source, target, operation) in [
        ("crm", "mail", "groups/save"),
        ("mail", "crm", "DeleteGroups"),
        ("crm", "campaigns", "list_delete"),
    ] {
        for after_effect in [false, true] {
            for by_undo in [false, true] {
                let place = format!("{source} to {target}, effect {after_effect}, {by_undo}");
                let mut world = plain_world();
                group_of(world.account_mut(source), "Donors", "donor", 3);
                let job = format!(
                    "{}\n[jobs.test.groups]\nprotect = false",
                    removing_freely("managed")
                );
                let bench = bench(world, source, target, &job);
                bench.settle().await;
                bench.account(source, |account| group_of(account, "Readers", "reader", 3));
                let run = bench.settle().await.run;
                let planned = undo(&bench, &run).await;
                let dead = killed(&bench, &planned, operation, after_effect).await;
                // Whatever was under way there is over by then.
                bench.pass(900);
                let op = if target == "mail" {
                    "archive_group"
                } else {
                    "delete_group"
                };
                if by_undo {
                    let planned = undo(&bench, &run).await;
                    assert_eq!(planned.plan.is_empty(), after_effect, "{place}");
                } else {
                    drop(bench.plan().await);
                }
                let expected: Vec<String> = [format!("{op} Readers")].into();
                let expected = if after_effect { expected } else { Vec::new() };
                assert_eq!(found(&bench, &dead), expected, "{place}");
                let links = bench.store.links("test").unwrap();
                let is_linked = links.iter().any(|link| link.name == "Readers");
                assert_eq!(is_linked, !after_effect, "{place}");
                if target != "mail" || !after_effect {
                    let planned = bench.plan().await;
                    assert!(
                        planned.plan.blocked.is_empty(),
                        "{place}: {:#?}",
                        planned.plan
                    );
                    let now = jiff::Timestamp::UNIX_EPOCH;
                    bench.store.set_paused("test", None, now).unwrap();
                    bench.settle().await;
                    assert_eq!(bench.members(target, "Readers").len(), 3, "{place}");
                }
            }
        }
    }
}

/// The same of an ordinary run, whose deletion nobody has to know of any more.
#[tokio::test(start_paused = true)]
async fn a_deletion_of_a_killed_run_is_found_with_its_record() {
    for (source, target, operation) in [
        ("crm", "mail", "groups/delete"),
        ("mail", "crm", "DeleteGroups"),
        ("mail", "campaigns", "list_delete"),
    ] {
        let bench = one_gone(source, target).await;
        bench.rest().await;
        let slow = FaultRule::every(Fault::SlowAnswer(Duration::from_secs(2))).on(operation);
        let is_it = |writes: &[RequestRecord]| writes.iter().any(|it| it.operation == operation);
        let work = async |runner: Runner| drop(runner.sync("test", SyncOptions::default()).await);
        assert!(bench.dies_once(slow, is_it, work).await, "{target}");
        let dead = bench.store.history(Some("test"), 1).unwrap()[0].id.clone();
        bench.pass(900);
        bench.settle().await;
        let found = found(&bench, &dead);
        let deleted = "delete_group Readers".to_owned();
        assert!(found.contains(&deleted), "{target}: {found:?}");
        let links = bench.store.links("test").unwrap();
        assert!(links.iter().all(|link| link.name != "Readers"), "{target}");
    }
}

/// What an undo archived has its name and its external id still; the plan says how the job gets on,
/// and it does.
#[tokio::test(start_paused = true)]
async fn a_group_that_an_undo_archived_says_how_the_job_fills_it_again() {
    let (mut bench, run) = one_new("crm", "mail").await;
    let planned = undo(&bench, &run).await;
    apply(&bench, &planned, approval(&planned)).await.unwrap();
    let planned = bench.plan().await;
    let [blocked] = planned.plan.blocked.as_slice() else {
        panic!("{:#?}", planned.plan.blocked);
    };
    let source = bench.account("crm", |account| account.find_group("Readers").unwrap());
    let ways = [
        "was archived by an undo: set it active at \"mail\"".to_owned(),
        format!("`exclude = [\"id:{source}\"]` under `[jobs.test.groups]`"),
    ];
    for way in &ways {
        assert!(blocked.detail.contains(way), "{way}: {}", blocked.detail);
    }

    let text = removing_freely("managed");
    let job = "[jobs.test]\nsource = \"crm\"\ntarget = \"mail\"";
    bench.reconfigure(&format!(
        "{job}\n{text}\n[jobs.test.groups]\nexclude = [\"id:{source}\"]\n"
    ));
    assert!(bench.plan().await.plan.blocked.is_empty());
    bench.reconfigure(&format!("{job}\n{text}\n"));
    bench.account("mail", |account| {
        let group = account.find_group("Readers").unwrap();
        account.group_mut(group).status = GroupStatus::Active;
    });
    bench.settle().await;
    assert_eq!(bench.members("mail", "Readers").len(), 3);
    // Whoever archives it after that is somebody else.
    bench.account("mail", |account| {
        let group = account.find_group("Readers").unwrap();
        account.group_mut(group).status = GroupStatus::Archived;
    });
    let planned = bench.plan().await;
    assert!(!planned.plan.blocked[0].detail.contains("undo"));
}
