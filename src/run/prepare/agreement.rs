//! What of a plan is remembered before anything is written: what both sides agree on already.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Prepared;
use crate::config::settled::JobConfig;
use crate::model::{Name, Record, Snapshot};
use crate::plan::base::Origin;
use crate::plan::{Edit, PairIx};
use crate::run::error::RunError;
use crate::run::settle::Confirming;
use crate::state::Change;

impl Prepared {
    /// What both sides already agree on, to be remembered once the plan was not refused.
    pub(in crate::run) fn agreement(&self, confirming: Confirming<'_>) -> Vec<Change> {
        let plan = &self.planned.plan;
        let job = || confirming.known.job.name.clone();
        let mut changes = Vec::new();
        for (person, source, target) in &plan.agreement.linked {
            changes.push(Change::LinkMember {
                job: job(),
                source: self
                    .planned
                    .text(self.sides.source.members[*source as usize].id)
                    .to_owned(),
                target: self
                    .planned
                    .text(self.sides.target.members[*target as usize].id)
                    .to_owned(),
                address: confirming.link_address(*person),
                origin: Origin::Adopted,
            });
        }
        for (pair, target) in &plan.agreement.memberships {
            if let Some(group) = &plan.pair(*pair).target {
                changes.push(Change::Membership {
                    job: job(),
                    group: group.clone(),
                    member: self
                        .planned
                        .text(self.sides.target.members[*target as usize].id)
                        .to_owned(),
                    brought: false,
                });
            }
        }
        for (group, member) in &plan.agreement.ended {
            changes.push(Change::MembershipGone {
                job: job(),
                group: group.clone(),
                member: self.planned.text(*member).to_owned(),
            });
        }
        let ended = plan.agreement.ended_bars.iter();
        changes.extend(ended.map(|fact| Change::RefusalEnded { fact: *fact }));
        for (account, meanings) in &self.sides.meanings {
            changes.push(Change::Meanings {
                account: account.clone(),
                meanings: meanings.clone(),
            });
        }
        // Groups whose link needs no write, and linked groups of which some field now stands as
        // asked.
        let edited: BTreeSet<PairIx> = plan
            .operations
            .iter()
            .filter(|edit| {
                edit.members().is_empty()
                    && !matches!(edit, Edit::AdoptGroup { fields, .. } if fields.is_empty())
            })
            .filter_map(Edit::pair)
            .collect();
        for (at, pair) in plan.pairs.iter().enumerate() {
            let ix = PairIx(at as u32);
            let (Some(source), Some(target), true) = (&pair.source, &pair.target, pair.writable)
            else {
                continue;
            };
            if edited.contains(&ix) {
                continue;
            }
            match self
                .base
                .group_of_source(source)
                .filter(|link| link.target == *target)
            {
                None => changes.extend(confirming.group_linked(
                    ix,
                    target,
                    confirming.origin_of_adoption(source),
                    &Record::new(),
                )),
                Some(link) => {
                    let refreshed =
                        confirming.group_base(source, target, &Record::new(), &pair.source_name);
                    // Of a group whose fields can't be read there are none to remember.
                    let same = matches!(refreshed.first(), Some(Change::GroupFields { fields, name, .. }) if *fields == link.fields && *name == link.name);
                    changes.extend(refreshed.into_iter().skip(usize::from(same)));
                }
            }
        }
        changes
    }

    /// Says which memberships that stay remembered the target does not show, because somebody else
    /// ended them, and which of those that are `noted` it shows again.
    pub(in crate::run) fn missing(&self, job: &str, noted: &[(String, String)]) -> Vec<Change> {
        let mut changes = Vec::new();
        let sides = &self.sides;
        if sides.target_remembered {
            return changes;
        }
        let mut missed: HashMap<&str, HashSet<&str>> = HashMap::new();
        for (group, member) in noted {
            missed.entry(group).or_default().insert(member);
        }
        for (group, known) in &self.base.memberships {
            let listing = sides.target.listing(group);
            let Some(listing) = listing.and_then(|listing| listing.complete()) else {
                continue;
            };
            let rows = listing.rows.iter();
            let here: HashSet<Name> = rows
                .map(|row| sides.target.members[row.member as usize].id)
                .collect();
            let missed = missed.get(group.as_str());
            for membership in known {
                let member = self.planned.text(membership.member);
                let is_here = here.contains(&{ membership.member });
                let was_missed = missed.is_some_and(|missed| missed.contains(member));
                if is_here == was_missed {
                    changes.push(Change::MembershipMissing {
                        job: job.to_owned(),
                        group: group.clone(),
                        member: member.to_owned(),
                        missing: !is_here,
                    });
                }
            }
        }
        changes
    }

    /// Remembers the profiles of people of whom nothing was to be written.
    pub(in crate::run) fn refresh(
        &self,
        confirming: Confirming<'_>,
    ) -> Result<Vec<Change>, RunError> {
        let people = &self.planned.people;
        let mut changes = Vec::new();
        for person in &self.refresh {
            let written = self
                .facts
                .get(person)
                .and_then(|facts| facts.edit.as_ref())
                .is_some_and(|edit| !edit.is_empty());
            let writes = written && confirming.known.job.members.update;
            if let ([target], false) = (people.targets(*person), writes) {
                changes.extend(confirming.profile_written(*person, &Record::new())?);
                let id = self
                    .planned
                    .text(self.sides.target.members[*target as usize].id)
                    .to_owned();
                changes.extend(confirming.carried_of_person(*person, &id)?);
            }
        }
        Ok(changes)
    }

    /// Gives up the flags of protection that are not rosterd's to lift any more: the source
    /// shows it by now, or the target has lost it, and whoever sets it there again is somebody else
    /// (rule 2).
    pub(in crate::run) fn give_up_flags(&mut self, job: &JobConfig) -> Vec<Change> {
        let flag = |side: &Snapshot, id: &str| side.group(id).map(|group| group.protected);
        let mut changes = Vec::new();
        for link in self.base.groups.iter_mut().filter(|link| link.protect_set) {
            if flag(&self.sides.source, &link.source) == Some(true)
                || flag(&self.sides.target, &link.target) == Some(false)
            {
                link.protect_set = false;
                changes.push(Change::LinkGroup {
                    job: job.name.clone(),
                    link: link.clone(),
                });
            }
        }
        changes
    }

    /// Has contacts that rosterd took out of sight, and that have been seen since, count as the
    /// account's own: where one of them is gone later, somebody erased it.
    pub(in crate::run) fn seen_again(&self, job: &JobConfig) -> Vec<Change> {
        let seen = self.base.members.iter().filter(|link| {
            link.removed_by_us && self.planned.people.target_position(link.target).is_some()
        });
        seen.map(|link| Change::MemberRemovedByUs {
            job: job.name.clone(),
            target: self.planned.text(link.target).to_owned(),
            removed: false,
        })
        .collect()
    }
}
