//! Who is in a group, and who was: as the account shows it, and as runs saw it.

use std::collections::BTreeMap;
use std::time::Duration;

use rosterd::emulator::{Fault, FaultRule, World};
use serde_json::Value;

use super::bed::{Bed, JOB};
use crate::support::{group_of, plain_world};

/// What groups can only be made with.
const DEFAULTS: &str = r#"
[providers.crm.defaults]
sender_name = "Example Society"
sender_email = "news@example.org"
postal_address = "1 Example Street, Springfield, IL, 62701, USA"
time_zone = "America/Chicago"

[providers.campaigns.defaults]
sender_name = "Example Society"
sender_addr1 = "1 Example Street"
sender_city = "Springfield"
sender_zip = "62701"
sender_country = "USA"
sender_url = "https://www.example.org"
sender_reminder = "You signed up at www.example.org"
"#;

/// A bed whose job goes from one account to another.
fn bed(world: World, source: &str, target: &str, job: &str) -> Bed {
    let bed = Bed::with_campaigns(world);
    let config = bed.read("rosterd.toml").replace(
        "source = \"crm\"\ntarget = \"mail\"\nmode = \"managed\"\n",
        &format!("source = \"{source}\"\ntarget = \"{target}\"\nmode = \"managed\"\n{job}\n"),
    );
    bed.write("rosterd.toml", &(config + DEFAULTS));
    bed
}

/// The start and the end of each run, oldest first.
fn runs(bed: &Bed) -> Vec<(String, String)> {
    let history = bed.line("history --format json").json(&["runs"]);
    let runs = history["runs"].as_array().unwrap().iter().rev();
    let text = |run: &Value, key: &str| run[key].as_str().unwrap().to_owned();
    runs.map(|run| (text(run, "started"), text(run, "finished")))
        .collect()
}

/// Who was in a group: state and since when, by address.
fn at(bed: &Bed, group: &str, time: &str) -> BTreeMap<String, (String, Option<String>)> {
    let ended = bed.run(&["members", group, "--at", time, "--format", "json"]);
    ended.assert(0);
    listed(&ended.json(&["group", "at", "members"]))
}

fn listed(result: &Value) -> BTreeMap<String, (String, Option<String>)> {
    let members = result["members"].as_array().unwrap().iter();
    members
        .map(|member| {
            let text = |key: &str| member[key].as_str().map(str::to_owned);
            (
                text("email").unwrap_or_default(),
                (text("state").unwrap(), text("since")),
            )
        })
        .collect()
}

fn now(bed: &Bed, group: &str) -> BTreeMap<String, (String, Option<String>)> {
    let ended = bed.run(&["members", group, "--format", "json"]);
    ended.assert(0);
    listed(&ended.json(&["group", "at", "members"]))
}

/// The word for somebody; nothing where they are not listed.
fn state<'a>(
    members: &'a BTreeMap<String, (String, Option<String>)>,
    address: &str,
) -> Option<&'a str> {
    members.get(address).map(|(state, _)| state.as_str())
}

/// Whether two times are the same to the microsecond, which is as exact as memberships are kept.
fn same_moment(left: Option<&String>, right: &str) -> bool {
    let micros = |text: &str| {
        let time: jiff::Timestamp = text.parse().unwrap();
        time.as_microsecond()
    };
    left.is_some_and(|left| micros(left) == micros(right))
}

#[test]
fn who_was_in_a_group_is_known_from_run_to_run_at_every_kind() {
    for (source, target) in [
        ("crm", "mail"),
        ("crm", "campaigns"),
        ("mail", "crm"),
        ("campaigns", "mail"),
    ] {
        let place = format!("{source} to {target}");
        let mut world = plain_world().without_pace();
        let donors = group_of(world.account_mut(source), "Donors", "donor", 10);
        let bed = bed(world, source, target, "");
        bed.sync();
        let (leaver, refuser) = ("donor1@example.org", "donor2@example.org");
        let (stayer, newcomer) = ("donor3@example.org", "new@example.org");
        bed.account(source, |account| {
            let contact = |account: &mut rosterd::emulator::Account, address: &str| {
                account.contact_by_email(address).unwrap()
            };
            let left = contact(account, leaver);
            account.leave(donors, left);
            let refusing = contact(account, refuser);
            account.opt_out_of_group(donors, refusing);
            let new = account.add_person(newcomer, "New", "Comer");
            account.join(donors, new);
        });
        bed.sync();
        bed.account(source, |account| account.rename_group(donors, "Patrons"));
        bed.sync();
        let runs = runs(&bed);
        let (first, second) = (&runs[0], &runs[1]);
        let id = bed.account(target, |account| account.find_group("Patrons").unwrap());

        // After the first run, by the name of today and by the id.
        for group in [
            "Patrons".to_owned(),
            format!("{target}/patrons"),
            format!("{target}/{id}"),
        ] {
            let then = at(&bed, &group, &first.1);
            assert_eq!(then.len(), 10, "{place}: {then:?}");
            for address in [leaver, refuser, stayer] {
                let (state, since) = &then[address];
                assert_eq!(state, "active", "{place}: {address}");
                assert!(same_moment(since.as_ref(), &first.0), "{place}: {since:?}");
            }
            assert_eq!(state(&then, newcomer), None, "{place}");
        }
        // While the second one was at work nobody can tell, of those whom it changed.
        let then = at(&bed, "Patrons", &second.0);
        for (address, expected) in [
            (leaver, Some("unknown")),
            (newcomer, Some("unknown")),
            (refuser, Some("unknown")),
            (stayer, Some("active")),
        ] {
            assert_eq!(state(&then, address), expected, "{place}: {address}");
        }
        // After it, and today.
        for then in [
            at(&bed, "Patrons", &second.1),
            at(&bed, "Patrons", "0 s ago"),
        ] {
            for (address, expected) in [
                (leaver, None),
                (newcomer, Some("active")),
                (refuser, Some("opted_out")),
                (stayer, Some("active")),
            ] {
                assert_eq!(state(&then, address), expected, "{place}: {address}");
            }
            let since = |address: &str| then[address].1.as_ref();
            assert!(same_moment(since(stayer), &first.0), "{place}");
            assert!(same_moment(since(newcomer), &second.0), "{place}");
            // When somebody refused nobody knows: the second run found it so.
            assert_eq!(since(refuser), None, "{place}");
        }
        // The account says the same of those whom it lists.
        let now = now(&bed, &format!("{target}/Patrons"));
        assert_eq!(state(&now, stayer), Some("active"), "{place}");
        assert!(same_moment(now[stayer].1.as_ref(), &first.0), "{place}");
        assert!(same_moment(now[newcomer].1.as_ref(), &second.0), "{place}");
        assert_ne!(state(&now, leaver), Some("active"), "{place}");
        assert_ne!(state(&now, refuser), Some("active"), "{place}");

        // Before the first run nobody looked.
        let early: jiff::Timestamp = first.0.parse().unwrap();
        let early = early - jiff::SignedDuration::from_secs(1);
        let ended = bed.run(&["members", "Patrons", "--at", &early.to_string()]);
        let said = ended.complaint(2);
        assert!(
            said.contains("the earliest known time is") && said.contains(&first.0),
            "{place}: {said}"
        );
        // Nobody remembers who was in the group at the source, and the account can be asked.
        let ended = bed.run(&[
            "members",
            &format!("{source}/Patrons"),
            "--at",
            "1 second ago",
        ]);
        let said = ended.complaint(2);
        assert!(
            said.contains(&format!("rosterd members {target}/{id} --at")),
            "{place}: {said}"
        );
        let at_source = self::now(&bed, &format!("{source}/Patrons"));
        assert_eq!(state(&at_source, newcomer), Some("active"), "{place}");
    }
}

#[test]
fn a_group_that_no_job_links_any_more_is_known_by_the_name_that_it_had() {
    let mut world = plain_world().without_pace();
    let source = group_of(world.account_mut("crm"), "Donors", "donor", 3);
    let bed = bed(world, "crm", "mail", "");
    bed.account("crm", |crm| {
        let refuses = crm.contact_by_email("donor2@example.org").unwrap();
        crm.opt_out_of_group(source, refuses);
    });
    bed.sync();
    bed.account("crm", |crm| {
        let refuses = crm.contact_by_email("donor1@example.org").unwrap();
        crm.opt_out_of_account(refuses);
    });
    bed.sync();
    let second = &runs(&bed)[1];
    let ended = bed.run(&["members", "Donors", "--at", "0 s ago", "--format", "json"]);
    let listed = ended.json(&["members", "note"]);
    let members = listed["members"].as_array().unwrap();
    let refuser = |member: &&Value| member["email"] == "donor1@example.org";
    let refuser = members.iter().find(refuser).unwrap();
    assert_eq!(refuser["state"], "opted_out");
    let seen = refuser["seen"].as_str().map(str::to_owned);
    assert!(same_moment(seen.as_ref(), &second.0), "{refuser}");
    assert_eq!(
        refuser["since"],
        Value::Null,
        "when they refused nobody knows"
    );
    let text = bed.run(&["members", "Donors", "--at", "0 s ago"]);
    for said in ["before rosterd saw it", "bounced"] {
        assert!(text.out.contains(said), "{said}: {}", text.out);
    }

    bed.run(&["unlink", "crm-to-mail", &source.to_string()])
        .assert(0);
    let then = at(&bed, "Donors", &runs(&bed)[0].1);
    assert_eq!(state(&then, "donor0@example.org"), Some("active"));
    let said = bed.run(&["members", "Donors", "--at", "0 s ago"]);
    assert!(said.complaint(2).contains("no job links it any more"));
    bed.run(&["members", "Nonesuch", "--at", "0 s ago"])
        .complaint(2);
}

#[test]
fn what_others_change_shows_from_the_next_run_on_and_is_no_guess() {
    let mut world = plain_world().without_pace();
    group_of(world.account_mut("crm"), "Donors", "donor", 5);
    let there = group_of(world.account_mut("mail"), "Donors", "donor", 2);
    group_of(world.account_mut("mail"), "Donors at hand", "other", 1);
    let bed = bed(
        world,
        "crm",
        "mail",
        "[jobs.crm-to-mail.guards]\non_drift = \"keep\"\n",
    );
    bed.account("mail", |mail| {
        let stranger = mail.add_person("stranger@example.org", "A", "B");
        mail.join(there, stranger);
    });
    bed.sync();
    bed.account("mail", |mail| {
        let gone = mail.contact_by_email("donor3@example.org").unwrap();
        mail.leave(there, gone);
        let refuses = mail.contact_by_email("donor4@example.org").unwrap();
        mail.opt_out_of_group(there, refuses);
    });
    bed.sync();
    let runs = runs(&bed);
    let then = at(&bed, "Donors", &runs[0].1);
    assert_eq!(
        then["donor0@example.org"],
        ("active".to_owned(), None),
        "since when somebody was there before the first run nobody knows"
    );
    assert_eq!(state(&then, "donor3@example.org"), Some("active"));
    assert_eq!(
        state(&then, "stranger@example.org"),
        None,
        "whom others added and the source does not list nobody remembers"
    );
    let later = at(&bed, "Donors", &runs[1].1);
    assert_eq!(state(&later, "donor3@example.org"), None);
    assert_eq!(state(&later, "donor4@example.org"), Some("opted_out"));
    let text = bed.run(&["members", "Donors", "--at", &runs[1].1]);
    text.assert(0);
    assert!(
        text.out.contains("Whom others added") && text.out.contains("opted out"),
        "{}",
        text.out
    );
    let live = now(&bed, "Donors");
    assert_eq!(state(&live, "stranger@example.org"), Some("active"));
    assert_eq!(state(&live, "donor4@example.org"), Some("opted_out"));
    // No provider is asked about earlier times.
    bed.emulator.clear_log();
    drop(at(&bed, "mail/Donors", "1 ms ago"));
    assert_eq!(bed.emulator.requests(), []);
}

#[test]
fn groups_of_one_name_are_told_apart_by_their_ids_alone() {
    let mut world = plain_world().without_pace();
    let crm = world.account_mut("crm");
    let (one, other) = (
        group_of(crm, "News north", "north", 3),
        group_of(crm, "News south", "south", 4),
    );
    let campaigns = world.account_mut("campaigns");
    let (north, south) = (campaigns.add_group("News"), campaigns.add_group("News"));
    let pins = format!(
        "[jobs.crm-to-mail.map.group]\nname = \"'News'\"\n\n[jobs.crm-to-mail.groups]\npin = {{ \"{one}\" = \"{north}\", \"{other}\" = \"{south}\" }}\n"
    );
    let bed = bed(world, "crm", "campaigns", &pins);
    bed.sync();
    let run = bed.newest_run();
    for arguments in [
        &["members", "news"][..],
        &["members", "campaigns/News", "--at", "0s ago"],
    ] {
        let ended = bed.run(arguments);
        let said = ended.complaint(2);
        for id in [north, south] {
            assert!(said.contains(&format!("campaigns/{id}")), "{said}");
        }
    }
    for (id, prefix, count) in [(north, "north", 3), (south, "south", 4)] {
        let group = format!("campaigns/{id}");
        for people in [at(&bed, &group, "0s ago"), now(&bed, &group)] {
            assert_eq!(people.len(), count, "{people:?}");
            assert!(people.keys().all(|address| address.starts_with(prefix)));
        }
        // What a run did in one is not told of the other.
        let id = id.to_string();
        let ended = bed.run(&["show", &run, "--group", &id, "--format", "json"]);
        ended.assert(0);
        let shown = ended.json(&["items"]);
        let joined: Vec<&str> = shown["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["op"] == "add_memberships")
            .map(|item| item["member"].as_str().unwrap())
            .collect();
        assert_eq!(joined.len(), count, "{joined:?}");
        assert!(joined.iter().all(|address| address.starts_with(prefix)));
        let text = bed.run(&["show", &run]);
        assert!(
            text.out.contains(&format!("\"News\" (id {id})\n")),
            "{}",
            text.out
        );
        let ended = bed.run(&["explain", &id, "--format", "json"]);
        ended.assert(0);
    }
}

#[test]
fn of_a_killed_run_it_is_not_known_what_it_did() {
    let bed = Bed::new();
    bed.sync();
    let newcomer = "new@example.org";
    bed.account("crm", |crm| {
        let donors = crm.find_group("Donors").unwrap();
        let new = crm.add_person(newcomer, "New", "Comer");
        crm.join(donors, new);
    });
    bed.emulator.clear_log();
    bed.emulator.add_fault(
        FaultRule::every(Fault::SlowAnswer(Duration::from_secs(20))).on("contacts/import"),
    );
    let running = bed.start(&["sync", JOB]);
    bed.wait_for_write_of("contacts/import");
    running.signal("KILL");
    assert_eq!(running.end().0, None, "it was killed");
    let ended = bed.run(&["members", "Donors", "--at", "0s ago", "--format", "json"]);
    ended.assert(0);
    let then = ended.json(&["complete", "as_of"]);
    assert_eq!(then["as_of"][0]["under_way"], true, "{then}");
    assert_eq!(then["complete"], false, "{then}");
    let people = listed(&then);
    assert_eq!(people.len(), 11, "{people:?}");
    assert_eq!(people[newcomer], ("unknown".to_owned(), None));
    assert_eq!(state(&people, "donor0@example.org"), Some("active"));
    let others = at(&bed, "Board", "0s ago");
    assert!(
        others.values().all(|(state, _)| state == "active"),
        "{others:?}"
    );
    let text = bed.run(&["members", "Donors", "--at", "0s ago"]);
    assert!(
        text.out.contains("had been killed") && text.out.contains("not known"),
        "{}",
        text.out
    );
}

#[test]
fn who_was_forgotten_is_not_shown_and_hostile_names_harm_nobody() {
    let name = "Do\u{1b}[2Jnors / \u{202e}<b>\n2024";
    let mut world = plain_world().without_pace();
    group_of(world.account_mut("crm"), name, "donor", 4);
    let bed = bed(world, "crm", "mail", "");
    bed.sync();
    let gone = bed.account("crm", |crm| {
        let contact = crm.contact_by_email("donor2@example.org").unwrap();
        let group = *crm.groups.keys().next_back().unwrap();
        crm.leave(group, contact);
        group
    });
    bed.sync();
    let runs = runs(&bed);
    let id = bed.account("mail", |mail| *mail.groups.keys().next_back().unwrap());
    let group = format!("mail/{id}");
    assert_eq!(at(&bed, &group, &runs[0].1).len(), 4, "of group {gone}");
    for address in ["donor1@example.org", "donor2@example.org"] {
        bed.run(&["forget", address, "--yes"]).assert(0);
        let then = at(&bed, &group, &runs[0].1);
        assert_eq!(state(&then, address), None);
    }
    assert_eq!(at(&bed, &group, &runs[0].1).len(), 2);
    for arguments in [
        &["members", &group][..],
        &["members", &group, "--at", "0s ago"],
        &["members", "mail/Do"],
        &["members", "\u{1b}[2J"],
        &["members", "\u{1b}[2J", "--at", "0s ago"],
    ] {
        let ended = bed.run(arguments);
        for text in [&ended.out, &ended.err] {
            assert!(
                !text.contains(['\u{1b}', '\u{202e}']),
                "{arguments:?}: {text}"
            );
        }
    }
}

#[test]
fn what_is_asked_wrongly_says_what_to_ask() {
    let bed = Bed::new();
    let ended = bed.line("members Donors --at 2026-01-01");
    assert!(ended.complaint(2).contains("no state database"));
    bed.sync();
    for (arguments, words) in [
        (&["members", "mail/Donros"][..], "did you mean mail/"),
        (
            &["members", "Donros", "--at", "0s ago"],
            "did you mean mail/",
        ),
        (&["members", "mial/Donors"], "no group \"mial/Donors\""),
        (
            &["members", "Donors", "--at", "soon"],
            "is no time to ask about",
        ),
        (
            &["members", "Donors", "--at", "2999-01-01"],
            "lies in the future",
        ),
        (
            &["members", "crm/Nobody", "--at", "0s ago"],
            "no job writes to crm",
        ),
    ] {
        let ended = bed.run(arguments);
        let said = ended.complaint(2);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    // A list that is cut off is not all of it.
    bed.emulator
        .add_fault(FaultRule::every(Fault::WrongCount(3)).on("groups/getContacts"));
    let ended = bed.line("members Donors");
    assert_ne!(ended.code, Some(0), "{}{}", ended.out, ended.err);
}
