//! Asking after named contacts, against the emulated service and against scripted answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::emulated::{assert_no_misuse, seeded, with_key};
use super::service::scripted;
use crate::emulator::{ActiveCampaignQuirks, Emulator};
use crate::model::MembershipState;
use crate::provider::activecampaign::ActiveCampaignGroups;
use crate::provider::{NamedAsk, NamedMember, ReadError, Source, Told};

type People = BTreeMap<String, BTreeSet<String>>;

async fn named(
    adapter: &dyn Source,
    people: &People,
    listed: u64,
) -> Result<Option<Vec<NamedMember>>, ReadError> {
    let ask = NamedAsk { people, listed };
    adapter.named_members(&ask).await
}

fn asks(emulator: &Emulator, operation: &str) -> usize {
    let requests = emulator.requests();
    let requests = requests.iter().filter(|one| one.operation == operation);
    requests.count()
}

#[tokio::test(start_paused = true)]
async fn named_contacts_stand_as_the_account_holds_them() {
    let plain = ActiveCampaignQuirks::default();
    for (quirks, pages, alone) in [
        (plain.clone(), 2, 0),
        (ActiveCampaignQuirks::mixed(), 2, 0),
        // Short pages are asked on for, and people without memberships one by one.
        (
            ActiveCampaignQuirks {
                page_cap: Some(40),
                ..plain.clone()
            },
            4,
            0,
        ),
        (
            ActiveCampaignQuirks {
                no_include: true,
                ..plain
            },
            2,
            130,
        ),
    ] {
        let (emulator, lists) = seeded(quirks.clone(), 400);
        let (people, held) = emulator.with_world(|world| {
            let account = world.account_mut("campaigns");
            let mut people = People::new();
            let mut held = BTreeMap::new();
            let ids: Vec<u64> = account.contacts.keys().copied().collect();
            for id in ids {
                let listed: Vec<u64> = account.groups_of(id);
                if listed.is_empty() || people.len() == 130 {
                    continue;
                }
                for list in &listed {
                    let state = account.membership(*list, id).unwrap();
                    held.insert((id.to_string(), list.to_string()), format!("{state:?}"));
                }
                let listed = listed.iter().map(ToString::to_string);
                people.insert(id.to_string(), listed.collect());
            }
            (people, held)
        });
        let shown = named(&lists, &people, 100_000).await.unwrap().unwrap();
        let shown: BTreeMap<(String, String), String> = shown
            .into_iter()
            .flat_map(|member| {
                let id = member.id.clone();
                let groups = member.groups.into_iter();
                groups.map(move |(group, told)| {
                    let Told::Listed { state, refused_at } = told else {
                        panic!("{id} is on {group}")
                    };
                    let refuses = state == MembershipState::OptedOut;
                    assert!(refuses || refused_at.is_none());
                    ((id.clone(), group), format!("{state:?}"))
                })
            })
            .collect();
        assert_eq!(shown, held, "{quirks:?}");
        assert_eq!(asks(&emulator, "GET /contacts"), pages, "{quirks:?}");
        assert_eq!(asks(&emulator, "contact_view"), alone, "{quirks:?}");
        assert_no_misuse(&emulator);
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_two_ways_say_or_an_administrator_did_is_no_membership() {
    let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 60);
    let (list, ids) = emulator.with_world(|world| {
        let account = world.account_mut("campaigns");
        let list = account.add_group("Long");
        let other = account.add_group("Other");
        let ids = [0, 1, 2, 3].map(|number| {
            let id = account.add_person(&format!("named{number}@example.org"), "Ana", "Example");
            account.join(list, id);
            account.join(other, id);
            id
        });
        account.leave(list, ids[0]);
        account.end_membership(list, ids[1]);
        account.delete_contact(ids[2]);
        (list.to_string(), ids)
    });
    let people: People = ids
        .iter()
        .map(|id| (id.to_string(), BTreeSet::from([list.clone()])))
        .chain([("none".to_owned(), BTreeSet::from([list.clone()]))])
        .collect();
    let shown = named(&lists, &people, 100_000).await.unwrap().unwrap();
    let told = |id: u64| {
        let member = shown.iter().find(|member| member.id == id.to_string());
        member.and_then(|member| member.groups.get(&list)).copied()
    };
    let active = Told::Listed {
        state: MembershipState::Active,
        refused_at: None,
    };
    assert_eq!(
        ids.map(told),
        [
            Some(Told::NotListed),
            Some(Told::NotListed),
            None,
            Some(active)
        ],
        "a contact that is gone may be somebody who is not shown"
    );
    // A short list is read whole, and user groups always are.
    assert_eq!(named(&lists, &people, 100).await.unwrap(), None);
    let users = with_key(&emulator, ActiveCampaignGroups::UserGroups);
    assert_eq!(named(&users, &people, 100_000).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn questions_that_fail_one_after_the_other_leave_it_to_a_whole_reading() {
    for (status, body) in [
        (500, json!({"message": "broken"})),
        (200, json!({"contacts": {}})),
        (404, json!({"message": "No Result found."})),
    ] {
        let (lists, log) = scripted(ActiveCampaignGroups::Lists, move |_| {
            (status, body.to_string().into_bytes())
        });
        let people: People = (1..=9)
            .map(|id| (id.to_string(), BTreeSet::from(["7".to_owned()])))
            .collect();
        assert_eq!(named(&lists, &people, 2_000).await.unwrap(), None);
        let mut asked: Vec<String> = log
            .lock()
            .unwrap()
            .iter()
            .map(|one| one.call.clone())
            .collect();
        asked.dedup();
        assert_eq!(asked, ["contacts", "contact_view"], "{status}");
    }
    // A key that is no good is nobody's trouble alone.
    let (lists, _) = scripted(ActiveCampaignGroups::Lists, |_| {
        let words = "You are not authorized to access this file";
        let body = json!({"result_code": 0, "result_message": words, "message": words});
        (403, body.to_string().into_bytes())
    });
    let people = People::from([("1".to_owned(), BTreeSet::from(["7".to_owned()]))]);
    assert!(named(&lists, &people, 2_000).await.is_err());
}
