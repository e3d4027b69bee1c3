//! Moves what an older file knows by texts to where it stands by numbers.

use rusqlite::Connection;

use super::base::{origin_number, text};
use super::convert::{fields_from_json, word};
use super::error::Fault;
use super::keys::Keys;
use crate::plan::base::Origin;

/// Moves links, profiles, memberships and former links, and drops the tables that they stood in.
pub(super) fn all(connection: &Connection) -> Result<(), Fault> {
    let mut keys = Keys::new(connection);
    links(connection, &mut keys)?;
    fields(connection, &mut keys)?;
    memberships(connection, &mut keys)?;
    former_links(connection, &mut keys)?;
    connection.execute_batch(
        "DROP TABLE old_member_fields; DROP TABLE old_member_links; DROP TABLE old_memberships; DROP TABLE old_former_links;",
    )?;
    Ok(())
}

fn links(connection: &Connection, keys: &mut Keys<'_>) -> Result<(), Fault> {
    let mut insert = connection.prepare(
        "INSERT INTO member_links (job, source, target, address, origin, removed_by_us, source_hash, target_hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut select = connection.prepare(
        "SELECT job, source, target, address, origin, removed_by_us, source_hash, target_hash FROM old_member_links",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        insert.execute((
            keys.job(text(row, 0)?)?,
            keys.key(text(row, 1)?)?,
            keys.key(text(row, 2)?)?,
            keys.key(text(row, 3)?)?,
            origin_number(word(row, 4, Origin::parse)?),
            row.get::<_, bool>(5)?,
            row.get::<_, i64>(6)?,
            row.get::<_, i64>(7)?,
        ))?;
    }
    Ok(())
}

fn fields(connection: &Connection, keys: &mut Keys<'_>) -> Result<(), Fault> {
    let mut insert = connection
        .prepare("INSERT INTO member_fields (job, source, fields) VALUES (?1, ?2, ?3)")?;
    let mut select = connection.prepare(
        "SELECT job, source, fields FROM old_member_fields JOIN old_member_links USING (job, source)",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        // Whose values can't be read is compared anew, as somebody of whom none are known.
        let Ok(fields) = fields_from_json(row, 2) else {
            continue;
        };
        insert.execute((
            keys.job(text(row, 0)?)?,
            keys.key(text(row, 1)?)?,
            keys.pack(&fields)?,
        ))?;
    }
    Ok(())
}

fn memberships(connection: &Connection, keys: &mut Keys<'_>) -> Result<(), Fault> {
    let mut insert = connection.prepare(
        "INSERT INTO memberships (job, group_id, member, brought) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut select =
        connection.prepare("SELECT job, group_id, member, brought FROM old_memberships")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        insert.execute((
            keys.job(text(row, 0)?)?,
            keys.key(text(row, 1)?)?,
            keys.key(text(row, 2)?)?,
            row.get::<_, bool>(3)?,
        ))?;
    }
    Ok(())
}

fn former_links(connection: &Connection, keys: &mut Keys<'_>) -> Result<(), Fault> {
    let mut insert = connection.prepare(
        "INSERT INTO former_links (job, source, target, address) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut select =
        connection.prepare("SELECT job, source, target, address FROM old_former_links")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        insert.execute((
            keys.job(text(row, 0)?)?,
            keys.key(text(row, 1)?)?,
            keys.key(text(row, 2)?)?,
            keys.key(text(row, 3)?)?,
        ))?;
    }
    Ok(())
}
