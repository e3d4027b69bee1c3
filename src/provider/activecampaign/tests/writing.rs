//! What each write sends, and what is done where its answer says too little.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::codec::fixture;
use super::emulated::{assert_no_misuse, seeded};
use super::service::{Asked, record, scripted, sent};
use crate::emulator::{ActiveCampaignQuirks, Fault, FaultRule, MembershipState, When};
use crate::http::CallError;
use crate::model::{
    FieldType, GroupEdit, ItemOutcome, Leaving, MemberEdit, MemberJoin, MemberLeave, MemberValues,
    Settlement, Ticket, Write,
};
use crate::provider::activecampaign::ActiveCampaignGroups;
use crate::provider::activecampaign::write::import::UNSEEN;
use crate::provider::{Role, Source, Target};

fn newcomers(count: usize) -> Vec<MemberValues> {
    (0..count)
        .map(|n| MemberValues {
            address: format!("new{n}@example.org"),
            fields: record(&[("first_name", "New")]),
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_lost_import_is_over_before_anything_is_read() {
    for fault in [
        Fault::ResetAfterEffect,
        Fault::TruncatedBody,
        Fault::EmptyBody,
        Fault::HtmlWith200,
    ] {
        let (emulator, lists) = seeded(
            ActiveCampaignQuirks {
                background_seconds: 30,
                ..ActiveCampaignQuirks::default()
            },
            20,
        );
        let list = emulator
            .with_world(|world| world.account_mut("campaigns").add_group("New").to_string());
        lists.open().await.unwrap();
        super::service::read(&lists, &[], Role::Target { wanted: &[] })
            .await
            .unwrap();
        emulator.add_fault(
            FaultRule::every(fault.clone())
                .on("POST /import/bulk_import")
                .when(When::First(1)),
        );
        let before = tokio::time::Instant::now();
        let error = lists
            .send(&Write::CreateMembers {
                rows: newcomers(12),
                join: vec![list.clone()],
            })
            .await
            .unwrap_err();
        assert!(error.may_have_been_done(), "{fault:?}: {error}");
        // The answer comes at once, so that a stop is heeded; whoever reads next waits.
        assert!(before.elapsed() < UNSEEN);
        let now = super::service::read(&lists, &[], Role::Check)
            .await
            .unwrap();
        assert!(before.elapsed() >= UNSEEN);
        let done = emulator.with_world(|world| {
            world
                .account("campaigns")
                .members_of(list.parse().unwrap())
                .len()
        });
        assert_eq!(
            now.listing(&list).matches(":active").count(),
            done,
            "what is read is all that will be"
        );
        assert_eq!(done, if fault == Fault::HtmlWith200 { 0 } else { 12 });
        assert_no_misuse(&emulator);
    }
}

#[tokio::test(start_paused = true)]
async fn an_import_that_nobody_waits_for_any_more_is_over_before_anything_is_read() {
    // Given up before its answer came, and after.
    for answered in [false, true] {
        let (emulator, lists) = seeded(
            ActiveCampaignQuirks {
                background_seconds: 40,
                ..ActiveCampaignQuirks::default()
            },
            20,
        );
        let list = emulator
            .with_world(|world| world.account_mut("campaigns").add_group("New").to_string());
        super::service::read(&lists, &[], Role::Target { wanted: &[] })
            .await
            .unwrap();
        let active = async || {
            let now = super::service::read(&lists, &[], Role::Check).await;
            now.unwrap().listing(&list).matches(":active").count()
        };
        if !answered {
            let slow = Fault::SlowAnswer(Duration::from_secs(30));
            emulator.add_fault(FaultRule::every(slow).on("POST /import/bulk_import"));
        }
        let write = Write::CreateMembers {
            rows: newcomers(12),
            join: vec![list.clone()],
        };
        let sent = tokio::time::timeout(Duration::from_secs(5), lists.send(&write)).await;
        assert_eq!(sent.is_ok(), answered);
        if answered {
            // Whoever holds the ticket waits for the import, and nobody else has to.
            assert_eq!(active().await, 0);
        }
        drop(sent);
        assert_eq!(active().await, 12, "answered: {answered}");
        assert_no_misuse(&emulator);
    }
}

#[tokio::test(start_paused = true)]
async fn imports_of_an_earlier_process_are_waited_for() {
    let (emulator, lists) = seeded(
        ActiveCampaignQuirks {
            background_seconds: 40,
            ..ActiveCampaignQuirks::default()
        },
        20,
    );
    let list =
        emulator.with_world(|world| world.account_mut("campaigns").add_group("New").to_string());
    let pending = lists
        .send(&Write::CreateMembers {
            rows: newcomers(12),
            join: vec![list.clone()],
        })
        .await
        .unwrap();
    let Settlement::Pending(ticket) = pending else {
        panic!("settled at once")
    };
    let next = super::emulated::with_key(&emulator, ActiveCampaignGroups::Lists);
    let target = super::service::read(&next, &[], Role::Target { wanted: &[] })
        .await
        .unwrap();
    assert_eq!(target.listing(&list).matches(":active").count(), 12);
    let lost = next.poll(&ticket).await.unwrap_err();
    assert!(lost.may_have_been_done(), "{lost}");
    assert!(
        matches!(lists.poll(&ticket).await.unwrap(), Settlement::Items(outcomes) if outcomes.len() == 12)
    );
    assert!(
        lists
            .poll(&Ticket::new("none"))
            .await
            .unwrap_err()
            .may_have_been_done()
    );
}

#[tokio::test(start_paused = true)]
async fn an_import_that_can_not_be_asked_after_is_of_unknown_outcome() {
    let (adapter, log) = scripted(ActiveCampaignGroups::Lists, |asked| {
        match (asked.call.as_str(), asked.body.is_empty()) {
            ("import/bulk_import", false) => (200, fixture!("good/import.json").to_vec()),
            ("import/bulk_import", true) => (200, fixture!("good/totals.json").to_vec()),
            ("import/info", _) => (404, b"{}".to_vec()),
            _ => (200, fixture!("broken/empty.json").to_vec()),
        }
    });
    let rows = (0..2).map(|n| MemberJoin {
        id: Some("7".into()),
        address: format!("p{n}@example.org"),
        fields: record(&[]),
        groups: vec!["3".into()],
    });
    let write = Write::JoinGroups {
        rows: rows.collect(),
    };
    let Settlement::Pending(ticket) = adapter.send(&write).await.unwrap() else {
        panic!("settled at once")
    };
    assert!(
        adapter
            .poll(&ticket)
            .await
            .unwrap_err()
            .may_have_been_done()
    );
    // The next import waits until nothing is outstanding.
    drop(adapter.send(&write).await.unwrap());
    let calls: Vec<String> = log
        .lock()
        .unwrap()
        .iter()
        .map(|asked| {
            format!(
                "{}{}",
                asked.call,
                if asked.body.is_empty() { "" } else { " +" }
            )
        })
        .collect();
    assert_eq!(
        calls,
        [
            "import/bulk_import +",
            "import/info",
            "import/bulk_import",
            "import/bulk_import +"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_import_stays_of_unknown_outcome_when_it_can_not_be_waited_for() {
    let (adapter, log) = scripted(ActiveCampaignGroups::Lists, |asked| {
        match (asked.call.as_str(), asked.body.is_empty()) {
            ("import/bulk_import", false) => (500, b"{}".to_vec()),
            ("import/bulk_import", true) => (404, b"{}".to_vec()),
            _ => (200, fixture!("broken/empty.json").to_vec()),
        }
    });
    let row = MemberJoin {
        id: Some("7".into()),
        address: "p@example.org".into(),
        fields: record(&[]),
        groups: vec!["3".into()],
    };
    let write = Write::JoinGroups { rows: vec![row] };
    let error = adapter.send(&write).await.unwrap_err();
    assert!(error.may_have_been_done(), "{error}");
    // Nothing else is queued while the doubt stands.
    let again = adapter.send(&write).await.unwrap_err();
    assert!(!again.may_have_been_done(), "{again}");
    let queued = log
        .lock()
        .unwrap()
        .iter()
        .filter(|asked| !asked.body.is_empty())
        .count();
    assert_eq!(queued, 1);
}

#[tokio::test(start_paused = true)]
async fn an_import_is_settled_row_by_row() {
    let check = |info: Json, expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|word| (*word).to_owned()).collect();
        async move {
            let (adapter, _) = scripted(ActiveCampaignGroups::Lists, move |asked| {
                match asked.call.as_str() {
                    "import/bulk_import" => (200, fixture!("good/import.json").to_vec()),
                    "import/info" => (200, info.to_string().into_bytes()),
                    _ => (200, fixture!("broken/empty.json").to_vec()),
                }
            });
            let rows = ["ana@example.org", "bad@example.org"].map(|address| MemberJoin {
                id: Some("7".into()),
                address: address.into(),
                fields: record(&[]),
                groups: vec!["3".into()],
            });
            let outcomes = sent(&adapter, &Write::JoinGroups { rows: rows.into() }).await;
            let words: Vec<&str> = outcomes
                .iter()
                .map(|outcome| match outcome {
                    ItemOutcome::Done { .. } => "done",
                    ItemOutcome::Accepted { .. } => "accepted",
                    ItemOutcome::Refused(_) => "refused",
                    ItemOutcome::Unknown => "unknown",
                })
                .collect();
            assert_eq!(words, expected);
        }
    };
    check(
        serde_json::from_slice(fixture!("good/import_done.json")).unwrap(),
        &["accepted", "refused"],
    )
    .await;
    check(
        json!({"status": "failed", "success": [], "failure": []}),
        &["unknown", "unknown"],
    )
    .await;
    check(json!({"status": "interrupted"}), &["unknown", "unknown"]).await;
    check(
        json!({"status": "completed", "success": ["9"], "failure": []}),
        &["accepted", "accepted"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_refused_as_a_whole_and_comes_in_halves() {
    let (adapter, log) = scripted(ActiveCampaignGroups::Lists, |asked| {
        match asked.call.as_str() {
            "import/bulk_import" => (400, fixture!("broken/import_refused.json").to_vec()),
            _ => (200, fixture!("broken/empty.json").to_vec()),
        }
    });
    let row = |n: usize, text: &str| MemberJoin {
        id: None,
        address: format!("p{n}@example.org"),
        fields: record(&[("first_name", text)]),
        groups: vec!["3".into()],
    };
    adapter.memory().known.whole = true;
    let refused = adapter
        .send(&Write::JoinGroups {
            rows: (0..3).map(|n| row(n, "x")).collect(),
        })
        .await
        .unwrap_err();
    assert!(matches!(refused, CallError::Refused { .. }));
    let sent = log.lock().unwrap().len();
    // Nothing of what is too long is sent at all.
    let long = "x".repeat(150_000);
    let refused = adapter
        .send(&Write::JoinGroups {
            rows: (0..3).map(|n| row(n, &long)).collect(),
        })
        .await
        .unwrap_err();
    assert!(matches!(refused, CallError::Refused { .. }));
    let alone = adapter
        .send(&Write::JoinGroups {
            rows: vec![row(0, &"x".repeat(400_000))],
        })
        .await
        .unwrap();
    assert!(
        matches!(alone, Settlement::Items(outcomes) if matches!(outcomes[0], ItemOutcome::Refused(_)))
    );
    let many = adapter
        .send(&Write::JoinGroups {
            rows: (0..251).map(|n| row(n, "x")).collect(),
        })
        .await
        .unwrap_err();
    assert!(matches!(many, CallError::Unsendable { .. }));
    let twice = adapter
        .send(&Write::JoinGroups {
            rows: vec![row(0, "x"), row(0, "y")],
        })
        .await
        .unwrap_err();
    assert!(matches!(twice, CallError::Unsendable { .. }));
    assert_eq!(log.lock().unwrap().len(), sent);
}

#[tokio::test(start_paused = true)]
async fn who_is_there_under_the_other_spelling_is_imported_by_it_and_keeps_the_profile() {
    let (adapter, log) = scripted(ActiveCampaignGroups::Lists, |asked| {
        let body = match asked.call.as_str() {
            "contact_view_email" if asked.parameters["email"] == "bo@bücher.test" => {
                fixture!("good/contact_view.json").to_vec()
            }
            "import/bulk_import" => fixture!("good/import.json").to_vec(),
            "user_me" => fixture!("good/user_view.json").to_vec(),
            _ => fixture!("broken/empty.json").to_vec(),
        };
        (200, body)
    });
    let row = MemberJoin {
        id: None,
        address: "bo@xn--bcher-kva.test".into(),
        fields: record(&[("first_name", "Bo")]),
        groups: vec!["3".into()],
    };
    let queued = adapter.send(&Write::JoinGroups { rows: vec![row] }).await;
    assert!(matches!(queued, Ok(Settlement::Pending(_))), "{queued:?}");
    let log = log.lock().unwrap();
    let import = log
        .iter()
        .find(|asked| asked.call == "import/bulk_import")
        .unwrap();
    let body: serde_json::Value = serde_json::from_str(&import.body).unwrap();
    let contact = &body["contacts"][0];
    assert_eq!(contact["email"], "bo@bücher.test");
    assert_eq!(contact.get("first_name"), None, "{contact}");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_cannot_be_looked_for_stops_no_other() {
    let (adapter, _) = scripted(ActiveCampaignGroups::Lists, |asked| {
        match asked.call.as_str() {
            "contact_view_email" if asked.parameters["email"] == "odd@example.org" => {
                (500, b"oops".to_vec())
            }
            "import/bulk_import" => (200, fixture!("good/import.json").to_vec()),
            "user_me" => (200, fixture!("good/user_view.json").to_vec()),
            _ => (200, fixture!("broken/empty.json").to_vec()),
        }
    });
    let join = |addresses: &[&str]| Write::JoinGroups {
        rows: addresses
            .iter()
            .map(|address| MemberJoin {
                id: None,
                address: (*address).to_owned(),
                fields: record(&[]),
                groups: vec!["3".into()],
            })
            .collect(),
    };
    for together in [
        &["ana@example.org", "odd@example.org"][..],
        &["odd@example.org"],
    ] {
        let refused = adapter.send(&join(together)).await;
        assert!(
            matches!(refused, Err(CallError::Refused { .. })),
            "it comes in halves, or fails alone: {refused:?}"
        );
    }
    let queued = adapter.send(&join(&["ana@example.org"])).await;
    assert!(matches!(queued, Ok(Settlement::Pending(_))), "{queued:?}");
}

#[tokio::test(start_paused = true)]
async fn each_of_two_contacts_of_one_address_leaves_by_its_own_spelling() {
    let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 20);
    let (list, [own, ascii]) = emulator.with_world(|world| {
        let account = world.account_mut("campaigns");
        let list = *account.groups.keys().next().unwrap();
        let contacts = ["twin@bücher.test", "twin@xn--bcher-kva.test"].map(|address| {
            let contact = account.add_person(address, "Twin", "Example");
            account.join(list, contact);
            contact
        });
        (list, contacts)
    });
    lists.open().await.unwrap();
    super::service::read(&lists, &[], Role::Target { wanted: &[] })
        .await
        .unwrap();
    for contact in [ascii, own] {
        let write = Write::OptOutOfGroups {
            member: contact.to_string(),
            groups: vec![list.to_string()],
        };
        let Settlement::Items(outcomes) = lists.send(&write).await.unwrap() else {
            panic!("nothing is imported")
        };
        assert!(
            !matches!(outcomes[0], ItemOutcome::Refused(_)),
            "{contact}: {outcomes:?}"
        );
        emulator.with_world(|world| {
            let state = world.account("campaigns").membership(list, contact);
            assert_eq!(state, Some(MembershipState::OptedOut), "{contact}");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_whose_answer_is_lost_still_gives_access_back() {
    for fault in [Fault::ResetAfterEffect, Fault::TruncatedBody] {
        let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 20);
        let (list, staff) = emulator.with_world(|world| {
            let account = world.account_mut("campaigns");
            let (list, staff) = (
                *account.groups.keys().next().unwrap(),
                account.find_user_group("Campaign staff").unwrap(),
            );
            account.grant_list(staff, list, true);
            (list, staff)
        });
        emulator.add_fault(FaultRule::every(fault).on("list_edit").when(When::First(1)));
        let current = lists.group(&list.to_string()).await.unwrap().unwrap().wire;
        let edit = GroupEdit {
            id: list.to_string(),
            fields: record(&[("name", "Other")]),
            current,
        };
        let error = lists
            .send(&Write::EditGroups { edits: vec![edit] })
            .await
            .unwrap_err();
        assert!(error.may_have_been_done());
        assert!(emulator.with_world(|world| {
            world
                .account("campaigns")
                .user_group(staff)
                .unwrap()
                .lists
                .contains(&list)
        }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_a_sender_is_not_even_tried() {
    let (adapter, log) = scripted(ActiveCampaignGroups::Lists, |_| {
        (200, fixture!("good/list_add.json").to_vec())
    });
    let outcome = sent(
        &adapter,
        &Write::CreateGroup {
            name: "Donors".into(),
            fields: record(&[("sender_name", "Example")]),
        },
    )
    .await;
    assert!(
        matches!(&outcome[0], ItemOutcome::Refused(refusal) if refusal.message.contains("sender_addr1, sender_zip"))
    );
    assert!(log.lock().unwrap().is_empty());
}

/// Answers everything favourably, as if each contact were an active member of lists 1 to 9.
fn agreeable(asked: &Asked) -> (u16, Vec<u8>) {
    let contact = asked
        .parameters
        .get("id")
        .cloned()
        .unwrap_or_else(|| "7".to_owned());
    let lists: serde_json::Map<String, Json> = (1..9)
        .map(|list| {
            (
                list.to_string(),
                json!({"listid": list.to_string(), "status": "1"}),
            )
        })
        .collect();
    let answer = match asked.call.as_str() {
        "fields" => serde_json::from_slice(fixture!("good/fields.json")).unwrap(),
        "import/bulk_import" if asked.body.is_empty() => {
            serde_json::from_slice(fixture!("good/totals.json")).unwrap()
        }
        "import/bulk_import" => serde_json::from_slice(fixture!("good/import.json")).unwrap(),
        "import/info" => json!({"status": "completed", "success": [], "failure": []}),
        "list_view" => serde_json::from_slice(fixture!("good/list_view.json")).unwrap(),
        "listGroups" => json!({"listGroup": {"id": "1"}}),
        "contact_view_email" => serde_json::from_slice(fixture!("broken/empty.json")).unwrap(),
        _ => {
            json!({"id": contact, "subscriber_id": contact, "email": format!("p{contact}@example.org"), "lists": lists, "result_code": 1, "result_message": "x"})
        }
    };
    (200, answer.to_string().into_bytes())
}

/// Finds anything in a request that could subscribe somebody again, start an automation or change
/// other lists.
fn harms(asked: &Asked) -> Option<String> {
    if asked.call == "import/bulk_import" && !asked.body.is_empty() {
        let body: Json = serde_json::from_str(&asked.body).unwrap();
        let known = [
            "email",
            "first_name",
            "last_name",
            "phone",
            "customer_acct_name",
            "fields",
            "subscribe",
            "unsubscribe",
            "exclude_automations",
        ];
        let sound = |contact: &Json| {
            contact["exclude_automations"] == json!(true)
                && contact
                    .as_object()
                    .unwrap()
                    .keys()
                    .all(|key| known.contains(&key.as_str()))
        };
        return (!body["contacts"].as_array().unwrap().iter().all(sound))
            .then(|| asked.body.clone());
    }
    if asked.call == "contactLists" || asked.call == "contact/sync" || asked.call == "contact_add" {
        return Some(asked.call.clone());
    }
    if asked.call == "contact_edit"
        && asked.parameters.get("overwrite").map(String::as_str) != Some("0")
    {
        return Some("contact_edit without overwrite=0".to_owned());
    }
    if asked.call.starts_with("contact_delete")
        && !asked
            .parameters
            .keys()
            .any(|name| name.starts_with("listids["))
    {
        return Some("a contact would be deleted".to_owned());
    }
    if asked.call.starts_with("list_") {
        return None;
    }
    asked.parameters.iter().find_map(|(name, value)| {
        let list = name
            .strip_prefix("p[")
            .and_then(|name| name.strip_suffix(']'));
        let bad = match list {
            Some(list) => {
                value != list
                    || asked
                        .parameters
                        .get(&format!("status[{list}]"))
                        .map(String::as_str)
                        != Some("2")
            }
            None if name.starts_with("status") => value != "2",
            None => [
                "instantresponders",
                "noresponders",
                "lastmessage",
                "sendoptout",
                "form",
                "sdate",
            ]
            .iter()
            .any(|word| name.starts_with(word)),
        };
        bad.then(|| format!("{name}={value}"))
    })
}

fn any_write() -> impl Strategy<Value = Write> {
    let id = || (1..9_u64).prop_map(|id| id.to_string());
    let ids = || {
        proptest::collection::btree_set(1..9_u64, 1..4)
            .prop_map(|ids| ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>())
    };
    let fields = || {
        let texts = [
            ("first_name", "x"),
            ("status", "1"),
            ("status[3]", "1"),
            ("p[3]", "3"),
            ("custom.LEVEL", "y"),
            ("subscribe", "3"),
            ("form", "1"),
        ];
        proptest::sample::subsequence(texts.to_vec(), 0..texts.len())
            .prop_map(|texts| record(&texts))
    };
    let leave = |how| {
        (ids(), ids()).prop_map(move |(people, groups)| Write::LeaveGroups {
            rows: people
                .into_iter()
                .map(|id| MemberLeave {
                    address: format!("p{id}@example.org"),
                    id: Some(id),
                    fields: record(&[]),
                    groups: groups.clone(),
                })
                .collect(),
            how,
        })
    };
    prop_oneof![
        (id(), fields()).prop_map(|(id, fields)| Write::UpdateMembers {
            edits: vec![MemberEdit {
                address: format!("p{id}@example.org"),
                id,
                fields
            }]
        }),
        (10..20_usize, fields()).prop_map(|(count, fields)| Write::UpdateMembers {
            edits: (0..count)
                .map(|n| MemberEdit {
                    id: n.to_string(),
                    address: format!("p{n}@example.org"),
                    fields: fields.clone()
                })
                .collect()
        }),
        id().prop_map(|id| Write::ChangeAddress {
            id,
            address: "new@example.org".into()
        }),
        (ids(), fields()).prop_map(|(join, fields)| Write::CreateMembers {
            rows: vec![MemberValues {
                address: "new@example.org".into(),
                fields
            }],
            join
        }),
        (ids(), fields()).prop_map(|(groups, fields)| Write::JoinGroups {
            rows: vec![MemberJoin {
                id: None,
                address: "new@example.org".into(),
                fields,
                groups
            }]
        }),
        (id(), ids()).prop_map(|(group, members)| Write::AddMemberships { group, members }),
        (id(), ids()).prop_map(|(group, members)| Write::RemoveMemberships { group, members }),
        (id(), ids()).prop_map(|(member, groups)| Write::OptOutOfGroups { member, groups }),
        leave(Leaving::OptOut),
        leave(Leaving::Remove),
        leave(Leaving::Detach),
        id().prop_map(|id| Write::OptOutOfAccount { members: vec![id] }),
        Just(Write::CreateOptedOut {
            address: "new@example.org".into()
        }),
        Just(Write::CreateCustomField {
            label: "Level".into(),
            kind: FieldType::Text
        }),
        fields().prop_map(|fields| Write::EditGroups {
            edits: vec![GroupEdit {
                id: "1".into(),
                current: record(&[]),
                fields
            }]
        }),
    ]
}

proptest! {
    #![proptest_config(crate::testing::cases(96))]
    #[test]
    fn rule_1_no_write_can_subscribe_anybody_again(write in any_write()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (adapter, log) = scripted(ActiveCampaignGroups::Lists, agreeable);
        drop(runtime.block_on(adapter.send(&write)));
        for asked in log.lock().unwrap().iter() {
            prop_assert_eq!(harms(asked), None, "{:?}", write);
        }
    }
}
