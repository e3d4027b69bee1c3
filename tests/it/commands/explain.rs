//! Why a person or a group is as it is.

use super::bed::{Bed, JOB, small_world};
use crate::support::group_of;

fn explained(bed: &Bed, what: &str) -> serde_json::Value {
    let command = bed.run(&["explain", what, "--format", "json"]);
    command.assert(0);
    let document = command.json(&["jobs"]);
    document["jobs"][0].clone()
}

#[test]
fn a_person_is_explained_before_and_after_a_run() {
    let bed = Bed::new();
    let before = explained(&bed, "Donor1@Example.org");
    let person = &before["people"][0];
    assert_eq!(person["name"], "donor1@example.org");
    assert_eq!(person["target"], serde_json::json!([]));
    let next = person["next"]["operations"].to_string();
    assert!(
        next.contains("create_members") && next.contains("Donors"),
        "{next}"
    );
    bed.assert_unwritten();

    bed.sync();
    let after = explained(&bed, "donor1@example.org");
    let person = &after["people"][0];
    assert_eq!(person["next"]["operations"], serde_json::json!([]));
    assert_eq!(person["links"][0]["origin"], "created");
    assert_eq!(person["memberships"][0]["remembered"], "brought");
    let fields = person["fields"].as_array().unwrap();
    let first_name = fields
        .iter()
        .find(|field| field["field"] == "firstName")
        .unwrap();
    assert_eq!(first_name["held"], first_name["desired"]);
    assert_eq!(first_name["from_config"], false);
    let run = first_name["written"]["run"].as_str().unwrap();
    bed.run(&["show", run]).assert(0);
}

#[test]
fn a_value_by_a_line_of_the_config_is_told_from_a_built_in_one_and_drift_is_seen() {
    let bed = Bed::new();
    bed.configure("\n[jobs.crm-to-mail.map.member]\nnotes = \"'from ' ~ source.id\"\n");
    bed.sync();
    bed.account("mail", |mail| {
        let contact = mail.contact_by_email("donor2@example.org").unwrap();
        mail.change_contact(contact, [("last_name", "Changed")], []);
    });
    let job = explained(&bed, "donor2@example.org");
    let fields = job["people"][0]["fields"].as_array().unwrap();
    let field = |name: &str| fields.iter().find(|field| field["field"] == name).unwrap();
    assert_eq!(field("notes")["from_config"], true);
    assert_eq!(field("notes")["expression"], "'from ' ~ source.id");
    let last_name = field("lastName");
    assert_eq!(last_name["held"], "Changed");
    assert_ne!(last_name["held_then"], "Changed");
    assert_eq!(last_name["held_then"], last_name["desired"]);
    let ended = bed.run(&["explain", "donor2@example.org"]);
    assert!(ended.out.contains("changed outside"), "{}", ended.out);
    let ended = bed.run(&["explain", "donor3@example.org"]);
    assert!(!ended.out.contains("changed outside"), "{}", ended.out);
}

#[test]
fn the_rule_that_keeps_somebody_out_is_named() {
    let mut world = small_world();
    let mail = world.account_mut("mail");
    let donors = group_of(mail, "Donors", "donor", 2);
    let refuser = mail.contact_by_email("donor0@example.org").unwrap();
    mail.opt_out_of_group(donors, refuser);
    let bed = Bed::over(world);
    let ended = bed.run(&["explain", "donor0@example.org"]);
    ended.assert(0);
    for said in [
        "opted_out_at_target",
        "rule 1",
        "active at crm, opted_out at mail",
    ] {
        assert!(ended.out.contains(said), "{said}: {}", ended.out);
    }
    bed.sync();
    let ended = bed.run(&["explain", "donor0@example.org"]);
    assert!(ended.out.contains("refuses"), "{}", ended.out);
}

#[test]
fn a_person_is_found_by_the_address_that_is_remembered_and_by_either_id() {
    let bed = Bed::new();
    bed.sync();
    let ids = explained(&bed, "helper3@example.org")["people"][0]["links"][0].clone();
    bed.account("crm", |crm| {
        let record = crm.contact_by_email("helper3@example.org").unwrap();
        crm.change_address(record, "moved@example.org");
    });
    let (record, contact) = (
        ids["source"].as_str().unwrap(),
        ids["target"].as_str().unwrap(),
    );
    for what in [
        "helper3@example.org".to_owned(),
        "moved@example.org".to_owned(),
        format!("#{record}"),
        format!("##{contact}"),
    ] {
        let job = explained(&bed, &what);
        let people = job["people"].as_array().unwrap();
        assert_eq!(people.len(), 1, "{what}: {job:#}");
        let next = &people[0]["next"];
        assert_eq!(
            next["operations"][0]["op"], "change_address",
            "{what}: {next:#}"
        );
        assert_eq!(next["changes"][0]["before"], "helper3@example.org");
    }
}

#[test]
fn nobody_is_called_absent_who_was_not_looked_for() {
    let bed = Bed::new();
    let ended = bed.run(&["explain", "nobody@example.org"]);
    ended.assert(0);
    assert!(
        ended.out.contains("all of them were read to their end"),
        "{}",
        ended.out
    );
    assert!(
        ended.out.contains("is not known") || ended.out.contains("has nobody"),
        "{}",
        ended.out
    );
}

#[test]
fn a_group_is_explained_by_name_and_by_id() {
    let bed = Bed::new();
    bed.sync();
    let job = explained(&bed, "donors");
    let group = &job["groups"][0];
    assert_eq!(group["members"]["source"]["active"], 10);
    assert_eq!(group["members"]["target"]["active"], 10);
    assert_eq!(group["link"]["origin"], "created");
    let id = group["target_id"].as_str().unwrap();
    assert_eq!(explained(&bed, id)["groups"][0]["target_id"], id);
    let ended = bed.run(&["explain", "Donors"]);
    assert!(
        ended.out.contains("the next run changes nothing here"),
        "{}",
        ended.out
    );
    bed.run(&["explain", "Nobody's group", "--job", JOB])
        .assert(2);
}
