//! What a client should not do, each once, beside its neighbour that is nothing to blame.

use super::*;
use crate::emulator::GroupStatus;

/// What the cases are about.
struct Cast {
    /// A group that holds `ana` and, refusing, `dee`; `eve` was taken out of it after refusing.
    group: u64,
    ana: u64,
    /// In no group.
    bo: u64,
    /// In no group, and refuses all mail of the account.
    cy: u64,
    dee: u64,
    eve: u64,
    dynamic: u64,
    built_in: u64,
}

fn cast(emulator: &Emulator) -> Cast {
    mail(emulator, |account| {
        let group = account.add_group("Donors");
        let dynamic = account.add_group("Openers");
        account.group_mut(dynamic).kind = GroupKind::Dynamic;
        let [ana, bo, cy, dee, eve] = ["ana", "bo", "cy", "dee", "eve"]
            .map(|name| account.add_contact(&format!("{name}@example.org")));
        account.join_all(group, [ana, dee, eve]);
        account.opt_out_of_account(cy);
        account.opt_out_of_group(group, dee);
        account.opt_out_of_group(group, eve);
        account.leave(group, eve);
        Cast {
            group,
            ana,
            bo,
            cy,
            dee,
            eve,
            dynamic,
            built_in: account.find_group("All").unwrap(),
        }
    })
}

/// Sends one request about a fresh cast and compares what is recorded.
async fn check(path: &str, body: impl FnOnce(&Cast) -> Value, expected: &[MisuseKind]) {
    let emulator = emulator();
    let body = body(&cast(&emulator));
    emfluence(&emulator, path, body.clone()).await;
    assert_eq!(kinds(&emulator), expected, "{path} {body}");
}

type Pick = fn(&Cast) -> u64;

#[tokio::test]
async fn adding_is_blamed_for_whom_it_adds_by_whatever_call() {
    let cases: [(&str, Pick, &[MisuseKind]); 5] = [
        ("bo", |cast| cast.bo, &[]),
        ("ana", |cast| cast.ana, &[MisuseKind::AddedExistingMember]),
        ("cy", |cast| cast.cy, &[MisuseKind::AddedOptedOut]),
        ("dee", |cast| cast.dee, &[MisuseKind::Resubscribed]),
        ("eve", |cast| cast.eve, &[MisuseKind::Resubscribed]),
    ];
    for (name, who, expected) in cases {
        let by_id = |cast: &Cast| json!({"groupID": cast.group, "contactIDs": [who(cast)]});
        check("groups/addContacts", by_id, expected).await;
        let saved = |cast: &Cast| json!({"contactID": who(cast), "groupIDs": [cast.group]});
        check("contacts/save", saved, expected).await;
        let listed =
            |cast: &Cast| json!({"contactID": who(cast), "groups": [{"groupID": cast.group}]});
        check("contacts/saveGroups", listed, expected).await;
        let imported = |cast: &Cast| json!({"contacts": [{"email": format!("{name}@example.org")}], "groupIDs": [cast.group]});
        check("contacts/import", imported, expected).await;
    }
}

#[tokio::test]
async fn removing_is_blamed_for_whom_it_removes_by_whatever_call() {
    let cases: [(&str, Pick, &[MisuseKind]); 4] = [
        ("ana", |cast| cast.ana, &[]),
        ("bo", |cast| cast.bo, &[MisuseKind::RemovedNonMember]),
        ("dee", |cast| cast.dee, &[MisuseKind::RemovedOptedOut]),
        ("eve", |cast| cast.eve, &[MisuseKind::RemovedNonMember]),
    ];
    for (name, who, expected) in cases {
        let by_id = |cast: &Cast| json!({"groupID": cast.group, "contactIDs": [who(cast)]});
        check("groups/removeContacts", by_id, expected).await;
        let saved = |cast: &Cast| json!({"contactID": who(cast), "removeGroupIDs": [cast.group]});
        check("contacts/save", saved, expected).await;
        let listed = |cast: &Cast| json!({"contactID": who(cast), "groupIDs": [cast.group]});
        check("contacts/deleteGroups", listed, expected).await;
        let imported = |cast: &Cast| json!({"contacts": [{"email": format!("{name}@example.org")}], "removeGroupIDs": [cast.group]});
        check("contacts/import", imported, expected).await;
    }
}

#[tokio::test]
async fn the_same_contact_twice_in_a_batch_is_blamed_once() {
    for path in ["groups/addContacts", "groups/removeContacts"] {
        let emulator = emulator();
        let cast = cast(&emulator);
        let one = if path == "groups/addContacts" {
            cast.bo
        } else {
            cast.ana
        };
        let body = json!({"groupID": cast.group, "contactIDs": [one, one]});
        emfluence(&emulator, path, body).await;
        let twice = kinds(&emulator)
            .into_iter()
            .filter(|kind| *kind == MisuseKind::DuplicateInBatch);
        assert_eq!(twice.count(), 1, "{path}");
    }
}

#[tokio::test]
async fn groups_that_take_no_changes_are_left_alone() {
    use MisuseKind::{ForbiddenTarget, ProtectedGroup};
    check(
        "groups/getContacts",
        |cast| json!({"groupID": cast.dynamic}),
        &[ForbiddenTarget],
    )
    .await;
    check(
        "groups/save",
        |_| json!({"groupName": "New", "type": "Dynamic"}),
        &[ForbiddenTarget],
    )
    .await;
    check(
        "groups/save",
        |_| json!({"groupName": "New", "type": "Static"}),
        &[],
    )
    .await;
    check(
        "groups/save",
        |cast| json!({"groupID": cast.built_in, "notes": "x"}),
        &[ForbiddenTarget],
    )
    .await;
    check(
        "groups/delete",
        |cast| json!({"groupID": cast.built_in}),
        &[ForbiddenTarget],
    )
    .await;
    check("groups/delete", |cast| json!({"groupID": cast.group}), &[]).await;
    for (protected, expected) in [(false, vec![]), (true, vec![ProtectedGroup])] {
        for (path, archive) in [("groups/save", true), ("groups/delete", false)] {
            let emulator = emulator();
            let group = cast(&emulator).group;
            mail(&emulator, |account| {
                account.group_mut(group).protected = protected;
            });
            let body = if archive {
                json!({"groupID": group, "status": "Archived"})
            } else {
                json!({"groupID": group})
            };
            emfluence(&emulator, path, body).await;
            assert_eq!(kinds(&emulator), expected, "{path}");
            let stands = mail(&emulator, |account| {
                account
                    .group(group)
                    .is_some_and(|group| group.status == GroupStatus::Active)
            });
            assert_eq!(stands, protected, "{path}");
        }
    }
}

#[tokio::test]
async fn what_a_call_does_not_have_is_recorded() {
    use MisuseKind::{
        AmbiguousTarget, MissingParameter, TooLong, TooManyItems, UnknownParameter, WroteHeld,
    };
    type Body = fn(&Cast) -> Value;
    let cases: [(&str, Body, &[MisuseKind]); 15] = [
        (
            "contacts/saveGroups",
            |cast| json!({"contactID": cast.bo, "groups": [{"groupID": cast.group, "held": 1}]}),
            &[UnknownParameter],
        ),
        (
            "contacts/search",
            |_| json!({"fields": "contactID,shoeSize"}),
            &[UnknownParameter],
        ),
        (
            "contacts/search",
            |_| json!({"fields": "contactID,email"}),
            &[],
        ),
        (
            "contacts/save",
            |cast| json!({"contactID": cast.bo, "customFields": {"custom9": {"value": "x"}}}),
            &[UnknownParameter],
        ),
        (
            "contacts/lookup",
            |cast| json!({"contactID": cast.bo, "email": "bo@example.org"}),
            &[AmbiguousTarget],
        ),
        (
            "contacts/lookup",
            |_| json!({"email": "bo@example.org"}),
            &[],
        ),
        ("contacts/lookup", |_| json!({}), &[MissingParameter]),
        (
            "contacts/save",
            |_| json!({"firstName": "Nobody"}),
            &[MissingParameter],
        ),
        (
            "groups/save",
            |_| json!({"notes": "nameless"}),
            &[MissingParameter],
        ),
        (
            "groups/addContacts",
            |cast| json!({"groupID": cast.group}),
            &[MissingParameter],
        ),
        (
            "groups/addContacts",
            |cast| json!({"groupID": cast.group, "contactIDs": vec![1; 1001]}),
            &[TooManyItems],
        ),
        (
            "groups/save",
            |cast| json!({"groupID": cast.group, "notes": "n".repeat(501)}),
            &[TooLong],
        ),
        (
            "groups/save",
            |cast| json!({"groupID": cast.group, "notes": "n".repeat(500)}),
            &[],
        ),
        (
            "contacts/save",
            |cast| json!({"contactID": cast.bo, "held": 1}),
            &[WroteHeld],
        ),
        (
            "contacts/save",
            |cast| json!({"contactID": cast.bo, "firstName": "Bo"}),
            &[],
        ),
    ];
    for (path, body, expected) in cases {
        check(path, body, expected).await;
    }
}

#[tokio::test]
async fn no_method_but_get_and_post_is_known() {
    let put = |_: &str, mut request: Request<Body>| {
        *request.method_mut() = axum::http::Method::PUT;
        request
    };
    assert_eq!(
        form_of(put).await,
        (json!(0), vec![MisuseKind::WrongMethod])
    );
}
