//! No damaged answer may look like a shorter list.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use super::codec::{fixture, page_of};
use crate::http::{Body, DecodeError};
use crate::model::GroupRow;
use crate::provider::activecampaign::wire::contacts::{self, ProfileFields};
use crate::provider::activecampaign::wire::{
    V1Answer, decode_v1, decode_v1_listing, decode_v3, groups, import, lists, users,
};
use crate::provider::hostile::{Reading, Seen, assert_the_odd_record_alone_is_lost, by_place};
use crate::provider::json::{Document, MAX_ANSWER, Rows};

pub(super) type Decoder = fn(&[u8]) -> Result<usize, DecodeError>;

/// Name, whether it is of version 1, fixture, rows, decoder.
pub(super) type Listing = (&'static str, bool, &'static [u8], usize, Decoder);

/// Holds the rows against the total, as the reading of pages does.
fn whole(rows: usize, total: Option<u64>) -> Result<usize, DecodeError> {
    if total == Some(rows as u64) {
        Ok(rows)
    } else {
        Err(DecodeError::Protocol("the total disagrees".to_owned()))
    }
}

/// Counts the rows of a listing of which none is left out.
fn all_of<T>(rows: Rows<T>) -> Result<usize, DecodeError> {
    match rows.left_out("the rows", 0) {
        None => Ok(rows.len()),
        Some(left_out) => Err(DecodeError::Protocol(left_out)),
    }
}

pub(super) const LISTINGS: [Listing; 8] = [
    (
        "list_list",
        true,
        fixture!("good/list_list.json"),
        2,
        |bytes| {
            let answer = something(decode_v1_listing(Body::from_bytes(bytes))?)?;
            lists::summaries(&answer).and_then(all_of)
        },
    ),
    (
        "list_view",
        true,
        fixture!("good/list_view.json"),
        3,
        |bytes| lists::full(&something(decode_v1(bytes)?)?).map(|list| list.granted.len()),
    ),
    (
        "contact_list",
        true,
        fixture!("good/contact_list.json"),
        2,
        |bytes| {
            let answer = something(decode_v1_listing(Body::from_bytes(bytes))?)?;
            contacts::listed_rows(&answer, 0, &ProfileFields::default()).and_then(all_of)
        },
    ),
    (
        "contacts",
        false,
        fixture!("good/contacts.json"),
        4,
        |bytes| {
            let page = contacts::contacts(&page(bytes)?, 0, &ProfileFields::default())?;
            whole(all_of(page.contacts)?, page.total)
        },
    ),
    (
        "contactLists",
        false,
        fixture!("good/memberships.json"),
        3,
        |bytes| lists::member_total(&decode_v3(200, bytes)?, 1).map(|total| total as usize),
    ),
    ("fields", false, fixture!("good/fields.json"), 3, |bytes| {
        lists::definitions(&page(bytes)?).and_then(|(rows, total)| whole(all_of(rows)?, total))
    }),
    (
        "groups",
        false,
        fixture!("good/user_groups.json"),
        3,
        |bytes| {
            groups::summaries(&page(bytes)?).and_then(|(rows, total)| whole(all_of(rows)?, total))
        },
    ),
    ("users", false, fixture!("good/users.json"), 2, |bytes| {
        users::users(&page(bytes)?).and_then(|(rows, _)| all_of(rows))
    }),
];

fn page(bytes: &[u8]) -> Result<Document, DecodeError> {
    Document::read(Body::from_bytes(bytes))
}

/// Takes what an answer of version 1 has found; nothing is a refusal here.
fn something<T>(answer: V1Answer<T>) -> Result<T, DecodeError> {
    match answer {
        V1Answer::Something(found) => Ok(found),
        V1Answer::Empty(refusal) => Err(DecodeError::Refused(refusal)),
    }
}

fn edited(bytes: &[u8], edit: impl FnOnce(&mut Map<String, Json>)) -> Vec<u8> {
    let mut document: Json = serde_json::from_slice(bytes).unwrap();
    edit(document.as_object_mut().unwrap());
    document.to_string().into_bytes()
}

#[test]
fn a_document_that_did_not_end_is_no_answer() {
    for (name, _, bytes, rows, decoder) in LISTINGS {
        assert_eq!(decoder(bytes), Ok(rows), "{name}");
        let end = bytes.iter().rposition(|byte| *byte == b'}').unwrap();
        for cut in 0..=end {
            assert!(
                matches!(decoder(&bytes[..cut]), Err(DecodeError::NotAnAnswer(_))),
                "{name} cut at {cut}"
            );
        }
    }
}

#[test]
fn what_is_not_the_list_is_never_an_empty_one() {
    for (name, v1, bytes, _, decoder) in LISTINGS {
        for (what, body) in [
            ("nothing", b"".to_vec()),
            ("html", fixture!("broken/page.html").to_vec()),
            ("xml", fixture!("broken/error.xml").to_vec()),
            ("null", b"null".to_vec()),
            ("an array", b"[]".to_vec()),
            ("an object", b"{}".to_vec()),
            (
                "a favourable envelope alone",
                br#"{"result_code":1,"result_message":"Success","result_output":"json"}"#.to_vec(),
            ),
            (
                "an unfavourable one",
                fixture!("broken/empty.json").to_vec(),
            ),
        ] {
            assert!(decoder(&body).is_err(), "{name}: {what}");
        }
        if v1 {
            assert!(
                decoder(&edited(bytes, |fields| drop(fields.remove("result_code")))).is_err(),
                "{name}"
            );
            assert!(
                decoder(&edited(bytes, |fields| drop(
                    fields.insert("result_code".into(), 0.into())
                )))
                .is_err(),
                "{name}"
            );
        } else {
            let list = bytes
                .iter()
                .skip_while(|byte| **byte != b'"')
                .skip(1)
                .take_while(|byte| **byte != b'"')
                .map(|byte| *byte as char);
            let list: String = list.collect();
            for value in [
                Json::Null,
                Json::Object(Map::new()),
                "".into(),
                serde_json::json!([7]),
            ] {
                let body = edited(bytes, |fields| {
                    drop(fields.insert(list.clone(), value.clone()));
                });
                assert!(decoder(&body).is_err(), "{name}: {list} is {value}");
            }
        }
    }
}

#[test]
fn a_page_without_its_rows_is_not_whole() {
    for (name, _, bytes, _, decoder) in LISTINGS
        .into_iter()
        .filter(|(name, ..)| ["contacts", "fields", "groups"].contains(name))
    {
        let rows = |edit: fn(&mut Vec<Json>)| {
            edited(bytes, |fields| {
                edit(fields.get_mut(name).unwrap().as_array_mut().unwrap());
            })
        };
        assert!(decoder(&rows(Vec::clear)).is_err(), "{name}");
        assert!(decoder(&rows(|rows| drop(rows.pop()))).is_err(), "{name}");
        assert!(decoder(&rows(|rows| rows[0] = 7.into())).is_err(), "{name}");
        assert!(
            decoder(&edited(bytes, |fields| drop(fields.remove("meta")))).is_err(),
            "{name}"
        );
    }
    let (_, _, bytes, _, decoder) = LISTINGS[3];
    let no_sides = edited(bytes, |fields| fields["contactLists"] = "".into());
    assert!(decoder(&no_sides).is_err());
}

/// Decodes the fixture of contacts after an edit: who can't be read, how many have no id, and the
/// lists of memberships that are nobody's.
fn odd_page(edit: impl FnOnce(&mut Map<String, Json>)) -> (Vec<u64>, u64, BTreeSet<Option<u64>>) {
    let bytes = edited(fixture!("good/contacts.json"), edit);
    let page = contacts::contacts(&page_of(&bytes), 0, &ProfileFields::default()).unwrap();
    let known = page.contacts.known.iter();
    let unreadable = known.filter(|contact| contact.unreadable);
    let unreadable = unreadable.map(|contact| contact.id).collect();
    let strays = page.strays.into_keys().collect();
    (unreadable, page.contacts.without_id, strays)
}

#[test]
fn what_belongs_to_a_contact_and_cannot_be_read_is_that_contacts_trouble_alone() {
    let no_status = odd_page(|fields| fields["contactLists"][0]["status"] = Json::Null);
    let none = BTreeSet::new();
    assert_eq!(no_status, (vec![101], 0, none.clone()));
    let no_list = odd_page(|fields| fields["contactLists"][0]["list"] = Json::Null);
    assert_eq!(no_list, (vec![101], 0, none.clone()));
    let no_contact = odd_page(|fields| fields["contactLists"][0]["contact"] = Json::Null);
    assert_eq!(no_contact, (vec![], 0, BTreeSet::from([Some(1)])));
    // A row that is no record at all, or a membership that may be of whoever can't be read.
    let no_row = odd_page(|fields| fields["contactLists"][0] = "spoilt".into());
    assert_eq!(no_row, (vec![], 0, BTreeSet::from([None])));
    let neither = odd_page(|fields| fields["contactLists"][0] = serde_json::json!({"status": "1"}));
    assert_eq!(neither, (vec![], 0, BTreeSet::from([None])));
    // Whoever can't be read has refused list 1, of which the opt-outs are not all there then.
    let refuser = odd_page(|fields| fields["contacts"][1]["id"] = Json::Null);
    assert_eq!(refuser, (vec![], 1, BTreeSet::from([Some(1)])));
    // The other contacts are those whom an unread one has no refusal beside.
    let nameless = odd_page(|fields| fields["contacts"][3]["id"] = Json::Null);
    assert_eq!(nameless, (vec![], 1, none));
}

/// Decodes the fixture of contacts after an edit of a row of its custom values: whose profile may
/// lack one, with the sentence.
fn lacking(tags: &[&str], edit: impl FnOnce(&mut Json)) -> Vec<(u64, String)> {
    let bytes = edited(fixture!("good/contacts.json"), |fields| {
        edit(&mut fields["fieldValues"]);
    });
    let tags: Vec<String> = tags.iter().map(|tag| format!("custom.{tag}")).collect();
    let definition = |id, tag: &str| lists::Definition {
        id,
        tag: tag.to_owned(),
        title: tag.to_owned(),
        kind: String::new(),
        unreadable: false,
    };
    let definitions = [definition(4, "LEVEL"), definition(9, "INTERESTS")];
    let wanted = ProfileFields::of(&tags, &definitions);
    let page = contacts::contacts(&page_of(&bytes), 0, &wanted).unwrap();
    assert!(
        page.contacts
            .known
            .iter()
            .all(|contact| !contact.unreadable)
    );
    let known = page.contacts.known.into_iter();
    known
        .filter_map(|contact| Some((contact.id, contact.lacks?)))
        .collect()
}

#[test]
fn a_value_that_is_nobodys_puts_those_in_doubt_who_show_none_of_its_field() {
    let ids = |lacking: Vec<(u64, String)>| -> Vec<u64> {
        lacking.into_iter().map(|(id, _)| id).collect()
    };
    let both = ["LEVEL", "INTERESTS"];
    assert!(lacking(&both, |_| ()).is_empty());
    // It was that of 101; 102 shows an empty one.
    let nobodys = lacking(&both, |rows| rows[0]["contact"] = Json::Null);
    assert!(nobodys[0].1.contains("custom field LEVEL"), "{nobodys:?}");
    assert_eq!(ids(nobodys), [101, 103, 104]);
    // Of no field either, so that only who shows all of them has theirs.
    for odd in [Json::Null, 7.into(), serde_json::json!({"value": "Gold"})] {
        assert_eq!(ids(lacking(&both, |rows| rows[1] = odd)), [102, 103, 104]);
    }
    // A field that nobody asks for is no matter.
    assert!(lacking(&["LEVEL"], |rows| rows[2]["contact"] = Json::Null).is_empty());
    // Without a value it is none of that field either, nor an empty one.
    let no_value = |rows: &mut Json| drop(rows[0].as_object_mut().unwrap().remove("value"));
    assert_eq!(ids(lacking(&both, no_value)), [101]);
    // One that says whose it is and not of which field is that contact's own trouble, if any.
    let no_field = |rows: &mut Json| rows[0]["field"] = "?".into();
    assert_eq!(ids(lacking(&both, no_field)), [101]);
    assert!(lacking(&["INTERESTS"], no_field).is_empty());
}

/// Rows that are no record, or too much of one, and what is said of those.
fn odd_rows() -> Vec<(String, &'static str)> {
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let long = "x".repeat(usize::try_from(MAX_ANSWER).unwrap());
    vec![
        ("null".to_owned(), "is null and no record"),
        ("\"spoilt\"".to_owned(), "is a text and no record"),
        ("7".to_owned(), "is a number and no record"),
        ("[]".to_owned(), "is a list and no record"),
        (deep.clone(), "nests too deeply and shows no id"),
        (
            format!("{{\"notes\":{deep}}}"),
            "nests too deeply and shows no id",
        ),
        (
            format!("{{\"notes\":\"{long}\"}}"),
            "is longer than 64 MiB and shows no id",
        ),
    ]
}

#[test]
fn a_row_that_is_no_record_or_too_much_of_one_is_left_out_alone() {
    // Of contacts on either interface, lists, user groups, users and custom fields: the ids that are
    // read, and the sentence.
    type Decoded = (Vec<u64>, Option<String>);
    let rows = |what: &str, bytes: &[u8], v1: bool| -> Result<Decoded, String> {
        fn told<T>(rows: Rows<T>, id: impl Fn(&T) -> u64) -> Decoded {
            (
                rows.known.iter().map(id).collect(),
                rows.left_out("the rows", 10),
            )
        }
        let group = |row: &GroupRow| row.id.parse().unwrap();
        let profile = ProfileFields::default();
        listed(bytes, v1, |answer| match what {
            "contacts" => contacts::contacts(answer, 0, &profile)
                .map(|page| told(page.contacts, |contact| contact.id)),
            "contact_list" => contacts::listed_rows(answer, 0, &profile)
                .map(|rows| told(rows, |contact| contact.id)),
            "list_list" => lists::summaries(answer).map(|rows| told(rows, group)),
            "groups" => groups::summaries(answer).map(|(rows, _)| told(rows, group)),
            "users" => users::users(answer).map(|(rows, _)| told(rows, |user| user.id)),
            _ => lists::definitions(answer).map(|(rows, _)| told(rows, |field| field.id)),
        })
    };
    for (odd, why) in odd_rows() {
        for what in [
            "contacts",
            "contact_list",
            "list_list",
            "groups",
            "users",
            "fields",
        ] {
            let v1 = ["contact_list", "list_list"].contains(&what);
            let body = if v1 {
                format!(r#"{{"result_code":1,"0":{{"id":"5"}},"1":{odd},"2":{{"id":"8"}}}}"#)
            } else {
                format!(r#"{{"{what}":[{{"id":"5"}},{odd},{{"id":"8"}}]}}"#)
            };
            let (ids, left_out) = rows(what, body.as_bytes(), v1).unwrap();
            assert_eq!(ids, [5, 8], "{what}: a row that {why}");
            assert_eq!(
                left_out.unwrap(),
                format!("a row of the rows {why}"),
                "{what}"
            );
        }
    }
    // One that shows its id is left out under it, by whatever says that a record can't be read.
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let body = format!(
        r#"{{"contacts":[{{"notes":{deep},"id":"7","email":"ana@example.org"}}],"contactLists":[{{"notes":{deep},"contact":"7","list":"1","status":"2"}}]}}"#
    );
    let page = contacts::contacts(&page_of(body.as_bytes()), 0, &ProfileFields::default()).unwrap();
    let contact = &page.contacts.known[0];
    assert!(contact.unreadable && page.contacts.without_id == 0 && page.strays.is_empty());
    assert_eq!(contact.email.as_deref(), Some("ana@example.org"));
    assert_eq!(contact.memberships.as_deref(), Some(&[(1, 2)][..]));
    let body = format!(r#"{{"result_code":1,"0":{{"id":"7","lists":{deep}}}}}"#);
    let rows = listed(body.as_bytes(), true, |answer| {
        contacts::listed_rows(answer, 0, &ProfileFields::default())
    });
    let contact = &rows.unwrap().known[0];
    assert!(contact.unreadable && contact.on_unknown_list && contact.memberships.is_none());
}

proptest! {
    #![proptest_config(crate::testing::cases(256))]

    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (_, _, _, _, decoder) in LISTINGS {
            prop_assert!(decoder(&bytes).is_err());
        }
    }

    #[test]
    fn damage_never_panics_nor_shortens(which in 0..LISTINGS.len(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (name, _, bytes, rows, decoder) = LISTINGS[which];
        let mut damaged = bytes.to_vec();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        // A total is one digit that may be changed; the rows of a listing are what must not get
        // fewer.
        if let Ok(seen) = decoder(&damaged) {
            prop_assert!(seen == rows || ["contactLists", "list_list", "contact_list", "list_view"].contains(&name), "{} with byte {} changed", name, at);
        }
    }

    #[test]
    fn json_of_any_shape_never_panics(text in r#"(\{|\[|"contacts"|"contactLists"|"0"|"id"|"result_code":1|:|,|\}|\]|[0-9]|""|null|true){0,40}"#) {
        for (_, _, _, _, decoder) in LISTINGS {
            for body in [text.clone(), format!("{{\"result_code\":1,\"contacts\":{text}}}")] {
                drop(decoder(body.as_bytes()));
            }
        }
    }
}

/// Decodes an answer of version 1, or else of version 3.
fn answered<T>(
    bytes: &[u8],
    v1: bool,
    decoder: impl FnOnce(&Map<String, Json>) -> Result<T, DecodeError>,
) -> Result<T, String> {
    let fields = if v1 {
        decode_v1(bytes).and_then(something)
    } else {
        decode_v3(200, bytes)
    };
    fields.and_then(|fields| decoder(&fields)).map_err(said)
}

/// Decodes a listing of version 1, or else a page of version 3.
fn listed<T>(
    bytes: &[u8],
    v1: bool,
    decoder: impl FnOnce(&Document) -> Result<T, DecodeError>,
) -> Result<T, String> {
    let answer = if v1 {
        decode_v1_listing(Body::from_bytes(bytes)).and_then(something)
    } else {
        page(bytes)
    };
    answer.and_then(|answer| decoder(&answer)).map_err(said)
}

fn said(error: DecodeError) -> String {
    format!("{error:?}")
}

fn seen_contact(contact: &contacts::Contact) -> Seen {
    Seen::new(contact.id, contact.unreadable, contact)
}

fn seen_group(group: &GroupRow) -> Seen {
    Seen::new(&group.id, group.unread.is_some(), group)
}

fn seen_user(user: &users::User) -> Seen {
    Seen::new(user.id, user.unreadable, user)
}

#[test]
fn a_record_that_cannot_be_read_takes_no_other_with_it() {
    let check = assert_the_odd_record_alone_is_lost;
    let summaries: Reading<'_> = &|bytes| {
        let rows = listed(bytes, true, lists::summaries)?;
        Ok(rows.known.iter().map(seen_group).collect())
    };
    for fixture in [
        fixture!("good/list_list.json").as_slice(),
        fixture!("odd/list_list_numbers.json"),
    ] {
        check("list_list", fixture, None, &["id"], summaries);
    }
    // One list without its id makes the adapter ask for each alone.
    check(
        "list_list in full",
        fixture!("good/list_list_full.json"),
        Some("/0"),
        &["id"],
        &|bytes| {
            let rows = listed(bytes, true, lists::full_rows)?;
            Ok(rows.iter().map(seen_group).collect())
        },
    );
    for fixture in [
        fixture!("good/list_view.json").as_slice(),
        fixture!("odd/list_view_empty_maps.json"),
    ] {
        check(
            "list_view",
            fixture,
            Some(""),
            &["id", "result_code"],
            &|bytes| {
                let list = answered(bytes, true, lists::full)?;
                let shown = (&list.row, &list.granted);
                Ok(vec![Seen::new(
                    &list.row.id,
                    list.row.unread.is_some(),
                    &shown,
                )])
            },
        );
    }
    let profile = ProfileFields::of(
        &["first_name", "email", "field.LEVEL", "field.INTERESTS"].map(str::to_owned),
        &[],
    );
    check(
        "contact_list",
        fixture!("good/contact_list.json"),
        None,
        &["id", "subscriberid"],
        &|bytes| {
            let rows = listed(bytes, true, |answer| {
                contacts::listed_rows(answer, 0, &profile)
            })?;
            Ok(rows.known.iter().map(seen_contact).collect())
        },
    );
    check(
        "contact_view",
        fixture!("good/contact_view.json"),
        Some(""),
        &["id", "subscriberid", "result_code"],
        &|bytes| {
            let found = answered(bytes, true, |fields| contacts::viewed(fields, &profile))?;
            Ok(vec![seen_contact(&found)])
        },
    );
    for fixture in [
        fixture!("good/contacts.json").as_slice(),
        fixture!("odd/contacts_numbers.json"),
    ] {
        check("contacts", fixture, None, &["id"], &|bytes| {
            let page = contacts::contacts(&page_of(bytes), 0, &profile)
                .map_err(|error| format!("{error:?}"))?;
            // A membership that may be anybody's leaves nobody's certain.
            let seen = |contact: &contacts::Contact| Seen {
                unread: contact.unreadable || !page.strays.is_empty(),
                ..seen_contact(contact)
            };
            Ok(page.contacts.known.iter().map(seen).collect())
        });
    }
    check(
        "fields",
        fixture!("good/fields.json"),
        None,
        &["id"],
        &|bytes| {
            let (rows, _) = listed(bytes, false, lists::definitions)?;
            let seen = |field: &lists::Definition| Seen::new(field.id, field.unreadable, field);
            Ok(rows.known.iter().map(seen).collect())
        },
    );
    check(
        "groups",
        fixture!("good/user_groups.json"),
        None,
        &["id"],
        &|bytes| {
            let (rows, _) = listed(bytes, false, groups::summaries)?;
            Ok(rows.known.iter().map(seen_group).collect())
        },
    );
    check(
        "group_view",
        fixture!("good/group_view.json"),
        Some(""),
        &["id", "result_code"],
        &|bytes| Ok(vec![seen_group(&answered(bytes, true, groups::full)?)]),
    );
    check(
        "users",
        fixture!("good/users.json"),
        None,
        &["id"],
        &|bytes| {
            let (rows, _) = listed(bytes, false, users::users)?;
            Ok(rows.known.iter().map(seen_user).collect())
        },
    );
    check(
        "user_view",
        fixture!("good/user_view.json"),
        Some(""),
        &["id", "result_code"],
        &|bytes| Ok(vec![seen_user(&answered(bytes, true, users::user)?)]),
    );
    check(
        "userGroup",
        fixture!("good/user_edge.json"),
        Some("/userGroup"),
        &["user", "userid", "group", "groupid"],
        &|bytes| {
            let group = answered(bytes, false, |fields| users::group_of(fields, 30))?;
            Ok(vec![Seen::new(group, false, &group)])
        },
    );
    check(
        "import",
        fixture!("good/import.json"),
        Some(""),
        &["success", "batchId"],
        &|bytes| {
            let batch = answered(bytes, false, import::queued)?;
            Ok(vec![Seen::new(&batch, false, &batch)])
        },
    );
    check(
        "import/info",
        fixture!("good/import_done.json"),
        None,
        &[],
        &|bytes| {
            let import::Progress::Completed(failed) = answered(bytes, false, import::progress)?
            else {
                return Err("it is not over".to_owned());
            };
            Ok(by_place(&failed, |failed| {
                failed.is_some().then_some(false)
            }))
        },
    );
    check(
        "import/totals",
        fixture!("good/totals.json"),
        None,
        &[],
        &|bytes| {
            let outstanding = answered(bytes, false, import::is_outstanding)?;
            Ok(vec![Seen::new("any", false, &outstanding)])
        },
    );
}
