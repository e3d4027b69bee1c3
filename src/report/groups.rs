//! The groups of an account, with the jobs that link them.

use std::io::{self, Write};

use serde::Serialize;

use super::json::{FORMAT_VERSION, write_document};
use super::paint::{CHANGED, GONE, KEPT};
use super::table::{Cell, write_table};
use super::words::{count, grouped, harmless};
use crate::model::{Group, GroupKind, GroupStatus};
use crate::run::{AccountGroups, LinkedBy};

/// Writes the groups of an account as a table, and says where there may be others.
///
/// # Errors
/// What writing to `out` says.
pub fn write_groups_text(out: &mut dyn Write, listed: &AccountGroups) -> io::Result<()> {
    let groups = listed.groups.iter();
    let rows: Vec<Vec<Cell>> = groups.map(|group| row(listed, group)).collect();
    if rows.is_empty() {
        writeln!(out, "{} shows no group.", harmless(&listed.provider))?;
    } else {
        let header = ["ID", "NAME", "KIND", "STATUS", "MEMBERS", "LINKED BY"];
        write_table(out, &header, &rows)?;
    }
    if listed.doubts.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{GONE}x{GONE:#} This may not be all of {}: {} came.",
        harmless(&listed.provider),
        count(listed.groups.len() as u64, "group", "groups")
    )?;
    let mut doubts = listed.doubts.iter();
    doubts.try_for_each(|doubt| writeln!(out, "    {}", harmless(doubt)))
}

fn row(listed: &AccountGroups, group: &Group) -> Vec<Cell> {
    let links = listed.links.get(&group.id).map_or(&[][..], Vec::as_slice);
    let links: Vec<String> = links.iter().map(words).collect();
    let kind = match group.kind {
        GroupKind::Static => Cell::new(group.kind.as_str()),
        _ => Cell::styled(group.kind.as_str(), CHANGED),
    };
    let status = match group.status {
        GroupStatus::Active => Cell::new(group.status.as_str()),
        GroupStatus::Archived => Cell::styled(group.status.as_str(), CHANGED),
    };
    let unread = group.unread.map(|_| " (not wholly readable)");
    vec![
        Cell::new(&group.id),
        Cell::new(&format!("{}{}", group.name, unread.unwrap_or_default())),
        kind,
        status,
        Cell::new(&group.member_count.map_or("-".to_owned(), grouped)),
        match links.as_slice() {
            [] => Cell::new("-"),
            links => Cell::styled(&links.join(", "), KEPT),
        },
    ]
}

fn words(link: &LinkedBy) -> String {
    let (arrow, job) = (if link.is_target { "<-" } else { "->" }, &link.job);
    format!("{job} ({arrow} {})", link.partner)
}

/// Writes the groups of an account as JSON.
///
/// # Errors
/// What writing to `out` says.
pub fn write_groups_json(out: &mut dyn Write, listed: &AccountGroups) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        provider: &'a str,
        kind: &'static str,
        groups_are: Option<&'static str>,
        complete: bool,
        doubts: &'a [String],
        groups: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        id: &'a str,
        name: &'a str,
        kind: &'static str,
        status: &'static str,
        members: Option<u64>,
        readable: bool,
        links: Vec<Link<'a>>,
    }
    #[derive(Serialize)]
    struct Link<'a> {
        job: &'a str,
        side: &'static str,
        partner: &'a str,
    }
    let links = |group: &Group| {
        let links = listed.links.get(&group.id).into_iter().flatten();
        let links = links.map(|link| Link {
            job: &link.job,
            side: if link.is_target { "target" } else { "source" },
            partner: &link.partner,
        });
        links.collect()
    };
    let groups = listed.groups.iter().map(|group| Row {
        id: &group.id,
        name: &group.name,
        kind: group.kind.as_str(),
        status: group.status.as_str(),
        members: group.member_count,
        readable: group.unread.is_none(),
        links: links(group),
    });
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            provider: &listed.provider,
            kind: listed.kind.as_str(),
            groups_are: listed.kind.groups_word(),
            complete: listed.doubts.is_empty(),
            doubts: &listed.doubts,
            groups: groups.collect(),
        },
    )
}
