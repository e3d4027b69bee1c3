//! Takes a run back: what it did, by the record of it, as the inverse plan of its job.
//!
//! The plan is made by [`crate::plan::undo`] from the same reading as any other, is judged, saved and
//! applied like any other, and only by hand: its job is paused before the first write, because the
//! source still asks for what is undone.

use std::collections::{BTreeMap, HashMap, HashSet};

use compact_str::CompactString;

use super::accounts::{Access, Runner, unless_stopped};
use super::apply::Applied;
use super::error::RunError;
use super::meant::Meant;
use super::prepare::{Asks, Planned};
use super::read::{Sides, current, fields_base};
use crate::config::settled::JobConfig;
use crate::model::Value;
use crate::plan::base::{Base, UndoOpen};
use crate::plan::{Did, DidField, Left, People, PersonIx, ProfileNow};
use crate::program::ROSTERD;
use crate::provider;
use crate::state::{FOUND, RunItem, RunRecord, Store, UnsettledItem};

/// What sets a run off that takes another one back.
pub(in crate::run) const TRIGGER: &str = crate::state::UNDO;

/// What a run did that is to be undone.
#[derive(Debug, Default)]
pub(in crate::run) struct ToUndo {
    /// The run.
    pub(in crate::run) run: String,
    pub(in crate::run) did: Vec<Did>,
    /// What it had sent and of which nobody knows yet whether it is done.
    pub(in crate::run) open: Vec<Did>,
    /// How many of these things may be taken back and were not yet, by the record alone.
    left: u64,
}

impl ToUndo {
    /// Reads what a run did, and what runs after it did to the same.
    fn of(store: &Store, run: &RunRecord, one_group: bool) -> Result<ToUndo, RunError> {
        let mut did = Vec::new();
        for item in store.run_items(&run.id) {
            let item = item?;
            if is_done(&item) {
                did.push(Did {
                    by_undo: run.trigger == TRIGGER,
                    ..did_of(item)
                });
            }
        }
        let sent = store.unsettled(&run.job)?.into_iter();
        let sent = sent.filter(|entry| entry.run == run.id);
        let open: Vec<Did> = sent
            .flat_map(|entry| entry.items)
            .filter_map(still_open)
            .collect();
        // Whichever job's they are: what another one wrote since at the same account is no more to be
        // overwritten than what this one did.
        let later = store.later_runs(run)?;
        let mut touched: HashMap<String, Touched> = HashMap::new();
        // The newest run is the one that is taken back most often, and nothing was done since.
        let done = did.iter().enumerate();
        for (at, done) in done.filter(|_| !later.is_empty()) {
            for (key, field) in keys(done, one_group) {
                touched.entry(key).or_default().by.push((at, field));
            }
        }
        let numbers = later.iter().zip(0..);
        let numbers: HashMap<&str, usize> = numbers
            .map(|(other, number)| (other.id.as_str(), number))
            .collect();
        for (number, other) in later.iter().enumerate() {
            let undoes = match &other.undoes {
                Some(undone) if *undone == run.id => Undoes::This,
                Some(undone) => match numbers.get(undone.as_str()) {
                    Some(undone) => Undoes::Later(*undone),
                    // Whatever that was, it is another thing that was done since.
                    None => Undoes::Nothing,
                },
                None => Undoes::Nothing,
            };
            for item in store.run_items(&other.id) {
                let item = item?;
                if !is_done(&item) {
                    continue;
                }
                let adds = item.op == "add_memberships";
                for (key, _) in keys(&did_of(item), one_group) {
                    if let Some(touched) = touched.get_mut(&key) {
                        touched.note(number, undoes, adds);
                    }
                }
            }
        }
        let mut taken_back = vec![false; did.len()];
        for touched in touched.into_values() {
            let run = touched.since.last().map(|last| &later[*last].id);
            for (at, field) in touched.by {
                taken_back[at] |= touched.taken_back;
                let done = &mut did[at];
                done.returned |= touched.returned;
                let overtaken = match &field {
                    None => &mut done.overtaken_by,
                    Some(field) => match done.fields.get_mut(field) {
                        Some(field) => &mut field.overtaken_by,
                        None => continue,
                    },
                };
                *overtaken = run.cloned();
            }
        }
        let left = left(&did, &taken_back, one_group) + open.len() as u64;
        Ok(ToUndo {
            run: run.id.clone(),
            did,
            open,
            left,
        })
    }

    /// Returns the ids of the groups at the target that the run did something to.
    pub(in crate::run) fn groups(&self) -> impl Iterator<Item = &str> {
        self.did.iter().filter_map(|did| did.group_id.as_deref())
    }

    /// Returns the addresses at which people may be found who are in none of the groups by now.
    pub(in crate::run) fn addresses(&self) -> impl Iterator<Item = String> {
        let names = self.did.iter().filter_map(|did| did.member.clone());
        // Whoever has no address is named by an id.
        names.filter(|name| name.contains('@'))
    }

    /// Loads what the target holds of the people whose profiles the run changed, and what other jobs
    /// want to be there.
    pub(in crate::run) fn profiles(
        &self,
        store: &Store,
        job: &JobConfig,
        sides: &Sides,
        base: &Base,
        people: &People,
    ) -> Result<BTreeMap<PersonIx, ProfileNow>, RunError> {
        let mut profiles = BTreeMap::new();
        let changed = self.did.iter().filter(|did| did.op == "update_member");
        for id in changed.filter_map(|did| did.member_id.as_deref()) {
            let at = sides
                .names
                .find(id)
                .and_then(|id| people.target_position(id));
            if let Some(person) = at.and_then(|at| people.of_target(at)) {
                let mut wanted_by_others: BTreeMap<CompactString, Vec<Value>> = BTreeMap::new();
                for fields in store.fields_of_others(&job.name, &job.target_account, id)? {
                    let theirs = fields.into_iter().filter(|(_, field)| field.is_agreed());
                    for (name, field) in theirs {
                        let wanted = wanted_by_others.entry(name).or_default();
                        wanted.extend(field.desired);
                    }
                }
                let now = ProfileNow {
                    held: current(sides, people, person)?,
                    wanted_by_others,
                    spelled: fields_base(store, job, sides, base, people, person)?
                        .unwrap_or_default(),
                };
                profiles.insert(person, now);
            }
        }
        Ok(profiles)
    }
}

/// Counts what may be taken back and was not yet. Whoever was put into a group that went again went
/// with it.
fn left(did: &[Did], taken_back: &[bool], one_group: bool) -> u64 {
    let is_left = |(did, taken_back): &(&Did, &bool)| {
        let keys = keys(did, one_group);
        let mut fields = did.fields.values();
        let is_overtaken = match keys.first() {
            Some((_, Some(_))) => fields.all(|field| field.overtaken_by.is_some()),
            _ => did.overtaken_by.is_some(),
        };
        !**taken_back && !is_overtaken && !keys.is_empty() && did.op != "set_opt_out"
    };
    let both = || did.iter().zip(taken_back);
    let gone = both().filter(|(did, taken_back)| did.op == "create_group" && **taken_back);
    let gone: HashSet<&str> = gone
        .filter_map(|(did, _)| did.group_id.as_deref())
        .collect();
    let in_gone = |did: &Did| did.group_id.as_deref().is_some_and(|id| gone.contains(id));
    let left = both().filter(is_left).filter(|(did, _)| !in_gone(did));
    left.count() as u64
}

/// What a later run took back.
#[derive(Clone, Copy, Debug)]
enum Undoes {
    /// Nothing: it did something of its own.
    Nothing,
    /// The run that is looked at.
    This,
    /// Another later run, by its number.
    Later(usize),
}

/// What taking something back came to: a later run, or the one that is looked at where there is none, is in
/// force again, or no more.
#[derive(Clone, Copy, Debug)]
enum Step {
    Off(Option<usize>),
    On(Option<usize>),
}

/// What several items of a run are about, and what was done to it since.
#[derive(Default)]
struct Touched {
    /// The items, each with the field.
    by: Vec<(usize, Option<CompactString>)>,
    /// The later runs that did something to it and were not taken back, by their numbers.
    since: Vec<usize>,
    /// What each undo came to, by its number.
    steps: HashMap<usize, Step>,
    /// The last of the later runs that was seen to.
    seen: Option<usize>,
    /// Whether it was taken back itself.
    taken_back: bool,
    /// Whether an undo put the person back there, and nothing was done to it since.
    returned: bool,
}

impl Touched {
    /// Notes that a run did something to it, however many items say so.
    fn note(&mut self, run: usize, undoes: Undoes, adds: bool) {
        if self.seen.replace(run) == Some(run) {
            return;
        }
        let step = match undoes {
            Undoes::Nothing => None,
            Undoes::This => Some(Step::Off(None)),
            Undoes::Later(undone) => match self.steps.get(&undone) {
                // The undo of an undo has what that took back in force again.
                Some(Step::Off(run)) => Some(Step::On(*run)),
                Some(Step::On(run)) => Some(Step::Off(*run)),
                None => self
                    .since
                    .contains(&undone)
                    .then_some(Step::Off(Some(undone))),
            },
        };
        self.returned = step.is_some() && adds;
        match step {
            None => self.since.push(run),
            Some(Step::Off(None)) => self.taken_back = true,
            Some(Step::On(None)) => self.taken_back = false,
            Some(Step::Off(Some(undone))) => self.since.retain(|since| *since != undone),
            Some(Step::On(Some(undone))) => self.since.push(undone),
        }
        self.steps.extend(step.map(|step| (run, step)));
    }
}

/// Returns what a run had sent and of which nobody knows yet whether it is done.
fn still_open(item: UnsettledItem) -> Option<Did> {
    let UnsettledItem { item, outcome, .. } = item;
    if outcome.is_some_and(|outcome| outcome.is_final()) {
        return None;
    }
    Some(Did {
        op: item.key.split(' ').next().unwrap_or_default().to_owned(),
        group: item.group,
        member: item.member,
        ..Did::default()
    })
}

fn is_done(item: &RunItem) -> bool {
    item.outcome == "done" || item.outcome == FOUND
}

fn did_of(item: RunItem) -> Did {
    let fields = item.fields.into_iter();
    Did {
        op: item.op,
        group: item.group,
        group_id: item.group_id,
        member: item.member,
        member_id: item.member_id,
        fields: fields
            .map(|(field, change)| {
                let change = DidField {
                    before: change.before,
                    is_before_known: change.is_before_known,
                    after: change.after,
                    overtaken_by: None,
                };
                (field, change)
            })
            .collect(),
        is_known_whole: item.outcome != FOUND,
        by_undo: false,
        overtaken_by: None,
        returned: false,
    }
}

/// Names what an item changed, with the field where it is one: of two items with one name the later one
/// decides how it is. Where a member is in one group at a time, it is where they are.
fn keys(did: &Did, one_group: bool) -> Vec<(String, Option<CompactString>)> {
    let is_about_group = did.op.ends_with("_group");
    let is_named = match (is_about_group, one_group || did.op == "update_member") {
        (true, _) => did.group_id.is_some(),
        (false, true) => did.member_id.is_some(),
        (false, false) => did.group_id.is_some() && did.member_id.is_some(),
    };
    // What is known by no id is not the same as anything else that is known by none.
    if !is_named {
        return Vec::new();
    }
    let group = did.group_id.as_deref().unwrap_or_default();
    let member = did.member_id.as_deref().unwrap_or_default();
    match did.op.as_str() {
        "add_memberships" | "remove_memberships" if one_group => {
            vec![(format!("seat {member}"), None)]
        }
        "add_memberships" | "remove_memberships" | "set_opt_out" => {
            vec![(format!("membership {group} {member}"), None)]
        }
        "create_group" | "archive_group" | "delete_group" => {
            vec![(format!("group {group}"), None)]
        }
        "update_group" | "rename_group" | "adopt_group" | "update_member" => {
            let fields = did.fields.keys();
            fields
                .map(|field| {
                    let key = format!("field {group} {member} {field}");
                    (key, Some(field.clone()))
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Tells whether an undo left nothing alone because it could not be looked at.
fn is_looked_at(planned: &Planned) -> bool {
    let left = planned.undoing.iter().flat_map(|undoing| &undoing.left);
    left.map(|left| left.why).all(|why| why != Left::NotRead)
}

impl Runner {
    /// Reads both sides and makes the plan that takes a run back; writes to no provider.
    pub async fn undo(&self, run: &RunRecord) -> Result<Planned, RunError> {
        let (planned, _) = self.undo_about(run, &[]).await?;
        Ok(planned)
    }

    /// Makes the plan that takes a run back, and finds who and what is meant by words in it.
    pub async fn undo_about(
        &self,
        run: &RunRecord,
        words: &[String],
    ) -> Result<(Planned, Vec<Meant>), RunError> {
        let job = self.job(&run.job)?;
        let _held = self.hold(job, Access::Read).await?;
        self.refuse_one_account(job)?;
        self.settle_before_undo(job).await?;
        let to_undo = self.to_undo(job, run)?;
        let asks = Asks {
            anew: true,
            undo: Some(&to_undo),
            ..Asks::default()
        };
        let stop = &self.inner.options.stop;
        let mut prepared = unless_stopped(stop, self.prepare(job, asks)).await?;
        if prepared.planned.plan.is_empty() {
            self.close_undo(&job.name, &to_undo, &prepared.planned)?;
        }
        self.offer_approval(job, &mut prepared.planned.plan)?;
        self.inner.options.progress.finish(&job.name);
        let meant = words.iter().map(|word| prepared.meant(word)).collect();
        Ok((prepared.planned, meant))
    }

    /// Finds out what became of what a killed run had sent: it is a part of what that run did.
    pub(super) async fn settle_before_undo(&self, job: &JobConfig) -> Result<(), RunError> {
        if self.store().unsettled(&job.name)?.is_empty() {
            return Ok(());
        }
        let asks = Asks {
            anew: true,
            ..Asks::default()
        };
        unless_stopped(&self.inner.options.stop, self.prepare(job, asks))
            .await
            .map(drop)
    }

    /// Tells of a run that was being taken back when that was interrupted.
    pub(in crate::run) fn undo_left_open(
        &self,
        job: &JobConfig,
    ) -> Result<Option<UndoOpen>, RunError> {
        let store = self.store();
        let run = store.open_undo(&job.name)?;
        let Some(run) = run.map(|run| store.run(&run)).transpose()?.flatten() else {
            return Ok(None);
        };
        let to_undo = self.to_undo(job, &run)?;
        Ok(Some(UndoOpen {
            run: run.id,
            did: (to_undo.did.len() + to_undo.open.len()) as u64,
            left: to_undo.left,
            is_paused: store.paused(&job.name)?.is_some(),
        }))
    }

    /// Reads what a run of a job did, and what was done to the same since.
    pub(super) fn to_undo(&self, job: &JobConfig, run: &RunRecord) -> Result<ToUndo, RunError> {
        let target = self.config().providers[&job.target].kind;
        let one_group = provider::capabilities(target).one_group_per_member;
        ToUndo::of(self.store(), run, one_group)
    }

    /// Refuses to take a run back while another one is taken back in part: of that nothing would tell any
    /// more.
    pub(super) fn refuse_second_undo(&self, job: &JobConfig, run: &str) -> Result<(), RunError> {
        let store = self.store();
        let open = store.open_undo(&job.name)?.filter(|open| open != run);
        match open {
            Some(open) if store.paused(&job.name)?.is_some() => Err(RunError::PlanMoved(format!(
                "the undo of run {open} was interrupted and is not finished, so nothing was written; `{ROSTERD} undo {open} --out FILE`, then `{ROSTERD} apply FILE`, finishes it, and `{ROSTERD} resume {}` gives it up",
                job.name
            ))),
            _ => Ok(()),
        }
    }

    /// Takes note that the taking back of a run has come to its end: nothing is left to do, and nothing of
    /// it could not be looked at.
    pub(super) fn close_undo(
        &self,
        job: &str,
        to_undo: &ToUndo,
        planned: &Planned,
    ) -> Result<(), RunError> {
        let store = self.store();
        let is_open = store.open_undo(job)?.as_deref() == Some(to_undo.run.as_str());
        if is_open && is_looked_at(planned) {
            store.set_open_undo(job, None)?;
        }
        Ok(())
    }

    /// Takes note of how a run ended that wrote while an undo was open, or was one: the one that came
    /// to its end closes it, and so does whoever did what the source asks for all the same. Returns a
    /// sentence where it is still open.
    pub(super) fn settle_open_undo(
        &self,
        job: &JobConfig,
        undone: Option<&ToUndo>,
        applied: &Applied,
    ) -> Result<Option<String>, RunError> {
        let is_over = match undone {
            Some(_) => {
                let all_done = applied.worked_through && applied.tally.failed.is_empty();
                applied.result.is_ok() && all_done && is_looked_at(&applied.prepared.planned)
            }
            None => applied.result.is_ok() || applied.wrote,
        };
        let store = self.store();
        if store.open_undo(&job.name)?.is_none() {
            return Ok(None);
        }
        if is_over {
            store.set_open_undo(&job.name, None)?;
        }
        let open = self.undo_left_open(job)?.filter(|_| undone.is_some());
        Ok(open.map(|open| format!("{}.", open.explain())))
    }

    /// Keeps the job from doing again on its schedule what is about to be undone. Returns a sentence
    /// where it was not paused before.
    pub(super) fn pause_for_undo(&self, job: &str, run: &str) -> Result<Option<String>, RunError> {
        let store = self.store();
        store.set_open_undo(job, Some(run))?;
        if store.paused(job)?.is_some() {
            return Ok(None);
        }
        store.set_paused(job, Some(&format!("run {run} was undone")), self.now())?;
        Ok(Some(format!(
            "The job is paused, because its source still asks for what was undone; change it there, then `{ROSTERD} resume {job}`."
        )))
    }
}
