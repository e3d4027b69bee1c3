//! emfluence Marketing Platform, API v1: JSON over POST.

use crate::model::{Batches, Capabilities, Join, ProviderKind, Schema};

/// The field tables.
pub const SCHEMA: Schema = Schema { kind: ProviderKind::Emfluence, groups: &[], members: &[] };

/// What the API can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    join: Join::WithCreation,
    batches: Batches {
        create_members: 1000,
        update_members: 1000,
        update_same_fields: true,
        add_memberships: 1000,
        remove_memberships: 1000,
        account_opt_outs: 1,
        edit_groups: 1,
        change_addresses: 1,
    },
    group_opt_out: true,
    account_opt_out: true,
    create_opted_out: true,
    archive_group: true,
    protected_flag: true,
    custom_fields_creatable: false,
    separate_opt_out_listing: false,
};
