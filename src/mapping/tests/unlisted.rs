//! Custom fields that a login may not list, as far as the records show them.

use std::collections::BTreeSet;

use super::*;

/// An account whose custom fields go by numbers where they can't be listed.
static NUMBERED: Schema = Schema {
    unlisted: Unlisted::ByNumber("custom"),
    ..WEB
};

fn names(texts: &[&str]) -> BTreeSet<CompactString> {
    texts.iter().copied().map(CompactString::from).collect()
}

/// Where no record shows a name, it may be that of no field at all, and what is not there is not
/// empty.
#[test]
fn a_name_that_no_record_shows_is_not_taken_for_an_empty_value() {
    let unknown = CustomFields::default();
    for (source, name, other) in [(&WEB, "LEVEL", "Size"), (&NUMBERED, "Custom57", "custom2")] {
        let level = format!("source.custom['{name}'] | default('none')");
        let size = format!("source.custom['{other}']");
        let lines = &[("custom.Grade", level.as_str()), ("custom.Size", &size)];
        let filter = format!("source.custom['{name}'] != 'Gold'");
        let mapping = compile(source, &CRM, &[], lines, Some(&filter)).unwrap();
        let bound = |fields: &CustomFields, records: Option<&[&str]>| {
            let (mut bound, problems) = mapping.bind(fields, &unknown);
            assert!(problems.is_empty(), "{problems:?}");
            bound.hold_against_source(records.map(names).as_ref());
            bound
        };
        let spelled = [name.to_lowercase(), other.to_owned()];
        let spelled = [spelled[0].as_str(), spelled[1].as_str()];
        let whole = bound(&unknown, Some(&spelled));
        // Nobody was read, or the definitions were.
        let listed = known(&[field(spelled[0], spelled[0]), field(other, other)]);
        for same in [bound(&unknown, None), bound(&listed, Some(&[]))] {
            assert_eq!(
                (same.where_undecided(), same.unshown_custom()),
                (None, None),
                "{name}"
            );
            assert_eq!(same.member_fields(), whole.member_fields(), "{name}");
        }
        assert_eq!(
            (whole.where_undecided(), whole.unshown_custom()),
            (None, None)
        );
        let person = record(&[(&format!("custom.{}", spelled[0]), "Silver")]);
        let person = whole.source_member(&person);
        assert_eq!(
            whole.member(&person).fields["custom.Grade"],
            "Silver".into()
        );
        assert_eq!(whole.counts(&person), Ok(true));
        let lost = whole.carried_fields(ObjectKind::Member, &person);
        assert!(lost.is_empty(), "it has a home: {lost:?}");
        let gone = bound(&unknown, Some(&[other, "Else"]));
        let why = gone.where_undecided().unwrap();
        assert!(why.contains(name) && gone.counts(&Record::new()) == Err(why));
        assert!(!gone.has_where());
        let warning = gone.unshown_custom().unwrap();
        assert!(
            warning.contains(name) && warning.contains("custom.Grade"),
            "{warning}"
        );
        assert!(!warning.contains("custom.Size"), "{warning}");
        let mapped = gone.member(&Record::new());
        let left_out = mapped.left_out_fields();
        assert!(mapped.fields.is_empty());
        assert!(left_out.contains("custom.Grade") && !left_out.contains("custom.Size"));
        assert_ne!(gone.salt(), whole.salt(), "everybody counts as changed");
    }
}

/// A field that nobody knows to hold anything is not created at the target either.
#[test]
fn no_field_is_created_for_a_name_that_no_record_shows() {
    let (group, member) = (
        BTreeMap::new(),
        table(&[("custom.Grade", "source.custom.Level")]),
    );
    let spec = MappingSpec {
        source: &WEB,
        target: &CRM,
        source_name: "mail",
        group: &group,
        member: &member,
        r#where: None,
        create_fields: true,
    };
    let (mut bound, _) = Mapping::compile(&spec)
        .unwrap()
        .bind(&CustomFields::default(), &known(&[]));
    bound.hold_against_source(Some(&names(&["level"])));
    assert!(bound.creates_fields());
    bound.hold_against_source(Some(&names(&[])));
    assert!(!bound.creates_fields());
    assert_eq!(bound.missing_custom(), []);
}

/// However a config spells a field of the target that the login may not list, it is one field.
#[test]
fn a_field_that_the_login_may_not_list_goes_by_the_spelling_of_the_target() {
    let unknown = CustomFields::default();
    let bind = |target: &'static Schema, lines: Lines<'_>| {
        compile(&CRM, target, &[], lines, None)
            .unwrap()
            .bind(&unknown, &unknown)
    };
    let custom = |bound: &BoundMapping| -> Vec<String> {
        let fields = bound.member_fields().into_iter();
        fields
            .filter(|field| field.starts_with("custom."))
            .collect()
    };
    let (bound, _) = bind(&NUMBERED, &[("custom. Custom5 ", "source.company")]);
    assert_eq!(custom(&bound), ["custom.custom5"]);

    let lines = &[("custom.FAVOURITE colour", "source.company")];
    let (mut bound, _) = bind(&CRM, lines);
    let salt = bound.salt();
    for several in [&["Size"][..], &["Favourite colour", "favourite Colour"]] {
        bound.spell_as_target(Some(&names(several)));
        assert_eq!(custom(&bound), ["custom.FAVOURITE colour"]);
    }
    bound.spell_as_target(Some(&names(&["Favourite colour", "Size"])));
    assert_eq!(custom(&bound), ["custom.Favourite colour"]);
    assert_eq!(bound.salt(), salt, "nobody counts as changed for it");
    let mapped = bound.member(&record(&[("company", "Red")]));
    assert_eq!(mapped.fields["custom.Favourite colour"], "Red".into());
    let left_out = mapped.left_out_fields();
    assert!(!left_out.contains("custom.Favourite colour") && left_out.contains("custom.Size"));

    let twice = &[("custom.Size", "source.company"), ("custom.SIZE", "'L'")];
    let (_, problems) = bind(&CRM, twice);
    assert_eq!(problems.len(), 1, "{problems:?}");
}

/// Only the spelling of custom fields is open where they can't be listed: nobody counts as changed for
/// it at an account that has none.
#[test]
fn a_login_that_may_not_list_custom_fields_changes_no_fingerprint_of_other_fields() {
    let salt = |fields: &CustomFields| {
        let mapping = compile(&CRM, &WEB, &[], &[], None).unwrap();
        mapping.bind(&known(&[]), fields).0.salt()
    };
    assert_eq!(salt(&CustomFields::default()), salt(&known(&[])));
}

/// What stands under the config's spelling is found under the target's, unless that name is another
/// field's.
#[test]
fn what_is_remembered_under_the_spelling_of_the_config_stands_under_that_of_the_target() {
    let lines = &[("custom.Shoe size", "'9'"), ("custom.LEVEL", "'Gold'")];
    let mapping = compile(&CRM, &WEB, &[], lines, None).unwrap();
    let target = known(&[field("custom1", "Shoe size"), field("custom2", "Level")]);
    let bound = mapping.bind(&known(&[]), &target).0;
    let remembered = |names: &[&str]| {
        let values = names
            .iter()
            .map(|name| ((*name).into(), (*name).to_owned()));
        let spelled = bound.as_spelled_now(values.collect()).into_iter();
        spelled
            .map(|(name, value): (CompactString, String)| format!("{name} {value}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        remembered(&["custom.LEVEL", "custom.Shoe size", "custom.custom1"]),
        [
            "custom.custom1 custom.custom1",
            "custom.custom2 custom.LEVEL"
        ]
    );
    assert_eq!(
        bound.explicit_fields(ObjectKind::Member),
        ["custom.custom1", "custom.custom2"]
            .map(str::to_owned)
            .into()
    );
}
