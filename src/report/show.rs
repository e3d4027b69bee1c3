//! What one run did: by group with counts, or item by item.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;
use jiff::tz::TimeZone;
use serde::ser::{Serialize, SerializeSeq as _, Serializer};

use super::history::{RunRow, approval, colour, counted, outcome, took};
use super::json::{FORMAT_VERSION, write_document};
use super::paint::{ADDED, ASIDE, CHANGED, GONE, HEADING};
use super::sections::SHOWN;
use super::words::{address, count, grouped, harmless, instant, quoted, value};
use crate::plan::fold_group_name;
use crate::state::{FOUND, Outcome, RunItem, RunRecord};

/// Which items of a run are meant; all of them where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct ItemFilter {
    /// The name of the group, or its id at the target.
    pub group: Option<String>,
    /// The person's normalised address, or how somebody without one is named.
    pub member: Option<String>,
    /// The operation, as the plan format names it.
    pub op: Option<String>,
    /// What became of them.
    pub outcome: Option<String>,
}

impl ItemFilter {
    /// Tells whether an item is meant.
    pub fn is_met_by(&self, item: &RunItem) -> bool {
        let is = |wanted: &Option<String>, held: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| held == Some(wanted))
        };
        self.is_of_group(item)
            && is(&self.member, item.member.as_deref())
            && is(&self.op, Some(&item.op))
            && is(&self.outcome, Some(&item.outcome))
    }

    /// Tells whether an item is about the group that is meant, by its name as names of groups are compared,
    /// or by its id.
    pub fn is_of_group(&self, item: &RunItem) -> bool {
        let Some(wanted) = &self.group else {
            return true;
        };
        let name = item.group.as_deref();
        item.group_id.as_ref() == Some(wanted)
            || name.is_some_and(|name| fold_group_name(name) == fold_group_name(wanted))
    }

    pub(super) fn is_empty(&self) -> bool {
        let ItemFilter {
            group,
            member,
            op,
            outcome,
        } = self;
        [group, member, op, outcome].iter().all(|it| it.is_none())
    }
}

/// Writes one run with those of its items that are meant: all of them one by one where `verbose`,
/// else counted by group, with some names.
///
/// # Errors
/// What writing to `out` says.
pub fn write_show_text(
    out: &mut dyn Write,
    run: &RunRecord,
    items: impl Iterator<Item = RunItem>,
    filter: &ItemFilter,
    verbose: bool,
    zone: &TimeZone,
) -> io::Result<()> {
    write_head(out, run, zone)?;
    let mut uncounted = Uncounted::default();
    let (mut all, mut meant) = (0_u64, 0_u64);
    let mut groups: BTreeMap<Shown, BTreeMap<Line, Alike>> = BTreeMap::new();
    for item in items {
        all += 1;
        uncounted.take(&item);
        if !filter.is_met_by(&item) {
            continue;
        }
        meant += 1;
        if verbose {
            if meant == 1 {
                writeln!(out)?;
            }
            write_item(out, &item)?;
        } else {
            let shown = (item.group.clone(), item.group_id.clone());
            let lines = groups.entry(shown).or_default();
            lines.entry(Line::of(&item)).or_default().take(item);
        }
    }
    for ((group, id), lines) in &groups {
        let title = match (group, id) {
            (None, _) => "The account".to_owned(),
            (Some(name), Some(id)) if has_namesake(&groups, name) => {
                format!("{} (id {})", quoted(name), harmless(id))
            }
            (Some(name), _) => quoted(name),
        };
        writeln!(out, "\n{HEADING}{title}{HEADING:#}")?;
        for (line, alike) in lines {
            alike.write(out, line)?;
        }
    }
    match (all, meant) {
        (0, _) => writeln!(out, "\nNo items are kept of this run."),
        _ if filter.is_empty() => writeln!(
            out,
            "\n{}{}.",
            count(all, "item", "items"),
            uncounted.words()
        ),
        _ => writeln!(
            out,
            "\n{} of {}.",
            grouped(meant),
            count(all, "item", "items")
        ),
    }
}

/// Operations that no count of a run's summary has.
const UNCOUNTED: [&str; 3] = ["create_field", "list_group", "lift_protection"];

/// The items that were done and are in no count of the run's summary, by their operation; of those that a
/// later run found done under that word.
#[derive(Default)]
struct Uncounted(BTreeMap<String, u64>);

impl Uncounted {
    fn take(&mut self, item: &RunItem) {
        let is_uncounted = match item.outcome.as_str() {
            "done" => UNCOUNTED.contains(&item.op.as_str()),
            outcome => outcome == FOUND,
        };
        if is_uncounted {
            let found = item.outcome == FOUND;
            let what = if found { FOUND } else { &item.op };
            *self.0.entry(what.to_owned()).or_default() += 1;
        }
    }

    /// Says how many they are, so that items and counts add up.
    fn words(&self) -> String {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(what, number)| {
                let words = match what.as_str() {
                    FOUND => "found done by a later run",
                    op => told(op),
                };
                format!("{} {}", grouped(*number), harmless(words))
            })
            .collect();
        if parts.is_empty() {
            return String::new();
        }
        format!("; not in the counts above: {}", parts.join(", "))
    }
}

/// A group as it is shown: its name, and the id by which it is told from others of that name.
type Shown = (Option<String>, Option<String>);

/// Tells whether several groups are shown by one name.
fn has_namesake(groups: &BTreeMap<Shown, BTreeMap<Line, Alike>>, name: &str) -> bool {
    let named = groups.keys();
    let named = named.filter(|(known, id)| known.as_deref() == Some(name) && id.is_some());
    named.count() > 1
}

fn write_head(out: &mut dyn Write, run: &RunRecord, zone: &TimeZone) -> io::Result<()> {
    let style = colour(run.outcome);
    writeln!(
        out,
        "{HEADING}Run {}{HEADING:#} of {}: {style}{}{style:#}",
        harmless(&run.id),
        harmless(&run.job),
        outcome(run)
    )?;
    writeln!(
        out,
        "  started   {} ({})",
        instant(run.started, zone),
        harmless(&run.trigger)
    )?;
    if let Some(finished) = run.finished {
        writeln!(
            out,
            "  finished  {}, after {}",
            instant(finished, zone),
            took(run)
        )?;
    }
    if let Some(code) = run.exit_code {
        writeln!(out, "  exit code {code}")?;
    }
    match &run.error {
        Some(_) if !run.refusals().is_empty() => refusals(out, run)?,
        Some(error) => {
            writeln!(out, "  done      {}", counted(run))?;
            let label = match run.outcome {
                Some(Outcome::Refused) => "refused",
                _ => "error",
            };
            writeln!(out, "  {label:<9} {}", harmless(error))?;
        }
        None => writeln!(out, "  done      {}", counted(run))?,
    }
    if let Some(approved) = &run.approved {
        writeln!(out, "  approved  {}", approval(approved))?;
    }
    Ok(())
}

/// Says which guards refused a run, and with which approval it could have gone on.
fn refusals(out: &mut dyn Write, run: &RunRecord) -> io::Result<()> {
    writeln!(out, "  done      nothing: a guard refused the run")?;
    for refusal in run.refusals() {
        let text = |key: &str| harmless(refusal[key].as_str().unwrap_or_default());
        let number = |key: &str| grouped(refusal[key].as_u64().unwrap_or_default());
        writeln!(
            out,
            "  refused   {}: {}",
            text("guard"),
            text("explanation")
        )?;
        writeln!(
            out,
            "            {ASIDE}value {} of {}, limit {}, key {}{ASIDE:#}",
            number("value"),
            number("of"),
            text("limit"),
            text("key")
        )?;
    }
    let approval = run.refusals()[0]["approval"].as_str();
    writeln!(
        out,
        "  approval  {} {ASIDE}(lets this pass once, within seven days; `rosterd status` names the command while it is good){ASIDE:#}",
        harmless(approval.unwrap_or_default())
    )
}

/// Items of one group that are told in one line: of one operation, and ended alike.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    /// Where the operation stands among those of a plan.
    place: usize,
    op: String,
    outcome: String,
}

impl Line {
    fn of(item: &RunItem) -> Line {
        let place = WORDS.iter().position(|(op, ..)| *op == item.op);
        Line {
            place: place.unwrap_or(WORDS.len()),
            op: item.op.clone(),
            outcome: item.outcome.clone(),
        }
    }

    /// Says what so many items of it have become.
    fn words(&self, items: &Alike) -> String {
        let found = self.outcome == FOUND;
        let done = found || self.outcome == "done";
        let later = if found { ", found by a later run" } else { "" };
        let number = grouped(items.count);
        let known = done || self.outcome == "failed";
        match WORDS.get(self.place).filter(|_| known) {
            Some((_, Told::Group, words, _)) if done && items.count == 1 => {
                format!("{words}{later}")
            }
            Some((_, _, words, _)) if done => format!("{number} {words}{later}"),
            Some((_, Told::Group, _, not)) if items.count == 1 => (*not).to_owned(),
            Some((.., not)) => format!("{number} {not}"),
            None => format!(
                "{number} {} {}",
                harmless(&self.op),
                harmless(&self.outcome)
            ),
        }
    }
}

/// What an operation is about.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    Group,
    People,
}

/// The operations in the order in which they are told, with the words for those that are done and for
/// those that are not.
const WORDS: [(&str, Told, &str, &str); 15] = [
    (
        "create_field",
        Told::Group,
        "custom field created",
        "custom field not created",
    ),
    ("list_group", Told::Group, "group read", "group left alone"),
    (
        "create_group",
        Told::Group,
        "group created",
        "group not created",
    ),
    (
        "adopt_group",
        Told::Group,
        "group adopted",
        "group not adopted",
    ),
    (
        "rename_group",
        Told::Group,
        "group renamed",
        "group not renamed",
    ),
    (
        "update_group",
        Told::Group,
        "group changed",
        "group not changed",
    ),
    (
        "lift_protection",
        Told::Group,
        "protection lifted",
        "protection not lifted",
    ),
    (
        "archive_group",
        Told::Group,
        "group archived",
        "group not archived",
    ),
    (
        "delete_group",
        Told::Group,
        "group deleted",
        "group not deleted",
    ),
    ("set_opt_out", Told::People, "opted out", "not opted out"),
    ("create_members", Told::People, "created", "not created"),
    ("update_member", Told::People, "changed", "not changed"),
    (
        "change_address",
        Told::People,
        "given another address",
        "not given another address",
    ),
    ("add_memberships", Told::People, "joined", "not joined"),
    ("remove_memberships", Told::People, "removed", "not removed"),
];

/// Says in words what an operation did to one.
pub(super) fn told(op: &str) -> &str {
    let known = WORDS.iter().find(|(known, ..)| *known == op);
    known.map_or(op, |(.., done, _)| done)
}

/// Returns the operations whose items a run may have, as the plan format names them.
pub fn operations() -> [&'static str; 15] {
    WORDS.map(|(op, ..)| op)
}

/// How many people are named in one line.
const NAMED: usize = 3;

/// How many items are told in one line, and some of them.
#[derive(Default)]
struct Alike {
    count: u64,
    first: Vec<RunItem>,
}

impl Alike {
    fn take(&mut self, item: RunItem) {
        self.count += 1;
        // Each of those with words has a line of its own.
        let shown = if item.message.is_some() { SHOWN } else { NAMED };
        if self.first.len() < shown {
            self.first.push(item);
        }
    }

    fn write(&self, out: &mut dyn Write, line: &Line) -> io::Result<()> {
        let (sign, style) = sign(&line.op, &line.outcome);
        write!(out, "  {style}{sign}{style:#} {}", line.words(self))?;
        let has_words = self.first.iter().any(|item| item.message.is_some());
        if has_words {
            writeln!(out)?;
            for item in &self.first {
                let who = item.member.as_deref().map(address);
                let message = item.message.as_deref().map(harmless);
                let parts: Vec<_> = who.into_iter().chain(message).collect();
                writeln!(out, "      {}", parts.join(": "))?;
            }
            return match self.left_out() {
                0 => Ok(()),
                left_out => writeln!(out, "      {ASIDE}{}{ASIDE:#}", and_more(left_out)),
            };
        }
        let names: Vec<_> = self
            .first
            .iter()
            .filter_map(|item| item.member.as_deref())
            .map(address)
            .collect();
        if !names.is_empty() {
            write!(out, ": {}", names.join(", "))?;
            if self.left_out() > 0 {
                write!(out, " {ASIDE}{}{ASIDE:#}", and_more(self.left_out()))?;
            }
        }
        writeln!(out)
    }

    fn left_out(&self) -> u64 {
        self.count - self.first.len() as u64
    }
}

fn and_more(left_out: u64) -> String {
    format!("… and {} more (-v shows all)", grouped(left_out))
}

fn sign(op: &str, outcome: &str) -> (&'static str, Style) {
    let outcome = if outcome == FOUND { "done" } else { outcome };
    match (outcome, op) {
        ("done", "remove_memberships" | "archive_group" | "delete_group") => ("-", GONE),
        ("done", "update_member" | "change_address" | "update_group" | "rename_group") => {
            ("~", CHANGED)
        }
        ("done", _) => ("+", ADDED),
        ("failed", _) => ("x", GONE),
        _ => ("?", CHANGED),
    }
}

fn write_item(out: &mut dyn Write, item: &RunItem) -> io::Result<()> {
    let (sign, style) = sign(&item.op, &item.outcome);
    let who = match (&item.member, &item.group) {
        (Some(member), Some(group)) => format!("{} in {}", address(member), quoted(group)),
        (Some(member), None) => address(member).into_owned(),
        (None, Some(group)) => quoted(group),
        (None, None) => String::new(),
    };
    write!(
        out,
        "  {style}{sign}{style:#} {:>4}  {}  {who}  {style}{}{style:#}",
        item.seq,
        harmless(&item.op),
        harmless(&item.outcome)
    )?;
    if let Some(reason) = &item.reason {
        write!(out, ", {}", harmless(reason))?;
    }
    if let Some(message) = &item.message {
        write!(out, ": {}", harmless(message))?;
    }
    writeln!(out)?;
    for (field, change) in &item.fields {
        let after = value(change.after.as_ref(), true);
        let field = harmless(field);
        match &change.before {
            before if before.is_some() || change.is_before_known => {
                let before = value(before.as_ref(), true);
                writeln!(
                    out,
                    "            {ASIDE}{field}: {before} → {after}{ASIDE:#}"
                )?;
            }
            _ => writeln!(out, "            {ASIDE}{field}: {after}{ASIDE:#}")?,
        }
    }
    Ok(())
}

/// Writes one run with its items as JSON.
///
/// # Errors
/// What writing to `out` says.
pub fn write_show_json(
    out: &mut dyn Write,
    run: &RunRecord,
    items: impl Iterator<Item = RunItem>,
) -> io::Result<()> {
    #[derive(serde::Serialize)]
    #[serde(bound = "I: Iterator<Item = RunItem>")]
    struct Document<'a, I: Iterator<Item = RunItem>> {
        version: u32,
        #[serde(flatten)]
        run: RunRow,
        items: OneByOne<'a, I>,
        uncounted: Counted<'a>,
    }
    /// Items that are made as they are written.
    struct OneByOne<'a, I>(RefCell<I>, &'a RefCell<Uncounted>);
    /// What the items have come to once they are written.
    struct Counted<'a>(&'a RefCell<Uncounted>);
    impl Serialize for Counted<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.borrow().0.serialize(serializer)
        }
    }
    impl<I: Iterator<Item = RunItem>> Serialize for OneByOne<'_, I> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut rows = serializer.serialize_seq(None)?;
            for item in self.0.borrow_mut().by_ref() {
                self.1.borrow_mut().take(&item);
                rows.serialize_element(&item)?;
            }
            rows.end()
        }
    }
    let uncounted = RefCell::default();
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            run: RunRow::new(run),
            items: OneByOne(RefCell::new(items), &uncounted),
            uncounted: Counted(&uncounted),
        },
    )
}
