//! Moves what an older file knows by texts to where it stands by numbers.

use rusqlite::{Connection, Params, Row};

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
    each(
        connection,
        "SELECT job, source, target, address, origin, removed_by_us, source_hash, target_hash FROM old_member_links",
        "INSERT INTO member_links (job, source, target, address, origin, removed_by_us, source_hash, target_hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        |row| {
            Ok(Some((
                keys.job(text(row, 0)?)?,
                keys.key(text(row, 1)?)?,
                keys.key(text(row, 2)?)?,
                keys.key(text(row, 3)?)?,
                // Of a contact that was found nothing follows that does not of one that was created.
                origin_number(word(row, 4, Origin::parse).unwrap_or(Origin::Adopted)),
                row.get::<_, bool>(5)?,
                row.get::<_, i64>(6)?,
                row.get::<_, i64>(7)?,
            )))
        },
    )
}

fn fields(connection: &Connection, keys: &mut Keys<'_>) -> Result<(), Fault> {
    each(
        connection,
        "SELECT job, source, fields FROM old_member_fields JOIN old_member_links USING (job, source)",
        "INSERT INTO member_fields (job, source, fields) VALUES (?1, ?2, ?3)",
        |row| {
            // Whose values can't be read is compared anew, as somebody of whom none are known.
            let Ok(fields) = fields_from_json(row, 2) else {
                return Ok(None);
            };
            let (job, source) = (keys.job(text(row, 0)?)?, keys.key(text(row, 1)?)?);
            Ok(Some((job, source, keys.pack(&fields)?)))
        },
    )
}

fn memberships(connection: &Connection, keys: &mut Keys<'_>) -> Result<(), Fault> {
    each(
        connection,
        "SELECT job, group_id, member, brought FROM old_memberships",
        "INSERT INTO memberships (job, group_id, member, brought) VALUES (?1, ?2, ?3, ?4)",
        |row| {
            let (group, member) = (keys.key(text(row, 1)?)?, keys.key(text(row, 2)?)?);
            let brought: bool = row.get(3)?;
            Ok(Some((keys.job(text(row, 0)?)?, group, member, brought)))
        },
    )
}

fn former_links(connection: &Connection, keys: &mut Keys<'_>) -> Result<(), Fault> {
    each(
        connection,
        "SELECT job, source, target, address FROM old_former_links",
        "INSERT INTO former_links (job, source, target, address) VALUES (?1, ?2, ?3, ?4)",
        |row| {
            let (source, target) = (keys.key(text(row, 1)?)?, keys.key(text(row, 2)?)?);
            let address = keys.key(text(row, 3)?)?;
            Ok(Some((keys.job(text(row, 0)?)?, source, target, address)))
        },
    )
}

/// Writes a new row for each old one; nothing for those that are left out.
fn each<P: Params>(
    connection: &Connection,
    select: &str,
    insert: &str,
    mut renumbered: impl FnMut(&Row<'_>) -> Result<Option<P>, Fault>,
) -> Result<(), Fault> {
    let (mut select, mut insert) = (connection.prepare(select)?, connection.prepare(insert)?);
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(row) = renumbered(row)? {
            insert.execute(row)?;
        }
    }
    Ok(())
}
