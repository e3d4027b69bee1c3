//! Answers that are made to hurt: no panic, no answer out of nothing, no work that grows faster
//! than the answer.

use serde_json::Value as Json;

use super::codec::fixture;
use super::shapes::LISTINGS;
use crate::provider::hostile::{assert_linear, json_bodies, poisoned};

#[test]
fn what_is_made_to_hurt_is_no_answer() {
    for (what, body) in json_bodies() {
        for (name, _, _, _, decoder) in LISTINGS {
            let Err(error) = decoder(&body) else {
                panic!("{name} took {what} for an answer")
            };
            let said = format!("{error:?}");
            assert!(
                said.len() < 2_000,
                "{name}, {what}: an error of {} bytes",
                said.len()
            );
        }
    }
}

#[test]
fn no_value_in_no_place_brings_a_decoder_down() {
    for (_, _, sound, _, decoder) in LISTINGS {
        for body in poisoned(sound) {
            drop(decoder(&body));
        }
    }
}

#[test]
fn work_grows_with_the_answer_and_not_faster() {
    let page = |rows: usize| {
        let mut document: Json = serde_json::from_slice(fixture!("good/contacts.json")).unwrap();
        let contacts = document
            .pointer_mut("/contacts")
            .and_then(Json::as_array_mut)
            .unwrap();
        let sound = contacts.clone();
        *contacts = sound.into_iter().cycle().take(rows).collect();
        let template = contacts[0].clone();
        for (at, contact) in contacts.iter_mut().enumerate() {
            *contact = template.clone();
            contact["id"] = Json::String((at + 1).to_string());
        }
        document.to_string().into_bytes()
    };
    let (small, large) = (page(1_000), page(2_000));
    let (_, _, _, _, decoder) = LISTINGS[3];
    assert_linear("contacts", &|| drop(decoder(&small)), &|| {
        drop(decoder(&large));
    });
    let links = |rows: usize| {
        let mut document: Json = serde_json::from_slice(fixture!("good/contacts.json")).unwrap();
        for list in ["/contactLists", "/fieldValues"] {
            if let Some(rows_of) = document
                .pointer_mut(list)
                .and_then(Json::as_array_mut)
                .filter(|rows| !rows.is_empty())
            {
                let row = rows_of[0].clone();
                *rows_of = vec![row; rows];
            }
        }
        document.to_string().into_bytes()
    };
    let (small, large) = (links(4_000), links(8_000));
    assert_linear(
        "memberships beside contacts",
        &|| drop(decoder(&small)),
        &|| drop(decoder(&large)),
    );
}
