//! Values in few bytes: for what is remembered, and for what waits on disk.
//!
//! Numbers are written in pieces of seven bits, the lowest first; texts with their length before
//! them. A value begins with a byte that says of what kind it is.

use super::value::Value;

const NO: u8 = 0;
const YES: u8 = 1;
const INTEGER: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;

/// Bytes that are not what was packed.
#[derive(Debug, thiserror::Error)]
#[error("the packed values are damaged")]
pub(crate) struct Damaged;

/// Writes a number that is not below zero.
pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes a text.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a value.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Boolean(false) => out.push(NO),
        Value::Boolean(true) => out.push(YES),
        Value::Integer(number) => {
            out.push(INTEGER);
            // The sign comes last, so that small numbers of both signs are short.
            put_number(out, ((*number << 1) ^ (*number >> 63)).cast_unsigned());
        }
        Value::Text(text) => {
            out.push(TEXT);
            put_text(out, text);
        }
        Value::List(items) => {
            out.push(LIST);
            put_number(out, items.len() as u64);
            for item in items {
                put_text(out, item);
            }
        }
    }
}

/// Takes values out again.
pub(crate) struct Unpacking<'a>(pub(crate) &'a [u8]);

impl<'a> Unpacking<'a> {
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.0.split_first().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        let length = usize::try_from(self.number()?).map_err(|_| Damaged)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Damaged)
    }

    pub(crate) fn value(&mut self) -> Result<Value, Damaged> {
        Ok(match self.byte()? {
            NO => Value::Boolean(false),
            YES => Value::Boolean(true),
            INTEGER => {
                let number = self.number()?;
                Value::Integer((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
            }
            TEXT => Value::from(self.text()?),
            LIST => {
                let count = self.number()?;
                // Each text takes a byte at least, so that a damaged count ends here.
                let items = (0..count).map(|_| self.text().map(str::to_owned));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            _ => return Err(Damaged),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::Boolean),
            any::<i64>().prop_map(Value::Integer),
            ".{0,200}".prop_map(Value::from),
            prop::collection::vec(".{0,9}", 0..5).prop_map(Value::List),
        ]
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_again(values in prop::collection::vec(values(), 0..6)) {
            let mut packed = Vec::new();
            for value in &values {
                put_value(&mut packed, value);
            }
            let mut unpacking = Unpacking(&packed);
            for value in &values {
                prop_assert_eq!(&unpacking.value().unwrap(), value);
            }
            prop_assert!(unpacking.is_done());
        }

        #[test]
        fn damaged_bytes_are_an_error_or_other_values(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut unpacking = Unpacking(&bytes);
            while !unpacking.is_done() && unpacking.value().is_ok() {}
        }
    }
}
