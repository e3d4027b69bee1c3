//! What became of an interrupted write to people.

use std::collections::{BTreeMap, HashMap};

use super::{Evidence, groups_of, not_done};
use crate::config::settled::JobConfig;
use crate::model::{
    Capabilities, Existence, GroupKind, MemberStatus, Name, Names, Record, RowHash, Snapshot,
};
use crate::plan::base::{Base, FieldBase, MemberLink, Origin};
use crate::run::error::{RunError, staging_error};

use crate::run::read::GroupNow;
use crate::run::settle::bases::stands;
use crate::run::settle::membership::{Aim, Seen, Verdict, disclaimed};
use crate::run::settle::standing::Answer;
use crate::state::{
    Change, JournalItem, JournalOutcome, PersonKey, Staging, Store, UnsettledEntry,
};

/// A fingerprint that fits no profile, so that the next comparison looks at the fields.
const COMPARED_ANEW: RowHash = 1;

/// The target's contacts by what a journal knows them by.
#[derive(Default)]
pub(super) struct Directory {
    by_id: HashMap<Name, u32>,
    by_address: HashMap<Name, Vec<u32>>,
    /// The links that lead to a contact.
    links: HashMap<Name, Vec<MemberLink>>,
}

impl Directory {
    pub(super) fn of(target: &Snapshot, base: &Base) -> Directory {
        let mut directory = Directory::default();
        for (at, member) in target.members.iter().enumerate() {
            let at = at as u32;
            directory.by_id.insert(member.id, at);
            if let Some(address) = member.address {
                directory.by_address.entry(address).or_default().push(at);
            }
        }
        for link in &base.members {
            directory.links.entry(link.target).or_default().push(*link);
        }
        directory
    }

    fn with_address(&self, address: Option<Name>) -> &[u32] {
        address
            .and_then(|address| self.by_address.get(&address))
            .map_or(&[], Vec::as_slice)
    }
}

/// Where a person of a journaled item was found.
#[derive(Clone, Copy)]
enum Found {
    Contact(u32),
    /// Nobody, and that is certain, or several, of whom none can be told to be the one.
    Nobody,
    /// Nobody, where not everything was read.
    Unread,
}

/// What the groups of an item show.
struct InGroups<'a> {
    /// Whether it is done in all of those that were read.
    all: bool,
    unread: Vec<&'a str>,
}

impl Default for InGroups<'_> {
    fn default() -> Self {
        InGroups {
            all: true,
            unread: Vec::new(),
        }
    }
}

/// An item of a write of which nobody knows what became.
pub(super) struct Doubtful<'a> {
    job: &'a JobConfig,
    target: &'a Snapshot,
    names: &'a Names,
    looked_up: &'a BTreeMap<String, GroupNow>,
    base: &'a Base,
    directory: &'a Directory,
    profiles: &'a Staging,
    item: &'a JournalItem,
    /// Whether the run took another one back.
    undoes: bool,
    found: Found,
}

impl<'a> Doubtful<'a> {
    pub(super) fn new(
        job: &'a JobConfig,
        evidence: Evidence<'a>,
        directory: &'a Directory,
        item: &'a JournalItem,
        undoes: bool,
    ) -> Self {
        let Evidence {
            target,
            names,
            looked_up,
            base,
            profiles,
            is_shared: _,
        } = evidence;
        let address = item
            .member
            .as_deref()
            .and_then(|address| names.find(address));
        let found = match &item.member_id {
            Some(id) => names
                .find(id)
                .and_then(|id| directory.by_id.get(&id))
                .map_or(&[][..], std::slice::from_ref),
            None => directory.with_address(address),
        };
        let absent = match &target.existence {
            Existence::Whole => true,
            Existence::Asked(asked) => address.is_some_and(|address| asked.contains(&address)),
            Existence::Unknown => false,
        };
        let found = match found {
            [only] => Found::Contact(*only),
            [] if !absent => Found::Unread,
            _ => Found::Nobody,
        };
        Doubtful {
            job,
            target,
            names,
            looked_up,
            base,
            directory,
            profiles,
            item,
            undoes,
            found,
        }
    }

    /// Concludes what became of the item. Groups of it that were not read stay open in an item of
    /// their own, which goes to `rest`: what is known of the others is remembered once, and not again
    /// over what later runs have learnt.
    pub(super) fn settle(
        &self,
        store: &Store,
        entry: &UnsettledEntry,
        capabilities: &Capabilities,
        changes: &mut Vec<Change>,
        rest: &mut Vec<JournalItem>,
    ) -> Result<JournalOutcome, RunError> {
        Ok(match entry.operation.as_str() {
            // A row that joins groups by an address, and brings values, makes whoever is not there.
            "create_members" | "add_memberships"
                if entry.operation == "create_members"
                    || (self.item.member_id.is_none() && !self.item.fields.is_empty()) =>
            {
                let profile = self.profile()?;
                self.creation(capabilities, profile.as_ref(), changes, rest)
            }
            "update_members" => self.update(store, changes)?,
            "change_address" => self.move_of_address(changes),
            "add_memberships" => {
                let shown = self.joined(changes);
                self.conclude(shown, rest)
            }
            "remove_memberships" => self.removal(capabilities, changes, rest),
            "set_opt_out" => self.opt_out(changes, rest),
            // Everything else shows in what was read and is planned again where it is missing.
            _ => match self.found {
                Found::Contact(_) => self.confirmed(),
                Found::Nobody | Found::Unread => not_done(),
            },
        })
    }

    /// Returns what the target holds of the person now; nothing where that was not read.
    fn profile(&self) -> Result<Option<Record>, RunError> {
        let Found::Contact(at) = self.found else {
            return Ok(None);
        };
        let id = self.names.text(self.target.members[at as usize].id);
        self.profiles.get(id).map_err(staging_error)
    }

    /// Returns the link of the item's person, where it leads to the contact that was found.
    fn link(&self) -> Option<MemberLink> {
        let source = self.names.find(self.item.member_source.as_deref()?)?;
        let link = self.base.member_of_source(source)?;
        let Found::Contact(at) = self.found else {
            return None;
        };
        (link.target == self.target.members[at as usize].id).then_some(*link)
    }

    /// Remembers which values of an update stand. What does not is planned again.
    fn update(&self, store: &Store, changes: &mut Vec<Change>) -> Result<JournalOutcome, RunError> {
        let (Some(link), Some(held)) = (self.link(), self.profile()?) else {
            return Ok(not_done());
        };
        let source = self.names.text(link.source);
        let mut fields = store.member_fields(&self.job.name, source)?;
        let mut all = true;
        for (field, sent) in &self.item.fields {
            let now = held.get(field).filter(|value| !value.is_empty());
            if !stands(&mut fields, field, sent, now) {
                all = false;
                // Nobody agreed on nothing: the value is still to be written.
                if now.is_none() {
                    fields.remove(field);
                }
            }
        }
        changes.push(Change::MemberBase {
            job: self.job.name.clone(),
            source: source.to_owned(),
            address: self.names.text(link.address).to_owned(),
            source_hash: COMPARED_ANEW,
            target_hash: COMPARED_ANEW,
            fields,
        });
        Ok(if all { self.confirmed() } else { not_done() })
    }

    /// Moves the link to the new address where the contact has it; a change that did not happen is
    /// planned again from the old one.
    fn move_of_address(&self, changes: &mut Vec<Change>) -> JournalOutcome {
        let Found::Contact(at) = self.found else {
            return not_done();
        };
        let has = self.target.members[at as usize].address;
        let wanted = self.item.member.as_deref();
        if has.is_none() || has != wanted.and_then(|address| self.names.find(address)) {
            return not_done();
        }
        if let (Some(link), Some(address)) = (self.link(), wanted) {
            changes.push(Change::LinkMember {
                job: self.job.name.clone(),
                source: self.names.text(link.source).to_owned(),
                target: self.names.text(link.target).to_owned(),
                address: address.to_owned(),
                origin: link.origin,
            });
        }
        self.confirmed()
    }

    /// Tells whether a contact is linked to a record that had another address than the item's.
    fn is_of_others(&self, at: u32) -> bool {
        let contact = self.target.members[at as usize].id;
        let address = self.item.member.as_deref();
        let record = self.item.member_source.as_deref();
        let mut links = self.directory.links.get(&contact).into_iter().flatten();
        links.any(|link| {
            record != Some(self.names.text(link.source))
                && address != Some(self.names.text(link.address))
        })
    }

    /// Tells whether nobody can tell how the person stands in a group that is not unread for anybody
    /// else.
    pub(super) fn is_uncertain(&self) -> bool {
        let Found::Contact(at) = self.found else {
            return false;
        };
        let mut listings = self
            .groups()
            .into_iter()
            .filter_map(|id| self.target.listing(id));
        listings.any(|listing| self.target.is_uncertain(listing.seen(), at, self.names))
    }

    fn id(&self) -> Option<String> {
        match self.found {
            Found::Contact(at) => Some(
                self.names
                    .text(self.target.members[at as usize].id)
                    .to_owned(),
            ),
            Found::Nobody | Found::Unread => self.item.member_id.clone(),
        }
    }

    fn confirmed(&self) -> JournalOutcome {
        JournalOutcome::Confirmed { id: self.id() }
    }

    /// Concludes what became of an item for groups.
    fn conclude(&self, shown: InGroups<'a>, rest: &mut Vec<JournalItem>) -> JournalOutcome {
        let InGroups { all, unread } = shown;
        if !unread.is_empty() {
            if unread.len() == self.groups().len() {
                return JournalOutcome::Unknown;
            }
            rest.push(self.in_groups(&unread));
        }
        if all { self.confirmed() } else { not_done() }
    }

    /// Returns the item as far as it is about some of its groups, of a person who is known by now.
    fn in_groups(&self, groups: &[&str]) -> JournalItem {
        JournalItem {
            group: Some(groups.join(",")),
            member_id: self.id(),
            fields: Record::new(),
            ..self.item.clone()
        }
    }

    fn groups(&self) -> Vec<&'a str> {
        groups_of(self.item).collect()
    }

    fn standing(&self, group: &str) -> Seen {
        match self.found {
            Found::Contact(at) => self.standing_of(group, at),
            Found::Nobody | Found::Unread => match self.target.listing(group) {
                Some(listing) if listing.complete().is_some() => Seen::Absent,
                None if self.target.group(group).is_none() => Seen::Gone,
                None => self.standing_looked_up(group, self.item.member_id.as_deref()),
                Some(_) => Seen::Unread,
            },
        }
    }

    /// How somebody stands in a group that was listed only because of a doubt; by the address where
    /// no id is known.
    fn standing_looked_up(&self, group: &str, id: Option<&str>) -> Seen {
        let Some(now) = self.looked_up.get(group) else {
            return Seen::Unread;
        };
        match (id, &self.item.member) {
            (Some(id), _) => Seen::now(now, id),
            (None, Some(address)) => Seen::now_at(now, address),
            (None, None) => Seen::Unread,
        }
    }

    fn standing_of(&self, group: &str, at: u32) -> Seen {
        match self.target.listing(group) {
            Some(listing) if self.target.is_uncertain(listing.seen(), at, self.names) => {
                Seen::Unread
            }
            Some(listing) => Seen::of(listing.seen().state_of(at), listing.complete().is_some()),
            None if self.target.group(group).is_none() => Seen::Gone,
            None => self.standing_looked_up(
                group,
                Some(self.names.text(self.target.members[at as usize].id)),
            ),
        }
    }

    /// Remembers the memberships that are there.
    fn joined(&self, changes: &mut Vec<Change>) -> InGroups<'a> {
        let mut shown = InGroups::default();
        for group in self.groups() {
            match Aim::Join.judge(self.standing(group)) {
                Verdict::Done => {
                    // Whoever is active again is no longer taken off by rosterd.
                    if let Some(member) = &self.item.member_id {
                        changes.push(disclaimed(self.job, group, member));
                    }
                    // Whoever was not known to be absent before may have been there already.
                    let mut absent = self.item.absent_from.iter().flat_map(|ids| ids.split(','));
                    if let Some(member) = self.id() {
                        changes.push(Change::MemberRemovedByUs {
                            job: self.job.name.clone(),
                            target: member.clone(),
                            removed: false,
                        });
                        let came = Answer::Lost.brought(|| absent.any(|id| id == group));
                        let (job, group) = (self.job.name.clone(), group.to_owned());
                        changes.push(Change::Membership {
                            job: job.clone(),
                            group: group.clone(),
                            member: member.clone(),
                            // Whose it was before the run that was taken back is not known.
                            brought: came && !self.undoes,
                        });
                        if came && self.undoes {
                            changes.push(Change::MembershipPutBack { job, group, member });
                        }
                    }
                }
                Verdict::Barred => {}
                Verdict::Missing => shown.all = false,
                Verdict::Unread => shown.unread.push(group),
            }
        }
        shown
    }

    fn creation(
        &self,
        capabilities: &Capabilities,
        profile: Option<&Record>,
        changes: &mut Vec<Change>,
        rest: &mut Vec<JournalItem>,
    ) -> JournalOutcome {
        let is_linked = self.item.member_id.is_some();
        match self.found {
            Found::Nobody | Found::Unread if is_linked => {}
            Found::Nobody => return not_done(),
            Found::Unread => return JournalOutcome::Unknown,
            // Whoever got the address meanwhile is somebody else, whom no link may be taken from.
            Found::Contact(at) if self.is_of_others(at) => return not_done(),
            Found::Contact(_) => {}
        }
        // Whoever is linked by now was remembered, perhaps with newer values than were sent, and
        // somebody else's link is no matter of what is left of a creation.
        if let (Some(source), Some(target), None) =
            (&self.item.member_source, self.id(), self.link())
            && !is_linked
        {
            let sent = &self.item.fields;
            let address = self.item.member.clone().unwrap_or_default();
            changes.push(Change::LinkMember {
                job: self.job.name.clone(),
                source: source.clone(),
                target,
                address: address.clone(),
                // Only where the values that were sent are known can they be told from others'.
                origin: if sent.is_empty() {
                    Origin::Adopted
                } else {
                    Origin::Created
                },
            });
            if let Some(held) = profile.filter(|_| !sent.is_empty()) {
                // What is empty is still to be written; what the provider spells otherwise, or
                // somebody has changed since, stays as it is until the source changes.
                let fields = sent
                    .iter()
                    .filter_map(|(field, sent)| Some((field, sent, held.get(field)?)))
                    .filter(|(_, _, held)| !held.is_empty())
                    .map(|(field, sent, held)| {
                        let base = FieldBase {
                            desired: Some(sent.clone()),
                            target: Some(held.clone()),
                            written: false,
                        };
                        (field.clone(), base)
                    })
                    .collect();
                changes.push(Change::MemberBase {
                    job: self.job.name.clone(),
                    source: source.clone(),
                    address,
                    source_hash: COMPARED_ANEW,
                    target_hash: COMPARED_ANEW,
                    fields,
                });
            }
        }
        let strayed = if capabilities.one_group_per_member {
            self.strayed()
        } else {
            None
        };
        let InGroups { all, unread } = self.joined(changes);
        if !unread.is_empty() {
            // Whoever is known by the id already has nothing that was learnt only now.
            if is_linked && unread.len() == self.groups().len() {
                return JournalOutcome::Unknown;
            }
            rest.push(self.in_groups(&unread));
        } else if capabilities.one_group_per_member && (!all || strayed.is_some()) {
            // Whoever was to be created without a group belongs into the parking group.
            changes.extend(strayed);
            return JournalOutcome::Failed {
                code: None,
                message: "created, and in another group than the one that was asked for".to_owned(),
            };
        }
        // The person is there, and a group that is missing is planned again.
        self.confirmed()
    }

    /// Remembers that somebody of our own making sits in a group that came with the account, where
    /// a misread request has put them: so they may be moved on.
    fn strayed(&self) -> Option<Change> {
        let Found::Contact(at) = self.found else {
            return None;
        };
        let held = |id: &str| {
            self.target.listing(id).is_some_and(|listing| {
                listing.seen().state_of(at).is_some()
                    && !self.target.is_uncertain(listing.seen(), at, self.names)
            })
        };
        let group = self
            .target
            .groups
            .seen()
            .iter()
            .find(|group| group.kind == GroupKind::BuiltIn && held(&group.id))?;
        let (job, group, member) = (self.job.name.clone(), group.id.clone(), self.id()?);
        Some(Change::Membership {
            job,
            group,
            member,
            brought: true,
        })
    }

    /// A removal may have taken the contact out of sight: that it is out of the group is enough.
    /// What shows as a refusal is the person's: the request may never have left.
    fn removal(
        &self,
        capabilities: &Capabilities,
        changes: &mut Vec<Change>,
        rest: &mut Vec<JournalItem>,
    ) -> JournalOutcome {
        let Some(member) = self.id() else {
            return not_done();
        };
        let mut shown = InGroups {
            all: !self.groups().is_empty(),
            ..InGroups::default()
        };
        for group in self.groups() {
            let whole = match self.target.listing(group) {
                Some(listing) => listing.complete().is_some(),
                None => self.looked_up.get(group).is_some_and(|now| now.whole),
            };
            let seen = match self.standing(group) {
                Seen::Listed(_) if !whole => Seen::Unread,
                seen => seen,
            };
            match Aim::Leave.judge(seen) {
                Verdict::Done => {
                    changes.push(Change::MembershipGone {
                        job: self.job.name.clone(),
                        group: group.to_owned(),
                        member: member.clone(),
                    });
                    if capabilities.removal_shows_opt_out {
                        changes.push(disclaimed(self.job, group, &member));
                    }
                }
                // Of a group that is gone, everything about it is gone with it.
                Verdict::Missing | Verdict::Barred => shown.all = false,
                Verdict::Unread => shown.unread.push(group),
            }
        }
        self.conclude(shown, rest)
    }

    fn opt_out(&self, changes: &mut Vec<Change>, rest: &mut Vec<JournalItem>) -> JournalOutcome {
        let at = match self.found {
            Found::Contact(at) => at,
            Found::Nobody => return not_done(),
            Found::Unread => return JournalOutcome::Unknown,
        };
        let groups = self.groups();
        if groups.is_empty() {
            if self.target.members[at as usize].status != MemberStatus::OptedOut {
                return not_done();
            }
            self.held(
                None,
                |at| self.target.members[at as usize].status == MemberStatus::OptedOut,
                changes,
            );
            return self.confirmed();
        }
        let mut shown = InGroups::default();
        for group in groups {
            match Aim::Refuse.judge(self.standing(group)) {
                Verdict::Done => {
                    let member = self.id().unwrap_or_default();
                    changes.push(Change::MembershipGone {
                        job: self.job.name.clone(),
                        group: group.to_owned(),
                        member,
                    });
                    let refuses =
                        |at| Aim::Refuse.judge(self.standing_of(group, at)) == Verdict::Done;
                    self.held(Some(group), refuses, changes);
                }
                Verdict::Missing | Verdict::Barred => shown.all = false,
                Verdict::Unread => shown.unread.push(group),
            }
        }
        self.conclude(shown, rest)
    }

    /// Remembers that the target obeys a refusal, once everybody with the address does.
    fn held(&self, group: Option<&str>, refuses: impl Fn(u32) -> bool, changes: &mut Vec<Change>) {
        let Some(address) = &self.item.member else {
            return;
        };
        let others = self.directory.with_address(self.names.find(address));
        if others.iter().copied().all(refuses) {
            let contact = self.id().map(PersonKey::Contact);
            let address = PersonKey::Address(address.clone());
            changes.push(Change::RefusalHeld {
                account: self.job.target_account.clone(),
                group: group.map(str::to_owned),
                known_as: Vec::new(),
                people: contact.into_iter().chain([address]).collect(),
            });
        }
    }
}
