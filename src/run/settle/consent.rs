//! The keys of the ledger of consent: from the people and pairs of a plan to what is kept of them.

use super::known::Known;
use crate::model::{Name, addresses_in};
use crate::plan::{PairIx, PersonIx, fold_group_name};
use crate::state::{AudienceKey, Change, PersonKey};

impl Known<'_> {
    /// Says that a person refuses the group of a pair, or all mail.
    pub(in crate::run) fn refusal(&self, pair: Option<PairIx>, person: PersonIx) -> Change {
        Change::Refusal {
            account: self.job.target_account.clone(),
            people: self.refused_as(person),
            audience: self.audience(pair),
            origin: format!("seen by the job {}", self.job.name),
        }
    }

    /// Says that an address refuses the group of a pair, or all mail, whoever shows it next, and
    /// that the target obeys it.
    pub(in crate::run) fn left_address(&self, pair: Option<PairIx>, address: Name) -> [Change; 2] {
        let people = vec![PersonKey::Address(self.names.text(address).to_owned())];
        let refusal = Change::Refusal {
            account: self.job.target_account.clone(),
            people: people.clone(),
            audience: self.audience(pair),
            origin: format!("seen by the job {}", self.job.name),
        };
        let group = pair.and_then(|pair| self.plan.pair(pair).target.clone());
        let held = Change::RefusalHeld {
            account: self.job.target_account.clone(),
            group,
            known_as: Vec::new(),
            people,
        };
        [refusal, held]
    }

    /// Says that the target obeys what a person refuses: a group, by its id, or all mail.
    pub(in crate::run) fn held(&self, group: Option<String>, person: PersonIx) -> Change {
        self.held_by(group, Vec::new(), person)
    }

    /// Says that the target obeys a person's refusal of the group of a pair, which has an id by now
    /// and may have had none when the refusal was remembered. A name could be another group's.
    pub(in crate::run) fn held_by_pair(
        &self,
        pair: PairIx,
        group: String,
        person: PersonIx,
    ) -> Change {
        let mut known_as = self.audience(Some(pair));
        known_as.retain(|key| matches!(key, AudienceKey::SourceGroup { .. }));
        self.held_by(Some(group), known_as, person)
    }

    fn held_by(
        &self,
        group: Option<String>,
        known_as: Vec<AudienceKey>,
        person: PersonIx,
    ) -> Change {
        Change::RefusalHeld {
            account: self.job.target_account.clone(),
            group,
            known_as,
            people: self.keys_of(person),
        }
    }

    /// Returns every key by which a person is known.
    pub(in crate::run) fn keys_of(&self, person: PersonIx) -> Vec<PersonKey> {
        let people = self.people;
        let record = |at: &u32| PersonKey::Record {
            account: self.job.source_account.clone(),
            id: self.text_of_source(*at),
        };
        let contact = |at: &u32| PersonKey::Contact(self.text_of_target(*at));
        let address = Some(self.address(person)).filter(|address| !address.is_empty());
        let address = address
            .filter(|_| people.get(person).unusable.is_none())
            .map(|address| PersonKey::Address(address.to_owned()));
        address
            .into_iter()
            .chain(people.sources(person).iter().map(record))
            .chain(people.targets(person).iter().map(contact))
            .collect()
    }

    /// Returns the keys of somebody who refuses: with what can be read out of a broken address, and
    /// without a contact whose address is another person's by now.
    fn refused_as(&self, person: PersonIx) -> Vec<PersonKey> {
        let people = self.people;
        let mut keys = self.keys_of(person);
        if people.spared_for(person).is_some() {
            keys.retain(|key| !matches!(key, PersonKey::Contact(_)));
        }
        let records = people.sources(person).iter();
        let broken = records.filter_map(|at| self.sides.source.members[*at as usize].unusable);
        let readable = broken.flat_map(|text| addresses_in(self.names.text(text)));
        keys.extend(readable.map(|address| PersonKey::Address(address.to_string())));
        keys
    }

    pub(in crate::run) fn audience(&self, pair: Option<PairIx>) -> Vec<AudienceKey> {
        let Some(pair) = pair.map(|pair| self.plan.pair(pair)) else {
            return vec![AudienceKey::Account];
        };
        let source = pair.source.as_ref().map(|id| AudienceKey::SourceGroup {
            account: self.job.source_account.clone(),
            id: id.clone(),
        });
        let group = pair.target.clone().map(AudienceKey::Group);
        // The name of a pair that is blocked before it was ever linked may turn out to be another
        // group's.
        let name = AudienceKey::Name(fold_group_name(&pair.name));
        let name = (pair.writable || pair.linked).then_some(name);
        group.into_iter().chain(source).chain(name).collect()
    }

    fn text_of_source(&self, at: u32) -> String {
        let id = self.sides.source.members[at as usize].id;
        self.names.text(id).to_owned()
    }

    fn text_of_target(&self, at: u32) -> String {
        let id = self.sides.target.members[at as usize].id;
        self.names.text(id).to_owned()
    }
}
