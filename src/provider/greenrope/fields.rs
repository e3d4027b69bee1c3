//! What GreenRope's groups and contacts can hold, and what the API can do, as data. Last verified
//! 2026-11-22 against the manual and published client code; no recorded answer of the XML endpoint
//! is public.

use crate::model::{
    Batches, Capabilities, FieldSpec, FieldType, Join, ProviderKind, Schema, Unlisted, Writable,
};

const MANUAL_GROUPS: &str = "GreenRope manual, Spec - Groups";
const CLIENTS: &str = "several published API clients agree; the manual's page was not available";
const ONE_CLIENT: &str = "one published API client";

/// The field tables.
pub static SCHEMA: Schema = Schema {
    kind: ProviderKind::GreenRope,
    groups: GROUPS,
    members: MEMBERS,
    unlisted: Unlisted::ByLabel,
};

/// What the API can do. Batch sizes are not documented: 50 is a cautious choice.
pub static CAPABILITIES: Capabilities = Capabilities {
    join: Join::Separately,
    batches: Batches {
        create_members: 50,
        update_members: 50,
        update_same_fields: false,
        add_memberships: 50,
        remove_memberships: 50,
        account_opt_outs: 50,
        edit_groups: 50,
        change_addresses: 1,
    },
    group_opt_out: false,
    account_opt_out: true,
    account_opt_out_as_lists: false,
    removal_shows_opt_out: false,
    // One request at a time is the advice [trust low], and of changes nothing is said.
    writes_overlap: false,
    detach: false,
    one_group_per_member: false,
    create_opted_out: false,
    archive_group: false,
    protected_flag: false,
    custom_fields_creatable: true,
    separate_opt_out_listing: true,
};

/// The words of `GroupType` and what they mean.
pub(super) const GROUP_TYPES: &[(&str, &str)] = &[
    ("Public", "public"),
    ("Private", "private"),
    ("Hidden", "hidden"),
];

/// A group carries neither description nor external id; names are unique because a second create of
/// one is refused.
const GROUPS: &[FieldSpec] = &[
    FieldSpec {
        wire: "Group_id",
        canonical: "id",
        writable: Writable::No,
        unique: true,
        source: "GreenRope manual, Spec - Groups; small positive integers, kept as text",
        ..FieldSpec::TEXT
    },
    FieldSpec {
        wire: "Name",
        canonical: "name",
        required: true,
        unique: true,
        source: "GreenRope manual, Spec - Groups; a client's test demands that a second create of one name fails",
        ..FieldSpec::TEXT
    },
    FieldSpec {
        wire: "GroupType",
        canonical: "visibility",
        values: GROUP_TYPES,
        default_key: Some("group_type"),
        source: "GreenRope manual, Spec - Groups; answers call it Group_type",
        ..FieldSpec::TEXT
    },
    group_text("EmailsSentFromName", "sender_name", "sender_name"),
    group_text("EmailsSentFromEmail", "sender_email", "sender_email"),
    group_text("EmailPhysicalAddress", "postal_address", "postal_address"),
    group_text("EventsTimeZone", "time_zone", "time_zone"),
    FieldSpec {
        wire: "IncludeLoginLink",
        canonical: "permissions",
        kind: FieldType::Boolean,
        writable: Writable::No,
        source: "GreenRope manual, Spec - Groups: Yes or No; one client reads an integer; no example writes it",
        ..FieldSpec::TEXT
    },
    FieldSpec {
        wire: "TotalMatchingContacts",
        canonical: "member_count",
        kind: FieldType::Integer,
        writable: Writable::No,
        source: MANUAL_GROUPS,
        ..FieldSpec::TEXT
    },
    FieldSpec {
        wire: "AccountNumber",
        canonical: "account",
        writable: Writable::No,
        source: MANUAL_GROUPS,
        ..FieldSpec::TEXT
    },
];

/// The manual does not say which fields creation takes; sending all of them is what its example
/// does.
const fn group_text(
    wire: &'static str,
    canonical: &'static str,
    default_key: &'static str,
) -> FieldSpec {
    FieldSpec {
        wire,
        canonical,
        required: true,
        default_key: Some(default_key),
        source: MANUAL_GROUPS,
        ..FieldSpec::TEXT
    }
}

const fn text(wire: &'static str, canonical: &'static str) -> FieldSpec {
    FieldSpec {
        wire,
        canonical,
        source: CLIENTS,
        ..FieldSpec::TEXT
    }
}

const MEMBERS: &[FieldSpec] = &[
    FieldSpec {
        wire: "Contact_id",
        canonical: "id",
        writable: Writable::No,
        unique: true,
        source: "GreenRope manual, Spec - Contacts; elsewhere ContactID or ID",
        ..FieldSpec::TEXT
    },
    FieldSpec {
        wire: "Email",
        canonical: "email",
        required: true,
        source: "several published API clients; SearchContacts has a DuplicateEmails flag, so addresses repeat in one account",
        ..FieldSpec::TEXT
    },
    text("Firstname", "first_name"),
    text("Lastname", "last_name"),
    text("Title", "title"),
    text("Company", "company"),
    text("Phone", "phone"),
    text("Mobile", "mobile"),
    text("Fax", "fax"),
    text("Address1", "address1"),
    text("Address2", "address2"),
    text("City", "city"),
    text("State", "state"),
    text("Zip", "zip"),
    text("Country", "country"),
    text("Website", "website"),
    text("Notes", "notes"),
    text("Birthdate", "birth_date"),
    text("Gender", "gender"),
    text("Hometown", "hometown"),
    text("Height", "height"),
    text("Weight", "weight"),
    text("SkillsAndInterests", "skills"),
    text("Bio", "bio"),
    FieldSpec {
        wire: "Tags",
        canonical: "tags",
        kind: FieldType::List,
        writable: Writable::No,
        source: ONE_CLIENT,
        ..FieldSpec::TEXT
    },
    FieldSpec {
        wire: "custom.*",
        canonical: "custom.*",
        source: CLIENTS,
        ..FieldSpec::TEXT
    },
];
