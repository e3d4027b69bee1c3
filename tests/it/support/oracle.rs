//! What a target must hold after one run, worked out from the rules and from the two accounts
//! alone.

mod fields;

use std::collections::{BTreeMap, BTreeSet};

use rosterd::emulator::{Account, Contact, Group, GroupKind, GroupStatus, Kind, MembershipState};

/// The two accounts before a run and the target after it.
pub struct Oracle<'a> {
    pub source: &'a Account,
    pub before: &'a Account,
    pub after: &'a Account,
    /// The configured name of the source, which enters the external id.
    pub source_name: &'a str,
}

/// Trimmed, lower-cased, the one international domain of the made-up data in its ASCII form;
/// nothing without an address.
fn address(contact: &Contact) -> Option<String> {
    let folded = contact
        .email
        .trim()
        .to_lowercase()
        .replace("@bücher.test", "@xn--bcher-kva.test");
    (!folded.is_empty()).then_some(folded)
}

/// Contacts by address, in ascending order of their ids.
type People<'a> = BTreeMap<String, Vec<&'a Contact>>;

fn by_address(account: &Account) -> People<'_> {
    let mut people = People::new();
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

/// Whether somebody refuses all mail of an account.
fn refuses(people: &People<'_>, address: &str) -> bool {
    people
        .get(address)
        .is_some_and(|contacts| contacts.iter().any(|contact| contact.opted_out.is_some()))
}

/// Whether an account has given up an address.
fn bounces(people: &People<'_>, address: &str) -> bool {
    people
        .get(address)
        .is_some_and(|contacts| contacts.iter().any(|contact| contact.bounced.is_some()))
}

impl Oracle<'_> {
    /// Fails with the first thing that is not as the rules say.
    pub fn judge(&self) {
        let (source_people, before_people, after_people) = (
            by_address(self.source),
            by_address(self.before),
            by_address(self.after),
        );
        // ActiveCampaign has no state of the whole account: what would be one stands on every list
        // in scope.
        let lists = self.after.kind == Kind::ActiveCampaign;
        let holds_group_refusals = lists || self.after.kind == Kind::Emfluence;
        let mut partners = BTreeSet::new();
        let mut needed: BTreeSet<&String> = BTreeSet::new();
        let covered: Vec<&Group> = self
            .source
            .groups
            .values()
            .filter(|group| group.kind == GroupKind::Static && group.status == GroupStatus::Active)
            .collect();
        let wanted: BTreeMap<u64, BTreeMap<String, MembershipState>> = covered
            .iter()
            .map(|group| (group.id, states(self.source, group)))
            .collect();
        let listed: BTreeSet<&String> = wanted.values().flat_map(BTreeMap::keys).collect();
        let refusing: BTreeSet<&String> = listed
            .iter()
            .copied()
            .filter(|address| refuses(&source_people, address))
            .collect();
        needed.extend(&refusing);
        for group in &covered {
            let place = format!("group {:?}", group.name);
            let target_id = self
                .after
                .find_group(&group.name)
                .unwrap_or_else(|| panic!("{place} is missing"));
            assert_eq!(
                self.after
                    .groups
                    .values()
                    .filter(|other| other.name == group.name)
                    .count(),
                1,
                "{place} stands twice"
            );
            let target = &self.after.groups[&target_id];
            let target_before = self.before.groups.get(&target_id);
            partners.insert(target_id);
            self.judge_group(group, target_before, target);

            let had = target_before
                .map(|before| states(self.before, before))
                .unwrap_or_default();
            let has = states(self.after, target);
            let mut expected = had.clone();
            for (address, state) in &wanted[&group.id] {
                if *state == MembershipState::OptedOut {
                    if holds_group_refusals {
                        expected.insert(address.clone(), MembershipState::OptedOut);
                        needed.insert(address);
                    } else if had.get(address) == Some(&MembershipState::Active) {
                        expected.remove(address);
                    }
                    continue;
                }
                let may_join = *state == MembershipState::Active
                    && !refusing.contains(address)
                    && !bounces(&source_people, address)
                    && !refuses(&before_people, address)
                    && !bounces(&before_people, address)
                    && before_people
                        .get(address)
                        .is_none_or(|contacts| contacts.len() == 1);
                if may_join && !had.contains_key(address) {
                    expected.insert(address.clone(), MembershipState::Active);
                    needed.insert(address);
                }
            }
            if lists {
                expected.extend(
                    refusing
                        .iter()
                        .map(|address| ((*address).clone(), MembershipState::OptedOut)),
                );
            }
            for (address, state) in &expected {
                assert_eq!(
                    has.get(address),
                    Some(state),
                    "{place}: {address}, at the source {:?}",
                    wanted[&group.id].get(address)
                );
            }
            for (address, state) in &has {
                assert!(
                    expected.contains_key(address),
                    "{place}: {address} is there as {state:?} and should not be"
                );
            }
            let mailed: BTreeSet<String> = self
                .after
                .mailed_by(target_id)
                .into_iter()
                .map(|text| text.replace("@bücher.test", "@xn--bcher-kva.test"))
                .collect();
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
                let after = self
                    .after
                    .groups
                    .get(id)
                    .unwrap_or_else(|| panic!("group {:?} has vanished", group.name));
                let built_in = group.kind == GroupKind::BuiltIn;
                assert!(
                    built_in || after == group,
                    "group {:?} is out of scope and was changed",
                    group.name
                );
            }
        }
        let known = self.before.groups.len()
            + covered
                .iter()
                .filter(|group| self.before.find_group(&group.name).is_none())
                .count();
        assert_eq!(
            self.after.groups.len(),
            known,
            "there are groups that nobody asked for"
        );
        for (address, contacts) in &after_people {
            let then = before_people.get(address).map_or(0, Vec::len);
            let expected = if then == 0 { 1 } else { then };
            assert_eq!(
                contacts.len(),
                expected,
                "{address} has a wrong number of contacts"
            );
            assert!(
                then > 0 || needed.contains(address),
                "{address} was created for nothing"
            );
            // Every contact of somebody who refuses all mail says so; where that is said on the
            // lists, they were looked at above.
            let carried = !lists && refusing.contains(address);
            let refusals = contacts
                .iter()
                .filter(|contact| contact.opted_out.is_some())
                .count();
            assert_eq!(
                refusals > 0,
                carried || refuses(&before_people, address),
                "{address}: refusal of all mail"
            );
            assert!(
                !carried || refusals == contacts.len(),
                "{address} refuses all mail by some contacts only"
            );
            assert_eq!(
                bounces(&after_people, address),
                bounces(&before_people, address),
                "{address}: held"
            );
        }
        assert!(
            needed
                .iter()
                .all(|address| after_people.contains_key(*address)),
            "somebody is missing"
        );
        self.judge_profiles(&source_people, &before_people, &after_people, &listed);
    }
}
