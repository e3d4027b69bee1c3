//! Who is in a group, and who was.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use unicode_width::UnicodeWidthStr;

use super::json::{FORMAT_VERSION, write_document};
use super::paint::{ASIDE, CHANGED, GONE, REFUSAL};
use super::words::{address, count, grouped, harmless, instant, listed, padded, quoted};
use crate::run::{GroupMembers, MemberNow, NamedGroup};
use crate::state::{MemberThen, MembersThen, Stood};

/// Who was in a group at a time.
#[derive(Clone, Debug)]
pub struct GroupThen {
    /// The group; without a name where nobody links it any more.
    pub group: NamedGroup,
    /// The time.
    pub at: Timestamp,
    /// What is known.
    pub known: MembersThen,
}

/// What the state database can't know of a time.
const NOT_KNOWN_THEN: [&str; 3] = [
    "From the state database: whom rosterd brought, and who was on both sides. Whom others added, and the",
    "source did not list, it never knew, nor whose address bounced, was held or not confirmed: they show as",
    "members; what others changed shows from the next run on.",
];

/// One line of the list.
struct Line<'a> {
    email: Option<&'a str>,
    id: &'a str,
    /// The word of the JSON result.
    state: &'static str,
    since: Option<Timestamp>,
    seen: Option<Timestamp>,
}

impl<'a> Line<'a> {
    fn of_now(member: &'a MemberNow) -> Line<'a> {
        Line {
            email: member.email.as_deref(),
            id: &member.id,
            state: member.state,
            since: member.since,
            seen: member.seen,
        }
    }

    fn of_then(member: &'a MemberThen) -> Line<'a> {
        let state = match member.stood {
            Stood::NotKnown => "unknown",
            Stood::Member => "active",
            Stood::OptedOut => "opted_out",
        };
        Line {
            email: member.email.as_deref(),
            id: &member.id,
            state,
            since: member.since,
            seen: member.seen,
        }
    }

    fn person(&self) -> String {
        match self.email {
            Some(email) => address(email).into_owned(),
            None => format!("#{} (no address is known)", harmless(self.id)),
        }
    }

    fn since(&self, zone: &TimeZone) -> String {
        match (self.since, self.seen) {
            (Some(since), _) => instant(since, zone),
            (None, Some(seen)) => format!("before rosterd saw it, {}", instant(seen, zone)),
            (None, None) => "not known".to_owned(),
        }
    }
}

/// The word for a state, as people read it.
fn word(state: &str) -> &str {
    match state {
        "active" => "member",
        "opted_out" => "opted out",
        "unknown" => "not known",
        other => other,
    }
}

/// Writes who is in a group.
///
/// # Errors
/// What writing to `out` says.
pub fn write_members_text(
    out: &mut dyn Write,
    members: &GroupMembers,
    zone: &TimeZone,
) -> io::Result<()> {
    let group = title(&members.group);
    writeln!(
        out,
        "{group} at {}, read from the account",
        instant(members.at, zone)
    )?;
    write_lines(out, || members.members.iter().map(Line::of_now), zone)?;
    if members.doubts.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{GONE}x{GONE:#} These may not be all, or not all as they stand:"
    )?;
    let mut doubts = members.doubts.iter();
    doubts.try_for_each(|doubt| writeln!(out, "    {}", harmless(doubt)))
}

/// Writes who was in a group.
///
/// # Errors
/// What writing to `out` says.
pub fn write_then_text(out: &mut dyn Write, then: &GroupThen, zone: &TimeZone) -> io::Result<()> {
    writeln!(out, "{} at {}", title(&then.group), instant(then.at, zone))?;
    for job in &then.known.jobs {
        let name = harmless(&job.job);
        match &job.as_of {
            Some((run, started)) if job.knows(then.at) => {
                let how = if job.under_way {
                    "while its run was under way, or had been killed:"
                } else {
                    "as its run left it:"
                };
                writeln!(out, "  {name}: {how} {run}, {}", instant(*started, zone))?;
            }
            _ => writeln!(out, "  {name}: knows nothing of the group at that time")?,
        }
    }
    write_lines(out, || then.known.members.iter().map(Line::of_then), zone)?;
    writeln!(out, "\n{ASIDE}{}{ASIDE:#}", NOT_KNOWN_THEN.join("\n"))
}

fn title(group: &NamedGroup) -> String {
    let id = harmless(&group.id);
    if group.name.is_empty() {
        format!("{}/{id}", group.provider)
    } else {
        format!("{} ({}/{id})", quoted(&group.name), group.provider)
    }
}

fn write_lines<'a, I: Iterator<Item = Line<'a>>>(
    out: &mut dyn Write,
    lines: impl Fn() -> I,
    zone: &TimeZone,
) -> io::Result<()> {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    let mut width = "EMAIL".len();
    for line in lines() {
        width = width.max(line.person().width());
        match counts.iter_mut().find(|(state, _)| *state == line.state) {
            Some((_, number)) => *number += 1,
            None => counts.push((line.state, 1)),
        }
    }
    if counts.is_empty() {
        return writeln!(out, "\nNobody.");
    }
    writeln!(
        out,
        "\n{ASIDE}{}{ASIDE:#}  {ASIDE}{}{ASIDE:#}  {ASIDE}SINCE{ASIDE:#}",
        padded("EMAIL", width),
        padded("STATE", "unconfirmed".len()),
    )?;
    for line in lines() {
        let state = padded(word(line.state), "unconfirmed".len());
        let style = match line.state {
            "active" => anstyle::Style::new(),
            "opted_out" => REFUSAL,
            _ => CHANGED,
        };
        let person = padded(&line.person(), width);
        writeln!(
            out,
            "{person}  {style}{state}{style:#}  {}",
            line.since(zone)
        )?;
    }
    let all: u64 = counts.iter().map(|(_, number)| number).sum();
    counts.sort_by_key(|(state, _)| *state);
    let of_states = counts.iter().map(|(state, number)| {
        let word = if *state == "active" && *number != 1 {
            "members"
        } else {
            word(state)
        };
        format!("{} {word}", grouped(*number))
    });
    let of_states: Vec<String> = of_states.collect();
    writeln!(
        out,
        "\n{}: {}.",
        count(all, "person", "people"),
        listed(&of_states)
    )
}

#[derive(Serialize)]
struct Row<'a> {
    email: Option<&'a str>,
    id: Option<&'a str>,
    state: &'static str,
    since: Option<Timestamp>,
    seen: Option<Timestamp>,
}

impl<'a> Row<'a> {
    fn of(line: &Line<'a>) -> Row<'a> {
        Row {
            email: line.email,
            id: Some(line.id).filter(|id| !id.is_empty()),
            state: line.state,
            since: line.since,
            seen: line.seen,
        }
    }
}

/// Rows that are written one after the other.
struct OneByOne<F>(F);

impl<'a, F: Fn() -> I, I: Iterator<Item = Line<'a>>> Serialize for OneByOne<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(None)?;
        for line in (self.0)() {
            rows.serialize_element(&Row::of(&line))?;
        }
        rows.end()
    }
}

#[derive(Serialize)]
struct Document<'a, M: Serialize> {
    version: u32,
    group: &'a str,
    provider: &'a str,
    id: &'a str,
    at: Timestamp,
    /// Whether the account was read, and not the state database.
    live: bool,
    complete: bool,
    doubts: &'a [String],
    as_of: Vec<AsOf<'a>>,
    /// What can't be known of the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    members: M,
}

#[derive(Serialize)]
struct AsOf<'a> {
    job: &'a str,
    run: Option<&'a str>,
    started: Option<Timestamp>,
    under_way: bool,
    known_from: Option<Timestamp>,
}

/// Writes who is in a group as JSON.
///
/// # Errors
/// What writing to `out` says.
pub fn write_members_json(out: &mut dyn Write, members: &GroupMembers) -> io::Result<()> {
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            group: &members.group.name,
            provider: &members.group.provider,
            id: &members.group.id,
            at: members.at,
            live: true,
            complete: members.doubts.is_empty(),
            doubts: &members.doubts,
            as_of: Vec::new(),
            note: None,
            members: OneByOne(|| members.members.iter().map(Line::of_now)),
        },
    )
}

/// Writes who was in a group as JSON.
///
/// # Errors
/// What writing to `out` says.
pub fn write_then_json(out: &mut dyn Write, then: &GroupThen) -> io::Result<()> {
    let as_of = then.known.jobs.iter().map(|job| AsOf {
        job: &job.job,
        run: job.as_of.as_ref().map(|(run, _)| run.as_str()),
        started: job.as_of.as_ref().map(|(_, started)| *started),
        under_way: job.under_way,
        known_from: job.known_from,
    });
    let mut members = then.known.members.iter();
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            group: &then.group.name,
            provider: &then.group.provider,
            id: &then.group.id,
            at: then.at,
            live: false,
            complete: members.all(|member| member.stood != Stood::NotKnown)
                && then.known.jobs.iter().all(|job| job.knows(then.at)),
            doubts: &[],
            as_of: as_of.collect(),
            note: Some(NOT_KNOWN_THEN.join(" ")),
            members: OneByOne(|| then.known.members.iter().map(Line::of_then)),
        },
    )
}
