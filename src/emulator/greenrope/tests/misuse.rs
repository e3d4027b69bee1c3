//! What a client should not do, each once, beside its neighbour that is nothing to blame.

use super::*;

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
}

fn cast(emulator: &Emulator) -> Cast {
    crm(emulator, |account| {
        let group = account.add_group("Donors");
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
        }
    })
}

/// Sends one request about a fresh cast and compares what is recorded.
async fn check(xml: impl FnOnce(&Cast) -> String, expected: &[MisuseKind]) {
    let emulator = emulator();
    let xml = xml(&cast(&emulator));
    greenrope(&emulator, &xml).await;
    assert_eq!(kinds(&emulator), expected, "{xml}");
}

type Pick = fn(&Cast) -> u64;

#[tokio::test]
async fn adding_is_blamed_for_whom_it_adds_by_id_and_by_name() {
    use MisuseKind::{AddedExistingMember, AddedOptedOut, Resubscribed};
    let cases: [(Pick, &[MisuseKind]); 5] = [
        (|cast| cast.bo, &[]),
        (|cast| cast.ana, &[AddedExistingMember]),
        (|cast| cast.cy, &[AddedOptedOut]),
        (|cast| cast.dee, &[Resubscribed]),
        (|cast| cast.eve, &[Resubscribed]),
    ];
    for (who, expected) in cases {
        let by_id = |cast: &Cast| {
            format!(
                "<AddContactsToGroupRequest group_id=\"{}\"><Contacts><Contact contact_id=\"{}\"/></Contacts></AddContactsToGroupRequest>",
                cast.group,
                who(cast)
            )
        };
        check(by_id, expected).await;
        let by_name = |cast: &Cast| {
            format!(
                "<EditContactsRequest><Contacts><Contact contact_id=\"{}\"><Groups><Group>Donors</Group></Groups></Contact></Contacts>\
                 </EditContactsRequest>",
                who(cast)
            )
        };
        check(by_name, expected).await;
    }
}

#[tokio::test]
async fn removing_is_blamed_for_whom_it_removes_by_id_and_by_name() {
    use MisuseKind::{RemovedNonMember, RemovedOptedOut};
    let cases: [(Pick, &[MisuseKind]); 4] = [
        (|cast| cast.ana, &[]),
        (|cast| cast.bo, &[RemovedNonMember]),
        (|cast| cast.dee, &[RemovedOptedOut]),
        (|cast| cast.eve, &[RemovedNonMember]),
    ];
    for (who, expected) in cases {
        let by_id = |cast: &Cast| {
            format!(
                "<DeleteContactsFromGroupRequest group_id=\"{}\"><Contacts><Contact contact_id=\"{}\"/></Contacts>\
                 </DeleteContactsFromGroupRequest>",
                cast.group,
                who(cast)
            )
        };
        check(by_id, expected).await;
        let by_name = |cast: &Cast| {
            format!(
                "<EditContactsRequest><Contacts><Contact contact_id=\"{}\"><RemoveGroups><Group>Donors</Group></RemoveGroups></Contact>\
                 </Contacts></EditContactsRequest>",
                who(cast)
            )
        };
        check(by_name, expected).await;
    }
}

#[tokio::test]
async fn what_a_request_does_not_have_is_recorded() {
    use MisuseKind::{
        AmbiguousTarget, DuplicateInBatch, MissingParameter, UnknownParameter, WrongType,
    };
    type Xml = fn(&Cast) -> String;
    let cases: [(Xml, &[MisuseKind]); 19] = [
        (
            |_| "<SearchContactsRequest><From>single</From></SearchContactsRequest>".to_owned(),
            &[MissingParameter],
        ),
        (
            |cast| {
                format!(
                    "<EditContactsRequest><Contacts><Contact contact_id=\"{}\"><UserDefinedFields>\
                     <UserDefinedField fieldname=\"Shoe\">9</UserDefinedField></UserDefinedFields></Contact></Contacts></EditContactsRequest>",
                    cast.bo
                )
            },
            &[UnknownParameter],
        ),
        (
            |_| "<GetContactsRequest response=\"json\" start_chunk_page=\"one\"/>".to_owned(),
            &[WrongType],
        ),
        (
            |_| "<GetContactsRequest start_chunk_page=\"1\"/>".to_owned(),
            &[WrongType],
        ),
        (
            |_| "<GetContactsRequest updated_timestamp=\"yesterday\"/>".to_owned(),
            &[WrongType],
        ),
        (
            |_| "<GetContactsRequest updated_timestamp=\"2026-01-31 10:00:00\"/>".to_owned(),
            &[],
        ),
        (
            |_| {
                "<GetContactsRequest Unsubscribed=\"true\" Unsubscribed_startdate=\"2026-01-31\"/>"
                    .to_owned()
            },
            &[WrongType],
        ),
        (
            |_| {
                "<GetContactsRequest Unsubscribed=\"yes\" Unsubscribed_startdate=\"20260131\"/>"
                    .to_owned()
            },
            &[WrongType],
        ),
        (
            |_| {
                "<GetContactsRequest Unsubscribed=\"true\" Unsubscribed_startdate=\"20260131\"/>"
                    .to_owned()
            },
            &[],
        ),
        (
            |cast| {
                format!(
                    "<GetGroupsRequest group_id=\"{}\" group_name=\"Donors\"/>",
                    cast.group
                )
            },
            &[AmbiguousTarget],
        ),
        (
            |_| "<CreateGroupRequest><GroupType>Hidden</GroupType></CreateGroupRequest>".to_owned(),
            &[MissingParameter],
        ),
        (
            |_| {
                "<EditGroupsRequest><Groups><Group group_name=\"Donors\"><Name>Patrons</Name></Group></Groups></EditGroupsRequest>"
                    .to_owned()
            },
            &[AmbiguousTarget],
        ),
        (
            |cast| {
                format!(
                    "<EditGroupsRequest><Groups><Group group_id=\"{}\" group_name=\"Donors\"><Name>Patrons</Name></Group></Groups>\
                     </EditGroupsRequest>",
                    cast.group
                )
            },
            &[AmbiguousTarget],
        ),
        (
            |_| {
                "<EditGroupsRequest><Groups><Group><Name>Patrons</Name></Group></Groups></EditGroupsRequest>".to_owned()
            },
            &[MissingParameter],
        ),
        (
            |_| "<EditGroupsRequest><Groups></Groups></EditGroupsRequest>".to_owned(),
            &[MissingParameter],
        ),
        (
            |cast| {
                format!(
                    "<EditContactsRequest><Contacts><Contact contact_id=\"{0}\"/><Contact contact_id=\"{0}\"/></Contacts>\
                     </EditContactsRequest>",
                    cast.bo
                )
            },
            &[DuplicateInBatch],
        ),
        (
            |cast| {
                format!(
                    "<AddContactsToGroupRequest group_id=\"{}\"><Contacts><Contact request_id=\"r\"/></Contacts></AddContactsToGroupRequest>",
                    cast.group
                )
            },
            &[MissingParameter],
        ),
        (
            |_| {
                "<AddUserDefinedFieldRequest><FieldType>Text</FieldType></AddUserDefinedFieldRequest>".to_owned()
            },
            &[MissingParameter],
        ),
        (
            |_| {
                "<AddUserDefinedFieldRequest><FieldName>Shoe</FieldName><FieldType>Number</FieldType></AddUserDefinedFieldRequest>"
                    .to_owned()
            },
            &[WrongType],
        ),
    ];
    for (xml, expected) in cases {
        check(xml, expected).await;
    }
}

#[tokio::test]
async fn a_form_that_is_no_form_is_recorded() {
    let emulator = emulator();
    let credentials = crm(&emulator, |account| account.credentials());
    let fields = [
        ("email", credentials.email.as_str()),
        ("auth_token", &credentials.token),
        ("xml", "<GetGroupsRequest/>"),
    ];
    let mut request = form_request(&fields);
    *request.uri_mut() = "/greenrope/api-xml?again=1".parse().unwrap();
    send(&emulator, request).await;
    assert_eq!(kinds(&emulator), [MisuseKind::QueryOnPost]);
    emulator.clear_log();
    let request = form_request(&fields).map(|_| axum::body::Body::from(&b"xml=\xff"[..]));
    send(&emulator, request).await;
    assert_eq!(kinds(&emulator), [MisuseKind::UnreadableBody]);
}
