//! Records that are longer or nest deeper than anything sound: each is left out alone, under its id.

use super::super::wire::{self, Contact};
use super::codec::{contacts, items};
use crate::http::DecodeError;
use crate::model::{ItemOutcome, Unread};

const MIB: usize = 1024 * 1024;

fn answer(inside: &str) -> String {
    format!(
        "<GetContactsResponse><Result>Success</Result><Contacts>{inside}</Contacts></GetContactsResponse>"
    )
}

fn person(id: usize) -> String {
    format!(
        "<Contact><Contact_id>{id}</Contact_id><Email>p{id}@example.org</Email><Firstname>Ana</Firstname></Contact>"
    )
}

/// An answer with somebody sound before and after a record.
fn between(record: &str) -> String {
    answer(&[&person(1), record, &person(3)].concat())
}

/// A document as it is read where it stands in memory, and one that says the same and has to be
/// mended on its way.
fn both_ways(document: &str) -> [Vec<u8>; 2] {
    let document = document.as_bytes();
    assert!(document.len() < 8 * MIB, "a longer one is always mended");
    [document.to_vec(), [b"<!-- \xeb -->", document].concat()]
}

fn repeated(part: &str, bytes: usize) -> String {
    part.repeat(bytes / part.len())
}

/// A part of a text that the parser shows in two pieces.
const PIECES: &str = "as long as most names and addresses are &amp; ";

/// Each field alone is short.
fn many_fields() -> String {
    (0..40_000).fold(String::new(), |fields, number| {
        fields + &format!("<F{number}>x</F{number}>")
    })
}

fn many_custom_fields() -> String {
    let one = "<UserDefinedField><FieldName>Size</FieldName><FieldValue>42</FieldValue></UserDefinedField>";
    format!(
        "<UserDefinedFields>{}</UserDefinedFields>",
        repeated(one, MIB * 3 / 2)
    )
}

fn deep(levels: usize) -> String {
    format!(
        "<Bio>{}{}</Bio>",
        "<a>".repeat(levels),
        "</a>".repeat(levels)
    )
}

/// What is too much of a record, by what is wrong with it.
fn excesses() -> Vec<(&'static str, String)> {
    vec![
        (
            "a text",
            format!("<Notes>{}</Notes>", "x".repeat(MIB * 3 / 2)),
        ),
        // Letters of one, two and three bytes, so that every place to cut it falls inside one.
        (
            "a text of odd letters",
            format!(
                "<Notes>{}</Notes>",
                repeated("a\u{eb}\u{20ac}", MIB * 3 / 2)
            ),
        ),
        (
            "a text with quotes",
            format!("<Notes>{}</Notes>", repeated("it's > 5\" ", MIB * 3 / 2)),
        ),
        (
            "a text in pieces",
            format!("<Notes>{}</Notes>", repeated(PIECES, 6 * MIB)),
        ),
        (
            "a section",
            format!(
                "<Notes><![CDATA[{}]]></Notes>",
                repeated("<b>]]&gt;", MIB * 3 / 2)
            ),
        ),
        (
            "a reference",
            format!("<Notes>&{};</Notes>", "x".repeat(MIB * 3 / 2)),
        ),
        (
            "an attribute",
            format!(
                "<Notes a=\"{}\">x</Notes>",
                repeated("it's > 5 ", MIB * 3 / 2)
            ),
        ),
        (
            "an attribute without content",
            format!("<Notes a='{}'/>", repeated("/> ", MIB * 3 / 2)),
        ),
        (
            "attributes",
            format!("<Notes {}/>", repeated("a='>' ", MIB * 3 / 2)),
        ),
        (
            "several texts",
            repeated(&format!("<Notes>{}</Notes>", "x".repeat(MIB - 1)), 6 * MIB),
        ),
        (
            "a custom field",
            format!(
                "<UserDefinedFields><UserDefinedField><FieldName>Size</FieldName><FieldValue>{}</FieldValue></UserDefinedField></UserDefinedFields>",
                "x".repeat(MIB * 3 / 2)
            ),
        ),
        (
            "a tag",
            format!("<Tags><Tag>{}</Tag></Tags>", "x".repeat(MIB * 3 / 2)),
        ),
        ("many fields", many_fields()),
        ("many custom fields", many_custom_fields()),
        // Whichever of them is one too many, the one that says something counts.
        ("a field over and over", repeated("<Contact_id/>", MIB)),
        ("deep elements", deep(50)),
        ("very deep elements", deep(100_000)),
        // In lower case the name is longer.
        (
            "deep elements of an odd name",
            deep(50).replace("a>", "\u{130}>"),
        ),
        (
            "empty elements, deep",
            format!(
                "<Bio>{}<b/>x<b c='d'/>{}</Bio>",
                "<a>".repeat(28),
                "</a>".repeat(28)
            ),
        ),
    ]
}

#[test]
fn whoever_has_too_much_is_left_out_alone_and_known_by_what_stands_around_it() {
    let decisive = "<Contact_id>2</Contact_id><Email>bo@example.org</Email><Unsubscribed>1</Unsubscribed><Groups><Group><Group_id>7</Group_id></Group></Groups>";
    let sound = contacts(answer(&(person(1) + &person(3))).as_bytes()).unwrap();
    for (what, excess) in excesses() {
        for inside in [decisive.to_owned() + &excess, excess + decisive] {
            let body = between(&format!("<Contact>{inside}</Contact>"));
            for (way, body) in ["as it is", "mended"].iter().zip(both_ways(&body)) {
                let rows =
                    contacts(&body).unwrap_or_else(|error| panic!("{what}, {way}: {error:?}"));
                let [ana, bo, cy] = rows.as_slice() else {
                    panic!("{what}, {way}: {rows:?}")
                };
                assert_eq!([ana, cy], [&sound[0], &sound[1]], "{what}, {way}");
                assert_eq!((bo.id.as_str(), &bo.profile), ("2", &None), "{what}, {way}");
                assert_eq!(
                    (bo.address.as_deref(), bo.unsubscribed),
                    (Some("bo@example.org"), Some(true)),
                    "{what}, {way}"
                );
                assert!(!bo.denies_group("7", ""), "{what}, {way}");
                assert!(bo.denies_group("8", ""), "{what}, {way}");
            }
        }
    }
}

fn second(record: &str) -> [Contact; 2] {
    both_ways(&between(record)).map(|body| contacts(&body).unwrap().remove(1))
}

#[test]
fn what_is_too_long_itself_is_not_read() {
    let long = "x".repeat(MIB * 3 / 2);
    for text in [long, repeated(PIECES, 6 * MIB)] {
        let bo = |field: &str| {
            second(&format!(
                "<Contact><Contact_id>2</Contact_id><{field}>{text}</{field}></Contact>"
            ))
        };
        for bo in bo("Email") {
            assert_eq!((bo.address, bo.profile), (None, None));
        }
        for bo in bo("Unsubscribed") {
            assert_eq!((bo.unsubscribed, bo.may_refuse), (None, true));
            assert_eq!(bo.profile, None);
        }
        let body = between(&format!(
            "<Contact><Contact_id>{text}</Contact_id></Contact>"
        ));
        for body in both_ways(&body) {
            let count = wire::check_contacts(&body[..], None).unwrap();
            assert_eq!((count.contacts, count.without_id), (3, 1));
        }
    }
    // Which groups they are can't be told any more, so none is denied.
    let others = repeated("<Group><Group_id>8</Group_id></Group>", MIB * 3 / 2);
    for bo in second(&format!(
        "<Contact><Contact_id>2</Contact_id><Groups>{others}</Groups></Contact>"
    )) {
        assert!(!bo.denies_group("7", ""));
    }
}

#[test]
fn excess_where_nothing_is_read_harms_nobody() {
    let long = "x".repeat(MIB * 3 / 2);
    for bo in [
        format!("<Contact><Contact_id>2</Contact_id><Photo>{long}</Photo></Contact>"),
        format!("<Contact photo=\"{long}\"><Contact_id>2</Contact_id></Contact>"),
        format!("<Contact><!-- {long} --><Contact_id>2</Contact_id></Contact>"),
        format!("<Contact><?php {long} ?><Contact_id>2</Contact_id></Contact>"),
        format!(
            "<Contact><Contact_id>2</Contact_id {}></Contact>",
            " ".repeat(MIB * 3 / 2)
        ),
    ]
    .iter()
    .flat_map(|record| second(record))
    {
        assert!(bo.id == "2");
    }
    for bo in second(&format!(
        "<Contact><Contact_id>2</Contact_id><Photo>{long}</Photo></Contact>"
    )) {
        assert!(bo.profile.is_some());
    }
}

#[test]
fn excess_outside_of_the_records_fails_the_document() {
    let long = "x".repeat(MIB * 3 / 2);
    let many = many_fields();
    let blanks = " ".repeat(MIB * 3 / 2);
    for document in [
        format!(
            "<GetContactsResponse><Result>Success</Result><Photo>{long}</Photo><Contacts/></GetContactsResponse>"
        ),
        format!(
            "<GetContactsResponse a=\"{long}\"><Result>Success</Result><Contacts/></GetContactsResponse>"
        ),
        format!(
            "<GetContactsResponse><Result>Success</Result><Contacts a=\"{long}\"/></GetContactsResponse>"
        ),
        format!(
            "<GetContactsResponse><Result>Success</Result><Contacts>{blanks}</Contacts></GetContactsResponse>"
        ),
        format!(
            "<GetContactsResponse><Result>Success</Result><Contacts/>{many}</GetContactsResponse>"
        ),
        format!(
            "<GetContactsResponse><Result>Success</Result>{}<Contacts/></GetContactsResponse>",
            deep(50)
        ),
        between(&format!("<{long}><Contact_id>2</Contact_id></{long}>")),
    ] {
        for body in both_ways(&document) {
            assert!(matches!(contacts(&body), Err(DecodeError::Protocol(_))));
        }
    }
}

#[test]
fn a_document_that_is_cut_in_the_excess_or_broken_there_is_none() {
    for (what, excess) in excesses() {
        let record = format!("<Contact><Contact_id>2</Contact_id>{excess}</Contact>");
        let body = between(&record);
        let begins = body.find(&excess).unwrap();
        let inside = [excess.len() / 2, excess.len() - 4];
        for end in inside.map(|inside| begins + inside) {
            let end = body.ceil_char_boundary(end);
            for cut in both_ways(&body[..end]) {
                assert!(
                    matches!(contacts(&cut), Err(DecodeError::NotAnAnswer(_))),
                    "{what}, cut at {end}"
                );
            }
        }
        let broken = body.replace(&excess, &format!("{excess}</Wrong>"));
        for body in both_ways(&broken) {
            assert!(
                matches!(contacts(&body), Err(DecodeError::NotAnAnswer(_))),
                "{what}"
            );
        }
    }
}

#[test]
fn a_text_beyond_memory_is_skipped_while_it_streams() {
    let texts: [(&str, &[u8], &str); 6] = [
        ("<Notes>", b"x", "</Notes>"),
        ("<Notes>", "\u{20ac}".as_bytes(), "</Notes>"),
        ("<Notes>", b"\xeb\x80", "</Notes>"),
        ("<Notes><![CDATA[", b"]", "]]></Notes>"),
        ("<Notes a=\"", b">", "\"/>"),
        ("<Notes a=\"", b"'/>", "\">x</Notes>"),
    ];
    let declared = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>";
    let as_they_are = texts.iter().map(|text| (text, ""));
    let declared = texts[..3].iter().map(|text| (text, declared));
    for ((begin, part, end), declared) in as_they_are.chain(declared) {
        let record = format!("<Contact>{begin}${end}<Contact_id>2</Contact_id></Contact>");
        let body = declared.to_owned() + &between(&record);
        let (before, after) = body.split_once('$').unwrap();
        let text = part.repeat(9 * MIB / part.len());
        let body = [before.as_bytes(), &text, after.as_bytes()].concat();
        let rows = contacts(&body).unwrap();
        let seen = rows
            .iter()
            .map(|row| (row.id.as_str(), row.profile.is_some()));
        let seen: Vec<_> = seen.collect();
        assert_eq!(seen, [("1", true), ("2", false), ("3", true)], "{record}");
        let cut = wire::check_contacts(&body[..body.len() - after.len()], None);
        assert!(matches!(cut, Err(DecodeError::NotAnAnswer(_))));
    }
}

#[test]
fn a_group_with_too_much_is_left_out_alone() {
    let groups = |group: &str| {
        both_ways(&format!(
            "<GetGroupsResponse><Result>Success</Result><Groups><Group><Group_id>1</Group_id><Name>A</Name></Group>{group}<Group><Group_id>3</Group_id><Name>C</Name></Group></Groups></GetGroupsResponse>"
        ))
        .map(|body| {
            let (rows, without_id) = wire::groups(&body[..], "45429").unwrap();
            assert_eq!(without_id, 0);
            rows.iter().map(|row| (row.id.clone(), row.unread)).collect::<Vec<_>>()
        })
    };
    let long = "x".repeat(MIB * 3 / 2);
    for (group, unread) in [
        (
            format!("<Group><Name>{long}</Name><Group_id>2</Group_id></Group>"),
            Unread::Name,
        ),
        (
            format!(
                "<Group><Name>B</Name><EmailPhysicalAddress>{long}</EmailPhysicalAddress><Group_id>2</Group_id></Group>"
            ),
            Unread::Texts,
        ),
        (
            format!(
                "<Group>{}<Name>B</Name><Group_id>2</Group_id></Group>",
                many_fields()
            ),
            Unread::Texts,
        ),
        (
            format!(
                "<Group><Name>B</Name>{}<Group_id>2</Group_id></Group>",
                deep(50)
            ),
            Unread::Texts,
        ),
    ] {
        for seen in groups(&group) {
            let expected = [("1", None), ("2", Some(unread)), ("3", None)];
            assert_eq!(seen, expected.map(|(id, unread)| (id.to_owned(), unread)));
        }
    }
}

#[test]
fn a_definition_or_an_account_with_too_much_is_left_out_alone() {
    for excess in [
        many_fields(),
        deep(50),
        format!(
            "<PossibleValues>{}</PossibleValues>",
            "x".repeat(MIB * 3 / 2)
        ),
    ] {
        let body = format!(
            "<GetUserDefinedFieldsResponse><Result>Success</Result><UserDefinedFields><UserDefinedField><FieldName>A</FieldName></UserDefinedField><UserDefinedField>{excess}<FieldName>B</FieldName></UserDefinedField></UserDefinedFields></GetUserDefinedFieldsResponse>"
        );
        for body in both_ways(&body) {
            let fields = wire::custom_fields(&body[..]).unwrap();
            let read: Vec<&str> = fields
                .fields
                .iter()
                .map(|field| field.label.as_str())
                .collect();
            assert_eq!((read, fields.unread), (vec!["A"], vec!["B".to_owned()]));
        }
        let body = format!(
            "<GetAccountsWithAccessResponse><Result>Success</Result><Accounts><Account><AccountNumber>1</AccountNumber></Account><Account>{excess}<AccountNumber>2</AccountNumber></Account></Accounts></GetAccountsWithAccessResponse>"
        );
        for body in both_ways(&body) {
            assert_eq!(wire::accounts(&body[..]).unwrap(), ["1", "2"]);
        }
    }
}

#[test]
fn an_outcome_with_too_much_is_open_and_the_others_are_not() {
    let done = ItemOutcome::Done { id: None };
    for excess in [many_fields(), deep(50)] {
        let body = format!(
            "<AddContactsToGroupResponse><Contacts><Contact request_id=\"r1\">{excess}<Result>Success</Result></Contact><Contact request_id=\"r2\"><Result>Success</Result></Contact></Contacts></AddContactsToGroupResponse>"
        );
        for body in both_ways(&body) {
            let outcomes = items(&body, 2).unwrap();
            assert_eq!(outcomes, [ItemOutcome::Unknown, done.clone()]);
        }
    }
    let long = "x".repeat(MIB * 3 / 2);
    let body = format!(
        "<AddContactsToGroupResponse><Contacts><Contact request_id=\"r1\"><Result>{long}</Result></Contact><Contact request_id=\"r2\"><Result>Success</Result></Contact></Contacts></AddContactsToGroupResponse>"
    );
    for body in both_ways(&body) {
        assert_eq!(
            items(&body, 2).unwrap(),
            [ItemOutcome::Unknown, done.clone()]
        );
    }
}
