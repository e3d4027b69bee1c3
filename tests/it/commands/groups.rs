//! The pairs of a job, as a person needs them for `pin` and `link`.

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
