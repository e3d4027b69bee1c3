//! One field at three times: what the source asks for, what the target holds, and what both were.

use std::collections::BTreeSet;

use compact_str::CompactString;

use super::base::FieldBases;
use crate::model::policy::OnDrift;
use crate::model::{LeftAlone, Record, Value};

/// What a comparison of fields leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdit {
    /// The values to write; an empty text clears.
    pub set: Record,
    /// What those fields hold now.
    pub before: Record,
    /// The fields among `set` that somebody changed at the target since the last run.
    pub overwritten: Vec<Drifted>,
    /// The fields that somebody changed at the target and that are left as they are.
    pub kept: Vec<Drifted>,
}

/// A field that somebody changed at the target since the last run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drifted {
    /// The field, under the target's name.
    pub field: String,
    /// What it held at the end of the last confirmed run.
    pub base: Option<Value>,
    /// What it holds now.
    pub now: Option<Value>,
    /// What the source asks for.
    pub wanted: Option<Value>,
}

impl FieldEdit {
    /// Tells whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

/// How fields are to be compared.
#[derive(Clone, Copy, Debug)]
pub struct FieldRules<'a> {
    /// The fields that the config maps by name: written even on adoption.
    pub explicit: &'a BTreeSet<String>,
    /// What somebody's change at the target does.
    pub on_drift: OnDrift,
    /// Whether rosterd created the object, so that every field is its own from the start.
    pub created: bool,
    /// Fields whose value at the source does not fit, or could not be found out: they stay as they
    /// are.
    pub left_out: &'a LeftAlone,
}

/// Compares the fields of one object.
///
/// `base` is nothing for an object that this run links. `desired` and `current` are under the
/// target's names.
pub fn compare(
    desired: &Record,
    current: &Record,
    base: Option<&FieldBases>,
    rules: FieldRules<'_>,
) -> FieldEdit {
    let mut edit = FieldEdit::default();
    let none = FieldBases::new();
    let known = base.unwrap_or(&none);
    let fields = desired.keys().chain(known.keys());
    let fields: BTreeSet<&str> = fields.map(CompactString::as_str).collect();
    for field in fields {
        let wanted = desired.get(field).filter(|value| !value.is_empty());
        let held = current.get(field).filter(|value| !value.is_empty());
        if same(wanted, held) || rules.left_out.contains(field) {
            continue;
        }
        let decision = match known.get(field) {
            None => match wanted {
                Some(_) if held.is_none() || rules.explicit.contains(field) || rules.created => {
                    Decision::Write
                }
                _ => Decision::Leave,
            },
            Some(then) => {
                let source_moved = !same(wanted, then.desired.as_ref());
                let target_moved = !same(held, then.target.as_ref());
                let was_ours = then.is_agreed();
                match (source_moved, target_moved) {
                    // A field that never agreed is not ours to defend.
                    (false, true) if !was_ours => Decision::Leave,
                    (_, true) if wanted.is_some() || was_ours => match rules.on_drift {
                        OnDrift::Keep => Decision::Keep,
                        // An empty wish never wipes out what somebody else wrote.
                        _ if wanted.is_none() => Decision::Leave,
                        OnDrift::Overwrite | OnDrift::Stop => Decision::Overwrite,
                    },
                    (true, false) if wanted.is_some() || was_ours => Decision::Write,
                    _ => Decision::Leave,
                }
            }
        };
        let drifted = || Drifted {
            field: field.to_owned(),
            base: known.get(field).and_then(|then| then.target.clone()),
            now: held.cloned(),
            wanted: wanted.cloned(),
        };
        match decision {
            Decision::Leave => {}
            Decision::Keep => edit.kept.push(drifted()),
            Decision::Write | Decision::Overwrite => {
                if matches!(decision, Decision::Overwrite) {
                    edit.overwritten.push(drifted());
                }
                edit.set.insert(
                    field.into(),
                    wanted.cloned().unwrap_or_else(|| Value::from("")),
                );
                if let Some(held) = held {
                    edit.before.insert(field.into(), held.clone());
                }
            }
        }
    }
    edit
}

/// Tells whether two values are one, absence and emptiness being the same.
pub fn same(left: Option<&Value>, right: Option<&Value>) -> bool {
    let left = left.filter(|value| !value.is_empty());
    let right = right.filter(|value| !value.is_empty());
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => left == right || left.words() == right.words(),
        _ => false,
    }
}

#[derive(Clone, Copy)]
enum Decision {
    Leave,
    Keep,
    Write,
    Overwrite,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::base::FieldBase;

    /// What nothing may look like, at any of the three times.
    fn nothings() -> [Option<Value>; 3] {
        [None, Some(Value::from("")), Some(Value::List(Vec::new()))]
    }

    /// The values that a word of the table stands for: `-` is nothing, in whatever form.
    fn values(word: &str) -> Vec<Option<Value>> {
        if word == "-" {
            nothings().to_vec()
        } else {
            vec![Some(Value::from(word))]
        }
    }

    fn record(value: Option<&Value>) -> Record {
        value
            .map(|value| Record::from([("f".into(), value.clone())]))
            .unwrap_or_default()
    }

    /// Columns: source now, target now, base (source, target) — `-` is nothing — and what is
    /// written, `.` being nothing and `keep` a change that is listed as kept.
    fn check(
        source: &str,
        target: &str,
        base: Option<(&str, &str)>,
        on_drift: OnDrift,
        expected: &str,
    ) {
        check_spelled(source, target, base, false, on_drift, expected);
    }

    /// The same; `written` where the target spells what was written otherwise.
    fn check_spelled(
        source: &str,
        target: &str,
        base: Option<(&str, &str)>,
        written: bool,
        on_drift: OnDrift,
        expected: &str,
    ) {
        let bases: Vec<Option<FieldBases>> = match base {
            None => vec![None],
            Some((desired, target)) => values(desired)
                .into_iter()
                .flat_map(|desired| {
                    values(target).into_iter().map(move |target| {
                        let desired = desired.clone();
                        Some(FieldBases::from([(
                            "f".into(),
                            FieldBase {
                                desired,
                                target,
                                written,
                            },
                        )]))
                    })
                })
                .collect(),
        };
        let rules = FieldRules {
            explicit: &BTreeSet::new(),
            on_drift,
            created: false,
            left_out: &LeftAlone::default(),
        };
        for source in values(source) {
            for target in values(target) {
                for base in &bases {
                    let edit = compare(
                        &record(source.as_ref()),
                        &record(target.as_ref()),
                        base.as_ref(),
                        rules,
                    );
                    let written = match edit.set.get("f") {
                        Some(value) if value.is_empty() => "clear".to_owned(),
                        Some(value) => value.to_string(),
                        None if !edit.kept.is_empty() => "keep".to_owned(),
                        None => ".".to_owned(),
                    };
                    assert_eq!(
                        written, expected,
                        "source {source:?}, target {target:?}, base {base:?}, {on_drift:?}"
                    );
                    assert!(
                        edit.before.values().all(|before| !before.is_empty()),
                        "nothing is no value that was there before"
                    );
                }
            }
        }
    }

    #[test]
    fn the_table_of_three_trees() {
        use OnDrift::{Keep, Overwrite, Stop};
        for drift in [Overwrite, Keep, Stop] {
            check("a", "a", None, drift, ".");
            check("a", "-", None, drift, "a");
            check("a", "b", None, drift, ".");
            check("-", "b", None, drift, ".");
            check("-", "-", None, drift, ".");
            check("-", "-", Some(("-", "-")), drift, ".");
            check("-", "-", Some(("a", "a")), drift, ".");
            check("a", "-", Some(("-", "-")), drift, "a");
            check("-", "b", Some(("-", "-")), drift, ".");
            check("a", "a", Some(("a", "a")), drift, ".");
            check("b", "a", Some(("a", "a")), drift, "b");
            check("-", "a", Some(("a", "a")), drift, "clear");
            check("-", "b", Some(("-", "b")), drift, ".");
            check("-", "b", Some(("a", "b")), drift, ".");
            check("a", "b", Some(("a", "b")), drift, ".");
            check("c", "b", Some(("a", "b")), drift, "c");
            check("a", "c", Some(("a", "b")), drift, ".");
        }
        check("a", "x", Some(("a", "a")), Overwrite, "a");
        check("a", "x", Some(("a", "a")), Stop, "a");
        check("a", "x", Some(("a", "a")), Keep, "keep");
        check("a", "-", Some(("a", "a")), Overwrite, "a");
        check("b", "x", Some(("a", "a")), Overwrite, "b");
        check("b", "x", Some(("a", "a")), Keep, "keep");
        check("a", "-", Some(("a", "a")), Keep, "keep");
        check("-", "x", Some(("a", "a")), Overwrite, ".");
        check("-", "x", Some(("a", "a")), Keep, "keep");
    }

    #[test]
    fn a_value_that_the_target_spells_otherwise_is_defended_as_written() {
        use OnDrift::{Keep, Overwrite};
        for drift in [Overwrite, Keep] {
            check_spelled("A", "a", Some(("A", "a")), true, drift, ".");
            check_spelled("B", "a", Some(("A", "a")), true, drift, "B");
            check_spelled("-", "a", Some(("A", "a")), true, drift, "clear");
        }
        check_spelled("A", "x", Some(("A", "a")), true, Overwrite, "A");
        check_spelled("A", "x", Some(("A", "a")), true, Keep, "keep");
        check_spelled("A", "x", Some(("A", "a")), false, Overwrite, ".");
    }

    #[test]
    fn nothing_is_one_thing_in_whatever_form() {
        for left in nothings() {
            for right in nothings() {
                assert!(same(left.as_ref(), right.as_ref()), "{left:?} {right:?}");
            }
            for value in [
                Value::from("0"),
                Value::from(" "),
                Value::Integer(0),
                Value::Boolean(false),
            ] {
                assert!(!same(left.as_ref(), Some(&value)), "{left:?} {value:?}");
            }
        }
    }
}
