//! A rehearsal says what the run does that follows it, and touches nothing.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::{Account, World};
use rosterd::model::ProviderKind;
use rosterd::rehearsal::{Ended, GroupMail, Mail, rehearse};
use rosterd::run::RunReport;
use rosterd::state::Store;

use crate::support::{Bench, bench, plain_world, removing_freely, tell};

/// The provider of a kind in the plain world, and the account that it stands for; of each kind there
/// is a second one.
fn provider(kind: ProviderKind, second: bool) -> (String, String) {
    let (name, account) = match kind {
        ProviderKind::Emfluence => ("mail", "mail"),
        ProviderKind::GreenRope => ("crm", "crm"),
        ProviderKind::ActiveCampaignLists => ("campaigns", "campaigns"),
        ProviderKind::ActiveCampaignUsers => ("staff", "campaigns"),
    };
    let end = if second { "2" } else { "" };
    (format!("{name}{end}"), format!("{account}{end}"))
}

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
async fn hold(bench: &Bench, target: ProviderKind, place: &str) {
    let account = provider(target, true).1;
    let before = bench.account(&account, |account| mailed(account, target));
    bench.writes();
    let state = remembered(&bench.store);
    bench.rest().await;
    let rehearsed = rehearse(&bench.runner(), "test", Vec::new())
        .await
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!(bench.writes(), [], "{place}: nothing is written");
    assert_eq!(remembered(&bench.store), state, "{place}: nothing is kept");
    assert_eq!(rehearsed.differences, [], "{place}");
    let lacks: Vec<&String> = rehearsed
        .copies
        .iter()
        .flat_map(|side| &side.lacks)
        .collect();
    assert_eq!(lacks, [&String::new(); 0], "{place}");

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
    assert_eq!(run.requests, real.requests, "{}", show());
    assert_eq!(run.reads, real.reads, "{}", show());
    let (then, after) = told(&rehearsed.mail);
    assert_eq!(then, before, "{place}");
    let now = bench.account(&account, |account| mailed(account, target));
    assert_eq!(after, now, "{place}");
    assert!(rehearsed.mail.breaches.is_empty(), "{place}");
    let again = rehearsed.again.as_ref().expect("the job came to its end");
    assert!(again.did_nothing(), "{place}: {}", tell(report(again)));
    bench.emulator.clear_log();
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
            hold(&bench, target, &place).await;
            go_on(&bench, source);
            hold(&bench, target, &format!("{place}, the second time")).await;
        }
    }
}
