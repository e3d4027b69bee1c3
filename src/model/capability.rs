//! What a provider can do and how much it takes at once, as data.

/// How new people get into a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// One request creates people by address and joins them all to the same groups.
    WithCreation,
    /// People are created first, then joined by id.
    Separately,
    /// One request takes people by address, each with groups of their own.
    PerRow,
}

/// The most items that one request of each kind takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// People created by one request.
    pub create_members: usize,
    /// People whose fields one request changes.
    pub update_members: usize,
    /// Whether all people of an update must have the same set of changed fields.
    pub update_same_fields: bool,
    /// People joined to one group by one request, by id.
    pub add_memberships: usize,
    /// People taken out of one group by one request.
    pub remove_memberships: usize,
    /// People whose account opt-out one request writes.
    pub account_opt_outs: usize,
    /// Groups changed by one request.
    pub edit_groups: usize,
    /// Addresses changed by one request.
    pub change_addresses: usize,
}

impl Batches {
    /// Lowers every bound to a configured cap.
    pub fn capped(self, cap: Option<usize>) -> Self {
        let Some(cap) = cap.map(|cap| cap.max(1)) else {
            return self;
        };
        Batches {
            create_members: self.create_members.min(cap),
            update_members: self.update_members.min(cap),
            update_same_fields: self.update_same_fields,
            add_memberships: self.add_memberships.min(cap),
            remove_memberships: self.remove_memberships.min(cap),
            account_opt_outs: self.account_opt_outs.min(cap),
            edit_groups: self.edit_groups.min(cap),
            change_addresses: self.change_addresses.min(cap),
        }
    }
}

/// What a provider can do beyond reading and adding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How new people get into a group.
    pub join: Join,
    /// The most items per request.
    pub batches: Batches,
    /// Whether a person's opt-out of one group can be written.
    pub group_opt_out: bool,
    /// Whether a person's opt-out of the whole account can be written.
    pub account_opt_out: bool,
    /// Whether an opt-out of the whole account has to be written as an opt-out of every group in
    /// scope.
    pub account_opt_out_as_lists: bool,
    /// Whether taking somebody out of a group leaves a membership that shows as opted out, which
    /// has to be told from a refusal of the person's own by remembering it.
    pub removal_shows_opt_out: bool,
    /// Whether changes of different people may be under way at once, as many as the account's requests.
    pub writes_overlap: bool,
    /// Whether a membership can be taken away without a trace of it.
    pub detach: bool,
    /// Whether a person can be in one group only, so that joining another one is a move.
    pub one_group_per_member: bool,
    /// Whether a person can be created already opted out of the account.
    pub create_opted_out: bool,
    /// Whether a group can be archived.
    pub archive_group: bool,
    /// Whether a group carries a protected flag.
    pub protected_flag: bool,
    /// Whether a custom field that the account lacks can be defined.
    pub custom_fields_creatable: bool,
    /// Whether the listing of a group's opt-outs is a read of its own, which can be complete when
    /// the listing is not.
    pub separate_opt_out_listing: bool,
}
