//! Applies a plan: journal, send, settle, read back, go on or stop.

mod check;
mod meanwhile;
mod resolve;
mod send;
mod tally;
mod written;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::accounts::Handle;
use super::prepare::Prepared;
use super::read::{ProfilesNow, compile};
use super::settle::{Answer, Confirming, Item, SoFar};
use super::{Outcome, RunError, RunReport, Runner};
use crate::config::settled::JobConfig;
use crate::model::{Refusal, Write};
use crate::plan::pack::Step;
use crate::plan::{PairIx, PersonIx};
use crate::state::{FailureNote, JournalId, JournalOutcome, RunItem};

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
    so_far: SoFar,
    person_ids: HashMap<PersonIx, String>,
    /// People whose creation was accepted and whose id is not proved yet.
    unproved: BTreeSet<PersonIx>,
    /// What failed and takes later steps with it.
    lost_people: HashSet<PersonIx>,
    lost_groups: HashSet<PairIx>,
    /// Contacts that are not active in a group any more although its listing showed them so; nobody
    /// takes them out of it.
    left_already: HashSet<(PairIx, String)>,
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
    /// What was counted of people; somebody with several contacts counts once.
    tallied: HashSet<(&'static str, Option<PairIx>, PersonIx)>,
    report: RunReport,
    failures: Vec<FailureNote>,
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
            so_far: SoFar::default(),
            person_ids: HashMap::new(),
            unproved: BTreeSet::new(),
            lost_people: HashSet::new(),
            lost_groups: HashSet::new(),
            left_already: HashSet::new(),
            open: Vec::new(),
            doubted_groups: BTreeSet::new(),
            groups_written: BTreeSet::new(),
            people_written: BTreeSet::new(),
            profiles_seen: None,
            counted: HashSet::new(),
            moved: HashSet::new(),
            tallied: HashSet::new(),
            report,
            failures: Vec::new(),
            history: Vec::new(),
            wrote: false,
            prepared,
        };
        let result = applying.run().await;
        if result.is_ok() && !writes {
            let prepared = &applying.prepared;
            self.remember(job, &prepared.sides, &prepared.policy.config_hash);
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
        store.record(&self.prepared.agreement(self.confirming()))?;
        store.record(&self.prepared.refresh(self.confirming())?)?;
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
        self.read_values_back().await
    }

    /// Custom fields that were just created have names of their own at the provider.
    async fn bind_anew(&mut self) -> Result<(), RunError> {
        let source = self.runner.handle(&self.job.source)?;
        let source_custom = source
            .adapter
            .custom_fields()
            .await
            .map_err(self.handle.read_error())?;
        let target_custom = self
            .handle
            .adapter
            .custom_fields()
            .await
            .map_err(self.handle.read_error())?;
        let mapping = compile(self.runner, self.job)?;
        self.prepared.sides.mapping = mapping.bind(&source_custom, &target_custom).0;
        self.prepared.sides.target_custom = target_custom;
        Ok(())
    }

    fn group_id(&self, pair: PairIx) -> Option<String> {
        self.so_far.group_id(&self.prepared.planned.plan, pair)
    }

    /// Lends what it takes to remember an item that stands.
    fn confirming(&self) -> Confirming<'_> {
        Confirming {
            known: self.prepared.known(self.job),
            so_far: &self.so_far,
            store: self.runner.store(),
            now: self.runner.now(),
        }
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
