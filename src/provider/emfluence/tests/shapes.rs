//! No damaged answer may look like a shorter list.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::codec::fixture;
use crate::http::{Body, DecodeError, Reply};
use crate::model::{CustomField, GroupKind, GroupRow, ItemOutcome};
use crate::provider::emfluence::wire::contacts::{self, ProfileFields};
use crate::provider::emfluence::wire::paging::{Page, Step, Walk};
use crate::provider::emfluence::wire::{self, Answer, LISTING_ROWS, groups};
use crate::provider::hostile::{Reading, Seen, assert_the_odd_record_alone_is_lost, by_place};
use crate::provider::json::MAX_ANSWER;

/// Decodes an answer and gives the number of rows, if they are all that there are.
pub(super) type Decoder = fn(&Answer) -> Result<usize, String>;

/// A name for a damage, and what does it to the data of an answer.
type Damage = (&'static str, fn(&mut Json));

fn whole<T>(page: Result<Page<T>, DecodeError>) -> Result<usize, String> {
    let page = page.map_err(|error| format!("{error:?}"))?;
    if let Some(left_out) = page.rows.left_out("the rows", 0) {
        return Err(left_out);
    }
    let mut walk = Walk::default();
    match walk.take(&page.paging, page.rows.len())? {
        Step::Done => Ok(page.rows.len()),
        Step::Next(_) => Err("more to come".to_owned()),
    }
}

fn all_fields() -> ProfileFields {
    ProfileFields::of(&[
        "firstName".to_owned(),
        "custom.*".to_owned(),
        "custom.custom1".to_owned(),
    ])
}

const SENT: [&str; 3] = ["ana@example.org", "bo@example.org", "cy@example.test"];

pub(super) const LISTS: [(&str, &[u8], usize, Decoder); 7] = [
    (
        "groups/search",
        fixture!("good/groups_search.json"),
        4,
        |answer| whole(groups::summaries(answer)),
    ),
    (
        "groups/lookup",
        fixture!("good/groups_lookup.json"),
        2,
        |answer| {
            groups::details(answer)
                .map(|rows| rows.len())
                .map_err(|error| format!("{error:?}"))
        },
    ),
    (
        "groups/getContacts",
        fixture!("good/get_contacts.json"),
        3,
        |answer| whole(groups::listing(answer, 1, LISTING_ROWS)),
    ),
    (
        "contacts/search",
        fixture!("good/contacts_search.json"),
        3,
        |answer| whole(contacts::contacts(answer, &all_fields())),
    ),
    (
        "customFields/search",
        fixture!("good/custom_fields_search.json"),
        3,
        |answer| whole(contacts::custom_fields(answer)),
    ),
    (
        "groups/addContacts",
        fixture!("good/change_contacts.json"),
        3,
        |answer| {
            groups::membership_results(answer, &[101, 102, 103])
                .map(|rows| rows.len())
                .map_err(|error| format!("{error:?}"))
        },
    ),
    (
        "contacts/import",
        fixture!("good/contacts_import.json"),
        3,
        |answer| {
            contacts::imported(answer, &SENT)
                .map(|rows| rows.len())
                .map_err(|error| format!("{error:?}"))
        },
    ),
];

pub(super) fn decode(bytes: &[u8], decoder: Decoder) -> Result<usize, String> {
    let mut reply = Reply::from_bytes(200, Some("application/json"), bytes);
    wire::answer(&mut reply)
        .map_err(|error| format!("{error:?}"))
        .and_then(|answer| decoder(&answer))
}

fn edited(bytes: &[u8], edit: impl FnOnce(&mut Json)) -> Vec<u8> {
    let mut document: Json = serde_json::from_slice(bytes).unwrap();
    edit(&mut document);
    document.to_string().into_bytes()
}

#[test]
fn a_document_that_did_not_end_is_no_answer() {
    for (name, bytes, rows, decoder) in LISTS {
        assert_eq!(decode(bytes, decoder), Ok(rows), "{name}");
        let end = bytes.iter().rposition(|byte| *byte == b'}').unwrap();
        for cut in 0..=end {
            assert!(
                matches!(
                    wire::decode_answer(Body::from_bytes(&bytes[..cut])),
                    Err(DecodeError::NotAnAnswer(_))
                ),
                "{name} cut at {cut}"
            );
        }
        let mut tail = bytes.to_vec();
        tail.extend_from_slice(b"{}");
        assert!(
            matches!(
                wire::decode_answer(Body::from_bytes(&tail)),
                Err(DecodeError::NotAnAnswer(_))
            ),
            "{name} with a second document"
        );
    }
}

#[test]
fn what_is_not_the_list_is_never_an_empty_one() {
    for (name, bytes, _, decoder) in LISTS {
        for (what, body) in [
            ("nothing", b"".to_vec()),
            ("blanks", b" \r\n".to_vec()),
            ("html", fixture!("broken/page.html").to_vec()),
            ("null", b"null".to_vec()),
            ("an array", b"[]".to_vec()),
            ("an object", b"{}".to_vec()),
            ("no success", fixture!("broken/no_success.json").to_vec()),
            (
                "another success",
                edited(bytes, |document| document["success"] = 2.into()),
            ),
            (
                "unknown success",
                edited(bytes, |document| document["success"] = "".into()),
            ),
            (
                "failure",
                edited(bytes, |document| document["success"] = 0.into()),
            ),
            (
                "a trailing comma",
                fixture!("broken/groups_search_trailing_comma.json").to_vec(),
            ),
            (
                "data missing",
                edited(bytes, |document| {
                    drop(document.as_object_mut().unwrap().remove("data"));
                }),
            ),
            (
                "data null",
                edited(bytes, |document| document["data"] = Json::Null),
            ),
            (
                "data text",
                edited(bytes, |document| document["data"] = "".into()),
            ),
        ] {
            assert!(decode(&body, decoder).is_err(), "{name}: {what}");
        }
    }
    for (name, _, _, decoder) in LISTS {
        let empty = decode(fixture!("broken/empty_object_for_a_list.json"), decoder);
        // A look-up of groups may find none; an import may come without row results, which then say
        // nothing of any row.
        assert!(
            empty.is_err()
                || (name == "groups/lookup" && empty == Ok(0))
                || (name == "contacts/import" && empty == Ok(3)),
            "{name}"
        );
    }
}

#[test]
fn a_list_without_its_rows_or_with_a_wrong_count_is_not_whole() {
    for (name, bytes, _, decoder) in LISTS
        .into_iter()
        .filter(|(name, ..)| name.ends_with("search") || name.ends_with("getContacts"))
    {
        let edits: [Damage; 14] = [
            ("no records", |data| {
                drop(data.as_object_mut().unwrap().remove("records"));
            }),
            ("records null", |data| data["records"] = Json::Null),
            ("records as text", |data| data["records"] = "".into()),
            ("records as object", |data| {
                data["records"] = serde_json::json!({});
            }),
            ("a record that is none", |data| {
                data["records"][0] = 7.into();
            }),
            ("no paging", |data| {
                drop(data.as_object_mut().unwrap().remove("paging"));
            }),
            ("no total", |data| {
                drop(
                    data["paging"]
                        .as_object_mut()
                        .unwrap()
                        .remove("totalRecords"),
                );
            }),
            ("an empty total", |data| {
                data["paging"]["totalRecords"] = "".into();
            }),
            ("a row less", |data| {
                drop(data["records"].as_array_mut().unwrap().pop());
            }),
            ("no rows", |data| data["records"] = Json::Array(Vec::new())),
            ("a greater total", |data| {
                data["paging"]["totalRecords"] = 9.into();
            }),
            ("a smaller total", |data| {
                data["paging"]["totalRecords"] = 1.into();
            }),
            ("more pages", |data| data["paging"]["totalPages"] = 2.into()),
            ("a next page", |data| {
                data["paging"]["next"] = "page=2".into();
            }),
        ];
        for (what, edit) in edits {
            assert!(
                decode(
                    &edited(bytes, |document| edit(&mut document["data"])),
                    decoder
                )
                .is_err(),
                "{name}: {what}"
            );
        }
        let other_page = edited(bytes, |document| {
            document["data"]["paging"]["page"] = 2.into();
        });
        assert!(
            decode(&other_page, decoder).is_err(),
            "{name}: another page"
        );
    }
}

#[test]
fn a_record_that_is_too_much_is_left_out_alone() {
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let long = "x".repeat(usize::try_from(MAX_ANSWER).unwrap());
    for (notes, why) in [
        (deep, "nests too deeply and shows no id"),
        (
            format!("\"{long}\""),
            "is longer than 64 MiB and shows no id",
        ),
    ] {
        let row = |id: &str| {
            format!(
                r#"{{"notes":{notes},{id}"email":"bo@example.org","suppressed":1,"held":0,"groupName":"Donors","type":"Dynamic"}}"#
            )
        };
        let body = |row: &str| {
            let sound = |id: u8| format!(r#"{{"contactID":{id},"groupID":{id},"suppressed":0}}"#);
            let paging = r#"{"page":1,"rpp":250,"totalPages":1,"totalRecords":3,"next":""}"#;
            let rows = [&sound(1), row, &sound(3)].map(String::from).join(",");
            format!(r#"{{"success":1,"data":{{"records":[{rows}],"paging":{paging}}}}}"#)
        };
        let answer =
            |row: &str| wire::decode_answer(Body::from_bytes(body(row).as_bytes())).unwrap();
        let named = answer(&row(r#""contactID":2,"groupID":2,"#));
        let nameless = answer(&row(""));
        let left_out = Some(format!("a row of the rows {why}"));

        let page = contacts::contacts(&named, &all_fields()).unwrap();
        let contact = &page.rows.known[1];
        assert!(
            contact.unreadable && contact.suppressed == Some(true) && contact.held == Some(false)
        );
        assert_eq!(
            (contact.id, contact.email.as_deref()),
            (2, Some("bo@example.org"))
        );
        let page = contacts::contacts(&nameless, &all_fields()).unwrap();
        assert_eq!(
            (page.rows.known.len(), page.rows.left_out("the rows", 0)),
            (2, left_out.clone())
        );

        let page = groups::listing(&named, 1, LISTING_ROWS).unwrap();
        let listed = &page.rows.known[1];
        assert_eq!((listed.contact, listed.suppressed), (2, Some(true)));
        let page = groups::listing(&nameless, 1, LISTING_ROWS).unwrap();
        assert_eq!(
            (page.rows.known.len(), page.rows.left_out("the rows", 0)),
            (2, left_out.clone())
        );

        let page = groups::summaries(&named).unwrap();
        let group = &page.rows.known[1];
        assert!(
            group.unread.is_some() && group.kind == GroupKind::Dynamic,
            "{group:?}"
        );
        let page = groups::summaries(&nameless).unwrap();
        assert_eq!(
            (page.rows.known.len(), page.rows.left_out("the rows", 0)),
            (2, left_out)
        );
    }
}

#[test]
fn pages_must_belong_to_one_listing() {
    let page = |page: u64, rows_per_page: u64, pages: u64, total: u64, next: &str| {
        let body = serde_json::json!({"success": 1, "data": {"records": [],
            "paging": {"page": page, "rpp": rows_per_page, "totalPages": pages, "totalRecords": total, "next": next, "prev": ""}}});
        let answer = wire::decode_answer(Body::from_bytes(body.to_string().as_bytes())).unwrap();
        groups::summaries(&answer).unwrap().paging
    };
    let check = |second: &[(u64, u64, u64, u64, &str, usize)], expected: Result<Step, ()>| {
        let mut walk = Walk::default();
        assert_eq!(walk.take(&page(1, 2, 2, 3, "more"), 2), Ok(Step::Next(2)));
        assert_eq!(walk.pages_left(), 1);
        let (number, size, pages, total, next, rows) = second[0];
        assert_eq!(
            walk.take(&page(number, size, pages, total, next), rows)
                .map_err(drop),
            expected,
            "{second:?}"
        );
    };
    check(&[(2, 2, 2, 3, "", 1)], Ok(Step::Done));
    check(&[(2, 2, 2, 4, "", 2)], Ok(Step::Done));
    check(&[(2, 2, 3, 5, "more", 2)], Ok(Step::Next(3)));
    check(&[(2, 2, 2, 4, "", 1)], Err(()));
    check(&[(2, 2, 1, 2, "", 0)], Err(()));
    check(&[(1, 2, 2, 3, "more", 2)], Err(()));
    check(&[(2, 1, 3, 3, "", 1)], Err(()));
    check(&[(2, 2, 2, 3, "", 2)], Err(()));
    check(&[(2, 2, 2, 3, "", 0)], Err(()));
    check(&[(2, 2, 2, 3, "more", 1)], Err(()));
    let mut walk = Walk::default();
    assert!(
        walk.take(&page(1, 2, 2, 3, ""), 2).is_err(),
        "no page is announced and one is missing"
    );
    let mut walk = Walk::default();
    assert_eq!(
        walk.take(&page(1, 2, 0, 0, ""), 0),
        Ok(Step::Done),
        "an empty listing says so"
    );
    let mut walk = Walk::default();
    assert!(
        walk.take(&page(1, 0, 0, 0, ""), 0).is_err(),
        "a page of no rows"
    );
}

proptest! {
    #![proptest_config(crate::testing::cases(256))]

    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (_, _, _, decoder) in LISTS {
            prop_assert!(decode(&bytes, decoder).is_err());
        }
    }

    #[test]
    fn damage_never_panics_nor_shortens(which in 0..LISTS.len(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (name, bytes, rows, decoder) = LISTS[which];
        let mut damaged = bytes.to_vec();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        if let Ok(seen) = decode(&damaged, decoder) {
            prop_assert_eq!(seen, rows, "{} with byte {} changed", name, at);
        }
    }

    #[test]
    fn json_of_any_shape_never_panics(text in r#"(\{|\[|"data"|"records"|"success":1|:|,|\}|\]|[0-9]|""|null|true){0,40}"#) {
        for (_, _, _, decoder) in LISTS {
            for body in [text.clone(), format!("{{\"success\":1,\"data\":{text}}}")] {
                drop(decode(body.as_bytes(), decoder));
            }
        }
    }
}

/// Decodes an answer as its operation does.
fn answered<T>(
    bytes: &[u8],
    decoder: impl FnOnce(&Answer) -> Result<T, DecodeError>,
) -> Result<T, String> {
    let mut reply = Reply::from_bytes(200, Some("application/json"), bytes);
    wire::answer(&mut reply)
        .and_then(|answer| decoder(&answer))
        .map_err(|error| format!("{error:?}"))
}

fn seen_contact(contact: &contacts::Contact) -> Seen {
    Seen::new(contact.id, contact.unreadable, contact)
}

fn seen_group(group: &GroupRow) -> Seen {
    Seen::new(&group.id, group.unread.is_some(), group)
}

#[test]
fn a_record_that_cannot_be_read_takes_no_other_with_it() {
    let check = assert_the_odd_record_alone_is_lost;
    let summaries: Reading<'_> = &|bytes| {
        let page = answered(bytes, groups::summaries)?;
        Ok(page.rows.known.iter().map(seen_group).collect())
    };
    for fixture in [
        fixture!("good/groups_search.json").as_slice(),
        fixture!("odd/groups_search_types.json"),
    ] {
        check(
            "groups/search",
            fixture,
            None,
            &["groupID", "GROUPID"],
            summaries,
        );
    }
    // One group without its id makes the adapter ask for each alone.
    check(
        "groups/lookup",
        fixture!("good/groups_lookup.json"),
        Some("/data/1"),
        &["groupID"],
        &|bytes| {
            Ok(answered(bytes, groups::details)?
                .iter()
                .map(seen_group)
                .collect())
        },
    );
    for fixture in [
        fixture!("good/get_contacts.json").as_slice(),
        fixture!("odd/get_contacts_bare_array.json"),
        fixture!("odd/get_contacts_unknown_flags.json"),
    ] {
        check(
            "groups/getContacts",
            fixture,
            None,
            &["contactID"],
            &|bytes| {
                let page = answered(bytes, |answer| groups::listing(answer, 1, LISTING_ROWS))?;
                let seen = |row: &groups::ListedContact| {
                    let unread = row.unreadable || row.suppressed.is_none();
                    Seen::new(row.contact, unread, row)
                };
                Ok(page.rows.known.iter().map(seen).collect())
            },
        );
    }
    for fixture in [
        fixture!("good/contacts_search.json").as_slice(),
        fixture!("odd/contacts_search_flat_custom.json"),
    ] {
        check("contacts/search", fixture, None, &["contactID"], &|bytes| {
            let page = answered(bytes, |answer| contacts::contacts(answer, &all_fields()))?;
            Ok(page.rows.known.iter().map(seen_contact).collect())
        });
    }
    check(
        "customFields/search",
        fixture!("good/custom_fields_search.json"),
        None,
        &["systemName"],
        &|bytes| {
            let page = answered(bytes, contacts::custom_fields)?;
            let seen = |row: &Result<CustomField, String>| match row {
                Ok(field) => Seen::new(&field.system_name, false, field),
                Err(name) => Seen::new(name, true, row),
            };
            let is_named = |seen: &Seen| seen.id.starts_with("custom");
            Ok(page.rows.known.iter().map(seen).filter(is_named).collect())
        },
    );
    let lookup: Reading<'_> = &|bytes| {
        let found = answered(bytes, |answer| {
            contacts::looked_up(answer, "ana@example.org", &all_fields())
        })?;
        Ok(found.iter().map(seen_contact).collect())
    };
    check(
        "contacts/lookup",
        fixture!("good/contacts_lookup.json"),
        Some("/data"),
        &["contactID", "email"],
        lookup,
    );
    check(
        "contacts/save",
        fixture!("good/contacts_save.json"),
        Some("/data"),
        &["contactID"],
        &|bytes| Ok(vec![seen_contact(&answered(bytes, contacts::saved)?)]),
    );
    check(
        "groups/save",
        fixture!("good/groups_save.json"),
        Some("/data"),
        &["groupID"],
        &|bytes| Ok(vec![seen_group(&answered(bytes, groups::saved)?)]),
    );
    check(
        "groups/addContacts",
        fixture!("good/change_contacts.json"),
        None,
        &[],
        &|bytes| {
            let rows = answered(bytes, |answer| {
                groups::membership_results(answer, &[101, 102, 103])
            })?;
            Ok(by_place(&rows, |row| match row {
                ItemOutcome::Accepted { .. } => Some(true),
                ItemOutcome::Refused(_) => Some(false),
                _ => None,
            }))
        },
    );
    check(
        "contacts/import",
        fixture!("good/contacts_import.json"),
        None,
        &[],
        &|bytes| {
            let rows = answered(bytes, |answer| contacts::imported(answer, &SENT))?;
            Ok(by_place(&rows, |row| match row {
                contacts::ImportedRow::Taken { .. } => Some(true),
                contacts::ImportedRow::Refused(_) => Some(false),
                contacts::ImportedRow::Silent => None,
            }))
        },
    );
}
