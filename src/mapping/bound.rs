//! Rules that can be applied to records.

mod shown;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use compact_str::CompactString;

use self::shown::{EMPTY_OR_GONE, SHOW_OR_CORRECT, Unshown, quoted};
use super::convert::{Shape, convert};
use super::expression::{self, Aliases, Compiled};
use super::rule::Action;
use super::vocabulary::{first_part, is_right, is_worth_carrying};
use super::{Mapped, Mapping, normal_label};
use crate::model::{
    CustomField, CustomFields, LeftAlone, ObjectKind, Record, Schema, Unlisted, Value, Writable,
};

/// Enters every salt; to be raised when the same rules begin to give other values.
const VERSION: u32 = 1;

/// A rule whose target field is settled.
#[derive(Clone, Debug)]
pub(super) struct BoundRule {
    /// The target's name, `custom.` and the system name for a custom field.
    pub(super) wire: CompactString,
    /// The name as the config wrote it.
    pub(super) typed: String,
    pub(super) shape: Shape,
    pub(super) action: Action,
    pub(super) explicit: bool,
}

/// A mapping between two accounts whose custom fields are settled.
#[derive(Clone, Debug)]
pub struct BoundMapping {
    source: &'static Schema,
    target: &'static Schema,
    source_name: String,
    source_fields: CustomFields,
    target_fields: CustomFields,
    group: Vec<BoundRule>,
    member: Vec<BoundRule>,
    filter: Option<Arc<Compiled>>,
    aliases: Arc<Aliases>,
    missing: Vec<CustomField>,
    /// Those of them that are not created now, by the names of their values.
    not_created: BTreeSet<String>,
    /// Their rules.
    held_back: Vec<BoundRule>,
    unsaid: LeftAlone,
    /// The rules, by the target's names, that are left out because the login may not list the custom
    /// fields of the source, and those for which it may not list the target's.
    unlisted_rules: [Vec<String>; 2],
    unshown: Unshown,
    undecided: bool,
    group_roots: Roots,
    member_roots: Roots,
    group_homes: BTreeSet<String>,
    member_homes: BTreeSet<String>,
}

/// What helps where the login may not list the custom fields of a provider.
fn advice(unlisted: Unlisted) -> &'static str {
    match unlisted {
        Unlisted::Nothing => "let the login see them",
        Unlisted::ByLabel => "name them in the config, or let the login see them",
        Unlisted::ByNumber(_) => {
            "name them in the config by their system names, or let the login administer the account"
        }
    }
}

/// The first parts of the names that expressions read; only these are made visible to them.
type Roots = BTreeSet<String>;

impl BoundMapping {
    pub(super) fn new(
        mapping: &Mapping,
        source_fields: CustomFields,
        target_fields: CustomFields,
        group: Vec<BoundRule>,
        member: Vec<BoundRule>,
        aliases: Arc<Aliases>,
        missing: Vec<CustomField>,
    ) -> BoundMapping {
        let filter = mapping.filter.clone();
        let mut member_roots = roots(&member);
        member_roots.extend(
            filter
                .iter()
                .flat_map(|filter| filter.reads())
                .map(|name| first_part(&name).to_owned()),
        );
        let mut bound = BoundMapping {
            source: mapping.source,
            target: mapping.target,
            source_name: mapping.source_name.clone(),
            source_fields,
            target_fields,
            group_roots: roots(&group),
            member_roots,
            group,
            member,
            filter,
            aliases,
            missing,
            not_created: BTreeSet::new(),
            held_back: Vec::new(),
            unsaid: LeftAlone::default(),
            unlisted_rules: Default::default(),
            unshown: Unshown::default(),
            undecided: false,
            group_homes: BTreeSet::new(),
            member_homes: BTreeSet::new(),
        };
        bound.group_homes = bound.rule_reads(ObjectKind::Group);
        bound.member_homes = bound.rule_reads(ObjectKind::Member);
        bound
    }

    /// Leaves fields as they are of which nobody can tell what they should hold, and everybody where
    /// nobody can tell what the filter reads.
    pub(super) fn leaving(
        mut self,
        unsaid: LeftAlone,
        unlisted_rules: [Vec<String>; 2],
        undecided: bool,
    ) -> BoundMapping {
        self.unsaid = unsaid;
        self.unlisted_rules = unlisted_rules;
        self.undecided = undecided;
        self
    }

    /// Maps a group. The record has canonical names, with the group's `id` and whatever is carried
    /// for it.
    pub fn group(&self, canonical: &Record) -> Mapped {
        self.apply(&self.group, &self.group_roots, canonical)
    }

    /// Maps a member. The record has canonical names, custom fields as `custom.` and the label, as
    /// [`BoundMapping::source_member`] gives them.
    pub fn member(&self, canonical: &Record) -> Mapped {
        self.apply(&self.member, &self.member_roots, canonical)
    }

    /// Translates a member of the source from the provider's names into canonical ones.
    ///
    /// Where several custom fields share a label, the system name is added to it.
    pub fn source_member(&self, wire: &Record) -> Record {
        self.source
            .to_canonical(ObjectKind::Member, wire, &self.source_fields)
    }

    /// Tells whether a person of the source counts as a member; everybody does without a filter.
    ///
    /// # Errors
    /// A sentence, when the filter can't be evaluated on this record. The person is then neither in
    /// nor out.
    pub fn counts(&self, canonical: &Record) -> Result<bool, String> {
        if let Some(why) = self.where_undecided() {
            return Err(why);
        }
        let Some(filter) = &self.filter else {
            return Ok(true);
        };
        let result = filter.evaluate(&self.view(&self.member_roots, canonical))?;
        Ok(result.is_true())
    }

    /// Tells whether the config says who counts as a member, and its filter can be asked.
    pub fn has_where(&self) -> bool {
        self.filter.is_some() && !self.undecided
    }

    /// Says why the filter can't be asked about anybody, where a definition of the source's custom
    /// fields can't be read that it may mean, or no record shows a field that it reads.
    pub fn where_undecided(&self) -> Option<String> {
        self.undecided.then(|| {
            if !self.unshown.filter.is_empty() {
                return format!(
                    "members.where reads the custom field {}, which no record at the source shows and the login may not list there, so that {EMPTY_OR_GONE}, nor who counts as a member; {SHOW_OR_CORRECT}",
                    quoted(&self.unshown.filter)
                );
            }
            if !self.source_fields.known {
                return format!(
                    "members.where reads a custom field that the login may not list at the source, so that nobody can tell who counts as a member; {}",
                    advice(self.source.unlisted)
                );
            }
            format!(
                "members.where reads a custom field, and the definition of {} at the source can't be read, so that nobody can tell who counts as a member; type its name there anew",
                self.source_fields.unread.join(", ")
            )
        })
    }

    /// Returns the target's names of the group fields that may be written, in order.
    pub fn group_fields(&self) -> Vec<String> {
        self.fields(ObjectKind::Group)
    }

    /// Returns the target's names of the member fields that may be written, in order.
    pub fn member_fields(&self) -> Vec<String> {
        self.fields(ObjectKind::Member)
    }

    /// Returns the canonical names of the group fields that are read.
    pub fn group_reads(&self) -> BTreeSet<String> {
        self.group_homes.clone()
    }

    /// Returns the canonical names of the member fields that are read, also by the filter;
    /// `custom.*` stands for all custom fields where an expression picks one by its content.
    pub fn member_reads(&self) -> BTreeSet<String> {
        let mut reads = self.member_homes.clone();
        reads.extend(
            self.filter
                .iter()
                .flat_map(|filter| self.resolved(filter.reads())),
        );
        reads
    }

    /// Returns the fields, the address apart, that creating a person at the target takes and that a
    /// mapped record lacks.
    pub fn missing_required(&self, mapped: &Record) -> Vec<&'static str> {
        let needed = self
            .target
            .members
            .iter()
            .filter(|field| field.required && field.canonical != "email");
        needed
            .map(|field| field.wire)
            .filter(|wire| mapped.get(*wire).is_none_or(Value::is_empty))
            .collect()
    }

    /// Tells whether the config names a target field, rather than the built-in map.
    pub fn is_explicit(&self, object: ObjectKind, wire: &str) -> bool {
        self.rules(object)
            .iter()
            .any(|rule| rule.explicit && (rule.wire == wire || rule.typed == wire))
    }

    /// Returns the fields of an object, by the target's names, that the config names.
    pub fn explicit_fields(&self, object: ObjectKind) -> BTreeSet<String> {
        let mut fields: BTreeSet<String> = self.fields(object).into_iter().collect();
        fields.retain(|wire| self.is_explicit(object, wire));
        fields
    }

    /// Returns the expression that gives a target field its value, as a config could hold it.
    pub fn expression(&self, object: ObjectKind, wire: &str) -> Option<String> {
        self.rules(object)
            .iter()
            .find(|rule| rule.wire == wire || rule.typed == wire)
            .map(|rule| rule.action.text())
    }

    /// Returns the custom fields that the target lacks and that are to be created, by label.
    ///
    /// Their values stand under `custom.` and the label until they exist and the mapping is bound
    /// anew.
    pub fn missing_custom(&self) -> Vec<CustomField> {
        self.missing.clone()
    }

    /// Leaves fields as they are that the target lacks and that are not created now: nothing writes
    /// them, and nothing counts as written.
    pub fn leave_missing(&mut self, is_left: impl Fn(&str) -> bool) {
        let left = self.missing.iter().filter(|field| is_left(&field.label));
        let left: BTreeSet<String> = left
            .map(|field| format!("custom.{}", field.system_name))
            .collect();
        if left.is_empty() {
            return;
        }
        self.not_created.extend(left.iter().cloned());
        // What they would hold is on its way, and has not lost its home.
        let rules = std::mem::take(&mut self.member);
        let (held_back, rules) = rules
            .into_iter()
            .partition(|rule: &BoundRule| left.contains(rule.wire.as_str()));
        self.member = rules;
        self.held_back.extend::<Vec<BoundRule>>(held_back);
        self.unsaid.extend(left);
    }

    /// Tells whether the value of a member's field, by its canonical name, is to go to a custom field
    /// that is not created now, and nowhere else.
    pub fn is_held_back(&self, canonical: &str) -> bool {
        let reads = |rules: &[BoundRule]| {
            let mut rules = rules.iter();
            rules.any(|rule| self.resolved(rule.action.reads()).contains(canonical))
        };
        reads(&self.held_back) && !reads(&self.member)
    }

    /// Tells whether a custom field is created now, so that people who are as they were have
    /// something to be written.
    pub fn creates_fields(&self) -> bool {
        self.missing.len() > self.not_created.len()
    }

    /// Says of the source, and of the target, what is not carried because the login there may not
    /// list the custom fields: those of rules that go by labels, and those that no rule names, where
    /// the other side has any.
    pub fn unlisted_custom(&self) -> [Option<String>; 2] {
        let [of_source, of_target] = &self.unlisted_rules;
        let (source, target) = (&self.source_fields, &self.target_fields);
        let say = |fields: &CustomFields, other: &CustomFields, unlisted, rules: &[String]| {
            if fields.known || (rules.is_empty() && other.fields.is_empty()) {
                return None;
            }
            let kept = if rules.is_empty() {
                "only those are carried that the config names".to_owned()
            } else {
                format!(
                    "nobody can tell which ones are meant, and what they are for stays as it is ({})",
                    rules.join(", ")
                )
            };
            Some(format!(
                "the login may not list the custom fields, so that {kept}; {}",
                advice(unlisted)
            ))
        };
        [
            say(source, target, self.source.unlisted, of_source),
            say(target, source, self.target.unlisted, of_target),
        ]
    }

    /// Names the custom fields of the source, and those of the target, whose definitions can't be
    /// read.
    pub fn unread_custom(&self) -> [&[String]; 2] {
        [&self.source_fields.unread, &self.target_fields.unread]
    }

    /// Returns the canonical fields that have a value and no home at the target: no writable target
    /// field is made of them.
    ///
    /// What describes the account rather than the group or person (ids, statuses, counts,
    /// permissions, dates that the provider sets) is not missed there.
    pub fn carried_fields(&self, object: ObjectKind, canonical: &Record) -> Record {
        let homes = match object {
            ObjectKind::Group => &self.group_homes,
            ObjectKind::Member => &self.member_homes,
        };
        canonical
            .iter()
            .filter(|(name, value)| {
                let has_home = homes.contains(name.as_str())
                    || (name.starts_with("custom.") && homes.contains("custom.*"));
                let is_missed = is_worth_carrying(object, name, self.source, self.target)
                    && !self.is_kept_by_plan(object, name, value);
                is_missed && !has_home && !value.is_empty()
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Returns what a group of the source grants its members and no line of the config grants at
    /// the target: `permissions`, `limits`, `settings` and `lists`, each with an example.
    ///
    /// Only what people enter at the source counts. It is not carried either: what nobody grants
    /// anew is not to come back later.
    pub fn ungranted(&self, canonical: &Record) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for (name, value) in canonical {
            let root = first_part(name);
            let entered = || {
                self.source
                    .by_canonical(ObjectKind::Group, name)
                    .is_some_and(|row| row.writable != Writable::No)
            };
            let granted =
                || self.group_homes.contains(name.as_str()) || self.group_homes.contains(root);
            // The period of a limit says nothing without the limit.
            let says_nothing =
                value.is_empty() || value.as_bool() == Some(false) || name.ends_with("_type");
            if is_right(name) && !says_nothing && entered() && !granted() {
                let part = name
                    .strip_prefix(root)
                    .and_then(|rest| rest.strip_prefix('.'));
                let example = match (part, value.as_bool()) {
                    (Some(part), Some(_)) => part.to_owned(),
                    (Some(part), None) => format!("{part} {value}"),
                    (None, _) => value.to_string(),
                };
                found.entry(root.to_owned()).or_insert(example);
            }
        }
        found
    }

    /// Returns a fingerprint of everything that decides results: expressions, tables of custom
    /// fields, names.
    pub fn salt(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut take = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        take(&VERSION.to_string());
        take(self.source.kind.table_name());
        take(self.target.kind.table_name());
        take(&self.source_name);
        take(self.filter.as_ref().map_or("", |filter| filter.text()));
        for (object, rules) in [("group", &self.group), ("member", &self.member)] {
            for rule in rules {
                take(object);
                // How a custom field is spelled that the login may not list shows later.
                if self.target_fields.known || !rule.wire.starts_with("custom.") {
                    take(&rule.wire);
                } else {
                    take(&normal_label(&rule.wire));
                }
                take(&rule.action.text());
            }
        }
        for (side, fields) in [
            ("source", &self.source_fields),
            ("target", &self.target_fields),
        ] {
            let mut rows: Vec<String> = fields
                .fields
                .iter()
                .map(|field| {
                    format!(
                        "{:?}",
                        (
                            &field.system_name,
                            &field.label,
                            field.kind.as_str(),
                            field.max_length,
                            &field.options
                        )
                    )
                })
                .collect();
            // A provider may list its fields in any order.
            rows.sort_unstable();
            take(side);
            for row in &rows {
                take(row);
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    fn rules(&self, object: ObjectKind) -> &[BoundRule] {
        match object {
            ObjectKind::Group => &self.group,
            ObjectKind::Member => &self.member,
        }
    }

    fn fields(&self, object: ObjectKind) -> Vec<String> {
        let names: BTreeSet<String> = self
            .rules(object)
            .iter()
            .map(|rule| rule.wire.to_string())
            .collect();
        names.into_iter().collect()
    }

    fn apply(&self, rules: &[BoundRule], roots: &Roots, canonical: &Record) -> Mapped {
        let view = OnceCell::new();
        let mut mapped = Mapped {
            unsaid: self.unsaid.clone(),
            ..Mapped::default()
        };
        for rule in rules {
            let value = rule.action.value(canonical, || {
                view.get_or_init(|| self.view(roots, canonical)).clone()
            });
            match value {
                Err(reason) => mapped.failed.push((rule.wire.to_string(), reason)),
                Ok(value) => match convert(&rule.shape, &rule.wire, value) {
                    Ok(Some(value)) => {
                        mapped.fields.insert(rule.wire.clone(), value);
                    }
                    Ok(None) => {}
                    Err(left_out) => mapped.left_out.push(left_out),
                },
            }
        }
        mapped
    }

    fn view(&self, roots: &Roots, canonical: &Record) -> minijinja::Value {
        let read = canonical
            .iter()
            .filter(|(name, value)| !value.is_empty() && roots.contains(first_part(name)))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        expression::view(read, &self.aliases)
    }

    fn rule_reads(&self, object: ObjectKind) -> BTreeSet<String> {
        self.rules(object)
            .iter()
            .flat_map(|rule| self.resolved(rule.action.reads()))
            .collect()
    }

    /// Replaces custom fields as an expression names them by their canonical names.
    fn resolved(&self, names: BTreeSet<String>) -> BTreeSet<String> {
        names
            .into_iter()
            .map(|name| {
                let alias = name
                    .strip_prefix("custom.")
                    .and_then(|label| self.aliases.iter().find(|(alias, _)| alias == label));
                alias.map_or(name.clone(), |(_, canonical)| canonical.clone())
            })
            .collect()
    }

    /// Tells whether the plan writes a field without a rule: it sets the protected flag of a target
    /// that has one.
    fn is_kept_by_plan(&self, object: ObjectKind, name: &str, value: &crate::model::Value) -> bool {
        object == ObjectKind::Group
            && name == "protected"
            && (value.as_bool() == Some(false)
                || self
                    .target
                    .by_canonical(object, name)
                    .is_some_and(|field| field.writable != Writable::No))
    }
}

fn roots(rules: &[BoundRule]) -> Roots {
    rules
        .iter()
        .filter(|rule| matches!(rule.action, Action::Expression(_)))
        .flat_map(|rule| rule.action.reads())
        .map(|name| first_part(&name).to_owned())
        .collect()
}
