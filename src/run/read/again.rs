//! Reads back what was written: an answer of OK proves nothing (rule 9). And looks a second time
//! before something is written that only a first look speaks for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::mapping::BoundMapping;
use crate::model::{
    Existence, GroupRow, Join, MemberStatus, MembershipState, Names, ObjectKind, OwnRemovals,
    Reading, Record, RowHash, Snapshot, SnapshotBuilder, Stage, TotalMeanings,
};
use crate::provider::{MemberAsk, ReadError, Role};
use crate::run::accounts::{Handle, unless_stopped};
use crate::run::error::{RunError, staging_error};

use crate::state::Staging;

/// Who is in a group, by id and by address, and whether that is everybody; or how those stand in it
/// who were asked after by name.
#[derive(Clone, Debug)]
pub(in crate::run) struct GroupNow {
    pub(in crate::run) by_id: HashMap<String, MembershipState>,
    pub(in crate::run) by_address: HashMap<String, Vec<(String, MembershipState)>>,
    /// When people refused, by id, in seconds since 1970, where the provider shows it.
    pub(in crate::run) refused_at: HashMap<String, i64>,
    /// The ids of those of whom nobody can tell how they stand: they may be there in any state, or
    /// have left.
    pub(in crate::run) uncertain: HashSet<String>,
    /// The ids that were asked after, where the group was not listed: of nobody else anything is
    /// known.
    pub(in crate::run) asked: Option<HashSet<String>>,
    pub(in crate::run) whole: bool,
    /// Why it is not.
    pub(in crate::run) why: String,
}

impl GroupNow {
    /// A group of which nothing could be read.
    pub(in crate::run) fn unread(why: String) -> GroupNow {
        GroupNow {
            by_id: HashMap::new(),
            by_address: HashMap::new(),
            refused_at: HashMap::new(),
            uncertain: HashSet::new(),
            asked: None,
            whole: false,
            why,
        }
    }

    /// Tells whether a contact that does not show is not in the group.
    pub(in crate::run) fn tells_of(&self, id: &str) -> bool {
        let is_asked = self.asked.as_ref().is_some_and(|asked| asked.contains(id));
        (self.whole || is_asked) && !self.uncertain.contains(id)
    }
}

/// A person as the account holds it now.
#[derive(Clone, Debug)]
pub(in crate::run) struct PersonNow {
    pub(in crate::run) id: String,
    pub(in crate::run) status: MemberStatus,
}

/// The people behind addresses.
pub(in crate::run) struct PeopleNow {
    pub(in crate::run) by_address: BTreeMap<String, Vec<PersonNow>>,
    /// Addresses of which nobody can tell whether anybody has them.
    pub(in crate::run) unknown: BTreeSet<String>,
    /// Whether it is known of everybody whether they refuse all mail.
    pub(in crate::run) states_known: bool,
}

/// Keeps nothing: a check looks at ids and states only.
struct Nothing;

impl Stage for Nothing {
    fn put(&mut self, _id: &str, _record: &Record) -> Result<(), String> {
        Ok(())
    }
}

pub(super) fn failed(handle: &Handle) -> impl Fn(ReadError) -> RunError + '_ {
    |error| RunError::Write {
        provider: handle.name.clone(),
        why: format!("what is there now could not be read: {error}"),
    }
}

fn vanished(id: &str) -> GroupNow {
    GroupNow::unread(format!("the group {id} has vanished"))
}

/// Reads the row of a group; in its place what is known of the members of one that is not there or
/// can't be read.
pub(super) async fn row_now(
    handle: &Handle,
    id: &str,
) -> Result<Result<GroupRow, GroupNow>, RunError> {
    match handle.adapter.group(id).await {
        Ok(Some(row)) => Ok(Ok(row)),
        Ok(None) => Ok(Err(vanished(id))),
        Err(ReadError::Call(error)) if error.is_of_the_question() => {
            Ok(Err(GroupNow::unread(error.to_string())))
        }
        Err(error) => Err(failed(handle)(error)),
    }
}

/// Lists a group as it is now; one that can't be read alone is not whole.
pub(in crate::run) async fn group_now(handle: &Handle, id: &str) -> Result<GroupNow, RunError> {
    let row = match row_now(handle, id).await? {
        Ok(row) => row,
        Err(unread) => return Ok(unread),
    };
    let mut names = Names::new();
    let snapshot = read(handle, &[row], Role::Check, None, &mut names, &mut Nothing).await?;
    Ok(listed_now(&snapshot, id, &names))
}

/// Lists several groups as they are now, for which one reading may be enough.
pub(in crate::run) async fn groups_now(
    handle: &Handle,
    ids: &BTreeSet<String>,
) -> Result<HashMap<String, GroupNow>, RunError> {
    let mut seen = HashMap::new();
    if !is_read_together(handle) || ids.len() < 2 {
        for id in ids {
            seen.insert(id.clone(), group_now(handle, id).await?);
        }
        return Ok(seen);
    }
    let rows = rows_of(handle, ids, false).await?;
    let mut names = Names::new();
    let snapshot = read(handle, &rows, Role::Check, None, &mut names, &mut Nothing).await?;
    Ok(all_listed(&snapshot, ids, &rows, &names))
}

/// Tells whether one reading lists all groups and shows the profiles along with them.
pub(in crate::run) fn is_read_together(handle: &Handle) -> bool {
    handle.capabilities.join == Join::PerRow
}

/// Lists several groups and the profiles of the people behind addresses in one reading.
pub(in crate::run) async fn groups_and_profiles_now(
    handle: &Handle,
    ids: &BTreeSet<String>,
    mapping: &BoundMapping,
    addresses: &[String],
) -> Result<(HashMap<String, GroupNow>, ProfilesNow), RunError> {
    let rows = rows_of(handle, ids, false).await?;
    let mut names = Names::new();
    let mut staging = Staging::new().map_err(staging_error)?;
    let role = Role::Target { wanted: addresses };
    let snapshot = read(handle, &rows, role, Some(mapping), &mut names, &mut staging).await?;
    let profiles = profiles_of(&snapshot, &names, staging, addresses);
    Ok((all_listed(&snapshot, ids, &rows, &names), profiles))
}

/// Reads the rows of groups that are still there; several with every field only where that is asked
/// for.
async fn rows_of(
    handle: &Handle,
    ids: &BTreeSet<String>,
    every_field: bool,
) -> Result<Vec<GroupRow>, RunError> {
    if let (1, Some(id)) = (ids.len(), ids.first()) {
        let row = handle.adapter.group(id).await.map_err(failed(handle))?;
        return Ok(row.into_iter().collect());
    }
    let wanted = |id: &str, _: &str| every_field && ids.contains(id);
    let groups = handle.adapter.groups(&wanted).await;
    let (mut rows, _) = groups.map_err(failed(handle))?;
    rows.retain(|row| ids.contains(&row.id));
    Ok(rows)
}

fn all_listed(
    snapshot: &Snapshot,
    ids: &BTreeSet<String>,
    rows: &[GroupRow],
    names: &Names,
) -> HashMap<String, GroupNow> {
    let listed = ids.iter().map(|id| {
        let there = rows.iter().any(|row| row.id == *id);
        let now = if there {
            listed_now(snapshot, id, names)
        } else {
            vanished(id)
        };
        (id.clone(), now)
    });
    listed.collect()
}

fn listed_now(snapshot: &Snapshot, id: &str, names: &Names) -> GroupNow {
    let mut now = GroupNow::unread("it was not listed".to_owned());
    if let Some(listing) = snapshot.listing(id) {
        now.whole = matches!(listing, Reading::Complete(_));
        now.why = listing.why_incomplete().join("; ");
        for row in &listing.seen().rows {
            let member = &snapshot.members[row.member as usize];
            let id = names.text(member.id).to_owned();
            if snapshot.is_uncertain(listing.seen(), row.member, names) {
                now.uncertain.insert(id.clone());
            }
            if let Some(address) = member.address {
                now.by_address
                    .entry(names.text(address).to_owned())
                    .or_default()
                    .push((id.clone(), row.state));
            }
            now.refused_at.extend(
                listing
                    .seen()
                    .refused_at(row.member)
                    .map(|time| (id.clone(), time)),
            );
            now.by_id.insert(id, row.state);
        }
    }
    now
}

/// Finds the people behind addresses.
pub(in crate::run) async fn people_now(
    handle: &Handle,
    addresses: &[String],
) -> Result<PeopleNow, RunError> {
    let mut names = Names::new();
    let mut staging = Staging::new().map_err(staging_error)?;
    let snapshot = read(
        handle,
        &[],
        Role::Target { wanted: addresses },
        None,
        &mut names,
        &mut staging,
    )
    .await?;
    let wanted: HashSet<&str> = addresses.iter().map(String::as_str).collect();
    let mut by_address: BTreeMap<String, Vec<PersonNow>> = BTreeMap::new();
    for member in &snapshot.members {
        let Some(address) = member.address.map(|address| names.text(address)) else {
            continue;
        };
        if wanted.contains(address) {
            let person = PersonNow {
                id: names.text(member.id).to_owned(),
                status: member.status,
            };
            by_address
                .entry(address.to_owned())
                .or_default()
                .push(person);
        }
    }
    let absent = |address: &&str| match &snapshot.existence {
        Existence::Whole => true,
        Existence::Asked(asked) => names
            .find(address)
            .is_some_and(|name| asked.contains(&name)),
        Existence::Unknown => false,
    };
    let unknown = wanted
        .iter()
        .filter(|address| !by_address.contains_key(**address) && !absent(address))
        .map(|address| (*address).to_owned())
        .collect();
    Ok(PeopleNow {
        by_address,
        unknown,
        states_known: snapshot.account_state.complete().is_some(),
    })
}

/// The profiles of people as they are stored now, by id, with their fingerprints.
pub(in crate::run) struct ProfilesNow {
    hashes: HashMap<String, RowHash>,
    staging: Staging,
}

impl ProfilesNow {
    /// Returns the fingerprint and the profile of a contact.
    pub(in crate::run) fn get(&self, id: &str) -> Result<Option<(RowHash, Record)>, RunError> {
        let Some(hash) = self.hashes.get(id) else {
            return Ok(None);
        };
        let profile = self.staging.get(id).map_err(staging_error)?;
        Ok(Some((*hash, profile.unwrap_or_default())))
    }
}

/// Reads the profiles of the people behind addresses, as planning does.
pub(in crate::run) async fn profiles_now(
    handle: &Handle,
    mapping: &BoundMapping,
    addresses: &[String],
) -> Result<ProfilesNow, RunError> {
    let mut names = Names::new();
    let mut staging = Staging::new().map_err(staging_error)?;
    let role = Role::Target { wanted: addresses };
    let snapshot = read(handle, &[], role, Some(mapping), &mut names, &mut staging).await?;
    Ok(profiles_of(&snapshot, &names, staging, addresses))
}

fn profiles_of(
    snapshot: &Snapshot,
    names: &Names,
    staging: Staging,
    addresses: &[String],
) -> ProfilesNow {
    let wanted: HashSet<&str> = addresses.iter().map(String::as_str).collect();
    let mut hashes = HashMap::new();
    for member in &snapshot.members {
        let address = member.address.map(|address| names.text(address));
        let (Some(hash), true) = (member.hash, address.is_some_and(|is| wanted.contains(is)))
        else {
            continue;
        };
        hashes.insert(names.text(member.id).to_owned(), hash);
    }
    ProfilesNow { hashes, staging }
}

/// Names the fields that are read of people at a target.
pub(in crate::run) fn target_fields(mapping: &BoundMapping, handle: &Handle) -> Vec<String> {
    let mut fields = mapping.member_fields();
    // The spelling of the address, for requests that go by it.
    let schema = crate::provider::schema(handle.adapter.kind());
    let address = schema.by_canonical(ObjectKind::Member, "email");
    fields.extend(address.map(|field| field.wire.to_owned()));
    fields
}

/// Reads the fields of groups as they are stored now, by id.
pub(in crate::run) async fn groups_as_stored(
    handle: &Handle,
    ids: &BTreeSet<String>,
) -> Result<HashMap<String, Record>, RunError> {
    let rows = rows_of(handle, ids, true).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.wire)).collect())
}

/// Reads members, with the profiles that a mapping needs.
async fn read(
    handle: &Handle,
    rows: &[GroupRow],
    role: Role<'_>,
    mapping: Option<&BoundMapping>,
    names: &mut Names,
    stage: &mut dyn Stage,
) -> Result<Snapshot, RunError> {
    let (fields, salt) = match mapping {
        Some(mapping) => (target_fields(mapping, handle), mapping.salt()),
        None => Default::default(),
    };
    let mut builder = SnapshotBuilder::new(&handle.name, &salt, names, stage);
    let ask = MemberAsk {
        groups: rows,
        fields: &fields,
        role,
    };
    let reading = async {
        let members = handle.adapter.members(&ask, &mut builder).await;
        members.map_err(failed(handle))
    };
    unless_stopped(&handle.stop, reading).await?;
    // Whoever looks what stands wants to see what stands, whoever brought it about.
    Ok(builder.finish(
        Vec::new(),
        &crate::model::Certificate::of_the_end(),
        &mut TotalMeanings::all(),
        &OwnRemovals::default(),
    ))
}
