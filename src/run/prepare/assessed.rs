//! What both sides of a job hold, counted side by side.

use std::collections::BTreeSet;

use super::Prepared;
use crate::model::{Listing, Member, MemberStatus, MembershipState, Met, Reading, Snapshot};
use crate::plan::{PersonIx, in_scope};

/// Both sides of a job, counted: before a migration, and after it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessed {
    /// The source's groups in scope, in the order of their names.
    pub groups: Vec<GroupCount>,
    /// The source's groups that are out of scope, by name.
    pub out_of_scope: Met,
    /// People of the source's groups in scope.
    pub people: u64,
    /// Of these, those whom the target knows.
    pub known_at_target: u64,
    /// Of these, those who refuse all mail of the account, at the source and at the target.
    pub refusing: Sides<u64>,
    /// Addresses that several records of the source have, which are merged into one person.
    pub duplicates: Met,
    /// How many memberships fall together in that, since several of these records are in one group.
    pub merged: u64,
}

/// Something of either side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides<T> {
    /// At the source.
    pub source: T,
    /// At the target.
    pub target: T,
}

/// The members of a group and of its partner.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct GroupCount {
    /// The group's id at the source.
    pub source_id: Option<String>,
    /// The name there.
    pub source_name: String,
    /// The name at the target.
    pub target_name: String,
    /// The members at the source; nothing where the listing is not whole.
    pub source: Option<States>,
    /// The members at the target; nothing where there is no such group, or its listing is not whole.
    pub target: Option<States>,
    /// Whether the group exists at the target.
    pub exists: bool,
}

/// The members of a group by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct States {
    /// Get the group's mail.
    pub active: u64,
    /// Have not confirmed.
    pub unconfirmed: u64,
    /// Can't be reached, in this group or at all.
    pub undeliverable: u64,
    /// Refuse the group's mail, or all of the account's.
    pub opted_out: u64,
}

impl Assessed {
    /// Counts the groups of which nothing is proved: a listing of theirs could not be read to its end.
    pub fn not_whole(&self) -> usize {
        let groups = self.groups.iter();
        groups
            .filter(|group| group.source.is_none() || (group.exists && group.target.is_none()))
            .count()
    }
}

impl Prepared {
    /// Counts both sides.
    pub(in crate::run) fn assessed(&self) -> Assessed {
        let plan = &self.planned.plan;
        let (source, target) = (&self.sides.source, &self.sides.target);
        let mut assessed = Assessed::default();
        for pair in &plan.pairs {
            let Some(id) = &pair.source else { continue };
            let partner = pair.target.as_deref();
            assessed.groups.push(GroupCount {
                source_id: pair.source.clone(),
                source_name: pair.source_name.clone(),
                target_name: pair.name.clone(),
                source: states(source, id),
                target: partner.and_then(|id| states(target, id)),
                exists: partner.is_some(),
            });
        }
        for pair in &plan.pairs {
            let listing = pair.source.as_deref().and_then(|id| source.listing(id));
            assessed.merged += listing.map_or(0, |listing| self.merged(listing.seen()));
        }
        // What could not be paired is in scope all the same.
        let paired: BTreeSet<&str> = plan
            .pairs
            .iter()
            .filter_map(|pair| pair.source.as_deref())
            .collect();
        let unpaired = source.groups.seen().iter().filter(|group| {
            in_scope(&self.policy.groups, group) && !paired.contains(group.id.as_str())
        });
        assessed.groups.extend(unpaired.map(|group| GroupCount {
            source_id: Some(group.id.clone()),
            source_name: group.name.clone(),
            target_name: group.name.clone(),
            source: states(source, &group.id),
            ..GroupCount::default()
        }));
        assessed
            .groups
            .sort_by(|one, other| one.source_name.cmp(&other.source_name));
        for group in source.groups.seen() {
            let is_paired = paired.contains(group.id.as_str());
            if !is_paired && !in_scope(&self.policy.groups, group) {
                assessed.out_of_scope.add(&group.name);
            }
        }
        for (person, row) in self.planned.people.iter() {
            self.count_person(person, &mut assessed);
            if self.planned.people.sources(person).is_empty() {
                continue;
            }
            let refuses = |status| u64::from(status == MemberStatus::OptedOut);
            assessed.refusing.source += refuses(row.source_status);
            assessed.refusing.target += refuses(row.target_status);
        }
        assessed
    }

    /// Counts the members of a group of the source who are one person with another member of it.
    fn merged(&self, listing: &Listing) -> u64 {
        let people = &self.planned.people;
        let members = listing.rows.iter();
        let members = members.filter(|row| row.state == MembershipState::Active);
        let several = members
            .filter_map(|row| people.of_source(row.member))
            .filter(|person| people.sources(*person).len() > 1);
        let mut met = BTreeSet::new();
        several.filter(|person| !met.insert(*person)).count() as u64
    }

    fn count_person(&self, person: PersonIx, assessed: &mut Assessed) {
        let people = &self.planned.people;
        let records = people.sources(person).len();
        if records == 0 {
            return;
        }
        assessed.people += 1;
        assessed.known_at_target += u64::from(!people.targets(person).is_empty());
        if records > 1 {
            assessed.duplicates.add(self.planned.member(person));
        }
    }
}

/// Counts the members of a group by what holds for them there: whoever refuses all mail refuses that
/// of the group.
fn states(snapshot: &Snapshot, group: &str) -> Option<States> {
    let Some(Reading::Complete(_)) = snapshot.listing(group) else {
        return None;
    };
    let listing = snapshot.listing(group)?.seen();
    Some(count(listing, &snapshot.members))
}

fn count(listing: &Listing, members: &[Member]) -> States {
    let mut states = States::default();
    for row in &listing.rows {
        let number = match (row.state, members[row.member as usize].status) {
            (MembershipState::OptedOut, _) | (_, MemberStatus::OptedOut) => &mut states.opted_out,
            (MembershipState::Bounced, _) | (_, MemberStatus::Held | MemberStatus::Bounced) => {
                &mut states.undeliverable
            }
            (MembershipState::Unconfirmed, _) => &mut states.unconfirmed,
            (MembershipState::Active, MemberStatus::Active) => &mut states.active,
        };
        *number += 1;
    }
    states
}
