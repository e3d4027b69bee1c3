use super::*;
use crate::emulator::MisuseKind;
use crate::emulator::testing::kinds;

const BO: [(&str, &str); 6] = [
    ("username", "bo"),
    ("password", "made-up"),
    ("password_r", "made-up"),
    ("email", "bo@example.org"),
    ("first_name", "Bo"),
    ("last_name", "Lindqvist"),
];

fn group(emulator: &Emulator, title: &str) -> (u64, String) {
    let id = account(emulator, |account| account.add_user_group(title));
    (id, id.to_string())
}

#[tokio::test]
async fn a_user_is_added_found_and_moved() {
    let emulator = emulator();
    let ((staff, first), (crew, second)) = (group(&emulator, "Staff"), group(&emulator, "Crew"));
    account(&emulator, |account| {
        account.settings.activecampaign.global_user_ids = true;
    });
    let added = write(
        &emulator,
        "user_add",
        &[BO.as_slice(), &[(&format!("group[{staff}]"), &first)]].concat(),
    )
    .await;
    let found = read(&emulator, "user_view_username", &[("username", "bo")]).await;
    // The id in the answer is not the one that other calls take.
    assert_ne!(added["userid"].to_string(), found["id"].as_str().unwrap());
    assert_eq!(found["groups"], first);
    assert!(found["password"].as_str().unwrap().starts_with("hashed-"));
    assert!(!found.to_string().contains("made-up"));
    let id = found["id"].as_str().unwrap().to_owned();
    let fields: Vec<(&str, &str)> = BO
        .into_iter()
        .map(|(name, value)| {
            if name.starts_with("password") {
                (name, "")
            } else {
                (name, value)
            }
        })
        .collect();
    let crew_key = format!("group[{crew}]");
    let moved = write(
        &emulator,
        "user_edit",
        &[
            fields.as_slice(),
            &[("id", id.as_str()), (crew_key.as_str(), second.as_str())],
        ]
        .concat(),
    )
    .await;
    assert_eq!(moved["result_message"], "User updated");
    let shown = read(&emulator, "user_view", &[("ids", &id)]).await;
    assert_eq!(
        (&shown["groups"], &shown["password"]),
        (&json!(second), &found["password"])
    );
    assert_eq!(
        read(&emulator, "user_view_email", &[("email", "BO@example.org")]).await["id"],
        id
    );
    assert_eq!(
        read(&emulator, "user_list", &[("ids", &format!("1,{id}"))]).await["1"]["username"],
        "bo"
    );
    assert_eq!(
        read(&emulator, "user_list", &[("ids", "all")]).await,
        nothing()
    );
    assert_eq!(kinds(&emulator), []);
}

#[tokio::test]
async fn a_user_without_a_group_lands_in_that_of_the_caller() {
    let emulator = emulator();
    write(&emulator, "user_add", &BO).await;
    let user = account(&emulator, |account| account.user_by_name("bo").unwrap());
    assert_eq!(changes(&emulator), [Change::UserCreated { user, group: 3 }]);
    assert_eq!(kinds(&emulator), [MisuseKind::OmittedUserGroup]);
}

#[tokio::test]
async fn only_the_first_group_counts() {
    let emulator = emulator();
    let ((staff, first), (crew, second)) = (group(&emulator, "Staff"), group(&emulator, "Crew"));
    let keys = (format!("group[{staff}]"), format!("group[{crew}]"));
    write(
        &emulator,
        "user_add",
        &[BO.as_slice(), &[(&keys.0, &first), (&keys.1, &second)]].concat(),
    )
    .await;
    assert_eq!(
        account(&emulator, |account| account.users_in(staff).len()),
        1
    );
    assert_eq!(kinds(&emulator), [MisuseKind::TooManyItems]);
    // Some builds read nothing but the entry with the key 0.
    account(&emulator, |account| {
        account.settings.activecampaign.group_at_zero = true;
    });
    let user = account(&emulator, |account| {
        account.user_by_name("bo").unwrap().to_string()
    });
    let edit = [
        ("id", user.as_str()),
        ("group[0]", second.as_str()),
        (keys.0.as_str(), first.as_str()),
    ];
    write(&emulator, "user_edit", &[BO.as_slice(), &edit].concat()).await;
    assert_eq!(
        account(&emulator, |account| account.users_in(crew).len()),
        1
    );
}

#[tokio::test]
async fn what_is_missing_taken_or_full_is_refused() {
    let emulator = emulator();
    let (staff, first) = group(&emulator, "Staff");
    let place = format!("group[{staff}]");
    for (left_out, _) in BO {
        let fields: Vec<_> = BO
            .into_iter()
            .filter(|(name, _)| *name != left_out)
            .chain([(place.as_str(), first.as_str())])
            .collect();
        assert_eq!(
            write(&emulator, "user_add", &fields).await["result_code"],
            0,
            "{left_out}"
        );
    }
    for (name, value) in [
        ("username", "ADMIN"),
        ("password_r", "other"),
        ("email", "bo"),
        (place.as_str(), "77"),
    ] {
        let fields: Vec<_> = BO
            .into_iter()
            .chain([(place.as_str(), first.as_str())])
            .map(|(field, given)| {
                if field == name {
                    (field, value)
                } else {
                    (field, given)
                }
            })
            .collect();
        assert_eq!(
            write(&emulator, "user_add", &fields).await["result_code"],
            0,
            "{name}"
        );
    }
    account(&emulator, |account| {
        let limit = crate::emulator::UserGroupLimit {
            quantity: 0,
            per: String::new(),
        };
        account
            .user_group_mut(staff)
            .limits
            .insert("user".to_owned(), limit);
    });
    assert_eq!(
        write(
            &emulator,
            "user_add",
            &[BO.as_slice(), &[(&place, &first)]].concat()
        )
        .await["result_code"],
        0
    );
    assert_eq!(changes(&emulator), []);
}

#[tokio::test]
async fn an_empty_password_may_be_refused() {
    let emulator = emulator();
    account(&emulator, |account| {
        account.settings.activecampaign.password_needed = true;
    });
    let (staff, first) = group(&emulator, "Staff");
    let id = account(&emulator, |account| {
        account.add_user("bo", "bo@example.org", staff).to_string()
    });
    let fields = [
        ("id", id.as_str()),
        ("username", "bo"),
        ("password", ""),
        ("password_r", ""),
        ("email", "bo@example.org"),
    ];
    let more = [
        ("first_name", "Bo"),
        ("last_name", "L"),
        ("group[4]", first.as_str()),
    ];
    let refused = write(&emulator, "user_edit", &[fields.as_slice(), &more].concat()).await;
    assert_eq!(refused["result_message"], "Please provide a password.");
    let (status, answer) = v3(
        &emulator,
        "PUT",
        &format!("users/{id}"),
        json!({"user": {"firstName": "Bo", "group": 3}}),
    )
    .await;
    assert_eq!(
        (
            status,
            &answer["user"]["userGroup"],
            &answer["userGroups"][0]["group"]
        ),
        (200, &json!(id), &json!("3"))
    );
}

#[tokio::test]
async fn deleting_with_extra_takes_the_lists_along() {
    let emulator = emulator();
    let (staff, _) = group(&emulator, "Staff");
    let (user, list) = account(&emulator, |account| {
        let user = account.add_user("bo", "bo@example.org", staff);
        let list = account.add_group("Owned");
        account.group_mut(list).owner = Some(user);
        (user, list)
    });
    assert_eq!(
        read(&emulator, "user_delete", &[("id", "1")]).await["result_code"],
        0
    );
    assert_eq!(
        read(
            &emulator,
            "user_delete",
            &[("id", &user.to_string()), ("extra", "1")]
        )
        .await["result_code"],
        1
    );
    assert_eq!(
        changes(&emulator),
        [
            Change::GroupDeleted { group: list },
            Change::UserDeleted { user }
        ]
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::ForbiddenTarget, MisuseKind::DeletedLists]
    );
    assert_eq!(
        read(&emulator, "user_delete_list", &[("ids", "1,77")]).await["result_code"],
        1
    );
    assert!(account(&emulator, |account| account.user(1).is_some()));
}

#[tokio::test]
async fn version_three_shows_users_without_password_or_group() {
    let emulator = emulator();
    let (staff, first) = group(&emulator, "Staff");
    let new = json!({"user": {"username": "bo", "firstName": "Bo", "lastName": "L", "email": "bo+x@example.org", "password": "made-up", "group": staff}});
    let (status, made) = v3(&emulator, "POST", "users", new.clone()).await;
    assert_eq!(status, 201);
    let id = made["user"]["id"].as_str().unwrap().to_owned();
    assert_eq!(v3(&emulator, "POST", "users", new).await.0, 422);
    let (_, users) = v3(&emulator, "GET", "users?limit=100", Value::Null).await;
    assert_eq!(
        (&users["meta"]["total"], &users["users"][1]["username"]),
        (&json!("2"), &json!("bo"))
    );
    assert!(users["users"][1].get("group").is_none() && !users.to_string().contains("hashed"));
    for path in [
        "users/email/bo%2Bx@example.org",
        "users/email/bo+x@example.org",
        "users/username/bo",
    ] {
        assert_eq!(
            v3(&emulator, "GET", path, Value::Null).await.1["user"]["id"],
            id,
            "{path}"
        );
    }
    let (_, edge) = v3(
        &emulator,
        "GET",
        &format!("users/{id}/userGroup"),
        Value::Null,
    )
    .await;
    assert_eq!(
        (&edge["userGroup"]["id"], &edge["userGroup"]["group"]),
        (&json!(id), &json!(first))
    );
    assert_eq!(
        v3(&emulator, "GET", "userGroups", Value::Null).await.1["meta"]["total"],
        "2"
    );
    assert_eq!(
        v3(&emulator, "GET", "users/me", Value::Null).await.1["user"]["username"],
        "admin"
    );
    assert_eq!(v3(&emulator, "GET", "users/77", Value::Null).await.0, 404);
    assert_eq!(
        v3(&emulator, "DELETE", &format!("users/{id}"), Value::Null).await,
        (200, json!({}))
    );
    assert_eq!(v3(&emulator, "DELETE", "users/1", Value::Null).await.0, 404);
    assert_eq!(kinds(&emulator), []);
}

#[tokio::test]
async fn the_key_of_a_deleted_user_is_worth_nothing() {
    let emulator = emulator();
    let key = limited_key(&emulator, &[], &[]);
    assert_eq!(
        answer(&emulator, get(&key, "user_me", "json", &[])).await["username"],
        "limited"
    );
    account(&emulator, |account| {
        let user = account.user_by_name("limited").unwrap();
        account.delete_user(user);
    });
    assert_eq!(
        answer(&emulator, get(&key, "user_me", "json", &[])).await["result_code"],
        0
    );
}
