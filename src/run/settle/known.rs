//! What a run knows when something of it is settled.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::item::Item;
use super::newcomers::Newcomers;
use crate::config::settled::JobConfig;
use crate::mapping::Mapped;
use crate::model::{Capabilities, Names, Record, Schema};
use crate::plan::base::Base;
use crate::plan::{DesiredGroup, PairIx, People, PersonIx, Plan, item_key};
use crate::run::error::RunError;
use crate::run::read::Sides;

/// What was known before the first write: both sides as they were read, and the plan.
#[derive(Clone, Copy)]
pub(in crate::run) struct Known<'a> {
    pub(in crate::run) job: &'a JobConfig,
    pub(in crate::run) plan: &'a Plan,
    pub(in crate::run) names: &'a Names,
    pub(in crate::run) people: &'a People,
    pub(in crate::run) sides: &'a Sides,
    pub(in crate::run) base: &'a Base,
    pub(in crate::run) desired: &'a BTreeMap<String, DesiredGroup>,
    pub(in crate::run) schema: &'static Schema,
    pub(in crate::run) capabilities: &'a Capabilities,
    pub(in crate::run) newcomers: &'a Newcomers,
    /// Whether what is written takes a run back, so that the source asks for something else.
    pub(in crate::run) undoes: bool,
}

impl<'a> Known<'a> {
    /// Returns the normalised address of a person.
    pub(in crate::run) fn address(&self, person: PersonIx) -> &'a str {
        self.names.text(self.people.get(person).address)
    }

    /// Names a person in the keys of items, as the plan does: people without an address have keys
    /// of their own.
    pub(in crate::run) fn person_key(&self, person: PersonIx) -> Cow<'a, str> {
        let sides = self.sides;
        self.people
            .key(person, &sides.source, &sides.target, self.names)
    }

    /// Tells whether an item is about somebody who had no contact before this run.
    pub(in crate::run) fn is_new(&self, item: &Item) -> bool {
        item.target_id.is_none()
            && item
                .person
                .is_some_and(|person| self.people.targets(person).is_empty())
    }

    /// Names an item as the plan does.
    pub(in crate::run) fn key(&self, so_far: &SoFar, item: &Item) -> String {
        if item.op == "create_field" {
            return item_key(item.op, item.detail.as_deref().unwrap_or(""), "");
        }
        let group = item.pair.map(|pair| {
            let id = so_far.group_id(self.plan, pair);
            id.unwrap_or_else(|| self.plan.pair(pair).name.clone())
        });
        let member = item.person.map(|person| self.person_key(person));
        item_key(
            item.op,
            group.as_deref().unwrap_or(""),
            member.as_deref().unwrap_or(""),
        )
    }
}

/// What has been done and found since the first write.
#[derive(Debug, Default)]
pub(in crate::run) struct SoFar {
    /// The ids of groups that this run created.
    pub(in crate::run) group_ids: BTreeMap<PairIx, String>,
    /// Who was found in a group that was read again; only additions to that group concern them no
    /// more.
    pub(in crate::run) already_there: HashSet<(PairIx, PersonIx)>,
    /// Contacts that obey a refusal by now, of one group or of all mail.
    pub(in crate::run) refused_there: HashSet<(Option<PairIx>, String)>,
    /// People whose address at the target was changed by this run, and of whom that is proved.
    pub(in crate::run) moves_proved: HashSet<PersonIx>,
    /// The ids of people whom this run created.
    pub(in crate::run) person_ids: HashMap<PersonIx, String>,
    /// Those of them whose link to that id is remembered.
    pub(in crate::run) linked: HashSet<PersonIx>,
    pub(in crate::run) profiles: RecentProfiles,
}

/// What the source shows of a person, and what the target is to hold of it.
#[derive(Debug)]
pub(in crate::run) struct Profile {
    pub(in crate::run) canonical: Record,
    pub(in crate::run) mapped: Mapped,
}

/// The profiles that were looked at last: what a request writes is looked at again when it is
/// confirmed.
#[derive(Debug, Default)]
pub(in crate::run) struct RecentProfiles(Mutex<HashMap<PersonIx, Arc<Profile>>>);

impl RecentProfiles {
    /// More than the largest request writes.
    const MOST: usize = 1_024;

    pub(in crate::run) fn get_or_read(
        &self,
        person: PersonIx,
        read: impl FnOnce() -> Result<Profile, RunError>,
    ) -> Result<Arc<Profile>, RunError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(profile) = known.get(&person) {
            return Ok(Arc::clone(profile));
        }
        if known.len() >= Self::MOST {
            known.clear();
        }
        let profile = Arc::new(read()?);
        known.insert(person, Arc::clone(&profile));
        Ok(profile)
    }
}

impl SoFar {
    /// Returns the id of a pair's group at the target, once it is known.
    pub(in crate::run) fn group_id(&self, plan: &Plan, pair: PairIx) -> Option<String> {
        let created = self.group_ids.get(&pair).cloned();
        created.or_else(|| plan.pair(pair).target.clone())
    }
}
