//! Applies a plan: journal, send, settle, read back, go on or stop.

mod check;
mod meanwhile;
mod resolve;
mod rows;
mod send;
mod tally;
mod written;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

pub(super) use check::{Answer, Shown, Standing};
pub(super) use rows::parts;

use super::accounts::Handle;
use super::prepare::Prepared;
use super::verify::ProfilesNow;
use super::{Outcome, RunError, RunReport, Runner};
use crate::config::settled::JobConfig;
use crate::model::{Refusal, Write};
use crate::plan::pack::Step;
use crate::plan::{PairIx, PersonIx};
use crate::state::{FailureNote, JournalId, JournalOutcome, RunItem};

/// One item of a write, in the words of the plan.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) op: &'static str,
    pub(super) pair: Option<PairIx>,
    /// The groups that the item is for, where there are several: of a creation, an opt-out, or a
    /// row of a request by row.
    pub(super) joins: Vec<PairIx>,
    pub(super) person: Option<PersonIx>,
    pub(super) target_id: Option<String>,
    /// What else identifies it, such as the name of a created group.
    pub(super) detail: Option<String>,
}

/// A write of which some item still has to be read back.
struct Open {
    journal: JournalId,
    write: Write,
    items: Vec<Item>,
    outcomes: Vec<JournalOutcome>,
    /// What the provider said against an item that may stand all the same, such as somebody who is
    /// a member already.
    objections: Vec<Option<Refusal>>,
}

/// A journal entry with the items of it that nobody knows about; the write and the items handed
/// along are those alone.
struct Doubt {
    journal: JournalId,
    open: Vec<bool>,
    /// What the provider said of each item, in the same order.
    answers: Vec<Answer>,
}

impl Doubt {
    fn all(journal: JournalId, items: &[Item]) -> Doubt {
        Doubt {
            journal,
            open: vec![true; items.len()],
            answers: vec![Answer::Lost; items.len()],
        }
    }
}

pub(super) struct Applying<'a> {
    pub(super) runner: &'a Runner,
    pub(super) job: &'a JobConfig,
    pub(super) prepared: Prepared,
    handle: Arc<Handle>,
    run: &'a str,
    group_ids: BTreeMap<PairIx, String>,
    person_ids: HashMap<PersonIx, String>,
    /// People whose creation was accepted and whose id is not proved yet.
    unproved: BTreeSet<PersonIx>,
    /// What failed and takes later steps with it.
    lost_people: HashSet<PersonIx>,
    lost_groups: HashSet<PairIx>,
    /// Who was found in a group that was read again; only additions to that group concern them no
    /// more.
    already_there: HashSet<(PairIx, PersonIx)>,
    /// Contacts that are not active in a group any more although its listing showed them so; nobody
    /// takes them out of it.
    left_already: HashSet<(PairIx, String)>,
    /// Contacts that obey a refusal by now, of one group or of all mail.
    pub(super) refused_there: HashSet<(Option<PairIx>, String)>,
    open: Vec<Open>,
    /// Groups of whose creation an answer was lost.
    doubted_groups: BTreeSet<PairIx>,
    /// Groups and people of whom values were written.
    groups_written: BTreeSet<PairIx>,
    people_written: BTreeSet<PersonIx>,
    /// Their profiles, where they came along with the listings that were read back.
    profiles_seen: Option<ProfilesNow>,
    /// People counted as created; one who joins several groups may be named by several requests.
    counted: HashSet<PersonIx>,
    /// People whose address at the target was changed by this run.
    moved: HashSet<PersonIx>,
    /// Those of them of whom that is proved.
    pub(super) moves_proved: HashSet<PersonIx>,
    /// What was counted of people; somebody with several contacts counts once.
    tallied: HashSet<(&'static str, Option<PairIx>, PersonIx)>,
    report: RunReport,
    failures: Vec<FailureNote>,
    /// Per kind of operation, how many items were denied alone, and the error of the first.
    denied: BTreeMap<&'static str, (u32, RunError)>,
    /// The kinds of operation of which some item was not denied.
    granted: BTreeSet<&'static str>,
    history: Vec<RunItem>,
    wrote: bool,
}

impl Runner {
    /// Applies a prepared plan that no guard refuses, and says how it went.
    pub(super) async fn carry_out(
        &self,
        job: &JobConfig,
        id: &str,
        started: Timestamp,
        prepared: Prepared,
    ) -> Result<RunReport, RunError> {
        let handle = self.handle(&job.target)?;
        let before = handle.account.statistics();
        let writes = !prepared.steps.is_empty();
        if writes {
            self.forget_target(&job.target)?;
        }
        let report = RunReport {
            waiting_opt_outs: 0,
            ..prepared.report(job, id, started, started, Outcome::Done)
        };
        let mut applying = Applying {
            runner: self,
            job,
            handle: handle.clone(),
            run: id,
            group_ids: BTreeMap::new(),
            person_ids: HashMap::new(),
            unproved: BTreeSet::new(),
            lost_people: HashSet::new(),
            lost_groups: HashSet::new(),
            already_there: HashSet::new(),
            left_already: HashSet::new(),
            refused_there: HashSet::new(),
            open: Vec::new(),
            doubted_groups: BTreeSet::new(),
            groups_written: BTreeSet::new(),
            people_written: BTreeSet::new(),
            profiles_seen: None,
            counted: HashSet::new(),
            moved: HashSet::new(),
            moves_proved: HashSet::new(),
            tallied: HashSet::new(),
            report,
            failures: Vec::new(),
            denied: BTreeMap::new(),
            granted: BTreeSet::new(),
            history: Vec::new(),
            wrote: false,
            prepared,
        };
        let result = applying.run().await;
        if result.is_ok() && !writes {
            self.remember(job, &applying.prepared);
        }
        let after = handle.account.statistics();
        applying
            .report
            .requests
            .insert(job.target.clone(), after.writes - before.writes);
        *applying.report.reads.entry(job.target.clone()).or_default() += after.reads - before.reads;
        applying.finish(result)
    }
}

impl Applying<'_> {
    async fn run(&mut self) -> Result<(), RunError> {
        let steps = std::mem::take(&mut self.prepared.steps);
        let total = steps.len() as u64;
        let store = self.runner.store();
        store.record(&self.agreement())?;
        store.record(&self.refresh()?)?;
        if total > 0 {
            self.runner
                .inner
                .options
                .progress
                .stage(&self.job.name, &format!("Writing to {}", self.job.target));
        }
        for (done, step) in steps.into_iter().enumerate() {
            self.before_step(&step).await?;
            let defines_field = matches!(step, Step::CreateCustomField { .. });
            if let Some((write, items)) = self.resolve(step)? {
                self.execute(write, items).await?;
            }
            if defines_field {
                self.bind_anew().await?;
            }
            self.runner
                .inner
                .options
                .progress
                .advance(&self.job.name, done as u64 + 1, total);
        }
        if !self.open.is_empty() {
            self.runner
                .inner
                .options
                .progress
                .stage(&self.job.name, "Reading back");
            self.read_back().await?;
        }
        self.look_for_twins().await?;
        self.read_values_back().await?;
        self.end_of_denials()
    }

    /// Custom fields that were just created have names of their own at the provider.
    async fn bind_anew(&mut self) -> Result<(), RunError> {
        let error = |error| RunError::Read {
            provider: self.handle.name.clone(),
            error: Box::new(error),
        };
        let source = self.runner.handle(&self.job.source)?;
        let source_custom = source.adapter.custom_fields().await.map_err(error)?;
        let target_custom = self.handle.adapter.custom_fields().await.map_err(error)?;
        let mapping = super::read::compile(self.runner, self.job)?;
        self.prepared.sides.mapping = mapping.bind(&source_custom, &target_custom).0;
        self.prepared.sides.target_custom = target_custom;
        Ok(())
    }

    pub(super) fn group_id(&self, pair: PairIx) -> Option<String> {
        self.group_ids
            .get(&pair)
            .cloned()
            .or_else(|| self.prepared.planned.plan.pair(pair).target.clone())
    }

    fn ids(&self, person: PersonIx) -> Vec<String> {
        if let Some(id) = self.person_ids.get(&person) {
            return vec![id.clone()];
        }
        let planned = &self.prepared.planned;
        planned
            .people
            .targets(person)
            .iter()
            .map(|at| {
                planned
                    .text(self.prepared.sides.target.members[*at as usize].id)
                    .to_owned()
            })
            .collect()
    }

    fn address(&self, person: PersonIx) -> String {
        self.prepared.planned.address(person).to_owned()
    }

    /// Before people are written by id, the ids of those just created are proved by reading; before
    /// a group is written, a listing that is old is read again.
    async fn before_step(&mut self, step: &Step) -> Result<(), RunError> {
        if self.runner.inner.options.stop.is_cancelled() {
            return Err(RunError::Stopped);
        }
        let by_id: Vec<PersonIx> = match step {
            Step::AddMemberships { members, .. }
            | Step::RemoveMemberships { members, .. }
            | Step::OptOutOfAccount { members } => members.clone(),
            Step::UpdateMembers { edits } => edits.iter().map(|(person, _)| *person).collect(),
            Step::OptOutOfGroups { member, .. } => vec![*member],
            _ => Vec::new(),
        };
        if by_id.iter().any(|person| self.unproved.contains(person)) {
            self.prove_creations().await?;
        }
        self.look_again_before(step).await
    }
}
