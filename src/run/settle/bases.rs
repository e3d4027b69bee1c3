//! The base of fields: what both sides agree on, as it is to be remembered.

use crate::model::Record;
use crate::plan::base::{FieldBase, FieldBases};
use crate::plan::fields::same;

/// Has a base that was made anew keep that the target spells a value otherwise, as long as both
/// sides are as they were.
pub(in crate::run) fn keep_spelling(now: &mut FieldBase, then: &FieldBase) {
    now.written = then.written
        && same(now.desired.as_ref(), then.desired.as_ref())
        && same(now.target.as_ref(), then.target.as_ref());
}

/// Pairs what the source asks for with what the target holds, to be remembered as the base.
pub(in crate::run) fn bases_of(desired: &Record, current: &Record) -> FieldBases {
    desired
        .iter()
        .map(|(field, value)| {
            (
                field.clone(),
                FieldBase {
                    desired: Some(value.clone()),
                    target: current.get(field).cloned(),
                    written: false,
                },
            )
        })
        .collect()
}
