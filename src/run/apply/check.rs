//! Looks what stands at the provider: after a doubt, and before anything is recorded that an answer
//! did not confirm.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::rows::{BARRED, Parts, groups_of_row, is_by_row, parts};
use super::{Applying, Item, Open};
use crate::model::{MemberStatus, MembershipState, ObjectKind, Write};
use crate::plan::PersonIx;
use crate::run::verify::{
    GroupNow, group_now, groups_and_profiles_now, groups_now, is_read_together, people_now,
};
use crate::run::{ItemFailure, RunError};
use crate::state::JournalOutcome;

/// How long the provider may take until a write shows, in seconds before each further look.
pub(super) const PATIENCE: [u64; 3] = [5, 15, 40];

pub(super) const NOT_SHOWN: &str = "the provider said yes, and reading back does not show it";

/// What a group shows of a person, with the time of a refusal in seconds since 1970.
pub(in crate::run) type Shown = (Option<MembershipState>, Option<i64>);

/// How an item stands at the provider.
#[derive(Clone, Debug, Default)]
pub(in crate::run) struct Standing {
    /// The id of what was created, or of the person, where it shows.
    pub(in crate::run) id: Option<String>,
    /// How the person stands, where one was created.
    pub(super) status: Option<MemberStatus>,
    /// Of an item by row: what its groups show of the person, with the time of a refusal. Nothing
    /// where it stands as asked for.
    pub(in crate::run) groups: Option<HashMap<String, Shown>>,
    /// What the provider said of it.
    pub(in crate::run) answer: Answer,
}

/// What the provider said of an item of rosterd's own request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::run) enum Answer {
    /// Nothing that arrived: what shows may be anybody's doing.
    #[default]
    Lost,
    /// Yes.
    Yes,
    /// Something against it: what shows was there before.
    Objection,
}

impl Standing {
    pub(super) fn of(id: &str) -> Standing {
        Standing {
            id: Some(id.to_owned()),
            ..Standing::default()
        }
    }

    fn of_person(id: &str, status: MemberStatus) -> Standing {
        Standing {
            status: Some(status),
            ..Standing::of(id)
        }
    }

    /// Somebody found in a group, as the membership shows the person.
    fn of_member(id: &str, state: MembershipState) -> Standing {
        let status = match state {
            MembershipState::Active | MembershipState::Unconfirmed => MemberStatus::Active,
            MembershipState::Bounced => MemberStatus::Bounced,
            MembershipState::OptedOut => MemberStatus::OptedOut,
        };
        Standing::of_person(id, status)
    }
}

impl Applying<'_> {
    /// Looks which items of a write stand at the provider now: nothing stands for an item that is
    /// certainly not done.
    pub(super) async fn observe(
        &self,
        write: &Write,
        items: &[Item],
    ) -> Result<Vec<Option<Standing>>, RunError> {
        let uncertain = |what: &str| RunError::Write {
            provider: self.handle.name.clone(),
            why: format!("{what} could not be read back to its end"),
        };
        let failed = |error| RunError::Read {
            provider: self.handle.name.clone(),
            error: Box::new(error),
        };
        Ok(match write {
            Write::CreateGroup { name, .. } => {
                let (rows, certificate) = self
                    .handle
                    .adapter
                    .groups(&|_, _| false)
                    .await
                    .map_err(failed)?;
                if certificate
                    .certify((), &mut crate::model::TotalMeanings::all())
                    .complete()
                    .is_none()
                {
                    return Err(uncertain("the list of groups"));
                }
                let field = self
                    .prepared
                    .schema
                    .by_canonical(ObjectKind::Group, "name")
                    .map_or("name", |spec| spec.wire);
                let before = &self.prepared.sides.target_rows;
                let mut found = rows.into_iter().filter(|row| {
                    !before.contains_key(&row.id)
                        && row
                            .wire
                            .get(field)
                            .is_some_and(|value| value.to_string() == *name)
                });
                let first = found.next();
                if let (Some(first), Some(second)) = (&first, found.next()) {
                    let why = format!(
                        "the groups {} and {} appeared while one of that name was created, and which one it is can't be told; keep one of them",
                        first.id, second.id
                    );
                    return Err(RunError::Write {
                        provider: self.handle.name.clone(),
                        why,
                    });
                }
                vec![first.map(|row| Standing::of(&row.id))]
            }
            Write::EditGroups { edits } => {
                let ids: BTreeSet<&str> = edits.iter().map(|edit| edit.id.as_str()).collect();
                let (rows, _) = self
                    .handle
                    .adapter
                    .groups(&|id, _| ids.contains(id))
                    .await
                    .map_err(failed)?;
                edits
                    .iter()
                    .map(|edit| {
                        let row = rows.iter().find(|row| row.id == edit.id)?;
                        // A name in between is replaced by a later edit of the same group.
                        let last_sent = self
                            .prepared
                            .sides
                            .target_rows
                            .get(&edit.id)
                            .map(|row| &row.wire);
                        let unshown = |field: &str| {
                            !row.wire.contains_key(field)
                                && self
                                    .prepared
                                    .schema
                                    .by_wire(ObjectKind::Group, field)
                                    .is_some_and(|spec| spec.may_be_unshown)
                        };
                        // What is not shown proves nothing, and something has to.
                        let mut shown = edit
                            .fields
                            .iter()
                            .filter(|(field, _)| !unshown(field))
                            .peekable();
                        let stands = shown.peek().is_some()
                            && shown.all(|(field, value)| {
                                let held = row.wire.get(field);
                                let later = last_sent.and_then(|sent| sent.get(field));
                                crate::plan::fields::same(Some(value), held)
                                    || (later.is_some() && crate::plan::fields::same(later, held))
                            });
                        stands.then(Standing::default)
                    })
                    .collect()
            }
            Write::DeleteGroup { id } => vec![
                self.handle
                    .adapter
                    .group(id)
                    .await
                    .map_err(failed)?
                    .is_none()
                    .then(Standing::default),
            ],
            Write::CreateMembers { join, .. } if !join.is_empty() => {
                let mut found: Vec<Option<Standing>> = vec![None; items.len()];
                for (number, group) in join.iter().enumerate() {
                    let now = group_now(&self.handle, group).await?;
                    for (item, found) in items.iter().zip(&mut found) {
                        let address = item
                            .person
                            .map(|person| self.address(person))
                            .unwrap_or_default();
                        let rows = now.by_address.get(&address);
                        if rows.is_none() && !now.whole {
                            return Err(uncertain("a group"));
                        }
                        let row = rows
                            .and_then(|rows| rows.first())
                            .map(|(id, state)| Standing::of_member(id, *state));
                        // Done means listed in every group of the request; of several states the
                        // strictest counts.
                        *found = match (found.take(), row) {
                            (_, row) if number == 0 => row,
                            (Some(before), Some(row)) => Some(Standing {
                                status: row.status.max(before.status),
                                ..row
                            }),
                            _ => None,
                        };
                    }
                }
                self.with_account_states(items, &mut found).await?;
                found
            }
            Write::CreateMembers { .. }
            | Write::CreateOptedOut { .. }
            | Write::ChangeAddress { .. }
            | Write::OptOutOfAccount { .. } => {
                let addresses: Vec<String> = items
                    .iter()
                    .filter_map(|item| item.person)
                    .map(|person| self.address(person))
                    .collect();
                let now = people_now(&self.handle, &addresses).await?;
                if !now.whole
                    && !matches!(
                        write,
                        Write::ChangeAddress { .. } | Write::OptOutOfAccount { .. }
                    )
                {
                    return Err(uncertain("the account"));
                }
                let opt_out = matches!(
                    write,
                    Write::OptOutOfAccount { .. } | Write::CreateOptedOut { .. }
                );
                items
                    .iter()
                    .map(|item| {
                        let people = now.by_address.get(&self.address(item.person?))?;
                        let person = match &item.target_id {
                            Some(id) => people.iter().find(|person| person.id == *id)?,
                            None => people.first()?,
                        };
                        (!opt_out || person.status == MemberStatus::OptedOut)
                            .then(|| Standing::of_person(&person.id, person.status))
                    })
                    .collect()
            }
            Write::AddMemberships { group, members }
            | Write::RemoveMemberships { group, members } => {
                let now = group_now(&self.handle, group).await?;
                if !now.whole {
                    return Err(uncertain("a group"));
                }
                let adding = matches!(write, Write::AddMemberships { .. });
                members
                    .iter()
                    .map(|id| {
                        let state = now.by_id.get(id);
                        let stands = if adding {
                            state.is_some()
                        } else {
                            state != Some(&MembershipState::Active)
                        };
                        stands.then(Standing::default)
                    })
                    .collect()
            }
            Write::OptOutOfGroups { member, groups } => {
                let mut all = true;
                for group in groups {
                    let now = group_now(&self.handle, group).await?;
                    let refuses = now.by_id.get(member) == Some(&MembershipState::OptedOut);
                    if !refuses && !now.whole {
                        return Err(uncertain("a group"));
                    }
                    all &= refuses;
                }
                vec![all.then(Standing::default)]
            }
            Write::JoinGroups { .. } | Write::LeaveGroups { .. } | Write::BringBack { .. } => {
                let seen =
                    groups_now(&self.handle, &groups_of(write).into_iter().collect()).await?;
                if seen.values().any(|now| !now.whole) {
                    return Err(uncertain("a group"));
                }
                items
                    .iter()
                    .enumerate()
                    .map(|(position, item)| self.stands(write, position, item, &seen))
                    .collect()
            }
            // The same values once more do no harm.
            Write::UpdateMembers { .. } => vec![None; items.len()],
            Write::CreateCustomField { label, .. } => {
                let fields = self.handle.adapter.custom_fields().await.map_err(failed)?;
                vec![fields.find(label).is_some().then(Standing::default)]
            }
        })
    }

    /// Adds what holds for people in the whole account to what their groups show: the listing of a
    /// group need not tell it.
    async fn with_account_states(
        &self,
        items: &[Item],
        found: &mut [Option<Standing>],
    ) -> Result<(), RunError> {
        let there = || {
            items
                .iter()
                .zip(&*found)
                .filter(|(_, found)| found.is_some())
                .filter_map(|(item, _)| item.person)
        };
        let addresses: Vec<String> = there().map(|person| self.address(person)).collect();
        if addresses.is_empty() {
            return Ok(());
        }
        let now = people_now(&self.handle, &addresses).await?;
        for (item, found) in items.iter().zip(found) {
            let (Some(person), Some(found)) = (item.person, found) else {
                continue;
            };
            let strictest = now
                .by_address
                .get(&self.address(person))
                .into_iter()
                .flatten()
                .map(|person| person.status)
                .max();
            found.status = found.status.max(strictest);
        }
        Ok(())
    }

    /// Tells whether somebody who is created is meant to refuse mail.
    pub(super) fn expects_refusal(&self, person: PersonIx) -> bool {
        self.prepared.planned.people.get(person).source_status == MemberStatus::OptedOut
    }

    /// Tells who of a creation turned out to be there and not to be mailed, against what was
    /// planned: nothing more is added.
    pub(super) fn refused_meanwhile(
        &self,
        write: &Write,
        item: &Item,
        found: &Standing,
    ) -> Option<PersonIx> {
        let creates = matches!(write, Write::CreateMembers { .. });
        let inactive = found
            .status
            .is_some_and(|status| status != MemberStatus::Active);
        item.person
            .filter(|person| creates && inactive && !self.expects_refusal(*person))
    }

    /// Reads the account once to prove the ids of everybody who was created, before any of them is
    /// used.
    pub(super) async fn prove_creations(&mut self) -> Result<(), RunError> {
        let (proving, rest): (Vec<Open>, Vec<Open>) =
            std::mem::take(&mut self.open).into_iter().partition(
                |open| matches!(&open.write, Write::CreateMembers { join, .. } if join.is_empty()),
            );
        self.open = rest;
        let addresses: Vec<String> = proving
            .iter()
            .flat_map(|open| open.items.iter().filter_map(|item| item.person))
            .map(|person| self.address(person))
            .collect();
        let mut waits = PATIENCE.iter();
        let now = loop {
            let now = people_now(&self.handle, &addresses).await?;
            let shown = addresses
                .iter()
                .all(|address| now.by_address.contains_key(address));
            match waits.next() {
                Some(seconds) if !shown => self.wait(*seconds).await?,
                _ => break now,
            }
        };
        for open in proving {
            let mut outcomes = open.outcomes.clone();
            let mut changes = Vec::new();
            for (position, item) in open.items.iter().enumerate() {
                let JournalOutcome::Accepted { id: claimed } = &open.outcomes[position] else {
                    continue;
                };
                let Some(person) = item.person else { continue };
                let found = now
                    .by_address
                    .get(&self.address(person))
                    .map_or(&[][..], Vec::as_slice);
                let proved = found
                    .iter()
                    .find(|found| claimed.as_ref() == Some(&found.id))
                    .or(match found {
                        [only] => Some(only),
                        _ => None,
                    });
                self.unproved.remove(&person);
                match proved {
                    // Somebody may have refused in the moment between.
                    Some(found) if found.status != MemberStatus::Active => {
                        self.person_ids.insert(person, found.id.clone());
                        changes.extend(self.confirmed(
                            &open.write,
                            item,
                            position,
                            &Standing::of(&found.id),
                        )?);
                        if !self.expects_refusal(person) {
                            self.lost_people.insert(person);
                        }
                        outcomes[position] = JournalOutcome::Confirmed {
                            id: Some(found.id.clone()),
                        };
                    }
                    Some(found) => {
                        self.person_ids.insert(person, found.id.clone());
                        changes.extend(self.confirmed(
                            &open.write,
                            item,
                            position,
                            &Standing::of(&found.id),
                        )?);
                        self.done(item);
                        outcomes[position] = JournalOutcome::Confirmed {
                            id: Some(found.id.clone()),
                        };
                    }
                    None => {
                        let message = "the provider said that it created the person, and the account does not show it";
                        self.failed(item, None, message);
                        outcomes[position] = JournalOutcome::Failed {
                            code: None,
                            message: message.to_owned(),
                        };
                    }
                }
            }
            self.runner.store().settle_write(
                open.journal,
                &outcomes,
                &changes,
                self.runner.now(),
            )?;
        }
        Ok(())
    }

    /// Waits before a further look, unless the run is to stop.
    pub(super) async fn wait(&self, seconds: u64) -> Result<(), RunError> {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => Ok(()),
            () = self.runner.inner.options.stop.cancelled() => Err(RunError::Stopped),
        }
    }

    /// Looks, once everything is written, whether a group whose creation was in doubt has a twin by
    /// now: the request that was given up may have had its effect after all.
    pub(super) async fn look_for_twins(&mut self) -> Result<(), RunError> {
        let doubted = std::mem::take(&mut self.doubted_groups);
        if doubted.is_empty() {
            return Ok(());
        }
        let (rows, _) = self
            .handle
            .adapter
            .groups(&|_, _| false)
            .await
            .map_err(|error| RunError::Read {
                provider: self.handle.name.clone(),
                error: Box::new(error),
            })?;
        let field = self
            .prepared
            .schema
            .by_canonical(ObjectKind::Group, "name")
            .map_or("name", |spec| spec.wire);
        for pair in doubted {
            let Some(ours) = self.group_ids.get(&pair) else {
                continue;
            };
            let name = self.prepared.planned.plan.pair(pair).name.clone();
            let twins: Vec<&str> = rows
                .iter()
                .filter(|row| {
                    row.id != *ours
                        && !self.prepared.sides.target_rows.contains_key(&row.id)
                        && row
                            .wire
                            .get(field)
                            .is_some_and(|held| held.to_string() == name)
                })
                .map(|row| row.id.as_str())
                .collect();
            if twins.is_empty() {
                continue;
            }
            let message = format!(
                "The group \"{name}\" was created twice, because the first request took effect late: {ours} is used, and {} stands beside it; look at it and delete it at {}.",
                twins.join(" and "),
                self.job.target
            );
            self.report.warnings.push(message.clone());
            self.report.failures.push(ItemFailure {
                op: "create_group".to_owned(),
                group: Some(name),
                member: None,
                code: None,
                message,
            });
        }
        Ok(())
    }

    /// Reads back what the answers did not confirm. A write may take a moment to show.
    pub(super) async fn read_back(&mut self) -> Result<(), RunError> {
        if self
            .open
            .iter()
            .any(|open| matches!(&open.write, Write::CreateMembers { join, .. } if join.is_empty()))
        {
            self.prove_creations().await?;
        }
        for look in 0..=PATIENCE.len() {
            let mut still_open = Vec::new();
            let mut seen: HashMap<String, GroupNow> = HashMap::new();
            let by_row = self.open.iter().filter(|open| {
                is_by_row(&open.write) || matches!(open.write, Write::BringBack { .. })
            });
            let together: BTreeSet<String> =
                by_row.flat_map(|open| groups_of(&open.write)).collect();
            seen.extend(self.groups_by_row(&together).await?);
            for open in std::mem::take(&mut self.open) {
                for group in groups_of(&open.write) {
                    if let Entry::Vacant(unseen) = seen.entry(group) {
                        let now = group_now(&self.handle, unseen.key()).await?;
                        unseen.insert(now);
                    }
                }
                if !self
                    .confirm_open(&open, &seen, look == PATIENCE.len())
                    .await?
                {
                    still_open.push(open);
                }
            }
            self.open = still_open;
            match PATIENCE.get(look) {
                Some(seconds) if !self.open.is_empty() => {
                    self.wait(*seconds).await?;
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// Lists the groups of requests by row, and reads the profiles that were written along with
    /// them.
    async fn groups_by_row(
        &mut self,
        groups: &BTreeSet<String>,
    ) -> Result<HashMap<String, GroupNow>, RunError> {
        let new = self.open.iter().flat_map(|open| &open.items);
        let new = new.filter(|item| self.is_new(item));
        let people: BTreeSet<PersonIx> = new
            .filter_map(|item| item.person)
            .chain(self.people_written.iter().copied())
            .collect();
        let together = is_read_together(&self.handle) && !groups.is_empty() && !people.is_empty();
        if !together || self.profiles_seen.is_some() {
            return groups_now(&self.handle, groups).await;
        }
        let addresses: Vec<String> = people.iter().map(|person| self.address(*person)).collect();
        let mapping = &self.prepared.sides.mapping;
        let (seen, profiles) =
            groups_and_profiles_now(&self.handle, groups, mapping, &addresses).await?;
        self.profiles_seen = Some(profiles);
        Ok(seen)
    }

    /// Confirms what stands. Returns whether nothing is left open; on the last look what is missing
    /// has failed.
    pub(super) async fn confirm_open(
        &mut self,
        open: &Open,
        seen: &HashMap<String, GroupNow>,
        last: bool,
    ) -> Result<bool, RunError> {
        let listed = groups_of(&open.write);
        let mut found: Vec<Option<Standing>> = if listed.is_empty() {
            self.observe(&open.write, &open.items).await?
        } else {
            open.items
                .iter()
                .enumerate()
                .map(|(position, item)| self.stands(&open.write, position, item, seen))
                .collect()
        };
        let accepted =
            |position: usize| matches!(open.outcomes[position], JournalOutcome::Accepted { .. });
        for (position, standing) in found.iter_mut().enumerate() {
            if let Some(standing) = standing {
                standing.answer = match &open.objections[position] {
                    Some(_) => Answer::Objection,
                    None if accepted(position) => Answer::Yes,
                    None => Answer::Lost,
                };
            }
        }
        // A profile that was accepted is compared by the next run, which reads it anyway.
        let trusted = matches!(open.write, Write::UpdateMembers { .. });
        // Waiting helps where the provider said yes, and not where it said no.
        // Nor where a part is done and the rest can't be.
        let all_there = |position: usize| {
            let standing = found[position].as_ref();
            standing.is_some_and(|standing| {
                parts(&open.write, position, &open.items[position], standing)
                    .missing
                    .is_empty()
            })
        };
        let settled = |position: usize| {
            !accepted(position) || all_there(position) || open.objections[position].is_some()
        };
        let complete = trusted || (0..open.items.len()).all(settled);
        if !complete && !last {
            return Ok(false);
        }
        let mut outcomes = open.outcomes.clone();
        let mut changes = Vec::new();
        for (position, item) in open
            .items
            .iter()
            .enumerate()
            .filter(|(position, _)| accepted(*position))
        {
            match &found[position] {
                None if trusted => {
                    changes.extend(self.confirmed(
                        &open.write,
                        item,
                        position,
                        &Standing::default(),
                    )?);
                    self.done(item);
                    outcomes[position] = JournalOutcome::Confirmed { id: None };
                }
                Some(standing) => {
                    self.learn(item, standing.id.as_deref(), true);
                    changes.extend(self.confirmed(&open.write, item, position, standing)?);
                    let row = parts(&open.write, position, item, standing);
                    outcomes[position] = self.settle_parts(item, standing, &row, NOT_SHOWN);
                }
                None => {
                    let (code, message) = match &open.objections[position] {
                        Some(refusal) => (refusal.code.clone(), refusal.message.clone()),
                        None => (None, NOT_SHOWN.to_owned()),
                    };
                    self.failed(item, code.clone(), &message);
                    outcomes[position] = JournalOutcome::Failed { code, message };
                }
            }
        }
        self.runner
            .store()
            .settle_write(open.journal, &outcomes, &changes, self.runner.now())?;
        Ok(true)
    }

    /// Counts what stands of an item, and what does not as failed. Returns what the journal says of
    /// it.
    pub(super) fn settle_parts(
        &mut self,
        item: &Item,
        standing: &Standing,
        parts: &Parts,
        words: &str,
    ) -> JournalOutcome {
        let whole = parts.missing.is_empty() && parts.barred.is_empty();
        if whole {
            self.done(item);
            return JournalOutcome::Confirmed {
                id: standing.id.clone(),
            };
        }
        if !parts.done.is_empty() {
            self.done(&item.narrowed(&parts.done));
        }
        let mut message = words;
        for (pairs, reason) in [(&parts.missing, words), (&parts.barred, BARRED)] {
            if !pairs.is_empty() {
                self.failed(&item.narrowed(pairs), None, reason);
                message = reason;
            }
        }
        JournalOutcome::Failed {
            code: None,
            message: message.to_owned(),
        }
    }

    /// Looks whether an item stands in what was listed; of an item by row a part may.
    pub(super) fn stands(
        &self,
        write: &Write,
        position: usize,
        item: &Item,
        seen: &HashMap<String, GroupNow>,
    ) -> Option<Standing> {
        match write {
            Write::JoinGroups { .. } | Write::LeaveGroups { .. } | Write::BringBack { .. } => {
                let standing = self.look_at_row(write, position, item, seen);
                let row = parts(write, position, item, &standing);
                (!row.done.is_empty() || !row.barred.is_empty()).then_some(standing)
            }
            Write::CreateMembers { join, .. } => {
                let address = self.address(item.person?);
                let mut found = Standing::default();
                for group in join {
                    let (id, state) = seen.get(group)?.by_address.get(&address)?.first()?;
                    found = Standing::of_member(id, *state);
                }
                Some(found)
            }
            Write::AddMemberships { group, members } => seen
                .get(group)?
                .by_id
                .get(&members[position])
                .map(|_| Standing::default()),
            Write::RemoveMemberships { group, members } => {
                let now = seen.get(group)?;
                (now.whole && now.by_id.get(&members[position]) != Some(&MembershipState::Active))
                    .then(Standing::default)
            }
            Write::OptOutOfGroups { member, groups } => groups
                .iter()
                .all(|group| {
                    seen.get(group).is_some_and(|now| {
                        now.by_id.get(member) == Some(&MembershipState::OptedOut)
                    })
                })
                .then(Standing::default),
            _ => None,
        }
    }
}

/// Returns the groups whose listings show whether a write was done.
pub(super) fn groups_of(write: &Write) -> Vec<String> {
    match write {
        Write::CreateMembers { join, .. } => join.clone(),
        Write::AddMemberships { group, .. } | Write::RemoveMemberships { group, .. } => {
            vec![group.clone()]
        }
        Write::OptOutOfGroups { groups, .. } => groups.clone(),
        Write::JoinGroups { .. } | Write::LeaveGroups { .. } | Write::BringBack { .. } => {
            let all: BTreeSet<String> = (0..write.items())
                .flat_map(|position| groups_of_row(write, position))
                .collect();
            all.into_iter().collect()
        }
        _ => Vec::new(),
    }
}
