//! What a target must hold after one run, worked out from the rules and from the two accounts alone.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::{Account, Contact, CustomField, Group, GroupKind, GroupStatus, Kind, MembershipState, Visibility};

/// The two accounts before a run and the target after it.
pub struct Oracle<'a> {
    pub source: &'a Account,
    pub before: &'a Account,
    pub after: &'a Account,
    /// The configured name of the source, which enters the external id.
    pub source_name: &'a str,
}

/// Trimmed, lower-cased, the one international domain of the made-up data in its ASCII form; nothing without an address.
fn address(contact: &Contact) -> Option<String> {
    let folded = contact.email.trim().to_lowercase().replace("@bücher.test", "@xn--bcher-kva.test");
    (!folded.is_empty()).then_some(folded)
}

/// Contacts by address, in ascending order of their ids.
fn by_address(account: &Account) -> BTreeMap<String, Vec<&Contact>> {
    let mut people: BTreeMap<String, Vec<&Contact>> = BTreeMap::new();
    for contact in account.contacts.values() {
        if let Some(address) = address(contact) {
            people.entry(address).or_default().push(contact);
        }
    }
    people
}

/// States of a group's members by address; of several the strictest.
fn states(account: &Account, group: &Group) -> BTreeMap<String, MembershipState> {
    let rank = |state: MembershipState| match state {
        MembershipState::Active => 0,
        MembershipState::Unconfirmed => 1,
        MembershipState::Bounced => 2,
        MembershipState::OptedOut => 3,
    };
    let mut states = BTreeMap::new();
    for (contact, membership) in &group.members {
        if let Some(address) = address(&account.contacts[contact]) {
            let known = states.entry(address).or_insert(membership.state);
            if rank(membership.state) > rank(*known) {
                *known = membership.state;
            }
        }
    }
    states
}

fn label_of(kind: Kind, field: &CustomField) -> &str {
    match kind {
        Kind::Emfluence => &field.label,
        Kind::GreenRope | Kind::ActiveCampaign => &field.name,
    }
}

/// Custom values by what people call the fields.
fn labelled(account: &Account, contact: &Contact) -> BTreeMap<String, String> {
    let label = |name: &String| {
        let field = account.fields.iter().find(|field| field.name == *name);
        field.map_or_else(|| name.clone(), |field| label_of(account.kind, field).to_owned())
    };
    contact.custom.iter().map(|(name, value)| (label(name), value.clone())).collect()
}

/// The profile fields that both kinds of provider of a pair can hold, by the neutral names of the emulated world.
fn shared_fields(source: Kind, target: Kind) -> Vec<&'static str> {
    let mut fields = vec![
        "first_name",
        "last_name",
        "title",
        "company",
        "phone",
        "mobile",
        "fax",
        "address1",
        "address2",
        "city",
        "state",
        "zip",
        "country",
        "notes",
    ];
    if source == target {
        fields.push("birth_date");
        fields.push(if source == Kind::Emfluence { "external_id" } else { "website" });
    }
    fields
}

impl Oracle<'_> {
    /// Fails with the first thing that is not as the rules say.
    pub fn judge(&self) {
        let (source_people, before_people, after_people) = (by_address(self.source), by_address(self.before), by_address(self.after));
        let holds_group_refusals = self.after.kind == Kind::Emfluence;
        let refuses = |people: &BTreeMap<String, Vec<&Contact>>, address: &str| {
            people.get(address).is_some_and(|contacts| contacts.iter().any(|contact| contact.opted_out.is_some()))
        };
        let bounces = |people: &BTreeMap<String, Vec<&Contact>>, address: &str| {
            people.get(address).is_some_and(|contacts| contacts.iter().any(|contact| contact.bounced.is_some()))
        };
        let mut partners = BTreeSet::new();
        let mut listed: BTreeSet<&String> = BTreeSet::new();
        let mut needed: BTreeSet<&String> = BTreeSet::new();
        let covered: Vec<&Group> =
            self.source.groups.values().filter(|group| group.kind == GroupKind::Static && group.status == GroupStatus::Active).collect();
        let wanted: BTreeMap<u64, BTreeMap<String, MembershipState>> =
            covered.iter().map(|group| (group.id, states(self.source, group))).collect();
        for group in &covered {
            let place = format!("group {:?}", group.name);
            let target_id = self.after.find_group(&group.name).unwrap_or_else(|| panic!("{place} is missing"));
            assert_eq!(self.after.groups.values().filter(|other| other.name == group.name).count(), 1, "{place} stands twice");
            let target = &self.after.groups[&target_id];
            let target_before = self.before.groups.get(&target_id);
            partners.insert(target_id);
            self.judge_group(group, target_before, target);

            let had = target_before.map(|before| states(self.before, before)).unwrap_or_default();
            let has = states(self.after, target);
            let mut expected = had.clone();
            for (address, state) in &wanted[&group.id] {
                listed.insert(address);
                if *state == MembershipState::OptedOut {
                    if holds_group_refusals {
                        expected.insert(address.clone(), MembershipState::OptedOut);
                        needed.insert(address);
                    } else if had.get(address) == Some(&MembershipState::Active) {
                        expected.remove(address);
                    }
                    continue;
                }
                if refuses(&source_people, address) {
                    needed.insert(address);
                    continue;
                }
                let may_join = *state == MembershipState::Active
                    && !bounces(&source_people, address)
                    && !refuses(&before_people, address)
                    && !bounces(&before_people, address)
                    && before_people.get(address).is_none_or(|contacts| contacts.len() == 1);
                if may_join && !had.contains_key(address) {
                    expected.insert(address.clone(), MembershipState::Active);
                    needed.insert(address);
                }
            }
            for (address, state) in &expected {
                assert_eq!(has.get(address), Some(state), "{place}: {address}, at the source {:?}", wanted[&group.id].get(address));
            }
            for (address, state) in &has {
                assert!(expected.contains_key(address), "{place}: {address} is there as {state:?} and should not be");
            }
            let mailed: BTreeSet<String> =
                self.after.mailed_by(target_id).into_iter().map(|text| text.replace("@bücher.test", "@xn--bcher-kva.test")).collect();
            for address in &mailed {
                let refused = wanted[&group.id].get(address) == Some(&MembershipState::OptedOut)
                    || refuses(&source_people, address)
                    || refuses(&before_people, address)
                    || had.get(address) == Some(&MembershipState::OptedOut);
                assert!(!refused, "{place}: {address} refused mail and is mailed");
            }
        }
        for (id, group) in &self.before.groups {
            if !partners.contains(id) {
                let after = self.after.groups.get(id).unwrap_or_else(|| panic!("group {:?} has vanished", group.name));
                let built_in = group.kind == GroupKind::BuiltIn;
                assert!(built_in || after == group, "group {:?} is out of scope and was changed", group.name);
            }
        }
        let known = self.before.groups.len() + covered.iter().filter(|group| self.before.find_group(&group.name).is_none()).count();
        assert_eq!(self.after.groups.len(), known, "there are groups that nobody asked for");
        for address in &listed {
            if refuses(&source_people, address) {
                let there = after_people.get(*address).unwrap_or_else(|| panic!("{address} refuses all mail and has no contact to say so"));
                assert!(there.iter().all(|contact| contact.opted_out.is_some()), "{address} refuses all mail at the source only");
            }
        }
        for (address, contacts) in &after_people {
            let then = before_people.get(address).map_or(0, Vec::len);
            let expected = if then == 0 { 1 } else { then };
            assert_eq!(contacts.len(), expected, "{address} has a wrong number of contacts");
            assert!(then > 0 || needed.contains(address), "{address} was created for nothing");
            let carried = listed.contains(address) && refuses(&source_people, address);
            assert_eq!(
                contacts.iter().any(|contact| contact.opted_out.is_some()),
                carried || refuses(&before_people, address),
                "{address}: refusal of all mail"
            );
            assert_eq!(bounces(&after_people, address), bounces(&before_people, address), "{address}: held");
        }
        assert!(needed.iter().all(|address| after_people.contains_key(*address)), "somebody is missing");
        self.judge_profiles(&source_people, &before_people, &after_people, &listed);
    }

    fn judge_group(&self, source: &Group, before: Option<&Group>, after: &Group) {
        let place = format!("group {:?}", source.name);
        let made = format!("rosterd:{}:{}", self.source_name, source.id);
        let fill = |had: &str, wanted: &str| if had.is_empty() { wanted.to_owned() } else { had.to_owned() };
        let empty = Group::default();
        let then = before.unwrap_or(&empty);
        match self.after.kind {
            Kind::ActiveCampaign => panic!("no job can name such an account"),
            Kind::Emfluence => {
                let external = if source.external_id.is_empty() { made } else { source.external_id.clone() };
                assert_eq!(after.external_id, fill(&then.external_id, &external), "{place}: external id");
                // Where it is not set, people see the group's name, and so does the API.
                let shown = |group: &Group| fill(&group.friendly_name, &group.name);
                let wanted =
                    if source.friendly_name.is_empty() && self.source.kind == Kind::GreenRope { after.name.clone() } else { shown(source) };
                assert_eq!(shown(after), before.map_or(wanted, shown), "{place}: friendly name");
                assert_eq!(after.description, fill(&then.description, &source.description), "{place}: description");
                assert_eq!(after.notes, fill(&then.notes, &source.notes), "{place}: notes");
                let protected = source.protected || before.is_none_or(|before| before.protected);
                assert_eq!(after.protected, protected, "{place}: protected");
                let wanted = if source.visibility == Visibility::Public { Visibility::Public } else { Visibility::Private };
                assert_eq!(after.visibility, before.map_or(wanted, |before| before.visibility), "{place}: visibility");
            }
            Kind::GreenRope => {
                let or = |value: &str, default: &str| if value.is_empty() { default.to_owned() } else { value.to_owned() };
                let pick = |had: &str, wanted: &str, default: &str| match before {
                    Some(_) => fill(had, wanted),
                    None => or(wanted, default),
                };
                assert_eq!(after.sender_name, pick(&then.sender_name, &source.sender_name, "Example Society"), "{place}: sender");
                assert_eq!(after.sender_email, pick(&then.sender_email, &source.sender_email, "news@example.org"), "{place}: sender");
                let postal = "1 Example Street, Springfield, IL, 62701, USA";
                assert_eq!(after.postal_address, pick(&then.postal_address, &source.postal_address, postal), "{place}: postal address");
                assert_eq!(after.time_zone, pick(&then.time_zone, &source.time_zone, "America/Chicago"), "{place}: zone");
                assert_eq!(after.visibility, before.map_or(source.visibility, |before| before.visibility), "{place}: visibility");
            }
        }
        assert_eq!(after.status, GroupStatus::Active, "{place}");
        assert_eq!(after.kind, GroupKind::Static, "{place}");
        assert_eq!(after.auto_response, then.auto_response, "{place}");
        assert_eq!(after.send_tests, then.send_tests, "{place}");
    }

    fn judge_profiles(
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
                    assert_eq!(now.profile, then.profile, "{address}: one of several contacts was changed");
                }
                continue;
            };
            let mut expected = then.first().map(|contact| contact.profile.clone()).unwrap_or_default();
            if listed.contains(address) {
                for field in &fields {
                    let value = source.get(address).and_then(|rows| rows.iter().map(|row| row.get(field)).find(|value| !value.is_empty()));
                    if let Some(value) = value {
                        expected.entry((*field).to_owned()).or_insert_with(|| value.to_owned());
                    }
                }
            }
            assert_eq!(contact.profile, expected, "{address}: profile");
            let mut custom = then.first().map(|contact| labelled(self.before, contact)).unwrap_or_default();
            if listed.contains(address) {
                for row in source.get(address).into_iter().flatten() {
                    for (label, value) in labelled(self.source, row) {
                        if self.after.fields.iter().any(|field| label_of(self.after.kind, field) == label) {
                            custom.entry(label).or_insert(value);
                        }
                    }
                }
            }
            assert_eq!(labelled(self.after, contact), custom, "{address}: custom fields with the same label");
        }
    }
}
