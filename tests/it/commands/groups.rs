//! The groups of an account and the pairs of a job, as a person needs them for `pin` and `link`.

use rosterd::emulator::{Fault, FaultRule, GroupKind};
use rosterd::state::Locks;

use super::bed::{Bed, JOB, small_world};
use crate::support::group_of;

#[test]
fn links_say_how_each_pair_came_about_and_ask_nobody() {
    let mut world = small_world();
    let mail = world.account_mut("mail");
    group_of(mail, "Board", "chair", 3);
    group_of(mail, "Journalists", "press", 0);
    group_of(mail, "Mates", "friend", 0);
    group_of(mail, "Taken", "friend", 0);
    let archived = group_of(mail, "Alumni", "alumna", 0);
    mail.archive_group(archived);
    let bed = Bed::over(world);
    let id = |account: &str, name: &str| {
        bed.account(account, |account| account.find_group(name).unwrap())
    };
    let (friends, mates) = (id("crm", "Friends"), id("mail", "Mates"));
    bed.configure(&format!(
        "[jobs.{JOB}.groups]\npin = {{ \"{friends}\" = \"{mates}\" }}\n"
    ));
    let ended = bed.run(&["links", JOB]);
    ended.assert(0);
    assert!(
        ended.out.contains("pinned, waits for a run"),
        "{}",
        ended.out
    );
    bed.run(&["link", JOB, "Press", "Journalists"]).assert(0);
    let ended = bed.run(&["links", JOB]);
    assert!(ended.out.contains("linked by hand"), "{}", ended.out);
    bed.run(&["sync", JOB]).assert(4);
    bed.emulator.clear_log();
    let ended = bed.run(&["links", JOB]);
    ended.assert(0);
    insta::assert_snapshot!(ended.out, @r#"
    SOURCE  NAME        TARGET  NAME         ORIGIN          BROUGHT
    101     Donors      1010    Donors       created         10 of 10
    112     Volunteers  1011    Volunteers   created         10 of 10
    123     Board       1002    Board        adopted         7 of 10
    134     Press       1006    Journalists  linked by hand  10 of 10
    156     Friends     1007    Mates        pinned          10 of 10

    1 group waits for a person
      x dead8436 "Alumni": target_refused
          the target group is archived: restore it at the provider first
          remedy: choose another target group, or change this one at the target
    "#);
    let ended = bed.run(&["links", JOB, "--format", "json"]);
    ended.assert(0);
    let links = ended.json(&["job", "source", "target", "links", "blocked"]);
    let origins: Vec<(&str, &str)> = links["links"]
        .as_array()
        .unwrap()
        .iter()
        .map(|link| {
            (
                link["source_name"].as_str().unwrap(),
                link["origin"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("Donors", "created"),
        ("Volunteers", "created"),
        ("Board", "adopted"),
        ("Press", "by_hand"),
        ("Friends", "pinned"),
    ];
    assert_eq!(origins, expected);
    assert_eq!(links["blocked"][0]["reason"], "target_refused");
    assert_eq!(bed.emulator.requests(), [], "no provider was asked");
    bed.run(&["links", "crm-to-mial"]).complaint(2);
}

#[test]
fn groups_are_shown_with_what_links_them() {
    let mut world = small_world();
    let mail = world.account_mut("mail");
    group_of(mail, "Board", "chair", 3);
    let old = group_of(mail, "Old \u{1b}[2J", "old", 2);
    mail.archive_group(old);
    let clever = group_of(mail, "Clever", "clever", 1);
    mail.group_mut(clever).kind = GroupKind::Dynamic;
    let lists = world.account_mut("campaigns");
    group_of(lists, "Friends", "friend", 4);
    let bed = Bed::with_campaigns(world);
    let ended = bed.line("groups mail");
    ended.assert(0);
    insta::assert_snapshot!(ended.out, @r"
    ID    NAME           KIND      STATUS    MEMBERS  LINKED BY
    1001  All            built-in  active    6        -
    1002  Board          static    active    3        -
    1006  Old \u{1b}[2J  static    archived  2        -
    1009  Clever         dynamic   active    1        -
    ");
    bed.sync();
    let ended = bed.line("groups mail --format json");
    ended.assert(0);
    let listed = ended.json(&["provider", "kind", "groups", "doubts"]);
    assert_eq!(listed["complete"], true);
    let groups = listed["groups"].as_array().unwrap();
    let board = groups.iter().find(|group| group["name"] == "Board");
    let link = &board.unwrap()["links"][0];
    assert_eq!(link["job"], JOB);
    assert_eq!(link["side"], "target");
    let partner = bed.account("crm", |crm| crm.find_group("Board").unwrap());
    assert_eq!(link["partner"], partner.to_string());
    let said = bed.line("groups crm").out;
    assert!(said.contains("crm-to-mail (-> "), "{said}");
    insta::assert_snapshot!(bed.line("groups campaigns").out, @"
    ID  NAME     KIND    STATUS  MEMBERS  LINKED BY
    1   Friends  static  active  4        -
    ");
    insta::assert_snapshot!(bed.line("groups staff").out, @"
    ID  NAME     KIND      STATUS  MEMBERS  LINKED BY
    3   Admin    built-in  active  -        -
    4   Parking  static    active  -        -
    ");
}

#[test]
fn a_list_of_groups_that_is_not_whole_says_so() {
    let bed = Bed::with_campaigns(small_world());
    for (provider, operation) in [("mail", "groups/search"), ("campaigns", "list_list")] {
        bed.emulator.clear_faults();
        bed.account(provider, |account| {
            account.add_group("One");
            account.add_group("Two");
        });
        let rule = FaultRule::every(Fault::ShortPage).on(operation);
        bed.emulator.add_fault(rule);
        let ended = bed.line(&format!("groups {provider}"));
        ended.assert(4);
        assert!(ended.out.contains("may not be all"), "{}", ended.out);
        let ended = bed.line(&format!("groups {provider} --format json"));
        ended.assert(4);
        let listed = ended.json(&["groups"]);
        assert_eq!(listed["complete"], false);
        assert_ne!(listed["doubts"].as_array().unwrap().len(), 0);
    }
    bed.emulator.clear_faults();
    let rule = FaultRule::every(Fault::TruncatedBody).on("GetGroups");
    bed.emulator.add_fault(rule);
    bed.line("groups crm").complaint(1);
}

#[test]
fn an_account_in_use_and_an_unknown_name_are_told() {
    let bed = Bed::new();
    let (config, _) = rosterd::config::load(&bed.path("rosterd.toml")).unwrap();
    let key = config.providers["crm"].account_key();
    let held = Locks::new(&bed.path("rosterd.db")).lock_account(&key);
    bed.line("groups crm").complaint(5);
    drop(held.unwrap());
    let ended = bed.line("groups cmr");
    let said = ended.complaint(2);
    assert!(said.contains("did you mean \"crm\"?"), "{said}");
    assert_eq!(bed.emulator.requests(), []);
}
