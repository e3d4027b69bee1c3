//! From the config's lines to rules, with everything that is wrong found in one pass.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use compact_str::format_compact;

use super::convert::{Shape, convert};
use super::expression::{self, Compiled, given};
use super::rule::{Action, Rule};
use super::vocabulary::{self, nearest};
use super::{LeftOutReason, Mapping, MappingProblem, MappingSpec, Place, builtin};
use crate::model::{FieldSpec, FieldType, ObjectKind, Record, Schema, Value, Writable};

impl Mapping {
    /// Compiles the built-in map and the config's own lines.
    ///
    /// # Errors
    /// Every problem of every line, in the order filter, group fields, member fields.
    pub fn compile(spec: &MappingSpec<'_>) -> Result<Mapping, Vec<MappingProblem>> {
        let mut problems = Vec::new();
        let filter = spec.r#where.and_then(|text| {
            let mut check = Check {
                spec,
                object: ObjectKind::Member,
                place: Place::Where,
                problems: &mut problems,
            };
            check.expression(text, None)
        });
        let group = rules(spec, ObjectKind::Group, spec.group, &mut problems);
        let member = rules(spec, ObjectKind::Member, spec.member, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Mapping {
            source: spec.source,
            target: spec.target,
            source_name: spec.source_name.to_owned(),
            create_fields: spec.create_fields,
            group,
            member,
            filter,
        })
    }
}

/// Puts the config's lines over the built-in rules.
fn rules(
    spec: &MappingSpec<'_>,
    object: ObjectKind,
    lines: &BTreeMap<String, String>,
    problems: &mut Vec<MappingProblem>,
) -> Vec<Rule> {
    let mut rules = builtin::rules(object, spec.source, spec.target, spec.source_name);
    for (wire, text) in lines {
        let place = match object {
            ObjectKind::Group => Place::Group(wire.clone()),
            ObjectKind::Member => Place::Member(wire.clone()),
        };
        let mut check = Check {
            spec,
            object,
            place,
            problems,
        };
        let field = check.target_field(wire);
        // The expression is checked all the same, so that one pass finds both mistakes of a line.
        let shape = field.map(Shape::of);
        let Some(compiled) = check.expression(text, shape.as_ref()) else {
            continue;
        };
        let Some(field) = field else { continue };
        let is_custom = field.wire == "custom.*";
        let rule = Rule {
            wire: wire.clone(),
            shape: shape.filter(|_| !is_custom),
            action: Action::Expression(compiled),
            explicit: true,
        };
        match rules.iter_mut().find(|built_in| built_in.wire == *wire) {
            Some(built_in) => *built_in = rule,
            None => rules.push(rule),
        }
    }
    rules
}

/// The checks of one line.
struct Check<'a, 'b> {
    spec: &'a MappingSpec<'a>,
    object: ObjectKind,
    place: Place,
    problems: &'b mut Vec<MappingProblem>,
}

impl Check<'_, '_> {
    fn problem(&mut self, message: String, hint: Option<String>, span: Option<Range<usize>>) {
        self.problems.push(MappingProblem {
            place: self.place.clone(),
            message,
            hint,
            span,
        });
    }

    /// Finds the field that the left side names, if it may be mapped.
    fn target_field(&mut self, wire: &str) -> Option<&'static FieldSpec> {
        let target = self.spec.target;
        let (object, kind) = (target.kind.word_for(self.object), target.kind.title());
        if wire == "custom.*"
            || wire
                .strip_prefix("custom.")
                .is_some_and(|name| name.trim().is_empty())
        {
            self.problem(
                format!("`{wire}` does not say which custom field is meant"),
                Some("write `custom.` and its name".to_owned()),
                None,
            );
            return None;
        }
        let Some(field) = target.by_wire(self.object, wire) else {
            let writable = |field: &&FieldSpec| field.writable != Writable::No;
            let by_canonical = target
                .fields(self.object)
                .iter()
                .filter(writable)
                .find(|field| field.canonical == wire);
            let near = by_canonical.map(|field| field.wire).or_else(|| {
                nearest(
                    wire,
                    target
                        .fields(self.object)
                        .iter()
                        .filter(writable)
                        .map(|field| field.wire)
                        .filter(|wire| *wire != "custom.*"),
                )
            });
            let message = match wire.strip_prefix("custom.") {
                Some(_) => format!("a {object} at {kind} has no custom fields"),
                None => format!("`{wire}` is not a field of a {object} at {kind}"),
            };
            let hint = near.map(|name| format!("did you mean `{name}`?"));
            self.problem(
                message,
                hint.or_else(|| Some("`rosterd schema fields` lists the fields".to_owned())),
                None,
            );
            return None;
        };
        if let Some(reason) = vocabulary::not_mappable(self.object, field.canonical) {
            self.problem(
                format!("`{wire}` of a {object} at {kind}: {reason}"),
                Some("remove this line".to_owned()),
                None,
            );
            return None;
        }
        if field.writable == Writable::No {
            self.problem(
                format!("`{wire}` of a {object} is read-only at {kind}"),
                Some("remove this line".to_owned()),
                None,
            );
            return None;
        }
        Some(field)
    }

    /// Compiles an expression and holds every name in it against what exists.
    fn expression(&mut self, text: &str, shape: Option<&Shape>) -> Option<Arc<Compiled>> {
        let compiled = match Compiled::new(text) {
            Ok(compiled) => compiled,
            Err(problem) => {
                self.problem(problem.message, None, problem.span);
                return None;
            }
        };
        let before = self.problems.len();
        self.names(&compiled);
        // A sample would only repeat in worse words what is known already.
        if self.problems.len() == before {
            self.samples(&compiled, shape);
        }
        (self.problems.len() == before).then(|| Arc::new(compiled))
    }

    fn names(&mut self, compiled: &Compiled) {
        let mentions = compiled.mentions();
        let (source, object) = (self.spec.source, self.object);
        let known = vocabulary::readable_names(source, object);
        for field in &mentions.fields {
            if known.contains(&field.name.as_str()) {
                continue;
            }
            let by_wire = source
                .fields(object)
                .iter()
                .find(|row| row.wire.eq_ignore_ascii_case(&field.name));
            let near = by_wire
                .map(|row| row.canonical)
                .or_else(|| nearest(&field.name, known.iter().copied()));
            let hint = near.map_or_else(
                || {
                    format!(
                        "the fields of a {} are {}",
                        object.as_str(),
                        known.join(", ")
                    )
                },
                |name| format!("did you mean `source.{name}`?"),
            );
            self.problem(
                format!("`source` has no field `{}`", field.name),
                Some(hint),
                Some(field.span.clone()),
            );
        }
        for (field, part) in &mentions.parts {
            if known.contains(&field.as_str()) && !vocabulary::has_parts(source, object, field) {
                self.problem(
                    format!("`source.{field}` has no part `{}`", part.name),
                    None,
                    Some(part.span.clone()),
                );
            }
        }
        for found in &mentions.multiplications {
            self.problem(
                "multiplication is not offered: it could repeat a list without end".to_owned(),
                None,
                Some(found.span.clone()),
            );
        }
        for bare in &mentions.bare {
            let hint = "name a field, as in `source.name` or `source.custom['label']`".to_owned();
            self.problem(
                "`source` stands without the name of a field".to_owned(),
                Some(hint),
                Some(bare.span.clone()),
            );
        }
        for variable in &mentions.variables {
            let hint = if known.contains(&variable.name.as_str()) {
                format!("write `source.{}`", variable.name)
            } else {
                "values come from `source`, texts stand in quotes".to_owned()
            };
            self.problem(
                format!("`{}` is unknown", variable.name),
                Some(hint),
                Some(variable.span.clone()),
            );
        }
        for (what, found, names) in [
            ("filter", &mentions.filters, expression::FILTERS),
            ("test", &mentions.tests, expression::TESTS),
        ] {
            for mention in found
                .iter()
                .filter(|mention| !names.contains(&mention.name.as_str()))
            {
                let hint = nearest(&mention.name, names.iter().copied()).map_or_else(
                    || format!("there are {}", names.join(", ")),
                    |name| format!("did you mean `{name}`?"),
                );
                self.problem(
                    format!("there is no {what} `{}`", mention.name),
                    Some(hint),
                    Some(mention.span.clone()),
                );
            }
        }
        for function in &mentions.functions {
            self.problem(
                format!("there is no function `{}`", function.name),
                filter_hint(&function.name),
                Some(function.span.clone()),
            );
        }
        for method in &mentions.methods {
            self.problem(
                format!("`{}` can't be called as a method", method.name),
                filter_hint(&method.name),
                Some(method.span.clone()),
            );
        }
    }

    /// Evaluates the expression on full records and on an empty one.
    fn samples(&mut self, compiled: &Compiled, shape: Option<&Shape>) {
        let aliases = Arc::default();
        let attempt = |record: Record| -> Result<(), Failure> {
            let result = compiled
                .evaluate(&expression::view(record, &aliases))
                .map_err(Failure::Evaluation)?;
            let Some(shape) = shape else { return Ok(()) };
            match convert(shape, "", given(&result)) {
                Ok(_) => Ok(()),
                Err(left_out) => Err(Failure::Value(left_out.reason)),
            }
        };
        let full: Vec<Result<(), Failure>> = (0..SAMPLE_TEXTS.len())
            .map(|round| attempt(full_sample(self.spec.source, self.object, compiled, round)))
            .collect();
        let is_hopeless = |failure: &Failure| {
            matches!(
                failure,
                Failure::Evaluation(_) | Failure::Value(LeftOutReason::WrongType)
            )
        };
        // One sample that passes is enough: whether the others fit depends on values that no check
        // can know.
        if full
            .iter()
            .all(|result| result.as_ref().is_err_and(is_hopeless))
        {
            if let Some(Err(failure)) = full.into_iter().next() {
                self.problem(failure.explain(shape), failure.hint(shape), None);
            }
            return;
        }
        let empty = match self.object {
            ObjectKind::Group => Record::from([
                ("id".into(), Value::from("1")),
                ("name".into(), Value::from("1")),
            ]),
            ObjectKind::Member => Record::from([("id".into(), Value::from("1"))]),
        };
        match attempt(empty) {
            Ok(()) => {}
            Err(Failure::Evaluation(message)) => {
                let hint =
                    "give a missing value a default, as in `source.name | default('')`".to_owned();
                self.problem(
                    format!("this fails where a value is missing: {message}"),
                    Some(hint),
                    None,
                );
            }
            // Without a value the result is what the expression itself says.
            Err(failure) => self.problem(failure.explain(shape), failure.hint(shape), None),
        }
    }
}

enum Failure {
    Evaluation(String),
    Value(LeftOutReason),
}

impl Failure {
    fn explain(&self, shape: Option<&Shape>) -> String {
        match (self, shape) {
            (Failure::Evaluation(message), _) => format!("this can't be evaluated: {message}"),
            (Failure::Value(LeftOutReason::WrongType), Some(shape)) => {
                format!(
                    "the result does not fit a field of type {}",
                    shape.kind.as_str()
                )
            }
            (Failure::Value(reason), _) => format!("the result is {reason}"),
        }
    }

    fn hint(&self, shape: Option<&Shape>) -> Option<String> {
        let Failure::Value(LeftOutReason::WrongType) = self else {
            return None;
        };
        match shape?.kind {
            FieldType::Boolean => Some("it takes true or false".to_owned()),
            FieldType::Integer => {
                Some("it takes a whole number, as in `source.member_count | int`".to_owned())
            }
            FieldType::Text | FieldType::Timestamp => {
                Some("a list becomes a text with `| join(', ')`".to_owned())
            }
            FieldType::List => None,
        }
    }
}

fn filter_hint(name: &str) -> Option<String> {
    let name = match name {
        "strip" => "trim",
        "len" => "length",
        "str" => "string",
        other => other,
    };
    nearest(name, expression::FILTERS.iter().copied())
        .map(|filter| format!("use the filter: `| {filter}`"))
}

/// Texts of several kinds, so that an expression for numbers or flags finds one that it can work
/// with.
const SAMPLE_TEXTS: [&str; 4] = ["Example", "1", "true", "2000-01-01"];

/// Makes a record in which every name has a value.
fn full_sample(source: &Schema, object: ObjectKind, compiled: &Compiled, round: usize) -> Record {
    let text = Value::from(SAMPLE_TEXTS[round % SAMPLE_TEXTS.len()]);
    let mut record = Record::new();
    for name in vocabulary::shared_names(object) {
        let value = match *name {
            // These have parts instead of a value.
            "custom" | "permissions" | "limits" | "settings" => continue,
            "protected" => Value::Boolean(round.is_multiple_of(2)),
            "member_count" => Value::Integer(1),
            "lists" => Value::List(vec!["1".to_owned(), "2".to_owned()]),
            "visibility" => Value::from(["public", "private", "hidden"][round % 3]),
            "kind" => Value::from("static"),
            "status" => Value::from("active"),
            "id" => Value::from("1"),
            _ => text.clone(),
        };
        record.insert((*name).into(), value);
    }
    for field in source
        .fields(object)
        .iter()
        .filter(|field| field.wire != "custom.*" && !field.canonical.is_empty())
    {
        let value = match field.kind {
            FieldType::Boolean => Value::Boolean(round.is_multiple_of(2)),
            FieldType::Integer => Value::Integer(1),
            FieldType::List => Value::List(vec!["1".to_owned(), "2".to_owned()]),
            FieldType::Timestamp => Value::from("2000-01-01 00:00:00"),
            FieldType::Text => match field.values.get(round % field.values.len().max(1)) {
                Some((_, canonical)) => Value::from(*canonical),
                None => text.clone(),
            },
        };
        // A flag with words of its own reads as these words.
        let value = if field.values.is_empty() {
            value
        } else {
            field.to_canonical(&value)
        };
        record.insert(field.canonical.into(), value);
    }
    for (field, part) in &compiled.mentions().parts {
        record
            .entry(format_compact!("{field}.{}", part.name))
            .or_insert_with(|| text.clone());
    }
    record
}
