//! A copy of an account in files: three tables, each as CSV and as JSON lines, and a manifest.
//!
//! JSON lines hold every field as it was read; a membership names its person by id and normalised
//! address. CSV is for spreadsheets, which take a cell for a formula that begins with one of a few
//! characters: such a cell, and one that begins with an apostrophe, gets an apostrophe in front.
//! Taking one away from each cell that begins with it gives the value back.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use compact_str::CompactString;
use jiff::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use super::json::{FORMAT_VERSION, write_document};
use super::paint::{ADDED, GONE, HEADING};
use super::words::{count, grouped, harmless};
use crate::model::{
    FieldSpec, Group, GroupKind, Listing, MemberStatus, MembershipState, ObjectKind, ProviderKind,
    Reading, Unreadable, Value, id_order, without_addresses,
};
use crate::provider;
use crate::run::Everything;

/// The word for a state that may be a refusal and can't be told: never the word for somebody who can
/// be mailed.
const UNKNOWN: &str = "unknown";

/// So many sentences are shown of each table before they are counted.
const MOST_SHOWN: usize = 20;

/// The characters at which a spreadsheet may begin to calculate, also in their wide forms, and the
/// apostrophe that says that it must not.
const FORMULA: [char; 12] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\'', '＝', '＋', '－', '＠',
];

/// How the columns of custom fields begin.
const CUSTOM: &str = "custom.";

/// One of the tables of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExportTable {
    /// The groups, whatever their kind and status.
    Groups,
    /// The people of the account, in a group or not.
    Members,
    /// Who is in which group, and how they stand there.
    Memberships,
}

impl ExportTable {
    /// All of them, in the order in which they are written.
    pub const ALL: [ExportTable; 3] = [
        ExportTable::Groups,
        ExportTable::Members,
        ExportTable::Memberships,
    ];

    /// Returns the word that its files are named after.
    pub fn as_str(self) -> &'static str {
        match self {
            ExportTable::Groups => "groups",
            ExportTable::Members => "members",
            ExportTable::Memberships => "memberships",
        }
    }

    /// Names one of its files: what may not be whole says so by its name.
    pub fn file_name(self, extension: &str, complete: bool) -> String {
        let mark = if complete { "" } else { ".incomplete" };
        format!("{}{mark}.{extension}", self.as_str())
    }

    /// Returns every name that a file of an export can have, its manifest's apart.
    pub fn file_names() -> BTreeSet<String> {
        let forms = [
            ("csv", true),
            ("csv", false),
            ("jsonl", true),
            ("jsonl", false),
        ];
        let names = ExportTable::ALL.into_iter().flat_map(|table| {
            forms.map(|(extension, complete)| table.file_name(extension, complete))
        });
        names.collect()
    }
}

/// What an export holds, in numbers and with what is missing: its `manifest.json`, which is written
/// last. Without one there is no export.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    version: u32,
    rosterd: &'static str,
    /// The configured name of the provider.
    pub provider: String,
    kind: &'static str,
    groups_are: Option<&'static str>,
    account: String,
    begun: Timestamp,
    ended: Timestamp,
    requests: u64,
    /// Whether all of it was read to its end.
    pub complete: bool,
    /// The tables by name.
    pub tables: BTreeMap<&'static str, TableNote>,
    notes: Vec<String>,
    listings: Vec<ListingNote>,
    /// The files, once they are written.
    pub files: Vec<FileNote>,
}

/// What a manifest says of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableNote {
    /// How many rows it has.
    pub rows: u64,
    /// Whether they are all, with all that is known of them.
    pub complete: bool,
    /// Why they may not be, one sentence each.
    pub doubts: Vec<String>,
    /// How many there are of each status or state.
    pub states: BTreeMap<&'static str, u64>,
}

/// What a manifest says of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileNote {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its rows, the header of a CSV file apart.
    pub rows: u64,
    /// The SHA-256 of its bytes, as `sha256sum` prints it.
    pub sha256: String,
}

/// What a manifest says of who is in a group.
#[derive(Clone, Debug, Serialize)]
struct ListingNote {
    group: String,
    name: String,
    rows: u64,
    complete: bool,
    doubts: Vec<String>,
    pages: u64,
    announced: Option<u64>,
}

/// An export before it is written: its tables can be written one after the other.
pub struct Export<'a> {
    from: &'a Everything,
    /// The positions of the people, in ascending order of their ids.
    order: Vec<u32>,
    /// The place of each position in that order.
    rank: Vec<u32>,
}

impl<'a> Export<'a> {
    /// Puts the people in order, so that two exports of an account can be compared line by line.
    pub fn new(from: &'a Everything) -> Export<'a> {
        let members = &from.snapshot.members;
        let id = |at: &u32| from.names.text(members[*at as usize].id);
        let mut order: Vec<u32> = (0..).take(members.len()).collect();
        order.sort_unstable_by(|left, right| id_order(id(left)).cmp(&id_order(id(right))));
        let mut rank = vec![0; order.len()];
        for (place, at) in (0..).zip(&order) {
            rank[*at as usize] = place;
        }
        Export { from, order, rank }
    }

    /// Counts what there is and says what is missing; `account` tells the account from others.
    pub fn manifest(&self, account: String) -> Manifest {
        let Everything { snapshot, kind, .. } = self.from;
        let groups = snapshot.groups.seen();
        let notes = [
            self.note_of_groups(groups),
            self.note_of_members(),
            self.note_of_memberships(groups),
        ];
        let tables: BTreeMap<&str, TableNote> = ExportTable::ALL
            .into_iter()
            .zip(notes)
            .map(|(table, mut note)| {
                note.complete = note.doubts.is_empty();
                (table.as_str(), note)
            })
            .collect();
        Manifest {
            version: FORMAT_VERSION,
            rosterd: env!("CARGO_PKG_VERSION"),
            provider: self.from.provider.clone(),
            kind: kind.as_str(),
            groups_are: kind.groups_word(),
            account,
            begun: self.from.begun,
            ended: self.from.ended,
            requests: self.from.requests,
            complete: tables.values().all(|note| note.complete),
            tables,
            notes: notes_on(*kind, groups),
            listings: groups.iter().map(|group| self.listing_of(group)).collect(),
            files: Vec::new(),
        }
    }

    fn note_of_groups(&self, groups: &[Group]) -> TableNote {
        let mut note = TableNote {
            rows: groups.len() as u64,
            doubts: self.from.group_doubts.clone(),
            ..TableNote::default()
        };
        for group in groups {
            *note.states.entry(group.status.as_str()).or_default() += 1;
        }
        note
    }

    fn note_of_members(&self) -> TableNote {
        let members = &self.from.snapshot.members;
        let mut note = TableNote {
            rows: members.len() as u64,
            doubts: self.from.member_doubts.clone(),
            ..TableNote::default()
        };
        let statuses = members.iter();
        for status in statuses.filter_map(|member| self.status_of(member.status)) {
            *note.states.entry(status).or_default() += 1;
        }
        note
    }

    fn note_of_memberships(&self, groups: &[Group]) -> TableNote {
        let snapshot = &self.from.snapshot;
        let mut note = TableNote {
            doubts: self.from.group_doubts.clone(),
            ..TableNote::default()
        };
        for group in groups {
            let doubts = self.doubts_of(group).into_iter();
            let named = doubts.map(|why| format!("group {} ({}): {why}", group.id, group.name));
            note.doubts.extend(named);
            let Some(listing) = snapshot.listing(&group.id) else {
                continue;
            };
            note.rows += listing.seen().rows.len() as u64;
            for row in &listing.seen().rows {
                let word = self.state_of(group, listing, row.member, row.state);
                *note.states.entry(word).or_default() += 1;
            }
        }
        let unreadable = snapshot.unreadable.iter();
        note.doubts
            .extend(unreadable.filter_map(|(id, what)| match what {
                Unreadable::Standing(why) => {
                    Some(format!("member {id}: {}", without_addresses(why)))
                }
                Unreadable::Profile | Unreadable::Value(_) => None,
            }));
        note
    }

    fn doubts_of(&self, group: &Group) -> Vec<String> {
        match self.from.snapshot.listing(&group.id) {
            Some(listing) => {
                let why = listing.why_incomplete().iter();
                why.map(|why| without_addresses(why)).collect()
            }
            None => vec!["it was not listed".to_owned()],
        }
    }

    fn listing_of(&self, group: &Group) -> ListingNote {
        let snapshot = &self.from.snapshot;
        let listing = snapshot.listing(&group.id);
        let certificate = snapshot.certificates.get(&group.id);
        let doubts = self.doubts_of(group);
        ListingNote {
            group: group.id.clone(),
            name: group.name.clone(),
            rows: listing.map_or(0, |listing| listing.seen().rows.len() as u64),
            complete: doubts.is_empty(),
            doubts,
            pages: certificate.map_or(0, |certificate| certificate.pages),
            announced: group.member_count,
        }
    }

    /// Writes one table in both forms.
    ///
    /// # Errors
    /// What writing says, or reading the profiles back.
    pub fn write(
        &self,
        table: ExportTable,
        csv: &mut dyn Write,
        lines: &mut dyn Write,
    ) -> io::Result<()> {
        match table {
            ExportTable::Groups => self.write_groups(csv, lines),
            ExportTable::Members => self.write_members(csv, lines),
            ExportTable::Memberships => self.write_memberships(csv, lines),
        }
    }

    fn write_groups(&self, csv: &mut dyn Write, lines: &mut dyn Write) -> io::Result<()> {
        let schema = provider::schema(self.from.kind);
        let first = ["id", "name", "kind", "status", "member_count"];
        let rest = schema.groups.iter().filter(|field| field.readable);
        let rest = rest.map(|field| field.canonical);
        let columns: Vec<String> = first
            .into_iter()
            .chain(rest.filter(|name| !first.contains(name)))
            .map(str::to_owned)
            .collect();
        let mut rows = Rows::new(columns.clone(), csv, lines)?;
        for group in self.from.snapshot.groups.seen() {
            let cells = columns
                .iter()
                .map(|name| group.canonical.get(name.as_str()));
            let cells: Vec<Option<Value>> = cells.map(Option::<&Value>::cloned).collect();
            rows.write(&cells)?;
        }
        rows.finish()
    }

    fn write_members(&self, csv: &mut dyn Write, lines: &mut dyn Write) -> io::Result<()> {
        let Everything {
            snapshot, names, ..
        } = self.from;
        let schema = provider::schema(self.from.kind);
        let email = schema.by_canonical(ObjectKind::Member, "email");
        let fields = self.member_fields();
        let mut columns = vec!["id".to_owned(), "email".to_owned(), "status".to_owned()];
        columns.extend(fields.iter().map(|field| field.column.clone()));
        let mut rows = Rows::new(columns, csv, lines)?;
        let mut cells = Vec::new();
        for member in self.order.iter().map(|at| &snapshot.members[*at as usize]) {
            let id = names.text(member.id);
            let profile = self.from.profiles.get(id).map_err(io::Error::other)?;
            let profile = profile.unwrap_or_default();
            // As it is spelt there, where the profile came.
            let spelt = email.and_then(|field| profile.get(field.wire)).cloned();
            let known = member.address.or(member.unusable);
            cells.clear();
            cells.push(Some(Value::from(id)));
            cells.push(spelt.or_else(|| known.map(|address| Value::from(names.text(address)))));
            cells.push(self.status_of(member.status).map(Value::from));
            cells.extend(fields.iter().map(|field| {
                let value = profile.get(field.wire.as_str())?;
                Some(field.spec.to_canonical(value))
            }));
            rows.write(&cells)?;
        }
        rows.finish()
    }

    fn write_memberships(&self, csv: &mut dyn Write, lines: &mut dyn Write) -> io::Result<()> {
        let Everything {
            snapshot, names, ..
        } = self.from;
        let columns = ["group_id", "group", "member_id", "email", "state", "since"];
        let mut rows = Rows::new(columns.map(str::to_owned).to_vec(), csv, lines)?;
        for group in snapshot.groups.seen() {
            let Some(reading) = snapshot.listing(&group.id) else {
                continue;
            };
            let listing = reading.seen();
            let mut listed = listing.rows.clone();
            listed.sort_unstable_by_key(|row| self.rank[row.member as usize]);
            for row in listed {
                let member = &snapshot.members[row.member as usize];
                let address = member.address.or(member.unusable);
                let state = self.state_of(group, reading, row.member, row.state);
                let since = listing.refused_at(row.member);
                let since = since.and_then(|seconds| Timestamp::from_second(seconds).ok());
                rows.write(&[
                    Some(Value::from(group.id.as_str())),
                    Some(Value::from(group.name.as_str())),
                    Some(Value::from(names.text(member.id))),
                    address.map(|address| Value::from(names.text(address))),
                    Some(Value::from(state)),
                    since.map(|since| Value::from(since.to_string())),
                ])?;
            }
        }
        rows.finish()
    }

    /// Returns what a profile may hold, beside what every member has. Custom fields go by their
    /// labels, and where two share one, by their system names as well.
    fn member_fields(&self) -> Vec<MemberField> {
        let schema = provider::schema(self.from.kind);
        let plain = schema.members.iter().filter(|field| {
            field.readable && !["id", "email", "custom.*"].contains(&field.canonical)
        });
        let mut fields: Vec<MemberField> = plain
            .map(|spec| MemberField {
                column: spec.canonical.to_owned(),
                wire: spec.wire.to_owned(),
                spec,
            })
            .collect();
        let Some(spec) = schema.by_canonical(ObjectKind::Member, "custom.*") else {
            return fields;
        };
        let custom = &self.from.custom;
        let shown = self.from.snapshot.shown_custom.iter().flatten();
        let shown = shown.map(CompactString::as_str);
        let defined = custom.fields.iter().map(|field| field.system_name.as_str());
        let system_names: BTreeSet<&str> = defined.chain(shown).collect();
        let mut sharing: BTreeMap<&str, usize> = BTreeMap::new();
        for name in &system_names {
            *sharing.entry(custom.label(name)).or_default() += 1;
        }
        fields.extend(system_names.iter().map(|name| {
            let label = custom.label(name);
            let column = match sharing[label] {
                1 => format!("{CUSTOM}{label}"),
                _ => format!("{CUSTOM}{label} ({name})"),
            };
            MemberField {
                column,
                wire: format!("custom.{name}"),
                spec,
            }
        }));
        fields
    }

    /// Returns the word for somebody in the account; nothing where the provider has none. Where it is
    /// not certain who refuses, nobody is said to be active.
    fn status_of(&self, status: MemberStatus) -> Option<&'static str> {
        match status {
            _ if !has_status(self.from.kind) => None,
            MemberStatus::Active if !self.from.knows_refusals() => Some(UNKNOWN),
            status => Some(status.as_str()),
        }
    }

    /// Returns the word for somebody in a group, in the same way. Of a dynamic group nothing is
    /// shown but who is in it.
    fn state_of(
        &self,
        group: &Group,
        listing: &Reading<Listing>,
        member: u32,
        state: MembershipState,
    ) -> &'static str {
        let Everything {
            snapshot, names, ..
        } = self.from;
        let refusals = match listing {
            Reading::Complete(_) => true,
            Reading::Incomplete(incomplete) => incomplete.opt_outs_complete,
        };
        let is_told = refusals
            && group.kind != GroupKind::Dynamic
            && !snapshot.is_uncertain(listing.seen(), member, names);
        match state {
            MembershipState::Active | MembershipState::Unconfirmed if !is_told => UNKNOWN,
            state => state.as_str(),
        }
    }
}

/// Tells whether anything holds for a person in the whole account. Elsewhere "active" would be said of
/// somebody who refuses every list.
fn has_status(kind: ProviderKind) -> bool {
    provider::capabilities(kind).account_opt_out
}

/// Says what no reading of an account shows.
fn notes_on(kind: ProviderKind, groups: &[Group]) -> Vec<String> {
    let mut notes = Vec::new();
    let title = kind.full_title();
    if !has_status(kind) {
        notes.push(format!(
            "{title} have no status for the whole account: how somebody stands is told by the memberships alone."
        ));
    }
    let dynamic = groups.iter();
    let dynamic = dynamic.filter(|group| group.kind == GroupKind::Dynamic);
    let dynamic = dynamic.count() as u64;
    if dynamic > 0 {
        notes.push(format!(
            "{title} does not show who refuses {}: the state of their members is \"{UNKNOWN}\".",
            count(dynamic, "dynamic group", "dynamic groups")
        ));
    }
    notes
}

/// A field of a profile, and the column that it stands in.
struct MemberField {
    column: String,
    wire: String,
    spec: &'static FieldSpec,
}

/// Writes rows as CSV and as JSON lines. A column that begins with `custom.` stands within an object
/// of that name there.
struct Rows<'a> {
    columns: Vec<String>,
    csv: csv::Writer<&'a mut dyn Write>,
    lines: &'a mut dyn Write,
}

impl<'a> Rows<'a> {
    fn new(
        columns: Vec<String>,
        csv: &'a mut dyn Write,
        lines: &'a mut dyn Write,
    ) -> io::Result<Rows<'a>> {
        let mut csv = csv::Writer::from_writer(csv);
        csv.write_record(columns.iter().map(|name| cell(name).into_owned()))?;
        Ok(Rows {
            columns,
            csv,
            lines,
        })
    }

    /// Writes a row: a value, or nothing, for each column.
    fn write(&mut self, values: &[Option<Value>]) -> io::Result<()> {
        for value in values {
            match value {
                Some(value) => self.csv.write_field(cell(&value.words()).as_bytes())?,
                None => self.csv.write_field("")?,
            }
        }
        self.csv.write_record(None::<&[u8]>)?;
        let object = Object {
            columns: &self.columns,
            values,
            prefix: None,
        };
        serde_json::to_writer(&mut *self.lines, &object)?;
        self.lines.write_all(b"\n")
    }

    fn finish(mut self) -> io::Result<()> {
        self.csv.flush()?;
        self.lines.flush()
    }
}

/// Keeps a spreadsheet from taking a text for a formula.
fn cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(FORMULA) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A row as an object, in the order of the columns.
struct Object<'a> {
    columns: &'a [String],
    values: &'a [Option<Value>],
    /// Nothing for the row itself, else what the names in it begin with.
    prefix: Option<&'static str>,
}

impl Object<'_> {
    fn cells(&self) -> impl Iterator<Item = (&str, &Value)> {
        let cells = self.columns.iter().zip(self.values);
        cells.filter_map(|(column, value)| {
            let name = match self.prefix {
                Some(prefix) => column.strip_prefix(prefix)?,
                None if column.starts_with(CUSTOM) => return None,
                None => column,
            };
            Some((name, value.as_ref()?))
        })
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.cells() {
            map.serialize_entry(name, value)?;
        }
        let custom = Object {
            prefix: Some(CUSTOM),
            ..*self
        };
        if self.prefix.is_none() && custom.cells().next().is_some() {
            map.serialize_entry("custom", &custom)?;
        }
        map.end()
    }
}

/// Writes a manifest.
///
/// # Errors
/// What writing to `out` says.
pub fn write_manifest(out: &mut dyn Write, manifest: &Manifest) -> io::Result<()> {
    write_document(out, manifest)
}

/// Tells whether a text is the manifest of an export.
pub fn is_manifest(text: &str) -> bool {
    let read: Result<serde_json::Value, _> = serde_json::from_str(text);
    read.is_ok_and(|found| {
        ["rosterd", "provider", "complete", "tables", "files"]
            .iter()
            .all(|key| found.get(key).is_some())
    })
}

/// Says what an export holds and what it lacks, without a word about anybody; `directory` is where
/// it stands.
///
/// # Errors
/// What writing to `out` says.
pub fn write_export_text(
    out: &mut dyn Write,
    manifest: &Manifest,
    directory: &str,
) -> io::Result<()> {
    writeln!(
        out,
        "{HEADING}Exported {}{HEADING:#} to {}",
        harmless(&manifest.provider),
        harmless(directory)
    )?;
    for table in ExportTable::ALL {
        let Some(note) = manifest.tables.get(table.as_str()) else {
            continue;
        };
        let states = note.states.iter();
        let states: Vec<String> = states
            .map(|(state, number)| format!("{} {state}", grouped(*number)))
            .collect();
        let states = match states.as_slice() {
            [] => String::new(),
            states => format!(" ({})", states.join(", ")),
        };
        let one = table.as_str().trim_end_matches('s');
        let rows = count(note.rows, one, table.as_str());
        if note.complete {
            writeln!(out, "  {ADDED}ok{ADDED:#} {rows}{states}")?;
            continue;
        }
        writeln!(out, "  {GONE}x{GONE:#} {rows}{states}, not whole:")?;
        for doubt in note.doubts.iter().take(MOST_SHOWN) {
            writeln!(out, "      {}", harmless(doubt))?;
        }
        if let Some(more) = note.doubts.len().checked_sub(MOST_SHOWN + 1) {
            writeln!(out, "      and {} more, in manifest.json", more + 1)?;
        }
    }
    for note in &manifest.notes {
        writeln!(out, "  {}", harmless(note))?;
    }
    if !manifest.complete {
        writeln!(
            out,
            "{GONE}This is no whole copy of the account.{GONE:#} The files that lack something are called `.incomplete`; export again once the reasons above are settled."
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes one row, and returns its CSV without the header, and its JSON.
    fn written(columns: &[&str], values: &[Option<Value>]) -> (csv::StringRecord, String) {
        let (mut csv, mut lines) = (Vec::new(), Vec::new());
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        let mut rows = Rows::new(columns, &mut csv, &mut lines).unwrap();
        rows.write(values).unwrap();
        rows.finish().unwrap();
        let mut reader = csv::Reader::from_reader(csv.as_slice());
        let mut records = reader.records();
        let record = records.next().unwrap().unwrap();
        assert!(records.next().is_none());
        (record, String::from_utf8(lines).unwrap())
    }

    #[test]
    fn values_come_back_from_both_forms() {
        let long = "x".repeat(10_000);
        for text in [
            "plain",
            "=cmd|' /C calc'!A0",
            "+49 170 1",
            "-1",
            "@SUM(A1)",
            "\ttab",
            "\rreturn",
            "\nnewline",
            "＝wide",
            "'quoted'",
            "''",
            "a \"quote\", a comma; and\r\nlines",
            "\u{202e}gro.elpmaxe",
            "\u{1b}[31mred\u{9b}",
            "\u{0}",
            "  spaces  ",
            long.as_str(),
        ] {
            let (record, line) = written(&["name"], &[Some(Value::from(text))]);
            let cell = &record[0];
            let formula = ['=', '+', '-', '@', '\t', '\r', '\n', '＝'];
            assert!(!cell.starts_with(formula), "{text:?}");
            assert_eq!(cell.strip_prefix('\'').unwrap_or(cell), text);
            assert_eq!(line.matches('\n').count(), 1);
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(object, serde_json::json!({"name": text}));
        }
    }

    #[test]
    fn what_is_absent_is_left_out_and_types_stay() {
        let columns = [
            "id",
            "vip",
            "count",
            "tags",
            "custom.=size",
            "custom.b",
            "phone",
        ];
        let values = [
            Some(Value::from("007")),
            Some(Value::from(true)),
            Some(Value::from(-3)),
            Some(Value::List(vec!["a".to_owned(), "b,c".to_owned()])),
            None,
            Some(Value::from("42")),
            None,
        ];
        let (record, line) = written(&columns, &values);
        assert_eq!(
            record.iter().collect::<Vec<_>>(),
            ["007", "true", "'-3", "a,b,c", "", "42", ""]
        );
        assert_eq!(
            line,
            "{\"id\":\"007\",\"vip\":true,\"count\":-3,\"tags\":[\"a\",\"b,c\"],\"custom\":{\"b\":\"42\"}}\n"
        );
    }

    #[test]
    fn no_two_fields_of_a_provider_share_a_column() {
        for kind in ProviderKind::ALL {
            let schema = provider::schema(kind);
            for object in [ObjectKind::Group, ObjectKind::Member] {
                let fields = schema.fields(object).iter().filter(|field| field.readable);
                let names: Vec<&str> = fields.map(|field| field.canonical).collect();
                let distinct: BTreeSet<&str> = names.iter().copied().collect();
                assert_eq!(distinct.len(), names.len(), "{kind} {object:?}");
                assert!(object == ObjectKind::Group || !distinct.contains("status"));
            }
        }
    }

    #[test]
    fn what_may_not_be_whole_says_so_by_its_name() {
        assert_eq!(ExportTable::Members.file_name("csv", true), "members.csv");
        let partial = ExportTable::Members.file_name("csv", false);
        assert_eq!(partial, "members.incomplete.csv");
        assert_eq!(ExportTable::file_names().len(), 12);
    }
}
