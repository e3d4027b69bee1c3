//! What the simulation found, each in its shortest form and with the seed that found it.

use crate::support::{bench, group_of, plain_world, tell};

/// Seed 181: of a second contact with the address only the bounce is read, because it is in no group.
#[tokio::test(start_paused = true)]
async fn simulation_story_a_twin_outside_of_all_groups_does_not_hide_the_profile() {
    let mut world = plain_world();
    let account = world.account_mut("crm");
    group_of(account, "News", "reader", 3);
    let bench = bench(world, "crm", "mail", "mode = \"managed\"\n[jobs.test.members]\nwhere = \"source.company != 'Internal'\"");
    bench.settle().await;
    bench.account("crm", |crm| {
        let person = crm.contact_by_email("reader0@example.org").unwrap();
        let twin = crm.add_person("Reader0@example.org", "", "");
        crm.bounce(twin);
        crm.change_contact(person, [("city", "Springfield")], []);
    });
    let report = bench.settle().await;
    assert!(report.blocked.is_empty(), "{}", tell(&report));
    let city = bench.account("mail", |mail| mail.contacts[&mail.contact_by_email("reader0@example.org").unwrap()].get("city").to_owned());
    assert_eq!(city, "Springfield");
}
