//! What the objects of the target must hold, field by field.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::{
    Account, Contact, CustomField, Group, GroupKind, GroupStatus, Kind, Visibility,
};

use super::Oracle;

/// The sender of a list in parts, with the defaults that the config gives.
const SENDER: [(&str, &str); 6] = [
    ("sender_addr1", "1 Example Street"),
    ("sender_city", "Springfield"),
    ("sender_zip", "62701"),
    ("sender_country", "USA"),
    ("sender_url", "https://www.example.org"),
    ("sender_reminder", "You signed up at www.example.org"),
];

fn label_of(kind: Kind, field: &CustomField) -> &str {
    match kind {
        Kind::Emfluence | Kind::ActiveCampaign => &field.label,
        Kind::GreenRope => &field.name,
    }
}

/// Custom values by what people call the fields.
fn labelled(account: &Account, contact: &Contact) -> BTreeMap<String, String> {
    let label = |name: &String| {
        let field = account.fields.iter().find(|field| field.name == *name);
        field.map_or_else(
            || name.clone(),
            |field| label_of(account.kind, field).to_owned(),
        )
    };
    contact
        .custom
        .to_map()
        .iter()
        .map(|(name, value)| (label(name), value.clone()))
        .collect()
}

/// The profile fields that both kinds of provider of a pair can hold, by the neutral names of the
/// emulated world.
fn shared_fields(source: Kind, target: Kind) -> Vec<&'static str> {
    let mut fields = vec!["first_name", "last_name", "company", "phone"];
    if source == Kind::ActiveCampaign || target == Kind::ActiveCampaign {
        return fields;
    }
    fields.extend([
        "title", "mobile", "fax", "address1", "address2", "city", "state", "zip", "country",
        "notes",
    ]);
    if source == target {
        fields.push("birth_date");
        let own: &[&str] = match source {
            Kind::Emfluence => &["external_id", "memo", "original_source"],
            _ => &[
                "website", "gender", "hometown", "height", "weight", "skills", "bio",
            ],
        };
        fields.extend(own);
    }
    fields
}

/// What stood there, or where nothing did, what is wanted.
fn fill(had: &str, wanted: &str) -> String {
    if had.is_empty() {
        wanted.to_owned()
    } else {
        had.to_owned()
    }
}

/// The postal address that mail from a group shows: one text at GreenRope, made of the parts by
/// ActiveCampaign.
fn postal_address(kind: Kind, group: &Group) -> String {
    if kind != Kind::ActiveCampaign {
        return group.postal_address.clone();
    }
    let parts = [
        "sender_addr1",
        "sender_city",
        "sender_zip",
        "sender_country",
    ]
    .map(|name| setting(group, name));
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

fn setting<'a>(group: &'a Group, name: &str) -> &'a str {
    group.settings.get(name).map_or("", String::as_str)
}

impl Oracle<'_> {
    pub(super) fn judge_group(&self, source: &Group, before: Option<&Group>, after: &Group) {
        let place = format!("group {:?}", source.name);
        match self.after.kind {
            Kind::ActiveCampaign => self.judge_list(&place, source, before, after),
            Kind::Emfluence => self.judge_emfluence(&place, source, before, after),
            Kind::GreenRope => self.judge_greenrope(&place, source, before, after),
        }
        let empty = Group::default();
        let then = before.unwrap_or(&empty);
        assert_eq!(after.status, GroupStatus::Active, "{place}");
        assert_eq!(after.kind, GroupKind::Static, "{place}");
        assert_eq!(after.auto_response, then.auto_response, "{place}");
        assert_eq!(after.send_tests, then.send_tests, "{place}");
    }

    fn judge_emfluence(&self, place: &str, source: &Group, before: Option<&Group>, after: &Group) {
        let empty = Group::default();
        let then = before.unwrap_or(&empty);
        let made = format!("rosterd:{}:{}", self.source_name, source.id);
        let external = if source.external_id.is_empty() {
            made
        } else {
            source.external_id.clone()
        };
        assert_eq!(
            after.external_id,
            fill(&then.external_id, &external),
            "{place}: external id"
        );
        // Where it is not set, people see the group's name, and so does the API.
        let shown = |group: &Group| fill(&group.friendly_name, &group.name);
        let wanted = if self.source.kind == Kind::Emfluence {
            shown(source)
        } else {
            after.name.clone()
        };
        assert_eq!(
            shown(after),
            before.map_or(wanted, shown),
            "{place}: friendly name"
        );
        assert_eq!(
            after.description,
            fill(&then.description, &source.description),
            "{place}: description"
        );
        assert_eq!(
            after.notes,
            fill(&then.notes, &source.notes),
            "{place}: notes"
        );
        let protected = source.protected || before.is_none_or(|before| before.protected);
        assert_eq!(after.protected, protected, "{place}: protected");
        let wanted = if source.visibility == Visibility::Public {
            Visibility::Public
        } else {
            Visibility::Private
        };
        assert_eq!(
            after.visibility,
            before.map_or(wanted, |before| before.visibility),
            "{place}: visibility"
        );
    }

    fn judge_greenrope(&self, place: &str, source: &Group, before: Option<&Group>, after: &Group) {
        let empty = Group::default();
        let then = before.unwrap_or(&empty);
        let pick = |had: &str, wanted: &str, default: &str| match before {
            Some(_) => fill(had, wanted),
            None => fill(wanted, default),
        };
        assert_eq!(
            after.sender_name,
            pick(&then.sender_name, &source.sender_name, "Example Society"),
            "{place}: sender"
        );
        assert_eq!(
            after.sender_email,
            pick(&then.sender_email, &source.sender_email, "news@example.org"),
            "{place}: sender"
        );
        let postal = pick(
            &then.postal_address,
            &postal_address(self.source.kind, source),
            "1 Example Street, Springfield, IL, 62701, USA",
        );
        assert_eq!(after.postal_address, postal, "{place}: postal address");
        assert_eq!(
            after.time_zone,
            pick(&then.time_zone, &source.time_zone, "America/Chicago"),
            "{place}: zone"
        );
        assert_eq!(
            after.visibility,
            before.map_or(source.visibility, |before| before.visibility),
            "{place}: visibility"
        );
    }

    /// A list holds a name, a sender in parts, and at its creation whether it is private.
    fn judge_list(&self, place: &str, source: &Group, before: Option<&Group>, after: &Group) {
        let wanted = if source.visibility == Visibility::Public {
            Visibility::Public
        } else {
            Visibility::Private
        };
        assert_eq!(
            after.visibility,
            before.map_or(wanted, |before| before.visibility),
            "{place}: visibility"
        );
        let same_kind = self.source.kind == Kind::ActiveCampaign;
        let sender = match before {
            Some(then) => fill(&then.sender_name, &source.sender_name),
            None => fill(&source.sender_name, "Example Society"),
        };
        assert_eq!(after.sender_name, sender, "{place}: sender");
        for (name, default) in SENDER {
            let given = if same_kind { setting(source, name) } else { "" };
            let wanted = match before {
                Some(then) => fill(setting(then, name), given),
                None => fill(given, default),
            };
            assert_eq!(setting(after, name), wanted, "{place}: {name}");
        }
        for name in ["subscription_notify", "unsubscription_notify", "carboncopy"] {
            assert_eq!(
                setting(after, name),
                before.map_or("", |then| setting(then, name)),
                "{place}: {name} would mail somebody"
            );
        }
        // A one-line address is never taken apart, and nothing else of another provider's group has
        // a place here.
        for text in [
            &after.postal_address,
            &after.external_id,
            &after.friendly_name,
            &after.description,
            &after.notes,
        ] {
            assert_eq!(text, "", "{place}");
        }
    }

    pub(super) fn judge_profiles(
        &self,
        source: &BTreeMap<String, Vec<&Contact>>,
        before: &BTreeMap<String, Vec<&Contact>>,
        after: &BTreeMap<String, Vec<&Contact>>,
        listed: &BTreeSet<&String>,
    ) {
        let fields = shared_fields(self.source.kind, self.after.kind);
        for (address, contacts) in after {
            let then = before.get(address).map_or(&[][..], Vec::as_slice);
            let [contact] = contacts.as_slice() else {
                for (now, then) in contacts.iter().zip(then) {
                    assert_eq!(
                        now.profile, then.profile,
                        "{address}: one of several contacts was changed"
                    );
                }
                continue;
            };
            let mut expected = then
                .first()
                .map(|contact| contact.profile.to_map())
                .unwrap_or_default();
            if listed.contains(address) {
                for field in &fields {
                    let value = source.get(address).and_then(|rows| {
                        rows.iter()
                            .map(|row| row.get(field))
                            .find(|value| !value.is_empty())
                    });
                    if let Some(value) = value {
                        expected
                            .entry((*field).to_owned())
                            .or_insert_with(|| value.to_owned());
                    }
                }
            }
            assert_eq!(contact.profile.to_map(), expected, "{address}: profile");
            let mut custom = then
                .first()
                .map(|contact| labelled(self.before, contact))
                .unwrap_or_default();
            if listed.contains(address) {
                for row in source.get(address).into_iter().flatten() {
                    for (label, value) in labelled(self.source, row) {
                        if self
                            .after
                            .fields
                            .iter()
                            .any(|field| label_of(self.after.kind, field) == label)
                        {
                            custom.entry(label).or_insert(value);
                        }
                    }
                }
            }
            assert_eq!(
                labelled(self.after, contact),
                custom,
                "{address}: custom fields with the same label"
            );
        }
    }
}
