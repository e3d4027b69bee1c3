//! Documents that are made to hurt: no panic, no answer out of nothing, no work that grows faster
//! than the document.

use super::super::wire;
use super::codec::{SOUND, contacts, decode, items};
use crate::model::{GroupRow, ItemOutcome};
use crate::provider::hostile::{Seen, Spoils, assert_linear, by_place, damage};

const MANY: usize = 100_000;

/// What a document repeats, what makes it, and how often it does so.
type Shape<'a> = (&'static str, &'a dyn Fn(usize) -> Vec<u8>, usize);

fn answer(inside: &str) -> Vec<u8> {
    format!("<GetContactsResponse><Result>Success</Result><Contacts>{inside}</Contacts></GetContactsResponse>").into_bytes()
}

fn person(id: usize, inside: &str) -> String {
    format!("<Contact><Contact_id>{id}</Contact_id>{inside}</Contact>")
}

/// Documents that are no answers whatever one asked for.
fn documents() -> Vec<(&'static str, Vec<u8>)> {
    let bomb = |inside: &str| {
        [
            b"<?xml version=\"1.0\"?>".to_vec(),
            inside.as_bytes().to_vec(),
            answer(&person(1, "<Bio>&e;</Bio>")),
        ]
        .concat()
    };
    vec![
        ("nothing", Vec::new()),
        ("elements, open", "<a>".repeat(MANY).into_bytes()),
        ("a name without end", format!("<{}", "x".repeat(10_000_000)).into_bytes()),
        ("an attribute without end", format!("<GetContactsResponse a=\"{}", "x".repeat(10_000_000)).into_bytes()),
        ("a comment without end", [b"<!-- ".to_vec(), vec![b'x'; 10_000_000]].concat()),
        ("a section without end", [b"<GetContactsResponse><![CDATA[".to_vec(), vec![b'x'; 10_000_000]].concat()),
        ("entities of entities", bomb("<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY e \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>")),
        ("an entity that is a file", bomb("<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>")),
        ("zeros", vec![0; 1_000_000]),
        ("two answers", [answer(""), answer("")].concat()),
        ("an attribute twice", b"<GetContactsResponse a=\"1\" a=\"2\"><Result>Success</Result><Contacts/></GetContactsResponse>".to_vec()),
        ("JSON", b"{\"success\":1,\"data\":[]}".to_vec()),
    ]
}

#[test]
fn what_is_made_to_hurt_is_no_answer() {
    for (what, body) in documents() {
        for (kind, _) in SOUND {
            let Err(error) = decode(kind, &body) else {
                panic!("{kind} took {what} for an answer")
            };
            let said = format!("{error:?}");
            assert!(
                said.len() < 2_000,
                "{kind}, {what}: an error of {} bytes",
                said.len()
            );
        }
    }
}

#[test]
fn an_entity_never_brings_in_what_is_outside() {
    for (_, body) in documents() {
        if let Err(error) = contacts(&body) {
            assert!(!format!("{error:?}").contains("root:"), "{error:?}");
        }
    }
}

#[test]
fn a_sound_document_that_is_cut_short_anywhere_is_none() {
    for (kind, body) in SOUND {
        for end in 0..body.len() {
            // What follows the last element is blank.
            let rest = &body[end..];
            assert!(
                decode(kind, &body[..end]).is_err() || rest.iter().all(u8::is_ascii_whitespace),
                "{kind}, cut at {end}"
            );
        }
    }
}

#[test]
fn work_grows_with_the_document_and_not_faster() {
    let people = |count: usize| {
        answer(
            &(0..count)
                .map(|id| person(id + 1, "<Email>ana@example.org</Email><Bio>a &amp; b</Bio>"))
                .collect::<String>(),
        )
    };
    let attributes = |count: usize| {
        let list = (0..count)
            .map(|number| format!(" a{number}=\"1\""))
            .collect::<Vec<_>>()
            .concat();
        answer(&format!(
            "<Contact{list}><Contact_id>1</Contact_id></Contact>"
        ))
    };
    let fields = |count: usize| {
        answer(&person(
            1,
            &(0..count)
                .map(|number| format!("<F{number}>x</F{number}>"))
                .collect::<Vec<_>>()
                .concat(),
        ))
    };
    let texts = |count: usize| {
        answer(&person(
            1,
            &format!("<Bio>{}</Bio>", "&amp;<![CDATA[x]]>".repeat(count)),
        ))
    };
    let groups = |count: usize| {
        answer(&person(
            1,
            &format!(
                "<Groups>{}</Groups>",
                "<Group><Name>x</Name></Group>".repeat(count)
            ),
        ))
    };
    let shapes: [Shape<'_>; 5] = [
        ("people", &people, 3_000),
        ("attributes", &attributes, 4_000),
        ("fields", &fields, 10_000),
        ("pieces of text", &texts, 20_000),
        ("groups of a person", &groups, 10_000),
    ];
    for (what, shape, count) in shapes {
        let (small, large) = (shape(count), shape(count * 2));
        assert_linear(what, &|| drop(contacts(&small)), &|| drop(contacts(&large)));
    }
}

/// Decodes the records of an answer.
fn records(kind: &str, body: &[u8]) -> Result<Vec<Seen>, String> {
    let done = |outcome: &ItemOutcome| match outcome {
        ItemOutcome::Done { .. } | ItemOutcome::Accepted { .. } => Some(true),
        ItemOutcome::Refused(_) => Some(false),
        ItemOutcome::Unknown => None,
    };
    let groups = |group: &GroupRow| Seen::new(&group.id, group.unread.is_some(), group);
    let people = |person: &wire::Contact| Seen::new(&person.id, person.profile.is_none(), person);
    let read = match kind {
        "contacts" => contacts(body).map(|rows| rows.iter().map(people).collect()),
        "groups" => wire::groups(body, "45429").map(|(rows, _)| rows.iter().map(groups).collect()),
        "custom_fields" => wire::custom_fields(body).map(|found| {
            let unread = found.unread.iter().map(|name| Seen::new(name, true, name));
            let read = found.fields.iter();
            let read = read.map(|field| Seen::new(&field.system_name, false, field));
            read.chain(unread).collect()
        }),
        "accounts" => wire::accounts(body)
            .map(|rows| rows.iter().map(|row| Seen::new(row, false, row)).collect()),
        "items" => items(body, 2).map(|outcomes| by_place(&outcomes, done)),
        "creations" => {
            let outcomes = wire::settle_creations(body, 3);
            outcomes.map(|outcomes| by_place(&outcomes, done))
        }
        other => panic!("{other} is no listing"),
    };
    read.map_err(|error| format!("{error:?}"))
}

/// A sound document with each text of each item in turn followed by something that can't be read.
fn with_an_odd_text(sound: &[u8]) -> Vec<(String, Vec<u8>)> {
    let odd: [&[u8]; 6] = [b"&nosuch;", b"&#xD83D;", b"\x01", b"\xeb", b" & ", b"&"];
    let ends = (1..sound.len()).filter(|at| {
        let is_text = |byte: u8| !byte.is_ascii_whitespace() && byte != b'>';
        sound[*at..].starts_with(b"</") && is_text(sound[*at - 1])
    });
    let mut bodies = Vec::new();
    for end in ends {
        let (before, after) = sound.split_at(end);
        let rest = String::from_utf8_lossy(after);
        let element = rest[2..].split('>').next().unwrap_or_default().to_owned();
        // What is said of the document as a whole has to be read.
        let tags = |mark: &[u8]| {
            before
                .windows(mark.len())
                .filter(|tag| *tag == mark)
                .count()
        };
        let depth = tags(b"<") - 2 * tags(b"</") - tags(b"/>") - tags(b"<?");
        if depth < 4 {
            continue;
        }
        for odd in odd {
            bodies.push((element.clone(), [before, odd, after].concat()));
        }
    }
    bodies
}

#[test]
fn a_record_that_cannot_be_read_takes_no_other_with_it() {
    for (kind, sound) in SOUND {
        let keys: &[&str] = match kind {
            "contacts" => &["Contact_id"],
            "groups" => &["Group_id", "AccountNumber"],
            "custom_fields" => &["FieldName"],
            "accounts" => &["AccountNumber"],
            "items" | "creations" => &[],
            _ => continue,
        };
        let read = |body: &[u8]| {
            let mut seen = records(kind, body)?;
            // One whose own name is spoiled goes by what is left of it.
            let whole = records(kind, sound)?;
            let is_known = |seen: &Seen| whole.iter().any(|whole| whole.id == seen.id);
            seen.retain(|seen| !seen.unread || is_known(seen));
            Ok(seen)
        };
        let bodies = with_an_odd_text(sound);
        let is_empty = records(kind, sound) == Ok(Vec::new());
        assert!(
            is_empty || !bodies.is_empty(),
            "{kind} has no record to be spoiled"
        );
        for (element, body) in bodies {
            let spoils = Spoils {
                single: false,
                key: keys.contains(&element.as_str()),
                owner: false,
            };
            let found = damage(sound, &body, spoils, &read);
            assert_eq!(found, None, "{kind}: {element}");
        }
    }
}

#[test]
fn what_nobody_defined_spoils_one_profile_and_no_other() {
    for odd in [
        "&e;",
        "&#x110000;",
        "&#0;",
        "&#xD800;",
        "\u{1}",
        "a & b",
        "&",
    ] {
        let body = answer(&format!(
            "{}{}{}",
            person(1, "<Bio>x</Bio>"),
            person(
                2,
                &format!("<Firstname>{odd}</Firstname><Email>bo@example.org</Email>")
            ),
            person(3, "<Bio>y</Bio>")
        ));
        let rows = contacts(&body).unwrap();
        let unread: Vec<&str> = rows
            .iter()
            .filter(|row| row.profile.is_none())
            .map(|row| row.id.as_str())
            .collect();
        assert_eq!((rows.len(), unread), (3, vec!["2"]), "{odd:?}");
        assert_eq!(rows[1].address.as_deref(), Some("bo@example.org"));
    }
}
