use std::time::Duration;

use super::*;
use crate::emulator::testing::kinds;
use crate::emulator::{Fault, FaultRule, MisuseKind};

async fn queue(emulator: &Emulator, contacts: Value) -> (u16, Value) {
    v3(
        emulator,
        "POST",
        "import/bulk_import",
        json!({"contacts": contacts}),
    )
    .await
}

async fn info(emulator: &Emulator, batch: &Value) -> Value {
    v3(
        emulator,
        "GET",
        &format!("import/info?batchId={}", batch["batchId"].as_str().unwrap()),
        Value::Null,
    )
    .await
    .1
}

async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_queued_becomes_active_and_ends() {
    let emulator = emulator();
    let (one, _, ana) = with_member(&emulator);
    let subscribe = json!([{"listid": one}]);
    let (status, batch) = queue(
        &emulator,
        json!([
            {"email": "bo@example.org", "first_name": "Bo", "tags": ["new"], "subscribe": subscribe, "exclude_automations": true},
            {"email": "ana@example.org", "last_name": "Reyes", "exclude_automations": true},
            {"email": "not an address", "exclude_automations": true},
            {"email": "cy@example.org", "unsubscribe": subscribe, "exclude_automations": true},
        ]),
    )
    .await;
    assert_eq!(
        (status, &batch["success"], &batch["queued_contacts"]),
        (200, &json!(1), &json!(4))
    );
    assert_eq!(info(&emulator, &batch).await["status"], false);
    wait(1).await;
    assert_eq!(info(&emulator, &batch).await["status"], "waiting");
    let totals = v3(&emulator, "GET", "import/bulk_import", Value::Null)
        .await
        .1;
    assert_eq!(
        (
            &totals["outstanding"][0]["contacts"],
            &totals["recentlyCompleted"]
        ),
        (&json!("4"), &json!([]))
    );
    assert_eq!(changes(&emulator), []);
    wait(3).await;
    assert_eq!(info(&emulator, &batch).await["status"], "active");
    // A batch is not one change: its first half is there already.
    assert!(account(&emulator, |account| account
        .contact_by_email("bo@example.org")
        .is_some()));
    assert!(account(&emulator, |account| account
        .contact_by_email("cy@example.org")
        .is_none()));
    wait(3).await;
    let ended = info(&emulator, &batch).await;
    let (bo, cy) = account(&emulator, |account| {
        (
            account.contact_by_email("bo@example.org").unwrap(),
            account.contact_by_email("cy@example.org").unwrap(),
        )
    });
    assert_eq!(
        ended,
        json!({"status": "completed", "success": [bo.to_string(), cy.to_string()], "failure": ["not an address"]})
    );
    assert_eq!(state(&emulator, one, bo), Some(MembershipState::Active));
    assert_eq!(state(&emulator, one, cy), Some(MembershipState::OptedOut));
    assert_eq!(
        account(&emulator, |account| account.contacts[&ana]
            .get("last_name")
            .to_owned()),
        "Reyes"
    );
    let totals = v3(&emulator, "GET", "import/bulk_import", Value::Null)
        .await
        .1;
    assert_eq!(
        (
            &totals["outstanding"],
            &totals["recentlyCompleted"][0]["batches"]
        ),
        (&json!([]), &json!("1"))
    );
    assert!(!changes(&emulator).iter().any(|change| matches!(
        change,
        Change::AutomationStarted { .. } | Change::MailSent { .. }
    )));
    assert!(
        emulator
            .history()
            .iter()
            .filter(|event| event.actor != Actor::Person)
            .all(|event| event.actor == Actor::Request(1))
    );
    assert_eq!(kinds(&emulator), []);
}

#[tokio::test(start_paused = true)]
async fn automations_start_unless_they_are_left_out() {
    let emulator = emulator();
    let (one, _, _) = with_member(&emulator);
    account(&emulator, |account| {
        account.group_mut(one).auto_response = Some(9);
    });
    let rows = json!([
        {"email": "bo@example.org", "subscribe": [{"listid": one}]},
        {"email": "cy@example.org", "subscribe": [{"listid": one}], "exclude_automations": true},
    ]);
    queue(&emulator, rows).await;
    wait(10).await;
    let bo = account(&emulator, |account| {
        account.contact_by_email("bo@example.org").unwrap()
    });
    let fired: Vec<Change> = changes(&emulator)
        .into_iter()
        .filter(|change| {
            matches!(
                change,
                Change::AutomationStarted { .. } | Change::MailSent { .. }
            )
        })
        .collect();
    assert_eq!(
        fired,
        [
            Change::MailSent {
                group: one,
                contact: bo
            },
            Change::AutomationStarted {
                group: one,
                contact: bo
            }
        ]
    );
    assert_eq!(
        account(&emulator, |account| account.groups[&one].auto_response),
        Some(9)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_stays_and_one_that_was_removed_is_lost() {
    let emulator = emulator();
    let (one, two, contact) = with_member(&emulator);
    account(&emulator, |account| {
        account.opt_out_of_group(one, contact);
        account.opt_out_of_group(two, contact);
        account.leave(two, contact);
    });
    let rows = json!([{"email": "ANA@example.org", "subscribe": [{"listid": one}, {"listid": two}], "exclude_automations": true}]);
    queue(&emulator, rows).await;
    wait(10).await;
    assert_eq!(
        state(&emulator, one, contact),
        Some(MembershipState::OptedOut)
    );
    assert_eq!(
        state(&emulator, two, contact),
        Some(MembershipState::Active)
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::AddedExistingMember, MisuseKind::Resubscribed]
    );
}

#[tokio::test(start_paused = true)]
async fn one_bad_contact_refuses_the_whole_batch() {
    let emulator = emulator();
    let good = json!({"email": "bo@example.org"});
    for bad in [
        json!({"first_name": "Nobody"}),
        json!({"email": "cy@example.org", "subscribe": [{"listid": 99}]}),
        json!({"email": "cy@example.org", "fields": [{"id": 9, "value": "x"}]}),
        json!({"email": "cy@example.org", "exclude_automations": "true"}),
    ] {
        let (status, refused) = queue(&emulator, json!([good, bad])).await;
        assert_eq!(
            (
                status,
                &refused["success"],
                &refused["failureReasons"][0]["contact"]
            ),
            (400, &json!(0), &json!(1))
        );
    }
    emulator.add_fault(FaultRule::every(Fault::PoisonItem(
        "bo@example.org".to_owned(),
    )));
    assert_eq!(queue(&emulator, json!([good])).await.0, 400);
    assert_eq!(queue(&emulator, json!([])).await.0, 400);
    wait(10).await;
    assert_eq!(changes(&emulator), []);
    assert_eq!(
        v3(&emulator, "GET", "import/info", Value::Null).await.0,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn requests_are_limited_in_contacts_bytes_and_number() {
    let emulator = emulator();
    let many = |count: usize, filler: &str| -> Value {
        (0..count)
            .map(|number| json!({"email": format!("p{number}@example.org"), "first_name": filler}))
            .collect()
    };
    assert_eq!(queue(&emulator, many(251, "")).await.0, 400);
    assert_eq!(queue(&emulator, many(250, &"x".repeat(1600))).await.0, 400);
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::TooManyItems, MisuseKind::TooLong]
    );
    emulator.clear_log();
    for number in 0..20 {
        assert_eq!(
            queue(
                &emulator,
                json!([{"email": format!("one{number}@example.org")}])
            )
            .await
            .0,
            200
        );
    }
    let (status, refused) = queue(&emulator, json!([{"email": "more@example.org"}])).await;
    assert_eq!(
        (status, &refused["message"]),
        (400, &json!("Rate limit exceeded."))
    );
    assert!(refused["failureReasons"][0].is_string());
    assert_eq!(queue(&emulator, many(250, "")).await.0, 200);
    assert_eq!(kinds(&emulator), [MisuseKind::TooFast]);
    wait(60).await;
    assert_eq!(
        queue(&emulator, json!([{"email": "more@example.org"}]))
            .await
            .0,
        200
    );
    for _ in 0..99 {
        assert_eq!(queue(&emulator, many(2, "")).await.0, 200);
    }
    assert_eq!(queue(&emulator, many(2, "")).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn the_same_person_in_two_batches_is_recorded() {
    let emulator = emulator();
    queue(&emulator, json!([{"email": "bo@example.org"}])).await;
    queue(&emulator, json!([{"email": "BO@example.org"}])).await;
    assert_eq!(kinds(&emulator), [MisuseKind::DuplicateInBatch]);
    wait(10).await;
    assert_eq!(account(&emulator, |account| account.contacts.len()), 1);
    queue(&emulator, json!([{"email": "bo@example.org"}])).await;
    assert_eq!(kinds(&emulator).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_share_of_a_batch_may_fail() {
    let emulator = emulator();
    emulator.add_fault(
        FaultRule::every(Fault::PartialBatchFailure { every: 2 }).on("POST /import/bulk_import"),
    );
    let (_, batch) = queue(
        &emulator,
        json!([{"email": "a@example.org"}, {"email": "b@example.org"}]),
    )
    .await;
    wait(10).await;
    assert_eq!(
        info(&emulator, &batch).await["failure"],
        json!(["b@example.org"])
    );
}

#[tokio::test]
async fn the_answer_is_declared_as_html() {
    let emulator = emulator();
    let request = Request::post("/activecampaign/api/3/import/bulk_import")
        .header("api-token", key(&emulator))
        .header("content-type", "application/json")
        .body(Body::from(r#"{"contacts":[{"email":"bo@example.org"}]}"#))
        .unwrap();
    let response = send(&emulator, request).await;
    assert!(
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    let key = limited_key(&emulator, &[], &[]);
    assert_eq!(
        v3_as(
            &emulator,
            &key,
            "POST",
            "import/bulk_import",
            json!({"contacts": []})
        )
        .await
        .0,
        403
    );
}

#[tokio::test(start_paused = true)]
async fn excluded_addresses_are_passed_over() {
    let emulator = emulator();
    account(&emulator, |account| {
        account.exclude_address("Bo@example.org");
    });
    let (_, batch) = queue(&emulator, json!([{"email": "bo@example.org"}])).await;
    wait(10).await;
    assert_eq!(
        info(&emulator, &batch).await,
        json!({"status": "completed", "success": [], "failure": []})
    );
    assert_eq!(changes(&emulator), []);
}
