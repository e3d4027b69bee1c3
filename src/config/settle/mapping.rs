//! The expressions of a job, held against the field tables of both sides.

use std::ops::Range;

use super::Settling;
use crate::config::raw::{Pair, Section};
use crate::config::settled::JobConfig;
use crate::mapping::{Mapping, MappingProblem, MappingSpec, Place};
use crate::model::ProviderKind;
use crate::provider::{capabilities, schema};

/// Reports every problem of the job's expressions.
pub(super) fn check(
    settling: &mut Settling<'_>,
    section: &Section,
    job: &JobConfig,
    kinds: Option<(ProviderKind, ProviderKind)>,
) {
    let Some((source, target)) = kinds else {
        return;
    };
    let spec = MappingSpec {
        source: schema(source),
        target: schema(target),
        source_name: &job.source,
        group: &job.map_group,
        member: &job.map_member,
        r#where: job.members.r#where.as_deref(),
        create_fields: job.create_fields && capabilities(target).custom_fields_creatable,
    };
    let Err(problems) = Mapping::compile(&spec) else {
        return;
    };
    for problem in problems {
        let (path, span) = place(settling.text, section, &problem);
        let message = format!("`{path}`: {}.", problem.message.trim_end_matches('.'));
        settling.sink.error(&span, message, problem.hint);
    }
}

/// Finds the line of a problem, and the part of it that is wrong.
fn place(text: &str, section: &Section, problem: &MappingProblem) -> (String, Range<usize>) {
    let (table, key) = match &problem.place {
        Place::Where => {
            let members = section.table("members");
            let span = members.span_of("where");
            let value = members.text("where").unwrap_or_default();
            return (
                format!("{}.where", members.path),
                inside(text, &span, &value, problem.span.as_ref()).unwrap_or(span),
            );
        }
        Place::Group(key) => ("group", key),
        Place::Member(key) => ("member", key),
    };
    let map = section.table("map");
    let path = format!("{}.{table}.{key}", map.path);
    let found: Option<&Pair> = map
        .pairs(table)
        .iter()
        .find(|(name, _)| name.value.trim() == key);
    let span = found.map(|(name, value)| {
        let part = inside(text, &value.span, &value.value, problem.span.as_ref());
        part.unwrap_or_else(|| name.span.clone())
    });
    (path, span.unwrap_or_else(|| map.span.clone()))
}

/// Translates bytes of an expression into bytes of the file, where the file holds the expression
/// letter by letter.
fn inside(
    text: &str,
    value_span: &Range<usize>,
    value: &str,
    part: Option<&Range<usize>>,
) -> Option<Range<usize>> {
    let part = part?;
    let start = value_span.start + 1;
    let literal = text.get(start..value_span.end.checked_sub(1)?)? == value;
    (literal && part.end <= value.len()).then(|| start + part.start..start + part.end)
}
