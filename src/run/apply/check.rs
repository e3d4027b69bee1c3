//! Reads back, once everything is sent, what the answers did not confirm (rule 9).

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::Applying;
use super::open::Open;
use super::send::operation;
use crate::model::Write;
use crate::plan::{PairIx, PersonIx};
use crate::run::error::RunError;
use crate::run::read::{
    GroupNow, group_now, groups_and_profiles_now, groups_now, is_read_together,
};
use crate::run::settle::{
    Answer, BARRED, Item, Parts, Standing, UNTOLD, groups_of, groups_of_row, parts, stands,
};
use crate::state::{JournalEntry, JournalOutcome};

/// How long the provider may take until a write shows, in seconds before each further look.
pub(super) const PATIENCE: [u64; 3] = [5, 15, 40];

pub(super) const NOT_SHOWN: &str = "the provider said yes, and reading back does not show it";

/// What is said of a group that is to be deleted, and of which the provider has said yes.
const STILL_SHOWN: &str =
    "the provider said yes, and still shows the group; the next run finds out what became of it";

impl Applying<'_> {
    /// Waits before a further look, unless the run is to stop.
    pub(super) async fn wait(&self, seconds: u64) -> Result<(), RunError> {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => Ok(()),
            () = self.runner.inner.options.stop.cancelled() => Err(RunError::Stopped),
        }
    }

    /// Reads back what the answers did not confirm. A write may take a moment to show.
    pub(super) async fn read_back(&mut self) -> Result<(), RunError> {
        if self.open.iter().any(|open| open.is_bare_creation) {
            self.prove_creations().await?;
        }
        for look in 0..=PATIENCE.len() {
            let mut still_open = Vec::new();
            let mut seen: HashMap<String, GroupNow> = HashMap::new();
            let by_row = self.open.iter().filter(|open| open.is_by_row);
            let together: BTreeSet<String> = by_row.flat_map(|open| open.groups.clone()).collect();
            seen.extend(self.groups_by_row(&together).await?);
            let open = std::mem::take(&mut self.open);
            // Who is in a group is in memory only as long as somebody still asks for it.
            let mut asked: HashMap<String, usize> = HashMap::new();
            for group in open.iter().flat_map(|open| &open.groups) {
                *asked.entry(group.clone()).or_default() += 1;
            }
            for open in open {
                for group in &open.groups {
                    if let Entry::Vacant(unseen) = seen.entry(group.clone()) {
                        let now = group_now(&self.handle, unseen.key()).await?;
                        unseen.insert(now);
                    }
                }
                let is_settled = self
                    .confirm_open(&open.open(), &seen, look == PATIENCE.len())
                    .await?;
                for group in &open.groups {
                    let left = asked.entry(group.clone()).or_default();
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        seen.remove(group);
                    }
                }
                if !is_settled {
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
        let mut people = BTreeSet::new();
        if is_read_together(&self.handle) && !groups.is_empty() && self.profiles_seen.is_none() {
            let items = self.open.iter().flat_map(|open| open.open().items);
            // All whose profile is read back in the end: whoever is missing in this reading would be
            // waited for as if the provider did not show them yet.
            let written = items.filter(|item| item.op == "update_member" || self.is_new(item));
            people.extend(written.filter_map(|item| item.person));
            people.extend(self.people_written.iter().copied());
        }
        if people.is_empty() {
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
            // Where nobody can tell what stands, the provider's no is the answer.
            if open.objections[position].is_some() {
                *standing = standing.take().filter(|standing| {
                    let row = parts(&open.write, position, &open.items[position], standing);
                    !(row.done.is_empty() && row.barred.is_empty())
                });
            }
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
                let row = parts(&open.write, position, &open.items[position], standing);
                row.missing.is_empty() && row.untold.is_empty() && !standing.is_untold()
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
                    changes.extend(self.confirming().confirmed(
                        &open.write,
                        item,
                        position,
                        &Standing::default(),
                    )?);
                    self.done(item)?;
                    outcomes[position] = JournalOutcome::Confirmed { id: None };
                }
                Some(standing) => {
                    self.learn(item, standing.id.as_deref(), true);
                    if let Some((known, outcome)) =
                        self.came_to_refuse(&open.write, item, position, standing)?
                    {
                        changes.extend(known);
                        outcomes[position] = outcome;
                        continue;
                    }
                    changes.extend(self.confirming().confirmed(
                        &open.write,
                        item,
                        position,
                        standing,
                    )?);
                    let row = parts(&open.write, position, item, standing);
                    outcomes[position] =
                        self.settle_parts(&open.write, position, item, standing, &row, NOT_SHOWN)?;
                }
                // It may be under way for minutes, and the link ends once it is found to be done.
                None if matches!(open.write, Write::DeleteGroup { .. }) => {
                    self.untold(item, STILL_SHOWN);
                    outcomes[position] = JournalOutcome::Unknown;
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
        self.settle_entry(open.journal, &outcomes, &changes)?;
        if matches!(open.write, Write::CreateMembers { .. }) {
            let created = open.items.iter().filter_map(|item| item.person);
            let known = created.filter(|person| self.so_far.person_ids.contains_key(person));
            let known: Vec<PersonIx> = known.collect();
            self.so_far.linked.extend(known);
        }
        Ok(true)
    }

    /// Counts what stands of an item, and what does not as failed, with words for what is missing.
    /// Returns what the journal says of it: what of several groups can't be told stays open in an
    /// entry of its own, so that nothing is asked about any more that is settled.
    pub(super) fn settle_parts(
        &mut self,
        write: &Write,
        position: usize,
        item: &Item,
        standing: &Standing,
        parts: &Parts,
        words: &str,
    ) -> Result<JournalOutcome, RunError> {
        let groups = groups_of_row(write, position).len();
        if groups == 0 && standing.is_untold() {
            self.untold(item, UNTOLD);
            return Ok(JournalOutcome::Unknown);
        }
        if parts.done.len() == groups {
            self.done(item)?;
            return Ok(JournalOutcome::Confirmed {
                id: standing.id.clone(),
            });
        }
        if !parts.done.is_empty() {
            self.done(&item.narrowed(&parts.done))?;
        }
        let mut message = words;
        for (pairs, reason) in [(&parts.missing, words), (&parts.barred, BARRED)] {
            if !pairs.is_empty() {
                self.failed(&item.narrowed(pairs), None, reason);
                message = reason;
            }
        }
        if !parts.untold.is_empty() {
            self.untold(&item.narrowed(&parts.untold), UNTOLD);
            message = UNTOLD;
            // Whether somebody new is there at all is one question, and takes what was sent.
            if parts.untold.len() == groups || self.is_new(item) {
                return Ok(JournalOutcome::Unknown);
            }
            self.stays_open(write, position, item, standing, &parts.untold)?;
        }
        Ok(JournalOutcome::Failed {
            code: None,
            message: message.to_owned(),
        })
    }

    /// Has the next run find out what became of some groups of an item.
    fn stays_open(
        &mut self,
        write: &Write,
        position: usize,
        item: &Item,
        standing: &Standing,
        groups: &[PairIx],
    ) -> Result<(), RunError> {
        let item = Item {
            target_id: item.target_id.clone().or_else(|| standing.id.clone()),
            ..item.narrowed(groups)
        };
        let store = self.runner.store();
        let entry = JournalEntry {
            job: self.job.name.clone(),
            account: self.job.target_account.clone(),
            operation: operation(write).to_owned(),
            items: vec![self.journal_item(write, position, &item)?],
            now: self.runner.now(),
        };
        let journal = store.begin_write(self.run, &entry)?;
        self.settle_unknown(journal, &[item])
    }

    /// Looks whether an item stands in what was listed; of an item by row a part may.
    pub(super) fn stands(
        &self,
        write: &Write,
        position: usize,
        item: &Item,
        seen: &HashMap<String, GroupNow>,
    ) -> Option<Standing> {
        let address = item.person.map(|person| self.address(person));
        stands(write, position, item, address.as_deref(), seen)
    }
}
