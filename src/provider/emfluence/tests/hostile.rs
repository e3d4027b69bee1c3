//! Answers that are made to hurt: no panic, no answer out of nothing, no work that grows faster
//! than the answer.

use serde_json::Value as Json;

use super::codec::fixture;
use super::shapes::{LISTS, decode};
use crate::provider::hostile::{assert_linear, json_bodies, miscounted, poisoned};

#[test]
fn what_is_made_to_hurt_is_no_answer() {
    for (what, body) in json_bodies() {
        for (name, _, _, decoder) in LISTS {
            let error =
                decode(&body, decoder).expect_err(&format!("{name} took {what} for an answer"));
            assert!(
                error.len() < 2_000,
                "{name}, {what}: an error of {} bytes",
                error.len()
            );
        }
    }
}

#[test]
fn no_value_in_no_place_brings_a_decoder_down_or_makes_more_rows() {
    for (name, sound, rows, decoder) in LISTS {
        for body in poisoned(sound) {
            if let Ok(seen) = decode(&body, decoder) {
                assert!(seen <= rows, "{name}: {seen} rows of {rows}");
            }
        }
    }
}

#[test]
fn a_batch_whose_answer_misses_a_row_or_repeats_one_is_not_settled_by_it() {
    for (name, sound, _, decoder) in LISTS
        .into_iter()
        .filter(|(name, ..)| ["groups/addContacts", "contacts/import"].contains(name))
    {
        let document: Json = serde_json::from_slice(sound).unwrap();
        let data = document["data"].as_object().unwrap();
        let list = data
            .iter()
            .find(|(_, value)| value.is_array())
            .map(|(key, _)| format!("/data/{key}"))
            .unwrap();
        for body in miscounted(sound, &list) {
            decode(&body, decoder).expect_err(name);
        }
    }
}

#[test]
fn work_grows_with_the_answer_and_not_faster() {
    let page = |rows: usize| {
        let mut document: Json =
            serde_json::from_slice(fixture!("good/contacts_search.json")).unwrap();
        let records = document
            .pointer_mut("/data/records")
            .and_then(Json::as_array_mut)
            .unwrap();
        let record = records[0].clone();
        *records = vec![record; rows];
        document.to_string().into_bytes()
    };
    let (small, large) = (page(2_000), page(4_000));
    let (.., decoder) = LISTS[3];
    assert_linear(
        "contacts/search",
        &|| drop(decode(&small, decoder)),
        &|| drop(decode(&large, decoder)),
    );
    let long = |count: usize| {
        format!(
            "{{\"success\":1,\"data\":[{}1]}}",
            "\"\\u0041\",".repeat(count)
        )
        .into_bytes()
    };
    let (small, large) = (long(100_000), long(200_000));
    assert_linear("a long list", &|| drop(decode(&small, decoder)), &|| {
        drop(decode(&large, decoder));
    });
}
