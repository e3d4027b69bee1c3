//! Counts what of the source has no home at the target, and says which line of the config gives it
//! one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::config::settled::JobConfig;
use crate::mapping::{BoundMapping, LeftOut, LeftOutReason};
use crate::model::{FieldType, Met, ObjectKind, Record, Schema, Snapshot, Writable};
use crate::plan::Loss;
use crate::run::read::Sides;
use crate::state::{LossKind, ToldLoss};

/// Losses in the making, of one kind of object.
pub(super) struct Losses<'a> {
    job: &'a JobConfig,
    schema: &'a Schema,
    mapping: &'a BoundMapping,
    object: ObjectKind,
    /// The fields of which some record has a value, by their canonical names.
    valued: BTreeSet<String>,
    /// By field and reason; with the remedy.
    counted: BTreeMap<(String, String), (Met, Option<String>)>,
}

impl<'a> Losses<'a> {
    pub(super) fn new(
        job: &'a JobConfig,
        schema: &'a Schema,
        mapping: &'a BoundMapping,
        object: ObjectKind,
    ) -> Losses<'a> {
        Losses {
            job,
            schema,
            mapping,
            object,
            valued: BTreeSet::new(),
            counted: BTreeMap::new(),
        }
    }

    /// Knows of which fields a record has values.
    pub(super) fn meet(&mut self, canonical: &Record) {
        let set = canonical.iter().filter(|(_, value)| !value.is_empty());
        for (field, _) in set {
            if !self.valued.contains(field.as_str()) {
                self.valued.insert(field.to_string());
            }
        }
    }

    /// Counts a value that its field at the target does not take.
    pub(super) fn left_out(&mut self, left: &LeftOut) {
        let reason = format!("{}, so it is left out", left.reason);
        let (mapping, object) = (self.mapping, self.object);
        let (met, remedy) = self.entry(&left.wire, reason);
        met.add(&left.value);
        if remedy.is_none() {
            let expression = mapping.expression(object, &left.wire);
            let expression = expression.unwrap_or_else(|| "…".to_owned());
            let value = match &left.reason {
                LeftOutReason::TooLong { max } => format!("({expression})[:{max}]"),
                LeftOutReason::ControlCharacters => {
                    format!("({expression}) | replace('\\n', ' ')")
                }
                // A line would write the same word for everybody else as well.
                LeftOutReason::NotAllowed { .. } | LeftOutReason::WrongType => return,
            };
            *remedy = Some(value);
        }
    }

    /// Counts a record on which the expression of a field failed.
    pub(super) fn failed(&mut self, field: &str, error: &str) {
        let reason = "its expression could not be evaluated".to_owned();
        self.entry(field, reason).0.add(error);
    }

    /// Counts a right of a group that no line of the config grants.
    pub(super) fn ungranted(&mut self, field: &str, example: &str) {
        let reason = "rosterd grants nothing unasked: it takes a line under `map.group`".to_owned();
        self.entry(field, reason).0.add(example);
    }

    /// Counts a value of a group for which the target has no field.
    pub(super) fn without_a_home(&mut self, field: &str, value: &str) {
        self.entry(field, NO_FIELD.to_owned()).0.add(value);
    }

    fn entry(&mut self, field: &str, reason: String) -> &mut (Met, Option<String>) {
        self.counted.entry((field.to_owned(), reason)).or_default()
    }

    pub(super) fn finish(self) -> Vec<Loss> {
        let homeless = self.homeless();
        let Losses {
            job,
            object,
            counted,
            ..
        } = self;
        let counted = counted.into_iter();
        counted
            .map(|((field, reason), (met, value))| {
                let remedy = match value {
                    Some(value) => Some(line(job, object, &field, &value)),
                    None if reason == NO_FIELD => homeless.clone(),
                    None => None,
                };
                loss(field, object, &met, reason, remedy)
            })
            .collect()
    }

    /// Finds a field of the target's groups that could hold all values without a home: one in which
    /// people write what they like. One line holds all of them, since each field has one line.
    fn homeless(&self) -> Option<String> {
        let without = self.counted.keys();
        let without: Vec<&str> = without
            .filter(|(_, reason)| reason == NO_FIELD)
            .map(|(field, _)| field.as_str())
            .collect();
        let home = |canonical: &&str| {
            let spec = self.schema.by_canonical(ObjectKind::Group, canonical)?;
            // A line that the config has, and a value that is carried already, stay.
            let is_used = self.mapping.is_explicit(ObjectKind::Group, spec.wire)
                || self.valued.contains(*canonical);
            let fits = spec.kind == FieldType::Text && spec.writable != Writable::No && !is_used;
            fits.then_some(spec.wire)
        };
        let home = ["notes", "description"].iter().find_map(home)?;
        let parts: Vec<String> = without
            .iter()
            .map(|field| format!("'{field}: ' ~ source.{field}"))
            .collect();
        Some(line(self.job, self.object, home, &parts.join(" ~ '; ' ~ ")))
    }
}

/// Why a value of a group is lost for which the target has no field.
/// Tells what is new of a plan's losses from what a finished run has told.
pub(super) fn know_told(losses: &mut [Loss], told: &HashMap<LossKind, ToldLoss>) {
    for loss in losses {
        let told = told.get(&kind_of(loss));
        let told = told.filter(|told| told.count >= loss.count);
        loss.known_since = told.map(|told| told.since);
    }
}

/// Which losses a run would have met, were there any.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::run) struct LossesMet {
    /// Those of groups: all of them were read.
    groups: bool,
    /// Those of fields of people: whoever is in the groups was read, and which fields have values.
    fields: bool,
    /// Those of single values of people: every profile was mapped.
    profiles: bool,
}

impl LossesMet {
    pub(super) fn of(source: &Snapshot, all_mapped: bool) -> LossesMet {
        let groups = source.groups.complete().is_some()
            && source
                .groups
                .seen()
                .iter()
                .all(|group| group.unread.is_none());
        let mut listings = source.listings.values();
        let fields = groups && listings.all(|listing| listing.complete().is_some());
        LossesMet {
            groups,
            fields,
            profiles: fields && all_mapped,
        }
    }

    /// Tells whether a loss that was not met is no more.
    pub(in crate::run) fn has_met(self, kind: &LossKind) -> bool {
        if kind.object == ObjectKind::Group.as_str() {
            self.groups
        } else if kind.reason == HELD_BACK || kind.reason.ends_with(CARRIED) {
            self.fields
        } else {
            self.profiles
        }
    }
}

/// Returns the losses of a plan to be taken down as told.
pub(in crate::run) fn to_tell(losses: &[Loss]) -> HashMap<LossKind, u64> {
    let mut counts: HashMap<LossKind, u64> = HashMap::new();
    for loss in losses {
        *counts.entry(kind_of(loss)).or_default() += loss.count;
    }
    counts
}

fn kind_of(loss: &Loss) -> LossKind {
    LossKind {
        object: loss.object.to_owned(),
        field: loss.field.clone(),
        reason: loss.reason.clone(),
    }
}

const HELD_BACK: &str =
    "the target's custom field for it could not be created so far; it is left out until then";
const CARRIED: &str = "it is kept as a carried value";
const NO_FIELD: &str = "the target has no field for it; it is kept as a carried value";

fn loss(
    field: String,
    object: ObjectKind,
    met: &Met,
    reason: String,
    remedy: Option<String>,
) -> Loss {
    Loss {
        field,
        object: object.as_str(),
        count: met.count(),
        examples: met.examples().to_vec(),
        reason,
        remedy,
        known_since: None,
    }
}

/// Writes a line of the config, with the table that it belongs to.
fn line(job: &JobConfig, object: ObjectKind, field: &str, expression: &str) -> String {
    let bare = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        !text.is_empty() && text.chars().all(plain)
    };
    let key = if bare(field) {
        field.to_owned()
    } else {
        toml::Value::String(field.to_owned()).to_string()
    };
    format!(
        "[jobs.{}.map.{}] {key} = {}",
        job.name,
        object.as_str(),
        toml::Value::String(expression.to_owned())
    )
}

/// Writes the line that gives a value of a person's a home in a custom field.
fn custom_field(job: &JobConfig, canonical: &str) -> String {
    let read = match canonical.strip_prefix("custom.") {
        Some(label) => format!("source.custom['{}']", label.replace('\'', "\\'")),
        None => format!("source.{canonical}"),
    };
    line(job, ObjectKind::Member, "custom.NAME", &read)
}

/// Counts the profile fields of the source that carry values and have no home at the target.
pub(super) fn losses_of_fields(
    job: &JobConfig,
    sides: &Sides,
    may_create_fields: bool,
) -> Vec<Loss> {
    let mut losses = Vec::new();
    for (wire, met) in &sides.source.field_use {
        let example = met.examples().first().map_or("", String::as_str);
        let record = Record::from([(wire.as_str().into(), example.into())]);
        let canonical = sides.mapping.source_member(&record);
        for field in canonical
            .keys()
            .filter(|field| sides.mapping.is_held_back(field))
        {
            let reason = HELD_BACK;
            losses.push(loss(
                field.to_string(),
                ObjectKind::Member,
                met,
                reason.to_owned(),
                None,
            ));
        }
        for field in sides
            .mapping
            .carried_fields(ObjectKind::Member, &canonical)
            .into_keys()
        {
            // What can't be listed may be there all the same.
            let is_custom = field.starts_with("custom.");
            let is_hidden = is_custom && !sides.target_custom.known;
            let why = if is_hidden {
                "the login may not list the target's custom fields, so which of them is its own can't be told"
            } else {
                "the target has no field for it"
            };
            let remedy = if is_custom && !is_hidden && may_create_fields {
                format!("[jobs.{}] create_fields = true", job.name)
            } else {
                custom_field(job, &field)
            };
            let reason = format!("{why}; {CARRIED}");
            let field = field.into();
            losses.push(loss(field, ObjectKind::Member, met, reason, Some(remedy)));
        }
    }
    losses
}
