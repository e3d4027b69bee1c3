//! What a confirmed item changes in what is remembered.

use super::RunError;
use super::apply::{Answer, Applying, Item, Shown, Standing, parts};
use super::prepare::Prepared;
use super::read::{UNREAD, canonical, current, fields_base};
use super::settle::bases::{bases_of, keep_spelling};
use crate::model::{Leaving, MemberStatus, MembershipState, ObjectKind, Record, Value, Write};
use crate::plan::base::{FieldBases, GroupLink, Origin};
use crate::plan::{Edit, GroupPair, PairIx, PersonIx};
use crate::state::Change;

impl Applying<'_> {
    /// Returns the changes that a confirmed item stands for; of an item by row those of the groups
    /// that stand.
    pub(super) fn confirmed(
        &self,
        write: &Write,
        item: &Item,
        position: usize,
        standing: &Standing,
    ) -> Result<Vec<Change>, RunError> {
        let id = standing.id.as_deref();
        let job = self.job.name.clone();
        let mut changes = Vec::new();
        match write {
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
                    changes.extend(self.person_created(person, id, with_profile)?);
                    if !with_profile {
                        changes.extend(self.refusal_held(item, None));
                    }
                    for pair in &item.joins {
                        if let Some(group) = self.group_id(*pair) {
                            changes.extend(self.left_for(&group, id));
                            changes.push(Change::Membership {
                                job: job.clone(),
                                group,
                                member: id.to_owned(),
                                brought: self.is_brought(item, *pair, standing),
                            });
                        }
                    }
                }
            }
            Write::UpdateMembers { edits } => {
                if let (Some(person), Some(edit)) = (item.person, edits.get(position)) {
                    changes.extend(self.profile_written(person, &edit.fields)?);
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
                if !self.prepared.capabilities.group_opt_out {
                    changes.extend(self.refusal_held(item, item.pair));
                }
            }
            Write::OptOutOfGroups { member, groups } => {
                changes.extend(
                    item.joins
                        .iter()
                        .flat_map(|pair| self.refusal_held(item, Some(*pair))),
                );
                // From here on a mail to the person would be the person's own wish, and not what
                // this job brought.
                changes.extend(groups.iter().map(|group| Change::MembershipGone {
                    job: job.clone(),
                    group: group.clone(),
                    member: member.clone(),
                }));
            }
            Write::JoinGroups { rows } => {
                if let (Some(person), Some(id)) = (item.person, id.or(rows[position].id.as_deref()))
                {
                    if rows[position].id.is_none() {
                        changes.extend(self.person_created(person, id, true)?);
                    } else {
                        changes.push(Change::MemberRemovedByUs {
                            job: job.clone(),
                            target: id.to_owned(),
                            removed: false,
                        });
                    }
                    for pair in parts(write, position, item, standing).done {
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
                        changes.extend(self.person_created(person, id, true)?);
                    }
                    if *how == Leaving::OptOut || !self.prepared.capabilities.group_opt_out {
                        let done = parts(write, position, item, standing).done;
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
                        if *how == Leaving::OptOut
                            || !self.prepared.capabilities.removal_shows_opt_out
                        {
                            continue;
                        }
                        // What shows as a refusal now is rosterd's own doing only where the provider
                        // said yes to rosterd's own request (rule 1).
                        let own = match shown {
                            _ if standing.answer != Answer::Yes => None,
                            Some((Some(MembershipState::OptedOut), refused_at)) => Some(refused_at),
                            Some(_) => None,
                            // Without a look at it a removal shows as it usually does.
                            None => (*how == Leaving::Remove).then_some(None),
                        };
                        changes.push(match own {
                            Some(shown) => Change::OwnRemoval {
                                account: self.job.target_account.clone(),
                                group,
                                member: id.to_owned(),
                                address: self.prepared.planned.address(person).to_owned(),
                                shown,
                                since: self.runner.now(),
                            },
                            None => Change::OwnRemovalEnded {
                                account: self.job.target_account.clone(),
                                group,
                                member: id.to_owned(),
                            },
                        });
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
                    changes.push(Change::OwnRemovalEnded {
                        account: self.job.target_account.clone(),
                        group: group.clone(),
                        member: member.clone(),
                    });
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
        Ok(changes)
    }

    /// Tells whether a membership that stands was brought by this job. Somebody of whom the
    /// provider says that they were there before was not; where its answer was lost, the listing
    /// before the request decides.
    fn is_brought(&self, item: &Item, pair: PairIx, standing: &Standing) -> bool {
        match standing.answer {
            Answer::Yes => true,
            Answer::Objection => false,
            Answer::Lost => self.was_absent(item, pair),
        }
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
            .prepared
            .planned
            .names
            .find(member)
            .filter(|_| self.prepared.capabilities.one_group_per_member)
        else {
            return Vec::new();
        };
        let known = self
            .prepared
            .base
            .memberships
            .keys()
            .filter(|group| *group != joined);
        known
            .filter(|group| self.prepared.base.membership(group, name).is_some())
            .map(|group| Change::MembershipGone {
                job: self.job.name.clone(),
                group: group.clone(),
                member: member.to_owned(),
            })
            .collect()
    }

    /// Remembers that the target obeys a person's refusal, once each of the person's contacts does.
    pub(super) fn refusal_held(&self, item: &Item, pair: Option<PairIx>) -> Vec<Change> {
        let Some(person) = item.person else {
            return Vec::new();
        };
        let group = pair.and_then(|pair| self.group_id(pair));
        if pair.is_some() && group.is_none() {
            return Vec::new();
        }
        let Prepared {
            planned,
            sides,
            capabilities,
            ..
        } = &self.prepared;
        let listing = group
            .as_deref()
            .and_then(|group| sides.target.listing(group));
        let obeys = |at: u32| {
            let member = &sides.target.members[at as usize];
            let id = planned.text(member.id);
            let before = match (
                pair,
                listing.and_then(|listing| listing.seen().state_of(at)),
            ) {
                (None, _) => member.status == MemberStatus::OptedOut,
                (Some(_), Some(MembershipState::OptedOut)) => true,
                // What rosterd took out in a way that shows as a refusal gets no mail either.
                (Some(_), None) if listing.is_some_and(|listing| listing.seen().is_removed(at)) => {
                    true
                }
                (Some(_), state) => {
                    state != Some(MembershipState::Active) && !capabilities.group_opt_out
                }
            };
            before
                || item.target_id.as_deref() == Some(id)
                || self.refused_there.contains(&(pair, id.to_owned()))
        };
        if !planned.people.targets(person).iter().all(|at| obeys(*at)) {
            return Vec::new();
        }
        vec![self.prepared.held(self.job, group, person)]
    }

    /// Remembers that the target obeys a person's refusal of all mail that it holds list by list,
    /// once every list in scope does. `done` are those for which this item stands.
    fn account_refusal_held(&self, item: &Item, done: &[PairIx]) -> Vec<Change> {
        let Prepared {
            planned,
            sides,
            capabilities,
            ..
        } = &self.prepared;
        let Some(person) = item
            .person
            .filter(|_| capabilities.account_opt_out_as_lists)
        else {
            return Vec::new();
        };
        let contacts = planned.people.targets(person);
        let holds = |pair: PairIx| {
            let listing = self
                .group_id(pair)
                .and_then(|group| sides.target.listing(&group));
            let obeys = |at: &u32| {
                let id = planned.text(sides.target.members[*at as usize].id);
                let now = item.target_id.as_deref() == Some(id) && done.contains(&pair);
                let shown = listing.map(crate::model::Reading::seen);
                let before = shown.is_some_and(|rows| {
                    rows.state_of(*at) == Some(MembershipState::OptedOut) || rows.is_removed(*at)
                });
                now || before || self.refused_there.contains(&(Some(pair), id.to_owned()))
            };
            if contacts.is_empty() {
                done.contains(&pair)
            } else {
                contacts.iter().all(obeys)
            }
        };
        let mut lists = planned
            .plan
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, pair)| pair.writable)
            .map(|(at, _)| PairIx(at as u32));
        if !lists.all(holds) {
            return Vec::new();
        }
        vec![self.prepared.held(self.job, None, person)]
    }

    pub(super) fn link_of(&self, pair: PairIx) -> Option<&GroupLink> {
        let pair = self.prepared.planned.plan.pair(pair);
        self.prepared
            .base
            .groups
            .iter()
            .find(|link| Some(&link.target) == pair.target.as_ref())
    }

    /// Links a group, with what the source asks for and what the target now holds as its base.
    pub(super) fn group_linked(
        &self,
        ix: PairIx,
        id: &str,
        origin: Origin,
        written: &Record,
    ) -> Vec<Change> {
        let plan = &self.prepared.planned.plan;
        let pair: &GroupPair = plan.pair(ix);
        let Some(source) = pair.source.clone() else {
            return Vec::new();
        };
        let current = self
            .prepared
            .sides
            .target
            .group(id)
            .map(|group| group.wire.clone())
            .unwrap_or_default();
        let desired = self
            .prepared
            .desired
            .get(&source)
            .map(|desired| desired.fields.clone())
            .unwrap_or_default();
        let mut fields = bases_of(&desired, &current);
        for (field, value) in written {
            let then = fields.entry(field.clone()).or_default();
            then.target = Some(value.clone());
        }
        let protected_here = self
            .prepared
            .schema
            .by_canonical(ObjectKind::Group, "protected");
        let asked_by_source = self
            .prepared
            .sides
            .source
            .group(&source)
            .is_some_and(|group| group.protected);
        let protect_set = origin == Origin::Created && self.job.groups.protect && !asked_by_source;
        let mut changes = vec![Change::LinkGroup {
            job: self.job.name.clone(),
            link: GroupLink {
                source: source.clone(),
                target: id.to_owned(),
                origin,
                protect_set,
                name: pair.source_name.clone(),
                fields,
            },
        }];
        if protected_here.is_none()
            && origin == Origin::Created
            && (self.job.groups.protect || asked_by_source)
        {
            changes.push(self.carry(ObjectKind::Group, id, "protected", Value::Boolean(true)));
        }
        changes.extend(self.carried_of_group(&source, id));
        changes
    }

    fn group_edited(&self, ix: PairIx, fields: &Record, op: &str) -> Vec<Change> {
        let pair = self.prepared.planned.plan.pair(ix);
        let (Some(source), Some(target)) = (&pair.source, &pair.target) else {
            return Vec::new();
        };
        if op == "adopt_group" || self.link_of(ix).is_none() {
            return self.group_linked(ix, target, self.origin_of_adoption(source), fields);
        }
        self.group_base(source, target, fields, &pair.source_name)
    }

    pub(super) fn origin_of_adoption(&self, source: &str) -> Origin {
        if self.job.groups.pin.contains_key(source) {
            Origin::Pinned
        } else {
            Origin::Adopted
        }
    }

    /// Remembers the fields of a linked group, with what was just written.
    pub(super) fn group_base(
        &self,
        source: &str,
        target: &str,
        written: &Record,
        name: &str,
    ) -> Vec<Change> {
        let current = self
            .prepared
            .sides
            .target
            .group(target)
            .map(|group| group.wire.clone())
            .unwrap_or_default();
        let desired = self
            .prepared
            .desired
            .get(source)
            .map(|desired| desired.fields.clone())
            .unwrap_or_default();
        let known = self
            .prepared
            .base
            .group_of_source(source)
            .map(|link| link.fields.clone())
            .unwrap_or_default();
        let mut fields: FieldBases = bases_of(&desired, &current);
        for (field, then) in known {
            if let Some(now) = fields.get_mut(&field) {
                keep_spelling(now, &then);
            }
            // A field that somebody else keeps as it is stays remembered as it was, so that it is
            // not defended later.
            let drifted = !written.contains_key(&field)
                && fields.get(&field).is_some_and(|now| {
                    !crate::plan::fields::same(now.target.as_ref(), then.target.as_ref())
                });
            if drifted {
                fields.insert(field, then);
            }
        }
        let name_field = self
            .prepared
            .schema
            .by_canonical(ObjectKind::Group, "name")
            .map(|spec| spec.wire);
        for (field, value) in written {
            let then = fields.entry(field.clone()).or_default();
            then.target = Some(value.clone()).filter(|value| !value.is_empty());
            if Some(field.as_str()) == name_field
                && !crate::plan::fields::same(then.desired.as_ref(), then.target.as_ref())
            {
                // A name on the way to another one was asked for as such: a run that ends here
                // leaves the rename to the next.
                then.desired.clone_from(&then.target);
            }
        }
        let mut changes = vec![Change::GroupFields {
            job: self.job.name.clone(),
            source: source.to_owned(),
            fields,
            name: name.to_owned(),
        }];
        changes.extend(self.carried_of_group(source, target));
        changes
    }

    fn carried_of_group(&self, source: &str, target: &str) -> Vec<Change> {
        let Some(group) = self.prepared.sides.source.group(source) else {
            return Vec::new();
        };
        let held = self.prepared.sides.target.group(target);
        self.prepared
            .sides
            .mapping
            .carried_fields(ObjectKind::Group, &group.canonical)
            .into_iter()
            .filter(|(field, value)| held.and_then(|held| held.canonical.get(field)) != Some(value))
            .map(|(field, value)| self.carry(ObjectKind::Group, target, &field, value))
            .collect()
    }

    fn carry(&self, object: ObjectKind, id: &str, field: &str, value: Value) -> Change {
        Change::Carried {
            account: self.job.target_account.clone(),
            object,
            id: id.to_owned(),
            field: field.to_owned(),
            value: Some(value),
        }
    }

    /// Links a person who was created, with the values that were sent as the base where some were.
    fn person_created(
        &self,
        person: PersonIx,
        id: &str,
        with_profile: bool,
    ) -> Result<Vec<Change>, RunError> {
        let canonical = self.canonical(person)?;
        let desired = self.prepared.sides.mapping.member(&canonical).fields;
        let known_before = !self.prepared.planned.people.targets(person).is_empty();
        let origin = if known_before {
            Origin::Adopted
        } else {
            Origin::Created
        };
        let mut changes = self.person_linked(person, id, origin);
        if !known_before && with_profile {
            let fields = bases_of(&desired, &desired);
            changes.extend(self.member_bases(person, &fields, UNREAD));
        }
        changes.push(Change::MemberRemovedByUs {
            job: self.job.name.clone(),
            target: id.to_owned(),
            removed: false,
        });
        changes.extend(self.carried_of_person(&canonical, id));
        Ok(changes)
    }

    pub(super) fn carried_of_person(&self, canonical: &Record, id: &str) -> Vec<Change> {
        let carried = self
            .prepared
            .sides
            .mapping
            .carried_fields(ObjectKind::Member, canonical);
        carried
            .into_iter()
            .map(|(field, value)| self.carry(ObjectKind::Member, id, &field, value))
            .collect()
    }

    /// Returns the address that a person's link remembers: the new one only once the contact is
    /// known to have it.
    fn link_address(&self, person: PersonIx) -> String {
        let Prepared {
            planned,
            sides,
            base,
            ..
        } = &self.prepared;
        match planned.people.get(person).moves_from {
            Some(held) if !self.moves_proved.contains(&person) => {
                // What both agreed on last: an address that somebody gave the contact since is no
                // agreement.
                let records = planned.people.sources(person).iter();
                let mut links = records
                    .filter_map(|at| base.member_of_source(sides.source.members[*at as usize].id));
                let agreed = links.next().map_or(held, |link| link.address);
                planned.text(agreed).to_owned()
            }
            _ => planned.address(person).to_owned(),
        }
    }

    pub(super) fn person_linked(&self, person: PersonIx, id: &str, origin: Origin) -> Vec<Change> {
        let planned = &self.prepared.planned;
        planned
            .people
            .sources(person)
            .iter()
            .map(|at| Change::LinkMember {
                job: self.job.name.clone(),
                source: planned
                    .text(self.prepared.sides.source.members[*at as usize].id)
                    .to_owned(),
                target: id.to_owned(),
                address: self.link_address(person),
                origin,
            })
            .collect()
    }

    /// Remembers the profile of a person, with what was just written.
    pub(super) fn profile_written(
        &self,
        person: PersonIx,
        written: &Record,
    ) -> Result<Vec<Change>, RunError> {
        let canonical = self.canonical(person)?;
        let desired = self.prepared.sides.mapping.member(&canonical).fields;
        let mut current = current(&self.prepared.sides, &self.prepared.planned.people, person)?;
        let then = fields_base(
            self.runner.store(),
            self.job,
            &self.prepared.sides,
            &self.prepared.base,
            &self.prepared.planned.people,
            person,
        )?;
        current.extend(written.clone());
        let mut fields = bases_of(&desired, &current);
        for (field, then) in then.into_iter().flatten() {
            if let Some(now) = fields.get_mut(&field) {
                keep_spelling(now, &then);
            }
            let drifted = !written.contains_key(&field)
                && fields.get(&field).is_some_and(|now| {
                    !crate::plan::fields::same(now.target.as_ref(), then.target.as_ref())
                });
            if drifted {
                fields.insert(field, then);
            }
        }
        let hash = match self.prepared.planned.people.targets(person) {
            [only] if written.is_empty() => self.prepared.sides.target.members[*only as usize]
                .hash
                .unwrap_or(UNREAD),
            _ => UNREAD,
        };
        Ok(self.member_bases(person, &fields, hash))
    }

    pub(super) fn member_bases(
        &self,
        person: PersonIx,
        fields: &FieldBases,
        target_hash: u64,
    ) -> Vec<Change> {
        let planned = &self.prepared.planned;
        planned
            .people
            .sources(person)
            .iter()
            .map(|at| {
                let member = &self.prepared.sides.source.members[*at as usize];
                Change::MemberBase {
                    job: self.job.name.clone(),
                    source: planned.text(member.id).to_owned(),
                    address: self.link_address(person),
                    source_hash: member.hash.unwrap_or(0),
                    target_hash,
                    fields: fields.clone(),
                }
            })
            .collect()
    }

    /// What both sides already agree on, to be remembered once the plan was not refused.
    pub(super) fn agreement(&self) -> Vec<Change> {
        let prepared = &self.prepared;
        let plan = &prepared.planned.plan;
        let job = || self.job.name.clone();
        let mut changes = Vec::new();
        for (person, source, target) in &plan.agreement.linked {
            changes.push(Change::LinkMember {
                job: job(),
                source: prepared
                    .planned
                    .text(prepared.sides.source.members[*source as usize].id)
                    .to_owned(),
                target: prepared
                    .planned
                    .text(prepared.sides.target.members[*target as usize].id)
                    .to_owned(),
                address: self.link_address(*person),
                origin: Origin::Adopted,
            });
        }
        for (pair, target) in &plan.agreement.memberships {
            if let Some(group) = &plan.pair(*pair).target {
                changes.push(Change::Membership {
                    job: job(),
                    group: group.clone(),
                    member: prepared
                        .planned
                        .text(prepared.sides.target.members[*target as usize].id)
                        .to_owned(),
                    brought: false,
                });
            }
        }
        for (group, member) in &plan.agreement.ended {
            changes.push(Change::MembershipGone {
                job: job(),
                group: group.clone(),
                member: prepared.planned.text(*member).to_owned(),
            });
        }
        let ended = plan.agreement.ended_bars.iter();
        changes.extend(ended.map(|fact| Change::RefusalEnded { fact: *fact }));
        for (account, meanings) in &prepared.sides.meanings {
            changes.push(Change::Meanings {
                account: account.clone(),
                meanings: meanings.clone(),
            });
        }
        // Groups whose link needs no write, and linked groups of which some field now stands as
        // asked.
        let edited: std::collections::BTreeSet<PairIx> = plan
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
            match prepared
                .base
                .group_of_source(source)
                .filter(|link| link.target == *target)
            {
                None => changes.extend(self.group_linked(
                    ix,
                    target,
                    self.origin_of_adoption(source),
                    &Record::new(),
                )),
                Some(link) => {
                    let refreshed =
                        self.group_base(source, target, &Record::new(), &pair.source_name);
                    let same = matches!(&refreshed[0], Change::GroupFields { fields, name, .. } if *fields == link.fields && *name == link.name);
                    changes.extend(refreshed.into_iter().skip(usize::from(same)));
                }
            }
        }
        changes
    }

    /// Remembers the profiles of people of whom nothing was to be written.
    pub(super) fn refresh(&self) -> Result<Vec<Change>, RunError> {
        let people = &self.prepared.planned.people;
        let mut changes = Vec::new();
        for person in &self.prepared.refresh {
            let written = self
                .prepared
                .facts
                .get(person)
                .and_then(|facts| facts.edit.as_ref())
                .is_some_and(|edit| !edit.is_empty());
            let writes = written && self.job.members.update;
            if let ([target], false) = (people.targets(*person), writes) {
                changes.extend(self.profile_written(*person, &Record::new())?);
                let id = self
                    .prepared
                    .planned
                    .text(self.prepared.sides.target.members[*target as usize].id)
                    .to_owned();
                changes.extend(self.carried_of_person(&self.canonical(*person)?, &id));
            }
        }
        Ok(changes)
    }

    pub(super) fn canonical(&self, person: PersonIx) -> Result<Record, RunError> {
        canonical(
            self.runner.store(),
            self.job,
            &self.prepared.sides,
            &self.prepared.planned.people,
            person,
        )
    }
}
