//! Every ordered pair of the four kinds of provider works with no `map` at all, and says what the
//! target can't hold.

use rosterd::emulator::{UserGroup, World};
use rosterd::model::ProviderKind;

use crate::support::{Bench, bench, group_of, operations, plain_world};

/// The provider of a kind in the plain world; of each kind there is a second one, so that it can be
/// paired with itself.
fn provider(kind: ProviderKind, second: bool) -> String {
    let name = match kind {
        ProviderKind::Emfluence => "mail",
        ProviderKind::GreenRope => "crm",
        ProviderKind::ActiveCampaignLists => "campaigns",
        ProviderKind::ActiveCampaignUsers => "staff",
    };
    format!("{name}{}", if second { "2" } else { "" })
}

/// A world with a group "Donors" of two at the first provider of a kind, with values that few
/// others can hold.
fn world(kind: ProviderKind) -> World {
    let mut world = plain_world();
    if kind == ProviderKind::ActiveCampaignUsers {
        let account = world.account_mut("campaigns");
        let group = account.add_user_group("Donors");
        account
            .user_group_mut(group)
            .permissions
            .insert("pg_list_add".to_owned());
        account.user_group_mut(group).lists.insert(4711);
        for name in ["ana", "bo"] {
            let user = account.add_user(name, &format!("{name}@example.org"), group);
            account.user_mut(user).first_name = "Ana".into();
            account.user_mut(user).last_name = "Example".into();
        }
    } else {
        let account = world.account_mut(&provider(kind, false));
        let group = group_of(account, "Donors", "donor", 2);
        let group = account.group_mut(group);
        group.notes = "Since 1999".into();
        group.description = "They give".into();
        group.sender_email = "donors@example.org".into();
        group.sender_name = "The donors' desk".into();
    }
    world
}

fn pair(source: ProviderKind, target: ProviderKind) -> Bench {
    let contacts = source == ProviderKind::ActiveCampaignUsers && target != source;
    let job = if contacts {
        "users_as_contacts = true"
    } else {
        ""
    };
    bench(
        world(source),
        &provider(source, false),
        &provider(target, true),
        job,
    )
}

#[tokio::test(start_paused = true)]
async fn every_pair_is_planned_without_a_map() {
    let mut lines = Vec::new();
    for source in ProviderKind::ALL {
        for target in ProviderKind::ALL {
            let bench = pair(source, target);
            let planned = bench.plan().await;
            let place = format!("{} to {}", source.full_title(), target.full_title());
            let operations = operations(&planned);
            assert!(
                operations
                    .iter()
                    .any(|line| line == "create_group \"Donors\""),
                "{place}: {operations:?}"
            );
            assert!(
                planned.plan.blocked.is_empty(),
                "{place}: {:?}",
                planned.plan.blocked
            );
            let losses: Vec<String> = planned
                .plan
                .losses
                .iter()
                .map(|loss| format!("{} {}", loss.object, loss.field))
                .collect();
            lines.push(format!("{place}: {}", losses.join(", ")));
            bench.assert_no_misuse();
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    emfluence to emfluence: 
    emfluence to GreenRope: group description, group display_name, group notes
    emfluence to ActiveCampaign lists: group description, group display_name, group notes
    emfluence to ActiveCampaign user groups: group display_name, group notes, group visibility
    GreenRope to emfluence: group sender_email, group sender_name, group time_zone
    GreenRope to GreenRope: 
    GreenRope to ActiveCampaign lists: group sender_email, group time_zone
    GreenRope to ActiveCampaign user groups: group sender_email, group sender_name, group time_zone, group visibility
    ActiveCampaign lists to emfluence: group postal_address, group sender_addr1, group sender_city, group sender_country, group sender_name, group sender_reminder, group sender_url, group sender_zip, group to_name
    ActiveCampaign lists to GreenRope: group sender_addr1, group sender_city, group sender_country, group sender_reminder, group sender_url, group sender_zip, group to_name
    ActiveCampaign lists to ActiveCampaign lists: 
    ActiveCampaign lists to ActiveCampaign user groups: group postal_address, group sender_addr1, group sender_city, group sender_country, group sender_name, group sender_reminder, group sender_url, group sender_zip, group to_name, group visibility
    ActiveCampaign user groups to emfluence: group lists, group permissions, group settings, member username
    ActiveCampaign user groups to GreenRope: group lists, group permissions, group settings, member username
    ActiveCampaign user groups to ActiveCampaign lists: group lists, group permissions, group settings, member username
    ActiveCampaign user groups to ActiveCampaign user groups: group lists, group permissions, group settings, member username
    ");
}

/// What only one service has of a person, by the names of the emulated world.
const OWN: [(&str, &[&str]); 2] = [
    (
        "mail",
        &["external_id", "memo", "original_source", "birth_date"],
    ),
    (
        "crm",
        &[
            "website",
            "gender",
            "hometown",
            "height",
            "weight",
            "skills",
            "bio",
            "birth_date",
        ],
    ),
];

#[tokio::test(start_paused = true)]
async fn a_move_to_another_account_of_the_kind_loses_nothing_of_a_person() {
    for (source, fields) in OWN {
        let value = |field: &str| {
            if field == "birth_date" {
                "1980-02-29".to_owned()
            } else {
                format!("Her {field}")
            }
        };
        let mut world = plain_world();
        let account = world.account_mut(source);
        group_of(account, "Donors", "donor", 3);
        for address in ["donor0@example.org", "donor1@example.org"] {
            let contact = account.contact_by_email(address).unwrap();
            let profile = &mut account.contacts.get_mut(&contact).unwrap().profile;
            profile.extend(
                fields
                    .iter()
                    .map(|field| ((*field).to_owned(), value(field))),
            );
        }
        // Somebody is there already, with a word of their own in one field.
        let target = format!("{source}2");
        let known = world
            .account_mut(&target)
            .add_person("donor1@example.org", "Bo", "Example");
        world
            .account_mut(&target)
            .contacts
            .get_mut(&known)
            .unwrap()
            .profile
            .insert(fields[1].to_owned(), "Kept".to_owned());
        let bench = bench(world, source, &target, "mode = \"managed\"");
        let planned = bench.plan().await;
        assert!(
            planned.plan.losses.is_empty(),
            "{source}: {:?}",
            planned.plan.losses
        );
        bench.settle().await;
        let held = |address: &str| {
            bench.account(&target, |account| {
                account.contacts[&account.contact_by_email(address).unwrap()]
                    .profile
                    .to_map()
            })
        };
        for field in fields {
            assert_eq!(
                held("donor0@example.org").get(*field),
                Some(&value(field)),
                "{source}: {field}"
            );
            let expected = if *field == fields[1] {
                "Kept".to_owned()
            } else {
                value(field)
            };
            assert_eq!(
                held("donor1@example.org").get(*field),
                Some(&expected),
                "{source}: {field}"
            );
            assert_eq!(
                held("donor2@example.org").get(*field),
                None,
                "{source}: {field}"
            );
        }
        // A later change follows, and so does taking it away.
        let change = |text: &str| {
            bench.account(source, |account| {
                let contact = account.contact_by_email("donor0@example.org").unwrap();
                account
                    .contacts
                    .get_mut(&contact)
                    .unwrap()
                    .profile
                    .insert(fields[2].to_owned(), text.to_owned());
            });
        };
        for text in ["Anew", ""] {
            change(text);
            bench.settle().await;
            assert_eq!(
                held("donor0@example.org")
                    .get(fields[2])
                    .map_or("", String::as_str),
                text,
                "{source}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lists_and_user_groups_of_an_account_are_logged_into_alike() {
    let bench = pair(
        ProviderKind::ActiveCampaignUsers,
        ProviderKind::ActiveCampaignLists,
    );
    let runner = bench.runner();
    for (provider, groups) in [
        ("campaigns", 0),
        ("staff", 3),
        ("campaigns2", 0),
        ("staff2", 2),
    ] {
        let report = runner
            .check_online(provider)
            .await
            .unwrap_or_else(|error| panic!("{provider}: {error}"));
        assert_eq!(
            (report.groups, report.doubts.as_slice()),
            (groups, &[][..]),
            "{provider}"
        );
    }
}

/// A job that makes the user group "Donors" of an empty group, with lines that map its fields.
async fn made(source: ProviderKind, map: &str) -> UserGroup {
    let mut world = world(source);
    if source == ProviderKind::ActiveCampaignUsers {
        let account = world.account_mut("campaigns");
        let group = account.find_user_group("Donors").unwrap();
        account
            .users_in(group)
            .into_iter()
            .for_each(|user| account.delete_user(user));
    } else {
        let account = world.account_mut(&provider(source, false));
        let group = account.find_group("Donors").unwrap();
        account.group_mut(group).members.clear();
    }
    let lists: Vec<String> = ["News", "Events"]
        .map(|name| world.account_mut("campaigns2").add_group(name).to_string())
        .into();
    let map = map.replace("EVENTS", &lists[1]).replace("NEWS", &lists[0]);
    let bench = bench(
        world,
        &provider(source, false),
        "staff2",
        &format!("[jobs.test.map.group]\n{map}"),
    );
    bench.settle().await;
    bench.account("campaigns2", |account| {
        account
            .user_group(account.find_user_group("Donors").unwrap())
            .unwrap()
            .clone()
    })
}

#[tokio::test(start_paused = true)]
async fn a_new_user_group_may_do_nothing_that_the_map_does_not_grant() {
    for source in ProviderKind::ALL {
        let group = made(source, "").await;
        assert!(
            group.permissions.is_empty(),
            "{source}: {:?}",
            group.permissions
        );
        assert!(
            group.limits.is_empty() && group.lists.is_empty() && !group.unsubscribe_link,
            "{source}: {group:?}"
        );
    }
    let map = "pg_list_add = \"true\"\npg_user_delete = \"source.name == 'Staff'\"\nlimit_mail = \"1000\"\nlimit_mail_type = \"'year'\"\nlimit_user = \"0\"\nlists = \"['EVENTS', 'NEWS', 'EVENTS']\"\nunsubscribelink = \"true\"\nabuseratio = \"2\"";
    let group = made(ProviderKind::Emfluence, map).await;
    assert_eq!(
        group
            .permissions
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ["pg_list_add"]
    );
    assert_eq!(
        group.limits.keys().map(String::as_str).collect::<Vec<_>>(),
        ["mail"],
        "a limit of nothing is no limit"
    );
    assert_eq!(
        (
            group.limits["mail"].quantity,
            group.limits["mail"].per.as_str()
        ),
        (1000, "year")
    );
    assert_eq!(group.lists.len(), 2);
    assert_eq!((group.unsubscribe_link, group.abuse_ratio), (true, 2));
    let group = made(
        ProviderKind::ActiveCampaignUsers,
        "pg_list_add = \"source.permissions.list_add\"",
    )
    .await;
    assert_eq!(
        group.permissions.into_iter().collect::<Vec<_>>(),
        ["pg_list_add"]
    );
}
