//! What an emfluence group and contact can hold.
//!
//! Sources: the reference at `apidocs.emailer.emfluence.com/v1`, read in November 2026. Lengths are
//! not documented there; those given are cautious assumptions, and every write is compared with
//! what the answer echoes.

use crate::model::{
    Batches, Capabilities, FieldSpec, FieldType, Join, ProviderKind, Schema, Unlisted, Writable,
};

use super::wire::{IMPORT_ROWS, MEMBERSHIP_ROWS};

const GROUP: &str = "groups/save and groups/lookup reference";
const GROUP_READ: &str = "groups/lookup reference; no parameter of groups/save sets it";
const CONTACT: &str = "contacts/save, contacts/search and contacts/import reference";

const fn text(wire: &'static str, canonical: &'static str, source: &'static str) -> FieldSpec {
    FieldSpec {
        wire,
        canonical,
        source,
        ..FieldSpec::TEXT
    }
}

/// A moment that the service keeps by itself.
const fn computed(wire: &'static str, canonical: &'static str) -> FieldSpec {
    FieldSpec {
        kind: FieldType::Timestamp,
        writable: Writable::No,
        ..text(wire, canonical, GROUP_READ)
    }
}

/// The field tables of emfluence.
pub static SCHEMA: Schema = Schema {
    kind: ProviderKind::Emfluence,
    groups: &GROUPS,
    members: &MEMBERS,
    unlisted: Unlisted::ByNumber("custom"),
};

static GROUPS: [FieldSpec; 19] = [
    FieldSpec {
        writable: Writable::No,
        unique: true,
        ..text("groupID", "id", GROUP)
    },
    FieldSpec {
        required: true,
        unique: true,
        max_length: Some(100),
        ..text(
            "groupName",
            "name",
            "groups/save reference; the length is an assumption",
        )
    },
    text("friendlyName", "display_name", GROUP),
    text("description", "description", GROUP),
    FieldSpec {
        max_length: Some(50),
        ..text(
            "externalID",
            "external_id",
            "groups/save reference; the length is an assumption",
        )
    },
    FieldSpec {
        kind: FieldType::Boolean,
        ..text("protected", "protected", GROUP)
    },
    FieldSpec {
        kind: FieldType::Boolean,
        values: &[("true", "private"), ("false", "public")],
        ..text(
            "private",
            "visibility",
            "groups/save reference: hidden from the public preferences page",
        )
    },
    FieldSpec {
        values: &[("Active", "active"), ("Archived", "archived")],
        ..text("status", "status", GROUP)
    },
    FieldSpec {
        writable: Writable::No,
        values: &[("Static", "static"), ("Dynamic", "dynamic")],
        ..text(
            "type",
            "kind",
            "groups/lookup reference; groups/save makes static groups only",
        )
    },
    FieldSpec {
        max_length: Some(500),
        ..text(
            "notes",
            "notes",
            "groups/save reference; the length is an assumption",
        )
    },
    FieldSpec {
        kind: FieldType::List,
        ..text(
            "userIDs",
            "permissions",
            "groups/save reference; whether it replaces or adds is not said, so that the answer has to show just what was sent",
        )
    },
    FieldSpec {
        kind: FieldType::Integer,
        writable: Writable::No,
        ..text("totalMembers", "member_count", GROUP_READ)
    },
    FieldSpec {
        kind: FieldType::Integer,
        writable: Writable::No,
        ..text(
            "activeMembers",
            "active_members",
            "groups/lookup reference: neither held nor suppressed",
        )
    },
    FieldSpec {
        kind: FieldType::Boolean,
        writable: Writable::No,
        ..text("sendTests", "send_tests", GROUP_READ)
    },
    FieldSpec {
        writable: Writable::No,
        ..text("userID", "owner", GROUP_READ)
    },
    FieldSpec {
        writable: Writable::No,
        ..text(
            "autoResponseEmailID",
            "auto_response",
            "groups/lookup reference: the e-mail that goes out on joining",
        )
    },
    computed("dateAdded", "created"),
    computed("dateModified", "modified"),
    computed("dateLastEmailSent", "last_sent"),
];

static MEMBERS: [FieldSpec; 21] = [
    FieldSpec {
        writable: Writable::No,
        unique: true,
        ..text("contactID", "id", CONTACT)
    },
    FieldSpec {
        required: true,
        unique: true,
        ..text(
            "email",
            "email",
            "contacts/save reference; an owned address is refused with code 301",
        )
    },
    text("firstName", "first_name", CONTACT),
    text("lastName", "last_name", CONTACT),
    text("title", "title", CONTACT),
    text("company", "company", CONTACT),
    text("phone", "phone", CONTACT),
    text(
        "mobileNumber",
        "mobile",
        "contacts/save reference; comes back in E.164 form since 2022-03-15",
    ),
    text("fax", "fax", CONTACT),
    text("address1", "address1", CONTACT),
    text("address2", "address2", CONTACT),
    text("city", "city", CONTACT),
    text("state", "state", CONTACT),
    text("zipCode", "zip", CONTACT),
    text("country", "country", CONTACT),
    text(
        "customerID",
        "external_id",
        "contacts/save reference; not declared unique",
    ),
    text("notes", "notes", CONTACT),
    text("memo", "memo", CONTACT),
    text("originalSource", "original_source", CONTACT),
    text(
        "dateOfBirth",
        "birth_date",
        "contacts/save reference: YYYY-MM-DD, the year 1900 where the year is not given",
    ),
    text(
        "custom.*",
        "custom.*",
        "customFields of contacts/save, and customFields/search",
    ),
];

/// What emfluence can do.
pub static CAPABILITIES: Capabilities = Capabilities {
    // contacts/import takes `groupIDs` for all of its rows.
    join: Join::WithCreation,
    batches: Batches {
        create_members: IMPORT_ROWS,
        update_members: IMPORT_ROWS,
        // The first row of an import defines the structure of all.
        update_same_fields: true,
        add_memberships: MEMBERSHIP_ROWS,
        remove_memberships: MEMBERSHIP_ROWS,
        account_opt_outs: 1,
        edit_groups: 1,
        change_addresses: 1,
    },
    // contacts/saveGroups is the only call that sets it.
    group_opt_out: true,
    account_opt_out: true,
    account_opt_out_as_lists: false,
    removal_shows_opt_out: false,
    // One request at a time is the advice.
    writes_overlap: false,
    detach: false,
    one_group_per_member: false,
    create_opted_out: true,
    archive_group: true,
    protected_flag: true,
    custom_fields_creatable: false,
    // groups/getContacts lists members and their opt-outs together.
    separate_opt_out_listing: false,
};
