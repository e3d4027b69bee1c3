//! What each recorded shape means.

use serde_json::{Map, Value as Json};

use crate::http::{Body, Call, CallBody, DecodeError};
use crate::model::{CustomFields, MembershipState, ObjectKind, Record, Value};
use crate::provider::activecampaign::wire::contacts::{self, Include, ProfileFields, Scope};
use crate::provider::activecampaign::wire::import::{self, ImportRow, Progress};
use crate::provider::activecampaign::wire::{
    V1Answer, decode_v1, decode_v1_listing, decode_v3, groups, lists, users,
};
use crate::provider::activecampaign::{LIST_SCHEMA, USER_SCHEMA};
use crate::provider::json::Document;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/activecampaign/", $name))
    };
}
pub(super) use fixture;

pub(super) fn v1(bytes: &[u8]) -> Map<String, Json> {
    found(decode_v1(bytes))
}

/// Takes a listing of version 1 out of its envelope.
fn listing(bytes: &[u8]) -> Document {
    found(decode_v1_listing(Body::from_bytes(bytes)))
}

fn found<T>(answer: Result<V1Answer<T>, DecodeError>) -> T {
    match answer {
        Ok(V1Answer::Something(found)) => found,
        Ok(V1Answer::Empty(refusal)) => panic!("empty: {refusal}"),
        Err(error) => panic!("{error:?}"),
    }
}

pub(super) fn page_of(bytes: &[u8]) -> Document {
    Document::read(Body::from_bytes(bytes)).unwrap_or_else(|error| panic!("{error:?}"))
}

pub(super) fn v3(bytes: &[u8]) -> Map<String, Json> {
    decode_v3(200, bytes).unwrap_or_else(|error| panic!("{error:?}"))
}

fn profile(names: &[&str]) -> ProfileFields {
    let definitions = lists::definitions(&page_of(fixture!("good/fields.json")))
        .unwrap()
        .0
        .known;
    ProfileFields::of(
        &names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
        &definitions,
    )
}

fn shown(record: &Record) -> Vec<String> {
    record
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// Shows a form as pairs, as it goes over the wire.
pub(super) fn form(call: &Call) -> Vec<String> {
    let CallBody::Form(pairs) = &call.body else {
        panic!("no form")
    };
    let shown = |value: &crate::http::FormValue| match value {
        crate::http::FormValue::Plain(text) => text.clone(),
        crate::http::FormValue::Secret(_) => "***".to_owned(),
    };
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", shown(value)))
        .collect()
}

pub(super) fn body(call: &Call) -> Json {
    let CallBody::Json(bytes) = &call.body else {
        panic!("no JSON")
    };
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn lists_come_under_numbers_beside_the_envelope() {
    let rows = lists::summaries(&listing(fixture!("good/list_list.json")))
        .unwrap()
        .known;
    assert_eq!(
        rows.iter()
            .map(|row| (row.id.as_str(), row.member_count))
            .collect::<Vec<_>>(),
        [("1", Some(1)), ("2", Some(0))]
    );
    assert_eq!(rows[1].wire["name"], Value::from("Données"));
    assert!(!rows[0].detailed);
    let odd = lists::summaries(&listing(fixture!("odd/list_list_numbers.json")))
        .unwrap()
        .known;
    assert_eq!(
        (
            odd[0].id.as_str(),
            odd[0].member_count,
            &odd[0].wire["private"]
        ),
        ("1", Some(6), &Value::Boolean(true))
    );
}

#[test]
fn a_full_list_has_the_sender_and_who_sees_it() {
    let list = lists::full(&v1(fixture!("good/list_view.json"))).unwrap();
    assert_eq!(list.granted.iter().copied().collect::<Vec<_>>(), [1, 3, 7]);
    let canonical =
        LIST_SCHEMA.to_canonical(ObjectKind::Group, &list.row.wire, &CustomFields::default());
    assert_eq!(canonical["visibility"], Value::from("public"));
    assert_eq!(canonical["sender_zip"], Value::from("01234"), "zeros stay");
    assert!(
        canonical["postal_address"]
            .to_string()
            .starts_with("1 Example Street\n")
    );
    assert_eq!(
        lists::full_rows(&listing(fixture!("good/list_list_full.json"))).unwrap()[0],
        list.row
    );
    let bare = lists::full(&v1(fixture!("odd/list_view_empty_maps.json"))).unwrap();
    assert!(
        bare.granted.is_empty(),
        "an empty array stands for an empty object"
    );
}

#[test]
fn an_edit_of_a_list_repeats_what_it_does_not_change() {
    let list = lists::full(&v1(fixture!("good/list_view.json"))).unwrap();
    let changed = Record::from([
        ("name".into(), Value::from("Renamed")),
        ("private".into(), Value::Boolean(true)),
    ]);
    let call = lists::edit(1, &list, &changed);
    insta::assert_snapshot!(form(&call).join("\n"), @r"
    id=1
    name=Renamed
    sender_name=Example Society
    sender_addr1=1 Example Street
    sender_addr2=
    sender_city=Springfield
    sender_state=IL
    sender_zip=01234
    sender_country=USA
    sender_phone=
    sender_url=https://www.example.org
    sender_reminder=You signed up.
    to_name=Subscriber
    stringid=test-list
    carboncopy=
    subscription_notify=
    unsubscription_notify=
    p_use_tracking=1
    p_embed_image=1
    p_use_captcha=1
    bounceid[]=1
    ");
}

/// Each switch of a list that an edit turns off by leaving it out.
const LIST_SWITCHES: [&str; 13] = [
    "p_use_tracking",
    "p_use_analytics_read",
    "p_use_analytics_link",
    "p_use_twitter",
    "p_use_facebook",
    "p_embed_image",
    "p_use_captcha",
    "get_unsubscribe_reason",
    "send_last_broadcast",
    "require_name",
    "private",
    "p_duplicate_send",
    "p_duplicate_subscribe",
];

/// The answer to list_view with each switch on or off and these values.
fn list_view(on: impl Fn(&str) -> bool, values: &[(&str, &str)]) -> lists::FullList {
    let mut fields = v1(fixture!("good/list_view.json"));
    for name in LIST_SWITCHES {
        let value = if on(name) { "1" } else { "0" };
        fields.insert(name.to_owned(), value.into());
    }
    for (name, value) in values {
        fields.insert((*name).to_owned(), (*value).into());
    }
    lists::full(&fields).unwrap()
}

#[test]
fn an_edit_of_a_list_sends_back_every_switch_that_is_on_and_no_other() {
    let switches = |list: &lists::FullList| -> Vec<String> {
        let renamed = Record::from([("name".into(), Value::from("Renamed"))]);
        let sent = form(&lists::edit(1, list, &renamed));
        LIST_SWITCHES
            .iter()
            .filter(|name| {
                sent.iter()
                    .any(|pair| pair.split('=').next() == Some(**name))
            })
            .map(|name| {
                assert!(sent.contains(&format!("{name}=1")), "{sent:?}");
                (*name).to_owned()
            })
            .collect()
    };
    assert_eq!(switches(&list_view(|_| true, &[])), LIST_SWITCHES);
    assert!(switches(&list_view(|_| false, &[])).is_empty());
    for one in LIST_SWITCHES {
        assert_eq!(switches(&list_view(|name| name == one, &[])), [one]);
        assert!(
            !switches(&list_view(|name| name != one, &[])).contains(&one.to_owned()),
            "{one}"
        );
    }
}

#[test]
fn an_edit_of_a_list_sends_back_every_text() {
    let texts = [
        ("name", "Donors"),
        ("sender_name", "Society"),
        ("sender_addr1", "1 Example Street"),
        ("sender_addr2", "Back door"),
        ("sender_city", "Ulm"),
        ("sender_state", "BW"),
        ("sender_zip", "01234"),
        ("sender_country", "DE"),
        ("sender_phone", "555"),
        ("sender_url", "https://www.example.org"),
        ("sender_reminder", "You asked for it."),
        ("to_name", "Friend"),
        ("stringid", "donors"),
        ("carboncopy", "a@example.org"),
        ("subscription_notify", "b@example.org"),
        ("unsubscription_notify", "c@example.org"),
    ];
    let list = list_view(|_| false, &texts);
    let sent = form(&lists::edit(1, &list, &Record::new()));
    for (name, value) in texts {
        assert!(
            sent.contains(&format!("{name}={value}")),
            "{name}: {sent:?}"
        );
    }
    assert!(sent.contains(&"bounceid[]=1".to_owned()), "{sent:?}");
    // An edit needs each of them, also where the list was made without.
    let bare = list_view(|_| false, &[("to_name", ""), ("sender_url", "")]);
    let sent = form(&lists::edit(1, &bare, &Record::new()));
    for needed in ["to_name=Subscriber", "sender_url="] {
        assert!(sent.contains(&needed.to_owned()), "{sent:?}");
    }
    // What is to be cleared goes as an empty text, and nothing else is touched.
    let cleared = Record::from([("sender_addr2".into(), Value::from(""))]);
    let sent = form(&lists::edit(1, &list, &cleared));
    for (name, value) in texts {
        let value = if name == "sender_addr2" { "" } else { value };
        assert!(
            sent.contains(&format!("{name}={value}")),
            "{name}: {sent:?}"
        );
    }
    let mut fields = v1(fixture!("good/list_view.json"));
    fields.insert(
        "bounces".to_owned(),
        serde_json::json!([{"id": "1"}, {"id": "4"}]),
    );
    let sent = form(&lists::edit(
        1,
        &lists::full(&fields).unwrap(),
        &Record::new(),
    ));
    assert!(sent.contains(&"bounceid[]=1,4".to_owned()), "{sent:?}");
}

#[test]
fn an_edit_of_a_user_group_sends_back_everything_that_it_shows() {
    let mut fields = v1(fixture!("good/group_view.json"));
    fields.retain(|name, _| !name.starts_with("pg_"));
    let permissions: Vec<&str> = "automation_manage form_edit list_add list_bounce list_delete list_edit list_emailaccount \
         list_headers message_add message_delete message_edit message_send reports_campaign reports_list reports_user \
         reports_trend reports_deal subscriber_add subscriber_approve subscriber_delete subscriber_edit subscriber_export \
         subscriber_fields subscriber_filters subscriber_import subscriber_sync template_add template_delete template_edit \
         user_add user_delete user_edit"
        .split_whitespace()
        .collect();
    assert_eq!(permissions.len(), 32);
    for permission in &permissions {
        fields.insert(format!("pg_{permission}"), "1".into());
    }
    let limits = [
        ("attachment", "2"),
        ("campaign", "3"),
        ("list", "4"),
        ("mail", "5"),
        ("subscriber", "6"),
        ("user", "7"),
    ];
    for (name, limit) in limits {
        fields.insert(format!("limit_{name}"), limit.into());
    }
    for (name, value) in [
        ("limit_campaign_type", "week"),
        ("limit_mail_type", "year"),
        ("abuseratio", "9"),
        ("unsubscribelink", "1"),
        ("sendmethods", "1,3"),
        ("lists", "12,1"),
        ("descript", "My group"),
    ] {
        fields.insert(name.to_owned(), value.into());
    }
    let group = groups::full(&fields).unwrap();
    let mut expected: Vec<String> = permissions
        .iter()
        .map(|permission| format!("pg_{permission}=1"))
        .collect();
    for (name, limit) in limits {
        expected.push(format!("limit_{name}={limit}"));
        expected.push(format!("group_limit_{name}_checkbox=on"));
    }
    expected.extend(
        [
            "id=26",
            "title=Awesome",
            "descript=My group",
            "limit_campaign_type=week",
            "limit_mail_type=year",
            "abuseratio=9",
            "unsubscribelink=on",
            "sendmethods[]=1,3",
            "lists[1]=1",
            "lists[12]=12",
        ]
        .map(str::to_owned),
    );
    expected.sort();
    let sent = |wire: &Record| {
        let mut sent = form(&groups::save(Some(26), wire, &[]));
        sent.sort();
        sent
    };
    assert_eq!(sent(&group.wire), expected);
    for one in &permissions {
        let mut fields = fields.clone();
        fields.insert(format!("pg_{one}"), "0".into());
        let without: Vec<String> = expected
            .iter()
            .filter(|pair| **pair != format!("pg_{one}=1"))
            .cloned()
            .collect();
        let group = groups::full(&fields).unwrap();
        assert_eq!(sent(&group.wire), without, "{one}");
    }
}

#[test]
fn an_edit_of_a_user_sends_back_what_is_known_and_blanks_nothing_else() {
    let known = |pairs: &[(&str, &str)]| -> Record {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), Value::from(*value)))
            .collect()
    };
    let user = known(&[
        ("id", "30"),
        ("username", "ana"),
        ("email", "ana@example.org"),
        ("first_name", "Ana"),
        ("last_name", "Silva"),
    ]);
    let with_phone = |phone: &str| {
        let mut user = user.clone();
        user.insert("phone".into(), Value::from(phone));
        user
    };
    let whole = serde_json::json!({
        "username": "ana", "email": "ana@example.org", "firstName": "Ana", "lastName": "Silva",
        "group": 36,
    });
    assert_eq!(
        body(&users::put(30, &user, 36))["user"],
        whole,
        "a number that no answer showed is not cleared"
    );
    for phone in ["555", ""] {
        let mut whole = whole.clone();
        whole["phone"] = phone.into();
        assert_eq!(body(&users::put(30, &with_phone(phone), 36))["user"], whole);
    }
    let edit = |user: &Record| form(&users::edit(30, user, 36, users::GroupIndex::ItsId));
    let sent = [
        "id=30",
        "password=",
        "password_r=",
        "username=ana",
        "email=ana@example.org",
        "first_name=Ana",
        "last_name=Silva",
    ];
    assert_eq!(edit(&user), [&sent[..], &["group[36]=36"]].concat());
    assert_eq!(
        edit(&with_phone("555")),
        [&sent[..], &["phone=555", "group[36]=36"]].concat()
    );
}

#[test]
fn an_empty_value_is_none_in_whatever_form_it_comes() {
    let wanted = profile(&["first_name", "last_name", "phone", "custom.LEVEL"]);
    let expected = ["last_name=Silva"];
    for nothing in [r#""""#, r#""  ""#, "null", "[]", "{}"] {
        let page = format!(
            r#"{{"contacts":[{{"id":"101","email":"ana@example.org","firstName":{nothing},"lastName":"Silva"}}],
                "contactLists":[],"fieldValues":[{{"contact":"101","field":"4","value":{nothing}}}],"meta":{{"total":"1"}}}}"#
        );
        let page = contacts::contacts(&page_of(page.as_bytes()), 0, &wanted).unwrap();
        let contact = &page.contacts.known[0];
        assert_eq!(shown(&contact.profile), expected, "{nothing}");
        assert_eq!((contact.unreadable, &contact.lacks), (false, &None));
        let view = format!(
            r#"{{"id":"101","email":"ana@example.org","first_name":{nothing},"last_name":"Silva","lists":[],
                "fields":{{"4":{{"id":"4","val":{nothing}}}}},"result_code":1,"result_message":"","result_output":"json"}}"#
        );
        let view = contacts::viewed(&v1(view.as_bytes()), &wanted).unwrap();
        assert_eq!(shown(&view.profile), expected, "{nothing}");
        assert_eq!((view.unreadable, &view.lacks), (false, &None));
    }
}

#[test]
fn what_is_there_and_not_understood_is_no_empty_value() {
    let custom = profile(&["custom.LEVEL"]);
    let plain = profile(&["first_name"]);
    for odd in [r#"["Gold"]"#, r#"{"text":"Gold"}"#, "true"] {
        let page = format!(
            r#"{{"contacts":[{{"id":"101","firstName":{odd}}},{{"id":"102"}}],"contactLists":[],
                "fieldValues":[{{"contact":"101","field":"4","value":{odd}}},{{"contact":"102","field":"4","value":7}}],"meta":{{"total":"2"}}}}"#
        );
        let read = |wanted| contacts::contacts(&page_of(page.as_bytes()), 0, wanted).unwrap();
        let rows = read(&custom).contacts.known;
        let why = rows[0].lacks.as_deref().unwrap_or_default();
        assert!(why.contains("the value of custom field LEVEL"), "{odd}");
        assert_eq!((rows[1].unreadable, &rows[1].lacks), (false, &None));
        assert_eq!(shown(&rows[1].profile), ["custom.LEVEL=7"]);
        let rows = read(&plain).contacts.known;
        assert_eq!((rows[0].unreadable, &rows[0].lacks), (true, &None), "{odd}");
        assert!(!rows[1].unreadable);
        let view = format!(
            r#"{{"id":"101","first_name":{odd},"lists":[],"fields":{{"4":{{"id":"4","val":{odd}}}}},"result_code":1}}"#
        );
        let view = |wanted| contacts::viewed(&v1(view.as_bytes()), wanted).unwrap();
        assert!(view(&custom).lacks.is_some(), "{odd}");
        assert!(view(&plain).unreadable && view(&plain).lacks.is_none());
        let user = format!(r#"{{"id":"7","first_name":{odd},"phone":null,"result_code":1}}"#);
        assert!(users::user(&v1(user.as_bytes())).unwrap().unreadable);
    }
}

#[test]
fn custom_values_that_version_1_leaves_out_are_not_cleared() {
    let wanted = profile(&["custom.LEVEL"]);
    let view = |fields: &str, wanted: &ProfileFields| {
        let view = format!(r#"{{"id":"101","lists":[]{fields},"result_code":1}}"#);
        contacts::viewed(&v1(view.as_bytes()), wanted)
            .unwrap()
            .lacks
    };
    for missing in [
        "",
        r#","fields":null"#,
        r#","fields":"""#,
        r#","fields":"Gold""#,
        r#","fields":{"4":{"id":"4"}}"#,
        r#","fields":{"4":"Gold"}"#,
        r#","fields":{"%LEVEL%":{"val":"Gold"}}"#,
        r#","fields":[{"val":"Gold"}]"#,
    ] {
        assert!(view(missing, &wanted).is_some(), "{missing}");
        // Where none is asked for, none is missed.
        assert_eq!(view(missing, &ProfileFields::default()), None);
    }
    for empty in [
        r#","fields":[]"#,
        r#","fields":{}"#,
        r#","fields":{"4":{"val":""}}"#,
        r#","fields":[{"id":"4","val":null}]"#,
        // That of another field is no matter, nor is one without a field beside the wanted one.
        r#","fields":{"9":{"id":"9"}}"#,
        r#","fields":[{"val":"Gold"},{"id":"4","val":"Silver"}]"#,
    ] {
        assert_eq!(view(empty, &wanted), None, "{empty}");
    }
}

#[test]
fn a_form_clears_and_what_creates_people_says_nothing_of_empty_fields() {
    let definitions = lists::definitions(&page_of(fixture!("good/fields.json")))
        .unwrap()
        .0
        .known;
    let fields: Record = [
        ("first_name", ""),
        ("last_name", "Silva"),
        ("custom.LEVEL", ""),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), Value::from(value)))
    .collect();
    let mut update = form(&contacts::update("ana@example.org", &fields, &definitions));
    update.sort();
    assert_eq!(
        update,
        [
            "email=ana@example.org",
            "field[4,0]=",
            "first_name=",
            "last_name=Silva"
        ]
    );
    let holder = contacts::unsubscribe("ana@example.org", &[3], Some((&fields, &definitions)));
    assert_eq!(
        form(&holder),
        [
            "email=ana@example.org",
            "last_name=Silva",
            "p[3]=3",
            "status[3]=2"
        ]
    );
    let row = ImportRow {
        address: "ana@example.org",
        fields: Some(&fields),
        subscribe: vec![],
        unsubscribe: vec![],
    };
    assert_eq!(
        body(&import::import(&[row], &definitions).unwrap())["contacts"],
        serde_json::json!([
            {"email": "ana@example.org", "exclude_automations": true, "last_name": "Silva"}
        ])
    );
}

#[test]
fn a_page_of_contacts_brings_memberships_and_values() {
    let wanted = profile(&[
        "first_name",
        "customer_acct_name",
        "custom.LEVEL",
        "custom.interests",
        "nonsense",
    ]);
    let page = contacts::contacts(&page_of(fixture!("good/contacts.json")), 0, &wanted).unwrap();
    assert!(page.has_memberships() && page.has_values);
    assert_eq!(page.total, Some(4));
    let memberships: Vec<_> = page
        .contacts
        .known
        .iter()
        .map(|contact| contact.memberships.clone().unwrap())
        .collect();
    assert_eq!(
        memberships,
        [
            vec![(1, 1), (2, 1)],
            vec![(1, 2)],
            vec![(1, 0), (2, 3)],
            vec![]
        ]
    );
    let expected = [
        "custom.LEVEL=Gold",
        "custom.interests=||a||b||",
        "customer_acct_name=Example",
        "first_name=Ana",
    ];
    assert_eq!(shown(&page.contacts.known[0].profile), expected);
    assert!(
        page.contacts.known[1].profile.is_empty(),
        "an empty value is none"
    );
    let odd = contacts::contacts(
        &page_of(fixture!("odd/contacts_numbers.json")),
        100,
        &ProfileFields::default(),
    )
    .unwrap();
    assert_eq!(odd.contacts.known[0].memberships, Some(vec![(1, 1)]));
    assert!(
        contacts::contacts(&page_of(fixture!("good/contacts.json")), 101, &wanted).is_err(),
        "the filter by id was passed over"
    );
}

#[test]
fn statuses_are_those_of_the_memberships_and_not_the_one_on_top() {
    use MembershipState::{Active, Bounced, OptedOut, Unconfirmed};

    let rows = contacts::listed_rows(
        &listing(fixture!("good/contact_list.json")),
        0,
        &profile(&["first_name", "custom.LEVEL"]),
    )
    .unwrap()
    .known;
    assert_eq!(rows[0].memberships, Some(vec![(1, 2), (2, 1)]));
    assert_eq!(rows[1].memberships, Some(vec![]));
    assert_eq!(
        shown(&rows[0].profile),
        ["custom.LEVEL=Gold", "first_name=Ana"]
    );
    let states: Vec<_> = [0, 1, 2, 3, 4, -1]
        .into_iter()
        .map(contacts::state)
        .collect();
    assert_eq!(
        states,
        [
            Unconfirmed,
            Active,
            OptedOut,
            Bounced,
            Unconfirmed,
            Unconfirmed
        ]
    );
    let view = contacts::viewed(
        &v1(fixture!("good/contact_view.json")),
        &ProfileFields::default(),
    )
    .unwrap();
    assert_eq!(
        (view.id, view.email.as_deref()),
        (101, Some("ana@example.org"))
    );
}

#[test]
fn nothing_found_is_told_from_a_missing_right() {
    for empty in [
        &fixture!("broken/empty.json")[..],
        fixture!("broken/empty_localised.json"),
        fixture!("broken/refused.json"),
    ] {
        assert!(matches!(decode_v1(empty), Ok(V1Answer::Empty(_))));
        let listing = decode_v1_listing(Body::from_bytes(empty));
        assert!(matches!(listing, Ok(V1Answer::Empty(_))));
    }
    let denied = decode_v1_listing(Body::from_bytes(fixture!("broken/unauthorised.json")));
    assert!(matches!(denied, Err(DecodeError::Denied(_))));
    let with_rows = br#"{"0":{"id":"1"},"succeeded":0,"message":"half"}"#.to_vec();
    let refused = decode_v1_listing(Body::from_bytes(&with_rows));
    assert!(matches!(refused, Err(DecodeError::Refused(_))));
    let other_names = br#"{"0":{"id":"1"},"succeeded":1,"message":"all"}"#.to_vec();
    let found = decode_v1_listing(Body::from_bytes(&other_names));
    assert!(matches!(found, Ok(V1Answer::Something(_))));
    assert!(matches!(
        decode_v1(fixture!("broken/unauthorised.json")),
        Err(DecodeError::Denied(_))
    ));
    assert!(matches!(
        decode_v1(fixture!("broken/error.xml")),
        Err(DecodeError::NotAnAnswer(_))
    ));
    assert!(
        matches!(decode_v3(403, fixture!("broken/forbidden.json")), Err(DecodeError::Denied(words)) if words == "Forbidden")
    );
    assert!(
        matches!(decode_v3(403, fixture!("broken/no_list.json")), Err(DecodeError::Denied(words)) if words.contains("No Result"))
    );
    assert!(
        matches!(decode_v3(422, fixture!("broken/duplicate.json")), Err(DecodeError::Refused(refusal)) if refusal.message.contains("already"))
    );
    assert!(matches!(
        decode_v3(404, fixture!("broken/page.html")),
        Err(DecodeError::Refused(_))
    ));
    let localised = v1(fixture!("good/contact_sync_localised.json"));
    assert_eq!(localised["subscriber_id"], "2");
}

#[test]
fn questions_for_contacts_go_by_id() {
    let query = |call: Call| {
        call.query
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("&")
    };
    assert_eq!(
        query(contacts::page(Scope::Account, 7, Include::Both)),
        "status=-1&limit=100&orders[id]=ASC&id_greater=7&include=contactLists,fieldValues"
    );
    assert_eq!(
        query(contacts::page(Scope::List(3), 0, Include::Nothing)),
        "listid=3&status=-1&limit=100&orders[id]=ASC&id_greater=0"
    );
    assert_eq!(
        query(contacts::listed(3, 0, 9, false)),
        "api_action=contact_list&api_output=json&filters[listid]=3&filters[status]=0&filters[id_greater]=9&sort=id&sort_direction=ASC&page=1&full=0"
    );
}

#[test]
fn forms_about_contacts_say_two_and_nothing_else() {
    assert_eq!(
        form(&contacts::unsubscribe("ana@example.org", &[3, 5], None)),
        [
            "email=ana@example.org",
            "p[3]=3",
            "status[3]=2",
            "p[5]=5",
            "status[5]=2"
        ]
    );
    let fields: Record = [
        ("first_name", "Ana"),
        ("email", "x@example.org"),
        ("custom.LEVEL", ""),
        ("status[3]", "1"),
        ("custom.none", "x"),
    ]
    .into_iter()
    .map(|(name, text)| (name.into(), Value::from(text)))
    .collect();
    let definitions = lists::definitions(&page_of(fixture!("good/fields.json")))
        .unwrap()
        .0
        .known;
    let update = contacts::update("ana@example.org", &fields, &definitions);
    assert_eq!(
        form(&update),
        ["email=ana@example.org", "field[4,0]=", "first_name=Ana"]
    );
    let change = contacts::change_address(101, "new@example.org");
    assert!(
        change
            .query
            .contains(&("overwrite".to_owned(), "0".to_owned()))
    );
    assert_eq!(form(&change), ["id=101", "email=new@example.org"]);
    assert!(
        contacts::detach(101, 3)
            .query
            .contains(&("listids[3]".to_owned(), "3".to_owned()))
    );
}

#[test]
fn an_import_leaves_automations_out() {
    let fields = Record::from([
        ("first_name".into(), Value::from("Ana")),
        ("phone".into(), Value::from("")),
        ("custom.LEVEL".into(), Value::from("Gold")),
    ]);
    let definitions = lists::definitions(&page_of(fixture!("good/fields.json")))
        .unwrap()
        .0
        .known;
    let rows = [
        ImportRow {
            address: "ana@example.org",
            fields: Some(&fields),
            subscribe: vec![3, 5],
            unsubscribe: vec![],
        },
        ImportRow {
            address: "bo@example.org",
            fields: None,
            subscribe: vec![],
            unsubscribe: vec![3],
        },
    ];
    let call = import::import(&rows, &definitions).unwrap();
    assert_eq!(call.lane.unwrap().requests_per_minute, 100);
    insta::assert_snapshot!(body(&call), @r#"{"contacts":[{"email":"ana@example.org","exclude_automations":true,"fields":[{"id":4,"value":"Gold"}],"first_name":"Ana","subscribe":[{"listid":3},{"listid":5}]},{"email":"bo@example.org","exclude_automations":true,"unsubscribe":[{"listid":3}]}]}"#);
    assert_eq!(
        import::import(&rows[..1], &definitions)
            .unwrap()
            .lane
            .unwrap()
            .requests_per_minute,
        20
    );
    let long = Record::from([("first_name".into(), Value::from("x".repeat(400_000)))]);
    let long = [ImportRow {
        address: "ana@example.org",
        fields: Some(&long),
        subscribe: vec![],
        unsubscribe: vec![],
    }];
    assert!(import::import(&long, &definitions).is_err());
}

#[test]
fn an_import_is_asked_after_until_it_is_over() {
    let progress = |text: &str| import::progress(&v3(text.as_bytes()));
    for running in [
        r#"{"status":false}"#,
        r#"{"status":"waiting"}"#,
        r#"{"status":"claimed"}"#,
        r#"{"status":"active"}"#,
    ] {
        assert_eq!(progress(running), Ok(Progress::Running), "{running}");
    }
    assert_eq!(
        progress(r#"{"status":"interrupted","success":[],"failure":[]}"#),
        Ok(Progress::Broken)
    );
    for unclear in [
        "{}",
        r#"{"status":"done"}"#,
        r#"{"status":true}"#,
        r#"{"status":"completed","failure":"x"}"#,
    ] {
        assert!(progress(unclear).is_err(), "{unclear}");
    }
    let done = import::progress(&v3(fixture!("good/import_done.json"))).unwrap();
    assert_eq!(
        done,
        Progress::Completed(vec![Some("Bad@example.org".to_owned())])
    );
    assert_eq!(
        import::queued(&v3(fixture!("good/import.json"))).unwrap(),
        "3840817e-0000-4000-8000-000000000001"
    );
    let capital =
        br#"{"Success":1,"queued_contacts":1,"batchId":"7","message":"Contact import queued"}"#;
    assert_eq!(import::queued(&v3(capital)).unwrap(), "7");
    assert!(matches!(
        decode_v3(400, fixture!("broken/import_too_fast.json")),
        Err(DecodeError::Throttled { .. })
    ));
    let Err(DecodeError::Refused(refusal)) = decode_v3(400, fixture!("broken/import_refused.json"))
    else {
        panic!("not refused")
    };
    assert_eq!(
        refusal.message,
        "Invalid request; The email address is not valid."
    );
}

#[test]
fn what_is_outstanding_is_never_overlooked() {
    let check = |text: &str, expected: bool| {
        assert_eq!(
            import::is_outstanding(&v3(text.as_bytes())),
            Ok(expected),
            "{text}"
        );
    };
    assert_eq!(
        import::is_outstanding(&v3(fixture!("good/totals.json"))),
        Ok(false)
    );
    check(r#"{"outstanding":0}"#, false);
    check(r#"{"outstanding":{}}"#, false);
    check(
        r#"{"outstanding":[{"day":"2026-11-22","contacts":"0","batches":"0"}]}"#,
        false,
    );
    check(
        r#"{"outstanding":[{"day":"2026-11-22","contacts":"3"}]}"#,
        true,
    );
    check(r#"{"outstanding":{"2026-11-22":"3"}}"#, true);
    check(r#"{"outstanding":[{"day":"2026-11-22"}]}"#, true);
    check(r#"{"outstanding":"some"}"#, true);
    assert!(import::is_outstanding(&v3(b"{}")).is_err());
}

#[test]
fn a_user_group_is_written_whole_with_granted_permissions_only() {
    let group = groups::full(&v1(fixture!("good/group_view.json"))).unwrap();
    assert_eq!(
        group.wire["lists"],
        Value::List(vec!["1".to_owned(), "12".to_owned()])
    );
    assert!(
        !group.wire.contains_key("limit_attachment") && !group.wire.contains_key("limit_list"),
        "no limit is not one of nothing"
    );
    let canonical =
        USER_SCHEMA.to_canonical(ObjectKind::Group, &group.wire, &CustomFields::default());
    assert_eq!(canonical["permissions.list_add"], Value::Boolean(true));
    assert_eq!(canonical["limits.mail"], Value::Integer(67));
    let call = groups::save(Some(26), &group.wire, &[]);
    insta::assert_snapshot!(form(&call).join("\n"), @r"
    id=26
    title=Awesome
    descript=My group
    lists[1]=1
    lists[12]=12
    sendmethods[]=1
    group_limit_mail_checkbox=on
    limit_mail=67
    limit_mail_type=month
    group_limit_user_checkbox=on
    limit_user=3
    unsubscribelink=on
    abuseratio=4
    pg_list_add=1
    pg_message_add=1
    ");
    let mut less = group.wire.clone();
    less.insert("pg_list_add".into(), Value::Boolean(false));
    assert_eq!(groups::still_granted(&less, &group.wire), ["pg_list_add"]);
    assert!(
        form(&groups::save(Some(26), &less, &["pg_list_add"]))
            .contains(&"pg_list_add=0".to_owned())
    );
    assert_eq!(groups::differing(&less, &group.wire), ["pg_list_add"]);
    assert!(groups::differing(&group.wire, &group.wire).is_empty());
    let mut unseen = group.wire.clone();
    unseen.insert("pg_reports_deal".into(), Value::Boolean(true));
    assert!(
        groups::differing(&unseen, &group.wire).is_empty(),
        "what is not shown can't be checked"
    );
}

#[test]
fn a_password_is_never_picked_out_of_an_answer() {
    let user = users::user(&v1(fixture!("good/user_view.json"))).unwrap();
    assert_eq!(user.groups, Some(vec![36]));
    assert!(!format!("{user:?}").contains("5f4dcc"));
    assert_eq!(
        users::group_of(&v3(fixture!("good/user_edge.json")), 30).unwrap(),
        36
    );
    assert!(
        users::group_of(&v3(fixture!("good/user_edge.json")), 31).is_err(),
        "somebody else's"
    );
    let (page, _) = users::users(&page_of(fixture!("good/users.json"))).unwrap();
    assert_eq!(
        shown(&page.known[0].profile),
        [
            "email=admin@example.org",
            "first_name=Ad",
            "id=1",
            "last_name=Min",
            "phone=555",
            "username=admin"
        ]
    );
    let edit = form(&users::edit(
        30,
        &user.profile,
        36,
        users::GroupIndex::ItsId,
    ));
    assert!(
        edit.contains(&"password=".to_owned()) && edit.contains(&"group[36]=36".to_owned()),
        "{edit:?}"
    );
    let (groups, total) = groups::summaries(&page_of(fixture!("good/user_groups.json"))).unwrap();
    assert_eq!((groups.len(), total), (3, Some(3)));
}
