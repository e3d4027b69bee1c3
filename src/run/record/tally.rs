//! Counts what was done and what failed, and takes it down for the history.

use std::collections::HashSet;

use super::report::{ItemFailure, RunReport};
use crate::model::Join;
use crate::plan::{BlockedReason, PairIx, PersonIx, item_key};
use crate::run::apply::Event;
use crate::run::settle::{Item, Known, SoFar};
use crate::state::{FailureNote, RunItem};

/// What is told of a run that applied a plan.
pub(super) struct Tally<'a> {
    known: Known<'a>,
    so_far: &'a SoFar,
    /// People counted as created; one who joins several groups may be named by several requests.
    counted: HashSet<PersonIx>,
    /// What was counted of people; somebody with several contacts counts once.
    tallied: HashSet<(&'static str, Option<PairIx>, PersonIx)>,
    pub(super) report: RunReport,
    pub(super) failures: Vec<FailureNote>,
    /// Those of whom nobody can tell whether they are done: they were not refused, and rest for
    /// nobody.
    pub(super) untold: Vec<FailureNote>,
    pub(super) history: Vec<RunItem>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(known: Known<'a>, so_far: &'a SoFar, report: RunReport) -> Tally<'a> {
        Tally {
            known,
            so_far,
            counted: HashSet::new(),
            tallied: HashSet::new(),
            report,
            failures: Vec::new(),
            untold: Vec::new(),
            history: Vec::new(),
        }
    }

    /// Counts one thing that happened; they come in the order in which they did.
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Done(item) => self.done(&item),
            Event::Failed {
                item,
                code,
                message,
            } => {
                let notes = self.failed(&item, code, &message, false);
                self.failures.extend(notes);
            }
            Event::Untold { item, message } => {
                let notes = self.failed(&item, None, &message, true);
                self.untold.extend(notes);
            }
            Event::Ignored { member, message } => self.values_ignored(member, message),
            Event::LeftOut { pair, id, message } => self.left_out(pair, &id, message),
            Event::Twin { group, message } => {
                self.report.warnings.push(message.clone());
                self.report.failures.push(ItemFailure {
                    op: "create_group".to_owned(),
                    group: Some(group),
                    member: None,
                    code: None,
                    message,
                    untold: false,
                });
            }
            Event::Warning(words) => self.report.warnings.push(words),
        }
    }

    /// Counts a confirmed item and takes it down in the history.
    fn done(&mut self, item: &Item) {
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
                    self.known.people.targets(person).is_empty() && self.counted.insert(person)
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
                        self.known.people.targets(person).is_empty() && self.counted.insert(person)
                    });
                summary.members_created += u64::from(new);
            }
            _ => {}
        }
        self.note(item, "done", None);
    }

    /// Counts the memberships of an item of which no other contact of the person was counted.
    fn newly_tallied(&mut self, item: &Item) -> u64 {
        let pairs = item.scopes();
        let Some(person) = item.person else {
            return pairs.len() as u64;
        };
        let fresh = pairs
            .into_iter()
            .filter(|pair| self.tallied.insert((item.op, *pair, person)));
        fresh.count() as u64
    }

    /// Shows an item that failed, or of which nobody can tell. Returns what is taken down of it.
    fn failed(
        &mut self,
        item: &Item,
        code: Option<String>,
        message: &str,
        untold: bool,
    ) -> Vec<FailureNote> {
        // Nothing else names the field.
        let of_field = item.detail.as_ref().filter(|_| item.op == "create_field");
        let message = match of_field {
            Some(label) => &format!("custom field \"{label}\": {message}"),
            None => message,
        };
        let group = item
            .pair
            .or(item.joins.first().copied())
            .map(|pair| self.known.plan.pair(pair).name.clone());
        let member = self.member(item);
        let what = match (&item.person, item.op) {
            (None, "create_field") => "field",
            (None, _) => "group",
            (Some(_), "add_memberships" | "remove_memberships") => "membership",
            (Some(_), _) if !item.joins.is_empty() => "membership",
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
            _ => vec![(self.known.key(self.so_far, item), group.clone())],
        };
        if item.op == "set_opt_out" && self.known.is_new(item) {
            // Whoever could not be created to hold a refusal is not tried again before it is time.
            keys.push((
                item_key("create_members", "", member.as_deref().unwrap_or("")),
                group.clone(),
            ));
        }
        // Each group of an item that is about several is an item of its own in the next plan, and is
        // shown and accepted as such.
        let reason = if untold {
            BlockedReason::IncompleteRead
        } else {
            BlockedReason::ValueRefused
        };
        let mut notes = Vec::new();
        for (at, (key, group)) in keys.into_iter().enumerate() {
            self.report.failures.push(ItemFailure {
                op: op_of_line(item, at).to_owned(),
                group: group.clone(),
                member: member.clone(),
                code: code.clone(),
                message: message.to_owned(),
                untold,
            });
            notes.push(FailureNote {
                key,
                what: what.to_owned(),
                group,
                member: member.clone(),
                reason: reason.as_str().to_owned(),
                code: code.clone(),
                message: message.to_owned(),
                item: String::new(),
            });
        }
        self.note(item, "failed", Some(message.to_owned()));
        notes
    }

    /// Takes down that values of somebody are still as they were, although the provider said yes.
    fn values_ignored(&mut self, member: String, message: String) {
        self.failures.push(FailureNote {
            key: item_key("update_member", "", &member),
            what: "member".to_owned(),
            group: None,
            member: Some(member.clone()),
            reason: "value_refused".to_owned(),
            code: None,
            message: message.clone(),
            item: String::new(),
        });
        self.report.failures.push(ItemFailure {
            op: "update_member".to_owned(),
            group: None,
            member: Some(member),
            code: None,
            message,
            untold: false,
        });
        let summary = &mut self.report.summary;
        summary.members_updated = summary.members_updated.saturating_sub(1);
    }

    fn left_out(&mut self, pair: PairIx, id: &str, message: String) {
        let group = self.known.plan.pair(pair).name.clone();
        self.failures.push(FailureNote {
            key: item_key("list_group", id, ""),
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
            untold: false,
        });
    }

    /// Names one group of an item that is about several, as the plan does.
    fn key_of_group(&self, op: &str, pair: PairIx, item: &Item) -> (String, Option<String>) {
        let group = self.known.plan.pair(pair);
        let id = group
            .target
            .as_deref()
            .or(self.so_far.group_ids.get(&pair).map(String::as_str))
            .unwrap_or(&group.name);
        let member = self.member(item).unwrap_or_default();
        (item_key(op, id, &member), Some(group.name.clone()))
    }

    /// Names the person of an item, as the plan does.
    fn member(&self, item: &Item) -> Option<String> {
        let person = item.person?;
        Some(self.known.person_key(person).into_owned())
    }

    /// Takes an item down in the history; each group of an item by row is a line of its own.
    fn note(&mut self, item: &Item, outcome: &str, message: Option<String>) {
        let mut groups: Vec<PairIx> = item
            .pair
            .into_iter()
            .chain(item.joins.iter().copied())
            .collect();
        if self.known.capabilities.join != Join::PerRow && outcome != "failed" {
            groups.truncate(1);
        }
        let lines = groups.len().max(1);
        for at in 0..lines {
            self.history.push(RunItem {
                seq: self.history.len() as u64 + 1,
                op: op_of_line(item, at).to_owned(),
                group: groups
                    .get(at)
                    .map(|pair| self.known.plan.pair(*pair).name.clone()),
                member: self.member(item),
                outcome: outcome.to_owned(),
                reason: None,
                message: message.clone(),
                fields: serde_json::Value::Null,
            });
        }
    }
}

/// Returns the operation of a line about an item that is about several groups: somebody is created
/// once.
fn op_of_line(item: &Item, at: usize) -> &'static str {
    if at > 0 && item.op == "create_members" {
        "add_memberships"
    } else {
        item.op
    }
}
