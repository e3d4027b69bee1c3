//! What groups allow their members to do: granted by lines of the config alone.

use super::*;

/// Groups whose members may do things, as an account of people who log in has them.
static STAFF: Schema = Schema {
    kind: ProviderKind::ActiveCampaignUsers,
    groups: &[
        FieldSpec {
            wire: "title",
            canonical: "name",
            required: true,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "pg_edit",
            canonical: "permissions.edit",
            kind: FieldType::Boolean,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "pg_send",
            canonical: "permissions.send",
            kind: FieldType::Boolean,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "limit_mail",
            canonical: "limits.mail",
            kind: FieldType::Integer,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "limit_mail_type",
            canonical: "limits.mail_type",
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "lists",
            canonical: "lists",
            kind: FieldType::List,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "reach",
            canonical: "settings.reach",
            writable: Writable::No,
            ..FieldSpec::TEXT
        },
        FieldSpec {
            wire: "slogan",
            canonical: "slogan",
            ..FieldSpec::TEXT
        },
    ],
    members: &[FieldSpec {
        wire: "email",
        canonical: "email",
        ..FieldSpec::TEXT
    }],
    unlisted: Unlisted::ByLabel,
};

fn staff(lines: Lines<'_>) -> BoundMapping {
    let (none, own) = (BTreeMap::new(), table(lines));
    let spec = MappingSpec {
        source: &STAFF,
        target: &STAFF,
        source_name: "head",
        group: &own,
        member: &none,
        r#where: None,
        create_fields: false,
    };
    let nothing = known(&[]);
    Mapping::compile(&spec)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
        .bind(&nothing, &nothing)
        .0
}

#[test]
fn rights_are_granted_by_lines_alone_and_missed_without_them() {
    let mut group = record(&[
        ("name", "Editors"),
        ("limits.mail_type", "month"),
        ("settings.reach", "9"),
        ("slogan", "We edit"),
    ]);
    group.insert("permissions.edit".into(), Value::Boolean(false));
    group.insert("permissions.send".into(), Value::Boolean(true));
    group.insert("lists".into(), Value::List(vec!["7".into(), "12".into()]));
    let mapping = staff(&[]);
    assert_eq!(
        mapping.group(&group).fields,
        record(&[("slogan", "We edit"), ("title", "Editors")])
    );
    let missed = mapping.ungranted(&group);
    assert_eq!(
        missed.into_iter().collect::<Vec<_>>(),
        [
            ("lists".into(), "7,12".into()),
            ("permissions".into(), "send".into())
        ]
    );
    assert!(
        mapping.carried_fields(ObjectKind::Group, &group).is_empty(),
        "what nobody grants is not to come back later"
    );
    let mapping = staff(&[
        ("pg_send", "source.permissions.send"),
        ("lists", "source.lists"),
    ]);
    assert!(mapping.ungranted(&group).is_empty());
    assert_eq!(
        mapping.group(&group).fields["pg_send"],
        Value::Boolean(true)
    );
}

#[test]
fn ids_have_no_order_and_a_limit_of_nothing_is_none() {
    let value = |line: (&str, &str)| {
        staff(&[line])
            .group(&record(&[("name", "Editors")]))
            .fields
            .remove(line.0)
    };
    let ids = |ids: &[&str]| Some(Value::List(ids.iter().map(|id| (*id).to_owned()).collect()));
    assert_eq!(value(("lists", "['12', '7', '12']")), ids(&["7", "12"]));
    assert_eq!(value(("lists", "'12, 7'")), ids(&["7", "12"]));
    assert_eq!(value(("limit_mail", "1000")), Some(Value::Integer(1000)));
    for nothing in ["0", "-1", "''"] {
        assert_eq!(value(("limit_mail", nothing)), None, "{nothing}");
    }
}
