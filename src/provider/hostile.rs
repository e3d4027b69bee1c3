//! Bodies that are made to hurt whoever reads them, for the tests of every decoder.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// How deep or how often what is repeated is repeated.
const MANY: usize = 100_000;

/// JSON that no decoder may take for an answer, or that hurts a careless one.
pub(super) fn json_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let envelope = |data: &str| {
        format!("{{\"success\":1,\"result_code\":1,\"data\":{data},\"contacts\":{data}}}")
            .into_bytes()
    };
    vec![
        ("nothing", Vec::new()),
        ("arrays, open", "[".repeat(MANY).into_bytes()),
        ("objects, open", "{\"a\":".repeat(MANY).into_bytes()),
        (
            "arrays in the answer",
            envelope(&format!("{}{}", "[".repeat(MANY), "]".repeat(MANY))),
        ),
        (
            "objects in the answer",
            envelope(&format!("{}1{}", "{\"a\":".repeat(MANY), "}".repeat(MANY))),
        ),
        ("a number without end", envelope(&"9".repeat(MANY * 10))),
        ("a number beyond all", envelope("1e999999")),
        (
            "a text of ten megabytes",
            envelope(&format!("\"{}\"", "x".repeat(10_000_000))),
        ),
        (
            "a text that does not end",
            envelope(&format!("\"{}", "x".repeat(1_000_000))),
        ),
        ("zeros", vec![0; 1_000_000]),
        ("half a letter", envelope("\"\\ud800\"")),
        ("no text", b"{\"success\":1,\"data\":\"\xff\xfe\"}".to_vec()),
        (
            "other bytes for text",
            "{\"success\":1}"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
        ),
        (
            "two answers",
            b"{\"success\":1,\"data\":[]}{\"success\":1,\"data\":[]}".to_vec(),
        ),
        ("blanks without end", " ".repeat(10_000_000).into_bytes()),
    ]
}

/// Sound JSON with each value in turn replaced by something that nobody expects there.
pub(super) fn poisoned(sound: &[u8]) -> Vec<Vec<u8>> {
    let document: Json = serde_json::from_slice(sound).expect("the fixture is sound");
    let mut places = Vec::new();
    collect(&document, String::new(), &mut places);
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let values = [
        json!(null),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(0.5),
        json!(true),
        json!(""),
        json!("\0"),
        json!("\u{202e}\u{fdfd}".repeat(50)),
        json!("9".repeat(400)),
        json!([]),
        json!({}),
        json!({"": {"": []}}),
        deep,
    ];
    let replaced = |place: &String, value: &Json| {
        let mut poisoned = document.clone();
        *poisoned
            .pointer_mut(place)
            .expect("the place is from this document") = value.clone();
        poisoned.to_string().into_bytes()
    };
    places
        .iter()
        .flat_map(|place| {
            values
                .iter()
                .map(|value| replaced(place, value))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Sound JSON with each row of each list in turn missing, and in turn there twice.
pub(super) fn miscounted(sound: &[u8], list: &str) -> Vec<Vec<u8>> {
    let document: Json = serde_json::from_slice(sound).expect("the fixture is sound");
    let rows = document
        .pointer(list)
        .and_then(Json::as_array)
        .expect("the list is there")
        .len();
    let edited = |edit: &dyn Fn(&mut Vec<Json>)| {
        let mut edited = document.clone();
        edit(
            edited
                .pointer_mut(list)
                .and_then(Json::as_array_mut)
                .expect("the list is there"),
        );
        edited.to_string().into_bytes()
    };
    (0..rows)
        .flat_map(|at| {
            [
                edited(&|rows| {
                    rows.remove(at);
                }),
                edited(&|rows| rows.push(rows[at].clone())),
            ]
        })
        .collect()
}

fn collect(value: &Json, place: String, places: &mut Vec<String>) {
    match value {
        Json::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(at, item)| collect(item, format!("{place}/{at}"), places)),
        Json::Object(fields) => {
            for (name, item) in fields {
                collect(
                    item,
                    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")),
                    places,
                );
            }
        }
        _ => {}
    }
    places.push(place);
}

/// Fails when twice the work takes far more than twice the time: the best of several tries, since
/// machines are busy.
#[expect(
    clippy::disallowed_methods,
    reason = "work takes real time, and nothing waits here"
)]
pub(super) fn assert_linear(what: &str, small: &dyn Fn(), large: &dyn Fn()) {
    let time = |work: &dyn Fn()| {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    let mut best = f64::INFINITY;
    for _ in 0..6 {
        let small = time(small).max(Duration::from_micros(100));
        best = best.min(time(large).as_secs_f64() / small.as_secs_f64());
        if best < 3.2 {
            return;
        }
    }
    panic!("{what}: twice the work takes {best:.1} times as long");
}

/// Sound JSON with each text of the middle item of each array in turn replaced by something that
/// can't be read: half a surrogate pair, a bare control character, a byte of another encoding.
pub(super) fn with_an_odd_record(sound: &[u8]) -> Vec<(String, Vec<u8>)> {
    const MARK: &str = "@@odd@@";
    let document: Json = serde_json::from_slice(sound).expect("the fixture is sound");
    let mut places = Vec::new();
    texts_of_middle_items(&document, String::new(), false, &mut places);
    let mut bodies = Vec::new();
    for place in places {
        let mut marked = document.clone();
        *marked.pointer_mut(&place).expect("the place was found") = json!(MARK);
        let marked = marked.to_string();
        for odd in [&b"\\ud83d"[..], b"\x01", b"Zo\xeb"] {
            let (before, after) = marked.split_once(MARK).expect("the mark is there");
            bodies.push((
                place.clone(),
                [before.as_bytes(), odd, after.as_bytes()].concat(),
            ));
        }
    }
    bodies
}

fn texts_of_middle_items(value: &Json, place: String, inside: bool, places: &mut Vec<String>) {
    match value {
        Json::String(_) if inside => places.push(place),
        Json::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                texts_of_middle_items(value, format!("{place}/{name}"), inside, places);
            }
        }
        Json::Array(items) => {
            let middle = items.len() / 2;
            if let Some(item) = items.get(middle) {
                texts_of_middle_items(item, format!("{place}/{middle}"), true, places);
            }
        }
        _ => {}
    }
}
