//! The order of calls for reading, and what faults on the way do to what was read.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value as Json, json};

use super::account::{Service, TOKEN, World, plain, read};
use crate::model::{Existence, GroupKind};
use crate::provider::emfluence::Fingerprint;
use crate::provider::testing::{Read, read_members};
use crate::provider::{ReadError, Role, Source};

const PEOPLE: [(i64, (&str, bool, bool)); 5] = [
    (101, ("ana@example.org", false, false)),
    (102, ("Bo@Example.org", false, false)),
    (103, ("cy@example.test", true, false)),
    (104, ("di@example.org", false, true)),
    (105, ("ed@example.org", false, false)),
];

fn small() -> World {
    World::new(&PEOPLE)
        .group(
            11,
            "All",
            "Static",
            &[
                (101, false),
                (102, false),
                (103, false),
                (104, false),
                (105, false),
            ],
        )
        .group(
            12,
            "Donors",
            "Static",
            &[(101, false), (102, true), (103, false)],
        )
        .group(13, "Recent", "Dynamic", &[(104, false)])
        .group(14, "Empty", "Static", &[])
}

/// As `small`, among more people than the listed ones.
fn large() -> World {
    World::new(&PEOPLE)
        .group(
            12,
            "Donors",
            "Static",
            &[(101, false), (102, true), (103, false)],
        )
        .crowd(1000..6000)
}

#[tokio::test(start_paused = true)]
async fn a_small_account_is_read_by_one_scan() {
    let service = Service::new(small());
    let adapter = service.adapter(plain);
    let read = read(&adapter, &["firstName"], Role::Source).await.unwrap();
    assert_eq!(read.listing("12"), "101:active 102:opted_out 103:active");
    assert_eq!(read.listing("13"), "104:active");
    assert_eq!(read.listing("14"), "");
    assert_eq!(read.statuses(), "103:Held 104:OptedOut");
    assert!(read.account_problems().is_empty());
    assert!(matches!(read.snapshot.existence, Existence::Whole));
    assert_eq!(read.shelf.0["101"]["firstName"].to_string(), "First 101");
    let requests: Vec<_> = service.requests().into_iter().collect();
    let expected = [
        ("contacts/search", 2),
        ("groups/getContacts", 5),
        ("groups/lookup", 1),
        ("groups/search", 1),
    ];
    assert_eq!(
        requests
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect::<Vec<_>>(),
        expected
    );
}

#[tokio::test(start_paused = true)]
async fn a_large_account_is_read_group_by_group() {
    let service = Service::new(large());
    let adapter = service.adapter(plain);
    let source = read(&adapter, &["firstName"], Role::Source).await.unwrap();
    assert_eq!(source.listing("12"), "101:active 102:opted_out 103:active");
    assert_eq!(source.statuses(), "103:Held 104:OptedOut");
    assert!(source.account_problems().is_empty());
    assert_eq!(
        source.shelf.0.keys().collect::<Vec<_>>(),
        ["101", "102", "103"],
        "the profiles of strangers are not a loss"
    );
    assert_eq!(
        service.requests()["contacts/search"],
        4,
        "the first page of the account, the group, the opt-outs, the holds"
    );

    let wanted = [
        "ana@example.org",
        "person1001@example.org",
        "person3000@example.org",
        "zoe@example.org",
        "yan@example.org",
    ];
    let wanted: Vec<String> = wanted.iter().map(|address| (*address).to_owned()).collect();
    let target = read(&adapter, &["firstName"], Role::Target { wanted: &wanted })
        .await
        .unwrap();
    assert_eq!(target.absent(), ["yan@example.org", "zoe@example.org"]);
    assert_eq!(
        target.shelf.0["3000"]["firstName"].to_string(),
        "First 3000",
        "who exists already has a profile"
    );
    let requests = service.requests();
    assert_eq!(
        requests["contacts/lookup"], 3,
        "the other addresses were seen on the way"
    );
    assert_eq!(
        requests["contacts/search"], 5,
        "one more: what a refused look-up means"
    );

    let many: Vec<String> = (0..40)
        .map(|number| format!("new{number}@example.org"))
        .collect();
    let target = read(&adapter, &["firstName"], Role::Target { wanted: &many })
        .await
        .unwrap();
    assert!(
        matches!(target.snapshot.existence, Existence::Whole),
        "many look-ups cost more than the account"
    );
    assert_eq!(service.requests().get("contacts/lookup"), None);
}

#[tokio::test(start_paused = true)]
async fn nobody_may_be_told_in_several_shapes() {
    let wanted = ["zoe@example.org".to_owned()];
    for (shape, absent) in [
        (json!({"success": 1, "code": 0, "data": {}}), true),
        (json!({"success": 1, "code": 0, "data": []}), true),
        (json!({"success": 0, "code": 404, "errors": ["No."]}), true),
        (json!({"success": 0, "errors": ["No."]}), false),
        (json!({"success": 1, "code": 0}), false),
        (
            json!({"success": 1, "code": 0, "data": {"contactID": 7, "email": "else@example.org"}}),
            false,
        ),
        (json!("down"), false),
    ] {
        let mut world = large();
        world.not_found = shape.clone();
        let read = read(
            &Service::new(world).adapter(plain),
            &[],
            Role::Target { wanted: &wanted },
        )
        .await
        .unwrap();
        assert_eq!(
            matches!(read.snapshot.existence, Existence::Asked(_)),
            absent,
            "{shape}"
        );
    }
    // The refusal is not about the address, and the search does find it.
    let service = Service::new(large());
    let adapter = service.adapter(|operation, _, answer| match operation {
        "contacts/lookup" => {
            json!({"success": 0, "code": 110, "errors": ["The user lacks a permission."]})
        }
        _ => answer,
    });
    let wanted = ["person3000@example.org".to_owned()];
    let read = read(&adapter, &[], Role::Target { wanted: &wanted })
        .await
        .unwrap();
    assert!(
        matches!(read.snapshot.existence, Existence::Unknown),
        "an address that exists is never absent"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_taken_away_between_look_ups_ends_the_reading() {
    let wanted: Vec<String> = (0..10)
        .map(|number| format!("new{number}@example.org"))
        .collect();
    let service = Service::new(large());
    let looked_up = AtomicU64::new(0);
    let adapter = service.adapter(move |operation, _, answer| {
        if operation == "contacts/lookup" {
            looked_up.fetch_add(1, Ordering::Relaxed);
        }
        if looked_up.load(Ordering::Relaxed) > 1 {
            return json!({"success": 0, "code": 100, "errors": ["Invalid access token."]});
        }
        answer
    });
    let read = read(&adapter, &[], Role::Target { wanted: &wanted }).await;
    let error = read.err().unwrap().to_string();
    assert!(error.contains("access_token"), "{error}");
    assert_eq!(service.requests()["contacts/lookup"], 4);
}

#[tokio::test(start_paused = true)]
async fn somebody_known_by_another_spelling_is_met_and_not_absent() {
    let wanted = ["jo@xn--bcher-kva.example".to_owned()];
    let met = json!({"success": 1, "code": 0, "data": {"contactID": 7007, "email": "jo@b\u{fc}cher.example", "firstName": "Jo"}});
    for (second, known) in [
        (met.clone(), Some(true)),
        (json!({"success": 1, "code": 0, "data": {}}), Some(false)),
        (
            json!({"success": 0, "code": 400, "errors": ["No address."]}),
            None,
        ),
    ] {
        let service = Service::new(large());
        let adapter = service.adapter(move |operation, body, answer| match operation {
            "contacts/lookup" if body["email"] == "jo@b\u{fc}cher.example" => second.clone(),
            _ => answer,
        });
        let target = read(&adapter, &["firstName"], Role::Target { wanted: &wanted })
            .await
            .unwrap();
        assert_eq!(service.requests()["contacts/lookup"], 2, "{known:?}");
        let asked = matches!(target.snapshot.existence, Existence::Asked(_));
        assert_eq!(asked, known == Some(false), "{known:?}");
        assert_eq!(
            target.shelf.0.contains_key("7007"),
            known == Some(true),
            "{known:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_lists_and_nothing_else() {
    let service = Service::new(small());
    let adapter = service.adapter(plain);
    let (groups, certificate) = adapter.groups(&|_, _| false).await.unwrap();
    service.requests();
    let mut stale = groups[1].clone();
    stale.member_count = Some(9);
    let read = read_members(
        &adapter,
        &[stale, groups[2].clone()],
        &certificate,
        &["firstName"],
        Role::Check,
    )
    .await
    .unwrap();
    assert_eq!(
        read.listing("12"),
        "101:active 102:opted_out 103:active",
        "a count from before the write proves nothing"
    );
    assert_eq!(read.listing("13"), "104:active");
    assert!(
        read.shelf.0.is_empty(),
        "no empty profile replaces a known one"
    );
    let requests: Vec<_> = service.requests().into_iter().collect();
    assert_eq!(
        requests,
        [
            ("contacts/search".to_owned(), 2),
            ("groups/getContacts".to_owned(), 1)
        ],
        "only a search lists a dynamic group, and is held against one without its filter"
    );
}

/// Reads `small` with answers that a twist damages, and shows the listing of group 12.
async fn damaged(
    role: Role<'_>,
    twist: impl Fn(&str, &Json, Json) -> Json + Send + Sync + 'static,
) -> Read {
    read(&Service::new(small()).adapter(twist), &["firstName"], role)
        .await
        .unwrap()
}

/// A name for a damage, and what does it to an answer.
type Damage = (&'static str, fn(&mut Json));

/// Damages the unfiltered listing of group 12.
async fn damaged_listing(edit: impl Fn(&mut Json) + Send + Sync + 'static) -> String {
    let twist = move |operation: &str, body: &Json, mut answer: Json| {
        if operation == "groups/getContacts"
            && body["groupID"] == 12
            && body.get("suppressed").is_none()
        {
            edit(&mut answer);
        }
        answer
    };
    let read = damaged(Role::Source, twist).await;
    assert_eq!(read.listing("14"), "", "the other listings go on");
    read.listing("12")
}

#[tokio::test(start_paused = true)]
async fn a_damaged_listing_is_incomplete_and_never_shorter() {
    let cases: [Damage; 9] = [
        ("a server error", |answer| *answer = Json::Null),
        (
            "a refusal",
            |answer| *answer = json!({"success": 0, "code": 200, "errors": ["Try later."]}),
        ),
        ("no data", |answer| {
            *answer = json!({"success": 1, "code": 0});
        }),
        ("empty data", |answer| answer["data"] = json!({})),
        ("a bare empty array", |answer| answer["data"] = json!([])),
        ("an empty page", |answer| {
            answer["data"]["records"] = json!([]);
            answer["data"]["paging"]["totalRecords"] = 0.into();
            answer["data"]["paging"]["totalPages"] = 0.into();
        }),
        ("a row without an address", |answer| {
            answer["data"]["records"][0]["email"] = "".into();
        }),
        ("a row twice", |answer| {
            answer["data"]["records"][0] = answer["data"]["records"][2].clone();
        }),
        ("an address twice", |answer| {
            answer["data"]["records"][0]["email"] = "CY@example.test".into();
        }),
    ];
    for (what, edit) in cases {
        let listing = damaged_listing(edit).await;
        assert!(listing.starts_with("incomplete: "), "{what}: {listing}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_no_record_is_left_out_alone_and_proves_no_absence() {
    let deep = (0..100).fold(json!(1), |inside, _| json!([inside]));
    for (odd, why) in [
        (Json::Null, "is null and no record"),
        ("spoilt".into(), "is a text and no record"),
        (
            json!({"deep": deep, "email": "ana@example.org"}),
            "has no id that can be read",
        ),
    ] {
        for (spoilt, title) in [
            ("groups/getContacts", "a row of the members of group 12"),
            ("contacts/search", "a row of the contacts of the account"),
        ] {
            let row = odd.clone();
            let read = damaged(Role::Source, move |operation, body, mut answer| {
                let is_asked =
                    body.get("suppressed").is_none() && body.get("groupID") != Some(&13.into());
                let is_other = body.get("groupID").is_some_and(|group| *group != 12);
                if operation == spoilt && is_asked && !is_other {
                    answer["data"]["records"][1] = row.clone();
                }
                answer
            })
            .await;
            let (listing, account) = (read.why("12"), read.account_problems().join("; "));
            assert_eq!(read.listing("13"), "104:active", "the others go on");
            if spoilt == "contacts/search" {
                assert!(account.contains(&format!("{title} {why}")), "{account}");
                assert!(
                    read.statuses().contains("104:OptedOut"),
                    "of others it is known"
                );
                assert!(read.shelf.0.contains_key("101") && !read.shelf.0.contains_key("102"));
            } else {
                assert_eq!(read.rows("12"), "101:active 103:active");
                assert!(listing.starts_with(&format!("{title} {why}")), "{listing}");
                assert!(account.is_empty(), "{account}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_opt_out_is_not_a_no() {
    let read = damaged(Role::Source, |operation, body, mut answer| {
        if operation == "groups/getContacts"
            && body["groupID"] == 12
            && body.get("suppressed").is_none()
        {
            answer["data"]["records"][0]["suppressed"] = "".into();
        }
        answer
    })
    .await;
    assert!(
        read.listing("12").contains("do not say whether"),
        "{}",
        read.listing("12")
    );
    assert_eq!(read.rows("12"), "101:unconfirmed 102:opted_out 103:active");
    assert!(!read.snapshot.certificates["12"].opt_outs_complete);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_half_way_leaves_the_listing_incomplete() {
    let members: Vec<(i64, bool)> = (1000..3500).map(|id| (id, false)).collect();
    let world = || {
        World::new(&[])
            .crowd(1000..3500)
            .group(12, "Donors", "Static", &members)
    };
    let whole = read(
        &Service::new(world()).adapter(plain),
        &["firstName"],
        Role::Source,
    )
    .await
    .unwrap();
    assert_eq!(
        whole
            .snapshot
            .listing("12")
            .unwrap()
            .complete()
            .unwrap()
            .rows
            .len(),
        2500
    );
    let broken = |operation: &str, body: &Json, answer: Json| {
        if operation == "groups/getContacts" && body["page"] == 2 {
            Json::Null
        } else {
            answer
        }
    };
    let half = read(
        &Service::new(world()).adapter(broken),
        &["firstName"],
        Role::Source,
    )
    .await
    .unwrap();
    assert!(
        half.listing("12").starts_with("incomplete: "),
        "{}",
        half.listing("12")
    );
    assert_eq!(
        half.snapshot.listing("12").unwrap().seen().rows.len(),
        1000,
        "who was seen is there"
    );
    let moved = |operation: &str, body: &Json, mut answer: Json| {
        if operation == "groups/getContacts" && body["page"] == 3 {
            answer["data"]["paging"]["totalRecords"] = 2501.into();
        }
        answer
    };
    let moved = read(
        &Service::new(world()).adapter(moved),
        &["firstName"],
        Role::Source,
    )
    .await
    .unwrap();
    assert!(
        moved.listing("12").contains("500 rows where 501 belong"),
        "{}",
        moved.listing("12")
    );
}

#[tokio::test(start_paused = true)]
async fn listings_that_leave_out_a_kind_are_incomplete() {
    // Without a filter, those who opted out are missing, and the counts of the groups follow.
    let twist = |operation: &str, body: &Json, mut answer: Json| {
        if operation == "groups/getContacts" && body.get("suppressed") == Some(&json!(1)) {
            answer["data"]["paging"]["totalRecords"] = 1.into();
            answer["data"]["paging"]["totalPages"] = 1.into();
            answer["data"]["records"] =
                json!([{"contactID": 900, "email": "hidden@example.org", "suppressed": 1}]);
        }
        answer
    };
    let read = damaged(Role::Source, twist).await;
    for group in ["11", "12", "14"] {
        assert!(
            read.listing(group).contains("leave out members"),
            "{}",
            read.listing(group)
        );
    }
    // A moment's difference is looked at again.
    let calls = AtomicU64::new(0);
    let once = move |operation: &str, body: &Json, answer: Json| {
        if operation == "groups/getContacts"
            && body.get("suppressed").is_some()
            && calls.fetch_add(1, Ordering::Relaxed) == 0
        {
            let mut answer = answer;
            answer["data"]["paging"]["totalRecords"] = 4.into();
            answer["data"]["paging"]["totalPages"] = 4.into();
            return answer;
        }
        answer
    };
    assert_eq!(
        damaged(Role::Source, once).await.listing("12"),
        "101:active 102:opted_out 103:active"
    );
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_account_proves_no_absence() {
    // A restricted user: the group counts three and shows one.
    let twist = |operation: &str, body: &Json, mut answer: Json| {
        if operation == "groups/getContacts" && body["groupID"] == 12 {
            answer["data"]["records"] =
                json!([{"contactID": 101, "email": "ana@example.org", "suppressed": 0}]);
            answer["data"]["paging"]["totalRecords"] = 1.into();
            answer["data"]["paging"]["totalPages"] = 1.into();
        }
        answer
    };
    let wanted = ["zoe@example.org".to_owned()];
    let read = damaged(Role::Target { wanted: &wanted }, twist).await;
    assert_eq!(
        read.listing("12"),
        "incomplete: the group counts 3 members and only 1 can be seen"
    );
    assert!(
        read.snapshot.certificates["12"].opt_outs_complete,
        "what is seen is seen with its opt-outs"
    );
    assert!(matches!(read.snapshot.existence, Existence::Unknown));
}

#[tokio::test(start_paused = true)]
async fn listings_and_profiles_must_name_the_same_people() {
    let read = damaged(Role::Source, |operation, body, mut answer| {
        if operation == "contacts/search" && body.get("groupID").is_none() {
            answer["data"]["records"].as_array_mut().unwrap().remove(0);
            answer["data"]["paging"]["totalRecords"] = 4.into();
        }
        answer
    })
    .await;
    assert!(
        read.listing("12")
            .contains("1 members of group 12 are not among the contacts"),
        "{}",
        read.listing("12")
    );

    let twist = |operation: &str, body: &Json, mut answer: Json| {
        if operation == "contacts/search" && body["groupID"] == 12 {
            answer["data"]["records"][0]["contactID"] = 999.into();
        }
        answer
    };
    let by_group = super::account::read(
        &Service::new(large()).adapter(twist),
        &["firstName"],
        Role::Source,
    )
    .await
    .unwrap();
    assert!(
        by_group.listing("12").contains("they are not the same"),
        "{}",
        by_group.listing("12")
    );
}

#[tokio::test(start_paused = true)]
async fn the_state_of_the_account_is_whole_or_says_so() {
    // One scan of the account, with flags that are not told.
    let unknown = damaged(Role::Source, |operation, _, mut answer| {
        if operation == "contacts/search" {
            answer["data"]["records"][0]["suppressed"] = "".into();
        }
        answer
    })
    .await;
    assert!(
        unknown.account_problems()[0].contains("1 contacts do not say"),
        "{:?}",
        unknown.account_problems()
    );

    // Two scans, of which one ignores its filter: nobody is taken for somebody who opted out.
    let twist = |operation: &str, body: &Json, answer: Json| {
        if operation != "contacts/search" || body.get("suppressed").is_none() {
            return answer;
        }
        let row = |id: i64| json!({"contactID": id, "email": format!("p{id}@example.org"), "held": 0, "suppressed": 0});
        json!({"success": 1, "data": {"records": [row(1), row(2)], "paging": {"page": 1, "rpp": 250, "totalPages": 1, "totalRecords": 2, "next": "", "prev": ""}}})
    };
    let ignored = read(&Service::new(large()).adapter(twist), &[], Role::Source)
        .await
        .unwrap();
    assert!(
        ignored.account_problems()[0].contains("holds others as well"),
        "{:?}",
        ignored.account_problems()
    );
    assert_eq!(
        ignored.statuses(),
        "103:Held 104:OptedOut",
        "as the first page of the account shows them"
    );

    // A scan that fails, here and in the other way of reading.
    let twist = |operation: &str, body: &Json, answer: Json| {
        if operation == "contacts/search" && body.get("held").is_some() {
            Json::Null
        } else {
            answer
        }
    };
    let failed = read(&Service::new(large()).adapter(twist), &[], Role::Source)
        .await
        .unwrap();
    assert!(!failed.account_problems().is_empty());
    let failed = damaged(Role::Source, |operation, body, answer| {
        if operation == "contacts/search" && body.get("groupID").is_none() {
            Json::Null
        } else {
            answer
        }
    })
    .await;
    assert!(!failed.account_problems().is_empty());
    assert!(!matches!(failed.snapshot.existence, Existence::Whole));
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_with_the_details_of_the_wanted() {
    let service = Service::new(small());
    let adapter = service.adapter(plain);
    let (groups, certificate) = adapter
        .groups(&|id, name| id == "13" || name == "Donors")
        .await
        .unwrap();
    let shown: Vec<_> = groups
        .iter()
        .map(|group| (group.id.as_str(), group.kind, group.detailed))
        .collect();
    assert_eq!(
        shown,
        [
            ("11", GroupKind::BuiltIn, false),
            ("12", GroupKind::Static, true),
            ("13", GroupKind::Dynamic, true),
            ("14", GroupKind::Static, false)
        ]
    );
    assert_eq!(
        (
            certificate.total,
            certificate.distinct,
            certificate.problems.len()
        ),
        (Some(4), 4, 0)
    );
    assert_eq!(service.bodies()[1].1, json!({"groupIDs": [12, 13]}));

    let many = (100..400).fold(World::new(&[]), |world, id| {
        world.group(id, &format!("Group {id}"), "Static", &[])
    });
    let service = Service::new(many);
    let (groups, _) = service.adapter(plain).groups(&|_, _| true).await.unwrap();
    assert!(groups.len() == 300 && groups.iter().all(|group| group.detailed));
    let requests = service.requests();
    assert_eq!(
        (requests["groups/search"], requests["groups/lookup"]),
        (2, 12)
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_listed_and_not_found_is_left_out_alone() {
    let hidden = |operation: &str, _: &Json, mut answer: Json| {
        if operation == "groups/lookup" {
            answer["data"].as_array_mut().unwrap().remove(0);
        }
        answer
    };
    let (groups, certificate) = Service::new(small())
        .adapter(hidden)
        .groups(&|_, _| true)
        .await
        .unwrap();
    assert!(
        certificate
            .certify((), &mut crate::model::TotalMeanings::all())
            .complete()
            .is_some(),
        "all of them are listed"
    );
    let unread = groups.iter().map(|group| (group.id.as_str(), group.unread));
    let unread: Vec<_> = unread.filter(|(_, unread)| unread.is_some()).collect();
    assert_eq!(unread, [("11", Some(crate::model::Unread::Details))]);
    assert!(groups.len() > 1);
    for broken in [
        Json::Null,
        json!({"success": 1, "code": 0}),
        json!({"success": 1, "code": 0, "data": []}),
    ] {
        let twist = move |operation: &str, _: &Json, answer: Json| {
            if operation == "groups/search" {
                broken.clone()
            } else {
                answer
            }
        };
        assert!(
            Service::new(small())
                .adapter(twist)
                .groups(&|_, _| true)
                .await
                .is_err()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_group_is_found_or_known_not_to_exist() {
    let service = Service::new(small());
    let adapter = service.adapter(plain);
    assert!(adapter.group("12").await.unwrap().unwrap().detailed);
    assert_eq!(adapter.group("99").await.unwrap(), None);
    assert_eq!(adapter.group("no number").await.unwrap(), None);
    let ignored = service.adapter(|operation, _, answer| {
        if operation == "groups/search" {
            json!({"success": 1, "data": {"records": [{"groupID": 11, "groupName": "All"}], "paging": {"page": 1, "rpp": 20, "totalPages": 1, "totalRecords": 1}}})
        } else {
            answer
        }
    });
    assert!(
        ignored.group("99").await.is_err(),
        "other groups are no proof that this one is gone"
    );
}

#[tokio::test(start_paused = true)]
async fn opening_proves_token_and_account() {
    let service = Service::new(small());
    service.adapter(plain).open().await.unwrap();
    let print = |id: &str, name: Option<&str>, external: Option<&str>| {
        Some(Fingerprint {
            group_id: id.to_owned(),
            group_name: name.map(str::to_owned),
            external_id: external.map(str::to_owned),
        })
    };
    let good = service.adapter_with(print("12", Some("Donors"), Some("ext-12")), plain);
    good.open().await.unwrap();
    for wrong in [
        print("12", Some("Staff"), None),
        print("12", None, Some("D-1")),
        print("99", None, None),
        print("x", None, None),
    ] {
        let result = service.adapter_with(wrong.clone(), plain).open().await;
        assert!(matches!(result, Err(ReadError::Account(_))), "{wrong:?}");
    }
    let refused =
        service.adapter(|_, _, _| json!({"success": 0, "code": 100, "errors": ["Invalid token."]}));
    let error = refused.open().await.unwrap_err();
    assert!(
        matches!(&error, ReadError::Account(text) if text.contains("Invalid token.")),
        "{error}"
    );
    let shown = format!("{refused:?} {error:?} {error}");
    assert!(
        !shown.contains(TOKEN) && !shown.contains("5ec2e7aa"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn custom_fields_stay_unknown_where_the_right_is_missing() {
    let answer = |body: Json| Service::new(small()).adapter(move |_, _, _| body.clone());
    let good: Json = serde_json::from_slice(include_bytes!(
        "../../../../tests/fixtures/emfluence/good/custom_fields_search.json"
    ))
    .unwrap();
    let fields = answer(good).custom_fields().await.unwrap();
    assert!(fields.known);
    assert_eq!(fields.label("custom3"), "Visits");
    let fields = answer(json!({"success": 0, "code": 110, "errors": ["Client admin only."]}))
        .custom_fields()
        .await
        .unwrap();
    assert!(!fields.known && fields.fields.is_empty());
    assert!(
        answer(json!({"success": 1, "code": 0, "data": {}}))
            .custom_fields()
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn the_prediction_holds_for_a_source() {
    let service = Service::new(large());
    let adapter = service.adapter(plain);
    adapter.open().await.unwrap();
    let (groups, certificate) = adapter.groups(&|_, _| true).await.unwrap();
    assert!(!adapter.custom_fields().await.unwrap().known);
    read_members(
        &adapter,
        &groups,
        &certificate,
        &["firstName"],
        Role::Source,
    )
    .await
    .unwrap();
    let sent: usize = service.requests().values().sum();
    assert_eq!(adapter.predicted_reads(&groups, false), sent as u64);
}
