//! Limits, strictness and quirks of an account: where the documentation leaves a choice, it is made
//! here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::world::Kind;

/// Limits, strictness and quirks of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Requests allowed in any minute; more are answered with 429 and recorded.
    pub requests_per_minute: Option<u32>,
    /// Requests allowed in any second; more are answered with 429 and recorded.
    pub requests_per_second: Option<u32>,
    /// Requests that may be in flight at once; more are recorded.
    pub max_in_flight: usize,
    /// Items in one GreenRope request above which the request is recorded as misuse.
    pub max_items: usize,
    /// Minutes for which a GreenRope token from a password login stays valid.
    pub token_minutes: u64,
    /// Offset of the account's wall clock from UTC, in minutes.
    pub utc_offset_minutes: i32,
    /// Quirks of emfluence answers.
    pub emfluence: EmfluenceQuirks,
    /// Quirks of GreenRope answers.
    pub greenrope: GreenRopeQuirks,
    /// Quirks of ActiveCampaign answers.
    pub activecampaign: ActiveCampaignQuirks,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            requests_per_minute: None,
            requests_per_second: None,
            max_in_flight: 4,
            max_items: 50,
            token_minutes: 120,
            utc_offset_minutes: 0,
            emfluence: EmfluenceQuirks::default(),
            greenrope: GreenRopeQuirks::default(),
            activecampaign: ActiveCampaignQuirks::default(),
        }
    }
}

impl Settings {
    /// The settings a new account of this kind starts with.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Emfluence => Self {
                requests_per_minute: Some(100),
                max_in_flight: 1,
                ..Self::default()
            },
            Kind::GreenRope => Self {
                utc_offset_minutes: -360,
                ..Self::default()
            },
            Kind::ActiveCampaign => Self {
                requests_per_second: Some(5),
                max_in_flight: 2,
                utc_offset_minutes: -360,
                ..Self::default()
            },
        }
    }
}

/// Ways in which emfluence answers may differ; all off is the plainest service that fits the
/// documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmfluenceQuirks {
    /// Text made of digits comes as a JSON number.
    pub digits_as_numbers: bool,
    /// The words yes, no, true and false come as JSON booleans.
    pub words_as_booleans: bool,
    /// `held` and `suppressed` come as 0/1 for some records and as true/false for others.
    pub mixed_flags: bool,
    /// Calls without data leave the key `data` out instead of sending `{}`.
    pub no_empty_data: bool,
    /// Looking up an unknown id succeeds with empty data instead of failing.
    pub missing_as_empty: bool,
    /// Adding a member or removing a non-member fails in its row instead of succeeding.
    pub strict_rows: bool,
    /// One bad row refuses a whole import instead of failing alone.
    pub bad_row_refuses_import: bool,
    /// An update that leaves out `protected` or `private` resets it to its documented default.
    pub update_resets_flags: bool,
    /// `totalMembers` stays behind by this many.
    pub lagging_counter: u64,
}

impl EmfluenceQuirks {
    /// The mixture that seeded worlds use.
    pub fn mixed() -> Self {
        Self {
            digits_as_numbers: true,
            words_as_booleans: true,
            mixed_flags: true,
            no_empty_data: true,
            missing_as_empty: true,
            update_resets_flags: true,
            ..Self::default()
        }
    }
}

/// Which members GreenRope's `TotalMatchingContacts` of a group counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Every member.
    #[default]
    All,
    /// Every member who has not opted out, of the group or of the account.
    NotOptedOut,
    /// Every member whose address has not bounced.
    NotBounced,
}

/// What GreenRope does with an unknown group name in AddContacts and EditContacts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownGroup {
    /// The item fails.
    #[default]
    Fail,
    /// The name is passed over.
    Ignore,
    /// A group of that name is made.
    Create,
}

/// Ways in which GreenRope answers may differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GreenRopeQuirks {
    /// Every second item of an answer's list bears the container's name, as in the manual's
    /// EditGroups example.
    pub odd_item_tags: bool,
    /// Time zones are shown with a final slash.
    pub zone_slash: bool,
    /// A listing that finds nothing answers with an error instead of an empty list.
    pub empty_is_error: bool,
    /// An account without any group answers without a list of them.
    pub no_group_list: bool,
    /// Which members a group's total counts.
    pub counted: Counted,
    /// Failed items come without the id element.
    pub no_id_in_failed_items: bool,
    /// Answers leave the `request_id` out.
    pub no_request_id: bool,
    /// Adding a member or removing a non-member fails instead of succeeding.
    pub strict_items: bool,
    /// Contacts are listed in no useful order.
    pub scrambled_order: bool,
    /// Every second contact comes without the elements that hold nothing.
    pub omit_empty: bool,
    /// Contacts come without the groups that they are in.
    pub omit_groups: bool,
    /// What happens with an unknown group name.
    pub unknown_group: UnknownGroup,
}

impl GreenRopeQuirks {
    /// The mixture that seeded worlds use.
    pub fn mixed() -> Self {
        Self {
            odd_item_tags: true,
            zone_slash: true,
            counted: Counted::All,
            scrambled_order: true,
            omit_empty: true,
            ..Self::default()
        }
    }
}

/// Ways in which ActiveCampaign answers may differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActiveCampaignQuirks {
    /// Messages come in Portuguese, as for an account of that language.
    pub portuguese: bool,
    /// The version 3 contact listing passes over `include`.
    pub no_include: bool,
    /// `group_edit` keeps what is not sent and reads flags by their value, as its page may be
    /// understood.
    pub group_edit_patches: bool,
    /// `group_list` without `ids` lists all groups instead of nothing.
    pub group_list_without_ids: bool,
    /// Only the entry `group[0]` of a user's groups counts.
    pub group_at_zero: bool,
    /// `user_add` answers with an id that is not the one other calls take.
    pub global_user_ids: bool,
    /// `user_edit` refuses an empty password.
    pub password_needed: bool,
    /// Seconds that the importer, or the deletion of a list, takes to begin and then to end.
    pub background_seconds: u64,
    /// Permissions that no answer shows, by their names in version 1, as `pg_reports_deal` was
    /// missing from a recorded row.
    pub hidden_flags: BTreeSet<String>,
    /// The most rows of a page of version 3, whatever `limit` asks for; a cap of 50 is known.
    pub page_cap: Option<usize>,
}

impl Default for ActiveCampaignQuirks {
    fn default() -> Self {
        Self {
            portuguese: false,
            no_include: false,
            group_edit_patches: false,
            group_list_without_ids: false,
            group_at_zero: false,
            global_user_ids: false,
            password_needed: false,
            background_seconds: 3,
            hidden_flags: BTreeSet::new(),
            page_cap: None,
        }
    }
}

impl ActiveCampaignQuirks {
    /// The mixture that seeded worlds use.
    pub fn mixed() -> Self {
        Self {
            portuguese: true,
            global_user_ids: true,
            ..Self::default()
        }
    }
}
