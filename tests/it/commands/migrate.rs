//! The one-shot migration: what is said before it, and what is true after it.

use std::collections::BTreeSet;
use std::time::Duration;

use rosterd::emulator::{Account, Fault, FaultRule, MembershipState, When};
use serde_json::Value;

use super::bed::{Bed, JOB, small_world};
use crate::support::group_of;

/// A bed in which some refuse mail at either side, and some records share an address.
fn bed_with_refusers() -> Bed {
    let mut world = small_world();
    let crm = world.account_mut("crm");
    for address in ["donor1@example.org", "press2@example.org"] {
        let refuser = crm.contact_by_email(address).unwrap();
        crm.opt_out_of_account(refuser);
    }
    let twin = crm.add_person("donor3@example.org", "Twin", "Donor");
    let press = crm.find_group("Press").unwrap();
    crm.join(press, twin);
    let mail = world.account_mut("mail");
    let donors = group_of(mail, "Donors", "donor", 2);
    let refuser = mail.contact_by_email("donor0@example.org").unwrap();
    mail.opt_out_of_group(donors, refuser);
    Bed::over(world)
}

/// The addresses of a group by state.
fn members(account: &Account, group: &str, state: MembershipState) -> BTreeSet<String> {
    let group = account.find_group(group).unwrap();
    let members = account.members_of(group).into_iter();
    members
        .filter(|(contact, is)| {
            let refuses = account.contacts[contact].opted_out.is_some();
            match state {
                MembershipState::OptedOut => *is == state || refuses,
                _ => *is == state && !refuses,
            }
        })
        .map(|(contact, _)| account.contacts[&contact].email.to_lowercase())
        .collect()
}

/// Holds what a document says of a group's members against the emulator's own state.
fn assert_counts(bed: &Bed, assessed: &Value, side: &str, account: &str) {
    for group in assessed["groups"].as_array().unwrap() {
        let name = group["source_name"].as_str().unwrap();
        let (active, refusing) = bed.account(account, |account| {
            let of = |state| members(account, name, state).len();
            (of(MembershipState::Active), of(MembershipState::OptedOut))
        });
        let rows = &group[side];
        assert_eq!(rows["active"], active, "{name} at {account}: {rows}");
        assert_eq!(rows["opted_out"], refusing, "{name} at {account}: {rows}");
    }
}

#[test]
fn an_assessment_says_what_moves_and_writes_nothing() {
    let bed = bed_with_refusers();
    let ended = bed.line(&format!("migrate {JOB} --assess"));
    ended.assert(0);
    for said in [
        "6 in scope",
        "2 refuse all mail of crm",
        "1 address stands in several records of crm, which become one person each: ",
        "donor3@example.org",
        "opted_out_at_source",
        "What it takes",
        "rosterd export crm --out DIR",
    ] {
        assert!(ended.out.contains(said), "{said}: {}", ended.out);
    }
    let ended = bed.line(&format!("migrate {JOB} --assess --format json"));
    let assessed = ended.json(&["assessed", "estimate", "losses", "summary"]);
    assert_counts(&bed, &assessed["assessed"], "source", "crm");
    assert_eq!(assessed["assessed"]["duplicates"]["count"], 1);
    let losses = assessed["losses"].as_array().unwrap();
    let of_group = losses.iter().find(|loss| loss["object"] == "group");
    let remedy = of_group.unwrap()["remedy"].as_str().unwrap();
    assert!(
        remedy.starts_with("[jobs.crm-to-mail.map.group] notes = "),
        "{remedy}"
    );
    bed.assert_unwritten();
}

#[test]
fn both_accounts_are_copied_before_the_first_write() {
    let bed = bed_with_refusers();
    let ended = bed.line(&format!("migrate {JOB} --assess"));
    let offer = format!("`rosterd migrate {JOB} --export DIR`");
    assert!(ended.out.contains(&offer), "{}", ended.out);
    for provider in ["crm", "mail"] {
        bed.line(&format!("export {provider} --out {provider}-alone"))
            .assert(0);
    }
    bed.emulator.clear_log();
    let ended = bed.line(&format!(
        "migrate {JOB} --yes --export backup --format json"
    ));
    ended.assert(0);
    let run = ended.json(&["migration", "reads", "requests"]);
    let copies = run["migration"]["copies"].as_array().unwrap();
    let of = |key: &str| -> Vec<&Value> { copies.iter().map(|copy| &copy[key]).collect() };
    assert_eq!(of("provider"), ["crm", "mail"]);
    assert_eq!(of("place"), ["backup/crm", "backup/mail"]);
    assert_eq!(of("complete"), [true, true]);
    let sent: u64 = ["requests", "reads"]
        .iter()
        .flat_map(|kind| run[kind].as_object().unwrap().values())
        .map(|number| number.as_u64().unwrap())
        .sum();
    let requests = bed.emulator.requests().len() as u64;
    assert_eq!(sent, requests, "every request is counted");
    // They are as the command makes them, of the accounts as they were before.
    for provider in ["crm", "mail"] {
        for file in ["groups.csv", "members.jsonl", "memberships.jsonl"] {
            let alone = bed.read(&format!("{provider}-alone/{file}"));
            let copied = bed.read(&format!("backup/{provider}/{file}"));
            assert_eq!(copied, alone, "{provider}/{file}");
        }
        assert!(
            bed.path(&format!("backup/{provider}/manifest.json"))
                .exists()
        );
    }
    // What was copied before the first write stays.
    bed.emulator.clear_log();
    let ended = bed.line(&format!("migrate {JOB} --yes --export backup"));
    let said = ended.complaint(2);
    assert!(said.contains("leave `--export` out"), "{said}");
    assert!(
        said.contains("another directory with `--export DIR`"),
        "{said}"
    );
    for foreign in ["--out", "--overwrite"] {
        assert!(!said.contains(foreign), "migrate has no {foreign}: {said}");
    }
    assert_eq!(bed.emulator.requests(), []);
    bed.line(&format!("migrate {JOB} --yes")).assert(0);
}

#[test]
fn without_a_whole_copy_nothing_is_written() {
    let bed = Bed::new();
    bed.emulator.add_fault(
        FaultRule::every(Fault::ShortPage)
            .on("GetContacts")
            .at("crm"),
    );
    let ended = bed.line(&format!("migrate {JOB} --yes --export backup"));
    ended.assert(1);
    assert!(ended.err.contains("could not be copied"), "{}", ended.err);
    assert!(ended.err.contains("nothing was written"), "{}", ended.err);
    assert!(!ended.err.contains('@'), "{}", ended.err);
    bed.assert_unwritten();
    assert!(bed.path("backup/crm/manifest.json").exists());
    assert!(!bed.path("backup/mail").exists());
    // Nothing is left of a copy that was not begun.
    std::fs::create_dir(bed.path("taken")).unwrap();
    bed.write("taken/mail", "something else");
    let ended = bed.line(&format!("migrate {JOB} --yes --export taken"));
    ended.complaint(2);
    assert!(!bed.path("taken/crm").exists());
    bed.line(&format!("migrate {JOB} --assess --export other"))
        .complaint(2);
    assert!(!bed.path("other").exists());
}

#[test]
fn the_line_that_keeps_a_loss_is_one_that_the_config_takes() {
    let bed = bed_with_refusers();
    let ended = bed.line(&format!("migrate {JOB} --assess --format json"));
    let assessed = ended.json(&["losses"]);
    let losses = assessed["losses"].as_array().unwrap();
    let remedies = losses.iter().filter_map(|loss| loss["remedy"].as_str());
    let of_groups: BTreeSet<&str> = remedies
        .filter(|remedy| remedy.contains("map.group"))
        .collect();
    assert_eq!(of_groups.len(), 1, "{of_groups:?}");
    let (table, line) = of_groups.first().unwrap().split_once("] ").unwrap();
    let config = format!("{}\n{table}]\n{line}\n", bed.read("rosterd.toml"));
    bed.write("rosterd.toml", &config);
    let ended = bed.line(&format!("migrate {JOB} --assess --format json"));
    let assessed = ended.json(&["losses"]);
    let losses = assessed["losses"].as_array().unwrap();
    assert!(
        losses.iter().all(|loss| loss["object"] != "group"),
        "{losses:#?}"
    );
}

#[test]
fn a_migration_ends_with_counts_that_are_those_of_both_accounts() {
    let bed = bed_with_refusers();
    let ended = bed.line(&format!("migrate {JOB} --yes --format json"));
    ended.assert(0);
    let run = ended.json(&["run", "summary", "migration"]);
    let migration = &run["migration"];
    assert_eq!(migration["verified"]["operations_left"], 0, "{migration:#}");
    assert_eq!(
        migration["planned"], run["summary"],
        "what was shown was done"
    );
    let after = &migration["verified"]["after"];
    assert_counts(&bed, after, "source", "crm");
    assert_counts(&bed, after, "target", "mail");
    // Whoever refuses at either side is in no group as somebody who is mailed.
    bed.account("mail", |mail| {
        for group in ["Donors", "Press"] {
            let active = members(mail, group, MembershipState::Active);
            for refuser in [
                "donor0@example.org",
                "donor1@example.org",
                "press2@example.org",
            ] {
                assert!(!active.contains(refuser), "{refuser} in {group}");
            }
        }
    });
    let sent: u64 = ["requests", "reads"]
        .iter()
        .flat_map(|kind| run[kind].as_object().unwrap().values())
        .map(|number| number.as_u64().unwrap())
        .sum();
    assert_eq!(
        sent,
        bed.emulator.requests().len() as u64,
        "every request is counted"
    );
    let again = bed.line(&format!("migrate {JOB} --yes"));
    again.assert(0);
    assert!(
        again.out.contains("nothing had to be changed"),
        "{}",
        again.out
    );
}

#[test]
fn memberships_that_fall_together_are_counted() {
    let bed = bed_with_refusers();
    bed.account("crm", |account| {
        // Both records of one person are in one group.
        let donors = account.find_group("Donors").unwrap();
        let records = account.contacts.values();
        let twins = records.filter(|contact| contact.email == "donor3@example.org");
        let twins: Vec<u64> = twins.map(|contact| contact.id).collect();
        for twin in twins {
            account.join(donors, twin);
        }
    });
    let ended = bed.line(&format!("migrate {JOB} --assess"));
    ended.assert(0);
    let said = "become one person each, so that 1 membership is one with another: ";
    assert!(ended.out.contains(said), "{}", ended.out);
}

#[test]
fn nobody_at_the_terminal_is_a_no() {
    let bed = bed_with_refusers();
    let ended = bed.line(&format!("migrate {JOB}"));
    ended.assert(3);
    assert!(ended.err.contains("--assess"), "{}", ended.err);
    assert_eq!(bed.emulator.requests().len(), 0, "nothing was read for it");
}

#[test]
fn two_providers_are_enough() {
    let bed = bed_with_refusers();
    let config = bed.read("rosterd.toml");
    let (providers, _) = config.split_once("[jobs.").unwrap();
    bed.write("rosterd.toml", providers);
    bed.line("migrate --from crm --to crm --yes").assert(2);
    bed.line("migrate --from crm --to male --yes").assert(2);
    bed.line("migrate --yes").assert(2);
    // What the assessment names can be typed.
    let assessed = bed.line("migrate --from crm --to mail --assess");
    assert!(
        assessed.out.contains("`rosterd plan crm-to-mail -v`"),
        "{}",
        assessed.out
    );
    let by_name = bed.line("plan crm-to-mail -v");
    by_name.assert(0);
    let by_pair = bed.line("plan --from crm --to mail -v --out plan.json");
    by_pair.assert(0);
    let shown = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("rosterd "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown(&by_name.out), shown(&by_pair.out));
    bed.line("plan --all --from crm --to mail").assert(2);
    let ended = bed.line("migrate --from crm --to mail --yes");
    ended.assert(0);
    assert!(
        ended.out.contains("nothing is left to be done"),
        "{}",
        ended.out
    );
    bed.assert_whole();

    // Where the config has a job of the pair, its name is enough.
    bed.write("rosterd.toml", &config);
    let assessed = bed.line("migrate --from crm --to mail --assess");
    assessed.assert(0);
    assert!(
        !assessed.out.contains("needs the job in the config"),
        "{}",
        assessed.out
    );
}

#[test]
fn a_migration_that_is_stopped_in_the_middle_goes_on_with_the_same_command() {
    let bed = bed_with_refusers();
    bed.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_millis(400))).on("groups/save"),
    );
    let running = bed.start(&["migrate", JOB, "--yes"]);
    bed.wait_for_write();
    running.signal("TERM");
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    bed.emulator.clear_faults();
    let ended = bed.line(&format!("migrate {JOB} --yes"));
    ended.assert(0);
    assert!(
        ended.out.contains("nothing is left to be done"),
        "{}",
        ended.out
    );
    bed.assert_whole();
}

#[test]
fn a_guard_is_not_answered_by_yes() {
    let bed = bed_with_refusers();
    bed.configure("[jobs.crm-to-mail.guards]\nmax_member_creations = 5\nfloor = 1\n");
    let ended = bed.line(&format!("migrate {JOB} --yes"));
    ended.assert(3);
    bed.assert_unwritten();
    let again = ended
        .out
        .lines()
        .filter_map(|line| line.trim().strip_prefix("rosterd "))
        .find(|line| line.contains("--approve"))
        .unwrap_or_else(|| panic!("{}", ended.out));
    assert!(again.starts_with(&format!("migrate {JOB} ")), "{again}");
    let ended = bed.line(&format!("{again} --yes"));
    ended.assert(0);
    bed.assert_whole();
}

#[test]
fn what_could_not_be_read_once_more_is_not_called_verified() {
    let bed = bed_with_refusers();
    // The last reading begins with the list of groups of the source.
    let lists = |bed: &Bed| {
        let requests = bed.emulator.requests().into_iter();
        requests
            .filter(|request| request.operation == "GetGroups")
            .count()
    };
    bed.line(&format!("migrate {JOB} --assess")).assert(0);
    let of_one_reading = lists(&bed);
    let rule = FaultRule::every(Fault::ServerError(500)).on("GetGroups");
    bed.emulator.add_fault(FaultRule {
        when: When::Nth(of_one_reading as u64 + 1),
        ..rule
    });
    let ended = bed.line(&format!("migrate {JOB} --yes"));
    ended.assert(1);
    assert!(ended.out.contains("Not verified"), "{}", ended.out);
    assert!(!ended.out.contains("nothing is left"), "{}", ended.out);
}
