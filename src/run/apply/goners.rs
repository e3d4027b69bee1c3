//! Looks who is in a group right before the group itself goes: whoever came or refused since it was
//! planned with would go with it, unseen (rule 1).

use std::collections::{BTreeSet, HashSet};

use super::Applying;
use crate::model::MembershipState;
use crate::plan::pack::{PutAway, Step};
use crate::plan::{Edit, PairIx, PersonIx};
use crate::run::error::RunError;
use crate::run::read::{GroupNow, group_now};
use crate::run::settle::Item;

/// The groups that a plan puts away, and those of them that have to stay by a last look.
#[derive(Debug, Default)]
pub(super) struct Goners {
    planned: PutAway,
    stay: BTreeSet<PairIx>,
}

impl Goners {
    pub(super) fn of(planned: PutAway) -> Goners {
        let stay = BTreeSet::new();
        Goners { planned, stay }
    }

    /// Tells whether a step puts a group away, or prepares for it, that has to stay.
    pub(super) fn keep_from(&self, step: &Step) -> bool {
        let pair = self.planned.by(step);
        pair.is_some_and(|pair| self.stay.contains(&pair))
    }
}

impl Applying<'_> {
    /// Looks at the group that a step puts away, or prepares to.
    pub(super) async fn look_before_it_goes(&mut self, step: &Step) -> Result<(), RunError> {
        let Some(pair) = self.goners.planned.by(step) else {
            return Ok(());
        };
        if !self.goners.stay.contains(&pair) {
            // What is under way would show as news.
            self.land_all().await?;
            self.look_whether_it_may_go(pair).await?;
        }
        Ok(())
    }

    /// Looks once more before a request is repeated that puts a group away. Returns whether it may be
    /// sent.
    pub(super) async fn may_still_go(&mut self, items: &[Item]) -> Result<bool, RunError> {
        let [item] = items else { return Ok(true) };
        match item.pair {
            Some(pair) if self.goners.planned.op(pair) == Some(item.op) => {
                self.look_whether_it_may_go(pair).await
            }
            _ => Ok(true),
        }
    }

    /// Reads a group to its end, and has it stay, with its link, where it holds anybody or any refusal
    /// that was not planned with, or where nobody can tell.
    async fn look_whether_it_may_go(&mut self, pair: PairIx) -> Result<bool, RunError> {
        let op = self.goners.planned.op(pair);
        let (Some(group), Some(op)) = (self.group_id(pair), op) else {
            return Ok(false);
        };
        let now = match group_now(&self.handle, &group).await {
            Ok(now) => now,
            Err(RunError::Stopped) => return Err(RunError::Stopped),
            Err(RunError::Write { why, .. }) => GroupNow::unread(why),
            Err(error) => GroupNow::unread(error.to_string()),
        };
        let verb = if op == "archive_group" {
            "archived"
        } else {
            "deleted"
        };
        let why = if now.whole {
            self.news_of(pair, &group, &now)?.map(|news| {
                format!("right before it was to be {verb}, the group held {news} that the plan did not know, so it was left; see who that is, and plan again")
            })
        } else {
            Some(format!(
                "who is in the group could not be read to its end right before it was to be {verb}, so it was left: {}",
                now.why
            ))
        };
        let Some(why) = why else { return Ok(true) };
        self.goners.stay.insert(pair);
        let item = Item {
            op,
            pair: Some(pair),
            joins: Vec::new(),
            person: None,
            target_id: None,
            detail: None,
        };
        // Nothing was refused: the next plan shows who is in it, and need not wait for that.
        self.untold(&item, &why);
        Ok(false)
    }

    /// Names who leaves a group by this plan, where a member is in one group at a time; nobody elsewhere.
    fn moving(&self, pair: PairIx) -> HashSet<PersonIx> {
        if !self.prepared.capabilities.one_group_per_member {
            return HashSet::new();
        }
        let operations = self.prepared.planned.plan.operations.iter();
        let moves = operations.filter_map(|edit| match edit {
            Edit::RemoveMemberships {
                pair: from,
                members,
            } if *from == pair => Some(members),
            Edit::AddMemberships { pair: to, members } if *to != pair => Some(members),
            _ => None,
        });
        moves.flatten().copied().collect()
    }

    /// Says what a group holds that was not planned with, and remembers the refusals among it.
    fn news_of(
        &mut self,
        pair: PairIx,
        group: &str,
        now: &GroupNow,
    ) -> Result<Option<String>, RunError> {
        let store = self.runner.store();
        // A removal that is settled in between is in both, and never in neither.
        let pending = store.pending_removals(&self.job.target_account)?;
        let own = store.own_removals(&self.job.target_account)?;
        let open = pending.get(group);
        let is_open = |id: &str| open.is_some_and(|people| people.contains(id));
        let (mut members, mut others) = (0_u64, 0_u64);
        let mut known: BTreeSet<PersonIx> = BTreeSet::new();
        let mut refusals = Vec::new();
        let moving = self.moving(pair);
        for (id, state) in &now.by_id {
            let is_certain = !now.uncertain.contains(id);
            let removal = own.get(group, id);
            let is_own = || {
                let shown = now.refused_at.get(id).copied();
                let by_now = (Some(pair), id.clone());
                removal.is_some_and(|removal| removal.still_fits(shown))
                    || self.so_far.refused_there.contains(&by_now)
            };
            let planned = &self.prepared.planned;
            let at = planned
                .names
                .find(id)
                .and_then(|name| planned.people.target_position(name));
            let person = at.and_then(|at| planned.people.of_target(at));
            // With the group goes what shows the refusal.
            if let Some(person) = person
                && *state == MembershipState::OptedOut
                && !is_own()
                && !self.refuses(person, pair)
            {
                refusals.push(self.prepared.known(self.job).refusal(Some(pair), person));
            }
            // Who was to move on by this plan and could not would be parked with nobody having said so.
            let stayed = person.is_some_and(|person| moving.contains(&person));
            let is_planned = is_certain
                && !stayed
                && (self.state_before(group, id) == Some(*state)
                    || (*state == MembershipState::OptedOut && !is_open(id) && is_own()));
            if is_planned {
                continue;
            }
            if *state == MembershipState::Active {
                members += 1;
            } else {
                others += 1;
            }
            known.extend(person);
        }
        refusals.extend(self.look_again(pair, group, now, &known, &own, &is_open));
        self.runner.store().record(&refusals)?;
        let people = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let words: Vec<String> = [
            people(members, "member", "members"),
            people(
                others,
                "person who refuses it or gets no mail",
                "people who refuse it or get no mail",
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        Ok((!words.is_empty()).then(|| words.join(" and ")))
    }
}
