use super::*;
use crate::emulator::MisuseKind;
use crate::emulator::testing::kinds;

/// A group with rights, limits and lists, made by the API.
async fn with_group(emulator: &Emulator) -> (u64, u64) {
    let (one, two, _) = with_member(emulator);
    let (first, second) = (one.to_string(), two.to_string());
    let (first_key, second_key) = (format!("lists[{one}]"), format!("lists[{two}]"));
    let fields = [
        ("title", "Staff"),
        ("descript", "People who write"),
        (first_key.as_str(), first.as_str()),
        (second_key.as_str(), second.as_str()),
        ("sendmethods[]", "1,2"),
        ("pg_list_add", "1"),
        ("pg_message_send", "1"),
        ("group_limit_mail_checkbox", "on"),
        ("limit_mail", "67"),
        ("limit_mail_type", "week"),
        ("unsubscribelink", "on"),
        ("abuseratio", "5"),
    ];
    let added = write(emulator, "group_add", &fields).await;
    assert_eq!(added["result_message"], "Group added");
    (added["group_id"].as_u64().unwrap(), one)
}

#[tokio::test]
async fn a_group_is_shown_with_its_limits() {
    let emulator = emulator();
    let (group, _) = with_group(&emulator).await;
    let id = group.to_string();
    let shown = read(&emulator, "group_view", &[("id", &id)]).await;
    assert_eq!(
        (&shown["title"], &shown["descript"]),
        (&json!("Staff"), &json!("People who write"))
    );
    assert_eq!(
        (&shown["pg_list_add"], &shown["pg_list_edit"]),
        (&json!("1"), &json!("0"))
    );
    assert_eq!(
        (&shown["limit_mail"], &shown["limit_mail_type"]),
        (&json!("67"), &json!("week"))
    );
    assert_eq!(
        (
            &shown["limit_attachment"],
            &shown["limit_user"],
            &shown["limit_campaign_type"]
        ),
        (&json!("-1"), &json!("0"), &json!("month"))
    );
    assert_eq!(
        (&shown["lists"], &shown["sendmethods"], &shown["users"]),
        (&json!("1,2"), &json!("1,2"), &json!([]))
    );
    let rows = read(&emulator, "group_list", &[("ids", &format!("1,2,3,{id}"))]).await;
    assert_eq!(
        (&rows["0"]["title"], &rows["1"]["title"]),
        (&json!("Admin"), &json!("Staff"))
    );
    assert!(rows["1"].get("limit_mail").is_none() && rows.get("2").is_none());
    assert_eq!(kinds(&emulator), []);
    for ids in [&[("ids", "all")][..], &[]] {
        assert_eq!(read(&emulator, "group_list", ids).await, nothing());
    }
    account(&emulator, |account| {
        account.settings.activecampaign.group_list_without_ids = true;
    });
    assert_eq!(
        read(&emulator, "group_list", &[]).await["1"]["title"],
        "Staff"
    );
}

#[tokio::test]
async fn a_rename_alone_strips_everything() {
    let emulator = emulator();
    let (group, _) = with_group(&emulator).await;
    let id = group.to_string();
    assert_eq!(
        write(&emulator, "group_edit", &[("id", &id), ("title", "Crew")]).await["result_message"],
        "Group updated"
    );
    account(&emulator, |account| {
        let group = &account.user_groups[&group];
        assert_eq!(
            (group.title.as_str(), group.description.as_str()),
            ("Crew", "")
        );
        assert!(group.permissions.is_empty() && group.lists.is_empty() && group.limits.is_empty());
        assert_eq!(
            (
                group.unsubscribe_link,
                group.abuse_ratio,
                group.send_methods.len()
            ),
            (false, 4, 1)
        );
    });
    assert_eq!(kinds(&emulator), [MisuseKind::MissingParameter]);
    let fields = changes(&emulator)
        .into_iter()
        .find_map(|change| match change {
            Change::UserGroupChanged { fields, .. }
                if fields.contains(&"title".to_owned()) && fields.len() == 8 =>
            {
                Some(fields)
            }
            _ => None,
        });
    assert!(fields.is_some(), "{:?}", changes(&emulator));
}

#[tokio::test]
async fn flags_count_by_being_there() {
    let emulator = emulator();
    let (group, _) = with_group(&emulator).await;
    let id = group.to_string();
    let fields = [
        ("id", id.as_str()),
        ("title", "Staff"),
        ("descript", ""),
        ("pg_list_delete", "0"),
        ("unsubscribelink", "0"),
    ];
    write(&emulator, "group_edit", &fields).await;
    let shown = read(&emulator, "group_view", &[("id", &id)]).await;
    assert_eq!(
        (
            &shown["pg_list_delete"],
            &shown["pg_list_add"],
            &shown["unsubscribelink"]
        ),
        (&json!("1"), &json!("0"), &json!("1"))
    );
    assert_eq!(kinds(&emulator), [MisuseKind::WrongType]);
}

#[tokio::test]
async fn an_account_may_patch_by_value_instead() {
    let emulator = emulator();
    let (group, _) = with_group(&emulator).await;
    let id = group.to_string();
    account(&emulator, |account| {
        account.settings.activecampaign.group_edit_patches = true;
    });
    write(
        &emulator,
        "group_edit",
        &[("id", &id), ("pg_list_add", "0")],
    )
    .await;
    let shown = read(&emulator, "group_view", &[("id", &id)]).await;
    assert_eq!(
        (
            &shown["title"],
            &shown["pg_list_add"],
            &shown["pg_message_send"]
        ),
        (&json!("Staff"), &json!("0"), &json!("1"))
    );
    assert_eq!(
        (&shown["lists"], &shown["limit_mail"]),
        (&json!("1,2"), &json!("67"))
    );
}

#[tokio::test]
async fn limits_need_their_checkbox() {
    let emulator = emulator();
    let (group, _) = with_group(&emulator).await;
    let id = group.to_string();
    write(
        &emulator,
        "group_edit",
        &[
            ("id", &id),
            ("title", "Staff"),
            ("descript", ""),
            ("limit_mail", "67"),
        ],
    )
    .await;
    assert_eq!(
        read(&emulator, "group_view", &[("id", &id)]).await["limit_mail"],
        "0"
    );
    assert_eq!(kinds(&emulator), [MisuseKind::MissingParameter]);
}

#[tokio::test]
async fn a_group_that_is_not_there_is_updated_with_success() {
    let emulator = emulator();
    let fields = [("id", "77"), ("title", "Ghosts"), ("descript", "")];
    assert_eq!(
        write(&emulator, "group_edit", &fields).await["result_code"],
        1
    );
    assert_eq!(changes(&emulator), []);
}

#[tokio::test]
async fn nobody_grants_what_they_lack() {
    let emulator = emulator();
    let key = limited_key(&emulator, &[], &["pg_group_add", "pg_list_add"]);
    let add = async |flag: &str| {
        answer(
            &emulator,
            post(&key, "group_add", "json", &[("title", "X"), (flag, "1")]),
        )
        .await["result_code"]
            .clone()
    };
    assert_eq!(add("pg_list_add").await, 1);
    assert_eq!(add("pg_list_delete").await, 0);
}

#[tokio::test]
async fn deleting_moves_the_users_and_spares_what_is_built_in() {
    let emulator = emulator();
    let (group, _) = with_group(&emulator).await;
    let (parking, user) = account(&emulator, |account| {
        (
            account.add_user_group("Parking"),
            account.add_user("bo", "bo@example.org", group),
        )
    });
    let (id, alt) = (group.to_string(), parking.to_string());
    for (id, alt) in [
        ("3", alt.as_str()),
        (id.as_str(), "77"),
        (id.as_str(), "3"),
        (id.as_str(), id.as_str()),
    ] {
        assert_eq!(
            read(&emulator, "group_delete", &[("id", id), ("alt", alt)]).await["result_code"],
            0
        );
    }
    assert_eq!(
        read(
            &emulator,
            "group_delete_list",
            &[("ids", &format!("1,{id}")), ("alt", &alt)]
        )
        .await["result_code"],
        1
    );
    assert_eq!(
        account(&emulator, |account| account.users[&user].group),
        parking
    );
    assert_eq!(
        read(&emulator, "group_delete", &[("id", &id), ("alt", &alt)]).await["result_code"],
        1
    );
    assert!(changes(&emulator).contains(&Change::UserMoved {
        user,
        from: group,
        to: parking
    }));
}

#[tokio::test]
async fn version_three_lists_groups_limits_and_links() {
    let emulator = emulator();
    let (group, one) = with_group(&emulator).await;
    let (_, groups) = v3(&emulator, "GET", "groups?limit=100&offset=0", Value::Null).await;
    assert_eq!(
        (&groups["meta"]["total"], &groups["groups"][1]["title"]),
        (&json!("2"), &json!("Staff"))
    );
    assert_eq!(
        (
            &groups["groups"][0]["pgContactAdd"],
            &groups["groups"][0]["pg_user_add"]
        ),
        (&json!("1"), &json!("1"))
    );
    let (_, limits) = v3(&emulator, "GET", "groupLimits", Value::Null).await;
    assert_eq!(
        (
            &limits["meta"]["total"],
            &limits["groupLimits"][3]["limitMail"]
        ),
        (&json!("4"), &json!("67"))
    );
    let (status, made) = v3(
        &emulator,
        "POST",
        "groups",
        json!({"group": {"title": "Awesome", "pgListAdd": true}}),
    )
    .await;
    assert_eq!((status, &made["group"]["p_admin"]), (201, &json!(1)));
    let new = made["group"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        read(&emulator, "group_view", &[("id", &new)]).await["pg_list_add"],
        "1"
    );
    let (status, link) = v3(
        &emulator,
        "POST",
        "listGroups",
        json!({"listGroup": {"listid": one, "groupid": new}}),
    )
    .await;
    assert_eq!((status, &link["listGroup"]["group"]), (201, &json!(new)));
    assert_eq!(
        read(&emulator, "group_view", &[("id", &new)]).await["lists"],
        one.to_string()
    );
    let path = format!("listGroups/{}", link["listGroup"]["id"].as_str().unwrap());
    assert_eq!(
        v3(&emulator, "DELETE", &path, Value::Null).await,
        (200, json!({}))
    );
    assert_eq!(v3(&emulator, "DELETE", &path, Value::Null).await.0, 404);
    // What a change leaves out is off.
    assert_eq!(
        v3(
            &emulator,
            "PUT",
            &format!("groups/{group}"),
            json!({"group": {"title": "Crew"}})
        )
        .await
        .0,
        200
    );
    assert_eq!(
        read(&emulator, "group_view", &[("id", &group.to_string())]).await["pg_list_add"],
        "0"
    );
    assert_eq!(
        v3(
            &emulator,
            "PUT",
            &format!("groups/{group}"),
            json!({"group": {}})
        )
        .await
        .0,
        422
    );
    assert_eq!(
        v3(&emulator, "DELETE", &format!("groups/{new}"), Value::Null).await,
        (200, json!({}))
    );
    assert_eq!(
        v3(&emulator, "GET", &format!("groups/{new}"), Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(
        v3(&emulator, "DELETE", "groups/3", Value::Null).await.0,
        403
    );
    assert_eq!(
        kinds(&emulator),
        [MisuseKind::MissingParameter, MisuseKind::ForbiddenTarget]
    );
}
