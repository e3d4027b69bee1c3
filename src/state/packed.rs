//! What is remembered of a field in few bytes.

use crate::model::packed::{Damaged, Unpacking, put_value};
use crate::plan::base::FieldBase;

/// What a field's byte says: which values there are, and how they stand to each other.
const DESIRED: u8 = 1;
const TARGET: u8 = 2;
const SAME: u8 = 4;
const WRITTEN: u8 = 8;

/// Writes what is remembered of a field, without its name.
pub(super) fn put_field(out: &mut Vec<u8>, field: &FieldBase) {
    let FieldBase {
        desired,
        target,
        written,
    } = field;
    let same = desired.is_some() && desired == target;
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    out.push(
        flag(desired.is_some(), DESIRED)
            | flag(target.is_some() && !same, TARGET)
            | flag(same, SAME)
            | flag(*written, WRITTEN),
    );
    let values = desired.iter().chain(target.iter().filter(|_| !same));
    for value in values {
        put_value(out, value);
    }
}

/// Takes what is remembered of a field out again.
pub(super) fn take_field(packed: &mut Unpacking<'_>) -> Result<FieldBase, Damaged> {
    let flags = packed.byte()?;
    let desired = (flags & DESIRED != 0).then(|| packed.value()).transpose()?;
    let target = match flags & (TARGET | SAME) {
        0 => None,
        SAME => desired.clone(),
        _ => Some(packed.value()?),
    };
    Ok(FieldBase {
        desired,
        target,
        written: flags & WRITTEN != 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Value;

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Integer),
            ".{0,9}".prop_map(Value::from),
        ]
    }

    fn fields() -> impl Strategy<Value = FieldBase> {
        let value = || prop::option::of(values());
        (value(), value(), any::<bool>(), any::<bool>()).prop_map(
            |(desired, target, same, written)| FieldBase {
                target: if same { desired.clone() } else { target },
                desired,
                written,
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_again(fields in prop::collection::vec(fields(), 0..6)) {
            let mut packed = Vec::new();
            for field in &fields {
                put_field(&mut packed, field);
            }
            let mut unpacking = Unpacking(&packed);
            for field in &fields {
                prop_assert_eq!(&take_field(&mut unpacking).unwrap(), field);
            }
            prop_assert!(unpacking.is_done());
        }

        #[test]
        fn damaged_bytes_are_an_error_or_other_values(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut unpacking = Unpacking(&bytes);
            while !unpacking.is_done() && take_field(&mut unpacking).is_ok() {}
        }
    }
}
