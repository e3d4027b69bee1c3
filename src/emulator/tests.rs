use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::testing::{
    crm, emfluence, emfluence_request, emulator, form_request, greenrope, kinds, mail, send,
    text_of,
};
use super::*;

fn fault(emulator: &Emulator, fault: Fault) {
    emulator.clear_faults();
    emulator.add_fault(FaultRule::every(fault));
}

async fn raw(emulator: &Emulator, path: &str, body: Value) -> axum::response::Response {
    send(emulator, emfluence_request(emulator, path, &body)).await
}

#[tokio::test]
async fn faults_before_the_effect_change_nothing() {
    let emulator = emulator();
    let new_group = json!({"groupName": "Donors"});
    fault(
        &emulator,
        Fault::TooManyRequests {
            retry_after: Some(30),
        },
    );
    let response = raw(&emulator, "groups/save", new_group.clone()).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "30");
    fault(&emulator, Fault::TooManyRequests { retry_after: None });
    assert!(
        !raw(&emulator, "groups/save", new_group.clone())
            .await
            .headers()
            .contains_key("retry-after")
    );
    fault(&emulator, Fault::ServerError(503));
    assert_eq!(
        raw(&emulator, "groups/save", new_group.clone())
            .await
            .status(),
        503
    );
    fault(&emulator, Fault::HtmlWith200);
    let response = raw(&emulator, "groups/save", new_group.clone()).await;
    assert_eq!(response.status(), 200);
    assert!(text_of(response).await.starts_with("<!DOCTYPE html>"));
    fault(&emulator, Fault::ResetBeforeEffect);
    let response = raw(&emulator, "groups/save", new_group).await;
    assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    assert_eq!(
        emulator
            .history()
            .iter()
            .filter(|event| event.actor != Actor::Person)
            .count(),
        0
    );
    assert_eq!(
        emulator.requests().last().unwrap().outcome,
        "fault: reset_before_effect"
    );
}

#[tokio::test]
async fn faults_after_the_effect_have_changed_the_world() {
    let emulator = emulator();
    for (name, played) in [
        ("A", Fault::ResetAfterEffect),
        ("B", Fault::TruncatedBody),
        ("C", Fault::EmptyBody),
    ] {
        fault(&emulator, played);
        let response = raw(&emulator, "groups/save", json!({"groupName": name})).await;
        let body = to_bytes(response.into_body(), usize::MAX).await;
        assert!(body.is_err() || serde_json::from_slice::<Value>(&body.unwrap()).is_err());
        assert!(mail(&emulator, |account| account.find_group(name)).is_some());
    }
}

#[tokio::test]
async fn counts_and_lists_can_be_wrong() {
    let emulator = emulator();
    crm(&emulator, |account| {
        let group = account.add_group("Donors");
        let contact = account.add_contact("ana@example.org");
        account.join(group, contact);
    });
    fault(&emulator, Fault::WrongCount(2));
    let found = emfluence(&emulator, "groups/search", json!({})).await;
    assert_eq!(found["data"]["paging"]["totalRecords"], 3);
    let members = greenrope(&emulator, "<GetContactsRequest/>").await;
    assert!(
        members
            .to_xml()
            .contains("<TotalMatchingContacts>3</TotalMatchingContacts>")
    );
    fault(&emulator, Fault::MissingList);
    assert!(
        emfluence(&emulator, "groups/search", json!({})).await["data"]
            .get("records")
            .is_none()
    );
    assert!(
        !greenrope(&emulator, "<GetContactsRequest/>")
            .await
            .to_xml()
            .contains("<Contacts")
    );
}

#[tokio::test]
async fn batches_fail_in_part_or_because_of_one_item() {
    let emulator = emulator();
    let rows = json!({"contacts": [{"email": "ana@example.org"}, {"email": "bo@example.org"}]});
    fault(&emulator, Fault::PoisonItem("BO@example.org".to_owned()));
    assert_eq!(
        emfluence(&emulator, "contacts/import", rows.clone()).await["success"],
        0
    );
    assert!(mail(&emulator, |account| account.contacts.is_empty()));
    fault(&emulator, Fault::PartialBatchFailure { every: 2 });
    let answer = emfluence(&emulator, "contacts/import", rows).await;
    assert_eq!(answer["data"]["contactResults"][1]["success"], 0);
    assert_eq!(answer["data"]["recordsInserted"], 1);
    let added = greenrope(
        &emulator,
        "<AddContactsRequest><Contacts><Contact><Email>a@example.org</Email></Contact>\
         <Contact><Email>b@example.org</Email></Contact></Contacts></AddContactsRequest>",
    )
    .await;
    assert_eq!(
        added.to_xml().matches("<Result>Success</Result>").count(),
        1
    );
    assert_eq!(crm(&emulator, |account| account.contacts.len()), 1);
}

#[tokio::test]
async fn an_expired_token_is_refused_until_the_next_login() {
    let emulator = emulator();
    emulator.add_fault(
        FaultRule::every(Fault::ExpiredToken)
            .when(When::First(1))
            .on("groups/search"),
    );
    assert_eq!(
        emfluence(&emulator, "groups/search", json!({})).await["success"],
        0
    );
    assert_eq!(
        emfluence(&emulator, "groups/search", json!({})).await["success"],
        1
    );
}

#[tokio::test(start_paused = true)]
async fn latency_comes_before_the_effect_and_a_slow_answer_after_it() {
    let emulator = emulator();
    let patience = Duration::from_secs(30);
    fault(&emulator, Fault::Latency(Duration::from_mins(1)));
    let call = emfluence(&emulator, "groups/save", json!({"groupName": "A"}));
    assert!(tokio::time::timeout(patience, call).await.is_err());
    assert!(mail(&emulator, |account| account.find_group("A")).is_none());
    fault(&emulator, Fault::SlowAnswer(Duration::from_mins(1)));
    let call = emfluence(&emulator, "groups/save", json!({"groupName": "A"}));
    assert!(tokio::time::timeout(patience, call).await.is_err());
    assert!(mail(&emulator, |account| account.find_group("A")).is_some());
    fault(
        &emulator,
        Fault::SlowDrip {
            bytes: 10,
            pause: 1000,
        },
    );
    let start = Instant::now();
    assert_eq!(
        emfluence(&emulator, "helper/ping", json!({})).await["success"],
        1
    );
    assert!(start.elapsed() > Duration::from_secs(5));
    assert_eq!(kinds(&emulator), []);
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_enforced_over_a_sliding_minute() {
    let emulator = emulator();
    mail(&emulator, |account| {
        account.settings.requests_per_minute = Some(10);
    });
    for _ in 0..30 {
        assert_eq!(
            emfluence(&emulator, "helper/ping", json!({})).await["success"],
            1
        );
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    assert_eq!(kinds(&emulator), []);
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(
            raw(&emulator, "helper/ping", json!({}))
                .await
                .status()
                .as_u16(),
        );
    }
    assert!(statuses.contains(&429));
    assert!(kinds(&emulator).contains(&MisuseKind::TooFast));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(raw(&emulator, "helper/ping", json!({})).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_in_flight_are_recorded() {
    let emulator = emulator();
    fault(&emulator, Fault::Latency(Duration::from_secs(1)));
    tokio::join!(
        emfluence(&emulator, "helper/ping", json!({})),
        emfluence(&emulator, "groups/save", json!({"groupName": "A"})),
    );
    assert_eq!(kinds(&emulator), [MisuseKind::TooManyInFlight]);
    emulator.clear_log();
    let write = "<CreateGroupRequest><Name>B</Name></CreateGroupRequest>";
    tokio::join!(
        greenrope(&emulator, write),
        greenrope(&emulator, "<GetGroupsRequest/>")
    );
    assert_eq!(kinds(&emulator), []);
    let other = "<CreateGroupRequest><Name>C</Name></CreateGroupRequest>";
    tokio::join!(
        greenrope(&emulator, other),
        greenrope(&emulator, "<DeleteGroupsRequest/>")
    );
    assert!(kinds(&emulator).contains(&MisuseKind::ConcurrentWrites));
}

#[tokio::test]
async fn the_same_calls_give_the_same_bytes() {
    let run = async || {
        let emulator = Emulator::new(World::seeded(&Seed {
            seed: 5,
            groups: 6,
            members: 40,
        }));
        let mut text = String::new();
        for (path, body) in [
            ("groups/save", json!({"groupName": "New"})),
            (
                "contacts/import",
                json!({"contacts": [{"email": "new@example.org"}]}),
            ),
            ("contacts/search", json!({"rpp": 250})),
        ] {
            text += &text_of(raw(&emulator, path, body).await).await;
        }
        text + &greenrope(&emulator, "<GetContactsRequest/>").await.to_xml()
    };
    assert_eq!(run().await, run().await);
}

#[tokio::test]
async fn the_log_holds_no_secret_and_no_address() {
    let emulator = emulator();
    let credentials = crm(&emulator, |account| account.credentials());
    let token = mail(&emulator, |account| account.credentials().token);
    emfluence(
        &emulator,
        "contacts/save",
        json!({"email": "ana@example.org", "held": 1}),
    )
    .await;
    emfluence(
        &emulator,
        "contacts/import",
        json!({"contacts": [{"email": "ana@example.org", "x": 1}]}),
    )
    .await;
    send(
        &emulator,
        form_request(&[
            ("email", &credentials.email),
            ("password", &credentials.password),
            ("xml", "<GetGroupsRequest/>"),
        ]),
    )
    .await;
    let text = format!("{:?}{:?}", emulator.requests(), emulator.misuse());
    assert_eq!(emulator.misuse().len(), 3);
    for secret in [
        "ana@example.org",
        &token,
        &credentials.password,
        &credentials.email,
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn history_tells_people_from_requests() {
    let emulator = emulator();
    mail(&emulator, |account| account.add_group("By hand"));
    emfluence(&emulator, "groups/save", json!({"groupName": "By call"})).await;
    let actors: Vec<Actor> = emulator
        .history()
        .into_iter()
        .map(|event| event.actor)
        .collect();
    assert_eq!(
        actors,
        [Actor::Person, Actor::Request(1), Actor::Request(1)][..2]
    );
    assert_eq!(emulator.history()[1].seq, 2);
}

async fn control(emulator: &Emulator, method: &str, path: &str, body: String) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/_emulator/{path}"))
        .body(Body::from(body))
        .unwrap();
    let response = send(emulator, request).await;
    (response.status().as_u16(), text_of(response).await)
}

#[tokio::test]
async fn the_control_endpoint_reads_and_sets_everything() {
    let emulator = emulator();
    let (status, world) = control(&emulator, "GET", "world", String::new()).await;
    assert_eq!(status, 200);
    // As long as one with tens of thousands of people.
    let changed = " ".repeat(3 << 20) + &world.replace("\"name\":\"mail\"", "\"name\":\"post\"");
    assert_eq!(control(&emulator, "PUT", "world", changed).await.0, 204);
    assert!(emulator.with_world(|world| world.find_account("post").is_some()));
    assert_eq!(
        control(&emulator, "PUT", "world", "{}".to_owned()).await.0,
        400
    );

    let rule = r#"{"fault":"empty_body","when":{"nth":1}}"#;
    assert_eq!(
        control(&emulator, "POST", "faults", rule.to_owned())
            .await
            .0,
        204
    );
    assert_eq!(
        control(&emulator, "POST", "faults", format!("[{rule}]"))
            .await
            .0,
        204
    );
    assert_eq!(
        control(&emulator, "POST", "faults", "{}".to_owned())
            .await
            .0,
        400
    );
    let (_, rules) = control(&emulator, "GET", "faults", String::new()).await;
    assert_eq!(
        serde_json::from_str::<Vec<FaultRule>>(&rules)
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        control(&emulator, "DELETE", "faults", String::new())
            .await
            .0,
        204
    );

    let clock = r#"{"now":"2030-01-01T00:00:00Z","step":5}"#;
    assert_eq!(
        control(&emulator, "PUT", "clock", clock.to_owned()).await.0,
        204
    );
    greenrope(
        &emulator,
        "<CreateGroupRequest><Name>A</Name></CreateGroupRequest>",
    )
    .await;
    assert!(
        control(&emulator, "GET", "clock", String::new())
            .await
            .1
            .contains("2030-01-01T00:00:05Z")
    );
    assert!(
        control(&emulator, "GET", "requests", String::new())
            .await
            .1
            .contains("CreateGroup")
    );
    assert!(
        control(&emulator, "GET", "history", String::new())
            .await
            .1
            .contains("group_created")
    );
    assert_eq!(
        control(&emulator, "GET", "misuse", String::new()).await.1,
        "[]"
    );
    assert!(
        control(&emulator, "GET", "credentials", String::new())
            .await
            .1
            .contains("/greenrope/api-xml")
    );
    assert_eq!(
        control(&emulator, "DELETE", "log", String::new()).await.0,
        204
    );
    assert_eq!(
        control(&emulator, "GET", "requests", String::new()).await.1,
        "[]"
    );
}

#[tokio::test]
async fn a_socket_serves_the_same_and_really_breaks() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let emulator = emulator();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = {
        let emulator = emulator.clone();
        tokio::spawn(async move {
            emulator
                .serve(listener, async move {
                    stopped.await.ok();
                })
                .await
        })
    };
    let token = mail(&emulator, |account| account.credentials().token);
    let ask = async || {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST /emfluence/v1/helper/ping HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.ok();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(ask().await.ends_with('}'));
    fault(&emulator, Fault::ResetAfterEffect);
    // The last chunk, which would end a complete answer, never comes.
    let broken = ask().await;
    assert!(
        !broken.ends_with("0\r\n\r\n") && !broken.ends_with('}'),
        "{broken}"
    );
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_late_effect_shows_after_its_answer_and_once() {
    let emulator = emulator();
    fault(&emulator, Fault::LateEffect(Duration::from_secs(2)));
    let names = |emulator: &Emulator| {
        mail(emulator, |account| {
            account
                .groups
                .values()
                .filter(|group| group.name == "Donors")
                .count()
        })
    };
    let response = raw(&emulator, "groups/save", json!({"groupName": "Donors"})).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    // A reading is answered in the same way and leaves nothing behind.
    let response = raw(&emulator, "groups/search", json!({})).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(names(&emulator), 0);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(names(&emulator), 1);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(names(&emulator), 1);
    let events = emulator.history();
    assert!(
        events.iter().any(|event| event.actor == Actor::Request(1)
            && matches!(event.change, Change::GroupCreated { .. })),
        "{events:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lagging_reading_shows_what_was_a_while_ago() {
    let emulator = emulator();
    emulator.add_fault(
        FaultRule::every(Fault::LaggingRead(Duration::from_secs(3))).on("groups/search"),
    );
    let shown = async || {
        let response = raw(&emulator, "groups/search", json!({})).await;
        text_of(response).await.contains("Donors")
    };
    assert!(!shown().await);
    raw(&emulator, "groups/save", json!({"groupName": "Donors"})).await;
    assert!(!shown().await);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(!shown().await);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(shown().await);
    // What somebody did by hand shows as late as what a request did.
    mail(&emulator, |account| {
        let group = account.find_group("Donors").unwrap();
        account.rename_group(group, "Friends");
    });
    assert!(shown().await);
    tokio::time::advance(Duration::from_secs(4)).await;
    assert!(!shown().await);
}
