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

/// One record as a decoder gives it on.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    /// What it is known by.
    pub(super) id: String,
    /// Whether it is marked as one that can't be read whole.
    pub(super) unread: bool,
    /// All of it, printed.
    pub(super) shown: String,
}

impl Seen {
    pub(super) fn new(id: impl ToString, unread: bool, record: &impl std::fmt::Debug) -> Seen {
        let (id, shown) = (id.to_string(), format!("{record:?}"));
        Seen { id, unread, shown }
    }
}

/// The outcome of each item of a request, by its place: whether it was done, or nothing where
/// nobody knows.
pub(super) fn by_place<T>(rows: &[T], done: impl Fn(&T) -> Option<bool>) -> Vec<Seen> {
    let rows = rows.iter().map(done).enumerate();
    rows.map(|(place, done)| Seen::new(place, done.is_none(), &done))
        .collect()
}

/// What reads the records of an answer.
pub(super) type Reading<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<Seen>, String>;

/// What says whose a part of a record is. Where it can't be read, the part may be anybody's, and all
/// of them may be marked.
const OWNERS: [&str; 2] = ["contact", "list"];

/// What stands for a text or number that can't be read: half a surrogate pair, a bare control
/// character, a byte of another encoding.
const ODD_JSON: [&[u8]; 3] = [b"\\ud83d", b"\x01", b"Zo\xeb"];

/// Spoils each text and number of the middle record of each list of an answer in turn (of the whole
/// object under `single`, where the answer is one record), and fails unless every other record is
/// read as before, and the spoiled one too or marked under its id. Where what is spoiled is one of
/// `keys`, which tell what a record is, that record alone may be missing.
pub(super) fn assert_the_odd_record_alone_is_lost(
    what: &str,
    sound: &[u8],
    single: Option<&str>,
    keys: &[&str],
    read: Reading<'_>,
) {
    const MARK: &str = "@@odd@@";
    let sound = sound.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sound);
    let document: Json = serde_json::from_slice(sound).expect("the fixture is sound");
    let mut places = Vec::new();
    match single {
        Some(place) => {
            let record = document.pointer(place).expect("the record is there");
            scalars(record, place.to_owned(), true, &mut places);
        }
        None => scalars(&document, String::new(), false, &mut places),
    }
    assert!(!places.is_empty(), "{what} has no record to be spoiled");
    let mut findings = Vec::new();
    for place in places {
        let mut marked = document.clone();
        *marked.pointer_mut(&place).expect("the place was found") = json!(MARK);
        let marked = marked.to_string();
        let (before, after) = marked.split_once(MARK).expect("the mark is there");
        let name = place
            .rsplit('/')
            .find(|part| part.parse::<usize>().is_err());
        let spoils = Spoils {
            single: single.is_some(),
            key: name.is_some_and(|name| keys.contains(&name)),
            owner: name.is_some_and(|name| OWNERS.contains(&name)),
        };
        for odd in ODD_JSON {
            let body = [before.as_bytes(), odd, after.as_bytes()].concat();
            let found = damage(sound, &body, spoils, read);
            findings.extend(found.map(|found| format!("{place}: {found}")));
        }
    }
    assert!(findings.is_empty(), "{what}: {}", findings.join("\n"));
}

/// What is spoiled in an answer.
#[derive(Clone, Copy)]
pub(super) struct Spoils {
    /// Whether the answer is about one record.
    pub(super) single: bool,
    /// Whether what is spoiled tells what the record is.
    pub(super) key: bool,
    /// Whether what is spoiled tells whose a part is.
    pub(super) owner: bool,
}

/// Holds one spoiled answer against the sound one, and tells what is lost that should not be.
pub(super) fn damage(
    sound: &[u8],
    spoiled: &[u8],
    spoils: Spoils,
    read: Reading<'_>,
) -> Option<String> {
    let whole = read(sound).expect("the fixture is read");
    let seen = match read(spoiled) {
        Ok(seen) => seen,
        // An answer that is about one record and does not tell which is no answer about it.
        Err(_) if spoils.single && spoils.key => return None,
        Err(error) => return Some(format!("nothing is read: {error}")),
    };
    let lost: Vec<&Seen> = whole.iter().filter(|row| !seen.contains(row)).collect();
    if lost.len() > 1 && !spoils.owner {
        return Some(format!("several are lost: {lost:?}"));
    }
    let stranger = seen
        .iter()
        .find(|row| whole.iter().all(|whole| whole.id != row.id));
    if let Some(stranger) = stranger {
        return Some(format!("somebody is made up: {stranger:?}"));
    }
    lost.iter()
        .find_map(|lost| match seen.iter().find(|row| row.id == lost.id) {
            None if spoils.key => None,
            Some(named) if named.unread => None,
            named => Some(format!("{lost:?} is changed without a word to {named:?}")),
        })
}

/// Finds the texts and numbers of the middle record of each list. Lists of version 1 of
/// ActiveCampaign are objects with a number for each row.
fn scalars(value: &Json, place: String, inside: bool, places: &mut Vec<String>) {
    let is_row = |name: &str| name.parse::<u64>().is_ok();
    match value {
        Json::String(_) | Json::Number(_) if inside => places.push(place),
        Json::Object(fields) => {
            let rows: Vec<&String> = fields.keys().filter(|name| is_row(name)).collect();
            let middle = rows.get(rows.len() / 2).copied();
            let fields = fields
                .iter()
                .filter(|(name, _)| !is_row(name) || middle == Some(*name));
            for (name, value) in fields {
                let inside = inside || is_row(name);
                let name = name.replace('~', "~0").replace('/', "~1");
                scalars(value, format!("{place}/{name}"), inside, places);
            }
        }
        Json::Array(items) => {
            let middle = items.len() / 2;
            if let Some(item) = items.get(middle) {
                scalars(item, format!("{place}/{middle}"), true, places);
            }
        }
        _ => {}
    }
}
