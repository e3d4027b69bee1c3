//! Sorting by text, where the texts lie all over the memory.

use std::cmp::Ordering;

/// So many of a text's bytes are compared at once.
const HEAD: usize = 16;
/// So few rows are compared text by text: each comparison finds both texts anew.
const FEW: usize = 3;
/// Texts that are equal for so many bytes are compared as a whole.
const DEEP: usize = 4 * HEAD;

/// A row with a part of its text, so that comparing two looks nowhere else.
struct Row {
    head: [u64; HEAD / 8],
    number: u32,
}

/// Returns the numbers below `many` in the order of their texts. Where those are equal, `tie`
/// decides, and then the number.
pub(super) fn sorted_by_text<'a>(
    many: usize,
    text: impl Fn(u32) -> &'a str,
    tie: impl Fn(&u32, &u32) -> Ordering,
) -> Vec<u32> {
    let row = |number| Row {
        head: [0; HEAD / 8],
        number,
    };
    let mut rows: Vec<Row> = (0..many as u32).map(row).collect();
    let whole = |left: &Row, right: &Row| {
        let (left, right) = (left.number, right.number);
        text(left)
            .cmp(text(right))
            .then_with(|| tie(&left, &right))
            .then(left.cmp(&right))
    };
    sort(&mut rows, 0, &text, &whole);
    rows.into_iter().map(|row| row.number).collect()
}

/// Sorts rows whose texts are equal up to a byte.
fn sort<'a>(
    rows: &mut [Row],
    from: usize,
    text: &impl Fn(u32) -> &'a str,
    whole: &impl Fn(&Row, &Row) -> Ordering,
) {
    if rows.len() <= FEW || from >= DEEP {
        return rows.sort_unstable_by(whole);
    }
    for row in &mut *rows {
        row.head = head(text(row.number), from);
    }
    rows.sort_unstable_by_key(|row| row.head);
    for equal in rows.chunk_by_mut(|left, right| left.head == right.head) {
        if equal.len() > 1 {
            sort(equal, from + HEAD, text, whole);
        }
    }
}

/// Returns some bytes of a text as numbers in the same order; zeros stand behind the end. Rows that
/// this makes equal are compared by more.
fn head(text: &str, from: usize) -> [u64; HEAD / 8] {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    let mut bytes = [0; HEAD];
    let some = rest.len().min(HEAD);
    bytes[..some].copy_from_slice(&rest[..some]);
    let number = u128::from_be_bytes(bytes);
    [(number >> 64) as u64, number as u64]
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_come_in_their_order_and_equal_ones_as_they_are_told(
            texts in vec(("(|ana|aaaaaaaaaaaaaaaa){0,6}[ab\u{0}é]{0,2}", 0..3_u8), 0..120),
        ) {
            let tie = |left: &u32, right: &u32| {
                texts[*right as usize].1.cmp(&texts[*left as usize].1)
            };
            let sorted = sorted_by_text(texts.len(), |at| &texts[at as usize].0, tie);
            let mut plain: Vec<u32> = (0..texts.len() as u32).collect();
            plain.sort_by(|left, right| {
                let text = |at: &u32| &texts[*at as usize].0;
                text(left).cmp(text(right)).then_with(|| tie(left, right))
            });
            prop_assert_eq!(sorted, plain);
        }
    }
}
