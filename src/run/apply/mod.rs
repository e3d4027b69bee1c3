//! Applies a plan: journal, send, settle, read back, go on or stop: the fifth room.
//!
//! Each step of the plan becomes a write with the ids that are known by now (`resolve`, `rows`), is
//! journaled (`entry`), sent (`flight`) and settled (`send`), and what its answer leaves open is looked for (`observe`)
//! or read back at the end (`check`).

mod check;
mod entry;
mod flight;
mod goners;
mod leavers;
mod meanwhile;
mod observe;
mod open;
mod outcome;
mod prove;
mod resolve;
mod rows;
mod send;
mod spends;
mod tally;
mod twins;
mod written;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub use spends::Approved;
pub(super) use spends::Spends;
pub use tally::ItemFailure;
pub(super) use tally::Tally;

use check::PATIENCE;
use flight::UnderWay;
use goners::Goners;
use open::Kept;
use outcome::PlannedChanges;

use crate::config::settled::JobConfig;
use crate::model::Refusal;
use crate::plan::pack::{PutAway, Step};
use crate::plan::{Edit, PairIx, PersonIx, names_unread_records};
use crate::run::accounts::{Handle, Meter, Runner};
use crate::run::error::RunError;
use crate::run::prepare::Prepared;
use crate::run::read::{GroupNow, ProfilesNow, compile};
use crate::run::settle::{Answer, Confirming, Item, Newcomers, RecentProfiles, SoFar};
use crate::state::{FieldChanges, JournalId};

/// A journal entry with the items of it that nobody knows about; the write and the items handed
/// along are those alone.
struct Doubt {
    journal: JournalId,
    open: Vec<bool>,
    /// What the provider said of each item, in the same order.
    answers: Vec<Answer>,
    /// What it said against each.
    objections: Vec<Option<Refusal>>,
}

impl Doubt {
    fn all(journal: JournalId, items: &[Item]) -> Doubt {
        Doubt {
            journal,
            open: vec![true; items.len()],
            answers: vec![Answer::Lost; items.len()],
            objections: vec![None; items.len()],
        }
    }
}

/// What kept every item of one kind of operation from being done so far.
struct Hindrance {
    /// Of how many items, each alone, the provider said that a right is missing.
    denied: u32,
    /// For how many a question failed.
    failed: u32,
    /// Whether others were not tried for it.
    untried: bool,
    /// How the first of them ends the run where nothing of the kind could be done.
    error: RunError,
}

struct Applying<'a> {
    runner: &'a Runner,
    job: &'a JobConfig,
    prepared: Prepared,
    handle: Arc<Handle>,
    run: &'a str,
    so_far: SoFar,
    /// People whose creation was accepted and whose id is not proved yet.
    unproved: BTreeSet<PersonIx>,
    /// People who are created because a refusal waits for them.
    to_opt_out: HashSet<PersonIx>,
    /// What failed and takes later steps with it.
    lost_people: HashSet<PersonIx>,
    /// People who were to be created, and turned out to be there by now and to refuse.
    came_refusing: BTreeSet<PersonIx>,
    lost_groups: HashSet<PairIx>,
    /// Contacts that nobody takes out of a group: they are not active in it any more although its
    /// listing showed them so, or the source shows them in theirs after all.
    stays: HashSet<(PairIx, String)>,
    /// Contacts of whom a look right before a write could not tell how they stand in a group: nothing
    /// is sent for them, except where it carries a refusal.
    untold: HashSet<(PairIx, String)>,
    /// Who was named for it.
    named_untold: HashSet<(PairIx, PersonIx)>,
    /// How often this run has waited for what could not be told after a write.
    untold_waits: usize,
    /// Who is in the source's groups by a second look.
    second_look: HashMap<PairIx, GroupNow>,
    /// The groups that the plan puts away for good.
    goners: Goners,
    /// The target's groups that were listed a second time.
    seen_twice: HashSet<PairIx>,
    open: Vec<Kept>,
    /// Groups of whose creation an answer was lost.
    doubted_groups: BTreeSet<PairIx>,
    /// Groups and people of whom values were written.
    groups_written: BTreeSet<PairIx>,
    people_written: BTreeSet<PersonIx>,
    /// Their profiles, where they came along with the listings that were read back.
    profiles_seen: Option<ProfilesNow>,
    /// Custom fields that the plan creates, by the names that the plan gives their values; with the
    /// names that they have by now, if they exist.
    new_fields: BTreeMap<String, Option<String>>,
    /// People whose address at the target was changed by this run, proved or not.
    moved: HashSet<PersonIx>,
    /// The labels of custom fields that this run has created.
    fields_created: HashSet<String>,
    planned_changes: PlannedChanges,
    tally: Tally,
    /// Per kind of operation, what keeps its items from being done at all.
    hindered: BTreeMap<&'static str, Hindrance>,
    under_way: UnderWay,
    /// The kinds of operation of which some item was not hindered.
    granted: BTreeSet<&'static str>,
    wrote: bool,
    /// Whether every step was tried and read back.
    worked_through: bool,
    /// What the first write uses up.
    spends: Spends,
}

/// A plan that was applied, as far as it could be.
pub(super) struct Applied {
    /// Why the run could not go on, where it could not.
    pub(super) result: Result<(), RunError>,
    pub(super) prepared: Prepared,
    pub(super) tally: Tally,
    /// Whether anything was sent that writes.
    pub(super) wrote: bool,
    /// Whether every step was tried and read back.
    pub(super) worked_through: bool,
    /// Requests to the target that write.
    pub(super) requests: u64,
    /// Requests to the target that read.
    pub(super) reads: u64,
}

impl Runner {
    /// Applies a prepared plan that no guard refuses.
    pub(super) async fn carry_out(
        &self,
        job: &JobConfig,
        id: &str,
        prepared: Prepared,
        spends: Spends,
    ) -> Result<Applied, RunError> {
        let handle = self.handle(&job.target)?;
        let before = handle.account.statistics();
        let writes = !prepared.steps.is_empty();
        if writes {
            self.forget_target(&job.target)?;
        }
        let operations = prepared.planned.plan.operations.iter();
        let to_opt_out = operations.filter_map(|edit| match edit {
            Edit::SetOptOut {
                members,
                after_creation: true,
                ..
            } => Some(members),
            _ => None,
        });
        let to_opt_out = to_opt_out.flatten().copied().collect();
        let planned_changes = PlannedChanges::of(
            &prepared.planned.plan,
            &prepared.sides.target_rows,
            prepared.schema,
        );
        let undoes = prepared.planned.undoing.is_some();
        let goners = Goners::of(PutAway::of(&prepared.planned.plan, undoes));
        let mut applying = Applying {
            to_opt_out,
            runner: self,
            job,
            handle: handle.clone(),
            run: id,
            so_far: SoFar::default(),
            unproved: BTreeSet::new(),
            lost_people: HashSet::new(),
            came_refusing: BTreeSet::new(),
            lost_groups: HashSet::new(),
            stays: HashSet::new(),
            untold: HashSet::new(),
            named_untold: HashSet::new(),
            untold_waits: 0,
            second_look: HashMap::new(),
            goners,
            seen_twice: HashSet::new(),
            open: Vec::new(),
            doubted_groups: BTreeSet::new(),
            groups_written: BTreeSet::new(),
            people_written: BTreeSet::new(),
            profiles_seen: None,
            new_fields: BTreeMap::new(),
            moved: HashSet::new(),
            fields_created: HashSet::new(),
            planned_changes,
            tally: Tally::default(),
            hindered: BTreeMap::new(),
            under_way: UnderWay::default(),
            granted: BTreeSet::new(),
            wrote: false,
            worked_through: false,
            spends,
            prepared,
        };
        // Once it is asked to stop it has the time of grace, less what it takes to write down how it
        // ended: it may sit out a pause that the provider asked for, wherever it stands. What is
        // dropped there is left as a kill would leave it.
        let stop = &self.inner.options.stop;
        let grace = self.config().daemon.grace * 9 / 10;
        let result = tokio::select! {
            biased;
            result = applying.run() => result,
            () = async {
                stop.cancelled().await;
                tokio::time::sleep(grace).await;
            } => Err(RunError::Stopped),
        };
        let Applying {
            prepared,
            mut tally,
            wrote,
            worked_through,
            came_refusing,
            ..
        } = applying;
        if !came_refusing.is_empty() {
            tally.warnings.push(format!(
                "{} who were to be created turned out to be there by now, and to refuse or not to be mailed; nothing more is written of them, and the next plan shows them as withheld.",
                came_refusing.len()
            ));
        }
        if result.is_ok() && !writes {
            let named = prepared.with_inputs(names_unread_records);
            self.remember(job, &prepared.sides, &prepared.policy.config_hash, named);
        }
        let after = handle.account.statistics();
        Ok(Applied {
            result,
            prepared,
            tally,
            wrote,
            worked_through,
            requests: after.writes - before.writes,
            reads: after.reads - before.reads,
        })
    }
}

impl Applying<'_> {
    async fn run(&mut self) -> Result<(), RunError> {
        let steps = std::mem::take(&mut self.prepared.steps);
        let total = steps.len() as u64;
        let store = self.runner.store();
        // What takes a run back agrees on nothing else.
        if self.prepared.planned.undoing.is_none() {
            store.record(&self.prepared.agreement(self.confirming()))?;
            let noted = store.missing_memberships(&self.job.name)?;
            store.record(&self.prepared.missing(&self.job.name, &noted))?;
            self.count_links();
            store.record(&self.prepared.refresh(self.confirming())?)?;
        }
        let takes = self.prepared.planned.cost.applying;
        let meter = Meter::new(&self.handle, takes.writes + takes.reads);
        let progress = self.runner.inner.options.progress.clone();
        if total > 0 {
            progress.stage(&self.job.name, &format!("Writing to {}", self.job.target));
            progress.measure(&self.job.name, meter.clone());
        }
        let sent = self.send_all(steps, total).await;
        // Whatever ended it, what is under way is settled first.
        let landed = self.land_rest().await;
        sent.and(landed)?;
        if !self.open.is_empty() {
            progress.stage(&self.job.name, "Reading back what was written");
            progress.measure(&self.job.name, meter);
            self.read_back().await?;
        }
        self.look_for_twins().await?;
        self.read_values_back().await?;
        self.worked_through = true;
        self.end_of_hindrances()
    }

    /// Counts the groups that are linked as they stand: no request tells of them.
    fn count_links(&mut self) {
        let operations = self.prepared.planned.plan.operations.iter();
        let linked = operations.filter_map(|edit| match edit {
            Edit::AdoptGroup { pair, fields, .. } if fields.is_empty() => Some(*pair),
            _ => None,
        });
        let plan = &self.prepared.planned.plan;
        let linked = linked.filter(|pair| plan.pair(*pair).writable);
        let linked: Vec<PairIx> = linked.collect();
        for pair in linked {
            let item = Item {
                op: "adopt_group",
                pair: Some(pair),
                joins: Vec::new(),
                person: None,
                target_id: None,
                detail: None,
            };
            let known = self.prepared.known(self.job);
            self.tally
                .done(known, &self.so_far, &item, FieldChanges::new());
        }
    }

    async fn send_all(&mut self, steps: Vec<Step>, total: u64) -> Result<(), RunError> {
        for (done, step) in steps.into_iter().enumerate() {
            self.make_way(&step).await?;
            self.before_step(&step).await?;
            let new_field = match &step {
                Step::CreateCustomField { label } => Some(label.clone()),
                _ => None,
            };
            if let Some((write, items)) = self.resolve(step)? {
                self.execute(write, items).await?;
            }
            if let Some(label) = new_field {
                self.bind_anew(&label).await?;
            }
            self.runner
                .inner
                .options
                .progress
                .advance(&self.job.name, done as u64 + 1, total);
        }
        self.land_all().await
    }

    /// A custom field that was just created has a name of its own at the provider, which may take a
    /// moment to show it.
    async fn bind_anew(&mut self, label: &str) -> Result<(), RunError> {
        let source = self.runner.handle(&self.job.source)?;
        let source_custom = source
            .adapter
            .custom_fields()
            .await
            .map_err(self.handle.read_error())?;
        let is_created = self.fields_created.contains(label);
        let mut waits = PATIENCE.iter();
        let target_custom = loop {
            let fields = self.handle.adapter.custom_fields().await;
            let fields = fields.map_err(self.handle.read_error())?;
            let is_shown = fields.find(label).is_some();
            match waits.next() {
                Some(seconds) if is_created && !is_shown => self.wait(*seconds).await?,
                _ if is_created && !is_shown => {
                    self.tally.warnings.push(format!(
                        "The custom field \"{label}\" was created at {} and is not shown there yet; the next run writes its values.",
                        self.job.target
                    ));
                    break fields;
                }
                _ => break fields,
            }
        };
        let mapping = compile(self.runner, self.job)?;
        let wanted = self.prepared.sides.mapping.missing_custom();
        let mut mapping = mapping.bind(&source_custom, &target_custom).0;
        let sides = &self.prepared.sides;
        mapping.hold_against_source(sides.source.shown_custom.as_ref());
        mapping.spell_as_target(sides.target.shown_custom.as_ref());
        // Those whose turn has not come yet are bound when it has.
        mapping.leave_missing(|_| true);
        for field in wanted {
            let planned = format!("custom.{}", field.system_name);
            let wire = target_custom.find(&field.label);
            let wire = wire.map(|field| format!("custom.{}", field.system_name));
            self.new_fields.insert(planned, wire);
        }
        self.prepared.sides.mapping = mapping;
        self.so_far.profiles = RecentProfiles::default();
        self.prepared.newcomers = Newcomers::new()?;
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
        if let Some(id) = self.so_far.person_ids.get(&person) {
            return vec![id.clone()];
        }
        self.planned_ids(person).collect()
    }

    fn planned_ids(&self, person: PersonIx) -> impl Iterator<Item = String> {
        let planned = &self.prepared.planned;
        let members = &self.prepared.sides.target.members;
        let contacts = planned.people.targets(person).iter();
        contacts.map(|at| planned.text(members[*at as usize].id).to_owned())
    }

    /// Returns every contact that is known to be a person's, those of the plan included where one was
    /// proved since.
    fn contacts(&self, person: PersonIx) -> BTreeSet<String> {
        self.planned_ids(person).chain(self.ids(person)).collect()
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
        let by_id = step.by_id();
        if by_id.iter().any(|person| self.unproved.contains(person)) {
            self.land_all().await?;
            self.prove_creations().await?;
        }
        self.look_twice_at_source(step).await?;
        self.look_again_before(step).await?;
        self.look_before_it_goes(step).await?;
        self.name_untold(step);
        Ok(())
    }
}
