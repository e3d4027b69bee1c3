//! The items of a page: written into it as data, one after the other, and counted on the way.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{self, Write};

use super::html::{Escaped, Short, Whole, json_text};
use super::kind::Kind;
use crate::report::words::harmless;
use crate::state::FOUND;

/// How many people of one kind a group's section names.
pub(super) const NAMED: usize = 10;

/// Stands beside a change that undoes what somebody did at the target.
pub(super) const OUTSIDE: &str = " <em class=\"change\">! changed outside</em>";

/// One field of an item, as it is shown.
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    /// What it held, where that is told.
    pub(super) before: Option<String>,
    pub(super) after: String,
    /// Whether what it held is somebody's doing at the target since the last run.
    pub(super) outside: bool,
}

/// One item.
pub(super) struct Row<'a> {
    pub(super) kind: Kind,
    /// How a person is shown; empty where it is about nobody.
    pub(super) who: Cow<'a, str>,
    pub(super) group: Option<&'a str>,
    /// The rule that decided.
    pub(super) reason: Option<&'a str>,
    /// What became of it, in a run.
    pub(super) outcome: Option<&'a str>,
    /// What there is to say of it.
    pub(super) words: &'a str,
    pub(super) fields: Vec<Field<'a>>,
}

impl<'a> Row<'a> {
    /// Makes an item that is about nothing yet.
    pub(super) fn of(kind: Kind) -> Row<'a> {
        Row {
            kind,
            who: Cow::Borrowed(""),
            group: None,
            reason: None,
            outcome: None,
            words: "",
            fields: Vec::new(),
        }
    }
}

/// How many items there are, by what a reader may ask for.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) all: u64,
    pub(super) kinds: BTreeMap<Kind, BTreeMap<String, u64>>,
    pub(super) reasons: BTreeMap<(Kind, String), u64>,
    /// The names of reasons and outcomes in the data.
    numbers: HashMap<String, usize>,
    pub(super) groups: BTreeMap<String, GroupTally>,
}

impl Tally {
    /// Counts the items of a kind.
    pub(super) fn of(&self, kind: Kind) -> u64 {
        self.kinds.get(&kind).map_or(0, |by| by.values().sum())
    }

    /// Returns the number of a name in the data.
    pub(super) fn number(&self, name: &str) -> usize {
        self.numbers.get(name).copied().unwrap_or_default()
    }
}

/// What is told of one group.
#[derive(Default)]
pub(super) struct GroupTally {
    /// Its number in the data.
    pub(super) number: usize,
    pub(super) kinds: BTreeMap<Kind, Share>,
    /// What happens to the group itself, made for its section.
    pub(super) changes: String,
}

/// So many items of one kind, and the first people of them.
#[derive(Default)]
pub(super) struct Share {
    pub(super) count: u64,
    /// How many of them a run has not done, and no later one found done.
    pub(super) undone: u64,
    pub(super) names: Vec<String>,
}

/// Writes items into a page.
///
/// Names that occur often stand in the data once: a text among the rows is the next name, counted from
/// one, and rows say its number.
pub(super) struct Rows<'a> {
    out: &'a mut dyn Write,
    names: HashMap<String, usize>,
    first: bool,
    pub(super) tally: Tally,
}

impl<'a> Rows<'a> {
    /// Begins the data.
    pub(super) fn begin(out: &'a mut dyn Write) -> io::Result<Rows<'a>> {
        write!(
            out,
            "<script type=\"application/json\" id=\"data\">{{\"kinds\":["
        )?;
        for kind in Kind::ALL {
            let comma = if kind.place() == 0 { "" } else { "," };
            write!(
                out,
                "{comma}[\"{}\",\"{}\",\"{}\"]",
                kind.label(),
                kind.sign(),
                kind.class()
            )?;
        }
        write!(out, "],\"rows\":[")?;
        Ok(Rows {
            out,
            names: HashMap::new(),
            first: true,
            tally: Tally::default(),
        })
    }

    /// Ends the data, and returns what was counted.
    pub(super) fn end(self) -> io::Result<Tally> {
        writeln!(self.out, "\n]}}</script>")?;
        Ok(Tally {
            numbers: self.names,
            ..self.tally
        })
    }

    /// Writes one item.
    pub(super) fn push(&mut self, row: &Row<'_>) -> io::Result<()> {
        let group = self.name(row.group)?;
        let reason = self.name(row.reason)?;
        let outcome = self.name(row.outcome)?;
        let mut fields = Vec::with_capacity(row.fields.len());
        for field in &row.fields {
            fields.push(self.name(Some(field.name))?);
        }
        self.line()?;
        write!(self.out, "[{},", row.kind.place())?;
        json_text(self.out, &row.who)?;
        write!(self.out, ",{group},{reason},{outcome}")?;
        if !row.words.is_empty() || !fields.is_empty() {
            self.out.write_all(b",")?;
            json_text(self.out, row.words)?;
        }
        if !fields.is_empty() {
            let mut lead = ",[";
            for (field, name) in row.fields.iter().zip(fields) {
                write!(self.out, "{lead}{name},")?;
                match &field.before {
                    Some(before) => json_text(self.out, before)?,
                    None => self.out.write_all(b"0")?,
                }
                self.out.write_all(b",")?;
                json_text(self.out, &field.after)?;
                lead = ",";
            }
            self.out.write_all(b"]")?;
        }
        self.out.write_all(b"]")?;
        self.count(row, group);
        Ok(())
    }

    /// Returns the number of a name, which is written first where it is new.
    fn name(&mut self, name: Option<&str>) -> io::Result<usize> {
        let Some(name) = name else { return Ok(0) };
        let name = harmless(name);
        if let Some(number) = self.names.get(&*name) {
            return Ok(*number);
        }
        self.line()?;
        json_text(self.out, &name)?;
        let number = self.names.len() + 1;
        self.names.insert(name.into_owned(), number);
        Ok(number)
    }

    fn line(&mut self) -> io::Result<()> {
        let lead: &[u8] = if self.first { b"\n" } else { b",\n" };
        self.first = false;
        self.out.write_all(lead)
    }

    fn count(&mut self, row: &Row<'_>, number: usize) {
        let tally = &mut self.tally;
        tally.all += 1;
        let outcome = row.outcome.unwrap_or_default();
        let outcomes = tally.kinds.entry(row.kind).or_default();
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
        if let Some(reason) = row.reason {
            let key = (row.kind, harmless(reason).into_owned());
            *tally.reasons.entry(key).or_default() += 1;
        }
        let Some(group) = row.group else { return };
        let group = tally
            .groups
            .entry(harmless(group).into_owned())
            .or_default();
        group.number = number;
        let share = group.kinds.entry(row.kind).or_default();
        share.count += 1;
        share.undone += u64::from(!matches!(outcome, "" | "done" | FOUND));
        if !row.who.is_empty() && share.names.len() < NAMED {
            share.names.push(row.who.clone().into_owned());
        }
        if row.who.is_empty() && row.kind.is_of_group() {
            told(&mut group.changes, row);
        }
    }
}

/// Tells an item of a group itself as it stands in the group's section.
fn told(text: &mut String, row: &Row<'_>) {
    let told = (|| {
        write!(
            text,
            "<p class=\"{}\">{} ",
            row.kind.class(),
            row.kind.sign()
        )?;
        match row.outcome {
            None => text.push_str(row.kind.label()),
            Some("done") => text.push_str(&row.kind.words(1, true)),
            Some(FOUND) => write!(text, "{}, found by a later run", row.kind.words(1, true))?,
            Some(other) => write!(
                text,
                "{} <strong>{}</strong>",
                row.kind.label(),
                Escaped(other)
            )?,
        }
        if !row.words.is_empty() {
            write!(text, ": {}", Whole(row.words))?;
        }
        text.push_str("</p>");
        fields(text, &row.fields)
    })();
    told.expect("a text takes everything");
}

/// Writes fields as a small table.
pub(super) fn fields(out: &mut String, fields: &[Field<'_>]) -> std::fmt::Result {
    if fields.is_empty() {
        return Ok(());
    }
    write!(out, "<table class=\"fields\">")?;
    for field in fields {
        write!(out, "<tr><th scope=\"row\">{}</th><td>", Short(field.name))?;
        if let Some(before) = &field.before {
            write!(out, "<del>{}</del> → ", Whole(before))?;
        }
        let mark = if field.outside { OUTSIDE } else { "" };
        write!(out, "<ins>{}</ins>{mark}</td></tr>", Whole(&field.after))?;
    }
    write!(out, "</table>")
}
