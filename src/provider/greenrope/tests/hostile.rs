//! Documents that are made to hurt: no panic, no answer out of nothing, no work that grows faster
//! than the document.

use super::codec::{SOUND, contacts, decode};
use crate::provider::hostile::assert_linear;

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
        ("elements, deep", answer(&format!("{}{}", "<a>".repeat(MANY), "</a>".repeat(MANY)))),
        ("elements in a person, deep", answer(&person(1, &format!("{}{}", "<a>".repeat(MANY), "</a>".repeat(MANY))))),
        ("a text of eighty megabytes", answer(&person(1, &format!("<Bio>{}</Bio>", "x".repeat(80_000_000))))),
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

#[test]
fn what_nobody_defined_spoils_one_profile_and_no_other() {
    for odd in ["&e;", "&#x110000;", "&#0;", "&#xD800;", "\u{1}"] {
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
