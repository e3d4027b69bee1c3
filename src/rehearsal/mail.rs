//! Who is mailed before a rehearsed run and after it, by the emulator's own state of the copies.

use std::collections::{BTreeMap, BTreeSet};

use crate::emulator::{Account, GroupKind, GroupStatus, MembershipState};
use crate::model::normalise_address;
use crate::plan::base::GroupLink;

/// What mail an account would send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Whether the groups send mail at all; user groups send none, and who is in them is told
    /// instead.
    pub is_mail: bool,
    /// The target's groups, in the order of their names.
    pub groups: Vec<GroupMail>,
    /// How many people get mail of at least one group, the provider's own group of everybody apart,
    /// before and after.
    pub people: [u64; 2],
    /// The addresses of those who get mail then and did not before.
    pub newly: Vec<String>,
    /// The addresses of those who got mail and do not then.
    pub no_longer: Vec<String>,
    /// How many people refuse some mail at the source or at the target.
    pub refusing: u64,
    /// Who of them would get mail then that they refuse, and did not before.
    pub breaches: Vec<Breach>,
    /// How many refuse mail at the source that groups of the job go on sending them.
    pub still_mailed: u64,
    /// How many refuse all mail at the source, and go on getting that of groups which the job has no
    /// part in.
    pub still_mailed_elsewhere: u64,
}

/// How many people get a group's mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct GroupMail {
    /// The group's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Before; nothing where the group was not there.
    pub before: Option<u64>,
    /// After; nothing where the group is gone.
    pub after: Option<u64>,
}

/// Somebody who would be mailed against their will.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Breach {
    /// The group at the target.
    pub group: String,
    /// The address.
    pub member: String,
}

/// Whom an account mails, by group.
pub(super) struct Mailed {
    groups: BTreeMap<u64, Group>,
    /// The addresses of those who are mailed by any group, by the person's id.
    addresses: BTreeMap<u64, String>,
}

/// Whom a group mails.
struct Group {
    name: String,
    /// Whether it is the provider's own, of everybody: that says nothing of who is mailed.
    is_everybody: bool,
    /// The ids of the people, in ascending order.
    people: Vec<u64>,
}

/// An address as it tells people apart.
fn address(text: &str) -> String {
    normalise_address(text).map_or_else(
        |_| text.trim().to_lowercase(),
        |address| address.as_str().to_owned(),
    )
}

impl Mailed {
    /// Looks at an account: at the members who get mail, or at the users.
    pub(super) fn by(account: &Account, is_mail: bool) -> Mailed {
        let (mut groups, mut addresses) = (BTreeMap::new(), BTreeMap::new());
        if !is_mail {
            for (id, group) in &account.user_groups {
                let people = account.users_in(*id);
                for user in &people {
                    addresses.insert(*user, address(&account.users[user].email));
                }
                let mailed = Group {
                    name: group.title.clone(),
                    is_everybody: false,
                    people,
                };
                groups.insert(*id, mailed);
            }
            return Mailed { groups, addresses };
        }
        let used = account.groups.values();
        let used = used.filter(|group| group.status == GroupStatus::Active);
        for group in used {
            let active = group.members.iter();
            let active = active.filter(|(_, is)| is.state == MembershipState::Active);
            let mut people = Vec::new();
            for (member, _) in active {
                let Some(contact) = account.contact(*member) else {
                    continue;
                };
                let is_sendable = contact.opted_out.is_none()
                    && contact.bounced.is_none()
                    && !contact.email.is_empty();
                if is_sendable {
                    people.push(*member);
                    addresses
                        .entry(*member)
                        .or_insert_with(|| address(&contact.email));
                }
            }
            let mailed = Group {
                name: group.name.clone(),
                is_everybody: group.kind == GroupKind::BuiltIn,
                people,
            };
            groups.insert(group.id, mailed);
        }
        Mailed { groups, addresses }
    }

    fn people(&self) -> BTreeSet<&str> {
        let groups = self.groups.values().filter(|group| !group.is_everybody);
        groups
            .flat_map(|group| &group.people)
            .map(|member| self.addresses[member].as_str())
            .collect()
    }

    fn holds(&self, group: u64, member: u64) -> bool {
        let group = self.groups.get(&group);
        group.is_some_and(|group| group.people.binary_search(&member).is_ok())
    }
}

/// Who refuses mail before the run.
#[derive(Default)]
pub(super) struct Refusers {
    /// At the target, all mail of the account.
    of_target: BTreeSet<u64>,
    /// At the target, the mail of a group.
    of_its_groups: BTreeSet<(u64, u64)>,
    /// At the source, all mail of the account.
    of_source: BTreeSet<String>,
    /// At the source, the mail of a group.
    of_source_groups: BTreeMap<u64, BTreeSet<String>>,
    addresses: BTreeSet<String>,
}

impl Refusers {
    /// Looks at both accounts. Whom rosterd itself took out in a way that shows as a refusal has
    /// refused nothing.
    pub(super) fn of(source: &Account, target: &Account) -> Refusers {
        let mut refusers = Refusers::default();
        for (id, contact) in target.contacts.iter() {
            if contact.opted_out.is_some() {
                refusers.of_target.insert(*id);
                refusers.addresses.insert(address(&contact.email));
            }
        }
        for contact in source.contacts.values() {
            if contact.opted_out.is_some() {
                let who = address(&contact.email);
                refusers.addresses.insert(who.clone());
                refusers.of_source.insert(who);
            }
        }
        for (account, is_source) in [(source, true), (target, false)] {
            for (group, held) in &account.groups {
                let refused = held
                    .members
                    .iter()
                    .filter(|(_, is)| is.state == MembershipState::OptedOut && !is.by_api);
                for (member, _) in refused {
                    let Some(contact) = account.contact(*member) else {
                        continue;
                    };
                    let who = address(&contact.email);
                    refusers.addresses.insert(who.clone());
                    if is_source {
                        refusers
                            .of_source_groups
                            .entry(*group)
                            .or_default()
                            .insert(who);
                    } else {
                        refusers.of_its_groups.insert((*group, *member));
                    }
                }
            }
        }
        // Of somebody without an address nobody can say who it is.
        refusers.addresses.remove("");
        refusers.of_source.remove("");
        refusers
    }

    fn refuses(&self, group: u64, member: u64, who: &str, sources: Option<&Vec<u64>>) -> bool {
        self.of_target.contains(&member)
            || self.of_its_groups.contains(&(group, member))
            || self.refuses_at_source(who, sources)
    }

    fn refuses_at_source(&self, who: &str, sources: Option<&Vec<u64>>) -> bool {
        let refuses = |source: &u64| {
            let refusers = self.of_source_groups.get(source);
            refusers.is_some_and(|refusers| refusers.contains(who))
        };
        self.of_source.contains(who) || sources.into_iter().flatten().any(refuses)
    }
}

/// Compares whom the target mails before and after; `links` are the pairs of groups after the run.
pub(super) fn compare(
    before: &Mailed,
    after: &Mailed,
    refusers: &Refusers,
    links: &[GroupLink],
    is_mail: bool,
) -> Mail {
    let mut sources: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for link in links {
        if let (Ok(source), Ok(target)) = (link.source.parse(), link.target.parse()) {
            sources.entry(target).or_default().push(source);
        }
    }
    let ids: BTreeSet<u64> = before
        .groups
        .keys()
        .chain(after.groups.keys())
        .copied()
        .collect();
    let mut groups: Vec<GroupMail> = ids
        .into_iter()
        .map(|id| {
            let (then, now) = (before.groups.get(&id), after.groups.get(&id));
            let name = now.or(then).map(|group| group.name.clone());
            let count = |side: Option<&Group>| side.map(|group| group.people.len() as u64);
            GroupMail {
                id,
                name: name.unwrap_or_default(),
                before: count(then),
                after: count(now),
            }
        })
        .collect();
    groups.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
    let (then, now) = (before.people(), after.people());
    let owned = |who: &&str| (*who).to_owned();
    let mut mail = Mail {
        is_mail,
        groups,
        people: [then.len() as u64, now.len() as u64],
        newly: now.difference(&then).map(owned).collect(),
        no_longer: then.difference(&now).map(owned).collect(),
        refusing: refusers.addresses.len() as u64,
        ..Mail::default()
    };
    if !is_mail {
        return mail;
    }
    let (mut still, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
    for (group, Group { name, people, .. }) in &after.groups {
        let sources = sources.get(group);
        for member in people {
            let who = after.addresses[member].as_str();
            if !before.holds(*group, *member) {
                if refusers.refuses(*group, *member, who, sources) {
                    mail.breaches.push(Breach {
                        group: name.clone(),
                        member: who.to_owned(),
                    });
                }
            } else if refusers.refuses_at_source(who, sources) {
                let groups = if sources.is_some() {
                    &mut still
                } else {
                    &mut elsewhere
                };
                groups.insert(who);
            }
        }
    }
    mail.breaches.sort();
    mail.still_mailed = still.len() as u64;
    mail.still_mailed_elsewhere = elsewhere.len() as u64;
    mail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::Kind;
    use crate::plan::base::{FieldBases, Origin};

    fn link(source: u64, target: u64) -> GroupLink {
        GroupLink {
            source: source.to_string(),
            target: target.to_string(),
            origin: Origin::Created,
            protect_set: false,
            name: String::new(),
            fields: FieldBases::default(),
        }
    }

    /// What is said of a run that does the given thing at the target.
    fn told(work: impl FnOnce(&mut Account, u64)) -> Mail {
        let mut source = Account::new(Kind::GreenRope, "crm", 1);
        let mut target = Account::new(Kind::Emfluence, "mail", 2);
        let from = source.add_group("Donors");
        let to = target.add_group("Donors");
        for name in ["ana", "bo", "cy"] {
            let email = format!("{name}@example.org");
            let contact = source.add_person(&email, name, "Donor");
            source.join(from, contact);
            let contact = target.add_person(&email, name, "Donor");
            if name == "ana" {
                target.join(to, contact);
            }
        }
        let bo = source.contact_by_email("bo@example.org").unwrap();
        source.opt_out_of_group(from, bo);
        let (before, refusers) = (Mailed::by(&target, true), Refusers::of(&source, &target));
        work(&mut target, to);
        let after = Mailed::by(&target, true);
        compare(&before, &after, &refusers, &[link(from, to)], true)
    }

    #[test]
    fn whoever_comes_and_goes_is_told_and_a_refuser_above_all() {
        let mail = told(|target, to| {
            let of = |target: &Account, name: &str| {
                target
                    .contact_by_email(&format!("{name}@example.org"))
                    .unwrap()
            };
            let (ana, bo, cy) = (of(target, "ana"), of(target, "bo"), of(target, "cy"));
            target.opt_out_of_account(ana);
            target.join(to, bo);
            target.join(to, cy);
        });
        assert_eq!(mail.newly, ["bo@example.org", "cy@example.org"]);
        assert_eq!(mail.no_longer, ["ana@example.org"]);
        let donors = mail.groups.iter().find(|group| group.name == "Donors");
        let donors = donors.unwrap();
        assert_eq!((donors.before, donors.after), (Some(1), Some(2)));
        let breach = Breach {
            group: "Donors".to_owned(),
            member: "bo@example.org".to_owned(),
        };
        assert_eq!(mail.breaches, [breach]);
        assert_eq!(mail.refusing, 1);
    }

    #[test]
    fn a_refusal_of_the_target_that_is_taken_back_is_one_as_well() {
        let mail = told(|_, _| {});
        assert!(mail.breaches.is_empty() && mail.newly.is_empty());
        let mut target = Account::new(Kind::Emfluence, "mail", 2);
        let group = target.add_group("Donors");
        let ana = target.add_person("ana@example.org", "Ana", "Donor");
        target.join(group, ana);
        target.opt_out_of_account(ana);
        let source = Account::new(Kind::GreenRope, "crm", 1);
        let (before, refusers) = (Mailed::by(&target, true), Refusers::of(&source, &target));
        target.resubscribe(ana);
        let after = Mailed::by(&target, true);
        let mail = compare(&before, &after, &refusers, &[], true);
        // She is in the group of everybody as well.
        assert_eq!(mail.breaches.len(), 2);
    }
}
