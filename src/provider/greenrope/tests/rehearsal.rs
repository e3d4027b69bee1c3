//! The adapter against the emulated service, which is stricter than the real one and records every
//! misuse.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use url::Url;

use super::super::{GreenRope, GreenRopeCredential, GreenRopeOptions};
use super::reading::read;
use crate::emulator::{
    Counted, Credentials, Emulator, Fault, FaultRule, GreenRopeQuirks, MembershipState as Emulated,
    Seed, Visibility, World,
};
use crate::http::{Account, AccountOptions, CallError, Transport};
use crate::model::{
    Existence, FieldType, GroupEdit, ItemOutcome, MemberEdit, MemberStatus, MemberValues,
    MembershipState, Reading, Record, Settlement, Value, Write,
};
use crate::provider::testing::Read;
use crate::provider::{ReadError, Role, Source, Target};

fn adapter(emulator: &Emulator, credentials: &Credentials, shared_access: bool) -> GreenRope {
    let base = Url::parse("https://emulator.test")
        .unwrap()
        .join(&credentials.base_path)
        .unwrap();
    let account = Account::new(AccountOptions::new(
        "crm",
        base,
        Transport::Local(emulator.router()),
    ));
    let options = GreenRopeOptions {
        account_id: credentials.account_id.clone(),
        email: credentials.email.clone(),
        credential: GreenRopeCredential::Password(SecretString::from(
            credentials.password.as_str(),
        )),
        shared_access,
        batch_cap: None,
    };
    GreenRope::new(options, account)
}

fn seeded(quirks: GreenRopeQuirks) -> (Emulator, GreenRope) {
    let mut world = World::seeded(&Seed {
        seed: 7,
        groups: 6,
        members: 120,
    });
    world.account_mut("crm").settings.greenrope = quirks;
    let emulator = Emulator::new(world);
    let credentials = emulator.with_world(|world| world.account("crm").credentials());
    let crm = adapter(&emulator, &credentials, false);
    (emulator, crm)
}

fn quirks() -> Vec<GreenRopeQuirks> {
    let plain = GreenRopeQuirks::default();
    vec![
        plain.clone(),
        GreenRopeQuirks::mixed(),
        GreenRopeQuirks {
            counted: Counted::NotOptedOut,
            ..plain.clone()
        },
        GreenRopeQuirks {
            counted: Counted::NotBounced,
            ..plain.clone()
        },
        GreenRopeQuirks {
            no_request_id: true,
            no_id_in_failed_items: true,
            strict_items: true,
            ..plain
        },
    ]
}

fn check_against_world(emulator: &Emulator, read: &Read) {
    emulator.with_world(|world| {
        let account = world.account("crm");
        let listed: BTreeSet<&String> = read.snapshot.listings.keys().collect();
        assert_eq!(listed.len(), account.groups.len());
        for (id, group) in &account.groups {
            let id = id.to_string();
            assert!(read.is_complete(&id), "{}: {}", group.name, read.why(&id));
            let expected: BTreeMap<String, bool> = group
                .members
                .iter()
                .map(|(contact, member)| (contact.to_string(), member.state == Emulated::OptedOut))
                .collect();
            let states = read
                .states(&id)
                .into_iter()
                .map(|(id, state)| (id, state == MembershipState::OptedOut))
                .collect();
            assert_eq!(expected, states, "{}", group.name);
        }
        for member in &read.snapshot.members {
            let id = read.names.text(member.id).parse().unwrap();
            let contact = account.contact(id).unwrap();
            let expected = match (contact.opted_out, contact.bounced) {
                (Some(_), _) => MemberStatus::OptedOut,
                (None, Some(_)) => MemberStatus::Bounced,
                (None, None) => MemberStatus::Active,
            };
            assert_eq!(member.status, expected, "contact {id}");
        }
    });
    assert!(matches!(read.snapshot.account_state, Reading::Complete(_)));
}

#[tokio::test(start_paused = true)]
async fn a_seeded_account_is_read_as_it_is() {
    for quirks in quirks() {
        let (emulator, crm) = seeded(quirks.clone());
        crm.open().await.unwrap();
        assert!(crm.custom_fields().await.unwrap().known);
        let source = read(&crm, Role::Source).await.unwrap();
        check_against_world(&emulator, &source);
        let target = read(&crm, Role::Target { wanted: &[] }).await.unwrap();
        check_against_world(&emulator, &target);
        assert_eq!(target.snapshot.existence, Existence::Whole);
        assert_eq!(
            target.shelf.0.len(),
            emulator.with_world(|world| world.account("crm").contacts.len())
        );
        assert!(read(&crm, Role::Check).await.unwrap().shelf.0.is_empty());
        assert_eq!(emulator.misuse(), [], "{quirks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_sees_a_part_proves_no_absence() {
    let (emulator, _) = seeded(GreenRopeQuirks::mixed());
    let credentials = emulator.with_world(|world| {
        let account = world.account("crm");
        account.credentials_for(account.logins.iter().find(|login| !login.owner).unwrap())
    });
    let crm = adapter(&emulator, &credentials, true);
    crm.open().await.unwrap();
    let target = read(&crm, Role::Target { wanted: &[] }).await.unwrap();
    assert_eq!(target.snapshot.existence, Existence::Unknown);
    assert_eq!(emulator.misuse(), []);
}

fn items(settlement: Settlement) -> Vec<ItemOutcome> {
    match settlement {
        Settlement::Items(items) => items,
        Settlement::Pending(_) => panic!("GreenRope never works on"),
    }
}

fn record(pairs: &[(&str, &str)]) -> Record {
    pairs
        .iter()
        .map(|(name, text)| ((*name).into(), Value::from(*text)))
        .collect()
}

fn id(outcome: &ItemOutcome) -> String {
    match outcome {
        ItemOutcome::Done { id: Some(id) } | ItemOutcome::Accepted { id: Some(id) } => id.clone(),
        other => panic!("no id: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_keeps_what_an_edit_does_not_name() {
    for (field, value) in [
        ("Name", "Friends"),
        ("GroupType", "Private"),
        ("EmailsSentFromName", ""),
        ("EmailsSentFromEmail", "post@example.org"),
        ("EmailPhysicalAddress", "2 Example Street"),
        ("EventsTimeZone", "America/Denver"),
    ] {
        let (emulator, crm) = seeded(GreenRopeQuirks::default());
        let before = emulator.with_world(|world| {
            let account = world.account_mut("crm");
            let id = account.add_group("Patrons");
            let group = account.group_mut(id);
            group.visibility = Visibility::Public;
            group.login_link = true;
            for (place, text) in [
                (&mut group.sender_name, "Society & Friends"),
                (&mut group.sender_email, "news@example.org"),
                (&mut group.postal_address, "1 Example Street"),
                (&mut group.time_zone, "America/Chicago"),
            ] {
                text.clone_into(place);
            }
            group.clone()
        });
        let edit = GroupEdit {
            id: before.id.to_string(),
            fields: record(&[(field, value)]),
            current: crm
                .group(&before.id.to_string())
                .await
                .unwrap()
                .unwrap()
                .wire,
        };
        let outcome = items(
            crm.send(&Write::EditGroups { edits: vec![edit] })
                .await
                .unwrap(),
        );
        assert_eq!(outcome, [ItemOutcome::Done { id: None }], "{field}");
        let id = before.id;
        let mut expected = before;
        match field {
            "Name" => value.clone_into(&mut expected.name),
            "GroupType" => expected.visibility = Visibility::Private,
            "EmailsSentFromName" => value.clone_into(&mut expected.sender_name),
            "EmailsSentFromEmail" => value.clone_into(&mut expected.sender_email),
            "EmailPhysicalAddress" => value.clone_into(&mut expected.postal_address),
            _ => value.clone_into(&mut expected.time_zone),
        }
        let mut after = emulator.with_world(|world| world.account("crm").groups[&id].clone());
        after.modified = expected.modified;
        assert_eq!(after, expected, "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_lives_from_creation_to_deletion() {
    for quirks in quirks() {
        let (emulator, crm) = seeded(quirks);
        let done = [ItemOutcome::Done { id: None }];
        let settings = [
            ("EmailsSentFromName", "Society & Friends"),
            ("EmailsSentFromEmail", "news@example.org"),
            ("EmailPhysicalAddress", "1 Example Street"),
            ("EventsTimeZone", "America/Chicago"),
        ];
        let create = Write::CreateGroup {
            name: "Böard \"2\"".into(),
            fields: record(&settings),
        };
        let group = id(&items(crm.send(&create).await.unwrap())[0]);
        assert!(
            matches!(crm.send(&create).await, Err(CallError::Refused { .. })),
            "names are unique"
        );
        let row = crm.group(&group).await.unwrap().unwrap();
        let mut expected = record(&settings);
        expected.extend(record(&[("Name", "Böard \"2\""), ("GroupType", "Hidden")]));
        for shown_only in ["IncludeLoginLink", "AccountNumber"] {
            expected.insert(shown_only.into(), row.wire[shown_only].clone());
        }
        assert_eq!(row.wire, expected);

        let edit = GroupEdit {
            id: group.clone(),
            fields: record(&[("Name", "Board"), ("GroupType", "Public")]),
            current: row.wire,
        };
        assert_eq!(
            items(
                crm.send(&Write::EditGroups { edits: vec![edit] })
                    .await
                    .unwrap()
            ),
            done
        );
        let row = crm.group(&group).await.unwrap().unwrap();
        assert_eq!(
            (&row.wire["Name"], &row.wire["GroupType"]),
            (&Value::from("Board"), &Value::from("Public"))
        );

        let field = Write::CreateCustomField {
            label: "Member & no.".into(),
            kind: FieldType::Text,
        };
        assert!(matches!(
            items(crm.send(&field).await.unwrap())[0],
            ItemOutcome::Done { .. }
        ));
        assert!(
            crm.custom_fields()
                .await
                .unwrap()
                .find("Member & no.")
                .is_some()
        );

        let existing = emulator.with_world(|world| {
            world
                .account("crm")
                .contacts
                .values()
                .find(|c| !c.email.is_empty())
                .unwrap()
                .clone()
        });
        let rows = vec![
            MemberValues {
                address: "new+1@example.org".into(),
                fields: record(&[
                    ("Firstname", "Zoë"),
                    ("Zip", "01234"),
                    ("custom.Member & no.", "a\nb"),
                ]),
            },
            MemberValues {
                address: existing.email.clone(),
                fields: Record::new(),
            },
        ];
        let created = items(
            crm.send(&Write::CreateMembers { rows, join: vec![] })
                .await
                .unwrap(),
        );
        let (new, known) = (id(&created[0]), id(&created[1]));
        assert_eq!(
            known,
            existing.id.to_string(),
            "whoever exists is found by the text of the error"
        );

        let add = Write::AddMemberships {
            group: group.clone(),
            members: vec![new.clone()],
        };
        assert_eq!(items(crm.send(&add).await.unwrap()), done);
        let edit = MemberEdit {
            id: new.clone(),
            address: String::new(),
            fields: record(&[("City", "Ulm"), ("Zip", "")]),
        };
        assert_eq!(
            items(
                crm.send(&Write::UpdateMembers { edits: vec![edit] })
                    .await
                    .unwrap()
            ),
            done
        );
        let change = Write::ChangeAddress {
            id: new.clone(),
            address: "new+2@example.org".into(),
        };
        assert_eq!(items(crm.send(&change).await.unwrap()), done);
        let check = read(&crm, Role::Source).await.unwrap();
        check_against_world(&emulator, &check);
        let profile = record(&[
            ("Contact_id", &new),
            ("Email", "new+2@example.org"),
            ("Firstname", "Zoë"),
            ("City", "Ulm"),
            ("custom.Member & no.", "a\nb"),
        ]);
        assert_eq!(check.shelf.0[&new], profile);

        assert_eq!(
            items(
                crm.send(&Write::OptOutOfAccount {
                    members: vec![new.clone()]
                })
                .await
                .unwrap()
            ),
            done
        );
        assert_eq!(
            read(&crm, Role::Source).await.unwrap().status(&new),
            MemberStatus::OptedOut
        );
        let remove = Write::RemoveMemberships {
            group: group.clone(),
            members: vec![new.clone()],
        };
        assert_eq!(items(crm.send(&remove).await.unwrap()), done);
        assert_eq!(
            items(
                crm.send(&Write::DeleteGroup { id: group.clone() })
                    .await
                    .unwrap()
            ),
            done
        );
        assert!(crm.group(&group).await.unwrap().is_none());
        assert_eq!(emulator.misuse(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn no_fault_of_the_service_reads_as_absence() {
    let faults = [
        Fault::HtmlWith200,
        Fault::EmptyBody,
        Fault::TruncatedBody,
        Fault::MissingList,
        Fault::WrongCount(1),
        Fault::WrongCount(-1),
    ];
    for fault in faults {
        let (emulator, crm) = seeded(GreenRopeQuirks::mixed());
        emulator.add_fault(FaultRule::every(fault.clone()).on("GetContacts"));
        match read(&crm, Role::Target { wanted: &[] }).await {
            Ok(read) => {
                for group in read.snapshot.listings.keys() {
                    assert!(!read.is_complete(group), "{fault:?} {group}");
                }
                assert!(
                    read.snapshot.account_state.complete().is_none(),
                    "{fault:?}"
                );
                assert_eq!(read.snapshot.existence, Existence::Unknown, "{fault:?}");
            }
            Err(ReadError::Call(error)) => assert!(error.is_temporary(), "{fault:?}: {error}"),
            Err(error) => panic!("{fault:?}: {error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_that_expire_are_renewed() {
    let (emulator, crm) = seeded(GreenRopeQuirks::mixed());
    crm.open().await.unwrap();
    emulator.expire_tokens();
    let source = read(&crm, Role::Source).await.unwrap();
    check_against_world(&emulator, &source);
    assert_eq!(emulator.misuse(), []);
}

#[tokio::test(start_paused = true)]
async fn a_bounce_of_one_group_explains_its_count() {
    let (emulator, crm) = seeded(GreenRopeQuirks {
        counted: Counted::NotBounced,
        ..GreenRopeQuirks::default()
    });
    let (group, contact) = emulator.with_world(|world| {
        let account = world.account_mut("crm");
        let active = |group: &crate::emulator::Group| {
            group
                .members
                .iter()
                .find(|(_, member)| member.state == Emulated::Active)
                .map(|(contact, _)| (group.id, *contact))
        };
        let (group, contact) = account.groups.values().find_map(active).unwrap();
        account.set_membership_state(group, contact, Emulated::Bounced);
        (group.to_string(), contact.to_string())
    });
    let source = read(&crm, Role::Source).await.unwrap();
    check_against_world(&emulator, &source);
    assert_eq!(source.states(&group)[&contact], MembershipState::Bounced);
    assert_eq!(emulator.misuse(), []);
}
