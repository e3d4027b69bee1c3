//! What each recorded shape means.

use crate::http::{Body, DecodeError};
use crate::model::{
    FieldType, GroupKind, GroupStatus, ItemOutcome, MemberStatus, ObjectKind, Value,
};
use crate::provider::emfluence::SCHEMA;
use crate::provider::emfluence::wire::contacts::{self, ImportedRow, ProfileFields};
use crate::provider::emfluence::wire::paging::{Step, Walk};
use crate::provider::emfluence::wire::{Answer, LISTING_ROWS, decode_answer, groups};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/emfluence/", $name))
    };
}
pub(super) use fixture;

fn answer(bytes: &[u8]) -> Answer {
    decode_answer(Body::from_bytes(bytes)).unwrap_or_else(|error| panic!("{error:?}"))
}

fn fields(names: &[&str]) -> ProfileFields {
    ProfileFields::of(
        &names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    )
}

#[test]
fn a_list_of_groups_is_read_as_summaries() {
    let page = groups::summaries(&answer(fixture!("good/groups_search.json"))).unwrap();
    assert_eq!(
        Walk::default().take(&page.paging, page.rows.len()),
        Ok(Step::Done)
    );
    let kinds: Vec<_> = page
        .rows
        .known
        .iter()
        .map(|group| {
            (
                group.id.as_str(),
                group.kind,
                group.status,
                group.auto_response,
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("11", GroupKind::BuiltIn, GroupStatus::Active, false),
            ("12", GroupKind::Static, GroupStatus::Active, false),
            ("13", GroupKind::Dynamic, GroupStatus::Active, false),
            ("14", GroupKind::Static, GroupStatus::Archived, true),
        ]
    );
    assert!(
        page.rows.known.iter().all(|group| !group.detailed),
        "a summary lacks protected, externalID and notes"
    );
    assert_eq!(page.rows.known[1].member_count, Some(3));
    assert_eq!(page.rows.known[1].wire["private"], Value::Boolean(false));
    assert!(
        !page.rows.known[0].wire.contains_key("friendlyName"),
        "an empty text is no value"
    );
}

#[test]
fn a_looked_up_group_has_every_field() {
    let rows = groups::details(&answer(fixture!("good/groups_lookup.json"))).unwrap();
    assert!(rows.iter().all(|group| group.detailed));
    assert!(rows[1].test_group && !rows[0].test_group);
    let canonical = SCHEMA.to_canonical(
        ObjectKind::Group,
        &rows[0].wire,
        &crate::model::CustomFields::default(),
    );
    let text: Vec<_> = canonical
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        text,
        [
            "active_members=2",
            "created=2021-03-04 05:06:07",
            "description=People who gave",
            "display_name=Our donors",
            "external_id=D-7",
            "id=12",
            "kind=static",
            "member_count=3",
            "modified=2026-10-01 00:00:00",
            "name=Donors",
            "notes=Fed from outside",
            "owner=3",
            "permissions=3,4",
            "protected=true",
            "send_tests=false",
            "status=active",
            "visibility=public",
        ]
    );
}

#[test]
fn wobbling_types_and_other_cases_of_keys_are_understood() {
    let page = groups::summaries(&answer(fixture!("odd/groups_search_types.json"))).unwrap();
    assert_eq!(
        Walk::default().take(&page.paging, page.rows.len()),
        Ok(Step::Done)
    );
    assert_eq!(
        page.rows.known[0].wire["groupName"],
        Value::from("2024"),
        "the text of a number is kept"
    );
    assert_eq!(
        (
            page.rows.known[0].kind,
            page.rows.known[0].member_count,
            page.rows.known[0].auto_response
        ),
        (GroupKind::Static, None, false)
    );
    assert_eq!(page.rows.known[0].wire["private"], Value::Boolean(true));
    assert_eq!(
        (
            page.rows.known[1].id.as_str(),
            page.rows.known[1].member_count
        ),
        ("22", Some(12))
    );
    assert_eq!(
        (page.rows.known[2].kind, page.rows.known[2].status),
        (GroupKind::BuiltIn, GroupStatus::Archived),
        "what is not known is not written to"
    );
    assert!(
        !page.rows.known[2].wire.contains_key("private"),
        "an empty flag is unknown"
    );
}

#[test]
fn a_listing_shows_who_opted_out_of_the_group() {
    let page = groups::listing(&answer(fixture!("good/get_contacts.json")), 1, 1000).unwrap();
    let rows: Vec<_> = page
        .rows
        .known
        .iter()
        .map(|row| (row.contact, row.suppressed))
        .collect();
    assert_eq!(
        rows,
        [(101, Some(false)), (102, Some(true)), (103, Some(false))]
    );
    assert_eq!(
        page.rows.known[1].email.as_deref(),
        Some("Bo@Example.org"),
        "the spelling stays"
    );
    let page = groups::listing(
        &answer(fixture!("odd/get_contacts_unknown_flags.json")),
        1,
        LISTING_ROWS,
    )
    .unwrap();
    let flags: Vec<_> = page
        .rows
        .known
        .iter()
        .map(|row| (row.contact, row.suppressed))
        .collect();
    assert_eq!(
        flags,
        [
            (101, None),
            (102, None),
            (103, None),
            (104, Some(false)),
            (105, Some(true))
        ],
        "nothing is not the same as no"
    );
}

#[test]
fn a_bare_array_is_a_listing_only_where_nothing_can_follow() {
    let bytes = fixture!("odd/get_contacts_bare_array.json");
    let page = groups::listing(&answer(bytes), 1, LISTING_ROWS).unwrap();
    assert_eq!(
        (page.rows.len(), Walk::default().take(&page.paging, 2)),
        (2, Ok(Step::Done))
    );
    assert!(
        groups::listing(&answer(bytes), 2, LISTING_ROWS).is_err(),
        "a second page"
    );
    assert!(
        groups::listing(&answer(bytes), 1, 2).is_err(),
        "a full page"
    );
    assert!(
        contacts::contacts(&answer(bytes), &ProfileFields::default()).is_err(),
        "a search has paging"
    );
}

#[test]
fn profiles_are_read_from_searches_and_look_ups_alike() {
    let wanted = fields(&[
        "firstName",
        "zipCode",
        "customerID",
        "custom.custom1",
        "custom.custom3",
        "purl",
        "nonsense",
    ]);
    assert_eq!(
        wanted.parameter(),
        "contactID,email,held,suppressed,customerID,firstName,zipCode,custom1,custom3"
    );
    let page = contacts::contacts(&answer(fixture!("good/contacts_search.json")), &wanted).unwrap();
    let shown = |row: &contacts::Contact| {
        row.profile
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        shown(&page.rows.known[0]),
        "custom.custom1=Gold custom.custom3= firstName=Ana zipCode=00501"
    );
    assert_eq!(
        shown(&page.rows.known[1]),
        "custom.custom1= custom.custom3=10 firstName=Bo"
    );
    assert_eq!(
        page.rows
            .known
            .iter()
            .map(contacts::Contact::status)
            .collect::<Vec<_>>(),
        [
            MemberStatus::Active,
            MemberStatus::OptedOut,
            MemberStatus::Held
        ]
    );
    let found = contacts::looked_up(
        &answer(fixture!("good/contacts_lookup.json")),
        "ana@example.org",
        &wanted,
    )
    .unwrap()
    .unwrap();
    assert_eq!(
        shown(&found),
        "custom.custom1=Gold custom.custom3= customerID=00123 firstName=Ana"
    );
    let page = contacts::contacts(
        &answer(fixture!("odd/contacts_search_flat_custom.json")),
        &wanted,
    )
    .unwrap();
    assert_eq!(
        shown(&page.rows.known[0]),
        "custom.custom1=Gold customerID=123"
    );
}

#[test]
fn an_empty_value_is_none_in_whatever_form_it_comes() {
    let wanted = fields(&["firstName", "lastName", "city", "custom.custom1"]);
    for nothing in [r#""""#, r#""  ""#, "null", "[]", "{}"] {
        for custom in [
            format!(r#""customFields":{{"custom1":{nothing}}}"#),
            format!(r#""customFields":{{"custom1":{{"label":"Level","value":{nothing}}}}}"#),
            format!(r#""customFields":{nothing}"#),
            format!(r#""custom1":{nothing}"#),
        ] {
            let bytes = format!(
                r#"{{"success":1,"code":0,"data":{{"contactID":101,"email":"ana@example.org","firstName":{nothing},"lastName":"Silva",{custom}}}}}"#
            );
            let found = contacts::looked_up(&answer(bytes.as_bytes()), "ana@example.org", &wanted);
            let found = found.unwrap().unwrap();
            assert_eq!((found.unreadable, found.lacks), (false, None), "{bytes}");
            let mut profile = found.profile;
            // That a field is there shows all the same, where its name is not answered with null.
            let is_shown = nothing.starts_with('"') && custom.contains("custom1");
            assert_eq!(
                profile.remove("custom.custom1"),
                is_shown.then(|| Value::from("")),
                "{bytes}"
            );
            assert_eq!(
                profile.into_iter().collect::<Vec<_>>(),
                [("lastName".into(), Value::from("Silva"))],
                "{bytes}"
            );
        }
    }
}

#[test]
fn what_is_there_and_not_understood_is_no_empty_value() {
    let wanted = fields(&["firstName", "custom.custom1"]);
    let lacks = |fields: &str, wanted: &ProfileFields| {
        let bytes = format!(
            r#"{{"success":1,"code":0,"data":{{"contactID":101,"email":"ana@example.org",{fields}}}}}"#
        );
        let found = contacts::looked_up(&answer(bytes.as_bytes()), "ana@example.org", wanted);
        found.unwrap().unwrap().lacks
    };
    for odd in [r#"["Gold"]"#, r#"{"text":"Gold"}"#] {
        for shown in [
            format!(r#""firstName":{odd}"#),
            format!(r#""custom1":{odd}"#),
            format!(r#""customFields":{{"custom1":{odd}}}"#),
            format!(r#""customFields":{{"custom1":{{"label":"Level","value":{odd}}}}}"#),
        ] {
            assert!(lacks(&shown, &wanted).is_some(), "{shown}");
            assert_eq!(lacks(&shown, &fields(&["lastName"])), None, "{shown}");
        }
    }
    let no_value = r#""customFields":{"custom1":{"label":"Level"}}"#;
    assert!(lacks(no_value, &wanted).is_some());
    for odd in [r#""Gold""#, r#"["Gold"]"#, "7"] {
        let shown = format!(r#""customFields":{odd}"#);
        assert!(lacks(&shown, &wanted).is_some(), "{shown}");
        // They stand on the record as well, where all is there that is asked for.
        assert_eq!(lacks(&format!(r#"{shown},"custom1":"x""#), &wanted), None);
    }
    for sound in [
        r#""customFields":[]"#,
        r#""customFields":{}"#,
        r#""customFields":"""#,
        r#""custom1":true"#,
        r#""custom1":{"label":"Level","Value":null}"#,
    ] {
        assert_eq!(lacks(sound, &wanted), None, "{sound}");
    }
}

#[test]
fn a_look_up_finds_the_address_or_nobody() {
    let none = ProfileFields::default();
    for nobody in [
        br#"{"success":1,"code":0,"data":{}}"#.as_slice(),
        br#"{"success":1,"code":0,"data":[]}"#,
    ] {
        assert_eq!(
            contacts::looked_up(&answer(nobody), "ana@example.org", &none),
            Ok(None)
        );
    }
    for no_answer in [
        br#"{"success":1,"code":0}"#.as_slice(),
        br#"{"success":1,"data":null}"#,
        br#"{"success":1,"data":""}"#,
    ] {
        assert!(matches!(
            contacts::looked_up(&answer(no_answer), "ana@example.org", &none),
            Err(DecodeError::Protocol(_))
        ));
    }
    let other = contacts::looked_up(
        &answer(fixture!("good/contacts_lookup.json")),
        "bo@example.org",
        &none,
    );
    assert!(
        matches!(other, Err(DecodeError::Protocol(_))),
        "somebody else is no answer"
    );
}

#[test]
fn refusals_keep_the_code_the_words_and_the_request() {
    let Err(DecodeError::Refused(refusal)) =
        decode_answer(Body::from_bytes(fixture!("odd/duplicate.json")))
    else {
        panic!("not refused")
    };
    assert_eq!(
        (refusal.code.as_deref(), refusal.message.as_str()),
        (Some("301"), "Another contact has this email.")
    );
    assert!(refusal.request_id.is_some());
    let Err(DecodeError::Refused(refusal)) =
        decode_answer(Body::from_bytes(fixture!("odd/errors_as_objects.json")))
    else {
        panic!("not refused")
    };
    assert_eq!(refusal.message, r#"First.; {"field":"email"}; Third."#);
}

#[test]
fn row_results_are_matched_by_position_and_checked() {
    let good = answer(fixture!("good/change_contacts.json"));
    let results = groups::membership_results(&good, &[101, 102, 103]).unwrap();
    let accepted = |id: &str| ItemOutcome::Accepted {
        id: Some(id.to_owned()),
    };
    let [first, ItemOutcome::Refused(refusal), third] = results.as_slice() else {
        panic!("{results:?}")
    };
    assert_eq!((first, third), (&accepted("101"), &accepted("103")));
    assert_eq!(refusal.message, "The contact is suppressed.");
    assert!(
        groups::membership_results(&good, &[101, 103, 102]).is_err(),
        "another order"
    );
    assert!(
        groups::membership_results(&good, &[101, 102]).is_err(),
        "another number"
    );
    assert_eq!(
        groups::membership_results(
            &answer(fixture!("odd/change_contacts_other_key.json")),
            &[101]
        )
        .unwrap(),
        [accepted("101")]
    );
    let counts = br#"{"success":1,"data":{"totalSuccess":1,"totalErrors":1,"contactResults":[{"contactID":101,"success":1}]}}"#;
    assert!(
        groups::membership_results(&answer(counts), &[101]).is_err(),
        "counts that disagree"
    );
}

#[test]
fn import_results_say_what_they_say() {
    let sent = ["ana@example.org", "bo@example.org", "cy@example.test"];
    let rows = contacts::imported(&answer(fixture!("good/contacts_import.json")), &sent).unwrap();
    assert_eq!(rows[0], ImportedRow::Taken { contact: Some(101) });
    assert!(
        matches!(&rows[1], ImportedRow::Refused(refusal) if refusal.message == "The email is not valid.")
    );
    assert_eq!(
        rows[2],
        ImportedRow::Taken { contact: Some(103) },
        "another case of the address is the same address"
    );
    assert!(
        contacts::imported(
            &answer(fixture!("good/contacts_import.json")),
            &[sent[1], sent[0], sent[2]]
        )
        .is_err()
    );
    let counts = answer(fixture!("odd/import_counts_only.json"));
    assert_eq!(
        contacts::imported(&counts, &sent).unwrap(),
        vec![ImportedRow::Taken { contact: None }; 3]
    );
    assert_eq!(
        contacts::imported(&counts, &sent[..2]).unwrap(),
        vec![ImportedRow::Silent; 2]
    );
    let silent =
        br#"{"success":1,"data":{"contactResults":[{},{"contactID":5},{"errors":["No."]}]}}"#;
    let rows = contacts::imported(&answer(silent), &sent).unwrap();
    assert!(matches!(
        rows.as_slice(),
        [
            ImportedRow::Silent,
            ImportedRow::Taken { contact: Some(5) },
            ImportedRow::Refused(_)
        ]
    ));
}

#[test]
fn custom_fields_are_read_with_their_types() {
    let page =
        contacts::custom_fields(&answer(fixture!("good/custom_fields_search.json"))).unwrap();
    let shown: Vec<_> = page
        .rows
        .known
        .iter()
        .map(|field| field.as_ref().unwrap())
        .map(|field| (field.system_name.as_str(), field.kind, field.max_length))
        .collect();
    assert_eq!(
        shown,
        [
            ("custom1", FieldType::Text, Some(50)),
            ("custom2", FieldType::Timestamp, None),
            ("custom3", FieldType::Text, None)
        ],
        "a decimal stays a text"
    );
}

#[test]
fn every_row_of_the_tables_names_its_source_once() {
    for object in [ObjectKind::Group, ObjectKind::Member] {
        let rows = SCHEMA.fields(object);
        let distinct = |pick: fn(&crate::model::FieldSpec) -> &'static str| {
            rows.iter()
                .map(pick)
                .collect::<std::collections::BTreeSet<_>>()
                .len()
        };
        assert_eq!(distinct(|row| row.wire), rows.len());
        assert_eq!(distinct(|row| row.canonical), rows.len());
        assert!(rows.iter().all(|row| !row.source.is_empty()));
    }
}
