//! Encoding and decoding, from bytes.

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::super::wire::{
    self, Contact, ContactFilter, Count, ItemKind, Request, Sent, encode_group, encode_member,
};
use super::fixture;
use crate::http::DecodeError;
use crate::model::{FieldType, ItemOutcome, Record, Unread, Value};

const MEMBERS: &[u8] = fixture!("members.xml");
const GROUPS: &[u8] = fixture!("groups.xml");
const ITEMS: &[u8] = fixture!("items.xml");
const CREATIONS: &[u8] = fixture!("creations.xml");
const PAGE: &[u8] = fixture!("page.html");
/// Every sound body with a name of what decodes it.
pub(super) const SOUND: [(&str, &[u8]); 9] = [
    ("contacts", MEMBERS),
    ("contacts", fixture!("opt_outs.xml")),
    ("contacts", fixture!("nobody.xml")),
    ("contacts", fixture!("windows_1252.xml")),
    ("groups", GROUPS),
    ("items", ITEMS),
    ("creations", CREATIONS),
    ("custom_fields", fixture!("custom_fields.xml")),
    ("accounts", fixture!("accounts.xml")),
];

fn sent(count: usize) -> Vec<Sent> {
    (1..=count)
        .map(|n| Sent {
            request_id: format!("r{n}"),
            id: format!("{}", 100 + n),
        })
        .collect()
}

pub(super) fn items(body: &[u8], count: usize) -> Result<Vec<ItemOutcome>, DecodeError> {
    wire::settle_items(
        body,
        "addcontactstogroupresponse",
        "contacts",
        &["contact_id", "contactid", "id"],
        &sent(count),
    )
}

pub(super) fn contacts(body: &[u8]) -> Result<Vec<Contact>, DecodeError> {
    let mut contacts = Vec::new();
    let mut keep = |contact| {
        contacts.push(contact);
        Ok(())
    };
    wire::check_contacts(body, Some(&mut keep))?;
    for contact in &contacts {
        let mut packed = Vec::new();
        contact.pack(&mut packed);
        assert_eq!(
            &Contact::unpack(&packed).unwrap(),
            contact,
            "as it waits on disk"
        );
    }
    Ok(contacts)
}

/// Decodes a body as what it is said to be.
pub(super) fn decode(kind: &str, body: &[u8]) -> Result<(), DecodeError> {
    match kind {
        "contacts" => contacts(body).map(drop),
        "groups" => wire::groups(body, "45429").map(drop),
        "items" => items(body, 2).map(drop),
        "creations" => wire::settle_creations(body, 3).map(drop),
        "custom_fields" => wire::custom_fields(body).map(drop),
        "accounts" => wire::accounts(body).map(drop),
        other => panic!("no decoder for {other}"),
    }
}

fn record(pairs: &[(&str, &str)]) -> Record {
    pairs
        .iter()
        .map(|(name, text)| ((*name).into(), Value::from(*text)))
        .collect()
}

#[test]
fn members_are_read_with_all_they_carry() {
    let rows = contacts(MEMBERS).unwrap();
    assert_eq!(
        wire::check_contacts(MEMBERS, None).unwrap(),
        Count {
            without_id: 0,
            in_no_group: 1,
            shown_without: 0,
            unsaid: 1,
            garbled: 0,
            refusing: 1,
            willing: 1,
            contacts: 3,
            total: Some(3)
        }
    );
    let [ana, bo, nobody] = rows.as_slice() else {
        panic!("three contacts")
    };
    assert_eq!(
        (ana.id.as_str(), ana.address.as_deref(), ana.unsubscribed),
        ("101", Some("Ana@Example.org"), Some(false))
    );
    let expected = [
        ("Contact_id", "101"),
        ("Email", "Ana@Example.org"),
        ("Firstname", "Ana"),
        ("Zip", "01234"),
        ("custom.Shoe size", "42"),
        ("custom.ext", ""),
    ];
    assert_eq!(
        ana.profile.as_ref().unwrap(),
        &record(&expected),
        "a zip code keeps its zero, an empty custom field is there"
    );
    assert_eq!(
        (bo.id.as_str(), bo.unsubscribed),
        ("102", Some(true)),
        "ids are trimmed"
    );
    let bo_profile = bo.profile.as_ref().unwrap();
    assert_eq!(bo_profile["Company"], Value::from("Q & A <Ltd>"));
    assert_eq!(
        bo_profile["Bio"],
        Value::from("légume &amp; co"),
        "entities are resolved once"
    );
    assert_eq!(
        bo_profile["Tags"],
        Value::List(vec!["board".into(), "vip".into()])
    );
    assert!(!bo_profile.contains_key("Unheard"));
    assert_eq!(
        (nobody.address.as_deref(), nobody.unsubscribed),
        (None, None)
    );
    assert!(
        !ana.denies_group("7", "")
            && !bo.denies_group("7", "A & B")
            && !nobody.denies_group("7", "")
    );
    assert!(
        ana.denies_group("8", "A & B"),
        "where the contact gives an id, the name decides nothing"
    );
}

#[test]
fn an_opt_out_survives_every_spelling_of_the_flag() {
    for (flag, expected) in [
        ("1", Some(true)),
        ("2", Some(true)),
        ("Yes", Some(true)),
        ("whatever", Some(true)),
        (" 0 ", Some(false)),
        ("no", Some(false)),
        ("", None),
    ] {
        let body = format!(
            "<GetContactsResponse><Result>success</Result><Contacts><Contact><CONTACT_ID>1</CONTACT_ID><unsubscribed>{flag}</unsubscribed></Contact></Contacts></GetContactsResponse>"
        );
        assert_eq!(
            contacts(body.as_bytes()).unwrap()[0].unsubscribed,
            expected,
            "{flag:?}"
        );
    }
}

#[test]
fn a_part_of_a_document_is_no_document() {
    for (kind, body) in SOUND {
        decode(kind, body).unwrap();
        let end = body.len()
            - body
                .iter()
                .rev()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
        for length in 0..end {
            let error = decode(kind, &body[..length]).expect_err(kind);
            assert!(
                matches!(error, DecodeError::NotAnAnswer(_)),
                "{kind} cut at {length}: {error:?}"
            );
        }
    }
}

#[test]
fn what_is_not_an_answer_is_never_empty() {
    let not_answers: [&[u8]; 8] = [
        PAGE,
        b"",
        b"   \n",
        b"Service unavailable",
        b"<html><body/></html>",
        b"{\"getcontactsresponse\":{\"result\":\"Success\"}}",
        b"<?xml version=\"1.0\"?>",
        b"\xff\xfe<\0G\0e\0t\0",
    ];
    for body in not_answers {
        for (kind, _) in SOUND {
            assert!(
                matches!(decode(kind, body), Err(DecodeError::NotAnAnswer(_))),
                "{kind}: {body:?}"
            );
        }
    }
    for (kind, body) in SOUND {
        let twice = [body, body].concat();
        assert!(
            decode(kind, &twice).is_err(),
            "{kind}: a second document follows"
        );
    }
}

#[test]
fn a_list_that_is_missing_is_not_an_empty_one() {
    let missing = b"<GetContactsResponse><Result>Success</Result></GetContactsResponse>";
    assert!(matches!(contacts(missing), Err(DecodeError::Protocol(_))));
    let counted = b"<GetContactsResponse><Result>Success</Result><TotalMatchingContacts>3</TotalMatchingContacts></GetContactsResponse>";
    assert!(matches!(contacts(counted), Err(DecodeError::Protocol(_))));
    let nobody = b"<GetContactsResponse><Result>Success</Result><TotalMatchingContacts>0</TotalMatchingContacts></GetContactsResponse>";
    assert!(
        contacts(nobody).unwrap().is_empty(),
        "it says itself that there is nobody"
    );
    let empty = b"<GetContactsResponse><Result>Success</Result><Contacts/></GetContactsResponse>";
    assert!(contacts(empty).unwrap().is_empty());
    let text = b"<GetContactsResponse><Result>Success</Result><Contacts>none</Contacts></GetContactsResponse>";
    assert!(matches!(contacts(text), Err(DecodeError::Protocol(_))));
    let groups = b"<GetGroupsResponse><Result>Success</Result></GetGroupsResponse>";
    assert!(matches!(
        wire::groups(&groups[..], "1"),
        Err(DecodeError::Protocol(_))
    ));
    let accounts =
        b"<GetAccountsWithAccessResponse><Result>Success</Result></GetAccountsWithAccessResponse>";
    assert!(matches!(
        wire::accounts(&accounts[..]),
        Err(DecodeError::Protocol(_))
    ));
    let fields =
        b"<GetUserDefinedFieldsResponse><Result>Success</Result></GetUserDefinedFieldsResponse>";
    assert!(!wire::custom_fields(&fields[..]).unwrap().known);
}

#[test]
fn the_result_must_be_there_and_be_a_success() {
    let list = "<Contacts><Contact><Contact_id>1</Contact_id></Contact></Contacts>";
    let with = |attributes: &str, inside: &str| {
        contacts(
            format!("<GetContactsResponse{attributes}>{inside}{list}</GetContactsResponse>")
                .as_bytes(),
        )
        .map(|rows| rows.len())
    };
    assert_eq!(with("", "<Result> SUCCESS </Result>"), Ok(1));
    assert_eq!(with("", "<Response>Success</Response>"), Ok(1));
    assert_eq!(with(" result='Success'", ""), Ok(1));
    assert!(matches!(with("", ""), Err(DecodeError::NotAnAnswer(_))));
    assert!(matches!(
        with(
            " result=\"Failure\" message=\"No such thing\"",
            "<Result>Success</Result>"
        ),
        Err(DecodeError::Refused(_))
    ));
    assert!(matches!(
        with("", "<ErrorText>Example text</ErrorText>"),
        Err(DecodeError::Refused(_))
    ));
    let Err(DecodeError::Refused(words)) = with(
        "",
        "<Result>Error</Result><ErrorCode>9</ErrorCode><ErrorText>No&#10;hit</ErrorText>",
    ) else {
        panic!("a refusal")
    };
    assert_eq!(
        (words.code.as_deref(), words.message.as_str()),
        (Some("9"), "No hit")
    );
    for text in ["Invalid auth_token", "Please log in", "Wrong PASSWORD"] {
        assert!(matches!(
            with(
                "",
                &format!("<Result>Error</Result><ErrorText>{text}</ErrorText>")
            ),
            Err(DecodeError::LoginExpired(_))
        ));
    }
    let permission = with(
        "",
        "<Result>Error</Result><ErrorText>Your login has no permission</ErrorText>",
    );
    assert!(
        matches!(permission, Err(DecodeError::Denied(_))),
        "a new login does not cure it"
    );
    assert!(
        matches!(
            contacts(fixture!("refused.xml")),
            Err(DecodeError::Protocol(_))
        ),
        "an answer to another question"
    );
}

#[test]
fn broken_xml_fails_the_whole_document() {
    let contact = |inside: &str| {
        contacts(
            format!("<GetContactsResponse><Result>Success</Result><Contacts><Contact><Contact_id>1</Contact_id><Bio>{inside}</Bio></Contact></Contacts></GetContactsResponse>")
                .as_bytes(),
        )
    };
    for inside in ["<b>", "<x y=1/>", "<x y='1' y='2'/>"] {
        let error = contact(inside).expect_err(inside);
        assert!(
            matches!(error, DecodeError::NotAnAnswer(_)),
            "{inside}: {error:?}"
        );
    }
    let doctype = "<!DOCTYPE a [<!ENTITY b 'c'>]>";
    let body = [doctype.as_bytes(), MEMBERS].concat();
    assert!(matches!(contacts(&body), Err(DecodeError::NotAnAnswer(_))));
    for id in ["", "<Contact_id/>", "<Contact_id>  </Contact_id>"] {
        let body = format!(
            "<GetContactsResponse><Result>Success</Result><Contacts><Contact>{id}</Contact></Contacts></GetContactsResponse>"
        );
        assert!(contacts(body.as_bytes()).unwrap().is_empty());
        let count = wire::check_contacts(body.as_bytes(), None).unwrap();
        assert_eq!((count.contacts, count.without_id), (1, 1));
    }
}

#[test]
fn text_that_is_not_utf_8_is_read_and_its_profile_is_not_used() {
    let rows = contacts(fixture!("windows_1252.xml")).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].profile.is_none(), rows[0].address.as_deref()),
        (true, Some("zoe@example.org"))
    );
    assert_eq!(
        rows[1].profile.as_ref().unwrap()["Firstname"],
        Value::from("Zoë")
    );
    let address = b"<GetContactsResponse><Result>Success</Result><Contacts><Contact><Contact_id>1</Contact_id><Email>z\xeb@example.org</Email></Contact></Contacts></GetContactsResponse>";
    assert_eq!(
        contacts(address).unwrap()[0].address,
        None,
        "a guessed address is none"
    );
}

#[test]
fn groups_are_read_under_the_names_that_write_them() {
    let groups = wire::groups(GROUPS, "45429").unwrap().0;
    assert_eq!(groups.len(), 2, "an item counts whatever its tag");
    assert_eq!(
        (groups[0].id.as_str(), groups[0].member_count),
        ("7", Some(4))
    );
    assert_eq!(groups[0].wire["Name"], Value::from("A & B"));
    assert_eq!(groups[0].wire["GroupType"], Value::from("Hidden"));
    assert_eq!(
        groups[0].wire["EventsTimeZone"],
        Value::from("America/New_York"),
        "without the final slash"
    );
    assert_eq!(groups[0].wire["AccountNumber"], Value::from("45429"));
    assert_eq!(groups[0].wire["IncludeLoginLink"], Value::from(true));
    assert_eq!(groups[1].wire["IncludeLoginLink"], Value::from(false));
    assert_eq!(groups[1].member_count, Some(0));
    assert!(
        matches!(wire::groups(GROUPS, "1"), Err(DecodeError::Protocol(_))),
        "groups of another account"
    );
    let body = b"<GetGroupsResponse><Result>Success</Result><Groups><Group><TotalMatchingContacts>many</TotalMatchingContacts><Group_id>1</Group_id></Group><Group><Name>without an id</Name></Group><Group><Group_id>2</Group_id><Name>B</Name></Group></Groups></GetGroupsResponse>";
    let (groups, without_id) = wire::groups(&body[..], "1").unwrap();
    let seen: Vec<_> = groups
        .iter()
        .map(|group| (group.id.as_str(), group.member_count, group.unread))
        .collect();
    assert_eq!(
        (seen.as_slice(), without_id),
        (&[("1", None, Some(Unread::Name)), ("2", None, None)][..], 1)
    );
}

#[test]
fn definitions_and_accounts_are_read() {
    let fields = wire::custom_fields(&fixture!("custom_fields.xml")[..]).unwrap();
    assert!(fields.known);
    assert_eq!(
        fields.find("shoe size").unwrap().options,
        Vec::<String>::new()
    );
    assert_eq!(fields.find("Level").unwrap().options, ["Gold", "Silver"]);
    assert_eq!(fields.find("Level").unwrap().kind, FieldType::Text);
    assert_eq!(
        wire::accounts(&fixture!("accounts.xml")[..]).unwrap(),
        ["1", "45429"]
    );
}

#[test]
fn a_login_brings_a_token_or_is_denied() {
    let token = |inside: &str| {
        wire::token(format!("<GetAuthTokenResponse>{inside}</GetAuthTokenResponse>").as_bytes())
    };
    assert_eq!(
        token("<Result>Success</Result><Token>a+b=</Token>")
            .unwrap()
            .expose_secret(),
        "a+b="
    );
    assert!(matches!(
        token("<Result>Success</Result>"),
        Err(DecodeError::Protocol(_))
    ));
    assert!(matches!(
        token("<Result>Error</Result><ErrorText>Wrong password</ErrorText>"),
        Err(DecodeError::Denied(_))
    ));
    assert!(matches!(
        token("<Result>Error</Result><ErrorText>Nothing known</ErrorText>"),
        Err(DecodeError::Denied(_))
    ));
}

fn done() -> ItemOutcome {
    ItemOutcome::Done { id: None }
}

fn code(outcome: &ItemOutcome) -> &str {
    match outcome {
        ItemOutcome::Refused(refusal) => refusal.code.as_deref().unwrap_or(""),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn items_are_matched_by_mark_then_id_then_position() {
    let outcomes = items(ITEMS, 2).unwrap();
    assert_eq!(outcomes[0], done());
    assert_eq!(code(&outcomes[1]), "9002", "the second item has an odd tag");
    let answer = |inside: &str, count| {
        items(format!("<AddContactsToGroupResponse><Contacts>{inside}</Contacts></AddContactsToGroupResponse>").as_bytes(), count)
    };
    let ok = |mark: &str, id: &str| {
        let mark = if mark.is_empty() {
            String::new()
        } else {
            format!(" request_id=\"{mark}\"")
        };
        let id = if id.is_empty() {
            String::new()
        } else {
            format!("<Contact_id>{id}</Contact_id>")
        };
        format!("<Contact{mark}>{id}<Result>Success</Result></Contact>")
    };
    let unknown = ItemOutcome::Unknown;
    assert_eq!(
        answer(&(ok("r2", "") + &ok("r1", "")), 2).unwrap(),
        [done(), done()]
    );
    assert_eq!(
        answer(&ok("", "102"), 2).unwrap(),
        [unknown.clone(), done()],
        "by id"
    );
    assert_eq!(
        answer(&(ok("", "") + &ok("", "")), 2).unwrap(),
        [done(), done()],
        "by position"
    );
    assert_eq!(
        answer(&ok("", ""), 2).unwrap(),
        [unknown.clone(), unknown.clone()],
        "the counts disagree"
    );
    assert_eq!(
        answer(&(ok("r1", "") + &ok("r1", "")), 2).unwrap(),
        [unknown.clone(), unknown.clone()],
        "answered twice"
    );
    assert_eq!(
        answer(&ok("r1", "555"), 1).unwrap()[0],
        unknown,
        "mark and id contradict each other"
    );
    assert_eq!(
        answer(&ok("r9", "101"), 1).unwrap()[0],
        unknown,
        "somebody else's mark"
    );
    assert_eq!(
        answer("<Contact request_id=\"r1\"/>", 1).unwrap()[0],
        unknown,
        "no result"
    );
    let timed_out = "<Contact request_id=\"r1\"><Result>Error</Result><ErrorText>Operation timed out</ErrorText></Contact>";
    assert_eq!(answer(timed_out, 1).unwrap()[0], unknown);
    assert!(
        matches!(
            answer(&(ok("", "") + &ok("", "")), 1),
            Err(DecodeError::NotAnAnswer(_))
        ),
        "more items than were sent"
    );
    assert!(
        matches!(answer("", 1), Err(DecodeError::NotAnAnswer(_))),
        "neither result nor items"
    );
}

#[test]
fn a_request_level_error_leaves_several_items_open() {
    let body = fixture!("refused.xml");
    let Err(DecodeError::NotAnAnswer(reason)) = items(body, 2) else {
        panic!("the outcome is unknown")
    };
    assert!(reason.contains("Example text (code 9001)"), "{reason}");
    assert!(
        matches!(items(body, 1), Err(DecodeError::Refused(_))),
        "of a single item there is no part"
    );
}

#[test]
fn creations_are_never_certain() {
    let outcomes = wire::settle_creations(CREATIONS, 3).unwrap();
    assert_eq!(
        outcomes[0],
        ItemOutcome::Accepted {
            id: Some("201".into())
        }
    );
    assert_eq!(
        outcomes[1],
        ItemOutcome::Accepted {
            id: Some("77".into())
        },
        "1002: the id is in the text"
    );
    assert_eq!(code(&outcomes[2]), "9003");
    assert_eq!(
        wire::settle_creations(CREATIONS, 4).unwrap(),
        vec![ItemOutcome::Unknown; 4],
        "positions mean nothing then"
    );
    for (text, id) in [
        ("This contact already exists with ID 12", Some("12")),
        ("This contact already exists with ID  12.", Some("12")),
        ("This contact already exists with IDs", None),
    ] {
        let body = format!(
            "<AddContactsResponse><Contacts><Contact><ErrorCode>1002</ErrorCode><ErrorText>{text}</ErrorText></Contact></Contacts></AddContactsResponse>"
        );
        let expected = id.map_or(ItemOutcome::Unknown, |id| ItemOutcome::Accepted {
            id: Some(id.to_owned()),
        });
        assert_eq!(
            wire::settle_creations(body.as_bytes(), 1).unwrap(),
            [expected],
            "{text}"
        );
    }
}

#[test]
fn requests_name_the_account_on_root_and_items() {
    let check = |request: Request, expected: &str| assert_eq!(request.xml, expected);
    check(
        Request::contacts("45", ContactFilter::All),
        r#"<GetContactsRequest account_id="45"></GetContactsRequest>"#,
    );
    check(
        Request::contacts("45", ContactFilter::GroupOptOuts("7")),
        r#"<GetContactsRequest account_id="45" group_id="7" Unsubscribed="true"></GetContactsRequest>"#,
    );
    check(
        Request::contacts("45", ContactFilter::Bounced),
        r#"<GetContactsRequest account_id="45" Bounced="true"></GetContactsRequest>"#,
    );
    let items = [("r1".to_owned(), "101".to_owned(), String::new())];
    check(
        Request::by_contact_id("45", ItemKind::Add("7"), &items),
        r#"<AddContactsToGroupRequest account_id="45" group_id="7"><Contacts><Contact account_id="45" contact_id="101" request_id="r1"></Contact></Contacts></AddContactsToGroupRequest>"#,
    );
    check(
        Request::by_contact_id("45", ItemKind::Unsubscribe, &items),
        r#"<UnsubscribeContactsRequest account_id="45"><Contacts><Contact account_id="45" contact_id="101" request_id="r1"></Contact></Contacts></UnsubscribeContactsRequest>"#,
    );
    let fields = encode_group(&record(&[
        ("Name", "A & B"),
        ("EventsTimeZone", "America/Chicago/"),
    ]))
    .unwrap();
    check(
        Request::edit_groups("45", &[("r1".to_owned(), "7".to_owned(), fields)]),
        r#"<EditGroupsRequest account_id="45"><Groups><Group account_id="45" group_id="7" request_id="r1"><Name>A &amp; B</Name><EventsTimeZone>America/Chicago</EventsTimeZone></Group></Groups></EditGroupsRequest>"#,
    );
    check(
        Request::create_group("45", "New", &record(&[("EmailsSentFromName", "Society")])).unwrap(),
        r#"<CreateGroupRequest account_id="45"><Name>New</Name><GroupType>Hidden</GroupType><EmailsSentFromName>Society</EmailsSentFromName></CreateGroupRequest>"#,
    );
    check(
        Request::add_custom_field("45", "Member no.", FieldType::Integer),
        r#"<AddUserDefinedFieldRequest account_id="45"><FieldName>Member no.</FieldName><FieldType>ShortText</FieldType><ContactEditable>Hidden</ContactEditable></AddUserDefinedFieldRequest>"#,
    );
}

#[test]
fn values_are_escaped_and_odd_fields_refused() {
    let fields = record(&[
        ("Firstname", "<Ana> & \"Bo\"\u{1}\r\n"),
        ("Phone", ""),
        ("custom.Q&A", "it's"),
    ]);
    assert_eq!(
        encode_member(Some("ana+x@example.org"), &fields).unwrap(),
        "<Email>ana+x@example.org</Email><Firstname>&lt;Ana&gt; &amp; &quot;Bo&quot;&#13;\n</Firstname><Phone></Phone>\
         <UserDefinedFields><UserDefinedField fieldname=\"Q&amp;A\">it&apos;s</UserDefinedField></UserDefinedFields>"
    );
    for name in [
        "Contact_id",
        "Tags",
        "Unsubscribed",
        "Groups",
        "WorkflowID",
        "Email",
    ] {
        assert!(
            encode_member(None, &record(&[(name, "1")]))
                .unwrap_err()
                .contains(name)
        );
    }
    for (name, text) in [
        ("Group_id", "1"),
        ("IncludeLoginLink", "Yes"),
        ("GroupType", "Secret"),
        ("Name", " "),
        ("description", "x"),
    ] {
        assert!(encode_group(&record(&[(name, text)])).is_err(), "{name}");
    }
}

#[test]
fn an_empty_value_is_none_in_whatever_form_it_comes() {
    for (open, nothing) in [
        ("<City/>", "<FieldValue/>"),
        ("<City></City>", "<FieldValue></FieldValue>"),
        ("<City> \n</City>", "<FieldValue> </FieldValue>"),
        (
            "<City><![CDATA[]]></City>",
            "<FieldValue><![CDATA[]]></FieldValue>",
        ),
        ("", ""),
    ] {
        let body = format!(
            "<GetContactsResponse><Result>Success</Result><TotalMatchingContacts>1</TotalMatchingContacts><Contacts><Contact>\
             <Contact_id>1</Contact_id><Email>ana@example.org</Email><Unsubscribed>0</Unsubscribed>{open}<Lastname>Silva</Lastname>\
             <UserDefinedFields><UserDefinedField><FieldName>Shoe size</FieldName>{nothing}</UserDefinedField></UserDefinedFields>\
             <Tags></Tags></Contact></Contacts></GetContactsResponse>"
        );
        let rows = contacts(body.as_bytes()).unwrap();
        assert_eq!(
            rows[0].profile.as_ref().unwrap(),
            &record(&[
                ("Contact_id", "1"),
                ("Email", "ana@example.org"),
                ("Lastname", "Silva"),
                // That the field is there shows all the same.
                ("custom.Shoe size", "")
            ]),
            "{body}"
        );
    }
}

#[test]
fn what_is_to_be_cleared_is_written_as_an_empty_element() {
    assert_eq!(
        encode_member(None, &record(&[("City", ""), ("custom.Shoe", "")])).unwrap(),
        "<City></City><UserDefinedFields><UserDefinedField fieldname=\"Shoe\"></UserDefinedField></UserDefinedFields>"
    );
    assert_eq!(
        encode_group(&record(&[
            ("EmailsSentFromName", ""),
            ("EmailPhysicalAddress", "")
        ]))
        .unwrap(),
        "<EmailsSentFromName></EmailsSentFromName><EmailPhysicalAddress></EmailPhysicalAddress>"
    );
}

#[test]
fn no_request_can_subscribe_replace_or_delete_people() {
    let items = [("r1".to_owned(), "1".to_owned(), String::new())];
    let all = [
        Request::contacts("1", ContactFilter::Group("1")).xml,
        Request::add_contacts("1", &[String::new()]).xml,
        Request::edit_contacts("1", &items).xml,
        Request::by_contact_id("1", ItemKind::Remove("1"), &items).xml,
        Request::delete_group("1", "r1", "1").xml,
    ];
    for xml in all {
        for word in [
            "get_all",
            "replace",
            "update",
            "<Groups>",
            "RemoveGroups",
            "DeleteContactsRequest",
            "WorkflowID",
        ] {
            assert!(
                !xml.contains(word) || (word == "<Groups>" && xml.starts_with("<DeleteGroups")),
                "{word} in {xml}"
            );
        }
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(256))]

    #[test]
    fn no_body_makes_a_decoder_panic(
        which in 0..SOUND.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (kind, body) = SOUND[which];
        let mut body = body.to_vec();
        for (at, byte) in edits {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        for (other, _) in SOUND {
            decode(other, &body).ok();
        }
        prop_assert!(decode(kind, &body).is_ok() || decode(kind, &body).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_never_an_answer(body in prop::collection::vec(any::<u8>(), 0..300)) {
        for (kind, _) in SOUND {
            prop_assert!(decode(kind, &body).is_err());
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same(text in "\\PC{0,40}[ \t\n\r]{0,2}\\PC{0,5}") {
        let fields = encode_member(Some("a@example.org"), &record(&[("Notes", text.as_str()), ("custom.x", text.as_str())])).unwrap();
        let body = format!("<GetContactsResponse><Result>Success</Result><Contacts><Contact><Contact_id>1</Contact_id>{fields}</Contact></Contacts></GetContactsResponse>");
        let rows = contacts(body.as_bytes()).unwrap();
        let profile = rows[0].profile.as_ref().unwrap();
        let read = profile.get("Notes").map(Value::to_string).unwrap_or_default();
        let expected = if text.trim().is_empty() { String::new() } else { text.clone() };
        prop_assert_eq!(read, expected);
    }
}

#[test]
fn only_words_about_the_account_say_that_it_has_no_groups() {
    for words in [
        "No groups were found.",
        "There are no groups in this account",
    ] {
        assert!(wire::says_no_groups(words), "{words}");
        assert!(!wire::says_no_contacts(words), "{words}");
        let words = words.replace("groups", "contacts");
        assert!(wire::says_no_contacts(&words), "{words}");
    }
    for words in [
        "You have no groups.",
        "No groups are visible to this login",
        "No groups: access denied",
        "Group not found",
        "no permission for groups",
    ] {
        assert!(!wire::says_no_groups(words), "{words}");
        let words = words.replace("groups", "contacts");
        assert!(!wire::says_no_contacts(&words), "{words}");
    }
}
