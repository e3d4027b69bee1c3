//! The adapter against the emulated service, which is stricter than the real one and records every
//! misuse.

use std::collections::{BTreeMap, BTreeSet};

use super::service::{adapter, id, read, record, sent};
use crate::emulator::{
    ActiveCampaignQuirks, Emulator, MembershipState as Emulated, Seed, Visibility, World,
};
use crate::model::{
    Existence, FieldType, GroupEdit, ItemOutcome, Leaving, MemberEdit, MemberJoin, MemberLeave,
    MemberReturn, MemberValues, OwnRemovals, Value, Write,
};
use crate::provider::activecampaign::wire::import::MOST_ROWS;
use crate::provider::activecampaign::{ActiveCampaign, ActiveCampaignGroups};
use crate::provider::testing::Read;
use crate::provider::{Role, Source};

pub(super) fn seeded(quirks: ActiveCampaignQuirks, members: usize) -> (Emulator, ActiveCampaign) {
    let mut world = World::seeded_all(
        "campaigns",
        &Seed {
            seed: 7,
            groups: 5,
            members,
        },
    );
    world.account_mut("campaigns").settings.activecampaign = quirks;
    let emulator = Emulator::new(world);
    let lists = with_key(&emulator, ActiveCampaignGroups::Lists);
    (emulator, lists)
}

pub(super) fn with_key(emulator: &Emulator, groups: ActiveCampaignGroups) -> ActiveCampaign {
    let (credentials, parking) = emulator.with_world(|world| {
        let account = world.account("campaigns");
        (account.credentials(), account.find_user_group("Parking"))
    });
    adapter(
        emulator.router(),
        &credentials.base_path,
        &credentials.token,
        groups,
        parking,
    )
}

fn quirks() -> Vec<ActiveCampaignQuirks> {
    let plain = ActiveCampaignQuirks::default();
    vec![
        plain.clone(),
        ActiveCampaignQuirks::mixed(),
        ActiveCampaignQuirks {
            no_include: true,
            ..plain
        },
    ]
}

pub(super) fn assert_no_misuse(emulator: &Emulator) {
    let misuse = emulator.misuse();
    assert!(misuse.is_empty(), "{misuse:#?}");
}

/// Shows what a list holds, as [`Read::listing`] does.
pub(super) fn held(emulator: &Emulator, list: &str) -> String {
    let word = |state: Emulated| match state {
        Emulated::Active => "active",
        Emulated::OptedOut => "opted_out",
        Emulated::Bounced => "bounced",
        Emulated::Unconfirmed => "unconfirmed",
    };
    emulator.with_world(|world| {
        let members = world.account("campaigns").members_of(list.parse().unwrap());
        let rows: BTreeMap<u64, &str> = members
            .into_iter()
            .map(|(contact, state)| (contact, word(state)))
            .collect();
        rows.iter()
            .map(|(id, state)| format!("{id}:{state}"))
            .collect::<Vec<_>>()
            .join(" ")
    })
}

fn assert_read_is_the_world(emulator: &Emulator, read: &Read) {
    let lists: Vec<String> = emulator.with_world(|world| {
        world
            .account("campaigns")
            .groups
            .keys()
            .map(ToString::to_string)
            .collect()
    });
    assert!(!lists.is_empty());
    for list in lists {
        assert_eq!(read.listing(&list), held(emulator, &list), "list {list}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_seeded_account_is_read_as_it_is() {
    for quirks in quirks() {
        let (emulator, lists) = seeded(quirks.clone(), 150);
        assert!(lists.custom_fields().await.unwrap().known);
        let source = read(&lists, &["email", "first_name", "custom.*"], Role::Source)
            .await
            .unwrap();
        assert_read_is_the_world(&emulator, &source);
        let target = read(
            &lists,
            &["email", "first_name"],
            Role::Target {
                wanted: &["zoe@example.org".to_owned()],
            },
        )
        .await
        .unwrap();
        assert_read_is_the_world(&emulator, &target);
        assert_eq!(target.snapshot.existence, Existence::Whole);
        let people = emulator.with_world(|world| world.account("campaigns").contacts.len());
        assert_eq!(target.snapshot.members.len(), people);
        let named = emulator.with_world(|world| {
            let account = world.account("campaigns");
            let person = account
                .contacts
                .values()
                .find(|c| !c.get("first_name").is_empty() && !account.groups_of(c.id).is_empty())
                .unwrap();
            (person.id.to_string(), person.get("first_name").to_owned())
        });
        assert_eq!(source.shelf.0[&named.0]["first_name"], Value::from(named.1));
        assert!(
            read(&lists, &["first_name"], Role::Check)
                .await
                .unwrap()
                .shelf
                .0
                .is_empty()
        );
        assert_no_misuse(&emulator);
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_list_of_a_large_account_is_read_alone() {
    let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 1200);
    let list = emulator.with_world(|world| {
        let account = world.account_mut("campaigns");
        let list = account.add_group("Few");
        let some: Vec<u64> = account.contacts.keys().copied().step_by(400).collect();
        account.join_all(list, some.clone());
        account.opt_out_of_group(list, some[1]);
        list.to_string()
    });
    let row = lists.group(&list).await.unwrap().unwrap();
    emulator.clear_log();
    let known = emulator.with_world(|world| {
        world
            .account("campaigns")
            .contacts
            .values()
            .nth(7)
            .unwrap()
            .email
            .clone()
    });
    let wanted = [
        "zoe@example.org".to_owned(),
        crate::model::normalise_address(&known).unwrap().to_string(),
    ];
    let target =
        super::service::read_groups(&lists, &[row], &["email"], Role::Target { wanted: &wanted })
            .await
            .unwrap();
    assert_eq!(target.listing(&list), held(&emulator, &list));
    assert_eq!(target.absent(), ["zoe@example.org"]);
    assert!(
        emulator.requests().len() <= 9,
        "{}",
        emulator.requests().len()
    );
    assert_no_misuse(&emulator);
}

fn sender() -> crate::model::Record {
    record(&[
        ("sender_name", "Example Society"),
        ("sender_addr1", "1 Example Street"),
        ("sender_city", "Springfield"),
        ("sender_zip", "01234"),
        ("sender_country", "USA"),
        ("sender_url", "https://www.example.org"),
        ("sender_reminder", "You signed up at www.example.org"),
    ])
}

#[tokio::test(start_paused = true)]
async fn a_list_lives_from_creation_to_deletion() {
    for quirks in quirks() {
        let (emulator, lists) = seeded(quirks, 60);
        let created = sent(
            &lists,
            &Write::CreateGroup {
                name: "Donors & friends".into(),
                fields: sender(),
            },
        )
        .await;
        assert!(
            matches!(created[0], ItemOutcome::Done { .. }),
            "{created:?}"
        );
        let list = id(&created[0]);
        let staff = emulator.with_world(|world| {
            let account = world.account_mut("campaigns");
            let staff = account.find_user_group("Campaign staff").unwrap();
            account.grant_list(staff, list.parse().unwrap(), true);
            staff
        });
        let current = lists.group(&list).await.unwrap().unwrap().wire;
        let edit = GroupEdit {
            id: list.clone(),
            fields: record(&[("name", "Donors"), ("sender_city", "Ulm")]),
            current,
        };
        let edited = sent(&lists, &Write::EditGroups { edits: vec![edit] }).await;
        assert!(matches!(edited[0], ItemOutcome::Done { .. }), "{edited:?}");
        let wire = lists.group(&list).await.unwrap().unwrap().wire;
        assert_eq!(
            (&wire["name"], &wire["sender_city"], &wire["sender_zip"]),
            (&"Donors".into(), &"Ulm".into(), &"01234".into())
        );
        assert!(emulator.with_world(|world| {
            world
                .account("campaigns")
                .user_group(staff)
                .unwrap()
                .lists
                .contains(&list.parse().unwrap())
        }));

        let field = sent(
            &lists,
            &Write::CreateCustomField {
                label: "Member since".into(),
                kind: FieldType::Text,
            },
        )
        .await;
        assert!(matches!(field[0], ItemOutcome::Done { .. }), "{field:?}");
        let custom = lists.custom_fields().await.unwrap();
        let tag = format!(
            "custom.{}",
            custom.find("Member since").unwrap().system_name
        );

        // Twelve people: eleven new ones, and one who exists and keeps their name.
        let known = emulator.with_world(|world| {
            let account = world.account("campaigns");
            let person = account.contacts.values().find(|person| {
                !person.get("first_name").is_empty() && account.groups_of(person.id).is_empty()
            });
            person
                .or(account.contacts.values().next())
                .cloned()
                .unwrap()
        });
        let wanted: Vec<String> = (0..11).map(|n| format!("new{n}@example.org")).collect();
        read(&lists, &[], Role::Target { wanted: &wanted })
            .await
            .unwrap();
        let fields = record(&[
            ("first_name", "Zoë"),
            ("phone", "0123"),
            (tag.as_str(), "1999"),
        ]);
        let mut rows: Vec<MemberValues> = wanted
            .iter()
            .map(|address| MemberValues {
                address: address.clone(),
                fields: fields.clone(),
            })
            .collect();
        rows.push(MemberValues {
            address: known.email.clone(),
            fields: fields.clone(),
        });
        let outcomes = sent(
            &lists,
            &Write::CreateMembers {
                rows,
                join: vec![list.clone()],
            },
        )
        .await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| *outcome == ItemOutcome::Accepted { id: None }),
            "{outcomes:?}"
        );
        let now = read(
            &lists,
            &["email", "first_name", "phone", &tag],
            Role::Source,
        )
        .await
        .unwrap();
        assert_read_is_the_world(&emulator, &now);
        assert_eq!(now.listing(&list).matches(":active").count(), 12);
        emulator.with_world(|world| {
            assert_eq!(
                world
                    .account("campaigns")
                    .contact(known.id)
                    .unwrap()
                    .get("first_name"),
                known.get("first_name")
            );
        });
        let people: Vec<(String, String)> = emulator.with_world(|world| {
            let account = world.account("campaigns");
            wanted
                .iter()
                .map(|address| {
                    (
                        account.contact_by_email(address).unwrap().to_string(),
                        address.clone(),
                    )
                })
                .collect()
        });
        let expected = record(&[
            ("email", &people[0].1),
            ("first_name", "Zoë"),
            ("phone", "0123"),
            (&tag, "1999"),
        ]);
        assert_eq!(now.shelf.0[&people[0].0], expected);

        // A few by forms, many by an import.
        for (range, text) in [(0..2, "Few"), (0..11, "Many")] {
            let edits: Vec<MemberEdit> = people[range]
                .iter()
                .map(|(id, address)| MemberEdit {
                    id: id.clone(),
                    address: address.clone(),
                    fields: record(&[("last_name", text)]),
                })
                .collect();
            let outcomes = sent(&lists, &Write::UpdateMembers { edits }).await;
            assert!(
                outcomes
                    .iter()
                    .all(|outcome| matches!(outcome, ItemOutcome::Accepted { .. })),
                "{outcomes:?}"
            );
            emulator.with_world(|world| {
                assert_eq!(
                    world
                        .account("campaigns")
                        .contact(people[1].0.parse().unwrap())
                        .unwrap()
                        .get("last_name"),
                    text
                );
            });
        }
        let clear = MemberEdit {
            id: people[1].0.clone(),
            address: people[1].1.clone(),
            fields: record(&[("last_name", "")]),
        };
        sent(&lists, &Write::UpdateMembers { edits: vec![clear] }).await;
        emulator.with_world(|world| {
            assert_eq!(
                world
                    .account("campaigns")
                    .contact(people[1].0.parse().unwrap())
                    .unwrap()
                    .get("last_name"),
                ""
            );
        });

        let moved = sent(
            &lists,
            &Write::ChangeAddress {
                id: people[0].0.clone(),
                address: "moved@example.org".into(),
            },
        )
        .await;
        assert_eq!(
            moved,
            [ItemOutcome::Done {
                id: Some(people[0].0.clone())
            }]
        );
        assert_eq!(
            read(&lists, &[], Role::Check)
                .await
                .unwrap()
                .listing(&list)
                .matches(":active")
                .count(),
            12,
            "no list was left by it"
        );

        let one = Write::OptOutOfGroups {
            member: people[1].0.clone(),
            groups: vec![list.clone()],
        };
        assert!(matches!(
            sent(&lists, &one).await[0],
            ItemOutcome::Accepted { .. }
        ));
        let few = Write::RemoveMemberships {
            group: list.clone(),
            members: people[2..4].iter().map(|(id, _)| id.clone()).collect(),
        };
        sent(&lists, &few).await;
        let now = read(&lists, &[], Role::Check).await.unwrap();
        assert_eq!(now.listing(&list), held(&emulator, &list));
        assert_eq!(now.listing(&list).matches(":opted_out").count(), 3);
        assert_no_misuse(&emulator);
        // Nobody who has left comes back by being added.
        let again = people
            .iter()
            .map(|(_, address)| address.clone())
            .skip(1)
            .map(|address| MemberJoin {
                id: None,
                address,
                fields: record(&[]),
                groups: vec![list.clone()],
            });
        let outcomes = sent(
            &lists,
            &Write::JoinGroups {
                rows: again.take(1).collect(),
            },
        )
        .await;
        assert_eq!(outcomes.len(), 1);
        assert_eq!(
            read(&lists, &[], Role::Check)
                .await
                .unwrap()
                .listing(&list)
                .matches(":opted_out")
                .count(),
            3
        );
        emulator.with_world(|world| {
            let mailed: BTreeSet<String> = world
                .account("campaigns")
                .mailed_by(list.parse().unwrap())
                .into_iter()
                .collect();
            assert!(!mailed.contains(&people[1].1));
        });
        let deleted = sent(&lists, &Write::DeleteGroup { id: list.clone() }).await;
        assert_eq!(deleted, [ItemOutcome::Accepted { id: None }]);
        tokio::time::sleep(std::time::Duration::from_mins(1)).await;
        assert!(lists.group(&list).await.unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn people_leave_by_row_each_from_lists_of_their_own() {
    let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 60);
    let (one, two) = emulator.with_world(|world| {
        let account = world.account_mut("campaigns");
        (
            account.add_group("One").to_string(),
            account.add_group("Two").to_string(),
        )
    });
    let join = |n: usize| MemberJoin {
        id: None,
        address: format!("new{n}@example.org"),
        fields: record(&[("first_name", "New")]),
        groups: if n.is_multiple_of(2) {
            vec![one.clone(), two.clone()]
        } else {
            vec![two.clone()]
        },
    };
    read(&lists, &[], Role::Target { wanted: &[] })
        .await
        .unwrap();
    emulator.clear_log();
    let outcomes = sent(
        &lists,
        &Write::JoinGroups {
            rows: (0..MOST_ROWS).map(join).collect(),
        },
    )
    .await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == ItemOutcome::Accepted { id: None })
    );
    let imports = emulator
        .requests()
        .iter()
        .filter(|request| request.operation.contains("bulk_import"))
        .count();
    assert_eq!(imports, 1, "one request, whatever the lists");
    let leave = |n: usize, groups: Vec<String>| {
        let address = format!("new{n}@example.org");
        let id = emulator.with_world(|world| {
            world
                .account("campaigns")
                .contact_by_email(&address)
                .unwrap()
                .to_string()
        });
        MemberLeave {
            id: Some(id),
            address,
            fields: record(&[]),
            groups,
        }
    };
    let rows: Vec<MemberLeave> = (0..12).map(|n| leave(n, vec![two.clone()])).collect();
    sent(
        &lists,
        &Write::LeaveGroups {
            rows,
            how: Leaving::OptOut,
        },
    )
    .await;
    let now = read(&lists, &[], Role::Check).await.unwrap();
    assert_eq!(now.listing(&two).matches(":opted_out").count(), 12);
    // Somebody who is on no list at all refuses one, and is barred from it by that.
    let stranger = MemberValues {
        address: "far@example.org".into(),
        fields: record(&[]),
    };
    let created = sent(
        &lists,
        &Write::CreateMembers {
            rows: vec![stranger],
            join: vec![],
        },
    )
    .await;
    assert_eq!(created, [ItemOutcome::Accepted { id: None }]);
    let far = emulator.with_world(|world| {
        world
            .account("campaigns")
            .contact_by_email("far@example.org")
            .unwrap()
            .to_string()
    });
    sent(
        &lists,
        &Write::OptOutOfGroups {
            member: far.clone(),
            groups: vec![one.clone(), two.clone()],
        },
    )
    .await;
    let now = read(&lists, &[], Role::Check).await.unwrap();
    assert!(
        [&one, &two]
            .into_iter()
            .all(|list| now.listing(list).contains(&format!("{far}:opted_out")))
    );
    assert_no_misuse(&emulator);
    // One of these is on another list as well, and one is not.
    let (with, without) = (leave(20, vec![one.clone()]), leave(21, vec![two.clone()]));
    let ids = (with.id.clone().unwrap(), without.id.clone().unwrap());
    let outcomes = sent(
        &lists,
        &Write::LeaveGroups {
            rows: vec![with, without],
            how: Leaving::Detach,
        },
    )
    .await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, ItemOutcome::Accepted { .. })),
        "{outcomes:?}"
    );
    let now = read(&lists, &[], Role::Check).await.unwrap();
    assert!(
        !format!(" {}", now.listing(&one)).contains(&format!(" {}:", ids.0)),
        "gone without a trace"
    );
    assert!(
        now.listing(&two).contains(&format!("{}:opted_out", ids.1)),
        "never deleted with the last list"
    );
    assert_eq!(held(&emulator, &two), now.listing(&two));
    // Whoever is found opted out already was not taken out by this.
    let outcomes = sent(
        &lists,
        &Write::LeaveGroups {
            rows: vec![leave(21, vec![two.clone()])],
            how: Leaving::Detach,
        },
    )
    .await;
    assert!(
        matches!(&outcomes[..], [ItemOutcome::Refused(_)]),
        "{outcomes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn only_what_rosterd_left_is_brought_back() {
    let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 60);
    let (list, people) = emulator.with_world(|world| {
        let account = world.account_mut("campaigns");
        let list = account.add_group("Back");
        let people: Vec<u64> = (0..4)
            .map(|n| account.add_person(&format!("back{n}@example.org"), "Ana", "Example"))
            .collect();
        account.join_all(list, people.iter().copied());
        (list.to_string(), people)
    });
    let leave = |n: usize| MemberLeave {
        id: Some(people[n].to_string()),
        address: format!("back{n}@example.org"),
        fields: record(&[]),
        groups: vec![list.clone()],
    };
    sent(
        &lists,
        &Write::LeaveGroups {
            rows: (0..3).map(leave).collect(),
            how: Leaving::Remove,
        },
    )
    .await;
    let shown = |n: usize| {
        emulator.with_world(|world| {
            let group = world
                .account("campaigns")
                .group(list.parse().unwrap())
                .unwrap();
            group.members[&people[n]]
                .changed
                .map(jiff::Timestamp::as_second)
        })
    };
    let mut own = OwnRemovals::default();
    for (n, person) in people.iter().enumerate() {
        own.recall(list.clone(), person.to_string(), shown(n), i64::MAX);
    }
    // One has clicked since, and one is on the list by their own hand.
    emulator.with_world(|world| {
        world.clock.advance(60);
        let account = world.account_mut("campaigns");
        account.refuse_group(list.parse().unwrap(), people[1]);
        account.join(list.parse().unwrap(), people[2]);
    });
    emulator.clear_log();
    let rows = (0..4)
        .map(|n| MemberReturn::of(own.get(&list, &people[n].to_string()).unwrap().clone()))
        .collect();
    let outcomes = sent(&lists, &Write::BringBack { rows }).await;
    let accepted: Vec<bool> = outcomes
        .iter()
        .map(|outcome| matches!(outcome, ItemOutcome::Accepted { .. }))
        .collect();
    assert_eq!(accepted, [true, false, true, true], "{outcomes:?}");
    assert!(
        matches!(&outcomes[1], ItemOutcome::Refused(refusal) if refusal.message.contains("as rosterd left it"))
    );
    let words: Vec<String> = [0, 1, 2, 3]
        .map(|n| {
            format!(
                "{}:{}",
                people[n],
                if n == 1 { "opted_out" } else { "active" }
            )
        })
        .into();
    assert_eq!(held(&emulator, &list), words.join(" "));
    assert_eq!(
        emulator
            .requests()
            .iter()
            .filter(|request| request.operation == "contact_sync")
            .count(),
        1,
        "one had to be written"
    );
    assert_no_misuse(&emulator);
}

#[tokio::test(start_paused = true)]
async fn two_who_take_somebody_off_two_lists_at_once_leave_the_person_in_the_account() {
    let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 10);
    let (one, two, person) = emulator.with_world(|world| {
        let account = world.account_mut("campaigns");
        let (one, two) = (account.add_group("One"), account.add_group("Two"));
        let person = account.add_person("lone@example.org", "Ana", "Example");
        account.join_all(one, [person]);
        account.join_all(two, [person]);
        (one.to_string(), two.to_string(), person.to_string())
    });
    let leave = |list: &str| {
        let row = MemberLeave {
            id: Some(person.clone()),
            address: "lone@example.org".into(),
            fields: record(&[]),
            groups: vec![list.to_owned()],
        };
        Write::LeaveGroups {
            rows: vec![row],
            how: Leaving::Detach,
        }
    };
    let (first, second) = (leave(&one), leave(&two));
    let (first, second) = tokio::join!(sent(&lists, &first), sent(&lists, &second));
    for outcomes in [first, second] {
        assert!(
            matches!(outcomes[0], ItemOutcome::Accepted { .. }),
            "{outcomes:?}"
        );
    }
    let now = read(&lists, &[], Role::Check).await.unwrap();
    assert_eq!(
        (now.listing(&one), now.listing(&two)),
        (String::new(), format!("{person}:opted_out"))
    );
    assert_no_misuse(&emulator);
}

#[tokio::test(start_paused = true)]
async fn a_list_keeps_what_an_edit_does_not_name() {
    for visibility in [Visibility::Private, Visibility::Public] {
        let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 10);
        let before = emulator.with_world(|world| {
            let account = world.account_mut("campaigns");
            let id = account.add_group("Patrons");
            let list = account.group_mut(id);
            list.visibility = visibility;
            "Society".clone_into(&mut list.sender_name);
            for name in [
                "sender_addr1",
                "sender_addr2",
                "sender_zip",
                "sender_city",
                "sender_state",
                "sender_country",
                "sender_phone",
                "sender_url",
                "sender_reminder",
                "stringid",
                "to_name",
            ] {
                list.settings.insert(name.to_owned(), format!("the {name}"));
            }
            for name in [
                "p_use_captcha",
                "get_unsubscribe_reason",
                "send_last_broadcast",
                "require_name",
                "p_use_twitter",
                "p_use_facebook",
            ] {
                list.settings.insert(name.to_owned(), "1".to_owned());
            }
            list.clone()
        });
        let id = before.id.to_string();
        for (field, value) in [("name", "Friends"), ("sender_addr2", "")] {
            let edit = GroupEdit {
                id: id.clone(),
                fields: record(&[(field, value)]),
                current: lists.group(&id).await.unwrap().unwrap().wire,
            };
            let outcome = sent(&lists, &Write::EditGroups { edits: vec![edit] }).await;
            assert!(
                matches!(outcome[0], ItemOutcome::Done { .. }),
                "{outcome:?}"
            );
        }
        let mut expected = before;
        "Friends".clone_into(&mut expected.name);
        expected.settings.remove("sender_addr2");
        let mut after =
            emulator.with_world(|world| world.account("campaigns").groups[&expected.id].clone());
        after.modified = expected.modified;
        assert_eq!(after, expected);
        assert_no_misuse(&emulator);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clearing_among_many_updates_is_not_lost() {
    let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 10);
    let people: Vec<(u64, String)> = emulator.with_world(|world| {
        let account = world.account_mut("campaigns");
        (0..12)
            .map(|number| {
                let email = format!("clear{number}@example.org");
                (account.add_person(&email, "Ana", "Silva"), email)
            })
            .collect()
    });
    let edits = people
        .iter()
        .enumerate()
        .map(|(at, (id, email))| MemberEdit {
            id: id.to_string(),
            address: email.clone(),
            fields: record(&[("first_name", if at == 5 { "" } else { "Bo" })]),
        })
        .collect();
    sent(&lists, &Write::UpdateMembers { edits }).await;
    emulator.with_world(|world| {
        let account = world.account("campaigns");
        for (at, (id, _)) in people.iter().enumerate() {
            let contact = account.contact(*id).unwrap();
            let expected = if at == 5 { "" } else { "Bo" };
            assert_eq!(contact.get("first_name"), expected, "{at}");
            assert_eq!(contact.get("last_name"), "Silva", "{at}");
        }
    });
}
