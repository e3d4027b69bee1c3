//! The canonical words: groups, members, memberships, and what a provider can hold of them.
//!
//! Nothing here knows a provider's wire format, a file, a clock or a database. A provider's rows
//! arrive as [`Record`]s under the provider's own field names; its [`Schema`] says which canonical
//! field each of them is.

mod address;
mod capability;
mod completeness;
mod forgotten;
mod gaps;
mod group;
mod left_alone;
mod met;
mod names;
mod own;
pub(crate) mod packed;
pub mod policy;
mod refusal;
mod schema;
mod snapshot;
mod tap;
mod value;
mod write;

pub use address::{Address, AddressError, addresses_in, normalise_address, spellings};
pub use capability::{Batches, Capabilities, Join};
pub use completeness::{Certificate, Complete, CountRule, Incomplete, Reading, TotalMeanings};
pub use forgotten::Forgotten;
pub(crate) use forgotten::{hash_of_address, hash_of_id};
pub use gaps::Gaps;
pub use group::{
    Fingerprint, Group, GroupKind, GroupRow, GroupStatus, TargetRefusal, Unread, Visibility,
};
pub use left_alone::LeftAlone;
pub use met::Met;
pub use names::{Name, Names};
pub use own::{OwnRemoval, OwnRemovals};
pub use refusal::Refusal;
pub(crate) use refusal::{in_quotes, tidy, with_causes, without_addresses};
pub use schema::{
    CustomField, CustomFields, FieldSpec, FieldType, ObjectKind, ProviderKind, Schema, Unlisted,
    Writable,
};
pub(crate) use snapshot::id_order;
pub use snapshot::{
    Existence, Listing, ListingRow, Member, MemberRow, MemberSink, MemberStatus, MembershipState,
    SinkError, Snapshot, SnapshotBuilder, Stage, Unreadable,
};
pub use tap::Tap;
pub use value::{Record, RowHash, Value, row_hash};
pub use write::{
    GroupEdit, ItemOutcome, Leaving, Load, MemberEdit, MemberJoin, MemberLeave, MemberReturn,
    MemberValues, Settlement, Takes, Ticket, TicketStub, Write,
};
