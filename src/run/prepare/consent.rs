//! What a run remembers of consent: from the people and pairs of a plan to the keys of the ledger.

use super::Prepared;
use crate::config::settled::JobConfig;
use crate::model::{Name, addresses_in};
use crate::plan::{PairIx, PersonIx, fold_group_name};
use crate::state::{AudienceKey, Change, PersonKey};

impl Prepared {
    /// Returns the refusals of mail to remember, those that the target was seen to obey, and which
    /// removals of rosterd's own are such refusals by now.
    pub(in crate::run) fn consent_seen(&self, job: &JobConfig) -> Vec<Change> {
        let agreement = &self.planned.plan.agreement;
        let mut changes = self.ended_removals(job);
        let new = agreement.bars.iter();
        changes.extend(new.map(|(pair, person)| self.refusal(job, *pair, *person)));
        let left = agreement.left_addresses.iter();
        changes.extend(left.flat_map(|(pair, address)| self.left_address(job, *pair, *address)));
        changes.extend(
            agreement
                .bars_anew
                .iter()
                .map(|fact| Change::RefusalAnew { fact: *fact }),
        );
        let known_as =
            agreement
                .bars_known_as
                .iter()
                .map(|(fact, person)| Change::RefusalKnownAs {
                    fact: *fact,
                    people: self.keys_of(job, *person),
                    audience: Vec::new(),
                });
        changes.extend(known_as);
        let of_pair = agreement
            .bars_of_pair
            .iter()
            .map(|(fact, pair)| Change::RefusalKnownAs {
                fact: *fact,
                people: Vec::new(),
                audience: self.audience(job, Some(*pair)),
            });
        changes.extend(of_pair);
        // What was just seen to stand comes after what is remembered as open.
        changes.extend(self.held_bars(job));
        changes
    }

    /// Says that a person refuses the group of a pair, or all mail.
    pub(in crate::run) fn refusal(
        &self,
        job: &JobConfig,
        pair: Option<PairIx>,
        person: PersonIx,
    ) -> Change {
        Change::Refusal {
            account: job.target_account.clone(),
            people: self.refused_as(job, person),
            audience: self.audience(job, pair),
            origin: format!("seen by the job {}", job.name),
        }
    }

    /// Says that an address refuses the group of a pair, or all mail, whoever shows it next, and
    /// that the target obeys it.
    fn left_address(&self, job: &JobConfig, pair: Option<PairIx>, address: Name) -> [Change; 2] {
        let people = vec![PersonKey::Address(self.planned.text(address).to_owned())];
        let refusal = Change::Refusal {
            account: job.target_account.clone(),
            people: people.clone(),
            audience: self.audience(job, pair),
            origin: format!("seen by the job {}", job.name),
        };
        let group = pair.and_then(|pair| self.planned.plan.pair(pair).target.clone());
        let held = Change::RefusalHeld {
            account: job.target_account.clone(),
            group,
            people,
        };
        [refusal, held]
    }

    /// Returns the refusals that the target was seen to obey.
    fn held_bars(&self, job: &JobConfig) -> Vec<Change> {
        let held = self.planned.plan.agreement.held_bars.iter();
        held.map(|(group, person)| self.held(job, group.clone(), *person))
            .collect()
    }

    /// Says that the target obeys what a person refuses: a group, by its id, or all mail.
    pub(in crate::run) fn held(
        &self,
        job: &JobConfig,
        group: Option<String>,
        person: PersonIx,
    ) -> Change {
        Change::RefusalHeld {
            account: job.target_account.clone(),
            group,
            people: self.keys_of(job, person),
        }
    }

    /// That a removal of rosterd's own has become a refusal of the person's own is seen in the same
    /// way.
    fn ended_removals(&self, job: &JobConfig) -> Vec<Change> {
        let ended = |account: &str, group: &str, member: &str| Change::OwnRemovalEnded {
            account: account.to_owned(),
            group: group.to_owned(),
            member: member.to_owned(),
        };
        let sides = [
            (&job.source_account, &self.sides.source),
            (&job.target_account, &self.sides.target),
        ];
        let seen = sides.into_iter().flat_map(|(account, side)| {
            let removals = side.ended_removals.iter();
            removals.map(move |(group, id)| ended(account, group, id))
        });
        let overtaken = self.planned.plan.agreement.ended_removals.iter();
        let overtaken = overtaken
            .map(|(group, member)| ended(&job.target_account, group, self.planned.text(*member)));
        seen.chain(overtaken).collect()
    }

    /// Returns every key by which a person is known.
    fn keys_of(&self, job: &JobConfig, person: PersonIx) -> Vec<PersonKey> {
        let people = &self.planned.people;
        let record = |at: &u32| PersonKey::Record {
            account: job.source_account.clone(),
            id: self.text_of_source(*at),
        };
        let contact = |at: &u32| PersonKey::Contact(self.text_of_target(*at));
        let address = Some(self.planned.address(person)).filter(|address| !address.is_empty());
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
    fn refused_as(&self, job: &JobConfig, person: PersonIx) -> Vec<PersonKey> {
        let people = &self.planned.people;
        let mut keys = self.keys_of(job, person);
        if people.spared_for(person).is_some() {
            keys.retain(|key| !matches!(key, PersonKey::Contact(_)));
        }
        let records = people.sources(person).iter();
        let broken = records.filter_map(|at| self.sides.source.members[*at as usize].unusable);
        let readable = broken.flat_map(|text| addresses_in(self.planned.text(text)));
        keys.extend(readable.map(|address| PersonKey::Address(address.to_string())));
        keys
    }

    fn audience(&self, job: &JobConfig, pair: Option<PairIx>) -> Vec<AudienceKey> {
        let Some(pair) = pair.map(|pair| self.planned.plan.pair(pair)) else {
            return vec![AudienceKey::Account];
        };
        let source = pair.source.as_ref().map(|id| AudienceKey::SourceGroup {
            account: job.source_account.clone(),
            id: id.clone(),
        });
        let group = pair.target.clone().map(AudienceKey::Group);
        let name = AudienceKey::Name(fold_group_name(&pair.name));
        group.into_iter().chain(source).chain([name]).collect()
    }

    fn text_of_source(&self, at: u32) -> String {
        let id = self.sides.source.members[at as usize].id;
        self.planned.text(id).to_owned()
    }

    fn text_of_target(&self, at: u32) -> String {
        let id = self.sides.target.members[at as usize].id;
        self.planned.text(id).to_owned()
    }
}
