//! Tests of whole mappings, over two small schemas that have the traits of the real ones.

mod guide;
mod rights;
mod unlisted;

use std::collections::BTreeMap;

use compact_str::CompactString;
use proptest::prelude::*;

use super::*;
use crate::model::{
    CustomField, CustomFields, FieldSpec, FieldType, ProviderKind, Unlisted, Value, Writable,
};

static WEB: Schema = Schema {
    kind: ProviderKind::Emfluence,
    groups: &[
        FieldSpec {
            wire: "groupID",
            canonical: "id",
            writable: Writable::No,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "groupName",
            canonical: "name",
            required: true,
            max_length: Some(20),
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "friendlyName",
            canonical: "display_name",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "description",
            canonical: "description",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "externalID",
            canonical: "external_id",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "notes",
            canonical: "notes",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "private",
            canonical: "visibility",
            kind: FieldType::Boolean,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "protected",
            canonical: "protected",
            kind: FieldType::Boolean,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "status",
            canonical: "status",
            values: &[("Active", "active"), ("Archived", "archived")],
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "userIDs",
            canonical: "permissions",
            kind: FieldType::List,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "totalMembers",
            canonical: "member_count",
            kind: FieldType::Integer,
            writable: Writable::No,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "dateAdded",
            canonical: "created_at",
            kind: FieldType::Timestamp,
            writable: Writable::No,
            ..FieldSpec::TEXT
        },
    ],
    members: &[
        FieldSpec {
            wire: "contactID",
            canonical: "id",
            writable: Writable::No,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "email",
            canonical: "email",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "firstName",
            canonical: "first_name",
            max_length: Some(5),
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "lastName",
            canonical: "last_name",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "customerID",
            canonical: "external_id",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "dateOfBirth",
            canonical: "birth_date",
            kind: FieldType::Timestamp,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "score",
            canonical: "score",
            kind: FieldType::Integer,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "vip",
            canonical: "vip",
            kind: FieldType::Boolean,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "tags",
            canonical: "tags",
            kind: FieldType::List,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "suppressed",
            canonical: "status",
            kind: FieldType::Boolean,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "purl",
            canonical: "purl",
            writable: Writable::No,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "custom.*",
            canonical: "custom.*",
            max_length: Some(255),
            ..FieldSpec::TEXT
        },
    ],
    unlisted: Unlisted::ByLabel,
};

static CRM: Schema = Schema {
    kind: ProviderKind::GreenRope,
    groups: &[
        FieldSpec {
            wire: "Group_id",
            canonical: "id",
            writable: Writable::No,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "Name",
            canonical: "name",
            required: true,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "GroupType",
            canonical: "visibility",
            values: &[
                ("Public", "public"),
                ("Private", "private"),
                ("Hidden", "hidden"),
            ],
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "EmailsSentFromName",
            canonical: "sender_name",
            ..FieldSpec::TEXT
        },
    ],
    members: &[
        FieldSpec {
            wire: "Contact_id",
            canonical: "id",
            writable: Writable::No,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "Email",
            canonical: "email",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "Firstname",
            canonical: "first_name",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "Company",
            canonical: "company",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "Birthdate",
            canonical: "birth_date",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "Hometown",
            canonical: "hometown",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "custom.*",
            canonical: "custom.*",
            ..FieldSpec::TEXT
        },
    ],
    unlisted: Unlisted::ByLabel,
};

type Lines<'a> = &'a [(&'a str, &'a str)];

fn table(lines: Lines<'_>) -> BTreeMap<String, String> {
    lines
        .iter()
        .map(|(wire, text)| ((*wire).to_owned(), (*text).to_owned()))
        .collect()
}

fn compile(
    source: &'static Schema,
    target: &'static Schema,
    group: Lines<'_>,
    member: Lines<'_>,
    filter: Option<&str>,
) -> Result<Mapping, Vec<MappingProblem>> {
    let (group, member) = (table(group), table(member));
    let spec = MappingSpec {
        source,
        target,
        source_name: "crm",
        group: &group,
        member: &member,
        r#where: filter,
        create_fields: false,
    };
    Mapping::compile(&spec)
}

fn record(pairs: &[(&str, &str)]) -> Record {
    pairs
        .iter()
        .map(|(name, text)| ((*name).into(), Value::from(*text)))
        .collect()
}

fn field(system_name: &str, label: &str) -> CustomField {
    CustomField {
        system_name: system_name.to_owned(),
        label: label.to_owned(),
        kind: FieldType::Text,
        max_length: None,
        options: vec![],
    }
}

fn known(fields: &[CustomField]) -> CustomFields {
    CustomFields {
        known: true,
        fields: fields.to_vec(),
        unread: Vec::new(),
    }
}

fn to_web(group: Lines<'_>, member: Lines<'_>, filter: Option<&str>) -> BoundMapping {
    let mapping = compile(&CRM, &WEB, group, member, filter)
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let (bound, problems) = mapping.bind(&CustomFields::default(), &CustomFields::default());
    assert_eq!(problems, []);
    bound
}

/// Shows problems as people would read them, one per line.
fn shown(problems: &[MappingProblem], lines: Lines<'_>) -> String {
    let mut text = String::new();
    for problem in problems {
        text.push_str(&problem.to_string());
        if let Some(span) = &problem.span {
            let wire = match &problem.place {
                Place::Group(wire) | Place::Member(wire) => wire.as_str(),
                Place::Where => "",
            };
            let expression = lines
                .iter()
                .find(|(name, _)| *name == wire)
                .map_or("", |(_, expression)| expression);
            text.extend([" [", expression.get(span.clone()).unwrap_or("?"), "]"]);
        }
        if let Some(hint) = &problem.hint {
            text.extend([" (hint: ", hint, ")"]);
        }
        text.push('\n');
    }
    text
}

#[test]
fn expressions_give_what_they_say() {
    let person = record(&[
        ("id", "17"),
        ("first_name", " Ana "),
        ("company", "Example & Sons"),
        ("zip", "00123"),
        ("custom.Membership level", "gold"),
        ("custom.Age", "42"),
    ]);
    for (expression, expected) in [
        ("source.id", Some("17")),
        ("source.zip", Some("00123")),
        ("source['zip']", Some("00123")),
        ("'CRM ' ~ source.id", Some("CRM 17")),
        ("source.first_name", Some(" Ana ")),
        ("source.first_name | trim | upper", Some("ANA")),
        ("source.company", Some("Example & Sons")),
        (
            "source.company | replace('&', 'and')",
            Some("Example and Sons"),
        ),
        ("source.custom['Membership level'] | upper", Some("GOLD")),
        ("source.custom['membership LEVEL ']", Some("gold")),
        ("source.custom.Age", Some("42")),
        ("(source.custom.Age | int) + 1", Some("43")),
        ("source.custom.Age | default('') | length", Some("2")),
        ("source.custom.missing", None),
        ("source.custom.missing | upper", None),
        ("source.city", None),
        ("source.city | default('Springfield')", Some("Springfield")),
        ("[source.zip, source.id] | join('/')", Some("00123/17")),
        ("source.city ~ ' '", None),
        (
            "'yes' if source.company == 'Example & Sons' else 'no'",
            Some("yes"),
        ),
        ("'yes' if source.city", None),
        ("none", None),
        ("true", Some("true")),
        ("1.5", Some("1.5")),
        ("2 ** 3", Some("8")),
    ] {
        let mapped = to_web(&[], &[("lastName", expression)], None).member(&person);
        assert_eq!(
            mapped.fields.get("lastName"),
            expected.map(Value::from).as_ref(),
            "{expression}"
        );
        assert_eq!(
            (mapped.left_out, mapped.failed),
            (vec![], vec![]),
            "{expression}"
        );
    }
}

#[test]
fn an_empty_value_at_the_source_is_as_good_as_none() {
    let absent = record(&[("id", "17")]);
    let mut text = absent.clone();
    let mut list = absent.clone();
    for name in ["first_name", "company", "zip", "custom.Level"] {
        text.insert(name.into(), Value::from(""));
        list.insert(name.into(), Value::List(Vec::new()));
    }
    for (expression, expected) in [
        ("source.company", None),
        ("source.custom.Level", None),
        ("source.first_name ~ source.company", None),
        ("source.company | default('none')", Some("none")),
        ("source.company or source.zip or source.id", Some("17")),
        ("'has' if source.company else 'lacks'", Some("lacks")),
        (
            "'has' if source.company is defined else 'lacks'",
            Some("lacks"),
        ),
        ("''", None),
    ] {
        let mapping = to_web(&[], &[("lastName", expression)], None);
        for given in [&absent, &text, &list] {
            let mapped = mapping.member(given);
            assert_eq!(mapped.failed, [], "{expression} {given:?}");
            assert_eq!(
                mapped
                    .fields
                    .get("lastName")
                    .map(Value::to_string)
                    .as_deref(),
                expected,
                "{expression} {given:?}"
            );
        }
    }
    let filter = to_web(&[], &[], Some("source.company != 'Internal'"));
    let counts: Vec<_> = [&absent, &text, &list]
        .map(|given| filter.counts(given))
        .into_iter()
        .collect();
    assert!(
        counts.windows(2).all(|pair| pair[0] == pair[1]),
        "{counts:?}"
    );
}

#[test]
fn results_take_the_type_of_the_field() {
    let person = record(&[("id", "17"), ("title", "Yes"), ("company", "maybe")]);
    let wrong = |value: &str| Err((value.to_owned(), LeftOutReason::WrongType));
    for (wire, expression, expected) in [
        ("vip", "true", Ok(Some(Value::Boolean(true)))),
        ("vip", "0", Ok(Some(Value::Boolean(false)))),
        ("vip", "'1'", Ok(Some(Value::Boolean(true)))),
        ("vip", "source.title", Ok(Some(Value::Boolean(true)))),
        ("vip", "source.company", wrong("maybe")),
        ("vip", "source.city", Ok(None)),
        ("score", "source.id", Ok(Some(Value::Integer(17)))),
        (
            "score",
            "(source.id | int) + 17",
            Ok(Some(Value::Integer(34))),
        ),
        ("score", "source.company", wrong("maybe")),
        (
            "tags",
            "[source.id, 'x']",
            Ok(Some(Value::List(vec!["17".to_owned(), "x".to_owned()]))),
        ),
        (
            "tags",
            "source.title",
            Ok(Some(Value::List(vec!["Yes".to_owned()]))),
        ),
        ("tags", "source.city", Ok(None)),
        ("tags", "[source.city]", Ok(None)),
        (
            "firstName",
            "source.id ~ source.title",
            Ok(Some(Value::from("17Yes"))),
        ),
        (
            "firstName",
            "source.id ~ source.company",
            Err(("17maybe".to_owned(), LeftOutReason::TooLong { max: 5 })),
        ),
    ] {
        let mapped = to_web(&[], &[(wire, expression)], None).member(&person);
        let got = match mapped.left_out.first() {
            Some(left_out) => Err((left_out.value.clone(), left_out.reason.clone())),
            None => Ok(mapped.fields.get(wire).cloned()),
        };
        assert_eq!(got, expected, "{wire} = {expression}");
    }
}

#[test]
fn length_is_counted_in_characters() {
    let mapping = to_web(&[], &[], None);
    assert_eq!(
        mapping
            .member(&record(&[("first_name", "Ärger")]))
            .fields
            .get("firstName"),
        Some(&Value::from("Ärger"))
    );
    assert_eq!(
        mapping
            .member(&record(&[("first_name", "Ärgern")]))
            .left_out
            .len(),
        1
    );
}

#[test]
fn every_problem_is_found_at_once() {
    let group: Lines<'_> = &[
        ("GroupName", "source.name"),
        ("groupID", "source.id"),
        ("totalMembers", "source.member_count"),
        ("status", "'Archived'"),
        ("notes", "source.descripton"),
        ("friendlyName", "source.lists"),
        ("custom.x", "source.name"),
        ("description", "source.name ~"),
    ];
    let member: Lines<'_> = &[
        ("email", "source.email"),
        ("suppressed", "false"),
        ("purl", "source.id"),
        ("lastname", "source.frist_name"),
        ("lastName", "source.Firstname | uper"),
        ("firstName", "source.first_name.upper()"),
        ("customerID", "range(3) ~ first_name ~ (source.id is emty)"),
        ("score", "source.custom"),
        ("vip", "source.city | default('perhaps')"),
        ("tags", "source.company.legal"),
        ("custom.a", "source.phone + 1"),
        ("custom.b", "source[source.id]"),
        ("custom.d", "[1] * 1000000000"),
        ("custom.", "1"),
        ("custom.c", "  "),
    ];
    let problems = compile(
        &CRM,
        &WEB,
        group,
        member,
        Some("source.compny != 'Internal'"),
    )
    .unwrap_err();
    let all: Vec<(&str, &str)> = group
        .iter()
        .chain(member)
        .chain(&[("", "source.compny != 'Internal'")])
        .copied()
        .collect();
    insta::assert_snapshot!(shown(&problems, &all), @r#"
    members.where: `source` has no field `compny` [compny] (hint: did you mean `source.company`?)
    map.group.GroupName: `GroupName` is not a field of a group at emfluence (hint: did you mean `groupName`?)
    map.group.custom.x: a group at emfluence has no custom fields (hint: `rosterd schema fields` lists the fields)
    map.group.description: this is not an expression: unexpected end of input, expected expression [~]
    map.group.friendlyName: the result does not fit a field of type text (hint: a list becomes a text with `| join(', ')`)
    map.group.groupID: `groupID` of a group at emfluence: the provider gives the id; it can't be mapped (hint: remove this line)
    map.group.notes: `source` has no field `descripton` [descripton] (hint: did you mean `source.description`?)
    map.group.totalMembers: `totalMembers` of a group is read-only at emfluence (hint: remove this line)
    map.member.custom.: `custom.` does not say which custom field is meant (hint: write `custom.` and its name)
    map.member.custom.a: this can't be evaluated: tried to use + operator on unsupported types string and number
    map.member.custom.b: `source` stands without the name of a field [source] (hint: name a field, as in `source.name` or `source.custom['label']`)
    map.member.custom.c: the expression is empty
    map.member.custom.d: multiplication is not offered: it could repeat a list without end [*]
    map.member.customerID: `first_name` is unknown [first_name] (hint: write `source.first_name`)
    map.member.customerID: there is no test `emty` [emty] (hint: there are boolean, defined, endingwith, eq, equalto, even, false, float, ge, greaterthan, gt, in, int, integer, le, lessthan, lower, lt, mapping, ne, none, number, odd, sequence, startingwith, string, true, undefined, upper)
    map.member.customerID: there is no function `range` [range]
    map.member.email: `email` of a member at emfluence: the address tells who a member is; it can't be mapped (hint: remove this line)
    map.member.firstName: `upper` can't be called as a method [upper] (hint: use the filter: `| upper`)
    map.member.lastName: `source` has no field `Firstname` [Firstname] (hint: did you mean `source.first_name`?)
    map.member.lastName: there is no filter `uper` [uper] (hint: did you mean `upper`?)
    map.member.lastname: `lastname` is not a field of a member at emfluence (hint: did you mean `lastName`?)
    map.member.lastname: `source` has no field `frist_name` [frist_name] (hint: did you mean `source.first_name`?)
    map.member.purl: `purl` of a member is read-only at emfluence (hint: remove this line)
    map.member.score: the result does not fit a field of type integer (hint: it takes a whole number, as in `source.member_count | int`)
    map.member.suppressed: `suppressed` of a member at emfluence: the plan decides it by its own rules; it can't be mapped (hint: remove this line)
    map.member.tags: `source.company` has no part `legal` [legal]
    map.member.vip: the result does not fit a field of type boolean (hint: it takes true or false)
    "#);
}

#[test]
fn a_constant_that_the_target_does_not_take_is_a_problem() {
    let problems = |wire, text| {
        compile(&WEB, &CRM, &[(wire, text)], &[], None)
            .map(|_| ())
            .map_err(|all| all[0].message.clone())
    };
    assert_eq!(
        problems("GroupType", "'Secret'"),
        Err("the result is not one of Public, Private, Hidden".to_owned())
    );
    assert_eq!(problems("GroupType", "'hidden'"), Ok(()));
    assert_eq!(
        problems("GroupType", "source.notes"),
        Ok(()),
        "a note may hold one of the words"
    );
    assert_eq!(problems("GroupType", "source.visibility"), Ok(()));
}

#[test]
fn the_built_in_map_carries_what_means_the_same() {
    let mapping = to_web(&[], &[], None);
    assert_eq!(
        mapping.group_fields(),
        [
            "description",
            "externalID",
            "friendlyName",
            "groupName",
            "notes",
            "private"
        ]
    );
    // What the source's kind does not know can still be carried for a person, and is given back
    // then.
    let carried = ["score", "tags", "vip"];
    let expected: Vec<&str> = ["customerID", "firstName", "lastName"]
        .into_iter()
        .chain(carried)
        .collect();
    assert_eq!(
        mapping.member_fields(),
        expected,
        "no status, no address, no date of another kind"
    );
    let group = record(&[
        ("id", "9985"),
        ("name", "Donors"),
        ("visibility", "hidden"),
        ("sender_name", "Example Society"),
        ("status", "active"),
    ]);
    let mapped = mapping.group(&group);
    assert_eq!(
        mapped.fields,
        Record::from([
            ("groupName".into(), Value::from("Donors")),
            ("externalID".into(), Value::from("rosterd:crm:9985")),
            ("private".into(), Value::Boolean(true)),
        ])
    );
    assert_eq!(
        mapping.carried_fields(ObjectKind::Group, &group),
        record(&[("sender_name", "Example Society")])
    );
    let own = mapping.group(&record(&[
        ("id", "1"),
        ("name", "A"),
        ("external_id", "X-1"),
        ("visibility", "public"),
    ]));
    assert_eq!(own.fields.get("externalID"), Some(&Value::from("X-1")));
    assert_eq!(own.fields.get("private"), Some(&Value::Boolean(false)));
}

#[test]
fn visibility_is_translated_both_ways() {
    let (mapping, _) = compile(&WEB, &CRM, &[], &[], None)
        .unwrap()
        .bind(&CustomFields::default(), &CustomFields::default());
    for (value, expected) in [
        (Value::Boolean(true), "Private"),
        (Value::Boolean(false), "Public"),
        (Value::from("hidden"), "Hidden"),
    ] {
        let group = Record::from([
            ("id".into(), Value::from("1")),
            ("visibility".into(), value),
        ]);
        assert_eq!(
            mapping.group(&group).fields.get("GroupType"),
            Some(&Value::from(expected))
        );
    }
    let odd = mapping.group(&record(&[("id", "1"), ("visibility", "secret")]));
    assert_eq!(
        odd.left_out[0].reason.to_string(),
        "not one of Public, Private, Hidden"
    );
}

#[test]
fn the_same_kind_keeps_dates_and_carries_nothing() {
    let (mapping, _) = compile(&WEB, &WEB, &[], &[], None)
        .unwrap()
        .bind(&CustomFields::default(), &CustomFields::default());
    let person = record(&[
        ("id", "1"),
        ("email", "ana@example.org"),
        ("birth_date", "1980-02-03"),
        ("purl", "ana"),
        ("status", "active"),
    ]);
    assert_eq!(
        mapping.member(&person).fields,
        record(&[("dateOfBirth", "1980-02-03")])
    );
    assert_eq!(
        mapping.carried_fields(ObjectKind::Member, &person),
        Record::new()
    );
}

#[test]
fn what_has_no_home_is_carried_and_bookkeeping_is_not() {
    let (mapping, _) = compile(&WEB, &CRM, &[], &[], None)
        .unwrap()
        .bind(&CustomFields::default(), &known(&[]));
    let mut group = record(&[
        ("id", "1"),
        ("name", "A"),
        ("description", "For donors"),
        ("created_at", "2026-01-01"),
        ("kind", "static"),
    ]);
    group.insert("protected".into(), Value::Boolean(true));
    group.insert("permissions".into(), Value::List(vec!["3".to_owned()]));
    group.insert("member_count".into(), Value::Integer(3));
    let carried = mapping.carried_fields(ObjectKind::Group, &group);
    assert_eq!(
        carried.keys().collect::<Vec<_>>(),
        ["description", "protected"]
    );
    let person = record(&[
        ("first_name", "Ana"),
        ("last_name", "Example"),
        ("custom.Shoe size", "9"),
        ("score", "3"),
    ]);
    let carried = mapping.carried_fields(ObjectKind::Member, &person);
    assert_eq!(
        carried.keys().collect::<Vec<_>>(),
        ["custom.Shoe size", "last_name", "score"]
    );
}

#[test]
fn custom_fields_meet_by_label() {
    let source = known(&[
        field("custom1", "Shoe size"),
        field("custom2", "Level"),
        field("custom3", "Twin"),
        field("custom4", "twin "),
    ]);
    let target = known(&[field("udf9", " shoe SIZE"), field("udf8", "Other")]);
    let mapping = compile(
        &WEB,
        &CRM,
        &[],
        &[("custom.other", "source.custom.custom2 | upper")],
        None,
    )
    .unwrap();
    let (bound, problems) = mapping.bind(&source, &target);
    assert_eq!(problems, []);
    let wire = record(&[
        ("custom.custom1", "9"),
        ("custom.custom2", "gold"),
        ("custom.custom3", "a"),
        ("custom.custom4", "b"),
    ]);
    let person = bound.source_member(&wire);
    assert_eq!(
        person,
        record(&[
            ("custom.Shoe size", "9"),
            ("custom.Level", "gold"),
            ("custom.Twin (custom3)", "a"),
            ("custom.twin (custom4)", "b")
        ])
    );
    assert_eq!(
        bound.member(&person).fields,
        record(&[("custom.udf9", "9"), ("custom.udf8", "GOLD")])
    );
    assert_eq!(
        bound
            .carried_fields(ObjectKind::Member, &person)
            .into_keys()
            .collect::<Vec<_>>(),
        ["custom.Twin (custom3)", "custom.twin (custom4)"]
    );
    assert!(
        bound.is_explicit(ObjectKind::Member, "custom.udf8")
            && bound.is_explicit(ObjectKind::Member, "custom.other")
    );
    assert!(!bound.is_explicit(ObjectKind::Member, "custom.udf9"));
    assert!(bound.member_reads().contains("custom.Level"));
    assert_eq!(
        bound
            .expression(ObjectKind::Member, "custom.udf9")
            .as_deref(),
        Some("source.custom['Shoe size']")
    );
    assert_eq!(bound.missing_custom(), []);
}

#[test]
fn unknown_labels_are_problems_only_where_fields_are_known() {
    let lines: Lines<'_> = &[
        ("custom.Levl", "source.custom['Shoe sise']"),
        ("custom.Level", "1"),
        ("custom.udf1", "2"),
    ];
    let mapping = compile(&WEB, &CRM, &[], lines, Some("source.custom.vip")).unwrap();
    let (bound, problems) = mapping.bind(
        &known(&[field("custom1", "Shoe size")]),
        &known(&[field("udf1", "Level")]),
    );
    insta::assert_snapshot!(shown(&problems, lines), @r#"
    members.where: the source account has no custom field `vip` [?]
    map.member.custom.Levl: the source account has no custom field `Shoe sise` ['Shoe sise'] (hint: did you mean `Shoe size`?)
    map.member.custom.Levl: the target account has no custom field `Levl` (hint: did you mean `Level`?)
    map.member.custom.udf1: `custom.Level` and `custom.udf1` are the same field (hint: keep one of the two lines)
    "#);
    assert_eq!(
        bound.member_fields(),
        ["Company", "Firstname", "Hometown", "custom.udf1"]
    );
    let (bound, problems) = mapping.bind(&CustomFields::default(), &CustomFields::default());
    assert_eq!(problems, []);
    assert_eq!(
        bound
            .member(&record(&[("custom.Shoe sise", "9")]))
            .fields
            .get("custom.Levl"),
        Some(&Value::from("9"))
    );
}

#[test]
fn missing_custom_fields_are_named_and_filled() {
    let (group, member) = (BTreeMap::new(), table(&[("custom.Origin", "'web'")]));
    let spec = MappingSpec {
        source: &WEB,
        target: &CRM,
        source_name: "mail",
        group: &group,
        member: &member,
        r#where: None,
        create_fields: true,
    };
    let mapping = Mapping::compile(&spec).unwrap();
    let source = known(&[field("custom1", "Shoe size"), field("custom2", "Level")]);
    let (bound, problems) = mapping.bind(&source, &known(&[field("Level", "Level")]));
    assert_eq!(problems, []);
    assert_eq!(
        bound
            .missing_custom()
            .iter()
            .map(|field| field.label.as_str())
            .collect::<Vec<_>>(),
        ["Origin", "Shoe size"]
    );
    let person = bound.source_member(&record(&[
        ("custom.custom1", "9"),
        ("custom.custom2", "gold"),
    ]));
    assert_eq!(
        bound.member(&person).fields,
        record(&[
            ("custom.Level", "gold"),
            ("custom.Origin", "web"),
            ("custom.Shoe size", "9")
        ])
    );
    assert_eq!(
        bound.carried_fields(ObjectKind::Member, &person),
        Record::new()
    );
    let (unknown, _) = mapping.bind(&source, &CustomFields::default());
    assert_eq!(
        unknown.missing_custom(),
        [],
        "nothing is created where nobody knows what exists"
    );
}

/// A source that shows values by system names alone shows nothing under another name, and nothing
/// is not an empty value.
#[test]
fn a_label_that_the_login_may_not_list_is_not_taken_for_an_empty_value() {
    static NUMBERED: Schema = Schema {
        unlisted: Unlisted::ByNumber("custom"),
        ..WEB
    };
    let lines = &[
        ("custom.Grade", "source.custom.Level"),
        ("custom.Size", "source.custom.custom2 | upper"),
    ];
    let unknown = CustomFields::default();
    let bound = |source: &'static Schema, filter| {
        let mapping = compile(source, &CRM, &[], lines, Some(filter)).unwrap();
        let (bound, problems) = mapping.bind(&unknown, &unknown);
        assert!(problems.is_empty(), "{problems:?}");
        bound
    };
    let plain = bound(&WEB, "source.custom.vip");
    assert_eq!(
        (plain.where_undecided(), plain.unlisted_custom()),
        (None, [None, None])
    );
    let custom = |bound: &BoundMapping| -> Vec<String> {
        let fields = bound.member_fields().into_iter();
        fields
            .filter(|field| field.starts_with("custom."))
            .collect()
    };
    assert_eq!(custom(&plain), ["custom.Grade", "custom.Size"]);
    for (filter, decided) in [
        ("source.custom.vip", false),
        ("source.custom[source.first_name]", false),
        ("source.custom.custom7", true),
    ] {
        let bound = bound(&NUMBERED, filter);
        assert_eq!(bound.where_undecided().is_none(), decided, "{filter}");
        assert_eq!(custom(&bound), ["custom.Size"]);
        let [of_source, of_target] = bound.unlisted_custom();
        assert!(of_source.unwrap().contains("custom.Grade"));
        assert_eq!(of_target, None);
        let mapped = bound.member(&Record::new());
        assert!(mapped.unsaid.contains("custom.Grade"));
        assert!(mapped.unsaid.contains("custom.Other"));
    }
}

#[test]
fn a_definition_that_cannot_be_read_costs_its_own_field_alone() {
    let unread = |fields: &[CustomField]| CustomFields {
        unread: vec!["custom7".to_owned()],
        ..known(fields)
    };
    let (group, member) = (
        BTreeMap::new(),
        table(&[
            ("custom.Grade", "source.custom.Level"),
            ("custom.Size", "source.custom.custom1"),
        ]),
    );
    let mut spec = MappingSpec {
        source: &WEB,
        target: &CRM,
        source_name: "mail",
        group: &group,
        member: &member,
        r#where: None,
        create_fields: true,
    };
    let mapping = Mapping::compile(&spec).unwrap();
    let wire = |bound: &BoundMapping| {
        let person = record(&[("custom.custom1", "9")]);
        bound.member(&bound.source_member(&person)).fields
    };

    let source = unread(&[field("custom1", "Shoe"), field("custom2", "New")]);
    let target = known(&[field("udf1", "Grade"), field("udf2", "Size")]);
    let (bound, problems) = mapping.bind(&source, &target);
    assert_eq!(problems, []);
    assert_eq!(bound.unread_custom()[0], ["custom7"]);
    let fields = wire(&bound);
    assert_eq!(fields["custom.udf2"], "9".into());
    assert!(!fields.contains_key("custom.udf1"), "{fields:?}");
    let left_out = bound.member(&Record::new()).left_out_fields();
    assert!(
        left_out.contains("custom.udf1") && !left_out.contains("custom.udf2"),
        "what nobody can tell is neither cleared nor forgotten: {left_out:?}"
    );

    let source = known(&[
        field("custom1", "Shoe"),
        field("custom2", "New"),
        field("custom3", "Level"),
    ]);
    let (bound, problems) = mapping.bind(&source, &unread(&[field("Size", "Size")]));
    assert_eq!(problems, []);
    assert_eq!(wire(&bound)["custom.Size"], "9".into());
    let left_out = bound.member(&Record::new()).left_out_fields();
    assert!(left_out.contains("custom.anything") && !left_out.contains("custom.Size"));
    let (bound, problems) = mapping.bind(&source, &unread(&[field("udf2", "Size")]));
    assert_eq!(problems, []);
    assert!(
        wire(&bound).is_empty(),
        "a label that seems to be one field's may be a twin's"
    );
    assert_eq!(
        bound.missing_custom(),
        [],
        "what can't be read may be the field that seems to be missing"
    );

    for filter in [
        "source.custom.Level == 'gold'",
        "source.custom[source.company] == 'yes'",
    ] {
        spec.r#where = Some(filter);
        let filtered = Mapping::compile(&spec).unwrap();
        let source = unread(&[field("custom1", "Shoe")]);
        let (bound, problems) = filtered.bind(&source, &target);
        assert_eq!(problems, []);
        let why = bound.where_undecided().unwrap_or_default();
        assert!(why.contains("custom7"), "{filter} is passed over: {why}");
        assert_eq!(bound.counts(&Record::new()), Err(why));
        let by_name = unread(&[field("Level", "Shoe")]);
        let (bound, _) = filtered.bind(&by_name, &target);
        let named = filter.contains("Level");
        assert_eq!(
            bound.where_undecided().is_none(),
            named,
            "a system name tells fields apart"
        );
    }
}

#[test]
fn options_of_a_custom_field_are_the_only_words() {
    let target = CustomField {
        options: vec!["Gold".to_owned(), "Silver".to_owned()],
        max_length: Some(4),
        ..field("udf1", "Level")
    };
    let (bound, _) = compile(&WEB, &CRM, &[], &[], None)
        .unwrap()
        .bind(&known(&[field("custom1", "Level")]), &known(&[target]));
    assert_eq!(
        bound.member(&record(&[("custom.Level", "gold")])).fields,
        record(&[("custom.udf1", "Gold")])
    );
    let left_out = |level| {
        bound.member(&record(&[("custom.Level", level)])).left_out[0]
            .reason
            .clone()
    };
    assert_eq!(
        left_out("bronze"),
        LeftOutReason::NotAllowed {
            allowed: vec!["Gold".to_owned(), "Silver".to_owned()]
        }
    );
    assert_eq!(left_out("silver"), LeftOutReason::TooLong { max: 4 });
}

#[test]
fn the_config_stands_in_for_built_in_lines_field_by_field() {
    let mapping = to_web(
        &[("notes", "'CRM group ' ~ source.id"), ("protected", "true")],
        &[],
        None,
    );
    let mapped = mapping.group(&record(&[
        ("id", "7"),
        ("name", "A"),
        ("notes", "old"),
        ("display_name", "B"),
    ]));
    assert_eq!(
        mapped.fields.get("notes"),
        Some(&Value::from("CRM group 7"))
    );
    assert_eq!(mapped.fields.get("friendlyName"), Some(&Value::from("B")));
    assert_eq!(mapped.fields.get("protected"), Some(&Value::Boolean(true)));
    assert!(
        mapping.is_explicit(ObjectKind::Group, "notes")
            && !mapping.is_explicit(ObjectKind::Group, "groupName")
    );
    assert!(!mapping.is_explicit(ObjectKind::Member, "notes"));
}

#[test]
fn a_filter_decides_by_truth() {
    let counts =
        |filter, pairs: &[(&str, &str)]| to_web(&[], &[], Some(filter)).counts(&record(pairs));
    assert_eq!(
        counts("source.company != 'Internal'", &[("company", "Internal")]),
        Ok(false)
    );
    assert_eq!(
        counts("source.company != 'Internal'", &[("company", "Example")]),
        Ok(true)
    );
    assert_eq!(
        counts("source.company != 'Internal'", &[]),
        Ok(true),
        "a missing name equals nothing"
    );
    assert_eq!(counts("source.company", &[]), Ok(false));
    assert_eq!(
        counts(
            "source.custom.VIP == 'yes' and source.status == 'active'",
            &[("custom.vip", "yes"), ("status", "active")]
        ),
        Ok(true)
    );
    assert!(
        counts("source.custom.Age | int > 17", &[("custom.Age", "unknown")]).is_err(),
        "neither in nor out"
    );
    assert_eq!(to_web(&[], &[], None).counts(&Record::new()), Ok(true));
    assert!(!to_web(&[], &[], None).has_where() && to_web(&[], &[], Some("true")).has_where());
    assert!(
        to_web(&[], &[], Some("source.fax is defined"))
            .member_reads()
            .contains("fax")
    );
}

#[test]
fn a_failure_on_one_record_is_told_and_spoils_no_other_field() {
    let mapping = to_web(
        &[],
        &[("score", "source.title | int"), ("lastName", "source.city")],
        None,
    );
    let mapped = mapping.member(&record(&[("title", "Dr"), ("city", "Springfield")]));
    assert_eq!(mapped.failed.len(), 1);
    assert_eq!(mapped.failed[0].0, "score");
    assert_eq!(mapped.fields, record(&[("lastName", "Springfield")]));
}

#[test]
fn results_can_not_explode() {
    let bomb = format!("'aaaaaaaaaa'{}", " | replace('a', 'aaaaaaaaaa')".repeat(30));
    let problems = compile(&CRM, &WEB, &[("notes", &bomb)], &[], None).unwrap_err();
    assert_eq!(
        problems[0].message,
        "this can't be evaluated: the replaced text is too long"
    );
    let nested = format!("{}1{}", "(".repeat(1_900), ")".repeat(1_900));
    assert!(compile(&CRM, &WEB, &[("notes", &nested)], &[], None).is_err());
    let list = format!("[1]{}", " * 1000".repeat(5));
    assert!(compile(&CRM, &WEB, &[], &[("tags", &list)], None).is_err());
    assert!(compile(&CRM, &WEB, &[("notes", &"1 ~ ".repeat(2_000))], &[], None).is_err());
}

#[test]
fn every_offered_filter_and_test_exists() {
    for filter in expression::FILTERS {
        let compiled = expression::Compiled::new(&format!("source.zip | {filter}")).unwrap();
        let message = compiled
            .evaluate(&expression::view(record(&[("zip", "1")]), &Arc::default()))
            .err()
            .unwrap_or_default();
        assert!(!message.contains("unknown"), "{filter}: {message}");
    }
    for test in expression::TESTS {
        let compiled = expression::Compiled::new(&format!("source.zip is {test}")).unwrap();
        let message = compiled
            .evaluate(&expression::view(record(&[("zip", "1")]), &Arc::default()))
            .err()
            .unwrap_or_default();
        assert!(!message.contains("unknown"), "{test}: {message}");
    }
}

#[test]
fn the_salt_changes_with_what_decides_results_and_with_nothing_else() {
    let bind = |lines: Lines<'_>, filter, source: &[CustomField]| {
        compile(&WEB, &CRM, &[], lines, filter)
            .unwrap()
            .bind(&known(source), &known(&[field("udf1", "Level")]))
            .0
            .salt()
    };
    let (one, two) = (field("custom1", "Level"), field("custom2", "Size"));
    let plain = bind(&[], None, &[one.clone(), two.clone()]);
    assert_eq!(
        plain,
        bind(&[], None, &[two.clone(), one.clone()]),
        "the order of a listing says nothing"
    );
    assert_ne!(
        plain,
        bind(
            &[("Company", "source.company")],
            Some("true"),
            &[one.clone(), two.clone()]
        )
    );
    assert_ne!(
        plain,
        bind(
            &[("Company", "source.company | upper")],
            None,
            &[one.clone(), two.clone()]
        )
    );
    assert_ne!(
        plain,
        bind(&[], None, &[one, field("custom2", "Shoe size")])
    );
}

#[test]
fn only_the_model_is_known_here() {
    for text in [
        include_str!("mod.rs"),
        include_str!("bind.rs"),
        include_str!("bound.rs"),
        include_str!("builtin.rs"),
        include_str!("compile.rs"),
        include_str!("convert.rs"),
        include_str!("expression.rs"),
        include_str!("rule.rs"),
        include_str!("scan.rs"),
        include_str!("vocabulary.rs"),
    ] {
        for line in text.lines().filter(|line| line.contains("crate::")) {
            assert!(line.contains("crate::model::"), "{line}");
        }
        assert!(
            !text.contains(concat!("std::", "time"))
                && !text.contains(concat!("std::", "fs"))
                && !text.contains(concat!("async", " fn"))
        );
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<String>(), 0..3).prop_map(Value::List),
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    let names: Vec<CompactString> = GROUP_NAMES
        .iter()
        .chain(MEMBER_NAMES)
        .map(|name| (*name).into())
        .chain(
            [
                "custom.Level",
                "custom.",
                "custom.level ",
                "settings.a",
                "",
                ".",
            ]
            .map(CompactString::from),
        )
        .collect();
    let any_name = any::<String>().prop_map(CompactString::from);
    prop::collection::btree_map(
        prop_oneof![prop::sample::select(names), any_name],
        any_value(),
        0..12,
    )
}

proptest! {
    #![proptest_config(crate::testing::cases(256))]

    #[test]
    fn mapping_never_panics_and_gives_only_what_fields_take(record in any_record(), again in any_record()) {
        let member: Lines<'_> = &[
            ("score", "source.custom.level | default(source.zip) | default(0) | int"),
            ("vip", "source.gender == source.title"),
            ("lastName", "(source.city | string)[1:3] ~ source.custom['Level'] ~ source.phone | default('') | title"),
            ("custom.x", "source.custom[source.city]"),
        ];
        let mapping = to_web(&[("notes", "source.lists | join(', ') ~ source.settings.a")], member, Some("source.zip > 3 or source.title in 'Dr'"));
        for mapped in [mapping.member(&record), mapping.group(&record)] {
            prop_assert!(mapped.fields.values().all(|value| !value.is_empty()));
            if let Some(name) = mapped.fields.get("firstName") {
                prop_assert!(name.as_text().is_some_and(|name| name.chars().count() <= 5));
            }
            prop_assert!(mapped.fields.get("score").is_none_or(|value| matches!(value, Value::Integer(_))));
            prop_assert!(mapped.fields.get("private").is_none_or(|value| value.as_bool().is_some()));
        }
        prop_assert_eq!(mapping.member(&record), mapping.member(&record));
        let _counted = mapping.counts(&again);
        let _carried = mapping.carried_fields(ObjectKind::Member, &again);
    }

    #[test]
    fn any_text_compiles_or_is_a_problem(text in "(source|custom|\\.|\\[|\\]|'|\"|\\||\\(|\\)|~| is | if | not |[a-zé0-9_ ]|\\\\){0,30}") {
        let problems = match compile(&CRM, &WEB, &[("notes", &text)], &[], Some(&text)) {
            Ok(_) => vec![],
            Err(problems) => problems,
        };
        for problem in problems {
            if let Some(span) = problem.span {
                prop_assert!(text.get(span).is_some(), "a span falls on characters");
            }
        }
    }

    #[test]
    fn any_bytes_are_no_reason_to_panic(text in any::<String>()) {
        let _result = compile(&CRM, &WEB, &[(&text, &text)], &[(&text, &text)], Some(&text));
    }
}
