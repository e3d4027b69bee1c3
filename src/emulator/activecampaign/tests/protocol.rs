use std::time::Duration;

use super::*;
use crate::emulator::testing::kinds;
use crate::emulator::{Fault, FaultRule, MisuseKind};

#[tokio::test]
async fn every_format_tells_the_same() {
    let emulator = emulator();
    account(&emulator, |account| account.add_group("News & <more> é"));
    let key = key(&emulator);
    let ids = [("ids", "all")];
    let json = send(&emulator, get(&key, "list_list", "json", &ids)).await;
    assert_eq!(json.headers()["content-type"], "application/json");
    let text = text_of(json).await;
    assert!(text.contains(r#""name":"News & <more> \u00e9""#), "{text}");
    // XML is what a missing or misspelt format comes to.
    for output in ["", "xml", "jsn"] {
        let text = text_of(send(&emulator, get(&key, "list_list", output, &ids)).await).await;
        assert!(text.starts_with("<?xml"), "{text}");
        assert!(
            text.contains("<list_list><row>")
                && text.contains("<name>News &amp; &lt;more&gt; é</name>"),
            "{text}"
        );
        assert!(
            text.contains("<result_output>xml</result_output>"),
            "{text}"
        );
    }
    let text = text_of(send(&emulator, get(&key, "list_list", "serialize", &ids)).await).await;
    assert!(text.starts_with("a:4:{i:0;a:6:{"), "{text}");
    assert!(
        text.contains("s:4:\"name\";s:16:\"News & <more> é\";")
            && text.contains("s:11:\"result_code\";i:1;"),
        "{text}"
    );
}

#[tokio::test]
async fn without_a_known_key_nothing_is_answered() {
    let emulator = emulator();
    let refused = answer(&emulator, get("wrong", "user_me", "json", &[])).await;
    assert_eq!(refused["result_code"], 0);
    assert_eq!(
        refused["result_message"],
        "You are not authorized to access this file"
    );
    let bare = Request::get("/activecampaign/admin/api.php")
        .body(Body::empty())
        .unwrap();
    assert!(
        text_of(send(&emulator, bare).await)
            .await
            .contains("<root><error>")
    );
    assert_eq!(
        v3_as(&emulator, "wrong", "GET", "users/me", Value::Null)
            .await
            .0,
        403
    );
    emulator.add_fault(FaultRule::every(Fault::ExpiredToken));
    assert_eq!(read(&emulator, "user_me", &[]).await["result_code"], 0);
}

#[tokio::test]
async fn the_key_may_be_a_parameter_but_not_both() {
    let emulator = emulator();
    let key = key(&emulator);
    let mut request = get("", "user_me", "json", &[("api_key", &key)]);
    request.headers_mut().remove("api-token");
    assert_eq!(answer(&emulator, request).await["username"], "admin");
    let mut request = post("", "user_me", "json", &[("api_key", &key)]);
    request.headers_mut().remove("api-token");
    assert_eq!(answer(&emulator, request).await["username"], "admin");
    assert_eq!(kinds(&emulator), []);
    assert_eq!(
        answer(
            &emulator,
            get(&key, "user_me", "json", &[("api_key", &key)])
        )
        .await["result_code"],
        1
    );
    assert_eq!(kinds(&emulator), [MisuseKind::CredentialMisplaced]);
}

#[tokio::test]
async fn data_comes_by_post_as_a_form() {
    let emulator = emulator();
    let key = key(&emulator);
    let fields = [("email", "ana@example.org")];
    assert_eq!(
        answer(&emulator, get(&key, "contact_sync", "json", &fields)).await["result_code"],
        0
    );
    let mut request = post(&key, "contact_sync", "json", &fields);
    request
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    assert_eq!(answer(&emulator, request).await["result_code"], 0);
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::WrongMethod, MisuseKind::WrongContentType]
    );
    assert!(account(&emulator, |account| account.contacts.is_empty()));
    // Reading and deleting also work by POST.
    assert_eq!(write(&emulator, "user_me", &[]).await["result_code"], 1);
    assert_eq!(
        write(&emulator, "contact_delete", &[("id", "1")]).await["result_code"],
        1
    );
}

#[tokio::test]
async fn unknown_names_are_recorded() {
    let emulator = emulator();
    assert_eq!(read(&emulator, "contact_lst", &[]).await["result_code"], 0);
    assert_eq!(
        write(
            &emulator,
            "contact_sync",
            &[("email", "ana@example.org"), ("frist_name", "Ana")]
        )
        .await["result_code"],
        1
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::UnknownOperation, MisuseKind::UnknownParameter]
    );
}

#[tokio::test]
async fn fields_above_a_thousand_are_dropped() {
    let emulator = emulator();
    let tags: Vec<(&str, &str)> = std::iter::repeat_n(("tags[]", "x"), 1000)
        .chain([("email", "ana@example.org")])
        .collect();
    let refused = write(&emulator, "contact_sync", &tags).await;
    assert_eq!(
        refused["result_message"],
        "Contact Email Address is not valid."
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::DroppedParameters, MisuseKind::MissingParameter]
    );
}

#[tokio::test]
async fn messages_follow_the_language_of_the_account() {
    let emulator = emulator();
    account(&emulator, |account| {
        account.settings.activecampaign.portuguese = true;
    });
    let answer = write(&emulator, "contact_sync", &[("email", "ana@example.org")]).await;
    assert_eq!(answer["result_message"], "Contato adicionado");
    let answer = read(&emulator, "contact_view", &[("id", "99")]).await;
    assert_eq!(
        answer["result_message"],
        "Falhou: não se obteu qualquer resultado"
    );
}

#[tokio::test(start_paused = true)]
async fn five_requests_a_second_are_enough() {
    let emulator = emulator();
    account(&emulator, |account| {
        account.settings.requests_per_second = Some(5);
    });
    let key = key(&emulator);
    for _ in 0..30 {
        assert_eq!(
            send(&emulator, get(&key, "user_me", "json", &[]))
                .await
                .status(),
            200
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(kinds(&emulator), []);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..5 {
        assert_eq!(v3(&emulator, "GET", "users/me", Value::Null).await.0, 200);
    }
    let refused = send(&emulator, get(&key, "user_me", "json", &[])).await;
    assert_eq!(
        (
            refused.status().as_u16(),
            refused.headers()["retry-after"].to_str().unwrap()
        ),
        (429, "2")
    );
    assert_eq!(
        (
            &refused.headers()["ratelimit-limit"],
            &refused.headers()["ratelimit-remaining"]
        ),
        (&"5".parse().unwrap(), &"0".parse().unwrap())
    );
    assert_eq!(kinds(&emulator), [MisuseKind::TooFast]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        send(&emulator, get(&key, "user_me", "json", &[]))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn counts_and_lists_can_be_wrong() {
    let emulator = emulator();
    with_member(&emulator);
    emulator.add_fault(FaultRule::every(Fault::WrongCount(2)));
    assert_eq!(
        read(&emulator, "list_list", &[("ids", "all")]).await["0"]["subscriber_count"],
        3
    );
    assert_eq!(
        v3(&emulator, "GET", "contacts", Value::Null).await.1["meta"]["total"],
        "3"
    );
    emulator.clear_faults();
    emulator.add_fault(FaultRule::every(Fault::MissingList));
    assert!(
        read(&emulator, "list_list", &[("ids", "all")])
            .await
            .get("0")
            .is_none()
    );
    assert!(
        v3(&emulator, "GET", "contacts", Value::Null)
            .await
            .1
            .get("contacts")
            .is_none()
    );
}

#[tokio::test]
async fn the_log_holds_no_secret_and_no_address() {
    let emulator = emulator();
    let key = key(&emulator);
    v3(&emulator, "GET", "users/email/ana@example.org", Value::Null).await;
    v3(&emulator, "GET", "ana@example.org", Value::Null).await;
    answer(
        &emulator,
        get(
            &key,
            "contact_view_email",
            "json",
            &[("api_key", &key), ("email", "ana@example.org")],
        ),
    )
    .await;
    let text = format!("{:?}{:?}", emulator.requests(), emulator.misuse());
    assert_eq!(emulator.requests()[0].operation, "GET /users/email/{email}");
    assert!(
        !text.contains("ana@example.org") && !text.contains(&key),
        "{text}"
    );
}

#[tokio::test]
async fn a_seeded_account_is_read_to_the_end() {
    let seed = crate::emulator::Seed {
        seed: 2,
        groups: 6,
        members: 60,
    };
    let emulator = Emulator::new(World::seeded_all("campaigns", &seed).without_pace());
    let key = key(&emulator);
    let (_, page) = v3_as(
        &emulator,
        &key,
        "GET",
        "contacts?limit=100&orders[id]=ASC&include=contactLists,fieldValues",
        Value::Null,
    )
    .await;
    assert_eq!(page["contacts"].as_array().unwrap().len(), 60);
    let mut states: Vec<&str> = page["contactLists"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| edge["status"].as_str().unwrap())
        .collect();
    states.sort_unstable();
    states.dedup();
    assert_eq!(states, ["0", "1", "2", "3"]);
    assert_eq!(
        read(&emulator, "list_list", &[("ids", "all")]).await["5"]["id"],
        "6"
    );
    assert_eq!(kinds(&emulator), []);
    assert_eq!(emulator.history(), []);
}
