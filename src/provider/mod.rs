//! The providers: what each can hold and do, how it is read and how it is written.
//!
//! An adapter is a codec. It builds [`crate::http::Call`]s, decodes replies into rows and per-item
//! outcomes, and knows the order of the calls that one question takes. Pacing, retrying and logging
//! belong to [`crate::http`]; journaling, splitting of refused batches and reading back belong to
//! the run.
//!
//! # What shows that a listing is whole
//!
//! A listing is complete by evidence, never for want of complaints ([`Certificate::certify`]): a
//! count from another place than the rows, or, where there is none, rising keys that are followed
//! until a page is empty. A page that is short in mid-listing ends nothing. Fewer rows than
//! announced are a loss; more of them, joining at the end, are a busy account.
//!
//! | provider | listing | evidence | without it |
//! |---|---|---|---|
//! | emfluence | groups | `paging.totalRecords`, page by page | where pages do not belong together, the run ends; where fewer came than announced, nothing is concluded from a missing group, and none is created |
//! | emfluence | group that is linked and not listed | a search by its id; a user who may not see it looks the same, so say `shared_access` | nothing is concluded |
//! | emfluence | members of a static group | `totalRecords`, and `totalMembers` from the group's own record; both kinds of `suppressed` add up to all. A bare array has only `totalMembers`, and only where it equals the rows | additions at a source, nothing at a target |
//! | emfluence | members of a dynamic group | `totalRecords` of the search, which is held against the search without the group: where everybody came, nobody is known to be a member | additions at a source |
//! | emfluence | opted out and on hold | `totalRecords`; rows that do not say so themselves are held against the whole account | no additions anywhere |
//! | emfluence | profiles | everybody of the listing is among them; others only where the listing has grown since | additions at a source |
//! | GreenRope | groups | one document that is never paged, read to its closing tag; a linked group that is not in it is asked for by id | nothing is concluded; an answer without any list is that of an account without groups where nothing is linked there yet and every contact shows that it is in none; where no contact is shown either, a group is made only with an approval; it ends the run elsewhere |
//! | GreenRope | members of a group | `TotalMatchingContacts` of the group's own record, before and, where people joined, after. Who shows other groups only is a stranger; who shows none is a member only where no stranger came, the count fits one of its meanings, and the same question about a group that does not exist is refused or answered with nobody | additions at a source, nothing at a target |
//! | GreenRope | opted out, bounced | the answer's `TotalMatchingContacts` and closing tag; where everybody came, the same question for a day that has not come shows whether the filter is heeded, before anybody is taken for a refuser; where all who came for a group may be the account's, the same question about a group that does not exist. An answer with nobody has no evidence but its closing tag | no additions anywhere, or in that group |
//! | ActiveCampaign | lists | version 3's `meta.total` of lists, beside version 1's rows | nothing is concluded from a missing list, none is created |
//! | ActiveCampaign | list that is linked and not listed | version 1, then version 3 by id; with a key that does not see everything nothing is missing, and no list is created that may be there | nothing is concluded |
//! | ActiveCampaign | contacts and memberships | ids followed to an empty page or to `meta.total`, and `meta.total` of each list's memberships, counted first | additions at a source, nothing at a target |
//! | ActiveCampaign | membership of a contact that does not say of which list | the contact is named, and counts as one who may be on any list. A list that is short by it is asked for alone: who comes is on it | nobody concludes that this contact is missing anywhere, nor adds it; a list that stays short is not whole |
//! | ActiveCampaign | membership that does not say whose it is | none, for its list; for every list where it says neither | neither additions nor removals there |
//! | ActiveCampaign | how named contacts stand on lists, right before they leave them | a row with the asked id that shows the membership. That there is none takes the contact by both versions, and the list itself | nobody can tell how that contact stands, and nothing is sent for it |
//! | ActiveCampaign | contacts by version 1 alone | none: "nothing is returned" may mean anything; rows that show other lists only are strangers, and those that show none are members only where the service counts as many | additions at a source, nothing at a target |
//! | ActiveCampaign | custom values of contacts | each page that was asked for them shows its list of them, and each of these says whose and of which field it is | whoever they may be of is named, and nothing of their profile is carried or changed |
//! | ActiveCampaign | users, user groups | pages until an empty one, with rising ids or a `meta.total` that is not more than came | additions at a source, nothing at a target |
//! | ActiveCampaign | group of a user, which neither version tells | the user is named, and counts as one who may be in any group; where it is told of nobody, no group is whole | nobody concludes that this user is missing anywhere, nor moves them |
//! | ActiveCampaign | users, user groups by version 1 (guessed ids) | none | additions at a source, nothing at a target |
//! | any | pages that are counted by offset (emfluence's members beyond 1,000, ActiveCampaign's users beyond one page) | as above; one may leave and another join between two pages, so that somebody is in neither | who is missing is looked for once more in a second reading before a removal, and no contact of such a record goes to another one |
//! | any | everybody of the account, for a copy of it | emfluence: `totalRecords`, with all members of static groups among them; GreenRope: the closing tag and the answer's own total, with everybody of the groups who can be mailed among them; ActiveCampaign: as for contacts and users above | the copy says that it is not whole |
//! | any | a group of which a text can't be read, or that can't be looked at | it is listed, so that it is not missing | its fields are neither compared nor written; by its link it stays in scope, and beside one that may be it none is created |
//! | any | one record that can't be read | it is left out and named by its id | nothing is concluded from its absence |
//! | any | one record without an id, or something else in its place | it is left out, and the listing says that it is not whole | as for a listing that is not whole |
//! | any | a custom field, where the login may not list which there are | some record shows it, with or without a value | a filter over it decides about nobody, a rule leaves the field as it is at the target |
//!
//! # What a request holds
//!
//! The most that a request of each kind takes, by the providers' own pages, and so the fewest requests
//! that so many people can be written with. Whole runs are counted against each of these numbers in
//! `tests/it/requests.rs`; `http.batch_size` lowers them.
//!
//! | operation | emfluence | GreenRope | ActiveCampaign, lists | ActiveCampaign, user groups |
//! |---|---|---|---|---|
//! | create people | 1,000 (`contacts/import`), who join the same groups with it | 50 (`AddContacts`) | 250 (`bulk_import`), each with lists of their own | 1 |
//! | change profiles | 1,000 whose same fields change (`contacts/import`) | 50 (`EditContacts`) | 250 (`bulk_import`) | 1 |
//! | change an address | 1 (`contacts/save`): an import knows people by their address | 1 | 1 | 1 |
//! | add to a group | 1,000 by id (`groups/addContacts`) | 50 (`AddContactsToGroup`) | 250, over all lists (`bulk_import`) | 1: joining a group leaves the other one |
//! | take out of a group | 1,000 by id (`groups/removeContacts`) | 50 (`DeleteContactsFromGroup`) | 250, over all lists; fewer than ten by a form each (`contact_sync`) | 1 |
//! | look at those who leave, right before each such request | not needed: a removal there is no refusal | not needed | 100 by id (`contacts?ids[]=`), whatever the list holds, and 1 (`contact_view`) for each whom that leaves open; a list of no more pages is read whole, and so is one that takes fewer requests than asking one by one | not needed |
//! | opt-out of the account | 1: `contacts/save` alone writes it, and an import may not say it. 100 opt-outs take 100 requests | 50 (`UnsubscribeContacts`) | as of every list | none |
//! | opt-out of groups | 1 person, all their groups (`contacts/saveGroups`) | none: it is a removal | 250, over all lists; fewer than ten by a form each | none |
//! | create or change a group | 1 (`groups/save`) | 1 and 50 (`CreateGroup`, `EditGroups`) | 1 (`list_add`, `list_edit`) | 1 |
//! | read a group | 1,000 rows (`groups/getContacts`), beside one search of the account with 250 rows a page | all of it, twice: members and opt-outs | the account once, 100 contacts a page with all of their lists, and one count for each list | 100 users a page |
//!
//! Requests of one account go out at its pace. Where the provider takes more than one at a time, opt-outs,
//! additions and profiles of different people overlap
//! ([`crate::model::Capabilities::writes_overlap`]); removals never do, each of which follows a look at
//! those who leave, or at the group. Reading asks one question after the other: each
//! page follows from the one before, and what is asked first has to be the older answer where an
//! opt-out may arrive meanwhile.

pub mod activecampaign;
pub mod emfluence;
pub mod greenrope;
mod guess;
#[cfg(test)]
mod hostile;
mod json;
mod spelling;
#[cfg(test)]
mod testing;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;

use crate::http::CallError;
use crate::model::{
    Capabilities, Certificate, CustomFields, GroupRow, Load, MemberSink, MembershipState,
    ProviderKind, Schema, Settlement, SinkError, Takes, Ticket, Write,
};

/// Returns the field tables of a kind.
pub fn schema(kind: ProviderKind) -> &'static Schema {
    match kind {
        ProviderKind::Emfluence => &emfluence::SCHEMA,
        ProviderKind::GreenRope => &greenrope::SCHEMA,
        ProviderKind::ActiveCampaignLists => &activecampaign::LIST_SCHEMA,
        ProviderKind::ActiveCampaignUsers => &activecampaign::USER_SCHEMA,
    }
}

/// Returns what a kind can do.
pub fn capabilities(kind: ProviderKind) -> &'static Capabilities {
    match kind {
        ProviderKind::Emfluence => &emfluence::CAPABILITIES,
        ProviderKind::GreenRope => &greenrope::CAPABILITIES,
        ProviderKind::ActiveCampaignLists => &activecampaign::LIST_CAPABILITIES,
        ProviderKind::ActiveCampaignUsers => &activecampaign::USER_CAPABILITIES,
    }
}

/// Why a provider could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A request failed for good.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The rows could not be kept.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The login works and opens another account than the config says, or lacks a right; the
    /// sentence says which.
    #[error("{0}")]
    Account(String),
    /// The account shows no list of groups, as one without any may, and as a fault does.
    #[error(
        "{0}, and nothing else shows that the account has no group; where it has none yet, make one there by hand"
    )]
    NoGroups(CallError),
}

/// What the people of an account show of its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupsByPeople {
    /// Nothing: somebody is in a group, does not show whether, or the answer contradicts itself.
    Unsaid,
    /// Nobody is shown at all, as to a login that sees nothing.
    Nobody,
    /// That there are none: there is somebody, and everybody shows to be in no group.
    NoGroups,
}

/// Which members to read, and what of them.
#[derive(Debug)]
pub struct MemberAsk<'a> {
    /// The groups to list, as the group listing returned them.
    pub groups: &'a [GroupRow],
    /// The profile fields wanted, under the provider's own names (`custom.custom3` for custom
    /// fields); others may be left out.
    pub fields: &'a [String],
    /// Which side of the job this is.
    pub role: Role<'a>,
}

/// Which members to ask after by name, and where.
#[derive(Debug)]
pub struct NamedAsk<'a> {
    /// The ids of members, each with the ids of the groups that are asked about.
    pub people: &'a BTreeMap<String, BTreeSet<String>>,
    /// How many the listings of all these groups hold, as far as is known: listing them is the other
    /// way to learn it.
    pub listed: u64,
}

/// What a provider says of a member who was asked after by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedMember {
    /// The id.
    pub id: String,
    /// The address, as the provider spells it.
    pub address: Option<String>,
    /// How the member stands in the groups that were asked about. Of one that is missing here
    /// nothing is known: no answer came, or it was not understood, or it did not show the group
    /// without showing that the member is out of it.
    pub groups: BTreeMap<String, Told>,
}

/// How somebody stands in a group, by an answer that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// With a membership.
    Listed {
        /// Its state.
        state: MembershipState,
        /// When the person refused, in seconds since 1970, where that is shown.
        refused_at: Option<i64>,
    },
    /// Without one, or with one that an administrator ended.
    NotListed,
}

/// Why members are read.
#[derive(Clone, Copy, Debug)]
pub enum Role<'a> {
    /// To learn who is in the groups, with their profiles.
    Source,
    /// To learn who is in the groups and which of the wanted addresses exist in the account at all,
    /// with their profiles.
    Target {
        /// The normalised addresses that the run may add.
        wanted: &'a [String],
    },
    /// To see whether what was written is there: listings only, neither account-wide states nor
    /// profiles.
    Check,
    /// To keep all of it: who is in the groups, and everybody of the account with their profiles,
    /// whether in a group or not.
    Everything,
}

impl Role<'_> {
    /// Tells whether people count who are in none of the groups.
    fn is_account_wide(&self) -> bool {
        matches!(self, Role::Target { .. } | Role::Everything)
    }
}

/// What jobs may do at an account that they write to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duties {
    /// They make and change groups.
    pub save_groups: bool,
    /// They delete groups.
    pub delete_groups: bool,
    /// They create members.
    pub create_members: bool,
    /// They change members and their memberships, and write refusals of mail.
    pub change_members: bool,
    /// They create custom fields.
    pub create_fields: bool,
}

/// A provider that can be read.
///
/// Every method returns either rows with their evidence or an error. No error, and no answer that
/// was not understood, is ever an empty result.
pub trait Source: Send + Sync {
    /// Returns the kind, and with it the field tables and capabilities.
    fn kind(&self) -> ProviderKind;

    /// Logs in and proves that the login opens the configured account with the rights that reading
    /// takes.
    fn open(&self) -> BoxFuture<'_, Result<(), ReadError>>;

    /// Says in whole sentences what the login may not see, as far as logging in has shown; empty
    /// where it has shown nothing.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Tells whether the login sees everything of the account, as far as logging in and reading
    /// have shown; where it does not, nothing is missing for not being seen.
    fn sees_everything(&self) -> bool {
        true
    }

    /// Says in whole sentences which rights the login lacks for such jobs, as far as reading can
    /// show it; empty where it shows nothing. The groups are those that the login sees.
    fn lacks<'a>(
        &'a self,
        _duties: Duties,
        _groups: &'a [GroupRow],
    ) -> BoxFuture<'a, Result<Vec<String>, ReadError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Reads the account's definitions of custom fields; unknown (and no error) where the login may
    /// not see them.
    fn custom_fields(&self) -> BoxFuture<'_, Result<CustomFields, ReadError>>;

    /// Reads all groups that the login sees, archived ones included, with every field of those for
    /// which `wanted` says so (given the id and the name).
    fn groups<'a>(
        &'a self,
        wanted: &'a (dyn Fn(&str, &str) -> bool + Sync),
    ) -> BoxFuture<'a, Result<(Vec<GroupRow>, Certificate), ReadError>>;

    /// Reads one group by id, whatever its status: nothing when the account has no such group.
    fn group<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<GroupRow>, ReadError>>;

    /// Returns what the people of the account show of its groups: what an account is to be believed
    /// by that shows no list of them. Only where [`ReadError::NoGroups`] can come.
    fn groups_by_people(&self) -> BoxFuture<'_, Result<GroupsByPeople, ReadError>> {
        Box::pin(std::future::ready(Ok(GroupsByPeople::Unsaid)))
    }

    /// Reads members into a sink: for each group of the ask exactly one listing, opened and closed.
    ///
    /// A listing that fails is closed with a certificate that names the problem; only what makes
    /// the whole account unreadable is an error. All but `Check` asks also close the account-wide
    /// state, and an `Everything` ask says how everybody was read.
    fn members<'a>(
        &'a self,
        ask: &'a MemberAsk<'a>,
        sink: &'a mut dyn MemberSink,
    ) -> BoxFuture<'a, Result<(), ReadError>>;

    /// Asks how named members stand in groups now; nothing where listing the groups is the way to
    /// learn it, which takes no more requests then. Whoever is not told of is missing from the
    /// answer, as a whole or for a group.
    fn named_members<'a>(
        &'a self,
        _ask: &'a NamedAsk<'a>,
    ) -> BoxFuture<'a, Result<Option<Vec<NamedMember>>, ReadError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Reads which objects a group field with ids of other objects may name; nothing where the
    /// field holds no such ids, or where the objects could not be read to their end.
    fn nameable<'a>(
        &'a self,
        _field: &'a str,
    ) -> BoxFuture<'a, Result<Option<BTreeSet<String>>, ReadError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Predicts how many requests reading the groups takes, without sending any.
    fn predicted_reads(&self, groups: &[GroupRow], target: bool) -> u64;

    /// Predicts how many requests reading everything takes, of an account with these groups and
    /// `account` people.
    fn predicted_everything(&self, groups: &[GroupRow], _account: u64) -> u64 {
        self.predicted_reads(groups, false)
    }
}

/// A provider that can also be written.
pub trait Target: Source {
    /// Sends one write, once, and says what the answer says of each item.
    ///
    /// A login may precede it; the write itself is not repeated unless it is known not to have been
    /// done.
    ///
    /// # Errors
    /// [`CallError::OutcomeUnknown`] when nobody knows whether it was done; [`CallError::Refused`]
    /// when the provider refused the request as a whole.
    fn send<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Result<Settlement, CallError>>;

    /// Asks how work that the provider went on with has ended. Whoever drops the ticket before that
    /// gives it up, and what becomes of it is unknown from then on.
    fn poll<'a>(&'a self, ticket: &'a Ticket) -> BoxFuture<'a, Result<Settlement, CallError>>;

    /// Tells what a write will take, without sending any.
    fn takes(&self, _load: Load) -> Takes {
        Takes {
            writes: 1,
            ..Takes::default()
        }
    }

    /// Predicts how many requests it takes to read back `groups` groups that list `listed` people,
    /// in an account of `account` people; nothing where the answers confirm most of what is
    /// written.
    fn predicted_check(&self, _groups: u64, _listed: u64, _account: u64) -> u64 {
        0
    }

    /// Predicts how many requests a look takes at `people` people right before they are taken out of
    /// `groups` groups, which list `listed` people, in an account of `account` people. Asked only
    /// where a removal shows as a refusal.
    fn predicted_look(&self, _people: u64, groups: u64, listed: u64, account: u64) -> u64 {
        self.predicted_check(groups, listed, account)
    }

    /// Predicts how many requests it takes to read a group to its end that lists `listed` people, in
    /// an account of `account` people, right before the group is put away.
    fn predicted_last_look(&self, listed: u64, account: u64) -> u64 {
        self.predicted_group(listed, account)
    }

    /// Predicts how many requests it takes to list one group once more that lists `listed` people, in
    /// an account of `account` people.
    fn predicted_group(&self, listed: u64, account: u64) -> u64 {
        self.predicted_check(1, listed, account)
    }

    /// Predicts how many requests a run takes to read these groups as its target, in an account of
    /// `account` people.
    fn predicted_target(&self, groups: &[GroupRow], _account: u64) -> u64 {
        self.predicted_reads(groups, true)
    }

    /// Predicts how many requests it takes to read back the fields of so many groups.
    fn predicted_groups(&self, _groups: u64) -> u64 {
        1
    }

    /// Predicts how many requests it takes to read back the profiles of `people` people, in an
    /// account of `account` people; nothing where they come along with the listings.
    fn predicted_profiles(&self, _people: u64, _account: u64) -> u64 {
        0
    }

    /// Waits until no work is under way that a request of unknown outcome may have begun, at least
    /// where the provider goes on working after its answers. The request must be at least ten
    /// seconds old by now.
    fn settle_earlier(&self) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
