//! Changes of what is remembered, as a run confirms them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::Connection;

use super::Store;
use super::carried;
use super::convert::{fields_to_json, json, stamp};
use super::early::{self, EarlyKey};
use super::error::{Fault, StateError};
use super::forget;
use crate::model::{ObjectKind, RowHash, TotalMeanings, Value};
use crate::plan::base::{FieldBases, GroupLink, Origin};

/// One confirmed change of what is remembered. Ids are the providers' own, addresses are
/// normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Remembers a pair of groups, replacing an earlier pair of the same source group.
    LinkGroup {
        /// The job.
        job: String,
        /// The pair.
        link: GroupLink,
    },
    /// Forgets a pair of groups and the memberships of its target group.
    UnlinkGroup {
        /// The job.
        job: String,
        /// The source group's id.
        source: String,
    },
    /// Replaces the fields of a linked group; nothing happens where there is no link.
    GroupFields {
        /// The job.
        job: String,
        /// The source group's id.
        source: String,
        /// All fields.
        fields: FieldBases,
        /// The source group's name.
        name: String,
    },
    /// Remembers a pair of people. Another target than before starts without a base.
    LinkMember {
        /// The job.
        job: String,
        /// The source person's id.
        source: String,
        /// The target person's id.
        target: String,
        /// The address.
        address: String,
        /// How the pair came about.
        origin: Origin,
    },
    /// Replaces the base of a linked person; nothing happens where there is no link.
    MemberBase {
        /// The job.
        job: String,
        /// The source person's id.
        source: String,
        /// The address.
        address: String,
        /// The fingerprint of the source's profile.
        source_hash: RowHash,
        /// The fingerprint of the target's profile.
        target_hash: RowHash,
        /// All fields.
        fields: FieldBases,
    },
    /// Remembers whether rosterd's own removal was the last thing that happened to a person at the
    /// target.
    MemberRemovedByUs {
        /// The job.
        job: String,
        /// The target person's id.
        target: String,
        /// Whether it was.
        removed: bool,
    },
    /// Forgets a pair of people.
    UnlinkMember {
        /// The job.
        job: String,
        /// The source person's id.
        source: String,
    },
    /// Remembers a membership; one that the job brought stays so.
    Membership {
        /// The job.
        job: String,
        /// The target group's id.
        group: String,
        /// The target person's id.
        member: String,
        /// Whether the job brought it.
        brought: bool,
    },
    /// Forgets a membership.
    MembershipGone {
        /// The job.
        job: String,
        /// The target group's id.
        group: String,
        /// The target person's id.
        member: String,
    },
    /// Remembers a refusal at a target account, for every job that writes there. It is not held
    /// there, whatever was known before.
    Bar {
        /// The target provider.
        provider: String,
        /// The target group's id; nothing bars the whole account.
        group: Option<String>,
        /// The address.
        address: String,
        /// Where it was seen.
        origin: String,
    },
    /// Remembers a refusal of a source group that has no partner at the target yet: a link turns it
    /// into one of the target group.
    EarlyBar {
        /// The target provider.
        provider: String,
        /// The job that saw it.
        job: String,
        /// The source group's id.
        source: String,
        /// The name that the partner is to have, folded for comparison.
        name: String,
        /// The address.
        address: String,
        /// Where it was seen.
        origin: String,
    },
    /// Remembers that the target was seen to obey a refusal; nothing happens where none is
    /// remembered.
    BarHeld {
        /// The target provider.
        provider: String,
        /// The target group's id; nothing for the bar of the whole account.
        group: Option<String>,
        /// The address.
        address: String,
    },
    /// Forgets a refusal: the person was seen active at the target without rosterd's doing.
    EndBar {
        /// The target provider.
        provider: String,
        /// The target group's id; nothing for the bar of the whole account.
        group: Option<String>,
        /// The address.
        address: String,
    },
    /// Remembers a value that a provider's object can't hold; nothing forgets it.
    Carried {
        /// The provider.
        provider: String,
        /// The kind of the object.
        object: ObjectKind,
        /// The object's id.
        id: String,
        /// The canonical field.
        field: String,
        /// The value.
        value: Option<Value>,
    },
    /// Remembers that a membership shows as refused because rosterd itself took the person out.
    OwnRemoval {
        /// The provider.
        provider: String,
        /// The group's id.
        group: String,
        /// The person's id.
        member: String,
        /// The address.
        address: String,
        /// The time of the refusal as the provider shows it, in seconds since 1970.
        shown: Option<i64>,
        /// When the removal was confirmed.
        since: Timestamp,
    },
    /// Forgets a removal of rosterd's own: from here on what shows is the person's.
    OwnRemovalEnded {
        /// The provider.
        provider: String,
        /// The group's id.
        group: String,
        /// The person's id.
        member: String,
    },
    /// Replaces the meanings that are left for a provider's count of a group.
    Meanings {
        /// The provider.
        provider: String,
        /// The meanings.
        meanings: BTreeSet<TotalMeanings>,
    },
}

impl Store {
    /// Remembers changes, all or none of them, in their order.
    pub fn record(&self, changes: &[Change]) -> Result<(), StateError> {
        self.write(|connection| apply(connection, changes))
    }
}

/// Makes changes inside a transaction, except those that would store a forgotten person again.
pub(super) fn apply(connection: &Connection, changes: &[Change]) -> Result<(), Fault> {
    if changes.is_empty() {
        return Ok(());
    }
    let forgotten = forget::load(connection)?;
    for change in changes
        .iter()
        .filter(|change| !forget::names_forgotten(change, &forgotten))
    {
        apply_one(connection, change)?;
    }
    Ok(())
}

fn apply_one(connection: &Connection, change: &Change) -> Result<(), Fault> {
    match change {
        Change::LinkGroup { job, link } => {
            connection
                .prepare_cached(
                    "INSERT INTO group_links (job, source, target, origin, protect_set, name, fields) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                     ON CONFLICT DO UPDATE SET target = excluded.target, origin = excluded.origin, protect_set = excluded.protect_set,
                         name = excluded.name, fields = excluded.fields",
                )?
                .execute((
                    job,
                    &link.source,
                    &link.target,
                    link.origin.as_str(),
                    link.protect_set,
                    &link.name,
                    fields_to_json(&link.fields),
                ))?;
            early::bind(connection, job, link)?;
        }
        Change::UnlinkGroup { job, source } => unlink_group(connection, job, source)?,
        Change::GroupFields {
            job,
            source,
            fields,
            name,
        } => {
            connection
                .prepare_cached(
                    "UPDATE group_links SET fields = ?3, name = ?4 WHERE job = ?1 AND source = ?2",
                )?
                .execute((job, source, fields_to_json(fields), name))?;
        }
        Change::LinkMember {
            job,
            source,
            target,
            address,
            origin,
        } => {
            refusals_follow(connection, job, source, address)?;
            connection
                .prepare_cached(
                    "DELETE FROM member_links WHERE job = ?1 AND source = ?2 AND target <> ?3",
                )?
                .execute((job, source, target))?;
            connection
                .prepare_cached(
                    "INSERT INTO member_links (job, source, target, address, origin) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET address = excluded.address, origin = excluded.origin",
                )?
                .execute((job, source, target, address, origin.as_str()))?;
        }
        Change::MemberBase {
            job,
            source,
            address,
            source_hash,
            target_hash,
            fields,
        } => {
            refusals_follow(connection, job, source, address)?;
            let linked = connection
                .prepare_cached("UPDATE member_links SET address = ?3, source_hash = ?4, target_hash = ?5 WHERE job = ?1 AND source = ?2")?
                .execute((job, source, address, source_hash.cast_signed(), target_hash.cast_signed()))?;
            if linked > 0 {
                connection.prepare_cached("INSERT OR REPLACE INTO member_fields (job, source, fields) VALUES (?1, ?2, ?3)")?.execute((
                    job,
                    source,
                    fields_to_json(fields),
                ))?;
            }
        }
        Change::MemberRemovedByUs {
            job,
            target,
            removed,
        } => {
            connection
                .prepare_cached(
                    "UPDATE member_links SET removed_by_us = ?3 WHERE job = ?1 AND target = ?2",
                )?
                .execute((job, target, removed))?;
        }
        Change::UnlinkMember { job, source } => {
            connection
                .prepare_cached("DELETE FROM member_links WHERE job = ?1 AND source = ?2")?
                .execute((job, source))?;
        }
        Change::Membership {
            job,
            group,
            member,
            brought,
        } => {
            connection
                .prepare_cached(
                    "INSERT INTO memberships (job, group_id, member, brought) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET brought = max(brought, excluded.brought)",
                )?
                .execute((job, group, member, brought))?;
        }
        Change::MembershipGone { job, group, member } => {
            connection
                .prepare_cached(
                    "DELETE FROM memberships WHERE job = ?1 AND group_id = ?2 AND member = ?3",
                )?
                .execute((job, group, member))?;
        }
        Change::Bar {
            provider,
            group,
            address,
            origin,
        } => {
            connection
                .prepare_cached(
                    "INSERT INTO bars (provider, group_id, address, origin) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET held = 0",
                )?
                .execute((provider, group.as_deref().unwrap_or_default(), address, origin))?;
        }
        Change::EarlyBar {
            provider,
            job,
            source,
            name,
            address,
            origin,
        } => {
            early::remember(
                connection,
                provider,
                &EarlyKey { job, source, name },
                address,
                origin,
            )?;
        }
        Change::BarHeld {
            provider,
            group,
            address,
        } => {
            connection.prepare_cached("UPDATE bars SET held = 1 WHERE provider = ?1 AND group_id = ?2 AND address = ?3")?.execute((
                provider,
                group.as_deref().unwrap_or_default(),
                address,
            ))?;
        }
        Change::EndBar {
            provider,
            group,
            address,
        } => {
            connection
                .prepare_cached(
                    "DELETE FROM bars WHERE provider = ?1 AND group_id = ?2 AND address = ?3",
                )?
                .execute((provider, group.as_deref().unwrap_or_default(), address))?;
        }
        Change::Carried {
            provider,
            object,
            id,
            field,
            value,
        } => match value {
            Some(value) => {
                connection
                    .prepare_cached("INSERT OR REPLACE INTO carried (provider, object, id, field, value) VALUES (?1, ?2, ?3, ?4, ?5)")?
                    .execute((provider, object.as_str(), id, field, json(value)))?;
            }
            None => {
                connection
                    .prepare_cached("DELETE FROM carried WHERE provider = ?1 AND object = ?2 AND id = ?3 AND field = ?4")?
                    .execute((provider, object.as_str(), id, field))?;
            }
        },
        Change::OwnRemoval {
            provider,
            group,
            member,
            address,
            shown,
            since,
        } => {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO own_removals (provider, group_id, member, address, shown, since)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute((provider, group, member, address, shown, stamp(*since)))?;
        }
        Change::OwnRemovalEnded {
            provider,
            group,
            member,
        } => {
            connection
                .prepare_cached("DELETE FROM own_removals WHERE provider = ?1 AND group_id = ?2 AND member = ?3")?
                .execute((provider, group, member))?;
        }
        Change::Meanings { provider, meanings } => {
            carried::replace_meanings(connection, provider, meanings)?
        }
    }
    Ok(())
}

/// Has the refusals of a linked person stand under a new address as well, before the link forgets
/// the old one. Nobody has seen the target obey them under it.
fn refusals_follow(
    connection: &Connection,
    job: &str,
    source: &str,
    address: &str,
) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO bars (provider, group_id, address, origin, held)
                 SELECT bars.provider, bars.group_id, ?3, bars.origin, 0
                 FROM member_links
                     JOIN jobs ON jobs.name = member_links.job
                     JOIN bars ON bars.provider = jobs.target_provider AND bars.address = member_links.address
                 WHERE member_links.job = ?1 AND member_links.source = ?2 AND member_links.address <> ?3",
        )?
        .execute((job, source, address))?;
    Ok(())
}

/// Forgets a pair of groups, and the memberships of its target group unless another pair of the job
/// still has it.
pub(super) fn unlink_group(connection: &Connection, job: &str, source: &str) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "DELETE FROM memberships WHERE job = ?1
                 AND group_id IN (SELECT target FROM group_links WHERE job = ?1 AND source = ?2)
                 AND group_id NOT IN (SELECT target FROM group_links WHERE job = ?1 AND source <> ?2)",
        )?
        .execute((job, source))?;
    connection
        .prepare_cached("DELETE FROM group_links WHERE job = ?1 AND source = ?2")?
        .execute((job, source))?;
    Ok(())
}
