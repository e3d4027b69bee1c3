//! A run is taken back as far as that harms nobody, and what stays is named.

use std::time::Duration;

use rosterd::emulator::{
    Fault, FaultRule, GroupStatus, MembershipState, RequestRecord, When, World,
};
use rosterd::plan::{Left, Undoing};
use rosterd::run::{Planned, RunError, RunReport, Runner, SavedPlan};
use rosterd::state::JournalMoment;

use crate::faults::busy;
use crate::meanwhile::once;
use crate::support::{
    Bench, assert_same, bench, digest, group_of, operations, plain_world, removing_freely, tell,
};

pub(crate) async fn undo(bench: &Bench, run: &str) -> Planned {
    bench.rest().await;
    let record = bench.store.run(run).unwrap().unwrap();
    let planned = bench.runner().undo(&record).await;
    planned.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) async fn apply(
    bench: &Bench,
    planned: &Planned,
    approve: Option<&str>,
) -> Result<RunReport, RunError> {
    bench.rest().await;
    bench.runner().apply(&saved(planned), approve).await
}

fn saved(planned: &Planned) -> SavedPlan {
    SavedPlan {
        job: "test".to_owned(),
        fingerprint: planned.plan.fingerprint.clone(),
        basis: Some(planned.plan.basis.clone()),
        empty: planned.plan.is_empty(),
        undo: Some(undoing(planned).run.clone()),
    }
}

/// Applies the plan that takes a run back in a process that dies at a write, before or after the
/// write's effect. Returns the run that was killed.
pub(crate) async fn killed(
    bench: &Bench,
    planned: &Planned,
    operation: &str,
    after_effect: bool,
) -> String {
    bench.rest().await;
    bench.emulator.clear_log();
    let slow = Duration::from_secs(2);
    let fault = if after_effect {
        Fault::SlowAnswer(slow)
    } else {
        Fault::Latency(slow)
    };
    let fault = FaultRule::every(fault).on(operation);
    let is_it = |writes: &[RequestRecord]| writes.iter().any(|it| it.operation == operation);
    let work = async |runner: Runner| {
        drop(runner.apply(&saved(planned), approval(planned)).await);
    };
    assert!(bench.dies_once(fault, is_it, work).await, "{operation}");
    bench.store.history(Some("test"), 1).unwrap()[0].id.clone()
}

/// What a later run found done of a run that was killed, as operation and what it was about.
pub(crate) fn found(bench: &Bench, run: &str) -> Vec<String> {
    let items = bench.store.run_items(run).map(Result::unwrap);
    let items = items.filter(|item| item.outcome == "found");
    let mut found: Vec<String> = items
        .map(|item| {
            let who = item.member.or(item.group).unwrap_or_default();
            format!("{} {who}", item.op)
        })
        .collect();
    found.sort();
    found
}

/// Takes a run back, and says what stays.
pub(crate) async fn taken_back(bench: &Bench, run: &str) -> Undoing {
    let planned = undo(bench, run).await;
    let undoing = undoing(&planned).clone();
    adds_up(&undoing);
    let report = apply(bench, &planned, approval(&planned)).await;
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    undoing
}

pub(crate) fn approval(planned: &Planned) -> Option<&str> {
    let refusal = planned.plan.refusals.first()?;
    Some(&refusal.approval)
}

pub(crate) fn undoing(planned: &Planned) -> &Undoing {
    planned.undoing.as_ref().unwrap()
}

/// Everything that a run did is taken back, taken back in part, or left, and nothing twice.
pub(crate) fn adds_up(undoing: &Undoing) {
    let Undoing { did, undone, .. } = undoing;
    assert_eq!(
        *did,
        undone + undoing.partly() + undoing.kept(),
        "{undoing:#?}"
    );
}

pub fn why(undoing: &Undoing) -> Vec<(Left, String)> {
    let mut why: Vec<(Left, String)> = undoing
        .left
        .iter()
        .map(|left| {
            let who = left.member.clone().or(left.group.clone());
            (left.why, format!("{} {}", left.op, who.unwrap_or_default()))
        })
        .collect();
    why.sort();
    why
}

fn mails(bench: &Bench, target: &str) -> Vec<String> {
    bench.account(target, |account| {
        // The group of everybody is nobody's to be put into.
        let all = account.find_group("All");
        let groups = account.groups.keys().copied();
        let groups = groups.filter(|group| Some(*group) != all);
        let mut mailed: Vec<String> = groups.flat_map(|group| account.mailed_by(group)).collect();
        mailed.sort();
        mailed.dedup();
        mailed
    })
}

#[tokio::test(start_paused = true)]
async fn a_run_of_everything_is_taken_back_but_for_what_must_stay() {
    for (source, target) in [
        ("crm", "mail"),
        ("mail", "crm"),
        ("mail", "mail2"),
        ("crm", "campaigns"),
        ("campaigns", "mail"),
        ("mail", "campaigns"),
    ] {
        let place = format!("{source} to {target}");
        let bench = busy(source, target).await;
        let before = bench.account(target, |account| digest(account));
        let mailed = mails(&bench, target);
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));

        let undoing = taken_back(&bench, &report.run).await;
        let after = bench.account(target, |account| digest(account));
        // The people whom the run created stay, as people of no group; a group that it created is
        // gone, or archived; and whoever opted out stays out of what they refused.
        let stays = |line: &&String| {
            let is_new = line.starts_with("contact three") || line.starts_with("contact stranger");
            let refuses = ["one6@", "one7@"].iter().any(|who| line.contains(who))
                || (line.contains("stranger@") && line.ends_with("OptedOut"));
            let archived = line.starts_with("group \"Three\" Archived")
                || (line.starts_with("member \"Three\"") && target.starts_with("mail"));
            // Whoever was taken off a list shows as unsubscribed from it.
            // So does whoever refused everything, on every list, which keeps the new one.
            let unsubscribed = target == "campaigns"
                && ["stranger@", "\"Three\"", "one0@", "one1@", "one2@", "one3@"]
                    .iter()
                    .any(|who| line.contains(who));
            // A changed address stays.
            let moved = ["one5@", "uno5@"].iter().any(|who| line.contains(who));
            moved
                || is_new
                || refuses
                || archived
                || unsubscribed
                || line.starts_with("member \"All\"")
        };
        let without = |lines: &[String]| -> Vec<String> {
            lines.iter().filter(|line| !stays(line)).cloned().collect()
        };
        assert_same(&without(&after), &without(&before), &place);
        for who in mails(&bench, target) {
            assert!(
                mailed.contains(&who) || who.starts_with("three") || who.starts_with("uno5"),
                "{place}: {who} is mailed"
            );
        }
        let kept: Vec<Left> = undoing.left.iter().map(|left| left.why).collect();
        assert!(
            kept.contains(&Left::OptOut) || kept.contains(&Left::Refuses),
            "{place}: {undoing:#?}"
        );
        assert!(kept.contains(&Left::PersonStays), "{place}: {undoing:#?}");
        assert!(bench.store.paused("test").unwrap().is_some(), "{place}");

        // Once more there is nothing to take back.
        let again = undo(&bench, &report.run).await;
        adds_up(again.undoing.as_ref().unwrap());
        assert!(again.plan.is_empty(), "{place}: {:#?}", operations(&again));
        let left = &again.undoing.as_ref().unwrap().left;
        assert!(
            left.iter().all(|left| left.why != Left::NotFilled),
            "{place}: who was in a group that went is as before: {left:#?}"
        );

        // The source still asks for all of it.
        let report = bench.sync().await;
        assert!(report.error.is_none(), "{place}: {}", tell(&report));
        let redone = bench.account(target, |account| digest(account));
        assert!(
            redone.iter().any(|line| line.contains("Uno")),
            "{place}: the name is given again: {}",
            tell(&report)
        );
        assert!(
            // A contact at ActiveCampaign has no town.
            [source, target].contains(&"campaigns")
                || redone.iter().any(|line| line.contains("Springfield")),
            "{place}: the value is written again: {}",
            tell(&report)
        );
    }
}

/// One group of three at the source, at a target that has it too with two of them, synced; then the
/// first leaves at the source, and the job runs again. Returns that run.
pub(crate) async fn removed(source: &str, target: &str) -> (Bench, String) {
    let mut world: World = plain_world();
    group_of(world.account_mut(source), "Donors", "donor", 12);
    let bench = bench(world, source, target, &removing_freely("managed"));
    bench.settle().await;
    bench.account(source, |account| {
        let group = account.find_group("Donors").unwrap();
        for name in ["donor0", "donor1", "donor2", "donor3"] {
            let contact = account.contact_by_email(&format!("{name}@example.org"));
            account.leave(group, contact.unwrap());
        }
    });
    let report = bench.sync().await;
    assert_eq!(report.summary.memberships_removed, 4, "{}", tell(&report));
    (bench, report.run)
}

/// Has the first of those who left join again at the source, and runs the job.
pub(crate) async fn comes_back(bench: &Bench) -> RunReport {
    bench.account("crm", |account| {
        let group = account.find_group("Donors").unwrap();
        let contact = account.contact_by_email("donor0@example.org").unwrap();
        account.join(group, contact);
    });
    bench.sync().await
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_back_who_refuses_by_then() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "mail2")] {
        let place = format!("{source} to {target}");
        let (bench, run) = removed(source, target).await;
        bench.account(target, |account| {
            let group = account.find_group("Donors").unwrap();
            let who = |name: &str| account.contact_by_email(name).unwrap();
            let (first, second) = (who("donor0@example.org"), who("donor1@example.org"));
            account.opt_out_of_account(first);
            account.join(group, second);
            if source == "mail" && target == "mail2" {
                account.refuse_group(group, second);
            } else {
                account.opt_out_of_account(second);
            }
        });
        bench.account(source, |account| {
            let third = account.contact_by_email("donor2@example.org").unwrap();
            account.opt_out_of_account(third);
        });
        let undoing = taken_back(&bench, &run).await;
        let members = bench.members(target, "Donors");
        assert_eq!(
            members.get("donor3@example.org"),
            Some(&MembershipState::Active),
            "{place}"
        );
        let left: Vec<String> = why(&undoing).into_iter().map(|(_, who)| who).collect();
        let mut expected =
            [0, 1, 2].map(|number| format!("remove_memberships donor{number}@example.org"));
        expected.sort();
        let mut sorted = left.clone();
        sorted.sort();
        assert_eq!(sorted, expected, "{place}");
        assert!(undoing.left.iter().all(|left| {
            // Who is in the group again is not put there, and gets no mail.
            matches!(left.why, Left::Refuses | Left::AlreadySo)
        }));
        let mailed = mails(&bench, target);
        for number in 0..3 {
            let who = format!("donor{number}@example.org");
            assert!(!mailed.contains(&who), "{place}: {who}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_shows_as_an_unsubscribe_stays_even_where_people_may_be_brought_back() {
    let (bench, run) = removed("crm", "campaigns").await;
    let undoing = taken_back(&bench, &run).await;
    assert!(
        undoing
            .left
            .iter()
            .all(|left| left.why == Left::Unsubscribed),
        "{undoing:#?}"
    );
    assert_eq!((undoing.kept(), undoing.undone), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn what_others_changed_since_stands() {
    let bench = busy("crm", "mail").await;
    let report = bench.sync().await;
    bench.account("mail", |account| {
        let uno = account.find_group("Uno").unwrap();
        account.rename_group(uno, "Unity");
        let contact = account.contact_by_email("one4@example.org").unwrap();
        account.change_contact(contact, [("city", "Shelbyville")], []);
        let three = account.find_group("Three").unwrap();
        let stranger = account.add_person("late@example.org", "Late", "Comer");
        account.join(three, stranger);
    });
    let undoing = taken_back(&bench, &report.run).await;
    let left = why(&undoing);
    for expected in [
        (Left::ChangedSince, "rename_group Uno"),
        (Left::ChangedSince, "update_member one4@example.org"),
        (Left::OthersInGroup, "create_group Three"),
    ] {
        let expected = (expected.0, expected.1.to_owned());
        assert!(left.contains(&expected), "{expected:?} of {left:#?}");
    }
    bench.account("mail", |account| {
        assert!(account.find_group("Unity").is_some());
        let city = account.contact_by_email("one4@example.org").unwrap();
        let city = account.contact(city).unwrap();
        assert_eq!(city.get("city"), "Shelbyville");
    });
    // Only those leave whom the run put there.
    let members = bench.members("mail", "Three");
    assert_eq!(members.len(), 1, "{members:?}");
    assert!(members.contains_key("late@example.org"));
}

#[tokio::test(start_paused = true)]
async fn what_a_later_run_did_again_is_left_to_that_run() {
    let (bench, first) = removed("crm", "mail").await;
    let second = comes_back(&bench).await;
    assert_eq!(second.summary.memberships_added, 1, "{}", tell(&second));
    let planned = undo(&bench, &first).await;
    let undoing = undoing(&planned);
    adds_up(undoing);
    let left = &undoing.left[0];
    assert_eq!((undoing.left.len(), left.why), (1, Left::LaterRun));
    assert_eq!(left.run.as_ref(), Some(&second.run));
    assert_eq!(
        operations(&planned),
        ["add_memberships \"Donors\" donor1@example.org, donor2@example.org, donor3@example.org"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_undo_is_judged_like_any_plan_and_applied_once() {
    let mut world: World = plain_world();
    group_of(world.account_mut("crm"), "Donors", "donor", 40);
    group_of(world.account_mut("mail"), "Donors", "donor", 2);
    let bench = bench(world, "crm", "mail", "mode = \"managed\"");
    let report = bench.settle().await;
    let first = bench
        .store
        .history(Some("test"), 10)
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!(first.id, report.run);
    let planned = undo(&bench, &report.run).await;
    let refusal = &planned.plan.refusals[0];
    assert_eq!(refusal.guard, "max_membership_removals");
    bench.writes();
    let refused = apply(&bench, &planned, None).await.unwrap();
    assert_eq!(refused.exit_code(), 3);
    assert!(bench.writes().is_empty());
    assert!(
        bench.store.paused("test").unwrap().is_none(),
        "nothing was undone"
    );

    let approved = apply(&bench, &planned, Some(&refusal.approval))
        .await
        .unwrap();
    assert_eq!(approved.exit_code(), 0, "{}", tell(&approved));
    assert_eq!(approved.summary.memberships_removed, 38);
    assert_eq!(bench.members("mail", "Donors").len(), 2);
    assert!(
        approved
            .warnings
            .iter()
            .any(|warning| warning.contains("paused")),
        "{}",
        tell(&approved)
    );
    let again = apply(&bench, &planned, Some(&refusal.approval)).await;
    assert_eq!(again.unwrap_err().exit_code(), 3);
    let trigger = &bench.store.history(Some("test"), 1).unwrap()[0].trigger;
    assert_eq!(trigger, "undo");
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_lost_its_answers_is_finished_by_the_next() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("crm", "campaigns")] {
        let place = format!("{source} to {target}");
        let calm = busy(source, target).await;
        let run = calm.sync().await.run;
        calm.writes();
        taken_back(&calm, &run).await;
        let expected = calm.account(target, |account| digest(account));
        let mut operations: Vec<String> = calm.sent().into_iter().map(|(name, _)| name).collect();
        operations.sort();
        operations.dedup();
        for operation in operations {
            let bench = busy(source, target).await;
            let run = bench.sync().await.run;
            let planned = undo(&bench, &run).await;
            let lost = FaultRule::every(Fault::ResetAfterEffect);
            let lost = lost.at(target).on(&operation).when(When::First(1));
            bench.emulator.add_fault(lost);
            drop(apply(&bench, &planned, approval(&planned)).await);
            bench.emulator.clear_faults();
            for _ in 0..4 {
                bench.pass(90_000);
                let planned = undo(&bench, &run).await;
                adds_up(undoing(&planned));
                if planned.plan.is_empty() {
                    break;
                }
                drop(apply(&bench, &planned, approval(&planned)).await);
            }
            let found = bench.account(target, |account| digest(account));
            assert_same(&found, &expected, &format!("{place}, {operation}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_profile_goes_back_to_the_contact_that_it_was_of_whatever_address_it_has() {
    for target in ["mail", "campaigns"] {
        let mut world: World = plain_world();
        group_of(world.account_mut("crm"), "Donors", "donor", 3);
        let bench = bench(world, "crm", target, &removing_freely("managed"));
        bench.settle().await;
        bench.account("crm", |account| {
            let contact = account.contact_by_email("donor0@example.org").unwrap();
            account.change_contact(contact, [("last_name", "Moved")], []);
            account.change_address(contact, "moved@example.org");
        });
        let report = bench.settle().await;
        let before = bench.account(target, |account| account.contacts.len());
        let undoing = taken_back(&bench, &report.run).await;
        assert_eq!(
            why(&undoing),
            [(
                Left::AddressStays,
                "change_address moved@example.org".to_owned()
            )],
            "{target}"
        );
        bench.account(target, |account| {
            assert_eq!(account.contacts.len(), before, "{target}: nobody is new");
            let contact = account.contact_by_email("moved@example.org").unwrap();
            let contact = account.contact(contact).unwrap();
            assert_eq!(contact.get("last_name"), "Example", "{target}");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_protected_at_the_source_or_left_alone_by_the_job_stays_as_it_is() {
    let mut world: World = plain_world();
    group_of(world.account_mut("mail"), "Donors", "donor", 3);
    // Created groups are flagged unless the config says otherwise.
    let text = removing_freely("managed");
    let mut bench = bench(world, "mail", "mail2", &text);
    let report = bench.settle().await;
    bench.account("mail", |account| {
        let group = account.find_group("Donors").unwrap();
        account.group_mut(group).protected = true;
    });
    let planned = undo(&bench, &report.run).await;
    let created = (Left::Protected, "create_group Donors".to_owned());
    assert!(
        why(undoing(&planned)).contains(&created),
        "{planned:?}",
        planned = undoing(&planned)
    );

    bench.account("mail", |account| {
        let group = account.find_group("Donors").unwrap();
        account.rename_group(group, "Givers");
    });
    let renamed = bench.sync().await;
    assert_eq!(renamed.summary.groups_updated, 1, "{}", tell(&renamed));
    bench.reconfigure(&format!(
        "[jobs.test]\nsource = \"mail\"\ntarget = \"mail2\"\n{text}\n[jobs.test.groups]\nexclude = [\"Givers\"]\n"
    ));
    let planned = undo(&bench, &renamed.run).await;
    assert!(planned.plan.is_empty(), "{:#?}", operations(&planned));
    assert_eq!(undoing(&planned).left[0].why, Left::NotFilled);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_is_nobody_that_the_job_takes_out_again_by_itself() {
    let mut world: World = plain_world();
    group_of(world.account_mut("crm"), "Donors", "donor", 9);
    group_of(world.account_mut("mail"), "Donors", "guest", 3);
    let mut bench = bench(world, "crm", "mail", &removing_freely("managed"));
    bench.settle().await;
    let job = |mode: &str| {
        let text = removing_freely(mode);
        format!("[jobs.test]\nsource = \"crm\"\ntarget = \"mail\"\n{text}\n")
    };
    bench.reconfigure(&job("mirror"));
    let refused = bench.sync().await;
    let mirrored = bench.approve(&refused.refusals[0].approval).await;
    assert_eq!(
        mirrored.summary.memberships_removed,
        3,
        "{}",
        tell(&mirrored)
    );
    taken_back(&bench, &mirrored.run).await;
    bench.reconfigure(&job("managed"));
    let planned = bench.plan().await;
    assert!(planned.plan.is_empty(), "{:#?}", operations(&planned));
    assert_eq!(bench.members("mail", "Donors").len(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_taken_back_once_the_one_after_it_was() {
    let (bench, first) = removed("crm", "mail").await;
    let second = comes_back(&bench).await;
    taken_back(&bench, &second.run).await;
    let undoing = taken_back(&bench, &first).await;
    assert_eq!(undoing.left, []);
    assert_eq!(bench.members("mail", "Donors").len(), 12);
}

#[tokio::test(start_paused = true)]
async fn nobody_comes_back_whom_the_source_lists_as_no_member() {
    let (bench, run) = removed("campaigns", "mail").await;
    bench.account("campaigns", |account| {
        let group = account.find_group("Donors").unwrap();
        let states = [MembershipState::Unconfirmed, MembershipState::Bounced];
        for (name, state) in ["donor0", "donor1"].into_iter().zip(states) {
            let contact = account.contact_by_email(&format!("{name}@example.org"));
            account.join(group, contact.unwrap());
            account.set_membership_state(group, contact.unwrap(), state);
        }
    });
    let undoing = taken_back(&bench, &run).await;
    assert!(
        undoing.left.iter().all(|left| left.why == Left::Refuses),
        "{undoing:#?}"
    );
    let members = bench.members("mail", "Donors");
    for (name, is_back) in [("donor0", false), ("donor1", false), ("donor2", true)] {
        let held = members.contains_key(&format!("{name}@example.org"));
        assert_eq!(held, is_back, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_created_group_that_holds_a_refusal_is_archived_and_never_deleted() {
    for (source, target) in [("crm", "mail"), ("mail", "crm")] {
        let mut world: World = plain_world();
        group_of(world.account_mut(source), "Donors", "donor", 4);
        let bench = bench(world, source, target, &removing_freely("managed"));
        let report = bench.sync().await;
        bench.account(target, |account| {
            let group = account.find_group("Donors").unwrap();
            let contact = account.contact_by_email("donor0@example.org").unwrap();
            account.opt_out_of_group(group, contact);
        });
        let undoing = taken_back(&bench, &report.run).await;
        bench.account(target, |account| {
            let group = account
                .find_group("Donors")
                .expect("the group is still there");
            let group = account.group(group).unwrap();
            let archived = target == "mail";
            assert_eq!(group.status == GroupStatus::Archived, archived, "{target}");
            let contact = account.contact_by_email("donor0@example.org").unwrap();
            let row = group.members.get(&contact).unwrap();
            assert_eq!(row.state, MembershipState::OptedOut, "{target}");
            let left = (Left::OthersInGroup, "create_group Donors".to_owned());
            assert_eq!(why(&undoing).contains(&left), !archived, "{target}");
        });
    }
}

/// Who was brought back by an undo, whatever became of its answers, is taken out again by undoing the
/// undo, and nobody else is; the job itself takes none of them out.
#[tokio::test(start_paused = true)]
async fn undoing_an_undo_takes_out_whom_it_brought_back_and_nobody_else() {
    for (source, target, operation) in [
        ("crm", "mail", "groups/addContacts"),
        ("mail", "crm", "AddContactsToGroup"),
    ] {
        for killed_after in [None, Some(true), Some(false)] {
            let place = format!("{source} to {target}, {killed_after:?}");
            let (bench, run) = removed(source, target).await;
            bench.account(target, |account| {
                // Of nobody's doing here.
                let group = account.find_group("Donors").unwrap();
                let guest = account.add_person("guest@example.org", "Ana", "Example");
                account.join(group, guest);
            });
            let planned = undo(&bench, &run).await;
            let back: Vec<String> = (0..4).map(|at| format!("donor{at}@example.org")).collect();
            let mut undone = match killed_after {
                None => {
                    let report = apply(&bench, &planned, approval(&planned)).await.unwrap();
                    assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
                    report.run
                }
                Some(after_effect) => killed(&bench, &planned, operation, after_effect).await,
            };
            if let Some(after_effect) = killed_after {
                let planned = undo(&bench, &run).await;
                adds_up(undoing(&planned));
                assert_eq!(planned.plan.is_empty(), after_effect, "{place}");
                let expected = back.iter().map(|who| format!("add_memberships {who}"));
                let expected: Vec<String> = expected.filter(|_| after_effect).collect();
                assert_eq!(found(&bench, &undone), expected, "{place}");
                if !after_effect {
                    let report = apply(&bench, &planned, approval(&planned)).await.unwrap();
                    undone = report.run;
                }
            }
            let members = bench.members(target, "Donors");
            assert!(back.iter().all(|who| members.contains_key(who)), "{place}");

            let again = taken_back(&bench, &undone).await;
            assert_eq!((again.did, again.undone), (4, 4), "{place}: {again:#?}");
            let members: Vec<String> = bench.members(target, "Donors").into_keys().collect();
            let mut expected: Vec<String> =
                (4..12).map(|at| format!("donor{at}@example.org")).collect();
            expected.push("guest@example.org".to_owned());
            expected.sort();
            assert_eq!(members, expected, "{place}");
            bench.assert_no_misuse();
        }
    }
}

/// Somebody whom others put there at that very moment is theirs.
#[tokio::test(start_paused = true)]
async fn undoing_an_undo_leaves_whom_others_had_brought_back_by_then() {
    let (bench, run) = removed("mail", "crm").await;
    // Only where the provider says of each item whether it was there before, anybody can know.
    bench.account("crm", |account| {
        account.settings.greenrope.strict_items = true;
    });
    let planned = undo(&bench, &run).await;
    once(
        &bench,
        "crm",
        JournalMoment::IntentKept,
        "add_memberships",
        |account| {
            let group = account.find_group("Donors").unwrap();
            let donor = account.contact_by_email("donor0@example.org").unwrap();
            account.join(group, donor);
        },
    );
    let report = apply(&bench, &planned, approval(&planned)).await.unwrap();
    bench.store.watch_journal(|_| ());
    let undoing = taken_back(&bench, &report.run).await;
    let theirs = (
        Left::ChangedSince,
        "add_memberships donor0@example.org".to_owned(),
    );
    assert_eq!(why(&undoing), [theirs]);
    let members = bench.members("crm", "Donors");
    for (name, is_there) in [("donor0", true), ("donor1", false), ("donor3", false)] {
        let held = members.contains_key(&format!("{name}@example.org"));
        assert_eq!(held, is_there, "{name}");
    }
}

/// Interrupts the undo of a run that did a bit of everything, in the middle.
async fn interrupted() -> (Bench, String, Vec<String>) {
    let bench = busy("crm", "mail").await;
    let run = bench.sync().await.run;
    let planned = undo(&bench, &run).await;
    killed(&bench, &planned, "groups/removeContacts", true).await;
    let before = bench.account("mail", |account| digest(account));
    bench.writes();
    (bench, run, before)
}

fn says_open(warnings: &[String], run: &str) -> bool {
    let said = format!("An undo of run {run} was interrupted");
    let finish = format!("`rosterd undo {run} --out FILE`");
    let is_it = |words: &&String| words.starts_with(&said) && words.contains(&finish);
    warnings.iter().filter(is_it).count() == 1
}

#[tokio::test(start_paused = true)]
async fn nothing_that_an_interrupted_undo_took_back_is_done_again_unless_it_is_meant() {
    let (bench, run, before) = interrupted().await;
    let planned = bench.plan().await;
    assert!(
        says_open(&planned.plan.warnings, &run),
        "{:?}",
        planned.plan.warnings
    );
    let guards: Vec<&str> = planned.plan.refusals.iter().map(|it| it.guard).collect();
    assert_eq!(guards, ["undo_interrupted"]);
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 3, "{}", tell(&report));
    assert!(bench.writes().is_empty());
    let after = bench.account("mail", |account| digest(account));
    assert_same(&after, &before, "refused");
    assert!(bench.store.paused("test").unwrap().is_some());

    // What finishes it is no such plan.
    let rest = undo(&bench, &run).await;
    assert!(
        !says_open(&rest.plan.warnings, &run),
        "{:?}",
        rest.plan.warnings
    );
    assert!(
        rest.plan
            .refusals
            .iter()
            .all(|it| it.guard != "undo_interrupted")
    );
    taken_back(&bench, &run).await;
    let planned = bench.plan().await;
    assert!(
        !says_open(&planned.plan.warnings, &run),
        "{:?}",
        planned.plan.warnings
    );
    assert_eq!(planned.plan.refusals, []);
    let report = bench.sync().await;
    assert!(
        report.error.is_none() && report.refusals.is_empty(),
        "{}",
        tell(&report)
    );
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_undo_is_given_up_by_whoever_means_it() {
    for approves in [false, true] {
        let (bench, run, _) = interrupted().await;
        let report = if approves {
            let refused = bench.sync().await;
            let id = refused.refusals[0].approval.clone();
            bench.approve(&id).await
        } else {
            let now = jiff::Timestamp::UNIX_EPOCH;
            bench.store.set_paused("test", None, now).unwrap();
            bench.sync().await
        };
        assert!(
            report.error.is_none() && report.refusals.is_empty(),
            "{}",
            tell(&report)
        );
        assert!(says_open(&report.warnings, &run), "{:?}", report.warnings);
        let planned = bench.plan().await;
        assert!(
            !says_open(&planned.plan.warnings, &run),
            "{:?}",
            planned.plan.warnings
        );
    }
}

/// What stands in the way of taking a run back is what is in force now: not what an undo took back, and again
/// what an undo of that undo restored.
#[tokio::test(start_paused = true)]
async fn an_undo_of_an_undo_has_the_later_run_stand_in_the_way_again() {
    let (bench, first) = removed("crm", "mail").await;
    // donor0 comes back at the source, and leaves once more.
    comes_back(&bench).await;
    bench.account("crm", |account| {
        let group = account.find_group("Donors").unwrap();
        let contact = account.contact_by_email("donor0@example.org").unwrap();
        account.leave(group, contact);
    });
    let third = bench.sync().await.run;
    let is_in = |bench: &Bench| {
        let members = bench.members("mail", "Donors");
        members.get("donor0@example.org") == Some(&MembershipState::Active)
    };
    assert!(!is_in(&bench));
    taken_back(&bench, &third).await;
    assert!(is_in(&bench));
    let undone = bench.store.history(Some("test"), 1).unwrap()[0].id.clone();
    taken_back(&bench, &undone).await;
    assert!(!is_in(&bench));

    let undoing = taken_back(&bench, &first).await;
    let left = (Left::LaterRun, "remove_memberships donor0@example.org");
    assert!(
        why(&undoing).contains(&(left.0, left.1.to_owned())),
        "{undoing:#?}"
    );
    assert!(
        !is_in(&bench),
        "the third run and the undo of its undo stand"
    );
}

/// Whoever archives a group in a hurry and undoes the run then finds its people where the run put them.
#[tokio::test(start_paused = true)]
async fn what_is_in_a_group_that_a_person_archived_is_not_called_undone() {
    let mut world: World = plain_world();
    group_of(world.account_mut("crm"), "Donors", "donor", 4);
    group_of(world.account_mut("crm"), "Readers", "reader", 2);
    let donors = group_of(world.account_mut("mail"), "Donors", "guest", 1);
    let bench = bench(world, "crm", "mail", &removing_freely("managed"));
    let report = bench.sync().await;
    assert_eq!(report.summary.memberships_added, 6, "{}", tell(&report));
    bench.account("mail", |account| {
        account.group_mut(donors).status = GroupStatus::Archived;
        // This one the run made itself.
        account.archive_group(account.find_group("Readers").unwrap());
    });
    let planned = undo(&bench, &report.run).await;
    let left = why(undoing(&planned));
    let archived = left.iter().filter(|(why, _)| *why == Left::Archived);
    let archived: Vec<&str> = archived.map(|(_, what)| what.as_str()).collect();
    assert_eq!(archived.len(), 7, "{left:#?}");
    assert!(archived.contains(&"create_group Readers"), "{archived:?}");
}

/// A second undo would have nobody know of the first one any more.
#[tokio::test(start_paused = true)]
async fn while_one_undo_is_interrupted_no_other_run_is_taken_back() {
    let (bench, first) = removed("crm", "mail").await;
    let second = comes_back(&bench).await.run;
    let planned = undo(&bench, &second).await;
    bench
        .emulator
        .add_fault(FaultRule::every(Fault::ServerError(503)).on("groups/removeContacts"));
    let report = apply(&bench, &planned, approval(&planned)).await.unwrap();
    assert_ne!(report.exit_code(), 0, "{}", tell(&report));
    bench.emulator.clear_faults();
    assert_eq!(
        bench.store.open_undo("test").unwrap().as_deref(),
        Some(second.as_str())
    );
    let planned = undo(&bench, &first).await;
    let refused = apply(&bench, &planned, approval(&planned)).await;
    let refused = refused.expect_err("the other undo is not finished");
    assert_eq!(refused.exit_code(), 3, "{refused}");
    assert!(refused.to_string().contains(&second), "{refused}");
    // Finished, it stands in nobody's way.
    taken_back(&bench, &second).await;
    assert_eq!(bench.store.open_undo("test").unwrap(), None);
    taken_back(&bench, &first).await;
}
