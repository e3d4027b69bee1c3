//! What a confirmed item changes in what is remembered.

mod consent;
mod groups;
mod people;

use jiff::Timestamp;

use super::item::Item;
use super::known::{Known, SoFar};
use super::membership::{claim_of, disclaimed};
use super::standing::{Answer, Shown, Standing, parts};
use crate::model::{Leaving, Record, Write};
use crate::plan::PairIx;
use crate::plan::base::Origin;
use crate::run::error::RunError;
use crate::state::{Change, Store};

/// Turns what stands into what is to be remembered of it.
#[derive(Clone, Copy)]
pub(in crate::run) struct Confirming<'a> {
    pub(in crate::run) known: Known<'a>,
    pub(in crate::run) so_far: &'a SoFar,
    pub(in crate::run) store: &'a Store,
    pub(in crate::run) now: Timestamp,
}

impl Confirming<'_> {
    /// Returns the changes that a confirmed item stands for; of an item by row those of the groups
    /// that stand.
    pub(in crate::run) fn confirmed(
        &self,
        write: &Write,
        item: &Item,
        position: usize,
        standing: &Standing,
    ) -> Result<Vec<Change>, RunError> {
        let id = standing.id.as_deref();
        let job = self.known.job.name.clone();
        let done = parts(write, position, item, standing).done;
        let mut changes = Vec::new();
        match write {
            Write::AddMemberships { .. } | Write::RemoveMemberships { .. } if done.is_empty() => {}
            Write::CreateGroup { fields, .. } => {
                if let (Some(pair), Some(id)) = (item.pair, id) {
                    changes.extend(self.group_linked(pair, id, Origin::Created, fields));
                }
            }
            Write::EditGroups { edits } => {
                if let (Some(pair), Some(edit)) = (item.pair, edits.get(position)) {
                    changes.extend(self.group_edited(pair, &edit.fields, item.op));
                }
            }
            Write::DeleteGroup { .. } => {
                if let Some(link) = item.pair.and_then(|pair| self.link_of(pair)) {
                    changes.push(Change::UnlinkGroup {
                        job,
                        source: link.source.clone(),
                    });
                }
            }
            Write::CreateMembers { .. } | Write::CreateOptedOut { .. } => {
                if let (Some(person), Some(id)) = (item.person, id) {
                    // Somebody created opted out has no profile yet: the request that writes it
                    // says what was written.
                    let with_profile = matches!(write, Write::CreateMembers { .. });
                    changes.extend(self.person_created(
                        person,
                        id,
                        standing.answer,
                        with_profile,
                    )?);
                    if !with_profile {
                        changes.extend(self.refusal_held(item, None));
                    }
                    for pair in done {
                        if let Some(group) = self.group_id(pair) {
                            changes.extend(self.left_for(&group, id));
                            changes.push(Change::Membership {
                                job: job.clone(),
                                group,
                                member: id.to_owned(),
                                brought: self.is_brought(item, pair, standing),
                            });
                        }
                    }
                }
            }
            Write::UpdateMembers { edits } => {
                if let (Some(person), Some(edit)) = (item.person, edits.get(position)) {
                    changes.extend(self.profile_written(person, &edit.fields)?);
                    // A later job of the same service may read this person within minutes. What an
                    // undo writes is not what the source holds.
                    if !self.known.undoes {
                        changes.extend(self.carried_of_person(person, &edit.id)?);
                    }
                }
            }
            Write::ChangeAddress { .. } => {
                if let Some(person) = item.person {
                    changes.extend(self.profile_written(person, &Record::new())?);
                }
            }
            Write::AddMemberships { group, members } => {
                let member = members[position].clone();
                changes.extend(self.left_for(group, &member));
                changes.push(Change::Membership {
                    job: job.clone(),
                    group: group.clone(),
                    member: member.clone(),
                    brought: item
                        .pair
                        .is_some_and(|pair| self.is_brought(item, pair, standing)),
                });
                changes.push(Change::MemberRemovedByUs {
                    job,
                    target: member,
                    removed: false,
                });
            }
            Write::RemoveMemberships { group, members } => {
                let member = members[position].clone();
                changes.push(Change::MembershipGone {
                    job: job.clone(),
                    group: group.clone(),
                    member: member.clone(),
                });
                // That somebody is out of the group may be anybody's doing where no answer came.
                if standing.answer == Answer::Yes {
                    changes.push(Change::MemberRemovedByUs {
                        job,
                        target: member,
                        removed: true,
                    });
                }
                // Where the target can't hold a refusal of the group, being out of it is all that
                // it can do.
                if !self.known.capabilities.group_opt_out {
                    changes.extend(self.refusal_held(item, item.pair));
                }
            }
            Write::OptOutOfGroups { member, .. } => {
                changes.extend(
                    done.iter()
                        .flat_map(|pair| self.refusal_held(item, Some(*pair))),
                );
                // From here on a mail to the person would be the person's own wish, and not what
                // this job brought.
                let groups = done.into_iter().filter_map(|pair| self.group_id(pair));
                changes.extend(groups.map(|group| Change::MembershipGone {
                    job: job.clone(),
                    group,
                    member: member.clone(),
                }));
            }
            Write::JoinGroups { rows } => {
                if let (Some(person), Some(id)) = (item.person, id.or(rows[position].id.as_deref()))
                {
                    if rows[position].id.is_none() {
                        changes.extend(self.person_created(person, id, standing.answer, true)?);
                    } else {
                        changes.push(Change::MemberRemovedByUs {
                            job: job.clone(),
                            target: id.to_owned(),
                            removed: false,
                        });
                    }
                    for pair in done {
                        if let Some(group) = self.group_id(pair) {
                            changes.push(Change::Membership {
                                job: job.clone(),
                                group,
                                member: id.to_owned(),
                                brought: self.is_brought(item, pair, standing),
                            });
                        }
                    }
                }
            }
            Write::LeaveGroups { rows, how } => {
                if let (Some(person), Some(id)) = (item.person, id.or(rows[position].id.as_deref()))
                {
                    if rows[position].id.is_none() {
                        changes.extend(self.person_created(person, id, standing.answer, true)?);
                    }
                    if *how == Leaving::OptOut || !self.known.capabilities.group_opt_out {
                        changes.extend(
                            done.iter()
                                .flat_map(|pair| self.refusal_held(item, Some(*pair))),
                        );
                        changes.extend(self.account_refusal_held(item, &done));
                    }
                    for (group, shown) in self.groups_that_stand(write, position, item, standing) {
                        changes.push(Change::MembershipGone {
                            job: job.clone(),
                            group: group.clone(),
                            member: id.to_owned(),
                        });
                        if *how != Leaving::OptOut && self.known.capabilities.removal_shows_opt_out
                        {
                            let claim = claim_of(*how, standing.answer, shown);
                            changes.push(match claim {
                                Some(shown) => Change::OwnRemoval {
                                    account: self.known.job.target_account.clone(),
                                    group,
                                    member: id.to_owned(),
                                    address: self.known.address(person).to_owned(),
                                    shown,
                                    since: self.now,
                                },
                                None => disclaimed(self.known.job, &group, id),
                            });
                        }
                    }
                }
            }
            Write::BringBack { rows } => {
                let (group, member) = (
                    rows[position].removal().group().to_owned(),
                    rows[position].removal().member().to_owned(),
                );
                if !self
                    .groups_that_stand(write, position, item, standing)
                    .is_empty()
                {
                    changes.push(disclaimed(self.known.job, &group, &member));
                    changes.push(Change::Membership {
                        job: job.clone(),
                        group,
                        member: member.clone(),
                        brought: true,
                    });
                    changes.push(Change::MemberRemovedByUs {
                        job,
                        target: member,
                        removed: false,
                    });
                }
            }
            Write::OptOutOfAccount { .. } => changes.extend(self.refusal_held(item, None)),
            Write::CreateCustomField { .. } => {}
        }
        if self.known.undoes {
            self.put_back(&mut changes, item, standing);
        }
        Ok(changes)
    }

    /// Tells whether a membership that stands was brought by this job. Somebody of whom the
    /// provider says that they were there before was not; where its answer was lost, the listing
    /// before the request decides.
    fn is_brought(&self, item: &Item, pair: PairIx, standing: &Standing) -> bool {
        // Whose a membership was before the run that is taken back is not known any more.
        !self.known.undoes && standing.answer.brought(|| self.was_absent(item, pair))
    }

    /// Takes note of the memberships of a confirmed item that came about by taking a run back.
    fn put_back(&self, changes: &mut Vec<Change>, item: &Item, standing: &Standing) {
        let pairs = item.joins.iter().chain(&item.pair);
        let came = pairs.filter(|pair| standing.answer.brought(|| self.was_absent(item, **pair)));
        let groups: Vec<String> = came.filter_map(|pair| self.group_id(*pair)).collect();
        let put_back = changes.iter().filter_map(|change| match change {
            Change::Membership {
                job, group, member, ..
            } if groups.contains(group) => Some(Change::MembershipPutBack {
                job: job.clone(),
                group: group.clone(),
                member: member.clone(),
            }),
            _ => None,
        });
        let put_back: Vec<Change> = put_back.collect();
        changes.extend(put_back);
    }

    /// Returns the groups for which an item by row stands, with what they show of the person.
    fn groups_that_stand(
        &self,
        write: &Write,
        position: usize,
        item: &Item,
        standing: &Standing,
    ) -> Vec<(String, Option<Shown>)> {
        let done = parts(write, position, item, standing).done;
        let groups = done.into_iter().filter_map(|pair| self.group_id(pair));
        groups
            .map(|group| {
                let shown = standing
                    .groups
                    .as_ref()
                    .and_then(|groups| groups.get(&group))
                    .copied();
                (group, shown)
            })
            .collect()
    }

    /// Where a person is in one group only, joining it ends the memberships that this job knew
    /// elsewhere.
    fn left_for(&self, joined: &str, member: &str) -> Vec<Change> {
        let Some(name) = self
            .known
            .names
            .find(member)
            .filter(|_| self.known.capabilities.one_group_per_member)
        else {
            return Vec::new();
        };
        let known = self
            .known
            .base
            .memberships
            .keys()
            .filter(|group| *group != joined);
        known
            .filter(|group| self.known.base.membership(group, name).is_some())
            .map(|group| Change::MembershipGone {
                job: self.known.job.name.clone(),
                group: group.clone(),
                member: member.to_owned(),
            })
            .collect()
    }

    /// Tells whether a group was listed to its end in this run before anything was sent, and did
    /// not have the person; one that this run created had nobody.
    pub(in crate::run) fn was_absent(&self, item: &Item, pair: PairIx) -> bool {
        let (Some(person), Some(group)) = (item.person, self.group_id(pair)) else {
            return false;
        };
        if self.so_far.group_ids.contains_key(&pair) {
            return true;
        }
        if self.so_far.already_there.contains(&(pair, person)) {
            return false;
        }
        let Known {
            names,
            people,
            sides,
            ..
        } = self.known;
        let fresh = sides.target_listed_at.contains_key(&group);
        let listed = |listing: &crate::model::Listing| {
            people.targets(person).iter().any(|at| {
                let id = names.text(sides.target.members[*at as usize].id);
                item.target_id.as_deref().is_none_or(|only| only == id)
                    && listing.state_of(*at).is_some()
            })
        };
        let listing = sides
            .target
            .listing(&group)
            .and_then(|listing| listing.complete());
        fresh && listing.is_some_and(|listing| !listed(listing))
    }

    fn group_id(&self, pair: PairIx) -> Option<String> {
        self.so_far.group_id(self.known.plan, pair)
    }
}
