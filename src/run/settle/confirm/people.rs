//! What is remembered of a person who was created, moved or written.

use std::sync::Arc;

use super::Confirming;
use crate::model::{ObjectKind, Record};
use crate::plan::PersonIx;
use crate::plan::base::{FieldBases, Origin};
use crate::run::error::RunError;
use crate::run::read::{UNREAD, canonical, current, fields_base};
use crate::run::settle::bases::{agree_on, bases_of, keep_known};
use crate::run::settle::known::{Known, Profile};
use crate::run::settle::standing::Answer;
use crate::state::Change;

impl Confirming<'_> {
    /// Links a person who was created, with the values that were sent as the base where some were;
    /// once, however many requests created them.
    pub(super) fn person_created(
        &self,
        person: PersonIx,
        id: &str,
        answer: Answer,
        with_profile: bool,
    ) -> Result<Vec<Change>, RunError> {
        let created = self.so_far.person_ids.get(&person);
        if self.so_far.linked.contains(&person) && created.is_some_and(|known| known == id) {
            return Ok(Vec::new());
        }
        // Whoever is there although the provider said no came otherwise.
        let known_before =
            answer == Answer::Objection || !self.known.people.targets(person).is_empty();
        let origin = if known_before {
            Origin::Adopted
        } else {
            Origin::Created
        };
        let mut changes = self.person_linked(person, id, origin);
        if !known_before && with_profile {
            let desired = self.fields_of(person)?;
            let fields = bases_of(&desired, &desired);
            changes.extend(self.member_bases(person, &fields, UNREAD));
        }
        // The provider may give whoever was out of sight the contact that rosterd once took out of
        // its last group: from here on it is erased by nobody but others.
        changes.push(Change::MemberRemovedByUs {
            job: self.known.job.name.clone(),
            target: id.to_owned(),
            removed: false,
        });
        changes.extend(self.carried_of_person(person, id)?);
        Ok(changes)
    }

    pub(in crate::run) fn carried_of_person(
        &self,
        person: PersonIx,
        id: &str,
    ) -> Result<Vec<Change>, RunError> {
        let carried = if let Some(kept) = self.known.newcomers.carried(person)? {
            kept
        } else {
            let mapping = &self.known.sides.mapping;
            mapping.carried_fields(ObjectKind::Member, &self.profile(person)?.canonical)
        };
        Ok(carried
            .into_iter()
            .map(|(field, value)| self.carry(ObjectKind::Member, id, &field, value))
            .collect())
    }

    /// Returns the address that a person's link remembers: the new one only once the contact is
    /// known to have it.
    pub(in crate::run) fn link_address(&self, person: PersonIx) -> String {
        let Known {
            names,
            people,
            sides,
            base,
            ..
        } = self.known;
        match people.get(person).moves_from {
            Some(held) if !self.so_far.moves_proved.contains(&person) => {
                // What both agreed on last: an address that somebody gave the contact since is no
                // agreement.
                let records = people.sources(person).iter();
                let mut links = records
                    .filter_map(|at| base.member_of_source(sides.source.members[*at as usize].id));
                let agreed = links.next().map_or(held, |link| link.address);
                names.text(agreed).to_owned()
            }
            _ => self.known.address(person).to_owned(),
        }
    }

    pub(in crate::run) fn person_linked(
        &self,
        person: PersonIx,
        id: &str,
        origin: Origin,
    ) -> Vec<Change> {
        let Known {
            names,
            people,
            sides,
            ..
        } = self.known;
        people
            .sources(person)
            .iter()
            .map(|at| Change::LinkMember {
                job: self.known.job.name.clone(),
                source: names.text(sides.source.members[*at as usize].id).to_owned(),
                target: id.to_owned(),
                address: self.link_address(person),
                origin,
            })
            .collect()
    }

    /// Remembers the profile of a person, with what was just written.
    pub(in crate::run) fn profile_written(
        &self,
        person: PersonIx,
        written: &Record,
    ) -> Result<Vec<Change>, RunError> {
        let profile = self.profile(person)?;
        let mapped = &profile.mapped;
        let mut current = current(self.known.sides, self.known.people, person)?;
        let then = fields_base(
            self.store,
            self.known.job,
            self.known.sides,
            self.known.base,
            self.known.people,
            person,
        )?;
        current.extend(written.clone());
        let mut fields = bases_of(&mapped.fields, &current);
        let left_out = mapped.left_out_fields();
        keep_known(&mut fields, then.unwrap_or_default(), written, &left_out);
        if self.known.undoes {
            agree_on(&mut fields, written);
        }
        let hash = match self.known.people.targets(person) {
            [only] if written.is_empty() => self.known.sides.target.members[*only as usize]
                .hash
                .unwrap_or(UNREAD),
            _ => UNREAD,
        };
        Ok(self.member_bases(person, &fields, hash))
    }

    pub(in crate::run) fn member_bases(
        &self,
        person: PersonIx,
        fields: &FieldBases,
        target_hash: u64,
    ) -> Vec<Change> {
        let Known {
            names,
            people,
            sides,
            ..
        } = self.known;
        people
            .sources(person)
            .iter()
            .map(|at| {
                let member = &sides.source.members[*at as usize];
                Change::MemberBase {
                    job: self.known.job.name.clone(),
                    source: names.text(member.id).to_owned(),
                    address: self.link_address(person),
                    source_hash: member.hash.unwrap_or(0),
                    target_hash,
                    fields: fields.clone(),
                }
            })
            .collect()
    }

    /// Returns what the target is to hold of a person.
    pub(in crate::run) fn fields_of(&self, person: PersonIx) -> Result<Record, RunError> {
        match self.known.newcomers.fields(person)? {
            Some(fields) => Ok(fields),
            None => Ok(self.profile(person)?.mapped.fields.clone()),
        }
    }

    /// Returns the profile of a person as the source shows it and as the target is to hold it.
    pub(in crate::run) fn profile(&self, person: PersonIx) -> Result<Arc<Profile>, RunError> {
        let Known {
            job, sides, people, ..
        } = self.known;
        self.so_far.profiles.get_or_read(person, || {
            let canonical = canonical(self.store, job, sides, people, person)?;
            let mapped = sides.mapping.member(&canonical);
            Ok(Profile { canonical, mapped })
        })
    }
}
