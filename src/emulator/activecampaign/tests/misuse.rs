//! What a client should not do, each once, beside its neighbour that is nothing to blame.

use std::time::Duration;

use super::*;
use crate::emulator::MisuseKind::{
    AddedExistingMember, AskedForMail, DeletedContact, ForbiddenTarget, MissingParameter,
    RemovedNonMember, RemovedOptedOut, Resubscribed, UnknownParameter, WrongMethod, WrongType,
};
use crate::emulator::testing::kinds;

/// The kinds that a version 1 call leaves behind; `prepare` sets up lists and names the fields.
async fn recorded(
    action: &str,
    prepare: impl FnOnce(&Emulator) -> Vec<(String, String)>,
) -> Vec<crate::emulator::MisuseKind> {
    let emulator = emulator();
    let fields = prepare(&emulator);
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let reads = action.ends_with("_list") || action.ends_with("_paginator");
    let request = if reads {
        get(&key(&emulator), action, "json", &fields)
    } else {
        post(&key(&emulator), action, "json", &fields)
    };
    answer(&emulator, request).await;
    kinds(&emulator)
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn taking_people_off_lists_is_blamed_for_whom_it_takes() {
    for action in ["contact_delete", "contact_delete_list"] {
        for (who, expected) in [
            ("ana", vec![]),
            ("bo", vec![RemovedNonMember]),
            ("dee", vec![RemovedOptedOut]),
        ] {
            let emulator = emulator();
            let (one, two, ana) = with_member(&emulator);
            let [bo, dee] = account(&emulator, |account| {
                let [bo, dee] =
                    ["bo", "dee"].map(|name| account.add_contact(&format!("{name}@example.org")));
                account.join_all(two, [bo, dee]);
                account.opt_out_of_group(one, dee);
                [bo, dee]
            });
            let id = match who {
                "ana" => ana,
                "bo" => bo,
                _ => dee,
            };
            let name = if action == "contact_delete" {
                "id"
            } else {
                "ids"
            };
            let fields = [
                (name.to_owned(), id.to_string()),
                (format!("listids[{one}]"), one.to_string()),
            ];
            let fields = fields
                .each_ref()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            answer(&emulator, get(&key(&emulator), action, "json", &fields)).await;
            assert_eq!(kinds(&emulator), expected, "{action} {who}");
            assert_eq!(state(&emulator, one, id), None, "{action} {who}");
        }
    }
}

#[tokio::test]
async fn deleting_a_contact_loses_refusals_and_is_blamed_for_each() {
    let emulator = emulator();
    let (one, _, contact) = with_member(&emulator);
    account(&emulator, |account| account.opt_out_of_group(one, contact));
    v3(
        &emulator,
        "DELETE",
        &format!("contacts/{contact}"),
        Value::Null,
    )
    .await;
    assert_eq!(kinds(&emulator), [DeletedContact, RemovedOptedOut]);
}

#[tokio::test(start_paused = true)]
async fn importing_is_blamed_for_whom_it_adds() {
    use crate::emulator::MembershipState::{Active, Bounced, OptedOut, Unconfirmed};
    for (before, left, expected) in [
        (None, false, vec![]),
        // Nothing happens to somebody who is active.
        (Some(Active), false, vec![]),
        (Some(Bounced), false, vec![AddedExistingMember]),
        (Some(Unconfirmed), false, vec![AddedExistingMember]),
        (Some(OptedOut), false, vec![AddedExistingMember]),
        (Some(Active), true, vec![]),
        (Some(OptedOut), true, vec![Resubscribed]),
    ] {
        let emulator = emulator();
        let list = account(&emulator, |account| {
            let list = account.add_group("One");
            let contact = account.add_contact("ana@example.org");
            if let Some(state) = before {
                account.set_membership_state(list, contact, state);
            }
            if left {
                account.leave(list, contact);
            }
            list
        });
        let rows = json!({"contacts": [
            {"email": "ana@example.org", "subscribe": [{"listid": list}], "exclude_automations": true}
        ]});
        v3(&emulator, "POST", "import/bulk_import", rows).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(kinds(&emulator), expected, "{before:?}, left: {left}");
    }
}

#[tokio::test]
async fn what_a_call_of_version_one_needs_is_missed() {
    let sender = || owned(&SENDER);
    let list = |emulator: &Emulator| with_member(emulator).0.to_string();
    let none = |_: &Emulator| Vec::new();
    assert_eq!(recorded("list_add", |_| sender()).await, [MissingParameter]);
    let named = |_: &Emulator| owned(&[("name", "New")]);
    assert_eq!(recorded("list_add", named).await, [MissingParameter]);
    let whole = |_: &Emulator| [owned(&[("name", "New")]), sender()].concat();
    assert_eq!(recorded("list_add", whole).await, []);
    let nameless = |emulator: &Emulator| owned(&[("id", &list(emulator))]);
    assert_eq!(recorded("list_edit", nameless).await, [MissingParameter]);
    // Each of the four that an edit empties besides the sender.
    let others = [
        "subscription_notify",
        "unsubscription_notify",
        "to_name",
        "carboncopy",
    ];
    let edit = |emulator: &Emulator, without: &str| {
        let mut fields = owned(&[("id", &list(emulator)), ("name", "One")]);
        fields.extend(sender());
        fields.extend(others.map(|name| (name.to_owned(), String::new())));
        fields.retain(|(name, _)| name != without);
        fields
    };
    assert_eq!(recorded("list_edit", |it| edit(it, "")).await, []);
    for name in SENDER.map(|(name, _)| name).into_iter().chain(others) {
        assert_eq!(
            recorded("list_edit", |it| edit(it, name)).await,
            [MissingParameter],
            "{name}"
        );
    }
    assert_eq!(recorded("list_list", none).await, [MissingParameter]);
    assert_eq!(recorded("group_list", none).await, [MissingParameter]);
    let all = |_: &Emulator| owned(&[("ids", "all")]);
    assert_eq!(recorded("list_list", all).await, []);
    let misspelt = |_: &Emulator| owned(&[("filters[adress]", "x")]);
    assert_eq!(recorded("contact_list", misspelt).await, [UnknownParameter]);
    let page = |without: &'static str| {
        move |_: &Emulator| {
            let mut fields = owned(&[
                ("sort", "01"),
                ("offset", "0"),
                ("limit", "20"),
                ("filter", "0"),
                ("public", "0"),
            ]);
            fields.retain(|(name, _)| name != without);
            fields
        }
    };
    assert_eq!(recorded("contact_paginator", page("")).await, []);
    for name in ["sort", "offset", "limit", "filter", "public"] {
        assert_eq!(
            recorded("contact_paginator", page(name)).await,
            [MissingParameter],
            "{name}"
        );
    }
    let untitled = |_: &Emulator| owned(&[("descript", "x")]);
    assert_eq!(recorded("group_add", untitled).await, [MissingParameter]);
}

#[tokio::test]
async fn a_field_of_version_one_needs_what_the_page_calls_required() {
    let field = |without: &'static str, of_type: &'static str| {
        move |_: &Emulator| {
            let mut fields = owned(&[
                ("title", "Shoe"),
                ("type", of_type),
                ("req", "0"),
                ("perstag", "SHOE"),
                ("p[0]", "0"),
            ]);
            fields.retain(|(name, _)| name != without);
            fields
        }
    };
    assert_eq!(recorded("list_field_add", field("", "1")).await, []);
    for name in ["title", "type", "req", "perstag", "p[0]"] {
        assert_eq!(
            recorded("list_field_add", field(name, "1")).await,
            [MissingParameter],
            "{name}"
        );
    }
    assert_eq!(
        recorded("list_field_add", field("", "8")).await,
        [WrongType]
    );
}

#[tokio::test]
async fn writing_a_contact_is_blamed_for_what_it_asks_for() {
    let on_list = |emulator: &Emulator, more: &[(&str, &str)]| {
        let list = with_member(emulator).0;
        let mut fields = owned(&[("email", "bo@example.org")]);
        fields.push((format!("p[{list}]"), list.to_string()));
        fields.extend(more.iter().map(|(name, value)| {
            (
                name.replace("[]", &format!("[{list}]")),
                (*value).to_owned(),
            )
        }));
        fields
    };
    for action in ["contact_add", "contact_sync"] {
        let good = |it: &Emulator| on_list(it, &[("status[]", "1")]);
        assert_eq!(recorded(action, good).await, [], "{action}");
        let odd = |it: &Emulator| on_list(it, &[("status[]", "3")]);
        assert_eq!(recorded(action, odd).await, [WrongType], "{action}");
        let form = |it: &Emulator| on_list(it, &[("status[]", "1"), ("form", "5")]);
        assert_eq!(recorded(action, form).await, [AskedForMail], "{action}");
    }
    let nowhere = |_: &Emulator| owned(&[("email", "bo@example.org")]);
    assert_eq!(recorded("contact_add", nowhere).await, [MissingParameter]);
    let bare = |it: &Emulator| {
        let contact = with_member(it).2;
        owned(&[("id", &contact.to_string()), ("email", "ana@example.org")])
    };
    assert_eq!(recorded("contact_edit", bare).await, [MissingParameter]);
}

#[tokio::test]
async fn groups_and_users_of_version_one_are_not_left_half_said() {
    let group = |emulator: &Emulator| account(emulator, |it| it.add_user_group("Editors"));
    for (alt, expected) in [("1", vec![]), ("", vec![MissingParameter])] {
        let emulator = emulator();
        let id = group(&emulator).to_string();
        let mut fields = vec![("id", id.as_str())];
        if !alt.is_empty() {
            fields.push(("alt", alt));
        }
        answer(
            &emulator,
            get(&key(&emulator), "group_delete", "json", &fields),
        )
        .await;
        assert_eq!(kinds(&emulator), expected, "alt {alt}");
    }
    let emulator = emulator();
    let heir = group(&emulator).to_string();
    let fields = [("id", "3"), ("alt", heir.as_str())];
    answer(
        &emulator,
        get(&key(&emulator), "group_delete", "json", &fields),
    )
    .await;
    assert_eq!(kinds(&emulator), [ForbiddenTarget]);
    assert!(
        recorded("user_add", |_| owned(&[("username", "cy")]))
            .await
            .contains(&MissingParameter)
    );
}

#[tokio::test]
async fn no_method_but_get_and_post_is_known_to_version_one() {
    let emulator = emulator();
    let mut request = get(&key(&emulator), "list_list", "json", &[("ids", "all")]);
    *request.method_mut() = axum::http::Method::PUT;
    answer(&emulator, request).await;
    assert_eq!(kinds(&emulator), [WrongMethod]);
}

#[tokio::test]
async fn what_a_call_of_version_three_does_not_have_or_lacks_is_recorded() {
    let list = json!({
        "name": "New", "stringid": "new", "sender_url": "https://www.example.org",
        "sender_reminder": "You signed up",
    });
    let user = json!({
        "username": "cy", "firstName": "Cy", "lastName": "Silva", "email": "cy@example.org",
        "password": "long enough", "group": "3",
    });
    let with = |object: &Value, name: &str, value: Value| {
        let mut object = object.clone();
        object[name] = value;
        object
    };
    let mut cases = vec![
        ("lists", json!({"list": list}), vec![]),
        (
            "lists",
            json!({"list": with(&list, "colour", json!("red"))}),
            vec![UnknownParameter],
        ),
        ("users", json!({"user": user}), vec![]),
        (
            "users",
            json!({"user": with(&user, "colour", json!("red"))}),
            vec![UnknownParameter],
        ),
        (
            "contacts",
            json!({"contact": {"email": "bo@example.org"}}),
            vec![],
        ),
        (
            "contacts",
            json!({"contact": {"email": "bo@example.org", "lists": ["1"]}}),
            vec![UnknownParameter],
        ),
        (
            "contacts",
            json!({"contact": {"firstName": "Bo"}}),
            vec![MissingParameter],
        ),
        (
            "fields",
            json!({"field": {"title": "Shoe", "type": "text", "perstag": "SHOE"}}),
            vec![],
        ),
        (
            "fields",
            json!({"field": {"type": "text", "perstag": "SHOE"}}),
            vec![MissingParameter],
        ),
        (
            "fields",
            json!({"field": {"title": "Shoe", "perstag": "SHOE"}}),
            vec![MissingParameter],
        ),
        (
            "import/bulk_import",
            json!({"contacts": []}),
            vec![MissingParameter],
        ),
        (
            "import/bulk_import",
            json!({"contacts": [{"email": "bo@example.org"}], "colour": "red"}),
            vec![UnknownParameter],
        ),
        (
            "import/bulk_import",
            json!({"contacts": [{"email": "bo@example.org", "colour": "red"}]}),
            vec![UnknownParameter],
        ),
        (
            "import/bulk_import",
            json!({"contacts": [{"first_name": "Bo"}]}),
            vec![MissingParameter],
        ),
    ];
    for name in ["name", "stringid", "sender_url", "sender_reminder"] {
        let body = json!({"list": with(&list, name, json!(""))});
        cases.push(("lists", body, vec![MissingParameter]));
    }
    for name in [
        "username",
        "firstName",
        "lastName",
        "email",
        "password",
        "group",
    ] {
        let body = json!({"user": with(&user, name, json!(""))});
        cases.push(("users", body, vec![MissingParameter]));
    }
    for (path, body, expected) in cases {
        let emulator = emulator();
        v3(&emulator, "POST", path, body.clone()).await;
        assert_eq!(kinds(&emulator), expected, "{path} {body}");
    }
    let emulator = emulator();
    v3(&emulator, "GET", "import/info", Value::Null).await;
    assert_eq!(kinds(&emulator), [MissingParameter]);
}
