//! From rules to rules for two accounts: labels of custom fields become the names that requests
//! use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use compact_str::{CompactString, format_compact};

use super::bound::{BoundMapping, BoundRule};
use super::convert::Shape;
use super::rule::{Action, Rule};
use super::vocabulary::nearest;
use super::{Compiled, Mapping, MappingProblem, Place, normal_label};
use crate::model::{
    CustomField, CustomFields, FieldSpec, FieldType, LeftAlone, ObjectKind, Unlisted, Writable,
};

impl Mapping {
    /// Binds the rules to the custom fields of the two accounts.
    ///
    /// A rule with a problem is left out of the result. A label that nobody knows is a problem only
    /// where the account's fields are known; elsewhere it is taken at its word, as long as the provider
    /// knows fields by labels. Where the definition of some field can't be read, any label may be that
    /// field's: there only system names tell which field is meant, a rule that goes by a label is left
    /// out, and that is no problem.
    pub fn bind(
        &self,
        source: &CustomFields,
        target: &CustomFields,
    ) -> (BoundMapping, Vec<MappingProblem>) {
        let mut binding = Binding {
            source: distinct_labels(source),
            target,
            custom_row: self
                .target
                .by_wire(ObjectKind::Member, "custom.*")
                .filter(|row| row.writable != Writable::No),
            unlisted: [self.source.unlisted, self.target.unlisted],
            create_fields: self.create_fields && target.is_whole(),
            aliases: Vec::new(),
            missing: Vec::new(),
            unsaid: Vec::new(),
            unlisted_rules: Default::default(),
            problems: Vec::new(),
        };
        // Without its filter a job would be about more people, and so it asks nobody in where nobody
        // can tell what the filter reads.
        let decided = self
            .filter
            .as_ref()
            .is_none_or(|filter| binding.labels(filter, &Place::Where));
        let mut group = Vec::new();
        for rule in self.rules(ObjectKind::Group) {
            let place = Place::Group(rule.wire.clone());
            if let Action::Expression(compiled) = &rule.action
                && !binding.labels(compiled, &place)
            {
                binding.leave_out(SOURCE, rule);
                continue;
            }
            group.extend(binding.rule(rule, &place));
        }
        let mut member: Vec<BoundRule> = Vec::new();
        for rule in self.rules(ObjectKind::Member) {
            let place = Place::Member(rule.wire.clone());
            if let Action::Expression(compiled) = &rule.action
                && !binding.labels(compiled, &place)
            {
                binding.leave_out(SOURCE, rule);
                continue;
            }
            let Some(bound) = binding.rule(rule, &place) else {
                continue;
            };
            // A label in two spellings is one field, also where nobody can tell how it is spelled.
            let spelled = |rule: &BoundRule| {
                if target.known {
                    rule.wire.clone()
                } else {
                    normal_label(&rule.wire).into()
                }
            };
            let mut others = member.iter();
            if let Some(other) = others.find(|other| spelled(other) == spelled(&bound)) {
                let message = format!("`{}` and `{}` are the same field", other.typed, bound.typed);
                binding.problem(
                    &place,
                    message,
                    Some("keep one of the two lines".to_owned()),
                );
                continue;
            }
            member.push(bound);
        }
        member.extend(binding.built_in_custom(&member));
        let mut unsaid = if source.is_whole() && target.is_whole() {
            LeftAlone::default()
        } else {
            LeftAlone::all_custom_but(member.iter().map(|rule| rule.wire.to_string()).collect())
        };
        let Binding {
            source: source_fields,
            aliases,
            mut missing,
            unsaid: left_out,
            unlisted_rules,
            problems,
            ..
        } = binding;
        unsaid.extend(left_out);
        missing.sort_by(|left, right| left.label.cmp(&right.label));
        (
            BoundMapping::new(
                self,
                source_fields,
                target.clone(),
                group,
                member,
                Arc::new(aliases),
                missing,
            )
            .leaving(unsaid, unlisted_rules, !decided),
            problems,
        )
    }
}

/// The sides, as positions of what is told of both.
const SOURCE: usize = 0;
const TARGET: usize = 1;

struct Binding<'a> {
    source: CustomFields,
    target: &'a CustomFields,
    /// Which custom fields of the source, and of the target, can be named where they are not known.
    unlisted: [Unlisted; 2],
    custom_row: Option<&'static FieldSpec>,
    create_fields: bool,
    aliases: Vec<(String, String)>,
    missing: Vec<CustomField>,
    /// The fields of rules that are left out because nobody can tell what they read.
    unsaid: Vec<String>,
    /// Those of them for which the login may not list the custom fields of the source, and of the
    /// target.
    unlisted_rules: [Vec<String>; 2],
    problems: Vec<MappingProblem>,
}

impl Binding<'_> {
    fn problem(&mut self, place: &Place, message: String, hint: Option<String>) {
        self.problems.push(MappingProblem {
            place: place.clone(),
            message,
            hint,
            span: None,
        });
    }

    /// Leaves a rule out because nobody can tell which custom field of a side is meant.
    fn leave_out(&mut self, side: usize, rule: &Rule) {
        self.unsaid.push(rule.wire.clone());
        if ![self.source.known, self.target.known][side] {
            self.unlisted_rules[side].push(rule.wire.clone());
        }
    }

    /// Resolves the labels of source fields that an expression reads. Tells whether they can be
    /// resolved as far as anybody knows.
    fn labels(&mut self, compiled: &Compiled, place: &Place) -> bool {
        let mut resolved = true;
        let mentions = compiled.mentions();
        let takes_all = mentions.wholes.iter().any(|whole| whole.name == "custom");
        let unlisted = self.unlisted[SOURCE];
        let shows_all = self.source.known || unlisted == Unlisted::ByLabel;
        if takes_all && !(self.source.unread.is_empty() && shows_all) {
            resolved = false;
        }
        for (_, part) in compiled
            .mentions()
            .parts
            .iter()
            .filter(|(field, _)| field == "custom")
        {
            let found = self
                .source
                .find(&part.name)
                .filter(|field| self.source.unread.is_empty() || is_system_name(field, &part.name));
            match found {
                Some(field) => {
                    let alias = (part.name.clone(), format!("custom.{}", field.label));
                    if !self.aliases.contains(&alias) {
                        self.aliases.push(alias);
                    }
                }
                None if !self.source.unread.is_empty() => resolved = false,
                None if self.source.known => self.problems.push(MappingProblem {
                    place: place.clone(),
                    message: format!("the source account has no custom field `{}`", part.name),
                    hint: suggestion(&part.name, &self.source),
                    span: Some(part.span.clone()),
                }),
                None => resolved &= unlisted.knows(&part.name),
            }
        }
        resolved
    }

    fn rule(&mut self, rule: &Rule, place: &Place) -> Option<BoundRule> {
        if let Some(shape) = &rule.shape {
            return Some(BoundRule {
                wire: rule.wire.as_str().into(),
                typed: rule.wire.clone(),
                shape: shape.clone(),
                action: rule.action.clone(),
                explicit: rule.explicit,
            });
        }
        let name = rule.wire.strip_prefix("custom.")?.trim();
        // Looked up again by object: only members have custom fields at any provider so far, and
        // the row says what they take.
        let row = self.custom_row?;
        let (system_name, shape) = match self.find_target(name) {
            Found::One(field) => (field.system_name.clone(), Shape::of_custom(row, field)),
            Found::Several => {
                let message =
                    format!("the target account has several custom fields with the label `{name}`");
                self.problem(
                    place,
                    message,
                    Some("name the field by its system name".to_owned()),
                );
                return None;
            }
            Found::None if self.create_fields => {
                let field = self.create(name, FieldType::Text);
                (field.system_name.clone(), Shape::of_custom(row, &field))
            }
            Found::None if !self.target.unread.is_empty() => return None,
            Found::None if self.target.known => {
                let message = format!("the target account has no custom field `{name}`");
                let hint = suggestion(name, self.target);
                self.problem(place, message, hint);
                return None;
            }
            Found::None => {
                let Some(system_name) = self.unlisted[TARGET].system_name(name) else {
                    self.leave_out(TARGET, rule);
                    return None;
                };
                (system_name, Shape::of(row))
            }
        };
        Some(BoundRule {
            wire: format_compact!("custom.{system_name}"),
            typed: rule.wire.clone(),
            shape,
            action: rule.action.clone(),
            explicit: rule.explicit,
        })
    }

    fn find_target(&self, name: &str) -> Found<'_> {
        let fields = &self.target.fields;
        if let Some(field) = fields.iter().find(|field| is_system_name(field, name)) {
            return Found::One(field);
        }
        if self.target.unread.is_empty() {
            one_by_label(fields, name)
        } else {
            Found::None
        }
    }

    /// Notes a field that the target lacks, once.
    fn create(&mut self, label: &str, kind: FieldType) -> CustomField {
        let wanted = normal_label(label);
        if let Some(field) = self
            .missing
            .iter()
            .find(|field| normal_label(&field.label) == wanted)
        {
            return field.clone();
        }
        let label = label.trim().to_owned();
        let field = CustomField {
            system_name: label.clone(),
            label,
            kind,
            max_length: self.custom_row.and_then(|row| row.max_length),
            options: Vec::new(),
        };
        self.missing.push(field.clone());
        field
    }

    /// Pairs every source field with the target field of the same label, except where the config
    /// names the target field.
    fn built_in_custom(&mut self, explicit: &[BoundRule]) -> Vec<BoundRule> {
        let Some(row) = self.custom_row else {
            return Vec::new();
        };
        let mut taken: BTreeSet<CompactString> =
            explicit.iter().map(|rule| rule.wire.clone()).collect();
        let mut rules = Vec::new();
        for field in self.source.fields.clone() {
            // What can't be read may have the same label, so that labels tell nothing.
            if !self.source.unread.is_empty() && !is_system_name(&field, &field.label) {
                continue;
            }
            let found = if self.target.unread.is_empty() {
                one_by_label(&self.target.fields, &field.label)
            } else {
                self.find_target(&field.label)
            };
            let target = match found {
                Found::One(found) => found.clone(),
                Found::None if self.create_fields && !field.label.trim().is_empty() => {
                    self.create(&field.label, field.kind)
                }
                // Two fields of one label: no home, which the losses show, rather than a guess.
                Found::None | Found::Several => continue,
            };
            let wire = format_compact!("custom.{}", target.system_name);
            if taken.insert(wire.clone()) {
                rules.push(BoundRule {
                    typed: wire.to_string(),
                    wire,
                    shape: Shape::of_custom(row, &target),
                    action: Action::Copy(format!("custom.{}", field.label)),
                    explicit: false,
                });
            }
        }
        rules
    }
}

enum Found<'a> {
    None,
    One(&'a CustomField),
    Several,
}

fn is_system_name(field: &CustomField, name: &str) -> bool {
    field.system_name.eq_ignore_ascii_case(name.trim())
}

fn one_by_label<'a>(fields: &'a [CustomField], label: &str) -> Found<'a> {
    let wanted = normal_label(label);
    let mut found = fields
        .iter()
        .filter(|field| !wanted.is_empty() && normal_label(&field.label) == wanted);
    match (found.next(), found.next()) {
        (None, _) => Found::None,
        (Some(field), None) => Found::One(field),
        (Some(_), Some(_)) => Found::Several,
    }
}

/// Adds the system name to labels that several fields share, so that no value hides another.
fn distinct_labels(fields: &CustomFields) -> CustomFields {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for field in &fields.fields {
        *uses.entry(normal_label(&field.label)).or_default() += 1;
    }
    let mut distinct = fields.clone();
    for field in &mut distinct.fields {
        if uses
            .get(&normal_label(&field.label))
            .is_some_and(|count| *count > 1)
        {
            field.label = format!("{} ({})", field.label.trim(), field.system_name);
        } else if field.label.trim().is_empty() {
            field.label.clone_from(&field.system_name);
        }
    }
    distinct
        .fields
        .sort_by(|left, right| left.system_name.cmp(&right.system_name));
    distinct
}

fn suggestion(name: &str, fields: &CustomFields) -> Option<String> {
    let known = fields
        .fields
        .iter()
        .flat_map(|field| [field.label.as_str(), field.system_name.as_str()]);
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}
