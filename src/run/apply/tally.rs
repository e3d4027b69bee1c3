//! Counts what was done and what failed, and writes down how the run ended.

use std::collections::HashSet;

use super::{Applying, Item};
use crate::model::Join;
use crate::plan::{BlockedReason, PairIx, item_id, item_key};
use crate::run::prepare::{freshly_blocked, measure, measured_as};
use crate::run::{ItemFailure, Outcome, RunError, RunReport};
use crate::state::{ApprovedBy, Change, FailureNote, RunEnd, RunItem};

impl Applying<'_> {
    /// Counts a confirmed item and takes it down in the history.
    pub(super) fn done(&mut self, item: &Item) {
        if let (Some(id), "set_opt_out" | "remove_memberships") = (&item.target_id, item.op) {
            let groups: Vec<Option<PairIx>> = item
                .joins
                .iter()
                .copied()
                .chain(item.pair)
                .map(Some)
                .collect();
            let pairs = if groups.is_empty() {
                vec![None]
            } else {
                groups
            };
            self.refused_there
                .extend(pairs.into_iter().map(|pair| (pair, id.clone())));
        }
        match (item.pair, item.person) {
            (Some(pair), None) => drop(self.groups_written.insert(pair)),
            (_, Some(person)) if item.op == "update_member" || self.is_new(item) => {
                self.people_written.insert(person);
            }
            _ => {}
        }
        let people = self.newly_tallied(item);
        let summary = &mut self.report.summary;
        match item.op {
            "create_group" => summary.groups_created += 1,
            "adopt_group" => summary.groups_adopted += 1,
            "update_group" | "rename_group" => summary.groups_updated += 1,
            "archive_group" => summary.groups_archived += 1,
            "delete_group" => summary.groups_deleted += 1,
            "create_members" => {
                let new = item.person.is_some_and(|person| {
                    self.prepared.planned.people.targets(person).is_empty()
                        && self.counted.insert(person)
                });
                summary.members_created += u64::from(new);
                summary.memberships_added += item.joins.len() as u64;
                // Somebody created opted out carries the refusal in the same request.
                summary.opt_outs += u64::from(item.detail.is_some());
            }
            "update_member" | "change_address" => {
                summary.members_updated += u64::from(item.detail.is_none());
            }
            "add_memberships" => summary.memberships_added += item.joins.len().max(1) as u64,
            "remove_memberships" => summary.memberships_removed += people,
            "set_opt_out" => {
                summary.opt_outs += people;
                // By row, whoever holds a refusal is created by the request that writes it.
                let new = item.target_id.is_none()
                    && item.person.is_some_and(|person| {
                        self.prepared.planned.people.targets(person).is_empty()
                            && self.counted.insert(person)
                    });
                summary.members_created += u64::from(new);
            }
            _ => {}
        }
        self.note(item, "done", None);
    }

    /// Counts the memberships of an item of which no other contact of the person was counted.
    fn newly_tallied(&mut self, item: &Item) -> u64 {
        let groups = item.joins.iter().copied().chain(item.pair).map(Some);
        let mut pairs: Vec<Option<PairIx>> = groups.collect();
        if pairs.is_empty() {
            pairs.push(None);
        }
        let Some(person) = item.person else {
            return pairs.len() as u64;
        };
        let fresh = pairs
            .into_iter()
            .filter(|pair| self.tallied.insert((item.op, *pair, person)));
        fresh.count() as u64
    }

    pub(super) fn failed(&mut self, item: &Item, code: Option<String>, message: &str) {
        match (item.op, item.pair, item.person) {
            ("create_group", Some(pair), _) => {
                self.lost_groups.insert(pair);
            }
            ("create_members", _, Some(person)) => {
                self.lost_people.insert(person);
                self.unproved.remove(&person);
            }
            // Whatever goes by the new address would create a second person.
            ("change_address", _, Some(person)) => {
                self.lost_people.insert(person);
            }
            _ => {}
        }
        let group = item
            .pair
            .or(item.joins.first().copied())
            .map(|pair| self.prepared.planned.plan.pair(pair).name.clone());
        let member = item.person.map(|person| self.address(person));
        let what = match (&item.person, item.op) {
            (None, _) => "group",
            (Some(_), "add_memberships" | "remove_memberships") => "membership",
            (Some(_), _) => "member",
        };
        // A creation that joins is planned as an addition, and is waited for as one; so is each
        // group of a row, and a refusal group by group.
        let op = match item.op {
            "create_members" | "add_memberships" => Some("add_memberships"),
            "remove_memberships" => Some("remove_memberships"),
            "set_opt_out" => Some("set_opt_out"),
            _ => None,
        };
        let mut keys: Vec<(String, Option<String>)> = match op {
            Some(op) if !item.joins.is_empty() => item
                .joins
                .iter()
                .map(|pair| self.key_of_group(op, *pair, item))
                .collect(),
            _ => vec![(self.key(item), group.clone())],
        };
        if item.op == "set_opt_out" && self.is_new(item) {
            // Whoever could not be created to hold a refusal is not tried again before it is time.
            keys.push((
                item_key("create_members", "", member.as_deref().unwrap_or("")),
                group.clone(),
            ));
            self.lost_people.extend(item.person);
        }
        for (key, group) in keys {
            self.failures.push(FailureNote {
                key,
                what: what.to_owned(),
                group,
                member: member.clone(),
                reason: "value_refused".to_owned(),
                code: code.clone(),
                message: message.to_owned(),
                item: String::new(),
            });
        }
        self.note(item, "failed", Some(message.to_owned()));
        self.report.failures.push(ItemFailure {
            op: item.op.to_owned(),
            group,
            member,
            code,
            message: message.to_owned(),
        });
    }

    /// Takes down that values of somebody are still as they were, although the provider said yes.
    pub(super) fn values_ignored(&mut self, key: &str, address: String, message: String) {
        self.failures.push(FailureNote {
            key: key.to_owned(),
            what: "member".to_owned(),
            group: None,
            member: Some(address.clone()),
            reason: "value_refused".to_owned(),
            code: None,
            message: message.clone(),
            item: String::new(),
        });
        self.report.failures.push(ItemFailure {
            op: "update_member".to_owned(),
            group: None,
            member: Some(address),
            code: None,
            message,
        });
        let summary = &mut self.report.summary;
        summary.members_updated = summary.members_updated.saturating_sub(1);
    }

    /// Leaves a group alone for the rest of the run, because nobody knows who is in it by now.
    pub(super) fn leave_out(&mut self, pair: PairIx, why: &str) {
        if !self.lost_groups.insert(pair) {
            return;
        }
        let group = self.prepared.planned.plan.pair(pair).name.clone();
        let id = self.group_id(pair).unwrap_or_default();
        let message = format!(
            "who is in the group could not be read to its end right before it was to be written, so that nothing was added there or taken out: {why}"
        );
        self.failures.push(FailureNote {
            key: item_key("list_group", &id, ""),
            what: "group".to_owned(),
            group: Some(group.clone()),
            member: None,
            reason: BlockedReason::IncompleteRead.as_str().to_owned(),
            code: None,
            message: message.clone(),
            item: String::new(),
        });
        self.report.failures.push(ItemFailure {
            op: "list_group".to_owned(),
            group: Some(group),
            member: None,
            code: None,
            message,
        });
    }

    /// Names one group of an item that is about several, as the plan does.
    fn key_of_group(&self, op: &str, pair: PairIx, item: &Item) -> (String, Option<String>) {
        let group = self.prepared.planned.plan.pair(pair);
        let id = group
            .target
            .as_deref()
            .or(self.group_ids.get(&pair).map(String::as_str))
            .unwrap_or(&group.name);
        let member = item
            .person
            .map(|person| self.person_key(person))
            .unwrap_or_default();
        (item_key(op, id, &member), Some(group.name.clone()))
    }

    /// Tells whether an item is about somebody who had no contact before this run.
    pub(super) fn is_new(&self, item: &Item) -> bool {
        item.target_id.is_none()
            && item
                .person
                .is_some_and(|person| self.prepared.planned.people.targets(person).is_empty())
    }

    /// Takes an item down in the history; each group of an item by row is a line of its own.
    pub(super) fn note(&mut self, item: &Item, outcome: &str, message: Option<String>) {
        let mut groups: Vec<PairIx> = item
            .pair
            .into_iter()
            .chain(item.joins.iter().copied())
            .collect();
        if self.prepared.capabilities.join != Join::PerRow {
            groups.truncate(1);
        }
        let lines = groups.len().max(1);
        for at in 0..lines {
            let op = if at > 0 && item.op == "create_members" {
                "add_memberships"
            } else {
                item.op
            };
            self.history.push(RunItem {
                seq: self.history.len() as u64 + 1,
                op: op.to_owned(),
                group: groups
                    .get(at)
                    .map(|pair| self.prepared.planned.plan.pair(*pair).name.clone()),
                member: item.person.map(|person| self.address(person)),
                outcome: outcome.to_owned(),
                reason: None,
                message: message.clone(),
                fields: serde_json::Value::Null,
            });
        }
    }

    /// Writes down how the run ended.
    pub(super) fn finish(mut self, result: Result<(), RunError>) -> Result<RunReport, RunError> {
        let store = self.runner.store();
        let now = self.runner.now();
        for failure in &mut self.failures {
            failure.item = item_id(
                failure.group.as_deref(),
                failure.member.as_deref(),
                &failure.reason,
                &failure.message,
            );
        }
        store.add_run_items(self.run, &self.history)?;
        store.note_failures(&self.job.name, &self.failures, now)?;
        let plan = &self.prepared.planned.plan;
        let blocked: Vec<FailureNote> = freshly_blocked(plan, &self.prepared.base)
            .map(|blocked| FailureNote {
                key: item_key(
                    blocked.reason.as_str(),
                    blocked
                        .group
                        .as_deref()
                        .or(blocked.id.as_deref())
                        .unwrap_or(""),
                    blocked
                        .member
                        .as_deref()
                        .filter(|member| !member.is_empty())
                        .or(blocked.id.as_deref())
                        .unwrap_or(""),
                ),
                what: blocked.what.as_str().to_owned(),
                group: blocked.group.clone(),
                member: blocked.member.clone(),
                reason: blocked.reason.as_str().to_owned(),
                code: None,
                message: blocked.detail.clone(),
                item: blocked.item(),
            })
            .collect();
        store.replace_blocked(&self.job.name, &blocked, now)?;
        let failed: HashSet<&str> = self
            .failures
            .iter()
            .map(|failure| failure.key.as_str())
            .collect();
        // What was refused once and was not refused now is over, unless it still waits for its next
        // attempt.
        if result.is_ok() {
            let over: Vec<String> = store
                .failures(Some(&self.job.name))?
                .into_iter()
                .filter(|record| {
                    !record.blocked
                        && !failed.contains(record.note.key.as_str())
                        && !self.prepared.base.waiting.contains_key(&record.note.key)
                })
                .map(|record| record.note.key)
                .collect();
            store.clear_failures(&self.job.name, &over)?;
        }
        self.report.finished = now;
        self.report.outcome = match &result {
            Err(_) => Outcome::Failed,
            Ok(()) if self.report.waiting().0 > 0 => Outcome::Partial,
            Ok(()) => Outcome::Done,
        };
        self.report.error = result.as_ref().err().map(ToString::to_string);
        let end = RunEnd {
            finished: now,
            outcome: self.report.outcome,
            exit_code: self.report.exit_code(),
            wrote: self.wrote,
            summary: self.report.summary_json(),
            error: self.report.error.clone(),
            measure: result.is_ok().then(|| measure(plan)).flatten(),
            approved: self.report.approved.as_ref().map(ApprovedBy::from),
        };
        let mode = &self.prepared.policy.mode;
        let changes: Vec<Change> = end
            .measure
            .map(|_| measured_as(&self.job.name, *mode))
            .into_iter()
            .collect();
        store.finish_run(self.run, &end, &changes)?;
        Ok(self.report)
    }
}
