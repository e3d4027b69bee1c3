//! Reads back what was written: an answer of OK proves nothing (rule 9).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::accounts::Handle;
use super::{RunError, staging_error};
use crate::http::CallError;
use crate::model::{
    Existence, GroupRow, Join, MemberStatus, MembershipState, Names, OwnRemovals, Reading, Record,
    Snapshot, SnapshotBuilder, Stage, TotalMeanings,
};
use crate::provider::{MemberAsk, ReadError, Role};
use crate::state::Staging;

/// Who is in a group, by id and by address, and whether that is everybody.
pub(super) struct GroupNow {
    pub(super) by_id: HashMap<String, MembershipState>,
    pub(super) by_address: HashMap<String, Vec<(String, MembershipState)>>,
    /// When people refused, by id, in seconds since 1970, where the provider shows it.
    pub(super) refused_at: HashMap<String, i64>,
    pub(super) whole: bool,
    /// Why it is not.
    pub(super) why: String,
}

impl GroupNow {
    /// A group of which nothing could be read.
    fn unread(why: String) -> GroupNow {
        GroupNow {
            by_id: HashMap::new(),
            by_address: HashMap::new(),
            refused_at: HashMap::new(),
            whole: false,
            why,
        }
    }
}

/// A person as the account holds it now.
#[derive(Clone, Debug)]
pub(super) struct PersonNow {
    pub(super) id: String,
    pub(super) status: MemberStatus,
}

/// The people behind addresses, and whether those who were not found are known not to exist.
pub(super) struct PeopleNow {
    pub(super) by_address: BTreeMap<String, Vec<PersonNow>>,
    pub(super) whole: bool,
}

/// Keeps nothing: a check looks at ids and states only.
struct Nothing;

impl Stage for Nothing {
    fn put(&mut self, _id: &str, _record: &Record) -> Result<(), String> {
        Ok(())
    }
}

fn failed(handle: &Handle) -> impl Fn(ReadError) -> RunError + '_ {
    |error| RunError::Write {
        provider: handle.name.clone(),
        why: format!("what was written could not be read back: {error}"),
    }
}

/// Tells whether an error says something of one group alone, so that the next one may be read.
fn is_of_one_group(error: &ReadError) -> bool {
    matches!(
        error,
        ReadError::Call(
            CallError::Refused { .. }
                | CallError::Denied { .. }
                | CallError::Protocol { .. }
                | CallError::TooLarge { .. }
        )
    )
}

fn vanished(id: &str) -> GroupNow {
    GroupNow::unread(format!("the group {id} has vanished"))
}

/// Lists a group as it is now; one that can't be read alone is not whole.
pub(super) async fn group_now(handle: &Handle, id: &str) -> Result<GroupNow, RunError> {
    let row = match handle.adapter.group(id).await {
        Ok(Some(row)) => row,
        Ok(None) => return Ok(vanished(id)),
        Err(error) if is_of_one_group(&error) => return Ok(GroupNow::unread(error.to_string())),
        Err(error) => return Err(failed(handle)(error)),
    };
    let mut names = Names::new();
    let mut stage = Nothing;
    let snapshot = read(handle, &[row], Role::Check, &mut names, &mut stage).await?;
    Ok(listed_now(&snapshot, id, &names))
}

/// Lists several groups as they are now, for which one reading may be enough.
pub(super) async fn groups_now(
    handle: &Handle,
    ids: &BTreeSet<String>,
) -> Result<HashMap<String, GroupNow>, RunError> {
    let mut seen = HashMap::new();
    if handle.capabilities.join != Join::PerRow || ids.len() < 2 {
        for id in ids {
            seen.insert(id.clone(), group_now(handle, id).await?);
        }
        return Ok(seen);
    }
    let (mut rows, _) = handle
        .adapter
        .groups(&|_, _| false)
        .await
        .map_err(failed(handle))?;
    rows.retain(|row| ids.contains(&row.id));
    let mut names = Names::new();
    let mut stage = Nothing;
    let snapshot = read(handle, &rows, Role::Check, &mut names, &mut stage).await?;
    seen.extend(ids.iter().map(|id| {
        let there = rows.iter().any(|row| row.id == *id);
        let now = if there {
            listed_now(&snapshot, id, &names)
        } else {
            vanished(id)
        };
        (id.clone(), now)
    }));
    Ok(seen)
}

fn listed_now(snapshot: &Snapshot, id: &str, names: &Names) -> GroupNow {
    let mut now = GroupNow::unread("it was not listed".to_owned());
    if let Some(listing) = snapshot.listing(id) {
        now.whole = matches!(listing, Reading::Complete(_));
        now.why = listing.why_incomplete().join("; ");
        for row in &listing.seen().rows {
            let member = &snapshot.members[row.member as usize];
            let id = names.text(member.id).to_owned();
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
pub(super) async fn people_now(
    handle: &Handle,
    addresses: &[String],
) -> Result<PeopleNow, RunError> {
    let mut names = Names::new();
    let mut staging = Staging::new().map_err(staging_error)?;
    let snapshot = read(
        handle,
        &[],
        Role::Target { wanted: addresses },
        &mut names,
        &mut staging,
    )
    .await?;
    let wanted: std::collections::HashSet<&str> = addresses.iter().map(String::as_str).collect();
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
    let whole = wanted
        .iter()
        .all(|address| by_address.contains_key(*address) || absent(address));
    Ok(PeopleNow { by_address, whole })
}

async fn read(
    handle: &Handle,
    rows: &[GroupRow],
    role: Role<'_>,
    names: &mut Names,
    stage: &mut dyn Stage,
) -> Result<Snapshot, RunError> {
    let mut builder = SnapshotBuilder::new(&handle.name, "", names, stage);
    let ask = MemberAsk {
        groups: rows,
        fields: &[],
        role,
    };
    handle
        .adapter
        .members(&ask, &mut builder)
        .await
        .map_err(failed(handle))?;
    // Whoever looks what stands wants to see what stands, whoever brought it about.
    Ok(builder.finish(
        Vec::new(),
        &crate::model::Certificate::default(),
        &mut TotalMeanings::all(),
        &OwnRemovals::default(),
    ))
}
