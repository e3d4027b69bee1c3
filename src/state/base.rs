//! Loading what the last confirmed run of a job left behind.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::Store;
use super::convert::{fields_from_json, optional_count, stamp, word};
use super::error::{Fault, StateError};
use super::keys::{Key, Texts};
use super::{jobs, keys, ledger};
use crate::model::{Names, RowHash};
use crate::plan::base::{
    Base, BaseMembership, FieldBases, FormerLink, GroupLink, Measure, MemberLink, Origin, Resting,
};

impl Store {
    /// Loads the base of a job, what other jobs hold at the same target, and what is remembered of
    /// the consent of people there.
    ///
    /// The job is taken down with its accounts when it is new. `now` decides which refused items
    /// still wait.
    ///
    /// # Errors
    /// [`StateError::JobMoved`] when the job is remembered with other accounts.
    pub fn load_base(
        &self,
        job: &str,
        source_account: &str,
        target_account: &str,
        now: Timestamp,
        names: &mut Names,
    ) -> Result<Base, StateError> {
        if self.read_only {
            self.read(|connection| {
                jobs::check_accounts(connection, job, source_account, target_account)
            })?;
        } else {
            self.write(|connection| {
                jobs::register(connection, job, source_account, target_account)
            })?;
        }
        self.read(|connection| {
            let mut base = Base { groups: links(connection, job)?, ..Base::default() };
            if let Some(id) = jobs::id_of(connection, job)? {
                let mut texts = Texts::new(connection);
                load_members(connection, id, &mut texts, names, &mut base)?;
                load_memberships(connection, id, &mut texts, names, &mut base)?;
                base.former = former_links(connection, id, &mut texts, names)?;
            }
            load_others(connection, job, target_account, names, &mut base)?;
            base.ledger = ledger::load(connection, target_account, source_account, names)?;
            base.forgotten = ledger::forgotten(connection)?;
            source_account.clone_into(&mut base.source_account);
            target_account.clone_into(&mut base.target_account);
            base.resting = resting(connection, job, now)?;
            base.put_away = connection
                .prepare_cached("SELECT group_id FROM put_away WHERE account = ?1")?
                .query_map([target_account], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let remembered = connection
                .prepare_cached("SELECT last_writing_run, measure_groups, measure_memberships, mirrored, completed FROM jobs WHERE name = ?1")?
                .query_row([job], |row| Ok((row.get(0)?, optional_count(row, 1)?, optional_count(row, 2)?, row.get(3)?, row.get::<_, bool>(4)?)))
                .optional()?;
            if let Some((run, groups, memberships, mirrored, completed)) = remembered {
                base.first_run_is_open = !completed;
                base.mirrored = mirrored;
                base.last_writing_run = run;
                base.measure = groups.zip(memberships).map(|(groups, memberships)| Measure { groups, memberships });
            }
            Ok(base)
        })
    }

    /// Returns the fields of a linked person at the end of the last confirmed run; empty when none
    /// are remembered.
    pub fn member_fields(&self, job: &str, source_id: &str) -> Result<FieldBases, StateError> {
        let fields = self.fields_of_members(job, &[source_id])?.pop();
        Ok(fields.unwrap_or_default())
    }

    /// Returns what other jobs remember of the fields of a contact at their common target account.
    pub fn fields_of_others(
        &self,
        job: &str,
        target_account: &str,
        contact: &str,
    ) -> Result<Vec<FieldBases>, StateError> {
        self.read(|connection| {
            let Some(contact) = keys::find(connection, contact)? else {
                return Ok(Vec::new());
            };
            let mut texts = Texts::new(connection);
            let mut select = connection.prepare_cached(
                "SELECT stored.fields FROM jobs
                     CROSS JOIN member_links AS link INDEXED BY member_links_target ON link.job = jobs.id AND link.target = ?3
                     CROSS JOIN member_fields AS stored ON stored.job = link.job AND stored.source = link.source
                 WHERE jobs.target_account = ?1 AND jobs.name <> ?2",
            )?;
            let mut rows = select.query((target_account, job, contact))?;
            let mut fields = Vec::new();
            while let Some(row) = rows.next()? {
                fields.push(texts.unpack(blob(row, 0)?)?);
            }
            Ok(fields)
        })
    }

    /// Returns the same of several people, in their order.
    pub fn fields_of_members(
        &self,
        job: &str,
        source_ids: &[&str],
    ) -> Result<Vec<FieldBases>, StateError> {
        self.read(|connection| {
            let job = jobs::id_of(connection, job)?;
            let mut texts = Texts::new(connection);
            let mut select = connection.prepare_cached(
                "SELECT fields FROM member_fields WHERE job = ?1 AND source = ?2",
            )?;
            let mut fields = Vec::with_capacity(source_ids.len());
            for source_id in source_ids {
                let source = keys::find(connection, source_id)?;
                let mut rows = select.query((job, source))?;
                fields.push(match rows.next()? {
                    Some(row) => texts.unpack(blob(row, 0)?)?,
                    None => FieldBases::new(),
                });
            }
            Ok(fields)
        })
    }

    /// Tells whether any job, configured still or not, links groups of an account.
    pub fn has_group_links(&self, account: &str) -> Result<bool, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM jobs JOIN group_links ON group_links.job = jobs.name
                 WHERE jobs.source_account = ?1 OR jobs.target_account = ?1)",
            )?;
            Ok(select.query_row([account], |row| row.get(0))?)
        })
    }

    /// Counts the memberships of a job by the target group's id: those that the job brought, and all
    /// that its last run knew.
    pub fn memberships_by_group(
        &self,
        job: &str,
    ) -> Result<BTreeMap<String, (u64, u64)>, StateError> {
        self.read(|connection| {
            let job = jobs::id_of(connection, job)?;
            let mut texts = Texts::new(connection);
            let mut select = connection.prepare_cached(
                "SELECT group_id, sum(brought), count(*) FROM memberships WHERE job = ?1
                 GROUP BY group_id /* walks: all memberships of the job are counted */",
            )?;
            let tally = |row: &rusqlite::Row<'_>, column| {
                Ok::<_, Fault>(optional_count(row, column)?.unwrap_or(0))
            };
            let mut rows = select.query([job])?;
            let mut counts = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let group = texts.of(row.get(0)?)?.to_owned();
                counts.insert(group, (tally(row, 1)?, tally(row, 2)?));
            }
            Ok(counts)
        })
    }

    /// Returns the pairs of groups of a job, in ascending order of the source's id.
    pub fn links(&self, job: &str) -> Result<Vec<GroupLink>, StateError> {
        self.read(|connection| links(connection, job))
    }
}

fn links(connection: &Connection, job: &str) -> Result<Vec<GroupLink>, Fault> {
    let mut select = connection
        .prepare_cached("SELECT source, target, origin, protect_set, name, fields FROM group_links WHERE job = ?1 ORDER BY source")?;
    let rows = select.query_map([job], |row| {
        Ok(GroupLink {
            source: row.get(0)?,
            target: row.get(1)?,
            origin: word(row, 2, Origin::parse)?,
            protect_set: row.get(3)?,
            name: row.get(4)?,
            fields: fields_from_json(row, 5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn load_members(
    connection: &Connection,
    job: i64,
    texts: &mut Texts<'_>,
    names: &mut Names,
    base: &mut Base,
) -> Result<(), Fault> {
    let mut select = connection.prepare_cached(
        "SELECT link.source, link.target, address.text, link.origin, link.source_hash, link.target_hash, link.removed_by_us
         FROM member_links AS link LEFT JOIN texts AS address ON address.id = -link.address
         WHERE link.job = ?1 /* walks: a run loads the base of its job whole */",
    )?;
    let mut rows = select.query([job])?;
    while let Some(row) = rows.next()? {
        base.members.push(MemberLink {
            source: texts.intern(row.get(0)?, names)?,
            target: texts.intern(row.get(1)?, names)?,
            address: names.intern(text(row, 2)?),
            origin: origin(row.get(3)?),
            source_hash: hash(row, 4)?,
            target_hash: hash(row, 5)?,
            removed_by_us: row.get(6)?,
        });
    }
    base.members.sort_unstable_by_key(|link| link.source);
    Ok(())
}

fn load_memberships(
    connection: &Connection,
    job: i64,
    texts: &mut Texts<'_>,
    names: &mut Names,
    base: &mut Base,
) -> Result<(), Fault> {
    // In the order of the key, so that each group is one stretch of rows.
    let mut select =
        connection.prepare_cached("SELECT group_id, member, brought FROM memberships WHERE job = ?1 ORDER BY group_id, member /* walks: a run loads the base of its job whole */")?;
    let mut rows = select.query([job])?;
    let mut open: Option<(Key, Vec<BaseMembership>)> = None;
    let mut close = |(group, members), texts: &mut Texts<'_>| {
        let group = texts.of(group)?.to_owned();
        base.memberships.insert(group, members);
        Ok::<_, Fault>(())
    };
    while let Some(row) = rows.next()? {
        let group: Key = row.get(0)?;
        if open.as_ref().is_none_or(|(known, _)| *known != group)
            && let Some(closed) = open.replace((group, Vec::new()))
        {
            close(closed, texts)?;
        }
        if let Some((_, members)) = &mut open {
            members.push(BaseMembership {
                member: texts.intern(row.get(1)?, names)?,
                brought: row.get(2)?,
            });
        }
    }
    if let Some(closed) = open {
        close(closed, texts)?;
    }
    for members in base.memberships.values_mut() {
        members.sort_unstable();
    }
    let mut select = connection.prepare_cached(
        "SELECT group_id, member FROM memberships WHERE job = ?1 AND put_back = 1 /* walks: all who were put back by taking a run back */",
    )?;
    let mut rows = select.query([job])?;
    while let Some(row) = rows.next()? {
        let (group, member) = (texts.of(row.get(0)?)?.to_owned(), row.get(1)?);
        let member = texts.intern(member, names)?;
        base.put_back.entry(group).or_default().insert(member);
    }
    Ok(())
}

fn load_others(
    connection: &Connection,
    job: &str,
    target_account: &str,
    names: &mut Names,
    base: &mut Base,
) -> Result<(), Fault> {
    let mut select = connection.prepare_cached(
        "SELECT memberships.group_id, memberships.member FROM jobs JOIN memberships ON memberships.job = jobs.id
         WHERE jobs.target_account = ?1 AND jobs.name <> ?2 /* walks: a run loads the base of its job whole */",
    )?;
    let mut texts = Texts::new(connection);
    let mut rows = select.query((target_account, job))?;
    while let Some(row) = rows.next()? {
        let member = texts.intern(row.get(1)?, names)?;
        let group = texts.of(row.get(0)?)?;
        match base.held_by_others.get_mut(group) {
            Some(members) => {
                members.insert(member);
            }
            None => {
                base.held_by_others
                    .insert(group.to_owned(), [member].into());
            }
        }
    }
    let mut select = connection.prepare_cached(
        "SELECT group_links.target FROM jobs JOIN group_links ON group_links.job = jobs.name
         WHERE jobs.target_account = ?1 AND jobs.name <> ?2",
    )?;
    for target in select.query_map((target_account, job), |row| row.get(0))? {
        base.groups_of_others.insert(target?);
    }
    Ok(())
}

fn former_links(
    connection: &Connection,
    job: i64,
    texts: &mut Texts<'_>,
    names: &mut Names,
) -> Result<Vec<FormerLink>, Fault> {
    let mut select = connection
        .prepare_cached("SELECT source, target, address FROM former_links WHERE job = ?1 /* walks: a run loads the base of its job whole */")?;
    let mut rows = select.query([job])?;
    let mut former = Vec::new();
    while let Some(row) = rows.next()? {
        former.push(FormerLink {
            source: texts.intern(row.get(0)?, names)?,
            target: texts.intern(row.get(1)?, names)?,
            address: texts.intern(row.get(2)?, names)?,
        });
    }
    former.sort_unstable();
    Ok(former)
}

fn resting(
    connection: &Connection,
    job: &str,
    now: Timestamp,
) -> Result<HashMap<String, Resting>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT item_key, message, item, next_try, attempts FROM failures WHERE job = ?1 AND blocked = 0 AND next_try > ?2 /* walks: a run loads the base of its job whole */",
    )?;
    let mut rows = select.query((job, stamp(now)))?;
    let mut resting = HashMap::new();
    while let Some(row) = rows.next()? {
        // No item rests longer than its pause; what does was put off before the clock was set back.
        let last = now.checked_add(super::failures::pause(row.get(4)?));
        if text(row, 3)? <= stamp(last.unwrap_or(now)).as_str() {
            let (words, item) = (row.get(1)?, row.get(2)?);
            resting.insert(row.get(0)?, Resting { words, item });
        }
    }
    Ok(resting)
}

/// Lends the text of a column.
pub(super) fn text<'row>(
    row: &'row rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<&'row str> {
    Ok(row.get_ref(column)?.as_str()?)
}

fn blob<'row>(row: &'row rusqlite::Row<'_>, column: usize) -> rusqlite::Result<&'row [u8]> {
    Ok(row.get_ref(column)?.as_blob()?)
}

/// Reads an origin from its number in the table.
fn origin(number: u8) -> Origin {
    match number {
        0 => Origin::Created,
        1 => Origin::Adopted,
        _ => Origin::Pinned,
    }
}

/// Returns the number of an origin in the table.
pub(super) fn origin_number(origin: Origin) -> u8 {
    match origin {
        Origin::Created => 0,
        Origin::Adopted => 1,
        Origin::Pinned => 2,
    }
}

fn hash(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<RowHash> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}
