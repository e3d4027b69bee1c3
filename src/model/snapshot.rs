//! What was read from one provider at one time.
//!
//! Memory holds interned ids, states and row hashes; profile values go to a [`Stage`] as they
//! arrive.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use compact_str::CompactString;

use super::address::{AddressError, normalise_address};
use super::completeness::{Certificate, Incomplete, Reading, TotalMeanings, meanings_after};
use super::group::Group;
use super::met::Met;
use super::names::{Name, Names};
use super::own::OwnRemovals;
use super::value::{Record, RowHash, Value, row_hash};

/// What holds for a person in a whole account, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberStatus {
    /// Can be mailed.
    Active,
    /// Put on hold by the provider.
    Held,
    /// The address bounced.
    Bounced,
    /// Refuses all mail of the account.
    OptedOut,
}

/// What holds for a person in one group, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MembershipState {
    /// Gets the group's mail.
    Active,
    /// Has not confirmed yet.
    Unconfirmed,
    /// The address bounced in this group.
    Bounced,
    /// Refuses this group's mail.
    OptedOut,
}

impl MemberStatus {
    /// Returns the canonical word.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberStatus::Active => "active",
            MemberStatus::Held => "held",
            MemberStatus::Bounced => "bounced",
            MemberStatus::OptedOut => "opted_out",
        }
    }
}

impl MembershipState {
    /// Returns the word used in reports and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            MembershipState::Active => "active",
            MembershipState::Unconfirmed => "unconfirmed",
            MembershipState::Bounced => "bounced",
            MembershipState::OptedOut => "opted_out",
        }
    }

    /// Reads the word used in the database.
    pub fn parse(text: &str) -> Option<MembershipState> {
        [
            MembershipState::Active,
            MembershipState::Unconfirmed,
            MembershipState::Bounced,
            MembershipState::OptedOut,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }
}

/// One row about a person, as an adapter decoded it; rows of one id are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberRow {
    /// The provider's id, as text.
    pub id: String,
    /// The address as the provider spells it, where the row has one.
    pub address: Option<String>,
    /// The account-level status, where the row shows it.
    pub status: Option<MemberStatus>,
    /// Values under the provider's own names, where the row is a profile.
    pub wire: Option<Record>,
}

/// A person of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The provider's id.
    pub id: Name,
    /// The normalised address; absent when there is none that mail could be sent to.
    pub address: Option<Name>,
    /// What stands in the place of the address and is none; absent when nothing does.
    pub unusable: Option<Name>,
    /// What holds for the person in the whole account.
    pub status: MemberStatus,
    /// The fingerprint of the profile; absent when no profile was read.
    pub hash: Option<RowHash>,
}

/// One row of a group's listing, in five bytes: there are millions of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed)]
pub struct ListingRow {
    /// The position of the person in [`Snapshot::members`].
    pub member: u32,
    /// What holds for the person in the group.
    pub state: MembershipState,
}

/// The members of one group, each once, by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The rows in ascending order of the member's position.
    pub rows: Vec<ListingRow>,
    /// The positions of people whom rosterd itself took out in a way that shows as a refusal, in
    /// ascending order. They are no members, and so not among the rows.
    pub removed: Vec<u32>,
    /// The positions of people who show as refusing while nobody knows yet whether that is a
    /// removal of rosterd's own, in ascending order. They are not among the rows either, and prove
    /// nothing.
    pub pending: Vec<u32>,
    /// When people refused, in seconds since 1970, where the provider shows it; in ascending order
    /// of the position.
    pub refused_at: Vec<(u32, i64)>,
}

impl Listing {
    /// Returns when a member refused, in seconds since 1970, where the provider shows it.
    pub fn refused_at(&self, member: u32) -> Option<i64> {
        self.refused_at
            .binary_search_by_key(&member, |row| row.0)
            .ok()
            .map(|at| self.refused_at[at].1)
    }

    /// Tells whether rosterd itself took somebody out in a way that shows as a refusal.
    pub fn is_removed(&self, member: u32) -> bool {
        self.removed.binary_search(&member).is_ok()
    }

    /// Tells whether it is open if rosterd itself took somebody out in a way that shows as a
    /// refusal.
    pub fn is_pending(&self, member: u32) -> bool {
        self.pending.binary_search(&member).is_ok()
    }

    /// Sets those apart who show as refusing while a removal is open.
    fn set_pending_apart(&mut self, open: &BTreeSet<String>, id_of: impl Fn(u32) -> String) {
        let pending = &mut self.pending;
        self.rows.retain(|row| {
            let is_open =
                row.state == MembershipState::OptedOut && open.contains(&id_of(row.member));
            if is_open {
                pending.push(row.member);
            }
            !is_open
        });
        pending.sort_unstable();
    }

    /// Sets rosterd's own removals apart, and returns the ids of those that have ended: another
    /// state is seen, the refusal is another one, or, in a `whole` listing, nothing is left of the
    /// membership. Of `unreadable` people it is not certain that they have not confirmed.
    fn set_apart(
        &mut self,
        own: &BTreeMap<String, super::own::OwnRemoval>,
        whole: bool,
        unreadable: &BTreeMap<String, Unreadable>,
        id_of: impl Fn(u32) -> String,
    ) -> Vec<String> {
        let mut ended = Vec::new();
        let mut met: HashSet<String> = self
            .removed
            .iter()
            .chain(&self.pending)
            .map(|at| id_of(*at))
            .collect();
        let mut removed = std::mem::take(&mut self.removed);
        let refused_at = std::mem::take(&mut self.refused_at);
        let shown = |member: u32| {
            refused_at
                .binary_search_by_key(&member, |row| row.0)
                .ok()
                .map(|at| refused_at[at].1)
        };
        self.rows.retain(|row| {
            let id = id_of(row.member);
            let Some(removal) = own.get(&id) else {
                return true;
            };
            let ours =
                row.state == MembershipState::OptedOut && removal.still_fits(shown(row.member));
            let is_certain = row.state != MembershipState::Unconfirmed
                || !matches!(unreadable.get(&id), Some(Unreadable::Standing(_)));
            if ours {
                removed.push(row.member);
            } else if is_certain {
                ended.push(id.clone());
            }
            met.insert(id);
            !ours
        });
        removed.sort_unstable();
        self.removed = removed;
        self.refused_at = refused_at;
        if whole {
            ended.extend(own.keys().filter(|id| !met.contains(*id)).cloned());
        }
        ended
    }

    /// Returns the state of a member, or nothing when the listing does not hold it.
    pub fn state_of(&self, member: u32) -> Option<MembershipState> {
        self.rows
            .binary_search_by_key(&member, |row| row.member)
            .ok()
            .map(|at| self.rows[at].state)
    }

    /// Counts the active rows.
    pub fn active(&self) -> usize {
        self.rows
            .iter()
            .filter(|row| row.state == MembershipState::Active)
            .count()
    }
}

/// Which addresses a snapshot can say "does not exist there" of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Existence {
    /// Every address: the whole account was read to its end.
    Whole,
    /// Only these, which were asked for one by one and not found.
    Asked(HashSet<Name>),
    /// None.
    #[default]
    Unknown,
}

/// What was read from one provider.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The configured name of the provider.
    pub provider: String,
    /// Every group that the login sees, in ascending order of the id.
    pub groups: Reading<Vec<Group>>,
    /// Every person seen.
    pub members: Vec<Member>,
    /// The listings of the groups that were asked for, by group id.
    pub listings: BTreeMap<String, Reading<Listing>>,
    /// The evidence of each listing, by group id.
    pub certificates: BTreeMap<String, Certificate>,
    /// Whether the account-wide opt-outs, holds and bounces were read to their end.
    pub account_state: Reading<()>,
    /// Which addresses are known not to exist.
    pub existence: Existence,
    /// Per profile field under the provider's own name: how many people have a value, and the
    /// smallest value as an example.
    pub field_use: BTreeMap<String, Met>,
    /// The custom fields that some profile shows, with or without a value, under the provider's own
    /// names; nothing where no profile was read.
    pub shown_custom: Option<BTreeSet<CompactString>>,
    /// Removals of rosterd's own that have ended, as group and person by id: what shows there now
    /// is no doing of rosterd's.
    pub ended_removals: Vec<(String, String)>,
    /// What could not be read of some people's records, by id; the rest of them was.
    pub unreadable: BTreeMap<String, Unreadable>,
    /// Groups that are known of, that the listing lacks and that could not be asked for by their ids:
    /// whether they are there, nobody can tell.
    pub unsure_groups: BTreeSet<String>,
}

/// What of somebody's record could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unreadable {
    /// Some of the profile, for its characters.
    Profile,
    /// Whether all of the profile came. The words say why that can't be told.
    Value(String),
    /// How they stand in groups, where they are listed as one who has not confirmed. The words say
    /// why.
    Standing(String),
}

impl Snapshot {
    /// Sets the memberships apart that show as refused because rosterd itself took the people out.
    ///
    /// May be asked again when more is remembered than before.
    pub fn set_apart(&mut self, own: &OwnRemovals, names: &Names) {
        for (group, listing) in &mut self.listings {
            let Some(own) = own.of_group(group) else {
                continue;
            };
            let whole = listing.complete().is_some();
            let members = &self.members;
            let id_of = |at: u32| names.text(members[at as usize].id).to_owned();
            let unreadable = &self.unreadable;
            let ended = listing.seen_mut().set_apart(own, whole, unreadable, id_of);
            self.ended_removals
                .extend(ended.into_iter().map(|member| (group.clone(), member)));
        }
        self.ended_removals.sort();
        self.ended_removals.dedup();
    }

    /// Sets the memberships apart that show as refused while a removal of rosterd's own is open, by
    /// group and person: what they are shows once that removal is settled. Comes after
    /// [`Snapshot::set_apart`], which knows what is settled.
    pub fn set_pending_apart(&mut self, open: &BTreeMap<String, BTreeSet<String>>, names: &Names) {
        for (group, people) in open {
            let Some(listing) = self.listings.get_mut(group) else {
                continue;
            };
            let members = &self.members;
            listing
                .seen_mut()
                .set_pending_apart(people, |at| names.text(members[at as usize].id).to_owned());
        }
        // Whoever sent the removal says what becomes of the one before it.
        self.ended_removals.retain(|(group, member)| {
            !open
                .get(group)
                .is_some_and(|people| people.contains(member))
        });
    }

    /// Tells whether some of somebody's record could not be read.
    pub fn is_unreadable(&self, id: &str) -> bool {
        self.unreadable.contains_key(id)
    }

    /// Tells whether nobody knows how somebody stands whom a listing of this snapshot shows. They
    /// count as there, and nothing ends by it.
    pub fn is_uncertain(&self, listing: &Listing, member: u32, names: &Names) -> bool {
        let what = || {
            self.unreadable
                .get(names.text(self.members[member as usize].id))
        };
        !self.unreadable.is_empty()
            && listing.state_of(member) == Some(MembershipState::Unconfirmed)
            && matches!(what(), Some(Unreadable::Standing(_)))
    }

    /// Finds a group by id.
    pub fn group(&self, id: &str) -> Option<&Group> {
        self.groups.seen().iter().find(|group| group.id == id)
    }

    /// Returns the listing of a group that was asked for.
    pub fn listing(&self, group: &str) -> Option<&Reading<Listing>> {
        self.listings.get(group)
    }

    /// Returns the first group that lists somebody, in whichever state: the only one where a member is
    /// in one group at a time.
    pub fn seat_of(&self, member: u32) -> Option<&str> {
        let mut seats = self.listings.iter();
        let seat = seats.find(|(_, listing)| listing.seen().state_of(member).is_some());
        seat.map(|(group, _)| group.as_str())
    }
}

/// Why a row could not be taken.
#[derive(Debug, thiserror::Error)]
#[error(
    "the profiles read from \"{provider}\" could not be kept for the comparison: {reason}; make room on the disk that holds temporary files"
)]
pub struct SinkError {
    /// The provider that was being read.
    pub provider: String,
    /// What the store said.
    pub reason: String,
}

/// Where profile values wait while a run compares and applies.
pub trait Stage: Send {
    /// Keeps a profile, replacing an earlier one of the same id.
    ///
    /// # Errors
    /// A sentence about the store, when it can't take more.
    fn put(&mut self, id: &str, record: &Record) -> Result<(), String>;
}

/// What an adapter hands its rows to.
pub trait MemberSink: Send {
    /// Takes what one row says of a person. Rows of one id are merged: the strictest status, the
    /// latest profile.
    fn member(&mut self, row: MemberRow) -> Result<(), SinkError>;

    /// Says that the requests for a group's listing begin now, wherever they do not begin with the
    /// question as a whole; the rows may be handed over later.
    fn begin_reading(&mut self, group: &str);

    /// Opens the listing of a group; rows of an earlier reading of it are dropped.
    fn begin_listing(&mut self, group: &str);

    /// Takes one row of the open listing. A person listed twice counts once, with the strictest
    /// state.
    fn listed(&mut self, member_id: &str, state: MembershipState);

    /// Says what of somebody's record can't be read: it alone is left out.
    fn unreadable(&mut self, member_id: &str, what: Unreadable);

    /// Says when somebody of the open listing refused, in seconds since 1970, where the provider
    /// shows it.
    fn refused_at(&mut self, member_id: &str, seconds: i64);

    /// Closes the open listing with its evidence.
    fn end_listing(&mut self, certificate: Certificate);

    /// Says how the account-wide opt-outs, holds and bounces were read.
    fn account_state(&mut self, certificate: Certificate);

    /// Says that the whole account was read to its end.
    fn whole_account(&mut self);

    /// Says that an address was asked for and does not exist there.
    fn absent(&mut self, address: &str);

    /// Says how the people of the account were read, in a group or not, where all of them were
    /// asked for.
    fn everybody(&mut self, certificate: Certificate);
}

/// The rows of a listing as they come.
#[derive(Default)]
struct Rows {
    listed: Vec<ListingRow>,
    refused_at: Vec<(u32, i64)>,
}

/// Stands for the position of nobody.
const NOBODY: u32 = u32::MAX;

/// Builds a [`Snapshot`] from the rows of an adapter.
pub struct SnapshotBuilder<'a> {
    provider: String,
    names: &'a mut Names,
    stage: &'a mut dyn Stage,
    salt: String,
    members: Vec<Member>,
    /// The position of each name that is somebody's id, or [`NOBODY`].
    positions: Vec<u32>,
    /// The position of whoever came last: what is said of somebody comes in a row.
    last: u32,
    open: Option<(String, Rows)>,
    listings: BTreeMap<String, (Rows, Certificate)>,
    account_state: Option<Certificate>,
    everybody: Option<Certificate>,
    /// Whether a listing that comes again adds to what came before.
    adds: bool,
    existence: Existence,
    field_use: BTreeMap<String, Met>,
    shown_custom: Option<BTreeSet<CompactString>>,
    unreadable: BTreeMap<String, Unreadable>,
}

impl<'a> SnapshotBuilder<'a> {
    /// Starts a snapshot of a provider; `salt` enters the row hashes, so that a changed mapping
    /// looks like changed rows.
    pub fn new(provider: &str, salt: &str, names: &'a mut Names, stage: &'a mut dyn Stage) -> Self {
        SnapshotBuilder {
            provider: provider.to_owned(),
            names,
            stage,
            salt: salt.to_owned(),
            members: Vec::new(),
            positions: Vec::new(),
            last: NOBODY,
            open: None,
            listings: BTreeMap::new(),
            account_state: None,
            everybody: None,
            adds: false,
            existence: Existence::Unknown,
            field_use: BTreeMap::new(),
            shown_custom: None,
            unreadable: BTreeMap::new(),
        }
    }

    /// Has each listing that comes again from now on add to what came before, so that whoever was
    /// passed over between two pages is met in one of the readings.
    pub fn add_to_listings(&mut self) {
        self.adds = true;
    }

    /// Returns the groups whose listing came in several pages that are counted by offset, where
    /// somebody may have been passed over although every count fits.
    pub fn listings_by_offset(&self) -> Vec<String> {
        let listings = self.listings.iter();
        listings
            .filter(|(_, (_, certificate))| certificate.by_offset)
            .map(|(group, _)| group.clone())
            .collect()
    }

    /// Returns the evidence that these are all people of the account, where all were asked for.
    pub fn evidence_of_everybody(&self) -> Option<&Certificate> {
        self.everybody.as_ref()
    }

    /// Returns the groups whose listing does not certify as complete, so that each can be read once
    /// more.
    pub fn doubtful_listings(&self, meanings: &BTreeSet<TotalMeanings>) -> Vec<String> {
        let mut meanings = meanings.clone();
        self.listings
            .iter()
            .filter(|(_, (_, certificate))| {
                certificate.certify((), &mut meanings).complete().is_none()
            })
            .map(|(group, _)| group.clone())
            .collect()
    }

    /// Closes the snapshot: judges every listing, narrows what the account's counts may mean, and
    /// sets apart what shows as a refusal and is rosterd's own doing.
    pub fn finish(
        self,
        groups: Vec<Group>,
        groups_certificate: &Certificate,
        meanings: &mut BTreeSet<TotalMeanings>,
        own: &OwnRemovals,
    ) -> Snapshot {
        let mut groups = groups;
        groups.sort_by(|left, right| id_order(&left.id).cmp(&id_order(&right.id)));
        let mut listings = BTreeMap::new();
        let mut certificates = BTreeMap::new();
        let known_meanings = meanings.clone();
        for (group, (rows, certificate)) in self.listings {
            let Rows {
                listed: mut rows,
                mut refused_at,
            } = rows;
            // Of several times the latest says most.
            refused_at.sort_unstable();
            refused_at.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    kept.1 = later.1;
                }
                same
            });
            // The strictest state of a person who is listed twice comes last, and the last one
            // stays.
            rows.sort_unstable();
            rows.dedup_by(|later, kept| {
                let same = later.member == kept.member;
                if same {
                    kept.state = later.state;
                }
                same
            });
            listings.insert(
                group.clone(),
                certificate.certify(
                    Listing {
                        rows,
                        refused_at,
                        ..Listing::default()
                    },
                    meanings,
                ),
            );
            certificates.insert(group, certificate);
        }
        // Within the reading each listing narrows what the next ones may mean; what is remembered
        // takes more.
        *meanings = meanings_after(&known_meanings, certificates.values());
        let account_state = match self.account_state {
            Some(certificate) => certificate.certify((), meanings),
            None => Reading::Incomplete(Incomplete {
                partial: (),
                why: vec!["the account-wide opt-outs were not read".to_owned()],
                opt_outs_complete: false,
            }),
        };
        let mut snapshot = Snapshot {
            provider: self.provider,
            groups: groups_certificate.certify(groups, meanings),
            members: self.members,
            listings,
            certificates,
            account_state,
            existence: self.existence,
            field_use: self.field_use,
            shown_custom: self.shown_custom,
            ended_removals: Vec::new(),
            unreadable: self.unreadable,
            unsure_groups: BTreeSet::new(),
        };
        snapshot.set_apart(own, self.names);
        snapshot
    }

    fn position(&mut self, id: &str) -> u32 {
        let id = id.trim();
        let last = self.members.get(self.last as usize);
        if last.is_some_and(|last| self.names.text(last.id) == id) {
            return self.last;
        }
        let id = self.names.intern(id);
        if self.positions.len() <= id.place() {
            self.positions.resize(self.names.len(), NOBODY);
        }
        let position = &mut self.positions[id.place()];
        if *position == NOBODY {
            *position = u32::try_from(self.members.len())
                .ok()
                .filter(|position| *position != NOBODY)
                .expect("an account has fewer than four thousand million people");
            self.members.push(Member {
                id,
                address: None,
                unusable: None,
                status: MemberStatus::Active,
                hash: None,
            });
        }
        self.last = *position;
        self.last
    }

    fn take_address(&mut self, position: usize, text: &str) {
        let known = self.members[position].address;
        // Whoever is in many groups is shown many times, and mostly as what is kept already.
        if known.is_some_and(|known| self.names.text(known) == text) {
            return;
        }
        match normalise_address(text) {
            Ok(address) => {
                let address = self.names.intern(address.as_str());
                self.members[position].address = Some(address);
                self.members[position].unusable = None;
            }
            Err(AddressError::Malformed) if known.is_none() => {
                self.members[position].unusable = Some(self.names.intern(text.trim()));
            }
            Err(_) => {}
        }
    }

    fn take_profile(
        &mut self,
        position: usize,
        id: &str,
        mut wire: Record,
    ) -> Result<(), SinkError> {
        let shown = self.shown_custom.get_or_insert_default();
        for name in wire.keys().filter_map(|name| name.strip_prefix("custom.")) {
            if !shown.contains(name) {
                shown.insert(name.into());
            }
        }
        // What is shown without a value is no value.
        wire.retain(|_, value| !value.is_empty());
        let hash = Some(row_hash(&self.salt, &wire));
        let known = &mut self.members[position].hash;
        if *known == hash {
            return Ok(());
        }
        if known.is_none() {
            for (field, value) in &wire {
                note_use(&mut self.field_use, field, value);
            }
        }
        *known = hash;
        self.stage.put(id, &wire).map_err(|reason| SinkError {
            provider: self.provider.clone(),
            reason,
        })
    }
}

impl MemberSink for SnapshotBuilder<'_> {
    fn member(&mut self, row: MemberRow) -> Result<(), SinkError> {
        let position = self.position(&row.id) as usize;
        if let Some(address) = &row.address {
            self.take_address(position, address);
        }
        if let Some(status) = row.status {
            let known = &mut self.members[position].status;
            *known = (*known).max(status);
        }
        match row.wire {
            Some(wire) => self.take_profile(position, row.id.trim(), wire),
            None => Ok(()),
        }
    }

    fn begin_listing(&mut self, group: &str) {
        let rows = if self.adds {
            let known = self.listings.get_mut(group);
            known.map(|(rows, _)| std::mem::take(rows))
        } else {
            self.listings.remove(group);
            None
        };
        self.open = Some((group.to_owned(), rows.unwrap_or_default()));
    }

    fn listed(&mut self, member_id: &str, state: MembershipState) {
        let member = self.position(member_id);
        if let Some((_, rows)) = &mut self.open {
            rows.listed.push(ListingRow { member, state });
        }
    }

    fn begin_reading(&mut self, _group: &str) {}

    fn unreadable(&mut self, member_id: &str, what: Unreadable) {
        let id = member_id.trim().to_owned();
        let known = self.unreadable.entry(id).or_insert(Unreadable::Profile);
        // How they stand decides more than their profile.
        if *known < what {
            *known = what;
        }
    }

    fn refused_at(&mut self, member_id: &str, seconds: i64) {
        let member = self.position(member_id);
        if let Some((_, rows)) = &mut self.open {
            rows.refused_at.push((member, seconds));
        }
    }

    fn end_listing(&mut self, certificate: Certificate) {
        let Some((group, rows)) = self.open.take() else {
            return;
        };
        match self.listings.get_mut(&group) {
            // What was counted belongs to the first reading; the second one may add a doubt.
            Some((known, first)) => {
                *known = rows;
                first.pages += certificate.pages;
                first.opt_outs_complete &= certificate.opt_outs_complete;
                first.problems.extend(certificate.contradictions());
                first.left_out.extend(certificate.left_out);
            }
            None => {
                self.listings.insert(group, (rows, certificate));
            }
        }
    }

    fn account_state(&mut self, certificate: Certificate) {
        self.account_state = Some(certificate);
    }

    fn whole_account(&mut self) {
        self.existence = Existence::Whole;
    }

    fn everybody(&mut self, certificate: Certificate) {
        self.everybody = Some(certificate);
    }

    fn absent(&mut self, address: &str) {
        let Ok(address) = normalise_address(address) else {
            return;
        };
        let address = self.names.intern(address.as_str());
        match &mut self.existence {
            Existence::Whole => {}
            Existence::Asked(asked) => {
                asked.insert(address);
            }
            Existence::Unknown => self.existence = Existence::Asked(HashSet::from([address])),
        }
    }
}

/// Orders ids as people do: numbers by size, before anything else.
pub(crate) fn id_order(id: &str) -> (u8, u64, &str) {
    match id.parse::<u64>() {
        Ok(number) => (0, number, id),
        Err(_) => (1, 0, id),
    }
}

fn note_use(field_use: &mut BTreeMap<String, Met>, field: &str, value: &Value) {
    let text = value.words();
    if let Some(met) = field_use.get_mut(field) {
        met.add(&text);
    } else {
        field_use.entry(field.to_owned()).or_default().add(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Stage for Nowhere {
        fn put(&mut self, _id: &str, _record: &Record) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn of_several_rows_of_one_id_the_strictest_counts_in_whatever_order_they_come() {
        let strict = [
            (MemberStatus::OptedOut, MembershipState::OptedOut),
            (MemberStatus::Bounced, MembershipState::Bounced),
        ];
        for (status, state) in strict {
            for at in 0..3 {
                let mut names = Names::new();
                let mut stage = Nowhere;
                let mut builder = SnapshotBuilder::new("crm", "", &mut names, &mut stage);
                let mut rows = [(MemberStatus::Active, MembershipState::Active); 3];
                rows[at] = (status, state);
                for (status, _) in rows {
                    builder
                        .member(MemberRow {
                            id: "1".into(),
                            address: Some("ana@example.org".into()),
                            status: Some(status),
                            wire: None,
                        })
                        .unwrap();
                }
                builder.begin_listing("g");
                for (_, state) in rows {
                    builder.listed("1", state);
                }
                builder.end_listing(Certificate::of_the_end());
                let snapshot = builder.finish(
                    Vec::new(),
                    &Certificate::of_the_end(),
                    &mut TotalMeanings::all(),
                    &OwnRemovals::default(),
                );
                assert_eq!(snapshot.members.len(), 1);
                assert_eq!(snapshot.members[0].status, status, "row {at}");
                let listing = snapshot.listing("g").unwrap().seen();
                assert_eq!(listing.rows.len(), 1);
                assert_eq!(listing.state_of(0), Some(state), "row {at}");
            }
        }
    }

    #[test]
    fn a_removal_of_our_own_outlives_a_state_that_can_not_be_read() {
        for (unreadable, ended) in [(false, 1), (true, 0)] {
            let (mut names, mut stage) = (Names::new(), Nowhere);
            let mut builder = SnapshotBuilder::new("crm", "", &mut names, &mut stage);
            builder.begin_listing("g");
            builder.listed("1", MembershipState::Unconfirmed);
            builder.end_listing(Certificate::of_the_end());
            if unreadable {
                builder.unreadable("1", Unreadable::Standing("no status".to_owned()));
            }
            let mut own = OwnRemovals::default();
            own.recall("g".into(), "1".into(), None, 0);
            let snapshot = builder.finish(
                Vec::new(),
                &Certificate::of_the_end(),
                &mut TotalMeanings::all(),
                &own,
            );
            assert_eq!(snapshot.ended_removals.len(), ended);
            // They count as there all the same.
            let listing = snapshot.listing("g").unwrap().seen();
            assert!(listing.state_of(0).is_some());
        }
    }

    #[test]
    fn a_listing_that_is_read_once_more_adds_to_the_first_one() {
        let (mut names, mut stage) = (Names::new(), Nowhere);
        let mut builder = SnapshotBuilder::new("mail", "", &mut names, &mut stage);
        let by_offset = |total| Certificate {
            total: Some(total),
            distinct: 2,
            by_offset: true,
            opt_outs_complete: true,
            ..Certificate::default()
        };
        builder.begin_listing("g");
        builder.listed("1", MembershipState::Active);
        builder.listed("2", MembershipState::OptedOut);
        builder.end_listing(by_offset(2));
        assert_eq!(builder.listings_by_offset(), ["g"]);
        builder.add_to_listings();
        builder.begin_listing("g");
        builder.listed("2", MembershipState::Active);
        builder.listed("3", MembershipState::Active);
        builder.end_listing(by_offset(3));
        let snapshot = builder.finish(
            Vec::new(),
            &Certificate::of_the_end(),
            &mut TotalMeanings::all(),
            &OwnRemovals::default(),
        );
        let listing = snapshot.listing("g").unwrap();
        let states: Vec<MembershipState> =
            listing.seen().rows.iter().map(|row| row.state).collect();
        let (active, opted_out) = (MembershipState::Active, MembershipState::OptedOut);
        assert_eq!(states, [active, opted_out, active]);
        // The second reading was told of three and met two.
        assert_eq!(listing.why_incomplete().len(), 1);
    }
}
