//! Takes a run back: what it did, by the record of it, as the inverse plan of its job.
//!
//! The plan is made by [`crate::plan::undo`] from the same reading as any other, is judged, saved and
//! applied like any other, and only by hand: its job is paused before the first write, because the
//! source still asks for what is undone.

use std::collections::{BTreeMap, HashMap};

use super::accounts::{Access, Runner, unless_stopped};
use super::error::RunError;
use super::prepare::{Asks, Planned};
use super::read::{Sides, current};
use crate::config::settled::JobConfig;
use crate::model::Record;
use crate::plan::{Did, People, PersonIx};
use crate::state::{FOUND, RunItem, RunRecord, Store};

/// What sets a run off that takes another one back.
pub(in crate::run) const TRIGGER: &str = "undo";

/// What a run did that is to be undone.
#[derive(Debug, Default)]
pub(in crate::run) struct ToUndo {
    /// The run.
    pub(in crate::run) run: String,
    pub(in crate::run) did: Vec<Did>,
}

impl ToUndo {
    /// Reads what a run did, and what runs after it did to the same.
    pub(in crate::run) fn of(store: &Store, run: &RunRecord) -> Result<ToUndo, RunError> {
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
        let mut touched: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, done) in did.iter().enumerate() {
            for key in keys(done) {
                touched.entry(key).or_default().push(at);
            }
        }
        let mut later = store.history(Some(&run.job), usize::MAX)?;
        later.retain(|other| other.started > run.started);
        later.reverse();
        for other in later {
            for item in store.run_items(&other.id) {
                let item = item?;
                if !is_done(&item) {
                    continue;
                }
                let returns = other.trigger == TRIGGER && item.op == "add_memberships";
                for key in keys(&did_of(item)) {
                    // What was taken back is as the run before it had left it.
                    let by = Some(other.id.clone()).filter(|_| other.trigger != TRIGGER);
                    for at in touched.get(&key).into_iter().flatten() {
                        did[*at].overtaken_by.clone_from(&by);
                        did[*at].returned = returns;
                    }
                }
            }
        }
        Ok(ToUndo {
            run: run.id.clone(),
            did,
        })
    }

    /// Returns the addresses at which people may be found who are in none of the groups by now.
    pub(in crate::run) fn addresses(&self) -> impl Iterator<Item = String> {
        let names = self.did.iter().filter_map(|did| did.member.clone());
        // Whoever has no address is named by an id.
        names.filter(|name| name.contains('@'))
    }

    /// Loads what the target holds of the people whose profiles the run changed.
    pub(in crate::run) fn profiles(
        &self,
        sides: &Sides,
        people: &People,
    ) -> Result<BTreeMap<PersonIx, Record>, RunError> {
        let mut profiles = BTreeMap::new();
        let changed = self.did.iter().filter(|did| did.op == "update_member");
        for id in changed.filter_map(|did| did.member_id.as_deref()) {
            let at = sides
                .names
                .find(id)
                .and_then(|id| people.target_position(id));
            if let Some(person) = at.and_then(|at| people.of_target(at)) {
                profiles.insert(person, current(sides, people, person)?);
            }
        }
        Ok(profiles)
    }
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
            .map(|(field, change)| (field, (change.before, change.after)))
            .collect(),
        is_known_whole: item.outcome != FOUND,
        by_undo: false,
        overtaken_by: None,
        returned: false,
    }
}

/// Names what an item changed: of two items with one name the later one decides how it is.
fn keys(did: &Did) -> Vec<String> {
    let group = did.group_id.as_deref().unwrap_or_default();
    let member = did.member_id.as_deref().unwrap_or_default();
    match did.op.as_str() {
        "add_memberships" | "remove_memberships" | "set_opt_out" => {
            vec![format!("membership {group} {member}")]
        }
        "create_group" | "archive_group" | "delete_group" => vec![format!("group {group}")],
        "update_group" | "rename_group" | "adopt_group" | "update_member" => {
            let fields = did.fields.keys();
            fields
                .map(|field| format!("field {group} {member} {field}"))
                .collect()
        }
        _ => Vec::new(),
    }
}

impl Runner {
    /// Reads both sides and makes the plan that takes a run back; writes to no provider.
    pub async fn undo(&self, run: &RunRecord) -> Result<Planned, RunError> {
        let job = self.job(&run.job)?;
        let _held = self.hold(job, Access::Read).await?;
        self.refuse_one_account(job)?;
        self.settle_before_undo(job).await?;
        let to_undo = ToUndo::of(self.store(), run)?;
        let asks = Asks {
            anew: true,
            undo: Some(&to_undo),
            ..Asks::default()
        };
        let stop = &self.inner.options.stop;
        let mut prepared = unless_stopped(stop, self.prepare(job, asks)).await?;
        self.offer_approval(job, &mut prepared.planned.plan)?;
        self.inner.options.progress.finish(&job.name);
        Ok(prepared.planned)
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

    /// Keeps the job from doing again on its schedule what is about to be undone. Returns a sentence
    /// where it was not paused before.
    pub(super) fn pause_for_undo(&self, job: &str, run: &str) -> Result<Option<String>, RunError> {
        let store = self.store();
        if store.paused(job)?.is_some() {
            return Ok(None);
        }
        store.set_paused(job, Some(&format!("run {run} was undone")), self.now())?;
        Ok(Some(format!(
            "The job is paused, because its source still asks for what was undone; change it there, then `rosterd resume {job}`."
        )))
    }
}
