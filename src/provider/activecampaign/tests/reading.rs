//! What faults and gaps on the way do to what is read.

use serde_json::{Value as Json, json};

use super::codec::fixture;
use super::emulated::{assert_no_misuse, held, seeded};
use super::service::{read, read_groups, scripted};
use crate::emulator::{ActiveCampaignQuirks, Fault, FaultRule, When};
use crate::model::{Existence, GroupKind, GroupRow, GroupStatus, Record, Unreadable};
use crate::provider::activecampaign::{ActiveCampaign, ActiveCampaignGroups};
use crate::provider::json::MAX_ANSWER;
use crate::provider::{ReadError, Role, Source};

pub(super) fn list(id: &str) -> GroupRow {
    GroupRow {
        id: id.to_owned(),
        wire: Record::new(),
        kind: GroupKind::Static,
        status: GroupStatus::Active,
        test_group: false,
        auto_response: false,
        member_count: None,
        detailed: false,
        unread: None,
    }
}

pub(super) fn me() -> Vec<u8> {
    br#"{"id":"1","username":"admin","email":"admin@example.org","groups":"3","result_code":1,"result_message":"Sucesso","result_output":"json"}"#.to_vec()
}

pub(super) fn json_of(value: Json) -> (u16, Vec<u8>) {
    (200, value.to_string().into_bytes())
}

pub(super) fn forbidden() -> (u16, Vec<u8>) {
    (403, fixture!("broken/forbidden.json").to_vec())
}

#[tokio::test(start_paused = true)]
async fn nothing_found_is_believed_only_of_a_good_key() {
    for (key_is_good, nothing) in [
        (true, &fixture!("broken/empty_localised.json")[..]),
        (false, fixture!("broken/empty_localised.json")),
    ] {
        let (adapter, log) = scripted(ActiveCampaignGroups::Lists, move |asked| {
            match asked.call.as_str() {
                "user_me" if key_is_good => (200, me()),
                _ => (200, nothing.to_vec()),
            }
        });
        let groups = adapter.groups(&|_, _| true).await;
        let one = adapter.group("7").await;
        if key_is_good {
            assert!(groups.unwrap().0.is_empty());
            assert!(one.unwrap().is_none());
        } else {
            assert!(
                groups.is_err() && one.is_err(),
                "a key that is no good sees no empty account"
            );
            assert!(
                matches!(adapter.open().await, Err(ReadError::Account(words)) if words.contains("api_key"))
            );
        }
        assert!(
            log.lock()
                .unwrap()
                .iter()
                .any(|asked| asked.call == "user_me")
        );
    }
    let (adapter, _) = scripted(ActiveCampaignGroups::Lists, |_| {
        (200, fixture!("broken/unauthorised.json").to_vec())
    });
    assert!(matches!(adapter.open().await, Err(ReadError::Account(_))));
    let (adapter, _) = scripted(ActiveCampaignGroups::Lists, |_| {
        (200, fixture!("broken/error.xml").to_vec())
    });
    assert!(
        matches!(adapter.open().await, Err(ReadError::Call(_))),
        "a page of something else is no refusal"
    );
}

#[tokio::test(start_paused = true)]
async fn lists_are_read_by_version_1_where_version_3_is_closed() {
    let (adapter, log) = scripted(ActiveCampaignGroups::Lists, |asked| {
        let parameter = |name: &str| asked.parameters.get(name).map_or("", String::as_str);
        match asked.call.as_str() {
            "user_me" => (200, me()),
            "contact_list"
                if parameter("filters[listid]") == "1"
                    && parameter("filters[status]") == "2"
                    && parameter("filters[id_greater]") == "0" =>
            {
                json_of(
                    json!({"0": {"id": "101", "email": "ana@example.org", "first_name": "Ana", "lists": {"1": {"status": "2"}}}, "1": {"id": "102", "email": "cy@example.org"}, "result_code": 1, "result_message": "x"}),
                )
            }
            "contact_view_email" if parameter("email") == "bo@example.org" => json_of(
                json!({"id": "102", "email": "Bo@example.org", "lists": [], "result_code": "1", "result_message": "x"}),
            ),
            "contact_list" | "contact_view_email" => (200, fixture!("broken/empty.json").to_vec()),
            _ => forbidden(),
        }
    });
    let wanted = ["ana@example.org", "bo@example.org", "zoe@example.org"].map(str::to_owned);
    let target = read_groups(
        &adapter,
        &[list("1")],
        &["first_name"],
        Role::Target { wanted: &wanted },
    )
    .await
    .unwrap();
    assert_eq!(target.rows("1"), "101:opted_out");
    assert!(
        !target.is_complete("1"),
        "that nothing more is returned vouches for nothing"
    );
    assert_eq!(target.absent(), ["zoe@example.org"]);
    let statuses: Vec<String> = log
        .lock()
        .unwrap()
        .iter()
        .filter(|asked| asked.call == "contact_list")
        .map(|asked| asked.parameters["filters[status]"].clone())
        .collect();
    assert_eq!(
        statuses,
        ["0", "1", "2", "2", "3", "91"],
        "bounced people would look absent"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_only_one_way_shows_makes_a_listing_incomplete() {
    let people = |ids: &[u64]| {
        ids.iter()
            .map(|id| json!({"id": id.to_string(), "email": format!("p{id}@example.org")}))
            .collect::<Vec<_>>()
    };
    for (seen, whole) in [(vec![101, 102, 103], true), (vec![101, 103], false)] {
        let rows = people(&seen);
        let (adapter, _) = scripted(ActiveCampaignGroups::Lists, move |asked| {
            match asked.call.as_str() {
                "user_me" => (200, me()),
                "contacts" => {
                    json_of(json!({"contacts": rows, "meta": {"total": rows.len().to_string()}}))
                }
                "contactLists" => json_of(json!({"contactLists": [], "meta": {"total": "2"}})),
                "contact_list"
                    if asked.parameters["filters[status]"] == "1"
                        && asked.parameters["filters[id_greater]"] == "0" =>
                {
                    json_of(json!({
                        "0": {"id": "101", "email": "p101@example.org"}, "1": {"id": "102", "email": "p102@example.org"}, "result_code": 1,
                    }))
                }
                _ => (200, fixture!("broken/empty.json").to_vec()),
            }
        });
        let read = read_groups(&adapter, &[list("1")], &[], Role::Source)
            .await
            .unwrap();
        assert_eq!(
            read.listing("1").starts_with("incomplete"),
            !whole,
            "{}",
            read.listing("1")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn counts_that_disagree_make_a_listing_incomplete() {
    for (contacts, memberships, page) in [
        ("4", "3", true),
        ("5", "3", false),
        ("4", "4", false),
        ("", "3", false),
        ("4", "", false),
    ] {
        let (adapter, _) = scripted(ActiveCampaignGroups::Lists, move |asked| {
            match asked.call.as_str() {
                "contacts" => {
                    let mut page: Json =
                        serde_json::from_slice(fixture!("good/contacts.json")).unwrap();
                    page["meta"]["total"] = contacts.into();
                    json_of(page)
                }
                "contactLists" => {
                    let mut count: Json =
                        serde_json::from_slice(fixture!("good/memberships.json")).unwrap();
                    count["meta"]["total"] = memberships.into();
                    json_of(count)
                }
                "import/bulk_import" => (200, fixture!("good/totals.json").to_vec()),
                _ => forbidden(),
            }
        });
        let target = read_groups(
            &adapter,
            &[list("1"), list("none")],
            &["email"],
            Role::Target { wanted: &[] },
        )
        .await
        .unwrap();
        assert_eq!(
            target.listing("1") == "101:active 102:opted_out 103:unconfirmed",
            page,
            "{contacts} {memberships}"
        );
        assert!(target.listing("none").starts_with("incomplete"));
        assert_eq!(
            target.snapshot.existence == Existence::Whole,
            contacts == "4"
        );
        assert!(target.snapshot.account_state.complete().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn no_fault_of_the_service_reads_as_absence() {
    let operations = ["GET /contacts", "GET /contactLists", "list_list"];
    let faults = [
        Fault::HtmlWith200,
        Fault::EmptyBody,
        Fault::TruncatedBody,
        Fault::MissingList,
        Fault::WrongCount(1),
        Fault::WrongCount(-1),
        Fault::ServerError(503),
        Fault::ResetBeforeEffect,
    ];
    for operation in operations {
        for fault in &faults {
            let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 40);
            let (groups, _) = lists.groups(&|_, _| false).await.unwrap();
            emulator.add_fault(FaultRule::every(fault.clone()).on(operation));
            if operation == "list_list" {
                // The list of lists has no total, and so nothing that could be wrong.
                let listed = lists.groups(&|_, _| false).await;
                assert!(
                    listed.is_err()
                        || matches!(fault, Fault::WrongCount(_))
                            && listed.unwrap().0.len() == groups.len(),
                    "{fault:?}"
                );
                continue;
            }
            match read_groups(
                &lists,
                &groups,
                &["email"],
                Role::Target {
                    wanted: &["zoe@example.org".to_owned()],
                },
            )
            .await
            {
                Ok(read) => {
                    for group in &groups {
                        let listing = read.listing(&group.id);
                        // Where version 1 has stood in for a broken version 3, all of it has to be
                        // there.
                        assert!(
                            listing.starts_with("incomplete")
                                || listing == held(&emulator, &group.id),
                            "{operation} {fault:?} {listing}"
                        );
                    }
                    if operation == "GET /contacts" {
                        assert_ne!(read.snapshot.existence, Existence::Whole, "{fault:?}");
                    }
                }
                Err(ReadError::Call(error)) => {
                    assert!(error.is_temporary(), "{operation} {fault:?}: {error}");
                }
                Err(error) => panic!("{operation} {fault:?}: {error}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn patience_is_honoured() {
    let (emulator, lists) = seeded(ActiveCampaignQuirks::default(), 40);
    emulator.add_fault(
        FaultRule::every(Fault::TooManyRequests {
            retry_after: Some(3),
        })
        .on("GET /contacts")
        .when(When::First(1)),
    );
    let source = read(&lists, &["email"], Role::Source).await.unwrap();
    for group in source.snapshot.listings.keys() {
        assert_eq!(source.listing(group), held(&emulator, group));
    }
    assert_no_misuse(&emulator);
}

#[tokio::test(start_paused = true)]
async fn whom_an_administrator_took_off_a_list_is_counted_and_no_member() {
    let (adapter, _) = scripted(ActiveCampaignGroups::Lists, |asked| {
        let edge = |contact: &str, status: &str| json!({"contact": contact, "list": "1", "status": status});
        match asked.call.as_str() {
            "contacts" => json_of(json!({
                "contacts": [{"id": "101", "email": "ana@example.org"}, {"id": "102", "email": "bo@example.org"}],
                "contactLists": [edge("101", "1"), edge("102", "91")], "meta": {"total": "2"},
            })),
            "contactLists" => {
                json_of(json!({"contactLists": [edge("101", "1")], "meta": {"total": "2"}}))
            }
            "import/bulk_import" => (200, fixture!("good/totals.json").to_vec()),
            _ => forbidden(),
        }
    });
    let read = read_groups(&adapter, &[list("1")], &[], Role::Target { wanted: &[] })
        .await
        .unwrap();
    assert_eq!(read.listing("1"), "101:active");
}

#[tokio::test(start_paused = true)]
async fn one_text_that_cannot_be_read_leaves_out_one_profile() {
    for odd in ["\\ud83d", "a\u{1}b"] {
        let (adapter, _) = scripted(ActiveCampaignGroups::Lists, move |asked| {
            match asked.call.as_str() {
                "contacts" => (
                    200,
                    format!(
                        "{{\"contacts\":[{{\"id\":\"101\",\"email\":\"ana@example.org\",\"firstName\":\"Ana\"}},{{\"id\":\"102\",\"email\":\"bo@example.org\",\"firstName\":\"{odd}\"}},{{\"id\":\"103\",\"email\":\"cy@example.org\",\"firstName\":\"Cy\"}}],\"contactLists\":[{{\"contact\":\"101\",\"list\":\"1\",\"status\":\"1\"}},{{\"contact\":\"102\",\"list\":\"1\",\"status\":\"2\"}},{{\"contact\":\"103\",\"list\":\"1\",\"status\":\"1\"}}],\"meta\":{{\"total\":\"3\"}}}}"
                    )
                    .into_bytes(),
                ),
                "contactLists" => json_of(json!({"contactLists": [], "meta": {"total": "3"}})),
                "import/bulk_import" => (200, fixture!("good/totals.json").to_vec()),
                _ => forbidden(),
            }
        });
        let read = read_groups(&adapter, &[list("1")], &["first_name"], Role::Source)
            .await
            .unwrap();
        assert_eq!(read.listing("1"), "101:active 102:opted_out 103:active");
        assert!(read.snapshot.unreadable.keys().eq(["102"]));
        let read: Vec<&str> = read.shelf.0.keys().map(String::as_str).collect();
        assert_eq!(read, ["101", "103"]);
    }
}

/// Serves a page of contacts on list 1, among whom `odd` stands second, with memberships.
fn with_odd_contact(odd: &'static str, edges: Json) -> ActiveCampaign {
    let (adapter, _) = scripted(ActiveCampaignGroups::Lists, move |asked| {
        match asked.call.as_str() {
            "contacts" => {
                let body = format!(
                    r#"{{"contacts":[{{"id":"101","email":"ana@example.org"}},{odd},{{"id":"103","email":"cy@example.org"}}],"contactLists":{edges},"meta":{{"total":"3"}}}}"#
                );
                (200, body.into_bytes())
            }
            "contactLists" => json_of(json!({"contactLists": [], "meta": {"total": "2"}})),
            "user_me" => (200, me()),
            "import/bulk_import" => (200, fixture!("good/totals.json").to_vec()),
            _ => forbidden(),
        }
    });
    adapter
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_no_record_proves_no_absence_and_stops_nobody() {
    let edge =
        |contact: &str, status: &str| json!({"contact": contact, "list": "1", "status": status});
    for odd in [
        "null",
        r#""spoilt""#,
        "7",
        r#"["102"]"#,
        r#"{"email":"bo@example.org"}"#,
    ] {
        // Whoever can't be read is on the list, in one state or another, or is not.
        for (other, opt_outs) in [(Some("1"), true), (Some("2"), false), (None, true)] {
            let mut edges = vec![edge("101", "1"), edge("103", "2")];
            edges.extend(other.map(|status| edge("102", status)));
            let adapter = with_odd_contact(odd, edges.into());
            let read = read_groups(&adapter, &[list("1")], &[], Role::Target { wanted: &[] })
                .await
                .unwrap();
            assert_eq!(read.rows("1"), "101:active 103:opted_out");
            let why = read.why("1");
            assert!(why.contains("a row of the contacts "), "{why}");
            // Additions of others go on, but where a refusal may be of anybody.
            assert_eq!(
                read.snapshot.certificates["1"].opt_outs_complete, opt_outs,
                "{why}"
            );
            assert!(read.snapshot.existence != Existence::Whole);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_list_by_version_1_that_is_no_record_may_be_anybodys() {
    for (odd_status, opt_outs) in [("1", true), ("2", false), ("3", true)] {
        let (adapter, _) = scripted(ActiveCampaignGroups::Lists, move |asked| {
            let first = asked
                .parameters
                .get("filters[id_greater]")
                .map(String::as_str)
                == Some("0");
            match asked.call.as_str() {
                "contact_list" if first => {
                    let status = asked.parameters["filters[status]"].as_str();
                    let id = format!("10{status}");
                    let row = json!({
                        "id": id, "email": format!("p{id}@example.org"), "lists": {"1": {"status": status}},
                    });
                    let mut rows = json!({"result_code": 1, "0": row});
                    if status == odd_status {
                        rows["1"] = Json::Null;
                    }
                    json_of(rows)
                }
                "contact_list" => (200, fixture!("broken/empty.json").to_vec()),
                "contactLists" => json_of(json!({"contactLists": [], "meta": {"total": "5"}})),
                "user_me" => (200, me()),
                "import/bulk_import" => (200, fixture!("good/totals.json").to_vec()),
                _ => forbidden(),
            }
        });
        let read = read_groups(&adapter, &[list("1")], &[], Role::Source)
            .await
            .unwrap();
        let why = read.why("1");
        assert!(
            read.rows("1")
                .contains("101:active 102:opted_out 103:bounced"),
            "{why}"
        );
        let place = format!("a row of the contacts of list 1 with status {odd_status} is null");
        assert!(why.contains(&place), "{why}");
        assert_eq!(
            read.snapshot.certificates["1"].opt_outs_complete, opt_outs,
            "{why}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_nobodys_is_named_with_those_whose_it_may_be() {
    let (adapter, _) = scripted(ActiveCampaignGroups::Lists, move |asked| {
        let edge = |contact: &str| json!({"contact": contact, "list": "1", "status": "1"});
        let value =
            |contact: Json, text: &str| json!({"contact": contact, "field": "4", "value": text});
        match asked.call.as_str() {
            "contacts" => json_of(json!({
                "contacts": [{"id": "101", "email": "ana@example.org"}, {"id": "102", "email": "bo@example.org"}],
                "contactLists": [edge("101"), edge("102")],
                "fieldValues": [value("101".into(), "Gold"), value(Json::Null, "Silver")],
                "meta": {"total": "2"},
            })),
            "fields" => json_of(json!({
                "fields": [{"id": "4", "perstag": "LEVEL", "title": "Level", "type": "text"}], "meta": {"total": "1"},
            })),
            "contactLists" => json_of(json!({"contactLists": [], "meta": {"total": "2"}})),
            "import/bulk_import" => (200, fixture!("good/totals.json").to_vec()),
            _ => forbidden(),
        }
    });
    let read = read_groups(&adapter, &[list("1")], &["custom.LEVEL"], Role::Source)
        .await
        .unwrap();
    // Nobody is off the list, and nobody's value is taken for cleared.
    assert_eq!(read.listing("1"), "101:active 102:active");
    assert!(read.shelf.0.keys().eq(["101"]), "{:?}", read.shelf.0);
    let unread: Vec<_> = read.snapshot.unreadable.iter().collect();
    let [(id, Unreadable::Value(why))] = unread.as_slice() else {
        panic!("{unread:?}");
    };
    assert!(*id == "102" && why.contains("custom field LEVEL"), "{why}");
}

/// Serves three contacts, of whom the second is on list 1 by a membership that is shown as `odd`,
/// and two lists: the third is on list 2, which is said to count `second` people. What is asked of
/// list 1 alone is answered where `by_list` is set.
fn with_odd_membership(odd: Json, second: &'static str, by_list: bool) -> ActiveCampaign {
    let (adapter, _) = scripted(ActiveCampaignGroups::Lists, move |asked| {
        let edge =
            |contact: &str, list: &str| json!({"contact": contact, "list": list, "status": "1"});
        let contact = |id: &str| json!({"id": id, "email": format!("p{id}@example.org")});
        let page = |ids: &[&str], edges: Json| {
            let contacts: Vec<Json> = ids.iter().map(|id| contact(id)).collect();
            let total = ids.len().to_string();
            json_of(json!({"contacts": contacts, "contactLists": edges, "meta": {"total": total}}))
        };
        match (
            asked.call.as_str(),
            asked.parameters.get("listid").map(String::as_str),
        ) {
            ("contacts", None) => page(
                &["101", "102", "103"],
                json!([edge("101", "1"), odd, edge("103", "2")]),
            ),
            ("contacts", Some("1")) if by_list => {
                page(&["101", "102"], json!([edge("101", "1"), odd]))
            }
            ("contacts", Some("2")) => page(&["103"], json!([edge("103", "2")])),
            ("contactLists", _) => {
                let is_first = asked.parameters["filters[list]"] == "1";
                let total = if is_first { "2" } else { second };
                json_of(json!({"contactLists": [], "meta": {"total": total}}))
            }
            ("user_me", _) => (200, me()),
            ("import/bulk_import", _) => (200, fixture!("good/totals.json").to_vec()),
            _ => forbidden(),
        }
    });
    adapter
}

#[tokio::test(start_paused = true)]
async fn whoever_is_on_an_unknown_list_may_be_on_any_and_holds_up_nobody_else() {
    let no_list = json!({"contact": "102", "list": null, "status": "2"});
    for (second, by_list) in [("1", true), ("1", false), ("2", true)] {
        for role in [Role::Source, Role::Target { wanted: &[] }] {
            let is_target = matches!(role, Role::Target { .. });
            let adapter = with_odd_membership(no_list.clone(), second, by_list);
            let read = read_groups(&adapter, &[list("1"), list("2")], &["email"], role)
                .await
                .unwrap();
            // Nobody may conclude that they are missing, nor that they get the mail.
            assert_eq!(read.rows("1"), "101:active 102:unconfirmed");
            assert_eq!(read.rows("2"), "102:unconfirmed 103:active");
            assert!(read.snapshot.unreadable.keys().eq(["102"]), "it is named");
            assert!(!read.shelf.0.contains_key("102"));
            // List 1 counts somebody whom only the question for that list shows to be on it.
            assert_eq!(read.is_complete("1"), by_list, "{}", read.why("1"));
            // Somebody else who is lost is not made up for.
            assert_eq!(read.is_complete("2"), second == "1", "{}", read.why("2"));
            if is_target {
                assert_eq!(read.snapshot.existence, Existence::Whole);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_membership_that_is_nobodys_makes_its_own_list_incomplete() {
    for (odd, first, second) in [
        (
            json!({"contact": "?", "list": "1", "status": "2"}),
            false,
            true,
        ),
        (
            json!({"contact": null, "list": "2", "status": "2"}),
            false,
            false,
        ),
        (json!({"status": "2"}), false, false),
    ] {
        let adapter = with_odd_membership(odd.clone(), "1", true);
        let groups = [list("1"), list("2")];
        let read = read_groups(&adapter, &groups, &[], Role::Target { wanted: &[] })
            .await
            .unwrap();
        assert_eq!(read.is_complete("1"), first, "{odd} {}", read.why("1"));
        assert_eq!(read.is_complete("2"), second, "{odd} {}", read.why("2"));
        // Who is in the account shows all the same.
        assert_eq!(read.snapshot.existence, Existence::Whole);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_may_be_longer_than_what_is_held_with_all_of_its_parts() {
    // A single row is not, and one that can't be read takes no other with it.
    let long = "x".repeat(1 << 20);
    let rows = (MAX_ANSWER >> 20) + 1;
    let row = move |id: u64| {
        let odd = if id == 2 { "\\ud83d" } else { "" };
        format!(
            r#"{{"id":"{id}","name":"List {id}{odd}","perstag":"TAG{id}{odd}","notes":"{long}"}}"#
        )
    };
    let (adapter, _) = scripted(ActiveCampaignGroups::Lists, move |asked| {
        match asked.call.as_str() {
            "lists" => json_of(json!({"lists": [], "meta": {"total": rows.to_string()}})),
            "list_list" => {
                let rows = (0..rows).map(|at| format!(r#""{at}":{}"#, row(at + 1)));
                let rows: Vec<String> = rows.collect();
                let body = format!(r#"{{{},"result_code":1}}"#, rows.join(","));
                (200, body.into_bytes())
            }
            "fields" => {
                let shown: Vec<String> = (1..=rows).map(&row).collect();
                let shown = shown.join(",");
                let body = format!(r#"{{"fields":[{shown}],"meta":{{"total":"{rows}"}}}}"#);
                (200, body.into_bytes())
            }
            _ => forbidden(),
        }
    });
    let (lists, certificate) = adapter.groups(&|_, _| false).await.unwrap();
    assert_eq!((lists.len() as u64, certificate.total), (rows, Some(rows)));
    let unread = lists.iter().filter(|list| list.unread.is_some());
    assert_eq!(
        unread.map(|list| list.id.as_str()).collect::<Vec<_>>(),
        ["2"]
    );
    let fields = adapter.custom_fields().await.unwrap();
    assert_eq!(fields.fields.len() as u64, rows - 1);
    assert_eq!(fields.unread.len(), 1);
}
