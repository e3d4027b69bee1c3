//! Changes of what is remembered, as a run confirms them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::Store;
use super::convert::{fields_to_json, json};
use super::error::{Fault, StateError};
use super::keys::{Key, Keys};
use super::ledger::{AudienceKey, PersonKey};
use super::members::{self, SeenAt};
use super::{base, carried, forget, jobs, keys, ledger};
use crate::model::{ObjectKind, RowHash, TotalMeanings, Value};
use crate::plan::base::{FactId, FieldBases, GroupLink, Origin};

/// One confirmed change of what is remembered. Ids are the providers' own, addresses are
/// normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Takes down whether the measure of a job was taken by a run of a mirror.
    Mirrored {
        /// The job.
        job: String,
        /// Whether it was.
        mirrored: bool,
    },
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
    /// Remembers a pair of people. Another target than before starts without a base; the former pair
    /// is remembered as such.
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
    /// Remembers that a group was archived by taking a run back.
    GroupPutAway {
        /// The account at which it is.
        account: String,
        /// The group's id.
        group: String,
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
    /// Notes of a membership that is remembered that it came about by taking a run back: the job did
    /// not bring it, and taking that back in turn ends it.
    MembershipPutBack {
        /// The job.
        job: String,
        /// The target group's id.
        group: String,
        /// The target person's id.
        member: String,
    },
    /// Notes of a membership that stays remembered whether a run found it at the target.
    MembershipMissing {
        /// The job.
        job: String,
        /// The target group's id.
        group: String,
        /// The target person's id.
        member: String,
        /// Whether it was not found at the target; else it was found again.
        missing: bool,
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
    /// Remembers a refusal at an account, for every job that writes there. It is not held, whatever
    /// was known before; one that is known by all these keys already is the same.
    Refusal {
        /// The account that is to obey it.
        account: String,
        /// By what the person is known.
        people: Vec<PersonKey>,
        /// By what the audience is known.
        audience: Vec<AudienceKey>,
        /// Who saw it where, in words.
        origin: String,
    },
    /// Remembers that a refusal is to be carried anew: from here on it is not held.
    RefusalAnew {
        /// The refusal.
        fact: FactId,
    },
    /// Remembers further keys of a refusal.
    RefusalKnownAs {
        /// The refusal.
        fact: FactId,
        /// By what else the person is known.
        people: Vec<PersonKey>,
        /// By what else the audience is known.
        audience: Vec<AudienceKey>,
    },
    /// Remembers that the target was seen to obey every refusal of a person that concerns a group,
    /// or the whole account, and as which contact.
    RefusalHeld {
        /// The account that obeys.
        account: String,
        /// The group's id; nothing for the whole account.
        group: Option<String>,
        /// By what else the group was known when the refusal was remembered: one that was created
        /// since had no id then.
        known_as: Vec<AudienceKey>,
        /// By what the person is known.
        people: Vec<PersonKey>,
    },
    /// Ends a refusal: the person was seen active at the target without rosterd's doing.
    RefusalEnded {
        /// The refusal.
        fact: FactId,
    },
    /// Remembers a value that a provider's object can't hold; nothing forgets it.
    Carried {
        /// The account.
        account: String,
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
        /// The account.
        account: String,
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
        /// The account.
        account: String,
        /// The group's id.
        group: String,
        /// The person's id.
        member: String,
    },
    /// Replaces the meanings that are left for an account's count of a group.
    Meanings {
        /// The account.
        account: String,
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
    let forgotten = ledger::forgotten(connection)?;
    let mut keys = Keys::new(connection);
    let mut seen_at = SeenAt::default();
    for change in changes {
        if let Some(change) = forget::without_forgotten(connection, change, &forgotten)? {
            apply_one(&mut keys, &mut seen_at, &change)?;
        }
    }
    Ok(())
}

fn apply_one(keys: &mut Keys<'_>, seen_at: &mut SeenAt, change: &Change) -> Result<(), Fault> {
    let connection = keys.connection;
    match change {
        Change::Mirrored { job, mirrored } => {
            connection
                .prepare_cached("UPDATE jobs SET mirrored = ?2 WHERE name = ?1")?
                .execute((job, mirrored))?;
        }
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
            connection
                .prepare_cached(
                    "DELETE FROM put_away WHERE group_id = ?2 AND account = (SELECT target_account FROM jobs WHERE name = ?1)",
                )?
                .execute((job, &link.target))?;
        }
        Change::GroupPutAway { account, group } => {
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO put_away (account, group_id) VALUES (?1, ?2)",
                )?
                .execute((account, group))?;
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
            let (job, source) = (keys.job(job)?, keys.key(source)?);
            let pair = (keys.key(target)?, keys.key(address)?);
            match pair_of(connection, job, source)? {
                Some((known, _)) => {
                    keep_former(connection, job, source, Some(pair))?;
                    if known != pair.0 {
                        connection
                            .prepare_cached(
                                "DELETE FROM member_links WHERE job = ?1 AND source = ?2",
                            )?
                            .execute((job, source))?;
                    }
                }
                None => no_former(connection, job, source, pair)?,
            }
            connection
                .prepare_cached(
                    "INSERT INTO member_links (job, source, target, address, origin) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET address = excluded.address, origin = excluded.origin",
                )?
                .execute((job, source, pair.0, pair.1, base::origin_number(*origin)))?;
        }
        Change::MemberBase {
            job,
            source,
            address,
            source_hash,
            target_hash,
            fields,
        } => {
            let (job, source) = (keys.job(job)?, keys.key(source)?);
            let Some((target, known)) = pair_of(connection, job, source)? else {
                return Ok(());
            };
            let address = keys.key(address)?;
            if known != address {
                keep_former(connection, job, source, Some((target, address)))?;
            }
            connection
                .prepare_cached("UPDATE member_links SET address = ?3, source_hash = ?4, target_hash = ?5 WHERE job = ?1 AND source = ?2")?
                .execute((job, source, address, source_hash.cast_signed(), target_hash.cast_signed()))?;
            connection
                .prepare_cached("INSERT OR REPLACE INTO member_fields (job, source, fields) VALUES (?1, ?2, ?3)")?
                .execute((job, source, keys.pack(fields)?))?;
        }
        Change::MemberRemovedByUs {
            job,
            target,
            removed,
        } => {
            let Some(target) = keys::find(connection, target)? else {
                return Ok(());
            };
            let job = keys.job(job)?;
            connection
                .prepare_cached(
                    "UPDATE member_links INDEXED BY member_links_target SET removed_by_us = ?3
                     WHERE job = ?1 AND target = ?2 AND removed_by_us <> ?3",
                )?
                .execute((job, target, removed))?;
        }
        Change::UnlinkMember { job, source } => {
            let Some(source) = keys::find(connection, source)? else {
                return Ok(());
            };
            let job = keys.job(job)?;
            keep_former(connection, job, source, None)?;
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
            let (job, group, member) = (keys.job(job)?, keys.key(group)?, keys.key(member)?);
            let was_missing: bool = connection
                .prepare_cached(
                    "INSERT INTO memberships (job, group_id, member, brought, since) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET brought = max(brought, excluded.brought) RETURNING missing IS NOT NULL",
                )?
                .query_row((job, group, member, brought, seen_at.of(connection, job)?), |row| row.get(0))?;
            if was_missing {
                members::found(connection, job, group, member, seen_at)?;
            }
        }
        Change::MembershipPutBack { job, group, member } => {
            let key = (keys.job(job)?, keys.key(group)?, keys.key(member)?);
            connection
                .prepare_cached(
                    "UPDATE memberships SET put_back = 1 WHERE job = ?1 AND group_id = ?2 AND member = ?3",
                )?
                .execute(key)?;
        }
        Change::MembershipMissing {
            job,
            group,
            member,
            missing,
        } => {
            let find = |text| keys::find(connection, text);
            let (Some(group), Some(member)) = (find(group)?, find(member)?) else {
                return Ok(());
            };
            let job = keys.job(job)?;
            if *missing {
                members::missed(connection, job, group, member, seen_at)?;
            } else {
                members::found(connection, job, group, member, seen_at)?;
            }
        }
        Change::MembershipGone { job, group, member } => {
            let find = |text| keys::find(connection, text);
            let (Some(group), Some(member)) = (find(group)?, find(member)?) else {
                return Ok(());
            };
            let job = keys.job(job)?;
            members::keep_past(connection, job, group, member, seen_at.of(connection, job)?)?;
            connection
                .prepare_cached(
                    "DELETE FROM memberships WHERE job = ?1 AND group_id = ?2 AND member = ?3",
                )?
                .execute((job, group, member))?;
        }
        Change::Refusal {
            account,
            people,
            audience,
            origin,
        } => ledger::refuse(connection, account, people, audience, origin)?,
        Change::RefusalAnew { fact } => ledger::hold(connection, fact.0, None)?,
        Change::RefusalKnownAs {
            fact,
            people,
            audience,
        } => ledger::know_as(connection, fact.0, people, audience)?,
        Change::RefusalHeld {
            account,
            group,
            known_as,
            people,
        } => ledger::hold_all(connection, account, group.as_deref(), known_as, people)?,
        Change::RefusalEnded { fact } => ledger::end(connection, fact.0)?,
        Change::Carried {
            account,
            object,
            id,
            field,
            value,
        } => match value {
            Some(value) => {
                connection
                    .prepare_cached("INSERT OR REPLACE INTO carried (account, object, id, field, value) VALUES (?1, ?2, ?3, ?4, ?5)")?
                    .execute((account, object.as_str(), id, field, json(value)))?;
            }
            None => {
                connection
                    .prepare_cached("DELETE FROM carried WHERE account = ?1 AND object = ?2 AND id = ?3 AND field = ?4")?
                    .execute((account, object.as_str(), id, field))?;
            }
        },
        Change::OwnRemoval {
            account,
            group,
            member,
            address,
            shown,
            since,
        } => ledger::remove(
            connection,
            account,
            (group, member),
            address,
            *shown,
            *since,
        )?,
        Change::OwnRemovalEnded {
            account,
            group,
            member,
        } => ledger::end_removal(connection, account, (group, member))?,
        Change::Meanings { account, meanings } => {
            carried::replace_meanings(connection, account, meanings)?;
        }
    }
    Ok(())
}

/// Keeps the pair that a source person is in, before it goes or another target or address takes its
/// place; the pair that comes is no former one.
fn keep_former(
    connection: &Connection,
    job: i64,
    source: Key,
    new: Option<(Key, Key)>,
) -> Result<(), Fault> {
    let (target, address) = new.unzip();
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO former_links (job, source, target, address)
                 SELECT job, source, target, address FROM member_links
                 WHERE job = ?1 AND source = ?2 AND (target IS NOT ?3 OR address IS NOT ?4)",
        )?
        .execute((job, source, target, address))?;
    new.map_or(Ok(()), |new| no_former(connection, job, source, new))
}

/// Forgets that the pair of a source person, by target and address, is a former one.
fn no_former(
    connection: &Connection,
    job: i64,
    source: Key,
    (target, address): (Key, Key),
) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "DELETE FROM former_links WHERE job = ?1 AND source = ?2 AND target = ?3 AND address = ?4",
        )?
        .execute((job, source, target, address))?;
    Ok(())
}

/// Returns the target and the address of the pair that a source person is in.
fn pair_of(connection: &Connection, job: i64, source: Key) -> Result<Option<(Key, Key)>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT target, address FROM member_links WHERE job = ?1 AND source = ?2",
    )?;
    let pair = select.query_row((job, source), |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(pair.optional()?)
}

/// Forgets a pair of groups, and the memberships of its target group unless another pair of the job
/// still has it.
pub(super) fn unlink_group(connection: &Connection, job: &str, source: &str) -> Result<(), Fault> {
    let of = |sql| -> Result<Vec<String>, Fault> {
        let mut select = connection.prepare_cached(sql)?;
        let rows = select.query_map((job, source), |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    };
    let still = of("SELECT target FROM group_links WHERE job = ?1 AND source <> ?2")?;
    for target in of("SELECT target FROM group_links WHERE job = ?1 AND source = ?2")? {
        if still.contains(&target) {
            continue;
        }
        let (Some(id), Some(group)) = (
            jobs::id_of(connection, job)?,
            keys::find(connection, &target)?,
        ) else {
            continue;
        };
        members::keep_all_past(connection, id, group, SeenAt::default().of(connection, id)?)?;
        connection
            .prepare_cached("DELETE FROM memberships WHERE job = ?1 AND group_id = ?2 /* walks: all that the group has goes */")?
            .execute((id, group))?;
    }
    connection
        .prepare_cached("DELETE FROM group_links WHERE job = ?1 AND source = ?2")?
        .execute((job, source))?;
    Ok(())
}
