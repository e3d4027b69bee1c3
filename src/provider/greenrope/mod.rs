//! GreenRope, SalesDrip and Mission Suite: the XML API.

use crate::model::{Batches, Capabilities, Join, ProviderKind, Schema};

/// The field tables of GreenRope.
pub static SCHEMA: Schema = Schema { kind: ProviderKind::GreenRope, groups: &[], members: &[] };

/// What GreenRope can do.
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
    create_opted_out: false,
    archive_group: false,
    protected_flag: false,
    custom_fields_creatable: true,
    separate_opt_out_listing: true,
};
