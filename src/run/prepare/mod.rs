//! From what was read to a plan, and what of it is remembered: the fourth room.
//!
//! Everything before the first write: both sides are read, what an interrupted run has left open is
//! settled in between, and the plan is made, judged and priced.

mod agreement;
mod assessed;
mod consent;
mod cost;
mod desired;
mod estimate;
mod gather;
mod losses;
mod persons;
mod planned;
mod policy;
mod recall;

use std::collections::{BTreeMap, BTreeSet};

pub use self::assessed::{Assessed, GroupCount, Sides as BothSides, States};
use self::cost::takes;
use self::desired::{desired_groups, leave_out_unknown, lost_pins, unread_definitions};
pub use self::estimate::{AccountEstimate, Estimate};
pub(in crate::run) use self::losses::to_tell;
use self::losses::{LossesMet, know_told};
pub use self::planned::{Cost, Narrowed, Parts, Planned};
use crate::config::settled::JobConfig;
use crate::model::policy::Removal;
use crate::model::{Capabilities, ObjectKind, Schema};
use crate::plan::base::Base;
use crate::plan::pack::{PutAway, Step, pack};
use crate::plan::{
    DesiredGroup, Edit, Inputs, People, PersonFacts, PersonIx, Policy, UndoInputs, item_key, plan,
    undo,
};
use crate::program::completed;
use crate::provider;
use crate::run::accounts::Runner;
use crate::run::error::RunError;
use crate::run::read::{Sides, canonical, unmatched};
use crate::run::settle::{Known, Newcomers};
use crate::run::undo::ToUndo;

/// A plan and everything that applying it takes.
pub(in crate::run) struct Prepared {
    pub(in crate::run) planned: Planned,
    pub(in crate::run) sides: Sides,
    pub(in crate::run) base: Base,
    pub(in crate::run) policy: Policy,
    pub(in crate::run) desired: BTreeMap<String, DesiredGroup>,
    pub(in crate::run) facts: BTreeMap<PersonIx, PersonFacts>,
    pub(in crate::run) refresh: Vec<PersonIx>,
    pub(in crate::run) newcomers: Newcomers,
    /// Whether a profile of the target is needed that was not read in this run.
    pub(in crate::run) unread: bool,
    pub(in crate::run) losses_met: LossesMet,
    pub(in crate::run) steps: Vec<Step>,
    pub(in crate::run) schema: &'static Schema,
    pub(in crate::run) capabilities: Capabilities,
    pub(in crate::run) explicit: BTreeSet<String>,
}

/// What a plan is made for.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::run) struct Asks<'a> {
    /// A run that is to be taken back, instead of carrying what the source asks for.
    pub(in crate::run) undo: Option<&'a ToUndo>,
    /// Collects what creations would write as well, for showing it.
    pub(in crate::run) values: bool,
    /// Reads the target whatever is remembered of it.
    pub(in crate::run) anew: bool,
    /// A person is asked before anything is written, so that the number of a first run's opt-outs is
    /// not judged.
    pub(in crate::run) confirmed: bool,
}

impl Asks<'_> {
    /// For a plan that is shown.
    pub(in crate::run) const SHOWN: Asks<'static> = Asks {
        undo: None,
        values: true,
        anew: false,
        confirmed: false,
    };

    /// For a migration, of which a person is asked or not.
    pub(in crate::run) fn migration(confirmed: bool) -> Self {
        Asks {
            undo: None,
            values: false,
            anew: true,
            confirmed,
        }
    }
}

impl Runner {
    /// Reads, maps and plans.
    pub(in crate::run) async fn prepare(
        &self,
        job: &JobConfig,
        asks: Asks<'_>,
    ) -> Result<Prepared, RunError> {
        let mut policy = self.policy(job);
        policy.opt_outs_confirmed = asks.confirmed;
        let recall = !asks.anew && self.may_recall(job, &policy)?;
        let mut begun = self.begin_reading(job, !recall).await?;
        if recall {
            begun = match self.recall(job, &policy, begun).await? {
                Ok(prepared) => return Ok(prepared),
                Err(begun) => begun,
            };
        }
        let (sides, base) = self.read_target(job, &policy, begun, asks.undo).await?;
        self.prepare_sides(job, policy, sides, base, asks)
    }

    /// Maps and plans what was read.
    pub(in crate::run) fn prepare_sides(
        &self,
        job: &JobConfig,
        mut policy: Policy,
        mut sides: Sides,
        mut base: Base,
        asks: Asks<'_>,
    ) -> Result<Prepared, RunError> {
        let progress = &self.inner.options.progress;
        progress.stage(&job.name, "Comparing");
        let target = self.handle(&job.target)?;
        // What a login may not see is not gone, whether the config says so or reading showed it.
        policy.source_shared |= !self.handle(&job.source)?.adapter.sees_everything();
        policy.target_shared |= !target.adapter.sees_everything();
        let mut capabilities = target.capabilities;
        capabilities.detach &= job.members.removal == Removal::Detach;
        let schema = provider::schema(target.adapter.kind());
        sides.mapping.leave_missing(|label| {
            base.resting
                .contains_key(&item_key("create_field", label, ""))
        });
        let (desired, mut losses) =
            desired_groups(&sides.mapping, &sides.source, job, &policy, schema);
        let mut desired = self.with_defaults(job, desired, schema);
        let unknown = leave_out_unknown(&mut desired, &sides.nameable, &job.target);
        let people = People::pair(
            &sides.source,
            &sides.target,
            &base,
            &sides.names,
            policy.guards.on_drift,
            policy.members.opt_outs,
        );
        let may_create = capabilities.custom_fields_creatable && !job.create_fields;
        let mut found = persons::look(
            self.store(),
            job,
            schema,
            &sides,
            &base,
            &people,
            may_create,
        )?;
        losses.extend(found.losses);
        let explicit = sides.mapping.explicit_fields(ObjectKind::Group);
        let missing: Vec<String> = sides
            .mapping
            .missing_custom()
            .into_iter()
            .map(|field| field.label)
            .collect();
        let mut warnings = std::mem::take(&mut sides.warnings);
        if asks.undo.is_none() {
            base.undo_open = self.undo_left_open(job)?;
            let open = base
                .undo_open
                .as_ref()
                .map(|open| completed(&open.explain()));
            let words = |open| format!("{open}; this plan does again what it took back.");
            warnings.extend(open.map(words));
        }
        warnings.extend(unknown);
        warnings.extend(unmatched(job, sides.source.groups.seen()));
        warnings.extend(lost_pins(job, &policy, &sides, &base));
        warnings.extend(unread_definitions(job, &sides.mapping));
        let unlisted = [&job.source, &job.target]
            .into_iter()
            .zip(sides.mapping.unlisted_custom());
        warnings
            .extend(unlisted.filter_map(|(side, words)| Some(format!("At {side:?} {}.", words?))));
        let unshown = sides.mapping.unshown_custom();
        warnings.extend(unshown.map(|words| format!("At {:?} {words}.", job.source)));
        let undecided = sides.mapping.where_undecided();
        let inputs = Inputs {
            undecided: undecided.as_deref(),
            policy: &policy,
            names: &sides.names,
            source: &sides.source,
            target: &sides.target,
            target_groups_unseen: sides.target_groups_unseen,
            base: &base,
            people: &people,
            facts: &found.people,
            desired: &desired,
            target_schema: schema,
            explicit_group_fields: &explicit,
            capabilities: &capabilities,
            losses: &losses,
            new_custom_fields: &missing,
            warnings: &warnings,
        };
        let mut plan = plan(&inputs);
        know_told(&mut plan.losses, &self.store().told_losses(&job.name)?);
        let mut undoing = None;
        if let Some(ToUndo { run, did, open, .. }) = asks.undo {
            let profiles = asks
                .undo
                .map(|asked| asked.profiles(self.store(), job, &sides, &base, &people));
            let ask = UndoInputs {
                run,
                did,
                open,
                profiles: &profiles.transpose()?.unwrap_or_default(),
            };
            let (inverse, mut taken_back) = undo(&inputs, plan, &ask);
            plan = inverse;
            // What is written is read back by these.
            for (person, edit) in std::mem::take(&mut taken_back.profiles) {
                found.people.entry(person).or_default().edit = Some(edit);
            }
            undoing = Some(taken_back);
        }
        let steps = pack(&plan, &people, &capabilities, schema.group_name_field());
        let put_away = PutAway::of(&plan, undoing.is_some());
        let (takes, work) = takes(&target, &plan, &steps, &put_away, &sides.target);
        let seconds = target.requests_per_minute.map_or(0, |pace| {
            ((takes.writes + takes.reads) * 60).div_ceil(u64::from(pace.max(1)))
        });
        let mut reads = sides.reads.clone();
        *reads.entry(job.target.clone()).or_default() += takes.reads;
        let cost = Cost {
            requests: BTreeMap::from([(job.target.clone(), takes.writes)]),
            reads,
            estimated_seconds: seconds + takes.waits,
            applying: takes,
            work,
        };
        let mut created_values = BTreeMap::new();
        if asks.values {
            for edit in &plan.operations {
                if let Edit::CreateMembers { members, .. } = edit {
                    for person in members {
                        let canonical = canonical(self.store(), job, &sides, &people, *person)?;
                        created_values.insert(*person, sides.mapping.member(&canonical).fields);
                    }
                }
            }
        }
        let first_run = base.is_empty();
        let accepted = self.store().accepted(&job.name)?.into_iter();
        let accepted = accepted.map(|accepted| accepted.note.item).collect();
        let names = sides.names.clone();
        let without = people.iter().map(|(person, _)| person);
        let without = without.filter(|person| names.text(people.get(*person).address).is_empty());
        let named = without.map(|person| {
            let name = people.key(person, &sides.source, &sides.target, &names);
            (person, name.into_owned())
        });
        let nameless = named.collect();
        let losses_met = LossesMet::of(&sides.source, found.all_mapped);
        Ok(Prepared {
            planned: Planned {
                plan,
                names,
                people,
                cost,
                created_values,
                first_run,
                nameless,
                accepted,
                undoing,
                saved: None,
                narrowed: None,
            },
            sides,
            base,
            policy,
            desired,
            facts: found.people,
            refresh: found.refresh,
            newcomers: found.newcomers,
            unread: found.unread,
            losses_met,
            steps,
            schema,
            capabilities,
            explicit,
        })
    }
}

impl Prepared {
    /// Lends the planner's input anew, for questions about the plan.
    pub(in crate::run) fn with_inputs<R>(&self, ask: impl FnOnce(&Inputs<'_>) -> R) -> R {
        ask(&Inputs {
            undecided: None,
            policy: &self.policy,
            names: &self.planned.names,
            source: &self.sides.source,
            target: &self.sides.target,
            target_groups_unseen: self.sides.target_groups_unseen,
            base: &self.base,
            people: &self.planned.people,
            facts: &self.facts,
            desired: &self.desired,
            target_schema: self.schema,
            explicit_group_fields: &self.explicit,
            capabilities: &self.capabilities,
            losses: &[],
            new_custom_fields: &[],
            warnings: &[],
        })
    }

    /// Lends what settling goes by.
    pub(in crate::run) fn known<'a>(&'a self, job: &'a JobConfig) -> Known<'a> {
        Known {
            job,
            plan: &self.planned.plan,
            names: &self.planned.names,
            people: &self.planned.people,
            sides: &self.sides,
            base: &self.base,
            desired: &self.desired,
            schema: self.schema,
            capabilities: &self.capabilities,
            newcomers: &self.newcomers,
            undoes: self.planned.undoing.is_some(),
        }
    }
}
