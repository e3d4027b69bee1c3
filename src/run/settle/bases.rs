//! The base of fields: what both sides agree on, as it is to be remembered.

use crate::model::{LeftAlone, Record, Value};
use crate::plan::base::{FieldBase, FieldBases};
use crate::plan::fields::same;

/// Has a base that was made anew keep that the target spells a value otherwise, as long as both
/// sides are as they were.
fn keep_spelling(now: &mut FieldBase, then: &FieldBase) {
    now.written = then.written
        && same(now.desired.as_ref(), then.desired.as_ref())
        && same(now.target.as_ref(), then.target.as_ref());
}

/// Pairs what the source asks for with what the target holds, to be remembered as the base.
pub(super) fn bases_of(desired: &Record, current: &Record) -> FieldBases {
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

/// Has a base that was made anew keep what was known of fields for which the source asks for another
/// value by now, and that neither hold it nor were `written`: a change that was refused, or given up,
/// would pass for made.
pub(super) fn keep_unmade(fields: &mut FieldBases, known: &FieldBases, written: &Record) {
    for (field, now) in fields.iter_mut() {
        let Some(then) = known.get(field) else {
            continue;
        };
        if !written.contains_key(field)
            && !same(now.desired.as_ref(), then.desired.as_ref())
            && !same(now.desired.as_ref(), now.target.as_ref())
        {
            now.clone_from(then);
        }
    }
}

/// Has a base that was made anew keep what was known of the fields that are not `written` now: how
/// the target spells them, and what somebody else keeps as it is, so that it is not defended later.
///
/// So does it of fields that were `left_out`, whose value at the source does not fit.
pub(super) fn keep_known(
    fields: &mut FieldBases,
    known: FieldBases,
    written: &Record,
    left_out: &LeftAlone,
) {
    for (field, then) in known {
        if left_out.contains(&field) {
            fields.insert(field, then);
            continue;
        }
        let Some(now) = fields.get_mut(&field) else {
            continue;
        };
        keep_spelling(now, &then);
        if !written.contains_key(&field) && !same(now.target.as_ref(), then.target.as_ref()) {
            *now = then;
        }
    }
}

/// Has a base hold values that were written to take a run back as if both sides had agreed on them: what
/// the source asks for instead is a change, and the next run makes it.
pub(super) fn agree_on(fields: &mut FieldBases, written: &Record) {
    for (field, value) in written {
        if value.is_empty() {
            fields.remove(field);
            continue;
        }
        let agreed = FieldBase {
            desired: Some(value.clone()),
            target: Some(value.clone()),
            written: false,
        };
        fields.insert(field.clone(), agreed);
    }
}

/// Takes a value that was sent into a base where it is found to stand, as it is spelled there.
/// Tells whether it does.
pub(super) fn stands(
    fields: &mut FieldBases,
    field: &str,
    sent: &Value,
    held: Option<&Value>,
) -> bool {
    if !same(Some(sent), held) {
        return false;
    }
    if sent.is_empty() {
        fields.remove(field);
    } else {
        fields.insert(
            field.into(),
            FieldBase {
                desired: Some(sent.clone()),
                target: held.cloned(),
                written: false,
            },
        );
    }
    true
}

/// Takes what is stored of the fields that were `sent` into the base; all of them for a contact that
/// is new. Returns those that are still as they were before the write; they are to be written again.
/// What a new contact does not hold at all it has no place for.
pub(in crate::run) fn take_stored(
    fields: &mut FieldBases,
    before: &Record,
    held: &Record,
    sent: Option<&Record>,
) -> Vec<String> {
    let is_new = sent.is_none();
    let mut ignored = Vec::new();
    // What somebody changed at the target and keeps differs from its base without having been sent.
    let was_sent = |field: &str| sent.is_none_or(|sent| sent.contains_key(field));
    for (field, then) in fields.iter_mut().filter(|(field, _)| was_sent(field)) {
        let was = before.get(field).filter(|value| !value.is_empty());
        let now = held.get(field).filter(|value| !value.is_empty());
        if !is_written(then, was) || same(then.target.as_ref(), now) {
            continue;
        }
        let unchanged = same(was, now) && !is_new;
        if unchanged && !is_spelling(then.target.as_ref(), now) {
            ignored.push(field.to_string());
            *then = FieldBase {
                target: now.cloned(),
                ..FieldBase::default()
            };
        } else {
            spell(then, now);
        }
    }
    ignored
}

/// Tells whether the base holds a value that the target did not have before the run.
pub(in crate::run) fn is_written(then: &FieldBase, before: Option<&Value>) -> bool {
    !same(then.target.as_ref(), before)
}

/// Remembers a value that was written as the provider stores it.
pub(in crate::run) fn spell(then: &mut FieldBase, now: Option<&Value>) {
    if !same(then.target.as_ref(), now) {
        then.written = same(then.desired.as_ref(), then.target.as_ref());
        then.target = now.cloned();
    }
}

/// Tells whether two values differ alone in letters' case, in blanks and in what parts a telephone
/// number.
fn is_spelling(left: Option<&Value>, right: Option<&Value>) -> bool {
    let bare = |value: Option<&Value>| -> String {
        let text = value.map(Value::to_string).unwrap_or_default();
        let aside = |letter: char| letter.is_whitespace() || "-()/+".contains(letter);
        let kept = text.chars().filter(|letter| !aside(*letter));
        kept.flat_map(char::to_lowercase).collect()
    };
    bare(left) == bare(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        let pairs = text.split_whitespace();
        pairs
            .filter_map(|pair| pair.split_once('='))
            .map(|(field, value)| (field.into(), Value::from(value)))
            .collect()
    }

    /// Returns the fields that were ignored, and what the base holds of `f`: desired, target and
    /// whether rosterd's value is meant.
    fn taken(written: &str, before: &str, held: &str, sent: Option<&Record>) -> (bool, String) {
        let value = |text: &str| Some(Value::from(text)).filter(|value| !value.is_empty());
        let mut fields = FieldBases::from([(
            "f".into(),
            FieldBase {
                desired: value(written),
                target: value(written),
                written: false,
            },
        )]);
        let ignored = take_stored(&mut fields, &record(before), &record(held), sent);
        let base = &fields["f"];
        let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
        let mark = if base.written { " as written" } else { "" };
        (
            !ignored.is_empty(),
            format!("{} {}{mark}", text(&base.desired), text(&base.target)),
        )
    }

    #[test]
    fn what_is_stored_is_agreed_and_what_is_ignored_is_written_again() {
        for (written, before, held, expected) in [
            ("b", "f=a", "f=b", (false, "b b")),
            ("b", "", "f=b", (false, "b b")),
            // Spelled otherwise.
            ("B", "f=a", "f=b", (false, "B b as written")),
            (
                "Illinois",
                "f=Ohio",
                "f=IL",
                (false, "Illinois IL as written"),
            ),
            ("b", "", "", (true, "- -")),
            ("1.5", "f=15", "f=15", (true, "- 15")),
            // As it was, and no other spelling of it.
            ("b", "f=a", "f=a", (true, "- a")),
            ("A", "f=a", "f=a", (false, "A a as written")),
            // Cleared.
            ("", "f=a", "", (false, "- -")),
            ("", "f=a", "f=a", (true, "- a")),
            // Not written in this run.
            ("a", "f=a", "f=c", (false, "a a")),
        ] {
            let (ignored, base) = taken(written, before, held, Some(&record("f=sent")));
            assert_eq!(
                (ignored, base.as_str()),
                expected,
                "{written} over {before}: {held}"
            );
        }
        let nothing = taken("b", "", "", None);
        assert_eq!(nothing, (false, "b - as written".to_owned()));
        // What a person changed at the target and keeps was not sent, and so not ignored.
        let kept = taken("b", "f=a", "f=a", Some(&record("g=sent")));
        assert_eq!(kept, (false, "b b".to_owned()));
    }
}
