//! What a plan says of what people changed at the target since the last run, at each kind of
//! provider.

use rosterd::report::{write_plan_json, write_plan_text};
use rosterd::run::Planned;

use crate::support::{Bench, bench, group_of, plain_world};

/// The rows of a plan about changes outside, without their values.
fn rows(planned: &Planned) -> Vec<String> {
    let mut json = Vec::new();
    write_plan_json(&mut json, planned).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let mut text = Vec::new();
    write_plan_text(&mut text, planned, true).unwrap();
    let text = String::from_utf8(text).unwrap();
    let rows = document["changed_outside"].as_array().unwrap();
    assert_eq!(document["summary"]["changed_outside"], rows.len(), "{text}");
    let lines = text
        .lines()
        .filter(|line| line.ends_with(": is overwritten") || line.ends_with(": is added again"));
    assert_eq!(lines.count(), rows.len(), "{text}");
    let told = rows.iter().map(|row| {
        let words = ["what", "group", "member"].map(|key| row[key].as_str().unwrap_or_default());
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        words.join(" ")
    });
    told.collect()
}

async fn settled(source: &str, target: &str) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut(source), "One", "one", 4);
    let bench = bench(world, source, target, "mode = \"managed\"");
    bench.settle().await;
    bench
}

#[tokio::test(start_paused = true)]
async fn what_people_change_at_a_target_of_any_kind_is_told_until_it_is_undone() {
    for (source, target) in [("crm", "mail"), ("mail", "crm"), ("mail", "campaigns")] {
        let bench = settled(source, target).await;
        let plan = bench.plan().await;
        assert_eq!(rows(&plan), [""; 0], "{target} spells some of it otherwise");
        bench.account(target, |account| {
            let group = account.find_group("One").unwrap();
            account.rename_group(group, "By hand");
            let contact = account.contact_by_email("one2@example.org").unwrap();
            account.change_contact(contact, [("last_name", "By hand")], []);
            let contact = account.contact_by_email("one3@example.org").unwrap();
            account.end_membership(group, contact);
        });
        let plan = bench.plan().await;
        assert_eq!(
            rows(&plan),
            [
                "group One",
                "member one2@example.org",
                "membership One one3@example.org"
            ],
            "{target}"
        );
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{target}");
        assert_eq!(rows(&bench.plan().await), [""; 0], "{target}");
        // What changed at the source alone was nobody's doing at the target.
        bench.account(source, |account| {
            let contact = account.contact_by_email("one1@example.org").unwrap();
            account.change_contact(contact, [("last_name", "Married")], []);
        });
        let plan = bench.plan().await;
        assert_eq!(plan.plan.operations.len(), 1, "{target}");
        assert_eq!(rows(&plan), [""; 0], "{target}");
    }
}
