//! What a plan shows, as a shell would ask for it.

use serde_json::{Value, json};

use super::bed::{Bed, JOB};

/// What `plan --format json` prints.
fn plan(bed: &Bed) -> Value {
    let ended = bed.run(&["plan", JOB, "--format", "json"]);
    ended.assert(0);
    ended.json(&["operations", "changed_outside"])
}

/// What a person wrote at the target into everything that rosterd had written there.
fn change_outside(bed: &Bed) {
    bed.account("mail", |mail| {
        let board = mail.find_group("Board").unwrap();
        mail.rename_group(board, "Evil \u{1b}[31m<b>\u{202e}board");
        let contact = mail.contact_by_email("donor2@example.org").unwrap();
        mail.change_contact(contact, [("last_name", "By \u{1b}]0;hand")], []);
        let press = mail.find_group("Press").unwrap();
        let contact = mail.contact_by_email("press3@example.org").unwrap();
        mail.leave(press, contact);
    });
}

#[test]
fn what_others_changed_at_the_target_is_marked_and_listed() {
    let bed = Bed::new();
    bed.sync();
    change_outside(&bed);
    let ended = bed.run(&["plan", JOB]);
    ended.assert(0);
    insta::assert_snapshot!(ended.out, @r#"
    Plan for crm-to-mail: crm → mail

    Groups
      ~ Evil \u{1b}[31m<b>\u{202e}board  change: is renamed to "Board", as it was before somebody renamed it at the target

    Members
      Press  +1
        + press3@example.org  (was taken out there)

    Profiles  1 person
      ~ donor2@example.org
          lastName  "By \u{1b}]0;hand" → "Example"  (changed outside)

    Changed outside  3 values, at mail since the last run
      ! groupName of group "Board": is overwritten
          "Board" after the last run, now "Evil \u{1b}[31m<b>\u{202e}board"
      ! lastName of donor2@example.org: is overwritten
          "Example" after the last run, now "By \u{1b}]0;hand"
      ! press3@example.org was taken out of "Press": is added again

    Losses  what the target can't hold; where possible rosterd remembers it
      - time_zone (group): 6 values, for example "America/Chicago"; the target has no field for it; it is kept as a carried value
          to keep it: [jobs.crm-to-mail.map.group] notes = "'time_zone: ' ~ source.time_zone"

    Cost: 3 requests to mail, about 1 s at the provider's pace. Reading took 18 requests of crm and 16 requests of mail.

    Plan: 1 group to change, 1 person to update, 1 membership to add. 3 changed outside.

    Next: `rosterd sync crm-to-mail` plans anew and applies; to apply exactly what was reviewed, `rosterd plan crm-to-mail --out FILE`, then `rosterd apply FILE`.
    "#);

    let document = plan(&bed);
    assert_eq!(document["summary"]["changed_outside"], 3);
    let rows = document["changed_outside"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[1],
        json!({"what": "member", "member": "donor2@example.org", "field": "lastName",
            "base": "Example", "now": "By \u{1b}]0;hand", "wanted": "Example", "fate": "overwrite"})
    );
    assert_eq!(
        rows[2],
        json!({"what": "membership", "group": "Press", "member": "press3@example.org", "fate": "overwrite"})
    );
    let marked = document["operations"].as_array().unwrap().iter();
    let marked: Vec<&Value> = marked
        .map(|operation| &operation["changed_outside"])
        .collect();
    assert_eq!(
        marked,
        [
            &json!(["groupName"]),
            &json!(["lastName"]),
            &json!(["press3@example.org"])
        ]
    );

    // What is shown besides is sealed with the plan and no hindrance to applying it.
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    bed.run(&["apply", "plan.json"]).assert(0);
    let ended = bed.run(&["plan", JOB]);
    assert!(ended.out.contains("Nothing to do."), "{}", ended.out);
    assert!(!ended.out.contains("outside"), "{}", ended.out);
    assert_eq!(plan(&bed)["changed_outside"], json!([]));
}

#[test]
fn what_others_changed_is_listed_also_where_it_is_kept_or_stops_the_run() {
    for (drift, code, said) in [
        ("keep", 0, ["is kept", "stays out"]),
        ("stop", 3, ["stops the run", "stops the run"]),
    ] {
        let bed = Bed::new();
        bed.configure(&format!("[jobs.{JOB}.guards]\non_drift = \"{drift}\"\n"));
        bed.sync();
        change_outside(&bed);
        let ended = bed.run(&["plan", JOB, "--detailed-exitcode"]);
        ended.assert(code);
        for said in said {
            assert!(ended.out.contains(said), "{said}: {}", ended.out);
        }
        assert!(ended.out.contains("3 changed outside."), "{}", ended.out);
        let document = plan(&bed);
        let rows = document["changed_outside"].as_array().unwrap();
        assert_eq!(rows.len(), 3, "{rows:#?}");
        assert!(rows.iter().all(|row| row["fate"] == drift), "{rows:#?}");
        if drift == "stop" {
            assert_eq!(document["refusals"][0]["value"], 3);
        } else {
            assert_eq!(document["operations"], json!([]));
        }
    }
}
