//! The map that every pair of providers works with when the config says nothing.

use super::convert::Shape;
use super::rule::{Action, Rule};
use super::vocabulary;
use crate::model::{ObjectKind, Schema, Writable};

/// Returns a rule for each target field whose canonical name the built-in map copies, in the order
/// of the table.
pub(super) fn rules(
    object: ObjectKind,
    source: &Schema,
    target: &Schema,
    source_name: &str,
) -> Vec<Rule> {
    target
        .fields(object)
        .iter()
        .filter(|field| {
            field.writable != Writable::No && vocabulary::built_in(object, field, source, target)
        })
        .map(|field| Rule {
            wire: field.wire.to_owned(),
            shape: Some(Shape::of(field)),
            action: match (object, field.canonical) {
                (ObjectKind::Group, "external_id") => Action::ExternalId {
                    source_name: source_name.to_owned(),
                },
                (_, canonical) => Action::Copy(canonical.to_owned()),
            },
            explicit: false,
        })
        .collect()
}
