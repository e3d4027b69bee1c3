//! A rehearsal says what the run does that follows it, and touches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rosterd::emulator::{Account, Fault, FaultRule, Kind, Seed, When, World};
use rosterd::model::ProviderKind;
use rosterd::rehearsal::{Ended, GroupMail, Mail, RehearseOptions, Rehearsed, rehearse};
use rosterd::run::RunReport;
use rosterd::state::Store;

use super::bed::{Bed, JOB, small_world};
use crate::support::{Bench, bench, group_of, plain_world, provider, removing_freely, tell};

/// Puts people into a group, who are users where the groups are user groups.
fn fill(account: &mut Account, kind: ProviderKind, group: &str, names: &[&str]) {
    let address = |name: &&str| format!("{name}@example.org");
    if kind == ProviderKind::ActiveCampaignUsers {
        let group = account
            .find_user_group(group)
            .unwrap_or_else(|| account.add_user_group(group));
        for name in names {
            if account.user_by_email(&address(name)).is_none() {
                let user = account.add_user(name, &address(name), group);
                account.user_mut(user).first_name = "Ana".into();
                account.user_mut(user).last_name = "Example".into();
            }
        }
        return;
    }
    let group = account
        .find_group(group)
        .unwrap_or_else(|| account.add_group(group));
    for name in names {
        let contact = account
            .contact_by_email(&address(name))
            .unwrap_or_else(|| account.add_person(&address(name), "Ana", name));
        account.join(group, contact);
    }
}

fn contact(account: &Account, name: &str) -> u64 {
    account
        .contact_by_email(&format!("{name}@example.org"))
        .unwrap()
}

/// Both sides have people of their own and in common, and some of either refuse.
fn two_sides(source: ProviderKind, target: ProviderKind) -> World {
    let mut world = plain_world();
    let users = ProviderKind::ActiveCampaignUsers;
    let account = world.account_mut(&provider(source, false).1);
    fill(
        account,
        source,
        "Donors",
        &["ana", "bo", "cy", "dee", "eve"],
    );
    fill(account, source, "News", &["fay", "gus", "hal"]);
    if source != users {
        let donors = account.find_group("Donors").unwrap();
        account.opt_out_of_group(donors, contact(account, "bo"));
        account.opt_out_of_account(contact(account, "gus"));
        account.hold(contact(account, "hal"));
    }
    let account = world.account_mut(&provider(target, true).1);
    fill(account, target, "Donors", &["cy", "dee"]);
    fill(account, target, "Others", &["fay", "zoe"]);
    if target == users {
        // Nobody becomes a login who is none.
        fill(account, target, "Parking", &["ana", "bo", "eve"]);
    } else {
        let donors = account.find_group("Donors").unwrap();
        account.opt_out_of_group(donors, contact(account, "dee"));
        account.opt_out_of_account(contact(account, "fay"));
    }
    world
}

/// Somebody comes, somebody leaves, and somebody refuses.
fn go_on(bench: &Bench, source: ProviderKind) {
    bench.account(&provider(source, false).1, |account| {
        fill(account, source, "News", &["ida"]);
        if source == ProviderKind::ActiveCampaignUsers {
            let cy = account.user_by_email("cy@example.org").unwrap();
            let parking = account.find_user_group("Parking").unwrap();
            account.move_user(cy, parking);
            return;
        }
        let donors = account.find_group("Donors").unwrap();
        account.leave(donors, contact(account, "cy"));
        account.opt_out_of_group(donors, contact(account, "eve"));
        account.change_contact(contact(account, "ana"), [("last_name", "Renamed")], []);
    });
}

/// The groups of an account with who gets their mail, or who is in them.
fn mailed(account: &Account, kind: ProviderKind) -> BTreeMap<String, u64> {
    if kind == ProviderKind::ActiveCampaignUsers {
        let groups = account.user_groups.values();
        return groups
            .map(|group| {
                let users = account.users_in(group.id);
                (group.title.clone(), users.len() as u64)
            })
            .collect();
    }
    let groups = account.groups.values();
    groups
        .map(|group| (group.name.clone(), account.mailed_by(group.id).len() as u64))
        .collect()
}

/// The same as a rehearsal tells it.
fn told(mail: &Mail) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let of = |side: fn(&GroupMail) -> Option<u64>| {
        let groups = mail.groups.iter();
        groups
            .filter_map(|group| Some((group.name.clone(), side(group)?)))
            .collect()
    };
    (of(|group| group.before), of(|group| group.after))
}

fn report(ended: &Ended) -> &RunReport {
    match ended {
        Ended::Report(report) => report,
        Ended::NoRun { error, .. } => panic!("no run: {error}"),
    }
}

/// What the state database remembers of people, groups and runs; requests apart, which were sent.
fn remembered(store: &Store) -> BTreeMap<String, i64> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("copy.db");
    store.backup_to(&path).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mut tables = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%request%'")
        .unwrap();
    let names = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let count = |name: &String| {
        connection
            .query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| {
                row.get(0)
            })
            .unwrap()
    };
    names
        .map(Result::unwrap)
        .map(|name| {
            let rows = count(&name);
            (name, rows)
        })
        .collect()
}

/// Rehearses, runs in truth, and holds one against the other.
///
/// Of an account with quirks not every request is the same as of its copy, which has none.
async fn hold(
    bench: &Bench,
    (account, target): (&str, ProviderKind),
    place: &str,
    is_plain: bool,
) -> Rehearsed {
    let before = bench.account(account, |account| mailed(account, target));
    bench.writes();
    let state = remembered(&bench.store);
    bench.rest().await;
    let rehearsed = rehearse(&bench.runner(), "test", RehearseOptions::default())
        .await
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!(bench.writes(), [], "{place}: nothing is written");
    assert_eq!(remembered(&bench.store), state, "{place}: nothing is kept");
    assert_eq!(rehearsed.differences, [], "{place}");
    for copied in &rehearsed.copies {
        assert_eq!(copied.lacks, [""; 0], "{place}");
    }

    let real = bench.sync().await;
    let run = report(&rehearsed.runs[0]);
    let show = || format!("{place}\nrehearsed: {}\nreal: {}", tell(run), tell(&real));
    assert_eq!(run.summary, real.summary, "{}", show());
    assert_eq!(run.exit_code(), real.exit_code(), "{}", show());
    assert_eq!(
        run.withheld_by_reason,
        real.withheld_by_reason,
        "{}",
        show()
    );
    let blocked = |report: &RunReport| -> BTreeSet<String> {
        report
            .blocked
            .iter()
            .map(|blocked| format!("{:?} {:?}", blocked.reason, blocked.member))
            .collect()
    };
    assert_eq!(blocked(run), blocked(&real), "{}", show());
    if is_plain {
        assert_eq!(run.requests, real.requests, "{}", show());
        assert_eq!(run.reads, real.reads, "{}", show());
    }
    let (then, after) = told(&rehearsed.mail);
    assert_eq!(then, before, "{place}");
    let now = bench.account(account, |account| mailed(account, target));
    assert_eq!(after, now, "{place}");
    assert!(rehearsed.mail.breaches.is_empty(), "{place}");
    let again = rehearsed.again.as_ref().expect("the job came to its end");
    assert!(again.did_nothing(), "{place}: {}", tell(report(again)));
    bench.emulator.clear_log();
    rehearsed
}

#[tokio::test(start_paused = true)]
async fn every_pair_is_rehearsed_as_it_then_runs() {
    for source in ProviderKind::ALL {
        for target in ProviderKind::ALL {
            let users = ProviderKind::ActiveCampaignUsers;
            let contacts = source == users && target != source;
            let job = format!(
                "{}\n{}",
                if contacts {
                    "users_as_contacts = true"
                } else {
                    ""
                },
                removing_freely("managed") + "\nmax_opt_outs = \"none\""
            );
            let bench = bench(
                two_sides(source, target),
                &provider(source, false).0,
                &provider(target, true).0,
                &job,
            );
            let place = format!("{} to {}", source.full_title(), target.full_title());
            let at = provider(target, true).1;
            hold(&bench, (&at, target), &place, true).await;
            go_on(&bench, source);
            let place = format!("{place}, the second time");
            hold(&bench, (&at, target), &place, true).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_an_account_shows_is_in_its_copy() {
    let size = Seed {
        seed: 7,
        groups: 12,
        members: 120,
    };
    for (source, target, at, kind) in [
        ("crm", "mail", "mail", ProviderKind::Emfluence),
        ("mail", "crm", "crm", ProviderKind::GreenRope),
        (
            "crm",
            "campaigns",
            "campaigns",
            ProviderKind::ActiveCampaignLists,
        ),
        ("campaigns", "mail2", "mail2", ProviderKind::Emfluence),
        ("staff", "mail", "mail", ProviderKind::Emfluence),
        (
            "crm",
            "staff",
            "campaigns",
            ProviderKind::ActiveCampaignUsers,
        ),
    ] {
        let rich = if source == "mail" { "mail" } else { "crm" };
        let mut world = World::seeded_all(rich, &size).without_pace();
        if source == "campaigns" {
            world = World::seeded_all("campaigns", &size).without_pace();
        }
        let contacts = if source == "staff" {
            "users_as_contacts = true\n"
        } else {
            ""
        };
        let job =
            format!("{contacts}mode = \"managed\"\n[jobs.test.guards]\nmax_opt_outs = \"none\"");
        let bench = bench(world, source, target, &job);
        let place = format!("{source} to {target}");
        hold(&bench, (at, kind), &place, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whom_rosterd_took_out_itself_may_come_back_in_the_copy_as_well() {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "News", "reader", 12);
    let job = removing_freely("managed")
        + "\n[jobs.test.members]\nremoval = \"unsubscribe\"\nreadd = true";
    let bench = bench(world, "mail", "campaigns", &job);
    bench.settle().await;
    let both = ["reader3@example.org", "reader4@example.org"];
    let edit = |work: fn(&mut Account, u64, u64)| {
        bench.account("mail", |mail| {
            let news = mail.find_group("News").unwrap();
            for address in both {
                let contact = mail.contact_by_email(address).unwrap();
                work(mail, news, contact);
            }
        });
    };
    edit(|mail, news, contact| {
        mail.leave(news, contact);
    });
    bench.settle().await;
    // One of them has refused since, by a click of their own.
    bench.set_clocks_alike();
    bench.account("campaigns", |campaigns| {
        let news = campaigns.find_group("News").unwrap();
        let contact = campaigns.contact_by_email(both[1]).unwrap();
        campaigns.refuse_group(news, contact);
    });
    edit(|mail, news, contact| {
        mail.join(news, contact);
    });
    let at = ("campaigns", ProviderKind::ActiveCampaignLists);
    let rehearsed = hold(&bench, at, "back again", true).await;
    assert_eq!(rehearsed.mail.newly, [both[0]]);
}

/// The answers to creations of groups are lost, and so is every one that would tell what became of
/// them.
fn lost_in_the_middle() -> Vec<FaultRule> {
    let lost = |operation, when| {
        let rule = FaultRule::every(Fault::ResetAfterEffect).at("mail");
        rule.on(operation).when(when)
    };
    // The first two searches prove the account and list its groups.
    let searches = (3..=60).map(|number| lost("groups/search", When::Nth(number)));
    searches.chain([lost("groups/save", When::Every)]).collect()
}

async fn rehearsed(bench: &Bench, faults: Vec<FaultRule>) -> Rehearsed {
    let options = RehearseOptions {
        faults,
        ..RehearseOptions::default()
    };
    rehearse(&bench.runner(), "test", options)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

fn people(count: usize) -> Bench {
    let mut world = plain_world();
    for (group, prefix) in [("Donors", "donor"), ("News", "reader"), ("Board", "chair")] {
        group_of(world.account_mut("crm"), group, prefix, count);
    }
    bench(world, "crm", "mail", "mode = \"managed\"")
}

#[tokio::test(start_paused = true)]
async fn a_run_that_faults_end_is_finished_by_the_next_one() {
    let bench = people(6);
    let rehearsed = rehearsed(&bench, lost_in_the_middle()).await;
    assert_eq!(bench.writes(), []);
    assert_ne!(rehearsed.runs[0].exit_code(), 0, "{:?}", rehearsed.runs);
    assert_ne!(rehearsed.exit_code(), 0, "it ends as the run would");
    assert!(rehearsed.struck > 0);
    assert_eq!(rehearsed.last().exit_code(), 0, "{:?}", rehearsed.runs);
    assert!(rehearsed.again.as_ref().unwrap().did_nothing());
    assert!(rehearsed.requests[1].later > 0);
    // Each group is there once, and everybody in it.
    let (_, after) = told(&rehearsed.mail);
    let expected = [("All", 18), ("Board", 6), ("Donors", 6), ("News", 6)];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(after, BTreeMap::from(expected));
    assert_eq!(rehearsed.mail.groups.len(), 4);

    // What is refused in part rests, and is tried again.
    let refusing = FaultRule::every(Fault::PartialBatchFailure { every: 2 })
        .on("contacts/import")
        .when(When::Nth(1));
    let rehearsed = self::rehearsed(&bench, vec![refusing]).await;
    assert_eq!(rehearsed.struck, 1);
    assert_eq!(rehearsed.last().exit_code(), 0, "{:?}", rehearsed.runs);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_hours_takes_no_time_and_is_counted() {
    let bench = people(6);
    let slow = FaultRule {
        provider: Some(Kind::Emfluence),
        ..FaultRule::every(Fault::Latency(Duration::from_secs(50)))
    };
    let rehearsed = rehearsed(&bench, vec![slow]).await;
    let sent = rehearsed.requests[1].reads + rehearsed.requests[1].writes;
    assert!(
        rehearsed.time.copy_seconds >= 50 * sent,
        "{:?}",
        rehearsed.time
    );
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_is_cut_short_takes_nobody_out_in_the_copy_either() {
    let bench = people(6);
    bench.settle().await;
    // Nothing of the source is certain any more: it announces more than it shows.
    bench.emulator.add_fault(
        FaultRule::every(Fault::ShortPage)
            .on("GetContacts")
            .at("crm"),
    );
    let real = bench.plan().await;
    bench.writes();
    let rehearsed = rehearsed(&bench, Vec::new()).await;
    assert_eq!(bench.writes(), []);
    let run = report(&rehearsed.runs[0]);
    assert_eq!(run.summary.memberships_removed, 0, "{}", tell(run));
    assert_eq!(run.summary, real.plan.summary, "{}", tell(run));
    let lacks = rehearsed.copies[0].lacks.join("\n");
    assert!(
        lacks.contains("the copy has less than the account")
            && lacks.contains("nobody is taken out"),
        "{lacks}"
    );
    assert!(rehearsed.mail.no_longer.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_guard_refuses_is_rehearsed_as_if_it_were_approved_and_is_not() {
    let bench = people(6);
    bench.settle().await;
    bench.account("crm", |crm| {
        let donors = crm.find_group("Donors").unwrap();
        for (contact, _) in crm.members_of(donors) {
            crm.leave(donors, contact);
        }
    });
    let state = remembered(&bench.store);
    let guarded = rehearsed(&bench, Vec::new()).await;
    assert_eq!(remembered(&bench.store), state, "no approval is offered");
    assert_eq!(guarded.exit_code(), 0, "a floor of ten is not reached");
    assert_eq!(report(&guarded.runs[0]).summary.memberships_removed, 6);

    let mut bench = bench;
    bench.reconfigure("[jobs.test]\nsource = \"crm\"\ntarget = \"mail\"\nmode = \"managed\"\n[jobs.test.guards]\nmax_membership_removals = 2\n");
    // Somebody refuses, and that waits behind the guard as well.
    bench.account("crm", |crm| {
        crm.opt_out_of_account(contact(crm, "reader0"));
    });
    let guarded = rehearsed(&bench, Vec::new()).await;
    assert_eq!(remembered(&bench.store), state, "no approval is offered");
    assert_eq!(bench.writes(), []);
    assert_eq!(guarded.exit_code(), 3);
    let refused = guarded.refused.as_ref().expect("a guard refuses it");
    assert!(!refused.is_offered);
    assert_eq!(refused.waiting_opt_outs, 1);
    // Behind the refusal everything is done, in the copy alone.
    let run = report(&guarded.runs[0]);
    assert_eq!((run.exit_code(), run.summary.memberships_removed), (0, 6));
    assert_eq!(guarded.mail.still_mailed, 0);
    // Whoever refuses is among them.
    assert_eq!(guarded.mail.no_longer.len(), 7);
    assert!(guarded.again.as_ref().unwrap().did_nothing());
    let mut json = Vec::new();
    rosterd::report::write_rehearsal_json(&mut json, &guarded).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["outcome"], "refused");
    assert_eq!(json["would_end_with"], 3);
    assert_eq!(json["as_if_approved"], true);
    assert_eq!(
        json["refused"]["refusals"][0]["guard"],
        "max_membership_removals"
    );
    assert_eq!(json["run"]["outcome"], "done");
    let approval = json["refused"]["approval"].as_str().unwrap().to_owned();
    let approves = format!("rosterd sync test --approve {approval}");
    let commands = serde_json::json!(["rosterd plan test", approves]);
    assert_eq!(json["refused"]["commands"], commands);
    let mut text = Vec::new();
    rosterd::report::write_rehearsal_text(&mut text, &guarded, false).unwrap();
    let text = String::from_utf8(text).unwrap();
    for said in [
        "1 opt-out waits behind this refusal",
        approves.as_str(),
        "Nothing is approved by a rehearsal",
        "What the run would do once approved",
        "the run would end with 3",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }

    // The approval is the one that the real plan offers, and then it is there to be used.
    let offered = bench.plan().await.plan.refusals[0].approval.clone();
    assert_eq!(offered, approval);
    bench.writes();
    let guarded = rehearsed(&bench, Vec::new()).await;
    assert!(guarded.refused.unwrap().is_offered);
    let given = |approval: &str| RehearseOptions {
        approve: Some(approval.to_owned()),
        ..RehearseOptions::default()
    };
    let wrong = rehearse(&bench.runner(), "test", given("no-such")).await;
    let refused = wrong.unwrap().refused.expect("no refusal offered it");
    assert!(refused.why.unwrap().contains("no refusal ever offered"));
    let right = rehearse(&bench.runner(), "test", given(&approval)).await;
    let right = right.unwrap();
    assert!(right.refused.is_none());
    assert_eq!(right.exit_code(), 0);
    let run = report(&right.runs[0]);
    assert_eq!(run.approved.as_ref().unwrap().id, approval);
    assert_eq!(bench.writes(), []);
    // And it is not used up by any of that.
    let real = bench
        .runner()
        .sync(
            "test",
            rosterd::run::SyncOptions {
                approve: Some(approval),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(real.summary, run.summary, "{}", tell(&real));
}

/// A bed without a job.
fn bed_of_a_pair(world: World) -> Bed {
    let bed = Bed::over(world);
    let config = bed.read("rosterd.toml");
    let (providers, _) = config.split_once("\n[jobs.").unwrap();
    bed.write("rosterd.toml", providers);
    bed
}

/// Of each account what was predicted and sent, as a rehearsal tells it.
fn counts(rehearsed: &serde_json::Value) -> BTreeMap<String, [u64; 4]> {
    let of = |account: &serde_json::Value| {
        ["predicted_reads", "reads", "predicted_writes", "writes"]
            .map(|key| account[key].as_u64().unwrap())
    };
    let accounts = rehearsed["requests"].as_array().unwrap().iter();
    accounts
        .map(|account| {
            (
                account["provider"].as_str().unwrap().to_owned(),
                of(account),
            )
        })
        .collect()
}

#[test]
fn a_migration_is_rehearsed_with_the_guards_and_the_verification_of_one() {
    let bed = bed_of_a_pair(small_world());
    bed.line("migrate --from crm --to mail --yes").assert(0);
    // A third of all people refuse: too many for a run that nobody watches.
    bed.account("crm", |crm| {
        let everybody: Vec<u64> = crm.contacts.keys().copied().collect();
        for contact in everybody.into_iter().step_by(3) {
            crm.opt_out_of_account(contact);
        }
    });
    bed.emulator.clear_log();
    let watched = bed.line("rehearse --from crm --to mail --format json");
    watched.assert(0);
    let watched = watched.json(&["run", "refused", "command"]);
    assert_eq!(watched["command"], "rosterd migrate --from crm --to mail");
    assert_eq!(watched["refused"], serde_json::Value::Null);
    assert_eq!(
        watched["run"]["migration"]["verified"]["operations_left"],
        0
    );
    let alone = bed.line("rehearse --from crm --to mail --yes --format json");
    alone.assert(3);
    let alone = alone.json(&["run", "refused"]);
    let refusal = &alone["refused"]["refusals"][0];
    assert_eq!(refusal["guard"], "max_opt_outs");
    assert_eq!(alone["run"]["summary"], watched["run"]["summary"]);
    let approval = refusal["approval"].as_str().unwrap();
    let text = bed.line("rehearse --from crm --to mail --yes");
    text.assert(3);
    let approve = format!("rosterd migrate --from crm --to mail --yes --approve {approval}");
    assert!(text.out.contains(&approve), "{}", text.out);
    bed.assert_unwritten();

    // The real one is refused in the same words, and then does the same with the same requests.
    let real = bed.line("migrate --from crm --to mail --yes --format json");
    real.assert(3);
    let real = real.json(&["refusals"]);
    assert_eq!(real["refusals"][0], *refusal);
    bed.emulator.clear_log();
    let line = format!("migrate --from crm --to mail --yes --approve {approval} --format json");
    let real = bed.line(&line);
    real.assert(0);
    let real = real.json(&["summary", "migration", "requests", "reads"]);
    assert_eq!(real["summary"], alone["run"]["summary"]);
    assert_eq!(
        real["migration"]["verified"]["after"],
        alone["run"]["migration"]["verified"]["after"]
    );
    for (provider, [_, reads, _, writes]) in counts(&alone) {
        assert_eq!(real["reads"][&provider], reads, "{provider}: {real:#}");
        let written = real["requests"][&provider].as_u64().unwrap_or_default();
        assert_eq!(written, writes, "{provider}: {real:#}");
    }
}

#[test]
fn a_copy_that_lacks_something_is_nothing_to_rely_on() {
    let bed = Bed::new();
    bed.sync();
    let ended = bed.line("rehearse");
    ended.assert(0);
    bed.emulator.add_fault(
        FaultRule::every(Fault::ShortPage)
            .on("GetContacts")
            .at("crm"),
    );
    let ended = bed.line("rehearse --format json");
    ended.assert(4);
    let told = ended.json(&["would_end_with", "not_well"]);
    let codes: Vec<u64> = told["not_well"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| verdict["exit_code"].as_u64().unwrap())
        .collect();
    assert!(codes.contains(&4) && !codes.contains(&1), "{told:#}");
    let ended = bed.line("rehearse");
    ended.assert(4);
    for said in ["The rehearsal ends with 4", "the copies lack, or may lack"] {
        assert!(ended.out.contains(said), "{said}: {}", ended.out);
    }
}

#[test]
fn a_job_is_rehearsed_as_a_migration_where_that_is_asked_for() {
    let bed = Bed::new();
    bed.line("rehearse --yes").complaint(2);
    let ended = bed.line("rehearse --migrate");
    ended.assert(0);
    for said in ["`rosterd migrate crm-to-mail`", "Verified", "All is well"] {
        assert!(ended.out.contains(said), "{said}: {}", ended.out);
    }
    let ended = bed.line("rehearse");
    ended.assert(0);
    assert!(ended.out.contains("`rosterd sync crm-to-mail`"));
    assert!(!ended.out.contains("Verified"), "{}", ended.out);
}

/// Names, values and addresses that would upset a terminal, at both sides.
fn hostile_world() -> World {
    let mut world = small_world();
    let evil = "\u{1b}[2J\u{202e}evil<script>alert(1)</script>\"'\u{7}";
    let long = "x".repeat(10_000);
    for name in ["crm", "mail"] {
        let account = world.account_mut(name);
        let group = group_of(account, &format!("{evil} of {name}"), "evil", 2);
        let contact = account.contact_by_email("evil0@example.org").unwrap();
        let profile = &mut account.contact_mut(contact).profile;
        profile.insert("last_name".to_owned(), evil.to_owned());
        profile.insert("notes".to_owned(), long.clone());
        let odd = account.add_contact(&format!("\u{1b}[31mred@{name}.test"));
        account.join(group, odd);
        if name == "crm" {
            evil.clone_into(&mut account.group_mut(group).postal_address);
        } else {
            evil.clone_into(&mut account.group_mut(group).notes);
            account.opt_out_of_group(group, contact);
        }
    }
    world
}

#[test]
fn hostile_texts_are_harmless_and_nothing_is_left_behind() {
    let bed = Bed::over(hostile_world());
    for arguments in [
        &["rehearse"][..],
        &["rehearse", JOB, "-v"],
        &["rehearse", JOB, "--format", "json"],
    ] {
        let ended = bed.run(arguments);
        assert!(matches!(ended.code, Some(0 | 4)), "{}", ended.err);
        for harmful in ['\u{1b}', '\u{7}', '\u{202e}'] {
            let shown = ended.out.contains(harmful) || ended.err.contains(harmful);
            // JSON escapes what controls, and is for programs.
            let is_json = arguments.contains(&"json") && harmful == '\u{202e}';
            assert!(!shown || is_json, "{harmful:?} {}", ended.out);
        }
        assert!(!ended.err.contains('@'), "{}", ended.err);
    }
    bed.assert_unwritten();
    let left = std::fs::read_dir(bed.path("tmp")).unwrap().count();
    assert_eq!(left, 0, "the copy of the state database goes");
    let history = bed.line("history --format json");
    assert_eq!(history.json(&["runs"])["runs"], serde_json::json!([]));
    // Nothing of it opens or names the real accounts.
    let [password, token] = bed.secrets();
    let ended = bed.line("rehearse --format json");
    for secret in [password, token] {
        assert!(!ended.out.contains(&secret) && !ended.err.contains(&secret));
    }
}

#[test]
fn what_is_typed_wrong_ends_before_any_request() {
    let bed = Bed::new();
    for (name, text) in [
        ("none.json", None),
        ("words.json", Some("no faults")),
        (
            "typo.json",
            Some(r#"[{"operaton": "GetContacts", "fault": "empty_body"}]"#),
        ),
        (
            "other.json",
            Some(r#"{"account": "crm9", "fault": "empty_body"}"#),
        ),
    ] {
        if let Some(text) = text {
            bed.write(name, text);
        }
        let ended = bed.run(&["rehearse", JOB, "--faults", name]);
        let said = ended.complaint(2);
        assert!(said.contains("fault file"), "{said}");
    }
    bed.line("rehearse no-such-job").complaint(2);
    assert_eq!(bed.emulator.requests(), []);
}

#[test]
fn a_fault_file_is_written_as_for_emulate_and_its_end_is_told() {
    let bed = Bed::new();
    let faults = serde_json::to_string(&lost_in_the_middle()).unwrap();
    bed.write("faults.json", &faults);
    let ended = bed.line("rehearse --faults faults.json");
    ended.assert(1);
    for said in [
        "59 rules (reset_after_effect)",
        "The first run failed; ",
        "finished what was left.",
        "The next run has nothing to do.",
        "would newly get mail",
        "Nobody refuses any mail at crm or mail.",
        "the run would end with 1",
    ] {
        assert!(ended.out.contains(said), "{said}: {}", ended.out);
    }
    let ended = bed.line("rehearse --faults faults.json --format json");
    ended.assert(1);
    let told = ended.json(&[
        "run",
        "finishing_runs",
        "next_run",
        "mail",
        "requests",
        "time",
    ]);
    assert_eq!(told["next_run_is_empty"], true);
    assert_eq!(told["mail"]["newly"].as_array().unwrap().len(), 60);
    bed.assert_unwritten();
    // The same job runs in truth as if nothing had been.
    bed.sync();
    bed.assert_whole();
}

#[test]
fn a_pair_without_a_job_is_rehearsed_as_it_is_migrated() {
    let bed = Bed::new();
    let config = bed.read("rosterd.toml");
    let (providers, _) = config.split_once("\n[jobs.").unwrap();
    bed.write("rosterd.toml", providers);
    bed.line("rehearse --from crm").complaint(2);
    let ended = bed.line("rehearse --from crm --to mail --format json");
    ended.assert(0);
    let rehearsed = ended.json(&["run", "mail"]);
    assert_eq!(rehearsed["mail"]["people_after"], 60);
    bed.assert_unwritten();
    let ended = bed.line("migrate --from crm --to mail --yes --format json");
    ended.assert(0);
    let migrated = ended.json(&["summary"]);
    assert_eq!(rehearsed["run"]["summary"], migrated["summary"]);
    bed.assert_whole();
}

#[test]
fn an_account_that_can_not_be_read_is_a_failure_and_leaves_nothing() {
    let bed = Bed::new();
    bed.emulator
        .add_fault(FaultRule::every(Fault::ServerError(503)).at("mail"));
    let ended = bed.line("rehearse");
    ended.complaint(1);
    assert_eq!(std::fs::read_dir(bed.path("tmp")).unwrap().count(), 0);
    bed.assert_unwritten();
}

#[test]
fn an_interrupted_rehearsal_leaves_nothing() {
    let bed = Bed::new();
    bed.emulator
        .add_fault(FaultRule::every(Fault::Latency(Duration::from_mins(5))).at("mail"));
    let mut running = bed.start(&["rehearse", JOB, "--log-format", "json", "-v"]);
    bed.wait_for_request_to("mail");
    running.signal("TERM");
    running.wait_for("Stopping");
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("asked to stop"), "{said}");
    assert_eq!(std::fs::read_dir(bed.path("tmp")).unwrap().count(), 0);
}
