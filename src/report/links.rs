//! The pairs of groups of a job.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::Serialize;

use super::failures::remedy;
use super::json::{FORMAT_VERSION, write_document};
use super::paint::{ADDED, ASIDE, CHANGED, GONE, HEADING, KEPT};
use super::table::{Cell, write_table};
use super::words::{count, grouped, harmless, quoted};
use crate::state::FailureRecord;

/// How a pair came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// rosterd created the target group.
    Created,
    /// It was found at the target by its external id or its name.
    Adopted,
    /// The config pins it.
    Pinned,
    /// A person settled it with `rosterd link`.
    ByHand,
    /// The config pins it, and no run has linked it yet.
    Waiting,
}

impl LinkState {
    pub(crate) fn words(self) -> &'static str {
        match self {
            LinkState::Created => "created",
            LinkState::Adopted => "adopted",
            LinkState::Pinned => "pinned",
            LinkState::ByHand => "linked by hand",
            LinkState::Waiting => "pinned, waits for a run",
        }
    }
}

/// A pair of groups as the state database knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkRow {
    /// The source group's id.
    pub source: String,
    /// Its name in the last confirmed run; nothing before the first one.
    pub source_name: Option<String>,
    /// The target group's id.
    pub target: String,
    /// Its name in the last confirmed run.
    pub target_name: Option<String>,
    /// How the pair came about.
    pub origin: LinkState,
    /// The memberships that the job brought into the target group.
    pub brought: u64,
    /// All memberships that stood on both sides at the end of the last confirmed run.
    pub memberships: u64,
}

/// The pairs of a job, and the groups that it can't pair or sync.
#[derive(Clone, Debug)]
pub struct Links {
    /// The job.
    pub job: String,
    /// The configured name of the source.
    pub source: String,
    /// The configured name of the target.
    pub target: String,
    /// The pairs.
    pub links: Vec<LinkRow>,
    /// The groups that a provider refused or that wait for a person.
    pub blocked: Vec<FailureRecord>,
    /// The short names of what somebody has accepted.
    pub accepted: BTreeSet<String>,
}

/// Writes the pairs of a job as a table, and below it the groups that wait for a person.
///
/// # Errors
/// What writing to `out` says.
pub fn write_links_text(out: &mut dyn Write, links: &Links) -> io::Result<()> {
    let rows: Vec<Vec<Cell>> = links.links.iter().map(row).collect();
    if rows.is_empty() {
        writeln!(
            out,
            "No groups of {} and {} are linked by {} yet.",
            harmless(&links.source),
            harmless(&links.target),
            harmless(&links.job)
        )?;
    } else {
        let header = ["SOURCE", "NAME", "TARGET", "NAME", "ORIGIN", "BROUGHT"];
        write_table(out, &header, &rows)?;
    }
    if links.blocked.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{HEADING}{} a person{HEADING:#}",
        match links.blocked.len() as u64 {
            1 => "1 group waits for".to_owned(),
            several => format!("{} wait for", count(several, "group", "groups")),
        }
    )?;
    for failure in &links.blocked {
        let note = &failure.note;
        let group = note.group.as_deref().unwrap_or(&note.key);
        let known = if links.accepted.contains(&note.item) {
            ", accepted"
        } else {
            ""
        };
        writeln!(
            out,
            "  {GONE}x{GONE:#} {} {}: {}{known}",
            harmless(&note.item),
            quoted(group),
            harmless(&note.reason)
        )?;
        if !note.message.is_empty() {
            writeln!(out, "      {}", harmless(&note.message))?;
        }
        writeln!(out, "      {ASIDE}remedy: {}{ASIDE:#}", remedy(failure))?;
    }
    Ok(())
}

fn row(link: &LinkRow) -> Vec<Cell> {
    let name = |name: &Option<String>| Cell::new(name.as_deref().unwrap_or("-"));
    let colour = match link.origin {
        LinkState::Created => ADDED,
        LinkState::Adopted | LinkState::Pinned | LinkState::ByHand => KEPT,
        LinkState::Waiting => CHANGED,
    };
    vec![
        Cell::new(&link.source),
        name(&link.source_name),
        Cell::new(&link.target),
        name(&link.target_name),
        Cell::styled(link.origin.words(), colour),
        Cell::new(&format!(
            "{} of {}",
            grouped(link.brought),
            grouped(link.memberships)
        )),
    ]
}

/// Writes the pairs of a job as JSON.
///
/// # Errors
/// What writing to `out` says.
pub fn write_links_json(out: &mut dyn Write, links: &Links) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        job: &'a str,
        source: &'a str,
        target: &'a str,
        links: &'a [LinkRow],
        blocked: Vec<Row<'a>>,
    }
    #[derive(Serialize)]
    struct Row<'a> {
        item: &'a str,
        group: Option<&'a str>,
        reason: &'a str,
        message: &'a str,
        accepted: bool,
        remedy: String,
    }
    let blocked = links.blocked.iter().map(|failure| Row {
        item: &failure.note.item,
        group: failure.note.group.as_deref(),
        reason: &failure.note.reason,
        message: &failure.note.message,
        accepted: links.accepted.contains(&failure.note.item),
        remedy: remedy(failure),
    });
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            job: &links.job,
            source: &links.source,
            target: &links.target,
            links: &links.links,
            blocked: blocked.collect(),
        },
    )
}
