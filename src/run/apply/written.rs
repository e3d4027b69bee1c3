//! Reads back the values that a run wrote, so that the base holds them as the provider spells them:
//! what differs after that was changed by somebody else.

use std::collections::BTreeSet;

use super::Applying;
use super::check::{NOT_SHOWN, PATIENCE};
use crate::plan::PersonIx;
use crate::plan::fields::same;
use crate::run::error::RunError;
use crate::run::read::{ProfilesNow, UNREAD, groups_as_stored, profiles_now};
use crate::run::settle::{is_written, spell, take_stored};
use crate::state::Change;

/// How many people's bases are written at once: each writing waits for the disk.
const AT_ONCE: usize = 1_000;

impl Applying<'_> {
    /// Reads back what was written of groups and people. Where that can't be read, the base keeps
    /// what was written, and a warning says so.
    pub(super) async fn read_values_back(&mut self) -> Result<(), RunError> {
        if let Err(error) = self.read_groups_back().await {
            self.tally.warnings.push(format!(
                "The groups that were written could not be read back: {error}. The next run compares them with what was written."
            ));
        }
        match self.read_people_back().await {
            Err(stopped @ RunError::Stopped) => return Err(stopped),
            Err(error) => self.tally.warnings.push(format!(
                "The profiles that were written could not be read back: {error}. The next run compares them with what was written."
            )),
            Ok(()) => {}
        }
        Ok(())
    }

    async fn read_groups_back(&mut self) -> Result<(), RunError> {
        let written = std::mem::take(&mut self.groups_written);
        let ids: BTreeSet<String> = written
            .into_iter()
            .filter_map(|pair| self.group_id(pair))
            .collect();
        let links = self.runner.store().links(&self.job.name)?;
        let spoken_for = |link: &&crate::plan::base::GroupLink| ids.contains(&link.target);
        if !links.iter().any(|link| spoken_for(&link)) {
            return Ok(());
        }
        let stored = groups_as_stored(&self.handle, &ids).await?;
        let mut changes = Vec::new();
        for link in links.iter().filter(spoken_for) {
            let Some(held) = stored.get(&link.target) else {
                continue;
            };
            let before = self.prepared.sides.target.group(&link.target);
            let before = before.map(|group| group.wire.clone()).unwrap_or_default();
            let mut fields = link.fields.clone();
            for (field, then) in &mut fields {
                let now = held.get(field).filter(|value| !value.is_empty());
                // What is not shown, or still as it was, may not show yet.
                if is_written(then, before.get(field)) && !same(now, before.get(field)) {
                    spell(then, now);
                }
            }
            if fields != link.fields {
                changes.push(Change::GroupFields {
                    job: self.job.name.clone(),
                    source: link.source.clone(),
                    fields,
                    name: link.name.clone(),
                });
            }
        }
        self.runner.store().record(&changes)?;
        Ok(())
    }

    async fn read_people_back(&mut self) -> Result<(), RunError> {
        let written = std::mem::take(&mut self.people_written).into_iter();
        let mut open: Vec<PersonIx> = written
            .filter(|person| self.ids(*person).len() == 1)
            .collect();
        let mut looks = PATIENCE.iter();
        loop {
            if open.is_empty() {
                return Ok(());
            }
            #[expect(clippy::single_match_else, reason = "two ways of equal rank")]
            let now = match self.profiles_seen.take() {
                Some(seen) => seen,
                None => {
                    let people = open.iter();
                    let addresses: Vec<String> =
                        people.map(|person| self.address(*person)).collect();
                    let mapping = &self.prepared.sides.mapping;
                    profiles_now(&self.handle, mapping, &addresses).await?
                }
            };
            let wait = looks.next();
            let mut behind = Vec::new();
            for people in open.chunks(AT_ONCE) {
                behind.extend(self.take_as_stored(people, &now, wait.is_none())?);
            }
            let Some(seconds) = wait else { return Ok(()) };
            if !behind.is_empty() {
                self.wait(*seconds).await?;
            }
            open = behind;
        }
    }

    /// Takes the profiles of people into the base as they are stored by now. Returns those of whom
    /// something that was written does not show; on the last look it has failed.
    fn take_as_stored(
        &mut self,
        people: &[PersonIx],
        now: &ProfilesNow,
        last: bool,
    ) -> Result<Vec<PersonIx>, RunError> {
        let store = self.runner.store();
        let planned = &self.prepared.planned;
        let sides = &self.prepared.sides;
        let record_of = |person: &PersonIx| {
            let first = planned.people.sources(*person).first()?;
            Some(planned.text(sides.source.members[*first as usize].id))
        };
        let records: Vec<&str> = people.iter().filter_map(record_of).collect();
        let mut known = store
            .fields_of_members(&self.job.name, &records)?
            .into_iter();
        let (mut changes, mut unwritten, mut behind) = (Vec::new(), Vec::new(), Vec::new());
        for &person in people {
            let fields = record_of(&person).and_then(|_| known.next());
            let ids = self.ids(person);
            let held = ids.first().map(|id| now.get(id)).transpose()?.flatten();
            let Some((hash, held)) = held else {
                if !last {
                    behind.push(person);
                }
                continue;
            };
            let Some(mut fields) = fields else { continue };
            let before = crate::run::read::current(sides, &planned.people, person)?;
            let is_new = planned.people.targets(person).is_empty();
            let facts = self.prepared.facts.get(&person);
            let edit = facts.and_then(|facts| facts.edit.as_ref());
            let sent = edit.map(|edit| self.as_named_now(edit.set.clone()));
            let sent = sent.unwrap_or_default();
            let sent = (!is_new).then_some(&sent);
            let ignored = take_stored(&mut fields, &before, &held, sent);
            if !ignored.is_empty() && !last {
                behind.push(person);
                continue;
            }
            // Whoever is to be written again is compared again.
            let undoes = self.prepared.planned.undoing.is_some();
            let seen = if ignored.is_empty() && !undoes {
                hash
            } else {
                UNREAD
            };
            changes.extend(self.confirming().member_bases(person, &fields, seen));
            if !ignored.is_empty() {
                let message = format!("{NOT_SHOWN} ({})", ignored.join(", "));
                let known = self.prepared.known(self.job);
                let member = known.person_key(person).into_owned();
                unwritten.push((member, message));
            }
        }
        store.record(&changes)?;
        for (member, message) in unwritten {
            self.tally.values_ignored(member, message);
        }
        Ok(behind)
    }
}
