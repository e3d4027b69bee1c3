//! The adapter against the emulated service, which is stricter than the real one and records every
//! misuse.

use secrecy::SecretString;
use url::Url;

use super::account::read;
use crate::emulator::{
    Emulator, GroupKind, GroupStatus, Kind, MembershipState, Seed, Visibility, World,
};
use crate::http::{Account, AccountOptions, Transport};
use crate::model::{
    Existence, GroupEdit, ItemOutcome, MemberEdit, MemberValues, Record, Settlement, Value, Write,
};
use crate::provider::emfluence::{Emfluence, EmfluenceOptions};
use crate::provider::testing::Read;
use crate::provider::{Role, Source, Target};

fn adapter(emulator: &Emulator) -> Emfluence {
    adapter_of(emulator, 0)
}

/// Makes an adapter with the token of one of the account's logins.
fn adapter_of(emulator: &Emulator, login: usize) -> Emfluence {
    let credentials = emulator.with_world(|world| {
        let account = world.account("mail");
        account.credentials_for(&account.logins[login])
    });
    let base = Url::parse(&format!("http://localhost{}", credentials.base_path)).unwrap();
    let mut options = AccountOptions::new("mail", base, Transport::Local(emulator.router()));
    options.requests_per_minute = Some(100);
    let token = SecretString::from(credentials.token);
    Emfluence::new(
        EmfluenceOptions {
            access_token: token,
            fingerprint: None,
            neighbours: Vec::new(),
            batch_cap: None,
        },
        Account::new(options),
    )
}

/// Shows what the emulated account holds in a group, as [`Read::rows`] does.
fn held(emulator: &Emulator, group: u64) -> String {
    emulator.with_world(|world| {
        let group = &world.account("mail").groups[&group];
        let state = |state: MembershipState| {
            if state == MembershipState::OptedOut {
                "opted_out"
            } else {
                "active"
            }
        };
        // A search shows a dynamic group without its opt-outs.
        let dynamic = group.kind == GroupKind::Dynamic;
        let mut rows: Vec<String> = group
            .members
            .iter()
            .map(|(id, membership)| {
                format!(
                    "{id}:{}",
                    if dynamic {
                        "active"
                    } else {
                        state(membership.state)
                    }
                )
            })
            .collect();
        rows.sort();
        rows.join(" ")
    })
}

async fn sent(adapter: &Emfluence, write: Write) -> Vec<ItemOutcome> {
    match adapter.send(&write).await {
        Ok(Settlement::Items(outcomes)) => outcomes,
        other => panic!("{other:?}"),
    }
}

fn assert_no_misuse(emulator: &Emulator) {
    let misuse = emulator.misuse();
    assert!(misuse.is_empty(), "{misuse:?}");
}

fn assert_read_is_the_world(emulator: &Emulator, read: &Read) {
    let groups: Vec<u64> =
        emulator.with_world(|world| world.account("mail").groups.keys().copied().collect());
    for group in groups {
        assert_eq!(
            read.listing(&group.to_string()),
            held(emulator, group),
            "group {group}"
        );
    }
    assert!(
        read.account_problems().is_empty(),
        "{:?}",
        read.account_problems()
    );
    let mut barred: Vec<String> = emulator.with_world(|world| {
        let contacts = world
            .account("mail")
            .contacts
            .values()
            .filter(|contact| contact.opted_out.is_some() || contact.bounced.is_some());
        contacts
            .map(|contact| {
                format!(
                    "{}:{}",
                    contact.id,
                    if contact.opted_out.is_some() {
                        "OptedOut"
                    } else {
                        "Held"
                    }
                )
            })
            .collect()
    });
    barred.sort();
    assert_eq!(read.statuses(), barred.join(" "));
}

#[tokio::test(start_paused = true)]
async fn the_emulated_account_is_read_as_it_is() {
    for members in [60, 700] {
        let emulator = Emulator::new(World::seeded_in(
            "mail",
            &Seed {
                seed: 7,
                groups: 4,
                members,
            },
        ));
        let adapter = adapter(&emulator);
        adapter.open().await.unwrap();
        let custom = adapter.custom_fields().await.unwrap();
        assert!(custom.known && !custom.fields.is_empty());
        let custom = custom.fields.iter();
        let custom: Vec<String> = custom
            .map(|field| format!("custom.{}", field.system_name))
            .collect();
        let mut fields = vec!["firstName", "zipCode"];
        fields.extend(custom.iter().map(String::as_str));
        let source = read(&adapter, &fields, Role::Source).await.unwrap();
        assert_read_is_the_world(&emulator, &source);
        let with_custom = source
            .shelf
            .0
            .values()
            .filter(|record| record.keys().any(|name| name.starts_with("custom.")))
            .count();
        assert!(with_custom > 0, "custom fields come with the profiles");
        let wanted = ["nobody@example.org".to_owned()];
        let target = read(&adapter, &fields, Role::Target { wanted: &wanted })
            .await
            .unwrap();
        assert_read_is_the_world(&emulator, &target);
        assert_no_misuse(&emulator);
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_sees_a_part_proves_no_absence() {
    let emulator = Emulator::new(World::seeded_in(
        "mail",
        &Seed {
            seed: 7,
            groups: 6,
            members: 80,
        },
    ));
    let restricted = adapter_of(&emulator, 1);
    let wanted = ["nobody@example.org".to_owned()];
    let read = read(
        &restricted,
        &["firstName"],
        Role::Target { wanted: &wanted },
    )
    .await
    .unwrap();
    assert!(!read.snapshot.listings.is_empty());
    for (group, listing) in &read.snapshot.listings {
        let all = emulator.with_world(|world| {
            world.account("mail").groups[&group.parse::<u64>().unwrap()]
                .members
                .len()
        });
        assert_eq!(
            listing.complete().is_some(),
            listing.seen().rows.len() == all,
            "group {group}"
        );
    }
    assert!(
        read.snapshot
            .listings
            .values()
            .any(|listing| listing.complete().is_none())
    );
    assert!(!matches!(read.snapshot.existence, Existence::Whole));
    assert_no_misuse(&emulator);
}

#[tokio::test(start_paused = true)]
async fn the_emulated_account_takes_every_write() {
    let emulator = Emulator::new(World::seeded_in(
        "mail",
        &Seed {
            seed: 7,
            groups: 4,
            members: 40,
        },
    ));
    let adapter = adapter(&emulator);
    let record = |fields: &[(&str, Value)]| {
        fields
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()))
            .collect::<Record>()
    };

    let fields = record(&[
        ("groupName", "New donors".into()),
        ("externalID", "rosterd:crm:12".into()),
        ("protected", true.into()),
    ]);
    let outcome = sent(
        &adapter,
        Write::CreateGroup {
            name: "New donors".to_owned(),
            fields,
        },
    )
    .await;
    let [ItemOutcome::Done { id: Some(group) }] = outcome.as_slice() else {
        panic!("{outcome:?}")
    };
    let group = group.clone();
    let row = adapter.group(&group).await.unwrap().unwrap();
    assert_eq!(row.wire["externalID"], Value::from("rosterd:crm:12"));

    let edit = GroupEdit {
        id: group.clone(),
        fields: record(&[("friendlyName", "Friends".into())]),
        current: row.wire,
    };
    assert_eq!(
        sent(&adapter, Write::EditGroups { edits: vec![edit] }).await,
        [ItemOutcome::Done {
            id: Some(group.clone())
        }]
    );
    let row = adapter.group(&group).await.unwrap().unwrap();
    assert_eq!(
        (&row.wire["protected"], &row.wire["private"]),
        (&Value::Boolean(true), &Value::Boolean(true)),
        "an update resets nothing"
    );

    let person = |address: &str, fields: &[(&str, Value)]| MemberValues {
        address: address.to_owned(),
        fields: record(fields),
    };
    let rows = vec![
        person("new1@example.org", &[("firstName", "New".into())]),
        person("new2@example.org", &[]),
    ];
    let outcome = sent(
        &adapter,
        Write::CreateMembers {
            rows,
            join: vec![group.clone()],
        },
    )
    .await;
    let ids: Vec<String> = outcome
        .into_iter()
        .map(|outcome| match outcome {
            ItemOutcome::Accepted { id: Some(id) } => id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        held(&emulator, group.parse().unwrap()),
        format!("{}:active {}:active", ids[0], ids[1])
    );

    let edits = vec![MemberEdit {
        id: ids[1].clone(),
        address: "new2@example.org".to_owned(),
        fields: record(&[("zipCode", "00501".into())]),
    }];
    assert_eq!(
        sent(&adapter, Write::UpdateMembers { edits }).await,
        [ItemOutcome::Accepted {
            id: Some(ids[1].clone())
        }]
    );
    let change = Write::ChangeAddress {
        id: ids[1].clone(),
        address: "newer2@example.org".to_owned(),
    };
    assert_eq!(
        sent(&adapter, change).await,
        [ItemOutcome::Done {
            id: Some(ids[1].clone())
        }]
    );
    let taken = Write::ChangeAddress {
        id: ids[1].clone(),
        address: "new1@example.org".to_owned(),
    };
    assert!(
        adapter.send(&taken).await.is_err(),
        "somebody has that address"
    );

    let remove = Write::RemoveMemberships {
        group: group.clone(),
        members: vec![ids[1].clone()],
    };
    assert_eq!(
        sent(&adapter, remove).await,
        [ItemOutcome::Accepted {
            id: Some(ids[1].clone())
        }]
    );
    let add = Write::AddMemberships {
        group: group.clone(),
        members: vec![ids[1].clone()],
    };
    assert_eq!(
        sent(&adapter, add).await,
        [ItemOutcome::Accepted {
            id: Some(ids[1].clone())
        }]
    );
    let bar = Write::OptOutOfGroups {
        member: ids[0].clone(),
        groups: vec![group.clone()],
    };
    assert_eq!(
        sent(&adapter, bar).await,
        [ItemOutcome::Accepted { id: None }]
    );
    assert_eq!(
        held(&emulator, group.parse().unwrap()),
        format!("{}:opted_out {}:active", ids[0], ids[1])
    );
    let bar = Write::OptOutOfAccount {
        members: vec![ids[1].clone()],
    };
    assert_eq!(
        sent(&adapter, bar).await,
        [ItemOutcome::Done {
            id: Some(ids[1].clone())
        }]
    );
    let bar = Write::CreateOptedOut {
        address: "never@example.org".to_owned(),
    };
    assert!(matches!(
        sent(&adapter, bar).await.as_slice(),
        [ItemOutcome::Done { id: Some(_) }]
    ));

    let current = adapter.group(&group).await.unwrap().unwrap().wire;
    let archive = record(&[("protected", false.into()), ("status", "Archived".into())]);
    let lifted = GroupEdit {
        id: group.clone(),
        fields: record(&[("protected", false.into())]),
        current: current.clone(),
    };
    assert!(matches!(
        sent(
            &adapter,
            Write::EditGroups {
                edits: vec![lifted]
            }
        )
        .await
        .as_slice(),
        [ItemOutcome::Done { .. }]
    ));
    let archive = GroupEdit {
        id: group.clone(),
        fields: archive,
        current,
    };
    assert!(matches!(
        sent(
            &adapter,
            Write::EditGroups {
                edits: vec![archive]
            }
        )
        .await
        .as_slice(),
        [ItemOutcome::Done { .. }]
    ));
    let number: u64 = group.parse().unwrap();
    assert!(
        emulator.with_world(
            |world| world.account("mail").groups[&number].status == GroupStatus::Archived
        )
    );
    assert_eq!(
        sent(&adapter, Write::DeleteGroup { id: group.clone() }).await,
        [ItemOutcome::Accepted { id: None }]
    );
    assert_eq!(adapter.group(&group).await.unwrap(), None);
    assert_no_misuse(&emulator);
}

#[tokio::test(start_paused = true)]
async fn a_group_keeps_what_an_edit_does_not_name() {
    for (protected, visibility) in [
        (false, Visibility::Private),
        (true, Visibility::Private),
        (false, Visibility::Public),
        (true, Visibility::Public),
    ] {
        for (field, value) in [
            ("groupName", "Friends"),
            ("friendlyName", "Our friends"),
            ("description", ""),
            ("notes", "x"),
            ("externalID", "F-1"),
        ] {
            let mut world = World::empty();
            let mail = world.add_account(crate::emulator::Account::new(Kind::Emfluence, "mail", 1));
            mail.settings.emfluence.update_resets_flags = true;
            let id = mail.add_group("Donors");
            let group = mail.group_mut(id);
            (group.protected, group.visibility) = (protected, visibility);
            for (place, text) in [
                (&mut group.friendly_name, "Our donors"),
                (&mut group.description, "People who gave"),
                (&mut group.notes, "Fed from outside"),
                (&mut group.external_id, "D-7"),
            ] {
                text.clone_into(place);
            }
            group.user_ids = vec![3, 4];
            group.auto_response = Some(9001);
            let before = group.clone();
            let emulator = Emulator::new(world);
            let adapter = adapter(&emulator);
            let row = adapter.groups(&|_, _| true).await.unwrap().0;
            let row = row
                .into_iter()
                .find(|row| row.id == id.to_string())
                .unwrap();
            let edit = GroupEdit {
                id: id.to_string(),
                fields: Record::from([(field.into(), Value::from(value))]),
                current: row.wire,
            };
            let outcome = sent(&adapter, Write::EditGroups { edits: vec![edit] }).await;
            assert!(
                matches!(outcome[0], ItemOutcome::Done { .. }),
                "{outcome:?}"
            );
            let mut expected = before;
            let place = match field {
                "groupName" => &mut expected.name,
                "friendlyName" => &mut expected.friendly_name,
                "description" => &mut expected.description,
                "notes" => &mut expected.notes,
                _ => &mut expected.external_id,
            };
            value.clone_into(place);
            let mut after = emulator.with_world(|world| world.account("mail").groups[&id].clone());
            after.modified = expected.modified;
            assert_eq!(after, expected, "{field}");
        }
    }
}
