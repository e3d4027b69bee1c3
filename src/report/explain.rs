//! Why a person or a group is as it is.

use std::io::{self, Write};

use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use super::failures::remedy_of;
use super::json::{FORMAT_VERSION, write_document};
use super::paint::{ADDED, ASIDE, CHANGED, GONE, HEADING, STOP};
use super::sections::{SHOWN, heading, named};
use super::words::{address, count, explain, grouped, harmless, instant, quoted, value};
use crate::model::Value;
use crate::plan::Reason;
use crate::plan::fields::same;
use crate::run::{
    Explained, FieldExplained, GroupExplained, Held, LinkExplained, Next, PersonExplained, States,
};
use crate::state::PastItem;

/// Writes what there is to say of a person or a group in one job; `verbose` shows every field and
/// the whole history.
///
/// # Errors
/// What writing to `out` says.
pub fn write_explained_text(
    out: &mut dyn Write,
    explained: &Explained,
    zone: &TimeZone,
    verbose: bool,
) -> io::Result<()> {
    let (source, target) = (harmless(&explained.source), harmless(&explained.target));
    writeln!(
        out,
        "{HEADING}{}{HEADING:#}: {source} → {target}",
        harmless(&explained.job)
    )?;
    for doubt in &explained.doubts {
        writeln!(out, "  {}", harmless(doubt))?;
    }
    let text = Text {
        job: &explained.job,
        source: &source,
        target: &target,
        zone,
        verbose,
    };
    for person in &explained.people {
        text.person(out, person)?;
    }
    for group in &explained.groups {
        text.group(out, group)?;
    }
    Ok(())
}

struct Text<'a> {
    job: &'a str,
    source: &'a str,
    target: &'a str,
    zone: &'a TimeZone,
    verbose: bool,
}

impl Text<'_> {
    fn person(&self, out: &mut dyn Write, person: &PersonExplained) -> io::Result<()> {
        heading(out, &address(&person.name), "")?;
        self.held(out, self.source, &person.source)?;
        self.held(out, self.target, &person.target)?;
        self.links(out, &person.links)?;
        for refusal in &person.refusals {
            writeln!(
                out,
                "  {STOP}refuses{STOP:#} {} (rule 1: an opt-out is never undone)",
                harmless(refusal)
            )?;
        }
        if !person.memberships.is_empty() {
            writeln!(out, "  groups:")?;
        }
        for membership in &person.memberships {
            let known = match membership.remembered {
                Some("brought") => "this job brought it",
                Some(_) => "it was found there",
                None => "not remembered",
            };
            let refused = if membership.refused {
                "; a refusal is remembered"
            } else {
                ""
            };
            writeln!(
                out,
                "    {}: {} at {}, {} at {}; {known}{refused}",
                quoted(&membership.group),
                membership.source,
                self.source,
                membership.target,
                self.target
            )?;
        }
        self.fields(out, &person.fields)?;
        self.next(out, &person.next)?;
        self.history(out, &person.history)
    }

    fn group(&self, out: &mut dyn Write, group: &GroupExplained) -> io::Result<()> {
        let name = group.source_name.as_ref().or(group.target_name.as_ref());
        let name = name.map_or("(no name)", String::as_str);
        heading(out, &quoted(name), "")?;
        for (side, name, id, members) in [
            (
                self.source,
                &group.source_name,
                &group.source_id,
                group.members.source,
            ),
            (
                self.target,
                &group.target_name,
                &group.target_id,
                group.members.target,
            ),
        ] {
            match (name, id) {
                (Some(name), Some(id)) => writeln!(
                    out,
                    "  at {side}: {} [id {}]{}",
                    quoted(name),
                    harmless(id),
                    members.map(states).unwrap_or_default()
                )?,
                (None, Some(id)) => writeln!(out, "  at {side}: gone [id {}]", harmless(id))?,
                (_, None) => writeln!(out, "  at {side}: none")?,
            }
        }
        if let Some(why) = &group.left_alone {
            writeln!(out, "  {CHANGED}left alone{CHANGED:#}: {}", harmless(why))?;
        }
        self.links(out, group.link.as_slice())?;
        self.fields(out, &group.fields)?;
        self.next(out, &group.next)?;
        self.history(out, &group.history)
    }

    fn held(&self, out: &mut dyn Write, side: &str, all: &[Held]) -> io::Result<()> {
        if all.is_empty() {
            return writeln!(out, "  at {side}: nobody was read who is this person");
        }
        for held in all {
            let shown = held.address.as_deref().unwrap_or_default();
            writeln!(
                out,
                "  at {side}: {} [id {}], {}",
                address(shown),
                harmless(&held.id),
                held.status
            )?;
            if self.verbose {
                for (field, shown) in &held.fields {
                    writeln!(
                        out,
                        "    {ASIDE}{} = {}{ASIDE:#}",
                        harmless(field),
                        value(Some(shown), true)
                    )?;
                }
            }
        }
        Ok(())
    }

    fn links(&self, out: &mut dyn Write, links: &[LinkExplained]) -> io::Result<()> {
        for link in links {
            writeln!(
                out,
                "  linked: {} at {} with {} at {}, known as {}; {}",
                harmless(&link.source),
                self.source,
                harmless(&link.target),
                self.target,
                harmless(&link.known_as),
                match link.origin {
                    "created" => "rosterd created it there",
                    "adopted" => "rosterd found it there",
                    _ => "a person settled it",
                }
            )?;
        }
        Ok(())
    }

    fn fields(&self, out: &mut dyn Write, fields: &[FieldExplained]) -> io::Result<()> {
        if !fields.is_empty() {
            writeln!(out, "  fields:")?;
        }
        for field in fields {
            let whole = self.verbose;
            let shown = |side: &Option<Value>| value(side.as_ref(), whole);
            let name = harmless(&field.field);
            if same(field.desired.as_ref(), field.held.as_ref()) {
                writeln!(out, "    {name}: {} at both sides", shown(&field.held))?;
            } else {
                writeln!(
                    out,
                    "    {name}: {} asks for {}, {} holds {}",
                    self.source,
                    shown(&field.desired),
                    self.target,
                    shown(&field.held)
                )?;
            }
            if field.is_changed_outside() {
                writeln!(
                    out,
                    "      {CHANGED}! changed outside{CHANGED:#}: the last run left {} there",
                    shown(&field.held_then)
                )?;
            }
            let expression = field.expression.as_deref().unwrap_or("(no expression)");
            let origin = if field.from_config {
                "a line of the config"
            } else {
                "the built-in mapping"
            };
            write!(
                out,
                "      {ASIDE}made of {} by {origin}",
                harmless(expression)
            )?;
            if let Some(written) = &field.written {
                let at = instant(written.started, self.zone);
                let change = &written.change;
                let before = if change.before.is_some() || change.is_before_known {
                    format!(", {} before", value(change.before.as_ref(), whole))
                } else {
                    String::new()
                };
                write!(
                    out,
                    "; written by run {} ({at}){before}",
                    harmless(&written.run)
                )?;
            } else if field.held.is_some() {
                write!(out, "; no remembered run wrote what {} holds", self.target)?;
            }
            writeln!(out, "{ASIDE:#}")?;
        }
        Ok(())
    }

    fn next(&self, out: &mut dyn Write, next: &Next) -> io::Result<()> {
        let nothing = next.operations.is_empty();
        let title = if nothing {
            "the next run changes nothing here"
        } else {
            "the next run:"
        };
        writeln!(out, "  {title}")?;
        for (op, about) in &next.operations {
            let about = about.as_deref().map(harmless).unwrap_or_default();
            writeln!(out, "    {ADDED}+{ADDED:#} {op} {about}")?;
        }
        for (field, before, after) in &next.changes {
            writeln!(
                out,
                "      {}: {} → {}",
                harmless(field),
                value(before.as_ref(), self.verbose),
                value(after.as_ref(), self.verbose)
            )?;
        }
        for (group, reason) in &next.withheld {
            writeln!(
                out,
                "    o not in {}: {}, {}{}",
                quoted(group),
                reason.as_str(),
                explain(*reason),
                rule(*reason)
            )?;
        }
        for blocked in &next.blocked {
            writeln!(
                out,
                "    {GONE}x{GONE:#} {} {}: {} {}; remedy: {}",
                blocked.item(),
                named(blocked),
                blocked.reason.as_str(),
                harmless(&blocked.detail),
                remedy_of(blocked.reason, &harmless(self.job))
            )?;
        }
        if next.refused && !nothing {
            writeln!(
                out,
                "    {STOP}a guard refuses the plan that this is part of, so none of it is done{STOP:#}"
            )?;
        }
        Ok(())
    }

    fn history(&self, out: &mut dyn Write, history: &[PastItem]) -> io::Result<()> {
        if history.is_empty() {
            return writeln!(out, "  no remembered run did anything here");
        }
        writeln!(out, "  earlier runs:")?;
        let shown = if self.verbose {
            history.len()
        } else {
            history.len().min(SHOWN)
        };
        for past in &history[..shown] {
            let item = &past.item;
            let said = item.message.as_deref();
            let said = said.map(|said| format!(", {}", harmless(said)));
            let group = item
                .group
                .as_deref()
                .map(|group| format!(" {}", quoted(group)));
            writeln!(
                out,
                "    {} {}{}: {}{} (run {})",
                instant(past.started, self.zone),
                item.op,
                group.unwrap_or_default(),
                item.outcome,
                said.unwrap_or_default(),
                harmless(&past.run)
            )?;
        }
        super::sections::and_more(out, "    ", history.len(), shown)
    }
}

/// Names the rule that is never broken, where it is one that decides.
fn rule(reason: Reason) -> &'static str {
    match reason {
        Reason::OptedOutAtSource | Reason::OptedOutAtTarget | Reason::RemovedByRosterd => {
            " (rule 1)"
        }
        Reason::Protected => " (rule 2)",
        Reason::Unconfirmed
        | Reason::Undeliverable
        | Reason::RemovedAtTarget
        | Reason::NoContact
        | Reason::NoUser
        | Reason::NoAddress => "",
    }
}

fn states(states: States) -> String {
    let mut parts = vec![count(states.active, "active member", "active members")];
    for (number, word) in [
        (states.opted_out, "refuse"),
        (states.unconfirmed, "unconfirmed"),
        (states.undeliverable, "undeliverable"),
    ] {
        if number > 0 {
            parts.push(format!("{} {word}", grouped(number)));
        }
    }
    format!(", {}", parts.join(", "))
}

/// Writes what there is to say in each of several jobs, for a program.
///
/// # Errors
/// What writing to `out` says.
pub fn write_explained_json(out: &mut dyn Write, explained: &[Explained]) -> io::Result<()> {
    let next = |job: &str, next: &Next, row: &mut Json| {
        let withheld = next.withheld.iter();
        let withheld: Vec<Json> = withheld
            .map(|(group, reason)| json!({"group": group, "reason": reason.as_str()}))
            .collect();
        let blocked = next.blocked.iter();
        let blocked: Vec<Json> = blocked
            .map(|one| {
                json!({"item": one.item(), "reason": one.reason.as_str(), "detail": one.detail,
                       "remedy": remedy_of(one.reason, job)})
            })
            .collect();
        let operations = next.operations.iter();
        let operations: Vec<Json> = operations
            .map(|(op, about)| json!({"op": op, "about": about}))
            .collect();
        let changes = next.changes.iter();
        let changes: Vec<Json> = changes
            .map(|(field, before, after)| json!({"field": field, "before": before, "after": after}))
            .collect();
        row["next"] = json!({
            "operations": operations, "changes": changes, "withheld": withheld, "blocked": blocked,
            "refused": next.refused,
        });
    };
    let mut jobs = Vec::new();
    for one in explained {
        let mut row = serde_json::to_value(one)?;
        for (at, person) in one.people.iter().enumerate() {
            next(&one.job, &person.next, &mut row["people"][at]);
        }
        for (at, group) in one.groups.iter().enumerate() {
            next(&one.job, &group.next, &mut row["groups"][at]);
        }
        jobs.push(row);
    }
    write_document(out, &json!({"version": FORMAT_VERSION, "jobs": jobs}))
}
