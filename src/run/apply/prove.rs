//! Proves the ids of people who were created, before anything goes by them.

use std::collections::HashMap;

use super::Applying;
use super::check::PATIENCE;
use super::open::Kept;
use crate::model::{MemberStatus, Write};
use crate::plan::PersonIx;
use crate::run::error::RunError;
use crate::run::read::people_now;
use crate::run::settle::{Item, Standing, UNTOLD};
use crate::state::{Change, JournalOutcome};

impl Applying<'_> {
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

    /// Settles an item of somebody who was to be created and turned out to refuse: linked, and in no
    /// group by rosterd's doing.
    pub(super) fn came_to_refuse(
        &mut self,
        write: &Write,
        item: &Item,
        position: usize,
        found: &Standing,
    ) -> Result<Option<(Vec<Change>, JournalOutcome)>, RunError> {
        let (Some(id), Some(person)) = (&found.id, self.refused_meanwhile(write, item, found))
        else {
            return Ok(None);
        };
        self.lost_people.insert(person);
        self.came_refusing.insert(person);
        let in_no_group = Standing {
            groups: Some(HashMap::new()),
            ..found.clone()
        };
        let confirming = self.confirming();
        let changes = confirming.confirmed(write, item, position, &in_no_group)?;
        let id = Some(id.clone());
        Ok(Some((changes, JournalOutcome::Confirmed { id })))
    }

    /// Reads the account once to prove the ids of everybody who was created, before any of them is
    /// used.
    pub(super) async fn prove_creations(&mut self) -> Result<(), RunError> {
        let (proving, rest): (Vec<Kept>, Vec<Kept>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open| open.is_bare_creation);
        self.open = rest;
        let addresses: Vec<String> = proving
            .iter()
            .flat_map(|open| open.open().items)
            .filter_map(|item| item.person)
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
            let open = open.open();
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
                        self.so_far.person_ids.insert(person, found.id.clone());
                        changes.extend(self.confirming().confirmed(
                            &open.write,
                            item,
                            position,
                            &Standing::of(&found.id),
                        )?);
                        if !self.expects_refusal(person) {
                            self.lost_people.insert(person);
                            self.came_refusing.insert(person);
                        }
                        outcomes[position] = JournalOutcome::Confirmed {
                            id: Some(found.id.clone()),
                        };
                    }
                    Some(found) => {
                        self.so_far.person_ids.insert(person, found.id.clone());
                        changes.extend(self.confirming().confirmed(
                            &open.write,
                            item,
                            position,
                            &Standing::of(&found.id),
                        )?);
                        self.done(item)?;
                        outcomes[position] = JournalOutcome::Confirmed {
                            id: Some(found.id.clone()),
                        };
                    }
                    // An account that was not read to its end shows nothing by showing nobody.
                    None if now.unknown.contains(&self.address(person)) => {
                        self.untold(item, UNTOLD);
                        outcomes[position] = JournalOutcome::Unknown;
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
            self.settle_entry(open.journal, &outcomes, &changes)?;
        }
        Ok(())
    }
}
