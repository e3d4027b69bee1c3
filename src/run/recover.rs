//! Finds out what became of writes whose outcome nobody knows: by reading, before anything is
//! planned (rule 5).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::read::GroupNow;
use super::{RunError, staging_error};
use crate::config::settled::JobConfig;
use crate::model::{
    Capabilities, Existence, GroupKind, GroupRow, Member, MemberStatus, MembershipState, Names,
    ObjectKind, Record, RowHash, Schema, Snapshot, Value,
};
use crate::plan::base::{Base, FieldBase, FieldBases, GroupLink, MemberLink, Origin};
use crate::plan::fields::same;
use crate::plan::fold_group_name;
use crate::state::{
    Change, JournalItem, JournalOutcome, PersonKey, Staging, Store, UnsettledEntry, UnsettledItem,
};

/// What is known of the groups of a target before its members are read.
#[derive(Clone, Copy)]
pub(super) struct KnownGroups<'a> {
    pub(super) base: &'a Base,
    pub(super) schema: &'static Schema,
    pub(super) rows: &'a [GroupRow],
}

/// Links groups that an interrupted run created: found by their name, where they can't be anybody
/// else's.
///
/// A group that had the name before, that is linked or that another job has linked is none of them.
/// Of several that are left none is taken; the planner then asks a person. Returns whether
/// something was linked. `desired` gives what a source group, by its id, asks of its partner, and
/// `protected` whether it shows the flag.
pub(super) fn adopt_created_groups(
    store: &Store,
    job: &JobConfig,
    known: KnownGroups<'_>,
    desired: impl Fn(&str) -> Record,
    protected: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Result<bool, RunError> {
    let KnownGroups { base, schema, rows } = known;
    let name_field = schema
        .by_canonical(ObjectKind::Group, "name")
        .map_or("name", |spec| spec.wire);
    let mut taken: HashSet<&str> = base
        .groups
        .iter()
        .map(|link| link.target.as_str())
        .collect();
    taken.extend(
        base.groups_of_others
            .iter()
            .chain(job.groups.pin.values())
            .map(String::as_str),
    );
    let mut linked_sources: HashSet<String> =
        base.groups.iter().map(|link| link.source.clone()).collect();
    let mut changed = false;
    for entry in store
        .unsettled(&job.name)?
        .into_iter()
        .filter(|entry| entry.operation == "create_group")
    {
        let mut outcomes = Vec::new();
        let mut changes = Vec::new();
        for unsettled in &entry.items {
            let (Some(source), Some(name)) = (&unsettled.item.group_source, &unsettled.item.detail)
            else {
                outcomes.push(not_done());
                continue;
            };
            let before: Vec<&str> = unsettled
                .item
                .group
                .iter()
                .flat_map(|ids| ids.split(','))
                .collect();
            let candidates: Vec<&GroupRow> = rows
                .iter()
                .filter(|row| {
                    !taken.contains(row.id.as_str()) && !before.contains(&row.id.as_str())
                })
                .filter(|row| {
                    row.wire.get(name_field).is_some_and(|held| {
                        fold_group_name(&held.to_string()) == fold_group_name(name)
                    })
                })
                .collect();
            let row = match candidates.as_slice() {
                [] => {
                    outcomes.push(not_done());
                    continue;
                }
                [only] => *only,
                several => {
                    let ids: Vec<&str> = several.iter().map(|row| row.id.as_str()).collect();
                    let message = format!(
                        "the groups {} have the name since, and which one was created can't be told",
                        ids.join(" and ")
                    );
                    outcomes.push(JournalOutcome::Failed {
                        code: None,
                        message,
                    });
                    continue;
                }
            };
            outcomes.push(JournalOutcome::Confirmed {
                id: Some(row.id.clone()),
            });
            if !linked_sources.insert(source.clone()) {
                continue;
            }
            taken.insert(&row.id);
            // What is asked for was written; what came from defaults is not the source's to change.
            let asked = desired(source);
            let sent = &unsettled.item.fields;
            let fields: FieldBases = row
                .wire
                .iter()
                .filter(|(field, _)| {
                    asked.contains_key(*field) && (sent.is_empty() || sent.contains_key(*field))
                })
                .map(|(field, value)| {
                    (
                        field.clone(),
                        FieldBase {
                            desired: Some(sent.get(field).unwrap_or(value).clone()),
                            target: Some(value.clone()),
                            written: false,
                        },
                    )
                })
                .collect();
            let shown = protected(source);
            let link = GroupLink {
                source: source.clone(),
                target: row.id.clone(),
                origin: Origin::Created,
                protect_set: job.groups.protect && !shown,
                name: name.clone(),
                fields,
            };
            changes.push(Change::LinkGroup {
                job: job.name.clone(),
                link,
            });
            let holds_flag = schema.by_canonical(ObjectKind::Group, "protected");
            if holds_flag.is_none() && (job.groups.protect || shown) {
                changes.push(Change::Carried {
                    account: job.target_account.clone(),
                    object: ObjectKind::Group,
                    id: row.id.clone(),
                    field: "protected".to_owned(),
                    value: Some(Value::Boolean(true)),
                });
            }
        }
        changed |= !changes.is_empty();
        store.settle_write(entry.id, &outcomes, &changes, now)?;
    }
    Ok(changed)
}

/// A fingerprint that fits no profile, so that the next comparison looks at the fields.
const COMPARED_ANEW: RowHash = 1;

/// How long a write of a group that this job no longer lists is asked about.
const PATIENCE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Returns the addresses of people whose writes are not settled, so that the target is asked about
/// them.
pub(super) fn doubtful_addresses(store: &Store, job: &str) -> Result<Vec<String>, RunError> {
    let items = store
        .unsettled(job)?
        .into_iter()
        .flat_map(|entry| entry.items);
    Ok(items
        .filter(is_open)
        .filter_map(|unsettled| unsettled.item.member)
        .collect())
}

/// Returns the groups of unsettled writes that exist and that nobody listed, because they left the
/// scope or are linked no more.
pub(super) fn unlisted_groups(
    store: &Store,
    job: &str,
    target: &Snapshot,
) -> Result<BTreeSet<String>, RunError> {
    let entries = store
        .unsettled(job)?
        .into_iter()
        .filter(|entry| entry.operation != "create_group");
    let items: Vec<UnsettledItem> = entries
        .flat_map(|entry| entry.items)
        .filter(is_open)
        .collect();
    let groups = items
        .iter()
        .flat_map(|unsettled| groups_of(&unsettled.item));
    Ok(groups
        .filter(|id| target.group(id).is_some() && target.listing(id).is_none())
        .map(str::to_owned)
        .collect())
}

fn is_open(unsettled: &UnsettledItem) -> bool {
    !unsettled
        .outcome
        .as_ref()
        .is_some_and(JournalOutcome::is_final)
}

fn groups_of(item: &JournalItem) -> impl Iterator<Item = &str> {
    item.group
        .iter()
        .flat_map(|groups| groups.split(','))
        .filter(|group| !group.is_empty())
}

/// What the target holds, as far as it is known.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) target: &'a Snapshot,
    pub(super) names: &'a Names,
    /// Groups that were listed only because of a doubt.
    pub(super) looked_up: &'a BTreeMap<String, GroupNow>,
    /// What was known before.
    pub(super) base: &'a Base,
    /// The profiles that were read.
    pub(super) profiles: &'a Staging,
}

/// What settling led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// Whether the base changed.
    pub(super) changed: bool,
    /// What could not be found out for good.
    pub(super) warnings: Vec<String>,
}

/// Settles every other write of an interrupted run by what the target holds now.
///
/// What was done is remembered as this job's own; what was not is simply planned again; what could
/// not be read to its end stays open until it can. A write of a group that is not the job's any
/// more is not asked about for ever: in the end it counts as not done, of which a warning tells.
pub(super) fn settle_members(
    store: &Store,
    job: &JobConfig,
    schema: &Schema,
    capabilities: &Capabilities,
    evidence: Evidence<'_>,
    now: Timestamp,
) -> Result<Settled, RunError> {
    let links = store.links(&job.name)?;
    let mut settled = Settled::default();
    for entry in store.unsettled(&job.name)? {
        let mut changes = Vec::new();
        let mut given_up = BTreeSet::new();
        let old = now.duration_since(entry.intended) > PATIENCE;
        let outcomes: Vec<JournalOutcome> = entry
            .items
            .iter()
            .map(|unsettled| match &unsettled.outcome {
                Some(outcome) if outcome.is_final() => Ok(outcome.clone()),
                _ => {
                    if entry.operation == "edit_groups" {
                        changes.extend(edited(
                            &links,
                            job,
                            schema,
                            evidence.target,
                            &unsettled.item,
                        ));
                    }
                    let outcome = Doubtful::new(job, evidence, &unsettled.item).settle(
                        store,
                        &entry,
                        capabilities,
                        &mut changes,
                    )?;
                    let groups: Vec<&str> = groups_of(&unsettled.item).collect();
                    let ours = groups
                        .iter()
                        .any(|group| links.iter().any(|link| link.target == *group));
                    if old && !ours && !groups.is_empty() && !outcome.is_final() {
                        given_up.extend(groups);
                        let message =
                            "what became of it could not be found out; nothing is taken for done"
                                .to_owned();
                        return Ok(JournalOutcome::Failed {
                            code: None,
                            message,
                        });
                    }
                    Ok(outcome)
                }
            })
            .collect::<Result<_, RunError>>()?;
        if !given_up.is_empty() {
            let groups: Vec<&str> = given_up.into_iter().collect();
            settled.warnings.push(format!(
                "What became of a write of {} ({} of group {}) could not be found out, and the group is not this job's any more; it counts as not done.",
                entry.intended.strftime("%Y-%m-%d %H:%M:%SZ"),
                entry.operation,
                groups.join(" and ")
            ));
        }
        settled.changed |= !changes.is_empty();
        store.settle_write(entry.id, &outcomes, &changes, now)?;
    }
    Ok(settled)
}

/// Forgets those in groups that came with the account who are not in them any more: whoever comes
/// back there was put there by somebody else, and stays.
pub(super) fn forget_strays(
    store: &Store,
    job: &JobConfig,
    base: &Base,
    evidence: Evidence<'_>,
) -> Result<bool, RunError> {
    let Evidence { target, names, .. } = evidence;
    let mut changes = Vec::new();
    for group in target
        .groups
        .seen()
        .iter()
        .filter(|group| group.kind == GroupKind::BuiltIn)
    {
        let Some(listing) = target
            .listing(&group.id)
            .and_then(|listing| listing.complete())
        else {
            continue;
        };
        let here: HashSet<_> = listing
            .rows
            .iter()
            .map(|row| target.members[row.member as usize].id)
            .collect();
        let known = base.memberships.get(&group.id).into_iter().flatten();
        changes.extend(
            known
                .filter(|known| !here.contains(&known.member))
                .map(|known| Change::MembershipGone {
                    job: job.name.clone(),
                    group: group.id.clone(),
                    member: names.text(known.member).to_owned(),
                }),
        );
    }
    store.record(&changes)?;
    Ok(!changes.is_empty())
}

/// Remembers the values that an interrupted run wrote to a linked group, a name perhaps on the way
/// to another one: they are nobody else's doing.
fn edited(
    links: &[GroupLink],
    job: &JobConfig,
    schema: &Schema,
    target: &Snapshot,
    item: &JournalItem,
) -> Option<Change> {
    let link = links
        .iter()
        .find(|link| Some(&link.target) == item.group.as_ref())?;
    let held = &target.group(&link.target)?.wire;
    let canonical = |name| schema.by_canonical(ObjectKind::Group, name);
    let name_field = canonical("name").map_or("name", |spec| spec.wire);
    let of_rosterd = ["status", "protected"].map(|name| canonical(name).map(|spec| spec.wire));
    let mut sent = item.fields.clone();
    if let Some(name) = &item.detail {
        sent.entry(name_field.to_owned())
            .or_insert_with(|| Value::from(name.as_str()));
    }
    let mut fields = link.fields.clone();
    for (field, sent) in &sent {
        // Whether the source asked for these or rosterd did, the request does not say.
        let asked = fields.get(field).and_then(|then| then.desired.clone());
        if stands(&mut fields, field, sent, held.get(field))
            && of_rosterd.contains(&Some(field.as_str()))
            && let Some(now) = fields.get_mut(field)
        {
            now.desired = asked;
        }
    }
    (fields != link.fields).then(|| Change::GroupFields {
        job: job.name.clone(),
        source: link.source.clone(),
        fields,
        name: link.name.clone(),
    })
}

/// Takes a value that was sent into a base where it is found to stand, as it is spelled there.
/// Tells whether it does.
fn stands(fields: &mut FieldBases, field: &str, sent: &Value, held: Option<&Value>) -> bool {
    if !same(Some(sent), held) {
        return false;
    }
    if sent.is_empty() {
        fields.remove(field);
    } else {
        fields.insert(
            field.to_owned(),
            FieldBase {
                desired: Some(sent.clone()),
                target: held.cloned(),
                written: false,
            },
        );
    }
    true
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

/// How a journaled item stands in a group.
enum Standing {
    Listed(MembershipState),
    Absent,
    Unread,
}

/// An item of a write of which nobody knows what became.
struct Doubtful<'a> {
    job: &'a JobConfig,
    target: &'a Snapshot,
    names: &'a Names,
    looked_up: &'a BTreeMap<String, GroupNow>,
    base: &'a Base,
    profiles: &'a Staging,
    item: &'a JournalItem,
    found: Found,
}

impl<'a> Doubtful<'a> {
    fn new(job: &'a JobConfig, evidence: Evidence<'a>, item: &'a JournalItem) -> Self {
        let Evidence {
            target,
            names,
            looked_up,
            base,
            profiles,
        } = evidence;
        let address = item
            .member
            .as_deref()
            .and_then(|address| names.find(address));
        let fits = |member: &Member| match &item.member_id {
            Some(id) => names.find(id) == Some(member.id),
            None => address.is_some() && member.address == address,
        };
        let mut found = target
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| fits(member))
            .map(|(at, _)| at as u32);
        let absent = match &target.existence {
            Existence::Whole => true,
            Existence::Asked(asked) => address.is_some_and(|address| asked.contains(&address)),
            Existence::Unknown => false,
        };
        let found = match (found.next(), found.next()) {
            (Some(at), None) => Found::Contact(at),
            (None, _) if !absent => Found::Unread,
            _ => Found::Nobody,
        };
        Doubtful {
            job,
            target,
            names,
            looked_up,
            base,
            profiles,
            item,
            found,
        }
    }

    fn settle(
        &self,
        store: &Store,
        entry: &UnsettledEntry,
        capabilities: &Capabilities,
        changes: &mut Vec<Change>,
    ) -> Result<JournalOutcome, RunError> {
        Ok(match entry.operation.as_str() {
            "create_members" => {
                let profile = self.profile()?;
                self.creation(capabilities, profile.as_ref(), changes)
            }
            "update_members" => self.update(store, changes)?,
            "change_address" => self.move_of_address(changes),
            "add_memberships" => match self.joined(changes) {
                Some(true) => self.confirmed(),
                Some(false) => not_done(),
                None => JournalOutcome::Unknown,
            },
            "remove_memberships" => self.removal(capabilities, changes),
            "set_opt_out" => self.opt_out(changes),
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

    fn groups(&self) -> Vec<&'a str> {
        groups_of(self.item).collect()
    }

    fn standing(&self, group: &str) -> Standing {
        match self.found {
            Found::Contact(at) => self.standing_of(group, at),
            Found::Nobody | Found::Unread => match self.target.listing(group) {
                Some(listing) if listing.complete().is_some() => Standing::Absent,
                None if self.target.group(group).is_none() => Standing::Absent,
                None => self.standing_looked_up(group, self.item.member_id.as_deref()),
                Some(_) => Standing::Unread,
            },
        }
    }

    /// How somebody stands in a group that was listed only because of a doubt; by the address where
    /// no id is known.
    fn standing_looked_up(&self, group: &str, id: Option<&str>) -> Standing {
        let Some(now) = self.looked_up.get(group) else {
            return Standing::Unread;
        };
        let state = match (id, &self.item.member) {
            (Some(id), _) => now.by_id.get(id).copied(),
            (None, Some(address)) => now
                .by_address
                .get(address)
                .into_iter()
                .flatten()
                .map(|(_, state)| *state)
                .max(),
            (None, None) => return Standing::Unread,
        };
        match state {
            Some(state) => Standing::Listed(state),
            None if now.whole => Standing::Absent,
            None => Standing::Unread,
        }
    }

    fn standing_of(&self, group: &str, at: u32) -> Standing {
        match self.target.listing(group) {
            Some(listing) => match listing.seen().state_of(at) {
                Some(state) => Standing::Listed(state),
                None if listing.complete().is_some() => Standing::Absent,
                None => Standing::Unread,
            },
            // A group that is gone has no members.
            None if self.target.group(group).is_none() => Standing::Absent,
            None => self.standing_looked_up(
                group,
                Some(self.names.text(self.target.members[at as usize].id)),
            ),
        }
    }

    /// Remembers the memberships that are there. Tells whether all are; nothing where that could
    /// not be read.
    fn joined(&self, changes: &mut Vec<Change>) -> Option<bool> {
        let (mut all, mut unread) = (true, false);
        for group in self.groups() {
            match (self.standing(group), self.id()) {
                (Standing::Listed(MembershipState::Active), Some(member)) => {
                    // Whoever was not known to be absent before may have been there already.
                    let mut absent = self.item.absent_from.iter().flat_map(|ids| ids.split(','));
                    changes.push(Change::Membership {
                        job: self.job.name.clone(),
                        group: group.to_owned(),
                        member,
                        brought: absent.any(|id| id == group),
                    });
                }
                (Standing::Listed(_), _) => {}
                (Standing::Absent, _) => all = false,
                (Standing::Unread, _) => unread = true,
            }
        }
        (!unread).then_some(all)
    }

    fn creation(
        &self,
        capabilities: &Capabilities,
        profile: Option<&Record>,
        changes: &mut Vec<Change>,
    ) -> JournalOutcome {
        match self.found {
            Found::Nobody => return not_done(),
            Found::Unread => return JournalOutcome::Unknown,
            Found::Contact(_) => {}
        }
        if let (Some(source), Some(target)) = (&self.item.member_source, self.id()) {
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
        match self.joined(changes) {
            // Whoever was to be created without a group belongs into the parking group.
            Some(all) if capabilities.one_group_per_member && (!all || strayed.is_some()) => {
                changes.extend(strayed);
                JournalOutcome::Failed {
                    code: None,
                    message: "created, and in another group than the one that was asked for"
                        .to_owned(),
                }
            }
            // The person is there, and a group that is missing is planned again.
            Some(_) => self.confirmed(),
            None => JournalOutcome::Unknown,
        }
    }

    /// Remembers that somebody of our own making sits in a group that came with the account, where
    /// a misread request has put them: so they may be moved on.
    fn strayed(&self) -> Option<Change> {
        let Found::Contact(at) = self.found else {
            return None;
        };
        let held = |id: &str| {
            self.target
                .listing(id)
                .and_then(|listing| listing.seen().state_of(at))
                .is_some()
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
    fn removal(&self, capabilities: &Capabilities, changes: &mut Vec<Change>) -> JournalOutcome {
        let Some(member) = self.id() else {
            return not_done();
        };
        let (mut all, mut unread) = (!self.groups().is_empty(), false);
        for group in self.groups() {
            let whole = match self.target.listing(group) {
                Some(listing) => listing.complete().is_some(),
                None => self.looked_up.get(group).is_some_and(|now| now.whole),
            };
            match self.standing(group) {
                Standing::Listed(MembershipState::Active) if whole => all = false,
                Standing::Listed(_) | Standing::Absent if whole => {
                    let job = || self.job.name.clone();
                    changes.push(Change::MembershipGone {
                        job: job(),
                        group: group.to_owned(),
                        member: member.clone(),
                    });
                    if capabilities.removal_shows_opt_out {
                        changes.push(Change::OwnRemovalEnded {
                            account: self.job.target_account.clone(),
                            group: group.to_owned(),
                            member: member.clone(),
                        });
                    }
                }
                // The group is gone, and everything about it with it.
                Standing::Absent => all = false,
                Standing::Listed(_) | Standing::Unread => unread = true,
            }
        }
        match (unread, all) {
            (true, _) => JournalOutcome::Unknown,
            (false, true) => self.confirmed(),
            (false, false) => not_done(),
        }
    }

    fn opt_out(&self, changes: &mut Vec<Change>) -> JournalOutcome {
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
        let mut all = true;
        for group in groups {
            match self.standing(group) {
                Standing::Listed(MembershipState::OptedOut) => {
                    let member = self.id().unwrap_or_default();
                    changes.push(Change::MembershipGone {
                        job: self.job.name.clone(),
                        group: group.to_owned(),
                        member,
                    });
                    let refuses = |at| {
                        matches!(
                            self.standing_of(group, at),
                            Standing::Listed(MembershipState::OptedOut)
                        )
                    };
                    self.held(Some(group), refuses, changes);
                }
                Standing::Listed(_) | Standing::Absent => all = false,
                Standing::Unread => return JournalOutcome::Unknown,
            }
        }
        if all { self.confirmed() } else { not_done() }
    }

    /// Remembers that the target obeys a refusal, once everybody with the address does.
    fn held(&self, group: Option<&str>, refuses: impl Fn(u32) -> bool, changes: &mut Vec<Change>) {
        let Some(address) = &self.item.member else {
            return;
        };
        let name = self.names.find(address);
        let others = self
            .target
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.address.is_some() && member.address == name);
        if others.map(|(at, _)| at as u32).all(refuses) {
            let contact = self.id().map(PersonKey::Contact);
            let address = PersonKey::Address(address.clone());
            changes.push(Change::RefusalHeld {
                account: self.job.target_account.clone(),
                group: group.map(str::to_owned),
                people: contact.into_iter().chain([address]).collect(),
            });
        }
    }
}

fn not_done() -> JournalOutcome {
    JournalOutcome::Failed {
        code: None,
        message: "not found after an interruption; planned again where it is still wanted"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;
