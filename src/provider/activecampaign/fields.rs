//! What an ActiveCampaign list, user group, contact and user can hold.
//!
//! Sources: the reference pages of the version 1 API, public clients and recordings, and the source
//! of the older self-hosted edition, read in November 2026. Lengths are not documented.

use crate::model::{
    Batches, Capabilities, FieldSpec, FieldType, Join, ProviderKind, Schema, Unlisted, Writable,
};

use super::wire::groups::{FLAGS, flag_spec};
use super::wire::import::MOST_ROWS;

const LIST: &str = "list_add and list_edit reference; the values of list_view";
const SENDER: &str = "list_add: required by a client's experience, the reference stars fewer";
const CONTACT: &str = "contact_sync reference and the bulk importer of version 3";
const GROUP: &str = "group_edit and group_view reference";
const USER: &str = "user_edit reference";

const fn text(wire: &'static str, canonical: &'static str, source: &'static str) -> FieldSpec {
    FieldSpec {
        wire,
        canonical,
        source,
        ..FieldSpec::TEXT
    }
}

const fn sender(wire: &'static str) -> FieldSpec {
    FieldSpec {
        required: true,
        default_key: Some(wire),
        ..text(wire, wire, SENDER)
    }
}

/// The field tables of ActiveCampaign lists.
pub static LIST_SCHEMA: Schema = Schema {
    kind: ProviderKind::ActiveCampaignLists,
    groups: &LISTS,
    members: &CONTACTS,
    unlisted: Unlisted::Nothing,
};

static LISTS: [FieldSpec; 16] = [
    FieldSpec {
        writable: Writable::No,
        unique: true,
        ..text("id", "id", LIST)
    },
    FieldSpec {
        required: true,
        ..text("name", "name", "list_add reference; names need not differ")
    },
    FieldSpec {
        kind: FieldType::Boolean,
        writable: Writable::OnCreate,
        values: &[("true", "private"), ("false", "public")],
        ..text("private", "visibility", "list_add reference")
    },
    sender("sender_name"),
    sender("sender_addr1"),
    FieldSpec {
        default_key: Some("sender_addr2"),
        ..text("sender_addr2", "sender_addr2", LIST)
    },
    sender("sender_city"),
    FieldSpec {
        default_key: Some("sender_state"),
        ..text("sender_state", "sender_state", LIST)
    },
    sender("sender_zip"),
    sender("sender_country"),
    text("sender_phone", "sender_phone", LIST),
    sender("sender_url"),
    sender("sender_reminder"),
    FieldSpec {
        writable: Writable::No,
        ..text(
            "fulladdress",
            "postal_address",
            "list_view; put together from the parts, which a one-line address is not taken apart into",
        )
    },
    text("to_name", "to_name", LIST),
    FieldSpec {
        kind: FieldType::Integer,
        writable: Writable::No,
        ..text(
            "subscriber_count",
            "member_count",
            "list_list; counts the active ones only",
        )
    },
];

static CONTACTS: [FieldSpec; 7] = [
    FieldSpec {
        writable: Writable::No,
        unique: true,
        ..text("id", "id", CONTACT)
    },
    FieldSpec {
        required: true,
        unique: true,
        ..text("email", "email", CONTACT)
    },
    text("first_name", "first_name", CONTACT),
    text("last_name", "last_name", CONTACT),
    text("phone", "phone", CONTACT),
    FieldSpec {
        ..text(
            "customer_acct_name",
            "company",
            "bulk importer; read as orgname. Accounts without the CRM may not keep it",
        )
    },
    text(
        "custom.*",
        "custom.*",
        "fields of version 3, by personalisation tag",
    ),
];

/// What ActiveCampaign lists can do.
pub static LIST_CAPABILITIES: Capabilities = Capabilities {
    // The bulk importer takes `subscribe` for each contact.
    join: Join::PerRow,
    batches: Batches {
        create_members: MOST_ROWS,
        update_members: MOST_ROWS,
        update_same_fields: false,
        add_memberships: MOST_ROWS,
        remove_memberships: MOST_ROWS,
        account_opt_outs: 1,
        edit_groups: 1,
        change_addresses: 1,
    },
    group_opt_out: true,
    // Nothing says "no mail at all"; status 2 on every list comes closest.
    account_opt_out: false,
    account_opt_out_as_lists: true,
    removal_shows_opt_out: true,
    // Two requests at a time are what is advised, and nothing speaks against two changes.
    writes_overlap: true,
    detach: true,
    one_group_per_member: false,
    create_opted_out: false,
    archive_group: false,
    protected_flag: false,
    custom_fields_creatable: true,
    separate_opt_out_listing: false,
};

/// The field tables of ActiveCampaign user groups.
pub static USER_SCHEMA: Schema = Schema {
    kind: ProviderKind::ActiveCampaignUsers,
    groups: &USER_GROUPS,
    members: &USERS,
    unlisted: Unlisted::Nothing,
};

const GROUP_FIELDS: usize = 16;

const fn limit(wire: &'static str, canonical: &'static str, source: &'static str) -> FieldSpec {
    FieldSpec {
        kind: FieldType::Integer,
        ..text(wire, canonical, source)
    }
}

const fn period(wire: &'static str, canonical: &'static str) -> FieldSpec {
    const PERIODS: &[(&str, &str)] = &[
        ("day", "day"),
        ("week", "week"),
        ("month", "month"),
        ("month1st", "month1st"),
        ("monthcdate", "monthcdate"),
        ("year", "year"),
        ("ever", "ever"),
    ];
    FieldSpec {
        values: PERIODS,
        ..text(
            wire,
            canonical,
            "group_edit reference; goes with the limit, month where nothing is said",
        )
    }
}

const LIMIT: &str =
    "group_edit reference; leaving it out means unlimited, which reads as 0, or -1 for attachments";

static USER_GROUPS: [FieldSpec; GROUP_FIELDS + FLAGS.len()] = {
    let head = [
        FieldSpec {
            writable: Writable::No,
            unique: true,
            ..text("id", "id", GROUP)
        },
        FieldSpec {
            required: true,
            ..text(
                "title",
                "name",
                "group_edit reference; titles need not differ",
            )
        },
        text("descript", "description", GROUP),
        FieldSpec {
            kind: FieldType::List,
            ..text(
                "lists",
                "lists",
                "group_edit reference; ids of lists, the whole set",
            )
        },
        FieldSpec {
            kind: FieldType::List,
            ..text(
                "sendmethods",
                "settings.sendmethods",
                "group_edit reference; ids of mailers, the whole set",
            )
        },
        FieldSpec {
            kind: FieldType::Boolean,
            ..text("unsubscribelink", "settings.unsubscribelink", GROUP)
        },
        limit(
            "abuseratio",
            "settings.abuseratio",
            "group_edit reference; percent, 4 by default",
        ),
        limit("limit_attachment", "limits.attachment", LIMIT),
        limit("limit_campaign", "limits.campaign", LIMIT),
        period("limit_campaign_type", "limits.campaign_type"),
        limit("limit_list", "limits.list", LIMIT),
        limit("limit_mail", "limits.mail", LIMIT),
        period("limit_mail_type", "limits.mail_type"),
        limit("limit_subscriber", "limits.subscriber", LIMIT),
        limit("limit_user", "limits.user", LIMIT),
        FieldSpec {
            writable: Writable::No,
            ..text("sdate", "saved", "group_view; rewritten by every edit")
        },
    ];
    let mut all = [FieldSpec::TEXT; GROUP_FIELDS + FLAGS.len()];
    let mut at = 0;
    while at < GROUP_FIELDS {
        all[at] = head[at];
        at += 1;
    }
    while at < GROUP_FIELDS + FLAGS.len() {
        all[at] = flag_spec(at - GROUP_FIELDS);
        at += 1;
    }
    all
};

static USERS: [FieldSpec; 6] = [
    FieldSpec {
        writable: Writable::No,
        unique: true,
        ..text("id", "id", USER)
    },
    FieldSpec {
        required: true,
        ..text("email", "email", USER)
    },
    FieldSpec {
        writable: Writable::OnCreate,
        unique: true,
        ..text(
            "username",
            "username",
            "user_edit reference: it can't be changed",
        )
    },
    FieldSpec {
        required: true,
        ..text("first_name", "first_name", USER)
    },
    FieldSpec {
        required: true,
        ..text("last_name", "last_name", USER)
    },
    FieldSpec {
        readable: false,
        ..text("phone", "phone", "user_edit reference; no view shows it")
    },
];

/// What ActiveCampaign user groups can do.
pub static USER_CAPABILITIES: Capabilities = Capabilities {
    // user_add has to name a group, or a new user lands among the administrators.
    join: Join::WithCreation,
    batches: Batches {
        create_members: 1,
        update_members: 1,
        update_same_fields: false,
        add_memberships: 1,
        remove_memberships: 1,
        account_opt_outs: 1,
        edit_groups: 1,
        change_addresses: 1,
    },
    group_opt_out: false,
    account_opt_out: false,
    account_opt_out_as_lists: false,
    removal_shows_opt_out: false,
    // The first change may have to find out which group a number stands for.
    writes_overlap: false,
    detach: false,
    one_group_per_member: true,
    create_opted_out: false,
    archive_group: false,
    protected_flag: false,
    custom_fields_creatable: false,
    separate_opt_out_listing: false,
};
