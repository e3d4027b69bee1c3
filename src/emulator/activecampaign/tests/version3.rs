use super::*;
use crate::emulator::MisuseKind;
use crate::emulator::testing::kinds;

#[tokio::test]
async fn contacts_come_with_their_lists_and_values() {
    let emulator = emulator();
    let (one, two, contact) = with_member(&emulator);
    let (status, field) = v3(
        &emulator,
        "POST",
        "fields",
        json!({"field": {"title": "Member level", "type": "dropdown"}}),
    )
    .await;
    assert_eq!(
        (status, &field["field"]["perstag"]),
        (201, &json!("MEMBER_LEVEL"))
    );
    let id = field["field"]["id"].as_str().unwrap().to_owned();
    let upsert = json!({"contact": {"email": "ANA@example.org", "phone": "+1 555", "fieldValues": [{"field": id, "value": "Gold"}]}});
    assert_eq!(v3(&emulator, "POST", "contact/sync", upsert).await.0, 200);
    let path = "contacts?limit=100&orders[id]=ASC&id_greater=0&include=contactLists,fieldValues";
    let (_, page) = v3(&emulator, "GET", path, Value::Null).await;
    assert_eq!(
        (&page["meta"]["total"], &page["contacts"][0]["id"]),
        (&json!("1"), &json!(contact.to_string()))
    );
    assert_eq!(
        (
            &page["contactLists"][0]["list"],
            &page["contactLists"][1]["list"]
        ),
        (&json!(one.to_string()), &json!(two.to_string()))
    );
    assert_eq!(
        (
            &page["contactLists"][0]["status"],
            &page["contactLists"][0]["udate"]
        ),
        (&json!("1"), &Value::Null)
    );
    assert_eq!(page["fieldValues"][0]["value"], "Gold");
    assert_eq!(
        page["contacts"][0]["contactLists"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let path = format!("contacts?id_greater={contact}");
    assert_eq!(
        v3(&emulator, "GET", &path, Value::Null).await.1["contacts"],
        json!([])
    );
    assert_eq!(
        v3(&emulator, "GET", "fields", Value::Null).await.1["fields"][0]["type"],
        "dropdown"
    );
    assert_eq!(
        v3(&emulator, "GET", "fieldValues", Value::Null).await.1["meta"]["total"],
        "1"
    );
    assert_eq!(kinds(&emulator), []);
    account(&emulator, |account| {
        account.settings.activecampaign.no_include = true;
    });
    let (_, page) = v3(
        &emulator,
        "GET",
        "contacts?include=contactLists,fieldValues",
        Value::Null,
    )
    .await;
    assert!(page.get("contactLists").is_none() && page.get("fieldValues").is_none());
}

#[tokio::test]
async fn contacts_are_filtered_by_list_and_status_and_shown_off_all_lists() {
    let emulator = emulator();
    let (one, _, contact) = with_member(&emulator);
    account(&emulator, |account| {
        account.opt_out_of_group(one, contact);
        account.add_contact("nowhere@example.org");
    });
    let total = async |query: &str| {
        v3(&emulator, "GET", &format!("contacts?{query}"), Value::Null)
            .await
            .1["meta"]["total"]
            .clone()
    };
    assert_eq!(total("").await, "2");
    assert_eq!(total(&format!("listid={one}&status=2")).await, "1");
    assert_eq!(total(&format!("listid={one}&status=1")).await, "0");
    assert_eq!(total(&format!("listid={one}&status=-1")).await, "1");
    assert_eq!(total("email=NOWHERE@example.org").await, "1");
    assert_eq!(total("filters[updated_after]=2030-01-01").await, "0");
    assert_eq!(
        total("filters[updated_after]=2020-01-01T00:00:00-06:00").await,
        "2"
    );
    assert_eq!(kinds(&emulator), []);
    assert_eq!(total("limit=101").await, "2");
    assert_eq!(total("lisid=7").await, "2");
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::TooManyItems, MisuseKind::UnknownParameter]
    );
}

#[tokio::test]
async fn contacts_are_named_by_as_many_ids_as_wanted() {
    let emulator = emulator();
    account(&emulator, |account| {
        for number in 0..5 {
            account.add_contact(&format!("p{number}@example.org"));
        }
    });
    for (query, expected) in [
        ("ids[]=2&ids[]=5&ids[]=77", json!(["5", "2"])),
        ("ids[]=5&ids[]=2&orders[id]=ASC", json!(["2", "5"])),
        ("ids%5B%5D=4&id_greater=4", json!([])),
    ] {
        let (_, page) = v3(&emulator, "GET", &format!("contacts?{query}"), Value::Null).await;
        let rows = page["contacts"].as_array().unwrap();
        let ids: Vec<Value> = rows.iter().map(|row| row["id"].clone()).collect();
        assert_eq!(Value::Array(ids), expected, "{query}");
    }
    assert_eq!(kinds(&emulator), []);
}

#[tokio::test]
async fn pages_shift_without_an_order() {
    let emulator = emulator();
    account(&emulator, |account| {
        for number in 0..25 {
            account.add_contact(&format!("p{number}@example.org"));
        }
    });
    let (_, page) = v3(&emulator, "GET", "contacts", Value::Null).await;
    assert_eq!(
        (
            page["contacts"].as_array().unwrap().len(),
            &page["contacts"][0]["id"]
        ),
        (20, &json!("25"))
    );
    let (_, page) = v3(
        &emulator,
        "GET",
        "contacts?orders[id]=ASC&offset=20",
        Value::Null,
    )
    .await;
    assert_eq!(
        (
            page["contacts"].as_array().unwrap().len(),
            &page["contacts"][0]["id"]
        ),
        (5, &json!("21"))
    );
}

#[tokio::test]
async fn memberships_are_set_one_by_one() {
    let emulator = emulator();
    let (one, _, contact) = with_member(&emulator);
    let body =
        |status: u64| json!({"contactList": {"list": one, "contact": contact, "status": status}});
    let (code, answer) = v3(&emulator, "POST", "contactLists", body(2)).await;
    assert_eq!((code, &answer["contactList"]["status"]), (201, &json!("2")));
    assert_eq!(kinds(&emulator), []);
    assert_eq!(v3(&emulator, "POST", "contactLists", body(1)).await.0, 201);
    assert_eq!(v3(&emulator, "POST", "contactLists", body(3)).await.0, 422);
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::WrongType],
        "what the API unsubscribed, it may take back"
    );
    assert_eq!(v3(&emulator, "POST", "contactLists", body(2)).await.0, 201);
    account(&emulator, |account| account.refuse_group(one, contact));
    assert_eq!(v3(&emulator, "POST", "contactLists", body(1)).await.0, 201);
    assert!(
        kinds(&emulator).contains(&MisuseKind::Resubscribed),
        "what the person refused, it may not"
    );
    let missing = json!({"contactList": {"list": 99, "contact": contact, "status": 1}});
    assert_eq!(v3(&emulator, "POST", "contactLists", missing).await.0, 403);
    let (_, edges) = v3(
        &emulator,
        "GET",
        &format!("contacts/{contact}/contactLists"),
        Value::Null,
    )
    .await;
    assert_eq!(edges["contactLists"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn addresses_are_unique() {
    let emulator = emulator();
    let (_, _, contact) = with_member(&emulator);
    let (status, refused) = v3(
        &emulator,
        "POST",
        "contacts",
        json!({"contact": {"email": "Ana@example.org"}}),
    )
    .await;
    assert_eq!(
        (status, &refused["errors"][0]["code"]),
        (422, &json!("duplicate"))
    );
    let (status, made) = v3(
        &emulator,
        "POST",
        "contacts",
        json!({"contact": {"email": "bo@example.org"}}),
    )
    .await;
    assert_eq!(
        (status, &made["contact"]["email"]),
        (201, &json!("bo@example.org"))
    );
    let path = format!("contacts/{contact}");
    assert_eq!(
        v3(
            &emulator,
            "PUT",
            &path,
            json!({"contact": {"email": "bo@example.org"}})
        )
        .await
        .0,
        422
    );
    assert_eq!(
        v3(
            &emulator,
            "PUT",
            &path,
            json!({"contact": {"email": "ana@example.net", "lastName": "R"}})
        )
        .await
        .0,
        200
    );
    let (_, shown) = v3(&emulator, "GET", &path, Value::Null).await;
    assert_eq!(
        (&shown["contact"]["email"], &shown["contact"]["lastName"]),
        (&json!("ana@example.net"), &json!("R"))
    );
    assert_eq!(
        v3(
            &emulator,
            "POST",
            "contacts",
            json!({"contact": {"email": "bo"}})
        )
        .await
        .0,
        422
    );
    assert_eq!(
        v3(
            &emulator,
            "POST",
            "contacts",
            json!({"email": "bo@example.org"})
        )
        .await
        .0,
        422
    );
    assert_eq!(
        v3(&emulator, "DELETE", &path, Value::Null).await,
        (200, json!({}))
    );
    assert_eq!(v3(&emulator, "GET", &path, Value::Null).await.0, 404);
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::MissingParameter, MisuseKind::DeletedContact]
    );
}

#[tokio::test]
async fn a_list_made_here_is_not_seen_by_version_one_until_it_is_linked() {
    let emulator = emulator();
    assert_eq!(
        v3(&emulator, "GET", "lists", Value::Null).await.1,
        json!({"lists": [], "meta": {"total": "0"}})
    );
    let new = json!({"list": {"name": "News", "stringid": "news", "sender_url": "https://www.example.org", "sender_reminder": "You asked"}});
    let (status, made) = v3(&emulator, "POST", "lists", new).await;
    assert_eq!(status, 201);
    let id = made["list"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        read(&emulator, "list_view", &[("id", &id)]).await,
        nothing()
    );
    assert_eq!(
        v3(&emulator, "GET", "lists?filters[name]=ne", Value::Null)
            .await
            .1["meta"]["total"],
        "1"
    );
    v3(
        &emulator,
        "POST",
        "listGroups",
        json!({"listGroup": {"listid": id, "groupid": 3}}),
    )
    .await;
    assert_eq!(
        read(&emulator, "list_view", &[("id", &id)]).await["sender_reminder"],
        "You asked"
    );
    assert_eq!(
        v3(
            &emulator,
            "PUT",
            &format!("lists/{id}"),
            json!({"list": {"name": "Old"}})
        )
        .await
        .1["list"]["name"],
        "Old"
    );
    assert_eq!(
        v3(
            &emulator,
            "POST",
            "lists",
            json!({"list": {"name": "News"}})
        )
        .await
        .0,
        422
    );
    assert_eq!(v3(&emulator, "GET", "lists/99", Value::Null).await.0, 403);
}

#[tokio::test]
async fn what_is_not_json_or_not_there_is_refused() {
    let emulator = emulator();
    let request = |content_type: &str, body: &'static str| {
        let request =
            Request::post("/activecampaign/api/3/contacts").header("api-token", key(&emulator));
        request
            .header("content-type", content_type)
            .body(Body::from(body))
            .unwrap()
    };
    assert_eq!(
        send(
            &emulator,
            request("application/x-www-form-urlencoded", "a=b")
        )
        .await
        .status(),
        400
    );
    assert_eq!(
        send(&emulator, request("application/json", "{"))
            .await
            .status(),
        400
    );
    assert_eq!(
        v3(&emulator, "GET", "groupMembers", Value::Null).await.0,
        404
    );
    assert_eq!(
        kinds(&emulator),
        [
            MisuseKind::WrongContentType,
            MisuseKind::UnreadableBody,
            MisuseKind::UnknownOperation
        ]
    );
}
