//! A copy of an account: what the files hold is what the account holds, and what they lack is said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use rosterd::emulator::{
    Account, Fault, FaultRule, GroupKind, Kind, Login, MembershipState, Rights, When, World,
};
use rosterd::state::Locks;
use serde_json::Value;

use super::bed::{Bed, small_world};
use crate::support::group_of;

/// The providers that a copy is taken of, with their accounts.
const PROVIDERS: [(&str, &str); 4] = [
    ("crm", "crm"),
    ("mail", "mail"),
    ("campaigns", "campaigns"),
    ("staff", "campaigns"),
];

fn account_of(provider: &str) -> &'static str {
    let known = PROVIDERS.iter().find(|(name, _)| *name == provider);
    known.unwrap().1
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

fn manifest(bed: &Bed, directory: &str) -> Value {
    serde_json::from_str(&bed.read(&format!("{directory}/manifest.json"))).unwrap()
}

fn names_in(path: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// Accounts in which there is somebody in every state that the provider knows.
fn varied_world() -> World {
    let mut world = small_world();
    for name in ["crm", "mail", "campaigns"] {
        let account = world.account_mut(name);
        let one = group_of(account, "One", "one", 7);
        let two = group_of(account, "Two", "two", 5);
        account.add_group("Nobody's");
        let [first, second, third] = ["one0", "one1", "one2"].map(|name| {
            let email = format!("{name}@example.org");
            account.contact_by_email(&email).unwrap()
        });
        account.join(two, first);
        account.opt_out_of_group(one, first);
        let alone = account.add_person("alone@example.org", "Al", "One");
        let refuser = account.add_person("refuser@example.org", "Re", "Fuser");
        if account.kind == Kind::ActiveCampaign {
            account.set_membership_state(one, second, MembershipState::Unconfirmed);
            account.set_membership_state(one, third, MembershipState::Bounced);
        } else {
            account.opt_out_of_account(second);
            account.opt_out_of_account(refuser);
            account.hold(third);
        }
        account.change_contact(alone, [("company", "Nobody & Sons")], []);
    }
    let mail = world.account_mut("mail");
    let old = group_of(mail, "Old", "old", 3);
    mail.archive_group(old);
    let clever = group_of(mail, "Clever", "clever", 2);
    mail.group_mut(clever).kind = GroupKind::Dynamic;
    let campaigns = world.account_mut("campaigns");
    let writers = campaigns.add_user_group("Writers");
    campaigns.add_user("wanda", "wanda@example.org", writers);
    world
}

/// Who is in the account and how they stand, as the emulator holds it.
fn people_of(
    account: &Account,
    provider: &str,
) -> BTreeMap<String, (String, Option<&'static str>)> {
    if provider == "staff" {
        let users = account.users.values();
        return users
            .map(|user| (user.id.to_string(), (user.email.clone(), None)))
            .collect();
    }
    let contacts = account.contacts.values();
    contacts
        .map(|contact| {
            let status = match (account.kind, contact.opted_out, contact.bounced) {
                (Kind::ActiveCampaign, ..) => None,
                (_, Some(_), _) => Some("opted_out"),
                (Kind::Emfluence, _, Some(_)) => Some("held"),
                (_, _, Some(_)) => Some("bounced"),
                _ => Some("active"),
            };
            (contact.id.to_string(), (contact.email.clone(), status))
        })
        .collect()
}

/// Who is in which group in which state.
fn memberships_of(account: &Account, provider: &str) -> BTreeSet<(String, String, &'static str)> {
    if provider == "staff" {
        let groups = account.user_groups.keys();
        return groups
            .flat_map(|group| {
                let users = account.users_in(*group).into_iter();
                users.map(|user| (group.to_string(), user.to_string(), "active"))
            })
            .collect();
    }
    let groups = account.groups.values();
    groups
        .flat_map(|group| {
            let members = account.members_of(group.id).into_iter();
            members.map(|(contact, state)| {
                let state = match state {
                    // Nobody is told who refuses a group that a query fills.
                    _ if group.kind == GroupKind::Dynamic => "unknown",
                    MembershipState::Active => "active",
                    MembershipState::Unconfirmed => "unconfirmed",
                    MembershipState::Bounced => "bounced",
                    MembershipState::OptedOut => "opted_out",
                };
                (group.id.to_string(), contact.to_string(), state)
            })
        })
        .collect()
}

/// The ids of the groups that the service lists.
fn groups_of(account: &Account, provider: &str) -> BTreeSet<String> {
    if provider == "staff" {
        // The first two hold nobody who logs in, and the service does not list them.
        let groups = account.user_groups.keys().filter(|id| **id > 2);
        return groups.map(ToString::to_string).collect();
    }
    account.groups.keys().map(ToString::to_string).collect()
}

#[test]
fn a_copy_holds_what_the_account_holds() {
    let bed = Bed::with_campaigns(varied_world());
    for (provider, account) in PROVIDERS {
        let ended = bed.line(&format!("export {provider} --out {provider}"));
        ended.assert(0);
        assert_eq!(ended.err, "", "{provider}");
        assert!(!ended.out.contains('@'), "{}", ended.out);
        let (people, memberships, groups) = bed.account(account, |account| {
            (
                people_of(account, provider),
                memberships_of(account, provider),
                groups_of(account, provider),
            )
        });
        let path = bed.path(provider);
        let found = rows(&path.join("groups.jsonl"));
        let found: BTreeSet<String> = found.iter().map(|row| text(row, "id").to_owned()).collect();
        assert_eq!(found, groups, "{provider}");
        let found = rows(&path.join("members.jsonl"));
        let found: BTreeMap<String, (String, Option<&str>)> = found
            .iter()
            .map(|row| {
                let (id, email) = (text(row, "id"), text(row, "email"));
                (id.to_owned(), (email.to_owned(), row["status"].as_str()))
            })
            .collect();
        assert_eq!(found, people, "{provider}");
        let found = rows(&path.join("memberships.jsonl"));
        assert_eq!(found.len(), memberships.len(), "{provider}");
        let found: BTreeSet<(String, String, &str)> = found
            .iter()
            .map(|row| {
                let (group, member) = (text(row, "group_id"), text(row, "member_id"));
                (group.to_owned(), member.to_owned(), text(row, "state"))
            })
            .collect();
        assert_eq!(found, memberships, "{provider}");

        let manifest = manifest(&bed, provider);
        assert_eq!(manifest["complete"], true, "{manifest:#}");
        for (table, count) in [
            ("groups", groups.len()),
            ("members", people.len()),
            ("memberships", memberships.len()),
        ] {
            let rows = &manifest["tables"][table]["rows"];
            assert_eq!(*rows, count, "{provider} {table}");
            let csv = csv::Reader::from_path(path.join(format!("{table}.csv")));
            let records = csv.unwrap().into_records().map(Result::unwrap);
            assert_eq!(records.count(), count, "{provider} {table}");
        }
        assert_sums(&bed, provider, &manifest);
    }
    bed.assert_unwritten();
}

/// Fails unless the files are the manifest's, nobody else's to read, and as the system sums them up.
fn assert_sums(bed: &Bed, directory: &str, manifest: &Value) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = bed.path(directory);
    let files = manifest["files"].as_array().unwrap();
    let mut named: BTreeSet<String> = BTreeSet::from(["manifest.json".to_owned()]);
    for file in files {
        let name = text(file, "name");
        let bytes = std::fs::read(path.join(name)).unwrap();
        assert_eq!(file["bytes"], bytes.len(), "{name}");
        let sum = bed.end(&mut bed.shell(&format!("sha256sum < {directory}/{name}")));
        assert!(sum.out.starts_with(text(file, "sha256")), "{name}");
        named.insert(name.to_owned());
    }
    assert_eq!(names_in(&path), named);
    for name in named {
        let mode = std::fs::metadata(path.join(&name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn somebody_in_no_group_comes_with_all_fields() {
    let bed = Bed::with_campaigns(varied_world());
    for provider in ["crm", "mail", "campaigns"] {
        let ended = bed.line(&format!("export {provider} --out {provider}"));
        ended.assert(0);
        let members = rows(&bed.path(&format!("{provider}/members.jsonl")));
        let alone = members.iter();
        let mut alone = alone.filter(|row| row["email"] == "alone@example.org");
        let alone = alone.next().unwrap();
        assert_eq!(alone["first_name"], "Al", "{provider}");
        assert_eq!(alone["company"], "Nobody & Sons", "{provider}");
    }
}

#[test]
fn when_somebody_left_a_list_stands_in_the_copy() {
    let bed = Bed::with_campaigns(varied_world());
    bed.line("export campaigns --out copy").assert(0);
    let rows = rows(&bed.path("copy/memberships.jsonl"));
    for row in rows {
        let left = row["state"] == "opted_out";
        assert_eq!(left, row["since"].is_string(), "{row}");
    }
}

#[test]
fn hostile_values_come_back() {
    let long = "y".repeat(10_000);
    let values = [
        "a \"quoted\", name; with\nlines",
        "=cmd|'/C calc'!A0",
        "+1",
        "-1+1",
        "@SUM(1)",
        "'apostrophe",
        "\u{202e}gro.elpmaxe",
        "\u{1b}[31mred\u{1b}[0m\u{7}",
        long.as_str(),
    ];
    let mut world = small_world();
    for name in ["crm", "mail", "campaigns"] {
        let account = world.account_mut(name);
        let group = account.add_group("=HYPERLINK(\"x\")");
        for (number, value) in values.iter().enumerate() {
            // A document of XML can't hold the characters of a terminal's commands.
            let value = match account.kind {
                Kind::GreenRope => value.replace(['\u{1b}', '\u{7}'], "?"),
                _ => (*value).to_owned(),
            };
            let contact = account.add_person(&format!("h{number}@example.org"), "", "");
            account.change_contact(contact, [("last_name", value.as_str())], []);
            account.join(group, contact);
        }
    }
    let bed = Bed::with_campaigns(world);
    for name in ["crm", "mail", "campaigns"] {
        bed.line(&format!("export {name} --out {name}")).assert(0);
        let expected: BTreeMap<String, String> = bed.account(name, |account| {
            let contacts = account.contacts.values();
            contacts
                .map(|contact| (contact.id.to_string(), contact.get("last_name").to_owned()))
                .collect()
        });
        let path = bed.path(name);
        let lines = rows(&path.join("members.jsonl"));
        assert_eq!(lines.len(), expected.len());
        for row in &lines {
            assert_eq!(text(row, "last_name"), expected[text(row, "id")], "{name}");
        }
        let mut csv = csv::Reader::from_path(path.join("members.csv")).unwrap();
        let columns = csv.headers().unwrap().clone();
        let at = |column: &str| columns.iter().position(|name| name == column).unwrap();
        for record in csv.records() {
            let record = record.unwrap();
            for cell in &record {
                let formula = ['=', '+', '-', '@', '\t', '\r'];
                assert!(!cell.starts_with(formula), "{cell}");
            }
            let shown = &record[at("last_name")];
            let value = shown.strip_prefix('\'').unwrap_or(shown);
            assert_eq!(value, expected[&record[at("id")]], "{name}");
        }
    }
}

/// Takes a copy while something fails, which must be told: returns the names of the files, and the
/// manifest.
fn incomplete(bed: &Bed, provider: &str, rule: FaultRule) -> (BTreeSet<String>, Value) {
    bed.emulator.clear_faults();
    bed.emulator.add_fault(rule.clone());
    let directory = tempfile::tempdir_in(bed.path("")).unwrap();
    let out = directory.path().display();
    let ended = bed.line(&format!("export {provider} --out {out}"));
    bed.emulator.clear_faults();
    ended.assert(4);
    assert!(
        ended.out.contains("not whole") && ended.out.contains("no whole copy"),
        "{provider} {rule:?}: {}",
        ended.out
    );
    let names = names_in(directory.path());
    let kept = std::fs::read_to_string(directory.path().join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(manifest["complete"], false, "{provider} {rule:?}");
    for table in ["groups", "members", "memberships"] {
        let note = &manifest["tables"][table];
        let complete = note["complete"].as_bool().unwrap();
        let doubts = note["doubts"].as_array().unwrap();
        assert_eq!(complete, doubts.is_empty());
        assert_eq!(complete, names.contains(&format!("{table}.csv")));
        let partial = format!("{table}.incomplete.jsonl");
        assert_eq!(!complete, names.contains(&partial));
        for doubt in doubts.iter().take(3) {
            let doubt: String = doubt.as_str().unwrap().chars().take(40).collect();
            assert!(ended.out.contains(&doubt), "{doubt}\n{}", ended.out);
        }
    }
    assert_certain(bed, provider, directory.path());
    (names, manifest)
}

/// Fails where somebody is said to stand otherwise than they do: of whom it is not certain, it is
/// unknown.
fn assert_certain(bed: &Bed, provider: &str, directory: &Path) {
    let (people, states) = bed.account(account_of(provider), |account| {
        let memberships = memberships_of(account, provider).into_iter();
        let states: BTreeMap<_, _> = memberships
            .map(|(group, member, state)| ((group, member), state))
            .collect();
        (people_of(account, provider), states)
    });
    for name in names_in(directory) {
        let (table, form) = name.split_once('.').unwrap();
        if !form.ends_with("jsonl") {
            continue;
        }
        for row in rows(&directory.join(&name)) {
            let (said, known) = match table {
                "members" => (text(&row, "status"), people[text(&row, "id")].1),
                "memberships" => {
                    let key = (text(&row, "group_id"), text(&row, "member_id"));
                    let key = (key.0.to_owned(), key.1.to_owned());
                    (text(&row, "state"), states.get(&key).copied())
                }
                _ => continue,
            };
            let known = known.unwrap_or_default();
            assert!(said == known || said == "unknown", "{row}: {known}");
        }
    }
}

#[test]
fn what_could_not_be_read_is_named_and_ends_with_4() {
    let mut world = varied_world();
    group_of(world.account_mut("campaigns"), "Everybody", "any", 150);
    let bed = Bed::with_campaigns(world);
    let faults = [
        Fault::TruncatedBody,
        Fault::HtmlWith200,
        Fault::ServerError(500),
    ];
    for (provider, operation, when) in [
        // The account's opt-outs, and its bounces.
        ("crm", "GetContacts", When::Nth(1)),
        ("crm", "GetContacts", When::Nth(2)),
        ("mail", "groups/getContacts", When::Every),
        // Each second page, also when it is read once more.
        ("campaigns", "GET /contacts", When::EachNth(2)),
    ] {
        for fault in faults.clone() {
            let rule = FaultRule::every(fault).on(operation).at(provider);
            incomplete(&bed, provider, rule.when(when));
        }
    }
    for (provider, operation) in [
        ("crm", "GetContacts"),
        ("campaigns", "GET /contacts"),
        ("staff", "GET /users"),
    ] {
        let rule = FaultRule::every(Fault::WrongCount(3)).on(operation);
        incomplete(&bed, provider, rule);
    }
}

#[test]
fn whichever_question_fails_nobody_is_said_to_stand_otherwise() {
    let bed = Bed::with_campaigns(varied_world());
    bed.emulator.clear_log();
    bed.line("export crm --out whole").assert(0);
    let asked = bed.emulator.requests().into_iter();
    let asked = asked.filter(|request| request.operation == "GetContacts");
    let mut named = 0;
    for number in 1..=asked.count() as u64 {
        let rule = FaultRule::every(Fault::ServerError(500)).on("GetContacts");
        bed.emulator.add_fault(rule.when(When::Nth(number)));
        let out = format!("copy{number}");
        let ended = bed.line(&format!("export crm --out {out}"));
        bed.emulator.clear_faults();
        assert!(matches!(ended.code, Some(0 | 4)), "{number}: {}", ended.err);
        assert_certain(&bed, "crm", &bed.path(&out));
        if ended.code == Some(0) {
            // It was asked once more.
            for table in ["members", "memberships"] {
                let copy = bed.read(&format!("{out}/{table}.jsonl"));
                assert_eq!(copy, bed.read(&format!("whole/{table}.jsonl")), "{number}");
            }
        } else {
            named += 1;
        }
    }
    assert!(named >= 3, "opt-outs, bounces and everybody: {named}");
}

#[test]
fn a_page_that_fails_again_and_again_is_named() {
    let mut world = varied_world();
    let mail = world.account_mut("mail");
    let everybody = group_of(mail, "Everybody", "any", 300);
    let refuser = mail.members_of(everybody)[299].0;
    mail.opt_out_of_account(refuser);
    let bed = Bed::with_campaigns(world);
    // Each second page of the account, also when it is read once more.
    let rule = FaultRule::every(Fault::TruncatedBody).on("contacts/search");
    let (names, _) = incomplete(&bed, "mail", rule.when(When::EachNth(2)));
    assert!(names.contains("members.incomplete.csv"), "{names:?}");
}

#[test]
fn who_is_passed_over_between_two_pages_is_in_the_copy() {
    let mut world = small_world();
    let everybody = group_of(world.account_mut("mail"), "Everybody", "any", 1_005);
    let bed = Bed::with_campaigns(world);
    // The group of all comes first: its pages, and the counts of both kinds of its members.
    let rule = FaultRule::every(Fault::Turnover).on("groups/getContacts");
    bed.emulator.add_fault(rule.at("mail").when(When::Nth(6)));
    bed.line("export mail --out copy").assert(0);
    let listed = rows(&bed.path("copy/memberships.jsonl"));
    let group = everybody.to_string();
    let listed = listed.iter().filter(|row| row["group_id"] == group);
    let listed: BTreeSet<&str> = listed.map(|row| text(row, "member_id")).collect();
    bed.account("mail", |mail| {
        for (contact, _) in mail.members_of(everybody) {
            assert!(listed.contains(contact.to_string().as_str()), "{contact}");
        }
    });
}

#[test]
fn a_group_that_fails_is_named_and_the_others_are_whole() {
    let bed = Bed::with_campaigns(varied_world());
    let rule = FaultRule::every(Fault::TruncatedBody).on("groups/getContacts");
    let (names, manifest) = incomplete(&bed, "mail", rule);
    assert!(names.contains("members.csv") && names.contains("groups.csv"));
    let listings = manifest["listings"].as_array().unwrap();
    let failed = listings
        .iter()
        .filter(|listing| listing["complete"] == false);
    let failed: BTreeSet<&str> = failed.map(|listing| text(listing, "name")).collect();
    assert!(failed.contains("One") && !failed.contains("Clever"));
    let doubts = manifest["tables"]["memberships"]["doubts"].to_string();
    assert!(doubts.contains("(One): "), "{doubts}");
}

#[test]
fn a_login_that_sees_a_part_makes_no_whole_copy() {
    let mut world = varied_world();
    let mail = world.account_mut("mail");
    mail.logins[0].rights = Rights {
        client_admin: false,
        ..Rights::all()
    };
    let crm = world.account_mut("crm");
    let one = crm.find_group("One").unwrap();
    crm.logins[0] = Login::restricted("crm", 45_429, [one]);
    let bed = Bed::with_campaigns(world);
    let config = bed.read("rosterd.toml");
    let email = bed.account("crm", |crm| crm.credentials().email);
    let restricted = format!("email = \"{email}\"\nshared_access = true");
    let config = config.replace("email = \"owner@crm.test\"", &restricted);
    bed.write("rosterd.toml", &config);
    for line in ["export crm --out crm", "groups crm"] {
        let ended = bed.line(line);
        ended.assert(4);
        assert!(ended.out.contains("sees only a part"), "{}", ended.out);
    }
    let ended = bed.line("export mail --out mail");
    ended.assert(4);
    assert!(ended.out.contains("custom field"), "{}", ended.out);
}

#[test]
fn an_earlier_copy_is_replaced_only_when_asked_and_only_by_a_new_one() {
    let bed = Bed::with_campaigns(varied_world());
    bed.line("export mail --out copy").assert(0);
    let before = bed.read("copy/manifest.json");
    let ended = bed.line("export mail --out copy");
    assert!(ended.complaint(2).contains("--overwrite"), "{}", ended.err);
    // A failure leaves the earlier one as it was.
    let rule = FaultRule::every(Fault::ServerError(500)).on("groups/search");
    bed.emulator.add_fault(rule);
    bed.line("export mail --out copy --overwrite").complaint(1);
    assert_eq!(bed.read("copy/manifest.json"), before);
    bed.emulator.clear_faults();
    assert_eq!(names_in(&bed.path("copy")).len(), 7);
    // What the earlier one lacked does not stay beside what the new one has.
    let rule = FaultRule::every(Fault::TruncatedBody).on("groups/getContacts");
    bed.emulator.add_fault(rule);
    bed.line("export mail --out copy --overwrite").assert(4);
    assert!(bed.path("copy/memberships.incomplete.csv").exists());
    bed.emulator.clear_faults();
    bed.line("export mail --out copy --overwrite").assert(0);
    let after = manifest(&bed, "copy");
    assert_sums(&bed, "copy", &after);
    assert_ne!(bed.read("copy/manifest.json"), before);
    bed.write("copy/diary", "dear diary");
    let ended = bed.line("export mail --out copy --overwrite");
    assert!(ended.complaint(2).contains("other things"), "{}", ended.err);
}

#[test]
fn an_account_in_use_and_unknown_names() {
    let bed = Bed::with_campaigns(varied_world());
    let (config, _) = rosterd::config::load(&bed.path("rosterd.toml")).unwrap();
    let key = config.providers["crm"].account_key();
    let held = Locks::new(&bed.path("rosterd.db")).lock_account(&key);
    bed.line("export crm --out copy").complaint(5);
    drop(held.unwrap());
    assert!(!bed.path("copy").exists());
    let ended = bed.line("export cmr --out copy");
    let said = ended.complaint(2);
    assert!(said.contains("did you mean \"crm\"?"), "{said}");
    assert_eq!(bed.emulator.requests(), []);
}

#[test]
fn an_interrupted_export_leaves_nothing() {
    let bed = Bed::with_campaigns(varied_world());
    let rule = FaultRule::every(Fault::Latency(Duration::from_mins(1))).on("contacts/search");
    bed.emulator.add_fault(rule);
    let mut running = bed.start(&["export", "mail", "--out", "copy"]);
    while !bed
        .emulator
        .requests()
        .iter()
        .any(|request| request.operation == "groups/getContacts")
    {
        assert!(running.ended().is_none(), "it goes on");
    }
    running.signal("INT");
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nothing was exported"), "{said}");
    assert!(!bed.path("copy").exists());
}

#[test]
fn the_result_as_json_is_the_manifest() {
    let bed = Bed::with_campaigns(varied_world());
    let ended = bed.line("export crm --out copy --format json");
    ended.assert(0);
    let printed = ended.json(&["provider", "complete", "tables", "listings", "files"]);
    assert_eq!(printed["files"].as_array().unwrap().len(), 6);
    assert_eq!(printed["files"], manifest(&bed, "copy")["files"]);
}
