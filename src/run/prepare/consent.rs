//! What of consent was seen, to be remembered whatever becomes of the run.

use super::Prepared;
use crate::config::settled::JobConfig;
use crate::state::Change;

impl Prepared {
    /// Returns the refusals of mail to remember, those that the target was seen to obey, and which
    /// removals of rosterd's own are such refusals by now.
    pub(in crate::run) fn consent_seen(&self, job: &JobConfig) -> Vec<Change> {
        let known = self.known(job);
        let agreement = &self.planned.plan.agreement;
        let mut changes = self.ended_removals(job);
        let new = agreement.bars.iter();
        changes.extend(new.map(|(pair, person)| known.refusal(*pair, *person)));
        let left = agreement.left_addresses.iter();
        changes.extend(left.flat_map(|(pair, address)| known.left_address(*pair, *address)));
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
                    people: known.keys_of(*person),
                    audience: Vec::new(),
                });
        changes.extend(known_as);
        let of_pair = agreement
            .bars_of_pair
            .iter()
            .map(|(fact, pair)| Change::RefusalKnownAs {
                fact: *fact,
                people: Vec::new(),
                audience: known.audience(Some(*pair)),
            });
        changes.extend(of_pair);
        // What was just seen to stand comes after what is remembered as open.
        changes.extend(self.held_bars(job));
        changes
    }

    /// Returns the refusals that the target was seen to obey.
    fn held_bars(&self, job: &JobConfig) -> Vec<Change> {
        let known = self.known(job);
        let held = self.planned.plan.agreement.held_bars.iter();
        held.map(|(group, person)| known.held(group.clone(), *person))
            .collect()
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
}
