//! What somebody changed at the target since the last run.

use crate::model::Value;
use crate::plan::{ChangedOutside, Edit, Inputs, Outside, Plan};

/// Tells in a line each what a plan says of changes outside.
fn told(inputs: &Inputs<'_>, plan: &Plan) -> Vec<String> {
    let name = |person: &crate::plan::PersonIx| inputs.key(*person).into_owned();
    let value = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
    let rows = plan.changed_outside.iter();
    rows.map(|changed| {
        let ChangedOutside {
            what,
            base,
            now,
            wanted,
            fate,
        } = changed;
        let what = match what {
            Outside::Group(pair, field) => format!("{} {field}", plan.pair(*pair).name),
            Outside::Member(person, field) => format!("{} {field}", name(person)),
            Outside::Address(person) => format!("{} address", name(person)),
            Outside::Membership(pair, person) => {
                return format!(
                    "{} in {}: {}",
                    name(person),
                    plan.pair(*pair).name,
                    fate.as_str()
                );
            }
        };
        let [base, now, wanted] = [base, now, wanted].map(value);
        format!(
            "{what}: {base} then, {now} now, {wanted} wanted: {}",
            fate.as_str()
        )
    })
    .collect()
}

const SETTLED: &str = "target 11 Donors ext=d notes=ours : ana
     source 1 Donors ext=d notes=ours : ana bo
     link 1=11
     person target bo address=hers@example.org
     known bo
     base 11 : ana+ bo+";

#[test]
fn every_kind_of_change_is_told_with_what_becomes_of_it() {
    for drift in ["overwrite", "keep", "stop"] {
        let mut world = super::parse(&format!("set drift={drift}\n{SETTLED}"));
        world.target.group_mut("11").notes = Some("theirs".to_owned());
        let expected = [
            format!("Donors notes: ours then, theirs now, ours wanted: {drift}"),
            format!(
                "bo@example.org address: bo@example.org then, hers@example.org now, bo@example.org wanted: {drift}"
            ),
            format!("bo@example.org in Donors: {drift}"),
        ];
        assert_eq!(world.planned(told), expected, "{drift}");
    }
}

#[test]
fn what_nobody_changed_and_what_was_never_written_is_not_told() {
    // Found there and changed since, while nobody ever agreed on it.
    let mut world = super::parse(
        "target 11 Donors ext=d notes=theirs : ana
         source 1 Donors ext=d notes=ours : ana
         link 1=11",
    );
    let notes = world.memory.links[0].fields.get_mut("notes").unwrap();
    notes.desired = Some(Value::from("ours"));
    assert!(world.planned(told).is_empty());
    world.target.group_mut("11").notes = Some("other".to_owned());
    assert!(world.planned(told).is_empty());
    // Written, and spelled otherwise by the provider.
    let notes = world.memory.links[0].fields.get_mut("notes").unwrap();
    (notes.target, notes.written) = (Some(Value::from("OURS")), true);
    world.target.group_mut("11").notes = Some("OURS".to_owned());
    assert!(world.planned(told).is_empty());
    world.target.group_mut("11").notes = Some("other".to_owned());
    assert_eq!(
        world.planned(told),
        ["Donors notes: OURS then, other now, ours wanted: overwrite"]
    );
    // The source moved, and nobody touched the target.
    let mut world = super::parse(
        "target 11 Donors ext=d notes=ours : ana
         source 1 Donors ext=d notes=ours : ana
         link 1=11",
    );
    world.source.group_mut("1").notes = Some("new".to_owned());
    assert!(world.planned(told).is_empty());
}

#[test]
fn a_name_that_cannot_be_given_back_is_not_called_overwritten() {
    let mut world = super::parse(
        "target 11 A ext=rosterd:crm:1
         target 12 C
         link 1=11
         source 1 A",
    );
    world.target.group_mut("11").name = "Z".to_owned();
    assert_eq!(
        world.planned(told),
        ["A title: A then, Z now, A wanted: overwrite"]
    );
    world.target.group_mut("12").name = "A".to_owned();
    assert!(world.planned(told).is_empty());
}

#[test]
fn adopting_a_group_says_what_its_fields_held() {
    let world = super::parse(
        "set explicit=notes
         target 11 Donors notes=theirs
         source 1 Donors ext=d notes=ours",
    );
    world.planned(|_, plan| {
        let Some(Edit::AdoptGroup { fields, before, .. }) = plan.operations.first() else {
            panic!("{:?}", plan.operations);
        };
        assert_eq!(fields.get("notes"), Some(&Value::from("ours")));
        let held: Vec<(&str, String)> = before
            .iter()
            .map(|(field, value)| (field.as_str(), value.to_string()))
            .collect();
        assert_eq!(held, [("notes", "theirs".to_owned())]);
        assert_eq!(plan.changed_outside, [], "nobody had written it");
    });
}
